//! Who may make a session: nobody who is banned, and while very many are being made only those who
//! show that it is worth some work to them (see [`neartalk_shared::proof`]).
//!
//! "Very many" is counted per network of addresses (IPv4 /24, IPv6 /48), beyond what one address may
//! make anyway. While a cell is being flooded with the same words from many addresses, everyone is
//! asked, for nobody knows yet where a new session will go.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    time::Duration,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use neartalk_shared::{
    ApiError, ErrorCode, Timestamp,
    http::ErrorBody,
    proof::{Challenge, Proof},
};
use rand::{Rng, rngs::StdRng};
use sha2::Sha256;

use super::{
    cell::Cell5,
    origin::{OriginDigest, day_of},
};
use crate::{
    address::{AddressKey, AddressRange},
    quota::{Gcra, Quota},
};

/// How long a challenge can be answered.
pub const CHALLENGE_TTL: Duration = Duration::from_secs(120);

/// How long everyone is asked after a cell was attacked.
const ATTACK_HOLD: Duration = Duration::from_secs(5 * 60);

/// Refused repeats from more addresses than this in one cell within [`PRESSURE_WINDOW`] are an attack.
const ATTACK_ABOVE: usize = 20;

/// For how long a refused repeat counts.
const PRESSURE_WINDOW: Duration = Duration::from_secs(60);

/// Answers that are remembered until their challenge is void, at most. Each has cost somebody work;
/// beyond it all are refused until the oldest is void.
const ANSWERED_MAX: usize = 100_000;

/// Networks that are counted, at most; the idle ones are forgotten first.
const RANGES_MAX: usize = 100_000;

/// When a proof is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ProofPolicy {
    /// Never.
    Never,
    /// While very many sessions are being made from one network, or a cell is flooded.
    Attack,
    /// Always.
    Always,
}

/// What a gate goes by.
#[derive(Clone, Copy, Debug)]
pub struct GateSettings {
    /// When a proof is asked for.
    pub policy: ProofPolicy,
    /// How many bits of it.
    pub bits: u32,
    /// Sessions from one network that need none.
    pub range: Quota,
}

/// Decides who may make a session.
#[derive(Debug)]
pub struct Gate {
    settings: GateSettings,
    secret: [u8; 32],
    /// In place of it on these days, so that a challenge of one relay can be answered on another.
    shared: BTreeMap<u64, [u8; 32]>,
    ranges: HashMap<AddressRange, Gcra>,
    /// Challenges that were answered, until they are void.
    answered: HashSet<[u8; MAC_BYTES]>,
    voids: VecDeque<(Timestamp, [u8; MAC_BYTES])>,
    /// By cell, from which addresses there were refused repeats lately, and when. No more are counted
    /// than make an attack.
    pressure: HashMap<Cell5, HashMap<OriginDigest, Timestamp>>,
    attacked_until: Option<Timestamp>,
}

/// Shared secrets that are kept: yesterday's, today's and tomorrow's.
const DAYS: usize = 3;

const MAC_BYTES: usize = 16;
const NONCE_BYTES: usize = 8;
const CHALLENGE_BYTES: usize = 8 + NONCE_BYTES + MAC_BYTES;

impl Gate {
    /// An open gate.
    pub fn new(settings: GateSettings, rng: &mut StdRng) -> Self {
        let mut secret = [0; 32];
        rng.fill_bytes(&mut secret);
        Self {
            settings,
            secret,
            shared: BTreeMap::new(),
            ranges: HashMap::new(),
            answered: HashSet::new(),
            voids: VecDeque::new(),
            pressure: HashMap::new(),
            attacked_until: None,
        }
    }

    /// Lets a session be made from `address`, or asks for a proof first.
    pub fn admit(
        &mut self,
        address: AddressKey,
        proof: Option<&Proof>,
        now: Timestamp,
        rng: &mut StdRng,
    ) -> Result<(), ErrorBody> {
        self.sweep(now);
        if !self.wants_proof(address, now) {
            return Ok(());
        }
        if proof.is_some_and(|proof| self.accept(address, proof, now)) {
            return Ok(());
        }
        let message = if proof.is_some() {
            "That proof does not answer this relay's question, or came too late; try again."
        } else {
            "Very many people are joining, so this relay asks each newcomer for a moment's work. \
             A newer client does it by itself."
        };
        Err(ErrorBody {
            error: ApiError::new(ErrorCode::ProofRequired, message),
            proof: Some(self.challenge(address, now, rng)),
        })
    }

    /// Uses the secret that other relays use on a day.
    pub fn share(&mut self, day: u64, secret: [u8; 32]) {
        self.shared.insert(day, secret);
        while self.shared.len() > DAYS {
            self.shared.pop_first();
        }
    }

    /// Words that many addresses repeat were refused in `cell`, this time from `origin`.
    pub fn repeated(&mut self, cell: Cell5, origin: OriginDigest, now: Timestamp) {
        let pressure = self.pressure.entry(cell).or_default();
        pressure.retain(|_, at| now.since(*at) < PRESSURE_WINDOW);
        if pressure.len() <= ATTACK_ABOVE {
            pressure.insert(origin, now);
        }
        if pressure.len() > ATTACK_ABOVE {
            self.attacked_until = Some(now + ATTACK_HOLD);
        }
    }

    /// Whether everyone is asked for a proof at present.
    pub fn is_attacked(&self, now: Timestamp) -> bool {
        self.attacked_until.is_some_and(|until| now < until)
    }

    /// Forgets what is old.
    pub fn sweep(&mut self, now: Timestamp) {
        while self.voids.front().is_some_and(|&(at, _)| at <= now) {
            if let Some((_, mac)) = self.voids.pop_front() {
                self.answered.remove(&mac);
            }
        }
    }

    /// Forgets networks and cells about which nothing matters any more. Looks at all of them.
    pub fn sweep_idle(&mut self, now: Timestamp) {
        self.ranges.retain(|_, gcra| !gcra.is_idle(now));
        let is_recent = |at: &Timestamp| now.since(*at) < PRESSURE_WINDOW;
        self.pressure.retain(|_, from| from.values().any(is_recent));
    }

    fn wants_proof(&mut self, address: AddressKey, now: Timestamp) -> bool {
        match self.settings.policy {
            ProofPolicy::Never => false,
            ProofPolicy::Always => true,
            ProofPolicy::Attack => {
                if self.ranges.len() >= RANGES_MAX {
                    self.sweep_idle(now);
                }
                let full = self.ranges.len() >= RANGES_MAX;
                let range = address.range();
                let crowded = match self.ranges.get_mut(&range) {
                    Some(gcra) => gcra.check(&self.settings.range, now).is_err(),
                    // So many networks at once are an attack in themselves.
                    None if full => true,
                    None => {
                        let gcra = self.ranges.entry(range).or_default();
                        gcra.check(&self.settings.range, now).is_err()
                    }
                };
                crowded || self.is_attacked(now)
            }
        }
    }

    fn challenge(&self, address: AddressKey, now: Timestamp, rng: &mut StdRng) -> Challenge {
        let mut bytes = [0; CHALLENGE_BYTES];
        let void_at = now + CHALLENGE_TTL;
        bytes[..8].copy_from_slice(&void_at.as_millis().to_be_bytes());
        rng.fill_bytes(&mut bytes[8..8 + NONCE_BYTES]);
        let mac = self.mac(void_at, address, &bytes[..8 + NONCE_BYTES]);
        bytes[8 + NONCE_BYTES..].copy_from_slice(&mac.finalize().into_bytes()[..MAC_BYTES]);
        Challenge {
            challenge: BASE64_URL_SAFE_NO_PAD.encode(bytes),
            bits: self.settings.bits,
        }
    }

    /// Whether `proof` answers a challenge of this gate's, for this address, for the first time.
    fn accept(&mut self, address: AddressKey, proof: &Proof, now: Timestamp) -> bool {
        let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(&proof.challenge) else {
            return false;
        };
        let Some((signed, mac)) = bytes.split_last_chunk::<MAC_BYTES>() else {
            return false;
        };
        let Some(void_at) = signed.first_chunk::<8>() else {
            return false;
        };
        let void_at = Timestamp::from_millis(u64::from_be_bytes(*void_at));
        let signature = self.mac(void_at, address, signed);
        let ours = signature.verify_truncated_left(mac).is_ok();
        if !ours
            || void_at <= now
            || self.voids.len() >= ANSWERED_MAX
            || !proof.holds(self.settings.bits)
            || !self.answered.insert(*mac)
        {
            return false;
        }
        self.voids.push_back((now + CHALLENGE_TTL, *mac));
        true
    }

    /// With the secret of the day on which the challenge is void.
    fn mac(&self, void_at: Timestamp, address: AddressKey, signed: &[u8]) -> Hmac<Sha256> {
        let secret = self.shared.get(&day_of(void_at)).unwrap_or(&self.secret);
        let mut mac =
            Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
        mac.update(signed);
        address.feed(|bytes| mac.update(bytes));
        mac
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    struct World {
        gate: Gate,
        rng: StdRng,
    }

    impl World {
        fn new(policy: ProofPolicy) -> Self {
            let mut rng = StdRng::seed_from_u64(1);
            let settings = GateSettings {
                policy,
                bits: 6,
                range: Quota::per_window(60, Duration::from_secs(60), 3),
            };
            Self {
                gate: Gate::new(settings, &mut rng),
                rng,
            }
        }

        fn ask(&mut self, from: [u8; 4], proof: Option<&Proof>, ms: u64) -> Option<Challenge> {
            let address = AddressKey::from(std::net::IpAddr::from(from));
            let now = Timestamp::from_millis(1_000_000 + ms);
            let answer = self.gate.admit(address, proof, now, &mut self.rng);
            answer.err().map(|body| {
                assert_eq!(body.error.code, ErrorCode::ProofRequired);
                body.proof.unwrap()
            })
        }
    }

    const A: [u8; 4] = [192, 0, 2, 1];
    const B: [u8; 4] = [198, 51, 100, 1];

    #[test]
    fn a_crowded_network_is_asked_and_no_other() {
        let mut world = World::new(ProofPolicy::Attack);
        for n in 0..3 {
            assert_eq!(world.ask([192, 0, 2, n], None, 0), None);
        }
        let challenge = world.ask([192, 0, 2, 9], None, 0).expect("a challenge");
        assert_eq!(world.ask(B, None, 0), None);
        let proof = challenge.solve().unwrap();
        assert_eq!(world.ask([192, 0, 2, 9], Some(&proof), 1), None);
        // A second later there is room for one again.
        assert_eq!(world.ask(A, None, 1_000), None);
        let never = &mut World::new(ProofPolicy::Never);
        assert!((0..100).all(|_| never.ask(A, None, 0).is_none()));
    }

    #[test]
    fn a_proof_is_good_once_in_time_and_for_its_address() {
        let mut world = World::new(ProofPolicy::Always);
        let proof = world.ask(A, None, 0).unwrap().solve().unwrap();
        assert!(world.ask(B, Some(&proof), 1).is_some(), "another address");
        assert!(world.ask(A, Some(&proof), 2).is_none());
        assert!(world.ask(A, Some(&proof), 3).is_some(), "a second time");
        let late = world.ask(A, None, 0).unwrap().solve().unwrap();
        assert!(world.ask(A, Some(&late), 130_000).is_some(), "too late");
        assert!(world.gate.answered.is_empty() && world.gate.voids.is_empty());
        // Forged and broken ones.
        let solved = |challenge: &str| {
            let challenge = challenge.to_owned();
            Challenge { challenge, bits: 6 }.solve().unwrap()
        };
        for words in ["", "AAAA", "!", &"A".repeat(43), &"A".repeat(200)] {
            assert!(world.ask(A, Some(&solved(words)), 0).is_some(), "{words}");
        }
        // No work.
        let challenge = world.ask(A, None, 0).unwrap().challenge;
        let lazy = (0..).map(|counter| Proof {
            challenge: challenge.clone(),
            counter,
        });
        let lazy = lazy.into_iter().find(|p| !p.holds(6)).unwrap();
        assert!(world.ask(A, Some(&lazy), 1).is_some());
    }

    #[test]
    fn a_flooded_cell_makes_the_gate_ask_everyone_for_a_while() {
        let mut world = World::new(ProofPolicy::Attack);
        let cell = Cell5::parse("u33db").unwrap();
        let at = |ms: u64| Timestamp::from_millis(1_000_000 + ms);
        let from = |n: usize| OriginDigest([n as u8; 16]);
        // One address alone is none, however often.
        for _ in 0..1_000 {
            world.gate.repeated(cell, from(1), at(0));
        }
        for n in 1..=ATTACK_ABOVE {
            world.gate.repeated(cell, from(n), at(0));
        }
        assert_eq!(world.ask(A, None, 0), None);
        // The same number elsewhere is not more here.
        let elsewhere = Cell5::parse("u33dc").unwrap();
        world.gate.repeated(elsewhere, from(99), at(0));
        assert_eq!(world.ask(A, None, 1), None);
        world.gate.repeated(cell, from(99), at(2));
        assert!(world.ask(B, None, 3).is_some());
        assert_eq!(world.ask(B, None, 2 + 300_000), None);
        world.gate.sweep_idle(at(600_000));
        assert!(world.gate.ranges.is_empty() && world.gate.pressure.is_empty());
    }
}
