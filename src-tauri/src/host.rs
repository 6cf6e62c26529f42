//! One task that owns what the shell knows: settings, place, and the engine at work.

use std::io;

use neartalk_client::{
    Command, Engine, EngineConfig, EngineHandle, Fix, NotGiven, RelayUrl,
    location::{self, FixSender},
};
use neartalk_location::{State, Watch};
use neartalk_shared::Place;
use tauri::{
    AppHandle, Runtime,
    async_runtime::{self, JoinHandle},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    error::CommandError,
    ipc::{ipc, tell},
    location as native,
    settings::{Settings, SettingsPatch},
    store::Store,
    system,
    told::{AppEvent, AppStart, EngineEvent, PlaceState, Platform},
};

/// Requests that can wait for the task.
const REQUESTS: usize = 64;

/// What the task can be asked for.
enum Request {
    Start(oneshot::Sender<AppStart>),
    Save(
        Box<SettingsPatch>,
        oneshot::Sender<Result<Settings, CommandError>>,
    ),
    UseLocation(oneshot::Sender<()>),
    PlaceByHand(Place, Option<String>, oneshot::Sender<()>),
    ChangeRelay(RelayUrl, oneshot::Sender<Result<(), CommandError>>),
    Relay(oneshot::Sender<RelayUrl>),
    Panic(oneshot::Sender<AppStart>),
    Shutdown(oneshot::Sender<()>),
}

/// Asks the task that owns everything.
#[derive(Debug)]
pub struct Host {
    requests: mpsc::Sender<Request>,
    engine: watch::Receiver<Option<EngineHandle>>,
}

impl Host {
    /// Starts the task, and with it an engine. `relay` is used in place of the one that was kept
    /// until another is chosen.
    pub fn start<R: Runtime>(app: AppHandle<R>, store: Store, relay: Option<RelayUrl>) -> Self {
        let (requests, waiting) = mpsc::channel(REQUESTS);
        let (publish, engine) = watch::channel(None);
        ipc::<R>().mount_events(&app);
        let task = Task {
            app,
            kept: store.load(),
            store,
            relay,
            place: PlaceState::default(),
            watch: None,
            fix: None,
            session: None,
            publish,
        };
        async_runtime::spawn(task.run(waiting));
        Self { requests, engine }
    }

    /// Gives the engine a command. In the order in which this is called.
    pub fn command(&self, command: Command) -> Result<(), CommandError> {
        match &*self.engine.borrow() {
            Some(engine) => Ok(engine.try_send(command)?),
            None => Err(NotGiven::Busy.into()),
        }
    }

    /// What the window has to know when it opens; the engine tells a snapshot after it.
    pub async fn begin(&self) -> Result<AppStart, CommandError> {
        self.ask(Request::Start).await
    }

    /// Changes settings, and gives them as they are then.
    pub async fn save(&self, patch: SettingsPatch) -> Result<Settings, CommandError> {
        self.ask(|reply| Request::Save(Box::new(patch), reply))
            .await?
    }

    /// Looks for this device's place from now on.
    pub async fn use_location(&self) -> Result<(), CommandError> {
        self.ask(Request::UseLocation).await
    }

    /// Takes a place that was chosen by hand.
    pub async fn place_by_hand(
        &self,
        place: Place,
        label: Option<String>,
    ) -> Result<(), CommandError> {
        self.ask(|reply| Request::PlaceByHand(place, label, reply))
            .await
    }

    /// Leaves the present relay for another.
    pub async fn change_relay(&self, relay: RelayUrl) -> Result<(), CommandError> {
        self.ask(|reply| Request::ChangeRelay(relay, reply)).await?
    }

    /// The present relay.
    pub async fn relay(&self) -> Result<RelayUrl, CommandError> {
        self.ask(Request::Relay).await
    }

    /// Leaves and forgets everything, and begins anew.
    pub async fn panic(&self) -> Result<AppStart, CommandError> {
        self.ask(Request::Panic).await
    }

    /// Leaves the relay, and waits until that is done.
    pub async fn shutdown(&self) {
        // If the task is gone, so is the engine.
        let _ = self.ask(Request::Shutdown).await;
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, CommandError> {
        let gone = || CommandError::unavailable("NearTalk is closing.");
        let (reply, answer) = oneshot::channel();
        let sent = self.requests.send(request(reply)).await;
        sent.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

struct Task<R: Runtime> {
    app: AppHandle<R>,
    store: Store,
    /// What was chosen.
    kept: Settings,
    /// In place of the one that is kept.
    relay: Option<RelayUrl>,
    place: PlaceState,
    /// While the place is followed.
    watch: Option<Watch>,
    /// Where this device was last, for the next engine.
    fix: Option<Fix>,
    session: Option<Session>,
    publish: watch::Sender<Option<EngineHandle>>,
}

/// An engine at work.
struct Session {
    engine: EngineHandle,
    fixes: FixSender,
    /// Hands its events to the window.
    teller: JoinHandle<()>,
}

impl<R: Runtime> Task<R> {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        self.connect();
        loop {
            let request = tokio::select! {
                request = requests.recv() => request,
                state = changed(&mut self.watch) => {
                    self.stands(state);
                    continue;
                }
            };
            let Some(request) = request else { return };
            // Whoever has asked may be gone; that is nothing to act on.
            match request {
                Request::Start(reply) => {
                    let _ = reply.send(self.about());
                    self.tell_everything();
                }
                Request::Save(patch, reply) => {
                    let _ = reply.send(self.change_settings(*patch));
                }
                Request::UseLocation(reply) => {
                    self.use_location();
                    let _ = reply.send(());
                }
                Request::PlaceByHand(place, label, reply) => {
                    self.place_by_hand(place, label);
                    let _ = reply.send(());
                }
                Request::ChangeRelay(relay, reply) => {
                    let _ = reply.send(self.change_relay(relay));
                }
                Request::Relay(reply) => {
                    let _ = reply.send(self.relay_in_use());
                }
                Request::Panic(reply) => {
                    self.forget_everything();
                    let _ = reply.send(self.about());
                    self.tell_everything();
                }
                Request::Shutdown(reply) => {
                    self.publish.send_replace(None);
                    self.watch = None;
                    if let Some(session) = self.session.take() {
                        session.engine.shutdown().await;
                    }
                    let _ = reply.send(());
                    return;
                }
            }
        }
    }

    /// Starts an engine in place of the present one, which leaves its relay by itself.
    fn connect(&mut self) {
        self.disconnect();
        let settings = &self.kept;
        let config = EngineConfig {
            radius: settings.radius,
            voice: settings.voice.clone(),
            ..EngineConfig::new(self.relay_in_use())
        };
        let (fixes, stream) = location::channel();
        if let Some(fix) = self.fix {
            fixes.send(fix);
        }
        let (engine, mut events) = Engine::start(config, stream);
        let app = self.app.clone();
        #[cfg(mobile)]
        let mut calls = crate::phone::Calls::new(app.clone());
        let teller = async_runtime::spawn(async move {
            while let Some(event) = events.recv().await {
                #[cfg(mobile)]
                calls.hear(&event).await;
                tell(&app, &EngineEvent(event));
            }
        });
        self.publish.send_replace(Some(engine.clone()));
        self.session = Some(Session {
            engine,
            fixes,
            teller,
        });
    }

    /// Ends the engine: it leaves voice and relay once nobody takes its events.
    fn disconnect(&mut self) {
        if let Some(session) = self.session.take() {
            session.teller.abort();
        }
    }

    /// Everything that the engine knows, to a window that knows nothing, or something old.
    fn tell_everything(&self) {
        if let Some(session) = &self.session
            && let Err(error) = session.engine.try_send(Command::Snapshot)
        {
            tracing::warn!(%error, "the window stays without a snapshot");
        }
    }

    fn about(&self) -> AppStart {
        AppStart {
            platform: Platform::this(),
            version: env!("CARGO_PKG_VERSION").into(),
            settings: self.settings(),
            place: self.place.clone(),
            microphone: system::MICROPHONE_AT_START,
            can_global_key: false,
            can_autostart: false,
        }
    }

    /// Settings as they are in effect.
    fn settings(&self) -> Settings {
        Settings {
            relay: self.relay_in_use(),
            ..self.kept.clone()
        }
    }

    fn relay_in_use(&self) -> RelayUrl {
        let kept = &self.kept.relay;
        self.relay.as_ref().unwrap_or(kept).clone()
    }

    fn change_settings(&mut self, patch: SettingsPatch) -> Result<Settings, CommandError> {
        self.kept = self.kept.clone().with(patch);
        self.keep()?;
        Ok(self.settings())
    }

    fn change_relay(&mut self, relay: RelayUrl) -> Result<(), CommandError> {
        self.kept.relay = relay;
        self.relay = None;
        self.connect();
        self.tell_everything();
        let settings = self.settings();
        tell(&self.app, &AppEvent::Settings { settings });
        self.keep()
    }

    fn use_location(&mut self) {
        self.watch = Some(native::watch(&self.app));
        self.change_place(PlaceState::Finding);
    }

    /// The system has said how it stands with the place; nothing if it will say no more.
    fn stands(&mut self, state: Option<State>) {
        let Some(state) = state else {
            self.watch = None;
            return;
        };
        if let State::Live(reading) = &state {
            self.take(Fix::measured(reading.place));
        }
        let place = PlaceState::from(state);
        if place != self.place {
            self.change_place(place);
        }
    }

    fn place_by_hand(&mut self, place: Place, label: Option<String>) {
        // What was chosen isn't to be moved by what is measured.
        self.watch = None;
        let (lat, lon) = (place.lat(), place.lon());
        self.change_place(PlaceState::ByHand { lat, lon, label });
        self.take(Fix::by_hand(place));
    }

    fn take(&mut self, fix: Fix) {
        self.fix = Some(fix);
        if let Some(session) = &self.session {
            session.fixes.send(fix);
        }
    }

    fn change_place(&mut self, place: PlaceState) {
        self.place = place.clone();
        tell(&self.app, &AppEvent::Place { place });
    }

    fn forget_everything(&mut self) {
        self.watch = None;
        self.disconnect();
        self.kept = Settings::default();
        self.place = PlaceState::default();
        self.fix = None;
        if let Err(error) = self.store.forget() {
            tracing::error!(%error, "the settings could not be removed");
        }
        self.connect();
    }

    fn keep(&self) -> Result<(), CommandError> {
        self.store.save(&self.kept).map_err(|error: io::Error| {
            CommandError::unavailable(format!(
                "This is as you chose until NearTalk closes; it could not be kept in {}: {error}.",
                self.store.folder().display()
            ))
        })
    }
}

/// Waits until it stands otherwise with a place that is followed.
async fn changed(watch: &mut Option<Watch>) -> Option<State> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
