//! The relay under test: the real binary, as a process of its own, and what the kernel says of it.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use neartalk_rig::process::cpu_time;
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::Cores;

/// Limits that a generator on one address must not run into.
const LIMITS: [(&str, &str); 9] = [
    ("--sockets-per-address", "60000"),
    ("--sessions-per-minute", "1000000"),
    ("--session-burst", "1000000"),
    ("--requests-per-second", "1000000"),
    ("--request-burst", "1000000"),
    ("--messages-per-minute", "100000"),
    // Everybody says the same.
    ("--repeats-per-address", "0"),
    ("--repeats-per-cell", "0"),
    ("--proof-of-work", "never"),
];

/// How long a relay may take to come up or to drain.
const PATIENCE: Duration = Duration::from_secs(15);

/// Resident memory of a process in bytes.
pub fn rss(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status =
        std::fs::read_to_string(&path).with_context(|| format!("a server is gone: read {path}"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|kib| kib.parse::<u64>().ok())
        .context("a server is gone: its status has no VmRSS")?;
    Ok(kib * 1024)
}

/// A running relay; killed when dropped.
pub struct Relay {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Relay {
    /// Starts the binary at `path` on a free port of 127.0.0.1 and on its own core.
    pub fn start(path: &Path, extra: &[String], cores: &Cores) -> Result<Self> {
        let mut command = Command::new(path);
        command
            .args(["--listen", "127.0.0.1:0", "--log", "warn"])
            .args(LIMITS.iter().flat_map(|&(flag, value)| [flag, value]))
            .args(extra)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        // A child inherits the affinity of the thread that makes it.
        let mut child = cores.beside_relay(|| {
            let child = command.spawn();
            child.with_context(|| format!("start {}", path.display()))
        })?;
        let stdout = child.stdout.take();
        let mut relay = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        relay.address = line
            .trim()
            .strip_prefix("listening on http://")
            .and_then(|address| address.parse().ok())
            .with_context(|| format!("the relay did not say where it listens, but {line:?}"))?;
        Ok(relay)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in bytes.
    pub fn rss(&self) -> Result<u64> {
        rss(self.pid())
    }

    /// Waits until resident memory stays where it is, for ten seconds at most, and returns it.
    pub fn settled_rss(&self, mut wait: impl FnMut(Duration) -> Result<()>) -> Result<u64> {
        let start = Instant::now();
        let mut last = self.rss()?;
        while start.elapsed() < Duration::from_secs(10) {
            wait(Duration::from_millis(700))?;
            let now = self.rss()?;
            if now.abs_diff(last) < 64 * 1024 {
                return Ok(now);
            }
            last = now;
        }
        Ok(last)
    }

    /// Processor time used so far, in seconds, user and system together.
    pub fn cpu_seconds(&self) -> Result<f64> {
        Ok(cpu_time(self.pid())?.as_secs_f64())
    }

    /// How many file descriptors it has open.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Asks it to stop and waits until it has; anything but success is an error.
    pub fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait()? {
                ensure!(status.success(), "the relay ended with {status}");
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("the relay did not end within {PATIENCE:?} of SIGTERM");
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Fails when it has already ended, which is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
