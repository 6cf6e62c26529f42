//! A Redis that is more than one server: a cluster, and a master that a sentinel watches.

use neartalk_relay::store::{redis::keys::Keys, region::Region};
use neartalk_rig::{ports, redis::Redis};
use neartalk_shared::{ServerFrame, http::HealthStatus};
use redis::{Client, Connection, FromRedisValue};

use crate::{
    common::{Person, Relay, beside, east, poll, spot},
    outage::health,
};

fn connect(redis: &Redis) -> Connection {
    Client::open(redis.url()).unwrap().get_connection().unwrap()
}

/// A server of a cluster, alone as yet.
fn member() -> Redis {
    let bus = ports::free().unwrap().port().to_string();
    // It is noticed soon when one of them dies.
    let flags = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
    Redis::start(&[&flags[..], &["--cluster-port", &bus]].concat()).unwrap()
}

/// Asks a server something about its cluster.
fn ask<T: FromRedisValue>(redis: &Redis, what: &[&str]) -> T {
    let mut command = redis::cmd("CLUSTER");
    command.arg(what).query(&mut connect(redis)).unwrap()
}

/// Makes a server known to another.
fn meet(redis: &Redis, other: &Redis) {
    let port_of_bus: Vec<String> = redis::cmd("CONFIG")
        .arg("GET")
        .arg("cluster-port")
        .query(&mut connect(other))
        .unwrap();
    let port = other.address().port().to_string();
    let () = ask(redis, &["MEET", "127.0.0.1", &port, &port_of_bus[1]]);
}

/// Waits until this server finds its cluster of so many whole.
async fn is_whole(redis: &Redis, count: usize) {
    poll("the cluster to be whole", async || {
        let info: String = ask(redis, &["INFO"]);
        let whole = info.contains("cluster_state:ok")
            && info.contains(&format!("cluster_known_nodes:{count}"));
        whole.then_some(())
    })
    .await;
}

/// A cluster of so many servers, each with its part of the slots.
async fn cluster(count: u16) -> Vec<Redis> {
    let servers: Vec<_> = (0..count).map(|_| member()).collect();
    let part = 16_384 / count;
    for (at, redis) in (0..).zip(&servers) {
        let last = if at + 1 == count {
            16_383
        } else {
            part * (at + 1) - 1
        };
        let (first, last) = ((part * at).to_string(), last.to_string());
        let () = ask(redis, &["ADDSLOTSRANGE", &first, &last]);
        if at > 0 {
            meet(redis, &servers[0]);
        }
    }
    for redis in &servers {
        is_whole(redis, servers.len()).await;
    }
    servers
}

fn url_of(servers: &[Redis]) -> String {
    let hosts: Vec<_> = servers.iter().map(|s| s.address().to_string()).collect();
    format!("redis+cluster://{}", hosts.join(","))
}

#[tokio::test]
async fn a_cluster_does_as_one_server_does() {
    let servers = cluster(3).await;
    let url = url_of(&servers);
    let relays = [0, 1].map(|_| Relay::start_with(&url, &[]));
    for relay in &relays {
        assert_eq!(health(relay, HealthStatus::Ok).await, None);
    }
    let mut pairs = Vec::new();
    for at in 0..8 {
        // Far apart, so that the regions are on different servers.
        let place = beside(at);
        let fox = Person::at(&relays[0], &relays[0].api(), "Fox", place, 2_000).await;
        let place = east(place, 500.0);
        let owl = Person::at(&relays[1], &relays[1].api(), "Owl", place, 2_000).await;
        pairs.push((fox, owl));
    }
    for (fox, owl) in &mut pairs {
        fox.sees(owl.id()).await;
        assert_eq!(fox.say("across").await.reached, 1);
        assert_eq!(owl.hears().await.text.as_str(), "across");
        fox.join_voice().await;
        owl.join_voice().await;
        fox.meets_in_voice(owl.id()).await;
        owl.meets_in_voice(fox.id()).await;
        fox.signal(owl.id(), neartalk_shared::frame::SignalData::Bye)
            .await;
        owl.signalled(fox.id()).await;
        let mut fox = Person::resume(&relays[1], fox.created.clone()).await;
        assert_eq!(fox.located().await.texts(), ["across"]);
    }
    for redis in &servers {
        let size: usize = redis::cmd("DBSIZE").query(&mut connect(redis)).unwrap();
        assert!(size > 0, "each server has a part");
    }
}

/// Moves a slot from one server of a cluster to the next, with what is in it.
fn move_slot(servers: &[Redis], slot: u16) {
    let owner = usize::from(slot / (16_384 / servers.len() as u16)).min(servers.len() - 1);
    let (from, to) = (&servers[owner], &servers[(owner + 1) % servers.len()]);
    let id = |redis: &Redis| -> String { ask(redis, &["MYID"]) };
    let slot = slot.to_string();
    let () = ask(to, &["SETSLOT", &slot, "IMPORTING", &id(from)]);
    let () = ask(from, &["SETSLOT", &slot, "MIGRATING", &id(to)]);
    let keys: Vec<String> = ask(from, &["GETKEYSINSLOT", &slot, "1000"]);
    let mut migrate = redis::cmd("MIGRATE");
    migrate.arg("127.0.0.1").arg(to.address().port()).arg("");
    migrate.arg(0).arg(5_000).arg("KEYS").arg(keys);
    migrate.exec(&mut connect(from)).unwrap();
    for redis in [to, from].into_iter().chain(
        servers
            .iter()
            .filter(|redis| redis.address() != from.address() && redis.address() != to.address()),
    ) {
        let () = ask(redis, &["SETSLOT", &slot, "NODE", &id(to)]);
    }
}

#[tokio::test]
async fn what_a_cluster_moves_to_another_server_is_heard_there() {
    let servers = cluster(3).await;
    let url = url_of(&servers);
    let relays = [0, 1].map(|_| Relay::start_with(&url, &[]));
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(0), 500).await;
    fox.sees(owl.id()).await;
    fox.say("before").await;
    owl.hears().await;
    // Where what is said at that place is, and where relays tell each other what concerns them alone.
    let region = Region::containing(spot(beside(0), 500).centre());
    let node = neartalk_relay::store::wire::NodeId::parse(&"0".repeat(16)).unwrap();
    let keys = Keys::new("neartalk".into());
    for channel in [keys.region_channel(region), keys.node_channel(node)] {
        let slot: u16 = redis::cmd("CLUSTER")
            .arg("KEYSLOT")
            .arg(&channel)
            .query(&mut connect(&servers[0]))
            .unwrap();
        move_slot(&servers, slot);
        fox.say("after").await;
        assert_eq!(owl.hears().await.text.as_str(), "after");
    }
    for person in [&mut fox, &mut owl] {
        person.join_voice().await;
    }
    fox.meets_in_voice(owl.id()).await;
    poll("a signal to arrive", async || {
        fox.signal(owl.id(), neartalk_shared::frame::SignalData::Bye)
            .await;
        let told = owl.settle().await;
        let mut signals = told
            .iter()
            .filter(|f| matches!(f, ServerFrame::Signal { .. }));
        signals.next().map(drop)
    })
    .await;
}

/// Two people each at places so far apart that all servers of a cluster have to do with them, on two
/// relays.
struct Couples {
    relays: [Relay; 2],
    all: Vec<[Person; 2]>,
    said: Vec<String>,
}

impl Couples {
    const COUNT: u32 = 12;

    async fn on(relays: [Relay; 2]) -> Self {
        let mut all = Vec::new();
        for at in 0..Self::COUNT {
            let fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(at), 500).await;
            let owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(at), 500).await;
            all.push([fox, owl]);
        }
        let said = Vec::new();
        Self { relays, all, said }
    }

    /// Each says something that the other hears.
    async fn talk(&mut self, text: &str) {
        for [fox, owl] in &mut self.all {
            fox.say(text).await;
            assert_eq!(owl.hears().await.text.as_str(), text);
            owl.say(text).await;
            assert_eq!(fox.hears().await.text.as_str(), text);
        }
        self.said.extend([text.to_owned(), text.to_owned()]);
    }

    /// Waits until both relays say this of themselves.
    async fn health(&self, status: HealthStatus) {
        for relay in &self.relays {
            health(relay, status).await;
        }
    }

    /// Newcomers on either relay see both, and read all that was said.
    async fn are_known_to_newcomers(&self) {
        for (at, [fox, owl]) in (0..).zip(&self.all) {
            for relay in &self.relays {
                let mut new = Person::join(relay, &relay.api(), "New").await;
                let located = new.locate(beside(at), 500).await;
                assert_eq!(located.texts(), self.said, "at {at}");
                let mut there = located.peers();
                there.retain(|peer| [fox.id(), owl.id()].contains(peer));
                assert_eq!(there.len(), 2, "at {at}");
                new.leave().await;
            }
        }
    }
}

#[tokio::test]
async fn a_server_of_a_cluster_dies_and_another_takes_its_place_or_it_comes_back_empty() {
    let mut servers = cluster(3).await;
    // The first has somebody who can stand in for it.
    let replica = member();
    meet(&replica, &servers[0]);
    let id: String = ask(&servers[0], &["MYID"]);
    for redis in servers.iter().chain([&replica]) {
        is_whole(redis, 4).await;
    }
    let () = ask(&replica, &["REPLICATE", &id]);
    let mut connection = connect(&replica);
    poll("the replica to be up to date", async || {
        let info: String = redis::cmd("INFO")
            .arg("replication")
            .query(&mut connection)
            .unwrap();
        info.contains("master_link_status:up").then_some(())
    })
    .await;
    let url = url_of(&servers);
    let relays = [0, 1].map(|_| Relay::start_with(&url, &["--messages-per-minute", "1000"]));
    let mut couples = Couples::on(relays).await;
    couples.talk("before").await;
    servers[0].kill();
    couples.health(HealthStatus::Degraded).await;
    couples.health(HealthStatus::Ok).await;
    couples.talk("with one in its place").await;
    couples.are_known_to_newcomers().await;
    // Nobody can for the second, which has forgotten everything when it is back.
    servers[1].kill();
    couples.health(HealthStatus::Degraded).await;
    servers[1].restart().unwrap();
    couples.health(HealthStatus::Ok).await;
    couples.talk("with one that knows nothing").await;
    couples.are_known_to_newcomers().await;
}

#[tokio::test]
async fn a_replica_that_becomes_the_master_is_found() {
    let mut master = Redis::start(&[]).unwrap();
    let replica_of = master.address().port().to_string();
    let replica = Redis::start(&["--replicaof", "127.0.0.1", &replica_of]).unwrap();
    let mut connection = connect(&replica);
    poll("the replica to be up to date", async || {
        let info: String = redis::cmd("INFO")
            .arg("replication")
            .query(&mut connection)
            .unwrap();
        info.contains("master_link_status:up").then_some(())
    })
    .await;
    let sentinel = Redis::start_sentinel("talk", &master).unwrap();
    let mut watching = connect(&sentinel);
    poll("the sentinel to know the replica", async || {
        let info: String = redis::cmd("INFO")
            .arg("sentinel")
            .query(&mut watching)
            .unwrap();
        (info.contains("status=ok") && info.contains("slaves=1")).then_some(())
    })
    .await;
    let url = format!("redis+sentinel://{}/talk", sentinel.address());
    let relays = [0, 1].map(|_| Relay::start_with(&url, &[]));
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(0), 500).await;
    fox.sees(owl.id()).await;
    fox.say("before").await;
    owl.hears().await;
    master.kill();
    for relay in &relays {
        health(relay, HealthStatus::Degraded).await;
    }
    for relay in &relays {
        health(relay, HealthStatus::Ok).await;
    }
    fox.say("after").await;
    assert_eq!(owl.hears().await.text.as_str(), "after");
    let mut elk = Person::join(&relays[1], &relays[1].api(), "Elk").await;
    assert_eq!(
        elk.locate(beside(0), 500).await.texts(),
        ["before", "after"]
    );
}

#[tokio::test]
async fn a_redis_behind_tls_is_as_good_and_one_that_nobody_vouches_for_is_not_taken() {
    let (redis, certificate) = Redis::start_tls().unwrap();
    let url = format!("rediss://{}", redis.address());
    let trust = [("SSL_CERT_FILE", certificate.to_str().unwrap())];
    let relays = [0, 1].map(|_| Relay::start_with_env(&url, &[], &trust));
    for relay in &relays {
        assert_eq!(health(relay, HealthStatus::Ok).await, None);
    }
    let mut fox = Person::at(&relays[0], &relays[0].api(), "Fox", beside(0), 500).await;
    let mut owl = Person::at(&relays[1], &relays[1].api(), "Owl", beside(0), 500).await;
    fox.sees(owl.id()).await;
    assert_eq!(fox.say("in secret").await.reached, 1);
    assert_eq!(owl.hears().await.text.as_str(), "in secret");
    // Without the certificate, and without TLS, there is no way to it.
    let stranger = Relay::start_with(&url, &[]);
    let reason = health(&stranger, HealthStatus::Degraded).await;
    assert!(reason.is_some(), "{}", stranger.output());
    let plain = Relay::start_with(&redis.url(), &[]);
    health(&plain, HealthStatus::Degraded).await;
    fox.say("still well").await;
}
