//! The terminal client, as scripts use it.

use std::{
    collections::VecDeque,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{GUARD, Process};

/// Events kept for whoever asks what has happened.
const KEPT: usize = 10_000;

/// A running `neartalk-headless --json`.
#[derive(Debug)]
pub struct Headless {
    process: Process,
    peer_id: String,
    tag: String,
    username: String,
    seen: VecDeque<Value>,
}

impl Headless {
    /// Starts a command that becomes one; `--json` is added to its arguments. Returns once the relay has
    /// said who it is.
    ///
    /// # Errors
    /// When it doesn't start, or doesn't reach its relay within [`GUARD`].
    pub fn run(command: &mut Command) -> Result<Self> {
        let process = Process::start(command.arg("--json"))?;
        let mut headless = Self {
            process,
            peer_id: String::new(),
            tag: String::new(),
            username: String::new(),
            seen: VecDeque::new(),
        };
        let me = headless.wait("who it is", |event| {
            (event["type"] == "me").then(|| event.clone())
        })?;
        let field = |name: &str| me[name].as_str().unwrap_or_default().to_owned();
        headless.peer_id = field("peer_id");
        headless.tag = field("tag");
        headless.username = field("username");
        Ok(headless)
    }

    /// Who it is to others.
    pub fn peer_id(&self) -> &str {
        &self.peer_id
    }

    /// What others see behind its name.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// What it is called.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Types a line.
    ///
    /// # Errors
    /// When it has ended.
    pub fn say(&mut self, line: &str) -> Result<()> {
        self.process.say(line)
    }

    /// Waits for an event that `wanted` makes something of; those before it are gone then.
    ///
    /// # Errors
    /// When none comes within [`GUARD`], or it ends.
    pub fn wait<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&Value) -> Option<T>,
    ) -> Result<T> {
        let until = Instant::now() + GUARD;
        while let Some(event) = self.event(until)? {
            if let Some(found) = wanted(&event) {
                return Ok(found);
            }
        }
        bail!(
            "waited in vain for {what} from {}; it told:\n{}",
            self.username,
            self.process.printed()
        )
    }

    /// Waits until it is connected with somebody.
    ///
    /// # Errors
    /// As [`Headless::wait`].
    pub fn wait_connected(&mut self, peer_id: &str) -> Result<()> {
        self.wait_link(peer_id, "connected")
    }

    /// Waits until it stands so with somebody: `connected`, `interrupted`…
    ///
    /// # Errors
    /// As [`Headless::wait`].
    pub fn wait_link(&mut self, peer_id: &str, link: &str) -> Result<()> {
        let already = self.seen.iter().rev().find(|event| {
            matches!(
                event["type"].as_str(),
                Some("voice_person" | "voice_person_left")
            ) && event["peer_id"] == peer_id
        });
        if already.is_some_and(|event| event["link"] == link) {
            return Ok(());
        }
        self.wait(&format!("{link} with {peer_id}"), |event| {
            let fits = event["type"] == "voice_person"
                && event["peer_id"] == peer_id
                && event["link"] == link;
            fits.then_some(())
        })
    }

    /// All that it tells for so long.
    ///
    /// # Errors
    /// When it ends.
    pub fn listen(&mut self, time: Duration) -> Result<Vec<Value>> {
        let until = Instant::now() + time;
        let mut events = Vec::new();
        while let Some(event) = self.event(until)? {
            events.push(event);
        }
        Ok(events)
    }

    /// What it has told so far, as far as somebody has waited for something.
    pub fn seen(&self) -> impl DoubleEndedIterator<Item = &Value> {
        self.seen.iter()
    }

    /// Everything that it has printed.
    pub fn printed(&self) -> String {
        self.process.printed()
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    fn event(&mut self, until: Instant) -> Result<Option<Value>> {
        while let Some(line) = self.process.line(until)? {
            // What it answers to what is typed is no JSON.
            let Ok(event) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            event
                .is_object()
                .then_some(())
                .context("an event is an object")?;
            if self.seen.len() == KEPT {
                self.seen.pop_front();
            }
            self.seen.push_back(event.clone());
            return Ok(Some(event));
        }
        Ok(None)
    }
}
