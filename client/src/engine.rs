//! The engine: one task that owns everything about one person, with typed commands in and typed
//! events out.
//!
//! # When nobody takes the events
//! Events wait in a channel of fixed length. When it is full, the engine first slows down: for
//! [`PATIENCE`] it takes no frames from the relay and no commands, so that whoever is merely busy
//! misses nothing (the relay feels it through TCP). After that it goes on without them: the state that
//! the engine keeps stays right, events are dropped and counted, and as soon as there is room again
//! one [`Event::Snapshot`] brings everything up to date. So a window that hangs costs neither memory
//! nor the connection. Levels and quality of voice are dropped at once: the next ones are better.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    pin::{Pin, pin},
    time::{Duration, SystemTime},
};

use futures_util::{Stream, StreamExt};
use neartalk_shared::{MessageId, MessageText, PeerId, Radius, Username};
use neartalk_voice::{
    device::{self, DeviceInfo, DeviceProblem},
    live::{self, Live, LiveConfig, LiveError, LiveSettings, NotTaken, Output, SoundFiles},
};
use rand::rngs::StdRng;
use thiserror::Error;
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    clock::Clock,
    command::Command,
    core::{Action, Core},
    event::Event,
    link::{Link, LinkEnd, LinkEvent, Network, Timing},
    location::Fix,
    network::NetworkWatch,
    placement::Placement,
    relay_url::RelayUrl,
    voice::VoiceSettings,
};

/// Commands that can wait for the engine.
const COMMANDS: usize = 64;
/// Events that can wait to be taken.
const EVENTS: usize = 1_024;
/// How long the engine waits for whoever takes no events before it goes on without them.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// The engine looks at the clock at least this often, to find out that the device has slept.
const PULSE: Duration = Duration::from_secs(15);
/// How long the last events may take to be taken when the engine ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// What an engine is started with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// The relay to talk to.
    pub relay: RelayUrl,
    /// A name to start with; without one, the relay picks a friendly one.
    pub username: Option<Username>,
    /// Of the circle.
    pub radius: Radius,
    /// How patient to be with the network.
    pub timing: Timing,
    /// What is chosen about voice.
    pub voice: VoiceSettings,
    /// In place of microphone and loudspeaker, for voice.
    pub files: SoundFiles,
    /// Where voice opens its sockets; if empty, on all of this machine's addresses but loopback.
    pub addresses: Vec<SocketAddr>,
}

impl EngineConfig {
    /// For a relay, with no wish for a name, a circle of 500 m, and the usual patience.
    pub fn new(relay: RelayUrl) -> Self {
        Self {
            relay,
            username: None,
            radius: Radius::new(500).unwrap_or(Radius::MIN),
            timing: Timing::default(),
            voice: VoiceSettings::default(),
            files: SoundFiles::default(),
            addresses: Vec::new(),
        }
    }
}

/// The engine has ended, so it takes no more commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("this connection has been shut down; start a new one")]
pub struct EngineEnded;

/// Why a command could not be given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotGiven {
    /// Too many commands wait.
    #[error("too much has been asked for at once; try again in a moment")]
    Busy,
    /// There is no engine any more.
    #[error(transparent)]
    Ended(#[from] EngineEnded),
}

/// Gives an engine its commands. The engine ends when all of these are dropped.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    commands: mpsc::Sender<Command>,
}

impl EngineHandle {
    /// Gives a command; waits while many are waiting.
    pub async fn send(&self, command: Command) -> Result<(), EngineEnded> {
        self.commands.send(command).await.map_err(|_| EngineEnded)
    }

    /// Gives a command without waiting, so that commands keep the order in which they are given.
    ///
    /// # Errors
    /// When as many commands wait already as may, or when the engine has ended.
    pub fn try_send(&self, command: Command) -> Result<(), NotGiven> {
        self.commands.try_send(command).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => NotGiven::Busy,
            mpsc::error::TrySendError::Closed(_) => EngineEnded.into(),
        })
    }

    /// Says something to everyone in range, and gives the id by which events tell what becomes of
    /// it.
    pub async fn say(&self, text: MessageText) -> Result<MessageId, EngineEnded> {
        let id = MessageId::random();
        self.send(Command::Say { id, text }).await?;
        Ok(id)
    }

    /// Leaves the relay cleanly, and waits until that is done.
    pub async fn shutdown(self) {
        if self.send(Command::Shutdown).await.is_ok() {
            self.commands.closed().await;
        }
    }
}

/// What the engine tells. Dropping it ends the engine.
#[derive(Debug)]
pub struct EventReceiver {
    events: mpsc::Receiver<Event>,
}

impl EventReceiver {
    /// The next event; `None` when the engine has ended. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// The next event, if it is there already.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

/// One person's NearTalk.
#[derive(Debug)]
pub struct Engine;

impl Engine {
    /// Starts an engine, which connects at once and goes on until it is shut down. `fixes` says
    /// where the device is; when it ends, the last place stays. Must be called within a Tokio
    /// runtime.
    pub fn start(
        config: EngineConfig,
        fixes: impl Stream<Item = Fix> + Send + 'static,
    ) -> (EngineHandle, EventReceiver) {
        let (handle, commands) = mpsc::channel(COMMANDS);
        let (events, receiver) = mpsc::channel(EVENTS);
        let task = Task {
            core: Core::new(
                config.username,
                Placement::new(config.radius),
                config.voice,
                rand::make_rng::<StdRng>(),
            ),
            network: Network::new(config.relay, config.timing),
            silence: config.timing.silence,
            link: None,
            voice: None,
            voice_leaving: None,
            listing: None,
            watch: NetworkWatch::new(),
            files: config.files,
            addresses: config.addresses,
            outlet: Outlet::new(events),
            clock: Clock::new(Instant::now().into_std(), SystemTime::now()),
        };
        tokio::spawn(task.run(commands, Box::pin(fixes)));
        (
            EngineHandle { commands: handle },
            EventReceiver { events: receiver },
        )
    }
}

/// Microphones and loudspeakers.
type Listing = Result<(Vec<DeviceInfo>, Vec<DeviceInfo>), DeviceProblem>;

struct Task {
    core: Core,
    network: Network,
    silence: Duration,
    link: Option<Link>,
    watch: NetworkWatch,
    voice: Option<Live<PeerId>>,
    /// The voice before, being ended.
    voice_leaving: Option<JoinHandle<()>>,
    /// Devices, being looked for.
    listing: Option<JoinHandle<Listing>>,
    files: SoundFiles,
    addresses: Vec<SocketAddr>,
    outlet: Outlet,
    clock: Clock,
}

impl Task {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        fixes: Pin<Box<dyn Stream<Item = Fix> + Send>>,
    ) {
        let mut fixes = pin!(fixes.fuse());
        while self.act().await {
            self.outlet
                .refill(|missed| self.core.snapshot(self.clock.now(), missed));
            let pulse = Instant::now() + PULSE;
            let wake = self.core.next_wake(self.clock.now());
            let wake = wake.map_or(pulse, |at| pulse.min(self.clock.timer(at).into()));
            let listening = self.outlet.has_room();
            tokio::select! {
                command = commands.recv(), if listening => {
                    let now = self.now();
                    match command {
                        Some(command) => self.core.command(now, command),
                        None => self.core.shutdown(),
                    }
                }
                Some(fix) = fixes.next(), if listening => {
                    let now = self.now();
                    self.core.fix(now, fix);
                }
                event = next(&mut self.link), if listening => {
                    let now = self.now();
                    if matches!(event, LinkEvent::Ended(_)) {
                        self.link = None;
                    }
                    self.core.link(now, event);
                }
                output = hear(&mut self.voice), if listening => match output {
                    Some(output) => self.core.voice(output),
                    None => {
                        self.voice = None;
                        self.core.voice_ended(NotTaken.to_string());
                    }
                },
                listed = join(&mut self.listing) => {
                    self.listing = None;
                    // Without a sound service there are none.
                    let (inputs, outputs) = listed.unwrap_or_default();
                    self.core.devices(inputs, outputs);
                }
                () = self.watch.changed() => {
                    let now = self.now();
                    self.core.network_changed(now);
                }
                () = self.outlet.changed() => {}
                () = self.outlet.sender.closed() => self.core.shutdown(),
                () = sleep_until(wake) => {
                    let now = self.now();
                    self.core.wake(now);
                }
            }
        }
        if let Some(voice) = self.voice.take() {
            self.voice_leaving = Some(tokio::spawn(voice.stop()));
        }
        self.voice_left().await;
        self.outlet.finish().await;
    }

    /// Waits for devices and files of the voice before.
    async fn voice_left(&mut self) {
        if let Some(leaving) = self.voice_leaving.take()
            && timeout(FAREWELL, leaving).await.is_err()
        {
            tracing::warn!("a sound device takes long to close");
        }
    }

    async fn start_voice(&mut self, settings: LiveSettings) {
        self.voice_left().await;
        let config = LiveConfig {
            settings,
            files: self.files.clone(),
            addresses: self.addresses.clone(),
        };
        match live::start(config, Handle::current()) {
            Ok(voice) => self.voice = Some(voice),
            Err(error) => self.core.voice_ended(LiveError::from(error).to_string()),
        }
    }

    /// The time, sleep included; acts on it if the device has slept.
    fn now(&mut self) -> std::time::Instant {
        let slept = self
            .clock
            .read(Instant::now().into_std(), SystemTime::now());
        let now = self.clock.now();
        if slept.is_some_and(|slept| slept >= self.silence) {
            self.core.slept(now);
        }
        now
    }

    /// Does what the core wants done. False when it is finished.
    async fn act(&mut self) -> bool {
        while let Some(action) = self.core.poll_action() {
            match action {
                Action::Connect(credentials) => {
                    self.link = Some(self.network.connect(credentials));
                }
                Action::Send(frame) => {
                    if self.link.as_ref().is_some_and(|link| !link.send(frame)) {
                        // Its last words, if it has any, are why it takes no more.
                        let end = match self.link.take() {
                            Some(link) => link.last_words(),
                            None => LinkEnd::lost(),
                        };
                        let now = self.now();
                        self.core.link(now, LinkEvent::Ended(end));
                    }
                }
                Action::Hangup { goodbye } => {
                    if let Some(link) = self.link.take()
                        && goodbye
                    {
                        link.close().await;
                    }
                }
                Action::VoiceStart(settings) => self.start_voice(*settings).await,
                Action::Voice(input) => {
                    if let Some(voice) = &self.voice
                        && let Err(error) = voice.tell(input)
                    {
                        self.voice = None;
                        self.core.voice_ended(error.to_string());
                    }
                }
                Action::VoiceStop => {
                    if let Some(voice) = self.voice.take() {
                        self.voice_leaving = Some(tokio::spawn(voice.stop()));
                    }
                }
                // One answer is enough for all who ask meanwhile. It waits for the system.
                Action::VoiceList => {
                    self.listing
                        .get_or_insert_with(|| spawn_blocking(device::list));
                }
                Action::Emit(event) => self.outlet.push(event),
                Action::Finish => return false,
            }
        }
        true
    }
}

/// What comes next over the link, if there is one.
async fn next(link: &mut Option<Link>) -> LinkEvent {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

/// What devices there are, once they have been looked for.
async fn join(listing: &mut Option<JoinHandle<Listing>>) -> Listing {
    match listing {
        Some(listing) => listing.await.unwrap_or(Err(DeviceProblem::Failed)),
        None => std::future::pending().await,
    }
}

/// What voice says next, if there is any.
async fn hear(voice: &mut Option<Live<PeerId>>) -> Option<Output<PeerId>> {
    match voice {
        Some(voice) => voice.next().await,
        None => std::future::pending().await,
    }
}

/// Where events leave the engine.
struct Outlet {
    sender: mpsc::Sender<Event>,
    /// What did not fit into the channel.
    waiting: VecDeque<Event>,
    /// Since when something has been waiting.
    full_since: Option<Instant>,
    /// How many events have been dropped since the last snapshot.
    missed: u64,
}

impl Outlet {
    fn new(sender: mpsc::Sender<Event>) -> Self {
        Self {
            sender,
            waiting: VecDeque::new(),
            full_since: None,
            missed: 0,
        }
    }

    fn push(&mut self, event: Event) {
        let passing = matches!(
            event,
            Event::VoiceLevels { .. } | Event::VoiceQuality { .. }
        );
        if passing {
            if self.missed == 0 && self.waiting.is_empty() {
                // The next ones are better than these.
                let _ = self.sender.try_send(event);
            }
        } else if self.missed > 0 {
            self.missed += 1;
        } else if !self.waiting.is_empty() {
            self.waiting.push_back(event);
        } else if let Err(mpsc::error::TrySendError::Full(event)) = self.sender.try_send(event) {
            self.waiting.push_back(event);
            self.full_since = Some(Instant::now());
        }
    }

    /// Whether the engine may go on.
    fn has_room(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Hands over what waits, as far as there is room; gives up on it if that has lasted too long;
    /// and once there is room again after that, hands over a snapshot.
    fn refill(&mut self, snapshot: impl FnOnce(u64) -> Event) {
        while !self.waiting.is_empty()
            && let Ok(permit) = self.sender.try_reserve()
            && let Some(event) = self.waiting.pop_front()
        {
            permit.send(event);
        }
        if self.waiting.is_empty() {
            self.full_since = None;
        } else if self
            .full_since
            .is_some_and(|since| since.elapsed() >= PATIENCE)
        {
            self.missed += self.waiting.len() as u64;
            self.waiting.clear();
            self.full_since = None;
            tracing::warn!("nobody takes the engine's events; going on without");
        }
        if self.missed > 0
            && let Ok(permit) = self.sender.try_reserve()
        {
            permit.send(snapshot(self.missed));
            self.missed = 0;
        }
    }

    /// Waits until [`Outlet::refill`] has something to do.
    async fn changed(&self) {
        if self.waiting.is_empty() && self.missed == 0 {
            std::future::pending::<()>().await;
        }
        let room = async {
            // The permit is given back at once; this task is the only one that would take it.
            if self.sender.reserve().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        match self.full_since {
            Some(since) => {
                let _ = timeout(
                    (since + PATIENCE).saturating_duration_since(Instant::now()),
                    room,
                )
                .await;
            }
            None => room.await,
        }
    }

    /// Hands over the last events, if anybody takes them.
    async fn finish(mut self) {
        let _ = timeout(FAREWELL, async {
            while let Some(event) = self.waiting.pop_front() {
                if self.sender.send(event).await.is_err() {
                    break;
                }
            }
        })
        .await;
    }
}
