//! What whoever runs a relay can do.

use neartalk_shared::{
    ClientFrame, ErrorCode, MessageId, ServerFrame,
    frame::{LeftReason, ReportReason},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    PROXY, TOKEN, ask,
    common::{Closed, Person, Relay, beside},
    may_come, person_from,
};

fn relay() -> Relay {
    Relay::start(&[&PROXY[..], &["--admin-token", TOKEN, "--log", "trace"]].concat())
}

#[tokio::test]
async fn nobody_decides_without_the_token() {
    let relay = relay();
    let admin = relay.admin_api();
    for header in [
        None,
        Some("Bearer "),
        Some("Bearer correct horse"),
        Some("Basic x"),
    ] {
        let headers: Vec<_> = header.map(|h| ("authorization", h)).into_iter().collect();
        for (method, path) in [
            (Method::GET, "/api/admin/reports"),
            (Method::POST, "/api/admin/bans"),
            (Method::DELETE, "/api/admin/closures/u33dc"),
        ] {
            let answer = admin.send(method, path, &headers, None).await;
            answer.expect_error(401, ErrorCode::Unauthorized);
        }
    }
    // Nor on the listener that everyone reaches, nor where no token was given.
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", bearer.as_str())];
    let api = relay.api();
    let public = api
        .send(Method::GET, "/api/admin/reports", &headers, None)
        .await;
    public.expect_error(404, ErrorCode::NotFound);
    let other = Relay::start(&[]);
    let admin = other.admin_api();
    let closed = admin
        .send(Method::GET, "/api/admin/reports", &headers, None)
        .await;
    closed.expect_error(404, ErrorCode::NotFound);
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_as_everywhere() {
    let relay = relay();
    for path in ["bans", "closures", "announcements"] {
        let body = json!({ "text": "x".repeat(20_000), "for_s": 60 });
        let answer = ask(&relay, Method::POST, path, Some(body)).await;
        answer.expect_error(413, ErrorCode::BodyTooLarge);
    }
}

#[tokio::test]
async fn a_report_is_read_a_person_banned_and_the_ban_lifted() {
    let relay = relay();
    let api = relay.api();
    let mut bad = person_from(&relay, "192.0.2.66", "Badger", beside(0)).await;
    let mut fox = person_from(&relay, "192.0.2.1", "Fox", beside(0)).await;
    let said = bad.say("something vile").await;
    fox.hears().await;
    fox.send(&ClientFrame::Report {
        peer_id: bad.id(),
        reason: ReportReason::Spam,
        message_id: Some(said.id),
    })
    .await;
    fox.settle().await;
    let reports: Value = ask(&relay, Method::GET, "reports", None).await.expect(200);
    let report = &reports.as_array().unwrap()[0];
    for (field, value) in [
        ("reported", json!(bad.id())),
        ("reporter", json!(fox.id())),
        ("username", json!("Badger")),
        ("reason", json!("spam")),
        ("text", json!("something vile")),
        ("near", json!(true)),
        ("voices", json!(1)),
        ("message_id", json!(said.id)),
    ] {
        assert_eq!(report[field], value, "{field} in {report}");
    }
    let body = json!({ "peer_id": bad.id(), "for_s": 3_600 });
    let banned = ask(&relay, Method::POST, "bans", Some(body)).await;
    let banned: Value = banned.expect(201);
    assert_eq!(bad.closed().await, Closed::With(4403));
    assert_eq!(fox.misses(bad.id()).await, LeftReason::Banned);
    assert!(!may_come(&api, "192.0.2.66").await);
    let bans: Value = ask(&relay, Method::GET, "bans", None).await.expect(200);
    assert_eq!(bans, json!([banned]));
    assert_eq!(banned["by"], "operator");
    let path = format!("bans/{}", banned["id"].as_str().unwrap());
    assert_eq!(ask(&relay, Method::DELETE, &path, None).await.status, 204);
    let again = ask(&relay, Method::DELETE, &path, None).await;
    again.expect_error(404, ErrorCode::NotFound);
    assert!(may_come(&api, "192.0.2.66").await);
    let back = crate::resume_from(&relay, "192.0.2.66", bad.created.clone()).await;
    assert_eq!(back.id(), bad.id());
    for (body, status, code) in [
        (
            json!({ "peer_id": "0".repeat(26), "for_s": 1 }),
            404,
            ErrorCode::NotFound,
        ),
        (
            json!({ "peer_id": "x", "for_s": 1 }),
            422,
            ErrorCode::InvalidBody,
        ),
        (
            json!({ "peer_id": fox.id(), "for_s": 0 }),
            422,
            ErrorCode::InvalidBody,
        ),
        (
            json!({ "peer_id": fox.id(), "for_s": u64::MAX }),
            422,
            ErrorCode::InvalidBody,
        ),
        (
            json!({ "peer_id": fox.id(), "for_s": -1 }),
            422,
            ErrorCode::InvalidBody,
        ),
        (json!([]), 422, ErrorCode::InvalidBody),
    ] {
        let answer = ask(&relay, Method::POST, "bans", Some(body)).await;
        answer.expect_error(status, code);
    }
    fox.say("unharmed").await;
}

#[tokio::test]
async fn nobody_is_in_a_cell_that_is_closed_until_it_is_opened() {
    let relay = relay();
    let api = relay.api();
    // The cell of `beside(0)`.
    let body = json!({ "geohash": "u2edk", "for_s": 3_600 });
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let mut afar = Person::at(&relay, &api, "Afar", beside(5), 500).await;
    let closed: Value = ask(&relay, Method::POST, "closures", Some(body))
        .await
        .expect(201);
    assert_eq!(closed["people"], 1, "{closed}");
    let error = fox.expect_error(ErrorCode::PlaceClosed).await;
    assert!(error.retry_after_ms.is_some_and(|ms| ms > 3_500_000));
    fox.send_say(MessageId::random(), "hello?").await;
    fox.expect_error(ErrorCode::NoLocation).await;
    fox.send_locate(beside(0), 500).await;
    fox.expect_error(ErrorCode::PlaceClosed).await;
    let late = api.session("Late").await;
    let answer = api.locate(&late, beside(0), 500).await;
    answer.expect_error(403, ErrorCode::PlaceClosed);
    afar.say("all is well here").await;
    let closures: Value = ask(&relay, Method::GET, "closures", None).await.expect(200);
    assert_eq!(closures[0]["geohash"], "u2edk");
    let opened = ask(&relay, Method::DELETE, "closures/u2edk", None).await;
    assert_eq!(opened.status, 204);
    fox.locate(beside(0), 500).await;
    fox.say("hello again").await;
    for body in [
        json!({ "geohash": "u2ed", "for_s": 1 }),
        json!({ "geohash": "u2eda", "for_s": 1 }),
    ] {
        let answer = ask(&relay, Method::POST, "closures", Some(body)).await;
        answer.expect_error(422, ErrorCode::InvalidBody);
    }
    // Where it was is nothing for a log.
    assert!(!relay.output().contains("u2ed"), "{}", relay.output());
    assert!(!relay.output().contains(TOKEN));
}

async fn announced(person: &mut Person) -> String {
    person
        .wait("announcement", |frame| match frame {
            ServerFrame::Announcement { text, .. } => Some(text.to_string()),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn an_announcement_reaches_those_who_are_here_and_those_who_come() {
    let relay = relay();
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    let body = json!({ "text": "The relay restarts at ten.", "for_s": 60 });
    let made: Value = ask(&relay, Method::POST, "announcements", Some(body))
        .await
        .expect(201);
    assert_eq!(made["reached"], 1);
    assert_eq!(announced(&mut fox).await, "The relay restarts at ten.");
    let mut late = Person::join(&relay, &api, "Late").await;
    assert_eq!(announced(&mut late).await, "The relay restarts at ten.");
    let path = format!("announcements/{}", made["id"]);
    assert_eq!(ask(&relay, Method::DELETE, &path, None).await.status, 204);
    let mut later = Person::join(&relay, &api, "Later").await;
    assert!(later.settle().await.is_empty());
    let list: Value = ask(&relay, Method::GET, "announcements", None)
        .await
        .expect(200);
    assert_eq!(list, json!([]));
    let empty = json!({ "text": " ", "for_s": 60 });
    let answer = ask(&relay, Method::POST, "announcements", Some(empty)).await;
    answer.expect_error(422, ErrorCode::InvalidMessage);
}
