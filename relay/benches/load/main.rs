//! The relay under load: `cargo bench -p neartalk-relay --bench load -- all`.
//!
//! Starts the release build of the real relay, with a core to itself, and plays its clients from
//! another core: lean enough that the relay, not the generator, is what gets measured, and honest
//! enough to fail when that is not so. Only 127.0.0.1 is used.

#![cfg_attr(
    test,
    allow(dead_code, unused_imports, reason = "tests.rs runs the tests")
)]

#[cfg(target_os = "linux")]
mod chat;
#[cfg(target_os = "linux")]
mod city;
#[cfg(target_os = "linux")]
mod fanout;
#[cfg(target_os = "linux")]
mod frames;
#[cfg(target_os = "linux")]
mod goals;
#[cfg(target_os = "linux")]
mod http;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(target_os = "linux")]
mod machine;
#[cfg(target_os = "linux")]
mod relay;
#[cfg(target_os = "linux")]
mod report;
#[cfg(target_os = "linux")]
mod setup;
#[cfg(target_os = "linux")]
mod slow;
#[cfg(target_os = "linux")]
mod swarm;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match linux::main() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("load: {e:#}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("This bench reads /proc and pins processes to cores: it needs Linux.");
}

#[cfg(target_os = "linux")]
use setup::Setup;

#[cfg(target_os = "linux")]
mod linux {
    use std::path::PathBuf;

    use anyhow::{Result, ensure};
    use clap::{Parser, Subcommand};

    use crate::{
        Setup, city, fanout,
        goals::{self, Verdict},
        idle, machine, slow,
    };

    /// Measures a NearTalk relay under load.
    #[derive(Parser)]
    #[command(name = "load")]
    struct Arguments {
        #[command(subcommand)]
        what: Option<What>,
        /// Small and short: shows that everything works, not how fast
        #[arg(long, global = true)]
        quick: bool,
        /// End with an error when a goal is missed
        #[arg(long, global = true)]
        strict: bool,
        /// The relay to measure, instead of the one that was built along
        #[arg(long, global = true, value_name = "PATH")]
        relay: Option<PathBuf>,
        /// A further argument for the relay, any number of times
        #[arg(long, global = true, value_name = "ARG", allow_hyphen_values = true)]
        relay_arg: Vec<String>,
        /// Given by `cargo bench`; without it and without a subcommand this is `all --quick`
        #[arg(long, global = true, hide = true)]
        bench: bool,
    }

    #[derive(Clone, Subcommand)]
    enum What {
        /// Deliveries a second and their latency, in cliques of 51 people
        Fanout(fanout::Options),
        /// Memory of sockets that only wait
        Idle(idle::Options),
        /// One who never reads in a crowd
        Slow(slow::Options),
        /// A city that walks, chats and joins voice, here and on other servers side by side
        City(city::Options),
        /// The first three, as Markdown for docs/benchmarks.md
        All,
    }

    pub fn main() -> Result<()> {
        let arguments = Arguments::parse();
        let quick = arguments.quick || (arguments.what.is_none() && !arguments.bench);
        let setup = Setup {
            quick,
            files: machine::raise_file_limit()?,
            cores: machine::Cores::pick(!quick)?,
            relay: arguments
                .relay
                .unwrap_or_else(|| env!("CARGO_BIN_EXE_neartalk-relay").into()),
            relay_args: arguments.relay_arg,
        };
        println!("{}\n", machine::description(&setup.cores));
        let verdicts = match arguments.what.unwrap_or(What::All) {
            What::Fanout(_) if quick => fanout(&setup, &fanout::Options::quick())?,
            What::Fanout(options) => fanout(&setup, &options)?,
            What::Idle(_) if quick => idle(&setup, &idle::Options::quick())?,
            What::Idle(options) => idle(&setup, &options)?,
            What::Slow(_) if quick => slow(&setup, &slow::Options::quick())?,
            What::Slow(options) => slow(&setup, &options)?,
            What::City(_) if quick => city(&setup, &city::Options::quick())?,
            What::City(options) => city(&setup, &options)?,
            What::All if quick => {
                fanout(&setup, &fanout::Options::quick())?;
                let verdicts = idle(&setup, &idle::Options::quick())?;
                slow(&setup, &slow::Options::quick())?;
                verdicts
            }
            What::All => {
                fanout(&setup, &defaults())?;
                let verdicts = idle(&setup, &defaults())?;
                slow(&setup, &defaults())?;
                verdicts
            }
        };
        if !verdicts.is_empty() {
            println!("{}", goals::shown(&verdicts));
        }
        let missed = verdicts.iter().filter(|it| !it.is_reached()).count();
        ensure!(
            !arguments.strict || missed == 0,
            "{missed} of {} goals are missed",
            verdicts.len()
        );
        Ok(())
    }

    /// Options as they are when no flag is given.
    fn defaults<A: clap::Args>() -> A {
        let command = A::augment_args(clap::Command::new("load"));
        let matches = command.get_matches_from(["load"]);
        A::from_arg_matches(&matches).unwrap_or_else(|e| e.exit())
    }

    fn fanout(setup: &Setup, options: &fanout::Options) -> Result<Vec<Verdict>> {
        eprintln!("fanout");
        println!("{}", fanout::run(setup, options)?);
        Ok(Vec::new())
    }

    fn idle(setup: &Setup, options: &idle::Options) -> Result<Vec<Verdict>> {
        eprintln!("idle");
        let (text, verdicts) = idle::run(setup, options)?;
        println!("{text}");
        Ok(verdicts)
    }

    fn slow(setup: &Setup, options: &slow::Options) -> Result<Vec<Verdict>> {
        eprintln!("slow");
        println!("{}", slow::run(setup, options)?);
        Ok(Vec::new())
    }

    fn city(setup: &Setup, options: &city::Options) -> Result<Vec<Verdict>> {
        eprintln!("city");
        city::run(setup, options)
    }
}
