//! The icon in the tray, where there is a tray: to bring the window up or send it away, to be quiet,
//! to leave voice, to quit. Where there is none, nothing is ever hidden.
//!
//! One task owns what the icon offers. It appears once the window has said in which words.

#[cfg_attr(mobile, allow(dead_code, reason = "no phone has a tray"))]
mod menu;
#[cfg_attr(target_os = "linux", path = "tray/notifier_item.rs")]
#[cfg_attr(any(target_os = "macos", windows), path = "tray/native.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "macos", windows)),
    path = "tray/nowhere.rs"
)]
#[cfg_attr(mobile, allow(dead_code, reason = "no phone has a tray"))]
mod system;

use neartalk_client::{
    Command,
    voice::{VoicePhase, VoiceStatus},
};
use tauri::{AppHandle, Manager, Runtime, async_runtime};
use tokio::sync::{mpsc, watch};

pub use self::menu::TrayWords;
use self::{
    menu::{Choice, Looks},
    system::System,
};
use crate::{front, host::Host, ipc::tell, told::AppEvent};

/// What may wait for the task.
const NEWS: usize = 256;

/// What the task hears.
#[derive(Debug)]
#[cfg_attr(mobile, allow(dead_code, reason = "no phone has a tray"))]
enum News {
    Words(TrayWords),
    /// How it stands with one's own voice.
    Voice {
        joined: bool,
        muted: bool,
    },
    /// Whether the window is to be seen.
    Window {
        visible: bool,
    },
    /// Whether the person wants the window hidden when they close it.
    Closing {
        hides: bool,
    },
    /// Whether there is a tray.
    There(bool),
    Chosen(Choice),
}

/// Tells the task that owns the icon.
#[derive(Clone, Debug)]
pub struct Tray {
    news: mpsc::Sender<News>,
    there: watch::Receiver<bool>,
    hides: watch::Receiver<bool>,
}

impl Tray {
    /// Starts the task.
    pub fn start<R: Runtime>(app: AppHandle<R>) -> Self {
        let (news, waiting) = mpsc::channel(NEWS);
        let (tell_there, there) = watch::channel(false);
        let (tell_hides, hides) = watch::channel(false);
        let task = Task {
            app,
            news: news.clone(),
            words: None,
            looks: Looks::default(),
            wants_hiding: false,
            there: tell_there,
            hides: tell_hides,
            system: None,
        };
        async_runtime::spawn(task.run(waiting));
        Self { news, there, hides }
    }

    /// Whether there is a tray with the icon in it.
    pub fn is_there(&self) -> bool {
        *self.there.borrow()
    }

    /// Whether the window is to be hidden rather than closed: the person wants that, and will find it.
    pub fn takes_window(&self) -> bool {
        *self.hides.borrow()
    }

    /// In which words the icon offers what it offers.
    pub fn say(&self, words: TrayWords) {
        self.tell(News::Words(words));
    }

    /// How it stands with one's own voice.
    pub fn voice_is(&self, status: &VoiceStatus) {
        self.tell(News::Voice {
            joined: !matches!(status.phase, VoicePhase::Off),
            muted: status.muted,
        });
    }

    /// One is not in voice any more, and nobody else tells.
    pub fn voice_is_off(&self) {
        self.tell(News::Voice {
            joined: false,
            muted: false,
        });
    }

    /// Whether the window is to be seen.
    pub fn window_is(&self, visible: bool) {
        self.tell(News::Window { visible });
    }

    /// Whether the person wants the window hidden when they close it.
    pub fn closing_hides(&self, hides: bool) {
        self.tell(News::Closing { hides });
    }

    fn tell(&self, news: News) {
        if self.news.try_send(news).is_err() {
            tracing::warn!("too much at once: the icon in the tray may be wrong");
        }
    }
}

struct Task<R: Runtime> {
    app: AppHandle<R>,
    news: mpsc::Sender<News>,
    words: Option<TrayWords>,
    looks: Looks,
    wants_hiding: bool,
    there: watch::Sender<bool>,
    hides: watch::Sender<bool>,
    system: Option<System<R>>,
}

impl<R: Runtime> Task<R> {
    async fn run(mut self, mut waiting: mpsc::Receiver<News>) {
        while let Some(news) = waiting.recv().await {
            match news {
                News::Words(words) => self.words = Some(words),
                News::Voice { joined, muted } => {
                    self.looks.in_voice = joined;
                    self.looks.muted = muted;
                }
                News::Window { visible } => self.looks.hidden = !visible,
                News::Closing { hides } => self.wants_hiding = hides,
                News::There(there) => self.is_there(there),
                News::Chosen(choice) => self.take(choice),
            }
            self.hides
                .send_replace(self.wants_hiding && *self.there.borrow());
            self.draw().await;
        }
    }

    fn is_there(&mut self, there: bool) {
        if self.there.send_replace(there) == there {
            return;
        }
        tell(&self.app, &AppEvent::Tray { there });
        if !there && self.looks.hidden {
            // Otherwise nobody could find it.
            front::bring_up(&self.app);
        }
    }

    fn take(&self, choice: Choice) {
        let command = match choice {
            Choice::Show => return front::bring_up(&self.app),
            Choice::Hide => return front::hide(&self.app),
            Choice::Quit => return self.app.exit(0),
            Choice::Mute => Command::VoiceMute { muted: true },
            Choice::Unmute => Command::VoiceMute { muted: false },
            Choice::LeaveVoice => Command::VoiceLeave,
        };
        if let Err(error) = self.app.state::<Host>().command(command) {
            tracing::warn!(%error, "what was chosen in the tray was not done");
        }
    }

    async fn draw(&mut self) {
        let Some(words) = &self.words else { return };
        let entries = menu::entries(words, self.looks);
        match &mut self.system {
            Some(system) => system.change(entries).await,
            None => {
                let news = self.news.clone();
                self.system = System::start(&self.app, entries, news).await;
            }
        }
    }
}
