//! Voice in virtual time: who is introduced to whom, and when that ends.

use super::*;

/// Each join and each leave is told to everyone in voice around, so one person must not be able to have
/// a crowd told of hundreds a second.
#[test]
fn whoever_joins_and_leaves_again_and_again_is_held_back() {
    let mut room = room_with(RoomSettings::default());
    let mut people = [0, 1].map(|_| {
        let mut client = TestClient::new(&mut room, at(0));
        client.locate(&mut room, square(), 500, at(0));
        client
    });
    let [restless, other] = &mut people;
    other.send(&mut room, ClientFrame::VoiceJoin, at(0));
    for _ in 0..100 {
        restless.send(&mut room, ClientFrame::VoiceJoin, at(1));
        restless.send(&mut room, ClientFrame::VoiceLeave, at(1));
        restless.voice_peers.clear();
    }
    assert_eq!(restless.errors, [(ErrorCode::RateLimited, Some(2_000)); 90]);
    let inbox = other.link.0.borrow();
    let told = inbox.frames.iter().filter(|frame| {
        matches!(
            frame,
            ServerFrame::VoicePeer { .. } | ServerFrame::VoicePeerLeft { .. }
        )
    });
    assert_eq!(told.count(), 20);
    drop(inbox);
    // Two seconds later they can again.
    restless.send(&mut room, ClientFrame::VoiceJoin, at(3));
    assert_eq!(restless.errors.len(), 90);
    assert_eq!(restless.voice_peers.len(), 1);
}

/// Two hundred of the largest descriptions at once would be more than may wait for anybody.
#[test]
fn large_signals_take_up_only_so_much_of_somebodys_time() {
    let mut room = room_with(RoomSettings::default());
    let [mut loud, mut other] = [0, 1].map(|_| {
        let mut client = TestClient::new(&mut room, at(0));
        client.locate(&mut room, square(), 500, at(0));
        client.send(&mut room, ClientFrame::VoiceJoin, at(0));
        client
    });
    other.read();
    let mut send = |sdp: String, now| {
        let data = SignalData::Description {
            sdp_type: neartalk_shared::frame::SdpType::Offer,
            sdp,
        };
        let to = other.peer_id;
        loud.send(&mut room, ClientFrame::Signal { to, data }, now);
        let frames = std::mem::take(&mut other.link.0.borrow_mut().frames);
        let refused = loud.errors.pop().map(|(code, _)| code);
        assert!(refused.is_none_or(|code| code == ErrorCode::RateLimited));
        assert_eq!(frames.is_empty(), refused.is_some());
        frames.len()
    };
    let large = || "x".repeat(limits::SDP_MAX_BYTES);
    let told: usize = (0..200).map(|_| send(large(), at(1))).sum();
    assert_eq!(told, 16);
    // 64 KiB a second.
    let later: usize = (0..100).map(|n| send(large(), at(1 + n / 10))).sum();
    assert_eq!(later, 18);
    // A mesh with eight people, and the largest that a browser offers, is nothing.
    let mesh: usize = (0..100).map(|_| send("x".repeat(1_024), at(60))).sum();
    assert_eq!(mesh, 100);
}

/// Who should be connected with whom in voice.
#[derive(Debug, Default)]
pub struct Calls {
    /// And when that ends, for those who have lost their socket and not joined again.
    pub in_voice: BTreeMap<PeerId, Option<Timestamp>>,
    /// Who has lost their socket since they last joined or left.
    pub lost: BTreeSet<PeerId>,
    /// Each pair once.
    pairs: BTreeSet<[PeerId; 2]>,
}

impl Calls {
    pub fn join(&mut self, peer: PeerId, spots: &BTreeMap<PeerId, Spot>) {
        self.in_voice.insert(peer, None);
        self.lost.remove(&peer);
        self.meet(|pair| pair.contains(&peer), spots);
    }

    pub fn end(&mut self, peer: PeerId) {
        self.lost.remove(&peer);
        self.in_voice.remove(&peer);
        self.pairs.retain(|pair| !pair.contains(&peer));
    }

    pub fn lose(&mut self, peer: PeerId, now: Timestamp) {
        if let Some(until) = self.in_voice.get_mut(&peer) {
            self.lost.insert(peer);
            until.get_or_insert(now + Duration::from_secs(15));
        }
    }

    pub fn tick(&mut self, spots: &BTreeMap<PeerId, Spot>, now: Timestamp) {
        self.in_voice
            .retain(|_, until| until.is_none_or(|until| until > now));
        let in_voice = &self.in_voice;
        self.pairs.retain(|[a, b]| {
            in_voice.contains_key(a) && in_voice.contains_key(b) && spots[a].in_range(&spots[b])
        });
        self.meet(|_| true, spots);
    }

    /// Pairs those who have a socket, if `which` says so.
    fn meet(&mut self, which: impl Fn(&[PeerId; 2]) -> bool, spots: &BTreeMap<PeerId, Spot>) {
        let there: Vec<_> = self
            .in_voice
            .iter()
            .filter(|(_, until)| until.is_none())
            .collect();
        for (at, (a, _)) in there.iter().enumerate() {
            for (b, _) in &there[at + 1..] {
                if which(&[**a, **b]) && spots[a].in_range(&spots[b]) {
                    self.pairs.insert([**a, **b]);
                }
            }
        }
    }

    pub fn peers(&self, peer: PeerId) -> impl Iterator<Item = PeerId> {
        let pairs = self.pairs.iter().filter(move |pair| pair.contains(&peer));
        pairs.map(move |&[a, b]| if a == peer { b } else { a })
    }
}

#[test]
fn signals_reach_only_peers_in_voice_and_range_and_tell_no_more() {
    let mut room = room_with(RoomSettings::default());
    let mut a = TestClient::new(&mut room, at(0));
    let mut b = TestClient::new(&mut room, at(0));
    a.locate(&mut room, square(), 500, at(0));
    b.locate(&mut room, square(), 500, at(0));
    let signal = |to| ClientFrame::Signal {
        to,
        data: SignalData::Bye,
    };
    let nobody = PeerId::random(&mut StdRng::seed_from_u64(99));
    a.send(&mut room, signal(b.peer_id), at(1));
    a.send(&mut room, ClientFrame::VoiceJoin, at(1));
    a.send(&mut room, signal(b.peer_id), at(1));
    b.send(&mut room, ClientFrame::VoiceJoin, at(1));
    a.send(&mut room, signal(nobody), at(1));
    a.send(&mut room, signal(a.peer_id), at(1));
    assert_eq!(a.errors, [(ErrorCode::NotInRange, None); 4]);
    a.send(&mut room, signal(b.peer_id), at(1));
    assert_eq!(a.errors.len(), 4);

    // Out of range, out of reach: at once for signals, on the tick for the introduction.
    b.locate(&mut room, square().destination(0.0, 5_000.0), 500, at(200));
    a.send(&mut room, signal(b.peer_id), at(200));
    assert_eq!(a.errors.len(), 5);
    assert_eq!(a.voice_peers.len(), 1);
    room.tick(at(201));
    a.read();
    b.read();
    assert!(a.voice_peers.is_empty() && b.voice_peers.is_empty());
    // And back again.
    b.locate(&mut room, square(), 500, at(400));
    room.tick(at(401));
    a.read();
    b.read();
    assert_eq!(a.voice_peers.len() + b.voice_peers.len(), 2);
    b.disconnect(&mut room, true, at(402));
    a.read();
    assert!(
        a.voice_peers.is_empty(),
        "who leaves is out of voice at once"
    );
}

/// Two people in voice on one spot, at second 1.
fn two_in_voice(room: &mut Room<TestLink>) -> [TestClient; 2] {
    let mut both = [0, 0].map(|_| TestClient::new(room, at(0)));
    for client in &mut both {
        client.locate(room, square(), 500, at(0));
        client.send(room, ClientFrame::VoiceJoin, at(1));
    }
    both[0].read();
    both
}

fn voice_frames(client: &TestClient) -> Vec<ServerFrame> {
    let frames = client.link.0.borrow();
    let of_voice = |frame: &&ServerFrame| {
        matches!(
            frame,
            ServerFrame::VoiceReady { .. }
                | ServerFrame::VoicePeer { .. }
                | ServerFrame::VoicePeerLeft { .. }
                | ServerFrame::Signal { .. }
        )
    };
    frames.frames.iter().filter(of_voice).cloned().collect()
}

#[test]
fn a_short_loss_of_the_socket_leaves_voice_as_it_is() {
    let mut room = room_with(RoomSettings::default());
    let [mut a, mut b] = two_in_voice(&mut room);
    let bye = |to| ClientFrame::Signal {
        to,
        data: SignalData::Bye,
    };
    let muted = ClientFrame::VoiceState {
        muted: true,
        deafened: false,
    };
    b.send(&mut room, muted, at(2));
    b.disconnect(&mut room, false, at(10));
    room.tick(at(11));
    // What can't arrive is refused, and whoever joins is not sent to somebody who can't answer.
    a.send(&mut room, bye(b.peer_id), at(11));
    assert_eq!(a.errors, [(ErrorCode::NotInRange, None)]);
    let mut c = TestClient::new(&mut room, at(12));
    c.locate(&mut room, square(), 500, at(12));
    c.send(&mut room, ClientFrame::VoiceJoin, at(12));
    assert_eq!(c.voice_peers.keys().collect::<Vec<_>>(), [&a.peer_id]);
    a.read();
    // With a socket signals arrive, before it has joined again.
    b.link = TestLink::default();
    let attached = room.hello(&b.session, 1, address(b.address), b.link.clone(), at(24));
    b.attachment = Some(attached.map_err(|(refusal, _)| refusal).unwrap());
    assert_eq!(voice_frames(&b), []);
    room.handle(a.attachment.unwrap(), bye(b.peer_id), None, at(24));
    assert_eq!(voice_frames(&b).len(), 1);
    b.read();
    room.handle(b.attachment.unwrap(), ClientFrame::VoiceJoin, None, at(24));
    let told = voice_frames(&b);
    assert!(
        matches!(told[0], ServerFrame::VoiceReady { .. }),
        "{told:?}"
    );
    b.read();
    assert!(
        b.voice_peers
            .keys()
            .eq(&BTreeSet::from([a.peer_id, c.peer_id]))
    );
    // Whoever knew of them before hears nothing, whoever did not does; and they are as muted as before.
    assert_eq!(voice_frames(&a), []);
    c.read();
    assert!(c.voice_peers.contains_key(&b.peer_id));
    let slot = room.sessions.find(&b.session).unwrap();
    assert!(room.sessions[slot].voice.unwrap().muted);
    room.tick(at(60));
    a.read();
    assert!(a.voice_peers.contains_key(&b.peer_id));
    assert!(a.seen[&b.peer_id].in_voice && a.seen[&b.peer_id].muted);
}

#[test]
fn a_socket_lost_for_long_or_not_joined_on_again_ends_voice() {
    for case in 0..3 {
        let mut room = room_with(RoomSettings::default());
        let [mut a, mut b] = two_in_voice(&mut room);
        room.tick(at(2));
        if case > 0 {
            b.disconnect(&mut room, false, at(10));
        }
        match case {
            0 => b.connect(&mut room, at(10)),
            1 => b.connect(&mut room, at(20)),
            _ => {}
        }
        room.tick(at(24));
        a.read();
        assert!(a.voice_peers.contains_key(&b.peer_id));
        assert!(a.seen[&b.peer_id].in_voice);
        room.tick(at(25));
        a.read();
        assert!(a.voice_peers.is_empty());
        assert!(!a.seen[&b.peer_id].in_voice);
        // Then joining begins anew, for both.
        if b.attachment.is_none() {
            b.connect(&mut room, at(30));
        }
        b.send(&mut room, ClientFrame::VoiceJoin, at(31));
        a.read();
        assert!(b.unconfirmed.is_empty(), "b has heard of its end");
        assert_eq!((a.voice_peers.len(), b.voice_peers.len()), (1, 1));
    }
}

#[test]
fn who_left_meanwhile_is_said_on_joining_again() {
    let mut room = room_with(RoomSettings::default());
    let [mut a, mut b] = two_in_voice(&mut room);
    b.disconnect(&mut room, false, at(10));
    a.send(&mut room, ClientFrame::VoiceLeave, at(11));
    a.send(&mut room, ClientFrame::VoiceJoin, at(12));
    assert!(a.voice_peers.is_empty());
    b.connect(&mut room, at(13));
    room.handle(b.attachment.unwrap(), ClientFrame::VoiceJoin, None, at(14));
    let told = voice_frames(&b);
    let [
        ServerFrame::VoicePeerLeft { .. },
        ServerFrame::VoiceReady { .. },
        ServerFrame::VoicePeer { .. },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    a.read();
    assert_eq!(a.voice_peers.len(), 1);
}

#[test]
fn a_place_that_ends_takes_voice_with_it() {
    let mut room = room_with(RoomSettings {
        place_ttl: Duration::from_secs(5),
        ..RoomSettings::default()
    });
    let [mut a, mut b] = two_in_voice(&mut room);
    b.disconnect(&mut room, false, at(10));
    room.tick(at(15));
    a.read();
    assert!(a.voice_peers.is_empty());
    let slot = room.sessions.find(&b.session).unwrap();
    assert!(room.sessions[slot].voice.is_none());
}

#[test]
fn who_joins_voice_gets_fresh_turn_credentials_each_time() {
    let mut config = <crate::Config as clap::Parser>::parse_from([
        "neartalk-relay",
        "--ice-server=stun:stun.example",
        "--turn-url=turn:turn.example",
        "--turn-secret=hush",
        "--turn-ttl=1h",
    ]);
    config.turn_secret_file = None;
    let mut room = room_with(config.room().unwrap());
    let mut a = TestClient::new(&mut room, at(0));
    a.locate(&mut room, square(), 500, at(0));
    let turn = config.room().unwrap().turn.unwrap();
    for second in [1, 2] {
        room.handle(
            a.attachment.unwrap(),
            ClientFrame::VoiceJoin,
            None,
            at(second),
        );
        let [ServerFrame::VoiceReady { ice_servers, .. }] = &voice_frames(&a)[..] else {
            panic!("{:?}", voice_frames(&a));
        };
        assert_eq!(ice_servers[0].urls, ["stun:stun.example"]);
        assert_eq!(ice_servers[0].credential, None);
        assert_eq!(ice_servers[1..], [turn.ice_server(a.peer_id, at(second))]);
        let until = (at(second).as_millis() / 1_000 + 3_600).to_string();
        assert!(
            ice_servers[1]
                .username
                .as_ref()
                .unwrap()
                .starts_with(&until)
        );
        a.read();
    }
}
