//! What the operating system does for the window.

mod settings;

pub use settings::{Section, open_settings};

use crate::{error::CommandError, told::MicrophonePermission};

/// Opens an address with whatever the system opens such with.
pub fn open(address: &str) -> Result<(), CommandError> {
    tauri_plugin_opener::open_url(address, None::<&str>).map_err(|error| {
        CommandError::unavailable(format!("The system could not open this: {error}."))
    })
}

/// What the system is asked through: a phone's own part of the app.
#[cfg(mobile)]
pub type Device = tauri_plugin_neartalk_mobile::Mobile<tauri::Wry>;

/// What the system is asked through: a desktop's takes questions from everybody.
#[cfg(desktop)]
#[derive(Clone, Copy, Debug)]
pub struct Device;

/// What is known of the microphone before anybody has asked.
pub const MICROPHONE_AT_START: MicrophonePermission = if cfg!(mobile) {
    MicrophonePermission::Unasked
} else {
    MicrophonePermission::Granted
};

/// Whether the microphone may be used. On a desktop the system asks by itself when it is opened, if at
/// all.
#[cfg(desktop)]
pub async fn ask_microphone(_: &Device) -> Result<MicrophonePermission, CommandError> {
    Ok(MicrophonePermission::Granted)
}

/// Whether the microphone may be used; asks the person unless they have decided.
#[cfg(mobile)]
pub async fn ask_microphone(phone: &Device) -> Result<MicrophonePermission, CommandError> {
    use tauri_plugin_neartalk_mobile::MicrophoneLeave;
    Ok(match phone.ask_microphone().await.map_err(phone_failed)? {
        MicrophoneLeave::Granted => MicrophonePermission::Granted,
        MicrophoneLeave::Denied => MicrophonePermission::Denied,
    })
}

#[cfg(mobile)]
fn phone_failed(error: impl std::fmt::Display) -> CommandError {
    CommandError::unavailable(format!("The phone did not do this: {error}."))
}
