//! A person in voice whose client is the engine, who says a tone.

use std::{collections::VecDeque, f32::consts::TAU, fs, path::PathBuf};

use neartalk_client::{
    Command, Engine, EngineConfig, EngineHandle, Event, EventReceiver, Fix, RelayUrl,
    location::{self, FixSender},
    voice::{NoiseSuppression, SoundFiles, TalkMode, VoicePhase, VoiceSettings},
};
use neartalk_rig::{
    chromium::Role,
    sound::{RATE, amplitude_at},
};
use neartalk_shared::{PeerId, Place, Radius};
use neartalk_voice::{FRAME, wav::WavSink};
use tokio::time::timeout;

use crate::{GUARD, folder};

/// Pitch of what the engine says, in Hz, and of what the browser does: a whole number of waves a second.
pub const HEARD_BY_BROWSER: f32 = 440.0;
pub const HEARD_BY_ENGINE: f32 = 660.0;
const AMPLITUDE: f32 = 0.3;

/// Where everybody is, in degrees.
pub fn place() -> (f64, f64) {
    (52.520_01, 13.404_95)
}

/// Whether a sound is this tone, about as loud as it was said, and hardly anything else.
pub fn is_tone(sound: &[f32], hz: f32) -> bool {
    let amplitude = amplitude_at(hz, sound);
    let power = sound.iter().map(|x| x * x).sum::<f32>() / sound.len().max(1) as f32;
    // A sine's power is half its amplitude's square.
    let share = amplitude * amplitude / 2.0 / power.max(1e-9);
    (0.7..1.4).contains(&(amplitude / AMPLITUDE)) && share > 0.8
}

pub struct Someone {
    pub peer_id: PeerId,
    handle: EngineHandle,
    events: EventReceiver,
    /// What has been read and not been asked for yet.
    unread: VecDeque<Event>,
    folder: PathBuf,
    _fixes: FixSender,
}

impl Someone {
    /// Starts an engine, and waits until it is in voice.
    pub async fn in_voice(test: &str, relay: &str) -> Self {
        Self::in_voice_with(test, relay, VoiceSettings::default()).await
    }

    /// Starts an engine that hides its address, and waits until it is in voice.
    pub async fn hidden_in_voice(test: &str, relay: &str) -> Self {
        let settings = VoiceSettings {
            hide_address: true,
            ..VoiceSettings::default()
        };
        Self::in_voice_with(test, relay, settings).await
    }

    async fn in_voice_with(test: &str, relay: &str, settings: VoiceSettings) -> Self {
        let folder = folder(test);
        let say = |name, hz, seconds| {
            let mut file = WavSink::create(folder.join(name)).unwrap();
            for frame in sine(hz, seconds).as_chunks::<FRAME>().0 {
                file.write(frame);
            }
        };
        say("engine.wav", HEARD_BY_BROWSER, 120);
        say("browser.wav", HEARD_BY_ENGINE, 1);
        loop {
            let mut someone = Self::start(folder.clone(), relay, settings.clone()).await;
            // The browser is to have either role beside this one.
            if !Role::is_open_beside(&someone.peer_id.to_string()) {
                someone.handle.shutdown().await;
                continue;
            }
            someone.send(Command::VoiceJoin).await;
            someone
                .until("voice", |event| match event {
                    Event::Voice(status) if status.phase == VoicePhase::InVoice => Some(()),
                    _ => None,
                })
                .await;
            return someone;
        }
    }

    async fn start(folder: PathBuf, relay: &str, settings: VoiceSettings) -> Self {
        let mut config = EngineConfig::new(RelayUrl::parse(relay).unwrap());
        config.radius = Radius::new(500).unwrap();
        config.files = SoundFiles {
            microphone: Some(folder.join("engine.wav")),
            speaker: Some(folder.join("speaker.wav")),
        };
        config.addresses = vec!["127.0.0.1:0".parse().unwrap()];
        // A tone is to pass as it is.
        config.voice = VoiceSettings {
            mode: TalkMode::Open,
            echo_cancellation: false,
            noise_suppression: NoiseSuppression::Off,
            gain_control: false,
            ..settings
        };
        let (fixes, stream) = location::channel();
        let (lat, lon) = place();
        fixes.send(Fix::by_hand(Place::new(lat, lon).unwrap()));
        let (handle, events) = Engine::start(config, stream);
        let mut someone = Self {
            peer_id: PeerId::parse(&"0".repeat(26)).unwrap(),
            handle,
            events,
            unread: VecDeque::new(),
            folder,
            _fixes: fixes,
        };
        someone.peer_id = someone
            .until("an id", |event| match event {
                Event::Me(me) => Some(me.peer_id),
                _ => None,
            })
            .await;
        someone
    }

    /// A file of this test's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub async fn send(&self, command: Command) {
        self.handle.send(command).await.unwrap();
    }

    /// Waits for the first event for which `pick` has an answer; those before it are forgotten.
    pub async fn until<T>(&mut self, what: &str, pick: impl Fn(&Event) -> Option<T>) -> T {
        while let Some(event) = self.unread.pop_front() {
            if let Some(answer) = pick(&event) {
                return answer;
            }
        }
        let answer = timeout(GUARD, async {
            loop {
                let event = self.events.recv().await.expect("the engine has ended");
                if let Some(answer) = pick(&event) {
                    return answer;
                }
            }
        });
        answer
            .await
            .unwrap_or_else(|_| panic!("{what} takes more than {GUARD:?}"))
    }

    pub async fn until_left(&mut self, id: PeerId) {
        self.until("the browser's leaving", |event| match event {
            Event::VoicePersonLeft { peer_id } if *peer_id == id => Some(()),
            _ => None,
        })
        .await;
    }

    /// Waits until the browser's tone is in what was last played, or is not. Other events wait.
    pub async fn until_hears(&mut self, wanted: bool) {
        let hears = async {
            loop {
                let event = self.events.recv().await.expect("the engine has ended");
                // There are ten of these a second.
                let looks = matches!(event, Event::VoiceLevels { .. });
                if !looks {
                    self.unread.push_back(event);
                } else if is_tone(&last_of(&self.folder.join("speaker.wav")), HEARD_BY_ENGINE)
                    == wanted
                {
                    return;
                }
            }
        };
        let heard = timeout(GUARD, hears).await;
        if heard.is_err() {
            let last = last_of(&self.folder.join("speaker.wav"));
            let amplitude = amplitude_at(HEARD_BY_ENGINE, &last);
            panic!("the engine hears the browser: not {wanted}, but at {amplitude}");
        }
    }
}

/// A tone without beginning or end.
fn sine(hz: f32, seconds: u32) -> Vec<f32> {
    let one = (0..RATE).map(|n| {
        let phase = (hz * n as f32 / RATE as f32).fract();
        AMPLITUDE * (TAU * phase).sin()
    });
    let one: Vec<f32> = one.collect();
    one.repeat(seconds as usize)
}

/// The last half second of a file that is being written: of 16 bits.
fn last_of(file: &PathBuf) -> Vec<f32> {
    let bytes = fs::read(file).unwrap_or_default();
    let samples = bytes.get(44..).unwrap_or_default().as_chunks::<2>().0;
    let half_a_second = samples.len().saturating_sub(RATE as usize / 2);
    samples[half_a_second..]
        .iter()
        .map(|&bytes| f32::from(i16::from_le_bytes(bytes)) / 32_768.0)
        .collect()
}
