//! NearTalk's own protocol: docs/protocol.md.

use std::net::SocketAddr;

use anyhow::Result;
use neartalk_shared::{ClientFrame, PeerId, Spot, frame::Locate, limits::PROTOCOL_VERSION};

use super::protocol::{Heard, Note, Notes, Protocol, candidate};
use crate::{
    frames::{TEXT, client_frame, frame_type, number_after, uuid_text},
    http::{Sessions, upgrade},
    swarm::Swarm,
};

/// Clients of one relay or of several.
pub struct NearTalk {
    relays: Vec<(SocketAddr, Sessions)>,
    peers: Vec<PeerId>,
    notes: Notes,
}

impl NearTalk {
    /// Of people who are spread over these relays in turn.
    pub fn new(relays: &[SocketAddr]) -> Result<Self> {
        let relays = relays
            .iter()
            .map(|&relay| Ok((relay, Sessions::new(relay)?)))
            .collect::<Result<_>>()?;
        Ok(Self {
            relays,
            peers: Vec::new(),
            notes: Notes::default(),
        })
    }

    fn send(swarm: &mut Swarm, who: u32, json: &str) -> Result<()> {
        swarm.send(who as usize, &client_frame(TEXT, json.as_bytes()))
    }
}

impl Protocol for NearTalk {
    fn name(&self) -> &'static str {
        "NearTalk"
    }

    fn join(&mut self, swarm: &mut Swarm) -> Result<()> {
        let number = self.peers.len();
        let relay = number % self.relays.len();
        let (address, sessions) = &mut self.relays[relay];
        let created = sessions.create(number)?;
        let who = swarm.add(upgrade(*address)?, Vec::new())?;
        self.peers.push(created.peer_id);
        let hello = ClientFrame::Hello {
            session_id: created.session_id,
            protocol: PROTOCOL_VERSION,
        };
        Self::send(swarm, who as u32, &hello.to_json())
    }

    fn place(
        &mut self,
        swarm: &mut Swarm,
        who: u32,
        _from: Option<&Spot>,
        to: &Spot,
    ) -> Result<bool> {
        let locate = ClientFrame::Locate(Locate {
            place: to.centre(),
            radius: to.radius(),
        });
        Self::send(swarm, who, &locate.to_json())?;
        Ok(true)
    }

    fn say(&mut self, swarm: &mut Swarm, note: Note, _at: &Spot, bytes: usize) -> Result<()> {
        let id = uuid_text(u64::from(note.number));
        let text = note.text(bytes);
        let say = format!(r#"{{"type":"say","id":"{id}","text":"{text}"}}"#);
        Self::send(swarm, note.sender, &say)
    }

    fn signal(&mut self, swarm: &mut Swarm, note: Note, to: u32) -> Result<()> {
        let (to, candidate) = (&self.peers[to as usize], candidate(note));
        let signal = format!(
            r#"{{"type":"signal","to":"{to}","data":{{"kind":"candidate","candidate":"{candidate}","sdp_mid":"0","sdp_m_line_index":0}}}}"#
        );
        Self::send(swarm, note.sender, &signal)
    }

    fn voice(&mut self, swarm: &mut Swarm, who: u32, _at: &Spot, inside: bool) -> Result<()> {
        let frame = if inside {
            ClientFrame::VoiceJoin
        } else {
            ClientFrame::VoiceLeave
        };
        Self::send(swarm, who, &frame.to_json())
    }

    #[inline]
    fn read(&mut self, _who: u32, bytes: &[u8], hear: &mut impl FnMut(Heard)) {
        match frame_type(bytes) {
            b"message" => hear(
                self.notes
                    .find(bytes)
                    .map_or(Heard::Presence, Heard::Message),
            ),
            b"sent" => hear(Heard::Sent(
                number_after(bytes, r#""reached":"#).unwrap_or_default(),
            )),
            b"signal" => hear(
                self.notes
                    .find(bytes)
                    .map_or(Heard::Presence, Heard::Signal),
            ),
            b"welcome" => hear(Heard::Welcome),
            b"located" => hear(Heard::Placed),
            b"error" => hear(Heard::Refused(String::from_utf8_lossy(bytes).into_owned())),
            // Whole lists, what was said before, and who can be called: all of it is about others.
            _ => hear(Heard::Presence),
        }
    }

    fn reply(&mut self, _swarm: &mut Swarm) -> Result<()> {
        Ok(())
    }
}
