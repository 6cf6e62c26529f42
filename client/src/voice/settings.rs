//! What can be chosen.

use std::time::Duration;

use neartalk_voice::{
    device::{DeviceId, DeviceInfo, Selection},
    live::{self, LiveSettings},
    processing::{self, GateSettings, ProcessingSettings},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A setting that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidVoiceSetting {
    /// Louder than can be made.
    #[error("a volume is from 0 to 200 percent")]
    Volume,
    /// Out of what can be measured.
    #[error("voice activity starts between -80 and 0 dBFS")]
    Threshold,
}

/// How loud somebody is to be, in percent of how they were sent: 0 to 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(try_from = "u16", into = "u16")]
#[cfg_attr(feature = "typescript", specta(type = u16))]
pub struct Volume(u16);

impl Volume {
    /// As sent.
    pub const NORMAL: Self = Self(100);

    /// A volume in percent.
    ///
    /// # Errors
    /// Above 200.
    pub const fn new(percent: u16) -> Result<Self, InvalidVoiceSetting> {
        if percent > 200 {
            return Err(InvalidVoiceSetting::Volume);
        }
        Ok(Self(percent))
    }

    /// In percent.
    pub const fn percent(self) -> u16 {
        self.0
    }

    /// 1 is as sent.
    pub(super) fn factor(self) -> f32 {
        f32::from(self.0) / 100.0
    }
}

impl Default for Volume {
    fn default() -> Self {
        Self::NORMAL
    }
}

impl TryFrom<u16> for Volume {
    type Error = InvalidVoiceSetting;

    fn try_from(percent: u16) -> Result<Self, Self::Error> {
        Self::new(percent)
    }
}

impl From<Volume> for u16 {
    fn from(volume: Volume) -> Self {
        volume.0
    }
}

/// From which level on sound counts as speech, in dBFS: −80 to 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(try_from = "i8", into = "i8")]
#[cfg_attr(feature = "typescript", specta(type = i8))]
pub struct ActivityThreshold(i8);

impl ActivityThreshold {
    /// A level in dBFS.
    ///
    /// # Errors
    /// Below −80 or above 0.
    pub const fn new(dbfs: i8) -> Result<Self, InvalidVoiceSetting> {
        if dbfs < -80 || dbfs > 0 {
            return Err(InvalidVoiceSetting::Threshold);
        }
        Ok(Self(dbfs))
    }

    /// In dBFS.
    pub const fn dbfs(self) -> i8 {
        self.0
    }
}

impl Default for ActivityThreshold {
    fn default() -> Self {
        Self(-45)
    }
}

impl TryFrom<i8> for ActivityThreshold {
    type Error = InvalidVoiceSetting;

    fn try_from(dbfs: i8) -> Result<Self, Self::Error> {
        Self::new(dbfs)
    }
}

impl From<ActivityThreshold> for i8 {
    fn from(threshold: ActivityThreshold) -> Self {
        threshold.0
    }
}

/// A microphone or loudspeaker as it can be offered for choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Device {
    /// To choose it by.
    pub id: String,
    /// For people.
    pub name: String,
    /// Whether the system uses it for those who don't choose.
    pub is_default: bool,
    /// Whether it is worn, as a headset is. A guess; false in doubt.
    pub is_worn: bool,
}

impl From<DeviceInfo> for Device {
    fn from(info: DeviceInfo) -> Self {
        Self {
            id: info.id.as_str().to_owned(),
            name: info.name,
            is_default: info.is_default,
            is_worn: info.is_worn,
        }
    }
}

/// Which device to use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "use", rename_all = "snake_case")]
pub enum DeviceChoice {
    /// Whatever the system's default is at any time.
    #[default]
    Default,
    /// This one; while it can't be had, as if nothing were chosen.
    Device {
        /// As in [`Device::id`].
        id: String,
    },
    /// None.
    Nothing,
}

impl From<&DeviceChoice> for Selection {
    fn from(choice: &DeviceChoice) -> Self {
        match choice {
            DeviceChoice::Default => Self::Default,
            DeviceChoice::Device { id } => Self::Device(DeviceId::new(id)),
            DeviceChoice::Nothing => Self::Nothing,
        }
    }
}

/// When one is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum TalkMode {
    /// At all times.
    Open,
    /// While one speaks.
    #[default]
    VoiceActivity,
    /// While a key is held.
    PushToTalk,
}

/// How much noise is taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum NoiseSuppression {
    /// None.
    Off,
    /// About 6 dB.
    Low,
    /// About 12 dB.
    #[default]
    Moderate,
    /// About 18 dB.
    High,
    /// About 21 dB.
    VeryHigh,
}

/// Whether the loudspeaker is worn, so that no echo has to be cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum Headset {
    /// As far as the device can tell.
    #[default]
    Auto,
    /// It is.
    On,
    /// It is not.
    Off,
}

/// Everything that can be chosen about voice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct VoiceSettings {
    /// The microphone.
    pub input: DeviceChoice,
    /// The loudspeaker.
    pub output: DeviceChoice,
    /// When one is heard.
    pub mode: TalkMode,
    /// From which level on sound counts as speech.
    pub activity_dbfs: ActivityThreshold,
    /// Takes what the loudspeaker plays out of the microphone's sound.
    pub echo_cancellation: bool,
    /// Takes noise out of the microphone's sound.
    pub noise_suppression: NoiseSuppression,
    /// Makes everyone about equally loud.
    pub gain_control: bool,
    /// Whether the loudspeaker is worn.
    pub headset: Headset,
    /// Nobody in the call learns this device's address: everything goes over the relay's TURN
    /// server.
    pub hide_address: bool,
}

impl Default for VoiceSettings {
    fn default() -> Self {
        Self {
            input: DeviceChoice::default(),
            output: DeviceChoice::default(),
            mode: TalkMode::default(),
            activity_dbfs: ActivityThreshold::default(),
            echo_cancellation: true,
            noise_suppression: NoiseSuppression::default(),
            gain_control: true,
            headset: Headset::default(),
            hide_address: false,
        }
    }
}

/// One is heard still for so long after the key was let go: fingers are faster than mouths.
const RELEASE: Duration = Duration::from_millis(200);

impl From<&VoiceSettings> for LiveSettings {
    fn from(settings: &VoiceSettings) -> Self {
        Self {
            input: (&settings.input).into(),
            output: (&settings.output).into(),
            gate: GateSettings {
                mode: match settings.mode {
                    TalkMode::Open => processing::TalkMode::Open,
                    TalkMode::VoiceActivity => processing::TalkMode::VoiceActivity,
                    TalkMode::PushToTalk => processing::TalkMode::PushToTalk,
                },
                release: RELEASE,
            },
            activity_dbfs: f32::from(settings.activity_dbfs.dbfs()),
            processing: ProcessingSettings {
                echo_cancellation: settings.echo_cancellation,
                noise_suppression: match settings.noise_suppression {
                    NoiseSuppression::Off => processing::NoiseSuppression::Off,
                    NoiseSuppression::Low => processing::NoiseSuppression::Low,
                    NoiseSuppression::Moderate => processing::NoiseSuppression::Moderate,
                    NoiseSuppression::High => processing::NoiseSuppression::High,
                    NoiseSuppression::VeryHigh => processing::NoiseSuppression::VeryHigh,
                },
                gain_control: settings.gain_control,
                headset: false,
            },
            headset: match settings.headset {
                Headset::Auto => live::Headset::Auto,
                Headset::On => live::Headset::On,
                Headset::Off => live::Headset::Off,
            },
            hide_address: settings.hide_address,
        }
    }
}
