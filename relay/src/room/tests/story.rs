//! Seeded stories of many people in one room, against a model of what each must believe.

use super::{voice::Calls, *};

/// Long walks, leaps, renames, voice, lost sockets, returns and ends, all at random: after every
/// turn each client must believe exactly what is true.
#[test]
fn everyone_is_told_the_truth() {
    for seed in 0..12 {
        story(seed, middle(seed), false);
    }
}

/// The same, but in all steps of the wheel, and without voice, of which the model knows only at the
/// end of a second: a second after whatever happens last each client must believe what is true.
#[test]
fn everyone_is_told_the_truth_within_a_second() {
    for seed in 20..32 {
        story(seed, middle(seed), true);
    }
}

fn middle(seed: u64) -> Place {
    match seed % 4 {
        0 => square(),
        1 => Place::new(-16.8, 180.0).unwrap(),
        2 => Place::new(89.99, 45.0).unwrap(),
        _ => Place::new(0.0, 0.0).unwrap(),
    }
}

fn story(seed: u64, middle: Place, in_steps: bool) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut room = room_with(RoomSettings {
        location_interval: Duration::from_millis(1),
        session_ttl: Duration::from_secs(90),
        place_ttl: Duration::from_secs(30),
        messages_per_minute: 10_000,
        ..RoomSettings::default()
    });
    let mut now = at(0);
    let mut clients: Vec<TestClient> = Vec::new();
    let mut spots: BTreeMap<PeerId, Spot> = BTreeMap::new();
    let mut calls = Calls::default();
    // When a place will be gone, for those without a socket.
    let mut ends: BTreeMap<PeerId, Timestamp> = BTreeMap::new();
    let depart = |ends: &BTreeMap<PeerId, Timestamp>, spots: &mut BTreeMap<_, _>, now| {
        let gone = ends.iter().filter(|&(_, &end)| end <= now);
        gone.filter(|&(peer, _)| spots.remove(peer).is_some())
            .count()
    };
    let (mut encounters, mut departures, mut deliveries, mut introductions) = (0, 0, 0, 0);
    for _ in 0..150 {
        for _ in 0..rng.random_range(0..8) {
            now = now + Duration::from_millis(rng.random_range(1..100));
            if clients.len() < 5 || (clients.len() < 60 && rng.random_bool(0.2)) {
                clients.push(TestClient::new(&mut room, now));
            }
            let who = rng.random_range(0..clients.len());
            let client = &mut clients[who];
            let connected = client.attachment.is_some();
            match rng.random_range(0..20) {
                // Over HTTP nobody is told who is around but by and by.
                17 => {
                    let away = rng.random_range(0.0..1_500.0);
                    let place = middle.destination(rng.random_range(0.0..TAU), away);
                    let radius = Radius::new(rng.random_range(100..=2_000)).unwrap();
                    let locate = Locate { place, radius };
                    if connected && room.update_location(&client.session, locate, now).is_ok() {
                        spots.insert(client.peer_id, Spot::new(place, radius));
                    }
                }
                18..=19 if in_steps => {
                    room.tick(now);
                    departures += depart(&ends, &mut spots, now);
                }
                0..=6 if connected => {
                    let away = rng.random_range(0.0..1_500.0);
                    let place = middle.destination(rng.random_range(0.0..TAU), away);
                    let radius = rng.random_range(100..=2_000);
                    let before = client.errors.len();
                    client.locate(&mut room, place, radius, now);
                    // Such leaps are implausible now and then, and refused.
                    if client.errors.len() == before {
                        spots.insert(
                            client.peer_id,
                            Spot::new(place, Radius::new(radius).unwrap()),
                        );
                    }
                }
                7 => {
                    let username = names::friendly(&mut rng);
                    client.send(&mut room, ClientFrame::Rename { username }, now);
                }
                8..=9 if spots.contains_key(&client.peer_id) && connected && !in_steps => {
                    client.send(&mut room, ClientFrame::VoiceJoin, now);
                    assert!(client.unconfirmed.is_empty(), "not all were named again");
                    calls.join(client.peer_id, &spots);
                }
                10 => {
                    let frame = ClientFrame::VoiceState {
                        muted: rng.random(),
                        deafened: rng.random(),
                    };
                    client.send(&mut room, frame, now);
                }
                11 if connected => {
                    client.send(&mut room, ClientFrame::VoiceLeave, now);
                    client.voice_peers.clear();
                    calls.end(client.peer_id);
                }
                12 if connected => {
                    let left = rng.random_bool(0.5);
                    client.disconnect(&mut room, left, now);
                    if left {
                        client.voice_peers.clear();
                        calls.end(client.peer_id);
                    } else {
                        calls.lose(client.peer_id, now);
                    }
                    let end = if left {
                        now
                    } else {
                        now + Duration::from_secs(30)
                    };
                    ends.insert(client.peer_id, end);
                }
                13 if !connected => {
                    let gone = now.since(ends[&client.peer_id]) >= Duration::from_secs(30);
                    if room.sessions.find(&client.session).is_some() && !gone {
                        client.connect(&mut room, now);
                        ends.remove(&client.peer_id);
                        // Whoever left by a clean close is out of sight, but comes back to their place.
                        let slot = room.sessions.find(&client.session).unwrap();
                        if let Some(&spot) = room.sessions[slot].spot() {
                            spots.insert(client.peer_id, spot);
                        }
                    }
                }
                14 if connected => {
                    client.read();
                    client.connect(&mut room, now);
                    calls.lose(client.peer_id, now);
                }
                _ if connected && spots.contains_key(&client.peer_id) => {
                    let me = clients[who].peer_id;
                    let text = format!("message {}", rng.random::<u32>());
                    for client in &mut clients {
                        client.read();
                        client.messages.clear();
                    }
                    let id = clients[who].say(&mut room, &text, now);
                    let mut reached = 0;
                    for client in &mut clients {
                        client.read();
                        let hears = client.attachment.is_some()
                            && client.peer_id != me
                            && spots
                                .get(&client.peer_id)
                                .is_some_and(|s| s.in_range(&spots[&me]));
                        let heard = client.messages.iter().filter(|m| m.id == id).count();
                        assert_eq!(heard, usize::from(hears));
                        reached += u32::from(hears);
                    }
                    assert_eq!(clients[who].sent.last(), Some(&(id, reached)));
                    deliveries += reached;
                }
                _ => {}
            }
        }
        if in_steps {
            pass_a_second(&mut now, &mut rng, |now| room.tick(now));
        } else {
            now = now + Duration::from_secs(1);
            room.tick(now);
        }
        calls.tick(&spots, now);
        departures += depart(&ends, &mut spots, now);
        clients.iter_mut().for_each(TestClient::read);
        for client in &clients {
            let Some(mine) = spots
                .get(&client.peer_id)
                .filter(|_| client.attachment.is_some())
            else {
                continue;
            };
            let truth: BTreeMap<_, DistanceBand> = spots
                .iter()
                .filter(|(peer, _)| **peer != client.peer_id)
                .filter_map(|(peer, spot)| Some((*peer, mine.band_in_range(spot)?)))
                .collect();
            // Who has expired in this second may still be shown.
            let fading = |peer: &PeerId| {
                let end = ends.get(peer).filter(|&&end| end <= now);
                in_steps && end.is_some_and(|&end| now.since(end) < Duration::from_secs(1))
            };
            let told: BTreeMap<_, _> = client
                .seen
                .values()
                .filter(|p| !fading(&p.peer_id))
                .map(|p| (p.peer_id, p.distance))
                .collect();
            assert_eq!(told, truth, "seed {seed}");
            encounters += truth.len();
            for person in client.seen.values() {
                let slot = room.sessions.find_peer(&person.peer_id).unwrap();
                assert_eq!(
                    *person,
                    room.sessions[slot].person(person.distance),
                    "seed {seed}"
                );
            }
            let peers: BTreeSet<_> = calls.peers(client.peer_id).collect();
            match calls.in_voice.get(&client.peer_id) {
                Some(None) => assert!(client.voice_peers.keys().eq(&peers), "seed {seed}"),
                // It joins again, and hears then who left meanwhile.
                Some(Some(_)) => assert!(peers.iter().all(|p| client.voice_peers.contains_key(p))),
                None if !calls.lost.contains(&client.peer_id) => {
                    assert!(client.voice_peers.is_empty(), "seed {seed}");
                }
                None => {}
            }
            for peer in peers {
                let other = clients.iter().find(|c| c.peer_id == peer).unwrap();
                let roles = [
                    client.voice_peers[&peer],
                    other.voice_peers[&client.peer_id],
                ];
                assert_ne!(roles[0], roles[1], "seed {seed}");
                introductions += 1;
            }
        }
    }
    // Quiet, until the last lost place has expired; then the counts of `reach` are true, too.
    for _ in 0..45 {
        now = now + Duration::from_secs(1);
        room.tick(now);
    }
    clients.iter_mut().for_each(TestClient::read);
    for client in &clients {
        let Some(slot) = room.sessions.find(&client.session) else {
            continue;
        };
        let (Some(_), Some(mine)) = (client.attachment, room.sessions[slot].spot()) else {
            continue;
        };
        for (reach, radius) in client.reach.iter().zip(REACH_RADII_M) {
            let with = mine.with_radius(Radius::new(radius).unwrap());
            let others = clients
                .iter()
                .filter_map(|c| room.sessions.find(&c.session));
            let others = others.filter(|&other| other != slot && room.index.contains(other));
            let within =
                others.filter(|&other| with.in_range(room.sessions[other].spot().unwrap()));
            assert_eq!((reach.radius, reach.count), (radius, within.count() as u32));
        }
    }
    assert!(
        encounters > 1_000,
        "too lonely to prove anything: {encounters}"
    );
    assert!(
        departures > 5 && deliveries > 50 && (in_steps || introductions > 50),
        "{departures} {deliveries} {introductions}"
    );
}
