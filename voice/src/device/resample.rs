//! Between a device's rate and 48 kHz, on the processing thread.

use rubato::{
    Fft, FixedSync, Resampler, WindowFunction, audioadapter_buffers::direct::InterleavedSlice,
};

use crate::{FRAME, SAMPLE_RATE};

/// Blocks to a frame: more means less delay and a softer edge to the filter. Two is 2 to 4 ms.
const SUB_CHUNKS: usize = 2;

fn fft(from: u32, to: u32, fixed: FixedSync) -> Option<Fft<f32>> {
    Fft::new_custom(
        from as usize,
        to as usize,
        FRAME,
        SUB_CHUNKS,
        1,
        WindowFunction::BlackmanHarris2,
        fixed,
    )
    .ok()
}

/// From any rate to frames of 48 kHz. Allocates only when made.
pub(crate) struct ToFrames {
    fft: Fft<f32>,
    input: Vec<f32>,
}

impl ToFrames {
    /// `None` for a rate that is none.
    pub fn new(rate: u32) -> Option<Self> {
        let fft = fft(rate, SAMPLE_RATE, FixedSync::Output)?;
        let input = vec![0.0; fft.input_frames_max()];
        Some(Self { fft, input })
    }

    /// Where to put the samples of which the next frame is made: all of it, in the device's rate.
    pub fn input(&mut self) -> &mut [f32] {
        let needed = self.fft.input_frames_next();
        &mut self.input[..needed]
    }

    /// Makes a frame of what was put into [`input`](Self::input).
    pub fn process(&mut self, frame: &mut [f32; FRAME]) {
        let needed = self.fft.input_frames_next();
        let input = InterleavedSlice::new(&self.input[..needed], 1, needed);
        let output = InterleavedSlice::new_mut(&mut frame[..], 1, FRAME);
        let (Ok(input), Ok(mut output)) = (input, output) else {
            return;
        };
        let done = self.fft.process_into_buffer(&input, &mut output, None);
        debug_assert!(done.is_ok(), "{done:?}");
    }

    /// How late the output is, in samples of 48 kHz.
    pub fn delay(&self) -> usize {
        self.fft.output_delay()
    }
}

/// From frames of 48 kHz to any rate. Allocates only when made.
pub(crate) struct FromFrames {
    fft: Fft<f32>,
    output: Vec<f32>,
}

impl FromFrames {
    /// `None` for a rate that is none.
    pub fn new(rate: u32) -> Option<Self> {
        let fft = fft(SAMPLE_RATE, rate, FixedSync::Input)?;
        let output = vec![0.0; fft.output_frames_max()];
        Some(Self { fft, output })
    }

    /// A frame in the device's rate; sometimes a few samples more or fewer, on average exact.
    pub fn process(&mut self, frame: &[f32; FRAME]) -> &[f32] {
        let frames = self.output.len();
        let input = InterleavedSlice::new(&frame[..], 1, FRAME);
        let output = InterleavedSlice::new_mut(&mut self.output, 1, frames);
        let made = match (input, output) {
            (Ok(input), Ok(mut output)) => {
                self.fft.process_into_buffer(&input, &mut output, None).ok()
            }
            _ => None,
        };
        debug_assert!(made.is_some());
        let (_, made) = made.unwrap_or_default();
        &self.output[..made]
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;
    use crate::signal;

    const RATES: [u32; 7] = [8_000, 11_025, 16_000, 22_050, 44_100, 96_000, 192_000];

    /// Signal-to-noise of a 1 kHz sine, whatever its phase and amplitude, and that amplitude.
    fn purity(sound: &[f32], rate: u32) -> (f32, f32) {
        let turn = |n: usize| TAU * ((1_000.0 * n as f64 / f64::from(rate)).fract() as f32);
        let (mut sine, mut cosine) = (0.0f64, 0.0f64);
        for (n, &x) in sound.iter().enumerate() {
            sine += f64::from(x * turn(n).sin());
            cosine += f64::from(x * turn(n).cos());
        }
        let scale = 2.0 / sound.len() as f64;
        let (sine, cosine) = ((sine * scale) as f32, (cosine * scale) as f32);
        let model: Vec<f32> = (0..sound.len())
            .map(|n| sine * turn(n).sin() + cosine * turn(n).cos())
            .collect();
        (signal::snr_db(&model, sound), sine.hypot(cosine))
    }

    #[test]
    fn a_tone_survives_any_rate_both_ways() {
        for rate in RATES {
            let mut to_device = FromFrames::new(rate).unwrap();
            let tone = signal::tone(1_000.0, 0.5, 200 * FRAME);
            let mut heard = Vec::new();
            for frame in tone.chunks_exact(FRAME) {
                heard.extend_from_slice(to_device.process(frame.try_into().unwrap()));
            }
            // Two seconds are two seconds.
            let expected = 2 * rate as usize;
            assert!(
                heard.len().abs_diff(expected) < rate as usize / 50,
                "{rate}"
            );
            let (snr, amplitude) = purity(&heard[rate as usize / 2..][..rate as usize], rate);
            assert!(
                snr > 60.0 && (amplitude - 0.5).abs() < 0.005,
                "to {rate}: {snr} dB"
            );

            let mut from_device = ToFrames::new(rate).unwrap();
            let mut rest = &heard[..];
            let mut back = Vec::new();
            let mut frame = [0.0; FRAME];
            while rest.len() >= from_device.input().len() {
                let input = from_device.input();
                let (head, tail) = rest.split_at(input.len());
                input.copy_from_slice(head);
                rest = tail;
                from_device.process(&mut frame);
                back.extend_from_slice(&frame);
            }
            let (snr, amplitude) = purity(&back[24_000..72_000], SAMPLE_RATE);
            assert!(
                snr > 55.0 && (amplitude - 0.5).abs() < 0.01,
                "from {rate}: {snr} dB"
            );
            assert!(
                from_device.delay() < FRAME,
                "{rate}: {}",
                from_device.delay()
            );
        }
    }

    #[test]
    fn no_rate_is_no_resampler() {
        assert!(ToFrames::new(0).is_none());
        assert!(FromFrames::new(0).is_none());
    }
}
