//! A relay dies, Redis dies, or a relay is cut off, while people talk: nobody is stuck, and what was
//! acknowledged is not lost.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use neartalk_shared::{
    MessageId, ServerFrame,
    frame::{LeftReason, Message},
    http::{Health, HealthStatus, StoreKind},
};
use tokio::sync::watch;

use crate::{
    Relays,
    common::{Closed, Person, Relay, beside, poll, within_time},
    proxy::Proxy,
};

/// Lets people talk as fast as they can.
const TALKATIVE: [&str; 2] = ["--messages-per-minute", "1000000"];

/// A short lease, so that a test needs not wait for long.
const SHORT_LEASE: [&str; 4] = ["--messages-per-minute", "1000000", "--redis-lease", "2s"];

/// Somebody who talks without end, and what came of it.
pub struct Talker {
    pub person: Person,
    pub acknowledged: Vec<MessageId>,
    /// What was said and has no answer.
    pending: Option<MessageId>,
}

impl Talker {
    pub async fn at(relay: &Relay, name: &str) -> Self {
        Self {
            person: Person::at(relay, &relay.api(), name, beside(0), 500).await,
            acknowledged: Vec::new(),
            pending: None,
        }
    }

    /// Talks until told to stop, or the socket ends; not faster than all of it can be replayed.
    pub async fn talk(&mut self, said: &watch::Sender<usize>, stop: &watch::Receiver<bool>) {
        let mut pace = tokio::time::interval(Duration::from_millis(50));
        while !*stop.borrow() {
            pace.tick().await;
            if !self.say().await {
                return;
            }
            said.send_modify(|said| *said += 1);
        }
    }

    /// Says one thing, or the last one again if that was not answered. False at the socket's end.
    async fn say(&mut self) -> bool {
        let id = *self.pending.get_or_insert_with(MessageId::random);
        let text = format!("{{\"type\":\"say\",\"id\":\"{id}\",\"text\":\"and so on\"}}");
        if self.person.try_send_text(text).await.is_err() {
            return false;
        }
        let sent = self.person.try_wait("sent", |frame| match frame {
            ServerFrame::Sent { id: of, .. } => (*of == id).then_some(()),
            _ => None,
        });
        if sent.await.is_none() {
            return false;
        }
        self.pending = None;
        self.acknowledged.push(id);
        true
    }

    /// How often this one has got each message.
    fn heard(&self) -> BTreeMap<MessageId, usize> {
        let mut heard = BTreeMap::new();
        for text in &self.person.seen {
            if let Ok(Some(ServerFrame::Message(Message { id, .. }))) = ServerFrame::parse(text) {
                *heard.entry(id).or_insert(0) += 1;
            }
        }
        heard
    }

    /// Waits until everything is heard that `other` has had acknowledged; each of it only once.
    pub async fn has_heard_all_of(&mut self, other: &Talker) {
        let heard = self.heard();
        let mut missing: BTreeSet<_> = other.acknowledged.iter().copied().collect();
        missing.retain(|id| !heard.contains_key(id));
        while !missing.is_empty() {
            let more = self
                .person
                .wait("what was acknowledged", |frame| match frame {
                    ServerFrame::Message(Message { id, .. }) => missing.contains(id).then_some(*id),
                    _ => None,
                });
            missing.remove(&more.await);
        }
        let heard = self.heard();
        for id in &other.acknowledged {
            assert_eq!(heard.get(id), Some(&1));
        }
    }
}

/// Waits until a relay says this of itself; the reason it gives.
pub async fn health(relay: &Relay, status: HealthStatus) -> Option<String> {
    let api = relay.api();
    let up = if status == HealthStatus::Ok { 1.0 } else { 0.0 };
    poll("the relay's health to change", async || {
        let answer = api.get("/api/health").await;
        let health: Health = serde_json::from_str(&answer.text).unwrap();
        assert_eq!(health.store, StoreKind::Redis);
        assert_eq!(answer.status == 200, health.status == HealthStatus::Ok);
        assert_eq!(health.reason.is_none(), health.status == HealthStatus::Ok);
        let metrics = relay.metrics().await;
        let metric = metrics.get("neartalk_store_up", &[]);
        (health.status == status && metric == Some(up)).then_some(health.reason)
    })
    .await
}

pub async fn until(said: &mut watch::Receiver<usize>, count: usize) {
    let enough = said.wait_for(|said| *said >= count);
    within_time(Duration::from_secs(30), "more to be said", enough)
        .await
        .unwrap();
}

/// Who has just come to `place` on this relay, and what was said there.
pub async fn history(relay: &Relay) -> Vec<MessageId> {
    let mut newcomer = Person::join(relay, &relay.api(), "Newcomer").await;
    let located = newcomer.locate(beside(0), 500).await;
    let mut ids: Vec<_> = located.history.iter().map(|message| message.id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "no message is there twice");
    newcomer.leave().await;
    ids
}

#[tokio::test]
async fn a_killed_relay_takes_nothing_with_it_that_was_acknowledged() {
    let mut relays = Relays::start(3, &SHORT_LEASE);
    let mut fox = Talker::at(&relays[0], "Fox").await;
    let ghost = Person::at(&relays[0], &relays[0].api(), "Ghost", beside(0), 500).await;
    let mut owl = Talker::at(&relays[1], "Owl").await;
    let mut elk = Talker::at(&relays[2], "Elk").await;
    for other in [&owl, &elk] {
        fox.person.sees(other.person.id()).await;
    }
    let (said, mut counted) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    tokio::join!(
        fox.talk(&said, &stopped),
        owl.talk(&said, &stopped),
        elk.talk(&said, &stopped),
        async {
            until(&mut counted, 60).await;
            relays.all[0].kill9().await;
            until(&mut counted, 120).await;
            stop.send_replace(true);
        },
    );
    assert!(fox.acknowledged.len() > 5);
    assert_eq!(fox.person.closed().await, Closed::Abruptly);
    // Whoever comes back, to another relay, goes on where they were.
    let seen = std::mem::take(&mut fox.person.seen);
    fox.person = Person::resume(&relays[1], fox.person.created.clone()).await;
    let located = fox.person.located().await;
    assert!(fox.person.welcome.resumed);
    assert!(fox.say().await);
    assert_eq!(owl.person.misses(ghost.id()).await, LeftReason::Expired);
    assert_eq!(elk.person.misses(ghost.id()).await, LeftReason::Expired);

    owl.has_heard_all_of(&fox).await;
    owl.has_heard_all_of(&elk).await;
    elk.has_heard_all_of(&fox).await;
    elk.has_heard_all_of(&owl).await;
    let replayed: Vec<_> = located.history.iter().map(|message| message.id).collect();
    fox.person.seen.splice(0..0, seen);
    let heard = fox.heard();
    for id in owl.acknowledged.iter().chain(&elk.acknowledged) {
        assert!(replayed.contains(id) || heard.contains_key(id));
    }
    let acknowledged = [&fox, &owl, &elk].map(|talker| talker.acknowledged.len());
    for relay in &relays.all[1..] {
        assert_eq!(
            history(relay).await.len(),
            acknowledged.iter().sum::<usize>()
        );
        assert_eq!(health(relay, HealthStatus::Ok).await, None);
    }
    poll("the newcomers to have left", async || {
        let nearby = owl.person.nearby_now(&relays[1]).await;
        (nearby.count == 2).then_some(())
    })
    .await;
}

/// What a relay has said to be changed is, also for the one that its owner goes to next.
#[tokio::test]
async fn a_killed_relay_gives_no_change_of_name_back() {
    for over_http in [false, true] {
        let mut relays = Relays::start(2, &[]);
        let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
        if over_http {
            let renamed = relays[0].api().rename(&fox.created, "Vixen").await;
            assert_eq!(renamed.status, 200, "{}", renamed.text);
        } else {
            assert_eq!(fox.rename("Vixen").await, 2);
        }
        relays.all[0].kill9().await;
        let fox = Person::resume(&relays[1], fox.created.clone()).await;
        assert_eq!(fox.welcome.username.as_str(), "Vixen");
        assert_eq!(fox.welcome.username_changes_left, 2);
    }
}

#[tokio::test]
async fn people_of_a_killed_relay_are_gone_within_a_minute() {
    let mut relays = Relays::start(2, &[]);
    let fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(0), 500).await;
    let killed_at = Instant::now();
    relays.all[0].kill9().await;
    let minute = Duration::from_secs(60);
    let gone = async {
        loop {
            // Only the default lease has run out, so nobody else has done anything.
            let frame = owl.next_within(minute).await;
            if let ServerFrame::PersonLeft { peer_id, reason } = frame {
                return (peer_id, reason);
            }
        }
    };
    let left = within_time(minute, "the dead relay's people to leave", gone).await;
    assert_eq!(left, (fox.id(), LeftReason::Expired));
    assert!(killed_at.elapsed() < minute);
    assert_eq!(owl.say("into the void").await.reached, 0);
}

#[tokio::test]
async fn redis_dies_and_comes_back_with_nothing_and_nothing_is_lost() {
    let mut relays = Relays::start(2, &TALKATIVE);
    let mut fox = Talker::at(&relays[0], "Fox").await;
    let mut elk = Talker::at(&relays[0], "Elk").await;
    let mut owl = Talker::at(&relays[1], "Owl").await;
    fox.person.sees(owl.person.id()).await;
    fox.person.rename("Vixen").await;
    let (said, mut counted) = watch::channel(0);
    let (stop, stopped) = watch::channel(false);
    let ((), (), (), during) = tokio::join!(
        fox.talk(&said, &stopped),
        elk.talk(&said, &stopped),
        owl.talk(&said, &stopped),
        async {
            until(&mut counted, 60).await;
            relays.redis.kill();
            for relay in &relays.all {
                let reason = health(relay, HealthStatus::Degraded).await.unwrap();
                assert!(reason.contains("Redis"), "{reason}");
            }
            // Each relay goes on for its own people, old and new.
            let said_before = *counted.borrow();
            until(&mut counted, said_before + 30).await;
            let relay = &relays[0];
            let mut hare = Person::join(relay, &relay.api(), "Hare").await;
            let located = hare.locate(beside(0), 500).await;
            let names: Vec<_> = located.people.iter().map(|p| p.username.as_str()).collect();
            assert!(
                names.contains(&"Vixen") && names.contains(&"Elk"),
                "{names:?}"
            );
            relays.redis.restart().unwrap();
            for relay in &relays.all {
                health(relay, HealthStatus::Ok).await;
            }
            let said_before = *counted.borrow();
            until(&mut counted, said_before + 30).await;
            stop.send_replace(true);
            hare
        },
    );
    fox.has_heard_all_of(&elk).await;
    fox.has_heard_all_of(&owl).await;
    elk.has_heard_all_of(&fox).await;
    owl.has_heard_all_of(&fox).await;
    owl.has_heard_all_of(&elk).await;
    owl.person.sees(during.id()).await;
    let acknowledged = [&fox, &elk, &owl].map(|talker| talker.acknowledged.len());
    for relay in &relays.all {
        assert_eq!(
            history(relay).await.len(),
            acknowledged.iter().sum::<usize>()
        );
    }
    // Sessions from before and from the outage are known to all again.
    for (created, name) in [(&fox.person.created, "Vixen"), (&during.created, "Hare")] {
        let moved = Person::resume(&relays[1], created.clone()).await;
        assert!(moved.welcome.resumed);
        assert_eq!(moved.welcome.username.as_str(), name);
    }
}

/// Waits until a newcomer on this relay sees nobody by these names.
pub async fn sees_none_of(relay: &Relay, names: &[&str]) {
    let mut newcomer = Person::at(relay, &relay.api(), "New", beside(0), 500).await;
    poll("the others to be gone", async || {
        let nearby = newcomer.nearby_now(relay).await;
        let there = |name: &&str| nearby.people.iter().any(|p| p.username.as_str() == *name);
        (!names.iter().any(there)).then_some(())
    })
    .await;
    newcomer.leave().await;
}

/// The relay that they were on could tell nobody, and is back before others take it for dead.
#[tokio::test]
async fn who_leaves_during_a_short_outage_is_gone_for_all_when_it_is_over() {
    let relays = Relays::start(1, &[]);
    let whole = &relays[0];
    let proxy = Proxy::start(relays.redis.address()).await;
    let cut = Relay::start_with(&format!("redis://{}", proxy.address), &[]);
    let api = cut.api();
    let mut owl = Person::at(whole, &whole.api(), "Owl", beside(0), 500).await;
    let mut fox = Person::at(&cut, &api, "Fox", beside(0), 500).await;
    let mut elk = Person::at(&cut, &api, "Elk", beside(0), 500).await;
    for other in [&fox, &elk] {
        owl.sees(other.id()).await;
    }
    fox.sees(elk.id()).await;
    proxy.refuse();
    health(&cut, HealthStatus::Degraded).await;
    elk.leave().await;
    fox.misses(elk.id()).await;
    proxy.restore();
    health(&cut, HealthStatus::Ok).await;
    owl.misses(elk.id()).await;
    assert_eq!(owl.nearby_now(whole).await.count, 1);
    // Nor does Redis show them to a relay that knows only what it says.
    let late = Relay::start_with(&relays.redis.url(), &[]);
    let mut hare = Person::join(&late, &late.api(), "Hare").await;
    let mut seen = hare.locate(beside(0), 500).await.peers();
    seen.sort_unstable();
    let mut there = [fox.id(), owl.id()];
    there.sort_unstable();
    assert_eq!(seen, there);
}

#[tokio::test]
async fn a_relay_that_is_cut_off_goes_on_alone_and_comes_back() {
    let relays = Relays::start(1, &SHORT_LEASE);
    let proxy = Proxy::start(relays.redis.address()).await;
    let cut = Relay::start_with(&format!("redis://{}", proxy.address), &SHORT_LEASE);
    let whole = &relays[0];
    let mut fox = Talker::at(&cut, "Fox").await;
    let mut elk = Talker::at(&cut, "Elk").await;
    let mut owl = Talker::at(whole, "Owl").await;
    fox.person.sees(owl.person.id()).await;
    let wolf = Person::at(&cut, &cut.api(), "Wolf", beside(0), 500).await;
    for silent in [true, false] {
        let mut wolf_before = Person::resume(&cut, wolf.created.clone()).await;
        owl.person.settle().await;
        let (said, mut counted) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let mut others = tokio::join!(
            fox.talk(&said, &stopped),
            elk.talk(&said, &stopped),
            owl.talk(&said, &stopped),
            async {
                until(&mut counted, 30).await;
                if silent {
                    proxy.silence();
                } else {
                    proxy.refuse();
                }
                health(&cut, HealthStatus::Degraded).await;
                assert_eq!(health(whole, HealthStatus::Ok).await, None);
                let said_before = *counted.borrow();
                until(&mut counted, said_before + 30).await;
                // To each side the other is gone.
                sees_none_of(&cut, &["Owl"]).await;
                sees_none_of(whole, &["Fox", "Elk", "Wolf"]).await;
                // Who changes relays meanwhile is not held up by the one that can't be asked.
                let mut wolf = Person::resume(whole, wolf.created.clone()).await;
                assert!(wolf.welcome.resumed);
                wolf.located().await;
                proxy.restore();
                health(&cut, HealthStatus::Ok).await;
                stop.send_replace(true);
                wolf
            },
        )
        .3;
        // The cut relay learns that Wolf is no longer its own.
        assert_eq!(wolf_before.closed().await, Closed::With(4409));
        fox.has_heard_all_of(&elk).await;
        fox.has_heard_all_of(&owl).await;
        owl.has_heard_all_of(&fox).await;
        owl.has_heard_all_of(&elk).await;
        poll("everyone to be back", async || {
            let nearby = owl.person.nearby_now(whole).await;
            (nearby.count == 3).then_some(())
        })
        .await;
        others.settle().await;
        others.leave().await;
    }
}

#[tokio::test]
async fn a_redis_that_takes_nothing_or_says_nothing_is_as_good_as_none() {
    let relays = Relays::start(2, &SHORT_LEASE);
    let mut connection = relays.connection();
    let mut order = |what: &[&str]| {
        let mut command = redis::cmd(what[0]);
        command.arg(&what[1..]).exec(&mut connection).unwrap();
    };
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let mut elk = Person::at(&relays[0], &relays[0].api(), "Elk", beside(0), 500).await;
    let mut owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(0), 500).await;
    fox.sees(elk.id()).await;
    for (trouble, reason) in [
        ("memory", "Redis answers OOM"),
        ("replica", "Redis answers READONLY"),
        ("silence", "Redis does not answer in time"),
    ] {
        match trouble {
            "memory" => order(&["CONFIG", "SET", "maxmemory", "1"]),
            // Its master is nowhere.
            "replica" => order(&["REPLICAOF", "127.0.0.1", "1"]),
            _ => relays.redis.pause().unwrap(),
        }
        for relay in &relays.all {
            poll("the reason", async || {
                let said = health(relay, HealthStatus::Degraded).await;
                (said.as_deref() == Some(reason)).then_some(())
            })
            .await;
        }
        // Each goes on for its own people.
        let meanwhile = fox.say(trouble).await.id;
        assert_eq!(elk.hears().await.id, meanwhile);
        match trouble {
            "memory" => order(&["CONFIG", "SET", "maxmemory", "0"]),
            "replica" => order(&["REPLICAOF", "NO", "ONE"]),
            _ => relays.redis.resume().unwrap(),
        }
        for relay in &relays.all {
            assert_eq!(health(relay, HealthStatus::Ok).await, None);
        }
        let after = fox.say(&format!("no longer: {trouble}")).await.id;
        assert_eq!(elk.hears().await.id, after);
        let heard = [owl.hears().await.id, owl.hears().await.id];
        assert!(heard.contains(&meanwhile) && heard.contains(&after));
    }
}
