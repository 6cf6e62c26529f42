//! What a server of updates has, by Tauri's updater.

use std::time::Duration;

use tauri::{AppHandle, Runtime, Url, async_runtime};
use tauri_plugin_updater::{Update, UpdaterExt};

use crate::error::CommandError;

const FROM: Option<&str> = option_env!("NEARTALK_UPDATES");
const KEY: Option<&str> = option_env!("NEARTALK_UPDATE_KEY");
/// A server that has not answered by then never will.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where newer versions are, and whose signature they must bear.
#[derive(Clone, Debug)]
pub struct Source {
    from: Url,
    key: String,
}

/// What this program was built to ask.
pub fn builtin() -> Option<Source> {
    source(FROM, KEY)
}

/// None unless both are given.
fn source(from: Option<&str>, key: Option<&str>) -> Option<Source> {
    let (from, key) = from.zip(key)?;
    match Url::parse(from) {
        Ok(from) => Some(Source::new(from, key)),
        Err(error) => {
            tracing::error!(%error, "NEARTALK_UPDATES was no address when this was built");
            None
        }
    }
}

impl Source {
    /// From an address that answers as <https://v2.tauri.app/plugin/updater/> says, signed with the
    /// other half of this key.
    pub fn new(from: Url, key: impl Into<String>) -> Self {
        let key = key.into();
        Self { from, key }
    }

    /// Which version is newer than this one, if any.
    ///
    /// # Errors
    /// When the server does not answer, or nonsense.
    pub async fn look<R: Runtime>(
        &self,
        app: &AppHandle<R>,
    ) -> Result<Option<String>, CommandError> {
        Ok(self.find(app).await?.map(|update| update.version))
    }

    /// Has what is newer, if anything, and makes sure that it was signed, for this very version.
    ///
    /// # Errors
    /// When it can't be had, or is not signed as it must be.
    pub async fn fetch<R: Runtime>(
        &self,
        app: &AppHandle<R>,
    ) -> Result<Option<(Update, Vec<u8>)>, CommandError> {
        let Some(update) = self.find(app).await? else {
            return Ok(None);
        };
        let program = update.download(|_, _| {}, || {}).await;
        let program = program.map_err(|error| failed("was refused", &error))?;
        Ok(Some((update, program)))
    }

    /// Installs what is newer; whether there was something.
    ///
    /// # Errors
    /// As [`Source::fetch`], and when the system does not take it.
    pub async fn install<R: Runtime>(&self, app: &AppHandle<R>) -> Result<bool, CommandError> {
        let Some((update, program)) = self.fetch(app).await? else {
            return Ok(false);
        };
        // It writes files, and may wait for the person's password.
        let done = async_runtime::spawn_blocking(move || update.install(program)).await;
        let done = done.map_err(|error| failed("was not installed", &error))?;
        done.map_err(|error| failed("was not installed", &error))?;
        Ok(true)
    }

    async fn find<R: Runtime>(&self, app: &AppHandle<R>) -> Result<Option<Update>, CommandError> {
        let found = async {
            let builder = app.updater_builder().endpoints(vec![self.from.clone()])?;
            let updater = builder.pubkey(&*self.key).timeout(PATIENCE).build()?;
            updater.check().await
        };
        found.await.map_err(|error| failed("was not found", &error))
    }
}

fn failed(what: &str, error: &dyn std::error::Error) -> CommandError {
    CommandError::unavailable(format!("An update {what}: {error}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_key_is_nowhere_to_ask() {
        let address = Some("https://updates.example/latest.json");
        assert!(source(address, Some("key")).is_some());
        for (from, key) in [
            (None, None),
            (address, None),
            (None, Some("key")),
            (Some("no address"), Some("key")),
        ] {
            assert!(source(from, key).is_none(), "{from:?} {key:?}");
        }
    }
}
