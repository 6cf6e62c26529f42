//! Very many sockets on one thread: connected, greeted, read in turn with one shared buffer.

use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use neartalk_shared::{ClientFrame, Place, Radius, frame::Locate, limits::PROTOCOL_VERSION};

use crate::{
    frames::{
        BINARY, CLOSE, Frame, PING, PONG, TEXT, client_frame, first_frame, first_packet, frame_type,
    },
    http::{Sessions, upgrade},
};

/// What one read may bring, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// What may wait for a relay that does not read, per socket, in bytes.
const UNSENT_BYTES: usize = 1 << 20;
/// Close code of a socket that ended without a close frame.
const NO_CODE: u16 = 1006;

/// How a server sets apart what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// As frames of WebSocket, of which texts and binaries are handed on without their header.
    WebSocket,
    /// As MQTT packets, handed on whole.
    Mqtt,
}

/// One socket.
struct Socket {
    stream: TcpStream,
    /// The beginning of a frame whose rest has not come yet.
    partial: Vec<u8>,
    /// What the kernel did not take yet.
    unsent: Vec<u8>,
    /// The code of the relay's close frame, when one came.
    close_code: Option<u16>,
    open: bool,
}

/// What came on a socket beside texts.
#[derive(Default)]
struct Heard {
    /// A ping, with what was in it.
    ping: Option<Vec<u8>>,
    /// The connection is gone.
    end: bool,
}

impl Socket {
    /// Reads all there is. `buffer` is only used meanwhile.
    #[inline]
    fn read(
        &mut self,
        buffer: &mut [u8],
        framing: Framing,
        epoch: Instant,
        on_text: &mut impl FnMut(u64, &[u8]),
    ) -> Result<Heard> {
        let mut heard = Heard::default();
        loop {
            let read = match self.stream.read(buffer) {
                Ok(read) if read > 0 => read,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(heard),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                _ => {
                    heard.end = true;
                    return Ok(heard);
                }
            };
            let at = epoch.elapsed().as_nanos() as u64;
            let close_code = &mut self.close_code;
            let mut on_frame = |frame: Frame<'_>| match frame.opcode {
                TEXT | BINARY => on_text(at, frame.payload),
                PING => heard.ping = Some(frame.payload.to_vec()),
                CLOSE => {
                    let code = frame.payload.first_chunk();
                    *close_code = code.map(|code| u16::from_be_bytes(*code));
                }
                _ => {}
            };
            if self.partial.is_empty() {
                let rest = each_frame(framing, &buffer[..read], &mut on_frame)?;
                self.partial.extend(rest);
            } else {
                self.partial.extend(&buffer[..read]);
                let rest = each_frame(framing, &self.partial, &mut on_frame)?.len();
                let taken = self.partial.len() - rest;
                self.partial.drain(..taken);
                if rest == 0 && self.partial.capacity() > 65_536 {
                    self.partial = Vec::new();
                }
            }
            // A short read has emptied the socket: epoll(7) on edge-triggered streams.
            if read < buffer.len() {
                return Ok(heard);
            }
        }
    }
}

/// All sockets to one server.
pub struct Swarm {
    framing: Framing,
    poll: Poll,
    events: Events,
    ready: Vec<(usize, bool, bool)>,
    sockets: Vec<Socket>,
    buffer: Box<[u8]>,
    epoch: Instant,
    closed: BTreeMap<u16, usize>,
}

impl Swarm {
    /// One without sockets.
    pub fn new(framing: Framing) -> Result<Self> {
        Ok(Self {
            framing,
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            ready: Vec::with_capacity(1_024),
            sockets: Vec::new(),
            buffer: vec![0; READ_BYTES].into_boxed_slice(),
            epoch: Instant::now(),
            closed: BTreeMap::new(),
        })
    }

    /// Adds a socket, on which `heard` has come already; its number.
    pub fn add(&mut self, stream: std::net::TcpStream, heard: Vec<u8>) -> Result<usize> {
        let number = self.sockets.len();
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(
            &mut stream,
            Token(number),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        self.sockets.push(Socket {
            stream,
            partial: heard,
            unsent: Vec::new(),
            close_code: None,
            open: true,
        });
        Ok(number)
    }

    /// The number of the `index`th socket that the last poll found.
    #[inline]
    pub fn number(&self, index: usize) -> usize {
        self.ready[index].0
    }

    /// Nanoseconds since this swarm was made.
    #[inline]
    pub fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    /// How many sockets the server has closed, by close code.
    pub const fn closed(&self) -> &BTreeMap<u16, usize> {
        &self.closed
    }

    /// Fails when the relay has closed a socket.
    pub fn ensure_all_open(&self) -> Result<()> {
        ensure!(
            self.closed.is_empty(),
            "the server closed sockets (close code: how many): {:?}",
            self.closed
        );
        Ok(())
    }

    /// Adds sockets to a relay, each with a session of its own, up to `count`, and waits for every
    /// `welcome`.
    pub fn grow(&mut self, relay: SocketAddr, count: usize) -> Result<()> {
        let mut sessions = Sessions::new(relay)?;
        let mut awaited = 0;
        while self.sockets.len() < count {
            let number = self.sockets.len();
            let session_id = sessions.create(number)?.session_id;
            let stream = upgrade(relay).with_context(|| format!("socket {number}"))?;
            self.add(stream, Vec::new())?;
            let hello = ClientFrame::Hello {
                session_id,
                protocol: PROTOCOL_VERSION,
            };
            self.send(number, &client_frame(TEXT, hello.to_json().as_bytes()))?;
            awaited += 1;
            if awaited == 256 {
                self.await_frames(b"welcome", awaited)?;
                awaited = 0;
            }
        }
        self.await_frames(b"welcome", awaited)
    }

    /// Puts the sockets of `who` on one spot, all others of which are further than 5 km away.
    pub fn locate(
        &mut self,
        who: std::ops::Range<usize>,
        spot: usize,
        radius: Radius,
    ) -> Result<()> {
        // 11 km apart from south to north, then 60 km from west to east.
        let (column, row) = (spot / 1_000, spot % 1_000);
        let place = Place::new(-50.0 + row as f64 * 0.1, column as f64)?;
        let locate = ClientFrame::Locate(Locate { place, radius });
        let frame = client_frame(TEXT, locate.to_json().as_bytes());
        let count = who.len();
        for socket in who {
            self.send(socket, &frame)?;
        }
        self.await_frames(b"located", count)
    }

    /// Sends a frame, or as much as the kernel takes; the rest goes when it takes more.
    pub fn send(&mut self, number: usize, frame: &[u8]) -> Result<()> {
        let socket = &mut self.sockets[number];
        if !socket.open {
            return Ok(());
        }
        let mut sent = 0;
        if socket.unsent.is_empty() {
            match socket.stream.write(frame) {
                Ok(written) => sent = written,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.close(number);
                    return Ok(());
                }
            }
        }
        if sent < frame.len() {
            let socket = &mut self.sockets[number];
            ensure!(
                socket.unsent.len() < UNSENT_BYTES,
                "the server has stopped reading from socket {number}"
            );
            socket.unsent.extend(&frame[sent..]);
        }
        Ok(())
    }

    /// Stops reading from a socket for good, as a hung client does: its connection stays.
    pub fn stop_reading(&mut self, number: usize) -> Result<()> {
        Ok(self
            .poll
            .registry()
            .deregister(&mut self.sockets[number].stream)?)
    }

    /// Waits for sockets to read from; how many there are.
    #[inline]
    pub fn poll(&mut self, timeout: Duration) -> Result<usize> {
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(0),
            result => result?,
        }
        self.ready.clear();
        self.ready.extend(self.events.iter().map(|event| {
            let readable = event.is_readable() || event.is_read_closed() || event.is_error();
            (event.token().0, readable, event.is_writable())
        }));
        Ok(self.ready.len())
    }

    /// Reads all there is on the `index`th socket that the last poll found, and hands on each text
    /// with the time it was read at, in nanoseconds. Answers pings by itself.
    #[inline]
    pub fn read(&mut self, index: usize, mut on_text: impl FnMut(u64, &[u8])) -> Result<()> {
        let (number, readable, writable) = self.ready[index];
        let socket = &mut self.sockets[number];
        if !socket.open {
            return Ok(());
        }
        if writable && !socket.unsent.is_empty() {
            let written = socket.stream.write(&socket.unsent).unwrap_or_default();
            socket.unsent.drain(..written);
        }
        if !readable {
            return Ok(());
        }
        let heard = socket.read(&mut self.buffer, self.framing, self.epoch, &mut on_text)?;
        if heard.end {
            self.close(number);
        } else if let Some(payload) = heard.ping {
            self.send(number, &client_frame(PONG, &payload))?;
        }
        Ok(())
    }

    fn close(&mut self, number: usize) {
        let socket = &mut self.sockets[number];
        socket.open = false;
        *self
            .closed
            .entry(socket.close_code.unwrap_or(NO_CODE))
            .or_default() += 1;
    }

    /// Reads whatever comes for `time`; how many texts that were.
    pub fn idle(&mut self, time: Duration) -> Result<usize> {
        let until = Instant::now() + time;
        let mut texts = 0;
        while let Some(left) = until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
        {
            for index in 0..self.poll(left)? {
                self.read(index, |_, _| texts += 1)?;
            }
        }
        Ok(texts)
    }

    /// Reads whatever comes until nothing has for `silence`, for as long as `limit`.
    pub fn settle(&mut self, silence: Duration, limit: Duration) -> Result<()> {
        let until = Instant::now() + limit;
        while self.idle(silence)? > 0 {
            ensure!(
                Instant::now() < until,
                "the server did not fall silent within {limit:?}"
            );
        }
        self.ensure_all_open()
    }

    /// Reads until `count` frames of type `wanted` have come; an `error` ends the wait.
    fn await_frames(&mut self, wanted: &[u8], count: usize) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(30);
        let mut come = 0;
        let mut refusal = None;
        while come < count {
            let wanted_name = || String::from_utf8_lossy(wanted);
            ensure!(
                Instant::now() < until,
                "only {come} of {count} {} frames came in 30 s",
                wanted_name()
            );
            for index in 0..self.poll(Duration::from_millis(200))? {
                self.read(index, |_, text| match frame_type(text) {
                    kind if kind == wanted => come += 1,
                    b"error" => refusal = Some(String::from_utf8_lossy(text).into_owned()),
                    _ => {}
                })?;
            }
            if let Some(refusal) = &refusal {
                bail!("instead of {} came {refusal}", wanted_name());
            }
            self.ensure_all_open()?;
        }
        Ok(())
    }
}

/// Calls `on_frame` with each whole frame in `bytes`; what is left is the beginning of another.
#[inline]
fn each_frame<'a>(
    framing: Framing,
    mut bytes: &'a [u8],
    on_frame: &mut impl FnMut(Frame<'_>),
) -> Result<&'a [u8]> {
    let next = match framing {
        Framing::WebSocket => first_frame,
        Framing::Mqtt => first_packet,
    };
    while let Some((frame, taken)) = next(bytes)? {
        on_frame(frame);
        bytes = &bytes[taken..];
    }
    Ok(bytes)
}
