//! Readers that do not keep up, and how much memory anybody can make a relay use.

use std::time::Duration;

use futures_util::future::join_all;
use neartalk_shared::{
    ClientFrame, MessageId, MessageText,
    frame::{Locate, SdpType, SignalData},
};
use tokio::{sync::oneshot, task::JoinSet};

use crate::{
    Bystanders,
    common::{Api, Metrics, Opcode, Person, Raw, Relay, beside, place, poll, radius, within_time},
};

/// Lets in from one address whatever these tests need.
const CROWDED: [&str; 16] = [
    "--messages-per-minute",
    "100000",
    "--location-burst",
    "100000",
    "--session-burst",
    "100000",
    "--request-burst",
    "100000",
    "--sockets-per-address",
    "100000",
    "--log",
    "warn",
    // Everyone says the same.
    "--repeats-per-address",
    "0",
    "--repeats-per-cell",
    "0",
];

/// A crowd takes a while, on a small machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);

const MIB: u64 = 1024 * 1024;

/// Somebody at a place who from then on reads nothing.
async fn deaf(relay: &Relay, api: &Api) -> Raw {
    let session = api.session("Deaf").await;
    let mut raw = Raw::connect_narrow(relay).await;
    assert_eq!(raw.upgrade(relay, &[]).await.status, 101);
    raw.hello(&session).await;
    raw.send_text(&locate(500)).await;
    // Has been located, once that is answered.
    while !raw
        .next_frame()
        .await
        .unwrap()
        .payload
        .starts_with(br#"{"type":"history""#)
    {}
    raw
}

fn locate(metres: u32) -> ClientFrame {
    ClientFrame::Locate(Locate {
        place: beside(0),
        radius: radius(metres),
    })
}

/// Says so many messages as fast as they are taken, and waits until all are sent.
async fn say_many(speaker: &mut Person, texts: &[String]) {
    let mut ids = Vec::new();
    for text in texts {
        let id = MessageId::random();
        speaker.send_say(id, text).await;
        ids.push(id);
    }
    for id in ids {
        speaker.sent(id).await;
    }
}

#[tokio::test]
async fn a_slow_reader_is_closed_and_the_others_miss_nothing() {
    let relay = Relay::start(&CROWDED);
    let api = relay.api();
    let mut slow = deaf(&relay, &api).await;
    let mut steady = Person::at(&relay, &api, "Steady", beside(0), 500).await;
    let mut speakers = Vec::new();
    for name in ["One", "Two", "Three", "Four"] {
        speakers.push(Person::at(&relay, &api, name, beside(0), 500).await);
    }
    // Reads all the time, until it is asked to stop.
    let (stop, stopped) = oneshot::channel::<()>();
    let steady = tokio::spawn(async move {
        tokio::select! {
            closed = steady.until_closed() => panic!("the steady one was closed: {closed:?}"),
            _ = stopped => steady,
        }
    });
    // Reads nothing until the relay has had enough, and then all that there is.
    let admin = relay.admin_api();
    let given_up = tokio::spawn(async move {
        within_time(PATIENCE, "the relay to give up", async {
            let mut again = tokio::time::interval(Duration::from_millis(20));
            while Metrics::read(&admin)
                .await
                .sum("neartalk_queue_drops_total", &[])
                == 0.0
            {
                again.tick().await;
            }
        })
        .await;
        slow.closed().await
    });
    let mut said = 0;
    let long = "x".repeat(400);
    while !given_up.is_finished() {
        let texts: Vec<_> = (said..said + 50).map(|n| format!("{n} {long}")).collect();
        said += 50;
        let all = speakers.iter_mut().map(|speaker| say_many(speaker, &texts));
        within_time(PATIENCE, "what was said", join_all(all)).await;
    }
    // Whoever reads at last learns why it is over.
    assert_eq!(given_up.await.unwrap(), Some(4413));
    // Whoever reads has everything, once and in order.
    drop(stop);
    let mut steady = steady.await.unwrap();
    let heard = steady.heard().await;
    assert_eq!(heard.len(), 4 * said);
    for speaker in &speakers {
        let from: Vec<_> = heard
            .iter()
            .filter(|m| m.from == speaker.id())
            .map(|m| m.text.as_str().split(' ').next().unwrap())
            .map(|n| n.parse::<usize>().unwrap())
            .collect();
        assert_eq!(from, (0..said).collect::<Vec<_>>());
    }
    poll("the slow one to be gone", async || {
        let metrics = relay.metrics().await;
        (metrics.sum("neartalk_connections", &[]) == 5.0).then_some(())
    })
    .await;
    let sent = speakers[0].say("and on we go").await;
    assert_eq!(sent.reached, 4);
}

/// A member of a crowd, who reads, and counts what the speaker says.
async fn member(mut raw: Raw, messages: usize) {
    let mut next = 0;
    while next < messages {
        let frame = raw.next_frame().await.expect("a member is not closed");
        assert_eq!(frame.close_code(), None);
        if frame.opcode == Opcode::Ping as u8 {
            raw.send_frame(true, Opcode::Pong, b"").await.unwrap();
        } else if frame.payload.starts_with(br#"{"type":"message""#) {
            let text = format!(r#""text":"number {next}""#);
            let payload = String::from_utf8(frame.payload).unwrap();
            assert!(payload.contains(&text), "{payload} is not {text}");
            next += 1;
        }
    }
}

#[tokio::test]
async fn in_a_crowd_of_a_thousand_one_that_never_reads_holds_up_nobody() {
    const PEOPLE: usize = 1_000;
    const MESSAGES: usize = 30;
    let relay = Relay::start(&CROWDED);
    let api = relay.api();
    let before = relay.resident_bytes();
    let never = deaf(&relay, &api).await;
    let mut members = JoinSet::new();
    for _ in 0..PEOPLE / 50 {
        let arrivals = (0..50).map(|_| async {
            let session = api.session("Member").await;
            let mut raw = Raw::welcomed(&relay, &session).await;
            raw.patience = PATIENCE;
            raw.send_text(&locate(500)).await;
            raw
        });
        for raw in join_all(arrivals).await {
            members.spawn(member(raw, MESSAGES));
        }
    }
    let mut speaker = Person::at(&relay, &api, "Speaker", beside(0), 500).await;
    for n in 0..MESSAGES {
        let sent = speaker.say(&format!("number {n}")).await;
        // The one that never reads counts as well until it is closed.
        assert!(
            (PEOPLE..=PEOPLE + 1).contains(&(sent.reached as usize)),
            "{sent:?}"
        );
    }
    within_time(PATIENCE, "everyone to have heard", async {
        while let Some(heard) = members.join_next().await {
            heard.unwrap();
        }
    })
    .await;
    let grown = relay.resident_bytes().saturating_sub(before);
    println!("a crowd of {PEOPLE}: {} MiB", grown / MIB);
    assert!(grown < 512 * MIB, "{} MiB", grown / MIB);
    drop(never);
}

/// How much a relay's memory grows by what `load` does to it, once it has done as much before.
async fn growth(relay: &Relay, mut load: impl AsyncFnMut()) -> u64 {
    load().await;
    let before = relay.resident_bytes();
    load().await;
    relay.resident_bytes().saturating_sub(before)
}

#[tokio::test]
async fn input_that_is_refused_leaves_nothing_behind() {
    let relay = Relay::start(&CROWDED);
    let api = relay.api();
    let mut bystanders = Bystanders::at(&relay, &api, beside(0)).await;
    let large = format!(
        r#"{{"type":"say","id":"{}","text":"{}"}}"#,
        MessageId::random(),
        "x".repeat(60_000)
    );
    let grown = growth(&relay, async || {
        let flooders = (0..8).map(|_| async {
            let mut flooder = Person::at(&relay, &api, "Mallory", beside(0), 500).await;
            for _ in 0..300 {
                flooder.send_text(large.clone()).await;
            }
            for _ in 0..300 {
                flooder.error().await;
            }
            flooder.leave().await;
        });
        join_all(flooders).await;
    })
    .await;
    bystanders.talk().await;
    let flood = 8 * 300 * large.len() as u64;
    println!("{} MiB of a flood of {} MiB", grown / MIB, flood / MIB);
    assert!(flood > 128 * MIB && grown < 32 * MIB, "{} MiB", grown / MIB);
}

#[tokio::test]
async fn sessions_and_sockets_that_end_leave_nothing_behind() {
    let relay =
        Relay::start(&[&CROWDED[..], &["--session-ttl", "4s", "--place-ttl", "1s"]].concat());
    let api = relay.api();
    let grown = growth(&relay, async || {
        for n in 0..10 {
            let visits = (0..100).map(|i| {
                let (relay, api) = (&relay, &api);
                async move {
                    let here = place(f64::from(i) - 50.0, f64::from(n));
                    let mut person = Person::join(relay, api, "Visitor").await;
                    person.send_locate(here, 100).await;
                    person.settle().await;
                }
            });
            join_all(visits).await;
        }
        poll("the end of every session", async || {
            let metrics = relay.metrics().await;
            (metrics.get("neartalk_sessions", &[]) == Some(0.0)).then_some(())
        })
        .await;
    })
    .await;
    println!("{} KiB after 1,000 visits", grown / 1024);
    assert!(grown < 8 * MIB, "{} KiB", grown / 1024);
}

/// What waits for readers who never read is bounded in bytes, not only in frames.
#[tokio::test]
async fn what_waits_for_those_who_never_read_is_bounded() {
    let relay = Relay::start(&CROWDED);
    let api = relay.api();
    let mut bystanders = Bystanders::at(&relay, &api, beside(1)).await;
    let mut never = Vec::new();
    for _ in 0..5 {
        let session = api.session("Deaf").await;
        let mut raw = Raw::connect_narrow(&relay).await;
        assert_eq!(raw.upgrade(&relay, &[]).await.status, 101);
        raw.hello(&session).await;
        raw.send_text(&locate(500)).await;
        raw.send_text(&ClientFrame::VoiceJoin).await;
        while !raw
            .next_frame()
            .await
            .unwrap()
            .payload
            .starts_with(br#"{"type":"voice_ready""#)
        {}
        never.push((raw, session.peer_id));
    }
    let before = relay.resident_bytes();
    let data = SignalData::Description {
        sdp_type: SdpType::Offer,
        sdp: "x".repeat(32 * 1024),
    };
    let mut sent = 0;
    for (_, to) in &never {
        let senders = (0..4).map(|_| async {
            let mut sender = Person::at(&relay, &api, "Mallory", beside(0), 500).await;
            sender.join_voice().await;
            for _ in 0..190 {
                sender.signal(*to, data.clone()).await;
            }
            sender.settle().await;
            sender.leave().await;
            190
        });
        sent += join_all(senders).await.iter().sum::<u64>() * 32 * 1024;
    }
    let grown = relay.resident_bytes().saturating_sub(before);
    println!("{} MiB of {} MiB", grown / MIB, sent / MIB);
    assert!(sent > 100 * MIB && grown < 48 * MIB, "{} MiB", grown / MIB);
    bystanders.talk().await;
}

#[tokio::test]
async fn pongs_for_somebody_who_reads_none_are_bounded() {
    let relay = Relay::start(&CROWDED);
    let api = relay.api();
    let mut bystanders = Bystanders::at(&relay, &api, beside(0)).await;
    let before = relay.resident_bytes();
    let mut pinging = Vec::new();
    for _ in 0..50 {
        let mut raw = Raw::connect_narrow(&relay).await;
        assert_eq!(raw.upgrade(&relay, &[]).await.status, 101);
        raw.hello(&api.session("Mallory").await).await;
        for _ in 0..300 {
            raw.send_frame(true, Opcode::Ping, &[b'x'; 125])
                .await
                .unwrap();
        }
        pinging.push(raw);
    }
    bystanders.talk().await;
    let grown = relay.resident_bytes().saturating_sub(before);
    assert!(grown < 32 * MIB, "{} MiB", grown / MIB);
}

#[tokio::test]
async fn history_is_bounded_by_how_much_it_may_hold() {
    let relay = Relay::start(&[&CROWDED[..], &["--max-messages", "100"]].concat());
    let api = relay.api();
    let mut speaker = Person::at(&relay, &api, "Speaker", beside(0), 500).await;
    let texts: Vec<_> = (0..300).map(|n| format!("number {n}")).collect();
    say_many(&mut speaker, &texts).await;
    let mut late = Person::join(&relay, &api, "Late").await;
    let located = late.locate(beside(0), 500).await;
    assert_eq!(located.history.len(), 100);
    let newest: MessageText = located.history[99].text.clone();
    assert_eq!(newest.as_str(), "number 299");
}
