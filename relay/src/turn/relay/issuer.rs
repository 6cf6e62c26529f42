//! The room's end of the TURN server: who may use it, and with which credentials; and which servers of
//! other relays somebody may use besides.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    net::SocketAddr,
    time::Duration,
};

use neartalk_shared::{PeerId, Spot, Timestamp, frame::IceServer};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{
    auth::{UserId, Username},
    rendezvous,
};
use crate::{store::wire::NodeId, turn::TurnSecret};

/// What the server is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This session may have allocations from now on.
    Allow(UserId),
    /// This one may not, and loses those that it has.
    Forbid(UserId),
    /// The same of one of another relay's.
    ForbidGuest(Ended),
}

/// The end of a session that had credentials for another relay's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// As that server knows it.
    pub user: UserId,
    /// Until when its credentials would be good.
    pub until: Timestamp,
}

/// A TURN server inside a relay, for whoever gives people credentials: where clients reach it, and what
/// these are signed with. Relays that share a store know each other's, with the secret for guests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerServer {
    addresses: Vec<SocketAddr>,
    secret: TurnSecret,
    /// When it was started.
    #[serde(default)]
    since: Timestamp,
}

impl InnerServer {
    /// The one that clients reach at `addresses` `since` then, with credentials signed with `secret`.
    pub fn new(addresses: Vec<SocketAddr>, secret: TurnSecret, since: Timestamp) -> Self {
        Self {
            addresses,
            secret,
            since,
        }
    }

    fn is_where(&self, other: &Self) -> bool {
        self.addresses.iter().any(|at| other.addresses.contains(at))
    }

    fn urls(&self, scheme: &str) -> Vec<String> {
        let urls = self.addresses.iter().map(|at| format!("{scheme}:{at}"));
        urls.collect()
    }
}

/// What a session has been given.
struct User {
    id: UserId,
    /// Whether the server here lets it in.
    is_allowed: bool,
    /// Other relays whose servers it may use, until when at the latest.
    elsewhere: BTreeMap<NodeId, Timestamp>,
}

/// Hands out credentials, and tells servers whose sessions have ended.
pub struct Issuer {
    own: InnerServer,
    others: BTreeMap<NodeId, InnerServer>,
    ttl: Duration,
    rng: StdRng,
    users: HashMap<PeerId, User>,
    /// What the server has had no room for yet.
    waiting: VecDeque<Change>,
    changes: mpsc::Sender<Change>,
}

impl Issuer {
    /// For the server here, which hears of `changes`. Credentials are good for `ttl`.
    pub fn new(
        own: InnerServer,
        ttl: Duration,
        rng: StdRng,
        changes: mpsc::Sender<Change>,
    ) -> Self {
        Self {
            own,
            others: BTreeMap::new(),
            ttl,
            rng,
            users: HashMap::new(),
            waiting: VecDeque::new(),
            changes,
        }
    }

    /// From now on these are the servers of other relays. One that has been replaced is known until its lease
    /// ends, and gives nobody credentials any more: where several are said to be, the last is.
    pub fn meet(&mut self, others: BTreeMap<NodeId, InnerServer>) {
        let is_replaced = |node: &NodeId, server: &InnerServer| {
            let later = |(other, it): (&NodeId, &InnerServer)| {
                it.is_where(server) && (it.since, other) > (server.since, node)
            };
            self.own.is_where(server) || others.iter().any(later)
        };
        let there = others.iter().filter(|(node, it)| !is_replaced(node, it));
        let there = there.map(|(&node, server)| (node, server.clone()));
        self.others = there.collect();
    }

    /// What this session needs from `now` on: STUN, which takes no credentials, and TURN, which does,
    /// on the servers where people around this spot meet.
    pub fn ice_servers(&mut self, session: PeerId, spot: &Spot, now: Timestamp) -> Vec<IceServer> {
        let rng = &mut self.rng;
        let user = self.users.entry(session).or_insert_with(|| User {
            id: UserId::random(rng),
            is_allowed: false,
            elsewhere: BTreeMap::new(),
        });
        let username = Username::new(user.id, self.ttl, now);
        let (name, until) = (username.to_string(), username.until());
        let own = std::iter::once((None, &self.own));
        let others = self
            .others
            .iter()
            .map(|(&node, server)| (Some(node), server));
        let known: Vec<_> = own
            .chain(others)
            .filter_map(|(node, server)| Some((node, server, *server.addresses.first()?)))
            .collect();
        let addresses: Vec<_> = known.iter().map(|&(_, _, address)| address).collect();
        let mut servers = vec![IceServer {
            urls: self.own.urls("stun"),
            username: None,
            credential: None,
        }];
        for chosen in rendezvous::choose(&rendezvous::areas(spot), &addresses) {
            let (node, server, _) = known[chosen];
            match node {
                Some(node) => {
                    user.elsewhere.insert(node, until);
                }
                None if !user.is_allowed => {
                    user.is_allowed = true;
                    self.waiting.push_back(Change::Allow(user.id));
                }
                None => {}
            }
            servers.push(IceServer {
                urls: server.urls("turn"),
                credential: Some(server.secret.credential(&name)),
                username: Some(name.clone()),
            });
        }
        self.flush();
        servers
    }

    /// Takes from a session what it was given here, and says to whom else it matters.
    #[must_use]
    pub fn end(&mut self, session: PeerId) -> Vec<(NodeId, Ended)> {
        let Some(user) = self.users.remove(&session) else {
            return Vec::new();
        };
        if user.is_allowed {
            self.waiting.push_back(Change::Forbid(user.id));
            self.flush();
        }
        let ended = |(node, until)| {
            let user = user.id;
            (node, Ended { user, until })
        };
        user.elsewhere.into_iter().map(ended).collect()
    }

    /// Takes from another relay's session what it has on the server here.
    pub fn end_guest(&mut self, ended: Ended) {
        self.waiting.push_back(Change::ForbidGuest(ended));
        self.flush();
    }

    /// Tells the server what it has had no room for. To be called about once a second.
    pub fn flush(&mut self) {
        while let Some(&change) = self.waiting.front() {
            match self.changes.try_send(change) {
                Err(mpsc::error::TrySendError::Full(_)) => return,
                // Without a server there is nobody to tell.
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => self.waiting.pop_front(),
            };
        }
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuer(…)")
    }
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{Place, Radius};
    use rand::SeedableRng;

    use super::*;

    fn server(addresses: &[&str], rng: &mut StdRng) -> InnerServer {
        server_since(0, addresses, rng)
    }

    fn server_since(ms: u64, addresses: &[&str], rng: &mut StdRng) -> InnerServer {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        let since = Timestamp::from_millis(ms);
        InnerServer::new(addresses.collect(), TurnSecret::random(rng), since)
    }

    fn here() -> Spot {
        let place = Place::new(52.52, 13.41).unwrap();
        Spot::new(place, Radius::new(500).unwrap())
    }

    #[test]
    fn a_session_is_one_user_until_it_ends_however_little_room_there_is() {
        let (sender, mut changes) = mpsc::channel(1);
        let mut rng = StdRng::seed_from_u64(1);
        let own = server(&["192.0.2.7:3478", "[2001:db8::7]:3478"], &mut rng);
        let secret = own.secret.clone();
        let [fox, owl] = [0, 0].map(|_| PeerId::random(&mut rng));
        let ttl = Duration::from_secs(60);
        let mut issuer = Issuer::new(own, ttl, rng, sender);
        let mut user = |session, ms| {
            let servers = issuer.ice_servers(session, &here(), Timestamp::from_millis(ms));
            let [stun, turn] = &servers[..] else {
                panic!("{servers:?}");
            };
            assert_eq!(
                stun.urls,
                ["stun:192.0.2.7:3478", "stun:[2001:db8::7]:3478"]
            );
            assert_eq!((&stun.username, &stun.credential), (&None, &None));
            assert_eq!(
                turn.urls,
                ["turn:192.0.2.7:3478", "turn:[2001:db8::7]:3478"]
            );
            let name = turn.username.clone().unwrap();
            assert_eq!(turn.credential, Some(secret.credential(&name)));
            let username = Username::parse(&name).unwrap();
            assert_eq!(
                username.until(),
                Timestamp::from_millis(ms / 1_000 * 1_000 + 60_000)
            );
            assert!(!name.contains(&session.to_string()));
            username.user
        };
        let first = user(fox, 1_500);
        assert_eq!(user(fox, 7_000), first);
        let second = user(owl, 8_000);
        assert_ne!(first, second);
        for session in [fox, fox, owl] {
            assert_eq!(issuer.end(session), []);
        }
        let mut told = Vec::new();
        while let Ok(change) = changes.try_recv() {
            told.push(change);
            issuer.flush();
        }
        let expected = [
            Change::Allow(first),
            Change::Allow(second),
            Change::Forbid(first),
            Change::Forbid(second),
        ];
        assert_eq!(told, expected);
        // Whoever comes with the same id is somebody else.
        let servers = issuer.ice_servers(fox, &here(), Timestamp::from_millis(9_000));
        let third = Username::parse(servers[1].username.as_ref().unwrap()).unwrap();
        assert!(third.user != first && third.user != second);
    }

    #[test]
    fn a_server_that_was_replaced_is_given_to_nobody() {
        let mut rng = StdRng::seed_from_u64(3);
        let (own, other) = ("192.0.2.1:3478", "192.0.2.2:3478");
        let (sender, _changes) = mpsc::channel(8);
        let here_now = server_since(9, &[own, "[2001:db8::1]:3478"], &mut rng);
        // It was here before, and by its own clock even later.
        let here_before = server_since(10, &[own], &mut rng);
        let [second, first] = [8, 7].map(|ms| server_since(ms, &[other], &mut rng));
        let expected = [&here_now, &second].map(|it| it.secret.clone());
        let issuer_rng = StdRng::seed_from_u64(9);
        let mut issuer = Issuer::new(here_now, Duration::from_secs(60), issuer_rng, sender);
        let others = [first.clone(), here_before, second, first];
        let others = others.map(|server| (NodeId::random(&mut rng), server));
        issuer.meet(others.into());
        let now = Timestamp::from_millis(5_000);
        let servers = issuer.ice_servers(PeerId::random(&mut rng), &here(), now);
        let [_, turn @ ..] = &servers[..] else {
            panic!("{servers:?}");
        };
        assert_eq!(turn.len(), 2, "{servers:?}");
        for (at, secret) in [own, other].into_iter().zip(expected) {
            let url = format!("turn:{at}");
            let server = turn
                .iter()
                .find(|server| server.urls.contains(&url))
                .unwrap();
            let name = server.username.as_ref().unwrap();
            assert_eq!(server.credential, Some(secret.credential(name)));
        }
    }

    #[test]
    fn relays_give_people_of_a_place_the_same_servers_and_say_when_they_have_gone() {
        let mut rng = StdRng::seed_from_u64(2);
        let addresses = ["192.0.2.1:3478", "192.0.2.2:3478", "192.0.2.3:3478"];
        let nodes = addresses.map(|address| {
            let node = NodeId::random(&mut rng);
            (node, server(&[address], &mut rng))
        });
        let mut issuers = nodes.clone().map(|(own, server)| {
            let (sender, changes) = mpsc::channel(8);
            let rng = StdRng::seed_from_u64(9);
            let mut issuer = Issuer::new(server, Duration::from_secs(60), rng, sender);
            let others = nodes.iter().filter(|(node, _)| *node != own).cloned();
            issuer.meet(others.collect());
            (issuer, changes)
        });
        let now = Timestamp::from_millis(5_000);
        let session = PeerId::random(&mut rng);
        let mut met = Vec::new();
        for (n, (issuer, changes)) in issuers.iter_mut().enumerate() {
            let servers = issuer.ice_servers(session, &here(), now);
            assert_eq!(servers[0].urls, [format!("stun:{}", addresses[n])]);
            let mut urls: Vec<_> = servers[1..].iter().flat_map(|s| s.urls.clone()).collect();
            urls.sort();
            assert_eq!(urls.len(), 2);
            let own = format!("turn:{}", addresses[n]);
            for server in &servers[1..] {
                let name = server.username.as_ref().unwrap();
                let of = addresses
                    .iter()
                    .position(|at| server.urls == [format!("turn:{at}")]);
                let secret = &nodes[of.unwrap()].1.secret;
                assert_eq!(server.credential, Some(secret.credential(name)));
            }
            // Each of the other servers hears of the end, and the own one if it was among them.
            let user = Username::parse(servers[1].username.as_ref().unwrap()).unwrap();
            let ended = issuer.end(session);
            let elsewhere: Vec<_> = ended.iter().map(|(node, _)| *node).collect();
            let expected = nodes
                .iter()
                .enumerate()
                .filter(|(at, _)| *at != n && urls.contains(&format!("turn:{}", addresses[*at])));
            let mut expected: Vec<_> = expected.map(|(_, (node, _))| *node).collect();
            expected.sort();
            assert_eq!(elsewhere, expected);
            assert!(ended.iter().all(|(_, ended)| {
                *ended
                    == Ended {
                        user: user.user,
                        until: user.until(),
                    }
            }));
            let told: Vec<_> = std::iter::from_fn(|| changes.try_recv().ok()).collect();
            match urls.contains(&own) {
                true => assert_eq!(told, [Change::Allow(user.user), Change::Forbid(user.user)]),
                false => assert_eq!(told, []),
            }
            met.push(urls);
        }
        assert!(met.iter().all(|urls| *urls == met[0]), "{met:?}");
    }
}
