//! Calling cargo.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::process::{Ended, Guard, run_reading, shown};

/// The folder that the workspace lies in.
pub fn root() -> PathBuf {
    let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    xtask.parent().map_or(xtask.clone(), Path::to_path_buf)
}

/// Whether this is a continuous-integration run, where nothing may be left out.
pub fn in_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "false")
}

/// A cargo command in the workspace.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    equip(&mut command);
    command
}

/// Tells a command that calls cargo, or cargo itself, how to build in CI.
pub fn equip(command: &mut Command) {
    // What cargo has told this program about itself. Build scripts look at it (ring's does): what was
    // built without it, or from a clone elsewhere, would be built anew, and all that stands on it.
    for (name, _) in std::env::vars_os() {
        if is_about_package(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
    if in_ci() {
        // A fresh clone finds what the last one compiled, and needs no incremental state.
        if let Some(target) = ci_target_dir() {
            command.env("CARGO_TARGET_DIR", target);
        }
        command.env("CARGO_INCREMENTAL", "0");
        // A panic says where it is all the same, and sixty programs are linked sooner without.
        if std::env::var_os("CARGO_PROFILE_DEV_DEBUG").is_none() {
            command.env("CARGO_PROFILE_DEV_DEBUG", "none");
        }
    }
}

fn is_about_package(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_") || variable.starts_with("CARGO_MANIFEST_")
}

/// Where what is built lies.
pub fn target_dir() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let in_ci = || in_ci().then(ci_target_dir).flatten();
    target
        .or_else(in_ci)
        .unwrap_or_else(|| root().join("target"))
}

/// Where the target directory lies in CI, unless the environment says where.
fn ci_target_dir() -> Option<PathBuf> {
    if std::env::var_os("CARGO_TARGET_DIR").is_some() {
        return None;
    }
    cache_dir().map(|cache| cache.join("target"))
}

/// Where what outlives a clone is kept.
pub fn cache_dir() -> Option<PathBuf> {
    std::env::home_dir().map(|home| home.join(".cache/neartalk"))
}

/// Builds with `cargo build` and these arguments, and says where the programs are.
pub fn build(arguments: &[&str], guard: &Guard) -> Result<Vec<PathBuf>> {
    let mut command = cargo(&["build"]);
    command.args(arguments);
    build_with(command, guard)
}

/// As [`build`], with a `cargo build` command.
pub fn build_with(command: Command, guard: &Guard) -> Result<Vec<PathBuf>> {
    let mut programs = Vec::new();
    build_reading(command, guard, |line| {
        programs.extend(executable_in(line));
    })?;
    Ok(programs)
}

/// Runs a cargo command that builds, and hands over each of cargo's messages.
fn build_reading(mut command: Command, guard: &Guard, on_message: impl FnMut(&str)) -> Result<()> {
    command.args(["--message-format", "json-render-diagnostics"]);
    match run_reading(&mut command, guard, on_message)? {
        Ended::Exited(status) if status.success() => Ok(()),
        Ended::Exited(_) => bail!("the build failed; its messages are above"),
        Ended::Interrupted => bail!("interrupted while building"),
        Ended::OutOfTime => bail!("the build ran out of time"),
    }
}

/// A program of tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestProgram {
    pub file: PathBuf,
    /// Its package's, where it expects to run.
    pub folder: PathBuf,
    /// What it is made of, from the workspace's folder on: `relay/tests/socket/main.rs`.
    pub source: String,
}

/// Builds what `cargo test` would run with these arguments, and says so in the order in which it would.
pub fn build_tests(arguments: &[&str], guard: &Guard) -> Result<Vec<TestProgram>> {
    let mut command = cargo(&["test", "--no-run"]);
    command.args(arguments);
    println!("> {}", shown(&command));
    let mut programs = Vec::new();
    build_reading(command, guard, |line| {
        programs.extend(test_program_in(line));
    })?;
    // They are reported as they get ready.
    programs.sort_by(|one, other| one.source.cmp(&other.source));
    Ok(programs)
}

/// The one of `programs` that is called `name`.
pub fn find<'a>(programs: &'a [PathBuf], name: &str) -> Result<&'a Path> {
    programs
        .iter()
        .find(|path| path.file_stem().is_some_and(|stem| stem == name))
        .map(PathBuf::as_path)
        .with_context(|| format!("the build made no program called {name}"))
}

/// The program that a line of cargo's JSON messages reports.
fn executable_in(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    Some(message["executable"].as_str()?.into())
}

/// The program of tests that one reports.
fn test_program_in(message: &str) -> Option<TestProgram> {
    let file = executable_in(message)?;
    let message: Value = serde_json::from_str(message).ok()?;
    let path = |value: &Value| value.as_str().map(PathBuf::from);
    let source = path(&message["target"]["src_path"])?;
    let source = source.strip_prefix(root()).unwrap_or(&source);
    let program = TestProgram {
        file,
        folder: path(&message["manifest_path"])?.parent()?.to_owned(),
        source: source.to_string_lossy().replace('\\', "/"),
    };
    message["profile"]["test"].as_bool()?.then_some(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executables_are_found_in_messages() {
        let bin = r#"{"reason":"compiler-artifact","filenames":["/t/debug/relay"],"executable":"/t/debug/relay","fresh":true}"#;
        assert_eq!(executable_in(bin), Some("/t/debug/relay".into()));
        let windows = r#"{"executable":"C:\\t\\relay.exe","fresh":true}"#;
        assert_eq!(executable_in(windows), Some(r"C:\t\relay.exe".into()));
        let lib = r#"{"reason":"compiler-artifact","executable":null,"fresh":true}"#;
        assert_eq!(executable_in(lib), None);
        assert_eq!(executable_in(r#"{"executable":"/cut/off"#), None);
        assert_eq!(executable_in("Compiling"), None);
    }

    #[test]
    fn programs_of_tests_are_told_from_others() {
        let (root, relay) = (root(), root().join("relay"));
        let reported = |test: bool| {
            let message = serde_json::json!({
                "reason": "compiler-artifact",
                "manifest_path": relay.join("Cargo.toml"),
                "target": { "kind": ["test"], "name": "socket", "src_path": relay.join("tests/socket/main.rs") },
                "profile": { "test": test },
                "executable": root.join("target/debug/deps/socket-1"),
            });
            test_program_in(&message.to_string())
        };
        assert_eq!(reported(false), None);
        let program = TestProgram {
            file: root.join("target/debug/deps/socket-1"),
            folder: relay.clone(),
            source: "relay/tests/socket/main.rs".to_owned(),
        };
        assert_eq!(reported(true), Some(program));
    }

    #[test]
    fn cargo_is_called_as_from_a_shell() {
        let command = cargo(&["--version"]);
        let told: Vec<_> = std::env::vars_os()
            .map(|(name, _)| name)
            .filter(|name| is_about_package(&name.to_string_lossy()))
            .collect();
        assert!(!told.is_empty(), "cargo tells tests about their package");
        for name in &told {
            assert!(
                command.get_envs().any(|it| it == (name, None)),
                "{}",
                name.display()
            );
        }
    }

    #[test]
    fn programs_are_found_by_name() {
        let programs = ["/t/debug/neartalk-relay".into(), "/t/debug/xtask".into()];
        assert_eq!(
            find(&programs, "xtask").unwrap(),
            Path::new("/t/debug/xtask")
        );
        assert!(find(&programs, "neartalk").is_err());
    }
}
