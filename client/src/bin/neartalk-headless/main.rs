//! NearTalk in a terminal: type to talk to the people around you. With `--json`, for scripts.

mod input;
mod roster;
mod terminal;
mod view;
mod voice;

use std::{process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Parser;
use neartalk_client::{
    Command, Engine, EngineConfig, EngineHandle, Event, EventReceiver, Fix, RelayUrl,
    location::{self, FixSender},
};
use neartalk_shared::{Place, Radius, Username};
use tokio::time::{Instant, sleep_until};

use crate::{
    input::Input,
    roster::Roster,
    terminal::{Said, Terminal},
    view::View,
};

/// How long messages that wait may take to be sent when the input ends.
const LINGER: Duration = Duration::from_secs(10);

/// Talk to the people around you, in a terminal.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Type to talk; /help lists what else can be done. Your place never leaves this \
                  program more exactly than a square of 50 to 200 m."
)]
struct Options {
    /// The relay to talk through
    #[arg(
        long,
        value_name = "URL",
        env = "NEARTALK_RELAY",
        default_value = "http://127.0.0.1:8080"
    )]
    relay: RelayUrl,
    /// Where you are, in degrees north and east, such as 52.5163,13.3777
    #[arg(long, value_name = "LAT,LON", env = "NEARTALK_AT", value_parser = input::place, allow_hyphen_values = true)]
    at: Option<Place>,
    /// Radius of your circle: who stands in it, and you in theirs, can read you
    #[arg(
        long,
        value_name = "METRES",
        env = "NEARTALK_RADIUS",
        default_value = "500"
    )]
    radius: Radius,
    /// What to be called; without it, the relay picks a friendly name
    #[arg(long, value_name = "NAME", env = "NEARTALK_NAME")]
    name: Option<Username>,
    /// Print every event as one line of JSON, for scripts; input is the same as without
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    voice: voice::VoiceOptions,
    /// What to log to standard error, such as "debug"
    #[arg(
        long,
        value_name = "FILTER",
        env = "NEARTALK_CLIENT_LOG",
        default_value = "off"
    )]
    log: String,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_new(&options.log)
                .with_context(|| format!("--log {}: this is no filter", options.log))?,
        )
        .with_writer(std::io::stderr)
        .init();
    // The engine must go on while this program waits for whoever reads its output.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("can't start")?;
    let code = runtime.block_on(Program::start(options)?.run());
    // A thread may still be waiting for input that never comes.
    runtime.shutdown_background();
    Ok(code)
}

/// Everything that runs until the person leaves.
struct Program {
    config: EngineConfig,
    at: Option<Place>,
    terminal: Terminal,
    view: View,
    roster: Roster,
    voice: voice::Voice,
}

/// Why the program goes on or ends.
enum Next {
    Continue,
    /// What waits may still be sent.
    Leave,
    /// At once.
    Stop,
}

impl Program {
    fn start(options: Options) -> anyhow::Result<Self> {
        let mut config = EngineConfig::new(options.relay);
        config.username = options.name;
        config.radius = options.radius;
        let join_voice = options.voice.apply(&mut config);
        let voice = voice::Voice::new(join_voice, config.voice.clone());
        let terminal = Terminal::start(options.json).context("can't read from the terminal")?;
        let view = View::new(config.relay.host(), options.at.is_some());
        let roster = Roster::new(options.radius);
        Ok(Self {
            config,
            at: options.at,
            terminal,
            view,
            roster,
            voice,
        })
    }

    async fn run(mut self) -> ExitCode {
        let (place, fixes) = location::channel();
        if let Some(at) = self.at {
            place.send(Fix::by_hand(at));
        }
        let (handle, mut events) = Engine::start(self.config.clone(), fixes);
        if self.voice.joins_at_once() {
            // An engine that has ended says so itself.
            let _ = handle.send(Command::VoiceJoin).await;
        }
        let mut stop = std::pin::pin!(stop_signal());
        let mut leave_at: Option<Instant> = None;
        let ended = loop {
            if leave_at.is_some() && self.roster.waiting() == 0 {
                break false;
            }
            let patience = sleep_until(leave_at.unwrap_or_else(Instant::now));
            let next = tokio::select! {
                said = self.terminal.next(), if leave_at.is_none() => {
                    self.said(said, &handle, &place).await
                }
                event = events.recv() => match event {
                    Some(event) => self.event(&event),
                    None => break true,
                },
                () = &mut stop => Next::Stop,
                () = patience, if leave_at.is_some() => Next::Stop,
            };
            match next {
                Next::Continue => {}
                Next::Leave => leave_at = Some(Instant::now() + LINGER),
                Next::Stop => break false,
            }
        };
        if !ended {
            self.shut_down(handle, &mut events).await;
        }
        match self.roster.waiting() {
            0 => ExitCode::SUCCESS,
            n => {
                let text = format!("{} not sent.", view::messages(n, "was", "were"));
                let _ = self.terminal.note(&text);
                ExitCode::FAILURE
            }
        }
    }

    async fn shut_down(&mut self, handle: EngineHandle, events: &mut EventReceiver) {
        let shutdown = tokio::spawn(handle.shutdown());
        while let Some(event) = events.recv().await {
            // A closed output is no reason to leave uncleanly.
            self.event(&event);
        }
        let _ = shutdown.await;
    }

    fn event(&mut self, event: &Event) -> Next {
        self.voice.apply(event);
        let written = if self.terminal.is_json() {
            self.roster.apply(event);
            self.terminal.json(event)
        } else {
            let mut lines = self.view.show(event, &mut self.roster);
            lines.extend(self.voice.show(event, &self.roster));
            self.terminal.lines(&lines)
        };
        match written {
            Ok(()) => Next::Continue,
            // Nobody reads any more.
            Err(_) => Next::Stop,
        }
    }

    async fn said(&mut self, said: Said, handle: &EngineHandle, place: &FixSender) -> Next {
        let line = match said {
            Said::Line(line) => line,
            Said::End => return Next::Leave,
            Said::Interrupt => return Next::Stop,
        };
        let next = match input::parse(&line) {
            Ok(Input::Quit) => return Next::Leave,
            Ok(input) => self.act(input, handle, place).await,
            Err(problem) => Err(problem),
        };
        let written = match next {
            Ok(text) if text.is_empty() => Ok(()),
            Ok(text) => self.terminal.note(&text),
            Err(problem) => self.terminal.problem(&problem),
        };
        self.terminal.prompt();
        match written {
            Ok(()) => Next::Continue,
            Err(_) => Next::Stop,
        }
    }

    /// Does what was typed; gives what to answer.
    async fn act(
        &mut self,
        input: Input,
        handle: &EngineHandle,
        place: &FixSender,
    ) -> Result<String, String> {
        let command = match input {
            Input::Nothing | Input::Quit => return Ok(String::new()),
            Input::Help => return Ok(input::HELP.to_owned()),
            Input::Who => return Ok(self.roster.who()),
            Input::Blocked => return Ok(self.roster.blocked_list()),
            Input::Say(text) => {
                let id = handle.say(text).await.map_err(|e| e.to_string())?;
                self.roster.said(id);
                return Ok(String::new());
            }
            Input::Move(to) => {
                place.send(Fix::by_hand(to));
                self.view.placed();
                return Ok(String::new());
            }
            Input::Name(username) => Command::Rename { username },
            Input::Radius(radius) => Command::SetRadius { radius },
            Input::Block(who) => Command::Block {
                peer_id: self.roster.find(&who)?,
            },
            Input::Unblock(who) => Command::Unblock {
                peer_id: self.roster.find_blocked(&who)?,
            },
            Input::Report(who, reason) => Command::Report {
                peer_id: self.roster.find(&who)?,
                reason,
                message_id: None,
            },
            Input::Retry => Command::RetryNow,
            Input::Voice => Command::VoiceJoin,
            Input::LeaveVoice => Command::VoiceLeave,
            Input::Mute(muted) => Command::VoiceMute { muted },
            Input::Deafen(deafened) => Command::VoiceDeafen { deafened },
            Input::Talk => self.voice.talk(),
            Input::Volume(who, volume_percent) => Command::VoicePerson {
                peer_id: self.roster.find(&who)?,
                volume_percent,
                muted: false,
            },
            Input::Devices => self.voice.ask_for_devices(),
            Input::ChooseDevice(direction, number) => self.voice.choose(direction, number)?,
        };
        if let Command::SetRadius { radius } = command {
            self.roster.set_radius(radius);
        }
        handle.send(command).await.map_err(|e| e.to_string())?;
        Ok(String::new())
    }
}

/// Waits until this program is asked to end from outside.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let wait = |kind| async move {
            match signal(kind) {
                Ok(mut signal) => {
                    signal.recv().await;
                }
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = wait(SignalKind::interrupt()) => {}
            () = wait(SignalKind::terminate()) => {}
            () = wait(SignalKind::hangup()) => {}
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
