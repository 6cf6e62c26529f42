//! What outlives a start.

use neartalk_client::{
    RelayUrl,
    voice::{TalkMode, VoiceSettings},
};
use neartalk_shared::Radius;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::talk_key::TalkKey;

/// Where a person is who has chosen no relay. Whoever packages NearTalk for others sets
/// `NEARTALK_DEFAULT_RELAY` when building.
const DEFAULT_RELAY: &str = match option_env!("NEARTALK_DEFAULT_RELAY") {
    Some(relay) => relay,
    None => "http://localhost:8080",
};

/// What a person has chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// The relay to talk through.
    pub relay: RelayUrl,
    /// Of the circle.
    pub radius: Radius,
    /// Of the window.
    pub language: Language,
    /// Of the window.
    pub theme: Theme,
    /// Whether the system tells when somebody speaks to one while the window is out of sight.
    pub notify_mentions: bool,
    /// Whether it tells of everything that is said.
    pub notify_messages: bool,
    /// Whether it may show who said what.
    pub notify_contents: bool,
    /// Whether the window makes sounds.
    pub sounds: bool,
    /// Whether a phone may shake.
    pub vibration: bool,
    /// Whether NearTalk starts when the person logs in.
    pub start_with_system: bool,
    /// The key to talk while another window has the focus.
    pub talk_key: Option<TalkKey>,
    /// Whether it has been read that others in a call could see one's address.
    pub voice_explained: bool,
    /// About voice.
    pub voice: VoiceSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            relay: default_relay(),
            radius: Radius::new(500).unwrap_or(Radius::MIN),
            language: Language::System,
            theme: Theme::System,
            notify_mentions: true,
            notify_messages: false,
            notify_contents: false,
            sounds: true,
            vibration: true,
            start_with_system: false,
            talk_key: None,
            voice_explained: false,
            voice: VoiceSettings {
                // In a window a key is at hand, and nobody is heard who did not mean to.
                mode: TalkMode::PushToTalk,
                ..VoiceSettings::default()
            },
        }
    }
}

fn default_relay() -> RelayUrl {
    RelayUrl::parse(DEFAULT_RELAY).expect("a test parses it")
}

/// The language of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "ISO 639-1 says it")]
pub enum Language {
    /// As the system has it.
    System,
    En,
    De,
    Es,
    Fr,
    Hi,
    Ar,
}

/// Dark or light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as they say")]
pub enum Theme {
    /// As the system has it.
    System,
    Light,
    Dark,
}

/// Some settings, to be changed. The relay is none of them: changing it is a move, not a setting.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "as in `Settings`")]
pub struct SettingsPatch {
    pub radius: Option<Radius>,
    pub language: Option<Language>,
    pub theme: Option<Theme>,
    pub notify_mentions: Option<bool>,
    pub notify_messages: Option<bool>,
    pub notify_contents: Option<bool>,
    pub sounds: Option<bool>,
    pub vibration: Option<bool>,
    pub start_with_system: Option<bool>,
    /// None: as it is; some none: no key.
    #[serde(deserialize_with = "present")]
    pub talk_key: Option<Option<TalkKey>>,
    pub voice_explained: Option<bool>,
    pub voice: Option<VoiceSettings>,
}

/// Tells `null` from what is missing.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Option<TalkKey>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl Settings {
    /// With some of them changed.
    #[must_use]
    pub fn with(self, patch: SettingsPatch) -> Self {
        Self {
            relay: self.relay,
            radius: patch.radius.unwrap_or(self.radius),
            language: patch.language.unwrap_or(self.language),
            theme: patch.theme.unwrap_or(self.theme),
            notify_mentions: patch.notify_mentions.unwrap_or(self.notify_mentions),
            notify_messages: patch.notify_messages.unwrap_or(self.notify_messages),
            notify_contents: patch.notify_contents.unwrap_or(self.notify_contents),
            sounds: patch.sounds.unwrap_or(self.sounds),
            vibration: patch.vibration.unwrap_or(self.vibration),
            start_with_system: patch.start_with_system.unwrap_or(self.start_with_system),
            talk_key: patch.talk_key.unwrap_or(self.talk_key),
            voice_explained: patch.voice_explained.unwrap_or(self.voice_explained),
            voice: patch.voice.unwrap_or(self.voice),
        }
    }
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Kept {
    /// What a person has chosen.
    #[serde(flatten)]
    pub settings: Settings,
    /// Whether this device's place was in use, so that it is looked for again at the next start.
    pub use_location: bool,
}

impl Kept {
    /// Reads what was written earlier, perhaps by another version or a human hand. Whatever can't be
    /// used is as by default, and its name is among those returned, to be logged.
    pub fn read(text: &str) -> (Self, Vec<String>) {
        let mut kept = Self::default();
        let mut unusable = Vec::new();
        let fields: Map<String, Value> = match serde_json::from_str(text) {
            Ok(fields) => fields,
            Err(_) => return (kept, vec!["all of it".into()]),
        };
        for (name, value) in fields {
            if kept.take(&name, value).is_none() {
                unusable.push(name);
            }
        }
        (kept, unusable)
    }

    fn take(&mut self, name: &str, value: Value) -> Option<()> {
        match name {
            "relay" => self.settings.relay = RelayUrl::parse(value.as_str()?).ok()?,
            "use_location" => self.use_location = value.as_bool()?,
            _ => {
                let field = Map::from_iter([(name.to_owned(), value)]);
                let patch = serde_json::from_value(field.into()).ok()?;
                self.settings = self.settings.clone().with(patch);
            }
        }
        Some(())
    }
}
