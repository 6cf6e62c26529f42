//! The engine's decisions in virtual time, against a relay that is played by the test.

mod chat;
mod connection;
mod voice;

use std::time::Duration;

use neartalk_shared::{
    DistanceBand, Grid, Limits, MessageText, Place, Radius, ServerFrame, Timestamp,
    frame::{Locate, Message, Person, ReportReason, Welcome},
    grid,
    http::CreatedSession,
    limits::MESSAGE_TTL,
};
use rand::{RngExt, SeedableRng};

use super::*;
use crate::{event::OfflineReason, link::LinkEnd};

const EPOCH: u64 = 1_700_000_000_000;

fn berlin() -> Place {
    Place::new(52.5163, 13.3777).unwrap()
}

fn radius(metres: u32) -> Radius {
    Radius::new(metres).unwrap()
}

fn name(s: &str) -> Username {
    Username::parse(s).unwrap()
}

fn text(s: &str) -> MessageText {
    MessageText::parse(s).unwrap()
}

fn peer(seed: u64) -> PeerId {
    PeerId::random(&mut StdRng::seed_from_u64(seed))
}

/// A core, and what it has asked for.
struct World {
    core: Core,
    start: Instant,
    now: Instant,
    me: PeerId,
    connects: Vec<Credentials>,
    frames: Vec<ClientFrame>,
    events: Vec<Event>,
    /// What voice's processing thread was told; it was started and ended where these say so.
    voice: Vec<Told>,
    finished: bool,
}

/// What was done with the processing thread of voice.
#[derive(Debug, PartialEq)]
enum Told {
    Start,
    Input(VoiceInput<PeerId>),
    Stop,
    List,
}

impl World {
    fn new(username: Option<&str>) -> Self {
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
    fn settled(username: Option<&str>) -> Self {
        let mut w = Self::new(username);
        w.created("Quiet Otter");
        w.welcome(false);
        w.fix(Fix::by_hand(berlin()));
        w.located(500);
        w.forget();
        w
    }

    fn act(&mut self) {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Connect(credentials) => self.connects.push(credentials),
                Action::Send(frame) => self.frames.push(frame),
                Action::Hangup { .. } => {}
                Action::VoiceStart(_) => self.voice.push(Told::Start),
                Action::Voice(input) => self.voice.push(Told::Input(input)),
                Action::VoiceStop => self.voice.push(Told::Stop),
                Action::VoiceList => self.voice.push(Told::List),
                Action::Emit(event) => self.events.push(event),
                Action::Finish => self.finished = true,
            }
        }
    }

    fn forget(&mut self) {
        self.connects.clear();
        self.frames.clear();
        self.events.clear();
        self.voice.clear();
    }

    fn command(&mut self, command: Command) {
        self.core.command(self.now, command);
        self.act();
    }

    fn say(&mut self, s: &str) -> MessageId {
        let id = MessageId::random();
        self.command(Command::Say { id, text: text(s) });
        id
    }

    fn fix(&mut self, fix: Fix) {
        self.core.fix(self.now, fix);
        self.act();
    }

    fn link(&mut self, event: LinkEvent) {
        self.core.link(self.now, event);
        self.act();
    }

    fn relay(&mut self, frame: ServerFrame) {
        self.link(LinkEvent::Frame(frame));
    }

    fn ended(&mut self, end: LinkEnd) {
        self.link(LinkEvent::Ended(end));
    }

    fn created(&mut self, username: &str) -> SessionId {
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

    fn welcome(&mut self, resumed: bool) {
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

    fn located(&mut self, metres: u32) {
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

    fn error(&mut self, code: ErrorCode, retry_after_ms: Option<u64>, id: Option<MessageId>) {
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
    fn pass(&mut self, duration: Duration) {
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

    /// Whether the person was told that something did not work.
    fn refused(&self) -> bool {
        let refused = |event: &Event| matches!(event, Event::Refused { .. });
        self.events.iter().any(refused)
    }

    fn state(&self) -> &ConnectionState {
        &self.core.state
    }
}

fn person(seed: u64) -> Person {
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
