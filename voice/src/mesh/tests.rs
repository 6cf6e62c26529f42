mod crowd;
mod recovery;

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
