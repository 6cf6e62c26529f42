//! Many streams into one frame that never clips.
//!
//! ## Real-time safety
//! [`Mixer::begin`], [`Mixer::add`] and [`Mixer::finish`], the whole of [`Limiter`] and
//! [`LevelMeter`] neither allocate nor lock, and take a time that depends only on the number of
//! streams; a test runs them under an allocator that refuses. [`Mixer::source`] and
//! [`Mixer::remove`] may allocate: people come and go, frames don't wait for them.

mod level;
mod limiter;

use std::collections::BTreeMap;

pub use level::{LevelMeter, Levels, MeterConfig};
pub use limiter::Limiter;

use crate::FRAME;

/// Loudest that one person can be made: twice as loud (in amplitude).
pub const LOUDEST: f32 = 2.0;

/// How loud somebody is who is heard through the air as well: −30 dB, next to them nothing.
const DUCKED: f32 = 0.032;

/// Time constant of changes of loudness, as the share of the way that a sample goes: about 5 ms, too
/// slow to hear as a step and too fast to hear as a ramp.
const APPROACH: f32 = 1.0 / 240.0;

/// How loud somebody is at a distance, as a factor, by the near edge (in metres) of the shown distance
/// band and nothing else, so that the sound leaks no more than the screen.
///
/// Full volume in the nearest band; then 1.5 dB less with each doubling, which tells near from far and
/// leaves everyone easy to follow: 2 km is 8 dB down.
pub fn ring_gain(near_edge_m: u32) -> f32 {
    let doublings = (1.0 + near_edge_m as f32 / 50.0).log2();
    let decibels = (-1.5 * doublings).max(-9.0);
    10f32.powf(decibels / 20.0)
}

/// What to do with one person's sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SourceSettings {
    /// 1 is as sent, 0 nothing, [`LOUDEST`] the most.
    pub volume: f32,
    /// Whether this listener wants to hear nothing of them.
    pub muted: bool,
    /// Near edge of the distance band shown for them, in metres.
    pub near_edge_m: u32,
    /// Whether they are in the same room (see [`same_room`](crate::same_room)), and heard without this.
    pub same_room: bool,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self {
            volume: 1.0,
            muted: false,
            near_edge_m: 0,
            same_room: false,
        }
    }
}

impl SourceSettings {
    fn gain(&self) -> f32 {
        if self.muted || !self.volume.is_finite() {
            return 0.0;
        }
        let ducked = if self.same_room { DUCKED } else { 1.0 };
        self.volume.clamp(0.0, LOUDEST) * ring_gain(self.near_edge_m) * ducked
    }
}

#[derive(Clone, Debug)]
struct Source {
    target: f32,
    gain: f32,
    meter: LevelMeter,
}

/// Mixes the streams of people with ids of type `Id` for one listener.
///
/// Every 10 ms: [`begin`](Self::begin), [`add`](Self::add) for each stream that has sound,
/// [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct Mixer<Id> {
    sources: BTreeMap<Id, Source>,
    deafened: f32,
    deafened_target: f32,
    bus: Box<[f32; FRAME]>,
    limiter: Limiter,
}

impl<Id: Ord + Copy> Default for Mixer<Id> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Id: Ord + Copy> Mixer<Id> {
    /// A mixer of nobody.
    pub fn new() -> Self {
        Self {
            sources: BTreeMap::new(),
            deafened: 1.0,
            deafened_target: 1.0,
            bus: Box::new([0.0; FRAME]),
            limiter: Limiter::new(),
        }
    }

    /// Adds somebody, or changes their settings, to which their loudness then glides. Not real-time
    /// safe for somebody new.
    pub fn source(&mut self, id: Id, settings: SourceSettings) {
        let target = settings.gain();
        self.sources
            .entry(id)
            .and_modify(|source| source.target = target)
            .or_insert_with(|| Source {
                target,
                // From nothing: whoever appears in the middle of a word must not click.
                gain: 0.0,
                meter: LevelMeter::new(MeterConfig::default()),
            });
    }

    /// Removes somebody. Not real-time safe. Whoever removes a stream that still sounds mutes it a frame
    /// before.
    pub fn remove(&mut self, id: Id) {
        self.sources.remove(&id);
    }

    /// Whether nobody is heard at all; glides.
    pub fn deafen(&mut self, deafened: bool) {
        self.deafened_target = if deafened { 0.0 } else { 1.0 };
    }

    /// Starts a frame.
    pub fn begin(&mut self) {
        self.bus.fill(0.0);
    }

    /// Adds somebody's 10 ms to the frame. False for somebody unknown, who is not heard. Samples that are
    /// not numbers count as silence.
    pub fn add(&mut self, id: Id, sound: &[f32; FRAME]) -> bool {
        let Some(source) = self.sources.get_mut(&id) else {
            return false;
        };
        source.meter.update(sound);
        for (out, &sample) in self.bus.iter_mut().zip(sound) {
            source.gain += (source.target - source.gain) * APPROACH;
            let sample = sample * source.gain;
            if sample.is_finite() {
                *out += sample;
            }
        }
        true
    }

    /// Finishes the frame: what to play, within ±1 whatever was added, [`Limiter::DELAY`] samples later.
    pub fn finish(&mut self, out: &mut [f32; FRAME]) {
        for sample in self.bus.iter_mut() {
            self.deafened += (self.deafened_target - self.deafened) * APPROACH;
            *sample *= self.deafened;
        }
        self.limiter.process(&self.bus, out);
    }

    /// How loud somebody was in the last frames, as sent: volume, distance and mute make no difference,
    /// so that one sees who speaks.
    pub fn levels(&self, id: Id) -> Option<Levels> {
        self.sources.get(&id).map(|source| source.meter.levels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal;

    fn frames(sound: &[f32]) -> impl Iterator<Item = &[f32; FRAME]> {
        sound
            .chunks_exact(FRAME)
            .filter_map(|chunk| chunk.try_into().ok())
    }

    /// Plays one stream through a mixer, which `change` may change before each frame.
    fn mix(sound: &[f32], mut change: impl FnMut(usize, &mut Mixer<u8>)) -> Vec<f32> {
        let mut mixer = Mixer::new();
        mixer.source(1, SourceSettings::default());
        let mut heard = Vec::new();
        let mut out = [0.0; FRAME];
        for (n, frame) in frames(sound).enumerate() {
            change(n, &mut mixer);
            mixer.begin();
            assert!(mixer.add(1, frame));
            mixer.finish(&mut out);
            heard.extend_from_slice(&out);
        }
        heard
    }

    fn peak(sound: &[f32]) -> f32 {
        sound.iter().fold(0.0, |most, x| most.max(x.abs()))
    }

    #[test]
    fn a_stream_alone_comes_out_as_it_went_in() {
        let sound = signal::speech(1, 48_000);
        let heard = mix(&sound, |_, _| {});
        let delay = Limiter::DELAY;
        for (n, (&a, &b)) in sound.iter().zip(&heard[delay..]).enumerate().skip(4_800) {
            assert!((a - b).abs() < 1e-4, "sample {n}: {a} became {b}");
        }
    }

    #[test]
    fn every_change_of_loudness_glides() {
        let sound = signal::tone(200.0, 0.4, 110_400);
        let bound = signal::largest_step(&sound) * 2.2;
        let settings = |volume, muted, near_edge_m| SourceSettings {
            volume,
            muted,
            near_edge_m,
            same_room: false,
        };
        let heard = mix(&sound, |n, mixer| match n {
            20 => mixer.source(1, settings(2.0, false, 0)),
            60 => mixer.source(1, settings(2.0, true, 0)),
            90 => mixer.source(1, settings(0.5, false, 0)),
            120 => mixer.source(1, settings(1.0, false, 1_000)),
            150 => mixer.deafen(true),
            180 => mixer.deafen(false),
            200 => mixer.source(
                1,
                SourceSettings {
                    same_room: true,
                    ..SourceSettings::default()
                },
            ),
            _ => {}
        });
        let second = |from: usize| peak(&heard[from * FRAME..(from + 8) * FRAME]);
        assert!((second(50) - 0.8).abs() < 0.01);
        assert!(second(80) < 1e-3);
        assert!((second(110) - 0.2).abs() < 0.01);
        assert!((second(140) - 0.4 * ring_gain(1_000)).abs() < 0.01);
        assert!(second(170) < 1e-3);
        assert!((second(191) - 0.4 * ring_gain(1_000)).abs() < 0.01);
        assert!((second(211) - 0.4 * DUCKED).abs() < 1e-3);
        let step = signal::largest_step(&heard);
        assert!(step < bound, "a step of {step}, the bound is {bound}");
    }

    #[test]
    fn a_crowd_that_shouts_never_clips_and_is_not_torn() {
        let mut mixer = Mixer::new();
        let voices: Vec<Vec<f32>> = (0..8)
            .map(|n| {
                signal::speech(n, 5 * 48_000)
                    .iter()
                    .map(|x| x * 2.0)
                    .collect()
            })
            .collect();
        for id in 0..8 {
            mixer.source(
                id,
                SourceSettings {
                    volume: 2.0,
                    ..SourceSettings::default()
                },
            );
        }
        let mut out = [0.0; FRAME];
        let mut loudest = 0.0f32;
        for n in 0..500 {
            mixer.begin();
            for (id, voice) in voices.iter().enumerate() {
                let frame = voice[n * FRAME..][..FRAME].try_into().unwrap();
                mixer.add(id, frame);
            }
            mixer.finish(&mut out);
            loudest = loudest.max(peak(&out));
        }
        assert!(loudest <= 1.0 && loudest > 0.8, "{loudest}");
    }

    #[test]
    fn further_rings_are_softer_but_never_gone() {
        assert_eq!(ring_gain(0), 1.0);
        let bands: Vec<f32> = (0..40).map(|n| ring_gain(50 * n)).collect();
        assert!(bands.windows(2).all(|w| w[1] <= w[0]));
        assert!(bands[39] > 0.35 && bands[39] < 0.5, "{}", bands[39]);
        assert!(ring_gain(u32::MAX) > 0.35);
    }

    #[test]
    fn nonsense_is_silence() {
        let mut mixer = Mixer::new();
        mixer.source(
            1,
            SourceSettings {
                volume: f32::NAN,
                ..SourceSettings::default()
            },
        );
        mixer.source(
            2,
            SourceSettings {
                volume: 1e9,
                ..SourceSettings::default()
            },
        );
        let mut out = [0.0; FRAME];
        for _ in 0..10 {
            mixer.begin();
            mixer.add(1, &[1.0; FRAME]);
            mixer.add(2, &[f32::NAN; FRAME]);
            mixer.add(2, &[f32::INFINITY; FRAME]);
            assert!(!mixer.add(3, &[1.0; FRAME]));
            mixer.finish(&mut out);
            assert_eq!(out, [0.0; FRAME]);
        }
        // And whoever comes after is heard.
        for _ in 0..10 {
            mixer.begin();
            mixer.add(2, &[0.1; FRAME]);
            mixer.finish(&mut out);
        }
        assert!((out[FRAME - 1] - 0.2).abs() < 1e-3);
    }
}
