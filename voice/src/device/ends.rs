//! What the processing thread holds, whatever is behind it.

use std::time::Duration;

use rtrb::Consumer;

use super::ring::{CapturePort, PlaybackPort, RingStats};
use crate::{
    FRAME,
    wav::{WavSink, WavSource},
};

/// How long 10 ms are.
const FRAME_TIME: Duration = Duration::from_millis(10);

/// Whoever is further behind than this does not catch up.
const MOST_BEHIND: Duration = Duration::from_millis(200);

/// Paces frames by the clock where no device does.
#[derive(Debug, Default)]
struct Pace {
    next: Option<Duration>,
}

impl Pace {
    fn is_due(&mut self, now: Duration) -> bool {
        let next = *self.next.get_or_insert(now);
        if now > next + MOST_BEHIND {
            self.next = Some(now);
        }
        now >= next
    }

    fn passed(&mut self, now: Duration) {
        self.next = Some(self.next.unwrap_or(now) + FRAME_TIME);
    }
}

/// What is said: the processing thread's end of whichever microphone is open, or of a file.
pub struct Capture(Source);

enum Source {
    Device {
        /// From the supervisor: another port, or none.
        inbox: Consumer<Option<CapturePort>>,
        port: Option<CapturePort>,
    },
    File {
        source: WavSource,
        pace: Pace,
    },
}

impl Capture {
    pub(super) fn from_inbox(inbox: Consumer<Option<CapturePort>>) -> Self {
        Self(Source::Device { inbox, port: None })
    }

    /// Says what a file says, as fast as a microphone would, from the first [`read`](Self::read) on.
    pub fn from_file(source: WavSource) -> Self {
        let pace = Pace::default();
        Self(Source::File { source, pace })
    }

    /// The next 10 ms if they are there; call it until they are not. `now` is the time since any
    /// start. Real-time safe but for the moment when a device has been exchanged.
    pub fn read(&mut self, now: Duration, frame: &mut [f32; FRAME]) -> bool {
        match &mut self.0 {
            Source::Device { inbox, port } => {
                while let Ok(other) = inbox.pop() {
                    *port = other;
                }
                port.as_mut().is_some_and(|port| port.read(frame))
            }
            Source::File { source, pace } => {
                let read = pace.is_due(now) && source.read(frame);
                if read {
                    pace.passed(now);
                }
                read
            }
        }
    }

    /// Whether there is anything to come: a device is open, or the file is not at its end.
    pub fn is_live(&self) -> bool {
        match &self.0 {
            Source::Device { port, .. } => port.is_some(),
            Source::File { source, .. } => !source.is_at_end(),
        }
    }

    /// What the open device's ring has seen.
    pub fn stats(&self) -> Option<&RingStats> {
        match &self.0 {
            Source::Device { port, .. } => port.as_ref().map(CapturePort::stats),
            Source::File { .. } => None,
        }
    }
}

/// What is heard: the processing thread's end of whichever loudspeaker is open, or of a file, or of
/// nothing.
pub struct Playback {
    sink: Sink,
    pace: Pace,
}

enum Sink {
    Device {
        inbox: Consumer<Option<PlaybackPort>>,
        port: Option<PlaybackPort>,
    },
    File(WavSink),
}

impl Playback {
    pub(super) fn from_inbox(inbox: Consumer<Option<PlaybackPort>>) -> Self {
        Self {
            sink: Sink::Device { inbox, port: None },
            pace: Pace::default(),
        }
    }

    /// Writes what would be heard, as fast as a loudspeaker would play it.
    pub fn to_file(sink: WavSink) -> Self {
        Self {
            sink: Sink::File(sink),
            pace: Pace::default(),
        }
    }

    /// Whether it is time for another 10 ms: [`write`](Self::write) them, and ask again. `now` is the
    /// time since any start. Without a loudspeaker it goes on by the clock, so that whoever is asked
    /// for sound is asked at all times.
    pub fn wants_frame(&mut self, now: Duration) -> bool {
        if let Sink::Device { inbox, port } = &mut self.sink {
            while let Ok(other) = inbox.pop() {
                *port = other;
                self.pace = Pace::default();
            }
            if let Some(port) = port {
                return port.wants_frame();
            }
        }
        self.pace.is_due(now)
    }

    /// Plays 10 ms. `now` as for [`wants_frame`](Self::wants_frame). Real-time safe but for files.
    pub fn write(&mut self, now: Duration, frame: &[f32; FRAME]) {
        match &mut self.sink {
            Sink::Device {
                port: Some(port), ..
            } => port.write(frame),
            Sink::Device { port: None, .. } => self.pace.passed(now),
            Sink::File(sink) => {
                self.pace.passed(now);
                sink.write(frame);
            }
        }
    }

    /// Whether anything is heard or written.
    pub fn is_live(&self) -> bool {
        !matches!(self.sink, Sink::Device { port: None, .. })
    }

    /// Whether a device takes what is played, and so sets the pace.
    pub fn is_device(&self) -> bool {
        matches!(self.sink, Sink::Device { port: Some(_), .. })
    }

    /// What the open device's ring has seen.
    pub fn stats(&self) -> Option<&RingStats> {
        match &self.sink {
            Sink::Device { port, .. } => port.as_ref().map(PlaybackPort::stats),
            Sink::File(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rtrb::RingBuffer;

    use super::*;
    use crate::{
        SAMPLE_RATE,
        device::{Wake, ring},
    };

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn without_a_loudspeaker_the_clock_paces_and_a_pause_is_not_caught_up() {
        let (_, inbox) = RingBuffer::new(1);
        let mut playback = Playback::from_inbox(inbox);
        let mut frames = |from: u32, to: u32| {
            let mut frames = 0;
            for ms in from..to {
                while playback.wants_frame(ms * MS) {
                    playback.write(ms * MS, &[0.0; FRAME]);
                    frames += 1;
                }
            }
            frames
        };
        assert_eq!(frames(0, 1_000), 100);
        // A computer that slept for an hour.
        assert!(frames(3_600_000, 3_600_100) <= 12);
        assert!(!playback.is_live());
    }

    #[test]
    fn a_device_takes_over_and_leaves_again() {
        let (mut outbox, inbox) = RingBuffer::new(4);
        let mut playback = Playback::from_inbox(inbox);
        assert!(playback.wants_frame(MS));
        playback.write(MS, &[0.0; FRAME]);
        let (port, mut tap) = ring::playback(SAMPLE_RATE, Wake::new()).unwrap();
        assert!(outbox.push(Some(port)).is_ok());
        // The device asks, whatever the clock says.
        assert!(playback.wants_frame(MS));
        playback.write(MS, &[0.5; FRAME]);
        assert!(!playback.wants_frame(500 * MS) && playback.is_live());
        let mut out = [0.0f32; FRAME];
        tap.fill(&mut out, 1);
        assert_eq!(out, [0.5; FRAME]);
        assert!(playback.wants_frame(500 * MS));
        assert!(outbox.push(None).is_ok());
        assert!(playback.wants_frame(510 * MS) && !playback.is_live());

        let (mut outbox, inbox) = RingBuffer::new(4);
        let mut capture = Capture::from_inbox(inbox);
        let mut frame = [0.0; FRAME];
        assert!(!capture.read(MS, &mut frame) && !capture.is_live());
        let (mut tap, port) = ring::capture(SAMPLE_RATE, Wake::new()).unwrap();
        tap.push(&[0.25f32; FRAME], 1);
        assert!(outbox.push(Some(port)).is_ok());
        assert!(capture.read(MS, &mut frame) && capture.is_live());
        assert_eq!(frame, [0.25; FRAME]);
        assert!(outbox.push(None).is_ok());
        assert!(!capture.read(MS, &mut frame) && !capture.is_live());
    }
}
