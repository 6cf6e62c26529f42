//! The TURN server inside the relay beside coturn: what a packet costs each, in the same run and
//! under the same load. That is coturn's own client, which sends as voices do: from relayed
//! address to relayed address, one packet of 100 bytes in 20 ms for each client.
//!
//! Only the server's processor time is counted, from `/proc`; the client is a program of its own.

#![cfg_attr(
    target_os = "linux",
    allow(
        clippy::panic,
        clippy::unwrap_used,
        reason = "what the relay's tests share is used here too"
    )
)]

#[cfg(target_os = "linux")]
#[path = "../tests/common/mod.rs"]
mod common;

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("this bench reads the processor time of servers from /proc; run it on Linux");
    std::process::exit(1);
}

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    match linux::main() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:?}");
            std::process::ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{fs, net::SocketAddr, time::SystemTime};

    use clap::Parser;
    use neartalk_relay::turn::TurnSecret;
    use neartalk_rig::turn::{TurnServer, exchange};
    use neartalk_shared::{ClientFrame, ServerFrame, frame::IceServer};

    use crate::common::{Person, Relay, beside};

    type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

    /// A client sends this often a second.
    const PACKETS_PER_SECOND: u32 = 50;

    #[derive(Parser)]
    struct Options {
        /// How many clients send at once; several numbers separated by commas. With more than a hundred
        /// coturn's client takes longer to connect than the bench waits.
        #[arg(long, value_delimiter = ',', default_values_t = [25, 50])]
        clients: Vec<u32>,
        /// How long they send, in seconds.
        #[arg(long, default_value_t = 4)]
        seconds: u32,
        /// How often each is measured; what is told is the one in the middle.
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        /// What cargo adds.
        #[arg(long, hide = true)]
        bench: bool,
    }

    /// A server with a name to show it.
    struct Server {
        name: &'static str,
        address: SocketAddr,
        username: String,
        credential: String,
        pid: u32,
    }

    /// What came of one run.
    #[derive(Clone, Copy)]
    struct Run {
        sent: u64,
        received: u64,
        /// Of the server's processor time, in microseconds.
        cpu_us: f64,
    }

    impl Run {
        fn us_per_packet(self) -> f64 {
            self.cpu_us / self.received.max(1) as f64
        }
    }

    pub fn main() -> Result<()> {
        let options = Options::parse();
        let runtime = tokio::runtime::Runtime::new()?;
        let relay = Relay::start(&[
            "--turn-listen",
            "127.0.0.1:0",
            "--turn-session-allocations",
            "16000",
            "--turn-max-allocations",
            "16000",
            "--turn-total-kbps",
            "10000000",
        ]);
        let (_person, servers) = runtime.block_on(in_voice(&relay));
        let turn = servers.last().ok_or("the relay names no TURN server")?;
        let url = turn.urls[0].strip_prefix("turn:").unwrap_or_default();
        let secret: TurnSecret = "hush".parse()?;
        let coturn = TurnServer::start_for_load("hush")?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        // Coturn takes a time that is half a century ahead for one that is past.
        let username = format!("{}:bench", now.as_secs() + 86_400);
        let servers = [
            Server {
                name: "NearTalk, inside the relay",
                address: url.parse()?,
                username: turn.username.clone().unwrap_or_default(),
                credential: turn.credential.clone().unwrap_or_default(),
                pid: relay.pid(),
            },
            Server {
                name: "coturn",
                address: coturn.address(),
                credential: secret.credential(&username),
                username,
                pid: coturn.pid(),
            },
        ];
        println!(
            "| server | clients | packets/s sent | arrived | CPU µs per packet | of one core |"
        );
        println!("|---|---:|---:|---:|---:|---:|");
        for &clients in &options.clients {
            let mut runs = [Vec::new(), Vec::new()];
            for _ in 0..options.rounds.max(1) {
                for (server, runs) in servers.iter().zip(&mut runs) {
                    runs.push(measure(server, clients, options.seconds)?);
                }
            }
            for (server, runs) in servers.iter().zip(&mut runs) {
                runs.sort_by(|a, b| a.us_per_packet().total_cmp(&b.us_per_packet()));
                let run = runs[runs.len() / 2];
                let rate = clients * PACKETS_PER_SECOND;
                println!(
                    "| {} | {clients} | {rate} | {:.2} % | {:.1} | {:.0} % |",
                    server.name,
                    100.0 * run.received as f64 / run.sent.max(1) as f64,
                    run.us_per_packet(),
                    run.us_per_packet() * f64::from(rate) / 10_000.0,
                );
            }
        }
        Ok(())
    }

    fn measure(server: &Server, clients: u32, seconds: u32) -> Result<Run> {
        let before = cpu_us(server.pid)?;
        let credentials = (server.username.as_str(), server.credential.as_str());
        let packets = seconds * PACKETS_PER_SECOND;
        let exchanged = exchange(server.address, credentials, clients, packets)
            .map_err(|error| format!("{}: {error:#}", server.name))?;
        Ok(Run {
            sent: exchanged.sent,
            received: exchanged.received,
            cpu_us: cpu_us(server.pid)? - before,
        })
    }

    /// The processor time that a process has used, all its threads together.
    fn cpu_us(pid: u32) -> Result<f64> {
        let mut total = 0.0;
        for task in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may have ended meanwhile.
            let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else {
                continue;
            };
            let ns: f64 = text.split(' ').next().unwrap_or_default().parse()?;
            total += ns / 1_000.0;
        }
        Ok(total)
    }

    /// Somebody in voice, and what they are told to connect through.
    async fn in_voice(relay: &Relay) -> (Person, Vec<IceServer>) {
        let mut person = Person::at(relay, &relay.api(), "Fox", beside(0), 500).await;
        person.send(&ClientFrame::VoiceJoin).await;
        let servers = person.wait("the servers", |frame| match frame {
            ServerFrame::VoiceReady { ice_servers, .. } => Some(ice_servers.clone()),
            _ => None,
        });
        let servers = servers.await;
        (person, servers)
    }
}
