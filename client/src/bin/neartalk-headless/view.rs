//! Events as sentences.

use std::time::Duration;

use neartalk_client::{
    ChatMessage, ConnectionState, Event, FailedReason, OfflineReason, StopReason,
};
use neartalk_shared::{MessageText, frame::LeftReason};

use crate::roster::{Roster, distance, with_tag};

/// What has been shown, as far as it decides what is still worth showing.
#[derive(Debug)]
pub struct View {
    relay: String,
    /// A place has been given.
    placed: bool,
    /// The person has been told who they are.
    greeted: bool,
    /// The name that was shown last.
    called: Option<String>,
    /// `Some` while there is no connection: what was said about it.
    offline: Option<String>,
    /// The relay has a new place or circle, so that who is in range is worth a sentence.
    moved: bool,
    /// The next `Me` has been told in other words.
    replaced: bool,
    ttl: Duration,
}

impl View {
    pub fn new(relay: String, placed: bool) -> Self {
        Self {
            relay,
            placed,
            greeted: false,
            called: None,
            offline: None,
            moved: false,
            replaced: false,
            ttl: neartalk_shared::limits::MESSAGE_TTL,
        }
    }

    /// A place has been given.
    pub fn placed(&mut self) {
        self.placed = true;
    }

    /// The lines that tell of an event, which the roster follows too.
    pub fn show(&mut self, event: &Event, roster: &mut Roster) -> Vec<String> {
        // Whoever leaves is named as they were.
        let lines = match event {
            Event::PersonLeft {
                peer_id,
                username,
                reason,
            } => vec![match reason {
                LeftReason::Moved => format!("{} is out of range.", with_tag(username, *peer_id)),
                LeftReason::Left => format!("{} left.", with_tag(username, *peer_id)),
                LeftReason::Expired => format!("{} is gone.", with_tag(username, *peer_id)),
                LeftReason::Banned => {
                    format!("{} was blocked by the relay.", with_tag(username, *peer_id))
                }
            }],
            _ => Vec::new(),
        };
        roster.apply(event);
        if lines.is_empty() {
            self.sentences(event, roster)
        } else {
            lines
        }
    }

    fn sentences(&mut self, event: &Event, roster: &Roster) -> Vec<String> {
        match event {
            Event::Connection(state) => self.connection(state, roster),
            Event::Me(me) => {
                self.ttl = Duration::from_millis(me.limits.message_ttl_ms);
                let name = with_tag(&me.username, me.peer_id);
                let before = self.called.replace(name.clone());
                if std::mem::take(&mut self.replaced) {
                    return vec![format!(
                        "The relay has forgotten you: it restarted, or you were away for long. You \
                         are {name} now, and somebody new to others."
                    )];
                }
                if before.as_ref() == Some(&name) {
                    return Vec::new();
                }
                if self.greeted {
                    let left = me.username_changes_left;
                    return vec![format!(
                        "You are {name} now. {left} {} left.",
                        if left == 1 { "change" } else { "changes" }
                    )];
                }
                self.greeted = true;
                let mut lines = vec![format!(
                    "You are {name}. People within your circle can read you; everything vanishes \
                     after {}.",
                    span(self.ttl)
                )];
                lines.push(if self.placed {
                    "Type to talk, /help for more.".to_owned()
                } else {
                    "NearTalk does not know where you are: give a place with /move LAT,LON."
                        .to_owned()
                });
                lines
            }
            Event::SessionReplaced { .. } => {
                self.replaced = true;
                Vec::new()
            }
            Event::Located(_) => {
                self.moved = true;
                Vec::new()
            }
            Event::LocationRefused { error, retry_in_ms } => vec![format!(
                "The relay does not take this place yet: {} It is told again in {}.",
                ended(&error.message),
                span(Duration::from_millis(*retry_in_ms))
            )],
            Event::Nearby { .. } if std::mem::take(&mut self.moved) => {
                vec![match roster.count() {
                    1..=10 => roster.who(),
                    _ => roster.summary(),
                }]
            }
            Event::PersonEntered { person } => vec![format!(
                "{} is here, {}.",
                with_tag(&person.username, person.peer_id),
                distance(person.distance)
            )],
            Event::PersonChanged {
                person,
                renamed_from: Some(before),
            } => vec![format!(
                "{before} is called {} now.",
                with_tag(&person.username, person.peer_id)
            )],
            Event::History { messages } => messages.iter().map(|m| self.history(m)).collect(),
            Event::Message { message } => vec![spoken(message, None)],
            Event::Queued { .. } => match (&self.offline, self.placed) {
                (Some(_), _) => vec![waiting(roster)],
                (None, false) => {
                    vec!["This waits until you give a place with /move LAT,LON.".to_owned()]
                }
                (None, true) => Vec::new(),
            },
            Event::Delayed { retry_in_ms, .. } => vec![format!(
                "That was a lot at once. The next message is sent in {}.",
                span(Duration::from_millis(*retry_in_ms))
            )],
            Event::Sent { message, reached } => vec![match reached {
                0 => format!(
                    "You: {} (nobody yet; it stays for {})",
                    safe(&message.text),
                    span(Duration::from_millis(message.expires_in_ms))
                ),
                n => format!("You: {} (reached {n})", safe(&message.text)),
            }],
            Event::Failed { text, reason, .. } => {
                let why = match reason {
                    FailedReason::Expired => {
                        format!(
                            "it waited for {}, as long as a message lives.",
                            span(self.ttl)
                        )
                    }
                    FailedReason::TooMany => "too many messages wait already.".to_owned(),
                    FailedReason::Refused { error } => ended(&error.message),
                };
                vec![format!("Not sent: \"{}\". The reason: {why}", safe(text))]
            }
            Event::Reported { peer_id } => {
                vec![format!(
                    "The relay has your report about {}.",
                    roster.name(*peer_id)
                )]
            }
            Event::Announcement { text, .. } => {
                vec![format!("From whoever runs this relay: {}", safe(text))]
            }
            Event::Blocked { peer_id, blocked } => vec![match blocked {
                true => format!(
                    "{} is blocked: you see nothing of them any more. They are not told.",
                    roster.name(*peer_id)
                ),
                false => format!("{} is no longer blocked.", roster.name(*peer_id)),
            }],
            Event::Refused { error } => vec![ended(&error.message)],
            Event::Snapshot(snapshot) if snapshot.missed > 0 => vec![format!(
                "This terminal was too slow: {} events are missing here. {}",
                snapshot.missed,
                roster.summary()
            )],
            _ => Vec::new(),
        }
    }

    fn connection(&mut self, state: &ConnectionState, roster: &Roster) -> Vec<String> {
        match state {
            ConnectionState::Connecting => Vec::new(),
            ConnectionState::Online => match self.offline.take() {
                Some(_) => vec!["Back online.".to_owned()],
                None => Vec::new(),
            },
            ConnectionState::Offline { reason, .. } => {
                let cause = match reason {
                    OfflineReason::Unreachable { relay, detail } => {
                        format!("{relay} does not answer ({detail}).")
                    }
                    OfflineReason::Lost => "No connection.".to_owned(),
                    OfflineReason::Silent => format!("{} has fallen silent.", self.relay),
                    OfflineReason::RelayLeaving => {
                        format!("{} is shutting down or restarting.", self.relay)
                    }
                    OfflineReason::FellBehind => {
                        "This connection was too slow and was closed.".to_owned()
                    }
                    OfflineReason::Busy { detail } => {
                        format!("{} has too much to do: {}", self.relay, ended(detail))
                    }
                    OfflineReason::NotARelay { detail } => {
                        format!("{} does not answer like a relay: {detail}.", self.relay)
                    }
                };
                // Each attempt that fails alike is not news.
                if self.offline.as_ref() == Some(&cause) {
                    return Vec::new();
                }
                self.offline = Some(cause.clone());
                let what = match roster.waiting() {
                    0 => "It is tried again by itself; /retry tries now.".to_owned(),
                    n => format!("{} and will be sent.", messages(n, "waits", "wait")),
                };
                vec![format!("{cause} {what}")]
            }
            ConnectionState::Stopped { reason } => {
                self.offline = Some(String::new());
                match reason {
                    StopReason::Shutdown => Vec::new(),
                    StopReason::TakenOver => vec![
                        "Another device or window took over this session. /retry takes it back."
                            .to_owned(),
                    ],
                    StopReason::Banned { retry_after_ms } => vec![match retry_after_ms {
                        Some(ms) => format!(
                            "This relay has blocked you for {}.",
                            span(Duration::from_millis(*ms))
                        ),
                        None => "This relay has blocked you.".to_owned(),
                    }],
                    StopReason::UnsupportedProtocol => vec![
                        "This relay speaks another version of NearTalk. Update this program, or \
                         choose another relay."
                            .to_owned(),
                    ],
                }
            }
        }
    }

    fn history(&self, message: &ChatMessage) -> String {
        let left = Duration::from_millis(message.expires_in_ms);
        spoken(message, Some(self.ttl.saturating_sub(left)))
    }
}

/// "Fox · 7KQ, 100–150 m: Hello".
fn spoken(message: &ChatMessage, age: Option<Duration>) -> String {
    let mut line = if message.own {
        "You".to_owned()
    } else {
        with_tag(&message.username, message.from)
    };
    if let Some(band) = message.distance {
        line += &format!(", {}", distance(band));
    }
    if let Some(age) = age {
        line += &match age.as_secs() {
            ..60 => ", just now".to_owned(),
            secs => format!(", {} min ago", secs / 60),
        };
    }
    line + ": " + &safe(&message.text)
}

fn waiting(roster: &Roster) -> String {
    let n = roster.waiting();
    format!(
        "No connection. {} and will be sent.",
        messages(n, "waits", "wait")
    )
}

/// "1 message waits", "2 messages wait".
pub fn messages(n: usize, one: &str, many: &str) -> String {
    match n {
        1 => format!("1 message {one}"),
        n => format!("{n} messages {many}"),
    }
}

/// "8 s", "12 min".
fn span(duration: Duration) -> String {
    let secs = duration.as_millis().div_ceil(1_000);
    match secs {
        1 => "1 second".to_owned(),
        0..120 => format!("{secs} seconds"),
        _ if secs < 7_200 => format!("{} minutes", secs.div_ceil(60)),
        _ => format!("{} hours", secs.div_ceil(3_600)),
    }
}

/// A sentence with its full stop.
fn ended(sentence: &str) -> String {
    let sentence = printable(sentence.trim_end());
    if sentence.ends_with(['.', '?', '!']) {
        sentence
    } else {
        sentence + "."
    }
}

/// A message as it can't harm a terminal.
fn safe(text: &MessageText) -> String {
    printable(text.as_str())
}

/// Without what could move the cursor, change colours, or turn the rest of the line around; new
/// lines are indented, so that none looks like somebody else's message.
fn printable(s: &str) -> String {
    let mut out = String::with_capacity(s.len());
    for c in s.chars() {
        match c {
            '\n' | '\u{2028}' | '\u{2029}' => out.push_str("\n    "),
            // Embeddings, overrides and isolates of text direction.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_harms_a_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\u{9b}1m\u{7}"), "a [2Jb 1m ");
        assert_eq!(printable("\u{202e}evil\u{2066}\u{2069}"), "evil");
        assert_eq!(printable("a\nFox · 7KQ: b"), "a\n    Fox · 7KQ: b");
        assert_eq!(printable("a\u{2028}b"), "a\n    b");
        assert_eq!(printable("👩‍👩‍👧 مرحبا"), "👩‍👩‍👧 مرحبا");
    }

    #[test]
    fn spans() {
        assert_eq!(span(Duration::from_millis(400)), "1 second");
        assert_eq!(span(Duration::from_secs(8)), "8 seconds");
        assert_eq!(span(Duration::from_secs(30 * 60)), "30 minutes");
        assert_eq!(span(Duration::from_secs(86_400)), "24 hours");
    }
}
