//! socket.io over WebSocket: <https://socket.io/docs/v4/socket-io-protocol/>. Its server, which asks
//! Redis who is near, is in `socketio/`.

use std::net::SocketAddr;

use anyhow::Result;
use neartalk_shared::Spot;

use super::protocol::{Heard, Note, Notes, Protocol, here_json, message_json, signal_json};
use crate::{
    frames::{TEXT, client_frame},
    http::upgrade_at,
    swarm::Swarm,
};

/// Numbers of the acknowledgements that are asked for.
const SENT: &[u8] = b"430[";
const PLACED: &[u8] = b"431[";

/// Clients of a socket.io server.
pub struct SocketIo {
    server: SocketAddr,
    /// What the server calls each of them.
    ids: Vec<String>,
    replies: Vec<(u32, &'static str)>,
    notes: Notes,
}

impl SocketIo {
    /// Of the server that listens there.
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            ids: Vec::new(),
            replies: Vec::new(),
            notes: Notes::default(),
        }
    }

    fn send(swarm: &mut Swarm, who: u32, text: &str) -> Result<()> {
        swarm.send(who as usize, &client_frame(TEXT, text.as_bytes()))
    }
}

impl Protocol for SocketIo {
    fn name(&self) -> &'static str {
        "socket.io + Redis"
    }

    fn join(&mut self, swarm: &mut Swarm) -> Result<()> {
        let (stream, heard) = upgrade_at(self.server, "/socket.io/?EIO=4&transport=websocket")?;
        let who = swarm.add(stream, heard)?;
        self.ids.push(String::new());
        // Without waiting to be told of the transport's session, which is not needed.
        Self::send(swarm, who as u32, "40")
    }

    fn place(
        &mut self,
        swarm: &mut Swarm,
        who: u32,
        from: Option<&Spot>,
        to: &Spot,
    ) -> Result<bool> {
        let here = here_json(who, to, false);
        let (grid, tell) = (to.grid_m(), from.is_some());
        Self::send(
            swarm,
            who,
            &format!(r#"421["locate",{here},{grid},{tell}]"#),
        )?;
        Ok(true)
    }

    fn say(&mut self, swarm: &mut Swarm, note: Note, at: &Spot, bytes: usize) -> Result<()> {
        let message = message_json(note, at, bytes);
        Self::send(swarm, note.sender, &format!(r#"420["say",{message}]"#))
    }

    fn signal(&mut self, swarm: &mut Swarm, note: Note, to: u32) -> Result<()> {
        let (to, signal) = (&self.ids[to as usize], signal_json(note));
        Self::send(
            swarm,
            note.sender,
            &format!(r#"42["signal","{to}",{signal}]"#),
        )
    }

    fn voice(&mut self, swarm: &mut Swarm, who: u32, at: &Spot, inside: bool) -> Result<()> {
        let here = here_json(who, at, inside);
        Self::send(swarm, who, &format!(r#"42["voice",{here}]"#))
    }

    #[inline]
    fn read(&mut self, who: u32, bytes: &[u8], hear: &mut impl FnMut(Heard)) {
        if bytes.starts_with(br#"42["message""#) {
            hear(
                self.notes
                    .find(bytes)
                    .map_or(Heard::Presence, Heard::Message),
            );
        } else if let Some(count) = bytes.strip_prefix(SENT) {
            let count = count.iter().take_while(|byte| byte.is_ascii_digit());
            hear(Heard::Sent(
                count.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')),
            ));
        } else if bytes.starts_with(br#"42["signal""#) {
            hear(
                self.notes
                    .find(bytes)
                    .map_or(Heard::Presence, Heard::Signal),
            );
        } else if bytes.starts_with(br#"42["here""#) {
            hear(Heard::Presence);
        } else if bytes.starts_with(PLACED) {
            hear(Heard::Placed);
        } else if let Some(connected) = bytes.strip_prefix(b"40") {
            match serde_json::from_slice::<Connected>(connected) {
                Ok(Connected { sid }) => {
                    self.ids[who as usize] = sid;
                    hear(Heard::Welcome);
                }
                Err(_) => hear(Heard::Refused("40 without a name".into())),
            }
        } else if bytes == b"2" {
            self.replies.push((who, "3"));
        } else if bytes.starts_with(b"44") || bytes.starts_with(b"41") {
            hear(Heard::Refused(String::from_utf8_lossy(bytes).into_owned()));
        }
    }

    fn reply(&mut self, swarm: &mut Swarm) -> Result<()> {
        for (who, text) in std::mem::take(&mut self.replies) {
            Self::send(swarm, who, text)?;
        }
        Ok(())
    }

    fn slack_m(&self) -> f64 {
        // Redis keeps places as 52 bits, and reckons with a slightly larger Earth.
        4.0
    }
}

#[derive(serde::Deserialize)]
struct Connected {
    sid: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_told_apart() {
        let mut clients = SocketIo::new(([127, 0, 0, 1], 1).into());
        clients.ids.push(String::new());
        let note = Note {
            due: 5,
            number: 6,
            sender: 7,
        };
        let signal = signal_json(note);
        let text = note.text(60);
        let mut heard = Vec::new();
        for line in [
            r#"0{"sid":"x","upgrades":[]}"#,
            r#"40{"sid":"abc"}"#,
            "2",
            "431[]",
            &format!(r#"42["message",{{"text":"{text}"}}]"#),
            "430[51]",
            &format!(r#"42["signal","abc",{signal}]"#),
            r#"42["here",{}]"#,
            r#"44{"message":"no"}"#,
        ] {
            clients.read(0, line.as_bytes(), &mut |it| heard.push(it));
        }
        assert_eq!(
            heard,
            [
                Heard::Welcome,
                Heard::Placed,
                Heard::Message(note),
                Heard::Sent(51),
                Heard::Signal(note),
                Heard::Presence,
                Heard::Refused(r#"44{"message":"no"}"#.into()),
            ]
        );
        assert_eq!(clients.ids, ["abc"]);
        assert_eq!(clients.replies, [(0, "3")]);
    }
}
