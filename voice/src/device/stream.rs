//! Opening a device.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use cpal::{
    BufferSize, Device, Error, ErrorKind, FromSample, I24, Sample, SampleFormat, SizedSample,
    Stream, StreamConfig, SupportedBufferSize, SupportedStreamConfig, SupportedStreamConfigRange,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};

use super::{
    DeviceProblem, Direction, Wake,
    period::Period,
    ring::{self, CapturePort, PlaybackPort, RingStats},
};
use crate::SAMPLE_RATE;

/// A device that takes longer to open is given up.
const OPENING: Duration = Duration::from_secs(4);

/// A stream that runs.
pub(super) struct Running {
    pub stats: Arc<RingStats>,
    pub trouble: Trouble,
    pub rate: u32,
    /// What it was asked to give or take at once.
    pub period: Period,
    // Dropped, it stops.
    _stream: Stream,
}

/// The processing thread's end of a stream.
pub(super) enum Port {
    Capture(CapturePort),
    Playback(PlaybackPort),
}

/// What went wrong with a stream, noted by whatever thread the system tells it on.
#[derive(Clone, Default)]
pub(super) struct Trouble(Arc<Noted>);

#[derive(Default)]
struct Noted {
    /// What has ended it; 0 for nothing.
    end: AtomicU8,
    /// How often it ran dry or over.
    xruns: AtomicU32,
}

impl Trouble {
    fn note(&self, kind: ErrorKind) -> bool {
        let code = match kind {
            // Still running.
            ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => return false,
            ErrorKind::Xrun => {
                self.0.xruns.fetch_add(1, Relaxed);
                return false;
            }
            ErrorKind::DeviceNotAvailable => 1,
            ErrorKind::StreamInvalidated => 2,
            ErrorKind::HostUnavailable => 3,
            ErrorKind::PermissionDenied => 4,
            ErrorKind::DeviceBusy => 5,
            _ => 6,
        };
        self.0.end.store(code, Relaxed);
        true
    }

    /// How often the system said that it ran dry, or over.
    pub fn xruns(&self) -> u32 {
        self.0.xruns.load(Relaxed)
    }

    pub fn problem(&self) -> Option<DeviceProblem> {
        match self.0.end.load(Relaxed) {
            0 => None,
            1 => Some(DeviceProblem::Gone),
            2 => Some(DeviceProblem::Stalled),
            3 => Some(DeviceProblem::NoService),
            4 => Some(DeviceProblem::Denied),
            5 => Some(DeviceProblem::Busy),
            _ => Some(DeviceProblem::Failed),
        }
    }
}

fn problem(error: &Error) -> DeviceProblem {
    match error.kind() {
        ErrorKind::DeviceNotAvailable => DeviceProblem::Gone,
        ErrorKind::DeviceBusy => DeviceProblem::Busy,
        ErrorKind::HostUnavailable => DeviceProblem::NoService,
        ErrorKind::PermissionDenied => DeviceProblem::Denied,
        ErrorKind::UnsupportedConfig | ErrorKind::UnsupportedOperation => {
            DeviceProblem::Unsupported
        }
        ErrorKind::StreamInvalidated => DeviceProblem::Stalled,
        _ => DeviceProblem::Failed,
    }
}

/// Whom callbacks wake.
#[derive(Clone)]
pub(super) struct Wakes {
    /// Who processes sound.
    pub processing: Wake,
    /// Who has to know of trouble.
    pub supervisor: Wake,
}

/// Opens a device and starts it.
pub(super) fn open(
    device: &Device,
    direction: Direction,
    period: Period,
    wakes: &Wakes,
) -> Result<(Running, Port), DeviceProblem> {
    let (device, wakes) = (device.clone(), wakes.clone());
    let (done, opened) = mpsc::sync_channel(1);
    // A sound service may let one wait for ever, for a suspended source say.
    let opener = thread::Builder::new().name("open sound device".to_owned());
    opener
        .spawn(move || {
            let opened = reconnected(&device, direction)
                .and_then(|device| open_at_leisure(&device, direction, period, &wakes));
            let _ = done.send(opened);
        })
        .map_err(|_| DeviceProblem::Failed)?;
    match opened.recv_timeout(OPENING) {
        Ok(result) => result.map_err(|error| problem(&error)),
        Err(_) => Err(DeviceProblem::Stalled),
    }
}

/// The same device over a connection of its own: PulseAudio refuses to play one connection's streams
/// on two devices (cpal puts them into one group), which is what a change without a gap does.
fn reconnected(device: &Device, direction: Direction) -> Result<Device, Error> {
    let id = device.id()?;
    let host = cpal::host_from_id(id.host())?;
    let found = host.devices()?.find(|other| {
        let fits = match direction {
            Direction::Input => other.supports_input(),
            Direction::Output => other.supports_output(),
        };
        fits && other.id().ok().as_ref() == Some(&id)
    });
    found.ok_or(ErrorKind::DeviceNotAvailable.into())
}

fn open_at_leisure(
    device: &Device,
    direction: Direction,
    period: Period,
    wakes: &Wakes,
) -> Result<(Running, Port), Error> {
    let mut plan = match direction {
        Direction::Input => {
            let ranges: Vec<_> = device.supported_input_configs()?.collect();
            plan(&ranges, device.default_input_config().ok(), &[1, 2], period)
        }
        Direction::Output => {
            let ranges: Vec<_> = device.supported_output_configs()?.collect();
            plan(
                &ranges,
                device.default_output_config().ok(),
                &[2, 1],
                period,
            )
        }
    }
    .ok_or(ErrorKind::UnsupportedConfig)?;
    match open_as(device, direction, plan, wakes) {
        // Some refuse any size that they didn't choose.
        Err(error) if error.kind() == ErrorKind::UnsupportedConfig => {
            plan.config.buffer_size = BufferSize::Default;
            open_as(device, direction, plan, wakes)
        }
        result => result,
    }
}

/// How to open a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    config: StreamConfig,
    format: SampleFormat,
    period: Period,
}

/// The formats that are understood, best first.
const FORMATS: [SampleFormat; 4] = [
    SampleFormat::F32,
    SampleFormat::I32,
    SampleFormat::I24,
    SampleFormat::I16,
];

/// 48 kHz above all, then few channels, then the format.
fn plan(
    ranges: &[SupportedStreamConfigRange],
    default: Option<SupportedStreamConfig>,
    channels: &[u16],
    period: Period,
) -> Option<Plan> {
    let (range, format) = ranges
        .iter()
        .filter_map(|range| {
            let format = FORMATS
                .iter()
                .position(|format| *format == range.sample_format())?;
            let channels = channels
                .iter()
                .position(|count| *count == range.channels())
                .unwrap_or(usize::from(range.channels()));
            let rate = !is_within(range, SAMPLE_RATE);
            Some(((rate, channels, format), range, FORMATS[format]))
        })
        .min_by_key(|(rank, ..)| *rank)
        .map(|(_, range, format)| (range, format))?;
    let default = default.map(|default| default.sample_rate());
    let rate = [Some(SAMPLE_RATE), default]
        .into_iter()
        .flatten()
        .find(|rate| is_within(range, *rate))
        // The nearest.
        .unwrap_or(SAMPLE_RATE.clamp(range.min_sample_rate(), range.max_sample_rate()));
    let at_once = period.samples(rate);
    let at_once = match *range.buffer_size() {
        SupportedBufferSize::Range { min, max } if min <= max => at_once.clamp(min, max),
        _ => at_once,
    };
    Some(Plan {
        config: StreamConfig {
            channels: range.channels(),
            sample_rate: rate,
            // What is left to PulseAudio becomes two seconds.
            buffer_size: BufferSize::Fixed(at_once),
        },
        format,
        period,
    })
}

fn is_within(range: &SupportedStreamConfigRange, rate: u32) -> bool {
    (range.min_sample_rate()..=range.max_sample_rate()).contains(&rate)
}

fn open_as(
    device: &Device,
    direction: Direction,
    plan: Plan,
    wakes: &Wakes,
) -> Result<(Running, Port), Error> {
    let open = match (direction, plan.format) {
        (Direction::Input, SampleFormat::F32) => input::<f32>,
        (Direction::Input, SampleFormat::I32) => input::<i32>,
        (Direction::Input, SampleFormat::I24) => input::<I24>,
        (Direction::Input, _) => input::<i16>,
        (Direction::Output, SampleFormat::F32) => output::<f32>,
        (Direction::Output, SampleFormat::I32) => output::<i32>,
        (Direction::Output, SampleFormat::I24) => output::<I24>,
        (Direction::Output, _) => output::<i16>,
    };
    open(device, plan, wakes)
}

fn input<T>(device: &Device, plan: Plan, wakes: &Wakes) -> Result<(Running, Port), Error>
where
    T: SizedSample + Send + 'static,
    f32: FromSample<T>,
{
    let config = plan.config;
    let rate = config.sample_rate;
    let (mut tap, port) =
        ring::capture(rate, wakes.processing.clone()).ok_or(ErrorKind::UnsupportedConfig)?;
    let stats = tap.stats();
    let channels = usize::from(config.channels);
    let (trouble, on_trouble) = trouble(wakes);
    let stream = device.build_input_stream(
        config,
        move |sound: &[T], _| tap.push(sound, channels),
        on_trouble,
        Some(OPENING),
    )?;
    stream.play()?;
    let running = Running {
        stats,
        trouble,
        rate,
        period: plan.period,
        _stream: stream,
    };
    Ok((running, Port::Capture(port)))
}

fn output<T>(device: &Device, plan: Plan, wakes: &Wakes) -> Result<(Running, Port), Error>
where
    T: SizedSample + Sample + FromSample<f32> + Send + 'static,
{
    let config = plan.config;
    let rate = config.sample_rate;
    let (port, mut tap) =
        ring::playback(rate, wakes.processing.clone()).ok_or(ErrorKind::UnsupportedConfig)?;
    let stats = tap.stats();
    let channels = usize::from(config.channels);
    let (trouble, on_trouble) = trouble(wakes);
    let stream = device.build_output_stream(
        config,
        move |sound: &mut [T], info| {
            let now = info.timestamp().callback.as_nanos();
            tap.called_at(Duration::from_nanos(now as u64));
            tap.fill(sound, channels);
        },
        on_trouble,
        Some(OPENING),
    )?;
    stream.play()?;
    let running = Running {
        stats,
        trouble,
        rate,
        period: plan.period,
        _stream: stream,
    };
    Ok((running, Port::Playback(port)))
}

fn trouble(wakes: &Wakes) -> (Trouble, impl FnMut(Error) + Send + 'static) {
    let trouble = Trouble::default();
    let (noted, supervisor) = (trouble.clone(), wakes.supervisor.clone());
    let on_trouble = move |error: Error| {
        if noted.note(error.kind()) {
            supervisor.wake();
        }
    };
    (trouble, on_trouble)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(channels: u16, rates: (u32, u32), format: SampleFormat) -> SupportedStreamConfigRange {
        let buffer = SupportedBufferSize::Range {
            min: 64,
            max: 4_096,
        };
        SupportedStreamConfigRange::new(channels, rates.0, rates.1, buffer, format)
    }

    fn planned(ranges: &[SupportedStreamConfigRange], default: u32) -> Option<(u16, u32, u32)> {
        let default = ranges[0].try_with_sample_rate(default);
        let plan = plan(ranges, default, &[1, 2], Period::Frame)?;
        let BufferSize::Fixed(frames) = plan.config.buffer_size else {
            panic!("{plan:?}");
        };
        Some((plan.config.channels, plan.config.sample_rate, frames))
    }

    #[test]
    fn forty_eight_kilohertz_come_before_few_channels_and_these_before_the_format() {
        let any = (8_000, 192_000);
        let ranges = [
            range(1, (44_100, 44_100), SampleFormat::F32),
            range(6, any, SampleFormat::F32),
            range(2, any, SampleFormat::I16),
            range(2, any, SampleFormat::F32),
        ];
        assert_eq!(planned(&ranges, 44_100), Some((2, 48_000, 480)));
        let plan = plan(&ranges, None, &[1, 2], Period::Long).unwrap();
        assert_eq!(plan.config.buffer_size, BufferSize::Fixed(960));
        assert_eq!(plan.format, SampleFormat::F32);
    }

    #[test]
    fn other_rates_are_taken_as_they_come() {
        let cd = [range(2, (44_100, 44_100), SampleFormat::I16)];
        assert_eq!(planned(&cd, 44_100), Some((2, 44_100, 441)));
        let call = [range(1, (8_000, 16_000), SampleFormat::I16)];
        assert_eq!(planned(&call, 8_000), Some((1, 8_000, 80)));
        assert_eq!(planned(&call, 44_100), Some((1, 16_000, 160)));
        let odd = [range(1, (48_000, 48_000), SampleFormat::DsdU8)];
        assert_eq!(planned(&odd, 48_000), None);
    }

    #[test]
    fn only_what_stops_a_stream_is_trouble() {
        let trouble = Trouble::default();
        assert!(!trouble.note(ErrorKind::Xrun));
        assert_eq!((trouble.problem(), trouble.xruns()), (None, 1));
        assert!(trouble.note(ErrorKind::DeviceNotAvailable));
        assert_eq!(trouble.problem(), Some(DeviceProblem::Gone));
    }
}
