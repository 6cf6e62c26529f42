//! The window of NearTalk: what the system gives and wants, around the engine and the interface.
//!
//! The interface (`app/`) asks by [`commands`], and is told by two events: one carries what the
//! engine tells, one what the shell does ([`ipc`] has all of them). One task ([`host`]) owns
//! settings, place and engine.

pub mod commands;
pub mod error;
pub mod host;
pub mod invite;
pub mod ipc;
pub mod location;
#[cfg(mobile)]
mod phone;
pub mod settings;
pub mod store;
pub mod system;
pub mod talk_key;
pub mod told;
#[cfg(target_os = "linux")]
mod webkit;

use std::{env, io, time::Duration};

use anyhow::Context;
use neartalk_client::RelayUrl;
use tauri::{AppHandle, Builder, Manager, RunEvent, Runtime, async_runtime, generate_context};
#[cfg(unix)]
use tokio::signal::unix::{SignalKind, signal};
use tokio::{signal::ctrl_c, time::timeout};
use tracing_subscriber::EnvFilter;

use crate::{host::Host, store::Store};

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
    let app = app
        .setup(move |app| {
            #[cfg(target_os = "linux")]
            for window in app.webview_windows().values() {
                webkit::spare(window);
            }
            let store = Store::new(app.path().app_config_dir()?);
            app.manage(Host::start(app.handle().clone(), store, relay));
            async_runtime::spawn(exit_when_told(app.handle().clone()));
            Ok(())
        })
        .build(generate_context!())
        .context("the window could not be opened")?;
    app.run(|app, event| {
        if matches!(event, RunEvent::Exit) {
            let host = app.state::<Host>();
            // Others see at once that this person has left, rather than minutes later.
            let _ = async_runtime::block_on(async { timeout(GOODBYE, host.shutdown()).await });
        }
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
