//! A relay may die or be cut off after any command that it sends to Redis. Whatever is there by then
//! must have an end.

use std::collections::BTreeSet;

use neartalk_rig::redis::Redis;
use redis::Connection;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    common::{
        Person, Relay, beside,
        operator::{TOKEN, ask},
        within,
    },
    proxy,
    store::keys,
};

/// Where the first command of what a client of Redis sends ends: an array of strings, each with its
/// length before it (RESP). None if not all of it is there.
fn first_command(bytes: &[u8]) -> Option<usize> {
    let number = |at: usize, kind: u8| -> Option<(usize, usize)> {
        let rest = bytes.get(at..)?;
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        assert_eq!(rest[0], kind);
        let digits = std::str::from_utf8(&rest[1..end]).unwrap();
        Some((digits.parse().unwrap(), at + end + 2))
    };
    let (strings, mut at) = number(0, b'*')?;
    for _ in 0..strings {
        let (length, start) = number(at, b'$')?;
        at = start + length + 2;
    }
    (at <= bytes.len()).then_some(at)
}

/// The keys that have no end.
fn endless(connection: &mut Connection) -> Vec<String> {
    const NEVER: i64 = -1;
    let mut keys = keys(connection);
    keys.retain(|key| {
        let left: i64 = redis::cmd("PTTL").arg(key).query(connection).unwrap();
        left == NEVER
    });
    keys
}

#[tokio::test]
async fn every_key_has_an_end_after_each_single_command() {
    let redis = Redis::start(&[]).unwrap();
    let (address, mut sent) = proxy::tap(redis.address()).await;
    let url = format!("redis://{address}");
    let relay = Relay::start_with(&url, &["--admin-token", TOKEN]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", beside(0), 500).await;
    fox.say("on its way").await;
    owl.hears().await;
    fox.join_voice().await;
    fox.rename("Vixen").await;
    fox.locate(beside(1), 500).await;
    for (path, body) in [
        ("bans", json!({ "peer_id": owl.id(), "for_s": 600 })),
        ("closures", json!({ "geohash": "u2edk", "for_s": 600 })),
        (
            "announcements",
            json!({ "text": "Hear, hear", "for_s": 600 }),
        ),
    ] {
        let done = ask(&relay, Method::POST, path, Some(body)).await;
        done.expect::<Value>(201);
    }
    // Its end is told to Redis last of all.
    fox.leave().await;
    let mut relay = relay;
    relay.terminate();
    relay.wait().await;
    let mut stream = Vec::new();
    while let Some(bytes) = within("the end of the connection", sent.recv()).await {
        stream.extend(bytes);
    }

    // The same once more, one by one.
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
    let mut again = TcpStream::connect(redis.address()).await.unwrap();
    let (mut commands, mut kinds) = (0, BTreeSet::new());
    while let Some(end) = first_command(&stream) {
        let command: Vec<u8> = stream.drain(..end).collect();
        again.write_all(&command).await.unwrap();
        let marker = format!("done-{commands}.");
        let length = marker.len();
        let echo = format!("*2\r\n$4\r\nECHO\r\n${length}\r\n{marker}\r\n");
        again.write_all(echo.as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        while !answers
            .windows(length)
            .any(|part| part == marker.as_bytes())
        {
            let more = within("an answer", again.read_buf(&mut answers)).await;
            assert!(more.unwrap() > 0, "Redis has hung up");
        }
        let command = String::from_utf8_lossy(&command).replace("\r\n", " ");
        assert_eq!(endless(&mut connection), [""; 0], "after {command}");
        let all = keys(&mut connection);
        kinds.extend(
            all.iter()
                .filter_map(|key| Some(key.split(':').nth(2)?.to_owned())),
        );
        commands += 1;
    }
    assert!(stream.is_empty() && commands > 30, "{commands} commands");
    for kind in [
        "session", "place", "people", "message", "messages", "nodes", "rulings",
    ] {
        assert!(kinds.contains(kind), "no {kind} among {kinds:?}");
    }
}
