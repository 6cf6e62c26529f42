//! People to whom nothing must happen, whatever somebody else does.

use neartalk_shared::Place;

use super::{Api, Person, Relay};

/// Two people who talk, while somebody else misbehaves.
pub struct Bystanders {
    pub speaker: Person,
    pub listener: Person,
    said: usize,
}

impl Bystanders {
    /// Flags for a relay that lets them talk as much as a test needs.
    pub const FLAGS: [&str; 2] = ["--messages-per-minute", "100000"];

    pub async fn at(relay: &Relay, api: &Api, place: Place) -> Self {
        let listener = Person::at(relay, api, "Listener", place, 500).await;
        Self {
            speaker: Person::at(relay, api, "Speaker", place, 500).await,
            listener,
            said: 0,
        }
    }

    /// Says something, which must be heard once and in order.
    pub async fn talk(&mut self) {
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
