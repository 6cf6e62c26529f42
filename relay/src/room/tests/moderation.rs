//! What happens to people who misbehave, in virtual time.

use neartalk_shared::http::ErrorBody;

use super::*;
use crate::moderation::{
    bans::{Ban, BannedBy},
    cell::Cell5,
    gate::ProofPolicy,
    words::WordFilter,
};

const HOUR: Duration = Duration::from_secs(3_600);

fn settings(change: impl FnOnce(&mut ModerationSettings)) -> RoomSettings {
    let mut settings = RoomSettings::default();
    change(&mut settings.moderation);
    settings
}

/// People at one place, each at an address of their own.
fn crowd(room: &mut Room<TestLink>, n: u8) -> Vec<TestClient> {
    (1..=n)
        .map(|address| {
            let mut client = TestClient::from(room, address, at(0));
            client.locate(room, here(), 500, at(0));
            client
        })
        .collect()
}

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + ms)
}

fn east(place: Place, metres: f64) -> Place {
    place.destination(std::f64::consts::FRAC_PI_2, metres)
}

fn here() -> Place {
    Place::new(52.5219, 13.4132).unwrap()
}

fn report(room: &mut Room<TestLink>, by: &mut TestClient, whom: PeerId, now: Timestamp) {
    let frame = ClientFrame::Report {
        peer_id: whom,
        reason: ReportReason::Abuse,
        message_id: None,
    };
    by.send(room, frame, now);
}

fn closed(client: &TestClient) -> Option<CloseCode> {
    client.link.0.borrow().closed
}

#[test]
fn enough_reports_from_people_around_end_it() {
    let mut room = room_with(settings(|s| s.report_threshold = 3));
    let mut people = crowd(&mut room, 5);
    let mut bad = people.pop().unwrap();
    bad.say(&mut room, "something vile", at(1));
    room.tick(at(1_000));
    people[0].read();
    assert!(people[0].seen.contains_key(&bad.peer_id));
    for by in &mut people[..2] {
        // Saying it twice does not make it two.
        report(&mut room, by, bad.peer_id, at(2_000));
        report(&mut room, by, bad.peer_id, at(2_001));
    }
    assert_eq!(closed(&bad), None);
    report(&mut room, &mut people[2], bad.peer_id, at(3_000));
    bad.read();
    assert_eq!(bad.errors, [(ErrorCode::Banned, Some(3_600_000))]);
    assert_eq!(closed(&bad), Some(CloseCode::Banned));
    room.tick(at(4_000));
    for client in &mut people {
        client.read();
        assert_eq!(client.left, [(bad.peer_id, LeftReason::Banned)]);
    }
    // What they said is told to nobody who comes.
    let mut late = TestClient::from(&mut room, 99, at(5_000));
    late.locate(&mut room, here(), 500, at(5_000));
    assert_eq!(late.messages, []);
    // Neither the session nor another one from there comes in …
    let from = address(5);
    let again = room.hello(&bad.session, 1, from, TestLink::default(), at(6_000));
    let (refusal, _) = again.unwrap_err();
    assert_eq!(refusal.code, CloseCode::Banned);
    assert_eq!(refusal.error.retry_after_ms, Some(3_597_000));
    assert_eq!(
        room.nearby(&bad.session, at(6_000)).unwrap_err().code,
        ErrorCode::Banned
    );
    let refused = room.admit(from, None, at(6_000)).unwrap_err();
    assert_eq!(refused.error.code, ErrorCode::Banned);
    // … until the time is over.
    assert!(room.admit(from, None, at(3_000 + 3_600_000)).is_ok());
    room.tick(at(3_000 + 3_600_000));
    assert_eq!(room.moderation().bans.len(), 0);
}

#[test]
fn reports_from_afar_from_one_address_and_of_oneself_ban_nobody() {
    let mut room = room_with(settings(|s| s.report_threshold = 3));
    let mut victim = TestClient::from(&mut room, 1, at(0));
    victim.locate(&mut room, here(), 500, at(0));
    // A hundred sessions of one address around them.
    for _ in 0..100 {
        let mut sybil = TestClient::from(&mut room, 2, at(1));
        sybil.locate(&mut room, here(), 500, at(1));
        report(&mut room, &mut sybil, victim.peer_id, at(2));
    }
    // A hundred addresses far away, and a hundred that say nothing of where they are.
    for n in 10..110 {
        let mut stranger = TestClient::from(&mut room, n, at(3));
        report(&mut room, &mut stranger, victim.peer_id, at(4));
        let afar = Place::new(48.0, 11.0).unwrap();
        stranger.locate(&mut room, afar, 2_000, at(5));
        report(&mut room, &mut stranger, victim.peer_id, at(6));
    }
    let own = victim.peer_id;
    report(&mut room, &mut victim, own, at(7));
    assert_eq!(closed(&victim), None);
    assert!(room.moderation().bans.is_empty());
    // Somebody who heard what they said counts, although the speaker has walked on.
    let said = victim.say(&mut room, "something vile", at(8));
    let mut witness = TestClient::from(&mut room, 200, at(9));
    witness.locate(&mut room, here(), 500, at(9));
    victim.locate(&mut room, east(here(), 1_000.0), 500, at(60_000));
    let frame = ClientFrame::Report {
        peer_id: victim.peer_id,
        reason: ReportReason::Abuse,
        message_id: Some(said),
    };
    witness.send(&mut room, frame, at(60_001));
    assert_eq!(closed(&victim), Some(CloseCode::Banned));
}

#[test]
fn a_flood_of_reports_saves_nobody_from_those_of_others() {
    let mut room = room_with(settings(|s| s.report_threshold = 3));
    let mut people = crowd(&mut room, 4);
    let bad = people.pop().unwrap();
    for by in &mut people[..2] {
        report(&mut room, by, bad.peer_id, at(1));
    }
    // A friend of theirs reports whoever there is and whoever there is not.
    let mut friend = TestClient::from(&mut room, 50, at(2));
    friend.locate(&mut room, here(), 500, at(2));
    let mut rng = StdRng::seed_from_u64(1);
    for n in 0..12_000 {
        let whom = PeerId::random(&mut rng);
        report(&mut room, &mut friend, whom, at(2 + n / 100));
    }
    assert_eq!(friend.errors.len(), 12_000 - 10);
    let (code, retry) = friend.errors[0];
    assert_eq!((code, retry), (ErrorCode::RateLimited, Some(6_000)));
    assert_eq!(room.reported(at(200)).len(), 12);
    report(&mut room, &mut people[2], bad.peer_id, at(200));
    assert_eq!(closed(&bad), Some(CloseCode::Banned));
}

#[test]
fn a_threshold_of_zero_leaves_it_to_the_operator() {
    let mut room = room_with(settings(|s| s.report_threshold = 0));
    let mut people = crowd(&mut room, 20);
    let bad = people.pop().unwrap();
    for by in &mut people {
        report(&mut room, by, bad.peer_id, at(1));
    }
    assert_eq!(closed(&bad), None);
    assert_eq!(room.reported(at(2)).len(), 19);
    let ban = room.ban_peer(&bad.peer_id, BannedBy::Operator, HOUR, at(2));
    let ban = ban.expect("they are here");
    assert_eq!(closed(&bad), Some(CloseCode::Banned));
    assert!(room.admit(address(20), None, at(3)).is_err());
    assert!(room.lift_ban(ban.id, at(1)).is_some() && room.lift_ban(ban.id, at(1)).is_none());
    assert!(room.admit(address(20), None, at(3)).is_ok());
    assert!(
        room.nearby(&bad.session, at(3))
            .is_err_and(|e| e.code == ErrorCode::NoLocation)
    );
    let nobody = PeerId::random(&mut StdRng::seed_from_u64(5));
    assert_eq!(
        room.ban_peer(&nobody, BannedBy::Operator, HOUR, at(4)),
        None
    );
}

#[test]
fn neighbours_stay_and_sessions_made_in_advance_do_not_help() {
    let mut room = room_with(RoomSettings::default());
    let mut neighbour = TestClient::from(&mut room, 7, at(0));
    let bad = TestClient::from(&mut room, 7, at(0));
    let origin = room.admit(address(7), None, at(0)).unwrap();
    let spare = room.create_session(None, origin, at(0)).unwrap();
    room.ban_peer(&bad.peer_id, BannedBy::Operator, HOUR, at(1));
    let hello = |room: &mut Room<TestLink>, session, from, ms| {
        let hello = room.hello(&session, 1, address(from), TestLink::default(), at(ms));
        hello.map(drop).map_err(|(refusal, _)| refusal.code)
    };
    assert_eq!(
        hello(&mut room, spare.session_id, 7, 2),
        Err(CloseCode::Banned)
    );
    // The session is bound to the person, not to where they come from.
    assert_eq!(hello(&mut room, bad.session, 8, 2), Err(CloseCode::Banned));
    neighbour.disconnect(&mut room, false, at(2));
    neighbour.connect(&mut room, at(3));
    assert_eq!(closed(&neighbour), None);
}

#[test]
fn a_ban_from_another_relay_holds_here() {
    let mut there = room_with(RoomSettings::default());
    let bad = TestClient::from(&mut there, 7, at(0));
    let ban: Ban = there
        .ban_peer(&bad.peer_id, BannedBy::Operator, HOUR, at(1))
        .unwrap();
    let mut here = room_with(RoomSettings::default());
    assert!(here.admit(address(7), None, at(2)).is_ok());
    here.moderation().bans.add(ban);
    assert!(here.admit(address(7), None, at(2)).is_err());
    assert!(here.admit(address(8), None, at(2)).is_ok());
}

#[test]
fn a_banned_person_is_out_of_voice() {
    let mut room = room_with(RoomSettings::default());
    let mut people = crowd(&mut room, 2);
    for client in &mut people {
        client.send(&mut room, ClientFrame::VoiceJoin, at(1));
    }
    let [bad, other] = &mut people[..] else {
        unreachable!("there are two");
    };
    other.read();
    assert!(other.voice_peers.contains_key(&bad.peer_id));
    room.ban_peer(&bad.peer_id, BannedBy::Operator, HOUR, at(2));
    other.read();
    assert!(other.voice_peers.is_empty());
}

#[test]
fn unwelcome_words_and_names_are_refused() {
    let words = WordFilter::parse("badger\n", "words").unwrap();
    let mut room = room_with(settings(|s| s.words = Some(Arc::new(words))));
    let mut people = crowd(&mut room, 2);
    people[0].say(&mut room, "what a B4dger!", at(1));
    people[0].say(&mut room, "badgers are fine", at(2));
    people[1].read();
    let heard: Vec<_> = people[1].messages.iter().map(|m| m.text.as_str()).collect();
    assert_eq!(heard, ["badgers are fine"]);
    assert_eq!(people[0].errors, [(ErrorCode::MessageRefused, None)]);
    let name = Username::parse("Sly Badger").unwrap();
    let rename = ClientFrame::Rename {
        username: name.clone(),
    };
    people[0].send(&mut room, rename, at(3));
    assert_eq!(people[0].errors[1], (ErrorCode::InvalidUsername, None));
    let origin = room.admit(address(3), None, at(4)).unwrap();
    assert_eq!(
        room.create_session(Some(name), origin, at(4))
            .unwrap_err()
            .code,
        ErrorCode::InvalidUsername
    );
}

#[test]
fn the_same_from_many_closes_the_gate() {
    let mut room = room_with(settings(|s| {
        s.repeats.per_cell = 2;
        s.gate.bits = 1;
        s.gate.policy = ProofPolicy::Attack;
    }));
    let mut people = crowd(&mut room, 30);
    for client in &mut people {
        client.say(&mut room, "come to my channel", at(1));
    }
    let refused = people.iter().filter(|c| !c.errors.is_empty()).count();
    assert_eq!(refused, 28);
    let ErrorBody { error, proof } = room.admit(address(99), None, at(2)).unwrap_err();
    assert_eq!(error.code, ErrorCode::ProofRequired);
    let proof = proof.unwrap().solve().unwrap();
    assert!(room.admit(address(99), Some(&proof), at(3)).is_ok());
}

#[test]
fn nobody_is_in_a_closed_cell() {
    let mut room = room_with(RoomSettings::default());
    let mut people = crowd(&mut room, 2);
    let cell = Cell5::parse("u33dc").unwrap();
    assert_eq!(room.close_cell(cell, at(60_000), at(1)), Some(2));
    for client in &mut people {
        client.read();
        assert_eq!(client.errors, [(ErrorCode::PlaceClosed, Some(59_999))]);
        client.say(&mut room, "still here?", at(2));
        assert_eq!(client.errors[1].0, ErrorCode::NoLocation);
        client.locate(&mut room, here(), 500, at(20_000));
        assert_eq!(client.errors[2], (ErrorCode::PlaceClosed, Some(40_000)));
        assert_eq!(client.messages, []);
    }
    room.tick(at(20_001));
    assert_eq!(room.index.occupancy().sum::<usize>(), 0);
    // Whoever walks in from outside is out of sight outside, too.
    let mut walker = TestClient::from(&mut room, 9, at(30_000));
    let outside = east(here(), 6_000.0);
    walker.locate(&mut room, outside, 500, at(30_000));
    let mut watcher = TestClient::from(&mut room, 10, at(30_000));
    watcher.locate(&mut room, outside, 500, at(30_000));
    assert!(watcher.seen.contains_key(&walker.peer_id));
    walker.locate(&mut room, here(), 500, at(100_000 - 41_000));
    room.tick(at(100_000 - 41_000));
    watcher.read();
    assert_eq!(watcher.left, [(walker.peer_id, LeftReason::Moved)]);
    // It opens by itself.
    people[0].locate(&mut room, here(), 500, at(60_000));
    assert_eq!(people[0].errors.len(), 3);
}

#[test]
fn announcements_reach_those_who_are_here_and_those_who_come() {
    let mut room = room_with(RoomSettings::default());
    let mut people = crowd(&mut room, 2);
    let text = |s| MessageText::parse(s).unwrap();
    let (_, told) = room.announce(text("to all"), None, at(60_000), at(0));
    assert_eq!(told, 2);
    let cell = Cell5::parse("u33dc").unwrap();
    let (local, told) = room.announce(text("to some"), Some(cell), at(60_000), at(0));
    assert_eq!(told, 2);
    let mut afar = TestClient::from(&mut room, 9, at(1));
    assert_eq!(afar.announced, ["to all"]);
    afar.locate(&mut room, Place::new(48.0, 11.0).unwrap(), 500, at(1));
    assert_eq!(afar.announced, ["to all"]);
    let mut late = TestClient::from(&mut room, 10, at(2));
    late.locate(&mut room, here(), 500, at(2));
    late.locate(&mut room, east(here(), 60.0), 500, at(30_000));
    assert_eq!(late.announced, ["to all", "to some"]);
    people[0].read();
    assert_eq!(people[0].announced, ["to all", "to some"]);
    assert!(room.retract(local.id, at(2)));
    let mut later = TestClient::from(&mut room, 11, at(3));
    later.locate(&mut room, here(), 500, at(3));
    assert_eq!(later.announced, ["to all"]);
    let latest = TestClient::from(&mut room, 12, at(60_000));
    assert!(latest.announced.is_empty());
}
