//! Newer versions of NearTalk, where whoever packages it has said where they are and by whom they are
//! signed: `NEARTALK_UPDATES` (an address) and `NEARTALK_UPDATE_KEY` (as `tauri signer generate` makes
//! one) when building with the feature `updater`. Without both nobody is asked for any, and with them
//! only when the person wants to know.

#[cfg_attr(all(desktop, feature = "updater"), path = "updates/plugin.rs")]
#[cfg_attr(not(all(desktop, feature = "updater")), path = "updates/nowhere.rs")]
mod source;

use tauri::{AppHandle, Runtime, async_runtime};
use tokio::sync::{mpsc, oneshot};

pub use self::source::{Source, builtin};
use crate::error::CommandError;

/// Requests that can wait for the task.
const REQUESTS: usize = 4;

enum Request {
    Look(oneshot::Sender<Result<Option<String>, CommandError>>),
    Install(oneshot::Sender<Result<(), CommandError>>),
}

/// Asks the task that looks for newer versions; there is none without a source of them.
#[derive(Clone, Debug)]
pub struct Updates(Option<mpsc::Sender<Request>>);

impl Updates {
    /// Starts the task, which asks nobody anything by itself.
    pub fn start<R: Runtime>(app: AppHandle<R>, source: Option<Source>) -> Self {
        Self(source.map(|source| {
            let (sender, requests) = mpsc::channel(REQUESTS);
            async_runtime::spawn(run(app, source, requests));
            sender
        }))
    }

    /// Whether it is known where newer versions would be.
    pub fn have_a_source(&self) -> bool {
        self.0.is_some()
    }

    /// Which version is newer than this one, if any.
    ///
    /// # Errors
    /// When whoever has them does not answer, or nonsense.
    pub async fn look(&self) -> Result<Option<String>, CommandError> {
        self.ask(Request::Look).await
    }

    /// Installs what is newer, if anything, and starts anew.
    ///
    /// # Errors
    /// When it can't be had, or is not signed as it must be; then nothing has changed.
    pub async fn install(&self) -> Result<(), CommandError> {
        self.ask(Request::Install).await
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, CommandError>>) -> Request,
    ) -> Result<T, CommandError> {
        let gone = || CommandError::unavailable("NearTalk is closing.");
        let requests = self.0.as_ref().ok_or_else(|| {
            CommandError::unavailable(
                "Update NearTalk where you got it from: it was not told of another place.",
            )
        })?;
        let (reply, answer) = oneshot::channel();
        let sent = requests.send(request(reply)).await;
        sent.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

async fn run<R: Runtime>(app: AppHandle<R>, source: Source, mut requests: mpsc::Receiver<Request>) {
    // Whoever has asked may be gone.
    while let Some(request) = requests.recv().await {
        match request {
            Request::Look(reply) => {
                let _ = reply.send(source.look(&app).await);
            }
            Request::Install(reply) => {
                let done = source.install(&app).await;
                let is_new = done == Ok(true);
                let _ = reply.send(done.map(drop));
                if is_new {
                    app.request_restart();
                }
            }
        }
    }
}
