//! The part of GeoClue2's interfaces that is used here, as its documentation has them
//! (<https://www.freedesktop.org/software/geoclue/docs/>).

use zbus::{proxy, zvariant::OwnedObjectPath};

/// The service's name on the system's bus.
pub(super) const SERVICE: &str = "org.freedesktop.GeoClue2";
/// Of the objects that hold a place.
pub(super) const LOCATION: &str = "org.freedesktop.GeoClue2.Location";
/// Of what somebody is told about.
pub(super) const CLIENT: &str = "org.freedesktop.GeoClue2.Client";

/// `GCLUE_ACCURACY_LEVEL_EXACT`.
pub(super) const EXACT: u32 = 8;

#[proxy(
    interface = "org.freedesktop.GeoClue2.Manager",
    default_service = "org.freedesktop.GeoClue2",
    default_path = "/org/freedesktop/GeoClue2/Manager",
    gen_blocking = false
)]
pub(super) trait Manager {
    /// The caller's own client, made at the first call.
    fn get_client(&self) -> zbus::Result<OwnedObjectPath>;

    /// Forgets a client.
    fn delete_client(&self, client: &zbus::zvariant::ObjectPath<'_>) -> zbus::Result<()>;
}

#[proxy(
    interface = "org.freedesktop.GeoClue2.Client",
    default_service = "org.freedesktop.GeoClue2",
    gen_blocking = false
)]
pub(super) trait Client {
    /// Begins to tell, once the person's agent has agreed.
    fn start(&self) -> zbus::Result<()>;

    /// Ends it.
    fn stop(&self) -> zbus::Result<()>;

    /// Who asks: the name of its `.desktop` file, without the ending.
    #[zbus(property)]
    fn set_desktop_id(&self, id: &str) -> zbus::Result<()>;

    /// How exact it is to be.
    #[zbus(property)]
    fn set_requested_accuracy_level(&self, level: u32) -> zbus::Result<()>;

    /// There is another place. `/` stands for none.
    #[zbus(signal)]
    fn location_updated(
        &self,
        old: zbus::zvariant::ObjectPath<'_>,
        new: zbus::zvariant::ObjectPath<'_>,
    ) -> zbus::Result<()>;
}
