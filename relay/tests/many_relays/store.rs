//! What relays leave in Redis, and what they ask of it.

use std::collections::{BTreeMap, BTreeSet};

use neartalk_shared::{
    ClientFrame, ErrorCode, MessageId,
    frame::ReportReason,
    http::{CreatedSession, HealthStatus},
};
use redis::{Commands, Connection};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    Relays,
    common::{
        Person, Relay, beside,
        operator::{TOKEN, ask},
        poll,
    },
    outage::health,
};

impl Relays {
    /// A connection of the test's own.
    pub fn connection(&self) -> Connection {
        let client = redis::Client::open(self.redis.url()).unwrap();
        client.get_connection().unwrap()
    }
}

/// When a key ends that is not there any more.
const GONE: i64 = -2;

/// Every key that there is.
pub fn keys(connection: &mut Connection) -> Vec<String> {
    connection.scan().unwrap().map(Result::unwrap).collect()
}

/// How often each command has run.
pub fn commands(connection: &mut Connection) -> BTreeMap<String, u64> {
    let info: String = redis::cmd("INFO")
        .arg("commandstats")
        .query(connection)
        .unwrap();
    let count = |line: &str| {
        let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split(',').next()?.parse().ok()?;
        Some((name.to_owned(), calls))
    };
    info.lines().filter_map(count).collect()
}

/// A number from Redis's statistics.
pub fn stat(connection: &mut Connection, name: &str) -> u64 {
    let info: String = redis::cmd("INFO").arg("stats").query(connection).unwrap();
    let mut lines = info.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = lines.find(|(key, _)| *key == name).unwrap();
    value.parse().unwrap()
}

/// How often each command has run since, but for this one.
pub fn commands_since(
    before: &BTreeMap<String, u64>,
    connection: &mut Connection,
) -> BTreeMap<String, u64> {
    let since = |(name, calls): (String, u64)| {
        let calls = calls - before.get(&name).copied().unwrap_or(0);
        (name != "info" && calls > 0).then_some((name, calls))
    };
    commands(connection).into_iter().filter_map(since).collect()
}

#[tokio::test]
async fn every_key_has_an_end_and_none_holds_a_secret() {
    let mut relays = Relays::start(2, &["--admin-token", TOKEN]);
    let costly = ["--proof-of-work", "always", "--proof-bits", "8"];
    relays
        .all
        .push(Relay::start_with(&relays.redis.url(), &costly));
    let mut connection = relays.connection();
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(0), 500).await;
    let idle = relays[0].api().session("Idle").await;
    fox.say("hush").await;
    owl.hears().await;
    fox.join_voice().await;
    owl.join_voice().await;
    fox.meets_in_voice(owl.id()).await;
    fox.rename("Vixen").await;
    owl.send(&ClientFrame::Report {
        peer_id: fox.id(),
        reason: ReportReason::Other,
        message_id: None,
    })
    .await;
    owl.settle().await;
    let moved = Person::resume(&relays[1], fox.created.clone()).await;
    // Work for a session, and all that whoever runs the relays can decide.
    let asked = relays[2].api().create(json!({})).await;
    let asked = asked.expect_error(428, ErrorCode::ProofRequired);
    let proof = asked.proof.unwrap().solve().unwrap();
    let worker = relays[2].api().create(json!({ "proof": proof })).await;
    let worker: CreatedSession = worker.expect(201);
    let bad = Person::at(&relays[1], &relays[1].api(), "Badger", beside(1), 500).await;
    for (path, body) in [
        (
            "announcements",
            json!({ "text": "Hear, hear", "for_s": 600 }),
        ),
        ("closures", json!({ "geohash": "u33dc", "for_s": 600 })),
        ("bans", json!({ "peer_id": bad.id(), "for_s": 600 })),
    ] {
        let done = ask(&relays[0], Method::POST, path, Some(body)).await;
        done.expect::<Value>(201);
    }
    let kind = |key: &str| -> String {
        let mut parts = key.split(':').skip(2);
        match parts.next().unwrap() {
            "ruling" => format!("ruling:{}", parts.next().unwrap()),
            kind => kind.to_owned(),
        }
    };
    let expected = [
        "session",
        "place",
        "people",
        "message",
        "messages",
        "lease",
        "nodes",
        "day-key",
        "sessions-of",
        "sockets-of",
        "proof",
        "rulings",
        "ruling:report",
        "ruling:announcement",
        "ruling:cell",
        "ruling:ban",
    ];
    let keys = poll("every kind of key", async || {
        let keys = keys(&mut connection);
        let kinds: BTreeSet<_> = keys.iter().map(|key| kind(key)).collect();
        expected
            .iter()
            .all(|&kind| kinds.contains(kind))
            .then_some(keys)
    })
    .await;
    for key in &keys {
        let millis: i64 = connection.pttl(key).unwrap();
        if millis == GONE {
            continue;
        }
        // The key by which addresses are hashed is that of a day, and known the day before.
        let most = if kind(key) == "day-key" {
            49 * 3_600_000
        } else {
            1_800_000
        };
        assert!((1..=most).contains(&millis), "{key} ends in {millis}");
    }
    // Places end before sessions do.
    for key in keys.iter().filter(|key| key.contains(":place:")) {
        let millis: i64 = connection.pttl(key).unwrap();
        assert!(millis <= 300_000, "{key} ends in {millis}");
    }
    // Whoever reads all of Redis is nobody by that.
    let everything: Vec<String> = keys
        .iter()
        .map(|key| {
            let dump: Option<Vec<u8>> = redis::cmd("DUMP").arg(key).query(&mut connection).unwrap();
            format!(
                "{key}{}",
                String::from_utf8_lossy(&dump.unwrap_or_default())
            )
        })
        .collect();
    assert!(!everything.iter().any(|text| text.contains("127.0.0.1")));
    for session in [
        &fox.created,
        &owl.created,
        &idle,
        &moved.created,
        &worker,
        &bad.created,
    ] {
        let secret = session.session_id.expose();
        assert!(!everything.iter().any(|text| text.contains(&secret)));
        let plain = secret.replace('-', "");
        assert!(!everything.iter().any(|text| text.contains(&plain)));
    }
}

#[tokio::test]
async fn what_is_in_redis_ends_when_its_time_is_up() {
    let flags = [
        "--message-ttl",
        "1s",
        "--session-ttl",
        "2s",
        "--place-ttl",
        "1s",
    ];
    let flags = [&flags[..], &["--redis-lease", "1s"]].concat();
    let mut relays = Relays::start(1, &flags);
    let mut connection = relays.connection();
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    fox.say("gone in a second").await;
    let holds = |connection: &mut Connection, kind: &str| {
        keys(connection).iter().any(|key| key.contains(kind))
    };
    assert!(holds(&mut connection, ":message:"));
    poll("the message's end", async || {
        (!holds(&mut connection, ":message:")).then_some(())
    })
    .await;
    // Fox is still there, so the session is.
    assert!(holds(&mut connection, ":session:") && holds(&mut connection, ":people:"));
    relays.all[0].kill9().await;
    poll("the end of all that there was", async || {
        let left = keys(&mut connection);
        // These are no longer anybody's, and end as well: see the test above.
        let mut left = left
            .iter()
            .filter(|key| !key.contains(":day-key:") && !key.contains(":sockets-of:"));
        left.next().is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_relay_listens_only_to_what_is_around_its_people() {
    let relays = Relays::start(2, &[]);
    let mut connection = relays.connection();
    for relay in &relays.all {
        health(relay, HealthStatus::Ok).await;
    }
    let mut channels = || {
        let mut command = redis::cmd("PUBSUB");
        let listed = command.arg("SHARDCHANNELS").query(&mut connection);
        let channels: Vec<String> = listed.unwrap();
        let regions = channels.iter().filter(|c| c.contains(":region:"));
        (channels.len() - regions.clone().count(), regions.count())
    };
    assert_eq!(
        channels(),
        (3, 0),
        "each relay has a channel of its own, and all have one"
    );
    let api = relays[0].api();
    let fox = Person::at(&relays[0], &api, "Fox", beside(0), 500).await;
    let (nodes, regions) = channels();
    assert!(nodes == 3 && (1..=6).contains(&regions), "{regions}");
    // Others around the same place need no more, on whichever relay.
    let owl = Person::at(&relays[0], &api, "Owl", beside(0), 2_000).await;
    let elk = Person::at(&relays[1], &relays[1].api(), "Elk", beside(0), 500).await;
    assert_eq!(channels(), (3, regions));
    let _far = Person::at(&relays[1], &relays[1].api(), "Far", beside(5), 500).await;
    assert!(channels().1 > regions);
    assert_eq!(elk.nearby_now(&relays[1]).await.count, 2);
    drop((fox, owl));
}

#[tokio::test]
async fn a_message_costs_redis_the_same_however_many_are_around() {
    const MESSAGES: u64 = 20;
    // Each relay reads everything once more a while after its start, which may fall into one round or two.
    const ATTEMPTS: usize = 5;
    // She says the same again and again, which a relay would not pass on.
    let flags = [
        ["--messages-per-minute", "1000"],
        ["--redis-lease", "10m"],
        ["--repeats-per-address", "0"],
        ["--repeats-per-cell", "0"],
    ];
    let relays = Relays::start(2, &flags.concat());
    let mut connection = relays.connection();
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let expected = [
        ("eval", 2),
        ("getrange", 1),
        ("pexpire", 1),
        ("set", 2),
        ("spublish", 1),
        ("zadd", 1),
        ("zremrangebyscore", 1),
    ];
    let expected: BTreeMap<String, u64> = expected
        .map(|(name, calls)| (name.to_owned(), calls * MESSAGES))
        .into();
    let mut crowd = Vec::new();
    for size in [2, 40] {
        while crowd.len() < size {
            let relay = &relays[crowd.len() % 2];
            crowd.push(Person::at(relay, &relay.api(), "Owl", beside(0), 500).await);
        }
        let last = crowd.last().unwrap().id();
        fox.sees(last).await;
        let mut costs = Vec::new();
        while costs.last() != Some(&expected) {
            assert!(costs.len() < ATTEMPTS, "among {size}: {costs:#?}");
            // Told at one go, so that nothing else is counted.
            let before = commands(&mut connection);
            for _ in 0..MESSAGES {
                let sent = fox.say_as(MessageId::random(), "how much is this?").await;
                assert_eq!(sent.reached as usize, size);
            }
            costs.push(commands_since(&before, &mut connection));
            for owl in &mut crowd {
                for _ in 0..MESSAGES {
                    owl.hears().await;
                }
                owl.settle().await;
            }
        }
    }
}
