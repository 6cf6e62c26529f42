//! What must not get out: sessions, words, names, places and addresses.

#[cfg(target_os = "linux")]
use std::net::SocketAddr;

#[cfg(target_os = "linux")]
use neartalk_rig::{
    postgres::Postgres,
    turn::{Allocation, allocate, exchange},
};
use neartalk_shared::{
    ClientFrame, ErrorCode, ServerFrame, SessionId,
    frame::{ReportReason, SignalData},
};
use reqwest::Method;
use serde_json::{Value, json};
#[cfg(target_os = "linux")]
use tokio::net::UdpSocket;

#[cfg(target_os = "linux")]
use crate::common::operator::{TOKEN, ask};
use crate::common::{Api, Closed, Opcode, Person, Raw, Relay, Socket, centre, place, poll};

#[tokio::test]
async fn a_guessed_session_is_nobody() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let real = api.session("Fox").await.session_id;
    for _ in 0..20 {
        let guess = SessionId::random();
        assert_ne!(guess, real);
        let mut socket = Socket::open(&relay).await;
        socket.hello(guess).await;
        socket.expect_error(ErrorCode::Unauthorized).await;
        assert_eq!(socket.closed().await, Closed::With(4401));
        let bearer = format!("Bearer {}", guess.expose());
        let headers = [("authorization", bearer.as_str())];
        let answer = api.send(Method::GET, "/api/nearby", &headers, None).await;
        answer.expect_error(401, ErrorCode::Unauthorized);
    }
}

/// Does everything that can be done, well and badly, and looks for what leaked.
async fn live(relay: &Relay, api: &Api) -> (Vec<String>, Vec<Person>) {
    let here = place(-33.867_219, 151.209_371);
    let proxied = |address| [("x-forwarded-for", address)];
    let mut people = Vec::new();
    for (name, address) in [
        ("Xerxes Quagga", "203.0.113.77"),
        ("Yolanda Zorilla", "2001:db8:77::99"),
    ] {
        let created = api.forwarding(address).session(name).await;
        let raw = Raw::connect(relay).await;
        let socket = Socket::open_on(raw.stream, relay, &proxied(address)).await;
        let mut person = Person::resume_on(socket, created).await;
        person.locate(here, 700).await;
        person.join_voice().await;
        people.push(person);
    }
    let [a, b] = &mut people[..] else {
        unreachable!("there are two");
    };
    a.meets_in_voice(b.id()).await;
    b.meets_in_voice(a.id()).await;
    a.say("the secret word is xylophone").await;
    b.hears().await;
    a.send(&ClientFrame::Typing).await;
    a.rename("Zelda Wombat").await;
    let sdp = "v=0 fingerprint wyvern".to_owned();
    a.signal(
        b.id(),
        SignalData::Description {
            sdp_type: neartalk_shared::frame::SdpType::Offer,
            sdp,
        },
    )
    .await;
    b.signalled(a.id()).await;
    b.send(&ClientFrame::Report {
        peer_id: a.id(),
        reason: ReportReason::Abuse,
        message_id: None,
    })
    .await;
    b.settle().await;
    // Badly.
    for frame in [
        r#"{"type":"say","id":"xylophone","text":"xylophone"}"#,
        r#"{"type":"xylophone"}"#,
        r#"{"type":"rename","username":"!xylophone!"}"#,
        r#"{"type":"locate","lat":-33.867219,"lon":"151.209371","radius":1}"#,
        "xylophone",
    ] {
        a.send_text(frame).await;
        a.error().await;
    }
    let secret = a.created.session_id.expose();
    for (path, body) in [
        (
            format!("/api/nearby?session_id={secret}&lat=-33.867219"),
            None,
        ),
        (format!("/api/xylophone/{secret}"), None),
        (
            "/api/session/create".to_owned(),
            Some(r#"{"username":"!xylophone!"}"#),
        ),
        (
            "/api/session/create".to_owned(),
            Some(r#"{"lat":-33.867219"#),
        ),
        ("/api/session/create".to_owned(), Some(r#"{"username":5}"#)),
    ] {
        let method = if body.is_some() {
            Method::POST
        } else {
            Method::GET
        };
        let answer = api
            .forwarding("203.0.113.77")
            .send(method, &path, &[], body.map(str::to_owned))
            .await;
        assert!(answer.status >= 400);
        assert!(!answer.text.contains(&secret));
    }
    let bad = [
        ("authorization", format!("Bearer {secret}x")),
        ("origin", format!("https://xylophone.example/{secret}")),
        ("x-forwarded-for", format!("xylophone {secret}")),
    ];
    for (name, value) in &bad {
        api.send(Method::GET, "/api/nearby", &[(name, value)], None)
            .await;
    }
    // Resumed, taken over, left, lost, broken.
    let mut again = Person::resume(relay, a.created.clone()).await;
    again.located().await;
    a.closed().await;
    let mut taken = Raw::welcomed(relay, &b.created).await;
    b.closed().await;
    taken
        .send_frame(true, Opcode::Binary, secret.as_bytes())
        .await
        .unwrap();
    taken.closed().await;
    again.leave().await;
    let mut ports: Vec<_> = people
        .iter()
        .map(|p| format!("127.0.0.1:{}", p.port))
        .collect();
    ports.push(format!("127.0.0.1:{}", again.port));
    people.push(again);
    (ports, people)
}

/// Flags of a relay that tells all that it can, and forgets soon.
const TELLING: [&str; 10] = [
    "--log",
    "trace",
    "--trusted-proxy",
    "127.0.0.1",
    "--message-ttl",
    "3s",
    "--place-ttl",
    "1s",
    "--session-ttl",
    "2s",
];

#[tokio::test]
async fn nothing_of_anyone_is_in_a_log_a_metric_or_anybody_elses_frames() {
    for format in ["text", "json"] {
        let relay = Relay::start(&[&TELLING[..], &["--log-format", format]].concat());
        let (ports, people) = live(&relay, &relay.api()).await;
        nothing_is_told(relay, format, &people, ports).await;
    }
}

/// The same for a relay with a TURN server, a database and somebody who looks after all that.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn nor_is_it_where_all_is_on_at_once() {
    for format in ["text", "json"] {
        let mut database = Postgres::start().unwrap();
        // It asks for none.
        let url = database.url().replace('@', ":walrus@");
        let all = [
            "--log-format",
            format,
            "--turn-listen",
            "127.0.0.1:0",
            "--admin-token",
            TOKEN,
            "--database-url",
            &url,
        ];
        let relay = Relay::start(&[&TELLING[..], &all].concat());
        let mut secrets = look_after(&relay).await;
        let (ports, people) = live(&relay, &relay.api()).await;
        database.kill();
        until_database_is(&relay, 0.0).await;
        secrets.extend(ports);
        secrets.extend(["walrus".to_owned(), TOKEN.to_owned()]);
        nothing_is_told(relay, format, &people, secrets).await;
    }
}

#[cfg(target_os = "linux")]
async fn until_database_is(relay: &Relay, up: f64) {
    poll("the database", async || {
        let metrics = relay.metrics().await;
        (metrics.get("neartalk_database_up", &[]) == Some(up)).then_some(())
    })
    .await;
}

/// Talks over the TURN server, well and badly, and decides on people; what of that is nobody's business.
#[cfg(target_os = "linux")]
async fn look_after(relay: &Relay) -> Vec<String> {
    until_database_is(relay, 1.0).await;
    let here = place(-33.867_219, 151.209_371);
    let mut people = Vec::new();
    for (name, address) in [
        ("Vera Vicuna", "198.51.100.44"),
        ("Uma Urutu", "198.51.100.45"),
    ] {
        let created = relay.api().forwarding(address).session(name).await;
        let raw = Raw::connect(relay).await;
        let headers = [("x-forwarded-for", address)];
        let socket = Socket::open_on(raw.stream, relay, &headers).await;
        let mut person = Person::resume_on(socket, created).await;
        person.locate(here, 700).await;
        people.push(person);
    }
    let [a, b] = &mut people[..] else {
        unreachable!("there are two");
    };
    let ServerFrame::VoiceReady { ice_servers, .. } = a.join_voice().await else {
        unreachable!("join_voice waits for it");
    };
    let [_, turn] = &ice_servers[..] else {
        panic!("{ice_servers:?}");
    };
    let server: SocketAddr = turn.urls[0].strip_prefix("turn:").unwrap().parse().unwrap();
    let username = turn.username.clone().unwrap();
    let credential = turn.credential.clone().unwrap();
    let (name, word) = (username.clone(), credential.clone());
    let talk = tokio::task::spawn_blocking(move || {
        let exchanged = exchange(server, (&name, &word), 2, 5).unwrap();
        assert_eq!(exchanged.received, 10);
        let refused = allocate(server, &name, "wyvern").unwrap();
        assert_eq!(refused, Allocation::Refused);
    });
    talk.await.unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.send_to(b"xylophone", server).await.unwrap();
    poll("the stranger's packet", async || {
        let metrics = relay.metrics().await;
        let malformed = metrics.sum("neartalk_turn_refusals_total", &["reason=\"malformed\""]);
        (malformed > 0.0).then_some(())
    })
    .await;

    let said = a.say("a xylophone, again").await;
    b.send(&ClientFrame::Report {
        peer_id: a.id(),
        reason: ReportReason::Spam,
        message_id: Some(said.id),
    })
    .await;
    b.settle().await;
    for (method, path, body, status) in [
        (Method::GET, "reports", None, 200),
        (
            Method::POST,
            "bans",
            Some(json!({ "peer_id": a.id(), "for_s": 3_600 })),
            201,
        ),
        (Method::POST, "bans", Some(json!({ "xylophone": 1 })), 422),
        (Method::GET, "bans", None, 200),
        (
            Method::POST,
            "announcements",
            Some(json!({ "text": "xylophone", "for_s": 60, "geohash": "r3gx2" })),
            201,
        ),
        (
            Method::POST,
            "closures",
            Some(json!({ "geohash": "r3gx3", "for_s": 60 })),
            201,
        ),
        (Method::DELETE, "closures/r3gx3", None, 204),
        (Method::DELETE, "bans/xylophone", None, 404),
    ] {
        let answer = ask(relay, method.clone(), path, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
    }
    let wrong = [("authorization", "Bearer xylophone xylophone")];
    let answer = relay.admin_api();
    let answer = answer
        .send(Method::GET, "/api/admin/bans", &wrong, None)
        .await;
    assert_eq!(answer.status, 401);
    a.closed().await;
    poll("the ban in the database", async || {
        let metrics = relay.metrics().await;
        (metrics.sum("neartalk_database_written_total", &[]) > 0.0).then_some(())
    })
    .await;
    vec![
        username.split_once(':').unwrap().1.to_owned(),
        credential,
        "Vicuna".to_owned(),
        "Urutu".to_owned(),
        "198.51.100".to_owned(),
        stranger.local_addr().unwrap().to_string(),
        a.id().to_string(),
        b.id().to_string(),
        a.created.session_id.expose(),
        b.created.session_id.expose(),
    ]
}

/// Waits until everything has ended and been cleaned up, ends the relay, and looks for these secrets,
/// and all that is to be known of these people, in whatever it has told.
async fn nothing_is_told(
    mut relay: Relay,
    format: &str,
    people: &[Person],
    more_secrets: Vec<String>,
) {
    let mut scrapes = Vec::new();
    poll("the last session's end", async || {
        let metrics = relay.metrics().await;
        let over = metrics.get("neartalk_sessions", &[]) == Some(0.0)
            && metrics.get("neartalk_history_messages", &[]) == Some(0.0);
        scrapes.push(metrics.0);
        over.then_some(())
    })
    .await;
    relay.terminate();
    relay.wait().await;
    let log = relay.output();
    assert!(
        log.lines().count() > 10,
        "this log is too short to tell:\n{log}"
    );
    if format == "json" {
        every_line_is_json(&log);
    }

    let sessions: Vec<String> = people
        .iter()
        .map(|person| person.created.session_id.expose())
        .collect();
    let here = place(-33.867_219, 151.209_371);
    let snapped = centre(here, 700);
    let mut secrets = vec![
        "xylophone".to_owned(),
        "wyvern".to_owned(),
        "Quagga".to_owned(),
        "Zorilla".to_owned(),
        "Wombat".to_owned(),
        "203.0.113".to_owned(),
        "2001:db8".to_owned(),
        // The geohash of Sydney.
        "r3gx".to_owned(),
        "33.86".to_owned(),
        "151.20".to_owned(),
        format!("{:.3}", snapped.lat()),
        format!("{:.3}", snapped.lon()),
    ];
    for session in &sessions {
        secrets.extend([
            session.clone(),
            session.to_uppercase(),
            session.replace('-', ""),
            // Not even half of it.
            session[..13].to_owned(),
            session[23..].to_owned(),
        ]);
    }
    let metrics = scrapes.concat();
    for secret in secrets.iter().chain(&more_secrets) {
        assert!(
            !log.contains(secret.as_str()),
            "{secret} is in the log:\n{log}"
        );
        assert!(
            !metrics.contains(secret.as_str()),
            "{secret} is in the metrics"
        );
    }
    for person in people {
        // Public ids are no secrets on the wire, but a log that has them tells who met whom.
        let id = person.id().to_string();
        assert!(!log.contains(&id), "a public id is in the log:\n{log}");
        assert!(!metrics.contains(&id));
        for frame in &person.seen {
            for session in &sessions {
                assert!(!frame.contains(session.as_str()), "{frame}");
                assert!(!frame.contains(&session.replace('-', "")), "{frame}");
            }
            assert!(
                !frame.contains("203.0.113") && !frame.contains("2001:db8"),
                "{frame}"
            );
        }
    }
}

/// Every line of standard error is an object with what the documentation names; standard output, which
/// is in here, too, says where the relay listens.
fn every_line_is_json(output: &str) {
    let said = [
        "listening on http://",
        "admin on http://",
        "TURN and STUN on udp://",
    ];
    let logged = output
        .lines()
        .filter(|line| !said.iter().any(|said| line.starts_with(said)));
    let mut ends = 0;
    for line in logged {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            panic!("this is no JSON: {line}");
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let at = humantime::parse_rfc3339(&text(&event["timestamp"]));
        assert!(at.is_ok(), "no timestamp: {line}");
        let level = text(&event["level"]);
        let levels = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
        assert!(levels.contains(&level.as_str()), "no level: {line}");
        assert!(!text(&event["target"]).is_empty(), "no target: {line}");
        assert!(event["fields"]["message"].is_string(), "no message: {line}");
        let is_end = event["fields"]["message"] == "shutting down";
        ends += usize::from(is_end && event["target"] == "neartalk_relay::server");
    }
    assert_eq!(ends, 1, "{output}");
}
