//! What a program finds when it starts.

use std::{fs, os::unix::fs::DirBuilderExt, path::PathBuf, process::Command, sync::Arc};

use anyhow::Result;
use tempfile::TempDir;

/// A folder that a program takes for its home, with the folders in it that programs want. It is gone
/// when nobody lives there any more.
#[derive(Clone, Debug)]
pub struct Home(Arc<TempDir>);

impl Home {
    /// A new one.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create() -> Result<Self> {
        let it = Self(Arc::new(tempfile::tempdir()?));
        // Whoever else is on this machine must not reach into the runtime folder, or D-Bus refuses it.
        let mut maker = fs::DirBuilder::new();
        maker.recursive(true).mode(0o700);
        for folder in ["config", "data", "cache", "run"] {
            maker.create(it.0.path().join(folder))?;
        }
        Ok(it)
    }

    /// Where programs keep what was chosen.
    pub fn config(&self) -> PathBuf {
        self.0.path().join("config")
    }

    /// Lets a program live there.
    pub fn equip(&self, command: &mut Command) {
        command.env("HOME", self.0.path());
        for (name, folder) in [
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_DATA_HOME", "data"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_RUNTIME_DIR", "run"),
        ] {
            command.env(name, self.0.path().join(folder));
        }
    }
}
