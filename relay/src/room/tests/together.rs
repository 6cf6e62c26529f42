//! Seeded stories of many people on several relays, against a model of what each must believe.

use super::{town::Town, *};
use crate::store::region::Region;

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
