//! From the microphone's frames to packets, once for all.

use bytes::Bytes;

use crate::{
    FRAME,
    codec::{CodecError, Encoder, EncoderSettings, MAX_PACKET, is_dtx},
    redundancy::EncoderPlan,
};

/// Silence encoded at most when there is no more sound, in frames. The encoder takes 200 ms to be sure.
const TAIL: usize = 50;

/// Below this mean square, −60 dBFS, a frame is quiet, …
const QUIET: f32 = 1e-6;

/// … and after so many of them it may be left out (DTX). The encoder's own idea of silence takes soft ends
/// of words with it.
const PAUSE: usize = 40;

/// One packet of the microphone's sound.
#[derive(Clone, Debug)]
pub(super) struct VoicePacket {
    /// RTP time, in 48 kHz ticks.
    pub(super) timestamp: u32,
    /// Whether it is the first after silence.
    pub(super) marker: bool,
    /// The Opus packet.
    pub(super) bytes: Bytes,
}

/// The microphone's encoder.
#[derive(Debug)]
pub(super) struct Voice {
    encoder: Encoder,
    /// Sound of the packet that is being filled.
    pending: Vec<f32>,
    /// RTP time of the next frame.
    timestamp: u32,
    silent: bool,
    /// Quiet frames in a row.
    quiet: usize,
    /// Frames of silence that may still be encoded until the encoder says so itself.
    tail: usize,
    packet: [u8; MAX_PACKET],
}

impl Voice {
    pub(super) fn new() -> Result<Self, CodecError> {
        Ok(Self {
            encoder: Encoder::new(EncoderSettings::default())?,
            pending: Vec::with_capacity(2 * FRAME),
            timestamp: rand::random(),
            silent: true,
            quiet: 0,
            tail: 0,
            packet: [0; MAX_PACKET],
        })
    }

    /// Takes a frame, or its absence; a packet when one is full and says something.
    pub(super) fn take(
        &mut self,
        frame: Option<&[f32; FRAME]>,
        plan: EncoderPlan,
    ) -> Option<VoicePacket> {
        let start = self.timestamp.wrapping_sub(self.pending.len() as u32);
        self.timestamp = self.timestamp.wrapping_add(FRAME as u32);
        match frame {
            Some(frame) => {
                self.tail = TAIL;
                let power = frame.iter().map(|x| x * x).sum::<f32>() / FRAME as f32;
                self.quiet = if power < QUIET { self.quiet + 1 } else { 0 };
                self.pending.extend_from_slice(frame);
            }
            // The others must hear that it is silent now, or they would make up what they miss.
            None if !self.silent && self.tail > 0 => {
                self.tail -= 1;
                self.quiet = PAUSE;
                self.pending.extend([0.0; FRAME]);
            }
            None => {
                self.pending.clear();
                self.silent = true;
                return None;
            }
        }
        if self.pending.len() < plan.packet.samples() {
            return None;
        }
        let settings = EncoderSettings {
            dtx: self.quiet >= PAUSE,
            ..plan.settings
        };
        if self.encoder.settings() != settings
            && let Err(error) = self.encoder.apply(settings)
        {
            tracing::warn!(%error, "the encoder stays as it is");
        }
        let encoded = self.encoder.encode(&self.pending, &mut self.packet);
        self.pending.clear();
        let bytes = match encoded {
            Ok(length) => &self.packet[..length],
            Err(error) => {
                tracing::warn!(%error, "a packet is lost");
                return None;
            }
        };
        let was_silent = std::mem::replace(&mut self.silent, is_dtx(bytes));
        // The first that says "silence" is sent, the others are not.
        if self.silent && was_silent {
            return None;
        }
        Some(VoicePacket {
            timestamp: start,
            marker: was_silent,
            bytes: Bytes::copy_from_slice(bytes),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::PacketLength, redundancy, signal};

    fn frames(sound: &[f32]) -> impl Iterator<Item = &[f32; FRAME]> {
        sound
            .chunks_exact(FRAME)
            .filter_map(|chunk| chunk.try_into().ok())
    }

    #[test]
    fn time_goes_on_while_nothing_is_said() {
        let plan = redundancy::plan([]);
        assert_eq!(plan.packet, PacketLength::Ms20);
        let mut voice = Voice::new().unwrap();
        let tone = signal::tone(440.0, 0.3, 20 * FRAME);
        let packets: Vec<VoicePacket> = frames(&tone)
            .filter_map(|frame| voice.take(Some(frame), plan))
            .collect();
        assert_eq!(packets.len(), 10);
        assert!(packets[0].marker && packets[1..].iter().all(|packet| !packet.marker));
        for pair in packets.windows(2) {
            assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 960);
        }
        // Muted in the middle of a packet: silence follows until it is said to be silence, then nothing.
        let last = packets[9].timestamp;
        let mut rest = frames(&tone);
        assert!(voice.take(rest.next(), plan).is_none());
        let tail: Vec<VoicePacket> = (0..101).filter_map(|_| voice.take(None, plan)).collect();
        assert!((5..=TAIL / 2).contains(&tail.len()), "{}", tail.len());
        assert!(is_dtx(&tail[tail.len() - 1].bytes));
        assert!(tail.iter().all(|packet| !packet.marker));
        assert!(voice.take(rest.next(), plan).is_none());
        let packet = voice.take(rest.next(), plan).unwrap();
        assert!(packet.marker);
        // Pauses between words are sent as they are, long ones are left out.
        let soft = signal::tone(440.0, 0.003, 30 * FRAME);
        let silence = vec![0.0; 200 * FRAME];
        let mut taken = |sound: &[f32]| -> Vec<VoicePacket> {
            frames(sound)
                .filter_map(|frame| voice.take(Some(frame), plan))
                .collect()
        };
        assert_eq!(taken(&soft).len(), 15);
        assert_eq!(taken(&silence[..30 * FRAME]).len(), 15);
        assert_eq!(taken(&tone).len(), 10);
        let packets = taken(&silence);
        assert!((20..=50).contains(&packets.len()), "{}", packets.len());
        assert!(is_dtx(&packets[packets.len() - 1].bytes));
        assert_eq!(
            packet.timestamp.wrapping_sub(last),
            960 + 102 * FRAME as u32
        );
    }

    #[test]
    fn silence_is_said_once() {
        let plan = redundancy::plan([]);
        let mut voice = Voice::new().unwrap();
        let tone = signal::tone(440.0, 0.3, 20 * FRAME);
        for frame in frames(&tone) {
            voice.take(Some(frame), plan);
        }
        let silence = [0.0; FRAME];
        let sent = (0..400)
            .filter(|_| voice.take(Some(&silence), plan).is_some())
            .count();
        // Until it is sure that it is silent, and now and then to keep the noise alike.
        assert!(sent < 60, "{sent} of 200 packets of silence were sent");
    }
}
