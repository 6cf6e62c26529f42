//! The connections that relays have to Redis: one each, and what they send over it together.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use neartalk_shared::{MessageId, ServerFrame, frame::SignalData, http::HealthStatus};
use redis::Connection;

use crate::{
    Relays,
    common::{Person, beside, poll},
    outage::health,
    store::{commands, commands_since, stat},
};

/// Those that Redis has connections with, by their numbers; the test's own among them.
pub fn clients(connection: &mut Connection) -> BTreeSet<u64> {
    let listed = redis::cmd("CLIENT").arg("LIST").query(connection);
    let listed: String = listed.unwrap();
    let number = |line: &str| line.strip_prefix("id=")?.split(' ').next()?.parse().ok();
    listed.lines().filter_map(number).collect()
}

#[tokio::test]
async fn a_relay_that_starts_over_leaves_no_connection_behind() {
    let relays = Relays::start(2, &["--redis-lease", "2s"]);
    let mut connection = relays.connection();
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(0), 500).await;
    let at_first = clients(&mut connection);
    assert_eq!(at_first.len(), 1 + relays.all.len());
    for _ in 0..3 {
        let before = clients(&mut connection);
        redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
        // Each finds out by itself that it is forgotten.
        poll("each relay to connect anew", async || {
            let now = clients(&mut connection);
            (now.difference(&before).count() >= relays.all.len()).then_some(())
        })
        .await;
        for relay in &relays.all {
            assert_eq!(health(relay, HealthStatus::Ok).await, None);
        }
    }
    poll("the end of the connections from before", async || {
        (clients(&mut connection).len() == at_first.len()).then_some(())
    })
    .await;
    // And what other relays say is heard once.
    for (person, relay) in [(&fox, &relays[0]), (&owl, &relays[1])] {
        poll("everyone to be known again", async || {
            (person.nearby_now(relay).await.count == 1).then_some(())
        })
        .await;
    }
    fox.join_voice().await;
    owl.join_voice().await;
    fox.meets_in_voice(owl.id()).await;
    owl.meets_in_voice(fox.id()).await;
    let mut sent: Vec<_> = (0..10)
        .map(|number| SignalData::Candidate {
            candidate: format!("candidate:{number} 1 udp 1 192.0.2.1 9 typ host"),
            sdp_mid: None,
            sdp_m_line_index: Some(0),
        })
        .collect();
    sent.push(SignalData::Bye);
    for data in &sent {
        fox.signal(owl.id(), data.clone()).await;
    }
    let mut arrived = Vec::new();
    while arrived.last() != Some(&SignalData::Bye) {
        arrived.push(owl.signalled(fox.id()).await);
    }
    let rest = owl.settle().await.into_iter();
    arrived.extend(rest.filter_map(|frame| match frame {
        ServerFrame::Signal { data, .. } => Some(data),
        _ => None,
    }));
    assert_eq!(arrived, sent);
}

#[tokio::test]
async fn what_is_said_while_redis_is_busy_is_sent_to_it_in_one_go() {
    const SPEAKERS: usize = 20;
    let relays = Relays::start(1, &["--redis-lease", "10m"]);
    let mut connection = relays.connection();
    let mut speakers = Vec::new();
    for _ in 0..SPEAKERS {
        speakers.push(Person::at(&relays[0], &relays[0].api(), "Owl", beside(0), 500).await);
    }
    let before = commands(&mut connection);
    let reads_before = stat(&mut connection, "total_reads_processed");
    relays.redis.pause().unwrap();
    let ids = join_all(speakers.iter_mut().enumerate().map(async |(at, person)| {
        let id = MessageId::random();
        person.send_say(id, &format!("I am {at}")).await;
        // Whatever came before is dealt with before this is answered.
        let frames = person.settle().await;
        person.inbox.extend(frames);
        id
    }))
    .await;
    relays.redis.resume().unwrap();
    for (person, id) in speakers.iter_mut().zip(ids) {
        assert_eq!(person.sent(id).await.reached as usize, SPEAKERS - 1);
    }
    let reads = stat(&mut connection, "total_reads_processed") - reads_before;
    let commands = commands_since(&before, &mut connection);
    // Each keeps the message, publishes it, and counts it against its speaker's limit.
    let sent = commands["eval"] + commands["spublish"];
    assert!(sent >= 3 * SPEAKERS as u64, "{commands:?}");
    assert!(reads <= sent / 5, "{sent} commands in {reads} reads");
}
