//! Sound in files.

use std::path::Path;

use anyhow::{Context, Result};

use super::RATE;

/// Writes a WAV file of 16-bit samples.
///
/// # Errors
/// When it can't be written.
pub fn write_wav(path: &Path, sound: &[f32]) -> Result<()> {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: RATE,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let write = || {
        let mut writer = hound::WavWriter::create(path, spec)?;
        for sample in sound {
            writer.write_sample((sample.clamp(-1.0, 1.0) * 32_767.0).round() as i16)?;
        }
        writer.finalize()
    };
    write().with_context(|| format!("can't write {}", path.display()))
}
