//! One who never reads in a crowd, and whether the others notice.

use std::time::Duration;

use anyhow::{Result, ensure};
use neartalk_shared::Radius;

use crate::{
    Setup,
    chat::{Chat, Measured},
    report::{Count, Millis, table},
    swarm::{Framing, Swarm},
};

/// One run of the bench.
#[derive(Clone, clap::Args)]
pub struct Options {
    /// How many people are in range of each other
    #[arg(long, default_value_t = 1_000)]
    pub crowd: usize,
    /// Messages a second that they say together
    #[arg(long, default_value_t = 200.0)]
    pub messages: f64,
    /// Bytes of text in a message
    #[arg(long, default_value_t = 480)]
    pub text_bytes: usize,
    /// How long to chat before one stops reading, and again after that one is gone, in seconds
    #[arg(long, default_value_t = 3)]
    pub seconds: u64,
    /// How long to wait for the relay to close the slow one, in seconds
    #[arg(long, default_value_t = 50)]
    pub patience: u64,
}

impl Options {
    /// A run that takes a few seconds.
    pub fn quick() -> Self {
        Self {
            crowd: 40,
            messages: 100.0,
            text_bytes: 480,
            seconds: 1,
            patience: 1,
        }
    }
}

/// One phase of the run.
struct Phase {
    name: &'static str,
    measured: Measured,
    rss_before: u64,
    rss_after: u64,
}

/// Runs the bench and returns a Markdown table.
pub fn run(setup: &Setup, options: &Options) -> Result<String> {
    ensure!(options.crowd > 2, "a crowd has more than two people");
    let relay = setup.start_relay()?;
    let mut swarm = Swarm::new(Framing::WebSocket)?;
    swarm.grow(relay.address, options.crowd)?;
    swarm.locate(0..options.crowd, 0, Radius::MAX)?;
    swarm.settle(Duration::from_millis(1_500), Duration::from_secs(60))?;

    // The last one says nothing, and will be the slow one.
    let slow = options.crowd - 1;
    let mut chat = Chat::new((0..slow).collect(), options.messages, options.text_bytes)?;
    let mut phases = Vec::new();
    let seconds = Duration::from_secs(options.seconds);
    chat.run(&mut swarm, Duration::from_secs(1))?;
    chat.take(&swarm)?;

    let rss_before = relay.rss()?;
    chat.run(&mut swarm, seconds)?;
    phases.push(Phase {
        name: "everyone reads",
        measured: chat.take(&swarm)?,
        rss_before,
        rss_after: relay.rss()?,
    });

    // A slow reader's own view ends with it: only the relay's open files tell when it is closed.
    let open = relay.descriptors()?;
    swarm.stop_reading(slow)?;
    let mut gone_after = None;
    let mut peak = 0;
    let rss_before = relay.rss()?;
    let step = Duration::from_millis(250);
    for passed in 1..=options.patience * 4 {
        chat.run(&mut swarm, step)?;
        peak = peak.max(relay.rss()?);
        if relay.descriptors()? < open {
            gone_after = Some(step.as_secs_f64() * passed as f64);
            break;
        }
    }
    phases.push(Phase {
        name: "one does not read",
        measured: chat.take(&swarm)?,
        rss_before,
        rss_after: peak,
    });

    let rss_before = relay.rss()?;
    chat.run(&mut swarm, seconds)?;
    chat.drain(&mut swarm, Duration::from_secs(5))?;
    phases.push(Phase {
        name: if gone_after.is_some() {
            "it is closed"
        } else {
            "it is still open"
        },
        measured: chat.take(&swarm)?,
        rss_before,
        rss_after: relay.rss()?,
    });
    swarm.ensure_all_open()?;
    let totals = chat.totals();
    ensure!(
        totals.confirmed == totals.said,
        "only {} of {} messages were confirmed",
        totals.confirmed,
        totals.said
    );

    let rows: Vec<_> = phases.iter().map(row).collect();
    let verdict = match gone_after {
        Some(after) => {
            format!("The relay closed the slow one after {after:.2} s; nobody else was closed.")
        }
        None => format!(
            "The relay had not closed the slow one after {} s.",
            options.patience
        ),
    };
    ensure!(
        gone_after.is_some() || setup.quick,
        "the relay did not close a client that never reads within {} s",
        options.patience
    );
    let busiest = phases
        .iter()
        .map(|phase| phase.measured.busy())
        .fold(0.0, f64::max);
    drop(swarm);
    relay.stop()?;
    Ok(format!(
        "### One who never reads in a crowd of {}: {} messages/s of {} B\n\n{}\n{verdict} The generator was at most {:.0} % busy.\n",
        Count(options.crowd as f64),
        options.messages,
        options.text_bytes,
        table(
            &[
                "",
                "delivered/s",
                "p50 ms",
                "p99 ms",
                "max ms",
                "RSS MiB",
                "RSS growth KiB/s"
            ],
            &rows
        ),
        100.0 * busiest,
    ))
}

fn row(phase: &Phase) -> Vec<String> {
    let Phase {
        name,
        measured,
        rss_before,
        rss_after,
    } = phase;
    let growth = *rss_after as f64 - *rss_before as f64;
    let seconds = measured.elapsed_ns as f64 / 1e9;
    let row = vec![
        (*name).into(),
        Count(measured.rate()).to_string(),
        Millis(measured.latency.value_at_quantile(0.5)).to_string(),
        Millis(measured.latency.value_at_quantile(0.99)).to_string(),
        Millis(measured.latency.max()).to_string(),
        format!("{:.1}", *rss_after as f64 / f64::from(1 << 20)),
        format!("{:.0}", growth / 1024.0 / seconds),
    ];
    eprintln!("  {}", row.join(" | "));
    row
}
