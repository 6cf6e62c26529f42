//! On macOS and Windows, which always have one.

use tauri::{
    AppHandle, Runtime,
    menu::{Menu, MenuItem},
    tray::{MouseButton, TrayIcon, TrayIconBuilder, TrayIconEvent},
};
use tokio::sync::mpsc;

use super::{
    News,
    menu::{Choice, Entry},
};

const CHOICES: [(Choice, &str); 6] = [
    (Choice::Show, "show"),
    (Choice::Hide, "hide"),
    (Choice::Mute, "mute"),
    (Choice::Unmute, "unmute"),
    (Choice::LeaveVoice, "leave_voice"),
    (Choice::Quit, "quit"),
];

/// The icon.
pub struct System<R: Runtime> {
    app: AppHandle<R>,
    icon: TrayIcon<R>,
}

impl<R: Runtime> System<R> {
    /// Shows the icon.
    pub async fn start(
        app: &AppHandle<R>,
        entries: Vec<Entry>,
        news: mpsc::Sender<News>,
    ) -> Option<Self> {
        match build(app, &entries, &news) {
            Ok(icon) => {
                // The task itself reads these.
                let _ = news.try_send(News::There(true));
                Some(Self {
                    app: app.clone(),
                    icon,
                })
            }
            Err(error) => {
                tracing::warn!(%error, "there is no icon in the tray");
                None
            }
        }
    }

    /// Offers these from now on.
    pub async fn change(&mut self, entries: Vec<Entry>) {
        let changed = menu(&self.app, &entries).and_then(|menu| self.icon.set_menu(Some(menu)));
        if let Err(error) = changed {
            tracing::warn!(%error, "the icon in the tray may be wrong");
        }
    }
}

fn build<R: Runtime>(
    app: &AppHandle<R>,
    entries: &[Entry],
    news: &mpsc::Sender<News>,
) -> tauri::Result<TrayIcon<R>> {
    let tell = |news: &mpsc::Sender<News>, choice| {
        if news.try_send(News::Chosen(choice)).is_err() {
            tracing::warn!("too much at once: the tray was not heard");
        }
    };
    let (clicks, chosen) = (news.clone(), news.clone());
    let mut builder = TrayIconBuilder::new()
        .tooltip("NearTalk")
        .menu(&menu(app, entries)?)
        .show_menu_on_left_click(cfg!(target_os = "macos"))
        .on_menu_event(move |_, event| {
            let chose = CHOICES.iter().find(|(_, id)| event.id().as_ref() == *id);
            if let Some((choice, _)) = chose {
                tell(&chosen, *choice);
            }
        })
        .on_tray_icon_event(move |_, event| {
            let left = MouseButton::Left;
            if matches!(event, TrayIconEvent::DoubleClick { button, .. } if button == left) {
                tell(&clicks, Choice::Show);
            }
        });
    if let Some(icon) = app.default_window_icon() {
        builder = builder.icon(icon.clone());
    }
    builder.build(app)
}

fn menu<R: Runtime>(app: &AppHandle<R>, entries: &[Entry]) -> tauri::Result<Menu<R>> {
    let menu = Menu::new(app)?;
    for entry in entries {
        let id = CHOICES.iter().find(|(choice, _)| *choice == entry.choice);
        let (_, id) = id.unwrap_or(&CHOICES[0]);
        // An ampersand would mark the letter behind it.
        let label = entry.label.replace('&', "&&");
        menu.append(&MenuItem::with_id(app, *id, label, true, None::<&str>)?)?;
    }
    Ok(menu)
}
