//! A TURN server: coturn, as whoever runs a relay would run it. And coturn's own client, for any server.

use std::{
    env, fs,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::process::{GUARD, Process};

/// Where a server on the internet sends nothing to.
const PRIVATE: [&str; 3] = [
    "10.0.0.0-10.255.255.255",
    "172.16.0.0-172.31.255.255",
    "192.168.0.0-192.168.255.255",
];

/// A running coturn, which serves STUN as well, and whoever has a credential signed with its secret.
#[derive(Debug)]
pub struct TurnServer {
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
}

/// What came of asking for an address on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// One was given.
    Granted,
    /// None was, because of the name and credential.
    Refused,
}

impl TurnServer {
    /// Starts one on this computer.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn start(secret: &str) -> Result<Self> {
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        Self::run(Command::new("turnserver"), address, secret)
    }

    /// Starts one on this computer that does nothing beyond its work: it keeps no log of it, so
    /// [`TurnServer::allocations`] knows of none.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn start_for_load(secret: &str) -> Result<Self> {
        let address = UdpSocket::bind("127.0.0.1:0")?.local_addr()?;
        let ready = "DB connection success";
        Self::run_with(Command::new("turnserver"), address, secret, &[], ready)
    }

    /// Starts a command that becomes one, such as `turnserver` in a network of its own, at this address.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn run(command: Command, address: SocketAddr, secret: &str) -> Result<Self> {
        let ready = format!("UDP listener opened on: {address}");
        Self::run_with(command, address, secret, &["--verbose"], &ready)
    }

    fn run_with(
        mut command: Command,
        address: SocketAddr,
        secret: &str,
        flags: &[&str],
        ready: &str,
    ) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let folder = env::temp_dir().join(format!("neartalk-turn-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).context("can't make a folder for coturn")?;
        let ip = address.ip();
        command.args([
            "-n",
            "--log-file=stdout",
            "--simple-log",
            "--no-tcp",
            "--no-tls",
            "--no-dtls",
            "--no-cli",
            "--relay-threads=1",
            "--realm=neartalk.test",
            "--use-auth-secret",
        ]);
        command.args(flags);
        command.args([
            format!("--listening-ip={ip}"),
            format!("--relay-ip={ip}"),
            format!("--listening-port={}", address.port()),
            format!("--static-auth-secret={secret}"),
            format!("--pidfile={}", folder.join("pid").display()),
            format!("--userdb={}", folder.join("users").display()),
        ]);
        if ip.is_loopback() {
            command.arg("--allow-loopback-peers");
        } else {
            command.args(PRIVATE.map(|range| format!("--denied-peer-ip={range}")));
        }
        let process = Process::start(&mut command)
            .context("the tests need coturn; install the package coturn")?;
        let mut server = Self {
            process,
            address,
            folder,
        };
        server.process.wait_for("coturn's listener", |line| {
            line.contains(ready).then_some(())
        })?;
        Ok(server)
    }

    /// Where it listens, over UDP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// `stun:…`, for clients.
    pub fn stun_url(&self) -> String {
        format!("stun:{}", self.address)
    }

    /// `turn:…`, for clients and relays.
    pub fn turn_url(&self) -> String {
        format!("turn:{}", self.address)
    }

    /// Asks it for an address, as a client with this name and credential would.
    ///
    /// # Errors
    /// As of [`allocate`].
    pub fn allocate(&self, username: &str, credential: &str) -> Result<Allocation> {
        allocate(self.address, username, credential)
    }

    /// What it has logged so far, for whoever looks why something went wrong.
    pub fn log(&self) -> String {
        self.process.printed()
    }

    /// How many addresses it has given out so far.
    pub fn allocations(&self) -> usize {
        let log = self.log();
        log.matches("ALLOCATE processed, success").count()
    }
}

/// Asks a server for an address, as a client with this name and credential would.
///
/// # Errors
/// When it doesn't answer, or the client that asks (from coturn's package) can't be started.
pub fn allocate(server: SocketAddr, username: &str, credential: &str) -> Result<Allocation> {
    let mut client = client(server, username, credential);
    let mut client = Process::start(client.args(["-v", "-n", "1", "-m", "1"]).arg(host(server)))?;
    let until = Instant::now() + GUARD;
    loop {
        match client.line(until) {
            Ok(Some(line)) if line.contains("Received relay addr") => {
                return Ok(Allocation::Granted);
            }
            Ok(Some(_)) => {}
            Ok(None) => bail!("the server doesn't answer:\n{}", client.printed()),
            Err(_) if client.printed().contains("Cannot complete Allocation") => {
                return Ok(Allocation::Refused);
            }
            Err(e) => return Err(e),
        }
    }
}

/// What came of sending through a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Packets that were sent.
    pub sent: u64,
    /// Packets that arrived.
    pub received: u64,
}

/// Has so many clients with this name and credential, in pairs, send each other so many packets of 100
/// bytes through a server, one in 20 ms each: from relayed address to relayed address.
///
/// # Errors
/// When they can't be started, or don't end.
pub fn exchange(
    server: SocketAddr,
    (username, credential): (&str, &str),
    clients: u32,
    packets: u32,
) -> Result<Exchange> {
    let mut client = client(server, username, credential);
    client.args(["-n", &packets.to_string(), "-m", &clients.to_string()]);
    let mut client = Process::start(client.arg(host(server)))?;
    client.wait_for("what was sent and has arrived", |line| {
        let number = |name: &str| {
            let rest = line.split_once(name)?.1;
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        };
        // As long as it goes on it says how many clients there are (msz), too.
        let is_last = !line.contains("msz=");
        let sent = number("tot_send_msgs=").filter(|_| is_last)?;
        let received = number("tot_recv_msgs=")?;
        Some(Exchange { sent, received })
    })
}

fn client(server: SocketAddr, username: &str, credential: &str) -> Command {
    let mut client = Command::new("turnutils_uclient");
    // From client to client, one connection each.
    client.args(["-c", "-y", "-u", username, "-w", credential]);
    client.args(["-p", &server.port().to_string()]);
    client
}

fn host(server: SocketAddr) -> String {
    server.ip().to_string()
}

impl Drop for TurnServer {
    fn drop(&mut self) {
        self.process.kill();
        // Whatever is left there harms nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_gets_nothing() {
        let server = TurnServer::start("hush").unwrap();
        let allocated = server.allocate("4102444800:somebody", "Zm9vYmFy").unwrap();
        assert_eq!(allocated, Allocation::Refused);
        assert_eq!(server.allocations(), 0);
    }
}
