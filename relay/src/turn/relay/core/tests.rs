//! The server in virtual time: what clients get, and what they don't.

mod forwarding;
mod guests;
mod refusals;

use std::net::{IpAddr, SocketAddr};

use rand::SeedableRng;
use stun_types::{
    attribute::{AttributeStaticType, ErrorCode, Nonce, Realm, UnknownAttributes},
    message::{
        BINDING, IntegrityAlgorithm, LongTermKeyCredentials, MessageClass, MessageWriteVec,
        Method as StunMethod, TransactionId,
    },
    prelude::*,
};
use turn_types::{
    attribute::{
        ChannelNumber, Data, DontFragment, EvenPort, RequestedAddressFamily, RequestedTransport,
        XorPeerAddress,
    },
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH, SEND},
};

use super::{super::auth::Bandwidth, *};
use crate::{metrics::Metrics, turn::TurnSecret};

const DAY: Duration = Duration::from_secs(86_400);

/// A server, and what time it is there.
struct World {
    core: Core,
    secrets: Secrets,
    rng: StdRng,
    metrics: Metrics,
    now: Timestamp,
}

/// Where clients reach the server.
const V4: &str = "198.51.100.7";
const V6: &str = "2001:db8::7";

fn limits() -> Limits {
    Limits {
        allocations_per_session: 4,
        allocations: 10,
        per_allocation: Bandwidth::from_kbit(512),
        total: Bandwidth::from_kbit(100_000),
    }
}

/// Where the server listens.
const LISTENING: [u16; 2] = [3_478, 50_000];

fn v4_only() -> External {
    External::at(V4.parse().ok(), None, LISTENING)
}

fn both() -> External {
    External::at(V4.parse().ok(), V6.parse().ok(), LISTENING)
}

impl World {
    fn new() -> Self {
        Self::with(both(), limits())
    }

    fn with(external: External, limits: Limits) -> Self {
        let mut rng = StdRng::seed_from_u64(7);
        let metrics = Metrics::new();
        let secrets = Secrets {
            own: TurnSecret::random(&mut rng),
            guests: TurnSecret::random(&mut rng),
        };
        let core_rng = StdRng::from_rng(&mut rng);
        let turn = metrics.turn.clone();
        Self {
            core: Core::new(external, limits, secrets.clone(), core_rng, turn),
            secrets,
            rng,
            metrics,
            now: Timestamp::from_millis(1_790_000_000_000),
        }
    }

    fn passes(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        self.core.tick(self.now);
    }

    /// Somebody with credentials of a session that the server knows.
    fn client(&mut self, address: &str) -> Client {
        let user = UserId::random(&mut self.rng);
        self.core.allow(user);
        self.client_of(user, address)
    }

    /// Somebody with credentials of this session.
    fn client_of(&mut self, user: UserId, address: &str) -> Client {
        let username = Username::new(user, DAY, self.now).to_string();
        Client {
            at: endpoint(address),
            password: self.secrets.own.credential(&username),
            user,
            username,
            realm: REALM.to_owned(),
            nonce: String::new(),
        }
    }

    /// Somebody with credentials from another relay.
    fn guest(&mut self, address: &str) -> Client {
        let user = UserId::random(&mut self.rng);
        let mut guest = self.client_of(user, address);
        guest.password = self.secrets.guests.credential(&guest.username);
        guest
    }

    /// What a packet leads to: to whom, and what.
    fn carry(&mut self, from: Endpoint, packet: &[u8]) -> Option<(Endpoint, Vec<u8>)> {
        let mut out = vec![1, 2, 3];
        let to = self.core.receive(from, packet, self.now, &mut out)?;
        Some((to, out))
    }

    /// The answer to a request.
    fn ask(&mut self, from: Endpoint, request: &[u8]) -> Option<Reply> {
        let (to, reply) = self.carry(from, request)?;
        assert_eq!(to, from, "an answer goes to who asked");
        let message = Message::from_bytes(&reply).unwrap();
        let asked = Message::from_bytes(request).unwrap();
        assert_eq!(message.transaction_id(), asked.transaction_id());
        assert_eq!(message.method(), asked.method());
        assert!(message.is_response());
        Some(Reply(reply))
    }

    /// What a client gets that takes a fresh nonce first.
    fn does(
        &mut self,
        client: &mut Client,
        method: StunMethod,
        attributes: impl Fn(TransactionId) -> Vec<Box<dyn AttributeWrite>>,
    ) -> Reply {
        client.nonce = self.core.nonces.make(client.at, self.now);
        let request = client.request(method, &attributes);
        let reply = self
            .ask(client.at, &request)
            .expect("requests are answered");
        if reply.code().is_none() {
            let key = client.key();
            let message = reply.message();
            message
                .validate_integrity_with_key(&key)
                .expect("answers are signed");
        }
        reply
    }

    fn allocate(&mut self, client: &mut Client) -> SocketAddr {
        let reply = self.does(client, ALLOCATE, |_| vec![udp()]);
        reply
            .relayed()
            .unwrap_or_else(|| panic!("{:?}", reply.code()))
    }

    fn permit(&mut self, client: &mut Client, peers: &[SocketAddr]) -> Option<u16> {
        let reply = self.does(client, CREATE_PERMISSION, |id| peer_attributes(peers, id));
        reply.code()
    }

    fn bind(&mut self, client: &mut Client, number: u16, peer: SocketAddr) -> Option<u16> {
        let reply = self.does(client, CHANNEL_BIND, |id| {
            let mut attributes = peer_attributes(&[peer], id);
            attributes.push(Box::new(ChannelNumber::new(number)));
            attributes
        });
        reply.code()
    }

    fn refresh(&mut self, client: &mut Client, seconds: Option<u32>) -> Result<u32, u16> {
        let reply = self.does(client, REFRESH, |_| {
            let lifetime = seconds.map(Lifetime::new);
            lifetime.into_iter().map(|it| Box::new(it) as _).collect()
        });
        match reply.code() {
            None => Ok(reply.lifetime()),
            Some(code) => Err(code),
        }
    }

    /// How often this was the reason why something was not done.
    fn refused(&self, reason: &str) -> u64 {
        self.counted(&format!(
            "neartalk_turn_refusals_total{{reason=\"{reason}\"}}"
        ))
    }

    fn counted(&self, series: &str) -> u64 {
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        value.map_or(0, |value| value.trim().parse().unwrap())
    }
}

fn endpoint(address: &str) -> Endpoint {
    Endpoint {
        socket: 0,
        address: address.parse().unwrap(),
    }
}

fn peer_attributes(peers: &[SocketAddr], id: TransactionId) -> Vec<Box<dyn AttributeWrite>> {
    let attributes = peers.iter().map(|&peer| XorPeerAddress::new(peer, id));
    attributes
        .map(|attribute| Box::new(attribute) as _)
        .collect()
}

fn udp() -> Box<dyn AttributeWrite> {
    Box::new(RequestedTransport::new(17))
}

/// Somebody who knows the protocol.
#[derive(Clone)]
struct Client {
    at: Endpoint,
    user: UserId,
    username: String,
    password: String,
    realm: String,
    nonce: String,
}

impl Client {
    fn key(&self) -> IntegrityKey {
        let (username, password) = (self.username.clone(), self.password.clone());
        LongTermKeyCredentials::new(username, password, self.realm.clone())
            .make_key(IntegrityAlgorithm::Sha1)
    }

    fn request(
        &self,
        method: StunMethod,
        attributes: impl Fn(TransactionId) -> Vec<Box<dyn AttributeWrite>>,
    ) -> Vec<u8> {
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        for attribute in attributes(message.transaction_id()) {
            message.add_attribute(attribute.as_ref()).unwrap();
        }
        let username = stun_types::attribute::Username::new(&self.username).unwrap();
        message.add_attribute(&username).unwrap();
        message
            .add_attribute(&Realm::new(&self.realm).unwrap())
            .unwrap();
        message
            .add_attribute(&Nonce::new(&self.nonce).unwrap())
            .unwrap();
        let key = self.key();
        message
            .add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1)
            .unwrap();
        message.add_fingerprint().unwrap();
        message.finish()
    }
}

/// What somebody got.
struct Reply(Vec<u8>);

impl Reply {
    fn message(&self) -> Message<'_> {
        Message::from_bytes(&self.0).unwrap()
    }

    /// The error code, unless it is a success.
    fn code(&self) -> Option<u16> {
        let message = self.message();
        if message.has_class(MessageClass::Success) {
            return None;
        }
        Some(message.attribute::<ErrorCode>().unwrap().code())
    }

    fn relayed(&self) -> Option<SocketAddr> {
        let message = self.message();
        let relayed = message.attribute::<XorRelayedAddress>().ok()?;
        Some(relayed.addr(message.transaction_id()))
    }

    fn mapped(&self) -> SocketAddr {
        let message = self.message();
        let mapped = message.attribute::<XorMappedAddress>().unwrap();
        mapped.addr(message.transaction_id())
    }

    fn lifetime(&self) -> u32 {
        self.message().attribute::<Lifetime>().unwrap().seconds()
    }

    fn nonce(&self) -> Option<String> {
        let nonce = self.message().attribute::<Nonce>().ok()?.nonce().to_owned();
        Some(nonce)
    }
}

/// A request without credentials.
fn bare(method: StunMethod, attributes: &[&dyn AttributeWrite]) -> Vec<u8> {
    let mut message = Message::builder_request(method, MessageWriteVec::new());
    for attribute in attributes {
        message.add_attribute(*attribute).unwrap();
    }
    message.finish()
}

#[test]
fn anybody_is_told_their_own_address() {
    let mut world = World::new();
    for address in ["192.0.2.1:4000", "[2001:db8:1::1]:4000"] {
        let at = endpoint(address);
        let reply = world.ask(at, &bare(BINDING, &[])).unwrap();
        assert_eq!((reply.code(), reply.mapped()), (None, at.address));
    }
    assert_eq!(world.counted("neartalk_turn_bindings_total"), 2);
}

#[test]
fn who_shows_nothing_is_told_what_to_show_in_few_bytes() {
    let mut world = World::new();
    let stranger = endpoint("192.0.2.1:4000");
    for method in [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND] {
        let request = bare(method, &[&RequestedTransport::new(17)]);
        let reply = world.ask(stranger, &request).unwrap();
        assert_eq!(reply.code(), Some(401));
        let message = reply.message();
        assert_eq!(message.attribute::<Realm>().unwrap().realm(), "neartalk");
        assert!(reply.nonce().is_some());
        // Whoever forges a sender has this much sent to them.
        assert!(
            reply.0.len() <= 3 * request.len(),
            "{} bytes",
            reply.0.len()
        );
    }
    assert_eq!(world.refused("no_credentials"), 4);
    assert_eq!(world.core.allocations.len(), 0);
}

#[test]
fn an_allocation_takes_two_requests_as_clients_make_them() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    let request = bare(ALLOCATE, &[&RequestedTransport::new(17)]);
    fox.nonce = world.ask(fox.at, &request).unwrap().nonce().unwrap();
    let request = fox.request(ALLOCATE, |_| vec![udp()]);
    let reply = world.ask(fox.at, &request).unwrap();
    let relayed = reply.relayed().unwrap();
    assert_eq!(relayed.ip(), V4.parse::<IpAddr>().unwrap());
    assert!((49_152..=65_535).contains(&relayed.port()), "{relayed}");
    assert_eq!((reply.lifetime(), reply.mapped()), (600, fox.at.address));
    reply
        .message()
        .validate_integrity_with_key(&fox.key())
        .unwrap();

    // Its answer was lost: the same again.
    let again = world.ask(fox.at, &request).unwrap();
    assert_eq!(again.relayed(), Some(relayed));
    assert_eq!(world.core.allocations.len(), 1);
    // Another one is one too many.
    assert_eq!(
        world.does(&mut fox, ALLOCATE, |_| vec![udp()]).code(),
        Some(437)
    );
    assert_eq!(world.counted("neartalk_turn_allocations "), 1);
    assert_eq!(world.counted("neartalk_turn_allocations_granted_total"), 1);
}

#[test]
fn both_kinds_of_addresses_are_given_if_there_are_both() {
    let family =
        |family| -> Box<dyn AttributeWrite> { Box::new(RequestedAddressFamily::new(family)) };
    let mut world = World::new();
    for (kind, ip) in [(AddressFamily::IPV4, V4), (AddressFamily::IPV6, V6)] {
        // Whichever they come from.
        for address in ["192.0.2.1:1", "[2001:db8:1::1]:1"] {
            let mut client = world.client(address);
            let reply = world.does(&mut client, ALLOCATE, |_| vec![udp(), family(kind)]);
            assert_eq!(reply.relayed().unwrap().ip(), ip.parse::<IpAddr>().unwrap());
            world.refresh(&mut client, Some(0)).unwrap();
        }
    }
    let mut world = World::with(v4_only(), limits());
    let mut client = world.client("192.0.2.1:1");
    let v6 = world.does(&mut client, ALLOCATE, |_| {
        vec![udp(), family(AddressFamily::IPV6)]
    });
    assert_eq!(v6.code(), Some(440));
    let v6_only = External::at(None, V6.parse().ok(), LISTENING);
    let mut world = World::with(v6_only, limits());
    let mut client = world.client("[2001:db8:1::1]:1");
    assert_eq!(
        world.allocate(&mut client).ip(),
        V6.parse::<IpAddr>().unwrap()
    );
}

#[test]
fn an_allocation_lives_until_its_time_is_up_or_it_is_given_back() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    world.allocate(&mut fox);
    world.passes(500);
    assert_eq!(world.refresh(&mut fox, None), Ok(600));
    assert_eq!(world.refresh(&mut fox, Some(1)), Ok(600));
    assert_eq!(world.refresh(&mut fox, Some(1_800)), Ok(1_800));
    assert_eq!(world.refresh(&mut fox, Some(u32::MAX)), Ok(3_600));
    world.passes(3_600);
    assert_eq!(world.core.allocations.len(), 1, "there is a minute's grace");
    world.passes(60);
    assert_eq!(world.core.allocations.len(), 0);
    assert_eq!(world.refresh(&mut fox, None), Err(437));
    world.allocate(&mut fox);
    assert_eq!(world.refresh(&mut fox, Some(0)), Ok(0));
    assert_eq!(world.core.allocations.len(), 0);
    assert_eq!(world.refresh(&mut fox, Some(0)), Err(437));
    assert_eq!(world.counted("neartalk_turn_allocations "), 0);
}

#[test]
fn ports_are_all_different_and_none_that_it_listens_on() {
    let mut allocations = Allocations::new(v4_only());
    let mut rng = StdRng::seed_from_u64(1);
    let user = UserId::random(&mut rng);
    allocations.allow(user);
    let mut ports = std::collections::BTreeSet::new();
    let refusal = loop {
        let wanted = Wanted {
            client: endpoint(&format!(
                "192.0.{}.{}:9",
                ports.len() / 200,
                ports.len() % 200
            )),
            user,
            is_guest: false,
            family: AddressFamily::IPV4,
            even: ports.len() < 1_000,
            transaction: 1.into(),
            expires_at: Timestamp::default(),
        };
        match allocations.insert(wanted, &mut rng) {
            Ok(slot) => {
                let port = allocations.get(slot).unwrap().port;
                assert!(!wanted.even || port.is_multiple_of(2));
                assert!(ports.insert(port));
            }
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, Refusal::Full);
    // All but 50,000, where it listens itself.
    assert_eq!(ports.len(), 16_383);
    assert!(ports.first() >= Some(&49_152) && !ports.contains(&50_000));
}
