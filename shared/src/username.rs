//! Usernames.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::limits::{USERNAME_MAX_CHARS, USERNAME_MIN_CHARS};

/// How many combining marks may follow one another. Scripts that need them (Devanagari, Thai,
/// Hebrew with points) stay below; towers of accents do not.
const MAX_MARKS: usize = 3;

/// A username: 3 to 20 characters, letters and digits of any script, single inner spaces, in
/// Unicode normal form C.
///
/// "Letters" include the combining marks that many scripts write their vowels with; a mark must
/// follow a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "typescript", specta(type = String))]
pub struct Username(Box<str>);

/// Why a string is no username.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidUsername {
    /// Fewer than three characters.
    #[error("a name needs at least {USERNAME_MIN_CHARS} characters")]
    TooShort,
    /// More than twenty characters.
    #[error("a name has at most {USERNAME_MAX_CHARS} characters")]
    TooLong,
    /// A space at either end, or two in a row.
    #[error("a name may have single spaces between words, and none at its ends")]
    Space,
    /// Something that is neither letter, digit nor space.
    #[error("a name has letters, digits and spaces only")]
    Character,
}

impl Username {
    /// Parses a name, bringing it to normal form C first.
    pub fn parse(s: &str) -> Result<Self, InvalidUsername> {
        // Normalisation never shrinks a name to a third, so a giant is refused unread.
        if s.len() > USERNAME_MAX_CHARS * 4 * 3 {
            return Err(InvalidUsername::TooLong);
        }
        let name: String = s.nfc().collect();
        let mut marks = 0;
        let mut previous = ' ';
        for c in name.chars() {
            match c.general_category_group() {
                GeneralCategoryGroup::Letter => marks = 0,
                _ if c.general_category() == GeneralCategory::DecimalNumber => marks = 0,
                GeneralCategoryGroup::Mark if previous != ' ' && marks < MAX_MARKS => marks += 1,
                _ if c == ' ' => {
                    if previous == ' ' {
                        return Err(InvalidUsername::Space);
                    }
                    marks = 0;
                }
                _ => return Err(InvalidUsername::Character),
            }
            previous = c;
        }
        if !name.is_empty() && previous == ' ' {
            return Err(InvalidUsername::Space);
        }
        match name.chars().count() {
            n if n < USERNAME_MIN_CHARS => Err(InvalidUsername::TooShort),
            n if n > USERNAME_MAX_CHARS => Err(InvalidUsername::TooLong),
            _ => Ok(Self(name.into())),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for Username {
    type Err = InvalidUsername;

    fn from_str(s: &str) -> Result<Self, InvalidUsername> {
        Self::parse(s)
    }
}

impl TryFrom<String> for Username {
    type Error = InvalidUsername;

    fn try_from(s: String) -> Result<Self, InvalidUsername> {
        Self::parse(&s)
    }
}

impl From<Username> for String {
    fn from(name: Username) -> Self {
        name.0.into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn any_script_is_welcome() {
        for good in [
            "Fox",
            "Quiet Otter",
            "Ünal 7",
            "नमस्ते",
            "สวัสดี",
            "山田太郎",
            "محمد",
            "Ελένη",
            "twenty characters ok",
        ] {
            assert_eq!(
                Username::parse(good).map(|n| n.to_string()),
                Ok(good.nfc().collect()),
                "{good}"
            );
        }
    }

    #[test]
    fn each_rule_has_its_reason() {
        use InvalidUsername::*;
        for (bad, why) in [
            ("", TooShort),
            ("ab", TooShort),
            ("twenty-one characters", Character),
            ("twenty one characters", TooLong),
            (" Fox", Space),
            ("Fox ", Space),
            ("Red  Fox", Space),
            ("   ", Space),
            ("Fox!", Character),
            ("Fox\n", Character),
            ("Fox\u{a0}Red", Character),
            ("Fox\u{202e}", Character),
            ("Fox\u{200d}", Character),
            ("Fox²", Character),
            ("🦊🦊🦊", Character),
            ("\u{301}abc", Character),
            ("Z\u{334}\u{334}\u{334}\u{334}algo", Character),
        ] {
            assert_eq!(Username::parse(bad), Err(why), "{bad:?}");
        }
        assert_eq!(Username::parse(&"a".repeat(100_000)), Err(TooLong));
    }

    #[test]
    fn decomposed_becomes_composed() {
        assert_eq!(
            Username::parse("Rene\u{301}e"),
            Username::parse("Ren\u{e9}e")
        );
    }

    proptest! {
        #[test]
        fn parsing_is_idempotent(s in "\\PC{0,30}") {
            if let Ok(name) = Username::parse(&s) {
                prop_assert_eq!(Username::parse(name.as_str()), Ok(name));
            }
        }
    }
}
