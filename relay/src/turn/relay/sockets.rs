//! The sockets around the [`Core`], and the thread that they have to themselves.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr, UdpSocket as StdSocket},
    task::Poll,
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::UdpSocket,
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};

use super::{
    Change, Core, Endpoint, External, FlagError, Flags, InnerServer, Issuer, Limits, Secrets,
    message::MAX_BYTES, serves,
};
use crate::{clock::Clock, metrics::TurnMetrics, turn::TurnSecret};

/// How often allocations are looked through for those whose time is up.
const TICK: Duration = Duration::from_secs(1);

/// Packets that are taken from a socket before anything else gets its turn.
const BATCH: usize = 64;

/// Bytes that may wait in a socket while the thread has no core to run on.
const BUFFER: usize = 1 << 20;

/// Changes that may wait for the server; beyond it they wait with the room.
const QUEUE: usize = 4_096;

/// A TURN server that has its sockets and waits to be run.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<StdSocket>,
    servers: Vec<SocketAddr>,
    external: External,
    limits: Limits,
}

impl Sockets {
    /// Takes the addresses; `None` when there are none.
    pub fn bind(flags: &Flags) -> Result<Option<Self>, FlagError> {
        let mut external = External::named(flags)?;
        let mut sockets = Vec::new();
        let mut servers = Vec::new();
        for &listen in &flags.listen {
            let failed = |source| FlagError::Listen {
                address: listen,
                source,
            };
            let socket = bind(listen).map_err(failed)?;
            let port = socket.local_addr().map_err(failed)?.port();
            external.listening.insert(port);
            let reached = external.ips().filter(|ip| serves(listen, *ip));
            servers.extend(reached.map(|ip| SocketAddr::new(ip, port)));
            sockets.push(socket);
        }
        let bound = Self {
            sockets,
            servers,
            external,
            limits: flags.limits(),
        };
        Ok((!bound.sockets.is_empty()).then_some(bound))
    }

    /// Where clients reach it.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Starts it, on a thread of its own: voices don't wait for their turn among a thousand sockets.
    /// It ends with its [`Issuer`], whose credentials are good for `ttl`.
    pub fn spawn(self, ttl: Duration, clock: Clock, metrics: TurnMetrics) -> io::Result<Running> {
        let mut rng = StdRng::from_rng(&mut rand::rng());
        let secrets = Secrets {
            own: TurnSecret::random(&mut rng),
            guests: TurnSecret::random(&mut rng),
        };
        let (sender, changes) = mpsc::channel(QUEUE);
        let issuer_rng = StdRng::from_rng(&mut rng);
        let core = Core::new(self.external, self.limits, secrets.clone(), rng, metrics);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let sockets = {
            let _inside = runtime.enter();
            let sockets = self.sockets.into_iter().map(Bound::new);
            sockets.collect::<io::Result<Vec<_>>>()?
        };
        let (alive, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("turn".into())
            .spawn(move || {
                runtime.block_on(run(core, sockets, changes, clock));
                drop(alive);
            })?;
        let since = clock.now();
        Ok(Running {
            for_guests: InnerServer::new(self.servers.clone(), secrets.guests, since),
            issuer: Issuer::new(
                InnerServer::new(self.servers, secrets.own, since),
                ttl,
                issuer_rng,
                sender,
            ),
            ended,
        })
    }
}

/// A TURN server that runs.
#[derive(Debug)]
pub struct Running {
    /// Hands out its credentials. It ends with this.
    pub issuer: Issuer,
    /// What other relays have to know to give their people credentials for it.
    pub for_guests: InnerServer,
    /// Is over when the server is.
    pub ended: oneshot::Receiver<()>,
}

/// A socket, and whether IPv4 addresses are written as IPv6 ones on it.
struct Bound {
    socket: UdpSocket,
    is_v6: bool,
}

impl Bound {
    /// Must be called within a Tokio runtime.
    fn new(socket: StdSocket) -> io::Result<Self> {
        Ok(Self {
            is_v6: socket.local_addr()?.is_ipv6(),
            socket: UdpSocket::from_std(socket)?,
        })
    }

    fn receive(&self, packet: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (length, from) = self.socket.try_recv_from(packet)?;
        let from = match from.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::new(ip.into(), from.port()),
            // Whole: what is local to a network has its number in there.
            IpAddr::V6(_) => from,
        };
        Ok((length, from))
    }

    fn send(&self, packet: &[u8], to: SocketAddr) -> io::Result<usize> {
        let to = match to.ip() {
            IpAddr::V4(ip) if self.is_v6 => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
            _ => to,
        };
        self.socket.try_send_to(packet, to)
    }
}

fn bind(address: SocketAddr) -> io::Result<StdSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if let IpAddr::V6(ip) = address.ip() {
        // `[::]` is both kinds of addresses, on every system.
        socket.set_only_v6(!ip.is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    // Many speak at once. Where the system gives less, it is that much.
    let _ = socket.set_recv_buffer_size(BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}

async fn run(
    mut core: Core,
    sockets: Vec<Bound>,
    mut changes: mpsc::Receiver<Change>,
    clock: Clock,
) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffers = Buffers::new();
    let mut next = 0;
    loop {
        tokio::select! {
            biased;
            change = changes.recv() => match change {
                Some(change) => apply(&mut core, change),
                None => return,
            },
            _ = ticks.tick() => core.tick(clock.now()),
            number = readable(&sockets, next) => {
                // Whoever has credentials was allowed before they got them.
                while let Ok(change) = changes.try_recv() {
                    apply(&mut core, change);
                }
                buffers.carry(&mut core, &sockets, number, clock);
                next = number + 1;
            }
        }
    }
}

fn apply(core: &mut Core, change: Change) {
    match change {
        Change::Allow(user) => core.allow(user),
        Change::Forbid(user) => core.forbid(user),
        Change::ForbidGuest(ended) => core.forbid_guest(ended.user, ended.until),
    }
}

/// Waits until there is something to read, on which socket, beginning with this one.
async fn readable(sockets: &[Bound], first: usize) -> usize {
    poll_fn(|context| {
        let numbers = (0..sockets.len()).map(|n| (first + n) % sockets.len());
        for number in numbers {
            // An error is had by reading.
            if sockets[number].socket.poll_recv_ready(context).is_ready() {
                return Poll::Ready(number);
            }
        }
        Poll::Pending
    })
    .await
}

struct Buffers {
    /// One byte more than what is carried, so that what is cut off is known to be.
    packet: Box<[u8; MAX_BYTES + 1]>,
    out: Vec<u8>,
}

impl Buffers {
    fn new() -> Self {
        Self {
            packet: Box::new([0; MAX_BYTES + 1]),
            out: Vec::with_capacity(MAX_BYTES + 64),
        }
    }

    /// Takes in what there is on a socket, up to a batch.
    fn carry(&mut self, core: &mut Core, sockets: &[Bound], number: usize, clock: Clock) {
        let now = clock.now();
        for _ in 0..BATCH {
            let (length, from) = match sockets[number].receive(&mut self.packet[..]) {
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                // Some systems tell here that what was sent to somebody did not arrive.
                Err(_) => continue,
            };
            let from = Endpoint {
                socket: number,
                address: from,
            };
            let packet = &self.packet[..length];
            if let Some(to) = core.receive(from, packet, now, &mut self.out)
                && sockets[to.socket].send(&self.out, to.address).is_err()
            {
                // Those who wait for it ask again, and voices go on.
                core.unsent();
            }
        }
    }
}
