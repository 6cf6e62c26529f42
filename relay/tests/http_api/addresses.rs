//! What one address may do, and whose address it is.

use std::time::Instant;

use neartalk_shared::{ErrorCode, http::CreatedSession};
use serde_json::json;

use crate::common::{Answer, Api, Person, Raw, Relay, Socket, poll};

const BEHIND_PROXY: [&str; 2] = ["--trusted-proxy", "127.0.0.1/32"];

fn start(flags: &[&str]) -> Relay {
    Relay::start(&[&BEHIND_PROXY[..], flags].concat())
}

/// How many of `n` sessions made at once are made; the others are refused as they should be.
async fn make_sessions(api: &Api, n: usize) -> usize {
    let answers: Vec<Answer> =
        futures_util::future::join_all((0..n).map(|_| api.create(json!({})))).await;
    answers
        .iter()
        .filter(|answer| {
            if answer.status != 201 {
                answer.expect_rate_limited();
            }
            answer.status == 201
        })
        .count()
}

#[tokio::test]
async fn a_hundred_and_twenty_sessions_at_once_are_let_in_and_then_one_a_second() {
    let relay = start(&[]);
    let started = Instant::now();
    let made = make_sessions(&relay.api(), 150).await;
    let seconds = started.elapsed().as_secs() as usize;
    assert!(
        (120..=121 + seconds).contains(&made),
        "{made} sessions in {seconds} s"
    );
    // Another address has its own count.
    let elsewhere = relay.api().forwarding("203.0.113.7");
    elsewhere
        .create(json!({}))
        .await
        .expect::<CreatedSession>(201);
}

#[tokio::test]
async fn the_limits_on_sessions_can_be_chosen() {
    let relay = start(&["--sessions-per-minute", "1", "--session-burst", "5"]);
    assert_eq!(make_sessions(&relay.api(), 20).await, 5);
    let wait = relay.api().create(json!({})).await.expect_rate_limited();
    assert!(wait <= 60_000, "{wait}");
}

/// Which addresses share a count, told by what is left of a burst of two.
#[tokio::test]
async fn an_address_is_a_whole_ipv4_and_the_first_half_of_an_ipv6() {
    let relay = start(&["--sessions-per-minute", "1", "--session-burst", "2"]);
    let api = relay.api();
    for (first, same, other) in [
        ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
        (
            "2001:db8:1:2::1",
            "2001:db8:1:2:ffff:ffff:ffff:ffff",
            "2001:db8:1:3::1",
        ),
        ("::ffff:198.51.100.1", "198.51.100.1", "198.51.100.2"),
        // Only what the last trusted proxy saw counts; what stands before it is hearsay.
        ("1.1.1.1, 192.0.2.1", "2.2.2.2, 192.0.2.1", "192.0.2.2"),
        // With a port, as some proxies write it.
        ("192.0.2.9:4711", "192.0.2.9", "192.0.2.10"),
    ] {
        for address in [first, same] {
            let answer = api.forwarding(address).create(json!({})).await;
            answer.expect::<CreatedSession>(201);
        }
        for address in [first, same] {
            let answer = api.forwarding(address).create(json!({})).await;
            answer.expect_rate_limited();
        }
        let answer = api.forwarding(other).create(json!({})).await;
        answer.expect::<CreatedSession>(201);
    }
}

#[tokio::test]
async fn a_chain_of_trusted_proxies_is_followed_to_its_start() {
    let relay = Relay::start(&[
        "--trusted-proxy",
        "127.0.0.1/32",
        "--trusted-proxy",
        "10.0.0.0/8",
        "--sessions-per-minute",
        "1",
        "--session-burst",
        "1",
    ]);
    let api = relay.api();
    let through_two = api.forwarding("203.0.113.7, 10.1.2.3");
    through_two
        .create(json!({}))
        .await
        .expect::<CreatedSession>(201);
    through_two.create(json!({})).await.expect_rate_limited();
    // The proxy itself is not who was counted.
    api.forwarding("203.0.113.8, 10.1.2.3")
        .create(json!({}))
        .await
        .expect::<CreatedSession>(201);
}

#[tokio::test]
async fn nonsense_in_the_header_counts_for_whoever_sent_it() {
    let relay = start(&["--sessions-per-minute", "1", "--session-burst", "3"]);
    let api = relay.api();
    for nonsense in ["", "unknown", "999.1.1.1"] {
        let answer = api.forwarding(nonsense).create(json!({})).await;
        answer.expect::<CreatedSession>(201);
    }
    api.forwarding("yet another")
        .create(json!({}))
        .await
        .expect_rate_limited();
}

#[tokio::test]
async fn a_stranger_cannot_choose_an_address() {
    // This machine is no trusted proxy here.
    let relay = Relay::start(&[
        "--trusted-proxy",
        "10.0.0.0/8",
        "--sessions-per-minute",
        "1",
        "--session-burst",
        "2",
    ]);
    let api = relay.api();
    for address in ["203.0.113.1", "203.0.113.2"] {
        let answer = api.forwarding(address).create(json!({})).await;
        answer.expect::<CreatedSession>(201);
    }
    api.forwarding("203.0.113.3")
        .create(json!({}))
        .await
        .expect_rate_limited();
}

#[tokio::test]
async fn requests_are_counted_per_address() {
    let relay = start(&["--requests-per-second", "1", "--request-burst", "10"]);
    let here = relay.api().forwarding("2001:db8::1");
    let answers = futures_util::future::join_all((0..40).map(|_| here.get("/api/nearby"))).await;
    let (mut let_in, mut refused) = (0, 0);
    for answer in answers {
        if answer.status == 429 {
            let wait = answer.expect_rate_limited();
            assert!(wait <= 1_000, "{wait}");
            refused += 1;
        } else {
            answer.expect_error(401, ErrorCode::Unauthorized);
            let_in += 1;
        }
    }
    assert!(
        let_in >= 10 && refused >= 10,
        "{let_in} in, {refused} refused"
    );
    let elsewhere = relay.api().forwarding("2001:db8:0:1::1");
    elsewhere
        .get("/api/nearby")
        .await
        .expect_error(401, ErrorCode::Unauthorized);
}

#[tokio::test]
async fn open_sockets_are_counted_per_address_and_closed_ones_are_not() {
    let relay = start(&["--sockets-per-address", "2"]);
    let from = |address| [("x-forwarded-for", address)];
    let open = async |address| {
        let raw = Raw::connect(&relay).await;
        Socket::open_on(raw.stream, &relay, &from(address)).await
    };
    let api = relay.api();
    let first = open("2001:db8::1").await;
    let mut first = Person::resume_on(first, api.session("Fox").await).await;
    let mut second = open("2001:db8::2").await;
    let mut third = Raw::connect(&relay).await;
    let refused = third.upgrade(&relay, &from("2001:db8::3")).await;
    refused.expect_error(429, ErrorCode::RateLimited);
    assert!(refused.headers.contains_key("retry-after"));
    // Others have their own count, and those who are in stay.
    let elsewhere = open("2001:db8:0:1::1").await;
    first.settle().await;
    drop(elsewhere);

    second.leave().await;
    poll("room for another socket", async || {
        let mut raw = Raw::connect(&relay).await;
        let answer = raw.upgrade(&relay, &from("2001:db8::3")).await;
        (answer.status == 101).then_some(())
    })
    .await;
}
