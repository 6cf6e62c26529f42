//! What is done to the microphone's sound before it is encoded: the echo of the loudspeaker, noise and
//! differences in loudness are taken out of it, and it is let through or not.
//!
//! Every 10 ms that are played go through [`Processor::far_end`], every 10 ms that were recorded
//! through [`Processor::near_end`], each as they come: the echo canceller finds out the delay between
//! the two by itself. Then a [`Gate`] decides who hears it.

mod gate;

use std::time::Duration;

use sonora::{
    AudioProcessing, Config, StreamConfig,
    config::{
        AdaptiveDigital, EchoCanceller, GainController2, HighPassFilter, MaxProcessingRate,
        NoiseSuppressionLevel, Pipeline,
    },
};

pub use gate::{Gate, GateSettings, TalkMode, Transmission};

use crate::{
    FRAME, SAMPLE_RATE,
    mixer::{LevelMeter, Levels, MeterConfig},
};

/// How much noise is taken out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NoiseSuppression {
    /// None.
    Off,
    /// About 6 dB.
    Low,
    /// About 12 dB.
    #[default]
    Moderate,
    /// About 18 dB.
    High,
    /// About 21 dB.
    VeryHigh,
}

/// What is done to the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessingSettings {
    /// Takes what the loudspeaker plays out of the microphone's sound. Costs 9 ms, and while both
    /// ends speak about 5 dB.
    pub echo_cancellation: bool,
    /// Costs 7 ms.
    pub noise_suppression: NoiseSuppression,
    /// Makes everyone about equally loud.
    pub gain_control: bool,
    /// The loudspeaker is worn, so that there is no echo: nothing is cancelled, whatever
    /// [`echo_cancellation`](Self::echo_cancellation) says.
    pub headset: bool,
}

impl Default for ProcessingSettings {
    fn default() -> Self {
        Self {
            echo_cancellation: true,
            noise_suppression: NoiseSuppression::default(),
            gain_control: true,
            headset: false,
        }
    }
}

impl ProcessingSettings {
    /// Nothing is done at all: the sound is as it was recorded, without any delay.
    pub const NOTHING: Self = Self {
        echo_cancellation: false,
        noise_suppression: NoiseSuppression::Off,
        gain_control: false,
        headset: false,
    };

    /// Whether an echo is cancelled.
    pub const fn cancels_echo(&self) -> bool {
        self.echo_cancellation && !self.headset
    }

    fn does_anything(&self) -> bool {
        self.cancels_echo() || self.gain_control || self.noise_suppression != NoiseSuppression::Off
    }

    fn config(&self) -> Config {
        let noise = match self.noise_suppression {
            NoiseSuppression::Off => None,
            NoiseSuppression::Low => Some(NoiseSuppressionLevel::Low),
            NoiseSuppression::Moderate => Some(NoiseSuppressionLevel::Moderate),
            NoiseSuppression::High => Some(NoiseSuppressionLevel::High),
            NoiseSuppression::VeryHigh => Some(NoiseSuppressionLevel::VeryHigh),
        };
        Config {
            pipeline: Pipeline {
                // The default would leave nothing above 16 kHz.
                maximum_internal_processing_rate: MaxProcessingRate::Rate48kHz,
                ..Pipeline::default()
            },
            high_pass_filter: Some(HighPassFilter::default()),
            echo_canceller: self.cancels_echo().then(EchoCanceller::default),
            noise_suppression: noise.map(|level| sonora::config::NoiseSuppression {
                level,
                ..Default::default()
            }),
            gain_controller2: self.gain_control.then(|| GainController2 {
                adaptive_digital: Some(AdaptiveDigital::default()),
                ..GainController2::default()
            }),
            ..Config::default()
        }
    }
}

/// Processes one microphone's sound against what one loudspeaker plays.
pub struct Processor {
    settings: ProcessingSettings,
    engine: AudioProcessing,
    scratch: Box<[f32; FRAME]>,
    meter: LevelMeter,
}

impl Processor {
    /// With these settings; speech is told by `meter`.
    pub fn new(settings: ProcessingSettings, meter: MeterConfig) -> Self {
        let mono = StreamConfig::new(SAMPLE_RATE, 1);
        let engine = AudioProcessing::builder()
            .config(settings.config())
            .capture_config(mono)
            .render_config(mono)
            .build();
        Self {
            settings,
            engine,
            scratch: Box::new([0.0; FRAME]),
            meter: LevelMeter::new(meter),
        }
    }

    /// Changes what is done. What is switched on starts to learn anew. Not real-time safe.
    pub fn configure(&mut self, settings: ProcessingSettings) {
        if settings != self.settings {
            self.settings = settings;
            self.engine.apply_config(settings.config());
        }
    }

    /// What is done.
    pub fn settings(&self) -> ProcessingSettings {
        self.settings
    }

    /// Tells speech by other rules from now on: its threshold is that of voice activity.
    pub fn configure_meter(&mut self, meter: MeterConfig) {
        self.meter.configure(meter);
    }

    /// A hint at the time from a frame's being given to the loudspeaker until its echo is given to
    /// [`near_end`](Self::near_end), up to half a second. The canceller looks for it anyway.
    pub fn expect_delay(&mut self, delay: Duration) {
        let ms = delay.as_millis().min(500) as i32;
        // It only refuses what is out of that range.
        let _ = self.engine.set_stream_delay_ms(ms);
    }

    /// Takes in 10 ms that are about to be played: the mix, as the loudspeaker gets it.
    pub fn far_end(&mut self, sound: &[f32; FRAME]) {
        if !self.settings.cancels_echo() {
            return;
        }
        let scratch = &mut self.scratch[..];
        let done = self.engine.process_render_f32(&[sound], &mut [scratch]);
        debug_assert!(done.is_ok(), "{done:?}");
    }

    /// Processes 10 ms that were recorded, and meters what comes of it. Samples that are not numbers
    /// count as silence.
    pub fn near_end(&mut self, sound: &mut [f32; FRAME]) -> Levels {
        for sample in sound.iter_mut() {
            // One of them would stay in every filter for ever.
            *sample = if sample.is_finite() {
                sample.clamp(-1.0, 1.0)
            } else {
                0.0
            };
        }
        if self.settings.does_anything() {
            let scratch = &mut self.scratch[..];
            let done = self
                .engine
                .process_capture_f32(&[&sound[..]], &mut [scratch]);
            debug_assert!(done.is_ok(), "{done:?}");
            if done.is_ok() {
                sound.copy_from_slice(&self.scratch[..]);
            }
        }
        self.meter.update(sound);
        self.meter.levels()
    }

    /// The levels as of the last frame, of the processed sound.
    pub fn levels(&self) -> Levels {
        self.meter.levels()
    }

    /// By how many dB the canceller says it has lowered the echo, once it knows.
    pub fn echo_return_loss_enhancement(&self) -> Option<f64> {
        self.engine.statistics().echo_return_loss_enhancement
    }
}

#[cfg(test)]
mod tests;
