//! Who may ask for what: credentials, nonces, and how often strangers are answered. None of it
//! keeps anything about those who have no credentials.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    hash::BuildHasher,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use hmac::{Hmac, Mac};
use neartalk_shared::Timestamp;
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use stun_types::message::{IntegrityAlgorithm, IntegrityKey, LongTermKeyCredentials, Message};

use super::Endpoint;
use crate::{
    address::AddressKey,
    quota::{Gcra, Quota},
    turn::TurnSecret,
};

/// What the credentials are good for, as the protocol has it.
pub const REALM: &str = "neartalk";

/// How long a nonce is good. Clients of webrtc-rs take a new one from the answer to a stale one, but
/// ask again only at their next refresh: every 120 s for permissions, every 300 s for the allocation.
/// This is a multiple of neither, so that the former renew it in time for the latter.
const NONCE_LIFETIME: Duration = Duration::from_secs(3_450);

/// A session, as TURN knows it: nobody else does, so whoever reads a client's packets on their way
/// learns no public id from them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UserId(u64);

impl UserId {
    /// A new one from `rng`.
    pub fn random(rng: &mut impl Rng) -> Self {
        Self(rng.next_u64())
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserId(…)")
    }
}

/// Whose credentials these are, and until when they are good: `SECONDS:ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Username {
    /// Whose.
    pub user: UserId,
    /// Until when, in whole seconds since the Unix epoch.
    until_s: u64,
}

impl Username {
    /// Good from `now` on for `ttl`.
    pub fn new(user: UserId, ttl: Duration, now: Timestamp) -> Self {
        let until_s = (now + ttl).as_millis() / 1_000;
        Self { user, until_s }
    }

    /// Reads what [`Username`]'s `Display` writes, and nothing else.
    pub fn parse(s: &str) -> Option<Self> {
        let (until, user) = s.split_once(':')?;
        let username = Self {
            user: UserId(u64::from_str_radix(user, 16).ok()?),
            until_s: until.parse().ok()?,
        };
        (username.to_string() == s).then_some(username)
    }

    /// Until when.
    pub fn until(self) -> Timestamp {
        Timestamp::from_millis(self.until_s.saturating_mul(1_000))
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.until_s, self.user)
    }
}

/// What credentials are signed with.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Those of sessions on this relay, of which each is [allowed](super::Core::allow) first.
    pub own: TurnSecret,
    /// Those that other relays give their sessions.
    pub guests: TurnSecret,
}

impl Secrets {
    /// The key that a request under this name is signed with, and whether it is a guest's; `None` when it
    /// is neither.
    pub fn verify(&self, request: &Message<'_>, username: &str) -> Option<(IntegrityKey, bool)> {
        let mut keys =
            [(&self.own, false), (&self.guests, true)]
                .into_iter()
                .map(|(secret, is_guest)| {
                    let password = secret.credential(username);
                    let (username, realm) = (username.to_owned(), REALM.to_owned());
                    let credentials = LongTermKeyCredentials::new(username, password, realm);
                    (credentials.make_key(IntegrityAlgorithm::Sha1), is_guest)
                });
        keys.find(|(key, _)| request.validate_integrity_with_key(key).is_ok())
    }
}

/// Sessions of other relays that have ended before their credentials have.
#[derive(Debug, Default)]
pub struct Departed {
    users: HashSet<UserId>,
    by_time: BTreeSet<(Timestamp, UserId)>,
}

impl Departed {
    /// So many are remembered at most: beyond it those whose credentials end first are forgotten.
    const MOST: usize = 65_536;

    /// Notes that a session has ended whose credentials are good until then.
    pub fn note(&mut self, user: UserId, until: Timestamp) {
        if self.users.insert(user) {
            self.by_time.insert((until, user));
        }
        if self.users.len() > Self::MOST {
            self.forget_first();
        }
    }

    /// Whether this is one of them.
    pub fn contains(&self, user: UserId) -> bool {
        self.users.contains(&user)
    }

    /// Forgets those whose credentials have ended as well.
    pub fn expire(&mut self, now: Timestamp) {
        while self.by_time.first().is_some_and(|&(until, _)| until <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, user)) = self.by_time.pop_first() {
            self.users.remove(&user);
        }
    }
}

/// Makes nonces, and knows its own again without keeping them: each is the time and a signature of
/// it and the address that it was made for.
#[derive(Clone)]
pub struct Nonces {
    key: [u8; 32],
}

impl Nonces {
    const TIME: usize = 4;
    const SIGNATURE: usize = 12;

    /// With a key from `rng`.
    pub fn new(rng: &mut impl Rng) -> Self {
        let mut key = [0; 32];
        rng.fill_bytes(&mut key);
        Self { key }
    }

    /// One for this client.
    pub fn make(&self, client: Endpoint, now: Timestamp) -> String {
        let time = seconds(now).to_be_bytes();
        let signature = self.mac(client, time).finalize().into_bytes();
        let mut nonce = [0; Self::TIME + Self::SIGNATURE];
        nonce[..Self::TIME].copy_from_slice(&time);
        nonce[Self::TIME..].copy_from_slice(&signature[..Self::SIGNATURE]);
        STANDARD_NO_PAD.encode(nonce)
    }

    /// Whether this client was given this one, not long ago.
    pub fn check(&self, nonce: &str, client: Endpoint, now: Timestamp) -> bool {
        // Somewhat larger, as decoding takes it.
        let mut bytes = [0; Self::TIME + Self::SIGNATURE + 2];
        let Ok(length) = STANDARD_NO_PAD.decode_slice(nonce, &mut bytes) else {
            return false;
        };
        let Some((&time, signature)) = bytes[..length].split_first_chunk::<{ Self::TIME }>() else {
            return false;
        };
        if signature.len() != Self::SIGNATURE {
            return false;
        }
        // Times wrap around in 2106, and so does what is between two of them.
        let age = seconds(now).wrapping_sub(u32::from_be_bytes(time));
        let mac = self.mac(client, time);
        u64::from(age) < NONCE_LIFETIME.as_secs() && mac.verify_truncated_left(signature).is_ok()
    }

    fn mac(&self, client: Endpoint, time: [u8; Self::TIME]) -> Hmac<Sha1> {
        let mut mac =
            Hmac::<Sha1>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(&time);
        mac.update(&client.socket.to_be_bytes());
        mac.update(&client.address.port().to_be_bytes());
        match client.address.ip() {
            std::net::IpAddr::V4(ip) => mac.update(&ip.octets()),
            std::net::IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        mac
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces(…)")
    }
}

fn seconds(now: Timestamp) -> u32 {
    // The low bits are enough to tell ages apart.
    (now.as_millis() / 1_000) as u32
}

/// How often an address is answered that has shown no credentials. An answer is larger than its
/// question, and a question's sender may be forged: so nobody can have this server flood a third.
///
/// A table of fixed size, by a hash that nobody outside knows: addresses may share a place in it, and
/// a flood makes it no larger.
#[derive(Debug)]
pub struct AnswerLimit {
    hasher: std::hash::RandomState,
    quota: Quota,
    places: Box<[Gcra]>,
}

impl AnswerLimit {
    /// Answers a second, after a burst: a crowd behind one router that joins voice at once needs
    /// thousands.
    const PER_SECOND: u32 = 500;
    const BURST: u32 = 4_000;
    const PLACES: usize = 8_192;

    /// Nobody was answered yet.
    pub fn new() -> Self {
        Self {
            hasher: std::hash::RandomState::new(),
            quota: Quota::per_window(Self::PER_SECOND, Duration::from_secs(1), Self::BURST),
            places: vec![Gcra::default(); Self::PLACES].into(),
        }
    }

    /// Whether this client may be answered once more.
    pub fn check(&mut self, client: Endpoint, now: Timestamp) -> bool {
        let address = AddressKey::from(client.address.ip());
        let place = self.hasher.hash_one(address) as usize % self.places.len();
        let place = self.places.get_mut(place);
        place.is_none_or(|gcra| gcra.check(&self.quota, now).is_ok())
    }
}

/// What a packet costs besides its data, in bytes: the headers of IPv6 and UDP. Without them, packets
/// with nothing in them would be free.
pub const HEADERS: usize = 40 + 8;

/// A limit of bytes a second: the generic cell rate algorithm, as in [`Gcra`], where what comes
/// costs as much time as it has bytes.
#[derive(Clone, Copy, Debug)]
pub struct Bandwidth {
    bytes_per_s: u64,
}

impl Bandwidth {
    /// How much may come at once, in time that it would take at the limit.
    const BURST: Duration = Duration::from_secs(1);

    /// At most so much.
    pub fn from_kbit(kbit_per_s: u32) -> Self {
        let bytes_per_s = u64::from(kbit_per_s.max(1)) * 1_000 / 8;
        Self { bytes_per_s }
    }
}

/// How much of a [`Bandwidth`] is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    /// When all that came will have been paid for, in microseconds.
    paid_us: u64,
}

impl Meter {
    /// Whether there is room for something at `now`.
    pub fn has_room(&self, now: Timestamp) -> bool {
        let now_us = now.as_millis().saturating_mul(1_000);
        self.paid_us <= now_us.saturating_add(Bandwidth::BURST.as_micros() as u64)
    }

    /// Counts so many bytes at `now`.
    pub fn count(&mut self, limit: Bandwidth, bytes: usize, now: Timestamp) {
        let now_us = now.as_millis().saturating_mul(1_000);
        let cost_us = bytes as u64 * 1_000_000 / limit.bytes_per_s;
        self.paid_us = self.paid_us.max(now_us).saturating_add(cost_us);
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + seconds * 1_000)
    }

    fn client(address: &str) -> Endpoint {
        Endpoint {
            socket: 0,
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn a_name_says_whose_it_is_and_until_when_in_one_spelling() {
        let user = UserId(0xab);
        let username = Username::new(user, Duration::from_secs(60), at(0));
        assert_eq!(username.to_string(), "1790000060:00000000000000ab");
        assert_eq!(Username::parse(&username.to_string()), Some(username));
        assert_eq!(username.until(), at(60));
        for bad in [
            "",
            "1790000060",
            "1790000060:",
            "1790000060:ab",
            "1790000060:00000000000000AB",
            "01790000060:00000000000000ab",
            "+1790000060:00000000000000ab",
            "1790000060:+0000000000000ab",
            "1790000060:00000000000000ab:1",
            "99999999999999999999:00000000000000ab",
        ] {
            assert_eq!(Username::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_nonce_is_good_for_its_client_and_its_time() {
        let mut rng = StdRng::seed_from_u64(1);
        let nonces = Nonces::new(&mut rng);
        let fox = client("192.0.2.1:4000");
        let nonce = nonces.make(fox, at(0));
        assert!(nonces.check(&nonce, fox, at(0)));
        assert!(nonces.check(&nonce, fox, at(3_449)));
        assert!(!nonces.check(&nonce, fox, at(3_450)));
        // From the future it is not.
        assert!(!nonces.check(&nonces.make(fox, at(2)), fox, at(1)));
        for other in ["192.0.2.1:4001", "192.0.2.2:4000", "[2001:db8::1]:4000"] {
            assert!(!nonces.check(&nonce, client(other), at(0)), "{other}");
        }
        assert!(!nonces.check(&nonce, Endpoint { socket: 1, ..fox }, at(0)));
        assert!(!Nonces::new(&mut rng).check(&nonce, fox, at(0)));
        for at_byte in 0..nonce.len() - 1 {
            let mut forged = nonce.clone().into_bytes();
            forged[at_byte] = if forged[at_byte] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert!(!nonces.check(&forged, fox, at(0)), "{forged}");
        }
        for bad in ["", "A", "é", &nonce[1..], &format!("{nonce}A")] {
            assert!(!nonces.check(bad, fox, at(0)), "{bad}");
        }
    }

    #[test]
    fn a_stranger_is_answered_only_so_often_and_others_do_not_notice() {
        let mut limit = AnswerLimit::new();
        let flood = client("192.0.2.1:1");
        let answered = (0..10_000).filter(|_| limit.check(flood, at(0))).count();
        assert_eq!(answered, 4_000);
        let other_port = client("192.0.2.1:2");
        assert!(!limit.check(other_port, at(0)));
        let others = (1..=200).filter(|n| limit.check(client(&format!("198.51.100.{n}:1")), at(0)));
        // One of them may have its place, once in many runs two.
        assert!(others.count() >= 197);
        let later = (0..10_000).filter(|_| limit.check(flood, at(1))).count();
        assert_eq!(later, 500);
    }

    #[test]
    fn who_has_departed_is_known_as_long_as_their_credentials_are_good() {
        let mut departed = Departed::default();
        let many = Departed::MOST as u64;
        for user in 0..many {
            departed.note(UserId(user), at(user + 1));
        }
        departed.note(UserId(7), at(0));
        departed.expire(at(1));
        assert!(!departed.contains(UserId(0)));
        assert!(departed.contains(UserId(1)) && departed.contains(UserId(7)));
        departed.note(UserId(many), at(many));
        departed.note(UserId(many + 1), at(many));
        assert!(!departed.contains(UserId(1)), "one too many");
        departed.expire(at(many));
        assert!((0..=many + 1).all(|user| !departed.contains(UserId(user))));
        assert!(departed.by_time.is_empty());
    }

    #[test]
    fn a_meter_allows_its_bandwidth_after_a_burst() {
        let limit = Bandwidth::from_kbit(80);
        let mut meter = Meter::default();
        let mut sent = 0;
        for ms in 0..10_000 {
            let now = Timestamp::from_millis(1_000_000 + ms);
            while meter.has_room(now) {
                meter.count(limit, 100, now);
                sent += 100;
            }
        }
        // 10 kB a second for ten seconds, and one second's at once.
        assert!((109_000..=111_000).contains(&sent), "{sent}");
    }
}
