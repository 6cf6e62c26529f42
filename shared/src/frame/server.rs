//! What relays say.

use serde::{Deserialize, Serialize};

use super::{Nonce, SignalData, Tag};
use crate::{
    error::ApiError,
    id::{MessageId, PeerId},
    limits::Limits,
    radius::Radius,
    range::DistanceBand,
    text::MessageText,
    time::Timestamp,
    username::Username,
};

/// What a relay says to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`.
    Welcome(Welcome),
    /// The answer to `locate`.
    Located {
        /// First four characters of the place's geohash.
        geohash_prefix: String,
        /// Of the circle, in metres.
        radius: Radius,
        /// Side of the cell that this place is known to, in metres.
        grid_m: u32,
    },
    /// Everyone in range; replaces what was known before.
    Nearby {
        /// The whole list.
        people: Vec<Person>,
        /// Who would be in range with another radius.
        reach: Vec<Reach>,
    },
    /// Who would be in range with another radius, when it has changed.
    Reach {
        /// By radius.
        reach: Vec<Reach>,
    },
    /// Somebody came into range.
    PersonEntered {
        /// Who.
        person: Person,
    },
    /// Something about somebody in range has changed.
    PersonChanged {
        /// How they are now.
        person: Person,
    },
    /// Somebody is no longer in range.
    PersonLeft {
        /// Who.
        peer_id: PeerId,
        /// Why.
        reason: LeftReason,
    },
    /// What was said in range in the last 30 minutes; several of these may come in a row.
    History {
        /// Oldest first.
        messages: Vec<Message>,
    },
    /// Somebody said something.
    Message(Message),
    /// The answer to `say`.
    Sent {
        /// Of the message.
        id: MessageId,
        /// When the relay got it.
        sent_at: Timestamp,
        /// When it is gone.
        expires_at: Timestamp,
        /// How many people got it then.
        reached: u32,
    },
    /// Somebody is typing.
    Typing {
        /// Who.
        peer_id: PeerId,
    },
    /// The answer to `rename`.
    Renamed {
        /// The name now.
        username: Username,
        /// How many changes are left.
        username_changes_left: u32,
    },
    /// The answer to `voice_join`.
    VoiceReady {
        /// STUN and TURN servers.
        ice_servers: Vec<IceServer>,
        /// How many peers to connect to at most.
        max_peers: u32,
    },
    /// Somebody in range is in voice: connect.
    VoicePeer {
        /// Who.
        peer_id: PeerId,
        /// This side's role in perfect negotiation; the other side has the opposite.
        polite: bool,
        /// Nobody hears them.
        muted: bool,
        /// They hear nobody.
        deafened: bool,
    },
    /// Somebody left voice, or range: disconnect.
    VoicePeerLeft {
        /// Who.
        peer_id: PeerId,
    },
    /// A peer in voice hands something over.
    Signal {
        /// Who.
        from: PeerId,
        /// What.
        data: SignalData,
    },
    /// The answer to `report`.
    Reported {
        /// Who was reported.
        peer_id: PeerId,
    },
    /// Whoever runs the relay has something to say to everyone, or to everyone around here.
    Announcement {
        /// What.
        text: MessageText,
        /// When it is of no interest any more.
        expires_at: Timestamp,
    },
    /// Something did not work.
    Error {
        /// What and what to do.
        #[serde(flatten)]
        error: ApiError,
        /// The message that it is about.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<MessageId>,
    },
    /// The answer to `ping`.
    Pong {
        /// What came with it.
        nonce: Nonce,
    },
}

impl ServerFrame {
    /// Parses a frame. `None` is one of a type that this version does not know, to be ignored.
    pub fn parse(json: &str) -> Result<Option<Self>, serde_json::Error> {
        match serde_json::from_str::<Self>(json) {
            Ok(frame) => Ok(Some(frame)),
            Err(e) => match serde_json::from_str::<Tag>(json) {
                Ok(Tag { tag }) if !Self::TYPES.contains(&tag.as_ref()) => Ok(None),
                _ => Err(e),
            },
        }
    }

    /// The frame as it crosses the wire.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a frame has only string keys and finite numbers")
    }

    /// Every `type` there is.
    pub const TYPES: [&str; 20] = [
        "welcome",
        "located",
        "nearby",
        "reach",
        "person_entered",
        "person_changed",
        "person_left",
        "history",
        "message",
        "sent",
        "typing",
        "renamed",
        "voice_ready",
        "voice_peer",
        "voice_peer_left",
        "signal",
        "reported",
        "announcement",
        "error",
        "pong",
    ];
}

/// The answer to `hello`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Welcome {
    /// The public id that others see.
    pub peer_id: PeerId,
    /// The name now.
    pub username: Username,
    /// How many changes are left.
    pub username_changes_left: u32,
    /// Whether this session had a socket before; false when it is new.
    pub resumed: bool,
    /// The relay's clock, which messages expire by.
    pub server_time: Timestamp,
    /// What the relay holds its clients to.
    pub limits: Limits,
}

/// Somebody in range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Person {
    /// Who.
    pub peer_id: PeerId,
    /// The name now.
    pub username: Username,
    /// Names they had before in this session, oldest first.
    pub former_usernames: Vec<Username>,
    /// How far away.
    pub distance: DistanceBand,
    /// Whether they are in voice.
    pub in_voice: bool,
    /// Nobody hears them.
    pub muted: bool,
    /// They hear nobody.
    pub deafened: bool,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Message {
    /// Made by the client that said it.
    pub id: MessageId,
    /// Who said it.
    pub from: PeerId,
    /// Their name then.
    pub username: Username,
    /// What they said.
    pub text: MessageText,
    /// When the relay got it.
    pub sent_at: Timestamp,
    /// When it is gone, everywhere.
    pub expires_at: Timestamp,
    /// How far away they were then.
    pub distance: DistanceBand,
}

/// How many people would be in range with a certain radius.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Reach {
    /// In metres.
    pub radius: u32,
    /// How many people.
    pub count: u32,
}

/// Why somebody is no longer in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum LeftReason {
    /// One of the two moved, or chose a smaller circle.
    Moved,
    /// They left.
    Left,
    /// Nothing was heard of them for too long.
    Expired,
    /// The relay blocked them.
    Banned,
}

/// A STUN or TURN server, in the shape of `RTCIceServer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct IceServer {
    /// `stun:` and `turn:` addresses.
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}
