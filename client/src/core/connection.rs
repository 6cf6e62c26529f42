//! How the connection to the relay, and the session that it is for, begin, end and come back.

use std::time::{Duration, Instant};

use neartalk_shared::http::CreatedSession;

use super::{Action, Core, LinkState, Session};
use crate::{
    event::{ConnectionState, Event, OfflineReason, StopReason},
    link::{Credentials, LinkEnd},
};

impl Core {
    pub(super) fn connect(&mut self) {
        let credentials = match &self.session {
            Some(session) => Credentials::Session(session.id),
            None => Credentials::New(self.wished.clone()),
        };
        self.link = LinkState::Connecting;
        self.ban_ms = None;
        self.set_state(ConnectionState::Connecting);
        self.actions.push_back(Action::Connect(credentials));
    }

    pub(super) fn created(&mut self, created: CreatedSession) {
        self.session = Some(Session {
            id: created.session_id,
            peer_id: created.peer_id,
            username: created.username,
            proven: false,
        });
        self.placement.new_session();
        self.outbox.new_session();
    }

    /// The connection is gone, or never came to be.
    pub(super) fn link_ended(&mut self, now: Instant, end: LinkEnd) {
        self.placement.disconnected(now);
        self.outbox.disconnected();
        self.desk.link_lost();
        for peer_id in self.typing.clear() {
            self.emit(Event::Typing {
                peer_id,
                active: false,
            });
        }
        match end {
            LinkEnd::Stopped(reason) => {
                let reason = match reason {
                    StopReason::Banned { retry_after_ms } => StopReason::Banned {
                        retry_after_ms: retry_after_ms.or(self.ban_ms),
                    },
                    other => other,
                };
                let retry_at = match reason {
                    StopReason::Banned {
                        retry_after_ms: Some(ms),
                    } => self.after_ban(now, Duration::from_millis(ms)),
                    _ => None,
                };
                self.link = LinkState::Down { retry_at };
                self.desk.stopped();
                self.set_state(ConnectionState::Stopped { reason });
            }
            LinkEnd::Unauthorized => {
                let proven = self.forget_session();
                if proven {
                    // The session has ended for a reason that will not strike the next one too.
                    self.connect();
                } else {
                    self.retry(now, OfflineReason::Lost, None);
                }
            }
            LinkEnd::NameRefused(error) if self.wished.is_some() => {
                self.wished = None;
                self.emit(Event::Refused { error });
                self.connect();
            }
            LinkEnd::NameRefused(error) => {
                let detail = error.message;
                self.retry(now, OfflineReason::NotARelay { detail }, None);
            }
            LinkEnd::Offline(reason, at_least) => self.retry(now, reason, at_least),
        }
    }

    /// When to try again after a ban; never if it outlives every clock.
    fn after_ban(&mut self, now: Instant, ban: Duration) -> Option<Instant> {
        let wait = self.backoff.failed(now, None, &mut self.rng).max(ban);
        now.checked_add(wait)
    }

    /// Tries again later.
    fn retry(&mut self, now: Instant, reason: OfflineReason, at_least: Option<Duration>) {
        let wait = self.backoff.failed(now, at_least, &mut self.rng);
        self.link = LinkState::Down {
            retry_at: Some(now + wait),
        };
        self.set_state(ConnectionState::Offline {
            reason,
            retry_in: wait,
        });
    }

    /// The relay knows the session no more. Whether it ever did.
    fn forget_session(&mut self) -> bool {
        let Some(session) = self.session.take() else {
            return false;
        };
        self.desk.session_lost();
        if session.proven {
            self.former = Some((session.peer_id, session.username));
            self.located = None;
            // Whoever was in range of the old session may be gone with the relay.
            let nobody = self.people.replace(Vec::new(), Vec::new());
            self.emit(nobody);
        }
        session.proven
    }

    /// Gives up a connection that can't be trusted any more, and does not wait for the next attempt.
    pub(super) fn reconnect(&mut self, now: Instant) {
        if let ConnectionState::Stopped { .. } = self.state {
            return;
        }
        match self.link {
            LinkState::Down { .. } => {}
            LinkState::Connecting | LinkState::Online => {
                self.actions.push_back(Action::Hangup { goodbye: false });
                self.link_ended(now, LinkEnd::Offline(OfflineReason::Silent, None));
            }
        }
        self.backoff.reset();
        self.connect();
    }
}
