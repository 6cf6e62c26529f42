//! `cargo xtask run`: a relay on this machine, and the app or the terminal client on it.

use std::{
    fs::{self, File},
    io::{self, IsTerminal},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{
    cargo::{build, find, root},
    needs::{self, Need},
    process::{Ended, Guard, Interrupt, Process, Terminal},
    typescript,
};

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_PLACE: &str = "52.5219,13.4132";
const DEFAULT_PLACE_NAME: &str = "Alexanderplatz, Berlin";

/// How long a relay may take to start.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long a client that was told to stop may take before it is made to.
const CLIENT_GRACE: Duration = Duration::from_secs(3);

/// Start a relay that keeps everything in memory, and open the app on it.
///
/// Everything ends with the app, or with Ctrl-C. Without a display only the relay runs.
#[derive(clap::Args)]
pub struct Args {
    /// Install what the operating system lacks without asking, and ask nothing else either.
    #[arg(long)]
    yes: bool,
    /// Address and port of the relay [default: 127.0.0.1:8080, or a free port when that is taken]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Build with optimisations: starts later, runs faster.
    #[arg(long)]
    release: bool,
    /// Start the terminal client instead of the app.
    #[arg(long)]
    terminal: bool,
    /// Where the terminal client is, as LATITUDE,LONGITUDE in degrees; without it you are asked.
    #[arg(
        long,
        value_name = "LAT,LON",
        allow_hyphen_values = true,
        requires = "terminal"
    )]
    at: Option<String>,
    /// Passed on to the terminal client, such as `--terminal -- --name Fox --radius 300`.
    #[arg(last = true, requires = "terminal")]
    client: Vec<String>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let at_terminal = io::stdin().is_terminal();
    let client = match (args.terminal, has_display(), at_terminal) {
        (true, _, true) => Client::Terminal,
        (false, true, _) => Client::Window,
        _ => Client::None,
    };
    needs::provide(&needs_of(client), args.yes)?;
    // Asked before anything is built, so that nobody has to wait for the question.
    let place = match client {
        Client::Terminal => place(&args)?,
        Client::Window | Client::None => None,
    };

    let guard = Guard {
        interrupt: Interrupt::listen()?,
        deadline: None,
    };
    println!("Building; the first time takes a few minutes, later ones seconds.");
    let mut arguments = vec!["--bins", "-p", "neartalk-relay"];
    arguments.extend(match client {
        Client::Window => ["-p", "neartalk-app"],
        Client::Terminal | Client::None => ["-p", "neartalk-client"],
    });
    if args.release {
        arguments.push("--release");
    }
    if client == Client::Window {
        build_interface(&guard)?;
    }
    let programs = build(&arguments, &guard)?;

    let listen = match args.listen {
        Some(address) => address,
        None => free_address(DEFAULT_LISTEN.parse().context("the default address")?)?,
    };
    let log = at_terminal.then(|| root().join("target/neartalk-relay.log"));
    let mut command = Command::new(find(&programs, "neartalk-relay")?);
    command.args(["--listen", &listen.to_string()]);
    if !listen.ip().is_unspecified() {
        // So that whoever hides their address can be heard here as well.
        let turn = SocketAddr::new(listen.ip(), 0).to_string();
        command.args(["--turn-listen", &turn]);
    }
    let mut relay = Relay::start(&mut command, log.as_deref(), &guard)?;
    println!("The relay is running at {}", relay.url);
    if let Some(log) = &log {
        println!("Its log is in {}", log.display());
    }

    let mut program = match client {
        Client::Window => {
            let mut app = Command::new(find(&programs, "neartalk")?);
            app.env("NEARTALK_RELAY", &relay.url);
            app
        }
        Client::Terminal => {
            let mut client = Command::new(find(&programs, "neartalk-headless")?);
            client.args(["--relay", &relay.url]);
            if let Some(place) = place {
                client.arg(format!("--at={place}"));
            }
            client.args(&args.client);
            client
        }
        Client::None => {
            println!(
                "There is no {} here, so no client was started. From another one:\n  {} --relay {} --at={}\nCtrl-C stops the relay.",
                if args.terminal { "terminal" } else { "display" },
                find(&programs, "neartalk-headless")?.display(),
                relay.url,
                args.at.as_deref().unwrap_or(DEFAULT_PLACE)
            );
            return serve(&mut relay, &guard);
        }
    };
    let _terminal = Terminal::remember();
    let mut program = Process::start_in_foreground(&mut program)?;
    let code = talk(&mut program, &mut relay, &guard)?;
    relay.process.stop()?;
    Ok(code)
}

/// What is started beside the relay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Window,
    Terminal,
    None,
}

fn has_display() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !cfg!(target_os = "linux") || is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")
}

fn needs_of(client: Client) -> Vec<Need> {
    let mut needs = vec![needs::C_COMPILER, needs::CMAKE];
    if cfg!(target_os = "linux") {
        needs.extend([needs::PKG_CONFIG, needs::ALSA]);
    }
    if client == Client::Window {
        needs.extend([needs::NODE, needs::NPM]);
        if cfg!(target_os = "linux") {
            needs.extend(needs::WINDOW);
        }
    }
    needs
}

fn build_interface(guard: &Guard) -> Result<()> {
    match typescript::build_window(guard)? {
        Ended::Exited(status) if status.success() => Ok(()),
        Ended::Exited(_) => bail!("the interface could not be built; what npm said is above"),
        Ended::Interrupted => bail!("interrupted while building"),
        Ended::OutOfTime => bail!("building the interface ran out of time"),
    }
}

/// Lets the client talk until it ends, the relay ends, or somebody wants to stop.
fn talk(client: &mut Process, relay: &mut Relay, guard: &Guard) -> Result<ExitCode> {
    loop {
        relay.pass_output_on();
        if let Some(status) = client.ended()? {
            return Ok(if status.success() || guard.interrupt.came() {
                ExitCode::SUCCESS
            } else {
                eprintln!("The client ended with {status}.");
                ExitCode::FAILURE
            });
        }
        if let Some(status) = relay.process.ended()? {
            client.stop()?;
            bail!("the relay ended with {status}{}", relay.last_words());
        }
        if guard.interrupt.came() {
            // At a terminal the client has got the Ctrl-C as well, and may say good-bye.
            if client.wait_for(CLIENT_GRACE)?.is_none() {
                client.stop()?;
            }
        }
    }
}

/// Lets the relay run until it ends or somebody wants to stop.
fn serve(relay: &mut Relay, guard: &Guard) -> Result<ExitCode> {
    loop {
        relay.pass_output_on();
        if let Some(status) = relay.process.ended()? {
            bail!("the relay ended with {status}{}", relay.last_words());
        }
        if guard.interrupt.came() {
            let status = relay.process.stop()?;
            println!("The relay has stopped.");
            return Ok(if status.success() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            });
        }
    }
}

/// A running relay.
struct Relay {
    process: Process,
    /// What it prints to standard output.
    lines: Receiver<String>,
    url: String,
    log: Option<PathBuf>,
}

impl Relay {
    /// Starts one and waits until it listens. Its log goes to a file, or to standard error.
    fn start(command: &mut Command, log: Option<&Path>, guard: &Guard) -> Result<Self> {
        command.stdout(Stdio::piped());
        if let Some(log) = log {
            if let Some(folder) = log.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = File::create(log).with_context(|| format!("writing {}", log.display()))?;
            command.stderr(file);
        }
        let mut process = Process::start(command)?;
        let lines = process.lines()?;
        let mut relay = Self {
            process,
            lines,
            url: String::new(),
            log: log.map(Path::to_path_buf),
        };
        let limit = Instant::now() + START_LIMIT;
        while relay.url.is_empty() {
            if let Some(url) = relay.next_line().as_deref().and_then(url_in) {
                relay.url = url.to_owned();
            } else if let Some(status) = relay.process.ended()? {
                bail!(
                    "the relay did not start; it ended with {status}{}",
                    relay.last_words()
                );
            } else if guard.interrupt.came() {
                bail!("interrupted");
            } else if Instant::now() > limit {
                bail!(
                    "the relay has not said within {} s where it listens{}",
                    START_LIMIT.as_secs(),
                    relay.last_words()
                );
            }
        }
        Ok(relay)
    }

    /// Its next line of output, if there is one soon.
    fn next_line(&self) -> Option<String> {
        let patience = Duration::from_millis(50);
        match self.lines.recv_timeout(patience) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                // It has closed its output, so there is nothing left to wait on.
                std::thread::sleep(patience);
                None
            }
        }
    }

    /// Waits a moment for output, and shows it where it does not get into a client's way.
    fn pass_output_on(&self) {
        if let Some(line) = self.next_line()
            && self.log.is_none()
        {
            println!("{line}");
        }
    }

    /// The end of its log, when that went to a file.
    fn last_words(&self) -> String {
        let log = self.log.as_ref().map(fs::read_to_string);
        match log {
            Some(Ok(text)) if !text.trim().is_empty() => {
                let lines: Vec<&str> = text.lines().collect();
                let last = &lines[lines.len().saturating_sub(10)..];
                format!("; the last that it logged:\n{}", last.join("\n"))
            }
            _ => String::new(),
        }
    }
}

/// The address in the line by which a relay says that it is ready.
fn url_in(line: &str) -> Option<&str> {
    line.strip_prefix("listening on ").map(str::trim)
}

/// `wanted`, or the same host with a port of the system's choice when that port is taken.
fn free_address(wanted: SocketAddr) -> Result<SocketAddr> {
    match TcpListener::bind(wanted) {
        Ok(_) => Ok(wanted),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            println!(
                "Port {} is taken by another program; the relay gets a free one.",
                wanted.port()
            );
            Ok(SocketAddr::new(wanted.ip(), 0))
        }
        Err(error) => Err(error).with_context(|| format!("can't listen on {wanted}")),
    }
}

/// Where the client is to be: as the arguments say, or as the user says when asked.
fn place(args: &Args) -> Result<Option<String>> {
    if let Some(place) = &args.at {
        return parse_place(place).map(Some);
    }
    if args
        .client
        .iter()
        .any(|a| a == "--at" || a.starts_with("--at="))
    {
        return Ok(None);
    }
    if args.yes {
        println!("You are at {DEFAULT_PLACE_NAME} ({DEFAULT_PLACE}); --at says otherwise.");
        return Ok(Some(DEFAULT_PLACE.to_owned()));
    }
    loop {
        let answer = needs::ask(&format!(
            "Where are you? LATITUDE,LONGITUDE [{DEFAULT_PLACE}, {DEFAULT_PLACE_NAME}]: "
        ))?;
        if answer.is_empty() {
            return Ok(Some(DEFAULT_PLACE.to_owned()));
        }
        match parse_place(&answer) {
            Ok(place) => return Ok(Some(place)),
            Err(error) => println!("{error:#}"),
        }
    }
}

/// A place in the client's spelling.
fn parse_place(text: &str) -> Result<String> {
    let parsed = text.split_once(',').and_then(|(lat, lon)| {
        let lat: f64 = lat.trim().parse().ok()?;
        let lon: f64 = lon.trim().parse().ok()?;
        let is_on_earth = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        is_on_earth.then(|| format!("{lat},{lon}"))
    });
    parsed.with_context(|| {
        format!("`{text}` is no place; write degrees north and east, such as {DEFAULT_PLACE}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        for (text, place) in [
            ("52.5219,13.4132", "52.5219,13.4132"),
            (" -33.86, 151.2 ", "-33.86,151.2"),
            ("90,-180", "90,-180"),
        ] {
            assert_eq!(parse_place(text).unwrap(), place);
        }
        for text in [
            "",
            "52.5",
            "52.5;13.4",
            "91,0",
            "0,181",
            "NaN,0",
            "a,b",
            "1,2,3",
        ] {
            assert!(parse_place(text).is_err(), "{text}");
        }
        assert!(parse_place(DEFAULT_PLACE).is_ok());
    }

    #[test]
    fn only_the_ready_line_has_the_address() {
        assert_eq!(
            url_in("listening on http://127.0.0.1:8080"),
            Some("http://127.0.0.1:8080")
        );
        assert_eq!(url_in("admin on http://127.0.0.1:8081"), None);
    }

    #[test]
    fn a_taken_port_is_replaced_by_a_free_one() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(
            free_address(address).unwrap(),
            SocketAddr::new(address.ip(), 0)
        );
        let free = SocketAddr::new(address.ip(), 0);
        assert_eq!(free_address(free).unwrap(), free);
    }

    #[cfg(unix)]
    mod with_stand_ins {
        use super::*;

        fn guard() -> Guard {
            Guard {
                interrupt: Interrupt::never(),
                deadline: None,
            }
        }

        /// A relay that behaves as `script` says, and logs to a file called `name`.
        fn stand_in(name: &str, script: &str) -> Result<Relay> {
            let log = format!("xtask-{}-{name}.log", std::process::id());
            let log = std::env::temp_dir().join(log);
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            let relay = Relay::start(&mut command, Some(&log), &guard());
            fs::remove_file(log)?;
            relay
        }

        #[test]
        fn a_relay_that_cannot_start_says_why() {
            let error = stand_in("broken", "echo 'the port is taken' >&2; exit 2")
                .err()
                .unwrap();
            let text = format!("{error:#}");
            assert!(text.contains("the port is taken"), "{text}");
        }

        #[test]
        fn a_client_ends_with_its_relay() {
            let mut relay = stand_in("short", "echo listening on http://relay; exit 1").unwrap();
            assert_eq!(relay.url, "http://relay");
            let mut client =
                Process::start_in_foreground(Command::new("sleep").arg("600")).unwrap();
            assert!(talk(&mut client, &mut relay, &guard()).is_err());
            assert!(client.ended().unwrap().is_some());
        }

        #[test]
        fn a_failed_client_is_a_failure() {
            let mut relay = stand_in("long", "echo listening on http://relay; sleep 600").unwrap();
            let mut client = Process::start_in_foreground(&mut Command::new("false")).unwrap();
            let code = talk(&mut client, &mut relay, &guard()).unwrap();
            assert_eq!(code, ExitCode::FAILURE);
        }
    }
}
