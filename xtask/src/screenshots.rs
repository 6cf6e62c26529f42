//! `cargo xtask screenshots`: the pictures in docs/images, taken anew.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{
    cargo::cargo,
    needs,
    process::{Ended, Guard, Interrupt, run},
    typescript,
};

/// Take the pictures of docs/images anew: the real window, among people who talk. Needs Linux.
#[derive(clap::Args)]
pub struct Args {
    /// Install what the operating system lacks without asking.
    #[arg(long)]
    yes: bool,
}

pub fn screenshots(args: Args) -> Result<ExitCode> {
    let mut needs = vec![
        needs::C_COMPILER,
        needs::CMAKE,
        needs::PKG_CONFIG,
        needs::ALSA,
        needs::PULSEAUDIO,
        needs::PULSEAUDIO_UTILS,
        needs::IMAGEMAGICK,
        needs::NODE,
        needs::NPM,
    ];
    needs.extend(needs::WINDOW);
    needs.extend(needs::REAL_WINDOW);
    needs::provide(&needs, args.yes)?;
    let guard = Guard {
        interrupt: Interrupt::listen()?,
        deadline: None,
    };
    match typescript::build_window(&guard)? {
        Ended::Exited(status) if status.success() => {}
        _ => bail!("the interface could not be built; what npm said is above"),
    }
    let mut command = cargo(&["run", "-p", "neartalk-app", "--example", "screenshots"]);
    Ok(match run(&mut command, &guard)? {
        Ended::Exited(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
