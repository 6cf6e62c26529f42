//! Calls between people in this process: sound in at one, sound out at the others, over real sockets on
//! loopback.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "support/signal.rs"]
mod signal;

use std::{
    f32::consts::TAU,
    time::{Duration, Instant},
};

use neartalk_voice::{
    FRAME,
    call::{Call, CallConfig, CallEvent, Quality},
    mesh::{Event, LinkState, MeshConfig},
    peer::{Signal, State},
};
use rand::{SeedableRng, rngs::SmallRng};
use tokio::{runtime::Handle, time::MissedTickBehavior};

/// Nothing here takes so long unless something is broken.
const GUARD: Duration = Duration::from_secs(20);

type Id = u8;

/// Somebody in the call, with what they say and what they heard.
struct Person {
    id: Id,
    call: Call<Id, SmallRng>,
    /// Pitch of what they say; `None` is muted.
    says: Option<f32>,
    /// What they say instead, and what their microphone hears though nobody is to hear it.
    speech: Vec<f32>,
    air: Vec<f32>,
    said: usize,
    heard: Vec<f32>,
    connected: Option<Duration>,
}

impl Person {
    fn frame(&mut self) -> Option<[f32; FRAME]> {
        if let Some(air) = self.air.get(self.said..self.said + FRAME) {
            self.call.overhear(air.try_into().unwrap());
            self.said += FRAME;
            return None;
        }
        if let Some(speech) = self.speech.get(self.said..self.said + FRAME) {
            self.said += FRAME;
            return Some(speech.try_into().unwrap());
        }
        let hz = self.says?;
        let frame = std::array::from_fn(|n| {
            0.3 * (TAU * (hz * (self.said + n) as f32 / 48_000.0).fract()).sin()
        });
        self.said += FRAME;
        Some(frame)
    }
}

/// People all in range of each other, on a 10 ms clock.
struct Room {
    start: Instant,
    pace: tokio::time::Interval,
    people: Vec<Person>,
    signals: usize,
}

impl Room {
    fn new(says: &[Option<f32>]) -> Self {
        let start = Instant::now();
        let mut pace = tokio::time::interval(Duration::from_millis(10));
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let people = says
            .iter()
            .zip(0..)
            .map(|(&says, id)| {
                let config = CallConfig {
                    mesh: MeshConfig::default(),
                    addresses: vec!["127.0.0.1:0".parse().unwrap()],
                    ..Default::default()
                };
                let rng = SmallRng::seed_from_u64(u64::from(id));
                Person {
                    id,
                    call: Call::new(config, Handle::current(), start, rng).unwrap(),
                    says,
                    speech: Vec::new(),
                    air: Vec::new(),
                    said: 0,
                    heard: Vec::new(),
                    connected: None,
                }
            })
            .collect();
        Self {
            start,
            pace,
            people,
            signals: 0,
        }
    }

    fn appear(&mut self, a: usize, b: usize) {
        let now = self.start.elapsed();
        for (this, other) in [(a, b), (b, a)] {
            let event = Event::Appeared {
                peer: other as Id,
                polite: this > other,
                near_edge_m: 0,
            };
            self.people[this].call.handle(event, now);
        }
    }

    async fn tick(&mut self) {
        // As often as a processing thread may look while somebody is being connected.
        let mut look = tokio::time::interval(Duration::from_millis(2));
        loop {
            tokio::select! {
                _ = self.pace.tick() => break,
                _ = look.tick() => {}
            }
            let now = self.start.elapsed();
            for person in &mut self.people {
                person.call.pump(now);
            }
            self.carry();
        }
        let now = self.start.elapsed();
        for person in &mut self.people {
            let frame = person.frame();
            let mut out = [0.0; FRAME];
            person.call.say(now, frame.as_ref());
            person.call.hear(now, &mut out);
            person.heard.extend_from_slice(&out);
        }
        self.carry();
    }

    /// What the relay does. Until nobody has anything to say.
    fn carry(&mut self) {
        let now = self.start.elapsed();
        for n in 0..self.people.len() {
            let from = self.people[n].id;
            while let Some(event) = self.people[n].call.next_event() {
                match event {
                    CallEvent::Signal { to, signal } => {
                        self.signals += 1;
                        self.people[usize::from(to)].call.signal(from, signal, now);
                    }
                    CallEvent::State {
                        state: State::Connected,
                        ..
                    } => {
                        self.people[n].connected.get_or_insert(now);
                    }
                    CallEvent::State { .. } | CallEvent::Notice(_) => {}
                }
            }
        }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < GUARD, "{what} took more than {GUARD:?}");
            self.tick().await;
        }
    }

    /// The same for what takes long to look at: every half second, lest the clock be late.
    async fn until_sounds(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            assert!(began.elapsed() < GUARD, "{what} took more than {GUARD:?}");
            self.pass(Duration::from_millis(500)).await;
        }
    }

    async fn pass(&mut self, time: Duration) {
        for _ in 0..time.as_millis() / 10 {
            self.tick().await;
        }
    }

    fn quality(&self, of: usize, peer: Id) -> Quality {
        let call = &self.people[of].call;
        call.quality(peer, self.start.elapsed()).unwrap()
    }

    fn connections(&self) -> Vec<usize> {
        self.people
            .iter()
            .map(|person| person.call.connected().count())
            .collect()
    }
}

/// Amplitude of one pitch in a sound.
fn amplitude(sound: &[f32], hz: f32) -> f32 {
    let (mut re, mut im) = (0.0f64, 0.0f64);
    for (n, &sample) in sound.iter().enumerate() {
        let phase = std::f64::consts::TAU * f64::from(hz) * n as f64 / 48_000.0;
        re += f64::from(sample) * phase.cos();
        im += f64::from(sample) * phase.sin();
    }
    (2.0 * re.hypot(im) / sound.len() as f64) as f32
}

/// Its pitch, of those within 10 % of `near`, in steps of 1 Hz.
fn pitch(sound: &[f32], near: f32) -> f32 {
    let (from, to) = ((near * 0.9) as u32, (near * 1.1) as u32);
    (from..=to)
        .map(|hz| hz as f32)
        .max_by(|&a, &b| amplitude(sound, a).total_cmp(&amplitude(sound, b)))
        .unwrap()
}

fn rms(sound: &[f32]) -> f32 {
    (sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32).sqrt()
}

fn last_half_second(sound: &[f32]) -> &[f32] {
    &sound[sound.len().saturating_sub(24_000)..]
}

/// Whether somebody has heard this pitch for half a second, as loud as it is to be.
fn hears(person: &Person, hz: f32, gain: f32) -> bool {
    let sound = last_half_second(&person.heard);
    let amplitude = rms(sound) * 2f32.sqrt();
    let decibels = 20.0 * (amplitude / (0.3 * gain)).log10();
    // Half a second tells pitches 2 Hz apart; stretching moves the phase.
    decibels.abs() < 1.5 && (pitch(sound, hz) - hz).abs() <= 2.0
}

#[tokio::test]
async fn what_one_says_the_other_hears() {
    let mut room = Room::new(&[Some(440.0), None]);
    room.appear(0, 1);
    let before = room.quality(0, 1);
    assert_eq!(before.state, LinkState::Connecting);
    assert_eq!((before.hears_me, before.first_sound), (None, None));
    room.until("connecting", |room| room.connections() == [1, 1])
        .await;
    room.until_sounds("sound", |room| hears(&room.people[1], 440.0, 1.0))
        .await;
    // Nobody hears themselves, and who is muted is not heard.
    assert_eq!(rms(last_half_second(&room.people[0].heard)), 0.0);

    // Now the other way, and less loud.
    room.people[0].says = None;
    room.people[1].says = Some(660.0);
    room.people[0].call.set_volume(1, 0.5, false);
    room.until_sounds("the other's sound", |room| {
        hears(&room.people[0], 660.0, 0.5)
    })
    .await;
    // What one knows of the other comes with their reports.
    room.until("a good connection", |room| {
        let quality = room.quality(0, 1);
        (quality.loss, quality.send_loss, quality.hears_me) == (0.0, Some(0.0), Some(true))
            && quality.concealed < 0.2
            && quality.round_trip.is_some()
    })
    .await;
    let quality = room.quality(0, 1);
    println!("{quality:?}");
    assert_eq!(quality.state, LinkState::Connected);
    assert_eq!(quality.relayed, Some(false));
    assert!(quality.round_trip.is_some_and(|time| time < GUARD));
    assert!(quality.target >= Duration::from_millis(5));
    assert!(quality.first_sound.is_some_and(|after| after < GUARD));
    // Who was muted from the start was heard only later.
    assert!(quality.first_sound > room.quality(1, 0).first_sound);
    room.until_sounds("silence of who is muted", |room| {
        rms(last_half_second(&room.people[1].heard)) < 0.01
    })
    .await;

    room.people[0].call.deafen(true);
    room.until_sounds("deafness", |room| {
        rms(last_half_second(&room.people[0].heard)) < 1e-3
    })
    .await;
}

#[tokio::test]
async fn three_hear_each_other_and_whoever_leaves_is_gone() {
    let says = [Some(440.0), Some(660.0), Some(990.0)];
    let mut room = Room::new(&says);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        room.appear(a, b);
    }
    room.until("connecting", |room| room.connections() == [2, 2, 2])
        .await;
    let amplitude_of = |room: &Room, n: usize, m: usize| {
        amplitude(last_half_second(&room.people[n].heard), says[m].unwrap())
    };
    room.until_sounds("hearing both others", |room| {
        let of_others = |n| (0..3).filter(move |&m| m != n);
        (0..3).all(|n| of_others(n).all(|m| amplitude_of(room, n, m) > 0.2))
    })
    .await;
    for n in 0..3 {
        let own = amplitude_of(&room, n, n);
        assert!(own < 0.2, "{n} hears themselves at {own}");
    }

    let now = room.start.elapsed();
    for n in 0..2 {
        room.people[n].call.handle(Event::Left { peer: 2 }, now);
    }
    room.until_sounds("one to be gone, and the other there", |room| {
        amplitude_of(room, 0, 2) < 0.01 && amplitude_of(room, 0, 1) > 0.2
    })
    .await;
    assert_eq!(room.connections()[..2], [1, 1]);
}

#[tokio::test]
async fn whoever_is_blocked_is_disconnected_and_refused() {
    let mut room = Room::new(&[Some(440.0), None]);
    room.appear(0, 1);
    room.until("connecting", |room| room.connections() == [1, 1])
        .await;
    let now = room.start.elapsed();
    room.people[1].call.handle(Event::Blocked { peer: 0 }, now);
    room.until("hanging up", |room| room.connections() == [0, 0])
        .await;
    let signals = room.signals;
    room.pass(Duration::from_millis(500)).await;
    assert!(
        last_half_second(&room.people[1].heard)[12_000..]
            .iter()
            .all(|s| *s == 0.0)
    );
    assert_eq!(room.signals, signals, "nobody is to ask again at once");
    // Strangers get no answer.
    room.people[1].call.signal(9, Signal::Bye, now);
    assert!(room.people[1].call.next_event().is_none());
}

#[tokio::test]
async fn whoever_is_in_the_same_room_is_ducked_until_they_go() {
    let mut room = Room::new(&[None, None]);
    let speech = signal::speech(5, 30 * 48_000);
    // Two metres through the air.
    room.people[1].air = speech.iter().map(|sample| 0.2 * sample).collect();
    room.people[1].air.rotate_right(300);
    room.people[0].speech = speech;
    room.appear(0, 1);
    room.until("finding out", |room| room.people[1].call.same_room(0))
        .await;
    println!("after {} s", room.people[1].said as f32 / 48_000.0);
    assert!(!room.people[0].call.same_room(1));
    room.until_sounds("silence of who speaks", |room| {
        room.people[1].call.levels(0).unwrap().peak_dbfs > -30.0
            && rms(last_half_second(&room.people[1].heard)) < 0.01
    })
    .await;
    // Another band: out of earshot.
    let moved = Event::Moved {
        peer: 0,
        near_edge_m: 50,
    };
    let now = room.start.elapsed();
    room.people[1].call.handle(moved, now);
    room.until_sounds("hearing them again", |room| {
        rms(last_half_second(&room.people[1].heard)) > 0.02
    })
    .await;
    assert!(!room.people[1].call.same_room(0));
}

#[tokio::test]
async fn joining_is_quick() {
    let mut times = Vec::new();
    for _ in 0..10 {
        let mut room = Room::new(&[Some(440.0), Some(660.0)]);
        let began = room.start.elapsed();
        room.appear(0, 1);
        let heard = |person: &Person| person.heard.iter().any(|sample| sample.abs() > 0.05);
        room.until("joining", |room| room.people.iter().all(heard))
            .await;
        let took = room.start.elapsed() - began;
        for (of, peer) in [(0, 1), (1, 0)] {
            let first = room.quality(of, peer).first_sound.unwrap();
            assert!(first <= took, "{first:?} of {took:?}");
        }
        times.push(took);
    }
    times.sort();
    println!(
        "from appearing to sound both ways: p50 {:?}, max {:?} of {}",
        times[times.len() / 2],
        times[times.len() - 1],
        times.len()
    );
}
