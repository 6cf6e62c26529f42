//! The sound about to be played, with a little of what was: a piece of about one pitch period can be
//! taken out of it, or put in, where nobody hears.
//!
//! Taking out fades from the sound at the play head over to that one period later; putting in fades
//! over to that one period earlier, which is therefore kept. Both ends of a fade are sound as it
//! was, so nothing jumps, and a whole period makes no difference to the pitch (WSOLA).

/// Longest piece: the period of 80 Hz.
pub(super) const LONGEST: usize = 600;
/// Shortest piece: the period of 400 Hz. Higher voices have several periods in one.
const SHORTEST: usize = 120;
/// Length of a fade: 5 ms.
pub(super) const FADE: usize = 240;
/// Sound is compared this much to each side of the start of a fade.
const REACH: usize = 240;
/// The search looks at every fourth sample first.
const COARSE: usize = 4;
/// Below this mean square (−54 dBFS) nobody hears what is done.
const QUIET: f32 = 4e-6;

/// What was played is kept for so long: enough to compare with and to go back to.
const HISTORY: usize = LONGEST + REACH;
/// Room for the longest packet, a tick's rest and what is added.
const ROOM: usize = 16_384;

/// Sound to be played, and a little that was.
#[derive(Clone, Debug)]
pub(super) struct Line {
    samples: Vec<f32>,
    /// Where unplayed sound starts. Never less than `HISTORY`.
    head: usize,
}

impl Line {
    pub(super) fn new() -> Self {
        let mut samples = Vec::with_capacity(ROOM);
        samples.resize(HISTORY, 0.0);
        Self {
            samples,
            head: HISTORY,
        }
    }

    /// How much is ready to be played.
    pub(super) fn ready(&self) -> usize {
        self.samples.len() - self.head
    }

    /// Adds sound at the end.
    pub(super) fn push(&mut self, sound: &[f32]) {
        if self.samples.len() + sound.len() > ROOM {
            let spent = self.head - HISTORY;
            self.samples.drain(..spent);
            self.head = HISTORY;
        }
        self.samples.extend_from_slice(sound);
    }

    /// Plays: moves sound from the front into `out`, as much as fits. False, and `out` untouched, when
    /// there is not enough.
    pub(super) fn play(&mut self, out: &mut [f32]) -> bool {
        let Some(sound) = self.samples.get(self.head..self.head + out.len()) else {
            return false;
        };
        out.copy_from_slice(sound);
        self.head += out.len();
        true
    }

    /// Takes out a piece of at most `most` samples if the sound around it is at least so alike; its
    /// length.
    pub(super) fn take_out(&mut self, most: usize, alike: f32) -> Option<usize> {
        let room = self.ready().checked_sub(FADE.max(REACH))?;
        let longest = most.min(LONGEST).min(room);
        let piece = self.find(longest, longest, alike, |head, lag| head + lag)?;
        let head = self.head;
        for n in 0..FADE {
            let (from, to) = (self.samples[head + n], self.samples[head + piece + n]);
            self.samples[head + n] = fade(from, to, n);
        }
        self.samples.drain(head + FADE..head + FADE + piece);
        Some(piece)
    }

    /// Puts in a piece if the sound around it is at least so alike; its length, which is about
    /// `wanted` where there is silence.
    pub(super) fn put_in(&mut self, wanted: usize, alike: f32) -> Option<usize> {
        if self.ready() < FADE.max(REACH) || self.samples.len() + LONGEST > ROOM {
            return None;
        }
        let silent = wanted.clamp(SHORTEST, LONGEST);
        let piece = self.find(LONGEST, silent, alike, |head, lag| head - lag)?;
        let head = self.head;
        let old_end = self.samples.len();
        // Everything from one period before the end of the fade comes once more.
        let again = head + FADE - piece..old_end;
        let mut faded = [0.0; FADE];
        for (n, sample) in faded.iter_mut().enumerate() {
            *sample = fade(self.samples[head + n], self.samples[head + n - piece], n);
        }
        self.samples.resize(old_end + piece, 0.0);
        self.samples.copy_within(again, head + FADE);
        self.samples[head..head + FADE].copy_from_slice(&faded);
        Some(piece)
    }

    /// The lag, at most `longest`, at which the sound at `other(head, lag)` is most like that at the
    /// head; `silent` where it does not matter.
    fn find(
        &self,
        longest: usize,
        silent: usize,
        alike: f32,
        other: impl Fn(usize, usize) -> usize,
    ) -> Option<usize> {
        if longest < SHORTEST {
            return None;
        }
        let around = |at: usize| &self.samples[at - REACH..at + REACH];
        let here = around(self.head);
        let loudness =
            |sound: &[f32]| sound.iter().map(|x| x * x).sum::<f32>() / sound.len() as f32;
        let far = other(self.head, longest);
        let span = &self.samples[self.head.min(far) - REACH..self.head.max(far) + REACH];
        if loudness(span) < QUIET {
            return Some(silent);
        }
        if alike > 1.0 {
            // Nothing is: only silence was asked for.
            return None;
        }
        let score = |lag: usize, step: usize| similarity(here, around(other(self.head, lag)), step);
        let best = |lags: &mut dyn Iterator<Item = usize>, step: usize| {
            lags.map(|lag| (lag, score(lag, step)))
                .max_by(|a, b| a.1.total_cmp(&b.1))
        };
        let (coarse, _) = best(&mut (SHORTEST..=longest).step_by(COARSE), COARSE)?;
        let nearby = coarse.saturating_sub(COARSE).max(SHORTEST)..=(coarse + COARSE).min(longest);
        let (lag, likeness) = best(&mut nearby.into_iter(), 1)?;
        (likeness >= alike).then_some(lag)
    }
}

/// Correlation of two pieces, normalised: 1 for the same sound at the same loudness, less where one
/// is louder, so that a fade does not change the loudness at once.
fn similarity(a: &[f32], b: &[f32], step: usize) -> f32 {
    let (mut ab, mut aa, mut bb) = (0.0f32, 1e-9f32, 1e-9f32);
    for (&x, &y) in a.iter().zip(b).step_by(step) {
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    2.0 * ab / (aa + bb)
}

fn fade(from: f32, to: f32, n: usize) -> f32 {
    let share = (n as f32 + 0.5) / FADE as f32;
    from + (to - from) * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal;

    /// Plays `sound` in pieces of 10 ms, stretching whenever it can; what is heard, and the number of
    /// samples that were put in or taken out.
    fn stretched(sound: &[f32], faster: bool, alike: f32) -> (Vec<f32>, usize) {
        let mut line = Line::new();
        let mut chunks = sound.chunks_exact(480);
        let (mut heard, mut changed, mut out) = (Vec::new(), 0, [0.0; 480]);
        let mut tick = 0;
        loop {
            while line.ready() < 1_440 {
                match chunks.next() {
                    Some(chunk) => line.push(chunk),
                    None => return (heard, changed),
                }
            }
            if tick % 5 == 4 {
                let by = if faster {
                    line.take_out(LONGEST, alike)
                } else {
                    line.put_in(LONGEST, alike)
                };
                changed += by.unwrap_or(0);
            }
            if tick < 8 || line.ready() >= 480 {
                assert!(line.play(&mut out));
                heard.extend_from_slice(&out);
            }
            tick += 1;
        }
    }

    #[test]
    fn a_tone_keeps_its_pitch_and_never_jumps() {
        for hz in [97.0, 150.0, 440.0, 1_000.0, 2_730.0] {
            for faster in [true, false] {
                let sound = signal::tone(hz, 0.5, 96_000);
                let (heard, changed) = stretched(&sound, faster, 0.9);
                assert!(
                    changed > 96_000 / 20,
                    "{hz} Hz: only {changed} samples changed"
                );
                let expected = if faster {
                    sound.len() - changed
                } else {
                    sound.len() + changed
                };
                assert!(
                    heard.len().abs_diff(expected) < 2_500,
                    "{} {expected}",
                    heard.len()
                );
                let got = signal::frequency(&heard[960..]);
                assert!((got / hz - 1.0).abs() < 0.003, "{hz} Hz became {got} Hz");
                let (before, after) = (signal::largest_step(&sound), signal::largest_step(&heard));
                assert!(
                    after <= before * 1.1,
                    "{hz} Hz: steps of {after} instead of {before}"
                );
            }
        }
    }

    #[test]
    fn speech_is_stretched_without_clicks_or_loss_of_loudness() {
        for (seed, faster) in [(1, true), (2, false), (3, true), (4, false)] {
            let sound = signal::speech(seed, 20 * 48_000);
            let (heard, changed) = stretched(&sound, faster, 0.85);
            assert!(changed > sound.len() / 50, "only {changed} samples changed");
            let (before, after) = (signal::largest_step(&sound), signal::largest_step(&heard));
            assert!(
                after <= before * 1.05,
                "steps of {after} instead of {before}"
            );
            let power = |s: &[f32]| s.iter().map(|x| x * x).sum::<f32>() / s.len() as f32;
            let ratio = power(&heard) / power(&sound);
            assert!((0.7..1.4).contains(&ratio), "loudness changed by {ratio}");
        }
    }

    #[test]
    fn silence_goes_at_once_and_noise_stays() {
        let mut line = Line::new();
        line.push(&[0.0; 1_440]);
        assert_eq!(line.take_out(LONGEST, 0.9), Some(LONGEST));
        assert_eq!(line.put_in(LONGEST, 0.9), Some(LONGEST));
        assert_eq!(line.ready(), 1_440);
        let mut seed = 1u32;
        let noise: Vec<f32> = (0..2_000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 8) as f32 / 16_777_216.0 - 0.5
            })
            .collect();
        let mut line = Line::new();
        line.push(&noise);
        let mut out = [0.0; 480];
        assert!(line.play(&mut out));
        assert_eq!(line.take_out(LONGEST, 0.9), None);
        assert_eq!(line.put_in(LONGEST, 0.9), None);
    }

    #[test]
    fn too_little_sound_is_left_alone() {
        let mut line = Line::new();
        line.push(&signal::tone(200.0, 0.5, 300));
        assert_eq!(line.take_out(LONGEST, 0.0), None);
        assert_eq!(line.ready(), 300);
        let mut out = [1.0; 480];
        assert!(!line.play(&mut out));
        assert_eq!(out, [1.0; 480]);
    }

    #[test]
    fn no_piece_is_longer_than_asked() {
        let mut line = Line::new();
        line.push(&signal::tone(100.0, 0.5, 2_400));
        assert!(line.play(&mut [0.0; 960]));
        assert_eq!(line.take_out(480, 0.9), Some(480));
        assert!(line.take_out(300, -1.0).is_some_and(|piece| piece <= 300));
        assert_eq!(line.take_out(100, -1.0), None);
    }
}
