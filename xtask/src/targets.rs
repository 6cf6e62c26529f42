//! `cargo xtask check-targets`: the whole app passes the compiler's checks for every platform that
//! it runs on, also on a machine that could never link it for most of them.

mod compiler;
mod planted;
mod stand_ins;

use std::{process::ExitCode, time::Instant};

use anyhow::{Result, bail, ensure};

use self::{compiler::Compiler, stand_ins::StandIns};
use crate::{
    cargo::{root, target_dir},
    needs, phone_code,
    process::{Ended, Guard, Interrupt, run, shown},
};

/// Where the app runs, besides Linux.
const PLATFORMS: [Platform; 4] = [
    Platform {
        target: "x86_64-pc-windows-msvc",
        os: "windows",
        is_phone: false,
    },
    Platform {
        target: "aarch64-apple-darwin",
        os: "macos",
        is_phone: false,
    },
    Platform {
        target: "aarch64-apple-ios",
        os: "ios",
        is_phone: true,
    },
    Platform {
        target: "aarch64-linux-android",
        os: "android",
        is_phone: true,
    },
];

struct Platform {
    target: &'static str,
    /// As `cfg(target_os)` calls it.
    os: &'static str,
    is_phone: bool,
}

impl Platform {
    /// The app; and where there are terminals, what runs in those, too.
    fn packages(&self) -> &'static [&'static str] {
        if self.is_phone {
            &["neartalk-app"]
        } else {
            &["neartalk-app", "neartalk-client", "neartalk-relay", "xtask"]
        }
    }
}

/// Type-check the app for Windows, macOS, iOS and Android.
#[derive(clap::Args)]
pub struct Args {
    /// Also plant an error into what only one platform compiles, for each, and see that it is found.
    #[arg(long)]
    planted: bool,
    /// Also check what phones run besides: Kotlin against stubs of Android and Tauri, Swift by a parser.
    #[arg(long)]
    phone_code: bool,
    /// Only these targets, such as aarch64-linux-android.
    targets: Vec<String>,
}

pub fn check_targets(args: Args) -> Result<ExitCode> {
    needs::provide(&[needs::C_COMPILER, needs::CMAKE], false)?;
    let guard = Guard {
        interrupt: Interrupt::listen()?,
        deadline: None,
    };
    let platforms = chosen(&args.targets)?;
    if args.phone_code {
        needs::provide(&needs::PHONES, false)?;
        phone_code::check(&guard)?;
    }
    check(&platforms, args.planted, &guard)?;
    Ok(ExitCode::SUCCESS)
}

/// Every platform, with the planted errors: a step of `cargo xtask test --long`. On two cores it takes
/// 20 s when nothing has changed, but two minutes in a new clone, and a quarter of an hour the first
/// time: too long for each test.
pub fn check_all(guard: &Guard) -> Result<()> {
    check(&PLATFORMS.iter().collect::<Vec<_>>(), true, guard)
}

fn chosen(targets: &[String]) -> Result<Vec<&'static Platform>> {
    if targets.is_empty() {
        return Ok(PLATFORMS.iter().collect());
    }
    let known = PLATFORMS.map(|platform| platform.target).join(", ");
    targets
        .iter()
        .map(|wanted| {
            let platform = PLATFORMS.iter().find(|platform| platform.target == wanted);
            platform.ok_or_else(|| anyhow::anyhow!("the targets are {known}; not {wanted}"))
        })
        .collect()
}

/// Checks each of these, and says of all which fail.
fn check(platforms: &[&Platform], with_planted: bool, guard: &Guard) -> Result<()> {
    // Beside what the project's other builds make.
    let work = target_dir().join("check-targets");
    let stand_ins = StandIns::put(&work.join("stand-ins"))?;
    let planted = with_planted
        .then(|| planted::Copy::make(&root(), &work.join("planted")))
        .transpose()?;
    let mut bad = Vec::new();
    for platform in platforms {
        let target = platform.target;
        let started = Instant::now();
        let compiler = Compiler::find(target, guard)?;
        println!("\n--- {target}, with {compiler}");
        let mut command = compiler.check(target);
        for package in platform.packages() {
            command.args(["-p", package]);
        }
        command.env("CARGO_TARGET_DIR", work.join("build"));
        stand_ins.serve(&mut command, platform);
        println!("> {}", shown(&command));
        match run(&mut command, guard)? {
            Ended::Exited(status) if status.success() => {}
            Ended::Exited(_) => bad.push(format!("{target}: it does not compile")),
            Ended::Interrupted => bail!("interrupted"),
            Ended::OutOfTime => bail!("the time was up"),
        }
        if let Some(planted) = &planted
            && let Err(error) = planted.is_found(command, platform, guard)
        {
            bad.push(format!("{target}: {error:#}"));
        }
        println!("--- {target}: {:.0} s", started.elapsed().as_secs_f64());
    }
    ensure!(bad.is_empty(), "{}", bad.join("\n"));
    Ok(())
}
