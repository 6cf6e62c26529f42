//! Connections between two peers in this process, over real sockets on loopback.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use neartalk_voice::{
    mesh::Policy,
    peer::{
        Candidate, DescriptionKind, Encoding, Event, Formats, IceServer, Opened, Packet, Payload,
        Peer, PeerConfig, PeerError, Signal, State, Stats,
    },
    red::{Packer, Red},
};
use tokio::{sync::mpsc, time::timeout};

/// Nothing here takes so long unless something is broken.
const GUARD: Duration = Duration::from_secs(20);

fn config(polite: bool) -> PeerConfig {
    PeerConfig {
        polite,
        addresses: vec!["127.0.0.1:0".parse().unwrap()],
        ..Default::default()
    }
}

async fn open(config: PeerConfig) -> Opened {
    Peer::open(config).await.unwrap()
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(GUARD, future).await {
        Ok(done) => done,
        Err(_) => panic!("{what} took more than {GUARD:?}"),
    }
}

/// Carries signals both ways until both sides are in the state `until`. Gives every signal carried.
async fn carry(a: &mut Opened, b: &mut Opened, until: State) -> Vec<Signal> {
    let mut states = [State::Connecting; 2];
    let mut carried = Vec::new();
    within("connecting", async {
        while states != [until; 2] {
            tokio::select! {
                event = a.events.recv() => pass(event, &b.peer, &mut states[0], &mut carried),
                event = b.events.recv() => pass(event, &a.peer, &mut states[1], &mut carried),
            }
        }
    })
    .await;
    carried
}

fn pass(event: Option<Event>, to: &Peer, state: &mut State, carried: &mut Vec<Signal>) {
    match event.expect("the peer lives") {
        Event::Signal(signal) => {
            carried.push(signal.clone());
            to.signal(signal).unwrap();
        }
        Event::State(new) => *state = new,
        Event::Report { .. } => {}
        Event::Foreign(signal) => panic!("{signal:?} is of this session"),
    }
}

async fn state(events: &mut mpsc::Receiver<Event>, until: State) {
    within("a change of state", async {
        while events.recv().await.expect("the peer lives") != Event::State(until) {}
    })
    .await;
}

/// Says something until the other side hears it: what is sent before the other side's keys are there
/// is lost.
async fn say(from: &mut Opened, to: &mut Opened) -> Packet {
    let red = from.peer.formats().unwrap();
    let mut packer = Packer::new(red.opus);
    let mut timestamp = 0;
    let mut bytes = Vec::new();
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    within("sound", async {
        loop {
            tokio::select! {
                _ = pace.tick() => {
                    packer.pack(timestamp, &timestamp.to_be_bytes(), 2, &mut bytes);
                    from.sender.send(Payload {
                        encoding: Encoding::Red,
                        timestamp,
                        marker: timestamp == 0,
                        bytes: Bytes::copy_from_slice(&bytes),
                    });
                    timestamp += 960;
                }
                packet = to.packets.recv() => return packet.expect("the peer lives"),
            }
        }
    })
    .await
}

/// That redundancy comes as it was sent, for some packets in a row.
async fn says_with_redundancy(from: &mut Opened, to: &mut Opened) {
    assert_eq!(
        from.peer.formats(),
        Some(Formats {
            opus: 111,
            red: Some(63)
        })
    );
    let mut last = say(from, to).await;
    for _ in 0..5 {
        let before = Instant::now();
        let packet = say_next(from, to, &last).await;
        assert!(packet.arrival >= before && packet.arrival <= Instant::now());
        assert_eq!(packet.encoding, Encoding::Red);
        assert_eq!(packet.stream, last.stream);
        let red = Red::parse(&packet.payload).unwrap();
        assert_eq!(red.primary().payload_type, 111);
        assert_eq!(red.primary().payload, packet.timestamp.to_be_bytes());
        let [old] = red.redundant() else {
            panic!("{red:?}");
        };
        assert_eq!(old.payload, (packet.timestamp - 960).to_be_bytes());
        assert_eq!(old.offset, 960);
        last = packet;
    }
}

async fn say_next(from: &mut Opened, to: &mut Opened, last: &Packet) -> Packet {
    // What is still on the way of the first ones.
    while to.packets.try_recv().is_some() {}
    let timestamp = last.timestamp + 100_000;
    let mut packer = Packer::new(111);
    let mut bytes = Vec::new();
    packer.pack(
        timestamp - 960,
        &(timestamp - 960).to_be_bytes(),
        1,
        &mut bytes,
    );
    packer.pack(timestamp, &timestamp.to_be_bytes(), 1, &mut bytes);
    from.sender.send(Payload {
        encoding: Encoding::Red,
        timestamp,
        marker: false,
        bytes: bytes.into(),
    });
    within("sound", async {
        loop {
            let packet = to.packets.recv().await.expect("the peer lives");
            if packet.timestamp == timestamp {
                return packet;
            }
        }
    })
    .await
}

async fn close(a: Opened, b: Opened) {
    within("closing", async {
        a.peer.close().await;
        b.peer.close().await;
    })
    .await;
}

#[tokio::test]
async fn either_side_may_offer() {
    for polite in [false, true] {
        let (mut a, mut b) = (open(config(polite)).await, open(config(!polite)).await);
        a.peer.offer().unwrap();
        let carried = carry(&mut a, &mut b, State::Connected).await;
        // Which a browser must be able to place.
        for signal in carried {
            if let Signal::Candidate(candidate) = signal {
                assert_ne!(candidate.sdp_mid.as_deref(), Some(""));
                assert_eq!(candidate.sdp_m_line_index, Some(0));
            }
        }
        says_with_redundancy(&mut a, &mut b).await;
        says_with_redundancy(&mut b, &mut a).await;
        close(a, b).await;
    }
}

#[tokio::test]
async fn it_opens_on_whatever_addresses_there_are() {
    let mut a = open(PeerConfig::default()).await;
    a.peer.offer().unwrap();
    let offer = within("an offer", a.events.recv()).await;
    let is_offer = matches!(
        offer,
        Some(Event::Signal(Signal::Description {
            kind: DescriptionKind::Offer,
            ..
        }))
    );
    assert!(is_offer, "{offer:?}");
    within("closing", a.peer.close()).await;
}

#[tokio::test]
async fn offers_that_cross_make_one_connection() {
    for polite in [false, true] {
        let (mut a, mut b) = (open(config(polite)).await, open(config(!polite)).await);
        a.peer.offer().unwrap();
        b.peer.offer().unwrap();
        // Neither has seen the other's before it made its own.
        let first = [a.events.recv().await, b.events.recv().await].map(Option::unwrap);
        let [Event::Signal(from_a), Event::Signal(from_b)] = first else {
            panic!("{first:?}");
        };
        for signal in [&from_a, &from_b] {
            let is_offer = matches!(
                signal,
                Signal::Description {
                    kind: DescriptionKind::Offer,
                    ..
                }
            );
            assert!(is_offer, "{signal:?}");
        }
        b.peer.signal(from_a).unwrap();
        a.peer.signal(from_b).unwrap();
        let carried = carry(&mut a, &mut b, State::Connected).await;
        let answers = carried.iter().filter(|signal| {
            matches!(
                signal,
                Signal::Description {
                    kind: DescriptionKind::Answer,
                    ..
                }
            )
        });
        assert_eq!(answers.count(), 1);
        says_with_redundancy(&mut a, &mut b).await;
        says_with_redundancy(&mut b, &mut a).await;
        close(a, b).await;
    }
}

#[tokio::test]
async fn without_redundancy_it_is_plain_opus() {
    for offerer_takes_it in [false, true] {
        let with = |polite, red| PeerConfig {
            red,
            ..config(polite)
        };
        let mut a = open(with(false, offerer_takes_it)).await;
        let mut b = open(with(true, !offerer_takes_it)).await;
        a.peer.offer().unwrap();
        carry(&mut a, &mut b, State::Connected).await;
        assert_eq!(
            a.peer.formats(),
            Some(Formats {
                opus: 111,
                red: None
            })
        );
        let packet = say(&mut a, &mut b).await;
        assert_eq!(packet.encoding, Encoding::Opus);
        assert_eq!(packet.payload, packet.timestamp.to_be_bytes().to_vec());
        close(a, b).await;
    }
}

#[tokio::test]
async fn a_peer_that_closes_is_noticed() {
    let (mut a, mut b) = (open(config(false)).await, open(config(true)).await);
    a.peer.offer().unwrap();
    carry(&mut a, &mut b, State::Connected).await;
    let began = Instant::now();
    // No `bye`: as if its process had ended.
    a.peer.close().await;
    let noticed = within("noticing", async {
        loop {
            let event = b.events.recv().await.expect("the peer lives");
            if let Event::State(state @ (State::Interrupted | State::Failed | State::Closed)) =
                event
            {
                return state;
            }
        }
    })
    .await;
    println!(
        "a peer that is gone is noticed ({noticed:?}) after {:?}",
        began.elapsed()
    );
    b.peer.close().await;
}

#[tokio::test]
async fn a_bye_closes() {
    let mut a = open(config(false)).await;
    a.peer.signal(Signal::Bye).unwrap();
    state(&mut a.events, State::Closed).await;
    within("the end of its queues", async {
        assert!(a.packets.recv().await.is_none());
        assert!(a.events.recv().await.is_none());
    })
    .await;
    a.peer.close().await;
}

#[tokio::test]
async fn an_ice_restart_goes_on_with_the_same_session() {
    let (mut a, mut b) = (open(config(false)).await, open(config(true)).await);
    a.peer.offer().unwrap();
    let carried = carry(&mut a, &mut b, State::Connected).await;
    let before = say(&mut a, &mut b).await;
    let ufrags = |signals: &[Signal]| -> Vec<String> {
        signals
            .iter()
            .filter_map(|signal| match signal {
                Signal::Description { sdp, .. } => sdp
                    .lines()
                    .find_map(|line| line.strip_prefix("a=ice-ufrag:"))
                    .map(str::to_owned),
                _ => None,
            })
            .collect()
    };
    let old = ufrags(&carried);
    for restarts in [0, 1] {
        let mut pair = [&mut a, &mut b];
        pair[restarts].peer.restart_ice().unwrap();
        // Sound comes over the new way when the answer and the candidates are through.
        let mut carried = Vec::new();
        let mut ignored = [State::Connected; 2];
        within("a restart", async {
            while ufrags(&carried).len() < 2 {
                let [x, y] = &mut pair;
                tokio::select! {
                    event = x.events.recv() => pass(event, &y.peer, &mut ignored[0], &mut carried),
                    event = y.events.recv() => pass(event, &x.peer, &mut ignored[1], &mut carried),
                }
            }
        })
        .await;
        let new = ufrags(&carried);
        assert!(
            new.iter().all(|ufrag| !old.contains(ufrag)),
            "{old:?} {new:?}"
        );
        let [x, y] = pair;
        let heard = hear_while_carrying(x, y, before.timestamp + 500_000).await;
        assert_eq!(heard.stream, before.stream);
    }
    close(a, b).await;
}

/// Carries signals and says things until the other side hears them.
async fn hear_while_carrying(a: &mut Opened, b: &mut Opened, from: u32) -> Packet {
    let mut ignored = [State::Connected; 2];
    let mut carried = Vec::new();
    let mut timestamp = from;
    let mut pace = tokio::time::interval(Duration::from_millis(20));
    while b.packets.try_recv().is_some() {}
    within("sound after a restart", async {
        loop {
            tokio::select! {
                event = a.events.recv() => pass(event, &b.peer, &mut ignored[0], &mut carried),
                event = b.events.recv() => pass(event, &a.peer, &mut ignored[1], &mut carried),
                _ = pace.tick() => {
                    a.sender.send(Payload {
                        encoding: Encoding::Opus,
                        timestamp,
                        marker: false,
                        bytes: Bytes::from_static(b"sound"),
                    });
                    timestamp += 960;
                }
                packet = b.packets.recv() => {
                    let packet = packet.expect("the peer lives");
                    if packet.timestamp >= from {
                        return packet;
                    }
                }
            }
        }
    })
    .await
}

#[tokio::test]
async fn an_offer_of_another_session_is_handed_back() {
    let (mut a, mut b) = (open(config(false)).await, open(config(true)).await);
    a.peer.offer().unwrap();
    carry(&mut a, &mut b, State::Connected).await;
    let mut later = open(config(false)).await;
    later.peer.offer().unwrap();
    let Some(Event::Signal(offer)) = later.events.recv().await else {
        panic!("no offer");
    };
    b.peer.signal(offer.clone()).unwrap();
    within("handing back", async {
        while b.events.recv().await.expect("the peer lives") != Event::Foreign(offer.clone()) {}
    })
    .await;
    // What there was goes on.
    say(&mut a, &mut b).await;
    // A new connection takes it.
    let mut anew = open(config(true)).await;
    anew.peer.signal(offer).unwrap();
    carry(&mut later, &mut anew, State::Connected).await;
    close(a, b).await;
    close(later, anew).await;
}

#[tokio::test]
async fn hiding_needs_a_relay() {
    let urls = [
        vec![],
        vec!["stun:127.0.0.1:3478".to_owned()],
        vec!["turn:127.0.0.1:3478?transport=tcp".to_owned()],
        vec!["turns:127.0.0.1:5349".to_owned()],
    ];
    for urls in urls {
        let opened = Peer::open(PeerConfig {
            policy: Policy::RelayOnly,
            ice_servers: vec![IceServer {
                urls,
                username: "name".to_owned(),
                credential: "secret".to_owned(),
            }],
            ..config(false)
        })
        .await;
        assert!(matches!(opened, Err(PeerError::NoRelay)), "{opened:?}");
    }
}

#[tokio::test]
async fn only_over_a_relay_that_does_not_answer_tells_nothing() {
    let relay = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let relay_only = |polite, addresses| PeerConfig {
        polite,
        policy: Policy::RelayOnly,
        addresses,
        ice_servers: vec![IceServer {
            urls: vec![format!("turn:{}", relay.local_addr().unwrap())],
            username: "name".to_owned(),
            credential: "secret".to_owned(),
        }],
        ..Default::default()
    };
    let mut a = open(relay_only(false, config(false).addresses)).await;
    // On another address too, of which the other side shall learn nothing either.
    let everywhere = ["127.0.0.1:0", "127.0.0.2:0"].map(|address| address.parse().unwrap());
    let mut b = open(relay_only(true, everywhere.to_vec())).await;
    a.peer.offer().unwrap();
    let mut signals = Vec::new();
    let mut asking = BTreeSet::new();
    let mut buffer = [0; 1_500];
    // All sockets have asked the relay for an address, so all that could be told without one has been.
    within("asking the relay", async {
        while asking.len() < 3 {
            let (event, to) = tokio::select! {
                event = a.events.recv() => (event, &b.peer),
                event = b.events.recv() => (event, &a.peer),
                asked = relay.recv_from(&mut buffer) => {
                    asking.insert(asked.unwrap().1);
                    continue;
                }
            };
            if let Event::Signal(signal) = event.expect("the peer lives") {
                to.signal(signal.clone()).unwrap();
                signals.push(signal);
            }
        }
    })
    .await;
    for mut opened in [a, b] {
        opened.peer.close().await;
        while let Some(event) = opened.events.recv().await {
            if let Event::Signal(signal) = event {
                signals.push(signal);
            }
        }
    }
    let mut descriptions = 0;
    for signal in &signals {
        match signal {
            Signal::Description { sdp, .. } => {
                descriptions += 1;
                assert!(!sdp.contains("a=candidate"), "{sdp}");
                assert!(!sdp.contains("127.0.0"), "{sdp}");
                assert!(sdp.contains("c=IN IP4 0.0.0.0"), "{sdp}");
            }
            Signal::Candidate(candidate) => assert_eq!(candidate.candidate, ""),
            Signal::Bye => panic!("nobody said so"),
        }
    }
    assert_eq!(descriptions, 2);
}

#[tokio::test]
async fn a_scrubbed_description_is_one_that_connects() {
    let (mut a, mut b) = (open(config(false)).await, open(config(true)).await);
    a.peer.offer().unwrap();
    let Some(Event::Signal(Signal::Description { kind, sdp })) = a.events.recv().await else {
        panic!("no offer");
    };
    let sdp = neartalk_voice::peer::scrub::description(&sdp);
    b.peer.signal(Signal::Description { kind, sdp }).unwrap();
    carry(&mut a, &mut b, State::Connected).await;
    says_with_redundancy(&mut a, &mut b).await;
    close(a, b).await;
}

#[tokio::test]
async fn what_cannot_be_read_fails_or_is_passed_over() {
    let mut a = open(config(false)).await;
    for candidate in ["nonsense", "candidate:1 1 udp 1 999.0.0.1 1 typ host"] {
        a.peer
            .signal(Signal::Candidate(Candidate {
                candidate: candidate.to_owned(),
                sdp_mid: None,
                sdp_m_line_index: None,
            }))
            .unwrap();
    }
    for kind in [DescriptionKind::Answer, DescriptionKind::Offer] {
        let sdp = "v=0\r\nnonsense".to_owned();
        a.peer.signal(Signal::Description { kind, sdp }).unwrap();
    }
    state(&mut a.events, State::Failed).await;
    a.peer.close().await;
}

#[tokio::test]
async fn the_sender_learns_in_what_rows_packets_are_lost() {
    let (mut a, mut b) = (open(config(false)).await, open(config(true)).await);
    a.peer.offer().unwrap();
    carry(&mut a, &mut b, State::Connected).await;
    let report = within("reports of loss", async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut timestamp = 0;
        loop {
            pace.tick().await;
            // More at once than its queue holds: the first three are dropped and are a gap in the numbers.
            let burst = timestamp % (960 * 25) == 0;
            for _ in 0..if burst { 19 } else { 1 } {
                a.sender.send(Payload {
                    encoding: Encoding::Opus,
                    timestamp,
                    marker: false,
                    bytes: Bytes::from_static(b"sound"),
                });
            }
            timestamp += 960;
            while let Ok(event) = a.events.try_recv() {
                if let Event::Report { report, .. } = event
                    && report.burst > 1.0
                {
                    return report;
                }
            }
        }
    })
    .await;
    println!("{report:?}");
    assert_eq!(report.burst, 3.0);
    assert!(report.loss > 0.0 && report.round_trip.is_some());
    close(a, b).await;
}

#[tokio::test]
async fn statistics_tell_of_delay_and_loss() {
    let (mut a, mut b) = (open(config(false)).await, open(config(true)).await);
    a.peer.offer().unwrap();
    carry(&mut a, &mut b, State::Connected).await;
    let stats = within("reports", async {
        let mut pace = tokio::time::interval(Duration::from_millis(20));
        let mut timestamp = 0;
        loop {
            pace.tick().await;
            a.sender.send(Payload {
                encoding: Encoding::Opus,
                timestamp,
                marker: false,
                bytes: Bytes::from_static(b"sound"),
            });
            timestamp += 960;
            let stats = a.peer.stats();
            if stats.send_loss.is_some() && stats.rtt.is_some() {
                return stats;
            }
        }
    })
    .await;
    println!("{stats:?}; the other side: {:?}", b.peer.stats());
    assert_eq!(stats.send_loss, Some(0.0));
    assert_eq!(stats.relayed, Some(false));
    assert!(stats.rtt.unwrap() < Duration::from_secs(1));
    let theirs: Stats = b.peer.stats();
    assert!(theirs.received > 10, "{theirs:?}");
    assert_eq!(theirs.receive_lost, 0);
    close(a, b).await;
}
