//! One connection with one other person: WebRTC, with sound as payloads in and payloads out.
//!
//! A [`Peer`] is a shell: an actor task of its own keeps the connection, its sockets and its
//! negotiation; what it says and is told are typed messages in bounded queues. Nothing here encodes or
//! decodes, and nothing here knows how [`Signal`]s travel.
//!
//! - [`scrub`]: "hide my address": what of a description or a candidate may be sent then.
//! - Negotiation is the perfect one (W3C WebRTC 1.0, §10.7): either side may offer at any time, and of
//!   two offers that cross the impolite side's stays.
//! - Sound is Opus, with redundancy (RFC 2198) where the other side takes it.
//!
//! TURN is spoken over UDP only; servers over TCP or TLS are passed over.

mod actor;
mod config;
pub(crate) mod formats;
mod media;
mod negotiation;
mod prompt;
mod reports;
pub mod scrub;
mod stats;

use thiserror::Error;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::redundancy::ReceiverReport;

use actor::{Actor, Command};
pub use config::{IceServer, PeerConfig};
pub use formats::Formats;
pub use media::{Encoding, Packet, PacketReceiver, Payload, PayloadSender};
pub use stats::Stats;

/// Signals and wishes that wait for a connection's actor. A description and all its candidates fit.
const COMMANDS: usize = 128;

/// Events that wait to be taken; the actor waits for them to be.
const EVENTS: usize = 64;

/// Why a connection can't be made or can't do something.
#[derive(Debug, Error)]
pub enum PeerError {
    /// No socket, or no memory, or a server's address that can't be read.
    #[error("a voice connection could not be set up ({0}); check the network and try again")]
    SetUp(#[from] webrtc::error::Error),
    /// The way is to be over a relay only, and there is none.
    #[error(
        "hiding your address needs a relay (a TURN server over UDP), and there is none; \
         ask whoever runs this place for one, or stop hiding it"
    )]
    NoRelay,
    /// More signals than the connection can take, or it is closed.
    #[error("the voice connection takes no more; close it and make a new one")]
    Overrun,
}

/// Which half of the offer/answer exchange (RFC 3264) a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptionKind {
    /// What is offered.
    Offer,
    /// What is accepted of it.
    Answer,
}

/// A trickled ICE candidate (RFC 8838).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The candidate line; an empty one ends them.
    pub candidate: String,
    /// Which media section it belongs to, by identification tag …
    pub sdp_mid: Option<String>,
    /// … and by index.
    pub sdp_m_line_index: Option<u16>,
}

/// What the two sides tell each other to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A session description.
    Description {
        /// Offer or answer.
        kind: DescriptionKind,
        /// The description (RFC 8866).
        sdp: String,
    },
    /// A trickled candidate.
    Candidate(Candidate),
    /// The sender closes this connection, or wants none.
    Bye,
}

/// How a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Being made.
    Connecting,
    /// Sound can flow.
    Connected,
    /// Nothing comes through at present; it may pass.
    Interrupted,
    /// Beyond repair, but for an ICE restart.
    Failed,
    /// Closed by the other side. Nothing follows.
    Closed,
}

/// What a connection says.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// To be sent to the other side, in this order.
    Signal(Signal),
    /// It stands otherwise than before.
    State(State),
    /// An offer came that begins another session: the other side has given this one up. It is for a new
    /// connection, once this one is closed.
    Foreign(Signal),
    /// The other side says how it receives what was sent.
    Report {
        /// How well.
        report: ReceiverReport,
        /// Whether anything has arrived since the report before.
        arriving: bool,
    },
}

/// A connection just made, with everything that belongs to it.
#[derive(Debug)]
pub struct Opened {
    /// To tell it what to do.
    pub peer: Peer,
    /// What it says. Its actor waits while this is full.
    pub events: mpsc::Receiver<Event>,
    /// To send sound.
    pub sender: PayloadSender,
    /// The sound received.
    pub packets: PacketReceiver,
}

/// One connection. Closes when dropped.
#[derive(Debug)]
pub struct Peer {
    commands: mpsc::Sender<Command>,
    // Dropping it closes the connection.
    _close: oneshot::Sender<()>,
    actor: JoinHandle<()>,
    shared: watch::Receiver<media::Shared>,
}

impl Peer {
    /// Opens sockets and starts the actor on the current Tokio runtime; nothing is sent before
    /// [`Self::offer`], or before an offer is handed in.
    ///
    /// # Errors
    /// When there is no socket to be had, or a server's address can't be read.
    pub async fn open(config: PeerConfig) -> Result<Opened, PeerError> {
        let (event_sender, events) = mpsc::channel(EVENTS);
        let (commands, command_receiver) = mpsc::channel(COMMANDS);
        let (close, closing) = oneshot::channel();
        let (shared_sender, shared) = watch::channel(media::Shared::default());
        let (sender, outgoing) = media::outgoing(rand::random());
        let (incoming, packets) = media::incoming();
        let actor = Actor::new(config, event_sender, shared_sender, outgoing, incoming).await?;
        let actor = tokio::spawn(actor.run(command_receiver, closing));
        let peer = Self {
            commands,
            _close: close,
            actor,
            shared,
        };
        Ok(Opened {
            peer,
            events,
            sender,
            packets,
        })
    }

    /// Offers a connection.
    ///
    /// # Errors
    /// When its queue is full, or it is closed.
    pub fn offer(&self) -> Result<(), PeerError> {
        self.command(Command::Offer)
    }

    /// What servers to use from the next [`Self::restart_ice`] on. What was allocated on others goes on
    /// until then.
    ///
    /// # Errors
    /// When its queue is full, or it is closed.
    pub fn set_ice_servers(&self, servers: Vec<IceServer>) -> Result<(), PeerError> {
        self.command(Command::Servers(servers))
    }

    /// Looks for another way to the other side (ICE restart), with new sockets: for when the network has
    /// changed, or nothing comes through. Does nothing before both descriptions are there.
    ///
    /// # Errors
    /// When its queue is full, or it is closed.
    pub fn restart_ice(&self) -> Result<(), PeerError> {
        self.command(Command::Restart)
    }

    /// Hands in what the other side said. `Bye` closes the connection.
    ///
    /// # Errors
    /// When its queue is full, or it is closed.
    pub fn signal(&self, signal: Signal) -> Result<(), PeerError> {
        self.command(Command::Signal(signal))
    }

    fn command(&self, command: Command) -> Result<(), PeerError> {
        self.commands
            .try_send(command)
            .map_err(|_| PeerError::Overrun)
    }

    /// As what the other side takes sound; `None` until that is agreed on. Redundant payloads are to name the
    /// blocks in them with [`Formats::opus`].
    pub fn formats(&self) -> Option<Formats> {
        self.shared.borrow().send_as
    }

    /// How well it does, as looked at every second since it is connected. Never waits.
    pub fn stats(&self) -> Stats {
        self.shared.borrow().stats
    }

    /// Closes the connection, and returns when its tasks and sockets are gone.
    pub async fn close(self) {
        let Self { _close, actor, .. } = self;
        drop(_close);
        // It can only fail by a panic, which is told where it happens.
        let _ = actor.await;
    }
}
