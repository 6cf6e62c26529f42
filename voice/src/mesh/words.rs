//! What a [`Mesh`](super::Mesh) is told, and what it says.

use std::time::Duration;

/// The numbers of a [`Mesh`](super::Mesh).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeshConfig {
    /// Connections at most.
    pub max_peers: usize,
    /// So much nearer, in metres, must somebody be to displace somebody else.
    pub margin_m: u32,
    /// How long the polite side waits for an offer before it makes one.
    pub polite_wait: Duration,
    /// An attempt that has not connected after so long has failed.
    pub attempt: Duration,
    /// An interrupted connection that is not back after so long has failed.
    pub recovery: Duration,
    /// How long the other side may say that it hears nothing before something is done.
    pub unheard: Duration,
    /// Attempts until somebody is unreachable.
    pub attempts: u32,
    /// Wait before the third attempt; doubles with each.
    pub back_off: Duration,
    /// Wait before somebody who refused, or is unreachable, is tried again.
    pub again: Duration,
    /// Wait before an interrupted connection restarts ICE where servers have just been named; the polite side
    /// takes it thrice.
    pub renamed: Duration,
    /// Whether only the relay (TURN) is used, so that nobody learns this side's address.
    pub relay_only: bool,
}

impl Default for MeshConfig {
    fn default() -> Self {
        Self {
            max_peers: 8,
            margin_m: 100,
            polite_wait: Duration::from_millis(1_000),
            attempt: Duration::from_secs(8),
            recovery: Duration::from_secs(12),
            unheard: Duration::from_secs(3),
            attempts: 6,
            back_off: Duration::from_secs(2),
            again: Duration::from_secs(30),
            renamed: Duration::from_millis(300),
            relay_only: false,
        }
    }
}

impl MeshConfig {
    /// How long a side waits that restarts ICE with servers that have just been named.
    pub(super) fn soon(&self, polite: bool) -> Duration {
        self.renamed * if polite { 3 } else { 1 }
    }
}

/// Over what a connection may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Directly or over the relay, whatever works first.
    Any,
    /// Over the relay only.
    RelayOnly,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<Id> {
    /// Somebody in range is in voice. Again for somebody known: their role or distance is another.
    Appeared {
        /// Who.
        peer: Id,
        /// This side's role in perfect negotiation.
        polite: bool,
        /// Near edge of the distance band shown for them, in metres.
        near_edge_m: u32,
    },
    /// Somebody is at another distance.
    Moved {
        /// Who.
        peer: Id,
        /// Near edge of the distance band shown for them, in metres.
        near_edge_m: u32,
    },
    /// Somebody left voice, or range.
    Left {
        /// Who.
        peer: Id,
    },
    /// Somebody offers, and there is no connection with them that can take it: none at all, or one that
    /// they have given up (its description is of another session). An offer that crosses this side's own
    /// is not told: perfect negotiation takes care of it.
    Offered {
        /// Who.
        peer: Id,
    },
    /// Somebody said `bye`: they have no room, or have found somebody nearer.
    Refused {
        /// Who.
        peer: Id,
    },
    /// Sound can flow.
    Connected {
        /// With whom.
        peer: Id,
    },
    /// Nothing comes through at present (ICE: disconnected).
    Interrupted {
        /// With whom.
        peer: Id,
    },
    /// The connection is beyond repair (ICE or DTLS: failed).
    Failed {
        /// With whom.
        peer: Id,
    },
    /// The other side says whether it receives what this side sends. Only to be told while something is
    /// sent: silence is no fault.
    Hears {
        /// Who says so.
        peer: Id,
        /// Whether they receive anything.
        hears_me: bool,
    },
    /// This device's addresses are others.
    NetworkChanged,
    /// This side wants nothing to do with somebody any more.
    Blocked {
        /// With whom.
        peer: Id,
    },
    /// Or does again.
    Unblocked {
        /// With whom.
        peer: Id,
    },
    /// Whether only the relay is to be used; connections that may be direct are made anew.
    RelayOnly(bool),
    /// The servers to connect with have been named, perhaps others than before, and whether there is a relay
    /// (TURN) among them; assumed until told otherwise.
    Relay(bool),
    /// Connections at most from now on; the furthest are let go.
    MaxPeers(usize),
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action<Id> {
    /// Make a connection and send an offer.
    Offer {
        /// To whom.
        peer: Id,
        /// Over what.
        policy: Policy,
    },
    /// Make a connection and answer the offer that came.
    Accept {
        /// Whose.
        peer: Id,
        /// Over what.
        policy: Policy,
    },
    /// Send `bye`; there is no connection.
    Refuse {
        /// To whom.
        peer: Id,
    },
    /// Close the connection, and send `bye` if `bye` says so.
    Close {
        /// With whom.
        peer: Id,
        /// Whether the other side must be told: it did not say so itself, and shall not wait for this side.
        bye: bool,
    },
    /// Restart ICE on the connection.
    RestartIce {
        /// With whom.
        peer: Id,
    },
    /// Tell the person.
    Tell(Notice<Id>),
}

/// What a person should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice<Id> {
    /// No way to somebody was found; it will be tried again, but not soon.
    Unreachable {
        /// To whom.
        peer: Id,
    },
    /// Somebody can't hear this side, or can again. It is over with the connection that it was said of.
    CannotHearYou {
        /// Who.
        peer: Id,
        /// Whether they can't.
        cannot: bool,
    },
    /// The room is full: listening to the nearest only. Or no longer.
    RoomFull {
        /// Whether it is.
        full: bool,
    },
    /// Only the relay is to be used and there is none, so nobody can be connected to. Told once until that
    /// changes.
    NoRelay,
}

/// How the connection with somebody stands, as a person would put it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// There is none: the room is full, here or there, or they are blocked.
    Waiting,
    /// It is being made, or will be made again soon.
    Connecting,
    /// Sound can flow.
    Connected,
    /// Nothing comes through at present.
    Interrupted,
    /// No way was found; it will be tried again, but not soon.
    Unreachable,
}
