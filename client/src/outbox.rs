//! Own messages on their way to the relay.
//!
//! - Every message has an id from the start, and keeps it: the relay delivers an id once, so
//!   sending again what was not acknowledged can't double anything.
//! - One message is on the wire at a time, so that they arrive in the order in which they were said
//!   whatever the relay refuses or delays. With ten messages a minute allowed, nobody waits for that.
//! - A message that has waited for as long as a message lives fails: words from half an hour ago,
//!   out of nowhere and perhaps at another place, are not what anyone meant to say.
//! - A message that the relay does not take fails at once, with the relay's reason.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use neartalk_shared::{
    ApiError, ErrorCode, MessageId, MessageText,
    limits::{MESSAGE_TTL, MESSAGE_WINDOW, MESSAGES_PER_WINDOW},
};

use crate::event::{FailedReason, Waiting};

/// As many can wait as could ever be sent before they are too old.
const MAX_WAITING: usize =
    (MESSAGES_PER_WINDOW as u64 * MESSAGE_TTL.as_secs() / MESSAGE_WINDOW.as_secs()) as usize;
/// A relay answers at once. Without an answer for this long on a living connection, the message is
/// sent again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long to wait when the relay asks for patience without saying for how long.
const DEFAULT_DELAY: Duration = Duration::from_secs(5);

/// A message that left the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// Which.
    pub id: MessageId,
    /// What it says.
    pub text: MessageText,
}

/// What came of the relay's refusal of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is no message of this outbox (any more).
    Unknown,
    /// It is sent again after this time.
    Delayed(Duration),
    /// The relay has lost the place; it is sent again once the relay knows it.
    NeedsPlace,
    /// It will not be sent.
    Failed(Done, FailedReason),
}

#[derive(Debug)]
struct Entry {
    id: MessageId,
    text: MessageText,
    said_at: Instant,
}

/// The queue of own messages; the first of them may be on the wire.
#[derive(Debug)]
pub struct Outbox {
    entries: VecDeque<Entry>,
    /// When the first was put on the wire of the present connection.
    in_flight: Option<Instant>,
    /// Nothing is sent before this.
    hold_until: Option<Instant>,
    ttl: Duration,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            entries: VecDeque::new(),
            in_flight: None,
            hold_until: None,
            ttl: MESSAGE_TTL,
        }
    }
}

impl Outbox {
    /// Takes how long a message lives from the relay.
    pub fn set_ttl(&mut self, ttl: Duration) {
        self.ttl = ttl;
    }

    /// Adds a message at the end. A second one with the same id is the same one. `Err` when too
    /// many wait.
    pub fn push(&mut self, now: Instant, id: MessageId, text: MessageText) -> Result<(), Done> {
        if self.entries.iter().any(|e| e.id == id) {
            return Ok(());
        }
        if self.entries.len() >= MAX_WAITING {
            return Err(Done { id, text });
        }
        self.entries.push_back(Entry {
            id,
            text,
            said_at: now,
        });
        Ok(())
    }

    /// The message to put on the wire now, if any. Call only while the relay is connected and knows
    /// the place.
    pub fn next(&mut self, now: Instant) -> Option<(MessageId, MessageText)> {
        if self
            .in_flight
            .is_some_and(|since| now.saturating_duration_since(since) < ANSWER_TIMEOUT)
            || self.hold_until.is_some_and(|until| now < until)
        {
            return None;
        }
        let first = self.entries.front()?;
        self.in_flight = Some(now);
        self.hold_until = None;
        Some((first.id, first.text.clone()))
    }

    /// The connection is gone; what was not acknowledged is to be sent again on the next one.
    pub fn disconnected(&mut self) {
        self.in_flight = None;
    }

    /// The relay keeps a new account of this person, without what it asked to wait for.
    pub fn new_session(&mut self) {
        self.hold_until = None;
    }

    /// The relay has the message.
    pub fn acknowledged(&mut self, id: MessageId) -> Option<Done> {
        self.take(id)
    }

    /// The relay has refused the message.
    pub fn refused(&mut self, now: Instant, id: MessageId, error: ApiError) -> Refusal {
        if self.entries.iter().all(|e| e.id != id) {
            return Refusal::Unknown;
        }
        let delay = error.retry_after_ms.map(Duration::from_millis);
        match error.code {
            ErrorCode::RateLimited | ErrorCode::Unavailable => {
                let delay = delay.unwrap_or(DEFAULT_DELAY);
                self.in_flight = None;
                self.hold_until = Some(now + delay);
                Refusal::Delayed(delay)
            }
            ErrorCode::NoLocation => {
                self.in_flight = None;
                Refusal::NeedsPlace
            }
            _ => match self.take(id) {
                Some(done) => Refusal::Failed(done, FailedReason::Refused { error }),
                None => Refusal::Unknown,
            },
        }
    }

    fn take(&mut self, id: MessageId) -> Option<Done> {
        let index = self.entries.iter().position(|e| e.id == id)?;
        if index == 0 {
            self.in_flight = None;
        }
        let Entry { id, text, .. } = self.entries.remove(index)?;
        Some(Done { id, text })
    }

    /// Removes a message that has waited for too long.
    pub fn pop_expired(&mut self, now: Instant) -> Option<Done> {
        // The first is the oldest.
        let first = self.entries.front()?;
        (now >= first.said_at + self.ttl)
            .then_some(first.id)
            .and_then(|id| self.take(id))
    }

    /// When something is to be done next without anything happening before: a message gets too old,
    /// can be sent (`sendable` tells whether the relay is there to take it), or has no answer.
    pub fn next_wake(&self, sendable: bool) -> Option<Instant> {
        let first = self.entries.front()?;
        let expiry = first.said_at + self.ttl;
        let send = match (self.in_flight, self.hold_until) {
            (Some(since), _) => since + ANSWER_TIMEOUT,
            (None, Some(until)) => until,
            (None, None) => return Some(expiry),
        };
        Some(if sendable { expiry.min(send) } else { expiry })
    }

    /// What waits, in order.
    pub fn waiting(&self) -> Vec<Waiting> {
        self.entries
            .iter()
            .map(|e| Waiting {
                id: e.id,
                text: e.text.clone(),
            })
            .collect()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(s: &str) -> MessageText {
        MessageText::parse(s).unwrap()
    }

    /// An outbox with messages "0", "1", … said one second after another.
    fn outbox(start: Instant, n: usize) -> (Outbox, Vec<MessageId>) {
        let mut outbox = Outbox::default();
        let ids: Vec<_> = (0..n).map(|_| MessageId::random()).collect();
        for (i, id) in ids.iter().enumerate() {
            let at = start + Duration::from_secs(i as u64);
            outbox.push(at, *id, text(&i.to_string())).unwrap();
        }
        (outbox, ids)
    }

    fn limited(ms: Option<u64>) -> ApiError {
        ApiError {
            retry_after_ms: ms,
            ..ApiError::new(ErrorCode::RateLimited, "Slow down.")
        }
    }

    #[test]
    fn one_at_a_time_and_in_order() {
        let now = Instant::now();
        let (mut outbox, ids) = outbox(now, 3);
        for id in &ids {
            assert_eq!(outbox.next(now).map(|(id, _)| id), Some(*id));
            assert_eq!(outbox.next(now), None);
            assert_eq!(outbox.acknowledged(*id).map(|d| d.id), Some(*id));
            assert_eq!(outbox.acknowledged(*id), None);
        }
        assert!(outbox.is_empty());
        assert_eq!(outbox.next_wake(true), None);
    }

    #[test]
    fn unacknowledged_goes_again_with_the_same_id() {
        let now = Instant::now();
        let (mut outbox, ids) = outbox(now, 2);
        assert_eq!(outbox.next(now), Some((ids[0], text("0"))));
        outbox.disconnected();
        assert_eq!(outbox.next(now), Some((ids[0], text("0"))));
        // The answer of the first connection would have been the same as that of the second.
        assert!(outbox.acknowledged(ids[0]).is_some());
        assert_eq!(outbox.next(now), Some((ids[1], text("1"))));
    }

    #[test]
    fn a_silent_relay_is_asked_again() {
        let now = Instant::now();
        let (mut outbox, ids) = outbox(now, 1);
        outbox.next(now);
        let wake = outbox.next_wake(true).unwrap();
        assert_eq!(wake, now + ANSWER_TIMEOUT);
        assert_eq!(outbox.next(wake - Duration::from_millis(1)), None);
        assert_eq!(outbox.next(wake).map(|(id, _)| id), Some(ids[0]));
    }

    #[test]
    fn rate_limit_holds_all_and_keeps_the_order() {
        let now = Instant::now();
        let (mut outbox, ids) = outbox(now, 2);
        outbox.next(now);
        assert_eq!(
            outbox.refused(now, ids[0], limited(Some(7_000))),
            Refusal::Delayed(Duration::from_secs(7))
        );
        let wake = outbox.next_wake(true).unwrap();
        assert_eq!(wake, now + Duration::from_secs(7));
        assert_eq!(outbox.next(wake - Duration::from_millis(1)), None);
        // A new connection does not make the relay forget …
        outbox.disconnected();
        assert_eq!(outbox.next(wake - Duration::from_millis(1)), None);
        assert_eq!(outbox.next(wake).map(|(id, _)| id), Some(ids[0]));
        assert_eq!(
            outbox.refused(wake, ids[0], limited(None)),
            Refusal::Delayed(DEFAULT_DELAY)
        );
        // … but a new session has a new account.
        outbox.new_session();
        assert_eq!(outbox.next(wake).map(|(id, _)| id), Some(ids[0]));
    }

    #[test]
    fn refusals() {
        let now = Instant::now();
        let (mut outbox, ids) = outbox(now, 2);
        outbox.next(now);
        let no_place = ApiError::new(ErrorCode::NoLocation, "Where are you?");
        assert_eq!(outbox.refused(now, ids[0], no_place), Refusal::NeedsPlace);
        assert_eq!(outbox.next(now).map(|(id, _)| id), Some(ids[0]));
        let invalid = ApiError::new(ErrorCode::InvalidMessage, "No.");
        assert_eq!(
            outbox.refused(now, ids[0], invalid.clone()),
            Refusal::Failed(
                Done {
                    id: ids[0],
                    text: text("0")
                },
                FailedReason::Refused {
                    error: invalid.clone()
                }
            )
        );
        assert_eq!(outbox.refused(now, ids[0], invalid), Refusal::Unknown);
        assert_eq!(outbox.next(now).map(|(id, _)| id), Some(ids[1]));
    }

    #[test]
    fn too_old_fails_rather_than_being_sent_late() {
        let now = Instant::now();
        let (mut outbox, ids) = outbox(now, 2);
        assert_eq!(outbox.next_wake(false), Some(now + MESSAGE_TTL));
        assert_eq!(
            outbox.pop_expired(now + MESSAGE_TTL - Duration::from_millis(1)),
            None
        );
        let done = outbox.pop_expired(now + MESSAGE_TTL).unwrap();
        assert_eq!(done.id, ids[0]);
        assert_eq!(outbox.pop_expired(now + MESSAGE_TTL), None);
        outbox.set_ttl(Duration::from_secs(2));
        assert_eq!(outbox.next_wake(false), Some(now + Duration::from_secs(3)));
        assert!(outbox.pop_expired(now + Duration::from_secs(3)).is_some());
    }

    #[test]
    fn is_bounded_and_knows_its_own() {
        let now = Instant::now();
        let (mut outbox, ids) = outbox(now, MAX_WAITING);
        assert_eq!(outbox.push(now, ids[5], text("5")), Ok(()));
        let one_more = MessageId::random();
        let refused = outbox.push(now, one_more, text("x")).unwrap_err();
        assert_eq!(refused.id, one_more);
        assert_eq!(outbox.waiting().len(), MAX_WAITING);
        assert_eq!(outbox.waiting()[7].id, ids[7]);
    }
}
