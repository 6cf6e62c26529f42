//! Microphones and loudspeakers: listed, chosen, opened, lost and replaced.
//!
//! [`start`] gives three things: [`Capture`] and [`Playback`] for the thread that processes sound,
//! and [`Devices`] to choose with. A supervising thread owns the streams. It polls (PulseAudio tells
//! nobody of a device that comes or goes), follows the default, opens another device where one is
//! lost, returns to the wanted one when that is back, and tells of all of it through
//! [`DeviceEvent`]s. Without any microphone one can still listen, without any loudspeaker still talk:
//! [`Capture`] then has no sound and [`Playback`] goes by the clock.
//!
//! Between a device's callback and the processing thread is a lock-free ring ([`ring`]), in the
//! device's own rate; where that is not 48 kHz, the processing thread resamples.
//!
//! [`Capture::from_file`] and [`Playback::to_file`] do the same with [WAV files](crate::wav), for
//! machines without sound.

mod choice;
mod ends;
mod list;
mod period;
mod resample;
pub mod ring;
mod stream;
mod supervisor;
mod wake;

use std::time::Duration;

use thiserror::Error;

pub use choice::Selection;
pub use ends::{Capture, Playback};
pub use list::now as list;
pub use supervisor::{DeviceOptions, Devices, start};
pub use wake::Wake;

pub(crate) use resample::{FromFrames, ToFrames};

/// Which way sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// From a microphone.
    Input,
    /// To a loudspeaker.
    Output,
}

/// Names a device, the same across restarts as far as the system's own names are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(String);

impl DeviceId {
    /// An id as it was written down earlier. Whether there is such a device, listing shows.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// To write down.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A device as it can be offered for choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// For [`Selection::Device`].
    pub id: DeviceId,
    /// For people.
    pub name: String,
    /// Whether the system uses it for those who don't choose.
    pub is_default: bool,
    /// Whether it is worn, as a headset or headphones are: its sound does not come back through a
    /// microphone, so no echo has to be cancelled. A guess, by type and name; false in doubt.
    pub is_worn: bool,
}

/// Why there is no sound from or to a device.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DeviceProblem {
    /// None is there.
    #[error("no device is connected; connect one, it will be used at once")]
    NoDevice,
    /// It was unplugged or switched off.
    #[error("the device is gone; connect it again or choose another")]
    Gone,
    /// Another program has it to itself.
    #[error("another program is using the device; close that program or choose another device")]
    Busy,
    /// The system does not allow it.
    #[error("the system does not allow access; allow the microphone in the system's settings")]
    Denied,
    /// It has no format that is understood.
    #[error("the device offers no usable sound format; choose another")]
    Unsupported,
    /// It gives or takes no sound any more.
    #[error("the device has stopped without a reason; it is being started again")]
    Stalled,
    /// The system's sound service is not there, or went away.
    #[error("the system's sound service does not answer; start it, or restart the computer")]
    NoService,
    /// Anything else.
    #[error("the device failed; connect it again or choose another")]
    Failed,
}

/// What happened to the devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceEvent {
    /// What there is to choose from, first and whenever it has changed.
    Listed {
        /// Microphones.
        inputs: Vec<DeviceInfo>,
        /// Loudspeakers.
        outputs: Vec<DeviceInfo>,
    },
    /// From now on this one is used.
    Opened {
        /// Which way.
        direction: Direction,
        /// Which one.
        device: DeviceInfo,
        /// In samples a second; other than 48,000 is resampled.
        rate: u32,
        /// Whether it stands in for a device that was wanted and can't be had.
        fallback: bool,
    },
    /// A device that was used can't be any more. [`Opened`](Self::Opened) or
    /// [`Unavailable`](Self::Unavailable) follows.
    Lost {
        /// Which way.
        direction: Direction,
        /// Which one.
        device: DeviceInfo,
        /// Why.
        problem: DeviceProblem,
    },
    /// A device could not be opened; another is tried, and this one again later.
    Refused {
        /// Which way.
        direction: Direction,
        /// Which one.
        device: DeviceInfo,
        /// Why.
        problem: DeviceProblem,
    },
    /// A loudspeaker ran dry again and again: from now on it is given more at once, which costs that
    /// much more delay. It goes on playing.
    Slowed {
        /// Which way.
        direction: Direction,
        /// Which one.
        device: DeviceInfo,
        /// What it is given at once now.
        period: Duration,
    },
    /// There is no sound this way until another event says so: without a microphone one can only
    /// listen, without a loudspeaker only talk. Not sent for [`Selection::Nothing`].
    Unavailable {
        /// Which way.
        direction: Direction,
        /// Why.
        problem: DeviceProblem,
    },
}
