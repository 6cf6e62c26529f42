//! When to try the relay again: exponential back-off with full jitter.
//!
//! "Full jitter" (M. Brooker, "Exponential Backoff And Jitter", 2015) draws each wait from zero up to the
//! bound, so that the thousands whose relay restarts do not come back in step.

use std::time::{Duration, Instant};

use rand::{Rng, RngExt};

/// Bound of the first wait.
const BASE: Duration = Duration::from_millis(500);
/// No wait is longer, unless the relay asks for it.
const CAP: Duration = Duration::from_secs(15);
/// No wait is shorter: a relay that closes at once is not to be asked a thousand times a second.
const FLOOR: Duration = Duration::from_millis(50);
/// No relay is waited for longer, whatever it asks for.
const LONGEST: Duration = Duration::from_secs(86_400);
/// A connection that held this long was a good one; the next loss starts from the bottom.
const STABLE: Duration = Duration::from_secs(10);

/// Decides how long to wait before each attempt to connect.
#[derive(Debug, Default)]
pub struct Backoff {
    attempts: u32,
    online_since: Option<Instant>,
}

impl Backoff {
    /// The connection is up.
    pub fn connected(&mut self, now: Instant) {
        self.online_since = Some(now);
    }

    /// The connection, or an attempt at one, failed: how long to wait. The relay may ask for a
    /// longer wait (`at_least`), which is honoured up to a day.
    pub fn failed(
        &mut self,
        now: Instant,
        at_least: Option<Duration>,
        rng: &mut impl Rng,
    ) -> Duration {
        let stable = |since: Instant| now.saturating_duration_since(since) >= STABLE;
        if self.online_since.take().is_some_and(stable) {
            self.attempts = 0;
        }
        let bound = CAP.min(BASE * 2u32.pow(self.attempts.min(16)));
        self.attempts += 1;
        let wait = rng.random_range(FLOOR..=bound);
        wait.max(at_least.unwrap_or_default().min(LONGEST))
    }

    /// A person asked to try now: the next waits start from the bottom again.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn waits_grow_to_the_cap_with_full_jitter() {
        let now = Instant::now();
        let mut rng = StdRng::seed_from_u64(1);
        let mut longest = [Duration::ZERO; 12];
        let mut shortest = [CAP; 12];
        for _ in 0..2_000 {
            let mut backoff = Backoff::default();
            for i in 0..12 {
                let wait = backoff.failed(now, None, &mut rng);
                longest[i] = longest[i].max(wait);
                shortest[i] = shortest[i].min(wait);
            }
        }
        for i in 0..12 {
            let bound = CAP.min(BASE * 2u32.pow(i as u32));
            assert!(longest[i] <= bound && longest[i] > bound * 9 / 10, "{i}");
            assert!(
                shortest[i] >= FLOOR && shortest[i] < FLOOR + bound / 10,
                "{i}"
            );
        }
    }

    #[test]
    fn only_a_stable_connection_resets() {
        let start = Instant::now();
        let mut rng = StdRng::seed_from_u64(2);
        let mut backoff = Backoff::default();
        for _ in 0..8 {
            backoff.failed(start, None, &mut rng);
        }
        backoff.connected(start);
        backoff.failed(start + Duration::from_secs(1), None, &mut rng);
        assert_eq!(backoff.attempts, 9);
        backoff.connected(start);
        assert!(backoff.failed(start + STABLE, None, &mut rng) <= BASE);
        assert_eq!(backoff.attempts, 1);
        backoff.failed(start, None, &mut rng);
        backoff.reset();
        assert!(backoff.failed(start, None, &mut rng) <= BASE);
    }

    #[test]
    fn the_relay_may_ask_for_longer() {
        let mut rng = StdRng::seed_from_u64(3);
        let wait =
            Backoff::default().failed(Instant::now(), Some(Duration::from_secs(40)), &mut rng);
        assert_eq!(wait, Duration::from_secs(40));
        // A clock that is asked for more than it can show would end the engine.
        let wait = Backoff::default().failed(Instant::now(), Some(Duration::MAX), &mut rng);
        assert_eq!(wait, LONGEST);
    }
}
