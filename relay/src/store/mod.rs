//! Where a relay keeps what outlives a socket, and how it meets other relays.
//!
//! The [`room`](crate::room) always holds its own people and what was said around them, so that a
//! message finds its recipients without waiting for anything. A [`Storage`] is what is behind it:
//! [`Memory`] means that the room is all there is; [`redis`] shares it among any number of relays,
//! of which each can be killed.

pub mod attendance;
pub mod redis;
pub mod region;
pub mod wire;

use std::{collections::BTreeMap, time::Duration};

use neartalk_shared::{PeerId, Timestamp, frame::LeftReason, http::StoreKind};
use tokio::sync::oneshot;

use self::{
    region::Region,
    wire::{
        Claim, Event, Letter, NodeId, PlaceRecord, Presence, Reply, Request, SessionKey,
        SessionRecord, Stamp, Utterance,
    },
};
use crate::{
    address::AddressKey,
    moderation::{
        bans::Ban,
        origin::{DayKey, OriginDigest},
        rulings::Ruling,
    },
    turn::relay::InnerServer,
};

/// What the room has decided that others must know, or that must outlive this relay.
#[derive(Debug)]
pub enum Change {
    /// A session is new or different. It is kept until then.
    Session(SessionKey, Box<SessionRecord>, Timestamp),
    /// A session's place is new or different, and kept until then; or there is none any more.
    Place(SessionKey, Option<(Box<PlaceRecord>, Timestamp)>),
    /// A session has ended.
    Ended(SessionKey),
    /// Somebody is in this region, or looks different.
    Present(Region, Box<Presence>),
    /// Somebody is no longer in this region.
    Gone {
        /// Which region.
        region: Region,
        /// Who.
        peer_id: PeerId,
        /// How new this is.
        stamp: Stamp,
        /// Why.
        reason: LeftReason,
        /// Where they are now, if they have moved.
        to: Option<Region>,
    },
    /// Somebody in this region is another relay's from now on.
    HandedOver(Region, PeerId),
    /// These are all people of this relay's in this region; of any others it has been missed that they
    /// are gone.
    Roster(Region, Vec<PeerId>),
    /// Something is said in this region. The room wants to know when others have it.
    Said(Region, Box<Utterance>),
    /// Something was said in this region that others may have lost.
    Keep(Region, Box<Utterance>),
    /// Something happens in this region that only those need to know who are there now.
    Passing(Region, Box<Event>),
    /// This region is one of those around somebody here.
    Attend(Region),
    /// This region is no longer around anybody here.
    Neglect(Region),
    /// A word to another relay.
    Letter(NodeId, Box<Letter>),
    /// Something was decided that is to be known on all relays.
    Ruling(Box<Ruling>),
    /// Everything before this has been dealt with.
    Fence(oneshot::Sender<()>),
}

/// What the room gets to know from its [`Storage`].
#[derive(Debug)]
pub enum News {
    /// Something happens in a region, says the relay that did it.
    Event(NodeId, Region, Event),
    /// What is in a region: who (each with the relay that they are on), and what was said.
    Snapshot {
        /// Which region.
        region: Region,
        /// Who is there.
        people: Vec<(NodeId, Presence)>,
        /// What was said there.
        messages: Vec<Utterance>,
        /// Whether those who are not listed are gone, unless something was heard of them since
        /// this time.
        complete_at: Option<Timestamp>,
    },
    /// Nothing more will be heard of this region.
    Forget(Region),
    /// These relays are alive; people of others of whom nothing was heard since this time are gone.
    Alive(Vec<NodeId>, Timestamp),
    /// The TURN servers inside other relays that are alive.
    TurnServers(BTreeMap<NodeId, InnerServer>),
    /// These messages have been dealt with: others have them, or (false) can't be reached.
    Stored(Vec<neartalk_shared::MessageId>, bool),
    /// A word from another relay.
    Letter(NodeId, Letter),
    /// A signal that could not be delivered; from whom it was.
    Undeliverable(PeerId),
    /// The key that all relays use on a day, counted from 1970.
    Key(u64, DayKey),
    /// What was decided on any relay.
    Rulings(Vec<Ruling>),
    /// Other relays claim these sessions.
    Claimed(Vec<(SessionKey, Claim)>),
}

/// Where a session is that the room does not know.
#[derive(Debug)]
pub enum Whereabouts {
    /// Nowhere: there is none.
    Nowhere,
    /// Nobody can say at the moment.
    Unknown,
    /// On this relay, says the record, which may be out of date if that relay is there to ask.
    At(NodeId, Box<SessionRecord>),
}

/// How often a socket is counted anew, so that those of a relay that has died are forgotten.
pub const SOCKET_RENEWAL: Duration = Duration::from_secs(60);

/// A socket that counts against its address on all relays.
#[derive(Clone, Copy, Debug)]
pub struct SocketTicket {
    /// The address, as far as anyone needs to know.
    pub origin: OriginDigest,
    /// Which socket of this relay.
    pub number: u64,
}

/// An address has too many sockets on all relays together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// What is behind a room.
#[async_trait::async_trait]
pub trait Storage: std::fmt::Debug + Send + Sync {
    /// What kind it is, for whoever asks about the relay's health.
    fn kind(&self) -> StoreKind;

    /// What is wrong with it at the moment, for people.
    fn trouble(&self) -> Option<String>;

    /// This relay among those that share the store; none when it is alone.
    fn node(&self) -> Option<NodeId>;

    /// Waits until the store can be used, or it is clear that it can't for now.
    async fn ready(&self);

    /// Takes what the room has decided, in this order. Never waits.
    fn apply(&self, changes: Vec<Change>);

    /// Waits until everything that was taken has been dealt with, or a moment has passed.
    async fn flush(&self);

    /// Looks for a session.
    async fn find(&self, key: SessionKey) -> Whereabouts;

    /// Makes sure that the room knows what is in these regions and hears of what happens there;
    /// returns without that while the store can't be reached.
    async fn attend(&self, regions: Vec<Region>);

    /// Counts a new session from an address on all relays together, or says in how many milliseconds
    /// one will be allowed. A store that does not answer forbids nothing: each relay counts, too.
    async fn count_session(&self, _address: AddressKey) -> Result<(), u64> {
        Ok(())
    }

    /// Counts a socket from an address on all relays together until it is
    /// [released](Storage::release_socket) or not renewed for a while.
    async fn count_socket(&self, _address: AddressKey) -> Result<Option<SocketTicket>, TooMany> {
        Ok(None)
    }

    /// Keeps counting a socket, every [`SOCKET_RENEWAL`].
    async fn renew_socket(&self, _ticket: SocketTicket) {}

    /// Counts a socket no longer.
    async fn release_socket(&self, _ticket: SocketTicket) {}

    /// Whether nobody at an address has shown the answer to this challenge to any relay before.
    async fn spend_proof(&self, _address: AddressKey, _challenge: &str) -> bool {
        true
    }

    /// Bans somebody on whichever other relay they are.
    async fn ban_elsewhere(&self, _peer_id: PeerId, _time: Duration) -> Option<Ban> {
        None
    }

    /// Asks another relay; `None` when it is not there or does not answer.
    async fn ask(&self, node: NodeId, key: SessionKey, request: Request) -> Option<Reply>;
}

/// The store of a relay on its own: its room. Nothing is anywhere else, and nobody else is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

#[async_trait::async_trait]
impl Storage for Memory {
    fn kind(&self) -> StoreKind {
        StoreKind::Memory
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    fn node(&self) -> Option<NodeId> {
        None
    }

    async fn ready(&self) {}

    fn apply(&self, _changes: Vec<Change>) {}

    async fn flush(&self) {}

    async fn find(&self, _key: SessionKey) -> Whereabouts {
        Whereabouts::Nowhere
    }

    async fn attend(&self, _regions: Vec<Region>) {}

    async fn ask(&self, _node: NodeId, _key: SessionKey, _request: Request) -> Option<Reply> {
        None
    }
}
