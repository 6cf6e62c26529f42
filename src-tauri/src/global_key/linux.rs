//! On Linux: from the X server, or from the portal of a Wayland desktop.

use std::env;

use tauri::{AppHandle, Runtime};

use super::{Wanted, grab::Grab, portal::Portal};
use crate::error::CommandError;

/// Whatever has the keyboard.
pub enum System<R: Runtime> {
    /// The X server.
    X11(Grab<R>),
    /// The desktop.
    Wayland(Portal),
}

impl<R: Runtime> System<R> {
    /// What is there. A Wayland desktop has an X server too, which never hears of keys.
    pub async fn find(app: &AppHandle<R>) -> Option<Self> {
        let is_there = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        if is_there("WAYLAND_DISPLAY") {
            return Portal::find(app).await.map(Self::Wayland);
        }
        is_there("DISPLAY").then(|| Self::X11(Grab::new(app)))
    }

    /// Takes a key in place of the one before.
    pub async fn take(&mut self, wanted: Option<&Wanted>) -> Result<(), CommandError> {
        match self {
            Self::X11(grab) => grab.take(wanted).await,
            Self::Wayland(portal) => portal.take(wanted).await,
        }
    }

    /// Waits until it is pressed or let go.
    pub async fn next(&mut self) -> bool {
        match self {
            Self::X11(grab) => grab.next().await,
            Self::Wayland(portal) => portal.next().await,
        }
    }
}
