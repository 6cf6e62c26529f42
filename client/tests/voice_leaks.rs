//! Joining and leaving voice, over and over, leaves nothing behind. In a program of its own, whose
//! threads, files and memory are all there is to count.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

use std::{fs, path::Path, time::Duration};

use neartalk_client::{
    Command, Engine, EngineConfig, EngineHandle, Event, EventReceiver, Fix, location,
    voice::{TalkMode, VoiceLink, VoicePhase},
};
use neartalk_rig::{relay::Relay, sound};
use neartalk_shared::Place;
use tokio::time::timeout;

/// Calls until everything that is made once has been made.
const WARM_UP: usize = 30;
const CALLS: usize = 200;

/// Only ends a test that would hang.
const GUARD: Duration = Duration::from_secs(60);

/// What a process holds.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    threads: usize,
    files: usize,
    resident_kib: usize,
}

impl Holdings {
    fn now() -> Self {
        let count = |folder| fs::read_dir(folder).unwrap().count();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| {
            let kib = line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?;
            kib.parse().ok()
        });
        Self {
            threads: count("/proc/self/task"),
            files: count("/proc/self/fd"),
            resident_kib: resident.unwrap(),
        }
    }
}

struct Person {
    handle: EngineHandle,
    events: EventReceiver,
}

impl Person {
    fn start(relay: &Relay, microphone: &Path) -> Self {
        let mut config = EngineConfig::new(relay.url().parse().unwrap());
        config.voice.mode = TalkMode::Open;
        config.files.microphone = Some(microphone.to_owned());
        config.files.speaker = Some("/dev/null".into());
        config.addresses = vec!["127.0.0.1:0".parse().unwrap()];
        let (place, fixes) = location::channel();
        place.send(Fix::by_hand(Place::new(52.5163, 13.3777).unwrap()));
        let (handle, events) = Engine::start(config, fixes);
        Self { handle, events }
    }

    async fn send(&self, command: Command) {
        self.handle.send(command).await.unwrap();
    }

    async fn wait(&mut self, what: &str, mut is: impl FnMut(&Event) -> bool) {
        let found = timeout(GUARD, async {
            while !is(&self.events.recv().await.expect("the engine goes on")) {}
        });
        assert!(found.await.is_ok(), "no {what}");
    }

    async fn connected(&mut self) {
        let connected = |event: &Event| matches!(event, Event::VoicePerson(p) if p.link == VoiceLink::Connected);
        self.wait("connection", connected).await;
    }

    async fn alone(&mut self) {
        let left = |event: &Event| matches!(event, Event::VoicePersonLeft { .. });
        self.wait("leaving", left).await;
    }

    async fn off(&mut self) {
        let off = |event: &Event| matches!(event, Event::Voice(s) if s.phase == VoicePhase::Off);
        self.wait("end", off).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_calls_leave_nothing_behind() {
    // Nobody holds back whoever comes and goes so often.
    let relay = Relay::start(&["--voice-join-interval", "1ms"]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let microphone = folder.path().join("microphone.wav");
    sound::write_wav(&microphone, &sound::tone(500.0, 0.3, 2.0)).unwrap();
    let mut stays = Person::start(&relay, &microphone);
    let mut comes = Person::start(&relay, &microphone);
    stays.send(Command::VoiceJoin).await;
    let mut before = None;
    for call in 0..WARM_UP + CALLS {
        if call == WARM_UP {
            before = Some(Holdings::now());
        }
        comes.send(Command::VoiceJoin).await;
        comes.connected().await;
        stays.connected().await;
        comes.send(Command::VoiceLeave).await;
        comes.off().await;
        stays.alone().await;
    }
    let (before, after) = (before.unwrap(), Holdings::now());
    println!("{before:?} became {after:?}");
    // The last call may still be on its way out: a thread each for sound, a few sockets.
    assert!(after.threads <= before.threads + 2, "{before:?} {after:?}");
    assert!(after.files <= before.files + 8, "{before:?} {after:?}");
    // 20 KiB a call; a connection that is kept costs many times that.
    let grown = after.resident_kib.saturating_sub(before.resident_kib);
    assert!(grown <= 20 * CALLS, "{before:?} {after:?}");
}
