//! Waking a thread from a place that must not wait.

use std::{
    sync::{Arc, OnceLock},
    thread::{self, Thread},
};

/// Wakes one thread. Lock-free: a device's callback may do it.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<OnceLock<Thread>>);

impl Wake {
    /// For a thread that has yet to [register](Self::register_current).
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on the calling thread is woken from [`std::thread::park_timeout`]. Only the first
    /// that registers is.
    pub fn register_current(&self) {
        self.0.get_or_init(thread::current);
    }

    /// Wakes it, or does nothing if no thread has registered.
    pub fn wake(&self) {
        if let Some(thread) = self.0.get() {
            thread.unpark();
        }
    }
}
