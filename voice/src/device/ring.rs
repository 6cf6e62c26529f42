//! The rings between a device's callbacks and the processing thread.
//!
//! ## Real-time safety
//! What a callback uses, [`CaptureTap::push`] and [`PlaybackTap::fill`], neither allocates, locks nor
//! logs; a test runs it under an allocator that refuses. The same goes for the other ends,
//! [`CapturePort::read`] and [`PlaybackPort::write`].

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use cpal::{FromSample, Sample};
use rtrb::{Consumer, Producer, RingBuffer};

use super::{FromFrames, ToFrames, Wake};
use crate::{FRAME, SAMPLE_RATE};

/// What a ring has seen. Counters only ever grow: take differences.
#[derive(Debug, Default)]
pub struct RingStats {
    /// Calls of the device.
    calls: AtomicU64,
    /// Samples, in the device's rate, that it gave or took.
    samples: AtomicU64,
    /// Most of them at once.
    largest: AtomicU64,
    /// Most of them at once since the last [`RingStats::turn`].
    latest: AtomicU64,
    /// Samples that were lost: no room in the ring, or too old.
    dropped: AtomicU64,
    /// Samples that had to be made up, because nothing was there in time.
    missing: AtomicU64,
    /// Calls of a loudspeaker so late that it had next to nothing left.
    late: AtomicU64,
}

impl RingStats {
    /// How often the device called; it stands still when the device does.
    pub fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// Samples, in the device's rate, that the device gave or took.
    pub fn samples(&self) -> u64 {
        self.samples.load(Relaxed)
    }

    /// Most samples, in the device's rate, that the device gave or took at once.
    pub fn largest(&self) -> u64 {
        self.largest.load(Relaxed)
    }

    /// Samples, in the device's rate, that were recorded and never processed.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Samples, in the device's rate, that were due and made up.
    pub fn missing(&self) -> u64 {
        self.missing.load(Relaxed)
    }

    /// Most samples that the device gave or took at once since this was last called.
    fn turn(&self) -> usize {
        self.latest.swap(0, Relaxed) as usize
    }

    /// How often a loudspeaker called so late that it had next to nothing left to play.
    pub fn late(&self) -> u64 {
        self.late.load(Relaxed)
    }

    fn called(&self, samples: usize) {
        self.calls.fetch_add(1, Relaxed);
        self.samples.fetch_add(samples as u64, Relaxed);
        self.largest.fetch_max(samples as u64, Relaxed);
        self.latest.fetch_max(samples as u64, Relaxed);
    }
}

/// Half a second.
fn ring(rate: u32) -> (Producer<f32>, Consumer<f32>) {
    RingBuffer::new((rate as usize / 2).max(FRAME))
}

/// In a device's rate.
fn frame_at(rate: u32) -> usize {
    (rate as usize).div_ceil(100)
}

/// A ring from a microphone with this many samples a second. `None` for a rate that is none.
pub fn capture(rate: u32, wake: Wake) -> Option<(CaptureTap, CapturePort)> {
    let resampler = match rate {
        SAMPLE_RATE => None,
        rate => Some(Box::new(ToFrames::new(rate)?)),
    };
    let (producer, consumer) = ring(rate);
    let stats = Arc::new(RingStats::default());
    let tap = CaptureTap {
        ring: producer,
        stats: Arc::clone(&stats),
        wake,
    };
    let port = CapturePort {
        ring: consumer,
        stats,
        resampler,
        frame: frame_at(rate),
    };
    Some((tap, port))
}

/// A ring to a loudspeaker with this many samples a second. `None` for a rate that is none.
pub fn playback(rate: u32, wake: Wake) -> Option<(PlaybackPort, PlaybackTap)> {
    let resampler = match rate {
        SAMPLE_RATE => None,
        rate => Some(Box::new(FromFrames::new(rate)?)),
    };
    let (producer, consumer) = ring(rate);
    let stats = Arc::new(RingStats::default());
    let tap = PlaybackTap {
        ring: consumer,
        stats: Arc::clone(&stats),
        wake,
        rate,
        called: None,
        started: false,
        last: 0.0,
    };
    let port = PlaybackPort {
        ring: producer,
        stats,
        resampler,
        frame: frame_at(rate),
        at_once: 0,
        written: 0,
        margin: 0,
        missing: 0,
        calm: 0,
        patience: CALM_FRAMES,
        trying: false,
    };
    Some((port, tap))
}

/// The microphone's end of a ring.
pub struct CaptureTap {
    ring: Producer<f32>,
    stats: Arc<RingStats>,
    wake: Wake,
}

impl CaptureTap {
    /// Takes in what was recorded, interleaved, mixed to mono. What finds no room is dropped.
    pub fn push<T>(&mut self, sound: &[T], channels: usize)
    where
        T: Sample,
        f32: FromSample<T>,
    {
        let channels = channels.max(1);
        let samples = sound.len() / channels;
        self.stats.called(samples);
        let room = self.ring.slots().min(samples);
        self.stats
            .dropped
            .fetch_add((samples - room) as u64, Relaxed);
        if let Ok(chunk) = self.ring.write_chunk_uninit(room) {
            let scale = 1.0 / channels as f32;
            chunk.fill_from_iter(sound.chunks_exact(channels).map(|at_once| {
                let sum: f32 = at_once.iter().map(|x| x.to_sample::<f32>()).sum();
                sum * scale
            }));
        }
        self.wake.wake();
    }

    /// What it has seen.
    pub fn stats(&self) -> Arc<RingStats> {
        Arc::clone(&self.stats)
    }
}

/// The processing thread's end of a microphone's ring.
pub struct CapturePort {
    ring: Consumer<f32>,
    stats: Arc<RingStats>,
    resampler: Option<Box<ToFrames>>,
    /// Length of 10 ms in the device's rate.
    frame: usize,
}

impl CapturePort {
    /// The next 10 ms, if they have been recorded. Whoever comes more than 40 ms late, has the rest
    /// dropped: sound that waits here is delay that never goes away.
    pub fn read(&mut self, frame: &mut [f32; FRAME]) -> bool {
        self.forget_what_is_stale();
        match &mut self.resampler {
            None => self.ring.pop_entire_slice(frame).is_ok(),
            Some(resampler) => {
                let whole = self.ring.pop_entire_slice(resampler.input()).is_ok();
                if whole {
                    resampler.process(frame);
                }
                whole
            }
        }
    }

    fn forget_what_is_stale(&mut self) {
        let waiting = self.ring.slots();
        let at_once = self.stats.largest() as usize;
        if waiting > at_once + 4 * self.frame {
            let stale = waiting - at_once.max(self.frame);
            if let Ok(chunk) = self.ring.read_chunk(stale) {
                chunk.commit_all();
                self.stats.dropped.fetch_add(stale as u64, Relaxed);
            }
        }
    }

    /// What it has seen.
    pub fn stats(&self) -> &RingStats {
        &self.stats
    }
}

/// The loudspeaker's end of a ring.
pub struct PlaybackTap {
    ring: Consumer<f32>,
    stats: Arc<RingStats>,
    wake: Wake,
    rate: u32,
    /// When it last called, and how long what it took then lasts.
    called: Option<(Duration, Duration)>,
    /// Whether anything was ever there: before that nothing is missing.
    started: bool,
    last: f32,
}

/// What is made up fades from the last sample at this rate, rather than to break off with a click.
const FADE: f32 = 0.98;

impl PlaybackTap {
    /// Tells when the device calls, by any clock, before [`Self::fill`].
    ///
    /// What it took last is played behind as much that it had taken before. So who calls later than
    /// four fifths of that again has all but run dry, or has.
    pub fn called_at(&mut self, now: Duration) {
        if let Some((before, lasts)) = self.called
            && now.saturating_sub(before + lasts) > lasts * 4 / 5
        {
            self.stats.late.fetch_add(1, Relaxed);
        }
        self.called = Some((now, Duration::ZERO));
    }

    /// Gives what is to be played, interleaved, the same in each channel.
    pub fn fill<T>(&mut self, sound: &mut [T], channels: usize)
    where
        T: Sample + FromSample<f32>,
    {
        let channels = channels.max(1);
        let samples = sound.len() / channels;
        self.stats.called(samples);
        if let Some((_, lasts)) = &mut self.called {
            *lasts = Duration::from_micros(samples as u64 * 1_000_000 / u64::from(self.rate));
        }
        let there = self.ring.slots().min(samples);
        let mut places = sound.chunks_exact_mut(channels);
        if let Ok(chunk) = self.ring.read_chunk(there) {
            for (sample, place) in chunk.into_iter().zip(&mut places) {
                place.fill(T::from_sample(sample));
                self.last = sample;
            }
        }
        for place in places {
            self.last *= FADE;
            place.fill(T::from_sample(self.last));
        }
        self.started |= there > 0;
        if self.started {
            self.stats
                .missing
                .fetch_add((samples - there) as u64, Relaxed);
        }
        self.wake.wake();
    }

    /// What it has seen.
    pub fn stats(&self) -> Arc<RingStats> {
        Arc::clone(&self.stats)
    }
}

/// The processing thread's end of a loudspeaker's ring.
///
/// It holds as much as the device took at once lately, and a margin: half a frame more whenever something
/// was missing, half a frame less after half a minute when nothing was. Each time that less turns out
/// to be too little, it takes twice as long until that is tried again: each try may cost a click.
pub struct PlaybackPort {
    ring: Producer<f32>,
    stats: Arc<RingStats>,
    resampler: Option<Box<FromFrames>>,
    /// Length of 10 ms in the device's rate.
    frame: usize,
    /// Most that the device took at once in the last whole second.
    at_once: usize,
    /// Frames since then.
    written: u32,
    margin: usize,
    /// As of the last look.
    missing: u64,
    /// Frames since something was missing, or the margin was made smaller.
    calm: u32,
    /// Frames of calm until the margin is made smaller.
    patience: u32,
    /// Whether it was made smaller, and nothing has been missing since.
    trying: bool,
}

const CALM_FRAMES: u32 = 3_000;

/// A quarter of an hour.
const MOST_CALM_FRAMES: u32 = 90_000;

/// PulseAudio takes twice the usual when a stream begins: no reason to hold that much ever after.
const LATELY_FRAMES: u32 = 100;

impl PlaybackPort {
    /// Whether the device will soon have played what is there.
    pub fn wants_frame(&mut self) -> bool {
        let missing = self.stats.missing();
        if missing > self.missing {
            self.missing = missing;
            self.margin = (self.margin + self.frame / 2).min(6 * self.frame);
            self.calm = 0;
            if std::mem::take(&mut self.trying) {
                self.patience = (2 * self.patience).min(MOST_CALM_FRAMES);
            }
        }
        let latest = self.stats.latest.load(Relaxed) as usize;
        let at_once = self.at_once.max(latest).max(self.frame / 2);
        let most = self.ring.buffer().capacity() - 2 * self.frame;
        self.waiting() < (at_once + self.margin).min(most)
    }

    /// Gives it 10 ms to play. What finds no room is dropped.
    pub fn write(&mut self, frame: &[f32; FRAME]) {
        self.written += 1;
        if self.written >= LATELY_FRAMES {
            self.written = 0;
            self.at_once = self.stats.turn();
        }
        self.calm += 1;
        if self.calm >= self.patience && self.margin > 0 {
            self.calm = 0;
            self.trying = true;
            self.margin = self.margin.saturating_sub(self.frame / 2);
        }
        let sound = match &mut self.resampler {
            None => &frame[..],
            Some(resampler) => resampler.process(frame),
        };
        let (_, rest) = self.ring.push_partial_slice(sound);
        self.stats.dropped.fetch_add(rest.len() as u64, Relaxed);
    }

    fn waiting(&self) -> usize {
        self.ring.buffer().capacity() - self.ring.slots()
    }

    /// What it has seen.
    pub fn stats(&self) -> &RingStats {
        &self.stats
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal;

    #[test]
    fn sound_goes_through_unchanged_whatever_the_callback_takes_at_once() {
        let tone = signal::tone(440.0, 0.5, 48_000);
        let (mut tap, mut port) = capture(SAMPLE_RATE, Wake::new()).unwrap();
        let mut heard = Vec::new();
        let mut frame = [0.0; FRAME];
        for chunk in tone.chunks(700) {
            let stereo: Vec<f32> = chunk.iter().flat_map(|&x| [2.0 * x, 0.0]).collect();
            tap.push(&stereo, 2);
            while port.read(&mut frame) {
                heard.extend_from_slice(&frame);
            }
        }
        assert_eq!(heard, tone[..heard.len()]);
        assert!(tone.len() - heard.len() < FRAME);
        assert_eq!(tap.stats().dropped(), 0);
        assert_eq!(tap.stats().largest(), 700);

        let (mut port, mut tap) = playback(SAMPLE_RATE, Wake::new()).unwrap();
        let mut frames = tone.chunks_exact(FRAME);
        let mut heard = Vec::new();
        let mut stereo = [0i16; 2 * 700];
        tap.fill(&mut stereo, 2);
        for _ in 0..60 {
            while port.wants_frame() {
                port.write(frames.next().unwrap().try_into().unwrap());
            }
            tap.fill(&mut stereo, 2);
            heard.extend(stereo.chunks(2).map(|at_once| {
                assert_eq!(at_once[0], at_once[1]);
                f32::from(at_once[0]) / 32_768.0
            }));
        }
        assert_eq!(tap.stats().missing(), 0);
        assert!(signal::snr_db(&tone[..heard.len()], &heard) > 80.0);
    }

    #[test]
    fn a_late_reader_loses_the_oldest_and_has_no_delay_afterwards() {
        let tone = signal::tone(440.0, 0.5, 48_000);
        let (mut tap, mut port) = capture(SAMPLE_RATE, Wake::new()).unwrap();
        for chunk in tone[..12_000].chunks(480) {
            tap.push(chunk, 1);
        }
        let mut frame = [0.0; FRAME];
        assert!(port.read(&mut frame));
        assert_eq!(frame, tone[12_000 - FRAME..12_000]);
        assert!(!port.read(&mut frame));
        assert_eq!(port.stats().dropped(), 12_000 - FRAME as u64);
        // Nobody reads at all: the ring is full, and nothing worse happens.
        for chunk in tone.chunks(480) {
            tap.push(chunk, 1);
        }
        assert!(port.read(&mut frame));
    }

    #[test]
    fn what_was_missing_fades_and_makes_the_ring_hold_more_until_it_is_calm() {
        let (mut port, mut tap) = playback(SAMPLE_RATE, Wake::new()).unwrap();
        let mut out = [0.0f32; FRAME];
        tap.fill(&mut out, 1);
        assert_eq!(tap.stats().missing(), 0, "nothing was ever there");
        let held = |port: &mut PlaybackPort| {
            while port.wants_frame() {
                port.write(&[0.5; FRAME]);
            }
            port.waiting()
        };
        assert_eq!(held(&mut port), FRAME);
        tap.fill(&mut out, 1);
        tap.fill(&mut out, 1);
        assert!(signal::largest_step(&out) < 0.02 && out[FRAME - 1].abs() < 0.001);
        assert!(out[0] > 0.45);
        assert_eq!(port.stats().missing(), FRAME as u64);
        assert_eq!(held(&mut port), 2 * FRAME);
        // However bad it gets, it is bounded.
        for _ in 0..100 {
            for _ in 0..8 {
                tap.fill(&mut out, 1);
            }
            held(&mut port);
        }
        assert!(port.waiting() <= 8 * FRAME, "{}", port.waiting());
        // Calm for minutes: back to where it was.
        for _ in 0..50_000 {
            tap.fill(&mut out, 1);
            held(&mut port);
        }
        assert!(port.waiting() <= FRAME, "{}", port.waiting());
    }

    #[test]
    fn who_calls_when_next_to_nothing_is_left_is_late() {
        let (_port, mut tap) = playback(SAMPLE_RATE, Wake::new()).unwrap();
        let mut out = [0.0f32; FRAME];
        let mut late_after = |ms: &[u64]| {
            let before = tap.stats().late();
            for at in ms {
                tap.called_at(Duration::from_millis(*at));
                tap.fill(&mut out, 1);
            }
            tap.stats().late() - before
        };
        assert_eq!(late_after(&[0, 10, 21, 36, 40, 52]), 0);
        assert_eq!(late_after(&[71, 90, 100]), 2);
        assert_eq!(late_after(&[600]), 1);
    }

    #[test]
    fn what_has_proved_too_little_is_tried_ever_more_rarely() {
        let (mut port, mut tap) = playback(SAMPLE_RATE, Wake::new()).unwrap();
        let mut out = [0.0f32; FRAME];
        let mut missing = Vec::new();
        // An hour with a device that takes 15 ms at once every now and then.
        for frame in 0..360_000 {
            while port.wants_frame() {
                port.write(&[0.5; FRAME]);
            }
            let before = tap.stats().missing();
            tap.fill(&mut out[..FRAME], 1);
            if frame % 50 == 0 {
                tap.fill(&mut out[..FRAME / 2], 1);
            }
            if tap.stats().missing() > before {
                missing.push(frame / 6_000);
            }
        }
        assert!(missing.len() < 12, "{missing:?}");
        assert_eq!(*missing.first().unwrap(), 0);
    }

    #[test]
    fn another_rate_is_resampled_and_the_count_fits() {
        for rate in [16_000u32, 44_100] {
            let (mut tap, mut port) = capture(rate, Wake::new()).unwrap();
            let tenth: Vec<f32> = vec![0.25; rate as usize / 100];
            let mut frame = [0.0; FRAME];
            let mut frames = 0;
            for _ in 0..200 {
                tap.push(&tenth, 1);
                while port.read(&mut frame) {
                    frames += 1;
                }
            }
            assert!((196..=200).contains(&frames), "{rate}: {frames}");
            assert!((frame[FRAME / 2] - 0.25).abs() < 0.005);

            let (mut port, mut tap) = playback(rate, Wake::new()).unwrap();
            let mut out = tenth.clone();
            let mut frames = 0;
            for _ in 0..200 {
                while port.wants_frame() {
                    port.write(&[0.25; FRAME]);
                    frames += 1;
                }
                tap.fill(&mut out, 1);
            }
            assert!((200..=206).contains(&frames), "{rate}: {frames}");
            assert!((out[10] - 0.25).abs() < 0.005);
        }
    }
}
