//! The key to talk with, also while one types.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use specta::Type;
use thiserror::Error;

/// A key with its modifiers, such as `Ctrl+Shift+Space`, as the window writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Type)]
#[serde(try_from = "String", into = "String")]
#[specta(type = String)]
pub struct TalkKey(String);

/// Why something is no key to talk with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidTalkKey {
    /// Not written as a key is.
    #[error("a key is written like Ctrl+Shift+Space")]
    Malformed,
    /// Whoever talks with it can write with it no more.
    #[error("You could no longer write this key anywhere. Add Ctrl or Alt, or choose another.")]
    Writes,
}

const LONGEST: usize = 64;

/// How the names of keys begin that write something, or change or leave what is written. Those of letters
/// and digits are one character.
const WRITING: [&str; 18] = [
    "Arrow",
    "Backquote",
    "Backslash",
    "Backspace",
    "Bracket",
    "Comma",
    "Delete",
    "Enter",
    "Equal",
    "Intl",
    "Minus",
    "Numpad",
    "Period",
    "Quote",
    "Semicolon",
    "Slash",
    "Space",
    "Tab",
];

impl TalkKey {
    /// Whether others, and texts, can do without it.
    ///
    /// # Errors
    /// When it writes, alone or with Shift.
    pub fn can_be_spared(&self) -> Result<(), InvalidTalkKey> {
        let mut modifiers: Vec<&str> = self.0.split('+').collect();
        let key = modifiers.pop().unwrap_or_default();
        let writes = key.len() == 1 || WRITING.iter().any(|begin| key.starts_with(begin));
        let others = ["Ctrl", "Alt", "Super"];
        if writes && !modifiers.iter().any(|it| others.contains(it)) {
            return Err(InvalidTalkKey::Writes);
        }
        Ok(())
    }
}

impl FromStr for TalkKey {
    type Err = InvalidTalkKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '+';
        if text.is_empty() || text.len() > LONGEST || !text.chars().all(is_plain) {
            return Err(InvalidTalkKey::Malformed);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for TalkKey {
    type Error = InvalidTalkKey;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TalkKey> for String {
    fn from(key: TalkKey) -> Self {
        key.0
    }
}

impl fmt::Display for TalkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_as_a_key_is_one() {
        for good in ["Ctrl+Shift+Space", "F9", "Super+T"] {
            assert_eq!(good.parse::<TalkKey>().unwrap().to_string(), good);
        }
        let long = "A".repeat(LONGEST + 1);
        for bad in ["", "a b", "Ctrl+\u{f6}", &long] {
            assert_eq!(bad.parse::<TalkKey>(), Err(InvalidTalkKey::Malformed));
        }
    }
    #[test]
    fn nobody_loses_a_letter() {
        let spared = |key: &str| key.parse::<TalkKey>().unwrap().can_be_spared();
        for bad in [
            "T",
            "Shift+T",
            "Space",
            "5",
            "Enter",
            "Tab",
            "ArrowLeft",
            "Shift+Period",
            "Numpad0",
            "IntlBackslash",
        ] {
            assert_eq!(spared(bad), Err(InvalidTalkKey::Writes), "{bad}");
        }
        for good in [
            "F9",
            "Shift+F9",
            "Pause",
            "ScrollLock",
            "Ctrl+Shift+Space",
            "Super+T",
            "Alt+5",
            "Ctrl+Backquote",
        ] {
            assert_eq!(spared(good), Ok(()), "{good}");
        }
    }
}
