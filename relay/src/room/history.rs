//! What was said in the last 30 minutes, by where it was said.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use neartalk_shared::{
    DistanceBand, MessageId, MessageText, PeerId, Spot, Timestamp, Username, frame::Message,
};
use slab::Slab;

use super::index::GridIndex;

/// At most so many messages are replayed to somebody, the newest.
const REPLAY_MAX: usize = 1_000;

/// A message as it is kept.
#[derive(Debug)]
pub struct Said {
    /// Made by the client.
    pub id: MessageId,
    /// Who said it.
    pub from: PeerId,
    /// Their name then.
    pub username: Username,
    /// What they said.
    pub text: MessageText,
    /// When.
    pub sent_at: Timestamp,
    /// When it is gone.
    pub expires_at: Timestamp,
    /// How many people got it then.
    pub reached: u32,
}

impl Said {
    /// The message as somebody sees it for whom it was said at `distance`.
    pub fn at_distance(&self, distance: DistanceBand) -> Message {
        Message {
            id: self.id,
            from: self.from,
            username: self.username.clone(),
            text: self.text.clone(),
            sent_at: self.sent_at,
            expires_at: self.expires_at,
            distance,
        }
    }
}

#[derive(Debug)]
struct Kept {
    /// Counts up, because several messages may come within one millisecond.
    number: u64,
    said: Said,
    /// Where it was said, if other relays may have to be told again.
    spot: Option<Box<Spot>>,
}

/// The messages that still live. Nothing outlives its time here, not even until the next sweep:
/// every question is asked at a time, and what has expired by then is not in the answer.
#[derive(Debug)]
pub struct History {
    ttl: Duration,
    capacity: usize,
    messages: Slab<Kept>,
    next: u64,
    index: GridIndex,
    /// The randomly keyed hasher of the standard library, because clients choose these keys.
    by_id: HashMap<MessageId, u32>,
    /// In the order in which they expire, which is that in which they were said.
    order: VecDeque<u32>,
}

impl History {
    /// An empty history whose messages live for `ttl`, and of which at most `capacity` are kept,
    /// the newest.
    pub fn new(ttl: Duration, capacity: usize) -> Self {
        Self {
            ttl,
            capacity,
            messages: Slab::new(),
            next: 0,
            index: GridIndex::default(),
            by_id: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// How long a message lives.
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }

    /// How many messages are kept.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// The message with this id, if it lives.
    pub fn get(&self, id: &MessageId, now: Timestamp) -> Option<&Said> {
        let said = &self.messages.get(*self.by_id.get(id)? as usize)?.said;
        (said.expires_at > now).then_some(said)
    }

    /// Each message that lives and was given to [`History::keep`], with where it was said, oldest
    /// first.
    pub fn iter(&self, now: Timestamp) -> impl Iterator<Item = (&Said, &Spot)> {
        self.order.iter().filter_map(move |&slot| {
            let kept = &self.messages[slot as usize];
            let spot = kept.spot.as_deref()?;
            (kept.said.expires_at > now).then_some((&kept.said, spot))
        })
    }

    /// Keeps `said`, which was said at `spot`. Its id must not be in use, see [`History::get`].
    pub fn push(&mut self, said: Said, spot: &Spot) {
        self.sweep(said.sent_at);
        self.insert(said, spot, None);
    }

    /// The same, for what may come late from another relay, or has to be told to others again.
    pub fn keep(&mut self, said: Said, spot: &Spot) {
        self.insert(said, spot, Some(Box::new(*spot)));
    }

    fn insert(&mut self, said: Said, spot: &Spot, kept_spot: Option<Box<Spot>>) {
        if self.order.len() >= self.capacity {
            self.drop_oldest();
        }
        let (id, expires_at) = (said.id, said.expires_at);
        // Its time is up, but no sweep has come by yet.
        if let Some(&old) = self.by_id.get(&id) {
            self.order.retain(|&slot| slot != old);
            self.remove(old);
        }
        let number = self.next;
        self.next += 1;
        let slot = self.messages.insert(Kept {
            number,
            said,
            spot: kept_spot,
        }) as u32;
        self.index.insert(slot, spot);
        self.by_id.insert(id, slot);
        let messages = &self.messages;
        let ends_by_then = |slot: &u32| messages[*slot as usize].said.expires_at <= expires_at;
        // Nearly always it is the newest; what another relay has kept may be older than thousands.
        let at = match self.order.back() {
            Some(last) if !ends_by_then(last) => self.order.partition_point(ends_by_then),
            _ => self.order.len(),
        };
        self.order.insert(at, slot);
    }

    /// Forgets what has expired.
    pub fn sweep(&mut self, now: Timestamp) {
        while let Some(&slot) = self.order.front()
            && self.messages[slot as usize].said.expires_at <= now
        {
            self.drop_oldest();
        }
    }

    /// Forgets what somebody said.
    pub fn forget(&mut self, from: &PeerId) {
        let (theirs, others): (VecDeque<_>, VecDeque<_>) = self
            .order
            .drain(..)
            .partition(|&slot| self.messages[slot as usize].said.from == *from);
        self.order = others;
        for slot in theirs {
            self.remove(slot);
        }
    }

    /// Whether the message with this id lives, was said by `from`, and is heard at `spot`.
    pub fn was_heard_at(&self, id: &MessageId, from: &PeerId, spot: &Spot, now: Timestamp) -> bool {
        let theirs = self.get(id, now).is_some_and(|said| said.from == *from);
        let circle = self.by_id.get(id).and_then(|&slot| self.index.circle(slot));
        theirs && circle.is_some_and(|circle| spot.circle().in_range(circle))
    }

    fn drop_oldest(&mut self) {
        if let Some(slot) = self.order.pop_front() {
            self.remove(slot);
        }
    }

    fn remove(&mut self, slot: u32) {
        let Kept { said, .. } = self.messages.remove(slot as usize);
        self.by_id.remove(&said.id);
        self.index.remove(slot);
    }

    /// What was said by people whose place and radius then are in mutual range with `spot`, oldest
    /// first.
    pub fn replay(&self, spot: &Spot, now: Timestamp) -> Vec<Message> {
        let mut found = Vec::new();
        self.index.in_range(spot, |slot, band| {
            let Kept { number, said, .. } = &self.messages[slot as usize];
            if said.expires_at > now {
                found.push((number, said, band));
            }
        });
        found.sort_unstable_by_key(|&(number, said, _)| (said.sent_at, *number));
        let skip = found.len().saturating_sub(REPLAY_MAX);
        found[skip..]
            .iter()
            .map(|(_, said, band)| said.at_distance(*band))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{Place, Radius};
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + 1_000 * seconds)
    }

    fn spot() -> Spot {
        Spot::new(Place::new(50.0, 8.0).unwrap(), Radius::MAX)
    }

    fn say(history: &mut History, text: &str, now: Timestamp) -> MessageId {
        let id = MessageId::random();
        let said = Said {
            id,
            from: PeerId::random(&mut rand::rngs::StdRng::seed_from_u64(1)),
            username: Username::parse("Fox").unwrap(),
            text: MessageText::parse(text).unwrap(),
            sent_at: now,
            expires_at: now + history.ttl(),
            reached: 0,
        };
        history.push(said, &spot());
        id
    }

    fn texts(history: &History, now: Timestamp) -> Vec<String> {
        history
            .replay(&spot(), now)
            .into_iter()
            .map(|m| m.text.into())
            .collect()
    }

    #[test]
    fn nothing_outlives_its_time() {
        let mut history = History::new(Duration::from_secs(1_800), 100);
        let first = say(&mut history, "first", at(0));
        say(&mut history, "second", at(29 * 60));
        assert_eq!(texts(&history, at(29 * 60)), ["first", "second"]);
        assert_eq!(texts(&history, at(1_799)), ["first", "second"]);
        // Without any sweep in between.
        assert_eq!(texts(&history, at(1_800)), ["second"]);
        assert!(history.get(&first, at(1_799)).is_some());
        assert!(history.get(&first, at(1_800)).is_none());
        history.sweep(at(31 * 60));
        assert_eq!(history.len(), 1);
        history.sweep(at(60 * 60));
        assert_eq!(history.len(), 0);
        assert!(history.by_id.is_empty() && history.order.is_empty());
    }

    #[test]
    fn an_id_whose_message_has_expired_can_be_used_again() {
        let mut history = History::new(Duration::from_secs(1_800), 100);
        let id = say(&mut history, "first", at(0));
        let again = |text: &str, now: Timestamp| Said {
            id,
            from: PeerId::random(&mut rand::rngs::StdRng::seed_from_u64(1)),
            username: Username::parse("Fox").unwrap(),
            text: MessageText::parse(text).unwrap(),
            sent_at: now,
            expires_at: now + Duration::from_secs(1_800),
            reached: 0,
        };
        // As other relays' come in: without any sweep in between.
        history.keep(again("second", at(1_800)), &spot());
        history.sweep(at(1_801));
        assert_eq!(texts(&history, at(1_801)), ["second"]);
        assert!(history.get(&id, at(1_801)).is_some());
        history.sweep(at(3_600));
        assert!(history.len() == 0 && history.by_id.is_empty() && history.order.is_empty());
    }

    #[test]
    fn what_comes_late_has_its_place_among_the_rest() {
        let mut history = History::new(Duration::from_secs(1_800), 10_000);
        let mut rng = rand::rngs::StdRng::seed_from_u64(3);
        for _ in 0..2_000 {
            let sent_at = at(rng.random_range(0..600));
            let said = Said {
                id: MessageId::random(),
                from: PeerId::random(&mut rng),
                username: Username::parse("Fox").unwrap(),
                text: MessageText::parse("late").unwrap(),
                sent_at,
                expires_at: sent_at + Duration::from_secs(1_800),
                reached: 0,
            };
            history.keep(said, &spot());
        }
        let ends = history.iter(at(0)).map(|(said, _)| said.expires_at);
        assert!(ends.is_sorted());
        for now in [1_800, 1_900, 2_300, 2_399, 2_400] {
            history.sweep(at(now));
            let alive = |said: &Said| said.expires_at > at(now);
            assert!(history.iter(at(0)).all(|(said, _)| alive(said)));
        }
        assert_eq!(history.len(), 0);
    }

    #[test]
    fn what_one_said_can_be_forgotten() {
        let mut history = History::new(Duration::from_secs(1_800), 100);
        let mut rng = rand::rngs::StdRng::seed_from_u64(2);
        let (fox, owl) = (PeerId::random(&mut rng), PeerId::random(&mut rng));
        let mut ids = Vec::new();
        for (n, from) in [fox, owl, fox, owl, fox].into_iter().enumerate() {
            let id = say(&mut history, &n.to_string(), at(n as u64));
            let &slot = history.by_id.get(&id).unwrap();
            history.messages[slot as usize].said.from = from;
            ids.push(id);
        }
        assert!(history.was_heard_at(&ids[0], &fox, &spot(), at(5)));
        assert!(!history.was_heard_at(&ids[0], &owl, &spot(), at(5)));
        let afar = Spot::new(Place::new(51.0, 8.0).unwrap(), Radius::MAX);
        assert!(!history.was_heard_at(&ids[0], &fox, &afar, at(5)));
        history.forget(&fox);
        assert_eq!(texts(&history, at(5)), ["1", "3"]);
        assert!(history.get(&ids[0], at(5)).is_none());
        assert!(!history.was_heard_at(&ids[0], &fox, &spot(), at(5)));
        say(&mut history, "5", at(6));
        assert_eq!(texts(&history, at(6)), ["1", "3", "5"]);
        history.sweep(at(60 * 60));
        assert!(history.len() == 0 && history.by_id.is_empty() && history.order.is_empty());
    }

    #[test]
    fn memory_is_bounded_by_dropping_the_oldest() {
        let mut history = History::new(Duration::from_secs(1_800), 3);
        for i in 0..10 {
            say(&mut history, &i.to_string(), at(i));
        }
        assert_eq!(texts(&history, at(10)), ["7", "8", "9"]);
        assert_eq!(history.by_id.len(), 3);
    }
}
