//! Checks `shared/bindings/wire.ts` with the TypeScript compiler: that it is valid by itself, that
//! every golden file fits the type that it is an example of, and that the page with which a browser
//! speaks it in tests fits, too.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo::root,
    process::{Ended, Guard, run},
};

/// The type of each HTTP golden file; those of frames are told by their folder.
const HTTP_TYPES: [(&str, &str); 12] = [
    ("error.428", "ErrorBody"),
    ("error.429", "ErrorBody"),
    ("health.200", "Health"),
    ("health.503", "Health"),
    ("location_update", "Locate"),
    ("location_update.200", "LocationUpdated"),
    ("nearby.200", "Nearby"),
    ("session_create", "CreateSession"),
    ("session_create.201", "CreatedSession"),
    ("session_create.proof", "CreateSession"),
    ("session_username", "ChangeUsername"),
    ("session_username.200", "UsernameChanged"),
];

/// Scripts of `rig/chromium` that nothing imports.
const PAGE: [&str; 2] = ["counter.js", "page.js"];

fn type_of(folder: &str, file: &str) -> Option<&'static str> {
    match (folder, file) {
        ("client", _) => Some("ClientFrame"),
        ("server", _) => Some("ServerFrame"),
        ("http", _) => HTTP_TYPES
            .iter()
            .find_map(|(name, kind)| (*name == file).then_some(*kind)),
        _ => None,
    }
}

/// npm, in a folder with a `package.json`.
pub fn npm(folder: &Path) -> Command {
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(folder);
    npm
}

/// Fetches the packages that a folder's lock file names.
fn install(folder: &Path, guard: &Guard) -> Result<Ended> {
    let quietly = ["--prefer-offline", "--no-audit", "--no-fund"];
    run(npm(folder).arg("ci").args(quietly), guard)
}

/// Builds the window's interface into `app/dist`, from which the shell takes it.
pub fn build_window(guard: &Guard) -> Result<Ended> {
    let app = root().join("app");
    let installed = provide(&app, guard)?;
    if !matches!(installed, Ended::Exited(status) if status.success()) {
        return Ok(installed);
    }
    run(npm(&app).args(["run", "--silent", "build"]), guard)
}

/// Fetches the packages that a folder's lock file names, unless they are there.
pub fn provide(folder: &Path, guard: &Guard) -> Result<Ended> {
    if is_installed(folder) {
        return Ok(Ended::Exited(ExitStatus::default()));
    }
    install(folder, guard)
}

/// Whether npm has fetched what the lock file names since that was last changed.
fn is_installed(folder: &Path) -> bool {
    let changed = |file: &str| fs::metadata(folder.join(file)).and_then(|file| file.modified());
    match (
        changed("package-lock.json"),
        changed("node_modules/.package-lock.json"),
    ) {
        (Ok(named), Ok(fetched)) => fetched >= named,
        _ => false,
    }
}

/// Checks the window: types, lints, tests, catalogues, and how large it is when built.
pub fn check_window(guard: &Guard) -> Result<Ended> {
    let app = root().join("app");
    let installed = install(&app, guard)?;
    if !matches!(installed, Ended::Exited(status) if status.success()) {
        return Ok(installed);
    }
    run(npm(&app).args(["run", "check"]), guard)
}

/// Looks at the window in a real browser: its states, its paths and its speed; all pictures, or a
/// part of them. Comes after [`check_window`], which fetches what it needs.
pub fn walk_window(guard: &Guard, all: bool) -> Result<Ended> {
    let walk = if all { "e2e" } else { "e2e:quick" };
    run(npm(&root().join("app")).args(["run", walk]), guard)
}

/// Fetches the pinned compiler and runs it.
pub fn check(guard: &Guard) -> Result<Ended> {
    let bindings = root().join("shared/bindings");
    let installed = install(&bindings, guard)?;
    if !matches!(installed, Ended::Exited(status) if status.success()) {
        return Ok(installed);
    }

    // Where `npm ci` has just cleared up, and git does not look.
    let examples = bindings.join("node_modules/golden.check.ts");
    let (text, count) = examples_of(&root().join("shared/tests/golden"))?;
    fs::write(&examples, text).with_context(|| format!("writing {}", examples.display()))?;
    let mut check = Command::new("node");
    check
        .arg(Path::new("node_modules/typescript/bin/tsc"))
        .args(["--strict", "--noEmit", "--module", "esnext"])
        .args(["wire.ts", "node_modules/golden.check.ts"])
        .current_dir(&bindings);
    let checked = run(&mut check, guard)?;
    if !matches!(checked, Ended::Exited(status) if status.success()) {
        return Ok(checked);
    }
    println!("wire.ts is valid, and {count} golden files fit their types");
    let mut check = Command::new("node");
    check
        .arg(bindings.join("node_modules/typescript/bin/tsc"))
        .args(["--strict", "--noEmit", "--allowJs", "--checkJs"])
        .args(["--module", "esnext", "--target", "es2024"])
        .args(["--lib", "es2024,dom,dom.iterable"])
        .args(PAGE)
        .current_dir(root().join("rig/chromium"));
    run(&mut check, guard)
}

/// A TypeScript module that declares each golden file as a constant of its type.
fn examples_of(golden: &Path) -> Result<(String, usize)> {
    let mut files = Vec::new();
    for folder in ["client", "server", "http"] {
        let path = golden.join(folder);
        let entries = fs::read_dir(&path).with_context(|| format!("reading {}", path.display()))?;
        let paths: Result<Vec<PathBuf>, _> = entries.map(|e| e.map(|e| e.path())).collect();
        files.extend(paths?.into_iter().map(|path| (folder, path)));
    }
    files.sort();
    let mut text = String::from("import type * as wire from \"../wire\";\n");
    for (number, (folder, path)) in files.iter().enumerate() {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let Some(kind) = type_of(folder, &stem) else {
            bail!(
                "{} is an example of no known type; add it to xtask/src/typescript.rs",
                path.display()
            );
        };
        let json = fs::read_to_string(path)?;
        writeln!(text, "// {folder}/{stem}")?;
        writeln!(
            text,
            "export const example{number}: wire.{kind} = {};",
            json.trim()
        )?;
    }
    Ok((text, files.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_golden_file_has_a_type() {
        let (text, count) = examples_of(&root().join("shared/tests/golden")).unwrap();
        assert!(count > 40, "{count}");
        assert!(text.contains("// http/session_username\nexport const"));
        assert_eq!(text.matches(": wire.").count(), count);
    }

    #[test]
    fn types_are_told_by_folder_and_name() {
        assert_eq!(type_of("client", "say"), Some("ClientFrame"));
        assert_eq!(type_of("server", "error.plain"), Some("ServerFrame"));
        assert_eq!(type_of("http", "nearby.200"), Some("Nearby"));
        assert_eq!(type_of("http", "unheard_of"), None);
        assert_eq!(type_of("elsewhere", "say"), None);
    }
}
