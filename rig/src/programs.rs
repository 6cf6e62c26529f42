//! Where the workspace's programs are. A test can count on cargo having built the programs of its own
//! package, but not on those of others.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
    time::SystemTime,
};

use anyhow::{Context, Result, bail};

/// A program of the workspace, as this one was built (optimised or not). Built first if it is not there,
/// or older than what it is made of.
///
/// # Errors
/// When it can't be built.
pub fn program(package: &str, name: &str, sources: &[&str]) -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = profile_folder()?;
    let file = folder.join(name).with_extension(env::consts::EXE_EXTENSION);
    let root = root();
    let built = fs::metadata(&file).and_then(|it| it.modified()).ok();
    let changed = sources
        .iter()
        .filter_map(|source| newest(&root.join(source)))
        .max();
    if built.is_some() && built >= changed {
        return Ok(file);
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| env!("CARGO").into());
    let mut command = Command::new(cargo);
    command
        .current_dir(&root)
        .args(["build", "--quiet", "-p", package, "--bin", name]);
    if folder.ends_with("release") {
        command.arg("--release");
    }
    if let Some(target) = folder.parent() {
        command.env("CARGO_TARGET_DIR", target);
    }
    let built = command.output().context("can't start cargo")?;
    if !built.status.success() || !file.is_file() {
        bail!(
            "cargo can't build {name}:\n{}",
            String::from_utf8_lossy(&built.stderr)
        );
    }
    Ok(file)
}

/// Where the workspace lies.
pub fn root() -> PathBuf {
    let rig = Path::new(env!("CARGO_MANIFEST_DIR"));
    rig.parent().unwrap_or(rig).to_owned()
}

/// `target/debug`, or whatever this was built in.
///
/// # Errors
/// When this program is not where cargo puts tests, benches and examples.
pub fn profile_folder() -> Result<PathBuf> {
    let own = env::current_exe()?;
    let kinds = ["deps", "examples"];
    let kind = own
        .parent()
        .filter(|folder| kinds.iter().any(|it| folder.ends_with(it)));
    let folder = kind.and_then(Path::parent);
    Ok(folder
        .with_context(|| format!("{} is not where cargo puts tests", own.display()))?
        .to_owned())
}

/// When a file, or one in a folder, was last changed.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        let entries = fs::read_dir(path).ok()?;
        return entries
            .filter_map(|entry| newest(&entry.ok()?.path()))
            .max();
    }
    fs::metadata(path).and_then(|it| it.modified()).ok()
}
