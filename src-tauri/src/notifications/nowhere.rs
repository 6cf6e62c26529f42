//! Where nothing shows notifications.

use std::future;

use super::{Id, Outcome};
use crate::{error::CommandError, told::Notification};

/// Nothing.
#[derive(Debug, Default)]
pub struct System;

impl System {
    /// Shows none.
    pub async fn show(&mut self, _: &Notification, _: Option<Id>) -> Result<Id, CommandError> {
        Err(CommandError::unavailable(
            "This version of NearTalk shows no notifications here.",
        ))
    }

    /// There is none.
    pub async fn take_back(&mut self, _: Id) {}

    /// Nothing comes of none.
    pub async fn next(&mut self) -> Outcome {
        future::pending().await
    }
}
