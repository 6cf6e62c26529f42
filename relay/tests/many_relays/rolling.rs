//! Two relays behind the reverse proxy of `deploy/`, with its settings: it spreads people over
//! both, and both can be replaced without anybody losing more than a connection for a moment.

use std::{fs, path::Path};

use neartalk_client::{ConnectionState, Event};
use neartalk_rig::caddy::Caddy;
use tokio::net::TcpStream;

use crate::{
    Relays,
    common::{Api, beside, poll},
    engine::Someone,
};

/// Caddy as `deploy/Caddyfile` has it, but for where it listens, and where the relays do.
async fn caddy_before(relays: &Relays) -> Caddy {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/Caddyfile");
    let mut settings = fs::read_to_string(file).unwrap();
    for (at, relay) in relays.all.iter().enumerate() {
        let name = format!("relay-{}:8080", at + 1);
        assert!(settings.contains(&name), "no {name} in {settings}");
        settings = settings.replace(&name, &relay.address.to_string());
    }
    let caddy = Caddy::start(&settings).unwrap();
    poll("Caddy's listener", async || {
        TcpStream::connect(caddy.address()).await.ok()
    })
    .await;
    caddy
}

/// People on a relay at the moment.
async fn sockets(relays: &Relays, at: usize) -> f64 {
    let metrics = relays[at].metrics().await;
    metrics.get("neartalk_connections", &[]).unwrap()
}

#[tokio::test]
async fn both_relays_are_replaced_and_people_lose_no_more_than_a_connection() {
    const PEOPLE: usize = 10;
    let flags = ["--trusted-proxy", "127.0.0.1", "--session-burst", "10000"];
    let mut relays = Relays::start(2, &flags);
    let caddy = caddy_before(&relays).await;
    let mut people = Vec::new();
    for _ in 0..PEOPLE {
        people.push(Someone::at(&caddy.url(), beside(0), 500).await);
    }
    // As many here as there, though nothing binds anybody to a relay.
    for at in 0..2 {
        assert_eq!(sockets(&relays, at).await, PEOPLE as f64 / 2.0);
    }
    let ids: Vec<_> = people.iter().map(|someone| someone.peer_id).collect();
    // One relay learns of the other's people a moment later.
    poll("everyone in sight", async || {
        (people[0].people().await.len() == PEOPLE - 1).then_some(())
    })
    .await;
    assert_eq!(people[0].say_and_reach("before").await as usize, PEOPLE - 1);
    let mut said = vec!["before".to_owned()];
    for at in 0..2 {
        let sockets_before = sockets(&relays, at).await as usize;
        assert!(sockets_before > 0);
        relays[at].terminate();
        // In the midst of it everyone speaks; what can't be sent yet waits in the client.
        let mut waiting = Vec::new();
        for (n, someone) in people.iter_mut().enumerate().skip(1) {
            let text = format!("{n} while relay {at} ends");
            waiting.push((n, someone.say(&text).await));
            said.push(text);
        }
        assert!(relays.all[at].wait().await.success());
        for (n, id) in waiting {
            people[n].until_sent(id).await;
        }
        // All are on the other one now.
        poll("everyone on the other relay", async || {
            (sockets(&relays, 1 - at).await as usize == PEOPLE).then_some(())
        })
        .await;
        relays.all[at].restart_on_same_port();
        // The next may go only once this one is in use again, as with a pause in between.
        let api = Api::new(caddy.url());
        poll("new people on the new relay", async || {
            let created = api.create(serde_json::json!({})).await;
            assert_eq!(created.status, 201, "{}", created.text);
            let made = relays[at].metrics().await;
            let made = made.get("neartalk_store_operations_total", &["op=\"create\""]);
            made.is_some_and(|made| made > 0.0).then_some(())
        })
        .await;
    }
    said.sort();
    for (n, someone) in people.iter_mut().enumerate().take(3) {
        someone.say_and_reach("fence").await;
        let told: Vec<_> = someone.unread().collect();
        let lost = |e: &&Event| matches!(e, Event::Connection(ConnectionState::Offline { .. }));
        let losses = told.iter().filter(|e| lost(e)).count();
        assert!(losses <= 2, "{n} was offline {losses} times");
        assert!(
            !told
                .iter()
                .any(|e| matches!(e, Event::SessionReplaced { .. } | Event::Failed { .. })),
            "{n} lost more than a connection"
        );
        // Everybody has heard everything once.
        let mut heard: Vec<String> = someone
            .heard()
            .await
            .into_iter()
            .map(|(_, text)| text)
            .collect();
        heard.sort();
        let own = format!("{n} ");
        let others: Vec<_> = said
            .iter()
            .filter(|text| !(text.starts_with(&own) || n == 0 && *text == "before"))
            .cloned()
            .collect();
        assert_eq!(heard, others);
        let mut around = someone.people().await;
        around.sort();
        let mut expected: Vec<_> = ids.iter().copied().filter(|id| *id != ids[n]).collect();
        expected.sort();
        assert_eq!(around, expected, "still the same people");
    }
    assert!(!caddy.printed().contains("panic"), "{}", caddy.printed());
}
