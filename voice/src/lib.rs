//! NearTalk's voice, from microphone to loudspeaker. Knows nothing of the relay or of any window.
//!
//! Its cores decide and compute; they never wait, open a device or a socket, or read a clock. Time is an
//! argument ([`std::time::Duration`] since a start that the caller chose, never going back), and so is
//! randomness.
//!
//! - [`processing`]: echo, noise and loudness; push to talk and mute.
//! - [`codec`]: Opus with everything that loss asks of it: in-band FEC, deep concealment, DRED.
//! - [`red`]: redundant payloads (RFC 2198), packed and parsed.
//! - [`redundancy`]: how much of it a peer's network needs.
//! - [`jitter`]: from packets that come as they come to sound without gaps.
//! - [`mesh`]: whom to connect to.
//! - [`same_room`]: who is heard through the air anyway.
//! - [`mixer`]: many streams into one that never clips.
//!
//! The shells around them:
//! - [`device`]: microphones and loudspeakers; [`wav`]: files in their place.
//! - [`peer`]: one connection with one other person, over WebRTC.
//! - [`call`]: all of it together, a frame of sound in and one out every 10 ms.
//! - [`live`]: a call between devices, in real time.
//!
//! Sound is 48 kHz mono `f32`, full scale ±1, in frames of 10 ms throughout.

#![deny(unsafe_code)]

pub mod call;
pub mod codec;
pub mod device;
pub mod jitter;
pub mod live;
pub mod mesh;
pub mod mixer;
pub mod peer;
pub mod processing;
pub mod red;
pub mod redundancy;
pub mod same_room;
pub mod wav;

/// Samples a second, everywhere: of sound, and of Opus' RTP timestamps (RFC 7587).
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples of one 10 ms frame, the unit in which sound is processed and played.
pub const FRAME: usize = 480;

#[cfg(test)]
#[path = "../tests/support/signal.rs"]
mod signal;
