//! Lock files must hold on any machine, so they name no registry but the public index of crates.io.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::cargo::root;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Folders in which nothing is the project's own.
const FOREIGN: [&str; 3] = ["target", "node_modules", ".git"];

/// Checks every lock file of the project.
pub fn check() -> Result<()> {
    let mut offences = Vec::new();
    visit(&root(), &mut |path, text| {
        let found = match path.file_name()?.to_str()? {
            "Cargo.lock" => foreign_in_cargo_lock(text),
            "package-lock.json" => foreign_in_package_lock(text),
            _ => return None,
        };
        println!("{}: {} foreign lines", path.display(), found.len());
        offences.extend(found.iter().map(|l| format!("{}: {l}", path.display())));
        Some(())
    })?;
    ensure!(
        offences.is_empty(),
        "these lines name where a package was fetched from:\n{}",
        offences.join("\n")
    );
    Ok(())
}

fn visit(folder: &Path, see: &mut impl FnMut(&Path, &str) -> Option<()>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !FOREIGN.iter().any(|name| entry.file_name() == *name) {
                visit(&path, see)?;
            }
        } else if kind.is_file() && path.extension().is_some_and(|e| e == "lock" || e == "json") {
            see(&path, &String::from_utf8_lossy(&fs::read(&path)?));
        }
    }
    Ok(())
}

/// Lines of a `Cargo.lock` whose source is not crates.io.
fn foreign_in_cargo_lock(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.contains("://") && *line != format!("source = \"{CRATES_IO}\""))
        .collect()
}

/// Lines of a `package-lock.json` that say where a package was fetched from.
fn foreign_in_package_lock(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("\"resolved\":") && line.contains("://"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crates_io_is_the_only_source() {
        let good = format!("[[package]]\nname = \"a\"\nsource = \"{CRATES_IO}\"\n");
        assert!(foreign_in_cargo_lock(&good).is_empty());
        let mirror = "source = \"registry+https://mirror.example/index\"";
        let git = "source = \"git+https://example.org/a.git#0123\"";
        let text = format!("{good}{mirror}\n{git}\n");
        assert_eq!(foreign_in_cargo_lock(&text), [mirror, git]);
    }

    #[test]
    fn no_package_says_where_it_came_from() {
        let good = "\"node_modules/a\": {\n  \"version\": \"1.0.0\",\n  \"funding\": \"https://example.org\"\n}";
        assert!(foreign_in_package_lock(good).is_empty());
        let bad = "  \"resolved\": \"https://mirror.example/a-1.0.0.tgz\",";
        assert_eq!(foreign_in_package_lock(bad), [bad.trim()]);
    }
}
