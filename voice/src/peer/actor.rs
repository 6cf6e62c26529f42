//! The task that keeps one connection.

use std::sync::{Arc, Weak, atomic::AtomicU64};

use tokio::{
    sync::{broadcast, mpsc, oneshot, watch},
    task::JoinSet,
};
use webrtc::{
    error::Error,
    media_stream::{track_local::static_rtp::TrackLocalStaticRTP, track_remote::TrackRemote},
    peer_connection::{
        PeerConnection, PeerConnectionEventHandler, RTCIceCandidateInit, RTCPeerConnectionIceEvent,
        RTCPeerConnectionState, RTCSessionDescription,
    },
};

use rtc::peer_connection::configuration::RTCOfferOptions;

use super::{
    Candidate, DescriptionKind, Event, Formats, IceServer, PeerConfig, PeerError, Signal, State,
    config,
    media::{self, Outgoing, Packet, Shared},
    negotiation::{Negotiation, OnOffer, bounded},
    reports::Reception,
    scrub, stats,
};
use crate::{mesh::Policy, redundancy::ReceiverReport};

/// What the connection says and the actor has not looked at yet. Candidates come in a burst.
const NOTICES: usize = 256;

/// Streams of one peer that are read at once. Everybody sends one; a restarted sender may have another.
const MAX_TRACKS: usize = 4;

/// Tasks beside those that read streams: one sends, one looks how well that goes.
const OTHER_TASKS: usize = 2;

/// What the actor is to do.
#[derive(Debug)]
pub(super) enum Command {
    Offer,
    Restart,
    Servers(Vec<IceServer>),
    Signal(Signal),
}

/// What the connection says.
enum Notice {
    Candidate(RTCIceCandidateInit),
    State(RTCPeerConnectionState),
    Track(Arc<dyn TrackRemote>),
    Reception(Reception),
}

/// Called by the connection's own task, which must not wait.
#[derive(Clone)]
pub(super) struct Handler {
    notices: mpsc::Sender<Notice>,
}

impl Handler {
    fn tell(&self, notice: Notice) {
        if self.notices.try_send(notice).is_err() {
            tracing::warn!("a voice connection's notice was dropped");
        }
    }

    /// The other side says how it receives what is sent.
    pub(super) fn reception(&self, reception: Reception) {
        self.tell(Notice::Reception(reception));
    }
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        match event.candidate.to_json() {
            Ok(candidate) => self.tell(Notice::Candidate(candidate)),
            Err(error) => tracing::warn!(%error, "a candidate could not be written"),
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.tell(Notice::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.tell(Notice::Track(track));
    }
}

/// The owner went: no more is to be done.
struct Gone;

pub(super) struct Actor {
    connection: Arc<dyn PeerConnection>,
    notices: mpsc::Receiver<Notice>,
    negotiation: Negotiation,
    policy: Policy,
    events: mpsc::Sender<Event>,
    shared: watch::Sender<Shared>,
    incoming: broadcast::Sender<Packet>,
    state: State,
    dropped: Arc<AtomicU64>,
    /// Number of the packet that the other side had last when it said so.
    last_received: Option<u32>,
    // Aborted when dropped.
    tasks: JoinSet<()>,
}

impl Actor {
    pub(super) async fn new(
        config: PeerConfig,
        events: mpsc::Sender<Event>,
        shared: watch::Sender<Shared>,
        outgoing: Outgoing,
        incoming: broadcast::Sender<Packet>,
    ) -> Result<Self, PeerError> {
        let dropped = Arc::default();
        let (notice_sender, notices) = mpsc::channel(NOTICES);
        let handler = Handler {
            notices: notice_sender,
        };
        let stream = rand::random();
        let connection = config::connection(&config, stream, &handler, &shared).await?;
        let track = Arc::new(TrackLocalStaticRTP::new(config::track(stream)));
        connection.add_track(Arc::clone(&track) as _).await?;
        let mut tasks = JoinSet::new();
        tasks.spawn(media::send(
            outgoing,
            track,
            stream,
            shared.subscribe(),
            Arc::clone(&dropped),
        ));
        Ok(Self {
            connection,
            notices,
            negotiation: Negotiation::new(config.polite),
            policy: config.policy,
            events,
            shared,
            incoming,
            state: State::Connecting,
            dropped,
            last_received: None,
            tasks,
        })
    }

    fn connection(&self) -> Weak<dyn PeerConnection> {
        Arc::downgrade(&self.connection)
    }

    /// Runs until the owner closes it, the other side does, or nobody takes its events any more.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        closing: oneshot::Receiver<()>,
    ) {
        tokio::select! {
            // Also an error: the owner is gone.
            _ = closing => {}
            _ = self.work(&mut commands) => {}
        }
        self.tasks.shutdown().await;
        if let Err(error) = self.connection.close().await {
            tracing::debug!(%error, "a voice connection did not close well");
        }
    }

    async fn work(&mut self, commands: &mut mpsc::Receiver<Command>) -> Result<(), Gone> {
        loop {
            tokio::select! {
                Some(notice) = self.notices.recv() => self.notice(notice).await?,
                command = commands.recv() => self.command(command.ok_or(Gone)?).await?,
            }
        }
    }

    async fn tell(&self, event: Event) -> Result<(), Gone> {
        self.events.send(event).await.map_err(|_| Gone)
    }

    async fn enter(&mut self, state: State) -> Result<(), Gone> {
        if self.state == state {
            return Ok(());
        }
        self.state = state;
        if state != State::Connected {
            // The next way may be another.
            self.shared
                .send_modify(|shared| shared.stats.relayed = None);
        }
        self.tell(Event::State(state)).await?;
        if state == State::Closed {
            return Err(Gone);
        }
        Ok(())
    }

    async fn notice(&mut self, notice: Notice) -> Result<(), Gone> {
        match notice {
            Notice::Candidate(init) => {
                let candidate = match self.policy {
                    Policy::Any => Some(init.candidate),
                    Policy::RelayOnly => scrub::candidate(&init.candidate),
                };
                if let Some(candidate) = candidate {
                    let signal = Signal::Candidate(Candidate {
                        candidate,
                        // A browser looks for a section with that tag, be it empty.
                        sdp_mid: init.sdp_mid.filter(|mid| !mid.is_empty()),
                        sdp_m_line_index: init.sdp_mline_index.or(Some(0)),
                    });
                    self.tell(Event::Signal(signal)).await?;
                }
            }
            Notice::State(state) => {
                let state = match state {
                    RTCPeerConnectionState::Connected => State::Connected,
                    RTCPeerConnectionState::Disconnected => State::Interrupted,
                    RTCPeerConnectionState::Failed => State::Failed,
                    RTCPeerConnectionState::Closed => State::Closed,
                    _ => State::Connecting,
                };
                if state == State::Connected && !self.shared.borrow().connected {
                    self.shared.send_modify(|shared| shared.connected = true);
                    self.tasks.spawn(stats::follow(
                        self.connection(),
                        self.shared.clone(),
                        Arc::clone(&self.dropped),
                    ));
                }
                self.enter(state).await?;
            }
            Notice::Track(track) => {
                // Those that have ended.
                while self.tasks.try_join_next().is_some() {}
                if self.tasks.len() < MAX_TRACKS + OTHER_TASKS {
                    self.tasks.spawn(media::receive(
                        track,
                        self.incoming.clone(),
                        self.shared.subscribe(),
                    ));
                }
            }
            Notice::Reception(Reception { loss, burst, last }) => {
                let arriving = self.last_received.replace(last) != Some(last);
                self.shared
                    .send_modify(|shared| shared.stats.send_loss = Some(loss));
                let report = ReceiverReport {
                    loss,
                    burst,
                    round_trip: self.shared.borrow().stats.rtt,
                };
                self.tell(Event::Report { report, arriving }).await?;
            }
        }
        Ok(())
    }

    async fn command(&mut self, command: Command) -> Result<(), Gone> {
        let done = match command {
            Command::Offer => {
                if !self.negotiation.offer() {
                    return Ok(());
                }
                self.offer(false).await
            }
            Command::Restart => {
                if !self.negotiation.restart() {
                    return Ok(());
                }
                self.offer(true).await
            }
            Command::Servers(servers) => {
                let configuration = config::configuration(self.policy, &servers);
                if let Err(error) = self.connection.set_configuration(configuration).await {
                    // It goes on with those that it has.
                    tracing::warn!(%error, "the servers named for voice can't be used");
                }
                return Ok(());
            }
            Command::Signal(Signal::Description { kind, sdp }) => match kind {
                DescriptionKind::Offer => match self.negotiation.offered(&sdp) {
                    OnOffer::Ignore => return Ok(()),
                    OnOffer::Foreign => {
                        let signal = Signal::Description { kind, sdp };
                        return self.tell(Event::Foreign(signal)).await;
                    }
                    OnOffer::Take => self.answer(sdp, false).await,
                    OnOffer::RollBackAndTake => self.answer(sdp, true).await,
                },
                DescriptionKind::Answer if self.negotiation.answered(&sdp) => {
                    self.take_answer(sdp).await
                }
                DescriptionKind::Answer => return Ok(()),
            },
            Command::Signal(Signal::Candidate(candidate)) => {
                if let Some(candidate) = self.negotiation.candidate(candidate) {
                    self.add(candidate).await;
                }
                return Ok(());
            }
            Command::Signal(Signal::Bye) => return self.enter(State::Closed).await,
        };
        match done {
            Ok(Some(signal)) => self.tell(Event::Signal(signal)).await?,
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(%error, "a voice connection could not be negotiated");
                return self.enter(State::Failed).await;
            }
        }
        if self.negotiation.restart_due() {
            match self.offer(true).await {
                Ok(Some(signal)) => self.tell(Event::Signal(signal)).await?,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "a voice connection could not be restarted");
                    return self.enter(State::Failed).await;
                }
            }
        }
        Ok(())
    }

    async fn offer(&mut self, restart: bool) -> Result<Option<Signal>, Error> {
        let options = restart.then_some(RTCOfferOptions { ice_restart: true });
        let offer = self.connection.create_offer(options).await?;
        let signal = self.description(DescriptionKind::Offer, &offer.sdp);
        self.connection.set_local_description(offer).await?;
        Ok(Some(signal))
    }

    async fn answer(&mut self, sdp: String, roll_back: bool) -> Result<Option<Signal>, Error> {
        if roll_back {
            self.connection
                .set_local_description(RTCSessionDescription::rollback(None)?)
                .await?;
        }
        self.describe(RTCSessionDescription::offer(bounded(&sdp))?)
            .await?;
        let answer = self.connection.create_answer(None).await?;
        let signal = self.description(DescriptionKind::Answer, &answer.sdp);
        self.connection.set_local_description(answer).await?;
        self.agree().await;
        Ok(Some(signal))
    }

    async fn take_answer(&mut self, sdp: String) -> Result<Option<Signal>, Error> {
        self.describe(RTCSessionDescription::answer(bounded(&sdp))?)
            .await?;
        self.agree().await;
        Ok(None)
    }

    async fn describe(&mut self, description: RTCSessionDescription) -> Result<(), Error> {
        let sdp = description.sdp.clone();
        self.connection.set_remote_description(description).await?;
        for candidate in self.negotiation.described(&sdp) {
            self.add(candidate).await;
        }
        Ok(())
    }

    async fn add(&self, candidate: Candidate) {
        let init = RTCIceCandidateInit {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_mline_index: candidate.sdp_m_line_index,
            ..Default::default()
        };
        // One that can't be used is no reason to give up the others.
        if let Err(error) = self.connection.add_ice_candidate(init).await {
            tracing::debug!(%error, "a candidate was not taken");
        }
    }

    fn description(&self, kind: DescriptionKind, sdp: &str) -> Signal {
        let sdp = match self.policy {
            Policy::Any => sdp.to_owned(),
            Policy::RelayOnly => scrub::description(sdp),
        };
        Signal::Description { kind, sdp }
    }

    /// Puts down what both take.
    async fn agree(&self) {
        let local = self.connection.current_local_description().await;
        let remote = self.connection.current_remote_description().await;
        let (Some(local), Some(remote)) = (local, remote) else {
            return;
        };
        let receive_as = Formats::read(&local.sdp);
        let send_as = Formats::read(&remote.sdp).map(|formats| Formats {
            red: formats
                .red
                .filter(|_| receive_as.is_some_and(|f| f.red.is_some())),
            ..formats
        });
        self.shared.send_modify(|shared| {
            shared.send_as = send_as;
            shared.receive_as = receive_as;
        });
    }
}
