//! A compiler that knows the other platforms.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cargo::{cache_dir, cargo},
    process::{Ended, Guard, run, run_reading, shown},
};

/// What Debian calls the newer of its two compilers, and that compiler's own sources, from which
/// cargo makes a standard library for any platform.
const PACKAGES: [&str; 2] = ["rustc-web", "rust-web-src"];

/// Of what those depend on, what a Debian machine does not have anyway.
const BESIDES: [&str; 2] = ["libstd-rust-web", "libllvm"];

/// Where a compiler for a platform comes from.
pub enum Compiler {
    /// `rustup target add` has brought the platform's standard library.
    Installed,
    /// Debian's packages, unpacked here.
    Unpacked(PathBuf),
}

impl Compiler {
    /// The installed compiler when it has the target's standard library, Debian's otherwise, which
    /// is fetched and never installed.
    pub fn find(target: &str, guard: &Guard) -> Result<Self> {
        if has_standard_library(target, guard)? {
            return Ok(Self::Installed);
        }
        debian(guard).map(Self::Unpacked).with_context(|| {
            format!(
                "nothing here compiles for {target}: get its standard library with \
                 `rustup target add {target}`"
            )
        })
    }

    /// `cargo check` for a target with this compiler.
    pub fn check(&self, target: &str) -> Command {
        let mut command = cargo(&["check", "--target", target]);
        if let Self::Unpacked(root) = self {
            command
                .arg("-Zbuild-std=std,panic_abort")
                .env("RUSTC", root.join("usr/bin/rustc"))
                .env("RUSTC_BOOTSTRAP", "1")
                .env("LD_LIBRARY_PATH", libraries(root));
        }
        command
    }
}

impl std::fmt::Display for Compiler {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Installed => out.write_str("the installed compiler"),
            Self::Unpacked(_) => out.write_str("Debian's compiler and its library's sources"),
        }
    }
}

fn has_standard_library(target: &str, guard: &Guard) -> Result<bool> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let folder = answer(
        Command::new(rustc).args(["--print", "target-libdir", "--target", target]),
        guard,
    )?;
    Ok(fs::read_dir(folder.trim()).is_ok_and(|mut files| files.next().is_some()))
}

/// What was unpacked the last time, or what apt has now.
fn debian(guard: &Guard) -> Result<PathBuf> {
    // In no workspace: cargo would name the library by its path from there, and make all of it anew
    // for a copy of the workspace.
    let root = cache_dir().context("there is no home")?.join("compiler");
    let note = root.join("version");
    let have = fs::read_to_string(&note).ok();
    let offered = version_of(PACKAGES[0], guard).unwrap_or_default();
    match have {
        Some(have) if offered.is_empty() || have == offered => return Ok(root),
        _ => {}
    }
    ensure!(
        !offered.is_empty(),
        "apt offers no {} either (is `apt-get update` to be run?)",
        PACKAGES[0]
    );
    // An unpacking that was broken off leaves no note behind, and is done once more.
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("clearing {}", root.display()))?;
    }
    let packages = packages(&offered, guard)?;
    let archives = root.join("archives");
    fs::create_dir_all(&archives).with_context(|| format!("making {}", archives.display()))?;
    let mut download = Command::new("apt-get");
    download
        .args(["-q", "download"])
        .args(&packages)
        .current_dir(&archives);
    succeed(&mut download, guard)?;
    for archive in fs::read_dir(&archives)? {
        let archive = archive?.path();
        succeed(
            Command::new("dpkg").arg("-x").args([&archive, &root]),
            guard,
        )?;
    }
    fs::remove_dir_all(&archives)?;
    fs::write(&note, &offered).with_context(|| format!("writing {}", note.display()))?;
    Ok(root)
}

/// The packages, each with its version where it must be that one, of which those that are not on
/// every Debian machine are found through what the others depend on.
fn packages(version: &str, guard: &Guard) -> Result<Vec<String>> {
    let mut packages: Vec<String> = PACKAGES
        .iter()
        .map(|name| format!("{name}={version}"))
        .collect();
    let mut next = 0;
    while let Some(package) = packages.get(next) {
        let about = answer(Command::new("apt-cache").args(["show", package]), guard)?;
        let more: Vec<String> = depends_in(&about)
            .into_iter()
            .filter(|name| BESIDES.iter().any(|wanted| name.starts_with(wanted)))
            .filter(|name| !packages.contains(name))
            .collect();
        packages.extend(more);
        next += 1;
    }
    Ok(packages)
}

fn version_of(package: &str, guard: &Guard) -> Option<String> {
    let mut show = Command::new("apt-cache");
    show.args(["show", "--no-all-versions", package]);
    let about = answer(&mut show, guard).ok()?;
    about
        .lines()
        .find_map(|line| line.strip_prefix("Version: "))
        .map(str::to_owned)
}

/// The packages that a package's record names as necessary: `name=version` where exactly one
/// version is, else the name.
fn depends_in(record: &str) -> Vec<String> {
    record
        .lines()
        .filter_map(|line| line.strip_prefix("Depends: "))
        .flat_map(|list| list.split(", "))
        .filter_map(|wanted| {
            let (name, condition) = wanted.split_once(' ').unwrap_or((wanted, ""));
            let exactly = condition
                .strip_prefix("(= ")
                .and_then(|c| c.strip_suffix(')'));
            (!name.is_empty()).then(|| match exactly {
                Some(version) => format!("{name}={version}"),
                None => name.to_owned(),
            })
        })
        .collect()
}

/// Where a Debian package has put its libraries.
fn libraries(root: &Path) -> PathBuf {
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    root.join("usr/lib").join(machine)
}

fn answer(command: &mut Command, guard: &Guard) -> Result<String> {
    let mut text = String::new();
    let ended = run_reading(command, guard, |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    match ended {
        Ended::Exited(status) if status.success() => Ok(text),
        _ => bail!("{} did not work", shown(command)),
    }
}

fn succeed(command: &mut Command, guard: &Guard) -> Result<()> {
    println!("> {}", shown(command));
    match run(command, guard)? {
        Ended::Exited(status) if status.success() => Ok(()),
        _ => bail!("{} did not work", shown(command)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_needs_is_read_from_its_record() {
        let record = "Package: a\nVersion: 2\nDepends: libc6 (>= 2.34), lib-b (= 1.96.0+dfsg1-1~deb12u2), gcc\nSize: 1\n";
        assert_eq!(
            depends_in(record),
            ["libc6", "lib-b=1.96.0+dfsg1-1~deb12u2", "gcc"]
        );
        assert!(depends_in("Package: a\n").is_empty());
    }
}
