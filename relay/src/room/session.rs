//! Sessions: who somebody is while they are here.

use std::{collections::BTreeSet, fmt::Write};

use neartalk_shared::{
    DistanceBand, PeerId, SessionId, Spot, Timestamp, Username,
    frame::{Person, Reach},
};
use rustc_hash::FxHashMap;
use slab::Slab;

use serde::{Deserialize, Serialize};

use super::{mirror::Shared, movement::MovementGuard, wheel::Phase};
use crate::{
    moderation::{bans::BanId, origin::Origin},
    quota::{Gcra, SlidingWindow},
};

/// Number of a session in the room's tables. Slots are reused, but not before a whole turn of the
/// wheel after the session's end, so that what waits for a step never reaches somebody else.
pub type Slot = u32;

/// A place that is shown to others.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Where, and with which circle.
    pub spot: Spot,
    /// When it was last confirmed.
    pub updated_at: Timestamp,
}

/// The state of somebody's microphone and loudspeaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoiceState {
    /// Nobody hears them.
    pub muted: bool,
    /// They hear nobody.
    pub deafened: bool,
}

/// A session's counters against the limits. They go with it from relay to relay.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Quotas {
    pub messages: SlidingWindow,
    pub locations: Gcra,
    pub typing: Gcra,
    pub signals: Gcra,
    pub signal_bytes: Gcra,
    pub voice_joins: Gcra,
    pub reports: Gcra,
}

/// A session with all that a relay knows of it.
#[derive(Debug)]
pub struct Session<L> {
    /// The secret; none when they are on another relay.
    pub id: Option<SessionId>,
    pub peer_id: PeerId,
    /// When in each second others are told of it.
    pub phase: Phase,
    pub username: Username,
    pub former_usernames: Vec<Username>,
    pub username_changes_left: u32,
    /// Where it comes from, for a ban; unknown until somebody comes with it.
    pub origin: Option<Origin>,
    /// Until when they are banned, if they are, and by which ban.
    pub ban: Option<(Timestamp, BanId)>,
    /// The last request, or the end of the last socket.
    pub seen_at: Timestamp,
    /// The open socket, and its number.
    pub link: Option<(u64, L)>,
    pub had_link: bool,
    pub placed: Option<Placed>,
    pub movement: MovementGuard,
    pub quotas: Quotas,
    pub voice: Option<VoiceState>,
    /// When voice ends unless they join again: set when the socket is lost.
    pub voice_until: Option<Timestamp>,
    /// This person's JSON as others get it, until it changes.
    portrait: Option<Portrait>,
    /// Who this client has been told is in range, with the band told; sorted by slot. Empty
    /// without a socket.
    pub view: Vec<(Slot, DistanceBand)>,
    /// Number of the first change that this view does not have yet.
    pub view_since: u64,
    /// Whose view this session is in; sorted.
    pub watchers: Vec<Slot>,
    /// Whom this client has been told to connect to in voice; sorted.
    pub voice_peers: Vec<Slot>,
    /// Who has left since without a socket to tell it on.
    pub voice_missed: Vec<PeerId>,
    /// What this client was last told, and when.
    pub reach: Vec<Reach>,
    pub reach_at: Timestamp,
    /// How many differences this client has been told of in which turn.
    pub told: (u32, u32),
    /// Waits for its step, because the place has changed …
    pub moved: bool,
    /// … or something else that others see …
    pub changed: bool,
    /// … or the number of people around.
    pub reach_dirty: bool,
    /// When to look whether the place or the session has expired, as it is in the queue.
    deadline: Option<Timestamp>,
    /// What it has to do with other relays, if there are any.
    pub(super) shared: Option<Box<Shared>>,
}

impl<L> Session<L> {
    /// This person as somebody sees them at `distance`.
    pub fn person(&self, distance: DistanceBand) -> Person {
        let voice = self.voice.unwrap_or_default();
        Person {
            peer_id: self.peer_id,
            username: self.username.clone(),
            former_usernames: self.former_usernames.clone(),
            distance,
            in_voice: self.voice.is_some(),
            muted: voice.muted,
            deafened: voice.deafened,
        }
    }

    /// Appends the JSON of [`Session::person`] to `json`, from what is kept of it.
    pub fn write_person(&mut self, distance: DistanceBand, json: &mut String) {
        let portrait = match self.portrait.take() {
            Some(portrait) => portrait,
            None => Portrait::of(&self.person(DistanceBand::from_index(0))),
        };
        let DistanceBand { min, max } = distance;
        json.push_str(&portrait.head);
        // Writing to a string can't fail.
        let _ = write!(json, "{{\"min\":{min},\"max\":{max}}}");
        json.push_str(&portrait.tail);
        self.portrait = Some(portrait);
    }

    /// What others see of this person has changed.
    pub fn redraw(&mut self) {
        self.portrait = None;
    }

    /// Counts that this client is told of so many differences; how many these are in this turn.
    pub fn count_told(&mut self, turn: u32, differences: u32) -> u32 {
        let (last, told) = self.told;
        let before = if last == turn { told } else { 0 };
        self.told = (turn, before + differences);
        self.told.1
    }

    /// Whether others can be told to connect to them: in voice, and not about to fall out of it.
    pub fn answers_in_voice(&self) -> bool {
        self.voice.is_some() && self.voice_until.is_none()
    }

    /// Where, if there is a place.
    pub fn spot(&self) -> Option<&Spot> {
        self.placed.as_ref().map(|p| &p.spot)
    }
}

/// A person's JSON without the distance, which is all that differs between those who see them.
#[derive(Debug)]
struct Portrait {
    /// Up to the value of `distance` …
    head: Box<str>,
    /// … and from there on.
    tail: Box<str>,
}

impl Portrait {
    fn of(person: &Person) -> Self {
        const FIELD: &str = "\"distance\":";
        // Names have no quotes, so the field is the only such text.
        let json = serde_json::to_string(person).unwrap_or_default();
        let value = json.find(FIELD).map_or(json.len(), |at| at + FIELD.len());
        let end = json[value..]
            .find('}')
            .map_or(json.len(), |at| value + at + 1);
        Self {
            head: json[..value].into(),
            tail: json[end..].into(),
        }
    }
}

/// All sessions, by slot, by secret, and by public id.
#[derive(Debug)]
pub struct Sessions<L> {
    slots: Slab<Session<L>>,
    by_id: FxHashMap<SessionId, Slot>,
    by_peer: FxHashMap<PeerId, Slot>,
    deadlines: BTreeSet<(Timestamp, Slot)>,
    /// Ended, but their slots may still be named in what waits for a step …
    retired: Vec<Slot>,
    /// … of this turn.
    retired_before: Vec<Slot>,
}

impl<L> Default for Sessions<L> {
    fn default() -> Self {
        Self {
            slots: Slab::new(),
            by_id: FxHashMap::default(),
            by_peer: FxHashMap::default(),
            deadlines: BTreeSet::new(),
            retired: Vec::new(),
            retired_before: Vec::new(),
        }
    }
}

impl<L> Sessions<L> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Starts a session.
    pub fn create(
        &mut self,
        id: Option<SessionId>,
        peer_id: PeerId,
        username: Username,
        username_changes_left: u32,
        now: Timestamp,
    ) -> Slot {
        let slot = self.slots.insert(Session {
            id,
            peer_id,
            phase: Phase::of(&peer_id),
            username,
            former_usernames: Vec::new(),
            username_changes_left,
            origin: None,
            ban: None,
            seen_at: now,
            link: None,
            had_link: false,
            placed: None,
            movement: MovementGuard::default(),
            quotas: Quotas::default(),
            voice: None,
            voice_until: None,
            portrait: None,
            view: Vec::new(),
            view_since: 0,
            watchers: Vec::new(),
            voice_peers: Vec::new(),
            voice_missed: Vec::new(),
            reach: Vec::new(),
            reach_at: Timestamp::default(),
            told: (0, 0),
            moved: false,
            changed: false,
            reach_dirty: false,
            deadline: None,
            shared: None,
        }) as Slot;
        if let Some(id) = id {
            self.by_id.insert(id, slot);
        }
        self.by_peer.insert(peer_id, slot);
        slot
    }

    /// How many people of other relays there are.
    pub fn len_away(&self) -> usize {
        self.by_peer.len() - self.by_id.len()
    }

    /// Gives somebody who was on another relay their secret.
    pub fn name(&mut self, slot: Slot, id: SessionId) {
        if let Some(session) = self.slots.get_mut(slot as usize) {
            session.id = Some(id);
            self.by_id.insert(id, slot);
        }
    }

    /// Forgets somebody's secret and when they expire, as they are on another relay now.
    pub fn unname(&mut self, slot: Slot) {
        self.set_deadline(slot, None);
        if let Some(session) = self.slots.get_mut(slot as usize)
            && let Some(id) = session.id.take()
        {
            self.by_id.remove(&id);
        }
    }

    /// The slot of a secret.
    pub fn find(&self, id: &SessionId) -> Option<Slot> {
        self.by_id.get(id).copied()
    }

    /// The slot of a public id.
    pub fn find_peer(&self, peer_id: &PeerId) -> Option<Slot> {
        self.by_peer.get(peer_id).copied()
    }

    /// The session in a slot, unless it has ended.
    pub fn get(&self, slot: Slot) -> Option<&Session<L>> {
        self.slots.get(slot as usize)
    }

    /// The session in a slot, unless it has ended.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Session<L>> {
        self.slots.get_mut(slot as usize)
    }

    /// All that have not ended.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, &Session<L>)> {
        let live = self.by_peer.values();
        live.filter_map(|&slot| Some((slot, self.get(slot)?)))
    }

    /// The slots of all of them.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        self.by_id.values().copied()
    }

    /// All of them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Slot, &mut Session<L>)> {
        self.slots
            .iter_mut()
            .map(|(slot, session)| (slot as Slot, session))
    }

    /// Ends a session: its ids are unknown from now on. The slot stays taken until
    /// [`Sessions::release_retired`].
    pub fn retire(&mut self, slot: Slot) {
        self.set_deadline(slot, None);
        if let Some(session) = self.slots.get(slot as usize) {
            if let Some(id) = &session.id {
                self.by_id.remove(id);
            }
            self.by_peer.remove(&session.peer_id);
            self.retired.push(slot);
        }
    }

    /// Frees the slots of sessions that had ended by the last call. Call this once a turn.
    pub fn release_retired(&mut self) {
        for slot in self.retired_before.drain(..) {
            self.slots.remove(slot as usize);
        }
        std::mem::swap(&mut self.retired, &mut self.retired_before);
    }

    /// Sets when this session should next come out of [`Sessions::next_due`].
    pub fn set_deadline(&mut self, slot: Slot, deadline: Option<Timestamp>) {
        let Some(session) = self.slots.get_mut(slot as usize) else {
            return;
        };
        if session.deadline == deadline {
            return;
        }
        if let Some(old) = std::mem::replace(&mut session.deadline, deadline) {
            self.deadlines.remove(&(old, slot));
        }
        if let Some(new) = deadline {
            self.deadlines.insert((new, slot));
        }
    }

    /// The next session whose deadline has come, which it then no longer has.
    pub fn next_due(&mut self, now: Timestamp) -> Option<Slot> {
        let &(deadline, slot) = self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.set_deadline(slot, None);
        Some(slot)
    }
}

impl<L> std::ops::Index<Slot> for Sessions<L> {
    type Output = Session<L>;

    /// Only for slots that come from the room's own tables.
    fn index(&self, slot: Slot) -> &Session<L> {
        &self.slots[slot as usize]
    }
}

impl<L> std::ops::IndexMut<Slot> for Sessions<L> {
    fn index_mut(&mut self, slot: Slot) -> &mut Session<L> {
        &mut self.slots[slot as usize]
    }
}
