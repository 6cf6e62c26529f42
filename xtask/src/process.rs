//! Child processes that never outlive this one.

use std::{
    io::{self, BufRead, BufReader},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// How often to look whether a child has ended or somebody wants to stop.
pub const POLL: Duration = Duration::from_millis(20);

/// How long a child may take to end by itself once it has been asked to.
const GRACE: Duration = Duration::from_secs(12);

/// Somebody has pressed Ctrl-C, or asked this process to end in another way.
#[derive(Clone)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on such a request no longer ends this process at once: it can stop its children
    /// first. To be called after the last question to the user, which Ctrl-C should end.
    pub fn listen() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
            for signal in [SIGINT, SIGTERM, SIGHUP] {
                signal_hook::flag::register(signal, Arc::clone(&flag))?;
            }
        }
        Ok(Self(flag))
    }

    /// One that never comes.
    #[cfg(test)]
    pub fn never() -> Self {
        Self(Arc::default())
    }

    /// Whether it has happened.
    pub fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What ends a child before it ends by itself.
#[derive(Clone)]
pub struct Guard {
    pub interrupt: Interrupt,
    pub deadline: Option<Instant>,
}

impl Guard {
    pub fn trips(&self) -> Option<Ended> {
        if self.interrupt.came() {
            Some(Ended::Interrupted)
        } else if self.deadline.is_some_and(|at| Instant::now() >= at) {
            Some(Ended::OutOfTime)
        } else {
            None
        }
    }
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Exited(ExitStatus),
    /// Stopped, because somebody asked this process to.
    Interrupted,
    /// Stopped, because the time was up.
    OutOfTime,
}

/// A running child. Dropping it ends it, and with it whatever it has started.
pub struct Process {
    child: Child,
    #[cfg_attr(not(unix), expect(dead_code, reason = "only Unix has such groups"))]
    owns_group: bool,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts a child with a process group of its own: a Ctrl-C at the terminal does not reach it,
    /// and its own children end with it.
    pub fn start(command: &mut Command) -> Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(command, 0);
        command.stdin(Stdio::null());
        Self::spawn(command, true)
    }

    /// Starts a child that has the terminal.
    pub fn start_in_foreground(command: &mut Command) -> Result<Self> {
        Self::spawn(command, false)
    }

    fn spawn(command: &mut Command, owns_group: bool) -> Result<Self> {
        let child = command
            .spawn()
            .with_context(|| format!("can't start {}", shown(command)))?;
        Ok(Self {
            child,
            owns_group,
            status: None,
        })
    }

    /// Starts such a child, and hands over what it prints, to whichever of its outputs, line by line.
    pub fn start_reading(mut command: Command) -> Result<(Self, Receiver<String>)> {
        let (reader, writer) = io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let process = Self::start(&mut command)?;
        // With the command goes this process's own end, or the pipe would never be at its end.
        drop(command);
        Ok((process, lines_of(reader)))
    }

    /// Its standard output line by line, for a child that was started with it piped.
    pub fn lines(&mut self) -> Result<Receiver<String>> {
        let stdout = self.child.stdout.take().context("stdout is not piped")?;
        Ok(lines_of(stdout))
    }

    /// How it ended, if it has. Whatever of its group is left then is ended too.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() && self.may_be_reaped()? {
            self.status = Some(self.child.wait()?);
        }
        Ok(self.status)
    }

    #[cfg(unix)]
    fn may_be_reaped(&self) -> Result<bool> {
        use rustix::process::{Signal, WaitId, WaitIdOptions, waitid};
        // Not reaped yet, so that no stranger can have taken over the group's number.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let over = loop {
            match waitid(WaitId::Pid(self.pid()), look) {
                Err(rustix::io::Errno::INTR) => {}
                other => break other?.is_some(),
            }
        };
        if over && self.owns_group {
            self.signal(Signal::KILL);
        }
        Ok(over)
    }

    #[cfg(not(unix))]
    fn may_be_reaped(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits until it ends, or stops it when the guard trips.
    pub fn wait(&mut self, guard: &Guard) -> Result<Ended> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(Ended::Exited(status));
            }
            if let Some(why) = guard.trips() {
                self.stop()?;
                return Ok(why);
            }
            thread::sleep(POLL);
        }
    }

    /// Waits for it to end by itself for at most `time`.
    pub fn wait_for(&mut self, time: Duration) -> Result<Option<ExitStatus>> {
        let until = Instant::now() + time;
        while self.ended()?.is_none() && Instant::now() < until {
            thread::sleep(POLL);
        }
        self.ended()
    }

    /// Asks it to end, and ends it when it does not.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        if self.ended()?.is_none() {
            #[cfg(unix)]
            self.signal(rustix::process::Signal::TERM);
            #[cfg(not(unix))]
            self.child.kill()?;
        }
        match self.wait_for(GRACE)? {
            Some(status) => Ok(status),
            None => self.kill(),
        }
    }

    fn kill(&mut self) -> Result<ExitStatus> {
        #[cfg(unix)]
        self.signal(rustix::process::Signal::KILL);
        #[cfg(not(unix))]
        self.child.kill()?;
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }

    #[cfg(unix)]
    fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// A child that is already gone needs no signal, so a failure means nothing.
    #[cfg(unix)]
    fn signal(&self, signal: rustix::process::Signal) {
        let _ = if self.owns_group {
            rustix::process::kill_process_group(self.pid(), signal)
        } else {
            rustix::process::kill_process(self.pid(), signal)
        };
    }
}

fn lines_of(output: impl io::Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::sync_channel(1_024);
    thread::spawn(move || {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        // A read error is the end of the output, as is a receiver that has gone.
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']).to_owned();
            if sender.send(text).is_err() {
                break;
            }
            line.clear();
        }
    });
    lines
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.ended(), Ok(Some(_))) {
            let _ = self.kill();
        }
    }
}

/// Runs a command to its end, showing what it prints.
pub fn run(command: &mut Command, guard: &Guard) -> Result<Ended> {
    Process::start(command)?.wait(guard)
}

/// Runs a command to its end and hands over each line of its standard output.
pub fn run_reading(
    command: &mut Command,
    guard: &Guard,
    mut on_line: impl FnMut(&str),
) -> Result<Ended> {
    let mut process = Process::start(command.stdout(Stdio::piped()))?;
    let lines = process.lines()?;
    let ended = loop {
        match lines.recv_timeout(POLL) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Disconnected) => break process.wait(guard)?,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(why) = guard.trips() {
            process.stop()?;
            break why;
        }
        if let Some(status) = process.ended()? {
            break Ended::Exited(status);
        }
    };
    read_rest(&lines, on_line);
    Ok(ended)
}

/// What was still in the pipe of a child that has ended. A stray that has left the group may hold it
/// open: that one is not waited for.
pub fn read_rest(lines: &Receiver<String>, mut on_line: impl FnMut(&str)) {
    while let Ok(line) = lines.recv_timeout(Duration::from_secs(2)) {
        on_line(&line);
    }
}

/// How the terminal was, to be so again: a client that is stopped may leave it raw.
pub struct Terminal {
    #[cfg(unix)]
    modes: Option<rustix::termios::Termios>,
}

impl Terminal {
    /// Remembers how it is now; dropping this brings that back.
    pub fn remember() -> Self {
        Self {
            #[cfg(unix)]
            modes: rustix::termios::tcgetattr(io::stdin()).ok(),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(modes) = &self.modes {
            use rustix::termios::{OptionalActions, tcsetattr};
            // A terminal that has gone needs no care.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
        }
    }
}

/// A command as one would type it.
pub fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut line = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    line
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn guard(deadline: Duration) -> Guard {
        Guard {
            interrupt: Interrupt::never(),
            deadline: Some(Instant::now() + deadline),
        }
    }

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn is_alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // "pid (name) state …"; one that nobody has reaped yet is dead all the same.
        stat.rsplit(')')
            .next()
            .is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
    }

    fn assert_dies(pid: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        while is_alive(pid) {
            assert!(Instant::now() < until, "{pid} is still alive");
            thread::yield_now();
        }
    }

    #[test]
    fn every_line_arrives_and_the_status_is_kept() {
        let mut lines = Vec::new();
        let ended = run_reading(
            &mut sh("echo one; echo two; printf three; exit 3"),
            &guard(Duration::from_secs(60)),
            |line| lines.push(line.to_owned()),
        )
        .unwrap();
        assert_eq!(lines, ["one", "two", "three"]);
        let Ended::Exited(status) = ended else {
            panic!("{ended:?}")
        };
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_a_child_leaves_running_ends_with_it() {
        let mut lines = Vec::new();
        run_reading(
            &mut sh("sleep 600 & echo $!"),
            &guard(Duration::from_secs(60)),
            |line| lines.push(line.to_owned()),
        )
        .unwrap();
        assert_dies(&lines[0]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_dropped_child_ends_with_all_its_own() {
        let mut process =
            Process::start(sh("sleep 600 & echo $!; wait").stdout(Stdio::piped())).unwrap();
        let grandchild = process.lines().unwrap().recv().unwrap();
        assert!(is_alive(&grandchild));
        let child = process.child.id().to_string();
        drop(process);
        assert_dies(&grandchild);
        assert_dies(&child);
    }

    #[test]
    fn a_child_that_runs_out_of_time_is_stopped() {
        let ended = run(&mut sh("sleep 600"), &guard(Duration::ZERO)).unwrap();
        assert_eq!(ended, Ended::OutOfTime);
    }

    #[test]
    fn an_interrupt_stops_the_child_first() {
        let guard = guard(Duration::from_secs(60));
        guard.interrupt.0.store(true, Ordering::Relaxed);
        let ended = run_reading(&mut sh("sleep 600"), &guard, |_| {}).unwrap();
        assert_eq!(ended, Ended::Interrupted);
    }
}
