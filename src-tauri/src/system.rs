//! What the operating system does for the window.

mod settings;

pub use settings::{Section, open_settings};

use crate::{
    error::CommandError,
    told::{MicrophonePermission, Notification},
};

/// Opens an address with whatever the system opens such with.
pub fn open(address: &str) -> Result<(), CommandError> {
    tauri_plugin_opener::open_url(address, None::<&str>).map_err(|error| {
        CommandError::unavailable(format!("The system could not open this: {error}."))
    })
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
