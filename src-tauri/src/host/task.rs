//! The task that owns what the shell knows.

use std::io;

use neartalk_client::{
    Command, Engine, EngineConfig, EngineHandle, Event, Fix, RelayUrl,
    location::{self, FixSender},
    voice::VoiceStatus,
};
use neartalk_location::{State, Watch};
use neartalk_shared::Place;
use tauri::{
    AppHandle, Manager, Runtime,
    async_runtime::{self, JoinHandle},
};
use tokio::sync::{mpsc, watch};

use super::{Change, Request, SavedTo};
use crate::{
    autostart,
    error::{CommandError, CommandErrorCode},
    global_key::{Answer, GlobalKey, Wanted},
    invite::InvalidInvite,
    ipc::tell,
    location as native,
    notifications::Notifications,
    settings::{Settings, SettingsPatch},
    store::Store,
    system,
    told::{AppEvent, AppStart, EngineEvent, PlaceState, Platform},
    tray::Tray,
    updates::Updates,
};

/// The task.
pub(super) struct Task<R: Runtime> {
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
    /// Knows what was kept, and has done nothing yet.
    pub(super) fn new(
        app: AppHandle<R>,
        store: Store,
        relay: Option<RelayUrl>,
        requests: mpsc::WeakSender<Request>,
        publish: watch::Sender<Option<EngineHandle>>,
    ) -> Self {
        Self {
            app,
            kept: store.load(),
            store,
            relay,
            requests,
            panics: 0,
            place: PlaceState::default(),
            watch: None,
            fix: None,
            session: None,
            open: false,
            talk_label: None,
            invited: None,
            publish,
        }
    }

    pub(super) async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        // The person may have changed that elsewhere.
        self.kept.start_with_system = autostart::is_on(&self.app);
        self.apply();
        self.connect().await;
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
                    let _ = reply.send(self.change_relay(relay).await);
                }
                Request::Relay(reply) => {
                    let _ = reply.send(self.relay_in_use());
                }
                Request::Invite(relay) if self.open => self.ask_to_move(relay),
                Request::Invite(relay) => self.invited = Some(relay),
                Request::Panic(reply) => {
                    self.forget_everything().await;
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
    async fn connect(&mut self) {
        self.disconnect().await;
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
                if let Some(status) = voice_of(&event) {
                    #[cfg(mobile)]
                    calls.hear(status).await;
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

    /// Ends the engine: it leaves voice and relay once nobody takes its events. The window hears no more
    /// of them when this is done, least of all after a panic.
    async fn disconnect(&mut self) {
        if let Some(session) = self.session.take() {
            session.teller.abort();
            // It ends by being aborted.
            let _ = session.teller.await;
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
        if let Some(Some(key)) = &patch.talk_key
            && let Err(error) = key.can_be_spared()
        {
            let error = CommandError::new(CommandErrorCode::InvalidSettings, error.to_string());
            let _ = reply.send(Err(error));
            return;
        }
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

    async fn change_relay(&mut self, relay: RelayUrl) -> Result<(), CommandError> {
        self.kept.relay = relay;
        self.relay = None;
        self.connect().await;
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

    async fn forget_everything(&mut self) {
        self.panics += 1;
        self.watch = None;
        self.disconnect().await;
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
        self.connect().await;
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

/// How it stands with voice, if that is told: by itself, or with everything else where it was missed.
fn voice_of(event: &Event) -> Option<&VoiceStatus> {
    match event {
        Event::Voice(status) => Some(status),
        Event::Snapshot(snapshot) => Some(&snapshot.voice.status),
        _ => None,
    }
}

/// Waits until it stands otherwise with a place that is followed.
async fn changed(watch: &mut Option<Watch>) -> Option<State> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}
