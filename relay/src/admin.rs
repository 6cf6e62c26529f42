//! What whoever runs the relay can look at and decide: `/api/admin/…` on the admin listener, for
//! those who know the token.

use std::{fmt, fs, io, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Request, State, rejection::BytesRejection},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use neartalk_shared::{
    ApiError, ErrorCode, MessageId, MessageText, PeerId, Timestamp, frame::ReportReason,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

use crate::{
    http::{App, Failure, read_body},
    moderation::{
        bans::{Ban, BanId, BannedBy},
        cell::Cell5,
        notices::Announcement,
    },
    room::moderate::Reported,
};

/// Nothing that is decided here lasts longer than this.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A token has at least so many characters, so that guessing is hopeless.
const TOKEN_MIN: usize = 16;

/// What whoever runs the relay shows. Only its hash is kept, and compared in constant time.
#[derive(Clone)]
pub struct AdminToken([u8; 32]);

/// Too short to be a secret.
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "the admin token needs at least {TOKEN_MIN} characters; make one with `openssl rand -hex 32`"
)]
pub struct ShortToken;

impl FromStr for AdminToken {
    type Err = ShortToken;

    fn from_str(s: &str) -> Result<Self, ShortToken> {
        // A file ends with a newline that is no part of it.
        let token = s.trim();
        if token.len() < TOKEN_MIN {
            return Err(ShortToken);
        }
        Ok(Self(Sha256::digest(token).into()))
    }
}

impl AdminToken {
    fn is(&self, shown: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown).into();
        self.0.ct_eq(&shown).into()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

/// Settings about the token that don't fit together.
#[derive(Debug, Error)]
pub enum TokenError {
    /// Two tokens.
    #[error(
        "give the admin token either as --admin-token (NEARTALK_ADMIN_TOKEN) or in --admin-token-file, not both"
    )]
    Two,
    /// A token, and nowhere to show it.
    #[error("--admin-token needs the admin listener; give it an address with --admin-listen")]
    NoListener,
    /// The token's file can't be read.
    #[error("can't read --admin-token-file {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What is in the file is too short.
    #[error("--admin-token-file {}: {ShortToken}", path.display())]
    Short {
        /// Which file.
        path: PathBuf,
    },
}

impl AdminToken {
    /// The token that was given, either way.
    pub fn new(
        given: Option<Self>,
        file: Option<PathBuf>,
        has_listener: bool,
    ) -> Result<Option<Self>, TokenError> {
        let token = match (given, file) {
            (Some(_), Some(_)) => return Err(TokenError::Two),
            (Some(token), None) => Some(token),
            (None, None) => None,
            (None, Some(path)) => match fs::read_to_string(&path) {
                Ok(text) => Some(
                    text.parse()
                        .map_err(|ShortToken| TokenError::Short { path })?,
                ),
                Err(source) => return Err(TokenError::Unreadable { path, source }),
            },
        };
        if token.is_some() && !has_listener {
            return Err(TokenError::NoListener);
        }
        Ok(token)
    }
}

/// The calls below `/api/admin`.
pub fn router(token: AdminToken) -> Router<App> {
    let token = Arc::new(token);
    Router::new()
        .route("/api/admin/reports", get(reports))
        .route("/api/admin/bans", get(bans).post(ban))
        .route("/api/admin/bans/{id}", delete(lift))
        .route("/api/admin/closures", get(closures).post(close))
        .route("/api/admin/closures/{geohash}", delete(open))
        .route(
            "/api/admin/announcements",
            get(announcements).post(announce),
        )
        .route("/api/admin/announcements/{id}", delete(retract))
        .layer(middleware::from_fn(move |request, next| {
            authorise(Arc::clone(&token), request, next)
        }))
}

async fn authorise(token: Arc<AdminToken>, request: Request, next: Next) -> Response {
    if shown(request.headers()).is_some_and(|shown| token.is(shown)) {
        return next.run(request).await;
    }
    let message = "Send the admin token as `Authorization: Bearer …`.";
    Failure::from(ApiError::new(ErrorCode::Unauthorized, message)).into_response()
}

fn shown(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[derive(Serialize)]
struct ReportView {
    at: Timestamp,
    reporter: PeerId,
    reported: PeerId,
    /// Absent when they are gone.
    username: Option<String>,
    reason: ReportReason,
    /// Whether it counts: the reporter was near.
    near: bool,
    /// How many voices count against the reported now.
    voices: usize,
    message_id: Option<MessageId>,
    /// Absent when it has expired.
    text: Option<String>,
}

impl From<Reported> for ReportView {
    fn from(reported: Reported) -> Self {
        let Reported {
            report,
            username,
            voices,
            text,
        } = reported;
        Self {
            at: report.at,
            reporter: report.reporter,
            reported: report.reported,
            username,
            reason: report.reason,
            near: report.near,
            voices,
            message_id: report.message_id,
            text,
        }
    }
}

async fn reports(State(app): State<App>) -> Result<Json<Vec<ReportView>>, Failure> {
    let reports = app.hub.with(|room, now| room.reported(now)).await?;
    Ok(Json(reports.into_iter().map(ReportView::from).collect()))
}

/// A ban without what it knows somebody by.
#[derive(Serialize)]
struct BanView {
    id: BanId,
    since: Timestamp,
    until: Timestamp,
    by: BannedBy,
}

impl From<&Ban> for BanView {
    fn from(ban: &Ban) -> Self {
        Self {
            id: ban.id,
            since: ban.since,
            until: ban.until,
            by: ban.by,
        }
    }
}

async fn bans(State(app): State<App>) -> Result<Json<Vec<BanView>>, Failure> {
    let list = |room: &mut crate::room::Room<_>, _| {
        room.moderation().bans.iter().map(BanView::from).collect()
    };
    Ok(Json(app.hub.with(list).await?))
}

/// Who is to be banned, and for how long.
#[derive(Debug)]
pub struct BanOrder {
    /// Who.
    pub peer_id: PeerId,
    /// For how long.
    pub time: Duration,
}

impl BanOrder {
    /// Reads the body of `POST /api/admin/bans`.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct Body {
            peer_id: String,
            for_s: u64,
        }
        let Body { peer_id, for_s } = read(body)?;
        let peer_id = PeerId::parse(&peer_id).map_err(|e| invalid(&format!("peer_id: {e}")))?;
        let time = time(for_s)?;
        Ok(Self { peer_id, time })
    }
}

async fn ban(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<BanView>), Failure> {
    let BanOrder { peer_id, time } = BanOrder::parse(&read_body(body)?)?;
    let ban = app.hub.ban(peer_id, time).await?;
    let ban = ban.ok_or_else(|| not_found("Nobody here has that peer_id."))?;
    Ok((StatusCode::CREATED, Json(BanView::from(&ban))))
}

async fn lift(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    let id = BanId::parse(&id);
    let lifted = app
        .hub
        .with(move |room, now| id.and_then(|id| room.lift_ban(id, now)))
        .await?;
    done(lifted.is_some(), "There is no such ban.")
}

#[derive(Serialize)]
struct ClosureView {
    geohash: Cell5,
    until: Timestamp,
    /// How many people were there when it was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    people: Option<usize>,
}

async fn closures(State(app): State<App>) -> Result<Json<Vec<ClosureView>>, Failure> {
    let list = app.hub.with(|room, now| {
        let closed = room.moderation().notices.closed(now);
        closed
            .map(|(geohash, until)| ClosureView {
                geohash,
                until,
                people: None,
            })
            .collect()
    });
    Ok(Json(list.await?))
}

/// Where nobody is to be, and for how long.
#[derive(Debug)]
pub struct CloseOrder {
    /// Where.
    pub cell: Cell5,
    /// For how long.
    pub time: Duration,
}

impl CloseOrder {
    /// Reads the body of `POST /api/admin/closures`.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct Body {
            geohash: String,
            for_s: u64,
        }
        let Body { geohash, for_s } = read(body)?;
        let (cell, time) = (cell(&geohash)?, time(for_s)?);
        Ok(Self { cell, time })
    }
}

async fn close(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<ClosureView>), Failure> {
    let CloseOrder {
        cell: geohash,
        time,
    } = CloseOrder::parse(&read_body(body)?)?;
    let closed = app.hub.with(move |room, now| {
        let until = now + time;
        let people = room.close_cell(geohash, until, now)?;
        Some(ClosureView {
            geohash,
            until,
            people: Some(people),
        })
    });
    let full = || {
        let message = "Too many cells are closed already; open one first.";
        ApiError::new(ErrorCode::Unavailable, message)
    };
    Ok((StatusCode::CREATED, Json(closed.await?.ok_or_else(full)?)))
}

async fn open(State(app): State<App>, Path(geohash): Path<String>) -> Result<StatusCode, Failure> {
    let cell = cell(&geohash)?;
    let opened = app.hub.with(move |room, now| room.open_cell(cell, now));
    done(opened.await?, "This cell is not closed.")
}

async fn announcements(State(app): State<App>) -> Result<Json<Vec<Announcement>>, Failure> {
    let list = app.hub.with(|room, now| {
        let all = room.moderation().notices.announcements(now);
        all.cloned().collect()
    });
    Ok(Json(list.await?))
}

/// What everyone is to be told, or everyone in a cell, and for how long.
#[derive(Debug)]
pub struct AnnounceOrder {
    /// What.
    pub text: MessageText,
    /// For how long those who come are told.
    pub time: Duration,
    /// Where; everywhere without one.
    pub cell: Option<Cell5>,
}

impl AnnounceOrder {
    /// Reads the body of `POST /api/admin/announcements`.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct Body {
            text: String,
            for_s: u64,
            geohash: Option<String>,
        }
        let Body {
            text,
            for_s,
            geohash,
        } = read(body)?;
        Ok(Self {
            text: MessageText::parse(&text).map_err(ApiError::from)?,
            time: time(for_s)?,
            cell: geohash.as_deref().map(cell).transpose()?,
        })
    }
}

#[derive(Serialize)]
struct Announced {
    #[serde(flatten)]
    announcement: Announcement,
    /// How many people got it now.
    reached: usize,
}

async fn announce(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Announced>), Failure> {
    let AnnounceOrder { text, time, cell } = AnnounceOrder::parse(&read_body(body)?)?;
    let announced = app.hub.with(move |room, now| {
        let (announcement, reached) = room.announce(text, cell, now + time, now);
        Announced {
            announcement,
            reached,
        }
    });
    Ok((StatusCode::CREATED, Json(announced.await?)))
}

async fn retract(State(app): State<App>, Path(id): Path<String>) -> Result<StatusCode, Failure> {
    let id = id.parse::<u64>().ok();
    let retracted = app
        .hub
        .with(move |room, now| id.is_some_and(|id| room.retract(id, now)));
    done(retracted.await?, "There is no such announcement.")
}

fn done(done: bool, or: &str) -> Result<StatusCode, Failure> {
    if done {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(not_found(or).into())
    }
}

fn not_found(message: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, message)
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidBody, format!("{message}."))
}

fn cell(geohash: &str) -> Result<Cell5, ApiError> {
    Cell5::parse(geohash).ok_or_else(|| invalid("geohash: five characters of a geohash are needed"))
}

fn time(seconds: u64) -> Result<Duration, ApiError> {
    let time = Duration::from_secs(seconds);
    if time.is_zero() || time > LONGEST {
        return Err(invalid("for_s: from one second to a year"));
    }
    Ok(time)
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    serde_json::from_slice(body).map_err(|e| invalid(&format!("This body can't be read: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_its_hash_and_shows_itself_to_nobody() {
        let token: AdminToken = " 0123456789abcdef\n".parse().unwrap();
        assert!(token.is("0123456789abcdef"));
        for wrong in [
            "",
            "0123456789abcde",
            "0123456789abcdeF",
            "0123456789abcdef ",
        ] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
        assert_eq!("short".parse::<AdminToken>().unwrap_err(), ShortToken);
        assert_eq!(format!("{token:?}"), "AdminToken(…)");
    }
}
