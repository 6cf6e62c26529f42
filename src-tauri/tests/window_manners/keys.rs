//! A key that talks, whatever has the focus.

use neartalk_rig::{
    bus::Bus,
    desk::{Desk, key},
    headless::Headless,
    portal::{self, Portal},
    pulse::{Player, Pulse},
    sound,
    window::{self, Window},
};
use serde_json::{Value, json};

use crate::desktop::{Desktop, Start, begin};

/// Somebody with a voice, and what they say all the time.
struct Speaker {
    pulse: Pulse,
    _says: Player,
}

impl Speaker {
    fn start() -> Self {
        let pulse = Pulse::start(1).unwrap();
        let says = pulse.play_always(0, sound::tone(440.0, 0.25, 2.0)).unwrap();
        Self { pulse, _says: says }
    }

    /// With a key to talk with, and nothing done to the tone.
    fn settings(&self, key: &str) -> Value {
        let device = |name: String| json!({ "use": "device", "id": format!("pulseaudio:{name}") });
        let voice = json!({
            "input": device(self.pulse.microphone(0)),
            "output": device(self.pulse.loudspeaker(0)),
            "mode": "push_to_talk",
            "echo_cancellation": false,
            "noise_suppression": "off",
            "gain_control": false,
        });
        json!({ "talk_key": key, "voice_explained": true, "voice": voice })
    }
}

/// Waits until somebody in voice is heard, or nobody.
fn hears(listener: &mut Headless, speaker: &Window, wanted: bool) {
    let loud = |person: &Value| person["dbfs"].as_i64().is_some_and(|dbfs| dbfs > -40);
    let fits = |event: &Value| {
        let people = event["people"].as_array()?;
        let levels = event["type"] == "voice_levels" && !people.is_empty();
        (levels && people.iter().any(loud) == wanted).then_some(())
    };
    let what = if wanted { "a voice" } else { "silence" };
    if let Err(error) = listener.wait(what, fits) {
        let told = error.to_string();
        let told: String = told.chars().take(500).collect();
        panic!(
            "{told}\n{}\n{}",
            speaker.shows().unwrap(),
            speaker.printed()
        );
    }
}

#[test]
fn a_key_talks_while_another_window_has_the_focus() {
    let desktop = Desktop::start();
    let speaker = Speaker::start();
    let anna = desktop.open(Start {
        settings: speaker.settings("F9"),
        pulse: Some(&speaker.pulse),
        ..Start::on(Bus::start().unwrap())
    });
    begin(&anna);
    let mut ben = desktop.listener();
    anna.reads("500 m · 1 person").unwrap();
    let desk = Desk::open(&desktop.screen).unwrap();
    anna.has_no_attention().unwrap();

    // The first press joins voice, and is heard as soon as that is done.
    desk.press(key::F9).unwrap();
    hears(&mut ben, &anna, true);
    desk.let_go(key::F9).unwrap();
    hears(&mut ben, &anna, false);
    desk.press(key::F9).unwrap();
    hears(&mut ben, &anna, true);
    desk.let_go(key::F9).unwrap();
    hears(&mut ben, &anna, false);
    // It did not come up for that.
    anna.has_no_attention().unwrap();
}

#[test]
fn on_wayland_the_desktop_gives_the_key_that_talks() {
    let desktop = Desktop::start();
    let speaker = Speaker::start();
    let bus = Bus::start().unwrap();
    let portal = Portal::start(&bus).unwrap();
    let anna = desktop.open(Start {
        settings: speaker.settings("Ctrl+Shift+Space"),
        pulse: Some(&speaker.pulse),
        wayland: true,
        ..Start::on(bus)
    });
    let key = match portal.next() {
        Ok(portal::Asked::Key(key)) => key,
        other => panic!("{other:?}\n{}\n{}", anna.shows().unwrap(), anna.printed()),
    };
    assert_eq!(key.trigger, "CTRL+SHIFT+space");
    assert_eq!(key.description, "Talk");
    begin(&anna);
    let mut ben = desktop.listener();
    anna.reads("500 m · 1 person").unwrap();
    portal.press(&key).unwrap();
    hears(&mut ben, &anna, true);
    portal.let_go(&key).unwrap();
    hears(&mut ben, &anna, false);

    // Another is asked for while the person thinks it over, and nothing else waits for that.
    portal.hesitates(true);
    anna.press("button", "Voice").unwrap();
    anna.reads("Works while other windows are in front")
        .unwrap();
    anna.press("button", "Ctrl+Shift+Space").unwrap();
    anna.types("button", "Press the keys…", window::key::F8)
        .unwrap();
    assert_eq!(portal.next().unwrap(), portal::Asked::End);
    let portal::Asked::Key(another) = portal.next().unwrap() else {
        panic!("no other key was asked for");
    };
    assert_eq!(another.trigger, "F8");
    let panic = format!("{}{}x", window::key::CONTROL, window::key::SHIFT);
    anna.types("button", "No key", &panic).unwrap();
    ben.wait("Anna's goodbye", |event| {
        (event["type"] == "person_left").then_some(())
    })
    .unwrap();
    anna.sees("button", "Choose a place by hand").unwrap();
    // What is given after all nobody wants any more.
    portal.hesitates(false);
    assert_eq!(portal.next().unwrap(), portal::Asked::End);
}

#[test]
fn on_wayland_nobody_waits_for_a_desktop_that_does_not_answer() {
    let desktop = Desktop::start();
    let bus = Bus::start().unwrap();
    let _portal = portal::hang(&bus).unwrap();
    let anna = desktop.open(Start {
        wayland: true,
        ..Start::on(bus)
    });
    begin(&anna);
    // The key works in the window then, and it says so.
    anna.press("button", "Settings").unwrap();
    anna.press("button", "Voice").unwrap();
    anna.reads("Works in this window, also while you type.")
        .unwrap();
}
