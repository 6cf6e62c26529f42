//! Everything that is refused, and with what.

use super::*;

#[test]
fn only_credentials_that_were_issued_are_good() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    let owl = world.client("192.0.2.2:4000");
    let longer = Username::new(fox.user, 2 * DAY, world.now).to_string();
    let forgeries: [(&str, Client); 6] = [
        (
            "another password",
            Client {
                password: "hush".into(),
                ..fox.clone()
            },
        ),
        (
            "another's password",
            Client {
                password: owl.password.clone(),
                ..fox.clone()
            },
        ),
        (
            "another's name",
            Client {
                username: owl.username.clone(),
                ..fox.clone()
            },
        ),
        (
            "a longer time",
            Client {
                username: longer,
                ..fox.clone()
            },
        ),
        (
            "no such name",
            Client {
                username: "fox".into(),
                ..fox.clone()
            },
        ),
        (
            "another realm",
            Client {
                realm: "example.org".into(),
                ..fox.clone()
            },
        ),
    ];
    let wrong = forgeries.len() as u64;
    for (what, mut client) in forgeries {
        let reply = world.does(&mut client, ALLOCATE, |_| vec![udp()]);
        assert_eq!(reply.code(), Some(401), "{what}");
        assert!(reply.nonce().is_some(), "{what}");
    }
    assert_eq!(world.refused("wrong_credentials"), wrong);
    // A byte of it changed on the way.
    fox.nonce = world.core.nonces.make(fox.at, world.now);
    let request = fox.request(ALLOCATE, |_| vec![udp()]);
    for byte in [20 + 4, 20 + 8 + 4, request.len() - 8 - 1] {
        let mut forged = request[..request.len() - 8].to_vec();
        let length = (forged.len() - 20) as u16;
        forged[2..4].copy_from_slice(&length.to_be_bytes());
        forged[byte] ^= 1;
        assert_eq!(
            world.ask(fox.at, &forged).unwrap().code(),
            Some(401),
            "{byte}"
        );
    }
    assert_eq!(world.core.allocations.len(), 0);
    world.allocate(&mut fox);
}

#[test]
fn incomplete_credentials_are_a_bad_request() {
    let mut world = World::new();
    let fox = world.client("192.0.2.1:4000");
    let mut message = Message::builder_request(ALLOCATE, MessageWriteVec::new());
    message.add_attribute(udp().as_ref()).unwrap();
    message
        .add_message_integrity_with_key(&fox.key(), IntegrityAlgorithm::Sha1)
        .unwrap();
    let reply = world.ask(fox.at, &message.finish()).unwrap();
    assert_eq!((reply.code(), reply.nonce()), (Some(400), None));
}

#[test]
fn expired_credentials_are_refused_for_everything() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    let mut late = world.client_of(fox.user, "192.0.2.1:4001");
    let peer = world.allocate(&mut fox);
    world.passes(DAY.as_secs() - 700);
    // It has ended meanwhile; a new one lives no longer than what it was got with.
    world.allocate(&mut fox);
    assert_eq!(world.refresh(&mut fox, Some(3_600)), Ok(700));
    world.passes(200);
    assert_eq!(world.refresh(&mut fox, Some(3_600)), Ok(500));
    world.passes(499);
    assert_eq!(world.refresh(&mut fox, None), Ok(1));
    world.passes(1);
    assert_eq!(world.refresh(&mut fox, None), Err(401));
    assert_eq!(world.permit(&mut fox, &[peer]), Some(401));
    assert_eq!(world.bind(&mut fox, 0x4000, peer), Some(401));
    let reply = world.does(&mut late, ALLOCATE, |_| vec![udp()]);
    assert_eq!(reply.code(), Some(401));
    assert_eq!(world.refused("expired"), 4);
    // With fresh ones the same session goes on, with what it has.
    let again = world.client_of(fox.user, "192.0.2.1:4000");
    fox.username = again.username;
    fox.password = again.password;
    assert_eq!(world.refresh(&mut fox, None), Ok(600));
}

#[test]
fn a_session_that_has_ended_has_nothing_and_gets_nothing() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    let mut second = world.client_of(fox.user, "192.0.2.1:4001");
    let mut owl = world.client("192.0.2.2:4000");
    for client in [&mut fox, &mut second, &mut owl] {
        world.allocate(client);
    }
    world.core.forbid(fox.user);
    assert_eq!(world.core.allocations.len(), 1);
    assert_eq!(world.counted("neartalk_turn_allocations "), 1);
    assert_eq!(
        world.does(&mut fox, ALLOCATE, |_| vec![udp()]).code(),
        Some(401)
    );
    assert_eq!(world.refresh(&mut second, None), Err(401));
    assert_eq!(world.refused("session_ended"), 2);
    assert_eq!(world.refresh(&mut owl, None), Ok(600));
    // One that never was is no better, though its credentials are well signed.
    let nobody = UserId::random(&mut world.rng);
    let mut nobody = world.client_of(nobody, "192.0.2.3:4000");
    assert_eq!(
        world.does(&mut nobody, ALLOCATE, |_| vec![udp()]).code(),
        Some(401)
    );
}

#[test]
fn a_stale_or_strange_nonce_is_answered_with_a_fresh_one() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    let owl = world.client("192.0.2.2:4000");
    let strange = world.core.nonces.make(owl.at, world.now);
    let old = world.core.nonces.make(fox.at, world.now);
    world.passes(3_600);
    for nonce in [strange, old, "hello".to_owned()] {
        fox.nonce = nonce;
        let request = fox.request(ALLOCATE, |_| vec![udp()]);
        let reply = world.ask(fox.at, &request).unwrap();
        assert_eq!(reply.code(), Some(438));
        fox.nonce = reply.nonce().unwrap();
        let request = fox.request(REFRESH, |_| vec![]);
        let fresh = world.ask(fox.at, &request).unwrap();
        assert_eq!(fresh.code(), Some(437), "the nonce is good");
    }
    assert_eq!(world.refused("stale_nonce"), 3);
}

#[test]
fn what_is_not_spoken_here_is_said() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    let reply = world.does(&mut fox, ALLOCATE, |_| {
        vec![udp(), Box::new(DontFragment::new())]
    });
    assert_eq!(reply.code(), Some(420));
    let unknown = reply.message().attribute::<UnknownAttributes>().unwrap();
    assert!(unknown.has_attribute(DontFragment::TYPE));
    let request = bare(BINDING, &[&DontFragment::new()]);
    assert_eq!(world.ask(fox.at, &request).unwrap().code(), Some(420));

    type Attributes = fn() -> Vec<Box<dyn AttributeWrite>>;
    let cases: [(Attributes, u16); 3] = [
        (|| vec![], 400),
        // TCP.
        (|| vec![Box::new(RequestedTransport::new(6))], 442),
        (|| vec![udp(), Box::new(EvenPort::new(true))], 508),
    ];
    for (attributes, code) in cases {
        let reply = world.does(&mut fox, ALLOCATE, |_| attributes());
        assert_eq!(reply.code(), Some(code));
    }
    assert_eq!(world.core.allocations.len(), 0);
    let even: fn() -> Box<dyn AttributeWrite> = || Box::new(EvenPort::new(false));
    let reply = world.does(&mut fox, ALLOCATE, |_| vec![udp(), even()]);
    assert_eq!(reply.relayed().unwrap().port() % 2, 0);
}

#[test]
fn a_session_has_so_many_allocations_and_all_have_so_many() {
    let mut world = World::new();
    let fox = world.client("192.0.2.1:4000");
    let mut last = None;
    for port in 1..=5 {
        let mut client = world.client_of(fox.user, &format!("192.0.2.1:{port}"));
        last = world.does(&mut client, ALLOCATE, |_| vec![udp()]).code();
    }
    assert_eq!((last, world.core.allocations.len()), (Some(486), 4));
    for n in 1..=6 {
        let mut other = world.client(&format!("192.0.2.9:{n}"));
        world.allocate(&mut other);
    }
    let mut other = world.client("192.0.2.9:7");
    let reply = world.does(&mut other, ALLOCATE, |_| vec![udp()]);
    assert_eq!(
        (reply.code(), world.core.allocations.len()),
        (Some(508), 10)
    );
    assert_eq!(
        (world.refused("session_quota"), world.refused("full")),
        (1, 1)
    );
    // What is given back can be had again.
    let mut first = world.client_of(fox.user, "192.0.2.1:1");
    world.refresh(&mut first, Some(0)).unwrap();
    world.allocate(&mut other);
}

#[test]
fn nobody_but_this_servers_relayed_addresses_can_be_reached() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    let own = world.allocate(&mut fox);
    let elsewhere = [
        "127.0.0.1:50001",
        "127.1.2.3:50001",
        "0.0.0.0:50001",
        "10.0.0.1:50001",
        "172.16.0.1:50001",
        "192.168.0.1:50001",
        "169.254.169.254:50001",
        "100.64.0.1:50001",
        "224.0.0.1:50001",
        "255.255.255.255:50001",
        "203.0.113.1:50001",
        // Not even where the client is.
        "192.0.2.1:50001",
        "[::]:50001",
        "[::1]:50001",
        "[::ffff:127.0.0.1]:50001",
        "[::ffff:10.0.0.1]:50001",
        "[::ffff:198.51.100.7]:50001",
        "[64:ff9b::7f00:1]:50001",
        "[fe80::1]:50001",
        "[fc00::1]:50001",
        "[ff02::1]:50001",
        "[2001:db8::8]:50001",
        // Its own address: where it listens, where other services may, and where relayed ones are not.
        "198.51.100.7:3478",
        "198.51.100.7:50000",
        "198.51.100.7:22",
        "198.51.100.7:49151",
        "198.51.100.7:0",
        "[2001:db8::7]:3478",
        "[2001:db8::7]:22",
    ];
    for address in elsewhere {
        let peer: SocketAddr = address.parse().unwrap();
        assert_eq!(world.permit(&mut fox, &[peer]), Some(403), "{address}");
        assert_eq!(world.permit(&mut fox, &[own, peer]), Some(403), "{address}");
        assert_eq!(world.bind(&mut fox, 0x4000, peer), Some(403), "{address}");
        let before = world.refused("forbidden_peer");
        assert_eq!(
            world.carry(fox.at, &send_indication(peer, b"hello")),
            None,
            "{address}"
        );
        assert_eq!(world.refused("forbidden_peer"), before + 1, "{address}");
    }
    // And nothing of that let anybody through.
    assert_eq!(world.carry(fox.at, &send_indication(own, b"hello")), None);
    assert_eq!(world.refused("no_permission"), 1);
    // The other kind of the server's own is not forbidden, but does not fit.
    let other_kind = "[2001:db8::7]:50001".parse().unwrap();
    assert_eq!(world.permit(&mut fox, &[other_kind]), Some(443));
    assert_eq!(world.permit(&mut fox, &[]), Some(400));
    assert_eq!(world.permit(&mut fox, &[own]), None);
}

#[test]
fn another_sessions_allocation_is_left_alone() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    let own = world.allocate(&mut fox);
    // Whoever forges the address still has only their own credentials.
    let mut thief = world.client("192.0.2.1:4000");
    assert_eq!(world.refresh(&mut thief, Some(0)), Err(441));
    assert_eq!(world.permit(&mut thief, &[own]), Some(441));
    assert_eq!(world.bind(&mut thief, 0x4000, own), Some(441));
    assert_eq!(
        world.does(&mut thief, ALLOCATE, |_| vec![udp()]).code(),
        Some(437)
    );
    assert_eq!(world.refused("wrong_session"), 3);
    assert_eq!(world.refresh(&mut fox, None), Ok(600));
    let family = RequestedAddressFamily::new(AddressFamily::IPV6);
    let reply = world.does(&mut fox, REFRESH, |_| vec![Box::new(family.clone())]);
    assert_eq!(reply.code(), Some(443));
}

#[test]
fn a_channel_leads_to_one_address_and_an_address_has_one_channel() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    world.allocate(&mut fox);
    let peer = |port| SocketAddr::new(V4.parse().unwrap(), port);
    for number in [0x3FFF, 0x8000, 0xFFFF, 0] {
        assert_eq!(
            world.bind(&mut fox, number, peer(60_000)),
            Some(400),
            "{number:x}"
        );
    }
    assert_eq!(world.bind(&mut fox, 0x4000, peer(60_000)), None);
    assert_eq!(world.bind(&mut fox, 0x4000, peer(60_000)), None);
    assert_eq!(world.bind(&mut fox, 0x4000, peer(60_001)), Some(400));
    assert_eq!(world.bind(&mut fox, 0x4001, peer(60_000)), Some(400));
    for n in 1..32 {
        assert_eq!(world.bind(&mut fox, 0x4000 + n, peer(60_000 + n)), None);
    }
    assert_eq!(world.bind(&mut fox, 0x4100, peer(61_000)), Some(508));
    // Once their time is up, all are free again.
    for _ in 0..2 {
        world.passes(300);
        world.refresh(&mut fox, None).unwrap();
    }
    assert_eq!(world.bind(&mut fox, 0x4000, peer(61_000)), None);
    let reply = world.does(&mut fox, CHANNEL_BIND, |id| {
        peer_attributes(&[peer(60_000)], id)
    });
    assert_eq!(reply.code(), Some(400));
}

#[test]
fn what_is_no_request_of_these_protocols_leads_to_nothing() {
    let mut world = World::new();
    let fox = world.client("192.0.2.1:4000");
    let whole = fox.request(ALLOCATE, |_| vec![udp()]);
    let mut packets: Vec<Vec<u8>> = (0..whole.len()).map(|n| whole[..n].to_vec()).collect();
    // Longer than it says, or than is carried.
    packets.push([&whole[..], &[0; 4]].concat());
    packets.push(vec![0; 2_049]);
    // An attribute whose padding is missing.
    packets.push([&bare(BINDING, &[])[..], &[0x80, 0x22, 0, 1, 0]].concat());
    // Another cookie, another fingerprint, another method, an answer.
    for at in [4, whole.len() - 1, 1, 0] {
        let mut changed = whole.clone();
        changed[at] ^= if at == 1 { 0x0F } else { 1 };
        packets.push(changed);
    }
    // What is DTLS or RTP, and a channel that is cut off, or has too much.
    packets.extend([
        vec![0x16; 60],
        vec![0x80; 60],
        vec![0x40, 0, 0, 9, 1],
        vec![0x40],
    ]);
    packets.push(vec![0x40, 0, 0, 1, 1, 0, 0, 0, 0]);
    let count = packets.len() as u64;
    for packet in packets {
        assert_eq!(world.carry(fox.at, &packet), None, "{packet:x?}");
    }
    assert_eq!(world.refused("malformed"), count);
}

#[test]
fn strangers_are_answered_only_so_often_and_leave_nothing_behind() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    world.allocate(&mut fox);
    let (binding, allocate) = (bare(BINDING, &[]), bare(ALLOCATE, &[udp().as_ref()]));
    let answered = (0..10_000).filter(|n| {
        let flood = endpoint(&format!("203.0.113.5:{}", 1 + n));
        let packet = if n % 2 == 0 { &binding } else { &allocate };
        world.carry(flood, packet).is_some()
    });
    assert_eq!(answered.count(), 4_000);
    assert_eq!(world.refused("answer_limit"), 6_000);
    // Who has shown credentials is answered nevertheless, even from the same address.
    assert_eq!(world.refresh(&mut fox, None), Ok(600));
    let mut neighbour = world.client("203.0.113.5:1");
    world.allocate(&mut neighbour);
    assert_eq!(world.core.allocations.len(), 2);
}

/// Asks that something go to an address.
pub(super) fn send_indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let mut message = Message::builder_indication(SEND, MessageWriteVec::new());
    let id = message.transaction_id();
    message
        .add_attribute(&XorPeerAddress::new(peer, id))
        .unwrap();
    message.add_attribute(&Data::new(data)).unwrap();
    message.finish()
}
