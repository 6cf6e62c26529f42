//! The workspace's only unsafe code: owned handles on libopus' states.
//!
//! Each handle owns what it points to, is reached only through `&mut self`, and is freed once, on
//! drop. Buffers cross as a pointer and the length of the same slice. Lengths that do not fit C's
//! `int` are refused before the call. `*_ctl` is variadic in C and would believe any argument, so
//! only requests that take one `int` by value can be named here.
#![allow(unsafe_code)]

use std::{ffi::c_int, ptr::NonNull};

use opusic_sys as ffi;

use crate::SAMPLE_RATE;

/// What libopus answers when something is wrong: always negative.
pub(super) type Code = c_int;

const CHANNELS: c_int = 1;

fn checked(code: c_int) -> Result<usize, Code> {
    usize::try_from(code).map_err(|_| code)
}

fn length(len: usize) -> Result<c_int, Code> {
    c_int::try_from(len).map_err(|_| ffi::OPUS_BAD_ARG)
}

/// A setting of an encoder that takes one `int`.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub(super) enum EncoderSetting {
    Bitrate = ffi::OPUS_SET_BITRATE_REQUEST,
    Complexity = ffi::OPUS_SET_COMPLEXITY_REQUEST,
    DredFrames = ffi::OPUS_SET_DRED_DURATION_REQUEST,
    Dtx = ffi::OPUS_SET_DTX_REQUEST,
    InbandFec = ffi::OPUS_SET_INBAND_FEC_REQUEST,
    PacketLossPercent = ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST,
    Signal = ffi::OPUS_SET_SIGNAL_REQUEST,
}

/// `OPUS_SIGNAL_VOICE`.
pub(super) const SIGNAL_VOICE: i32 = ffi::OPUS_SIGNAL_VOICE;

/// An owned `OpusEncoder`: 48 kHz, mono, for speech.
#[derive(Debug)]
pub(super) struct RawEncoder(NonNull<ffi::OpusEncoder>);

// SAFETY: libopus lets a state move between threads as long as one at a time uses it, and every
// use here takes `&mut self`.
unsafe impl Send for RawEncoder {}

impl RawEncoder {
    pub(super) fn new() -> Result<Self, Code> {
        let mut error = 0;
        // SAFETY: the three numbers are plain values; `error` outlives the call.
        let state = unsafe {
            ffi::opus_encoder_create(
                SAMPLE_RATE as i32,
                CHANNELS,
                ffi::OPUS_APPLICATION_VOIP,
                &mut error,
            )
        };
        NonNull::new(state).map(Self).ok_or(error)
    }

    pub(super) fn set(&mut self, setting: EncoderSetting, value: i32) -> Result<(), Code> {
        // SAFETY: the state is alive and ours; every `EncoderSetting` reads exactly one `int`.
        checked(unsafe { ffi::opus_encoder_ctl(self.0.as_ptr(), setting as c_int, value) })?;
        Ok(())
    }

    pub(super) fn encode(&mut self, pcm: &[f32], out: &mut [u8]) -> Result<usize, Code> {
        let (samples, room) = (length(pcm.len())?, length(out.len())?);
        // SAFETY: mono, so `samples` floats are read, all within `pcm`; at most `room` bytes are
        // written, all within `out`.
        checked(unsafe {
            ffi::opus_encode_float(
                self.0.as_ptr(),
                pcm.as_ptr(),
                samples,
                out.as_mut_ptr(),
                room,
            )
        })
    }
}

impl Drop for RawEncoder {
    fn drop(&mut self) {
        // SAFETY: made by `opus_encoder_create`, freed only here.
        unsafe { ffi::opus_encoder_destroy(self.0.as_ptr()) }
    }
}

/// An owned `OpusDecoder`: 48 kHz, mono.
#[derive(Debug)]
pub(super) struct RawDecoder(NonNull<ffi::OpusDecoder>);

// SAFETY: as for `RawEncoder`.
unsafe impl Send for RawDecoder {}

impl RawDecoder {
    pub(super) fn new() -> Result<Self, Code> {
        let mut error = 0;
        // SAFETY: the two numbers are plain values; `error` outlives the call.
        let state = unsafe { ffi::opus_decoder_create(SAMPLE_RATE as i32, CHANNELS, &mut error) };
        NonNull::new(state).map(Self).ok_or(error)
    }

    pub(super) fn set_complexity(&mut self, value: i32) -> Result<(), Code> {
        // SAFETY: the state is alive and ours; this request reads exactly one `int`.
        checked(unsafe {
            ffi::opus_decoder_ctl(
                self.0.as_ptr(),
                ffi::OPUS_SET_COMPLEXITY_REQUEST,
                value as c_int,
            )
        })?;
        Ok(())
    }

    pub(super) fn reset(&mut self) -> Result<(), Code> {
        // SAFETY: the state is alive and ours; this request reads nothing.
        checked(unsafe { ffi::opus_decoder_ctl(self.0.as_ptr(), ffi::OPUS_RESET_STATE) })?;
        Ok(())
    }

    /// Decodes `packet`, or, with `fec`, what it carries of the sound before it. An empty packet
    /// means a lost one.
    pub(super) fn decode(
        &mut self,
        packet: &[u8],
        out: &mut [f32],
        fec: bool,
    ) -> Result<usize, Code> {
        let (bytes, room) = (length(packet.len())?, length(out.len())?);
        let data = if packet.is_empty() {
            std::ptr::null()
        } else {
            packet.as_ptr()
        };
        // SAFETY: `data` is null, which means a loss, or points to `bytes` bytes; mono, so at most
        // `room` floats are written, all within `out`.
        checked(unsafe {
            ffi::opus_decode_float(
                self.0.as_ptr(),
                data,
                bytes,
                out.as_mut_ptr(),
                room,
                c_int::from(fec),
            )
        })
    }

    /// Decodes the sound that lies `offset` samples before the packet that `dred` was parsed from.
    pub(super) fn decode_dred(
        &mut self,
        dred: &RawDred,
        offset: i32,
        out: &mut [f32],
    ) -> Result<usize, Code> {
        if !dred.parsed {
            return Err(ffi::OPUS_BAD_ARG);
        }
        let room = length(out.len())?;
        // SAFETY: `dred.state` was filled by a successful parse, so nothing uninitialised is read;
        // libopus looks features up by an index that it bounds itself. At most `room` floats are
        // written, all within `out`.
        checked(unsafe {
            ffi::opus_decoder_dred_decode_float(
                self.0.as_ptr(),
                dred.state.as_ptr(),
                offset,
                out.as_mut_ptr(),
                room,
            )
        })
    }
}

impl Drop for RawDecoder {
    fn drop(&mut self) {
        // SAFETY: made by `opus_decoder_create`, freed only here.
        unsafe { ffi::opus_decoder_destroy(self.0.as_ptr()) }
    }
}

/// An owned parser of deep redundancy, and what it parsed last.
#[derive(Debug)]
pub(super) struct RawDred {
    parser: NonNull<ffi::OpusDREDDecoder>,
    state: NonNull<ffi::OpusDRED>,
    /// Whether `state` holds the outcome of a successful parse: libopus allocates it without
    /// initialising it.
    parsed: bool,
}

// SAFETY: as for `RawEncoder`.
unsafe impl Send for RawDred {}

impl RawDred {
    pub(super) fn new() -> Result<Self, Code> {
        let mut error = 0;
        // SAFETY: `error` outlives the call.
        let parser = unsafe { ffi::opus_dred_decoder_create(&mut error) };
        let parser = NonNull::new(parser).ok_or(error)?;
        // SAFETY: `error` outlives the call.
        let state = unsafe { ffi::opus_dred_alloc(&mut error) };
        let Some(state) = NonNull::new(state) else {
            // SAFETY: just made by `opus_dred_decoder_create`, and not kept.
            unsafe { ffi::opus_dred_decoder_destroy(parser.as_ptr()) };
            return Err(error);
        };
        Ok(Self {
            parser,
            state,
            parsed: false,
        })
    }

    /// Parses the redundancy in `packet` as far back as `samples`; how far back it reaches, 0 when
    /// there is none.
    pub(super) fn parse(&mut self, packet: &[u8], samples: i32) -> Result<usize, Code> {
        self.parsed = false;
        if packet.is_empty() {
            return Ok(0);
        }
        let bytes = length(packet.len())?;
        let mut end = 0;
        // SAFETY: both states are alive and ours; `bytes` bytes are read from `packet`; `end`
        // outlives the call.
        let reach = checked(unsafe {
            ffi::opus_dred_parse(
                self.parser.as_ptr(),
                self.state.as_ptr(),
                packet.as_ptr(),
                bytes,
                samples,
                SAMPLE_RATE as i32,
                &mut end,
                0,
            )
        })?;
        self.parsed = reach > 0;
        Ok(reach)
    }
}

impl Drop for RawDred {
    fn drop(&mut self) {
        // SAFETY: made by `opus_dred_alloc` and `opus_dred_decoder_create`, freed only here.
        unsafe {
            ffi::opus_dred_free(self.state.as_ptr());
            ffi::opus_dred_decoder_destroy(self.parser.as_ptr());
        }
    }
}

/// Whether `packet` carries a low-bit-rate copy of the sound before it.
pub(super) fn has_fec(packet: &[u8]) -> bool {
    let Ok(bytes @ 1..) = length(packet.len()) else {
        return false;
    };
    // SAFETY: `packet` is not empty, and `bytes` is its length.
    unsafe { ffi::opus_packet_has_lbrr(packet.as_ptr(), bytes) == 1 }
}
