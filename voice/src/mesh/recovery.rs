//! What a [`Mesh`] does when connections fail, break off, or carry nothing.

use std::time::Duration;

use rand::Rng;

use super::{Action, Link, Mesh, Notice};

impl<Id: Ord + Copy> Mesh<Id> {
    pub(super) fn interrupted(&mut self, peer: Id, now: Duration) {
        let recovery = self.config.recovery;
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        if matches!(known.link, Link::Connected { .. }) {
            // What it went over may have gone with the servers of before, and whoever names others is there to
            // hand on what a restart has to say. Else it may pass by itself; and a restart gives up the way
            // there was, and needs the relay, which after the same loss takes longer to be back than that way
            // does. Not both sides at once.
            let just_named = self
                .named_at
                .is_some_and(|at| now.saturating_sub(at) < recovery);
            let wait = match (just_named, known.polite) {
                (true, polite) => self.config.soon(polite),
                (false, true) => Duration::from_millis(6_000),
                (false, false) => Duration::from_millis(4_000),
            };
            known.link = Link::Interrupted {
                restart: Some(now + wait),
                until: now + recovery,
            };
        }
    }

    /// The connection, or the attempt, is lost: try again, more rarely each time.
    pub(super) fn failed(&mut self, peer: Id, now: Duration, rng: &mut impl Rng) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        match known.link {
            Link::None { .. } | Link::Waiting { .. } => return,
            Link::Connected { since } if now.saturating_sub(since) > Duration::from_secs(10) => {
                known.failures = 0;
            }
            _ => {}
        }
        known.failures += 1;
        let failures = known.failures;
        let wait = match failures {
            1 => Duration::ZERO,
            n if n >= self.config.attempts => {
                known.failures = 0;
                known.unreachable = true;
                self.actions
                    .push_back(Action::Tell(Notice::Unreachable { peer }));
                self.spread(self.config.again * 4, rng)
            }
            n => self.spread(self.config.back_off * (1 << (n - 2).min(5)), rng),
        };
        // No `bye`: the other side has noticed, or will when the next offer comes; and one that crosses its
        // next offer would be taken for the answer to that.
        self.unlink(peer, false, now + wait);
    }

    pub(super) fn hears(&mut self, peer: Id, hears_me: bool, now: Duration) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        if !hears_me {
            known.unheard_since.get_or_insert(now);
            return;
        }
        known.unheard_since = None;
        known.unheard_restarted = false;
        if std::mem::take(&mut known.told_unheard) {
            let notice = Notice::CannotHearYou {
                peer,
                cannot: false,
            };
            self.actions.push_back(Action::Tell(notice));
        }
    }

    pub(super) fn network_changed(&mut self, now: Duration) {
        let recovery = self.config.recovery;
        let mut again = Vec::new();
        for (&id, peer) in &mut self.peers {
            peer.failures = 0;
            match &mut peer.link {
                Link::None { until } => *until = now.min(*until),
                Link::Waiting { .. } => {}
                Link::Connecting { .. } => again.push(id),
                Link::Connected { .. } => {
                    self.actions.push_back(Action::RestartIce { peer: id });
                }
                Link::Interrupted { restart, until } => {
                    *restart = None;
                    *until = now + recovery;
                    self.actions.push_back(Action::RestartIce { peer: id });
                }
            }
        }
        for peer in again {
            // What was gathered is worth nothing.
            self.unlink(peer, true, now);
        }
    }

    pub(super) fn relay(&mut self, relay: bool, now: Duration) {
        let came = relay && !self.relay;
        self.relay = relay;
        // The first are those that connections are made with.
        if !self.peers.is_empty() {
            self.named_at = Some(now);
        }
        for peer in self.peers.values_mut() {
            if let Link::Interrupted { restart, until } = &mut peer.link {
                let soon = now + self.config.soon(peer.polite);
                *restart = Some(match *restart {
                    Some(planned) => planned.min(soon),
                    // One is under way, with the servers of before, which may do.
                    None => soon + self.config.polite_wait * 2,
                });
                *until = now + self.config.recovery;
            }
        }
        if came {
            self.try_again(now);
        } else if self.stranded() {
            let hopeless: Vec<Id> = self
                .peers
                .iter()
                .filter(|(_, peer)| peer.linked() && !peer.connected())
                .map(|(&id, _)| id)
                .collect();
            for peer in hopeless {
                self.unlink(peer, true, now);
            }
        }
    }

    /// What failed or found no way before may find one now.
    pub(super) fn try_again(&mut self, now: Duration) {
        for peer in self.peers.values_mut() {
            if let Link::None { until } = &mut peer.link {
                *until = now.min(*until);
                peer.failures = 0;
                peer.refusals = 0;
                peer.unreachable = false;
            }
        }
    }

    /// Something about a linked peer is due.
    pub(super) fn due(&mut self, id: Id, now: Duration, rng: &mut impl Rng) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        match peer.link {
            Link::None { .. } => return,
            Link::Waiting { until } if until <= now => return self.offer(id, now),
            Link::Connecting { until }
            | Link::Interrupted {
                restart: None,
                until,
            } if until <= now => {
                return self.failed(id, now, rng);
            }
            Link::Interrupted {
                restart: Some(at),
                until,
            } if at <= now => {
                peer.link = Link::Interrupted {
                    restart: None,
                    until,
                };
                self.actions.push_back(Action::RestartIce { peer: id });
                return;
            }
            _ => {}
        }
        let Some(since) = peer.unheard_since.filter(|_| peer.connected()) else {
            return;
        };
        let unheard = now.saturating_sub(since);
        if !peer.unheard_restarted && unheard >= self.config.unheard {
            peer.unheard_restarted = true;
            if !std::mem::replace(&mut peer.told_unheard, true) {
                let notice = Notice::CannotHearYou {
                    peer: id,
                    cannot: true,
                };
                self.actions.push_back(Action::Tell(notice));
            }
            self.actions.push_back(Action::RestartIce { peer: id });
        } else if unheard >= self.config.unheard * 3 {
            // One failure: the next attempt goes over the relay.
            peer.failures = 0;
            peer.link = Link::Connecting { until: now };
            self.failed(id, now, rng);
        }
    }
}
