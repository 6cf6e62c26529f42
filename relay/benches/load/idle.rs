//! What a socket costs that only waits.

use anyhow::{Result, ensure};

use crate::{
    Setup,
    goals::{self, IDLE_BYTES, Verdict},
    report::{Count, table},
    swarm::{Framing, Swarm},
};

/// One run of the bench.
#[derive(Clone, clap::Args)]
pub struct Options {
    /// How many sockets, one run each
    #[arg(long, value_delimiter = ',', default_value = "8000,19000")]
    pub sockets: Vec<usize>,
}

impl Options {
    /// A run that takes a second.
    pub fn quick() -> Self {
        Self { sockets: vec![200] }
    }
}

/// Measures each count against a relay of its own and returns a Markdown table, and whether that is
/// little enough.
pub fn run(setup: &Setup, options: &Options) -> Result<(String, Vec<Verdict>)> {
    let mut rows = Vec::new();
    let mut verdicts = Vec::new();
    for &count in &options.sockets {
        ensure!(
            count as u64 + 50 <= setup.files,
            "{count} sockets need more than the {} files that a process may open here; raise `ulimit -n`",
            setup.files
        );
        let relay = setup.start_relay()?;
        let mut swarm = Swarm::new(Framing::WebSocket)?;
        // What a relay allocates once, for its first socket, is not the cost of each.
        swarm.grow(relay.address, 1)?;
        let before = relay.settled_rss(|time| swarm.idle(time).map(drop))?;
        swarm.grow(relay.address, count + 1)?;
        let after = relay.settled_rss(|time| swarm.idle(time).map(drop))?;
        swarm.ensure_all_open()?;
        let each = after.saturating_sub(before) / count as u64;
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
        rows.push(vec![
            Count(count as f64).to_string(),
            mib(before),
            mib(after),
            Count(each as f64).to_string(),
            if each <= IDLE_BYTES { "yes" } else { "no" }.into(),
        ]);
        verdicts.push(goals::idle(count, each));
        eprintln!("  {}", rows[rows.len() - 1].join(" | "));
        drop(swarm);
        relay.stop()?;
    }
    let text = format!(
        "### Idle sockets: each with a session, greeted, not located\n\n{}",
        table(
            &[
                "sockets",
                "RSS before MiB",
                "RSS after MiB",
                "bytes a socket",
                "at most 8 KiB"
            ],
            &rows
        )
    );
    Ok((text, verdicts))
}
