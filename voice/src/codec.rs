//! Opus, as far as a conversation needs it: 48 kHz, mono, packets of 10 or 20 ms, and every means
//! that libopus has against loss.
//!
//! All of it goes straight to `opusic-sys`: the `opus` crate keeps its pointers to itself, so
//! neither the decoder's complexity (deep concealment) nor DRED can be reached through it.

mod sys;

use thiserror::Error;

use crate::{FRAME, SAMPLE_RATE};

/// Most bytes that an Opus packet of one frame can have (RFC 6716); ours never have more frames.
pub const MAX_PACKET: usize = 1_275;

/// Most samples that an Opus packet can hold: 120 ms.
pub const MAX_PACKET_SAMPLES: usize = 120 * SAMPLE_RATE as usize / 1_000;

/// Deep redundancy reaches back at most this many 10 ms frames: about a second.
pub const MAX_DRED_FRAMES: u8 = 104;

/// From here on the decoder conceals with a neural network instead of repeating what was.
const DEEP_CONCEALMENT: i32 = 5;

/// Why the codec refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CodecError {
    /// The sound or the buffer has a length that Opus does not know.
    #[error("Opus can't {doing} that many samples; give it whole frames of 10 or 20 ms")]
    Length {
        /// What was being done.
        doing: &'static str,
    },
    /// These bytes are not an Opus packet.
    #[error("this packet is damaged and can't be decoded; conceal it")]
    Damaged,
    /// Memory ran out.
    #[error("there is not enough memory for another voice stream; close something")]
    OutOfMemory,
    /// Anything else, with libopus' own code.
    #[error("Opus failed to {doing} (code {code}); start the stream again")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// As in `opus_defines.h`.
        code: i32,
    },
}

fn error(doing: &'static str) -> impl Fn(sys::Code) -> CodecError {
    move |code| match code {
        opusic_sys::OPUS_BAD_ARG | opusic_sys::OPUS_BUFFER_TOO_SMALL => {
            CodecError::Length { doing }
        }
        opusic_sys::OPUS_INVALID_PACKET => CodecError::Damaged,
        opusic_sys::OPUS_ALLOC_FAIL => CodecError::OutOfMemory,
        code => CodecError::Failed { doing, code },
    }
}

/// How long the sound in one packet is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PacketLength {
    /// 10 ms: least delay, more overhead.
    Ms10,
    /// 20 ms.
    #[default]
    Ms20,
}

impl PacketLength {
    /// In samples.
    pub const fn samples(self) -> usize {
        match self {
            Self::Ms10 => FRAME,
            Self::Ms20 => 2 * FRAME,
        }
    }
}

/// How an [`Encoder`] encodes; takes effect with the next packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderSettings {
    /// Bits a second, within 6,000 to 128,000.
    pub bitrate: u32,
    /// Effort, 0 to 10.
    pub complexity: u8,
    /// Whether packets carry a low-bit-rate copy of the one before (LBRR).
    pub inband_fec: bool,
    /// Loss in percent that the copies are sized for; 0 means none are made.
    pub expected_loss: u8,
    /// Whether silence is left out. Such packets are at most 2 bytes: send the first of a row, and
    /// none of the others.
    pub dtx: bool,
    /// 10 ms frames of deep redundancy in every packet, at most [`MAX_DRED_FRAMES`]; 0 is none.
    pub dred_frames: u8,
}

impl Default for EncoderSettings {
    fn default() -> Self {
        Self {
            bitrate: 32_000,
            complexity: 9,
            inband_fec: true,
            expected_loss: 5,
            dtx: true,
            dred_frames: 0,
        }
    }
}

/// An Opus encoder for one microphone.
#[derive(Debug)]
pub struct Encoder {
    raw: sys::RawEncoder,
    settings: EncoderSettings,
}

impl Encoder {
    /// A fresh encoder.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new(settings: EncoderSettings) -> Result<Self, CodecError> {
        let mut raw = sys::RawEncoder::new().map_err(error("start encoding"))?;
        raw.set(sys::EncoderSetting::Signal, sys::SIGNAL_VOICE)
            .map_err(error("start encoding"))?;
        let mut encoder = Self { raw, settings };
        encoder.apply(settings)?;
        Ok(encoder)
    }

    /// The settings in force, out-of-range values brought into range.
    pub const fn settings(&self) -> EncoderSettings {
        self.settings
    }

    /// Encodes from now on with other settings.
    ///
    /// # Errors
    /// When libopus refuses; the settings before stay in force where it did.
    pub fn apply(&mut self, settings: EncoderSettings) -> Result<(), CodecError> {
        use sys::EncoderSetting as S;
        let settings = EncoderSettings {
            bitrate: settings.bitrate.clamp(6_000, 128_000),
            complexity: settings.complexity.min(10),
            expected_loss: settings.expected_loss.min(100),
            dred_frames: settings.dred_frames.min(MAX_DRED_FRAMES),
            ..settings
        };
        for (setting, value) in [
            (S::Bitrate, settings.bitrate as i32),
            (S::Complexity, i32::from(settings.complexity)),
            (S::InbandFec, i32::from(settings.inband_fec)),
            (S::PacketLossPercent, i32::from(settings.expected_loss)),
            (S::Dtx, i32::from(settings.dtx)),
            (S::DredFrames, i32::from(settings.dred_frames)),
        ] {
            self.raw
                .set(setting, value)
                .map_err(error("change its settings to"))?;
        }
        self.settings = settings;
        Ok(())
    }

    /// Encodes one packet's sound (480 or 960 samples) into `out`; the packet's bytes.
    ///
    /// # Errors
    /// [`CodecError::Length`] for any other number of samples or a buffer without room.
    pub fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Result<usize, CodecError> {
        if pcm.len() != FRAME && pcm.len() != 2 * FRAME {
            return Err(CodecError::Length { doing: "encode" });
        }
        self.raw.encode(pcm, out).map_err(error("encode"))
    }
}

/// An Opus decoder for one incoming stream, with deep concealment.
#[derive(Debug)]
pub struct Decoder {
    raw: sys::RawDecoder,
    // Some 100 kB that only a stream with loss and DRED needs, so it waits for the first.
    dred: Option<Dred>,
}

/// Deep redundancy as last parsed. Parsing is the dear part, and a burst asks the same packet for
/// one frame after the other.
#[derive(Debug)]
struct Dred {
    raw: sys::RawDred,
    packet: Vec<u8>,
    /// How far back it reaches, in samples.
    reach: usize,
    /// How far back it was asked to reach.
    asked: usize,
}

impl Dred {
    fn new() -> Result<Self, CodecError> {
        Ok(Self {
            raw: sys::RawDred::new().map_err(error("decode"))?,
            packet: Vec::new(),
            reach: 0,
            asked: 0,
        })
    }

    fn reach(&mut self, packet: &[u8], before: usize) -> Result<usize, CodecError> {
        if self.packet != packet || self.asked < before {
            self.packet.clear();
            self.packet.extend_from_slice(packet);
            self.asked = before;
            self.reach = 0;
            // It comes in pieces of 40 ms, and what is asked for is rounded down to them.
            let samples = before.min(SAMPLE_RATE as usize) + 4 * FRAME;
            self.reach = self
                .raw
                .parse(packet, samples as i32)
                .map_err(error("decode"))?;
        }
        Ok(self.reach)
    }
}

impl Decoder {
    /// A fresh decoder.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn new() -> Result<Self, CodecError> {
        let mut raw = sys::RawDecoder::new().map_err(error("start decoding"))?;
        raw.set_complexity(DEEP_CONCEALMENT)
            .map_err(error("start decoding"))?;
        Ok(Self { raw, dred: None })
    }

    /// Forgets everything heard so far: for a stream that starts anew.
    pub fn reset(&mut self) {
        // Resetting a live state has no way to fail.
        let _ = self.raw.reset();
    }

    /// Decodes `packet` into `out`, which should have room for [`MAX_PACKET_SAMPLES`]; the number of
    /// samples.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] when these bytes are no Opus packet, [`CodecError::Length`] when
    /// `out` is too small.
    pub fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        if packet.is_empty() {
            return Err(CodecError::Damaged);
        }
        self.raw.decode(packet, out, false).map_err(error("decode"))
    }

    /// Fills `out` with what a lost packet may have sounded like.
    ///
    /// # Errors
    /// [`CodecError::Length`] unless `out` is a whole number of 2.5 ms.
    pub fn conceal(&mut self, out: &mut [f32]) -> Result<usize, CodecError> {
        self.raw.decode(&[], out, false).map_err(error("conceal"))
    }

    /// Fills `out` with the sound just before `packet`, from the low-bit-rate copy in it
    /// ([`has_fec`]); conceals where there is none.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] when `packet` is no Opus packet, [`CodecError::Length`] unless `out`
    /// is a whole number of 2.5 ms.
    pub fn decode_fec(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        if packet.is_empty() {
            return Err(CodecError::Damaged);
        }
        self.raw.decode(packet, out, true).map_err(error("decode"))
    }

    /// Fills `out` with the sound that starts `before` samples ahead of `packet`'s, from the deep
    /// redundancy in it. `None`, and `out` and decoder untouched, when that does not reach so far.
    ///
    /// Costs some milliseconds: not for an audio callback.
    ///
    /// # Errors
    /// [`CodecError::Damaged`] when `packet` is no Opus packet, [`CodecError::Length`] unless `out`
    /// is a whole number of 2.5 ms.
    pub fn decode_dred(
        &mut self,
        packet: &[u8],
        before: usize,
        out: &mut [f32],
    ) -> Result<Option<usize>, CodecError> {
        let doing = "decode";
        let wanted = i32::try_from(before).map_err(|_| CodecError::Length { doing })?;
        let dred = match &mut self.dred {
            Some(dred) => dred,
            None => self.dred.insert(Dred::new()?),
        };
        if dred.reach(packet, before)? < before {
            return Ok(None);
        }
        self.raw
            .decode_dred(&dred.raw, wanted, out)
            .map(Some)
            .map_err(error("decode"))
    }
}

/// How many samples the sound in `packet` has, by its first bytes; `None` when they are not those of
/// an Opus packet (RFC 6716, section 3).
pub fn packet_samples(packet: &[u8]) -> Option<usize> {
    let toc = *packet.first()?;
    // In units of 2.5 ms.
    let frame: usize = match toc >> 3 {
        config @ 0..=11 => [4, 8, 16, 24][usize::from(config % 4)],
        config @ 12..=15 => [4, 8][usize::from(config % 2)],
        config => 1 << (config % 4),
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(*packet.get(1)? & 0x3f),
    };
    let samples = frame * frames * SAMPLE_RATE as usize / 400;
    (1..=MAX_PACKET_SAMPLES)
        .contains(&samples)
        .then_some(samples)
}

/// Whether `packet` says no more than "silence from here on": what an encoder with DTX makes.
pub const fn is_dtx(packet: &[u8]) -> bool {
    packet.len() <= 2
}

/// Whether `packet` carries a low-bit-rate copy of the sound before it.
pub fn has_fec(packet: &[u8]) -> bool {
    sys::has_fec(packet)
}

/// Whether `packet` may carry deep redundancy: that travels in its padding, and only parsing tells
/// for sure.
pub fn may_have_dred(packet: &[u8]) -> bool {
    matches!(packet, [toc, count, ..] if toc & 3 == 3 && count & 0x40 != 0)
}

#[cfg(test)]
mod tests;
