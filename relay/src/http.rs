//! The HTTP API, and the way in to the socket.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{
        FromRequestParts, MatchedPath, Request, State,
        rejection::BytesRejection,
        ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};
use neartalk_shared::{
    ApiError, ErrorCode, SessionId,
    frame::Locate,
    http::{ChangeUsername, CreateSession, ErrorBody, Health, HealthStatus, Ready},
    limits,
};
use tokio::time::{Instant, interval_at, timeout};
use tower_http::cors::CorsLayer;

use crate::{
    address::{AddressKey, AddressTable, TrustedProxies},
    admin::{self, AdminToken},
    clock::Clock,
    hub::Hub,
    metrics::Metrics,
    server::Lifetime,
    socket,
    store::{SOCKET_RENEWAL, SocketTicket, TooMany},
    wake::WakeQueue,
};

/// How long a request may take, its body included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What every handler can reach.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) hub: Hub,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) addresses: Arc<AddressTable>,
    pub(crate) proxies: TrustedProxies,
    pub(crate) origins: Arc<[HeaderValue]>,
    pub(crate) clock: Clock,
    pub(crate) wakes: WakeQueue,
    pub(crate) lifetime: Lifetime,
}

/// The address at the other end of the connection that a request came in on.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The client's address as limits count it.
#[derive(Clone, Copy, Debug)]
struct Client(AddressKey);

/// An error on its way to the client.
#[derive(Debug)]
pub(crate) struct Failure(ErrorBody);

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self(error.into())
    }
}

impl From<ErrorBody> for Failure {
    fn from(body: ErrorBody) -> Self {
        Self(body)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = status_of(self.0.error.code);
        let retry_after = self.0.error.retry_after_ms;
        let retry_after = retry_after.map(|ms| ms.div_ceil(1_000));
        let mut response = (status, axum::Json(self.0)).into_response();
        if let Some(seconds) = retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, bearer);
        }
        response
    }
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::ForbiddenOrigin | ErrorCode::Banned | ErrorCode::PlaceClosed => {
            StatusCode::FORBIDDEN
        }
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::UsernameChangesExhausted | ErrorCode::NoLocation => StatusCode::CONFLICT,
        ErrorCode::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::ProofRequired => StatusCode::PRECONDITION_REQUIRED,
        ErrorCode::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The public API.
pub fn router(app: App) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(app.origins.to_vec())
        .allow_methods([
            axum::http::Method::GET,
            axum::http::Method::POST,
            axum::http::Method::PATCH,
        ])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE])
        .max_age(Duration::from_secs(3_600));
    Router::new()
        .route("/api/session/create", post(create_session))
        .route("/api/session/username", patch(change_username))
        .route("/api/location/update", post(update_location))
        .route("/api/nearby", get(nearby))
        .route("/api/health", get(health))
        .route("/api/ready", get(ready))
        .route("/ws", get(upgrade))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::extract::DefaultBodyLimit::max(limits::BODY_MAX_BYTES))
        .layer(middleware::from_fn_with_state(app.clone(), gate))
        .layer(cors)
        .with_state(app)
}

/// What only the admin listener offers.
pub fn admin_router(app: App, token: Option<AdminToken>) -> Router {
    token
        .map_or_else(Router::new, admin::router)
        .route("/metrics", get(render_metrics))
        .route("/api/health", get(health))
        .route("/api/ready", get(ready))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::extract::DefaultBodyLimit::max(limits::BODY_MAX_BYTES))
        .layer(middleware::from_fn(in_time))
        .with_state(app)
}

/// What every request has to pass: the page it comes from, the rate limit, the timeout.
async fn gate(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let started = std::time::Instant::now();
    let method = request.method().clone();
    // The route, not the path: whatever a client writes there stays out of the logs.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = match admit(&app, &mut request) {
        Err(error) => Failure::from(error).into_response(),
        Ok(()) => in_time(request, next).await,
    };
    tracing::debug!(
        method = %method,
        route = route.as_ref().map_or("none", |r| r.as_str()),
        status = response.status().as_u16(),
        us = started.elapsed().as_micros() as u64,
        "request"
    );
    response
}

/// Gives a request and its answer no more than their time.
async fn in_time(request: Request, next: Next) -> Response {
    timeout(REQUEST_TIMEOUT, next.run(request))
        .await
        .unwrap_or_else(|_| {
            let message = "The request took too long to arrive; try again.";
            Failure::from(ApiError::new(ErrorCode::RequestTimeout, message)).into_response()
        })
}

fn admit(app: &App, request: &mut Request) -> Result<(), ApiError> {
    let headers = request.headers();
    if !origin_is_welcome(headers, &app.origins) {
        let message = "This page may not use this relay; its operator can allow it.";
        return Err(ApiError::new(ErrorCode::ForbiddenOrigin, message));
    }
    let Some(Peer(peer)) = request.extensions().get().copied() else {
        return Err(ApiError::new(
            ErrorCode::Unavailable,
            "The connection has no address.",
        ));
    };
    let forwarded_for = headers
        .get_all("x-forwarded-for")
        .iter()
        .map(|v| v.to_str().unwrap_or_default());
    let values: Vec<_> = forwarded_for.collect();
    let address = AddressKey::from(app.proxies.client(peer.ip(), values.into_iter()));
    if let Err(retry) = app.addresses.request(address, app.clock.now()) {
        app.metrics.edge.limited_requests.increment(1);
        return Err(ApiError::rate_limited(
            "Too many requests from your network",
            retry,
        ));
    }
    request.extensions_mut().insert(Client(address));
    Ok(())
}

/// Browsers say which page a request comes from; the relay answers its own pages and those that
/// its operator has allowed. Other programs send no `Origin`, and have no pages to be tricked by.
fn origin_is_welcome(headers: &HeaderMap, allowed: &[HeaderValue]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let same_host = || {
        let host = headers.get(header::HOST)?.to_str().ok()?;
        let (_, origin_host) = origin.to_str().ok()?.split_once("://")?;
        Some(origin_host.eq_ignore_ascii_case(host))
    };
    allowed.contains(origin) || same_host().unwrap_or(false)
}

async fn create_session(
    State(app): State<App>,
    axum::Extension(Client(address)): axum::Extension<Client>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let mut create = CreateSession::parse(&read_body(body)?)?;
    let storage = app.hub.storage();
    // Whom this relay refuses the others need not count.
    let allowed = match app.addresses.session(address, app.clock.now()) {
        Ok(()) => storage.count_session(address).await,
        refused => refused,
    };
    if let Err(retry) = allowed {
        app.metrics.edge.limited_sessions.increment(1);
        let what = "Many people have joined from your network";
        return Err(ApiError::rate_limited(what, retry).into());
    }
    if let Some(proof) = &create.proof
        && !storage.spend_proof(address, &proof.challenge).await
    {
        create.proof = None;
    }
    let created = app.hub.create_session(create, address).await?;
    Ok((StatusCode::CREATED, no_store(), axum::Json(created)).into_response())
}

async fn change_username(
    State(app): State<App>,
    Bearer(session): Bearer,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let ChangeUsername { username } = ChangeUsername::parse(&read_body(body)?)?;
    let changed = app.hub.change_username(session, username).await?;
    Ok((no_store(), axum::Json(changed)).into_response())
}

async fn update_location(
    State(app): State<App>,
    Bearer(session): Bearer,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let locate = Locate::parse(&read_body(body)?)?;
    let updated = app.hub.update_location(session, locate).await?;
    Ok((no_store(), axum::Json(updated)).into_response())
}

async fn nearby(State(app): State<App>, Bearer(session): Bearer) -> Result<Response, Failure> {
    let nearby = app.hub.nearby(session).await?;
    Ok((no_store(), axum::Json(nearby)).into_response())
}

async fn health(State(app): State<App>) -> Response {
    let storage = app.hub.storage();
    let ending = app.lifetime.is_ending();
    let ending = ending.then(|| "the relay is shutting down".to_owned());
    let reason = ending.or_else(|| storage.trouble());
    let (status, code) = match reason {
        None => (HealthStatus::Ok, StatusCode::OK),
        Some(_) => (HealthStatus::Degraded, StatusCode::SERVICE_UNAVAILABLE),
    };
    let health = Health {
        status,
        version: env!("CARGO_PKG_VERSION").into(),
        store: storage.kind(),
        uptime_s: app.clock.uptime_s(),
        reason,
    };
    (code, no_store(), axum::Json(health)).into_response()
}

/// Whether new people should be sent here: whatever is wrong with the health, until the relay ends.
async fn ready(State(app): State<App>) -> Response {
    let ready = !app.lifetime.is_ending();
    let code = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, no_store(), axum::Json(Ready { ready })).into_response()
}

async fn render_metrics(State(app): State<App>) -> Response {
    let content_type = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    (content_type, app.metrics.render()).into_response()
}

async fn upgrade(
    State(app): State<App>,
    axum::Extension(Client(address)): axum::Extension<Client>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let upgrade = upgrade.map_err(|rejection| {
        ApiError::new(
            ErrorCode::InvalidBody,
            format!("This is a WebSocket: {rejection}."),
        )
    })?;
    let Some(permit) = app.addresses.socket(address) else {
        return Err(too_many_sockets(&app));
    };
    let Some(alive) = app.lifetime.begin() else {
        let message = "The relay is shutting down; try again in a moment.";
        return Err(ApiError::new(ErrorCode::Unavailable, message).into());
    };
    // Last, so that nobody counts who is not let in.
    let Ok(ticket) = Counted::count(app.hub.clone(), address).await else {
        return Err(too_many_sockets(&app));
    };
    let edge = app.metrics.edge.clone();
    Ok(upgrade
        // axum's defaults cost 135 KiB per idle socket; frames of a chat need none of it.
        .read_buffer_size(1_024)
        .write_buffer_size(4 * 1_024)
        .max_write_buffer_size(16 * 1_024 * 1_024)
        .max_message_size(limits::FRAME_MAX_BYTES)
        .max_frame_size(limits::FRAME_MAX_BYTES)
        .on_upgrade(move |socket| async move {
            edge.connections_opened.increment(1);
            edge.connections.increment(1);
            let serve = socket::serve(
                socket,
                address,
                app.hub.clone(),
                &edge,
                &app.wakes,
                &app.lifetime,
            );
            match ticket {
                None => serve.await,
                Some(counted) => counted.serve(serve).await,
            }
            edge.connections.decrement(1);
            drop((permit, alive));
        }))
}

fn too_many_sockets(app: &App) -> Failure {
    app.metrics.edge.limited_sockets.increment(1);
    let what = "Too many sockets are open from your network";
    ApiError::rate_limited(what, 10_000).into()
}

/// A socket that counts on all relays, or one that is to be: a client that asks for one may be gone
/// before it is.
struct Counted {
    /// Absent once it counts no longer.
    ticket: Option<SocketTicket>,
    hub: Hub,
}

impl Counted {
    /// Counts a socket. In a task of its own, as whoever asks for it can end at any time, and what
    /// the store has counted by then would have nobody to release it.
    async fn count(hub: Hub, address: AddressKey) -> Result<Option<Self>, TooMany> {
        let count = tokio::spawn(async move {
            let ticket = hub.storage().count_socket(address).await?;
            Ok(ticket.map(|ticket| Self {
                ticket: Some(ticket),
                hub,
            }))
        });
        // Without an answer nobody is kept out.
        count.await.unwrap_or(Ok(None))
    }

    /// Serves the socket, and has it count meanwhile.
    async fn serve(mut self, serve: impl Future<Output = ()>) {
        let mut renewals = interval_at(Instant::now() + SOCKET_RENEWAL, SOCKET_RENEWAL);
        tokio::pin!(serve);
        loop {
            tokio::select! {
                () = &mut serve => break,
                _ = renewals.tick() => if let Some(ticket) = self.ticket {
                    self.hub.storage().renew_socket(ticket).await;
                },
            }
        }
        if let Some(ticket) = self.ticket.take() {
            self.hub.storage().release_socket(ticket).await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let hub = self.hub.clone();
            tokio::spawn(async move { hub.storage().release_socket(ticket).await });
        }
    }
}

async fn not_found() -> Failure {
    Failure::from(ApiError::new(
        ErrorCode::NotFound,
        "There is nothing at this path.",
    ))
}

async fn method_not_allowed() -> Failure {
    let message = "This path exists, but not with this method.";
    Failure::from(ApiError::new(ErrorCode::MethodNotAllowed, message))
}

/// What concerns one session is for its client alone, not for caches in between.
fn no_store() -> [(header::HeaderName, &'static str); 1] {
    [(header::CACHE_CONTROL, "no-store")]
}

/// The body, if it has arrived whole and is not too large.
pub(crate) fn read_body(body: Result<Bytes, BytesRejection>) -> Result<Bytes, ApiError> {
    body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let message = format!("A body has at most {} bytes.", limits::BODY_MAX_BYTES);
            ApiError::new(ErrorCode::BodyTooLarge, message)
        } else {
            ApiError::new(ErrorCode::InvalidBody, "The body did not arrive whole.")
        }
    })
}

/// The session that `Authorization: Bearer …` names.
struct Bearer(SessionId);

impl<S: Sync> FromRequestParts<S> for Bearer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        let session = || {
            let (scheme, token) = parts
                .headers
                .get(header::AUTHORIZATION)?
                .to_str()
                .ok()?
                .split_once(' ')?;
            let session = SessionId::parse(token.trim()).ok()?;
            scheme.eq_ignore_ascii_case("bearer").then_some(session)
        };
        let unauthorized = || {
            let message =
                "Send the session as `Authorization: Bearer …`; create one if you have none.";
            Failure::from(ApiError::new(ErrorCode::Unauthorized, message))
        };
        session().map(Bearer).ok_or_else(unauthorized)
    }
}
