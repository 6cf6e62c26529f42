//! The wire types as TypeScript, for web clients and the app's UI.

use specta::Types;
use specta_typescript::{Error, Typescript};

use crate::{frame, http};

/// The contents of `bindings/wire.ts`.
pub fn export() -> Result<String, Error> {
    let types = Types::default()
        .register::<frame::ClientFrame>()
        .register::<frame::ServerFrame>()
        .register::<http::CreateSession>()
        .register::<http::CreatedSession>()
        .register::<http::ChangeUsername>()
        .register::<http::UsernameChanged>()
        .register::<http::LocationUpdated>()
        .register::<http::Nearby>()
        .register::<http::Health>()
        .register::<http::ErrorBody>();
    Typescript::default()
        .header(
            "// Made from the Rust types in shared/src by its test `typescript`; do not edit.\n",
        )
        .export(&types, specta_serde::Format)
}
