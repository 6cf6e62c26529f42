//! What keeps one relay civil keeps many: limits, reports, bans, closed cells, announcements.

use neartalk_shared::{
    ClientFrame, ErrorCode, MessageId, ServerFrame, Username,
    frame::{LeftReason, ReportReason},
    http::{CreatedSession, HealthStatus, UsernameChanged},
};
use redis::Commands;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Relays,
    common::{
        Answer, Closed, Person, Raw, Relay, Socket, beside,
        operator::{TOKEN, ask},
        poll,
    },
    outage::health,
};

/// Relays that believe what the tests say of their addresses.
fn relays(count: usize, flags: &[&str]) -> Relays {
    let common = ["--trusted-proxy", "127.0.0.1", "--admin-token", TOKEN];
    Relays::start(count, &[&common[..], flags].concat())
}

/// Another relay with the same Redis.
fn late(relays: &Relays) -> Relay {
    let flags = ["--trusted-proxy", "127.0.0.1", "--admin-token", TOKEN];
    Relay::start_with(&relays.redis.url(), &flags)
}

async fn socket_from(relay: &Relay, address: &str) -> Socket {
    let raw = Raw::connect(relay).await;
    Socket::open_on(raw.stream, relay, &[("x-forwarded-for", address)]).await
}

async fn person_from(relay: &Relay, address: &str, name: &str) -> Person {
    let created = relay.api().forwarding(address).session(name).await;
    let socket = socket_from(relay, address).await;
    let mut person = Person::resume_on(socket, created).await;
    person.locate(beside(0), 500).await;
    person
}

async fn create(relay: &Relay, address: &str) -> Answer {
    relay.api().forwarding(address).create(json!({})).await
}

/// Waits until what was decided elsewhere has arrived here.
async fn arrives(relay: &Relay, path: &str, count: usize) -> Value {
    poll(path, async || {
        let list: Value = ask(relay, Method::GET, path, None).await.expect(200);
        (list.as_array().unwrap().len() == count).then_some(list)
    })
    .await
}

/// Waits until somebody new from this address is welcome here, or is not.
async fn admits(relay: &Relay, address: &str, status: u16) {
    poll("what a relay thinks of an address", async || {
        (create(relay, address).await.status == status).then_some(())
    })
    .await;
}

async fn report(by: &mut Person, whom: &Person) {
    by.send(&ClientFrame::Report {
        peer_id: whom.id(),
        reason: ReportReason::Abuse,
        message_id: None,
    })
    .await;
    by.wait("reported", |frame| {
        matches!(frame, ServerFrame::Reported { .. }).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_address_makes_no_more_sessions_on_many_relays_than_on_one() {
    let flags = ["--sessions-per-minute", "1", "--session-burst", "4"];
    let mut relays = relays(2, &flags);
    for round in 0..4 {
        let answer = create(&relays[round % 2], "192.0.2.1").await;
        answer.expect::<CreatedSession>(201);
    }
    for relay in &relays.all {
        let wait = create(relay, "192.0.2.1").await.expect_rate_limited();
        assert!((50_000..=60_000).contains(&wait), "{wait}");
        create(relay, "192.0.2.2")
            .await
            .expect::<CreatedSession>(201);
    }
    // Nothing in Redis says which address it is, and it ends when it is idle.
    let mut connection = relays.connection();
    let names: Vec<String> = connection.keys("*").unwrap();
    let counted: Vec<_> = names
        .iter()
        .filter(|n| n.contains(":sessions-of:"))
        .collect();
    assert_eq!(counted.len(), 2, "{names:?}");
    for name in counted {
        let millis: i64 = connection.pttl(name).unwrap();
        assert!((1..=240_000).contains(&millis), "{millis}");
        let value: String = connection.get(name).unwrap();
        assert!(!format!("{name}{value}").contains("192.0.2"));
    }
    // Without Redis each still counts for itself. Here three of four are used up, as what was
    // refused was asked for all the same.
    relays.redis.kill();
    health(&relays[0], HealthStatus::Degraded).await;
    create(&relays[0], "192.0.2.1")
        .await
        .expect::<CreatedSession>(201);
    create(&relays[0], "192.0.2.1").await.expect_rate_limited();
}

#[tokio::test]
async fn an_address_has_no_more_sockets_on_many_relays_than_on_one() {
    let mut relays = relays(2, &["--sockets-per-address", "3"]);
    let mut sockets = Vec::new();
    for round in 0..3 {
        sockets.push(socket_from(&relays[round % 2], "192.0.2.1").await);
    }
    let upgrade = async |relay: &Relay, address: &str| {
        let mut raw = Raw::connect(relay).await;
        let headers = [("x-forwarded-for", address)];
        raw.upgrade(relay, &headers).await.status
    };
    for relay in &relays.all {
        assert_eq!(upgrade(relay, "192.0.2.1").await, 429);
        assert_eq!(upgrade(relay, "192.0.2.2").await, 101);
    }
    // One that closes makes room for another, on whichever relay.
    drop(sockets.remove(0));
    poll("room for a socket", async || {
        (upgrade(&relays[1], "192.0.2.1").await == 101).then_some(())
    })
    .await;
    let mut connection = relays.connection();
    let names: Vec<String> = connection.keys("*:sockets-of:*").unwrap();
    for name in names {
        let millis: i64 = connection.pttl(&name).unwrap();
        assert!((1..=120_000).contains(&millis), "{millis}");
    }
    // Without Redis each still counts for itself.
    relays.redis.kill();
    health(&relays[0], HealthStatus::Degraded).await;
    let mut own = Vec::new();
    while own.len() < 3 {
        own.push(socket_from(&relays[0], "192.0.2.3").await);
    }
    assert_eq!(upgrade(&relays[0], "192.0.2.3").await, 429);
}

#[tokio::test]
async fn the_same_words_are_passed_on_no_more_often_by_many_relays_than_by_one() {
    let relays = relays(2, &[]);
    let mut fox = person_from(&relays[1], "192.0.2.2", "Fox").await;
    let mut owl = person_from(&relays[0], "192.0.2.3", "Owl").await;
    let mut spammers = [
        person_from(&relays[0], "192.0.2.1", "Magpie").await,
        person_from(&relays[1], "192.0.2.1", "Magpie").await,
    ];
    for spammer in &spammers {
        fox.sees(spammer.id()).await;
        owl.sees(spammer.id()).await;
    }
    for round in 0..3 {
        spammers[round % 2].say("Buy my coins now").await;
        // On both relays.
        fox.hears().await;
        owl.hears().await;
    }
    for spammer in &mut spammers {
        let id = MessageId::random();
        spammer.send_say(id, "buy my COINS, now!").await;
        spammer.expect_error(ErrorCode::MessageRefused).await;
        spammer.say("something else").await;
    }
    fox.say("Buy my coins now").await;
    // Redis learns of nobody's address by what they say.
    let mut connection = relays.connection();
    let names: Vec<String> = connection.keys("*:message:*").unwrap();
    assert_eq!(names.len(), 6);
    for name in names {
        let kept: String = connection.get(name).unwrap();
        let kept: Value = serde_json::from_str(&kept).unwrap();
        assert!(kept.get("text").is_some() && kept.get("origin").is_none());
    }
}

#[tokio::test]
async fn reports_on_all_relays_count_and_the_ban_holds_on_all() {
    let relays = relays(2, &["--report-threshold", "4", "--ban-time", "10m"]);
    let mut bad = person_from(&relays[1], "192.0.2.66", "Badger").await;
    let mut people = Vec::new();
    // Two voices of one address count, on however many relays they are.
    let from = [(0, 1), (0, 2), (1, 1), (0, 1), (1, 1), (1, 3)];
    for (relay, address) in from {
        let address = format!("192.0.2.{address}");
        people.push(person_from(&relays[relay], &address, "Otter").await);
    }
    for person in &mut people {
        bad.sees(person.id()).await;
    }
    bad.say("something vile").await;
    for person in &mut people {
        person.hears().await;
    }
    let (last, first) = people.split_last_mut().unwrap();
    for person in first {
        report(person, &bad).await;
    }
    // Every relay lists all of them: three voices, as two of the five are of one address.
    for relay in &relays.all {
        let reports = arrives(relay, "reports", 5).await;
        assert!(
            reports.as_array().unwrap().iter().all(|r| r["voices"] == 3),
            "{reports}"
        );
    }
    bad.say("still here").await;
    report(last, &bad).await;
    bad.expect_error(ErrorCode::Banned).await;
    assert_eq!(bad.closed().await, Closed::With(4403));
    for person in &mut people {
        assert_eq!(person.misses(bad.id()).await, LeftReason::Banned);
    }
    let late = late(&relays);
    for relay in [&relays[0], &relays[1], &late] {
        // Neither a new session nor the old one comes in, on whichever relay …
        admits(relay, "192.0.2.66", 403).await;
        let mut again = socket_from(relay, "192.0.2.67").await;
        again.hello(bad.created.session_id).await;
        again.expect_error(ErrorCode::Banned).await;
        assert_eq!(again.closed().await, Closed::With(4403));
        // … and newcomers are told nothing of what they said.
        let mut new = person_from(relay, "192.0.2.7", "New").await;
        assert_eq!(new.locate(beside(0), 500).await.texts(), [""; 0]);
        new.leave().await;
    }
    // Lifted on one, it is lifted on all, for the session as well.
    let bans = arrives(&late, "bans", 1).await;
    let path = format!("bans/{}", bans[0]["id"].as_str().unwrap());
    assert_eq!(ask(&late, Method::DELETE, &path, None).await.status, 204);
    for relay in [&relays[0], &relays[1]] {
        admits(relay, "192.0.2.66", 201).await;
    }
    let mut there = person_from(&relays[1], "192.0.2.8", "Hare").await;
    let socket = socket_from(&relays[0], "192.0.2.66").await;
    let mut back = Person::resume_on(socket, bad.created.clone()).await;
    back.locate(beside(0), 500).await;
    // Everyone hears them again, on whichever relay and also later; what they said before nobody does.
    there.sees(back.id()).await;
    back.say("sorry").await;
    assert_eq!(there.hears().await.text.as_str(), "sorry");
    let mut later = person_from(&late, "192.0.2.9", "Later").await;
    assert_eq!(later.locate(beside(0), 500).await.texts(), ["sorry"]);
}

#[tokio::test]
async fn a_name_is_changed_no_more_often_on_many_relays_than_on_one() {
    let relays = relays(2, &[]);
    let mut fox = person_from(&relays[0], "192.0.2.1", "Fox").await;
    assert_eq!(fox.rename("Vixen").await, 2);
    let mut fox = Person::resume(&relays[1], fox.created.clone()).await;
    assert_eq!(fox.rename("Reynard").await, 1);
    // Asked of the relay where the session is not.
    let renamed = relays[0].api().rename(&fox.created, "Tod").await;
    let renamed: UsernameChanged = renamed.expect(200);
    assert_eq!(renamed.username_changes_left, 0);
    let refused = relays[0].api().rename(&fox.created, "Fourth").await;
    refused.expect_error(409, ErrorCode::UsernameChangesExhausted);
    for relay in &relays.all {
        let mut fox = Person::resume(relay, fox.created.clone()).await;
        let username = Username::parse("Fourth").unwrap();
        fox.send(&ClientFrame::Rename { username }).await;
        fox.expect_error(ErrorCode::UsernameChangesExhausted).await;
    }
}

/// A client may ask for a socket and be gone before it has one.
#[tokio::test]
async fn sockets_that_never_were_are_not_counted_for_long() {
    let relays = relays(1, &["--sockets-per-address", "3"]);
    let relay = &relays[0];
    for _ in 0..20 {
        let mut raw = Raw::connect(relay).await;
        let head = format!(
            "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             X-Forwarded-For: 192.0.2.1\r\n\r\n",
            relay.address
        );
        raw.send(head.as_bytes()).await.unwrap();
        // Cut off, not closed.
        raw.stream.set_zero_linger().unwrap();
        drop(raw);
    }
    poll("room for three sockets", async || {
        let mut sockets = Vec::new();
        for _ in 0..3 {
            let mut raw = Raw::connect(relay).await;
            let headers = [("x-forwarded-for", "192.0.2.1")];
            if raw.upgrade(relay, &headers).await.status != 101 {
                return None;
            }
            sockets.push(raw);
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_runs_the_relays_bans_somebody_on_any_of_them() {
    let relays = relays(2, &[]);
    let mut bad = person_from(&relays[1], "192.0.2.66", "Badger").await;
    let body = json!({ "peer_id": bad.id(), "for_s": 600 });
    let ban: Value = ask(&relays[0], Method::POST, "bans", Some(body))
        .await
        .expect(201);
    assert_eq!(bad.closed().await, Closed::With(4403));
    let listed = arrives(&relays[0], "bans", 1).await;
    assert_eq!(listed[0], ban);
    admits(&relays[0], "192.0.2.66", 403).await;
    let nobody = json!({ "peer_id": "0".repeat(26), "for_s": 600 });
    let answer = ask(&relays[0], Method::POST, "bans", Some(nobody)).await;
    answer.expect_error(404, ErrorCode::NotFound);
}

#[tokio::test]
async fn what_is_closed_or_announced_on_one_relay_is_on_all_and_on_those_that_start_later() {
    let relays = relays(2, &[]);
    let mut fox = person_from(&relays[1], "192.0.2.1", "Fox").await;
    let announced = async |person: &mut Person| {
        let text = |frame: &ServerFrame| match frame {
            ServerFrame::Announcement { text, .. } => Some(text.to_string()),
            _ => None,
        };
        person.wait("an announcement", text).await
    };
    let body = json!({ "text": "The relay restarts at ten.", "for_s": 600 });
    let made: Value = ask(&relays[0], Method::POST, "announcements", Some(body))
        .await
        .expect(201);
    assert_eq!(announced(&mut fox).await, "The relay restarts at ten.");
    // The cell of `beside(0)`.
    let body = json!({ "geohash": "u2edk", "for_s": 600 });
    let closed: Value = ask(&relays[0], Method::POST, "closures", Some(body))
        .await
        .expect(201);
    assert_eq!(closed["people"], 0, "they are on the other relay: {closed}");
    fox.expect_error(ErrorCode::PlaceClosed).await;
    fox.send_say(MessageId::random(), "hello?").await;
    fox.expect_error(ErrorCode::NoLocation).await;

    let late = late(&relays);
    let mut owl = Person::join(&late, &late.api(), "Owl").await;
    assert_eq!(announced(&mut owl).await, "The relay restarts at ten.");
    owl.send_locate(beside(0), 500).await;
    owl.expect_error(ErrorCode::PlaceClosed).await;

    // Every relay can take back what another has decided.
    assert_eq!(
        ask(&late, Method::DELETE, "closures/u2edk", None)
            .await
            .status,
        204
    );
    let path = format!("announcements/{}", made["id"]);
    assert_eq!(
        ask(&relays[1], Method::DELETE, &path, None).await.status,
        204
    );
    for relay in [&relays[0], &relays[1], &late] {
        arrives(relay, "closures", 0).await;
        arrives(relay, "announcements", 0).await;
    }
    fox.locate(beside(0), 500).await;
    let mut elk = Person::join(&relays[0], &relays[0].api(), "Elk").await;
    assert!(
        elk.settle().await.is_empty(),
        "nothing is announced any more"
    );
}

#[tokio::test]
async fn what_is_decided_without_redis_is_told_once_it_is_back() {
    let mut relays = relays(2, &[]);
    let before = json!({ "geohash": "u2edk", "for_s": 600 });
    ask(&relays[0], Method::POST, "closures", Some(before))
        .await
        .expect::<Value>(201);
    arrives(&relays[1], "closures", 1).await;
    relays.redis.kill();
    for relay in &relays.all {
        health(relay, HealthStatus::Degraded).await;
    }
    // One closes another cell, the other opens the first.
    let meanwhile = json!({ "geohash": "u2edm", "for_s": 600 });
    ask(&relays[0], Method::POST, "closures", Some(meanwhile))
        .await
        .expect::<Value>(201);
    assert_eq!(
        ask(&relays[1], Method::DELETE, "closures/u2edk", None)
            .await
            .status,
        204
    );
    relays.redis.restart().unwrap();
    for relay in &relays.all {
        health(relay, HealthStatus::Ok).await;
        poll("both relays to agree", async || {
            let list: Value = ask(relay, Method::GET, "closures", None).await.expect(200);
            (list.as_array().unwrap().len() == 1 && list[0]["geohash"] == "u2edm").then_some(())
        })
        .await;
    }
    // And so does one that knows only what Redis does.
    let late = late(&relays);
    assert_eq!(arrives(&late, "closures", 1).await[0]["geohash"], "u2edm");
}

#[tokio::test]
async fn a_challenge_of_one_relay_is_answered_on_another_and_once() {
    let relays = relays(2, &["--proof-of-work", "always", "--proof-bits", "8"]);
    let body = create(&relays[0], "192.0.2.1").await;
    let body = body.expect_error(428, ErrorCode::ProofRequired);
    let proof = body.proof.expect("what to answer").solve().unwrap();
    let with = json!({ "proof": proof });
    let [here, there] = [&relays[0], &relays[1]].map(|relay| relay.api().forwarding("192.0.2.1"));
    there
        .create(with.clone())
        .await
        .expect::<CreatedSession>(201);
    for api in [&here, &there] {
        let again = api.create(with.clone()).await;
        again.expect_error(428, ErrorCode::ProofRequired);
    }
}
