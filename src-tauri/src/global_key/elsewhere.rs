//! On macOS and Windows.

use tauri::{AppHandle, Runtime};

use super::{Wanted, grab::Grab};
use crate::error::CommandError;

/// Whatever has the keyboard.
pub struct System<R: Runtime>(Grab<R>);

impl<R: Runtime> System<R> {
    /// It is always there.
    pub async fn find(app: &AppHandle<R>) -> Option<Self> {
        Some(Self(Grab::new(app)))
    }

    /// Takes a key in place of the one before.
    pub async fn take(&mut self, wanted: Option<&Wanted>) -> Result<(), CommandError> {
        self.0.take(wanted).await
    }

    /// Waits until it is pressed or let go.
    pub async fn next(&mut self) -> bool {
        self.0.next().await
    }
}
