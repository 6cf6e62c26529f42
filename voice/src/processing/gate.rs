//! Push to talk, voice activity, mute: whether the microphone is heard.

use std::time::Duration;

use crate::FRAME;

/// When one is heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TalkMode {
    /// At all times.
    Open,
    /// While one speaks.
    #[default]
    VoiceActivity,
    /// While a key is held.
    PushToTalk,
}

/// What a [`Gate`] keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateSettings {
    /// When one is heard.
    pub mode: TalkMode,
    /// How long one is heard still after the key was let go: fingers are faster than mouths.
    pub release: Duration,
}

impl Default for GateSettings {
    fn default() -> Self {
        Self {
            mode: TalkMode::default(),
            release: Duration::from_millis(200),
        }
    }
}

/// What is to become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmission {
    /// Whether it is to be sent. For one frame after the gate has closed it still is: the fade.
    pub send: bool,
    /// Whether others hear one now.
    pub talking: bool,
    /// Whether one speaks, and nobody hears it because one is muted: worth a hint.
    pub speaks_while_muted: bool,
}

/// Decides frame by frame whether one is heard. Time is that since any start.
#[derive(Clone, Debug)]
pub struct Gate {
    settings: GateSettings,
    muted: bool,
    deafened: bool,
    pressed: bool,
    /// Until when one is heard after the key was let go.
    released: Option<Duration>,
    open: bool,
    gain: f32,
}

/// From silence to sound and back within a frame.
const STEP: f32 = 1.0 / 240.0;

impl Gate {
    /// Closed, not muted, no key pressed.
    pub const fn new(settings: GateSettings) -> Self {
        Self {
            settings,
            muted: false,
            deafened: false,
            pressed: false,
            released: None,
            open: false,
            gain: 0.0,
        }
    }

    /// Keeps to other settings from now on.
    pub const fn configure(&mut self, settings: GateSettings) {
        self.settings = settings;
    }

    /// Mutes the microphone or not.
    pub const fn mute(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Who hears nobody is not heard either, muted or not.
    pub const fn deafen(&mut self, deafened: bool) {
        self.deafened = deafened;
    }

    /// Whether nobody can hear one, whatever one does.
    pub const fn is_silenced(&self) -> bool {
        self.muted || self.deafened
    }

    /// The key was pressed or let go. (It repeats while it is held: no harm.)
    pub fn press(&mut self, now: Duration, pressed: bool) {
        if self.pressed && !pressed {
            self.released = Some(now + self.settings.release);
        }
        self.pressed = pressed;
    }

    /// Lets a frame through, or silences it; never with a click. `speaking` is what the meter says of
    /// it.
    pub fn pass(
        &mut self,
        now: Duration,
        speaking: bool,
        frame: &mut [f32; FRAME],
    ) -> Transmission {
        let asked = match self.settings.mode {
            TalkMode::Open => true,
            TalkMode::VoiceActivity => speaking,
            TalkMode::PushToTalk => self.pressed || self.released.is_some_and(|until| now < until),
        };
        let was_open = self.open;
        self.open = asked && !self.is_silenced();
        let target = if self.open { 1.0 } else { 0.0 };
        if self.gain != target || !self.open {
            for sample in frame.iter_mut() {
                self.gain += (target - self.gain).clamp(-STEP, STEP);
                *sample *= self.gain;
            }
        }
        Transmission {
            send: self.open || was_open,
            talking: self.open,
            speaks_while_muted: self.muted && !self.deafened && speaking,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal;

    const MS: Duration = Duration::from_millis(1);

    fn gate(mode: TalkMode) -> Gate {
        Gate::new(GateSettings {
            mode,
            ..GateSettings::default()
        })
    }

    fn talks(gate: &mut Gate, ms: u32, speaking: bool) -> bool {
        let passed = gate.pass(ms * MS, speaking, &mut [0.5; FRAME]);
        passed.talking
    }

    #[test]
    fn each_mode_opens_at_its_time() {
        let mut open = gate(TalkMode::Open);
        assert!(talks(&mut open, 0, false));
        let mut voice = gate(TalkMode::VoiceActivity);
        assert!(!talks(&mut voice, 0, false));
        assert!(talks(&mut voice, 10, true));
        assert!(!talks(&mut voice, 20, false));
        let mut push = gate(TalkMode::PushToTalk);
        assert!(!talks(&mut push, 0, true));
        push.press(5 * MS, true);
        push.press(6 * MS, true);
        assert!(talks(&mut push, 10, false));
        push.press(100 * MS, false);
        push.press(101 * MS, false);
        assert!(talks(&mut push, 299, false));
        assert!(!talks(&mut push, 300, true));
        // Another mode in the middle of it.
        push.configure(GateSettings::default());
        assert!(talks(&mut push, 310, true));
    }

    #[test]
    fn muted_and_deafened_are_two_things_and_either_silences() {
        let mut gate = gate(TalkMode::Open);
        gate.mute(true);
        gate.deafen(true);
        let both = gate.pass(MS, true, &mut [0.5; FRAME]);
        assert!(!both.send && !both.talking && !both.speaks_while_muted);
        gate.deafen(false);
        let muted = gate.pass(MS, true, &mut [0.5; FRAME]);
        assert!(!muted.talking && muted.speaks_while_muted && gate.is_silenced());
        gate.mute(false);
        let heard = gate.pass(MS, true, &mut [0.5; FRAME]);
        assert!(heard.talking && !heard.speaks_while_muted);
        gate.deafen(true);
        assert!(gate.is_silenced() && !talks(&mut gate, 2, true));
        // A key held while muted is no way around it.
        let mut push = self::gate(TalkMode::PushToTalk);
        push.mute(true);
        push.press(MS, true);
        assert!(!talks(&mut push, 2, true));
    }

    #[test]
    fn opening_and_closing_fade_and_nothing_leaks() {
        let mut gate = gate(TalkMode::VoiceActivity);
        let sound = signal::tone(200.0, 0.5, 6 * FRAME);
        let bound = signal::largest_step(&sound) * 1.5;
        let mut heard = Vec::new();
        let mut sent = Vec::new();
        for (n, frame) in sound.chunks_exact(FRAME).enumerate() {
            let mut frame: [f32; FRAME] = frame.try_into().unwrap();
            let speaking = (1..4).contains(&n);
            sent.push(gate.pass(MS, speaking, &mut frame).send);
            heard.extend_from_slice(&frame);
        }
        assert_eq!(sent, [false, true, true, true, true, false]);
        assert!(signal::largest_step(&heard) < bound);
        assert!(heard[..FRAME].iter().all(|x| *x == 0.0));
        assert!(heard[5 * FRAME..].iter().all(|x| *x == 0.0));
        assert_eq!(heard[2 * FRAME..4 * FRAME], sound[2 * FRAME..4 * FRAME]);
    }
}
