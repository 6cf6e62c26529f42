//! The window of NearTalk: what the system gives and wants, around the engine and the interface.
//!
//! The interface (`app/`) asks by [`commands`], and is told by two events: one carries what the
//! engine tells, one what the shell does ([`ipc`] has all of them). One task ([`host`]) owns
//! settings, place and engine.

pub mod autostart;
pub mod commands;
pub mod error;
pub mod front;
pub mod global_key;
pub mod host;
pub mod invite;
pub mod ipc;
pub mod links;
pub mod location;
pub mod notifications;
#[cfg(mobile)]
mod phone;
pub mod settings;
pub mod store;
pub mod system;
pub mod talk_key;
pub mod told;
pub mod tray;
pub mod updates;
#[cfg(target_os = "linux")]
mod webkit;

use std::{env, io, time::Duration};

use anyhow::Context;
use neartalk_client::RelayUrl;
use tauri::{
    AppHandle, Builder, Manager, RunEvent, Runtime, WindowEvent, async_runtime, generate_context,
};
#[cfg(desktop)]
use tauri_plugin_window_state::StateFlags;
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
use tokio::{signal::ctrl_c, time::timeout};
use tracing_subscriber::EnvFilter;

use crate::{
    global_key::GlobalKey,
    host::Host,
    notifications::Notifications,
    store::Store,
    tray::Tray,
    updates::{Source, Updates},
};

/// How long leaving the relay may take when the window closes.
const GOODBYE: Duration = Duration::from_secs(2);

/// Opens the window, and returns when it has been closed.
pub fn run() -> anyhow::Result<()> {
    start_logging();
    settings::check_build().context("NEARTALK_DEFAULT_RELAY when this was built")?;
    let relay = relay_override()?;
    let app = builder::<tauri::Wry>();
    #[cfg(mobile)]
    let app = app.plugin(tauri_plugin_neartalk_mobile::init());
    // The first of all, as a second start is to do nothing else.
    #[cfg(desktop)]
    let app = app.plugin(tauri_plugin_single_instance::init(|app, _, _| {
        front::bring_up(app)
    }));
    #[cfg(desktop)]
    let app = app.plugin(
        tauri_plugin_window_state::Builder::new()
            // Not whether it is to be seen: it opens when the person opens it.
            .with_state_flags(StateFlags::SIZE | StateFlags::POSITION | StateFlags::MAXIMIZED)
            .build(),
    );
    #[cfg(any(target_os = "macos", windows))]
    let app = app.plugin(tauri_plugin_autostart::Builder::new().build());
    #[cfg(all(desktop, feature = "updater"))]
    let app = app.plugin(tauri_plugin_updater::Builder::new().build());
    let app = app
        .plugin(tauri_plugin_deep_link::init())
        .plugin(links::stay())
        .setup(move |app| {
            #[cfg(target_os = "linux")]
            for window in app.webview_windows().values() {
                webkit::spare(window);
            }
            let store = Store::new(app.path().app_config_dir()?);
            furnish(app.handle(), store, relay, updates::builtin());
            links::follow(app.handle());
            async_runtime::spawn(exit_when_told(app.handle().clone()));
            Ok(())
        })
        .on_window_event(|window, event| match event {
            // Whoever looks at the window needs no notification any more.
            WindowEvent::Focused(true) => {
                let notifications = window.state::<Notifications>().inner().clone();
                async_runtime::spawn(async move { notifications.forget().await });
            }
            WindowEvent::CloseRequested { api, .. } if window.state::<Tray>().takes_window() => {
                api.prevent_close();
                front::hide(window.app_handle());
            }
            _ => {}
        })
        .build(generate_context!())
        .context("the window could not be opened")?;
    app.run(|app, event| match event {
        RunEvent::Exit => {
            let host = app.state::<Host>();
            // Others see at once that this person has left, rather than minutes later.
            let _ = async_runtime::block_on(async { timeout(GOODBYE, host.shutdown()).await });
        }
        #[cfg(target_os = "macos")]
        RunEvent::Reopen { .. } => front::bring_up(app),
        _ => {}
    });
    Ok(())
}

/// Closes the window, and says goodbye to the relay, when the system or a terminal ends the program.
async fn exit_when_told(app: AppHandle) {
    #[cfg(unix)]
    if let Ok(mut terminate) = signal(SignalKind::terminate()) {
        tokio::select! {
            _ = terminate.recv() => {}
            Ok(()) = ctrl_c() => {}
        }
        app.exit(0);
    }
    #[cfg(not(unix))]
    if ctrl_c().await.is_ok() {
        app.exit(0);
    }
}

/// The application without what a test must not have.
pub fn builder<R: Runtime>() -> Builder<R> {
    let builder = Builder::<R>::new().invoke_handler(ipc::ipc::<R>().invoke_handler());
    #[cfg(desktop)]
    let builder = builder.manage(system::Device);
    builder
}

/// Starts the tasks that the commands ask. `relay` is as in [`Host::start`]; without a source of newer
/// versions none are looked for.
pub fn furnish<R: Runtime>(
    app: &AppHandle<R>,
    store: Store,
    relay: Option<RelayUrl>,
    source: Option<Source>,
) {
    app.manage(Updates::start(app.clone(), source));
    app.manage(Notifications::start(app.clone()));
    app.manage(Tray::start(app.clone()));
    app.manage(GlobalKey::start(app.clone()));
    #[cfg(mobile)]
    app.manage(phone::CallWords::default());
    app.manage(Host::start(app.clone(), store, relay));
}

/// The relay that `NEARTALK_RELAY` names, in place of the one that was chosen in the window.
fn relay_override() -> anyhow::Result<Option<RelayUrl>> {
    match env::var("NEARTALK_RELAY") {
        Ok(relay) => Ok(Some(RelayUrl::parse(&relay).context("NEARTALK_RELAY")?)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).context("NEARTALK_RELAY"),
    }
}

/// To standard error, as much as `NEARTALK_LOG` says. Nothing that is logged names a person, a
/// place or what was said.
fn start_logging() {
    let filter = EnvFilter::try_from_env("NEARTALK_LOG")
        .unwrap_or_else(|_| EnvFilter::new("warn,neartalk_app=info,neartalk_client=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}
