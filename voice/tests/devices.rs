//! Real streams to and from a sound server that the tests start for themselves.

#![cfg(target_os = "linux")]
// Helpers of tests, in which a panic is a failed test.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "support/pulse.rs"]
mod pulse;
#[path = "support/signal.rs"]
mod signal;

use std::{
    f32::consts::TAU,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use neartalk_voice::{
    FRAME,
    device::{
        self, Capture, DeviceEvent, DeviceId, DeviceOptions, DeviceProblem, Devices, Direction,
        Playback, Selection, Wake,
    },
};
use pulse::{BUS, GUARD, LOUDSPEAKER, MICROPHONE, Pulse, alone};

const SAID: f32 = 440.0;
const HEARD: f32 = 1_000.0;

/// Amplitude of a frequency in a sound.
fn amplitude(sound: &[f32], hz: f32) -> f32 {
    let (mut sine, mut cosine) = (0.0, 0.0);
    for (n, x) in sound.iter().enumerate() {
        let turn = TAU * (hz * n as f32 / 48_000.0).fract();
        sine += x * turn.sin();
        cosine += x * turn.cos();
    }
    2.0 * (sine * sine + cosine * cosine).sqrt() / sound.len() as f32
}

/// What plays a frame: the frame's number and what was just recorded in, a frame out.
type Say = Box<dyn FnMut(&[f32], &mut [f32; FRAME]) + Send>;

/// Everything that a call has but for the network: devices, and the thread that processes.
struct Rig {
    events: Receiver<DeviceEvent>,
    recorded: Receiver<[f32; FRAME]>,
    devices: Option<Devices>,
    stop: Arc<AtomicBool>,
    wake: Wake,
    thread: Option<JoinHandle<Counts>>,
}

/// Over the whole life of a rig.
struct Counts {
    recorded: u64,
    played: u64,
    seconds: f64,
    /// Of the last devices: samples dropped in recording and missing in playing.
    dropped: u64,
    missing: u64,
}

impl Rig {
    fn start(options: DeviceOptions, say: Say) -> Self {
        let (tell, events) = sync_channel(256);
        let (record, recorded) = sync_channel(4);
        let wake = Wake::new();
        let options = DeviceOptions {
            poll: Duration::from_millis(200),
            ..options
        };
        let on_event = move |event| {
            println!("{event:?}");
            let _ = tell.try_send(event);
        };
        let (devices, capture, playback) = device::start(options, wake.clone(), on_event).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, woken) = (Arc::clone(&stop), wake.clone());
        let thread = thread::spawn(move || {
            woken.register_current();
            process(capture, playback, say, |frame| {
                // Whoever wants to hear it takes it; the others must not be held up.
                let _ = record.try_send(*frame);
                !stopped.load(Relaxed)
            })
        });
        Self {
            events,
            recorded,
            devices: Some(devices),
            stop,
            wake,
            thread: Some(thread),
        }
    }

    /// Waits for an event, passing over those that are not wanted.
    fn wait<T>(&self, what: &str, mut wanted: impl FnMut(DeviceEvent) -> Option<T>) -> T {
        let until = Instant::now() + GUARD;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let event = self.events.recv_timeout(left);
            let event = event.unwrap_or_else(|_| panic!("{what} did not come"));
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    }

    fn wait_opened(&self, wanted: Direction) -> (String, bool) {
        self.wait("an open device", |event| match event {
            DeviceEvent::Opened {
                direction,
                device,
                fallback,
                rate: 48_000,
            } if direction == wanted => Some((device.id.as_str().to_owned(), fallback)),
            _ => None,
        })
    }

    fn wait_lost(&self, wanted: Direction) -> (String, DeviceProblem) {
        self.wait("the loss of a device", |event| match event {
            DeviceEvent::Lost {
                direction,
                device,
                problem,
            } if direction == wanted => Some((device.id.as_str().to_owned(), problem)),
            _ => None,
        })
    }

    fn wait_unavailable(&self, wanted: Direction) -> DeviceProblem {
        self.wait("that there is no device", |event| match event {
            DeviceEvent::Unavailable { direction, problem } if direction == wanted => Some(problem),
            _ => None,
        })
    }

    /// Records until a third of a second is a tone of this amplitude, and returns that.
    fn wait_for_tone(&self, hz: f32, expected: f32) -> Vec<f32> {
        let until = Instant::now() + GUARD;
        let mut sound = Vec::new();
        loop {
            let frame = self.recorded.recv_timeout(GUARD).expect("frames come");
            sound.extend_from_slice(&frame);
            if sound.len() == 33 * FRAME {
                if (amplitude(&sound, hz) - expected).abs() < 0.01 {
                    return sound;
                }
                sound.clear();
                assert!(Instant::now() < until, "{hz} Hz were never recorded");
            }
        }
    }

    fn end(mut self) -> Counts {
        let thread = self.thread.take().expect("it is ended once");
        self.stop();
        thread.join().unwrap()
    }

    fn stop(&mut self) {
        self.stop.store(true, Relaxed);
        self.wake.wake();
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.devices.take();
    }
}

/// What the processing thread of a call does.
fn process(
    mut capture: Capture,
    mut playback: Playback,
    mut say: Say,
    mut go_on: impl FnMut(&[f32; FRAME]) -> bool,
) -> Counts {
    let started = Instant::now();
    let (mut recorded, mut played) = (0, 0);
    let mut waiting: Vec<f32> = Vec::new();
    let mut frame = [0.0; FRAME];
    let mut goes_on = true;
    while goes_on {
        let now = started.elapsed();
        while capture.read(now, &mut frame) {
            recorded += 1;
            goes_on &= go_on(&frame);
            waiting.extend_from_slice(&frame);
        }
        while playback.wants_frame(now) {
            let heard: Vec<f32> = waiting.drain(..waiting.len().min(FRAME)).collect();
            say(&heard, &mut frame);
            playback.write(now, &frame);
            played += 1;
        }
        // A loop from microphone to loudspeaker must not gather delay.
        let stale = waiting.len().saturating_sub(FRAME);
        waiting.drain(..stale);
        if !capture.is_live() {
            goes_on &= go_on(&[0.0; FRAME]);
        }
        thread::park_timeout(Duration::from_millis(5));
    }
    Counts {
        recorded,
        played,
        seconds: started.elapsed().as_secs_f64(),
        dropped: capture.stats().map_or(0, device::ring::RingStats::dropped),
        missing: playback.stats().map_or(0, device::ring::RingStats::missing),
    }
}

/// Records half seconds of a source until one is as it should be: on a machine that is busy with
/// something else, a stream may have a hole.
fn heard<const CHANNELS: usize>(
    pulse: &Pulse,
    source: &str,
    fits: impl Fn(&[Vec<f32>; CHANNELS]) -> bool,
) {
    let tries = 12;
    let fitting = (0..tries).find(|_| fits(&pulse.record(source, 0.5, 0.5)));
    assert!(fitting.is_some(), "{source} never sounded as it should");
}

fn is_tone(sound: &[f32], hz: f32, expected: f32) -> bool {
    // Nothing is missing or twice in it: a pure tone has no jumps.
    let step = signal::largest_step(&signal::tone(hz, expected, 480));
    (amplitude(sound, hz) - expected).abs() < 0.005 && signal::largest_step(sound) < 1.2 * step
}

fn tone(hz: f32, amplitude: f32) -> Say {
    // 10 ms hold a whole number of turns.
    let tone: [f32; FRAME] = signal::tone(hz, amplitude, FRAME).try_into().unwrap();
    Box::new(move |_, frame| *frame = tone)
}

fn options(input: &str, output: &str) -> DeviceOptions {
    let selection = |name: &str| Selection::Device(DeviceId::new(format!("pulseaudio:{name}")));
    DeviceOptions {
        input: selection(input),
        output: selection(output),
        ..DeviceOptions::default()
    }
}

#[test]
fn what_is_said_is_recorded_and_what_is_played_is_heard() {
    alone(
        "what_is_said_is_recorded_and_what_is_played_is_heard",
        |folder| {
            let pulse = Pulse::start(folder, &BUS);
            let rig = Rig::start(options("microphone", "loudspeaker"), tone(HEARD, 0.25));
            assert_eq!(
                rig.wait_opened(Direction::Output),
                ("pulseaudio:loudspeaker".to_owned(), false)
            );
            assert_eq!(
                rig.wait_opened(Direction::Input),
                ("pulseaudio:microphone".to_owned(), false)
            );
            let said = pulse.play("into_microphone", signal::tone(SAID, 0.5, 48_000));
            let recorded = rig.wait_for_tone(SAID, 0.5);
            assert!(amplitude(&recorded, HEARD) < 0.001, "the bus leaks");

            heard(&pulse, "bus.monitor", |[left, right]| {
                is_tone(right, HEARD, 0.25) && is_tone(left, SAID, 0.5)
            });
            drop(said);

            let counts = rig.end();
            println!(
                "{} frames recorded, {} played in {:.1} s; {} samples dropped, {} missing",
                counts.recorded, counts.played, counts.seconds, counts.dropped, counts.missing
            );
            let expected = 100.0 * counts.seconds;
            assert!(
                (counts.played as f64) > 0.5 * expected && (counts.played as f64) < 1.05 * expected
            );
        },
    );
}

/// How far `late` lags behind `early`, in samples, up to a quarter of a second.
fn lag(early: &[f32], late: &[f32]) -> usize {
    let length = early.len() - 12_000;
    // Every eighth product is enough to tell noise from noise.
    let score = |lag: usize| -> f32 {
        let pairs = early[..length].iter().zip(&late[lag..]);
        pairs.step_by(8).map(|(a, b)| a * b).sum()
    };
    (0..12_000)
        .max_by(|a, b| score(*a).total_cmp(&score(*b)))
        .unwrap()
}

#[test]
fn from_mouth_to_ear_through_both_devices_takes_little_time() {
    alone(
        "from_mouth_to_ear_through_both_devices_takes_little_time",
        |folder| {
            let pulse = Pulse::start(folder, &BUS);
            let say: Say = Box::new(|heard, frame| {
                frame.fill(0.0);
                frame[..heard.len()].copy_from_slice(heard);
            });
            let rig = Rig::start(options("microphone", "loudspeaker"), say);
            rig.wait_opened(Direction::Output);
            rig.wait_opened(Direction::Input);
            let _said = pulse.play("into_microphone", signal::speech(1, 10 * 48_000));
            // The best of a few: a machine that is busy with something else takes longer.
            let tries = (0..3).map(|_| {
                let [left, right] = pulse.record("bus.monitor", 1.0, 2.0);
                lag(&left, &right) as f32 / 48.0
            });
            let ms = tries.fold(f32::INFINITY, f32::min);
            let counts = rig.end();
            println!(
                "mouth to ear without codec or network: {ms:.1} ms; {} samples dropped, {} missing",
                counts.dropped, counts.missing
            );
            // Mostly the server's own buffers.
            assert!((5.0..100.0).contains(&ms), "{ms} ms");
        },
    );
}

#[test]
fn a_loudspeaker_that_runs_dry_is_given_more_at_once_and_plays_on() {
    alone(
        "a_loudspeaker_that_runs_dry_is_given_more_at_once_and_plays_on",
        |folder| {
            let pulse = Pulse::start(folder, &BUS);
            let rig = Rig::start(options("microphone", "loudspeaker"), tone(HEARD, 0.25));
            rig.wait_opened(Direction::Output);
            let until = Instant::now() + GUARD;
            let period = loop {
                assert!(Instant::now() < until, "nobody has noticed");
                pulse.hold_up(Duration::from_millis(40));
                match rig.events.recv_timeout(Duration::from_millis(200)) {
                    Ok(DeviceEvent::Slowed {
                        direction: Direction::Output,
                        period,
                        ..
                    }) => break period,
                    Ok(DeviceEvent::Lost { .. }) => panic!("it was working"),
                    _ => {}
                }
            };
            assert_eq!(period, Duration::from_millis(20));
            heard(&pulse, "bus.monitor", |[_, right]| {
                is_tone(right, HEARD, 0.25)
            });
            rig.end();
        },
    );
}

#[test]
fn a_lost_device_is_told_of_and_replaced_until_it_is_back() {
    alone(
        "a_lost_device_is_told_of_and_replaced_until_it_is_back",
        |folder| {
            let spare = [
                "module-null-sink sink_name=spare rate=48000 channels=1 norewinds=1",
                "module-remap-source source_name=spare_microphone master=bus.monitor channels=1 \
             channel_map=mono master_channel_map=front-left remix=no",
            ];
            let pulse = Pulse::start(folder, &[&BUS[..], &spare].concat());
            pulse.control(&["set-default-sink", "spare"]);
            pulse.control(&["set-default-source", "spare_microphone"]);
            let rig = Rig::start(options("microphone", "loudspeaker"), tone(HEARD, 0.25));
            rig.wait_opened(Direction::Output);
            rig.wait_opened(Direction::Input);
            let _said = pulse.play("into_microphone", signal::tone(SAID, 0.5, 48_000));
            rig.wait_for_tone(SAID, 0.5);

            pulse.unload("source_name=microphone");
            let (lost, problem) = rig.wait_lost(Direction::Input);
            assert_eq!(lost, "pulseaudio:microphone");
            assert_eq!(problem, DeviceProblem::Gone);
            let opened = rig.wait_opened(Direction::Input);
            assert_eq!(opened, ("pulseaudio:spare_microphone".to_owned(), true));
            rig.wait_for_tone(SAID, 0.5);

            pulse.unload("sink_name=loudspeaker");
            let (lost, _) = rig.wait_lost(Direction::Output);
            assert_eq!(lost, "pulseaudio:loudspeaker");
            let opened = rig.wait_opened(Direction::Output);
            assert_eq!(opened, ("pulseaudio:spare".to_owned(), true));
            heard(&pulse, "spare.monitor", |[sound]| {
                is_tone(sound, HEARD, 0.25)
            });

            // Plugged in again: what was chosen is what is used.
            pulse.load(LOUDSPEAKER);
            let opened = rig.wait_opened(Direction::Output);
            assert_eq!(opened, ("pulseaudio:loudspeaker".to_owned(), false));
            pulse.load(MICROPHONE);
            let opened = rig.wait_opened(Direction::Input);
            assert_eq!(opened, ("pulseaudio:microphone".to_owned(), false));
            rig.wait_for_tone(SAID, 0.5);
            heard(&pulse, "bus.monitor", |[_, right]| {
                is_tone(right, HEARD, 0.25)
            });

            // Who does not choose follows the default.
            let devices = rig.devices.as_ref().unwrap();
            devices.select(Direction::Output, Selection::Default);
            let opened = rig.wait_opened(Direction::Output);
            assert_eq!(opened, ("pulseaudio:spare".to_owned(), false));
            pulse.control(&["set-default-sink", "loudspeaker"]);
            let opened = rig.wait_opened(Direction::Output);
            assert_eq!(opened, ("pulseaudio:loudspeaker".to_owned(), false));
        },
    );
}

#[test]
fn without_a_microphone_one_listens_and_the_first_plugged_in_is_used() {
    alone(
        "without_a_microphone_one_listens_and_the_first_plugged_in_is_used",
        |folder| {
            let pulse = Pulse::start(folder, &BUS[..1]);
            let rig = Rig::start(DeviceOptions::default(), tone(HEARD, 0.25));
            rig.wait_opened(Direction::Output);
            // The bus' monitor is the server's default source, and not a microphone.
            assert_eq!(
                rig.wait_unavailable(Direction::Input),
                DeviceProblem::NoDevice
            );
            heard(&pulse, "bus.monitor", |[left, right]| {
                is_tone(left, HEARD, 0.25) && is_tone(right, HEARD, 0.25)
            });
            pulse.load(MICROPHONE);
            let (opened, _) = rig.wait_opened(Direction::Input);
            assert_eq!(opened, "pulseaudio:microphone");
            rig.wait_for_tone(HEARD, 0.25);
        },
    );
}

#[test]
fn without_any_sound_service_everything_goes_on_and_a_new_one_is_used() {
    alone(
        "without_any_sound_service_everything_goes_on_and_a_new_one_is_used",
        |folder| {
            let pulse = Pulse::start(folder, &BUS);
            let rig = Rig::start(options("microphone", "loudspeaker"), tone(HEARD, 0.25));
            rig.wait_opened(Direction::Output);
            rig.wait_opened(Direction::Input);
            drop(pulse);
            // In either order.
            let mut left = vec![Direction::Input, Direction::Output];
            rig.wait("that there are no devices", |event| {
                if let DeviceEvent::Unavailable { direction, .. } = event {
                    left.retain(|other| *other != direction);
                }
                left.is_empty().then_some(())
            });
            let pulse = Pulse::start(folder, &BUS);
            rig.wait_opened(Direction::Output);
            rig.wait_opened(Direction::Input);
            let _said = pulse.play("into_microphone", signal::tone(SAID, 0.5, 48_000));
            rig.wait_for_tone(SAID, 0.5);
            heard(&pulse, "bus.monitor", |[_, right]| {
                is_tone(right, HEARD, 0.25)
            });
            let counts = rig.end();
            assert!(
                counts.played as f64 > 50.0 * counts.seconds,
                "it stood still"
            );
        },
    );
}
