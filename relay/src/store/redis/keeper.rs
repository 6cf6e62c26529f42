//! Keeps the connection to Redis, what it is subscribed to, and this relay's sign of life.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use neartalk_shared::{Timestamp, time::millis};
use redis::{FromRedisValue, RedisError, RedisResult};
use rustc_hash::FxHashMap;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};

use super::{
    Order, Questions, RedisSettings, SETTLING, State,
    client::Connection,
    keys::Keys,
    pump::{self, Pump},
    rulings,
    scripts::{self, eval},
    snapshot,
};
use crate::{
    clock::Clock,
    hub::Feed,
    moderation::origin::{DayKey, day_of},
    store::{
        Change, News,
        attendance::Attendance,
        region::Region,
        wire::{Claim, NodeId, SessionKey, Sign, Stamp},
    },
};

/// How long after a lost connection the next one is tried, at first and at most.
const BACKOFF: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// Signs of life in one lease.
const BEATS: u32 = 4;

/// Regions that are read in one go.
const REGIONS: usize = 100;

/// Sessions that are asked about in one go.
const SESSIONS: usize = 500;

/// Why a connection is given up, for people.
type Reason = String;

pub(super) struct Keeper {
    settings: RedisSettings,
    node: NodeId,
    keys: Keys,
    clock: Clock,
    state: watch::Sender<State>,
    changes: mpsc::WeakSender<Vec<Change>>,
    orders: mpsc::WeakSender<Order>,
    questions: Arc<Questions>,
    feed: Feed,
    up: metrics::Gauge,
    attendance: Attendance<oneshot::Sender<()>>,
    /// How many subscriptions to each region this relay has ended of which the end has not arrived.
    closing: FxHashMap<Region, u32>,
    generation: u64,
    /// The keys that addresses are hashed with, by day.
    days: BTreeMap<u64, DayKey>,
    /// Of which days over this connection.
    agreed: BTreeSet<u64>,
    /// The last sign of life that Redis took.
    beaten_at: Timestamp,
    /// From when on whoever gives no sign of life is gone.
    judges_from: Instant,
}

type Opening = BoxFuture<'static, RedisResult<Vec<Region>>>;

impl Keeper {
    #[allow(clippy::too_many_arguments, reason = "each is one thing that it needs")]
    pub fn new(
        settings: RedisSettings,
        node: NodeId,
        keys: Keys,
        clock: Clock,
        state: watch::Sender<State>,
        changes: mpsc::WeakSender<Vec<Change>>,
        orders: mpsc::WeakSender<Order>,
        questions: Arc<Questions>,
        feed: Feed,
        up: metrics::Gauge,
    ) -> Self {
        up.set(0.0);
        Self {
            settings,
            node,
            keys,
            clock,
            state,
            changes,
            orders,
            questions,
            feed,
            up,
            attendance: Attendance::default(),
            closing: FxHashMap::default(),
            generation: 0,
            days: BTreeMap::new(),
            agreed: BTreeSet::new(),
            beaten_at: clock.now(),
            judges_from: Instant::now(),
        }
    }

    /// Runs until the room is gone.
    pub async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        let [first, most] = BACKOFF;
        let mut backoff = first;
        while self.orders.upgrade().is_some() {
            let mut pump = JoinSet::new();
            let reason = match self.connect(&mut pump).await {
                Ok(connection) => {
                    backoff = first;
                    tracing::info!("Redis is there");
                    self.up.set(1.0);
                    let reason = self.serve(connection, &mut orders).await;
                    self.up.set(0.0);
                    reason
                }
                Err(reason) => reason,
            };
            let key = self.days.get(&day_of(self.clock.now())).cloned();
            let was_well = self.state.send_replace(State {
                key,
                connection: None,
                trouble: Some(reason.clone()),
                settled_at: Instant::now(),
                generation: self.generation,
            });
            // It would keep what it hears over the old connection coming, beside the new one.
            pump.shutdown().await;
            if was_well.trouble.is_none() {
                tracing::warn!(
                    reason,
                    "Redis can't be reached; this relay goes on for its own people"
                );
            }
            self.wait(backoff, &mut orders).await;
            backoff = (backoff * 2).min(most);
        }
    }

    /// Opens a connection, and brings Redis and the room up to date with each other. What comes over
    /// it is taken in by `pump`.
    async fn connect(&mut self, pump: &mut JoinSet<()>) -> Result<Connection, Reason> {
        self.generation += 1;
        self.closing.clear();
        let (send, pushes, overflow) = pump::channel();
        let mut connection = self.settings.url.connect(send).await.map_err(say)?;
        self.beat(&mut connection, true).await?;
        let channels = [
            self.keys.node_channel(self.node),
            self.keys.common_channel(),
        ];
        let channels = channels.map(|channel| (Keys::OF_NODES, channel));
        connection.subscribe(channels.into()).await.map_err(say)?;
        let pumping = Pump::new(
            self.node,
            self.keys.clone(),
            self.generation,
            Arc::clone(&self.questions),
            self.orders.clone(),
            self.feed.clone(),
            pushes,
            overflow,
        );
        pump.spawn(pumping.run(connection.clone()));
        self.find_lost(&mut connection).await.map_err(say)?;
        self.withdraw_people(&mut connection).await.map_err(say)?;
        self.agreed.clear();
        self.share_keys(&mut connection).await.map_err(say)?;
        let decided = rulings::read(&mut connection, &self.keys).await;
        self.feed.hear(News::Rulings(decided.map_err(say)?)).await;
        // From here on the writer writes, so that nothing is missed between what the room tells
        // of before and what it does later.
        self.state.send_modify(|state| {
            state.connection = Some(connection.clone());
            state.generation = self.generation;
        });
        let needed = self.feed.republish(self.attendance.all()).await;
        let (fence, written) = oneshot::channel();
        if let Some(changes) = self.changes.upgrade() {
            // It fails only at the end of the relay.
            let _ = changes.send(vec![Change::Fence(fence)]).await;
        }
        written
            .await
            .map_err(|_| "Redis does not take what this relay has to tell".to_owned())?;
        let to_open = self.attendance.restart(&needed, self.clock.now());
        for regions in to_open.chunks(REGIONS) {
            let opened = open(
                connection.clone(),
                self.keys.clone(),
                self.node,
                self.feed.clone(),
                regions.to_vec(),
            );
            let opened = opened.await.map_err(say)?;
            for waiter in self.attendance.opened(&opened) {
                let _ = waiter.send(());
            }
        }
        self.state.send_modify(|state| {
            state.trouble = None;
            state.settled_at = Instant::now()
                + if self.generation > 1 {
                    SETTLING
                } else {
                    Duration::ZERO
                };
        });
        Ok(connection)
    }

    /// Agrees with other relays on the keys of today and tomorrow, unless that is done.
    async fn share_keys(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let [today, tomorrow] = rulings::days(self.clock.now());
        for day in [today, tomorrow] {
            if self.agreed.contains(&day) {
                continue;
            }
            // What was agreed on is said again to a Redis that has lost it.
            let ours = self.days.get(&day).cloned();
            let ours = ours.unwrap_or_else(|| DayKey::random(&mut rand::rng()));
            let key = rulings::agree(connection, &self.keys, day, ours).await?;
            self.agreed.insert(day);
            self.days.insert(day, key.clone());
            self.feed.hear(News::Key(day, key)).await;
        }
        self.days.retain(|&day, _| day >= today);
        self.agreed.retain(|&day| day >= today);
        let key = self.days.get(&today);
        self.state.send_if_modified(|state| {
            let is_new = state.key.as_ref() != key;
            state.key = key.cloned();
            is_new
        });
        Ok(())
    }

    /// Learns which sessions other relays have taken over while this one could not be asked.
    async fn find_lost(&self, connection: &mut Connection) -> RedisResult<()> {
        let own = self.feed.own_sessions().await;
        let mut claimed = Vec::new();
        for sessions in own.chunks(SESSIONS) {
            let ask = |&(key, _): &(SessionKey, Stamp)| {
                let mut command = redis::cmd("GETRANGE");
                command.arg(self.keys.session(key));
                command.arg(0).arg(Claim::CHARS - 1);
                (Keys::of_session(key), command)
            };
            let answers = connection
                .run_all(sessions.iter().map(ask).collect())
                .await?;
            for (&(key, _), answer) in sessions.iter().zip(answers) {
                let claim = String::from_redis_value(answer)?;
                let claim = Claim::parse(&claim).map(|(claim, _)| (key, claim));
                claimed.extend(claim.filter(|(_, claim)| claim.node != self.node));
            }
        }
        self.feed.hear(News::Claimed(claimed)).await;
        Ok(())
    }

    /// Has Redis forget whom it knows to be here: who has left while it was away is told to nobody, and
    /// who has not is told of anew.
    async fn withdraw_people(&self, connection: &mut Connection) -> RedisResult<()> {
        let forget = |region: Region| {
            let mut command = redis::cmd("DEL");
            command.arg(self.keys.people(region, self.node));
            (Keys::of_region(region), command)
        };
        let regions = self.attendance.all().into_iter();
        let commands = regions.map(forget).collect();
        connection.run_all(commands).await.map(drop)
    }

    /// Serves until the connection is of no use any more; the answer says why.
    async fn serve(
        &mut self,
        mut connection: Connection,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Reason {
        let mut opening: FuturesUnordered<Opening> = FuturesUnordered::new();
        let period = self.settings.lease / BEATS;
        // Others may only now find out that Redis has forgotten them, and have to connect again.
        self.judges_from = Instant::now() + period * 3 / 2;
        let mut beats = interval_at(Instant::now() + period, period);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Others may have told Redis of their people only after this relay has read it.
        let mut review_at = Some(Instant::now() + SETTLING);
        loop {
            let to_open = tokio::select! {
                order = orders.recv() => match order {
                    None => return "the relay ends".into(),
                    Some(Order::Broken { generation, reason })
                        if generation == self.generation || generation == u64::MAX =>
                    {
                        return reason.into();
                    }
                    Some(Order::Unheard { generation, region })
                        if generation == self.generation && !self.has_closed(region) =>
                    {
                        return pump::MOVED_AWAY.into();
                    }
                    Some(order) => self.take(order),
                },
                Some(opened) = opening.next(), if !opening.is_empty() => {
                    match opened {
                        Ok(regions) => for waiter in self.attendance.opened(&regions) {
                            // Whoever has waited may have given up.
                            let _ = waiter.send(());
                        },
                        Err(error) => return say(error),
                    }
                    Vec::new()
                }
                _ = beats.tick() => {
                    if let Err(reason) = self.beat(&mut connection, false).await {
                        return reason;
                    }
                    if let Err(error) = self.close_idle(&mut connection).await {
                        return say(error);
                    }
                    Vec::new()
                }
                () = sleep_until(review_at.unwrap_or_else(Instant::now)), if review_at.is_some() => {
                    review_at = None;
                    if let Err(error) = self.review(&mut connection).await {
                        return say(error);
                    }
                    Vec::new()
                }
            };
            if !to_open.is_empty() {
                opening.push(Box::pin(open(
                    connection.clone(),
                    self.keys.clone(),
                    self.node,
                    self.feed.clone(),
                    to_open,
                )));
            }
        }
    }

    /// Notes an order; which regions are to be opened now.
    fn take(&mut self, order: Order) -> Vec<Region> {
        match order {
            Order::Attend(regions, waiter) => {
                let now = self.clock.now();
                let (to_open, ready) = self.attendance.attend(regions, waiter, now);
                if let Some(waiter) = ready {
                    let _ = waiter.send(());
                }
                to_open
            }
            Order::Need(region) => {
                if self.attendance.need(region) {
                    vec![region]
                } else {
                    Vec::new()
                }
            }
            Order::Neglect(region) => {
                self.attendance.neglect(region, self.clock.now());
                Vec::new()
            }
            Order::Unheard { .. } | Order::Broken { .. } => Vec::new(),
        }
    }

    /// Whether it is this relay that has ended a subscription to a region. Each counts once.
    fn has_closed(&mut self, region: Region) -> bool {
        let Some(count) = self.closing.get_mut(&region) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            self.closing.remove(&region);
        }
        true
    }

    /// Waits without a connection. Nobody else has to.
    async fn wait(&mut self, time: Duration, orders: &mut mpsc::Receiver<Order>) {
        let until = Instant::now() + time;
        drop(self.attendance.give_up());
        if self.clock.now().since(self.beaten_at) >= self.settings.lease {
            // To others this relay is gone now, and they are to it.
            let news = News::Alive(Vec::new(), self.clock.now());
            self.feed.hear(news).await;
        }
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                order = orders.recv() => match order {
                    None => return,
                    // Dropping who waits lets them go on.
                    Some(Order::Attend(..) | Order::Unheard { .. } | Order::Broken { .. }) => {}
                    Some(order) => drop(self.take(order)),
                }
            }
        }
    }

    /// Gives a sign of life, and looks for those of others.
    async fn beat(&mut self, connection: &mut Connection, first: bool) -> Result<(), Reason> {
        let asked_at = self.clock.now();
        let lease = millis(self.settings.lease);
        let own = Sign {
            turn: self.settings.turn.clone(),
        };
        let own = serde_json::to_string(&own).map_err(|_| "its sign can't be written")?;
        let mut sign = redis::cmd("SET");
        sign.arg(self.keys.lease(self.node))
            .arg(own)
            .arg("GET")
            .arg("PX")
            .arg(lease);
        let before: Option<String> = connection.run(&sign).await.map_err(say)?;
        if before.is_none() && !first {
            // Others have taken this relay for dead, or Redis has lost its memory.
            return Err("Redis had forgotten this relay".into());
        }
        let mut add = eval(scripts::ADD, [self.keys.nodes()]);
        add.arg(self.node.to_string()).arg(2 * lease);
        let mut commands = vec![(Keys::OF_NODES, add)];
        for region in self.attendance.open() {
            let mut people = redis::cmd("PEXPIRE");
            people
                .arg(self.keys.people(region, self.node))
                .arg(2 * lease);
            commands.push((Keys::of_region(region), people));
        }
        connection.run_all(commands).await.map_err(say)?;
        let nodes = snapshot::nodes(connection, &self.keys).await.map_err(say)?;
        let mut signs = redis::cmd("MGET");
        for &node in &nodes {
            signs.arg(self.keys.lease(node));
        }
        let signs: Vec<Option<String>> = connection.run(&signs).await.map_err(say)?;
        let (alive, dead): (Vec<_>, Vec<_>) = nodes
            .into_iter()
            .zip(signs)
            .partition(|(_, sign)| sign.is_some());
        if !dead.is_empty() {
            let mut remove = redis::cmd("SREM");
            remove.arg(self.keys.nodes());
            for (node, _) in dead {
                remove.arg(node.to_string());
            }
            let _: u64 = connection.run(&remove).await.map_err(say)?;
        }
        self.beaten_at = asked_at;
        let servers = alive.iter().filter_map(|(node, sign)| {
            // A relay of another version may say something else.
            let sign: Sign = serde_json::from_str(sign.as_ref()?).ok()?;
            Some((*node, sign.turn?))
        });
        let others = servers.filter(|(node, _)| *node != self.node);
        self.feed.hear(News::TurnServers(others.collect())).await;
        if !first {
            self.share_keys(connection).await.map_err(say)?;
        }
        if !first && Instant::now() >= self.judges_from {
            let alive = alive.into_iter().map(|(node, _)| node).collect();
            self.feed.hear(News::Alive(alive, asked_at)).await;
        }
        Ok(())
    }

    /// Closes regions that nobody has needed for a while.
    async fn close_idle(&mut self, connection: &mut Connection) -> RedisResult<()> {
        let closed = self.attendance.due(self.clock.now());
        if closed.is_empty() {
            return Ok(());
        }
        for &region in &closed {
            *self.closing.entry(region).or_default() += 1;
        }
        let channel = |&region: &Region| {
            let channel = self.keys.region_channel(region);
            (Keys::of_region(region), channel)
        };
        connection
            .unsubscribe(closed.iter().map(channel).collect())
            .await?;
        for region in closed {
            self.feed.hear(News::Forget(region)).await;
        }
        Ok(())
    }

    /// Reads every region once more; whoever is not there is gone.
    async fn review(&mut self, connection: &mut Connection) -> RedisResult<()> {
        for regions in self.attendance.open().chunks(REGIONS) {
            let asked_at = Some(self.clock.now());
            let news = snapshot::read_regions(connection, &self.keys, self.node, regions, asked_at)
                .await?;
            for news in news {
                self.feed.hear(news).await;
            }
        }
        Ok(())
    }
}

/// Subscribes to regions, and only then reads what is in them, so that nothing falls in between.
async fn open(
    mut connection: Connection,
    keys: Keys,
    node: NodeId,
    feed: Feed,
    regions: Vec<Region>,
) -> RedisResult<Vec<Region>> {
    let channel = |&region: &Region| (Keys::of_region(region), keys.region_channel(region));
    connection
        .subscribe(regions.iter().map(channel).collect())
        .await?;
    let news = snapshot::read_regions(&mut connection, &keys, node, &regions, None).await?;
    for news in news {
        feed.hear(news).await;
    }
    Ok(regions)
}

/// An error for people. It names no key, as those of Redis don't.
fn say(error: RedisError) -> Reason {
    if error.is_timeout() {
        return "Redis does not answer in time".into();
    }
    if error.is_io_error() || error.is_connection_dropped() || error.is_connection_refusal() {
        return "Redis can't be reached".into();
    }
    match error.code() {
        Some(code) => format!("Redis answers {code}"),
        None => "Redis does not answer as it should".into(),
    }
}
