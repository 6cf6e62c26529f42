//! A person whose client is the real engine.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

use std::collections::VecDeque;

use neartalk_client::{
    Command, Engine, EngineConfig, EngineHandle, Event, EventReceiver, Fix, RelayUrl,
    location::{self, FixSender},
};
use neartalk_shared::{MessageId, MessageText, PeerId, Place, Spot};

use crate::common::{radius, spot, within_time};
use std::time::Duration;

/// How long anything may take that an engine does by itself, a reconnect with its back-off
/// included.
pub const GUARD: Duration = Duration::from_secs(40);

pub struct Someone {
    pub handle: EngineHandle,
    events: EventReceiver,
    fixes: FixSender,
    /// What has been read and not been asked for yet.
    unread: VecDeque<Event>,
    pub peer_id: PeerId,
    pub spot: Spot,
}

impl Someone {
    /// Starts an engine at a place, and waits until the relay knows it.
    pub async fn at(relay: &str, place: Place, metres: u32) -> Self {
        let mut config = EngineConfig::new(RelayUrl::parse(relay).unwrap());
        config.radius = radius(metres);
        let (fixes, stream) = location::channel();
        fixes.send(Fix::by_hand(place));
        let (handle, events) = Engine::start(config, stream);
        let mut someone = Self {
            handle,
            events,
            fixes,
            unread: VecDeque::new(),
            peer_id: PeerId::parse(&"0".repeat(26)).unwrap(),
            spot: spot(place, metres),
        };
        someone.peer_id = someone
            .until("Me", |e| match e {
                Event::Me(me) => Some(me.peer_id),
                _ => None,
            })
            .await;
        someone.until_located().await;
        someone
    }

    /// Goes somewhere, and waits until the relay knows it.
    pub async fn go(&mut self, place: Place) {
        let before = self.spot;
        self.spot = Spot::new(place, before.radius());
        self.fixes.send(Fix::by_hand(place));
        if self.spot != before {
            self.until_located().await;
        }
    }

    async fn until_located(&mut self) {
        self.until("Located", |e| matches!(e, Event::Located(_)).then_some(()))
            .await;
    }

    pub async fn say(&self, text: &str) -> MessageId {
        self.handle
            .say(MessageText::parse(text).unwrap())
            .await
            .unwrap()
    }

    /// Says something, waits until the relay has it, and tells how many people got it.
    pub async fn say_and_reach(&mut self, text: &str) -> u32 {
        let id = self.say(text).await;
        self.until_sent(id).await
    }

    pub async fn until_sent(&mut self, id: MessageId) -> u32 {
        self.until("Sent", |e| match e {
            Event::Sent { message, reached } if message.id == id => Some(*reached),
            _ => None,
        })
        .await
    }

    /// Waits for the first event for which `pick` has an answer; earlier ones stay unread.
    pub async fn until<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        if let Some(at) = self.unread.iter().position(|e| pick(e).is_some()) {
            let event = self.unread.remove(at).unwrap();
            return pick(&event).unwrap();
        }
        within_time(GUARD, what, async {
            loop {
                let event = self.events.recv().await.expect("the engine has ended");
                if let Some(answer) = pick(&event) {
                    return answer;
                }
                self.unread.push_back(event);
            }
        })
        .await
    }

    /// What has happened and was not asked for yet.
    pub fn unread(&self) -> impl Iterator<Item = &Event> {
        self.unread.iter()
    }

    /// What others said, in the order in which it came, and what was unread besides is forgotten.
    /// Everything that the relay queued for this person before this call is in it: the answer to
    /// a message of one's own comes after it.
    pub async fn heard(&mut self) -> Vec<(PeerId, String)> {
        self.say_and_reach("fence").await;
        let messages = self.unread.drain(..).flat_map(|event| match event {
            Event::Message { message } => vec![message],
            Event::History { messages } => messages,
            _ => Vec::new(),
        });
        messages
            .filter(|m| !m.own && m.text.as_str() != "fence")
            .map(|m| (m.from, m.text.into()))
            .collect()
    }

    /// Who the client says is around, now.
    pub async fn people(&mut self) -> Vec<PeerId> {
        self.handle.send(Command::Snapshot).await.unwrap();
        self.until("Snapshot", |e| match e {
            Event::Snapshot(all) => Some(all.people.iter().map(|p| p.peer_id).collect()),
            _ => None,
        })
        .await
    }
}
