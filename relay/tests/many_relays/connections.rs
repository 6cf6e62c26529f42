//! The connections that relays have to Redis: one each, and what they send over it together.

use std::collections::BTreeSet;

use neartalk_shared::{ServerFrame, frame::SignalData, http::HealthStatus};
use redis::Connection;

use crate::{
    Relays,
    common::{Person, beside, poll},
    outage::health,
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
