//! Prints what a tick of each part costs on this machine: `cargo run --release -p neartalk-voice --example cost`.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use neartalk_voice::{
    FRAME,
    codec::{CodecError, Decoder, Encoder, EncoderSettings, MAX_PACKET, MAX_PACKET_SAMPLES},
    jitter::{JitterConfig, Packet, Playout},
    mixer::{MeterConfig, Mixer, SourceSettings},
    processing::{NoiseSuppression, ProcessingSettings, Processor},
    same_room::{Overheard, SameRoom},
};

const PACKET: usize = 2 * FRAME;
const SECONDS: usize = 10;

/// Something with the bandwidth and the gaps of speech; what it says does not matter here.
fn sound() -> Vec<f32> {
    let mut seed = 1u32;
    let mut phase = 0.0f32;
    (0..SECONDS * 48_000)
        .map(|n| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (seed >> 8) as f32 / 16_777_216.0 - 0.5;
            // A pitch that glides, or delays could not be told apart.
            let pitch = 140.0 + 40.0 * (n as f32 / 31_000.0).sin();
            phase = (phase + pitch / 48_000.0).fract();
            let envelope = (n as f32 / 9_000.0).sin().max(0.0);
            envelope * (0.5 * (1.0 - 2.0 * phase) * (1.0 - phase) + 0.02 * noise)
        })
        .collect()
}

fn print(what: &str, each: &str, times: usize, taken: Duration) {
    let micros = taken.as_secs_f64() * 1e6 / times as f64;
    println!("{what:<44} {micros:>9.1} µs a {each}");
}

fn encode(
    sound: &[f32],
    settings: EncoderSettings,
    what: &str,
) -> Result<Vec<Vec<u8>>, CodecError> {
    let mut encoder = Encoder::new(settings)?;
    let mut buffer = [0; MAX_PACKET];
    let begin = Instant::now();
    let packets: Vec<Vec<u8>> = sound
        .chunks_exact(PACKET)
        .map(|pcm| {
            let bytes = encoder.encode(pcm, &mut buffer)?;
            Ok(buffer[..bytes].to_vec())
        })
        .collect::<Result<_, CodecError>>()?;
    print(what, "packet of 20 ms", packets.len(), begin.elapsed());
    let bytes: usize = packets.iter().map(Vec::len).sum();
    println!(
        "{:<44} {:>9.1} kbit/s",
        "",
        bytes as f64 * 8.0 / SECONDS as f64 / 1e3
    );
    Ok(packets)
}

/// What processing costs, and by how much it delays: where what comes out is most like what went in.
fn process(sound: &[f32], settings: ProcessingSettings, what: &str) {
    let mut processor = Processor::new(settings, MeterConfig::default());
    let mut out = Vec::with_capacity(sound.len());
    let begin = Instant::now();
    for frame in sound.chunks_exact(FRAME) {
        let Some(&(mut frame)) = frame.first_chunk() else {
            continue;
        };
        processor.far_end(&[0.0; FRAME]);
        processor.near_end(&mut frame);
        out.extend_from_slice(&frame);
    }
    print(what, "tick of 10 ms", out.len() / FRAME, begin.elapsed());
    // Once it has learned.
    let (sound, out) = (&sound[5 * 48_000..8 * 48_000], &out[5 * 48_000..]);
    let alike = |delay: usize| -> f32 { sound.iter().zip(&out[delay..]).map(|(a, b)| a * b).sum() };
    let delay = (0..2_400).max_by(|&a, &b| alike(a).total_cmp(&alike(b)));
    let delay = delay.unwrap_or_default() as f64 / 48.0;
    println!("{:<44} {delay:>9.1} ms of delay", "");
}

fn main() -> Result<(), CodecError> {
    let sound = sound();
    let ns = ProcessingSettings {
        noise_suppression: NoiseSuppression::default(),
        ..ProcessingSettings::NOTHING
    };
    let aec = ProcessingSettings {
        echo_cancellation: true,
        ..ProcessingSettings::NOTHING
    };
    let agc = ProcessingSettings {
        gain_control: true,
        ..ProcessingSettings::NOTHING
    };
    let both = ProcessingSettings {
        echo_cancellation: true,
        ..ns
    };
    process(&sound, ns, "suppress noise");
    process(&sound, aec, "cancel echo");
    process(&sound, agc, "control gain");
    process(&sound, both, "cancel echo, suppress noise");
    let all = ProcessingSettings::default();
    process(&sound, all, "cancel echo, suppress noise, control gain");

    let settings = EncoderSettings {
        dtx: false,
        ..EncoderSettings::default()
    };
    let packets = encode(&sound, settings, "encode, 32 kbit/s")?;
    let deep = EncoderSettings {
        dred_frames: 24,
        bitrate: 48_000,
        expected_loss: 20,
        ..settings
    };
    let deep = encode(&sound, deep, "encode, 48 kbit/s with deep redundancy")?;

    let mut decoder = Decoder::new()?;
    let mut out = [0.0; MAX_PACKET_SAMPLES];
    let begin = Instant::now();
    for packet in &packets {
        black_box(decoder.decode(packet, &mut out)?);
    }
    print("decode", "packet of 20 ms", packets.len(), begin.elapsed());

    let mut concealing = Duration::ZERO;
    let mut recovering = Duration::ZERO;
    let mut times = 0;
    for three in deep.chunks_exact(3) {
        decoder.decode(&three[0], &mut out)?;
        let begin = Instant::now();
        decoder.decode_dred(&three[2], PACKET, &mut out[..PACKET])?;
        recovering += begin.elapsed();
        decoder.decode(&three[2], &mut out)?;
        let begin = Instant::now();
        decoder.conceal(&mut out[..PACKET])?;
        concealing += begin.elapsed();
        times += 1;
    }
    print(
        "conceal one lost packet",
        "packet of 20 ms",
        times,
        concealing,
    );
    print(
        "recover one from deep redundancy",
        "packet of 20 ms",
        times,
        recovering,
    );

    let mut playout = Playout::new(JitterConfig::default(), Decoder::new()?);
    let mut frame = [0.0; FRAME];
    let mut slowest = Duration::ZERO;
    let begin = Instant::now();
    for tick in 0..packets.len() * 2 {
        let now = Duration::from_millis(10 * tick as u64);
        let begin = Instant::now();
        // One in ten is lost.
        if tick % 2 == 0 && tick % 20 != 0 {
            let number = tick / 2;
            let packet = Packet {
                ssrc: 1,
                sequence: number as u16,
                timestamp: (number * PACKET) as u32,
                payload: &packets[number],
                redundant: &[],
            };
            playout.insert(&packet, now);
        }
        playout.tick(now, &mut frame);
        slowest = slowest.max(begin.elapsed());
    }
    let name = "a stream with 10 % loss, all in all";
    print(name, "tick of 10 ms", packets.len() * 2, begin.elapsed());
    print("  the slowest of these", "tick of 10 ms", 1, slowest);

    let (mut overheard, mut rooms) = (Overheard::new(), vec![SameRoom::new(); 8]);
    let times = 10_000;
    let begin = Instant::now();
    for n in 0..times {
        let Some(part) = sound[n % 900 * FRAME..].first_chunk() else {
            continue;
        };
        overheard.near_end(part);
        overheard.begin();
        for room in &mut rooms {
            black_box(room.far_end(Some(part), &overheard));
        }
    }
    let name = "look for eight streams in the same room";
    print(name, "tick of 10 ms", times, begin.elapsed());

    let mut mixer = Mixer::new();
    for id in 0..8 {
        mixer.source(id, SourceSettings::default());
    }
    let times = 10_000;
    let begin = Instant::now();
    for n in 0..times {
        let Some(part) = sound[n % 900 * FRAME..].first_chunk() else {
            continue;
        };
        mixer.begin();
        for id in 0..8 {
            mixer.add(id, part);
        }
        mixer.finish(black_box(&mut frame));
    }
    print(
        "mix and limit eight streams",
        "tick of 10 ms",
        times,
        begin.elapsed(),
    );
    Ok(())
}
