//! A relay.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{process::Process, programs};

/// A running relay, on a free port unless its flags say otherwise.
#[derive(Debug)]
pub struct Relay {
    process: Process,
    url: String,
}

impl Relay {
    /// Starts one on this computer, with these further flags.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn start(flags: &[&str]) -> Result<Self> {
        let flags = [&["--listen", "127.0.0.1:0"], flags].concat();
        Self::run(Command::new(Self::program()?).args(flags))
    }

    /// Starts a command that becomes a relay, such as one in a network of its own.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn run(command: &mut Command) -> Result<Self> {
        let mut process = Process::start(command)?;
        let url = process.wait_for("where the relay listens", |line| {
            line.strip_prefix("listening on ").map(str::to_owned)
        })?;
        Ok(Self { process, url })
    }

    /// The relay's program.
    ///
    /// # Errors
    /// When it can't be built.
    pub fn program() -> Result<impl AsRef<Path> + AsRef<std::ffi::OsStr>> {
        let sources = [
            "relay/src",
            "relay/Cargo.toml",
            "shared/src",
            "shared/Cargo.toml",
        ];
        programs::program("neartalk-relay", "neartalk-relay", &sources)
    }

    /// `http://…`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
