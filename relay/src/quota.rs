//! Rate limits. Time is passed in.

use std::{collections::VecDeque, time::Duration};

use neartalk_shared::{Timestamp, time::millis};
use serde::{Deserialize, Serialize};

/// How often something may happen: one per interval after a burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How often after the burst: once in so many microseconds.
    pub(crate) interval_us: u64,
    burst: u32,
}

impl Quota {
    /// One per `interval`, after a burst of `burst` (at least 1).
    pub fn per_interval(interval: Duration, burst: u32) -> Self {
        let interval_us = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
        Self {
            interval_us,
            burst: burst.max(1),
        }
    }

    /// `count` per `window`, after a burst of `burst`.
    pub fn per_window(count: u32, window: Duration, burst: u32) -> Self {
        Self::per_interval(window / count.max(1), burst)
    }

    /// How many microseconds an event may come before its time.
    pub(crate) fn tolerance_us(&self) -> u64 {
        self.interval_us.saturating_mul(u64::from(self.burst - 1))
    }
}

/// The generic cell rate algorithm (ITU-T I.371): a token bucket in eight bytes, with no timer.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gcra {
    /// Theoretical arrival time of the next event, in microseconds.
    arrival_us: u64,
}

impl Gcra {
    /// Counts one event at `now`, or says in how many milliseconds one will be allowed.
    pub fn check(&mut self, quota: &Quota, now: Timestamp) -> Result<(), u64> {
        self.check_as(1, quota, now)
    }

    /// The same for an event that counts as `weight` of them, which is let in when one would be, and
    /// paid for afterwards.
    pub fn check_as(&mut self, weight: u64, quota: &Quota, now: Timestamp) -> Result<(), u64> {
        let now_us = now.as_millis().saturating_mul(1_000);
        let arrival = self.arrival_us.max(now_us);
        let earliest = arrival.saturating_sub(quota.tolerance_us());
        if now_us < earliest {
            return Err((earliest - now_us).div_ceil(1_000));
        }
        let cost_us = quota.interval_us.saturating_mul(weight);
        self.arrival_us = arrival.saturating_add(cost_us);
        Ok(())
    }

    /// Whether this is as good as new: nothing about the past matters any more.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.arrival_us <= now.as_millis().saturating_mul(1_000)
    }
}

/// At most so many events within any window of a certain length, exactly.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlidingWindow {
    events: VecDeque<Timestamp>,
}

impl SlidingWindow {
    /// Counts one event at `now`, or says in how many milliseconds one will be allowed.
    pub fn check(&mut self, limit: u32, window: Duration, now: Timestamp) -> Result<(), u64> {
        while self
            .events
            .front()
            .is_some_and(|&first| first + window <= now)
        {
            self.events.pop_front();
        }
        if self.events.len() < limit as usize {
            self.events.push_back(now);
            return Ok(());
        }
        let free_at = self.events.front().map_or(now, |&first| first + window);
        Err(millis(free_at.since(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + millis)
    }

    #[test]
    fn gcra_allows_the_burst_and_then_the_rate() {
        let quota = Quota::per_interval(Duration::from_secs(10), 3);
        let mut gcra = Gcra::default();
        for _ in 0..3 {
            assert_eq!(gcra.check(&quota, at(0)), Ok(()));
        }
        assert_eq!(gcra.check(&quota, at(0)), Err(10_000));
        assert_eq!(gcra.check(&quota, at(9_999)), Err(1));
        assert_eq!(gcra.check(&quota, at(10_000)), Ok(()));
        assert_eq!(gcra.check(&quota, at(10_000)), Err(10_000));
        assert!(!gcra.is_idle(at(39_999)));
        assert!(gcra.is_idle(at(40_000)));
        for _ in 0..3 {
            assert_eq!(gcra.check(&quota, at(100_000)), Ok(()));
        }
    }

    #[test]
    fn what_weighs_more_takes_as_much_of_the_quota() {
        let quota = Quota::per_window(10, Duration::from_secs(1), 20);
        let mut gcra = Gcra::default();
        for _ in 0..2 {
            assert_eq!(gcra.check_as(8, &quota, at(0)), Ok(()));
        }
        // The last one may be heavier than what is left …
        assert_eq!(gcra.check_as(8, &quota, at(0)), Ok(()));
        // … and takes the longer until there is room for another.
        assert_eq!(gcra.check(&quota, at(0)), Err(500));
        assert_eq!(gcra.check_as(8, &quota, at(499)), Err(1));
        assert_eq!(gcra.check_as(8, &quota, at(500)), Ok(()));
    }

    #[test]
    fn gcra_counts_faster_than_a_millisecond() {
        let quota = Quota::per_window(5_000, Duration::from_secs(1), 5);
        let mut gcra = Gcra::default();
        let allowed = (0..1_000).flat_map(|ms| (0..20).map(move |_| ms));
        let allowed = allowed
            .filter(|&ms| gcra.check(&quota, at(ms)).is_ok())
            .count();
        assert!((4_995..=5_010).contains(&allowed), "{allowed}");
    }

    #[test]
    fn sliding_window_is_exact() {
        let mut window = SlidingWindow::default();
        let mut check = |ms| window.check(10, Duration::from_secs(60), at(ms));
        for i in 0..10 {
            assert_eq!(check(i * 1_000), Ok(()));
        }
        assert_eq!(check(9_500), Err(50_500));
        assert_eq!(check(59_999), Err(1));
        assert_eq!(check(60_000), Ok(()));
        assert_eq!(check(60_000), Err(1_000));
    }
}
