//! Voice: who should connect to whom, and what they hand each other to do so. The voices
//! themselves go from peer to peer.

use neartalk_shared::{
    ApiError, PeerId, ServerFrame, Timestamp,
    frame::{SignalData, not_in_range},
    limits::VOICE_MAX_PEERS,
};

use super::{
    Room,
    link::Link,
    mirror::Home,
    place::no_location,
    session::{Quotas, Slot, VoiceState},
};
use crate::store::{Change, wire::Letter};

/// Bytes of signals are counted in units of so many, and each signal as one at least.
pub(super) const SIGNAL_UNIT: u32 = 1_024;

impl<L: Link> Room<L> {
    /// Lets somebody into voice, or back into it on a new socket: then only they are told of the
    /// others, whose connections with them have lived on.
    pub(super) fn voice_join(&mut self, slot: Slot, now: Timestamp) -> Result<(), ApiError> {
        let session = &mut self.sessions[slot];
        let spot = *session.spot().ok_or_else(no_location)?;
        let joins = &mut session.quotas.voice_joins;
        if let Err(retry) = joins.check(&self.voice_quota, now) {
            self.metrics.limited_voice.increment(1);
            return Err(ApiError::rate_limited(
                "You are joining voice too often",
                retry,
            ));
        }
        let peer_id = session.peer_id;
        let again = session.voice.is_some();
        session.voice.get_or_insert_default();
        session.voice_until = None;
        for peer_id in std::mem::take(&mut session.voice_missed) {
            self.send(slot, &ServerFrame::VoicePeerLeft { peer_id });
        }
        if again {
            // They can be told to connect again.
            self.touch(slot);
        } else {
            self.in_voice.insert(slot);
            self.mark_changed(slot);
        }
        let turn = self.settings.turn.as_ref();
        let turn = turn.map(|turn| turn.ice_server(peer_id, now));
        let inside = self.turn_issuer.as_mut();
        let inside = inside.map(|issuer| issuer.ice_servers(peer_id, &spot, now));
        let ready = ServerFrame::VoiceReady {
            ice_servers: self
                .settings
                .ice_servers
                .iter()
                .cloned()
                .chain(turn)
                .chain(inside.into_iter().flatten())
                .collect(),
            max_peers: VOICE_MAX_PEERS,
        };
        self.send(slot, &ready);
        let mut strangers = Vec::new();
        let known = self.sessions[slot].voice_peers.clone();
        self.index.in_range(&spot, |other, band| {
            let is_new = other != slot && known.binary_search(&other).is_err();
            if is_new && self.sessions[other].answers_in_voice() {
                strangers.push((band, other));
            }
        });
        for other in known {
            self.introduce(slot, other);
        }
        // Nearest first, so that a client that connects to only so many starts with the right ones.
        strangers.sort_unstable_by_key(|&(band, other)| (band, self.sessions[other].peer_id));
        for (_, other) in strangers {
            self.link_voice(slot, other);
        }
        self.refresh_deadline(slot);
        Ok(())
    }

    pub(super) fn voice_state(&mut self, slot: Slot, muted: bool, deafened: bool) {
        let new = VoiceState { muted, deafened };
        if let Some(state) = &mut self.sessions[slot].voice
            && *state != new
        {
            *state = new;
            self.mark_changed(slot);
        }
    }

    /// Takes somebody out of voice who wants to leave.
    pub(super) fn voice_leave(&mut self, slot: Slot) {
        self.end_voice(slot);
        self.sessions[slot].voice_missed.clear();
    }

    /// Takes from a session what it was given of TURN servers, here and on other relays.
    pub(super) fn revoke_turn_credentials(&mut self, peer_id: PeerId) {
        let Some(issuer) = &mut self.turn_issuer else {
            return;
        };
        let ended = issuer.end(peer_id);
        if let Some(mirror) = &mut self.mirror {
            let letters = ended.into_iter().map(|(node, ended)| {
                let letter = Box::new(Letter::TurnEnded(ended));
                Change::Letter(node, letter)
            });
            mirror.changes.extend(letters);
        }
    }

    /// Takes somebody out of voice. What they have no socket for they are told when they join again.
    pub(super) fn end_voice(&mut self, slot: Slot) {
        let session = &mut self.sessions[slot];
        session.voice_until = None;
        if session.voice.take().is_some() {
            let peers = session.voice_peers.clone();
            self.in_voice.remove(&slot);
            for other in peers {
                self.unlink_voice(slot, other);
            }
            self.mark_changed(slot);
        }
    }

    /// Hands `data` to a peer. Somebody out of range and nobody at all get the same answer.
    pub(super) fn signal(
        &mut self,
        slot: Slot,
        to: PeerId,
        data: SignalData,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let session = &mut self.sessions[slot];
        let units = data.size().div_ceil(SIGNAL_UNIT as usize).max(1) as u64;
        let Quotas {
            signals,
            signal_bytes,
            ..
        } = &mut session.quotas;
        let bytes = &self.signal_bytes_quota;
        let counted = signals
            .check(&self.signal_quota, now)
            .and_then(|()| signal_bytes.check_as(units, bytes, now));
        if let Err(retry) = counted {
            self.metrics.limited_signal.increment(1);
            return Err(ApiError::rate_limited(
                "You are sending signals too fast",
                retry,
            ));
        }
        let from = session.peer_id;
        let target = self
            .sessions
            .find_peer(&to)
            .filter(|&other| self.can_signal(slot, other));
        match target {
            Some(other) if self.is_away(other) => {
                self.signal_away(slot, other, data, now);
                Ok(())
            }
            Some(other) if self.send(other, &ServerFrame::Signal { from, data }) => {
                self.metrics.signals.increment(1);
                Ok(())
            }
            _ => Err(not_in_range()),
        }
    }

    /// Hands `data` to a peer on another relay, which decides whether it arrives.
    fn signal_away(&mut self, slot: Slot, other: Slot, data: SignalData, now: Timestamp) {
        // What that relay has to know first.
        self.write_record(slot, now);
        let to = self.sessions[other].peer_id;
        let node = match &self.sessions[other].shared {
            Some(shared) => match shared.home {
                Home::Away { node, .. } => node,
                Home::Here(_) => return,
            },
            None => return,
        };
        if let Some(from) = self.presence(slot)
            && let Some(mirror) = &mut self.mirror
        {
            let letter = Box::new(Letter::Signal { from, to, data });
            mirror.changes.push(Change::Letter(node, letter));
            self.metrics.signals.increment(1);
        }
    }

    pub(super) fn can_signal(&self, a: Slot, b: Slot) -> bool {
        let (one, other) = (&self.sessions[a], &self.sessions[b]);
        let in_voice = one.voice.is_some() && other.voice.is_some();
        let in_range = match (one.spot(), other.spot()) {
            (Some(x), Some(y)) => x.in_range(y),
            _ => false,
        };
        a != b && in_voice && in_range
    }

    /// Introduces two people in voice to each other, once.
    pub(super) fn link_voice(&mut self, a: Slot, b: Slot) {
        let Err(at) = self.sessions[a].voice_peers.binary_search(&b) else {
            return;
        };
        if self.is_away(a) && self.is_away(b) {
            // Theirs to do.
            return;
        }
        self.sessions[a].voice_peers.insert(at, b);
        if let Err(at) = self.sessions[b].voice_peers.binary_search(&a) {
            self.sessions[b].voice_peers.insert(at, a);
        }
        for slot in [a, b] {
            // Whichever relay they are on next has to know.
            self.touch(slot);
        }
        self.introduce(a, b);
        self.introduce(b, a);
    }

    /// Two people in voice have been introduced already, by another relay.
    pub(super) fn note_voice(&mut self, a: Slot, b: Slot) {
        for (one, other) in [(a, b), (b, a)] {
            let peers = &mut self.sessions[one].voice_peers;
            if let Err(at) = peers.binary_search(&other) {
                peers.insert(at, other);
            }
        }
    }

    /// Tells `to` to connect to `about`.
    fn introduce(&mut self, to: Slot, about: Slot) {
        let peer = &self.sessions[about];
        let VoiceState { muted, deafened } = peer.voice.unwrap_or_default();
        // Perfect negotiation needs one polite side; ids are unrelated to anything, so their
        // order is a fair coin that both ends agree on.
        let polite = self.sessions[to].peer_id < peer.peer_id;
        let frame = ServerFrame::VoicePeer {
            peer_id: peer.peer_id,
            polite,
            muted,
            deafened,
        };
        self.send(to, &frame);
    }

    /// Parts two people in voice.
    pub(super) fn unlink_voice(&mut self, a: Slot, b: Slot) {
        for (to, about) in [(a, b), (b, a)] {
            if let Ok(at) = self.sessions[to].voice_peers.binary_search(&about) {
                self.sessions[to].voice_peers.remove(at);
                self.touch(to);
                let peer_id = self.sessions[about].peer_id;
                if self.sessions[to].link.is_some() {
                    self.send(to, &ServerFrame::VoicePeerLeft { peer_id });
                } else if !self.is_away(to) {
                    self.sessions[to].voice_missed.push(peer_id);
                }
            }
        }
    }
}
