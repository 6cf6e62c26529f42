//! A TCP connection with nothing in the way: for what no well-behaved client sends.

use std::{collections::HashMap, io, time::Duration};

use neartalk_shared::{ClientFrame, http::CreatedSession, limits::PROTOCOL_VERSION};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{Answer, GUARD, Relay, within, within_time};

/// A TCP connection to a relay.
pub struct Raw {
    pub stream: TcpStream,
    /// How long to wait for something to read.
    pub patience: Duration,
    read: Vec<u8>,
}

/// A WebSocket frame's opcode (RFC 6455, 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

/// A WebSocket frame as it is read.
#[derive(Debug, PartialEq, Eq)]
pub struct RawFrame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl RawFrame {
    /// The code of a close frame.
    pub fn close_code(&self) -> Option<u16> {
        (self.opcode == Opcode::Close as u8 && self.payload.len() >= 2)
            .then(|| u16::from_be_bytes([self.payload[0], self.payload[1]]))
    }
}

impl Raw {
    fn over(stream: TcpStream) -> Self {
        Self {
            stream,
            patience: GUARD,
            read: Vec::new(),
        }
    }

    /// Connects to the admin listener and says nothing.
    pub async fn connect_to_admin(relay: &Relay) -> Self {
        let address = relay.admin.trim_start_matches("http://");
        let stream = within("a connection", TcpStream::connect(address)).await;
        Self::over(stream.unwrap())
    }

    /// Connects and says nothing.
    pub async fn connect(relay: &Relay) -> Self {
        let stream = within("a connection", TcpStream::connect(relay.address))
            .await
            .unwrap();
        Self::over(stream)
    }

    /// Connects with so little room for what arrives that a reader who stops is noticed early. With
    /// much less than a segment of loopback's, what is read at last would trickle for many seconds.
    pub async fn connect_narrow(relay: &Relay) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        let stream = within("a connection", socket.connect(relay.address))
            .await
            .unwrap();
        Self::over(stream)
    }

    /// Connects and becomes a WebSocket.
    pub async fn upgraded(relay: &Relay) -> Self {
        let mut raw = Self::connect(relay).await;
        let answer = raw.upgrade(relay, &[]).await;
        assert_eq!(answer.status, 101, "{}", answer.text);
        raw
    }

    /// Connects, becomes a WebSocket, and has said `hello` and been welcomed.
    pub async fn welcomed(relay: &Relay, session: &CreatedSession) -> Self {
        let mut raw = Self::upgraded(relay).await;
        raw.hello(session).await;
        raw
    }

    /// Says `hello` and waits to be welcomed.
    pub async fn hello(&mut self, session: &CreatedSession) {
        let hello = ClientFrame::Hello {
            session_id: session.session_id,
            protocol: PROTOCOL_VERSION,
        };
        self.send_text(&hello).await;
        let welcome = self.next_frame().await.expect("a welcome");
        assert!(welcome.payload.starts_with(br#"{"type":"welcome""#));
    }

    /// Sends a frame of the contract.
    pub async fn send_text(&mut self, frame: &ClientFrame) {
        self.send_frame(true, Opcode::Text, frame.to_json().as_bytes())
            .await
            .unwrap();
    }

    /// Asks to become a WebSocket, with these headers on top.
    pub async fn upgrade(&mut self, relay: &Relay, headers: &[(&str, &str)]) -> Answer {
        let mut head = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            relay.address
        );
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.send(head.as_bytes()).await.unwrap();
        self.answer().await
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        within("room to send", self.stream.write_all(bytes)).await
    }

    /// Sends a WebSocket frame, masked as a client must.
    pub async fn send_frame(
        &mut self,
        fin: bool,
        opcode: Opcode,
        payload: &[u8],
    ) -> io::Result<()> {
        self.send(&frame(fin, opcode, payload, Some([7, 11, 13, 17])))
            .await
    }

    /// Reads an HTTP answer.
    pub async fn answer(&mut self) -> Answer {
        let end = self
            .read_until(|read| Some(find(read, b"\r\n\r\n")? + 4))
            .await
            .expect("an answer has a head");
        let head = String::from_utf8(end).unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers
            .get("content-length")
            .map_or(0, |length| length.parse().unwrap());
        let body = self
            .read_until(|read| (read.len() >= length).then_some(length))
            .await
            .expect("an answer is as long as it says");
        Answer {
            status: status.parse().unwrap(),
            headers: (&headers).try_into().unwrap(),
            text: String::from_utf8(body).unwrap(),
        }
    }

    /// Reads a WebSocket frame, and `None` at the end. Nothing is lost when it is not waited for.
    pub async fn next_frame(&mut self) -> Option<RawFrame> {
        let bytes = self
            .read_until(|read| {
                let (head, payload) = frame_size(read)?;
                (read.len() >= head + payload).then_some(head + payload)
            })
            .await?;
        let (head, _) = frame_size(&bytes)?;
        Some(RawFrame {
            opcode: bytes[0] & 0x0f,
            payload: bytes[head..].to_vec(),
        })
    }

    /// Reads frames until the relay closes; its close frame's code, if it sent one.
    pub async fn closed(&mut self) -> Option<u16> {
        loop {
            let frame = self.next_frame().await?;
            if frame.opcode == Opcode::Close as u8 {
                return frame.close_code();
            }
        }
    }

    /// Reads until the relay ends the connection; what it had said.
    pub async fn end(&mut self) -> String {
        let patience = self.patience;
        within_time(patience, "the end", async { while self.fill().await {} }).await;
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }

    /// Takes as many bytes as `end` says once it can tell, and `None` when the connection ends
    /// before.
    async fn read_until(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> Option<Vec<u8>> {
        loop {
            if let Some(length) = end(&self.read) {
                let rest = self.read.split_off(length);
                return Some(std::mem::replace(&mut self.read, rest));
            }
            if !within_time(self.patience, "something to read", self.fill()).await {
                return None;
            }
        }
    }

    /// Reads what there is; false at the end, however that came.
    async fn fill(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(n) if n > 0)
    }
}

/// Bytes of the head and of the payload of the unmasked frame that `bytes` begin with, once there
/// is enough to tell.
fn frame_size(bytes: &[u8]) -> Option<(usize, usize)> {
    let short = usize::from(*bytes.get(1)? & 0x7f);
    let long = |range: std::ops::Range<usize>| {
        let bytes = bytes.get(range)?.iter();
        Some(bytes.fold(0, |n, &byte| n << 8 | usize::from(byte)))
    };
    match short {
        126 => Some((4, long(2..4)?)),
        127 => Some((10, long(2..10)?)),
        _ => Some((2, short)),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// A WebSocket frame as bytes (RFC 6455, 5.2).
pub fn frame(fin: bool, opcode: Opcode, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let mut bytes = vec![u8::from(fin) << 7 | opcode as u8];
    let masked = u8::from(mask.is_some()) << 7;
    match payload.len() {
        n @ ..126 => bytes.push(masked | n as u8),
        n @ 126..65_536 => {
            bytes.push(masked | 126);
            bytes.extend((n as u16).to_be_bytes());
        }
        n => {
            bytes.push(masked | 127);
            bytes.extend((n as u64).to_be_bytes());
        }
    }
    bytes.extend(mask.iter().flatten());
    let key = mask.unwrap_or_default();
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k));
    bytes
}
