//! Redundant payloads (`audio/red`, RFC 2198): a packet that carries earlier packets' payloads along.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |1|  block PT   |  timestamp offset         |   block length    |  one per earlier payload
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |0|  block PT   |  the payloads, oldest first, the packet's own last
//! +-+-+-+-+-+-+-+-+
//! ```

use std::collections::VecDeque;

use thiserror::Error;

/// Most earlier payloads that a packet is read or made with. Ours carry at most three; others may
/// be more generous.
pub const MAX_REDUNDANT: usize = 8;

/// Most bytes that an earlier payload may have: its length has 10 bits.
pub const MAX_BLOCK: usize = (1 << 10) - 1;

/// How far back an earlier payload may lie, in RTP ticks: its offset has 14 bits.
pub const MAX_OFFSET: u32 = (1 << 14) - 1;

/// Why a payload can't be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum RedError {
    /// It ends within its headers, or before the blocks that they announce.
    #[error("the redundant payload is cut off; the packet is useless")]
    CutOff,
    /// It announces more than [`MAX_REDUNDANT`] blocks.
    #[error("the redundant payload has more than {MAX_REDUNDANT} blocks; the packet is useless")]
    TooMany,
}

/// One payload in a redundant packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// The RTP payload type that it would have had by itself.
    pub payload_type: u8,
    /// How far before the packet's own timestamp it lies, in RTP ticks; 0 for the packet's own.
    pub offset: u32,
    /// The payload; may be empty.
    pub payload: &'a [u8],
}

/// A redundant packet, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Red<'a> {
    blocks: [Block<'a>; MAX_REDUNDANT + 1],
    len: usize,
}

impl<'a> Red<'a> {
    /// Reads a payload; total on any bytes.
    ///
    /// # Errors
    /// When the bytes are not those of a redundant payload with at most [`MAX_REDUNDANT`] blocks.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RedError> {
        let empty = Block {
            payload_type: 0,
            offset: 0,
            payload: &[],
        };
        let mut red = Self {
            blocks: [empty; MAX_REDUNDANT + 1],
            len: 0,
        };
        let mut lengths = [0usize; MAX_REDUNDANT];
        let mut rest = bytes;
        loop {
            match *rest {
                [head, ref after @ ..] if head & 0x80 == 0 => {
                    red.blocks[red.len].payload_type = head;
                    rest = after;
                    break;
                }
                [head, a, b, c, ref after @ ..] => {
                    if red.len == MAX_REDUNDANT {
                        return Err(RedError::TooMany);
                    }
                    let packed = u32::from_be_bytes([0, a, b, c]);
                    red.blocks[red.len].payload_type = head & 0x7f;
                    red.blocks[red.len].offset = packed >> 10;
                    lengths[red.len] = packed as usize & MAX_BLOCK;
                    red.len += 1;
                    rest = after;
                }
                _ => return Err(RedError::CutOff),
            }
        }
        for (block, length) in red.blocks.iter_mut().zip(lengths).take(red.len) {
            (block.payload, rest) = rest.split_at_checked(length).ok_or(RedError::CutOff)?;
        }
        red.blocks[red.len].payload = rest;
        Ok(red)
    }

    /// The packet's own payload.
    pub const fn primary(&self) -> Block<'a> {
        self.blocks[self.len]
    }

    /// The earlier payloads, oldest first as sent.
    pub fn redundant(&self) -> &[Block<'a>] {
        &self.blocks[..self.len]
    }
}

/// Packs one stream's payloads, each with copies of those before it.
#[derive(Clone, Debug)]
pub struct Packer {
    payload_type: u8,
    // Newest last.
    past: VecDeque<(u32, Vec<u8>)>,
}

impl Packer {
    /// Packs payloads of this RTP payload type (7 bits).
    pub fn new(payload_type: u8) -> Self {
        Self {
            payload_type: payload_type & 0x7f,
            past: VecDeque::with_capacity(MAX_REDUNDANT),
        }
    }

    /// Writes into `out` (cleared first) the packet for `payload` at the RTP time `timestamp`, with
    /// at most `copies` of the payloads before it, and remembers it for the next ones.
    ///
    /// A payload that is too long or too far back for a header is left out, as are empty ones.
    pub fn pack(&mut self, timestamp: u32, payload: &[u8], copies: usize, out: &mut Vec<u8>) {
        out.clear();
        let skip = self.past.len().saturating_sub(copies);
        let fits = |(at, past): &&(u32, Vec<u8>)| {
            let offset = timestamp.wrapping_sub(*at);
            (1..=MAX_OFFSET).contains(&offset) && (1..=MAX_BLOCK).contains(&past.len())
        };
        for (at, past) in self.past.iter().skip(skip).filter(fits) {
            let packed = timestamp.wrapping_sub(*at) << 10 | past.len() as u32;
            let [_, a, b, c] = packed.to_be_bytes();
            out.extend([0x80 | self.payload_type, a, b, c]);
        }
        out.push(self.payload_type);
        for (_, past) in self.past.iter().skip(skip).filter(fits) {
            out.extend_from_slice(past);
        }
        out.extend_from_slice(payload);

        // The oldest one's memory serves the newest.
        let mut kept = if self.past.len() == MAX_REDUNDANT {
            self.past.pop_front().unwrap_or_default().1
        } else {
            Vec::new()
        };
        kept.clear();
        kept.extend_from_slice(payload);
        self.past.push_back((timestamp, kept));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_the_rfc_shows() {
        // Two blocks: one 160 ticks back with three bytes, the packet's own with two.
        let offset_and_length = (160u32 << 10 | 3).to_be_bytes();
        let mut bytes = vec![0x80 | 111];
        bytes.extend(&offset_and_length[1..]);
        bytes.push(111);
        bytes.extend(b"oldnw");
        let red = Red::parse(&bytes).unwrap();
        assert_eq!(
            red.redundant(),
            [Block {
                payload_type: 111,
                offset: 160,
                payload: b"old"
            }]
        );
        assert_eq!(red.primary().payload, b"nw");
        assert_eq!(red.primary().offset, 0);
    }

    #[test]
    fn refuses_what_is_cut_off_or_endless() {
        assert_eq!(Red::parse(&[]), Err(RedError::CutOff));
        assert_eq!(Red::parse(&[0x80, 0, 0]), Err(RedError::CutOff));
        // Announces a byte that is not there.
        assert_eq!(Red::parse(&[0x80, 0, 0, 1, 0]), Err(RedError::CutOff));
        assert_eq!(Red::parse(&[0x80; 4 * 64]), Err(RedError::TooMany));
        assert!(Red::parse(&[111]).unwrap().primary().payload.is_empty());
    }

    #[test]
    fn a_payload_too_long_or_too_old_for_a_header_is_left_out() {
        let mut packer = Packer::new(111);
        let mut out = Vec::new();
        packer.pack(0, &[1; MAX_BLOCK + 1], 3, &mut out);
        packer.pack(960, &[2; 10], 3, &mut out);
        assert!(Red::parse(&out).unwrap().redundant().is_empty());
        packer.pack(960 + MAX_OFFSET + 1, &[3; 10], 3, &mut out);
        assert!(Red::parse(&out).unwrap().redundant().is_empty());
        assert_eq!(Red::parse(&out).unwrap().primary().payload, [3; 10]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(red) = Red::parse(&bytes) {
                // Nothing is invented: the parts and their headers make up the whole.
                let blocks: usize = red.redundant().iter().map(|b| b.payload.len() + 4).sum();
                prop_assert_eq!(blocks + 1 + red.primary().payload.len(), bytes.len());
            }
        }

        #[test]
        fn what_was_packed_is_read_again(
            start in any::<u32>(),
            steps in proptest::collection::vec((1u32..4_000, proptest::collection::vec(any::<u8>(), 1..200)), 1..12),
            copies in 0usize..=3,
        ) {
            let mut packer = Packer::new(96);
            let mut out = Vec::new();
            let mut sent: Vec<(u32, Vec<u8>)> = Vec::new();
            let mut timestamp = start;
            for (step, payload) in steps {
                timestamp = timestamp.wrapping_add(step);
                packer.pack(timestamp, &payload, copies, &mut out);
                let red = Red::parse(&out).unwrap();
                prop_assert_eq!(red.primary().payload, &payload[..]);
                prop_assert_eq!(red.redundant().len(), copies.min(sent.len()));
                let recent = &sent[sent.len() - red.redundant().len()..];
                for (block, (at, old)) in red.redundant().iter().zip(recent) {
                    prop_assert_eq!(timestamp.wrapping_sub(block.offset), *at);
                    prop_assert_eq!(block.payload, &old[..]);
                    prop_assert_eq!(block.payload_type, 96);
                }
                sent.push((timestamp, payload));
            }
        }
    }
}
