//! One person's end of a call: the connection, what redundancy it needs, and what comes over it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::{
    runtime::Handle,
    sync::{mpsc::error::TryRecvError, oneshot},
};

use super::{
    HELD_SIGNALS,
    quality::{Lately, Quality},
    voice::VoicePacket,
};
use crate::{
    FRAME,
    codec::{CodecError, Decoder},
    jitter::{Decode, Heard, JitterConfig, Packet, Playout, Redundant},
    mesh::LinkState,
    peer::{
        self, Encoding, Event, IceServer, Opened, Payload, Peer, PeerConfig, PeerError, Signal,
        State,
    },
    red::{MAX_REDUNDANT, Packer, Red},
    redundancy::{Demand, NEAR, PeerRedundancy, ReceiverReport},
};

/// After so many packets a report should tell of some of them; fewer may all be lost or on the way.
const TELLING: u32 = 20;

/// After so many packets there should have been a report: browsers take up to 5 s.
const UNREPORTED: u32 = 400;

/// How long sound from a short path is held back at first.
const NEAR_AT_FIRST: Duration = Duration::from_millis(10);

/// A stream whose connection is gone.
pub(super) type Leaving = Playout<Decoder>;

#[derive(Debug)]
enum Connection {
    /// Its sockets are being opened.
    Opening {
        opened: oneshot::Receiver<Result<Opened, PeerError>>,
        offer: bool,
        signals: Vec<Signal>,
        /// Others than those that it is opened with.
        servers: Option<Vec<IceServer>>,
    },
    Open(Box<Opened>),
    Lost,
}

/// What a connection has to say.
#[derive(Debug)]
pub(super) enum Progress {
    Event(Event),
    /// It is no more; said once.
    Lost,
}

/// What is known of who a packet was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    Fine,
    /// They have not said for long that they receive anything.
    Unheard,
}

#[derive(Debug)]
pub(super) struct Link {
    connection: Connection,
    /// Fingerprint of the other side's certificate.
    session: Option<String>,
    connected: bool,
    playout: Playout<Decoder>,
    redundancy: PeerRedundancy,
    /// With the payload type that its packets name.
    packer: Option<(u8, Packer)>,
    red: Vec<u8>,
    /// Packets sent since the last report.
    unreported: u32,
    hears_me: Option<bool>,
    lately: Lately,
    /// Whether it is known how long the path is.
    path_known: bool,
}

impl Link {
    pub(super) fn open(
        config: PeerConfig,
        offer: bool,
        runtime: &Handle,
    ) -> Result<Self, CodecError> {
        let playout = Playout::new(JitterConfig::default(), Decoder::new()?);
        let (sender, opened) = oneshot::channel();
        runtime.spawn(async move {
            // If it is not wanted any more, it closes by being dropped.
            let _ = sender.send(Peer::open(config).await);
        });
        Ok(Self {
            connection: Connection::Opening {
                opened,
                offer,
                signals: Vec::new(),
                servers: None,
            },
            session: None,
            connected: false,
            playout,
            redundancy: PeerRedundancy::new(),
            packer: None,
            red: Vec::new(),
            unreported: 0,
            hears_me: None,
            lately: Lately::default(),
            path_known: false,
        })
    }

    /// Whether a description with this fingerprint is of this connection's session.
    pub(super) fn is_session(&self, fingerprint: Option<&str>) -> bool {
        self.session.is_none() || self.session.as_deref() == fingerprint
    }

    pub(super) fn set_session(&mut self, fingerprint: Option<String>) {
        self.session = fingerprint;
    }

    /// Hands in what the other side said.
    pub(super) fn signal(&mut self, signal: Signal) {
        match &mut self.connection {
            Connection::Opening { signals, .. } => {
                if signals.len() < HELD_SIGNALS {
                    signals.push(signal);
                }
            }
            Connection::Open(opened) => {
                let done = opened.peer.signal(signal);
                self.connection_took(done);
            }
            Connection::Lost => {}
        }
    }

    /// What servers to use from the next restart on.
    pub(super) fn set_ice_servers(&mut self, servers: Vec<IceServer>) {
        match &mut self.connection {
            // Whatever it asks of the old ones it asks in vain, or not: that is seen when it is there.
            Connection::Opening { servers: later, .. } => *later = Some(servers),
            Connection::Open(opened) => {
                let done = opened.peer.set_ice_servers(servers);
                self.connection_took(done);
            }
            Connection::Lost => {}
        }
    }

    pub(super) fn restart_ice(&mut self) {
        if let Connection::Open(opened) = &self.connection {
            let done = opened.peer.restart_ice();
            self.connection_took(done);
        }
    }

    fn connection_took(&mut self, done: Result<(), PeerError>) {
        if let Err(error) = done {
            // It has ended, which its events tell, or is flooded, and better made anew.
            tracing::debug!(%error, "a voice connection is given up");
            if let Connection::Open(opened) = &mut self.connection {
                opened.events.close();
            }
        }
    }

    /// What it has to say, if anything.
    pub(super) fn progress(&mut self) -> Option<Progress> {
        if let Connection::Opening {
            opened,
            offer,
            signals,
            servers,
        } = &mut self.connection
        {
            let result = match opened.try_recv() {
                Ok(result) => result,
                Err(oneshot::error::TryRecvError::Empty) => return None,
                // The runtime is shutting down.
                Err(oneshot::error::TryRecvError::Closed) => return self.lose(),
            };
            let opened = match result {
                Ok(opened) => opened,
                Err(error) => {
                    tracing::warn!(%error, "no connection with another person");
                    return self.lose();
                }
            };
            let offer = *offer;
            let signals = std::mem::take(signals);
            let servers = servers.take();
            if offer && opened.peer.offer().is_err() {
                return self.lose();
            }
            self.connection = Connection::Open(Box::new(opened));
            if let Some(servers) = servers {
                self.set_ice_servers(servers);
            }
            for signal in signals {
                self.signal(signal);
            }
        }
        let Connection::Open(opened) = &mut self.connection else {
            return None;
        };
        match opened.events.try_recv() {
            Ok(event) => {
                match event {
                    Event::State(State::Connected) => self.connected = true,
                    Event::State(State::Failed | State::Closed) => self.connected = false,
                    _ => {}
                }
                Some(Progress::Event(event))
            }
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => self.lose(),
        }
    }

    fn lose(&mut self) -> Option<Progress> {
        self.connection = Connection::Lost;
        self.connected = false;
        Some(Progress::Lost)
    }

    pub(super) const fn is_connected(&self) -> bool {
        self.connected
    }

    /// Takes in what the other side says of what it receives; whether it hears this side, if that can be
    /// told.
    pub(super) fn report(
        &mut self,
        report: ReceiverReport,
        arriving: bool,
        now: Duration,
    ) -> Option<bool> {
        self.redundancy.report(report, now);
        let sent = std::mem::take(&mut self.unreported);
        let hears_me = (arriving || sent >= TELLING).then_some(arriving);
        self.hears_me = hears_me.or(self.hears_me);
        hears_me
    }

    /// How well it does, but for what the call knows.
    pub(super) fn quality(&self, state: LinkState, now: Duration) -> Quality {
        let stats = self.playout.stats(now);
        let (loss, concealed) = self.lately.shares(now, &stats);
        let connection = match &self.connection {
            Connection::Open(opened) => opened.peer.stats(),
            _ => peer::Stats::default(),
        };
        Quality {
            loss,
            concealed,
            round_trip: connection.rtt,
            delay: stats.delay,
            target: stats.target,
            send_loss: connection.send_loss,
            relayed: connection.relayed,
            hears_me: self.hears_me,
            ..Quality::none(state)
        }
    }

    /// What its network needs of what it takes.
    pub(super) fn demand(&self) -> Demand {
        let mut demand = self.redundancy.demand();
        if let Connection::Open(opened) = &self.connection
            && opened.peer.formats().is_some_and(|it| it.red.is_none())
        {
            demand.copies = 0;
        }
        demand
    }

    /// Sends a packet, with what redundancy the connection needs.
    pub(super) fn send(&mut self, packet: &VoicePacket) -> Sent {
        let Connection::Open(opened) = &mut self.connection else {
            return Sent::Fine;
        };
        let Some(formats) = opened.peer.formats().filter(|_| self.connected) else {
            return Sent::Fine;
        };
        let copies = usize::from(self.redundancy.demand().copies);
        let mut payload = Payload {
            encoding: Encoding::Opus,
            timestamp: packet.timestamp,
            marker: packet.marker,
            bytes: packet.bytes.clone(),
        };
        if formats.red.is_some() {
            let (_, packer) = match &mut self.packer {
                Some(packer) if packer.0 == formats.opus => packer,
                other => other.insert((formats.opus, Packer::new(formats.opus))),
            };
            // Also when nothing is copied, so that the next ones have something to copy.
            packer.pack(packet.timestamp, &packet.bytes, copies, &mut self.red);
            if copies > 0 {
                payload.encoding = Encoding::Red;
                payload.bytes = Bytes::copy_from_slice(&self.red);
            }
        }
        opened.sender.send(payload);
        self.unreported += 1;
        if self.unreported >= UNREPORTED {
            self.hears_me = Some(false);
            Sent::Unheard
        } else {
            Sent::Fine
        }
    }

    /// Puts what has come where it waits to be played. `start` is when the time is zero.
    pub(super) fn take_packets(&mut self, start: Instant) {
        let Connection::Open(opened) = &mut self.connection else {
            return;
        };
        if !self.path_known
            && let Some(round_trip) = opened.peer.stats().rtt
        {
            self.path_known = true;
            self.redundancy.begin(round_trip);
            if round_trip < NEAR {
                self.playout.set_at_first(NEAR_AT_FIRST);
            }
        }
        while let Some(packet) = opened.packets.try_recv() {
            insert(&mut self.playout, &packet, start);
        }
    }

    pub(super) const fn playout(&self) -> &Playout<Decoder> {
        &self.playout
    }

    /// Fetches the 10 ms to be played at `now`.
    pub(super) fn hear(&mut self, now: Duration, out: &mut [f32; FRAME]) -> Heard {
        let heard = self.playout.tick(now, out);
        self.lately.look(now, || self.playout.stats(now));
        heard
    }

    pub(super) fn into_playout(self) -> Leaving {
        self.playout
    }
}

/// Puts a packet, with the copies in it, where it waits to be played. `start` is when the playout's time is
/// zero. Anything may be in the packet.
pub fn insert<D: Decode>(playout: &mut Playout<D>, packet: &peer::Packet, start: Instant) {
    let now = packet.arrival.saturating_duration_since(start);
    let nothing = Redundant {
        offset: 0,
        payload: &[],
    };
    let mut redundant = [nothing; MAX_REDUNDANT];
    let mut copies = 0;
    let payload: &[u8] = match packet.encoding {
        Encoding::Opus => &packet.payload,
        Encoding::Red => {
            let Ok(red) = Red::parse(&packet.payload) else {
                return;
            };
            let primary = red.primary();
            // Anything else in it is not Opus.
            let same = red
                .redundant()
                .iter()
                .filter(|block| block.payload_type == primary.payload_type);
            for (slot, block) in redundant.iter_mut().zip(same) {
                *slot = Redundant {
                    offset: block.offset,
                    payload: block.payload,
                };
                copies += 1;
            }
            primary.payload
        }
    };
    let packet = Packet {
        ssrc: packet.stream,
        sequence: packet.sequence,
        timestamp: packet.timestamp,
        payload,
        redundant: &redundant[..copies],
    };
    playout.insert(&packet, now);
}
