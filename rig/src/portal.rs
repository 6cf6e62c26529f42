//! The part of a Wayland desktop's portal that gives keys, as far as programs can tell:
//! <https://flatpak.github.io/xdg-desktop-portal/docs/doc-org.freedesktop.portal.GlobalShortcuts.html>.

use std::{
    collections::HashMap,
    sync::mpsc::{self, Receiver, Sender},
};

use anyhow::{Context, Result};
use tokio::sync::watch;
use zbus::{
    blocking, fdo, interface,
    message::Header,
    names::UniqueName,
    zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value},
};

use crate::{bus::Bus, process::GUARD};

const NAME: &str = "org.freedesktop.portal.Desktop";
const PATH: &str = "/org/freedesktop/portal/desktop";
const SHORTCUTS: &str = "org.freedesktop.portal.GlobalShortcuts";

type Options = HashMap<String, OwnedValue>;

/// A key that was asked for, and given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    session: OwnedObjectPath,
    id: String,
    /// What it does, for people.
    pub description: String,
    /// Which one was wanted.
    pub trigger: String,
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// For this key.
    Key(Given),
    /// To take back its keys.
    End,
}

/// Gives keys until it is dropped.
#[derive(Debug)]
pub struct Portal {
    connection: blocking::Connection,
    asked: Receiver<Asked>,
    /// Whether the person has an answer.
    decided: watch::Sender<bool>,
}

struct Shortcuts {
    asked: Sender<Asked>,
    decided: watch::Receiver<bool>,
}

struct Session(Sender<Asked>);

#[interface(name = "org.freedesktop.portal.Session")]
impl Session {
    fn close(&self) {
        // Nobody may look any more.
        let _ = self.0.send(Asked::End);
    }
}

#[interface(name = "org.freedesktop.portal.GlobalShortcuts")]
impl Shortcuts {
    async fn create_session(
        &self,
        #[zbus(connection)] connection: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        options: Options,
    ) -> fdo::Result<OwnedObjectPath> {
        let session = path("session", &header, &options, "session_handle_token")?;
        let server = connection.object_server();
        server.at(&session, Session(self.asked.clone())).await?;
        let handle = Value::from(session.as_str());
        let results = HashMap::from([("session_handle", handle)]);
        answer(connection, &header, &options, results).await
    }

    async fn bind_shortcuts(
        &self,
        #[zbus(connection)] connection: &zbus::Connection,
        #[zbus(header)] header: Header<'_>,
        session: ObjectPath<'_>,
        shortcuts: Vec<(String, Options)>,
        _parent_window: String,
        options: Options,
    ) -> fdo::Result<OwnedObjectPath> {
        let mut bound = Vec::new();
        for (id, wanted) in shortcuts {
            let text = |name: &str| text_of(&wanted, name).unwrap_or_default();
            let given = Given {
                session: session.to_owned().into(),
                id: id.clone(),
                description: text("description"),
                trigger: text("preferred_trigger"),
            };
            let told = HashMap::from([
                ("description", Value::from(given.description.clone())),
                ("trigger_description", Value::from(given.trigger.clone())),
            ]);
            bound.push((id, told));
            let _ = self.asked.send(Asked::Key(given));
        }
        // Nobody may decide any more.
        let _ = self.decided.clone().wait_for(|decided| *decided).await;
        let results = HashMap::from([("shortcuts", Value::from(bound))]);
        answer(connection, &header, &options, results).await
    }

    #[zbus(property, name = "version")]
    fn version(&self) -> u32 {
        1
    }
}

fn text_of(options: &Options, name: &str) -> Option<String> {
    let value = options.get(name)?.try_clone().ok()?;
    String::try_from(value).ok()
}

/// Where the desktop puts what it makes for somebody who has given it a name.
fn path(
    what: &str,
    header: &Header<'_>,
    options: &Options,
    token: &str,
) -> fdo::Result<OwnedObjectPath> {
    let wrong = |what: &str| fdo::Error::InvalidArgs(what.to_owned());
    let sender = header.sender().ok_or_else(|| wrong("no sender"))?;
    let sender = sender.trim_start_matches(':').replace('.', "_");
    let token = text_of(options, token).ok_or_else(|| wrong("no token"))?;
    ObjectPath::try_from(format!("{PATH}/{what}/{sender}/{token}"))
        .map(Into::into)
        .map_err(|_| wrong("no path"))
}

/// What a request came to is told by a signal.
async fn answer(
    connection: &zbus::Connection,
    header: &Header<'_>,
    options: &Options,
    results: HashMap<&str, Value<'_>>,
) -> fdo::Result<OwnedObjectPath> {
    let request = path("request", header, options, "handle_token")?;
    let (interface, done) = ("org.freedesktop.portal.Request", (0_u32, results));
    let asker = header.sender().map(UniqueName::as_str);
    connection
        .emit_signal(asker, &request, interface, "Response", &done)
        .await?;
    Ok(request)
}

/// A portal that has been called and never answers, until this is dropped.
///
/// # Errors
/// When something else on this bus is the portal.
pub fn hang(bus: &Bus) -> Result<blocking::Connection> {
    let connection = bus.connect()?;
    // Nothing on this connection takes calls.
    connection.request_name(NAME)?;
    Ok(connection)
}

impl Portal {
    /// Begins to give keys.
    ///
    /// # Errors
    /// When something else on this bus does.
    pub fn start(bus: &Bus) -> Result<Self> {
        let (sender, asked) = mpsc::channel();
        let (decided, decisions) = watch::channel(true);
        let shortcuts = Shortcuts {
            asked: sender,
            decided: decisions,
        };
        let connection = bus.serve(NAME, PATH, shortcuts)?;
        Ok(Self {
            connection,
            asked,
            decided,
        })
    }

    /// From now on the person is asked for each key, and has not answered yet; or has, as often as asked.
    pub fn hesitates(&self, hesitates: bool) {
        self.decided.send_replace(!hesitates);
    }

    /// Waits for what a program asks for next.
    ///
    /// # Errors
    /// When it asks for nothing within [`GUARD`].
    pub fn next(&self) -> Result<Asked> {
        let asked = self.asked.recv_timeout(GUARD);
        asked.context("nothing was asked for")
    }

    /// Presses a key, and holds it.
    ///
    /// # Errors
    /// When the bus has ended.
    pub fn press(&self, key: &Given) -> Result<()> {
        self.tell("Activated", key)
    }

    /// Lets go of a key.
    ///
    /// # Errors
    /// When the bus has ended.
    pub fn let_go(&self, key: &Given) -> Result<()> {
        self.tell("Deactivated", key)
    }

    fn tell(&self, what: &str, key: &Given) -> Result<()> {
        let nothing = HashMap::<&str, Value<'_>>::new();
        let body = (&key.session, &key.id, 0_u64, nothing);
        let everybody = None::<&str>;
        Ok(self
            .connection
            .emit_signal(everybody, PATH, SHORTCUTS, what, &body)?)
    }
}
