//! On macOS by a launch agent, on Windows by the registry.

use std::error::Error;

use tauri::{AppHandle, Manager, Runtime, State};
use tauri_plugin_autostart::AutoLaunchManager;

fn system<R: Runtime>(app: &AppHandle<R>) -> Result<State<'_, AutoLaunchManager>, Box<dyn Error>> {
    Ok(app.try_state().ok_or("it was not started for that")?)
}

/// Whether it is registered.
pub fn is_on<R: Runtime>(app: &AppHandle<R>) -> Result<bool, Box<dyn Error>> {
    Ok(system(app)?.is_enabled()?)
}

/// Registers it, or no longer.
pub fn set<R: Runtime>(app: &AppHandle<R>, on: bool) -> Result<(), Box<dyn Error>> {
    let system = system(app)?;
    let done = if on {
        system.enable()
    } else {
        system.disable()
    };
    Ok(done?)
}
