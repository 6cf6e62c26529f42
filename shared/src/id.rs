//! The three identifiers: a secret one, a public one, and a message's.

use std::fmt;

use base32::Alphabet;
use rand::Rng;
use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;
use uuid::Uuid;

/// A string that is no identifier of the kind that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this is not a valid {0}")]
pub struct InvalidId(&'static str);

fn parse_uuid(s: &str, kind: &'static str) -> Result<Uuid, InvalidId> {
    // `Uuid` also reads braces, URNs and bare hex; one spelling is enough on the wire.
    if s.len() != 36 {
        return Err(InvalidId(kind));
    }
    Uuid::try_parse(s).map_err(|_| InvalidId(kind))
}

/// A session's **bearer secret**: whoever has it is the person.
///
/// It redacts itself in `Debug` and has neither `Display` nor `Serialize`, so that no frame, body
/// or log line can hold one by accident:
///
/// ```compile_fail
/// let id = neartalk_shared::SessionId::random();
/// serde_json::to_string(&id);
/// ```
///
/// The two places that must send it name [`SessionId::expose`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    /// A new one, from the operating system's random source.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Parses the hyphenated form; only version 4 is a session id.
    pub fn parse(s: &str) -> Result<Self, InvalidId> {
        let uuid = parse_uuid(s, "session id")?;
        if uuid.get_version_num() == 4 {
            Ok(Self(uuid))
        } else {
            Err(InvalidId("session id"))
        }
    }

    /// The secret itself, for the `Authorization` header and the `hello` frame.
    pub fn expose(&self) -> String {
        self.0.hyphenated().to_string()
    }

    /// For `#[serde(serialize_with)]` on the two fields that carry the secret to its owner.
    pub(crate) fn serialize_exposed<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(redacted)")
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// A person's public id: 16 random bytes, written as 26 characters of Crockford base32.
///
/// It is new with each session and unrelated to the [`SessionId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "typescript", specta(type = String))]
pub struct PeerId([u8; 16]);

impl PeerId {
    /// A new one from `rng`.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// Parses the 26 characters; one id has exactly one spelling.
    pub fn parse(s: &str) -> Result<Self, InvalidId> {
        let id = base32::decode(Alphabet::Crockford, s)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(InvalidId("peer id"))?;
        if id.to_string() == s {
            Ok(id)
        } else {
            Err(InvalidId("peer id"))
        }
    }

    /// The first three characters: shown beside the name and never changing, so that a borrowed
    /// name does not borrow the person.
    pub fn tag(self) -> String {
        let mut tag = self.to_string();
        tag.truncate(3);
        tag
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base32::encode(Alphabet::Crockford, &self.0))
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

impl TryFrom<String> for PeerId {
    type Error = InvalidId;

    fn try_from(s: String) -> Result<Self, InvalidId> {
        Self::parse(&s)
    }
}

impl From<PeerId> for String {
    fn from(id: PeerId) -> Self {
        id.to_string()
    }
}

/// A message's id, made by the client that says it, so that saying it again after a lost answer
/// delivers it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "typescript", specta(type = String))]
pub struct MessageId(Uuid);

impl MessageId {
    /// A new one from the operating system's random source.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// Parses the hyphenated form of any UUID.
    pub fn parse(s: &str) -> Result<Self, InvalidId> {
        parse_uuid(s, "message id").map(Self)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl TryFrom<String> for MessageId {
    type Error = InvalidId;

    fn try_from(s: String) -> Result<Self, InvalidId> {
        Self::parse(&s)
    }
}

impl From<MessageId> for String {
    fn from(id: MessageId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn session_id_redacts_itself() {
        let id = SessionId::random();
        let shown = format!("{id:?} {:?}", Some(id));
        assert!(!shown.contains(&id.expose()[..8]), "{shown}");
        assert_eq!(SessionId::parse(&id.expose()), Ok(id));
    }

    #[test]
    fn session_id_is_version_4_and_hyphenated() {
        for bad in [
            "",
            "8c5f0f6e-96e8-11ee-b9d1-0242ac120002",
            "{8c5f0f6e-96e8-41ee-b9d1-0242ac120002}",
            "8c5f0f6e96e841eeb9d10242ac120002",
        ] {
            assert!(SessionId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn peer_id_is_26_characters_with_one_spelling() {
        let mut rng = rand::rngs::StdRng::seed_from_u64(7);
        for _ in 0..1_000 {
            let id = PeerId::random(&mut rng);
            let s = id.to_string();
            assert_eq!(s.len(), 26);
            assert_eq!(PeerId::parse(&s), Ok(id));
            assert_eq!(id.tag(), s[..3]);
            assert!(
                s.chars()
                    .all(|c| c.is_ascii_digit() || c.is_ascii_uppercase())
            );
            assert!(!s.contains(['I', 'L', 'O', 'U']));
            let lower = s.to_lowercase();
            assert!(lower == s || PeerId::parse(&lower).is_err());
        }
        // The last character carries three bits; the two spare ones must be zero.
        assert!(PeerId::parse("00000000000000000000000000").is_ok());
        assert!(PeerId::parse("00000000000000000000000001").is_err());
        assert!(PeerId::parse("0000000000000000000000000").is_err());
        assert!(PeerId::parse("000000000000000000000000000").is_err());
    }
}
