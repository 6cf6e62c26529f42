//! A real browser, and a page in it that is a person: it speaks `docs/protocol.md` with a relay, and
//! WebRTC with whoever is near.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use neartalk_rig::chromium::{Chromium, Options, Site, Visit};
//!
//! let site = Site::serve().await?;
//! // … a relay with `--allowed-origin` and `site.origin()` …
//! let chromium = Chromium::start(&Options::default())?;
//! let page = chromium.open(&site.url(&Visit::new("http://127.0.0.1:8080", 52.5, 13.4))).await?;
//! let id = page.id().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Sound
//! With [`Sound::Beeps`] and [`Sound::File`] there need be no sound devices: the microphone is made up, and
//! what is heard goes nowhere but to [`Page::sound`].
//!
//! With [`Sound::Pulse`] the browser uses a PulseAudio's devices. To measure two browsers in a call, start
//! a [`Chromium`] each, as one has one microphone and one loudspeaker, with [`Sound::of`] the same
//! [`Pulse`]: what is played into A's microphone comes out of B's loudspeaker, and recording both at once
//! gives the delay from mouth to ear (this module's integration test does just that). [`Visit::processing`]
//! turns echo cancellation, noise suppression and gain control on, or all off. Do not call [`Page::sound`]
//! nor set [`Visit::count`] meanwhile: they cost some of the machine.
//!
//! # Networks
//! With [`Options::run_in`] the browser lives in a network namespace, where there may be loss
//! ([`lossy`](crate::lossy)); the page
//! must then be served on an address that it reaches from there ([`Site::serve_on`]) and be trusted
//! ([`Options::trusted_origin`]). On loopback, [`Options::loopback`] lets it connect over 127.0.0.1, and
//! [`Visit::via`] over a detour that may lose packets.

mod devtools;
mod site;

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::pulse::Pulse;
use devtools::{DevTools, Events, GUARD, outcome};
pub use site::{Offers, Redundancy, Role, Site, Visit};

/// Debian's.
const PROGRAM: &str = "chromium";

/// Hands standard input and output to the browser as its pipe, and no other way, to be told by it as well.
/// When this process ends, however it does, the pipe closes and the browser ends too.
const SHELL: &str = r#"exec "$@" 3<&0 4>&1 0</dev/null 1>&2"#;

const FLAGS: [&str; 19] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    // It asks for nothing from anybody but what it is told.
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--disable-extensions",
    "--disable-breakpad",
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    // A page that nobody looks at is as quick as any.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
    // It does not wait for a click before it plays.
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-pipe",
];

/// Lets a page have the microphone without asking anybody.
const ALLOW: &str = "--use-fake-ui-for-media-stream";

/// Where a browser's sound comes from and goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sound {
    /// A made-up microphone that beeps once a second.
    #[default]
    Beeps,
    /// A made-up microphone that hears this WAV file (16 bits) over and over.
    File(PathBuf),
    /// No microphone for anybody: then pages are not to know this machine's addresses either, and
    /// candidates have mDNS names in their place. Goes with [`Visit::microphone`] off.
    Forbidden,
    /// A PulseAudio's devices.
    Pulse {
        /// As in `PULSE_SERVER`, such as `unix:/…/native`.
        server: String,
        /// Name of the microphone.
        source: String,
        /// Name of the loudspeaker.
        sink: String,
    },
}

impl Sound {
    /// The devices of one of a sound server's people.
    pub fn of(pulse: &Pulse, person: usize) -> Self {
        Self::Pulse {
            server: pulse.server(),
            source: pulse.microphone(person),
            sink: pulse.loudspeaker(person),
        }
    }
}

/// How a browser is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its sound.
    pub sound: Sound,
    /// Whether it connects over 127.0.0.1 too, which browsers do not by themselves.
    pub loopback: bool,
    /// Command to put before the browser's, such as `ip netns exec NAME`.
    pub run_in: Vec<String>,
    /// An origin that may have the microphone though it is neither loopback nor HTTPS.
    pub trusted_origin: Option<String>,
}

/// A running Chromium, with a profile of its own; killed with all its processes when dropped.
#[derive(Debug)]
pub struct Chromium {
    child: Child,
    folder: Folder,
    devtools: DevTools,
}

impl Chromium {
    /// Starts one. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// When there is no Chromium (Debian's package is `chromium`).
    pub fn start(options: &Options) -> Result<Self> {
        let folder = Folder::create()?;
        let log = fs::File::create(folder.log())?;
        let mut command = Command::new("sh");
        command.args(["-c", SHELL, "sh"]);
        command.args(&options.run_in).arg(PROGRAM).args(FLAGS);
        command.arg(format!("--user-data-dir={}", folder.0.display()));
        if options.loopback {
            command.arg("--allow-loopback-in-peer-connection");
        }
        if let Some(origin) = &options.trusted_origin {
            command.arg(format!(
                "--unsafely-treat-insecure-origin-as-secure={origin}"
            ));
        }
        match &options.sound {
            Sound::Forbidden => {}
            Sound::Beeps => {
                command.args([ALLOW, "--use-fake-device-for-media-stream"]);
            }
            Sound::File(file) => {
                command.args([ALLOW, "--use-fake-device-for-media-stream"]);
                let file = file.canonicalize().context("the microphone's file")?;
                let file = file.display();
                command.arg(format!("--use-file-for-fake-audio-capture={file}"));
            }
            Sound::Pulse {
                server,
                source,
                sink,
            } => {
                command.arg(ALLOW);
                command.env("PULSE_SERVER", server);
                command.env("PULSE_SOURCE", source);
                command.env("PULSE_SINK", sink);
            }
        }
        // Whatever else it writes goes away with the profile.
        for name in [
            "HOME",
            "TMPDIR",
            "XDG_CACHE_HOME",
            "XDG_CONFIG_HOME",
            "XDG_RUNTIME_DIR",
        ] {
            command.env(name, &folder.0);
        }
        if !matches!(options.sound, Sound::Pulse { .. }) {
            // What is played goes nowhere, whatever this machine has.
            command.env("PULSE_SERVER", "unix:/nonexistent");
            command.env("ALSA_CONFIG_PATH", "/dev/null");
        }
        let mut child = command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("starting Chromium")?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (to, from) = pipes.context("a child has the pipes that it was given")?;
        let devtools = DevTools::start(to, from);
        Ok(Self {
            child,
            folder,
            devtools: devtools?,
        })
    }

    /// Opens a page, and waits until it is loaded.
    pub async fn open(&self, url: &str) -> Result<Page> {
        self.try_open(url)
            .await
            .with_context(|| format!("opening {url}; Chromium says:\n{}", self.log()))
    }

    async fn try_open(&self, url: &str) -> Result<Page> {
        let browser = async |method, params| self.devtools.call(None, method, params, GUARD).await;
        let text = |value: &Value, name| {
            let text = value.get(name).and_then(Value::as_str);
            text.map(str::to_owned)
                .with_context(|| format!("there is no {name} in {value}"))
        };
        let blank = json!({ "url": "about:blank" });
        let target = text(&browser("Target.createTarget", blank).await?, "targetId")?;
        let attach = json!({ "targetId": target, "flatten": true });
        let attached = browser("Target.attachToTarget", attach).await?;
        let page = Page {
            session: text(&attached, "sessionId")?,
            target,
            devtools: self.devtools.clone(),
        };
        page.call("Page.enable", json!({})).await?;
        let enabled = json!({ "enabled": true });
        page.call("Page.setLifecycleEventsEnabled", enabled).await?;
        let mut loads = page.loads().await?;
        let went = page.call("Page.navigate", json!({ "url": url })).await?;
        ensure!(went.get("errorText").is_none(), "{went}");
        // The blank page may only be loaded now, too.
        let loader = text(&went, "loaderId")?;
        loads
            .until(|event| event["name"] == "load" && event["loaderId"] == *loader)
            .await?;
        Ok(page)
    }

    /// The last of what it printed.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Its profile, and whatever else it writes.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Process id of the browser; its other processes are in its group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // An error says that all have ended.
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A page in a [`Chromium`]. Dropping it leaves it open.
#[derive(Debug)]
pub struct Page {
    devtools: DevTools,
    target: String,
    session: String,
}

impl Page {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value> {
        let session = Some(self.session.as_str());
        self.devtools.call(session, method, params, GUARD).await
    }

    async fn loads(&self) -> Result<Events> {
        let event = "Page.lifecycleEvent";
        self.devtools.events(&self.session, event).await
    }

    /// Loads it anew, and waits until it is loaded. The person stays the same; connections are lost.
    pub async fn reload(&self) -> Result<()> {
        let tree = self.call("Page.getFrameTree", json!({})).await?;
        let before = &tree["frameTree"]["frame"]["loaderId"];
        let mut loads = self.loads().await?;
        self.call("Page.reload", json!({})).await?;
        loads
            .until(|event| event["name"] == "load" && event["loaderId"] != *before)
            .await
    }

    /// Closes it without a chance to say good-bye.
    pub async fn close(self) -> Result<()> {
        let target = json!({ "targetId": self.target });
        self.devtools
            .call(None, "Target.closeTarget", target, GUARD)
            .await
            .map(drop)
    }

    /// What a JavaScript expression comes to; a promise is waited for.
    ///
    /// # Errors
    /// When it throws, or comes to something else than a `T`.
    pub async fn eval<T: DeserializeOwned>(&self, js: &str) -> Result<T> {
        self.eval_within(js, GUARD).await
    }

    async fn eval_within<T: DeserializeOwned>(&self, js: &str, guard: Duration) -> Result<T> {
        let params = json!({ "expression": js, "awaitPromise": true, "returnByValue": true });
        let session = Some(self.session.as_str());
        let done = self
            .devtools
            .call(session, "Runtime.evaluate", params, guard)
            .await?;
        let value = outcome(&done).with_context(|| js.to_owned())?;
        T::deserialize(value).with_context(|| format!("{js} came to {value}"))
    }

    /// Asks a JavaScript expression over and over until it comes to something that counts as true, which is
    /// given.
    ///
    /// # Errors
    /// When that takes longer than `guard`, with what the page knows of its errors.
    pub async fn wait_for<T: DeserializeOwned>(&self, js: &str, guard: Duration) -> Result<T> {
        let milliseconds = guard.as_millis();
        let waiting = format!(
            r"(async () => {{
                const end = performance.now() + {milliseconds};
                for (;;) {{
                    const value = await ({js});
                    if (value) return value;
                    if (performance.now() > end) {{
                        const errors = window.neartalk?.errors.join('; ');
                        throw new Error(`still ${{value}}; ${{errors}}`);
                    }}
                    await new Promise((resolve) => setTimeout(resolve, 20));
                }}
            }})()"
        );
        // Somewhat more, so that the page gives up first and says why.
        self.eval_within(&waiting, guard + GUARD)
            .await
            .map_err(|error| anyhow!("waiting for {js}: {:#}", error.root_cause()))
    }

    /// Public id of the person that the page is, once there is one.
    pub async fn id(&self) -> Result<String> {
        self.wait_for("neartalk.peerId", GUARD).await
    }

    /// How the connection with somebody stands, if there is one.
    pub async fn peer(&self, id: &str) -> Result<Option<PeerReport>> {
        self.eval(&format!("neartalk.peer('{id}')")).await
    }

    /// Waits until the connection with somebody stands and sound comes over it, and says how.
    pub async fn connected(&self, id: &str, guard: Duration) -> Result<PeerReport> {
        let js = format!(
            "neartalk.peer('{id}').then((peer) => \
             peer?.state === 'connected' && peer.packets_received > 0 ? peer : null)"
        );
        self.wait_for(&js, guard).await
    }

    /// The last 683 ms of what is heard of somebody, 48 kHz; at first silence. Empty while there is nobody.
    pub async fn sound(&self, id: &str) -> Result<Vec<f32>> {
        let text: Option<String> = self.eval(&format!("neartalk.sound('{id}')")).await?;
        let bytes = BASE64_STANDARD.decode(text.unwrap_or_default())?;
        let (samples, _) = bytes.as_chunks();
        Ok(samples
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect())
    }
}

/// What a page says of its connection with somebody.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct PeerReport {
    /// As in `RTCPeerConnection.connectionState`.
    pub state: String,
    /// Whether the page gives way when offers cross.
    pub polite: Option<bool>,
    /// Offers made.
    pub offers_sent: u32,
    /// Offers taken.
    pub offers_taken: u32,
    /// Offers that crossed one of the page's, which stood.
    pub offers_ignored: u32,
    /// Offers of the page's that crossed one, which stood.
    pub offers_withdrawn: u32,
    /// Answers made.
    pub answers_sent: u32,
    /// Answers taken.
    pub answers_taken: u32,
    /// Candidates trickled.
    pub candidates_sent: u32,
    /// Candidates taken.
    pub candidates_taken: u32,
    /// Addresses of the other side for which the detour stands ([`Visit::via`]).
    pub hidden: Vec<String>,
    /// What came and went, if that was to be counted ([`Visit::count`]).
    pub payloads: Option<Payloads>,
    /// Codec of what is sent, such as `audio/opus`.
    pub sends: Option<String>,
    /// Codec of what is received.
    pub receives: Option<String>,
    /// Packets sent.
    pub packets_sent: u64,
    /// Bytes of payload sent.
    pub bytes_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Bytes of payload received.
    pub bytes_received: u64,
    /// Packets that never came; less than none where some came twice.
    pub packets_lost: i64,
    /// Copies that were received.
    pub fec_packets_received: u64,
    /// Samples played, 48 kHz.
    pub total_samples: u64,
    /// Those of them that were made up for want of others.
    pub concealed_samples: u64,
    /// What the jitter buffer added on average, in milliseconds.
    pub buffer_delay_ms: f64,
    /// What it aimed at on average, in milliseconds.
    pub buffer_target_ms: f64,
    /// Of what is heard now, 0 to 1.
    pub audio_level: f64,
    /// Sum over what was heard of level² × seconds.
    pub audio_energy: f64,
    /// How long was heard.
    pub audio_seconds: f64,
    /// In milliseconds, once it is known.
    pub round_trip_ms: Option<f64>,
    /// Type of the own candidate in use, such as `host`.
    pub local_candidate: Option<String>,
    /// Type of the other side's candidate in use.
    pub remote_candidate: Option<String>,
}

/// How many payloads came and went, by what is in them, such as `opus` or `red`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Payloads {
    /// By the page.
    pub sent: BTreeMap<String, u64>,
    /// From the other side.
    pub received: BTreeMap<String, u64>,
}

/// A profile; removed when dropped.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn create() -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("neartalk-chromium-{}-{number}", std::process::id());
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).context("a folder for Chromium")?;
        Ok(Self(path))
    }

    fn log(&self) -> PathBuf {
        self.0.join("printed.log")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Its processes have been killed, but the last of them may not be dead yet and still write.
fn remove(folder: &Path) {
    for _ in 0..50 {
        if fs::remove_dir_all(folder).is_ok() || !folder.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
