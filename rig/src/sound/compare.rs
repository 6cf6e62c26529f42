//! Whether and when one sound is in another.

use realfft::{RealFftPlanner, num_complex::Complex};

use super::{RATE, dbfs, samples};

/// One sound found in another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// By how many samples it comes later there; with a fraction.
    pub delay: f64,
    /// How far the peak stands out: its height above the other values of the correlation, in their
    /// standard deviations. What isn't there gives about 5; what is there, 15 and more.
    pub prominence: f64,
}

impl Match {
    /// The delay in milliseconds.
    pub fn delay_ms(&self) -> f64 {
        self.delay * 1_000.0 / f64::from(RATE)
    }

    /// Whether this can't be chance.
    pub fn is_certain(&self) -> bool {
        self.prominence >= 12.0
    }
}

/// Looks for `said` in `heard`, both recorded at once, up to `longest` samples later. Only the phases
/// from 200 to 6,000 Hz count (which a codec leaves alone), so neither loudness nor the colour of a voice
/// matters, and other voices don't much.
pub fn find(said: &[f32], heard: &[f32], longest: usize) -> Match {
    let length = heard.len().max(said.len() + longest).next_power_of_two();
    let mut planner = RealFftPlanner::<f64>::new();
    let (forth, back) = (
        planner.plan_fft_forward(length),
        planner.plan_fft_inverse(length),
    );
    let spectrum = |sound: &[f32]| {
        let mut padded = vec![0.0; length];
        for (place, x) in padded.iter_mut().zip(sound) {
            *place = f64::from(*x);
        }
        let mut spectrum = forth.make_output_vec();
        forth
            .process(&mut padded, &mut spectrum)
            .expect("both have the plan's length");
        spectrum
    };
    let bin = |hz: f64| (hz * length as f64 / f64::from(RATE)) as usize;
    let band = bin(200.0)..bin(6_000.0);
    let mut cross: Vec<Complex<f64>> = spectrum(said)
        .iter()
        .zip(spectrum(heard))
        .enumerate()
        .map(|(n, (said, heard))| {
            let cross = said.conj() * heard;
            if band.contains(&n) {
                // Halfway to the phase alone: quiet parts hold more noise than sound.
                cross / (cross.norm().powf(0.75) + 1e-12)
            } else {
                Complex::default()
            }
        })
        .collect();
    let mut correlation = vec![0.0; length];
    back.process(&mut cross, &mut correlation)
        .expect("both have the plan's length");
    let range = &correlation[..longest.max(1)];
    // Either sign: a filter may turn the sound over.
    let (at, peak) = range
        .iter()
        .map(|x| x.abs())
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or_default();
    let near = samples(0.01);
    let others: Vec<f64> = range
        .iter()
        .enumerate()
        .filter(|(n, _)| n.abs_diff(at) > near)
        .map(|(_, x)| *x)
        .collect();
    let spread = (others.iter().map(|x| x * x).sum::<f64>() / others.len().max(1) as f64).sqrt();
    Match {
        delay: at as f64 + vertex(range, at),
        prominence: if spread > 0.0 { peak / spread } else { 0.0 },
    }
}

/// Where the top of the parabola through a peak and its neighbours lies.
fn vertex(values: &[f64], at: usize) -> f64 {
    if at == 0 || at + 1 >= values.len() {
        return 0.0;
    }
    let [before, peak, after] = [at - 1, at, at + 1].map(|n| values[n].abs());
    let bend = before - 2.0 * peak + after;
    if bend < 0.0 {
        (0.5 * (before - after) / bend).clamp(-0.5, 0.5)
    } else {
        0.0
    }
}

/// By how many dB `said` is louder or softer in `heard`, where it is found `delay` samples later. Other
/// sounds in `heard` don't count.
pub fn gain_db(said: &[f32], heard: &[f32], delay: f64) -> f32 {
    let delay = delay.round() as usize;
    let (mut both, mut own) = (0.0, 0.0);
    for (said, heard) in said.iter().zip(heard.iter().skip(delay)) {
        both += f64::from(*said) * f64::from(*heard);
        own += f64::from(*said).powi(2);
    }
    (20.0 * (both.abs() / f64::max(own, 1e-12)).max(1e-6).log10()) as f32
}

/// One stretch of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Sample at which it begins.
    pub at: usize,
    /// What was found in it.
    pub found: Match,
}

/// Looks for each stretch of `said` (of so many samples) in `heard`, where something was said and it was
/// certainly heard within `longest` samples.
pub fn stretches(said: &[f32], heard: &[f32], length: usize, longest: usize) -> Vec<Stretch> {
    let starts = (0..).map(|n| n * length);
    starts
        .take_while(|at| at + length + longest <= said.len().min(heard.len()))
        .filter(|&at| dbfs(&said[at..at + length]) > -50.0)
        .map(|at| Stretch {
            at,
            found: find(
                &said[at..at + length],
                &heard[at..at + length + longest],
                longest,
            ),
        })
        .filter(|stretch| stretch.found.is_certain())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::synthetic_speech;
    use super::*;

    fn later(sound: &[f32], samples: usize, gain: f32) -> Vec<f32> {
        let mut out = vec![0.0; samples];
        out.extend(sound.iter().map(|x| x * gain));
        out.truncate(sound.len());
        out
    }

    #[test]
    fn delay_and_loudness_are_found_in_a_crowd() {
        let said = synthetic_speech(1, samples(2.0));
        let other = synthetic_speech(2, samples(2.0));
        let mut heard = later(&said, 3_000, 0.25);
        for (heard, other) in heard.iter_mut().zip(&other) {
            *heard += other * 0.25;
        }
        let found = find(&said, &heard, samples(0.5));
        assert!(found.is_certain(), "{found:?}");
        assert!((found.delay - 3_000.0).abs() < 0.6, "{found:?}");
        let gain = gain_db(&said, &heard, found.delay);
        assert!((gain + 12.04).abs() < 1.0, "{gain}");
    }

    #[test]
    fn a_fraction_of_a_sample_is_told() {
        let said = synthetic_speech(4, samples(1.0));
        // The mean of two neighbours is half a sample later than the one, half a sample sooner than the other.
        let mut heard = later(&said, 100, 1.0);
        for n in (1..heard.len()).rev() {
            heard[n] = 0.5 * (heard[n] + heard[n - 1]);
        }
        let found = find(&said, &heard, samples(0.2));
        assert!((found.delay - 100.5).abs() < 0.2, "{found:?}");
    }

    #[test]
    fn what_was_not_said_is_not_found() {
        for seed in 0..8 {
            let said = synthetic_speech(seed, samples(2.0));
            let heard = synthetic_speech(seed + 100, samples(2.0));
            let found = find(&said, &heard, samples(0.5));
            assert!(!found.is_certain(), "{seed}: {found:?}");
        }
        assert!(!find(&synthetic_speech(1, 48_000), &[0.0; 48_000], 9_600).is_certain());
    }

    #[test]
    fn each_stretch_has_its_own_delay() {
        let said = synthetic_speech(3, samples(4.0));
        let mut heard = later(&said, 1_000, 1.0);
        let half = samples(2.0);
        heard.splice(half.., later(&said, 2_000, 1.0)[half..].to_vec());
        let found = stretches(&said, &heard, samples(0.5), samples(0.2));
        assert!(found.len() >= 4, "{found:?}");
        for stretch in found {
            let expected = if stretch.at < half - samples(0.5) {
                1_000.0
            } else if stretch.at >= half {
                2_000.0
            } else {
                continue;
            };
            assert!((stretch.found.delay - expected).abs() < 1.0, "{stretch:?}");
        }
    }
}
