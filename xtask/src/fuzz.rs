//! Fuzzing what meets the network, with libFuzzer and the stable toolchain.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cargo::{build_with, cargo, find, root},
    process::{Ended, Guard, run, shown},
};

/// How long each target runs.
const TIME: Duration = Duration::from_secs(60);

/// What `cargo fuzz` has the compiler do, but for the sanitizers, which need another toolchain.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// What is built for: named, so that the flags do not reach what runs while building.
const TARGET: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-gnu"
} else {
    "x86_64-unknown-linux-gnu"
};

/// Runs every target of `fuzz/` for a while, from its corpus on. What made one fail lies in
/// `target/fuzz/found` then.
pub fn fuzz(guard: &Guard) -> Result<()> {
    let root = root();
    let work = root.join("target/fuzz");
    let mut command = cargo(&["build"]);
    command.args([
        "--manifest-path",
        "fuzz/Cargo.toml",
        "--release",
        "--bins",
        "--target",
        TARGET,
    ]);
    command.env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
    command.env("CARGO_TARGET_DIR", &work);
    let programs = build_with(command, guard)?;
    let corpora = root.join("fuzz/corpus");
    let mut targets = 0;
    for entry in fs::read_dir(&corpora).with_context(|| format!("reading {}", corpora.display()))? {
        let seeds = entry?.path();
        let name = seeds
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let grown = work.join("corpus").join(&name);
        let found = work.join("found").join(&name);
        for folder in [&grown, &found] {
            fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let mut command = Command::new(find(&programs, &name)?);
        command
            .arg(format!("-max_total_time={}", TIME.as_secs()))
            .args([
                "-timeout=20",
                "-rss_limit_mb=2048",
                "-max_len=8192",
                "-print_final_stats=1",
                "-verbosity=0",
            ])
            .arg(format!("-artifact_prefix={}/", found.display()))
            .args([&grown, &seeds]);
        println!("> {}", shown(&command));
        match run(&mut command, guard)? {
            Ended::Exited(status) if status.success() => {}
            Ended::Exited(status) => bail!(
                "{name} ended with {status}: what made it fail lies in {}",
                found.display()
            ),
            Ended::Interrupted => bail!("interrupted"),
            Ended::OutOfTime => bail!("the time was up"),
        }
        targets += 1;
    }
    ensure!(
        targets > 0,
        "there is nothing to fuzz in {}",
        corpora.display()
    );
    Ok(())
}
