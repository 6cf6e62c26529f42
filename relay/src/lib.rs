//! The NearTalk relay: a library with a thin `main`.
//!
//! How a message flows: [`socket`] parses a frame once and hands it to the [`hub`], the actor that
//! owns the [`room`]; the room finds who is in range and puts one shared, serialised frame into
//! each recipient's queue, whom [`wake`] then wakes; each recipient's [`socket`] writes what has queued up
//! in one flush.
//! Behind the room is a [`store`]: none but the room itself, or Redis, by which the rooms of many
//! relays know of each other.

pub mod address;
pub mod admin;
pub mod clock;
pub mod config;
pub mod database;
pub mod figures;
pub mod http;
pub mod hub;
pub mod metrics;
pub mod moderation;
pub mod pace;
pub mod quota;
pub mod room;
pub mod server;
pub mod socket;
pub mod store;
pub mod turn;
pub mod wake;

pub use config::Config;
pub use server::{Server, StartError};
