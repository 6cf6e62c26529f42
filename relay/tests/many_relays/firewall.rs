//! A firewall between a relay and Redis: packets are dropped, and nobody is told. And a relay that
//! stands still, which is the same to everybody else.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, SocketAddrV4},
    time::Duration,
};

use neartalk_rig::{netns::Pair, redis::Redis};
use neartalk_shared::{MessageId, http::HealthStatus};
use tokio::sync::watch;

use crate::{
    Relays,
    common::{Closed, Person, Relay, beside, poll, within_time},
    connections::clients,
    outage::{Talker, health, history, sees_none_of, until},
};

/// What goes out to a TCP port from where this relay is and has not arrived, in bytes, over
/// connections that are no longer being made.
fn on_its_way(relay: &Relay, port: u16) -> u64 {
    const CONNECTING: &str = "02";
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", relay.pid())).unwrap();
    let waiting = |line: &str| -> Option<u64> {
        let fields: Vec<_> = line.split_whitespace().collect();
        let (_, to) = fields.get(2)?.split_once(':')?;
        let is_there = u16::from_str_radix(to, 16).ok()? == port && fields[3] != CONNECTING;
        let (bytes, _) = fields[4].split_once(':')?;
        is_there.then(|| u64::from_str_radix(bytes, 16).unwrap())
    };
    table.lines().skip(1).filter_map(waiting).sum()
}

/// Two machines: one with a Redis, relays, and everybody's clients, and one with another relay.
pub struct Machines {
    pair: Pair,
}

impl Machines {
    /// Makes them, and runs a test on the first.
    pub fn run(test: impl AsyncFnOnce(&Self) + Send) {
        let machines = Self {
            pair: Pair::new().unwrap(),
        };
        let test = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(test(&machines));
        };
        machines.pair.host(0).inside(test).unwrap();
    }

    /// A Redis on this one that can be reached from the other.
    pub fn redis() -> Redis {
        Redis::start(&["--bind", "0.0.0.0", "--protected-mode", "no"]).unwrap()
    }

    /// A relay on the other one.
    pub fn relay(&self, redis: &Redis, flags: &[&str]) -> Relay {
        let url = format!("redis://{}", Self::seen_from_there(redis));
        let address = IpAddr::V4(Pair::address(1));
        let start = || Relay::start_at(address, &url, flags);
        self.pair.host(1).inside(start).unwrap()
    }

    /// Whether a firewall there lets nothing through to Redis, nor back.
    pub fn wall_off(&self, redis: &Redis, off: bool) {
        let server = Self::seen_from_there(redis);
        self.pair.host(1).wall_off(server, off).unwrap();
    }

    fn seen_from_there(redis: &Redis) -> SocketAddrV4 {
        SocketAddrV4::new(Pair::address(0), redis.address().port())
    }
}

#[test]
fn a_relay_behind_a_firewall_goes_on_alone_and_nothing_late_gets_through() {
    Machines::run(is_cut_off_twice);
}

async fn is_cut_off_twice(machines: &Machines) {
    const FLAGS: [&str; 4] = ["--messages-per-minute", "1000000", "--redis-lease", "6s"];
    let redis = Machines::redis();
    let port = redis.address().port();
    let whole = &Relay::start_with(&redis.url(), &FLAGS);
    let cut = machines.relay(&redis, &FLAGS);
    let mut connection = redis::Client::open(redis.url())
        .and_then(|client| client.get_connection())
        .unwrap();
    for relay in [&cut, whole] {
        assert_eq!(health(relay, HealthStatus::Ok).await, None);
    }
    let at_first = clients(&mut connection).len();
    let mut fox = Talker::at(&cut, "Fox").await;
    let mut elk = Talker::at(&cut, "Elk").await;
    let mut owl = Talker::at(whole, "Owl").await;
    fox.person.sees(owl.person.id()).await;
    for longer_than_the_lease in [false, true] {
        let mut wolf = Person::at(&cut, &cut.api(), "Wolf", beside(0), 500).await;
        owl.person.sees(wolf.id()).await;
        let (said, mut counted) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let (_, _, _, mut moved) = tokio::join!(
            fox.talk(&said, &stopped),
            elk.talk(&said, &stopped),
            owl.talk(&said, &stopped),
            async {
                until(&mut counted, 30).await;
                machines.wall_off(&redis, true);
                // Redis never gets to know this name …
                wolf.rename("Dog").await;
                let reason = health(&cut, HealthStatus::Degraded).await;
                assert!(reason.is_some_and(|reason| reason.contains("Redis")));
                assert_eq!(health(whole, HealthStatus::Ok).await, None);
                let said_before = *counted.borrow();
                until(&mut counted, said_before + 30).await;
                // … as whatever was on its way is thrown away.
                poll("nothing to be on its way", async || {
                    (on_its_way(&cut, port) == 0).then_some(())
                })
                .await;
                if longer_than_the_lease {
                    sees_none_of(&cut, &["Owl"]).await;
                    sees_none_of(whole, &["Fox", "Elk", "Wolf"]).await;
                }
                let mut moved = Person::resume(whole, wolf.created.clone()).await;
                assert_eq!(moved.welcome.username.as_str(), "Wolf");
                moved.located().await;
                machines.wall_off(&redis, false);
                health(&cut, HealthStatus::Ok).await;
                let said_before = *counted.borrow();
                until(&mut counted, said_before + 30).await;
                stop.send_replace(true);
                moved
            },
        );
        assert_eq!(wolf.closed().await, Closed::With(4409));
        fox.has_heard_all_of(&elk).await;
        fox.has_heard_all_of(&owl).await;
        elk.has_heard_all_of(&fox).await;
        elk.has_heard_all_of(&owl).await;
        owl.has_heard_all_of(&fox).await;
        owl.has_heard_all_of(&elk).await;
        poll("everyone to be back", async || {
            let nearby = owl.person.nearby_now(whole).await;
            (nearby.count == 3).then_some(())
        })
        .await;
        for relay in [&cut, whole] {
            let history: BTreeSet<_> = history(relay).await.into_iter().collect();
            for talker in [&fox, &elk, &owl] {
                // Not more than can be replayed to one.
                let mut last = talker.acknowledged.iter().rev().take(200);
                assert!(last.all(|id| history.contains(id)));
            }
        }
        // Redis has its end of the old connection until it hears that the other one is gone.
        let closed = async {
            let mut again = tokio::time::interval(Duration::from_millis(50));
            while clients(&mut connection).len() != at_first {
                again.tick().await;
            }
        };
        let minute = Duration::from_secs(60);
        within_time(minute, "the end of the old connection", closed).await;
        // Whoever asks Redis for Wolf is sent to where they are.
        moved.rename("Werewolf").await;
        moved.leave().await;
        let again = Person::resume(&cut, moved.created.clone()).await;
        assert_eq!(again.welcome.username.as_str(), "Werewolf");
        let mut again = again;
        again.leave().await;
        poll("Wolf to have left", async || {
            let nearby = owl.person.nearby_now(whole).await;
            (nearby.count == 2).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_relay_that_stood_still_takes_nobody_back() {
    let relays = Relays::start(3, &[]);
    let mut owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(0), 500).await;
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let mut idle = Person::join(&relays[0], &relays[0].api(), "Idle").await;
    owl.sees(fox.id()).await;
    relays[0].pause();
    // This waits there until the relay goes on. Of Idle, who is nowhere yet, it can hear from nobody.
    fox.send_say(MessageId::random(), "from before").await;
    idle.send_locate(beside(3), 500).await;
    let mut moved = Vec::new();
    for (created, name) in [(&fox.created, "Vixen"), (&idle.created, "Busy")] {
        let mut person = Person::resume(&relays[1], created.clone()).await;
        assert!(person.welcome.resumed);
        person.rename(name).await;
        moved.push(person);
    }
    relays[0].go_on();
    assert_eq!(fox.closed().await, Closed::With(4409));
    assert_eq!(idle.closed().await, Closed::With(4409));
    for relay in &relays.all {
        assert_eq!(health(relay, HealthStatus::Ok).await, None);
    }
    for (person, name) in moved.iter_mut().zip(["Vixen", "Busy"]) {
        person.settle().await;
        let third = Person::resume(&relays[2], person.created.clone()).await;
        assert_eq!(third.welcome.username.as_str(), name);
        assert_eq!(person.closed().await, Closed::With(4409));
    }
}
