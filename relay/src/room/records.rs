//! What other relays and the store get to know of this relay's own people and their words.

use neartalk_shared::{Spot, Timestamp, frame::LeftReason};

use super::{
    Room,
    history::Said,
    link::Link,
    mirror::{Dirty, Home},
    session::Slot,
};
use crate::store::{
    Change,
    region::Region,
    wire::{PlaceRecord, Presence, SessionRecord, Utterance},
};

impl<L: Link> Room<L> {
    /// How others are to show somebody of this relay, who has a place.
    pub(super) fn presence(&self, slot: Slot) -> Option<Presence> {
        let session = &self.sessions[slot];
        Some(Presence {
            peer_id: session.peer_id,
            stamp: session.shared.as_ref()?.stamp,
            username: session.username.clone(),
            former_usernames: session.former_usernames.clone(),
            spot: *session.spot()?,
            linked: session.link.is_some(),
            voice: session.voice,
            answers_in_voice: session.answers_in_voice(),
        })
    }

    /// Writes what the store has to know of a session, if anything.
    pub(super) fn write_record(&mut self, slot: Slot, now: Timestamp) {
        let Some(shared) = self.sessions.get_mut(slot).and_then(|s| s.shared.as_mut()) else {
            return;
        };
        let Home::Here(key) = shared.home else {
            return;
        };
        let dirty = std::mem::take(&mut shared.dirty);
        if dirty == Dirty::Nothing {
            return;
        }
        let first = self.mirror.as_ref().map_or(0, |m| m.changes.len());
        if dirty == Dirty::Everything {
            self.count_regions(slot);
            self.publish(slot);
        }
        let session = &self.sessions[slot];
        let (seen_at, updated_at) = match session.link {
            Some(_) => (now, now),
            None => (
                session.seen_at,
                session.placed.map_or(now, |p| p.updated_at),
            ),
        };
        let record = self.session_record(slot).map(|record| {
            let until = seen_at + self.settings.session_ttl;
            Change::Session(key, Box::new(record), until)
        });
        let place = (dirty == Dirty::Everything).then(|| {
            let until = updated_at + self.settings.place_ttl;
            let record = self.place_record(slot);
            Change::Place(key, record.map(|record| (Box::new(record), until)))
        });
        if let Some(mirror) = &mut self.mirror {
            // Whoever hears of somebody finds their record.
            let records = record.into_iter().chain(place);
            mirror.changes.splice(first..first, records);
        }
    }

    /// Counts the regions around somebody, if their place is new.
    pub(super) fn count_regions(&mut self, slot: Slot) {
        let session = &mut self.sessions[slot];
        let spot = session.spot().copied();
        if let (Some(mirror), Some(shared)) = (&mut self.mirror, &mut session.shared)
            && spot != shared.around.as_ref().map(|(spot, _)| *spot)
        {
            let new = spot.map(|spot| (spot, Region::around(&spot)));
            let regions = |around: &Option<(Spot, Vec<Region>)>| match around {
                Some((_, regions)) => regions.clone(),
                None => Vec::new(),
            };
            let old = std::mem::replace(&mut shared.around, new);
            mirror.count_around(&regions(&old), &regions(&shared.around));
        }
    }

    /// Tells others how to show somebody, if that is new.
    pub(super) fn publish(&mut self, slot: Slot) {
        if !self.index.contains(slot) {
            return;
        }
        let Some(mut presence) = self.presence(slot) else {
            return;
        };
        let region = Region::containing(presence.spot.centre());
        let (Some(mirror), Some(shared)) = (&mut self.mirror, &mut self.sessions[slot].shared)
        else {
            return;
        };
        let gone = match shared.published.take() {
            Some((was_in, old)) if was_in == region && *old == presence => {
                shared.published = Some((was_in, old));
                return;
            }
            Some((was_in, _)) if was_in != region => Some(Change::Gone {
                region: was_in,
                peer_id: presence.peer_id,
                stamp: shared.stamp,
                reason: LeftReason::Moved,
                to: Some(region),
            }),
            _ => None,
        };
        shared.stamp.shown += 1;
        presence.stamp = shared.stamp;
        let present = Change::Present(region, Box::new(presence.clone()));
        // They are in the new region first, so that nobody sees them gone in between.
        mirror.changes.push(present);
        mirror.changes.extend(gone);
        shared.published = Some((region, Box::new(presence)));
    }

    pub(super) fn session_record(&self, slot: Slot) -> Option<SessionRecord> {
        let session = &self.sessions[slot];
        Some(SessionRecord {
            node: self.mirror.as_ref()?.node,
            stamp: session.shared.as_ref()?.stamp,
            peer_id: session.peer_id,
            username: session.username.clone(),
            former_usernames: session.former_usernames.clone(),
            username_changes_left: session.username_changes_left,
            had_link: session.had_link,
            quotas: session.quotas.clone(),
            ban: session.ban,
            place: None,
        })
    }

    pub(super) fn place_record(&self, slot: Slot) -> Option<PlaceRecord> {
        let session = &self.sessions[slot];
        let placed = session.placed?;
        let peer = |&other: &Slot| self.sessions.get(other).map(|other| other.peer_id);
        Some(PlaceRecord {
            spot: placed.spot,
            updated_at: placed.updated_at,
            shown: self.index.contains(slot),
            movement: session.movement.clone(),
            voice: session.voice,
            voice_until: session.voice_until,
            voice_peers: session.voice_peers.iter().filter_map(peer).collect(),
            voice_missed: session.voice_missed.clone(),
        })
    }
}

impl Said {
    /// The message as other relays get it.
    pub(super) fn at_spot(&self, spot: &Spot) -> Utterance {
        Utterance {
            id: self.id,
            from: self.from,
            username: self.username.clone(),
            text: self.text.clone(),
            sent_at: self.sent_at,
            expires_at: self.expires_at,
            reached: self.reached,
            spot: *spot,
            origin: None,
        }
    }
}
