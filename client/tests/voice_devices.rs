//! Voice between real programs: a real relay, real sockets, and for each person the terminal client
//! with a microphone and a loudspeaker of a PulseAudio that the test starts. Everything is judged by
//! what comes out of the loudspeakers.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

use std::{
    cell::RefCell,
    collections::BTreeSet,
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use neartalk_rig::{
    headless::Headless,
    pulse::{Pulse, Recorder, Recording},
    relay::Relay,
    sound::{self, samples, synthetic_speech},
};

/// Where everybody is to begin with.
const HERE: &str = "52.5163,13.3777";

/// Seconds of sound that may go by until what is waited for is heard (or no longer is).
const PATIENCE: usize = 25;

/// The longest way from mouth to ear, in samples, that is looked at.
const LONGEST: usize = 24_000;

/// Nothing is done to the sound, so that it is as loud as it was said.
const PLAIN: [&str; 8] = [
    "--echo", "off", "--noise", "off", "--gain", "off", "--talk", "open",
];

/// One at a time: they need all of a small machine.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// People in voice who have each other on the line.
struct Room {
    people: Vec<Headless>,
    recorder: Recorder,
    pulse: Pulse,
    _relay: Relay,
    _turn: MutexGuard<'static, ()>,
}

impl Room {
    fn with_devices(count: usize, options: &[&str]) -> Self {
        Self::enter(count, options, &[])
    }

    /// So many people with devices, and then one more for each of the `files`, who says it and hears
    /// into nothing.
    fn enter(count: usize, options: &[&str], files: &[PathBuf]) -> Self {
        let turn = turn();
        let pulse = Pulse::start(count).unwrap();
        let relay =
            Relay::start(&["--location-interval", "500ms", "--location-burst", "20"]).unwrap();
        let client = |name: String, more: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_neartalk-headless"));
            pulse.equip_nobody(&mut command);
            command.args([
                "--relay",
                relay.url(),
                "--at",
                HERE,
                "--name",
                &name,
                "--voice",
            ]);
            command.args(["--address", "127.0.0.1:0"]);
            command.args(options).args(more);
            Headless::run(&mut command).unwrap()
        };
        let devices = (0..count).map(|n| {
            let [input, output] = [pulse.microphone(n), pulse.loudspeaker(n)];
            let [input, output] = [input, output].map(|name| format!("pulseaudio:{name}"));
            client(
                format!("Person {n}"),
                &["--input", &input, "--output", &output],
            )
        });
        let mut people: Vec<Headless> = devices.collect();
        people.extend(files.iter().enumerate().map(|(n, file)| {
            let file = file.to_str().unwrap();
            client(format!("File {n}"), &["--mic", file, "--output", "none"])
        }));
        let ids: Vec<String> = people.iter().map(|it| it.peer_id().to_owned()).collect();
        for person in &mut people {
            let own = person.peer_id().to_owned();
            for id in ids.iter().filter(|id| **id != own) {
                person.wait_connected(id).unwrap();
            }
        }
        Self {
            people,
            recorder: pulse.record().unwrap(),
            pulse,
            _relay: relay,
            _turn: turn,
        }
    }

    /// Somebody speaks, each in words of their own, until the value is dropped.
    fn speak(&self, person: usize) -> neartalk_rig::pulse::Player {
        let words = synthetic_speech(person as u64, samples(13.0));
        self.pulse.play_always(person, words).unwrap()
    }

    /// Listens, second by second, until it is so.
    fn until(&mut self, what: &str, fits: impl Fn(&Recording) -> bool) -> Recording {
        self.recorder.skip();
        let mut take = None;
        for _ in 0..PATIENCE {
            let now = self.recorder.next(1.0).unwrap();
            if fits(&now) {
                return now;
            }
            take = Some(now);
        }
        let take = take.expect("there was at least one");
        for person in &mut self.people {
            println!("{} told:\n{}", person.username(), told(person));
        }
        panic!("{what}: not after {PATIENCE} s: {}", self.levels(&take));
    }

    /// The next second has to be so.
    fn now(&mut self, what: &str, fits: impl Fn(&Recording) -> bool) -> Recording {
        let take = self.recorder.next(1.0).unwrap();
        assert!(fits(&take), "{what}: {}", self.levels(&take));
        take
    }

    fn levels(&self, take: &Recording) -> String {
        let ends = (0..self.pulse.people()).map(|n| {
            let [mouth, ear] = [take.microphone(n), take.loudspeaker(n)].map(sound::dbfs);
            format!("{n}: says {mouth:.0} dBFS, hears {ear:.0} dBFS")
        });
        let ends: Vec<String> = ends.collect();
        ends.join("; ")
    }
}

/// What somebody has told, but for what they tell all the time.
fn told(person: &Headless) -> String {
    let printed = person.printed();
    let lines = printed
        .lines()
        .filter(|line| !line.contains("voice_levels") && !line.contains("voice_quality"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether what `from` says comes out of `to`'s loudspeaker.
fn hears(take: &Recording, to: usize, from: usize) -> bool {
    sound::find(take.microphone(from), take.loudspeaker(to), LONGEST).is_certain()
}

/// How much louder or softer it comes out, in dB.
fn gain(take: &Recording, to: usize, from: usize) -> f32 {
    let (said, heard) = (take.microphone(from), take.loudspeaker(to));
    let found = sound::find(said, heard, LONGEST);
    sound::gain_db(said, heard, found.delay)
}

fn is_silent(take: &Recording, person: usize) -> bool {
    sound::loudest_dbfs(take.loudspeaker(person)) < -70.0
}

#[test]
fn as_installed_each_hears_the_other_and_nobody_themselves() {
    let mut room = Room::with_devices(2, &[]);
    let first = room.speak(0);
    room.until("1 hears 0", |take| hears(take, 1, 0));
    // Long enough for whatever comes late.
    for _ in 0..3 {
        room.now("0 hears nothing", |take| is_silent(take, 0));
    }
    let second = room.speak(1);
    room.until("each hears the other while both speak", |take| {
        hears(take, 1, 0) && hears(take, 0, 1)
    });
    for _ in 0..3 {
        room.now("nobody hears themselves", |take| {
            !hears(take, 0, 0) && !hears(take, 1, 1)
        });
    }
    drop(first);
    room.until("1 hears nothing when 0 is silent", |take| {
        is_silent(take, 1)
    });
    room.until("0 still hears 1", |take| hears(take, 0, 1));
    drop(second);
    room.until("silence", |take| is_silent(take, 0));
}

#[test]
fn muting_deafening_volume_and_blocking_do_what_they_say() {
    let mut room = Room::with_devices(2, &PLAIN);
    let _voices = [room.speak(0), room.speak(1)];
    let both = |take: &Recording| hears(take, 1, 0) && hears(take, 0, 1);
    room.until("both hear", both);

    room.people[0].say("/mute").unwrap();
    room.until("1 hears nothing of 0 who is muted", |take| {
        is_silent(take, 1)
    });
    room.now("1 still hears nothing, 0 does", |take| {
        is_silent(take, 1) && hears(take, 0, 1)
    });
    room.people[0]
        .wait("a hint that one speaks while muted", |event| {
            (event["notice"] == "speaks_while_muted").then_some(())
        })
        .unwrap();
    room.people[0].say("/unmute").unwrap();
    room.until("both hear again", both);

    room.people[0].say("/deafen").unwrap();
    room.until("0 is deaf, and thereby mute", |take| {
        is_silent(take, 0) && is_silent(take, 1)
    });
    room.now("it stays so", |take| {
        is_silent(take, 0) && is_silent(take, 1)
    });
    room.people[0].say("/undeafen").unwrap();
    let take = room.until("both hear again", both);

    // The limiter has the last word, but not at this loudness.
    let normal = gain(&take, 1, 0);
    room.people[1].say("/volume Person 0 200").unwrap();
    room.until("0 is twice as loud for 1", |take| {
        hears(take, 1, 0) && (gain(take, 1, 0) - normal - 6.0).abs() < 1.5
    });
    room.people[1].say("/volume Person 0 0").unwrap();
    room.until("0 is silent for 1", |take| is_silent(take, 1));
    room.now("0 still hears 1", |take| {
        is_silent(take, 1) && hears(take, 0, 1)
    });
    room.people[1].say("/volume Person 0 100").unwrap();
    room.until("0 is as loud as before", |take| {
        hears(take, 1, 0) && (gain(take, 1, 0) - normal).abs() < 1.5
    });

    room.people[1].say("/block Person 0").unwrap();
    room.until("who is blocked neither is heard nor hears", |take| {
        is_silent(take, 0) && is_silent(take, 1)
    });
    room.now("it stays so", |take| {
        is_silent(take, 0) && is_silent(take, 1)
    });
}

#[test]
fn three_people_hear_each_the_two_others_until_one_walks_away_and_when_they_are_back() {
    let options = [&PLAIN[..], &["--radius", "100"]].concat();
    let mut room = Room::with_devices(3, &options);
    let _voices = [room.speak(0), room.speak(1), room.speak(2)];
    let others = |n: usize| (0..3).filter(move |other| *other != n);
    let all = |take: &Recording| (0..3).all(|n| others(n).all(|other| hears(take, n, other)));
    room.until("all hear the two others", all);
    room.now("and nobody themselves", |take| {
        !(0..3).any(|n| hears(take, n, n))
    });

    // 600 m to the north.
    room.people[2].say("/move 52.5217,13.3777").unwrap();
    let away = |take: &Recording| is_silent(take, 2) && !hears(take, 0, 2) && !hears(take, 1, 2);
    room.until("who is away hears nobody and nobody hears them", away);
    // As long as it takes to run back without the relay's doubting it.
    for _ in 0..8 {
        room.now("the two others go on", |take| {
            away(take) && hears(take, 0, 1) && hears(take, 1, 0)
        });
    }

    room.people[2].say(&format!("/move {HERE}")).unwrap();
    room.until("all hear the two others again", all);
}

#[test]
fn eight_people_are_a_full_room() {
    // Three have devices; the others, to spare a small machine, read what they say from files.
    // They say the same 10 s for 5 minutes.
    let words: Vec<Vec<f32>> = (3..8).map(|n| synthetic_speech(n, samples(10.0))).collect();
    let folder = std::env::temp_dir().join(format!("neartalk-words-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let files: Vec<PathBuf> = (0..)
        .map(|n| folder.join(format!("{n}.wav")))
        .take(5)
        .collect();
    for (file, words) in files.iter().zip(&words) {
        sound::write_wav(file, &words.repeat(30)).unwrap();
    }
    let mut room = Room::enter(3, &PLAIN, &files);
    let _ = std::fs::remove_dir_all(folder);
    let voices = [room.speak(0), room.speak(1), room.speak(2)];
    // All at once would be more than can be told apart.
    for file in &mut room.people[3..] {
        file.say("/mute").unwrap();
    }
    // On a small machine not all of it is whole within one and the same second.
    let heard = RefCell::new(BTreeSet::new());
    room.until("each of three hears the two others", |take| {
        let pairs = (0..3).flat_map(|to| (0..3).map(move |from| (to, from)));
        let mut heard = heard.borrow_mut();
        heard.extend(pairs.filter(|&(to, from)| to != from && hears(take, to, from)));
        heard.len() == 6 && (0..3).all(|n| !hears(take, n, n))
    });
    drop(voices);
    let silence = |take: &Recording| (0..3).all(|n| is_silent(take, n));
    room.until("silence", silence);
    for (n, words) in words.iter().enumerate() {
        // A second of it is whole somewhere in here.
        let words = [&words[..], &words[..samples(1.0)]].concat();
        room.people[3 + n].say("/unmute").unwrap();
        // Where in the file they are is anybody's guess.
        room.until("all three hear one of the five", |take| {
            (0..3).all(|to| {
                let heard = take.loudspeaker(to);
                !is_silent(take, to) && sound::find(heard, &words, words.len()).is_certain()
            })
        });
        room.people[3 + n].say("/mute").unwrap();
        room.until("silence again", silence);
    }
}

#[test]
fn devices_are_told_without_being_opened() {
    let _turn = turn();
    let pulse = Pulse::start(1).unwrap();
    let listeners = || pulse.control(&["list", "short", "source-outputs"]).unwrap();
    let before = listeners();
    let relay = Relay::start(&[]).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_neartalk-headless"));
    pulse.equip_nobody(&mut command);
    command.args(["--relay", relay.url(), "--at", HERE]);
    let mut person = Headless::run(&mut command).unwrap();
    person.say("/devices").unwrap();
    let [microphone, loudspeaker] =
        [pulse.microphone(0), pulse.loudspeaker(0)].map(|name| format!("pulseaudio:{name}"));
    let has = |devices: &serde_json::Value, id: &str| {
        let devices = devices.as_array();
        devices.is_some_and(|all| all.iter().any(|it| it["id"] == id))
    };
    let told = |event: &serde_json::Value| {
        let all = has(&event["inputs"], &microphone) && has(&event["outputs"], &loudspeaker);
        (event["type"] == "voice_devices" && all).then_some(())
    };
    person.wait("the devices", told).unwrap();
    assert_eq!(listeners(), before, "a microphone is open");
}
