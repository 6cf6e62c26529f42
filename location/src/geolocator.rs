//! The Geolocator, on Windows.
//!
//! What it says is made into reports here, by its numbers, so that any system can try that; `provider`
//! has the numbers checked against Windows' names where those are known.

#[cfg(windows)]
mod provider;

#[cfg(windows)]
pub use provider::WindowsLocation;

use crate::{Problem, Report};

/// `PositionStatus`: it begins to look.
const INITIALIZING: i32 = 1;
/// `PositionStatus`: the person or an administrator does not allow it.
const DISABLED: i32 = 3;
/// `PositionStatus`: this Windows has nothing that could tell.
const NOT_AVAILABLE: i32 = 5;

/// Of a change of status. A place follows by itself, and that there is none for now is for the time to
/// tell.
fn of_status(status: i32) -> Option<Report> {
    match status {
        INITIALIZING => Some(Report::Searching),
        DISABLED => Some(Report::Denied),
        NOT_AVAILABLE => Some(Report::Problem(Problem::NoService)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_told_where_it_says_more_than_that_there_is_a_place() {
        assert_eq!(of_status(INITIALIZING), Some(Report::Searching));
        assert_eq!(of_status(DISABLED), Some(Report::Denied));
        let none = Some(Report::Problem(Problem::NoService));
        assert_eq!(of_status(NOT_AVAILABLE), none);
        // It is ready, has nothing, or has not been asked.
        for other in [0, 2, 4] {
            assert_eq!(of_status(other), None);
        }
    }
}
