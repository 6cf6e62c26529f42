//! How well a connection does.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rtc::peer_connection::transport::RTCIceCandidateType;
use tokio::{sync::watch, time::MissedTickBehavior};
use webrtc::peer_connection::{PeerConnection, RTCStatsReport, RTCStatsReportEntry, StatsSelector};

use super::media::Shared;

/// How often a connection is asked how well it does.
const LOOK: Duration = Duration::from_secs(1);

/// How well a connection does. `None` is what is not known (yet).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// There and back, after the last check of the path.
    pub rtt: Option<Duration>,
    /// Which part of what was sent lately is lost, 0 to 1, after the other side's last receiver report.
    pub send_loss: Option<f32>,
    /// Packets received.
    pub received: u64,
    /// Packets that should have been received and were not; duplicates count as less than none.
    pub receive_lost: i64,
    /// Payloads dropped before sending because the connection was too slow.
    pub dropped: u64,
    /// Whether the way leads over a relay, at either end.
    pub relayed: Option<bool>,
}

impl Stats {
    /// What the connection itself knows.
    async fn read(connection: &dyn PeerConnection) -> Self {
        let report = connection
            .get_stats(Instant::now(), StatsSelector::None)
            .await;
        let mut stats = Self::default();
        for entry in report.iter() {
            match entry {
                RTCStatsReportEntry::InboundRtp(rtp) => {
                    let received = &rtp.received_rtp_stream_stats;
                    stats.received += received.packets_received;
                    stats.receive_lost += received.packets_lost;
                }
                RTCStatsReportEntry::IceCandidatePair(pair) if pair.nominated => {
                    stats.rtt = Duration::try_from_secs_f64(pair.current_round_trip_time)
                        .ok()
                        .filter(|rtt| !rtt.is_zero());
                }
                _ => {}
            }
        }
        stats.relayed = relayed(connection, &report).await;
        stats
    }
}

/// Whether the chosen way leads over a relay, at either end; `None` before one is chosen.
async fn relayed(connection: &dyn PeerConnection, report: &RTCStatsReport) -> Option<bool> {
    let sender = connection.get_senders().await.into_iter().next()?;
    let transport = sender.transport().await.ok()??;
    let pair = transport
        .ice_transport()
        .get_selected_candidate_pair()
        .await;
    let pair = pair.ok()??;
    let (local, remote) = (pair.local(), pair.remote());
    // The other side's relay is a stranger where something came over it before its candidate did.
    let known = report.iter().any(|entry| match entry {
        RTCStatsReportEntry::RemoteCandidate(candidate) => {
            candidate.candidate_type == RTCIceCandidateType::Relay
                && candidate.address.as_ref() == Some(&remote.address)
                && candidate.port == remote.port
        }
        _ => false,
    });
    let relay = RTCIceCandidateType::Relay;
    Some(local.typ == relay || remote.typ == relay || known)
}

/// Keeps what is known of how well a connection does fresh until it is gone.
pub(super) async fn follow(
    connection: Weak<dyn PeerConnection>,
    shared: watch::Sender<Shared>,
    dropped: Arc<AtomicU64>,
) {
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        look.tick().await;
        let Some(connection) = connection.upgrade() else {
            return;
        };
        let stats = Stats::read(&*connection).await;
        shared.send_modify(|shared| {
            shared.stats = Stats {
                send_loss: shared.stats.send_loss,
                dropped: dropped.load(Ordering::Relaxed),
                ..stats
            };
        });
    }
}
