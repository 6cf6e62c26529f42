//! Enough reports end it.

use neartalk_shared::{
    ClientFrame, ErrorCode, PeerId, ServerFrame,
    frame::{LeftReason, ReportReason},
};

use crate::{
    PROXY,
    common::{Closed, Person, Relay, beside},
    may_come, person_from, resume_from, socket_from,
};

async fn report(by: &mut Person, whom: PeerId) {
    by.send(&ClientFrame::Report {
        peer_id: whom,
        reason: ReportReason::Abuse,
        message_id: None,
    })
    .await;
    by.wait("reported", |frame| match frame {
        ServerFrame::Reported { peer_id } => (*peer_id == whom).then_some(()),
        _ => None,
    })
    .await;
}

#[tokio::test]
async fn whom_enough_people_around_report_is_gone_and_stays_away() {
    let flags = [
        &PROXY[..],
        &["--report-threshold", "3", "--ban-time", "10m"],
    ]
    .concat();
    let relay = Relay::start(&flags);
    let api = relay.api();
    let here = beside(0);
    let mut bad = person_from(&relay, "192.0.2.66", "Badger", here).await;
    let mut people = Vec::new();
    for n in 1..=3 {
        people.push(person_from(&relay, &format!("192.0.2.{n}"), "Otter", here).await);
    }
    bad.say("something vile").await;
    for person in &mut people {
        person.hears().await;
    }
    for person in &mut people {
        bad.settle().await;
        report(person, bad.id()).await;
    }
    let error = bad.expect_error(ErrorCode::Banned).await;
    let left = error.retry_after_ms.expect("it says for how long");
    assert!((590_000..=600_000).contains(&left), "{left}");
    assert_eq!(bad.closed().await, Closed::With(4403));
    for person in &mut people {
        assert_eq!(person.misses(bad.id()).await, LeftReason::Banned);
    }
    // Newcomers are told nothing of it.
    let mut late = person_from(&relay, "192.0.2.7", "Late", beside(5)).await;
    assert_eq!(late.locate(here, 500).await.texts(), [""; 0]);
    // With the old session …
    let mut again = socket_from(&relay, "192.0.2.66").await;
    again.hello(bad.created.session_id).await;
    again.expect_error(ErrorCode::Banned).await;
    assert_eq!(again.closed().await, Closed::With(4403));
    let elsewhere = api.forwarding("192.0.2.67").nearby(&bad.created).await;
    elsewhere.expect_error(403, ErrorCode::Banned);
    // … or a new one.
    let create = api
        .forwarding("192.0.2.66")
        .create(serde_json::json!({}))
        .await;
    let body = create.expect_error(403, ErrorCode::Banned);
    assert!(body.error.retry_after_ms.is_some_and(|ms| ms <= 600_000));
    assert!(may_come(&api, "192.0.2.65").await);
    let metrics = relay.metrics().await;
    assert_eq!(metrics.sum("neartalk_bans_total", &["by=\"reports\""]), 1.0);
}

#[tokio::test]
async fn a_hundred_sessions_of_one_address_are_not_enough() {
    let relay = Relay::start(&[&PROXY[..], &["--report-threshold", "3"]].concat());
    let here = beside(0);
    let mut victim = person_from(&relay, "192.0.2.66", "Victim", here).await;
    for _ in 0..100 {
        let mut sybil = person_from(&relay, "192.0.2.1", "Sybil", here).await;
        report(&mut sybil, victim.id()).await;
    }
    victim.say("still here").await;
    assert!(may_come(&relay.api(), "192.0.2.66").await);
}

#[tokio::test]
async fn a_ban_ends_by_itself() {
    let often = [
        "--report-threshold",
        "1",
        "--ban-time",
        "2s",
        "--session-burst",
        "10000",
    ];
    let flags = [&PROXY[..], &often].concat();
    let relay = Relay::start(&flags);
    let api = relay.api();
    let mut bad = person_from(&relay, "192.0.2.66", "Badger", beside(0)).await;
    let mut fox = person_from(&relay, "192.0.2.1", "Fox", beside(0)).await;
    report(&mut fox, bad.id()).await;
    assert_eq!(bad.closed().await, Closed::With(4403));
    crate::common::poll("the end of the ban", async || {
        may_come(&api, "192.0.2.66").await.then_some(())
    })
    .await;
    // The session lives on, without a place.
    let mut bad = resume_from(&relay, "192.0.2.66", bad.created).await;
    assert_eq!(bad.locate(beside(0), 500).await.people.len(), 1);
}
