//! A network that loses packets, as bad as one likes, the same way each time. Needs root.
//!
//! Each host is a network namespace with a TUN device, and this process carries packets between them
//! and this machine. Only UDP is lost or late: what is measured is sound, and not how a relay is reached.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    ffi::OsStr,
    net::Ipv4Addr,
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
        mpsc::{self, Receiver, RecvTimeoutError, Sender},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tun_rs::{DeviceBuilder, SyncDevice};

const MTU: u16 = 1_400;
const UDP: u8 = 17;

/// Which packets are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// None.
    #[default]
    None,
    /// This share of them, 0 to 1, each for itself.
    Random(f64),
    /// This share of them, in bursts of so many on average (a Gilbert model).
    Bursts {
        /// 0 to 1.
        share: f64,
        /// At least 1.
        mean: f64,
    },
}

/// What the network is like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// What is lost.
    pub loss: Loss,
    /// How long a packet takes at least.
    pub delay: Duration,
    /// How much longer it may take, evenly.
    pub jitter: Duration,
}

/// How many UDP packets there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that arrived.
    pub carried: u64,
    /// Those that did not.
    pub lost: u64,
}

/// Decides about the packets of one way from one host to another.
#[derive(Debug)]
struct Way {
    rng: SmallRng,
    in_burst: bool,
}

impl Way {
    fn new(seed: u64) -> Self {
        Self {
            rng: SmallRng::seed_from_u64(seed),
            in_burst: false,
        }
    }

    fn loses(&mut self, loss: Loss) -> bool {
        match loss {
            Loss::None => false,
            Loss::Random(share) => self.rng.random_bool(share),
            Loss::Bursts { share, mean } => {
                let leave = 1.0 / mean.max(1.0);
                let enter = (leave * share / (1.0 - share)).min(1.0);
                let change = if self.in_burst { leave } else { enter };
                self.in_burst ^= self.rng.random_bool(change);
                self.in_burst
            }
        }
    }

    fn takes(&mut self, conditions: &Conditions) -> Duration {
        conditions.delay + conditions.jitter.mul_f64(self.rng.random_range(0.0..1.0))
    }
}

/// A packet on its way.
struct Late {
    due: Instant,
    number: u64,
    to: usize,
    packet: Vec<u8>,
}

impl PartialEq for Late {
    fn eq(&self, other: &Self) -> bool {
        (self.due, self.number) == (other.due, other.number)
    }
}
impl Eq for Late {}
impl PartialOrd for Late {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Late {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.number).cmp(&(other.due, other.number))
    }
}

#[derive(Debug, Default)]
struct State {
    conditions: Conditions,
    counts: Counts,
    ways: BTreeMap<(usize, usize), Way>,
}

/// Hosts and what is between them. Everything is gone when it is dropped.
#[derive(Debug)]
pub struct LossyNetwork {
    namespaces: Vec<String>,
    /// Of each host, and of this machine.
    devices: Vec<String>,
    subnet: u8,
    state: Arc<Mutex<State>>,
    threads: Vec<JoinHandle<()>>,
}

impl LossyNetwork {
    /// So many hosts, between which nothing is lost yet. What is lost later follows from `seed`.
    ///
    /// # Errors
    /// Without root's rights, or without TUN devices or `ip`.
    pub fn new(hosts: usize, seed: u64) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        ensure!((1..=250).contains(&hosts), "too many hosts");
        let first = NUMBER.fetch_add(hosts as u32 + 1, Relaxed);
        let mut network = Self {
            namespaces: Vec::new(),
            devices: Vec::new(),
            // Two that run at once are unlikely to have the same, and this machine has to tell them apart.
            subnet: (std::process::id().wrapping_add(37 * first) % 251) as u8,
            state: Arc::default(),
            threads: Vec::new(),
        };
        let mut lines = Vec::new();
        for host in 0..=hosts {
            let name = format!("nt{:x}-{}", std::process::id(), first + host as u32);
            let device = DeviceBuilder::new()
                .name(&name)
                .build_sync()
                .context("can't make a TUN device; this needs root's rights")?;
            let mut inside: &[&str] = &[];
            let prefix = ["-n", name.as_str()];
            if host < hosts {
                ip(&["netns", "add", &name])?;
                network.namespaces.push(name.clone());
                ip(&["link", "set", &name, "netns", &name])?;
                let quiet = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
                ip(&["netns", "exec", &name, "sh", "-c", quiet])?;
                inside = &prefix;
                ip(&[inside, &["link", "set", "lo", "up"]].concat())?;
            }
            network.devices.push(name.clone());
            let address = format!("{}/24", network.address(host));
            ip(&[inside, &["address", "add", &address, "dev", &name]].concat())?;
            let mtu = MTU.to_string();
            ip(&[inside, &["link", "set", &name, "mtu", &mtu, "up"]].concat())?;
            if host < hosts {
                // Else there is no way for multicast, which some insist on.
                ip(&[inside, &["route", "add", "default", "dev", &name]].concat())?;
            }
            lines.push(device);
        }
        {
            let mut state = network.lock();
            let ways = (0..=hosts).flat_map(|from| (0..=hosts).map(move |to| (from, to)));
            state.ways = ways
                .enumerate()
                .map(|(n, way)| (way, Way::new(seed.wrapping_add(n as u64))))
                .collect();
        }
        let lines = Arc::new(lines);
        let (late, arriving) = mpsc::channel();
        for host in 0..=hosts {
            let (state, lines, late) =
                (Arc::clone(&network.state), Arc::clone(&lines), late.clone());
            network
                .threads
                .push(thread::spawn(move || carry(host, &lines, &state, &late)));
        }
        network
            .threads
            .push(thread::spawn(move || deliver(&lines, &arriving)));
        Ok(network)
    }

    /// Where a host is.
    pub fn address(&self, host: usize) -> Ipv4Addr {
        let last = u8::try_from(host + 1).unwrap_or(u8::MAX);
        Ipv4Addr::new(10, 77, self.subnet, last)
    }

    /// Where hosts reach this machine.
    pub fn here(&self) -> Ipv4Addr {
        self.address(self.namespaces.len())
    }

    /// What to put before a command to run it on a host, as [`command`](Self::command) does.
    pub fn run_in(&self, host: usize) -> [&str; 4] {
        ["ip", "netns", "exec", &self.namespaces[host]]
    }

    /// A command that runs on a host. Files and local sockets are those of this machine.
    pub fn command(&self, host: usize, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespaces[host]])
            .arg(program);
        command
    }

    /// From now on the network is like this.
    pub fn set(&self, conditions: Conditions) {
        self.lock().conditions = conditions;
    }

    /// What has been carried and lost so far.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LossyNetwork {
    fn drop(&mut self) {
        for (host, device) in self.devices.iter().enumerate() {
            // Its thread ends when the device does.
            let delete = ["link", "delete", device];
            let _ = match self.namespaces.get(host) {
                Some(namespace) => ip(&[&["-n", namespace], &delete[..]].concat()),
                None => ip(&delete),
            };
        }
        for namespace in &self.namespaces {
            let _ = ip(&["netns", "delete", namespace]);
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Carries what a host sends.
fn carry(host: usize, lines: &[SyncDevice], state: &Mutex<State>, late: &Sender<Late>) {
    let mut packet = vec![0; usize::from(MTU) + 100];
    let mut number = 0;
    while let Ok(length) = lines[host].recv(&mut packet) {
        let packet = &packet[..length];
        let Some((to, is_udp)) = read_header(packet, lines.len()) else {
            continue;
        };
        let mut takes = Duration::ZERO;
        if is_udp {
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            let conditions = state.conditions;
            let Some(way) = state.ways.get_mut(&(host, to)) else {
                continue;
            };
            let lost = way.loses(conditions.loss);
            takes = way.takes(&conditions);
            if lost {
                state.counts.lost += 1;
                continue;
            }
            state.counts.carried += 1;
        }
        if takes.is_zero() {
            // A full queue loses it, as anywhere.
            let _ = lines[to].send(packet);
        } else {
            number += 1;
            let _ = late.send(Late {
                due: Instant::now() + takes,
                number,
                to,
                packet: packet.to_vec(),
            });
        }
    }
}

/// Delivers what takes its time, until nobody sends any more.
fn deliver(lines: &[SyncDevice], arriving: &Receiver<Late>) {
    let mut waiting: BinaryHeap<Reverse<Late>> = BinaryHeap::new();
    loop {
        let now = Instant::now();
        while let Some(Reverse(first)) = waiting.peek()
            && first.due <= now
        {
            if let Some(Reverse(first)) = waiting.pop() {
                let _ = lines[first.to].send(&first.packet);
            }
        }
        let next = waiting.peek().map(|Reverse(first)| first.due);
        let patience = next.map_or(Duration::from_secs(1), |due| {
            due.saturating_duration_since(now)
        });
        match arriving.recv_timeout(patience) {
            Ok(late) => waiting.push(Reverse(late)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Which host an IPv4 packet is for, and whether it is UDP.
fn read_header(packet: &[u8], hosts: usize) -> Option<(usize, bool)> {
    let [first, .., a, b, _, d] = packet.get(..20)? else {
        return None;
    };
    let to = usize::from(*d).checked_sub(1)?;
    let ours = first >> 4 == 4 && [*a, *b] == [10, 77] && to < hosts;
    ours.then_some((to, packet[9] == UDP))
}

fn ip(arguments: &[&str]) -> Result<()> {
    let run = Command::new("ip")
        .args(arguments)
        .output()
        .context("can't start ip (package iproute2)")?;
    ensure!(
        run.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&run.stderr)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;

    fn run(loss: Loss) -> (f64, f64) {
        let mut way = Way::new(1);
        let lost: Vec<bool> = (0..200_000).map(|_| way.loses(loss)).collect();
        let count = lost.iter().filter(|lost| **lost).count() as f64;
        let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count() as f64;
        (count / lost.len() as f64, count / bursts)
    }

    #[test]
    fn as_much_is_lost_as_was_asked_for_and_in_such_bursts() {
        let (share, mean) = run(Loss::Random(0.2));
        assert!(
            (share - 0.2).abs() < 0.005 && (mean - 1.25).abs() < 0.02,
            "{share} {mean}"
        );
        let (share, mean) = run(Loss::Bursts {
            share: 0.1,
            mean: 3.0,
        });
        assert!(
            (share - 0.1).abs() < 0.005 && (mean - 3.0).abs() < 0.1,
            "{share} {mean}"
        );
    }

    const SERVER: &str = "
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(('0.0.0.0', 7000))
tcp = socket.create_server(('0.0.0.0', 7000))
print('ready', flush=True)
while True:
    said, who = udp.recvfrom(2000)
    if said == b'end': break
    udp.sendto(said, who)
tcp.accept()[0].sendall(b'whole\\n')
";

    const CLIENT: &str = "
import socket
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(0.3)
came = 0
for n in range(40):
    udp.sendto(b'%d' % n, ('HERE', 7000))
    try: came += udp.recv(2000) == b'%d' % n
    except TimeoutError: pass
print('came', came, flush=True)
input()
for n in range(20): udp.sendto(b'end', ('HERE', 7000))
print(socket.create_connection(('HERE', 7000)).makefile().readline())
";

    #[test]
    fn only_datagrams_are_lost() {
        let network = match LossyNetwork::new(2, 7) {
            Ok(network) => network,
            Err(problem) => {
                // In CI there is root, and nothing may be left out.
                assert!(std::env::var_os("CI").is_none(), "{problem:#}");
                println!("NOT TESTED: {problem:#}");
                return;
            }
        };
        let python = |host, script: &str| {
            let script = script.replace("HERE", &network.address(0).to_string());
            let mut command = network.command(host, "python3");
            Process::start(command.args(["-u", "-c", &script])).unwrap()
        };
        let mut server = python(0, SERVER);
        server
            .wait_for("the server", |line| (line == "ready").then_some(()))
            .unwrap();
        network.set(Conditions {
            loss: Loss::Random(0.25),
            delay: Duration::from_millis(5),
            jitter: Duration::from_millis(5),
        });
        let mut client = python(1, CLIENT);
        let came: f64 = client
            .wait_for("the count", |line| line.strip_prefix("came ")?.parse().ok())
            .unwrap();
        // 0.75 squared, of 40, ± 4 standard deviations.
        assert!((10.0..=35.0).contains(&came), "{came}");
        let counts = network.counts();
        assert!(counts.lost >= 5 && counts.carried >= 40, "{counts:?}");
        network.set(Conditions::default());
        client.say("").unwrap();
        client
            .wait_for("a line by TCP", |line| (line == "whole").then_some(()))
            .unwrap();
    }
}
