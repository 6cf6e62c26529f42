//! The contract does not depend on what is behind a relay: the tests of the socket, of the HTTP
//! API, of misbehaviour and of what is done about it once more, each with a relay that has a Redis of
//! its own.

#![cfg(target_os = "linux")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

// `Relay::start` looks at the name of this crate.
#[path = "../common/mod.rs"]
mod common;

#[path = "../socket/chat.rs"]
mod chat;
#[path = "../socket/history.rs"]
mod history;
#[path = "../socket/presence.rs"]
mod presence;
#[path = "../socket/session.rs"]
mod session;
#[path = "../socket/turn.rs"]
mod turn;
#[path = "../socket/turn_inside.rs"]
mod turn_inside;
#[path = "../socket/voice.rs"]
mod voice;

#[path = "../http_api/addresses.rs"]
mod addresses;
#[path = "../http_api/calls.rs"]
mod calls;
#[path = "../http_api/operations.rs"]
mod operations;
#[path = "../http_api/refusals.rs"]
mod refusals;

#[path = "../limits_and_abuse/connections.rs"]
mod connections;
#[path = "../limits_and_abuse/frames.rs"]
mod frames;
#[path = "../limits_and_abuse/lifetime.rs"]
mod lifetime;
#[path = "../limits_and_abuse/movement.rs"]
mod movement;
#[path = "../limits_and_abuse/secrets.rs"]
mod secrets;
#[path = "../limits_and_abuse/signals.rs"]
mod signals;

#[path = "../moderation/admin.rs"]
mod admin;
#[path = "../moderation/gate.rs"]
mod gate;
#[path = "../moderation/reports.rs"]
mod reports;
#[path = "../moderation/words.rs"]
mod words;

use common::{
    Bystanders, Relay,
    addressed::{PROXY, may_come, person_from, resume_from, socket_from},
    operator::{TOKEN, ask},
    ticked,
};
use neartalk_shared::http::{Health, HealthStatus, StoreKind};

#[tokio::test]
async fn these_tests_are_on_redis() {
    let relay = Relay::start(&[]);
    let health: Health = relay.api().get("/api/health").await.expect(200);
    assert_eq!(health.store, StoreKind::Redis);
    assert_eq!((health.status, health.reason), (HealthStatus::Ok, None));
}
