//! Whether figures say something of the server, or of the generator.

/// A generator that is busy for a larger part of the time than this measures itself.
const BUSY_MAX: f64 = 0.9;
/// So does one that is later than this at the 99th percentile, in nanoseconds …
const LATE_NS: u64 = 2_000_000;
/// … unless what it measured is so many times as long.
const LATE_SHARE: u64 = 10;
/// And one that has not done as much of its schedule as this.
const DONE_MIN: f64 = 0.999;

/// How the generator fared while a server was measured.
#[derive(Clone, Copy, Debug)]
pub struct Generator {
    /// Part of the time, 0 to 1, in which it had something to do.
    pub busy: f64,
    /// From when something was due to when it was done, in nanoseconds, at the 99th percentile.
    pub late_p99_ns: u64,
    /// Part of what was due, 0 to 1, that was done.
    pub done: f64,
}

impl Generator {
    /// Why its figures, such as this 99th percentile in nanoseconds, say nothing of the server, if so.
    pub fn bottleneck(&self, p99_ns: u64) -> Option<String> {
        let busy = 100.0 * self.busy;
        let late = self.late_p99_ns as f64 / 1e6;
        if self.busy > BUSY_MAX {
            Some(format!(
                "THE GENERATOR WAS THE BOTTLENECK: {busy:.0} % busy, {late:.1} ms late at p99"
            ))
        } else if self.done < DONE_MIN {
            let done = 100.0 * self.done;
            Some(format!(
                "THE GENERATOR FELL BEHIND: it did {done:.1} % of its schedule"
            ))
        } else if self.late_p99_ns > LATE_NS.max(p99_ns / LATE_SHARE) {
            Some(format!(
                "THE GENERATOR WAS LATE: {late:.1} ms at p99, though {busy:.0} % busy; something else ran on its core"
            ))
        } else {
            None
        }
    }

    /// Whether another try may do better: it had time, and was late all the same.
    pub fn disturbed(&self, p99_ns: u64) -> bool {
        self.busy <= BUSY_MAX && self.bottleneck(p99_ns).is_some()
    }
}

/// What a server did of what it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Performance {
    /// Deliveries a second that were asked for, and that were done.
    pub offered: f64,
    pub delivered: f64,
    /// From when a message was due to when it was read, in nanoseconds, at the 99th percentile.
    pub p99_ns: u64,
    /// Of the messages that were looked at: deliveries that did not come, came to the wrong person,
    /// or twice.
    pub wrong: u64,
    /// Sockets that the server closed.
    pub closed: usize,
}

impl Performance {
    /// Whether the server keeps this up, with a 99th percentile of at most `p99_ms`.
    pub fn sustained(&self, p99_ms: u64) -> bool {
        self.wrong == 0
            && self.closed == 0
            && self.delivered >= 0.95 * self.offered
            && self.p99_ns <= p99_ms * 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Generator = Generator {
        busy: 0.6,
        late_p99_ns: 200_000,
        done: 1.0,
    };

    /// What a server took, in nanoseconds.
    const P99: u64 = 9_000_000;

    #[test]
    fn a_generator_with_time_to_spare_measures_the_server() {
        assert_eq!(GOOD.bottleneck(P99), None);
        assert!(!GOOD.disturbed(P99));
    }

    #[test]
    fn a_busy_generator_is_the_bottleneck() {
        let busy = Generator { busy: 0.93, ..GOOD };
        assert!(busy.bottleneck(P99).unwrap().contains("93 % busy"));
        assert!(busy.bottleneck(u64::MAX).is_some());
        // Trying again would not help.
        assert!(!busy.disturbed(P99));
    }

    #[test]
    fn a_generator_behind_its_schedule_is_the_bottleneck() {
        let late = Generator {
            late_p99_ns: 3_000_000,
            ..GOOD
        };
        assert!(late.bottleneck(P99).unwrap().contains("3.0 ms"));
        let behind = Generator { done: 0.97, ..GOOD };
        assert!(behind.bottleneck(P99).unwrap().contains("97.0 %"));
        assert!(late.disturbed(P99) && behind.disturbed(P99));
        // A server that takes seconds is not excused by milliseconds.
        assert_eq!(late.bottleneck(1_000_000_000), None);
    }

    #[test]
    fn a_server_sustains_only_what_it_does_rightly_wholly_and_in_time() {
        let good = Performance {
            offered: 1_000.0,
            delivered: 990.0,
            p99_ns: 20_000_000,
            wrong: 0,
            closed: 0,
        };
        assert!(good.sustained(100));
        assert!(!good.sustained(10));
        let bad = [
            Performance { wrong: 1, ..good },
            Performance { closed: 1, ..good },
            Performance {
                delivered: 900.0,
                ..good
            },
        ];
        assert!(!bad.iter().any(|it| it.sustained(100)));
    }
}
