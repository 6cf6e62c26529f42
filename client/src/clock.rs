//! Time that goes on while the device sleeps.
//!
//! The clock that timers run on stands still on most systems while a laptop or phone is suspended,
//! but messages expire all the same. So the time that was slept through is told by the wall clock
//! and added.

use std::time::{Duration, Instant, SystemTime};

/// The wall clock is also corrected now and then; less than this is not sleep.
const NOTICEABLE: Duration = Duration::from_secs(5);

/// A clock that includes the time during which the device was suspended.
#[derive(Debug)]
pub struct Clock {
    timer: Instant,
    wall: SystemTime,
    slept: Duration,
}

impl Clock {
    /// A clock that agrees with the clock of timers so far.
    pub const fn new(timer: Instant, wall: SystemTime) -> Self {
        Self {
            timer,
            wall,
            slept: Duration::ZERO,
        }
    }

    /// Reads the two clocks: how long the device slept since the last time, if it did.
    pub fn read(&mut self, timer: Instant, wall: SystemTime) -> Option<Duration> {
        let by_timer = timer.saturating_duration_since(self.timer);
        let by_wall = wall.duration_since(self.wall).unwrap_or_default();
        (self.timer, self.wall) = (timer, wall);
        let slept = by_wall.saturating_sub(by_timer);
        if slept < NOTICEABLE {
            return None;
        }
        self.slept += slept;
        Some(slept)
    }

    /// The time as of the last reading.
    pub fn now(&self) -> Instant {
        self.timer + self.slept
    }

    /// When the clock of timers will show a time of this clock, if the device does not sleep again.
    pub fn timer(&self, at: Instant) -> Instant {
        // A time before the clock of timers began is as good as now.
        at.checked_sub(self.slept).unwrap_or(self.timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleep_counts_and_corrections_do_not() {
        let (timer, wall) = (Instant::now(), SystemTime::now());
        let mut clock = Clock::new(timer, wall);
        let second = Duration::from_secs(1);
        assert_eq!(clock.read(timer + second, wall + second), None);
        assert_eq!(clock.now(), timer + second);
        // Set back by an hour.
        let wall = wall - 3_600 * second;
        assert_eq!(clock.read(timer + 2 * second, wall), None);
        assert_eq!(clock.now(), timer + 2 * second);
        // Suspended for an hour.
        let wall = wall + 3_601 * second;
        assert_eq!(clock.read(timer + 3 * second, wall), Some(3_600 * second));
        assert_eq!(clock.now(), timer + 3_603 * second);
        assert_eq!(clock.timer(clock.now() + second), timer + 4 * second);
    }
}
