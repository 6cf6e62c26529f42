//! From what a system reports to how it stands, with time handed in.

use std::time::{Duration, Instant};

use neartalk_shared::limits::RADIUS_MAX_M;

use crate::{Problem, Report, State};

/// A place that may be further off than this, in metres, is none to be at: nobody who is shown as near
/// would have to be, not even in the widest circle.
pub const COARSEST_M: f64 = RADIUS_MAX_M as f64;
/// After so long without a place, people are told that there may be none; the search goes on.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How it stands, from reports over time.
#[derive(Debug)]
pub struct Tracker {
    state: State,
    /// Until when the search may take without a word.
    patient_until: Instant,
}

impl Tracker {
    /// The search begins.
    pub fn new(now: Instant) -> Self {
        Self {
            state: State::Finding,
            patient_until: now + PATIENCE,
        }
    }

    /// How it stands.
    pub fn state(&self, now: Instant) -> State {
        if self.state == State::Finding && now >= self.patient_until {
            State::Unavailable(Problem::NotFound)
        } else {
            self.state.clone()
        }
    }

    /// The system has reported something.
    pub fn report(&mut self, now: Instant, report: Report) {
        self.state = match (report, &self.state) {
            // The last place is as good as any until there is another.
            (Report::Searching, State::Live(_)) => return,
            (Report::Searching, State::Finding) if now < self.patient_until => return,
            (Report::Searching, _) => {
                self.patient_until = now + PATIENCE;
                State::Finding
            }
            (Report::Reading(reading), state) => match reading.accuracy_m {
                Some(accuracy_m) if accuracy_m > COARSEST_M => match state {
                    // A better one from before is worth more.
                    State::Live(_) => return,
                    _ => State::Unavailable(Problem::TooCoarse { accuracy_m }),
                },
                _ => State::Live(reading),
            },
            (Report::Denied, _) => State::Denied,
            (Report::Problem(problem), _) => State::Unavailable(problem),
        };
    }

    /// When it will stand otherwise by itself, if nothing is reported.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        (self.state(now) == State::Finding).then_some(self.patient_until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reading;

    const SECOND: Duration = Duration::from_secs(1);

    fn reading(accuracy_m: f64) -> Report {
        Report::Reading(Reading::new(52.5, 13.4, accuracy_m).unwrap())
    }

    /// What comes of reports, one a second.
    fn after(reports: &[Report]) -> (Tracker, Instant) {
        let mut now = Instant::now();
        let mut tracker = Tracker::new(now);
        for report in reports {
            now += SECOND;
            tracker.report(now, report.clone());
        }
        (tracker, now)
    }

    #[test]
    fn a_search_that_takes_long_says_so_and_goes_on() {
        let start = Instant::now();
        let mut tracker = Tracker::new(start);
        tracker.report(start + SECOND, Report::Searching);
        let end = start + PATIENCE;
        assert_eq!(tracker.next_change(start), Some(end));
        assert_eq!(tracker.state(end - SECOND), State::Finding);
        assert_eq!(tracker.state(end), State::Unavailable(Problem::NotFound));
        assert_eq!(tracker.next_change(end), None);
        tracker.report(end + SECOND, reading(20.0));
        assert!(matches!(tracker.state(end + SECOND), State::Live(_)));
        assert_eq!(tracker.next_change(end + SECOND), None);
    }

    #[test]
    fn a_new_search_after_a_problem_has_all_the_time_again() {
        for trouble in [Report::Denied, Report::Problem(Problem::ServiceGone)] {
            let (tracker, now) = after(&[trouble, Report::Searching]);
            assert_eq!(tracker.state(now), State::Finding);
            assert_eq!(tracker.next_change(now), Some(now + PATIENCE));
        }
    }

    #[test]
    fn a_place_stands_while_the_system_looks_again_and_falls_when_it_forbids() {
        let (tracker, now) = after(&[reading(20.0), Report::Searching]);
        assert!(matches!(tracker.state(now), State::Live(_)));
        let (tracker, now) = after(&[reading(20.0), Report::Denied]);
        assert_eq!(tracker.state(now), State::Denied);
    }

    #[test]
    fn a_place_that_may_be_in_another_town_is_none() {
        let coarse = State::Unavailable(Problem::TooCoarse {
            accuracy_m: 25_000.0,
        });
        let (tracker, now) = after(&[reading(25_000.0)]);
        assert_eq!(tracker.state(now), coarse);
        let (tracker, now) = after(&[reading(25_000.0), reading(COARSEST_M)]);
        assert!(matches!(tracker.state(now), State::Live(_)));
        // Nor does it take the place of one that was good.
        let (tracker, now) = after(&[reading(20.0), reading(25_000.0)]);
        let state = tracker.state(now);
        assert!(
            matches!(state, State::Live(known) if known.accuracy_m == Some(20.0)),
            "{state:?}"
        );
    }
}
