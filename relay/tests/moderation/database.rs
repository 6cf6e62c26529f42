//! What outlasts a relay, and what happens when the database does not.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use neartalk_rig::postgres::Postgres;
use neartalk_shared::{ClientFrame, Place};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    PROXY, TOKEN, ask,
    common::{Person, Relay, beside, place, ticked, within_time},
    may_come, person_from,
};

/// A database may take a while to notice that it was killed.
const GUARD: Duration = Duration::from_secs(60);

fn relay(database: &str, more: &[&str]) -> Relay {
    let flags = [
        "--admin-token",
        TOKEN,
        "--database-url",
        database,
        "--database-poll",
        "100ms",
    ];
    Relay::start(&[&PROXY[..], &flags, more].concat())
}

/// Bans somebody who comes from `address`; the ban's id.
async fn ban(relay: &Relay, address: &str, seconds: u64) -> String {
    let bad = person_from(relay, address, "Badger", beside(9)).await;
    let body = json!({ "peer_id": bad.id(), "for_s": seconds });
    let ban: Value = ask(relay, Method::POST, "bans", Some(body))
        .await
        .expect(201);
    ban["id"].as_str().unwrap().to_owned()
}

async fn rows(server: &Postgres, sql: &str, wanted: &[&str]) {
    let mut seen = Vec::new();
    let found = poll_long(async || {
        seen = server.ask(sql).unwrap_or_default();
        (seen == wanted).then_some(())
    });
    let found = tokio::time::timeout(GUARD, found).await;
    assert!(found.is_ok(), "{sql} gives {seen:?}, not {wanted:?}");
}

async fn poll_long<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    within_time(GUARD, "the database", async {
        let mut again = tokio::time::interval(Duration::from_millis(50));
        loop {
            again.tick().await;
            if let Some(seen) = look().await {
                return seen;
            }
        }
    })
    .await
}

async fn until_database_is(relay: &Relay, up: f64) {
    poll_long(async || {
        let metrics = relay.metrics().await;
        (metrics.get("neartalk_database_up", &[]) == Some(up)).then_some(())
    })
    .await;
}

/// Two people who talk whatever the database does.
struct Talk(Person, Person, u32);

impl Talk {
    async fn at(relay: &Relay, place: Place) -> Self {
        let one = person_from(relay, "198.51.100.1", "One", place).await;
        Self(
            one,
            person_from(relay, "198.51.100.2", "Two", place).await,
            0,
        )
    }

    /// Says something, which arrives at once.
    async fn go_on(&mut self) {
        self.2 += 1;
        let text = format!("undisturbed, number {}", self.2);
        let asked = Instant::now();
        assert_eq!(self.0.say(&text).await.reached, 1);
        assert_eq!(self.1.hears().await.text.as_str(), text);
        assert!(
            asked.elapsed() < Duration::from_secs(2),
            "{:?}",
            asked.elapsed()
        );
    }
}

#[tokio::test]
async fn bans_outlast_a_relay_and_hold_on_others() {
    let server = Postgres::start().unwrap();
    let mut first = relay(&server.url(), &[]);
    let second = relay(&server.url(), &[]);
    let id = ban(&first, "192.0.2.66", 3_600).await;
    rows(
        &server,
        "SELECT id, banned_by, length(key), length(digest) FROM bans",
        &[&format!("{id}|operator|32|16")],
    )
    .await;
    poll_long(async || (!may_come(&second.api(), "192.0.2.66").await).then_some(())).await;
    assert!(may_come(&second.api(), "192.0.2.67").await);
    first.kill9().await;
    let third = relay(&server.url(), &[]);
    poll_long(async || (!may_come(&third.api(), "192.0.2.66").await).then_some(())).await;
    // Lifted at one, it is lifted at the other.
    let lifted = ask(&second, Method::DELETE, &format!("bans/{id}"), None).await;
    assert_eq!(lifted.status, 204);
    poll_long(async || may_come(&third.api(), "192.0.2.66").await.then_some(())).await;
    rows(&server, "SELECT count(*) FROM bans", &["0"]).await;
    // Nothing of an address is in the database, and nothing at all once a ban is over.
    ban(&third, "192.0.2.68", 5).await;
    rows(&server, "SELECT count(*) FROM bans", &["1"]).await;
    rows(&server, "SELECT count(*) FROM bans", &["0"]).await;
}

#[tokio::test]
async fn a_killed_database_costs_nothing_but_what_it_was_for() {
    let mut server = Postgres::start().unwrap();
    let relay = relay(&server.url(), &["--messages-per-minute", "1000"]);
    let mut talk = Talk::at(&relay, beside(0)).await;
    until_database_is(&relay, 1.0).await;
    talk.go_on().await;
    server.kill();
    let id = ban(&relay, "192.0.2.66", 3_600).await;
    until_database_is(&relay, 0.0).await;
    for _ in 0..50 {
        talk.go_on().await;
    }
    // The ban holds here all the same, and health tells of nothing.
    assert!(!may_come(&relay.api(), "192.0.2.66").await);
    assert_eq!(relay.api().get("/api/health").await.status, 200);
    server.revive().unwrap();
    rows(&server, "SELECT id FROM bans", &[&id]).await;
    until_database_is(&relay, 1.0).await;
    talk.go_on().await;
}

#[tokio::test]
async fn a_slow_database_keeps_nobody_waiting() {
    let server = Postgres::start().unwrap();
    let relay = relay(&server.url(), &["--messages-per-minute", "1000"]);
    let mut talk = Talk::at(&relay, beside(0)).await;
    until_database_is(&relay, 1.0).await;
    let mut lock = server
        .hold("LOCK TABLE bans IN ACCESS EXCLUSIVE MODE")
        .unwrap();
    let mut ids = Vec::new();
    for n in 1..=5 {
        ids.push(ban(&relay, &format!("192.0.2.{n}"), 3_600).await);
        for _ in 0..10 {
            talk.go_on().await;
        }
    }
    lock.kill();
    ids.sort();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    rows(&server, "SELECT id FROM bans ORDER BY id", &ids).await;
    talk.go_on().await;
}

#[tokio::test]
async fn a_relay_starts_and_ends_without_its_database() {
    let mut server = Postgres::start().unwrap();
    let url = server.url();
    server.kill();
    let mut relay = relay(&url, &[]);
    let mut talk = Talk::at(&relay, beside(0)).await;
    talk.go_on().await;
    let id = ban(&relay, "192.0.2.66", 3_600).await;
    server.revive().unwrap();
    rows(&server, "SELECT id FROM bans", &[&id]).await;
    server.kill();
    until_database_is(&relay, 0.0).await;
    relay.terminate();
    assert_eq!(relay.wait().await.code(), Some(0), "{}", relay.output());
    assert!(
        !relay.output().contains("postgres://"),
        "{}",
        relay.output()
    );
}

fn hour() -> u64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    since.as_secs() / 3_600
}

/// Has people come to a relay, say so many messages among them, and three of them talk for some seconds;
/// nine others are in Sydney. For how many seconds there were voices, at least and at most.
async fn live(relay: &Relay, people: usize, messages: usize) -> Range<f64> {
    const TALKERS: usize = 3;
    /// A relay counts who is in voice once a second.
    const TICK_S: f64 = 1.0;
    let mut here = Vec::new();
    // Those who come later to look whether a second has passed are people as well.
    for _ in TALKERS..people {
        here.push(person_from(relay, "192.0.2.1", "Somebody", beside(0)).await);
    }
    for n in 0..messages {
        let speaker = n % here.len();
        here[speaker].say(&format!("message number {n}")).await;
    }
    for n in 0..9 {
        let sydney = place(-33.8672, 151.2093);
        let mut person = person_from(relay, "192.0.2.1", "Somebody", sydney).await;
        person.say(&format!("message number {n}")).await;
    }
    let begun = Instant::now();
    for talker in &mut here[..TALKERS] {
        talker.join_voice().await;
    }
    let joined = Instant::now();
    for talker in &mut here[..TALKERS] {
        ticked(relay, &relay.api(), talker, beside(0), 500).await;
    }
    let least = joined.elapsed().as_secs_f64() - TICK_S;
    for talker in &mut here[..TALKERS] {
        talker.send(&ClientFrame::VoiceLeave).await;
        talker.settle().await;
    }
    let most = begun.elapsed().as_secs_f64() + TICK_S;
    TALKERS as f64 * least..TALKERS as f64 * most
}

#[tokio::test]
async fn figures_of_all_relays_are_kept_where_ten_people_were_and_nowhere_else() {
    // Once more if the hour ends in the middle of it.
    loop {
        let begun = hour();
        let server = Postgres::start().unwrap();
        let mut relays = [0, 1].map(|_| relay(&server.url(), &[]));
        for relay in &relays {
            until_database_is(relay, 1.0).await;
        }
        // Each number is another one, so that none can be taken for another.
        let voices = [
            live(&relays[0], 11, 17).await,
            live(&relays[1], 13, 29).await,
        ];
        for relay in &mut relays {
            relay.terminate();
            assert_eq!(relay.wait().await.code(), Some(0), "{}", relay.output());
        }
        if hour() != begun {
            continue;
        }
        let figures = "SELECT geohash, people, messages, extract(epoch FROM hour)::bigint";
        let at = format!("{}", begun * 3_600);
        let each = [format!("u2ed|11|17|{at}"), format!("u2ed|13|29|{at}")];
        let each = [each[0].as_str(), &each[1]];
        let sql = format!("{figures} FROM area_hours ORDER BY people");
        rows(&server, &sql, &each).await;
        let together = format!("u2ed|24|46|{at}");
        rows(&server, &format!("{figures} FROM hourly"), &[&together]).await;
        let seconds = |sql: &str| -> Vec<f64> {
            let minutes = server.ask(sql).unwrap();
            minutes
                .iter()
                .map(|m| 60.0 * m.parse::<f64>().unwrap())
                .collect()
        };
        let talked = seconds("SELECT voice_minutes FROM area_hours ORDER BY people");
        assert_eq!(talked.len(), 2);
        for (talked, voices) in talked.iter().zip(&voices) {
            assert!(voices.contains(talked), "{talked} s, not {voices:?}");
        }
        let [all] = seconds("SELECT voice_minutes FROM hourly")[..] else {
            panic!("there is one row");
        };
        assert!(
            (all - talked.iter().sum::<f64>()).abs() < 1e-6,
            "{all} s of {talked:?}"
        );
        break;
    }
}
