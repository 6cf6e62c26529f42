//! Nothing lasts: messages, sessions, and the relay itself.

use std::time::{Duration, SystemTime};

use neartalk_shared::{ErrorCode, Timestamp, time::millis};

use crate::common::{Closed, Person, Raw, Relay, Socket, beside, poll};

/// The relay reads the system's clock once and counts on from there; this one is read anew, and may
/// have been set a little meanwhile.
const SKEW: Duration = Duration::from_millis(100);

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::from_millis(millis(since.unwrap()))
}

#[tokio::test]
async fn a_message_is_gone_when_its_time_is_up_whenever_one_came() {
    let relay = Relay::start(&["--message-ttl", "3s", "--location-burst", "10000"]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    // One who hears it, one who has come and looks only afterwards.
    let mut witness = Person::at(&relay, &api, "Witness", beside(0), 500).await;
    let mut waiting = Person::join(&relay, &api, "Waiting").await;
    assert_eq!(fox.welcome.limits.message_ttl_ms, 3_000);
    let sent = fox.say("gone in three seconds").await;
    assert_eq!(sent.expires_at.since(sent.sent_at), Duration::from_secs(3));
    assert_eq!(witness.hears().await.expires_at, sent.expires_at);
    // Looks at it as long as it is there.
    let mut looker = Person::join(&relay, &api, "Looker").await;
    let first = looker.locate(beside(0), 500).await;
    assert_eq!(first.texts(), ["gone in three seconds"]);
    poll("the message's end", async || {
        let asked = now();
        let history = looker.locate(beside(0), 500).await.history;
        if history.is_empty() {
            assert!(now() + SKEW >= sent.expires_at, "gone before its time");
            Some(())
        } else {
            assert!(asked < sent.expires_at + SKEW, "there after its time");
            None
        }
    })
    .await;
    assert_eq!(waiting.locate(beside(0), 500).await.texts(), [""; 0]);
    assert_eq!(fox.locate(beside(0), 500).await.texts(), [""; 0]);
    let mut late = Person::join(&relay, &api, "Late").await;
    assert_eq!(late.locate(beside(0), 500).await.texts(), [""; 0]);
    // Not even kept unseen.
    poll("the memory of it to be freed", async || {
        let metrics = relay.metrics().await;
        (metrics.get("neartalk_history_messages", &[]) == Some(0.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_ends_when_nobody_uses_it() {
    let relay = Relay::start(&["--session-ttl", "2s"]);
    let api = relay.api();
    let unused = api.session("Unused").await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    // Asking about the session would keep it alive, so this asks how many there are.
    poll("one session of two", async || {
        let metrics = relay.metrics().await;
        (metrics.get("neartalk_sessions", &[]) == Some(1.0)).then_some(())
    })
    .await;
    api.nearby(&unused)
        .await
        .expect_error(401, ErrorCode::Unauthorized);
    api.rename(&unused, "Reused")
        .await
        .expect_error(401, ErrorCode::Unauthorized);
    let mut socket = Socket::open(&relay).await;
    socket.hello(unused.session_id).await;
    socket.expect_error(ErrorCode::Unauthorized).await;
    assert_eq!(socket.closed().await, Closed::With(4401));
    // The other one has an open socket, on which nothing has happened for as long.
    fox.say("still here").await;
    api.nearby(&fox.created)
        .await
        .expect::<neartalk_shared::http::Nearby>(200);
    fox.leave().await;
    poll("no session", async || {
        let metrics = relay.metrics().await;
        (metrics.get("neartalk_sessions", &[]) == Some(0.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_is_asked_to_end_delivers_what_it_has() {
    let mut relay = Relay::start(&["--messages-per-minute", "1000"]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut newcomer = Socket::open(&relay).await;
    // Keeps a connection open for further requests.
    api.get("/api/health").await;
    let mut last = None;
    for n in 0..100 {
        last = Some(fox.say(&format!("number {n}")).await);
    }
    assert_eq!(last.unwrap().reached, 1);
    relay.terminate();
    assert_eq!(owl.closed().await, Closed::With(1001));
    assert_eq!(fox.closed().await, Closed::With(1001));
    assert_eq!(newcomer.closed().await, Closed::With(1001));
    let heard: Vec<_> = owl
        .seen
        .iter()
        .filter(|frame| frame.contains(r#""type":"message""#))
        .collect();
    assert_eq!(heard.len(), 100);
    for (n, frame) in heard.iter().enumerate() {
        assert!(
            frame.contains(&format!(r#""text":"number {n}""#)),
            "{frame}"
        );
    }
    let status = relay.wait().await;
    assert_eq!(status.code(), Some(0), "{}", relay.output());
}

#[tokio::test]
async fn a_client_that_takes_nothing_does_not_keep_a_relay_from_ending() {
    let mut relay = Relay::start(&["--drain-timeout", "1s"]);
    let api = relay.api();
    let session = api.session("Stuck").await;
    let _stuck = Raw::welcomed(&relay, &session).await;
    let _silent = Raw::connect(&relay).await;
    relay.terminate();
    assert_eq!(relay.wait().await.code(), Some(0), "{}", relay.output());
}
