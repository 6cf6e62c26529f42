//! What is documented as real-time safe, run under an allocator that aborts when it is asked for
//! anything. (It watches Rust's allocations: libopus keeps its scratch memory on the stack.)

#[path = "support/signal.rs"]
mod signal;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use neartalk_voice::{
    FRAME,
    codec::{Decoder, Encoder, EncoderSettings, MAX_PACKET, MAX_PACKET_SAMPLES},
    device::{Wake, ring},
    mixer::{LevelMeter, MeterConfig, Mixer, SourceSettings},
    red::Red,
    same_room::{Overheard, SameRoom},
};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn mixing_and_metering_allocate_nothing() {
    let voices: Vec<Vec<f32>> = (0..8).map(|n| signal::speech(n, 48_000)).collect();
    let mut mixer = Mixer::new();
    for id in 0..8 {
        mixer.source(id, SourceSettings::default());
    }
    let mut meter = LevelMeter::new(MeterConfig::default());
    let (mut overheard, mut room) = (Overheard::new(), SameRoom::new());
    let mut out = [0.0; FRAME];
    assert_no_alloc(|| {
        for n in 0..100 {
            mixer.begin();
            for (id, voice) in voices.iter().enumerate() {
                let Some(frame) = voice[n * FRAME..].first_chunk() else {
                    return;
                };
                mixer.add(id, frame);
            }
            mixer.finish(&mut out);
            meter.update(&out);
            overheard.near_end(&out);
            overheard.begin();
            room.far_end(Some(&out), &overheard);
            // Settings of somebody known glide without a new entry.
            mixer.source(
                1,
                SourceSettings {
                    volume: 1.5,
                    ..SourceSettings::default()
                },
            );
        }
    });
    assert!(meter.levels().peak_dbfs > -30.0);
}

#[test]
fn encoding_decoding_and_reading_copies_allocate_nothing() {
    let sound = signal::speech(1, 48_000);
    let mut encoder = Encoder::new(EncoderSettings::default()).expect("there is memory");
    let mut decoder = Decoder::new().expect("there is memory");
    let mut packet = [0; MAX_PACKET];
    let mut out = [0.0; MAX_PACKET_SAMPLES];
    let mut heard = 0;
    assert_no_alloc(|| {
        for pcm in sound.chunks_exact(960) {
            let Ok(bytes) = encoder.encode(pcm, &mut packet) else {
                return;
            };
            // Any bytes will do for a reader that must refuse or read them.
            let _ = Red::parse(&packet[..bytes]);
            heard += decoder.decode(&packet[..bytes], &mut out).unwrap_or(0);
            heard += decoder.conceal(&mut out[..960]).unwrap_or(0);
        }
    });
    assert_eq!(heard, 2 * sound.len() / 960 * 960);
}

#[test]
fn what_a_device_calls_and_what_answers_it_allocate_nothing() {
    let sound = signal::speech(1, 48_000);
    let wake = Wake::new();
    wake.register_current();
    for rate in [48_000, 44_100, 16_000] {
        let (mut microphone, mut recorded) =
            ring::capture(rate, wake.clone()).expect("that is a rate");
        let (mut played, mut loudspeaker) =
            ring::playback(rate, wake.clone()).expect("that is a rate");
        let mut stereo = [0i16; 2 * 441];
        let mut frame = [0.0; FRAME];
        let mut frames = 0;
        assert_no_alloc(|| {
            for at_once in sound.chunks(700) {
                microphone.push(at_once, 1);
                while recorded.read(&mut frame) {
                    frames += 1;
                }
                while played.wants_frame() {
                    played.write(&frame);
                }
                loudspeaker.fill(&mut stereo, 2);
            }
            // Nobody reads, and the ring is full.
            microphone.push(&sound, 1);
            microphone.push(&sound, 1);
        });
        assert!(frames > 90, "{frames} frames at {rate}");
    }
}
