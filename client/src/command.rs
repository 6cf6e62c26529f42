//! What the engine can be asked to do.

use neartalk_shared::{MessageId, MessageText, PeerId, Radius, Username, frame::ReportReason};
use serde::{Deserialize, Serialize};

use crate::voice::{VoiceSettings, Volume};

/// What the engine can be asked to do. Whatever comes of it is told by
/// [`Event`](crate::Event)s.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
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
    /// The device's network has changed: look for the relay and for everybody in voice anew. What the
    /// engine can see for itself, it needs not be told.
    NetworkChanged,
    /// Join voice.
    VoiceJoin,
    /// Leave voice.
    VoiceLeave,
    /// Whether nobody is to hear me.
    VoiceMute {
        /// Whether.
        muted: bool,
    },
    /// Whether I am to hear nobody, nor to be heard.
    VoiceDeafen {
        /// Whether.
        deafened: bool,
    },
    /// The key to talk is pressed or let go; may be repeated while it is held.
    VoicePress {
        /// Whether it is pressed.
        pressed: bool,
    },
    /// Other choices about voice.
    VoiceConfigure {
        /// All of them.
        settings: VoiceSettings,
    },
    /// How loud somebody is to be for me. Remembered for as long as the engine runs.
    VoicePerson {
        /// Who.
        peer_id: PeerId,
        /// In percent of how they were sent, 0 to 200.
        volume_percent: Volume,
        /// Whether they are not to be heard at all.
        muted: bool,
    },
    /// Tell what microphones and loudspeakers there are, as
    /// [`Event::VoiceDevices`](crate::Event::VoiceDevices); none is opened for it. In voice, and while the
    /// microphone is tried out, it is told by itself.
    VoiceDevices,
    /// Try the microphone out: its level is told also without a call, and nobody hears it.
    VoiceTest {
        /// Whether to begin or to end it.
        on: bool,
    },
    /// Leave the relay cleanly and end the engine.
    Shutdown,
}
