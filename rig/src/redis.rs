//! A Redis, as whoever runs several relays would run it, but with nothing on disk.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use anyhow::{Context, Result};

use crate::{ports, process::Process};

/// A running Redis, killed when dropped.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    address: SocketAddr,
    folder: PathBuf,
    flags: Vec<String>,
}

impl Redis {
    /// Starts one on a free port of this computer.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn start(flags: &[&str]) -> Result<Self> {
        let folder = folder()?;
        let address = ports::free()?;
        let flags: Vec<_> = flags.iter().map(|&flag| flag.to_owned()).collect();
        let process = run(address, &folder, &flags)?;
        Ok(Self {
            process,
            address,
            folder,
            flags,
        })
    }

    /// Starts one that speaks TLS only, with a certificate of its own for its address and the name
    /// `redis`; that file is what has to be trusted for it.
    ///
    /// # Errors
    /// When it doesn't start.
    #[cfg(target_os = "linux")]
    pub fn start_tls() -> Result<(Self, PathBuf)> {
        let folder = folder()?;
        let address = ports::free()?;
        let names = vec![address.ip().to_string(), "redis".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).context("making a certificate")?;
        let [certificate, key] = [
            ("CERTIFICATE", made.cert.der().to_vec()),
            ("PRIVATE KEY", made.signing_key.serialize_der()),
        ]
        .map(|(kind, der)| {
            let text = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, der);
            let file = folder.join(kind.replace(' ', "-").to_lowercase());
            let pem = format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n");
            fs::write(&file, pem).map(|()| file)
        });
        let (certificate, key) = (certificate?, key?);
        let flags = [
            ("--port", "0".to_owned()),
            ("--tls-port", address.port().to_string()),
            ("--tls-cert-file", certificate.display().to_string()),
            ("--tls-key-file", key.display().to_string()),
            ("--tls-auth-clients", "no".to_owned()),
        ];
        let flags = flags.map(|(flag, value)| [flag.to_owned(), value]);
        let flags = flags.concat();
        let process = run(address, &folder, &flags)?;
        let redis = Self {
            process,
            address,
            folder,
            flags,
        };
        Ok((redis, certificate))
    }

    /// Starts a sentinel that watches `master` under this name, and on its own makes a replica of it
    /// the master when it is gone.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn start_sentinel(service: &str, master: &Redis) -> Result<Self> {
        let (ip, port) = (master.address.ip(), master.address.port());
        let settings = format!(
            "sentinel monitor {service} {ip} {port} 1\n\
             sentinel down-after-milliseconds {service} 500\n\
             sentinel failover-timeout {service} 5000\n"
        );
        let folder = folder()?;
        // A sentinel writes into its settings what it finds out.
        let file = folder.join("sentinel.conf");
        fs::write(&file, settings).context("can't write a sentinel's settings")?;
        let address = ports::free()?;
        let flags = vec!["--sentinel".to_owned()];
        let mut command = Command::new("redis-server");
        command
            .current_dir(&folder)
            .arg(&file)
            .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
            .args(&flags);
        let process = started(&mut command, "+monitor master")?;
        Ok(Self {
            process,
            address,
            folder,
            flags,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// `redis://…`
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Ends it without a chance to say good-bye, and everything that it knew.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Holds it up: its connections stay, and nothing is answered any more.
    ///
    /// # Errors
    /// When it has ended.
    #[cfg(target_os = "linux")]
    pub fn pause(&self) -> Result<()> {
        self.process.signal(rustix::process::Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it has ended.
    #[cfg(target_os = "linux")]
    pub fn resume(&self) -> Result<()> {
        self.process.signal(rustix::process::Signal::CONT)
    }

    /// Starts it again where it was.
    ///
    /// # Errors
    /// When it doesn't start.
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        self.process = run(self.address, &self.folder, &self.flags)?;
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.process.kill();
        // The system clears it away otherwise.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A new folder.
fn folder() -> Result<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Relaxed);
    let name = format!("neartalk-redis-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir_all(&folder).context("can't make a folder for Redis")?;
    Ok(folder)
}

fn run(address: SocketAddr, folder: &Path, flags: &[String]) -> Result<Process> {
    let mut command = Command::new("redis-server");
    command
        .current_dir(folder)
        .args(["--bind", "127.0.0.1"])
        .args(["--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "no", "--daemonize", "no"])
        .args(flags);
    started(&mut command, "Ready to accept connections")
}

/// Starts a server, and waits until it says that it is ready.
fn started(command: &mut Command, ready: &str) -> Result<Process> {
    let mut process = Process::start(command)
        .context("the tests need Redis; install the package redis-server")?;
    process.wait_for("Redis's listener", |line| {
        line.contains(ready).then_some(())
    })?;
    Ok(process)
}
