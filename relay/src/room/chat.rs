//! What people say to each other.

use std::{sync::Arc, time::Instant};

use neartalk_shared::{
    ApiError, DistanceBand, ErrorCode, MessageId, MessageText, ServerFrame, Spot, Timestamp,
    frame::Message, limits::MESSAGE_WINDOW,
};

use super::{
    Room,
    history::Said,
    link::{Frame, Link},
    mirror::Home,
    place::no_location,
    session::Slot,
};
use crate::store::wire::Event;

/// At most so many messages go into one `history` frame, which keeps each below 64 KiB of ASCII.
const HISTORY_CHUNK: usize = 64;

/// A message on its way to many: serialised once, and per band of distance only the last few bytes
/// differ.
pub(super) struct MessageFrames {
    /// Everything up to the value of `distance`, which is the last field.
    head: String,
    heard_at: Option<Instant>,
    by_band: Vec<Option<Arc<Frame>>>,
}

impl MessageFrames {
    pub fn new(message: Message, heard_at: Option<Instant>) -> Self {
        let mut head = ServerFrame::Message(message).to_json();
        if let Some(end) = head.rfind(Self::FIELD) {
            head.truncate(end + Self::FIELD.len());
        }
        Self {
            head,
            heard_at,
            by_band: Vec::new(),
        }
    }

    const FIELD: &str = "\"distance\":";

    pub fn at(&mut self, band: DistanceBand) -> &Arc<Frame> {
        let index = band.index() as usize;
        if self.by_band.len() <= index {
            self.by_band.resize(index + 1, None);
        }
        self.by_band[index].get_or_insert_with(|| {
            let DistanceBand { min, max } = band;
            let json = format!("{}{{\"min\":{min},\"max\":{max}}}}}", self.head);
            Frame::from_json(json, self.heard_at)
        })
    }
}

impl<L: Link> Room<L> {
    /// Delivers a message to everyone in range, and keeps it for those who come later.
    pub(super) fn say(
        &mut self,
        slot: Slot,
        id: MessageId,
        text: MessageText,
        heard_at: Option<Instant>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let spot = *self.sessions[slot].spot().ok_or_else(no_location)?;
        self.metrics.store_read.increment(1);
        if let Some(said) = self.history.get(&id, now) {
            if said.from != self.sessions[slot].peer_id {
                return Err(ApiError::new(
                    ErrorCode::InvalidMessage,
                    "This message id is taken; choose another.",
                ));
            }
            // Its answer was lost on the way. Say it again, and deliver nothing.
            let sent = sent(said);
            if !self.is_unanswered(&id) {
                self.send(slot, &sent);
            }
            return Ok(());
        }
        let limit = self.settings.messages_per_minute;
        let session = &mut self.sessions[slot];
        if let Err(retry) = session.quotas.messages.check(limit, MESSAGE_WINDOW, now) {
            self.metrics.limited_message.increment(1);
            let what = format!("You have sent {limit} messages within a minute");
            return Err(ApiError::rate_limited(&what, retry));
        }
        self.check_message(slot, &text, &spot, now)?;
        let session = &self.sessions[slot];
        let mut said = Said {
            id,
            from: session.peer_id,
            username: session.username.clone(),
            text,
            sent_at: now,
            expires_at: now + self.history.ttl(),
            reached: 0,
        };
        let band = DistanceBand::from_index(0);
        let mut frames = MessageFrames::new(said.at_distance(band), heard_at);
        let sessions = &mut self.sessions;
        let mut reached = 0;
        let mut elsewhere = 0;
        self.index.in_range(&spot, |other, band| {
            if other != slot {
                let session = &mut sessions[other];
                if let Some((_, link)) = &mut session.link {
                    reached += u32::from(link.send(frames.at(band)));
                } else if let Some(shared) = &session.shared
                    && matches!(shared.home, Home::Away { linked: true, .. })
                {
                    elsewhere += 1;
                }
            }
        });
        said.reached = reached + elsewhere;
        self.metrics.messages.increment(1);
        self.metrics.deliveries.increment(u64::from(reached));
        self.metrics.store_write.increment(1);
        // Whoever is told that it is sent must be able to rely on it.
        let answered_later = self.share_message(slot, &said, &spot);
        let sent = sent(&said);
        if let Some(tally) = &mut self.tally {
            tally.figures.message(&spot);
        }
        if answered_later {
            self.history.keep(said, &spot);
            self.touch_counters(slot);
        } else {
            self.history.push(said, &spot);
            self.send(slot, &sent);
        }
        Ok(())
    }

    /// Tells everyone in range that somebody is typing; too often is not an error, it is not told.
    pub(super) fn typing(&mut self, slot: Slot, now: Timestamp) -> Result<(), ApiError> {
        let session = &mut self.sessions[slot];
        let spot = *session.spot().ok_or_else(no_location)?;
        if session
            .quotas
            .typing
            .check(&self.typing_quota, now)
            .is_err()
        {
            return Ok(());
        }
        let peer_id = session.peer_id;
        let frame = Frame::new(&ServerFrame::Typing { peer_id });
        let sessions = &mut self.sessions;
        self.index.in_range(&spot, |other, _| {
            if other != slot
                && let Some((_, link)) = &mut sessions[other].link
            {
                link.send(&frame);
            }
        });
        self.share_passing(&spot, Event::Typing { peer_id, spot });
        Ok(())
    }

    /// Sends what was said around `spot`: at least one frame, even if nothing was.
    pub(super) fn send_history(&mut self, slot: Slot, spot: &Spot, now: Timestamp) {
        self.metrics.store_read.increment(1);
        let mut messages = self.history.replay(spot, now);
        loop {
            let rest = messages.split_off(messages.len().min(HISTORY_CHUNK));
            self.send(slot, &ServerFrame::History { messages });
            if rest.is_empty() {
                return;
            }
            messages = rest;
        }
    }
}

pub(super) fn sent(said: &Said) -> ServerFrame {
    ServerFrame::Sent {
        id: said.id,
        sent_at: said.sent_at,
        expires_at: said.expires_at,
        reached: said.reached,
    }
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{PeerId, Username};
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn spliced_frames_equal_serialised_ones() {
        let mut message = Message {
            id: MessageId::random(),
            from: PeerId::random(&mut rand::rngs::StdRng::seed_from_u64(3)),
            username: Username::parse("Fox").unwrap(),
            text: MessageText::parse("say \"distance\":{\"min\":7} \\ \u{1f98a}").unwrap(),
            sent_at: Timestamp::from_millis(1),
            expires_at: Timestamp::from_millis(2),
            distance: DistanceBand::from_index(0),
        };
        let mut frames = MessageFrames::new(message.clone(), None);
        for index in [0, 1, 39, 3, 1] {
            message.distance = DistanceBand::from_index(index);
            let whole = ServerFrame::Message(message.clone()).to_json();
            assert_eq!(frames.at(message.distance).json.as_str(), whole);
        }
    }
}
