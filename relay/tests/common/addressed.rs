//! People whom a relay takes for ones from other addresses.

use neartalk_shared::{Place, http::CreatedSession};
use serde_json::json;

use super::{Api, Person, Raw, Relay, Socket};

/// Flags for a relay that believes what the tests say of their addresses.
pub const PROXY: [&str; 2] = ["--trusted-proxy", "127.0.0.1"];

/// A socket that comes from `address`.
pub async fn socket_from(relay: &Relay, address: &str) -> Socket {
    let raw = Raw::connect(relay).await;
    Socket::open_on(raw.stream, relay, &[("x-forwarded-for", address)]).await
}

/// A session's owner, who comes from `address`.
pub async fn resume_from(relay: &Relay, address: &str, created: CreatedSession) -> Person {
    Person::resume_on(socket_from(relay, address).await, created).await
}

/// Somebody new at a place, who comes from `address`.
pub async fn person_from(relay: &Relay, address: &str, name: &str, place: Place) -> Person {
    let created = relay.api().forwarding(address).session(name).await;
    let mut person = resume_from(relay, address, created).await;
    person.locate(place, 500).await;
    person
}

/// Whether somebody new may come from `address`.
pub async fn may_come(api: &Api, address: &str) -> bool {
    let answer = api.forwarding(address).create(json!({})).await;
    assert!([201, 403].contains(&answer.status), "{}", answer.text);
    answer.status == 201
}
