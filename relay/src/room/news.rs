//! What the room hears from other relays.

use neartalk_shared::{
    DistanceBand, MessageId, PeerId, ServerFrame, Timestamp,
    frame::{LeftReason, SignalData, not_in_range},
};
use rustc_hash::FxHashSet;

use super::{
    NEVER, Room,
    chat::MessageFrames,
    history::Said,
    link::{Frame, Link},
    mirror::{Home, Unstored},
    session::{Placed, Slot},
};
use crate::{
    moderation::cell::Cell5,
    store::{
        Change, News,
        region::Region,
        wire::{Claim, Event, Letter, NodeId, Presence, SessionKey, Stamp, Utterance},
    },
};

impl<L: Link> Room<L> {
    /// Takes in what the store has to say.
    pub fn hear(&mut self, news: News, now: Timestamp) {
        match news {
            News::Event(node, region, event) => self.hear_event(node, region, event, now),
            News::Snapshot {
                region,
                people,
                messages,
                complete_at,
            } => {
                let listed: FxHashSet<_> = people.iter().map(|(_, p)| p.peer_id).collect();
                for (node, presence) in people {
                    self.meet(node, region, presence, now);
                }
                for utterance in messages {
                    self.overhear(utterance, now);
                }
                if let Some(since) = complete_at {
                    self.remove_away_if(LeftReason::Expired, |peer_id, _, in_region, heard_at| {
                        in_region == region && heard_at < since && !listed.contains(&peer_id)
                    });
                }
            }
            News::Forget(region) => {
                self.remove_away_if(LeftReason::Moved, |_, _, in_region, _| in_region == region);
            }
            News::Alive(nodes, since) => {
                self.remove_away_if(LeftReason::Expired, |_, node, _, heard_at| {
                    heard_at < since && !nodes.contains(&node)
                });
            }
            News::Stored(ids, reached_others) => {
                for id in ids {
                    self.answer_stored(&id, reached_others);
                }
            }
            News::TurnServers(servers) => {
                if let Some(issuer) = &mut self.turn_issuer {
                    issuer.meet(servers);
                }
            }
            News::Letter(node, letter) => self.read_letter(node, letter, now),
            News::Undeliverable(from) => self.refuse_signal(from),
            News::Key(day, key) => self.moderation.share_key(day, key),
            News::Rulings(rulings) => {
                for ruling in rulings {
                    self.follow(ruling, now);
                }
            }
            News::Claimed(sessions) => {
                for (key, claim) in sessions {
                    self.weigh(key, claim, now);
                }
            }
        }
    }

    /// Gives a session up if another relay has the better claim to it.
    fn weigh(&mut self, key: SessionKey, claim: Claim, now: Timestamp) {
        let slot = self.id_of(key, now).and_then(|id| self.sessions.find(&id));
        if let Some(slot) = slot
            && let Some(own) = self.session_record(slot)
            && claim > own.claim()
        {
            self.lose(slot, claim.node, now);
        }
    }

    fn hear_event(&mut self, node: NodeId, region: Region, event: Event, now: Timestamp) {
        match event {
            Event::Present(presence) => {
                self.meet(node, region, presence, now);
            }
            Event::Gone {
                peer_id,
                stamp,
                reason,
                to,
            } => self.part(peer_id, stamp, reason, to, now),
            Event::Roster { people } => {
                let listed: FxHashSet<_> = people.into_iter().collect();
                self.remove_away_if(LeftReason::Expired, |peer_id, on, in_region, _| {
                    on == node && in_region == region && !listed.contains(&peer_id)
                });
            }
            Event::Said(utterance) => self.overhear(utterance, now),
            Event::Typing { peer_id, spot } => {
                let frame = Frame::new(&ServerFrame::Typing { peer_id });
                let sessions = &mut self.sessions;
                self.index.in_range(&spot, |other, _| {
                    if let Some((_, link)) = &mut sessions[other].link {
                        link.send(&frame);
                    }
                });
            }
        }
    }

    /// Learns of somebody on another relay. The slot, unless this is old news.
    fn meet(
        &mut self,
        node: NodeId,
        region: Region,
        presence: Presence,
        now: Timestamp,
    ) -> Option<Slot> {
        let mirror = self.mirror.as_ref()?;
        let gone = mirror.gone.get(&presence.peer_id);
        if gone.is_some_and(|&(stamp, _)| presence.stamp <= stamp) {
            return None;
        }
        let slot = match self.sessions.find_peer(&presence.peer_id) {
            None => self.add_away(node, region, &presence, now),
            Some(slot) if self.is_away(slot) => slot,
            Some(slot) => {
                let own = self.sessions[slot].shared.as_ref()?.stamp;
                // Of two relays that have taken it over at the same time one must give way.
                if (presence.stamp.moves, node) < (own.moves, mirror.node) {
                    if presence.stamp.moves == own.moves {
                        self.insist(slot);
                    }
                    return None;
                }
                // Their client has gone to another relay, which could not ask for them.
                self.lose(slot, node, now);
                match self.sessions.find_peer(&presence.peer_id) {
                    Some(slot) => slot,
                    None => self.add_away(node, region, &presence, now),
                }
            }
        };
        let session = &mut self.sessions[slot];
        let shared = session.shared.as_mut()?;
        if let Home::Away { heard_at, .. } = &mut shared.home {
            *heard_at = now;
        }
        if presence.stamp <= shared.stamp && session.placed.is_some() {
            return Some(slot);
        }
        shared.stamp = presence.stamp;
        shared.home = Home::Away {
            node,
            region,
            linked: presence.linked,
            heard_at: now,
        };
        let answered_before = session.answers_in_voice();
        if !presence.looks_like(&session.person(DistanceBand::from_index(0))) {
            session.username = presence.username;
            session.former_usernames = presence.former_usernames;
            if presence.voice.is_some() {
                session.voice = presence.voice;
            }
            self.mark_changed(slot);
        }
        let session = &mut self.sessions[slot];
        session.voice_until =
            (presence.voice.is_some() && !presence.answers_in_voice).then_some(NEVER);
        if presence.voice.is_none() {
            self.end_voice(slot);
        }
        let spot = presence.spot;
        self.place(
            slot,
            Placed {
                spot,
                updated_at: now,
            },
        );
        if self.sessions[slot].answers_in_voice() && !answered_before {
            let mut around = Vec::new();
            self.index.in_range(&spot, |other, _| around.push(other));
            for other in around {
                if other != slot && self.sessions[other].answers_in_voice() {
                    self.link_voice(slot, other);
                }
            }
        }
        Some(slot)
    }

    /// Learns that somebody on another relay is gone.
    fn part(
        &mut self,
        peer_id: PeerId,
        stamp: Stamp,
        reason: LeftReason,
        to: Option<Region>,
        now: Timestamp,
    ) {
        let Some(mirror) = &mut self.mirror else {
            return;
        };
        if to.is_some_and(|to| mirror.attends(to)) {
            // They are still known, and where they are now comes from there.
            return;
        }
        mirror.gone.insert(peer_id, (stamp, now));
        if let Some(slot) = self.sessions.find_peer(&peer_id)
            && let Some(shared) = &self.sessions[slot].shared
            && matches!(shared.home, Home::Away { .. })
            && shared.stamp <= stamp
        {
            self.remove_away(slot, reason);
        }
    }

    /// Removes those of other relays who are to go: by public id, relay, region, and when they
    /// were last heard of.
    fn remove_away_if(
        &mut self,
        reason: LeftReason,
        mut goes: impl FnMut(PeerId, NodeId, Region, Timestamp) -> bool,
    ) {
        let going: Vec<Slot> = self
            .sessions
            .iter()
            .filter_map(|(slot, session)| match session.shared.as_ref()?.home {
                Home::Away {
                    node,
                    region,
                    heard_at,
                    ..
                } => goes(session.peer_id, node, region, heard_at).then_some(slot),
                Home::Here(_) => None,
            })
            .collect();
        for slot in going {
            self.remove_away(slot, reason);
        }
    }

    /// Delivers what somebody on another relay has said to those here, once.
    fn overhear(&mut self, utterance: Utterance, now: Timestamp) {
        let known = self.history.get(&utterance.id, now).is_some();
        if known
            || utterance.expires_at <= now
            || self
                .moderation
                .rulings
                .is_silenced(&utterance.from, utterance.sent_at)
        {
            return;
        }
        let spot = utterance.spot;
        self.moderation.overhear(
            utterance.text.as_str(),
            Cell5::of(&spot),
            utterance.origin,
            utterance.sent_at,
            now,
        );
        let said = Said {
            id: utterance.id,
            from: utterance.from,
            username: utterance.username,
            text: utterance.text,
            sent_at: utterance.sent_at,
            expires_at: utterance.expires_at,
            reached: utterance.reached,
        };
        let mut frames = MessageFrames::new(said.at_distance(DistanceBand::from_index(0)), None);
        let sessions = &mut self.sessions;
        let mut reached = 0_u64;
        self.index.in_range(&spot, |other, band| {
            let session = &mut sessions[other];
            if session.peer_id != said.from
                && let Some((_, link)) = &mut session.link
            {
                reached += u64::from(link.send(frames.at(band)));
            }
        });
        self.metrics.deliveries.increment(reached);
        self.history.keep(said, &spot);
    }

    fn answer_stored(&mut self, id: &MessageId, reached_others: bool) {
        let Some(mirror) = &mut self.mirror else {
            return;
        };
        let unanswered = if reached_others {
            mirror.unstored.remove(id).filter(|said| !said.answered)
        } else {
            mirror.unstored.get_mut(id).and_then(|said| {
                let first = !std::mem::replace(&mut said.answered, true);
                first.then(|| said.clone())
            })
        };
        if let Some(Unstored { from, sent, .. }) = unanswered
            && let Some(slot) = self.sessions.find_peer(&from)
        {
            self.send(slot, &sent);
        }
    }

    fn read_letter(&mut self, node: NodeId, letter: Letter, now: Timestamp) {
        match letter {
            Letter::Signal { from, to, data } => {
                let peer_id = from.peer_id;
                if !self.deliver_signal(node, from, to, data, now)
                    && let Some(mirror) = &mut self.mirror
                {
                    let letter = Box::new(Letter::NotInRange { from: peer_id });
                    mirror.changes.push(Change::Letter(node, letter));
                }
            }
            Letter::NotInRange { from } => self.refuse_signal(from),
            // These are for the store.
            Letter::Ask { .. } | Letter::Answer { .. } | Letter::Ban { .. } => {}
            Letter::Ruling(ruling) => self.follow(*ruling, now),
            Letter::TurnEnded(ended) => {
                if let Some(issuer) = &mut self.turn_issuer {
                    issuer.end_guest(ended);
                }
            }
        }
    }

    fn deliver_signal(
        &mut self,
        node: NodeId,
        from: Presence,
        to: PeerId,
        data: SignalData,
        now: Timestamp,
    ) -> bool {
        let peer_id = from.peer_id;
        let Some(target) = self.sessions.find_peer(&to) else {
            return false;
        };
        if self.is_away(target) {
            return false;
        }
        // What they have done before this may come later, over another channel.
        let region = Region::containing(from.spot.centre());
        self.meet(node, region, from, now);
        let Some(sender) = self.sessions.find_peer(&peer_id) else {
            return false;
        };
        self.is_away(sender)
            && self.can_signal(sender, target)
            && self.send(
                target,
                &ServerFrame::Signal {
                    from: peer_id,
                    data,
                },
            )
    }

    /// Tells somebody that their signal did not arrive, in the words for somebody out of range.
    fn refuse_signal(&mut self, from: PeerId) {
        if let Some(slot) = self.sessions.find_peer(&from) {
            let frame = ServerFrame::Error {
                error: not_in_range(),
                reference: None,
            };
            self.send(slot, &frame);
        }
    }
}
