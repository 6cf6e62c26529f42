//! The work of a second is spread over it, and nobody is told later for that.

use super::{wheel::*, *};

#[path = "../../../tests/common/presence.rs"]
mod presence;
use presence::is_presence;

/// Frames about who is around that have come since somebody last read, and those about how many.
fn news(client: &TestClient) -> [usize; 2] {
    let inbox = client.link.0.borrow();
    let who = inbox.frames.iter().filter(|frame| is_presence(frame));
    let frames = inbox.frames.iter();
    let many = frames.filter(|frame| matches!(frame, ServerFrame::Reach { .. }));
    [who.count(), many.count()]
}

fn crowd(room: &mut Room<TestLink>, size: usize, within_m: f64) -> Vec<(TestClient, Spot)> {
    let mut rng = StdRng::seed_from_u64(7);
    let somebody = |_| {
        let mut client = TestClient::new(room, at(0));
        let spot = somewhere(&mut rng, within_m);
        client.locate(room, spot.centre(), 500, at(0));
        (client, spot)
    };
    (0..size).map(somebody).collect()
}

fn somewhere(rng: &mut StdRng, within_m: f64) -> Spot {
    let away = within_m * rng.random::<f64>().sqrt();
    let place = square().destination(rng.random_range(0.0..TAU), away);
    Spot::new(place, Radius::new(500).unwrap())
}

/// Six hundred people of whom sixty a second walk: no step tells more than a fifth of what a second
/// does, and a second later all of it has been told.
#[test]
fn no_step_tells_much_of_what_a_second_holds() {
    let mut rng = StdRng::seed_from_u64(8);
    let mut room = room_with(RoomSettings {
        location_interval: Duration::from_secs(5),
        ..RoomSettings::default()
    });
    let mut people = crowd(&mut room, 600, 1_200.0);
    let mut now = at(8);
    room.tick(now);
    let mut steps = Vec::new();
    for step in 0..4 * STEPS {
        // The last second nobody walks.
        for n in 0..if step < 3 * STEPS { 3 } else { 0 } {
            let (client, spot) = &mut people[(step * 3 + n) % 600];
            *spot = somewhere(&mut rng, 1_200.0);
            client.locate(&mut room, spot.centre(), 500, now);
            assert_eq!(client.errors, []);
        }
        people.iter_mut().for_each(|(client, _)| client.read());
        now = now + STEP;
        room.tick(now);
        let told = people.iter().flat_map(|(client, _)| news(client));
        steps.push(told.sum::<usize>());
    }
    // From when all who began to walk in the first second are told of.
    for second in steps[STEPS..3 * STEPS].chunks(STEPS) {
        let (most, all) = (second.iter().max().unwrap(), second.iter().sum::<usize>());
        assert!(all > 5_000, "too little to prove anything: {all}");
        assert!(most * 5 < all, "{most} of {all} in one step");
    }
    people.iter_mut().for_each(|(client, _)| client.read());
    for (me, spot) in &people {
        let others = people
            .iter()
            .filter(|(other, _)| other.peer_id != me.peer_id);
        let truth: BTreeMap<_, _> = others
            .filter_map(|(other, there)| Some((other.peer_id, spot.band_in_range(there)?)))
            .collect();
        let told = me.seen.iter().map(|(&id, person)| (id, person.distance));
        assert_eq!(told.collect::<BTreeMap<_, _>>(), truth);
    }
}

/// So that several observers learn no more of its instant than one.
#[test]
fn all_are_told_of_somebody_in_the_same_step_always() {
    let mut room = room_with(RoomSettings::default());
    let mut people = crowd(&mut room, 30, 100.0);
    room.tick(at(1));
    let mut told_in = BTreeSet::new();
    for second in 2..10 {
        people.iter_mut().for_each(|(client, _)| client.read());
        // At any instant of the second.
        let change_in = second as usize * 2;
        for step in 0..STEPS {
            let now = at(second) + STEP * step as u32;
            if step == change_in {
                let username = names::friendly(&mut StdRng::seed_from_u64(second));
                let (somebody, _) = &mut people[0];
                if second % 2 == 0 && second < 7 {
                    somebody.send(&mut room, ClientFrame::Rename { username }, now);
                } else {
                    let frame = match second {
                        3 => ClientFrame::VoiceJoin,
                        9 => ClientFrame::VoiceLeave,
                        _ => ClientFrame::VoiceState {
                            muted: second % 4 == 1,
                            deafened: second % 4 == 0,
                        },
                    };
                    somebody.send(&mut room, frame, now);
                }
            }
            room.tick(now);
            let told = people[1..]
                .iter()
                .filter(|(client, _)| news(client)[0] > 0)
                .count();
            people.iter_mut().for_each(|(client, _)| client.read());
            assert!(told == 0 || told == 29, "only {told} in a step");
            if told > 0 {
                told_in.insert(step);
            }
        }
    }
    assert_eq!(told_in.len(), 1, "{told_in:?}");
}

/// Somebody leaves and is back at once; whoever walks meanwhile must not hear that they have come
/// before having heard that they left.
#[test]
fn who_left_and_is_back_is_told_of_in_that_order() {
    for step in 0..STEPS {
        let mut room = room_with(RoomSettings::default());
        let mut people = crowd(&mut room, 12, 50.0);
        room.tick(at(1));
        let mut now = at(1) + STEP * step as u32;
        room.tick(now);
        let (coming, others) = people.split_first_mut().unwrap();
        coming.0.disconnect(&mut room, true, now);
        coming.0.connect(&mut room, now);
        for (n, (client, _)) in others.iter_mut().enumerate() {
            client.read();
            let place = square().destination(n as f64, 60.0);
            let radius = Radius::new(500).unwrap();
            let moved = room.update_location(&client.session, Locate { place, radius }, now);
            assert!(moved.is_ok());
        }
        for _ in 0..STEPS {
            now = now + STEP;
            room.tick(now);
            others.iter_mut().for_each(|(client, _)| client.read());
        }
        for (client, _) in others.iter() {
            assert_eq!(client.left, [(coming.0.peer_id, LeftReason::Left)]);
            assert_eq!(client.seen.len(), 11);
        }
    }
}

/// A slot that something may still wait for is nobody else's.
#[test]
fn the_slot_of_an_ended_session_is_kept_for_a_turn() {
    let mut room = room_with(RoomSettings::default());
    let client = TestClient::new(&mut room, at(0));
    let slot = room.sessions.find(&client.session).unwrap();
    for offset in 0..STEPS as u32 {
        let mut now = at(1 + 10 * u64::from(offset)) + STEP * offset;
        room.tick(now);
        let name = names::friendly(&mut StdRng::seed_from_u64(1));
        let ended = room
            .sessions
            .create(None, PeerId::random(&mut room.rng), name, 0, now);
        room.sessions.retire(ended);
        for _ in 0..STEPS {
            assert!(room.sessions.get(ended).is_some(), "{offset}");
            now = now + STEP;
            room.tick(now);
        }
        room.tick(now + STEP * STEPS as u32);
        assert!(room.sessions.get(ended).is_none(), "{offset}");
    }
    assert!(room.sessions.get(slot).is_some());
}
