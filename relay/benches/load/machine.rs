//! The machine that figures were taken on, and who runs on which of its cores.

use std::process::Command;

use anyhow::Result;
use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

/// Which core the relay has to itself, and which the generator.
pub struct Cores {
    /// `None` on a machine with a single core, or when pinning is not wanted.
    pair: Option<(usize, usize)>,
}

impl Cores {
    /// Picks two of the cores that this process may use.
    pub fn pick(pin: bool) -> Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        let pair = cores.next().zip(cores.next()).filter(|_| pin);
        Ok(Self { pair })
    }

    /// Whether relay and generator have a core each.
    pub const fn pinned(&self) -> bool {
        self.pair.is_some()
    }

    /// Moves this thread, and processes that it makes from now on, to the relay's core.
    pub fn pin_relay(&self) -> Result<()> {
        pin(self.pair.map(|(relay, _)| relay))
    }

    /// Starts a server on the relay's core, and comes back to the generator's.
    pub fn beside_relay<T>(&self, start: impl FnOnce() -> Result<T>) -> Result<T> {
        self.pin_relay()?;
        let started = start();
        self.pin_generator()?;
        started
    }

    /// Moves this thread to the generator's core.
    pub fn pin_generator(&self) -> Result<()> {
        pin(self.pair.map(|(_, generator)| generator))
    }
}

fn pin(core: Option<usize>) -> Result<()> {
    if let Some(core) = core {
        let mut set = CpuSet::new();
        set.set(core);
        sched_setaffinity(None, &set)?;
    }
    Ok(())
}

/// Raises the limit of open files as far as it goes, for the relay too, which inherits it.
pub fn raise_file_limit() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised)?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// One line on processor, kernel and compiler.
pub fn description(cores: &Cores) -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    let count = match cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count()
    {
        0 => count,
        count => count,
    };
    let release = read("/proc/sys/kernel/osrelease");
    let rustc = Command::new("rustc")
        .arg("--version")
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(|| "unknown rustc".into());
    let pinning = if cores.pinned() {
        "relay on one core, generator on another"
    } else {
        "relay and generator not pinned"
    };
    format!(
        "{model}, {count} cores ({pinning}), Linux {}, {}",
        release.trim(),
        rustc.trim()
    )
}
