//! The room: everyone on this relay, and every decision about them.
//!
//! Plain synchronous code: time is passed in with every call, randomness at the start, and what
//! goes out leaves through each session's [`Link`]. One actor (the [`hub`](crate::hub)) owns it.
//!
//! - [`index`] finds who is in range, `session` knows who is who, `history` what was said;
//! - `presence` tells people of each other on a common tick, `chat` carries what they say, and
//!   `voice` introduces them to each other, [`moderate`] shows them out; each is a part of [`Room`];
//! - `mirror`, `news` and `handover` are its part among the rooms of other relays, if it is not
//!   alone.

mod chat;
mod handover;
mod history;
pub mod index;
pub mod link;
mod mirror;
pub mod moderate;
pub(crate) mod movement;
mod news;
mod presence;
pub(crate) mod session;
mod tally;
mod voice;

#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use neartalk_shared::{
    ApiError, ClientFrame, ErrorCode, Limits, MessageId, PeerId, ServerFrame, SessionId, Spot,
    Timestamp, Username,
    frame::{IceServer, Locate, Person, Welcome},
    http::{CreatedSession, LocationUpdated, Nearby, UsernameChanged},
    limits, names,
    time::millis,
};
use rand::rngs::StdRng;
use rustc_hash::FxHashSet;

use self::{
    history::History,
    index::GridIndex,
    link::{CloseCode, Frame, Link},
    session::{Placed, Sessions, Slot},
};
use crate::{
    address::AddressKey,
    metrics::RoomMetrics,
    moderation::{Moderation, ModerationSettings, origin::Origin, reports::Report},
    quota::Quota,
    store::wire::Stamp,
    turn::{TurnServers, relay::Issuer},
};

/// A moment that does not come.
const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// What a room can be told to do differently.
#[derive(Clone, Debug)]
pub struct RoomSettings {
    /// How long a message lives.
    pub message_ttl: Duration,
    /// How long a session lives without a request or an open socket.
    pub session_ttl: Duration,
    /// How long a place lives without an update or an open socket.
    pub place_ttl: Duration,
    /// How many messages a session may send a minute.
    pub messages_per_minute: u32,
    /// One location or radius update per interval …
    pub location_interval: Duration,
    /// … after a burst of so many.
    pub location_burst: u32,
    /// At most so many sessions; beyond it new ones are refused.
    pub max_sessions: usize,
    /// At most so many messages are kept; beyond it the oldest go early.
    pub max_messages: usize,
    /// Handed to whoever joins voice …
    pub ice_servers: Vec<IceServer>,
    /// … together with credentials for these.
    pub turn: Option<TurnServers>,
    /// What is done about people who misbehave.
    pub moderation: ModerationSettings,
}

impl Default for RoomSettings {
    fn default() -> Self {
        Self {
            message_ttl: limits::MESSAGE_TTL,
            session_ttl: limits::SESSION_TTL,
            place_ttl: limits::PLACE_TTL,
            messages_per_minute: limits::MESSAGES_PER_WINDOW,
            location_interval: limits::LOCATION_INTERVAL,
            location_burst: limits::LOCATION_BURST,
            max_sessions: 200_000,
            max_messages: 200_000,
            ice_servers: Vec::new(),
            turn: None,
            moderation: ModerationSettings::default(),
        }
    }
}

/// Which socket of which session speaks. A session's older socket has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attachment {
    slot: Slot,
    number: u64,
}

/// A `hello` that was refused: what to say, and how to close.
#[derive(Debug)]
pub struct Refusal {
    /// What to say.
    pub error: ApiError,
    /// How to close.
    pub code: CloseCode,
}

/// Everyone on this relay.
#[derive(Debug)]
pub struct Room<L> {
    settings: RoomSettings,
    limits: Limits,
    location_quota: Quota,
    typing_quota: Quota,
    signal_quota: Quota,
    rng: StdRng,
    metrics: RoomMetrics,
    sessions: Sessions<L>,
    /// Everyone with a place, by slot.
    index: GridIndex,
    history: History,
    moderation: Moderation,
    /// Absent when nobody keeps figures.
    tally: Option<tally::Tally>,
    in_voice: FxHashSet<Slot>,
    presence: presence::Pending,
    next_link: u64,
    /// Hands out what the TURN server inside takes, if there is one.
    turn_issuer: Option<Issuer>,
    /// Its part among other rooms; none when it is alone.
    mirror: Option<Box<mirror::Mirror>>,
}

impl<L: Link> Room<L> {
    /// An empty room.
    pub fn new(settings: RoomSettings, mut rng: StdRng, metrics: RoomMetrics) -> Self {
        let limits = Limits {
            messages_per_minute: settings.messages_per_minute,
            message_ttl_ms: millis(settings.message_ttl),
            location_interval_ms: millis(settings.location_interval),
            location_burst: settings.location_burst,
            place_ttl_ms: millis(settings.place_ttl),
            session_ttl_ms: millis(settings.session_ttl),
            ..Limits::default()
        };
        Self {
            limits,
            location_quota: Quota::per_interval(
                settings.location_interval,
                settings.location_burst,
            ),
            typing_quota: Quota::per_interval(limits::TYPING_INTERVAL, 1),
            signal_quota: Quota::per_window(
                limits::SIGNALS_PER_SECOND,
                Duration::from_secs(1),
                limits::SIGNALS_BURST,
            ),
            moderation: Moderation::new(settings.moderation.clone(), &mut rng),
            rng,
            metrics,
            sessions: Sessions::default(),
            index: GridIndex::default(),
            history: History::new(settings.message_ttl, settings.max_messages),
            tally: None,
            in_voice: FxHashSet::default(),
            presence: presence::Pending::default(),
            next_link: 0,
            turn_issuer: None,
            mirror: None,
            settings,
        }
    }

    /// Gives whoever joins voice credentials of this issuer's, for as long as their session lives.
    pub fn issue_turn_credentials(&mut self, issuer: Issuer) {
        self.turn_issuer = Some(issuer);
    }

    /// Starts a session, under a friendly random name unless one is given, for somebody who was
    /// [admitted](Room::admit).
    pub fn create_session(
        &mut self,
        username: Option<Username>,
        origin: Origin,
        now: Timestamp,
    ) -> Result<CreatedSession, ApiError> {
        if let Some(username) = &username {
            self.moderation.check_name(username.as_str())?;
        }
        if self.sessions.len() >= self.settings.max_sessions {
            return Err(ApiError::new(
                ErrorCode::Unavailable,
                "This relay is full; try again in a few minutes.",
            ));
        }
        let session_id = SessionId::random();
        let peer_id = PeerId::random(&mut self.rng);
        let username = username.unwrap_or_else(|| names::friendly(&mut self.rng));
        let changes_left = limits::USERNAME_CHANGES;
        let slot = self.sessions.create(
            Some(session_id),
            peer_id,
            username.clone(),
            changes_left,
            now,
        );
        self.settle_in(slot, &session_id, Stamp::default());
        self.sessions[slot].origin = Some(origin);
        self.refresh_deadline(slot);
        self.metrics.store_create.increment(1);
        self.metrics.sessions.set(self.sessions.len() as f64);
        Ok(CreatedSession {
            session_id,
            peer_id,
            username,
            username_changes_left: changes_left,
            expires_in_s: self.settings.session_ttl.as_secs() as u32,
        })
    }

    /// Renames the owner of a session.
    pub fn change_username(
        &mut self,
        id: &SessionId,
        username: Username,
        now: Timestamp,
    ) -> Result<UsernameChanged, ApiError> {
        let slot = self.authorize(id, now)?;
        self.rename(slot, username)
    }

    /// Moves the owner of a session.
    pub fn update_location(
        &mut self,
        id: &SessionId,
        locate: Locate,
        now: Timestamp,
    ) -> Result<LocationUpdated, ApiError> {
        let slot = self.authorize(id, now)?;
        let spot = self.locate(slot, locate, now)?;
        Ok(self.located(slot, &spot))
    }

    /// Whether the owner of a session may move there, which counts as an update. Follow it with
    /// [`Room::settle_location`].
    pub fn judge_location(
        &mut self,
        id: &SessionId,
        locate: Locate,
        now: Timestamp,
    ) -> Result<Spot, ApiError> {
        let slot = self.authorize(id, now)?;
        self.judge(slot, locate, now)
    }

    /// Moves the owner of a session, who may.
    pub fn settle_location(
        &mut self,
        id: &SessionId,
        spot: Spot,
        now: Timestamp,
    ) -> Result<LocationUpdated, ApiError> {
        let slot = self.authorize(id, now)?;
        self.settle(slot, spot, now);
        Ok(self.located(slot, &spot))
    }

    fn located(&self, slot: Slot, spot: &Spot) -> LocationUpdated {
        let mut nearby = 0;
        self.index
            .in_range(spot, |other, _| nearby += u32::from(other != slot));
        LocationUpdated {
            geohash_prefix: spot.geohash_prefix(),
            radius: spot.radius(),
            grid_m: spot.grid_m(),
            nearby,
        }
    }

    /// Lists who is in range of the owner of a session, nearest first.
    pub fn nearby(&mut self, id: &SessionId, now: Timestamp) -> Result<Nearby, ApiError> {
        let slot = self.authorize(id, now)?;
        let spot = *self.sessions[slot].spot().ok_or_else(no_location)?;
        let people = self.people_around(slot, &spot);
        Ok(Nearby {
            count: people.len() as u32,
            people,
        })
    }

    /// Attaches a socket to its session; the session's older socket, if any, is closed.
    pub fn hello(
        &mut self,
        id: &SessionId,
        protocol: u32,
        address: AddressKey,
        link: L,
        now: Timestamp,
    ) -> Result<Attachment, (Refusal, L)> {
        if protocol != limits::PROTOCOL_VERSION {
            let message = format!(
                "This relay speaks protocol version {}; use a client that does, too.",
                limits::PROTOCOL_VERSION
            );
            let error = ApiError::new(ErrorCode::UnsupportedProtocol, message);
            return Err((
                Refusal {
                    error,
                    code: CloseCode::UnsupportedProtocol,
                },
                link,
            ));
        }
        let authorized = self
            .authorize(id, now)
            .and_then(|slot| self.come_from(slot, address, now).map(|()| slot));
        let slot = match authorized {
            Ok(slot) => slot,
            Err(error) => {
                let code = moderate::close_code(&error);
                return Err((Refusal { error, code }, link));
            }
        };
        self.detach(slot, Some(CloseCode::Replaced), now);
        self.next_link += 1;
        let number = self.next_link;
        let session = &mut self.sessions[slot];
        session.link = Some((number, link));
        let resumed = std::mem::replace(&mut session.had_link, true);
        let welcome = ServerFrame::Welcome(Welcome {
            peer_id: session.peer_id,
            username: session.username.clone(),
            username_changes_left: session.username_changes_left,
            resumed,
            server_time: now,
            limits: self.limits.clone(),
        });
        self.refresh_deadline(slot);
        self.touch(slot);
        self.send(slot, &welcome);
        self.send_announcements(slot, None, now);
        if let Some(&spot) = self.sessions[slot].spot() {
            self.send_announcements_at(slot, None, &spot, now);
            // What this client knew before is out of date.
            self.send_surroundings(slot, &spot, now);
        }
        Ok(Attachment { slot, number })
    }

    /// Takes in a frame. `heard_at` is when it arrived, for the latency histogram only.
    pub fn handle(
        &mut self,
        from: Attachment,
        frame: ClientFrame,
        heard_at: Option<Instant>,
        now: Timestamp,
    ) {
        let Some(slot) = self.attached(from) else {
            return;
        };
        let mut reference = None;
        let outcome = match frame {
            ClientFrame::Hello { .. } => Err(ApiError::new(
                ErrorCode::InvalidFrame,
                "This socket has said hello already.",
            )),
            ClientFrame::Locate(locate) => self.locate(slot, locate, now).map(|spot| {
                self.send_surroundings(slot, &spot, now);
            }),
            ClientFrame::Say { id, text } => {
                reference = Some(id);
                self.say(slot, id, text, heard_at, now)
            }
            ClientFrame::Typing => self.typing(slot, now),
            ClientFrame::Rename { username } => self.rename(slot, username).map(|renamed| {
                self.send(
                    slot,
                    &ServerFrame::Renamed {
                        username: renamed.username,
                        username_changes_left: renamed.username_changes_left,
                    },
                );
            }),
            ClientFrame::VoiceJoin => self.voice_join(slot, now),
            ClientFrame::VoiceState { muted, deafened } => {
                self.voice_state(slot, muted, deafened);
                Ok(())
            }
            ClientFrame::VoiceLeave => {
                self.voice_leave(slot);
                Ok(())
            }
            ClientFrame::Signal { to, data } => self.signal(slot, to, data, now),
            ClientFrame::Report {
                peer_id,
                reason,
                message_id,
            } => {
                self.report(slot, peer_id, reason, message_id, now);
                Ok(())
            }
            ClientFrame::Ping { nonce } => {
                self.send(slot, &ServerFrame::Pong { nonce });
                Ok(())
            }
        };
        if let Err(error) = outcome {
            self.send(slot, &ServerFrame::Error { error, reference });
        }
    }

    /// Whether a client that sends `locate` may move there; if not, it is told. Follow it with
    /// [`Room::arrive`]. Both together are what [`Room::handle`] does.
    pub fn may_arrive(&mut self, from: Attachment, locate: Locate, now: Timestamp) -> Option<Spot> {
        let slot = self.attached(from)?;
        self.judge(slot, locate, now)
            .map_err(|error| {
                let reference = None;
                self.send(slot, &ServerFrame::Error { error, reference });
            })
            .ok()
    }

    /// Moves a client, who may, and tells it all that there is.
    pub fn arrive(&mut self, from: Attachment, spot: Spot, now: Timestamp) {
        if let Some(slot) = self.attached(from) {
            self.settle(slot, spot, now);
            self.send_surroundings(slot, &spot, now);
        }
    }

    /// Answers a frame that could not be parsed.
    pub fn refuse(&mut self, from: Attachment, error: ApiError, reference: Option<MessageId>) {
        if let Some(slot) = self.attached(from) {
            self.send(slot, &ServerFrame::Error { error, reference });
        }
    }

    /// A socket has closed. `left` when its client said goodbye, rather than just vanishing.
    pub fn disconnect(&mut self, from: Attachment, left: bool, now: Timestamp) {
        let Some(slot) = self.attached(from) else {
            return;
        };
        self.detach(slot, None, now);
        self.sessions[slot].seen_at = now;
        if let Some(placed) = &mut self.sessions[slot].placed {
            placed.updated_at = now;
        }
        if left {
            self.voice_leave(slot);
            self.hide(slot, neartalk_shared::frame::LeftReason::Left);
        }
        self.refresh_deadline(slot);
        self.touch(slot);
    }

    /// Closes every socket with `code`, after what is queued.
    pub fn close_all(&mut self, code: CloseCode) {
        for session in self.sessions.iter_mut() {
            if let Some((_, link)) = &mut session.link {
                link.close(code);
            }
        }
    }

    /// The reports, oldest first.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.moderation.reports.iter()
    }

    /// The slot of a secret; being asked for keeps a session alive.
    fn authorize(&mut self, id: &SessionId, now: Timestamp) -> Result<Slot, ApiError> {
        self.metrics.store_read.increment(1);
        // The sweep runs once a tick; a session that has ended since the last one has ended.
        let slot = self
            .sessions
            .find(id)
            .filter(|&slot| !self.has_expired(slot, now));
        let Some(slot) = slot else {
            return Err(ApiError::new(
                ErrorCode::Unauthorized,
                "This session is unknown or has ended; create a new one.",
            ));
        };
        self.check_ban(slot, now)?;
        self.sessions[slot].seen_at = now;
        self.refresh_deadline(slot);
        Ok(slot)
    }

    fn has_expired(&self, slot: Slot, now: Timestamp) -> bool {
        let session = &self.sessions[slot];
        session.link.is_none() && session.seen_at + self.settings.session_ttl <= now
    }

    /// The slot that a socket speaks for, unless the session has a newer socket or has ended.
    fn attached(&self, from: Attachment) -> Option<Slot> {
        let (number, _) = self.sessions.get(from.slot)?.link.as_ref()?;
        (*number == from.number).then_some(from.slot)
    }

    /// Parts a session from its socket. Voice needs none for a while: it goes from peer to peer.
    fn detach(&mut self, slot: Slot, close: Option<CloseCode>, now: Timestamp) {
        let Some((_, mut link)) = self.sessions[slot].link.take() else {
            return;
        };
        if let Some(code) = close {
            link.close(code);
        }
        let session = &mut self.sessions[slot];
        if session.voice.is_some() {
            session.voice_until.get_or_insert(now + limits::VOICE_GRACE);
        }
        self.forget_view(slot);
    }

    fn rename(&mut self, slot: Slot, username: Username) -> Result<UsernameChanged, ApiError> {
        let session = &mut self.sessions[slot];
        if session.username != username {
            if session.username_changes_left == 0 {
                return Err(ApiError::new(
                    ErrorCode::UsernameChangesExhausted,
                    "No name changes left in this session.",
                ));
            }
            self.moderation.check_name(username.as_str())?;
            session.username_changes_left -= 1;
            session
                .former_usernames
                .push(std::mem::replace(&mut session.username, username));
            self.metrics.store_write.increment(1);
            self.mark_changed(slot);
        }
        let session = &self.sessions[slot];
        Ok(UsernameChanged {
            username: session.username.clone(),
            username_changes_left: session.username_changes_left,
        })
    }

    fn locate(&mut self, slot: Slot, locate: Locate, now: Timestamp) -> Result<Spot, ApiError> {
        let spot = self.judge(slot, locate, now)?;
        self.settle(slot, spot, now);
        Ok(spot)
    }

    /// Whether somebody may move there now. What was tried counts.
    fn judge(&mut self, slot: Slot, locate: Locate, now: Timestamp) -> Result<Spot, ApiError> {
        self.touch_counters(slot);
        // Whatever a client sends, nothing finer than its cell gets past this line.
        let spot = Spot::new(locate.place, locate.radius);
        let session = &mut self.sessions[slot];
        if let Err(retry) = session.quotas.locations.check(&self.location_quota, now) {
            self.metrics.limited_location.increment(1);
            return Err(ApiError::rate_limited(
                "Your place was updated a moment ago",
                retry,
            ));
        }
        if let Err(retry) = session.movement.check(&spot, now) {
            self.metrics.limited_movement.increment(1);
            return Err(ApiError {
                code: ErrorCode::ImplausibleLocation,
                message: "Nobody moves that fast; stay where you are for a minute.".into(),
                retry_after_ms: Some(retry),
            });
        }
        self.check_place(slot, &spot, now)?;
        Ok(spot)
    }

    fn settle(&mut self, slot: Slot, spot: Spot, now: Timestamp) {
        self.metrics.store_write.increment(1);
        let before = self.sessions[slot].spot().copied();
        self.send_announcements_at(slot, before, &spot, now);
        self.place(
            slot,
            Placed {
                spot,
                updated_at: now,
            },
        );
        self.refresh_deadline(slot);
        self.touch(slot);
    }

    fn send(&mut self, slot: Slot, frame: &ServerFrame) -> bool {
        match &mut self.sessions[slot].link {
            Some((_, link)) => link.send(&Frame::new(frame)),
            None => false,
        }
    }

    fn send_shared(&mut self, slot: Slot, frame: &Arc<Frame>) -> bool {
        match &mut self.sessions[slot].link {
            Some((_, link)) => link.send(frame),
            None => false,
        }
    }

    /// Queues the next moment at which this session's voice, its place or the session itself may
    /// expire.
    fn refresh_deadline(&mut self, slot: Slot) {
        let session = &self.sessions[slot];
        let without_socket = session.link.is_none().then(|| {
            let end = session.seen_at + self.settings.session_ttl;
            let place_end = session
                .placed
                .map(|p| p.updated_at + self.settings.place_ttl);
            place_end.map_or(end, |place_end| place_end.min(end))
        });
        let deadline = session.voice_until.into_iter().chain(without_socket).min();
        self.sessions.set_deadline(slot, deadline);
    }

    /// Everyone in range of `spot` but its owner, nearest first.
    fn people_around(&self, slot: Slot, spot: &Spot) -> Vec<Person> {
        let mut people = Vec::new();
        self.index.in_range(spot, |other, band| {
            if other != slot {
                people.push(self.sessions[other].person(band));
            }
        });
        people.sort_unstable_by_key(|p| (p.distance, p.peer_id));
        people
    }
}

fn no_location() -> ApiError {
    ApiError::new(
        ErrorCode::NoLocation,
        "This relay does not know where you are; send a place first.",
    )
}
