//! Carries out what the [`JitterBuffer`] decides.

use std::time::Duration;

use super::{
    JitterBuffer, JitterConfig, JitterStats, Packet,
    decision::{Join, Rescue, Source, Step, Stretch},
    line::{FADE, LONGEST, Line},
};
use crate::{
    FRAME,
    codec::{CodecError, Decoder, MAX_PACKET_SAMPLES},
};

/// What a [`Playout`] asks of a decoder; [`Decoder`] is the one.
pub trait Decode {
    /// As [`Decoder::decode`].
    ///
    /// # Errors
    /// As there.
    fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError>;
    /// As [`Decoder::conceal`].
    ///
    /// # Errors
    /// As there.
    fn conceal(&mut self, out: &mut [f32]) -> Result<usize, CodecError>;
    /// As [`Decoder::decode_fec`]; a codec without LBRR conceals.
    ///
    /// # Errors
    /// As there.
    fn decode_fec(&mut self, _packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        self.conceal(out)
    }
    /// As [`Decoder::decode_dred`]; a codec without deep redundancy has none.
    ///
    /// # Errors
    /// As there.
    fn decode_dred(
        &mut self,
        _packet: &[u8],
        _before: usize,
        _out: &mut [f32],
    ) -> Result<Option<usize>, CodecError> {
        Ok(None)
    }
    /// As [`Decoder::reset`].
    fn reset(&mut self);
}

impl Decode for Decoder {
    fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        self.decode(packet, out)
    }

    fn conceal(&mut self, out: &mut [f32]) -> Result<usize, CodecError> {
        self.conceal(out)
    }

    fn decode_fec(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, CodecError> {
        self.decode_fec(packet, out)
    }

    fn decode_dred(
        &mut self,
        packet: &[u8],
        before: usize,
        out: &mut [f32],
    ) -> Result<Option<usize>, CodecError> {
        self.decode_dred(packet, before, out)
    }

    fn reset(&mut self) {
        self.reset();
    }
}

/// What the 10 ms that were fetched are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing at all: leave this stream out of the mix.
    Nothing,
    /// Sound, real or made up, or background noise.
    Sound,
}

/// One incoming stream from packets to sound: a jitter buffer, a decoder and a stretcher.
///
/// Belongs on the processing thread, not into an audio callback: it decodes, and allocates for
/// packets that wait.
#[derive(Debug)]
pub struct Playout<D> {
    buffer: JitterBuffer,
    decoder: D,
    line: Line,
    scratch: Box<[f32; MAX_PACKET_SAMPLES]>,
    /// What would have followed, to fade from where sound jumps.
    tail: [f32; FADE],
    /// How much of what is ready can be heard; the rest, at its end, is silence put in.
    audible: usize,
}

impl<D: Decode> Playout<D> {
    /// A stream that has not begun.
    pub fn new(config: JitterConfig, decoder: D) -> Self {
        Self {
            buffer: JitterBuffer::new(config),
            decoder,
            line: Line::new(),
            scratch: Box::new([0.0; MAX_PACKET_SAMPLES]),
            tail: [0.0; FADE],
            audible: 0,
        }
    }

    /// As [`JitterBuffer::set_at_first`].
    pub fn set_at_first(&mut self, at_first: Duration) {
        self.buffer.set_at_first(at_first);
    }

    /// Takes in a packet that arrived at `now`. Anything may be in it.
    pub fn insert(&mut self, packet: &Packet<'_>, now: Duration) {
        self.buffer.insert(packet, now);
    }

    /// Fetches the 10 ms to be played at `now`; to be called every 10 ms of the sound device's time.
    pub fn tick(&mut self, now: Duration, out: &mut [f32; FRAME]) -> Heard {
        let stretch = self.buffer.stretch(now, self.line.ready());
        while self.line.ready() < FRAME {
            self.step(now);
        }
        if let Some(stretch) = stretch {
            self.stretch(now, stretch);
        }
        let enough = self.line.play(out);
        debug_assert!(enough);
        let heard = if self.audible > 0 {
            Heard::Sound
        } else {
            Heard::Nothing
        };
        self.audible = self.audible.saturating_sub(FRAME);
        heard
    }

    /// What the stream has been like.
    pub fn stats(&self, now: Duration) -> JitterStats {
        self.buffer.stats(now, self.line.ready())
    }

    /// The decoder.
    pub const fn decoder(&self) -> &D {
        &self.decoder
    }

    fn stretch(&mut self, now: Duration, stretch: Stretch) {
        match stretch {
            Stretch::Accelerate { most, alike } => {
                while self.line.ready() < FRAME + LONGEST + FADE && self.buffer.has_next() {
                    self.step(now);
                }
                // A tick's worth must be left.
                let most = most.min(self.line.ready().saturating_sub(FRAME));
                let before = self.line.ready();
                if self.line.take_out(most, alike).is_some() {
                    self.buffer.stretched(before, self.line.ready());
                }
            }
            Stretch::Expand { wanted, alike } => {
                let before = self.line.ready();
                if let Some(by) = self.line.put_in(wanted, alike) {
                    self.audible += by;
                    self.buffer.stretched(before, self.line.ready());
                }
            }
        }
    }

    fn step(&mut self, now: Duration) {
        let scratch = &mut self.scratch[..];
        let decoder = &mut self.decoder;
        match self.buffer.step(now, self.line.ready()) {
            Step::Nothing => {
                self.line.push(&[0.0; FRAME]);
                return;
            }
            Step::Silence => {
                conceal(decoder, &mut scratch[..FRAME]);
                self.line.push(&scratch[..FRAME]);
            }
            Step::Conceal { samples, fade_out } => {
                let sound = &mut scratch[..samples];
                conceal(decoder, sound);
                if fade_out {
                    let length = samples as f32;
                    for (n, sample) in sound.iter_mut().enumerate() {
                        *sample *= 1.0 - (n + 1) as f32 / length;
                    }
                }
                self.line.push(sound);
            }
            Step::Play {
                payload,
                skip,
                source: Source::Packet | Source::Red,
                join,
            } => {
                match join {
                    Join::Follows => {}
                    Join::Jumps => conceal(decoder, &mut self.tail),
                    Join::Begins => {
                        decoder.reset();
                        self.tail.fill(0.0);
                    }
                }
                match decoder.decode(payload, scratch) {
                    Ok(samples) => {
                        let sound = &mut scratch[skip.min(samples)..samples];
                        if join != Join::Follows {
                            fade_over(&self.tail, sound);
                        }
                        self.line.push(sound);
                    }
                    Err(_) => {
                        // It looked like a packet, or it would not have been taken in.
                        let samples = crate::codec::packet_samples(payload).unwrap_or(FRAME);
                        let samples = samples - skip;
                        conceal(decoder, &mut scratch[..samples]);
                        self.line.push(&scratch[..samples]);
                        self.buffer.concealed_instead(Rescue::Packet, samples);
                    }
                }
            }
            Step::Fec {
                carrier,
                samples,
                skip,
            } => {
                let sound = &mut scratch[..samples];
                if skip > 0 {
                    conceal(decoder, &mut self.tail);
                }
                if decoder.decode_fec(carrier, sound).is_err() {
                    conceal(decoder, sound);
                }
                let sound = &mut sound[skip..];
                if skip > 0 {
                    fade_over(&self.tail, sound);
                }
                self.line.push(sound);
            }
            Step::Dred {
                carrier,
                before,
                samples,
            } => {
                let sound = &mut scratch[..samples];
                let got = decoder.decode_dred(carrier, before, sound);
                let failed = !matches!(got, Ok(Some(_)));
                if failed {
                    conceal(decoder, sound);
                }
                self.line.push(sound);
                if failed {
                    self.buffer.concealed_instead(Rescue::Dred, samples);
                }
            }
        }
        self.audible = self.line.ready();
    }
}

/// Conceals; silence if even that fails.
fn conceal(decoder: &mut impl Decode, out: &mut [f32]) {
    if decoder.conceal(out).is_err() {
        out.fill(0.0);
    }
}

/// Fades from `tail` over to `sound`, in place.
fn fade_over(tail: &[f32], sound: &mut [f32]) {
    let length = tail.len().min(sound.len()) as f32;
    for (n, (to, from)) in sound.iter_mut().zip(tail).enumerate() {
        *to = from + (*to - from) * ((n as f32 + 0.5) / length);
    }
}
