//! How well a connection does.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rtc::{
    interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket},
    peer_connection::transport::RTCIceCandidateType,
    rtcp::{self, receiver_report::ReceiverReport, sender_report::SenderReport},
    sansio::Protocol,
};
use tokio::{sync::watch, time::MissedTickBehavior};
use webrtc::{
    error::Error,
    peer_connection::{PeerConnection, RTCStatsReportEntry, StatsSelector},
};

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
                    let relay = |id: &str| match report.get(id) {
                        Some(
                            RTCStatsReportEntry::LocalCandidate(candidate)
                            | RTCStatsReportEntry::RemoteCandidate(candidate),
                        ) => candidate.candidate_type == RTCIceCandidateType::Relay,
                        _ => false,
                    };
                    stats.relayed =
                        Some(relay(&pair.local_candidate_id) || relay(&pair.remote_candidate_id));
                }
                _ => {}
            }
        }
        stats
    }
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

/// How the other side receives a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reception {
    /// Which part it has lost lately, 0 to 1.
    pub(super) loss: f32,
    /// Number of the last packet that came, wrap-arounds counted.
    pub(super) last: u32,
}

/// Reads what the other side says of the stream sent, on its way through the connection: it would end
/// there, unseen.
pub(super) struct ReportReader {
    stream: u32,
    tell: Box<dyn Fn(Reception) + Send + Sync>,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl ReportReader {
    /// Tells `tell` what the other side says of the stream `stream`.
    pub(super) fn new(stream: u32, tell: impl Fn(Reception) + Send + Sync + 'static) -> Self {
        Self {
            stream,
            tell: Box::new(tell),
            read: VecDeque::new(),
            write: VecDeque::new(),
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for ReportReader {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &packet.message.packet
            && let Some(reception) = reception(packets, self.stream)
        {
            (self.tell)(reception);
        }
        self.read.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl Interceptor for ReportReader {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

/// How the other side says that it receives the stream `ssrc`. Who sends too says so in its sender
/// reports.
fn reception(packets: &[Box<dyn rtcp::Packet>], ssrc: u32) -> Option<Reception> {
    packets
        .iter()
        .flat_map(|packet| {
            let packet = packet.as_any();
            packet
                .downcast_ref::<ReceiverReport>()
                .map(|report| &report.reports)
                .or_else(|| {
                    packet
                        .downcast_ref::<SenderReport>()
                        .map(|report| &report.reports)
                })
        })
        .flatten()
        .find(|report| report.ssrc == ssrc)
        .map(|report| Reception {
            loss: f32::from(report.fraction_lost) / 256.0,
            last: report.last_sequence_number,
        })
}

#[cfg(test)]
mod tests {
    use rtc::rtcp::reception_report::ReceptionReport;

    use super::*;

    #[test]
    fn loss_is_read_from_either_report() {
        let reports = vec![
            ReceptionReport {
                ssrc: 1,
                ..Default::default()
            },
            ReceptionReport {
                ssrc: 7,
                fraction_lost: 64,
                last_sequence_number: 70_000,
                ..Default::default()
            },
        ];
        let receiver = Box::new(ReceiverReport {
            reports: reports.clone(),
            ..Default::default()
        });
        let sender = Box::new(SenderReport {
            reports,
            ..Default::default()
        });
        let packets: [Box<dyn rtcp::Packet>; 2] = [receiver, sender];
        for packet in &packets {
            let packet = std::slice::from_ref(packet);
            let expected = Reception {
                loss: 0.25,
                last: 70_000,
            };
            assert_eq!(reception(packet, 7), Some(expected));
            assert_eq!(reception(packet, 8), None);
        }
        assert_eq!(reception(&[], 7), None);
    }
}
