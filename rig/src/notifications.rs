//! What shows notifications on a desktop, as far as programs can tell: they reach it over the bus
//! as they reach a real one, <https://specifications.freedesktop.org/notification-spec/1.3/>. In
//! place of a screen a test looks at what it was asked to show.

use std::{
    collections::HashMap,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
};

use anyhow::{Result, bail};
use serde::Serialize;
use zbus::{
    blocking::Connection,
    fdo, interface,
    zvariant::{DynamicType, OwnedValue},
};

use crate::{bus::Bus, process::GUARD};

const NAME: &str = "org.freedesktop.Notifications";
const PATH: &str = "/org/freedesktop/Notifications";

/// Why a notification is gone, as the specification numbers it.
#[derive(Clone, Copy, Debug)]
enum Gone {
    Dismissed = 2,
    TakenBack = 3,
}

/// A notification that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Which one.
    pub id: u32,
    /// Which one it took the place of; 0: none.
    pub replaces: u32,
    /// Its first line.
    pub summary: String,
    /// The rest, with markup.
    pub body: String,
    /// What it offers: a name for programs and one for people, in turn.
    pub actions: Vec<String>,
    /// Which `.desktop` file it says that it belongs to.
    pub desktop_entry: String,
}

/// What a program has asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To show this.
    Show(Notification),
    /// To take this one back.
    TakeBack(u32),
}

/// Shows notifications until it is dropped.
#[derive(Debug)]
pub struct Notifications {
    connection: Connection,
    asked: Receiver<Asked>,
}

struct Daemon {
    last: u32,
    asked: Sender<Asked>,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Daemon {
    #[expect(clippy::too_many_arguments, reason = "the specification has that many")]
    fn notify(
        &mut self,
        _app_name: String,
        replaces_id: u32,
        _app_icon: String,
        summary: String,
        body: String,
        actions: Vec<String>,
        hints: HashMap<String, OwnedValue>,
        _expire_timeout: i32,
    ) -> u32 {
        let id = match replaces_id {
            0 => {
                self.last += 1;
                self.last
            }
            old => old,
        };
        let entry = hints.get("desktop-entry").map(|it| it.try_clone());
        let entry = entry.and_then(Result::ok).map(String::try_from);
        // Nobody may look any more.
        let _ = self.asked.send(Asked::Show(Notification {
            id,
            replaces: replaces_id,
            summary,
            body,
            actions,
            desktop_entry: entry.and_then(Result::ok).unwrap_or_default(),
        }));
        id
    }

    async fn close_notification(
        &mut self,
        #[zbus(connection)] connection: &zbus::Connection,
        id: u32,
    ) -> fdo::Result<()> {
        let _ = self.asked.send(Asked::TakeBack(id));
        let gone = (id, Gone::TakenBack as u32);
        connection
            .emit_signal(None::<&str>, PATH, NAME, "NotificationClosed", &gone)
            .await?;
        Ok(())
    }

    fn get_capabilities(&self) -> Vec<&str> {
        vec!["actions", "body", "body-markup"]
    }

    fn get_server_information(&self) -> (&str, &str, &str, &str) {
        ("rig", "NearTalk", env!("CARGO_PKG_VERSION"), "1.3")
    }
}

impl Notifications {
    /// Begins to show them.
    ///
    /// # Errors
    /// When something else on this bus shows them already.
    pub fn start(bus: &Bus) -> Result<Self> {
        let (sender, asked) = mpsc::channel();
        let daemon = Daemon {
            last: 0,
            asked: sender,
        };
        let connection = bus.serve(NAME, PATH, daemon)?;
        Ok(Self { connection, asked })
    }

    /// Waits for what is asked for next.
    ///
    /// # Errors
    /// When nothing is within [`GUARD`].
    pub fn next(&self) -> Result<Asked> {
        match self.asked.recv_timeout(GUARD) {
            Ok(asked) => Ok(asked),
            Err(RecvTimeoutError::Timeout) => bail!("nothing was asked for"),
            Err(RecvTimeoutError::Disconnected) => bail!("the bus has ended"),
        }
    }

    /// Waits for the next notification.
    ///
    /// # Errors
    /// When something else is asked for first, or nothing within [`GUARD`].
    pub fn shown(&self) -> Result<Notification> {
        match self.next()? {
            Asked::Show(notification) => Ok(notification),
            other => bail!("{other:?} in place of a notification"),
        }
    }

    /// Clicks on a notification, which is gone then.
    ///
    /// # Errors
    /// When the bus has ended.
    pub fn click(&self, id: u32) -> Result<()> {
        self.tell("ActionInvoked", &(id, "default"))?;
        self.tell("NotificationClosed", &(id, Gone::Dismissed as u32))
    }

    fn tell(&self, what: &str, body: &(impl Serialize + DynamicType)) -> Result<()> {
        Ok(self
            .connection
            .emit_signal(None::<&str>, PATH, NAME, what, body)?)
    }
}
