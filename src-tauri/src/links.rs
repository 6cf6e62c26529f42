//! Links of NearTalk's that the person opens elsewhere: with NearTalk closed, or open already.

use tauri::{AppHandle, Manager, Runtime, Url};
use tauri_plugin_deep_link::DeepLinkExt;

use crate::{front, host::Host, invite};

/// Takes the link that this start was for, if any, and those that come later.
pub fn follow<R: Runtime>(app: &AppHandle<R>) {
    let links = app.deep_link();
    match links.get_current() {
        Ok(urls) => take(app, &urls.unwrap_or_default()),
        Err(error) => tracing::warn!(%error, "it is not known which link this start was for"),
    }
    let handle = app.clone();
    links.on_open_url(move |event| take(&handle, &event.urls()));
}

fn take<R: Runtime>(app: &AppHandle<R>, urls: &[Url]) {
    for url in urls {
        app.state::<Host>().invite(invite::relay_of(url.as_str()));
    }
    if !urls.is_empty() {
        front::bring_up(app);
    }
}
