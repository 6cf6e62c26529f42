//! Sound to test with, and measures of it. Included by unit and integration tests, each of which
//! needs only a part.
#![allow(dead_code)]

use std::f32::consts::TAU;

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

const RATE: f32 = 48_000.0;

/// A sine.
pub fn tone(hz: f32, amplitude: f32, samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|n| amplitude * (TAU * (hz * n as f32 / RATE).fract()).sin())
        .collect()
}

/// Seeded sound with the traits of speech that codecs and stretchers live on: a gliding pitch,
/// formants that change from syllable to syllable, hisses, pauses, a noise floor.
pub fn speech(seed: u64, samples: usize) -> Vec<f32> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut out = Vec::with_capacity(samples);
    let mut phase = 0.0f32;
    while out.len() < samples {
        let length = rng.random_range(6_000..14_000usize);
        let voiced = rng.random_bool(0.75);
        let loud = rng.random_range(0.15..0.45f32);
        let (from, to) = (
            rng.random_range(95.0..220.0f32),
            rng.random_range(95.0..220.0f32),
        );
        let mut formants = [
            Resonator::new(rng.random_range(300.0..800.0), 80.0),
            Resonator::new(rng.random_range(900.0..2_200.0), 120.0),
            Resonator::new(rng.random_range(2_300.0..3_200.0), 180.0),
        ];
        let mut hiss = Resonator::new(rng.random_range(3_500.0..6_500.0), 1_500.0);
        for n in 0..length {
            let t = n as f32 / length as f32;
            let envelope = (t * 8.0).min(1.0) * ((1.0 - t) * 5.0).min(1.0);
            let sound = if voiced {
                phase += (from + (to - from) * t) / RATE;
                let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
                phase = phase.fract();
                let breath = noise(&mut rng) * 0.004;
                formants
                    .iter_mut()
                    .map(|f| f.filter(pulse + breath))
                    .sum::<f32>()
                    * 3.0
            } else {
                hiss.filter(noise(&mut rng)) * 0.12
            };
            out.push((sound * envelope * loud).clamp(-0.9, 0.9) + noise(&mut rng) * 2e-4);
        }
        let pause = rng.random_range(500..9_000usize);
        out.extend((0..pause).map(|_| noise(&mut rng) * 2e-4));
    }
    out.truncate(samples);
    out
}

fn noise(rng: &mut impl Rng) -> f32 {
    rng.random_range(-1.0..1.0f32)
}

struct Resonator {
    a: f32,
    b: f32,
    gain: f32,
    past: [f32; 2],
}

impl Resonator {
    fn new(hz: f32, width: f32) -> Self {
        let r = (-std::f32::consts::PI * width / RATE).exp();
        Self {
            a: 2.0 * r * (TAU * hz / RATE).cos(),
            b: -r * r,
            gain: 1.0 - r,
            past: [0.0; 2],
        }
    }

    fn filter(&mut self, x: f32) -> f32 {
        let y = self.gain * x * 8.0 + self.a * self.past[0] + self.b * self.past[1];
        self.past = [y, self.past[0]];
        y
    }
}

/// Largest jump from one sample to the next.
pub fn largest_step(sound: &[f32]) -> f32 {
    sound
        .windows(2)
        .map(|w| (w[1] - w[0]).abs())
        .fold(0.0, f32::max)
}

/// Signal-to-noise ratio in dB.
pub fn snr_db(reference: &[f32], heard: &[f32]) -> f32 {
    let signal: f32 = reference.iter().map(|x| x * x).sum();
    let noise: f32 = reference
        .iter()
        .zip(heard)
        .map(|(a, b)| (a - b) * (a - b))
        .sum();
    10.0 * (signal / noise.max(1e-12)).log10()
}

/// Mean of the signal-to-noise ratios of 20 ms segments, each clamped to −10..35 dB, silent ones left
/// out.
pub fn segmental_snr_db(reference: &[f32], heard: &[f32]) -> f32 {
    let segments: Vec<f32> = reference
        .chunks_exact(960)
        .zip(heard.chunks_exact(960))
        .filter(|(r, _)| r.iter().map(|x| x * x).sum::<f32>() > 960.0 * 1e-5)
        .map(|(r, h)| snr_db(r, h).clamp(-10.0, 35.0))
        .collect();
    segments.iter().sum::<f32>() / segments.len().max(1) as f32
}

/// Frequency of a tone, from its upward zero crossings.
pub fn frequency(sound: &[f32]) -> f32 {
    let crossings: Vec<f32> = sound
        .windows(2)
        .enumerate()
        .filter(|(_, w)| w[0] < 0.0 && w[1] >= 0.0)
        .map(|(n, w)| n as f32 + w[0] / (w[0] - w[1]))
        .collect();
    let (first, last) = (crossings[0], crossings[crossings.len() - 1]);
    (crossings.len() - 1) as f32 * RATE / (last - first)
}
