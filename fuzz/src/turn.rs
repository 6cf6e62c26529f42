//! Packets of clients and of a stranger, through the TURN server inside the relay.

use std::{net::SocketAddr, time::Duration};

use neartalk_relay::{
    metrics::TurnMetrics,
    turn::{
        TurnSecret,
        relay::{Bandwidth, Core, Endpoint, External, Limits, Secrets, UserId, Username},
    },
};
use neartalk_shared::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use stun_types::{
    attribute::{Nonce, Realm},
    message::{
        IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageHeader, MessageWriteVec, Method,
    },
    prelude::*,
};
use turn_types::{
    attribute::{ChannelNumber, RequestedTransport, XorPeerAddress, XorRelayedAddress},
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, REFRESH},
};

/// More would only take longer.
const STEPS: usize = 60;

/// Two people with credentials, and a stranger.
const CLIENTS: [&str; 3] = ["192.0.2.1:4000", "[2001:db8:1::1]:4000", "203.0.113.5:6000"];
const STRANGER: usize = 2;

const REALM: &str = "neartalk";

struct World {
    core: Core,
    /// What each of the two's credentials are signed with.
    secrets: [TurnSecret; 2],
    users: [UserId; 2],
    clients: [Endpoint; 3],
    /// Where each of the two was last said to be reached.
    relayed: [Option<SocketAddr>; 2],
    now: Timestamp,
    out: Vec<u8>,
}

/// Does what the bytes describe: steps, each a head of four bytes and what it says of itself. The head says
/// what kind of step it is, who takes it, and how long it is.
pub fn check(mut data: &[u8]) {
    let mut world = World::new();
    for _ in 0..STEPS {
        let Some((&[kind, who, high, low], rest)) = data.split_first_chunk() else {
            break;
        };
        let length = usize::from(u16::from_be_bytes([high & 15, low])).min(rest.len());
        let (bytes, rest) = rest.split_at(length);
        data = rest;
        let who = usize::from(who);
        match kind % 8 {
            0 | 1 => world.send(who % CLIENTS.len(), bytes),
            2 | 3 => world.request(
                who % 2,
                [ALLOCATE, REFRESH, CREATE_PERMISSION, CHANNEL_BIND][who / 2 % 4],
                bytes,
            ),
            4 => world.set_up(),
            5 => world.wait(Duration::from_secs(who as u64 * 4)),
            6 if who.is_multiple_of(2) => world.core.forbid(world.users[0]),
            6 => world
                .core
                .forbid_guest(world.users[1], world.now + Duration::from_secs(3_000)),
            _ => world.core.allow(world.users[who % 2]),
        }
    }
    world.wait(Duration::from_secs(7_200));
}

impl World {
    fn new() -> Self {
        let mut rng = StdRng::seed_from_u64(1);
        let [own, guests] = ["north wind", "south wind"].map(|secret| {
            let secret: TurnSecret = secret.parse().expect("it is not empty");
            secret
        });
        // One of the two is another relay's.
        let secrets = [own.clone(), guests.clone()];
        let external = External::at(
            "198.51.100.7".parse().ok(),
            "2001:db8::7".parse().ok(),
            [3_478],
        );
        let limits = Limits {
            allocations_per_session: 2,
            allocations: 3,
            per_allocation: Bandwidth::from_kbit(64),
            total: Bandwidth::from_kbit(100),
        };
        let users = [0, 1].map(|_| UserId::random(&mut rng));
        let mut core = Core::new(
            external,
            limits,
            Secrets { own, guests },
            rng,
            TurnMetrics::default(),
        );
        core.allow(users[0]);
        let clients = CLIENTS.map(|address| Endpoint {
            socket: 0,
            address: address.parse().expect("it is an address"),
        });
        Self {
            core,
            secrets,
            users,
            clients,
            relayed: [None; 2],
            now: Timestamp::from_millis(1_790_000_000_000),
            out: Vec::new(),
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        self.core.tick(self.now);
    }

    /// Sends a packet; nothing comes of it for anybody but the sender and the two.
    fn send(&mut self, who: usize, packet: &[u8]) {
        let from = self.clients[who];
        let to = self.core.receive(from, packet, self.now, &mut self.out);
        let Some(to) = to else {
            return;
        };
        if to == from && Message::from_bytes(&self.out).is_ok_and(|out| out.is_response()) {
            // Nobody can have others flooded with more than they send.
            assert!(self.out.len() <= packet.len() + 160, "{}", self.out.len());
        } else {
            assert_ne!(who, STRANGER, "a stranger reaches nobody");
            assert!(
                self.clients[..2].contains(&to),
                "nobody but the two is reached"
            );
            assert!(self.out.len() <= packet.len() + 64, "{}", self.out.len());
        }
    }

    /// Sends a request with good credentials, and with these bytes in place of attributes.
    fn request(&mut self, who: usize, method: Method, attributes: &[u8]) {
        let request = self.signed(who, method, |message| {
            let whole = attributes.len() / 4 * 4;
            message.push_data(&attributes[..whole]);
            let length = message.len() - MessageHeader::LENGTH;
            message.mut_data()[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        });
        self.send(who, &request);
    }

    fn signed(
        &mut self,
        who: usize,
        method: Method,
        fill: impl FnOnce(&mut MessageWriteVec),
    ) -> Vec<u8> {
        let nonce = self.nonce(who);
        let mut message = Message::builder_request(method, MessageWriteVec::new());
        fill(&mut message);
        let username = Username::new(self.users[who], Duration::from_secs(3_000), self.now);
        let username = username.to_string();
        let key = LongTermKeyCredentials::new(
            username.clone(),
            self.secrets[who].credential(&username),
            REALM.to_owned(),
        )
        .make_key(IntegrityAlgorithm::Sha1);
        let username = stun_types::attribute::Username::new(&username).expect("it is short");
        let fits = "it is the first of its kind";
        message.add_attribute(&username).expect(fits);
        message
            .add_attribute(&Realm::new(REALM).expect("it is short"))
            .expect(fits);
        message
            .add_attribute(&Nonce::new(&nonce).expect("it is short"))
            .expect(fits);
        message
            .add_message_integrity_with_key(&key, IntegrityAlgorithm::Sha1)
            .expect(fits);
        message.finish()
    }

    /// A fresh nonce, as clients get one.
    fn nonce(&mut self, who: usize) -> String {
        let request = Message::builder_request(REFRESH, MessageWriteVec::new()).finish();
        self.send(who, &request);
        let answer = Message::from_bytes(&self.out).ok();
        let nonce = answer.and_then(|it| Some(it.attribute::<Nonce>().ok()?.nonce().to_owned()));
        nonce.unwrap_or_default()
    }

    /// Has the two do all that it takes to talk.
    fn set_up(&mut self) {
        for who in [0, 1] {
            let request = self.signed(who, ALLOCATE, |message| {
                let udp = RequestedTransport::new(17);
                message.add_attribute(&udp).expect("it is the first");
            });
            self.send(who, &request);
            if let Ok(answer) = Message::from_bytes(&self.out)
                && let Ok(relayed) = answer.attribute::<XorRelayedAddress>()
            {
                self.relayed[who] = Some(relayed.addr(answer.transaction_id()));
            }
        }
        for who in [0, 1] {
            let Some(peer) = self.relayed[1 - who] else {
                continue;
            };
            for method in [CREATE_PERMISSION, CHANNEL_BIND] {
                let request = self.signed(who, method, |message| {
                    let id = message.transaction_id();
                    let fits = "it is the first";
                    message
                        .add_attribute(&XorPeerAddress::new(peer, id))
                        .expect(fits);
                    if method == CHANNEL_BIND {
                        message
                            .add_attribute(&ChannelNumber::new(0x4000))
                            .expect(fits);
                    }
                });
                self.send(who, &request);
            }
        }
    }
}
