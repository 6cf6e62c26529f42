//! What else is on a screen: a window of somebody else's, which can have the focus, the keyboard, and
//! the buttons on the frames of windows.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use x11rb::{
    COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT, CURRENT_TIME, NONE,
    connection::Connection as _,
    protocol::{
        Event,
        xproto::{
            AtomEnum, ClientMessageEvent, ConfigureWindowAux, ConnectionExt as _, CreateWindowAux,
            EventMask, GrabMode, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MapState, ModMask,
            Window, WindowClass,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
};

use crate::{process::GUARD, window::Screen};

/// What X calls keys that have no letter.
pub mod key {
    /// The eighth of the keys above.
    pub const F8: u32 = 0xffc5;
    /// The ninth.
    pub const F9: u32 = 0xffc6;
}

/// Another window, the keyboard and the frames.
#[derive(Debug)]
pub struct Desk {
    connection: RustConnection,
    root: Window,
    window: Window,
}

impl Desk {
    /// Opens a window that takes the focus.
    ///
    /// # Errors
    /// When the screen has gone.
    pub fn open(screen: &Screen) -> Result<Self> {
        let (connection, number) = x11rb::connect(Some(screen.display()))?;
        let root = connection.setup().roots.get(number).context("a screen")?;
        let (root, visual) = (root.root, COPY_FROM_PARENT);
        let window = connection.generate_id()?;
        let own = CreateWindowAux::new().event_mask(EventMask::FOCUS_CHANGE);
        let depth = COPY_DEPTH_FROM_PARENT;
        connection
            .create_window(
                depth,
                window,
                root,
                0,
                0,
                40,
                40,
                0,
                WindowClass::INPUT_OUTPUT,
                visual,
                &own,
            )?
            .check()?;
        connection.map_window(window)?.check()?;
        let it = Self {
            connection,
            root,
            window,
        };
        it.take_focus()?;
        Ok(it)
    }

    /// Takes the focus from whoever has it.
    ///
    /// # Errors
    /// When the screen has gone.
    pub fn take_focus(&self) -> Result<()> {
        self.connection
            .set_input_focus(InputFocus::NONE, self.window, CURRENT_TIME)?
            .check()?;
        self.wait("its focus", |event| matches!(event, Event::FocusIn(_)))
    }

    /// Gives the focus to a window of this title.
    ///
    /// # Errors
    /// When there is no such window.
    pub fn look_at(&self, title: &str) -> Result<()> {
        let window = self.find(title)?;
        let window = window.with_context(|| format!("no window is called {title}"))?;
        self.connection
            .set_input_focus(InputFocus::PARENT, window, CURRENT_TIME)?
            .check()?;
        self.loses_focus()
    }

    /// Waits until another window has the focus.
    ///
    /// # Errors
    /// When none has within [`GUARD`].
    pub fn loses_focus(&self) -> Result<()> {
        self.wait("another's focus", |event| {
            matches!(event, Event::FocusOut(_))
        })
    }

    /// Presses a key, as X numbers what is on it, and holds it.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn press(&self, symbol: u32) -> Result<()> {
        self.key(KEY_PRESS_EVENT, symbol)
    }

    /// Lets go of a key.
    ///
    /// # Errors
    /// When there is no such key.
    pub fn let_go(&self, symbol: u32) -> Result<()> {
        self.key(KEY_RELEASE_EVENT, symbol)
    }

    /// Takes a key, so that nobody else can have it.
    ///
    /// # Errors
    /// When somebody else has it.
    pub fn takes(&self, symbol: u32) -> Result<()> {
        let (key, mode) = (self.code_of(symbol)?, GrabMode::ASYNC);
        self.connection
            .grab_key(false, self.root, ModMask::ANY, key, mode, mode)?
            .check()?;
        Ok(())
    }

    fn key(&self, what: u8, symbol: u32) -> Result<()> {
        let code = self.code_of(symbol)?;
        self.connection
            .xtest_fake_input(what, code, CURRENT_TIME, NONE, 0, 0, 0)?
            .check()?;
        Ok(())
    }

    fn code_of(&self, symbol: u32) -> Result<u8> {
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let count = last - first + 1;
        let map = self
            .connection
            .get_keyboard_mapping(first, count)?
            .reply()?;
        let symbols = map.keysyms.chunks(map.keysyms_per_keycode.into());
        let mut keys = (first..=last).zip(symbols);
        let code = keys.find(|(_, on)| on.contains(&symbol));
        let (code, _) = code.with_context(|| format!("no key has {symbol:#x}"))?;
        Ok(code)
    }

    /// Closes a window by the button on its frame.
    ///
    /// # Errors
    /// When there is no such window.
    pub fn close(&self, title: &str) -> Result<()> {
        let window = self.find(title)?;
        let window = window.with_context(|| format!("no window is called {title}"))?;
        let (kind, close) = (self.atom("WM_PROTOCOLS")?, self.atom("WM_DELETE_WINDOW")?);
        let event = ClientMessageEvent::new(32, window, kind, [close, CURRENT_TIME, 0, 0, 0]);
        self.connection
            .send_event(false, window, EventMask::NO_EVENT, event)?
            .check()?;
        Ok(())
    }

    /// Waits until a window of this title can be seen, or can't.
    ///
    /// # Errors
    /// When it still is otherwise after [`GUARD`].
    pub fn shows(&self, title: &str, visible: bool) -> Result<()> {
        let until = Instant::now() + GUARD;
        while self.find(title)?.is_some() != visible {
            if Instant::now() > until {
                bail!("{title} is still otherwise than visible: {visible}");
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Waits until a window of this title can be seen there: left, top, width and height in pixels.
    ///
    /// # Errors
    /// When it is elsewhere after [`GUARD`], with where.
    pub fn shows_at(&self, title: &str, place: (i16, i16, u16, u16)) -> Result<()> {
        let until = Instant::now() + GUARD;
        loop {
            let there = match self.find(title)? {
                Some(window) => {
                    let it = self.connection.get_geometry(window)?.reply()?;
                    Some((it.x, it.y, it.width, it.height))
                }
                None => None,
            };
            if there == Some(place) {
                return Ok(());
            }
            if Instant::now() > until {
                bail!("{title} is at {there:?}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Moves a window, and makes it larger or smaller, as a person does by its frame.
    ///
    /// # Errors
    /// When there is no such window.
    pub fn put(&self, title: &str, place: (i16, i16, u16, u16)) -> Result<()> {
        let window = self.find(title)?;
        let window = window.with_context(|| format!("no window is called {title}"))?;
        let (x, y, width, height) = place;
        let wanted = ConfigureWindowAux::new()
            .x(i32::from(x))
            .y(i32::from(y))
            .width(u32::from(width))
            .height(u32::from(height));
        self.connection.configure_window(window, &wanted)?.check()?;
        Ok(())
    }

    fn find(&self, title: &str) -> Result<Option<Window>> {
        let name = self.atom("_NET_WM_NAME")?;
        for window in self.connection.query_tree(self.root)?.reply()?.children {
            let called = self
                .connection
                .get_property(false, window, name, AtomEnum::ANY, 0, 1_024)?
                .reply();
            let attributes = self.connection.get_window_attributes(window)?.reply();
            // A window may go while it is looked at.
            let (Ok(called), Ok(attributes)) = (called, attributes) else {
                continue;
            };
            let visible = attributes.map_state == MapState::VIEWABLE;
            if visible && called.value == title.as_bytes() {
                return Ok(Some(window));
            }
        }
        Ok(None)
    }

    fn atom(&self, name: &str) -> Result<u32> {
        let asked = self.connection.intern_atom(false, name.as_bytes())?;
        Ok(asked.reply()?.atom)
    }

    fn wait(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Result<()> {
        let until = Instant::now() + GUARD;
        loop {
            match self.connection.poll_for_event()? {
                Some(event) if wanted(&event) => return Ok(()),
                Some(_) => {}
                None if Instant::now() > until => bail!("waited in vain for {what}"),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
    }
}
