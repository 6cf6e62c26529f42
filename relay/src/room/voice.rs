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
    no_location,
    session::{Slot, VoiceState},
};

impl<L: Link> Room<L> {
    pub(super) fn voice_join(&mut self, slot: Slot) -> Result<(), ApiError> {
        let session = &mut self.sessions[slot];
        let spot = *session.spot().ok_or_else(no_location)?;
        // Joining again starts anew: this client has lost its connections.
        let again = session.voice.replace(VoiceState::default()).is_some();
        if again {
            self.unlink_all_voice(slot);
        }
        self.mark_changed(slot);
        let ready = ServerFrame::VoiceReady {
            ice_servers: self.settings.ice_servers.clone(),
            max_peers: VOICE_MAX_PEERS,
        };
        self.send(slot, &ready);
        let mut peers = Vec::new();
        self.index.in_range(&spot, |other, band| {
            if other != slot && self.sessions[other].voice.is_some() {
                peers.push((band, other));
            }
        });
        // Nearest first, so that a client that connects to only so many starts with the right ones.
        peers.sort_unstable_by_key(|&(band, other)| (band, self.sessions[other].peer_id));
        for (_, other) in peers {
            self.link_voice(slot, other);
        }
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

    pub(super) fn voice_leave(&mut self, slot: Slot) {
        if self.sessions[slot].voice.take().is_some() {
            self.unlink_all_voice(slot);
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
        if let Err(retry) = session.quotas.signals.check(&self.signal_quota, now) {
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
            Some(other) if self.send(other, &ServerFrame::Signal { from, data }) => {
                self.metrics.signals.increment(1);
                Ok(())
            }
            _ => Err(not_in_range()),
        }
    }

    fn can_signal(&self, a: Slot, b: Slot) -> bool {
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
        self.sessions[a].voice_peers.insert(at, b);
        if let Err(at) = self.sessions[b].voice_peers.binary_search(&a) {
            self.sessions[b].voice_peers.insert(at, a);
        }
        for (to, about) in [(a, b), (b, a)] {
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
    }

    /// Parts two people in voice.
    pub(super) fn unlink_voice(&mut self, a: Slot, b: Slot) {
        for (to, about) in [(a, b), (b, a)] {
            if let Ok(at) = self.sessions[to].voice_peers.binary_search(&about) {
                self.sessions[to].voice_peers.remove(at);
                let peer_id = self.sessions[about].peer_id;
                self.send(to, &ServerFrame::VoicePeerLeft { peer_id });
            }
        }
    }

    fn unlink_all_voice(&mut self, slot: Slot) {
        for other in self.sessions[slot].voice_peers.clone() {
            self.unlink_voice(slot, other);
        }
    }
}
