//! Which of the systems' ways to tell the place is this one's.

use neartalk_location::{LocationProvider as _, Watch};
use tauri::{AppHandle, Runtime};

/// What the `.desktop` file of the packages is called, without its ending: by it the desktop knows who
/// asks.
#[cfg(target_os = "linux")]
pub const DESKTOP_ID: &str = "neartalk";

/// Follows the place by this system's way.
#[cfg(target_os = "linux")]
pub fn watch<R: Runtime>(_: &AppHandle<R>) -> Watch {
    neartalk_location::geoclue::GeoClue::new(DESKTOP_ID).watch()
}

/// Follows the place by this system's way.
#[cfg(target_os = "macos")]
pub fn watch<R: Runtime>(_: &AppHandle<R>) -> Watch {
    neartalk_location::core_location::CoreLocation.watch()
}

/// Follows the place by this system's way.
#[cfg(windows)]
pub fn watch<R: Runtime>(_: &AppHandle<R>) -> Watch {
    neartalk_location::geolocator::WindowsLocation.watch()
}

/// Follows the place by this system's way.
#[cfg(mobile)]
pub fn watch<R: Runtime>(app: &AppHandle<R>) -> Watch {
    use tauri::Manager as _;
    use tauri_plugin_neartalk_mobile::Mobile;
    app.state::<Mobile<R>>().location().watch()
}
