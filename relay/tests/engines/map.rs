//! People on a map: everyone in mutual range, and nobody else, gets each message exactly once.

use std::{
    collections::{BTreeMap, BTreeSet},
    f64::consts::TAU,
};

use futures_util::future::join_all;
use neartalk_shared::Place;
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::{
    common::{Relay, beside, east, north, place},
    engine::Someone,
};

/// Limits that a crowd on one address, in a hurry, does not run into.
const CROWDED: [&str; 14] = [
    "--sockets-per-address",
    "1000",
    "--session-burst",
    "1000",
    "--requests-per-second",
    "10000",
    "--request-burst",
    "10000",
    "--messages-per-minute",
    "1000",
    "--location-interval",
    "20ms",
    "--location-burst",
    "100",
];

/// Everyone says one thing at once; then each must have heard exactly those in mutual range, once.
async fn everyone_speaks(people: &mut [Someone], round: usize) -> usize {
    for someone in people.iter_mut() {
        someone.heard().await;
    }
    let reached = join_all(people.iter_mut().map(|someone| async move {
        let text = format!("round {round} from {}", someone.peer_id);
        someone.say_and_reach(&text).await
    }))
    .await;
    let heard = join_all(people.iter_mut().map(Someone::heard)).await;
    let mut encounters = 0;
    for (listener, (heard, reached)) in heard.iter().zip(reached).enumerate() {
        let mut expected: BTreeMap<_, _> = BTreeMap::new();
        for (speaker, someone) in people.iter().enumerate() {
            if speaker != listener && someone.spot.in_range(&people[listener].spot) {
                let text = format!("round {round} from {}", someone.peer_id);
                expected.insert(someone.peer_id, text);
            }
        }
        let once: BTreeMap<_, _> = heard.iter().cloned().collect();
        assert_eq!(heard.len(), once.len(), "somebody heard something twice");
        assert_eq!(once, expected, "person {listener} in round {round}");
        assert_eq!(reached as usize, expected.len());
        encounters += expected.len();
    }
    encounters
}

#[tokio::test]
async fn two_people_meet_part_and_meet_again() {
    let relay = Relay::start(&CROWDED);
    let mut people = vec![
        Someone::at(&relay.url(), beside(0), 500).await,
        Someone::at(&relay.url(), east(beside(0), 300.0), 500).await,
    ];
    assert_eq!(everyone_speaks(&mut people, 0).await, 2);
    // Out of the circle and back, in steps of less than a cell, as nobody leaps.
    for (round, metres) in [380.0, 460.0, 540.0, 620.0, 540.0, 460.0, 380.0, 300.0]
        .into_iter()
        .enumerate()
    {
        people[1].go(east(beside(0), metres)).await;
        let near = people[0].spot.in_range(&people[1].spot);
        assert_eq!(
            everyone_speaks(&mut people, round + 1).await,
            if near { 2 } else { 0 }
        );
    }
    assert!(people[0].spot.in_range(&people[1].spot));
}

#[tokio::test]
async fn circles_of_different_size_take_the_smaller() {
    let relay = Relay::start(&CROWDED);
    let mut people = Vec::new();
    for (metres, radius) in [
        (0.0, 2_000),
        (0.0, 300),
        (600.0, 2_000),
        (900.0, 1_000),
        (1_700.0, 100),
    ] {
        people.push(Someone::at(&relay.url(), north(beside(1), metres), radius).await);
    }
    let pairs = everyone_speaks(&mut people, 0).await;
    assert!(pairs > 0 && pairs < 20, "{pairs}");
    assert!(
        !people[1].spot.in_range(&people[2].spot),
        "a wide circle does not reach into a small one"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_people_hear_exactly_those_in_mutual_range() {
    let mut rng = StdRng::seed_from_u64(200);
    let relay = Relay::start(&CROWDED);
    // A city, the antimeridian, the far north, and where the equator meets it.
    let middles = [
        beside(0),
        place(-17.7, 180.0),
        place(89.9, 77.0),
        place(0.0, -180.0),
    ];
    let mut homes: Vec<(Place, u32)> = (0..200)
        .map(|i| {
            let away = 1_500.0 * rng.random::<f64>().sqrt();
            let home = middles[i % 4].destination(rng.random_range(0.0..TAU), away);
            (home, rng.random_range(100..=2_000))
        })
        .collect();
    homes.shuffle(&mut rng);
    let url = relay.url();
    let mut people: Vec<_> = join_all(
        homes
            .iter()
            .map(|&(at, radius)| Someone::at(&url, at, radius)),
    )
    .await;
    let encounters = everyone_speaks(&mut people, 0).await;
    assert!(
        encounters > 1_500,
        "too few to prove anything: {encounters}"
    );

    // Everyone walks on, in steps that nobody would doubt, across cells, circles and edges.
    for round in 1..=3 {
        for _ in 0..4 {
            let steps: Vec<_> = people.iter().map(|_| rng.random_range(0.0..TAU)).collect();
            join_all(
                people
                    .iter_mut()
                    .zip(steps)
                    .map(|(someone, bearing)| async move {
                        let here = someone.spot.centre();
                        someone.go(here.destination(bearing, 45.0)).await;
                    }),
            )
            .await;
        }
        let encounters = everyone_speaks(&mut people, round).await;
        assert!(encounters > 1_500, "{encounters}");
    }

    // What each client shows agrees as well, once a second has told it.
    let expected: Vec<BTreeSet<_>> = people
        .iter()
        .map(|me| {
            let others = people
                .iter()
                .filter(|p| p.peer_id != me.peer_id && p.spot.in_range(&me.spot));
            others.map(|p| p.peer_id).collect()
        })
        .collect();
    for (someone, expected) in people.iter_mut().zip(expected) {
        crate::common::poll("everyone in range to be shown", async || {
            let shown: BTreeSet<_> = someone.people().await.into_iter().collect();
            (shown == expected).then_some(())
        })
        .await;
    }
}
