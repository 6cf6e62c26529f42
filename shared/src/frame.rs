//! The frames of `GET /ws`: text, one JSON object each, told apart by their `type`.

mod client;
mod server;

pub use self::{client::*, server::*};

use std::borrow::Cow;

use serde::Deserialize;

/// What kind of frame a text is.
#[derive(Deserialize)]
struct Tag<'a> {
    #[serde(rename = "type", borrow)]
    tag: Cow<'a, str>,
}
