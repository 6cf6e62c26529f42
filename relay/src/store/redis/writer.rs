//! Hands to Redis what the room has decided, in order. While one pipeline is on its way the next
//! one gathers, so a busy relay sends few and large ones.

use std::time::Duration;

use neartalk_shared::{MessageId, PeerId, Timestamp, time::millis};
use redis::{Cmd, Value};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Order, State,
    keys::{Keys, Partition},
    letter_to, letter_to_all, rulings, written,
};
use crate::{
    clock::Clock,
    hub::Feed,
    store::{
        Change, News,
        region::Region,
        wire::{Event, Letter, NodeId, Utterance},
    },
};

/// Changes that go into one pipeline, about.
const BATCH: usize = 1_000;

/// People whom a relay has in a region are forgotten after this many leases without a sign of life.
const PEOPLE_LEASES: u32 = 2;

pub(super) struct Writer {
    pub node: NodeId,
    pub keys: Keys,
    pub lease: Duration,
    pub message_ttl: Duration,
    pub clock: Clock,
    pub state: watch::Receiver<State>,
    pub orders: mpsc::Sender<Order>,
    pub feed: Feed,
}

/// A pipeline, and who wants to know how it went.
#[derive(Default)]
struct Batch {
    commands: Vec<(Partition, Cmd)>,
    said: Vec<MessageId>,
    /// Signals: the position of the command, and who sent it.
    signals: Vec<(usize, PeerId)>,
    fences: Vec<oneshot::Sender<()>>,
}

impl Writer {
    /// Runs until the room is gone.
    pub async fn run(self, mut changes: mpsc::Receiver<Vec<Change>>) {
        let mut gathered = Vec::new();
        loop {
            let n = changes.recv_many(&mut gathered, BATCH).await;
            if n == 0 {
                return;
            }
            let mut waiting = gathered.drain(..).flatten().peekable();
            while waiting.peek().is_some() {
                let mut batch = Batch::default();
                for change in waiting.by_ref().take(BATCH) {
                    self.add(&mut batch, change);
                }
                self.send(batch).await;
            }
        }
    }

    async fn send(&self, batch: Batch) {
        let Batch {
            commands,
            said,
            signals,
            fences,
        } = batch;
        let (connection, generation) = {
            let state = self.state.borrow();
            (state.connection.clone(), state.generation)
        };
        let answers = match connection {
            Some(mut connection) => match connection.run_all(commands).await {
                Ok(answers) => Some(answers),
                Err(error) => {
                    tracing::debug!(%error, "Redis has not taken changes");
                    self.order(Order::Broken {
                        generation,
                        reason: "Redis does not answer as it should",
                    });
                    None
                }
            },
            None => None,
        };
        for (at, from) in signals {
            let arrived = answers
                .as_ref()
                .and_then(|answers| answers.get(at))
                .is_some_and(|value| matches!(value, Value::Int(n) if *n > 0));
            if !arrived {
                self.feed.hear(News::Undeliverable(from)).await;
            }
        }
        if !said.is_empty() {
            let stored = answers.is_some();
            self.feed.hear(News::Stored(said, stored)).await;
        }
        if answers.is_some() {
            for fence in fences {
                // Whoever has waited may have given up.
                let _ = fence.send(());
            }
        }
    }

    fn order(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            tracing::error!("too much is asked of the connection to Redis");
        }
    }

    fn add(&self, batch: &mut Batch, change: Change) {
        let now = self.clock.now();
        let keys = &self.keys;
        match change {
            Change::Session(key, record, until) => {
                let partition = Keys::of_session(key);
                batch.set(partition, keys.session(key), &record, until, now);
            }
            Change::Place(key, Some((record, until))) => {
                let partition = Keys::of_session(key);
                batch.set(partition, keys.place(key), &record, until, now);
            }
            Change::Place(key, None) => {
                batch.add(Keys::of_session(key), "DEL", |c| c.arg(keys.place(key)));
            }
            Change::Ended(key) => batch.add(Keys::of_session(key), "DEL", |c| {
                c.arg(keys.session(key)).arg(keys.place(key))
            }),
            Change::Present(region, presence) => {
                let partition = Keys::of_region(region);
                let Ok(json) = serde_json::to_string(&presence) else {
                    return;
                };
                let people = keys.people(region, self.node);
                let peer_id = presence.peer_id.to_string();
                batch.add(partition, "HSET", |c| c.arg(&people).arg(peer_id).arg(json));
                let lifetime = millis(self.lease * PEOPLE_LEASES);
                batch.add(partition, "PEXPIRE", |c| c.arg(&people).arg(lifetime));
                self.publish(batch, region, &Event::Present(*presence));
            }
            Change::Gone {
                region,
                peer_id,
                stamp,
                reason,
                to,
            } => {
                self.remove(batch, region, peer_id);
                let gone = Event::Gone {
                    peer_id,
                    stamp,
                    reason,
                    to,
                };
                self.publish(batch, region, &gone);
            }
            Change::HandedOver(region, peer_id) => self.remove(batch, region, peer_id),
            Change::Roster(region, people) => {
                self.publish(batch, region, &Event::Roster { people });
            }
            Change::Said(region, mut utterance) => {
                batch.said.push(utterance.id);
                let origin = utterance.origin.take();
                self.keep(batch, region, &utterance, now);
                utterance.origin = origin;
                self.publish(batch, region, &Event::Said(*utterance));
            }
            Change::Keep(region, utterance) => self.keep(batch, region, &utterance, now),
            Change::Passing(region, event) => self.publish(batch, region, &event),
            Change::Attend(region) => self.order(Order::Need(region)),
            Change::Neglect(region) => self.order(Order::Neglect(region)),
            Change::Letter(to, letter) => {
                if let Letter::Signal { from, .. } = &*letter {
                    batch.signals.push((batch.commands.len(), from.peer_id));
                }
                if let Some(command) = letter_to(keys, self.node, to, &letter) {
                    batch.commands.push((Keys::OF_NODES, command));
                }
            }
            Change::Ruling(ruling) => {
                if let Some(command) = rulings::keep(keys, &ruling, now) {
                    batch.commands.push((Keys::OF_NODES, command));
                    let letter = Letter::Ruling(ruling);
                    let command = letter_to_all(keys, self.node, &letter);
                    batch
                        .commands
                        .extend(command.map(|command| (Keys::OF_NODES, command)));
                }
            }
            Change::Fence(fence) => batch.fences.push(fence),
        }
    }

    fn publish(&self, batch: &mut Batch, region: Region, event: &Event) {
        if let Some(payload) = written(self.node, event) {
            let channel = self.keys.region_channel(region);
            batch.add(Keys::of_region(region), "SPUBLISH", |c| {
                c.arg(channel).arg(payload)
            });
        }
    }

    fn remove(&self, batch: &mut Batch, region: Region, peer_id: PeerId) {
        let people = self.keys.people(region, self.node);
        batch.add(Keys::of_region(region), "HDEL", |c| {
            c.arg(people).arg(peer_id.to_string())
        });
    }

    /// Keeps a message until its time has come. Only its id, which says nothing, may stay in the
    /// region's list for longer.
    fn keep(&self, batch: &mut Batch, region: Region, utterance: &Utterance, now: Timestamp) {
        let partition = Keys::of_region(region);
        let message = self.keys.message(region, &utterance.id);
        if !batch.set(partition, message, utterance, utterance.expires_at, now) {
            return;
        }
        let messages = self.keys.messages(region);
        let ttl = millis(self.message_ttl);
        let sent_at = utterance.sent_at.as_millis();
        let expired = format!("({}", now.as_millis().saturating_sub(ttl));
        batch.add(partition, "ZADD", |c| {
            c.arg(&messages).arg(sent_at).arg(utterance.id.to_string())
        });
        batch.add(partition, "ZREMRANGEBYSCORE", |c| {
            c.arg(&messages).arg("-inf").arg(expired)
        });
        batch.add(partition, "PEXPIRE", |c| c.arg(&messages).arg(ttl));
    }
}

impl Batch {
    fn add(
        &mut self,
        partition: Partition,
        name: &'static str,
        arguments: impl FnOnce(&mut Cmd) -> &mut Cmd,
    ) {
        let mut command = redis::cmd(name);
        arguments(&mut command);
        self.commands.push((partition, command));
    }

    /// Sets a key until its time has come; false when it has come already.
    fn set(
        &mut self,
        partition: Partition,
        key: String,
        value: &impl Serialize,
        until: Timestamp,
        now: Timestamp,
    ) -> bool {
        let lifetime = millis(until.since(now));
        let Ok(json) = serde_json::to_string(value) else {
            return false;
        };
        if lifetime == 0 {
            self.add(partition, "DEL", |c| c.arg(key));
            return false;
        }
        self.add(partition, "SET", |c| {
            c.arg(key).arg(json).arg("PX").arg(lifetime)
        });
        true
    }
}
