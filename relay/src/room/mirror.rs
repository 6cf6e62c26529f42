//! The room among those of other relays: what it tells them, and what it knows of them.
//!
//! People of other relays are in the same tables as those of this one, as sessions without a
//! socket and without a secret; so everyone finds them like anybody else. Here is what others
//! learn of this relay's own people, as `records` writes it; `news` has how those of others come and go, and `handover` how
//! somebody changes relays. A room that is alone has none of it.

use std::{collections::HashMap, time::Duration};

use neartalk_shared::{
    MessageId, PeerId, ServerFrame, SessionId, Spot, Timestamp, frame::LeftReason,
};
use rustc_hash::FxHashMap;

use super::{Room, history::Said, link::Link, session::Slot};
use crate::store::{
    Change,
    region::Region,
    wire::{Event, NodeId, Presence, SessionKey, Stamp, Utterance},
};

/// For how long news of somebody who is gone is known to be old.
const TOMBSTONE: Duration = Duration::from_secs(30);

/// For how long the store may still take a message that nobody would tell it of again.
const ON_ITS_WAY: Duration = Duration::from_secs(30);

/// What the store knows is renewed this often in the time that it lives there.
const RENEWALS: u32 = 3;

/// A room's part in a store that it shares.
#[derive(Debug)]
pub(super) struct Mirror {
    pub node: NodeId,
    /// What has not been handed to the store yet, in order …
    pub changes: Vec<Change>,
    /// … and whose record has to be written anew before that is.
    dirty: Vec<Slot>,
    by_key: FxHashMap<SessionKey, Slot>,
    /// How many people here each region is around of.
    regions: FxHashMap<Region, u32>,
    /// Who has left, with the newest that was known of them then, and when.
    pub gone: FxHashMap<PeerId, (Stamp, Timestamp)>,
    /// What was said here and has not reached others yet.
    /// The randomly keyed hasher of the standard library, because clients choose these keys.
    pub unstored: HashMap<MessageId, Unstored>,
    /// When renewing began the last time …
    renewed_at: Timestamp,
    /// … and what is left to renew of it, so many in a tick.
    to_renew: Vec<Slot>,
    renewals: usize,
}

/// A message that others don't have yet. By itself, as in a dense crowd the history may let go of it sooner.
#[derive(Clone, Debug)]
pub struct Unstored {
    /// Who said it.
    pub from: PeerId,
    /// What they are told once it can be relied on.
    pub sent: ServerFrame,
    /// Whether they have been.
    pub answered: bool,
    said_at: Timestamp,
}

/// What a session has to do with other relays.
#[derive(Debug)]
pub(super) struct Shared {
    pub home: Home,
    pub stamp: Stamp,
    pub dirty: Dirty,
    /// How others were last told to show it, and where.
    pub published: Option<(Region, Box<Presence>)>,
    /// The regions counted for it, and for which spot.
    pub around: Option<(Spot, Vec<Region>)>,
}

/// Which relay somebody is on.
#[derive(Clone, Copy, Debug)]
pub(super) enum Home {
    /// This one.
    Here(SessionKey),
    /// Another one.
    Away {
        node: NodeId,
        region: Region,
        /// Whether a message reaches them there.
        linked: bool,
        /// When this was last confirmed.
        heard_at: Timestamp,
    },
}

/// What of a session the store does not know yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dirty {
    #[default]
    Nothing,
    /// How much of its limits is used up.
    Counters,
    Everything,
}

impl Shared {
    pub fn new(home: Home, stamp: Stamp) -> Box<Self> {
        Box::new(Self {
            home,
            stamp,
            dirty: Dirty::Nothing,
            published: None,
            around: None,
        })
    }
}

impl Mirror {
    pub fn count_around(&mut self, old: &[Region], new: &[Region]) {
        for &region in new {
            let count = self.regions.entry(region).or_insert(0);
            *count += 1;
            if *count == 1 {
                self.changes.push(Change::Attend(region));
            }
        }
        for &region in old {
            if let Some(count) = self.regions.get_mut(&region) {
                *count -= 1;
                if *count == 0 {
                    self.regions.remove(&region);
                    self.changes.push(Change::Neglect(region));
                }
            }
        }
    }

    /// The slot of a session of this relay.
    pub fn slot_of(&self, key: SessionKey) -> Option<Slot> {
        self.by_key.get(&key).copied()
    }

    /// Whether this region is around somebody here.
    pub fn attends(&self, region: Region) -> bool {
        self.regions.contains_key(&region)
    }
}

impl<L: Link> Room<L> {
    /// Makes this the room of `node` among those that share a store. Call it while nobody is in.
    pub fn share(&mut self, node: NodeId) {
        self.mirror = Some(Box::new(Mirror {
            node,
            changes: Vec::new(),
            dirty: Vec::new(),
            by_key: FxHashMap::default(),
            regions: FxHashMap::default(),
            gone: FxHashMap::default(),
            unstored: HashMap::new(),
            renewed_at: Timestamp::default(),
            to_renew: Vec::new(),
            renewals: 0,
        }));
    }

    /// What the store has to be told of what has happened since the last call. A room that is
    /// alone has nothing to tell.
    pub fn take_changes(&mut self, now: Timestamp) -> Vec<Change> {
        let Some(mirror) = &mut self.mirror else {
            return Vec::new();
        };
        for slot in std::mem::take(&mut mirror.dirty) {
            self.write_record(slot, now);
        }
        self.mirror
            .as_mut()
            .map(|mirror| std::mem::take(&mut mirror.changes))
            .unwrap_or_default()
    }

    /// Whether a session is here.
    pub fn knows(&self, id: &SessionId, now: Timestamp) -> bool {
        let slot = self.sessions.find(id);
        slot.is_some_and(|slot| !self.has_expired(slot, now))
    }

    /// The session with this key, for requests from the relay that its client has asked.
    pub fn id_of(&self, key: SessionKey, now: Timestamp) -> Option<SessionId> {
        let slot = *self.mirror.as_ref()?.by_key.get(&key)?;
        let id = self.sessions.get(slot)?.id?;
        self.knows(&id, now).then_some(id)
    }

    /// All sessions that are here, and how new each is.
    pub fn own_sessions(&self) -> Vec<(SessionKey, Stamp)> {
        let by_key = self.mirror.iter().flat_map(|mirror| &mirror.by_key);
        by_key
            .filter_map(|(&key, &slot)| {
                let shared = self.sessions.get(slot)?.shared.as_ref()?;
                Some((key, shared.stamp))
            })
            .collect()
    }

    /// Tells the store everything again, as it may have lost it, and others who is still here: in
    /// `known`, the regions in which somebody may have been. The answer is the regions around people here.
    pub fn republish(&mut self, known: &[Region], now: Timestamp) -> Vec<Region> {
        let Some(mirror) = &mut self.mirror else {
            return Vec::new();
        };
        mirror.gone.clear();
        let own: Vec<_> = mirror.by_key.values().copied().collect();
        for slot in own {
            self.insist(slot);
            self.write_record(slot, now);
        }
        self.tell_rosters(known);
        self.repeat_rulings();
        let Some(mirror) = &mut self.mirror else {
            return Vec::new();
        };
        for (said, spot) in self.history.iter(now) {
            let region = Region::containing(spot.centre());
            let utterance = Box::new(said.at_spot(spot));
            mirror
                .changes
                .push(if mirror.unstored.contains_key(&said.id) {
                    Change::Said(region, utterance)
                } else {
                    Change::Keep(region, utterance)
                });
        }
        mirror.regions.keys().copied().collect()
    }

    /// Tells others who of this relay is in each of these regions, and wherever else somebody is. Whoever
    /// has gone while nobody could be told is in none.
    fn tell_rosters(&mut self, known: &[Region]) {
        let Some(mirror) = &mut self.mirror else {
            return;
        };
        let nobody = known.iter().map(|&region| (region, Vec::new()));
        let mut rosters: FxHashMap<Region, Vec<PeerId>> = nobody.collect();
        for &slot in mirror.by_key.values() {
            let session = &self.sessions[slot];
            if let Some((region, _)) = session.shared.as_ref().and_then(|s| s.published.as_ref()) {
                rosters.entry(*region).or_default().push(session.peer_id);
            }
        }
        let rosters = rosters.into_iter();
        let changes = rosters.map(|(region, people)| Change::Roster(region, people));
        mirror.changes.extend(changes);
    }

    /// Whether somebody is on another relay.
    pub(super) fn is_away(&self, slot: Slot) -> bool {
        let shared = self.sessions[slot].shared.as_ref();
        shared.is_some_and(|shared| matches!(shared.home, Home::Away { .. }))
    }

    /// The store is to learn how a session is now.
    pub(super) fn touch(&mut self, slot: Slot) {
        self.mark_dirty(slot, Dirty::Everything);
    }

    /// The store is to learn how much of its limits a session has used up.
    pub(super) fn touch_counters(&mut self, slot: Slot) {
        self.mark_dirty(slot, Dirty::Counters);
    }

    fn mark_dirty(&mut self, slot: Slot, what: Dirty) {
        let Some(mirror) = &mut self.mirror else {
            return;
        };
        if let Some(shared) = &mut self.sessions[slot].shared
            && matches!(shared.home, Home::Here(_))
            && shared.dirty < what
        {
            if shared.dirty == Dirty::Nothing {
                mirror.dirty.push(slot);
            }
            shared.dirty = what;
        }
    }

    /// Makes a session this relay's own.
    pub(super) fn settle_in(&mut self, slot: Slot, id: &SessionId, stamp: Stamp) {
        if let Some(mirror) = &mut self.mirror {
            let key = SessionKey::of(id);
            mirror.by_key.insert(key, slot);
            self.sessions[slot].shared = Some(Shared::new(Home::Here(key), stamp));
            self.touch(slot);
        }
    }

    /// A session of this relay has ended.
    pub(super) fn unsettle(&mut self, slot: Slot) {
        if let Some((key, _)) = self.leave_home(slot)
            && let Some(mirror) = &mut self.mirror
        {
            mirror.changes.push(Change::Ended(key));
        }
    }

    /// A session of this relay is out of sight.
    pub(super) fn unpublish(&mut self, slot: Slot, reason: LeftReason) {
        let Some(mirror) = &mut self.mirror else {
            return;
        };
        let session = &mut self.sessions[slot];
        if let Some(shared) = &mut session.shared
            && let Some((region, _)) = shared.published.take()
        {
            mirror.changes.push(Change::Gone {
                region,
                peer_id: session.peer_id,
                stamp: shared.stamp,
                reason,
                to: None,
            });
        }
        self.touch(slot);
    }

    /// Keeps a message for others to get. Whether its sender is answered once they have it.
    pub(super) fn share_message(&mut self, slot: Slot, said: &Said, spot: &Spot) -> bool {
        let Some(mirror) = &mut self.mirror else {
            return false;
        };
        let region = Region::containing(spot.centre());
        let unstored = Unstored {
            from: said.from,
            sent: super::chat::sent(said),
            answered: false,
            said_at: said.sent_at,
        };
        mirror.unstored.insert(said.id, unstored);
        let origin = self.sessions[slot].origin.as_ref();
        let utterance = Utterance {
            origin: origin.map(|origin| origin.digest),
            ..said.at_spot(spot)
        };
        mirror
            .changes
            .push(Change::Said(region, Box::new(utterance)));
        true
    }

    /// Whether the sender of a message is still to be answered.
    pub(super) fn is_unanswered(&self, id: &MessageId) -> bool {
        let mirror = self.mirror.as_ref();
        let unstored = mirror.and_then(|mirror| mirror.unstored.get(id));
        unstored.is_some_and(|unstored| !unstored.answered)
    }

    /// Tells others in the region of `spot` what only matters now.
    pub(super) fn share_passing(&mut self, spot: &Spot, event: Event) {
        if let Some(mirror) = &mut self.mirror {
            let region = Region::containing(spot.centre());
            mirror
                .changes
                .push(Change::Passing(region, Box::new(event)));
        }
    }

    /// Does what is due about the store.
    pub(super) fn tick_mirror(&mut self, now: Timestamp) {
        let Some(mirror) = &mut self.mirror else {
            return;
        };
        mirror
            .gone
            .retain(|_, &mut (_, at)| now.since(at) < TOMBSTONE);
        let history = &self.history;
        mirror.unstored.retain(|id, unstored| {
            now.since(unstored.said_at) < ON_ITS_WAY || history.get(id, now).is_some()
        });
        let lifetime = self.settings.session_ttl.min(self.settings.place_ttl);
        let period = lifetime / RENEWALS;
        if mirror.to_renew.is_empty() && now.since(mirror.renewed_at) >= period {
            mirror.renewed_at = now;
            mirror.to_renew = mirror.by_key.values().copied().collect();
            // Spread over half of the time, so that messages need not wait for it.
            let ticks = (period.as_secs() / 2).max(1) as usize;
            mirror.renewals = mirror.to_renew.len().div_ceil(ticks);
        }
        let rest = mirror.to_renew.len().saturating_sub(mirror.renewals);
        for slot in mirror.to_renew.split_off(rest) {
            if self.sessions.get(slot).is_some() {
                self.touch(slot);
            }
        }
    }

    /// Tells others once more that somebody is this relay's own.
    pub(super) fn insist(&mut self, slot: Slot) {
        if let Some(shared) = &mut self.sessions[slot].shared {
            shared.published = None;
        }
        self.touch(slot);
    }

    /// A session is no longer this relay's own; what it was, if it was one.
    pub(super) fn leave_home(&mut self, slot: Slot) -> Option<(SessionKey, Shared)> {
        let mirror = self.mirror.as_mut()?;
        let session = &mut self.sessions[slot];
        let Home::Here(key) = session.shared.as_ref()?.home else {
            return None;
        };
        let mut shared = *session.shared.take()?;
        mirror.by_key.remove(&key);
        if let Some((_, around)) = shared.around.take() {
            mirror.count_around(&around, &[]);
        }
        Some((key, shared))
    }
}
