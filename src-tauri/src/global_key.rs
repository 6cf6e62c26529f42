//! The key that talks while another window has the focus.
//!
//! One task owns it. On X11, macOS and Windows the key is taken from the system; on Wayland a desktop
//! gives it through its portal, if it has one for that. The window decides what it does.

#[cfg(desktop)]
mod grab;
#[cfg(target_os = "linux")]
mod portal;
#[cfg_attr(target_os = "linux", path = "global_key/linux.rs")]
#[cfg_attr(any(target_os = "macos", windows), path = "global_key/elsewhere.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos", windows)),
    path = "global_key/nowhere.rs"
)]
#[cfg_attr(mobile, allow(dead_code, reason = "no phone has such a key"))]
mod system;

use tauri::{AppHandle, Runtime, async_runtime};
use tokio::sync::{mpsc, oneshot, watch};

use self::system::System;
use crate::{error::CommandError, ipc::tell, talk_key::TalkKey, told::AppEvent};

/// Wishes that can wait for the task.
const WISHES: usize = 16;

/// A key that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub key: TalkKey,
    /// What it does, in the language of the window, for a system that asks the person.
    pub label: String,
}

struct Wish(Option<Wanted>, oneshot::Sender<Result<(), CommandError>>);

/// What will come of a wish.
#[derive(Debug)]
pub struct Answer(oneshot::Receiver<Result<(), CommandError>>);

impl Answer {
    /// Waits for it.
    ///
    /// # Errors
    /// When the system does not give the key.
    pub async fn wait(self) -> Result<(), CommandError> {
        let gone = |_| CommandError::unavailable("NearTalk is closing.");
        self.0.await.map_err(gone)?
    }
}

/// Asks the task that owns the key.
#[derive(Debug)]
pub struct GlobalKey {
    wishes: mpsc::Sender<Wish>,
    can: watch::Receiver<Option<bool>>,
}

impl GlobalKey {
    /// Starts the task.
    pub fn start<R: Runtime>(app: AppHandle<R>) -> Self {
        let (wishes, waiting) = mpsc::channel(WISHES);
        let (tell_can, can) = watch::channel(None);
        async_runtime::spawn(run(app, waiting, tell_can));
        Self { wishes, can }
    }

    /// Whether this system lets a key do that.
    pub async fn works(&self) -> bool {
        let known = self
            .can
            .clone()
            .wait_for(Option::is_some)
            .await
            .map(|can| *can);
        // If the task is gone, so is the key.
        known.ok().flatten().unwrap_or(false)
    }

    /// Takes a key in place of the one before, or none. What comes of it may take as long as the person
    /// takes to answer the desktop: an error when the system does not give the key, and there is none then.
    pub async fn want(&self, key: Option<Wanted>) -> Answer {
        let (reply, answer) = oneshot::channel();
        // If the task is gone, so is whoever would answer.
        let _ = self.wishes.send(Wish(key, reply)).await;
        Answer(answer)
    }
}

async fn run<R: Runtime>(
    app: AppHandle<R>,
    mut wishes: mpsc::Receiver<Wish>,
    can: watch::Sender<Option<bool>>,
) {
    let Some(mut system) = System::find(&app).await else {
        can.send_replace(Some(false));
        while let Some(Wish(_, reply)) = wishes.recv().await {
            // There it works in the window alone, which does that by itself.
            let _ = reply.send(Ok(()));
        }
        return;
    };
    can.send_replace(Some(true));
    let mut taken = None;
    let mut is_down = false;
    let talk = |pressed| tell(&app, &AppEvent::Talk { pressed });
    loop {
        tokio::select! {
            wish = wishes.recv() => {
                let Some(Wish(wanted, reply)) = wish else { return };
                let mut done = Ok(());
                if wanted != taken {
                    // Nobody tells any more when it is let go.
                    if std::mem::take(&mut is_down) {
                        talk(false);
                    }
                    done = system.take(wanted.as_ref()).await;
                    taken = wanted.filter(|_| done.is_ok());
                }
                // Whoever has asked may be gone.
                let _ = reply.send(done);
            }
            pressed = system.next() => {
                if pressed != is_down {
                    is_down = pressed;
                    talk(pressed);
                }
            }
        }
    }
}
