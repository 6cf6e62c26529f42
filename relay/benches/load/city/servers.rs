//! The servers that are measured, each started afresh on the server's core.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use neartalk_rig::{
    process::{Process, cpu_time},
    redis::Redis,
};
use tempfile::TempDir;

use crate::{
    Setup,
    relay::{Relay, rss},
};

/// How long a server may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Limits of the relay that people who do nothing but talk and walk must not run into.
const WALKS: [&str; 4] = ["--location-interval", "5s", "--location-burst", "10"];

/// What is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// So many relays, which share a Redis when they are several or are to.
    NearTalk { nodes: usize, redis: bool },
    /// nats-server with its WebSocket listener.
    Nats,
    /// mosquitto with its TCP listener, the fastest that it has.
    Mosquitto,
    /// Node.js with socket.io, and a Redis that knows who is where.
    SocketIo,
}

/// One server with all that it needs; ended when dropped.
pub struct Servers {
    /// Where clients connect.
    pub addresses: Vec<SocketAddr>,
    relays: Vec<Relay>,
    others: Vec<Process>,
    redis: Option<Redis>,
    /// Settings.
    _folder: TempDir,
}

impl Servers {
    /// Starts them and waits until they listen.
    pub fn start(setup: &Setup, kind: Kind) -> Result<Self> {
        let mut servers = Self {
            addresses: Vec::new(),
            relays: Vec::new(),
            others: Vec::new(),
            redis: None,
            _folder: tempfile::tempdir()?,
        };
        match kind {
            Kind::NearTalk { nodes, redis } => servers.start_relays(setup, nodes, redis)?,
            Kind::Nats => servers.start_nats(setup)?,
            Kind::Mosquitto => servers.start_mosquitto(setup)?,
            Kind::SocketIo => servers.start_socketio(setup)?,
        }
        Ok(servers)
    }

    fn start_relays(&mut self, setup: &Setup, nodes: usize, redis: bool) -> Result<()> {
        let mut flags: Vec<String> = WALKS.map(str::to_owned).into();
        if redis {
            flags.extend(["--redis-url".into(), self.start_redis(setup)?]);
        }
        for _ in 0..nodes {
            let relay = setup.start_relay_with(&flags)?;
            self.addresses.push(relay.address);
            self.relays.push(relay);
        }
        Ok(())
    }

    fn start_redis(&mut self, setup: &Setup) -> Result<String> {
        let redis = setup.cores.beside_relay(|| Redis::start(&[]))?;
        let url = redis.url();
        self.redis = Some(redis);
        Ok(url)
    }

    fn start_nats(&mut self, setup: &Setup) -> Result<()> {
        let (own, websocket) = (free_port()?, free_port()?);
        let settings = self._folder.path().join("nats.conf");
        fs::write(
            &settings,
            format!(
                "host: 127.0.0.1\nport: {}\nmax_connections: 65536\nwebsocket {{\n  host: 127.0.0.1\n  port: {}\n  no_tls: true\n}}\n",
                own.port(),
                websocket.port()
            ),
        )?;
        let mut command = Command::new("nats-server");
        self.run(setup, command.arg("-c").arg(settings), websocket)
    }

    fn start_mosquitto(&mut self, setup: &Setup) -> Result<()> {
        let address = free_port()?;
        let settings = self._folder.path().join("mosquitto.conf");
        fs::write(
            &settings,
            format!(
                "listener {} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\nlog_type error\n",
                address.port()
            ),
        )?;
        let mut command = Command::new("mosquitto");
        self.run(setup, command.arg("-c").arg(settings), address)
    }

    fn start_socketio(&mut self, setup: &Setup) -> Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/load/socketio");
        ensure!(
            folder.join("node_modules/socket.io").is_dir(),
            "socket.io is not there; `cargo xtask bench city` fetches it, or `npm ci` in {}",
            folder.display()
        );
        let redis = self.start_redis(setup)?;
        let address = free_port()?;
        let mut command = Command::new("node");
        command.arg(folder.join("server.mjs"));
        command.args([&address.port().to_string(), &redis]);
        self.run(setup, &mut command, address)
    }

    /// Starts a program, which will listen there.
    fn run(&mut self, setup: &Setup, command: &mut Command, address: SocketAddr) -> Result<()> {
        let process = setup.cores.beside_relay(|| {
            Process::start(command).context("`cargo xtask bench city` installs what this needs")
        })?;
        let started = Instant::now();
        while TcpStream::connect(address).is_err() {
            ensure!(
                started.elapsed() < PATIENCE,
                "{} does not listen after {PATIENCE:?}; it printed:\n{}",
                command.get_program().display(),
                process.printed()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        self.others.push(process);
        self.addresses.push(address);
        Ok(())
    }

    fn pids(&self) -> impl Iterator<Item = u32> {
        let relays = self.relays.iter().map(Relay::pid);
        relays.chain(self.others.iter().map(Process::pid))
    }

    /// Processor time used so far, in seconds: of all together, and of Redis.
    pub fn cpu_seconds(&self) -> Result<(f64, f64)> {
        let mut all = 0.0;
        for pid in self.pids() {
            all += cpu_time(pid)?.as_secs_f64();
        }
        let redis = match &self.redis {
            Some(redis) => cpu_time(redis.pid())?.as_secs_f64(),
            None => 0.0,
        };
        Ok((all + redis, redis))
    }

    /// Resident memory of all together, in bytes.
    pub fn rss(&self) -> Result<u64> {
        let redis = self.redis.as_ref().map(Redis::pid);
        self.pids().chain(redis).map(rss).sum()
    }

    /// Ends them. A relay that does not end well is an error.
    pub fn stop(mut self) -> Result<()> {
        self.relays.drain(..).try_for_each(Relay::stop)
    }
}

/// These servers take no port 0. Whoever takes this one in between makes the start fail.
fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
