//! The room's end of the TURN server: who may use it, and with which credentials.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    net::SocketAddr,
    time::Duration,
};

use neartalk_shared::{PeerId, Timestamp, frame::IceServer};
use rand::rngs::StdRng;
use tokio::sync::mpsc;

use super::auth::{UserId, Username};
use crate::turn::TurnSecret;

/// What the server is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// This session may have allocations from now on.
    Allow(UserId),
    /// This one may not, and loses those that it has.
    Forbid(UserId),
}

/// Hands out credentials for the server, and tells it whose sessions have ended.
pub struct Issuer {
    servers: Vec<SocketAddr>,
    secret: TurnSecret,
    ttl: Duration,
    rng: StdRng,
    users: HashMap<PeerId, UserId>,
    /// What the server has had no room for yet: two for each session, at most.
    waiting: VecDeque<Change>,
    changes: mpsc::Sender<Change>,
}

impl Issuer {
    /// For the server that clients reach at `servers`, which knows `secret` and hears of `changes`.
    pub fn new(
        servers: Vec<SocketAddr>,
        secret: TurnSecret,
        ttl: Duration,
        rng: StdRng,
        changes: mpsc::Sender<Change>,
    ) -> Self {
        Self {
            servers,
            secret,
            ttl,
            rng,
            users: HashMap::new(),
            waiting: VecDeque::new(),
            changes,
        }
    }

    /// What this session needs to use the server from `now` on: STUN, which takes no credentials, and
    /// TURN, which does.
    pub fn ice_servers(&mut self, session: PeerId, now: Timestamp) -> [IceServer; 2] {
        let user = *self.users.entry(session).or_insert_with(|| {
            let user = UserId::random(&mut self.rng);
            self.waiting.push_back(Change::Allow(user));
            user
        });
        self.flush();
        let username = Username::new(user, self.ttl, now).to_string();
        let urls = |scheme| self.servers.iter().map(move |at| format!("{scheme}:{at}"));
        [
            IceServer {
                urls: urls("stun").collect(),
                username: None,
                credential: None,
            },
            IceServer {
                urls: urls("turn").collect(),
                credential: Some(self.secret.credential(&username)),
                username: Some(username),
            },
        ]
    }

    /// Takes from a session what it was given.
    pub fn end(&mut self, session: PeerId) {
        if let Some(user) = self.users.remove(&session) {
            self.waiting.push_back(Change::Forbid(user));
            self.flush();
        }
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
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_session_is_one_user_until_it_ends_however_little_room_there_is() {
        let (sender, mut changes) = mpsc::channel(1);
        let mut rng = StdRng::seed_from_u64(1);
        let secret = TurnSecret::random(&mut rng);
        let servers = vec![
            "192.0.2.7:3478".parse().unwrap(),
            "[2001:db8::7]:3478".parse().unwrap(),
        ];
        let [fox, owl] = [0, 0].map(|_| PeerId::random(&mut rng));
        let ttl = Duration::from_secs(60);
        let mut issuer = Issuer::new(servers, secret.clone(), ttl, rng, sender);
        let mut user = |session, ms| {
            let [stun, turn] = issuer.ice_servers(session, Timestamp::from_millis(ms));
            assert_eq!(
                stun.urls,
                ["stun:192.0.2.7:3478", "stun:[2001:db8::7]:3478"]
            );
            assert_eq!((stun.username, stun.credential), (None, None));
            assert_eq!(
                turn.urls,
                ["turn:192.0.2.7:3478", "turn:[2001:db8::7]:3478"]
            );
            let name = turn.username.unwrap();
            assert_eq!(turn.credential.unwrap(), secret.credential(&name));
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
        issuer.end(fox);
        issuer.end(fox);
        issuer.end(owl);
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
        let [_, turn] = issuer.ice_servers(fox, Timestamp::from_millis(9_000));
        let third = Username::parse(&turn.username.unwrap()).unwrap().user;
        assert!(third != first && third != second);
    }
}
