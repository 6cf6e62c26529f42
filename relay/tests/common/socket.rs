//! A raw WebSocket: sends whatever it is told to, and remembers all that it gets.

use std::{collections::VecDeque, time::Duration};

use futures_util::{SinkExt, StreamExt};
use neartalk_shared::{
    ApiError, ClientFrame, ErrorCode, MessageId, ServerFrame, SessionId, frame::Nonce,
    limits::PROTOCOL_VERSION,
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, client::IntoClientRequest, http::HeaderValue, protocol::CloseFrame},
};

use super::{Relay, within, within_time};

/// How a socket ended: with the relay's close code, or without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// The relay said good-bye.
    With(u16),
    /// The connection was just gone.
    Abruptly,
}

/// A WebSocket to a relay.
pub struct Socket {
    ws: WebSocketStream<TcpStream>,
    /// Frames that nobody has waited for yet.
    pub inbox: VecDeque<ServerFrame>,
    closed: Option<Closed>,
    nonce: i64,
    /// Every frame that arrived, as it was written.
    pub seen: Vec<String>,
    /// This side's port.
    pub port: u16,
}

impl Socket {
    /// Opens a socket and says nothing.
    pub async fn open(relay: &Relay) -> Self {
        let stream = TcpStream::connect(relay.address).await.unwrap();
        Self::open_on(stream, relay, &[]).await
    }

    /// Opens a socket over a connection, with these headers on top.
    pub async fn open_on(stream: TcpStream, relay: &Relay, headers: &[(&str, &str)]) -> Self {
        stream.set_nodelay(true).unwrap();
        let port = stream.local_addr().unwrap().port();
        let mut request = format!("ws://{}/ws", relay.address)
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            let name = tungstenite::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
            let value = HeaderValue::from_str(value).unwrap();
            request.headers_mut().append(name, value);
        }
        let (ws, _) = within("a socket", client_async(request, stream))
            .await
            .unwrap();
        Self {
            ws,
            inbox: VecDeque::new(),
            closed: None,
            nonce: 0,
            seen: Vec::new(),
            port,
        }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: &ClientFrame) {
        self.send_text(frame.to_json()).await;
    }

    /// Sends any text.
    pub async fn send_text(&mut self, text: impl Into<String>) {
        self.try_send_text(text).await.unwrap();
    }

    /// Sends any text; an error when the socket is gone.
    pub async fn try_send_text(&mut self, text: impl Into<String>) -> tungstenite::Result<()> {
        let message = tungstenite::Message::text(text.into());
        within("room to send", self.ws.send(message)).await
    }

    /// Sends a message of any kind.
    pub async fn send_message(&mut self, message: tungstenite::Message) {
        within("room to send", self.ws.send(message)).await.unwrap();
    }

    /// Says `hello` and whatever comes of it.
    pub async fn hello(&mut self, session: SessionId) {
        self.send(&ClientFrame::Hello {
            session_id: session,
            protocol: PROTOCOL_VERSION,
        })
        .await;
    }

    /// Reads one more frame into the inbox; false at the end.
    async fn read(&mut self) -> bool {
        if self.closed.is_some() {
            return false;
        }
        loop {
            match self.ws.next().await {
                Some(Ok(tungstenite::Message::Text(text))) => {
                    let frame = ServerFrame::parse(&text)
                        .unwrap_or_else(|e| panic!("{e} in {text}"))
                        .unwrap_or_else(|| panic!("no frame of the contract: {text}"));
                    self.seen.push(text.to_string());
                    self.inbox.push_back(frame);
                    return true;
                }
                Some(Ok(tungstenite::Message::Close(frame))) => {
                    let code = frame.map_or(1005, |frame| frame.code.into());
                    self.closed = Some(Closed::With(code));
                    return false;
                }
                Some(Ok(tungstenite::Message::Ping(_) | tungstenite::Message::Pong(_))) => {}
                Some(Ok(other)) => panic!("a relay sends text only: {other:?}"),
                Some(Err(_)) | None => {
                    self.closed = Some(Closed::Abruptly);
                    return false;
                }
            }
        }
    }

    /// Reads one more frame, however long none comes, which stays for later; false at the end.
    pub async fn listen(&mut self) -> bool {
        self.read().await
    }

    /// Waits for the first frame that `pick` takes; the others stay for later.
    pub async fn wait<T>(&mut self, what: &str, pick: impl FnMut(&ServerFrame) -> Option<T>) -> T {
        match self.try_wait(what, pick).await {
            Some(picked) => picked,
            None => panic!("{:?} before {what}; unread: {:#?}", self.closed, self.inbox),
        }
    }

    /// The same; `None` when the socket ends before.
    pub async fn try_wait<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&ServerFrame) -> Option<T>,
    ) -> Option<T> {
        let mut looked = 0;
        loop {
            while let Some(frame) = self.inbox.get(looked) {
                if let Some(picked) = pick(frame) {
                    self.inbox.remove(looked);
                    return Some(picked);
                }
                looked += 1;
            }
            if !within(what, self.read()).await {
                return None;
            }
        }
    }

    /// The next frame, whatever it is and however long nothing comes.
    pub async fn next_within(&mut self, guard: Duration) -> ServerFrame {
        while self.inbox.is_empty() {
            let more = within_time(guard, "a frame", self.read()).await;
            assert!(more, "{:?} before a frame", self.closed);
        }
        self.inbox
            .pop_front()
            .expect("the loop ends when there is one")
    }

    /// Waits for the relay to close the socket; the frames before that stay for later.
    pub async fn closed(&mut self) -> Closed {
        within("the end of the socket", self.until_closed()).await
    }

    /// Reads until the relay closes the socket, however long that takes.
    pub async fn until_closed(&mut self) -> Closed {
        while self.read().await {}
        self.closed.expect("reading has come to an end")
    }

    /// The next frame, whatever it is.
    pub async fn next(&mut self) -> ServerFrame {
        self.wait("a frame", |frame| Some(frame.clone())).await
    }

    /// The next `error`, and which message it is about.
    pub async fn error(&mut self) -> (ApiError, Option<MessageId>) {
        self.wait("error", |frame| match frame {
            ServerFrame::Error { error, reference } => Some((error.clone(), *reference)),
            _ => None,
        })
        .await
    }

    /// Waits for an `error` with this code.
    pub async fn expect_error(&mut self, code: ErrorCode) -> ApiError {
        let (error, _) = self.error().await;
        assert_eq!(error.code, code, "{error:?}");
        assert!(!error.message.is_empty());
        error
    }

    /// Asks `ping` and takes everything that came before its `pong`: whatever the relay had to say
    /// until now.
    pub async fn settle(&mut self) -> Vec<ServerFrame> {
        self.nonce += 1;
        let nonce = Nonce::Number(self.nonce);
        self.send(&ClientFrame::Ping {
            nonce: nonce.clone(),
        })
        .await;
        self.wait("pong", |frame| match frame {
            ServerFrame::Pong { nonce: n } => (*n == nonce).then_some(()),
            _ => None,
        })
        .await;
        self.inbox.drain(..).collect()
    }

    /// Closes the socket as somebody who leaves.
    pub async fn leave(&mut self) {
        let frame = CloseFrame {
            code: 1000.into(),
            reason: "".into(),
        };
        // The relay may have closed it already.
        let _ = self.ws.close(Some(frame)).await;
        self.closed().await;
    }
}
