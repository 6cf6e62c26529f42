//! Where programs start when they are opened.

use std::error::Error;

use tauri::{AppHandle, Runtime};

/// It is not.
pub fn is_on<R: Runtime>(_: &AppHandle<R>) -> Result<bool, Box<dyn Error>> {
    Ok(false)
}

/// Only what is already so can be chosen.
pub fn set<R: Runtime>(_: &AppHandle<R>, on: bool) -> Result<(), Box<dyn Error>> {
    if on {
        return Err("this system does not do that".into());
    }
    Ok(())
}
