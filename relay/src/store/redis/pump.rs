//! Takes in what comes over the channels.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use redis::{FromRedisValue, PushInfo, PushKind, aio::SendError};
use tokio::{sync::mpsc, task::JoinSet};

use super::{
    Order, Questions, attend,
    client::Connection,
    keys::{Channel, Keys},
    letter_to, read,
};
use crate::{
    hub::Feed,
    store::{
        News,
        wire::{Event, Letter, NodeId, Reply},
    },
};

/// What may wait to be taken in. A relay that is further behind starts over.
const PUSHES: usize = 65_536;

/// Requests of other relays that are dealt with at the same time; beyond it they get no answer.
const REQUESTS: usize = 1_000;

/// Why a connection is given up on which a server has ended a subscription: that of a cluster which no
/// longer has that channel. The client takes it for the end that it was asked for, and would not listen
/// where the channel is now.
pub(super) const MOVED_AWAY: &str = "the Redis cluster has moved what this relay listens to";

/// The near end of a connection's pushes.
pub(super) struct Pump {
    pub node: NodeId,
    pub keys: Keys,
    /// Number of the connection.
    pub generation: u64,
    pub questions: Arc<Questions>,
    pub orders: mpsc::WeakSender<Order>,
    pub feed: Feed,
    pushes: mpsc::Receiver<PushInfo>,
    overflow: Arc<AtomicBool>,
}

/// Where a connection puts its pushes.
pub(super) fn channel() -> (
    impl Fn(PushInfo) -> Result<(), SendError> + Send + Sync + 'static,
    mpsc::Receiver<PushInfo>,
    Arc<AtomicBool>,
) {
    let (sender, receiver) = mpsc::channel(PUSHES);
    let overflow = Arc::new(AtomicBool::new(false));
    let full = Arc::clone(&overflow);
    let send = move |push| {
        sender.try_send(push).map_err(|_| {
            full.store(true, Ordering::Relaxed);
            SendError
        })
    };
    (send, receiver, overflow)
}

impl Pump {
    #[allow(clippy::too_many_arguments, reason = "each is one thing that it needs")]
    pub fn new(
        node: NodeId,
        keys: Keys,
        generation: u64,
        questions: Arc<Questions>,
        orders: mpsc::WeakSender<Order>,
        feed: Feed,
        pushes: mpsc::Receiver<PushInfo>,
        overflow: Arc<AtomicBool>,
    ) -> Self {
        Self {
            node,
            keys,
            generation,
            questions,
            orders,
            feed,
            pushes,
            overflow,
        }
    }

    /// Runs until the connection is gone, and says so. As long as it runs it keeps the connection,
    /// and that keeps it: whoever gives the connection up has to abort it.
    pub async fn run(mut self, connection: Connection) {
        let mut requests = JoinSet::new();
        let mut reason = "the connection to Redis was lost";
        while let Some(push) = self.pushes.recv().await {
            if self.overflow.load(Ordering::Relaxed) {
                reason = "this relay does not keep up with the others";
                break;
            }
            match push.kind {
                PushKind::Disconnection => break,
                PushKind::SMessage => self.take(push, &connection, &mut requests).await,
                PushKind::SUnsubscribe => {
                    let expected = self.is_expected_end(push).await;
                    if !expected {
                        reason = MOVED_AWAY;
                        break;
                    }
                }
                _ => {}
            }
        }
        if let Some(orders) = self.orders.upgrade() {
            let broken = Order::Broken {
                generation: self.generation,
                reason,
            };
            // The keeper is gone only at the end of the relay.
            let _ = orders.send(broken).await;
        }
    }

    /// Takes note of a subscription's end. False when it is one that this relay never ends itself.
    async fn is_expected_end(&self, push: PushInfo) -> bool {
        let channel = push.data.into_iter().next();
        let channel = channel.and_then(|channel| String::from_redis_value(channel).ok());
        match channel.and_then(|channel| self.keys.read_channel(&channel)) {
            Some(Channel::Region(region)) => {
                let unheard = Order::Unheard {
                    generation: self.generation,
                    region,
                };
                if let Some(orders) = self.orders.upgrade() {
                    // The keeper is gone only at the end of the relay.
                    let _ = orders.send(unheard).await;
                }
                true
            }
            Some(Channel::Node(_) | Channel::Common) => false,
            None => true,
        }
    }

    async fn take(&self, push: PushInfo, connection: &Connection, requests: &mut JoinSet<()>) {
        let mut data = push.data.into_iter();
        let mut text = || String::from_redis_value(data.next()?).ok();
        let (Some(channel), Some(payload)) = (text(), text()) else {
            return;
        };
        // What this relay has said itself comes back as well.
        if payload.get(..NodeId::CHARS).and_then(NodeId::parse) == Some(self.node) {
            return;
        }
        match self.keys.read_channel(&channel) {
            Some(Channel::Region(region)) => {
                if let Some((node, event)) = read::<Event>(&payload) {
                    self.feed.hear(News::Event(node, region, event)).await;
                }
            }
            Some(Channel::Node(_) | Channel::Common) => match read::<Letter>(&payload) {
                Some((
                    from,
                    Letter::Ban {
                        number,
                        peer_id,
                        for_ms,
                    },
                )) => {
                    let feed = self.feed.clone();
                    let time = Duration::from_millis(for_ms);
                    let answer = async move {
                        let ban = feed.ban(peer_id, time).await?;
                        Some(Letter::Answer {
                            number,
                            reply: Reply::Banned(ban),
                        })
                    };
                    self.answer(from, answer, connection, requests);
                }
                Some((
                    from,
                    Letter::Ask {
                        number,
                        key,
                        request,
                    },
                )) => {
                    let feed = self.feed.clone();
                    let orders = self.orders.clone();
                    let attend = move |regions| -> BoxFuture<'static, ()> {
                        Box::pin(async move {
                            if let Some(orders) = orders.upgrade() {
                                attend(&orders, regions).await;
                            }
                        })
                    };
                    let answer = async move {
                        let reply = feed.answer(from, key, request, attend).await;
                        Some(Letter::Answer { number, reply })
                    };
                    self.answer(from, answer, connection, requests);
                }
                Some((_, Letter::Answer { number, reply })) => {
                    self.questions.answer(number, reply);
                }
                Some((from, letter)) => self.feed.hear(News::Letter(from, letter)).await,
                None => {}
            },
            None => {}
        }
    }

    /// Sends another relay the answer that it waits for, once there is one.
    fn answer(
        &self,
        to: NodeId,
        answer: impl Future<Output = Option<Letter>> + Send + 'static,
        connection: &Connection,
        requests: &mut JoinSet<()>,
    ) {
        while requests.try_join_next().is_some() {}
        if requests.len() >= REQUESTS {
            return;
        }
        let (keys, own) = (self.keys.clone(), self.node);
        let mut connection = connection.clone();
        requests.spawn(async move {
            let letter = answer.await;
            if let Some(command) = letter.and_then(|letter| letter_to(&keys, own, to, &letter)) {
                // Whoever has asked does without in the end.
                let _ = connection.run::<u64>(&command).await;
            }
        });
    }
}
