//! Connections from where they should not come, too many of them, and ones that never get on.

use std::{net::SocketAddr, time::Duration};

use neartalk_shared::{ClientFrame, ErrorCode, http::CreatedSession};
use reqwest::Method;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
};

use crate::{
    Bystanders,
    common::{
        Opcode, Person, Raw, Relay, Socket, beside, frame, operator::TOKEN, within, within_time,
    },
};

/// Longer than the relay gives anyone to get on with a request.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_page_from_elsewhere_gets_no_socket_and_no_answer() {
    let relay = Relay::start(&["--allowed-origin", "https://chat.example"]);
    let own = relay.url();
    for (origin, welcome) in [
        (None, true),
        (Some(own.as_str()), true),
        (Some("https://chat.example"), true),
        (Some("http://chat.example"), false),
        (Some("https://chat.example:444"), false),
        (Some("https://chat.example.evil.example"), false),
        (Some("https://evil.example/https://chat.example"), false),
        (Some("null"), false),
        (Some(""), false),
    ] {
        let headers: Vec<_> = origin
            .map(|origin| ("origin", origin))
            .into_iter()
            .collect();
        let mut raw = Raw::connect(&relay).await;
        let answer = raw.upgrade(&relay, &headers).await;
        let created = relay
            .api()
            .send(Method::POST, "/api/session/create", &headers, None)
            .await;
        if welcome {
            assert_eq!(answer.status, 101, "{origin:?}");
            created.expect::<CreatedSession>(201);
        } else {
            assert_eq!(answer.status, 403, "{origin:?}");
            answer.expect_error(403, ErrorCode::ForbiddenOrigin);
            created.expect_error(403, ErrorCode::ForbiddenOrigin);
        }
    }
}

#[tokio::test]
async fn an_upgrade_that_is_none_is_answered_as_an_error() {
    let relay = Relay::start(&[]);
    let answer = relay.api().get("/ws").await;
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    answer.expect::<neartalk_shared::http::ErrorBody>(answer.status);
    for head in [
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 7\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        "GET /ws HTTP/1.0\r\nHost: x\r\n\r\n",
        "GET\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
    ] {
        let mut raw = Raw::connect(&relay).await;
        raw.send(head.as_bytes()).await.unwrap();
        let answer = raw.answer().await;
        assert!((400..500).contains(&answer.status), "{head:?}: {answer:?}");
    }
    let mut raw = Raw::connect(&relay).await;
    let endless = format!("GET /ws HTTP/1.1\r\nX: {}", "x".repeat(1 << 20));
    // The relay may hang up before all is sent.
    let _ = raw.send(endless.as_bytes()).await;
    raw.end().await;
}

/// Connections that are opened and not used, or used for half a request.
#[tokio::test]
async fn half_open_connections_are_ended_and_keep_nobody_out() {
    let relay = Relay::start(&Bystanders::FLAGS);
    let api = relay.api();
    let mut bystanders = Bystanders::at(&relay, &api, beside(0)).await;
    let mut half_open = Vec::new();
    for i in 0..100 {
        let mut raw = Raw::connect(&relay).await;
        raw.patience = PATIENCE;
        let head = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n";
        raw.send(&head[..i % head.len()]).await.unwrap();
        half_open.push(raw);
    }
    bystanders.talk().await;
    Person::at(&relay, &api, "Newcomer", beside(0), 500).await;
    let ends = half_open.iter_mut().map(Raw::end);
    let ended = async {
        futures_util::future::join_all(ends).await;
    };
    within_time(PATIENCE, "the end of them all", ended).await;
    bystanders.talk().await;
}

/// Sends a byte a second until the relay has had enough; what it said.
async fn drip(mut raw: Raw, bytes: &[u8]) -> String {
    let mut bytes = bytes.iter();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    let (mut reader, mut writer) = raw.stream.split();
    let mut read = Vec::new();
    let reading = async {
        // An abrupt end is an end, too.
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut read).await;
    };
    let writing = async {
        loop {
            seconds.tick().await;
            let byte = bytes.next().expect("the relay is less patient than that");
            if writer.write_all(&[*byte]).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    within_time(PATIENCE, "the relay to have had enough", async {
        tokio::select! {
            () = reading => {}
            () = writing => unreachable!("it never ends"),
        }
    })
    .await;
    String::from_utf8_lossy(&read).into_owned()
}

#[tokio::test]
async fn a_byte_a_second_is_too_slow_for_anything() {
    let flags = [&Bystanders::FLAGS[..], &["--admin-token", TOKEN]].concat();
    let relay = Relay::start(&flags);
    let api = relay.api();
    let mut bystanders = Bystanders::at(&relay, &api, beside(0)).await;
    let head = async {
        let raw = Raw::connect(&relay).await;
        let head = format!("GET /ws HTTP/1.1\r\nHost: {}\r\n", "x".repeat(100));
        drip(raw, head.as_bytes()).await
    };
    let body = async {
        let mut raw = Raw::connect(&relay).await;
        let head = "POST /api/session/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n";
        raw.send(head.as_bytes()).await.unwrap();
        drip(raw, &[b' '; 100]).await
    };
    let admin = async {
        let mut raw = Raw::connect_to_admin(&relay).await;
        let head = format!(
            "POST /api/admin/bans HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\
             Content-Length: 100\r\n\r\n"
        );
        raw.send(head.as_bytes()).await.unwrap();
        drip(raw, &[b' '; 100]).await
    };
    let hello = async {
        let raw = Raw::upgraded(&relay).await;
        let frame = frame(true, Opcode::Text, &[b' '; 100], Some([0; 4]));
        drip(raw, &frame).await
    };
    let pings = async {
        // A frame every few seconds is not a hello, either.
        let raw = Raw::upgraded(&relay).await;
        let frames = frame(true, Opcode::Ping, b"", Some([0; 4])).repeat(20);
        drip(raw, &frames).await
    };
    let (_, body, admin, hello, pings) = tokio::join!(head, body, admin, hello, pings);
    for body in [body, admin] {
        assert!(body.starts_with("HTTP/1.1 408"), "{body}");
        assert!(body.contains(r#""code":"request_timeout""#), "{body}");
    }
    // The close frame: its code as two bytes.
    for closed in [hello, pings] {
        assert!(closed.contains("\u{11}8"), "no 4408 in {closed:?}");
    }
    bystanders.talk().await;
}

/// Connects from another address of this machine; the whole 127/8 is its own.
async fn connect_from(address: &str, relay: &Relay) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    let local: SocketAddr = format!("{address}:0").parse().unwrap();
    socket.bind(local).unwrap();
    within("a connection", socket.connect(relay.address))
        .await
        .unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_address_that_opens_everything_it_can_keeps_out_only_itself() {
    let relay = Relay::start(&["--sockets-per-address", "20"]);
    let api = relay.api();
    let mut hoard = Vec::new();
    for _ in 0..300 {
        hoard.push(connect_from("127.0.0.66", &relay).await);
    }
    // It has been cut off somewhere.
    let mut refused = Raw::connect(&relay).await;
    refused.stream = hoard.pop().unwrap();
    assert_eq!(refused.end().await, "");
    // Others have their own count.
    let stream = connect_from("127.0.0.77", &relay).await;
    let socket = Socket::open_on(stream, &relay, &[]).await;
    let mut fox = Person::resume_on(socket, api.session("Fox").await).await;
    fox.send(&ClientFrame::Typing).await;
    fox.expect_error(ErrorCode::NoLocation).await;
}
