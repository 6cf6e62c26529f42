//! The jitter buffer on seeded networks in virtual time: minutes with Opus, hours without.

#[path = "support/network.rs"]
mod network;
#[path = "support/signal.rs"]
mod signal;

use std::{f32::consts::TAU, sync::LazyLock, time::Duration};

use neartalk_voice::{
    FRAME,
    codec::{CodecError, Decoder, Encoder, EncoderSettings, MAX_PACKET, is_dtx},
    jitter::{Decode, Heard, JitterStats},
    redundancy::{self, Demand, LossRows, PeerRedundancy, ReceiverReport},
};
use network::{Call, Loss, Network, Path};

const PACKET: usize = 960;
/// A second of ticks.
const SECOND: usize = 100;

/// The voice repeats after so many samples, without a seam, even where timestamps wrap around.
const PERIOD: u32 = 1 << 19;

/// A voice that can be computed for any time: a fundamental that glides around 140 Hz and its overtones,
/// swelling.
fn voice_at(timestamp: u32) -> f32 {
    static VOICE: LazyLock<Vec<f32>> = LazyLock::new(|| (0..PERIOD).map(compute_voice).collect());
    VOICE[(timestamp % PERIOD) as usize]
}

fn compute_voice(timestamp: u32) -> f32 {
    let turn = f64::from(timestamp) / f64::from(PERIOD);
    let cycle = |times: f64| (times * turn).fract() as f32 * TAU;
    let phase = cycle(1_529.0) + 16.0 * cycle(3.0).sin();
    let swell = 0.55 + 0.45 * cycle(4.0).sin();
    0.25 * swell * (phase.sin() + 0.5 * (2.0 * phase).sin() + 0.25 * (3.0 * phase).sin())
}

/// Stands for Opus where hours must pass in seconds: a payload is a timestamp, and its sound is the
/// voice at that time. Like Opus it fades from what it made up to what then came.
struct Voice {
    position: u32,
    concealing: bool,
    /// Fades out when nothing comes, as concealment does.
    level: f32,
    frames: u64,
}

impl Voice {
    fn new() -> Self {
        Self {
            position: 0,
            concealing: false,
            level: 1.0,
            frames: 0,
        }
    }

    fn make_up(&mut self) -> f32 {
        self.position = self.position.wrapping_add(1);
        self.level = (self.level - 1.0 / 24_000.0).max(0.0);
        self.level * voice_at(self.position)
    }
}

impl Decode for Voice {
    fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        let start = u32::from_be_bytes([packet[1], packet[2], packet[3], packet[4]]);
        self.frames += 1;
        for (n, to) in out[..PACKET].iter_mut().enumerate() {
            let sample = voice_at(start.wrapping_add(n as u32));
            *to = if self.concealing && n < 240 {
                let old = self.make_up();
                old + (sample - old) * (n as f32 / 240.0)
            } else {
                sample
            };
        }
        self.concealing = false;
        self.level = 1.0;
        self.position = start.wrapping_add(PACKET as u32 - 1);
        Ok(PACKET)
    }

    fn conceal(&mut self, out: &mut [f32]) -> Result<usize, CodecError> {
        self.concealing = true;
        for sample in out.iter_mut() {
            *sample = self.make_up();
        }
        Ok(out.len())
    }

    fn reset(&mut self) {
        *self = Self {
            frames: self.frames,
            ..Self::new()
        };
    }
}

fn timestamp_payload(timestamp: u32) -> Vec<u8> {
    // A 20 ms CELT packet by its first byte.
    [&[31u8 << 3][..], &timestamp.to_be_bytes()].concat()
}

/// Runs for so many seconds; the largest step between samples, and the longest delay.
fn run(call: &mut Call<Voice>, seconds: usize) -> (f32, Duration) {
    let mut speak = |timestamp| Some(timestamp_payload(timestamp));
    let (mut last, mut step, mut delay) = (None, 0.0f32, Duration::ZERO);
    let mut out = [0.0; FRAME];
    for _ in 0..seconds * SECOND {
        call.tick(&mut speak, &mut out);
        for &sample in &out {
            step = step.max((sample - last.unwrap_or(sample)).abs());
            last = Some(sample);
        }
        delay = delay.max(call.stats().delay);
    }
    (step, delay)
}

fn largest_step_of_the_voice() -> f32 {
    (0..480_000u32)
        .map(|n| (voice_at(n + 1) - voice_at(n)).abs())
        .fold(0.0, f32::max)
}

#[test]
fn two_hours_without_drift_growth_or_a_click() {
    let bound = largest_step_of_the_voice() * 1.25;
    let ms = Duration::from_millis;
    let mut call = Call::new(Network::new(1, Path::default()), Voice::new());
    let calm = Path::default();
    let hurt = Path {
        jitter: 0.008,
        duplicates: 0.01,
        ..calm
    };
    // Ten minutes each; how long sound may be held back at most, and at the end.
    let hour = [
        (calm, 0, ms(30), ms(25)),
        (
            Path {
                jitter: 0.004,
                reorders: true,
                ..calm
            },
            0,
            ms(50),
            ms(40),
        ),
        (
            Path {
                loss: Loss::Random(0.1),
                ..hurt
            },
            1,
            ms(110),
            ms(90),
        ),
        (
            Path {
                loss: Loss::Bursty {
                    share: 0.1,
                    mean: 3.0,
                },
                ..hurt
            },
            3,
            ms(150),
            ms(140),
        ),
        (
            Path {
                spikes: 0.002,
                spike: 0.25,
                delay: 0.11,
                ..calm
            },
            0,
            ms(300),
            ms(260),
        ),
        (calm, 0, ms(150), ms(25)),
    ];
    for ppm in [200.0, -200.0] {
        call.sender_ppm = ppm / 2.0;
        call.device_ppm = -ppm / 2.0;
        for (path, copies, most, at_last) in hour {
            call.network.path = path;
            call.copies = copies;
            let before = call.stats();
            let (step, longest) = run(&mut call, 595);
            let (last_step, at_end) = run(&mut call, 5);
            let after = call.stats();
            let context = format!(
                "{ppm} ppm, {path:?}: longest {longest:?}, at the end {at_end:?}\n{after:?}"
            );
            assert!(
                step.max(last_step) <= bound,
                "a click of {step}, {last_step}: {context}"
            );
            assert!(longest <= most && at_end <= at_last, "{context}");
            if path.loss == Loss::None && path.spikes == 0.0 {
                let concealed = after.concealed - before.concealed;
                assert!(
                    concealed < 600 * 48_000 / 100,
                    "{concealed} concealed: {context}"
                );
            }
        }
    }
}

#[test]
fn drift_alone_costs_a_correction_a_minute() {
    for ppm in [200.0, -200.0] {
        let mut call = Call::new(Network::new(2, Path::default()), Voice::new());
        call.sender_ppm = ppm;
        run(&mut call, 60);
        let before = call.stats();
        let (step, longest) = run(&mut call, 1_800);
        let after = call.stats();
        let by = (after.accelerated - before.accelerated) as f64
            - (after.expanded - before.expanded) as f64;
        // 200 ppm of half an hour is 360 ms.
        assert!(
            (by / (ppm * 1e-6 * 1_800.0 * 48_000.0) - 1.0).abs() < 0.05,
            "{by} at {ppm} ppm"
        );
        assert!(longest < Duration::from_millis(30), "{longest:?}");
        assert!(step < largest_step_of_the_voice() * 1.2);
        assert_eq!(after.concealed, before.concealed);
        // Nothing was taken out only to be put in again.
        assert!(after.accelerated.min(after.expanded) < 1_500, "{after:?}");
    }
}

#[test]
fn a_device_that_asks_for_two_ticks_at_once_gets_them() {
    let mut call = Call::new(Network::new(8, Path::default()), Voice::new());
    call.in_pairs = true;
    run(&mut call, 5);
    let before = call.stats();
    let (step, _) = run(&mut call, 120);
    let after = call.stats();
    assert_eq!(after.concealed, before.concealed);
    assert!(step < largest_step_of_the_voice() * 1.2);
    assert!(after.accelerated - before.accelerated < 1_000, "{after:?}");
}

#[test]
fn after_five_seconds_of_nothing_speech_is_back_within_one() {
    // Lost for good, or held up and let go at once.
    for queued in [false, true] {
        let mut call = Call::new(
            Network::new(
                3,
                Path {
                    jitter: 0.003,
                    ..Path::default()
                },
            ),
            Voice::new(),
        );
        run(&mut call, 20);
        if queued {
            call.network.path.delay = 5.0;
            run(&mut call, 5);
            call.network.path.delay = 0.03;
            // What was sent in these five seconds arrives in the next; but for what is sent from
            // now on it is late.
        } else {
            call.network.down_until = call.now + 5.0;
            run(&mut call, 5);
        }
        let before = call.stats();
        run(&mut call, 1);
        let back = call.stats();
        let played = (back.played - before.played) as f64 / 48_000.0;
        assert!(queued || played > 0.85, "{played} s of the first second");
        run(&mut call, 10);
        let after = call.stats();
        assert!(
            after.delay < Duration::from_millis(80),
            "{queued}: {after:?}"
        );
        let played = (after.played - back.played) as f64 / 48_000.0;
        assert!(played > 9.5, "{queued}: {played} s of ten, {after:?}");
    }
}

#[test]
fn copies_bring_back_what_they_can() {
    for (share, copies, seed) in [
        (0.1, 1, 1),
        (0.2, 2, 2),
        (0.3, 3, 3),
        (0.2, 1, 4),
        (0.3, 2, 5),
    ] {
        let path = Path {
            loss: Loss::Random(share),
            ..Path::default()
        };
        let mut call = Call::new(Network::new(seed, path), Voice::new());
        call.copies = copies;
        run(&mut call, 20);
        let before = call.stats();
        run(&mut call, 200);
        let after = call.stats();
        let sound = (after.played + after.from_red) - (before.played + before.from_red);
        let concealed = after.concealed - before.concealed;
        let missing = concealed as f64 / (sound + concealed) as f64;
        let unrecoverable = share.powi(copies as i32 + 1);
        println!(
            "{:.0} % lost, {copies} copies: {:.2} % concealed, {:.2} % beyond recovery, target {:?}",
            share * 100.0,
            missing * 100.0,
            unrecoverable * 100.0,
            after.target
        );
        assert!(
            missing < unrecoverable + 0.012,
            "{missing} instead of {unrecoverable}"
        );
        let loss = after.lost as f64 / (after.lost + after.received) as f64;
        assert!(
            (loss - share).abs() < 0.02,
            "{loss} counted instead of {share}"
        );
    }
}

#[test]
fn the_length_of_bursts_is_told() {
    let path = Path {
        loss: Loss::Bursty {
            share: 0.1,
            mean: 3.0,
        },
        ..Path::default()
    };
    let mut call = Call::new(Network::new(9, path), Voice::new());
    run(&mut call, 400);
    let stats = call.stats();
    let mean = stats.lost as f64 / stats.bursts as f64;
    assert!((2.6..3.4).contains(&mean), "{mean}");
}

/// Opus, and every frame that it decoded from the bytes that were sent.
struct Recorder {
    opus: Decoder,
    exact: Vec<f32>,
    broken: bool,
}

impl Recorder {
    fn new() -> Self {
        Self {
            opus: Decoder::new().expect("there is memory"),
            exact: Vec::new(),
            broken: false,
        }
    }
}

impl Decode for Recorder {
    fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        let samples = self.opus.decode(packet, out)?;
        self.exact.extend_from_slice(&out[..samples]);
        Ok(samples)
    }

    fn conceal(&mut self, out: &mut [f32]) -> Result<usize, CodecError> {
        self.broken = true;
        self.opus.conceal(out)
    }

    fn decode_fec(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        self.broken = true;
        self.opus.decode_fec(packet, out)
    }

    fn decode_dred(
        &mut self,
        packet: &[u8],
        before: usize,
        out: &mut [f32],
    ) -> Result<Option<usize>, CodecError> {
        self.opus.decode_dred(packet, before, out)
    }

    fn reset(&mut self) {
        self.opus.reset();
    }
}

fn encode(sound: &[f32], settings: EncoderSettings) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(settings).expect("there is memory");
    let mut buffer = [0; MAX_PACKET];
    sound
        .chunks_exact(PACKET)
        .map(|pcm| {
            let bytes = encoder.encode(pcm, &mut buffer).expect("20 ms");
            buffer[..bytes].to_vec()
        })
        .collect()
}

/// Plays `packets` over a network; what is heard, the decoder, and the statistics.
fn listen<D: Decode>(
    packets: &[Vec<u8>],
    path: Path,
    copies: usize,
    seed: u64,
    decoder: D,
) -> (Vec<f32>, Call<D>, JitterStats) {
    let mut call = Call::new(Network::new(seed, path), decoder);
    call.copies = copies;
    let mut sent = packets.iter();
    // As a sender does: of packets that only say "silence", the first of a row.
    let mut silent = false;
    let mut speak = |_| {
        let packet = sent.next()?;
        let again = std::mem::replace(&mut silent, is_dtx(packet)) && silent;
        (!again).then(|| packet.clone())
    };
    let mut heard = Vec::new();
    let mut out = [0.0; FRAME];
    for _ in 0..packets.len() * 2 {
        if call.tick(&mut speak, &mut out) == Heard::Sound {
            heard.extend_from_slice(&out);
        }
    }
    let stats = call.stats();
    (heard, call, stats)
}

#[test]
fn what_copies_bring_back_is_bit_exact() {
    let sound = signal::speech(21, 30 * 48_000);
    let packets = encode(
        &sound,
        EncoderSettings {
            dtx: false,
            ..EncoderSettings::default()
        },
    );
    let mut reference = Vec::new();
    let mut opus = Decoder::new().unwrap();
    let mut out = [0.0; 5_760];
    for packet in &packets {
        let samples = opus.decode(packet, &mut out).unwrap();
        reference.extend_from_slice(&out[..samples]);
    }
    // Held back for long enough from the start, so that no loss comes as a surprise.
    let mut call = Call::new(
        Network::new(
            5,
            Path {
                loss: Loss::Random(0.1),
                ..Path::default()
            },
        ),
        Recorder::new(),
    );
    call.playout = neartalk_voice::jitter::Playout::new(
        neartalk_voice::jitter::JitterConfig {
            least: Duration::from_millis(80),
            ..Default::default()
        },
        Recorder::new(),
    );
    call.copies = 3;
    let mut sent = packets.iter().cloned();
    let mut out = [0.0; FRAME];
    for _ in 0..packets.len() * 2 - 20 {
        call.tick(&mut |_| sent.next(), &mut out);
    }
    let stats = call.stats();
    let recorder = call.playout.decoder();
    assert!(
        stats.lost > 100 && stats.from_red > 100 * PACKET as u64,
        "{stats:?}"
    );
    assert!(!recorder.broken, "{stats:?}");
    let exact = &recorder.exact;
    assert!(exact.len() > 29 * 48_000);
    // The very first packet may be lost with nobody to carry it.
    let start = (0..4)
        .find(|n| exact[..PACKET] == reference[n * PACKET..][..PACKET])
        .unwrap()
        * PACKET;
    assert!(
        exact[..] == reference[start..][..exact.len()],
        "not bit-exact"
    );
}

#[test]
fn every_means_against_loss_helps_and_none_clicks() {
    let sound = signal::speech(22, 40 * 48_000);
    let bound = signal::largest_step(&sound) * 1.6;
    let base = EncoderSettings {
        dtx: false,
        expected_loss: 15,
        ..EncoderSettings::default()
    };
    let path = Path {
        loss: Loss::Bursty {
            share: 0.1,
            mean: 2.0,
        },
        jitter: 0.003,
        ..Path::default()
    };
    let plain = encode(
        &sound,
        EncoderSettings {
            inband_fec: false,
            expected_loss: 0,
            ..base
        },
    );
    let fec = encode(&sound, base);
    let dred = encode(
        &sound,
        EncoderSettings {
            dred_frames: 30,
            bitrate: 48_000,
            ..base
        },
    );
    let decoder = || Decoder::new().unwrap();
    let (_, _, without) = listen(&plain, path, 0, 6, decoder());
    for (name, packets, copies) in [
        ("RED", &plain, 2),
        ("FEC", &fec, 0),
        ("DRED", &dred, 0),
        ("RED and DRED", &dred, 1),
    ] {
        let (heard, _, with) = listen(packets, path, copies, 6, decoder());
        println!(
            "{name}: concealed {:.2} % instead of {:.2} %, target {:?}",
            with.concealed_ratio() * 100.0,
            without.concealed_ratio() * 100.0,
            with.target
        );
        assert!(
            with.concealed_ratio() < without.concealed_ratio() * 0.75,
            "{name}: {with:?}"
        );
        let step = signal::largest_step(&heard);
        assert!(
            step <= bound,
            "{name}: a click of {step}, the bound is {bound}"
        );
    }
}

/// 45 s of speech over a network, with what redundancy the listener's reports ask for; what is heard of the
/// last 30, how that was come by, and the bytes sent in all.
fn converse(path: Path, seed: u64, tells_rows: bool) -> (Vec<f32>, JitterStats, Demand, usize) {
    let sound = signal::speech(23, 45 * 48_000);
    let mut call = Call::new(
        Network::new(seed, path),
        Decoder::new().expect("there is memory"),
    );
    let mut encoder = Encoder::new(EncoderSettings::default()).expect("there is memory");
    let mut peer = PeerRedundancy::new();
    let mut rows = LossRows::default();
    let mut packets = sound.chunks_exact(PACKET);
    let mut buffer = [0; MAX_PACKET];
    let (mut heard, mut bytes, mut before) = (Vec::new(), 0, JitterStats::default());
    let mut out = [0.0; FRAME];
    for tick in 0..45 * SECOND {
        if tick % SECOND == 0
            && let Some(arrivals) = call.log.take()
        {
            rows.take(&arrivals);
            let lost = arrivals.arrived.iter().filter(|arrived| !**arrived).count();
            let report = ReceiverReport {
                loss: lost as f32 / arrivals.arrived.len() as f32,
                burst: if tells_rows { rows.mean() } else { 1.0 },
                round_trip: Some(Duration::from_millis(60)),
            };
            peer.report(report, Duration::from_secs_f64(call.now));
        }
        if tick == 15 * SECOND {
            before = call.stats();
        }
        let demand = peer.demand();
        call.copies = usize::from(demand.copies);
        let settings = redundancy::plan([demand]).settings;
        let mut speak = |_| {
            let pcm = packets.next()?;
            encoder.apply(settings).expect("sensible settings");
            let length = encoder.encode(pcm, &mut buffer).expect("20 ms");
            bytes += length * (1 + usize::from(demand.copies));
            Some(buffer[..length].to_vec())
        };
        if call.tick(&mut speak, &mut out) == Heard::Sound && tick >= 15 * SECOND {
            heard.extend_from_slice(&out);
        }
    }
    let after = call.stats();
    let lately = JitterStats {
        played: after.played - before.played,
        from_red: after.from_red - before.from_red,
        from_fec: after.from_fec - before.from_fec,
        from_dred: after.from_dred - before.from_dred,
        concealed: after.concealed - before.concealed,
        ..after
    };
    (heard, lately, peer.demand(), bytes)
}

#[test]
fn knowing_of_bursts_brings_back_what_they_take() {
    let path = Path {
        loss: Loss::Bursty {
            share: 0.1,
            mean: 3.0,
        },
        ..Path::default()
    };
    let bound = signal::largest_step(&signal::speech(23, 45 * 48_000)) * 1.6;
    let (mut blind_ratios, mut ratios) = (0.0, 0.0);
    for seed in [11, 12] {
        let (_, blind, demand, blind_bytes) = converse(path, seed, false);
        assert!(!demand.bursty, "{demand:?}");
        let (heard, knowing, demand, bytes) = converse(path, seed, true);
        for (name, stats, bytes) in [("knowing", knowing, bytes), ("not", blind, blind_bytes)] {
            println!(
                "{name}: {:.2} % concealed, {} kbit/s, target {:?}, {stats:?}",
                stats.concealed_ratio() * 100.0,
                bytes * 8 / 45_000,
                stats.target,
            );
        }
        assert!(demand.bursty && demand.copies > 1, "{demand:?}");
        assert!(knowing.from_dred > 0, "{knowing:?}");
        let step = signal::largest_step(&heard);
        assert!(step <= bound, "a click of {step}, the bound is {bound}");
        blind_ratios += blind.concealed_ratio();
        ratios += knowing.concealed_ratio();
    }
    assert!(
        ratios < 0.7 * blind_ratios,
        "{ratios} instead of {blind_ratios}"
    );
}

#[test]
fn silence_that_is_left_out_comes_out_as_silence() {
    // Words and pauses of a second.
    let mut sound = Vec::new();
    for n in 0..10 {
        sound.extend(signal::speech(30 + n, 48_000));
        sound.extend(vec![0.0; 96_000]);
    }
    let packets = encode(&sound, EncoderSettings::default());
    let silent = packets.iter().filter(|p| is_dtx(p)).count();
    assert!(silent > packets.len() / 4, "{silent} of {}", packets.len());
    let path = Path {
        jitter: 0.004,
        ..Path::default()
    };
    let (heard, _, stats) = listen(&packets, path, 0, 7, Decoder::new().unwrap());
    assert!(stats.silent > 48_000 * 5, "{stats:?}");
    assert!(stats.concealed_ratio() < 0.02, "{stats:?}");
    assert!(stats.delay < Duration::from_millis(60), "{stats:?}");
    let power = |s: &[f32]| s.iter().map(|x| f64::from(x * x)).sum::<f64>();
    let ratio = power(&heard) / power(&sound);
    assert!((0.8..1.2).contains(&ratio), "loudness changed by {ratio}");
}
