//! The relay's clock: Unix time that never jumps.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use neartalk_shared::{Timestamp, time::millis};

/// Unix time at the start, and the monotonic clock since. Setting the system's clock while the
/// relay runs thus neither ends nor prolongs anything.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: Timestamp,
}

impl Clock {
    /// Reads the system's clock, once.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started: Instant::now(),
            started_at: Timestamp::from_millis(millis(since_epoch)),
        }
    }

    /// The time now.
    pub fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }

    /// Whole seconds since the start.
    pub fn uptime_s(&self) -> u64 {
        self.started.elapsed().as_secs()
    }
}
