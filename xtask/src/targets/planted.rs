//! Errors that are planted, to see that they are found: a check that looks at the wrong thing, or at
//! nothing, would pass as well.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use super::{PLATFORMS, Platform};
use crate::process::{Ended, Guard, run_reading, shown};

/// Into which files the errors of each platform go.
const PLACES: [(&str, &str); 4] = [
    ("windows", "src-tauri/src/lib.rs"),
    ("macos", "src-tauri/src/lib.rs"),
    ("ios", "src-tauri/src/lib.rs"),
    ("android", "src-tauri/src/lib.rs"),
];

/// Folders that no build reads.
const LEFT_OUT: [&str; 6] = [
    ".git",
    "target",
    "node_modules",
    "dist-demo",
    "shots",
    "corpus",
];

/// A copy of the sources, with an error for each platform.
pub struct Copy {
    folder: PathBuf,
}

impl Copy {
    /// Makes the copy, or makes one of an earlier time like the sources again. A file that is as it
    /// should be isn't touched, so that what was checked before need not be again.
    pub fn make(root: &Path, folder: &Path) -> Result<Self> {
        for (_, file) in PLACES {
            ensure!(
                root.join(file).is_file(),
                "there is no {file} to plant an error into"
            );
        }
        mirror(root, folder, &|source| {
            let errors = PLACES.iter().filter(|(_, file)| source == root.join(file));
            errors.map(|(os, _)| error_for(os)).collect()
        })?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Has the check that has just passed look at the copy: it must find this platform's error, and
    /// no other's.
    pub fn is_found(&self, mut check: Command, platform: &Platform, guard: &Guard) -> Result<()> {
        check
            .current_dir(&self.folder)
            .args(["--message-format", "json"]);
        println!("> {}  # with a planted error", shown(&check));
        let mut found = Vec::new();
        let ended = run_reading(&mut check, guard, |line| {
            let of = PLATFORMS.iter().filter(|p| line.contains(&name_for(p.os)));
            found.extend(of.map(|platform| platform.os));
        })?;
        match ended {
            Ended::Exited(status) => ensure!(
                !status.success(),
                "an error that only it compiles is not found"
            ),
            Ended::Interrupted => bail!("interrupted"),
            Ended::OutOfTime => bail!("the time was up"),
        }
        found.sort_unstable();
        found.dedup();
        ensure!(
            found == [platform.os],
            "of the planted errors, those for {found:?} are found"
        );
        Ok(())
    }
}

fn name_for(os: &str) -> String {
    format!("PLANTED_FOR_{}", os.to_uppercase())
}

/// An item that only one platform compiles, and that has the wrong type.
fn error_for(os: &str) -> String {
    let name = name_for(os);
    format!("\n#[cfg(target_os = \"{os}\")]\npub(crate) const {name}: u8 = \"no number\";\n")
}

/// Makes `to` hold what `from` holds, each file with what is to be added to it at its end.
fn mirror(from: &Path, to: &Path, added: &impl Fn(&Path) -> String) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    let mut kept: BTreeSet<OsString> = BTreeSet::new();
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        let (source, copy) = (entry.path(), to.join(&name));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            mirror(&source, &copy, added)?;
        } else if kind.is_file() {
            let mut bytes =
                fs::read(&source).with_context(|| format!("reading {}", source.display()))?;
            bytes.extend(added(&source).bytes());
            put(&copy, &bytes)?;
        } else {
            continue;
        }
        kept.insert(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if kept.contains(&entry.file_name()) {
            continue;
        }
        let path = entry.path();
        let gone = if entry.file_type()?.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        gone.with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

/// Writes a file unless that is what it holds.
fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    match fs::read(path) {
        Ok(there) if there == bytes => return Ok(()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    }
    fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_follows_its_source_and_leaves_alone_what_has_not_changed() {
        let folder = std::env::temp_dir().join(format!("mirror-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("a")).unwrap();
        fs::create_dir_all(from.join("target")).unwrap();
        fs::write(from.join("a/kept"), "1").unwrap();
        fs::write(from.join("gone"), "2").unwrap();
        let add = |file: &Path| if file.ends_with("a/kept") { "+" } else { "" }.to_owned();
        mirror(&from, &to, &add).unwrap();
        assert!(to.join("gone").exists() && !to.join("target").exists());
        assert_eq!(fs::read_to_string(to.join("a/kept")).unwrap(), "1+");
        let time = to.join("a/kept").metadata().unwrap().modified().unwrap();

        fs::remove_file(from.join("gone")).unwrap();
        fs::write(from.join("new"), "3").unwrap();
        mirror(&from, &to, &add).unwrap();
        assert!(!to.join("gone").exists() && to.join("new").exists());
        let later = to.join("a/kept").metadata().unwrap().modified().unwrap();
        assert_eq!(time, later);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn every_platform_has_a_place_for_its_error() {
        for platform in &PLATFORMS {
            assert!(PLACES.iter().any(|(os, _)| *os == platform.os));
        }
    }
}
