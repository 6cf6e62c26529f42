//! Saying, typing, renaming, reporting.

use std::time::Duration;

use neartalk_shared::{
    ClientFrame, ErrorCode, MessageId, ServerFrame, Username,
    frame::ReportReason,
    limits::{MESSAGE_TTL, MESSAGE_WINDOW, TYPING_INTERVAL},
    time::millis,
};
use serde_json::json;

use super::ticked;
use crate::common::{Person, Relay, beside, centre, east, north, spot, within};

#[tokio::test]
async fn everyone_in_mutual_range_hears_it_once_and_nobody_else() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = beside(0);
    let mut speaker = Person::at(&relay, &api, "Speaker", here, 800).await;
    let mine = spot(here, 800);
    let mut others = Vec::new();
    for (metres, radius) in [
        (0.0, 100),
        (300.0, 800),
        // Within the speaker's circle, but it is not within theirs.
        (300.0, 150),
        (650.0, 2_000),
        // The speaker is within theirs, but they are not within the speaker's.
        (1_200.0, 2_000),
        (50_000.0, 2_000),
    ] {
        let there = east(here, metres);
        let band = mine.band_in_range(&spot(there, radius));
        let other = Person::at(&relay, &api, "Other", there, radius).await;
        others.push((other, band));
    }
    let in_range = others.iter().filter(|(_, band)| band.is_some()).count();
    assert_eq!(in_range, 3, "the cases are on both sides of the rule");

    let sent = speaker.say("  hello\nthere ").await;
    assert_eq!(sent.reached as usize, in_range);
    assert_eq!(
        sent.expires_at.as_millis() - sent.sent_at.as_millis(),
        millis(MESSAGE_TTL)
    );
    for (other, band) in &mut others {
        let heard = other.heard().await;
        let Some(band) = band else {
            assert_eq!(heard, []);
            continue;
        };
        assert_eq!(heard.len(), 1);
        let message = &heard[0];
        assert_eq!(message.id, sent.id);
        assert_eq!(message.from, speaker.id());
        assert_eq!(message.username.as_str(), "Speaker");
        assert_eq!(message.text.as_str(), "hello\nthere");
        assert_eq!(message.sent_at, sent.sent_at);
        assert_eq!(message.expires_at, sent.expires_at);
        assert_eq!(message.distance, *band);
    }
    assert_eq!(speaker.heard().await, [], "one does not hear oneself");
}

#[tokio::test]
async fn the_boundary_of_a_circle_is_inside() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    for (i, (metres, wide)) in [(300.0, 400), (620.0, 800), (1_300.0, 1_500)]
        .iter()
        .enumerate()
    {
        // Whole metres just around the distance between the two centres, all on one grid.
        let here = centre(beside(i as u32), *wide);
        let there = centre(north(here, *metres), *wide);
        let distance = here.distance_m(there);
        let mut speaker = Person::at(&relay, &api, "Speaker", here, *wide).await;
        let mut inside = Person::at(&relay, &api, "Inside", there, distance.ceil() as u32).await;
        let mut outside = Person::at(&relay, &api, "Outside", there, distance.floor() as u32).await;
        assert_eq!(
            speaker.say("who hears this?").await.reached,
            1,
            "{distance}"
        );
        inside.hears().await;
        assert_eq!(outside.heard().await, []);
    }
}

#[tokio::test]
async fn people_on_one_spot_always_meet_whatever_their_circles() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = beside(0);
    let mut fine = Person::at(&relay, &api, "Fine", here, 100).await;
    let mut coarse = Person::at(&relay, &api, "Coarse", here, 2_000).await;
    assert_eq!(fine.say("hi").await.reached, 1);
    coarse.hears().await;
    assert_eq!(coarse.say("hi").await.reached, 1);
    fine.hears().await;
}

#[tokio::test]
async fn circles_overlap_and_pass_nothing_on() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = centre(beside(0), 500);
    let mut left = Person::at(&relay, &api, "Left", here, 500).await;
    let mut middle = Person::at(&relay, &api, "Middle", east(here, 400.0), 500).await;
    let mut right = Person::at(&relay, &api, "Right", east(here, 800.0), 500).await;
    assert_eq!(left.say("from the left").await.reached, 1);
    assert_eq!(right.say("from the right").await.reached, 1);
    assert_eq!(middle.say("to both").await.reached, 2);
    let texts = async |person: &mut Person| -> Vec<String> {
        let heard = person.heard().await;
        heard.into_iter().map(|m| m.text.into()).collect()
    };
    assert_eq!(
        texts(&mut middle).await,
        ["from the left", "from the right"]
    );
    assert_eq!(texts(&mut left).await, ["to both"]);
    assert_eq!(texts(&mut right).await, ["to both"]);
}

#[tokio::test]
async fn the_same_message_again_is_answered_the_same_and_heard_once() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let id = MessageId::random();
    let first = fox.say_as(id, "once").await;
    assert_eq!(first.reached, 1);
    // Somebody else comes meanwhile: the answer stays what it was, and they learn of it from the
    // history only.
    let mut late = Person::at(&relay, &api, "Late", beside(0), 500).await;
    assert_eq!(fox.say_as(id, "once").await, first);
    assert_eq!(fox.say_as(id, "other words").await, first);
    // Also after a lost answer, on another socket.
    let created = fox.created.clone();
    drop(fox);
    let mut fox = Person::resume(&relay, created).await;
    assert_eq!(fox.say_as(id, "once").await, first);

    let heard = owl.heard().await;
    assert_eq!(heard.len(), 1, "{heard:?}");
    assert_eq!(heard[0].text.as_str(), "once");
    assert_eq!(late.heard().await, []);
    let mut later = Person::join(&relay, &api, "Later").await;
    assert_eq!(later.locate(beside(0), 500).await.texts(), ["once"]);
}

#[tokio::test]
async fn a_message_that_lost_its_answer_is_not_lost_and_not_doubled() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let id = MessageId::random();
    fox.send_say(id, "did this arrive?").await;
    let created = fox.created.clone();
    drop(fox);
    let mut fox = Person::resume(&relay, created).await;
    let sent = fox.say_as(id, "did this arrive?").await;
    assert_eq!(sent.reached, 1);
    let heard = owl.heard().await;
    assert_eq!(heard.len(), 1, "{heard:?}");
}

#[tokio::test]
async fn a_message_id_belongs_to_whoever_used_it_first() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let sent = fox.say("mine").await;
    owl.hears().await;
    owl.send_say(sent.id, "no, mine").await;
    let (error, reference) = owl.error().await;
    assert_eq!(error.code, ErrorCode::InvalidMessage);
    assert_eq!(reference, Some(sent.id));
    assert_eq!(fox.heard().await, []);
    assert_eq!(fox.say_as(sent.id, "mine").await, sent);
}

#[tokio::test]
async fn a_text_that_is_no_message_is_refused_by_its_id() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    for text in [
        "".to_owned(),
        " \n ".to_owned(),
        "\u{200b}".to_owned(),
        "a\u{0}b".to_owned(),
        "tab\there".to_owned(),
        "bell\u{7}".to_owned(),
        "x".repeat(501),
        "ü".repeat(501),
    ] {
        let id = MessageId::random();
        let frame = json!({ "type": "say", "id": id, "text": text });
        fox.send_text(frame.to_string()).await;
        let (error, reference) = fox.error().await;
        assert_eq!(error.code, ErrorCode::InvalidMessage, "{text:?}");
        assert_eq!(reference, Some(id), "{text:?}");
    }
    assert_eq!(fox.say(&"ü".repeat(500)).await.reached, 1);
    let heard = owl.heard().await;
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].text.as_str(), "ü".repeat(500));
}

#[tokio::test]
async fn the_eleventh_message_in_a_minute_has_to_wait() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut first = None;
    for n in 0..10 {
        let sent = fox.say(&n.to_string()).await;
        first.get_or_insert(sent);
    }
    let id = MessageId::random();
    fox.send_say(id, "10").await;
    let (error, reference) = fox.error().await;
    assert_eq!(error.code, ErrorCode::RateLimited);
    assert_eq!(reference, Some(id));
    let wait = error.retry_after_ms.expect("it says when again");
    assert!((1..=millis(MESSAGE_WINDOW)).contains(&wait), "{wait}");
    // Asking again for what was said costs nothing.
    let first = first.unwrap();
    assert_eq!(fox.say_as(first.id, "0").await, first);
    let heard: Vec<String> = owl
        .heard()
        .await
        .into_iter()
        .map(|m| m.text.into())
        .collect();
    assert_eq!(heard, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    // Others are not held up by it.
    assert_eq!(owl.say("my first").await.reached, 1);
}

#[tokio::test]
async fn whoever_has_not_said_where_they_are_can_neither_speak_nor_be_heard() {
    let relay = Relay::start(&[]);
    let mut fox = Person::join(&relay, &relay.api(), "Fox").await;
    let id = MessageId::random();
    fox.send_say(id, "hello?").await;
    let (error, reference) = fox.error().await;
    assert_eq!(error.code, ErrorCode::NoLocation);
    assert_eq!(reference, Some(id));
    for frame in [ClientFrame::Typing, ClientFrame::VoiceJoin] {
        fox.send(&frame).await;
        fox.expect_error(ErrorCode::NoLocation).await;
    }
    assert_eq!(fox.settle().await, []);
    // The message is not used up.
    fox.locate(beside(0), 500).await;
    assert_eq!(fox.say_as(id, "hello?").await.reached, 0);
}

#[tokio::test]
async fn typing_reaches_those_in_range_once_in_three_seconds() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut far = Person::at(&relay, &api, "Far", beside(1), 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let from = fox.id();
    let typing = |frame: &ServerFrame| match frame {
        ServerFrame::Typing { peer_id } => Some(*peer_id),
        _ => None,
    };
    let started = std::time::Instant::now();
    for _ in 0..5 {
        fox.send(&ClientFrame::Typing).await;
    }
    assert_eq!(owl.wait("typing", typing).await, from);
    fox.settle().await;
    let more = owl.settle().await;
    assert_eq!(more.iter().filter_map(typing).count(), 0);
    // Keeps typing until it shows again.
    let again = within("typing again", async {
        let mut keys = tokio::time::interval(Duration::from_millis(50));
        loop {
            tokio::select! {
                peer = owl.wait("typing", typing) => break peer,
                _ = keys.tick() => fox.send(&ClientFrame::Typing).await,
            }
        }
    })
    .await;
    assert_eq!(again, from);
    let waited = started.elapsed();
    assert!(waited >= TYPING_INTERVAL, "{waited:?}");
    for unaware in [&mut far, &mut fox] {
        let frames = unaware.settle().await;
        assert_eq!(frames.iter().filter_map(typing).count(), 0);
    }
}

#[tokio::test]
async fn a_name_changes_three_times_and_the_old_ones_are_shown() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    owl.sees(fox.id()).await;
    fox.say("as Fox").await;
    assert_eq!(fox.rename("Hare").await, 2);
    let changed = owl.sees_change(fox.id()).await;
    assert_eq!(changed.username.as_str(), "Hare");
    assert_eq!(changed.former_usernames.len(), 1);
    fox.say("as Hare").await;
    assert_eq!(fox.rename("Lynx").await, 1);
    assert_eq!(fox.rename("Wolf").await, 0);
    let fourth = ClientFrame::Rename {
        username: Username::parse("Bear").unwrap(),
    };
    fox.send(&fourth).await;
    fox.expect_error(ErrorCode::UsernameChangesExhausted).await;
    // HTTP counts the same changes.
    api.rename(&fox.created, "Bear")
        .await
        .expect_error(409, ErrorCode::UsernameChangesExhausted);

    let mut late = Person::join(&relay, &api, "Late").await;
    let located = late.locate(beside(0), 500).await;
    let seen = located
        .people
        .iter()
        .find(|p| p.peer_id == fox.id())
        .unwrap();
    assert_eq!(seen.username.as_str(), "Wolf");
    let former: Vec<_> = seen.former_usernames.iter().map(Username::as_str).collect();
    assert_eq!(former, ["Fox", "Hare", "Lynx"]);
    // What was said keeps the name it was said under.
    let said: Vec<_> = located
        .history
        .iter()
        .map(|m| (m.username.as_str(), m.text.as_str()))
        .collect();
    assert_eq!(said, [("Fox", "as Fox"), ("Hare", "as Hare")]);
}

#[tokio::test]
async fn a_report_is_acknowledged_to_whoever_made_it_and_told_to_nobody() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let sent = fox.say("buy gold").await;
    owl.hears().await;
    owl.settle().await;
    fox.settle().await;
    for (reason, message_id) in [
        (ReportReason::Spam, Some(sent.id)),
        (ReportReason::Abuse, None),
        (ReportReason::Illegal, None),
        (ReportReason::Other, Some(MessageId::random())),
    ] {
        owl.send(&ClientFrame::Report {
            peer_id: fox.id(),
            reason,
            message_id,
        })
        .await;
        let reported = ServerFrame::Reported { peer_id: fox.id() };
        owl.wait("reported", |frame| (*frame == reported).then_some(()))
            .await;
    }
    let told = ticked(&relay, &api, &mut fox, beside(0), 500).await;
    let told: Vec<_> = told
        .iter()
        .filter(|f| {
            !matches!(
                f,
                ServerFrame::Reach { .. } | ServerFrame::PersonEntered { .. }
            )
        })
        .collect();
    assert!(told.is_empty(), "{told:?}");
}
