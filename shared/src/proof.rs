//! The work that a relay asks for before it makes another session while very many are being made
//! (hashcash: A. Back, "Hashcash - A Denial of Service Counter-Measure", 2002). It costs a person
//! a moment, and somebody who wants thousands of sessions hours.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// More bits than this are no moment any more, even for a fast machine, so a client refuses them.
pub const BITS_MAX: u32 = 24;

/// A relay's own words are far below this.
const CHALLENGE_MAX_BYTES: usize = 256;

/// What a relay asks for: a number that makes the hash begin with so many zero bits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Challenge {
    /// The relay's own words, to be given back unchanged.
    pub challenge: String,
    /// How many bits must be zero. Each more doubles the work.
    pub bits: u32,
}

/// The answer to a [`Challenge`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Proof {
    /// The challenge's words.
    pub challenge: String,
    /// The number that was found.
    pub counter: u32,
}

impl Challenge {
    /// Looks for an answer, which takes 2 to the power of `bits` hashes on average. `None` when the
    /// challenge asks for more than [`BITS_MAX`], or there is no answer.
    pub fn solve(&self) -> Option<Proof> {
        if self.bits > BITS_MAX || self.challenge.len() > CHALLENGE_MAX_BYTES {
            return None;
        }
        let counter = (0..=u32::MAX).find(|&n| zeros(&self.challenge, n) >= self.bits)?;
        Some(Proof {
            challenge: self.challenge.clone(),
            counter,
        })
    }
}

impl Proof {
    /// Whether this answers a challenge of so many bits. Whose challenge it was is for the relay to
    /// know.
    pub fn holds(&self, bits: u32) -> bool {
        self.challenge.len() <= CHALLENGE_MAX_BYTES && zeros(&self.challenge, self.counter) >= bits
    }
}

/// Zero bits at the beginning of SHA-256 of `challenge`, a colon and `counter` in decimal.
fn zeros(challenge: &str, counter: u32) -> u32 {
    let mut hash = Sha256::new();
    hash.update(challenge);
    hash.update(b":");
    hash.update(counter.to_string());
    let hash = hash.finalize();
    let whole = hash.iter().take_while(|&&byte| byte == 0).count();
    let part = hash.get(whole).map_or(0, |byte| byte.leading_zeros());
    8 * whole as u32 + part
}

#[cfg(test)]
mod tests {
    use super::*;

    fn challenge(bits: u32) -> Challenge {
        Challenge {
            challenge: "a relay's words".into(),
            bits,
        }
    }

    #[test]
    fn an_answer_is_found_and_holds_for_its_challenge_only() {
        let proof = challenge(10).solve().unwrap();
        assert!(proof.holds(10));
        assert!(!proof.holds(40), "that many zeros don't come by chance");
        let other = Proof {
            challenge: "other words".into(),
            ..proof.clone()
        };
        let next = Proof {
            counter: proof.counter + 1,
            ..proof
        };
        assert!(!other.holds(10) && !next.holds(10));
    }

    #[test]
    fn counted_as_others_count() {
        // printf "a relay's words:6163" | sha256sum
        assert_eq!(zeros("a relay's words", 6163), 12);
        // And none before it does as well.
        assert_eq!(challenge(12).solve().unwrap().counter, 6163);
    }

    #[test]
    fn a_relay_that_asks_for_hours_gets_nothing() {
        assert_eq!(challenge(BITS_MAX + 1).solve(), None);
        let long = Challenge {
            challenge: "x".repeat(300),
            bits: 0,
        };
        assert_eq!(long.solve(), None);
    }
}
