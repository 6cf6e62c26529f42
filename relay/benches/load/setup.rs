//! What all benches need.

use std::path::PathBuf;

use anyhow::Result;

use crate::{machine::Cores, relay::Relay};

/// What all benches need.
pub struct Setup {
    /// Show that it works; neither pin nor judge.
    pub quick: bool,
    /// How many files a process may have open.
    pub files: u64,
    /// Who runs where.
    pub cores: Cores,
    /// The relay's program.
    pub relay: PathBuf,
    /// What else it is told.
    pub relay_args: Vec<String>,
}

impl Setup {
    /// Starts a fresh relay.
    pub fn start_relay(&self) -> Result<Relay> {
        self.start_relay_with(&[])
    }

    /// Starts a fresh relay with further flags.
    pub fn start_relay_with(&self, flags: &[String]) -> Result<Relay> {
        let all = [flags, &self.relay_args].concat();
        Relay::start(&self.relay, &all, &self.cores)
    }
}
