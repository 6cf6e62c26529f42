//! Rooms of several relays that share a store: together they must be as one room.

use std::collections::BTreeMap;

use super::*;
use crate::store::{
    Change, News,
    region::Region,
    wire::{Event, NodeId, PlaceRecord, Presence, SessionKey, SessionRecord, Utterance},
};
use crate::turn::relay::{Change as TurnChange, Ended, InnerServer, Issuer};

/// Rooms, and the plainest store that they can share: nothing is lost, and nothing takes time.
pub(super) struct Town {
    rooms: Vec<(NodeId, Room<TestLink>)>,
    attended: Vec<BTreeSet<Region>>,
    people: BTreeMap<(Region, NodeId), BTreeMap<PeerId, Presence>>,
    messages: BTreeMap<Region, Vec<Utterance>>,
    sessions: BTreeMap<SessionKey, SessionRecord>,
    places: BTreeMap<SessionKey, PlaceRecord>,
    rng: StdRng,
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
            messages.push(utterance.clone());
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
    fn bring(&mut self, session: &SessionId, to: usize, now: Timestamp) {
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
    fn kill(&mut self, at: usize, now: Timestamp) {
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

    fn tick(&mut self, now: Timestamp) {
        self.settle(now);
        for at in 0..self.rooms.len() {
            self.room(at).tick(now);
        }
        self.settle(now);
    }
}

/// TURN servers inside relays: who is let in to another relay's loses that with their session.
#[test]
fn the_end_of_a_session_ends_what_it_has_on_another_relays_turn_server() {
    let mut town = Town::new(2, 5);
    let mut changes = Vec::new();
    let servers = [1, 2].map(|n| {
        let secret = "hush".parse().unwrap();
        InnerServer::new(vec![([192, 0, 2, n], 3_478).into()], secret)
    });
    for (at, server) in servers.iter().enumerate() {
        let (sender, told) = tokio::sync::mpsc::channel(8);
        changes.push(told);
        let rng = StdRng::from_rng(&mut town.rng);
        let ttl = Duration::from_secs(3_600);
        let issuer = Issuer::new(server.clone(), ttl, rng, sender);
        town.room(at).issue_turn_credentials(issuer);
    }
    for home in [0, 1] {
        let other = (town.rooms[1 - home].0, servers[1 - home].clone());
        let news = News::TurnServers([other].into());
        town.room(home).hear(news, at(0));
    }
    let mut fox = TestClient::new(town.room(0), at(0));
    fox.locate(town.room(0), square(), 500, at(0));
    fox.send(town.room(0), ClientFrame::VoiceJoin, at(1));
    town.settle(at(1));
    let told = |changes: &mut Vec<tokio::sync::mpsc::Receiver<_>>, at: usize| {
        std::iter::from_fn(|| changes[at].try_recv().ok()).collect::<Vec<_>>()
    };
    let [TurnChange::Allow(user)] = told(&mut changes, 0)[..] else {
        panic!("not let in at home");
    };
    assert_eq!(
        told(&mut changes, 1),
        [],
        "a guest is let in without notice"
    );
    fox.disconnect(town.room(0), true, at(2));
    town.tick(at(3));
    assert_eq!(
        told(&mut changes, 0),
        [],
        "whoever loses their socket talks on"
    );
    town.tick(at(2 + 30 * 60));
    assert_eq!(told(&mut changes, 0), [TurnChange::Forbid(user)]);
    let until = at(1) + Duration::from_secs(3_600);
    let ended = Ended { user, until };
    assert_eq!(told(&mut changes, 1), [TurnChange::ForbidGuest(ended)]);
}

/// Somebody, on which relay, and where they are seen.
struct Resident {
    client: TestClient,
    home: usize,
    spot: Option<Spot>,
}

/// Walks over many regions, leaps, renames, voice, lost sockets, changes of relay and dying relays:
/// after every tick each client must believe exactly what is true, on whichever relay it is.
#[test]
fn together_they_are_one_room() {
    let mut totals = [0; 3];
    for seed in 0..10 {
        let middle = match seed % 3 {
            0 => square(),
            1 => Place::new(-16.8, 180.0).unwrap(),
            _ => Place::new(84.99, 10.0).unwrap(),
        };
        for (total, count) in totals.iter_mut().zip(story(seed, middle)) {
            *total += count;
        }
    }
    let [across, moves, sightings] = totals;
    assert!(across > 300, "only {across} messages between relays");
    assert!(moves > 100, "only {moves} changes of relay");
    assert!(sightings > 10_000, "only {sightings} sightings");
}

/// One story; how many messages went from relay to relay, how often somebody changed relays, and
/// how many sightings were compared.
fn story(seed: u64, middle: Place) -> [usize; 3] {
    let mut rng = StdRng::seed_from_u64(1_000 + seed);
    let mut town = Town::new(3, seed);
    let mut now = at(0);
    let mut residents: Vec<Resident> = Vec::new();
    let (mut across, mut moves, mut sightings) = (0, 0, 0);
    for round in 0..120 {
        for _ in 0..rng.random_range(0..10) {
            now = now + Duration::from_millis(rng.random_range(1..100));
            if residents.len() < 40 && rng.random_bool(0.3) {
                let home = rng.random_range(0..3);
                let client = TestClient::new(town.room(home), now);
                residents.push(Resident {
                    client,
                    home,
                    spot: None,
                });
                town.settle(now);
                continue;
            }
            if residents.is_empty() {
                continue;
            }
            let who = rng.random_range(0..residents.len());
            let Resident { client, home, spot } = &mut residents[who];
            let connected = client.attachment.is_some();
            match rng.random_range(0..18) {
                16..=17 => town.room(rng.random_range(0..3)).tick(now),
                0..=5 if connected => {
                    let place = middle
                        .destination(rng.random_range(0.0..TAU), rng.random_range(0.0..3_500.0));
                    let radius = rng.random_range(100..=2_000);
                    let new = Spot::new(place, Radius::new(radius).unwrap());
                    town.attend(*home, &Region::around(&new), now);
                    let before = client.errors.len();
                    client.locate(town.room(*home), place, radius, now);
                    if client.errors.len() == before {
                        *spot = Some(new);
                    }
                }
                6 => {
                    let username = names::friendly(&mut rng);
                    client.send(town.room(*home), ClientFrame::Rename { username }, now);
                }
                7..=8 if connected && spot.is_some() => {
                    client.send(town.room(*home), ClientFrame::VoiceJoin, now);
                    assert!(client.unconfirmed.is_empty(), "not all were named again");
                }
                9 if connected => {
                    client.send(town.room(*home), ClientFrame::VoiceLeave, now);
                    client.voice_peers.clear();
                }
                10 if connected => client.disconnect(town.room(*home), false, now),
                11..=12 => {
                    let to = rng.random_range(0..3);
                    town.settle(now);
                    client.read();
                    let old = client.link.clone();
                    let was_connected = client.attachment.is_some();
                    town.bring(&client.session, to, now);
                    if was_connected && to != *home {
                        assert_eq!(old.0.borrow().closed, Some(CloseCode::Replaced));
                        moves += 1;
                    }
                    client.connect(town.room(to), now);
                    *home = to;
                }
                _ if connected && spot.is_some() => {
                    let (me, from, here) = (client.peer_id, *home, spot.unwrap());
                    town.settle(now);
                    for resident in &mut residents {
                        resident.client.read();
                        resident.client.messages.clear();
                    }
                    let text = format!("message {}", rng.random::<u32>());
                    let room = town.room(from);
                    let id = residents[who].client.say(room, &text, now);
                    town.settle(now);
                    let mut reached = 0;
                    for resident in &mut residents {
                        resident.client.read();
                        let hears = resident.client.attachment.is_some()
                            && resident.client.peer_id != me
                            && resident.spot.is_some_and(|spot| spot.in_range(&here));
                        let messages = resident.client.messages.iter();
                        let heard = messages.filter(|message| message.id == id).count();
                        assert_eq!(heard, usize::from(hears), "round {round}");
                        reached += u32::from(hears);
                        across += usize::from(hears && resident.home != from);
                    }
                    assert_eq!(residents[who].client.sent.last(), Some(&(id, reached)));
                }
                _ => {}
            }
            town.settle(now);
        }
        if rng.random_bool(0.03) {
            let dead = rng.random_range(0..3);
            town.settle(now);
            town.kill(dead, now);
            for resident in residents.iter_mut().filter(|r| r.home == dead) {
                resident.client.read();
                resident.client.attachment = None;
                // All come back, to one of the others or the new one.
                resident.home = rng.random_range(0..3);
                town.bring(&resident.client.session, resident.home, now);
                let room = town.room(resident.home);
                resident.client.connect(room, now);
            }
            town.settle(now);
        }
        pass_a_second(&mut now, &mut rng, |now| town.tick(now));
        for resident in &mut residents {
            resident.client.read();
        }
        for me in &residents {
            let (Some(spot), Some(_)) = (me.spot, me.client.attachment) else {
                continue;
            };
            let truth: BTreeMap<_, _> = residents
                .iter()
                .filter(|other| other.client.peer_id != me.client.peer_id)
                .filter_map(|other| {
                    let band = spot.band_in_range(&other.spot?)?;
                    Some((other.client.peer_id, band))
                })
                .collect();
            let seen = me.client.seen.iter().map(|(id, p)| (*id, p.distance));
            assert_eq!(seen.collect::<BTreeMap<_, _>>(), truth, "round {round}");
            sightings += truth.len();
        }
    }
    [across, moves, sightings]
}

#[test]
fn what_was_said_elsewhere_is_replayed_in_its_order() {
    let mut town = Town::new(2, 1);
    let mut fox = TestClient::new(town.room(0), at(0));
    let mut owl = TestClient::new(town.room(1), at(0));
    let spot = Spot::new(square(), Radius::MAX);
    for (room, client) in [(0, &mut fox), (1, &mut owl)] {
        town.attend(room, &Region::around(&spot), at(0));
        client.locate(town.room(room), square(), 2_000, at(0));
    }
    town.settle(at(0));
    for second in 0..10 {
        let (room, client) = match second % 2 {
            0 => (0, &mut fox),
            _ => (1, &mut owl),
        };
        client.say(town.room(room), &second.to_string(), at(second));
        // The other hears of it only later.
        if second % 3 == 0 {
            town.settle(at(second));
        }
    }
    town.settle(at(10));
    let expected: Vec<_> = (0..10).map(|second| second.to_string()).collect();
    for room in 0..2 {
        let mut elk = TestClient::new(town.room(room), at(11));
        elk.locate(town.room(room), square(), 2_000, at(11));
        assert_eq!(elk.texts(), expected);
    }
    // Each end is its own, in whichever order they came.
    for room in 0..2 {
        let mut elk = TestClient::new(town.room(room), at(1_804));
        town.room(room).tick(at(1_804));
        elk.locate(town.room(room), square(), 2_000, at(1_804));
        assert_eq!(elk.texts(), expected[5..]);
    }
}

#[test]
fn a_store_that_has_forgotten_is_told_everything() {
    let mut town = Town::new(2, 2);
    let mut fox = TestClient::new(town.room(0), at(0));
    fox.locate(town.room(0), square(), 500, at(0));
    let id = fox.say(town.room(0), "before", at(1));
    town.settle(at(1));
    fox.read();
    assert_eq!(fox.sent, [(id, 0)]);
    let (sessions, places) = (town.sessions.clone(), town.places.clone());
    let people: usize = town.people.values().map(BTreeMap::len).sum();
    assert_eq!((sessions.len(), places.len(), people), (1, 1, 1));

    // Somebody says something just when the store dies.
    let lost = fox.say(town.room(0), "meanwhile", at(2));
    let mut said = town.room(0).take_changes(at(2)).into_iter();
    assert!(said.any(|change| matches!(change, Change::Said(..))));
    town.room(0).hear(News::Stored(vec![lost], false), at(2));
    fox.read();
    assert_eq!(fox.sent.last(), Some(&(lost, 0)), "nobody waits for it");
    town.sessions.clear();
    town.places.clear();
    town.people.clear();
    town.messages.clear();
    let regions = town.room(0).republish(at(3));
    assert!(!regions.is_empty());
    town.settle(at(3));
    assert_eq!(town.sessions.len(), 1);
    assert_eq!(town.places.len(), 1);
    let spot = Spot::new(square(), Radius::new(500).unwrap());
    let region = Region::containing(spot.centre());
    assert_eq!(town.messages[&region].len(), 2);
    // Somebody who comes now finds all of it.
    let mut owl = TestClient::new(town.room(1), at(4));
    town.attend(1, &Region::around(&spot), at(4));
    owl.locate(town.room(1), square(), 500, at(4));
    assert_eq!(owl.texts(), ["before", "meanwhile"]);
    assert!(owl.seen.contains_key(&fox.peer_id));
    fox.read();
    assert_eq!(fox.sent.len(), 2, "answered once each");
}

#[test]
fn of_two_relays_that_have_taken_over_a_session_one_gives_way() {
    let mut town = Town::new(3, 3);
    let mut fox = TestClient::new(town.room(0), at(0));
    let spot = Spot::new(square(), Radius::new(500).unwrap());
    fox.locate(town.room(0), square(), 500, at(0));
    town.settle(at(0));
    let key = SessionKey::of(&fox.session);
    let mut record = town.sessions[&key].clone();
    record.place = town.places.get(&key).cloned();
    // Both have the same record, as if the first relay had died.
    town.kill(0, at(1));
    let mut links = Vec::new();
    for room in [1, 2] {
        town.attend(room, &Region::around(&spot), at(1));
        town.room(room).adopt(fox.session, record.clone(), at(1));
        fox.connect(town.room(room), at(1));
        links.push((room, fox.link.clone()));
    }
    town.settle(at(2));
    let open: Vec<_> = links
        .iter()
        .filter(|(_, link)| link.0.borrow().closed.is_none())
        .map(|(room, _)| *room)
        .collect();
    assert_eq!(open.len(), 1);
    let winner = town.rooms[open[0]].0;
    assert_eq!(winner, town.rooms[1].0.max(town.rooms[2].0));
    assert_eq!(town.sessions[&key].node, winner);
}
