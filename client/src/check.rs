//! Whether an address is that of a relay, asked before anybody moves there.

use std::time::{Duration, Instant};

use neartalk_shared::http::{Health, HealthStatus};
use reqwest::StatusCode;
use serde::Serialize;

use crate::{link, relay_url::RelayUrl};

/// What came of asking an address whether it is that of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum RelayCheck {
    /// It is, and all is well.
    Ok {
        /// The relay's version.
        version: String,
        /// How long the answer took, connecting included, in milliseconds.
        round_trip_ms: u32,
    },
    /// It is, but something is wrong there.
    Degraded {
        /// In the relay's words.
        reason: String,
    },
    /// Nothing answers.
    Unreachable {
        /// What the system says about it.
        detail: String,
    },
    /// Something else answers.
    NotARelay {
        /// What came.
        detail: String,
    },
    /// It is no address.
    Invalid {
        /// Why, and what one looks like.
        detail: String,
    },
}

/// Asks the address that somebody typed whether it is that of a relay, and whether all is well there.
/// Nothing is told to it but that somebody asks. Takes ten seconds at most.
pub async fn check_relay(address: &str) -> RelayCheck {
    let relay = match RelayUrl::parse(address) {
        Ok(relay) => relay,
        Err(error) => {
            return RelayCheck::Invalid {
                detail: error.to_string(),
            };
        }
    };
    let asked = Instant::now();
    match link::ask_health(&relay).await {
        Ok((status, body)) => judge(status, &body, asked.elapsed()),
        Err(detail) => RelayCheck::Unreachable { detail },
    }
}

/// What an answer means.
fn judge(status: StatusCode, body: &[u8], took: Duration) -> RelayCheck {
    match serde_json::from_slice::<Health>(body) {
        Ok(health) if health.status == HealthStatus::Ok => RelayCheck::Ok {
            version: health.version,
            round_trip_ms: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
        },
        Ok(health) => RelayCheck::Degraded {
            reason: health.reason.unwrap_or_default(),
        },
        Err(_) if status == StatusCode::TOO_MANY_REQUESTS => RelayCheck::Degraded {
            reason: "it has too much to do".into(),
        },
        Err(_) => RelayCheck::NotARelay {
            detail: format!("it answers {status}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const TOOK: Duration = Duration::from_millis(38);

    #[test]
    fn what_answers_mean() {
        let well = br#"{"status":"ok","version":"1.2.3","store":"memory","uptime_s":5}"#;
        assert_eq!(
            judge(StatusCode::OK, well, TOOK),
            RelayCheck::Ok {
                version: "1.2.3".into(),
                round_trip_ms: 38
            }
        );
        let ill = br#"{"status":"degraded","version":"1","store":"redis","uptime_s":5,"reason":"Redis is away."}"#;
        assert_eq!(
            judge(StatusCode::SERVICE_UNAVAILABLE, ill, TOOK),
            RelayCheck::Degraded {
                reason: "Redis is away.".into()
            }
        );
        assert!(matches!(
            judge(StatusCode::TOO_MANY_REQUESTS, b"", TOOK),
            RelayCheck::Degraded { .. }
        ));
        for (status, body) in [
            (StatusCode::OK, "<html>".as_bytes()),
            (StatusCode::NOT_FOUND, b""),
            (StatusCode::OK, br#"{"status":"ok"}"#),
        ] {
            let check = judge(status, body, TOOK);
            assert!(matches!(check, RelayCheck::NotARelay { .. }), "{check:?}");
        }
    }

    #[tokio::test]
    async fn where_nothing_listens_nothing_answers() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            listener.local_addr().unwrap().port()
        };
        let check = check_relay(&format!("127.0.0.1:{port}")).await;
        assert_eq!(
            check,
            RelayCheck::Unreachable {
                detail: "Connection refused".into()
            }
        );
    }

    #[tokio::test]
    async fn what_is_no_address_is_not_asked() {
        for bad in ["", "two words", "ftp://example.org"] {
            let check = check_relay(bad).await;
            assert!(matches!(check, RelayCheck::Invalid { .. }), "{check:?}");
        }
    }
}
