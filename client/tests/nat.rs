//! Voice between homes behind routers, with a relay and a TURN server on the internet between them:
//! real programs, a real coturn, real (if virtual) networks. Needs root.

#![cfg(target_os = "linux")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use neartalk_rig::{
    headless::Headless,
    netns::{Homes, Namespace, Nat, Pair},
    process::GUARD,
    relay::Relay,
    sound::{self, RATE},
    turn::TurnServer,
};
use serde_json::Value;

/// What each of the two says all the time.
const TONES: [f32; 2] = [440.0, 660.0];

/// Two homes, and what is on the internet between them.
struct World {
    // Fields are dropped in this order: what runs in the networks before these.
    relay: Relay,
    /// Unless the relay's own is used.
    coturn: Option<TurnServer>,
    homes: Homes,
    folder: PathBuf,
    /// Two cores have no time for two calls at once.
    _turn: MutexGuard<'static, ()>,
}

impl World {
    fn new(nat: Nat) -> Self {
        Self::with(nat, true)
    }

    /// With coturn, or with the TURN server that is inside the relay.
    fn with(nat: Nat, coturn: bool) -> Self {
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let number = NUMBER.fetch_add(1, Relaxed);
        let folder =
            std::env::temp_dir().join(format!("neartalk-nat-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let homes = Homes::new([nat; 2]).unwrap();
        let internet = homes.internet();
        let address = SocketAddr::from((Homes::servers(), 3478));
        let coturn = coturn
            .then(|| TurnServer::run(internet.command("turnserver"), address, "hush").unwrap());
        let mut relay = internet.command(Relay::program().unwrap());
        relay.args(["--listen", &format!("{}:8080", Homes::servers())]);
        match &coturn {
            Some(coturn) => {
                relay.args(["--ice-server", &coturn.stun_url()]);
                relay.args(["--turn-url", &coturn.turn_url(), "--turn-secret", "hush"]);
            }
            None => {
                relay.args(["--turn-listen", &address.to_string()]);
            }
        }
        let relay = Relay::run(&mut relay).unwrap();
        Self {
            relay,
            coturn,
            homes,
            folder,
            _turn: turn,
        }
    }

    /// Somebody at home, who has joined voice and says their tone.
    fn person(&self, home: usize, relay: &str, flags: &[&str]) -> Headless {
        let microphone = self.folder.join(format!("microphone-{home}.wav"));
        sound::write_wav(&microphone, &sound::tone(TONES[home], 0.3, 90.0)).unwrap();
        let host = self.homes.home(home).host();
        let mut command = host.command(env!("CARGO_BIN_EXE_neartalk-headless"));
        command.args([
            "--relay",
            relay,
            "--at",
            "52.5219,13.4132",
            "--voice",
            "--mic",
        ]);
        command
            .arg(microphone)
            .arg("--speaker")
            .arg(self.speaker(home));
        // What is said is no speech and is to arrive as it is.
        command.args(["--talk", "open", "--echo", "off", "--noise", "off"]);
        command
            .args(["--gain", "off", "--headset", "on"])
            .args(flags);
        Headless::run(&mut command).unwrap()
    }

    fn speaker(&self, home: usize) -> PathBuf {
        self.folder.join(format!("speaker-{home}.wav"))
    }

    /// Both of them, who hear each other.
    fn call(&self) -> [Headless; 2] {
        let mut people = [0, 1].map(|home| self.person(home, self.relay.url(), &[]));
        for home in [0, 1] {
            hears(&mut people, home);
        }
        people
    }

    /// For how long at most somebody did not hear the other, once they did at first and until they did
    /// last.
    fn longest_silence(&self, home: usize) -> Duration {
        const STEP: f64 = 0.02;
        let heard = read_wav(&self.speaker(home));
        let is_loud = |part: &[f32]| sound::amplitude_at(TONES[1 - home], part) > 0.1;
        let loud: Vec<bool> = heard.chunks(sound::samples(STEP)).map(is_loud).collect();
        let first = loud
            .iter()
            .position(|&loud| loud)
            .expect("something was heard");
        let last = loud.iter().rposition(|&loud| loud).unwrap_or(first);
        let silences = loud[first..=last].split(|&loud| loud).map(<[bool]>::len);
        Duration::from_secs_f64(STEP * silences.max().unwrap_or_default() as f64)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(coturn) = self.coturn.as_ref().filter(|_| thread::panicking()) {
            println!("coturn's log:\n{}", coturn.log());
        }
        // Whatever is left there harms nobody.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn read_wav(path: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(path).unwrap();
    assert_eq!(reader.spec().sample_rate, RATE);
    let channels = usize::from(reader.spec().channels);
    let samples = reader.samples::<i16>().step_by(channels);
    samples
        .map(|x| f32::from(x.unwrap()) / f32::from(i16::MAX))
        .collect()
}

/// What an event says of somebody.
fn of<'a>(event: &'a Value, kind: &str, peer_id: &str) -> Option<&'a Value> {
    let people = (event["type"] == kind).then(|| event["people"].as_array())??;
    people.iter().find(|person| person["peer_id"] == peer_id)
}

/// Waits until one hears the other.
fn hears(people: &mut [Headless; 2], home: usize) {
    let other = people[1 - home].peer_id().to_owned();
    let what = format!("home {home} to hear the other");
    let heard = people[home].wait(&what, |event| {
        let level = of(event, "voice_levels", &other)?["dbfs"].as_i64()?;
        (level > -30).then_some(())
    });
    heard.unwrap();
}

/// Waits until one knows that the way to the other is over the TURN server, or is not.
fn goes(people: &mut [Headless; 2], home: usize, relayed: bool) -> Value {
    let other = people[1 - home].peer_id().to_owned();
    let quality = people[home].wait(&format!("relayed: {relayed}"), |event| {
        let quality = of(event, "voice_quality", &other)?;
        (quality["relayed"] == relayed && quality["first_sound_ms"].is_u64())
            .then(|| quality.clone())
    });
    quality.unwrap()
}

/// Waits until so many packets have come over the TURN server that there is sound among them.
fn hears_over_turn(world: &World, people: &mut [Headless; 2], home: usize) {
    let came = people[home].wait("sound over the TURN server", |_| {
        let arrived = world.homes.home(home).arrived().unwrap();
        (arrived.from_servers > 50).then_some(())
    });
    came.unwrap();
}

#[test]
fn behind_cone_routers_they_talk_directly() {
    let world = World::new(Nat::Cone);
    let mut people = world.call();
    for home in [0, 1] {
        let quality = goes(&mut people, home, false);
        println!("home {home}, directly: {quality}");
        assert!(world.homes.home(home).arrived().unwrap().from_others > 0);
    }
}

#[test]
fn behind_symmetric_routers_they_talk_over_the_turn_server() {
    let world = World::new(Nat::Symmetric);
    let mut people = world.call();
    for home in [0, 1] {
        let quality = goes(&mut people, home, true);
        println!("home {home}, over TURN: {quality}");
    }
    assert!(world.coturn.as_ref().unwrap().allocations() > 0);
}

#[test]
fn behind_symmetric_routers_they_talk_over_the_relays_own_turn_server() {
    let world = World::with(Nat::Symmetric, false);
    let mut people = world.call();
    for home in [0, 1] {
        let quality = goes(&mut people, home, true);
        println!("home {home}, over the relay's TURN server: {quality}");
        hears_over_turn(&world, &mut people, home);
    }
}

#[test]
fn who_has_an_open_way_uses_the_relays_turn_server_only_to_be_told_their_address() {
    let world = World::with(Nat::Cone, false);
    let mut people = world.call();
    for home in [0, 1] {
        goes(&mut people, home, false);
        assert!(world.homes.home(home).arrived().unwrap().from_others > 0);
    }
}

/// Carries connections from a port at home to the relay, and remembers all that the relay says.
struct Listener {
    url: String,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Listener {
    fn start(home: &Namespace) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let listener = home
            .inside(|| TcpListener::bind("127.0.0.1:0"))
            .unwrap()
            .unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let relay = SocketAddr::from((Homes::servers(), 8080));
        // Connections that are made ahead go out from where they were made. A client needs two.
        let ahead: Vec<_> = (0..2)
            .map(|_| home.inside(|| TcpStream::connect(relay)).unwrap().unwrap())
            .collect();
        let keeps = Arc::clone(&heard);
        thread::spawn(move || {
            for to_relay in ahead {
                let Ok((to_client, _)) = listener.accept() else {
                    return;
                };
                let pair = (
                    to_client.try_clone().unwrap(),
                    to_relay.try_clone().unwrap(),
                );
                thread::spawn(move || carry(pair.0, pair.1, |_| ()));
                let keeps = Arc::clone(&keeps);
                thread::spawn(move || {
                    carry(to_relay, to_client, |bytes| {
                        keeps.lock().unwrap().extend(bytes)
                    });
                });
            }
        });
        Self { url, heard }
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

/// Carries bytes until one end has no more.
fn carry(mut from: TcpStream, mut to: TcpStream, mut each: impl FnMut(&[u8])) {
    let mut buffer = [0; 4_096];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        each(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            return;
        }
    }
    // The other end may be gone already.
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// All IP addresses in a text, but those that stand for none.
fn addresses(text: &str) -> BTreeSet<IpAddr> {
    text.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':')))
        .map(|word| word.trim_end_matches(['.', ':']))
        .filter(|word| word.contains("::") || word.matches('.').count() == 3)
        .filter_map(|word| word.parse().ok())
        .filter(|address: &IpAddr| !address.is_unspecified())
        .collect()
}

#[test]
fn who_hides_their_address_shows_only_the_turn_servers() {
    hides(&World::new(Nat::Cone), &[]);
}

#[test]
fn who_hides_their_address_shows_only_the_relays_even_to_who_does_not() {
    hides(&World::with(Nat::Cone, false), &[]);
}

#[test]
fn two_who_hide_their_addresses_talk_over_the_relays_own_turn_server() {
    hides(&World::with(Nat::Cone, false), &["--hide-address"]);
}

/// Somebody hides their address from somebody with these flags.
fn hides(world: &World, flags: &[&str]) {
    let listener = Listener::start(world.homes.home(1).host());
    let mut people = [
        world.person(0, world.relay.url(), &["--hide-address"]),
        world.person(1, &listener.url, flags),
    ];
    for home in [0, 1] {
        hears(&mut people, home);
        let quality = goes(&mut people, home, true);
        println!("home {home}, over TURN: {quality}");
    }
    hear_each_other_for(&mut people, Duration::from_secs(1));
    // All that the other side was told.
    let told = listener.heard();
    assert!(
        told.contains("a=fingerprint") && told.contains(" typ relay"),
        "{told}"
    );
    for word in [" typ host", " typ srflx", " typ prflx", ".local"] {
        assert!(!told.contains(word), "{word}: {told}");
    }
    let only = BTreeSet::from([IpAddr::from(Homes::servers())]);
    assert_eq!(addresses(&told), only, "{told}");
    // And all that arrived, at either side.
    for home in [0, 1] {
        hears_over_turn(world, &mut people, home);
        let arrived = world.homes.home(home).arrived().unwrap();
        println!("at home {home} arrived {arrived:?}");
        assert_eq!(arrived.from_others, 0);
    }
}

#[test]
fn what_is_looked_for_in_signals_is_found() {
    let candidate = "a=candidate:1 1 udp 1 192.168.100.2 5000 typ srflx raddr 2001:db8::7 rport 0";
    let found = addresses(&format!(
        "c=IN IP4 0.0.0.0\\r\\n{candidate}\\r\\na=fingerprint:sha-256 AB:CD"
    ));
    let [v4, v6] = ["192.168.100.2", "2001:db8::7"].map(|address| address.parse().unwrap());
    assert_eq!(found, BTreeSet::from([v4, v6]));
}

/// Waits until both have heard each other without a gap for so long.
fn hear_each_other_for(people: &mut [Headless; 2], time: Duration) {
    for home in [0, 1] {
        let other = people[1 - home].peer_id().to_owned();
        let mut since = None;
        people[home]
            .wait("uninterrupted sound", |event| {
                if event["type"] != "voice_levels" {
                    return None;
                }
                let level = of(event, "voice_levels", &other).and_then(|of| of["dbfs"].as_i64());
                if level.is_some_and(|level| level > -30) {
                    let since = since.get_or_insert_with(Instant::now);
                    (since.elapsed() >= time).then_some(())
                } else {
                    since = None;
                    None
                }
            })
            .unwrap();
    }
}

/// For how long at most either of them did not hear the other.
fn silences(world: &World, people: [Headless; 2]) -> [Duration; 2] {
    for mut person in people {
        person.say("/quit").unwrap();
        while person.listen(GUARD).is_ok() {}
    }
    [0, 1].map(|home| world.longest_silence(home))
}

#[test]
fn after_a_change_of_network_they_hear_each_other_again() {
    let mut world = World::new(Nat::Cone);
    let mut people = world.call();
    hear_each_other_for(&mut people, Duration::from_secs(1));
    let before = world.homes.home(0).address();
    world.homes.moves(0).unwrap();
    assert_ne!(world.homes.home(0).address(), before);
    hear_each_other_for(&mut people, Duration::from_secs(2));
    let silences = silences(&world, people);
    println!("silent after a change of network: {silences:?}");
    // The goal is 3 s.
    assert!(
        silences
            .iter()
            .all(|silence| *silence <= Duration::from_secs(6)),
        "{silences:?}"
    );
}

#[test]
fn after_five_seconds_of_nothing_they_hear_each_other_again() {
    const CUT: Duration = Duration::from_secs(5);
    let world = World::new(Nat::Cone);
    let mut people = world.call();
    hear_each_other_for(&mut people, Duration::from_secs(1));
    let home = world.homes.home(0);
    home.cut(true).unwrap();
    people[1].listen(CUT).unwrap();
    home.cut(false).unwrap();
    hear_each_other_for(&mut people, Duration::from_secs(2));
    let silences = silences(&world, people);
    println!("silent while and after {CUT:?} without a network: {silences:?}");
    // The goal is 1 s more.
    let bounds = CUT - Duration::from_secs(1)..CUT + Duration::from_secs(2);
    assert!(
        silences.iter().all(|silence| bounds.contains(silence)),
        "{silences:?}"
    );
}

#[test]
fn a_network_that_leads_nowhere_else_is_enough() {
    // Not even a way for multicast is there.
    let network = Pair::new().unwrap();
    let mut relay = network.host(0).command(Relay::program().unwrap());
    let listen = format!("{}:8080", Pair::address(0));
    let relay = Relay::run(relay.args(["--listen", &listen])).unwrap();
    let mut people = [0, 1].map(|host| {
        let mut command = network
            .host(host)
            .command(env!("CARGO_BIN_EXE_neartalk-headless"));
        command.args(["--relay", relay.url(), "--at", "52.5219,13.4132", "--voice"]);
        command.args(["--input", "none", "--output", "none"]);
        Headless::run(&mut command).unwrap()
    });
    let ids = [0, 1].map(|n: usize| people[n].peer_id().to_owned());
    people[0].wait_connected(&ids[1]).unwrap();
    people[1].wait_connected(&ids[0]).unwrap();
}
