//! One person's NearTalk without a window: session, connection to the relay, chat, people, voice, and
//! what may be known of the place.
//!
//! [`Engine::start`] runs all of it in one task that owns all state, with typed [`Command`]s in and
//! typed [`Event`]s out. Everything that decides is plain code that is handed time and randomness;
//! only [`engine`] and `link` touch the network and the clock:
//!
//! - [`outbox`]: own messages on their way, [`timeline`]: the chat, [`people`]: who is around,
//!   [`typing`]: who is typing.
//! - [`cloak`]: from where the device is to what may be known of it, [`budget`]: how often,
//!   [`placement`]: and what the relay knows.
//! - [`voice`]: who is in voice, and what is chosen about it.
//! - [`check_relay`]: whether an address is that of a relay, before anybody moves there.
//! - [`backoff`]: when to try the relay again, [`clock`]: time that goes on while the device sleeps.

pub mod backoff;
pub mod budget;
mod check;
pub mod cloak;
pub mod clock;
mod command;
mod core;
pub mod engine;
mod event;
mod link;
pub mod location;
mod network;
pub mod outbox;
pub mod people;
pub mod placement;
mod relay_url;
pub mod timeline;
pub mod typing;
pub mod voice;

pub use check::{RelayCheck, check_relay};
pub use command::Command;
pub use engine::{Engine, EngineConfig, EngineEnded, EngineHandle, EventReceiver, NotGiven};
pub use event::{
    ChatMessage, ConnectionState, Event, FailedReason, Me, OfflineReason, RemovedReason, Snapshot,
    StopReason, Waiting, Whereabouts,
};
pub use link::Timing;
pub use location::Fix;
pub use relay_url::{InvalidRelayUrl, RelayUrl};
