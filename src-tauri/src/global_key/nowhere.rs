//! Where no system lets a key do that.

use std::{future, marker::PhantomData};

use tauri::{AppHandle, Runtime};

use super::Wanted;
use crate::error::CommandError;

/// Nothing.
pub struct System<R>(PhantomData<fn() -> R>);

impl<R: Runtime> System<R> {
    /// There is none.
    pub async fn find(_: &AppHandle<R>) -> Option<Self> {
        None
    }

    /// There is nothing to take.
    pub async fn take(&mut self, _: Option<&Wanted>) -> Result<(), CommandError> {
        Ok(())
    }

    /// Nothing is pressed.
    pub async fn next(&mut self) -> bool {
        future::pending().await
    }
}
