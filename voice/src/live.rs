//! Voice in real time: one thread that moves sound between devices and a [call](crate::call).
//!
//! [`start`] opens the devices at once; a call is [joined](Input::Join) and [left](Input::Leave)
//! later, so that a microphone can be tried out without one. What is decided is in a core that is
//! handed time and frames; the thread around it has the clock and the devices. The thread is woken by
//! the devices, and by whoever tells it something.

mod core;
#[cfg(test)]
mod tests;
mod thread;

use std::{
    io,
    path::PathBuf,
    sync::mpsc::{SyncSender, TrySendError},
};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::{
    call::{CallError, Quality},
    device::{DeviceEvent, Selection, Wake},
    mesh::{self, LinkState},
    mixer::Levels,
    peer::{IceServer, Signal},
    processing::{GateSettings, ProcessingSettings},
    wav::WavError,
};

pub use thread::{LiveConfig, start};

/// Whether the loudspeaker is worn, so that no echo has to be cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Headset {
    /// As far as the device can tell.
    #[default]
    Auto,
    /// It is.
    On,
    /// It is not.
    Off,
}

/// What can be changed at any time.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveSettings {
    /// The microphone.
    pub input: Selection,
    /// The loudspeaker.
    pub output: Selection,
    /// When one is heard.
    pub gate: GateSettings,
    /// From which level on sound counts as speech, in dBFS.
    pub activity_dbfs: f32,
    /// What is done to the microphone's sound. Whether there is a headset is in
    /// [`headset`](Self::headset) instead.
    pub processing: ProcessingSettings,
    /// Whether the loudspeaker is worn.
    pub headset: Headset,
    /// Whether nobody is to learn this side's address, so that all goes over a relay (TURN).
    pub hide_address: bool,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            input: Selection::default(),
            output: Selection::default(),
            gate: GateSettings::default(),
            activity_dbfs: -45.0,
            processing: ProcessingSettings::default(),
            headset: Headset::default(),
            hide_address: false,
        }
    }
}

/// WAV files in place of devices, where given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SoundFiles {
    /// Said once, from the moment of joining on; silence follows.
    pub microphone: Option<PathBuf>,
    /// Gets what would be heard.
    pub speaker: Option<PathBuf>,
}

/// What the thread is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Input<Id> {
    /// A call begins, with nobody in it yet; or, in the middle of one, the servers are others.
    Join {
        /// STUN and TURN servers for connections made from now on.
        ice_servers: Vec<IceServer>,
        /// Connections at most.
        max_peers: usize,
    },
    /// The call is over.
    Leave,
    /// Whether the microphone is being tried out, so that levels are told without a call too.
    Test(bool),
    /// Other settings.
    Settings(Box<LiveSettings>),
    /// Whether nobody hears this side.
    Mute(bool),
    /// Whether this side hears nobody.
    Deafen(bool),
    /// The key to talk is pressed or let go.
    Press(bool),
    /// Something happened to somebody, or to the network.
    Mesh(mesh::Event<Id>),
    /// Somebody sent something.
    Signal {
        /// Who.
        from: Id,
        /// What.
        signal: Signal,
    },
    /// How loud somebody is to be.
    Volume {
        /// Who.
        peer: Id,
        /// 1 is as sent, 2 the most.
        volume: f32,
        /// Whether they are not to be heard at all.
        muted: bool,
    },
}

/// What the thread says.
#[derive(Debug)]
pub enum Output<Id> {
    /// To be sent to somebody.
    Signal {
        /// To whom.
        to: Id,
        /// What.
        signal: Signal,
    },
    /// The connection with somebody stands otherwise than before.
    Link {
        /// With whom.
        peer: Id,
        /// How.
        state: LinkState,
    },
    /// Somebody is so near that they are heard through the air, and their stream is turned down; or
    /// no longer.
    SameRoom {
        /// Who.
        peer: Id,
        /// Whether they are.
        same_room: bool,
    },
    /// A person should know.
    Notice(mesh::Notice<Id>),
    /// Something happened to the devices.
    Device(DeviceEvent),
    /// How loud everybody is, ten times a second.
    Levels(LevelReport<Id>),
    /// How well everybody is connected, once a second while there is a call.
    Quality(Vec<(Id, Quality)>),
    /// One speaks and is muted.
    SpeaksWhileMuted,
    /// The thread ends, and why.
    Ended(LiveError),
}

/// How loud everybody is.
#[derive(Clone, Debug, PartialEq)]
pub struct LevelReport<Id> {
    /// The microphone, after processing.
    pub own: Levels,
    /// Whether others hear it.
    pub talking: bool,
    /// Everybody connected, as they sent it.
    pub people: Vec<(Id, Levels)>,
}

/// Why there is no voice (any more).
#[derive(Debug, Error)]
pub enum LiveError {
    /// The system has no thread to give.
    #[error("voice can't start: {0}")]
    Thread(#[from] io::Error),
    /// A file can't be used.
    #[error(transparent)]
    File(#[from] WavError),
    /// The codec failed.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The thread does not take any more: it has ended, or hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("voice does not answer; leave it and join again")]
pub struct NotTaken;

/// The running thread. When this is dropped, it ends by itself soon.
#[derive(Debug)]
pub struct Live<Id> {
    inputs: Option<SyncSender<Input<Id>>>,
    wake: Wake,
    outputs: mpsc::Receiver<Output<Id>>,
    ended: oneshot::Receiver<()>,
}

impl<Id> Live<Id> {
    /// Tells the thread something.
    ///
    /// # Errors
    /// When it takes nothing any more.
    pub fn tell(&self, input: Input<Id>) -> Result<(), NotTaken> {
        let Some(inputs) = &self.inputs else {
            return Err(NotTaken);
        };
        inputs
            .try_send(input)
            .map_err(|(TrySendError::Full(_) | TrySendError::Disconnected(_))| NotTaken)?;
        self.wake.wake();
        Ok(())
    }

    /// What the thread says next; `None` when it has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Output<Id>> {
        self.outputs.recv().await
    }

    /// Ends the thread and waits until devices and files are closed.
    pub async fn stop(mut self) {
        self.hang_up();
        self.outputs.close();
        // It can only fail by a panic, which is told where it happens.
        let _ = (&mut self.ended).await;
    }

    fn hang_up(&mut self) {
        self.inputs = None;
        self.wake.wake();
    }
}

impl<Id> Drop for Live<Id> {
    fn drop(&mut self) {
        self.hang_up();
    }
}
