//! What the shell knows: settings, place, and the engine at work. One task owns it; others ask.

mod task;

use neartalk_client::{Command, EngineHandle, NotGiven, RelayUrl};
use neartalk_shared::Place;
use tauri::{AppHandle, Runtime, async_runtime};
use tokio::sync::{mpsc, oneshot, watch};

use self::task::Task;
use crate::{
    error::CommandError,
    invite::InvalidInvite,
    ipc::ipc,
    settings::{Settings, SettingsPatch},
    store::Store,
    told::{AppStart, Words},
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
        let task = Task::new(app, store, relay, requests.downgrade(), publish);
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
