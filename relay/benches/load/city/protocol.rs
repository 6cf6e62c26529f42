//! What a server and its clients say to each other, as far as the load needs it.

use anyhow::Result;
use memchr::memmem::Finder;
use neartalk_shared::Spot;

use crate::{frames::uuid_text, swarm::Swarm};

/// What is in every text, so that whoever reads it knows how long it took: when it was due, in
/// nanoseconds, which message it is, and whose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    pub due: u64,
    pub number: u32,
    pub sender: u32,
}

/// Where a [`Note`] begins in JSON.
const NOTE: &[u8] = b"\"t=";
/// Digits of its numbers, and where they begin after that.
const DUE: std::ops::Range<usize> = 0..13;
const NUMBER: std::ops::Range<usize> = 16..25;
const SENDER: std::ops::Range<usize> = 28..34;

impl Note {
    /// As text of `bytes` bytes, or as long as it has to be.
    pub fn text(&self, bytes: usize) -> String {
        let Self {
            due,
            number,
            sender,
        } = self;
        let mut text = format!("t={due:013} n={number:09} s={sender:06} ");
        let filler = "the quick brown fox jumps over the lazy dog ";
        let rest = bytes.saturating_sub(text.len() + 1);
        text.extend(filler.chars().cycle().take(rest));
        // White space at the end would be trimmed.
        text.push('.');
        text
    }
}

/// Finds notes in JSON.
pub struct Notes(Finder<'static>);

impl Default for Notes {
    fn default() -> Self {
        Self(Finder::new(NOTE))
    }
}

impl Notes {
    /// The first note in it.
    #[inline]
    pub fn find(&self, json: &[u8]) -> Option<Note> {
        let rest = json.get(self.0.find(json)? + NOTE.len()..)?;
        Some(Note {
            due: digits(rest.get(DUE)?)?,
            number: digits(rest.get(NUMBER)?)? as u32,
            sender: digits(rest.get(SENDER)?)? as u32,
        })
    }
}

/// A number of nothing but digits.
#[inline]
pub fn digits(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| number.wrapping_mul(10) + u64::from(digit))
    })
}

/// What a client hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It has been let in.
    Welcome,
    /// Its place is known, or what it listens to.
    Placed,
    /// Somebody has said something.
    Message(Note),
    /// Somebody in voice has handed it something.
    Signal(Note),
    /// Something about who is around.
    Presence,
    /// What it said has reached so many.
    Sent(u64),
    /// The server refuses something.
    Refused(String),
}

/// How to talk to one kind of server. People are numbered like their sockets.
pub trait Protocol {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Opens the next person's connection and greets; [`Heard::Welcome`] is the answer.
    fn join(&mut self, swarm: &mut Swarm) -> Result<()>;

    /// Takes somebody from one place to another; whether a [`Heard::Placed`] will answer.
    fn place(
        &mut self,
        swarm: &mut Swarm,
        who: u32,
        from: Option<&Spot>,
        to: &Spot,
    ) -> Result<bool>;

    /// Says something of `bytes` bytes at a place.
    fn say(&mut self, swarm: &mut Swarm, note: Note, at: &Spot, bytes: usize) -> Result<()>;

    /// Hands a candidate to a peer in voice.
    fn signal(&mut self, swarm: &mut Swarm, note: Note, to: u32) -> Result<()>;

    /// Joins voice or leaves it.
    fn voice(&mut self, swarm: &mut Swarm, who: u32, at: &Spot, inside: bool) -> Result<()>;

    /// Understands what came to somebody's socket.
    fn read(&mut self, who: u32, bytes: &[u8], hear: &mut impl FnMut(Heard));

    /// Sends what has to be answered to what was read.
    fn reply(&mut self, swarm: &mut Swarm) -> Result<()>;

    /// Whether people get more than they want, and have to look for themselves what is in range.
    fn discards(&self) -> bool {
        false
    }

    /// How far the server may be wrong about a distance, in metres.
    fn slack_m(&self) -> f64 {
        0.0
    }
}

/// The candidate line that a note travels in.
pub fn candidate(note: Note) -> String {
    note.text(110)
}

/// What a client of a broker publishes when it says something: as much as a NearTalk client
/// receives, with the place by which those who get it decide whether they want it.
pub fn message_json(note: Note, at: &Spot, bytes: usize) -> String {
    let id = uuid_text(u64::from(note.number));
    let text = note.text(bytes);
    let sender = note.sender;
    let (lat, lon) = (at.centre().lat(), at.centre().lon());
    let radius = at.radius().metres();
    format!(
        r#"{{"type":"message","id":"{id}","from":"{sender:026}","username":"Load {sender:05}","text":"{text}","sent_at":1700000000000,"lat":{lat:.6},"lon":{lon:.6},"radius":{radius}}}"#
    )
}

/// What a client of a broker publishes so that the others see where it is.
pub fn here_json(who: u32, at: &Spot, in_voice: bool) -> String {
    let (lat, lon) = (at.centre().lat(), at.centre().lon());
    let radius = at.radius().metres();
    format!(
        r#"{{"type":"here","from":"{who:026}","username":"Load {who:05}","lat":{lat:.6},"lon":{lon:.6},"radius":{radius},"in_voice":{in_voice}}}"#
    )
}

/// What a client of a broker publishes to a peer in voice.
pub fn signal_json(note: Note) -> String {
    let (sender, candidate) = (note.sender, candidate(note));
    format!(
        r#"{{"type":"signal","from":"{sender:026}","data":{{"kind":"candidate","candidate":"{candidate}","sdp_mid":"0","sdp_m_line_index":0}}}}"#
    )
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{ClientFrame, Place, Radius};

    use super::*;

    #[test]
    fn notes_are_found_in_whatever_they_travel_in() {
        let note = Note {
            due: 9_876_543_210_123,
            number: 123_456_789,
            sender: 14_999,
        };
        let spot = Spot::new(Place::new(-1.5, 179.9).unwrap(), Radius::MAX);
        let notes = Notes::default();
        for json in [
            message_json(note, &spot, 120),
            message_json(note, &spot, 0),
            signal_json(note),
        ] {
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert!(parsed.is_object());
            assert_eq!(notes.find(json.as_bytes()), Some(note), "{json}");
        }
        assert_eq!(notes.find(here_json(1, &spot, true).as_bytes()), None);
        assert_eq!(notes.find(br#"{"text":"t=12"#), None);
        assert_eq!(
            notes.find(br#"{"text":"t=00000000000x0 n=000000001 s=000001 "}"#),
            None
        );
        let text = note.text(120);
        assert_eq!(text.len(), 120);
        let say = format!(
            r#"{{"type":"say","id":"{}","text":"{text}"}}"#,
            uuid_text(7)
        );
        assert!(matches!(
            ClientFrame::parse(&say),
            Ok(ClientFrame::Say { text, .. }) if text.as_str().len() == 120
        ));
    }
}
