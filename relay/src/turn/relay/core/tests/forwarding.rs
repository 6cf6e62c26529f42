//! What goes from one client to another.

use turn_types::channel::ChannelData;

use super::{refusals::send_indication, *};

/// Two people with allocations, who have let nobody through yet.
struct Pair {
    world: World,
    clients: [Client; 2],
    relayed: [SocketAddr; 2],
}

impl Pair {
    fn new() -> Self {
        Self::in_world(World::new(), ["192.0.2.1:4000", "[2001:db8:2::1]:4000"])
    }

    fn in_world(mut world: World, addresses: [&str; 2]) -> Self {
        let mut clients = addresses.map(|address| world.client(address));
        let [fox, owl] = &mut clients;
        let relayed = [world.allocate(fox), world.allocate(owl)];
        Self {
            world,
            clients,
            relayed,
        }
    }

    fn permitted() -> Self {
        let mut pair = Self::new();
        for from in [0, 1] {
            assert_eq!(pair.permit(from), None);
        }
        pair
    }

    fn permit(&mut self, from: usize) -> Option<u16> {
        let peer = self.relayed[1 - from];
        self.world.permit(&mut self.clients[from], &[peer])
    }

    /// Sends to the other by its address; what arrives.
    fn send(&mut self, from: usize, data: &[u8]) -> Option<Arrived> {
        let packet = send_indication(self.relayed[1 - from], data);
        self.arrives(from, &packet)
    }

    /// Sends over a channel; what arrives.
    fn send_over(&mut self, from: usize, number: u16, data: &[u8]) -> Option<Arrived> {
        let mut packet = vec![0; data.len() + 4];
        ChannelData::new(number, data).write_into_unchecked(&mut packet);
        self.arrives(from, &packet)
    }

    fn arrives(&mut self, from: usize, packet: &[u8]) -> Option<Arrived> {
        let (to, packet) = self.world.carry(self.clients[from].at, packet)?;
        assert_eq!(to, self.clients[1 - from].at, "it goes to the other");
        Some(match Packet::parse(&packet) {
            Some(Packet::Channel { number, data }) => Arrived::Over(number, data.to_vec()),
            _ => {
                let message = Message::from_bytes(&packet).unwrap();
                assert!(message.has_class(MessageClass::Indication));
                assert!(message.has_method(turn_types::message::DATA));
                let peer = message.attribute::<XorPeerAddress>().unwrap();
                let data = message.attribute::<Data<'_>>().unwrap().data().to_vec();
                Arrived::From(peer.addr(message.transaction_id()), data)
            }
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Arrived {
    From(SocketAddr, Vec<u8>),
    Over(u16, Vec<u8>),
}

#[test]
fn nothing_goes_before_both_have_let_the_other_through() {
    let mut pair = Pair::new();
    assert_eq!(pair.send(0, b"hello"), None);
    assert_eq!(pair.permit(0), None);
    assert_eq!(pair.send(0, b"hello"), None);
    assert_eq!(pair.send(1, b"hello"), None);
    assert_eq!(pair.world.refused("no_permission"), 3);
    assert_eq!(pair.permit(1), None);
    for from in [0, 1] {
        let expected = Arrived::From(pair.relayed[from], b"hello".to_vec());
        assert_eq!(pair.send(from, b"hello"), Some(expected));
    }
    assert_eq!(pair.world.counted("neartalk_turn_packets_total"), 2);
    assert_eq!(pair.world.counted("neartalk_turn_bytes_total"), 10);
}

#[test]
fn a_channel_carries_both_ways_under_each_ones_own_number() {
    let mut pair = Pair::permitted();
    assert_eq!(pair.send_over(0, 0x4000, b"early"), None);
    let [fox, owl] = pair.relayed;
    assert_eq!(pair.world.bind(&mut pair.clients[0], 0x4000, owl), None);
    // The other has no name for this one yet.
    let arrived = pair.send_over(0, 0x4000, b"a");
    assert_eq!(arrived, Some(Arrived::From(fox, b"a".to_vec())));
    let arrived = pair.send(1, b"b");
    assert_eq!(arrived, Some(Arrived::Over(0x4000, b"b".to_vec())));
    assert_eq!(pair.world.bind(&mut pair.clients[1], 0x5000, fox), None);
    let arrived = pair.send_over(0, 0x4000, b"c");
    assert_eq!(arrived, Some(Arrived::Over(0x5000, b"c".to_vec())));
    let arrived = pair.send_over(1, 0x5000, &[]);
    assert_eq!(arrived, Some(Arrived::Over(0x4000, vec![])));
    let long = vec![7; 1_400];
    let arrived = pair.send_over(1, 0x5000, &long);
    assert_eq!(arrived, Some(Arrived::Over(0x4000, long)));
    assert_eq!(pair.send_over(1, 0x4000, b"not this one's"), None);
}

#[test]
fn binding_a_channel_lets_the_other_through() {
    let mut pair = Pair::new();
    for from in [0, 1] {
        let peer = pair.relayed[1 - from];
        assert_eq!(pair.world.bind(&mut pair.clients[from], 0x4000, peer), None);
    }
    assert_eq!(
        pair.send_over(0, 0x4000, b"a"),
        Some(Arrived::Over(0x4000, b"a".to_vec()))
    );
}

#[test]
fn permissions_end_after_five_minutes_and_channels_after_ten() {
    let mut pair = Pair::permitted();
    for from in [0, 1] {
        let peer = pair.relayed[1 - from];
        assert_eq!(pair.world.bind(&mut pair.clients[from], 0x4000, peer), None);
    }
    pair.world.passes(299);
    assert!(pair.send_over(0, 0x4000, b"a").is_some());
    pair.world.passes(1);
    assert_eq!(pair.send_over(0, 0x4000, b"a"), None);
    for from in [0, 1] {
        pair.permit(from);
        pair.world.refresh(&mut pair.clients[from], None).unwrap();
    }
    assert!(pair.send_over(0, 0x4000, b"a").is_some());
    pair.world.passes(299);
    assert!(pair.send_over(0, 0x4000, b"a").is_some());
    pair.world.passes(1);
    for from in [0, 1] {
        pair.permit(from);
    }
    assert_eq!(pair.send_over(0, 0x4000, b"a"), None);
    let expected = Arrived::From(pair.relayed[0], b"a".to_vec());
    assert_eq!(pair.send(0, b"a"), Some(expected));
}

#[test]
fn what_goes_to_nobody_goes_nowhere() {
    let mut pair = Pair::permitted();
    pair.world.refresh(&mut pair.clients[1], Some(0)).unwrap();
    assert_eq!(pair.send(0, b"hello"), None);
    assert_eq!(pair.world.refused("no_permission"), 1);
    // Who has no allocation sends to nobody.
    assert_eq!(pair.send(1, b"hello"), None);
    assert_eq!(pair.send_over(1, 0x4000, b"hello"), None);
    assert_eq!(pair.world.refused("no_allocation"), 2);
    // Nor does who sends from elsewhere than they asked.
    pair.clients[0].at = endpoint("192.0.2.1:4001");
    assert_eq!(pair.send(0, b"hello"), None);
    pair.clients[0].at = Endpoint {
        socket: 1,
        ..endpoint("192.0.2.1:4000")
    };
    assert_eq!(pair.send(0, b"hello"), None);
    assert_eq!(pair.world.refused("no_allocation"), 4);
}

#[test]
fn an_allocation_sends_only_so_much() {
    let mut pair = Pair::permitted();
    let sent = |pair: &mut Pair, from| {
        let packets = (0..2_000).take_while(|_| pair.send(from, &[0; 1_000]).is_some());
        packets.count()
    };
    // 64 kB a second with their headers, after one second's at once.
    assert!((61..=63).contains(&sent(&mut pair, 0)));
    assert_eq!(pair.world.refused("allocation_bandwidth"), 1);
    // The other has its own.
    assert!((61..=63).contains(&sent(&mut pair, 1)));
    pair.world.passes(10);
    assert!((61..=125).contains(&sent(&mut pair, 0)));
}

#[test]
fn packets_with_nothing_in_them_are_not_free() {
    let mut pair = Pair::permitted();
    let peer = pair.relayed[1];
    assert_eq!(pair.world.bind(&mut pair.clients[0], 0x4000, peer), None);
    let sent = (0..10_000).filter(|_| pair.send_over(0, 0x4000, &[]).is_some());
    // 64 kB of headers.
    assert!((1_333..=1_335).contains(&sent.count()));
    assert!(pair.world.refused("allocation_bandwidth") > 8_000);
}

#[test]
fn all_together_send_only_so_much() {
    let limits = Limits {
        total: Bandwidth::from_kbit(80),
        ..limits()
    };
    let world = World::with(both(), limits);
    let mut pair = Pair::in_world(world, ["192.0.2.1:4000", "192.0.2.2:4000"]);
    for from in [0, 1] {
        assert_eq!(pair.permit(from), None);
    }
    let sent = (0..1_000).filter(|n| pair.send(n % 2, &[0; 100]).is_some());
    // 10 kB a second with their headers, after one second's at once.
    assert!((67..=69).contains(&sent.count()));
    assert!(pair.world.refused("total_bandwidth") > 800);
    assert_eq!(pair.world.refused("allocation_bandwidth"), 0);
}

/// Asks with the nonce that it has. Takes a fresh one from a refusal, and leaves it at that.
fn asks_once(pair: &mut Pair, from: usize, method: StunMethod) {
    let peers = match method {
        CREATE_PERMISSION => vec![pair.relayed[1 - from]],
        _ => Vec::new(),
    };
    let client = &mut pair.clients[from];
    let request = client.request(method, |id| peer_attributes(&peers, id));
    let reply = pair.world.ask(client.at, &request).unwrap();
    match reply.code() {
        None => {}
        Some(438) => client.nonce = reply.nonce().unwrap(),
        code => panic!("{code:?} at {:?}", pair.world.now),
    }
}

#[test]
fn who_renews_as_rarely_as_webrtc_rs_does_is_heard_for_hours() {
    let mut pair = Pair::permitted();
    for minute in 1..20 * 60 {
        pair.world.passes(60);
        for from in [0, 1] {
            // In the order in which it does both when both are due.
            if minute % 5 == 0 {
                asks_once(&mut pair, from, REFRESH);
            }
            if minute % 2 == 0 {
                asks_once(&mut pair, from, CREATE_PERMISSION);
            }
        }
        assert!(pair.send(0, b"hello").is_some(), "after {minute} minutes");
    }
    assert!(pair.world.refused("stale_nonce") > 2 * 15);
}
