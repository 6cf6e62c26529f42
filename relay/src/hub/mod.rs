//! The actor that owns the [`Room`]: others send it what has happened.

mod elsewhere;
mod feed;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use neartalk_shared::{
    ApiError, ClientFrame, ErrorCode, MessageId, PeerId, SessionId, Spot, Timestamp, Username,
    frame::Locate,
    http::{CreateSession, CreatedSession, ErrorBody, LocationUpdated, Nearby, UsernameChanged},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

use crate::{
    address::AddressKey,
    clock::Clock,
    database::{Record, Records},
    metrics::Metrics,
    moderation::bans::{Ban, BannedBy},
    room::{
        Attachment, Refusal, Room,
        link::{CloseCode, Link},
        wheel::STEP,
    },
    socket::SocketLink,
    store::{
        News, Storage,
        region::Region,
        wire::{NodeId, Reply, Request, SessionKey, SessionRecord, Stamp},
    },
    wake::WakeQueue,
};

use elsewhere::out_of_reach;
pub use feed::Feed;

/// Inputs that may wait for the room; beyond it whoever sends one waits.
const QUEUE: usize = 4_096;

/// Inputs that are handled in one go, so that what they cause leaves in few writes.
const BATCH: usize = 256;

/// How often the latency histogram is folded: what it holds by then should not take a millisecond.
const UPKEEP_TICKS: u32 = 5;

type Answer<T> = oneshot::Sender<Result<T, ApiError>>;

/// Something that is to be done with the room.
type Task = Box<dyn FnOnce(&mut Room<SocketLink>, Timestamp) + Send>;

enum Input {
    Create(
        CreateSession,
        AddressKey,
        oneshot::Sender<Result<CreatedSession, ErrorBody>>,
    ),
    Rename(SessionId, Username, Answer<UsernameChanged>),
    Locate(SessionId, Locate, Answer<LocationUpdated>),
    JudgeLocation(SessionId, Locate, Answer<Spot>),
    SettleLocation(SessionId, Spot, Answer<LocationUpdated>),
    Nearby(SessionId, Answer<Nearby>),
    Hello {
        session_id: SessionId,
        protocol: u32,
        address: AddressKey,
        link: SocketLink,
        reply: oneshot::Sender<Result<Attachment, Refusal>>,
    },
    Frame(Attachment, ClientFrame, Instant),
    Refuse(Attachment, ApiError, Option<MessageId>),
    Disconnect {
        from: Attachment,
        left: bool,
    },
    CloseAll(CloseCode),
    Task(Task),
    /// The rest is between relays.
    News(Box<News>),
    MayArrive(Attachment, Locate, oneshot::Sender<Option<Spot>>),
    Arrive(Attachment, Spot),
    Knows(SessionId, oneshot::Sender<bool>),
    Adopt(SessionId, Box<SessionRecord>, oneshot::Sender<()>),
    Release(SessionKey, NodeId, oneshot::Sender<Option<SessionRecord>>),
    IdOf(SessionKey, oneshot::Sender<Option<SessionId>>),
    OwnSessions(oneshot::Sender<Vec<(SessionKey, Stamp)>>),
    Republish(Vec<Region>, oneshot::Sender<Vec<Region>>),
    HandOver(oneshot::Sender<()>),
}

/// A handle to the hub, for everyone who has something to say to it.
#[derive(Clone, Debug)]
pub struct Hub {
    inputs: mpsc::Sender<Input>,
    storage: Arc<dyn Storage>,
}

impl Hub {
    /// Starts the actor. It ends when the last handle is gone.
    ///
    /// It has a thread to itself: among the tasks of a thousand busy sockets it would wait for its
    /// turn, and everyone waits for it.
    ///
    /// `storage` makes what is behind the room, and may be given a room that nobody is in yet.
    pub fn spawn(
        mut room: Room<SocketLink>,
        clock: Clock,
        metrics: Arc<Metrics>,
        records: Option<Records>,
        wakes: WakeQueue,
        storage: impl FnOnce(Feed) -> Arc<dyn Storage>,
    ) -> std::io::Result<Self> {
        let (inputs, receiver) = mpsc::channel(QUEUE);
        let storage = storage(Feed {
            inputs: inputs.downgrade(),
        });
        if let Some(node) = storage.node() {
            room.share(node);
        }
        let written = Arc::clone(&storage);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        std::thread::Builder::new()
            .name("hub".into())
            .spawn(move || {
                runtime.block_on(run(
                    room, receiver, clock, metrics, records, wakes, &*written,
                ))
            })?;
        Ok(Self { inputs, storage })
    }

    /// What is behind the room.
    pub fn storage(&self) -> &dyn Storage {
        &*self.storage
    }

    /// See [`Room::admit`] and [`Room::create_session`].
    pub async fn create_session(
        &self,
        create: CreateSession,
        address: AddressKey,
    ) -> Result<CreatedSession, ErrorBody> {
        let created = self
            .request(|reply| Input::Create(create, address, reply))
            .await
            .unwrap_or_else(|| Err(shutting_down().into()))?;
        if self.storage.node().is_some() {
            // The client's next request may go to another relay.
            self.flush().await;
        }
        Ok(created)
    }

    /// Does something with the room, for what is too rare to have a name here.
    pub async fn with<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Room<SocketLink>, Timestamp) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        let task = Box::new(move |room: &mut Room<SocketLink>, now| {
            // Whoever asked may be gone.
            let _ = reply.send(task(room, now));
        });
        self.send(Input::Task(task)).await;
        answer.await.map_err(|_| shutting_down())
    }

    /// See [`Room::ban_peer`]; on whichever relay they are.
    pub async fn ban(&self, peer_id: PeerId, time: Duration) -> Result<Option<Ban>, ApiError> {
        let ban = self.ban_here(peer_id, time).await?;
        match ban {
            None => Ok(self.storage.ban_elsewhere(peer_id, time).await),
            ban => Ok(ban),
        }
    }

    async fn ban_here(&self, peer_id: PeerId, time: Duration) -> Result<Option<Ban>, ApiError> {
        self.with(move |room, now| room.ban_peer(&peer_id, BannedBy::Operator, time, now))
            .await
    }

    /// See [`Room::change_username`].
    pub async fn change_username(
        &self,
        id: SessionId,
        username: Username,
    ) -> Result<UsernameChanged, ApiError> {
        let request = Request::Rename {
            username: username.clone(),
        };
        match self.elsewhere(&id, request).await? {
            Some(Reply::Renamed(renamed)) => renamed,
            Some(_) => Err(out_of_reach()),
            None => {
                let renamed = self.ask(|reply| Input::Rename(id, username, reply)).await;
                if self.storage.node().is_some() {
                    // As for those who change it over their socket.
                    self.flush().await;
                }
                renamed
            }
        }
    }

    /// See [`Room::update_location`].
    pub async fn update_location(
        &self,
        id: SessionId,
        locate: Locate,
    ) -> Result<LocationUpdated, ApiError> {
        if self.storage.node().is_none() {
            return self.ask(|reply| Input::Locate(id, locate, reply)).await;
        }
        match self.elsewhere(&id, Request::Locate { locate }).await? {
            Some(Reply::Located(located)) => located,
            Some(_) => Err(out_of_reach()),
            None => self.update_location_here(id, locate).await,
        }
    }

    /// See [`Room::nearby`].
    pub async fn nearby(&self, id: SessionId) -> Result<Nearby, ApiError> {
        match self.elsewhere(&id, Request::Nearby).await? {
            Some(Reply::Nearby(nearby)) => nearby,
            Some(_) => Err(out_of_reach()),
            None => self.ask(|reply| Input::Nearby(id, reply)).await,
        }
    }

    /// See [`Room::hello`].
    pub async fn hello(
        &self,
        session_id: SessionId,
        protocol: u32,
        address: AddressKey,
        link: SocketLink,
    ) -> Result<Attachment, Refusal> {
        if let Err(error) = self.fetch(&session_id).await {
            let code = CloseCode::GoingAway;
            return Err(Refusal { error, code });
        }
        let (reply, answer) = oneshot::channel();
        self.send(Input::Hello {
            session_id,
            protocol,
            address,
            link,
            reply,
        })
        .await;
        answer.await.unwrap_or_else(|_| {
            Err(Refusal {
                error: shutting_down(),
                code: CloseCode::GoingAway,
            })
        })
    }

    /// See [`Room::handle`].
    pub async fn frame(&self, from: Attachment, frame: ClientFrame, heard_at: Instant) {
        match frame {
            ClientFrame::Locate(locate) if self.storage.node().is_some() => {
                // This connection's later frames wait until it is there.
                let judged = self.request(|reply| Input::MayArrive(from, locate, reply));
                if let Some(spot) = judged.await.flatten() {
                    self.attend(&spot).await;
                    self.send(Input::Arrive(from, spot)).await;
                }
            }
            ClientFrame::Rename { username } if self.storage.node().is_some() => {
                let renamed = self.with(move |room, _| room.rename_client(from, username));
                if let Ok(Some(answer)) = renamed.await {
                    // Whoever kills this relay now does not give the change back.
                    self.flush().await;
                    // Without a room there is nobody to be told.
                    let _ = self.with(move |room, _| room.answer(from, &answer)).await;
                }
            }
            frame => self.send(Input::Frame(from, frame, heard_at)).await,
        }
    }

    /// See [`Room::refuse`].
    pub async fn refuse(&self, from: Attachment, error: ApiError, reference: Option<MessageId>) {
        self.send(Input::Refuse(from, error, reference)).await;
    }

    /// See [`Room::disconnect`].
    pub async fn disconnect(&self, from: Attachment, left: bool) {
        self.send(Input::Disconnect { from, left }).await;
    }

    /// See [`Room::close_all`].
    pub async fn close_all(&self, code: CloseCode) {
        self.send(Input::CloseAll(code)).await;
    }

    /// Waits until the store has what has happened before this, or a moment has passed.
    pub async fn flush(&self) {
        self.request(Input::HandOver).await;
        self.storage.flush().await;
    }

    /// Waits for the end of the actor, which comes before that of the last handle only when it has
    /// panicked.
    pub async fn ended(&self) {
        self.inputs.closed().await;
    }

    async fn ask<T>(&self, input: impl FnOnce(Answer<T>) -> Input) -> Result<T, ApiError> {
        self.request(input)
            .await
            .unwrap_or_else(|| Err(shutting_down()))
    }

    /// An answer of the room; none when that has ended.
    async fn request<T>(&self, input: impl FnOnce(oneshot::Sender<T>) -> Input) -> Option<T> {
        request(&self.inputs, input).await
    }

    async fn send(&self, input: Input) {
        // It fails only when the actor has ended, and then there is nobody left to tell.
        let _ = self.inputs.send(input).await;
    }
}

async fn request<T>(
    inputs: &mpsc::Sender<Input>,
    input: impl FnOnce(oneshot::Sender<T>) -> Input,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    inputs.send(input(reply)).await.ok()?;
    answer.await.ok()
}

fn shutting_down() -> ApiError {
    ApiError::new(
        ErrorCode::Unavailable,
        "The relay is shutting down; try again in a moment.",
    )
}

async fn run(
    mut room: Room<SocketLink>,
    mut inputs: mpsc::Receiver<Input>,
    clock: Clock,
    metrics: Arc<Metrics>,
    mut records: Option<Records>,
    wakes: WakeQueue,
    storage: &dyn Storage,
) {
    if records.is_some() {
        room.keep_figures(clock.now());
    }
    let mut ticks = tokio::time::interval(STEP);
    // One that is late must not make all that follow late.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut since_upkeep = 0;
    let mut batch = Vec::with_capacity(BATCH);
    let mut closing = None;
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {
                let started = Instant::now();
                let now = clock.now();
                room.tick(now);
                wakes.flush();
                keep(room.take_records(false, now), records.as_ref());
                store(&mut room, storage, now);
                if started.elapsed() > Duration::from_millis(200) {
                    tracing::warn!(ms = started.elapsed().as_millis() as u64, "a slow tick");
                }
                since_upkeep += 1;
                if since_upkeep >= UPKEEP_TICKS {
                    since_upkeep = 0;
                    metrics.upkeep();
                }
            }
            n = inputs.recv_many(&mut batch, BATCH) => {
                if n == 0 {
                    return;
                }
                let now = clock.now();
                for input in batch.drain(..) {
                    handle(&mut room, input, now, &mut closing, storage);
                    wakes.flush();
                }
                store(&mut room, storage, now);
                if closing.is_some() && let Some(records) = records.take() {
                    // Whoever takes them knows by the end of the queue that these are the last.
                    keep(room.take_records(true, now), Some(&records));
                }
            }
        }
    }
}

/// Hands to the store what the room has for it.
fn store(room: &mut Room<SocketLink>, storage: &dyn Storage, now: Timestamp) {
    let changes = room.take_changes(now);
    if !changes.is_empty() {
        storage.apply(changes);
    }
}

fn keep(new: Vec<Record>, records: Option<&Records>) {
    for record in new {
        if let Some(records) = records {
            records.keep(record);
        }
    }
}

fn handle(
    room: &mut Room<SocketLink>,
    input: Input,
    now: Timestamp,
    closing: &mut Option<CloseCode>,
    storage: &dyn Storage,
) {
    // Whoever asked may be gone by the time of the answer; that is their loss.
    match input {
        Input::Create(CreateSession { username, proof }, address, reply) => {
            let created = room
                .admit(address, proof.as_ref(), now)
                .and_then(|origin| Ok(room.create_session(username, origin, now)?));
            drop(reply.send(created));
        }
        Input::Task(task) => task(room, now),
        Input::Rename(id, name, reply) => drop(reply.send(room.change_username(&id, name, now))),
        Input::Locate(id, locate, reply) => {
            drop(reply.send(room.update_location(&id, locate, now)));
        }
        Input::JudgeLocation(id, locate, reply) => {
            drop(reply.send(room.judge_location(&id, locate, now)));
        }
        Input::SettleLocation(id, spot, reply) => {
            drop(reply.send(room.settle_location(&id, spot, now)));
        }
        Input::Nearby(id, reply) => drop(reply.send(room.nearby(&id, now))),
        Input::Hello {
            session_id,
            protocol,
            address,
            mut link,
            reply,
        } => {
            let outcome = if let Some(code) = *closing {
                // The socket was opened while the others were being closed.
                link.close(code);
                Err(Refusal {
                    error: shutting_down(),
                    code,
                })
            } else {
                room.hello(&session_id, protocol, address, link, now)
                    .map_err(|(refusal, _)| refusal)
            };
            drop(reply.send(outcome));
        }
        Input::Frame(from, frame, heard_at) => room.handle(from, frame, Some(heard_at), now),
        Input::Refuse(from, error, reference) => room.refuse(from, error, reference),
        Input::Disconnect { from, left } => room.disconnect(from, left, now),
        Input::CloseAll(code) => {
            *closing = Some(code);
            room.close_all(code);
        }
        Input::News(news) => room.hear(*news, now),
        Input::MayArrive(from, locate, reply) => {
            let _ = reply.send(room.may_arrive(from, locate, now));
        }
        Input::Arrive(from, spot) => room.arrive(from, spot, now),
        Input::Knows(id, reply) => drop(reply.send(room.knows(&id, now))),
        Input::Adopt(id, record, reply) => {
            room.adopt(id, *record, now);
            let _ = reply.send(());
        }
        Input::Release(key, to, reply) => drop(reply.send(room.release(key, to, now))),
        Input::IdOf(key, reply) => drop(reply.send(room.id_of(key, now))),
        Input::OwnSessions(reply) => drop(reply.send(room.own_sessions())),
        Input::HandOver(reply) => {
            store(room, storage, now);
            let _ = reply.send(());
        }
        Input::Republish(known, reply) => {
            let regions = room.republish(&known, now);
            store(room, storage, now);
            drop(reply.send(regions));
        }
    }
}
