//! The way to a relay: makes a session, opens the socket, and moves frames. It decides nothing but
//! whether the connection lives.

use std::{error::Error as _, sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use neartalk_shared::{
    ApiError, ClientFrame, ErrorCode, ServerFrame, SessionId, Username,
    http::{CreateSession, CreatedSession, ErrorBody},
    limits::PROTOCOL_VERSION,
};
use reqwest::StatusCode;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::{
    net::{TcpStream, lookup_host},
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config,
    tungstenite::{
        self, Message,
        http::header::RETRY_AFTER,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

use crate::{
    event::{OfflineReason, StopReason},
    relay_url::RelayUrl,
};

/// No frame of a relay is larger: the largest is a list of the people in range.
const FRAME_MAX: usize = 4 * 1024 * 1024;
/// No answer over HTTP is larger.
const BODY_MAX: usize = 64 * 1024;
/// Frames on the way in and out that wait for the other side.
const QUEUE: usize = 64;
/// A host with several addresses gets this long for each.
const ADDRESS_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a goodbye may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How patient to be with the network.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// For each step of connecting: making a session, opening the socket, being welcomed.
    pub connect: Duration,
    /// Without anything from the relay for this long, pings included, the connection is dead.
    pub silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            // A relay pings every 20 s; one ping may be lost.
            silence: Duration::from_secs(45),
        }
    }
}

/// What to say `hello` with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Make a new session first, with this name if there is one.
    New(Option<Username>),
    /// The session there is.
    Session(SessionId),
}

/// What comes over a link. `Ended` is the last.
#[derive(Debug)]
pub enum LinkEvent {
    /// A new session has been made.
    Created(CreatedSession),
    /// The relay says something.
    Frame(ServerFrame),
    /// The connection is gone, or never came to be.
    Ended(LinkEnd),
}

/// Why a connection is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// It may be tried again, but if the relay says so not before a time.
    Offline(OfflineReason, Option<Duration>),
    /// The relay does not know the session.
    Unauthorized,
    /// The relay does not take the name.
    NameRefused(ApiError),
    /// It is of no use to try again.
    Stopped(StopReason),
}

impl LinkEnd {
    /// The connection broke.
    pub const fn lost() -> Self {
        Self::Offline(OfflineReason::Lost, None)
    }
}

/// What all connections to one relay have in common.
#[derive(Clone)]
pub struct Network {
    relay: RelayUrl,
    timing: Timing,
    /// What failed is told with each attempt.
    tools: Result<(reqwest::Client, Connector), String>,
}

impl Network {
    /// Prepares connections to `relay`.
    pub fn new(relay: RelayUrl, timing: Timing) -> Self {
        let tools = tools(&relay, timing);
        Self {
            relay,
            timing,
            tools,
        }
    }

    /// The relay's host, for people.
    pub fn host(&self) -> String {
        self.relay.host()
    }

    /// Begins to connect.
    pub fn connect(&self, credentials: Credentials) -> Link {
        let (to_relay, outgoing) = mpsc::channel(QUEUE);
        let (incoming, from_relay) = mpsc::channel(QUEUE);
        let task = Task {
            network: self.clone(),
            outgoing,
            incoming,
        };
        tokio::spawn(task.run(credentials));
        Link {
            to_relay,
            from_relay,
        }
    }
}

/// The certificates that this system trusts; none are needed for an unencrypted relay.
fn tools(relay: &RelayUrl, timing: Timing) -> Result<(reqwest::Client, Connector), String> {
    let mut http = reqwest::Client::builder()
        .timeout(timing.connect)
        // A redirect would carry the name elsewhere, and a proxy is none that the socket would use.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .user_agent(concat!("neartalk/", env!("CARGO_PKG_VERSION")));
    let mut connector = Connector::Plain;
    let mut roots = RootCertStore::empty();
    if relay.is_encrypted() {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err("this system has no certificates to trust a relay by".into());
        }
    }
    // The provider is named, as another crate in the same program may bring another one along.
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    http = http.use_preconfigured_tls(tls.clone());
    if relay.is_encrypted() {
        connector = Connector::Rustls(Arc::new(tls));
    }
    let http = http.build().map_err(|e| e.to_string())?;
    Ok((http, connector))
}

/// One connection, from the first attempt to its end. Dropping it says goodbye in the background.
#[derive(Debug)]
pub struct Link {
    to_relay: mpsc::Sender<ClientFrame>,
    from_relay: mpsc::Receiver<LinkEvent>,
}

impl Link {
    /// Sends a frame. False when the connection takes no more: it is gone, or as good as.
    pub fn send(&self, frame: ClientFrame) -> bool {
        self.to_relay.try_send(frame).is_ok()
    }

    /// What comes next. Cancel-safe.
    pub async fn next(&mut self) -> LinkEvent {
        // The task always ends with a word, unless it was killed with its runtime.
        let next = self.from_relay.recv().await;
        next.unwrap_or(LinkEvent::Ended(LinkEnd::lost()))
    }

    /// Why a link that takes no more frames is gone, as far as it has said so.
    pub fn last_words(mut self) -> LinkEnd {
        while let Ok(event) = self.from_relay.try_recv() {
            if let LinkEvent::Ended(end) = event {
                return end;
            }
        }
        LinkEnd::lost()
    }

    /// Says goodbye, and waits until that has been sent.
    pub async fn close(self) {
        let Self {
            to_relay,
            mut from_relay,
        } = self;
        drop(to_relay);
        let drained = async { while from_relay.recv().await.is_some() {} };
        // Whoever is in the middle of connecting is not worth waiting for.
        let _ = timeout(CLOSE_TIMEOUT, drained).await;
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Task {
    network: Network,
    outgoing: mpsc::Receiver<ClientFrame>,
    incoming: mpsc::Sender<LinkEvent>,
}

impl Task {
    async fn run(mut self, credentials: Credentials) {
        // Connecting is given up at once when nobody wants the link any more.
        let socket = tokio::select! {
            socket = connect(&self.network, credentials, &self.incoming) => socket,
            () = self.incoming.closed() => return,
        };
        let end = match socket {
            Ok(socket) => self.pump(socket).await,
            Err(end) => Some(end),
        };
        if let Some(end) = end {
            // The engine may have dropped the link meanwhile.
            let _ = self.incoming.send(LinkEvent::Ended(end)).await;
        }
    }

    /// Moves frames until the connection is gone. `None` when this side left.
    async fn pump(&mut self, mut socket: Socket) -> Option<LinkEnd> {
        let timing = self.network.timing;
        // The welcome has to come as fast as a connection.
        let mut deadline = Instant::now() + timing.connect;
        let mut frames = 0u64;
        loop {
            let heard = async {
                // Nothing is read that could not be handed on: a slow engine slows the relay down,
                // through TCP, instead of filling memory.
                let permit = self.incoming.reserve().await.ok()?;
                Some((permit, timeout_at(deadline, socket.next()).await))
            };
            tokio::select! {
                frame = self.outgoing.recv() => {
                    let Some(frame) = frame else {
                        goodbye(socket).await;
                        return None;
                    };
                    let sent = socket.send(Message::text(frame.to_json()));
                    match timeout(timing.connect, sent).await {
                        Ok(Ok(())) => {}
                        // The end of the conversation is read with its reason, if there is one.
                        Ok(Err(_)) => {}
                        Err(_) => return Some(LinkEnd::Offline(OfflineReason::Silent, None)),
                    }
                }
                heard = heard => {
                    let Some((permit, heard)) = heard else {
                        goodbye(socket).await;
                        return None;
                    };
                    let message = match heard {
                        Err(_) => return Some(LinkEnd::Offline(OfflineReason::Silent, None)),
                        Ok(None) => return Some(LinkEnd::lost()),
                        Ok(Some(Err(e))) => return Some(broken(&e)),
                        Ok(Some(Ok(message))) => message,
                    };
                    if frames > 0 || matches!(message, Message::Text(_)) {
                        deadline = Instant::now() + timing.silence;
                    }
                    match message {
                        Message::Text(text) => {
                            frames += 1;
                            match ServerFrame::parse(&text) {
                                Ok(Some(frame)) => permit.send(LinkEvent::Frame(frame)),
                                Ok(None) => {}
                                Err(e) if frames == 1 => {
                                    return Some(not_a_relay(format!("its welcome can't be read: {e}")));
                                }
                                // What it says may be about people, so only where it is wrong is told.
                                Err(e) => tracing::warn!(line = e.line(), column = e.column(), "the relay sent a frame that can't be read"),
                            }
                        }
                        Message::Close(frame) => return Some(closed(frame.as_ref())),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// Leaves cleanly, so that others see it at once.
async fn goodbye(mut socket: Socket) {
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    let leave = async {
        socket.close(Some(frame)).await.ok()?;
        // Until the relay has said goodbye too, what was sent before may be lost with the socket.
        while let Some(Ok(_)) = socket.next().await {}
        Some(())
    };
    let _ = timeout(CLOSE_TIMEOUT, leave).await;
}

fn broken(error: &tungstenite::Error) -> LinkEnd {
    match error {
        tungstenite::Error::Capacity(_)
        | tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::InvalidOpcode(_)
            | tungstenite::error::ProtocolError::NonZeroReservedBits,
        )
        | tungstenite::Error::Utf8(_) => not_a_relay(error.to_string()),
        _ => LinkEnd::lost(),
    }
}

fn not_a_relay(detail: String) -> LinkEnd {
    LinkEnd::Offline(OfflineReason::NotARelay { detail }, None)
}

/// What a close code means.
fn closed(frame: Option<&CloseFrame>) -> LinkEnd {
    let offline = |reason| LinkEnd::Offline(reason, None);
    match frame.map(|f| u16::from(f.code)) {
        Some(1001) => offline(OfflineReason::RelayLeaving),
        Some(4400) => LinkEnd::Stopped(StopReason::UnsupportedProtocol),
        Some(4401) => LinkEnd::Unauthorized,
        Some(4403) => LinkEnd::Stopped(StopReason::Banned {
            retry_after_ms: None,
        }),
        Some(4408) => offline(OfflineReason::Silent),
        Some(4409) => LinkEnd::Stopped(StopReason::TakenOver),
        Some(4413) => offline(OfflineReason::FellBehind),
        _ => offline(OfflineReason::Lost),
    }
}

/// Makes a session if there is none, opens the socket, and says `hello`.
async fn connect(
    network: &Network,
    credentials: Credentials,
    incoming: &mpsc::Sender<LinkEvent>,
) -> Result<Socket, LinkEnd> {
    let unreachable = |detail: String| {
        let relay = network.host();
        LinkEnd::Offline(OfflineReason::Unreachable { relay, detail }, None)
    };
    let (http, connector) = match &network.tools {
        Ok((http, connector)) => (http, connector.clone()),
        Err(e) => return Err(unreachable(e.clone())),
    };
    let session_id = match credentials {
        Credentials::Session(id) => id,
        Credentials::New(username) => {
            let created = create_session(http, &network.relay, username)
                .await
                .map_err(|e| match e {
                    CreateError::Http(e) => unreachable(innermost(&e)),
                    CreateError::End(end) => end,
                })?;
            let id = created.session_id;
            // If nobody listens any more, the select around this ends it.
            let _ = incoming.send(LinkEvent::Created(created)).await;
            id
        }
    };
    let opened = timeout(network.timing.connect, open(&network.relay, connector)).await;
    let mut socket = match opened {
        Err(_) => return Err(unreachable("it does not answer in time".into())),
        Ok(Err(tungstenite::Error::Io(e))) => return Err(unreachable(plain(&e.to_string()))),
        Ok(Err(tungstenite::Error::Http(response))) => {
            let after = response.headers().get(RETRY_AFTER);
            let after = after.and_then(|v| v.to_str().ok()?.parse().ok());
            let body = response.body().as_deref().unwrap_or_default();
            return Err(refused(response.status(), after, body));
        }
        Ok(Err(e)) => return Err(not_a_relay(e.to_string())),
        Ok(Ok(socket)) => socket,
    };
    let hello = ClientFrame::Hello {
        session_id,
        protocol: PROTOCOL_VERSION,
    };
    match timeout(
        network.timing.connect,
        socket.send(Message::text(hello.to_json())),
    )
    .await
    {
        Ok(Ok(())) => Ok(socket),
        Ok(Err(_)) => Err(LinkEnd::lost()),
        Err(_) => Err(LinkEnd::Offline(OfflineReason::Silent, None)),
    }
}

async fn open(relay: &RelayUrl, connector: Connector) -> Result<Socket, tungstenite::Error> {
    let (host, port) = relay.socket_address();
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "it has no address");
    for address in lookup_host((host, port)).await? {
        match timeout(ADDRESS_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Frames are small and wait for nothing.
                stream.set_nodelay(true)?;
                let config = WebSocketConfig::default()
                    .max_message_size(Some(FRAME_MAX))
                    .max_frame_size(Some(FRAME_MAX))
                    .read_buffer_size(16 * 1024);
                let url = relay.socket();
                let (socket, _) =
                    client_async_tls_with_config(url, stream, Some(config), Some(connector))
                        .await?;
                return Ok(socket);
            }
            Ok(Err(e)) => last = e,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last.into())
}

enum CreateError {
    Http(reqwest::Error),
    End(LinkEnd),
}

async fn create_session(
    http: &reqwest::Client,
    relay: &RelayUrl,
    username: Option<Username>,
) -> Result<CreatedSession, CreateError> {
    let request = http
        .post(relay.create_session())
        .json(&CreateSession { username });
    let mut response = request.send().await.map_err(CreateError::Http)?;
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER);
    let after = after.and_then(|v| v.to_str().ok()?.parse().ok());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(CreateError::Http)? {
        body.extend_from_slice(&chunk);
        if body.len() > BODY_MAX {
            return Err(CreateError::End(not_a_relay(
                "its answer is too long".into(),
            )));
        }
    }
    if !status.is_success() {
        return Err(CreateError::End(refused(status, after, &body)));
    }
    serde_json::from_slice(&body)
        .map_err(|_| CreateError::End(not_a_relay("its answer is not that of a relay".into())))
}

/// What an answer over HTTP means that is no success.
fn refused(status: StatusCode, retry_after_s: Option<u64>, body: &[u8]) -> LinkEnd {
    let said = serde_json::from_slice::<ErrorBody>(body).ok();
    let said = said.map(|ErrorBody { error }| error);
    let retry_after = said
        .as_ref()
        .and_then(|e| e.retry_after_ms)
        .map(Duration::from_millis)
        .or(retry_after_s.map(Duration::from_secs));
    match (status.as_u16(), said) {
        (_, Some(error)) if error.code == ErrorCode::Banned => {
            LinkEnd::Stopped(StopReason::Banned {
                retry_after_ms: error.retry_after_ms,
            })
        }
        (_, Some(error)) if error.code == ErrorCode::InvalidUsername => LinkEnd::NameRefused(error),
        (401, _) => LinkEnd::Unauthorized,
        (429 | 503, said) => {
            let detail = said.map_or_else(|| status.to_string(), |e| e.message);
            LinkEnd::Offline(OfflineReason::Busy { detail }, retry_after)
        }
        (_, Some(error)) => not_a_relay(error.message),
        (_, None) => not_a_relay(format!("it answers {status}")),
    }
}

/// What went wrong at the bottom, such as "Connection refused (os error 111)": the layers above
/// repeat the address.
fn innermost(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "it does not answer in time".into();
    }
    let mut source = error.source();
    let mut text = error.to_string();
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    plain(&text)
}

/// "Connection refused (os error 111)" without its number, which is of no use to people.
fn plain(error: &str) -> String {
    let end = error.find(" (os error ").unwrap_or(error.len());
    error[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(code: u16) -> LinkEnd {
        closed(Some(&CloseFrame {
            code: code.into(),
            reason: "".into(),
        }))
    }

    #[test]
    fn close_codes() {
        let offline = |reason| LinkEnd::Offline(reason, None);
        assert_eq!(close(1001), offline(OfflineReason::RelayLeaving));
        assert_eq!(close(4401), LinkEnd::Unauthorized);
        assert_eq!(close(4409), LinkEnd::Stopped(StopReason::TakenOver));
        assert_eq!(close(4413), offline(OfflineReason::FellBehind));
        assert_eq!(close(4408), offline(OfflineReason::Silent));
        assert_eq!(
            close(4400),
            LinkEnd::Stopped(StopReason::UnsupportedProtocol)
        );
        assert!(matches!(
            close(4403),
            LinkEnd::Stopped(StopReason::Banned { .. })
        ));
        assert_eq!(close(1011), offline(OfflineReason::Lost));
        assert_eq!(close(4999), offline(OfflineReason::Lost));
        assert_eq!(closed(None), offline(OfflineReason::Lost));
    }

    #[test]
    fn http_answers() {
        let body = |code, ms| {
            let error = ApiError {
                retry_after_ms: ms,
                ..ApiError::new(code, "No.")
            };
            serde_json::to_vec(&ErrorBody { error }).unwrap()
        };
        let busy = OfflineReason::Busy {
            detail: "No.".into(),
        };
        assert_eq!(
            refused(
                StatusCode::TOO_MANY_REQUESTS,
                Some(3),
                &body(ErrorCode::RateLimited, Some(2_500))
            ),
            LinkEnd::Offline(busy.clone(), Some(Duration::from_millis(2_500)))
        );
        assert_eq!(
            refused(
                StatusCode::TOO_MANY_REQUESTS,
                Some(3),
                &body(ErrorCode::RateLimited, None)
            ),
            LinkEnd::Offline(busy, Some(Duration::from_secs(3)))
        );
        assert_eq!(
            refused(
                StatusCode::FORBIDDEN,
                None,
                &body(ErrorCode::Banned, Some(60_000))
            ),
            LinkEnd::Stopped(StopReason::Banned {
                retry_after_ms: Some(60_000)
            })
        );
        assert!(matches!(
            refused(
                StatusCode::UNPROCESSABLE_ENTITY,
                None,
                &body(ErrorCode::InvalidUsername, None)
            ),
            LinkEnd::NameRefused(_)
        ));
        assert_eq!(
            refused(StatusCode::NOT_FOUND, None, b"<html>"),
            not_a_relay("it answers 404 Not Found".into())
        );
    }
}
