//! `cargo xtask bench`: the relay under load, alone and beside other servers, its index by itself, its
//! TURN server beside coturn, voice beside Chromium, and the app.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::{
    cargo::{build, cargo, find, root},
    dist,
    needs::{self, Need},
    process::{Ended, Guard, Interrupt, run},
    typescript,
};

/// Measure the relay, voice or the app. docs/benchmarks.md says what the figures mean.
#[derive(clap::Args)]
pub struct Args {
    /// Install what the operating system lacks without asking.
    #[arg(long)]
    yes: bool,
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
    /// A city that walks, chats and joins voice, on NearTalk and side by side on nats-server,
    /// mosquitto and socket.io; needs Linux.
    City,
    /// The proximity index: a query and a move, at 1,000 to 1,000,000 people.
    Index,
    /// What a packet costs the TURN server inside the relay, beside coturn; needs Linux.
    Turn,
    /// Delay, quality, joining, processor time and echo of voice, beside Chromium; needs Linux and root.
    Voice,
    /// How soon the window can be used, and what it holds in memory; needs Linux and Xvfb.
    App,
}

impl Bench {
    /// What it takes beyond what builds the project.
    fn needs(self) -> Vec<Need> {
        match self {
            _ if !cfg!(target_os = "linux") => Vec::new(),
            Self::Relay | Self::Index => Vec::new(),
            Self::City => {
                let mut needs = vec![needs::REDIS, needs::NODE, needs::NPM];
                needs.extend(needs::OTHER_SERVERS);
                needs
            }
            Self::Turn => vec![needs::COTURN],
            Self::Voice => vec![
                needs::PULSEAUDIO,
                needs::PULSEAUDIO_UTILS,
                needs::CHROMIUM,
                needs::IPROUTE,
                needs::PYTHON,
                needs::SPEECH,
            ],
            Self::App => {
                let mut needs = vec![
                    needs::NODE,
                    needs::NPM,
                    needs::PULSEAUDIO,
                    needs::PULSEAUDIO_UTILS,
                ];
                needs.extend(needs::REAL_WINDOW);
                needs
            }
        }
    }
}

/// The server with socket.io that NearTalk is measured beside.
const SOCKETIO: &str = "relay/benches/load/socketio";

pub fn bench(args: Args) -> Result<ExitCode> {
    let (package, name) = match args.what {
        Bench::Relay | Bench::City => ("neartalk-relay", "load"),
        Bench::Index => ("neartalk-relay", "index"),
        Bench::Turn => ("neartalk-relay", "turn"),
        Bench::Voice => ("neartalk-client", "voice"),
        Bench::App => ("neartalk-app", "app"),
    };
    let guard = Guard {
        interrupt: Interrupt::listen()?,
        deadline: None,
    };
    needs::provide(&args.what.needs(), args.yes)?;
    let mut command = cargo(&["bench"]);
    match args.what {
        // What measures need not be fast, only what is measured.
        Bench::App => command
            .args(["--profile", "dev", "--workspace", "--all-features"])
            .env("NEARTALK_PROGRAM", packaged(&guard)?),
        _ => command.args(["-p", package]),
    };
    command.args(["--bench", name, "--"]);
    if matches!(args.what, Bench::City) {
        match typescript::provide(&root().join(SOCKETIO), &guard)? {
            Ended::Exited(status) if status.success() => {}
            _ => bail!("socket.io could not be fetched; what npm said is above"),
        }
        command.arg("city");
    }
    Ok(match run(command.args(args.rest), &guard)? {
        Ended::Exited(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// The app as packages have it.
fn packaged(guard: &Guard) -> Result<PathBuf> {
    // The interface is built into it.
    match typescript::build_window(guard)? {
        Ended::Exited(status) if status.success() => {}
        _ => bail!("the interface could not be built; what npm said is above"),
    }
    let arguments = ["-p", "neartalk-app", "--bins", "--profile", dist::PROFILE];
    Ok(find(&build(&arguments, guard)?, "neartalk")?.to_owned())
}
