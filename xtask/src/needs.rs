//! What the operating system must have, and how to get it.

use std::{
    env,
    io::{self, BufRead, IsTerminal, Write},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{cargo::cargo, process::shown};

/// Something that has to be installed.
pub struct Need {
    pub name: &'static str,
    why: &'static str,
    test: Test,
    source: Source,
}

/// How to tell whether it is there.
enum Test {
    /// One of these programs is on the path.
    Program(&'static [&'static str]),
    /// This cargo subcommand answers.
    Cargo(&'static str),
    /// There is a font with letters of this language.
    Letters(&'static str),
    /// `pkg-config` knows this library.
    Library(&'static str),
}

/// Where it comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Apt(&'static str),
    Rustup(&'static str),
}

/// For building anything.
pub const C_COMPILER: Need = Need {
    name: "a C compiler",
    why: "TLS and the Opus codec have parts in C",
    test: Test::Program(&["cc", "gcc", "clang", "cl"]),
    source: Source::Apt("build-essential"),
};
/// For building the voice library.
pub const CMAKE: Need = Need {
    name: "cmake",
    why: "the Opus codec is built with it",
    test: Test::Program(&["cmake"]),
    source: Source::Apt("cmake"),
};
/// For finding the libraries of the operating system.
pub const PKG_CONFIG: Need = Need {
    name: "pkg-config",
    why: "the sound library is found with it",
    test: Test::Program(&["pkg-config"]),
    source: Source::Apt("pkg-config"),
};
/// For measuring voice: PESQ is about human speech.
pub const SPEECH: Need = Need {
    name: "recordings of human speech",
    why: "the quality of voice is measured with them (package alsa-utils)",
    test: Test::Program(&["speaker-test"]),
    source: Source::Apt("alsa-utils"),
};
/// For building the voice library on Linux.
pub const ALSA: Need = Need {
    name: "the ALSA library",
    why: "microphones and loudspeakers are reached through it",
    test: Test::Library("alsa"),
    source: Source::Apt("libasound2-dev"),
};
/// For building the app on Linux.
pub const WINDOW: [Need; 2] = [
    Need {
        name: "the WebKitGTK library",
        why: "the app's window is drawn with it",
        test: Test::Library("webkit2gtk-4.1"),
        source: Source::Apt("libwebkit2gtk-4.1-dev"),
    },
    Need {
        name: "the librsvg library",
        why: "the app's icons are read with it",
        test: Test::Library("librsvg-2.0"),
        source: Source::Apt("librsvg2-dev"),
    },
];
/// For the tests of the sound devices on Linux.
pub const PULSEAUDIO: Need = Need {
    name: "pulseaudio",
    why: "the tests of the sound devices start one of their own",
    test: Test::Program(&["pulseaudio"]),
    source: Source::Apt("pulseaudio"),
};
/// For the tests of the sound devices on Linux.
pub const PULSEAUDIO_UTILS: Need = Need {
    name: "pactl",
    why: "the tests of the sound devices plug them in and out with it",
    test: Test::Program(&["pactl"]),
    source: Source::Apt("pulseaudio-utils"),
};
/// For the tests of a bad network on Linux.
pub const IPROUTE: Need = Need {
    name: "ip",
    why: "the tests of a bad network make one of their own",
    test: Test::Program(&["ip"]),
    source: Source::Apt("iproute2"),
};
/// For the tests of a bad network, and to score sound.
pub const PYTHON: Need = Need {
    name: "python3",
    why: "the tests of a bad network talk across it",
    test: Test::Program(&["python3"]),
    source: Source::Apt("python3"),
};
/// For checking the phones' own code.
pub const PHONES: [Need; 2] = [
    Need {
        name: "java",
        why: "the Kotlin compiler that checks the phones' code runs on it",
        test: Test::Program(&["java"]),
        source: Source::Apt("default-jre-headless"),
    },
    Need {
        name: "pip3",
        why: "it fetches what checks the phones' code",
        test: Test::Program(&["pip3"]),
        source: Source::Apt("python3-pip"),
    },
];
/// For the tests of voice with a browser.
pub const CHROMIUM: Need = Need {
    name: "chromium",
    why: "the tests of voice talk with it, and those of the window look at it there",
    test: Test::Program(&["chromium"]),
    source: Source::Apt("chromium"),
};
/// For the tests of the real window.
pub const REAL_WINDOW: [Need; 3] = [
    Need {
        name: "Xvfb",
        why: "the tests of the real window open it on a screen that nobody sees",
        test: Test::Program(&["Xvfb"]),
        source: Source::Apt("xvfb"),
    },
    Need {
        name: "WebKitWebDriver",
        why: "the tests of the real window press and read in it",
        test: Test::Program(&["WebKitWebDriver"]),
        source: Source::Apt("webkit2gtk-driver"),
    },
    Need {
        name: "dbus-daemon",
        why: "each window of the tests has a message bus of its own, and so has each test of the place",
        test: Test::Program(&["dbus-daemon"]),
        source: Source::Apt("dbus-daemon"),
    },
];
/// For checking packages.
const MMDEBSTRAP: Need = Need {
    name: "mmdebstrap",
    why: "the check of the packages installs them in a system of its own",
    test: Test::Program(&["mmdebstrap"]),
    source: Source::Apt("mmdebstrap"),
};
/// For checking the relay's package and image.
pub const RELAY_PACKAGES: [Need; 4] = [
    MMDEBSTRAP,
    Need {
        name: "podman",
        why: "the relay's image is built and run by it",
        test: Test::Program(&["podman"]),
        source: Source::Apt("podman"),
    },
    Need {
        name: "runc",
        why: "the relay's image is run with it",
        test: Test::Program(&["runc"]),
        source: Source::Apt("runc"),
    },
    Need {
        name: "dnsmasq",
        why: "the check of the relay's image asks it for names",
        test: Test::Program(&["dnsmasq"]),
        source: Source::Apt("dnsmasq-base"),
    },
];
/// For checking the packages for Linux.
pub const PACKAGES: [Need; 4] = [
    MMDEBSTRAP,
    Need {
        name: "rpm",
        why: "the check of the packages looks into the one for Fedora and openSUSE",
        test: Test::Program(&["rpm"]),
        source: Source::Apt("rpm"),
    },
    Need {
        name: "appstreamcli",
        why: "it checks what the packages tell app shops",
        test: Test::Program(&["appstreamcli"]),
        source: Source::Apt("appstream"),
    },
    Need {
        name: "desktop-file-validate",
        why: "it checks the app's entry in menus",
        test: Test::Program(&["desktop-file-validate"]),
        source: Source::Apt("desktop-file-utils"),
    },
];
/// For the pictures in docs/images.
pub const IMAGEMAGICK: Need = Need {
    name: "import",
    why: "the pictures of the window are taken with it",
    test: Test::Program(&["import"]),
    source: Source::Apt("imagemagick"),
};
/// For the pictures of the window in Hindi.
pub const HINDI: Need = Need {
    name: "a font with Devanagari letters",
    why: "the tests of the window look at it in Hindi",
    test: Test::Letters("hi"),
    source: Source::Apt("fonts-lohit-deva"),
};
/// For the tests of voice through a TURN server.
pub const COTURN: Need = Need {
    name: "coturn",
    why: "the tests of voice through a TURN server start one of their own",
    test: Test::Program(&["turnserver"]),
    source: Source::Apt("coturn"),
};
/// For the tests of many relays.
pub const REDIS: Need = Need {
    name: "redis-server",
    why: "the tests of many relays start one of their own",
    test: Test::Program(&["redis-server"]),
    source: Source::Apt("redis-server"),
};
/// For measuring NearTalk beside other servers.
pub const OTHER_SERVERS: [Need; 2] = [
    Need {
        name: "nats-server",
        why: "the bench of a city measures it beside NearTalk",
        test: Test::Program(&["nats-server"]),
        source: Source::Apt("nats-server"),
    },
    Need {
        name: "mosquitto",
        why: "the bench of a city measures it beside NearTalk",
        test: Test::Program(&["mosquitto"]),
        source: Source::Apt("mosquitto"),
    },
];
/// For the tests of what a relay keeps in a database.
pub const POSTGRESQL: Need = Need {
    name: "PostgreSQL",
    why: "the tests of what a relay keeps in a database start one of their own",
    // Its server is not on the path; this comes with it.
    test: Test::Program(&["pg_ctlcluster", "postgres"]),
    source: Source::Apt("postgresql"),
};
/// For checking the alert rules.
pub const PROMTOOL: Need = Need {
    name: "promtool",
    why: "the alert rules are checked and tried with it",
    test: Test::Program(&["promtool"]),
    source: Source::Apt("prometheus"),
};
/// For checking the reverse proxy's settings.
pub const CADDY: Need = Need {
    name: "caddy",
    why: "the settings for it are checked by it, and the tests of many relays put it before two of them",
    test: Test::Program(&["caddy"]),
    source: Source::Apt("caddy"),
};
/// For checking the service unit.
pub const SYSTEMD_ANALYZE: Need = Need {
    name: "systemd-analyze",
    why: "the relay's unit is checked with it",
    test: Test::Program(&["systemd-analyze"]),
    source: Source::Apt("systemd"),
};
/// For the relay's package.
pub const DPKG_DEB: Need = Need {
    name: "dpkg-deb",
    why: "the relay's package is made with it",
    test: Test::Program(&["dpkg-deb"]),
    source: Source::Apt("dpkg"),
};
/// For the tests of voice between networks, which they make on Linux.
pub const IPTABLES: Need = Need {
    name: "iptables",
    why: "the tests of voice between networks put routers and losses into them with it",
    test: Test::Program(&["iptables"]),
    source: Source::Apt("iptables"),
};
/// For checking the TypeScript types.
pub const NODE: Need = Need {
    name: "node",
    why: "the TypeScript compiler runs on it",
    test: Test::Program(&["node"]),
    source: Source::Apt("nodejs"),
};
/// For getting the TypeScript compiler.
pub const NPM: Need = Need {
    name: "npm",
    why: "it fetches the TypeScript compiler",
    test: Test::Program(&["npm", "npm.cmd"]),
    source: Source::Apt("npm"),
};
/// For the format check.
pub const RUSTFMT: Need = Need {
    name: "rustfmt",
    why: "it checks the formatting",
    test: Test::Cargo("fmt"),
    source: Source::Rustup("rustfmt"),
};
/// For the lints.
pub const CLIPPY: Need = Need {
    name: "clippy",
    why: "it checks for common mistakes",
    test: Test::Cargo("clippy"),
    source: Source::Rustup("clippy"),
};

impl Need {
    /// A program that nothing provides, for tests of what happens then.
    #[cfg(test)]
    pub const fn program(name: &'static str, programs: &'static [&'static str]) -> Self {
        Self {
            name,
            why: "a test wants it",
            test: Test::Program(programs),
            source: Source::Apt("none"),
        }
    }

    /// Whether it is there.
    pub fn is_met(&self) -> bool {
        match self.test {
            Test::Program(names) => names.iter().any(|name| on_path(name)),
            Test::Cargo(subcommand) => cargo(&[subcommand, "--version"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
            Test::Letters(language) => Command::new("fc-list")
                .arg(format!(":lang={language}"))
                .output()
                .is_ok_and(|found| !found.stdout.is_empty()),
            Test::Library(name) => Command::new("pkg-config")
                .args(["--exists", name])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
        }
    }
}

/// Installs what is missing: at a terminal after asking, and with `yes` without. Whatever is still
/// missing afterwards is said, and left to whoever needs it.
pub fn provide(needs: &[Need], yes: bool) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_met()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for need in &missing {
        println!("This machine lacks {} ({}).", need.name, need.why);
    }
    let sources: Vec<Source> = missing.iter().map(|need| need.source).collect();
    let commands = install_commands(&sources, on_path("apt-get"), prefix(yes));
    if commands.is_empty() {
        println!("Install it with your system's package manager, then try again.");
        return Ok(());
    }
    let typed: Vec<String> = commands.iter().map(shown).collect();
    let typed = typed.join(" && ");
    if !yes && !confirm(&format!("Install it with `{typed}`?"))? {
        println!("Left as it is. To install it: {typed}");
        return Ok(());
    }
    for mut command in commands {
        println!("> {}", shown(&command));
        let done = command.status().is_ok_and(|status| status.success());
        if !done {
            println!("That did not work.");
        }
    }
    for need in missing.iter().filter(|need| !need.is_met()) {
        println!("There is still no {}.", need.name);
    }
    Ok(())
}

/// The commands that install from these sources, as far as this machine has the means.
fn install_commands(sources: &[Source], has_apt: bool, prefix: &[&str]) -> Vec<Command> {
    let mut packages = Vec::new();
    let mut components = Vec::new();
    for source in sources {
        match source {
            Source::Apt(package) => packages.push(*package),
            Source::Rustup(component) => components.push(*component),
        }
    }
    let mut commands = Vec::new();
    if has_apt && !packages.is_empty() {
        let mut words = prefix.to_vec();
        words.push("apt-get");
        for rest in [vec!["update"], [vec!["install", "-y"], packages].concat()] {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).args(rest);
            commands.push(command);
        }
    }
    if !components.is_empty() {
        let mut command = Command::new("rustup");
        command.args(["component", "add"]).args(components);
        commands.push(command);
    }
    commands
}

/// What to put before a command that only root may run.
fn prefix(yes: bool) -> &'static [&'static str] {
    #[cfg(unix)]
    if rustix::process::geteuid().is_root() {
        return &[];
    }
    // With `--yes` nobody is there to type a password.
    if yes { &["sudo", "-n"] } else { &["sudo"] }
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| {
        let file = folder.join(program);
        file.is_file() || file.with_extension("exe").is_file()
    })
}

/// Asks a yes-or-no question; without a terminal the answer is no.
fn confirm(question: &str) -> Result<bool> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let answer = ask(&format!("{question} [Y/n] "))?;
    Ok(matches!(answer.to_lowercase().as_str(), "" | "y" | "yes"))
}

/// Asks for a line.
pub fn ask(question: &str) -> Result<String> {
    print!("{question}");
    io::stdout().flush()?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    (read > 0)
        .then(|| line.trim().to_owned())
        .context("there was no answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(sources: &[Source], has_apt: bool, prefix: &[&str]) -> Vec<String> {
        let commands = install_commands(sources, has_apt, prefix);
        commands.iter().map(shown).collect()
    }

    #[test]
    fn packages_are_installed_together() {
        let sources = [
            Source::Apt("nodejs"),
            Source::Rustup("clippy"),
            Source::Apt("npm"),
        ];
        assert_eq!(
            typed(&sources, true, &["sudo", "-n"]),
            [
                "sudo -n apt-get update",
                "sudo -n apt-get install -y nodejs npm",
                "rustup component add clippy",
            ]
        );
        assert_eq!(
            typed(&sources[..1], true, &[]),
            ["apt-get update", "apt-get install -y nodejs"]
        );
    }

    #[test]
    fn without_apt_there_is_no_command_for_packages() {
        assert!(typed(&[Source::Apt("npm")], false, &[]).is_empty());
    }

    #[test]
    fn programs_are_looked_for_on_the_path() {
        assert!(on_path("cargo") || on_path("rustc"));
        assert!(!on_path("no-program-has-this-name"));
    }
}
