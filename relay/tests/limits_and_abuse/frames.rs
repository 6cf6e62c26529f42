//! Frames that break the rules of WebSocket, of JSON, or of decency.

use std::cell::Cell;

use neartalk_shared::{
    ClientFrame, ErrorCode, MessageId, MessageText, ServerFrame, limits::FRAME_MAX_BYTES,
};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{
    Bystanders,
    common::{Opcode, Person, Raw, Relay, beside, frame},
};

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

fn text(fin: bool, payload: &[u8]) -> Vec<u8> {
    frame(fin, Opcode::Text, payload, MASK)
}

/// A frame whose first byte is `first`, whatever that means.
fn odd(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = text(true, payload);
    bytes[0] = first;
    bytes
}

#[tokio::test]
async fn a_broken_frame_closes_its_own_socket_with_the_code_that_says_why() {
    let relay = Relay::start(&Bystanders::FLAGS);
    let api = relay.api();
    let mut bystanders = Bystanders::at(&relay, &api, beside(0)).await;
    let half = vec![b' '; FRAME_MAX_BYTES / 2 + 1];
    let fragment = |fin, opcode| frame(fin, opcode, b"x", MASK);
    let cases = [
        ("unmasked", frame(true, Opcode::Text, b"{}", None), 1002),
        ("binary", frame(true, Opcode::Binary, b"{}", MASK), 1003),
        (
            "oversize",
            text(true, &vec![b' '; FRAME_MAX_BYTES + 1]),
            1009,
        ),
        (
            "oversize in two pieces",
            [
                text(false, &half),
                frame(true, Opcode::Continuation, &half, MASK),
            ]
            .concat(),
            1009,
        ),
        ("no UTF-8", text(true, b"\"\xff\xfe\""), 1007),
        ("a cut-off UTF-8", text(true, b"\"\xe2\x82"), 1007),
        (
            "a surrogate in UTF-8",
            text(true, b"{\"type\":\"\xed\xa0\x80\"}"),
            1007,
        ),
        ("an unknown opcode", odd(0x83, b"{}"), 1002),
        ("an unknown control opcode", odd(0x8b, b"{}"), 1002),
        ("a reserved bit", odd(0xc1, b"{}"), 1002),
        (
            "a continuation of nothing",
            fragment(true, Opcode::Continuation),
            1002,
        ),
        (
            "a text within a text",
            [fragment(false, Opcode::Text), fragment(true, Opcode::Text)].concat(),
            1002,
        ),
        ("a ping in pieces", fragment(false, Opcode::Ping), 1002),
        (
            "a large ping",
            frame(true, Opcode::Ping, &[b'x'; 126], MASK),
            1002,
        ),
    ];
    for (what, bytes, code) in cases {
        // Also from somebody who has not even said hello.
        let mut stranger = Raw::upgraded(&relay).await;
        stranger.send(&bytes).await.unwrap();
        assert_eq!(stranger.closed().await, Some(code), "{what}, no hello");

        let session = api.session("Mallory").await;
        let mut member = Raw::welcomed(&relay, &session).await;
        member.send(&bytes).await.unwrap();
        assert_eq!(member.closed().await, Some(code), "{what}");
        bystanders.talk().await;
        // The session outlives its socket.
        Raw::welcomed(&relay, &session).await;
    }
}

#[tokio::test]
async fn a_frame_announced_as_a_giant_is_refused_before_it_comes() {
    let relay = Relay::start(&[]);
    for length in [FRAME_MAX_BYTES as u64 + 1, 1 << 40, u64::MAX >> 1] {
        let mut raw = Raw::upgraded(&relay).await;
        let mut head = vec![0x81, 0xff];
        head.extend(length.to_be_bytes());
        head.extend([1, 2, 3, 4]);
        raw.send(&head).await.unwrap();
        assert_eq!(raw.closed().await, Some(1009), "{length}");
    }
}

#[tokio::test]
async fn a_frame_may_have_64_kib_and_come_in_pieces() {
    let relay = Relay::start(&[]);
    let mut fox = Person::join(&relay, &relay.api(), "Fox").await;
    let ping = r#"{"type":"ping","nonce":1}"#;
    let padding = " ".repeat(FRAME_MAX_BYTES - ping.len());
    fox.send_text(padding + ping).await;
    assert!(matches!(fox.next().await, ServerFrame::Pong { .. }));

    let session = relay.api().session("Owl").await;
    let mut owl = Raw::welcomed(&relay, &session).await;
    let pieces = r#"{"type":"ping","nonce":"ü"}"#.as_bytes();
    for (i, byte) in pieces.iter().enumerate() {
        let opcode = if i == 0 {
            Opcode::Text
        } else {
            Opcode::Continuation
        };
        let last = i + 1 == pieces.len();
        owl.send_frame(last, opcode, &[*byte]).await.unwrap();
        // Control frames may come in between.
        owl.send_frame(true, Opcode::Pong, b"").await.unwrap();
    }
    let pong = owl.next_frame().await.unwrap();
    assert_eq!(pong.payload, r#"{"type":"pong","nonce":"ü"}"#.as_bytes());
}

#[tokio::test]
async fn deep_json_is_refused_and_nothing_more() {
    let relay = Relay::start(&Bystanders::FLAGS);
    let api = relay.api();
    let mut bystanders = Bystanders::at(&relay, &api, beside(0)).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(1), 500).await;
    let to = bystanders.speaker.id();
    let deep = "[".repeat(30_000);
    let closed = format!("{deep}{}", "]".repeat(30_000));
    let objects = r#"{"a":"#.repeat(10_000);
    for (frame, codes) in [
        (deep.clone(), &[ErrorCode::InvalidFrame][..]),
        (closed.clone(), &[ErrorCode::InvalidFrame]),
        (objects.clone(), &[ErrorCode::InvalidFrame]),
        (
            format!(r#"{{"type":"ping","nonce":{closed}}}"#),
            &[ErrorCode::InvalidFrame],
        ),
        (
            format!(r#"{{"type":"signal","to":"{to}","data":{closed}}}"#),
            &[ErrorCode::InvalidFrame, ErrorCode::InvalidSignal],
        ),
    ] {
        fox.send_text(frame).await;
        let (error, _) = fox.error().await;
        assert!(codes.contains(&error.code), "{error:?}");
        bystanders.talk().await;
    }
    // In a field that the relay does not know, it is as unread as anything there.
    fox.send_text(format!(r#"{{"type":"ping","x":{closed},"nonce":1}}"#))
        .await;
    assert!(matches!(fox.next().await, ServerFrame::Pong { .. }));
}

/// Sends `chunk` again and again, as fast as it is taken, while the bystanders talk.
async fn flood(mut raw: Raw, chunk: &[u8], bystanders: &mut Bystanders) {
    let sent = Cell::new(0usize);
    let flood = async {
        while let Ok(()) = raw.stream.write_all(chunk).await {
            sent.set(sent.get() + chunk.len());
        }
        // The relay has closed it, which is one way to stand it.
        std::future::pending::<()>().await;
    };
    let life = async {
        for _ in 0..30 {
            bystanders.talk().await;
        }
    };
    tokio::select! {
        () = life => {}
        () = flood => unreachable!("it never ends"),
    }
    assert!(sent.get() > 64 * 1024, "{} bytes are no flood", sent.get());
}

#[tokio::test]
async fn floods_of_anything_disturb_nobody() {
    let relay = Relay::start(&Bystanders::FLAGS);
    let api = relay.api();
    let mut bystanders = Bystanders::at(&relay, &api, beside(0)).await;
    let frames = |opcode, payload: &[u8]| {
        frame(opcode != Opcode::Continuation, opcode, payload, MASK).repeat(500)
    };
    let id = MessageId::random();
    let same = ClientFrame::Say {
        id,
        text: MessageText::parse("again").unwrap(),
    };
    for (what, first, chunk) in [
        ("pings", None, frames(Opcode::Ping, b"hello")),
        ("pongs", None, frames(Opcode::Pong, b"")),
        (
            "empty fragments",
            Some(text(false, b"")),
            frames(Opcode::Continuation, b""),
        ),
        ("junk", None, frames(Opcode::Text, b"junk")),
        (
            "typing",
            None,
            frames(Opcode::Text, br#"{"type":"typing"}"#),
        ),
        (
            "one message again and again",
            None,
            frames(Opcode::Text, same.to_json().as_bytes()),
        ),
        (
            "places",
            None,
            frames(
                Opcode::Text,
                br#"{"type":"locate","lat":48.2082,"lon":16.3738,"radius":500}"#,
            ),
        ),
        (
            "joining voice",
            None,
            frames(Opcode::Text, br#"{"type":"voice_join"}"#),
        ),
        (
            "muting",
            None,
            [true, false]
                .map(|muted| ClientFrame::VoiceState {
                    muted,
                    deafened: false,
                })
                .map(|state| frame(true, Opcode::Text, state.to_json().as_bytes(), MASK))
                .concat()
                .repeat(250),
        ),
        (
            "names",
            None,
            frames(
                Opcode::Text,
                br#"{"type":"rename","username":"Somebody else"}"#,
            ),
        ),
        (
            "reports",
            None,
            frames(
                Opcode::Text,
                br#"{"type":"report","peer_id":"00000000000000000000000000","reason":"spam"}"#,
            ),
        ),
        (
            "signals",
            None,
            frames(
                Opcode::Text,
                br#"{"type":"signal","to":"00000000000000000000000000","data":{"kind":"bye"}}"#,
            ),
        ),
    ] {
        println!("{what}");
        let mut flooder = Person::at(&relay, &api, "Mallory", beside(0), 500).await;
        flooder.say("here I am").await;
        let session = flooder.created.clone();
        // Takes the session over, with its place.
        let mut raw = Raw::welcomed(&relay, &session).await;
        if let Some(first) = first {
            raw.send(&first).await.unwrap();
        }
        flood(raw, &chunk, &mut bystanders).await;
    }
}

#[tokio::test]
async fn a_message_in_endless_pieces_is_too_large_in_the_end() {
    let relay = Relay::start(&Bystanders::FLAGS);
    let api = relay.api();
    let mut bystanders = Bystanders::at(&relay, &api, beside(0)).await;
    let mut raw = Raw::upgraded(&relay).await;
    raw.send(&text(false, b"[")).await.unwrap();
    let piece = frame(false, Opcode::Continuation, b"[", MASK);
    // The relay may close before all is sent.
    let _ = raw.send(&piece.repeat(FRAME_MAX_BYTES)).await;
    assert_eq!(raw.closed().await, Some(1009));
    bystanders.talk().await;
}

#[tokio::test]
async fn of_a_flood_of_messages_ten_a_minute_get_through() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let ids: Vec<_> = (0..500).map(|_| MessageId::random()).collect();
    for id in &ids {
        let say = json!({ "type": "say", "id": id, "text": "buy gold" });
        fox.send_text(say.to_string()).await;
    }
    for id in &ids[..10] {
        assert_eq!(fox.sent(*id).await.reached, 1);
    }
    for id in &ids[10..] {
        let (error, reference) = fox.error().await;
        assert_eq!(error.code, ErrorCode::RateLimited);
        assert_eq!(reference, Some(*id));
    }
    let heard: Vec<_> = owl.heard().await.iter().map(|m| m.id).collect();
    assert_eq!(heard, ids[..10]);
}
