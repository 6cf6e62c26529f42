//! Every number of the contract, in one place.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::millis;

/// Version of the wire contract that this crate speaks.
pub const PROTOCOL_VERSION: u32 = 1;

/// Smallest radius of a circle, in metres.
pub const RADIUS_MIN_M: u32 = 100;
/// Largest radius of a circle, in metres.
pub const RADIUS_MAX_M: u32 = 2_000;
/// Radii for which a relay counts who would be in range, in metres.
pub const REACH_RADII_M: [u32; 5] = [100, 250, 500, 1_000, 2_000];

/// Fewest characters of a username.
pub const USERNAME_MIN_CHARS: usize = 3;
/// Most characters of a username.
pub const USERNAME_MAX_CHARS: usize = 20;
/// How often a session may change its username.
pub const USERNAME_CHANGES: u32 = 3;

/// Most characters of a message, after trimming.
pub const MESSAGE_MAX_CHARS: usize = 500;
/// How many messages a session may send within [`MESSAGE_WINDOW`].
pub const MESSAGES_PER_WINDOW: u32 = 10;
/// The sliding window in which messages are counted.
pub const MESSAGE_WINDOW: Duration = Duration::from_secs(60);
/// How long a message lives, everywhere.
pub const MESSAGE_TTL: Duration = Duration::from_secs(30 * 60);

/// One location or radius update may be sent per interval …
pub const LOCATION_INTERVAL: Duration = Duration::from_secs(10);
/// … after a burst of this many.
pub const LOCATION_BURST: u32 = 3;
/// A place lives this long without an update or an open socket.
pub const PLACE_TTL: Duration = Duration::from_secs(5 * 60);

/// Movement above this speed, in metres a second, is implausible …
pub const MAX_SPEED_M_S: f64 = 150.0;
/// … when it happens twice within this time …
pub const IMPLAUSIBLE_WINDOW: Duration = Duration::from_secs(60);
/// … and is refused until the place has been still for this long.
pub const IMPLAUSIBLE_STILL: Duration = Duration::from_secs(60);

/// At most one `typing` per interval reaches others.
pub const TYPING_INTERVAL: Duration = Duration::from_secs(3);

/// Signals a second that a session may send …
pub const SIGNALS_PER_SECOND: u32 = 50;
/// … after a burst of this many.
pub const SIGNALS_BURST: u32 = 200;
/// Bytes a second that a session's signals may have in all …
pub const SIGNAL_BYTES_PER_SECOND: u32 = 64 * 1024;
/// … after so many at once. A whole mesh takes a fifth of that; more would crowd out what else the other
/// is to be told.
pub const SIGNAL_BYTES_BURST: u32 = 512 * 1024;
/// Most bytes of a session description in a signal.
pub const SDP_MAX_BYTES: usize = 32 * 1024;
/// Most bytes of an ICE candidate line in a signal. Real ones stay below 300.
pub const CANDIDATE_MAX_BYTES: usize = 1_024;
/// Most bytes of a candidate's `sdp_mid`.
pub const SDP_MID_MAX_BYTES: usize = 64;
/// A session may join voice once in this time, as each join is told to everyone in voice around …
pub const VOICE_JOIN_INTERVAL: Duration = Duration::from_secs(2);
/// … after a burst of this many.
pub const VOICE_JOIN_BURST: u32 = 10;
/// How many people one person connects to in voice (each is a peer-to-peer connection).
pub const VOICE_MAX_PEERS: u32 = 8;
/// How long somebody whose socket is lost stays in voice, for their voice needs none.
pub const VOICE_GRACE: Duration = Duration::from_secs(15);

/// A session may report somebody once in this time …
pub const REPORT_INTERVAL: Duration = Duration::from_secs(6);
/// … after a burst of this many.
pub const REPORT_BURST: u32 = 10;

/// A session ends after this long without any request or open socket.
pub const SESSION_TTL: Duration = Duration::from_secs(30 * 60);

/// The first frame must be `hello` within this time.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// The relay sends a WebSocket ping this often.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// A socket on which nothing has arrived for this long is closed.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(45);

/// Most bytes of a socket frame from a client.
pub const FRAME_MAX_BYTES: usize = 64 * 1024;
/// Most bytes of an HTTP request body.
pub const BODY_MAX_BYTES: usize = 16 * 1024;
/// Most bytes of a `ping` nonce.
pub const NONCE_MAX_BYTES: usize = 64;

/// What has changed about somebody is told to all others together, this often, so that the instant
/// of the change gives nothing away.
pub const PRESENCE_TICK: Duration = Duration::from_secs(1);
/// `reach` is sent at most this often.
pub const REACH_INTERVAL: Duration = Duration::from_secs(5);

/// The limits that a relay holds its clients to, as `welcome` tells them, so that clients
/// hard-code none. Durations are in milliseconds, distances in metres, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[allow(missing_docs, reason = "each field is the constant of the same name")]
pub struct Limits {
    pub radius_min: u32,
    pub radius_max: u32,
    pub username_min_chars: u32,
    pub username_max_chars: u32,
    pub username_changes: u32,
    pub message_max_chars: u32,
    pub messages_per_minute: u32,
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub message_ttl_ms: u64,
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub location_interval_ms: u64,
    pub location_burst: u32,
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub place_ttl_ms: u64,
    pub max_speed_m_s: u32,
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub typing_interval_ms: u64,
    pub signals_per_second: u32,
    pub signals_burst: u32,
    pub sdp_max_bytes: u32,
    pub frame_max_bytes: u32,
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub session_ttl_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            radius_min: RADIUS_MIN_M,
            radius_max: RADIUS_MAX_M,
            username_min_chars: USERNAME_MIN_CHARS as u32,
            username_max_chars: USERNAME_MAX_CHARS as u32,
            username_changes: USERNAME_CHANGES,
            message_max_chars: MESSAGE_MAX_CHARS as u32,
            messages_per_minute: MESSAGES_PER_WINDOW,
            message_ttl_ms: millis(MESSAGE_TTL),
            location_interval_ms: millis(LOCATION_INTERVAL),
            location_burst: LOCATION_BURST,
            place_ttl_ms: millis(PLACE_TTL),
            max_speed_m_s: MAX_SPEED_M_S as u32,
            typing_interval_ms: millis(TYPING_INTERVAL),
            signals_per_second: SIGNALS_PER_SECOND,
            signals_burst: SIGNALS_BURST,
            sdp_max_bytes: SDP_MAX_BYTES as u32,
            frame_max_bytes: FRAME_MAX_BYTES as u32,
            session_ttl_ms: millis(SESSION_TTL),
        }
    }
}
