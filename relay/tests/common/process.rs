//! The relay's process.

use std::{
    io::{BufRead, BufReader, Read},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use neartalk_shared::http::StoreKind;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;

use super::{Api, GUARD, Metrics, within};

/// Whether the relays of these tests have a Redis behind them.
const ON_REDIS: bool = matches!(env!("CARGO_CRATE_NAME").as_bytes(), b"on_redis");

/// What a relay that is [started](Relay::start) says of where it keeps everything.
pub const STORE: StoreKind = if ON_REDIS {
    StoreKind::Redis
} else {
    StoreKind::Memory
};

/// Any free port of this computer.
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A running relay binary; killed when dropped.
pub struct Relay {
    process: Process,
    /// The Redis behind it, if it has one of its own.
    #[cfg(target_os = "linux")]
    redis: Option<neartalk_rig::redis::Redis>,
    flags: Vec<String>,
    env: Vec<(String, String)>,
    /// Where it listens.
    pub address: SocketAddr,
    /// `http://…` of its admin listener.
    pub admin: String,
}

impl Relay {
    /// Starts a relay with these flags, and waits until it listens.
    pub fn start(flags: &[&str]) -> Self {
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        #[cfg(target_os = "linux")]
        if ON_REDIS {
            let redis = neartalk_rig::redis::Redis::start(&[]).unwrap();
            let flags = [flags, vec!["--redis-url".to_owned(), redis.url()]].concat();
            let relay = Self::start_on(HERE, flags, Vec::new());
            return Self {
                redis: Some(redis),
                ..relay
            };
        }
        Self::start_on(HERE, flags, Vec::new())
    }

    /// Starts a relay that shares a Redis with others.
    pub fn start_with(redis_url: &str, flags: &[&str]) -> Self {
        Self::start_with_env(redis_url, flags, &[])
    }

    /// The same, with these environment variables.
    pub fn start_with_env(redis_url: &str, flags: &[&str], env: &[(&str, &str)]) -> Self {
        let flags = [&["--redis-url", redis_url], flags].concat();
        let flags = flags.into_iter().map(str::to_owned).collect();
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        let env = env.iter().map(own).collect();
        Self::start_on(HERE, flags, env)
    }

    /// The same, at an address of the network that this thread is in.
    pub fn start_at(ip: IpAddr, redis_url: &str, flags: &[&str]) -> Self {
        let flags = [&["--redis-url", redis_url], flags].concat();
        let flags = flags.into_iter().map(str::to_owned).collect();
        Self::start_on(SocketAddr::new(ip, 0), flags, Vec::new())
    }

    fn start_on(listen: SocketAddr, flags: Vec<String>, env: Vec<(String, String)>) -> Self {
        let admin = SocketAddr::new(listen.ip(), 0).to_string();
        let listen = listen.to_string();
        let mut args = vec!["--listen", &listen, "--admin-listen", &admin];
        args.extend(flags.iter().map(String::as_str));
        let set: Vec<_> = env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let (process, lines) = Process::spawn(&args, &set);
        let (mut public, mut admin) = (None, None);
        while public.is_none() || admin.is_none() {
            let Ok(line) = lines.recv_timeout(GUARD) else {
                panic!(
                    "the relay did not say where it listens:\n{}",
                    process.output()
                );
            };
            if let Some(url) = line.strip_prefix("listening on http://") {
                public = url.parse().ok();
            } else if let Some(url) = line.strip_prefix("admin on ") {
                admin = Some(url.to_owned());
            }
        }
        Self {
            process,
            #[cfg(target_os = "linux")]
            redis: None,
            flags,
            env,
            address: public.expect("the loop ends when there is one"),
            admin: admin.expect("the loop ends when there is one"),
        }
    }

    /// Starts a relay that is expected to give up by itself, with these flags and environment
    /// variables; what it printed, and how it ended.
    pub async fn run_to_end(flags: &[&str], env: &[(&str, &str)]) -> (ExitStatus, String) {
        let (mut process, _lines) = Process::spawn(flags, env);
        let status = process.wait().await;
        (status, process.output())
    }

    /// `http://…` of the public listener.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of its HTTP API.
    pub fn api(&self) -> Api {
        Api::new(self.url())
    }

    /// What the admin listener's `/metrics` says now.
    pub async fn metrics(&self) -> Metrics {
        Metrics::read(&self.admin_api()).await
    }

    /// A client of the admin listener.
    pub fn admin_api(&self) -> Api {
        Api::new(self.admin.clone())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// Bytes of memory that are in use and resident now.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let kib = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|value| value.trim().strip_suffix(" kB"))
            .expect("Linux says how much memory a process uses");
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Everything that it has printed and logged so far.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) {
        self.process.signal(Signal::TERM);
    }

    /// Holds it up (SIGSTOP), as a machine does that is busy elsewhere.
    pub fn pause(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.process.signal(Signal::CONT);
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        self.process.wait().await
    }

    /// Kills it without a chance to say good-bye (SIGKILL), and waits until it is dead.
    pub async fn kill9(&mut self) {
        self.process.signal(Signal::KILL);
        self.wait().await;
    }

    /// Starts a new relay where this one was, which must have ended.
    pub fn restart_on_same_port(&mut self) {
        let (flags, env) = (
            std::mem::take(&mut self.flags),
            std::mem::take(&mut self.env),
        );
        *self = Self::start_on(self.address, flags, env);
    }
}

struct Process {
    child: Child,
    output: Arc<Mutex<String>>,
    ended: watch::Receiver<bool>,
}

impl Process {
    /// Runs the binary; the receiver gets each line of its standard output.
    fn spawn(args: &[&str], env: &[(&str, &str)]) -> (Self, mpsc::Receiver<String>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_neartalk-relay"))
            .args(args)
            // The settings of whoever runs the tests are not the tests'.
            .env_clear()
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let (to_line, lines) = mpsc::channel();
        let (to_end, ended) = watch::channel(false);
        let stderr = child.stderr.take().unwrap();
        let errors = follow(stderr, Arc::clone(&output), |_| ());
        let stdout = child.stdout.take().unwrap();
        let printed = follow(stdout, Arc::clone(&output), move |line| {
            // Nobody listens any more once the relay has said where it does.
            let _ = to_line.send(line.to_owned());
        });
        thread::spawn(move || {
            // A process that ends closes both.
            let _ = errors.join();
            let _ = printed.join();
            to_end.send_replace(true);
        });
        let process = Self {
            child,
            output,
            ended,
        };
        (process, lines)
    }

    fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    async fn wait(&mut self) -> ExitStatus {
        within("the relay's end", self.ended.wait_for(|ended| *ended))
            .await
            .unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines until the end, on a thread of its own, so that a full pipe never holds up the relay.
fn follow(
    pipe: impl Read + Send + 'static,
    output: Arc<Mutex<String>>,
    mut each: impl FnMut(&str) + Send + 'static,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            each(&line);
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    })
}
