//! TURN credentials, and what a real TURN server makes of them.

use neartalk_rig::turn::{Allocation, TurnServer};
use neartalk_shared::{ServerFrame, frame::IceServer};

use crate::common::{Person, Relay, beside, poll};

const SECRET: &str = "what relay and coturn share";

/// Joins voice; what there is to connect through.
pub async fn ice_servers(person: &mut Person) -> Vec<IceServer> {
    match person.join_voice().await {
        ServerFrame::VoiceReady { ice_servers, .. } => ice_servers,
        other => unreachable!("join_voice waits for it: {other:?}"),
    }
}

/// The only name and credential among them.
pub fn credentials(servers: &[IceServer]) -> (&str, &str) {
    let mut named = servers.iter().filter_map(|server| {
        let credential = server.credential.as_deref();
        Some((server.username.as_deref()?, credential?))
    });
    let credentials = named.next().expect("there is one");
    assert_eq!(named.next(), None);
    credentials
}

#[tokio::test]
async fn coturn_serves_whoever_joined_voice_and_nobody_else() {
    let coturn = TurnServer::start(SECRET).unwrap();
    let turn = coturn.turn_url();
    let relay = Relay::start(&[
        "--ice-server",
        &coturn.stun_url(),
        "--turn-url",
        &turn,
        "--turn-secret",
        SECRET,
        "--log",
        "trace",
    ]);
    let mut fox = Person::at(&relay, &relay.api(), "Fox", beside(0), 500).await;
    let servers = ice_servers(&mut fox).await;
    assert_eq!(servers[0].urls, [coturn.stun_url()]);
    assert_eq!(servers[1].urls, [turn]);
    let (username, credential) = credentials(&servers);
    let (until, id) = username.split_once(':').unwrap();
    assert_eq!(id, fox.id().to_string());
    let ends_in = until.parse::<u64>().unwrap() - fox.welcome.server_time.as_millis() / 1_000;
    assert!((86_390..86_410).contains(&ends_in), "{ends_in} s");

    let allocate = |username: &str| coturn.allocate(username, credential).unwrap();
    assert_eq!(allocate(username), Allocation::Granted);
    // Neither another name nor a longer time is covered by the signature.
    assert_eq!(
        allocate(&username.replace(id, "SOMEBODY")),
        Allocation::Refused
    );
    assert_eq!(
        allocate(&username.replace(until, "4102444800")),
        Allocation::Refused
    );
    let altered = coturn
        .allocate(username, &credential.to_lowercase())
        .unwrap();
    assert_eq!(altered, Allocation::Refused);

    let printed = relay.output();
    assert!(
        printed.contains("DEBUG") && !printed.contains(SECRET),
        "{printed}"
    );
    let seen = fox.seen.join("\n");
    assert!(!seen.contains(SECRET), "{seen}");
}

#[tokio::test]
async fn credentials_expire_and_joining_again_brings_fresh_ones() {
    let coturn = TurnServer::start(SECRET).unwrap();
    let file = std::env::temp_dir().join(format!("neartalk-secret-{}", std::process::id()));
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let path = file.to_str().unwrap();
    let flags = ["--turn-secret-file", path, "--turn-ttl", "2s"];
    let relay = Relay::start(&[&["--turn-url", &coturn.turn_url()], &flags[..]].concat());
    std::fs::remove_file(&file).unwrap();
    let mut fox = Person::at(&relay, &relay.api(), "Fox", beside(0), 500).await;
    let servers = ice_servers(&mut fox).await;
    let (username, credential) = credentials(&servers);
    poll("the credential's end", async || {
        let allocated = coturn.allocate(username, credential).unwrap();
        (allocated == Allocation::Refused).then_some(())
    })
    .await;
    let servers = ice_servers(&mut fox).await;
    let (username, credential) = credentials(&servers);
    let allocated = coturn.allocate(username, credential).unwrap();
    assert_eq!(allocated, Allocation::Granted);
}
