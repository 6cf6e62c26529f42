//! People, places and words.

use super::*;

/// A walk of an hour, with jumps by hand, changes of the circle and lost connections: whatever
/// leaves is the exact centre of a cell of the right grid, and not too often.
#[test]
fn only_centres_of_cells_ever_leave() {
    let mut w = World::new(None);
    w.created("Quiet Otter");
    w.welcome(false);
    let mut rng = StdRng::seed_from_u64(3);
    let mut here = berlin();
    let mut told: Vec<(Instant, Locate)> = Vec::new();
    for second in 0..3_600 {
        here = here.destination(rng.random_range(0.0..6.3), rng.random_range(0.0..20.0));
        if rng.random_ratio(1, 300) {
            here = here.destination(rng.random_range(0.0..6.3), 5_000.0);
            w.fix(Fix::by_hand(here));
        } else {
            w.fix(Fix::measured(here));
        }
        if rng.random_ratio(1, 60) {
            let metres = [100, 200, 300, 500, 999, 1_000, 2_000][rng.random_range(0..7)];
            w.command(Command::SetRadius {
                radius: radius(metres),
            });
        }
        if rng.random_ratio(1, 200) {
            w.ended(LinkEnd::lost());
            w.pass(Duration::from_secs(20));
            w.welcome(true);
        }
        w.say(&format!("{second}"));
        w.command(Command::Typing);
        for frame in std::mem::take(&mut w.frames) {
            match frame {
                ClientFrame::Locate(locate) => {
                    told.push((w.now, locate));
                    w.located(locate.radius.metres());
                }
                ClientFrame::Say { id, .. } => w.sent(id),
                ClientFrame::Typing => {}
                other => panic!("{other:?} was not asked for"),
            }
        }
        w.events.clear();
        w.pass(Duration::from_secs(1));
    }
    assert!(told.len() > 100, "{}", told.len());
    for (_, locate) in &told {
        let Locate { place, radius } = *locate;
        assert!(grid::snap(place, radius) == place, "off the grid");
    }
    for (i, (a, _)) in told.iter().enumerate() {
        for (j, (b, _)) in told.iter().enumerate().skip(i) {
            let allowed = 3 + (*b - *a).as_secs() / 10;
            assert!((j - i + 1) as u64 <= allowed, "told too often");
        }
    }
}

#[test]
fn nothing_of_a_blocked_person_comes_through() {
    let mut w = World::settled(None);
    let (fox, owl) = (peer(2), peer(3));
    for seed in [2, 3] {
        w.relay(ServerFrame::PersonEntered {
            person: person(seed),
        });
    }
    let said = w.message(fox, "said before");
    w.relay(ServerFrame::Message(said.clone()));
    w.relay(ServerFrame::Typing { peer_id: fox });
    w.events.clear();
    w.command(Command::Block { peer_id: fox });
    assert_eq!(
        w.events,
        [
            Event::Removed {
                ids: vec![said.id],
                reason: RemovedReason::Blocked
            },
            Event::Blocked {
                peer_id: fox,
                blocked: true
            }
        ]
    );
    w.forget();
    let (theirs, other) = (w.message(fox, "theirs"), w.message(owl, "other"));
    w.relay(ServerFrame::History {
        messages: vec![said.clone(), theirs.clone(), other],
    });
    assert!(matches!(&w.events[..], [Event::History { messages }] if messages.len() == 1));
    w.events.clear();
    for frame in [
        ServerFrame::Message(theirs),
        ServerFrame::Typing { peer_id: fox },
        ServerFrame::PersonChanged {
            person: Person {
                muted: true,
                ..person(2)
            },
        },
        ServerFrame::PersonLeft {
            peer_id: fox,
            reason: LeftReason::Left,
        },
        ServerFrame::PersonEntered { person: person(2) },
        ServerFrame::History {
            messages: vec![said],
        },
    ] {
        w.relay(frame);
    }
    assert_eq!(w.events, []);
    assert_eq!(w.frames, [], "nor does the relay learn of it");
    w.command(Command::Unblock { peer_id: fox });
    assert_eq!(
        w.events,
        [
            Event::Blocked {
                peer_id: fox,
                blocked: false
            },
            Event::PersonEntered { person: person(2) }
        ]
    );
    w.events.clear();
    w.command(Command::Block { peer_id: w.me });
    assert!(matches!(&w.events[..], [Event::Refused { .. }]));
}

#[test]
fn who_is_blocked_is_in_reach_no_more() {
    let mut w = World::settled(None);
    let reach = |count| {
        vec![Reach {
            radius: 1_000,
            count,
        }]
    };
    w.relay(ServerFrame::Nearby {
        people: vec![person(2), person(3)],
        reach: reach(2),
    });
    w.events.clear();
    for (command, count) in [
        (Command::Block { peer_id: peer(2) }, 1),
        (Command::Block { peer_id: peer(3) }, 0),
        (Command::Unblock { peer_id: peer(2) }, 1),
    ] {
        w.command(command);
        let reach = reach(count);
        assert_eq!(w.events.pop(), Some(Event::Reach { reach }));
    }
    w.events.clear();
    w.command(Command::Block { peer_id: peer(4) });
    assert!(
        matches!(&w.events[..], [Event::Blocked { .. }]),
        "a stranger's absence changes no count"
    );
}

#[test]
fn reports_and_typing_go_through() {
    let mut w = World::settled(None);
    let fox = peer(2);
    w.command(Command::Typing);
    w.command(Command::Typing);
    assert_eq!(w.frames, [ClientFrame::Typing]);
    w.frames.clear();
    w.command(Command::Report {
        peer_id: fox,
        reason: ReportReason::Spam,
        message_id: None,
    });
    assert_eq!(w.frames.len(), 1);
    w.relay(ServerFrame::Reported { peer_id: fox });
    w.relay(ServerFrame::Typing { peer_id: fox });
    w.pass(Duration::from_secs(5));
    w.relay(ServerFrame::Typing { peer_id: fox });
    let message = w.message(fox, "hello");
    w.relay(ServerFrame::Message(message));
    let typing = |active| Event::Typing {
        peer_id: fox,
        active,
    };
    assert_eq!(
        w.events[..5],
        [
            Event::Reported { peer_id: fox },
            typing(true),
            typing(false),
            typing(true),
            typing(false),
        ]
    );
    assert!(matches!(w.events[5], Event::Message { .. }));
}

#[test]
fn an_announcement_is_told_once_however_often_the_relay_says_it() {
    let mut w = World::settled(None);
    let announcement = |text, expires_at| ServerFrame::Announcement {
        text: MessageText::parse(text).unwrap(),
        expires_at: Timestamp::from_millis(expires_at),
    };
    w.relay(announcement("We restart at ten.", 5));
    w.relay(announcement("We restart at ten.", 5));
    w.relay(announcement("We restart at ten.", 6));
    let told = w.events.iter();
    let told = told.filter(|e| matches!(e, Event::Announcement { .. }));
    assert_eq!(told.count(), 2);
}

#[test]
fn a_closed_place_is_asked_for_again_when_it_opens() {
    let mut w = World::settled(None);
    w.error(ErrorCode::PlaceClosed, Some(600_000), None);
    assert_eq!(w.locates().len(), 0);
    w.pass(Duration::from_secs(599));
    assert_eq!(w.locates().len(), 0);
    w.pass(Duration::from_secs(2));
    assert_eq!(w.locates().len(), 1);
}

#[test]
fn words_wait_until_they_land_where_they_are_meant_to() {
    let mut w = World::settled(None);
    w.command(Command::SetRadius {
        radius: radius(1_000),
    });
    let id = w.say("hello, wider circle");
    assert_eq!(w.says(), []);
    assert_eq!(w.locates().len(), 1);
    w.located(1_000);
    assert_eq!(w.says(), [id]);
    // The relay's place has run out meanwhile.
    w.forget();
    w.error(ErrorCode::NoLocation, None, Some(id));
    assert_eq!((w.locates().len(), w.says()), (1, vec![]));
    w.located(1_000);
    assert_eq!(w.says(), [id]);
}

#[test]
fn the_fate_of_messages_is_told() {
    let mut w = World::settled(None);
    let (limited, invalid) = (w.say("limited"), w.say("invalid"));
    w.error(ErrorCode::RateLimited, Some(7_000), Some(limited));
    assert_eq!(
        w.events.last(),
        Some(&Event::Delayed {
            id: limited,
            retry_in_ms: 7_000
        })
    );
    w.forget();
    w.pass(Duration::from_secs(7));
    assert_eq!(w.says(), [limited]);
    w.sent(limited);
    w.error(ErrorCode::InvalidMessage, None, Some(invalid));
    assert!(matches!(
        w.events.last(),
        Some(Event::Failed { id, reason: FailedReason::Refused { .. }, .. }) if *id == invalid
    ));
    w.ended(LinkEnd::lost());
    let old = w.say("old");
    w.forget();
    let mut waited = Duration::ZERO;
    while waited < MESSAGE_TTL {
        w.pass(Duration::from_secs(30));
        w.ended(LinkEnd::lost());
        waited += Duration::from_secs(30);
    }
    let failed = |event: &&Event| matches!(event, Event::Failed { .. });
    assert!(matches!(
        w.events.iter().find(failed),
        Some(Event::Failed { id, reason: FailedReason::Expired, .. }) if *id == old
    ));
    assert!(w.core.outbox.is_empty());
}

#[test]
fn a_refused_place_is_told_and_tried_again() {
    let mut w = World::settled(None);
    let far = berlin().destination(1.0, 500_000.0);
    w.fix(Fix::by_hand(far));
    let id = w.say("hello from far away");
    w.error(ErrorCode::ImplausibleLocation, None, None);
    assert!(matches!(
        w.events.last(),
        Some(Event::LocationRefused {
            retry_in_ms: 60_000,
            ..
        })
    ));
    w.forget();
    w.pass(Duration::from_secs(59));
    assert!(w.frames.is_empty());
    w.pass(Duration::from_secs(1));
    assert_eq!(w.locates().len(), 1);
    w.located(500);
    assert_eq!(w.says(), [id]);
}

#[test]
fn events_and_commands_read_well_as_json() {
    let json = |event: &Event| serde_json::to_value(event).unwrap();
    let offline = Event::Connection(ConnectionState::Offline {
        reason: OfflineReason::Unreachable {
            relay: "relay.example.org".into(),
            detail: "Connection refused".into(),
        },
        retry_in: Duration::from_millis(1_500),
    });
    assert_eq!(
        json(&offline),
        serde_json::json!({
            "type": "connection", "state": "offline", "reason": "unreachable",
            "relay": "relay.example.org", "detail": "Connection refused", "retry_in_ms": 1_500,
        })
    );
    let id = MessageId::random();
    let failed = Event::Failed {
        id,
        text: text("x"),
        reason: FailedReason::Expired,
    };
    assert_eq!(
        json(&failed),
        serde_json::json!({"type": "failed", "id": id, "text": "x", "reason": "expired"})
    );
    let say = Command::Say {
        id,
        text: text("x"),
    };
    let value = serde_json::to_value(&say).unwrap();
    assert_eq!(
        value,
        serde_json::json!({"type": "say", "id": id, "text": "x"})
    );
    assert_eq!(serde_json::from_value::<Command>(value).unwrap(), say);
}
