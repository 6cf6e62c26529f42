//! On Linux desktops: <https://specifications.freedesktop.org/notification-spec/1.3/>.

use std::{borrow::Cow, collections::HashMap, future, time::Duration};

use futures_util::StreamExt;
use zbus::{Connection, connection, proxy, zvariant::Value};

use super::{Id, Outcome};
use crate::{error::CommandError, location::DESKTOP_ID, told::Notification};

/// A desktop that has not answered by then never will.
const PATIENCE: Duration = Duration::from_secs(5);
/// As the system's icons are called.
const ICON: &str = "neartalk";
/// What is done when one is clicked.
const CLICK: &str = "default";
/// As long as the desktop shows such.
const AS_USUAL: i32 = -1;

#[proxy(
    interface = "org.freedesktop.Notifications",
    default_service = "org.freedesktop.Notifications",
    default_path = "/org/freedesktop/Notifications",
    gen_blocking = false
)]
trait Desktop {
    #[expect(clippy::too_many_arguments, reason = "the specification has that many")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        app_icon: &str,
        summary: &str,
        body: &str,
        actions: &[&str],
        hints: &HashMap<&str, Value<'_>>,
        expire_timeout: i32,
    ) -> zbus::Result<u32>;

    fn close_notification(&self, id: u32) -> zbus::Result<()>;

    fn get_capabilities(&self) -> zbus::Result<Vec<String>>;

    #[zbus(signal)]
    fn action_invoked(&self, id: u32, action_key: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    fn notification_closed(&self, id: u32, reason: u32) -> zbus::Result<()>;
}

/// The desktop, once something was to be shown.
#[derive(Default)]
pub struct System(Option<Connected>);

struct Connected {
    desktop: DesktopProxy<'static>,
    clicks: ActionInvokedStream,
    ends: NotificationClosedStream,
}

impl Connected {
    async fn new() -> zbus::Result<Self> {
        let builder = connection::Builder::session()?.method_timeout(PATIENCE);
        let connection: Connection = builder.build().await?;
        let desktop = DesktopProxy::new(&connection).await?;
        Ok(Self {
            clicks: desktop.receive_action_invoked().await?,
            ends: desktop.receive_notification_closed().await?,
            desktop,
        })
    }

    async fn show(&self, what: &Notification, earlier: Option<Id>) -> zbus::Result<Id> {
        let has_markup = self.desktop.get_capabilities().await?;
        let has_markup = has_markup.iter().any(|it| it == "body-markup");
        let body = if has_markup {
            without_markup(&what.body)
        } else {
            Cow::Borrowed(&*what.body)
        };
        let hints = HashMap::from([
            ("desktop-entry", DESKTOP_ID.into()),
            ("category", "im.received".into()),
            // The window has a sound of its own, and a switch for it.
            ("suppress-sound", true.into()),
        ]);
        // The name of an action that is the notification itself is never shown.
        self.desktop
            .notify(
                "NearTalk",
                earlier.unwrap_or(0),
                ICON,
                &what.title,
                &body,
                &[CLICK, ""],
                &hints,
                AS_USUAL,
            )
            .await
    }
}

impl System {
    /// Shows one, perhaps in place of an earlier one.
    pub async fn show(
        &mut self,
        what: &Notification,
        earlier: Option<Id>,
    ) -> Result<Id, CommandError> {
        let connected = match self.0.take() {
            Some(connected) => connected,
            None => Connected::new().await.map_err(|e| no_desktop(&e))?,
        };
        let connected = self.0.insert(connected);
        let shown = connected.show(what, earlier).await;
        if let Err(zbus::Error::InputOutput(_)) = shown {
            // The bus has ended; there may be another next time.
            self.0 = None;
        }
        shown.map_err(|error| no_desktop(&error))
    }

    /// Shows one no longer.
    pub async fn take_back(&mut self, id: Id) {
        if let Some(connected) = &self.0
            && let Err(error) = connected.desktop.close_notification(id).await
        {
            // It may be gone by itself.
            tracing::debug!(%error, "a notification could not be taken back");
        }
    }

    /// Waits for what becomes of those that are shown.
    pub async fn next(&mut self) -> Outcome {
        let Some(connected) = &mut self.0 else {
            return future::pending().await;
        };
        loop {
            tokio::select! {
                // One that is clicked is gone at once, which must not be heard first.
                biased;
                Some(click) = connected.clicks.next() => {
                    if let Ok(click) = click.args() && *click.action_key() == CLICK {
                        return Outcome::Clicked(*click.id());
                    }
                }
                Some(end) = connected.ends.next() => {
                    if let Ok(end) = end.args() {
                        return Outcome::Gone(*end.id());
                    }
                }
                else => future::pending().await,
            }
        }
    }
}

fn no_desktop(error: &zbus::Error) -> CommandError {
    CommandError::unavailable(format!(
        "Nothing on this desktop shows notifications: {error}."
    ))
}

/// Text from strangers as it is to be read: otherwise it could hold links and pictures, which are
/// loaded from wherever they wrote.
fn without_markup(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>']) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            other => plain.push(other),
        }
    }
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_said_becomes_a_link_or_a_picture() {
        assert_eq!(without_markup("5 o'clock?"), "5 o'clock?");
        assert_eq!(
            without_markup(r#"<img src="http://a.example/?you"> &amp;"#),
            r#"&lt;img src="http://a.example/?you"&gt; &amp;amp;"#
        );
    }
}
