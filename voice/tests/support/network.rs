//! A seeded network in virtual time, a sender before it and a listener behind it.
#![allow(dead_code)]

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use neartalk_voice::{
    FRAME,
    jitter::{Decode, Heard, JitterConfig, JitterStats, Packet, Playout, Redundant},
    red::{Packer, Red},
    redundancy::ArrivalLog,
};
use rand::{RngExt, SeedableRng, rngs::SmallRng};

/// How packets get lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    None,
    /// Each by itself.
    Random(f64),
    /// Gilbert–Elliott: this share of all, in rows of this mean length.
    Bursty {
        share: f64,
        mean: f64,
    },
}

/// What a path does to packets. Times in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    pub delay: f64,
    /// Mean of an exponentially distributed extra delay.
    pub jitter: f64,
    /// Whether packets may overtake each other.
    pub reorders: bool,
    pub loss: Loss,
    pub duplicates: f64,
    /// Chance that a packet, and all behind it, waits for up to `spike`.
    pub spikes: f64,
    pub spike: f64,
}

impl Default for Path {
    fn default() -> Self {
        Self {
            delay: 0.03,
            jitter: 0.0,
            reorders: false,
            loss: Loss::None,
            duplicates: 0.0,
            spikes: 0.0,
            spike: 0.0,
        }
    }
}

/// A seeded network.
pub struct Network {
    rng: SmallRng,
    pub path: Path,
    /// Nothing gets through before this time.
    pub down_until: f64,
    in_burst: bool,
    /// When the last packet arrives: none behind it comes earlier unless the path reorders.
    queue: f64,
}

impl Network {
    pub fn new(seed: u64, path: Path) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(seed),
            path,
            down_until: 0.0,
            in_burst: false,
            queue: 0.0,
        }
    }

    /// When a packet sent at `now` arrives: never, once or twice.
    pub fn send(&mut self, now: f64) -> [Option<f64>; 2] {
        let lost = match self.path.loss {
            Loss::None => false,
            Loss::Random(share) => self.rng.random_bool(share),
            Loss::Bursty { share, mean } => {
                let leave = 1.0 / mean;
                let enter = share * leave / (1.0 - share);
                let flip = self
                    .rng
                    .random_bool(if self.in_burst { leave } else { enter });
                self.in_burst ^= flip;
                self.in_burst
            }
        };
        if lost || now < self.down_until {
            return [None; 2];
        }
        let uniform: f64 = self.rng.random_range(1e-9..1.0);
        let mut at = now + self.path.delay - self.path.jitter * uniform.ln();
        if self.path.spikes > 0.0 && self.rng.random_bool(self.path.spikes) {
            at += self.rng.random_range(0.0..self.path.spike);
        }
        if !self.path.reorders {
            at = at.max(self.queue);
        }
        self.queue = at;
        let again = self.path.duplicates > 0.0 && self.rng.random_bool(self.path.duplicates);
        [Some(at), again.then_some(at + 0.003)]
    }
}

/// A packet that the network may or may not bring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sent {
    /// In nanoseconds.
    arrives: u64,
    sequence: u16,
    timestamp: u32,
    payload: Vec<u8>,
}

/// Sender, network and listener.
pub struct Call<D> {
    pub network: Network,
    pub playout: Playout<D>,
    /// What the listener tells the sender.
    pub log: ArrivalLog,
    /// How much faster than true time the sender's clock runs.
    pub sender_ppm: f64,
    /// How much faster than true time the listener's sound device runs.
    pub device_ppm: f64,
    /// Copies of earlier payloads in each packet.
    pub copies: usize,
    /// Sound in a packet.
    pub samples: u32,
    /// Whether the device asks for two ticks' sound at once, and then nothing for as long.
    pub in_pairs: bool,
    /// True time in seconds.
    pub now: f64,
    clock: f64,
    second: bool,
    next_send: f64,
    sequence: u16,
    timestamp: u32,
    packer: Packer,
    on_the_way: BinaryHeap<Reverse<Sent>>,
    red: Vec<u8>,
}

pub const PAYLOAD_TYPE: u8 = 111;

impl<D: Decode> Call<D> {
    pub fn new(network: Network, decoder: D) -> Self {
        Self {
            network,
            playout: Playout::new(JitterConfig::default(), decoder),
            log: ArrivalLog::default(),
            sender_ppm: 0.0,
            device_ppm: 0.0,
            copies: 0,
            samples: 960,
            // Neither clock nor counters start at a round number.
            in_pairs: false,
            now: 1.234,
            clock: 1.234,
            second: false,
            next_send: 1.241_7,
            sequence: 65_000,
            timestamp: u32::MAX - 48_000 * 60,
            packer: Packer::new(PAYLOAD_TYPE),
            on_the_way: BinaryHeap::new(),
            red: Vec::new(),
        }
    }

    /// 10 ms of the listener's device pass. `speak` gives the payload for a timestamp, or nothing
    /// where the sender is silent; `hear` gets what is played.
    pub fn tick(
        &mut self,
        speak: &mut impl FnMut(u32) -> Option<Vec<u8>>,
        out: &mut [f32; FRAME],
    ) -> Heard {
        self.clock += 0.01 / (1.0 + self.device_ppm * 1e-6);
        self.second = self.in_pairs && !self.second;
        if !self.second {
            self.now = self.clock;
        }
        while self.next_send <= self.now {
            if let Some(payload) = speak(self.timestamp) {
                self.packer
                    .pack(self.timestamp, &payload, self.copies, &mut self.red);
                for arrives in self.network.send(self.next_send).into_iter().flatten() {
                    self.on_the_way.push(Reverse(Sent {
                        arrives: (arrives * 1e9) as u64,
                        sequence: self.sequence,
                        timestamp: self.timestamp,
                        payload: self.red.clone(),
                    }));
                }
                self.sequence = self.sequence.wrapping_add(1);
            }
            self.timestamp = self.timestamp.wrapping_add(self.samples);
            let seconds = f64::from(self.samples) / 48_000.0;
            self.next_send += seconds / (1.0 + self.sender_ppm * 1e-6);
        }
        let now = Duration::from_secs_f64(self.now);
        while let Some(Reverse(next)) = self.on_the_way.peek()
            && next.arrives <= now.as_nanos() as u64
        {
            let Some(Reverse(sent)) = self.on_the_way.pop() else {
                break;
            };
            self.log.note(sent.sequence);
            let red = Red::parse(&sent.payload).expect("what was packed is read");
            let redundant: Vec<Redundant<'_>> = red
                .redundant()
                .iter()
                .map(|b| Redundant {
                    offset: b.offset,
                    payload: b.payload,
                })
                .collect();
            let packet = Packet {
                ssrc: 1,
                sequence: sent.sequence,
                timestamp: sent.timestamp,
                payload: red.primary().payload,
                redundant: &redundant,
            };
            self.playout
                .insert(&packet, Duration::from_nanos(sent.arrives));
        }
        self.playout.tick(now, out)
    }

    pub fn stats(&self) -> JitterStats {
        self.playout.stats(Duration::from_secs_f64(self.now))
    }
}
