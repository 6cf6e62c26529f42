//! Where the windows are opened.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use neartalk_rig::{
    bus::Bus,
    headless::Headless,
    process::GUARD,
    programs,
    pulse::Pulse,
    relay::Relay,
    window::{Home, Options, Screen, Window},
};
use serde_json::{Value, json};

/// Of the window.
pub const TITLE: &str = "NearTalk";
/// Somewhere in Berlin.
const HERE: &str = "52.5163, 13.3777";

/// One at a time: a window needs much of a small machine.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// NearTalk itself.
pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_neartalk"))
}

/// Starts the program once more where a window of it is open, and waits until it ends.
pub fn start_again(window: &Window, argument: Option<&str>) {
    let mut command = Command::new(program());
    window.equip(&mut command);
    let done = command.args(argument).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// Waits for something that nobody tells of.
pub fn comes_true(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + GUARD;
    while !is_so() {
        assert!(Instant::now() < until, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Erases everything, as by Ctrl+Shift+X.
pub fn press_panic(window: &Window) {
    let keys = "{ code: 'KeyX', key: 'X', ctrlKey: true, shiftKey: true }";
    let event = format!("dispatchEvent(new KeyboardEvent('keydown', {keys}))");
    window.eval(&event).unwrap();
}

/// How a window is opened.
pub struct Start<'a> {
    pub bus: Bus,
    pub home: Home,
    /// What was chosen earlier.
    pub settings: Value,
    /// What was opened.
    pub link: Option<String>,
    /// Where there is sound.
    pub pulse: Option<&'a Pulse>,
    /// Whether the desktop is one of Wayland.
    pub wayland: bool,
}

impl Start<'_> {
    /// For the first time, beside whatever this bus offers.
    pub fn on(bus: Bus) -> Self {
        Self {
            bus,
            home: Home::create().unwrap(),
            settings: json!({}),
            link: None,
            pulse: None,
            wayland: false,
        }
    }
}

/// Where a window is opened.
pub struct Desktop {
    pub screen: Screen,
    pub relay: Relay,
    _turn: MutexGuard<'static, ()>,
}

impl Desktop {
    /// An empty one.
    pub fn start() -> Self {
        let turn = turn();
        Self {
            screen: Screen::start(1280, 900).unwrap(),
            relay: Relay::start(&[]).unwrap(),
            _turn: turn,
        }
    }

    /// Opens Anna's window.
    pub fn open(&self, start: Start<'_>) -> Window {
        let home = start.home;
        let folder = home.config().join("org.neartalk.NearTalk");
        fs::create_dir_all(&folder).unwrap();
        let settings = folder.join("settings.json");
        // What was chosen in a window that was here before stays.
        if !settings.exists() {
            fs::write(settings, start.settings.to_string()).unwrap();
        }
        let mut options = Options {
            name: "Anna".to_owned(),
            home: Some(home),
            bus: Some(start.bus),
            arguments: start.link.into_iter().collect(),
            ..Options::default()
        };
        let driver = &mut options.driver;
        driver.env("NEARTALK_RELAY", self.relay.url());
        match start.pulse {
            Some(pulse) => pulse.equip_nobody(driver),
            None => {
                driver.env("PULSE_SERVER", "unix:/nonexistent");
            }
        }
        if start.wayland {
            // As a program that X shows on a Wayland desktop.
            driver.env("WAYLAND_DISPLAY", "wayland-0");
            driver.env("GDK_BACKEND", "x11");
        }
        Window::open(program(), &self.screen, options).unwrap()
    }

    /// Somebody in voice, who says nothing.
    pub fn listener(&self) -> Headless {
        let mut command = headless(&self.relay);
        command.env("PULSE_SERVER", "unix:/nonexistent");
        command.args(["--address", "127.0.0.1:0", "--voice"]);
        command.args(["--input", "none", "--output", "none"]);
        Headless::run(&mut command).unwrap()
    }

    /// Somebody else who is there.
    pub fn somebody(&self) -> Headless {
        somebody_on(&self.relay)
    }
}

/// Somebody who is there on a relay.
pub fn somebody_on(relay: &Relay) -> Headless {
    Headless::run(&mut headless(relay)).unwrap()
}

fn headless(relay: &Relay) -> Command {
    let sources = ["client/src", "client/Cargo.toml", "shared/src", "voice/src"];
    let program = programs::program("neartalk-client", "neartalk-headless", &sources).unwrap();
    let mut command = Command::new(program);
    command.args(["--relay", relay.url(), "--at", &HERE.replace(' ', "")]);
    command
}

/// Chooses a place by hand, by its coordinates.
pub fn begin(window: &Window) {
    window.press("button", "Choose a place by hand").unwrap();
    window.writes("textbox", "Coordinates", HERE).unwrap();
    window.press("button", "Be here").unwrap();
    window.sees_no_more("dialog", "*").unwrap();
}

/// Turns a switch in a section of the settings.
pub fn choose(window: &Window, section: &str, switch: &str) {
    window.press("button", "Settings").unwrap();
    window.press("button", section).unwrap();
    window.press("switch", switch).unwrap();
    window.press("button", "Close").unwrap();
    window.sees_no_more("dialog", "*").unwrap();
}
