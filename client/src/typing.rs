//! Who is typing: telling it not too often, and not believing it for too long.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use neartalk_shared::{PeerId, limits::TYPING_INTERVAL};

/// Somebody who goes on typing is told of again after an interval; this much later they have stopped.
const GRACE: Duration = Duration::from_secs(2);
/// Nobody could follow more.
const MAX_TYPING: usize = 1_000;

/// Own typing, throttled, and that of others, expiring.
#[derive(Debug)]
pub struct Typing {
    interval: Duration,
    told_at: Option<Instant>,
    others: HashMap<PeerId, Instant>,
}

impl Default for Typing {
    fn default() -> Self {
        Self {
            interval: TYPING_INTERVAL,
            told_at: None,
            others: HashMap::new(),
        }
    }
}

impl Typing {
    /// Takes the relay's interval.
    pub fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// A key was pressed: whether to tell the relay.
    pub fn key_pressed(&mut self, now: Instant) -> bool {
        let due = self
            .told_at
            .is_none_or(|at| now.saturating_duration_since(at) >= self.interval);
        if due {
            self.told_at = Some(now);
        }
        due
    }

    /// The message was sent: the next key begins a new one, and is worth telling at once.
    pub fn said(&mut self) {
        self.told_at = None;
    }

    /// Somebody types. True if they did not before.
    pub fn started(&mut self, now: Instant, peer: PeerId) -> bool {
        if self.others.len() >= MAX_TYPING && !self.others.contains_key(&peer) {
            return false;
        }
        let until = now + self.interval + GRACE;
        self.others.insert(peer, until).is_none()
    }

    /// Somebody said what they typed, or is gone. True if they were typing.
    pub fn stopped(&mut self, peer: PeerId) -> bool {
        self.others.remove(&peer).is_some()
    }

    /// Who has stopped typing without saying anything.
    pub fn expire(&mut self, now: Instant) -> Vec<PeerId> {
        let mut stopped: Vec<_> = self
            .others
            .extract_if(|_, until| *until <= now)
            .map(|(peer, _)| peer)
            .collect();
        stopped.sort();
        stopped
    }

    /// When somebody will have stopped.
    pub fn next_wake(&self) -> Option<Instant> {
        self.others.values().min().copied()
    }

    /// Who is typing.
    pub fn others(&self) -> Vec<PeerId> {
        let mut others: Vec<_> = self.others.keys().copied().collect();
        others.sort();
        others
    }

    /// Nobody is known to type any more; gives who did.
    pub fn clear(&mut self) -> Vec<PeerId> {
        let others = self.others();
        self.others.clear();
        others
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn keys_are_told_once_per_interval() {
        let start = Instant::now();
        let mut typing = Typing::default();
        let told: Vec<_> = (0..100)
            .filter(|i| typing.key_pressed(start + Duration::from_millis(i * 100)))
            .collect();
        assert_eq!(told, [0, 30, 60, 90]);
        typing.said();
        assert!(typing.key_pressed(start + Duration::from_millis(9_900)));
    }

    #[test]
    fn others_stop_by_themselves() {
        let start = Instant::now();
        let peer = PeerId::random(&mut StdRng::seed_from_u64(1));
        let mut typing = Typing::default();
        assert!(typing.started(start, peer));
        let later = start + Duration::from_secs(3);
        assert!(!typing.started(later, peer));
        let end = later + Duration::from_secs(5);
        assert_eq!(typing.next_wake(), Some(end));
        assert!(typing.expire(end - Duration::from_millis(1)).is_empty());
        assert_eq!(typing.others(), [peer]);
        assert_eq!(typing.expire(end), [peer]);
        assert_eq!(typing.next_wake(), None);
        assert!(!typing.stopped(peer));
        typing.started(end, peer);
        assert!(typing.stopped(peer));
    }

    #[test]
    fn is_bounded() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut typing = Typing::default();
        let start = Instant::now();
        for _ in 0..MAX_TYPING + 5 {
            typing.started(start, PeerId::random(&mut rng));
        }
        assert_eq!(typing.others().len(), MAX_TYPING);
    }
}
