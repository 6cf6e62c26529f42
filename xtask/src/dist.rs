//! `cargo xtask dist`: packages of the app, for people who only want to use it.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::SystemTime,
};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::{
    cargo::{cargo, equip, root, target_dir},
    needs::{self, Need},
    process::{Ended, Guard, Interrupt, run, shown},
    typescript,
};

/// Make packages of the app. They lie in `target/packages` then.
///
/// The environment variable NEARTALK_DEFAULT_RELAY, an address such as <https://relay.example>, names
/// the relay that the app goes to until somebody chooses another. With both NEARTALK_UPDATES, an address, and
/// NEARTALK_UPDATE_KEY, a public key, the app looks there for newer versions when somebody asks it to.
#[derive(clap::Args)]
pub struct Args {
    /// What to make; without it, what people on this system install.
    kinds: Vec<Kind>,
    /// Also look into the .deb and the .rpm, install each in a system of its own and open the window
    /// there; needs Linux, root and the Debian mirror.
    #[arg(long)]
    check: bool,
    /// Install what the operating system lacks without asking.
    #[arg(long)]
    yes: bool,
    /// For which machine, such as universal-apple-darwin; for a phone aarch64, or aarch64-sim for
    /// Apple's simulator.
    #[arg(long)]
    target: Option<String>,
}

/// A kind of package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// For Debian, Ubuntu and their kin.
    Deb,
    /// For Fedora, openSUSE and their kin.
    Rpm,
    /// For any Linux; fetches the tools that make it.
    Appimage,
    /// For macOS.
    Dmg,
    /// For Windows, an installer that needs no administrator.
    Nsis,
    /// For Windows, as administrators spread it.
    Msi,
    /// For Android, to install by hand; needs its SDK and NDK.
    Apk,
    /// For Android's shop; needs its SDK and NDK.
    Aab,
    /// For iPhones and iPads; needs Xcode.
    Ios,
}

/// Who runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Platform {
    Desktop,
    Android,
    Ios,
}

impl Kind {
    const OF_THIS_SYSTEM: &[Self] = if cfg!(windows) {
        &[Self::Nsis]
    } else if cfg!(target_os = "macos") {
        &[Self::Dmg]
    } else {
        &[Self::Deb, Self::Rpm]
    };

    /// As Tauri calls it, and what its file's name ends in.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Deb => ("deb", "deb"),
            Self::Rpm => ("rpm", "rpm"),
            Self::Appimage => ("appimage", "AppImage"),
            Self::Dmg => ("dmg", "dmg"),
            Self::Nsis => ("nsis", "exe"),
            Self::Msi => ("msi", "msi"),
            Self::Apk => ("apk", "apk"),
            Self::Aab => ("aab", "aab"),
            Self::Ios => ("ios", "app"),
        }
    }

    fn platform(self) -> Platform {
        match self {
            Self::Apk | Self::Aab => Platform::Android,
            Self::Ios => Platform::Ios,
            _ => Platform::Desktop,
        }
    }
}

pub fn dist(args: Args) -> Result<ExitCode> {
    let kinds = if args.kinds.is_empty() {
        Kind::OF_THIS_SYSTEM
    } else {
        &args.kinds
    };
    let mut needs = needs_of(kinds);
    if args.check {
        ensure!(
            [Kind::Deb, Kind::Rpm].iter().all(|k| kinds.contains(k)),
            "what is checked are the .deb and the .rpm, so both are to be made"
        );
        needs.extend(needs::PACKAGES);
        needs.extend(needs::REAL_WINDOW);
    }
    needs::provide(&needs, args.yes)?;
    let guard = Guard {
        interrupt: Interrupt::listen()?,
        deadline: None,
    };
    let packages = make(kinds, args.target.as_deref(), &guard)?;
    if args.check {
        check(&packages, &guard)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes what people on Linux install, and checks it: a step of `cargo xtask test --long`.
pub fn make_and_check(guard: &Guard) -> Result<()> {
    check(&make(&[Kind::Deb, Kind::Rpm], None, guard)?, guard)
}

fn needs_of(kinds: &[Kind]) -> Vec<Need> {
    let mut needs = vec![needs::C_COMPILER, needs::CMAKE, needs::NODE, needs::NPM];
    if cfg!(target_os = "linux") && kinds.iter().any(|k| k.platform() == Platform::Desktop) {
        needs.extend([needs::PKG_CONFIG, needs::ALSA]);
        needs.extend(needs::WINDOW);
    }
    needs
}

/// Makes these packages, and says how large each is.
fn make(kinds: &[Kind], target: Option<&str>, guard: &Guard) -> Result<Vec<PathBuf>> {
    succeed(typescript::build_window(guard)?, "building the interface")?;
    let folder = root().join("src-tauri");
    let fetched = typescript::provide(&folder, guard)?;
    succeed(fetched, "fetching what makes packages")?;
    let packages = target_dir().join("packages");
    fs::create_dir_all(&packages).with_context(|| format!("making {}", packages.display()))?;

    let mut made = Vec::new();
    for platform in [Platform::Desktop, Platform::Android, Platform::Ios] {
        let kinds: Vec<Kind> = kinds
            .iter()
            .copied()
            .filter(|kind| kind.platform() == platform)
            .collect();
        if kinds.is_empty() {
            continue;
        }
        let started = SystemTime::now();
        let updates = UPDATES.iter().all(|name| env::var_os(name).is_some());
        let _library = match platform {
            Platform::Desktop => None,
            Platform::Android | Platform::Ios => Some(Library::ask(&folder.join("Cargo.toml"))?),
        };
        for arguments in commands(platform, &kinds, target, updates) {
            let mut tauri = typescript::npm(&folder);
            tauri.args(["run", "--silent", "tauri", "--"]);
            tauri.args(&arguments);
            equip(&mut tauri);
            println!("> {}", shown(&tauri));
            succeed(run(&mut tauri, guard)?, "making packages")?;
        }
        let outputs = outputs(platform, target);
        for kind in kinds {
            let (name, ending) = kind.names();
            let found = newer(&outputs, ending, started)?;
            ensure!(
                !found.is_empty(),
                "Tauri made no {name} in {}",
                outputs.display()
            );
            for package in found {
                made.push(take(&package, &packages, guard)?);
            }
        }
    }
    println!();
    for package in &made {
        let megabytes = fs::metadata(package)?.len() as f64 / 1e6;
        println!("{megabytes:>7.1} MB  {}", package.display());
    }
    Ok(made)
}

/// Where newer versions are, and whose signature they must bear: what the app is built with if it is to
/// look for any.
const UPDATES: [&str; 2] = ["NEARTALK_UPDATES", "NEARTALK_UPDATE_KEY"];

/// What Tauri is to be told.
fn commands(
    platform: Platform,
    kinds: &[Kind],
    target: Option<&str>,
    updates: bool,
) -> Vec<Vec<String>> {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut build = match platform {
        Platform::Desktop => {
            let names: Vec<&str> = kinds.iter().map(|kind| kind.names().0).collect();
            words(&format!("build --ci --bundles {}", names.join(",")))
        }
        Platform::Android => {
            let kinds = kinds.iter().map(|kind| format!("--{}", kind.names().0));
            let mut build = words("android build --ci");
            build.extend(kinds);
            build
        }
        Platform::Ios => words("ios build --ci"),
    };
    if let Some(target) = target {
        build.extend(["--target", target].map(str::to_owned));
    }
    // Shops keep phones up to date.
    if updates && platform == Platform::Desktop {
        build.extend(["--features", "updater"].map(str::to_owned));
    }
    build.push("--".to_owned());
    if platform == Platform::Desktop {
        build.extend(["--profile", PROFILE].map(str::to_owned));
    }
    build.push("--locked".to_owned());
    match platform {
        // What Xcode reads is made anew each time, around the icons.
        Platform::Ios => vec![words("ios init --ci"), build],
        _ => vec![build],
    }
}

/// While this lives the app is also made as the libraries that phones load. Always to make those would
/// slow every build for a desktop, and cargo can't be told otherwise than in the manifest.
struct Library {
    manifest: PathBuf,
    before: String,
}

impl Library {
    fn ask(manifest: &Path) -> Result<Self> {
        let shown = manifest.display();
        let before = fs::read_to_string(manifest).with_context(|| format!("reading {shown}"))?;
        let asking = as_library(&before)
            .with_context(|| format!("{shown} does not say what the library is called"))?;
        fs::write(manifest, asking).with_context(|| format!("writing {shown}"))?;
        Ok(Self {
            manifest: manifest.to_owned(),
            before,
        })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.manifest, &self.before) {
            eprintln!("{} is left changed: {error}", self.manifest.display());
        }
    }
}

/// A manifest that also asks for the libraries that phones load.
fn as_library(manifest: &str) -> Option<String> {
    let (before, library) = manifest.split_once("[lib]\n")?;
    let kinds = r#"crate-type = ["staticlib", "cdylib", "rlib"]"#;
    Some(format!("{before}[lib]\n{kinds}\n{library}"))
}

/// The profile that packages for desktops are built with.
pub const PROFILE: &str = "dist";

/// Where Tauri puts what it makes.
fn outputs(platform: Platform, target: Option<&str>) -> PathBuf {
    match platform {
        Platform::Desktop => target_dir()
            .join(target.unwrap_or_default())
            .join(PROFILE)
            .join("bundle"),
        Platform::Android => root().join("src-tauri/gen/android/app/build/outputs"),
        Platform::Ios => root().join("src-tauri/gen/apple/build"),
    }
}

/// What in a folder ends so, and has been changed since.
fn newer(folder: &Path, ending: &str, since: SystemTime) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|it| it == ending) {
            if entry.metadata()?.modified()? >= since {
                found.push(path);
            }
        } else if entry.file_type()?.is_dir() {
            found.extend(newer(&path, ending, since)?);
        }
    }
    found.sort();
    Ok(found)
}

/// Puts a package where all of them lie; a folder becomes an archive.
fn take(package: &Path, to: &Path, guard: &Guard) -> Result<PathBuf> {
    let name = package.file_name().unwrap_or_default();
    if !package.is_dir() {
        let taken = to.join(name);
        fs::copy(package, &taken).with_context(|| format!("copying to {}", taken.display()))?;
        return Ok(taken);
    }
    let mut file = name.to_owned();
    file.push(".tar.gz");
    let taken = to.join(file);
    let mut tar = Command::new("tar");
    tar.arg("-czf").arg(&taken).arg("-C");
    tar.arg(package.parent().unwrap_or(package)).arg(name);
    succeed(run(&mut tar, guard)?, "packing")?;
    Ok(taken)
}

/// Installs them, and opens the window: `src-tauri/tests/packages.rs`.
fn check(packages: &[PathBuf], guard: &Guard) -> Result<()> {
    // With what all tests are built with, which may be there already.
    let arguments = [
        "test",
        "--workspace",
        "--all-features",
        "--test",
        "packages",
    ];
    let mut test = cargo(&arguments);
    for (kind, variable) in [(Kind::Deb, "NEARTALK_DEB"), (Kind::Rpm, "NEARTALK_RPM")] {
        let ending = kind.names().1;
        let package = packages
            .iter()
            .find(|path| path.extension().is_some_and(|it| it == ending))
            .with_context(|| format!("no .{ending} was made"))?;
        test.env(variable, package);
    }
    println!("> {}", shown(&test));
    succeed(run(&mut test, guard)?, "the check of the packages")
}

fn succeed(ended: Ended, what: &str) -> Result<()> {
    match ended {
        Ended::Exited(status) if status.success() => Ok(()),
        Ended::Exited(status) => bail!("{what} failed with {status}; its messages are above"),
        Ended::Interrupted => bail!("{what} was interrupted"),
        Ended::OutOfTime => bail!("{what} took too long, and was stopped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(kinds: &[Kind], target: Option<&str>) -> Vec<String> {
        let commands = commands(kinds[0].platform(), kinds, target, false);
        commands.iter().map(|words| words.join(" ")).collect()
    }

    #[test]
    fn tauri_is_told_what_to_make() {
        assert_eq!(
            typed(&[Kind::Deb, Kind::Rpm], None),
            ["build --ci --bundles deb,rpm -- --profile dist --locked"]
        );
        assert_eq!(
            typed(&[Kind::Dmg], Some("universal-apple-darwin")),
            ["build --ci --bundles dmg --target universal-apple-darwin -- --profile dist --locked"]
        );
        assert_eq!(
            typed(&[Kind::Apk, Kind::Aab], Some("aarch64")),
            ["android build --ci --apk --aab --target aarch64 -- --locked"]
        );
        assert_eq!(
            typed(&[Kind::Ios], Some("aarch64-sim")),
            [
                "ios init --ci",
                "ios build --ci --target aarch64-sim -- --locked"
            ]
        );
    }

    #[test]
    fn only_whoever_says_where_has_the_app_look_for_newer_versions() {
        let made = |kind: Kind| commands(kind.platform(), &[kind], None, true);
        assert_eq!(
            made(Kind::Deb)[0].join(" "),
            "build --ci --bundles deb --features updater -- --profile dist --locked"
        );
        assert!(!made(Kind::Apk).concat().contains(&"updater".to_owned()));
    }

    #[test]
    fn a_library_for_phones_is_asked_for_only_meanwhile() {
        let real = fs::read_to_string(root().join("src-tauri/Cargo.toml")).unwrap();
        let manifest = std::env::temp_dir().join(format!("manifest-{}", std::process::id()));
        fs::write(&manifest, &real).unwrap();
        let library = Library::ask(&manifest).unwrap();
        let asking = fs::read_to_string(&manifest).unwrap();
        let line = "[lib]\ncrate-type = [\"staticlib\", \"cdylib\", \"rlib\"]\nname = ";
        assert!(asking.contains(line), "{asking}");
        drop(library);
        assert_eq!(fs::read_to_string(&manifest).unwrap(), real);
        fs::remove_file(&manifest).unwrap();
    }

    #[test]
    fn only_what_was_just_made_is_taken() {
        let folder = std::env::temp_dir().join(format!("dist-{}", std::process::id()));
        fs::create_dir_all(folder.join("deb")).unwrap();
        fs::create_dir_all(folder.join("ios/NearTalk.app")).unwrap();
        let package = folder.join("deb/neartalk.deb");
        fs::write(&package, "").unwrap();
        fs::write(folder.join("deb/control"), "").unwrap();
        let long_ago = SystemTime::UNIX_EPOCH;
        assert_eq!(newer(&folder, "deb", long_ago).unwrap(), [package]);
        let app = folder.join("ios/NearTalk.app");
        assert_eq!(newer(&folder, "app", long_ago).unwrap(), [app]);
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        assert!(newer(&folder, "deb", later).unwrap().is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }
}
