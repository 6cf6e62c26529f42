//! A message bus of one's own, on which nothing is started that nobody has asked for: no desktop's
//! portal, and no daemon that outlives the test.

use std::{fs, process::Command};

use anyhow::{Context, Result};
use zbus::{
    blocking::{Connection, connection},
    names::WellKnownName,
    object_server::Interface,
};

use crate::process::Process;

const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=/tmp</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A running message bus, ended when dropped.
#[derive(Debug)]
pub struct Bus {
    address: String,
    _daemon: Process,
}

impl Bus {
    /// Starts one.
    ///
    /// # Errors
    /// When there is no `dbus-daemon`, or it doesn't start.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("bus.conf");
        fs::write(&config, CONFIG)?;
        let mut command = Command::new("dbus-daemon");
        command.arg("--config-file").arg(&config);
        command.args(["--nofork", "--print-address=1"]);
        let mut daemon = Process::start(&mut command)?;
        let address = daemon.wait_for("the address of the bus", |line| {
            line.starts_with("unix:").then(|| line.to_owned())
        })?;
        Ok(Self {
            address,
            _daemon: daemon,
        })
    }

    /// As in `DBUS_SESSION_BUS_ADDRESS`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Lets a program speak on it.
    pub fn equip(&self, command: &mut Command) {
        command.env("DBUS_SESSION_BUS_ADDRESS", &self.address);
    }

    /// Speaks on it.
    ///
    /// # Errors
    /// When it has ended.
    pub fn connect(&self) -> Result<Connection> {
        let builder = connection::Builder::address(self.address.as_str())?;
        builder.build().context("connecting to the bus")
    }

    /// Offers an object on it under a name that others know.
    ///
    /// # Errors
    /// When the name is taken.
    pub fn serve(&self, name: &str, path: &str, object: impl Interface) -> Result<Connection> {
        let name = WellKnownName::try_from(name)?;
        let builder = connection::Builder::address(self.address.as_str())?;
        let builder = builder.serve_at(path, object)?.name(name)?;
        builder.build().context("serving on the bus")
    }
}
