//! MQTT 5 over TCP: <https://docs.oasis-open.org/mqtt/mqtt/v5.0/mqtt-v5.0.html>. Everything at most
//! once (QoS 0), which is the least work for a broker.

use std::{net::SocketAddr, slice::from_ref};

use anyhow::Result;
use neartalk_shared::Spot;

use super::{
    protocol::{Heard, Note, Notes, Protocol, here_json, message_json, signal_json},
    topics::Topics,
};
use crate::{frames::variable_length, http::connect, swarm::Swarm};

/// Packet types, with the flags that they have to have.
const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
const UNSUBSCRIBE: u8 = 0xA2;
const DISCONNECT: u8 = 0xE0;
/// Subscription option: nobody wants to hear themselves.
const NO_LOCAL: u8 = 0x04;

/// Clients of a mosquitto.
pub struct Mqtt {
    server: SocketAddr,
    topics: Topics,
    greeted: Vec<bool>,
    notes: Notes,
}

impl Mqtt {
    /// Of the broker that listens there.
    pub fn new(server: SocketAddr, topics: Topics) -> Self {
        Self {
            server,
            topics,
            greeted: Vec::new(),
            notes: Notes::default(),
        }
    }
}

/// A packet with this body.
fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![kind];
    let mut rest = body.len();
    while rest > 0x7F {
        packet.push(0x80 | (rest & 0x7F) as u8);
        rest >>= 7;
    }
    packet.push(rest as u8);
    packet.extend(body);
    packet
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    body.extend((text.len() as u16).to_be_bytes());
    body.extend(text.as_bytes());
}

fn connect_packet(who: usize) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    // Version 5, a clean start, no keep-alive, no properties.
    body.extend([5, 0x02, 0, 0, 0]);
    put_text(&mut body, &format!("load{who}"));
    packet(CONNECT, &body)
}

fn subscribe<'a>(topics: impl Iterator<Item = &'a String>) -> Option<Vec<u8>> {
    // Packet number 1 and no properties.
    let mut body = vec![0, 1, 0];
    for topic in topics {
        put_text(&mut body, topic);
        body.push(NO_LOCAL);
    }
    (body.len() > 3).then(|| packet(SUBSCRIBE, &body))
}

fn unsubscribe<'a>(topics: impl Iterator<Item = &'a String>) -> Option<Vec<u8>> {
    let mut body = vec![0, 2, 0];
    for topic in topics {
        put_text(&mut body, topic);
    }
    (body.len() > 3).then(|| packet(UNSUBSCRIBE, &body))
}

fn publish(topic: &str, payload: &str) -> Vec<u8> {
    let mut body = Vec::with_capacity(topic.len() + payload.len() + 3);
    put_text(&mut body, topic);
    body.push(0);
    body.extend(payload.as_bytes());
    packet(PUBLISH, &body)
}

/// Topic and payload of a PUBLISH packet.
#[inline]
fn published(packet: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, taken) = variable_length(packet.get(1..)?).ok()??;
    let body = packet.get(1 + taken..)?;
    let (length, rest) = body.split_first_chunk()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (properties, taken) = variable_length(rest).ok()??;
    Some((topic, rest.get(taken + properties..)?))
}

impl Protocol for Mqtt {
    fn name(&self) -> &'static str {
        "mosquitto"
    }

    fn join(&mut self, swarm: &mut Swarm) -> Result<()> {
        let who = swarm.add(connect(self.server)?, Vec::new())?;
        self.greeted.push(false);
        let mut greeting = connect_packet(who);
        greeting.extend(subscribe(from_ref(&format!("inbox/{who}")).iter()).unwrap_or_default());
        swarm.send(who, &greeting)
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
        let added = subscribe(new.difference(&old));
        let answered = added.is_some();
        let mut bytes = added.unwrap_or_default();
        bytes.extend(unsubscribe(old.difference(&new)).unwrap_or_default());
        if let Some(from) = from {
            let here = here_json(who, to, false);
            let (before, now) = (self.topics.own(who, from), self.topics.own(who, to));
            bytes.extend(publish(&now, &here));
            if before != now {
                bytes.extend(publish(&before, &here));
            }
        }
        swarm.send(who as usize, &bytes)?;
        Ok(answered)
    }

    fn say(&mut self, swarm: &mut Swarm, note: Note, at: &Spot, bytes: usize) -> Result<()> {
        let topic = self.topics.own(note.sender, at);
        let packet = publish(&topic, &message_json(note, at, bytes));
        swarm.send(note.sender as usize, &packet)
    }

    fn signal(&mut self, swarm: &mut Swarm, note: Note, to: u32) -> Result<()> {
        let packet = publish(&format!("inbox/{to}"), &signal_json(note));
        swarm.send(note.sender as usize, &packet)
    }

    fn voice(&mut self, swarm: &mut Swarm, who: u32, at: &Spot, inside: bool) -> Result<()> {
        let topic = self.topics.own(who, at);
        swarm.send(who as usize, &publish(&topic, &here_json(who, at, inside)))
    }

    #[inline]
    fn read(&mut self, who: u32, bytes: &[u8], hear: &mut impl FnMut(Heard)) {
        match bytes.first().map_or(0, |kind| kind & 0xF0) {
            PUBLISH => {
                let Some((topic, payload)) = published(bytes) else {
                    hear(Heard::Refused("a broken PUBLISH".into()));
                    return;
                };
                match self.notes.find(payload) {
                    Some(note) if topic.starts_with(b"inbox/") => hear(Heard::Signal(note)),
                    Some(note) => hear(Heard::Message(note)),
                    None => hear(Heard::Presence),
                }
            }
            SUBACK if self.greeted[who as usize] => hear(Heard::Placed),
            SUBACK => {
                self.greeted[who as usize] = true;
                hear(Heard::Welcome);
            }
            DISCONNECT => hear(Heard::Refused(format!("DISCONNECT {bytes:02x?}"))),
            _ => {}
        }
    }

    fn reply(&mut self, _swarm: &mut Swarm) -> Result<()> {
        Ok(())
    }

    fn discards(&self) -> bool {
        matches!(self.topics, Topics::Cells)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frames::first_packet;

    #[test]
    fn what_is_published_is_read_again() {
        for size in [0, 100, 127, 128, 20_000] {
            let payload = "x".repeat(size);
            let packet = publish("u33dc0", &payload);
            let (frame, taken) = first_packet(&packet).unwrap().unwrap();
            assert_eq!((frame.payload, taken), (&packet[..], packet.len()));
            assert_eq!(
                published(&packet),
                Some((&b"u33dc0"[..], payload.as_bytes()))
            );
        }
        assert_eq!(published(&[0x30, 5, 0, 9, b'a', b'b', b'c']), None);
        assert_eq!(published(&[0x30]), None);
    }

    #[test]
    fn nothing_to_subscribe_to_is_no_packet() {
        assert_eq!(subscribe([].iter()), None);
        assert_eq!(unsubscribe([].iter()), None);
        let topics = ["ab".to_owned()];
        assert_eq!(
            subscribe(topics.iter()),
            Some(vec![0x82, 8, 0, 1, 0, 0, 2, b'a', b'b', 4])
        );
    }
}
