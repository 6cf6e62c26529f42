//! The same words again and again: from one address, or from many that take turns.
//!
//! Only a keyed hash of what was said is remembered, and only for [`WINDOW`].
//!
//! Of relays that are one, each hears all that is said in the cells that its own people are in. So each
//! counts what the others have passed on as if it had itself, and asks nobody.

use std::{
    collections::{HashMap, VecDeque, hash_map::RandomState},
    hash::BuildHasher,
    time::Duration,
};

use neartalk_shared::Timestamp;

use super::{cell::Cell5, origin::OriginDigest, words::fold};
use crate::quota::{Gcra, Quota};

/// How long a text is remembered.
pub const WINDOW: Duration = Duration::from_secs(10 * 60);

/// Shorter texts are said by anyone at any time: "hello", "me too".
const SHORTEST: usize = 12;

/// Texts that are remembered, at most; beyond it the oldest are forgotten early.
const REMEMBERED_MAX: usize = 100_000;

/// Messages are counted per address over this time.
const FLOOD_WINDOW: Duration = Duration::from_secs(60);

/// How often the same may be said. Zero is as often as one likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatLimits {
    /// The same text from one address in one cell, within [`WINDOW`].
    pub per_address: u32,
    /// The same text in one cell, whoever says it, within [`WINDOW`].
    pub per_cell: u32,
    /// Any messages from one address in one cell a minute, after a burst of as many.
    pub messages_per_address: u32,
}

/// Why something is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooMuch {
    /// One address has said this too often.
    SameFromOne,
    /// Many have said this.
    SameFromMany,
    /// One address says too much at once; when it may say something again, in milliseconds.
    Flood(u64),
}

/// A text that was passed on.
#[derive(Debug, Default)]
struct Said {
    /// Until when each time counts, and whose it was, as far as that is known.
    by: Vec<(Timestamp, Option<OriginDigest>)>,
}

/// What was said lately, by its hash.
#[derive(Debug)]
pub struct Repeats {
    limits: RepeatLimits,
    hasher: RandomState,
    texts: HashMap<u64, Said>,
    /// What is to be forgotten when, oldest first.
    order: VecDeque<(Timestamp, u64)>,
    floods: HashMap<(Cell5, OriginDigest), Gcra>,
}

impl Repeats {
    /// Nothing was said yet.
    pub fn new(limits: RepeatLimits) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            texts: HashMap::new(),
            order: VecDeque::new(),
            floods: HashMap::new(),
        }
    }

    /// Counts something that `origin` says in `cell`, unless it is too much.
    pub fn check(
        &mut self,
        text: &str,
        cell: Cell5,
        origin: OriginDigest,
        now: Timestamp,
    ) -> Result<(), TooMuch> {
        self.sweep(now);
        let limits = self.limits;
        let key = self.key(text, cell);
        if let Some(said) = key.and_then(|key| self.texts.get(&key)) {
            let own = said.by.iter().filter(|(_, by)| *by == Some(origin));
            let own = own.count();
            if limits.per_address > 0 && own >= limits.per_address as usize {
                return Err(TooMuch::SameFromOne);
            }
            if limits.per_cell > 0 && said.by.len() >= limits.per_cell as usize {
                return Err(TooMuch::SameFromMany);
            }
        }
        self.count(cell, origin, now).map_err(TooMuch::Flood)?;
        if let Some(key) = key {
            self.remember(key, Some(origin), now + WINDOW);
        }
        Ok(())
    }

    /// Counts something that another relay has passed on.
    pub fn overhear(
        &mut self,
        text: &str,
        cell: Cell5,
        origin: Option<OriginDigest>,
        sent_at: Timestamp,
        now: Timestamp,
    ) {
        // Relays' clocks differ.
        let sent_at = sent_at.min(now);
        if sent_at + WINDOW <= now {
            return;
        }
        if let Some(origin) = origin {
            // It was said, be it too much; so the next one is.
            let _ = self.count(cell, origin, now);
        }
        if let Some(key) = self.key(text, cell) {
            self.remember(key, origin, sent_at + WINDOW);
        }
    }

    /// Counts a message of an address, or says in how many milliseconds it may say one.
    fn count(&mut self, cell: Cell5, origin: OriginDigest, now: Timestamp) -> Result<(), u64> {
        let n = self.limits.messages_per_address;
        if n == 0 {
            return Ok(());
        }
        let quota = Quota::per_window(n, FLOOD_WINDOW, n);
        self.floods
            .entry((cell, origin))
            .or_default()
            .check(&quota, now)
    }

    fn remember(&mut self, key: u64, origin: Option<OriginDigest>, until: Timestamp) {
        let said = self.texts.entry(key).or_default();
        said.by.push((until, origin));
        // What comes from others may come late.
        let at = match self.order.back() {
            Some(&(last, _)) if last > until => self.order.partition_point(|&(at, _)| at <= until),
            _ => self.order.len(),
        };
        self.order.insert(at, (until, key));
        if self.order.len() > REMEMBERED_MAX {
            self.forget_oldest();
        }
    }

    /// Forgets what is old.
    pub fn sweep(&mut self, now: Timestamp) {
        while self.order.front().is_some_and(|&(at, _)| at <= now) {
            self.forget_oldest();
        }
    }

    /// Forgets addresses that have said nothing for a while. Looks at all of them.
    pub fn sweep_floods(&mut self, now: Timestamp) {
        self.floods.retain(|_, messages| !messages.is_idle(now));
    }

    /// What a text is known by, if it counts at all. Of letters and digits only, so that other dots and
    /// dashes are the same text.
    fn key(&self, text: &str, cell: Cell5) -> Option<u64> {
        if self.limits.per_address == 0 && self.limits.per_cell == 0 {
            return None;
        }
        let folded = fold(text);
        let text: String = folded.chars().filter(|c| c.is_alphanumeric()).collect();
        (text.chars().count() >= SHORTEST).then(|| self.hasher.hash_one((cell, text)))
    }

    fn forget_oldest(&mut self) {
        if let Some((until, key)) = self.order.pop_front()
            && let Some(said) = self.texts.get_mut(&key)
        {
            if let Some(at) = said.by.iter().position(|&(at, _)| at == until) {
                said.by.remove(at);
            }
            if said.by.is_empty() {
                self.texts.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RepeatLimits = RepeatLimits {
        per_address: 3,
        per_cell: 5,
        messages_per_address: 20,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + 1_000 * seconds)
    }

    fn cell(s: &str) -> Cell5 {
        Cell5::parse(s).unwrap()
    }

    fn from(n: u8) -> OriginDigest {
        OriginDigest([n; 16])
    }

    #[test]
    fn the_same_from_one_address_is_refused_in_that_cell_for_a_time() {
        let mut repeats = Repeats::new(LIMITS);
        let here = cell("u33db");
        for (n, text) in [
            "Buy my coins now",
            "BUY my coins, now!!",
            "buy—my coins now",
        ]
        .into_iter()
        .enumerate()
        {
            assert_eq!(repeats.check(text, here, from(1), at(n as u64)), Ok(()));
        }
        let again = |repeats: &mut Repeats, cell, who, when| {
            repeats.check("Buy my coins now", cell, from(who), at(when))
        };
        assert_eq!(again(&mut repeats, here, 1, 5), Err(TooMuch::SameFromOne));
        // Somebody else, and somewhere else.
        assert_eq!(again(&mut repeats, here, 2, 6), Ok(()));
        assert_eq!(again(&mut repeats, cell("u33dc"), 1, 7), Ok(()));
        // Other words, and such as everyone says.
        assert_eq!(
            repeats.check("Buy my stamps now", here, from(1), at(8)),
            Ok(())
        );
        for n in 0..10 {
            assert_eq!(
                repeats.check("hello there", here, from(1), at(9 + n)),
                Ok(())
            );
        }
        // The first is forgotten after ten minutes.
        assert_eq!(again(&mut repeats, here, 1, 599), Err(TooMuch::SameFromOne));
        assert_eq!(again(&mut repeats, here, 1, 600), Ok(()));
    }

    #[test]
    fn the_same_from_many_addresses_is_refused() {
        let mut repeats = Repeats::new(LIMITS);
        let here = cell("u33db");
        for n in 0..5 {
            assert_eq!(
                repeats.check("Join my channel", here, from(n), at(0)),
                Ok(())
            );
        }
        for n in 5..50 {
            assert_eq!(
                repeats.check("Join my channel", here, from(n), at(1)),
                Err(TooMuch::SameFromMany)
            );
        }
        assert_eq!(
            repeats.check("Join my channel", here, from(50), at(600)),
            Ok(())
        );
    }

    #[test]
    fn what_other_relays_have_passed_on_counts_as_well() {
        let mut repeats = Repeats::new(LIMITS);
        let here = cell("u33db");
        let text = "Buy my coins now";
        // One was said long ago, one comes late, and of one it is not known who has said it.
        repeats.overhear(text, here, Some(from(1)), at(0), at(600));
        repeats.overhear(text, here, Some(from(1)), at(500), at(600));
        repeats.overhear(text, here, None, at(100), at(600));
        repeats.overhear(text, here, Some(from(1)), at(700), at(600));
        assert_eq!(repeats.order.len(), 3);
        assert!(repeats.order.iter().is_sorted());
        assert_eq!(repeats.check(text, here, from(1), at(600)), Ok(()));
        let again =
            |repeats: &mut Repeats, who, when| repeats.check(text, here, from(who), at(when));
        assert_eq!(again(&mut repeats, 1, 601), Err(TooMuch::SameFromOne));
        assert_eq!(again(&mut repeats, 2, 602), Ok(()));
        assert_eq!(again(&mut repeats, 3, 603), Err(TooMuch::SameFromMany));
        // Each for ten minutes from when it was said.
        assert_eq!(again(&mut repeats, 3, 699), Err(TooMuch::SameFromMany));
        assert_eq!(again(&mut repeats, 3, 700), Ok(()));
        assert_eq!(again(&mut repeats, 1, 1_099), Err(TooMuch::SameFromOne));
        assert_eq!(again(&mut repeats, 1, 1_100), Ok(()));
        repeats.sweep(at(2_000));
        assert!(repeats.texts.is_empty() && repeats.order.is_empty());
        for _ in 0..30 {
            repeats.overhear("hi", here, Some(from(7)), at(2_000), at(2_000));
        }
        assert!(matches!(
            repeats.check("hi", here, from(7), at(2_000)),
            Err(TooMuch::Flood(_))
        ));
    }

    #[test]
    fn one_address_can_only_say_so_much_in_a_minute() {
        let mut repeats = Repeats::new(LIMITS);
        let here = cell("u33db");
        for n in 0..20 {
            assert_eq!(repeats.check(&n.to_string(), here, from(1), at(0)), Ok(()));
        }
        assert_eq!(
            repeats.check("more", here, from(1), at(1)),
            Err(TooMuch::Flood(2_000))
        );
        assert_eq!(repeats.check("more", here, from(2), at(1)), Ok(()));
        assert_eq!(repeats.check("more", here, from(1), at(3)), Ok(()));
        repeats.sweep_floods(at(62));
        assert_eq!(repeats.floods.len(), 1, "one has said much since");
        repeats.sweep_floods(at(63));
        assert_eq!(repeats.floods.len(), 0);
    }

    #[test]
    fn memory_is_bounded_and_everything_is_forgotten() {
        let mut repeats = Repeats::new(RepeatLimits {
            messages_per_address: 0,
            ..LIMITS
        });
        let here = cell("u33db");
        for n in 0..REMEMBERED_MAX + 10 {
            let text = format!("something long, number {n}");
            assert_eq!(repeats.check(&text, here, from(1), at(0)), Ok(()));
        }
        assert_eq!(repeats.order.len(), REMEMBERED_MAX);
        assert_eq!(repeats.texts.len(), REMEMBERED_MAX);
        repeats.sweep(at(600));
        assert!(repeats.texts.is_empty() && repeats.order.is_empty());
    }

    #[test]
    fn zero_is_without_limit() {
        let mut repeats = Repeats::new(RepeatLimits {
            per_address: 0,
            per_cell: 0,
            messages_per_address: 0,
        });
        for _ in 0..1_000 {
            let said = repeats.check("again and again and again", cell("u33db"), from(1), at(0));
            assert_eq!(said, Ok(()));
        }
        assert!(repeats.texts.is_empty() && repeats.floods.is_empty());
    }
}
