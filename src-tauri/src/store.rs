//! The file that settings are kept in.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::settings::Settings;

const NAME: &str = "settings.json";

/// Where settings are kept.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// In a folder, which is made when something is to be kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// What was kept; defaults where there is nothing, or nothing of use.
    pub fn load(&self) -> Settings {
        let text = match fs::read_to_string(self.path()) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "the settings can't be read; starting with the usual ones");
                }
                return Settings::default();
            }
        };
        let (settings, unusable) = Settings::read(&text);
        if !unusable.is_empty() {
            tracing::warn!(
                ?unusable,
                "some settings are of no use; they are as usual instead"
            );
        }
        settings
    }

    /// Keeps these in place of what was kept before. Whatever happens meanwhile, either the old or
    /// the new ones are there.
    pub fn save(&self, settings: &Settings) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let new = self.folder.join(format!("{NAME}.new"));
        fs::write(&new, serde_json::to_vec_pretty(settings)?)?;
        fs::rename(&new, self.path())
    }

    /// Forgets everything.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_file(self.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_there_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("not/yet/there"));
        assert_eq!(store.load(), Settings::default());
        let settings = Settings {
            sounds: false,
            ..Settings::default()
        };
        store.save(&settings).unwrap();
        assert_eq!(store.load(), settings);
        store.save(&Settings::default()).unwrap();
        assert_eq!(store.load(), Settings::default());
        store.forget().unwrap();
        assert_eq!(fs::read_dir(store.folder()).unwrap().count(), 0);
        // There is nothing to forget any more.
        store.forget().unwrap();
    }

    #[test]
    fn a_file_that_is_none_of_ours_is_as_if_there_were_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().to_owned());
        for bytes in [&b"\xff\xfe"[..], b"{", b""] {
            fs::write(store.path(), bytes).unwrap();
            assert_eq!(store.load(), Settings::default());
        }
    }
}
