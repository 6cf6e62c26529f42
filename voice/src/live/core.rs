//! What is done with each frame and each input, without clock or devices.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use rand::rngs::SmallRng;
use tokio::runtime::Handle;

use super::{Headset, Input, LevelReport, LiveSettings, Output};
use crate::{
    FRAME,
    call::{Call, CallConfig, CallError, CallEvent},
    device::{DeviceEvent, Direction},
    mesh::{self, LinkState, MeshConfig},
    mixer::MeterConfig,
    peer::IceServer,
    processing::{Gate, ProcessingSettings, Processor},
};

/// How often levels are told.
const LEVELS: Duration = Duration::from_millis(100);

/// How often it is told how well everybody is connected.
const QUALITY: Duration = Duration::from_secs(1);

/// Who is muted and speaks is told so once, and again only after so long.
const HINT: Duration = Duration::from_secs(20);

/// While so much waits to be taken, levels and quality are not told.
const CROWDED: usize = 64;

/// What was last told of somebody.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    link: Option<LinkState>,
    same_room: bool,
}

/// Connections are made on `runtime`; `start` is when the time handed in is zero.
pub(super) struct Core<Id> {
    settings: LiveSettings,
    call_config: CallConfig,
    runtime: Handle,
    start: Instant,
    /// Whether the open loudspeaker is worn.
    worn: bool,
    testing: bool,
    deafened: bool,
    processor: Processor,
    gate: Gate,
    talking: bool,
    call: Option<Call<Id, SmallRng>>,
    /// In voice and in range.
    peers: BTreeMap<Id, Told>,
    outputs: VecDeque<Output<Id>>,
    levels_at: Duration,
    quality_at: Duration,
    hint_at: Duration,
}

impl<Id: Ord + Copy> Core<Id> {
    pub(super) fn new(
        settings: LiveSettings,
        call_config: CallConfig,
        runtime: Handle,
        start: Instant,
    ) -> Self {
        let worn = false;
        Self {
            processor: Processor::new(processing(&settings, worn), meter(&settings)),
            gate: Gate::new(settings.gate),
            settings,
            call_config,
            runtime,
            start,
            worn,
            testing: false,
            deafened: false,
            talking: false,
            call: None,
            peers: BTreeMap::new(),
            outputs: VecDeque::new(),
            levels_at: Duration::ZERO,
            quality_at: Duration::ZERO,
            hint_at: Duration::ZERO,
        }
    }

    /// What to say next.
    pub(super) fn next_output(&mut self) -> Option<Output<Id>> {
        self.outputs.pop_front()
    }

    pub(super) fn settings(&self) -> &LiveSettings {
        &self.settings
    }

    #[cfg(test)]
    pub(super) fn cancels_echo(&self) -> bool {
        self.processor.settings().cancels_echo()
    }

    /// Whether anybody wants the microphone's sound.
    pub(super) fn listens(&self) -> bool {
        self.testing || self.call.is_some()
    }

    pub(super) fn handle(&mut self, input: Input<Id>, now: Duration) -> Result<(), CallError> {
        match input {
            Input::Join {
                ice_servers,
                max_peers,
            } => self.join(ice_servers, max_peers, now)?,
            Input::Leave => {
                self.call = None;
                self.peers.clear();
            }
            Input::Test(testing) => self.testing = testing,
            Input::Settings(settings) => self.configure(*settings, now),
            Input::Mute(muted) => self.gate.mute(muted),
            Input::Deafen(deafened) => {
                self.deafened = deafened;
                self.gate.deafen(deafened);
                if let Some(call) = &mut self.call {
                    call.deafen(deafened);
                }
            }
            Input::Press(pressed) => self.gate.press(now, pressed),
            Input::Mesh(event) => {
                if let Some(call) = &mut self.call {
                    match event {
                        mesh::Event::Appeared { peer, .. } => {
                            self.peers.entry(peer).or_default();
                        }
                        mesh::Event::Left { peer } => {
                            self.peers.remove(&peer);
                        }
                        _ => {}
                    }
                    call.handle(event, now);
                }
            }
            Input::Signal { from, signal } => {
                if let Some(call) = &mut self.call {
                    call.signal(from, signal, now);
                }
            }
            Input::Volume {
                peer,
                volume,
                muted,
            } => {
                if let Some(call) = &mut self.call {
                    call.set_volume(peer, volume, muted);
                }
            }
        }
        Ok(())
    }

    pub(super) fn device(&mut self, event: DeviceEvent) {
        if let DeviceEvent::Opened {
            direction: Direction::Output,
            device,
            ..
        } = &event
        {
            self.worn = device.is_worn;
            self.processor
                .configure(processing(&self.settings, self.worn));
        }
        self.outputs.push_back(Output::Device(event));
    }

    /// Takes 10 ms of the microphone.
    pub(super) fn record(&mut self, now: Duration, frame: &mut [f32; FRAME]) {
        if !self.listens() {
            return;
        }
        let levels = self.processor.near_end(frame);
        if let Some(call) = &mut self.call {
            call.overhear(frame);
        }
        let passed = self.gate.pass(now, levels.speaking, frame);
        self.talking = passed.talking;
        if let Some(call) = &mut self.call {
            call.say(now, passed.send.then_some(&*frame));
            if passed.speaks_while_muted && now >= self.hint_at {
                self.hint_at = now + HINT;
                self.outputs.push_back(Output::SpeaksWhileMuted);
            }
        }
    }

    /// There were 10 ms without a microphone.
    pub(super) fn no_microphone(&mut self, now: Duration) {
        self.talking = false;
        if let Some(call) = &mut self.call {
            call.say(now, None);
        }
    }

    /// Gives 10 ms to be played.
    pub(super) fn play(&mut self, now: Duration, out: &mut [f32; FRAME]) {
        match &mut self.call {
            Some(call) => call.hear(now, out),
            None => out.fill(0.0),
        }
        if self.listens() {
            self.processor.far_end(out);
        }
    }

    /// Does what is due.
    pub(super) fn pump(&mut self, now: Duration) {
        if let Some(call) = &mut self.call {
            call.pump(now);
            while let Some(event) = call.next_event() {
                match event {
                    CallEvent::Signal { to, signal } => {
                        self.outputs.push_back(Output::Signal { to, signal });
                    }
                    CallEvent::Notice(notice) => self.outputs.push_back(Output::Notice(notice)),
                    // The mesh knows better: it also knows of those with whom there is no connection.
                    CallEvent::State { .. } => {}
                }
            }
            for (&peer, told) in &mut self.peers {
                if let Some(state) = call.link_state(peer)
                    && told.link != Some(state)
                {
                    told.link = Some(state);
                    self.outputs.push_back(Output::Link { peer, state });
                }
                let same_room = call.same_room(peer);
                if told.same_room != same_room {
                    told.same_room = same_room;
                    self.outputs.push_back(Output::SameRoom { peer, same_room });
                }
            }
        }
        if self.listens() && now >= self.levels_at {
            self.levels_at = now + LEVELS;
            self.tell_levels();
        }
        if now >= self.quality_at {
            self.quality_at = now + QUALITY;
            self.tell_quality(now);
        }
    }

    fn tell_levels(&mut self) {
        if self.outputs.len() >= CROWDED {
            return;
        }
        let people = self.call.iter().flat_map(|call| {
            call.connected()
                .filter_map(|peer| Some((peer, call.levels(peer)?)))
        });
        let report = LevelReport {
            own: self.processor.levels(),
            talking: self.talking,
            people: people.collect(),
        };
        self.outputs.push_back(Output::Levels(report));
    }

    fn tell_quality(&mut self, now: Duration) {
        if let Some(call) = &self.call
            && self.outputs.len() < CROWDED
        {
            let all = self
                .peers
                .keys()
                .filter_map(|&peer| Some((peer, call.quality(peer, now)?)))
                .collect();
            self.outputs.push_back(Output::Quality(all));
        }
    }

    fn join(
        &mut self,
        ice_servers: Vec<IceServer>,
        max_peers: usize,
        now: Duration,
    ) -> Result<(), CallError> {
        if let Some(call) = &mut self.call {
            call.set_ice_servers(ice_servers, now);
            call.set_max_peers(max_peers, now);
            return Ok(());
        }
        let config = CallConfig {
            mesh: MeshConfig {
                max_peers,
                relay_only: self.settings.hide_address,
                ..self.call_config.mesh
            },
            ice_servers,
            ..self.call_config.clone()
        };
        let rng = rand::make_rng();
        let mut call = Call::new(config, self.runtime.clone(), self.start, rng)?;
        call.deafen(self.deafened);
        self.call = Some(call);
        Ok(())
    }

    fn configure(&mut self, settings: LiveSettings, now: Duration) {
        let hidden = self.settings.hide_address;
        self.settings = settings;
        let settings = &self.settings;
        self.processor.configure(processing(settings, self.worn));
        self.processor.configure_meter(meter(settings));
        self.gate.configure(settings.gate);
        if settings.hide_address != hidden
            && let Some(call) = &mut self.call
        {
            call.handle(mesh::Event::RelayOnly(settings.hide_address), now);
        }
    }
}

fn processing(settings: &LiveSettings, worn: bool) -> ProcessingSettings {
    ProcessingSettings {
        headset: match settings.headset {
            Headset::Auto => worn,
            Headset::On => true,
            Headset::Off => false,
        },
        ..settings.processing
    }
}

fn meter(settings: &LiveSettings) -> MeterConfig {
    MeterConfig {
        speaking_dbfs: settings.activity_dbfs,
        ..MeterConfig::default()
    }
}
