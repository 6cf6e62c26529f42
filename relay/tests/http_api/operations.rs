//! Health, metrics and what browsers ask.

use neartalk_shared::{
    ErrorCode,
    http::{Health, HealthStatus, Ready},
};
use reqwest::Method;

use crate::common::{Person, Relay, STORE, beside, poll};

#[tokio::test]
async fn health_says_what_runs_here() {
    let relay = Relay::start(&[]);
    let health: Health = relay.api().get("/api/health").await.expect(200);
    assert_eq!(health.status, HealthStatus::Ok);
    assert_eq!(health.version, env!("CARGO_PKG_VERSION"));
    assert_eq!(health.store, STORE);
    assert_eq!(health.reason, None);
    assert!(health.uptime_s < 60, "{}", health.uptime_s);
}

#[tokio::test]
async fn a_relay_that_runs_is_ready() {
    let relay = Relay::start(&[]);
    for api in [relay.api(), relay.admin_api()] {
        let ready: Ready = api.get("/api/ready").await.expect(200);
        assert!(ready.ready);
    }
}

#[tokio::test]
async fn metrics_are_on_the_admin_listener_only() {
    let relay = Relay::start(&[]);
    relay.metrics().await;
    relay
        .api()
        .get("/metrics")
        .await
        .expect_error(404, ErrorCode::NotFound);
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let relay = Relay::start(&["--location-burst", "1"]);
    let api = relay.api();
    let here = beside(0);
    let mut fox = Person::at(&relay, &api, "Fox", here, 500).await;
    let mut owl = Person::at(&relay, &api, "Owl", here, 500).await;
    fox.say("one").await;
    fox.say("two").await;
    owl.hears().await;
    owl.hears().await;
    fox.send_locate(here, 500).await;
    fox.expect_error(ErrorCode::RateLimited).await;

    let metrics = poll("two people in the metrics", async || {
        let metrics = relay.metrics().await;
        (metrics.sum("neartalk_people", &[]) == 2.0).then_some(metrics)
    })
    .await;
    for (name, labels, value) in [
        ("neartalk_connections", &[][..], 2.0),
        ("neartalk_sessions", &[], 2.0),
        ("neartalk_messages_total", &[], 2.0),
        ("neartalk_deliveries_total", &[], 2.0),
        ("neartalk_delivery_latency_seconds_count", &[], 2.0),
        ("neartalk_queue_drops_total", &[], 0.0),
        ("neartalk_rate_limited_total", &["location"], 1.0),
    ] {
        assert_eq!(metrics.sum(name, labels), value, "{name}\n{}", metrics.0);
    }
    assert!(
        metrics
            .get("neartalk_delivery_latency_seconds_bucket", &["le="])
            .is_some(),
        "latency is a histogram\n{}",
        metrics.0
    );
    assert!(
        metrics
            .get("neartalk_store_operations_total", &[])
            .is_some_and(|n| n > 0.0),
        "{}",
        metrics.0
    );
    // How many people share a cell, without saying which.
    assert!(
        metrics
            .get("neartalk_cells", &["people="])
            .is_some_and(|n| n == 1.0),
        "{}",
        metrics.0
    );
}

#[tokio::test]
async fn a_page_may_call_from_an_allowed_origin_and_no_other() {
    let relay = Relay::start(&[
        "--allowed-origin",
        "https://chat.example",
        "--allowed-origin",
        "https://beta.example:8443",
    ]);
    let api = relay.api();
    for (origin, allowed) in [
        ("https://chat.example", true),
        ("https://beta.example:8443", true),
        ("https://beta.example", false),
        ("http://chat.example", false),
        ("https://chat.example.evil.example", false),
        ("null", false),
    ] {
        let preflight = api
            .send(
                Method::OPTIONS,
                "/api/session/username",
                &[
                    ("origin", origin),
                    ("access-control-request-method", "PATCH"),
                    (
                        "access-control-request-headers",
                        "authorization,content-type",
                    ),
                ],
                None,
            )
            .await;
        let granted = preflight
            .headers
            .get("access-control-allow-origin")
            .map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(granted.as_deref(), allowed.then_some(origin), "{origin}");
        if allowed {
            let header = |name: &str| {
                preflight.headers[name]
                    .to_str()
                    .unwrap()
                    .to_ascii_lowercase()
            };
            assert!(header("access-control-allow-methods").contains("patch"));
            let headers = header("access-control-allow-headers");
            assert!(headers.contains("authorization") && headers.contains("content-type"));
        }
    }
}
