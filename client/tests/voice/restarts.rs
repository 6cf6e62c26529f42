//! Calls over the TURN server of a relay that is replaced meanwhile.

use std::{net::UdpSocket, process::Command as Program};

use neartalk_client::{Command, EngineConfig};
use neartalk_rig::{redis::Redis, relay::Relay};
use tokio::time::{Duration, Instant};

use super::{Person, turn};

/// Longer than this nobody should be without the other's voice.
const SILENCE: Duration = Duration::from_secs(10);

/// A relay with a TURN server inside, and where it listens.
struct Replaceable {
    relay: Relay,
    flags: Vec<String>,
}

impl Replaceable {
    /// One that shares a Redis with others.
    fn start(redis: &Redis) -> Self {
        let turn = UdpSocket::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let flags = [
            "--redis-url",
            &redis.url(),
            "--turn-listen",
            &turn.to_string(),
        ];
        let relay = Relay::start(&flags).unwrap();
        let listen = relay.url().trim_start_matches("http://").to_owned();
        let flags = flags.into_iter().chain(["--listen", &listen]);
        Self {
            flags: flags.map(str::to_owned).collect(),
            relay,
        }
    }

    /// Ends it as whoever updates it does, and starts another one in its place.
    fn replace(&mut self) {
        self.relay.process().terminate().unwrap();
        let mut again = Program::new(Relay::program().unwrap());
        self.relay = Relay::run(again.args(&self.flags)).unwrap();
    }
}

/// Somebody on each of these relays, who hide their addresses and hear each other.
async fn call(on: [&Replaceable; 2]) -> [Person; 2] {
    let mut people = Vec::new();
    for (number, on) in on.into_iter().enumerate() {
        let hides = |config: &mut EngineConfig| config.voice.hide_address = true;
        let person = Person::start_with(&on.relay, number, hides).await;
        person.send(Command::VoiceJoin).await;
        people.push(person);
    }
    let [mut a, mut b] = <[_; 2]>::try_from(people).ok().unwrap();
    hear_each_other(&mut a, &mut b).await;
    [a, b]
}

async fn hear_each_other(a: &mut Person, b: &mut Person) {
    a.hears_tone(1).await;
    b.hears_tone(0).await;
}

/// Replaces a relay; how long it took from then on until these two heard each other again.
async fn silence_while(replaced: &mut Replaceable, a: &mut Person, b: &mut Person) -> Duration {
    let begun = Instant::now();
    replaced.replace();
    hear_each_other(a, b).await;
    // The first may have lost the other meanwhile.
    hear_each_other(a, b).await;
    let silence = begun.elapsed();
    println!("they heard each other again after {silence:.1?}");
    silence
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_over_the_turn_server_of_a_relay_outlives_its_restart() {
    let _turn = turn().await;
    let redis = Redis::start(&[]).unwrap();
    let mut relay = Replaceable::start(&redis);
    let [mut a, mut b] = call([&relay, &relay]).await;
    let silence = silence_while(&mut relay, &mut a, &mut b).await;
    assert!(silence < SILENCE, "{silence:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_over_two_relays_outlives_the_restart_of_both() {
    let _turn = turn().await;
    let redis = Redis::start(&[]).unwrap();
    let mut relays = [0, 1].map(|_| Replaceable::start(&redis));
    let [one, other] = &relays;
    let [mut a, mut b] = call([one, other]).await;
    // Their voices go over the one or the other.
    for relay in &mut relays {
        let silence = silence_while(relay, &mut a, &mut b).await;
        assert!(silence < SILENCE, "{silence:?}");
    }
}
