use rand::{RngExt, SeedableRng, rngs::SmallRng};

use super::*;
use crate::signal;

const SECOND: usize = 48_000;

fn noise(seed: u64, samples: usize, amplitude: f32) -> Vec<f32> {
    let mut rng = SmallRng::seed_from_u64(seed);
    (0..samples)
        .map(|_| rng.random_range(-amplitude..=amplitude))
        .collect()
}

/// Later by so many samples.
fn delayed(sound: &[f32], by: usize) -> Vec<f32> {
    let mut out = vec![0.0; by];
    out.extend_from_slice(&sound[..sound.len() - by]);
    out
}

/// Through the air of a room: the direct sound and sparse, decaying reflections of 0.3 s.
fn through_air(seed: u64, sound: &[f32], gain: f32) -> Vec<f32> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut paths = vec![(300, gain)];
    for _ in 0..60 {
        let at = rng.random_range(400..14_400usize);
        let decay = 10f32.powf(-3.0 * at as f32 / 14_400.0);
        paths.push((at, gain * decay * rng.random_range(-0.5..0.5)));
    }
    let mut out = vec![0.0; sound.len()];
    for (at, gain) in paths {
        for (to, from) in out[at..].iter_mut().zip(sound) {
            *to += gain * from;
        }
    }
    out
}

fn sum<const N: usize>(parts: [&[f32]; N]) -> Vec<f32> {
    (0..parts[0].len())
        .map(|n| parts.iter().map(|part| part[n]).sum())
        .collect()
}

/// When, in seconds, it was first said that they share a room, and what was said at the end.
fn judge(microphone: &[f32], stream: &[f32]) -> (Option<f32>, bool) {
    let mut room = SameRoom::new();
    judge_on(&mut room, microphone, stream)
}

fn judge_on(room: &mut SameRoom, microphone: &[f32], stream: &[f32]) -> (Option<f32>, bool) {
    let mut overheard = Overheard::new();
    let mut first = None;
    let frames = microphone
        .chunks_exact(FRAME)
        .zip(stream.chunks_exact(FRAME));
    for (n, (near, far)) in frames.enumerate() {
        overheard.near_end(near.try_into().unwrap());
        overheard.begin();
        if room.far_end(Some(far.try_into().unwrap()), &overheard) {
            first.get_or_insert(n as f32 / 100.0);
        }
    }
    (first, room.is_same())
}

#[test]
fn whoever_is_heard_through_the_air_first_is_in_the_room() {
    let mut times = Vec::new();
    for seed in 0..8 {
        for (delay, gain, background) in [
            (2_400, 0.3, 0.001),
            (7_200, 0.1, 0.001),
            (16_800, 0.1, 0.006),
        ] {
            let voice = signal::speech(seed, 20 * SECOND);
            let stream = delayed(&voice, delay);
            let air = through_air(seed, &voice, gain);
            let microphone = sum([&air, &noise(seed, air.len(), background)]);
            let (first, last) = judge(&microphone, &stream);
            let first = first.unwrap_or(f32::INFINITY);
            assert!(first < 5.0 && last, "seed {seed}, {delay}: {first}, {last}");
            times.push(first);
        }
    }
    // From the first word on, pauses and all.
    times.sort_by(f32::total_cmp);
    let middle = times[times.len() / 2];
    println!(
        "it took {middle} s in the middle, {:?} at most",
        times.last()
    );
    assert!(middle < 2.5, "{middle}");
}

#[test]
fn two_who_talk_in_two_rooms_are_never_taken_for_neighbours() {
    for seed in 0..8 {
        let here = signal::speech(100 + seed, 60 * SECOND);
        let there = signal::speech(200 + seed, 60 * SECOND);
        let microphone = sum([&here, &noise(seed, here.len(), 0.001)]);
        let (first, _) = judge(&microphone, &there);
        assert_eq!(first, None, "seed {seed}");
    }
}

#[test]
fn what_the_loudspeaker_plays_is_no_neighbour() {
    for seed in 0..8 {
        let there = signal::speech(300 + seed, 30 * SECOND);
        for (delay, gain) in [(1_440, 0.3), (4_800, 0.1), (14_400, 0.1)] {
            let echo = through_air(seed, &delayed(&there, delay), gain);
            let microphone = sum([&echo, &noise(seed, echo.len(), 0.001)]);
            let (first, _) = judge(&microphone, &there);
            assert_eq!(first, None, "seed {seed}, {delay}");
            // Nor while one talks oneself.
            let here = signal::speech(400 + seed, 30 * SECOND);
            let (first, _) = judge(&sum([&microphone, &here]), &there);
            assert_eq!(first, None, "seed {seed}, {delay}");
        }
    }
}

#[test]
fn ones_own_voice_that_comes_back_softer_is_no_neighbour() {
    for seed in 0..8 {
        let here = signal::speech(500 + seed, 30 * SECOND);
        let back = through_air(seed, &delayed(&here, 12_000), 0.15);
        let (first, _) = judge(&here, &sum([&back, &noise(seed, back.len(), 0.001)]));
        assert_eq!(first, None, "seed {seed}");
    }
}

/// Steady sounds that begin at about the same time: they have nothing in common but that.
#[test]
fn what_does_not_swell_and_fade_as_speech_does_says_nothing() {
    for (n, (hz, other)) in [(440.0, 660.0), (440.0, 445.0), (300.0, 2_000.0)]
        .into_iter()
        .enumerate()
    {
        for by in (0..50).step_by(5) {
            let here = delayed(&signal::tone(hz, 0.3, 20 * SECOND), SECOND);
            let there = delayed(&signal::tone(other, 0.3, 20 * SECOND), SECOND + by * FRAME);
            for background in [0.0, 0.001] {
                let here = sum([&here, &noise(n as u64, here.len(), background)]);
                let (first, _) = judge(&here, &there);
                assert_eq!(
                    first, None,
                    "{hz} and {other} Hz, {by} frames, {background}"
                );
            }
            // Neither from the first moment on.
            let cut = |sound: &[f32]| sound[SECOND + 50 * FRAME..].to_vec();
            assert_eq!(judge(&cut(&here), &cut(&there)).0, None);
        }
    }
}

#[test]
fn silence_and_noise_say_nothing() {
    let hum = noise(1, 30 * SECOND, 0.1);
    let hiss = noise(2, 30 * SECOND, 0.1);
    assert_eq!(judge(&hum, &hiss), (None, false));
    assert_eq!(judge(&vec![0.0; 10 * SECOND], &hiss), (None, false));
    assert_eq!(judge(&vec![f32::NAN; 10 * SECOND], &hiss), (None, false));
    assert_eq!(judge(&hum, &vec![f32::NAN; 10 * SECOND]), (None, false));
}

#[test]
fn who_walks_away_is_heard_again_and_silence_changes_nothing() {
    let voice = signal::speech(7, 20 * SECOND);
    let (stream, air) = (delayed(&voice, 4_800), through_air(7, &voice, 0.2));
    let mut room = SameRoom::new();
    assert!(judge_on(&mut room, &air, &stream).1);
    let overheard = Overheard::new();
    for _ in 0..1_000 {
        assert!(room.far_end(None, &overheard));
    }
    let elsewhere = noise(8, 10 * SECOND, 0.001);
    let (_, same) = judge_on(&mut room, &elsewhere, &signal::speech(9, 10 * SECOND));
    assert!(!same);
}

#[test]
fn uneven_calls_make_no_difference() {
    let voice = signal::speech(11, 20 * SECOND);
    let (stream, air) = (delayed(&voice, 4_800), through_air(11, &voice, 0.2));
    let (mut room, mut overheard) = (SameRoom::new(), Overheard::new());
    let frame = |sound: &[f32], n: usize| -> [f32; FRAME] {
        sound[n * FRAME..][..FRAME].try_into().unwrap()
    };
    let mut same = false;
    for two in 0..500 {
        // Two of the one, then two of the other.
        for n in 2 * two..2 * two + 2 {
            overheard.near_end(&frame(&air, n));
        }
        for n in 2 * two..2 * two + 2 {
            overheard.begin();
            same |= room.far_end(Some(&frame(&stream, n)), &overheard);
        }
    }
    assert!(same);
}
