//! The engine's decisions in virtual time, against a relay that is played by the test.

use std::time::{Duration, Instant};

use neartalk_shared::{
    DistanceBand, Grid, Limits, MessageText, Place, Radius, ServerFrame, Timestamp,
    frame::{Locate, Message, Person, ReportReason, Welcome},
    grid,
    limits::MESSAGE_TTL,
};
use rand::{RngExt, SeedableRng};

use super::*;

const EPOCH: u64 = 1_700_000_000_000;

fn berlin() -> Place {
    Place::new(52.5163, 13.3777).unwrap()
}

fn radius(metres: u32) -> Radius {
    Radius::new(metres).unwrap()
}

pub(super) fn name(s: &str) -> Username {
    Username::parse(s).unwrap()
}

fn text(s: &str) -> MessageText {
    MessageText::parse(s).unwrap()
}

pub(super) fn peer(seed: u64) -> PeerId {
    PeerId::random(&mut StdRng::seed_from_u64(seed))
}

/// A core, and what it has asked for.
pub(super) struct World {
    pub core: Core,
    start: Instant,
    pub now: Instant,
    pub me: PeerId,
    pub connects: Vec<Credentials>,
    pub frames: Vec<ClientFrame>,
    pub events: Vec<Event>,
    /// What voice's processing thread was told; it was started and ended where these say so.
    pub voice: Vec<Told>,
    pub finished: bool,
}

/// What was done with the processing thread of voice.
#[derive(Debug, PartialEq)]
pub(super) enum Told {
    Start,
    Input(VoiceInput<PeerId>),
    Stop,
}

impl World {
    pub fn new(username: Option<&str>) -> Self {
        let start = Instant::now();
        let core = Core::new(
            username.map(name),
            Placement::new(radius(500)),
            VoiceSettings::default(),
            StdRng::seed_from_u64(1),
        );
        let mut world = Self {
            core,
            start,
            now: start,
            me: peer(1),
            connects: Vec::new(),
            frames: Vec::new(),
            events: Vec::new(),
            voice: Vec::new(),
            finished: false,
        };
        world.act();
        world
    }

    /// Connected, at a place that the relay knows.
    pub fn settled(username: Option<&str>) -> Self {
        let mut w = Self::new(username);
        w.created("Quiet Otter");
        w.welcome(false);
        w.fix(Fix::by_hand(berlin()));
        w.located(500);
        w.forget();
        w
    }

    pub fn act(&mut self) {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Connect(credentials) => self.connects.push(credentials),
                Action::Send(frame) => self.frames.push(frame),
                Action::Hangup { .. } => {}
                Action::VoiceStart(_) => self.voice.push(Told::Start),
                Action::Voice(input) => self.voice.push(Told::Input(input)),
                Action::VoiceStop => self.voice.push(Told::Stop),
                Action::Emit(event) => self.events.push(event),
                Action::Finish => self.finished = true,
            }
        }
    }

    pub fn forget(&mut self) {
        self.connects.clear();
        self.frames.clear();
        self.events.clear();
        self.voice.clear();
    }

    pub fn command(&mut self, command: Command) {
        self.core.command(self.now, command);
        self.act();
    }

    fn say(&mut self, s: &str) -> MessageId {
        let id = MessageId::random();
        self.command(Command::Say { id, text: text(s) });
        id
    }

    pub fn fix(&mut self, fix: Fix) {
        self.core.fix(self.now, fix);
        self.act();
    }

    fn link(&mut self, event: LinkEvent) {
        self.core.link(self.now, event);
        self.act();
    }

    pub fn relay(&mut self, frame: ServerFrame) {
        self.link(LinkEvent::Frame(frame));
    }

    pub fn ended(&mut self, end: LinkEnd) {
        self.link(LinkEvent::Ended(end));
    }

    pub fn created(&mut self, username: &str) -> SessionId {
        let session_id = SessionId::random();
        self.link(LinkEvent::Created(CreatedSession {
            session_id,
            peer_id: self.me,
            username: name(username),
            username_changes_left: 3,
            expires_in_s: 1_800,
        }));
        session_id
    }

    pub fn welcome(&mut self, resumed: bool) {
        let username = self.core.session.as_ref().unwrap().username.clone();
        let welcome = Welcome {
            peer_id: self.me,
            username,
            username_changes_left: 3,
            resumed,
            server_time: self.relay_time(),
            limits: Limits::default(),
        };
        self.relay(ServerFrame::Welcome(welcome));
    }

    pub fn located(&mut self, metres: u32) {
        self.relay(ServerFrame::Located {
            geohash_prefix: "u33d".into(),
            radius: radius(metres),
            grid_m: Grid::for_radius(radius(metres)).side_m(),
        });
    }

    fn relay_time(&self) -> Timestamp {
        Timestamp::from_millis(EPOCH) + (self.now - self.start)
    }

    fn sent(&mut self, id: MessageId) {
        let sent_at = self.relay_time();
        self.relay(ServerFrame::Sent {
            id,
            sent_at,
            expires_at: sent_at + MESSAGE_TTL,
            reached: 7,
        });
    }

    fn message(&self, from: PeerId, s: &str) -> Message {
        Message {
            id: MessageId::random(),
            from,
            username: name("Fox"),
            text: text(s),
            sent_at: self.relay_time(),
            expires_at: self.relay_time() + MESSAGE_TTL,
            distance: DistanceBand { min: 0, max: 50 },
        }
    }

    pub fn error(&mut self, code: ErrorCode, retry_after_ms: Option<u64>, id: Option<MessageId>) {
        let error = ApiError {
            retry_after_ms,
            ..ApiError::new(code, "No.")
        };
        self.relay(ServerFrame::Error {
            error,
            reference: id,
        });
    }

    /// Lets time pass, waking the core whenever it wants to be woken.
    pub fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.core.next_wake(self.now)
            && at <= end
        {
            assert!(at > self.now, "woken again and again for nothing");
            self.now = at;
            self.core.wake(self.now);
            self.act();
        }
        self.now = end;
        self.core.wake(self.now);
        self.act();
    }

    fn says(&self) -> Vec<MessageId> {
        let say = |frame: &ClientFrame| match frame {
            ClientFrame::Say { id, .. } => Some(*id),
            _ => None,
        };
        self.frames.iter().filter_map(say).collect()
    }

    fn locates(&self) -> Vec<Locate> {
        let locate = |frame: &ClientFrame| match frame {
            ClientFrame::Locate(locate) => Some(*locate),
            _ => None,
        };
        self.frames.iter().filter_map(locate).collect()
    }

    fn state(&self) -> &ConnectionState {
        &self.core.state
    }
}

pub(super) fn person(seed: u64) -> Person {
    Person {
        peer_id: peer(seed),
        username: name("Fox"),
        former_usernames: Vec::new(),
        distance: DistanceBand { min: 0, max: 50 },
        in_voice: false,
        muted: false,
        deafened: false,
    }
}

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
}

#[test]
fn some_ends_are_not_fought() {
    for reason in [
        StopReason::TakenOver,
        StopReason::UnsupportedProtocol,
        StopReason::Banned {
            retry_after_ms: Some(60_000),
        },
    ] {
        let mut w = World::settled(None);
        // A ban is explained before the relay hangs up.
        if let StopReason::Banned { .. } = reason {
            w.error(ErrorCode::Banned, Some(60_000), None);
            w.ended(LinkEnd::Stopped(StopReason::Banned {
                retry_after_ms: None,
            }));
        } else {
            w.ended(LinkEnd::Stopped(reason.clone()));
        }
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
