//! The room's end of a connection: where frames and close codes go.

use std::{sync::Arc, time::Instant};

use axum::extract::ws::Utf8Bytes;
use neartalk_shared::ServerFrame;

/// A frame on its way out, serialised once and shared by all who get it.
#[derive(Debug)]
pub struct Frame {
    /// The JSON. This is axum's own type, so that sending it neither copies nor checks it again.
    pub json: Utf8Bytes,
    /// When the frame that caused this one arrived, if its latency is worth measuring.
    pub heard_at: Option<Instant>,
}

impl Frame {
    /// Serialises `frame`.
    pub fn new(frame: &ServerFrame) -> Arc<Self> {
        Self::from_json(frame.to_json(), None)
    }

    /// A frame from its JSON.
    pub fn from_json(json: String, heard_at: Option<Instant>) -> Arc<Self> {
        Arc::new(Self {
            json: json.into(),
            heard_at,
        })
    }
}

/// Why a relay closes a socket (RFC 6455, section 7.4; the 44xx codes are NearTalk's own).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// The relay is shutting down.
    GoingAway,
    /// Bytes that are no WebSocket frames.
    ProtocolError,
    /// A binary frame.
    Unsupported,
    /// A text frame that is not UTF-8.
    NotUtf8,
    /// A frame over the limit.
    TooBig,
    /// A protocol version that this relay does not speak, or no `hello` first.
    UnsupportedProtocol,
    /// An unknown or expired session.
    Unauthorized,
    /// The relay has blocked this person for a time.
    Banned,
    /// Nothing was heard for too long.
    Timeout,
    /// The session has a newer socket.
    Replaced,
    /// The reader did not keep up.
    TooSlow,
}

impl CloseCode {
    /// The number on the wire.
    pub const fn number(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::ProtocolError => 1002,
            Self::Unsupported => 1003,
            Self::NotUtf8 => 1007,
            Self::TooBig => 1009,
            Self::UnsupportedProtocol => 4400,
            Self::Unauthorized => 4401,
            Self::Banned => 4403,
            Self::Timeout => 4408,
            Self::Replaced => 4409,
            Self::TooSlow => 4413,
        }
    }

    /// The reason on the wire, for people who debug clients.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::GoingAway => "the relay is shutting down",
            Self::ProtocolError => "not a WebSocket frame",
            Self::Unsupported => "text frames only",
            Self::NotUtf8 => "not UTF-8",
            Self::TooBig => "frame too large",
            Self::UnsupportedProtocol => "unsupported protocol",
            Self::Unauthorized => "unknown session",
            Self::Banned => "banned",
            Self::Timeout => "nothing heard for too long",
            Self::Replaced => "this session has a newer socket",
            Self::TooSlow => "reader too slow",
        }
    }
}

/// A connection as the room sees it. Neither call waits.
pub trait Link {
    /// Queues `frame`; false when it can't be, because the reader is too slow or gone.
    fn send(&mut self, frame: &Arc<Frame>) -> bool;

    /// Closes the connection: after what is queued, unless the reader is too slow for that.
    fn close(&mut self, code: CloseCode);
}
