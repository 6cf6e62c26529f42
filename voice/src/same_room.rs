//! Two people in one room: each hears the other through the air, and once more through the network.
//!
//! Sound through the air comes first. So where the microphone hears what a stream will bring a little later
//! (`LEADS`), the two share a room, and the stream is better not played. What the loudspeaker plays and
//! the microphone picks up comes the other way round, first in the stream and then in the microphone; where
//! that fits at least as well, it is an echo and no neighbour.
//!
//! Compared are not waves, which a room and a codec change beyond recognition, but how five bands of sound
//! swell and fade: their logarithmic energies every 10 ms against their own slow mean, correlated over about a
//! second for every delay in question. Sums are kept running, so a frame costs one product a delay.
//!
//! A far end whose echo canceller fails returns this side's own voice, which the microphone also heard first.
//! It is softer than the voice was, though, while a neighbour is louder in their own microphone than in this
//! one: `SOFTER_DB`.
//!
//! [`SameRoom::far_end`] and all of [`Overheard`] are real-time safe.

use crate::FRAME;

const BANDS: usize = 5;
/// Middle of the bands, in Hz.
const CENTRES: [f32; BANDS] = [300.0, 600.0, 1_100.0, 1_900.0, 3_100.0];
/// Samples are taken together by so many first: nothing above 4 kHz matters here.
const DECIMATION: usize = 6;
const RATE: f32 = 8_000.0;

/// By so many frames the microphone may lead a stream of the same room: 20 to 500 ms.
const LEADS: std::ops::Range<usize> = 2..51;
/// By so many frames an echo may follow.
const LAGS: std::ops::Range<usize> = 0..51;
/// Frames that are remembered.
const PAST: usize = 64;
/// Microphone and loudspeaker may be called up unevenly by so many frames.
const UNEVEN: i64 = 4;

/// What sums keep of themselves in a frame: they look back about 1.2 s.
const MEMORY: f32 = 1.0 - 1.0 / 120.0;
/// How much less counts what all bands do together: any two who talk do that now and then. Which bands swell
/// is what tells words apart.
const TOGETHER: f32 = 0.8;
/// Frames that means of bands look back.
const MEAN: f32 = 100.0;
/// A stream above this says something, −50 dBFS as power.
const ACTIVE: f32 = 1e-5;
/// Noise that is nobody's, −75 dBFS in a band.
const FLOOR: f32 = 3e-8;
/// Noise is believed to rise by this in a frame, 3 dB in a second.
const NOISE_RISE: f32 = 1.007;

/// Alike from here on: a neighbour makes 0.75 to 0.95, a stranger reaches this once in hundreds of frames, …
const ALIKE: f32 = 0.68;
/// … unlike below.
const UNLIKE: f32 = 0.45;
/// A frame of speech that is alike has an energy of 3 to 18, in the mean of what is looked back on; a steady
/// tone's is under 0.6 but for its first second.
const LIVELY: f32 = 2.0;
/// The other order must fit less well, by so much …
const MARGIN: f32 = 0.1;
/// … where it is so many frames away: speech resembles itself a little later.
const APART: usize = 15;
/// The stream may be so much softer than the microphone.
const SOFTER_DB: f32 = 6.0;
/// Delays this close are one: buffers breathe.
const STEADY: usize = 3;
/// Frames between two judgements.
const JUDGED: u32 = 5;
/// Frames of speech before anything is believed.
const SOME: u32 = 70;
/// Frames of speech that must be alike to share a room, …
const SURE: u32 = 65;
/// … and unlike not to any more.
const PARTED: u32 = 250;

/// How a frame swells or fades, band by band.
#[derive(Clone, Copy, Debug, Default)]
struct Shape {
    bands: [f32; BANDS],
    /// Product with itself.
    energy: f32,
    /// Of the sound, whatever is usual.
    power: f32,
}

impl Shape {
    fn dot(&self, other: &Self) -> f32 {
        self.bands
            .iter()
            .zip(&other.bands)
            .map(|(a, b)| a * b)
            .sum()
    }
}

/// Band-passes (RBJ cookbook, constant peak) of about an octave, side by side: each waits for its own last
/// output, none for another's.
#[derive(Clone, Debug)]
struct Shaper {
    gain: [f32; BANDS],
    a1: [f32; BANDS],
    a2: [f32; BANDS],
    past_in: [f32; 2],
    past_out: [[f32; BANDS]; 2],
    mean: [f32; BANDS],
    noise: [f32; BANDS],
    /// Frames so far, up to as many as matter.
    count: f32,
}

impl Shaper {
    fn new() -> Self {
        let angle = CENTRES.map(|hz| std::f32::consts::TAU * hz / RATE);
        let alpha = angle.map(|angle| angle.sin() / 3.0);
        Self {
            gain: alpha.map(|alpha| alpha / (1.0 + alpha)),
            a1: std::array::from_fn(|n| -2.0 * angle[n].cos() / (1.0 + alpha[n])),
            a2: alpha.map(|alpha| (1.0 - alpha) / (1.0 + alpha)),
            past_in: [0.0; 2],
            past_out: [[0.0; BANDS]; 2],
            mean: [0.0; BANDS],
            noise: [1.0; BANDS],
            count: 0.0,
        }
    }

    fn shape(&mut self, sound: &[f32; FRAME]) -> Shape {
        const SAMPLES: f32 = (FRAME / DECIMATION) as f32;
        let mut energies = [0.0; BANDS];
        let mut power = 0.0;
        for some in sound.chunks_exact(DECIMATION) {
            let sample = some.iter().sum::<f32>() / DECIMATION as f32;
            // One that is no number would stay in the filters.
            let sample = if sample.is_finite() { sample } else { 0.0 };
            power += sample * sample;
            let step = sample - self.past_in[1];
            self.past_in = [sample, self.past_in[0]];
            let [last, before] = &mut self.past_out;
            for n in 0..BANDS {
                let out = self.gain[n] * step - self.a1[n] * last[n] - self.a2[n] * before[n];
                before[n] = last[n];
                last[n] = out;
                energies[n] += out * out;
            }
        }
        self.count = (self.count + 1.0).min(MEAN);
        let mut bands = [0.0; BANDS];
        for n in 0..BANDS {
            let energy = energies[n] / SAMPLES;
            let noise = &mut self.noise[n];
            *noise = (*noise * NOISE_RISE).min(energy).max(FLOOR);
            // How far above the noise, against what is usual.
            let level = (1.0 + energy / (4.0 * *noise)).log2();
            self.mean[n] += (level - self.mean[n]) / self.count;
            bands[n] = level - self.mean[n];
        }
        let together = bands.iter().sum::<f32>() / BANDS as f32;
        for band in &mut bands {
            *band -= TOGETHER * together;
        }
        let mut shape = Shape {
            bands,
            energy: 0.0,
            power: power / SAMPLES,
        };
        shape.energy = shape.dot(&shape);
        shape
    }
}

/// The last shapes, by their number.
#[derive(Clone, Debug)]
struct Past {
    shapes: [Shape; PAST],
    count: i64,
}

impl Past {
    fn new() -> Self {
        Self {
            shapes: [Shape::default(); PAST],
            count: 0,
        }
    }

    fn push(&mut self, shape: Shape) {
        self.shapes[(self.count as usize) % PAST] = shape;
        self.count += 1;
    }

    fn get(&self, number: i64) -> Option<&Shape> {
        let remembered = number >= 0 && number < self.count && number + PAST as i64 >= self.count;
        remembered.then(|| &self.shapes[number as usize % PAST])
    }
}

/// What the microphone hears. One for all streams.
#[derive(Clone, Debug)]
pub struct Overheard {
    shaper: Shaper,
    past: Past,
    /// Frames heard from the network so far.
    heard: i64,
    /// Number of the microphone's frame that belongs to frame 0 of what is heard.
    anchor: i64,
}

impl Default for Overheard {
    fn default() -> Self {
        Self::new()
    }
}

impl Overheard {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            shaper: Shaper::new(),
            past: Past::new(),
            heard: 0,
            anchor: 0,
        }
    }

    /// Takes 10 ms of the microphone: after echo cancellation, but whether or not anybody is to hear it.
    pub fn near_end(&mut self, sound: &[f32; FRAME]) {
        self.past.push(self.shaper.shape(sound));
    }

    /// Begins the next 10 ms of what is played; to be called before [`SameRoom::far_end`] of each stream.
    pub fn begin(&mut self) {
        self.heard += 1;
        let anchor = self.past.count - self.heard;
        if (anchor - self.anchor).abs() > UNEVEN {
            self.anchor = anchor;
        }
    }

    /// The microphone's frame of so many frames ago.
    fn ago(&self, frames: usize) -> Option<&Shape> {
        // One that has not come yet when these ticks are uneven is as good as the last.
        let now = (self.heard + self.anchor).min(self.past.count) - 1;
        self.past.get(now - frames as i64)
    }
}

/// Running sums for one delay.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    product: f32,
    stream: f32,
    microphone: f32,
    /// Of the stream and of the microphone, unlike the others not against a mean.
    powers: [f32; 2],
}

impl Sums {
    fn add(&mut self, stream: &Shape, microphone: &Shape) {
        self.product = self.product * MEMORY + stream.dot(microphone);
        self.stream = self.stream * MEMORY + stream.energy;
        self.microphone = self.microphone * MEMORY + microphone.energy;
        self.powers[0] = self.powers[0] * MEMORY + stream.power;
        self.powers[1] = self.powers[1] * MEMORY + microphone.power;
    }

    /// By how much the stream is louder, in dB.
    fn louder(&self) -> f32 {
        let [stream, microphone] = self.powers;
        10.0 * (stream.max(1e-9) / microphone.max(1e-9)).log10()
    }

    /// Whether both swell and fade as speech does: steady sounds are alike in ripples that mean nothing.
    /// `frames` are in the sums.
    fn is_lively(&self, frames: f32) -> bool {
        let least = LIVELY * frames;
        self.stream > least && self.microphone > least
    }

    fn correlation(&self) -> f32 {
        let energy = (self.stream * self.microphone).sqrt();
        if energy > 1e-3 {
            self.product / energy
        } else {
            0.0
        }
    }
}

/// Tells whether one stream is of somebody in the same room. See the [module](self).
#[derive(Clone, Debug)]
pub struct SameRoom {
    shaper: Shaper,
    past: Past,
    leads: [Sums; LEADS.end - LEADS.start],
    lags: [Sums; LAGS.end - LAGS.start],
    /// Frames in which the stream said something, …
    active: u32,
    /// … and as many as are in the sums still.
    frames: f32,
    lead: usize,
    alike: u32,
    unlike: u32,
    same: bool,
}

impl Default for SameRoom {
    fn default() -> Self {
        Self::new()
    }
}

impl SameRoom {
    /// Somewhere else, until shown otherwise.
    pub fn new() -> Self {
        Self {
            shaper: Shaper::new(),
            past: Past::new(),
            leads: [Sums::default(); LEADS.end - LEADS.start],
            lags: [Sums::default(); LAGS.end - LAGS.start],
            active: 0,
            frames: 0.0,
            lead: 0,
            alike: 0,
            unlike: 0,
            same: false,
        }
    }

    /// Whether they are in the same room.
    pub const fn is_same(&self) -> bool {
        self.same
    }

    /// Takes 10 ms of the stream, as they are to be played; `None` while it brings nothing. Whether they are
    /// in the same room.
    pub fn far_end(&mut self, sound: Option<&[f32; FRAME]>, overheard: &Overheard) -> bool {
        let Some(sound) = sound else {
            self.past.push(Shape::default());
            return self.same;
        };
        let shape = self.shaper.shape(sound);
        self.past.push(shape);
        if let Some(microphone) = overheard.ago(0) {
            for (lag, sums) in LAGS.zip(&mut self.lags) {
                let earlier = self.past.get(self.past.count - 1 - lag as i64);
                if let Some(earlier) = earlier.filter(|shape| shape.power > ACTIVE) {
                    sums.add(earlier, microphone);
                }
            }
        }
        if shape.power <= ACTIVE {
            return self.same;
        }
        for (lead, sums) in LEADS.zip(&mut self.leads) {
            if let Some(earlier) = overheard.ago(lead) {
                sums.add(&shape, earlier);
            }
        }
        self.active = self.active.saturating_add(1);
        self.frames = self.frames * MEMORY + 1.0;
        if self.active > SOME && self.active.is_multiple_of(JUDGED) {
            self.judge();
        }
        self.same
    }

    fn judge(&mut self) {
        let (lead, alike) = best(&self.leads);
        let apart = APART.saturating_sub(LEADS.start + lead);
        let (_, echo) = best(&self.lags[apart..]);
        let (_, near) = best(&self.lags[..apart]);
        let louder = self.leads[lead].louder();
        let steady = lead.abs_diff(self.lead) <= STEADY;
        self.lead = lead;
        let fits = alike > ALIKE
            && alike > near
            && alike > echo + MARGIN
            && self.leads[lead].is_lively(self.frames);
        if fits && steady && louder > -SOFTER_DB {
            self.alike += JUDGED;
            self.unlike = 0;
        } else if alike < UNLIKE || !steady || echo > alike + MARGIN {
            self.alike = 0;
            self.unlike = self.unlike.saturating_add(JUDGED);
        }
        if self.alike >= SURE {
            self.same = true;
        } else if self.unlike >= PARTED {
            self.same = false;
        }
    }
}

fn best(sums: &[Sums]) -> (usize, f32) {
    sums.iter()
        .map(Sums::correlation)
        .enumerate()
        .fold(
            (0, 0.0),
            |best, next| if next.1 > best.1 { next } else { best },
        )
}

#[cfg(test)]
mod tests;
