use proptest::prelude::*;

use super::*;
use crate::signal;

const PACKET: usize = 960;

fn encode(sound: &[f32], settings: EncoderSettings, samples: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(settings).unwrap();
    let mut buffer = [0; MAX_PACKET];
    sound
        .chunks_exact(samples)
        .map(|pcm| {
            let bytes = encoder.encode(pcm, &mut buffer).unwrap();
            buffer[..bytes].to_vec()
        })
        .collect()
}

fn steady() -> EncoderSettings {
    EncoderSettings {
        dtx: false,
        ..EncoderSettings::default()
    }
}

/// The codec's own delay, by which everything decoded comes later.
fn align<'a>(sound: &'a [f32], heard: &'a [f32]) -> (&'a [f32], &'a [f32]) {
    let n = sound.len().min(4 * PACKET * 10);
    let score = |delay: usize| -> f32 {
        sound[..n - 800]
            .iter()
            .zip(&heard[delay..n])
            .map(|(a, b)| a * b)
            .sum()
    };
    let delay = (0..800)
        .max_by(|&a, &b| score(a).total_cmp(&score(b)))
        .unwrap();
    (&sound[..sound.len() - delay], &heard[delay..])
}

#[test]
fn what_goes_in_comes_out() {
    for samples in [PacketLength::Ms10.samples(), PacketLength::Ms20.samples()] {
        let sound = signal::speech(1, 2 * 48_000);
        let mut decoder = Decoder::new().unwrap();
        let mut out = [0.0; MAX_PACKET_SAMPLES];
        let mut heard = Vec::new();
        for packet in encode(
            &sound,
            EncoderSettings {
                bitrate: 64_000,
                ..steady()
            },
            samples,
        ) {
            assert_eq!(packet_samples(&packet), Some(samples));
            assert_eq!(decoder.decode(&packet, &mut out), Ok(samples));
            heard.extend_from_slice(&out[..samples]);
        }
        let (sound, heard) = align(&sound, &heard);
        assert!(
            signal::snr_db(sound, heard) > 8.0,
            "{}",
            signal::snr_db(sound, heard)
        );
    }
}

/// Decodes with every tenth packet lost, which `recover` makes up for from the packet after it.
fn with_losses(
    packets: &[Vec<u8>],
    mut recover: impl FnMut(&mut Decoder, &[u8], &mut [f32]),
) -> (Vec<f32>, Vec<f32>) {
    let mut whole = Decoder::new().unwrap();
    let mut lossy = Decoder::new().unwrap();
    let mut out = [0.0; MAX_PACKET_SAMPLES];
    let (mut reference, mut heard) = (Vec::new(), Vec::new());
    for (n, packet) in packets.iter().enumerate().take(packets.len() - 1) {
        whole.decode(packet, &mut out).unwrap();
        let lost = n % 10 == 5;
        if lost {
            reference.extend_from_slice(&out[..PACKET]);
            recover(&mut lossy, &packets[n + 1], &mut out[..PACKET]);
            heard.extend_from_slice(&out[..PACKET]);
        } else {
            lossy.decode(packet, &mut out).unwrap();
        }
    }
    (reference, heard)
}

#[test]
fn a_low_bit_rate_copy_beats_concealment() {
    let sound = signal::speech(2, 10 * 48_000);
    let packets = encode(
        &sound,
        EncoderSettings {
            expected_loss: 20,
            ..steady()
        },
        PACKET,
    );
    assert!(packets.iter().filter(|p| has_fec(p)).count() > packets.len() / 4);
    let (reference, concealed) = with_losses(&packets, |decoder, _, out| {
        assert_eq!(decoder.conceal(out), Ok(PACKET));
    });
    let (_, recovered) = with_losses(&packets, |decoder, next, out| {
        assert_eq!(decoder.decode_fec(next, out), Ok(PACKET));
    });
    let (concealed, recovered) = (
        signal::segmental_snr_db(&reference, &concealed),
        signal::segmental_snr_db(&reference, &recovered),
    );
    assert!(
        recovered > concealed + 2.0,
        "{recovered} dB against {concealed} dB"
    );
}

#[test]
fn deep_redundancy_reaches_over_a_burst() {
    let sound = signal::speech(3, 10 * 48_000);
    let settings = EncoderSettings {
        dred_frames: 40,
        expected_loss: 20,
        bitrate: 48_000,
        ..steady()
    };
    let packets = encode(&sound, settings, PACKET);
    let mut decoder = Decoder::new().unwrap();
    let mut out = [0.0; MAX_PACKET_SAMPLES];
    let (mut bursts, mut loudness) = (0, Vec::new());
    let mut n = 100;
    while n + 6 < packets.len() {
        for packet in &packets[n..n + 2] {
            decoder.decode(packet, &mut out).unwrap();
        }
        // Three packets lost; the sixth carries them.
        let carrier = &packets[n + 5];
        let mut reached = 0;
        for back in [3, 2, 1] {
            let got = decoder
                .decode_dred(carrier, back * PACKET, &mut out[..PACKET])
                .unwrap();
            if got == Some(PACKET) {
                reached += 1;
                loudness.push(out[..PACKET].iter().map(|x| x * x).sum::<f32>());
            } else {
                decoder.conceal(&mut out[..PACKET]).unwrap();
            }
        }
        bursts += usize::from(reached == 3);
        decoder.decode(carrier, &mut out).unwrap();
        n += 6;
    }
    assert!(may_have_dred(&packets[150]));
    assert!(bursts > 20, "only {bursts} bursts were covered");
    assert!(
        loudness.iter().any(|&l| l > 0.5),
        "nothing but silence came back"
    );
}

#[test]
fn a_packet_without_deep_redundancy_says_so() {
    let packets = encode(&signal::speech(3, 48_000), steady(), PACKET);
    let mut decoder = Decoder::new().unwrap();
    let mut out = [0.0; PACKET];
    assert_eq!(
        decoder.decode_dred(&packets[20], PACKET, &mut out),
        Ok(None)
    );
    assert_eq!(decoder.decode_dred(&[], PACKET, &mut out), Ok(None));
}

#[test]
fn silence_is_left_out() {
    let packets = encode(&vec![0.0; 96_000], EncoderSettings::default(), PACKET);
    let silent = packets.iter().filter(|p| is_dtx(p)).count();
    assert!(silent > packets.len() / 2, "{silent} of {}", packets.len());
}

#[test]
fn settings_are_brought_into_range_and_lengths_checked() {
    let mut encoder = Encoder::new(EncoderSettings {
        bitrate: 1,
        complexity: 99,
        expected_loss: 200,
        dred_frames: 255,
        ..EncoderSettings::default()
    })
    .unwrap();
    assert_eq!(encoder.settings().bitrate, 6_000);
    assert_eq!(encoder.settings().complexity, 10);
    let mut out = [0; MAX_PACKET];
    assert!(matches!(
        encoder.encode(&[0.0; 100], &mut out),
        Err(CodecError::Length { .. })
    ));
    assert!(matches!(
        encoder.encode(&[0.0; PACKET], &mut []),
        Err(CodecError::Length { .. })
    ));
    let mut decoder = Decoder::new().unwrap();
    assert!(matches!(
        decoder.conceal(&mut [0.0; 7]),
        Err(CodecError::Length { .. })
    ));
    assert_eq!(
        decoder.decode(&[], &mut [0.0; 960]),
        Err(CodecError::Damaged)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_decoded_or_refused(packet in proptest::collection::vec(any::<u8>(), 0..1_300)) {
        let mut decoder = Decoder::new().unwrap();
        let mut out = [0.0; MAX_PACKET_SAMPLES];
        if let Ok(samples) = decoder.decode(&packet, &mut out) {
            prop_assert_eq!(packet_samples(&packet), Some(samples));
            prop_assert!(out[..samples].iter().all(|x| x.is_finite()));
        }
        let _ = has_fec(&packet);
        let _ = decoder.decode_fec(&packet, &mut out[..PACKET]);
        let _ = decoder.decode_dred(&packet, PACKET, &mut out[..PACKET]);
        prop_assert_eq!(decoder.conceal(&mut out[..PACKET]), Ok(PACKET));
    }
}
