//! The window among the other windows.

#[cfg(desktop)]
use tauri::WebviewWindow;
use tauri::{AppHandle, Manager, Runtime};

use crate::tray::Tray;

/// What the window is called, here and in `tauri.conf.json`.
#[cfg(desktop)]
const LABEL: &str = "main";

/// Sends the window away, to be brought up from the tray.
pub fn hide<R: Runtime>(app: &AppHandle<R>) {
    #[cfg(desktop)]
    with_window(app, "hidden", WebviewWindow::hide);
    app.state::<Tray>().window_is(false);
}

/// Brings the window before all others, wherever it was. Phones do that by themselves.
pub fn bring_up<R: Runtime>(app: &AppHandle<R>) {
    #[cfg(desktop)]
    with_window(app, "brought up", |window| {
        window.unminimize()?;
        window.show()?;
        window.set_focus()
    });
    app.state::<Tray>().window_is(true);
}

#[cfg(desktop)]
fn with_window<R: Runtime>(
    app: &AppHandle<R>,
    what: &str,
    act: impl FnOnce(&WebviewWindow<R>) -> tauri::Result<()>,
) {
    let Some(window) = app.get_webview_window(LABEL) else {
        return;
    };
    if let Err(error) = act(&window) {
        tracing::warn!(%error, "the window could not be {what}");
    }
}
