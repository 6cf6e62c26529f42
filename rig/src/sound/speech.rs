//! Speech, human where there is some.

use std::{f32::consts::TAU, fs, path::Path};

use rand::{Rng, RngExt, SeedableRng, rngs::SmallRng};

use super::{RATE, dbfs};

/// Where the Debian package `alsa-utils` puts words that a person has spoken.
const SPOKEN: &str = "/usr/share/sounds/alsa";

/// How loud speech is while somebody speaks, in dB below full scale.
const LOUDNESS: f32 = -23.0;

/// Who has spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeechSource {
    /// A person.
    Human,
    /// [`synthetic_speech`], because this machine has no recording.
    Synthetic,
}

/// So many samples of speech, human if this machine has any. Different numbers give other words first.
pub fn speech(number: usize, samples: usize) -> (Vec<f32>, SpeechSource) {
    match human_speech(number) {
        Some(words) => (
            words.iter().copied().cycle().take(samples).collect(),
            SpeechSource::Human,
        ),
        None => (
            synthetic_speech(number as u64, samples),
            SpeechSource::Synthetic,
        ),
    }
}

/// About 12 s of words spoken by a person, short pauses between them, if this machine has the recordings.
pub fn human_speech(number: usize) -> Option<Vec<f32>> {
    let mut files: Vec<_> = fs::read_dir(Path::new(SPOKEN))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "wav"))
        .filter(|path| !path.ends_with("Noise.wav"))
        .collect();
    files.sort();
    if files.is_empty() {
        return None;
    }
    let first = number % files.len();
    files.rotate_left(first);
    let mut words = Vec::new();
    for file in files {
        words.extend(read(&file)?);
        words.extend([0.0; RATE as usize / 10]);
    }
    let spoken: Vec<f32> = words
        .chunks(RATE as usize / 50)
        .filter(|chunk| dbfs(chunk) > -45.0)
        .flatten()
        .copied()
        .collect();
    let gain = 10.0f32.powf((LOUDNESS - dbfs(&spoken)) / 20.0);
    Some(
        words
            .iter()
            .map(|x| (x * gain).clamp(-0.95, 0.95))
            .collect(),
    )
}

fn read(file: &Path) -> Option<Vec<f32>> {
    let mut wav = hound::WavReader::open(file).ok()?;
    let spec = wav.spec();
    if spec.sample_rate != RATE || spec.channels != 1 {
        return None;
    }
    match spec.sample_format {
        hound::SampleFormat::Float => wav.samples::<f32>().collect::<Result<_, _>>().ok(),
        hound::SampleFormat::Int => {
            let full = (1i64 << (spec.bits_per_sample - 1)) as f32;
            wav.samples::<i32>()
                .map(|x| x.map(|x| x as f32 / full))
                .collect::<Result<_, _>>()
                .ok()
        }
    }
}

/// Seeded sound with the traits of speech that codecs and stretchers live on: a gliding pitch,
/// formants that change from syllable to syllable, hisses, pauses, a noise floor.
pub fn synthetic_speech(seed: u64, samples: usize) -> Vec<f32> {
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
                phase += (from + (to - from) * t) / RATE as f32;
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
        let r = (-std::f32::consts::PI * width / RATE as f32).exp();
        Self {
            a: 2.0 * r * (TAU * hz / RATE as f32).cos(),
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
