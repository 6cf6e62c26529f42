//! The adaptive jitter buffer of one incoming stream: packets and time in, 10 ms of sound out.
//!
//! Three parts, each tested by itself:
//! - [`JitterBuffer`] holds packets and **decides**. It knows no sound: [`JitterBuffer::step`] says
//!   what to do next ([`Step`]), [`JitterBuffer::stretch`] whether playing should be a little faster
//!   or slower.
//! - The stretcher takes out or puts in whole pitch periods where the sound resembles itself.
//! - [`Playout`] does what the first decides, with a decoder and the second.
//!
//! ## How delay is measured
//! A packet's *transit* is its arrival less its timestamp: unknown clocks and a constant path make it
//! an arbitrary number, but its least value over the last two seconds is that of a packet that was
//! not held up. Against that *base*, every packet has a *relative delay*, and so has playing: `now −
//! base − timestamp being played`. A packet is in time exactly when its relative delay is less than
//! that of playing, which is therefore kept at a *target*: a quantile of the relative delays seen.
//! Nobody's buffer fill has to be guessed at, packets of any length and silences left out by the
//! sender make no difference, and a drift of the clocks shows as a base that moves: stretching makes
//! up for it without anybody having to know the drift.
//!
//! Redundancy comes later than what it replaces. How much later is counted per frame, and the
//! target waits for it only while frames are in fact had that way.

mod buffer;
mod decision;
mod frames;
mod line;
mod playout;
mod sequence;
mod target;
mod transit;

use std::time::Duration;

pub use buffer::JitterBuffer;
pub use decision::{Join, Rescue, Source, Step, Stretch};
pub use playout::{Decode, Heard, Playout};

use crate::SAMPLE_RATE;

/// A time or a span in samples of 48 kHz, in which the whole of this module thinks.
type Samples = i64;

const MS: Samples = SAMPLE_RATE as Samples / 1_000;

fn to_samples(time: Duration) -> Samples {
    // 2⁶³ samples are six million years.
    (time.as_nanos() * u128::from(SAMPLE_RATE) / 1_000_000_000) as Samples
}

fn to_duration(samples: Samples) -> Duration {
    Duration::from_nanos(samples.max(0) as u64 * 1_000_000 / (u64::from(SAMPLE_RATE) / 1_000))
}

/// What a jitter buffer keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JitterConfig {
    /// The target is never less.
    pub least: Duration,
    /// The target is never more: later packets than that are better lost.
    pub most: Duration,
    /// The target is not less in a stream's first two seconds, before its network is known.
    pub at_first: Duration,
}

impl Default for JitterConfig {
    fn default() -> Self {
        Self {
            least: Duration::from_millis(5),
            most: Duration::from_millis(400),
            at_first: Duration::from_millis(20),
        }
    }
}

/// An earlier payload that a packet carries along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redundant<'a> {
    /// How far before the packet's own timestamp it lies, in RTP ticks of 48 kHz.
    pub offset: u32,
    /// An Opus packet.
    pub payload: &'a [u8],
}

/// A packet as it comes from the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The stream's RTP synchronisation source; another one starts everything anew.
    pub ssrc: u32,
    /// RTP sequence number.
    pub sequence: u16,
    /// RTP timestamp, in ticks of 48 kHz.
    pub timestamp: u32,
    /// An Opus packet.
    pub payload: &'a [u8],
    /// Copies of earlier payloads, in any order.
    pub redundant: &'a [Redundant<'a>],
}

/// What a stream has been like. Counters only ever grow: take differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JitterStats {
    /// How long sound is held back at present, beyond the time of a packet that nothing held up.
    pub delay: Duration,
    /// How long it should be.
    pub target: Duration,
    /// Packets that arrived, duplicates and unusable ones not counted.
    pub received: u64,
    /// Packets that never arrived (known half a second later, when reordering is out of question).
    pub lost: u64,
    /// Rows of packets lost together: `lost / bursts` is the mean length of a row.
    pub bursts: u64,
    /// Packets that arrived after one sent later.
    pub reordered: u64,
    /// Packets that arrived again.
    pub duplicates: u64,
    /// Packets that arrived when their time had passed and nothing else had stood in for them.
    pub late: u64,
    /// Packets that are no Opus, or belong nowhere in time.
    pub unusable: u64,
    /// Packets dropped to catch up, or for want of room.
    pub dropped: u64,
    /// How often the stream was taken up anew: another source, another clock, or a long pause.
    pub resyncs: u64,
    /// Samples played from the packets they were sent in.
    pub played: u64,
    /// Samples had from copies in later packets (RED), bit-exact.
    pub from_red: u64,
    /// Samples had from low-bit-rate copies in the next packet (in-band FEC).
    pub from_fec: u64,
    /// Samples had from deep redundancy.
    pub from_dred: u64,
    /// Samples made up because there was nothing.
    pub concealed: u64,
    /// Samples of silence that the sender left out.
    pub silent: u64,
    /// Samples taken out to play faster.
    pub accelerated: u64,
    /// Samples put in to play slower.
    pub expanded: u64,
}

impl JitterStats {
    /// Share of the sound that was made up, 0 to 1; silence is no sound.
    pub fn concealed_ratio(&self) -> f32 {
        let heard = self.played + self.from_red + self.from_fec + self.from_dred + self.concealed;
        self.concealed as f32 / heard.max(1) as f32
    }

    /// Share of packets that never arrived, 0 to 1.
    pub fn loss_ratio(&self) -> f32 {
        self.lost as f32 / (self.lost + self.received).max(1) as f32
    }
}

#[cfg(test)]
mod tests;
