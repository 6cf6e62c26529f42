//! What clients say.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Tag;
use crate::{
    error::{ApiError, ErrorCode},
    geo::Place,
    id::{MessageId, PeerId, SessionId},
    limits::{CANDIDATE_MAX_BYTES, NONCE_MAX_BYTES, SDP_MAX_BYTES, SDP_MID_MAX_BYTES},
    radius::Radius,
    text::MessageText,
    username::Username,
};

/// What a client says to a relay.
///
/// Reading one goes through [`ClientFrame::parse`], the one place where a client's input becomes
/// typed values.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame: who is speaking.
    Hello {
        /// The bearer secret.
        #[serde(serialize_with = "SessionId::serialize_exposed")]
        #[cfg_attr(feature = "typescript", specta(type = String))]
        session_id: SessionId,
        /// Version of the contract, see [`PROTOCOL_VERSION`](crate::limits::PROTOCOL_VERSION).
        protocol: u32,
    },
    /// Here I am (the centre of a cell), and this is my circle.
    Locate(Locate),
    /// Say something to everyone in range.
    Say {
        /// Made by the client; the same id again is answered again and delivered once.
        id: MessageId,
        /// What to say.
        text: MessageText,
    },
    /// I am typing.
    Typing,
    /// Call me something else.
    Rename {
        /// The new name.
        username: Username,
    },
    /// Join voice.
    VoiceJoin,
    /// My microphone or loudspeaker is on or off.
    VoiceState {
        /// Nobody hears me.
        muted: bool,
        /// I hear nobody.
        deafened: bool,
    },
    /// Leave voice.
    VoiceLeave,
    /// Hand something to a peer in voice.
    Signal {
        /// To whom.
        to: PeerId,
        /// What.
        data: SignalData,
    },
    /// Somebody misbehaves.
    Report {
        /// Who.
        peer_id: PeerId,
        /// Why.
        reason: ReportReason,
        /// With which message.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<MessageId>,
    },
    /// Are you there?
    Ping {
        /// Comes back in the `pong`.
        nonce: Nonce,
    },
}

/// A place and a circle, as they cross the wire. Also the body of `POST /api/location/update`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct Locate {
    /// Degrees north and east. A client sends the centre of its cell, and nothing finer.
    #[serde(flatten, serialize_with = "serialize_place")]
    #[cfg_attr(feature = "typescript", specta(type = Coordinates))]
    pub place: Place,
    /// Of the circle, in metres.
    pub radius: Radius,
}

/// A place on the wire, in degrees.
#[derive(Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
struct Coordinates {
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    lat: f64,
    #[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))]
    lon: f64,
}

fn serialize_place<S: serde::Serializer>(place: &Place, s: S) -> Result<S::Ok, S::Error> {
    Coordinates {
        lat: place.lat(),
        lon: place.lon(),
    }
    .serialize(s)
}

/// What peers in voice hand each other to connect; a relay checks its shape and size and never
/// reads more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SignalData {
    /// A session description.
    Description {
        /// Offer or answer.
        sdp_type: SdpType,
        /// The description (RFC 8866).
        sdp: String,
    },
    /// A trickled ICE candidate (RFC 8838); an empty one ends them.
    Candidate {
        /// The candidate line.
        candidate: String,
        /// Which media section it belongs to, by identification tag …
        sdp_mid: Option<String>,
        /// … and by index.
        sdp_m_line_index: Option<u16>,
    },
    /// The sender closes this connection.
    Bye,
}

/// Which half of the offer/answer exchange (RFC 3264) a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
pub enum SdpType {
    /// What is offered.
    Offer,
    /// What is accepted of it.
    Answer,
}

impl SignalData {
    /// How many bytes of text there are in it.
    pub fn size(&self) -> usize {
        match self {
            Self::Description { sdp, .. } => sdp.len(),
            Self::Candidate {
                candidate, sdp_mid, ..
            } => candidate.len() + sdp_mid.as_ref().map_or(0, String::len),
            Self::Bye => 0,
        }
    }

    fn fits(&self) -> bool {
        match self {
            Self::Description { sdp, .. } => sdp.len() <= SDP_MAX_BYTES,
            Self::Candidate {
                candidate, sdp_mid, ..
            } => {
                candidate.len() <= CANDIDATE_MAX_BYTES
                    && sdp_mid
                        .as_ref()
                        .is_none_or(|mid| mid.len() <= SDP_MID_MAX_BYTES)
            }
            Self::Bye => true,
        }
    }
}

/// Why somebody is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each says it all")]
pub enum ReportReason {
    Spam,
    Abuse,
    Illegal,
    Other,
}

/// What a client puts into a `ping` to know its `pong` by: a string or an integer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(untagged)]
#[allow(missing_docs, reason = "each says it all")]
pub enum Nonce {
    Number(#[cfg_attr(feature = "typescript", specta(type = specta_typescript::Number))] i64),
    Text(String),
}

/// Why a frame was refused, ready to be answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameError {
    /// What went wrong.
    pub error: ApiError,
    /// The message id that the frame carried, when it was a `say` that got that far.
    pub reference: Option<MessageId>,
}

impl<E: Into<ApiError>> From<E> for FrameError {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            reference: None,
        }
    }
}

impl ClientFrame {
    /// Parses a frame, telling apart what can be wrong with it.
    pub fn parse(json: &str) -> Result<Self, FrameError> {
        #[derive(Deserialize)]
        struct Hello {
            session_id: String,
            protocol: f64,
        }
        #[derive(Deserialize)]
        struct Say {
            id: String,
            text: String,
        }
        #[derive(Deserialize)]
        struct Rename {
            username: String,
        }
        #[derive(Deserialize)]
        struct VoiceState {
            muted: bool,
            deafened: bool,
        }
        #[derive(Deserialize)]
        struct Signal<'a> {
            to: String,
            #[serde(borrow)]
            data: &'a RawValue,
        }
        #[derive(Deserialize)]
        struct Report {
            peer_id: String,
            reason: ReportReason,
            message_id: Option<String>,
        }
        #[derive(Deserialize)]
        struct Ping {
            nonce: Nonce,
        }

        let invalid = |message: String| ApiError::new(ErrorCode::InvalidFrame, message);
        match read::<Tag>(json)?.tag.as_ref() {
            "hello" => {
                let Hello {
                    session_id,
                    protocol,
                } = read(json)?;
                Ok(Self::Hello {
                    session_id: SessionId::parse(&session_id).map_err(|_| {
                        ApiError::new(ErrorCode::Unauthorized, "This is no session; create one.")
                    })?,
                    // Whatever is no version at all is a version that nobody speaks.
                    protocol: if protocol.fract() == 0.0 {
                        protocol as u32
                    } else {
                        0
                    },
                })
            }
            "locate" => Ok(Self::Locate(read::<RawLocate>(json)?.parse()?)),
            "say" => {
                let Say { id, text } = read(json)?;
                let id = MessageId::parse(&id).map_err(|e| invalid(format!("id: {e}.")))?;
                match MessageText::parse(&text) {
                    Ok(text) => Ok(Self::Say { id, text }),
                    Err(e) => Err(FrameError {
                        error: e.into(),
                        reference: Some(id),
                    }),
                }
            }
            "typing" => Ok(Self::Typing),
            "rename" => Ok(Self::Rename {
                username: Username::parse(&read::<Rename>(json)?.username)?,
            }),
            "voice_join" => Ok(Self::VoiceJoin),
            "voice_state" => {
                let VoiceState { muted, deafened } = read(json)?;
                Ok(Self::VoiceState { muted, deafened })
            }
            "voice_leave" => Ok(Self::VoiceLeave),
            "signal" => {
                let Signal { to, data } = read(json)?;
                let refused = |message: &str| ApiError::new(ErrorCode::InvalidSignal, message);
                let data: SignalData = serde_json::from_str(data.get())
                    .map_err(|_| refused("This is no description, candidate or bye."))?;
                if !data.fits() {
                    return Err(refused("This description or candidate is too large.").into());
                }
                // An id that cannot exist is nobody's, and nobody is not in range.
                let to = PeerId::parse(&to).map_err(|_| not_in_range())?;
                Ok(Self::Signal { to, data })
            }
            "report" => {
                let Report {
                    peer_id,
                    reason,
                    message_id,
                } = read(json)?;
                Ok(Self::Report {
                    peer_id: PeerId::parse(&peer_id)
                        .map_err(|e| invalid(format!("peer_id: {e}.")))?,
                    reason,
                    message_id: message_id
                        .map(|id| MessageId::parse(&id))
                        .transpose()
                        .map_err(|e| invalid(format!("message_id: {e}.")))?,
                })
            }
            "ping" => {
                let Ping { nonce } = read(json)?;
                if matches!(&nonce, Nonce::Text(s) if s.len() > NONCE_MAX_BYTES) {
                    return Err(
                        invalid(format!("A nonce has at most {NONCE_MAX_BYTES} bytes.")).into(),
                    );
                }
                Ok(Self::Ping { nonce })
            }
            _ => Err(ApiError::new(
                ErrorCode::UnknownType,
                "This relay knows no frame of that type; it may be older than the client.",
            )
            .into()),
        }
    }

    /// The frame as it crosses the wire.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a frame has only string keys and finite numbers")
    }
}

/// The answer to a signal for somebody who is not in voice and in range, or does not exist.
pub fn not_in_range() -> ApiError {
    ApiError::new(
        ErrorCode::NotInRange,
        "That person is not in voice and in range.",
    )
}

fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, ApiError> {
    serde_json::from_str(json).map_err(|e| {
        // Where in the frame is of use to whoever writes a client; the frame itself is not echoed.
        ApiError::new(
            ErrorCode::InvalidFrame,
            format!("This frame can't be read: {e}."),
        )
    })
}

/// A place and a circle as they arrive, before anything about them has been checked.
#[derive(Deserialize)]
pub(crate) struct RawLocate {
    lat: AnyNumber,
    lon: AnyNumber,
    radius: AnyNumber,
}

impl RawLocate {
    pub(crate) fn parse(self) -> Result<Locate, ApiError> {
        Ok(Locate {
            place: Place::new(self.lat.0, self.lon.0)?,
            radius: Radius::from_number(self.radius.0)?,
        })
    }
}

/// Any JSON number; one beyond `f64`, such as 1e999, is infinite rather than a parse error, so
/// that it gets the answer of its field.
struct AnyNumber(f64);

impl<'de> Deserialize<'de> for AnyNumber {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(d)?;
        // A JSON number starts with a digit or a minus; Rust would also read "inf" and "NaN".
        match raw.get().as_bytes() {
            [b'0'..=b'9' | b'-', ..] => raw
                .get()
                .parse()
                .map(Self)
                .map_err(serde::de::Error::custom),
            _ => Err(serde::de::Error::custom("expected a number")),
        }
    }
}
