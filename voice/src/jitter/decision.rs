//! What a [`JitterBuffer`](super::JitterBuffer) decides, in words.

/// Where a frame's bytes are from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Its own packet.
    #[default]
    Packet,
    /// A copy in a later packet: the very same bytes.
    Red,
}

/// How a frame joins what was played before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// It follows: just decode.
    Follows,
    /// It does not: fade over to it.
    Jumps,
    /// Nothing was played before it: reset the decoder and fade in.
    Begins,
}

/// What to do next. Lengths are in samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Play 10 ms of nothing: the stream has not begun, or has stopped.
    Nothing,
    /// Decode and play.
    Play {
        /// An Opus packet.
        payload: &'a [u8],
        /// So much of its start is not needed any more.
        skip: usize,
        /// Where it is from.
        source: Source,
        /// How it joins.
        join: Join,
    },
    /// Decode the low-bit-rate copy in the packet that comes next.
    Fec {
        /// That packet.
        carrier: &'a [u8],
        /// How long the missing frame is.
        samples: usize,
        /// So much of its start is not needed any more.
        skip: usize,
    },
    /// Decode from deep redundancy; conceal if it does not reach so far.
    Dred {
        /// The packet that may have it.
        carrier: &'a [u8],
        /// How far ahead of that packet the missing piece starts.
        before: usize,
        /// How long it is.
        samples: usize,
    },
    /// Make something up.
    Conceal {
        /// How much.
        samples: usize,
        /// Whether it fades to nothing, because nothing comes after it.
        fade_out: bool,
    },
    /// Play 10 ms of background noise: the sender left out silence.
    Silence,
}

/// How to correct the delay, by about a pitch period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stretch {
    /// Play faster: take out a piece.
    Accelerate {
        /// The longest piece to take out, in samples.
        most: usize,
        /// How alike (1: identical) the sound before and after must be. More than 1 asks for
        /// silence.
        alike: f32,
    },
    /// Play slower: put in a piece.
    Expand {
        /// How much is called for, in samples: to be kept to where the sound leaves a choice.
        wanted: usize,
        /// How alike (1: identical) the sound before and after must be.
        alike: f32,
    },
}

/// What was to bring a frame, and did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rescue {
    /// A packet or a copy of one, which turned out to be damaged.
    Packet,
    /// Deep redundancy, which did not reach so far.
    Dred,
}
