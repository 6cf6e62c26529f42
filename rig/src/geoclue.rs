//! A GeoClue2 that is told where the device is, on a message bus of one's own.
//!
//! It is what a program meets on a desktop: real objects on a real bus, of which each caller has a client
//! that nobody else may use, and which starts only if it has said who it is and the person allows it. What
//! a test decides is the place and the person's mind; what it learns is every call that the program has
//! made ([`GeoClue::next`]).
//!
//! From outside of any Tokio runtime only, as its calls wait for the bus.

mod objects;

use std::sync::{
    Arc, Mutex, PoisonError,
    mpsc::{self, Receiver, Sender},
};

use anyhow::{Context, Result, bail};
use tokio::{
    runtime::{self, Runtime},
    sync::watch,
};
use zbus::{
    Connection, ObjectServer,
    connection::Builder,
    zvariant::{ObjectPath, OwnedObjectPath},
};

use self::objects::{Client, Manager, tell};
use crate::{bus::Bus, process::GUARD};

const NAME: &str = "org.freedesktop.GeoClue2";
const MANAGER: &str = "/org/freedesktop/GeoClue2/Manager";

/// What a program has asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// For a client, for the first time.
    GetClient,
    /// To be told, by a program of this name, as exactly as this.
    Start {
        /// The name of its `.desktop` file, without the ending.
        desktop_id: String,
        /// GeoClue's level; 8 is exact.
        accuracy_level: u32,
    },
    /// To be told no more.
    Stop,
    /// To forget the client.
    DeleteClient,
}

/// Where a device is, and how exactly that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
    /// In metres.
    pub accuracy: f64,
}

/// What a test has decided.
#[derive(Debug)]
struct Mind {
    spot: Option<Spot>,
}

/// What the objects on the bus have in common.
#[derive(Debug)]
struct Common {
    mind: Mutex<Mind>,
    /// What the person has answered; nothing while they are asked.
    answer: watch::Sender<Option<bool>>,
    calls: Sender<Call>,
}

impl Common {
    fn mind<T>(&self, look: impl FnOnce(&mut Mind) -> T) -> T {
        look(&mut self.mind.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn note(&self, call: Call) {
        // The test may have ended.
        let _ = self.calls.send(call);
    }
}

/// A running GeoClue2, gone from the bus when dropped.
#[derive(Debug)]
pub struct GeoClue {
    address: String,
    common: Arc<Common>,
    calls: Receiver<Call>,
    connection: Option<Connection>,
    runtime: Runtime,
}

impl GeoClue {
    /// Starts one that allows everybody everything, and does not know the place.
    ///
    /// # Errors
    /// When the bus doesn't let it.
    pub fn start(bus: &Bus) -> Result<Self> {
        let (sender, calls) = mpsc::channel();
        let mut it = Self {
            address: bus.address().to_owned(),
            common: Arc::new(Common {
                mind: Mutex::new(Mind { spot: None }),
                answer: watch::Sender::new(Some(true)),
                calls: sender,
            }),
            calls,
            connection: None,
            // Whose own thread serves while the test does something else.
            runtime: runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()?,
        };
        it.come_back()?;
        Ok(it)
    }

    /// Comes back to the bus after [`GeoClue::die`], knowing and allowing what it did.
    ///
    /// # Errors
    /// When the bus doesn't let it.
    pub fn come_back(&mut self) -> Result<()> {
        let manager = Manager::new(Arc::clone(&self.common));
        let connection = Builder::address(self.address.as_str())?
            .serve_at(MANAGER, manager)?
            .name(NAME)?
            .build();
        let connection = self
            .runtime
            .block_on(connection)
            .context("GeoClue can't have its name on the bus")?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Ends as a crash would: it is gone from the bus without a word, and so are all its clients.
    ///
    /// # Errors
    /// When it was dead already.
    pub fn die(&mut self) -> Result<()> {
        let connection = self.connection.take().context("it is dead already")?;
        let closed = self.runtime.block_on(connection.close());
        closed.context("leaving the bus")
    }

    /// The device is here now, which every client that has started is told.
    ///
    /// # Errors
    /// When it is dead.
    pub fn move_to(&self, lat: f64, lon: f64, accuracy: f64) -> Result<()> {
        let spot = Spot { lat, lon, accuracy };
        self.common.mind(|mind| mind.spot = Some(spot));
        self.each_client(async |server, path| tell(server, path, spot).await)
    }

    /// Whoever starts from now on waits until the person has answered by [`GeoClue::allow`], as where the
    /// desktop asks them.
    pub fn ask_first(&self) {
        self.common.answer.send_replace(None);
    }

    /// The person allows or forbids it from now on: those who start are refused, and those who have
    /// started are stopped, until it is allowed again.
    ///
    /// # Errors
    /// When it is dead.
    pub fn allow(&self, is_allowed: bool) -> Result<()> {
        self.common.answer.send_replace(Some(is_allowed));
        self.each_client(async |server, path| {
            let client = server.interface::<_, Client>(path).await?;
            let mut it = client.get_mut().await;
            it.allow(is_allowed, client.signal_emitter()).await
        })
    }

    fn each_client(
        &self,
        act: impl AsyncFn(&ObjectServer, &ObjectPath<'_>) -> zbus::Result<()>,
    ) -> Result<()> {
        let connection = self.connection.as_ref().context("it is dead")?;
        let server = connection.object_server();
        self.runtime.block_on(async {
            let manager = server.interface::<_, Manager>(MANAGER).await?;
            let clients: Vec<OwnedObjectPath> = manager.get().await.clients();
            for client in clients {
                act(server, &client).await?;
            }
            Ok(())
        })
    }

    /// Waits for what is asked of it next.
    ///
    /// # Errors
    /// When nothing is within [`GUARD`].
    pub fn next(&self) -> Result<Call> {
        let next = self.calls.recv_timeout(GUARD);
        next.context("nobody asks anything of GeoClue")
    }

    /// Waits until a program has started, and says by what name.
    ///
    /// # Errors
    /// When it does something else than GeoClue's documentation says to, or nothing.
    pub fn is_started(&self) -> Result<String> {
        match (self.next()?, self.next()?) {
            (
                Call::GetClient,
                Call::Start {
                    desktop_id,
                    accuracy_level: 8,
                },
            ) => Ok(desktop_id),
            other => bail!("in place of a start there was {other:?}"),
        }
    }
}
