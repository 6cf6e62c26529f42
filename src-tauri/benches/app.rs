//! How soon the window can be used, and what it holds in memory: the real program on a screen that
//! nobody sees. `cargo xtask bench app` builds it as packages have it, and names it in
//! `NEARTALK_PROGRAM`; docs/benchmarks.md says what the figures mean.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that can't measure should say where"
)]

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("This bench needs Linux: it opens the window under Xvfb.");
}

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::measure()
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{
        env, fs,
        path::PathBuf,
        process::Command,
        time::{Duration, SystemTime, UNIX_EPOCH},
    };

    use anyhow::{Context, Result};
    use neartalk_rig::{
        headless::Headless,
        programs,
        pulse::Pulse,
        relay::Relay,
        sound::{samples, synthetic_speech, write_wav},
        window::{Options, Screen, Window},
    };

    const HERE: &str = "52.5163, 13.3777";
    const STARTS: usize = 10;
    /// In a call of eight.
    const OTHERS: usize = 7;

    pub fn measure() -> Result<()> {
        let screen = Screen::start(1280, 900)?;
        let relay = Relay::start(&[])?;
        let pulse = Pulse::start(1)?;
        let program = env::var_os("NEARTALK_PROGRAM");
        let program = PathBuf::from(program.context("NEARTALK_PROGRAM names no program")?);
        let open = || {
            let mut options = Options::default();
            options.driver.env("NEARTALK_RELAY", relay.url());
            pulse.equip(&mut options.driver, 0);
            // As people have it, unlike in tests.
            options.driver.env_remove("WEBKIT_DISABLE_DMABUF_RENDERER");
            Window::open(&program, &screen, options)
        };
        println!("{}", program.display());
        println!("{} load {}", machine(), load());

        // The first reads the program from the disk.
        drop(open()?);
        let mut starts = Vec::new();
        for _ in 0..STARTS {
            let window = open()?;
            let usable = usable(&window)?;
            starts.push(usable.saturating_sub(started(&window)?));
        }
        starts.sort();
        println!(
            "start to interactive, warm, {STARTS} starts: median {:.2} s, longest {:.2} s",
            starts[STARTS / 2].as_secs_f64(),
            starts[STARTS - 1].as_secs_f64()
        );

        let window = open()?;
        window.press("button", "Choose a place by hand")?;
        window.writes("textbox", "Coordinates", HERE)?;
        window.press("button", "Be here")?;
        window.reads("You are the first one here.")?;
        tell("with a place, alone", &window)?;

        let folder = pulse.folder();
        let client = programs::program("neartalk-client", "neartalk-headless", &["client/src"])?;
        let mut others = Vec::new();
        for number in 0..OTHERS {
            let said = folder.join(format!("{number}.wav"));
            write_wav(&said, &synthetic_speech(number as u64, samples(20.0)))?;
            let mut command = Command::new(&client);
            pulse.equip_nobody(&mut command);
            command.args(["--relay", relay.url(), "--at", &HERE.replace(' ', "")]);
            command.args(["--address", "127.0.0.1:0", "--voice", "--talk", "open"]);
            command.arg("--mic").arg(said).args(["--output", "none"]);
            others.push(Headless::run(&mut command)?);
        }
        window.reads("500 m · 7 people")?;
        window.press("button", "Talk.*")?;
        window.press("button", "Talk")?;
        window.reads("On. Press to stop")?;
        for _ in 0..OTHERS {
            window.reads("speaking")?;
        }
        // So long that nothing is left of joining.
        std::thread::sleep(Duration::from_secs(20));
        tell("in a call of 8", &window)?;
        println!("load {}", load());
        Ok(())
    }

    /// When the first button could be pressed, since the epoch; as soon as the driver knew of it.
    fn usable(window: &Window) -> Result<Duration> {
        window.sees("button", "Use my location")?;
        Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
    }

    /// When the program was started, since the epoch.
    fn started(window: &Window) -> Result<Duration> {
        let (pid, _) = processes(window)?
            .into_iter()
            .find(|(_, name)| name == "neartalk")
            .context("the program doesn't run")?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let rest = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u32 = rest
            .split_whitespace()
            .nth(19)
            .context("too short")?
            .parse()?;
        let up = fs::read_to_string("/proc/uptime")?;
        let up: f64 = up.split(' ').next().unwrap_or_default().parse()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        Ok(now - Duration::from_secs_f64(up) + Duration::from_millis(10) * ticks)
    }

    /// The program's processes, without the driver's.
    fn processes(window: &Window) -> Result<Vec<(u32, String)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
                continue;
            };
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            let group = stat.rsplit(')').next().unwrap_or_default();
            let group = group.split_whitespace().nth(2).unwrap_or_default();
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            let name = name.trim().to_owned();
            let own = name.starts_with("neartalk") || name.starts_with("WebKit");
            if group == window.group().to_string() && own && name != "WebKitWebDriver" {
                found.push((pid, name));
            }
        }
        Ok(found)
    }

    fn tell(when: &str, window: &Window) -> Result<()> {
        println!("memory, {when}:");
        let mut sums = [0.0; 3];
        for (pid, name) in processes(window)? {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            let of = |field: &str| -> f64 {
                let line = rollup.lines().find_map(|line| line.strip_prefix(field));
                let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
                kib.unwrap_or(0.0) / 1_024.0
            };
            let parts = [of("Rss:"), of("Pss:"), of("Pss_Anon:")];
            show(&name, parts);
            for (sum, part) in sums.iter_mut().zip(parts) {
                *sum += part;
            }
        }
        show("all", sums);
        Ok(())
    }

    fn show(name: &str, [rss, pss, own]: [f64; 3]) {
        println!(
            "  {name:16} {rss:6.1} MiB resident, {pss:6.1} MiB its share, {own:6.1} MiB of it no file's"
        );
    }

    fn machine() -> String {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name\t: "));
        format!("{},", model.unwrap_or("an unknown processor"))
    }

    fn load() -> String {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        load.split(' ').next().unwrap_or_default().to_owned()
    }
}
