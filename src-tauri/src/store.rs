//! The file that settings are kept in.

use std::{
    fs::{self, File},
    io::{self, Write},
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

    /// Keeps these in place of what was kept before. Whatever happens meanwhile, a loss of power
    /// included, either the old or the new ones are there.
    pub fn save(&self, settings: &Settings) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let new = self.new_path();
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(settings)?)?;
        // Otherwise some file systems may rename it before there is anything in it.
        file.sync_all()?;
        fs::rename(&new, self.path())
    }

    /// Forgets everything, also what was being written when the program was killed.
    pub fn forget(&self) -> io::Result<()> {
        let gone = [self.path(), self.new_path()].map(|path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
        gone.into_iter().collect()
    }

    fn path(&self) -> PathBuf {
        self.folder.join(NAME)
    }

    /// Where they are written before they take their place.
    fn new_path(&self) -> PathBuf {
        self.folder.join(format!("{NAME}.new"))
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
        // Somebody was killed while it was written.
        fs::write(
            store.new_path(),
            r#"{"relay": "https://secret.example.org"}"#,
        )
        .unwrap();
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
