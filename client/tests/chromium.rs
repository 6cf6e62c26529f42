//! The engine in a call with a real browser, through a real relay: who offers, with and without
//! redundancy, sound both ways.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test helper that fails should say where"
)]

#[path = "chromium/detour.rs"]
mod detour;
#[path = "chromium/engine.rs"]
mod engine;

use std::{path::PathBuf, time::Duration};

use detour::Detour;
use engine::{HEARD_BY_BROWSER, Someone, is_tone, place};
use neartalk_client::{
    Command, Event,
    voice::{VoiceLink, VoicePersonStatus},
};
use neartalk_rig::{
    chromium::{Chromium, Offers, Options, Page, PeerReport, Redundancy, Role, Site, Sound, Visit},
    relay::Relay,
};
use neartalk_shared::{PeerId, frame::Person};

/// Nothing here takes so long unless something is broken.
const GUARD: Duration = Duration::from_secs(30);

/// A relay, an engine in voice, and a browser beside it.
struct Scene {
    site: Site,
    relay: Relay,
    someone: Someone,
    chromium: Chromium,
    /// Of the engine's person.
    engine: String,
}

impl Scene {
    async fn new(test: &str) -> Self {
        Self::with(test, |someone| Sound::File(someone.file("browser.wav"))).await
    }

    async fn with(test: &str, sound: fn(&Someone) -> Sound) -> Self {
        let site = Site::serve().await.unwrap();
        let relay = Relay::start(&["--allowed-origin", &site.origin()]).unwrap();
        let someone = Someone::in_voice(test, relay.url()).await;
        Self::of(site, relay, someone, sound)
    }

    /// With a TURN server inside the relay, over which alone the engine goes.
    async fn hidden(test: &str) -> Self {
        let site = Site::serve().await.unwrap();
        let origin = site.origin();
        let flags = ["--allowed-origin", &origin, "--turn-listen", "127.0.0.1:0"];
        let relay = Relay::start(&flags).unwrap();
        let someone = Someone::hidden_in_voice(test, relay.url()).await;
        Self::of(site, relay, someone, |someone| {
            Sound::File(someone.file("browser.wav"))
        })
    }

    fn of(site: Site, relay: Relay, someone: Someone, sound: fn(&Someone) -> Sound) -> Self {
        let chromium = Chromium::start(&Options {
            sound: sound(&someone),
            loopback: true,
            ..Options::default()
        })
        .unwrap();
        Self {
            engine: someone.peer_id.to_string(),
            site,
            relay,
            someone,
            chromium,
        }
    }

    fn visit(&self, role: fn(String) -> Role) -> Visit {
        let (lat, lon) = place();
        Visit {
            role: role(self.engine.clone()),
            processing: false,
            count: true,
            ..Visit::new(self.relay.url(), lat, lon)
        }
    }

    async fn open(&self, visit: &Visit) -> (Page, PeerId) {
        let page = self.chromium.open(&self.site.url(visit)).await.unwrap();
        let id = PeerId::parse(&page.id().await.unwrap()).unwrap();
        (page, id)
    }

    /// Waits until what the page says of the engine is so.
    async fn report(&self, page: &Page, what: &str) -> PeerReport {
        let id = &self.engine;
        let js = format!("neartalk.peer('{id}').then((peer) => peer && {what} ? peer : null)");
        page.wait_for(&js, GUARD).await.unwrap()
    }

    /// Waits until the page hears the engine's tone, or not.
    async fn browser_hears(&self, page: &Page, wanted: bool) {
        let mut now = tokio::time::interval(Duration::from_millis(100));
        let mut last = Vec::new();
        let hears = async {
            loop {
                now.tick().await;
                last = page.sound(&self.engine).await.unwrap();
                if !last.is_empty() && is_tone(&last, HEARD_BY_BROWSER) == wanted {
                    return;
                }
            }
        };
        if tokio::time::timeout(GUARD, hears).await.is_err() {
            let report = page.peer(&self.engine).await;
            panic!("the browser hears the engine: not {wanted}; {report:?}");
        }
    }

    async fn both_hear(&mut self, page: &Page) {
        self.browser_hears(page, true).await;
        self.someone.until_hears(true).await;
    }
}

fn connected(of: PeerId) -> impl Fn(&Event) -> Option<VoicePersonStatus> {
    move |event| match event {
        Event::VoicePerson(person)
            if person.peer_id == of && person.link == VoiceLink::Connected =>
        {
            Some(person.clone())
        }
        _ => None,
    }
}

fn person(of: PeerId, is: fn(&Person) -> bool) -> impl Fn(&Event) -> Option<()> {
    move |event| match event {
        Event::PersonEntered { person } | Event::PersonChanged { person, .. }
            if person.peer_id == of && is(person) =>
        {
            Some(())
        }
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_offers_with_redundancy_leaves_and_comes_back() {
    let mut scene = Scene::new("chromium-offers").await;
    let visit = Visit {
        redundancy: Redundancy::Prefers,
        ..scene.visit(Role::ImpoliteTo)
    };
    let (page, id) = scene.open(&visit).await;
    let report = scene
        .report(
            &page,
            "peer.payloads.sent.red > 20 && peer.packets_received > 20",
        )
        .await;
    assert_eq!(
        (
            report.offers_sent,
            report.answers_taken,
            report.offers_taken
        ),
        (1, 1, 0),
        "{report:?}"
    );
    assert_eq!(report.payloads.unwrap().sent.get("opus"), None);
    scene.someone.until("a connection", connected(id)).await;
    scene.both_hear(&page).await;

    // Muted on one side, then on the other.
    scene.someone.send(Command::VoiceMute { muted: true }).await;
    scene.browser_hears(&page, false).await;
    let engine = &scene.engine;
    let muted = format!("neartalk.people.get('{engine}')?.muted");
    page.wait_for::<bool>(&muted, GUARD).await.unwrap();
    scene
        .someone
        .send(Command::VoiceMute { muted: false })
        .await;
    scene.browser_hears(&page, true).await;
    page.eval::<()>("neartalk.mute(true)").await.unwrap();
    scene.someone.until_hears(false).await;
    let is_muted = person(id, |person| person.muted);
    scene.someone.until("the browser is muted", is_muted).await;
    page.eval::<()>("neartalk.mute(false)").await.unwrap();
    scene.someone.until_hears(true).await;

    // Another path over the same connection.
    page.eval::<()>(&format!("neartalk.restartIce('{engine}')"))
        .await
        .unwrap();
    scene
        .report(
            &page,
            "peer.answers_taken === 2 && peer.state === 'connected'",
        )
        .await;
    scene.both_hear(&page).await;

    page.eval::<()>("neartalk.leave()").await.unwrap();
    scene.someone.until_left(id).await;
    scene.someone.until_hears(false).await;
    page.eval::<()>("neartalk.join()").await.unwrap();
    scene.someone.until("a connection", connected(id)).await;
    scene.both_hear(&page).await;

    // Nobody says good-bye; the same person has another certificate.
    page.reload().await.unwrap();
    assert_eq!(page.id().await.unwrap(), id.to_string());
    scene.someone.until("a connection", connected(id)).await;
    scene.both_hear(&page).await;
    let errors: Vec<String> = page.eval("neartalk.errors").await.unwrap();
    assert!(errors.is_empty(), "{errors:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_offers() {
    let mut scene = Scene::new("engine-offers").await;
    let visit = Visit {
        offers: Offers::Never,
        redundancy: Redundancy::Lacks,
        ..scene.visit(Role::PoliteTo)
    };
    let (page, id) = scene.open(&visit).await;
    scene.someone.until("a connection", connected(id)).await;
    scene.both_hear(&page).await;
    let report = scene.report(&page, "peer.state === 'connected'").await;
    assert_eq!(
        (report.offers_taken, report.answers_sent, report.offers_sent),
        (1, 1, 0),
        "{report:?}"
    );
    assert_eq!(report.sends.as_deref(), Some("audio/opus"));
    assert_eq!(report.receives.as_deref(), Some("audio/opus"));
    let payloads = report.payloads.unwrap();
    assert_eq!(payloads.sent.keys().collect::<Vec<_>>(), ["opus"]);
    assert_eq!(payloads.received.keys().collect::<Vec<_>>(), ["opus"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_that_cross_make_one_connection() {
    let mut scene = Scene::new("crossing").await;
    let visit = scene.visit(Role::PoliteTo);
    let (page, id) = scene.open(&visit).await;
    scene.someone.until("a connection", connected(id)).await;
    scene.both_hear(&page).await;
    let report = scene.report(&page, "peer.state === 'connected'").await;
    assert_eq!(
        (
            report.offers_taken,
            report.answers_sent,
            report.answers_taken
        ),
        (1, 1, 0),
        "{report:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_without_a_microphone_hides_its_address_and_hears() {
    let mut scene = Scene::with("mdns", |_| Sound::Forbidden).await;
    let visit = Visit {
        microphone: false,
        ..scene.visit(Role::ImpoliteTo)
    };
    let (page, id) = scene.open(&visit).await;
    scene.someone.until("a connection", connected(id)).await;
    scene.browser_hears(&page, true).await;
    let engine = &scene.engine;
    let sdp: String = page
        .eval(&format!("neartalk.descriptions('{engine}').local"))
        .await
        .unwrap();
    let mut hosts = sdp
        .lines()
        .filter(|line| line.contains("typ host"))
        .peekable();
    assert!(hosts.peek().is_some(), "{sdp}");
    assert!(hosts.all(|line| line.contains(".local ")), "{sdp}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_hide_their_addresses_behind_the_relays_turn_server() {
    let mut scene = Scene::hidden("hidden").await;
    let visit = Visit {
        relay_only: true,
        ..scene.visit(Role::ImpoliteTo)
    };
    let (page, id) = scene.open(&visit).await;
    scene.someone.until("a connection", connected(id)).await;
    scene.both_hear(&page).await;
    let report = scene.report(&page, "peer.local_candidate").await;
    assert_eq!(report.local_candidate.as_deref(), Some("relay"));
    scene
        .someone
        .until("a way over the relay", |event| match event {
            Event::VoiceQuality { people } => people
                .iter()
                .any(|of| of.peer_id == id && of.relayed == Some(true))
                .then_some(()),
            _ => None,
        })
        .await;
    let engine = &scene.engine;
    for side in ["local", "remote"] {
        let sdp: String = page
            .eval(&format!("neartalk.descriptions('{engine}').{side}"))
            .await
            .unwrap();
        assert!(sdp.contains(" typ relay"), "{side}: {sdp}");
        for word in [" typ host", " typ srflx", ".local"] {
            assert!(!sdp.contains(word), "{side}: {word}: {sdp}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redundancy_makes_up_for_losses_both_ways() {
    let mut scene = Scene::new("loss").await;
    let detour = Detour::open(0.2).await;
    let visit = Visit {
        via: Some(detour.address()),
        redundancy: Redundancy::Prefers,
        ..scene.visit(Role::ImpoliteTo)
    };
    let (page, id) = scene.open(&visit).await;
    let report = scene.report(&page, "peer.hidden.length > 0").await;
    detour.lead_to(report.hidden[0].parse().unwrap());
    scene.someone.until("a connection", connected(id)).await;

    // The engine sends copies once it knows that they are needed, Chromium from the beginning. Without any,
    // as much is made up as is lost; on a busy machine some more is, now and then.
    let mut before = scene.report(&page, "peer.payloads.received.red > 50").await;
    let mut windows = Vec::new();
    let after = loop {
        let played = before.total_samples + 2 * 48_000;
        let after = scene
            .report(&page, &format!("peer.total_samples > {played}"))
            .await;
        let (lost, made_up) = lost_and_made_up(&before, &after);
        windows.push((lost, made_up));
        if lost > 0.1 && made_up < lost / 2.0 {
            break after;
        }
        assert!(
            windows.len() < 10,
            "Chromium makes up too much: {windows:?}"
        );
        before = after;
    };
    scene
        .someone
        .until("little made up of much lost", |event| match event {
            Event::VoiceQuality { people } => people
                .iter()
                .any(|of| of.peer_id == id && of.loss > 0.1 && of.concealed < of.loss / 2.0)
                .then_some(()),
            _ => None,
        })
        .await;
    assert!(!after.payloads.unwrap().sent.contains_key("opus"));
    scene.both_hear(&page).await;
}

/// Which shares of packets and of sound, 0 to 1, between two reports.
fn lost_and_made_up(before: &PeerReport, after: &PeerReport) -> (f64, f64) {
    let lost = (after.packets_lost - before.packets_lost) as f64;
    let received = (after.packets_received - before.packets_received) as f64;
    let made_up = (after.concealed_samples - before.concealed_samples) as f64;
    let played = (after.total_samples - before.total_samples) as f64;
    (lost / (lost + received), made_up / played)
}

/// Where this test's files are.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
