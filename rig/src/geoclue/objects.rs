//! GeoClue's objects, as its documentation has them
//! (<https://www.freedesktop.org/software/geoclue/docs/>).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use zbus::{
    ObjectServer, fdo, interface,
    message::Header,
    names::OwnedUniqueName,
    object_server::SignalEmitter,
    zvariant::{ObjectPath, OwnedObjectPath},
};

use super::{Call, Common, Spot};

/// Puts a place onto the bus in place of the one before, and tells a client of it if it has started.
pub(super) async fn tell(
    server: &ObjectServer,
    path: &ObjectPath<'_>,
    spot: Spot,
) -> zbus::Result<()> {
    let client = server.interface::<_, Client>(path).await?;
    // Whoever changes the server's objects must have none of them locked: others look them up meanwhile.
    let number = {
        let mut it = client.get_mut().await;
        if !it.is_active {
            return Ok(());
        }
        it.told += 1;
        it.told
    };
    let new = OwnedObjectPath::try_from(format!("{path}/Location/{number}"))?;
    server.at(&new, Location(spot)).await?;
    let old = std::mem::replace(&mut client.get_mut().await.location, new.clone());
    let emitter = client.signal_emitter();
    Client::location_updated(emitter, old.as_ref(), new.as_ref()).await?;
    if old.as_str() != "/" {
        server.remove::<Location, _>(&old).await?;
    }
    Ok(())
}

fn caller(header: &Header<'_>) -> fdo::Result<OwnedUniqueName> {
    let sender = header.sender().map(|name| name.to_owned().into());
    sender.ok_or_else(|| fdo::Error::Failed("nobody has called".into()))
}

/// None of its methods takes it for itself alone, as they change the server's objects.
pub(super) struct Manager {
    common: Arc<Common>,
    clients: Mutex<HashMap<OwnedUniqueName, OwnedObjectPath>>,
    made: AtomicU32,
}

impl Manager {
    pub(super) fn new(common: Arc<Common>) -> Self {
        Self {
            common,
            clients: Mutex::default(),
            made: AtomicU32::new(0),
        }
    }

    pub(super) fn clients(&self) -> Vec<OwnedObjectPath> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OwnedUniqueName, OwnedObjectPath>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[interface(name = "org.freedesktop.GeoClue2.Manager")]
impl Manager {
    async fn get_client(
        &self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> fdo::Result<OwnedObjectPath> {
        let owner = caller(&header)?;
        if let Some(path) = self.lock().get(&owner) {
            return Ok(path.clone());
        }
        self.common.note(Call::GetClient);
        let number = self.made.fetch_add(1, Relaxed);
        let path = format!("/org/freedesktop/GeoClue2/Client/{number}");
        let path = OwnedObjectPath::try_from(path).map_err(zbus::Error::from)?;
        let client = Client {
            common: Arc::clone(&self.common),
            owner: owner.clone(),
            path: path.clone(),
            desktop_id: String::new(),
            accuracy_level: 0,
            has_started: false,
            is_active: false,
            location: OwnedObjectPath::default(),
            told: 0,
        };
        server.at(&path, client).await?;
        self.lock().insert(owner, path.clone());
        Ok(path)
    }

    async fn delete_client(
        &self,
        client: ObjectPath<'_>,
        #[zbus(header)] header: Header<'_>,
        #[zbus(object_server)] server: &ObjectServer,
    ) -> fdo::Result<()> {
        let owner = caller(&header)?;
        if self.lock().get(&owner).is_none_or(|own| **own != client) {
            return Err(fdo::Error::AccessDenied("this is not its client".into()));
        }
        self.lock().remove(&owner);
        server.remove::<Client, _>(&client).await?;
        self.common.note(Call::DeleteClient);
        Ok(())
    }

    #[zbus(property)]
    fn in_use(&self) -> bool {
        !self.lock().is_empty()
    }

    #[zbus(property)]
    fn available_accuracy_level(&self) -> u32 {
        8
    }
}

pub(super) struct Client {
    common: Arc<Common>,
    owner: OwnedUniqueName,
    path: OwnedObjectPath,
    desktop_id: String,
    accuracy_level: u32,
    has_started: bool,
    /// Started, and not stopped by the person since.
    is_active: bool,
    location: OwnedObjectPath,
    told: u32,
}

impl Client {
    /// The person has changed their mind.
    pub(super) async fn allow(
        &mut self,
        is_allowed: bool,
        emitter: &SignalEmitter<'_>,
    ) -> zbus::Result<()> {
        if self.has_started && self.is_active != is_allowed {
            self.is_active = is_allowed;
            self.active_changed(emitter).await?;
        }
        Ok(())
    }

    fn check(&self, header: &Header<'_>) -> fdo::Result<()> {
        if caller(header)? == self.owner {
            Ok(())
        } else {
            Err(fdo::Error::AccessDenied("this is not its client".into()))
        }
    }
}

#[interface(name = "org.freedesktop.GeoClue2.Client")]
impl Client {
    async fn start(
        &mut self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(connection)] connection: &zbus::Connection,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        self.check(&header)?;
        self.common.note(Call::Start {
            desktop_id: self.desktop_id.clone(),
            accuracy_level: self.accuracy_level,
        });
        if self.desktop_id.is_empty() {
            let why = "'DesktopId' property must be set";
            return Err(fdo::Error::AccessDenied(why.into()));
        }
        let mut answers = self.common.answer.subscribe();
        let answer = answers.wait_for(Option::is_some).await;
        if !answer.is_ok_and(|it| *it == Some(true)) {
            let why = format!("'{}' disallowed", self.desktop_id);
            return Err(fdo::Error::AccessDenied(why));
        }
        self.has_started = true;
        self.is_active = true;
        self.active_changed(&emitter).await?;
        if let Some(spot) = self.common.mind(|mind| mind.spot) {
            let (server, path) = (connection.object_server().clone(), self.path.clone());
            // It borrows this object, which this call still has.
            let telling = async move {
                let _ = tell(&server, &path, spot).await;
            };
            connection.executor().spawn(telling, "first place").detach();
        }
        Ok(())
    }

    async fn stop(
        &mut self,
        #[zbus(header)] header: Header<'_>,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        self.check(&header)?;
        self.common.note(Call::Stop);
        self.has_started = false;
        self.is_active = false;
        Ok(self.active_changed(&emitter).await?)
    }

    #[zbus(property)]
    fn desktop_id(&self) -> &str {
        &self.desktop_id
    }

    #[zbus(property)]
    fn set_desktop_id(&mut self, id: String) {
        self.desktop_id = id;
    }

    #[zbus(property)]
    fn requested_accuracy_level(&self) -> u32 {
        self.accuracy_level
    }

    #[zbus(property)]
    fn set_requested_accuracy_level(&mut self, level: u32) {
        self.accuracy_level = level;
    }

    #[zbus(property)]
    fn active(&self) -> bool {
        self.is_active
    }

    #[zbus(property)]
    fn location(&self) -> OwnedObjectPath {
        self.location.clone()
    }

    /// There is another place.
    #[zbus(signal)]
    async fn location_updated(
        emitter: &SignalEmitter<'_>,
        old: ObjectPath<'_>,
        new: ObjectPath<'_>,
    ) -> zbus::Result<()>;
}

struct Location(Spot);

#[interface(name = "org.freedesktop.GeoClue2.Location")]
impl Location {
    #[zbus(property)]
    fn latitude(&self) -> f64 {
        self.0.lat
    }

    #[zbus(property)]
    fn longitude(&self) -> f64 {
        self.0.lon
    }

    #[zbus(property)]
    fn accuracy(&self) -> f64 {
        self.0.accuracy
    }

    #[zbus(property)]
    fn description(&self) -> &str {
        "a test's"
    }
}
