//! On macOS. A click brings the program up by itself, and nothing is told of it.

use std::{future, sync::Once};

use mac_notification_sys::{Notification as Native, set_application};
use tauri::async_runtime;

use super::{Id, Outcome};
use crate::{error::CommandError, told::Notification};

/// As in `tauri.conf.json`.
const BUNDLE: &str = "org.neartalk.NearTalk";

/// Numbers what is shown.
#[derive(Debug, Default)]
pub struct System {
    last: Id,
}

impl System {
    /// Shows one.
    pub async fn show(&mut self, what: &Notification, _: Option<Id>) -> Result<Id, CommandError> {
        static BELONGS: Once = Once::new();
        BELONGS.call_once(|| {
            // A program that was not installed shows them in another's name.
            if let Err(error) = set_application(BUNDLE) {
                tracing::debug!(%error, "NearTalk is not installed");
            }
        });
        let Notification { title, body, .. } = what.clone();
        let show = move || {
            let mut native = Native::new();
            native.title(&title).message(&body).asynchronous(true);
            native.send()
        };
        let sent = async_runtime::spawn_blocking(show).await;
        match sent {
            Ok(Ok(_)) => {
                self.last += 1;
                Ok(self.last)
            }
            Ok(Err(error)) => Err(CommandError::unavailable(format!(
                "macOS did not show a notification: {error}."
            ))),
            Err(_) => Err(CommandError::unavailable(
                "macOS did not show a notification.",
            )),
        }
    }

    /// What has been shown stays in the list of what there was.
    pub async fn take_back(&mut self, _: Id) {}

    /// Nothing is told.
    pub async fn next(&mut self) -> Outcome {
        future::pending().await
    }
}
