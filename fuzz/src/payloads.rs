//! Packets of a stream, from their payloads to sound.

use std::time::{Duration, Instant};

use bytes::Bytes;
use neartalk_voice::{
    FRAME,
    call::insert,
    codec::Decoder,
    jitter::{JitterConfig, Playout},
    peer::{Encoding, Packet},
};

/// More would only take longer.
const PACKETS: usize = 40;
const TICKS: u8 = 12;

/// Plays what the bytes describe: packets, each a head of eight bytes and its payload. The head says how many
/// ticks pass before it, whether it is redundant, how its numbers go on, and how long the payload is.
pub fn check(mut data: &[u8]) {
    let start = Instant::now();
    let mut now = Duration::from_secs(100);
    let mut playout = Playout::new(
        JitterConfig::default(),
        Decoder::new().expect("there is memory"),
    );
    let (mut sequence, mut timestamp) = (65_530u16, u32::MAX - 4_000);
    let mut out = [0.0; FRAME];
    let mut tick = |playout: &mut Playout<Decoder>, now: Duration| {
        playout.tick(now, &mut out);
        assert!(out.iter().all(|sample| sample.is_finite()));
    };
    for _ in 0..PACKETS {
        let Some((&[flags, by, a, b, c, d, high, low], rest)) = data.split_first_chunk() else {
            break;
        };
        for _ in 0..flags % TICKS {
            now += Duration::from_millis(10);
            tick(&mut playout, now);
        }
        // Mostly the next one; now and then from anywhere.
        if flags & 0x40 == 0 {
            sequence = sequence.wrapping_add(u16::from(by & 7));
            timestamp = timestamp.wrapping_add(u32::from(by >> 3) * 120);
        } else {
            sequence = u16::from_be_bytes([a, b]);
            timestamp = u32::from_be_bytes([a, b, c, d]);
        }
        let length = usize::from(u16::from_be_bytes([high & 7, low])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        data = rest;
        let packet = Packet {
            arrival: start + now,
            stream: u32::from(high >> 6),
            sequence,
            timestamp,
            encoding: if flags & 0x80 == 0 {
                Encoding::Opus
            } else {
                Encoding::Red
            },
            payload: Bytes::copy_from_slice(payload),
        };
        insert(&mut playout, &packet, start);
    }
    for _ in 0..30 {
        now += Duration::from_millis(10);
        tick(&mut playout, now);
    }
    let stats = playout.stats(now);
    assert!(stats.delay < Duration::from_secs(10), "{stats:?}");
}
