//! Links of NearTalk's that the person opens elsewhere: with NearTalk closed, or open already. And those
//! in what people write, which lead nowhere from here.

use tauri::{
    AppHandle, Manager, Runtime, Url,
    plugin::{Builder, TauriPlugin},
};
use tauri_plugin_deep_link::DeepLinkExt;

use crate::{front, host::Host, invite};

/// Keeps the window at the interface, wherever a menu of the system's or a mistake in the interface would
/// lead it: whoever is there would learn an address, unasked.
pub fn stay<R: Runtime>() -> TauriPlugin<R> {
    Builder::new("stay")
        .on_navigation(|_, url| is_own(url))
        .build()
}

/// Whether the interface is there: by a scheme of its own or, on Windows and Android, by a name.
fn is_own(url: &Url) -> bool {
    match url.scheme() {
        "tauri" => true,
        "http" | "https" => url.host_str() == Some("tauri.localhost"),
        _ => false,
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interface_is_where_the_window_may_be_and_nothing_else() {
        let is_own = |url| is_own(&Url::parse(url).unwrap());
        for own in [
            "tauri://localhost",
            "tauri://localhost/index.html",
            "http://tauri.localhost/",
            "https://tauri.localhost/",
        ] {
            assert!(is_own(own), "{own}");
        }
        for foreign in [
            "https://example.org/",
            "http://tauri.localhost.example.org/",
            "http://localhost/",
            "file:///etc/passwd",
            "data:text/html,x",
            "about:blank",
        ] {
            assert!(!is_own(foreign), "{foreign}");
        }
    }
}
