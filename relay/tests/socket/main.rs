//! The socket of a running relay, frame by frame, both ways.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod chat;
mod history;
mod presence;
mod session;
#[cfg(target_os = "linux")]
mod turn;
#[cfg(target_os = "linux")]
mod turn_inside;
mod voice;

use common::ticked;
