//! The actor that owns the [`Room`]: others send it what has happened.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use neartalk_shared::{
    ApiError, ClientFrame, ErrorCode, MessageId, SessionId, Username,
    frame::Locate,
    http::{CreatedSession, LocationUpdated, Nearby, UsernameChanged},
    limits::PRESENCE_TICK,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::MissedTickBehavior,
};

use crate::{
    clock::Clock,
    metrics::Metrics,
    room::{
        Attachment, Refusal, Room,
        link::{CloseCode, Link},
    },
    socket::SocketLink,
};

/// Inputs that may wait for the room; beyond it whoever sends one waits.
const QUEUE: usize = 4_096;

/// Inputs that are handled in one go, so that what they cause leaves in few writes.
const BATCH: usize = 256;

/// How often the latency histogram is folded.
const UPKEEP_TICKS: u32 = 5;

type Reply<T> = oneshot::Sender<Result<T, ApiError>>;

enum Input {
    Create(Option<Username>, Reply<CreatedSession>),
    Rename(SessionId, Username, Reply<UsernameChanged>),
    Locate(SessionId, Locate, Reply<LocationUpdated>),
    Nearby(SessionId, Reply<Nearby>),
    Hello {
        session_id: SessionId,
        protocol: u32,
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
}

/// A handle to the hub, for everyone who has something to say to it.
#[derive(Clone, Debug)]
pub struct Hub {
    inputs: mpsc::Sender<Input>,
}

impl Hub {
    /// Starts the actor. It ends when the last handle is gone.
    ///
    /// It has a thread to itself: among the tasks of a thousand busy sockets it would wait for its
    /// turn, and everyone waits for it.
    pub fn spawn(
        room: Room<SocketLink>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<Self> {
        let (inputs, receiver) = mpsc::channel(QUEUE);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        std::thread::Builder::new()
            .name("hub".into())
            .spawn(move || runtime.block_on(run(room, receiver, clock, metrics)))?;
        Ok(Self { inputs })
    }

    /// See [`Room::create_session`].
    pub async fn create_session(
        &self,
        username: Option<Username>,
    ) -> Result<CreatedSession, ApiError> {
        self.ask(|reply| Input::Create(username, reply)).await
    }

    /// See [`Room::change_username`].
    pub async fn change_username(
        &self,
        id: SessionId,
        username: Username,
    ) -> Result<UsernameChanged, ApiError> {
        self.ask(|reply| Input::Rename(id, username, reply)).await
    }

    /// See [`Room::update_location`].
    pub async fn update_location(
        &self,
        id: SessionId,
        locate: Locate,
    ) -> Result<LocationUpdated, ApiError> {
        self.ask(|reply| Input::Locate(id, locate, reply)).await
    }

    /// See [`Room::nearby`].
    pub async fn nearby(&self, id: SessionId) -> Result<Nearby, ApiError> {
        self.ask(|reply| Input::Nearby(id, reply)).await
    }

    /// See [`Room::hello`].
    pub async fn hello(
        &self,
        session_id: SessionId,
        protocol: u32,
        link: SocketLink,
    ) -> Result<Attachment, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Hello {
            session_id,
            protocol,
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
        self.send(Input::Frame(from, frame, heard_at)).await;
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

    /// Waits for the end of the actor, which comes before that of the last handle only when it has
    /// panicked.
    pub async fn ended(&self) {
        self.inputs.closed().await;
    }

    async fn ask<T>(&self, input: impl FnOnce(Reply<T>) -> Input) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.send(input(reply)).await;
        answer.await.unwrap_or_else(|_| Err(shutting_down()))
    }

    async fn send(&self, input: Input) {
        // It fails only when the actor has ended, and then there is nobody left to tell.
        let _ = self.inputs.send(input).await;
    }
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
) {
    let mut ticks = tokio::time::interval(PRESENCE_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since_upkeep = 0;
    let mut batch = Vec::with_capacity(BATCH);
    let mut closing = None;
    loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {
                let started = Instant::now();
                room.tick(clock.now());
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
                    handle(&mut room, input, now, &mut closing);
                }
            }
        }
    }
}

fn handle(
    room: &mut Room<SocketLink>,
    input: Input,
    now: neartalk_shared::Timestamp,
    closing: &mut Option<CloseCode>,
) {
    // Whoever asked may be gone by the time of the answer; that is their loss.
    match input {
        Input::Create(username, reply) => drop(reply.send(room.create_session(username, now))),
        Input::Rename(id, name, reply) => drop(reply.send(room.change_username(&id, name, now))),
        Input::Locate(id, locate, reply) => {
            drop(reply.send(room.update_location(&id, locate, now)));
        }
        Input::Nearby(id, reply) => drop(reply.send(room.nearby(&id, now))),
        Input::Hello {
            session_id,
            protocol,
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
                room.hello(&session_id, protocol, link, now)
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
    }
}
