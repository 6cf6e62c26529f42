//! Where others keep NearTalk up to date: a distribution's packages, or a store.

use tauri::{AppHandle, Runtime};

use crate::error::CommandError;

/// There is none.
#[derive(Clone, Debug)]
pub enum Source {}

/// None.
pub const fn builtin() -> Option<Source> {
    None
}

impl Source {
    /// Never asked.
    pub async fn look<R: Runtime>(&self, _: &AppHandle<R>) -> Result<Option<String>, CommandError> {
        match *self {}
    }

    /// Never asked.
    pub async fn install<R: Runtime>(&self, _: &AppHandle<R>) -> Result<bool, CommandError> {
        match *self {}
    }
}
