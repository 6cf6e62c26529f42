//! Everything that is decided about voice outside the call itself.
//!
//! Whoever wants to be in voice stays so until they leave: when the connection to the relay is lost,
//! the call goes on from peer to peer, and as soon as the relay knows the place again, voice is joined
//! again (the same as joining, and harmless if the relay still remembers). Whoever the relay does not
//! name again by then has left.

mod reports;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use neartalk_shared::{
    ClientFrame, PeerId,
    frame::{IceServer, SignalData},
};
use neartalk_voice::{
    live::{Input, LiveSettings},
    mesh::Event as MeshEvent,
};

use super::{
    convert,
    settings::{VoiceSettings, Volume},
    status::{DeviceStatus, VoiceLink, VoicePersonStatus, VoicePhase, VoiceSnapshot, VoiceStatus},
};
use crate::{event::Event, people::People};

/// A relay that has not answered for so long is asked again.
const ANSWER: Duration = Duration::from_secs(10);

/// Whoever the relay has not named so long after it let this side in again, has left.
const NAMED: Duration = Duration::from_secs(3);

/// Signals kept for when the relay is back; the oldest go first.
const HELD: usize = 256;

/// People whose volume is remembered.
const VOLUMES: usize = 1_000;

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum DeskAction {
    /// Send this to the relay.
    Send(ClientFrame),
    /// Start the processing thread.
    Start(Box<LiveSettings>),
    /// Tell it something.
    Tell(Input<PeerId>),
    /// End it.
    Stop,
    /// Find out what devices there are.
    List,
    /// Tell the person.
    Emit(Event),
}

#[derive(Clone, Debug)]
struct Peer {
    status: VoicePersonStatus,
    /// The relay has named them since it last let this side in.
    named: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Desk {
    status: VoiceStatus,
    /// The processing thread has been started.
    running: bool,
    /// The relay knows the place, over this connection.
    placed: bool,
    /// When it was last asked to let this side in, over this connection.
    asked_at: Option<Instant>,
    /// It has let this side in, over this connection.
    admitted: bool,
    /// When whoever has not been named has left.
    named_by: Option<Instant>,
    peers: BTreeMap<PeerId, Peer>,
    volumes: HashMap<PeerId, (Volume, bool)>,
    held: VecDeque<(PeerId, SignalData)>,
    room_full: bool,
    inputs: Vec<super::Device>,
    outputs: Vec<super::Device>,
    input: Option<DeviceStatus>,
    output: Option<DeviceStatus>,
    actions: VecDeque<DeskAction>,
}

impl Desk {
    pub(crate) fn new(settings: VoiceSettings) -> Self {
        Self {
            status: VoiceStatus {
                settings,
                ..VoiceStatus::default()
            },
            ..Self::default()
        }
    }

    /// What to do next.
    pub(crate) fn next_action(&mut self) -> Option<DeskAction> {
        self.actions.pop_front()
    }

    /// When [`Self::wake`] has something to do.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let again = self
            .asked_at
            .filter(|_| !self.admitted)
            .map(|at| at + ANSWER);
        [again, self.named_by].into_iter().flatten().min()
    }

    /// Does what time has come for.
    pub(crate) fn wake(&mut self, now: Instant) {
        if self.named_by.is_some_and(|by| now >= by) {
            self.named_by = None;
            let gone: Vec<PeerId> = self
                .peers
                .iter()
                .filter(|(_, peer)| !peer.named)
                .map(|(&id, _)| id)
                .collect();
            for peer in gone {
                self.peer_left(peer);
            }
        }
        if !self.admitted && self.asked_at.is_some_and(|at| now >= at + ANSWER) {
            self.ask(now);
        }
    }

    pub(crate) fn snapshot(&self) -> VoiceSnapshot {
        VoiceSnapshot {
            status: self.status.clone(),
            people: self.peers.values().map(|p| p.status.clone()).collect(),
            room_full: self.room_full,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            input: self.input.clone(),
            output: self.output.clone(),
        }
    }

    // What the person wants.

    pub(crate) fn join(&mut self, now: Instant) {
        if self.status.phase != VoicePhase::Off {
            return;
        }
        self.start();
        self.set_phase(VoicePhase::Joining);
        if self.placed {
            self.ask(now);
        }
    }

    pub(crate) fn leave(&mut self) {
        if self.status.phase == VoicePhase::Off {
            return;
        }
        if self.asked_at.is_some() {
            self.send(ClientFrame::VoiceLeave);
        }
        self.end_call();
    }

    pub(crate) fn test(&mut self, on: bool) {
        if self.status.testing == on {
            return;
        }
        self.status.testing = on;
        if on {
            self.start();
        }
        self.tell(Input::Test(on));
        self.emit_status();
        self.stop_if_idle();
    }

    pub(crate) fn list(&mut self) {
        if self.running {
            // It has told, or will, and tells of every change.
            let (inputs, outputs) = (self.inputs.clone(), self.outputs.clone());
            self.emit(Event::VoiceDevices { inputs, outputs });
        } else {
            self.actions.push_back(DeskAction::List);
        }
    }

    pub(crate) fn mute(&mut self, muted: bool) {
        if self.status.muted != muted {
            self.status.muted = muted;
            self.tell(Input::Mute(muted));
            self.silence_changed();
        }
    }

    pub(crate) fn deafen(&mut self, deafened: bool) {
        if self.status.deafened != deafened {
            self.status.deafened = deafened;
            self.tell(Input::Deafen(deafened));
            self.silence_changed();
        }
    }

    pub(crate) fn press(&mut self, pressed: bool) {
        self.tell(Input::Press(pressed));
    }

    pub(crate) fn configure(&mut self, settings: VoiceSettings) {
        if self.status.settings != settings {
            self.status.settings = settings;
            let live = Box::new((&self.status.settings).into());
            self.tell(Input::Settings(live));
            self.emit_status();
        }
    }

    pub(crate) fn set_volume(
        &mut self,
        peer: PeerId,
        volume: Volume,
        muted: bool,
        people: &People,
    ) {
        if (volume, muted) == (Volume::NORMAL, false) {
            self.volumes.remove(&peer);
        } else if self.volumes.len() < VOLUMES || self.volumes.contains_key(&peer) {
            self.volumes.insert(peer, (volume, muted));
        }
        if self.peers.contains_key(&peer) {
            self.tell_volume(peer, volume, muted);
            self.change(peer, people, |status| {
                status.volume_percent = volume;
                status.muted_for_me = muted;
            });
        }
    }

    pub(crate) fn block(&mut self, peer: PeerId) {
        self.tell(Input::Mesh(MeshEvent::Blocked { peer }));
        if self.peers.contains_key(&peer) {
            self.emit(Event::VoicePersonLeft { peer_id: peer });
        }
    }

    pub(crate) fn unblock(&mut self, peer: PeerId) {
        self.tell(Input::Mesh(MeshEvent::Unblocked { peer }));
        if let Some(known) = self.peers.get(&peer) {
            let status = known.status.clone();
            self.emit(Event::VoicePerson(status));
        }
    }

    pub(crate) fn network_changed(&mut self) {
        self.tell(Input::Mesh(MeshEvent::NetworkChanged));
    }

    // What happens to the connection with the relay.

    pub(crate) fn located(&mut self, now: Instant) {
        self.placed = true;
        if self.status.phase != VoicePhase::Off && self.asked_at.is_none() {
            self.ask(now);
        }
    }

    /// The relay does not know the place any more.
    pub(crate) fn displaced(&mut self) {
        self.placed = false;
        self.asked_at = None;
        self.admitted = false;
    }

    pub(crate) fn link_lost(&mut self) {
        self.displaced();
        self.named_by = None;
    }

    /// Others take this side for somebody else from now on; they may be who they were.
    pub(crate) fn session_lost(&mut self) {
        self.link_lost();
        self.held.clear();
        self.everybody_left();
        if self.status.phase == VoicePhase::InVoice {
            self.set_phase(VoicePhase::Joining);
        }
    }

    /// There will be no connection any more.
    pub(crate) fn stopped(&mut self) {
        self.link_lost();
        self.end_call();
    }

    // What the relay says.

    pub(crate) fn ready(
        &mut self,
        now: Instant,
        ice_servers: Vec<IceServer>,
        max_peers: u32,
        people: &People,
    ) {
        if self.status.phase == VoicePhase::Off {
            return;
        }
        self.admitted = true;
        for peer in self.peers.values_mut() {
            peer.named = false;
        }
        self.named_by = Some(now + NAMED);
        self.tell(Input::Join {
            ice_servers: ice_servers.into_iter().map(convert::ice_server).collect(),
            max_peers: max_peers as usize,
        });
        if self.status.phase == VoicePhase::Joining {
            for peer in people.blocked() {
                self.tell(Input::Mesh(MeshEvent::Blocked { peer }));
            }
        }
        // The relay may remember what was so before this connection.
        self.send_state();
        for (to, data) in std::mem::take(&mut self.held) {
            self.send(ClientFrame::Signal { to, data });
        }
        self.set_phase(VoicePhase::InVoice);
    }

    pub(crate) fn peer(&mut self, peer: PeerId, polite: bool, people: &People) {
        if self.status.phase != VoicePhase::InVoice {
            return;
        }
        let known = people.get(peer);
        self.tell(Input::Mesh(MeshEvent::Appeared {
            peer,
            polite,
            near_edge_m: known.map_or(0, |person| person.distance.min),
        }));
        let (volume, muted) = self.volumes.get(&peer).copied().unwrap_or_default();
        if let Some(known) = self.peers.get_mut(&peer) {
            known.named = true;
            return;
        }
        if (volume, muted) != (Volume::NORMAL, false) {
            self.tell_volume(peer, volume, muted);
        }
        let status = VoicePersonStatus {
            peer_id: peer,
            link: VoiceLink::default(),
            cannot_hear_you: false,
            volume_percent: volume,
            muted_for_me: muted,
            same_room: false,
        };
        if !people.is_blocked(peer) {
            self.emit(Event::VoicePerson(status.clone()));
        }
        let named = true;
        self.peers.insert(peer, Peer { status, named });
    }

    pub(crate) fn peer_left(&mut self, peer: PeerId) {
        if self.peers.remove(&peer).is_some() {
            self.tell(Input::Mesh(MeshEvent::Left { peer }));
            self.emit(Event::VoicePersonLeft { peer_id: peer });
        }
    }

    /// Somebody may be at another distance.
    pub(crate) fn moved(&mut self, peer: PeerId, near_edge_m: u32) {
        if self.peers.contains_key(&peer) {
            self.tell(Input::Mesh(MeshEvent::Moved { peer, near_edge_m }));
        }
    }

    pub(crate) fn signal(&mut self, from: PeerId, data: SignalData) {
        if self.peers.contains_key(&from) {
            let signal = convert::from_wire(data);
            self.tell(Input::Signal { from, signal });
        }
    }

    // What all of these have in common.

    fn emit(&mut self, event: Event) {
        self.actions.push_back(DeskAction::Emit(event));
    }

    fn emit_status(&mut self) {
        self.emit(Event::Voice(self.status.clone()));
    }

    fn send(&mut self, frame: ClientFrame) {
        self.actions.push_back(DeskAction::Send(frame));
    }

    /// Tells the thread, if there is one.
    fn tell(&mut self, input: Input<PeerId>) {
        if self.running {
            self.actions.push_back(DeskAction::Tell(input));
        }
    }

    fn tell_volume(&mut self, peer: PeerId, volume: Volume, muted: bool) {
        let volume = volume.factor();
        self.tell(Input::Volume {
            peer,
            volume,
            muted,
        });
    }

    fn ask(&mut self, now: Instant) {
        self.asked_at = Some(now);
        self.send(ClientFrame::VoiceJoin);
    }

    fn send_state(&mut self) {
        let VoiceStatus {
            muted, deafened, ..
        } = self.status;
        self.send(ClientFrame::VoiceState { muted, deafened });
    }

    fn silence_changed(&mut self) {
        if self.admitted {
            self.send_state();
        }
        self.emit_status();
    }

    fn set_phase(&mut self, phase: VoicePhase) {
        if self.status.phase != phase {
            self.status.phase = phase;
            self.emit_status();
        }
    }

    /// Whether somebody is known, and wanted to be.
    fn shows(&self, peer: PeerId, people: &People) -> bool {
        self.peers.contains_key(&peer) && !people.is_blocked(peer)
    }

    fn change(&mut self, peer: PeerId, people: &People, how: impl FnOnce(&mut VoicePersonStatus)) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let before = known.status.clone();
        how(&mut known.status);
        if known.status != before && !people.is_blocked(peer) {
            let status = known.status.clone();
            self.emit(Event::VoicePerson(status));
        }
    }

    fn start(&mut self) {
        if self.running {
            return;
        }
        self.running = true;
        let settings = Box::new((&self.status.settings).into());
        self.actions.push_back(DeskAction::Start(settings));
        if self.status.muted {
            self.tell(Input::Mute(true));
        }
        if self.status.deafened {
            self.tell(Input::Deafen(true));
        }
    }

    fn end_call(&mut self) {
        self.asked_at = None;
        self.admitted = false;
        self.named_by = None;
        self.held.clear();
        self.room_full = false;
        self.everybody_left();
        self.tell(Input::Leave);
        self.set_phase(VoicePhase::Off);
        self.stop_if_idle();
    }

    fn everybody_left(&mut self) {
        for peer in self.peers.keys().copied().collect::<Vec<_>>() {
            self.peer_left(peer);
        }
    }

    fn stop_if_idle(&mut self) {
        if self.running && !self.status.testing && self.status.phase == VoicePhase::Off {
            self.running = false;
            self.input = None;
            self.output = None;
            self.actions.push_back(DeskAction::Stop);
        }
    }
}
