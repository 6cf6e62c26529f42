//! What is different on a phone: how the app starts, and what the system has to know of a call, so that
//! sound goes where calls go, and on while the screen is dark.

use neartalk_client::voice::{VoicePhase, VoiceStatus};
use tauri::{AppHandle, Manager as _, Runtime, async_runtime};
use tauri_plugin_neartalk_mobile::Mobile;
use tokio::sync::watch;

/// Opens the window: there the system calls the library instead of starting a program.
#[tauri::mobile_entry_point]
fn open() {
    if let Err(error) = crate::run() {
        tracing::error!("NearTalk can't start: {error:#}");
    }
}

/// The title of what Android shows while a call goes on.
const TITLE: &str = "NearTalk";

/// What stands below it, in the language of the window.
#[derive(Debug, Default)]
pub(crate) struct CallWords(watch::Sender<String>);

impl CallWords {
    pub(crate) fn say(&self, words: String) {
        self.0.send_replace(words);
    }
}

/// Tells the phone when calls begin and end, and that the last has ended when this is dropped.
pub(crate) struct Calls<R: Runtime> {
    app: AppHandle<R>,
    is_on: bool,
}

impl<R: Runtime> Calls<R> {
    pub(crate) fn new(app: AppHandle<R>) -> Self {
        Self { app, is_on: false }
    }

    /// How it stands with voice.
    pub(crate) async fn hear(&mut self, status: &VoiceStatus) {
        let is_on = status.phase != VoicePhase::Off;
        if is_on != self.is_on {
            self.is_on = is_on;
            tell(&self.app, is_on).await;
        }
    }
}

impl<R: Runtime> Drop for Calls<R> {
    fn drop(&mut self) {
        if self.is_on {
            let app = self.app.clone();
            async_runtime::spawn(async move { tell(&app, false).await });
        }
    }
}

async fn tell<R: Runtime>(app: &AppHandle<R>, is_on: bool) {
    let phone = app.state::<Mobile<R>>();
    let told = if is_on {
        let words = app.state::<CallWords>().0.borrow().clone();
        phone.begin_voice(TITLE, &words).await
    } else {
        phone.end_voice().await
    };
    if let Err(error) = told {
        tracing::warn!(%error, "the phone does not know of the call");
    }
}
