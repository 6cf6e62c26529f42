//! Sessions and connections: how they begin, end and come back.

use super::*;

#[test]
fn from_nothing_to_a_message_that_reached_people() {
    let mut w = World::new(None);
    assert_eq!(w.connects, [Credentials::New(None)]);
    let id = w.say("hello");
    w.created("Quiet Otter");
    w.welcome(false);
    assert_eq!(w.state(), &ConnectionState::Online);
    assert!(w.frames.is_empty(), "nobody knows the place yet");
    w.fix(Fix::measured(berlin()));
    let place = grid::snap(berlin(), radius(500));
    let locate = Locate {
        place,
        radius: radius(500),
    };
    assert_eq!(w.frames, [ClientFrame::Locate(locate)]);
    w.located(500);
    assert_eq!(w.says(), [id]);
    w.events.clear();
    w.sent(id);
    let [
        Event::Sent {
            message,
            reached: 7,
        },
    ] = &w.events[..]
    else {
        panic!("{:?}", w.events);
    };
    assert!(
        message.own && message.text == text("hello") && message.username == name("Quiet Otter")
    );
    assert_eq!(message.expires_in_ms, 1_800_000);
    w.events.clear();
    w.pass(MESSAGE_TTL - Duration::from_millis(1));
    assert!(w.events.is_empty(), "{:?}", w.events);
    w.pass(Duration::from_millis(1));
    assert_eq!(
        w.events,
        [Event::Removed {
            ids: vec![id],
            reason: RemovedReason::Expired
        }]
    );
}

#[test]
fn a_lost_connection_resends_what_was_not_acknowledged_under_the_same_id() {
    let mut w = World::settled(None);
    let (first, second) = (w.say("first"), w.say("second"));
    assert_eq!(w.says(), [first]);
    w.forget();
    w.ended(LinkEnd::lost());
    assert!(matches!(
        &w.events[..],
        [Event::Connection(ConnectionState::Offline {
            reason: OfflineReason::Lost,
            ..
        })]
    ));
    let third = w.say("third");
    w.pass(Duration::from_secs(1));
    let session = w.core.session.as_ref().unwrap().id;
    assert_eq!(w.connects, [Credentials::Session(session)]);
    w.welcome(true);
    assert!(w.says().is_empty(), "the relay has not confirmed the place");
    w.located(500);
    for id in [first, second, third] {
        assert_eq!(w.says(), [id]);
        w.frames.clear();
        w.sent(id);
    }
    assert!(w.says().is_empty() && w.core.outbox.is_empty());
    assert!(w.locates().is_empty(), "the relay still had the place");
}

#[test]
fn a_lost_session_is_replaced_at_once_and_said() {
    let mut w = World::settled(None);
    let id = w.say("hello");
    w.relay(ServerFrame::Nearby {
        people: vec![person(2)],
        reach: Vec::new(),
    });
    w.ended(LinkEnd::lost());
    w.pass(Duration::from_secs(1));
    w.forget();
    let former = w.me;
    w.ended(LinkEnd::Unauthorized);
    assert_eq!(w.connects, [Credentials::New(None)], "at once");
    assert_eq!(
        w.events,
        [Event::Nearby {
            people: Vec::new(),
            reach: Vec::new()
        }]
    );
    w.me = peer(9);
    w.created("Brave Finch");
    w.events.clear();
    w.welcome(false);
    assert_eq!(
        w.events[0],
        Event::SessionReplaced {
            former_peer_id: former,
            former_username: name("Quiet Otter"),
            username: name("Brave Finch"),
        }
    );
    assert!(matches!(&w.events[1], Event::Me(me) if me.username == name("Brave Finch")));
    assert_eq!(w.locates().len(), 1, "the new session has no place yet");
    w.located(500);
    assert_eq!(w.says(), [id]);
    // It is said once.
    w.ended(LinkEnd::lost());
    w.pass(Duration::from_secs(1));
    w.events.clear();
    w.welcome(true);
    assert!(!matches!(w.events[0], Event::SessionReplaced { .. }));
}

#[test]
fn a_chosen_name_is_asked_for_again() {
    let mut w = World::settled(Some("Red Fox"));
    w.ended(LinkEnd::Unauthorized);
    assert_eq!(w.connects, [Credentials::New(Some(name("Red Fox")))]);
    // So is one that was chosen later, once the relay has agreed to it.
    let mut w = World::settled(None);
    w.command(Command::Rename {
        username: name("Blue Fox"),
    });
    w.relay(ServerFrame::Renamed {
        username: name("Blue Fox"),
        username_changes_left: 2,
    });
    assert!(matches!(&w.events[..], [Event::Me(me)] if me.username_changes_left == 2));
    w.command(Command::Rename {
        username: name("Green Fox"),
    });
    w.error(ErrorCode::UsernameChangesExhausted, None, None);
    assert!(matches!(w.events.last(), Some(Event::Refused { .. })));
    w.ended(LinkEnd::Unauthorized);
    assert_eq!(w.connects, [Credentials::New(Some(name("Blue Fox")))]);
}

#[test]
fn a_name_whose_answer_was_lost_is_not_lost_with_it() {
    let asked = |w: &mut World| {
        w.command(Command::Rename {
            username: name("Blue Fox"),
        });
        w.ended(LinkEnd::lost());
        w.command(Command::RetryNow);
        w.events.clear();
    };
    // The relay has taken it, and says so when it greets.
    let mut w = World::settled(None);
    asked(&mut w);
    w.core.session.as_mut().unwrap().username = name("Blue Fox");
    w.welcome(true);
    assert!(!w.refused());
    w.forget();
    w.ended(LinkEnd::Unauthorized);
    assert_eq!(w.connects, [Credentials::New(Some(name("Blue Fox")))]);
    // It has never heard of it, and the person is told.
    let mut w = World::settled(None);
    asked(&mut w);
    w.welcome(true);
    assert!(w.refused());
    // Once.
    w.ended(LinkEnd::lost());
    w.command(Command::RetryNow);
    w.events.clear();
    w.welcome(true);
    assert!(!w.refused());
}

#[test]
fn a_name_that_the_relay_does_not_take_is_given_up() {
    let mut w = World::new(Some("Red Fox"));
    let refused = ApiError::new(ErrorCode::InvalidUsername, "Not here.");
    w.ended(LinkEnd::NameRefused(refused.clone()));
    assert_eq!(w.connects.last(), Some(&Credentials::New(None)));
    assert!(w.events.contains(&Event::Refused { error: refused }));
}

#[test]
fn a_relay_that_refuses_its_own_sessions_is_not_hammered() {
    let mut w = World::new(None);
    for attempt in 1..=5 {
        assert_eq!(w.connects.len(), attempt);
        w.created("Quiet Otter");
        w.ended(LinkEnd::Unauthorized);
        assert_eq!(w.connects.len(), attempt, "not at once");
        w.pass(Duration::from_secs(15));
    }
}

#[test]
fn a_relay_that_is_away_is_tried_with_growing_waits_until_asked_to_hurry() {
    let mut w = World::settled(None);
    let away = LinkEnd::Offline(OfflineReason::RelayLeaving, None);
    for _ in 0..20 {
        w.ended(away.clone());
        let Some(Event::Connection(ConnectionState::Offline { retry_in, .. })) = w.events.last()
        else {
            panic!("{:?}", w.events.last());
        };
        assert!(*retry_in <= Duration::from_secs(15));
        w.pass(Duration::from_secs(15));
        assert_eq!(w.state(), &ConnectionState::Connecting);
    }
    w.ended(LinkEnd::Offline(
        OfflineReason::Lost,
        Some(Duration::from_secs(60)),
    ));
    w.forget();
    w.pass(Duration::from_secs(59));
    assert!(w.connects.is_empty(), "the relay asked for a minute");
    w.command(Command::RetryNow);
    assert_eq!(w.connects.len(), 1);
    w.command(Command::RetryNow);
    assert_eq!(w.connects.len(), 1, "it is trying already");
    // No clock goes that far.
    w.ended(LinkEnd::Offline(OfflineReason::Lost, Some(Duration::MAX)));
}

#[test]
fn some_ends_are_not_fought() {
    for reason in [
        StopReason::TakenOver,
        StopReason::UnsupportedProtocol,
        StopReason::Banned {
            retry_after_ms: None,
        },
    ] {
        let mut w = World::settled(None);
        w.ended(LinkEnd::Stopped(reason.clone()));
        assert_eq!(
            w.events,
            [Event::Connection(ConnectionState::Stopped { reason })]
        );
        w.pass(Duration::from_secs(3_600));
        assert!(w.connects.is_empty());
        w.command(Command::RetryNow);
        assert_eq!(w.connects.len(), 1);
    }
}

#[test]
fn a_ban_is_waited_out() {
    let mut w = World::settled(None);
    // It is explained before the relay hangs up.
    w.error(ErrorCode::Banned, Some(60_000), None);
    w.ended(LinkEnd::Stopped(StopReason::Banned {
        retry_after_ms: None,
    }));
    let banned = |ms| ConnectionState::Stopped {
        reason: StopReason::Banned {
            retry_after_ms: Some(ms),
        },
    };
    assert_eq!(w.events, [Event::Connection(banned(60_000))]);
    w.pass(Duration::from_secs(59));
    // Another network makes no difference.
    w.command(Command::NetworkChanged);
    assert!(w.connects.is_empty());
    let Event::Snapshot(snapshot) = w.core.snapshot(w.now, 0) else {
        unreachable!();
    };
    assert_eq!(snapshot.connection, banned(1_000), "it ends when it ends");
    w.pass(Duration::from_secs(1));
    assert_eq!(w.connects.len(), 1);
    assert_eq!(w.state(), &ConnectionState::Connecting);
}

#[test]
fn what_makes_no_sense_later_is_refused_while_offline() {
    let mut w = World::settled(None);
    w.ended(LinkEnd::lost());
    w.forget();
    for command in [
        Command::Rename {
            username: name("Red Fox"),
        },
        Command::Report {
            peer_id: peer(2),
            reason: ReportReason::Spam,
            message_id: None,
        },
    ] {
        w.command(command);
        assert!(matches!(w.events.pop(), Some(Event::Refused { .. })));
    }
    w.command(Command::Typing);
    assert!(w.frames.is_empty() && w.events.is_empty());
}

#[test]
fn a_device_that_slept_connects_anew_and_has_forgotten_what_expired() {
    let mut w = World::settled(None);
    let message = w.message(peer(2), "hello");
    w.relay(ServerFrame::Message(message.clone()));
    w.forget();
    w.now += Duration::from_secs(3_600);
    w.core.slept(w.now);
    w.act();
    assert_eq!(w.connects.len(), 1);
    assert!(w.events.contains(&Event::Removed {
        ids: vec![message.id],
        reason: RemovedReason::Expired
    }));
}

/// Whoever counts down what messages have left to live may have slept too.
#[test]
fn after_sleep_it_is_told_how_long_messages_live_yet() {
    let mut w = World::settled(None);
    let message = w.message(peer(2), "hello");
    w.relay(ServerFrame::Message(message));
    w.forget();
    w.now += Duration::from_secs(600);
    w.core.slept(w.now);
    w.act();
    let Some(Event::Snapshot(snapshot)) = w.events.last() else {
        panic!("{:?}", w.events);
    };
    assert_eq!(snapshot.messages[0].expires_in_ms, 1_200_000);
}

#[test]
fn a_snapshot_has_everything() {
    let mut w = World::settled(None);
    w.relay(ServerFrame::PersonEntered { person: person(2) });
    let message = w.message(peer(2), "hello");
    w.relay(ServerFrame::Message(message.clone()));
    w.relay(ServerFrame::Typing { peer_id: peer(2) });
    w.command(Command::Block { peer_id: peer(3) });
    let id = w.say("waits");
    w.ended(LinkEnd::Offline(
        OfflineReason::Lost,
        Some(Duration::from_secs(10)),
    ));
    w.relay(ServerFrame::Typing { peer_id: peer(2) });
    w.now += Duration::from_secs(4);
    w.events.clear();
    w.command(Command::Snapshot);
    let [Event::Snapshot(s)] = &w.events[..] else {
        panic!("{:?}", w.events);
    };
    assert_eq!(s.missed, 0);
    assert_eq!(
        s.connection,
        ConnectionState::Offline {
            reason: OfflineReason::Lost,
            retry_in: Duration::from_secs(6)
        }
    );
    assert_eq!(s.me.as_ref().map(|me| me.peer_id), Some(w.me));
    assert_eq!(s.located.as_ref().map(|l| l.radius), Some(radius(500)));
    assert_eq!(s.people, [person(2)]);
    assert_eq!(s.typing, [peer(2)]);
    assert_eq!(s.messages.len(), 1);
    assert_eq!(s.messages[0].expires_in_ms, 1_796_000);
    assert_eq!(s.waiting[0].id, id);
    assert_eq!(s.blocked, [peer(3)]);
}

#[test]
fn shutdown_leaves_and_ends() {
    let mut w = World::settled(None);
    w.core.command(w.now, Command::Shutdown);
    assert_eq!(w.core.poll_action(), Some(Action::Hangup { goodbye: true }));
    w.act();
    assert!(w.finished);
    assert_eq!(
        w.events,
        [Event::Connection(ConnectionState::Stopped {
            reason: StopReason::Shutdown
        })]
    );
}
