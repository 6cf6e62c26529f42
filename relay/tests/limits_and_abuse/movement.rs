//! Places that can't be true, come too often, or are more exact than they should be.

use neartalk_shared::{
    ErrorCode,
    http::LocationUpdated,
    limits::{LOCATION_BURST, LOCATION_INTERVAL},
    time::millis,
};

use crate::common::{Person, Relay, beside, centre, east, north, spot};

const OFTEN: [&str; 2] = ["--location-burst", "1000"];

#[tokio::test]
async fn the_second_jump_is_refused_and_the_place_stays() {
    let relay = Relay::start(&OFTEN);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    fox.locate(beside(1), 500).await;
    for i in [2, 3, 0] {
        fox.send_locate(beside(i), 500).await;
        fox.expect_error(ErrorCode::ImplausibleLocation).await;
    }
    // It is the session that jumps, however it tells.
    api.locate(&fox.created, beside(2), 500)
        .await
        .expect_error(422, ErrorCode::ImplausibleLocation);
    for (i, count) in [(0, 0), (1, 1), (2, 0), (3, 0)] {
        let session = api.session("Owl").await;
        let updated: LocationUpdated = api.locate(&session, beside(i), 500).await.expect(200);
        assert_eq!(updated.nearby, count, "place {i}");
    }
    // A new socket is no new start.
    let created = fox.created.clone();
    drop(fox);
    let mut fox = Person::resume(&relay, created).await;
    assert_eq!(fox.located().await.peers().len(), 1);
    fox.send_locate(beside(2), 500).await;
    fox.expect_error(ErrorCode::ImplausibleLocation).await;
}

#[tokio::test]
async fn another_circle_is_no_movement() {
    let relay = Relay::start(&OFTEN);
    let api = relay.api();
    let here = east(north(beside(0), 33.0), 77.0);
    let mut fox = Person::join(&relay, &api, "Fox").await;
    for metres in [500, 100, 2_000, 300, 1_000, 100, 2_000, 100] {
        // Both as a careless client tells it, and as one that snaps.
        for place in [here, centre(here, metres)] {
            let located = fox.locate(place, metres).await;
            assert_eq!(located.radius, metres);
        }
    }
}

#[tokio::test]
async fn places_come_in_bursts_of_three_and_then_have_to_wait() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut fox = Person::join(&relay, &api, "Fox").await;
    for metres in (1..=LOCATION_BURST).map(|n| 100 * n) {
        fox.locate(beside(0), metres).await;
    }
    fox.send_locate(beside(0), 900).await;
    let error = fox.expect_error(ErrorCode::RateLimited).await;
    let wait = error.retry_after_ms.expect("it says when again");
    assert!((1..=millis(LOCATION_INTERVAL)).contains(&wait), "{wait}");
    // HTTP draws from the same supply.
    api.locate(&fox.created, beside(0), 900)
        .await
        .expect_rate_limited();
    // The last circle that was let through is the one that counts.
    let mut owl = Person::join(&relay, &api, "Owl").await;
    let there = east(beside(0), 600.0);
    assert_eq!(owl.locate(there, 900).await.peers(), []);
    // What is refused as no place at all is not counted against anyone.
    let mut careless = Person::join(&relay, &api, "Careless").await;
    for _ in 0..10 {
        careless
            .send_text(r#"{"type":"locate","lat":91,"lon":0,"radius":500}"#)
            .await;
        careless.expect_error(ErrorCode::InvalidLocation).await;
    }
    careless.locate(beside(0), 500).await;
}

#[tokio::test]
async fn a_place_off_the_grid_is_brought_back_to_it() {
    let relay = Relay::start(&OFTEN);
    let api = relay.api();
    let middle = centre(beside(0), 500);
    let viewer_place = centre(east(middle, 350.0), 500);
    let viewer = spot(viewer_place, 500);
    let mut owl = Person::at(&relay, &api, "Owl", viewer_place, 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", middle, 500).await;
    let seen = owl.sees(fox.id()).await;
    assert_eq!(
        Some(seen.distance),
        viewer.band_in_range(&spot(middle, 500))
    );
    // All over the cell, up to a few metres from its borders: as far as ±45 m from the middle, the
    // real distance changes by two bands, the shown one not at all.
    for (dx, dy) in [(45.0, 45.0), (-45.0, 45.0), (-45.0, -45.0), (45.0, -45.0)] {
        let inside = east(north(middle, dy), dx);
        assert_eq!(centre(inside, 500), middle, "the test's own geometry");
        let located = fox.locate(inside, 500).await;
        let back = &located.people[0];
        assert_eq!(back.distance, seen.distance);
        assert_eq!(located.geohash_prefix.len(), 4);
        fox.say("here").await;
        assert_eq!(owl.hears().await.distance, seen.distance);
    }
}
