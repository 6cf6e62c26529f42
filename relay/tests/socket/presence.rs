//! Who comes, changes and goes.

use std::time::{Duration, Instant};

use neartalk_shared::{
    ServerFrame,
    frame::{LeftReason, Reach},
    http::LocationUpdated,
    limits::{REACH_INTERVAL, REACH_RADII_M},
};

use super::ticked;
use crate::common::{
    Person, Relay, beside, centre, east, is_presence, north, place, poll, radius, spot, within_time,
};

#[tokio::test]
async fn people_see_each_other_come() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = centre(beside(0), 500);
    let there = east(here, 260.0);
    let mut owl = Person::at(&relay, &api, "Owl", here, 500).await;
    let mut fox = Person::join(&relay, &api, "Fox").await;
    let located = fox.locate(there, 500).await;
    let band = spot(here, 500).band_in_range(&spot(there, 500)).unwrap();
    assert_eq!(located.geohash_prefix, spot(there, 500).geohash_prefix());
    assert_eq!(located.peers(), [owl.id()]);
    assert_eq!(located.people[0].distance, band);
    let seen = owl.sees(fox.id()).await;
    assert_eq!(seen.username.as_str(), "Fox");
    assert_eq!(seen.distance, band);
    assert!(seen.former_usernames.is_empty());
    assert!(!seen.in_voice && !seen.muted && !seen.deafened);
}

#[tokio::test]
async fn whoever_moves_away_is_missed_and_misses_everyone() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = beside(0);
    let mut owl = Person::at(&relay, &api, "Owl", here, 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", here, 500).await;
    owl.sees(fox.id()).await;
    // A new list replaces the old one, so nobody is told to leave it.
    assert_eq!(fox.locate(beside(1), 500).await.peers(), []);
    assert_eq!(owl.misses(fox.id()).await, LeftReason::Moved);
    let frames = ticked(&relay, &api, &mut fox, beside(1), 500).await;
    assert!(
        !frames
            .iter()
            .any(|f| matches!(f, ServerFrame::PersonLeft { .. })),
        "{frames:?}"
    );
}

#[tokio::test]
async fn a_smaller_circle_is_a_way_to_go() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = centre(beside(0), 2_000);
    let mut owl = Person::at(&relay, &api, "Owl", here, 2_000).await;
    let mut fox = Person::at(&relay, &api, "Fox", east(here, 700.0), 2_000).await;
    owl.sees(fox.id()).await;
    assert_eq!(fox.locate(east(here, 700.0), 300).await.peers(), []);
    assert_eq!(owl.misses(fox.id()).await, LeftReason::Moved);
    // And a wider one is a way to come back.
    assert_eq!(
        fox.locate(east(here, 700.0), 1_000).await.peers(),
        [owl.id()]
    );
    owl.sees(fox.id()).await;
}

#[tokio::test]
async fn a_large_circle_reaches_nobody_who_chose_a_small_one() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = centre(beside(0), 2_000);
    let there = east(here, 700.0);
    let mut wide = Person::at(&relay, &api, "Wide", here, 2_000).await;
    let mut narrow = Person::join(&relay, &api, "Narrow").await;
    assert_eq!(narrow.locate(there, 300).await.peers(), []);
    assert_eq!(wide.locate(here, 2_000).await.peers(), []);
    for (viewer, place, metres) in [(&mut wide, here, 2_000), (&mut narrow, there, 300)] {
        let frames = ticked(&relay, &api, viewer, place, metres).await;
        assert!(!frames.iter().any(is_presence), "{frames:?}");
    }
}

#[tokio::test]
async fn whoever_closes_has_left() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    owl.sees(fox.id()).await;
    fox.leave().await;
    assert_eq!(owl.misses(fox.id()).await, LeftReason::Left);
    assert_eq!(owl.say("anybody?").await.reached, 0);
}

#[tokio::test]
async fn whoever_is_lost_expires_with_their_place() {
    let ttl = Duration::from_secs(2);
    let relay = Relay::start(&["--place-ttl", "2s"]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let visitor = api.session("Visitor").await;
    let located = Instant::now();
    api.locate(&visitor, beside(0), 500)
        .await
        .expect::<LocationUpdated>(200);
    let lost = fox.id();
    owl.sees(lost).await;
    owl.sees(visitor.peer_id).await;
    // No close frame: the network is gone.
    drop(fox);
    let dropped = Instant::now();
    assert_eq!(owl.misses(lost).await, LeftReason::Expired);
    assert!(dropped.elapsed() + Duration::from_millis(50) >= ttl);
    // So is somebody who only ever used HTTP, and does not come back.
    assert_eq!(owl.misses(visitor.peer_id).await, LeftReason::Expired);
    assert!(located.elapsed() >= ttl);
    // Owl's own place is older than all that, but its socket is open.
    let mut late = Person::join(&relay, &api, "Late").await;
    assert_eq!(late.locate(beside(0), 500).await.peers(), [owl.id()]);
}

#[tokio::test]
async fn whoever_comes_back_in_time_was_never_away() {
    let relay = Relay::start(&["--place-ttl", "5s"]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    owl.sees(fox.id()).await;
    let created = fox.created.clone();
    drop(fox);
    let mut fox = Person::resume(&relay, created).await;
    assert_eq!(fox.located().await.peers(), [owl.id()]);
    let frames = ticked(&relay, &api, &mut owl, beside(0), 500).await;
    assert!(!frames.iter().any(is_presence), "{frames:?}");
}

#[tokio::test]
async fn somebody_lost_is_still_listed_but_reached_by_nothing() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    owl.sees(fox.id()).await;
    let (id, created) = (fox.id(), fox.created.clone());
    drop(fox);
    // The relay notices the loss when it does; then nobody has got it who can't read it.
    poll("the loss to be noticed", async || {
        let metrics = relay.metrics().await;
        (metrics.sum("neartalk_connections", &[]) == 1.0).then_some(())
    })
    .await;
    assert_eq!(owl.say("are you there?").await.reached, 0);
    assert_eq!(owl.locate(beside(0), 500).await.peers(), [id]);
    let mut fox = Person::resume(&relay, created).await;
    assert_eq!(fox.located().await.texts(), ["are you there?"]);
}

#[tokio::test]
async fn a_walk_through_a_circle_is_told_step_by_step() {
    let relay = Relay::start(&["--location-burst", "100"]);
    let api = relay.api();
    let here = centre(beside(0), 500);
    let mut owl = Person::at(&relay, &api, "Owl", here, 500).await;
    // Each step is a new person, since nobody walks 200 m in no time: what is told of a step is the
    // same as of a walk that got there.
    let mut fox = Person::at(&relay, &api, "Fox", north(here, 430.0), 500).await;
    let seen = owl.sees(fox.id()).await;
    let mine = spot(here, 500);
    let band = |metres| mine.band_in_range(&spot(north(here, metres), 500));
    assert_eq!(Some(seen.distance), band(430.0));
    fox.locate(north(here, 180.0), 500).await;
    let seen = owl.sees_change(fox.id()).await;
    assert_eq!(Some(seen.distance), band(180.0));
    assert_ne!(band(430.0), band(180.0));
    // Staying within the cell tells nothing.
    fox.locate(centre(north(here, 180.0), 500), 500).await;
    let frames = ticked(&relay, &api, &mut owl, here, 500).await;
    assert!(!frames.iter().any(is_presence), "{frames:?}");
}

#[tokio::test]
async fn nothing_special_at_the_antimeridian_and_the_poles() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    for (name, a, b) in [
        (
            "antimeridian",
            place(-16.5, 179.9995),
            place(-16.5, -179.9995),
        ),
        ("180 is -180", place(51.9, 180.0), place(51.9, -180.0)),
        ("across the pole", place(89.999, 0.0), place(89.999, 180.0)),
        ("89.9 north", place(89.9, 10.0), place(89.9, 12.0)),
        ("at the pole", place(90.0, 0.0), place(90.0, 123.0)),
        ("south pole", place(-90.0, 0.0), place(-89.9985, -77.0)),
    ] {
        let (mine, theirs) = (spot(a, 500), spot(b, 500));
        let band = mine.band_in_range(&theirs).expect(name);
        let mut owl = Person::at(&relay, &api, "Owl", a, 500).await;
        let mut fox = Person::join(&relay, &api, "Fox").await;
        let located = fox.locate(b, 500).await;
        assert_eq!(located.peers(), [owl.id()], "{name}");
        assert_eq!(located.people[0].distance, band, "{name}");
        assert_eq!(owl.sees(fox.id()).await.distance, band, "{name}");
        assert_eq!(fox.say("hi").await.reached, 1, "{name}");
        owl.leave().await;
        fox.leave().await;
    }
}

#[tokio::test]
async fn reach_tells_how_many_would_be_in_range_of_each_circle() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = centre(beside(0), 2_000);
    let mut others = Vec::new();
    for (metres, metres_around) in [
        (0.0, 100),
        (0.0, 2_000),
        (180.0, 500),
        (420.0, 1_000),
        (420.0, 250),
        (800.0, 2_000),
        (1_700.0, 2_000),
        (2_500.0, 2_000),
    ] {
        let there = east(here, metres);
        others.push(spot(there, metres_around));
        let session = api.session("Other").await;
        api.locate(&session, there, metres_around)
            .await
            .expect::<LocationUpdated>(200);
    }
    let expected = |mine: &neartalk_shared::Spot, others: &[neartalk_shared::Spot]| -> Vec<Reach> {
        REACH_RADII_M
            .map(|metres| {
                let would = mine.with_radius(radius(metres));
                let count = others.iter().filter(|o| would.in_range(o)).count();
                Reach {
                    radius: metres,
                    count: count as u32,
                }
            })
            .to_vec()
    };
    let mut me = Person::join(&relay, &api, "Mine").await;
    let mine = spot(here, 100);
    let located = me.locate(here, 100).await;
    assert_eq!(located.reach, expected(&mine, &others));
    assert!(
        located.reach.is_sorted_by(|a, b| a.count < b.count),
        "the cases differ in every circle: {:?}",
        located.reach
    );

    // When it changes, it is told, at most every five seconds.
    for metres in [300.0, 900.0] {
        let there = north(here, metres);
        others.push(spot(there, 2_000));
        let session = api.session("Other").await;
        api.locate(&session, there, 2_000)
            .await
            .expect::<LocationUpdated>(200);
    }
    let wanted = expected(&mine, &others);
    let mut told = Vec::new();
    within_time(REACH_INTERVAL * 3, "the new reach", async {
        loop {
            let reach = me.reach().await;
            told.push(Instant::now());
            if reach == wanted {
                break;
            }
        }
    })
    .await;
    for pair in told.windows(2) {
        let between = pair[1] - pair[0];
        assert!(
            between + Duration::from_millis(500) >= REACH_INTERVAL,
            "{between:?}"
        );
    }
}
