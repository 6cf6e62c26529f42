//! One task that owns what the shell knows: settings, place, and the engine at work.

use std::io;

use neartalk_client::{
    Command, Engine, EngineConfig, EngineHandle, Event, Fix, NotGiven, RelayUrl,
    location::{self, FixSender},
};
use neartalk_location::{State, Watch};
use neartalk_shared::Place;
use tauri::{
    AppHandle, Manager, Runtime,
    async_runtime::{self, JoinHandle},
};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    autostart,
    error::{CommandError, CommandErrorCode},
    global_key::{Answer, GlobalKey, Wanted},
    invite::InvalidInvite,
    ipc::{ipc, tell},
    location as native,
    notifications::Notifications,
    settings::{Settings, SettingsPatch},
    store::Store,
    system,
    told::{AppEvent, AppStart, EngineEvent, PlaceState, Platform, Words},
    tray::Tray,
    updates::Updates,
};

/// Requests that can wait for the task.
const REQUESTS: usize = 64;

/// Where the settings as they are then are wanted.
type SavedTo = oneshot::Sender<Result<Settings, CommandError>>;

/// What the task can be asked for.
enum Request {
    Start(oneshot::Sender<AppStart>),
    Save(Box<SettingsPatch>, SavedTo),
    /// The system has decided on the key that a change of settings needs.
    Decided(Change, Result<(), CommandError>),
    Words(Box<Words>, oneshot::Sender<()>),
    UseLocation(oneshot::Sender<()>),
    PlaceByHand(Place, Option<String>, oneshot::Sender<()>),
    ChangeRelay(RelayUrl, oneshot::Sender<Result<(), CommandError>>),
    Relay(oneshot::Sender<RelayUrl>),
    Invite(Result<RelayUrl, InvalidInvite>),
    Panic(oneshot::Sender<AppStart>),
    Shutdown(oneshot::Sender<()>),
}

/// A change of settings that waits for the system.
struct Change {
    patch: Box<SettingsPatch>,
    reply: SavedTo,
    /// After how many panics it was wanted.
    panics: u32,
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
            requests: requests.downgrade(),
            panics: 0,
            place: PlaceState::default(),
            watch: None,
            fix: None,
            session: None,
            open: false,
            talk_label: None,
            invited: None,
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

    /// Takes the words that are said outside the window.
    pub async fn say(&self, words: Words) -> Result<(), CommandError> {
        self.ask(|reply| Request::Words(Box::new(words), reply))
            .await
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

    /// Asks the person whether to go where a link leads, or says why it leads nowhere.
    pub fn invite(&self, relay: Result<RelayUrl, InvalidInvite>) {
        if self.requests.try_send(Request::Invite(relay)).is_err() {
            tracing::warn!("too much at once: a link was not followed");
        }
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
    /// For what comes of something that others need not wait for.
    requests: mpsc::WeakSender<Request>,
    /// How often everything was forgotten.
    panics: u32,
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
    /// Whether the window is there to be told something.
    open: bool,
    /// What the key does that talks, in the language of the window.
    talk_label: Option<String>,
    /// A link that was opened before it was.
    invited: Option<Result<RelayUrl, InvalidInvite>>,
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
        // The person may have changed that elsewhere.
        self.kept.start_with_system = autostart::is_on(&self.app);
        self.apply();
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
                    let _ = reply.send(self.about().await);
                    self.tell_everything();
                    self.open = true;
                    if let Some(relay) = self.invited.take() {
                        self.ask_to_move(relay);
                    }
                }
                Request::Save(patch, reply) => self.save(patch, reply).await,
                Request::Decided(change, decision) => self.take_decision(change, decision).await,
                Request::Words(words, reply) => {
                    self.app.state::<Tray>().say(words.tray);
                    self.talk_label = Some(words.talk);
                    #[cfg(mobile)]
                    self.app.state::<crate::phone::CallWords>().say(words.call);
                    let _ = reply.send(());
                    let (app, answer) = (self.app.clone(), self.want_key(&self.kept).await);
                    // The desktop may ask the person, and nobody else is to wait for that.
                    async_runtime::spawn(async move {
                        if let Err(error) = answer.wait().await {
                            tell(&app, &AppEvent::Failed { error });
                        }
                    });
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
                Request::Invite(relay) if self.open => self.ask_to_move(relay),
                Request::Invite(relay) => self.invited = Some(relay),
                Request::Panic(reply) => {
                    self.forget_everything();
                    let _ = self.want_key(&self.kept).await;
                    self.app.state::<Notifications>().forget().await;
                    let _ = reply.send(self.about().await);
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
            let tray = app.state::<Tray>();
            while let Some(event) = events.recv().await {
                #[cfg(mobile)]
                calls.hear(&event).await;
                if let Event::Voice(status) = &event {
                    tray.voice_is(status);
                }
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
            self.app.state::<Tray>().voice_is_off();
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

    async fn about(&self) -> AppStart {
        AppStart {
            platform: Platform::this(),
            version: env!("CARGO_PKG_VERSION").into(),
            settings: self.settings(),
            place: self.place.clone(),
            microphone: system::MICROPHONE_AT_START,
            can_global_key: self.app.state::<GlobalKey>().works().await,
            can_tray: self.app.state::<Tray>().is_there(),
            can_update: self.app.state::<Updates>().have_a_source(),
            can_autostart: autostart::CAN,
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

    /// Changes settings; later, if they need a key. The desktop may ask the person for it, and nobody else
    /// is to wait for that, least of all a panic.
    async fn save(&mut self, patch: Box<SettingsPatch>, reply: SavedTo) {
        let changed = self.kept.clone().with((*patch).clone());
        if changed.talk_key == self.kept.talk_key {
            // Whoever has asked may be gone.
            let _ = reply.send(self.change_settings(*patch));
            return;
        }
        let answer = self.want_key(&changed).await;
        let (requests, panics) = (self.requests.clone(), self.panics);
        async_runtime::spawn(async move {
            let decision = answer.wait().await;
            let change = Change {
                patch,
                reply,
                panics,
            };
            // If the task is gone, so are the settings.
            if let Some(requests) = requests.upgrade() {
                let _ = requests.send(Request::Decided(change, decision)).await;
            }
        });
    }

    async fn take_decision(&mut self, change: Change, decision: Result<(), CommandError>) {
        let changed = match decision {
            Ok(()) if change.panics == self.panics => self.change_settings(*change.patch),
            Ok(()) => Ok(self.settings()),
            Err(error) => {
                let before = self.want_key(&self.kept).await;
                async_runtime::spawn(async move {
                    // It is as good as it was, when the person is told.
                    let _ = before.wait().await;
                    let _ = change.reply.send(Err(error));
                });
                return;
            }
        };
        // Whoever has asked may be gone.
        let _ = change.reply.send(changed);
    }

    fn change_settings(&mut self, patch: SettingsPatch) -> Result<Settings, CommandError> {
        let changed = self.kept.clone().with(patch);
        if changed.start_with_system != self.kept.start_with_system {
            autostart::set(&self.app, changed.start_with_system)?;
        }
        self.kept = changed;
        self.apply();
        // They are in effect nevertheless.
        if let Err(error) = self.keep() {
            tell(&self.app, &AppEvent::Failed { error });
        }
        Ok(self.settings())
    }

    /// Takes the key that these want, in place of the one before.
    async fn want_key(&self, settings: &Settings) -> Answer {
        let key = settings.talk_key.clone().zip(self.talk_label.clone());
        let wanted = key.map(|(key, label)| Wanted { key, label });
        self.app.state::<GlobalKey>().want(wanted).await
    }

    /// Lets those know what was chosen who act on it.
    fn apply(&self) {
        self.app
            .state::<Tray>()
            .closing_hides(self.kept.close_to_tray);
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

    /// Nobody is moved by a link alone.
    fn ask_to_move(&self, relay: Result<RelayUrl, InvalidInvite>) {
        let event = match relay {
            // There already.
            Ok(relay) if relay == self.relay_in_use() => return,
            Ok(relay) => AppEvent::Invited {
                relay: relay.to_string(),
            },
            Err(error) => AppEvent::Failed {
                error: CommandError::new(CommandErrorCode::InvalidLink, error.to_string()),
            },
        };
        tell(&self.app, &event);
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
        self.panics += 1;
        self.watch = None;
        self.disconnect();
        self.kept = Settings::default();
        if let Err(error) = autostart::set(&self.app, self.kept.start_with_system) {
            tracing::warn!(%error, "it is not as if it had never been started");
        }
        self.apply();
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
