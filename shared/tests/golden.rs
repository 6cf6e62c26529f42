//! Every frame and body of the contract, byte for byte, against the files in `golden/`.
//!
//! A change to one of these files is a change to the contract. `UPDATE_GOLDEN=1` writes them anew.

#![allow(
    clippy::unwrap_used,
    reason = "a test helper that fails should say where"
)]

use std::{collections::BTreeSet, path::PathBuf};

use neartalk_shared::{
    error::{ApiError, ErrorCode},
    frame::*,
    http::*,
    limits::Limits,
    proof::{Challenge, Proof},
    *,
};
use serde::Serialize;

const PEER: &str = "1C0RY3W9HTM6N8K2QZ7D5BXAJG";
const OTHER: &str = "7ZB2M4K9XWQ0H6T3N8RYC5DVEC";
const MESSAGE: &str = "5f0c2a7e-4b1d-4c3a-9e8f-1a2b3c4d5e6f";
const SESSION: &str = "b6d2f0a4-7c1e-4f3b-8a5d-0e9c8b7a6f5d";

fn peer() -> PeerId {
    PeerId::parse(PEER).unwrap()
}

fn other() -> PeerId {
    PeerId::parse(OTHER).unwrap()
}

fn message_id() -> MessageId {
    MessageId::parse(MESSAGE).unwrap()
}

fn name(s: &str) -> Username {
    Username::parse(s).unwrap()
}

fn person() -> Person {
    Person {
        peer_id: other(),
        username: name("Quiet Otter"),
        former_usernames: vec![name("Brave Finch")],
        distance: DistanceBand { min: 100, max: 150 },
        in_voice: true,
        muted: false,
        deafened: false,
    }
}

fn message() -> Message {
    Message {
        id: message_id(),
        from: other(),
        username: name("Quiet Otter"),
        text: MessageText::parse("Is anyone else waiting for the \"42\"?\nÜber 10 min…").unwrap(),
        sent_at: Timestamp::from_millis(1_790_000_000_000),
        expires_at: Timestamp::from_millis(1_790_001_800_000),
        distance: DistanceBand { min: 0, max: 50 },
    }
}

fn reach() -> Vec<Reach> {
    [100, 250, 500, 1_000, 2_000]
        .into_iter()
        .zip(0..)
        .map(|(radius, count)| Reach { radius, count })
        .collect()
}

fn client_frames() -> Vec<(&'static str, ClientFrame)> {
    let signal = |data| ClientFrame::Signal { to: other(), data };
    vec![
        (
            "hello",
            ClientFrame::Hello {
                session_id: SessionId::parse(SESSION).unwrap(),
                protocol: 1,
            },
        ),
        (
            "locate",
            ClientFrame::Locate(Locate {
                place: grid::snap(
                    Place::new(40.7128, -74.0060).unwrap(),
                    Radius::new(500).unwrap(),
                ),
                radius: Radius::new(500).unwrap(),
            }),
        ),
        (
            "say",
            ClientFrame::Say {
                id: message_id(),
                text: message().text,
            },
        ),
        ("typing", ClientFrame::Typing),
        (
            "rename",
            ClientFrame::Rename {
                username: name("नमस्ते 7"),
            },
        ),
        ("voice_join", ClientFrame::VoiceJoin),
        (
            "voice_state",
            ClientFrame::VoiceState {
                muted: true,
                deafened: false,
            },
        ),
        ("voice_leave", ClientFrame::VoiceLeave),
        (
            "signal.description",
            signal(SignalData::Description {
                sdp_type: SdpType::Offer,
                sdp: "v=0\r\n".into(),
            }),
        ),
        (
            "signal.candidate",
            signal(SignalData::Candidate {
                candidate: "candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host".into(),
                sdp_mid: Some("0".into()),
                sdp_m_line_index: Some(0),
            }),
        ),
        ("signal.bye", signal(SignalData::Bye)),
        (
            "report",
            ClientFrame::Report {
                peer_id: other(),
                reason: ReportReason::Spam,
                message_id: Some(message_id()),
            },
        ),
        (
            "report.person",
            ClientFrame::Report {
                peer_id: other(),
                reason: ReportReason::Abuse,
                message_id: None,
            },
        ),
        (
            "ping",
            ClientFrame::Ping {
                nonce: Nonce::Text("n1".into()),
            },
        ),
        (
            "ping.number",
            ClientFrame::Ping {
                nonce: Nonce::Number(7),
            },
        ),
    ]
}

fn server_frames() -> Vec<(&'static str, ServerFrame)> {
    vec![
        (
            "welcome",
            ServerFrame::Welcome(Welcome {
                peer_id: peer(),
                username: name("Blue Fox"),
                username_changes_left: 2,
                resumed: true,
                server_time: Timestamp::from_millis(1_790_000_000_000),
                limits: Limits::default(),
            }),
        ),
        (
            "located",
            ServerFrame::Located {
                geohash_prefix: "dr5r".into(),
                radius: Radius::new(500).unwrap(),
                grid_m: 100,
            },
        ),
        (
            "nearby",
            ServerFrame::Nearby {
                people: vec![person()],
                reach: reach(),
            },
        ),
        ("reach", ServerFrame::Reach { reach: reach() }),
        (
            "person_entered",
            ServerFrame::PersonEntered { person: person() },
        ),
        (
            "person_changed",
            ServerFrame::PersonChanged { person: person() },
        ),
        (
            "person_left",
            ServerFrame::PersonLeft {
                peer_id: other(),
                reason: LeftReason::Moved,
            },
        ),
        (
            "history",
            ServerFrame::History {
                messages: vec![message()],
            },
        ),
        ("message", ServerFrame::Message(message())),
        (
            "sent",
            ServerFrame::Sent {
                id: message_id(),
                sent_at: message().sent_at,
                expires_at: message().expires_at,
                reached: 7,
            },
        ),
        ("typing", ServerFrame::Typing { peer_id: other() }),
        (
            "renamed",
            ServerFrame::Renamed {
                username: name("Blue Fox"),
                username_changes_left: 1,
            },
        ),
        (
            "voice_ready",
            ServerFrame::VoiceReady {
                ice_servers: vec![
                    IceServer {
                        urls: vec!["stun:stun.example.org".into()],
                        username: None,
                        credential: None,
                    },
                    IceServer {
                        urls: vec!["turn:turn.example.org".into()],
                        username: Some("1790003600:x".into()),
                        credential: Some("c2VjcmV0".into()),
                    },
                ],
                max_peers: 8,
            },
        ),
        (
            "voice_peer",
            ServerFrame::VoicePeer {
                peer_id: other(),
                polite: true,
                muted: false,
                deafened: false,
            },
        ),
        (
            "voice_peer_left",
            ServerFrame::VoicePeerLeft { peer_id: other() },
        ),
        (
            "signal",
            ServerFrame::Signal {
                from: other(),
                data: SignalData::Bye,
            },
        ),
        ("reported", ServerFrame::Reported { peer_id: other() }),
        (
            "announcement",
            ServerFrame::Announcement {
                text: MessageText::parse("The relay restarts at 22:00.").unwrap(),
                expires_at: Timestamp::from_millis(1_790_003_600_000),
            },
        ),
        (
            "error",
            ServerFrame::Error {
                error: ApiError::rate_limited("You have sent 10 messages within a minute", 12_000),
                reference: Some(message_id()),
            },
        ),
        (
            "error.plain",
            ServerFrame::Error {
                error: ApiError::new(ErrorCode::UnknownType, "…"),
                reference: None,
            },
        ),
        (
            "pong",
            ServerFrame::Pong {
                nonce: Nonce::Text("n1".into()),
            },
        ),
    ]
}

fn path(kind: &str, file: &str) -> PathBuf {
    [
        env!("CARGO_MANIFEST_DIR"),
        "tests",
        "golden",
        kind,
        &format!("{file}.json"),
    ]
    .iter()
    .collect()
}

/// Compares `value` with its golden file and returns the file's text, compact as on the wire.
fn golden(kind: &str, file: &str, value: &impl Serialize) -> String {
    let path = path(kind, file);
    // Through text, not through `Value`, so that the order of the fields is checked as well.
    let compact = serde_json::to_string(value).unwrap();
    let pretty = serde_json::to_string_pretty(value).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &pretty).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, pretty, "{}: the contract has changed", path.display());
    let reread: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(
        reread,
        serde_json::from_str::<serde_json::Value>(&compact).unwrap()
    );
    kept
}

fn types(json: impl Iterator<Item = String>) -> BTreeSet<String> {
    json.map(|s| {
        serde_json::from_str::<serde_json::Value>(&s).unwrap()["type"]
            .as_str()
            .unwrap()
            .to_owned()
    })
    .collect()
}

fn files(kind: &str) -> BTreeSet<String> {
    let folder = path(kind, "x");
    std::fs::read_dir(folder.parent().unwrap())
        .unwrap()
        .map(|f| {
            f.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn client_frames_are_as_agreed() {
    for (file, frame) in client_frames() {
        let json = golden("client", file, &frame);
        assert_eq!(ClientFrame::parse(&json), Ok(frame.clone()), "{file}");
        assert_eq!(ClientFrame::parse(&frame.to_json()), Ok(frame), "{file}");
    }
    let all = types(client_frames().into_iter().map(|(_, f)| f.to_json()));
    let contract = [
        "hello",
        "locate",
        "say",
        "typing",
        "rename",
        "voice_join",
        "voice_state",
        "voice_leave",
        "signal",
        "report",
        "ping",
    ];
    assert_eq!(all, contract.into_iter().map(str::to_owned).collect());
    assert_eq!(
        files("client"),
        client_frames()
            .iter()
            .map(|(f, _)| (*f).to_owned())
            .collect()
    );
}

#[test]
fn server_frames_are_as_agreed() {
    for (file, frame) in server_frames() {
        let json = golden("server", file, &frame);
        assert_eq!(
            ServerFrame::parse(&json).unwrap(),
            Some(frame.clone()),
            "{file}"
        );
        assert_eq!(
            ServerFrame::parse(&frame.to_json()).unwrap(),
            Some(frame),
            "{file}"
        );
    }
    let all = types(server_frames().into_iter().map(|(_, f)| f.to_json()));
    assert_eq!(
        all,
        ServerFrame::TYPES.into_iter().map(str::to_owned).collect()
    );
    assert_eq!(
        files("server"),
        server_frames()
            .iter()
            .map(|(f, _)| (*f).to_owned())
            .collect()
    );
}

#[test]
fn bodies_are_as_agreed() {
    let created = CreatedSession {
        session_id: SessionId::parse(SESSION).unwrap(),
        peer_id: peer(),
        username: name("Blue Fox"),
        username_changes_left: 3,
        expires_in_s: 1_800,
    };
    let json = golden("http", "session_create.201", &created);
    assert_eq!(
        serde_json::from_str::<CreatedSession>(&json).unwrap(),
        created
    );

    let create = CreateSession {
        username: Some(name("Blue Fox")),
        proof: None,
    };
    assert_eq!(
        CreateSession::parse(golden("http", "session_create", &create).as_bytes()),
        Ok(create)
    );
    let proven = CreateSession {
        username: None,
        proof: Some(Proof {
            challenge: "AAAAAAAAAAAAAAAA".into(),
            counter: 123_456,
        }),
    };
    let body = golden("http", "session_create.proof", &proven);
    assert_eq!(CreateSession::parse(body.as_bytes()), Ok(proven));
    for empty in ["", "{}", "{\"username\":null}", "{\"colour\":1}"] {
        assert_eq!(
            CreateSession::parse(empty.as_bytes()),
            Ok(CreateSession::default())
        );
    }

    let change = ChangeUsername {
        username: name("Blue Fox"),
    };
    assert_eq!(
        ChangeUsername::parse(golden("http", "session_username", &change).as_bytes()),
        Ok(change)
    );
    golden(
        "http",
        "session_username.200",
        &UsernameChanged {
            username: name("Blue Fox"),
            username_changes_left: 2,
        },
    );

    let radius = Radius::new(500).unwrap();
    let locate = Locate {
        place: grid::snap(Place::new(40.7128, -74.0060).unwrap(), radius),
        radius,
    };
    assert_eq!(
        Locate::parse(golden("http", "location_update", &locate).as_bytes()),
        Ok(locate)
    );
    golden(
        "http",
        "location_update.200",
        &LocationUpdated {
            geohash_prefix: "dr5r".into(),
            radius,
            grid_m: 100,
            nearby: 3,
        },
    );
    golden(
        "http",
        "nearby.200",
        &Nearby {
            count: 1,
            people: vec![person()],
        },
    );
    let health = |status, reason| Health {
        status,
        version: "0.1.0".into(),
        store: StoreKind::Memory,
        uptime_s: 7,
        reason,
    };
    golden("http", "health.200", &health(HealthStatus::Ok, None));
    golden(
        "http",
        "health.503",
        &health(HealthStatus::Degraded, Some("redis does not answer".into())),
    );
    golden(
        "http",
        "error.429",
        &ErrorBody::from(ApiError::rate_limited(
            "Too many requests from your address",
            1_500,
        )),
    );
    let required = ApiError::new(
        ErrorCode::ProofRequired,
        "Many people are joining at once; this takes a moment longer.",
    );
    golden(
        "http",
        "error.428",
        &ErrorBody {
            error: required,
            proof: Some(Challenge {
                challenge: "AAAAAAAAAAAAAAAA".into(),
                bits: 18,
            }),
        },
    );
}

#[test]
fn what_is_wrong_with_a_frame_is_told_apart() {
    use ErrorCode::*;
    let long_sdp = format!(
        r#"{{"type":"signal","to":"{OTHER}","data":{{"kind":"description","sdp_type":"offer","sdp":"{}"}}}}"#,
        "a".repeat(32 * 1024 + 1)
    );
    let deep = format!(
        r#"{{"type":"ping","nonce":{}{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    let long_nonce = format!(r#"{{"type":"ping","nonce":"{}"}}"#, "n".repeat(65));
    for (json, code) in [
        ("", InvalidFrame),
        ("hello", InvalidFrame),
        ("[]", InvalidFrame),
        ("{}", InvalidFrame),
        (r#"{"type":7}"#, InvalidFrame),
        (r#"{"type":"typing","type":"typing"}"#, InvalidFrame),
        (r#"{"type":"dance"}"#, UnknownType),
        (r#"{"type":"Typing"}"#, UnknownType),
        (
            r#"{"type":"hello","session_id":"x","protocol":1}"#,
            Unauthorized,
        ),
        (r#"{"type":"hello","protocol":1}"#, InvalidFrame),
        (
            r#"{"type":"locate","lat":NaN,"lon":0,"radius":500}"#,
            InvalidFrame,
        ),
        (
            r#"{"type":"locate","lat":"1","lon":0,"radius":500}"#,
            InvalidFrame,
        ),
        (
            r#"{"type":"locate","lat":null,"lon":0,"radius":500}"#,
            InvalidFrame,
        ),
        (r#"{"type":"locate","lon":0,"radius":500}"#, InvalidFrame),
        (
            r#"{"type":"locate","lat":1e999,"lon":0,"radius":500}"#,
            InvalidLocation,
        ),
        (
            r#"{"type":"locate","lat":-1e999,"lon":0,"radius":500}"#,
            InvalidLocation,
        ),
        (
            r#"{"type":"locate","lat":90.01,"lon":0,"radius":500}"#,
            InvalidLocation,
        ),
        (
            r#"{"type":"locate","lat":0,"lon":180.5,"radius":500}"#,
            InvalidLocation,
        ),
        (
            r#"{"type":"locate","lat":0,"lon":0,"radius":99}"#,
            InvalidRadius,
        ),
        (
            r#"{"type":"locate","lat":0,"lon":0,"radius":2001}"#,
            InvalidRadius,
        ),
        (
            r#"{"type":"locate","lat":0,"lon":0,"radius":-500}"#,
            InvalidRadius,
        ),
        (
            r#"{"type":"locate","lat":0,"lon":0,"radius":500.5}"#,
            InvalidRadius,
        ),
        (
            r#"{"type":"locate","lat":0,"lon":0,"radius":1e999}"#,
            InvalidRadius,
        ),
        (r#"{"type":"say","id":"7","text":"hi"}"#, InvalidFrame),
        (r#"{"type":"rename","username":"x"}"#, InvalidUsername),
        (
            r#"{"type":"rename","username":"a\u0000bc"}"#,
            InvalidUsername,
        ),
        (
            r#"{"type":"signal","to":"me","data":{"kind":"bye"}}"#,
            NotInRange,
        ),
        (
            r#"{"type":"signal","to":"me","data":{"kind":"wave"}}"#,
            InvalidSignal,
        ),
        (r#"{"type":"signal","to":"me","data":7}"#, InvalidSignal),
        (&long_sdp, InvalidSignal),
        (
            r#"{"type":"report","peer_id":"me","reason":"spam"}"#,
            InvalidFrame,
        ),
        (
            r#"{"type":"report","peer_id":"7ZB2M4K9XWQ0H6T3N8RYC5DVEC","reason":"boring"}"#,
            InvalidFrame,
        ),
        (r#"{"type":"ping","nonce":[]}"#, InvalidFrame),
        (&long_nonce, InvalidFrame),
        (&deep, InvalidFrame),
    ] {
        let shown = &json[..json.len().min(200)];
        let error = ClientFrame::parse(json).expect_err(shown);
        assert_eq!(error.error.code, code, "{shown}: {}", error.error.message);
        assert_eq!(error.reference, None);
    }
    // Depth in a field that nobody reads costs nothing.
    let deep = format!(
        r#"{{"type":"typing","x":{}{}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert_eq!(ClientFrame::parse(&deep), Ok(ClientFrame::Typing));

    let empty = format!(r#"{{"type":"say","id":"{MESSAGE}","text":"  "}}"#);
    let error = ClientFrame::parse(&empty).unwrap_err();
    assert_eq!(
        (error.error.code, error.reference),
        (InvalidMessage, Some(message_id()))
    );
}

#[test]
fn what_is_unknown_is_ignored() {
    assert_eq!(
        ClientFrame::parse(r#"{"type":"typing","mood":{"deep":[1,2]}}"#),
        Ok(ClientFrame::Typing)
    );
    assert_eq!(
        ServerFrame::parse(r#"{"type":"weather","sun":true}"#).unwrap(),
        None
    );
    assert!(ServerFrame::parse(r#"{"type":"sent"}"#).is_err());
    let code: ApiError =
        serde_json::from_str(r#"{"code":"from_the_future","message":"…"}"#).unwrap();
    assert_eq!(code.code, ErrorCode::Unknown);
}

#[test]
fn no_server_frame_and_no_debug_output_holds_a_session_id() {
    for (_, frame) in client_frames() {
        assert!(!format!("{frame:?}").contains(SESSION));
    }
    for (_, frame) in server_frames() {
        assert!(!frame.to_json().contains(SESSION));
    }
}
