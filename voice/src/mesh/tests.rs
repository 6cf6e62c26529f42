use proptest::prelude::*;
use rand::{SeedableRng, rngs::SmallRng};

use super::*;

struct Rig {
    mesh: Mesh<u32>,
    rng: SmallRng,
    now: Duration,
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Rig {
    fn new() -> Self {
        Self::with(MeshConfig::default())
    }

    fn with(config: MeshConfig) -> Self {
        Self {
            mesh: Mesh::new(config),
            rng: SmallRng::seed_from_u64(1),
            now: ms(5_000),
        }
    }

    fn on(&mut self, event: Event<u32>) -> Vec<Action<u32>> {
        self.mesh.handle(event, self.now, &mut self.rng);
        self.actions()
    }

    fn actions(&mut self) -> Vec<Action<u32>> {
        std::iter::from_fn(|| self.mesh.next_action()).collect()
    }

    /// Time passes, from deadline to deadline.
    fn pass(&mut self, time: Duration) -> Vec<(Duration, Action<u32>)> {
        let end = self.now + time;
        let mut did = Vec::new();
        while let Some(at) = self.mesh.next_tick().filter(|&at| at <= end) {
            self.now = self.now.max(at);
            self.mesh.tick(self.now, &mut self.rng);
            let actions = self.actions();
            assert!(
                !actions.is_empty() || self.mesh.next_tick() != Some(at),
                "a deadline at which nothing is done, for ever"
            );
            did.extend(actions.into_iter().map(|action| (self.now, action)));
        }
        self.now = end;
        did
    }

    fn appear(&mut self, peer: u32, polite: bool, near_edge_m: u32) -> Vec<Action<u32>> {
        self.on(Event::Appeared {
            peer,
            polite,
            near_edge_m,
        })
    }

    /// Somebody impolitely called who is connected at once.
    fn connect(&mut self, peer: u32, near_edge_m: u32) {
        let actions = self.appear(peer, false, near_edge_m);
        assert!(
            actions.contains(&Action::Offer {
                peer,
                policy: Policy::Any
            }),
            "{actions:?}"
        );
        self.on(Event::Connected { peer });
    }

    fn connected(&self) -> Vec<u32> {
        self.mesh.connected().collect()
    }
}

fn offer(peer: u32, policy: Policy) -> Action<u32> {
    Action::Offer { peer, policy }
}

#[test]
fn the_impolite_side_offers_at_once_and_the_polite_side_after_a_while() {
    let mut rig = Rig::new();
    assert_eq!(rig.appear(1, false, 0), [offer(1, Policy::Any)]);
    assert_eq!(rig.appear(2, true, 0), []);
    assert_eq!(rig.pass(ms(999)), []);
    assert_eq!(rig.pass(ms(1)), [(rig.now, offer(2, Policy::Any))]);
}

#[test]
fn the_polite_side_takes_the_offer_it_waited_for() {
    let mut rig = Rig::new();
    rig.appear(1, true, 0);
    let accept = Action::Accept {
        peer: 1,
        policy: Policy::Any,
    };
    assert_eq!(rig.on(Event::Offered { peer: 1 }), [accept]);
    assert_eq!(rig.on(Event::Connected { peer: 1 }), []);
    assert_eq!(rig.connected(), [1]);
    assert_eq!(rig.pass(ms(600_000)), []);
}

#[test]
fn an_offer_from_nobody_is_refused() {
    let mut rig = Rig::new();
    assert_eq!(
        rig.on(Event::Offered { peer: 9 }),
        [Action::Refuse { peer: 9 }]
    );
}

#[test]
fn a_failed_attempt_is_followed_by_one_over_the_relay_and_then_rarer_ones() {
    let mut rig = Rig::new();
    let begin = rig.now;
    rig.appear(1, false, 0);
    let did = rig.pass(ms(120_000));
    let offers: Vec<(u64, Policy)> = did
        .iter()
        .filter_map(|(at, action)| match action {
            Action::Offer { policy, .. } => Some(((*at - begin).as_secs(), *policy)),
            _ => None,
        })
        .collect();
    // The first was made on appearance.
    let policies: Vec<Policy> = offers.iter().map(|&(_, policy)| policy).collect();
    use Policy::{Any, RelayOnly};
    assert_eq!(policies, [RelayOnly, Any, RelayOnly, Any, RelayOnly]);
    assert_eq!(offers[0].0, 8);
    let gaps: Vec<u64> = offers.windows(2).map(|w| w[1].0 - w[0].0).collect();
    assert!(gaps.windows(2).all(|w| w[0] <= w[1]), "{gaps:?}");
    assert_eq!(
        did.last().unwrap().1,
        Action::Close {
            peer: 1,
            bye: false
        }
    );
    assert!(
        did.iter()
            .any(|(_, a)| *a == Action::Tell(Notice::Unreachable { peer: 1 }))
    );
    // Not for good.
    let did = rig.pass(ms(180_000));
    assert!(did.iter().any(|(_, a)| *a == offer(1, Any)), "{did:?}");
}

#[test]
fn their_own_offer_is_taken_while_this_side_has_given_up() {
    let mut rig = Rig::new();
    rig.appear(1, false, 0);
    rig.pass(ms(120_000));
    let actions = rig.on(Event::Offered { peer: 1 });
    assert_eq!(
        actions,
        [Action::Accept {
            peer: 1,
            policy: Policy::Any
        }]
    );
}

#[test]
fn the_ninth_is_told_of_and_takes_the_place_of_a_further_one_only() {
    let mut rig = Rig::new();
    for peer in 1..=8 {
        rig.connect(peer, 100 * peer);
    }
    // Nearer than the furthest, but not by the margin.
    assert_eq!(
        rig.appear(20, false, 750),
        [Action::Tell(Notice::RoomFull { full: true })]
    );
    assert_eq!(
        rig.on(Event::Offered { peer: 20 }),
        [Action::Refuse { peer: 20 }]
    );
    assert_eq!(rig.pass(ms(60_000)), []);
    // By more: it is called, and only then the furthest let go.
    assert_eq!(rig.appear(21, false, 650), [offer(21, Policy::Any)]);
    assert_eq!(rig.connected().len(), 8);
    assert_eq!(
        rig.on(Event::Connected { peer: 21 }),
        [Action::Close { peer: 8, bye: true }]
    );
    assert_eq!(rig.connected(), [1, 2, 3, 4, 5, 6, 7, 21]);
    // Somebody leaves: the nearest without a place gets it.
    let actions = rig.on(Event::Left { peer: 3 });
    assert_eq!(
        actions,
        [
            Action::Close {
                peer: 3,
                bye: false
            },
            offer(20, Policy::Any)
        ]
    );
}

#[test]
fn only_one_at_a_time_is_made_room_for() {
    let mut rig = Rig::new();
    for peer in 1..=8 {
        rig.connect(peer, 1_000);
    }
    assert!(rig.appear(20, false, 0).contains(&offer(20, Policy::Any)));
    assert_eq!(rig.appear(21, false, 0), []);
    assert_eq!(
        rig.on(Event::Offered { peer: 21 }),
        [Action::Refuse { peer: 21 }]
    );
    let actions = rig.on(Event::Connected { peer: 20 });
    assert!(actions.contains(&offer(21, Policy::Any)), "{actions:?}");
}

#[test]
fn somebody_who_refuses_makes_room_for_the_next_and_is_asked_again_later() {
    let mut rig = Rig::with(MeshConfig {
        max_peers: 1,
        ..MeshConfig::default()
    });
    rig.appear(1, false, 0);
    rig.appear(2, false, 50);
    let actions = rig.on(Event::Refused { peer: 1 });
    assert_eq!(
        actions,
        [
            Action::Close {
                peer: 1,
                bye: false
            },
            offer(2, Policy::Any)
        ]
    );
    rig.on(Event::Connected { peer: 2 });
    // Within the margin: no reason to.
    assert_eq!(rig.pass(ms(100_000)), []);
    rig.on(Event::Moved {
        peer: 2,
        near_edge_m: 400,
    });
    assert_eq!(rig.connected(), [2]);
    assert_eq!(
        rig.on(Event::Connected { peer: 1 }),
        [Action::Close { peer: 2, bye: true }]
    );
}

#[test]
fn an_interruption_restarts_ice_then_fails_over_to_the_relay() {
    for (polite, wait) in [(false, 4_000), (true, 6_000)] {
        let mut rig = Rig::new();
        rig.appear(1, polite, 0);
        rig.pass(ms(1_000));
        rig.on(Event::Connected { peer: 1 });
        rig.pass(ms(60_000));
        let begin = rig.now;
        assert_eq!(rig.on(Event::Interrupted { peer: 1 }), []);
        let did = rig.pass(ms(13_000));
        assert_eq!(
            did,
            [
                (begin + ms(wait), Action::RestartIce { peer: 1 }),
                (
                    begin + ms(12_000),
                    Action::Close {
                        peer: 1,
                        bye: false
                    }
                ),
                (begin + ms(12_000), offer(1, Policy::RelayOnly)),
            ]
        );
    }
}

#[test]
fn an_interruption_that_passes_is_none() {
    let mut rig = Rig::new();
    rig.connect(1, 0);
    rig.on(Event::Interrupted { peer: 1 });
    rig.on(Event::Connected { peer: 1 });
    assert_eq!(rig.pass(ms(600_000)), []);
}

#[test]
fn another_network_restarts_what_is_there_and_tries_what_was_given_up() {
    let mut rig = Rig::new();
    rig.appear(2, false, 0);
    rig.pass(ms(120_000));
    rig.connect(1, 0);
    rig.appear(3, false, 0);
    let actions = rig.on(Event::NetworkChanged);
    assert_eq!(
        actions,
        [
            Action::RestartIce { peer: 1 },
            Action::Close { peer: 3, bye: true },
            offer(2, Policy::Any),
            offer(3, Policy::Any),
        ]
    );
}

#[test]
fn somebody_who_hears_nothing_is_told_of_and_then_reached_over_the_relay() {
    let mut rig = Rig::new();
    rig.connect(1, 0);
    let begin = rig.now;
    rig.on(Event::Hears {
        peer: 1,
        hears_me: false,
    });
    let did = rig.pass(ms(5_000));
    let cannot = |cannot| Action::Tell(Notice::CannotHearYou { peer: 1, cannot });
    assert_eq!(
        did,
        [
            (begin + ms(3_000), cannot(true)),
            (begin + ms(3_000), Action::RestartIce { peer: 1 })
        ]
    );
    let did = rig.pass(ms(5_000));
    assert_eq!(
        did,
        [
            (
                begin + ms(9_000),
                Action::Close {
                    peer: 1,
                    bye: false
                }
            ),
            (begin + ms(9_000), offer(1, Policy::RelayOnly)),
        ]
    );
    // Still told of until they hear.
    rig.on(Event::Connected { peer: 1 });
    assert_eq!(
        rig.on(Event::Hears {
            peer: 1,
            hears_me: true
        }),
        [cannot(false)]
    );
    assert_eq!(rig.pass(ms(100_000)), []);
}

#[test]
fn blocking_disconnects_and_refuses_until_it_is_taken_back() {
    let mut rig = Rig::new();
    rig.connect(1, 0);
    assert_eq!(
        rig.on(Event::Blocked { peer: 1 }),
        [Action::Close { peer: 1, bye: true }]
    );
    assert_eq!(
        rig.on(Event::Offered { peer: 1 }),
        [Action::Refuse { peer: 1 }]
    );
    assert_eq!(rig.pass(ms(600_000)), []);
    // Going and coming back does not help.
    rig.on(Event::Left { peer: 1 });
    assert_eq!(rig.appear(1, false, 0), []);
    assert_eq!(
        rig.on(Event::Unblocked { peer: 1 }),
        [offer(1, Policy::Any)]
    );
}

#[test]
fn hiding_the_address_makes_every_connection_anew_over_the_relay() {
    let mut rig = Rig::new();
    rig.connect(1, 0);
    let actions = rig.on(Event::RelayOnly(true));
    assert_eq!(
        actions,
        [
            Action::Close { peer: 1, bye: true },
            offer(1, Policy::RelayOnly)
        ]
    );
    rig.on(Event::Connected { peer: 1 });
    assert_eq!(rig.on(Event::RelayOnly(false)), []);
}

#[test]
fn hiding_the_address_without_a_relay_is_said_once_and_hammers_nobody() {
    let mut rig = Rig::with(MeshConfig {
        relay_only: true,
        ..MeshConfig::default()
    });
    assert_eq!(rig.on(Event::Relay(false)), [], "nobody there to miss");
    assert_eq!(rig.appear(1, false, 0), [Action::Tell(Notice::NoRelay)]);
    assert_eq!(rig.mesh.state(1), Some(LinkState::Unreachable));
    assert_eq!(rig.appear(2, true, 0), []);
    assert_eq!(rig.pass(ms(600_000)), []);
    assert_eq!(
        rig.on(Event::Offered { peer: 2 }),
        [Action::Refuse { peer: 2 }]
    );
    // A relay: both are tried at once.
    let actions = rig.on(Event::Relay(true));
    assert_eq!(actions, [offer(1, Policy::RelayOnly)]);
    let actions = rig.pass(ms(1_000));
    assert_eq!(actions, [(rig.now, offer(2, Policy::RelayOnly))]);
    rig.on(Event::Connected { peer: 1 });
    // It goes: what there is stays, what was being made is given up, and it is said again.
    assert_eq!(
        rig.on(Event::Relay(false)),
        [
            Action::Close { peer: 2, bye: true },
            Action::Tell(Notice::NoRelay)
        ]
    );
    assert_eq!(rig.connected(), [1]);
    assert_eq!(rig.pass(ms(600_000)), []);
    // The address need not be hidden any more.
    rig.on(Event::RelayOnly(false));
    assert_eq!(rig.pass(ms(1_000)), [(rig.now, offer(2, Policy::Any))]);
}

#[test]
fn without_a_relay_direct_attempts_follow_direct_ones() {
    let mut rig = Rig::new();
    rig.on(Event::Relay(false));
    rig.appear(1, false, 0);
    let offers: Vec<Action<u32>> = rig
        .pass(ms(100_000))
        .into_iter()
        .map(|(_, action)| action)
        .filter(|action| matches!(action, Action::Offer { .. }))
        .collect();
    assert_eq!(offers, vec![offer(1, Policy::Any); 5], "the first is made");
    assert_eq!(rig.mesh.state(1), Some(LinkState::Unreachable));
}

#[test]
fn a_smaller_room_lets_the_furthest_go_and_a_larger_one_takes_them_back() {
    let mut rig = Rig::new();
    for (peer, metres) in [(1, 300), (2, 0), (3, 100)] {
        rig.connect(peer, metres);
    }
    assert_eq!(
        rig.on(Event::MaxPeers(1)),
        [
            Action::Close { peer: 3, bye: true },
            Action::Close { peer: 1, bye: true },
            Action::Tell(Notice::RoomFull { full: true })
        ]
    );
    assert_eq!(rig.connected(), [2]);
    assert_eq!(rig.mesh.state(1), Some(LinkState::Waiting));
    assert_eq!(rig.mesh.state(9), None);
    assert_eq!(rig.pass(ms(100_000)), []);
    let actions = rig.on(Event::MaxPeers(8));
    for action in [offer(1, Policy::Any), offer(3, Policy::Any)] {
        assert!(actions.contains(&action), "{actions:?}");
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_limit_holds_and_time_goes_on(
        events in proptest::collection::vec((0..14u32, 0..14u32, any::<u32>(), 0..20_000u64), 1..200),
    ) {
        let mut rig = Rig::with(MeshConfig { max_peers: 3, ..MeshConfig::default() });
        // What the shell holds, by the actions alone.
        let mut made = std::collections::BTreeSet::new();
        for (kind, peer, number, wait) in events {
            let near_edge_m = if number % 7 == 0 { number } else { number % 40 * 50 };
            let event = match kind {
                0..=3 => Event::Appeared { peer, polite: number % 2 == 0, near_edge_m },
                4 => Event::Moved { peer, near_edge_m },
                5 => Event::Left { peer },
                6 => Event::Offered { peer },
                7 => Event::Refused { peer },
                8 => Event::Connected { peer },
                9 => Event::Interrupted { peer },
                10 => Event::Failed { peer },
                11 => Event::Hears { peer, hears_me: number % 2 == 0 },
                12 if number % 3 == 0 => Event::NetworkChanged,
                12 => Event::RelayOnly(number % 2 == 0),
                _ if number % 2 == 0 => Event::Blocked { peer },
                _ => Event::Unblocked { peer },
            };
            let mut actions = rig.on(event);
            actions.extend(rig.pass(ms(wait)).into_iter().map(|(_, action)| action));
            for action in actions {
                match action {
                    Action::Offer { peer, .. } | Action::Accept { peer, .. } => {
                        prop_assert!(made.insert(peer), "made twice: {peer}");
                    }
                    Action::Close { peer, .. } => prop_assert!(made.remove(&peer), "closed twice: {peer}"),
                    Action::RestartIce { peer } => prop_assert!(made.contains(&peer)),
                    Action::Refuse { .. } | Action::Tell(_) => {}
                }
                prop_assert!(made.len() <= 4);
            }
            prop_assert!(rig.connected().iter().all(|peer| made.contains(peer)));
        }
    }
}

/// Many people, each with a mesh, on a network that takes its time.
mod crowd {
    use std::{cmp::Reverse, collections::BinaryHeap};

    use rand::{RngExt, SeedableRng, rngs::SmallRng};

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Mail {
        Offer,
        Bye,
        Connected,
    }

    type Letter = (Duration, usize, usize, Mail, u64);

    struct Crowd {
        meshes: Vec<Mesh<usize>>,
        places: Vec<(f64, f64)>,
        /// When, to whom, from whom, what. Connections count up, so that one that was closed connects
        /// nobody.
        mail: BinaryHeap<Reverse<Letter>>,
        /// The connection that each side has with each other.
        made: Vec<Vec<Option<u64>>>,
        generation: u64,
        rng: SmallRng,
        now: Duration,
        up: Vec<Vec<bool>>,
        offers: usize,
        hang_ups: usize,
    }

    impl Crowd {
        fn new(seed: u64, people: usize, side_m: f64) -> Self {
            let mut rng = SmallRng::seed_from_u64(seed);
            let mut spot = || (rng.random_range(0.0..side_m), rng.random_range(0.0..side_m));
            let places: Vec<(f64, f64)> = (0..people).map(|_| spot()).collect();
            let mut crowd = Self {
                meshes: vec![Mesh::new(MeshConfig::default()); people],
                places,
                mail: BinaryHeap::new(),
                made: vec![vec![None; people]; people],
                generation: 0,
                rng,
                now: ms(0),
                up: vec![vec![false; people]; people],
                offers: 0,
                hang_ups: 0,
            };
            for a in 0..people {
                for b in (0..people).filter(|&b| b != a) {
                    let near_edge_m = crowd.band(a, b);
                    crowd.give(
                        a,
                        Event::Appeared {
                            peer: b,
                            polite: a < b,
                            near_edge_m,
                        },
                    );
                }
            }
            crowd
        }

        fn band(&self, a: usize, b: usize) -> u32 {
            let ((ax, ay), (bx, by)) = (self.places[a], self.places[b]);
            ((ax - bx).hypot(ay - by) / 50.0) as u32 * 50
        }

        fn give(&mut self, to: usize, event: Event<usize>) {
            self.meshes[to].handle(event, self.now, &mut self.rng);
            self.carry_out(to);
        }

        fn post(&mut self, from: usize, to: usize, mail: Mail, generation: u64) {
            let delay = ms(self.rng.random_range(10..150));
            self.mail
                .push(Reverse((self.now + delay, to, from, mail, generation)));
        }

        fn carry_out(&mut self, who: usize) {
            while let Some(action) = self.meshes[who].next_action() {
                match action {
                    Action::Offer { peer, .. } => {
                        self.offers += 1;
                        self.generation += 1;
                        self.made[who][peer] = Some(self.generation);
                        self.post(who, peer, Mail::Offer, self.generation);
                    }
                    Action::Accept { peer, .. } => {
                        self.connect(who, peer);
                    }
                    Action::Refuse { peer } => self.post(who, peer, Mail::Bye, 0),
                    Action::Close { peer, bye } => {
                        let up = &mut self.up[who][peer];
                        self.hang_ups += usize::from(std::mem::take(up));
                        self.made[who][peer] = None;
                        if bye {
                            self.post(who, peer, Mail::Bye, 0);
                        }
                    }
                    Action::RestartIce { .. } | Action::Tell(_) => {}
                }
            }
        }

        /// `who` answers `peer`'s offer: both connect a little later, unless it is closed meanwhile.
        fn connect(&mut self, who: usize, peer: usize) {
            let Some(generation) = self.made[peer][who] else {
                return;
            };
            self.made[who][peer] = Some(generation);
            self.post(peer, who, Mail::Connected, generation);
            self.post(who, peer, Mail::Connected, generation);
        }

        fn run(&mut self, time: Duration) {
            let end = self.now + time;
            loop {
                let mail = self.mail.peek().map(|Reverse(mail)| mail.0);
                let tick = self.meshes.iter().filter_map(Mesh::next_tick).min();
                let Some(next) = [mail, tick]
                    .into_iter()
                    .flatten()
                    .min()
                    .filter(|&n| n <= end)
                else {
                    break;
                };
                self.now = self.now.max(next);
                if mail == Some(next) {
                    let Some(Reverse((_, to, from, mail, generation))) = self.mail.pop() else {
                        break;
                    };
                    self.deliver(to, from, mail, generation);
                } else {
                    for who in 0..self.meshes.len() {
                        self.meshes[who].tick(self.now, &mut self.rng);
                        self.carry_out(who);
                    }
                }
            }
            self.now = end;
        }

        fn deliver(&mut self, to: usize, from: usize, mail: Mail, generation: u64) {
            match mail {
                Mail::Bye => self.give(to, Event::Refused { peer: from }),
                Mail::Connected => {
                    if self.made[to][from] == Some(generation) {
                        self.up[to][from] = true;
                        self.give(to, Event::Connected { peer: from });
                    }
                }
                Mail::Offer => {
                    // Perfect negotiation: where offers cross, the polite side takes the other's.
                    if self.made[to][from].is_some() && !self.up[to][from] {
                        if to < from {
                            self.connect(to, from);
                        }
                        return;
                    }
                    self.give(to, Event::Offered { peer: from });
                }
            }
        }

        fn links(&self, who: usize) -> Vec<usize> {
            self.meshes[who].connected().collect()
        }

        /// Asserts that all links are mutual, nobody has too many, and no two people would both rather have
        /// each other.
        fn assert_settled(&self) {
            let config = MeshConfig::default();
            let wants = |who: usize, other: usize| {
                let links = self.links(who);
                let furthest = links.iter().map(|&l| self.band(who, l)).max().unwrap_or(0);
                links.len() < config.max_peers
                    || furthest >= self.band(who, other) + config.margin_m
            };
            for a in 0..self.meshes.len() {
                let links = self.links(a);
                assert!(links.len() <= config.max_peers, "{a} has {links:?}");
                for b in 0..self.meshes.len() {
                    let linked = links.contains(&b);
                    assert_eq!(
                        linked,
                        self.links(b).contains(&a),
                        "only one of {a} and {b} hears"
                    );
                    assert!(
                        a == b || linked || !(wants(a, b) && wants(b, a)),
                        "{a} and {b} would rather have each other"
                    );
                }
            }
        }
    }

    #[test]
    fn a_small_room_is_a_full_mesh_within_two_seconds() {
        let mut crowd = Crowd::new(1, 9, 400.0);
        crowd.run(ms(2_000));
        for who in 0..9 {
            assert_eq!(crowd.links(who).len(), 8);
        }
        crowd.assert_settled();
    }

    #[test]
    fn every_crowd_settles_where_all_links_are_mutual_and_near() {
        for seed in 0..6 {
            let mut crowd = Crowd::new(seed, 30, 1_500.0);
            crowd.run(ms(300_000));
            crowd.assert_settled();
            // Calm: nobody hangs up, and few are asked in vain.
            let (offers, hang_ups) = (crowd.offers, crowd.hang_ups);
            crowd.run(ms(300_000));
            crowd.assert_settled();
            assert_eq!(crowd.hang_ups, hang_ups);
            assert!(crowd.offers - offers < 30 * 20, "{}", crowd.offers - offers);
            let links: usize = (0..30).map(|who| crowd.links(who).len()).sum();
            assert!(links >= 30 * 7, "{links} ends of links");
        }
    }

    #[test]
    fn connections_that_break_come_back() {
        let mut crowd = Crowd::new(3, 9, 400.0);
        crowd.run(ms(3_000));
        for _ in 0..40 {
            let a = crowd.rng.random_range(0..9);
            let b = (a + crowd.rng.random_range(1..9)) % 9;
            // One side notices before the other, if the other does at all.
            crowd.give(a, Event::Failed { peer: b });
            if crowd.rng.random_bool(0.5) {
                let wait = ms(crowd.rng.random_range(0..200));
                crowd.run(wait);
                crowd.give(b, Event::Failed { peer: a });
            }
            crowd.run(ms(5_000));
            crowd.assert_settled();
        }
    }

    #[test]
    fn a_crowd_that_walks_about_settles_again() {
        let mut crowd = Crowd::new(7, 20, 1_000.0);
        crowd.run(ms(120_000));
        for _ in 0..10 {
            for who in 0..20 {
                crowd.places[who].0 += crowd.rng.random_range(-150.0..150.0);
            }
            for a in 0..20 {
                for b in (0..20).filter(|&b| b != a) {
                    let near_edge_m = crowd.band(a, b);
                    crowd.give(
                        a,
                        Event::Moved {
                            peer: b,
                            near_edge_m,
                        },
                    );
                }
            }
            crowd.run(ms(20_000));
        }
        crowd.run(ms(300_000));
        crowd.assert_settled();
    }
}
