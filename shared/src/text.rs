//! What people say.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::limits::MESSAGE_MAX_CHARS;

/// A message's text: 1 to 500 characters after trimming, no control characters but newline, and
/// something to see.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "typescript", specta(type = String))]
pub struct MessageText(Box<str>);

/// Why a string is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidMessage {
    /// Nothing that anyone could see.
    #[error("there is nothing to send")]
    Empty,
    /// More than 500 characters.
    #[error("a message has at most {MESSAGE_MAX_CHARS} characters")]
    TooLong,
    /// A control character other than newline.
    #[error("a message can't contain control characters")]
    Control,
}

impl MessageText {
    /// Parses a message, trimming white space at both ends.
    pub fn parse(s: &str) -> Result<Self, InvalidMessage> {
        let text = s.trim();
        if text.chars().any(|c| c.is_control() && c != '\n') {
            return Err(InvalidMessage::Control);
        }
        // A message of zero-width characters alone would be an empty bubble.
        let visible = |c: char| {
            !matches!(
                c.general_category_group(),
                GeneralCategoryGroup::Separator | GeneralCategoryGroup::Other
            ) || c.general_category() == unicode_properties::GeneralCategory::PrivateUse
        };
        if !text.chars().any(visible) {
            return Err(InvalidMessage::Empty);
        }
        if text.chars().nth(MESSAGE_MAX_CHARS).is_some() {
            return Err(InvalidMessage::TooLong);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MessageText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for MessageText {
    type Err = InvalidMessage;

    fn from_str(s: &str) -> Result<Self, InvalidMessage> {
        Self::parse(s)
    }
}

impl TryFrom<String> for MessageText {
    type Error = InvalidMessage;

    fn try_from(s: String) -> Result<Self, InvalidMessage> {
        Self::parse(&s)
    }
}

impl From<MessageText> for String {
    fn from(text: MessageText) -> Self {
        text.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trims_and_keeps_newlines() {
        assert_eq!(
            MessageText::parse("  hi\nthere \n").map(String::from),
            Ok("hi\nthere".into())
        );
    }

    #[test]
    fn limits() {
        assert_eq!(MessageText::parse(""), Err(InvalidMessage::Empty));
        assert_eq!(MessageText::parse(" \n\t "), Err(InvalidMessage::Empty));
        assert_eq!(
            MessageText::parse("\u{200b}\u{200d}"),
            Err(InvalidMessage::Empty)
        );
        assert_eq!(MessageText::parse("a\tb"), Err(InvalidMessage::Control));
        assert_eq!(MessageText::parse("a\u{0}b"), Err(InvalidMessage::Control));
        assert_eq!(MessageText::parse("a\u{85}b"), Err(InvalidMessage::Control));
        assert!(MessageText::parse(&"ü".repeat(500)).is_ok());
        assert!(MessageText::parse("👋🏽").is_ok());
        assert_eq!(
            MessageText::parse(&"ü".repeat(501)),
            Err(InvalidMessage::TooLong)
        );
        assert!(MessageText::parse(&format!(" {} ", "x".repeat(500))).is_ok());
    }
}
