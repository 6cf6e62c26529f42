//! `GET /ws`: one task per connection. It parses each frame once, hands it to the hub, and writes
//! whatever has queued up for its client in one flush.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt};
use neartalk_shared::{ApiError, ClientFrame, ErrorCode, ServerFrame, limits};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant as TokioInstant, sleep_until, timeout},
};
use tungstenite::error::CapacityError;

use crate::{
    address::AddressKey,
    hub::Hub,
    metrics::EdgeMetrics,
    room::{
        Attachment,
        link::{CloseCode, Frame, Link},
    },
    server::Lifetime,
    wake::{Sleeper, WakeQueue},
};

/// Frames that may wait for one reader. In the densest crowd this is several seconds' worth; a
/// reader that is further behind is closed.
const QUEUE: usize = 1_024;

/// Bytes that may wait for one reader, whatever they are made of.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// Frames that are written before one flush.
const BATCH: usize = 128;

/// Frames that there is room for between two batches.
const SPARE: usize = 4;

/// A flush that takes longer than this means that the client has stopped reading.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(30);

/// How long the closing handshake may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

/// Frames a second that are read from one client …
const FRAMES_PER_SECOND: u32 = 100;
/// … after a burst of so many. Above that, reading pauses, and TCP holds the sender back.
const FRAMES_BURST: u32 = 400;

/// The room's end of a connection.
#[derive(Debug)]
pub struct SocketLink {
    frames: mpsc::Sender<Arc<Frame>>,
    close: Option<oneshot::Sender<CloseCode>>,
    /// Bytes in `frames`; the other end takes off what it takes out.
    queued: Arc<AtomicUsize>,
    queue_drops: metrics::Counter,
    sleeper: Arc<Sleeper>,
    wakes: WakeQueue,
}

/// The connection's end of a [`SocketLink`].
struct Outbound {
    frames: mpsc::Receiver<Arc<Frame>>,
    close: oneshot::Receiver<CloseCode>,
    queued: Arc<AtomicUsize>,
    /// Marked when there is something in `frames`.
    sleeper: Arc<Sleeper>,
}

impl Outbound {
    /// Takes out what waits, or as much as should be written before one flush.
    fn take(&mut self, batch: &mut Vec<Arc<Frame>>) {
        while let Ok(frame) = self.frames.try_recv() {
            batch.push(frame);
            if batch.len() >= BATCH {
                self.sleeper.remind();
                return;
            }
        }
    }
}

impl SocketLink {
    fn new(metrics: &EdgeMetrics, wakes: &WakeQueue) -> (Self, Outbound) {
        let (frames, receiver) = mpsc::channel(QUEUE);
        let (close, closed) = oneshot::channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let sleeper = Arc::new(Sleeper::default());
        let link = Self {
            frames,
            close: Some(close),
            queued: Arc::clone(&queued),
            queue_drops: metrics.queue_drops.clone(),
            sleeper: Arc::clone(&sleeper),
            wakes: wakes.clone(),
        };
        (
            link,
            Outbound {
                frames: receiver,
                close: closed,
                queued,
                sleeper,
            },
        )
    }

    /// Closes the connection of a reader that is too far behind.
    fn give_up(&mut self) -> bool {
        if self.close.is_some() {
            self.queue_drops.increment(1);
        }
        self.close(CloseCode::TooSlow);
        false
    }
}

impl Link for SocketLink {
    fn send(&mut self, frame: &Arc<Frame>) -> bool {
        let size = frame.json.len();
        let waiting = self.queued.fetch_add(size, Ordering::Relaxed);
        // One frame larger than all of this, a long list of people, still fits an empty queue.
        if waiting > 0 && waiting + size > QUEUE_BYTES {
            return self.give_up();
        }
        match self.frames.try_send(Arc::clone(frame)) {
            Ok(()) => {
                self.wakes.mark(&self.sleeper);
                true
            }
            Err(mpsc::error::TrySendError::Full(_)) => self.give_up(),
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    fn close(&mut self, code: CloseCode) {
        if let Some(close) = self.close.take() {
            // It fails only when the connection is gone already.
            let _ = close.send(code);
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client said goodbye with code 1000.
    Left,
    /// The connection broke, or the client closed it for another reason.
    Gone,
    /// The relay closes it.
    Close(CloseCode),
}

/// Serves one connection from its upgrade to its end.
pub async fn serve(
    mut socket: WebSocket,
    address: AddressKey,
    hub: Hub,
    metrics: &EdgeMetrics,
    wakes: &WakeQueue,
    lifetime: &Lifetime,
) {
    let (link, outbound) = SocketLink::new(metrics, wakes);
    let greeted = tokio::select! {
        greeted = greet(&mut socket, address, &hub, link) => greeted,
        () = lifetime.ended() => Err(End::Close(CloseCode::GoingAway)),
    };
    let end = match greeted {
        Err(end) => end,
        Ok(attachment) => {
            let mut connection = Connection {
                socket: &mut socket,
                hub: &hub,
                metrics,
                attachment,
                outbound,
                unread: None,
            };
            let end = connection.run().await;
            hub.disconnect(attachment, end == End::Left).await;
            end
        }
    };
    match end {
        End::Close(code) => say_goodbye(&mut socket, code).await,
        // The answer to the client's close, if it sent one, waits to be written.
        End::Left | End::Gone => {
            let _ = timeout(CLOSE_TIMEOUT, socket.flush()).await;
        }
    }
}

/// Waits for `hello`, which must be the first frame, and attaches the session.
async fn greet(
    socket: &mut WebSocket,
    address: AddressKey,
    hub: &Hub,
    link: SocketLink,
) -> Result<Attachment, End> {
    let deadline = TokioInstant::now() + limits::HELLO_TIMEOUT;
    let text = loop {
        let message = tokio::time::timeout_at(deadline, socket.next()).await;
        match message.map_err(|_| End::Close(CloseCode::Timeout))? {
            Some(Ok(Message::Text(text))) => break text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            other => return Err(end_of(other)),
        }
    };
    let (error, code) = match ClientFrame::parse(&text) {
        Ok(ClientFrame::Hello {
            session_id,
            protocol,
        }) => match hub.hello(session_id, protocol, address, link).await {
            Ok(attachment) => return Ok(attachment),
            Err(refusal) => (refusal.error, refusal.code),
        },
        Ok(_) => {
            let error = ApiError::new(ErrorCode::InvalidFrame, "Say hello first.");
            (error, CloseCode::UnsupportedProtocol)
        }
        Err(e) if e.error.code == ErrorCode::Unauthorized => (e.error, CloseCode::Unauthorized),
        Err(e) => (e.error, CloseCode::UnsupportedProtocol),
    };
    let frame = ServerFrame::Error {
        error,
        reference: None,
    };
    let send = socket.send(Message::Text(frame.to_json().into()));
    // If the client does not take it, the close code says it, too.
    let _ = timeout(CLOSE_TIMEOUT, send).await;
    Err(End::Close(code))
}

struct Connection<'a> {
    socket: &'a mut WebSocket,
    hub: &'a Hub,
    metrics: &'a EdgeMetrics,
    attachment: Attachment,
    outbound: Outbound,
    /// Set while reading pauses: until when.
    unread: Option<TokioInstant>,
}

impl Connection<'_> {
    async fn run(&mut self) -> End {
        let mut batch: Vec<Arc<Frame>> = Vec::new();
        let mut heard_at = TokioInstant::now();
        let mut ping_at = heard_at + limits::PING_INTERVAL;
        let mut inflow = Inflow::new(heard_at);
        let timer = sleep_until(ping_at);
        tokio::pin!(timer);
        loop {
            let idle_at = heard_at + limits::IDLE_TIMEOUT;
            let wake_at = self.unread.unwrap_or(ping_at).min(ping_at).min(idle_at);
            // That it goes off too early now and then costs less than to set it anew each time.
            if wake_at < timer.deadline() || timer.is_elapsed() {
                timer.as_mut().reset(wake_at);
            }
            tokio::select! {
                code = &mut self.outbound.close => {
                    // Without a code the session is gone, and its link with it.
                    let code = code.unwrap_or(CloseCode::Unauthorized);
                    if code != CloseCode::TooSlow {
                        self.drain(&mut batch).await;
                    }
                    return End::Close(code);
                }
                () = self.outbound.sleeper.marked() => {
                    self.outbound.take(&mut batch);
                    if !batch.is_empty()
                        && let Err(end) = self.write(&mut batch).await
                    {
                        return end;
                    }
                }
                message = self.socket.next(), if self.unread.is_none() => {
                    heard_at = TokioInstant::now();
                    self.unread = inflow.count(heard_at);
                    if let Err(end) = self.read(message).await {
                        return end;
                    }
                }
                () = &mut timer => {
                    let now = TokioInstant::now();
                    if now >= idle_at {
                        return End::Close(CloseCode::Timeout);
                    }
                    if self.unread.is_some_and(|until| now >= until) {
                        self.unread = None;
                        // What waited in the buffers meanwhile was not silence.
                        heard_at = now;
                    }
                    if now >= ping_at {
                        ping_at = now + limits::PING_INTERVAL;
                        let ping = self.socket.send(Message::Ping(Default::default()));
                        if !matches!(timeout(FLUSH_TIMEOUT, ping).await, Ok(Ok(()))) {
                            return End::Gone;
                        }
                    }
                }
            }
        }
    }

    async fn read(&mut self, message: Option<Result<Message, axum::Error>>) -> Result<(), End> {
        let received = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => {
                match ClientFrame::parse(&text) {
                    Ok(frame) => self.hub.frame(self.attachment, frame, received).await,
                    Err(e) => self.hub.refuse(self.attachment, e.error, e.reference).await,
                }
                Ok(())
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(()),
            other => Err(end_of(other)),
        }
    }

    /// Writes `batch` in one flush, unless the room gives up on this reader meanwhile.
    async fn write(&mut self, batch: &mut Vec<Arc<Frame>>) -> Result<(), End> {
        let socket = &mut *self.socket;
        let flush = async {
            for frame in batch.iter() {
                socket.feed(Message::Text(frame.json.clone())).await?;
            }
            socket.flush().await
        };
        tokio::select! {
            biased;
            done = timeout(FLUSH_TIMEOUT, flush) => match done {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(End::Gone),
                Err(_) => return Err(End::Close(CloseCode::TooSlow)),
            },
            code = &mut self.outbound.close => {
                return Err(End::Close(code.unwrap_or(CloseCode::Unauthorized)));
            }
        }
        let written_at = Instant::now();
        for frame in batch.drain(..) {
            self.outbound
                .queued
                .fetch_sub(frame.json.len(), Ordering::Relaxed);
            if let Some(heard_at) = frame.heard_at {
                self.metrics.latency.record(written_at - heard_at);
            }
        }
        // An idle connection should not hold on to what a busy moment needed.
        batch.shrink_to(SPARE);
        Ok(())
    }

    /// Writes what is still queued before a goodbye.
    async fn drain(&mut self, batch: &mut Vec<Arc<Frame>>) {
        self.outbound.frames.close();
        while let Ok(frame) = self.outbound.frames.try_recv() {
            batch.push(frame);
        }
        let write = async {
            for frame in batch.drain(..) {
                self.socket.feed(Message::Text(frame.json.clone())).await?;
            }
            self.socket.flush().await
        };
        // A client that takes longer would have missed it anyway.
        let _ = timeout(CLOSE_TIMEOUT, write).await;
    }
}

/// Counts what a client sends, and says when reading should pause.
struct Inflow {
    arrival: TokioInstant,
}

impl Inflow {
    const INTERVAL: Duration = Duration::from_nanos(1_000_000_000 / FRAMES_PER_SECOND as u64);

    const fn new(now: TokioInstant) -> Self {
        Self { arrival: now }
    }

    /// Counts one frame at `now`; until when to pause, if at all.
    fn count(&mut self, now: TokioInstant) -> Option<TokioInstant> {
        self.arrival = self.arrival.max(now) + Self::INTERVAL;
        let until = self.arrival - Self::INTERVAL * FRAMES_BURST;
        (until > now).then_some(until)
    }
}

/// What it means that a read gave no text, ping or pong.
fn end_of(message: Option<Result<Message, axum::Error>>) -> End {
    match message {
        None => End::Gone,
        Some(Ok(Message::Close(Some(CloseFrame { code: 1000, .. })))) => End::Left,
        Some(Ok(Message::Binary(_))) => End::Close(CloseCode::Unsupported),
        Some(Ok(_)) => End::Gone,
        Some(Err(e)) => match e.into_inner().downcast_ref::<tungstenite::Error>() {
            Some(tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                End::Close(CloseCode::TooBig)
            }
            Some(tungstenite::Error::Utf8(_)) => End::Close(CloseCode::NotUtf8),
            Some(tungstenite::Error::Protocol(
                tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
            )) => End::Gone,
            Some(tungstenite::Error::Protocol(_)) => End::Close(CloseCode::ProtocolError),
            _ => End::Gone,
        },
    }
}

/// Closes with a code, and waits a moment for the client to take it.
async fn say_goodbye(socket: &mut WebSocket, code: CloseCode) {
    let frame = CloseFrame {
        code: code.number(),
        reason: code.reason().into(),
    };
    let goodbye = async {
        socket.send(Message::Close(Some(frame))).await?;
        // Closing at once could destroy what is still on its way (RFC 6455, section 7.1.1).
        while let Some(Ok(_)) = socket.next().await {}
        Ok::<_, axum::Error>(())
    };
    let _ = timeout(CLOSE_TIMEOUT, goodbye).await;
}
