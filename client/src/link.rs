//! The way to a relay: makes a session, opens the socket, and moves frames. It decides nothing but
//! whether the connection lives.

mod open;

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use neartalk_shared::{
    ApiError, ClientFrame, ServerFrame, SessionId, Username, http::CreatedSession,
};
use reqwest::StatusCode;
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream,
    tungstenite::{
        self, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use crate::{
    event::{OfflineReason, StopReason},
    relay_url::RelayUrl,
};

/// Frames on the way in and out that wait for the other side.
const QUEUE: usize = 64;
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

/// Asks a relay whether it is well, and gives its status and body; if it does not answer, why.
pub async fn ask_health(relay: &RelayUrl) -> Result<(StatusCode, Vec<u8>), String> {
    let (http, _) = tools(relay, Timing::default())?;
    open::ask_health(&http, relay).await
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
            socket = open::connect(&self.network, credentials, &self.incoming) => socket,
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
}
