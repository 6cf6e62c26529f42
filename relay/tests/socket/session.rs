//! Hello, welcome, and every way in which a socket ends.

use std::time::{Duration, Instant, SystemTime};

use neartalk_shared::{
    ClientFrame, ErrorCode, Limits, ServerFrame, SessionId,
    frame::Nonce,
    limits::{HELLO_TIMEOUT, IDLE_TIMEOUT, PING_INTERVAL},
    time::millis,
};
use serde_json::json;
use tokio_tungstenite::tungstenite;

use super::ticked;
use crate::common::{Closed, Opcode, Person, Raw, Relay, Socket, beside, frame, is_presence};

#[tokio::test]
async fn hello_is_answered_with_who_i_am_and_every_limit() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let fox = Person::join(&relay, &api, "Fox").await;
    assert_eq!(fox.welcome.peer_id, fox.created.peer_id);
    assert_eq!(fox.welcome.username.as_str(), "Fox");
    assert_eq!(fox.welcome.username_changes_left, 3);
    assert!(!fox.welcome.resumed);
    assert_eq!(fox.welcome.limits, Limits::default());
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let theirs = fox.welcome.server_time.as_millis();
    assert!(millis(now).abs_diff(theirs) < 10_000, "{theirs}");
}

#[tokio::test]
async fn a_first_frame_that_is_no_good_hello_is_answered_and_closes() {
    use ErrorCode::*;
    let relay = Relay::start(&[]);
    let api = relay.api();
    let real = api.session("Fox").await.session_id.expose();
    let nobody = SessionId::random().expose();
    let hello = |session: &str, protocol: serde_json::Value| {
        json!({ "type": "hello", "session_id": session, "protocol": protocol }).to_string()
    };
    for (frame, code, close) in [
        (hello(&real, json!(2)), Some(UnsupportedProtocol), 4400),
        (hello(&real, json!(0)), Some(UnsupportedProtocol), 4400),
        (hello(&real, json!(-1)), Some(UnsupportedProtocol), 4400),
        (hello(&real, json!(1.5)), Some(UnsupportedProtocol), 4400),
        (
            hello(&real, json!(4_294_967_297u64)),
            Some(UnsupportedProtocol),
            4400,
        ),
        (hello(&real, json!("1")), Some(InvalidFrame), 4400),
        (hello(&nobody, json!(1)), Some(Unauthorized), 4401),
        (hello("", json!(1)), Some(Unauthorized), 4401),
        (hello(&real[..35], json!(1)), Some(Unauthorized), 4401),
        (
            hello(&real.replace('-', ""), json!(1)),
            Some(Unauthorized),
            4401,
        ),
        (
            json!({ "type": "hello" }).to_string(),
            Some(InvalidFrame),
            4400,
        ),
        (
            json!({ "type": "ping", "nonce": 1 }).to_string(),
            Some(InvalidFrame),
            4400,
        ),
        (
            json!({ "type": "typing" }).to_string(),
            Some(InvalidFrame),
            4400,
        ),
        ("not json".to_owned(), Some(InvalidFrame), 4400),
        ("[]".to_owned(), Some(InvalidFrame), 4400),
        (String::new(), Some(InvalidFrame), 4400),
        (json!({ "type": "shout" }).to_string(), None, 4400),
    ] {
        let mut socket = Socket::open(&relay).await;
        socket.send_text(frame.clone()).await;
        let (error, _) = socket.error().await;
        if let Some(code) = code {
            assert_eq!(error.code, code, "{frame}");
        }
        assert_eq!(socket.closed().await, Closed::With(close), "{frame}");
        assert_eq!(socket.seen.len(), 1, "{frame}: {:?}", socket.seen);
    }
    // The session that was used so badly is still good.
    let mut socket = Socket::open(&relay).await;
    socket.hello(SessionId::parse(&real).unwrap()).await;
    assert!(matches!(socket.next().await, ServerFrame::Welcome(_)));
}

#[tokio::test]
async fn fields_that_the_relay_does_not_know_are_ignored() {
    let relay = Relay::start(&[]);
    let session = relay.api().session("Fox").await;
    let mut socket = Socket::open(&relay).await;
    let hello = json!({
        "colour": "blue",
        "session_id": session.session_id.expose(),
        "protocol": 1,
        "type": "hello",
        "features": { "nested": [1, 2, 3] },
    });
    socket.send_text(hello.to_string()).await;
    assert!(matches!(socket.next().await, ServerFrame::Welcome(_)));
}

#[tokio::test]
async fn whoever_says_nothing_is_closed_after_five_seconds() {
    let relay = Relay::start(&[]);
    let started = Instant::now();
    let mut silent = Socket::open(&relay).await;
    let mut pinging = Socket::open(&relay).await;
    // Control frames are no `hello`.
    let ping = tungstenite::Message::Ping("hello".into());
    pinging.send_message(ping).await;
    assert_eq!(silent.closed().await, Closed::With(4408));
    assert_eq!(pinging.closed().await, Closed::With(4408));
    let waited = started.elapsed();
    assert!(waited >= HELLO_TIMEOUT, "{waited:?}");
}

#[tokio::test]
async fn a_dropped_socket_is_resumed_with_everything_it_had() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = beside(0);
    let mut owl = Person::at(&relay, &api, "Owl", here, 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", here, 500).await;
    owl.sees(fox.id()).await;
    fox.rename("Hare").await;
    owl.sees_change(fox.id()).await;
    owl.say("before").await;
    let (id, created) = (fox.id(), fox.created.clone());
    // The network dies: no close frame.
    drop(fox);
    owl.say("meanwhile").await;

    let mut fox = Person::resume(&relay, created).await;
    assert!(fox.welcome.resumed);
    assert_eq!(fox.id(), id);
    assert_eq!(fox.welcome.username.as_str(), "Hare");
    assert_eq!(fox.welcome.username_changes_left, 2);
    let located = fox.located().await;
    assert_eq!((located.radius, located.grid_m), (500, 100));
    assert_eq!(located.peers(), [owl.id()]);
    assert_eq!(located.texts(), ["before", "meanwhile"]);
    // And it is heard, without another `locate`.
    assert_eq!(fox.say("back").await.reached, 1);
    assert_eq!(owl.hears().await.from, id);
    // Nobody else has noticed anything.
    let frames = ticked(&relay, &api, &mut owl, here, 500).await;
    let about_fox: Vec<_> = frames
        .iter()
        .filter(|frame| {
            matches!(frame, ServerFrame::PersonLeft { peer_id, .. } if *peer_id == id)
                || matches!(frame, ServerFrame::PersonEntered { person } if person.peer_id == id)
        })
        .collect();
    assert!(about_fox.is_empty(), "{about_fox:?}");
}

#[tokio::test]
async fn a_session_that_was_nowhere_resumes_nowhere() {
    let relay = Relay::start(&[]);
    let fox = Person::join(&relay, &relay.api(), "Fox").await;
    let created = fox.created.clone();
    drop(fox);
    let mut fox = Person::resume(&relay, created).await;
    assert!(fox.welcome.resumed);
    assert_eq!(fox.settle().await, []);
    fox.send(&ClientFrame::Typing).await;
    fox.expect_error(ErrorCode::NoLocation).await;
}

#[tokio::test]
async fn a_second_socket_closes_the_older_one() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = beside(0);
    let mut owl = Person::at(&relay, &api, "Owl", here, 500).await;
    let mut old = Person::at(&relay, &api, "Fox", here, 500).await;
    owl.sees(old.id()).await;
    let mut new = Person::resume(&relay, old.created.clone()).await;
    assert_eq!(old.closed().await, Closed::With(4409));
    new.located().await;
    assert_eq!(new.say("it is me").await.reached, 1);
    owl.hears().await;
    // The old one's end takes nothing from the new one.
    let frames = ticked(&relay, &api, &mut owl, here, 500).await;
    assert!(
        !frames
            .iter()
            .any(|f| matches!(f, ServerFrame::PersonLeft { .. })),
        "{frames:?}"
    );
    owl.say("still there?").await;
    assert_eq!(new.hears().await.text.as_str(), "still there?");
}

#[tokio::test]
async fn a_second_hello_makes_nobody_somebody_else() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = beside(0);
    let mut owl = Person::at(&relay, &api, "Owl", here, 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", here, 500).await;
    let victim = api.session("Victim").await;
    fox.hello(victim.session_id).await;
    fox.expect_error(ErrorCode::InvalidFrame).await;
    fox.say("who am I?").await;
    assert_eq!(owl.hears().await.from, fox.id());
}

#[tokio::test]
async fn a_ping_comes_back_as_it_was() {
    let relay = Relay::start(&[]);
    let mut fox = Person::join(&relay, &relay.api(), "Fox").await;
    for nonce in [
        Nonce::Text("".into()),
        Nonce::Text("n".repeat(64)),
        Nonce::Text("ü\"\\\n".into()),
        Nonce::Number(0),
        Nonce::Number(i64::MIN),
        Nonce::Number(9_007_199_254_740_993),
    ] {
        fox.send(&ClientFrame::Ping {
            nonce: nonce.clone(),
        })
        .await;
        assert_eq!(fox.next().await, ServerFrame::Pong { nonce });
    }
}

#[tokio::test]
async fn a_websocket_ping_is_answered_too() {
    let relay = Relay::start(&[]);
    let mut raw = Raw::upgraded(&relay).await;
    raw.send_frame(true, Opcode::Ping, b"are you there")
        .await
        .unwrap();
    let pong = raw.next_frame().await.unwrap();
    assert_eq!(pong.opcode, Opcode::Pong as u8);
    assert_eq!(pong.payload, b"are you there");
}

#[tokio::test]
async fn a_close_is_answered_with_a_close() {
    let relay = Relay::start(&[]);
    let mut raw = Raw::upgraded(&relay).await;
    raw.send_frame(true, Opcode::Close, &1000u16.to_be_bytes())
        .await
        .unwrap();
    assert_eq!(raw.closed().await, Some(1000));
    assert_eq!(raw.next_frame().await, None);
}

/// The slowest test there is, since the contract's times can't be shortened: whoever answers no
/// ping is closed after 45 s, also if a frame of theirs is on its way all the time, and whoever
/// answers stays.
#[tokio::test]
async fn the_relay_pings_and_closes_whoever_has_gone_silent() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut quiet = Person::join(&relay, &api, "Quiet").await;
    let mut mute = Raw::welcomed(&relay, &api.session("Mute").await).await;
    let mut slow = Raw::welcomed(&relay, &api.session("Slow").await).await;
    let since = Instant::now();
    let patience = IDLE_TIMEOUT + Duration::from_secs(10);
    mute.patience = patience;
    slow.patience = patience;

    let mut pings = Vec::new();
    let silence = async {
        loop {
            let frame = mute.next_frame().await.unwrap();
            if frame.opcode == Opcode::Close as u8 {
                break frame.close_code();
            } else if frame.opcode == Opcode::Ping as u8 {
                pings.push(since.elapsed());
            }
        }
    };
    let slowness = async {
        let bytes = frame(true, Opcode::Text, &[b' '; 100], Some([0; 4]));
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        for byte in bytes {
            tokio::select! {
                code = slow.closed() => return code,
                _ = seconds.tick() => {}
            }
            slow.send(&[byte]).await.unwrap();
        }
        unreachable!("nobody is that patient")
    };
    // A client that reads answers pings by itself.
    let codes = tokio::select! {
        closed = quiet.until_closed() => unreachable!("who answers is not closed: {closed:?}"),
        codes = async { tokio::join!(silence, slowness) } => codes,
    };
    assert_eq!(codes, (Some(4408), Some(4408)));
    let waited = since.elapsed();
    assert!(
        waited + Duration::from_millis(100) >= IDLE_TIMEOUT,
        "{waited:?}"
    );
    assert_eq!(pings.len(), 2, "{pings:?}");
    for (ping, n) in pings.iter().zip(1..) {
        let early = Duration::from_secs(1);
        assert!(*ping + early >= PING_INTERVAL * n, "{pings:?}");
    }
    quiet.settle().await;
}

#[tokio::test]
async fn what_the_relay_does_not_understand_is_answered_and_harms_nobody() {
    use ErrorCode::*;
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let peer = owl.id();
    for (frame, code) in [
        (r#"{"type":"shout"}"#.to_owned(), UnknownType),
        (r#"{"type":"welcome"}"#.to_owned(), UnknownType),
        (r#"{"type":""}"#.to_owned(), UnknownType),
        (r#"{"type":7}"#.to_owned(), InvalidFrame),
        ("{}".to_owned(), InvalidFrame),
        ("".to_owned(), InvalidFrame),
        ("null".to_owned(), InvalidFrame),
        (r#"{"type":"typing"} trailing"#.to_owned(), InvalidFrame),
        (r#"{"type":"ping"}"#.to_owned(), InvalidFrame),
        (r#"{"type":"ping","nonce":{}}"#.to_owned(), InvalidFrame),
        (
            json!({"type":"ping","nonce":"n".repeat(65)}).to_string(),
            InvalidFrame,
        ),
        (r#"{"type":"rename"}"#.to_owned(), InvalidFrame),
        (
            r#"{"type":"rename","username":"ab"}"#.to_owned(),
            InvalidUsername,
        ),
        (
            r#"{"type":"voice_state","muted":1,"deafened":false}"#.to_owned(),
            InvalidFrame,
        ),
        (
            r#"{"type":"report","peer_id":"me","reason":"spam"}"#.to_owned(),
            InvalidFrame,
        ),
        (
            json!({"type":"report","peer_id":peer,"reason":"boring"}).to_string(),
            InvalidFrame,
        ),
        (
            json!({"type":"report","peer_id":peer,"reason":"spam","message_id":"1"}).to_string(),
            InvalidFrame,
        ),
        (
            r#"{"type":"say","id":"1","text":"hi"}"#.to_owned(),
            InvalidFrame,
        ),
        (r#"{"type":"say","text":"hi"}"#.to_owned(), InvalidFrame),
        (
            r#"{"type":"locate","lat":1,"lon":2}"#.to_owned(),
            InvalidFrame,
        ),
        (
            r#"{"type":"locate","lat":NaN,"lon":2,"radius":500}"#.to_owned(),
            InvalidFrame,
        ),
        (
            r#"{"type":"locate","lat":"1","lon":2,"radius":500}"#.to_owned(),
            InvalidFrame,
        ),
        (
            r#"{"type":"locate","lat":91,"lon":2,"radius":500}"#.to_owned(),
            InvalidLocation,
        ),
        (
            r#"{"type":"locate","lat":1e999,"lon":2,"radius":500}"#.to_owned(),
            InvalidLocation,
        ),
        (
            r#"{"type":"locate","lat":1,"lon":-181,"radius":500}"#.to_owned(),
            InvalidLocation,
        ),
        (
            r#"{"type":"locate","lat":1,"lon":2,"radius":99}"#.to_owned(),
            InvalidRadius,
        ),
        (
            r#"{"type":"locate","lat":1,"lon":2,"radius":2001}"#.to_owned(),
            InvalidRadius,
        ),
        (
            r#"{"type":"locate","lat":1,"lon":2,"radius":500.5}"#.to_owned(),
            InvalidRadius,
        ),
        (
            r#"{"type":"locate","lat":1,"lon":2,"radius":-1e999}"#.to_owned(),
            InvalidRadius,
        ),
    ] {
        fox.send_text(frame.clone()).await;
        let (error, reference) = fox.error().await;
        assert_eq!(error.code, code, "{frame}: {error:?}");
        assert_eq!(reference, None, "{frame}");
    }
    let frames = ticked(&relay, &api, &mut owl, beside(0), 500).await;
    let about_fox = frames.iter().filter(|f| is_presence(f)).count();
    assert!(about_fox <= 1, "only that Fox came: {frames:?}");
    fox.say("unharmed").await;
    assert_eq!(owl.hears().await.text.as_str(), "unharmed");
}
