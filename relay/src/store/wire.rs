//! What relays that share a store tell each other, and what they keep there. JSON, as on the
//! clients' wire; whatever can't be read is ignored, so that relays of two versions can meet
//! during an update.

use std::fmt;

use neartalk_shared::{
    ApiError, MessageId, MessageText, PeerId, Place, Radius, SessionId, Spot, Timestamp, Username,
    frame::{LeftReason, Locate, Person, SignalData},
    http::{LocationUpdated, Nearby, UsernameChanged},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::region::Region;
use crate::{
    moderation::{
        bans::{Ban, BanId},
        origin::OriginDigest,
        rulings::{Ruling, written_ban},
    },
    room::{
        movement::MovementGuard,
        session::{Quotas, VoiceState},
    },
    turn::relay::{Ended, InnerServer},
};

/// A running relay. Another run of the same program is another node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// Characters of its written form.
    pub const CHARS: usize = 16;

    /// A new one from `rng`.
    pub fn random(rng: &mut impl rand::Rng) -> Self {
        Self(rng.next_u64())
    }

    /// Reads the 16 hexadecimal digits.
    pub fn parse(s: &str) -> Option<Self> {
        if s.len() != Self::CHARS {
            return None;
        }
        u64::from_str_radix(s, 16).ok().map(Self)
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        Self::parse(&s).ok_or_else(|| serde::de::Error::custom("no node"))
    }
}

/// Which relay a session is on. When two say that it is theirs, the greater claim holds: that of the
/// relay to which it has changed last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// How often the session has changed relays.
    pub moves: u32,
    /// The relay.
    pub node: NodeId,
}

impl Claim {
    /// Characters of its written form, in which claims have the same order.
    pub const CHARS: usize = 8 + NodeId::CHARS;

    /// Reads what a session's record in the store begins with; the rest is the record.
    pub fn parse(s: &str) -> Option<(Self, &str)> {
        let (claim, rest) = s.split_at_checked(Self::CHARS)?;
        let (moves, node) = claim.split_at_checked(8)?;
        let claim = Self {
            moves: u32::from_str_radix(moves, 16).ok()?,
            node: NodeId::parse(node)?,
        };
        Some((claim, rest))
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{}", self.moves, self.node)
    }
}

/// What a session is known by among relays and in their store: half of its secret's SHA-256, from
/// which nobody gets back to the secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey(u128);

impl SessionKey {
    /// The key of a secret.
    pub fn of(id: &SessionId) -> Self {
        let digest = Sha256::digest(id.expose());
        let half = digest.iter().take(16);
        Self(half.fold(0, |key, &byte| key << 8 | u128::from(byte)))
    }

    /// A number below `count` that depends on the key.
    pub fn bucket(self, count: u16) -> u16 {
        (self.0 % u128::from(count)) as u16
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(redacted)")
    }
}

impl Serialize for SessionKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SessionKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        let key = u128::from_str_radix(&s, 16).map_err(serde::de::Error::custom)?;
        Ok(Self(key))
    }
}

/// A [`Spot`] as it is written: the centre of the cell, in degrees, and the radius. Reading snaps
/// it again, so nothing finer than a cell comes back even from a store that somebody tampered with.
pub mod spot {
    use super::*;

    /// Writes a spot.
    pub fn serialize<S: Serializer>(spot: &Spot, s: S) -> Result<S::Ok, S::Error> {
        let centre = spot.centre();
        (centre.lat(), centre.lon(), spot.radius().metres()).serialize(s)
    }

    /// Reads a spot.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Spot, D::Error> {
        let (lat, lon, metres) = <(f64, f64, u32)>::deserialize(d)?;
        let place = Place::new(lat, lon).map_err(serde::de::Error::custom)?;
        let radius = Radius::new(metres).map_err(serde::de::Error::custom)?;
        Ok(Spot::new(place, radius))
    }
}

/// A spot on its own, for lists and options.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WrittenSpot(#[serde(with = "spot")] pub Spot);

/// How new something known of a session is. It counts up whichever relay the session is on.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Stamp {
    /// How often the session has changed relays.
    pub moves: u32,
    /// How often it has been shown since it was created.
    pub shown: u32,
}

/// Somebody as other relays show them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Presence {
    /// Who.
    pub peer_id: PeerId,
    /// How new this is.
    pub stamp: Stamp,
    /// Their name …
    pub username: Username,
    /// … and those before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_usernames: Vec<Username>,
    /// Where, and with which circle.
    #[serde(with = "spot")]
    pub spot: Spot,
    /// Whether a message reaches them now.
    pub linked: bool,
    /// Their microphone and loudspeaker, while they are in voice.
    pub voice: Option<VoiceState>,
    /// Whether others can be told to connect to them.
    pub answers_in_voice: bool,
}

/// A message with where it was said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "they are those of `Said`")]
pub struct Utterance {
    pub id: MessageId,
    pub from: PeerId,
    pub username: Username,
    pub text: MessageText,
    pub sent_at: Timestamp,
    pub expires_at: Timestamp,
    pub reached: u32,
    #[serde(with = "spot")]
    pub spot: Spot,
    /// Where whoever said it comes from, for relays that count how often the same is said. They hear it
    /// once, as it is said; it is not kept with the message.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<OriginDigest>,
}

/// What happens in a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// Somebody is here, or looks different.
    Present(Presence),
    /// Somebody is no longer here.
    Gone {
        /// Who.
        peer_id: PeerId,
        /// How new this is.
        stamp: Stamp,
        /// Why.
        reason: LeftReason,
        /// Where they are now, if they have moved.
        to: Option<Region>,
    },
    /// These are all people who are here on the relay that says so, which has not been heard for a while.
    Roster {
        /// Who.
        people: Vec<PeerId>,
    },
    /// Somebody says something.
    Said(Utterance),
    /// Somebody is typing.
    Typing {
        /// Who.
        peer_id: PeerId,
        /// Where.
        #[serde(with = "spot")]
        spot: Spot,
    },
}

/// What one relay tells another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Letter {
    /// A signal for somebody on that relay.
    Signal {
        /// Who sends it, which may be news there.
        from: Presence,
        /// For whom.
        to: PeerId,
        /// What.
        data: SignalData,
    },
    /// A signal did not arrive: the two are not in voice and in range.
    NotInRange {
        /// Who sent it.
        from: PeerId,
    },
    /// A request about a session that is on that relay.
    Ask {
        /// Of this question, for the answer.
        number: u64,
        /// Which session.
        key: SessionKey,
        /// What is to be done.
        request: Request,
    },
    /// A request to ban somebody, if they are on that relay; only that one answers.
    Ban {
        /// Of this question, for the answer.
        number: u64,
        /// Who.
        peer_id: PeerId,
        /// For how long, in milliseconds.
        for_ms: u64,
    },
    /// Something that is to be known on all relays.
    Ruling(Box<Ruling>),
    /// A session has ended that could use the TURN server inside that relay.
    TurnEnded(Ended),
    /// The answer to such a request.
    Answer {
        /// Of the question.
        number: u64,
        /// The answer.
        reply: Reply,
    },
}

/// A relay's sign of life, with what all others have to know of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sign {
    /// The TURN server inside it.
    pub turn: Option<InnerServer>,
}

/// What one relay asks another to do with a session that is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Request {
    /// Hand it over: its client is here now.
    Release,
    /// Change the name.
    Rename {
        /// The new one.
        username: Username,
    },
    /// Move.
    Locate {
        /// Where to.
        #[serde(with = "locate")]
        locate: Locate,
    },
    /// List who is around.
    Nearby,
}

/// An answer to a [`Request`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The session is not there.
    NotHere,
    /// It is handed over.
    Released(Box<SessionRecord>),
    /// The name is changed.
    Renamed(Result<UsernameChanged, ApiError>),
    /// The place is.
    Located(Result<LocationUpdated, ApiError>),
    /// Who is around.
    Nearby(Result<Nearby, ApiError>),
    /// They are banned.
    Banned(#[serde(with = "written_ban")] Ban),
}

/// A [`Locate`] among relays: snapped already, as relays never pass on anything finer.
mod locate {
    use super::*;

    pub fn serialize<S: Serializer>(locate: &Locate, s: S) -> Result<S::Ok, S::Error> {
        spot::serialize(&Spot::new(locate.place, locate.radius), s)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Locate, D::Error> {
        let spot = spot::deserialize(d)?;
        Ok(Locate {
            place: spot.centre(),
            radius: spot.radius(),
        })
    }
}

/// A session as it outlives its relay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The relay that it is on.
    pub node: NodeId,
    /// How new this is.
    pub stamp: Stamp,
    /// Its public id.
    pub peer_id: PeerId,
    /// The name …
    pub username: Username,
    /// … and those before.
    pub former_usernames: Vec<Username>,
    /// How many changes are left.
    pub username_changes_left: u32,
    /// Whether it has had a socket.
    pub had_link: bool,
    /// How much of its limits it has used up.
    #[serde(flatten)]
    pub quotas: Quotas,
    /// Until when they are banned, if they are, and by which ban.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ban: Option<(Timestamp, BanId)>,
    /// What goes earlier than the session. It is kept on its own.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub place: Option<PlaceRecord>,
}

impl SessionRecord {
    /// What the relay says by it.
    pub fn claim(&self) -> Claim {
        Claim {
            moves: self.stamp.moves,
            node: self.node,
        }
    }
}

/// A session's place as it outlives its relay.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlaceRecord {
    /// Where, and with which circle.
    #[serde(with = "spot")]
    pub spot: Spot,
    /// When it was last confirmed.
    pub updated_at: Timestamp,
    /// Whether others see it.
    pub shown: bool,
    /// What tells whether the next place can be true.
    pub movement: MovementGuard,
    /// The microphone and loudspeaker, while in voice.
    pub voice: Option<VoiceState>,
    /// When voice ends unless they join again.
    pub voice_until: Option<Timestamp>,
    /// Whom they have been told to connect to.
    pub voice_peers: Vec<PeerId>,
    /// Who has left since without a socket to tell it on.
    pub voice_missed: Vec<PeerId>,
}

impl Presence {
    /// Whether somebody who has been shown `person` has something new to be shown.
    pub fn looks_like(&self, person: &Person) -> bool {
        let voice = self.voice.unwrap_or_default();
        self.username == person.username
            && self.former_usernames == person.former_usernames
            && self.voice.is_some() == person.in_voice
            && voice.muted == person.muted
            && voice.deafened == person.deafened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_not_hold_its_secret() {
        let id = SessionId::random();
        let key = SessionKey::of(&id);
        assert_eq!(key, SessionKey::of(&id));
        assert_ne!(key, SessionKey::of(&SessionId::random()));
        let secret = id.expose().replace('-', "");
        assert!(!key.to_string().contains(&secret[..8]));
        assert!(!format!("{key:?}").contains(&key.to_string()[..8]));
        let json = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<SessionKey>(&json).unwrap(), key);
    }

    #[test]
    fn claims_have_the_same_order_in_writing() {
        let mut claims = Vec::new();
        for moves in [0, 1, 9, 10, 255, 256, u32::MAX] {
            for node in [0, 1, 15, 16, u64::MAX] {
                let node = NodeId(node);
                claims.push(Claim { moves, node });
            }
        }
        assert!(claims.is_sorted());
        let written: Vec<_> = claims.iter().map(Claim::to_string).collect();
        assert!(written.is_sorted(), "{written:?}");
        for (claim, written) in claims.iter().zip(&written) {
            assert_eq!(written.len(), Claim::CHARS);
            assert_eq!(Claim::parse(written), Some((*claim, "")));
            let record = format!("{written}{{}}");
            assert_eq!(Claim::parse(&record), Some((*claim, "{}")));
        }
        for bad in [
            "",
            "00000001",
            "{\"node\":\"0000000000000000\",\"stamp\":{}}",
        ] {
            assert_eq!(Claim::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_spot_survives_the_journey_exactly() {
        for i in 0..10_000_u32 {
            let place = Place::new(
                f64::from(i) * 0.0179 - 89.5,
                f64::from(i) * 0.035_97 - 179.8,
            );
            for metres in [100, 249, 250, 999, 1_000, 2_000] {
                let spot = Spot::new(place.unwrap(), Radius::new(metres).unwrap());
                let json = serde_json::to_string(&WrittenSpot(spot)).unwrap();
                let back: WrittenSpot = serde_json::from_str(&json).unwrap();
                assert_eq!(back.0, spot, "{json}");
            }
        }
    }

    #[test]
    fn a_spot_is_snapped_when_it_is_read() {
        let exact: WrittenSpot = serde_json::from_str("[50.00012,8.00034,500]").unwrap();
        let place = Place::new(50.000_12, 8.000_34).unwrap();
        let snapped = Spot::new(place, Radius::new(500).unwrap());
        assert_eq!(exact.0, snapped);
        assert_ne!(exact.0.centre(), place);
        assert!(serde_json::from_str::<WrittenSpot>("[91,8,500]").is_err());
        assert!(serde_json::from_str::<WrittenSpot>("[50,8,50]").is_err());
    }
}
