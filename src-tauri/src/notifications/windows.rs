//! On Windows: toasts, <https://learn.microsoft.com/windows/apps/develop/notifications/>.

use tokio::sync::mpsc;
use windows::{
    Foundation::TypedEventHandler,
    UI::Notifications::{
        ToastNotification, ToastNotificationHistory, ToastNotificationManager, ToastTemplateType,
    },
    core::{HSTRING, IInspectable},
};

use super::{Id, Outcome};
use crate::{error::CommandError, told::Notification};

/// What the installer gives the entry in the start menu, which Windows wants to know programs by.
const APP_ID: &str = "org.neartalk.NearTalk";
const GROUP: &str = "messages";
/// Outcomes that can wait.
const OUTCOMES: usize = 64;

/// Numbers what is shown, and hears what comes of it.
#[derive(Debug)]
pub struct System {
    last: Id,
    happens: mpsc::Sender<Outcome>,
    outcomes: mpsc::Receiver<Outcome>,
}

impl Default for System {
    fn default() -> Self {
        let (happens, outcomes) = mpsc::channel(OUTCOMES);
        Self {
            last: 0,
            happens,
            outcomes,
        }
    }
}

impl System {
    /// Shows one, perhaps in place of an earlier one.
    pub async fn show(
        &mut self,
        what: &Notification,
        earlier: Option<Id>,
    ) -> Result<Id, CommandError> {
        let id = earlier.unwrap_or_else(|| {
            self.last += 1;
            self.last
        });
        match self.toast(what, id) {
            Ok(()) => Ok(id),
            Err(error) => Err(CommandError::unavailable(format!(
                "Windows did not show a notification: {error}."
            ))),
        }
    }

    fn toast(&self, what: &Notification, id: Id) -> windows::core::Result<()> {
        let document =
            ToastNotificationManager::GetTemplateContent(ToastTemplateType::ToastText02)?;
        let lines = document.GetElementsByTagName(&HSTRING::from("text"))?;
        for (place, text) in [(0, &what.title), (1, &what.body)] {
            let text = document.CreateTextNode(&HSTRING::from(text))?;
            lines.Item(place)?.AppendChild(&text)?;
        }
        let toast = ToastNotification::CreateToastNotification(&document)?;
        toast.SetTag(&HSTRING::from(id.to_string()))?;
        toast.SetGroup(&HSTRING::from(GROUP))?;
        // The window has a sound of its own; a toast without a place in the list would be lost.
        let happens = self.happens.clone();
        toast.Activated(&TypedEventHandler::<ToastNotification, IInspectable>::new(
            move |_, _| {
                // Somebody who clicks that often has seen the window.
                let _ = happens.try_send(Outcome::Clicked(id));
                Ok(())
            },
        ))?;
        ToastNotificationManager::CreateToastNotifierWithId(&HSTRING::from(APP_ID))?.Show(&toast)
    }

    /// Shows one no longer, nor lists it.
    pub async fn take_back(&mut self, id: Id) {
        let removed = ToastNotificationManager::History().and_then(|history| {
            let history: ToastNotificationHistory = history;
            history.RemoveGroupedTagWithId(
                &HSTRING::from(id.to_string()),
                &HSTRING::from(GROUP),
                &HSTRING::from(APP_ID),
            )
        });
        if let Err(error) = removed {
            tracing::debug!(%error, "a notification could not be taken back");
        }
    }

    /// Waits for what becomes of those that are shown.
    pub async fn next(&mut self) -> Outcome {
        match self.outcomes.recv().await {
            Some(outcome) => outcome,
            // It holds a sender itself.
            None => std::future::pending().await,
        }
    }
}
