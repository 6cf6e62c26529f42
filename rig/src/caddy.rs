//! Caddy, the reverse proxy, with settings of its own and nothing of this computer's.

use std::{fs, net::SocketAddr, process::Command};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{ports, process::Process};

/// A running Caddy, killed when dropped.
#[derive(Debug)]
pub struct Caddy {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Caddy {
    /// Starts one that serves a free port of this computer, in the clear, by a Caddyfile that takes
    /// its site from `NEARTALK_DOMAIN`. It listens a moment after this.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn start(caddyfile: &str) -> Result<Self> {
        let address = ports::free()?;
        let folder = tempfile::tempdir().context("can't make a folder for Caddy")?;
        let file = folder.path().join("Caddyfile");
        // Its administration would be on one port for all that run here.
        fs::write(&file, format!("{{\n\tadmin off\n}}\n{caddyfile}"))?;
        let mut command = Command::new("caddy");
        command
            .args(["run", "--adapter", "caddyfile", "--config"])
            .arg(&file)
            .env("NEARTALK_DOMAIN", format!("http://{address}"))
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path());
        let process =
            Process::start(&mut command).context("this needs Caddy; install the package caddy")?;
        Ok(Self {
            address,
            process,
            _folder: folder,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://…`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has printed.
    pub fn printed(&self) -> String {
        self.process.printed()
    }
}
