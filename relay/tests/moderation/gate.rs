//! Who has to work for a session.

use neartalk_client::{Engine, EngineConfig, Event, RelayUrl, location};
use neartalk_shared::{ErrorCode, MessageId, http::CreatedSession};
use serde_json::json;

use crate::{
    PROXY,
    common::{Relay, beside, within},
    may_come, person_from,
};

const ALWAYS: [&str; 4] = ["--proof-of-work", "always", "--proof-bits", "8"];

#[tokio::test]
async fn a_session_costs_work_and_the_answer_is_good_once() {
    let relay = Relay::start(&[&PROXY[..], &ALWAYS].concat());
    let api = relay.api().forwarding("192.0.2.1");
    let body = api.create(json!({})).await;
    let body = body.expect_error(428, ErrorCode::ProofRequired);
    let challenge = body.proof.expect("what to answer");
    assert_eq!(challenge.bits, 8);
    let proof = challenge.solve().unwrap();
    let with = json!({ "username": "Worker", "proof": proof });
    let other = relay
        .api()
        .forwarding("192.0.2.2")
        .create(with.clone())
        .await;
    other.expect_error(428, ErrorCode::ProofRequired);
    let created: CreatedSession = api.create(with.clone()).await.expect(201);
    assert_eq!(created.username.as_str(), "Worker");
    let again = api.create(with).await;
    again.expect_error(428, ErrorCode::ProofRequired);
    for broken in [json!(5), json!({}), json!({ "challenge": "x" })] {
        let answer = api.create(json!({ "proof": broken })).await;
        answer.expect_error(422, ErrorCode::InvalidBody);
    }
}

#[tokio::test]
async fn the_engine_does_the_work_by_itself() {
    let relay = Relay::start(&ALWAYS);
    let config = EngineConfig::new(RelayUrl::parse(&relay.url()).unwrap());
    let (_fixes, stream) = location::channel();
    let (_handle, mut events) = Engine::start(config, stream);
    within("a session", async {
        loop {
            match events.recv().await.expect("the engine has ended") {
                Event::Me(_) => break,
                Event::Connection(state) => {
                    let state = format!("{state:?}");
                    assert!(state == "Connecting" || state == "Online", "{state}");
                }
                _ => {}
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_network_that_makes_very_many_is_asked_and_its_neighbours_are_not() {
    let few = [
        "--sessions-per-minute",
        "1",
        "--session-burst",
        "4",
        "--proof-bits",
        "8",
    ];
    let relay = Relay::start(&[&PROXY[..], &few].concat());
    let api = relay.api();
    // Each address keeps to its own limit; ten are what one network may do.
    let mut asked = 0;
    for n in 1..=20 {
        let answer = api
            .forwarding(&format!("192.0.2.{n}"))
            .create(json!({}))
            .await;
        if answer.status == 428 {
            asked += 1;
        } else {
            assert_eq!((answer.status, asked), (201, 0), "{}", answer.text);
        }
    }
    assert_eq!(asked, 10);
    assert!(may_come(&api, "198.51.100.1").await);
    let metrics = relay.metrics().await;
    let refused = metrics.sum("neartalk_sessions_refused_total", &["proof_required"]);
    assert_eq!(refused, 10.0);
}

#[tokio::test]
async fn people_who_were_there_before_notice_nothing() {
    let relay = Relay::start(
        &[
            &PROXY[..],
            &["--repeats-per-cell", "1", "--proof-bits", "8"],
        ]
        .concat(),
    );
    let here = beside(0);
    let mut fox = person_from(&relay, "198.51.100.1", "Fox", here).await;
    let mut owl = person_from(&relay, "198.51.100.2", "Owl", here).await;
    let mut bots = Vec::new();
    for n in 1..=40 {
        bots.push(person_from(&relay, &format!("192.0.2.{n}"), "Bot", here).await);
    }
    for bot in &mut bots {
        bot.send_say(MessageId::random(), "follow my channel").await;
        bot.settle().await;
    }
    let answer = relay
        .api()
        .forwarding("203.0.113.1")
        .create(json!({}))
        .await;
    answer.expect_error(428, ErrorCode::ProofRequired);
    fox.say("good evening").await;
    loop {
        if owl.hears().await.from == fox.id() {
            break;
        }
    }
}
