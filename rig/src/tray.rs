//! A desktop's tray, as far as programs can tell: they bring their icons to it over the bus, as
//! <https://www.freedesktop.org/wiki/Specifications/StatusNotifierItem/> has it, and it asks them for
//! their menus.

use std::{
    collections::HashMap,
    sync::mpsc::{self, Receiver, Sender},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use zbus::{
    blocking::{Connection, Proxy},
    interface,
    message::Header,
    zvariant::{OwnedObjectPath, OwnedValue, Value},
};

use crate::{bus::Bus, process::GUARD};

const NAME: &str = "org.kde.StatusNotifierWatcher";
const PATH: &str = "/StatusNotifierWatcher";
const ITEM: &str = "org.kde.StatusNotifierItem";
const ITEM_PATH: &str = "/StatusNotifierItem";
const MENU: &str = "com.canonical.dbusmenu";

/// A line of a menu, its properties and the lines below it.
type Line = (i32, HashMap<String, OwnedValue>, Vec<OwnedValue>);

/// Takes icons until it is dropped.
#[derive(Debug)]
pub struct Tray {
    connection: Connection,
    brought: Receiver<String>,
}

struct Watcher(Sender<String>);

#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, #[zbus(header)] header: Header<'_>, _service: String) {
        if let Some(sender) = header.sender() {
            // Nobody may look any more.
            let _ = self.0.send(sender.to_string());
        }
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

impl Tray {
    /// Begins to take icons.
    ///
    /// # Errors
    /// When there is another on this bus.
    pub fn start(bus: &Bus) -> Result<Self> {
        let (sender, brought) = mpsc::channel();
        let connection = bus.serve(NAME, PATH, Watcher(sender))?;
        Ok(Self {
            connection,
            brought,
        })
    }

    /// Waits for the next icon.
    ///
    /// # Errors
    /// When none is brought within [`GUARD`].
    pub fn icon(&self) -> Result<Icon> {
        let owner = self.brought.recv_timeout(GUARD);
        let owner = owner.context("no icon was brought to the tray")?;
        Ok(Icon {
            connection: self.connection.clone(),
            owner,
        })
    }

    /// Goes away, as when a desktop restarts its panel.
    ///
    /// # Errors
    /// When the bus has ended.
    pub fn leave(self) -> Result<()> {
        Ok(self.connection.close()?)
    }
}

/// A program's icon.
#[derive(Debug)]
pub struct Icon {
    connection: Connection,
    owner: String,
}

impl Icon {
    fn ask(&self, path: &str, interface: &str) -> Result<Proxy<'_>> {
        let (owner, path) = (self.owner.clone(), path.to_owned());
        let interface = interface.to_owned();
        Ok(Proxy::new(&self.connection, owner, path, interface)?)
    }

    /// How wide its picture is, in pixels.
    ///
    /// # Errors
    /// When the program does not answer.
    pub fn width(&self) -> Result<i32> {
        let item = self.ask(ITEM_PATH, ITEM)?;
        let pictures: Vec<(i32, i32, Vec<u8>)> = item.get_property("IconPixmap")?;
        let (width, height, data) = pictures.first().context("it has no picture")?;
        if data.len() != usize::try_from(4 * width * height)? {
            bail!("{} bytes are no {width}×{height} pixels", data.len());
        }
        Ok(*width)
    }

    /// Clicks on it.
    ///
    /// # Errors
    /// When the program does not answer.
    pub fn click(&self) -> Result<()> {
        Ok(self.ask(ITEM_PATH, ITEM)?.call("Activate", &(0, 0))?)
    }

    /// What its menu says, line by line.
    ///
    /// # Errors
    /// When the program does not answer.
    pub fn menu(&self) -> Result<Vec<String>> {
        let lines = self.lines()?.into_iter();
        Ok(lines.map(|(_, label)| label).collect())
    }

    /// Waits until its menu says this.
    ///
    /// # Errors
    /// When it doesn't within [`GUARD`], with what it says instead.
    pub fn offers(&self, wanted: &[&str]) -> Result<()> {
        let until = Instant::now() + GUARD;
        loop {
            let menu = self.menu()?;
            if menu == wanted {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("the menu says {menu:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Chooses a line of its menu.
    ///
    /// # Errors
    /// When there is none such.
    pub fn choose(&self, label: &str) -> Result<()> {
        let lines = self.lines()?;
        let line = lines.iter().find(|(_, it)| it == label);
        let (id, _) = line.with_context(|| format!("{lines:?} has no {label}"))?;
        let nothing = Value::from(0);
        self.menu_itself()?
            .call::<_, _, ()>("Event", &(id, "clicked", nothing, 0_u32))?;
        Ok(())
    }

    fn menu_itself(&self) -> Result<Proxy<'_>> {
        let item = self.ask(ITEM_PATH, ITEM)?;
        let path: OwnedObjectPath = item.get_property("Menu")?;
        self.ask(path.as_str(), MENU)
    }

    fn lines(&self) -> Result<Vec<(i32, String)>> {
        let everything = (0, -1, Vec::<&str>::new());
        let menu = self.menu_itself()?;
        let (_, (_, _, lines)): (u32, Line) = menu.call("GetLayout", &everything)?;
        lines
            .into_iter()
            .map(|line| {
                let (id, properties, _) = Line::try_from(line)?;
                let label = properties.get("label").context("a line without a label")?;
                Ok((id, String::try_from(label.try_clone()?)?))
            })
            .collect()
    }
}
