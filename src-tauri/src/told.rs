//! What the shell tells the window.

use neartalk_client::Event;
use neartalk_location::{Problem, State};
use serde::{Deserialize, Serialize};
use specta::Type;

use crate::{error::CommandError, settings::Settings, tray};

/// What the shell knows when the window opens.
#[derive(Clone, Debug, PartialEq, Serialize, Type)]
pub struct AppStart {
    /// What it runs on.
    pub platform: Platform,
    /// Of this program.
    pub version: String,
    /// What has been chosen.
    pub settings: Settings,
    /// How it stands with this device's place.
    pub place: PlaceState,
    /// Whether the microphone may be used.
    pub microphone: MicrophonePermission,
    /// Whether this system lets a key talk while another window has the focus.
    pub can_global_key: bool,
    /// Whether there is a tray to hide the window in.
    pub can_tray: bool,
    /// Whether NearTalk was told where newer versions are.
    pub can_update: bool,
    /// Whether NearTalk can start when the person logs in.
    pub can_autostart: bool,
}

/// What the engine tells, on its way to the window.
#[derive(Clone, Debug, PartialEq, Serialize, Type)]
#[serde(transparent)]
pub struct EngineEvent(pub Event);

/// What the shell tells by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Type)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum AppEvent {
    /// It stands otherwise with this device's place.
    Place {
        /// How.
        place: PlaceState,
    },
    /// Whether the microphone may be used has changed.
    Microphone {
        /// Whether it may.
        permission: MicrophonePermission,
    },
    /// Settings have changed without the window's doing.
    Settings {
        /// All of them.
        settings: Settings,
    },
    /// A `neartalk://join?relay=…` link was opened.
    Invited {
        /// The relay's address.
        relay: String,
    },
    /// Something went wrong that the window has not asked for just now.
    Failed {
        /// What, and what to do.
        error: CommandError,
    },
    /// The key that talks was pressed or let go, while any window had the focus.
    Talk {
        /// Whether it is down.
        pressed: bool,
    },
    /// There is a tray now, or none any more.
    Tray {
        /// Whether there is.
        there: bool,
    },
    /// A notification or the tray asks for something.
    Open {
        /// For what.
        what: Part,
    },
}

/// A part of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What is said.
    Chat,
    /// What can be chosen.
    Settings,
}

/// How it stands with this device's place. It never holds coordinates of a measured place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Type)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum PlaceState {
    /// Nobody has asked for it.
    #[default]
    Unasked,
    /// It is being looked for.
    Finding,
    /// It is known, and followed.
    Live {
        /// How far off it may be, in whole metres, if the system says so.
        accuracy_m: Option<u32>,
    },
    /// It was chosen by hand.
    ByHand {
        /// Degrees north.
        #[specta(type = specta_typescript::Number)]
        lat: f64,
        /// Degrees east.
        #[specta(type = specta_typescript::Number)]
        lon: f64,
        /// What it is called there, if anything.
        label: Option<String>,
    },
    /// The system or the person does not allow it.
    Denied,
    /// It can't be had.
    Unavailable {
        /// Why.
        #[serde(flatten)]
        problem: PlaceProblem,
    },
}

/// Why a place can't be had, for the window to say in its language.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Type)]
#[serde(tag = "problem", rename_all = "snake_case")]
pub enum PlaceProblem {
    /// Nobody on this system tells places.
    NoService,
    /// The service was there and has ended; it is waited for.
    ServiceGone,
    /// Nothing has been found for long; the search goes on.
    NotFound,
    /// What was found would put the person among people who are far away.
    TooCoarse {
        /// How far off the place may be, in whole metres.
        accuracy_m: u32,
    },
    /// Something else.
    Failed {
        /// In the system's own words.
        detail: String,
    },
}

impl From<Problem> for PlaceProblem {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::NoService => Self::NoService,
            Problem::ServiceGone => Self::ServiceGone,
            Problem::NotFound => Self::NotFound,
            Problem::TooCoarse { accuracy_m } => Self::TooCoarse {
                // A float becomes the nearest number that there is.
                accuracy_m: accuracy_m.ceil() as u32,
            },
            Problem::Failed(detail) => Self::Failed { detail },
        }
    }
}

impl From<State> for PlaceState {
    fn from(state: State) -> Self {
        match state {
            State::Finding => Self::Finding,
            State::Live(reading) => Self::Live {
                // A float becomes the nearest number that there is.
                accuracy_m: reading.accuracy_m.map(|metres| metres.ceil() as u32),
            },
            State::Denied => Self::Denied,
            State::Unavailable(problem) => Self::Unavailable {
                problem: problem.into(),
            },
        }
    }
}

/// Whether the microphone may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum MicrophonePermission {
    /// The system will ask.
    Unasked,
    /// It may.
    Granted,
    /// It may not.
    Denied,
}

/// What this program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as they say")]
pub enum Platform {
    Linux,
    Macos,
    Windows,
    Android,
    Ios,
}

impl Platform {
    /// This one.
    pub const fn this() -> Self {
        if cfg!(target_os = "macos") {
            Self::Macos
        } else if cfg!(windows) {
            Self::Windows
        } else if cfg!(target_os = "android") {
            Self::Android
        } else if cfg!(target_os = "ios") {
            Self::Ios
        } else {
            Self::Linux
        }
    }
}

/// What the shell says outside the window, in the language of the window.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Type)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// On the icon in the tray.
    pub tray: tray::TrayWords,
    /// What the key does that talks.
    pub talk: String,
    /// What a phone shows while a call goes on.
    pub call: String,
}

/// A notification as the window wants it shown. The window decides what may stand in it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Type)]
pub struct Notification {
    /// Its first line.
    pub title: String,
    /// The rest.
    pub body: String,
    /// A later one with the same takes the place of an earlier one.
    pub tag: String,
}
