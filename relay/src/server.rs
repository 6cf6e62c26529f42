//! A relay from its listeners to its end.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rand::{SeedableRng, rngs::StdRng};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::{ServiceExt, util::MapRequestLayer};

use crate::{
    address::{AddressKey, AddressTable, TrustedProxies},
    admin::{AdminToken, TokenError},
    clock::Clock,
    config::Config,
    database::{self, Records},
    http::{self, App, Peer},
    hub::Hub,
    metrics::Metrics,
    moderation::words::WordsError,
    pace::Pace,
    room::{Room, RoomSettings, link::CloseCode},
    store::{Memory, redis::Redis, wire::NodeId},
    turn::{
        TurnError,
        relay::{FlagError, Sockets},
    },
    wake::WakeQueue,
};

/// How long the head of a request may take to arrive, and a connection may stay unused.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Enough for the headers of any client; more only serves attackers.
const HEAD_MAX_BYTES: usize = 16 * 1_024;

/// How long a database may take for what the relay has to say last.
const LAST_RECORDS: Duration = Duration::from_secs(3);

/// How often idle addresses are forgotten.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// Why a relay could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// A listener's address is not to be had.
    #[error("can't listen on {address}: {source}; choose another address with {flag}")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// The flag that sets it.
        flag: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The settings about TURN don't fit together.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// The TURN server inside can't be as it is asked for.
    #[error(transparent)]
    TurnRelay(#[from] FlagError),
    /// The words that are not to be passed on can't be read.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// The settings about the admin token don't fit together.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Whether the relay is ending, and who is still there.
#[derive(Clone, Debug)]
pub struct Lifetime {
    ending: Arc<AtomicBool>,
    /// Each connection holds a clone; the receiver ends when the last one is gone.
    alive: mpsc::WeakSender<()>,
    /// Its sender is dropped when the relay ends.
    ended: watch::Receiver<()>,
}

impl Lifetime {
    /// A guard to hold for as long as a connection lives, unless the relay is ending.
    pub fn begin(&self) -> Option<mpsc::Sender<()>> {
        if self.is_ending() {
            None
        } else {
            self.alive.upgrade()
        }
    }

    /// Waits until the relay is shutting down.
    pub async fn ended(&self) {
        // It is never sent to, so this is the end of its sender.
        let _ = self.ended.clone().changed().await;
    }

    /// Whether the relay is shutting down.
    pub fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
}

/// A relay that has its listeners and waits to be run.
#[derive(Debug)]
pub struct Server {
    config: Config,
    room: RoomSettings,
    token: Option<AdminToken>,
    public: TcpListener,
    admin: Option<TcpListener>,
    turn: Option<Sockets>,
}

impl Server {
    /// Takes the listeners' addresses.
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        let mut room = config.room()?;
        room.moderation = config.moderation()?;
        let token = AdminToken::new(
            config.admin_token.clone(),
            config.admin_token_file.clone(),
            config.admin_listen.is_some(),
        )?;
        let public = listen(config.listen, "--listen or NEARTALK_LISTEN").await?;
        let admin = match config.admin_listen {
            Some(address) => {
                Some(listen(address, "--admin-listen or NEARTALK_ADMIN_LISTEN").await?)
            }
            None => None,
        };
        let turn = Sockets::bind(&config.turn_relay)?;
        Ok(Self {
            config,
            room,
            token,
            public,
            admin,
            turn,
        })
    }

    /// Where clients connect.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.public.local_addr()
    }

    /// Where metrics are, if anywhere.
    pub fn admin_address(&self) -> Option<io::Result<SocketAddr>> {
        self.admin.as_ref().map(TcpListener::local_addr)
    }

    /// Where clients reach the TURN server inside, over UDP, if there is one.
    pub fn turn_addresses(&self) -> &[SocketAddr] {
        self.turn.as_ref().map_or(&[], Sockets::addresses)
    }

    /// Serves until `shutdown` resolves, then closes every connection after what is queued for it.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let Self {
            config,
            room,
            token,
            public,
            admin,
            turn,
        } = self;
        let clock = Clock::start();
        let metrics = Arc::new(Metrics::new());
        let rng = StdRng::from_rng(&mut rand::rng());
        let mut room = Room::new(room, rng, metrics.room.clone());
        let (mut turn_ended, mut turn_server) = (None, None);
        if let Some(turn) = turn {
            let turn = turn.spawn(config.turn_ttl, clock, metrics.turn.clone())?;
            room.issue_turn_credentials(turn.issuer);
            turn_server = Some(turn.for_guests);
            turn_ended = Some(turn.ended);
        }
        let redis = config.redis(turn_server);
        let turn_ended = async {
            match turn_ended {
                Some(ended) => drop(ended.await),
                None => std::future::pending().await,
            }
        };
        let (records, taker) = Records::new(metrics.database.clone());
        let records = config.database_url.is_some().then_some(records);
        let store_up = metrics.edge.store_up.clone();
        let node = NodeId::random(&mut rand::rng());
        let pace = Pace::default();
        let (wakes, waking) = WakeQueue::new();
        // Until this is dropped.
        let mut waking_task = JoinSet::new();
        waking_task.spawn(waking.run(pace.clone()));
        let hub = Hub::spawn(
            room,
            clock,
            Arc::clone(&metrics),
            records,
            wakes.clone(),
            |feed| match redis {
                Some(settings) => Redis::start(settings, node, clock, feed, store_up),
                None => {
                    store_up.set(1.0);
                    Arc::new(Memory)
                }
            },
        )?;
        hub.storage().ready().await;
        let addresses = AddressTable::new(config.addresses());
        let (alive, mut all_gone) = mpsc::channel(1);
        let (end, ended) = watch::channel(());
        let lifetime = Lifetime {
            ending: Arc::default(),
            alive: alive.downgrade(),
            ended: ended.clone(),
        };
        let keeper = config.database_url.map(|url| {
            let poll = config.database_poll;
            database::spawn(url, poll, taker, hub.clone(), lifetime.clone())
        });
        let keeper = keeper.transpose()?;
        let proxies = TrustedProxies::new(config.trusted_proxies);
        let workers = tokio::runtime::Handle::current().metrics();
        let pacing = pace.follow(workers);
        let app = App {
            hub: hub.clone(),
            metrics,
            addresses: Arc::clone(&addresses),
            proxies: proxies.clone(),
            origins: config.allowed_origins.into(),
            clock,
            wakes,
            lifetime: lifetime.clone(),
        };
        let acceptor = |router, addresses| Acceptor {
            router,
            addresses,
            proxies: proxies.clone(),
            slots: Arc::new(Semaphore::new(
                config.max_connections.min(Semaphore::MAX_PERMITS),
            )),
            lifetime: lifetime.clone(),
            ended: ended.clone(),
        };
        if let Some(listener) = admin {
            let admin = acceptor(http::admin_router(app.clone(), token), None);
            tokio::spawn(admin.run(listener));
        }
        let public_acceptor = acceptor(http::router(app), Some(Arc::clone(&addresses)));
        tokio::spawn(public_acceptor.run(public));

        tokio::pin!(shutdown, turn_ended, pacing);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                // Better to be restarted than to go on with nobody at home.
                () = hub.ended() => return Err(io::Error::other("the room has stopped")),
                () = &mut turn_ended => return Err(io::Error::other("the TURN server has stopped")),
                () = &mut pacing => {}
                () = sleep(SWEEP_INTERVAL) => addresses.sweep(clock.now()),
            }
        }
        tracing::info!("shutting down");
        lifetime.ending.store(true, Ordering::Relaxed);
        drop((end, alive));
        hub.close_all(CloseCode::GoingAway).await;
        if timeout(config.drain_timeout, all_gone.recv())
            .await
            .is_err()
        {
            tracing::warn!("some clients did not take their goodbye in time");
        }
        hub.flush().await;
        if let Some(keeper) = keeper
            && timeout(LAST_RECORDS, keeper).await.is_err()
        {
            tracing::warn!("the database did not take the last bans and figures in time");
        }
        Ok(())
    }
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<TcpListener, StartError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|source| StartError::Listen {
        address,
        flag,
        source,
    })
}

/// Accepts connections and serves HTTP on them.
struct Acceptor {
    router: Router,
    /// Absent on the admin listener.
    addresses: Option<Arc<AddressTable>>,
    proxies: TrustedProxies,
    slots: Arc<Semaphore>,
    lifetime: Lifetime,
    ended: watch::Receiver<()>,
}

impl Acceptor {
    async fn run(mut self, listener: TcpListener) {
        let mut backoff = Duration::from_millis(10);
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
                return;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // The sender is dropped when the relay ends.
                _ = self.ended.changed() => return,
            };
            match accepted {
                Ok((stream, peer)) => {
                    backoff = Duration::from_millis(10);
                    self.serve(stream, peer, slot);
                }
                Err(e) => {
                    // Most likely out of file descriptors; those who leave free some.
                    tracing::warn!(error = %e, "can't accept connections at the moment");
                    sleep(backoff).await;
                    backoff = (backoff * 2).min(Duration::from_secs(1));
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, slot: tokio::sync::OwnedSemaphorePermit) {
        let permit = match self.connection_permit(peer.ip()) {
            Ok(permit) => permit,
            // Answering would cost more than the attacker spends.
            Err(TooMany) => return,
        };
        let Some(alive) = self.lifetime.begin() else {
            return;
        };
        // Batching is done by the socket's writer; waiting for more would only add delay.
        if let Err(e) = stream.set_nodelay(true) {
            tracing::debug!(error = %e, "can't turn off Nagle's algorithm");
        }
        let router = self
            .router
            .clone()
            .map_request(|request: Request<Incoming>| request.map(Body::new));
        let service = tower::ServiceBuilder::new()
            .layer(MapRequestLayer::new(
                move |mut request: Request<Incoming>| {
                    request.extensions_mut().insert(Peer(peer));
                    request
                },
            ))
            .service(router);
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_MAX_BYTES)
            .half_close(false);
        let connection =
            builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let mut ended = self.ended.clone();
        tokio::spawn(async move {
            let connection = connection.with_upgrades();
            tokio::pin!(connection);
            let outcome = tokio::select! {
                outcome = &mut connection => outcome,
                _ = ended.changed() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(e) = outcome {
                tracing::debug!(error = %e, "a connection ended early");
            }
            drop((permit, slot, alive));
        });
    }

    fn connection_permit(
        &self,
        peer: IpAddr,
    ) -> Result<Option<crate::address::AddressPermit>, TooMany> {
        match &self.addresses {
            // A proxy's connections are its clients'; those are counted by their own addresses.
            Some(addresses) if !self.proxies.contains(peer) => addresses
                .connection(AddressKey::from(peer))
                .map(Some)
                .ok_or(TooMany),
            _ => Ok(None),
        }
    }
}

struct TooMany;
