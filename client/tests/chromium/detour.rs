//! A way from a browser to an engine on which sound gets lost, the same way each time.

use std::net::SocketAddr;

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::{net::UdpSocket, sync::watch, task::JoinHandle};

/// Carries packets between whoever writes first and where it leads to.
pub struct Detour {
    address: SocketAddr,
    goal: watch::Sender<Option<SocketAddr>>,
    task: JoinHandle<()>,
}

impl Detour {
    /// One that loses this share of all sound, 0 to 1, and nothing else.
    pub async fn open(loss: f64) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let far = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (goal, leads_to) = watch::channel(None);
        Self {
            address: near.local_addr().unwrap(),
            goal,
            task: tokio::spawn(carry(near, far, leads_to, loss)),
        }
    }

    /// Where to write to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says where it leads to; what came before is lost.
    pub fn lead_to(&self, goal: SocketAddr) {
        self.goal.send_replace(Some(goal));
    }
}

impl Drop for Detour {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    near: UdpSocket,
    far: UdpSocket,
    goal: watch::Receiver<Option<SocketAddr>>,
    loss: f64,
) {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut browser = None;
    let (mut out, mut back) = ([0; 2_048], [0; 2_048]);
    loop {
        let (packet, to, through) = tokio::select! {
            Ok((length, from)) = near.recv_from(&mut out) => {
                browser = Some(from);
                (&out[..length], *goal.borrow(), &far)
            }
            Ok((length, _)) = far.recv_from(&mut back) => (&back[..length], browser, &near),
        };
        if is_sound(packet) && rng.random_bool(loss) {
            continue;
        }
        if let Some(to) = to {
            // As with any network, what can't be sent is lost.
            let _ = through.send_to(packet, to).await;
        }
    }
}

/// RTP, neither RTCP, nor DTLS, nor STUN (RFC 7983, RFC 5761).
fn is_sound(packet: &[u8]) -> bool {
    matches!(packet, [128..=191, kind, ..] if !(192..=223).contains(kind))
}
