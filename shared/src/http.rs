//! The bodies of the HTTP API.

use serde::{Deserialize, Serialize};

use crate::{
    error::{ApiError, ErrorCode},
    frame::{Locate, Person, RawLocate},
    id::{PeerId, SessionId},
    proof::{Challenge, Proof},
    radius::Radius,
    username::Username,
};

/// Answer to `POST /api/session/create`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct CreatedSession {
    /// The bearer secret.
    #[serde(serialize_with = "SessionId::serialize_exposed")]
    #[cfg_attr(feature = "typescript", specta(type = String))]
    pub session_id: SessionId,
    /// The public id that others see.
    pub peer_id: PeerId,
    /// The name: the one asked for, or a friendly random one.
    pub username: Username,
    /// How many changes are left.
    pub username_changes_left: u32,
    /// The session ends after this many seconds without any request or open socket.
    pub expires_in_s: u32,
}

/// Body of `POST /api/session/create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct CreateSession {
    /// A name to start with; without one the relay picks a friendly one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<Username>,
    /// The answer to a relay that has asked for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

impl CreateSession {
    /// Parses the body; an empty one asks for nothing in particular.
    pub fn parse(json: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct Raw {
            username: Option<String>,
            proof: Option<Proof>,
        }
        if json.is_empty() {
            return Ok(Self::default());
        }
        let Raw { username, proof } = read(json)?;
        let username = username.map(|s| Username::parse(&s)).transpose()?;
        Ok(Self { username, proof })
    }
}

/// Body of `PATCH /api/session/username`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct ChangeUsername {
    /// The new name.
    pub username: Username,
}

impl ChangeUsername {
    /// Parses the body.
    pub fn parse(json: &[u8]) -> Result<Self, ApiError> {
        #[derive(Deserialize)]
        struct Raw {
            username: String,
        }
        Ok(Self {
            username: Username::parse(&read::<Raw>(json)?.username)?,
        })
    }
}

/// Answer to `PATCH /api/session/username`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct UsernameChanged {
    /// The name now.
    pub username: Username,
    /// How many changes are left.
    pub username_changes_left: u32,
}

impl Locate {
    /// Parses the body of `POST /api/location/update`.
    pub fn parse(json: &[u8]) -> Result<Self, ApiError> {
        read::<RawLocate>(json)?.parse()
    }
}

/// Answer to `POST /api/location/update`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct LocationUpdated {
    /// First four characters of the place's geohash.
    pub geohash_prefix: String,
    /// Of the circle, in metres.
    pub radius: Radius,
    /// Side of the cell that this place is known to, in metres.
    pub grid_m: u32,
    /// How many people are in range.
    pub nearby: u32,
}

/// Answer to `GET /api/nearby`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Nearby {
    /// How many people are in range.
    pub count: u32,
    /// Who.
    pub people: Vec<Person>,
}

/// Answer to `GET /api/health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Health {
    /// Whether all is well.
    pub status: HealthStatus,
    /// The relay's version.
    pub version: String,
    /// Where the relay keeps what outlives a socket.
    pub store: StoreKind,
    /// Seconds since the relay started.
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    pub uptime_s: u64,
    /// What is wrong, when something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to `GET /api/ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Whether new people should be sent to this relay.
    pub ready: bool,
}

/// Whether all is well with a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum HealthStatus {
    /// It is.
    Ok,
    /// It works, but not as it should; comes with a reason and status 503.
    Degraded,
}

/// Where a relay keeps what outlives a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum StoreKind {
    /// In its own memory.
    Memory,
    /// In Redis, shared with other relays.
    Redis,
}

/// Body of every answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ApiError,
    /// What to answer, when it was [`ErrorCode::ProofRequired`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Challenge>,
}

impl From<ApiError> for ErrorBody {
    fn from(error: ApiError) -> Self {
        Self { error, proof: None }
    }
}

fn read<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(json).map_err(|e| {
        ApiError::new(
            ErrorCode::InvalidBody,
            format!("This body can't be read: {e}."),
        )
    })
}
