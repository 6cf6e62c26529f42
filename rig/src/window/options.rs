//! How a window is opened.

use std::process::Command;

use super::Home;
use crate::{bus::Bus, system::System};

const DRIVER: &str = "WebKitWebDriver";

/// How a window is opened. By itself for nobody in particular, in a home and on a bus that are new, by this
/// machine's driver.
#[derive(Debug)]
pub struct Options {
    /// Whose window it is, as errors say it.
    pub name: String,
    /// Where the program lives; somewhere new if it is nowhere.
    pub home: Option<Home>,
    /// Where something may be offered already; if there is none, a bus on which nothing is.
    pub bus: Option<Bus>,
    /// On the program's command line.
    pub arguments: Vec<String>,
    /// What starts the program, which has its environment from there: what is set here, but for home, bus,
    /// screen and language.
    pub driver: Command,
}

impl Options {
    /// For a program of another system, where the driver is started as well.
    pub fn within(system: &System) -> Self {
        Self::driven_by(system.command(DRIVER))
    }

    fn driven_by(mut driver: Command) -> Self {
        // There is neither a graphics card nor an accessibility bus.
        driver
            .env("WEBKIT_DISABLE_DMABUF_RENDERER", "1")
            .env("NO_AT_BRIDGE", "1")
            .env_remove("WAYLAND_DISPLAY");
        Self {
            name: "somebody".to_owned(),
            home: None,
            bus: None,
            arguments: Vec::new(),
            driver,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::driven_by(Command::new(DRIVER))
    }
}
