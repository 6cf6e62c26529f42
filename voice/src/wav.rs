//! WAV files in place of a microphone and a loudspeaker.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use thiserror::Error;

use crate::{FRAME, SAMPLE_RATE, device::ToFrames};

/// Longer files are refused: they are held in memory.
const MOST_SECONDS: u32 = 60 * 60;

/// Why a file can't be used.
#[derive(Debug, Error)]
pub enum WavError {
    /// It can't be read as sound.
    #[error("can't read {path}: {reason}; give a WAV file of whole or 32-bit float samples")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: hound::Error,
    },
    /// It is no sound that can be converted.
    #[error("{path} has a rate of {rate} samples a second; convert it to 48000")]
    Rate {
        /// Which file.
        path: PathBuf,
        /// Its rate.
        rate: u32,
    },
    /// It is too long to be held in memory.
    #[error("{path} is longer than an hour; cut it")]
    TooLong {
        /// Which file.
        path: PathBuf,
    },
    /// It can't be written.
    #[error("can't write {path}: {reason}; choose another place for it")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        reason: hound::Error,
    },
}

/// A file's sound as 48 kHz mono, frame by frame.
#[derive(Clone, Debug)]
pub struct WavSource {
    sound: Vec<f32>,
    at: usize,
    repeats: bool,
}

impl WavSource {
    /// Reads a whole file, of any rate and number of channels.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, WavError> {
        let path = path.as_ref();
        let read = |reason| WavError::Read {
            path: path.to_owned(),
            reason,
        };
        let mut reader = WavReader::open(path).map_err(read)?;
        let rate = reader.spec().sample_rate;
        if reader.duration() / rate.max(1) > MOST_SECONDS {
            let path = path.to_owned();
            return Err(WavError::TooLong { path });
        }
        let mono = mono(&mut reader).map_err(read)?;
        let sound = match rate {
            SAMPLE_RATE => mono,
            rate => resampled(&mono, rate).ok_or_else(|| WavError::Rate {
                path: path.to_owned(),
                rate,
            })?,
        };
        Ok(Self::from_samples(sound))
    }

    /// Sound at hand, 48 kHz mono.
    pub fn from_samples(sound: Vec<f32>) -> Self {
        Self {
            sound,
            at: 0,
            repeats: false,
        }
    }

    /// Starts again at the end, for ever.
    pub fn repeating(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// The next 10 ms, the last ones filled up with silence; false at the end.
    pub fn read(&mut self, frame: &mut [f32; FRAME]) -> bool {
        if self.repeats && self.at >= self.sound.len() {
            self.at = 0;
        }
        let rest = self.sound.get(self.at..).unwrap_or_default();
        let taken = &rest[..rest.len().min(FRAME)];
        frame.fill(0.0);
        frame[..taken.len()].copy_from_slice(taken);
        self.at += taken.len();
        !taken.is_empty()
    }

    /// Whether everything has been read.
    pub fn is_at_end(&self) -> bool {
        self.at >= self.sound.len() && (!self.repeats || self.sound.is_empty())
    }
}

fn mono(reader: &mut WavReader<BufReader<File>>) -> Result<Vec<f32>, hound::Error> {
    let spec = reader.spec();
    let samples: Vec<f32> = match spec.sample_format {
        SampleFormat::Float => reader.samples::<f32>().collect::<Result<_, _>>()?,
        SampleFormat::Int => {
            // At most 32 bits, says the reader.
            let scale = 0.5f32.powi(i32::from(spec.bits_per_sample) - 1);
            let samples = reader.samples::<i32>();
            samples
                .map(|sample| sample.map(|x| x as f32 * scale))
                .collect::<Result<_, _>>()?
        }
    };
    let channels = usize::from(spec.channels.max(1));
    let mono = samples
        .chunks_exact(channels)
        .map(|at_once| at_once.iter().sum::<f32>() / channels as f32)
        .map(|sample| if sample.is_finite() { sample } else { 0.0 });
    Ok(mono.collect())
}

fn resampled(sound: &[f32], rate: u32) -> Option<Vec<f32>> {
    let mut resampler = ToFrames::new(rate)?;
    let delay = resampler.delay();
    let length = sound.len() as u64 * u64::from(SAMPLE_RATE) / u64::from(rate);
    let length = usize::try_from(length).ok()?;
    let mut out = Vec::with_capacity(length + delay + FRAME);
    let mut rest = sound.iter();
    let mut frame = [0.0; FRAME];
    while out.len() < length + delay {
        for place in resampler.input() {
            *place = rest.next().copied().unwrap_or_default();
        }
        resampler.process(&mut frame);
        out.extend_from_slice(&frame);
    }
    out.drain(..delay);
    out.truncate(length);
    Some(out)
}

/// Writes frames to a file, as 16-bit 48 kHz mono. What is dropped is complete; of a program that is
/// killed, all but the last second is.
pub struct WavSink {
    writer: Option<WavWriter<BufWriter<File>>>,
    frames: u64,
}

impl WavSink {
    /// Starts a file, in place of what was there.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, WavError> {
        let spec = WavSpec {
            channels: 1,
            sample_rate: SAMPLE_RATE,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let path = path.as_ref();
        let writer = WavWriter::create(path, spec).map_err(|reason| WavError::Write {
            path: path.to_owned(),
            reason,
        })?;
        Ok(Self {
            writer: Some(writer),
            frames: 0,
        })
    }

    /// Writes 10 ms. After a failure, such as a full disk, nothing more is written, and
    /// [`is_writing`](Self::is_writing) says so.
    pub fn write(&mut self, frame: &[f32; FRAME]) {
        let Some(writer) = &mut self.writer else {
            return;
        };
        self.frames += 1;
        let written = frame
            .iter()
            .try_for_each(|&sample| writer.write_sample((sample * 32_767.0).round() as i16))
            .and_then(|()| match self.frames % 100 {
                0 => writer.flush(),
                _ => Ok(()),
            });
        if written.is_err() {
            self.writer = None;
        }
    }

    /// Whether what is written arrives.
    pub fn is_writing(&self) -> bool {
        self.writer.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal;

    /// A path of its own, removed with the value.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let file = format!("neartalk-{}-{name}.wav", std::process::id());
            Self(std::env::temp_dir().join(file))
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    fn read_all(source: &mut WavSource) -> Vec<f32> {
        let mut heard = Vec::new();
        let mut frame = [0.0; FRAME];
        while source.read(&mut frame) {
            heard.extend_from_slice(&frame);
        }
        heard
    }

    #[test]
    fn what_is_written_is_read_back() {
        let file = Scratch::new("back");
        let sound = signal::speech(1, 48_000);
        let mut sink = WavSink::create(&file.0).unwrap();
        for frame in sound.chunks_exact(FRAME) {
            sink.write(frame.try_into().unwrap());
        }
        // Flushed every second: it is there already.
        let mut source = WavSource::open(&file.0).unwrap();
        drop(sink);
        let heard = read_all(&mut source);
        assert_eq!(heard.len(), sound.len());
        for (a, b) in sound.iter().zip(&heard) {
            assert!((a.clamp(-1.0, 1.0) - b).abs() < 1e-4, "{a} became {b}");
        }
        assert!(source.is_at_end());
        let mut source = source.repeating();
        let mut frame = [0.0; FRAME];
        assert!(!source.is_at_end() && source.read(&mut frame));
        assert_eq!(frame, heard[..FRAME]);
    }

    #[test]
    fn stereo_of_another_rate_is_heard_at_the_right_pitch_and_in_time() {
        let file = Scratch::new("other");
        let spec = WavSpec {
            channels: 2,
            sample_rate: 44_100,
            bits_per_sample: 32,
            sample_format: SampleFormat::Float,
        };
        let mut writer = WavWriter::create(&file.0, spec).unwrap();
        for n in 0..44_100 {
            let turn = (440.0 * n as f32 / 44_100.0).fract() * std::f32::consts::TAU;
            writer.write_sample(0.8 * turn.sin()).unwrap();
            writer.write_sample(0.0f32).unwrap();
        }
        writer.finalize().unwrap();
        let heard = read_all(&mut WavSource::open(&file.0).unwrap());
        assert_eq!(heard.len(), 48_000);
        let tone = signal::tone(440.0, 0.4, 48_000);
        let snr = signal::snr_db(&tone[4_800..43_200], &heard[4_800..43_200]);
        assert!(snr > 40.0, "{snr} dB");
    }

    #[test]
    fn what_is_no_sound_is_refused_with_a_reason() {
        let file = Scratch::new("none");
        let missing = WavSource::open(&file.0).unwrap_err();
        assert!(matches!(missing, WavError::Read { .. }));
        std::fs::write(&file.0, b"RIFF, or so they say").unwrap();
        assert!(
            WavSource::open(&file.0)
                .unwrap_err()
                .to_string()
                .contains("none.wav")
        );
        let nowhere = file.0.join("below-a-file.wav");
        assert!(matches!(
            WavSink::create(nowhere),
            Err(WavError::Write { .. })
        ));
        let mut empty = WavSource::from_samples(Vec::new()).repeating();
        assert!(empty.is_at_end() && !empty.read(&mut [0.0; FRAME]));
    }
}
