//! What is decided about voice.

use neartalk_shared::frame::{IceServer, SignalData};
use neartalk_voice::{
    device::DeviceId,
    live::{LiveError, Output},
    mesh::{Event as MeshEvent, LinkState, Notice},
    peer::Signal,
};

use super::*;
use crate::voice::{VoiceLink, VoiceNotice, VoicePhase, VoiceSettings, Volume};

impl World {
    /// In voice, with one person 100 m away, to whom this side is polite.
    fn in_voice() -> Self {
        let mut w = Self::settled(None);
        w.command(Command::VoiceJoin);
        assert_eq!(w.frames, [ClientFrame::VoiceJoin]);
        w.relay(ServerFrame::PersonEntered {
            person: Person {
                distance: DistanceBand { min: 100, max: 150 },
                ..person(2)
            },
        });
        w.ready();
        w.voice_peer(2);
        w.forget();
        w
    }

    fn ready(&mut self) {
        self.relay(ServerFrame::VoiceReady {
            ice_servers: vec![IceServer {
                urls: vec!["stun:stun.example.org".into()],
                username: None,
                credential: None,
            }],
            max_peers: 8,
        });
    }

    fn voice_peer(&mut self, seed: u64) {
        self.relay(ServerFrame::VoicePeer {
            peer_id: peer(seed),
            polite: true,
            muted: false,
            deafened: false,
        });
    }

    fn says_voice(&mut self, output: Output<PeerId>) {
        self.core.voice(output);
        self.act();
    }

    fn state_with(&mut self, seed: u64, state: LinkState) {
        let peer = peer(seed);
        self.says_voice(Output::Link { peer, state });
    }

    fn phase(&self) -> VoicePhase {
        let Event::Snapshot(snapshot) = self.core.snapshot(self.now, 0) else {
            unreachable!();
        };
        snapshot.voice.status.phase
    }

    fn mesh_events(&self) -> Vec<MeshEvent<PeerId>> {
        let mesh = |told: &Told| match told {
            Told::Input(VoiceInput::Mesh(event)) => Some(*event),
            _ => None,
        };
        self.voice.iter().filter_map(mesh).collect()
    }

    fn links(&self) -> Vec<VoiceLink> {
        let link = |event: &Event| match event {
            Event::VoicePerson(person) => Some(person.link),
            _ => None,
        };
        self.events.iter().filter_map(link).collect()
    }
}

fn bye_to(seed: u64) -> Output<PeerId> {
    Output::Signal {
        to: peer(seed),
        signal: Signal::Bye,
    }
}

#[test]
fn joining_opens_devices_at_once_and_connects_with_whom_the_relay_names() {
    let mut w = World::settled(None);
    w.command(Command::VoiceJoin);
    w.command(Command::VoiceJoin);
    assert_eq!(w.frames, [ClientFrame::VoiceJoin]);
    assert_eq!(w.voice, [Told::Start]);
    assert_eq!(w.phase(), VoicePhase::Joining);
    w.relay(ServerFrame::PersonEntered {
        person: Person {
            distance: DistanceBand { min: 100, max: 150 },
            ..person(2)
        },
    });
    w.forget();
    w.ready();
    w.voice_peer(2);
    assert_eq!(w.phase(), VoicePhase::InVoice);
    assert!(matches!(
        &w.voice[0],
        Told::Input(VoiceInput::Join { ice_servers, max_peers: 8 }) if ice_servers.len() == 1
    ));
    let appeared = MeshEvent::Appeared {
        peer: peer(2),
        polite: true,
        near_edge_m: 100,
    };
    assert_eq!(w.mesh_events(), [appeared]);
    assert_eq!(w.links(), [VoiceLink::Waiting]);
    // Signals go both ways, and only to and from those who are there.
    w.forget();
    w.says_voice(bye_to(2));
    let data = SignalData::Bye;
    assert_eq!(w.frames, [ClientFrame::Signal { to: peer(2), data }]);
    for from in [2, 3] {
        w.relay(ServerFrame::Signal {
            from: peer(from),
            data: SignalData::Bye,
        });
    }
    let signal = Signal::Bye;
    let from = peer(2);
    assert_eq!(w.voice, [Told::Input(VoiceInput::Signal { from, signal })]);
    // They move, and leave.
    w.forget();
    for min in [100, 50] {
        w.relay(ServerFrame::PersonChanged {
            person: Person {
                distance: DistanceBand { min, max: min + 50 },
                ..person(2)
            },
        });
    }
    w.relay(ServerFrame::VoicePeerLeft { peer_id: peer(2) });
    let moved = |near_edge_m| MeshEvent::Moved {
        peer: peer(2),
        near_edge_m,
    };
    let left = MeshEvent::Left { peer: peer(2) };
    assert_eq!(w.mesh_events(), [moved(100), moved(50), left]);
    assert!(
        w.events
            .contains(&Event::VoicePersonLeft { peer_id: peer(2) })
    );
}

#[test]
fn leaving_tells_everybody_and_closes_the_devices() {
    let mut w = World::in_voice();
    w.command(Command::VoiceLeave);
    assert_eq!(w.frames, [ClientFrame::VoiceLeave]);
    assert_eq!(w.voice.last(), Some(&Told::Stop));
    assert!(
        w.events
            .contains(&Event::VoicePersonLeft { peer_id: peer(2) })
    );
    assert_eq!(w.phase(), VoicePhase::Off);
    w.forget();
    // Late words change nothing.
    w.ready();
    w.voice_peer(2);
    w.command(Command::VoiceLeave);
    assert_eq!((w.voice.len(), w.frames.len(), w.events.len()), (0, 0, 0));
}

#[test]
fn who_is_blocked_is_hung_up_on_and_never_heard_of() {
    let mut w = World::in_voice();
    let fox = peer(2);
    w.command(Command::Block { peer_id: fox });
    assert_eq!(w.mesh_events(), [MeshEvent::Blocked { peer: fox }]);
    assert!(w.events.contains(&Event::VoicePersonLeft { peer_id: fox }));
    w.forget();
    w.state_with(2, LinkState::Waiting);
    w.says_voice(Output::Notice(Notice::CannotHearYou {
        peer: fox,
        cannot: true,
    }));
    assert_eq!(w.events, []);
    // Also in the next call.
    w.command(Command::VoiceLeave);
    w.command(Command::VoiceJoin);
    w.forget();
    w.ready();
    w.voice_peer(2);
    assert_eq!(w.mesh_events()[0], MeshEvent::Blocked { peer: fox });
    assert_eq!(w.links(), []);
    w.forget();
    w.command(Command::Unblock { peer_id: fox });
    assert_eq!(w.mesh_events(), [MeshEvent::Unblocked { peer: fox }]);
    assert_eq!(w.links(), [VoiceLink::Waiting]);
}

#[test]
fn a_call_outlives_the_connection_to_the_relay() {
    let mut w = World::in_voice();
    w.relay(ServerFrame::PersonEntered { person: person(3) });
    w.voice_peer(3);
    w.command(Command::VoiceMute { muted: true });
    w.forget();
    w.ended(LinkEnd::lost());
    assert_eq!(w.phase(), VoicePhase::InVoice);
    assert_eq!(w.voice, []);
    // What is to be said meanwhile waits.
    w.says_voice(bye_to(2));
    w.command(Command::RetryNow);
    w.welcome(true);
    assert!(!w.frames.contains(&ClientFrame::VoiceJoin), "no place yet");
    w.located(500);
    assert_eq!(w.frames.last(), Some(&ClientFrame::VoiceJoin));
    w.forget();
    w.ready();
    let data = SignalData::Bye;
    let muted = ClientFrame::VoiceState {
        muted: true,
        deafened: false,
    };
    assert_eq!(w.frames, [muted, ClientFrame::Signal { to: peer(2), data }]);
    // One is named again, the other has left meanwhile.
    w.voice_peer(2);
    w.forget();
    w.pass(Duration::from_secs(5));
    assert_eq!(w.mesh_events(), [MeshEvent::Left { peer: peer(3) }]);
    assert_eq!(w.events, [Event::VoicePersonLeft { peer_id: peer(3) }]);
}

/// Others are shown what the relay remembers, and it remembers what it was told last.
#[test]
fn what_was_unmuted_while_the_relay_was_away_is_told() {
    let silence = |muted| ClientFrame::VoiceState {
        muted,
        deafened: false,
    };
    let mut w = World::in_voice();
    w.command(Command::VoiceMute { muted: true });
    assert_eq!(w.frames, [silence(true)]);
    w.ended(LinkEnd::lost());
    w.command(Command::VoiceMute { muted: false });
    w.command(Command::RetryNow);
    w.welcome(true);
    w.located(500);
    w.forget();
    w.ready();
    assert_eq!(w.frames, [silence(false)]);
    // Also when voice was left meanwhile, which the relay has not heard of.
    let mut w = World::in_voice();
    w.command(Command::VoiceMute { muted: true });
    w.ended(LinkEnd::lost());
    w.command(Command::VoiceLeave);
    w.command(Command::VoiceMute { muted: false });
    w.command(Command::VoiceJoin);
    w.command(Command::RetryNow);
    w.welcome(true);
    w.located(500);
    w.forget();
    w.ready();
    assert_eq!(w.frames, [silence(false)]);
}

#[test]
fn with_another_session_everybody_is_somebody_else() {
    let mut w = World::in_voice();
    w.ended(LinkEnd::Unauthorized);
    assert_eq!(w.mesh_events(), [MeshEvent::Left { peer: peer(2) }]);
    assert_eq!(w.phase(), VoicePhase::Joining);
    w.created("Brave Finch");
    w.welcome(false);
    w.located(500);
    assert_eq!(w.frames.last(), Some(&ClientFrame::VoiceJoin));
    w.ended(LinkEnd::Stopped(StopReason::TakenOver));
    assert_eq!(w.phase(), VoicePhase::Off);
    assert_eq!(w.voice.last(), Some(&Told::Stop));
}

#[test]
fn a_relay_that_does_not_answer_is_asked_again() {
    let mut w = World::settled(None);
    w.command(Command::VoiceJoin);
    w.pass(Duration::from_secs(25));
    assert_eq!(w.frames, vec![ClientFrame::VoiceJoin; 3]);
    w.ready();
    w.forget();
    w.pass(Duration::from_secs(25));
    assert_eq!(w.frames, []);
    // The place has run out.
    let mut w = World::settled(None);
    w.command(Command::VoiceJoin);
    w.forget();
    w.error(ErrorCode::NoLocation, None, None);
    assert!(!w.frames.contains(&ClientFrame::VoiceJoin));
    w.located(500);
    assert_eq!(w.frames.last(), Some(&ClientFrame::VoiceJoin));
}

#[test]
fn another_network_means_another_connection_at_once_and_other_ways_to_everybody() {
    let mut w = World::in_voice();
    w.command(Command::NetworkChanged);
    assert_eq!(w.connects.len(), 1);
    assert_eq!(w.mesh_events(), [MeshEvent::NetworkChanged]);
    assert_eq!(w.phase(), VoicePhase::InVoice);
    // Nor does it wait for the next attempt.
    w.forget();
    w.ended(LinkEnd::lost());
    w.command(Command::NetworkChanged);
    assert_eq!(w.connects.len(), 1);
    // Who was told to stop trying is not made to try.
    w.ended(LinkEnd::Stopped(StopReason::TakenOver));
    w.forget();
    w.command(Command::NetworkChanged);
    assert_eq!(w.connects.len(), 0);
}

#[test]
fn volumes_are_remembered_and_told() {
    let mut w = World::in_voice();
    let fox = peer(2);
    let quiet = Volume::new(50).unwrap();
    w.command(Command::VoicePerson {
        peer_id: fox,
        volume_percent: quiet,
        muted: true,
    });
    let told = Told::Input(VoiceInput::Volume {
        peer: fox,
        volume: 0.5,
        muted: true,
    });
    assert_eq!(w.voice, [told]);
    assert!(matches!(
        &w.events[..],
        [Event::VoicePerson(p)] if p.volume_percent == quiet && p.muted_for_me
    ));
    w.relay(ServerFrame::VoicePeerLeft { peer_id: fox });
    w.forget();
    w.voice_peer(2);
    assert!(matches!(
        w.voice[1],
        Told::Input(VoiceInput::Volume { muted: true, .. })
    ));
    assert!(matches!(
        &w.events[..],
        [Event::VoicePerson(p)] if p.volume_percent == quiet && p.muted_for_me
    ));
}

#[test]
fn devices_can_be_chosen_among_before_any_is_opened() {
    let mut w = World::settled(None);
    w.command(Command::VoiceDevices);
    assert_eq!(w.voice, [Told::List]);
    let microphone = DeviceInfo {
        id: DeviceId::new("built-in"),
        name: "Built-in microphone".into(),
        is_default: true,
        is_worn: false,
    };
    w.core.devices(vec![microphone], Vec::new());
    w.act();
    let told = w.events.pop();
    assert!(matches!(
        &told,
        Some(Event::VoiceDevices { inputs, .. }) if inputs[0].name == "Built-in microphone"
    ));
    // What has them open knows better.
    w.command(Command::VoiceTest { on: true });
    w.forget();
    w.command(Command::VoiceDevices);
    assert_eq!((&w.voice[..], w.events.pop()), (&[][..], told));
}

/// Own sessions end, as over a long sleep, while others' go on.
#[test]
fn whoever_was_muted_stays_so_in_the_next_session() {
    let mut w = World::in_voice();
    w.command(Command::VoicePerson {
        peer_id: peer(2),
        volume_percent: Volume::NORMAL,
        muted: true,
    });
    w.ended(LinkEnd::Unauthorized);
    w.me = peer(9);
    w.created("Brave Finch");
    w.welcome(false);
    w.located(500);
    w.ready();
    w.forget();
    w.voice_peer(2);
    assert!(matches!(
        w.voice[1],
        Told::Input(VoiceInput::Volume { muted: true, .. })
    ));
}

#[test]
fn what_is_chosen_holds_before_during_and_after_a_call() {
    let mut w = World::settled(None);
    let settings = VoiceSettings {
        hide_address: true,
        ..VoiceSettings::default()
    };
    w.command(Command::VoiceMute { muted: true });
    w.command(Command::VoiceConfigure {
        settings: settings.clone(),
    });
    assert_eq!((w.voice.len(), w.frames.len()), (0, 0));
    w.command(Command::VoiceTest { on: true });
    let input = |input| Told::Input(input);
    assert_eq!(
        w.voice,
        [
            Told::Start,
            input(VoiceInput::Mute(true)),
            input(VoiceInput::Test(true))
        ]
    );
    w.command(Command::VoiceJoin);
    w.ready();
    let muted = ClientFrame::VoiceState {
        muted: true,
        deafened: false,
    };
    assert_eq!(w.frames, [ClientFrame::VoiceJoin, muted]);
    w.forget();
    w.command(Command::VoiceDeafen { deafened: true });
    assert_eq!(
        w.frames,
        [ClientFrame::VoiceState {
            muted: true,
            deafened: true
        }]
    );
    // The test of the microphone goes on when the call is over, and the other way round.
    w.command(Command::VoiceLeave);
    assert!(!w.voice.contains(&Told::Stop));
    w.command(Command::VoiceTest { on: false });
    assert_eq!(w.voice.last(), Some(&Told::Stop));
    let Event::Snapshot(snapshot) = w.core.snapshot(w.now, 0) else {
        unreachable!();
    };
    let status = &snapshot.voice.status;
    assert!(status.muted && status.deafened && !status.testing);
    assert_eq!(status.settings, settings);
}

#[test]
fn voice_that_ends_by_itself_says_why() {
    let mut w = World::in_voice();
    let error = std::io::Error::other("no more threads");
    w.says_voice(Output::Ended(LiveError::Thread(error)));
    assert_eq!(w.frames, [ClientFrame::VoiceLeave]);
    assert_eq!(w.phase(), VoicePhase::Off);
    assert!(matches!(
        w.events.last(),
        Some(Event::VoiceNotice(VoiceNotice::Ended { message })) if message.contains("threads")
    ));
    // It ends once.
    w.forget();
    w.core.voice_ended("gone".into());
    w.act();
    assert_eq!(w.events, []);
}

#[test]
fn a_test_of_the_microphone_that_ends_by_itself_is_over() {
    let mut w = World::settled(None);
    w.command(Command::VoiceTest { on: true });
    w.forget();
    let error = std::io::Error::other("no more threads");
    w.says_voice(Output::Ended(LiveError::Thread(error)));
    let [
        Event::Voice(status),
        Event::VoiceNotice(VoiceNotice::Ended { .. }),
    ] = &w.events[..]
    else {
        panic!("{:?}", w.events);
    };
    assert!(!status.testing);
    // It can be tried once more.
    w.forget();
    w.command(Command::VoiceTest { on: true });
    assert_eq!(w.voice[0], Told::Start);
}

#[test]
fn who_hears_nothing_is_told_of_while_the_connection_lasts() {
    let mut w = World::in_voice();
    let deaf = |w: &World| {
        let Event::Snapshot(snapshot) = w.core.snapshot(w.now, 0) else {
            unreachable!();
        };
        snapshot.voice.people[0].cannot_hear_you
    };
    w.state_with(2, LinkState::Connected);
    w.says_voice(Output::Notice(Notice::CannotHearYou {
        peer: peer(2),
        cannot: true,
    }));
    assert!(deaf(&w));
    w.state_with(2, LinkState::Interrupted);
    w.state_with(2, LinkState::Connected);
    assert!(deaf(&w), "nobody has said that they hear again");
    w.state_with(2, LinkState::Connecting);
    assert!(!deaf(&w));
}

#[test]
fn how_connections_stand_is_told_once() {
    let mut w = World::in_voice();
    for state in [
        LinkState::Connecting,
        LinkState::Connected,
        LinkState::Connected,
        LinkState::Interrupted,
        LinkState::Unreachable,
        LinkState::Waiting,
    ] {
        w.state_with(2, state);
    }
    w.state_with(3, LinkState::Connected);
    assert_eq!(
        w.links(),
        [
            VoiceLink::Connecting,
            VoiceLink::Connected,
            VoiceLink::Interrupted,
            VoiceLink::Unreachable,
            VoiceLink::Waiting,
        ]
    );
}
