//! The relay as people get it who run one: from its package, in a Debian with nothing else on it, and in its
//! image, with no rights at all. `cargo xtask dist-relay --check` makes the package, and names it in
//! `NEARTALK_RELAY_DEB`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use neartalk_rig::{
    containers::Containers, headless::Headless, process::Process, programs, redis::Redis,
    relay::Relay, system::System,
};
use neartalk_shared::http::{Health, HealthStatus, StoreKind};

/// The largest that image or package may be, in bytes.
const LIMIT: u64 = 15_000_000;

/// Whoever the image runs as, and nobody else does.
const USER: &str = "65532";

/// What the image holds.
const HELD: [&str; 2] = ["/etc/ssl/certs/ca-certificates.crt", "/neartalk-relay"];

/// Somebody near the others, on a relay.
fn somebody(relay: &Relay, flags: &[&str]) -> Headless {
    let sources = ["client/src", "client/Cargo.toml", "shared/src", "voice/src"];
    let program = programs::program("neartalk-client", "neartalk-headless", &sources).unwrap();
    let mut command = Command::new(program);
    command.args(["--relay", relay.url(), "--at", "52.5219,13.4132"]);
    // There is nothing to hear.
    command.env("PULSE_SERVER", "unix:/nonexistent").args(flags);
    Headless::run(&mut command).unwrap()
}

fn sees(person: &mut Headless, other: &str) {
    let known = |people: &serde_json::Value| {
        let people = people.as_array().into_iter().flatten();
        people.into_iter().any(|it| it["peer_id"] == other)
    };
    let seen = person.wait("the other", |event| {
        (known(&event["people"]) || event["person"]["peer_id"] == other).then_some(())
    });
    seen.unwrap();
}

/// Two people who see each other, and of whom each reads what the other says.
fn talk(fox: &mut Headless, owl: &mut Headless) {
    let (one, other) = (fox.peer_id().to_owned(), owl.peer_id().to_owned());
    sees(fox, &other);
    sees(owl, &one);
    reads(fox, owl, "Anyone here?");
    reads(owl, fox, "Two of us.");
}

/// One says something, and the other reads it.
fn reads(from: &mut Headless, to: &mut Headless, text: &str) {
    from.say(text).unwrap();
    let read = to.wait("what was said", |event| {
        (event["type"] == "message" && event["message"]["text"] == text).then_some(())
    });
    read.unwrap();
}

async fn health(relay: &Relay) -> Health {
    let url = format!("{}/api/health", relay.url());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    client.get(url).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_debian_with_nothing_else_installs_the_package_and_its_relay_serves() {
    let package =
        env::var_os("NEARTALK_RELAY_DEB").expect("`cargo xtask dist-relay --check` names one");
    assert!(fs::metadata(&package).unwrap().len() <= LIMIT);
    let system = System::create().unwrap();
    system.install(&package).unwrap();
    let missing = system.run("dpkg", &["--verify", "neartalk-relay"]).unwrap();
    assert_eq!(missing, "");
    let modes = [
        ("/usr/bin/neartalk-relay", "root 755"),
        ("/usr/lib/systemd/system/neartalk-relay.service", "root 644"),
        // Passwords may be in there.
        ("/etc/neartalk/relay.env", "root 600"),
        ("/usr/share/doc/neartalk-relay/copyright", "root 644"),
    ];
    for (file, mode) in modes {
        let found = system.run("stat", &["--format", "%U %a", file]).unwrap();
        assert_eq!(found.trim(), mode, "{file}");
    }
    // There is no systemd; this is what its unit would start, as somebody who may do as little.
    let mut start = system.command("setpriv");
    start.args([
        "--reuid",
        USER,
        "--regid",
        USER,
        "--clear-groups",
        "--no-new-privs",
    ]);
    start.args(["/usr/bin/neartalk-relay", "--listen", "127.0.0.1:0"]);
    let relay = Relay::run(&mut start).unwrap();
    assert_eq!(health(&relay).await.status, HealthStatus::Ok);
    talk(&mut somebody(&relay, &[]), &mut somebody(&relay, &[]));
    drop(relay);

    system.run("dpkg", &["--purge", "neartalk-relay"]).unwrap();
    for gone in ["/usr/bin/neartalk-relay", "/etc/neartalk"] {
        system.run("test", &["!", "-e", gone]).unwrap();
    }
}

/// The image, built as `deploy/Dockerfile` says. No registry is asked for the one that it is built in: that
/// is a Debian with a C compiler, and this machine's Rust.
fn build() -> (Containers, &'static str) {
    let root = programs::root();
    let dockerfile = root.join("deploy/Dockerfile");
    let text = fs::read_to_string(&dockerfile).unwrap();
    let base = text.lines().find_map(|line| line.strip_prefix("FROM "));
    let base = base.unwrap().split(' ').next().unwrap();

    let containers = Containers::create().unwrap();
    let system = System::create().unwrap();
    for package in ["ca-certificates", "gcc", "libc6-dev"] {
        system.install(package.as_ref()).unwrap();
    }
    let path = "ENV PATH=/usr/local/rust/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let changes = [path, "ENV CARGO_HOME=/usr/local/cargo"];
    containers.import(&system, base, &changes).unwrap();
    drop(system);

    let mut rustc = Command::new("rustc");
    let sysroot = rustc
        .current_dir(&root)
        .args(["--print", "sysroot"])
        .output();
    let sysroot = String::from_utf8(sysroot.unwrap().stdout).unwrap();
    let cargo = env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.unwrap_or_else(|| env::home_dir().unwrap().join(".cargo"));
    // Kept, so that the next time only what has changed is compiled.
    let target = programs::profile_folder().unwrap().with_file_name("image");
    fs::create_dir_all(&target).unwrap();
    let folders = [
        (Path::new(sysroot.trim()), "/usr/local/rust:ro"),
        (&cargo.join("registry"), "/usr/local/cargo/registry"),
        (&target, "/src/target"),
    ];
    let built = containers.build(&dockerfile, &root, "neartalk-relay", &folders);
    built.unwrap();
    (containers, "localhost/neartalk-relay")
}

/// A server that knows one name, `redis`, which is this machine; and its address.
fn names() -> (Process, String) {
    let id = std::process::id();
    let address = format!("127.73.{}.{}", id / 250 % 250, id % 250 + 1);
    let script = "exec dnsmasq --no-daemon --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file= \
                  --bind-interfaces --listen-address=\"$0\" --local=/redis/ --address=/redis/127.0.0.1 2>&1";
    let mut server = Process::start(Command::new("sh").args(["-c", script, &address])).unwrap();
    let started = |line: &str| line.contains(": started").then_some(());
    server.wait_for("dnsmasq's listener", started).unwrap();
    (server, address)
}

/// All files in a folder, with their paths from there.
fn files_in(folder: &Path, at: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{at}/{}", entry.file_name().display());
        if entry.file_type().unwrap().is_dir() {
            files_in(&entry.path(), &path, found);
        } else {
            found.insert(path);
        }
    }
}

/// A container's process has given up whatever it could, and has no file open: neither in what it was
/// made of, nor where random numbers come from.
fn may_do_nothing(containers: &Containers, container: &str) {
    let pid = containers.ask(&["inspect", "--format", "{{.State.Pid}}", container]);
    let of =
        |file: &str| fs::read_to_string(format!("/proc/{}/{file}", pid.as_ref().unwrap())).unwrap();
    let status = of("status");
    for (field, values) in [
        ("Uid:", [USER; 4].as_slice()),
        ("Gid:", &[USER; 4]),
        ("Groups:", &[USER]),
        ("NoNewPrivs:", &["1"]),
        ("CapEff:", &["0000000000000000"]),
        ("CapBnd:", &["0000000000000000"]),
    ] {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let found: Vec<_> = line.unwrap().split_whitespace().collect();
        assert_eq!(found, values, "{field}");
    }
    let open = fs::read_dir(format!("/proc/{}/fd", pid.as_ref().unwrap())).unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    let files: Vec<_> = open
        .filter(|to| to.is_absolute() && to != Path::new("/dev/null"))
        .collect();
    assert_eq!(files, [PathBuf::new(); 0]);
    let mounts = of("mountinfo");
    let root = mounts
        .lines()
        .find(|line| line.split(' ').nth(4) == Some("/"));
    let options = root.unwrap().split(' ').nth(5).unwrap();
    assert!(options.split(',').any(|option| option == "ro"), "{options}");
}

#[tokio::test]
async fn the_image_is_built_and_its_relays_serve_without_any_rights() {
    let (containers, image) = build();
    let about = containers.ask(&["image", "inspect", image]).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    let about = &about[0];
    assert!(
        about["Size"].as_u64().unwrap() <= LIMIT,
        "{}",
        about["Size"]
    );
    assert_eq!(about["Config"]["User"], "65532:65532");
    assert_eq!(about["Config"]["StopSignal"], "SIGTERM");
    let folder = PathBuf::from(containers.ask(&["image", "mount", image]).unwrap());
    let mut held = BTreeSet::new();
    files_in(&folder, "", &mut held);
    assert_eq!(held, HELD.map(str::to_owned).into());
    let certificates = fs::read_to_string(folder.join(&HELD[0][1..])).unwrap();
    assert!(certificates.matches("BEGIN CERTIFICATE").count() > 50);

    // Two of them that are one by a Redis, which they know by its name, and by a certificate that is where
    // those lie that everybody trusts.
    let (redis, certificate) = Redis::start_tls().unwrap();
    let url = format!(
        "NEARTALK_REDIS_URL=rediss://redis:{}",
        redis.address().port()
    );
    let trust = format!("{}:{}:ro", certificate.display(), HELD[0]);
    let (_names, server) = names();
    let relay = |container: &str| {
        let mut run = containers.run(container);
        run.args(["--dns", &server, "--dns-search", "."]);
        run.args(["--env", &url, "--volume", &trust]);
        // Where they listen by themselves, others of this machine may.
        for (variable, address) in [
            ("LISTEN", "127.0.0.1:0"),
            ("ADMIN_LISTEN", "127.0.0.1:0"),
            ("TURN_LISTEN", "127.0.0.1:0"),
        ] {
            run.args(["--env", &format!("NEARTALK_{variable}={address}")]);
        }
        Relay::run(run.arg(image)).unwrap()
    };
    let relays = [relay("one"), relay("other")];
    for relay in &relays {
        let health = health(relay).await;
        assert_eq!(health.status, HealthStatus::Ok, "{health:?}");
        assert_eq!(health.store, StoreKind::Redis);
    }
    for container in ["one", "other"] {
        may_do_nothing(&containers, container);
    }
    // Their voices go through the TURN servers inside.
    let voice = [
        "--hide-address",
        "--voice",
        "--input",
        "none",
        "--output",
        "none",
    ];
    let flags = [&voice[..], &["--address", "127.0.0.1:0"]].concat();
    let [mut fox, mut owl] = [0, 1].map(|at| somebody(&relays[at], &flags));
    talk(&mut fox, &mut owl);
    fox.wait_connected(owl.peer_id()).unwrap();
    owl.wait_connected(fox.peer_id()).unwrap();

    // Status 137 would be that it had to be killed.
    for container in ["one", "other"] {
        containers
            .ask(&["stop", "--time", "20", container])
            .unwrap();
        assert_eq!(containers.ask(&["wait", container]).unwrap(), "0");
    }
}
