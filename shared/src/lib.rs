//! What a NearTalk client and a NearTalk relay must agree on, byte for byte and metre for metre:
//! wire types, geography, limits and names.
//!
//! Nothing here does I/O, waits, or reads a clock: time and randomness are arguments.
//!
//! - [`frame`]: the socket's frames, [`http`]: the HTTP bodies, [`error`]: the codes of both.
//! - [`geo`]: places and distances on the sphere, [`grid`]: the privacy grid that every place is
//!   snapped to, [`range`]: who is in range of whom.
//! - [`id`], [`username`], [`text`], [`radius`]: input that has been parsed once and for all.
//! - [`proof`]: the work that a relay under attack asks for.
//! - [`limits`]: every number of the contract in one place.

pub mod error;
pub mod frame;
pub mod geo;
pub mod grid;
pub mod http;
pub mod id;
pub mod limits;
pub mod names;
pub mod proof;
pub mod radius;
pub mod range;
pub mod text;
pub mod time;
#[cfg(feature = "typescript")]
pub mod typescript;
pub mod username;

pub use error::{ApiError, ErrorCode};
pub use frame::{ClientFrame, ServerFrame};
pub use geo::Place;
pub use grid::{Cell, Grid};
pub use id::{MessageId, PeerId, SessionId};
pub use limits::Limits;
pub use radius::Radius;
pub use range::{DistanceBand, Spot};
pub use text::MessageText;
pub use time::Timestamp;
pub use username::Username;
