//! A room that exists only as numbers: the same every time.

use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::*;
use crate::signal;

const SECOND: usize = SAMPLE_RATE as usize;

/// A room's answer to a click: the direct way, and 60 ms of reverberation that decays.
fn room(seed: u64, gain: f32) -> Vec<f32> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut taps: Vec<f32> = (0..SECOND * 60 / 1_000)
        .map(|n| 0.04 * gain * (-(n as f32) / 500.0).exp() * rng.random_range(-1.0..1.0))
        .collect();
    taps[0] = gain;
    taps
}

/// What a microphone hears of a loudspeaker, `delay` samples later.
fn echo_of(sound: &[f32], taps: &[f32], delay: usize) -> Vec<f32> {
    let mut echo = vec![0.0f32; sound.len()];
    for (n, place) in echo.iter_mut().enumerate().skip(delay) {
        let n = n - delay;
        let reach = taps.len().min(n + 1);
        *place = (0..reach).map(|k| taps[k] * sound[n - k]).sum();
    }
    echo
}

fn noise(seed: u64, amplitude: f32, samples: usize) -> Vec<f32> {
    let mut rng = SmallRng::seed_from_u64(seed);
    (0..samples)
        .map(|_| rng.random_range(-amplitude..amplitude))
        .collect()
}

fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn frame(sound: &[f32], n: usize) -> [f32; FRAME] {
    sound[n * FRAME..][..FRAME].try_into().unwrap()
}

/// Plays `far` and records `near`.
fn processed(settings: ProcessingSettings, far: &[f32], near: &[f32]) -> Vec<f32> {
    let mut processor = Processor::new(settings, MeterConfig::default());
    let mut out = Vec::with_capacity(near.len());
    for n in 0..near.len() / FRAME {
        processor.far_end(&frame(far, n));
        let mut sound = frame(near, n);
        processor.near_end(&mut sound);
        out.extend_from_slice(&sound);
    }
    out
}

fn level_db(sound: &[f32]) -> f32 {
    let power: f32 = sound.iter().map(|x| x * x).sum::<f32>() / sound.len() as f32;
    10.0 * power.max(1e-12).log10()
}

const ONLY_ECHO: ProcessingSettings = ProcessingSettings {
    echo_cancellation: true,
    ..ProcessingSettings::NOTHING
};

#[test]
fn an_echo_is_gone_after_three_seconds_and_a_headset_leaves_it() {
    let far = signal::speech(3, 10 * SECOND);
    let echo = echo_of(&far, &room(1, 0.5), SECOND * 45 / 1_000);
    let near = sum(&echo, &noise(2, 1e-4, echo.len()));
    let reduction = |settings, from: usize, to: usize| {
        let out = processed(settings, &far, &near);
        let span = from * SECOND..to * SECOND;
        level_db(&near[span.clone()]) - level_db(&out[span])
    };
    let later = reduction(ONLY_ECHO, 3, 5);
    let settled = reduction(ONLY_ECHO, 5, 10);
    let all = reduction(ProcessingSettings::default(), 3, 10);
    println!(
        "echo down {later:.1} dB in seconds 3 to 5, {settled:.1} dB after, {all:.1} dB with all"
    );
    assert!(later >= 20.0, "{later} dB");
    assert!(settled >= 25.0, "{settled} dB");
    assert!(all >= 20.0, "{all} dB");

    let headset = ProcessingSettings {
        headset: true,
        ..ONLY_ECHO
    };
    let left = reduction(headset, 3, 10);
    assert!(left.abs() < 1e-3, "{left} dB");
}

#[test]
fn who_speaks_alone_comes_through_the_canceller() {
    let near = signal::speech(5, 6 * SECOND);
    let far = vec![0.0; near.len()];
    let out = processed(ONLY_ECHO, &far, &near);
    let loss = level_db(&near[2 * SECOND..]) - level_db(&out[2 * SECOND..]);
    assert!(loss.abs() < 3.0, "{loss} dB");
}

#[test]
fn who_speaks_while_the_other_does_stays_audible() {
    let far = signal::speech(3, 10 * SECOND);
    let echo = echo_of(&far, &room(1, 0.3), SECOND * 45 / 1_000);
    // Nobody but the echo for three seconds, then both.
    let mut speech = signal::speech(11, far.len());
    speech[..3 * SECOND].fill(0.0);
    let out = processed(ONLY_ECHO, &far, &sum(&echo, &speech));
    let loss = level_db(&speech[4 * SECOND..]) - level_db(&out[4 * SECOND..]);
    println!("in double talk the near end is down {loss:.1} dB");
    assert!(loss < 8.0, "{loss} dB");
}

#[test]
fn noise_is_suppressed_more_at_each_level_and_speech_stays() {
    let hum = noise(7, 0.02, 6 * SECOND);
    let silence = vec![0.0; hum.len()];
    let settings = |noise_suppression| ProcessingSettings {
        noise_suppression,
        ..ProcessingSettings::NOTHING
    };
    let mut last = 3.0;
    for level in [
        NoiseSuppression::Low,
        NoiseSuppression::Moderate,
        NoiseSuppression::High,
    ] {
        let out = processed(settings(level), &silence, &hum);
        let reduction = level_db(&hum[3 * SECOND..]) - level_db(&out[3 * SECOND..]);
        println!("{level:?}: noise down {reduction:.1} dB");
        assert!(reduction > last + 1.0, "{level:?}: {reduction} dB");
        last = reduction;
    }
    let speech = signal::speech(8, 6 * SECOND);
    let out = processed(settings(NoiseSuppression::Moderate), &silence, &speech);
    let loss = level_db(&speech[3 * SECOND..]) - level_db(&out[3 * SECOND..]);
    assert!(loss.abs() < 3.0, "{loss} dB");
}

#[test]
fn gain_control_brings_the_quiet_and_the_loud_together() {
    let speech = signal::speech(9, 15 * SECOND);
    let silence = vec![0.0; speech.len()];
    let settings = ProcessingSettings {
        gain_control: true,
        ..ProcessingSettings::NOTHING
    };
    let out = |factor: f32| {
        let near: Vec<f32> = speech.iter().map(|x| x * factor).collect();
        let out = processed(settings, &silence, &near);
        assert!(out.iter().all(|x| x.abs() <= 1.0));
        level_db(&out[10 * SECOND..])
    };
    let (quiet, loud) = (out(0.1), out(1.0));
    println!("20 dB apart before, {:.1} dB after", loud - quiet);
    assert!(loud - quiet < 12.0, "{quiet} dB and {loud} dB");
}

#[test]
fn nothing_means_untouched_and_settings_can_change_while_it_runs() {
    let near = signal::speech(4, SECOND);
    let clamped: Vec<f32> = near.iter().map(|x| x.clamp(-1.0, 1.0)).collect();
    let out = processed(ProcessingSettings::NOTHING, &near, &near);
    assert_eq!(out, clamped);

    let mut processor = Processor::new(ProcessingSettings::NOTHING, MeterConfig::default());
    let mut all = Vec::new();
    for n in 0..100 {
        match n {
            30 => processor.configure(ProcessingSettings::default()),
            60 => processor.configure(ProcessingSettings::NOTHING),
            _ => {}
        }
        processor.expect_delay(Duration::from_secs(n as u64));
        processor.far_end(&[0.0; FRAME]);
        let mut sound = frame(&near, n);
        processor.near_end(&mut sound);
        all.extend_from_slice(&sound);
    }
    assert_eq!(all[..30 * FRAME], clamped[..30 * FRAME]);
    assert_ne!(all[40 * FRAME..60 * FRAME], clamped[40 * FRAME..60 * FRAME]);
    assert_eq!(all[60 * FRAME..], clamped[60 * FRAME..100 * FRAME]);
}

#[test]
fn nonsense_does_not_stay() {
    let mut processor = Processor::new(ProcessingSettings::default(), MeterConfig::default());
    let speech = signal::speech(6, 3 * SECOND);
    for n in 0..300 {
        let mut sound = frame(&speech, n);
        if n == 10 {
            sound = [f32::NAN; FRAME];
        }
        if n == 11 {
            sound = [f32::MAX; FRAME];
        }
        processor.near_end(&mut sound);
        assert!(sound.iter().all(|x| x.is_finite()));
    }
    assert!(processor.levels().rms_dbfs > -50.0);
}
