//! Voice as one person has it: who is in it, how they stand, what is chosen.
//!
//! `desk` decides, without I/O or clock: it is handed commands, frames, and what the processing
//! thread says, and says what to tell the relay, the thread and the person. The thread itself is
//! [`neartalk_voice::live`]; [`engine`](crate::engine) stands between.

mod convert;
pub(crate) mod desk;
mod settings;
mod status;

pub use neartalk_voice::live::SoundFiles;
pub use settings::{
    ActivityThreshold, Device, DeviceChoice, Headset, InvalidVoiceSetting, NoiseSuppression,
    TalkMode, VoiceSettings, Volume,
};
pub use status::{
    DeviceDirection, DeviceStatus, OwnLevel, PersonLevel, PersonQuality, VoiceLink, VoiceNotice,
    VoicePersonStatus, VoicePhase, VoiceSnapshot, VoiceStatus,
};
