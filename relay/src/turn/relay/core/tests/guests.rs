//! Sessions of other relays.

use super::*;

#[test]
fn a_guest_is_let_in_without_notice_and_meets_who_is_at_home() {
    let mut world = World::new();
    let mut fox = world.client("192.0.2.1:4000");
    let mut owl = world.guest("192.0.2.2:4000");
    let relayed = [world.allocate(&mut fox), world.allocate(&mut owl)];
    assert_eq!(world.permit(&mut fox, &[relayed[1]]), None);
    assert_eq!(world.permit(&mut owl, &[relayed[0]]), None);
    let packet = refusals::send_indication(relayed[0], b"hello");
    let (to, _) = world.carry(owl.at, &packet).unwrap();
    assert_eq!(to, fox.at);
}

#[test]
fn whose_session_has_ended_elsewhere_loses_what_they_have_and_gets_no_more() {
    let mut world = World::new();
    let mut owl = world.guest("192.0.2.2:4000");
    let until = Username::parse(&owl.username).unwrap().until();
    world.allocate(&mut owl);
    assert_eq!(world.core.allocations.len(), 1);
    world.core.forbid_guest(owl.user, until);
    assert_eq!(world.core.allocations.len(), 0);
    let reply = world.does(&mut owl, ALLOCATE, |_| vec![udp()]);
    assert_eq!(reply.code(), Some(401));
    assert_eq!(world.refused("session_ended"), 1);
    // Even where the end is known before the first packet.
    let mut elk = world.guest("192.0.2.3:4000");
    world.core.forbid_guest(elk.user, until);
    let reply = world.does(&mut elk, ALLOCATE, |_| vec![udp()]);
    assert_eq!(reply.code(), Some(401));
    // Nothing is kept of them once their credentials are of no use anyway.
    world.passes(DAY.as_secs());
    assert!(!world.core.departed.contains(owl.user));
    let reply = world.does(&mut owl, ALLOCATE, |_| vec![udp()]);
    assert_eq!(reply.code(), Some(401));
    assert_eq!(world.refused("expired"), 1);
}

#[test]
fn a_guest_has_the_same_limits_and_leaves_nothing_behind() {
    let mut world = World::new();
    let mut owl = world.guest("192.0.2.2:1");
    for port in 1..=4 {
        owl.at = endpoint(&format!("192.0.2.2:{port}"));
        world.allocate(&mut owl);
    }
    owl.at = endpoint("192.0.2.2:5");
    let reply = world.does(&mut owl, ALLOCATE, |_| vec![udp()]);
    assert_eq!(reply.code(), Some(486));
    world.passes(700);
    assert_eq!(world.core.allocations.len(), 0);
    assert_eq!(world.core.allocations.count(owl.user), None);
}

#[test]
fn what_guests_are_given_is_signed_for_them() {
    let mut world = World::new();
    // A name that this relay has signed is good only while it knows the session.
    let user = UserId::random(&mut world.rng);
    let mut fox = world.client_of(user, "192.0.2.1:4000");
    let reply = world.does(&mut fox, ALLOCATE, |_| vec![udp()]);
    assert_eq!(reply.code(), Some(401));
    assert_eq!(world.refused("session_ended"), 1);
    let mut owl = world.guest("192.0.2.2:4000");
    owl.username = Username::new(owl.user, 2 * DAY, world.now).to_string();
    let reply = world.does(&mut owl, ALLOCATE, |_| vec![udp()]);
    assert_eq!(reply.code(), Some(401));
    assert_eq!(world.refused("wrong_credentials"), 1);
}
