//! What is in `deploy/`: checked with the programs that will read it, and put into a package.

mod compose;
mod dashboard;
mod dockerfile;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    cargo::{build, cargo, find, root, target_dir},
    dist, docs,
    needs::{self, Need},
    process::{Ended, Guard, Interrupt, run, run_reading, shown},
};

/// What the unit is worth to `systemd-analyze security`, which counts from 0 (safe) to 10 tenfold.
const EXPOSURE_MAX: &str = "15";

/// Make a Debian package of the relay, `target/packages/neartalk-relay_VERSION_ARCHITECTURE.deb`.
#[derive(clap::Args)]
pub struct Args {
    /// Also install it in a system of its own, build the image, and talk through the relays in both; needs
    /// Linux, root and the Debian mirror.
    #[arg(long)]
    check: bool,
    /// Install what the operating system lacks without asking.
    #[arg(long)]
    yes: bool,
}

/// What it takes to check the files.
pub const NEEDS: [Need; 5] = [
    needs::NODE,
    needs::PROMTOOL,
    needs::CADDY,
    needs::SYSTEMD_ANALYZE,
    needs::DPKG_DEB,
];

/// What it takes to make the package, and to see it and the image at work.
pub fn needs_at_work() -> Vec<Need> {
    let built = [
        needs::C_COMPILER,
        needs::CMAKE,
        needs::PKG_CONFIG,
        needs::ALSA,
    ];
    let needs = built.into_iter().chain(needs::RELAY_PACKAGES);
    needs.chain([needs::DPKG_DEB, needs::REDIS]).collect()
}

pub fn dist_relay(args: Args) -> Result<ExitCode> {
    let needs = if args.check {
        needs_at_work()
    } else {
        vec![needs::C_COMPILER, needs::DPKG_DEB]
    };
    needs::provide(&needs, args.yes)?;
    let guard = Guard {
        interrupt: Interrupt::listen()?,
        deadline: None,
    };
    let package = make(&guard)?;
    println!("{}", package.display());
    if args.check {
        check_at_work(&package, &guard)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes the package, and sees it and the image at work: a step of `cargo xtask test --long`.
pub fn make_and_check(guard: &Guard) -> Result<()> {
    check_at_work(&make(guard)?, guard)
}

fn make(guard: &Guard) -> Result<PathBuf> {
    let how = [
        "--profile",
        dist::PROFILE,
        "--locked",
        "-p",
        "neartalk-relay",
    ];
    let programs = build(&how, guard)?;
    let folder = target_dir().join("packages");
    package(find(&programs, "neartalk-relay")?, &folder, guard)
}

/// Installs the package, builds the image, and talks through the relays in both: `relay/tests/deployed.rs`.
fn check_at_work(package: &Path, guard: &Guard) -> Result<()> {
    // With what all tests are built with, which may be there already; as those who talk are.
    let talks = [
        "--workspace",
        "--all-features",
        "--bin",
        "neartalk-headless",
    ];
    build(&talks, guard)?;
    let mut test = cargo(&[
        "test",
        "--workspace",
        "--all-features",
        "--test",
        "deployed",
    ]);
    succeed(test.env("NEARTALK_RELAY_DEB", package), guard)
}

/// Checks every file with the program that will read it, and that the settings they name exist.
pub fn check(guard: &Guard) -> Result<()> {
    let all = ["--workspace", "--all-features", "--bins", "--tests"];
    let programs = build(&all, guard)?;
    let relay = find(&programs, "neartalk-relay")?;
    settings_exist(relay, guard)?;

    let deploy = root().join("deploy");
    dockerfile::check(&root())?;
    compose::check(&deploy)?;
    for words in [
        &["promtool", "check", "rules", "alerts.yml"][..],
        &["promtool", "test", "rules", "alerts.test.yml"],
        &["promtool", "check", "config", "prometheus.yml"],
        &[
            "caddy",
            "validate",
            "--config",
            "Caddyfile",
            "--adapter",
            "caddyfile",
        ],
    ] {
        let mut command = Command::new(words[0]);
        command.current_dir(&deploy).args(&words[1..]);
        succeed(command.env("NEARTALK_DOMAIN", "talk.example.org"), guard)?;
    }

    let folder = root().join("target/check-deploy");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let rules = folder.join("dashboard.yml");
    let dashboard = fs::read_to_string(deploy.join("grafana/neartalk.json"))?;
    fs::write(&rules, dashboard::as_rules(&dashboard)?)?;
    let mut promtool = Command::new("promtool");
    succeed(promtool.args(["check", "rules"]).arg(&rules), guard)?;
    // Node takes a file for a module by its name; k6 takes every script for one.
    let script = folder.join("k6.mjs");
    fs::copy(deploy.join("k6.js"), &script).context("copying deploy/k6.js")?;
    succeed(Command::new("node").arg("--check").arg(&script), guard)?;
    // The unit as it will be, but for where the program lies on this machine.
    let unit = fs::read_to_string(deploy.join("neartalk-relay.service"))?;
    let here = unit.replace("/usr/bin/neartalk-relay", &relay.display().to_string());
    ensure!(
        here != unit,
        "the unit does not start /usr/bin/neartalk-relay"
    );
    let file = folder.join("neartalk-relay.service");
    fs::write(&file, here)?;
    succeed(
        Command::new("systemd-analyze").arg("verify").arg(&file),
        guard,
    )?;
    let mut security = Command::new("systemd-analyze");
    security.args([
        "security",
        "--offline=yes",
        "--no-pager",
        "--threshold",
        EXPOSURE_MAX,
    ]);
    succeed(security.arg(&file), guard)?;

    let package = package(relay, &folder, guard)?;
    let inside = folder.join("inside");
    succeed(
        Command::new("dpkg-deb")
            .arg("-x")
            .arg(&package)
            .arg(&inside),
        guard,
    )?;
    for file in FILES {
        ensure!(
            inside.join(file.to).is_file(),
            "{} is not in the package",
            file.to
        );
    }
    succeed(
        Command::new(inside.join("usr/bin/neartalk-relay")).arg("--version"),
        guard,
    )
}

/// Every variable of the project's that a file names is one of the relay's, or of the example's.
fn settings_exist(relay: &Path, guard: &Guard) -> Result<()> {
    let mut known = String::new();
    run_reading(Command::new(relay).arg("--help"), guard, |line| {
        known.push_str(line);
        known.push('\n');
    })?;
    known += &fs::read_to_string(root().join("deploy/example.env"))?;
    let known = docs::variables_in(&known);
    let mut files = Vec::new();
    files_below(&root().join("deploy"), &mut files)?;
    let mut unknown = BTreeSet::new();
    for file in &files {
        let named = docs::variables_in(&fs::read_to_string(file)?);
        let strange = named.difference(&known);
        unknown.extend(strange.map(|name| format!("{}: nothing reads {name}", file.display())));
    }
    ensure!(files.len() > 10, "there is little in deploy/: {files:?}");
    ensure!(unknown.is_empty(), "{}", Vec::from_iter(unknown).join("\n"));
    Ok(())
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files_below(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// A file in the package.
struct Packed {
    /// In the repository; the program itself without one.
    from: Option<&'static str>,
    /// In the system.
    to: &'static str,
    mode: u32,
}

const FILES: [Packed; 4] = [
    Packed {
        from: None,
        to: "usr/bin/neartalk-relay",
        mode: 0o755,
    },
    Packed {
        from: Some("deploy/neartalk-relay.service"),
        to: "usr/lib/systemd/system/neartalk-relay.service",
        mode: 0o644,
    },
    Packed {
        from: Some("deploy/relay.env"),
        to: "etc/neartalk/relay.env",
        mode: 0o600,
    },
    Packed {
        from: Some("LICENSE-MIT"),
        to: "usr/share/doc/neartalk-relay/copyright",
        mode: 0o644,
    },
];

/// What the system does around it.
const SCRIPTS: [(&str, &str); 3] = [
    ("postinst", include_str!("../../deploy/debian/postinst")),
    ("prerm", include_str!("../../deploy/debian/prerm")),
    ("postrm", include_str!("../../deploy/debian/postrm")),
];

/// Packs `program` with its unit and settings.
fn package(program: &Path, folder: &Path, guard: &Guard) -> Result<PathBuf> {
    let tree = folder.join("relay-deb");
    let _ = fs::remove_dir_all(&tree);
    let put = |to: &str, content: &[u8], mode| -> Result<()> {
        let to = tree.join(to);
        fs::create_dir_all(to.parent().context("a file lies in a folder")?)?;
        fs::write(&to, content)?;
        Ok(set_mode(&to, mode)?)
    };
    for Packed { from, to, mode } in FILES {
        let from = from.map_or(program.to_owned(), |from| root().join(from));
        let content = fs::read(&from).with_context(|| format!("reading {}", from.display()))?;
        put(to, &content, mode)?;
    }
    for (name, script) in SCRIPTS {
        put(&format!("DEBIAN/{name}"), script.as_bytes(), 0o755)?;
    }
    put("DEBIAN/conffiles", b"/etc/neartalk/relay.env\n", 0o644)?;
    let architecture = said(Command::new("dpkg").arg("--print-architecture"))?;
    // Built here, it runs where the C library is as new as here.
    let libc = said(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    let libc = libc.rsplit(' ').next().unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let control = format!(
        "Package: neartalk-relay\n\
         Version: {version}\n\
         Architecture: {architecture}\n\
         Maintainer: The NearTalk authors <noreply@neartalk.invalid>\n\
         Depends: libc6 (>= {libc})\n\
         Recommends: ca-certificates\n\
         Section: net\n\
         Priority: optional\n\
         Description: anonymous proximity chat and voice: the relay\n \
         Brings people who are near each other together, passes on what they write for\n \
         half an hour, and helps their voices find each other. Needs no configuration.\n"
    );
    put("DEBIAN/control", control.as_bytes(), 0o644)?;
    let package = folder.join(format!("neartalk-relay_{version}_{architecture}.deb"));
    let mut pack = Command::new("dpkg-deb");
    pack.args(["--root-owner-group", "--build"]);
    succeed(pack.arg(&tree).arg(&package), guard)?;
    Ok(package)
}

#[cfg(unix)]
fn set_mode(file: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(file, fs::Permissions::from_mode(mode))
}

/// Where files have no mode there is no `dpkg-deb` either.
#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| shown(command))?;
    ensure!(output.status.success(), "{} failed", shown(command));
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn succeed(command: &mut Command, guard: &Guard) -> Result<()> {
    println!("> {}", shown(command));
    match run(command, guard)? {
        Ended::Exited(status) if status.success() => Ok(()),
        ended => bail!("{} ended with {ended:?}", shown(command)),
    }
}
