//! The app's real window, and a person in front of it: WebKit's own driver starts the program on a
//! screen that nobody sees, finds what a person finds (by what it is and what it is called), and
//! presses, types and reads.
//!
//! Each window has a home, a message bus and a driver of its own, so that several can be open at once.

mod driver;
mod group;
mod home;
mod options;
mod screen;

use std::{
    cell::Cell,
    net::TcpListener,
    os::unix::process::CommandExt as _,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::runtime::{self, Runtime};

use self::driver::{Element, Mouse, Session};
pub use self::{home::Home, options::Options, screen::Screen};
use crate::{
    bus::Bus,
    process::{GUARD, Process},
};

const PAGE: &str = include_str!("window/page.js");

/// What WebDriver calls the keys that have no letter.
pub mod key {
    /// Sends, or takes what is offered.
    pub const ENTER: &str = "\u{e007}";
    /// All the way to the left.
    pub const HOME: &str = "\u{e011}";
    /// To the right.
    pub const RIGHT: &str = "\u{e014}";
    /// All the way to the right.
    pub const END: &str = "\u{e010}";
    /// With an `a` after it: marks everything.
    pub const CONTROL: &str = "\u{e009}";
    /// For large letters.
    pub const SHIFT: &str = "\u{e008}";
    /// Takes away what is marked.
    pub const BACKSPACE: &str = "\u{e003}";
    /// A key that writes nothing.
    pub const F8: &str = "\u{e038}";
    /// Another.
    pub const F9: &str = "\u{e039}";
}

/// A person in front of the open window of a program.
#[derive(Debug)]
pub struct Window {
    runtime: Runtime,
    session: Session,
    driver: Process,
    name: String,
    actions: Cell<u32>,
    /// What the system calls it.
    program: String,
    bus: Bus,
    home: Home,
    display: String,
}

impl Window {
    /// Opens a program's window on a screen.
    ///
    /// # Errors
    /// When there is no `WebKitWebDriver` or `dbus-daemon`, or the window doesn't open.
    pub fn open(program: &Path, screen: &Screen, options: Options) -> Result<Self> {
        let Options {
            name,
            home,
            bus,
            arguments,
            driver: mut command,
        } = options;
        let short = program.file_name().unwrap_or_default();
        let short = short.to_string_lossy();
        let program = program.to_str().context("a path of letters")?;
        let home = home.map_or_else(Home::create, Ok)?;
        let bus = bus.map_or_else(Bus::start, Ok)?;
        let port = free_port()?;
        command.arg(format!("--port={port}"));
        // Whatever has a home of its own in there, this one counts.
        home.equip(&mut command);
        bus.equip(&mut command);
        command
            .env("DISPLAY", screen.display())
            .env("TAURI_WEBVIEW_AUTOMATION", "true")
            .env("LANG", "C.UTF-8")
            .env("LANGUAGE", "en")
            .process_group(0);
        let driver = Process::start(&mut command)?;
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let until = Instant::now() + GUARD;
        let session = loop {
            match runtime.block_on(Session::start(port, program, &arguments)) {
                Ok(Some(session)) => break session,
                Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(20)),
                Ok(None) => bail!(
                    "the driver doesn't listen; it printed:\n{}",
                    driver.printed()
                ),
                Err(error) => {
                    group::end(driver.pid());
                    return Err(error.context(driver.printed()));
                }
            }
        };
        Ok(Self {
            runtime,
            session,
            driver,
            name,
            actions: Cell::new(0),
            program: short.chars().take(15).collect(),
            bus,
            home,
            display: screen.display().to_owned(),
        })
    }

    fn ask(&self, question: &str, parts: &[&str], guard: Duration) -> Result<Value> {
        let arguments = json!([question, parts, guard.as_millis()]);
        let asked = self.session.eval_async(PAGE, arguments);
        let answer = self
            .runtime
            .block_on(asked)
            .with_context(|| format!("{}; it printed:\n{}", self.name, self.driver.printed()))?;
        match answer.get("answer") {
            Some(answer) => Ok(answer.clone()),
            None => bail!(
                "{}: {question} {parts:?} in vain; the window shows: {}\nand printed:\n{}",
                self.name,
                answer.get("shows").and_then(Value::as_str).unwrap_or("?"),
                self.driver.printed()
            ),
        }
    }

    /// What is called so, if that is what assistive technology is told of it.
    fn told(&self, kind: &str, name: &str) -> Result<Element> {
        let found = self.element("ready", kind, name)?;
        let (role, label) = self.runtime.block_on(self.session.computed(&found))?;
        if !role.eq_ignore_ascii_case(kind) || !is_like(&label, name) {
            bail!("{kind} \"{name}\" is told to be {role} \"{label}\"");
        }
        Ok(found)
    }

    fn element(&self, question: &str, kind: &str, name: &str) -> Result<Element> {
        let found = self.ask(question, &[kind, name], GUARD)?;
        Element::of(&found).with_context(|| format!("{found} is no element"))
    }

    /// Waits until this is to be read somewhere.
    ///
    /// # Errors
    /// When it isn't within [`GUARD`], with what is to be read instead.
    pub fn reads(&self, text: &str) -> Result<()> {
        self.ask("text", &[text], GUARD).map(drop)
    }

    /// Waits until this is to be read nowhere.
    ///
    /// # Errors
    /// When it still is after [`GUARD`].
    pub fn reads_no_more(&self, text: &str) -> Result<()> {
        self.ask("no_text", &[text], GUARD).map(drop)
    }

    /// Waits until something of a kind and name is there. A `*` in a name stands for
    /// anything.
    ///
    /// # Errors
    /// When it isn't within [`GUARD`].
    pub fn sees(&self, kind: &str, name: &str) -> Result<()> {
        self.element("find", kind, name).map(drop)
    }

    /// Waits until nothing of a kind and name is there.
    ///
    /// # Errors
    /// When it still is after [`GUARD`].
    pub fn sees_no_more(&self, kind: &str, name: &str) -> Result<()> {
        self.ask("gone", &[kind, name], GUARD).map(drop)
    }

    /// Waits until what is typed goes there.
    ///
    /// # Errors
    /// When it doesn't within [`GUARD`].
    pub fn has_focus(&self, kind: &str, name: &str) -> Result<()> {
        self.ask("focused", &[kind, name], GUARD).map(drop)
    }

    /// Waits until nothing fades or slides any more.
    ///
    /// # Errors
    /// When something still does after [`GUARD`].
    pub fn is_still(&self) -> Result<()> {
        self.ask("still", &[], GUARD).map(drop)
    }

    /// Waits until the person looks at this window, as far as it knows.
    ///
    /// # Errors
    /// When they don't within [`GUARD`].
    pub fn has_attention(&self) -> Result<()> {
        self.ask("attention", &[], GUARD).map(drop)
    }

    /// Waits until the person looks at another window.
    ///
    /// # Errors
    /// When they don't within [`GUARD`].
    pub fn has_no_attention(&self) -> Result<()> {
        self.ask("no_attention", &[], GUARD).map(drop)
    }

    /// Presses something once it can be pressed.
    ///
    /// # Errors
    /// When it can't be within [`GUARD`], something lies over it, or assistive technology is told
    /// something else of it.
    pub fn press(&self, kind: &str, name: &str) -> Result<()> {
        self.acts();
        let until = Instant::now() + GUARD;
        loop {
            let found = self.told(kind, name)?;
            match self.runtime.block_on(self.session.click(&found)) {
                Ok(()) => return Ok(()),
                // It moved, or was drawn anew.
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// Types into something.
    ///
    /// # Errors
    /// When it isn't there within [`GUARD`].
    pub fn types(&self, kind: &str, name: &str, text: &str) -> Result<()> {
        self.acts();
        self.keys(kind, name, text)
    }

    fn keys(&self, kind: &str, name: &str, text: &str) -> Result<()> {
        let found = self.element("ready", kind, name)?;
        self.runtime.block_on(self.session.keys(&found, text))
    }

    /// Types into something in place of what was there.
    ///
    /// # Errors
    /// When it isn't there within [`GUARD`].
    pub fn writes(&self, kind: &str, name: &str, text: &str) -> Result<()> {
        self.acts();
        // Keys that change others are let go at the end of a call.
        self.keys(kind, name, &format!("{}a", key::CONTROL))?;
        let instead = if text.is_empty() {
            key::BACKSPACE
        } else {
            text
        };
        self.keys(kind, name, instead)
    }

    /// Holds something until [`Window::lets_go`].
    ///
    /// # Errors
    /// When it isn't there within [`GUARD`].
    pub fn holds(&self, kind: &str, name: &str) -> Result<()> {
        self.acts();
        let found = self.element("ready", kind, name)?;
        self.runtime
            .block_on(self.session.mouse(Mouse::Press(&found)))
    }

    /// Lets go of what it holds.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn lets_go(&self) -> Result<()> {
        self.runtime.block_on(self.session.mouse(Mouse::Release))
    }

    /// Makes the window so large, in pixels.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn resize(&self, width: u32, height: u32) -> Result<()> {
        self.runtime.block_on(self.session.resize(width, height))
    }

    /// How often the person has done something: pressed, held or typed.
    pub fn actions(&self) -> u32 {
        self.actions.get()
    }

    fn acts(&self) {
        self.actions.set(self.actions.get() + 1);
    }

    /// What an expression of JavaScript comes to in the window, for what only a measurement wants.
    ///
    /// # Errors
    /// When it throws.
    pub fn eval(&self, expression: &str) -> Result<Value> {
        let script = format!("return {expression};");
        self.runtime.block_on(self.session.eval(&script, json!([])))
    }

    /// All that is to be read now.
    ///
    /// # Errors
    /// When the driver fails.
    pub fn shows(&self) -> Result<String> {
        let text = self.eval("document.body.innerText")?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the program, or one that it has started, has printed this.
    ///
    /// # Errors
    /// When it hasn't within [`GUARD`].
    pub fn prints(&self, text: &str) -> Result<()> {
        let until = Instant::now() + GUARD;
        while !self.printed().contains(text) {
            if Instant::now() >= until {
                bail!("{}: \"{text}\" isn't in:\n{}", self.name, self.printed());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The bus that the program speaks on.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// Lets another program live where this one does.
    pub fn equip(&self, command: &mut Command) {
        self.home.equip(command);
        self.bus.equip(command);
        command.env("DISPLAY", &self.display);
        command.env_remove("WAYLAND_DISPLAY");
    }

    /// What the driver and the program printed.
    pub fn printed(&self) -> String {
        self.driver.printed()
    }

    /// Waits until the program has ended, whatever its driver does.
    ///
    /// # Errors
    /// When it still runs after [`GUARD`].
    pub fn has_ended(&self) -> Result<()> {
        let until = Instant::now() + GUARD;
        while group::runs(self.group(), &self.program)? {
            if Instant::now() > until {
                bail!("{} still runs; it printed:\n{}", self.name, self.printed());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The group of processes of the driver, the program and all that they have started.
    pub fn group(&self) -> u32 {
        self.driver.pid()
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        // With its window gone the program says goodbye to its relay.
        let _ = self.runtime.block_on(self.session.end());
        group::end(self.group());
    }
}

/// Whether a name is as wanted; a `*` stands for anything.
fn is_like(name: &str, wanted: &str) -> bool {
    let Some((first, rest)) = wanted.split_once('*') else {
        return name == wanted;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some((_, after)) = left.split_once(part) else {
            return false;
        };
        left = after;
    }
    left.ends_with(last)
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for wanted in ["Talk", "Talk*", "*", "T*k", "*a*k", "*Ta*l*k*"] {
            assert!(is_like("Talk", wanted), "{wanted}");
        }
        for wanted in ["Tal", "alk", "T*l", "*x*", "Talk*k", "a*"] {
            assert!(!is_like("Talk", wanted), "{wanted}");
        }
    }
}
