//! Where this device is, as its operating system tells.
//!
//! A [`LocationProvider`] starts to [`watch`](LocationProvider::watch) and stops when the [`Watch`] is
//! dropped. What a system reports, in its own words and at its own pace, is made into the same few
//! [`State`]s everywhere by plain code that is handed the time ([`Tracker`]).
//!
//! | system | what is asked |
//! |---|---|
//! | Linux | GeoClue2, over the system's message bus |
//! | macOS | Core Location |
//! | Windows | the Geolocator |
//!
//! Another system's way reports to a [`channel`] as these do.
//!
//! What is told here is the device's own place, for this device alone: it is for the engine to decide
//! what others may know of it. Nothing here logs a place.

#[cfg(any(target_os = "macos", test))]
pub mod core_location;
#[cfg(target_os = "linux")]
pub mod geoclue;
#[cfg(any(windows, test))]
pub mod geolocator;
mod state;
mod tracker;
mod watch;

pub use state::{Problem, Reading, Report, State};
pub use tracker::{COARSEST_M, PATIENCE, Tracker};
pub use watch::{Reporter, Watch, channel};

/// A system's way to tell where the device is.
pub trait LocationProvider: std::fmt::Debug + Send + Sync {
    /// Starts to look, and asks the person for leave where the system wants that. Looking ends when the
    /// watch is dropped.
    ///
    /// To be called within a Tokio runtime.
    fn watch(&self) -> Watch;
}
