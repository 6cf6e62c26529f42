//! Programs that end with the value that stands for them, and whose lines can be waited for.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

#[cfg(target_os = "linux")]
use anyhow::ensure;
use anyhow::{Context, Result, anyhow, bail};

/// Whatever waits longer than this waits in vain.
pub const GUARD: Duration = Duration::from_secs(30);

/// What a program has printed is kept up to here, for whoever looks why something went wrong.
const KEPT: usize = 4_000_000;

/// A running program, killed when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    printed: Arc<Mutex<String>>,
}

impl Process {
    /// Starts it.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("can't start {name}"))?;
        let printed = Arc::new(Mutex::new(String::new()));
        let (to_line, lines) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            follow(stdout, Arc::clone(&printed), move |line| {
                // Nobody may listen any more.
                let _ = to_line.send(line);
            });
        }
        if let Some(stderr) = child.stderr.take() {
            follow(stderr, Arc::clone(&printed), |_| ());
        }
        Ok(Self {
            name,
            stdin: child.stdin.take(),
            child,
            lines,
            printed,
        })
    }

    /// Its process id. A program started through another (`ip netns exec`) has this id too, as that one
    /// becomes it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    ///
    /// # Errors
    /// When it doesn't read any more.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self.stdin.as_mut().context("its input is closed")?;
        writeln!(stdin, "{line}")
            .and_then(|()| stdin.flush())
            .with_context(|| {
                format!(
                    "{} reads no more; it printed:\n{}",
                    self.name,
                    self.printed()
                )
            })
    }

    /// The next line that it prints, or none if the time is up first.
    ///
    /// # Errors
    /// When it has ended.
    pub fn line(&mut self, until: Instant) -> Result<Option<String>> {
        match self
            .lines
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            Ok(line) => Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.child.wait();
                Err(anyhow!(
                    "{} has ended ({status:?}); it printed:\n{}",
                    self.name,
                    self.printed()
                ))
            }
        }
    }

    /// Waits for a line that `wanted` makes something of.
    ///
    /// # Errors
    /// When none comes within [`GUARD`], or it ends.
    pub fn wait_for<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let until = Instant::now() + GUARD;
        loop {
            match self.line(until)? {
                Some(line) => {
                    if let Some(found) = wanted(&line) {
                        return Ok(found);
                    }
                }
                None => bail!(
                    "waited in vain for {what} from {}; it printed:\n{}",
                    self.name,
                    self.printed()
                ),
            }
        }
    }

    /// What it has printed, errors among the rest.
    pub fn printed(&self) -> String {
        self.printed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Processor time that it has used, all threads together.
    ///
    /// # Errors
    /// When the system doesn't tell.
    #[cfg(target_os = "linux")]
    pub fn cpu_time(&self) -> Result<Duration> {
        cpu_time(self.pid())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it has ended.
    #[cfg(target_os = "linux")]
    pub fn signal(&self, signal: rustix::process::Signal) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        Ok(rustix::process::kill_process(pid, signal)?)
    }

    /// Asks it to end (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// When it can't be asked, does not end within [`GUARD`], or ends as if something had gone wrong.
    #[cfg(target_os = "linux")]
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(rustix::process::Signal::TERM)?;
        let until = Instant::now() + GUARD;
        loop {
            match self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
            {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!("{} does not end", self.name),
                // It says nothing any more.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let status = self.child.wait()?;
        ensure!(
            status.success(),
            "{} ended with {status}; it printed:\n{}",
            self.name,
            self.printed()
        );
        Ok(())
    }

    /// Ends it, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Processor time that a process has used, all threads together.
///
/// # Errors
/// When there is no such process.
#[cfg(target_os = "linux")]
pub fn cpu_time(pid: u32) -> Result<Duration> {
    // Linux counts these in hundredths of a second whatever its clock does.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // "pid (name) state …"; the name may hold anything.
    let rest = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |n: usize| -> Result<u32> { Ok(fields.get(n).context("too short")?.parse()?) };
    Ok(TICK * (ticks(11)? + ticks(12)?))
}

/// Reads lines until the end, on a thread of its own, so that a full pipe never holds up the program.
fn follow(
    pipe: impl Read + Send + 'static,
    printed: Arc<Mutex<String>>,
    mut each: impl FnMut(String) + Send + 'static,
) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            {
                let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
                if printed.len() < KEPT {
                    printed.push_str(&line);
                    printed.push('\n');
                }
            }
            each(line);
        }
    });
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Process {
        Process::start(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn lines_are_waited_for_in_order() {
        let mut process = sh("echo one; read line; echo two $line; echo three >&2; cat");
        let one = process.wait_for("one", |line| line.strip_prefix("on").map(str::to_owned));
        assert_eq!(one.unwrap(), "e");
        process.say("and a half").unwrap();
        process
            .wait_for("two", |line| (line == "two and a half").then_some(()))
            .unwrap();
    }

    #[test]
    fn an_early_end_is_told_with_what_was_printed() {
        let mut process = sh("echo out of paper; exit 3");
        let problem = process
            .wait_for("a page", |_| None::<()>)
            .unwrap_err()
            .to_string();
        assert!(
            problem.contains("has ended") && problem.contains("out of paper"),
            "{problem}"
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn processor_time_grows_with_work() {
        let mut process = sh("i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done; echo done; cat");
        process
            .wait_for("its end", |line| (line == "done").then_some(()))
            .unwrap();
        assert!(process.cpu_time().unwrap() >= Duration::from_millis(50));
    }
}
