//! What the system shows of what is said while the window is out of sight.
//!
//! One task owns what is shown. Nothing outlives what it tells of: a notification is taken back when
//! its message is gone everywhere, and all of them at a panic, on systems that can do that (macOS
//! can't). The window decides what may stand in one.

mod shown;
#[cfg_attr(target_os = "linux", path = "notifications/freedesktop.rs")]
#[cfg_attr(target_os = "macos", path = "notifications/macos.rs")]
#[cfg_attr(windows, path = "notifications/windows.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos", windows)),
    path = "notifications/nowhere.rs"
)]
mod system;

use std::{future, time::Instant};

use tauri::{AppHandle, Runtime, async_runtime};
use tokio::{
    sync::{mpsc, oneshot},
    time,
};

use self::{shown::Shown, system::System};
use crate::{
    error::CommandError,
    front,
    ipc::tell,
    told::{AppEvent, Notification, Part},
};

/// Requests that can wait for the task.
const REQUESTS: usize = 64;

/// Which notification, as the system numbers them.
type Id = u32;

/// What came of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "others tell less of what becomes of theirs")
)]
enum Outcome {
    /// The person wants to see more.
    Clicked(Id),
    /// It is no longer shown.
    Gone(Id),
}

enum Request {
    Show(Notification, oneshot::Sender<Result<(), CommandError>>),
    Forget,
}

/// Asks the task that owns what is shown.
#[derive(Clone, Debug)]
pub struct Notifications(mpsc::Sender<Request>);

impl Notifications {
    /// Starts the task.
    pub fn start<R: Runtime>(app: AppHandle<R>) -> Self {
        let (sender, requests) = mpsc::channel(REQUESTS);
        async_runtime::spawn(run(app, requests));
        Self(sender)
    }

    /// Shows one, in place of an earlier one with the same tag.
    ///
    /// # Errors
    /// When the system shows none, or not now.
    pub async fn show(&self, notification: Notification) -> Result<(), CommandError> {
        let gone = || CommandError::unavailable("NearTalk is closing.");
        let (reply, answer) = oneshot::channel();
        let sent = self.0.send(Request::Show(notification, reply)).await;
        sent.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Takes back all that are shown.
    pub async fn forget(&self) {
        // If the task is gone, so is the program.
        let _ = self.0.send(Request::Forget).await;
    }
}

async fn run<R: Runtime>(app: AppHandle<R>, mut requests: mpsc::Receiver<Request>) {
    let mut shown = Shown::default();
    let mut system = System::default();
    loop {
        tokio::select! {
            request = requests.recv() => match request {
                None => return,
                Some(Request::Show(notification, reply)) => {
                    let earlier = shown.with_tag(&notification.tag);
                    let done = system.show(&notification, earlier).await;
                    let done = done.map(|id| shown.add(id, notification.tag, Instant::now()));
                    // The window may be gone.
                    let _ = reply.send(done);
                }
                Some(Request::Forget) => {
                    for id in shown.take_all() {
                        system.take_back(id).await;
                    }
                }
            },
            outcome = system.next() => match outcome {
                Outcome::Clicked(id) if shown.remove(id) => {
                    front::bring_up(&app);
                    tell(&app, &AppEvent::Open { what: Part::Chat });
                }
                // Others' notifications are clicked too.
                Outcome::Clicked(_) => {}
                Outcome::Gone(id) => drop(shown.remove(id)),
            },
            () = until(shown.next_end()) => {
                for id in shown.take_ended(Instant::now()) {
                    system.take_back(id).await;
                }
            }
        }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => time::sleep_until(end.into()).await,
        None => future::pending().await,
    }
}
