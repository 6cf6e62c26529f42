//! Where somebody comes from, as far as a ban needs to know: a keyed hash, and never the address.
//!
//! The key is drawn anew each day and lives as long as something that was hashed with it: a session,
//! or a ban. Once the last of them is gone, nobody can tell any more whom it was about, not even by
//! trying every address there is.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use hmac::{Hmac, Mac};
use neartalk_shared::Timestamp;
use rand::{Rng, rngs::StdRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Sha256;

use crate::address::AddressKey;

/// Milliseconds of a day.
pub const DAY_MS: u64 = 86_400_000;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a digest: half of HMAC-SHA256's, which is plenty to tell addresses apart.
pub const DIGEST_BYTES: usize = 16;

/// A day's key.
#[derive(Clone, PartialEq, Eq)]
pub struct DayKey(Arc<[u8; KEY_BYTES]>);

impl DayKey {
    /// A key from its bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Arc::new(bytes))
    }

    /// A new one.
    pub fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; KEY_BYTES];
        rng.fill_bytes(&mut bytes);
        Self::new(bytes)
    }

    /// Reads what [`DayKey::write`] writes.
    pub fn parse(s: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD_NO_PAD.decode(s).ok()?;
        Some(Self::new(bytes.try_into().ok()?))
    }

    /// Its bytes as text, for those who share it.
    pub fn write(&self) -> String {
        BASE64_STANDARD_NO_PAD.encode(self.expose())
    }

    /// A secret for something else, from which nobody gets back to the key.
    pub fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0[..]).expect("HMAC takes keys of any length");
        // No address begins like this.
        mac.update(b"for ");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Its bytes, for those who keep bans.
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// The digest of an address: of its IPv4 /32 or IPv6 /64.
    pub fn digest(&self, address: AddressKey) -> OriginDigest {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.0[..]).expect("HMAC takes keys of any length");
        address.feed(|bytes| mac.update(bytes));
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(&mac.finalize().into_bytes()[..DIGEST_BYTES]);
        OriginDigest(digest)
    }
}

impl Hash for DayKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl std::fmt::Debug for DayKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DayKey(redacted)")
    }
}

/// An address under a day's key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OriginDigest(pub [u8; DIGEST_BYTES]);

impl OriginDigest {
    /// Its number, by which it is written, and which spreads evenly.
    pub const fn number(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

impl Serialize for OriginDigest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&format_args!("{:032x}", self.number()))
    }
}

impl<'de> Deserialize<'de> for OriginDigest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        let number = u128::from_str_radix(&s, 16).map_err(serde::de::Error::custom)?;
        Ok(Self(number.to_be_bytes()))
    }
}

impl std::fmt::Debug for OriginDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OriginDigest(redacted)")
    }
}

/// Where somebody comes from: a digest and the key that it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The key.
    pub key: DayKey,
    /// What it makes of the address.
    pub digest: OriginDigest,
}

impl Origin {
    /// Whether `address` is this one.
    pub fn is(&self, address: AddressKey) -> bool {
        self.key.digest(address) == self.digest
    }
}

/// Which day (UTC) a moment is in, counted from 1970.
pub fn day_of(now: Timestamp) -> u64 {
    now.as_millis() / DAY_MS
}

/// Today's key.
#[derive(Debug)]
pub struct KeyRing {
    day: u64,
    key: DayKey,
    /// Of days to come, as all relays that are one use them.
    shared: BTreeMap<u64, DayKey>,
}

impl KeyRing {
    /// The first day's key.
    pub fn new(rng: &mut StdRng) -> Self {
        Self {
            day: 0,
            key: DayKey::random(rng),
            shared: BTreeMap::new(),
        }
    }

    /// Uses the key that other relays use on a day; two that have never met do without.
    pub fn share(&mut self, day: u64, key: DayKey) {
        if day == self.day {
            self.key = key;
        } else if day > self.day {
            self.shared.insert(day, key);
        }
    }

    /// The origin of an address, under the key of the day (UTC).
    pub fn origin(&mut self, address: AddressKey, now: Timestamp, rng: &mut StdRng) -> Origin {
        let day = day_of(now);
        if day != self.day {
            self.day = day;
            let shared = self.shared.remove(&day);
            self.key = shared.unwrap_or_else(|| DayKey::random(rng));
            self.shared.retain(|&of, _| of > day);
        }
        Origin {
            digest: self.key.digest(address),
            key: self.key.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn address(s: &str) -> AddressKey {
        AddressKey::from(s.parse::<std::net::IpAddr>().unwrap())
    }

    #[test]
    fn one_address_is_one_origin_for_a_day_and_no_longer() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut ring = KeyRing::new(&mut rng);
        let mut at = |s, ms| ring.origin(address(s), Timestamp::from_millis(ms), &mut rng);
        let morning = at("192.0.2.1", 10 * DAY_MS);
        let evening = at("::ffff:192.0.2.1", 11 * DAY_MS - 1);
        assert_eq!(morning, evening);
        assert_ne!(morning.digest, at("192.0.2.2", 11 * DAY_MS - 1).digest);
        let tomorrow = at("192.0.2.1", 11 * DAY_MS);
        assert_ne!(morning.digest, tomorrow.digest);
        assert_ne!(morning.key, tomorrow.key);
        // Yesterday's is still good with its own key.
        assert!(morning.is(address("192.0.2.1")) && !morning.is(address("192.0.2.2")));
        // A household's IPv6 addresses are one.
        assert_eq!(
            at("2001:db8::1", 11 * DAY_MS),
            at("2001:db8::2", 11 * DAY_MS)
        );
        assert_ne!(
            at("2001:db8::1", 11 * DAY_MS),
            at("2001:db8:0:1::1", 11 * DAY_MS)
        );
    }

    #[test]
    fn relays_that_share_a_key_agree_on_an_address_that_day() {
        let mut rng = StdRng::seed_from_u64(3);
        let (mut here, mut there) = (KeyRing::new(&mut rng), KeyRing::new(&mut rng));
        let today = Timestamp::from_millis(10 * DAY_MS);
        let apart = there.origin(address("192.0.2.1"), today, &mut rng);
        let keys = [DayKey::random(&mut rng), DayKey::random(&mut rng)];
        for ring in [&mut here, &mut there] {
            ring.share(10, keys[0].clone());
            ring.share(11, keys[1].clone());
        }
        for (day, key) in (10..).zip(&keys) {
            let now = Timestamp::from_millis(day * DAY_MS + 5);
            let [one, other] = [&mut here, &mut there]
                .map(|ring| ring.origin(address("192.0.2.1"), now, &mut rng));
            assert_eq!((&one, &one.key), (&other, key));
            assert_ne!(one.digest, apart.digest);
        }
        // A day on which they haven't met is each one's own again.
        let later = Timestamp::from_millis(12 * DAY_MS);
        let [one, other] =
            [here, there].map(|mut ring| ring.origin(address("192.0.2.1"), later, &mut rng));
        assert_ne!(one.digest, other.digest);
        let key = &keys[0];
        assert_eq!(DayKey::parse(&key.write()).as_ref(), Some(key));
        assert_eq!(DayKey::parse("short"), None);
        assert_ne!(&key.derive("this"), key.expose());
        assert_ne!(key.derive("this"), key.derive("that"));
    }

    #[test]
    fn neither_address_nor_key_can_be_read_off() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut ring = KeyRing::new(&mut rng);
        let origin = ring.origin(address("192.0.2.77"), Timestamp::from_millis(5), &mut rng);
        let shown = format!("{origin:?}");
        assert_eq!(shown.matches("redacted").count(), 2, "{shown}");
        // An address has four bytes; none of them stands in the digest as it is.
        assert!(!origin.digest.0.windows(4).any(|w| w == [192, 0, 2, 77]));
    }
}
