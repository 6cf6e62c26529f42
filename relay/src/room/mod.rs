//! The room: everyone on this relay, and every decision about them.
//!
//! Plain synchronous code: time is passed in with every call, randomness at the start, and what
//! goes out leaves through each session's [`Link`]. One actor (the [`hub`](crate::hub)) owns it.
//!
//! - [`index`] finds who is in range, `session` knows who is who, `history` what was said;
//! - `attach` has the sockets of sessions, `place` where they are;
//! - `presence` tells people of each other, each in their own step of the [`wheel`], and `reach` how
//!   many they would meet with another radius; `chat` carries what they say, `voice` introduces them to
//!   each other, [`moderate`] shows them out; each is a part of [`Room`];
//! - `mirror`, `records`, `news`, `handover` and `ruling` are its part among the rooms of other relays, if it
//!   is not alone.

mod attach;
mod chat;
mod handover;
mod history;
pub mod index;
pub mod link;
mod mirror;
pub mod moderate;
pub(crate) mod movement;
mod news;
mod place;
mod presence;
mod reach;
mod records;
mod ruling;
pub(crate) mod session;
mod tally;
mod voice;
pub mod wheel;

#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use neartalk_shared::{
    ApiError, ClientFrame, ErrorCode, Limits, MessageId, PeerId, ServerFrame, SessionId, Timestamp,
    Username,
    frame::IceServer,
    http::{CreatedSession, UsernameChanged},
    limits, names,
    time::millis,
};
use rand::rngs::StdRng;
use rustc_hash::FxHashSet;

use self::{
    history::History,
    index::GridIndex,
    link::{CloseCode, Frame, Link},
    session::{Sessions, Slot},
};
use crate::{
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
    /// A session may join voice once in this time, after a burst.
    pub voice_join_interval: Duration,
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
            voice_join_interval: limits::VOICE_JOIN_INTERVAL,
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
    /// Of [`voice::SIGNAL_UNIT`] bytes each.
    signal_bytes_quota: Quota,
    voice_quota: Quota,
    report_quota: Quota,
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
            signal_bytes_quota: Quota::per_window(
                limits::SIGNAL_BYTES_PER_SECOND / voice::SIGNAL_UNIT,
                Duration::from_secs(1),
                limits::SIGNAL_BYTES_BURST / voice::SIGNAL_UNIT,
            ),
            voice_quota: Quota::per_interval(
                settings.voice_join_interval,
                limits::VOICE_JOIN_BURST,
            ),
            report_quota: Quota::per_interval(limits::REPORT_INTERVAL, limits::REPORT_BURST),
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
            ClientFrame::Rename { username } => {
                if let Some(answer) = self.rename_client(from, username) {
                    self.send(slot, &answer);
                }
                Ok(())
            }
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
            } => self.report(slot, peer_id, reason, message_id, now),
            ClientFrame::Ping { nonce } => {
                self.send(slot, &ServerFrame::Pong { nonce });
                Ok(())
            }
        };
        if let Err(error) = outcome {
            self.send(slot, &ServerFrame::Error { error, reference });
        }
    }

    /// Renames a client. The answer is for [`Room::answer`], once nobody can take the change back.
    pub fn rename_client(&mut self, from: Attachment, username: Username) -> Option<ServerFrame> {
        let slot = self.attached(from)?;
        Some(match self.rename(slot, username) {
            Ok(renamed) => ServerFrame::Renamed {
                username: renamed.username,
                username_changes_left: renamed.username_changes_left,
            },
            Err(error) => ServerFrame::Error {
                error,
                reference: None,
            },
        })
    }

    /// Tells a client something.
    pub fn answer(&mut self, from: Attachment, frame: &ServerFrame) {
        if let Some(slot) = self.attached(from) {
            self.send(slot, frame);
        }
    }

    /// Answers a frame that could not be parsed.
    pub fn refuse(&mut self, from: Attachment, error: ApiError, reference: Option<MessageId>) {
        self.answer(from, &ServerFrame::Error { error, reference });
    }

    /// The reports, oldest first.
    pub fn reports(&self) -> impl Iterator<Item = &Report> {
        self.moderation.reports.iter()
    }

    /// The slot of a secret; being asked for keeps a session alive.
    fn authorize(&mut self, id: &SessionId, now: Timestamp) -> Result<Slot, ApiError> {
        self.metrics.store_read.increment(1);
        // The sweep runs once a step; a session that has ended since the last one has ended.
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
}
