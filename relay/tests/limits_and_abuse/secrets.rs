//! What must not get out: sessions, words, names, places and addresses.

use neartalk_shared::{ClientFrame, ErrorCode, SessionId, frame::ReportReason, frame::SignalData};
use reqwest::Method;

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

#[tokio::test]
async fn nothing_of_anyone_is_in_a_log_a_metric_or_anybody_elses_frames() {
    for format in ["text", "json"] {
        let mut relay = Relay::start(&[
            "--log",
            "trace",
            "--log-format",
            format,
            "--trusted-proxy",
            "127.0.0.1",
            "--message-ttl",
            "3s",
            "--place-ttl",
            "1s",
            "--session-ttl",
            "2s",
        ]);
        let api = relay.api();
        let (ports, people) = live(&relay, &api).await;
        // Until everything has ended and been cleaned up.
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
        for secret in secrets.iter().chain(&ports) {
            assert!(
                !log.contains(secret.as_str()),
                "{secret} is in the log:\n{log}"
            );
            assert!(
                !metrics.contains(secret.as_str()),
                "{secret} is in the metrics"
            );
        }
        for person in &people {
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
}
