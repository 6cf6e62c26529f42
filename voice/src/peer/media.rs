//! RTP in and out of one connection, in queues that drop the oldest.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use rtc::rtp;
use tokio::sync::{broadcast, watch};
use webrtc::media_stream::{
    track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
    track_remote::{TrackRemote, TrackRemoteEvent},
};

use super::{Formats, Stats};
use crate::red::Red;

/// Packets that wait to be sent: 320 ms of sound at 20 ms each; older ones are late anyway.
pub(super) const OUT_QUEUE: usize = 16;

/// Packets received that wait to be taken.
pub(super) const IN_QUEUE: usize = 64;

/// What a payload holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// One Opus packet.
    Opus,
    /// Opus packets after RFC 2198, see [`crate::red`].
    Red,
}

/// A payload to send.
#[derive(Clone, Debug)]
pub struct Payload {
    /// What it holds. Redundancy that the other side does not take is taken off before sending.
    pub encoding: Encoding,
    /// RTP time, in 48 kHz ticks.
    pub timestamp: u32,
    /// Whether it is the first after silence (RFC 3551).
    pub marker: bool,
    /// The bytes; cheap to share between peers.
    pub bytes: Bytes,
}

/// A packet received.
#[derive(Clone, Debug)]
pub struct Packet {
    /// When it arrived.
    pub arrival: Instant,
    /// Of which stream it is (SSRC).
    pub stream: u32,
    /// Its number, one more with each packet.
    pub sequence: u16,
    /// RTP time, in 48 kHz ticks.
    pub timestamp: u32,
    /// What its payload holds.
    pub encoding: Encoding,
    /// The payload.
    pub payload: Bytes,
}

#[derive(Clone, Debug)]
struct Numbered {
    sequence: u16,
    payload: Payload,
}

/// Sends payloads to one peer. Never waits: what the connection can't take in time is dropped, the oldest
/// first, and is a gap in the numbers to the other side, as if the network had lost it.
#[derive(Debug)]
pub struct PayloadSender {
    queue: broadcast::Sender<Numbered>,
    sequence: u16,
}

impl PayloadSender {
    /// Puts a payload into the queue. While there is no connection it is dropped.
    pub fn send(&mut self, payload: Payload) {
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        // An error says that the connection is closed, which its events tell.
        let _ = self.queue.send(Numbered { sequence, payload });
    }
}

/// Receives one peer's packets.
#[derive(Debug)]
pub struct PacketReceiver {
    queue: broadcast::Receiver<Packet>,
}

impl PacketReceiver {
    /// The next packet; `None` when the connection is closed and all are taken. Packets that were not
    /// taken in time are skipped.
    pub async fn recv(&mut self) -> Option<Packet> {
        loop {
            match self.queue.recv().await {
                Ok(packet) => return Some(packet),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }

    /// The next packet, if there is one already.
    pub fn try_recv(&mut self) -> Option<Packet> {
        loop {
            match self.queue.try_recv() {
                Ok(packet) => return Some(packet),
                Err(broadcast::error::TryRecvError::Lagged(_)) => {}
                Err(_) => return None,
            }
        }
    }
}

/// The two ends of the queue of what is to be sent; `sequence` is the first packet's number.
pub(super) fn outgoing(sequence: u16) -> (PayloadSender, Outgoing) {
    let (queue, receiver) = broadcast::channel(OUT_QUEUE);
    (PayloadSender { queue, sequence }, Outgoing { receiver })
}

/// The two ends of the queue of what was received.
pub(super) fn incoming() -> (broadcast::Sender<Packet>, PacketReceiver) {
    let (sender, queue) = broadcast::channel(IN_QUEUE);
    (sender, PacketReceiver { queue })
}

/// What is to be sent, at the connection's end.
#[derive(Debug)]
pub(super) struct Outgoing {
    receiver: broadcast::Receiver<Numbered>,
}

/// What the tasks that move packets know.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared {
    /// Whether there was ever a connection: before, what is sent has no keys.
    pub(super) connected: bool,
    /// What the other side takes.
    pub(super) send_as: Option<Formats>,
    /// What this side takes.
    pub(super) receive_as: Option<Formats>,
    /// How well the connection did when last looked at, about a second ago at most.
    pub(super) stats: Stats,
}

/// Moves payloads into the connection until the sender is gone.
pub(super) async fn send(
    mut outgoing: Outgoing,
    track: Arc<TrackLocalStaticRTP>,
    stream: u32,
    shared: watch::Receiver<Shared>,
    dropped: Arc<AtomicU64>,
) {
    loop {
        let Numbered { sequence, payload } = match outgoing.receiver.recv().await {
            Ok(numbered) => numbered,
            Err(broadcast::error::RecvError::Lagged(packets)) => {
                dropped.fetch_add(packets, Ordering::Relaxed);
                continue;
            }
            Err(broadcast::error::RecvError::Closed) => return,
        };
        let formats = {
            let shared = shared.borrow();
            shared.send_as.filter(|_| shared.connected)
        };
        let Some(formats) = formats else {
            continue;
        };
        let Some((payload_type, bytes)) = fit(payload.encoding, payload.bytes, formats) else {
            continue;
        };
        let packet = rtp::Packet {
            header: rtp::Header {
                version: 2,
                marker: payload.marker,
                payload_type,
                sequence_number: sequence,
                timestamp: payload.timestamp,
                ssrc: stream,
                ..Default::default()
            },
            payload: bytes,
        };
        if let Err(error) = track.write_rtp(packet).await {
            tracing::trace!(%error, "a packet could not be sent");
        }
    }
}

/// The payload as the other side takes it; `None` if it can't be made so.
fn fit(encoding: Encoding, bytes: Bytes, formats: Formats) -> Option<(u8, Bytes)> {
    match (encoding, formats.red) {
        (Encoding::Opus, _) => Some((formats.opus, bytes)),
        (Encoding::Red, Some(red)) => Some((red, bytes)),
        (Encoding::Red, None) => {
            let primary = bytes.slice_ref(Red::parse(&bytes).ok()?.primary().payload);
            Some((formats.opus, primary))
        }
    }
}

/// Hands out what comes over a track until it ends.
pub(super) async fn receive(
    track: Arc<dyn TrackRemote>,
    out: broadcast::Sender<Packet>,
    shared: watch::Receiver<Shared>,
) {
    while let Some(event) = track.poll().await {
        let TrackRemoteEvent::OnRtpPacket(rtp::Packet { header, payload }) = event else {
            continue;
        };
        let arrival = Instant::now();
        let encoding = match shared.borrow().receive_as {
            Some(formats) if header.payload_type == formats.opus => Encoding::Opus,
            Some(formats) if Some(header.payload_type) == formats.red => Encoding::Red,
            _ => continue,
        };
        // An error says that nobody takes them any more; then the connection is being closed.
        let _ = out.send(Packet {
            arrival,
            stream: header.ssrc,
            sequence: header.sequence_number,
            timestamp: header.timestamp,
            encoding,
            payload,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::red::Packer;

    fn payload(timestamp: u32) -> Payload {
        Payload {
            encoding: Encoding::Opus,
            timestamp,
            marker: false,
            bytes: Bytes::from_static(b"sound"),
        }
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest_and_shows_the_gap() {
        let (mut sender, mut outgoing) = outgoing(u16::MAX - 1);
        for n in 0..OUT_QUEUE as u32 + 3 {
            sender.send(payload(n));
        }
        assert!(matches!(
            outgoing.receiver.recv().await,
            Err(broadcast::error::RecvError::Lagged(3))
        ));
        let next = outgoing.receiver.recv().await.unwrap();
        assert_eq!(next.payload.timestamp, 3);
        assert_eq!(next.sequence, 1);
        drop(sender);
        for _ in 1..OUT_QUEUE {
            outgoing.receiver.recv().await.unwrap();
        }
        assert!(outgoing.receiver.recv().await.is_err());
    }

    #[test]
    fn redundancy_is_taken_off_where_it_is_not_taken() {
        let mut packer = Packer::new(111);
        let mut red = Vec::new();
        packer.pack(0, b"old", 1, &mut red);
        packer.pack(960, b"new", 1, &mut red);
        let red = Bytes::from(red);
        let with = |red| Formats { opus: 111, red };
        assert_eq!(
            fit(Encoding::Red, red.clone(), with(Some(63))),
            Some((63, red.clone()))
        );
        assert_eq!(
            fit(Encoding::Red, red.clone(), with(None)),
            Some((111, Bytes::from_static(b"new")))
        );
        assert_eq!(fit(Encoding::Red, Bytes::new(), with(None)), None);
        assert_eq!(
            fit(Encoding::Opus, red.clone(), with(Some(63))),
            Some((111, red))
        );
    }
}
