//! What crosses between the window and the shell, each with its type on both sides: the window's are
//! made from these by the test `bindings`.

use tauri::{AppHandle, Runtime};
use tauri_specta::{Builder, ErrorHandlingMode, Event, collect_commands, collect_events};

use crate::{
    commands,
    told::{AppEvent, EngineEvent},
};

impl Event for EngineEvent {
    const NAME: &'static str = "event";
}

impl Event for AppEvent {
    const NAME: &'static str = "app-event";
}

/// Every command and every event.
pub fn ipc<R: Runtime>() -> Builder<R> {
    Builder::new()
        .commands(collect_commands![
            commands::ask_microphone,
            commands::change_relay,
            commands::check_relay,
            commands::command,
            commands::install_update,
            commands::invite_link,
            commands::look_for_update,
            commands::notify,
            commands::open_link,
            commands::open_system_settings,
            commands::panic,
            commands::place_by_hand,
            commands::save_settings,
            commands::say_words,
            commands::start,
            commands::use_location,
        ])
        .events(collect_events![EngineEvent, AppEvent])
        // As the window's `Backend` has it: what is refused is thrown.
        .error_handling(ErrorHandlingMode::Throw)
        .disable_serde_phases()
}

/// Tells the window, if there is one.
pub fn tell<R: Runtime>(app: &AppHandle<R>, what: &(impl Event + serde::Serialize + Clone)) {
    if let Err(error) = what.emit(app) {
        tracing::error!(%error, "the window could not be told");
    }
}
