//! What cargo calls for each program of tests: as many of its tests run at once as it can take.

use std::{
    ffi::OsString,
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};

/// The tests of these packages mostly wait, for servers and for time to pass; so more of them run at once
/// than there are processors. Others measure sound, or draw.
const WAITING: &[&str] = &["neartalk-relay"];
const AT_ONCE: &str = "8";

/// Run a program of tests. Called by cargo.
#[derive(clap::Args)]
pub struct Args {
    /// The program, and what it is to be told.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

/// Lets cargo call `program` (this one) for each program of tests.
pub fn equip(cargo: &mut Command, program: &Path) {
    let runner = format!("target.'cfg(all())'.runner = [{program:?}, 'run-tests']");
    cargo.arg("--config").arg(runner);
}

pub fn run_tests(args: Args) -> Result<ExitCode> {
    let (program, rest) = args.command.split_first().context("there is no program")?;
    let mut command = Command::new(program);
    command.args(rest);
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    if WAITING.contains(&package.as_str()) && std::env::var_os("RUST_TEST_THREADS").is_none() {
        command.env("RUST_TEST_THREADS", AT_ONCE);
    }
    replace(command).with_context(|| format!("{} can't be run", program.display()))
}

/// Becomes the program, so that whoever stops this one stops that.
#[cfg(unix)]
fn replace(mut command: Command) -> Result<ExitCode> {
    use std::os::unix::process::CommandExt as _;
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn replace(mut command: Command) -> Result<ExitCode> {
    Ok(match command.status()?.success() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}
