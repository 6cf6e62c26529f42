//! Where windows are opened.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::process::Process;

/// A screen that nobody sees.
#[derive(Debug)]
pub struct Screen {
    display: String,
    _server: Process,
}

impl Screen {
    /// Starts one.
    ///
    /// # Errors
    /// When there is no `Xvfb`, or it doesn't start.
    pub fn start(width: u32, height: u32) -> Result<Self> {
        let size = format!("{width}x{height}x24");
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", &size, "-nolisten", "tcp"]);
        let mut server = Process::start(&mut command)?;
        let number =
            server.wait_for("the number of the screen", |line| line.parse::<u32>().ok())?;
        Ok(Self {
            display: format!(":{number}"),
            _server: server,
        })
    }

    /// As in `DISPLAY`.
    pub fn display(&self) -> &str {
        &self.display
    }

    /// Takes a picture of the whole of it, by ImageMagick's `import`.
    ///
    /// # Errors
    /// When there is no such program, or it fails.
    pub fn picture(&self, file: &Path) -> Result<()> {
        let mut import = Command::new("import");
        import.args(["-display", &self.display, "-window", "root"]);
        // A window has few colours, and a picture of it need not be large.
        import
            .args(["-strip", "+dither", "-colors", "256"])
            .arg(file);
        let done = import.status().context("starting import")?;
        if !done.success() {
            bail!("import ended with {done}");
        }
        Ok(())
    }
}
