//! Networks that die, relays that are killed, time that passes.

use neartalk_client::{ConnectionState, Event, RemovedReason};

use crate::{
    common::{Relay, beside, poll},
    engine::Someone,
    wire::Wire,
};

/// Waits until the client says that it is online again.
async fn until_online(someone: &mut Someone) {
    let online = |e: &Event| matches!(e, Event::Connection(ConnectionState::Online)).then_some(());
    someone.until("Online", online).await;
}

async fn until_offline(someone: &mut Someone) {
    let offline =
        |e: &Event| matches!(e, Event::Connection(ConnectionState::Offline { .. })).then_some(());
    someone.until("Offline", offline).await;
}

#[tokio::test]
async fn a_network_that_dies_in_mid_sentence_loses_and_doubles_nothing() {
    let relay = Relay::start(&[]);
    let wire = Wire::to(relay.address).await;
    let mut fox = Someone::at(&wire.url, beside(0), 500).await;
    let mut owl = Someone::at(&relay.url(), beside(0), 500).await;
    until_online(&mut fox).await;

    // The relay hears this one, but its answer never arrives.
    wire.deafen();
    let unanswered = fox.say("can you hear me").await;
    let heard = |e: &Event| match e {
        Event::Message { message } if message.id == unanswered => Some(message.from),
        _ => None,
    };
    let from = owl.until("the unanswered message", heard).await;
    assert_eq!(from, fox.peer_id);
    poll("the lost answer", async || {
        (wire.swallowed() > 0).then_some(())
    })
    .await;
    wire.die();
    until_offline(&mut fox).await;

    // These are said while there is no network at all.
    let offline = [fox.say("hello").await, fox.say("anyone").await];
    for id in offline {
        let queued = |e: &Event| matches!(e, Event::Queued { id: i, .. } if *i == id).then_some(());
        fox.until("Queued", queued).await;
    }
    wire.heal();
    until_online(&mut fox).await;
    assert_eq!(
        fox.until_sent(unanswered).await,
        1,
        "the same answer as the one that was lost"
    );
    for id in offline {
        assert_eq!(fox.until_sent(id).await, 1);
    }
    let texts: Vec<_> = owl
        .heard()
        .await
        .into_iter()
        .map(|(from, text)| {
            assert_eq!(from, fox.peer_id, "still the same person");
            text
        })
        .collect();
    assert_eq!(texts, ["hello", "anyone"]);
}

#[tokio::test]
async fn a_relay_that_is_killed_and_back_gets_what_was_said_meanwhile_once() {
    let mut relay = Relay::start(&[]);
    let mut fox = Someone::at(&relay.url(), beside(0), 500).await;
    let mut owl = Someone::at(&relay.url(), beside(0), 500).await;
    until_online(&mut fox).await;
    until_online(&mut owl).await;
    assert_eq!(fox.say_and_reach("before").await, 1);
    relay.kill9().await;
    until_offline(&mut fox).await;
    until_offline(&mut owl).await;
    let id = fox.say("meanwhile").await;
    relay.restart_on_same_port();

    // The old sessions went with the relay's memory; both clients say so, and go on.
    for someone in [&mut fox, &mut owl] {
        let former = someone.peer_id;
        let replaced = |e: &Event| match e {
            Event::SessionReplaced { former_peer_id, .. } => Some(*former_peer_id),
            _ => None,
        };
        assert_eq!(someone.until("SessionReplaced", replaced).await, former);
        let me = |e: &Event| match e {
            Event::Me(me) if me.peer_id != former => Some(me.peer_id),
            _ => None,
        };
        someone.peer_id = someone.until("Me", me).await;
        until_online(someone).await;
    }
    fox.until_sent(id).await;
    // Live or from the history, whichever of the two came back first.
    let arrived = |e: &Event| match e {
        Event::Message { message } if message.id == id => Some(message.from),
        Event::History { messages } => messages.iter().find(|m| m.id == id).map(|m| m.from),
        _ => None,
    };
    assert_eq!(
        owl.until("what was said meanwhile", arrived).await,
        fox.peer_id
    );
    let again = owl.heard().await;
    assert!(
        again.iter().all(|(_, text)| text != "meanwhile"),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_message_whose_time_is_up_is_gone_from_relay_and_clients() {
    let relay = Relay::start(&["--message-ttl", "3s"]);
    let mut fox = Someone::at(&relay.url(), beside(0), 500).await;
    let mut owl = Someone::at(&relay.url(), beside(0), 500).await;
    let id = fox.say("soon gone").await;
    fox.until_sent(id).await;
    // Who comes later still reads it …
    let mut late = Someone::at(&relay.url(), beside(0), 500).await;
    let in_history = |e: &Event| match e {
        Event::History { messages } => messages.iter().any(|m| m.id == id).then_some(()),
        _ => None,
    };
    late.until("the history", in_history).await;
    // … and when its time is up it goes from every screen.
    for someone in [&mut fox, &mut owl, &mut late] {
        let removed = |e: &Event| match e {
            Event::Removed {
                ids,
                reason: RemovedReason::Expired,
            } => ids.contains(&id).then_some(()),
            _ => None,
        };
        someone.until("the end of the message", removed).await;
    }
    let mut too_late = Someone::at(&relay.url(), beside(0), 500).await;
    assert!(too_late.heard().await.is_empty());
}
