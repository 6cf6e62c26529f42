//! The one place where what a relay says is acted upon.

use std::time::{Duration, Instant};

use neartalk_shared::{
    ApiError, ErrorCode, MessageId, ServerFrame, Timestamp, Username,
    frame::{Message, Welcome},
    time::millis,
};

use super::{Core, LinkState};
use crate::{
    event::{ChatMessage, ConnectionState, Event, Me, RemovedReason, Whereabouts},
    outbox::Refusal,
    timeline::{Added, RelayClock},
};

/// Announcements that are remembered, so that each is told once.
const ANNOUNCED_MAX: usize = 100;

impl Core {
    pub(super) fn dispatch(&mut self, now: Instant, frame: ServerFrame) {
        match frame {
            ServerFrame::Welcome(welcome) => self.welcome(now, welcome),
            ServerFrame::Located {
                geohash_prefix,
                radius,
                grid_m,
            } => {
                self.placement.located(radius);
                let whereabouts = Whereabouts {
                    geohash_prefix,
                    radius,
                    grid_m,
                };
                self.located = Some(whereabouts.clone());
                self.emit(Event::Located(whereabouts));
                self.desk.located(now);
            }
            ServerFrame::Nearby { people, reach } => {
                for person in &people {
                    self.desk.moved(person.peer_id, person.distance.min);
                }
                let nearby = self.people.replace(people, reach);
                self.emit(nearby);
            }
            ServerFrame::Reach { reach } => {
                let reach = self.people.set_reach(reach);
                self.emit(reach);
            }
            ServerFrame::PersonEntered { person } | ServerFrame::PersonChanged { person } => {
                self.desk.moved(person.peer_id, person.distance.min);
                let change = self.people.put(person);
                self.emit_some(change);
            }
            ServerFrame::PersonLeft { peer_id, reason } => self.person_left(peer_id, reason),
            ServerFrame::History { messages } => {
                let Added { new, overflow } = self.add(now, messages);
                if !new.is_empty() {
                    self.emit(Event::History { messages: new });
                }
                self.removed(overflow, RemovedReason::Overflow);
            }
            ServerFrame::Message(message) => {
                self.stopped_typing(message.from);
                let Added { new, overflow } = self.add(now, vec![message]);
                for message in new {
                    self.emit(Event::Message { message });
                }
                self.removed(overflow, RemovedReason::Overflow);
            }
            ServerFrame::Sent {
                id,
                sent_at,
                expires_at,
                reached,
            } => self.sent(now, id, sent_at, expires_at, reached),
            ServerFrame::Typing { peer_id } => {
                if !self.people.is_blocked(peer_id) && self.typing.started(now, peer_id) {
                    self.emit(Event::Typing {
                        peer_id,
                        active: true,
                    });
                }
            }
            ServerFrame::Renamed {
                username,
                username_changes_left,
            } => self.renamed(username, username_changes_left),
            ServerFrame::VoiceReady {
                ice_servers,
                max_peers,
            } => self.desk.ready(now, ice_servers, max_peers, &self.people),
            // Whether they are muted or deafened comes with the person.
            ServerFrame::VoicePeer {
                peer_id, polite, ..
            } => self.desk.peer(peer_id, polite, &self.people),
            ServerFrame::VoicePeerLeft { peer_id } => self.desk.peer_left(peer_id),
            ServerFrame::Signal { from, data } => self.desk.signal(from, data),
            ServerFrame::Reported { peer_id } => self.emit(Event::Reported { peer_id }),
            ServerFrame::Announcement { text, expires_at } => {
                let announced = (text.clone(), expires_at);
                // A relay says it again on each connection.
                if !self.announced.contains(&announced) {
                    if self.announced.len() >= ANNOUNCED_MAX {
                        self.announced.pop_front();
                    }
                    self.announced.push_back(announced);
                    self.emit(Event::Announcement { text, expires_at });
                }
            }
            ServerFrame::Error { error, reference } => self.error(now, error, reference),
            ServerFrame::Pong { .. } => {}
        }
    }

    fn welcome(&mut self, now: Instant, welcome: Welcome) {
        let Welcome {
            peer_id,
            username,
            username_changes_left,
            resumed,
            server_time,
            limits,
        } = welcome;
        self.link = LinkState::Online;
        self.backoff.connected(now);
        let ttl = Duration::from_millis(limits.message_ttl_ms);
        self.timeline
            .set_clock(RelayClock::new(now, server_time), ttl);
        self.outbox.set_ttl(ttl);
        self.typing
            .set_interval(Duration::from_millis(limits.typing_interval_ms));
        self.placement.welcomed(now, resumed, &limits);
        if let Some(session) = &mut self.session {
            session.proven = true;
            session.peer_id = peer_id;
            session.username = username.clone();
        }
        if let Some((former_peer_id, former_username)) = self.former.take() {
            self.emit(Event::SessionReplaced {
                former_peer_id,
                former_username,
                username: username.clone(),
            });
        }
        let me = Me {
            peer_id,
            tag: peer_id.tag(),
            username,
            username_changes_left,
            limits: Box::new(limits),
        };
        self.me = Some(me.clone());
        self.emit(Event::Me(me));
        self.set_state(ConnectionState::Online);
        self.settle_renaming();
    }

    /// What has become of a new name whose answer was lost with the connection before.
    fn settle_renaming(&mut self) {
        let (Some(asked), Some(me)) = (self.renaming.take(), &self.me) else {
            return;
        };
        if asked == me.username {
            self.wished = Some(asked);
        } else {
            let message = "Your new name did not reach the relay. Change it once more.";
            let error = ApiError::new(ErrorCode::Unavailable, message);
            self.emit(Event::Refused { error });
        }
    }

    fn add(&mut self, now: Instant, messages: Vec<Message>) -> Added {
        let Some(me) = self.me.as_ref().map(|me| me.peer_id) else {
            return Added::default();
        };
        let people = &self.people;
        self.timeline
            .add(now, messages, me, |peer| !people.is_blocked(peer))
    }

    fn sent(
        &mut self,
        now: Instant,
        id: MessageId,
        sent_at: Timestamp,
        expires_at: Timestamp,
        reached: u32,
    ) {
        let (Some(done), Some(me)) = (self.outbox.acknowledged(id), &self.me) else {
            return;
        };
        let message = ChatMessage {
            id,
            from: me.peer_id,
            username: me.username.clone(),
            own: true,
            text: done.text,
            sent_at,
            expires_at,
            expires_in_ms: 0,
            distance: None,
            reached: Some(reached),
        };
        match self.timeline.acknowledge(now, message.clone()) {
            Some((message, overflow)) => {
                self.emit(Event::Sent { message, reached });
                self.removed(overflow, RemovedReason::Overflow);
            }
            // It was said so long ago, on a connection before, that it is gone already.
            None => {
                self.emit(Event::Sent { message, reached });
                self.removed(vec![id], RemovedReason::Expired);
            }
        }
    }

    fn renamed(&mut self, username: Username, username_changes_left: u32) {
        // A name that the person chose is kept for the sessions to come.
        if self.renaming.take().is_some() {
            self.wished = Some(username.clone());
        }
        if let Some(session) = &mut self.session {
            session.username = username.clone();
        }
        if let Some(me) = &mut self.me {
            me.username = username;
            me.username_changes_left = username_changes_left;
            let me = me.clone();
            self.emit(Event::Me(me));
        }
    }

    fn error(&mut self, now: Instant, error: ApiError, reference: Option<MessageId>) {
        if let Some(id) = reference {
            match self.outbox.refused(now, id, error) {
                Refusal::Unknown => {}
                Refusal::NeedsPlace => {
                    self.placement.lost();
                    self.desk.displaced();
                }
                Refusal::Delayed(wait) => self.emit(Event::Delayed {
                    id,
                    retry_in_ms: millis(wait),
                }),
                Refusal::Failed(done, reason) => self.emit(Event::Failed {
                    id: done.id,
                    text: done.text,
                    reason,
                }),
            }
            return;
        }
        if let Some(wait) = self.placement.refused(now, &error) {
            if error.code == ErrorCode::PlaceClosed {
                self.desk.displaced();
            }
            self.emit(Event::LocationRefused {
                error,
                retry_in_ms: millis(wait),
            });
            return;
        }
        match error.code {
            // The relay hangs up next, and says so with the code that it closes with.
            ErrorCode::Unauthorized | ErrorCode::UnsupportedProtocol => {}
            ErrorCode::Banned => self.ban_ms = error.retry_after_ms,
            // A signal to somebody who has just left; that they have is told anyway.
            ErrorCode::NotInRange => {}
            ErrorCode::NoLocation => {
                self.placement.lost();
                self.desk.displaced();
                self.emit(Event::Refused { error });
            }
            ErrorCode::UsernameChangesExhausted | ErrorCode::InvalidUsername => {
                self.renaming = None;
                self.emit(Event::Refused { error });
            }
            _ => self.emit(Event::Refused { error }),
        }
    }
}
