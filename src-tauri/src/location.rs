//! Which of the systems' ways to tell the place is this one's.

#[cfg(desktop)]
use neartalk_location::LocationProvider as _;
use neartalk_location::Watch;

/// What the `.desktop` file of the packages is called, without its ending: by it the desktop knows who
/// asks.
#[cfg(target_os = "linux")]
pub const DESKTOP_ID: &str = "neartalk";

/// Follows the place by this system's way.
#[cfg(target_os = "linux")]
pub fn watch() -> Watch {
    neartalk_location::geoclue::GeoClue::new(DESKTOP_ID).watch()
}

/// Follows the place by this system's way.
#[cfg(target_os = "macos")]
pub fn watch() -> Watch {
    neartalk_location::core_location::CoreLocation.watch()
}

/// Follows the place by this system's way.
#[cfg(windows)]
pub fn watch() -> Watch {
    neartalk_location::geolocator::WindowsLocation.watch()
}

/// Says that there is no place to follow: how a phone is asked is yet to be written.
#[cfg(mobile)]
pub fn watch() -> Watch {
    use neartalk_location::{Problem, Report, channel};
    let (reporter, watch) = channel();
    reporter.report(Report::Problem(Problem::NoService));
    watch
}
