//! Where no system has a tray.

use std::marker::PhantomData;

use tauri::{AppHandle, Runtime};
use tokio::sync::mpsc;

use super::{News, menu::Entry};

/// Nothing.
pub struct System<R>(PhantomData<fn() -> R>);

impl<R: Runtime> System<R> {
    /// There is none.
    pub async fn start(_: &AppHandle<R>, _: Vec<Entry>, _: mpsc::Sender<News>) -> Option<Self> {
        None
    }

    /// Nor does it change.
    pub async fn change(&mut self, _: Vec<Entry>) {}
}
