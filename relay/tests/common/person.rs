//! A person: a session and a socket that has been welcomed.

use neartalk_shared::{
    ClientFrame, MessageId, MessageText, PeerId, Place, ServerFrame, Timestamp, Username,
    frame::{LeftReason, Locate, Message, Person as Seen, Reach, SignalData, Welcome},
    http::CreatedSession,
};

use super::{Api, Relay, Socket, radius};

/// What `locate` is answered with.
#[derive(Debug, PartialEq)]
pub struct Located {
    pub geohash_prefix: String,
    pub radius: u32,
    pub grid_m: u32,
    pub people: Vec<Seen>,
    pub reach: Vec<Reach>,
    pub history: Vec<Message>,
}

impl Located {
    /// Who is in range.
    pub fn peers(&self) -> Vec<PeerId> {
        self.people.iter().map(|person| person.peer_id).collect()
    }

    /// What was said.
    pub fn texts(&self) -> Vec<&str> {
        self.history.iter().map(|m| m.text.as_str()).collect()
    }
}

/// The answer to `say`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub id: MessageId,
    pub sent_at: Timestamp,
    pub expires_at: Timestamp,
    pub reached: u32,
}

/// Somebody with a session and a socket that has been welcomed.
pub struct Person {
    pub socket: Socket,
    pub created: CreatedSession,
    pub welcome: Welcome,
}

impl std::ops::Deref for Person {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
    }
}

impl std::ops::DerefMut for Person {
    fn deref_mut(&mut self) -> &mut Socket {
        &mut self.socket
    }
}

impl Person {
    /// Somebody new with this name, who has not said where they are.
    pub async fn join(relay: &Relay, api: &Api, name: &str) -> Self {
        let created = api.session(name).await;
        Self::resume(relay, created).await
    }

    /// Somebody new at a place.
    pub async fn at(relay: &Relay, api: &Api, name: &str, place: Place, metres: u32) -> Self {
        let mut person = Self::join(relay, api, name).await;
        person.locate(place, metres).await;
        person
    }

    /// A socket for a session.
    pub async fn resume(relay: &Relay, created: CreatedSession) -> Self {
        let socket = Socket::open(relay).await;
        Self::resume_on(socket, created).await
    }

    /// A session on a socket that is open.
    pub async fn resume_on(mut socket: Socket, created: CreatedSession) -> Self {
        socket.hello(created.session_id).await;
        let welcome = socket
            .wait("welcome", |frame| match frame {
                ServerFrame::Welcome(welcome) => Some(welcome.clone()),
                _ => None,
            })
            .await;
        Self {
            socket,
            created,
            welcome,
        }
    }

    /// The public id.
    pub fn id(&self) -> PeerId {
        self.welcome.peer_id
    }

    /// Sends `locate`.
    pub async fn send_locate(&mut self, place: Place, metres: u32) {
        let radius = radius(metres);
        self.send(&ClientFrame::Locate(Locate { place, radius }))
            .await;
    }

    /// Sends `locate` and waits for all that it is answered with.
    pub async fn locate(&mut self, place: Place, metres: u32) -> Located {
        self.send_locate(place, metres).await;
        self.located().await
    }

    /// Waits for what `locate` and a resumption are answered with: `located`, then `nearby`, then
    /// one `history` or more.
    pub async fn located(&mut self) -> Located {
        let (geohash_prefix, radius, grid_m) = self
            .wait("located", |frame| match frame {
                ServerFrame::Located {
                    geohash_prefix,
                    radius,
                    grid_m,
                } => Some((geohash_prefix.clone(), radius.metres(), *grid_m)),
                _ => None,
            })
            .await;
        let (people, reach) = self.nearby().await;
        let mut history = self.history().await;
        // Further ones follow at once, so they are here before the answer to a ping.
        let rest = self.settle().await;
        for frame in rest {
            match frame {
                ServerFrame::History { messages } => history.extend(messages),
                other => self.inbox.push_back(other),
            }
        }
        Located {
            geohash_prefix,
            radius,
            grid_m,
            people,
            reach,
            history,
        }
    }

    /// Waits for `nearby`.
    pub async fn nearby(&mut self) -> (Vec<Seen>, Vec<Reach>) {
        self.wait("nearby", |frame| match frame {
            ServerFrame::Nearby { people, reach } => Some((people.clone(), reach.clone())),
            _ => None,
        })
        .await
    }

    /// Who is in range now, as `GET /api/nearby` has it.
    pub async fn nearby_now(&self, relay: &Relay) -> neartalk_shared::http::Nearby {
        relay.api().nearby(&self.created).await.expect(200)
    }

    /// Waits for `reach`.
    pub async fn reach(&mut self) -> Vec<Reach> {
        self.wait("reach", |frame| match frame {
            ServerFrame::Reach { reach } => Some(reach.clone()),
            _ => None,
        })
        .await
    }

    async fn history(&mut self) -> Vec<Message> {
        self.wait("history", |frame| match frame {
            ServerFrame::History { messages } => Some(messages.clone()),
            _ => None,
        })
        .await
    }

    /// Says something, and waits for `sent`.
    pub async fn say(&mut self, text: &str) -> Sent {
        self.say_as(MessageId::random(), text).await
    }

    /// Says something under this id, and waits for `sent`.
    pub async fn say_as(&mut self, id: MessageId, text: &str) -> Sent {
        self.send_say(id, text).await;
        self.sent(id).await
    }

    /// Says something under this id.
    pub async fn send_say(&mut self, id: MessageId, text: &str) {
        let text = MessageText::parse(text).unwrap();
        self.send(&ClientFrame::Say { id, text }).await;
    }

    /// Waits for the `sent` of this message.
    pub async fn sent(&mut self, message: MessageId) -> Sent {
        self.wait("sent", |frame| match frame {
            ServerFrame::Sent {
                id,
                sent_at,
                expires_at,
                reached,
            } if *id == message => Some(Sent {
                id: *id,
                sent_at: *sent_at,
                expires_at: *expires_at,
                reached: *reached,
            }),
            _ => None,
        })
        .await
    }

    /// Waits for the next message from anybody.
    pub async fn hears(&mut self) -> Message {
        self.wait("message", |frame| match frame {
            ServerFrame::Message(message) => Some(message.clone()),
            _ => None,
        })
        .await
    }

    /// The messages that have arrived until now and nobody has waited for.
    pub async fn heard(&mut self) -> Vec<Message> {
        let frames = self.settle().await;
        frames
            .into_iter()
            .filter_map(|frame| match frame {
                ServerFrame::Message(message) => Some(message),
                _ => None,
            })
            .collect()
    }

    /// Waits until this person comes into range.
    pub async fn sees(&mut self, peer: PeerId) -> Seen {
        self.wait("person_entered", |frame| match frame {
            ServerFrame::PersonEntered { person } => {
                (person.peer_id == peer).then(|| person.clone())
            }
            ServerFrame::Nearby { people, .. } => {
                people.iter().find(|p| p.peer_id == peer).cloned()
            }
            _ => None,
        })
        .await
    }

    /// Waits until something about this person changes.
    pub async fn sees_change(&mut self, peer: PeerId) -> Seen {
        self.wait("person_changed", |frame| match frame {
            ServerFrame::PersonChanged { person } => {
                (person.peer_id == peer).then(|| person.clone())
            }
            _ => None,
        })
        .await
    }

    /// Waits until this person is no longer in range.
    pub async fn misses(&mut self, peer: PeerId) -> LeftReason {
        self.wait("person_left", |frame| match frame {
            ServerFrame::PersonLeft { peer_id, reason } => (*peer_id == peer).then_some(*reason),
            _ => None,
        })
        .await
    }

    /// Waits for the answer to `rename`.
    pub async fn rename(&mut self, name: &str) -> u32 {
        let username = Username::parse(name).unwrap();
        self.send(&ClientFrame::Rename {
            username: username.clone(),
        })
        .await;
        self.wait("renamed", |frame| match frame {
            ServerFrame::Renamed {
                username: now,
                username_changes_left,
            } => {
                assert_eq!(*now, username);
                Some(*username_changes_left)
            }
            _ => None,
        })
        .await
    }

    /// Joins voice, and waits for `voice_ready`.
    pub async fn join_voice(&mut self) -> ServerFrame {
        self.send(&ClientFrame::VoiceJoin).await;
        self.wait("voice_ready", |frame| match frame {
            ServerFrame::VoiceReady { .. } => Some(frame.clone()),
            _ => None,
        })
        .await
    }

    /// Waits for a `voice_peer`; whether this side is polite.
    pub async fn meets_in_voice(&mut self, peer: PeerId) -> bool {
        self.wait("voice_peer", |frame| match frame {
            ServerFrame::VoicePeer {
                peer_id, polite, ..
            } => (*peer_id == peer).then_some(*polite),
            _ => None,
        })
        .await
    }

    /// Waits for a `voice_peer_left`.
    pub async fn parts_in_voice(&mut self, peer: PeerId) {
        self.wait("voice_peer_left", |frame| match frame {
            ServerFrame::VoicePeerLeft { peer_id } => (*peer_id == peer).then_some(()),
            _ => None,
        })
        .await;
    }

    /// Sends a signal.
    pub async fn signal(&mut self, to: PeerId, data: SignalData) {
        self.send(&ClientFrame::Signal { to, data }).await;
    }

    /// Waits for a signal from this person.
    pub async fn signalled(&mut self, peer: PeerId) -> SignalData {
        self.wait("signal", |frame| match frame {
            ServerFrame::Signal { from, data } => (*from == peer).then(|| data.clone()),
            _ => None,
        })
        .await
    }
}

/// Everything that the relay has to say to `viewer` about who came, went and changed until now.
///
/// Each person's news are told once a second, at an instant that is theirs. So somebody new joins
/// where `viewer` is, with the same circle, and changes their name as soon as `viewer` sees them: once
/// that is told, a second has passed, and all that was earlier has been told as well.
pub async fn ticked(
    relay: &Relay,
    api: &Api,
    viewer: &mut Person,
    place: Place,
    metres: u32,
) -> Vec<ServerFrame> {
    let mut marker = Person::at(relay, api, "Marker", place, metres).await;
    viewer.sees(marker.id()).await;
    marker.rename("Marked").await;
    viewer.sees_change(marker.id()).await;
    viewer.settle().await
}
