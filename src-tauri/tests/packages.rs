//! The packages for Linux, as people get them: what they say of themselves, and that a system with
//! nothing else on it installs one and opens the window. `cargo xtask dist --check` makes them and
//! names them in `NEARTALK_DEB` and `NEARTALK_RPM`.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use neartalk_rig::{
    relay::Relay,
    system::System,
    window::{Options, Screen, Window},
};

/// The largest that a package may be, in bytes.
const LIMIT: u64 = 15_000_000;

/// Somewhere in Berlin.
const HERE: &str = "52.5163, 13.3777";

/// What both install.
const PROGRAM: &str = "/usr/bin/neartalk";

/// What both put in the same places.
const FILES: [&str; 9] = [
    PROGRAM,
    "/usr/share/applications/neartalk.desktop",
    "/usr/share/icons/hicolor/32x32/apps/neartalk.png",
    "/usr/share/icons/hicolor/64x64/apps/neartalk.png",
    "/usr/share/icons/hicolor/128x128/apps/neartalk.png",
    "/usr/share/icons/hicolor/256x256@2/apps/neartalk.png",
    "/usr/share/icons/hicolor/512x512/apps/neartalk.png",
    "/usr/share/icons/hicolor/scalable/apps/neartalk.svg",
    "/usr/share/metainfo/org.neartalk.NearTalk.metainfo.xml",
];

fn package(variable: &str) -> PathBuf {
    let path = env::var_os(variable);
    PathBuf::from(path.unwrap_or_else(|| {
        panic!("{variable} names no package: `cargo xtask dist --check` makes it")
    }))
}

fn printed(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{program} {arguments:?}: {text}{errors}"
    );
    text
}

/// A folder with what a package holds.
struct Unpacked(PathBuf);

impl Unpacked {
    fn new(package: &Path) -> Self {
        let name = package.file_name().unwrap();
        let folder = env::temp_dir().join(format!("{}-unpacked", name.to_str().unwrap()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file.trim_start_matches('/'))
    }

    /// What menus and app shops are told is right, and fits together.
    fn is_presentable(&self) {
        for file in FILES {
            assert!(self.path(file).is_file(), "there is no {file}");
        }
        let entry = self.path("/usr/share/applications/neartalk.desktop");
        let entry = entry.to_str().unwrap();
        printed("desktop-file-validate", &[entry]);
        let text = fs::read_to_string(entry).unwrap();
        let lines: BTreeSet<&str> = text.lines().collect();
        for line in [
            "Name=NearTalk",
            "Exec=neartalk %u",
            "Icon=neartalk",
            "MimeType=x-scheme-handler/neartalk;",
            "Comment=Talk to the people around you, without an account",
        ] {
            assert!(lines.contains(line), "{line} is not in\n{text}");
        }
        let about = self.path("/usr/share/metainfo/org.neartalk.NearTalk.metainfo.xml");
        let about = about.to_str().unwrap();
        printed("appstreamcli", &["validate", "--no-net", about]);
        let about = fs::read_to_string(about).unwrap();
        let release = format!("<release version=\"{}\"", env!("CARGO_PKG_VERSION"));
        assert!(about.contains(&release), "the newest release is not told");
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_deb_says_what_it_is_and_what_it_needs() {
    let deb = package("NEARTALK_DEB");
    assert!(deb.metadata().unwrap().len() <= LIMIT);
    let path = deb.to_str().unwrap();
    let field = |name: &str| {
        printed("dpkg-deb", &["--field", path, name])
            .trim()
            .to_owned()
    };
    assert_eq!(field("Package"), "neartalk");
    assert_eq!(field("Version"), env!("CARGO_PKG_VERSION"));
    assert_eq!(field("Maintainer"), "The NearTalk contributors");
    assert!(field("Description").starts_with("Talk to the people around you"));
    let depends = field("Depends");
    let depends: BTreeSet<&str> = depends.split(", ").collect();
    for package in [
        "geoclue-2.0",
        "libasound2 | libasound2t64",
        "libgtk-3-0",
        "libwebkit2gtk-4.1-0",
    ] {
        assert!(depends.contains(package), "{package}: {depends:?}");
    }
    let unpacked = Unpacked::new(&deb);
    printed("dpkg-deb", &["-x", path, unpacked.0.to_str().unwrap()]);
    unpacked.is_presentable();
    let licence = unpacked.path("/usr/share/doc/neartalk/copyright");
    let licence = fs::read_to_string(licence).unwrap();
    assert!(licence.contains("License: MIT or Apache-2.0"));
}

#[test]
fn the_rpm_says_what_it_is_and_what_it_needs() {
    let rpm = package("NEARTALK_RPM");
    assert!(rpm.metadata().unwrap().len() <= LIMIT);
    let path = rpm.to_str().unwrap();
    let query =
        |what: &[&str]| printed("rpm", &[&["--query", "--package"], what, &[path]].concat());
    let checked = printed("rpm", &["--checksig", "--nosignature", path]);
    assert!(checked.contains("digests OK"), "{checked}");
    let fields = query(&["--queryformat", "%{NAME} %{VERSION} %{LICENSE}"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(fields, format!("neartalk {version} MIT OR Apache-2.0"));
    let requires = query(&["--requires"]);
    let requires: BTreeSet<&str> = requires.lines().collect();
    for need in ["geoclue2", "libasound.so.2()(64bit)"] {
        assert!(requires.contains(need), "{need}: {requires:?}");
    }
    assert!(
        requires.iter().any(|need| need.contains("webkit2gtk")),
        "{requires:?}"
    );
    let listed = query(&["--list"]);
    let listed: BTreeSet<&str> = listed.lines().collect();
    for file in FILES {
        assert!(listed.contains(file), "{file}: {listed:?}");
    }
    let unpacked = Unpacked::new(&rpm);
    let script = "rpm2cpio \"$0\" | (cd \"$1\" && cpio --quiet -idm)";
    let folder = unpacked.0.to_str().unwrap();
    printed("sh", &["-c", script, path, folder]);
    unpacked.is_presentable();
    for licence in ["LICENSE-APACHE", "LICENSE-MIT"] {
        let licence = format!("/usr/share/licenses/neartalk/{licence}");
        assert!(unpacked.path(&licence).is_file(), "there is no {licence}");
    }
}

/// Opens the program that is installed there, and goes as far as a relay.
fn opens_in(system: &System) {
    let missing = system.run("ldd", &[PROGRAM]).unwrap();
    assert!(!missing.contains("not found"), "{missing}");
    let screen = Screen::start(1280, 900).unwrap();
    let relay = Relay::start(&[]).unwrap();
    let mut options = Options::within(system);
    options.driver.env("NEARTALK_RELAY", relay.url());
    options.driver.env("PULSE_SERVER", "unix:/nonexistent");
    let window = Window::open(Path::new(PROGRAM), &screen, options).unwrap();
    window.press("button", "Choose a place by hand").unwrap();
    window.writes("textbox", "Coordinates", HERE).unwrap();
    window.press("button", "Be here").unwrap();
    window.reads("You are the first one here.").unwrap();
}

#[test]
fn a_system_with_nothing_else_installs_either_and_opens_the_window() {
    let system = System::create().unwrap();
    system.install(package("NEARTALK_DEB").as_os_str()).unwrap();
    // What looks at the window comes after what the package itself brought.
    system.install("webkit2gtk-driver".as_ref()).unwrap();
    opens_in(&system);

    // What it has brought stays, but for itself.
    system.run("dpkg", &["--remove", "neartalk"]).unwrap();
    system.run("test", &["!", "-e", PROGRAM]).unwrap();
    system.install("rpm".as_ref()).unwrap();
    let inside = system.copy(&package("NEARTALK_RPM")).unwrap();
    // It names what it needs as Fedora and openSUSE do; here that came with the .deb.
    let how = ["--install", "--nodeps", inside.to_str().unwrap()];
    system.run("rpm", &how).unwrap();
    let owner = system.run("rpm", &["--query", "--file", PROGRAM]).unwrap();
    assert!(owner.starts_with("neartalk-"), "{owner}");
    opens_in(&system);
}
