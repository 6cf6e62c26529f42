//! How often the relay may be told a place.

use std::time::{Duration, Instant};

/// The network delivers some updates a little faster after another than they were sent. This
/// much is added to the interval, so that such a one is not one too many.
const SLACK: Duration = Duration::from_millis(200);

/// A token bucket as one moment in time (the generic cell rate algorithm): `burst` at once, and
/// then one per `interval`.
#[derive(Debug)]
pub struct Budget {
    interval: Duration,
    burst: u32,
    /// When the bucket would be full again.
    full_at: Option<Instant>,
}

impl Budget {
    /// A full bucket.
    pub fn new(interval: Duration, burst: u32) -> Self {
        let mut budget = Self {
            interval,
            burst,
            full_at: None,
        };
        budget.set(interval, burst);
        budget
    }

    /// Other limits, for what has been spent already too.
    pub fn set(&mut self, interval: Duration, burst: u32) {
        self.interval = interval + SLACK;
        self.burst = burst.max(1);
    }

    /// A full bucket again: the relay starts a new account.
    pub fn refill(&mut self) {
        self.full_at = None;
    }

    /// From when on one can be spent; `None` is now.
    pub fn ready_at(&self, now: Instant) -> Option<Instant> {
        let full_at = self.full_at?;
        // With less than `burst - 1` intervals missing, there is one whole token.
        let missing = self.interval * (self.burst - 1);
        let ready = full_at.checked_sub(missing)?;
        (ready > now).then_some(ready)
    }

    /// Spends one, if there is one.
    pub fn spend(&mut self, now: Instant) -> bool {
        if self.ready_at(now).is_some() {
            return false;
        }
        self.full_at = Some(self.full_at.map_or(now, |t| t.max(now)) + self.interval);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    #[test]
    fn a_burst_and_then_one_per_interval() {
        let start = Instant::now();
        let mut budget = Budget::new(INTERVAL, 3);
        let mut spent = Vec::new();
        for ms in (0..100_000).step_by(50) {
            let now = start + Duration::from_millis(ms);
            if budget.spend(now) {
                spent.push(now);
            }
        }
        assert_eq!(spent[2] - start, Duration::from_millis(100));
        assert!(spent[3] - start >= INTERVAL);
        // In no window of n intervals more than burst + n.
        for (i, a) in spent.iter().enumerate() {
            for (j, b) in spent.iter().enumerate().skip(i) {
                let intervals = (*b - *a).as_millis() / INTERVAL.as_millis();
                assert!((j - i) as u128 <= 2 + intervals, "{i} {j}");
            }
        }
        assert!(spent.len() >= 12, "{}", spent.len());
    }

    #[test]
    fn ready_at_is_when_spending_works() {
        let start = Instant::now();
        let mut budget = Budget::new(INTERVAL, 3);
        for _ in 0..3 {
            assert!(budget.spend(start));
        }
        let ready = budget.ready_at(start).expect("nothing left");
        assert!(!budget.spend(ready - Duration::from_millis(1)));
        assert!(budget.spend(ready));
        budget.refill();
        assert_eq!(budget.ready_at(ready), None);
    }

    #[test]
    fn a_burst_of_none_is_one() {
        let start = Instant::now();
        let mut budget = Budget::new(INTERVAL, 0);
        assert!(budget.spend(start));
        assert!(!budget.spend(start));
    }
}
