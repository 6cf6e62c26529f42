//! Many relays with one Redis behind them.
//!
//! What each relay's room decides goes to Redis in its order, in pipelines (`writer`); what others
//! do comes back over sharded channels, one per [region](super::region) (`pump`); and the
//! `keeper` keeps the connection, the subscriptions and the sign of life. A lost connection is
//! answered with a new one, over which everything is told again, so nothing depends on what was on
//! its way when the old one broke.

mod client;
mod keeper;
pub mod keys;
mod limits;
mod pump;
mod rulings;
mod scripts;
mod snapshot;
mod writer;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use neartalk_shared::{PeerId, http::StoreKind, time::millis};
use redis::Cmd;
use rustc_hash::FxHashMap;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

pub use self::client::{InvalidRedisUrl, RedisUrl};
use self::{client::Connection, keeper::Keeper, keys::Keys, writer::Writer};
use super::{
    Change, SocketTicket, Storage, TooMany, Whereabouts,
    region::Region,
    wire::{Claim, Letter, NodeId, Reply, Request, SessionKey, SessionRecord},
};
use crate::{
    address::{AddressKey, AddressLimits},
    clock::Clock,
    hub::Feed,
    moderation::{bans::Ban, origin::DayKey},
    turn::relay::InnerServer,
};

/// How long another relay may take to answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);

/// How long somebody waits to be let in to regions that take long to open.
const ATTEND_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a relay's start waits for Redis.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a relay's end waits for Redis to take the rest.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// After an outage other relays may still be telling Redis what it has lost.
const SETTLING: Duration = Duration::from_secs(5);

/// Batches of changes that may wait for Redis.
const CHANGES: usize = 65_536;

/// What a relay is told to do differently about Redis.
#[derive(Clone, Debug)]
pub struct RedisSettings {
    /// Where it is.
    pub url: RedisUrl,
    /// What every key and channel begins with.
    pub prefix: String,
    /// A relay that has given no sign of life for this long is gone.
    pub lease: Duration,
    /// How long a message lives.
    pub message_ttl: Duration,
    /// The TURN server inside this relay, for others to send their people to.
    pub turn: Option<InnerServer>,
    /// What each address may ask of all relays together.
    pub limits: AddressLimits,
}

/// Whether Redis can be reached.
#[derive(Clone, Debug)]
struct State {
    /// Absent while it can't be reached.
    connection: Option<Connection>,
    /// What is wrong, for people.
    trouble: Option<String>,
    /// Until when what Redis does not know may still be told to it.
    settled_at: tokio::time::Instant,
    /// Number of the connection.
    generation: u64,
    /// The key that all relays hash addresses with today.
    key: Option<DayKey>,
}

/// What the keeper is asked to do.
#[derive(Debug)]
enum Order {
    /// Open these regions, and say so.
    Attend(Vec<Region>, oneshot::Sender<()>),
    /// This region is around somebody.
    Need(Region),
    /// It no longer is.
    Neglect(Region),
    /// A server has ended the subscription to this region.
    Unheard { generation: u64, region: Region },
    /// This connection is of no use any more.
    Broken {
        generation: u64,
        reason: &'static str,
    },
}

/// Questions to other relays that wait for their answers, by number.
#[derive(Debug, Default)]
struct Questions {
    next: AtomicU64,
    waiting: Mutex<FxHashMap<u64, oneshot::Sender<Reply>>>,
}

impl Questions {
    /// A number that was not used before.
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn ask(&self) -> Question<'_> {
        let number = self.number();
        let (sender, reply) = oneshot::channel();
        self.lock().insert(number, sender);
        Question {
            number,
            reply,
            among: self,
        }
    }

    fn answer(&self, number: u64, reply: Reply) {
        if let Some(sender) = self.lock().remove(&number) {
            // Whoever asked may have given up.
            let _ = sender.send(reply);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FxHashMap<u64, oneshot::Sender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that waits for its answer. It is forgotten with this, as whoever asks may be gone before
/// there is one.
struct Question<'a> {
    number: u64,
    reply: oneshot::Receiver<Reply>,
    among: &'a Questions,
}

impl Question<'_> {
    /// The answer, if there is one in time.
    async fn answer(mut self) -> Option<Reply> {
        let reply = timeout(ASK_TIMEOUT, &mut self.reply).await;
        reply.ok()?.ok()
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.among.lock().remove(&self.number);
    }
}

/// A relay's share in a Redis.
#[derive(Debug)]
pub struct Redis {
    node: NodeId,
    keys: Keys,
    limits: AddressLimits,
    state: watch::Receiver<State>,
    changes: mpsc::Sender<Vec<Change>>,
    orders: mpsc::Sender<Order>,
    questions: Arc<Questions>,
}

impl Redis {
    /// Starts to keep up a connection; news goes to `feed`.
    /// `up` is 1 while all is well.
    pub fn start(
        settings: RedisSettings,
        node: NodeId,
        clock: Clock,
        feed: Feed,
        up: metrics::Gauge,
    ) -> Arc<Self> {
        let keys = Keys::new(settings.prefix.clone());
        let (state, watched) = watch::channel(State {
            connection: None,
            trouble: Some("Redis has not been reached yet".into()),
            settled_at: tokio::time::Instant::now(),
            generation: 0,
            key: None,
        });
        let (changes, written) = mpsc::channel(CHANGES);
        let (orders, received) = mpsc::channel(CHANGES);
        let questions = Arc::new(Questions::default());
        let writer = Writer {
            node,
            keys: keys.clone(),
            lease: settings.lease,
            message_ttl: settings.message_ttl,
            clock,
            state: watched.clone(),
            orders: orders.clone(),
            feed: feed.clone(),
        };
        tokio::spawn(writer.run(written));
        let limits = settings.limits;
        let keeper = Keeper::new(
            settings,
            node,
            keys.clone(),
            clock,
            state,
            changes.downgrade(),
            orders.downgrade(),
            Arc::clone(&questions),
            feed,
            up,
        );
        tokio::spawn(keeper.run(received));
        Arc::new(Self {
            node,
            keys,
            limits,
            state: watched,
            changes,
            orders,
            questions,
        })
    }

    fn connection(&self) -> Option<Connection> {
        self.state.borrow().connection.clone()
    }

    async fn read_session(
        &self,
        mut connection: Connection,
        key: SessionKey,
    ) -> Option<Option<SessionRecord>> {
        let mut command = redis::cmd("MGET");
        command
            .arg(self.keys.session(key))
            .arg(self.keys.place(key));
        let answer: (Option<String>, Option<String>) = connection.run(&command).await.ok()?;
        let (Some(session), place) = answer else {
            return Some(None);
        };
        let (_, json) = Claim::parse(&session)?;
        let mut record: SessionRecord = serde_json::from_str(json).ok()?;
        record.place = place.and_then(|place| serde_json::from_str(&place).ok());
        Some(Some(record))
    }
}

#[async_trait::async_trait]
impl Storage for Redis {
    fn kind(&self) -> StoreKind {
        StoreKind::Redis
    }

    fn trouble(&self) -> Option<String> {
        self.state.borrow().trouble.clone()
    }

    fn node(&self) -> Option<NodeId> {
        Some(self.node)
    }

    async fn ready(&self) {
        let mut state = self.state.clone();
        let ready = state.wait_for(|state| state.trouble.is_none());
        if timeout(READY_TIMEOUT, ready).await.is_err() {
            tracing::warn!("starting without Redis, which can't be reached; trying on");
        }
    }

    fn apply(&self, changes: Vec<Change>) {
        if self.changes.try_send(changes).is_err() {
            // A new connection starts with telling everything.
            let _ = self.orders.try_send(Order::Broken {
                generation: u64::MAX,
                reason: "Redis does not keep up",
            });
        }
    }

    async fn flush(&self) {
        let (fence, written) = oneshot::channel();
        if self.changes.send(vec![Change::Fence(fence)]).await.is_ok() {
            let _ = timeout(FLUSH_TIMEOUT, written).await;
        }
    }

    async fn find(&self, key: SessionKey) -> Whereabouts {
        let Some(connection) = self.connection() else {
            return Whereabouts::Unknown;
        };
        match self.read_session(connection, key).await {
            Some(Some(record)) => Whereabouts::At(record.node, Box::new(record)),
            Some(None) if self.state.borrow().settled_at <= tokio::time::Instant::now() => {
                Whereabouts::Nowhere
            }
            _ => Whereabouts::Unknown,
        }
    }

    async fn attend(&self, regions: Vec<Region>) {
        if self.connection().is_some() {
            attend(&self.orders, regions).await;
        }
    }

    async fn count_session(&self, address: AddressKey) -> Result<(), u64> {
        self.count_session(address).await
    }

    async fn count_socket(&self, address: AddressKey) -> Result<Option<SocketTicket>, TooMany> {
        self.count_socket(address).await
    }

    async fn renew_socket(&self, ticket: SocketTicket) {
        self.renew_socket(ticket).await;
    }

    async fn release_socket(&self, ticket: SocketTicket) {
        self.release_socket(ticket).await;
    }

    async fn spend_proof(&self, address: AddressKey, challenge: &str) -> bool {
        self.spend_proof(address, challenge).await
    }

    async fn ban_elsewhere(&self, peer_id: PeerId, time: Duration) -> Option<Ban> {
        let mut connection = self.connection()?;
        let question = self.questions.ask();
        let letter = Letter::Ban {
            number: question.number,
            peer_id,
            for_ms: millis(time),
        };
        let command = letter_to_all(&self.keys, self.node, &letter)?;
        connection.run::<u64>(&command).await.ok()?;
        // Whoever does not have them does not answer.
        match question.answer().await? {
            Reply::Banned(ban) => Some(ban),
            _ => None,
        }
    }

    async fn ask(&self, node: NodeId, key: SessionKey, request: Request) -> Option<Reply> {
        let mut connection = self.connection()?;
        let question = self.questions.ask();
        let letter = Letter::Ask {
            number: question.number,
            key,
            request,
        };
        let command = letter_to(&self.keys, self.node, node, &letter)?;
        match connection.run::<u64>(&command).await {
            Err(_) | Ok(0) => None,
            Ok(_) => question.answer().await,
        }
    }
}

/// Asks for regions to be opened, and waits until they are. Without an answer those who wait for
/// them are let in all the same; what they miss comes later.
async fn attend(orders: &mpsc::Sender<Order>, regions: Vec<Region>) {
    let (opened, wait) = oneshot::channel();
    if orders.send(Order::Attend(regions, opened)).await.is_ok() {
        let _ = timeout(ATTEND_TIMEOUT, wait).await;
    }
}

/// What goes over a channel: who says it, and what.
fn written(node: NodeId, what: &impl serde::Serialize) -> Option<String> {
    let json = serde_json::to_string(what).ok()?;
    Some(format!("{node}{json}"))
}

/// The parts of what has come over a channel.
fn read<T: serde::de::DeserializeOwned>(payload: &str) -> Option<(NodeId, T)> {
    let (node, json) = payload.split_at_checked(NodeId::CHARS)?;
    Some((NodeId::parse(node)?, serde_json::from_str(json).ok()?))
}

fn letter_to_all(keys: &Keys, from: NodeId, letter: &Letter) -> Option<Cmd> {
    let mut command = redis::cmd("SPUBLISH");
    command
        .arg(keys.common_channel())
        .arg(written(from, letter)?);
    Some(command)
}

fn letter_to(keys: &Keys, from: NodeId, to: NodeId, letter: &Letter) -> Option<Cmd> {
    let mut command = redis::cmd("SPUBLISH");
    command
        .arg(keys.node_channel(to))
        .arg(written(from, letter)?);
    Some(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_is_forgotten_with_whoever_asks() {
        let questions = Questions::default();
        let answered = questions.ask();
        questions.answer(answered.number, Reply::NotHere);
        assert!(matches!(answered.answer().await, Some(Reply::NotHere)));
        let given_up = questions.ask();
        assert_eq!(questions.lock().len(), 1);
        // As when a client hangs up before another relay has answered for it.
        drop(given_up.answer());
        assert!(questions.lock().is_empty());
        // What comes too late is for nobody.
        questions.answer(1, Reply::NotHere);
        assert!(questions.lock().is_empty());
    }
}
