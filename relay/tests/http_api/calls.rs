//! Each call, and what it answers when all is well.

use crate::common::{Person, Relay, beside, east, place, radius, spot};
use neartalk_shared::{
    ErrorCode, PeerId, Username,
    http::{CreatedSession, LocationUpdated, Nearby, UsernameChanged},
    limits::{LOCATION_BURST, LOCATION_INTERVAL},
};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_session_starts_with_the_name_that_was_asked_for() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    for (asked, got) in [
        ("Fox", "Fox"),
        ("Ünal 7", "Ünal 7"),
        ("山田太郎", "山田太郎"),
        // Decomposed goes in, composed (NFC) comes out.
        ("Zoe\u{301}", "Zo\u{e9}"),
    ] {
        let created: CreatedSession = api.create(json!({ "username": asked })).await.expect(201);
        assert_eq!(created.username.as_str(), got);
        assert_eq!(created.username_changes_left, 3);
        assert_eq!(created.expires_in_s, 1_800);
    }
}

#[tokio::test]
async fn a_session_without_a_name_gets_a_friendly_one_and_ids_of_its_own() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut sessions = Vec::new();
    for body in [
        Some("{}"),
        Some(r#"{"username":null}"#),
        Some(r#"{"colour":"blue"}"#),
        None,
    ] {
        let answer = api
            .send(
                Method::POST,
                "/api/session/create",
                &[],
                body.map(str::to_owned),
            )
            .await;
        let created: CreatedSession = answer.expect(201);
        let words: Vec<_> = created.username.as_str().split(' ').collect();
        assert_eq!(words.len(), 2, "{}", created.username);
        sessions.push(created);
    }
    for (i, a) in sessions.iter().enumerate() {
        for b in &sessions[..i] {
            assert_ne!(a.session_id, b.session_id);
            assert_ne!(a.peer_id, b.peer_id);
        }
    }
}

#[tokio::test]
async fn the_public_id_has_nothing_of_the_secret_one() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let created = api.session("Fox").await;
    let secret = u128::from_str_radix(&created.session_id.expose().replace('-', ""), 16).unwrap();
    let public = created.peer_id.to_string();
    // The 16 bytes of the public id, as its 26 characters of Crockford base32 spell them.
    let alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let public = public
        .chars()
        .fold(0u128, |n, c| n << 5 | alphabet.find(c).unwrap() as u128);
    // Unrelated ids agree in about 64 of 128 bits; 32 standard deviations are never chance.
    let agreeing = (secret ^ public).count_zeros();
    assert!((24..=104).contains(&agreeing), "{agreeing}");
}

#[tokio::test]
async fn a_name_changes_three_times_and_others_see_what_it_was() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let fox = api.session("Fox").await;
    let other = api.session("Other").await;
    for session in [&fox, &other] {
        api.locate(session, beside(0), 500)
            .await
            .expect::<LocationUpdated>(200);
    }
    for (name, left) in [("Owl", 2), ("Hare", 1), ("Lynx", 0)] {
        let changed: UsernameChanged = api.rename(&fox, name).await.expect(200);
        assert_eq!(changed.username.as_str(), name);
        assert_eq!(changed.username_changes_left, left);
    }
    for _ in 0..2 {
        api.rename(&fox, "Wolf")
            .await
            .expect_error(409, ErrorCode::UsernameChangesExhausted);
    }
    let nearby: Nearby = api.nearby(&other).await.expect(200);
    let person = &nearby.people[0];
    assert_eq!(person.peer_id, fox.peer_id);
    assert_eq!(person.username.as_str(), "Lynx");
    let former: Vec<_> = person
        .former_usernames
        .iter()
        .map(Username::as_str)
        .collect();
    assert_eq!(former, ["Fox", "Owl", "Hare"]);
}

#[tokio::test]
async fn a_place_is_answered_with_its_grid_and_who_is_near() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let times_square = place(40.758, -73.9855);
    for (before, (metres, grid)) in (0..).zip([
        (100, 50),
        (249, 50),
        (250, 100),
        (999, 100),
        (1_000, 200),
        (2_000, 200),
    ]) {
        let session = api.session("Fox").await;
        let updated: LocationUpdated = api.locate(&session, times_square, metres).await.expect(200);
        let expected = LocationUpdated {
            geohash_prefix: "dr5r".into(),
            radius: radius(metres),
            grid_m: grid,
            nearby: before,
        };
        assert_eq!(updated, expected);
    }
}

#[tokio::test]
async fn nearby_lists_exactly_who_is_in_range_with_a_band_of_distance() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let me = api.session("Mine").await;
    let here = beside(0);
    api.locate(&me, here, 700)
        .await
        .expect::<LocationUpdated>(200);
    let mine = spot(here, 700);
    let mut expected: Vec<(PeerId, u32, u32)> = Vec::new();
    for (metres, radius) in [
        (0.0, 100),
        (140.0, 700),
        (140.0, 100),
        (400.0, 2_000),
        (400.0, 300),
        (650.0, 700),
        (900.0, 2_000),
        (5_000.0, 2_000),
    ] {
        let there = east(here, metres);
        let other = api.session("Other").await;
        api.locate(&other, there, radius)
            .await
            .expect::<LocationUpdated>(200);
        if let Some(band) = mine.band_in_range(&spot(there, radius)) {
            expected.push((other.peer_id, band.min, band.max));
        }
    }
    assert_eq!(expected.len(), 4, "the cases are on both sides of the rule");
    let nearby: Nearby = api.nearby(&me).await.expect(200);
    assert_eq!(nearby.count as usize, nearby.people.len());
    let mut seen: Vec<_> = nearby
        .people
        .iter()
        .map(|p| (p.peer_id, p.distance.min, p.distance.max))
        .collect();
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    for person in &nearby.people {
        assert_eq!(person.username.as_str(), "Other");
        assert!(person.former_usernames.is_empty());
        assert!(!person.in_voice && !person.muted && !person.deafened);
    }
}

#[tokio::test]
async fn places_come_in_bursts_of_three_and_then_have_to_wait() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let me = api.session("Fox").await;
    for _ in 0..LOCATION_BURST {
        api.locate(&me, beside(0), 500)
            .await
            .expect::<LocationUpdated>(200);
    }
    let wait = api.locate(&me, beside(0), 600).await.expect_rate_limited();
    assert!(u128::from(wait) <= LOCATION_INTERVAL.as_millis(), "{wait}");
    // Somebody else's are their own.
    let other = api.session("Owl").await;
    let updated: LocationUpdated = api.locate(&other, beside(0), 500).await.expect(200);
    assert_eq!(updated.nearby, 1);
}

#[tokio::test]
async fn a_jump_across_the_map_is_believed_once() {
    let relay = Relay::start(&["--location-burst", "100"]);
    let api = relay.api();
    let me = api.session("Fox").await;
    for i in [0, 1] {
        api.locate(&me, beside(i), 500)
            .await
            .expect::<LocationUpdated>(200);
    }
    api.locate(&me, beside(2), 500)
        .await
        .expect_error(422, ErrorCode::ImplausibleLocation);
    // The last place that was believed is the one that counts.
    for (i, count) in [(1, 1), (2, 0)] {
        let other = api.session("Owl").await;
        let updated: LocationUpdated = api.locate(&other, beside(i), 500).await.expect(200);
        assert_eq!(updated.nearby, count, "place {i}");
    }
}

#[tokio::test]
async fn people_of_http_and_people_of_sockets_see_each_other() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut watcher = Person::at(&relay, &api, "Watcher", beside(0), 500).await;
    let visitor = api.session("Visitor").await;
    let updated: LocationUpdated = api.locate(&visitor, beside(0), 500).await.expect(200);
    assert_eq!(updated.nearby, 1);
    let seen = watcher.sees(visitor.peer_id).await;
    assert_eq!(seen.username.as_str(), "Visitor");
    let nearby: Nearby = api.nearby(&visitor).await.expect(200);
    assert_eq!(nearby.people[0].peer_id, watcher.id());
    api.rename(&visitor, "Guest")
        .await
        .expect::<UsernameChanged>(200);
    let changed = watcher.sees_change(visitor.peer_id).await;
    assert_eq!(changed.username.as_str(), "Guest");
    assert_eq!(changed.former_usernames[0].as_str(), "Visitor");
}
