//! Where somebody comes from, as far as a ban needs to know: a keyed hash, and never the address.
//!
//! The key is drawn anew each day and lives as long as something that was hashed with it: a session,
//! or a ban. Once the last of them is gone, nobody can tell any more whom it was about, not even by
//! trying every address there is.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use hmac::{Hmac, Mac};
use neartalk_shared::Timestamp;
use rand::{Rng, rngs::StdRng};
use sha2::Sha256;

use crate::address::AddressKey;

const DAY_MS: u64 = 86_400_000;

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

/// Today's key.
#[derive(Debug)]
pub struct KeyRing {
    day: u64,
    key: DayKey,
}

impl KeyRing {
    /// The first day's key.
    pub fn new(rng: &mut StdRng) -> Self {
        Self {
            day: 0,
            key: draw(rng),
        }
    }

    /// The origin of an address, under the key of the day (UTC).
    pub fn origin(&mut self, address: AddressKey, now: Timestamp, rng: &mut StdRng) -> Origin {
        let day = now.as_millis() / DAY_MS;
        if day != self.day {
            self.day = day;
            self.key = draw(rng);
        }
        Origin {
            digest: self.key.digest(address),
            key: self.key.clone(),
        }
    }
}

fn draw(rng: &mut StdRng) -> DayKey {
    let mut bytes = [0; KEY_BYTES];
    rng.fill_bytes(&mut bytes);
    DayKey::new(bytes)
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
