//! What to do next: decisions on packets and time alone, without a sample of sound.

use std::time::Duration;

use super::{
    JitterConfig, JitterStats, MS, Packet, Samples,
    decision::{Join, Rescue, Source, Step, Stretch},
    frames::{Frame, Frames},
    sequence::{Arrival, Sequence},
    target::Target,
    to_duration, to_samples,
    transit::Transit,
};
use crate::{FRAME, codec};

/// What is decided on at a time when there is nothing to play.
const CHUNK: Samples = FRAME as Samples;
/// Opus conceals whole multiples of 2.5 ms.
const GRAIN: Samples = 120;
/// Sound may be played this much before its delay has reached the target.
const TOLERANCE: Samples = 120;
/// How far beyond the target playing may lag: as far as the longest piece put in can bring it, so that
/// no correction that could be heard calls for its opposite.
const SLACK: Samples = 25 * MS / 2;
/// Less is not worth a correction, even while nothing is said and it is free.
const LEAST_PIECE: Samples = 5 * MS / 2;
/// What the low mark of the delay rises by in a tick: 5 ms in a second.
const RISE: Samples = MS / 20;
/// So far beyond the target, speech may sound hurried.
const HURRY: Samples = 60 * MS;
/// So far beyond the target, packets are dropped.
const CATCH_UP: Samples = 250 * MS;
/// Without a packet for so long, the stream has stopped.
const STOPPED: Samples = 1_000 * MS;
/// A sender that was quiet for so long may have another clock by now.
const STALE: Samples = 10_000 * MS;
/// A packet can't be from further in the future, against its arrival.
const FUTURE: Samples = 2_000 * MS;
/// Nor from further in the past.
const PAST: Samples = 5_000 * MS;
/// A first packet after a stop that lags by so much lags by a clock that stood still.
const STOOD_STILL: Samples = 500 * MS;
/// A copy of something older would only be of use to a listener who waits for it that long.
const OLDEST_COPY: Samples = 1_000 * MS;
/// Ticks between two corrections.
const REST: u32 = 5;
/// How alike two pieces must be for one to go without being missed.
const ALIKE: f32 = 0.9;
/// The least that will do when nothing better has come for long.
const BARELY_ALIKE: f32 = 0.5;
/// Ticks after which that is so.
const LONG: u32 = 150;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is played until the first packet has been held back long enough.
    Waiting,
    /// Sound is played, or made up.
    Playing,
    /// The sender leaves out silence.
    Silent,
}

enum Plan {
    Nothing,
    Play {
        at: Samples,
        skip: Samples,
        join: Join,
    },
    Fec {
        at: Samples,
        samples: Samples,
        skip: Samples,
    },
    Dred {
        at: Samples,
        before: Samples,
        samples: Samples,
    },
    Conceal {
        samples: Samples,
        fade_out: bool,
    },
    Silence,
}

/// Holds one stream's packets and decides what is played. See the [module](super).
#[derive(Clone, Debug)]
pub struct JitterBuffer {
    frames: Frames,
    sequence: Sequence,
    transit: Transit,
    target: Target,
    stats: JitterStats,

    ssrc: Option<u32>,
    /// When the last packet arrived, and the highest timestamp of all.
    last: Option<(Samples, Samples)>,
    /// Sequence number and timestamp of a packet that belongs nowhere; if the next one follows it,
    /// it was the first of a new time.
    stray: Option<(u16, u32)>,

    phase: Phase,
    /// Timestamp of what is to be decoded next.
    next: Samples,
    /// Samples made up or left silent since, in the place of nobody knows what: of packets that are
    /// lost, or only late.
    hidden: Samples,
    /// Whether what is heard would break off audibly.
    sounding: bool,
    last_sequence: Option<i64>,
    playing: Frame,

    /// The least that playing has been delayed by of late: ticks may come in pairs, and the one
    /// that comes too early is the one that needs the delay.
    low: Option<Samples>,
    rest: u32,
    wanting: u32,
}

impl JitterBuffer {
    /// An empty buffer.
    pub fn new(config: JitterConfig) -> Self {
        Self {
            frames: Frames::default(),
            sequence: Sequence::default(),
            transit: Transit::default(),
            target: Target::new(config),
            stats: JitterStats::default(),
            ssrc: None,
            last: None,
            stray: None,
            phase: Phase::Waiting,
            next: 0,
            hidden: 0,
            sounding: false,
            last_sequence: None,
            playing: Frame::default(),
            low: None,
            rest: 0,
            wanting: 0,
        }
    }

    /// Changes [`JitterConfig::at_first`], for when the path is known before the first packet.
    pub fn set_at_first(&mut self, at_first: Duration) {
        self.target.set_at_first(to_samples(at_first));
    }

    /// Takes in a packet that arrived at `now`. Anything may be in it.
    pub fn insert(&mut self, packet: &Packet<'_>, now: Duration) {
        let now = to_samples(now);
        if codec::packet_samples(packet.payload).is_none() {
            self.stats.unusable += 1;
            return;
        }
        let Some(at) = self.place(packet, now) else {
            self.stats.unusable += 1;
            return;
        };
        let (sequence, arrival) = self.sequence.arrive(packet.sequence);
        (self.stats.lost, self.stats.bursts) = self.sequence.losses();
        let missing = match arrival {
            Arrival::Again => {
                self.stats.duplicates += 1;
                return;
            }
            Arrival::Reordered => {
                self.stats.reordered += 1;
                0
            }
            Arrival::InOrder { missing } => missing,
        };
        self.stats.received += 1;

        let (relative, rose) = self.transit.arrive(now, at);
        self.target.base_rose(rose);
        self.target.delayed(now, relative);

        // Oldest first, so that a frame's first copy counts.
        for redundant in packet.redundant {
            self.insert_copy(at - Samples::from(redundant.offset), redundant);
        }
        if let Some(frame) = Frame::new(packet.payload, Some(sequence), Source::Packet) {
            self.count_rescues(at, &frame, missing);
            self.insert_frame(at, frame);
        }
    }

    /// Decides what comes next, when `ready` samples are decoded and not yet played.
    ///
    /// Call it until there is enough to play; each call is taken to be carried out.
    pub fn step(&mut self, now: Duration, ready: usize) -> Step<'_> {
        let plan = self.plan(to_samples(now) + whole_frames(ready));
        if !matches!(plan, Plan::Nothing) {
            self.sounding = true;
        }
        match plan {
            Plan::Nothing => Step::Nothing,
            Plan::Silence => {
                self.stats.silent += CHUNK as u64;
                Step::Silence
            }
            Plan::Conceal { samples, fade_out } => {
                self.stats.concealed += samples as u64;
                if fade_out {
                    self.sounding = false;
                }
                Step::Conceal {
                    samples: samples as usize,
                    fade_out,
                }
            }
            Plan::Fec { at, samples, skip } => {
                self.stats.from_fec += (samples - skip) as u64;
                Step::Fec {
                    carrier: self.payload(at),
                    samples: samples as usize,
                    skip: skip as usize,
                }
            }
            Plan::Dred {
                at,
                before,
                samples,
            } => {
                self.stats.from_dred += samples as u64;
                Step::Dred {
                    carrier: self.payload(at),
                    before: before as usize,
                    samples: samples as usize,
                }
            }
            Plan::Play { at, skip, join } => {
                self.playing = self.frames.take(at).unwrap_or_default();
                let frame = &self.playing;
                self.next = at + frame.samples;
                self.hidden = 0;
                self.last_sequence = frame.sequence;
                // The sender will send nothing for a while.
                self.phase = if codec::is_dtx(&frame.payload) {
                    Phase::Silent
                } else {
                    Phase::Playing
                };
                let samples = (frame.samples - skip) as u64;
                match (self.phase, frame.source) {
                    (Phase::Silent, _) => self.stats.silent += samples,
                    (_, Source::Packet) => self.stats.played += samples,
                    (_, Source::Red) => self.stats.from_red += samples,
                }
                Step::Play {
                    payload: &frame.payload,
                    skip: skip as usize,
                    source: frame.source,
                    join,
                }
            }
        }
    }

    /// Whether the next step would play sound that is there, so that one may be taken ahead of need.
    pub fn has_next(&self) -> bool {
        self.phase == Phase::Playing
            && self.hidden == 0
            && self.frames.first().is_some_and(|(at, _)| at <= self.next)
    }

    /// Whether the delay calls for a correction; to be asked once every 10 ms, before the steps.
    pub fn stretch(&mut self, now: Duration, ready: usize) -> Option<Stretch> {
        let now = to_samples(now);
        self.rest = self.rest.saturating_sub(1);
        let base = self.transit.base()?;
        if self.phase != Phase::Playing || self.hidden > 0 {
            self.low = None;
            return None;
        }
        let delay = now + whole_frames(ready) - base - self.next;
        let low = match self.low {
            Some(low) => delay.min(low + RISE),
            None => {
                self.rest = REST;
                delay
            }
        };
        self.low = Some(low);
        let excess = low - self.target.get(now);
        let rest = (ready % FRAME) as Samples;
        let early = excess < -TOLERANCE;
        // The rest of a tick is heard later for nothing: without it no packet is needed sooner.
        let most = excess.max(0) / CHUNK * CHUNK + rest;
        if !early && most < LEAST_PIECE {
            self.wanting = 0;
            return None;
        }
        let hurry = excess > HURRY;
        if self.rest > 0 && !hurry {
            return None;
        }
        if early {
            self.wanting += 1;
            // Only what completes a tick puts off the need for more.
            let ticks = (-TOLERANCE - excess + CHUNK - 1) / CHUNK;
            return Some(Stretch::Expand {
                wanted: (ticks * CHUNK - rest) as usize,
                alike: self.likeness(),
            });
        }
        let alike = if hurry {
            BARELY_ALIKE
        } else if excess > SLACK {
            self.wanting += 1;
            self.likeness()
        } else {
            f32::INFINITY
        };
        Some(Stretch::Accelerate {
            most: most as usize,
            alike,
        })
    }

    /// How alike two pieces must be for one to go or to come again; less, the longer that is wanted.
    fn likeness(&self) -> f32 {
        let patience = 1.0 - self.wanting.min(LONG) as f32 / LONG as f32;
        BARELY_ALIKE + (ALIKE - BARELY_ALIKE) * patience
    }

    /// Says what became of a correction: how many samples were ready before it and are now.
    pub fn stretched(&mut self, before: usize, after: usize) {
        if let Some(low) = &mut self.low {
            *low += whole_frames(after) - whole_frames(before);
        }
        self.rest = REST;
        self.wanting = 0;
        if after < before {
            self.stats.accelerated += (before - after) as u64;
        } else {
            self.stats.expanded += (after - before) as u64;
        }
    }

    /// Says that a step's sound was not to be had, and was concealed.
    pub fn concealed_instead(&mut self, step: Rescue, samples: usize) {
        let counter = match step {
            Rescue::Packet => &mut self.stats.played,
            Rescue::Dred => &mut self.stats.from_dred,
        };
        *counter = counter.saturating_sub(samples as u64);
        self.stats.concealed += samples as u64;
    }

    /// What the stream has been like when the tick at `now` has been served, with `ready` samples
    /// decoded and not yet played.
    pub fn stats(&self, now: Duration, ready: usize) -> JitterStats {
        let now = to_samples(now);
        let delay = match (self.transit.base(), self.phase) {
            (Some(base), Phase::Playing) => {
                // What is ready comes with the next tick.
                let playing = self.next + self.hidden - ready as Samples;
                now + CHUNK - base - playing
            }
            _ => 0,
        };
        JitterStats {
            delay: to_duration(delay),
            target: to_duration(self.target.get(now)),
            ..self.stats
        }
    }

    /// A packet's timestamp in full, or `None` when it belongs nowhere; begins anew where the stream
    /// does.
    fn place(&mut self, packet: &Packet<'_>, now: Samples) -> Option<Samples> {
        let fresh = Samples::from(packet.timestamp);
        let Some((arrived, highest)) = self.last else {
            self.begin(packet, now, fresh);
            return Some(fresh);
        };
        if self.ssrc != Some(packet.ssrc) || now - arrived > STALE {
            self.begin(packet, now, fresh);
            self.stats.resyncs += 1;
            return Some(fresh);
        }
        let step = Samples::from(packet.timestamp.wrapping_sub(highest as u32) as i32);
        let elapsed = now - arrived;
        if step - elapsed > FUTURE || step < -PAST {
            // One such packet is an accident, two that follow each other are a new time.
            let follows = self.stray.is_some_and(|(sequence, timestamp)| {
                let ahead = packet.timestamp.wrapping_sub(timestamp);
                packet.sequence == sequence.wrapping_add(1) && Samples::from(ahead) < FUTURE
            });
            if !follows {
                self.stray = Some((packet.sequence, packet.timestamp));
                return None;
            }
            self.begin(packet, now, fresh);
            self.stats.resyncs += 1;
            return Some(fresh);
        }
        self.stray = None;
        let at = highest + step;
        let lag = self.transit.base().map_or(0, |base| now - at - base);
        if elapsed > STOPPED && lag > STOOD_STILL {
            self.transit.forget();
        }
        self.last = Some((now, highest.max(at)));
        Some(at)
    }

    fn begin(&mut self, packet: &Packet<'_>, now: Samples, at: Samples) {
        self.ssrc = Some(packet.ssrc);
        self.last = Some((now, at));
        self.stray = None;
        self.sequence.restart();
        self.frames.clear();
        self.transit.forget();
        self.stop();
    }

    fn stop(&mut self) {
        self.phase = Phase::Waiting;
        self.hidden = 0;
        self.last_sequence = None;
    }

    fn insert_copy(&mut self, at: Samples, redundant: &super::Redundant<'_>) {
        let offset = Samples::from(redundant.offset);
        if !(1..=OLDEST_COPY).contains(&offset) || self.frames.came(at) {
            return;
        }
        if let Some(frame) = Frame::new(redundant.payload, None, Source::Red) {
            self.target.recovered(offset);
            self.insert_frame(at, frame);
        }
    }

    /// Counts the frames before this one that it is the first to make up for.
    fn count_rescues(&mut self, at: Samples, frame: &Frame, missing: i64) {
        self.target.recovered(0);
        let reach = match (frame.dred, frame.fec) {
            (true, _) => 5,
            (false, true) => 1,
            (false, false) => 0,
        };
        for back in 1..=missing.min(reach) {
            let distance = back * frame.samples;
            if !self.frames.came(at - distance) {
                self.target.recovered(distance);
            }
        }
    }

    fn insert_frame(&mut self, at: Samples, frame: Frame) {
        let again = self.frames.came(at);
        if !again {
            self.frames.note(at);
        }
        if self.phase != Phase::Waiting && at + frame.samples <= self.next {
            // What was had from a copy is not missed.
            self.stats.late += u64::from(!again && frame.source == Source::Packet);
            return;
        }
        let waits = self.frames.get(at).is_some();
        if again && !waits {
            return;
        }
        self.stats.dropped += self.frames.insert(at, frame);
    }

    fn payload(&self, at: Samples) -> &[u8] {
        self.frames.get(at).map_or(&[], |frame| &frame.payload)
    }

    /// `now` is when what is decided on is needed.
    fn plan(&mut self, now: Samples) -> Plan {
        let Some(base) = self.transit.base() else {
            return self.nothing();
        };
        let target = self.target.get(now);
        // What has been held back for long enough starts no later than this.
        let ripe = now - base - target + TOLERANCE;
        if self.phase == Phase::Waiting {
            let Some(at) = self.frames.newest_until(ripe) else {
                return self.nothing();
            };
            self.frames.drop_before(at);
            return Plan::Play {
                at,
                skip: 0,
                join: Join::Begins,
            };
        }

        self.frames.drop_ended(self.next);
        let Some((at, frame)) = self.frames.first() else {
            return self.underrun();
        };
        let (samples, fec, dred) = (frame.samples, frame.fec, frame.dred);
        let follows =
            frame.sequence.is_some() && frame.sequence == self.last_sequence.map(|s| s + 1);
        if at > self.next {
            if self.phase == Phase::Silent || follows {
                // Nothing is missing: silence was left out. It may last until the delay is right.
                if at > ripe {
                    self.phase = Phase::Silent;
                    return self.underrun();
                }
                self.next = at;
            } else {
                // Something is, and part of it has been made up for already.
                let covered = self.hidden.min(at - self.next);
                self.next += covered;
                self.hidden -= covered;
            }
        }
        let excess = now - base - self.next - target;
        if excess > CATCH_UP
            && let Some(newest) = self.frames.newest_until(ripe)
            && (newest > at || at > self.next)
        {
            self.stats.dropped += self.frames.drop_before(newest);
            self.low = None;
            return Plan::Play {
                at: newest,
                skip: 0,
                join: Join::Jumps,
            };
        }
        let gap = at - self.next;
        if gap < GRAIN {
            return self.play(at, samples, excess);
        }
        self.fill(at, gap, samples, fec, dred)
    }

    fn nothing(&mut self) -> Plan {
        if self.sounding {
            return Plan::Conceal {
                samples: CHUNK,
                fade_out: true,
            };
        }
        Plan::Nothing
    }

    fn underrun(&mut self) -> Plan {
        self.hidden += CHUNK;
        if self.hidden >= STOPPED {
            self.stop();
            return self.nothing();
        }
        match self.phase {
            Phase::Silent => Plan::Silence,
            _ => Plan::Conceal {
                samples: CHUNK,
                fade_out: false,
            },
        }
    }

    fn play(&mut self, at: Samples, samples: Samples, excess: Samples) -> Plan {
        let mut skip = (self.next - at).max(0);
        // The packet was only late, and something else was heard for its beginning. Unless the delay
        // was too short anyway, don't let it grow by that.
        if self.phase == Phase::Playing && self.hidden > 0 && excess >= CHUNK {
            skip += self.hidden.min(excess);
        }
        let skip = (skip / GRAIN * GRAIN).min(samples - GRAIN).max(0);
        let join = if skip > 0 { Join::Jumps } else { Join::Follows };
        if self.hidden > 0 {
            self.low = None;
        }
        Plan::Play { at, skip, join }
    }

    fn fill(&mut self, at: Samples, gap: Samples, samples: Samples, fec: bool, dred: bool) -> Plan {
        if fec && gap <= samples {
            self.next = at;
            // Opus makes the whole frame or none.
            let skip = (samples - gap) / GRAIN * GRAIN;
            return Plan::Fec { at, samples, skip };
        }
        let rest = if fec { gap - samples } else { gap };
        let samples = (rest / GRAIN * GRAIN).clamp(GRAIN, CHUNK);
        self.next += samples;
        if dred {
            return Plan::Dred {
                at,
                before: gap,
                samples,
            };
        }
        Plan::Conceal {
            samples,
            fade_out: false,
        }
    }
}

/// Of what is ready, so much puts off the need for more. The rest of a tick does not: it was left over
/// by a stretch, and the packet that completes it is needed no later for it.
const fn whole_frames(ready: usize) -> Samples {
    (ready / FRAME * FRAME) as Samples
}
