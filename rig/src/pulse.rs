//! A sound server of one's own, with devices that are made of nothing.
//!
//! Everything is played to one sink that plays to nobody, the bus. Each person has two of its channels:
//! what is played into `into-N` is on the first, and is what their microphone `mic-N` hears; what is
//! played to their loudspeaker `speaker-N` is on the second. Recording the bus gives all of them,
//! aligned to the sample.

mod server;

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result, ensure};

pub use server::{Player, Server};

use crate::{process::GUARD, sound::RATE};

/// How many people there is room for: a sink has at most 32 channels.
pub const MOST_PEOPLE: usize = 16;

/// A running PulseAudio.
#[derive(Debug)]
pub struct Pulse {
    // Ends before its folder goes.
    server: Server,
    folder: Folder,
    people: usize,
}

/// Removed with the value.
#[derive(Debug)]
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

impl Pulse {
    /// Starts one with a microphone and a loudspeaker for each of so many people.
    ///
    /// # Errors
    /// When it doesn't start, or there are too many people.
    pub fn start(people: usize) -> Result<Self> {
        ensure!(
            (1..=MOST_PEOPLE).contains(&people),
            "too many people for one sound server"
        );
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let name = format!("neartalk-sound-{}-{number}", std::process::id());
        let folder = Folder(env::temp_dir().join(name));
        fs::create_dir_all(&folder.0)?;
        Ok(Self {
            server: Server::start(&folder.0, &modules(people))?,
            folder,
            people,
        })
    }

    /// Lets a program use this sound server, with somebody's devices where it goes by the environment
    /// (as whatever uses PulseAudio's own library does).
    pub fn equip(&self, command: &mut Command, person: usize) {
        self.equip_nobody(command);
        command.env("PULSE_SOURCE", self.microphone(person));
        command.env("PULSE_SINK", self.loudspeaker(person));
    }

    /// Lets a program use this sound server.
    pub fn equip_nobody(&self, command: &mut Command) {
        Server::equip(&self.folder.0, command);
    }

    /// What to hand to PulseAudio's programs and library to reach this server.
    pub fn server(&self) -> String {
        self.server.address()
    }

    /// A folder that is removed with the server.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// How many people there is room for.
    pub fn people(&self) -> usize {
        self.people
    }

    /// The name of somebody's microphone.
    pub fn microphone(&self, person: usize) -> String {
        format!("mic-{person}")
    }

    /// The name of somebody's loudspeaker.
    pub fn loudspeaker(&self, person: usize) -> String {
        format!("speaker-{person}")
    }

    /// `pactl`, and what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn control(&self, arguments: &[&str]) -> Result<String> {
        self.server.control(arguments)
    }

    /// Lets somebody's microphone hear their loudspeaker, so many milliseconds later and so many dB softer,
    /// as in a room.
    ///
    /// # Errors
    /// When PulseAudio refuses.
    pub fn echo(&self, person: usize, delay_ms: u32, loss_db: f32) -> Result<()> {
        let module = format!(
            "module-loopback source=ear-{person} sink=into-{person} latency_msec={delay_ms} \
             adjust_time=0 source_dont_move=1 sink_dont_move=1 channels=1 channel_map=mono \
             sink_input_properties=media.name=echo-{person}"
        );
        let index = self.server.load(&module)?;
        let inputs = self.control(&["--format=json", "list", "sink-inputs"])?;
        let inputs: Vec<serde_json::Value> = serde_json::from_str(&inputs)?;
        let input = inputs
            .iter()
            .find(|input| input["owner_module"].to_string().trim_matches('"') == index)
            .and_then(|input| input["index"].as_u64())
            .context("the echo plays nowhere")?;
        let volume = format!("{:.2}dB", -loss_db);
        self.control(&["set-sink-input-volume", &input.to_string(), &volume])?;
        Ok(())
    }

    /// Plays a sound into somebody's microphone, once.
    ///
    /// # Errors
    /// When `pacat` can't be started.
    pub fn play(&self, person: usize, sound: Vec<f32>) -> Result<Player> {
        self.server.play(&format!("into-{person}"), &sound, false)
    }

    /// Plays a sound into somebody's microphone, over and over, until the value is dropped.
    ///
    /// # Errors
    /// When `pacat` can't be started.
    pub fn play_always(&self, person: usize, sound: Vec<f32>) -> Result<Player> {
        self.server.play(&format!("into-{person}"), &sound, true)
    }

    /// Begins to record everybody. Returns when the first sound is there.
    ///
    /// # Errors
    /// When `parec` can't be started or records nothing.
    pub fn record(&self) -> Result<Recorder> {
        let channels = 2 * self.people;
        let mut child = self
            .server
            .tool("parec")
            .args(["--raw", "--format=float32le", "--rate=48000"])
            .arg(format!("--channels={channels}"))
            .arg(format!("--channel-map={}", channel_map(self.people)))
            .args(["--latency-msec=20", "--device=bus.monitor"])
            .stdout(Stdio::piped())
            .spawn()
            .context("can't start parec")?;
        let mut pipe = child.stdout.take().context("it was asked for")?;
        let tape = Arc::new(Tape::default());
        let filled = Arc::clone(&tape);
        let thread = thread::spawn(move || {
            let mut block = vec![0; channels * 4 * 240];
            while pipe.read_exact(&mut block).is_ok() {
                let sound = block
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|bytes| f32::from_le_bytes(*bytes));
                let mut tape = filled.lock();
                tape.extend(sound);
                drop(tape);
                filled.grown.notify_all();
            }
        });
        let mut recorder = Recorder {
            child,
            tape,
            people: self.people,
            thread: Some(thread),
            at: 0,
        };
        recorder.next(0.005)?;
        Ok(recorder)
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }
}

fn channel_map(people: usize) -> String {
    let names: Vec<String> = (0..2 * people).map(|n| format!("aux{n}")).collect();
    names.join(",")
}

/// Without `norewinds` a sink of nothing sleeps for two seconds at a time, and a stream that starts
/// meanwhile waits for it.
fn modules(people: usize) -> Vec<String> {
    let mut modules = vec![format!(
        "module-null-sink sink_name=bus rate={RATE} format=float32le channels={} channel_map={} norewinds=1",
        2 * people,
        channel_map(people),
    )];
    let remap = |kind: &str, name: String, master: &str, channel: usize| {
        format!(
            "module-remap-{kind} {kind}_name={name} master={master} channels=1 channel_map=mono \
             master_channel_map=aux{channel} remix=no {kind}_properties=device.description={name}"
        )
    };
    for person in 0..people {
        let (mouth, ear) = (2 * person, 2 * person + 1);
        modules.extend([
            remap("sink", format!("into-{person}"), "bus", mouth),
            remap("source", format!("mic-{person}"), "bus.monitor", mouth),
            remap("sink", format!("speaker-{person}"), "bus", ear),
            remap("source", format!("ear-{person}"), "bus.monitor", ear),
        ]);
    }
    modules
}

/// What has been recorded so far, interleaved.
#[derive(Debug, Default)]
struct Tape {
    sound: Mutex<Vec<f32>>,
    grown: Condvar,
}

impl Tape {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<f32>> {
        self.sound.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records everybody until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    child: Child,
    tape: Arc<Tape>,
    people: usize,
    thread: Option<JoinHandle<()>>,
    /// Samples of each channel that have been handed out.
    at: usize,
}

impl Recorder {
    /// Leaves out what has been recorded so far and was not asked for.
    pub fn skip(&mut self) {
        self.at = self.tape.lock().len() / (2 * self.people);
    }

    /// How many seconds have been handed out or left out.
    pub fn position(&self) -> f64 {
        self.at as f64 / f64::from(RATE)
    }

    /// The next so many seconds, once they have been recorded.
    ///
    /// # Errors
    /// When the sound stands still for longer than [`GUARD`].
    pub fn next(&mut self, seconds: f64) -> Result<Recording> {
        let channels = 2 * self.people;
        let count = (seconds * f64::from(RATE)).round() as usize;
        let wanted = (self.at + count) * channels;
        let mut tape = self.tape.lock();
        while tape.len() < wanted {
            let had = tape.len();
            let (grown, waited) = self
                .tape
                .grown
                .wait_timeout(tape, GUARD)
                .unwrap_or_else(PoisonError::into_inner);
            tape = grown;
            ensure!(
                !waited.timed_out() || tape.len() > had,
                "the sound stands still after {had} samples"
            );
        }
        let sound = &tape[self.at * channels..wanted];
        let lines = (0..channels)
            .map(|channel| {
                sound
                    .iter()
                    .skip(channel)
                    .step_by(channels)
                    .copied()
                    .collect()
            })
            .collect();
        self.at += count;
        Ok(Recording { lines })
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What everybody's microphone heard and everybody's loudspeaker played, all of one moment in one place.
#[derive(Clone, Debug)]
pub struct Recording {
    lines: Vec<Vec<f32>>,
}

impl Recording {
    /// What somebody's microphone heard.
    pub fn microphone(&self, person: usize) -> &[f32] {
        &self.lines[2 * person]
    }

    /// What somebody's loudspeaker played.
    pub fn loudspeaker(&self, person: usize) -> &[f32] {
        &self.lines[2 * person + 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sound::{self, samples, synthetic_speech};

    #[test]
    fn each_hears_what_is_said_to_them_and_their_own_echo() {
        let pulse = Pulse::start(3).unwrap();
        let said = synthetic_speech(5, samples(9.3));
        let _speaks = pulse.play_always(0, said.clone()).unwrap();
        let _sounds = pulse.server.play("speaker-1", &said, true).unwrap();
        pulse.echo(1, 60, 12.0).unwrap();
        let mut recorder = pulse.record().unwrap();
        // It takes a while until all of them have started.
        let echoed = (0..20).any(|_| {
            let take = recorder.next(1.0).unwrap();
            let (played, heard) = (take.loudspeaker(1), take.microphone(1));
            sound::find(played, heard, samples(0.5)).is_certain()
        });
        assert!(echoed, "the microphone never hears the loudspeaker");
        let take = recorder.next(2.0).unwrap();
        assert!(sound::dbfs(take.microphone(0)) > -50.0);
        for silent in [take.loudspeaker(0), take.microphone(2), take.loudspeaker(2)] {
            assert_eq!(sound::dbfs(silent), -120.0);
        }
        let (played, heard) = (take.loudspeaker(1), take.microphone(1));
        let echo = sound::find(played, heard, samples(0.5));
        assert!(echo.is_certain() && echo.delay_ms() > 10.0, "{echo:?}");
        let gain = sound::gain_db(played, heard, echo.delay);
        assert!((gain + 12.0).abs() < 1.0, "{gain} dB");
    }
}
