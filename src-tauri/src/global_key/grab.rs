//! A key that is taken from the system: nobody else hears of it.

use std::future;

use tauri::{AppHandle, Runtime, async_runtime};
use tauri_plugin_global_shortcut::{Builder, GlobalShortcutExt, Shortcut, ShortcutState};
use tokio::sync::mpsc;

use super::Wanted;
use crate::{
    error::{CommandError, CommandErrorCode},
    talk_key::TalkKey,
};

/// How often it may be pressed before somebody looks.
const PRESSES: usize = 64;

/// The key that was taken, if any.
pub struct Grab<R: Runtime> {
    app: AppHandle<R>,
    taken: Option<Shortcut>,
    ready: bool,
    tell: mpsc::Sender<bool>,
    presses: mpsc::Receiver<bool>,
}

impl<R: Runtime> Grab<R> {
    /// None is taken yet.
    pub fn new(app: &AppHandle<R>) -> Self {
        let (tell, presses) = mpsc::channel(PRESSES);
        Self {
            app: app.clone(),
            taken: None,
            ready: false,
            tell,
            presses,
        }
    }

    /// Takes a key in place of the one before.
    pub async fn take(&mut self, wanted: Option<&Wanted>) -> Result<(), CommandError> {
        let wanted = wanted.map(|wanted| parse(&wanted.key)).transpose()?;
        if !self.ready {
            if wanted.is_none() {
                return Ok(());
            }
            // It listens to the keyboard all the time, so only whoever wants a key has it do that.
            self.app
                .plugin(Builder::new().build())
                .map_err(|error| refused(&error))?;
            self.ready = true;
        }
        let (app, tell, taken) = (self.app.clone(), self.tell.clone(), self.taken.take());
        // It waits for the thread that has the window.
        let done = async_runtime::spawn_blocking(move || {
            let keys = app.global_shortcut();
            if let Some(taken) = taken {
                keys.unregister(taken)?;
            }
            let Some(wanted) = wanted else { return Ok(()) };
            keys.on_shortcut(wanted, move |_, _, event| {
                let pressed = event.state() == ShortcutState::Pressed;
                if tell.try_send(pressed).is_err() {
                    tracing::warn!("too much at once: the key to talk with was not heard");
                }
            })
        });
        match done.await {
            Ok(Ok(())) => {
                self.taken = wanted;
                Ok(())
            }
            Ok(Err(error)) => Err(refused(&error)),
            Err(error) => Err(refused(&error)),
        }
    }

    /// Waits until it is pressed or let go.
    pub async fn next(&mut self) -> bool {
        match self.presses.recv().await {
            Some(pressed) => pressed,
            // It holds a sender itself.
            None => future::pending().await,
        }
    }
}

fn refused(error: &dyn std::error::Error) -> CommandError {
    CommandError::unavailable(format!(
        "This key can't be had; perhaps another program has it ({error}). Choose another."
    ))
}

/// A key as the window writes it.
fn parse(key: &TalkKey) -> Result<Shortcut, CommandError> {
    key.to_string().parse().map_err(|_| {
        let message = "This key can't talk from other windows. Choose another.";
        CommandError::new(CommandErrorCode::InvalidSettings, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_window_writes_is_a_key_of_the_system() {
        for good in [
            "F9",
            "Shift+F9",
            "Ctrl+Shift+Space",
            "Super+T",
            "Alt+5",
            "Ctrl+Numpad0",
            "Pause",
            "ScrollLock",
            "Ctrl+Backquote",
            "Ctrl+Alt+ArrowUp",
        ] {
            assert!(parse(&good.parse().unwrap()).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_the_system_does_not_know_is_refused() {
        let refused = parse(&"Hyper".parse().unwrap()).map_err(|error| error.code);
        assert_eq!(refused, Err(CommandErrorCode::InvalidSettings));
    }
}
