//! Just enough HTTP/1.1 to make sessions and to upgrade to WebSocket.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use neartalk_shared::http::CreatedSession;

/// How long a relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Opens a blocking connection that gives up on a relay which says nothing.
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).context("connect to the server")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A keep-alive connection that makes sessions.
pub struct Sessions {
    stream: TcpStream,
    address: SocketAddr,
}

impl Sessions {
    /// Connects.
    pub fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self {
            stream: connect(address)?,
            address,
        })
    }

    /// Makes the session of person `number`, whose name is as long as everyone's.
    pub fn create(&mut self, number: usize) -> Result<CreatedSession> {
        let body = format!(r#"{{"username":"Load {number:05}"}}"#);
        let request = format!(
            "POST /api/session/create HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len(),
        );
        self.stream.write_all(request.as_bytes())?;
        let (head, mut body) = read_head(&mut self.stream)?;
        ensure_status(&head, "20", &body)?;
        let length = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, length)| length.trim().parse::<usize>().ok())
            .filter(|&length| length <= 65_536)
            .context("an answer without a content length")?;
        let have = body.len().min(length);
        body.resize(length, 0);
        self.stream.read_exact(&mut body[have..])?;
        Ok(serde_json::from_slice(&body)?)
    }
}

/// Connects to a relay and upgrades to WebSocket, up to where frames begin.
pub fn upgrade(address: SocketAddr) -> Result<TcpStream> {
    let (stream, rest) = upgrade_at(address, "/ws")?;
    ensure!(rest.is_empty(), "the relay spoke before it was greeted");
    Ok(stream)
}

/// Connects to any server and upgrades to WebSocket; what it has said already is returned too.
pub fn upgrade_at(address: SocketAddr, path: &str) -> Result<(TcpStream, Vec<u8>)> {
    let mut stream = connect(address)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    stream.write_all(request.as_bytes())?;
    let (head, rest) = read_head(&mut stream)?;
    ensure_status(&head, "101", &rest)?;
    Ok((stream, rest))
}

fn ensure_status(head: &str, wanted: &str, body: &[u8]) -> Result<()> {
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(
        status.starts_with(wanted),
        "the server refused: {} {}",
        head.lines().next().unwrap_or_default(),
        String::from_utf8_lossy(body),
    );
    Ok(())
}

/// Reads up to the end of a response's head; what came after it is returned too.
fn read_head(stream: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    const END: &[u8] = b"\r\n\r\n";
    let mut bytes = Vec::with_capacity(1_024);
    loop {
        let mut chunk = [0; 1_024];
        let read = stream.read(&mut chunk).context("wait for an answer")?;
        ensure!(read > 0, "the server hung up before it answered");
        bytes.extend(&chunk[..read]);
        if let Some(end) = memchr::memmem::find(&bytes, END) {
            let rest = bytes.split_off(end + END.len());
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        ensure!(bytes.len() < 16_384, "an endless response head");
    }
}
