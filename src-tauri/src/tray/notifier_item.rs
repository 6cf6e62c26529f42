//! On Linux desktops: <https://www.freedesktop.org/wiki/Specifications/StatusNotifierItem/>, which
//! KDE and most others have, and GNOME has with an extension.

use std::marker::PhantomData;

use ksni::{Handle, Icon, MenuItem, OfflineReason, TrayMethods, menu::StandardItem};
use tauri::{AppHandle, Runtime, image::Image};
use tokio::sync::mpsc;

use super::{
    News,
    menu::{Choice, Entry},
};

/// As the system's icons are called.
const ICON: &str = "neartalk";

/// The icon, whether or not there is a tray for it at present.
pub struct System<R> {
    handle: Handle<Item>,
    _runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> System<R> {
    /// Offers the icon to the desktop's tray, and to any that comes later.
    pub async fn start(
        app: &AppHandle<R>,
        entries: Vec<Entry>,
        news: mpsc::Sender<News>,
    ) -> Option<Self> {
        let item = Item {
            entries,
            pixels: app.default_window_icon().map(pixels).into_iter().collect(),
            news: news.clone(),
        };
        // That there is none is told before `spawn` returns.
        item.tell(News::There(true));
        match item.assume_sni_available(true).spawn().await {
            Ok(handle) => Some(Self {
                handle,
                _runtime: PhantomData,
            }),
            Err(error) => {
                tracing::info!(%error, "there is no tray");
                // The task itself reads these, and has room for one more than it was told.
                let _ = news.try_send(News::There(false));
                None
            }
        }
    }

    /// Offers these from now on.
    pub async fn change(&mut self, entries: Vec<Entry>) {
        self.handle.update(|item| item.entries = entries).await;
    }
}

struct Item {
    entries: Vec<Entry>,
    pixels: Vec<Icon>,
    news: mpsc::Sender<News>,
}

impl Item {
    fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            tracing::warn!("too much at once: the tray was not heard");
        }
    }
}

impl ksni::Tray for Item {
    fn id(&self) -> String {
        ICON.into()
    }

    fn title(&self) -> String {
        "NearTalk".into()
    }

    fn icon_name(&self) -> String {
        ICON.into()
    }

    // For a program that was not installed.
    fn icon_pixmap(&self) -> Vec<Icon> {
        self.pixels.clone()
    }

    fn activate(&mut self, _: i32, _: i32) {
        self.tell(News::Chosen(Choice::Show));
    }

    fn menu(&self) -> Vec<MenuItem<Self>> {
        let item = |entry: &Entry| {
            let choice = entry.choice;
            StandardItem {
                // An underscore would mark the letter behind it.
                label: entry.label.replace('_', "__"),
                activate: Box::new(move |item: &mut Self| item.tell(News::Chosen(choice))),
                ..StandardItem::default()
            }
        };
        self.entries
            .iter()
            .map(|entry| item(entry).into())
            .collect()
    }

    fn watcher_online(&self) {
        self.tell(News::There(true));
    }

    fn watcher_offline(&self, _: OfflineReason) -> bool {
        self.tell(News::There(false));
        // Another may come.
        true
    }
}

/// As the bus wants them: 32 bits each, the alpha first.
fn pixels(image: &Image<'_>) -> Icon {
    let mut data = image.rgba().to_vec();
    for pixel in data.chunks_exact_mut(4) {
        pixel.rotate_right(1);
    }
    Icon {
        width: image.width().try_into().unwrap_or(0),
        height: image.height().try_into().unwrap_or(0),
        data,
    }
}
