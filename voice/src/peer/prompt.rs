//! What keeps a relayed packet from waiting.
//!
//! The library's task of a connection goes in rounds. A round sends what is to be sent, the TURN client's
//! packets before the connection's, then takes in what came; and then the task sleeps until a packet or a
//! timer wakes it. But a packet that the connection sends over a relay becomes one of the TURN client's, and is
//! left for the next round; and what a packet answers that came over a relay is left for the one after. With
//! nothing else to wake it, that was up to 200 ms for each step of a handshake, and 20 ms for each packet of
//! sound. So after each round that something else than time began, two more follow at once.

use std::{
    future::Future,
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::sync::watch;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime,
    TokioRuntime,
};

use super::media::Shared;

/// A packet that came over a relay is taken in by one round, answered by the next, and that answer sent by the
/// one after.
const ROUNDS: u8 = 2;

type Task<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tokio for one connection, with naps cut short.
#[derive(Debug)]
pub(super) struct Prompt {
    shared: watch::Receiver<Shared>,
    /// Rounds that are still to follow at once.
    rounds: Arc<AtomicU8>,
}

impl Prompt {
    /// For the connection that is known by `shared`.
    pub(super) fn new(shared: watch::Receiver<Shared>) -> Self {
        Self {
            shared,
            rounds: Arc::default(),
        }
    }
}

impl Runtime for Prompt {
    fn sleep(&self, time: Duration) -> Task<'static, ()> {
        if self.shared.borrow().stats.relayed == Some(false) {
            return TokioRuntime.sleep(time);
        }
        // Only the connection's own task sleeps, once a round.
        let rounds = self.rounds.load(Relaxed);
        self.rounds.store(rounds.saturating_sub(1), Relaxed);
        let time = if rounds > 0 { Duration::ZERO } else { time };
        Box::pin(Nap {
            sleep: (!time.is_zero()).then(|| TokioRuntime.sleep(time)),
            over: false,
            rounds: Arc::clone(&self.rounds),
        })
    }

    fn spawn(&self, future: Task<'static, ()>) -> Box<dyn JoinHandle> {
        TokioRuntime.spawn(future)
    }

    fn spawn_reactor(&self, pool: usize, future: Task<'static, ()>) -> Box<dyn JoinHandle> {
        TokioRuntime.spawn_reactor(pool, future)
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn wrap_tcp_listener(&self, listener: TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp(&self, to: SocketAddr) -> Task<'_, io::Result<Arc<dyn AsyncTcpStream>>> {
        TokioRuntime.connect_tcp(to)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Task<'a, io::Result<Vec<SocketAddr>>> {
        TokioRuntime.resolve_host(host)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn yield_now(&self) -> Task<'static, ()> {
        TokioRuntime.yield_now()
    }

    fn name(&self) -> &'static str {
        TokioRuntime.name()
    }
}

/// A sleep that something else may end.
struct Nap {
    /// None when there is no time to sleep.
    sleep: Option<Task<'static, ()>>,
    over: bool,
    rounds: Arc<AtomicU8>,
}

impl Future for Nap {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let poll = match &mut self.sleep {
            Some(sleep) => sleep.as_mut().poll(context),
            None => Poll::Ready(()),
        };
        self.over = poll.is_ready();
        poll
    }
}

impl Drop for Nap {
    fn drop(&mut self) {
        if !self.over {
            self.rounds.store(ROUNDS, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Stats;

    const LONG: Duration = Duration::from_secs(3_600);

    /// Whether the next round follows at once.
    async fn at_once(prompt: &Prompt) -> bool {
        let mut nap = prompt.sleep(LONG);
        let over = std::future::poll_fn(|context| Poll::Ready(nap.as_mut().poll(context))).await;
        if over.is_pending() {
            // It ends by itself, and nothing else ends it.
            tokio::time::advance(LONG).await;
            nap.await;
        }
        over.is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn a_packet_of_a_relayed_connection_is_followed_by_two_rounds() {
        let (shared, receiver) = watch::channel(Shared::default());
        let prompt = Prompt::new(receiver);
        // How long the way is to be is not known from the start.
        for relayed in [None, Some(true)] {
            shared.send_modify(|shared| shared.stats.relayed = relayed);
            assert!(!at_once(&prompt).await, "nothing has come");
            for _ in 0..2 {
                drop(prompt.sleep(LONG));
                assert!(at_once(&prompt).await && at_once(&prompt).await);
                assert!(!at_once(&prompt).await, "there is an end to it");
            }
            drop(prompt.sleep(LONG));
            assert!(at_once(&prompt).await);
            // Another one comes before the second of them.
            drop(prompt.sleep(LONG));
            assert!(at_once(&prompt).await && at_once(&prompt).await);
            assert!(!at_once(&prompt).await);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_direct_connection_costs_no_more_than_before() {
        let (_shared, receiver) = watch::channel(Shared {
            stats: Stats {
                relayed: Some(false),
                ..Stats::default()
            },
            ..Shared::default()
        });
        let prompt = Prompt::new(receiver);
        drop(prompt.sleep(LONG));
        assert!(!at_once(&prompt).await);
    }
}
