//! Lets the city live on a server, and measures.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use hdrhistogram::Histogram;
use neartalk_shared::{Spot, range::Circle};

use super::{
    check::{Findings, Recipients},
    map::Map,
    plan::{Act, Due, numbers},
    protocol::{Heard, Note, Protocol},
    servers::Servers,
    verdict::{Generator, Performance},
};
use crate::swarm::Swarm;

/// Longest latency that is told apart, in nanoseconds.
const LONGEST_NS: u64 = 120_000_000_000;
/// How many messages are looked up person by person, about.
const SAMPLE: usize = 400;
/// People who arrive together.
const ARRIVALS: usize = 256;
/// Acts in a row before sockets are read again.
const IN_A_ROW: usize = 64;

/// What is to be done and for how long.
#[derive(Clone, Copy)]
pub struct Work<'a> {
    pub map: &'a Map,
    pub neighbours: &'a [Vec<u32>],
    pub acts: &'a [Due],
    /// Before anything is measured, in nanoseconds from the beginning.
    pub warm_up: u64,
    /// When it ends.
    pub end: u64,
    pub text_bytes: usize,
}

/// What came of it.
pub struct Outcome {
    /// Deliveries a second that were asked for.
    pub offered: f64,
    /// How long was measured, in seconds.
    pub seconds: f64,
    /// Messages that came to somebody who wants them.
    pub delivered: u64,
    /// Messages that came to somebody who does not, and threw them away.
    pub wasted: u64,
    /// Signals of voice that came.
    pub signals: u64,
    /// Everything else that came: who is around.
    pub presence: u64,
    /// From when a message was due to when it was read by somebody who wants it, in nanoseconds.
    pub latency: Histogram<u64>,
    /// Processor time of the server with everything that it needs, in seconds.
    pub cpu: f64,
    /// Of it, that of Redis.
    pub redis_cpu: f64,
    /// Resident memory of all that, in bytes.
    pub rss: u64,
    pub findings: Findings,
    /// Messages and signals that the server says arrived and that did not, or the reverse.
    pub lost: u64,
    pub closed: usize,
    pub refused: u64,
    pub generator: Generator,
}

impl Outcome {
    /// Deliveries a second.
    pub fn rate(&self) -> f64 {
        self.delivered as f64 / self.seconds
    }

    /// Deliveries for each second of the server's processor time.
    pub fn per_cpu(&self) -> f64 {
        self.delivered as f64 / self.cpu.max(0.01)
    }

    pub fn p99(&self) -> u64 {
        self.latency.value_at_quantile(0.99)
    }

    pub fn performance(&self) -> Performance {
        Performance {
            offered: self.offered,
            delivered: self.rate(),
            p99_ns: self.p99(),
            wrong: self.findings.wrong() + self.lost + self.refused,
            closed: self.closed,
        }
    }
}

/// What happens as things are read.
struct Inbox {
    /// Where everybody is, as they know themselves.
    spots: Vec<Spot>,
    /// Where each message was said.
    said: Vec<Circle>,
    recipients: Recipients,
    discards: bool,
    /// Messages that were due before are not measured.
    since: u64,
    latency: Histogram<u64>,
    /// All that was wanted, from the beginning.
    messages: u64,
    wasted: u64,
    signals: u64,
    presence: u64,
    sent: u64,
    reached: u64,
    refused: u64,
    first_refusal: Option<String>,
}

impl Inbox {
    #[inline]
    fn hear(&mut self, who: u32, at: u64, heard: Heard) {
        match heard {
            Heard::Message(note) => {
                let Some(from) = self.said.get(note.number as usize) else {
                    self.refused += 1;
                    return;
                };
                if self.discards && !self.spots[who as usize].circle().in_range(from) {
                    self.wasted += 1;
                    return;
                }
                self.messages += 1;
                if note.due >= self.since {
                    self.latency.saturating_record(at.saturating_sub(note.due));
                }
                self.recipients.got(note.number, who);
            }
            Heard::Signal(_) => self.signals += 1,
            Heard::Presence => self.presence += 1,
            Heard::Placed => self.recipients.confirmed(who, at),
            Heard::Sent(reached) => {
                self.sent += 1;
                self.reached += reached;
            }
            Heard::Welcome => {}
            Heard::Refused(why) => {
                self.refused += 1;
                self.first_refusal.get_or_insert(why);
            }
        }
    }

    /// Messages, wasted ones, signals and the rest until now.
    const fn counts(&self) -> [u64; 4] {
        [self.messages, self.wasted, self.signals, self.presence]
    }
}

/// Brings everybody to where they begin.
pub fn populate<P: Protocol>(swarm: &mut Swarm, protocol: &mut P, map: &Map) -> Result<()> {
    let everybody: Vec<u32> = (0..map.people.len() as u32).collect();
    for group in everybody.chunks(ARRIVALS) {
        for _ in group {
            protocol.join(swarm)?;
        }
        wait_for(swarm, protocol, &Heard::Welcome, group.len())?;
    }
    for group in everybody.chunks(ARRIVALS) {
        let mut answers = 0;
        for &who in group {
            let spot = &map.people[who as usize].spot;
            answers += usize::from(protocol.place(swarm, who, None, spot)?);
        }
        wait_for(swarm, protocol, &Heard::Placed, answers)?;
    }
    for group in numbers(map, |person| person.in_voice).chunks(ARRIVALS) {
        for &who in group {
            protocol.voice(swarm, who, &map.people[who as usize].spot, true)?;
        }
        read_for(swarm, protocol, Duration::from_millis(100))?;
    }
    // Whoever arrives causes a stir.
    for _ in 0..60 {
        if read_for(swarm, protocol, Duration::from_millis(1_200))? == 0 {
            break;
        }
    }
    swarm.ensure_all_open()
}

/// Reads whatever comes for a time; how much that was.
fn read_for<P: Protocol>(swarm: &mut Swarm, protocol: &mut P, time: Duration) -> Result<usize> {
    let until = swarm.now() + time.as_nanos() as u64;
    let mut come = 0;
    while swarm.now() < until {
        come += read_once(swarm, protocol, Duration::from_millis(20), |_| {})?;
    }
    Ok(come)
}

fn read_once<P: Protocol>(
    swarm: &mut Swarm,
    protocol: &mut P,
    patience: Duration,
    mut hear: impl FnMut(Heard),
) -> Result<usize> {
    let mut come = 0;
    for index in 0..swarm.poll(patience)? {
        let who = swarm.number(index) as u32;
        swarm.read(index, |_, bytes| {
            come += 1;
            protocol.read(who, bytes, &mut hear);
        })?;
    }
    protocol.reply(swarm)?;
    Ok(come)
}

/// Reads until something has been heard so often.
fn wait_for<P: Protocol>(
    swarm: &mut Swarm,
    protocol: &mut P,
    wanted: &Heard,
    count: usize,
) -> Result<()> {
    let until = swarm.now() + 30_000_000_000;
    let mut come = 0;
    let mut refusal = None;
    while come < count {
        read_once(swarm, protocol, Duration::from_millis(100), |heard| {
            come += usize::from(heard == *wanted);
            if let Heard::Refused(why) = heard {
                refusal = Some(why);
            }
        })?;
        if let Some(refusal) = &refusal {
            bail!("{} refuses somebody: {refusal}", protocol.name());
        }
        ensure!(
            swarm.now() < until,
            "{} has answered {come} of {count} people within 30 s with {wanted:?}",
            protocol.name()
        );
        swarm.ensure_all_open()?;
    }
    Ok(())
}

/// Everything that was read from `from` to `to`.
struct Window {
    started: u64,
    cpu: f64,
    redis_cpu: f64,
    counts: [u64; 4],
}

/// Lets everybody live for as long as the work says. Everybody is at their place already.
pub fn live<P: Protocol>(
    swarm: &mut Swarm,
    protocol: &mut P,
    work: &Work<'_>,
    servers: &Servers,
) -> Result<Outcome> {
    let says = |from: u64| {
        let due = work.acts.iter().filter(move |due| due.at >= from);
        due.filter_map(|due| match due.act {
            Act::Say { who } => Some(work.neighbours[who as usize].len() as u64),
            _ => None,
        })
    };
    let spots = work.map.people.iter().map(|person| person.spot);
    let start = swarm.now() + 10_000_000;
    let mut inbox = Inbox {
        said: Vec::with_capacity(says(0).count()),
        recipients: Recipients::new(spots.clone(), (says(0).count() / SAMPLE) as u32),
        spots: spots.collect(),
        discards: protocol.discards(),
        since: start + work.warm_up,
        latency: Histogram::new_with_bounds(1_000, LONGEST_NS, 3)?,
        messages: 0,
        wasted: 0,
        signals: 0,
        presence: 0,
        sent: 0,
        reached: 0,
        refused: 0,
        first_refusal: None,
    };
    let mut late = Histogram::<u64>::new_with_bounds(100, LONGEST_NS, 3)?;
    let mut acts = work.acts.iter().peekable();
    let mut actor = Actor {
        start,
        text_bytes: work.text_bytes,
        signals: 0,
    };
    let mut window: Option<Window> = None;
    let mut idle = 0;
    let mut before = swarm.now();
    while before < start + work.end {
        if window.is_none() && before >= inbox.since {
            let (cpu, redis_cpu) = servers.cpu_seconds()?;
            late.reset();
            idle = 0;
            // Reading them takes a moment, too.
            before = swarm.now();
            window = Some(Window {
                started: before,
                cpu,
                redis_cpu,
                counts: inbox.counts(),
            });
        }
        // It never sleeps: one that does must be woken by the server's core, at the server's
        // expense, and is late for what is due.
        let mut done = actor.act(swarm, protocol, &mut inbox, &mut acts, &mut late)?;
        let ready = swarm.poll(Duration::ZERO)?;
        for index in 0..ready {
            let who = swarm.number(index) as u32;
            swarm.read(index, |at, bytes| {
                protocol.read(who, bytes, &mut |heard| inbox.hear(who, at, heard));
            })?;
            done += actor.act(swarm, protocol, &mut inbox, &mut acts, &mut late)?;
        }
        protocol.reply(swarm)?;
        let now = swarm.now();
        if done + ready == 0 {
            idle += now - before;
        }
        before = now;
    }
    let window = window.context("the warm-up takes longer than the run")?;
    let (cpu, redis_cpu) = servers.cpu_seconds()?;
    let rss = servers.rss()?;
    let now = inbox.counts();
    let [delivered, wasted, signals, presence] =
        std::array::from_fn(|which| now[which] - window.counts[which]);
    let elapsed = before - window.started;
    let left = acts.count();

    drain(swarm, protocol, &mut inbox)?;
    if let Some(refusal) = &inbox.first_refusal {
        eprintln!("  {} refusals, the first: {refusal}", inbox.refused);
    }
    if !swarm.closed().is_empty() {
        eprintln!("  closed (code: how many): {:?}", swarm.closed());
    }
    let signals_lost = actor.signals.abs_diff(inbox.signals);
    let (mut unanswered, mut miscounted) = (0, 0);
    if inbox.sent > 0 {
        unanswered = inbox.sent.abs_diff(inbox.said.len() as u64);
        // Of people on other servers this counts those who are known by then, and is a little off.
        miscounted = inbox.reached.abs_diff(inbox.messages);
    }
    let mut lost = signals_lost + unanswered;
    if servers.addresses.len() == 1 {
        lost += miscounted;
    }
    let longest = inbox.latency.max().max(1_000_000);
    let findings = inbox.recipients.findings(longest, protocol.slack_m());
    if findings.wrong() + lost + miscounted > 0 {
        eprintln!(
            "  {findings:?}; of all, {signals_lost} signals did not come, {unanswered} messages were not answered, \
             and senders were told {} deliveries of {}",
            inbox.reached, inbox.messages
        );
    }
    Ok(Outcome {
        offered: says(work.warm_up).sum::<u64>() as f64 / ((work.end - work.warm_up) as f64 / 1e9),
        seconds: elapsed as f64 / 1e9,
        delivered,
        wasted,
        signals,
        presence,
        cpu: cpu - window.cpu,
        redis_cpu: redis_cpu - window.redis_cpu,
        rss,
        findings,
        lost,
        closed: swarm.closed().values().sum(),
        refused: inbox.refused,
        generator: Generator {
            busy: 1.0 - idle as f64 / elapsed.max(1) as f64,
            late_p99_ns: late.value_at_quantile(0.99),
            done: 1.0 - left as f64 / work.acts.len().max(1) as f64,
        },
        latency: inbox.latency,
    })
}

/// Reads until nothing more comes.
fn drain<P: Protocol>(swarm: &mut Swarm, protocol: &mut P, inbox: &mut Inbox) -> Result<()> {
    let limit = swarm.now() + 15_000_000_000;
    let mut silent_since = swarm.now();
    while swarm.now() < limit && swarm.now() - silent_since < 700_000_000 {
        let before = (inbox.messages, inbox.wasted, inbox.signals, inbox.sent);
        for index in 0..swarm.poll(Duration::from_millis(50))? {
            let who = swarm.number(index) as u32;
            swarm.read(index, |at, bytes| {
                protocol.read(who, bytes, &mut |heard| inbox.hear(who, at, heard));
            })?;
        }
        protocol.reply(swarm)?;
        if before != (inbox.messages, inbox.wasted, inbox.signals, inbox.sent) {
            silent_since = swarm.now();
        }
    }
    Ok(())
}

/// Does what is due.
struct Actor {
    start: u64,
    text_bytes: usize,
    /// How many signals were sent.
    signals: u64,
}

impl Actor {
    /// Does what is due; how much that was.
    #[inline]
    fn act<'a, P: Protocol>(
        &mut self,
        swarm: &mut Swarm,
        protocol: &mut P,
        inbox: &mut Inbox,
        acts: &mut std::iter::Peekable<impl Iterator<Item = &'a Due>>,
        late: &mut Histogram<u64>,
    ) -> Result<usize> {
        let mut done = 0;
        // The bound lets a generator that is behind read as well.
        while done < IN_A_ROW {
            let now = swarm.now();
            let Some(due) = acts.next_if(|due| self.start + due.at <= now) else {
                break;
            };
            let at = self.start + due.at;
            match due.act {
                Act::Say { who } => {
                    let spot = &inbox.spots[who as usize];
                    let note = Note {
                        due: at,
                        number: inbox.said.len() as u32,
                        sender: who,
                    };
                    protocol.say(swarm, note, spot, self.text_bytes)?;
                    inbox.said.push(*spot.circle());
                    inbox.recipients.said(note.number, who, now);
                }
                Act::Walk { who, to } => {
                    let from = std::mem::replace(&mut inbox.spots[who as usize], to);
                    inbox.recipients.moves(who, to, now);
                    if !protocol.place(swarm, who, Some(&from), &to)? {
                        // Nothing that the server has to do anything for.
                        inbox.recipients.confirmed(who, now);
                    }
                }
                Act::Signal { from, to } => {
                    let note = Note {
                        due: at,
                        number: 0,
                        sender: from,
                    };
                    protocol.signal(swarm, note, to)?;
                    self.signals += 1;
                }
                Act::Voice { who, inside } => {
                    protocol.voice(swarm, who, &inbox.spots[who as usize], inside)?;
                }
            }
            late.saturating_record(now - at);
            done += 1;
        }
        Ok(done)
    }
}
