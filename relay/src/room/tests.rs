//! The room in virtual time: what each client is told, against brute force.

mod mirror;
mod moderation;
mod reached;
mod spread;
mod story;
mod tally;
mod together;
mod town;
mod voice;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    f64::consts::TAU,
    rc::Rc,
};

use neartalk_shared::{
    DistanceBand, MessageText, Place, Radius, SessionId, Spot,
    frame::{LeftReason, Locate, Message, Person, Reach, ReportReason, SignalData},
    limits::REACH_RADII_M,
};
use rand::{RngExt, SeedableRng};

use super::*;
use crate::address::AddressKey;

#[derive(Debug, Default)]
struct Inbox {
    frames: Vec<ServerFrame>,
    closed: Option<CloseCode>,
    /// A reader that takes nothing.
    stuck: bool,
}

#[derive(Clone, Debug, Default)]
struct TestLink(Rc<RefCell<Inbox>>);

impl Link for TestLink {
    fn send(&mut self, frame: &Arc<Frame>) -> bool {
        let mut inbox = self.0.borrow_mut();
        if inbox.stuck || inbox.closed.is_some() {
            return false;
        }
        let parsed = ServerFrame::parse(&frame.json).unwrap().unwrap();
        inbox.frames.push(parsed);
        true
    }

    fn close(&mut self, code: CloseCode) {
        self.0.borrow_mut().closed = Some(code);
    }
}

fn address(n: u8) -> AddressKey {
    AddressKey::from(std::net::IpAddr::from([192, 0, 2, n]))
}

/// A client that believes what it is told.
struct TestClient {
    address: u8,
    session: SessionId,
    peer_id: PeerId,
    link: TestLink,
    attachment: Option<Attachment>,
    seen: BTreeMap<PeerId, Person>,
    voice_peers: BTreeMap<PeerId, bool>,
    /// Those it had connections with when it joined again, until it is told of them again.
    unconfirmed: BTreeMap<PeerId, bool>,
    reach: Vec<Reach>,
    messages: Vec<Message>,
    sent: Vec<(MessageId, u32)>,
    left: Vec<(PeerId, LeftReason)>,
    errors: Vec<(ErrorCode, Option<u64>)>,
    announced: Vec<String>,
}

impl TestClient {
    fn new(room: &mut Room<TestLink>, now: Timestamp) -> Self {
        Self::from(room, 1, now)
    }

    /// From the n-th of many addresses.
    fn from(room: &mut Room<TestLink>, n: u8, now: Timestamp) -> Self {
        let origin = room.moderation.origin(address(n), now, &mut room.rng);
        let created = room.create_session(None, origin, now).unwrap();
        let mut client = Self {
            address: n,
            session: created.session_id,
            peer_id: created.peer_id,
            link: TestLink::default(),
            attachment: None,
            seen: BTreeMap::new(),
            voice_peers: BTreeMap::new(),
            unconfirmed: BTreeMap::new(),
            reach: Vec::new(),
            messages: Vec::new(),
            sent: Vec::new(),
            left: Vec::new(),
            errors: Vec::new(),
            announced: Vec::new(),
        };
        client.connect(room, now);
        client
    }

    fn connect(&mut self, room: &mut Room<TestLink>, now: Timestamp) {
        self.link = TestLink::default();
        self.seen.clear();
        let from = address(self.address);
        let attached = room.hello(&self.session, 1, from, self.link.clone(), now);
        self.attachment = Some(attached.map_err(|(refusal, _)| refusal).unwrap());
        self.read();
    }

    fn disconnect(&mut self, room: &mut Room<TestLink>, left: bool, now: Timestamp) {
        self.read();
        if let Some(attachment) = self.attachment.take() {
            room.disconnect(attachment, left, now);
        }
    }

    fn send(&mut self, room: &mut Room<TestLink>, frame: ClientFrame, now: Timestamp) {
        if let Some(attachment) = self.attachment {
            room.handle(attachment, frame, None, now);
        }
        self.read();
    }

    fn locate(&mut self, room: &mut Room<TestLink>, place: Place, radius: u32, now: Timestamp) {
        let radius = Radius::new(radius).unwrap();
        self.send(room, ClientFrame::Locate(Locate { place, radius }), now);
    }

    fn say(&mut self, room: &mut Room<TestLink>, text: &str, now: Timestamp) -> MessageId {
        let id = MessageId::random();
        let text = MessageText::parse(text).unwrap();
        self.send(room, ClientFrame::Say { id, text }, now);
        id
    }

    /// Takes in what has arrived, checking that it fits what was told before.
    fn read(&mut self) {
        let frames = std::mem::take(&mut self.link.0.borrow_mut().frames);
        for frame in frames {
            match frame {
                ServerFrame::Nearby { people, reach } => {
                    self.seen = people.into_iter().map(|p| (p.peer_id, p)).collect();
                    self.reach = reach;
                }
                ServerFrame::Reach { reach } => self.reach = reach,
                ServerFrame::PersonEntered { person } => {
                    let known = self.seen.insert(person.peer_id, person);
                    assert!(known.is_none(), "entered twice");
                }
                ServerFrame::PersonChanged { person } => {
                    let known = self.seen.insert(person.peer_id, person);
                    assert!(known.is_some(), "changed before having entered");
                }
                ServerFrame::PersonLeft { peer_id, reason } => {
                    assert!(
                        self.seen.remove(&peer_id).is_some(),
                        "left without having entered"
                    );
                    self.left.push((peer_id, reason));
                }
                ServerFrame::VoiceReady { .. } => {
                    assert!(self.unconfirmed.is_empty(), "not all were named again");
                    self.unconfirmed = std::mem::take(&mut self.voice_peers);
                }
                ServerFrame::VoicePeer {
                    peer_id, polite, ..
                } => {
                    let before = self.unconfirmed.remove(&peer_id);
                    assert!(before.is_none_or(|before| before == polite));
                    assert!(
                        self.voice_peers.insert(peer_id, polite).is_none(),
                        "a peer twice"
                    );
                }
                ServerFrame::VoicePeerLeft { peer_id } => {
                    assert!(
                        self.voice_peers.remove(&peer_id).is_some(),
                        "an unknown peer left"
                    );
                }
                ServerFrame::Message(message) => self.messages.push(message),
                ServerFrame::History { messages } => self.messages.extend(messages),
                ServerFrame::Sent { id, reached, .. } => self.sent.push((id, reached)),
                ServerFrame::Error { error, .. } => {
                    self.errors.push((error.code, error.retry_after_ms));
                }
                ServerFrame::Announcement { text, .. } => self.announced.push(text.into()),
                _ => {}
            }
        }
    }

    fn texts(&self) -> Vec<&str> {
        self.messages.iter().map(|m| m.text.as_str()).collect()
    }
}

fn room_with(settings: RoomSettings) -> Room<TestLink> {
    Room::new(settings, StdRng::seed_from_u64(1), RoomMetrics::default())
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + seconds * 1_000)
}

fn square() -> Place {
    Place::new(52.52, 13.405).unwrap()
}

/// Lets a second pass, in which it ticks every now and then.
fn pass_a_second(now: &mut Timestamp, rng: &mut StdRng, mut tick: impl FnMut(Timestamp)) {
    let until = *now + Duration::from_secs(1);
    while *now < until {
        let pause = Duration::from_millis(rng.random_range(1..=50));
        *now = (*now + pause).min(until);
        tick(*now);
    }
}

#[test]
fn thirty_minutes_later_everything_is_gone() {
    let mut room = room_with(RoomSettings::default());
    let mut early = TestClient::new(&mut room, at(0));
    early.locate(&mut room, square(), 500, at(0));
    let id = early.say(&mut room, "first", at(0));
    early.say(&mut room, "second", at(28 * 60));

    // Who joins at minute 29 sees both …
    let mut late = TestClient::new(&mut room, at(29 * 60));
    late.locate(&mut room, square(), 500, at(29 * 60));
    assert_eq!(late.texts(), ["first", "second"]);
    assert_eq!(late.messages[0].expires_at, at(30 * 60));

    // … and at minute 31 only the second, even before any tick has run.
    late.messages.clear();
    late.connect(&mut room, at(31 * 60));
    assert_eq!(late.texts(), ["second"]);
    room.tick(at(31 * 60));
    assert_eq!(room.history.len(), 1);
    room.tick(at(58 * 60));
    assert_eq!(room.history.len(), 0);

    // Nothing remembers the id, either.
    assert!(room.history.get(&id, at(31 * 60)).is_none());
}

#[test]
fn history_goes_by_where_people_were_then_and_are_now() {
    let mut room = room_with(RoomSettings::default());
    let mut speaker = TestClient::new(&mut room, at(0));
    speaker.locate(&mut room, square(), 300, at(0));
    speaker.say(&mut room, "here", at(1));
    // The speaker walks on; what was said stays where it was said.
    speaker.locate(&mut room, square().destination(1.0, 1_800.0), 300, at(100));

    let mut near = TestClient::new(&mut room, at(101));
    near.locate(&mut room, square().destination(2.0, 50.0), 2_000, at(101));
    assert_eq!(near.texts(), ["here"]);
    let mut far = TestClient::new(&mut room, at(101));
    far.locate(
        &mut room,
        square().destination(1.0, 1_800.0),
        2_000,
        at(101),
    );
    assert_eq!(far.texts(), Vec::<&str>::new());
    // A smaller circle, a shorter past.
    let mut small = TestClient::new(&mut room, at(101));
    small.locate(&mut room, square().destination(2.0, 290.0), 100, at(101));
    assert_eq!(small.texts(), Vec::<&str>::new());
}

#[test]
fn saying_it_again_delivers_it_once() {
    let mut room = room_with(RoomSettings::default());
    let mut a = TestClient::new(&mut room, at(0));
    let mut b = TestClient::new(&mut room, at(0));
    a.locate(&mut room, square(), 500, at(0));
    b.locate(&mut room, square(), 500, at(0));
    let id = a.say(&mut room, "hello", at(1));
    let again = ClientFrame::Say {
        id,
        text: MessageText::parse("hello").unwrap(),
    };
    a.send(&mut room, again.clone(), at(2));
    a.disconnect(&mut room, false, at(3));
    a.connect(&mut room, at(4));
    a.send(&mut room, again.clone(), at(5));
    assert_eq!(a.sent, [(id, 1), (id, 1), (id, 1)]);
    b.read();
    assert_eq!(b.texts(), ["hello"]);
    // Somebody else's id.
    b.send(&mut room, again, at(6));
    assert_eq!(b.errors, [(ErrorCode::InvalidMessage, None)]);
}

#[test]
fn ten_messages_within_any_minute() {
    let mut room = room_with(RoomSettings::default());
    let mut a = TestClient::new(&mut room, at(0));
    a.locate(&mut room, square(), 500, at(0));
    for i in 0..10 {
        a.say(&mut room, "hi", at(i));
    }
    a.say(&mut room, "hi", at(10));
    assert_eq!(a.errors, [(ErrorCode::RateLimited, Some(50_000))]);
    // A new socket is no way around it.
    a.connect(&mut room, at(11));
    a.say(&mut room, "hi", at(59));
    assert_eq!(a.errors.len(), 2);
    a.say(&mut room, "hi", at(60));
    assert_eq!(a.sent.len(), 11);
}

#[test]
fn presence_waits_for_the_tick_and_messages_do_not() {
    let mut room = room_with(RoomSettings::default());
    let mut a = TestClient::new(&mut room, at(0));
    a.locate(&mut room, square(), 500, at(0));
    room.tick(at(1));
    let mut b = TestClient::new(&mut room, at(1));
    b.locate(&mut room, square(), 500, at(1));
    assert_eq!(b.seen.len(), 1, "who comes sees at once");
    b.say(&mut room, "hi", at(1));
    a.read();
    assert_eq!((a.seen.len(), a.texts()), (0, vec!["hi"]));
    room.tick(at(2));
    a.read();
    assert_eq!(a.seen.len(), 1);
    b.disconnect(&mut room, true, at(2));
    a.read();
    assert_eq!(a.seen.len(), 1);
    room.tick(at(3));
    a.read();
    assert_eq!(a.left, [(b.peer_id, LeftReason::Left)]);
}

#[test]
fn a_place_without_a_socket_expires_after_five_minutes() {
    let mut room = room_with(RoomSettings::default());
    let mut a = TestClient::new(&mut room, at(0));
    let mut b = TestClient::new(&mut room, at(0));
    a.locate(&mut room, square(), 500, at(0));
    b.locate(&mut room, square(), 500, at(0));
    // An open socket keeps it, however long.
    room.tick(at(4_000));
    b.disconnect(&mut room, false, at(4_000));
    room.tick(at(4_299));
    a.read();
    assert_eq!(a.seen.len(), 1);
    room.tick(at(4_300));
    a.read();
    assert_eq!(a.left, [(b.peer_id, LeftReason::Expired)]);
    // The session itself goes on, without a place.
    b.connect(&mut room, at(4_301));
    b.say(&mut room, "hi", at(4_301));
    assert_eq!(b.errors, [(ErrorCode::NoLocation, None)]);
}

#[test]
fn a_session_ends_after_thirty_minutes_without_a_sign_of_life() {
    let mut room = room_with(RoomSettings::default());
    let mut a = TestClient::new(&mut room, at(0));
    a.locate(&mut room, square(), 500, at(0));
    room.tick(at(7_200));
    a.disconnect(&mut room, false, at(7_200));
    assert!(room.nearby(&a.session, at(7_400)).is_ok());
    assert!(
        room.change_username(
            &a.session,
            names::friendly(&mut StdRng::seed_from_u64(5)),
            at(8_000)
        )
        .is_ok()
    );
    let refused = room.hello(&a.session, 1, address(1), TestLink::default(), at(9_800));
    assert_eq!(
        refused.map_err(|(r, _)| r.code).unwrap_err(),
        CloseCode::Unauthorized
    );
    room.tick(at(9_800));
    assert_eq!(room.sessions.len(), 0);
    assert_eq!(room.sessions.find_peer(&a.peer_id), None);
    room.tick(at(9_801));
    assert!(room.sessions.get(0).is_none(), "the slot is free again");
}

#[test]
fn a_newer_socket_replaces_the_older_one() {
    let mut room = room_with(RoomSettings::default());
    let mut a = TestClient::new(&mut room, at(0));
    a.locate(&mut room, square(), 500, at(0));
    let (old, old_attachment) = (a.link.clone(), a.attachment.unwrap());
    a.connect(&mut room, at(1));
    assert_eq!(old.0.borrow().closed, Some(CloseCode::Replaced));
    // What the old socket still says, or its end, no longer counts.
    room.handle(old_attachment, ClientFrame::Typing, None, at(2));
    room.disconnect(old_attachment, true, at(2));
    a.say(&mut room, "still here", at(3));
    assert_eq!(a.sent.len(), 1);
}

#[test]
fn a_stuck_reader_harms_nobody_and_is_not_counted() {
    let mut room = room_with(RoomSettings::default());
    let mut clients: Vec<_> = (0..3).map(|_| TestClient::new(&mut room, at(0))).collect();
    for client in &mut clients {
        client.locate(&mut room, square(), 500, at(0));
    }
    clients[2].link.0.borrow_mut().stuck = true;
    let id = clients[0].say(&mut room, "hi", at(1));
    assert_eq!(clients[0].sent, [(id, 1)]);
    clients[1].read();
    assert_eq!(clients[1].texts(), ["hi"]);
}

#[test]
fn a_crowd_that_arrives_at_once_is_told_in_one_frame() {
    let mut room = room_with(RoomSettings::default());
    let mut first = TestClient::new(&mut room, at(0));
    first.locate(&mut room, square(), 500, at(0));
    room.tick(at(0));
    first.read();
    for _ in 0..500 {
        let mut client = TestClient::new(&mut room, at(1));
        client.locate(&mut room, square(), 500, at(1));
    }
    room.tick(at(1));
    assert_eq!(first.link.0.borrow().frames.len(), 1);
    first.read();
    assert_eq!(first.seen.len(), 500);
}

#[test]
fn limits_bound_sessions_and_reports() {
    let mut room = room_with(RoomSettings {
        max_sessions: 2,
        ..RoomSettings::default()
    });
    let mut a = TestClient::new(&mut room, at(0));
    let b = TestClient::new(&mut room, at(0));
    let origin = room.admit(address(1), None, at(0)).unwrap();
    assert_eq!(
        room.create_session(None, origin, at(0)).unwrap_err().code,
        ErrorCode::Unavailable
    );
    let frame = ClientFrame::Report {
        peer_id: b.peer_id,
        reason: ReportReason::Spam,
        message_id: None,
    };
    a.send(&mut room, frame, at(5));
    let expected = Report {
        at: at(5),
        reporter: a.peer_id,
        reported: b.peer_id,
        reason: ReportReason::Spam,
        message_id: None,
        // Nobody knows where they are.
        near: false,
    };
    assert_eq!(room.reports().collect::<Vec<_>>(), [&expected]);
}
