//! A look-ahead limiter: turns down just before a peak, and never clips.

use crate::FRAME;

/// How far it looks ahead: 2 ms, long enough to turn down without distortion.
const AHEAD: usize = 96;
/// Nothing comes out above −0.5 dBFS: what follows (resampling, the device) may overshoot a little.
const CEILING: f32 = 0.944;
/// Share of the way back to full loudness in one sample: about 80 ms.
const RELEASE: f32 = 1.0 / 3_840.0;

/// Keeps sound within ±1, delayed by [`Self::DELAY`] samples. Real-time safe.
///
/// The gain that each sample needs, held for its lowest over the look-ahead and averaged over the same
/// length: where the average meets the sample that asked for it, every value in it is at most what that
/// sample needs.
#[derive(Clone, Debug)]
pub struct Limiter {
    sound: [f32; AHEAD],
    /// The lowest gains of the look-ahead, in order: a queue in a ring, whose first is the least.
    lowest: [(u64, f32); AHEAD],
    first: usize,
    count: usize,
    /// The held gains that are averaged.
    held: [f32; AHEAD],
    sum: f64,
    release: f32,
    now: u64,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::new()
    }
}

impl Limiter {
    /// How much later sound comes out, in samples.
    pub const DELAY: usize = AHEAD - 1;

    /// A limiter at rest.
    pub const fn new() -> Self {
        Self {
            sound: [0.0; AHEAD],
            lowest: [(0, 1.0); AHEAD],
            first: 0,
            count: 0,
            held: [1.0; AHEAD],
            sum: AHEAD as f64,
            release: 1.0,
            now: 0,
        }
    }

    /// Limits one frame.
    pub fn process(&mut self, sound: &[f32; FRAME], out: &mut [f32; FRAME]) {
        // Rounding must not add up over hours.
        self.sum = self.held.iter().map(|&gain| f64::from(gain)).sum();
        for (out, &sample) in out.iter_mut().zip(sound) {
            let sample = if sample.is_finite() { sample } else { 0.0 };
            let needed = if sample.abs() > CEILING {
                CEILING / sample.abs()
            } else {
                1.0
            };
            self.release += (1.0 - self.release) * RELEASE;
            self.release = self.release.min(needed);
            let held = self.hold(self.release);

            let at = (self.now % AHEAD as u64) as usize;
            self.sum += f64::from(held) - f64::from(self.held[at]);
            self.held[at] = held;
            self.sound[at] = sample;
            self.now += 1;
            // The oldest of the look-ahead is the next to be overwritten.
            let due = self.sound[(at + 1) % AHEAD];
            let gain = (self.sum / AHEAD as f64) as f32;
            *out = (due * gain).clamp(-1.0, 1.0);
        }
    }

    /// The lowest of the last [`AHEAD`] gains, this one included.
    fn hold(&mut self, gain: f32) -> f32 {
        while self.count > 0 && self.lowest[(self.first + self.count - 1) % AHEAD].1 >= gain {
            self.count -= 1;
        }
        if self.count > 0 && self.lowest[self.first].0 + AHEAD as u64 <= self.now {
            self.first = (self.first + 1) % AHEAD;
            self.count -= 1;
        }
        self.lowest[(self.first + self.count) % AHEAD] = (self.now, gain);
        self.count += 1;
        self.lowest[self.first].1
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;
    use crate::signal;

    fn limit(sound: &[f32]) -> Vec<f32> {
        let mut limiter = Limiter::new();
        let mut out = [0.0; FRAME];
        let mut heard = Vec::new();
        for frame in sound.chunks_exact(FRAME) {
            limiter.process(frame.try_into().unwrap(), &mut out);
            heard.extend_from_slice(&out);
        }
        heard
    }

    #[test]
    fn nothing_exceeds_the_ceiling_whatever_comes() {
        let mut rng = SmallRng::seed_from_u64(4);
        let mut wild = Vec::new();
        for _ in 0..500 {
            let level = 10f32.powf(rng.random_range(-3.0..2.0));
            wild.extend((0..FRAME).map(|_| level * rng.random_range(-1.0..1.0f32)));
        }
        for &sample in &limit(&wild) {
            assert!(sample.abs() <= CEILING * 1.000_1, "{sample}");
        }
    }

    #[test]
    fn what_is_below_the_ceiling_is_left_alone() {
        let sound = signal::tone(300.0, 0.9, 48_000);
        let heard = limit(&sound);
        for (a, b) in sound.iter().zip(&heard[Limiter::DELAY..]) {
            assert!((a - b).abs() < 1e-6);
        }
    }

    #[test]
    fn turning_down_is_no_distortion() {
        // 6 dB too loud: what comes out is the same tone, softer.
        let sound = signal::tone(300.0, 2.0, 96_000);
        let heard = limit(&sound);
        let (sound, heard) = (&sound[48_000..95_000], &heard[48_000 + Limiter::DELAY..]);
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
        let gain = dot(sound, heard) / dot(sound, sound);
        let scaled: Vec<f32> = sound.iter().map(|x| x * gain).collect();
        let snr = signal::snr_db(&scaled, heard);
        assert!(snr > 30.0, "{snr} dB");
        assert!((gain * 2.0 - CEILING).abs() < 0.05, "{gain}");
    }

    #[test]
    fn one_peak_turns_down_what_is_around_it_and_no_more() {
        let mut sound = signal::tone(440.0, 0.5, 48_000);
        sound[20_000] = 3.0;
        let heard = limit(&sound);
        let delay = Limiter::DELAY;
        assert!((heard[20_000 + delay] - CEILING).abs() < 0.01);
        assert!((heard[19_800 + delay] - sound[19_800]).abs() < 1e-6);
        assert!((heard[45_000 + delay] - sound[45_000]).abs() < 1e-3);
    }
}
