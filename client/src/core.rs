//! Everything that the engine decides, without I/O, clock or task of its own: it is handed time,
//! commands, fixes and what comes over the link, and asks for [`Action`]s.

mod connection;
mod dispatch;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Instant};

use neartalk_shared::{
    ApiError, ClientFrame, ErrorCode, MessageId, MessageText, PeerId, SessionId, Timestamp,
    Username,
    frame::{LeftReason, Reach},
    time::millis,
};
use neartalk_voice::{
    device::{DeviceEvent, DeviceInfo},
    live::{Input as VoiceInput, LiveSettings, Output as VoiceOutput},
};
use rand::rngs::StdRng;

use crate::{
    backoff::Backoff,
    command::Command,
    event::{
        ConnectionState, Event, FailedReason, Me, RemovedReason, Snapshot, StopReason, Whereabouts,
    },
    link::{Credentials, LinkEvent},
    location::Fix,
    outbox::Outbox,
    people::People,
    placement::Placement,
    timeline::Timeline,
    typing::Typing,
    voice::{
        VoiceSettings,
        desk::{Desk, DeskAction},
    },
};

/// What the core wants done.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// Connect, in place of any connection there is.
    Connect(Credentials),
    /// Send this over the link.
    Send(ClientFrame),
    /// Drop the link, and wait for the goodbye only if the relay is there to hear it.
    Hangup {
        /// Whether it is.
        goodbye: bool,
    },
    /// Start the processing thread of voice.
    VoiceStart(Box<LiveSettings>),
    /// Tell it something.
    Voice(VoiceInput<PeerId>),
    /// End it.
    VoiceStop,
    /// Find out what devices there are for it.
    VoiceList,
    /// Tell this.
    Emit(Event),
    /// The engine is done.
    Finish,
}

/// The session there is.
#[derive(Debug)]
struct Session {
    id: SessionId,
    peer_id: PeerId,
    username: Username,
    /// The relay has accepted it over a socket.
    proven: bool,
}

/// How the link stands.
#[derive(Debug, PartialEq)]
enum LinkState {
    /// None; the next attempt is made at this time, if at all.
    Down { retry_at: Option<Instant> },
    /// On the way to being welcomed.
    Connecting,
    /// The relay listens.
    Online,
}

#[derive(Debug)]
pub(crate) struct Core {
    rng: StdRng,
    /// The name that the person chose; without one the relay picks.
    wished: Option<Username>,
    /// A name that the relay has been asked for.
    renaming: Option<Username>,
    session: Option<Session>,
    /// Who this person was in the session that has been lost.
    former: Option<(PeerId, Username)>,
    me: Option<Me>,
    located: Option<Whereabouts>,
    state: ConnectionState,
    link: LinkState,
    /// For how long the relay said that it has blocked this person, before it hung up.
    ban_ms: Option<u64>,
    backoff: Backoff,
    outbox: Outbox,
    timeline: Timeline,
    people: People,
    typing: Typing,
    placement: Placement,
    desk: Desk,
    /// What whoever runs the relay has said to everyone.
    announced: VecDeque<(MessageText, Timestamp)>,
    actions: VecDeque<Action>,
}

impl Core {
    /// Starts to connect.
    pub fn new(
        username: Option<Username>,
        placement: Placement,
        voice: VoiceSettings,
        rng: StdRng,
    ) -> Self {
        let mut core = Self {
            rng,
            wished: username,
            renaming: None,
            session: None,
            former: None,
            me: None,
            located: None,
            state: ConnectionState::Connecting,
            link: LinkState::Connecting,
            ban_ms: None,
            backoff: Backoff::default(),
            outbox: Outbox::default(),
            timeline: Timeline::default(),
            people: People::default(),
            typing: Typing::default(),
            placement,
            desk: Desk::new(voice),
            announced: VecDeque::new(),
            actions: VecDeque::new(),
        };
        core.emit(Event::Connection(ConnectionState::Connecting));
        core.connect();
        core
    }

    /// What to do next.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.flush_desk();
        self.actions.pop_front()
    }

    /// Voice's wishes take their place among the others.
    fn flush_desk(&mut self) {
        while let Some(action) = self.desk.next_action() {
            let action = match action {
                DeskAction::Send(frame) if self.link == LinkState::Online => Action::Send(frame),
                DeskAction::Send(_) => continue,
                DeskAction::Start(settings) => Action::VoiceStart(settings),
                DeskAction::Tell(input) => Action::Voice(input),
                DeskAction::Stop => Action::VoiceStop,
                DeskAction::List => Action::VoiceList,
                DeskAction::Emit(event) => Action::Emit(event),
            };
            self.actions.push_back(action);
        }
    }

    /// When [`Core::wake`] has something to do, unless something else happens before.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let retry = match self.link {
            LinkState::Down { retry_at } => retry_at,
            _ => None,
        };
        [
            retry,
            self.outbox.next_wake(self.placement.is_settled()),
            self.timeline.next_wake(),
            self.typing.next_wake(),
            self.placement.next_wake(now),
            self.desk.next_wake(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Does what time has come for.
    pub fn wake(&mut self, now: Instant) {
        self.desk.wake(now);
        let expired = self.timeline.expire(now);
        self.removed(expired, RemovedReason::Expired);
        for peer_id in self.typing.expire(now) {
            self.emit(Event::Typing {
                peer_id,
                active: false,
            });
        }
        while let Some(done) = self.outbox.pop_expired(now) {
            self.emit(Event::Failed {
                id: done.id,
                text: done.text,
                reason: FailedReason::Expired,
            });
        }
        if let LinkState::Down { retry_at: Some(at) } = self.link
            && now >= at
        {
            self.connect();
        }
        self.flush(now);
    }

    /// The device was suspended, longer than the relay keeps a silent connection.
    pub fn slept(&mut self, now: Instant) {
        self.reconnect(now);
        self.wake(now);
        // Those who count down by a clock that stood still have to begin anew.
        let snapshot = self.snapshot(now, 0);
        self.emit(snapshot);
    }

    /// The device's addresses are others.
    pub fn network_changed(&mut self, now: Instant) {
        self.reconnect(now);
        self.desk.network_changed();
        self.wake(now);
    }

    /// Voice's processing thread says something.
    pub fn voice(&mut self, output: VoiceOutput<PeerId>) {
        self.desk.output(output, &self.people);
    }

    /// These devices there are, whether or not there is voice.
    pub fn devices(&mut self, inputs: Vec<DeviceInfo>, outputs: Vec<DeviceInfo>) {
        let listed = DeviceEvent::Listed { inputs, outputs };
        self.desk.output(VoiceOutput::Device(listed), &self.people);
    }

    /// Voice's processing thread is gone, or takes nothing any more.
    pub fn voice_ended(&mut self, message: String) {
        self.desk.thread_ended(message);
    }

    /// The device is here now.
    pub fn fix(&mut self, now: Instant, fix: Fix) {
        self.placement.fix(now, fix, &mut self.rng);
        self.wake(now);
    }

    /// Something came over the link.
    pub fn link(&mut self, now: Instant, event: LinkEvent) {
        match event {
            LinkEvent::Created(created) => self.created(created),
            LinkEvent::Frame(frame) => self.dispatch(now, frame),
            LinkEvent::Ended(end) => self.link_ended(now, end),
        }
        self.wake(now);
    }

    /// Does what it is asked to.
    pub fn command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Say { id, text } => {
                self.typing.said();
                match self.outbox.push(now, id, text.clone()) {
                    Ok(()) => self.emit(Event::Queued { id, text }),
                    Err(done) => self.emit(Event::Failed {
                        id: done.id,
                        text: done.text,
                        reason: FailedReason::TooMany,
                    }),
                }
            }
            Command::Typing => {
                if self.placement.is_settled() && self.typing.key_pressed(now) {
                    self.send(ClientFrame::Typing);
                }
            }
            Command::Rename { username } => {
                if self.send_or_refuse(ClientFrame::Rename {
                    username: username.clone(),
                }) {
                    self.renaming = Some(username);
                }
            }
            Command::SetRadius { radius } => {
                self.placement.set_radius(now, radius, &mut self.rng);
            }
            Command::Report {
                peer_id,
                reason,
                message_id,
            } => {
                self.send_or_refuse(ClientFrame::Report {
                    peer_id,
                    reason,
                    message_id,
                });
            }
            Command::Block { peer_id } => self.block(peer_id),
            Command::Unblock { peer_id } => {
                let reach = self.people.reach();
                if let Some(person) = self.people.unblock(peer_id) {
                    self.emit(Event::Blocked {
                        peer_id,
                        blocked: false,
                    });
                    if let Some(person) = person {
                        self.emit(Event::PersonEntered { person });
                    }
                    self.tell_other_reach(&reach);
                    self.flush_desk();
                    self.desk.unblock(peer_id);
                }
            }
            Command::RetryNow => {
                if let LinkState::Down { .. } = self.link {
                    self.backoff.reset();
                    self.connect();
                }
            }
            Command::Snapshot => {
                let snapshot = self.snapshot(now, 0);
                self.emit(snapshot);
            }
            Command::NetworkChanged => self.network_changed(now),
            Command::VoiceJoin => self.desk.join(now),
            Command::VoiceLeave => self.desk.leave(),
            Command::VoiceMute { muted } => self.desk.mute(muted),
            Command::VoiceDeafen { deafened } => self.desk.deafen(deafened),
            Command::VoicePress { pressed } => self.desk.press(pressed),
            Command::VoiceConfigure { settings } => self.desk.configure(settings),
            Command::VoicePerson {
                peer_id,
                volume_percent,
                muted,
            } => self
                .desk
                .set_volume(peer_id, volume_percent, muted, &self.people),
            Command::VoiceDevices => self.desk.list(),
            Command::VoiceTest { on } => self.desk.test(on),
            Command::Shutdown => {
                self.shutdown();
                return;
            }
        }
        self.wake(now);
    }

    /// Leaves the relay and ends.
    pub fn shutdown(&mut self) {
        self.actions.push_back(Action::Hangup {
            goodbye: self.link == LinkState::Online,
        });
        self.link = LinkState::Down { retry_at: None };
        self.set_state(ConnectionState::Stopped {
            reason: StopReason::Shutdown,
        });
        self.actions.push_back(Action::Finish);
    }

    /// Everything that is known now. `missed` events are missing before it.
    pub fn snapshot(&self, now: Instant, missed: u64) -> Event {
        Event::Snapshot(Box::new(Snapshot {
            missed,
            connection: match (&self.state, &self.link) {
                // The rest of the wait, not the whole of it.
                (
                    ConnectionState::Offline { reason, .. },
                    LinkState::Down { retry_at: Some(at) },
                ) => ConnectionState::Offline {
                    reason: reason.clone(),
                    retry_in: at.saturating_duration_since(now),
                },
                (
                    ConnectionState::Stopped {
                        reason: StopReason::Banned { .. },
                    },
                    LinkState::Down { retry_at: Some(at) },
                ) => ConnectionState::Stopped {
                    reason: StopReason::Banned {
                        retry_after_ms: Some(millis(at.saturating_duration_since(now))),
                    },
                },
                (state, _) => state.clone(),
            },
            me: self.me.clone(),
            located: self.located.clone(),
            radius: self.placement.radius(),
            people: self.people.visible(),
            reach: self.people.reach(),
            typing: self.typing.others(),
            messages: self.timeline.messages(now),
            waiting: self.outbox.waiting(),
            blocked: self.people.blocked(),
            voice: self.desk.snapshot(),
        }))
    }

    fn emit(&mut self, event: Event) {
        self.actions.push_back(Action::Emit(event));
    }

    fn emit_some(&mut self, event: Option<Event>) {
        if let Some(event) = event {
            self.emit(event);
        }
    }

    fn removed(&mut self, ids: Vec<MessageId>, reason: RemovedReason) {
        if !ids.is_empty() {
            self.emit(Event::Removed { ids, reason });
        }
    }

    fn send(&mut self, frame: ClientFrame) {
        self.actions.push_back(Action::Send(frame));
    }

    /// Sends what makes no sense later. False when there is no connection.
    fn send_or_refuse(&mut self, frame: ClientFrame) -> bool {
        let online = self.link == LinkState::Online;
        if online {
            self.send(frame);
        } else {
            let error = ApiError::new(
                ErrorCode::Unavailable,
                "No connection. Try again when it is back.",
            );
            self.emit(Event::Refused { error });
        }
        online
    }

    /// Sends what can be sent.
    fn flush(&mut self, now: Instant) {
        if let Some(locate) = self.placement.wake(now, &mut self.rng) {
            self.send(ClientFrame::Locate(locate));
        }
        // What is said lands at the place that the relay knows, so it waits until that is right.
        if self.placement.is_settled()
            && let Some((id, text)) = self.outbox.next(now)
        {
            self.send(ClientFrame::Say { id, text });
        }
    }

    fn set_state(&mut self, state: ConnectionState) {
        if self.state != state {
            self.state = state.clone();
            self.emit(Event::Connection(state));
        }
    }

    fn block(&mut self, peer_id: PeerId) {
        if self.me.as_ref().is_some_and(|me| me.peer_id == peer_id) {
            let error = ApiError::new(ErrorCode::InvalidFrame, "You can't block yourself.");
            self.emit(Event::Refused { error });
            return;
        }
        let reach = self.people.reach();
        if self.people.block(peer_id) {
            let theirs = self.timeline.remove_from(peer_id);
            self.removed(theirs, RemovedReason::Blocked);
            self.typing.stopped(peer_id);
            self.emit(Event::Blocked {
                peer_id,
                blocked: true,
            });
            self.tell_other_reach(&reach);
            self.desk.block(peer_id);
        }
    }

    /// A block, or its end, changes who counts.
    fn tell_other_reach(&mut self, before: &[Reach]) {
        let reach = self.people.reach();
        if reach != before {
            self.emit(Event::Reach { reach });
        }
    }

    fn person_left(&mut self, peer_id: PeerId, reason: LeftReason) {
        self.stopped_typing(peer_id);
        let left = self.people.remove(peer_id, reason);
        self.emit_some(left);
    }

    fn stopped_typing(&mut self, peer_id: PeerId) {
        if self.typing.stopped(peer_id) {
            self.emit(Event::Typing {
                peer_id,
                active: false,
            });
        }
    }
}
