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

use common::{Api, Person, Relay};
use neartalk_shared::{Place, ServerFrame};

/// Everything that the relay has to say to `viewer` about who came, went and changed until now.
///
/// That is told on a tick. So somebody new joins where `viewer` is, with the same circle, and once
/// `viewer` has been told of them, all that was earlier has been told as well.
async fn ticked(
    relay: &Relay,
    api: &Api,
    viewer: &mut Person,
    place: Place,
    metres: u32,
) -> Vec<ServerFrame> {
    let marker = Person::at(relay, api, "Marker", place, metres).await;
    viewer.sees(marker.id()).await;
    viewer.settle().await
}
