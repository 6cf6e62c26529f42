//! Voice between engines over a real relay and real sockets, with files for microphones and
//! loudspeakers: who is heard, who no longer, who again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

#[cfg(target_os = "linux")]
#[path = "voice/restarts.rs"]
mod restarts;

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use neartalk_client::{
    Command, Engine, EngineConfig, EngineHandle, Event, EventReceiver, Fix,
    location::{self, FixSender},
    voice::{
        DeviceChoice, DeviceDirection, DeviceStatus, NoiseSuppression, TalkMode, VoiceLink,
        VoiceNotice, VoicePhase, VoiceSettings, Volume,
    },
};
use neartalk_rig::{relay::Relay, sound};
use neartalk_shared::{PeerId, Place, Radius};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, timeout},
};

/// Nothing here takes as long; it only ends a test that would hang.
const GUARD: Duration = Duration::from_secs(60);

/// What people say, in Hz.
const TONES: [f32; 3] = [500.0, 800.0, 1_300.0];

/// How loud they say it.
const LOUD: f32 = 0.3;

/// One test at a time: they need all of a small machine.
async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

fn relay() -> Relay {
    Relay::start(&["--location-interval", "500ms", "--location-burst", "20"]).unwrap()
}

/// Somebody who says a tone for as long as a test lasts.
struct Person {
    handle: EngineHandle,
    events: EventReceiver,
    place: FixSender,
    id: PeerId,
    speaker: PathBuf,
    _files: tempfile::TempDir,
}

impl Person {
    async fn start(relay: &Relay, number: usize) -> Self {
        Self::start_with(relay, number, |_| {}).await
    }

    async fn start_with(
        relay: &Relay,
        number: usize,
        change: impl FnOnce(&mut EngineConfig),
    ) -> Self {
        let files = tempfile::tempdir().unwrap();
        let microphone = files.path().join("microphone.wav");
        let speaker = files.path().join("speaker.wav");
        let tone = sound::tone(TONES[number], LOUD, GUARD.as_secs_f64());
        sound::write_wav(&microphone, &tone).unwrap();
        let mut config = EngineConfig::new(relay.url().parse().unwrap());
        config.radius = Radius::new(100).unwrap();
        config.voice = VoiceSettings {
            mode: TalkMode::Open,
            echo_cancellation: false,
            noise_suppression: NoiseSuppression::Off,
            gain_control: false,
            ..VoiceSettings::default()
        };
        config.files.microphone = Some(microphone);
        config.files.speaker = Some(speaker.clone());
        config.addresses = vec!["127.0.0.1:0".parse().unwrap()];
        change(&mut config);
        let (place, fixes) = location::channel();
        place.send(Fix::by_hand(here()));
        let (handle, mut events) = Engine::start(config, fixes);
        let me = |event: &Event| match event {
            Event::Me(me) => Some(me.peer_id),
            _ => None,
        };
        let id = wait_for(&mut events, "a session", me).await;
        Self {
            handle,
            events,
            place,
            id,
            speaker,
            _files: files,
        }
    }

    async fn send(&self, command: Command) {
        self.handle.send(command).await.unwrap();
    }

    async fn wait<T>(&mut self, what: &str, find: impl FnMut(&Event) -> Option<T>) -> T {
        wait_for(&mut self.events, what, find).await
    }

    async fn wait_link(&mut self, peer: PeerId, link: VoiceLink) {
        let what = format!("{link:?} with {peer:?}");
        self.wait(&what, |event| match event {
            Event::VoicePerson(p) if p.peer_id == peer && p.link == link => Some(()),
            _ => None,
        })
        .await;
    }

    async fn wait_gone(&mut self, peer: PeerId) {
        self.wait("somebody to be gone", |event| match event {
            Event::VoicePersonLeft { peer_id } if *peer_id == peer => Some(()),
            _ => None,
        })
        .await;
    }

    /// Until the loudspeaker's file has so much of somebody's tone, or so little, for half a
    /// second.
    async fn hears(&mut self, number: usize, loud: impl Fn(f32) -> bool) {
        let window = sound::samples(0.5);
        let mut from = read(&self.speaker, 0).len();
        let mut last = 0.0;
        let end = Instant::now() + GUARD;
        while Instant::now() < end {
            // Ten times a second something comes, and the file grows.
            self.wait("levels", |event| {
                matches!(event, Event::VoiceLevels { .. }).then_some(())
            })
            .await;
            let heard = read(&self.speaker, from);
            if let Some(heard) = heard.get(..window) {
                last = sound::amplitude_at(TONES[number], heard);
                if loud(last) {
                    return;
                }
                from += window / 2;
            }
        }
        panic!("tone {number} has an amplitude of {last} in the end");
    }

    async fn hears_tone(&mut self, number: usize) {
        self.hears(number, |amplitude| amplitude > 0.6 * LOUD).await;
    }

    async fn hears_no(&mut self, number: usize) {
        self.hears(number, |amplitude| amplitude < 0.001).await;
    }
}

async fn wait_for<T>(
    events: &mut EventReceiver,
    what: &str,
    mut find: impl FnMut(&Event) -> Option<T>,
) -> T {
    let mut seen = Vec::new();
    let found = timeout(GUARD, async {
        loop {
            let event = events.recv().await.expect("the engine goes on");
            if let Some(found) = find(&event) {
                return found;
            }
            if !matches!(
                event,
                Event::VoiceLevels { .. } | Event::VoiceQuality { .. }
            ) {
                seen.push(event);
            }
        }
    });
    match found.await {
        Ok(found) => found,
        Err(_) => panic!("no {what}; seen: {seen:#?}"),
    }
}

fn here() -> Place {
    Place::new(52.5163, 13.3777).unwrap()
}

/// 200 m from [`here`], which is beyond everybody's circle, and no leap that nobody could make.
fn far_away() -> Place {
    Place::new(52.5181, 13.3777).unwrap()
}

/// What is in a file so far, from a sample on; nothing while it is not there yet.
fn read(path: &PathBuf, from: usize) -> Vec<f32> {
    /// Of a WAV file of 16-bit samples, as the client writes it.
    const HEADER: usize = 44;
    let read = || {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start((HEADER + 2 * from) as u64))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let samples = bytes.chunks_exact(2);
    samples
        .map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]])) / 32_767.0)
        .collect()
}

/// So many people in voice, each of whom hears all others.
async fn in_voice(relay: &Relay, count: usize) -> Vec<Person> {
    let mut people = Vec::new();
    for number in 0..count {
        let person = Person::start(relay, number).await;
        person.send(Command::VoiceJoin).await;
        people.push(person);
    }
    for (number, listener) in people.iter_mut().enumerate() {
        for speaker in (0..count).filter(|s| *s != number) {
            listener.hears_tone(speaker).await;
        }
    }
    people
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_people_hear_each_other_and_not_themselves() {
    let _turn = turn().await;
    let relay = relay();
    let mut people = in_voice(&relay, 3).await;
    for (number, person) in people.iter_mut().enumerate() {
        person.hears_no(number).await;
    }
    // How well it does is told, and that it went directly.
    let [a, b, _] = &mut people[..] else {
        unreachable!();
    };
    let quality = a
        .wait("quality", |event| match event {
            Event::VoiceQuality { people } => people
                .iter()
                .find(|p| p.peer_id == b.id && p.relayed.is_some())
                .cloned(),
            _ => None,
        })
        .await;
    assert_eq!(quality.relayed, Some(false));
    assert!(quality.first_sound_ms.is_some() && quality.loss < 0.5);
    let speaking = a
        .wait("a speaker", |event| match event {
            Event::VoiceLevels { own, people } if own.talking => people
                .iter()
                .find(|p| p.peer_id == b.id && p.speaking)
                .copied(),
            _ => None,
        })
        .await;
    assert!(
        (-25..=-5).contains(&speaking.dbfs),
        "{} dBFS",
        speaking.dbfs
    );
    // Half as loud, not at all, and as before.
    for (volume_percent, muted, loud) in [
        (50, false, 0.5 * LOUD),
        (200, true, 0.0),
        (100, false, LOUD),
    ] {
        a.send(Command::VoicePerson {
            peer_id: b.id,
            volume_percent: Volume::new(volume_percent).unwrap(),
            muted,
        })
        .await;
        a.hears(1, |amplitude| (amplitude - loud).abs() < 0.25 * LOUD)
            .await;
    }
    // Muted, nobody hears one; deafened, one hears nobody either.
    b.send(Command::VoiceMute { muted: true }).await;
    a.hears_no(1).await;
    a.hears_tone(2).await;
    b.hears_tone(0).await;
    b.send(Command::VoiceDeafen { deafened: true }).await;
    b.hears_no(0).await;
    let silent = |event: &Event| match event {
        Event::PersonChanged { person, .. } => (person.muted && person.deafened).then_some(()),
        _ => None,
    };
    a.wait("that they are muted and deafened", silent).await;
    b.send(Command::VoiceDeafen { deafened: false }).await;
    b.send(Command::VoiceMute { muted: false }).await;
    b.hears_tone(0).await;
    a.hears_tone(1).await;
    // Who leaves hears nothing more and is not heard.
    let left = b.id;
    b.send(Command::VoiceLeave).await;
    a.wait_gone(left).await;
    a.hears_no(1).await;
    a.hears_tone(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_blocked_is_not_heard_and_hears_nothing() {
    let _turn = turn().await;
    let relay = relay();
    let mut people = in_voice(&relay, 2).await;
    let [a, b] = &mut people[..] else {
        unreachable!();
    };
    a.send(Command::Block { peer_id: b.id }).await;
    a.wait_gone(b.id).await;
    b.wait_link(a.id, VoiceLink::Waiting).await;
    a.hears_no(1).await;
    b.hears_no(0).await;
    a.send(Command::Unblock { peer_id: b.id }).await;
    a.hears_tone(1).await;
    b.hears_tone(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_walks_out_of_range_is_out_of_the_call_until_they_are_back() {
    let _turn = turn().await;
    let relay = relay();
    let mut people = in_voice(&relay, 2).await;
    let [a, b] = &mut people[..] else {
        unreachable!();
    };
    a.place.send(Fix::by_hand(far_away()));
    a.wait_gone(b.id).await;
    b.wait_gone(a.id).await;
    b.hears_no(0).await;
    a.place.send(Fix::by_hand(here()));
    a.hears_tone(1).await;
    b.hears_tone(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_dies_ends_no_call_and_one_that_comes_back_begins_it_anew() {
    let _turn = turn().await;
    let mut first = relay();
    let mut people = in_voice(&first, 2).await;
    let [a, b] = &mut people[..] else {
        unreachable!();
    };
    let address = first.url().trim_start_matches("http://").to_owned();
    first.process().kill();
    a.wait("that the relay is gone", |event| match event {
        Event::Connection(neartalk_client::ConnectionState::Offline { .. }) => Some(()),
        _ => None,
    })
    .await;
    a.hears_tone(1).await;
    b.hears_tone(0).await;
    let mut again = std::process::Command::new(Relay::program().unwrap());
    let _second = Relay::run(again.args(["--listen", &address])).unwrap();
    for person in [&mut *a, &mut *b] {
        person.send(Command::RetryNow).await;
        let id = person.wait("a new session", |event| match event {
            Event::Me(me) => Some(me.peer_id),
            _ => None,
        });
        person.id = id.await;
    }
    a.wait_link(b.id, VoiceLink::Connected).await;
    a.hears_tone(1).await;
    b.hears_tone(0).await;
}

/// Each relay has a TURN server inside, and none carries to another's.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_on_two_relays_who_hide_their_addresses_hear_each_other() {
    let _turn = turn().await;
    let redis = neartalk_rig::redis::Redis::start(&[]).unwrap();
    let url = redis.url();
    let relays = [0, 1].map(|_| {
        let flags = ["--redis-url", &url, "--turn-listen", "127.0.0.1:0"];
        Relay::start(&flags).unwrap()
    });
    let mut people = Vec::new();
    for (number, relay) in relays.iter().enumerate() {
        let hides = |config: &mut EngineConfig| config.voice.hide_address = true;
        let person = Person::start_with(relay, number, hides).await;
        person.send(Command::VoiceJoin).await;
        people.push(person);
    }
    let [a, b] = &mut people[..] else {
        unreachable!();
    };
    a.hears_tone(1).await;
    b.hears_tone(0).await;
    let relayed = |event: &Event| match event {
        Event::VoiceQuality { people } => people.iter().find_map(|person| person.relayed),
        _ => None,
    };
    assert!(a.wait("how sound comes", relayed).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nothing_to_talk_into_one_listens_and_nobody_to_relay_over_is_said() {
    let _turn = turn().await;
    let relay = relay();
    // B has neither microphone nor loudspeaker; A hides its address, and there is no TURN server.
    let mut a = Person::start(&relay, 0).await;
    let mut b = Person::start_with(&relay, 1, |config| {
        config.files.microphone = None;
        config.voice.input = DeviceChoice::Device {
            id: "pulseaudio:there is no such microphone".into(),
        };
    })
    .await;
    a.send(Command::VoiceJoin).await;
    b.send(Command::VoiceJoin).await;
    // Whatever this machine has instead is used, and said so; without anything, that is said.
    b.wait("word of the microphone", |event| match event {
        Event::VoiceDevice {
            direction: DeviceDirection::Input,
            status: DeviceStatus::Unavailable { message },
        } => {
            assert!(
                message.contains("connect") || message.contains("start"),
                "{message}"
            );
            Some(())
        }
        Event::VoiceDevice {
            direction: DeviceDirection::Input,
            status: DeviceStatus::Opened { fallback: true, .. },
        } => Some(()),
        _ => None,
    })
    .await;
    b.hears_tone(0).await;
    a.send(Command::VoiceConfigure {
        settings: VoiceSettings {
            hide_address: true,
            ..VoiceSettings::default()
        },
    })
    .await;
    a.wait("that there is no TURN server", |event| match event {
        Event::VoiceNotice(VoiceNotice::NoRelay) => Some(()),
        _ => None,
    })
    .await;
    b.hears_no(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_can_be_tried_out_and_a_file_that_is_none_ends_voice() {
    let _turn = turn().await;
    let relay = relay();
    let mut a = Person::start(&relay, 0).await;
    a.send(Command::VoiceTest { on: true }).await;
    a.wait("a level", |event| match event {
        Event::VoiceLevels { own, people } if own.speaking => {
            assert!(people.is_empty());
            Some(())
        }
        _ => None,
    })
    .await;
    a.send(Command::VoiceTest { on: false }).await;
    let mut b = Person::start_with(&relay, 1, |config| {
        config.files.microphone = Some("/nowhere/microphone.wav".into());
    })
    .await;
    b.send(Command::VoiceJoin).await;
    let message = b
        .wait("why voice ended", |event| match event {
            Event::VoiceNotice(VoiceNotice::Ended { message }) => Some(message.clone()),
            _ => None,
        })
        .await;
    assert!(message.contains("microphone.wav"), "{message}");
    b.send(Command::Snapshot).await;
    let phase = b.wait("a snapshot", |event| match event {
        Event::Snapshot(snapshot) => Some(snapshot.voice.status.phase),
        _ => None,
    });
    assert_eq!(phase.await, VoicePhase::Off);
}
