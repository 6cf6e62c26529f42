//! Sound to test with, and measures of it. Included by unit and integration tests, each of which
//! needs only a part.
#![allow(dead_code)]

use std::f32::consts::TAU;

const RATE: f32 = 48_000.0;

/// A sine.
pub fn tone(hz: f32, amplitude: f32, samples: usize) -> Vec<f32> {
    (0..samples)
        .map(|n| amplitude * (TAU * (hz * n as f32 / RATE).fract()).sin())
        .collect()
}

pub use neartalk_rig::sound::synthetic_speech as speech;

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
