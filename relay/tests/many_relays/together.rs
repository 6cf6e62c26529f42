//! What people on different relays are to each other: the same as on one.

use neartalk_shared::{
    ErrorCode, MessageId, PeerId, ServerFrame,
    frame::{LeftReason, SdpType, SignalData},
    http::{LocationUpdated, Nearby, UsernameChanged},
};
use rand::SeedableRng;
use serde_json::json;

use crate::{
    Relays,
    common::{Closed, Person, beside, east, poll, ticked},
};

#[tokio::test]
async fn people_on_two_relays_meet_talk_and_part() {
    let relays = Relays::start(2, &[]);
    let [here, there] = [&relays[0], &relays[1]];
    let place = beside(0);
    let mut fox = Person::at(here, &here.api(), "Fox", place, 500).await;
    let mut owl = Person::join(there, &there.api(), "Owl").await;
    let located = owl.locate(east(place, 200.0), 500).await;
    assert_eq!(located.peers(), [fox.id()]);
    assert_eq!(located.people[0].username.as_str(), "Fox");
    assert_eq!(located.reach.iter().map(|r| r.count).max(), Some(1));
    let seen = fox.sees(owl.id()).await;
    assert_eq!(seen.distance, located.people[0].distance);

    let sent = fox.say("across").await;
    assert_eq!(sent.reached, 1);
    let heard = owl.hears().await;
    assert_eq!((heard.id, heard.from), (sent.id, fox.id()));
    assert_eq!(heard.text.as_str(), "across");
    assert_eq!(heard.expires_at, sent.expires_at);
    assert_eq!(heard.distance, seen.distance);
    owl.say("and back").await;
    assert_eq!(fox.hears().await.text.as_str(), "and back");

    fox.send(&neartalk_shared::ClientFrame::Typing).await;
    let typing = owl.wait("typing", |frame| match frame {
        ServerFrame::Typing { peer_id } => Some(*peer_id),
        _ => None,
    });
    assert_eq!(typing.await, fox.id());

    fox.rename("Vixen").await;
    let changed = owl.sees_change(fox.id()).await;
    assert_eq!(changed.username.as_str(), "Vixen");
    assert_eq!(changed.former_usernames[0].as_str(), "Fox");

    // Who comes later on either relay gets what was said on both.
    for relay in [here, there] {
        let mut elk = Person::join(relay, &relay.api(), "Elk").await;
        let located = elk.locate(place, 500).await;
        assert_eq!(located.texts(), ["across", "and back"]);
        assert_eq!(located.people.len(), 2);
        fox.sees(elk.id()).await;
        owl.sees(elk.id()).await;
        elk.leave().await;
        assert_eq!(fox.misses(elk.id()).await, LeftReason::Left);
        assert_eq!(owl.misses(elk.id()).await, LeftReason::Left);
    }

    owl.locate(east(place, 900.0), 500).await;
    assert_eq!(fox.misses(owl.id()).await, LeftReason::Moved);
    assert_eq!(owl.nearby_now(there).await.count, 0);
    assert_eq!(fox.say("alone").await.reached, 0);
    assert!(owl.heard().await.is_empty());
}

#[tokio::test]
async fn whoever_walks_from_region_to_region_is_seen_all_the_way() {
    let flags = ["--location-burst", "1000", "--messages-per-minute", "1000"];
    let relays = Relays::start(2, &flags);
    let [here, there] = [&relays[0], &relays[1]];
    let mut fox = Person::at(here, &here.api(), "Fox", beside(0), 2_000).await;
    let mut owl = Person::at(there, &there.api(), "Owl", beside(0), 2_000).await;
    fox.sees(owl.id()).await;
    // Regions are 3.3 km wide here; together they go through several.
    for step in 1..=60 {
        let place = east(beside(0), 150.0 * f64::from(step));
        fox.locate(place, 2_000).await;
        let located = owl.locate(place, 2_000).await;
        assert_eq!(located.peers(), [fox.id()], "step {step}");
        let text = format!("step {step}");
        assert_eq!(fox.say(&text).await.reached, 1);
        assert_eq!(owl.hears().await.text.as_str(), text);
    }
    assert!(
        !fox.settle()
            .await
            .iter()
            .any(|frame| matches!(frame, ServerFrame::PersonLeft { .. })),
        "they were always together"
    );
}

#[tokio::test]
async fn a_session_can_be_taken_to_another_relay() {
    let relays = Relays::start(2, &["--messages-per-minute", "3"]);
    let [here, there] = [&relays[0], &relays[1]];
    let mut witness = Person::at(here, &here.api(), "Witness", beside(0), 500).await;
    let mut fox = Person::at(here, &here.api(), "Fox", beside(0), 500).await;
    witness.sees(fox.id()).await;
    fox.rename("Vixen").await;
    fox.say("one").await;
    let two = fox.say("two").await;
    witness.settle().await;

    let mut again = Person::resume(there, fox.created.clone()).await;
    assert_eq!(fox.closed().await, Closed::With(4409));
    assert!(again.welcome.resumed);
    assert_eq!(again.id(), fox.id());
    assert_eq!(again.welcome.username.as_str(), "Vixen");
    assert_eq!(again.welcome.username_changes_left, 2);
    let located = again.located().await;
    assert_eq!(located.peers(), [witness.id()]);
    assert_eq!(located.texts(), ["one", "two"]);
    // What was said already is not said again, and what is used up is used up.
    assert_eq!(again.say_as(two.id, "two").await, two);
    again.say("three").await;
    again.send_say(MessageId::random(), "four").await;
    again.expect_error(ErrorCode::RateLimited).await;
    assert_eq!(witness.hears().await.text.as_str(), "three");
    let frames = ticked(here, &here.api(), &mut witness, beside(0), 500).await;
    assert!(
        !frames.iter().any(|frame| matches!(
            frame,
            ServerFrame::PersonLeft { .. } | ServerFrame::Message(_)
        )),
        "{frames:?}"
    );

    // And back, while the socket there is still open.
    let mut back = Person::resume(here, fox.created.clone()).await;
    assert_eq!(again.closed().await, Closed::With(4409));
    back.located().await;
    back.send_say(MessageId::random(), "four").await;
    back.expect_error(ErrorCode::RateLimited).await;
    assert_eq!(back.rename("Reynard").await, 1);
    let renamed = witness.wait("the new name", |frame| match frame {
        ServerFrame::PersonChanged { person } => {
            (person.username.as_str() == "Reynard").then_some(person.peer_id)
        }
        _ => None,
    });
    assert_eq!(renamed.await, fox.id());
}

#[tokio::test]
async fn a_call_is_answered_by_whichever_relay_it_goes_to() {
    let relays = Relays::start(3, &["--location-burst", "5"]);
    let [home, other, third] = [&relays[0], &relays[1], &relays[2]];
    let mut fox = Person::at(home, &home.api(), "Fox", beside(0), 500).await;
    let mut owl = Person::at(third, &third.api(), "Owl", beside(0), 500).await;
    let api = other.api();
    let nearby: Nearby = api.nearby(&fox.created).await.expect(200);
    assert_eq!(nearby.people[0].peer_id, owl.id());
    let changed: UsernameChanged = api.rename(&fox.created, "Vixen").await.expect(200);
    assert_eq!(changed.username_changes_left, 2);
    assert_eq!(owl.sees_change(fox.id()).await.username.as_str(), "Vixen");
    let moved: LocationUpdated = api
        .locate(&fox.created, east(beside(0), 1_000.0), 500)
        .await
        .expect(200);
    assert_eq!(moved.nearby, 0);
    assert_eq!(owl.misses(fox.id()).await, LeftReason::Moved);
    // The limit is the session's, not the relay's.
    for relay in [other, third, home, other, third] {
        relay
            .api()
            .locate(&fox.created, east(beside(0), 1_000.0), 500)
            .await;
    }
    third
        .api()
        .locate(&fox.created, beside(0), 500)
        .await
        .expect_rate_limited();
    // All that has not moved the session: its socket is as it was.
    fox.settle().await;
    assert_eq!(fox.say("still here").await.reached, 0);
    let stranger = json!({ "username": "Stranger" });
    let created = api.create(stranger).await.expect(201);
    third
        .api()
        .nearby(&created)
        .await
        .expect_error(409, ErrorCode::NoLocation);
}

#[tokio::test]
async fn voices_find_each_other_across_relays() {
    let relays = Relays::start(2, &[]);
    let [here, there] = [&relays[0], &relays[1]];
    let mut fox = Person::at(here, &here.api(), "Fox", beside(0), 500).await;
    let mut owl = Person::at(there, &there.api(), "Owl", beside(0), 500).await;
    let mut far = Person::at(there, &there.api(), "Far", east(beside(0), 1_500.0), 2_000).await;
    far.join_voice().await;
    fox.join_voice().await;
    owl.join_voice().await;
    let polite = fox.meets_in_voice(owl.id()).await;
    assert_eq!(owl.meets_in_voice(fox.id()).await, !polite);
    let offer = SignalData::Description {
        sdp_type: SdpType::Offer,
        sdp: "v=0".into(),
    };
    fox.signal(owl.id(), offer.clone()).await;
    assert_eq!(owl.signalled(fox.id()).await, offer);
    owl.signal(fox.id(), SignalData::Bye).await;
    assert_eq!(fox.signalled(owl.id()).await, SignalData::Bye);

    // Out of range, out of voice, or nobody: the same answer to the letter.
    let nobody = PeerId::random(&mut rand::rngs::StdRng::seed_from_u64(1));
    let mut answers = Vec::new();
    fox.settle().await;
    for to in [far.id(), nobody] {
        fox.signal(to, SignalData::Bye).await;
        fox.expect_error(ErrorCode::NotInRange).await;
        answers.push(fox.seen.last().cloned().unwrap());
    }
    owl.send(&neartalk_shared::ClientFrame::VoiceLeave).await;
    fox.parts_in_voice(owl.id()).await;
    fox.signal(owl.id(), SignalData::Bye).await;
    fox.expect_error(ErrorCode::NotInRange).await;
    answers.push(fox.seen.last().cloned().unwrap());
    assert!(answers.iter().all(|a| *a == answers[0]), "{answers:?}");
    assert!(far.settle().await.iter().all(|frame| !matches!(
        frame,
        ServerFrame::Signal { .. } | ServerFrame::VoicePeer { .. }
    )));

    // A socket that is lost and opened on the other relay: the connection lives on.
    owl.join_voice().await;
    fox.meets_in_voice(owl.id()).await;
    owl.meets_in_voice(fox.id()).await;
    fox.settle().await;
    let mut owl = Person::resume(here, owl.created.clone()).await;
    owl.located().await;
    owl.join_voice().await;
    owl.meets_in_voice(fox.id()).await;
    owl.signal(fox.id(), SignalData::Bye).await;
    assert_eq!(fox.signalled(owl.id()).await, SignalData::Bye);
    assert!(
        !fox.settle()
            .await
            .iter()
            .any(|frame| matches!(frame, ServerFrame::VoicePeerLeft { .. })),
        "nobody has left"
    );
}

#[tokio::test]
async fn a_relay_that_ends_leaves_its_people_to_others() {
    let mut relays = Relays::start(2, &[]);
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(0), 500).await;
    let sent = fox.say("before").await;
    owl.hears().await;
    relays.all[0].terminate();
    assert_eq!(fox.closed().await, Closed::With(1001));
    assert_eq!(relays.all[0].wait().await.code(), Some(0));
    let mut fox = Person::resume(&relays[1], fox.created.clone()).await;
    assert!(fox.welcome.resumed);
    assert_eq!(fox.located().await.texts(), ["before"]);
    assert_eq!(fox.say_as(sent.id, "before").await, sent);
    fox.say("after").await;
    assert_eq!(owl.hears().await.text.as_str(), "after");
    let frames = owl.settle().await;
    assert!(
        !frames
            .iter()
            .any(|frame| matches!(frame, ServerFrame::PersonLeft { .. })),
        "nobody has noticed: {frames:?}"
    );
    let metrics = poll("one relay's people", async || {
        let metrics = relays[1].metrics().await;
        (metrics.sum("neartalk_people", &[]) == 2.0).then_some(metrics)
    });
    assert_eq!(metrics.await.sum("neartalk_sessions", &[]), 2.0);
}
