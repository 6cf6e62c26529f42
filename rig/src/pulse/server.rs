//! A sound server of one's own, whatever devices it has.

use std::{
    fs,
    io::Write,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::process::GUARD;

/// A PulseAudio that ends with the value.
#[derive(Debug)]
pub struct Server {
    child: Child,
    folder: PathBuf,
}

impl Server {
    /// Starts one whose files are in `folder`, with these modules.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn start<M: AsRef<str>>(folder: &Path, modules: &[M]) -> Result<Self> {
        // Nobody is asked for it, but no cookie has another length.
        fs::write(folder.join("cookie"), [0; 256])?;
        let socket = folder.join("native");
        let _ = fs::remove_file(&socket);
        let mut command = Command::new("pulseaudio");
        command.args([
            "-n",
            "--daemonize=no",
            "--use-pid-file=no",
            "--disable-shm=yes",
            "--realtime=no",
            "--high-priority=no",
            "--exit-idle-time=-1",
            "--log-level=error",
        ]);
        for module in modules {
            command.args(["-L", module.as_ref()]);
        }
        // Last: when it answers, the devices are there.
        let protocol = "module-native-protocol-unix auth-anonymous=1 socket=";
        command.args(["-L", &format!("{protocol}{}", socket.display())]);
        environment(&mut command, folder);
        command.env_remove("PULSE_SERVER");
        command.env("PULSE_STATE_PATH", folder);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command
            .spawn()
            .context("can't start pulseaudio (`cargo xtask test --yes` installs it)")?;
        let mut server = Self {
            child,
            folder: folder.to_owned(),
        };
        let started = Instant::now();
        // It has no way to tell that it is ready but to answer.
        while UnixStream::connect(&socket).is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("PulseAudio has ended ({status})");
            }
            ensure!(started.elapsed() < GUARD, "PulseAudio does not answer");
            thread::park_timeout(Duration::from_millis(10));
        }
        Ok(server)
    }

    /// Lets a program use the server whose files are in `folder`, which may have yet to be started.
    pub fn equip(folder: &Path, command: &mut Command) {
        environment(command, folder);
        command.env("PULSE_SERVER", address(folder));
    }

    /// What to hand to PulseAudio's programs and library to reach this server.
    pub fn address(&self) -> String {
        address(&self.folder)
    }

    /// One of PulseAudio's own programs.
    pub fn tool(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        Self::equip(&self.folder, &mut command);
        command
    }

    /// `pactl`, and what it prints.
    ///
    /// # Errors
    /// When it fails.
    pub fn control(&self, arguments: &[&str]) -> Result<String> {
        let output = self
            .tool("pactl")
            .args(arguments)
            .output()
            .context("can't start pactl")?;
        ensure!(output.status.success(), "pactl {arguments:?}: {output:?}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Holds it up for so long, as a machine does that is busy elsewhere.
    ///
    /// # Errors
    /// When it is gone.
    pub fn hold_up(&self, how_long: Duration) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP)?;
        let until = Instant::now() + how_long;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
        kill_process(pid, Signal::CONT)?;
        Ok(())
    }

    /// Adds a device; the index of its module.
    ///
    /// # Errors
    /// As [`Self::control`].
    pub fn load(&self, module: &str) -> Result<String> {
        let words: Vec<&str> = module.split_whitespace().collect();
        self.control(&[&["load-module"], &words[..]].concat())
    }

    /// Plays a sound to a sink, once or until the value is dropped.
    ///
    /// # Errors
    /// When `pacat` can't be started.
    pub fn play(&self, sink: &str, sound: &[f32], always: bool) -> Result<Player> {
        let mut child = self
            .tool("pacat")
            .args(["--playback", "--raw", "--format=float32le", "--rate=48000"])
            .args(["--channels=1", "--latency-msec=20", "--device", sink])
            .stdin(Stdio::piped())
            .spawn()
            .context("can't start pacat")?;
        let mut pipe = child.stdin.take().context("it was asked for")?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let bytes: Vec<u8> = sound.iter().flat_map(|x| x.to_le_bytes()).collect();
        let thread = thread::spawn(move || {
            while !stopped.load(Relaxed) && pipe.write_all(&bytes).is_ok() && always {}
        });
        Ok(Player {
            child,
            stop,
            thread: Some(thread),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address(folder: &Path) -> String {
    format!("unix:{}", folder.join("native").display())
}

/// Not a device of the machine's, and no setting of the user's, whatever happens.
fn environment(command: &mut Command, folder: &Path) {
    command.env("ALSA_CONFIG_PATH", "/dev/null");
    for name in ["PULSE_RUNTIME_PATH", "XDG_RUNTIME_DIR", "HOME"] {
        command.env(name, folder);
    }
    command.env_remove("XDG_CONFIG_HOME");
    command.env("PULSE_COOKIE", folder.join("cookie"));
}

/// Plays until it is dropped, or to its end.
#[derive(Debug)]
pub struct Player {
    child: Child,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Player {
    /// Waits until all has been played.
    pub fn finish(mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = self.child.wait();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
