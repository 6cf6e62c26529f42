//! GeoClue2, the location service of Linux desktops, over the system's message bus.
//!
//! GeoClue asks the person's desktop whether this program may know, and is started by the bus when
//! somebody calls it. So what has gone wrong may mend itself: a service that ends is called again at
//! once, one that isn't there is waited for, and one that withdraws its leave may give it back.

mod proxy;

use std::{pin::pin, time::Duration};

use futures_util::{Stream, StreamExt};
use tokio::time::sleep;
use zbus::{
    Connection,
    connection::Builder,
    export::ordered_stream::{OrderedStreamExt, join},
    fdo::{
        DBusProxy, NameOwnerChangedStream, PropertiesChanged, PropertiesChangedStream,
        PropertiesProxy,
    },
    names::InterfaceName,
    proxy::CacheProperties,
    zvariant::{ObjectPath, OwnedValue},
};

use self::proxy::{
    CLIENT, ClientProxy, EXACT, LOCATION, LocationUpdated, LocationUpdatedStream, ManagerProxy,
    SERVICE,
};
use crate::{LocationProvider, Problem, Reading, Report, Reporter, Watch, channel};

/// After a failure that nothing announces the end of, it is tried again.
const RETRY: Duration = Duration::from_secs(30);
/// A service that ends without having told a place, again and again, is called less and less often.
const PAUSES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_secs(2),
    Duration::from_secs(10),
    RETRY,
];

/// GeoClue2.
#[derive(Clone, Debug)]
pub struct GeoClue {
    desktop_id: String,
    /// The system's bus otherwise.
    bus: Option<String>,
}

impl GeoClue {
    /// For the program whose `.desktop` file has this name, without the ending. People are asked about it
    /// by what that file calls it.
    pub fn new(desktop_id: impl Into<String>) -> Self {
        Self {
            desktop_id: desktop_id.into(),
            bus: None,
        }
    }

    /// On the message bus at this address in place of the system's.
    #[must_use]
    pub fn on_bus(mut self, address: impl Into<String>) -> Self {
        self.bus = Some(address.into());
        self
    }
}

impl LocationProvider for GeoClue {
    fn watch(&self) -> Watch {
        let (reporter, watch) = channel();
        tokio::spawn(self.clone().run(reporter));
        watch
    }
}

/// What a client tells.
enum Told {
    Move(LocationUpdated),
    Change(PropertiesChanged),
}

/// Why following a client has ended.
enum Ended {
    /// Nobody wants to know any more.
    Unwanted,
    /// The service is gone, or another.
    Gone,
}

impl GeoClue {
    /// Reports until nobody wants to know any more, over one connection to the bus after another.
    async fn run(self, reporter: Reporter) {
        loop {
            let problem = match self.connect().await {
                Ok(bus) => match self.serve(&bus, &reporter).await {
                    Ok(()) => return,
                    Err(error) => Problem::Failed(error.to_string()),
                },
                Err(error) => {
                    tracing::warn!(%error, "the system's message bus can't be reached");
                    Problem::NoService
                }
            };
            reporter.report(Report::Problem(problem));
            tokio::select! {
                () = reporter.closed() => return,
                () = sleep(RETRY) => {}
            }
        }
    }

    async fn connect(&self) -> zbus::Result<Connection> {
        match &self.bus {
            Some(address) => Builder::address(address.as_str())?.build().await,
            None => Connection::system().await,
        }
    }

    /// Reports until nobody wants to know any more, or the bus is lost.
    async fn serve(&self, bus: &Connection, reporter: &Reporter) -> zbus::Result<()> {
        let names = DBusProxy::new(bus).await?;
        // Before anything is asked, so that no coming or going is missed.
        let mut owners = names
            .receive_name_owner_changed_with_args(&[(0, SERVICE)])
            .await?;
        // Since it has last told a place.
        let mut restarts = 0;
        let mut was_there = false;
        loop {
            let ended = self.follow(bus, &mut owners, reporter, &mut restarts).await;
            let pause = match ended {
                Ok(Ended::Unwanted) => return Ok(()),
                Ok(Ended::Gone) => {
                    was_there = true;
                    let pause = PAUSES[restarts.min(PAUSES.len() - 1)];
                    restarts += 1;
                    if pause.is_zero() {
                        continue;
                    }
                    reporter.report(Report::Problem(Problem::ServiceGone));
                    Some(pause)
                }
                Err(error) => {
                    let (report, pause) = trouble(&error, was_there)?;
                    reporter.report(report);
                    pause
                }
            };
            let retry = async {
                match pause {
                    Some(pause) => sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = reporter.closed() => return Ok(()),
                there = appears(&mut owners) => there?,
                () = retry => {}
            }
        }
    }

    /// Follows the place by a client of one's own, as long as there is the service.
    async fn follow(
        &self,
        bus: &Connection,
        owners: &mut NameOwnerChangedStream,
        reporter: &Reporter,
        restarts: &mut usize,
    ) -> zbus::Result<Ended> {
        reporter.report(Report::Searching);
        let manager = ManagerProxy::builder(bus)
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        let path = manager.get_client().await?;
        let client = ClientProxy::builder(bus)
            .path(&path)?
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        let properties = PropertiesProxy::builder(bus)
            .destination(SERVICE)?
            .path(&path)?
            .cache_properties(CacheProperties::No)
            .build()
            .await?;
        // Before it starts: the first place may come before the answer that it has.
        let moves = client.receive_location_updated().await?;
        let changes = properties.receive_properties_changed().await?;
        let mut told = pin!(in_order(moves, changes));
        client.set_desktop_id(&self.desktop_id).await?;
        client.set_requested_accuracy_level(EXACT).await?;

        // A person may be asked meanwhile, and take any time.
        let mut starting = Box::pin(async { Some(client.start().await) });
        let mut started = false;
        loop {
            tokio::select! {
                () = reporter.closed() => {
                    // If it is gone, so is the client.
                    let _ = client.stop().await;
                    let _ = manager.delete_client(&path).await;
                    return Ok(Ended::Unwanted);
                }
                Some(start) = &mut starting, if !started => {
                    start?;
                    started = true;
                }
                change = StreamExt::next(owners) => {
                    let change = change.ok_or_else(lost)?;
                    let change = change.args()?;
                    // One that comes from nothing is the one that was called.
                    if change.old_owner().is_some() {
                        return Ok(Ended::Gone);
                    }
                }
                told = StreamExt::next(&mut told) => match told.ok_or_else(lost)? {
                    Told::Move(update) => {
                        if let Some(reading) = read(bus, &update).await? {
                            *restarts = 0;
                            reporter.report(Report::Reading(reading));
                        }
                    }
                    Told::Change(change) => {
                        if let Some(report) = leave(&change)? {
                            reporter.report(report);
                        }
                    }
                }
            }
        }
    }
}

/// In the order in which the service has said it: that it tells, a place, that it tells no more.
fn in_order(
    moves: LocationUpdatedStream,
    changes: PropertiesChangedStream,
) -> impl Stream<Item = Told> {
    let moves = OrderedStreamExt::map(moves, Told::Move);
    let changes = OrderedStreamExt::map(changes, Told::Change);
    OrderedStreamExt::into_stream(join(moves, changes))
}

/// The place that an update leads to. None if it is none, or there is another by now.
async fn read(bus: &Connection, update: &LocationUpdated) -> zbus::Result<Option<Reading>> {
    let path: ObjectPath<'_> = update.args()?.new().to_owned();
    let location = PropertiesProxy::builder(bus)
        .destination(SERVICE)?
        .path(path)?
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let interface = InterfaceName::from_static_str_unchecked(LOCATION);
    let Ok(properties) = location.get_all(interface).await else {
        return Ok(None);
    };
    let number = |name| number(properties.get(name));
    let reading = match (number("Latitude"), number("Longitude")) {
        (Some(lat), Some(lon)) => Reading::new(lat, lon, number("Accuracy").unwrap_or(0.0)),
        _ => None,
    };
    if reading.is_none() {
        tracing::warn!("GeoClue has told a place that is none");
    }
    Ok(reading)
}

fn number(value: Option<&OwnedValue>) -> Option<f64> {
    value.and_then(|value| f64::try_from(value).ok())
}

/// What it says when the service stops or starts telling by itself: the person has changed what this
/// program may know.
fn leave(change: &PropertiesChanged) -> zbus::Result<Option<Report>> {
    let args = change.args()?;
    let active = args.changed_properties().get("Active");
    let is_client = args.interface_name() == CLIENT;
    let active = active.and_then(|value| bool::try_from(value).ok());
    Ok(active.filter(|_| is_client).map(|active| match active {
        true => Report::Searching,
        false => Report::Denied,
    }))
}

/// Waits until the service is there, again or for the first time.
async fn appears(owners: &mut NameOwnerChangedStream) -> zbus::Result<()> {
    loop {
        let change = StreamExt::next(owners).await.ok_or_else(lost)?;
        if change.args()?.new_owner().is_some() {
            return Ok(());
        }
    }
}

fn lost() -> zbus::Error {
    zbus::Error::Failure("the message bus has ended".into())
}

/// What to say of an error, and when to try again if nothing will tell. Those of the bus itself come back.
fn trouble(error: &zbus::Error, was_there: bool) -> zbus::Result<(Report, Option<Duration>)> {
    let (name, message) = match error {
        zbus::Error::MethodError(name, message, _) => (name.to_string(), message.clone()),
        zbus::Error::FDO(error) => {
            use zbus::DBusError as _;
            let name = error.name().to_string();
            (name, error.description().map(str::to_owned))
        }
        error => return Err(error.clone()),
    };
    tracing::info!(%name, "GeoClue does not tell the place");
    Ok(match name.strip_prefix("org.freedesktop.DBus.Error.") {
        // It may be asked again; but the person has just said no.
        Some("AccessDenied") => (Report::Denied, None),
        Some("ServiceUnknown" | "NameHasNoOwner") if !was_there => {
            (Report::Problem(Problem::NoService), None)
        }
        // It has ended while it was asked.
        Some("ServiceUnknown" | "NameHasNoOwner" | "NoReply") => {
            (Report::Problem(Problem::ServiceGone), Some(RETRY))
        }
        _ => {
            let told = message.unwrap_or(name);
            (Report::Problem(Problem::Failed(told)), Some(RETRY))
        }
    })
}
