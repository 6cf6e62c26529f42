//! What relays that are one tell each other about people who misbehave, and what one that starts
//! later gets to know of it.
//!
//! Each [`Ruling`] is about one thing: a ban, a cell, an announcement. A newer one about the same
//! thing replaces it; so taking something back is a ruling, too, and lives as long as what it
//! takes back would have.

use std::{collections::BTreeSet, fmt};

use neartalk_shared::{PeerId, Timestamp};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{
    bans::{Ban, BanId},
    cell::Cell5,
    notices::Announcement,
    origin::OriginDigest,
    reports::Report,
};

/// At most so many are remembered; beyond it those that end first go early.
const KEPT_MAX: usize = 50_000;

/// Something that was decided or reported on one relay and is to be known on all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ruling {
    /// When, for telling which of two is newer.
    pub at: Timestamp,
    /// Until when anybody has to know of it.
    pub until: Timestamp,
    /// What.
    pub what: What,
}

/// What a [`Ruling`] says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum What {
    /// Somebody is banned.
    Banned {
        /// The ban.
        #[serde(with = "written_ban")]
        ban: Ban,
    },
    /// A ban was lifted before its time.
    Lifted {
        /// Which.
        id: BanId,
    },
    /// What somebody said is told to nobody any more.
    Silenced {
        /// Who.
        peer_id: PeerId,
    },
    /// A cell is closed.
    Closed {
        /// Which.
        cell: Cell5,
    },
    /// It is open again.
    Opened {
        /// Which.
        cell: Cell5,
    },
    /// Everyone is told something.
    Announced {
        /// What.
        announcement: Announcement,
    },
    /// They no longer are.
    Retracted {
        /// Which announcement.
        id: u64,
    },
    /// Somebody reports somebody.
    Reported {
        /// The report.
        report: Report,
        /// Where it comes from.
        origin: OriginDigest,
    },
}

impl What {
    /// What it is about. Of several about the same only the newest counts.
    pub fn subject(&self) -> Subject {
        match *self {
            Self::Banned { ref ban } => Subject::Ban(ban.id),
            Self::Lifted { id } => Subject::Ban(id),
            Self::Silenced { peer_id } => Subject::Silence(peer_id),
            Self::Closed { cell } | Self::Opened { cell } => Subject::Cell(cell),
            Self::Announced { ref announcement } => Subject::Announcement(announcement.id),
            Self::Retracted { id } => Subject::Announcement(id),
            Self::Reported { report, .. } => Subject::Report {
                reported: report.reported,
                reporter: report.reporter,
            },
        }
    }
}

/// What a [`Ruling`] is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A ban.
    Ban(BanId),
    /// Whether somebody's words are told.
    Silence(PeerId),
    /// Whether people may be in a cell.
    Cell(Cell5),
    /// An announcement.
    Announcement(u64),
    /// What one thinks of another.
    Report {
        /// Of whom.
        reported: PeerId,
        /// Who.
        reporter: PeerId,
    },
}

/// As the store names it.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ban(id) => write!(f, "ban:{id}"),
            Self::Silence(peer_id) => write!(f, "silence:{peer_id}"),
            Self::Cell(cell) => write!(f, "cell:{}", cell.as_str()),
            Self::Announcement(id) => write!(f, "announcement:{id}"),
            Self::Report { reported, reporter } => write!(f, "report:{reported}:{reporter}"),
        }
    }
}

/// The newest ruling about each thing.
#[derive(Debug, Default)]
pub struct Rulings {
    all: FxHashMap<Subject, Ruling>,
    /// By their end.
    ends: BTreeSet<(Timestamp, Subject)>,
}

impl Rulings {
    /// A ruling of now, which is newer than what is known about the same; relays' clocks differ.
    pub fn make(&self, what: What, until: Timestamp, now: Timestamp) -> Ruling {
        let before = self.all.get(&what.subject()).map(|known| known.at);
        let least = before.map_or(0, |at| at.as_millis() + 1);
        Ruling {
            at: now.max(Timestamp::from_millis(least)),
            until,
            what,
        }
    }

    /// Takes note of a ruling. False when that is no news: it is over, or something newer is known.
    pub fn note(&mut self, ruling: &Ruling, now: Timestamp) -> bool {
        if ruling.until <= now {
            return false;
        }
        let subject = ruling.what.subject();
        match self.all.get(&subject) {
            Some(known) if known.at > ruling.at || known == ruling => return false,
            Some(known) => {
                self.ends.remove(&(known.until, subject));
            }
            None => {
                if self.all.len() >= KEPT_MAX
                    && let Some((_, first)) = self.ends.pop_first()
                {
                    self.all.remove(&first);
                }
            }
        }
        self.ends.insert((ruling.until, subject));
        self.all.insert(subject, ruling.clone());
        true
    }

    /// Forgets what is over.
    pub fn sweep(&mut self, now: Timestamp) {
        while self.ends.first().is_some_and(|(until, _)| *until <= now) {
            if let Some((_, subject)) = self.ends.pop_first() {
                self.all.remove(&subject);
            }
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Ruling> {
        self.all.values()
    }

    /// Whether what somebody said at that time is told to nobody any more. What they say later is: they
    /// have been let in again.
    pub fn is_silenced(&self, peer_id: &PeerId, sent_at: Timestamp) -> bool {
        let known = self.all.get(&Subject::Silence(*peer_id));
        known.is_some_and(|known| sent_at <= known.at)
    }

    /// Whether a ban was lifted.
    pub fn is_lifted(&self, id: BanId) -> bool {
        let known = self.all.get(&Subject::Ban(id));
        known.is_some_and(|known| matches!(known.what, What::Lifted { .. }))
    }
}

/// A [`Ban`] with its key, which only those may see who keep bans.
pub mod written_ban {
    use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
    use serde::{Deserializer, Serializer, de::Error};

    use super::*;
    use crate::moderation::{
        bans::BannedBy,
        origin::{DayKey, Origin},
    };

    #[derive(Serialize, Deserialize)]
    struct Written {
        id: BanId,
        key: String,
        digest: OriginDigest,
        since: Timestamp,
        until: Timestamp,
        by: String,
    }

    /// Writes a ban.
    pub fn serialize<S: Serializer>(ban: &Ban, s: S) -> Result<S::Ok, S::Error> {
        Written {
            id: ban.id,
            key: BASE64_STANDARD_NO_PAD.encode(ban.origin.key.expose()),
            digest: ban.origin.digest,
            since: ban.since,
            until: ban.until,
            by: ban.by.as_str().to_owned(),
        }
        .serialize(s)
    }

    /// Reads a ban.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Ban, D::Error> {
        let written = Written::deserialize(d)?;
        Ok(Ban {
            id: written.id,
            origin: Origin {
                key: DayKey::parse(&written.key).ok_or_else(|| D::Error::custom("no key"))?,
                digest: written.digest,
            },
            since: written.since,
            until: written.until,
            by: BannedBy::parse(&written.by).ok_or_else(|| D::Error::custom("by nobody known"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use neartalk_shared::{MessageText, frame::ReportReason};
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{
        address::AddressKey,
        moderation::{
            bans::{BanList, BannedBy},
            origin::KeyRing,
        },
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000 * seconds)
    }

    fn closed(name: &str) -> What {
        What::Closed {
            cell: Cell5::parse(name).unwrap(),
        }
    }

    #[test]
    fn the_newest_about_a_thing_counts_whatever_comes_first() {
        let cell = Cell5::parse("u33dc").unwrap();
        let mut here = Rulings::default();
        let close = here.make(closed("u33dc"), at(100), at(10));
        assert!(here.note(&close, at(10)));
        assert!(!here.note(&close, at(10)), "that is no news");
        // This relay's clock is behind that of the one that has closed it.
        let open = here.make(What::Opened { cell }, at(100), at(9));
        assert!(open.at > close.at);
        assert!(here.note(&open, at(10)));
        assert!(!here.note(&close, at(11)));
        // And the other way round on a third one.
        let mut there = Rulings::default();
        assert!(there.note(&open, at(10)));
        assert!(!there.note(&close, at(10)));
        assert_eq!(there.iter().collect::<Vec<_>>(), [&open]);
        there.sweep(at(99));
        assert_eq!(there.iter().count(), 1);
        there.sweep(at(100));
        assert!(there.all.is_empty() && there.ends.is_empty());
        assert!(!there.note(&close, at(100)), "it is over");
    }

    #[test]
    fn memory_is_bounded() {
        let mut rulings = Rulings::default();
        let lifted = |n: u128| What::Lifted {
            id: BanId::parse(&format!("{n:032x}")).unwrap(),
        };
        for n in 0..KEPT_MAX as u64 + 10 {
            let ruling = rulings.make(lifted(n.into()), at(1_000 + n), at(1));
            assert!(rulings.note(&ruling, at(1)));
        }
        assert_eq!(rulings.all.len(), KEPT_MAX);
        assert_eq!(rulings.ends.len(), KEPT_MAX);
        let id = |n: u128| BanId::parse(&format!("{n:032x}")).unwrap();
        assert!(!rulings.is_lifted(id(9)) && rulings.is_lifted(id(10)));
    }

    #[test]
    fn each_kind_is_read_as_it_was_written() {
        let mut rng = StdRng::seed_from_u64(5);
        let address = AddressKey::from(std::net::IpAddr::from([192, 0, 2, 1]));
        let origin = KeyRing::new(&mut rng).origin(address, at(5), &mut rng);
        let digest = origin.digest;
        let hour = Duration::from_secs(3_600);
        let ban = BanList::default().ban(origin, BannedBy::Reports, hour, at(5), &mut rng);
        let cell = Cell5::parse("u33dc").unwrap();
        let people = [PeerId::random(&mut rng), PeerId::random(&mut rng)];
        let report = Report {
            at: at(5),
            reporter: people[0],
            reported: people[1],
            reason: ReportReason::Spam,
            message_id: None,
            near: true,
        };
        let announcement = Announcement {
            id: 7,
            text: MessageText::parse("Hello.").unwrap(),
            expires_at: at(9),
            geohash: Some(cell),
        };
        let all = [
            What::Lifted { id: ban.id },
            What::Banned { ban },
            What::Silenced { peer_id: people[0] },
            closed("u33dc"),
            What::Opened { cell },
            What::Announced { announcement },
            What::Retracted { id: 7 },
            What::Reported {
                report,
                origin: digest,
            },
        ];
        for what in all {
            let ruling = Rulings::default().make(what, at(100), at(5));
            let json = serde_json::to_string(&ruling).unwrap();
            assert_eq!(serde_json::from_str::<Ruling>(&json).unwrap(), ruling);
            assert!(!json.contains("192.0.2.1"));
            assert!(!format!("{ruling:?}").contains("u33dc"), "{ruling:?}");
        }
    }
}
