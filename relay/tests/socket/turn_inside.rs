//! The TURN server inside the relay, as coturn's client and strangers find it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Instant,
};

use neartalk_rig::turn::{Allocation, Exchange, allocate, exchange};
use neartalk_shared::frame::IceServer;
use tokio::{net::UdpSocket, time::timeout};

use crate::{
    common::{GUARD, Person, Relay, beside, poll, within},
    turn::{credentials, ice_servers},
};

const INSIDE: [&str; 2] = ["--turn-listen", "127.0.0.1:0"];

/// A relay with a TURN server inside.
fn relay(flags: &[&str]) -> Relay {
    Relay::start(&[&INSIDE[..], flags].concat())
}

/// Where that is, as those who join voice are told.
fn address(servers: &[IceServer]) -> SocketAddr {
    let [stun, turn] = servers else {
        panic!("{servers:?}");
    };
    let server = turn.urls[0].strip_prefix("turn:").unwrap();
    assert_eq!(stun.urls, [format!("stun:{server}")]);
    assert_eq!(stun.credential, None);
    server.parse().unwrap()
}

/// Somebody in voice, and what there is to connect through.
async fn in_voice(relay: &Relay) -> (Person, Vec<IceServer>) {
    let mut fox = Person::at(relay, &relay.api(), "Fox", beside(0), 500).await;
    let servers = ice_servers(&mut fox).await;
    (fox, servers)
}

/// Runs what waits for another program.
async fn beside_the_others<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// What coturn's client is told with these credentials, or what it says when it is told something else
/// than that they are good or not.
async fn asked(
    servers: &[IceServer],
    change: impl Fn(&str, &str) -> (String, String),
) -> Result<Allocation, String> {
    let server = address(servers);
    let (username, credential) = credentials(servers);
    let (username, credential) = change(username, credential);
    beside_the_others(move || allocate(server, &username, &credential))
        .await
        .map_err(|error| error.to_string())
}

async fn asked_as_told(servers: &[IceServer]) -> Result<Allocation, String> {
    asked(servers, |username, credential| {
        (username.into(), credential.into())
    })
    .await
}

#[tokio::test]
async fn coturns_client_talks_through_it_and_nothing_is_lost() {
    let relay = relay(&["--log", "trace"]);
    let (fox, servers) = in_voice(&relay).await;
    let server = address(&servers);
    let (username, credential) = credentials(&servers);
    assert!(!username.contains(&fox.id().to_string()), "{username}");
    let owned = (username.to_owned(), credential.to_owned());
    let exchanged =
        beside_the_others(move || exchange(server, (&owned.0, &owned.1), 6, 50).unwrap());
    let expected = Exchange {
        sent: 300,
        received: 300,
    };
    assert_eq!(exchanged.await, expected);
    let metrics = relay.metrics().await;
    assert!(metrics.sum("neartalk_turn_packets_total", &[]) >= 300.0);
    assert!(metrics.sum("neartalk_turn_bytes_total", &[]) >= 30_000.0);
    // It tries some before.
    let granted = metrics.sum("neartalk_turn_allocations_granted_total", &[]);
    assert!(granted >= 6.0, "{granted}");

    // Strangers' packets are not worth a line each, and nobody's address is told.
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for packet in [
        &[0; 20][..],
        &[0, 1, 0, 4, 0x21, 0x12, 0xa4, 0x42],
        &[0x40, 0, 0, 9],
    ] {
        stranger.send_to(packet, server).await.unwrap();
    }
    poll("the packets' end", async || {
        let metrics = relay.metrics().await;
        let malformed = metrics.sum("neartalk_turn_refusals_total", &["reason=\"malformed\""]);
        (malformed == 3.0).then_some(())
    })
    .await;
    let printed = relay.output();
    assert!(printed.contains("DEBUG"), "{printed}");
    let own = stranger.local_addr().unwrap().port().to_string();
    for secret in ["stun_types", "turn_types", username, credential, &own] {
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
}

#[tokio::test]
async fn only_whoever_joined_voice_is_served_and_only_for_a_while() {
    // Coturn's client leaves places behind.
    let flags = ["--turn-ttl", "3s", "--turn-session-allocations", "1000"];
    let relay = relay(&flags);
    let (mut fox, servers) = in_voice(&relay).await;
    assert_eq!(asked_as_told(&servers).await, Ok(Allocation::Granted));
    let longer = |username: &str, credential: &str| {
        let id = username.split_once(':').unwrap().1;
        (format!("4102444800:{id}"), credential.to_owned())
    };
    assert_eq!(asked(&servers, longer).await, Ok(Allocation::Refused));
    let forged =
        |username: &str, credential: &str| (username.to_owned(), credential.to_lowercase());
    assert_eq!(asked(&servers, forged).await, Ok(Allocation::Refused));
    poll("the credential's end", async || {
        (asked_as_told(&servers).await == Ok(Allocation::Refused)).then_some(())
    })
    .await;
    let metrics = relay.metrics().await;
    assert!(metrics.sum("neartalk_turn_refusals_total", &["reason=\"expired\""]) > 0.0);
    let servers = ice_servers(&mut fox).await;
    assert_eq!(asked_as_told(&servers).await, Ok(Allocation::Granted));
}

#[tokio::test]
async fn who_has_no_session_any_more_has_no_place_on_it_either() {
    let relay = relay(&["--session-ttl", "2s"]);
    let (fox, servers) = in_voice(&relay).await;
    assert_eq!(asked_as_told(&servers).await, Ok(Allocation::Granted));
    assert!(relay.metrics().await.sum("neartalk_turn_allocations", &[]) > 0.0);
    drop(fox);
    poll("the session's end", async || {
        let metrics = relay.metrics().await;
        (metrics.get("neartalk_sessions", &[]) == Some(0.0)).then_some(())
    })
    .await;
    assert_eq!(asked_as_told(&servers).await, Ok(Allocation::Refused));
    let metrics = relay.metrics().await;
    assert_eq!(metrics.get("neartalk_turn_allocations", &[]), Some(0.0));
    assert!(
        metrics.sum(
            "neartalk_turn_refusals_total",
            &["reason=\"session_ended\""]
        ) > 0.0
    );
}

#[tokio::test]
async fn its_limits_are_those_that_flags_set() {
    let relay = relay(&[
        "--turn-session-allocations",
        "1",
        "--turn-max-allocations",
        "1",
    ]);
    let (_fox, foxes) = in_voice(&relay).await;
    let (_owl, owls) = in_voice(&relay).await;
    // It goes away without giving its place back.
    assert_eq!(asked_as_told(&foxes).await, Ok(Allocation::Granted));
    let said = asked_as_told(&foxes).await.unwrap_err();
    assert!(said.contains("486"), "{said}");
    let said = asked_as_told(&owls).await.unwrap_err();
    assert!(said.contains("508"), "{said}");
}

#[tokio::test]
async fn what_is_more_than_its_bandwidth_is_dropped_and_counted() {
    const CLIENTS: u32 = 6;
    const PACKETS: u32 = 50;
    const BYTES: u64 = 100;
    // 8 kbit are 1,000 bytes, a fifth of what each sends in that second.
    let limits = [
        ("--turn-kbps", "allocation_bandwidth", u64::from(CLIENTS)),
        ("--turn-total-kbps", "total_bandwidth", 1),
    ];
    for (flag, over, allowances) in limits {
        let relay = relay(&[flag, "8"]);
        let (_fox, servers) = in_voice(&relay).await;
        let server = address(&servers);
        let (username, credential) = credentials(&servers);
        let owned = (username.to_owned(), credential.to_owned());
        let begun = Instant::now();
        let Exchange { sent, received } = beside_the_others(move || {
            exchange(server, (&owned.0, &owned.1), CLIENTS, PACKETS).unwrap()
        })
        .await;
        assert_eq!(sent, u64::from(CLIENTS * PACKETS));
        // A second's worth at once, the packet that exceeds it, and then as time goes by.
        let seconds = begun.elapsed().as_secs() + 2;
        let most = allowances * (1_000 * seconds + BYTES);
        let bytes = received * BYTES;
        assert!(
            (1_000..=most).contains(&bytes) && received < sent,
            "{flag} 8 let {received} of {sent} packets through in {seconds} s"
        );
        // Whatever is missing was dropped for this reason, and nothing for the other one.
        let metrics = relay.metrics().await;
        let dropped = |reason| {
            let label = format!("reason=\"{reason}\"");
            metrics.sum("neartalk_turn_refusals_total", &[&label])
        };
        assert!(dropped(over) >= (sent - received) as f64, "{}", metrics.0);
        for (_, other, _) in limits {
            assert!(other == over || dropped(other) == 0.0, "{}", metrics.0);
        }
    }
}

/// Asks for an address of its own, as nobody refuses.
async fn answers(socket: &UdpSocket, server: SocketAddr) {
    let request = [
        0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ];
    let mut answer = [0; 128];
    within("an answer", async {
        loop {
            socket.send_to(&request, server).await.unwrap();
            let received = timeout(GUARD / 10, socket.recv_from(&mut answer)).await;
            if received.is_ok_and(|received| received.is_ok()) && answer[..2] == [1, 1] {
                return;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_flood_of_requests_without_credentials_leaves_memory_as_it_was() {
    const REQUESTS: usize = 300_000;
    const SOCKETS: u8 = 200;
    let relay = relay(&[]);
    let (_fox, servers) = in_voice(&relay).await;
    let server = address(&servers);
    // An Allocate, with REQUESTED-TRANSPORT.
    let mut request =
        *b"\x00\x03\x00\x08\x21\x12\xa4\x42............\x00\x19\x00\x04\x11\x00\x00\x00";
    let mut sockets = Vec::new();
    for n in 1..=SOCKETS {
        // Each has an address of its own; all are this machine's.
        let from = Ipv4Addr::new(127, 9, n, n);
        sockets.push(UdpSocket::bind((from, 0)).await.unwrap());
    }
    let watcher = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let flood = async |range: std::ops::Range<usize>, request: &mut [u8; 28]| {
        for n in range {
            request[8..16].copy_from_slice(&n.to_be_bytes());
            let socket = &sockets[n % sockets.len()];
            socket.send_to(&request[..], server).await.unwrap();
            // No more at once than fit into the server's socket.
            if n % 100 == 0 {
                answers(&watcher, server).await;
            }
        }
        answers(&watcher, server).await;
    };
    // What it takes once, it has taken.
    flood(0..10_000, &mut request).await;
    let before = relay.resident_bytes();
    flood(10_000..10_000 + REQUESTS, &mut request).await;
    let after = relay.resident_bytes();
    let metrics = relay.metrics().await;
    let refused = metrics.sum(
        "neartalk_turn_refusals_total",
        &["reason=\"no_credentials\""],
    );
    println!("{refused} refused; {before} bytes before, {after} after");
    assert!(refused >= REQUESTS as f64, "{refused}");
    assert_eq!(metrics.get("neartalk_turn_allocations", &[]), Some(0.0));
    assert!(
        after < before + 1_000_000,
        "{before} bytes before, {after} after"
    );
    // And whoever has credentials is served as before.
    assert_eq!(asked_as_told(&servers).await, Ok(Allocation::Granted));
}

#[tokio::test]
async fn everybody_reaches_it_at_the_address_that_it_is_told_to_name() {
    let relay = Relay::start(&[
        "--turn-listen",
        "[::]:0",
        "--turn-external-ip",
        "127.0.0.1,::1",
    ]);
    let (_fox, servers) = in_voice(&relay).await;
    let [stun, _] = &servers[..] else {
        panic!("{servers:?}");
    };
    assert_eq!(stun.urls.len(), 2);
    for (url, own) in stun.urls.iter().zip(["127.0.0.1:0", "[::1]:0"]) {
        let server = url.strip_prefix("stun:").unwrap().parse().unwrap();
        let socket = UdpSocket::bind(own).await.unwrap();
        answers(&socket, server).await;
    }
    assert!(relay.output().contains("TURN and STUN on udp://"));
}
