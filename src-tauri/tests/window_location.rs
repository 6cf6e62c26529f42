//! The real program and its real window, where the system tells the place: a GeoClue on a message bus of
//! the test's own, which decides where one of two people is, and whether that may be known.
//!
//! `npm run build` in `app/` comes before, as the interface is built into the program.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use neartalk_rig::{
    bus::Bus,
    geoclue::{Call, GeoClue},
    pulse::{Player, Pulse, Recorder},
    relay::Relay,
    sound,
    window::{Home, Options, Screen, Window, key},
};

/// Somewhere in Berlin.
const HERE: (f64, f64) = (52.5163, 13.3777);
/// 222 m further north.
const NEAR: (f64, f64) = (52.5183, 13.3777);
/// 622 m further north than the first: in nobody's circle of 500 m. Nearer to the second than anybody
/// travels in the time in which it is told, or the relay would refuse it.
const AWAY: (f64, f64) = (52.5219, 13.3777);

const MESSAGE: &str = "Message*";
const TALK: &str = "Talk.*";

/// One at a time: a window needs much of a small machine.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A relay that lets people walk as often as a test wants.
fn relay() -> Relay {
    let program = Relay::program().unwrap();
    let mut command = Command::new(AsRef::<Path>::as_ref(&program));
    command.args(["--listen", "127.0.0.1:0"]);
    command.args(["--location-interval", "100ms", "--location-burst", "50"]);
    Relay::run(&mut command).unwrap()
}

/// The window of somebody whose system's bus this is, on a relay.
fn options(name: &str, relay: &Relay, bus: &Bus) -> Options {
    let mut options = Options {
        name: name.to_owned(),
        ..Options::default()
    };
    options.driver.env("NEARTALK_RELAY", relay.url());
    options.driver.env("PULSE_SERVER", "unix:/nonexistent");
    options.driver.env("DBUS_SYSTEM_BUS_ADDRESS", bus.address());
    options
}

fn open(screen: &Screen, options: Options) -> Window {
    let program = Path::new(env!("CARGO_BIN_EXE_neartalk"));
    Window::open(program, screen, options).unwrap()
}

fn move_to(geoclue: &GeoClue, (lat, lon): (f64, f64)) {
    geoclue.move_to(lat, lon, 20.0).unwrap();
}

fn stand_at(window: &Window, (lat, lon): (f64, f64)) {
    let place = format!("{lat}, {lon}");
    window.writes("textbox", "Coordinates", &place).unwrap();
    window.press("button", "Be here").unwrap();
    window.sees_no_more("dialog", "*").unwrap();
}

/// Somebody who starts NearTalk for the first time, on a device with a place, a microphone and a loudspeaker
/// of its own.
struct Newcomer {
    window: Window,
    geoclue: GeoClue,
    pulse: Pulse,
    /// How often the desktop has asked, and got an answer.
    answers: u32,
    _bus: Bus,
}

impl Newcomer {
    fn open(name: &str, screen: &Screen, relay: &Relay) -> Self {
        let bus = Bus::start().unwrap();
        let geoclue = GeoClue::start(&bus).unwrap();
        geoclue.ask_first();
        let pulse = Pulse::start(1).unwrap();
        for (what, device) in [
            ("set-default-source", pulse.microphone(0)),
            ("set-default-sink", pulse.loudspeaker(0)),
        ] {
            pulse.control(&[what, &device]).unwrap();
        }
        let mut options = options(name, relay, &bus);
        pulse.equip_nobody(&mut options.driver);
        let window = open(screen, options);
        Self {
            window,
            geoclue,
            pulse,
            answers: 0,
            _bus: bus,
        }
    }

    /// Wants the place to be known, and says so to the desktop, which asks: two actions.
    fn allows_location(&mut self, place: (f64, f64)) {
        self.window.press("button", "Use my location").unwrap();
        self.geoclue.is_started().unwrap();
        self.window.reads("Finding where you are").unwrap();
        self.geoclue.allow(true).unwrap();
        self.answers += 1;
        move_to(&self.geoclue, place);
    }

    /// What this person has done so far, in the window and where the desktop asked.
    fn actions(&self) -> u32 {
        self.window.actions() + self.answers
    }

    /// Says something all the time; whether it is heard is another matter.
    fn speaks(&self) -> Player {
        let speech = sound::speech(1, sound::samples(20.0)).0;
        self.pulse.play_always(0, speech).unwrap()
    }

    fn name(&self) -> String {
        let name = self
            .window
            .eval("document.querySelector('header bdi').textContent");
        name.unwrap().as_str().unwrap().to_owned()
    }
}

/// Waits until a voice comes out of a loudspeaker, or nothing does.
fn comes_out(recorder: &mut Recorder, voice: bool) {
    recorder.skip();
    let mut heard = Vec::new();
    for _ in 0..30 {
        // As long as nobody pauses for.
        let take = recorder.next(3.0).unwrap();
        let loudest = sound::loudest_dbfs(take.loudspeaker(0));
        let fits = if voice {
            loudest > -40.0
        } else {
            loudest < -60.0
        };
        if fits {
            return;
        }
        heard.push(loudest);
    }
    panic!("a voice: {voice}; what came out was as loud as {heard:?} dB");
}

#[test]
fn three_actions_lead_to_the_first_message_and_to_the_first_word_until_one_walks_away() {
    let _turn = turn();
    let screen = Screen::start(1280, 900).unwrap();
    let relay = relay();
    let mut anna = Newcomer::open("Anna", &screen, &relay);
    let mut ben = Newcomer::open("Ben", &screen, &relay);
    anna.allows_location(HERE);
    ben.allows_location(NEAR);
    for person in [&anna, &ben] {
        person.window.reads("500 m · 1 person").unwrap();
    }

    // To want the place, to allow it, and a line with Enter at its end: what is typed goes there already.
    anna.window.has_focus("textbox", MESSAGE).unwrap();
    let line = format!("Hello from the fountain{}", key::ENTER);
    anna.window.types("textbox", MESSAGE, &line).unwrap();
    ben.window.reads("Hello from the fountain").unwrap();
    assert_eq!(anna.actions(), 3, "to the first message");

    // Somebody has to listen.
    anna.window.press("button", TALK).unwrap();
    anna.window.sees("button", "Leave voice").unwrap();
    let mut recorder = anna.pulse.record().unwrap();
    let _speech = ben.speaks();
    comes_out(&mut recorder, false);
    // To want the place, to allow it, and to hold Talk, beside which it says what that shows of one.
    ben.window.reads("could see your IP address").unwrap();
    ben.window.holds("button", TALK).unwrap();
    comes_out(&mut recorder, true);
    assert_eq!(ben.actions(), 3, "to the first word");

    // What leaves the device is late by up to 20 s, so that nobody learns from it when a border was
    // crossed.
    let name = ben.name();
    let entry = format!("{name}*");
    anna.window.sees("button", &entry).unwrap();
    move_to(&ben.geoclue, AWAY);
    anna.window
        .reads(&format!("{name} is out of range."))
        .unwrap();
    for person in [&anna, &ben] {
        person.window.reads("500 m · nobody").unwrap();
    }
    anna.window.sees_no_more("button", &entry).unwrap();
    comes_out(&mut recorder, false);

    // Whoever comes back is there again, and in the call as before: Talk is still held.
    move_to(&ben.geoclue, NEAR);
    for person in [&anna, &ben] {
        person.window.reads("500 m · 1 person").unwrap();
    }
    anna.window.sees("button", &entry).unwrap();
    comes_out(&mut recorder, true);
    ben.window.lets_go().unwrap();
    comes_out(&mut recorder, false);
}

#[test]
fn three_actions_lead_to_the_first_word_in_a_narrow_window() {
    let _turn = turn();
    let screen = Screen::start(1280, 900).unwrap();
    let relay = relay();
    let mut anna = Newcomer::open("Anna", &screen, &relay);
    let mut ben = Newcomer::open("Ben", &screen, &relay);
    ben.window.resize(360, 740).unwrap();
    ben.window.sees("button", "Around").unwrap();
    anna.allows_location(HERE);
    anna.window.press("button", TALK).unwrap();
    anna.window.sees("button", "Leave voice").unwrap();

    let mut recorder = anna.pulse.record().unwrap();
    let _speech = ben.speaks();
    // To want the place, to allow it, and to hold Talk, beside which it says what that shows of one.
    ben.allows_location(NEAR);
    ben.window.reads("could see your IP address").unwrap();
    comes_out(&mut recorder, false);
    ben.window.holds("button", TALK).unwrap();
    comes_out(&mut recorder, true);
    assert_eq!(ben.actions(), 3, "to the first word");
    ben.window.lets_go().unwrap();
    comes_out(&mut recorder, false);
}

#[test]
fn one_press_leads_to_a_live_place_which_gives_way_to_one_by_hand() {
    let _turn = turn();
    let screen = Screen::start(1280, 900).unwrap();
    let (relay, bus) = (relay(), Bus::start().unwrap());
    let geoclue = GeoClue::start(&bus).unwrap();
    let anna = open(&screen, options("Anna", &relay, &bus));
    anna.press("button", "Choose a place by hand").unwrap();
    stand_at(&anna, HERE);

    let ben = open(&screen, options("Ben", &relay, &bus));
    ben.press("button", "Use my location").unwrap();
    ben.reads("Finding where you are").unwrap();
    // The name by which the packages' `.desktop` file is known, so that the desktop knows who asks.
    assert_eq!(geoclue.is_started().unwrap(), "neartalk");
    move_to(&geoclue, NEAR);
    ben.sees("button", "Place: Live location. Change.").unwrap();
    for window in [&anna, &ben] {
        window.reads("500 m · 1 person").unwrap();
    }
    ben.press("button", "Place: Live location. Change.")
        .unwrap();
    ben.reads("Your device knows its place to within 20 m.")
        .unwrap();
    ben.press("button", "Close").unwrap();

    // A place by hand isn't moved by what is measured, which nobody asks for any more.
    ben.press("button", "Place: Live location. Change.")
        .unwrap();
    stand_at(&ben, AWAY);
    assert_eq!(geoclue.next().unwrap(), Call::Stop);
    assert_eq!(geoclue.next().unwrap(), Call::DeleteClient);
    for window in [&anna, &ben] {
        window.reads("500 m · nobody").unwrap();
    }
    let printed = ben.printed();
    for part in ["52.51", "52.52", "13.37"] {
        assert!(!printed.contains(part), "{printed}");
    }
}

#[test]
fn why_there_is_no_place_is_said_and_what_to_do() {
    let _turn = turn();
    let screen = Screen::start(1280, 900).unwrap();
    let (relay, bus) = (relay(), Bus::start().unwrap());
    let mut options = options("Ben", &relay, &bus);
    options.driver.env("XDG_CURRENT_DESKTOP", "GNOME");
    let home = Home::create().unwrap();
    let programs = home.config().join("programs");
    fs::create_dir_all(&programs).unwrap();
    let settings = programs.join("gnome-control-center");
    // What it writes to standard error is what the window prints.
    fs::write(&settings, "#!/bin/sh\necho \"settings at $1\" >&2\n").unwrap();
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o755)).unwrap();
    let path = env::var("PATH").unwrap();
    let path = format!("{}:{path}", programs.display());
    options.driver.env("PATH", path);
    options.home = Some(home);
    let ben = open(&screen, options);
    ben.press("button", "Use my location").unwrap();
    ben.reads("This system has no location service. Install GeoClue")
        .unwrap();
    // Once it is installed, nothing more is to be pressed.
    let mut geoclue = GeoClue::start(&bus).unwrap();
    ben.reads("Finding where you are").unwrap();
    geoclue.is_started().unwrap();
    move_to(&geoclue, HERE);
    ben.sees("button", "Place: Live location. Change.").unwrap();

    geoclue.die().unwrap();
    ben.reads("The system's location service has stopped.")
        .unwrap();
    geoclue.come_back().unwrap();
    ben.sees("button", "Place: Live location. Change.").unwrap();

    geoclue.allow(false).unwrap();
    ben.reads("NearTalk can't see where you are.").unwrap();
    ben.press("button", "Open settings").unwrap();
    ben.prints("settings at location").unwrap();
    geoclue.allow(true).unwrap();
    move_to(&geoclue, NEAR);
    ben.sees("button", "Place: Live location. Change.").unwrap();

    // Whoever erases everything is followed no longer. All calls but the last have been looked at.
    geoclue.is_started().unwrap();
    ben.eval("[1, 2, 3].map(() => document.querySelector('header button').click())")
        .unwrap();
    ben.sees("button", "Use my location").unwrap();
    assert_eq!(geoclue.next().unwrap(), Call::Stop);
    assert_eq!(geoclue.next().unwrap(), Call::DeleteClient);
}
