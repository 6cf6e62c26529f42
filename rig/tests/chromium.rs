//! The page in Chromium against itself, through a real relay.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    reason = "a test helper that fails should say where"
)]

use std::time::Duration;

use neartalk_rig::{
    chromium::{Chromium, Offers, Options, Page, PeerReport, Redundancy, Role, Site, Sound, Visit},
    pulse::Pulse,
    relay::Relay,
    sound::{find, samples, speech},
};

/// Nothing here takes so long unless something is broken.
const GUARD: Duration = Duration::from_secs(30);

fn relay_for(site: &Site) -> Relay {
    Relay::start(&["--allowed-origin", &site.origin()]).unwrap()
}

/// Two people who are connected, with their ids.
async fn couple(
    site: &Site,
    (a, first): (&Chromium, Visit),
    (b, second): (&Chromium, Visit),
) -> [(Page, String); 2] {
    let first = Visit {
        role: Role::Open,
        ..first
    };
    let a = a.open(&site.url(&first)).await.unwrap();
    let a_id = a.id().await.unwrap();
    let second = Visit {
        role: Role::PoliteTo(a_id.clone()),
        ..second
    };
    let b = b.open(&site.url(&second)).await.unwrap();
    let b_id = b.id().await.unwrap();
    a.connected(&b_id, GUARD).await.unwrap();
    b.connected(&a_id, GUARD).await.unwrap();
    [(a, a_id), (b, b_id)]
}

/// Waits until somebody's report is as it should be.
async fn until(page: &Page, id: &str, what: &str) -> PeerReport {
    let js = format!("neartalk.peer('{id}').then((peer) => peer && {what} ? peer : null)");
    page.wait_for(&js, GUARD).await.unwrap()
}

#[tokio::test]
async fn two_pages_talk_and_survive_a_reload() {
    let site = Site::serve().await.unwrap();
    let relay = relay_for(&site);
    let options = Options {
        loopback: true,
        ..Options::default()
    };
    let chromium = Chromium::start(&options).unwrap();
    let first = Visit {
        count: true,
        ..Visit::new(relay.url(), 52.5, 13.4)
    };
    let second = Visit {
        offers: Offers::Never,
        redundancy: Redundancy::Prefers,
        name: Some("Quiet Otter".to_owned()),
        ..first.clone()
    };
    let [(a, a_id), (b, b_id)] = couple(&site, (&chromium, first), (&chromium, second)).await;

    // Whoever answers says what is to be sent to them.
    let of_a = until(&a, &b_id, "peer.payloads.sent.red > 10").await;
    let of_b = until(&b, &a_id, "peer.payloads.received.red > 10").await;
    assert_eq!((of_a.offers_sent, of_a.answers_taken), (1, 1), "{of_a:?}");
    assert_eq!((of_b.offers_sent, of_b.answers_sent), (0, 1), "{of_b:?}");
    assert_eq!((of_a.polite, of_b.polite), (Some(false), Some(true)));
    for (page, id) in [(&a, &b_id), (&b, &a_id)] {
        // It beeps once a second.
        let js = format!("neartalk.peer('{id}').then((peer) => peer.audio_level > 0.1)");
        page.wait_for::<bool>(&js, GUARD).await.unwrap();
    }

    // The relay tells the others nothing, so it is up to whoever comes back to offer.
    a.reload().await.unwrap();
    assert_eq!(a.id().await.unwrap(), a_id);
    until(
        &b,
        &a_id,
        "peer.offers_taken === 1 && peer.packets_received > 0",
    )
    .await;
    a.connected(&b_id, GUARD).await.unwrap();
    b.connected(&a_id, GUARD).await.unwrap();
    b.eval::<()>("neartalk.leave()").await.unwrap();
    let gone = format!("neartalk.peer('{b_id}').then((peer) => peer === null)");
    a.wait_for::<bool>(&gone, GUARD).await.unwrap();
    let mut errors: Vec<String> = a.eval("neartalk.errors").await.unwrap();
    // A candidate that crosses the good-bye is for nobody any more.
    errors.retain(|error| !error.starts_with("not_in_range"));
    assert!(errors.is_empty(), "{errors:?}");
}

#[tokio::test]
async fn what_is_said_into_a_microphone_comes_out_of_the_others_loudspeaker() {
    let site = Site::serve().await.unwrap();
    let relay = relay_for(&site);
    let pulse = Pulse::start(2).unwrap();
    let start = |person| {
        Chromium::start(&Options {
            sound: Sound::of(&pulse, person),
            loopback: true,
            ..Options::default()
        })
        .unwrap()
    };
    let (a, b) = (start(0), start(1));
    let visit = Visit {
        processing: false,
        ..Visit::new(relay.url(), 52.5, 13.4)
    };
    let [(_, a_id), (b, _)] = couple(&site, (&a, visit.clone()), (&b, visit)).await;
    let (words, _) = speech(0, samples(20.0));
    let _speaks = pulse.play_always(0, words).unwrap();
    let mut recorder = pulse.record().unwrap();
    let mut takes = 0;
    let (found, take) = loop {
        let take = recorder.next(2.0).unwrap();
        let found = find(take.microphone(0), take.loudspeaker(1), samples(0.6));
        takes += 1;
        if found.is_certain() || takes == 15 {
            break (found, take);
        }
    };
    assert!(found.is_certain(), "{found:?}");
    let own = find(take.microphone(0), take.loudspeaker(0), samples(0.6));
    assert!(!own.is_certain(), "A hears themselves: {own:?}");
    let report = b.peer(&a_id).await.unwrap().unwrap();
    println!(
        "from mouth to ear: {:.0} ms, of which the jitter buffer aims at {:.0} ms",
        found.delay_ms(),
        report.buffer_target_ms
    );
}

#[tokio::test]
async fn nothing_is_left_of_a_browser() {
    let chromium = Chromium::start(&Options::default()).unwrap();
    let page = chromium.open("about:blank").await.unwrap();
    assert_eq!(
        page.eval::<i32>("Promise.resolve(6 * 7)").await.unwrap(),
        42
    );
    let thrown = page.eval::<()>("nothing.here").await.unwrap_err();
    assert!(
        format!("{thrown:#}").contains("ReferenceError"),
        "{thrown:#}"
    );
    let pid = chromium.pid();
    let folder = chromium.folder().to_owned();
    drop(chromium);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!folder.exists());
    assert!(page.eval::<i32>("1").await.is_err());
}
