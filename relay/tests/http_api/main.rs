//! The HTTP API of a running relay, call by call.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod calls;
mod config;
mod deploy;
mod operations;
mod queries;
mod refusals;
