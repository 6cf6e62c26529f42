//! Hands to Redis what the room has decided, in order. While one pipeline is on its way the next
//! one gathers, so a busy relay sends few and large ones.

use std::time::Duration;

use neartalk_shared::{MessageId, PeerId, Timestamp, time::millis};
use redis::{Cmd, FromRedisValue, Value};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    Order, State,
    keys::{Keys, Partition},
    letter_to, letter_to_all, rulings,
    scripts::{self, eval},
    written,
};
use crate::{
    clock::Clock,
    hub::Feed,
    store::{
        Change, News,
        region::Region,
        wire::{Claim, Event, Letter, NodeId, SessionKey, Utterance},
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
    /// Sessions: the position of the command, and which.
    sessions: Vec<(usize, SessionKey)>,
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
            sessions,
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
        let answer = |at: usize| answers.as_ref().and_then(|answers| answers.get(at));
        let claimed = sessions.into_iter().filter_map(|(at, key)| {
            // Redis keeps to whoever has the better claim, and says which it is.
            let claim: Option<String> = Option::from_redis_value_ref(answer(at)?).ok()?;
            Some((key, Claim::parse(&claim?)?.0))
        });
        let claimed: Vec<_> = claimed.collect();
        if !claimed.is_empty() {
            self.feed.hear(News::Claimed(claimed)).await;
        }
        for (at, from) in signals {
            let arrived = answer(at).is_some_and(|value| matches!(value, Value::Int(n) if *n > 0));
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
                let lifetime = millis(until.since(now));
                let Ok(json) = serde_json::to_string(&record) else {
                    return;
                };
                if lifetime == 0 {
                    return self.forget(batch, key, true);
                }
                let mut command = eval(scripts::SESSION, [keys.session(key)]);
                command
                    .arg(record.claim().to_string())
                    .arg(json)
                    .arg(lifetime);
                batch.sessions.push((batch.commands.len(), key));
                batch.commands.push((Keys::of_session(key), command));
            }
            Change::Place(key, Some((record, until))) => {
                let lifetime = millis(until.since(now));
                let Ok(json) = serde_json::to_string(&record) else {
                    return;
                };
                if lifetime == 0 {
                    return self.forget(batch, key, false);
                }
                let mut command = eval(scripts::PLACE, [keys.session(key), keys.place(key)]);
                command.arg(self.node.to_string()).arg(json).arg(lifetime);
                batch.commands.push((Keys::of_session(key), command));
            }
            Change::Place(key, None) => self.forget(batch, key, false),
            Change::Ended(key) => self.forget(batch, key, true),
            Change::Present(region, presence) => {
                let partition = Keys::of_region(region);
                let Ok(json) = serde_json::to_string(&presence) else {
                    return;
                };
                let mut command = eval(scripts::PUT, [keys.people(region, self.node)]);
                command
                    .arg(presence.peer_id.to_string())
                    .arg(json)
                    .arg(millis(self.lease * PEOPLE_LEASES));
                batch.commands.push((partition, command));
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
        let lifetime = millis(utterance.expires_at.since(now));
        if lifetime == 0 {
            return batch.add(partition, "DEL", |c| c.arg(message));
        }
        let Ok(json) = serde_json::to_string(utterance) else {
            return;
        };
        let ttl = millis(self.message_ttl);
        let mut command = eval(scripts::MESSAGE, [message, self.keys.messages(region)]);
        command
            .arg(json)
            .arg(lifetime)
            .arg(utterance.id.to_string())
            .arg(utterance.sent_at.as_millis())
            .arg(format!("({}", now.as_millis().saturating_sub(ttl)))
            .arg(ttl);
        batch.commands.push((partition, command));
    }

    /// Forgets where a session is, or all of it, if it is this relay's.
    fn forget(&self, batch: &mut Batch, key: SessionKey, all: bool) {
        let mut command = eval(
            scripts::FORGET,
            [self.keys.session(key), self.keys.place(key)],
        );
        command.arg(self.node.to_string());
        if all {
            command.arg("session");
        }
        batch.commands.push((Keys::of_session(key), command));
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
}
