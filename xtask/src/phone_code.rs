//! Checks the phones' own code without their SDKs: Kotlin by a compiler, against stubs of what Android
//! and Tauri offer, and Swift by a parser.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cargo::{root, target_dir},
    process::{Ended, Guard, run, shown},
};

/// Text that no compiler takes, to see that the check finds errors at all.
const PLANTED: [(&str, &str); 2] = [
    ("Planted.kt", "val planted: Int = \"no number\"\n"),
    ("Planted.swift", "func planted( {\n"),
];

/// Where things lie.
struct Places {
    mobile: PathBuf,
    work: PathBuf,
    packages: PathBuf,
}

/// Fetches the tools that `mobile/checks/requirements.txt` names, and has them look at everything; and
/// at an error in each language, which they must find.
pub fn check(guard: &Guard) -> Result<()> {
    let work = target_dir().join("phones");
    let places = Places {
        mobile: root().join("mobile"),
        packages: work.join("packages"),
        work,
    };
    fs::create_dir_all(&places.work)?;
    fetch(&places, guard)?;
    let kotlin = places.mobile.join("android/src/main/java");
    let swift = places.mobile.join("ios");
    ensure!(
        is_kotlin(&places, &[&kotlin], guard)?
            && is_swift(&places, &files(&swift, "swift")?, guard)?,
        "the phones' code does not pass"
    );
    let [kt, sw] = PLANTED.map(|(name, text)| {
        let file = places.work.join(name);
        fs::write(&file, text).map(|()| file)
    });
    let (kt, sw) = (kt?, sw?);
    println!("Now with an error planted in each, which is to be found:");
    ensure!(
        !is_kotlin(&places, &[&kotlin, &kt], guard)?,
        "the Kotlin compiler takes what is no Kotlin"
    );
    ensure!(
        !is_swift(&places, &[sw], guard)?,
        "the parser of Swift takes what is no Swift"
    );
    Ok(())
}

fn fetch(places: &Places, guard: &Guard) -> Result<()> {
    let wanted = places.mobile.join("checks/requirements.txt");
    let note = places.work.join("fetched");
    let text = fs::read(&wanted).with_context(|| format!("reading {}", wanted.display()))?;
    if fs::read(&note).is_ok_and(|fetched| fetched == text) {
        return Ok(());
    }
    let mut pip = Command::new("pip3");
    pip.args(["install", "--quiet", "--no-deps", "--upgrade", "--target"])
        .arg(&places.packages)
        .arg("--requirement")
        .arg(&wanted);
    ensure!(succeeds(&mut pip, guard)?, "pip can't fetch the tools");
    Ok(fs::write(note, text)?)
}

fn is_kotlin(places: &Places, sources: &[&Path], guard: &Guard) -> Result<bool> {
    let jars = files(&places.packages.join("run_kotlin_kernel/jars"), "jar")?;
    let library = jars.iter().find(|jar| {
        let name = jar.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("kotlin-stdlib-")
    });
    let library = library.context("there is no Kotlin library among what pip has fetched")?;
    let mut java = Command::new("java");
    java.arg("-cp")
        .arg(std::env::join_paths(&jars)?)
        .arg("org.jetbrains.kotlin.cli.jvm.K2JVMCompiler")
        .args(["-no-stdlib", "-no-reflect", "-Werror", "-cp"])
        .arg(library)
        .arg("-d")
        .arg(places.work.join("classes"))
        .arg(places.mobile.join("checks/stubs"))
        .args(sources);
    succeeds(&mut java, guard)
}

fn is_swift(places: &Places, sources: &[PathBuf], guard: &Guard) -> Result<bool> {
    let mut python = Command::new("python3");
    python
        .env("PYTHONPATH", &places.packages)
        .arg(places.mobile.join("checks/swift.py"))
        .args(sources);
    succeeds(&mut python, guard)
}

fn succeeds(command: &mut Command, guard: &Guard) -> Result<bool> {
    println!("> {}", shown(command));
    match run(command, guard)? {
        Ended::Exited(status) => Ok(status.success()),
        Ended::Interrupted => bail!("interrupted"),
        Ended::OutOfTime => bail!("the time was up"),
    }
}

/// The files with this ending in a folder and those in it.
fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, ending)?);
        } else if path.extension().is_some_and(|its| its == ending) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
