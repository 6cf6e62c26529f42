//! A sound server of one's own, with devices that are made of nothing.
//!
//! The bus is a stereo sink that plays to nobody. What is played into `into_microphone` is on its
//! left, and is what the source `microphone` hears; what is played to `loudspeaker` is on its right.
//! Recording the bus gives both, aligned to the sample.

use std::{
    env, fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use neartalk_rig::pulse::{Player, Server};

const CHILD: &str = "NEARTALK_TEST_SOUND";

/// Whatever waits longer than this waits in vain.
pub const GUARD: Duration = Duration::from_secs(20);

/// Without `norewinds` a sink of nothing sleeps for two seconds at a time, and a stream that starts
/// meanwhile waits for it.
pub const BUS: [&str; 4] = [
    "module-null-sink sink_name=bus rate=48000 channels=2 norewinds=1",
    LOUDSPEAKER,
    "module-remap-sink sink_name=into_microphone master=bus channels=1 channel_map=mono \
     master_channel_map=front-left remix=no",
    MICROPHONE,
];

pub const LOUDSPEAKER: &str = "module-remap-sink sink_name=loudspeaker master=bus channels=1 \
     channel_map=mono master_channel_map=front-right remix=no";

pub const MICROPHONE: &str = "module-remap-source source_name=microphone master=bus.monitor \
     channels=1 channel_map=mono master_channel_map=front-left remix=no";

/// Runs a test in a process of its own, for which the sound server in `folder` is the system's: a
/// program finds it by its environment, which a thread can't change for itself. `name` is the test's.
pub fn alone(name: &str, test: impl FnOnce(&Path)) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static FOLDERS: AtomicU32 = AtomicU32::new(0);
    if let Some(folder) = env::var_os(CHILD) {
        return test(Path::new(&folder));
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let number = FOLDERS.fetch_add(1, Relaxed);
    let folder = format!("neartalk-sound-{}-{number}", std::process::id());
    let folder = env::temp_dir().join(folder);
    fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]);
    Server::equip(&folder, &mut command);
    let run = command.env(CHILD, &folder).output();
    let _ = fs::remove_dir_all(&folder);
    let run = run.unwrap();
    for line in [&run.stdout, &run.stderr].map(|text| String::from_utf8_lossy(text)) {
        // Indented, so that nobody counts its results as results.
        for line in line.lines() {
            println!("    {line}");
        }
    }
    assert!(run.status.success(), "{name} failed");
}

/// A PulseAudio that ends with the value.
pub struct Pulse(Server);

impl Pulse {
    /// Starts one in `folder` with these modules.
    pub fn start(folder: &Path, modules: &[&str]) -> Self {
        Self(Server::start(folder, modules).unwrap())
    }

    /// `pactl`, and what it prints.
    pub fn control(&self, arguments: &[&str]) -> String {
        self.0.control(arguments).unwrap()
    }

    /// Holds it up for so long.
    pub fn hold_up(&self, how_long: Duration) {
        self.0.hold_up(how_long).unwrap();
    }

    /// Adds a device.
    pub fn load(&self, module: &str) {
        self.0.load(module).unwrap();
    }

    /// Takes the device away of which `what` is part of the module's arguments.
    pub fn unload(&self, what: &str) {
        let modules = self.control(&["list", "short", "modules"]);
        let line = modules.lines().find(|line| line.contains(what));
        let index = line.and_then(|line| line.split_whitespace().next());
        self.control(&["unload-module", index.expect("there is such a module")]);
    }

    /// Plays `sound` to a sink, over and over, until the value is dropped.
    pub fn play(&self, sink: &str, sound: Vec<f32>) -> Player {
        self.0.play(sink, &sound, true).unwrap()
    }

    /// Records a source, for `seconds` after `skip` seconds: one list of samples for each channel.
    pub fn record<const CHANNELS: usize>(
        &self,
        source: &str,
        skip: f32,
        seconds: f32,
    ) -> [Vec<f32>; CHANNELS] {
        let mut child = self
            .0
            .tool("parec")
            .args(["--raw", "--format=float32le", "--rate=48000"])
            .arg(format!("--channels={CHANNELS}"))
            .args(["--latency-msec=20", "--device", source])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let count = |seconds: f32| (seconds * 48_000.0) as usize * CHANNELS * 4;
        let mut bytes = vec![0; count(skip + seconds)];
        let read = child.stdout.take().unwrap().read_exact(&mut bytes);
        let _ = child.kill();
        let _ = child.wait();
        read.unwrap();
        let samples: Vec<f32> = bytes[count(skip)..]
            .chunks_exact(4)
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect();
        std::array::from_fn(|channel| {
            let own = samples.iter().skip(channel).step_by(CHANNELS);
            own.copied().collect()
        })
    }
}
