//! `cargo xtask bench`: the relay under load, its index by itself, and voice beside Chromium.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use crate::{
    cargo::cargo,
    process::{Ended, Guard, Interrupt, run},
};

/// Measure the relay or voice. docs/benchmarks.md says what the figures mean.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure.
    what: Bench,
    /// Passed on to the bench; `--help` tells what it takes.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Bench {
    /// Sockets, deliveries a second, latency and memory, against a relay of its own.
    Relay,
    /// The proximity index: a query and a move, at 1,000 to 1,000,000 people.
    Index,
    /// Delay, quality, joining, processor time and echo of voice, beside Chromium; needs Linux and root.
    Voice,
}

pub fn bench(args: Args) -> Result<ExitCode> {
    let (package, name) = match args.what {
        Bench::Relay => ("neartalk-relay", "load"),
        Bench::Index => ("neartalk-relay", "index"),
        Bench::Voice => ("neartalk-client", "voice"),
    };
    let guard = Guard {
        interrupt: Interrupt::listen()?,
        deadline: None,
    };
    let mut command = cargo(&["bench", "-p", package, "--bench", name, "--"]);
    Ok(match run(command.args(args.rest), &guard)? {
        Ended::Exited(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
