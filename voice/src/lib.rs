//! NearTalk's voice, from microphone to loudspeaker. Knows nothing of the relay or of any window.
//!
//! What is here decides and computes; nothing waits, opens a device or a socket, or reads a clock.
//! Time is an argument ([`std::time::Duration`] since a start that the caller chose, never going
//! back), and so is randomness.
//!
//! - [`codec`]: Opus with everything that loss asks of it: in-band FEC, deep concealment, DRED.
//! - [`red`]: redundant payloads (RFC 2198), packed and parsed.
//!
//! Sound is 48 kHz mono `f32`, full scale ±1, in frames of 10 ms throughout.

#![deny(unsafe_code)]

pub mod call;
pub mod codec;
pub mod jitter;
pub mod mesh;
pub mod mixer;
pub mod peer;
pub mod red;
pub mod redundancy;

/// Samples a second, everywhere: of sound, and of Opus' RTP timestamps (RFC 7587).
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples of one 10 ms frame, the unit in which sound is processed and played.
pub const FRAME: usize = 480;

#[cfg(test)]
#[path = "../tests/support/signal.rs"]
mod signal;
