//! The packets that wait to be played, by timestamp, and a short memory of those that came.

use std::collections::{BTreeMap, VecDeque};

use super::{Samples, decision::Source};
use crate::codec;

/// More wait only if somebody sends faster than sound passes: 256 × 20 ms is five seconds.
const MOST: usize = 256;
/// Redundancy and reordering reach no further back.
const REMEMBERED: usize = 64;

/// A packet that waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Frame {
    pub(super) payload: Vec<u8>,
    pub(super) samples: Samples,
    /// In full; unknown for a copy.
    pub(super) sequence: Option<i64>,
    pub(super) source: Source,
    /// Whether it has a low-bit-rate copy of the sound before it.
    pub(super) fec: bool,
    /// Whether it may have deep redundancy.
    pub(super) dred: bool,
}

impl Frame {
    /// `None` when `payload` is no Opus packet.
    pub(super) fn new(payload: &[u8], sequence: Option<i64>, source: Source) -> Option<Self> {
        Some(Self {
            samples: codec::packet_samples(payload)? as Samples,
            payload: payload.to_vec(),
            sequence,
            source,
            fec: codec::has_fec(payload),
            dred: codec::may_have_dred(payload),
        })
    }
}

/// What waits, and what came lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    waiting: BTreeMap<Samples, Frame>,
    came: VecDeque<Samples>,
}

impl Frames {
    /// Whether a frame with this timestamp came lately, played or not.
    pub(super) fn came(&self, timestamp: Samples) -> bool {
        self.came.contains(&timestamp)
    }

    /// Takes note that a frame came.
    pub(super) fn note(&mut self, timestamp: Samples) {
        if self.came.len() == REMEMBERED {
            self.came.pop_front();
        }
        self.came.push_back(timestamp);
    }

    /// Lets a frame wait. The number of frames dropped for want of room.
    pub(super) fn insert(&mut self, timestamp: Samples, frame: Frame) -> u64 {
        self.waiting.insert(timestamp, frame);
        let mut dropped = 0;
        while self.waiting.len() > MOST {
            self.waiting.pop_first();
            dropped += 1;
        }
        dropped
    }

    /// The one to be played first.
    pub(super) fn first(&self) -> Option<(Samples, &Frame)> {
        self.waiting
            .first_key_value()
            .map(|(&at, frame)| (at, frame))
    }

    /// The newest that starts no later than `until`.
    pub(super) fn newest_until(&self, until: Samples) -> Option<Samples> {
        self.waiting.range(..=until).next_back().map(|(&at, _)| at)
    }

    /// The waiting one with this timestamp.
    pub(super) fn get(&self, timestamp: Samples) -> Option<&Frame> {
        self.waiting.get(&timestamp)
    }

    /// Takes out the waiting one with this timestamp.
    pub(super) fn take(&mut self, timestamp: Samples) -> Option<Frame> {
        self.waiting.remove(&timestamp)
    }

    /// Drops all that start before `timestamp`; how many.
    pub(super) fn drop_before(&mut self, timestamp: Samples) -> u64 {
        let kept = self.waiting.split_off(&timestamp);
        std::mem::replace(&mut self.waiting, kept).len() as u64
    }

    /// Drops all that end by `timestamp`.
    pub(super) fn drop_ended(&mut self, timestamp: Samples) {
        while let Some((at, frame)) = self.first()
            && at + frame.samples <= timestamp
        {
            self.waiting.pop_first();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.came.clear();
    }
}
