//! Rooms of several relays that share a store: what they tell each other, and what they make of it.

use super::{town::Town, *};
use crate::{
    store::{Change, News, region::Region, wire::SessionKey},
    turn::relay::{Change as TurnChange, Ended, InnerServer, Issuer},
};

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
