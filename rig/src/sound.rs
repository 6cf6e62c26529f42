//! Sound to measure with, and measures of it. Everything is mono, 48,000 samples a second, unless it
//! says otherwise.

mod compare;
mod speech;
mod wav;

pub use compare::{Match, Stretch, find, gain_db, stretches};
pub use speech::{SpeechSource, human_speech, speech, synthetic_speech};
pub use wav::write_wav;

/// Samples a second.
pub const RATE: u32 = 48_000;

/// How many samples this many seconds are.
pub fn samples(seconds: f64) -> usize {
    (seconds * f64::from(RATE)) as usize
}

/// Level in dB below a full square wave; −120 for silence.
pub fn dbfs(sound: &[f32]) -> f32 {
    let power =
        sound.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / sound.len().max(1) as f64;
    (10.0 * power.max(1e-12).log10()) as f32
}

/// The loudest 20 ms, in dB as of [`dbfs`].
pub fn loudest_dbfs(sound: &[f32]) -> f32 {
    sound.chunks(samples(0.02)).map(dbfs).fold(-120.0, f32::max)
}

/// A sine of so many Hz, with 10 ms to rise and to fall.
pub fn tone(hz: f32, amplitude: f32, seconds: f64) -> Vec<f32> {
    let length = samples(seconds);
    let edge = samples(0.01).min(length / 2).max(1);
    (0..length)
        .map(|n| {
            let phase = f64::from(hz) * n as f64 / f64::from(RATE);
            let sine = (std::f64::consts::TAU * phase.fract()).sin() as f32;
            let fade = (n.min(length - 1 - n) as f32 / edge as f32).min(1.0);
            amplitude * fade * sine
        })
        .collect()
}

/// How loud the part of `sound` at so many Hz is: the amplitude of that sine.
pub fn amplitude_at(hz: f32, sound: &[f32]) -> f32 {
    let step = std::f64::consts::TAU * f64::from(hz) / f64::from(RATE);
    let (mut re, mut im) = (0.0, 0.0);
    for (n, x) in sound.iter().enumerate() {
        // A Hann window, so that other tones don't leak into this one.
        let window = 1.0 - (std::f64::consts::TAU * n as f64 / sound.len() as f64).cos();
        let (sin, cos) = (step * n as f64).sin_cos();
        re += f64::from(*x) * window * cos;
        im += f64::from(*x) * window * sin;
    }
    (2.0 * re.hypot(im) / sound.len().max(1) as f64) as f32
}

/// A sweep up from 300 to 4,000 Hz: correlates with nothing but itself.
pub fn chirp(amplitude: f32, seconds: f64) -> Vec<f32> {
    let length = samples(seconds);
    let (from, to) = (300.0, 4_000.0);
    (0..length)
        .map(|n| {
            let t = n as f64 / f64::from(RATE);
            let phase = from * t + (to - from) * t * t / (2.0 * seconds);
            let window = 0.5 - 0.5 * (std::f64::consts::TAU * n as f64 / length as f64).cos();
            amplitude * (window * (std::f64::consts::TAU * phase.fract()).sin()) as f32
        })
        .collect()
}

/// The same sound with 16,000 samples a second.
pub fn to_16_khz(sound: &[f32]) -> Vec<f32> {
    // A windowed sinc that ends at 7.6 kHz.
    const TAPS: i32 = 96;
    let cut = 7_600.0 / f64::from(RATE);
    let filter: Vec<f64> = (-TAPS..=TAPS)
        .map(|n| {
            let x = f64::from(n);
            let sinc = if n == 0 {
                2.0 * cut
            } else {
                (std::f64::consts::TAU * cut * x).sin() / (std::f64::consts::PI * x)
            };
            let window = 0.5 + 0.5 * (std::f64::consts::PI * x / f64::from(TAPS)).cos();
            sinc * window
        })
        .collect();
    let taps = TAPS as usize;
    (0..sound.len())
        .step_by(3)
        .map(|at| {
            let first = at.saturating_sub(taps);
            let last = (at + taps).min(sound.len() - 1);
            let sum: f64 = (first..=last)
                .map(|n| f64::from(sound[n]) * filter[n + taps - at])
                .sum();
            sum as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_those_of_the_textbook() {
        let sine = tone(1_000.0, 0.5, 1.0);
        assert!((dbfs(&sine) + 9.03).abs() < 0.1, "{}", dbfs(&sine));
        assert_eq!(dbfs(&[0.0; 480]), -120.0);
        assert!((amplitude_at(1_000.0, &sine) - 0.5).abs() < 0.01);
        assert!(amplitude_at(1_300.0, &sine) < 0.001);
    }

    #[test]
    fn sixteen_kilohertz_keep_what_is_below_eight_and_nothing_else() {
        let low = to_16_khz(&tone(3_000.0, 0.5, 0.5));
        assert_eq!(low.len(), samples(0.5) / 3);
        assert!((dbfs(&low[800..7_200]) + 9.03).abs() < 0.1);
        let high = to_16_khz(&tone(9_500.0, 0.5, 0.5));
        assert!(dbfs(&high[800..7_200]) < -60.0);
    }
}
