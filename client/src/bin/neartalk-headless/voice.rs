//! Voice in a terminal: what is chosen at the start, what is said about it.

use std::{net::SocketAddr, path::PathBuf};

use clap::ValueEnum;
use neartalk_client::{
    Command, EngineConfig, Event,
    voice::{
        Device, DeviceChoice, DeviceDirection, DeviceStatus, Headset, NoiseSuppression, TalkMode,
        VoiceLink, VoiceNotice, VoicePhase, VoiceSettings, VoiceStatus,
    },
};

use crate::roster::Roster;

/// What can be chosen at the start.
#[derive(Debug, clap::Args)]
pub struct VoiceOptions {
    /// Join voice at once
    #[arg(long)]
    voice: bool,
    /// Say what a WAV file says, once, instead of what a microphone hears
    #[arg(long, value_name = "FILE.wav")]
    mic: Option<PathBuf>,
    /// Write what is heard to a WAV file instead of playing it
    #[arg(long, value_name = "FILE.wav")]
    speaker: Option<PathBuf>,
    /// The microphone, by the id that --json shows, or "none"
    #[arg(long, value_name = "ID")]
    input: Option<String>,
    /// The loudspeaker, by the id that --json shows, or "none"
    #[arg(long, value_name = "ID")]
    output: Option<String>,
    /// When you are heard
    #[arg(long, value_enum, default_value = "activity")]
    talk: Talk,
    /// Whether the loudspeaker's sound is taken out of the microphone's
    #[arg(long, value_enum, default_value = "on")]
    echo: Switch,
    /// How much noise is taken out of the microphone's sound
    #[arg(long, value_enum, default_value = "moderate")]
    noise: Noise,
    /// Whether everyone is made about equally loud
    #[arg(long, value_enum, default_value = "on")]
    gain: Switch,
    /// Whether you wear the loudspeaker, so that there is no echo
    #[arg(long, value_enum, default_value = "auto")]
    headset: Worn,
    /// Let nobody in the call learn your IP address; slightly slower
    #[arg(long)]
    hide_address: bool,
    /// Where to open sockets for voice; everywhere but on loopback by default
    #[arg(long, value_name = "IP:PORT")]
    address: Vec<SocketAddr>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Talk {
    /// At all times
    Open,
    /// While you speak
    Activity,
    /// After /ptt, until the next /ptt
    Push,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Worn {
    /// As far as the device can tell
    Auto,
    On,
    Off,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Noise {
    Off,
    Low,
    Moderate,
    High,
    VeryHigh,
}

fn device(id: Option<String>) -> DeviceChoice {
    match id {
        None => DeviceChoice::Default,
        Some(id) if id == "none" => DeviceChoice::Nothing,
        Some(id) => DeviceChoice::Device { id },
    }
}

impl VoiceOptions {
    /// Puts what was chosen where the engine looks for it. Whether to join at once.
    pub fn apply(self, config: &mut EngineConfig) -> bool {
        config.voice = VoiceSettings {
            input: device(self.input),
            output: device(self.output),
            mode: match self.talk {
                Talk::Open => TalkMode::Open,
                Talk::Activity => TalkMode::VoiceActivity,
                Talk::Push => TalkMode::PushToTalk,
            },
            echo_cancellation: self.echo == Switch::On,
            noise_suppression: match self.noise {
                Noise::Off => NoiseSuppression::Off,
                Noise::Low => NoiseSuppression::Low,
                Noise::Moderate => NoiseSuppression::Moderate,
                Noise::High => NoiseSuppression::High,
                Noise::VeryHigh => NoiseSuppression::VeryHigh,
            },
            gain_control: self.gain == Switch::On,
            headset: match self.headset {
                Worn::Auto => Headset::Auto,
                Worn::On => Headset::On,
                Worn::Off => Headset::Off,
            },
            hide_address: self.hide_address,
            ..VoiceSettings::default()
        };
        config.files.microphone = self.mic;
        config.files.speaker = self.speaker;
        config.addresses = self.address;
        self.voice
    }
}

/// How voice stands, as far as events have told.
#[derive(Debug)]
pub struct Voice {
    at_once: bool,
    settings: VoiceSettings,
    status: VoiceStatus,
    pressed: bool,
    inputs: Vec<Device>,
    outputs: Vec<Device>,
    /// What there is to choose from was asked for, and has not been told yet.
    asked: bool,
}

impl Voice {
    pub fn new(at_once: bool, settings: VoiceSettings) -> Self {
        Self {
            at_once,
            settings,
            status: VoiceStatus::default(),
            pressed: false,
            inputs: Vec::new(),
            outputs: Vec::new(),
            asked: false,
        }
    }

    pub const fn joins_at_once(&self) -> bool {
        self.at_once
    }

    /// The key to talk is pressed, or let go.
    pub const fn talk(&mut self) -> Command {
        self.pressed = !self.pressed;
        Command::VoicePress {
            pressed: self.pressed,
        }
    }

    /// What there is to choose from is wanted.
    pub const fn ask_for_devices(&mut self) -> Command {
        self.asked = true;
        Command::VoiceDevices
    }

    /// What there is to choose from.
    fn devices(&self) -> String {
        if self.inputs.is_empty() && self.outputs.is_empty() {
            return "There is no microphone and no loudspeaker, or no sound service.".to_owned();
        }
        let list = |title: &str, devices: &[Device]| {
            let mut lines = vec![format!("{title}:"), "  0  the system's choice".to_owned()];
            lines.extend(devices.iter().enumerate().map(|(n, device)| {
                let default = if device.is_default { " (default)" } else { "" };
                format!("  {}  {}{default}", n + 1, device.name)
            }));
            lines.join("\n")
        };
        let inputs = list("Microphones", &self.inputs);
        let outputs = list("Loudspeakers", &self.outputs);
        format!("{inputs}\n{outputs}")
    }

    /// Chooses by a number of that list.
    pub fn choose(&mut self, direction: DeviceDirection, number: usize) -> Result<Command, String> {
        let (devices, choice) = match direction {
            DeviceDirection::Input => (&self.inputs, &mut self.settings.input),
            DeviceDirection::Output => (&self.outputs, &mut self.settings.output),
        };
        *choice = match number.checked_sub(1).map(|index| devices.get(index)) {
            None => DeviceChoice::Default,
            Some(Some(device)) => DeviceChoice::Device {
                id: device.id.clone(),
            },
            Some(None) => {
                return Err(format!(
                    "there is no {number}; /devices shows what there is"
                ));
            }
        };
        Ok(Command::VoiceConfigure {
            settings: self.settings.clone(),
        })
    }

    /// Follows what an event tells.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::VoiceDevices { inputs, outputs } => {
                self.inputs.clone_from(inputs);
                self.outputs.clone_from(outputs);
            }
            Event::Snapshot(snapshot) => {
                self.inputs.clone_from(&snapshot.voice.inputs);
                self.outputs.clone_from(&snapshot.voice.outputs);
            }
            _ => {}
        }
    }

    /// What to say about an event.
    pub fn show(&mut self, event: &Event, roster: &Roster) -> Vec<String> {
        match event {
            Event::Voice(status) => {
                let before = std::mem::replace(&mut self.status, status.clone());
                changes(&before, status)
            }
            Event::VoicePerson(person) => {
                let name = roster.name(person.peer_id);
                if person.cannot_hear_you {
                    return vec![format!(
                        "{name} can't hear you; another way is being tried."
                    )];
                }
                match person.link {
                    VoiceLink::Connected => vec![format!("{name} can hear you.")],
                    VoiceLink::Interrupted => {
                        vec![format!("The voice connection with {name} is interrupted.")]
                    }
                    VoiceLink::Unreachable => {
                        vec![format!(
                            "No way to {name} was found; it is tried again later."
                        )]
                    }
                    VoiceLink::Waiting | VoiceLink::Connecting => Vec::new(),
                }
            }
            Event::VoicePersonLeft { peer_id } => {
                vec![format!("{} is no longer in voice.", roster.name(*peer_id))]
            }
            Event::VoiceNotice(notice) => vec![match notice {
                VoiceNotice::RoomFull { full: true } => {
                    "The room is full: you are listening to the nearest.".to_owned()
                }
                VoiceNotice::RoomFull { full: false } => {
                    "There is room again: you hear everyone.".to_owned()
                }
                VoiceNotice::SpeaksWhileMuted => "You are muted; /unmute ends it.".to_owned(),
                VoiceNotice::NoRelay => {
                    "Hiding your address needs a TURN server, and this relay offers none: you \
                     can't be connected with anybody."
                        .to_owned()
                }
                VoiceNotice::Ended { message } => format!("Voice has ended: {message}."),
            }],
            Event::VoiceDevices { .. } if std::mem::take(&mut self.asked) => vec![self.devices()],
            Event::VoiceDevice { direction, status } => vec![device_line(*direction, status)],
            _ => Vec::new(),
        }
    }
}

fn changes(before: &VoiceStatus, now: &VoiceStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if before.phase != now.phase {
        lines.push(match now.phase {
            VoicePhase::Off => "You have left voice.".to_owned(),
            VoicePhase::Joining => "Joining voice…".to_owned(),
            VoicePhase::InVoice if now.settings.hide_address => {
                "You are in voice. Nobody in the call sees your IP address.".to_owned()
            }
            VoicePhase::InVoice => {
                "You are in voice. It goes straight from one to the other: people in the call \
                 could see your IP address (--hide-address hides it)."
                    .to_owned()
            }
        });
    }
    if before.muted != now.muted {
        let muted = if now.muted {
            "muted"
        } else {
            "no longer muted"
        };
        lines.push(format!("You are {muted}."));
    }
    if before.deafened != now.deafened {
        let line = if now.deafened {
            "You hear nobody, and nobody hears you."
        } else {
            "You hear the others again."
        };
        lines.push(line.to_owned());
    }
    lines
}

fn device_line(direction: DeviceDirection, status: &DeviceStatus) -> String {
    let what = match direction {
        DeviceDirection::Input => "Microphone",
        DeviceDirection::Output => "Loudspeaker",
    };
    match status {
        DeviceStatus::Opened { device, fallback } => {
            let instead = if *fallback {
                " (in place of the one you chose)"
            } else {
                ""
            };
            format!("{what}: {}{instead}.", device.name)
        }
        DeviceStatus::Lost { device, message } | DeviceStatus::Refused { device, message } => {
            format!("{what} {}: {message}.", device.name)
        }
        DeviceStatus::Unavailable { message } => {
            let can = match direction {
                DeviceDirection::Input => "you can listen",
                DeviceDirection::Output => "you can talk",
            };
            format!("No {}: {can}; {message}.", what.to_lowercase())
        }
    }
}
