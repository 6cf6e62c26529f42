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
        InnerServer::new(vec![([192, 0, 2, n], 3_478).into()], secret, at(0))
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

/// Voice goes on while somebody changes relays, and so does the count of their minutes, on one of both.
#[test]
fn the_time_in_voice_is_counted_where_somebody_is() {
    let mut town = Town::new(2, 6);
    let mut fox = TestClient::new(town.room(0), at(0));
    fox.locate(town.room(0), square(), 500, at(0));
    fox.send(town.room(0), ClientFrame::VoiceJoin, at(1));
    town.settle(at(1));
    let counted = |town: &mut Town| [0, 1].map(|at| town.room(at).in_voice.len());
    assert_eq!(counted(&mut town), [1, 0]);
    for (to, expected) in [(1, [0, 1]), (0, [1, 0]), (1, [0, 1])] {
        town.bring(&fox.session, to, at(2));
        fox.connect(town.room(to), at(2));
        town.settle(at(2));
        assert_eq!(counted(&mut town), expected);
    }
    fox.send(town.room(1), ClientFrame::VoiceJoin, at(3));
    assert_eq!(counted(&mut town), [0, 1]);
    fox.send(town.room(1), ClientFrame::VoiceLeave, at(4));
    town.settle(at(4));
    assert_eq!(counted(&mut town), [0, 0]);
}

/// Whatever is in the store, a room survives it.
#[test]
fn a_record_of_calls_by_somebody_who_is_not_in_voice_leads_to_nobody() {
    let mut town = Town::new(2, 7);
    let [mut fox, mut owl] = [0, 1].map(|home| {
        let mut client = TestClient::new(town.room(home), at(0));
        client.locate(town.room(home), square(), 500, at(0));
        client
    });
    town.settle(at(0));
    owl.send(town.room(1), ClientFrame::VoiceJoin, at(1));
    town.settle(at(1));
    let key = SessionKey::of(&fox.session);
    town.kill(0, at(2));
    town.settle(at(2));
    town.places.get_mut(&key).unwrap().voice_peers = vec![owl.peer_id];
    town.bring(&fox.session, 1, at(3));
    fox.connect(town.room(1), at(3));
    fox.disconnect(town.room(1), true, at(3));
    // Once the session has ended, so has what led to it.
    for second in 0..3 {
        town.tick(at(3 + 30 * 60 + second));
    }
    owl.read();
    owl.send(town.room(1), ClientFrame::VoiceJoin, at(3 + 31 * 60));
    assert!(owl.voice_peers.is_empty() && owl.errors.is_empty());
}

/// Somebody who changes relays, or is on two of them, says the same no more often for that.
#[test]
fn the_same_words_count_on_whichever_relay_they_are_said() {
    let mut town = Town::new(2, 8);
    let spot = Spot::new(square(), Radius::new(500).unwrap());
    // Two sessions of one address, and one of another.
    let mut people = [(0, 1), (1, 1), (1, 2)].map(|(home, address)| {
        town.attend(home, &Region::around(&spot), at(0));
        let mut client = TestClient::from(town.room(home), address, at(0));
        client.locate(town.room(home), square(), 500, at(0));
        (home, client)
    });
    let days = [
        at(0).as_millis() / 86_400_000,
        at(0).as_millis() / 86_400_000 + 1,
    ];
    let mut rng = StdRng::seed_from_u64(1);
    for day in days {
        let key = crate::moderation::origin::DayKey::random(&mut rng);
        for home in [0, 1] {
            town.room(home).hear(News::Key(day, key.clone()), at(0));
        }
    }
    for (home, client) in &mut people {
        client.connect(town.room(*home), at(0));
    }
    town.settle(at(0));
    let mut say = |town: &mut Town, who: usize, second| {
        let (home, client) = &mut people[who];
        client.errors.clear();
        client.say(town.room(*home), "Buy my coins now", at(second));
        town.settle(at(second));
        client.read();
        client.errors.first().map(|(code, _)| *code)
    };
    for (second, who) in [(1, 0), (2, 1), (3, 0)] {
        assert_eq!(say(&mut town, who, second), None);
    }
    for (second, who) in [(4, 0), (5, 1)] {
        assert_eq!(say(&mut town, who, second), Some(ErrorCode::MessageRefused));
    }
    assert_eq!(say(&mut town, 2, 6), None, "that is somebody else");
    // A relay that starts now learns from what is kept that it was said four times, but not by whom.
    town.kill(0, at(7));
    let mut late = TestClient::from(town.room(0), 3, at(8));
    town.attend(0, &Region::around(&spot), at(8));
    late.locate(town.room(0), square(), 500, at(8));
    assert_eq!(late.messages.len(), 4);
    for n in 0..3 {
        late.say(town.room(0), "Buy my coins now", at(9 + n));
        town.settle(at(9 + n));
    }
    let mut others: Vec<_> = (4..8)
        .map(|address| {
            let mut client = TestClient::from(town.room(0), address, at(20));
            client.locate(town.room(0), square(), 500, at(20));
            client
        })
        .collect();
    for client in &mut others {
        client.say(town.room(0), "Buy my coins now", at(21));
        town.settle(at(21));
        client.read();
    }
    // Ten in all.
    let refused: Vec<_> = others.iter().map(|client| client.errors.len()).collect();
    assert_eq!(refused, [0, 0, 0, 1]);
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
    let regions = town.room(0).republish(&[], at(3));
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

/// A crowd says more than the history holds before the store has taken the first of it.
#[test]
fn whoever_said_what_the_history_has_let_go_of_is_answered_all_the_same() {
    let mut town = Town::new(2, 7);
    town.room(0).history = History::new(Duration::from_secs(1_800), 2);
    let mut fox = TestClient::new(town.room(0), at(0));
    fox.locate(town.room(0), square(), 500, at(0));
    town.settle(at(0));
    let said: Vec<_> = ["one", "two", "three"]
        .map(|text| (fox.say(town.room(0), text, at(1)), 0))
        .to_vec();
    town.room(0).tick(at(2));
    fox.read();
    assert_eq!(fox.sent, [], "the store has none of them yet");
    town.settle(at(2));
    fox.read();
    assert_eq!(fox.sent, said);
}

/// The last voice against somebody comes while they are on their way from one relay to the other.
#[test]
fn who_is_reported_while_changing_relays_is_banned_where_they_arrive() {
    let mut town = Town::new(2, 10);
    for home in [0, 1] {
        town.room(home).moderation.settings.report_threshold = 3;
    }
    let mut bad = TestClient::from(town.room(0), 66, at(0));
    bad.locate(town.room(0), square(), 500, at(0));
    let mut people = [1, 2, 3].map(|address| {
        let mut client = TestClient::from(town.room(1), address, at(0));
        client.locate(town.room(1), square(), 500, at(0));
        client
    });
    town.tick(at(1));
    town.bring(&bad.session, 1, at(2));
    for client in &mut people {
        let frame = ClientFrame::Report {
            peer_id: bad.peer_id,
            reason: ReportReason::Abuse,
            message_id: None,
        };
        client.send(town.room(1), frame, at(3));
        town.settle(at(3));
    }
    let link = TestLink::default();
    let refused = town
        .room(1)
        .hello(&bad.session, 1, address(66), link, at(4));
    let (refusal, _) = refused.unwrap_err();
    assert_eq!(refusal.code, CloseCode::Banned);
    assert_eq!(town.room(1).moderation().bans.len(), 1);
}

/// A socket at another relay is no new start.
#[test]
fn what_a_session_has_used_up_of_its_limits_goes_with_it() {
    let mut town = Town::new(2, 11);
    let mut fox = TestClient::new(town.room(0), at(0));
    fox.locate(town.room(0), square(), 500, at(0));
    let signal = || ClientFrame::Signal {
        to: PeerId::random(&mut StdRng::seed_from_u64(1)),
        data: SignalData::Bye,
    };
    for _ in 0..limits::SIGNALS_BURST {
        fox.send(town.room(0), signal(), at(1));
    }
    for _ in 0..limits::VOICE_JOIN_BURST {
        fox.send(town.room(0), ClientFrame::VoiceJoin, at(1));
    }
    assert!(
        fox.errors
            .iter()
            .all(|(code, _)| *code == ErrorCode::NotInRange)
    );
    town.settle(at(1));
    town.bring(&fox.session, 1, at(1));
    fox.connect(town.room(1), at(1));
    fox.errors.clear();
    for frame in [signal(), ClientFrame::VoiceJoin] {
        fox.send(town.room(1), frame, at(1));
        let (code, _) = fox.errors.pop().unwrap();
        assert_eq!(code, ErrorCode::RateLimited);
    }
}

/// Somebody leaves while the store can't be reached, and nobody is told.
#[test]
fn who_has_left_unheard_is_gone_once_their_relay_is_heard_again() {
    let mut town = Town::new(2, 9);
    let mut people = ["stays", "leaves", "walks"].map(|_| {
        let mut client = TestClient::new(town.room(0), at(0));
        client.locate(town.room(0), square(), 500, at(0));
        client
    });
    let mut owl = TestClient::new(town.room(1), at(0));
    owl.locate(town.room(1), square(), 500, at(0));
    town.tick(at(1));
    owl.read();
    assert_eq!(owl.seen.len(), 3);
    let [stays, leaves, walks] = &mut people;
    leaves.disconnect(town.room(0), true, at(2));
    let far = square().destination(1.0, 20_000.0);
    walks.locate(town.room(0), far, 500, at(300));
    let before = town.room(0).take_changes(at(300));
    assert!(
        before
            .iter()
            .any(|change| matches!(change, Change::Gone { .. }))
    );
    drop(before);
    let here = Region::containing(Spot::new(square(), Radius::new(500).unwrap()).centre());
    town.room(0).republish(&[here], at(301));
    town.tick(at(302));
    owl.read();
    assert!(owl.seen.keys().eq([&stays.peer_id]));
    let mut left: Vec<_> = owl.left.iter().map(|(peer_id, _)| *peer_id).collect();
    left.sort_unstable();
    let mut gone = [leaves.peer_id, walks.peer_id];
    gone.sort_unstable();
    assert_eq!(left, gone);
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
