//! A key that a Wayland desktop gives:
//! <https://flatpak.github.io/xdg-desktop-portal/docs/doc-org.freedesktop.portal.GlobalShortcuts.html>.
//! It may ask the person, who may choose another than the one that is wanted.

use std::{future, pin::Pin, time::Duration};

use ashpd::{
    AppID,
    desktop::{
        Session,
        global_shortcuts::{Activated, Deactivated, GlobalShortcuts, NewShortcut},
    },
    register_host_app,
};
use futures_util::{Stream, StreamExt};
use tauri::{AppHandle, Runtime};
use tokio::time::timeout;

use super::Wanted;
use crate::{error::CommandError, talk_key::TalkKey};

/// What the desktop calls the key among those of this program.
const TALK: &str = "talk";

/// A desktop that has not answered by then gives no keys: some start their portal when it is called, and
/// it hangs. The window waits for this before it shows anything.
const PATIENCE: Duration = Duration::from_secs(2);

type Signals<T> = Pin<Box<dyn Stream<Item = T> + Send>>;

/// A desktop that gives keys.
pub struct Portal {
    desktop: GlobalShortcuts,
    pressed: Signals<Activated>,
    let_go: Signals<Deactivated>,
    session: Option<Session<GlobalShortcuts>>,
}

impl Portal {
    /// The one that is there.
    pub async fn find<R: Runtime>(app: &AppHandle<R>) -> Option<Self> {
        match timeout(PATIENCE, Self::call(app)).await {
            Ok(Ok(portal)) => Some(portal),
            Ok(Err(error)) => {
                tracing::info!(%error, "this desktop gives no key to talk with");
                None
            }
            Err(_) => {
                tracing::warn!(
                    "this desktop's portal does not answer; there is no key to talk with"
                );
                None
            }
        }
    }

    async fn call<R: Runtime>(app: &AppHandle<R>) -> ashpd::Result<Self> {
        if let Ok(id) = AppID::try_from(app.config().identifier.as_str())
            && let Err(error) = register_host_app(id).await
        {
            // Older ones don't ask who it is.
            tracing::debug!(%error, "the desktop does not want to know this program");
        }
        let desktop = GlobalShortcuts::new().await?;
        // Whether there is one at all is known when it answers.
        desktop.get_property::<u32>("version").await?;
        Ok(Self {
            pressed: Box::pin(desktop.receive_activated().await?),
            let_go: Box::pin(desktop.receive_deactivated().await?),
            session: None,
            desktop,
        })
    }

    /// Asks for a key in place of the one before.
    pub async fn take(&mut self, wanted: Option<&Wanted>) -> Result<(), CommandError> {
        if let Some(before) = self.session.take()
            && let Err(error) = before.close().await
        {
            tracing::debug!(%error, "the desktop had taken the key back already");
        }
        let Some(wanted) = wanted else { return Ok(()) };
        match bind(&self.desktop, wanted).await {
            Ok(session) => {
                self.session = Some(session);
                Ok(())
            }
            Err(error) => Err(CommandError::unavailable(format!(
                "The desktop did not give a key to talk with: {error}."
            ))),
        }
    }

    /// Waits until it is pressed or let go.
    pub async fn next(&mut self) -> bool {
        loop {
            tokio::select! {
                // A press that is seen too late is one that nobody hears; the other way round somebody
                // would be heard who has let go.
                biased;
                Some(it) = self.pressed.next() => if it.shortcut_id() == TALK { return true },
                Some(it) = self.let_go.next() => if it.shortcut_id() == TALK { return false },
                else => return future::pending().await,
            }
        }
    }
}

async fn bind(
    desktop: &GlobalShortcuts,
    wanted: &Wanted,
) -> ashpd::Result<Session<GlobalShortcuts>> {
    let session = desktop.create_session(Default::default()).await?;
    let key = trigger(&wanted.key);
    let key = NewShortcut::new(TALK, &*wanted.label).preferred_trigger(&*key);
    desktop
        .bind_shortcuts(&session, &[key], None, Default::default())
        .await?
        .response()?;
    Ok(session)
}

/// A key as desktops write it: <https://specifications.freedesktop.org/shortcuts-spec/latest/>, the
/// names of `xkbcommon-keysyms.h`.
fn trigger(key: &TalkKey) -> String {
    let key = key.to_string();
    let parts = key.split('+').map(|part| match part {
        "Ctrl" => "CTRL".into(),
        "Alt" => "ALT".into(),
        "Shift" => "SHIFT".into(),
        "Super" => "LOGO".into(),
        "Space" => "space".into(),
        "Enter" => "Return".into(),
        "Backspace" => "BackSpace".into(),
        "PageUp" => "Page_Up".into(),
        "PageDown" => "Page_Down".into(),
        "ScrollLock" => "Scroll_Lock".into(),
        "Backquote" => "grave".into(),
        "Minus" => "minus".into(),
        "Equal" => "equal".into(),
        "Comma" => "comma".into(),
        "Period" => "period".into(),
        "Slash" => "slash".into(),
        other => match (other.strip_prefix("Arrow"), other.strip_prefix("Numpad")) {
            (Some(way), _) => way.to_owned(),
            (_, Some(place)) => format!("KP_{place}"),
            _ if other.len() == 1 => other.to_ascii_lowercase(),
            _ => other.to_owned(),
        },
    });
    parts.collect::<Vec<String>>().join("+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_desktops_write_them() {
        for (window, desktop) in [
            ("F9", "F9"),
            ("Ctrl+Shift+Space", "CTRL+SHIFT+space"),
            ("Super+T", "LOGO+t"),
            ("Alt+ArrowUp", "ALT+Up"),
            ("Ctrl+Numpad0", "CTRL+KP_0"),
            ("Pause", "Pause"),
        ] {
            assert_eq!(trigger(&window.parse().unwrap()), desktop);
        }
    }
}
