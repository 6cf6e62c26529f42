//! NATS over WebSocket: <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

use std::{fmt::Write as _, net::SocketAddr};

use anyhow::Result;
use memchr::memmem;
use neartalk_shared::Spot;

use super::{
    protocol::{Heard, Note, Notes, Protocol, digits, here_json, message_json, signal_json},
    topics::Topics,
};
use crate::{
    frames::{BINARY, client_frame},
    http::upgrade_at,
    swarm::Swarm,
};

/// Clients of a nats-server.
pub struct Nats {
    server: SocketAddr,
    topics: Topics,
    clients: Vec<Client>,
    pings: Vec<u32>,
    notes: Notes,
}

#[derive(Default)]
struct Client {
    greeted: bool,
    /// The beginning of something whose rest is in a later frame.
    rest: Vec<u8>,
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
enum Said<'a> {
    Ping,
    Pong,
    Message {
        subject: &'a [u8],
        payload: &'a [u8],
    },
    Error(&'a [u8]),
    Other,
}

impl Nats {
    /// Of the server whose WebSocket listener is there.
    pub fn new(server: SocketAddr, topics: Topics) -> Self {
        Self {
            server,
            topics,
            clients: Vec::new(),
            pings: Vec::new(),
            notes: Notes::default(),
        }
    }

    fn send(swarm: &mut Swarm, who: u32, text: &str) -> Result<()> {
        swarm.send(who as usize, &client_frame(BINARY, text.as_bytes()))
    }
}

fn publish(subject: &str, payload: &str) -> String {
    format!("PUB {subject} {}\r\n{payload}\r\n", payload.len())
}

impl Protocol for Nats {
    fn name(&self) -> &'static str {
        "nats-server"
    }

    fn join(&mut self, swarm: &mut Swarm) -> Result<()> {
        let (stream, heard) = upgrade_at(self.server, "/")?;
        let who = swarm.add(stream, heard)? as u32;
        self.clients.push(Client::default());
        // Nobody wants to hear themselves. The answer to the ping says that all this is done.
        let greeting = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"echo\":false,\"lang\":\"load\",\"version\":\"1\",\"protocol\":1}}\r\nSUB inbox.{who} inbox\r\nPING\r\n"
        );
        Self::send(swarm, who, &greeting)
    }

    fn place(
        &mut self,
        swarm: &mut Swarm,
        who: u32,
        from: Option<&Spot>,
        to: &Spot,
    ) -> Result<bool> {
        let old = from
            .map(|from| self.topics.heard(who, from))
            .unwrap_or_default();
        let new = self.topics.heard(who, to);
        let mut text = String::new();
        for cell in new.difference(&old) {
            let _ = write!(text, "SUB {cell} {cell}\r\n");
        }
        for cell in old.difference(&new) {
            let _ = write!(text, "UNSUB {cell}\r\n");
        }
        if let Some(from) = from {
            let here = here_json(who, to, false);
            let (before, now) = (self.topics.own(who, from), self.topics.own(who, to));
            text.push_str(&publish(&now, &here));
            if before != now {
                text.push_str(&publish(&before, &here));
            }
        }
        text.push_str("PING\r\n");
        Self::send(swarm, who, &text)?;
        Ok(true)
    }

    fn say(&mut self, swarm: &mut Swarm, note: Note, at: &Spot, bytes: usize) -> Result<()> {
        let subject = self.topics.own(note.sender, at);
        let text = publish(&subject, &message_json(note, at, bytes));
        Self::send(swarm, note.sender, &text)
    }

    fn signal(&mut self, swarm: &mut Swarm, note: Note, to: u32) -> Result<()> {
        let text = publish(&format!("inbox.{to}"), &signal_json(note));
        Self::send(swarm, note.sender, &text)
    }

    fn voice(&mut self, swarm: &mut Swarm, who: u32, at: &Spot, inside: bool) -> Result<()> {
        let subject = self.topics.own(who, at);
        Self::send(swarm, who, &publish(&subject, &here_json(who, at, inside)))
    }

    #[inline]
    fn read(&mut self, who: u32, bytes: &[u8], hear: &mut impl FnMut(Heard)) {
        let client = &mut self.clients[who as usize];
        let mut joined;
        let mut bytes = bytes;
        if !client.rest.is_empty() {
            joined = std::mem::take(&mut client.rest);
            joined.extend_from_slice(bytes);
            bytes = &joined;
        }
        while let Some((said, taken)) = first(bytes) {
            match said {
                Said::Message { subject, payload } => match self.notes.find(payload) {
                    Some(note) if subject.starts_with(b"inbox.") => hear(Heard::Signal(note)),
                    Some(note) => hear(Heard::Message(note)),
                    None => hear(Heard::Presence),
                },
                Said::Ping => self.pings.push(who),
                Said::Pong if client.greeted => hear(Heard::Placed),
                Said::Pong => {
                    client.greeted = true;
                    hear(Heard::Welcome);
                }
                Said::Error(why) => {
                    hear(Heard::Refused(String::from_utf8_lossy(why).into_owned()));
                }
                Said::Other => {}
            }
            bytes = &bytes[taken..];
        }
        if !bytes.is_empty() {
            client.rest = bytes.to_vec();
        }
    }

    fn reply(&mut self, swarm: &mut Swarm) -> Result<()> {
        for who in std::mem::take(&mut self.pings) {
            Self::send(swarm, who, "PONG\r\n")?;
        }
        Ok(())
    }

    fn discards(&self) -> bool {
        matches!(self.topics, Topics::Cells)
    }
}

/// The first thing said in `bytes` and how long that is; `None` while it is incomplete.
#[inline]
fn first(bytes: &[u8]) -> Option<(Said<'_>, usize)> {
    let end = memmem::find(bytes, b"\r\n")?;
    let (line, start) = (&bytes[..end], end + 2);
    if let Some(fields) = line.strip_prefix(b"MSG ") {
        let mut fields = fields.split(|&byte| byte == b' ');
        let subject = fields.next().unwrap_or_default();
        // A name of the subscription, perhaps where to reply, and the size.
        let size = digits(fields.next_back().unwrap_or_default())? as usize;
        let payload = bytes.get(start..start + size)?;
        bytes.get(start + size..start + size + 2)?;
        return Some((Said::Message { subject, payload }, start + size + 2));
    }
    let said = match line {
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        _ if line.starts_with(b"-ERR") => Said::Error(line),
        _ => Said::Other,
    };
    Some((said, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_told_apart() {
        let bytes = b"INFO {}\r\nPING\r\nMSG c1 c1 5\r\nhe\r\no\r\nMSG inbox.3 inbox re 0\r\n\r\n-ERR 'no'\r\nPONG\r\nMSG c1 c1 9\r\nhel";
        let message = |subject, payload| Said::Message { subject, payload };
        let expected = [
            Said::Other,
            Said::Ping,
            message(b"c1", b"he\r\no"),
            message(b"inbox.3", b""),
            Said::Error(b"-ERR 'no'"),
            Said::Pong,
        ];
        let mut rest = &bytes[..];
        for said in expected {
            let (found, taken) = first(rest).unwrap();
            assert_eq!(found, said);
            rest = &rest[taken..];
        }
        assert_eq!(first(rest), None);
        assert_eq!(first(b"PIN"), None);
    }

    #[test]
    fn what_comes_in_two_frames_is_put_together() {
        let mut nats = Nats::new(([127, 0, 0, 1], 1).into(), Topics::Cells);
        nats.clients.push(Client::default());
        let note = Note {
            due: 5,
            number: 6,
            sender: 7,
        };
        let payload = signal_json(note);
        let bytes = format!(
            "PONG\r\nMSG inbox.0 inbox {}\r\n{payload}\r\nPONG\r\n",
            payload.len()
        );
        for cut in 0..bytes.len() {
            nats.clients[0].greeted = false;
            let mut heard = Vec::new();
            let (one, other) = bytes.as_bytes().split_at(cut);
            for part in [one, other] {
                nats.read(0, part, &mut |it| heard.push(it));
            }
            assert_eq!(heard, [Heard::Welcome, Heard::Signal(note), Heard::Placed]);
        }
    }
}
