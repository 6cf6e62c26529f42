//! What a running relay does about input that is wrong, too much, too slow or meant to harm: it
//! answers as the contract says, and everybody else goes on as if nothing had happened.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod alone;
mod connections;
mod crowd;
mod frames;
mod lifetime;
mod movement;
mod secrets;
mod signals;

use common::Bystanders;
