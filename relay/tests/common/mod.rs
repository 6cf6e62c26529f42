//! What the relay's black-box tests share. Each test starts a relay binary of its own on a port of
//! its own, and speaks real HTTP and WebSocket to it.
//!
//! Nothing here sleeps: whoever waits, waits for something to happen, and gives up with a panic
//! after [`GUARD`].

#![allow(dead_code, reason = "each test binary uses its own part of this")]
#![allow(unused_imports, reason = "each test binary uses its own part of this")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

pub mod addressed;
mod api;
mod bystanders;
mod map;
mod metrics;
pub mod operator;
mod person;
mod presence;
mod process;
mod raw;
mod socket;

use std::{future::Future, time::Duration};

pub use api::{Answer, Api, bearer};
pub use bystanders::Bystanders;
pub use map::{beside, centre, east, north, place, radius, spot};
pub use metrics::Metrics;
pub use person::{Located, Person, Sent, ticked};
pub use presence::is_presence;
pub use process::{Relay, STORE};
pub use raw::{Opcode, Raw, RawFrame, frame};
pub use socket::{Closed, Socket};

/// How long anything may take that happens at once.
pub const GUARD: Duration = Duration::from_secs(10);

/// Waits for `future`; panics when it takes longer than [`GUARD`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    within_time(GUARD, what, future).await
}

/// Waits for `future`; panics when it takes longer than `guard`.
pub async fn within_time<F: Future>(guard: Duration, what: &str, future: F) -> F::Output {
    match tokio::time::timeout(guard, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {guard:?} in vain for {what}"),
    }
}

/// Looks again and again until `look` sees what it looks for; for what a relay tells nobody about.
pub async fn poll<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within(what, async {
        let mut again = tokio::time::interval(Duration::from_millis(20));
        loop {
            again.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    })
    .await
}
