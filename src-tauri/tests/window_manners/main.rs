//! The real window among what a desktop has beside it: notifications, other windows, other programs'
//! links, the tray, the keyboard. The desktop is made by the test, and asked over the same bus and the
//! same screen as a real one.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

mod desktop;
mod keys;
mod nothing;
mod notifications;
mod starts;
mod tray;
