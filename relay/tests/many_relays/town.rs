//! A town of people on three relays, against brute force.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use neartalk_shared::{MessageId, Spot};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    Relays,
    common::{Person, beside, east, north, poll, spot},
};

/// How many live there …
const PEOPLE: usize = 600;
/// … and how many of them say something.
const SPEAKERS: usize = 120;

#[tokio::test]
async fn everyone_in_range_gets_a_message_once_and_nobody_else() {
    let crowd = PEOPLE.to_string();
    let flags = ["--session-burst", &crowd, "--sockets-per-address", &crowd];
    let flags = [&flags[..], &["--request-burst", "100000"]].concat();
    let relays = Relays::start(3, &flags);
    let mut rng = StdRng::seed_from_u64(5);
    let spots: Vec<Spot> = (0..PEOPLE)
        .map(|_| {
            // Twelve kilometres wide, so that it lies in many regions.
            let place = east(beside(0), rng.random_range(-6_000.0..6_000.0));
            let place = north(place, rng.random_range(-3_000.0..3_000.0));
            spot(place, rng.random_range(100..=2_000))
        })
        .collect();
    let around = |at: usize| -> BTreeSet<usize> {
        (0..PEOPLE)
            .filter(|&other| other != at && spots[at].in_range(&spots[other]))
            .collect()
    };
    let apis: Vec<_> = relays.all.iter().map(|relay| relay.api()).collect();
    let mut people = Vec::with_capacity(PEOPLE);
    for (at, group) in spots.chunks(50).enumerate() {
        let joining = group.iter().enumerate().map(|(i, spot)| {
            let (relay, api) = (&relays[(50 * at + i) % 3], &apis[(50 * at + i) % 3]);
            let (place, metres) = (spot.centre(), spot.radius().metres());
            Person::at(relay, api, "Somebody", place, metres)
        });
        people.extend(join_all(joining).await);
    }
    let number = |id| people.iter().position(|person| person.id() == id);
    // Once everyone knows of everyone in range …
    for (at, person) in people.iter().enumerate() {
        let expected = around(at);
        poll("everyone to be known", async || {
            let nearby = person.nearby_now(&relays[at % 3]).await;
            let seen = nearby.people.iter().map(|p| number(p.peer_id).unwrap());
            (seen.collect::<BTreeSet<_>>() == expected).then_some(())
        })
        .await;
    }
    // … some speak, all at once.
    let ids: Vec<_> = (0..SPEAKERS).map(|_| MessageId::random()).collect();
    let speaking =
        people
            .iter_mut()
            .zip(&ids)
            .enumerate()
            .map(|(at, (person, id))| async move {
                (at, person.say_as(*id, &format!("I am {at}")).await)
            });
    let mut lonely = 0;
    for (at, sent) in join_all(speaking).await {
        assert_eq!(sent.reached as usize, around(at).len(), "of {at}");
        lonely += usize::from(sent.reached == 0);
    }
    assert!(lonely < SPEAKERS / 2, "a town of strangers: {lonely}");
    let listening = people
        .iter_mut()
        .enumerate()
        .map(|(at, person)| async move {
            let expected: Vec<_> = around(at).into_iter().filter(|&by| by < SPEAKERS).collect();
            let mut heard = Vec::new();
            while heard.len() < expected.len() {
                heard.push(person.hears().await.id);
            }
            // Nothing more comes, as all that was said has been heard by somebody.
            heard.extend(person.heard().await.into_iter().map(|message| message.id));
            (at, expected, heard)
        });
    for (at, expected, mut heard) in join_all(listening).await {
        let mut expected: Vec<_> = expected.into_iter().map(|by| ids[by]).collect();
        expected.sort_unstable();
        heard.sort_unstable();
        assert_eq!(heard, expected, "what {at} heard");
    }
}
