//! What a running relay does about input that is wrong, too much, too slow or meant to harm: it
//! answers as the contract says, and everybody else goes on as if nothing had happened.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod connections;
mod crowd;
mod frames;
mod lifetime;
mod movement;
mod secrets;
mod signals;

use common::{Api, Person, Relay};
use neartalk_shared::Place;

/// Two people who talk, while somebody else misbehaves.
struct Bystanders {
    speaker: Person,
    listener: Person,
    said: usize,
}

impl Bystanders {
    /// Flags for a relay that lets them talk as much as a test needs.
    const FLAGS: [&str; 2] = ["--messages-per-minute", "100000"];

    async fn at(relay: &Relay, api: &Api, place: Place) -> Self {
        let listener = Person::at(relay, api, "Listener", place, 500).await;
        Self {
            speaker: Person::at(relay, api, "Speaker", place, 500).await,
            listener,
            said: 0,
        }
    }

    /// Says something, which must be heard once and in order.
    async fn talk(&mut self) {
        self.said += 1;
        let text = format!("undisturbed {}", self.said);
        let sent = self.speaker.say(&text).await;
        assert!(sent.reached >= 1);
        loop {
            let heard = self.listener.hears().await;
            if heard.from == self.speaker.id() {
                assert_eq!(heard.text.as_str(), text);
                break;
            }
        }
    }
}
