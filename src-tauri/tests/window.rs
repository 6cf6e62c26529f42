//! The real program and its real window, under Xvfb and WebKit's own driver: two people on a real
//! relay who find each other, write, and talk with each other through a sound server's devices.
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
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use neartalk_rig::{
    process::GUARD,
    pulse::Pulse,
    relay::Relay,
    sound,
    window::{Home, Options, Screen, Window, key},
};
use serde_json::json;

/// Somewhere in Berlin.
const HERE: &str = "52.5163, 13.3777";
/// 715 m further north: in a circle of 1 km, and not in one of 500 m.
const THERE: &str = "52.5227, 13.3777";
const FAR_AWAY: &str = "52.6, 13.3777";

const MESSAGE: &str = "Message*";
const TALK: &str = "Talk.*";

/// One at a time: two windows need all of a small machine.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A relay that lets people walk as often as a test wants.
fn relay_at(listen: &str) -> Relay {
    let program = Relay::program().unwrap();
    let mut command = Command::new(AsRef::<Path>::as_ref(&program));
    command.args(["--listen", listen]);
    command.args(["--location-interval", "100ms", "--location-burst", "50"]);
    Relay::run(&mut command).unwrap()
}

/// Somebody's window on a relay.
fn options(name: &str, relay: &Relay) -> Options {
    let mut options = Options {
        name: name.to_owned(),
        ..Options::default()
    };
    options.driver.env("NEARTALK_RELAY", relay.url());
    // The sound of whoever runs this is none of the test's business.
    options.driver.env("PULSE_SERVER", "unix:/nonexistent");
    options
}

fn open(screen: &Screen, options: Options) -> Window {
    let program = Path::new(env!("CARGO_BIN_EXE_neartalk"));
    Window::open(program, screen, options).unwrap()
}

/// Chooses a place by hand, by its coordinates.
fn stand_at(window: &Window, place: &str) {
    window.writes("textbox", "Coordinates", place).unwrap();
    window.press("button", "Be here").unwrap();
    window.sees_no_more("dialog", "*").unwrap();
}

fn begin_at(window: &Window, place: &str) {
    window.press("button", "Choose a place by hand").unwrap();
    stand_at(window, place);
}

fn walk_to(window: &Window, place: &str) {
    window.press("button", "Place: *").unwrap();
    stand_at(window, place);
}

fn say(window: &Window, text: &str) {
    let line = format!("{text}{}", key::ENTER);
    window.types("textbox", MESSAGE, &line).unwrap();
    window.reads(text).unwrap();
}

fn rename(window: &Window, name: &str) {
    window.press("button", "*Change name.").unwrap();
    window.writes("textbox", "Name", name).unwrap();
    window.press("button", "Take this name").unwrap();
    window.sees_no_more("dialog", "*").unwrap();
}

struct Couple {
    anna: Window,
    ben: Window,
    relay: Relay,
    _screen: Screen,
    _turn: MutexGuard<'static, ()>,
}

/// Two people with the window open, who see each other.
fn couple() -> Couple {
    couple_at(HERE, "500 m · 1 person")
}

/// Two people with the window open, the second elsewhere, and what is then to be read.
fn couple_at(elsewhere: &str, text: &str) -> Couple {
    let turn = turn();
    let screen = Screen::start(1280, 900).unwrap();
    let relay = relay_at("127.0.0.1:0");
    let anna = open(&screen, options("Anna", &relay));
    let ben = open(&screen, options("Ben", &relay));
    begin_at(&anna, HERE);
    begin_at(&ben, elsewhere);
    for window in [&anna, &ben] {
        window.reads(text).unwrap();
    }
    Couple {
        anna,
        ben,
        relay,
        _screen: screen,
        _turn: turn,
    }
}

/// Everything is erased in a hurry.
fn panics(window: &Window) {
    let keys = format!("{}{}x", key::CONTROL, key::SHIFT);
    window.types("textbox", MESSAGE, &keys).unwrap();
}

#[test]
fn two_people_write_rename_themselves_report_and_block() {
    let Couple { anna, ben, .. } = &couple();
    // Whoever has a place writes at once: nothing else is asked.
    let composer = "Message. Say something to 1 person within 500 m";
    ben.has_focus("textbox", composer).unwrap();
    ben.types("textbox", composer, "I").unwrap();
    anna.reads("is typing…").unwrap();
    say(anna, "Hello from the fountain");
    anna.reads("Reached 1").unwrap();
    ben.reads("Hello from the fountain").unwrap();
    ben.writes("textbox", MESSAGE, "").unwrap();
    say(ben, "And from the bench");
    anna.reads("And from the bench").unwrap();

    for (name, left) in [
        ("Red Panda", "2 changes left"),
        ("Sea Lion", "1 change left"),
        ("Snow Hare", "0 changes left"),
    ] {
        rename(ben, name);
        ben.reads(left).unwrap();
        anna.reads(name).unwrap();
    }
    anna.reads("was Sea Lion").unwrap();
    ben.press("button", "*Change name.").unwrap();
    ben.reads("No name changes left in this session.").unwrap();
    ben.sees_no_more("button", "Take this name").unwrap();
    ben.press("button", "Close").unwrap();

    anna.press("button", "Snow Hare*").unwrap();
    anna.reads("Was called").unwrap();
    anna.press("button", "Report").unwrap();
    anna.press("radio", "Spam").unwrap();
    anna.press("button", "Send report").unwrap();
    anna.reads("Reported. Thank you.").unwrap();
    anna.press("button", "Snow Hare*").unwrap();
    anna.press("button", "Block").unwrap();
    anna.reads("Snow Hare is blocked.").unwrap();
    anna.reads_no_more("And from the bench").unwrap();
    say(ben, "Does anybody hear me?");
    ben.reads("Reached").unwrap();
    // What is said later arrives later.
    say(anna, "Nobody else is here");
    ben.reads("Nobody else is here").unwrap();
    anna.reads_no_more("Does anybody hear me?").unwrap();
    // For her there is nobody else, in no circle.
    anna.reads("You are the first one here.").unwrap();
}

/// Has the desktop open links so that they are only written down, in the file that is returned.
fn open_nothing(command: &mut Command, folder: &Path) -> PathBuf {
    let opened = folder.join("opened");
    let programs = folder.join("programs");
    fs::create_dir_all(&programs).unwrap();
    let opener = programs.join("xdg-open");
    // Whole from the first moment that it is there.
    let script = format!(
        "#!/bin/sh\necho \"$1\" > '{0}.new'; mv '{0}.new' '{0}'\n",
        opened.display()
    );
    fs::write(&opener, script).unwrap();
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).unwrap();
    let path = env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", programs.display()));
    opened
}

#[test]
fn links_are_warned_of_and_panic_leaves_nothing() {
    let _turn = turn();
    let screen = Screen::start(1280, 900).unwrap();
    let relay = relay_at("127.0.0.1:0");
    let home = Home::create().unwrap();
    let mut started = options("Anna", &relay);
    let opened = open_nothing(&mut started.driver, &home.config());
    started.home = Some(home);
    let anna = open(&screen, started);
    let ben = open(&screen, options("Ben", &relay));
    for window in [&anna, &ben] {
        begin_at(window, HERE);
    }
    ben.reads("500 m · 1 person").unwrap();

    let link = "https://example.org/fountain?at=5";
    say(&ben, &format!("Meet me at {link}"));
    for answer in ["Cancel", "Open example.org"] {
        assert!(!opened.exists(), "it opens without being asked to");
        anna.press("link", link).unwrap();
        anna.reads("Whoever runs example.org sees your IP address.")
            .unwrap();
        anna.press("button", answer).unwrap();
        anna.sees_no_more("dialog", "*").unwrap();
    }
    let until = Instant::now() + GUARD;
    while !opened.exists() && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(fs::read_to_string(&opened).unwrap().trim(), link);

    // Nor does a menu of the system's, which may offer to open a link where it stands.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let address = elsewhere.local_addr().unwrap();
    anna.eval(&format!("location.assign('http://{address}/')"))
        .unwrap();

    say(&anna, "Somebody is looking");
    ben.reads("Somebody is looking").unwrap();
    panics(&anna);
    anna.reads("everything vanishes after 30 minutes").unwrap();
    anna.sees("button", "Choose a place by hand").unwrap();
    for gone in ["example.org", "Somebody is looking", "500 m · 1 person"] {
        anna.reads_no_more(gone).unwrap();
    }
    ben.reads("500 m · nobody").unwrap();
    // She begins anew, as somebody whom nobody has seen before.
    begin_at(&anna, HERE);
    ben.reads("500 m · 1 person").unwrap();
    anna.reads("3 changes left").unwrap();
    assert!(elsewhere.accept().is_err(), "the window went elsewhere");
}

#[test]
fn the_circle_widens_and_who_walks_out_of_it_is_gone() {
    let Couple { anna, ben, .. } = &couple_at(THERE, "500 m · nobody");
    // Each has to be in the other's circle.
    ben.types("slider", "Radius of your circle", key::END)
        .unwrap();
    anna.reads("Nobody within 500 m right now. 1 person within 1 km.")
        .unwrap();
    anna.press("button", "Widen to 1 km").unwrap();
    anna.reads("1 km · 1 person").unwrap();
    anna.types("slider", "Radius of your circle", key::END)
        .unwrap();
    anna.reads("2 km · 1 person").unwrap();
    let slider = "Radius of your circle";
    anna.types("slider", slider, key::HOME).unwrap();
    anna.reads("100 m · nobody").unwrap();
    ben.reads("2 km · nobody").unwrap();
    anna.types("slider", slider, key::END).unwrap();
    for window in [anna, ben] {
        window.reads("2 km · 1 person").unwrap();
    }
    walk_to(ben, FAR_AWAY);
    anna.reads("2 km · nobody").unwrap();
    anna.reads("You are the first one here.").unwrap();
}

#[test]
fn a_relay_that_dies_and_comes_back_loses_no_word() {
    let Couple {
        anna,
        ben,
        mut relay,
        _screen,
        _turn,
    } = couple();
    let listen = relay.url().trim_start_matches("http://").to_owned();
    relay.process().kill();
    for window in [&anna, &ben] {
        window.sees("button", "*Retry now").unwrap();
    }
    say(&anna, "Are you still there?");
    anna.reads("Waiting for a connection").unwrap();
    let _relay = relay_at(&listen);
    for window in [&anna, &ben] {
        window.reads("The relay restarted. You are").unwrap();
        window.press("button", "OK").unwrap();
        window.reads("500 m · 1 person").unwrap();
    }
    // Whoever came later than it finds it there.
    ben.reads("Are you still there?").unwrap();
    anna.reads_no_more("Waiting for a connection").unwrap();
}

#[test]
fn what_one_says_the_other_hears_until_one_blocks() {
    let _turn = turn();
    let screen = Screen::start(1280, 900).unwrap();
    let relay = relay_at("127.0.0.1:0");
    let pulse = Pulse::start(2).unwrap();
    let person = |number: usize, name: &str| {
        let home = Home::create().unwrap();
        let folder = home.config().join("org.neartalk.NearTalk");
        fs::create_dir_all(&folder).unwrap();
        let device = |name: String| json!({ "use": "device", "id": format!("pulseaudio:{name}") });
        let voice = json!({
            "input": device(pulse.microphone(number)),
            "output": device(pulse.loudspeaker(number)),
            "mode": "push_to_talk",
            // What comes out is to be what went in.
            "echo_cancellation": false,
            "noise_suppression": "off",
            "gain_control": false,
        });
        let settings = json!({ "voice": voice }).to_string();
        fs::write(folder.join("settings.json"), settings).unwrap();
        let mut options = options(name, &relay);
        pulse.equip_nobody(&mut options.driver);
        options.home = Some(home);
        open(&screen, options)
    };
    let anna = person(0, "Anna");
    let ben = person(1, "Ben");
    let say = |number, hz| {
        let tone = sound::tone(hz, 0.25, 2.0);
        pulse.play_always(number, tone).unwrap()
    };
    let tones = [say(0, 440.0), say(1, 1_000.0)];
    let mut recorder = pulse.record().unwrap();
    let mut until = |what: &str, anna_hears: bool, ben_hears: bool| {
        recorder.skip();
        let mut heard = Vec::new();
        for _ in 0..30 {
            let take = recorder.next(1.0).unwrap();
            let now = [
                sound::amplitude_at(1_000.0, take.loudspeaker(0)),
                sound::amplitude_at(440.0, take.loudspeaker(1)),
            ];
            let fits = |heard: f32, wanted| if wanted { heard > 0.1 } else { heard < 0.002 };
            if fits(now[0], anna_hears) && fits(now[1], ben_hears) {
                return;
            }
            heard.push(now);
        }
        for window in [&anna, &ben] {
            println!("{}\n{}", window.shows().unwrap(), window.printed());
        }
        for what in ["sinks", "sources", "sink-inputs", "source-outputs"] {
            println!("{}", pulse.control(&["list", "short", what]).unwrap());
        }
        panic!("{what}: second by second Anna and Ben heard {heard:?}");
    };

    // The first press joins, and a key keeps talking without a finger.
    for window in [&anna, &ben] {
        begin_at(window, HERE);
        window.reads("could see your IP address").unwrap();
        window.press("button", TALK).unwrap();
        window.sees("button", "Leave voice").unwrap();
        window.reads_no_more("could see your IP address").unwrap();
        window.types("button", TALK, key::ENTER).unwrap();
        window.reads("On. Press to stop").unwrap();
    }
    until("both are heard", true, true);
    for window in [&anna, &ben] {
        window.reads("speaking").unwrap();
    }
    ben.press("button", TALK).unwrap();
    until("only Anna is heard", false, true);
    ben.holds("button", TALK).unwrap();
    until("Ben is heard while he holds Talk", true, true);
    ben.lets_go().unwrap();
    until("and not when he has let go", false, true);
    ben.press("button", "Leave voice").unwrap();
    until("who has left hears nobody", false, false);
    ben.press("button", TALK).unwrap();
    until("Ben hears Anna again", false, true);
    drop(tones);
    for (window, name) in [(&anna, "Amber Anna"), (&ben, "Brave Ben")] {
        rename(window, name);
    }

    // What one says comes out of the other's loudspeaker as it was said, and not out of one's own.
    let speech = sound::speech(1, sound::samples(20.0)).0;
    let _speaks = pulse.play_always(0, speech).unwrap();
    recorder.skip();
    let (take, found) = (0..10)
        .find_map(|_| {
            let take = recorder.next(3.0).unwrap();
            let (said, heard) = (take.microphone(0), take.loudspeaker(1));
            let found = sound::find(said, heard, sound::samples(0.5));
            let whole = sound::dbfs(&said[..sound::samples(1.0)]) > -40.0;
            (found.is_certain() && whole).then_some((take, found))
        })
        .expect("Ben never hears Anna speak");
    let said = sound::dbfs(take.microphone(0));
    let heard = sound::dbfs(take.loudspeaker(1));
    println!("{found:?}, {said} dB in, {heard} dB out");
    assert!((said - heard).abs() < 3.0, "{said} dB came out as {heard}");
    assert!(found.delay_ms() < 300.0, "{found:?}");
    let own = sound::loudest_dbfs(take.loudspeaker(0));
    assert!(own < -60.0, "Anna hears something of {own} dB");

    ben.press("button", "Amber Anna*").unwrap();
    ben.press("button", "Block").unwrap();
    ben.reads("Amber Anna is blocked.").unwrap();
    recorder.skip();
    let silent = (0..10).any(|_| {
        let take = recorder.next(3.0).unwrap();
        let speaks = sound::dbfs(take.microphone(0)) > -40.0;
        speaks && sound::loudest_dbfs(take.loudspeaker(1)) < -60.0
    });
    assert!(silent, "Ben hears whom he has blocked");
}
