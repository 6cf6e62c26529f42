//! How loud sound is, and whether somebody speaks.

use crate::FRAME;

/// When sound counts as speech. Levels in dBFS, times in 10 ms frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeterConfig {
    /// At this level somebody starts to speak.
    pub speaking_dbfs: f32,
    /// So much softer they still do.
    pub hysteresis_db: f32,
    /// For so many frames in a row it must be that loud: a click is no word.
    pub attack: u32,
    /// So many frames after the last loud one they are still speaking: between words.
    pub hangover: u32,
}

impl Default for MeterConfig {
    fn default() -> Self {
        Self {
            speaking_dbfs: -45.0,
            hysteresis_db: 6.0,
            attack: 2,
            hangover: 30,
        }
    }
}

/// How loud, as of the last frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    /// Root mean square, falling slowly, in dBFS; −100 is silence.
    pub rms_dbfs: f32,
    /// Peak, falling slowly, in dBFS; −100 is silence.
    pub peak_dbfs: f32,
    /// Whether somebody speaks.
    pub speaking: bool,
}

/// Meters a stream, 10 ms by 10 ms. Real-time safe.
#[derive(Clone, Debug)]
pub struct LevelMeter {
    config: MeterConfig,
    power: f32,
    peak: f32,
    loud: u32,
    hold: u32,
    speaking: bool,
}

/// A meter rises at once and falls by this share in 10 ms: 20 dB in half a second.
const POWER_FALL: f32 = 0.912;
const PEAK_FALL: f32 = 0.955;

const SILENCE_DBFS: f32 = -100.0;

fn dbfs(power: f32) -> f32 {
    (10.0 * power.log10()).max(SILENCE_DBFS)
}

impl LevelMeter {
    /// A meter at silence.
    pub const fn new(config: MeterConfig) -> Self {
        Self {
            config,
            power: 0.0,
            peak: 0.0,
            loud: 0,
            hold: 0,
            speaking: false,
        }
    }

    /// Counts as speech by other rules from now on.
    pub const fn configure(&mut self, config: MeterConfig) {
        self.config = config;
    }

    /// Takes in a frame. Samples that are not numbers count as silence.
    pub fn update(&mut self, sound: &[f32; FRAME]) {
        let (mut sum, mut peak) = (0.0f32, 0.0f32);
        for &sample in sound {
            if sample.is_finite() {
                sum += sample * sample;
                peak = peak.max(sample.abs());
            }
        }
        let power = (sum / FRAME as f32).min(1e6);
        self.power = power.max(self.power * POWER_FALL);
        self.peak = peak.min(1e3).max(self.peak * PEAK_FALL);

        let threshold = if self.speaking {
            self.config.speaking_dbfs - self.config.hysteresis_db
        } else {
            self.config.speaking_dbfs
        };
        if dbfs(power) >= threshold {
            self.loud = self.loud.saturating_add(1);
            if self.speaking || self.loud >= self.config.attack {
                self.speaking = true;
                self.hold = self.config.hangover;
            }
        } else {
            self.loud = 0;
            self.speaking = self.hold > 0;
            self.hold = self.hold.saturating_sub(1);
        }
    }

    /// The levels as of the last frame.
    pub fn levels(&self) -> Levels {
        Levels {
            rms_dbfs: dbfs(self.power),
            peak_dbfs: dbfs(self.peak * self.peak),
            speaking: self.speaking,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal;

    fn tone(amplitude: f32) -> [f32; FRAME] {
        signal::tone(1_000.0, amplitude, FRAME).try_into().unwrap()
    }

    #[test]
    fn levels_are_those_of_the_sound() {
        let mut meter = LevelMeter::new(MeterConfig::default());
        assert_eq!(meter.levels().rms_dbfs, SILENCE_DBFS);
        meter.update(&tone(0.5));
        let levels = meter.levels();
        assert!((levels.rms_dbfs + 9.03).abs() < 0.1, "{levels:?}");
        assert!((levels.peak_dbfs + 6.02).abs() < 0.1, "{levels:?}");
        // Half a second later it has fallen by 20 dB.
        for _ in 0..50 {
            meter.update(&[0.0; FRAME]);
        }
        assert!(
            (meter.levels().rms_dbfs + 29.0).abs() < 1.0,
            "{:?}",
            meter.levels()
        );
    }

    #[test]
    fn a_word_is_speech_a_click_is_not_and_pauses_between_words_do_not_flicker() {
        let mut meter = LevelMeter::new(MeterConfig::default());
        let mut feed = |amplitude: f32, frames: u32| {
            let mut last = false;
            let mut changes = 0;
            for _ in 0..frames {
                meter.update(&tone(amplitude));
                let speaking = meter.levels().speaking;
                changes += u32::from(speaking != last);
                last = speaking;
            }
            (last, changes)
        };
        assert_eq!(feed(0.5, 1), (false, 0));
        assert_eq!(feed(0.0, 5), (false, 0));
        assert_eq!(feed(0.1, 20), (true, 1));
        assert!(feed(0.0, 25).0);
        assert!(feed(0.1, 2).0);
        // Softer than what starts it, still enough to go on.
        assert!(feed(0.006, 100).0);
        assert!(!feed(0.0, 40).0);
    }

    #[test]
    fn nonsense_is_silence() {
        let mut meter = LevelMeter::new(MeterConfig::default());
        meter.update(&[f32::NAN; FRAME]);
        meter.update(&[f32::INFINITY; FRAME]);
        assert_eq!(meter.levels().rms_dbfs, SILENCE_DBFS);
        meter.update(&[f32::MAX; FRAME]);
        assert!(meter.levels().rms_dbfs.is_finite());
    }
}
