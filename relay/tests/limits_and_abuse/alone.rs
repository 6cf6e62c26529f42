//! A relay without a Redis keeps everything to itself.

use neartalk_shared::ErrorCode;

use crate::common::{Closed, Person, Relay, Socket, beside};

#[tokio::test]
async fn a_relay_that_was_killed_knows_nobody_when_it_is_back() {
    let mut relay = Relay::start(&[]);
    let api = relay.api();
    let mut fox = Person::at(&relay, &api, "Fox", beside(0), 500).await;
    fox.say("before").await;
    relay.kill9().await;
    assert_eq!(fox.closed().await, Closed::Abruptly);
    relay.restart_on_same_port();
    let mut socket = Socket::open(&relay).await;
    socket.hello(fox.created.session_id).await;
    socket.expect_error(ErrorCode::Unauthorized).await;
    assert_eq!(socket.closed().await, Closed::With(4401));
    let mut fox = Person::join(&relay, &api, "Fox").await;
    assert!(!fox.welcome.resumed);
    assert_eq!(fox.locate(beside(0), 500).await.texts(), [""; 0]);
}
