//! Which of the systems' ways to tell the place is this one's.

use neartalk_location::Watch;

/// What the `.desktop` file of the packages is called, without its ending: by it the desktop knows who
/// asks.
#[cfg(target_os = "linux")]
pub const DESKTOP_ID: &str = "neartalk";

/// Follows the place by this system's way.
#[cfg(target_os = "linux")]
pub fn watch() -> Watch {
    use neartalk_location::LocationProvider as _;
    neartalk_location::geoclue::GeoClue::new(DESKTOP_ID).watch()
}

/// Says that there is no place to follow: how other systems are asked is yet to be written.
#[cfg(not(target_os = "linux"))]
pub fn watch() -> Watch {
    use neartalk_location::{Problem, Report, channel};
    let (reporter, watch) = channel();
    reporter.report(Report::Problem(Problem::NoService));
    watch
}
