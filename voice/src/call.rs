//! A call with everybody near: the microphone's sound in, what is to be played out.
//!
//! A [`Call`] is driven from outside and never waits. [`Call::say`] takes 10 ms of the microphone and
//! [`Call::hear`] gives 10 ms for the loudspeaker, each at its own device's pace; in between,
//! [`Call::pump`] may be called to pass on sooner what has come. What it wants said or known is in
//! [`Call::next_event`]. It belongs on the processing thread: it encodes and decodes.
//!
//! It joins what this crate is made of: the [mesh](crate::mesh) decides with whom there is a
//! [`Peer`](crate::peer), each with its own playout and redundancy; one encoder suits them all.

mod link;
mod quality;
mod voice;

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use rand::Rng;
use thiserror::Error;
use tokio::runtime::Handle;

use crate::{
    FRAME,
    codec::CodecError,
    jitter::{Heard, JitterStats},
    mesh::{Action, Event as MeshEvent, LinkState, Mesh, MeshConfig, Notice, Policy},
    mixer::{Levels, Mixer, SourceSettings},
    peer::{DescriptionKind, Event as PeerEvent, IceServer, PeerConfig, Signal, State, formats},
    redundancy,
    same_room::{Overheard, SameRoom},
};
pub use link::insert;
use link::{Leaving, Link, Progress, Sent};
pub use quality::Quality;
use voice::Voice;

/// Signals that are kept of an offer until there is a connection that takes them.
const HELD_SIGNALS: usize = 80;

/// Events that may wait; while there are more, connections are not asked for theirs.
const EVENTS: usize = 256;

/// Why there can be no call.
#[derive(Debug, Error)]
pub enum CallError {
    /// Opus failed.
    #[error("voice can't start: {0}")]
    Codec(#[from] CodecError),
}

/// How a call is set up.
#[derive(Clone, Debug, Default)]
pub struct CallConfig {
    /// Of whom to connect to.
    pub mesh: MeshConfig,
    /// What servers to connect with.
    pub ice_servers: Vec<IceServer>,
    /// As [`PeerConfig::addresses`].
    pub addresses: Vec<std::net::SocketAddr>,
}

/// What a call wants said or known.
#[derive(Clone, Debug, PartialEq)]
pub enum CallEvent<Id> {
    /// To be sent.
    Signal {
        /// To whom.
        to: Id,
        /// What.
        signal: Signal,
    },
    /// The connection with somebody stands otherwise than before.
    State {
        /// With whom.
        peer: Id,
        /// How.
        state: State,
    },
    /// A person should know.
    Notice(Notice<Id>),
}

/// How long the first sound took.
#[derive(Clone, Copy, Debug)]
enum Beginning {
    /// The first signal went, or came, then.
    Signalled(Duration),
    /// So long after it there was sound.
    Heard(Duration),
}

/// A call. `Id` tells people apart; `R` spreads attempts over time. See the [module](self).
#[derive(Debug)]
pub struct Call<Id, R> {
    config: CallConfig,
    runtime: Handle,
    start: Instant,
    rng: R,
    mesh: Mesh<Id>,
    /// Which role this side has with whom.
    polite: BTreeMap<Id, bool>,
    sources: BTreeMap<Id, SourceSettings>,
    links: BTreeMap<Id, Link>,
    began: BTreeMap<Id, Beginning>,
    /// Offers that the mesh is being asked about, with the candidates behind them.
    held: BTreeMap<Id, Vec<Signal>>,
    /// Streams that fade out.
    leaving: Vec<(Id, Leaving)>,
    mixer: Mixer<Id>,
    /// What the microphone hears, and whose streams are compared with it.
    overheard: Overheard,
    rooms: BTreeMap<Id, SameRoom>,
    voice: Voice,
    events: VecDeque<CallEvent<Id>>,
}

impl<Id: Ord + Copy, R: Rng> Call<Id, R> {
    /// A call with nobody. Connections are made on `runtime`; `start` is when the time handed in is zero.
    ///
    /// # Errors
    /// When Opus can't be started.
    pub fn new(
        config: CallConfig,
        runtime: Handle,
        start: Instant,
        mut rng: R,
    ) -> Result<Self, CallError> {
        let mut mesh = Mesh::new(config.mesh);
        let relay = config.ice_servers.iter().any(IceServer::is_relay);
        mesh.handle(MeshEvent::Relay(relay), Duration::ZERO, &mut rng);
        Ok(Self {
            runtime,
            start,
            rng,
            mesh,
            config,
            polite: BTreeMap::new(),
            sources: BTreeMap::new(),
            links: BTreeMap::new(),
            began: BTreeMap::new(),
            held: BTreeMap::new(),
            leaving: Vec::new(),
            mixer: Mixer::new(),
            overheard: Overheard::new(),
            rooms: BTreeMap::new(),
            voice: Voice::new()?,
            events: VecDeque::new(),
        })
    }

    /// What is to be said or known next, if anything. To be asked until there is nothing, after each of
    /// the others.
    pub fn next_event(&mut self) -> Option<CallEvent<Id>> {
        self.events.pop_front()
    }

    /// Takes in what happened to somebody at `now`. Connections tell the call themselves how they stand.
    pub fn handle(&mut self, event: MeshEvent<Id>, now: Duration) {
        match event {
            MeshEvent::Appeared {
                peer,
                polite,
                near_edge_m,
            } => {
                self.polite.insert(peer, polite);
                self.move_source(peer, near_edge_m);
            }
            MeshEvent::Moved { peer, near_edge_m } => self.move_source(peer, near_edge_m),
            MeshEvent::Left { peer } => {
                self.polite.remove(&peer);
                self.held.remove(&peer);
                self.sources.remove(&peer);
                self.began.remove(&peer);
                self.rooms.remove(&peer);
            }
            _ => {}
        }
        self.tell_mesh(event, now);
    }

    /// Takes in what somebody sent.
    pub fn signal(&mut self, from: Id, signal: Signal, now: Duration) {
        match &signal {
            Signal::Bye => {
                self.held.remove(&from);
                self.tell_mesh(MeshEvent::Refused { peer: from }, now);
            }
            Signal::Description { kind, sdp } => {
                let fingerprint = formats::fingerprint(sdp).map(str::to_owned);
                match self.links.get_mut(&from) {
                    Some(link) if link.is_session(fingerprint.as_deref()) => {
                        link.set_session(fingerprint);
                        link.signal(signal);
                    }
                    // One that they have given up, or none.
                    _ if *kind == DescriptionKind::Offer => self.offered(from, signal, now),
                    _ => {}
                }
            }
            Signal::Candidate(_) => {
                if let Some(link) = self.links.get_mut(&from) {
                    link.signal(signal);
                } else if let Some(held) = self.held.get_mut(&from)
                    && held.len() < HELD_SIGNALS
                {
                    held.push(signal);
                }
            }
        }
    }

    /// How loud somebody is to be, 0 to 2 (see [`SourceSettings::volume`]), and whether they are to be
    /// heard at all.
    pub fn set_volume(&mut self, peer: Id, volume: f32, muted: bool) {
        if let Some(settings) = self.sources.get_mut(&peer) {
            settings.volume = volume;
            settings.muted = muted;
            self.settle_source(peer);
        }
    }

    /// The servers that connections are made with, and ICE is restarted with, from now on. What there is goes
    /// on over the old ones for as long as it does.
    pub fn set_ice_servers(&mut self, servers: Vec<IceServer>, now: Duration) {
        for link in self.links.values_mut() {
            link.set_ice_servers(servers.clone());
        }
        self.config.ice_servers = servers;
        let relay = self.config.ice_servers.iter().any(IceServer::is_relay);
        self.tell_mesh(MeshEvent::Relay(relay), now);
    }

    /// How many others are to be connected with at most. Whoever is too many is let go, the furthest first.
    pub fn set_max_peers(&mut self, max_peers: usize, now: Duration) {
        self.tell_mesh(MeshEvent::MaxPeers(max_peers), now);
    }

    /// Whether nobody is to be heard.
    pub fn deafen(&mut self, deafened: bool) {
        self.mixer.deafen(deafened);
    }

    /// How loud somebody is.
    pub fn levels(&self, peer: Id) -> Option<Levels> {
        self.mixer.levels(peer)
    }

    /// Whether somebody is in the same room, as [`Self::overhear`] tells, and therefore ducked.
    pub fn same_room(&self, peer: Id) -> bool {
        self.rooms.get(&peer).is_some_and(SameRoom::is_same)
    }

    /// What somebody's stream has been like.
    pub fn stats(&self, peer: Id, now: Duration) -> Option<JitterStats> {
        self.links.get(&peer).map(|link| link.playout().stats(now))
    }

    /// How well somebody is heard, and hears; `None` for somebody of whom nothing was said.
    pub fn quality(&self, peer: Id, now: Duration) -> Option<Quality> {
        let state = self.mesh.state(peer)?;
        let quality = match self.links.get(&peer) {
            Some(link) => link.quality(state, now),
            None => Quality::none(state),
        };
        let first_sound = match self.began.get(&peer) {
            Some(&Beginning::Heard(after)) => Some(after),
            _ => None,
        };
        Some(Quality {
            first_sound,
            ..quality
        })
    }

    /// How the connection with somebody stands; `None` for nobody known.
    pub fn link_state(&self, peer: Id) -> Option<LinkState> {
        self.mesh.state(peer)
    }

    /// With whom there is a connection.
    pub fn connected(&self) -> impl Iterator<Item = Id> + '_ {
        self.mesh.connected()
    }

    /// Passes on what has come, and does what is due at `now`.
    pub fn pump(&mut self, now: Duration) {
        self.mesh.tick(now, &mut self.rng);
        self.act(now);
        let ids: Vec<Id> = self.links.keys().copied().collect();
        for id in ids {
            while self.events.len() < EVENTS
                && let Some(progress) = self.links.get_mut(&id).and_then(Link::progress)
            {
                self.progress(id, progress, now);
            }
        }
        for link in self.links.values_mut() {
            link.take_packets(self.start);
        }
    }

    /// Takes 10 ms of the microphone's sound (`None`: muted, or there is no microphone) and sends it. To
    /// be called every 10 ms of the microphone's time, also while nothing is said.
    pub fn say(&mut self, now: Duration, microphone: Option<&[f32; FRAME]>) {
        self.pump(now);
        let plan = redundancy::plan(
            self.links
                .values()
                .filter(|link| link.is_connected())
                .map(Link::demand),
        );
        if let Some(packet) = self.voice.take(microphone, plan) {
            let mut unheard = Vec::new();
            for (&peer, link) in &mut self.links {
                if link.send(&packet) == Sent::Unheard {
                    unheard.push(peer);
                }
            }
            for peer in unheard {
                let hears_me = false;
                self.tell_mesh(MeshEvent::Hears { peer, hears_me }, now);
            }
        }
    }

    /// Takes 10 ms of the microphone's sound, processed, whether or not they are to be sent, to find out who
    /// is heard through the air already. To be called before [`Self::say`], also while muted.
    pub fn overhear(&mut self, microphone: &[f32; FRAME]) {
        if !self.rooms.is_empty() {
            self.overheard.near_end(microphone);
        }
    }

    /// Gives the 10 ms of everybody's sound to be played at `now`. To be called every 10 ms of the
    /// loudspeaker's time.
    pub fn hear(&mut self, now: Duration, out: &mut [f32; FRAME]) {
        self.pump(now);
        self.mixer.begin();
        if !self.rooms.is_empty() {
            self.overheard.begin();
        }
        // Here and not on the heap: nothing is to be allocated for a frame.
        let mut frame = [0.0; FRAME];
        for (&id, link) in &mut self.links {
            let heard = link.hear(now, &mut frame) == Heard::Sound;
            if let Some(room) = self.rooms.get_mut(&id) {
                let same_room = room.far_end(heard.then_some(&frame), &self.overheard);
                if let Some(settings) = self.sources.get_mut(&id)
                    && settings.same_room != same_room
                {
                    settings.same_room = same_room;
                    self.mixer.source(id, *settings);
                }
            }
            if heard {
                self.mixer.add(id, &frame);
                if let Some(began) = self.began.get_mut(&id)
                    && let Beginning::Signalled(at) = *began
                {
                    *began = Beginning::Heard(now.saturating_sub(at));
                }
            }
        }
        for (id, mut playout) in self.leaving.drain(..) {
            if playout.tick(now, &mut frame) == Heard::Sound {
                self.mixer.add(id, &frame);
            }
            if !self.links.contains_key(&id) {
                self.mixer.remove(id);
            }
        }
        self.mixer.finish(out);
    }

    fn move_source(&mut self, peer: Id, near_edge_m: u32) {
        let settings = self.sources.entry(peer).or_default();
        settings.near_edge_m = near_edge_m;
        // Nobody further away is in earshot.
        if near_edge_m == 0 {
            self.rooms.entry(peer).or_default();
        } else {
            settings.same_room = false;
            self.rooms.remove(&peer);
        }
        self.settle_source(peer);
    }

    fn settle_source(&mut self, peer: Id) {
        if self.links.contains_key(&peer) {
            let settings = self.sources.get(&peer).copied().unwrap_or_default();
            self.mixer.source(peer, settings);
        }
    }

    fn offered(&mut self, from: Id, offer: Signal, now: Duration) {
        if !self.polite.contains_key(&from) {
            // Nobody of whom it is known that they may be spoken with.
            return;
        }
        self.held.insert(from, vec![offer]);
        self.began.entry(from).or_insert(Beginning::Signalled(now));
        self.tell_mesh(MeshEvent::Offered { peer: from }, now);
    }

    fn tell_mesh(&mut self, event: MeshEvent<Id>, now: Duration) {
        self.mesh.handle(event, now, &mut self.rng);
        self.act(now);
    }

    fn act(&mut self, now: Duration) {
        while let Some(action) = self.mesh.next_action() {
            match action {
                Action::Offer { peer, policy } => self.open(peer, policy, true, now),
                Action::Accept { peer, policy } => self.open(peer, policy, false, now),
                Action::Refuse { peer } => {
                    self.held.remove(&peer);
                    self.send(peer, Signal::Bye);
                }
                Action::Close { peer, bye } => {
                    self.close(peer);
                    if bye {
                        self.send(peer, Signal::Bye);
                    }
                }
                Action::RestartIce { peer } => {
                    if let Some(link) = self.links.get_mut(&peer) {
                        link.restart_ice();
                    }
                }
                Action::Tell(notice) => self.events.push_back(CallEvent::Notice(notice)),
            }
        }
    }

    fn send(&mut self, to: Id, signal: Signal) {
        self.events.push_back(CallEvent::Signal { to, signal });
    }

    fn open(&mut self, peer: Id, policy: Policy, offer: bool, now: Duration) {
        self.close(peer);
        self.began.entry(peer).or_insert(Beginning::Signalled(now));
        let config = PeerConfig {
            polite: self.polite.get(&peer).copied().unwrap_or_default(),
            policy,
            ice_servers: self.config.ice_servers.clone(),
            addresses: self.config.addresses.clone(),
            red: true,
        };
        match Link::open(config, offer, &self.runtime) {
            Ok(mut link) => {
                for signal in self.held.remove(&peer).unwrap_or_default() {
                    if let Signal::Description { sdp, .. } = &signal {
                        link.set_session(formats::fingerprint(sdp).map(str::to_owned));
                    }
                    link.signal(signal);
                }
                self.links.insert(peer, link);
                self.settle_source(peer);
            }
            Err(error) => {
                tracing::warn!(%error, "no decoder for another person");
                self.mesh
                    .handle(MeshEvent::Failed { peer }, now, &mut self.rng);
            }
        }
    }

    fn close(&mut self, peer: Id) {
        if let Some(link) = self.links.remove(&peer) {
            let muted = SourceSettings {
                muted: true,
                ..SourceSettings::default()
            };
            self.mixer.source(peer, muted);
            self.leaving.push((peer, link.into_playout()));
        }
    }

    fn progress(&mut self, peer: Id, progress: Progress, now: Duration) {
        match progress {
            Progress::Event(PeerEvent::Signal(signal)) => self.send(peer, signal),
            Progress::Event(PeerEvent::Foreign(offer)) => self.offered(peer, offer, now),
            Progress::Event(PeerEvent::Report { report, arriving }) => {
                if let Some(link) = self.links.get_mut(&peer)
                    && let Some(hears_me) = link.report(report, arriving, now)
                {
                    self.tell_mesh(MeshEvent::Hears { peer, hears_me }, now);
                }
            }
            Progress::Event(PeerEvent::State(state)) => {
                self.events.push_back(CallEvent::State { peer, state });
                let event = match state {
                    State::Connecting => return,
                    State::Connected => MeshEvent::Connected { peer },
                    State::Interrupted => MeshEvent::Interrupted { peer },
                    State::Failed | State::Closed => MeshEvent::Failed { peer },
                };
                self.tell_mesh(event, now);
            }
            Progress::Lost => self.tell_mesh(MeshEvent::Failed { peer }, now),
        }
    }
}
