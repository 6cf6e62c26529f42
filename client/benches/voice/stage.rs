//! People in a call, each on a host of their own, with a microphone and a loudspeaker of their own.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result};
use neartalk_rig::{
    chromium::{self, Chromium, Page, Site, Sound, Visit},
    headless::Headless,
    lossy::LossyNetwork,
    process::{self, GUARD},
    pulse::Pulse,
    relay::Relay,
    sound,
};
use tokio::runtime::Runtime;

/// Seconds of speech in a file: longer than anything that is measured with one.
const FILE: f64 = 120.0;

const LAT: f64 = 52.516_3;
const LON: f64 = 13.377_7;

/// What somebody talks with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum App {
    /// The terminal client.
    Neartalk,
    /// The page in Chromium, which speaks the same protocol.
    Chromium,
}

/// What is done to the microphone's sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processing {
    /// As installed.
    Installed,
    /// All that is installed, but the microphone is never closed: what is left of an echo can be heard.
    Open,
    /// As with a headset: no echo cancellation.
    Headset,
    /// Nothing, so that what is heard differs from what was said only by the way that it took.
    Nothing,
}

impl Processing {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Installed => &[],
            Self::Open => &["--talk", "open"],
            Self::Headset => &["--headset", "on"],
            Self::Nothing => &[
                "--echo", "off", "--noise", "off", "--gain", "off", "--talk", "open",
            ],
        }
    }
}

/// Somebody.
pub enum Person {
    NearTalk(Headless),
    Chromium(Chromium, Page),
}

/// Everything that a measurement needs.
pub struct Stage {
    pub people: Vec<Person>,
    pub pulse: Pulse,
    pub network: LossyNetwork,
    runtime: Runtime,
    _relay: Relay,
    _site: Site,
}

impl Stage {
    /// Everybody talks with the same.
    pub fn of(app: App, count: usize, processing: Processing) -> Result<Self> {
        Self::start(&vec![app; count], count, processing, true)
    }

    /// As [`Self::of`], but all except the first speak from a file and listen into one: more than a few
    /// people with devices would be more than a small machine's sound server can serve.
    pub fn crowd(app: App, count: usize, processing: Processing) -> Result<Self> {
        let mut apps = vec![App::Neartalk; count];
        apps[0] = app;
        Self::start(&apps, 1, processing, true)
    }

    /// Starts it all, with devices for the first so many. With `join`, returns when everybody is
    /// connected with everybody.
    pub fn start(
        apps: &[App],
        with_devices: usize,
        processing: Processing,
        join: bool,
    ) -> Result<Self> {
        let runtime = Runtime::new()?;
        let network = LossyNetwork::new(apps.len(), 1)?;
        let pulse = Pulse::start(apps.len())?;
        let here = network.here();
        let site = runtime.block_on(Site::serve_on(here.into()))?;
        let mut relay = Command::new(Relay::program()?);
        relay.args(["--listen", &format!("{here}:0")]);
        relay.args([
            "--allowed-origin",
            &site.origin(),
            "--session-burst",
            "1000",
            "--voice-join-interval",
            "1ms",
        ]);
        let relay = Relay::run(&mut relay)?;
        let mut stage = Self {
            people: Vec::new(),
            pulse,
            network,
            runtime,
            _relay: relay,
            _site: site,
        };
        for (n, app) in apps.iter().enumerate() {
            let person = match app {
                App::Neartalk => stage.neartalk(n, n < with_devices, processing, join),
                App::Chromium => stage.chromium(n, processing, join),
            };
            stage
                .people
                .push(person.with_context(|| format!("{app:?} {n}"))?);
        }
        if join {
            stage.wait_connected()?;
        }
        Ok(stage)
    }

    fn neartalk(
        &self,
        n: usize,
        with_devices: bool,
        processing: Processing,
        join: bool,
    ) -> Result<Person> {
        let program = env!("CARGO_BIN_EXE_neartalk-headless");
        let mut command = self.network.command(n, program);
        self.pulse.equip_nobody(&mut command);
        command.args([
            "--relay",
            self._relay.url(),
            "--name",
            &format!("Person {n}"),
        ]);
        command.args(["--at", &format!("{LAT},{LON}")]);
        if with_devices {
            let devices = [self.pulse.microphone(n), self.pulse.loudspeaker(n)];
            let [input, output] = devices.map(|name| format!("pulseaudio:{name}"));
            command.args(["--input", &input, "--output", &output]);
        } else {
            let file = |name: &str| self.pulse.folder().join(format!("{name}-{n}.wav"));
            let words = sound::speech(n, sound::samples(FILE)).0;
            sound::write_wav(&file("said"), &words)?;
            command.arg("--mic").arg(file("said"));
            command.arg("--speaker").arg(file("heard"));
        }
        command.args(processing.options());
        if join {
            command.arg("--voice");
        }
        Ok(Person::NearTalk(Headless::run(&mut command)?))
    }

    fn chromium(&self, n: usize, processing: Processing, join: bool) -> Result<Person> {
        let options = chromium::Options {
            sound: Sound::Pulse {
                server: self.pulse.server(),
                source: self.pulse.microphone(n),
                sink: self.pulse.loudspeaker(n),
            },
            run_in: self.network.run_in(n).map(str::to_owned).to_vec(),
            trusted_origin: Some(self._site.origin()),
            ..chromium::Options::default()
        };
        let mut visit = Visit::new(self._relay.url(), LAT, LON);
        visit.processing = matches!(processing, Processing::Installed | Processing::Open);
        visit.join = join;
        self.runtime.block_on(async {
            let chromium = Chromium::start(&options)?;
            let page = chromium.open(&self._site.url(&visit)).await?;
            page.id().await?;
            Ok(Person::Chromium(chromium, page))
        })
    }

    fn wait_connected(&mut self) -> Result<()> {
        let runtime = &self.runtime;
        let mut ids = Vec::new();
        for person in &self.people {
            ids.push(match person {
                Person::NearTalk(headless) => headless.peer_id().to_owned(),
                Person::Chromium(_, page) => runtime.block_on(page.id())?,
            });
        }
        for (n, person) in self.people.iter_mut().enumerate() {
            for (_, id) in ids.iter().enumerate().filter(|(other, _)| *other != n) {
                match person {
                    Person::NearTalk(headless) => headless.wait_connected(id)?,
                    Person::Chromium(_, page) => {
                        let js = format!(
                            "neartalk.peer('{id}').then((peer) => peer?.state === 'connected')"
                        );
                        runtime
                            .block_on(page.wait_for::<bool>(&js, GUARD))
                            .map(drop)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Lets somebody join voice or leave it.
    pub fn join(&mut self, person: usize, join: bool) -> Result<()> {
        match &mut self.people[person] {
            Person::NearTalk(it) => it.say(if join { "/voice" } else { "/leave-voice" }),
            Person::Chromium(_, page) => {
                let what = if join { "join" } else { "leave" };
                let js = format!("(neartalk.{what}(), true)");
                self.runtime.block_on(page.eval::<bool>(&js)).map(drop)
            }
        }
    }

    /// Processor time that somebody's programs have used.
    pub fn cpu_time(&mut self, person: usize) -> Result<Duration> {
        match &mut self.people[person] {
            Person::NearTalk(it) => it.process().cpu_time(),
            Person::Chromium(it, _) => Ok(group(it.pid())
                .filter_map(|pid| process::cpu_time(pid).ok())
                .sum()),
        }
    }
}

/// The processes of a group.
fn group(leader: u32) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(move |entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let group = stat.rsplit(')').next()?.split_whitespace().nth(2)?;
        (group == leader.to_string()).then_some(pid)
    })
}
