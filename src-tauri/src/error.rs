//! What the window is told when something that it asked for can't be done.

use neartalk_client::NotGiven;
use serde::Serialize;
use specta::Type;
use thiserror::Error;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Type, Error)]
#[error("{message}")]
pub struct CommandError {
    /// For programs.
    pub code: CommandErrorCode,
    /// For people: what happened and what to do.
    pub message: String,
}

/// Why a command was not carried out, for programs. A code exists only because somebody acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Type)]
#[serde(rename_all = "snake_case")]
pub enum CommandErrorCode {
    /// The place is none on the Earth.
    InvalidLocation,
    /// A setting is none that exists.
    InvalidSettings,
    /// The address is none of a relay.
    InvalidRelay,
    /// The link is none that may be opened.
    InvalidLink,
    /// Too much at once; again in a moment.
    Busy,
    /// The system does not do it, or not now.
    Unavailable,
}

impl CommandError {
    /// With a message for people.
    pub fn new(code: CommandErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The system does not do it, or not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(CommandErrorCode::Unavailable, message)
    }
}

impl From<NotGiven> for CommandError {
    fn from(error: NotGiven) -> Self {
        let code = match error {
            NotGiven::Busy => CommandErrorCode::Busy,
            NotGiven::Ended(_) => CommandErrorCode::Unavailable,
        };
        Self::new(code, error.to_string())
    }
}
