//! The codes that both edges of a relay, HTTP and socket, answer with.

use serde::{Deserialize, Serialize};

/// What went wrong, for programs. Stable; a code exists only because somebody acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The radius is outside 100 to 2,000 m.
    InvalidRadius,
    /// The coordinates are no point on the Earth.
    InvalidLocation,
    /// The place jumped faster than anyone travels; it has to be still for a minute.
    ImplausibleLocation,
    /// The username breaks a rule.
    InvalidUsername,
    /// No username changes are left in this session.
    UsernameChangesExhausted,
    /// The message is empty, too long, has control characters, or its id is taken.
    InvalidMessage,
    /// The relay does not pass this message on: it has a word that is not wanted here, or has been
    /// said too often. Sending it again does not help.
    MessageRefused,
    /// Too much of something in too short a time; `retry_after_ms` says when again.
    RateLimited,
    /// Nobody with that id is in voice and in range. The same for strangers and for nobody.
    NotInRange,
    /// The signal is malformed or too large.
    InvalidSignal,
    /// There is no place yet; send one first.
    NoLocation,
    /// Nobody may be at this place for a time; `retry_after_ms` says for how long.
    PlaceClosed,
    /// Many sessions are being made; show that this one is worth some work to you, see
    /// [`proof`](crate::proof).
    ProofRequired,
    /// The `hello` asks for a protocol version that this relay does not speak.
    UnsupportedProtocol,
    /// The frame's `type` is unknown.
    UnknownType,
    /// The frame is not the JSON that its type asks for.
    InvalidFrame,
    /// The body is not the JSON that the call asks for.
    InvalidBody,
    /// The session is unknown or has ended.
    Unauthorized,
    /// The page that sent this may not use this relay.
    ForbiddenOrigin,
    /// This relay has blocked the sender for a time.
    Banned,
    /// There is nothing at this path.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// The body is too large.
    BodyTooLarge,
    /// The request took too long to arrive.
    RequestTimeout,
    /// The relay can't do this right now; try again.
    Unavailable,
    /// A code that this version does not know.
    #[serde(other)]
    Unknown,
}

/// An error as both edges say it: a code for programs, a message for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct ApiError {
    /// What went wrong, for programs.
    pub code: ErrorCode,
    /// What happened and what to do, for people.
    pub message: String,
    /// When to try again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "typescript", specta(type = Option<specta_typescript::Number>))]
    pub retry_after_ms: Option<u64>,
}

impl ApiError {
    /// An error with no time to try again.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// `rate_limited`, to be tried again after `retry_after_ms`.
    pub fn rate_limited(what: &str, retry_after_ms: u64) -> Self {
        Self {
            code: ErrorCode::RateLimited,
            message: format!("{what}; try again in {} s", retry_after_ms.div_ceil(1_000)),
            retry_after_ms: Some(retry_after_ms),
        }
    }
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

macro_rules! api_error_from {
    ($($error:path => $code:ident),* $(,)?) => {$(
        impl From<$error> for ApiError {
            fn from(error: $error) -> Self {
                Self::new(ErrorCode::$code, sentence(&error.to_string()))
            }
        }
    )*};
}

api_error_from! {
    crate::radius::InvalidRadius => InvalidRadius,
    crate::geo::InvalidPlace => InvalidLocation,
    crate::username::InvalidUsername => InvalidUsername,
    crate::text::InvalidMessage => InvalidMessage,
}

/// Errors of libraries start small and end without a stop; sentences for people do not.
fn sentence(s: &str) -> String {
    let mut chars = s.chars();
    match chars.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str()),
        None => String::new(),
    }
}
