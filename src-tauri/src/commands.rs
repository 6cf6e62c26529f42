//! What the window may ask for. Each parses, hands over, and answers; none decides.

use neartalk_client::{Command, RelayCheck, RelayUrl};
use neartalk_shared::Place;
use tauri::{State, Url};

use crate::{
    error::{CommandError, CommandErrorCode},
    host::Host,
    invite,
    notifications::Notifications,
    settings::{Settings, SettingsPatch},
    system::{self, Device, Section},
    told::{AppStart, MicrophonePermission, Notification, Words},
    updates::Updates,
};

/// A label of a place is a city's name, or coordinates.
const LABEL_MAX: usize = 200;

/// What the window has to know when it opens. The engine tells a snapshot after it.
#[tauri::command]
#[specta::specta]
pub async fn start(host: State<'_, Host>) -> Result<AppStart, CommandError> {
    host.begin().await
}

/// Gives the engine a command.
// Not async, as those may overtake each other: a key is let go after it was pressed.
#[tauri::command]
#[specta::specta]
pub fn command(host: State<'_, Host>, command: Command) -> Result<(), CommandError> {
    host.command(command)
}

/// Changes settings, and answers with all of them.
#[tauri::command]
#[specta::specta]
pub async fn save_settings(
    host: State<'_, Host>,
    patch: SettingsPatch,
) -> Result<Settings, CommandError> {
    host.save(patch).await
}

/// Takes the words that the shell says outside the window, in the window's language.
#[tauri::command]
#[specta::specta]
pub async fn say_words(host: State<'_, Host>, words: Words) -> Result<(), CommandError> {
    host.say(words).await
}

/// Looks for this device's place from now on.
#[tauri::command]
#[specta::specta]
pub async fn use_location(host: State<'_, Host>) -> Result<(), CommandError> {
    host.use_location().await
}

/// Takes a place that was chosen by hand.
#[tauri::command]
#[specta::specta]
pub async fn place_by_hand(
    host: State<'_, Host>,
    lat: f64,
    lon: f64,
    label: Option<String>,
) -> Result<(), CommandError> {
    let invalid = |message: String| CommandError::new(CommandErrorCode::InvalidLocation, message);
    let place = Place::new(lat, lon).map_err(|e| invalid(e.to_string()))?;
    if label.as_ref().is_some_and(|label| label.len() > LABEL_MAX) {
        return Err(invalid("the place's name is too long".into()));
    }
    host.place_by_hand(place, label).await
}

/// Asks for the microphone where the system wants that.
#[tauri::command]
#[specta::specta]
pub async fn ask_microphone(
    device: State<'_, Device>,
) -> Result<MicrophonePermission, CommandError> {
    system::ask_microphone(&device).await
}

/// Opens the system's own settings.
#[tauri::command]
#[specta::specta]
pub async fn open_system_settings(
    device: State<'_, Device>,
    section: Section,
) -> Result<(), CommandError> {
    system::open_settings(&device, section).await
}

/// Opens a link outside, after the person has agreed.
#[tauri::command]
#[specta::specta]
pub async fn open_link(url: String) -> Result<(), CommandError> {
    let parsed = Url::parse(&url).ok();
    let link = parsed.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match link {
        Some(link) => system::open(link.as_str()),
        None => Err(CommandError::new(
            CommandErrorCode::InvalidLink,
            "Only links to web pages are opened.",
        )),
    }
}

/// Asks an address whether it is that of a relay, and whether all is well there.
#[tauri::command]
#[specta::specta]
pub async fn check_relay(address: String) -> Result<RelayCheck, CommandError> {
    Ok(neartalk_client::check_relay(&address).await)
}

/// Leaves the present relay for another.
#[tauri::command]
#[specta::specta]
pub async fn change_relay(host: State<'_, Host>, address: String) -> Result<(), CommandError> {
    let relay = RelayUrl::parse(&address)
        .map_err(|e| CommandError::new(CommandErrorCode::InvalidRelay, e.to_string()))?;
    host.change_relay(relay).await
}

/// A link that brings others to this relay.
#[tauri::command]
#[specta::specta]
pub async fn invite_link(host: State<'_, Host>) -> Result<String, CommandError> {
    Ok(invite::link_to(&host.relay().await?))
}

/// Shows a notification.
#[tauri::command]
#[specta::specta]
pub async fn notify(
    notifications: State<'_, Notifications>,
    notification: Notification,
) -> Result<(), CommandError> {
    notifications.show(notification).await
}

/// Which version of NearTalk is newer than this one, if any.
#[tauri::command]
#[specta::specta]
pub async fn look_for_update(updates: State<'_, Updates>) -> Result<Option<String>, CommandError> {
    updates.look().await
}

/// Installs what is newer, and starts anew.
#[tauri::command]
#[specta::specta]
pub async fn install_update(updates: State<'_, Updates>) -> Result<(), CommandError> {
    updates.install().await
}

/// Leaves and forgets everything at once, and begins anew.
#[tauri::command]
#[specta::specta]
pub async fn panic(host: State<'_, Host>) -> Result<AppStart, CommandError> {
    host.panic().await
}
