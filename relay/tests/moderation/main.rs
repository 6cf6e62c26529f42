//! What a running relay does about people who misbehave, and what whoever runs it can do.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod admin;
#[cfg(target_os = "linux")]
mod database;
mod gate;
mod reports;
mod words;

use common::{
    addressed::{PROXY, may_come, person_from, resume_from, socket_from},
    operator::{TOKEN, ask},
};
