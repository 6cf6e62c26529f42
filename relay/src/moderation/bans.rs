//! Who may not come back for a time.
//!
//! A [`Ban`] holds all that it takes to know somebody again, its day's key included. So it can be
//! handed to another relay or to a database, and taken from there, without anything else being
//! shared; see [`BanList::take_changes`] and [`BanList::add`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    time::Duration,
};

use neartalk_shared::Timestamp;
use rand::{Rng, rngs::StdRng};
use serde::{Deserialize, Deserializer, Serialize};

use super::origin::{DayKey, Origin, OriginDigest};
use crate::address::AddressKey;

/// Which ban: a random number, written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BanId(u128);

impl BanId {
    /// A new one.
    pub fn random(rng: &mut StdRng) -> Self {
        Self(u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()))
    }

    /// Reads what `Display` writes.
    pub fn parse(s: &str) -> Option<Self> {
        let valid = s.len() == 32 && s.bytes().all(|b| b.is_ascii_hexdigit());
        valid.then(|| u128::from_str_radix(s, 16).ok().map(Self))?
    }
}

impl fmt::Display for BanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for BanId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BanId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        Self::parse(&s).ok_or_else(|| serde::de::Error::custom("no ban"))
    }
}

/// Who decided on a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BannedBy {
    /// Enough people around reported them.
    Reports,
    /// Whoever runs the relay.
    Operator,
}

impl BannedBy {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reports => "reports",
            Self::Operator => "operator",
        }
    }

    /// Reads what [`BannedBy::as_str`] writes.
    pub fn parse(s: &str) -> Option<Self> {
        [Self::Reports, Self::Operator]
            .into_iter()
            .find(|by| by.as_str() == s)
    }
}

/// Somebody may not come back until a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Which.
    pub id: BanId,
    /// Who, as an address under a key.
    pub origin: Origin,
    /// Since when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// By whom.
    pub by: BannedBy,
}

/// What has changed, for those who keep a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BanChange {
    /// Somebody is banned.
    Banned(Ban),
    /// A ban was lifted before its time.
    Lifted(BanId),
}

/// Every ban that has not ended.
#[derive(Debug, Default)]
pub struct BanList {
    bans: BTreeMap<BanId, Ban>,
    /// By key and digest: when each ends.
    by_key: HashMap<DayKey, HashMap<OriginDigest, BTreeSet<(Timestamp, BanId)>>>,
    /// By their end.
    ends: BTreeSet<(Timestamp, BanId)>,
    changes: Vec<BanChange>,
}

impl BanList {
    /// Bans somebody from here on.
    pub fn ban(
        &mut self,
        origin: Origin,
        by: BannedBy,
        time: Duration,
        now: Timestamp,
        rng: &mut StdRng,
    ) -> Ban {
        let ban = Ban {
            id: BanId::random(rng),
            origin,
            since: now,
            until: now + time,
            by,
        };
        self.add(ban.clone());
        self.changes.push(BanChange::Banned(ban.clone()));
        ban
    }

    /// Takes in a ban from elsewhere. One that is known already is left as it is.
    pub fn add(&mut self, ban: Ban) {
        if self.bans.contains_key(&ban.id) {
            return;
        }
        let end = (ban.until, ban.id);
        let digests = self.by_key.entry(ban.origin.key.clone()).or_default();
        digests.entry(ban.origin.digest).or_default().insert(end);
        self.ends.insert(end);
        self.bans.insert(ban.id, ban);
    }

    /// Lifts a ban here, and tells those who keep a copy.
    pub fn lift(&mut self, id: BanId) -> Option<Ban> {
        let ban = self.remove(id)?;
        self.changes.push(BanChange::Lifted(id));
        Some(ban)
    }

    /// Forgets a ban that was lifted elsewhere.
    pub fn remove(&mut self, id: BanId) -> Option<Ban> {
        let ban = self.bans.remove(&id)?;
        let end = (ban.until, id);
        self.ends.remove(&end);
        if let Some(digests) = self.by_key.get_mut(&ban.origin.key) {
            if let Some(ends) = digests.get_mut(&ban.origin.digest) {
                ends.remove(&end);
                if ends.is_empty() {
                    digests.remove(&ban.origin.digest);
                }
            }
            // With its last ban the key goes, too.
            if digests.is_empty() {
                self.by_key.remove(&ban.origin.key);
            }
        }
        Some(ban)
    }

    /// Until when an address is banned, if it is. Costs one hash per key in use: one per day that
    /// bans are left of, and relay that they come from.
    pub fn until(&self, address: AddressKey, now: Timestamp) -> Option<Timestamp> {
        self.by_key
            .iter()
            .filter_map(|(key, digests)| {
                let (until, _) = digests.get(&key.digest(address))?.last()?;
                (*until > now).then_some(*until)
            })
            .max()
    }

    /// Forgets what has ended.
    pub fn sweep(&mut self, now: Timestamp) {
        while let Some(&(until, id)) = self.ends.first()
            && until <= now
        {
            self.remove(id);
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bans.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.bans.is_empty()
    }

    /// What has changed here since the last call, for those who keep a copy.
    pub fn take_changes(&mut self) -> Vec<BanChange> {
        std::mem::take(&mut self.changes)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::{super::origin::KeyRing, *};

    const DAY_MS: u64 = 86_400_000;
    const HOUR: Duration = Duration::from_secs(3_600);

    fn address(n: u8) -> AddressKey {
        AddressKey::from(std::net::IpAddr::from([192, 0, 2, n]))
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(20_000 * DAY_MS + ms)
    }

    #[test]
    fn a_ban_outlives_its_days_key_and_ends_on_time() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut ring = KeyRing::new(&mut rng);
        let mut list = BanList::default();
        let evening = at(DAY_MS - 1_000);
        let origin = ring.origin(address(1), evening, &mut rng);
        let ban = list.ban(origin, BannedBy::Reports, HOUR, evening, &mut rng);
        // The next day has another key.
        let next = ring.origin(address(1), at(DAY_MS + 1), &mut rng);
        assert_ne!(next.key, ban.origin.key);
        assert_eq!(list.until(address(1), at(DAY_MS + 1)), Some(ban.until));
        assert_eq!(list.until(address(2), at(DAY_MS + 1)), None);
        // It ends to the millisecond, also before the sweep.
        let end = ban.until;
        assert!(
            list.until(address(1), at(DAY_MS + 3_600_000 - 1_001))
                .is_some()
        );
        assert_eq!(list.until(address(1), end), None);
        list.sweep(end);
        assert!(list.is_empty() && list.by_key.is_empty() && list.ends.is_empty());
    }

    #[test]
    fn the_longest_of_several_counts_and_a_lifted_one_does_not() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut ring = KeyRing::new(&mut rng);
        let mut list = BanList::default();
        let origin = ring.origin(address(1), at(0), &mut rng);
        let short = list.ban(origin.clone(), BannedBy::Reports, HOUR, at(0), &mut rng);
        let long = list.ban(origin, BannedBy::Operator, 3 * HOUR, at(0), &mut rng);
        assert_eq!(list.until(address(1), at(1)), Some(long.until));
        assert_eq!(list.lift(long.id), Some(long.clone()));
        assert_eq!(list.lift(long.id), None);
        assert_eq!(list.until(address(1), at(1)), Some(short.until));
        assert_eq!(
            list.take_changes(),
            [
                BanChange::Banned(short),
                BanChange::Banned(long.clone()),
                BanChange::Lifted(long.id)
            ]
        );
        assert_eq!(list.take_changes(), []);
    }

    #[test]
    fn a_ban_holds_on_another_relay_without_any_shared_secret() {
        let mut rng = StdRng::seed_from_u64(3);
        let mut here = BanList::default();
        let mut there = BanList::default();
        let origin = KeyRing::new(&mut rng).origin(address(9), at(0), &mut rng);
        let ban = here.ban(origin, BannedBy::Reports, HOUR, at(0), &mut rng);
        there.add(ban.clone());
        there.add(ban.clone());
        assert_eq!(there.len(), 1);
        assert_eq!(there.until(address(9), at(1)), Some(ban.until));
        assert_eq!(there.take_changes(), [], "it is no news from there");
        there.remove(ban.id);
        assert_eq!(there.until(address(9), at(1)), None);
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = BanId::random(&mut StdRng::seed_from_u64(4));
        assert_eq!(BanId::parse(&id.to_string()), Some(id));
        for bad in [
            "",
            "1",
            "+0000000000000000000000000000001",
            "g0000000000000000000000000000001",
        ] {
            assert_eq!(BanId::parse(bad), None, "{bad}");
        }
        assert_eq!(BannedBy::parse("reports"), Some(BannedBy::Reports));
        assert_eq!(BannedBy::parse("nobody"), None);
    }
}
