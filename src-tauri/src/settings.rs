//! What outlives a start.

use neartalk_client::{
    InvalidRelayUrl, RelayUrl,
    voice::{TalkMode, VoiceSettings},
};
use neartalk_shared::Radius;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use specta::Type;

use crate::talk_key::TalkKey;

/// Where a person is who has chosen no relay. Whoever packages NearTalk for others sets
/// `NEARTALK_DEFAULT_RELAY` when building.
const DEFAULT_RELAY: &str = match option_env!("NEARTALK_DEFAULT_RELAY") {
    Some(relay) => relay,
    None => "http://localhost:8080",
};

/// What a person has chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Type)]
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
    /// Whether closing the window hides it, where there is a tray to find it in.
    pub close_to_tray: bool,
    /// Whether NearTalk starts when the person logs in.
    pub start_with_system: bool,
    /// The key to talk with, beside the space bar.
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
            close_to_tray: false,
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
    check_build().expect("it was checked before anything else")
}

/// The relay that this program was built with; to be checked before settings are asked for.
///
/// # Errors
/// When whoever built it gave none as `NEARTALK_DEFAULT_RELAY`.
pub fn check_build() -> Result<RelayUrl, InvalidRelayUrl> {
    RelayUrl::parse(DEFAULT_RELAY)
}

/// The language of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as they say")]
pub enum Theme {
    /// As the system has it.
    System,
    Light,
    Dark,
}

/// Some settings, to be changed. The relay is none of them: changing it is a move, not a setting.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Type)]
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
    pub close_to_tray: Option<bool>,
    pub start_with_system: Option<bool>,
    /// None: as it is; some none: no key.
    #[serde(deserialize_with = "present")]
    #[specta(type = Option<TalkKey>)]
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
            close_to_tray: patch.close_to_tray.unwrap_or(self.close_to_tray),
            start_with_system: patch.start_with_system.unwrap_or(self.start_with_system),
            talk_key: patch.talk_key.unwrap_or(self.talk_key),
            voice_explained: patch.voice_explained.unwrap_or(self.voice_explained),
            voice: patch.voice.unwrap_or(self.voice),
        }
    }

    /// Reads what was written earlier, perhaps by another version or a human hand. Whatever can't be
    /// used is as by default, and its name is among those returned, to be logged.
    pub fn read(text: &str) -> (Self, Vec<String>) {
        let mut settings = Self::default();
        let mut unusable = Vec::new();
        let fields: Map<String, Value> = match serde_json::from_str(text) {
            Ok(fields) => fields,
            Err(_) => return (settings, vec!["all of it".into()]),
        };
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("voice", Value::Object(fields)) => {
                    unusable.extend(settings.take_voice(fields));
                }
                (_, value) => match settings.clone().with_field(&name, value) {
                    Some(changed) => settings = changed,
                    None => unusable.push(name),
                },
            }
        }
        (settings, unusable)
    }

    /// Takes what can be used of what was kept about voice, and names the rest.
    fn take_voice(&mut self, fields: Map<String, Value>) -> Vec<String> {
        let mut unusable = Vec::new();
        for (name, value) in fields {
            match with_voice_field(&self.voice, &name, value) {
                Some(changed) => self.voice = changed,
                None => unusable.push(format!("voice.{name}")),
            }
        }
        unusable
    }

    fn with_field(mut self, name: &str, value: Value) -> Option<Self> {
        if name == "relay" {
            self.relay = RelayUrl::parse(value.as_str()?).ok()?;
            return Some(self);
        }
        let field = Map::from_iter([(name.to_owned(), value)]);
        Some(self.with(serde_json::from_value(field.into()).ok()?))
    }
}

fn with_voice_field(voice: &VoiceSettings, name: &str, value: Value) -> Option<VoiceSettings> {
    let mut fields = serde_json::to_value(voice).ok()?;
    *fields.get_mut(name)? = value;
    serde_json::from_value(fields).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut settings = Settings {
            relay: RelayUrl::parse("relay.example.org").unwrap(),
            radius: Radius::new(750).unwrap(),
            language: Language::Ar,
            notify_contents: true,
            talk_key: Some("Ctrl+Shift+Space".parse().unwrap()),
            ..Settings::default()
        };
        settings.voice.hide_address = true;
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(Settings::read(&text), (settings, vec![]));
    }

    #[test]
    fn what_is_of_no_use_is_named_and_harms_nothing_else() {
        let text = r#"{"radius": 99999, "theme": "dark", "relay": "two words", "talk_key": "a b",
            "from_the_future": 1, "voice": {"mode": 7, "hide_address": true, "new": 1},
            "sounds": false}"#;
        let (settings, mut unusable) = Settings::read(text);
        unusable.sort();
        let bad = [
            "from_the_future",
            "radius",
            "relay",
            "talk_key",
            "voice.mode",
            "voice.new",
        ];
        assert_eq!(unusable, bad);
        let mut rest = Settings {
            theme: Theme::Dark,
            sounds: false,
            ..Settings::default()
        };
        rest.voice.hide_address = true;
        assert_eq!(settings, rest);
        let (_, unusable) = Settings::read(r#"{"voice": 7}"#);
        assert_eq!(unusable, ["voice"]);
        for nothing in ["", "[]", "{", "\0"] {
            let usual = (Settings::default(), vec!["all of it".to_owned()]);
            assert_eq!(Settings::read(nothing), usual, "{nothing:?}");
        }
    }

    #[test]
    fn a_key_that_is_null_is_taken_away_and_one_that_is_missing_stays() {
        let key = Some("F9".parse().unwrap());
        let settings = Settings {
            talk_key: key.clone(),
            ..Settings::default()
        };
        let with = |patch| {
            let patch = serde_json::from_str(patch).unwrap();
            settings.clone().with(patch).talk_key
        };
        assert_eq!(with("{}"), key);
        assert_eq!(with(r#"{"talk_key": null}"#), None);
    }
}
