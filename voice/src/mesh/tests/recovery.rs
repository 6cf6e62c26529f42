//! When connections fail.

use super::*;

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
fn an_interruption_where_servers_have_just_been_named_restarts_ice_with_them_soon() {
    // Named after it, and before.
    for (polite, soon) in [(false, 300), (true, 900)] {
        for before in [false, true] {
            let mut rig = Rig::new();
            rig.appear(1, polite, 0);
            rig.pass(ms(1_000));
            rig.on(Event::Connected { peer: 1 });
            rig.pass(ms(60_000));
            let named = Event::Relay(true);
            let interrupted = Event::Interrupted { peer: 1 };
            let both = if before {
                [named, interrupted]
            } else {
                [interrupted, named]
            };
            assert_eq!(rig.on(both[0]), []);
            assert_eq!(rig.pass(ms(2_000)), []);
            let begin = rig.now;
            assert_eq!(rig.on(both[1]), []);
            let restart = (begin + ms(soon), Action::RestartIce { peer: 1 });
            assert_eq!(rig.pass(ms(2_000)), [restart]);
            // Named once more, it is done once more, later: what goes on already may do.
            let begin = rig.now;
            assert_eq!(rig.on(named), []);
            let restart = (begin + ms(2_000 + soon), Action::RestartIce { peer: 1 });
            assert_eq!(rig.pass(ms(4_000)), [restart]);
            rig.on(Event::Connected { peer: 1 });
            assert_eq!(rig.pass(ms(600_000)), []);
        }
    }
}

#[test]
fn servers_named_long_ago_do_not_hasten_a_restart() {
    let mut rig = Rig::new();
    rig.connect(1, 0);
    assert_eq!(rig.on(Event::Relay(true)), []);
    rig.pass(ms(12_000));
    let begin = rig.now;
    rig.on(Event::Interrupted { peer: 1 });
    let did = rig.pass(ms(5_000));
    assert_eq!(did, [(begin + ms(4_000), Action::RestartIce { peer: 1 })]);
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
    // A new connection is judged anew, and told of anew.
    rig.on(Event::Connected { peer: 1 });
    let begin = rig.now;
    rig.on(Event::Hears {
        peer: 1,
        hears_me: false,
    });
    assert_eq!(
        rig.pass(ms(5_000)),
        [
            (begin + ms(3_000), cannot(true)),
            (begin + ms(3_000), Action::RestartIce { peer: 1 })
        ]
    );
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
