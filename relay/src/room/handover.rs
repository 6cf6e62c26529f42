//! How somebody changes relays, and how people of other relays get into the tables and out.

use neartalk_shared::{SessionId, Timestamp, frame::LeftReason, limits::VOICE_GRACE};

use super::{
    NEVER, Room,
    link::{CloseCode, Link},
    mirror::{Home, Shared},
    session::{Placed, Slot},
};
use crate::store::{
    Change,
    region::Region,
    wire::{NodeId, PlaceRecord, Presence, SessionKey, SessionRecord, Stamp},
};

impl<L: Link> Room<L> {
    /// Takes in a session that was on another relay, or is on none any more.
    pub fn adopt(&mut self, id: SessionId, record: SessionRecord, now: Timestamp) {
        if self.mirror.is_none() || self.sessions.find(&id).is_some() {
            return;
        }
        let known = self.sessions.find_peer(&record.peer_id);
        let slot = match known {
            Some(slot) if self.is_away(slot) => slot,
            Some(_) => return,
            None => self.sessions.create(
                None,
                record.peer_id,
                record.username.clone(),
                record.username_changes_left,
                now,
            ),
        };
        let mut stamp = record.stamp;
        if let Some(shared) = &self.sessions[slot].shared {
            stamp = stamp.max(shared.stamp);
        }
        stamp.moves = record.stamp.moves.saturating_add(1);
        self.sessions.name(slot, id);
        self.settle_in(slot, &id, stamp);
        let session = &mut self.sessions[slot];
        let looks_new = session.username != record.username
            || session.former_usernames != record.former_usernames;
        session.username = record.username;
        session.former_usernames = record.former_usernames;
        session.username_changes_left = record.username_changes_left;
        session.had_link = record.had_link;
        session.quotas = record.quotas;
        session.seen_at = now;
        let rulings = &self.moderation.rulings;
        session.ban = record.ban.filter(|&(_, id)| !rulings.is_lifted(id));
        let place = record
            .place
            .filter(|place| place.updated_at + self.settings.place_ttl > now);
        match place {
            Some(place) => self.restore_place(slot, place, now),
            None => {
                self.end_voice(slot);
                self.hide(slot, LeftReason::Expired);
                self.sessions[slot].placed = None;
            }
        }
        if looks_new {
            self.mark_changed(slot);
        }
        self.refresh_deadline(slot);
        self.metrics.sessions.set(self.sessions.len() as f64);
        self.touch(slot);
    }

    fn restore_place(&mut self, slot: Slot, record: PlaceRecord, now: Timestamp) {
        // What this relay has introduced them to while they were on another one, only that one knows.
        for other in self.sessions[slot].voice_peers.clone() {
            let peer_id = self.sessions[other].peer_id;
            if self.is_away(other) || !record.voice_peers.contains(&peer_id) {
                self.unlink_voice(slot, other);
            }
        }
        let session = &mut self.sessions[slot];
        let voice_is_new = session.voice != record.voice;
        session.movement = record.movement;
        session.voice = record.voice;
        session.voice_until = record
            .voice
            .map(|_| record.voice_until.unwrap_or(now + VOICE_GRACE));
        session.voice_missed = record.voice_missed;
        match session.voice {
            Some(_) => self.in_voice.insert(slot),
            None => self.in_voice.remove(&slot),
        };
        let placed = Placed {
            spot: record.spot,
            updated_at: record.updated_at,
        };
        if record.shown {
            self.place(slot, placed);
        } else {
            self.hide(slot, LeftReason::Left);
            self.sessions[slot].placed = Some(placed);
        }
        // Their connections have lived on, as voice goes from peer to peer.
        for peer_id in record.voice_peers {
            match self.sessions.find_peer(&peer_id) {
                Some(peer) if self.may_be_connected(slot, peer) => self.note_voice(slot, peer),
                _ => self.sessions[slot].voice_missed.push(peer_id),
            }
        }
        if voice_is_new {
            self.mark_changed(slot);
        }
    }

    /// Whether somebody who has just come may have a connection with `peer`. Whoever is here and does
    /// not know of one has been told that it is over.
    fn may_be_connected(&self, slot: Slot, peer: Slot) -> bool {
        let (own, other) = (&self.sessions[slot], &self.sessions[peer]);
        let knows = self.is_away(peer) || other.voice_peers.binary_search(&slot).is_ok();
        own.voice.is_some() && other.voice.is_some() && knows
    }

    /// Hands a session over to another relay, where its client is now.
    pub fn release(
        &mut self,
        key: SessionKey,
        to: NodeId,
        now: Timestamp,
    ) -> Option<SessionRecord> {
        let slot = self.mirror.as_ref()?.slot_of(key)?;
        if self.has_expired(slot, now) {
            return None;
        }
        let mut record = self.session_record(slot)?;
        record.place = self.place_record(slot);
        self.lose(slot, to, now);
        Some(record)
    }

    /// A session is another relay's from now on; to others nothing changes by that.
    pub(super) fn lose(&mut self, slot: Slot, to: NodeId, now: Timestamp) {
        self.detach(slot, Some(CloseCode::Replaced), now);
        let Some((_, shared)) = self.leave_home(slot) else {
            return;
        };
        self.sessions.unname(slot);
        // Their time in voice is for that relay to count.
        self.in_voice.remove(&slot);
        self.metrics.sessions.set(self.sessions.len() as f64);
        let (Some(mirror), Some((region, _))) = (&mut self.mirror, shared.published) else {
            // Nobody has seen them.
            self.remove_away(slot, LeftReason::Left);
            return;
        };
        let session = &mut self.sessions[slot];
        mirror
            .changes
            .push(Change::HandedOver(region, session.peer_id));
        session.voice_until = session.voice.map(|_| NEVER);
        // Who they are for a ban is for that relay to know.
        (session.origin, session.ban) = (None, None);
        let home = Home::Away {
            node: to,
            region,
            linked: false,
            heard_at: now,
        };
        session.shared = Some(Shared::new(home, shared.stamp));
        if !self.index.contains(slot) {
            self.remove_away(slot, LeftReason::Left);
        }
    }

    /// Puts somebody of another relay into the tables.
    pub(super) fn add_away(
        &mut self,
        node: NodeId,
        region: Region,
        presence: &Presence,
        now: Timestamp,
    ) -> Slot {
        let slot = self
            .sessions
            .create(None, presence.peer_id, presence.username.clone(), 0, now);
        let home = Home::Away {
            node,
            region,
            linked: false,
            heard_at: now,
        };
        self.sessions[slot].shared = Some(Shared::new(home, Stamp::default()));
        slot
    }

    /// Somebody of another relay is gone.
    pub(super) fn remove_away(&mut self, slot: Slot, reason: LeftReason) {
        self.end_voice(slot);
        // Their calls over TURN have lived on while they were in sight.
        self.revoke_turn_credentials(self.sessions[slot].peer_id);
        if reason == LeftReason::Banned {
            let peer_id = self.sessions[slot].peer_id;
            self.history.forget(&peer_id);
        }
        self.hide(slot, reason);
        self.sessions[slot].placed = None;
        self.sessions.retire(slot);
    }
}
