//! Whom to connect to, and what to do when that fails: events and time in, actions out.
//!
//! ## Who talks with whom
//! Everybody connects to at most [`MeshConfig::max_peers`] others, the nearest. But nearness is no
//! mutual rank: somebody at the edge of a crowd has us among their nearest, and we have eight who are
//! nearer. So a connection is a thing that **both** choose:
//!
//! - Each side may offer. The side that is asked accepts if it has room, or if the other is nearer than
//!   its furthest by [`MeshConfig::margin_m`]; then the furthest is let go once the new one is connected,
//!   not before. Otherwise it refuses (`bye`), and the one refused turns to its next nearest.
//! - Distance is shown as the same band at both ends, so whoever displaces somebody shortens the
//!   displacing side's list of distances by at least the margin. No chain of displacements can come
//!   back to where it began, so it ends; where it ends, no two people would both rather have each
//!   other than what they have.
//! - Nobody ever hears somebody who can't hear them back because of a full room, and nobody has more
//!   than the limit for longer than a change takes.
//!
//! The margin is also the hysteresis: two people at about the same distance do not take turns.
//!
//! ## Who offers
//! The relay gives each pair opposite roles. The impolite side offers at once. The polite side gives
//! it [`MeshConfig::polite_wait`], then offers too: the other may be full, or not have seen it. Offers
//! that cross are perfect negotiation's business, in the shell.
//!
//! ## When it fails
//! A direct attempt that fails is followed at once by one through the relay (TURN) only, then by
//! both in turn, ever more rarely; meanwhile somebody else may have the place. After
//! [`MeshConfig::attempts`] the person is said to be unreachable, and tried again after minutes, when
//! they call, move, or the network changes. An interrupted connection restarts ICE before it counts as
//! failed. One over which the other side says it hears nothing does the same, then goes over the relay.

mod recovery;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use rand::{Rng, RngExt};

pub use words::{Action, Event, LinkState, MeshConfig, Notice, Policy};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    /// None, and none to be tried before then.
    None { until: Duration },
    /// The other side should offer; if not, this one does then.
    Waiting { until: Duration },
    /// Being made; has failed if not there by then.
    Connecting { until: Duration },
    /// There.
    Connected { since: Duration },
    /// Was there; `restart` is when to restart ICE, unless that is done; has failed if not back by
    /// `until`.
    Interrupted {
        restart: Option<Duration>,
        until: Duration,
    },
}

#[derive(Clone, Debug)]
struct Peer {
    polite: bool,
    near_edge_m: u32,
    blocked: bool,
    link: Link,
    /// Attempts that failed since one succeeded.
    failures: u32,
    /// Since when they hear nothing.
    unheard_since: Option<Duration>,
    /// Whether ICE was restarted because of that.
    unheard_restarted: bool,
    /// Whether the person was told that they hear nothing.
    told_unheard: bool,
    /// How often they refused since there was a connection.
    refusals: u32,
    /// Whether all attempts failed since there was one.
    unreachable: bool,
}

impl Peer {
    /// Whether they hold one of the places.
    const fn linked(&self) -> bool {
        !matches!(self.link, Link::None { .. })
    }

    const fn connected(&self) -> bool {
        matches!(self.link, Link::Connected { .. } | Link::Interrupted { .. })
    }

    /// When something is to be done about them though nothing happens.
    fn deadline(&self, config: &MeshConfig) -> Option<Duration> {
        let link = match self.link {
            Link::None { until } => (!self.blocked).then_some(until),
            Link::Waiting { until } | Link::Connecting { until } => Some(until),
            Link::Connected { .. } => None,
            Link::Interrupted { restart, until } => Some(restart.unwrap_or(until)),
        };
        let unheard = self
            .unheard_since
            .filter(|_| self.connected())
            .map(|since| since + config.unheard * if self.unheard_restarted { 3 } else { 1 });
        [link, unheard].into_iter().flatten().min()
    }
}

/// Decides on one person's connections. See the [module](self).
#[derive(Clone, Debug)]
pub struct Mesh<Id> {
    config: MeshConfig,
    peers: BTreeMap<Id, Peer>,
    /// Whoever is blocked stays so when they leave and come back.
    blocked: BTreeSet<Id>,
    actions: VecDeque<Action<Id>>,
    full: bool,
    /// Whether there is a relay.
    relay: bool,
    /// Whether the person was told that there is none.
    told_no_relay: bool,
    /// When servers were named last while somebody was there.
    named_at: Option<Duration>,
}

impl<Id: Ord + Copy> Mesh<Id> {
    /// A mesh of nobody.
    pub const fn new(config: MeshConfig) -> Self {
        Self {
            config,
            peers: BTreeMap::new(),
            blocked: BTreeSet::new(),
            actions: VecDeque::new(),
            full: false,
            relay: true,
            told_no_relay: false,
            named_at: None,
        }
    }

    /// What to do next, if anything. To be asked until there is nothing, after each [`Self::handle`] and
    /// [`Self::tick`].
    pub fn next_action(&mut self) -> Option<Action<Id>> {
        self.actions.pop_front()
    }

    /// When to call [`Self::tick`] though nothing happens.
    pub fn next_tick(&self) -> Option<Duration> {
        let room = self.room();
        self.peers
            .iter()
            // Somebody for whom there is no place needs no attempt.
            .filter(|(_, peer)| peer.linked() || self.takes(peer, room))
            .filter_map(|(_, peer)| peer.deadline(&self.config))
            .min()
    }

    /// With whom there is a connection.
    pub fn connected(&self) -> impl Iterator<Item = Id> + '_ {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.connected())
            .map(|(&id, _)| id)
    }

    /// How the connection with somebody stands; `None` for nobody known.
    pub fn state(&self, peer: Id) -> Option<LinkState> {
        let peer = self.peers.get(&peer)?;
        Some(match peer.link {
            Link::Connecting { .. } => LinkState::Connecting,
            Link::Connected { .. } => LinkState::Connected,
            Link::Interrupted { .. } => LinkState::Interrupted,
            Link::None { .. } if peer.blocked => LinkState::Waiting,
            _ if peer.unreachable || self.stranded() => LinkState::Unreachable,
            Link::None { .. } if peer.refusals > 0 || !self.takes(peer, self.room()) => {
                LinkState::Waiting
            }
            Link::None { .. } | Link::Waiting { .. } => LinkState::Connecting,
        })
    }

    /// Takes in what happened at `now`.
    pub fn handle(&mut self, event: Event<Id>, now: Duration, rng: &mut impl Rng) {
        match event {
            Event::Appeared {
                peer,
                polite,
                near_edge_m,
            } => {
                let known = self.peers.entry(peer).or_insert(Peer {
                    polite,
                    near_edge_m,
                    blocked: self.blocked.contains(&peer),
                    link: Link::None { until: now },
                    failures: 0,
                    unheard_since: None,
                    unheard_restarted: false,
                    told_unheard: false,
                    refusals: 0,
                    unreachable: false,
                });
                known.polite = polite;
                known.near_edge_m = near_edge_m;
            }
            Event::Moved { peer, near_edge_m } => {
                if let Some(known) = self.peers.get_mut(&peer)
                    && known.near_edge_m != near_edge_m
                {
                    let nearer = near_edge_m < known.near_edge_m;
                    known.near_edge_m = near_edge_m;
                    // They may have room for us now.
                    if nearer && let Link::None { until } = &mut known.link {
                        known.refusals = 0;
                        *until = now.min(*until);
                    }
                }
            }
            Event::Left { peer } => {
                self.unlink(peer, false, now);
                self.peers.remove(&peer);
            }
            Event::Offered { peer } => self.offered(peer, now),
            Event::Refused { peer } => self.refused(peer, now, rng),
            Event::Connected { peer } => self.connected_with(peer, now, rng),
            Event::Interrupted { peer } => self.interrupted(peer, now),
            Event::Failed { peer } => self.failed(peer, now, rng),
            Event::Hears { peer, hears_me } => self.hears(peer, hears_me, now),
            Event::NetworkChanged => self.network_changed(now),
            Event::Blocked { peer } => {
                self.blocked.insert(peer);
                self.unlink(peer, true, now);
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.blocked = true;
                }
            }
            Event::Unblocked { peer } => {
                self.blocked.remove(&peer);
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.blocked = false;
                }
            }
            Event::RelayOnly(relay_only) => {
                if relay_only && !self.config.relay_only {
                    let linked: Vec<Id> = self.linked().collect();
                    for peer in linked {
                        self.unlink(peer, true, now);
                    }
                }
                self.config.relay_only = relay_only;
                if !relay_only {
                    self.try_again(now);
                }
            }
            Event::Relay(relay) => self.relay(relay, now),
            Event::MaxPeers(max_peers) => self.limit(max_peers, now, rng),
        }
        self.tick(now, rng);
    }

    /// Does what is due at `now`.
    pub fn tick(&mut self, now: Duration, rng: &mut impl Rng) {
        let due: Vec<Id> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.linked())
            .filter(|(_, peer)| peer.deadline(&self.config).is_some_and(|at| at <= now))
            .map(|(&id, _)| id)
            .collect();
        for peer in due {
            self.due(peer, now, rng);
        }
        self.fill(now);
        self.tell_whether_full();
        self.tell_whether_stranded();
    }

    /// Whether nobody can be connected to: by the relay only, and there is none.
    const fn stranded(&self) -> bool {
        self.config.relay_only && !self.relay
    }

    fn linked(&self) -> impl Iterator<Item = Id> + '_ {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.linked())
            .map(|(&id, _)| id)
    }

    /// Places left, and the distance of the furthest who could be let go for somebody nearer: nobody while
    /// that is being done for somebody already.
    fn room(&self) -> (usize, Option<u32>) {
        let linked = self.linked().count();
        let furthest = if linked > self.config.max_peers {
            None
        } else {
            self.furthest().map(|(_, metres)| metres)
        };
        (self.config.max_peers.saturating_sub(linked), furthest)
    }

    fn furthest(&self) -> Option<(Id, u32)> {
        self.peers
            .iter()
            .filter(|(_, peer)| peer.connected())
            .map(|(&id, peer)| (id, peer.near_edge_m))
            .max_by_key(|&(id, metres)| (metres, id))
    }

    /// Whether there is a place for somebody who has none.
    fn takes(&self, peer: &Peer, (free, furthest): (usize, Option<u32>)) -> bool {
        let displaces =
            furthest.is_some_and(|f| f >= peer.near_edge_m.saturating_add(self.config.margin_m));
        !peer.blocked && !self.stranded() && (free > 0 || displaces)
    }

    /// Gives free places to the nearest who have none.
    fn fill(&mut self, now: Duration) {
        let mut waiting: Vec<(u32, Id)> = self
            .peers
            .iter()
            .filter(|(_, peer)| !peer.blocked)
            .filter(|(_, peer)| matches!(peer.link, Link::None { until } if until <= now))
            .map(|(&id, peer)| (peer.near_edge_m, id))
            .collect();
        waiting.sort_unstable();
        for (_, id) in waiting {
            let room = self.room();
            let Some(peer) = self.peers.get(&id) else {
                continue;
            };
            if !self.takes(peer, room) {
                break;
            }
            if peer.polite && peer.failures == 0 {
                let until = now + self.config.polite_wait;
                self.set(id, Link::Waiting { until });
            } else {
                self.offer(id, now);
            }
        }
    }

    fn offer(&mut self, peer: Id, now: Duration) {
        let policy = self.policy(peer);
        self.set(
            peer,
            Link::Connecting {
                until: now + self.config.attempt,
            },
        );
        self.actions.push_back(Action::Offer { peer, policy });
    }

    /// Direct first, then the relay, then in turn.
    fn policy(&self, peer: Id) -> Policy {
        let failures = self.peers.get(&peer).map_or(0, |p| p.failures);
        if self.config.relay_only || (self.relay && failures % 2 == 1) {
            Policy::RelayOnly
        } else {
            Policy::Any
        }
    }

    fn offered(&mut self, peer: Id, now: Duration) {
        let room = self.room();
        let Some(known) = self.peers.get(&peer) else {
            self.actions.push_back(Action::Refuse { peer });
            return;
        };
        if self.stranded() || (!known.linked() && !self.takes(known, room)) {
            self.actions.push_back(Action::Refuse { peer });
            return;
        }
        // What there was is over, or they would not begin anew.
        self.unlink(peer, false, now);
        let policy = self.policy(peer);
        self.set(
            peer,
            Link::Connecting {
                until: now + self.config.attempt,
            },
        );
        self.actions.push_back(Action::Accept { peer, policy });
    }

    /// They are full. When they have a place again, they will think of this side by themselves; asking
    /// is for when that goes wrong, and gets rarer.
    fn refused(&mut self, peer: Id, now: Duration, rng: &mut impl Rng) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let wait = self.config.again * (1 << known.refusals.min(4));
        known.refusals += 1;
        let until = now + self.spread(wait, rng);
        self.unlink(peer, false, until);
    }

    fn connected_with(&mut self, peer: Id, now: Duration, rng: &mut impl Rng) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        if matches!(known.link, Link::None { .. } | Link::Waiting { .. }) {
            return;
        }
        known.refusals = 0;
        known.unreachable = false;
        known.link = Link::Connected { since: now };
        if self.linked().count() > self.config.max_peers
            && let Some((furthest, _)) = self.furthest()
        {
            let until = now + self.spread(self.config.again, rng);
            self.unlink(furthest, true, until);
        }
    }

    fn limit(&mut self, max_peers: usize, now: Duration, rng: &mut impl Rng) {
        self.config.max_peers = max_peers;
        let mut linked: Vec<(u32, Id)> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.linked())
            .map(|(&id, peer)| (peer.near_edge_m, id))
            .collect();
        linked.sort_unstable();
        for (_, peer) in linked.into_iter().skip(max_peers) {
            let until = now + self.spread(self.config.again, rng);
            self.unlink(peer, true, until);
        }
    }

    /// Takes somebody's place away, closing what there is.
    fn unlink(&mut self, peer: Id, bye: bool, until: Duration) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        // Nothing was made while waiting.
        let made = known.linked() && !matches!(known.link, Link::Waiting { .. });
        known.link = Link::None { until };
        // Of the next connection nothing is known.
        known.unheard_since = None;
        known.unheard_restarted = false;
        known.told_unheard = false;
        if made {
            self.actions.push_back(Action::Close { peer, bye });
        }
    }

    fn set(&mut self, peer: Id, link: Link) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.link = link;
        }
    }

    fn tell_whether_full(&mut self) {
        let people = self.peers.values().filter(|peer| !peer.blocked).count();
        let full = people > self.config.max_peers && self.room().0 == 0;
        if full != self.full {
            self.full = full;
            self.actions
                .push_back(Action::Tell(Notice::RoomFull { full }));
        }
    }

    /// Only once there is somebody: servers may be named after the call has begun.
    fn tell_whether_stranded(&mut self) {
        if !self.stranded() {
            self.told_no_relay = false;
        } else if !self.told_no_relay && self.peers.values().any(|peer| !peer.blocked) {
            self.told_no_relay = true;
            self.actions.push_back(Action::Tell(Notice::NoRelay));
        }
    }

    /// A wait that is not everybody's at once.
    fn spread(&self, wait: Duration, rng: &mut impl Rng) -> Duration {
        wait.mul_f64(rng.random_range(0.8..1.2))
    }
}

#[cfg(test)]
mod tests;
