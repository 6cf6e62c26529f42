//! The client engine against the real relay: many people on a map, networks that die, relays that
//! are killed, messages that end.

#![allow(
    clippy::unwrap_used,
    reason = "a test helper that fails should say where"
)]

#[path = "../common/mod.rs"]
mod common;

mod engine;
mod loss;
mod map;
mod wire;
