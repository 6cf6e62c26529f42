//! Whether NearTalk starts when the person logs in.

#[cfg_attr(target_os = "linux", path = "autostart/linux.rs")]
#[cfg_attr(any(target_os = "macos", windows), path = "autostart/elsewhere.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos", windows)),
    path = "autostart/nowhere.rs"
)]
mod system;

use std::error::Error;

use tauri::{AppHandle, Runtime};

use crate::error::CommandError;

/// Whether this system can do that.
pub const CAN: bool = cfg!(desktop);

/// Whether it does. The person may have changed that in the system's own settings.
pub fn is_on<R: Runtime>(app: &AppHandle<R>) -> bool {
    system::is_on(app).unwrap_or_else(|error| {
        tracing::warn!(%error, "it is not known whether NearTalk starts with the system");
        false
    })
}

/// Lets it, or not.
///
/// # Errors
/// When the system does not take that.
pub fn set<R: Runtime>(app: &AppHandle<R>, on: bool) -> Result<(), CommandError> {
    if CAN && is_on(app) == on {
        return Ok(());
    }
    system::set(app, on).map_err(|error: Box<dyn Error>| {
        let what = if on { "start" } else { "no longer start" };
        CommandError::unavailable(format!("NearTalk can't {what} with the system: {error}."))
    })
}
