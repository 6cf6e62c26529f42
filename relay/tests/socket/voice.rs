//! Voice: who connects to whom. The relay only introduces people and passes on what they say.

use neartalk_shared::{
    ClientFrame, ErrorCode, PeerId, ServerFrame,
    frame::{SdpType, SignalData},
    limits::VOICE_MAX_PEERS,
};

use super::ticked;
use crate::common::{Person, Relay, beside, centre, east, poll};

fn offer(sdp: &str) -> SignalData {
    SignalData::Description {
        sdp_type: SdpType::Offer,
        sdp: sdp.to_owned(),
    }
}

/// Two people on one spot who are both in voice.
async fn in_voice(relay: &Relay) -> (Person, Person) {
    let api = relay.api();
    let mut fox = Person::at(relay, &api, "Fox", beside(0), 500).await;
    let mut owl = Person::at(relay, &api, "Owl", beside(0), 500).await;
    fox.join_voice().await;
    owl.join_voice().await;
    fox.meets_in_voice(owl.id()).await;
    owl.meets_in_voice(fox.id()).await;
    (fox, owl)
}

#[tokio::test]
async fn voice_ready_names_the_servers_to_connect_through() {
    let urls = [
        "stun:stun.example:3478",
        "turn:turn.example:3478?transport=udp",
    ];
    let relay = Relay::start(&["--ice-server", urls[0], "--ice-server", urls[1]]);
    let mut fox = Person::at(&relay, &relay.api(), "Fox", beside(0), 500).await;
    let ServerFrame::VoiceReady {
        ice_servers,
        max_peers,
    } = fox.join_voice().await
    else {
        unreachable!("join_voice waits for it");
    };
    assert_eq!(max_peers, VOICE_MAX_PEERS);
    let named: Vec<_> = ice_servers.iter().flat_map(|server| &server.urls).collect();
    assert_eq!(named, urls.iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn those_in_voice_and_in_range_are_introduced_with_opposite_roles() {
    let relay = Relay::start(&[]);
    let api = relay.api();
    let here = centre(beside(0), 500);
    let mut people = Vec::new();
    for name in ["One", "Two", "Three"] {
        people.push(Person::at(&relay, &api, name, here, 500).await);
    }
    let mut listener = Person::at(&relay, &api, "Listener", here, 500).await;
    let mut far = Person::at(&relay, &api, "Far", east(here, 1_500.0), 2_000).await;
    far.join_voice().await;
    for person in &mut people {
        person.join_voice().await;
    }
    let ids: Vec<PeerId> = people.iter().map(Person::id).collect();
    let mut polite = [[false; 3]; 3];
    for (i, person) in people.iter_mut().enumerate() {
        for (j, id) in ids.iter().enumerate().filter(|(j, _)| *j != i) {
            polite[i][j] = person.meets_in_voice(*id).await;
        }
    }
    for (i, row) in polite.iter().enumerate() {
        for (j, role) in row.iter().enumerate().filter(|(j, _)| *j != i) {
            assert_ne!(*role, polite[j][i], "{i} and {j}: {polite:?}");
        }
    }
    // Nobody is introduced twice, to themselves, to somebody out of range or who only listens.
    let introduced = |frames: &[ServerFrame]| {
        frames
            .iter()
            .filter(|f| matches!(f, ServerFrame::VoicePeer { .. }))
            .count()
    };
    for person in people.iter_mut().chain([&mut listener, &mut far]) {
        assert_eq!(introduced(&person.settle().await), 0);
    }
}

#[tokio::test]
async fn everyone_in_range_sees_who_is_in_voice_and_how() {
    let relay = Relay::start(&[]);
    let (mut fox, mut owl) = in_voice(&relay).await;
    let api = relay.api();
    let mut listener = Person::join(&relay, &api, "Listener").await;
    let located = listener.locate(beside(0), 500).await;
    assert_eq!(located.people.len(), 2);
    assert!(
        located
            .people
            .iter()
            .all(|p| p.in_voice && !p.muted && !p.deafened)
    );

    for (muted, deafened) in [(true, false), (true, true), (false, false)] {
        fox.send(&ClientFrame::VoiceState { muted, deafened }).await;
        for viewer in [&mut owl, &mut listener] {
            let seen = loop {
                let seen = viewer.sees_change(fox.id()).await;
                if (seen.muted, seen.deafened) == (muted, deafened) {
                    break seen;
                }
            };
            assert!(seen.in_voice);
        }
    }
    fox.send(&ClientFrame::VoiceState {
        muted: true,
        deafened: true,
    })
    .await;
    fox.settle().await;
    // Whoever joins later is told at once.
    listener.join_voice().await;
    let state = listener
        .wait("voice_peer", |frame| match frame {
            ServerFrame::VoicePeer {
                peer_id,
                muted,
                deafened,
                ..
            } => (*peer_id == fox.id()).then_some((*muted, *deafened)),
            _ => None,
        })
        .await;
    assert_eq!(state, (true, true));
    fox.send(&ClientFrame::VoiceLeave).await;
    while listener.sees_change(fox.id()).await.in_voice {}
}

#[tokio::test]
async fn signals_go_to_whom_they_are_for_and_unchanged() {
    let relay = Relay::start(&[]);
    let (mut fox, mut owl) = in_voice(&relay).await;
    let api = relay.api();
    let mut third = Person::at(&relay, &api, "Third", beside(0), 500).await;
    third.join_voice().await;
    let description = SignalData::Description {
        sdp_type: SdpType::Answer,
        sdp: "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=\u{1f98a} \"quoted\" \\ \r\n".into(),
    };
    for data in [
        description,
        offer(""),
        offer(&"x".repeat(32 * 1024)),
        SignalData::Candidate {
            candidate: "candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host".into(),
            sdp_mid: Some("0".into()),
            sdp_m_line_index: Some(0),
        },
        SignalData::Candidate {
            candidate: String::new(),
            sdp_mid: None,
            sdp_m_line_index: None,
        },
        SignalData::Bye,
    ] {
        fox.signal(owl.id(), data.clone()).await;
        assert_eq!(owl.signalled(fox.id()).await, data);
        owl.signal(fox.id(), data.clone()).await;
        assert_eq!(fox.signalled(owl.id()).await, data);
    }
    let frames = third.settle().await;
    assert!(
        !frames
            .iter()
            .any(|f| matches!(f, ServerFrame::Signal { .. })),
        "{frames:?}"
    );
}

#[tokio::test]
async fn leaving_voice_parts_both_sides() {
    let relay = Relay::start(&[]);
    let (mut fox, mut owl) = in_voice(&relay).await;
    fox.send(&ClientFrame::VoiceLeave).await;
    owl.parts_in_voice(fox.id()).await;
    fox.signal(owl.id(), SignalData::Bye).await;
    fox.expect_error(ErrorCode::NotInRange).await;
    owl.signal(fox.id(), SignalData::Bye).await;
    owl.expect_error(ErrorCode::NotInRange).await;
    // They still share a place.
    assert_eq!(fox.say("bye").await.reached, 1);
    // And can meet again, with roles as opposite as before.
    fox.join_voice().await;
    let (a, b) = (
        fox.meets_in_voice(owl.id()).await,
        owl.meets_in_voice(fox.id()).await,
    );
    assert_ne!(a, b);
}

/// Joins voice a second time; whom `voice_peer` named then, and what else came.
async fn joins_again(person: &mut Person) -> (Vec<PeerId>, Vec<ServerFrame>) {
    person.join_voice().await;
    let mut named = Vec::new();
    let mut rest = person.settle().await;
    rest.retain(|frame| match frame {
        ServerFrame::VoicePeer { peer_id, .. } => {
            named.push(*peer_id);
            false
        }
        _ => true,
    });
    (named, rest)
}

/// Sends a signal; whether there is nobody to take it.
async fn is_refused(person: &mut Person, to: PeerId) -> bool {
    person.signal(to, SignalData::Bye).await;
    let answers = person.settle().await;
    answers.iter().any(|frame| {
        matches!(frame, ServerFrame::Error { error, .. } if error.code == ErrorCode::NotInRange)
    })
}

fn is_of_voice(frame: &ServerFrame) -> bool {
    matches!(
        frame,
        ServerFrame::VoiceReady { .. }
            | ServerFrame::VoicePeer { .. }
            | ServerFrame::VoicePeerLeft { .. }
    )
}

#[tokio::test]
async fn a_lost_connection_leaves_voice_as_it_is_for_a_while() {
    let relay = Relay::start(&[]);
    let (fox, mut owl) = in_voice(&relay).await;
    let (id, created) = (fox.id(), fox.created.clone());
    drop(fox);
    // Until the relay has noticed, signals to the lost socket are taken.
    poll("the loss to be noticed", async || {
        is_refused(&mut owl, id).await.then_some(())
    })
    .await;
    let mut fox = Person::resume(&relay, created.clone()).await;
    fox.located().await;
    // The peers' connection lives on, and can be mended at once.
    for taken_over in [false, true] {
        owl.signal(id, offer("restart")).await;
        assert_eq!(fox.signalled(owl.id()).await, offer("restart"));
        fox.signal(owl.id(), offer("so be it")).await;
        assert_eq!(owl.signalled(id).await, offer("so be it"));
        let (named, _) = joins_again(&mut fox).await;
        assert_eq!(named, [owl.id()]);
        if !taken_over {
            let old = fox;
            fox = Person::resume(&relay, created.clone()).await;
            let told = fox.settle().await;
            assert!(!told.iter().any(is_of_voice), "{told:?}");
            drop(old);
        }
    }
    let heard = owl.settle().await;
    assert!(!heard.iter().any(is_of_voice), "{heard:?}");
}

#[tokio::test]
async fn joining_again_keeps_who_is_muted_muted() {
    let relay = Relay::start(&[]);
    let (mut fox, mut owl) = in_voice(&relay).await;
    fox.send(&ClientFrame::VoiceState {
        muted: true,
        deafened: false,
    })
    .await;
    let (named, _) = joins_again(&mut fox).await;
    assert_eq!(named, [owl.id()]);
    // Whoever comes sees everybody as they are, and hears so when introduced.
    let mut third = Person::join(&relay, &relay.api(), "Third").await;
    let located = third.locate(beside(0), 500).await;
    let seen = located
        .people
        .iter()
        .find(|p| p.peer_id == fox.id())
        .unwrap();
    assert!(seen.in_voice && seen.muted && !seen.deafened, "{seen:?}");
    let (named, rest) = joins_again(&mut owl).await;
    assert_eq!(named, [fox.id()]);
    assert!(!rest.iter().any(is_of_voice), "{rest:?}");
}

#[tokio::test]
async fn closing_the_socket_to_leave_ends_voice() {
    let relay = Relay::start(&[]);
    let (mut fox, mut owl) = in_voice(&relay).await;
    let id = fox.id();
    fox.leave().await;
    owl.parts_in_voice(id).await;
}

#[tokio::test]
async fn walking_away_parts_and_coming_back_introduces_again() {
    let relay = Relay::start(&["--location-burst", "100"]);
    let (mut fox, mut owl) = in_voice(&relay).await;
    // A circle too small is as far away as a place.
    let api = relay.api();
    let there = east(beside(0), 700.0);
    fox.locate(there, 500).await;
    fox.parts_in_voice(owl.id()).await;
    owl.parts_in_voice(fox.id()).await;
    fox.signal(owl.id(), offer("anybody?")).await;
    fox.expect_error(ErrorCode::NotInRange).await;
    fox.locate(there, 1_000).await;
    owl.locate(beside(0), 1_000).await;
    let (a, b) = (
        fox.meets_in_voice(owl.id()).await,
        owl.meets_in_voice(fox.id()).await,
    );
    assert_ne!(a, b);
    let frames = ticked(&relay, &api, &mut fox, there, 1_000).await;
    assert!(
        !frames
            .iter()
            .any(|f| matches!(f, ServerFrame::VoicePeerLeft { .. })),
        "{frames:?}"
    );
}

#[tokio::test]
async fn too_many_signals_are_refused_with_a_time_to_wait() {
    let relay = Relay::start(&[]);
    let (mut fox, mut owl) = in_voice(&relay).await;
    for _ in 0..600 {
        fox.signal(owl.id(), SignalData::Bye).await;
    }
    let error = fox.expect_error(ErrorCode::RateLimited).await;
    let wait = error.retry_after_ms.expect("it says when again");
    assert!((1..=1_000).contains(&wait), "{wait}");
    fox.settle().await;
    let frames = owl.settle().await;
    let passed = frames
        .iter()
        .filter(|f| matches!(f, ServerFrame::Signal { .. }))
        .count();
    assert!((200..600).contains(&passed), "{passed} signals");
}
