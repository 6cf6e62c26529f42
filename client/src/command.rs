//! What the engine can be asked to do.

use neartalk_shared::{
    MessageId, MessageText, PeerId, Radius, Username,
    frame::{ReportReason, SignalData},
};
use serde::{Deserialize, Serialize};

/// What the engine can be asked to do. Whatever comes of it is told by
/// [`Event`](crate::Event)s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Command {
    /// Say something to everyone in range, as soon as that is possible.
    Say {
        /// Made by whoever asks, so that the fate of the message can be followed by it.
        id: MessageId,
        /// What to say.
        text: MessageText,
    },
    /// The person is typing. May be said with every key; it is told to others at most every few
    /// seconds.
    Typing,
    /// Call me something else.
    Rename {
        /// The new name.
        username: Username,
    },
    /// Choose another circle.
    SetRadius {
        /// In metres.
        radius: Radius,
    },
    /// Somebody misbehaves.
    Report {
        /// Who.
        peer_id: PeerId,
        /// Why.
        reason: ReportReason,
        /// With which message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
    },
    /// Hear and see nothing of somebody any more. Local: the relay and they are not told.
    Block {
        /// Who.
        peer_id: PeerId,
    },
    /// Hear and see them again. What they said meanwhile stays away.
    Unblock {
        /// Who.
        peer_id: PeerId,
    },
    /// Do not wait any longer: connect now. Also starts again after a stop.
    RetryNow,
    /// Tell everything that is known now, as one [`Event::Snapshot`](crate::Event::Snapshot).
    Snapshot,
    /// Join voice.
    VoiceJoin,
    /// The microphone or loudspeaker is on or off.
    VoiceState {
        /// Nobody hears me.
        muted: bool,
        /// I hear nobody.
        deafened: bool,
    },
    /// Leave voice.
    VoiceLeave,
    /// Hand something to a peer in voice.
    Signal {
        /// To whom.
        to: PeerId,
        /// What.
        data: SignalData,
    },
    /// Leave the relay cleanly and end the engine.
    Shutdown,
}
