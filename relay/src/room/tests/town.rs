//! Rooms that share a store, for tests: what one decides, the others hear.

use super::*;
use crate::store::{
    Change, News,
    region::Region,
    wire::{Event, NodeId, PlaceRecord, Presence, SessionKey, SessionRecord, Utterance},
};

/// Rooms, and the plainest store that they can share: nothing is lost, and nothing takes time.
pub(super) struct Town {
    pub(super) rooms: Vec<(NodeId, Room<TestLink>)>,
    attended: Vec<BTreeSet<Region>>,
    pub(super) people: BTreeMap<(Region, NodeId), BTreeMap<PeerId, Presence>>,
    pub(super) messages: BTreeMap<Region, Vec<Utterance>>,
    pub(super) sessions: BTreeMap<SessionKey, SessionRecord>,
    pub(super) places: BTreeMap<SessionKey, PlaceRecord>,
    pub(super) rng: StdRng,
}

fn settings() -> RoomSettings {
    RoomSettings {
        location_interval: Duration::from_millis(1),
        messages_per_minute: 10_000,
        ..RoomSettings::default()
    }
}

impl Town {
    pub(super) fn new(count: usize, seed: u64) -> Self {
        let mut town = Self {
            rooms: Vec::new(),
            attended: vec![BTreeSet::new(); count],
            people: BTreeMap::new(),
            messages: BTreeMap::new(),
            sessions: BTreeMap::new(),
            places: BTreeMap::new(),
            rng: StdRng::seed_from_u64(seed),
        };
        for _ in 0..count {
            let room = town.new_room();
            town.rooms.push(room);
        }
        town
    }

    fn new_room(&mut self) -> (NodeId, Room<TestLink>) {
        let node = NodeId::random(&mut self.rng);
        let rng = StdRng::from_rng(&mut self.rng);
        let mut room = Room::new(settings(), rng, RoomMetrics::default());
        room.share(node);
        (node, room)
    }

    pub(super) fn room(&mut self, at: usize) -> &mut Room<TestLink> {
        &mut self.rooms[at].1
    }

    /// Carries out all that the rooms want, until they want nothing more.
    pub(super) fn settle(&mut self, now: Timestamp) {
        loop {
            let mut changes = Vec::new();
            for at in 0..self.rooms.len() {
                let news = self.room(at).take_changes(now);
                changes.extend(news.into_iter().map(|change| (at, change)));
            }
            if changes.is_empty() {
                return;
            }
            for (at, change) in changes {
                self.apply(at, change, now);
            }
        }
    }

    fn apply(&mut self, at: usize, change: Change, now: Timestamp) {
        let node = self.rooms[at].0;
        match change {
            Change::Session(key, record, _) => {
                self.sessions.insert(key, *record);
            }
            Change::Place(key, Some((record, _))) => {
                self.places.insert(key, *record);
            }
            Change::Place(key, None) => {
                self.places.remove(&key);
            }
            Change::Ended(key) => {
                self.sessions.remove(&key);
                self.places.remove(&key);
            }
            Change::Present(region, presence) => {
                let people = self.people.entry((region, node)).or_default();
                people.insert(presence.peer_id, (*presence).clone());
                self.publish(at, region, &Event::Present(*presence), now);
            }
            Change::Gone {
                region,
                peer_id,
                stamp,
                reason,
                to,
            } => {
                self.forget(region, node, peer_id);
                let gone = Event::Gone {
                    peer_id,
                    stamp,
                    reason,
                    to,
                };
                self.publish(at, region, &gone, now);
            }
            Change::HandedOver(region, peer_id) => self.forget(region, node, peer_id),
            Change::Roster(region, people) => {
                self.publish(at, region, &Event::Roster { people }, now);
            }
            Change::Said(region, utterance) => {
                let id = utterance.id;
                self.keep(region, &utterance);
                self.publish(at, region, &Event::Said(*utterance), now);
                self.room(at).hear(News::Stored(vec![id], true), now);
            }
            Change::Keep(region, utterance) => self.keep(region, &utterance),
            Change::Passing(region, event) => self.publish(at, region, &event, now),
            Change::Attend(region) => self.attend(at, &[region], now),
            Change::Neglect(region) => {
                self.attended[at].remove(&region);
                self.room(at).hear(News::Forget(region), now);
            }
            Change::Letter(to, letter) => {
                match self.rooms.iter_mut().find(|(node, _)| *node == to) {
                    Some((_, room)) => room.hear(News::Letter(node, *letter), now),
                    None => {
                        if let crate::store::wire::Letter::Signal { from, .. } = *letter {
                            self.room(at).hear(News::Undeliverable(from.peer_id), now);
                        }
                    }
                }
            }
            Change::Ruling(ruling) => {
                for to in (0..self.rooms.len()).filter(|&to| to != at) {
                    let news = News::Rulings(vec![(*ruling).clone()]);
                    self.room(to).hear(news, now);
                }
            }
            Change::Fence(_) => {}
        }
    }

    fn publish(&mut self, from: usize, region: Region, event: &Event, now: Timestamp) {
        let node = self.rooms[from].0;
        for at in 0..self.rooms.len() {
            if at != from && self.attended[at].contains(&region) {
                let news = News::Event(node, region, event.clone());
                self.room(at).hear(news, now);
            }
        }
    }

    fn keep(&mut self, region: Region, utterance: &Utterance) {
        let messages = self.messages.entry(region).or_default();
        if messages.iter().all(|message| message.id != utterance.id) {
            let origin = None;
            messages.push(Utterance {
                origin,
                ..utterance.clone()
            });
        }
    }

    fn forget(&mut self, region: Region, node: NodeId, peer_id: PeerId) {
        if let Some(people) = self.people.get_mut(&(region, node)) {
            people.remove(&peer_id);
        }
    }

    pub(super) fn attend(&mut self, at: usize, regions: &[Region], now: Timestamp) {
        for &region in regions {
            if self.attended[at].insert(region) {
                let own = self.rooms[at].0;
                let all = self.people.iter();
                let there = all.filter(|((of, node), _)| *of == region && *node != own);
                let people = there
                    .flat_map(|((_, node), people)| people.values().map(|p| (*node, p.clone())))
                    .collect();
                let messages = self.messages.get(&region).cloned().unwrap_or_default();
                let news = News::Snapshot {
                    region,
                    people,
                    messages,
                    complete_at: None,
                };
                self.room(at).hear(news, now);
            }
        }
    }

    /// Brings a session to a room, from wherever it is.
    pub(super) fn bring(&mut self, session: &SessionId, to: usize, now: Timestamp) {
        if self.room(to).knows(session, now) {
            return;
        }
        let key = SessionKey::of(session);
        let mut record = self.sessions[&key].clone();
        record.place = self.places.get(&key).cloned();
        let node = self.rooms[to].0;
        let home = self.rooms.iter_mut().find(|(node, _)| *node == record.node);
        if let Some((_, room)) = home
            && let Some(newer) = room.release(key, node, now)
        {
            record = newer;
        }
        if let Some(place) = &record.place {
            let around = Region::around(&place.spot);
            self.attend(to, &around, now);
        }
        self.room(to).adopt(*session, record, now);
    }

    /// A relay dies, with all that it knows, and another one takes its place.
    pub(super) fn kill(&mut self, at: usize, now: Timestamp) {
        let room = self.new_room();
        let (dead, _) = std::mem::replace(&mut self.rooms[at], room);
        self.attended[at].clear();
        self.people.retain(|(_, node), _| *node != dead);
        let alive: Vec<_> = self.rooms.iter().map(|(node, _)| *node).collect();
        for (_, room) in &mut self.rooms {
            room.hear(
                News::Alive(alive.clone(), now + Duration::from_millis(1)),
                now,
            );
        }
    }

    pub(super) fn tick(&mut self, now: Timestamp) {
        self.settle(now);
        for at in 0..self.rooms.len() {
            self.room(at).tick(now);
        }
        self.settle(now);
    }
}
