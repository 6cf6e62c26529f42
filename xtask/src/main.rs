//! The project's commands: `cargo xtask run`, `test`, `bench`, `check-targets`, `dist`.

mod bench;
mod cargo;
mod deploy;
mod dist;
mod docs;
mod fuzz;
mod locks;
mod needs;
mod phone_code;
#[cfg(test)]
mod phones;
mod process;
mod run;
mod runner;
mod screenshots;
mod tally;
mod targets;
mod test;
mod typescript;
mod workflows;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Build, run and test NearTalk. A machine with Rust and Node needs nothing else set up by hand.
#[derive(Parser)]
#[command(name = "xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Test(test::Args),
    Bench(bench::Args),
    CheckTargets(targets::Args),
    Dist(dist::Args),
    Screenshots(screenshots::Args),
    DistRelay(deploy::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Test(args) => test::test(args),
        Command::Bench(args) => bench::bench(args),
        Command::CheckTargets(args) => targets::check_targets(args),
        Command::Dist(args) => dist::dist(args),
        Command::Screenshots(args) => screenshots::screenshots(args),
        Command::DistRelay(args) => deploy::dist_relay(args),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
