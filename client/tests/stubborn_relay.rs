//! The engine against relays that a real one can't be made to be: silent, stuck, garbled.
//! Everything else is tested against the real relay, in its own package.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests are tests"
)]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt, stream};
use neartalk_client::{
    Command, ConnectionState, Engine, EngineConfig, EngineHandle, Event, EventReceiver, Fix,
    OfflineReason, RelayUrl, StopReason, Timing,
};
use neartalk_shared::{
    ClientFrame, Limits, PeerId, Place, Radius, ServerFrame, SessionId, Timestamp, Username,
    frame::{Locate, Reach, Welcome},
    http::CreatedSession,
};
use rand::{SeedableRng, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::CloseFrame},
};

/// Nothing here takes as long; it only ends a test that would hang.
const GUARD: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<TcpStream>;

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(GUARD, future).await.expect("this takes too long")
}

fn name() -> Username {
    Username::parse("Quiet Otter").unwrap()
}

fn peer() -> PeerId {
    PeerId::random(&mut StdRng::seed_from_u64(1))
}

/// Answers calls for sessions, and hands over the sockets that are opened.
async fn relay() -> (RelayUrl, mpsc::Receiver<Socket>) {
    let (listener, url) = listen().await;
    let (sender, sockets) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, sender.clone()));
        }
    });
    (url, sockets)
}

async fn listen() -> (TcpListener, RelayUrl) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = RelayUrl::parse(&listener.local_addr().unwrap().to_string()).unwrap();
    (listener, url)
}

async fn serve(mut stream: TcpStream, sockets: mpsc::Sender<Socket>) {
    let mut first = [0; 4];
    while stream.peek(&mut first).await.unwrap() < 4 {}
    if &first == b"GET " {
        let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let _ = sockets.send(socket).await;
        return;
    }
    let body = serde_json::to_string(&CreatedSession {
        session_id: SessionId::random(),
        peer_id: peer(),
        username: name(),
        username_changes_left: 3,
        expires_in_s: 1_800,
    })
    .unwrap();
    answer(&mut stream, "201 Created", &body).await;
}

async fn answer(stream: &mut TcpStream, status: &str, body: &str) {
    let mut request = Vec::new();
    // The body of a call for a session is one line of JSON.
    while !request.ends_with(b"}") {
        assert!(stream.read_buf(&mut request).await.unwrap() > 0);
    }
    let length = body.len();
    let response =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(response.as_bytes()).await.unwrap();
}

async fn next_frame(socket: &mut Socket) -> ClientFrame {
    loop {
        if let Message::Text(text) = within(socket.next()).await.unwrap().unwrap() {
            return ClientFrame::parse(&text).unwrap();
        }
    }
}

async fn send(socket: &mut Socket, frame: &ServerFrame) {
    socket.send(Message::text(frame.to_json())).await.unwrap();
}

/// Takes the next socket through `hello` and `welcome`; gives the session it came with.
async fn welcome(sockets: &mut mpsc::Receiver<Socket>, resumed: bool) -> (Socket, SessionId) {
    let mut socket = within(sockets.recv()).await.unwrap();
    let ClientFrame::Hello { session_id, .. } = next_frame(&mut socket).await else {
        panic!("the first frame is hello");
    };
    let welcome = Welcome {
        peer_id: peer(),
        username: name(),
        username_changes_left: 3,
        resumed,
        server_time: Timestamp::from_millis(1_700_000_000_000),
        limits: Limits::default(),
    };
    send(&mut socket, &ServerFrame::Welcome(welcome)).await;
    (socket, session_id)
}

fn start(relay: RelayUrl, timing: Timing) -> (EngineHandle, EventReceiver) {
    let mut config = EngineConfig::new(relay);
    config.timing = timing;
    let here = Fix::by_hand(Place::new(52.5163, 13.3777).unwrap());
    Engine::start(config, stream::iter([here]))
}

/// Waits for an event of interest.
async fn until<T>(events: &mut EventReceiver, mut wanted: impl FnMut(&Event) -> Option<T>) -> T {
    within(async {
        loop {
            let event = events.recv().await.expect("the engine goes on");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    })
    .await
}

fn offline(event: &Event) -> Option<OfflineReason> {
    match event {
        Event::Connection(ConnectionState::Offline { reason, .. }) => Some(reason.clone()),
        _ => None,
    }
}

fn online(event: &Event) -> Option<()> {
    matches!(event, Event::Connection(ConnectionState::Online)).then_some(())
}

fn reach(count: u32) -> Vec<Reach> {
    vec![Reach { radius: 500, count }]
}

#[tokio::test]
async fn a_relay_that_falls_silent_is_left_and_the_session_resumed() {
    let (url, mut sockets) = relay().await;
    let timing = Timing {
        silence: Duration::from_millis(300),
        ..Timing::default()
    };
    let (_handle, mut events) = start(url, timing);
    let (_silent, session) = welcome(&mut sockets, false).await;
    until(&mut events, online).await;
    assert_eq!(until(&mut events, offline).await, OfflineReason::Silent);
    let (mut socket, again) = welcome(&mut sockets, true).await;
    assert_eq!(session, again);
    until(&mut events, online).await;
    // The relay never acknowledged the place, so nobody can say whether it knows it.
    let locate = next_frame(&mut socket).await;
    assert!(matches!(locate, ClientFrame::Locate(Locate { .. })));
}

#[tokio::test]
async fn pings_alone_keep_a_connection_alive() {
    let (url, mut sockets) = relay().await;
    let timing = Timing {
        silence: Duration::from_millis(500),
        ..Timing::default()
    };
    let (_handle, mut events) = start(url, timing);
    let (mut socket, _) = welcome(&mut sockets, false).await;
    until(&mut events, online).await;
    // Each ping is answered, and together they last far longer than silence may.
    let mut pings = tokio::time::interval(Duration::from_millis(100));
    for i in 0..20u8 {
        pings.tick().await;
        socket.send(Message::Ping(vec![i].into())).await.unwrap();
        loop {
            match within(socket.next()).await.unwrap().unwrap() {
                Message::Pong(data) if data[..] == [i] => break,
                Message::Text(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
    while let Some(event) = events.try_recv() {
        assert_eq!(offline(&event), None);
    }
}

#[tokio::test]
async fn a_relay_that_never_welcomes_or_never_answers_is_given_up() {
    let timing = Timing {
        connect: Duration::from_millis(300),
        ..Timing::default()
    };
    let (url, mut sockets) = relay().await;
    let (_handle, mut events) = start(url, timing);
    let _mute = within(sockets.recv()).await.unwrap();
    assert_eq!(until(&mut events, offline).await, OfflineReason::Silent);

    // The system accepts connections for a listener that nobody attends to.
    let (_listener, url) = listen().await;
    let (_handle, mut events) = start(url, timing);
    let reason = until(&mut events, offline).await;
    assert!(
        matches!(reason, OfflineReason::Unreachable { .. }),
        "{reason:?}"
    );
}

#[tokio::test]
async fn what_is_no_relay_is_called_so() {
    for (status, body) in [
        ("200 OK", "<html>Welcome to our hotel</html>"),
        ("404 Not Found", "nothing here"),
    ] {
        let (listener, url) = listen().await;
        let (_handle, mut events) = start(url, Timing::default());
        let (mut stream, _) = within(listener.accept()).await.unwrap();
        answer(&mut stream, status, body).await;
        let reason = until(&mut events, offline).await;
        assert!(
            matches!(reason, OfflineReason::NotARelay { .. }),
            "{reason:?}"
        );
    }
    // One that does not speak TLS where it should.
    let (url, _sockets) = relay().await;
    let url = RelayUrl::parse(&url.to_string().replace("http://", "https://")).unwrap();
    let timing = Timing {
        connect: Duration::from_millis(500),
        ..Timing::default()
    };
    let (_handle, mut events) = start(url, timing);
    let reason = until(&mut events, offline).await;
    assert!(
        matches!(reason, OfflineReason::Unreachable { .. }),
        "{reason:?}"
    );
}

#[tokio::test]
async fn a_relay_of_another_version_is_not_asked_again() {
    let (url, mut sockets) = relay().await;
    let (_handle, mut events) = start(url, Timing::default());
    let mut socket = within(sockets.recv()).await.unwrap();
    next_frame(&mut socket).await;
    let close = CloseFrame {
        code: 4_400.into(),
        reason: "".into(),
    };
    socket.close(Some(close)).await.unwrap();
    let reason = until(&mut events, |event| match event {
        Event::Connection(ConnectionState::Stopped { reason }) => Some(reason.clone()),
        _ => None,
    })
    .await;
    assert_eq!(reason, StopReason::UnsupportedProtocol);
}

#[tokio::test]
async fn what_cannot_be_understood_harms_nothing() {
    let (url, mut sockets) = relay().await;
    let (_handle, mut events) = start(url, Timing::default());
    let (mut socket, _) = welcome(&mut sockets, false).await;
    for garbage in [
        Message::text("not JSON"),
        Message::text(r#"{"type":"dance","tune":"waltz"}"#),
        Message::text(r#"{"type":"person_left","peer_id":"nobody"}"#),
        Message::text(r#"{"type":"message","text":"\u001b[2J"}"#),
        Message::binary(vec![0; 8]),
    ] {
        socket.send(garbage).await.unwrap();
    }
    send(&mut socket, &ServerFrame::Reach { reach: reach(7) }).await;
    until(&mut events, |event| {
        assert_eq!(offline(event), None);
        matches!(event, Event::Reach { reach: told } if *told == reach(7)).then_some(())
    })
    .await;
}

/// Nobody takes the events, and the relay has a lot to say: the engine goes on, memory stays bounded,
/// and one snapshot says how things stand.
#[tokio::test]
async fn whoever_takes_no_events_gets_a_snapshot_in_the_end() {
    const FRAMES: u32 = 20_000;
    let (url, mut sockets) = relay().await;
    let (handle, mut events) = start(url, Timing::default());
    let (mut socket, _) = welcome(&mut sockets, false).await;
    let first = next_frame(&mut socket).await;
    assert!(matches!(first, ClientFrame::Locate(_)));
    // It takes commands too, once it goes on; this one waits for the answer to the first place.
    let wider = Radius::new(700).unwrap();
    let asked = tokio::spawn(async move {
        let _ = handle.send(Command::SetRadius { radius: wider }).await;
        handle
    });
    // Written in full only if the engine reads on.
    within(async {
        for count in 1..=FRAMES {
            let frame = ServerFrame::Reach {
                reach: reach(count),
            };
            socket.feed(Message::text(frame.to_json())).await.unwrap();
        }
        let located = ServerFrame::Located {
            geohash_prefix: "u33d".into(),
            radius: Radius::new(500).unwrap(),
            grid_m: 100,
        };
        send(&mut socket, &located).await;
    })
    .await;
    // It tells of the wider circle when it has seen both the command and the last frame.
    while !matches!(next_frame(&mut socket).await, ClientFrame::Locate(l) if l.radius == wider) {}
    let _handle = within(asked).await.unwrap();
    let mut before = 0u32;
    let snapshot = until(&mut events, |event| match event {
        Event::Snapshot(snapshot) => Some(snapshot.clone()),
        _ => {
            before += 1;
            None
        }
    })
    .await;
    assert!(before <= 1_024, "{before}");
    assert!(
        snapshot.missed > u64::from(FRAMES) - 1_100,
        "{}",
        snapshot.missed
    );
    assert_eq!(snapshot.connection, ConnectionState::Online);
    assert_eq!(snapshot.reach, reach(FRAMES));
    assert_eq!(snapshot.radius, wider);
    // From then on, nothing is missed.
    send(&mut socket, &ServerFrame::Reach { reach: reach(3) }).await;
    until(&mut events, |event| {
        matches!(event, Event::Reach { reach: told } if *told == reach(3)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn dropping_the_handle_or_the_receiver_ends_the_engine_with_a_goodbye() {
    for drop_handle in [true, false] {
        let (url, mut sockets) = relay().await;
        let (handle, mut events) = start(url, Timing::default());
        let (mut socket, _) = welcome(&mut sockets, false).await;
        until(&mut events, online).await;
        let _kept: Box<dyn std::any::Any> = if drop_handle {
            drop(handle);
            Box::new(events)
        } else {
            drop(events);
            Box::new(handle)
        };
        let code = within(async {
            loop {
                if let Message::Close(frame) = socket.next().await.unwrap().unwrap() {
                    return frame.map(|f| u16::from(f.code));
                }
            }
        })
        .await;
        assert_eq!(code, Some(1_000));
    }
}
