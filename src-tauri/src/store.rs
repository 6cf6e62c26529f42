//! The file that settings are kept in.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::settings::Kept;

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
    pub fn load(&self) -> Kept {
        let text = match fs::read_to_string(self.path()) {
            Ok(text) => text,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, "the settings can't be read; starting with the usual ones");
                }
                return Kept::default();
            }
        };
        let (kept, unusable) = Kept::read(&text);
        if !unusable.is_empty() {
            tracing::warn!(
                ?unusable,
                "some settings are of no use; they are as usual instead"
            );
        }
        kept
    }

    /// Keeps these in place of what was kept before. Whatever happens meanwhile, either the old or
    /// the new ones are there.
    pub fn save(&self, kept: &Kept) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let new = self.folder.join(format!("{NAME}.new"));
        fs::write(&new, serde_json::to_vec_pretty(kept)?)?;
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
