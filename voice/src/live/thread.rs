//! The thread with the clock and the devices.

use std::{
    io,
    net::SocketAddr,
    sync::mpsc::{Receiver, TryRecvError, sync_channel},
    thread::{self, park_timeout},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{Input, Live, LiveError, LiveSettings, Output, SoundFiles, core::Core};
use crate::{
    FRAME,
    call::CallConfig,
    device::{
        self, Capture, DeviceEvent, DeviceOptions, Devices, Direction, Playback, Selection, Wake,
    },
    wav::{WavSink, WavSource},
};

/// Inputs that can wait. The thread takes them every few milliseconds.
const INPUTS: usize = 1_024;

/// Outputs that can wait to be taken.
const OUTPUTS: usize = 256;

/// Device events that can wait.
const DEVICE_EVENTS: usize = 64;

/// A loudspeaker wakes the thread; without one it looks this often.
const LOOK: Duration = Duration::from_millis(2);

/// And with one at least this often.
const SLOW_LOOK: Duration = Duration::from_millis(10);

/// How to start.
#[derive(Clone, Debug, Default)]
pub struct LiveConfig {
    /// As of now.
    pub settings: LiveSettings,
    /// In place of devices.
    pub files: SoundFiles,
    /// Where connections open sockets; if empty, on all of this machine's addresses but loopback.
    pub addresses: Vec<SocketAddr>,
}

/// Starts the thread, which opens the devices. Connections are made on `runtime`.
///
/// # Errors
/// When the system has no thread to give. Whatever else goes wrong is told as
/// [`Output::Ended`].
pub fn start<Id: Ord + Copy + Send + 'static>(
    config: LiveConfig,
    runtime: Handle,
) -> io::Result<Live<Id>> {
    let (inputs, inbox) = sync_channel(INPUTS);
    let (outbox, outputs) = mpsc::channel(OUTPUTS);
    let (ending, ended) = oneshot::channel();
    let wake = Wake::new();
    let devices_wake = wake.clone();
    thread::Builder::new()
        .name("voice".to_owned())
        .spawn(move || {
            devices_wake.register_current();
            if let Err(error) = run(config, runtime, devices_wake, &inbox, &outbox) {
                tracing::warn!(%error, "voice has ended");
                // If it is full, nobody cares.
                let _ = outbox.try_send(Output::Ended(error));
            }
            // Nothing is taken any more when nothing more is said.
            drop(inbox);
            drop(outbox);
            let _ = ending.send(());
        })?;
    Ok(Live {
        inputs: Some(inputs),
        wake,
        outputs,
        ended,
    })
}

fn run<Id: Ord + Copy>(
    config: LiveConfig,
    runtime: Handle,
    wake: Wake,
    inbox: &Receiver<Input<Id>>,
    outbox: &mpsc::Sender<Output<Id>>,
) -> Result<(), LiveError> {
    let start = Instant::now();
    let call_config = CallConfig {
        addresses: config.addresses,
        ..CallConfig::default()
    };
    let mut ends = Ends::open(&config.settings, config.files, wake)?;
    let mut core = Core::new(config.settings, call_config, runtime, start);
    let mut frame = [0.0; FRAME];
    loop {
        loop {
            match inbox.try_recv() {
                Ok(input) => {
                    core.handle(input, start.elapsed())?;
                    ends.select(core.settings());
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        while let Some(event) = ends.next_event() {
            core.device(event);
        }
        let now = start.elapsed();
        let recorded = core.listens() || !ends.microphone_is_file;
        while recorded && ends.capture.read(now, &mut frame) {
            core.record(now, &mut frame);
        }
        while ends.playback.wants_frame(now) {
            if !ends.capture.is_live() {
                core.no_microphone(now);
            }
            core.play(now, &mut frame);
            ends.playback.write(now, &frame);
        }
        core.pump(now);
        while let Ok(permit) = outbox.try_reserve()
            && let Some(output) = core.next_output()
        {
            permit.send(output);
        }
        park_timeout(if ends.playback.is_device() {
            SLOW_LOOK
        } else {
            LOOK
        });
    }
}

/// Where sound comes from and goes to.
struct Ends {
    capture: Capture,
    playback: Playback,
    microphone_is_file: bool,
    speaker_is_file: bool,
    devices: Option<(Devices, Receiver<DeviceEvent>)>,
    input: Selection,
    output: Selection,
}

impl Ends {
    fn open(settings: &LiveSettings, files: SoundFiles, wake: Wake) -> Result<Self, LiveError> {
        let microphone = files.microphone.map(WavSource::open).transpose()?;
        let speaker = files.speaker.map(WavSink::create).transpose()?;
        let (microphone_is_file, speaker_is_file) = (microphone.is_some(), speaker.is_some());
        let mut input = settings.input.clone();
        let mut output = settings.output.clone();
        if microphone_is_file {
            input = Selection::Nothing;
        }
        if speaker_is_file {
            output = Selection::Nothing;
        }
        let (devices, capture, playback) = match (microphone, speaker) {
            (Some(microphone), Some(speaker)) => (
                None,
                Capture::from_file(microphone),
                Playback::to_file(speaker),
            ),
            (microphone, speaker) => {
                let options = DeviceOptions {
                    input: input.clone(),
                    output: output.clone(),
                    ..DeviceOptions::default()
                };
                let (events, inbox) = sync_channel(DEVICE_EVENTS);
                let told = wake.clone();
                let on_event = move |event| {
                    // What finds no room is told again when it changes.
                    let _ = events.try_send(event);
                    told.wake();
                };
                let (devices, capture, playback) = device::start(options, wake, on_event)?;
                (
                    Some((devices, inbox)),
                    microphone.map_or(capture, Capture::from_file),
                    speaker.map_or(playback, Playback::to_file),
                )
            }
        };
        Ok(Self {
            capture,
            playback,
            microphone_is_file,
            speaker_is_file,
            devices,
            input,
            output,
        })
    }

    fn next_event(&self) -> Option<DeviceEvent> {
        self.devices.as_ref()?.1.try_recv().ok()
    }

    /// Uses other devices if others are wanted.
    fn select(&mut self, settings: &LiveSettings) {
        let Some((devices, _)) = &self.devices else {
            return;
        };
        if !self.microphone_is_file && self.input != settings.input {
            self.input = settings.input.clone();
            devices.select(Direction::Input, settings.input.clone());
        }
        if !self.speaker_is_file && self.output != settings.output {
            self.output = settings.output.clone();
            devices.select(Direction::Output, settings.output.clone());
        }
    }
}
