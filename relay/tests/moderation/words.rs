//! Words that are not passed on, and words said too often.

use neartalk_shared::{ErrorCode, MessageId};

use crate::{
    PROXY,
    common::{Person, Relay, beside},
    person_from,
};

#[tokio::test]
async fn a_filtered_word_is_refused_and_the_sender_told_why() {
    let file = std::env::temp_dir().join(format!("neartalk-words-{}", std::process::id()));
    std::fs::write(&file, "# unwelcome\nbadger\n穴熊\n").unwrap();
    let relay = Relay::start(&["--word-filter", file.to_str().unwrap()]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    for text in ["you B4DGER!", "ｂａｄｇｅｒ", "穴熊です"] {
        let id = MessageId::random();
        fox.send_say(id, text).await;
        let (error, reference) = fox.error().await;
        assert_eq!(
            (error.code, reference),
            (ErrorCode::MessageRefused, Some(id))
        );
        assert!(!error.message.contains("badger"), "{}", error.message);
    }
    fox.say("badgers, badgering").await;
    assert_eq!(owl.hears().await.text.as_str(), "badgers, badgering");
    assert!(owl.heard().await.is_empty());
    let named = api
        .create(serde_json::json!({ "username": "Sly Badger" }))
        .await;
    named.expect_error(422, ErrorCode::InvalidUsername);
    api.rename(&fox.created, "Badger 7")
        .await
        .expect_error(422, ErrorCode::InvalidUsername);
    let metrics = relay.metrics().await;
    let refused = metrics.sum("neartalk_messages_refused_total", &["why=\"word\""]);
    assert_eq!(refused, 3.0);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn of_a_flood_from_one_address_so_much_gets_through_and_others_do_not_notice() {
    // Of one address, twenty times as much as of one session.
    let relay = Relay::start(&[&PROXY[..], &["--messages-per-minute", "1"]].concat());
    let mut last = None;
    for n in 1..=21 {
        let mut person = person_from(&relay, "192.0.2.1", "Crowd", beside(0)).await;
        if n <= 20 {
            person.say(&format!("this is number {n}")).await;
        }
        last = Some(person);
    }
    let mut last = last.unwrap();
    last.send_say(MessageId::random(), "and one more").await;
    let refused = last.expect_error(ErrorCode::RateLimited).await;
    assert!(refused.retry_after_ms.is_some_and(|ms| ms <= 3_000));
    let mut other = person_from(&relay, "192.0.2.2", "Other", beside(0)).await;
    other.say("good evening").await;
    let mut elsewhere = person_from(&relay, "192.0.2.1", "Elsewhere", beside(20)).await;
    elsewhere.say("good evening").await;
    let metrics = relay.metrics().await;
    let limited = metrics.sum("neartalk_rate_limited_total", &["messages_per_address"]);
    assert_eq!(limited, 1.0);
}

#[tokio::test]
async fn the_same_from_one_or_from_many_is_refused_there_and_not_elsewhere() {
    let flags = ["--repeats-per-address", "2", "--repeats-per-cell", "4"];
    let relay = Relay::start(&[&PROXY[..], &flags].concat());
    let text = "Visit my shop today";
    let mut one = person_from(&relay, "192.0.2.1", "One", beside(0)).await;
    one.say(text).await;
    one.say("visit MY shop today!!!").await;
    let refused = async |person: &mut Person, ok: bool| {
        let id = MessageId::random();
        person.send_say(id, text).await;
        if ok {
            person.sent(id).await;
        } else {
            person.expect_error(ErrorCode::MessageRefused).await;
        }
    };
    refused(&mut one, false).await;
    // Another session of the same address is the same voice.
    let mut again = person_from(&relay, "192.0.2.1", "Again", beside(0)).await;
    refused(&mut again, false).await;
    let mut two = person_from(&relay, "192.0.2.2", "Two", beside(0)).await;
    refused(&mut two, true).await;
    let mut three = person_from(&relay, "192.0.2.3", "Three", beside(0)).await;
    refused(&mut three, true).await;
    let mut four = person_from(&relay, "192.0.2.4", "Four", beside(0)).await;
    refused(&mut four, false).await;
    // Elsewhere nobody has heard it.
    let mut five = person_from(&relay, "192.0.2.5", "Five", beside(20)).await;
    refused(&mut five, true).await;
    four.say("something else entirely").await;
}
