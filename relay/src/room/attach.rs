//! Sockets and the sessions that they speak for.

use neartalk_shared::{
    ApiError, ErrorCode, ServerFrame, SessionId, Timestamp,
    frame::{LeftReason, Welcome},
    limits,
};

use super::{
    Attachment, Refusal, Room,
    link::{CloseCode, Link},
    moderate,
    session::Slot,
};
use crate::address::AddressKey;

impl<L: Link> Room<L> {
    /// Attaches a socket to its session; the session's older socket, if any, is closed.
    pub fn hello(
        &mut self,
        id: &SessionId,
        protocol: u32,
        address: AddressKey,
        link: L,
        now: Timestamp,
    ) -> Result<Attachment, (Refusal, L)> {
        if protocol != limits::PROTOCOL_VERSION {
            let message = format!(
                "This relay speaks protocol version {}; use a client that does, too.",
                limits::PROTOCOL_VERSION
            );
            let error = ApiError::new(ErrorCode::UnsupportedProtocol, message);
            return Err((
                Refusal {
                    error,
                    code: CloseCode::UnsupportedProtocol,
                },
                link,
            ));
        }
        let authorized = self
            .authorize(id, now)
            .and_then(|slot| self.come_from(slot, address, now).map(|()| slot));
        let slot = match authorized {
            Ok(slot) => slot,
            Err(error) => {
                let code = moderate::close_code(&error);
                return Err((Refusal { error, code }, link));
            }
        };
        self.detach(slot, Some(CloseCode::Replaced), now);
        self.next_link += 1;
        let number = self.next_link;
        let session = &mut self.sessions[slot];
        session.link = Some((number, link));
        let resumed = std::mem::replace(&mut session.had_link, true);
        let welcome = ServerFrame::Welcome(Welcome {
            peer_id: session.peer_id,
            username: session.username.clone(),
            username_changes_left: session.username_changes_left,
            resumed,
            server_time: now,
            limits: self.limits.clone(),
        });
        self.refresh_deadline(slot);
        self.touch(slot);
        self.send(slot, &welcome);
        self.send_announcements(slot, None, now);
        if let Some(&spot) = self.sessions[slot].spot() {
            self.send_announcements_at(slot, None, &spot, now);
            // What this client knew before is out of date.
            self.send_surroundings(slot, &spot, now);
        }
        Ok(Attachment { slot, number })
    }

    /// A socket has closed. `left` when its client said goodbye, rather than just vanishing.
    pub fn disconnect(&mut self, from: Attachment, left: bool, now: Timestamp) {
        let Some(slot) = self.attached(from) else {
            return;
        };
        self.detach(slot, None, now);
        self.sessions[slot].seen_at = now;
        if let Some(placed) = &mut self.sessions[slot].placed {
            placed.updated_at = now;
        }
        if left {
            self.voice_leave(slot);
            self.hide(slot, LeftReason::Left);
        }
        self.refresh_deadline(slot);
        self.touch(slot);
    }

    /// Closes every socket with `code`, after what is queued.
    pub fn close_all(&mut self, code: CloseCode) {
        for (_, session) in self.sessions.iter_mut() {
            if let Some((_, link)) = &mut session.link {
                link.close(code);
            }
        }
    }

    /// The slot that a socket speaks for, unless the session has a newer socket or has ended.
    pub(super) fn attached(&self, from: Attachment) -> Option<Slot> {
        let (number, _) = self.sessions.get(from.slot)?.link.as_ref()?;
        (*number == from.number).then_some(from.slot)
    }

    /// Parts a session from its socket. Voice needs none for a while: it goes from peer to peer.
    pub(super) fn detach(&mut self, slot: Slot, close: Option<CloseCode>, now: Timestamp) {
        let Some((_, mut link)) = self.sessions[slot].link.take() else {
            return;
        };
        if let Some(code) = close {
            link.close(code);
        }
        let session = &mut self.sessions[slot];
        if session.voice.is_some() {
            session.voice_until.get_or_insert(now + limits::VOICE_GRACE);
        }
        self.forget_view(slot);
    }
}
