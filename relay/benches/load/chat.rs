//! People who chat at a fixed rate, whatever becomes of it (an open loop).
//!
//! Every message has a time that it is due at, and carries it in its text. Latency counts from
//! there: when relay or generator stall, the wait of the messages that could not go out meanwhile
//! is counted too (no coordinated omission).

use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

use crate::{
    frames::{Say, Stamps, frame_type, number_after},
    swarm::Swarm,
};

/// Longest latency that is told apart, in nanoseconds.
const LONGEST_NS: u64 = 120_000_000_000;

/// Counts since a chat began.
#[derive(Clone, Copy, Default)]
pub struct Totals {
    /// Messages said.
    pub said: u64,
    /// Messages that the relay confirmed.
    pub confirmed: u64,
    /// How many people the relay says these reached.
    pub reached: u64,
    /// Messages that came to a socket.
    pub received: u64,
}

impl Totals {
    /// Everything that was said has been confirmed, and has come as often as the relay says.
    pub const fn complete(&self) -> bool {
        self.confirmed == self.said && self.received == self.reached
    }
}

/// What happened between two calls of [`Chat::take`].
pub struct Measured {
    /// How long that was, in nanoseconds, without draining.
    pub elapsed_ns: u64,
    /// Messages that came to a socket in that time.
    pub delivered: u64,
    /// From when a message was due to when it was read, in nanoseconds, for each delivery.
    pub latency: Histogram<u64>,
    /// From when a message was due to when it was written, in nanoseconds.
    pub lateness: Histogram<u64>,
    /// Time in which the generator had nothing to do, in nanoseconds.
    pub idle_ns: u64,
    /// Error frames.
    pub errors: u64,
    /// The first of them.
    pub first_error: Option<String>,
}

impl Measured {
    fn new() -> Result<Self> {
        Ok(Self {
            elapsed_ns: 0,
            delivered: 0,
            latency: Histogram::new_with_bounds(1_000, LONGEST_NS, 3)?,
            lateness: Histogram::new_with_bounds(100, LONGEST_NS, 3)?,
            idle_ns: 0,
            errors: 0,
            first_error: None,
        })
    }

    /// Deliveries a second.
    pub fn rate(&self) -> f64 {
        self.delivered as f64 / (self.elapsed_ns as f64 / 1e9)
    }

    /// Which part of the time, from 0 to 1, the generator was busy.
    pub fn busy(&self) -> f64 {
        1.0 - self.idle_ns as f64 / self.elapsed_ns.max(1) as f64
    }
}

/// A chat under way.
pub struct Chat {
    senders: Vec<usize>,
    say: Say,
    schedule: Schedule,
    inbox: Inbox,
    window_start: u64,
    window_received: u64,
}

/// When which message is due.
struct Schedule {
    /// Nanoseconds from one message to the next.
    gap_ns: f64,
    start: u64,
    next: u64,
    paused: bool,
}

/// What becomes of what is read.
struct Inbox {
    stamps: Stamps,
    totals: Totals,
    measured: Measured,
}

impl Inbox {
    #[inline]
    fn take_in(&mut self, at: u64, json: &[u8]) {
        match frame_type(json) {
            b"message" => {
                self.totals.received += 1;
                if let Some(due) = self.stamps.due(json) {
                    self.measured
                        .latency
                        .saturating_record(at.saturating_sub(due));
                }
            }
            b"sent" => {
                self.totals.confirmed += 1;
                self.totals.reached += number_after(json, r#""reached":"#).unwrap_or_default();
            }
            b"error" => {
                self.measured.errors += 1;
                let first = || String::from_utf8_lossy(json).into_owned();
                self.measured.first_error.get_or_insert_with(first);
            }
            _ => {}
        }
    }
}

impl Chat {
    /// `senders` say a message of `text_bytes` bytes in turn, `per_second` in all, from the first
    /// [`run`](Self::run) on.
    pub fn new(senders: Vec<usize>, per_second: f64, text_bytes: usize) -> Result<Self> {
        Ok(Self {
            senders,
            say: Say::new(text_bytes),
            schedule: Schedule {
                gap_ns: 1e9 / per_second,
                start: 0,
                next: 0,
                paused: true,
            },
            inbox: Inbox {
                stamps: Stamps::default(),
                totals: Totals::default(),
                measured: Measured::new()?,
            },
            window_start: 0,
            window_received: 0,
        })
    }

    /// Counts since the chat began.
    pub const fn totals(&self) -> Totals {
        self.inbox.totals
    }

    /// Chats for `time`.
    ///
    /// It never sleeps: a generator that does must be woken by the relay's core, at the relay's
    /// expense, and is late for what is due.
    pub fn run(&mut self, swarm: &mut Swarm, time: Duration) -> Result<()> {
        let mut before = swarm.now();
        if self.schedule.paused {
            self.schedule.paused = false;
            self.schedule.start =
                before - (self.schedule.next as f64 * self.schedule.gap_ns) as u64;
            self.window_start = before;
        }
        let until = before + time.as_nanos() as u64;
        while before < until {
            let said = self.say_due(swarm)?;
            let ready = swarm.poll(Duration::ZERO)?;
            for index in 0..ready {
                swarm.read(index, |at, json| self.inbox.take_in(at, json))?;
                self.say_due(swarm)?;
            }
            let now = swarm.now();
            if said + ready == 0 {
                self.inbox.measured.idle_ns += now - before;
            }
            before = now;
        }
        self.inbox.measured.delivered = self.inbox.totals.received - self.window_received;
        self.inbox.measured.elapsed_ns = before - self.window_start;
        Ok(())
    }

    /// Says what is due; how much that was.
    #[inline]
    fn say_due(&mut self, swarm: &mut Swarm) -> Result<usize> {
        let mut said = 0;
        loop {
            let next = self.schedule.next;
            let due = self.schedule.start + (next as f64 * self.schedule.gap_ns) as u64;
            let now = swarm.now();
            // The bound lets a generator that is behind read as well.
            if now < due || said == 64 {
                return Ok(said);
            }
            let sender = self.senders[next as usize % self.senders.len()];
            swarm.send(sender, self.say.patched(next, due))?;
            self.inbox.measured.lateness.saturating_record(now - due);
            self.inbox.totals.said += 1;
            self.schedule.next += 1;
            said += 1;
        }
    }

    /// Says nothing more and reads until everything has come, for as long as `limit`.
    pub fn drain(&mut self, swarm: &mut Swarm, limit: Duration) -> Result<()> {
        self.schedule.paused = true;
        let until = swarm.now() + limit.as_nanos() as u64;
        while !self.inbox.totals.complete() && swarm.now() < until {
            for index in 0..swarm.poll(Duration::from_millis(50))? {
                swarm.read(index, |at, json| self.inbox.take_in(at, json))?;
            }
        }
        Ok(())
    }

    /// What has happened since the last call; what comes from now on is measured afresh.
    pub fn take(&mut self, swarm: &Swarm) -> Result<Measured> {
        self.window_start = swarm.now();
        self.window_received = self.inbox.totals.received;
        Ok(std::mem::replace(
            &mut self.inbox.measured,
            Measured::new()?,
        ))
    }
}
