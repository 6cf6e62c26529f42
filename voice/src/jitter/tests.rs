//! The decisions and what comes of them, one situation at a time. Hours of network: `tests/network.rs`.

use proptest::prelude::*;

use super::*;
use crate::{FRAME, codec::CodecError};

const PACKET: u32 = 960;

/// A 20 ms CELT packet whose second and third byte tell its number.
fn payload(number: u16) -> Vec<u8> {
    let [a, b] = number.to_be_bytes();
    vec![31 << 3, a, b, 0]
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A stream that starts at wrap-around, and a buffer for it.
struct Rig {
    buffer: JitterBuffer,
    now: Duration,
    ready: usize,
}

const SEQUENCE: u16 = 65_530;
const TIMESTAMP: u32 = u32::MAX - 5 * PACKET;

/// What a tick played, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Did {
    Nothing,
    Played(u16),
    Copied(u16),
    Concealed,
    Silence,
    Other,
}

impl Rig {
    fn new() -> Self {
        let config = JitterConfig {
            at_first: ms(5),
            ..JitterConfig::default()
        };
        Self {
            buffer: JitterBuffer::new(config),
            now: ms(1_000),
            ready: 0,
        }
    }

    fn arrive(&mut self, number: u16) {
        self.arrive_with(number, &[]);
    }

    /// With copies of packets so many before.
    fn arrive_with(&mut self, number: u16, copies: &[u16]) {
        let copies: Vec<(u32, Vec<u8>)> = copies
            .iter()
            .map(|&back| (u32::from(back) * PACKET, payload(number - back)))
            .collect();
        let redundant: Vec<Redundant<'_>> = copies
            .iter()
            .map(|(offset, payload)| Redundant {
                offset: *offset,
                payload,
            })
            .collect();
        self.arrive_as(
            number,
            u32::from(number) * PACKET,
            &payload(number),
            &redundant,
        );
    }

    fn arrive_as(&mut self, number: u16, at: u32, payload: &[u8], redundant: &[Redundant<'_>]) {
        let packet = Packet {
            ssrc: 7,
            sequence: SEQUENCE.wrapping_add(number),
            timestamp: TIMESTAMP.wrapping_add(at),
            payload,
            redundant,
        };
        self.buffer.insert(&packet, self.now);
    }

    /// 10 ms pass; what had to be decoded for them.
    fn tick(&mut self) -> Vec<Did> {
        let mut did = Vec::new();
        while self.ready < FRAME {
            let number = |payload: &[u8]| u16::from_be_bytes([payload[1], payload[2]]);
            let (samples, what) = match self.buffer.step(self.now, self.ready) {
                Step::Nothing => (FRAME, Did::Nothing),
                Step::Silence => (FRAME, Did::Silence),
                Step::Conceal { samples, .. } => (samples, Did::Concealed),
                Step::Play {
                    payload,
                    skip,
                    source,
                    ..
                } => {
                    let samples = crate::codec::packet_samples(payload).unwrap() - skip;
                    let what = match (payload.len(), source) {
                        (..3, _) => Did::Other,
                        (_, Source::Packet) => Did::Played(number(payload)),
                        (_, Source::Red) => Did::Copied(number(payload)),
                    };
                    (samples, what)
                }
                Step::Fec { samples, skip, .. } => (samples - skip, Did::Other),
                Step::Dred { samples, .. } => (samples, Did::Other),
            };
            self.ready += samples;
            did.push(what);
        }
        self.ready -= FRAME;
        self.now += ms(10);
        did
    }

    fn ticks(&mut self, count: usize) -> Vec<Did> {
        (0..count).flat_map(|_| self.tick()).collect()
    }

    fn stats(&self) -> JitterStats {
        self.buffer.stats(self.now, self.ready)
    }
}

#[test]
fn an_even_stream_is_played_in_order_over_both_wrap_arounds() {
    let mut rig = Rig::new();
    let mut did = Vec::new();
    for number in 0..50 {
        rig.arrive(number);
        did.extend(rig.ticks(2));
    }
    let played: Vec<Did> = did.into_iter().filter(|d| *d != Did::Nothing).collect();
    let expected: Vec<Did> = (0..49).map(Did::Played).collect();
    assert_eq!(played[..49], expected);
    let stats = rig.stats();
    assert_eq!(
        (stats.received, stats.lost, stats.late, stats.concealed),
        (50, 0, 0, 0)
    );
    assert_eq!(stats.target, ms(5));
    assert!(
        stats.delay >= ms(10) && stats.delay <= ms(20),
        "{:?}",
        stats.delay
    );
}

#[test]
fn a_reordered_packet_is_played_and_a_repeated_one_is_not() {
    let mut rig = Rig::new();
    for number in 0..10 {
        rig.arrive(number);
        rig.ticks(2);
    }
    // Held back long enough for a swap.
    rig.arrive(11);
    rig.arrive(10);
    rig.arrive(10);
    let mut did = rig.ticks(2);
    did.extend(rig.ticks(2));
    assert!(
        did.contains(&Did::Played(10)) && did.contains(&Did::Played(11)),
        "{did:?}"
    );
    let stats = rig.stats();
    assert_eq!(
        (stats.reordered, stats.duplicates, stats.concealed),
        (1, 1, 0)
    );
}

/// Plays a stream whose packets in `lost` don't arrive, each carrying `copies` copies.
fn with_losses(copies: u16, count: u16, lost: impl Fn(u16) -> bool) -> (Vec<Did>, JitterStats) {
    let mut rig = Rig::new();
    let mut did = Vec::new();
    for number in 0..count {
        if !lost(number) {
            let backs: Vec<u16> = (1..=copies.min(number)).rev().collect();
            rig.arrive_with(number, &backs);
        }
        did.extend(rig.ticks(2));
    }
    let stats = rig.stats();
    (did, stats)
}

#[test]
fn a_lost_packet_is_concealed_and_nothing_is_delayed_by_it() {
    let (did, stats) = with_losses(0, 200, |n| n == 100);
    assert_eq!(did.iter().filter(|d| **d == Did::Concealed).count(), 2);
    assert_eq!(stats.concealed, u64::from(PACKET));
    assert_eq!((stats.lost, stats.bursts), (1, 1));
    assert!(stats.delay <= ms(25), "{:?}", stats.delay);
}

#[test]
fn copies_replace_what_is_lost_once_the_target_waits_for_them() {
    let (did, stats) = with_losses(1, 1_000, |n| n % 10 == 9);
    // The first few come as a surprise.
    assert!(
        stats.concealed <= 6 * u64::from(PACKET),
        "{}",
        stats.concealed
    );
    assert_eq!(stats.target, ms(25));
    let copied = did.iter().filter(|d| matches!(d, Did::Copied(_))).count();
    assert!(copied > 90, "{copied}");
    assert_eq!(stats.late, 0);
}

#[test]
fn a_late_packet_is_still_played_and_delays_what_follows() {
    let mut rig = Rig::new();
    for number in 0..100 {
        rig.arrive(number);
        rig.ticks(2);
    }
    // 30 ms late, and so is everything after it.
    let mut did = rig.ticks(3);
    assert!(did.contains(&Did::Concealed), "{did:?}");
    for number in 100..160 {
        rig.arrive(number);
        did.extend(rig.ticks(2));
    }
    let played = did.iter().filter(|d| matches!(d, Did::Played(_))).count();
    assert!(played >= 58, "{played}");
    let stats = rig.stats();
    assert_eq!((stats.lost, stats.late), (0, 0));
    assert!(stats.target >= ms(35), "{:?}", stats.target);
}

#[test]
fn a_packet_after_its_time_is_counted_late() {
    let mut rig = Rig::new();
    for number in 0..20 {
        rig.arrive(number);
        rig.ticks(2);
    }
    rig.ticks(2);
    rig.arrive(21);
    rig.ticks(2);
    rig.arrive(20);
    assert_eq!(rig.stats().late, 1);
}

#[test]
fn silence_that_the_sender_leaves_out_is_neither_loss_nor_delay() {
    let mut rig = Rig::new();
    let mut at = 0;
    let mut number = 0;
    for _ in 0..20 {
        for _ in 0..10 {
            rig.arrive_as(number, at, &payload(number), &[]);
            rig.ticks(2);
            (number, at) = (number + 1, at + PACKET);
        }
        rig.arrive_as(number, at, &[31 << 3], &[]);
        rig.ticks(2);
        (number, at) = (number + 1, at + PACKET);
        // 400 ms of nothing.
        let did = rig.ticks(40);
        assert!(did[2..].iter().all(|d| *d == Did::Silence), "{did:?}");
        at += 20 * PACKET;
    }
    let stats = rig.stats();
    assert_eq!((stats.lost, stats.concealed, stats.resyncs), (0, 0, 0));
    assert_eq!(stats.target, ms(5));
    assert!(stats.silent > 20 * 35 * FRAME as u64);
}

#[test]
fn a_gap_in_time_without_one_in_sequence_is_silence_too() {
    let mut rig = Rig::new();
    // Held back so long that what comes after the gap is there before the gap is reached.
    rig.buffer = JitterBuffer::new(JitterConfig {
        least: ms(150),
        ..JitterConfig::default()
    });
    let mut did = Vec::new();
    for number in 0..40 {
        let gap = if number < 20 { 0 } else { 4 * PACKET };
        if number == 20 {
            did.extend(rig.ticks(8));
        }
        rig.arrive_as(
            number,
            u32::from(number) * PACKET + gap,
            &payload(number),
            &[],
        );
        did.extend(rig.ticks(2));
    }
    let around = did.iter().position(|d| *d == Did::Played(19)).unwrap();
    assert_eq!(
        did[around + 1..around + 10],
        [[Did::Silence; 8].as_slice(), &[Did::Played(20)]].concat()
    );
    assert!(!did.contains(&Did::Concealed), "{did:?}");
    assert_eq!(rig.stats().lost, 0);
}

#[test]
fn a_stream_that_stops_falls_silent_and_comes_back() {
    let mut rig = Rig::new();
    for number in 0..20 {
        rig.arrive(number);
        rig.ticks(2);
    }
    let did = rig.ticks(300);
    assert!(did.iter().filter(|d| **d == Did::Concealed).count() <= 101);
    assert!(did[200..].iter().all(|d| *d == Did::Nothing));
    let mut did = Vec::new();
    for number in 170..200 {
        rig.arrive(number);
        did.extend(rig.ticks(2));
    }
    let played: Vec<Did> = did.into_iter().filter(|d| *d != Did::Nothing).collect();
    assert_eq!(
        played[..29],
        (170..199).map(Did::Played).collect::<Vec<_>>()
    );
    assert!(rig.stats().delay <= ms(30));
}

#[test]
fn a_clock_that_stood_still_during_a_pause_is_no_delay() {
    let mut rig = Rig::new();
    for number in 0..20 {
        rig.arrive(number);
        rig.ticks(2);
    }
    rig.ticks(500);
    for number in 20..40 {
        rig.arrive(number);
        rig.ticks(2);
    }
    let stats = rig.stats();
    assert_eq!(stats.target, ms(5));
    assert!(stats.delay <= ms(25), "{:?}", stats.delay);
}

#[test]
fn a_queue_let_go_at_once_is_skipped_to_its_end() {
    let mut rig = Rig::new();
    for number in 0..50 {
        rig.arrive(number);
        rig.ticks(2);
    }
    rig.ticks(100);
    for number in 50..101 {
        rig.arrive(number);
    }
    let did = rig.ticks(10);
    assert!(
        did.iter().any(|d| matches!(d, Did::Played(95..))),
        "{did:?}"
    );
    assert!(rig.stats().delay < ms(100), "{:?}", rig.stats().delay);
}

#[test]
fn another_source_or_another_time_begins_anew_but_one_stray_packet_does_not() {
    let mut rig = Rig::new();
    for number in 0..20 {
        rig.arrive(number);
        rig.ticks(2);
    }
    rig.arrive_as(20, 1_000_000_000, &payload(20), &[]);
    assert_eq!((rig.stats().unusable, rig.stats().resyncs), (1, 0));
    rig.ticks(2);
    for number in 21..40 {
        rig.arrive_as(
            number,
            500_000_000 + u32::from(number) * PACKET,
            &payload(number),
            &[],
        );
        rig.ticks(2);
    }
    assert_eq!((rig.stats().unusable, rig.stats().resyncs), (2, 1));
    let did = rig.ticks(1);
    assert!(matches!(did[..], [] | [Did::Played(38..)]), "{did:?}");
    let packet = Packet {
        ssrc: 8,
        sequence: 9,
        timestamp: 10,
        payload: &payload(77),
        redundant: &[],
    };
    rig.buffer.insert(&packet, rig.now);
    assert_eq!(rig.stats().resyncs, 2);
    let did = rig.ticks(4);
    assert!(did.contains(&Did::Played(77)), "{did:?} {:?}", rig.stats());
}

#[test]
fn what_is_no_opus_is_counted_and_forgotten() {
    let mut rig = Rig::new();
    rig.arrive_as(0, 0, &[], &[]);
    rig.arrive_as(1, 0, &[0xff], &[]);
    assert_eq!(rig.stats().unusable, 2);
    assert_eq!(rig.ticks(3), [Did::Nothing; 3]);
}

#[test]
fn asks_for_faster_play_when_late_and_slower_when_early() {
    let mut rig = Rig::new();
    // Everything comes 80 ms late, then in time.
    let mut faster = 0;
    for number in 0..50 {
        rig.arrive(number);
        rig.ticks(2);
    }
    rig.ticks(8);
    for number in 50..54 {
        rig.arrive(number);
    }
    for number in 54..1_500 {
        rig.arrive(number);
        for _ in 0..2 {
            if let Some(Stretch::Accelerate { .. }) = rig.buffer.stretch(rig.now, rig.ready) {
                faster += 1;
            }
            rig.tick();
        }
    }
    assert!(faster > 10, "{faster}");
}

/// A decoder whose every sample tells where it came from: number of the packet plus the place in it.
#[derive(Default)]
struct Ruler {
    resets: usize,
}

impl Decode for Ruler {
    fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        if packet[3] == 99 {
            return Err(CodecError::Damaged);
        }
        let number = f32::from(u16::from_be_bytes([packet[1], packet[2]]));
        for (n, sample) in out[..PACKET as usize].iter_mut().enumerate() {
            *sample = number + n as f32 / PACKET as f32;
        }
        Ok(PACKET as usize)
    }

    fn conceal(&mut self, out: &mut [f32]) -> Result<usize, CodecError> {
        out.fill(-1.0);
        Ok(out.len())
    }

    fn reset(&mut self) {
        self.resets += 1;
    }
}

#[test]
fn playing_gives_every_sample_once_and_in_order() {
    let mut playout = Playout::new(JitterConfig::default(), Ruler::default());
    let mut heard = Vec::new();
    let mut out = [0.0; FRAME];
    for tick in 0..100u16 {
        let now = ms(500 + 10 * u64::from(tick));
        if tick.is_multiple_of(2) {
            let number = tick / 2;
            let mut bytes = payload(number);
            bytes[3] = if number == 30 { 99 } else { 0 };
            let packet = Packet {
                ssrc: 1,
                sequence: number,
                timestamp: u32::from(number) * PACKET,
                payload: &bytes,
                redundant: &[],
            };
            playout.insert(&packet, now);
        }
        if playout.tick(now, &mut out) == Heard::Sound {
            heard.extend_from_slice(&out);
        } else {
            assert_eq!(out, [0.0; FRAME]);
        }
    }
    assert_eq!(playout.decoder().resets, 1);
    // But for the fade at the beginning and the damaged one, everything is as it was sent.
    for (n, &sample) in heard.iter().enumerate().skip(240) {
        let number = n / PACKET as usize;
        let expected = if number == 30 {
            -1.0
        } else {
            n as f32 / PACKET as f32
        };
        assert!((sample - expected).abs() < 1e-3, "sample {n} is {sample}");
    }
    let stats = playout.stats(ms(1_500));
    assert_eq!(stats.concealed, u64::from(PACKET));
    assert!(heard.len() > 47 * PACKET as usize);
}

/// Decodes everything to silence, in which corrections are free.
struct Silent;

impl Decode for Silent {
    fn decode(&mut self, _: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        self.conceal(&mut out[..PACKET as usize])
    }

    fn conceal(&mut self, out: &mut [f32]) -> Result<usize, CodecError> {
        out.fill(0.0);
        Ok(out.len())
    }

    fn reset(&mut self) {}
}

#[test]
fn on_a_steady_network_the_delay_is_soon_right_and_left_alone() {
    // Whenever packets come between two ticks, which decides what delays there can be.
    for phase in 0..10 {
        let mut playout = Playout::new(JitterConfig::default(), Silent);
        let mut out = [0.0; FRAME];
        let mut early = JitterStats::default();
        for tick in 0..6_000u64 {
            let now = ms(1_000 + 10 * tick);
            if tick.is_multiple_of(2) {
                let number = (tick / 2) as u16;
                let packet = Packet {
                    ssrc: 1,
                    sequence: number,
                    timestamp: u32::from(number) * PACKET,
                    payload: &payload(number),
                    redundant: &[],
                };
                playout.insert(&packet, now - ms(phase));
            }
            playout.tick(now, &mut out);
            if tick == 1_000 {
                early = playout.stats(now);
            }
        }
        let late = playout.stats(ms(61_000));
        assert_eq!(late.target, ms(5));
        // What is ready counts; of that a tick may wait for the device, and what is no piece of its own.
        let most = late.target + ms(10) + ms(10);
        assert!(late.delay < most, "{phase} ms: {late:?}");
        assert_eq!(late.concealed, 0, "{phase} ms: {late:?}");
        assert_eq!(
            [late.accelerated, late.expanded],
            [early.accelerated, early.expanded],
            "{phase} ms: something was put in or taken out only for its opposite"
        );
    }
}

/// A packet that makes some sense, or none.
#[derive(Clone, Debug)]
struct Wild {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
    copies: Vec<(u32, Vec<u8>)>,
    ticks: usize,
}

fn wild() -> impl Strategy<Value = Wild> {
    let payload = || {
        prop_oneof![
            Just(payload(1)),
            Just(vec![31 << 3]),
            proptest::collection::vec(any::<u8>(), 0..8),
        ]
    };
    let sequence = prop_oneof![4 => 0..40u16, 1 => any::<u16>()];
    let timestamp = prop_oneof![4 => (0..40u32).prop_map(|n| n * PACKET), 2 => 0..100_000u32, 1 => any::<u32>()];
    let offset = prop_oneof![3 => (0..5u32).prop_map(|n| n * PACKET), 1 => any::<u32>()];
    let copies = proptest::collection::vec((offset, payload()), 0..3);
    (
        0..2u32,
        sequence,
        timestamp,
        payload(),
        copies,
        prop_oneof![8 => 0..6usize, 1 => 0..200usize],
    )
        .prop_map(|(ssrc, sequence, timestamp, payload, copies, ticks)| Wild {
            ssrc,
            sequence,
            timestamp,
            payload,
            copies,
            ticks,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_comes_every_tick_is_served(packets in proptest::collection::vec(wild(), 1..60)) {
        let decoder = crate::codec::Decoder::new().unwrap();
        let mut playout = Playout::new(JitterConfig::default(), decoder);
        let mut now = ms(0);
        let mut out = [0.0; FRAME];
        for wild in &packets {
            let redundant: Vec<Redundant<'_>> = wild
                .copies
                .iter()
                .map(|(offset, payload)| Redundant { offset: *offset, payload })
                .collect();
            let packet = Packet {
                ssrc: wild.ssrc,
                sequence: wild.sequence,
                timestamp: wild.timestamp,
                payload: &wild.payload,
                redundant: &redundant,
            };
            playout.insert(&packet, now);
            for _ in 0..wild.ticks {
                playout.tick(now, &mut out);
                prop_assert!(out.iter().all(|x| x.is_finite()));
                now += ms(10);
            }
        }
        // It always comes to rest.
        let mut last = Heard::Sound;
        for _ in 0..1_400 {
            last = playout.tick(now, &mut out);
            now += ms(10);
        }
        prop_assert_eq!(last, Heard::Nothing);
        prop_assert_eq!(out, [0.0; FRAME]);
    }
}
