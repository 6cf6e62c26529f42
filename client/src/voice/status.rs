//! How voice stands, for people.

use neartalk_shared::PeerId;
use serde::Serialize;

use super::settings::{Device, VoiceSettings, Volume};

/// Whether one is in voice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum VoicePhase {
    /// No.
    #[default]
    Off,
    /// Not yet: the relay has not answered, or does not know the place.
    Joining,
    /// Yes.
    InVoice,
}

/// How it stands with oneself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct VoiceStatus {
    /// Whether one is in voice.
    pub phase: VoicePhase,
    /// Whether the microphone is being tried out.
    pub testing: bool,
    /// Nobody hears this side.
    pub muted: bool,
    /// This side hears nobody, and nobody hears it.
    pub deafened: bool,
    /// What is chosen.
    pub settings: VoiceSettings,
}

/// How the connection with somebody stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum VoiceLink {
    /// There is none yet, or no room for one.
    #[default]
    Waiting,
    /// Being made.
    Connecting,
    /// Sound can flow.
    Connected,
    /// Nothing comes through at present; it is being mended.
    Interrupted,
    /// No way was found; it will be tried again, but not soon.
    Unreachable,
}

/// How it stands with somebody in voice. Whether they are muted or deafened is said of the
/// [person](neartalk_shared::frame::Person).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct VoicePersonStatus {
    /// Who.
    pub peer_id: PeerId,
    /// How the connection stands.
    pub link: VoiceLink,
    /// They say that nothing arrives; another way is being tried.
    pub cannot_hear_you: bool,
    /// How loud this side wants them, in percent.
    pub volume_percent: Volume,
    /// This side does not want to hear them.
    pub muted_for_me: bool,
    /// They are so near that they are heard through the air; their stream is turned down.
    pub same_room: bool,
}

/// How loud the own microphone is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct OwnLevel {
    /// Root mean square after processing, in dBFS; −100 is silence.
    pub dbfs: i8,
    /// Whether one speaks.
    pub speaking: bool,
    /// Whether others hear it.
    pub talking: bool,
}

/// How loud somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct PersonLevel {
    /// Who.
    pub peer_id: PeerId,
    /// Root mean square as sent, in dBFS; −100 is silence.
    pub dbfs: i8,
    /// Whether they speak.
    pub speaking: bool,
}

/// How well the connection with somebody does. `None` is not known (yet).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct PersonQuality {
    /// Who.
    pub peer_id: PeerId,
    /// Which part of what they sent was lost in the last seconds, 0 to 1.
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub loss: f32,
    /// Which part of the sound had to be made up in the last seconds, 0 to 1.
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub concealed: f32,
    /// There and back, in milliseconds.
    pub round_trip_ms: Option<u32>,
    /// How long the jitter buffer holds sound back at present, in milliseconds.
    pub delay_ms: u32,
    /// How long it should, in milliseconds.
    pub target_ms: u32,
    /// Which part of what was sent to them is lost, by their report, 0 to 1.
    #[cfg_attr(feature = "typescript", specta(type = Option<specta_typescript::Number>))]
    pub send_loss: Option<f32>,
    /// Whether the way leads over a relay, at either end.
    pub relayed: Option<bool>,
    /// From the pair's first signal to the first sound heard, in milliseconds.
    pub first_sound_ms: Option<u32>,
}

/// Something a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "notice", rename_all = "snake_case")]
pub enum VoiceNotice {
    /// There are more people than can be connected with: listening to the nearest. Or no longer.
    RoomFull {
        /// Whether it is so.
        full: bool,
    },
    /// One speaks, and nobody hears it.
    SpeaksWhileMuted,
    /// The address is to be hidden, and the relay offers no TURN server to hide it behind: nobody
    /// can be connected with.
    NoRelay,
    /// Voice has ended by itself.
    Ended {
        /// Why, and what to do.
        message: String,
    },
}

/// Which way sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum DeviceDirection {
    /// From a microphone.
    Input,
    /// To a loudspeaker.
    Output,
}

/// How it stands with the microphone or the loudspeaker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum DeviceStatus {
    /// This one is used.
    Opened {
        /// Which.
        device: Device,
        /// Whether it stands in for one that was chosen and can't be had.
        fallback: bool,
    },
    /// One that was used is gone. What is used instead is told next.
    Lost {
        /// Which.
        device: Device,
        /// Why, and what to do.
        message: String,
    },
    /// One can't be opened; another is tried, and this one again later.
    Refused {
        /// Which.
        device: Device,
        /// Why, and what to do.
        message: String,
    },
    /// There is none at present: one can only listen, or only talk.
    Unavailable {
        /// Why, and what to do.
        message: String,
    },
}

/// Everything that is known about voice.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct VoiceSnapshot {
    /// How it stands with oneself.
    pub status: VoiceStatus,
    /// How it stands with everybody in voice and in range.
    pub people: Vec<VoicePersonStatus>,
    /// More people than can be connected with.
    pub room_full: bool,
    /// Microphones to choose from, when known.
    pub inputs: Vec<Device>,
    /// Loudspeakers to choose from, when known.
    pub outputs: Vec<Device>,
    /// The microphone, when known.
    pub input: Option<DeviceStatus>,
    /// The loudspeaker, when known.
    pub output: Option<DeviceStatus>,
}
