//! What the engine tells.

use std::time::Duration;

use neartalk_shared::{
    ApiError, DistanceBand, Limits, MessageId, MessageText, PeerId, Radius, Timestamp, Username,
    frame::{LeftReason, Person, Reach},
    time::millis,
};
use serde::{Serialize, Serializer};

use crate::voice::{
    Device, DeviceDirection, DeviceStatus, OwnLevel, PersonLevel, PersonQuality, VoiceNotice,
    VoicePersonStatus, VoiceSnapshot, VoiceStatus,
};

/// What the engine tells. Everything that a window shows follows from these, in their order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// How it stands with the relay.
    Connection(ConnectionState),
    /// Who this person is; after each (re)connection, and whenever it changes.
    Me(Me),
    /// The old session is gone (the relay restarted, or it was away for too long), and a new one
    /// has been made: others see a new person. [`Event::Me`] follows.
    SessionReplaced {
        /// Who this person was until now.
        former_peer_id: PeerId,
        /// And what they were called.
        former_username: Username,
        /// What they are called now.
        username: Username,
    },
    /// The relay knows the place: where words land now.
    Located(Whereabouts),
    /// The relay does not take the place, and why; it is told again by itself.
    LocationRefused {
        /// What and what to do.
        error: ApiError,
        /// When it is told again, in milliseconds.
        #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
        retry_in_ms: u64,
    },
    /// Everyone in range; replaces what was known before.
    Nearby {
        /// The whole list, nearest first.
        people: Vec<Person>,
        /// Who would be in range with another radius.
        reach: Vec<Reach>,
    },
    /// Who would be in range with another radius.
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
        /// What they were called, when that is what changed.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "typescript", specta(optional, type = Username))]
        renamed_from: Option<Username>,
    },
    /// Somebody is no longer in range.
    PersonLeft {
        /// Who.
        peer_id: PeerId,
        /// What they were called.
        username: Username,
        /// Why.
        reason: LeftReason,
    },
    /// Somebody is typing, or no longer is.
    Typing {
        /// Who.
        peer_id: PeerId,
        /// Whether they are.
        active: bool,
    },
    /// Messages new to this client that were said before it came, oldest first.
    History {
        /// Belong among the others by their time.
        messages: Vec<ChatMessage>,
    },
    /// Somebody said something.
    Message {
        /// What.
        message: ChatMessage,
    },
    /// Messages are gone, and must go from every screen.
    Removed {
        /// Which.
        ids: Vec<MessageId>,
        /// Why.
        reason: RemovedReason,
    },
    /// An own message waits to be sent.
    Queued {
        /// Which.
        id: MessageId,
        /// What it says.
        text: MessageText,
    },
    /// The relay asks for patience with an own message; it is sent by itself.
    Delayed {
        /// Which.
        id: MessageId,
        /// When it is sent again, in milliseconds.
        #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
        retry_in_ms: u64,
    },
    /// The relay has an own message.
    Sent {
        /// How it stands among the others.
        message: ChatMessage,
        /// How many people got it then.
        reached: u32,
    },
    /// An own message will not be sent.
    Failed {
        /// Which.
        id: MessageId,
        /// What it said.
        text: MessageText,
        /// Why.
        #[serde(flatten)]
        reason: FailedReason,
    },
    /// The relay has taken a report.
    Reported {
        /// Of whom.
        peer_id: PeerId,
    },
    /// Whoever runs the relay has something to say to everyone.
    Announcement {
        /// What.
        text: MessageText,
        /// Until when it is of interest, by the relay's clock.
        expires_at: Timestamp,
    },
    /// Somebody is blocked, or no longer is.
    Blocked {
        /// Who.
        peer_id: PeerId,
        /// Whether they are.
        blocked: bool,
    },
    /// Something that was asked for did not work.
    Refused {
        /// What and what to do.
        error: ApiError,
    },
    /// How it stands with voice for oneself.
    Voice(VoiceStatus),
    /// Somebody in range is in voice, or how it stands with them has changed.
    VoicePerson(VoicePersonStatus),
    /// Somebody left voice, or range.
    VoicePersonLeft {
        /// Who.
        peer_id: PeerId,
    },
    /// How loud everybody is; ten times a second while in voice or trying the microphone out.
    VoiceLevels {
        /// The own microphone.
        own: OwnLevel,
        /// Everybody connected with.
        people: Vec<PersonLevel>,
    },
    /// How well the connections do; once a second while in voice.
    VoiceQuality {
        /// Everybody in voice and in range.
        people: Vec<PersonQuality>,
    },
    /// Something about voice that a person should know.
    VoiceNotice(VoiceNotice),
    /// What there is to choose from, when voice begins and whenever it changes.
    VoiceDevices {
        /// Microphones.
        inputs: Vec<Device>,
        /// Loudspeakers.
        outputs: Vec<Device>,
    },
    /// Something happened to the microphone or the loudspeaker.
    VoiceDevice {
        /// To which of them.
        direction: DeviceDirection,
        /// What.
        status: DeviceStatus,
    },
    /// Everything that is known now; replaces whatever was known before.
    Snapshot(Box<Snapshot>),
}

/// How it stands with the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ConnectionState {
    /// On the way.
    Connecting,
    /// The relay listens.
    Online,
    /// No connection; it is tried again by itself.
    Offline {
        /// Why.
        #[serde(flatten)]
        reason: OfflineReason,
        /// When it is tried again.
        #[serde(rename = "retry_in_ms", serialize_with = "serialize_millis")]
        #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
        retry_in: Duration,
    },
    /// No connection, and trying again would not help by itself; of a ban that ends, not before it does.
    Stopped {
        /// Why.
        #[serde(flatten)]
        reason: StopReason,
    },
}

fn serialize_millis<S: Serializer>(duration: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u64(millis(*duration))
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum OfflineReason {
    /// The relay could not be reached, or did not answer in time.
    Unreachable {
        /// Its host.
        relay: String,
        /// What the system says about it.
        detail: String,
    },
    /// The connection broke.
    Lost,
    /// Nothing was heard on the connection for too long.
    Silent,
    /// The relay is shutting down or restarting.
    RelayLeaving,
    /// This client did not keep up with what the relay sent.
    FellBehind,
    /// The relay has too much to do, and asks to wait.
    Busy {
        /// In the relay's words.
        detail: String,
    },
    /// What answered does not speak as a relay does.
    NotARelay {
        /// What came.
        detail: String,
    },
}

/// Why the engine has stopped trying.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StopReason {
    /// It was asked to.
    Shutdown,
    /// Another device or window took over this session.
    TakenOver,
    /// The relay has blocked this person or address.
    Banned {
        /// For how long yet, in milliseconds, when it says so.
        #[cfg_attr(feature = "typescript", specta(type = Option<specta_typescript::Number>))]
        retry_after_ms: Option<u64>,
    },
    /// The relay does not speak this version of the protocol.
    UnsupportedProtocol,
}

/// Who this person is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Me {
    /// The public id that others see.
    pub peer_id: PeerId,
    /// Shown beside the name, so that a borrowed name does not borrow the person.
    pub tag: String,
    /// The name.
    pub username: Username,
    /// How often it can be changed yet.
    pub username_changes_left: u32,
    /// What the relay allows.
    pub limits: Box<Limits>,
}

/// A place and circle as the relay knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Whereabouts {
    /// Four characters of geohash, about 20 × 39 km: the most that is said of a place.
    pub geohash_prefix: String,
    /// Of the circle, in metres.
    pub radius: Radius,
    /// Side of the cell that the place is known to, in metres.
    pub grid_m: u32,
}

/// A message in the chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct ChatMessage {
    /// Made by whoever said it.
    pub id: MessageId,
    /// Who said it.
    pub from: PeerId,
    /// Their name then.
    pub username: Username,
    /// Whether it was this person, also in an earlier session.
    pub own: bool,
    /// What was said.
    pub text: MessageText,
    /// When the relay got it, by the relay's clock.
    pub sent_at: Timestamp,
    /// When it is gone, by the relay's clock.
    pub expires_at: Timestamp,
    /// Milliseconds until it is gone, so that nobody needs the relay's clock to show it.
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub expires_in_ms: u64,
    /// How far away they were then; of an own message, unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", specta(optional, type = DistanceBand))]
    pub distance: Option<DistanceBand>,
    /// How many people got it, of an own message whose answer came.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", specta(optional, type = u32))]
    pub reached: Option<u32>,
}

/// Why messages are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum RemovedReason {
    /// Their time has come.
    Expired,
    /// Whoever said them has been blocked.
    Blocked,
    /// There were too many; these were the oldest.
    Overflow,
}

/// Why an own message will not be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum FailedReason {
    /// It waited longer than a message lives.
    Expired,
    /// Too many wait already.
    TooMany,
    /// The relay does not take it.
    Refused {
        /// What and what to do.
        error: ApiError,
    },
}

/// An own message that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Waiting {
    /// Which.
    pub id: MessageId,
    /// What it says.
    pub text: MessageText,
}

/// Everything that is known at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Snapshot {
    /// How many events are missing before this one, because nobody took them in time.
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub missed: u64,
    /// How it stands with the relay.
    pub connection: ConnectionState,
    /// Who this person is; nobody before the first connection.
    pub me: Option<Me>,
    /// What the relay knows of the place.
    pub located: Option<Whereabouts>,
    /// The radius that was chosen, which the relay may not know yet.
    pub radius: Radius,
    /// Everyone in range, nearest first.
    pub people: Vec<Person>,
    /// Who would be in range with another radius.
    pub reach: Vec<Reach>,
    /// Who is typing.
    pub typing: Vec<PeerId>,
    /// Everything in the chat, oldest first.
    pub messages: Vec<ChatMessage>,
    /// Own messages that wait, in their order.
    pub waiting: Vec<Waiting>,
    /// Who is blocked.
    pub blocked: Vec<PeerId>,
    /// How it stands with voice.
    pub voice: VoiceSnapshot,
}
