//! What the operating system does for the window.

use serde::Deserialize;
use specta::Type;

use crate::{
    error::CommandError,
    told::{MicrophonePermission, Notification},
};

/// A part of the system's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Section {
    /// Who may know the place.
    Location,
    /// Who may use the microphone.
    Microphone,
    /// Who may show notifications.
    Notifications,
}

/// Opens an address with whatever the system opens such with.
pub fn open(address: &str) -> Result<(), CommandError> {
    tauri_plugin_opener::open_url(address, None::<&str>).map_err(|error| {
        CommandError::unavailable(format!("The system could not open this: {error}."))
    })
}

/// Opens the system's own settings.
pub fn open_settings(section: Section) -> Result<(), CommandError> {
    let _ = section;
    Err(CommandError::unavailable(
        "Open the settings of your system by hand.",
    ))
}

/// Whether the microphone may be used; asks the person where the system wants that.
pub fn ask_microphone() -> MicrophonePermission {
    MicrophonePermission::Granted
}

/// Shows a notification.
pub fn notify(notification: Notification) -> Result<(), CommandError> {
    let _ = notification;
    Err(CommandError::unavailable(
        "This version of NearTalk shows no notifications.",
    ))
}
