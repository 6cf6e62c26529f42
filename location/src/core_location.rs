//! Core Location, on macOS.
//!
//! What it says is made into reports here, by its numbers, so that any system can try that; `sys` has
//! the numbers checked against Apple's names where those are known.

#[cfg(target_os = "macos")]
mod provider;
#[cfg(target_os = "macos")]
mod sys;

#[cfg(target_os = "macos")]
pub use provider::CoreLocation;

use crate::{Problem, Reading, Report};

/// `CLAuthorizationStatus`: the person will be asked.
const NOT_DETERMINED: i32 = 0;
/// `CLAuthorizationStatus`: somebody else has decided for the person.
const RESTRICTED: i32 = 1;
/// `CLAuthorizationStatus`: the person has said no, or location is off for all.
const DENIED: i32 = 2;

/// `CLError`: there is no place now, and may be one later.
const ERROR_LOCATION_UNKNOWN: isize = 0;
/// `CLError`: the person has said no, or location is off for all.
const ERROR_DENIED: isize = 1;

/// Of a change of leave; what it was before makes no difference.
fn of_leave(status: i32) -> Option<Report> {
    match status {
        NOT_DETERMINED => None,
        RESTRICTED | DENIED => Some(Report::Denied),
        _ => Some(Report::Searching),
    }
}

/// Of a place. An accuracy below zero says that the coordinates are none.
fn of_place(lat: f64, lon: f64, accuracy_m: f64) -> Option<Report> {
    if accuracy_m < 0.0 {
        return None;
    }
    Reading::new(lat, lon, accuracy_m).map(Report::Reading)
}

/// Of a failure, which `words` says in the system's.
fn of_failure(code: isize, words: impl FnOnce() -> String) -> Option<Report> {
    match code {
        ERROR_LOCATION_UNKNOWN => None,
        ERROR_DENIED => Some(Report::Denied),
        _ => Some(Report::Problem(Problem::Failed(words()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leave_begins_the_search_or_ends_it_and_nothing_is_said_before_the_person_has_answered() {
        assert_eq!(of_leave(NOT_DETERMINED), None);
        for refused in [RESTRICTED, DENIED] {
            assert_eq!(of_leave(refused), Some(Report::Denied));
        }
        // Always, and while the app is used.
        for given in [3, 4] {
            assert_eq!(of_leave(given), Some(Report::Searching));
        }
    }

    #[test]
    fn coordinates_count_only_where_the_system_means_them() {
        let there = Reading::new(52.5, 13.4, 30.0).map(Report::Reading);
        assert_eq!(of_place(52.5, 13.4, 30.0), there);
        assert_eq!(of_place(0.0, 0.0, -1.0), None);
        assert_eq!(of_place(-180.0, -180.0, 30.0), None);
    }

    #[test]
    fn only_a_failure_that_lasts_is_told_and_a_no_is_no_failure() {
        let words = || "no luck".to_owned();
        assert_eq!(of_failure(ERROR_LOCATION_UNKNOWN, words), None);
        assert_eq!(of_failure(ERROR_DENIED, words), Some(Report::Denied));
        let network = Some(Report::Problem(Problem::Failed(words())));
        assert_eq!(of_failure(2, words), network);
    }
}
