//! TURN with time-limited credentials (draft-uberti-behave-turn-rest): relay and TURN server share
//! a secret, and whoever joins voice gets a name that says until when it is good, signed with it.
//!
//! The server is another program, such as coturn, or the [`relay`] in here.

pub mod relay;

use std::{fmt, io, net::Ipv6Addr, path::PathBuf, str::FromStr, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use neartalk_shared::{PeerId, Timestamp, frame::IceServer};
use rand::Rng;
use serde::{Deserialize, Serialize};
use sha1::Sha1;
use thiserror::Error;

/// The address of a TURN server: `turn:HOST[:PORT][?transport=udp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnUrl(String);

/// Not the address of a TURN server that clients could use.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidTurnUrl {
    /// TURN inside of TLS or TCP, which the native clients don't speak.
    #[error(
        "clients reach TURN servers over UDP only; give an address such as turn:turn.example.org:3478"
    )]
    NotUdp,
    /// Something else.
    #[error("give an address such as turn:turn.example.org:3478")]
    Malformed,
}

impl FromStr for TurnUrl {
    type Err = InvalidTurnUrl;

    fn from_str(s: &str) -> Result<Self, InvalidTurnUrl> {
        if s.starts_with("turns:") {
            return Err(InvalidTurnUrl::NotUdp);
        }
        let rest = s.strip_prefix("turn:").ok_or(InvalidTurnUrl::Malformed)?;
        let (server, query) = match rest.split_once('?') {
            Some((server, query)) => (server, Some(query)),
            None => (rest, None),
        };
        match query {
            None | Some("transport=udp") => {}
            Some("transport=tcp") => return Err(InvalidTurnUrl::NotUdp),
            Some(_) => return Err(InvalidTurnUrl::Malformed),
        }
        if is_server(server) {
            Ok(Self(s.to_owned()))
        } else {
            Err(InvalidTurnUrl::Malformed)
        }
    }
}

/// Whether this is a host with or without a port.
fn is_server(s: &str) -> bool {
    let is_port = |s: &str| s.parse::<u16>().is_ok_and(|port| port > 0);
    if let Some(rest) = s.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(host, rest)| {
            let port = rest.strip_prefix(':');
            host.parse::<Ipv6Addr>().is_ok() && (rest.is_empty() || port.is_some_and(is_port))
        });
    }
    let (host, port) = match s.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (s, None),
    };
    let of_a_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    !host.is_empty() && host.chars().all(of_a_name) && port.is_none_or(is_port)
}

/// What relay and TURN server share. It shows itself to nobody else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TurnSecret(String);

/// Nothing but blanks.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("the secret is empty; give the one that the TURN server has as static-auth-secret")]
pub struct EmptySecret;

impl FromStr for TurnSecret {
    type Err = EmptySecret;

    fn from_str(s: &str) -> Result<Self, EmptySecret> {
        // A file ends with a newline that is no part of it.
        match s.trim() {
            "" => Err(EmptySecret),
            secret => Ok(Self(secret.to_owned())),
        }
    }
}

impl TurnSecret {
    /// One that nobody has to know but this process.
    fn random(rng: &mut impl Rng) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(STANDARD.encode(bytes))
    }

    /// What goes with this name: its signature, as draft-uberti-behave-turn-rest has it.
    pub fn credential(&self, username: &str) -> String {
        let mut mac = Hmac::<Sha1>::new_from_slice(self.0.as_bytes())
            .expect("HMAC takes a key of any length");
        mac.update(username.as_bytes());
        STANDARD.encode(mac.finalize().into_bytes())
    }
}

impl fmt::Debug for TurnSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnSecret(…)")
    }
}

/// TURN settings that don't fit together.
#[derive(Debug, Error)]
pub enum TurnError {
    /// Servers, and nothing to sign with.
    #[error(
        "--turn-url needs the TURN server's secret; give it as NEARTALK_TURN_SECRET or in a file named by --turn-secret-file"
    )]
    NoSecret,
    /// A secret, and no servers.
    #[error("there is a TURN secret but no TURN server; name it with --turn-url")]
    NoUrl,
    /// Two secrets.
    #[error(
        "give the TURN secret either as --turn-secret (NEARTALK_TURN_SECRET) or in --turn-secret-file, not both"
    )]
    TwoSecrets,
    /// The secret's file can't be read.
    #[error("can't read --turn-secret-file {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The secret's file has nothing in it.
    #[error("--turn-secret-file {}: {EmptySecret}", path.display())]
    Empty {
        /// Which file.
        path: PathBuf,
    },
}

/// TURN servers, and what it takes to let people use them.
#[derive(Clone, Debug)]
pub struct TurnServers {
    urls: Vec<TurnUrl>,
    secret: TurnSecret,
    ttl: Duration,
}

impl TurnServers {
    /// The servers at `urls`, which all know `secret`; what is signed with it is good for `ttl`.
    /// None when none of this is given.
    pub fn new(
        urls: Vec<TurnUrl>,
        secret: Option<TurnSecret>,
        secret_file: Option<PathBuf>,
        ttl: Duration,
    ) -> Result<Option<Self>, TurnError> {
        let secret = match (secret, secret_file) {
            (Some(_), Some(_)) => return Err(TurnError::TwoSecrets),
            (Some(secret), None) => Some(secret),
            (None, Some(path)) => Some(read(path)?),
            (None, None) => None,
        };
        match (urls.is_empty(), secret) {
            (true, None) => Ok(None),
            (true, Some(_)) => Err(TurnError::NoUrl),
            (false, None) => Err(TurnError::NoSecret),
            (false, Some(secret)) => Ok(Some(Self { urls, secret, ttl })),
        }
    }

    /// What this person needs to use the servers from `now` on.
    pub fn ice_server(&self, peer_id: PeerId, now: Timestamp) -> IceServer {
        let until = (now + self.ttl).as_millis() / 1_000;
        let username = format!("{until}:{peer_id}");
        IceServer {
            urls: self.urls.iter().map(|url| url.0.clone()).collect(),
            credential: Some(self.secret.credential(&username)),
            username: Some(username),
        }
    }
}

fn read(path: PathBuf) -> Result<TurnSecret, TurnError> {
    match std::fs::read_to_string(&path) {
        Ok(text) => text
            .parse()
            .map_err(|EmptySecret| TurnError::Empty { path }),
        Err(source) => Err(TurnError::Unreadable { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers() -> TurnServers {
        let urls = ["turn:turn.example.org", "turn:[2001:db8::7]:3478"];
        let urls = urls.map(|url| url.parse().unwrap()).to_vec();
        let secret = "north wind\n".parse().ok();
        let ttl = Duration::from_secs(86_400);
        TurnServers::new(urls, secret, None, ttl).unwrap().unwrap()
    }

    #[test]
    fn a_credential_is_the_signed_name_and_time() {
        let peer_id = PeerId::parse("041061050R3GG28A1C60T3GF20").unwrap();
        let now = Timestamp::from_millis(1_790_000_000_999);
        // As `openssl dgst -sha1 -hmac "north wind" -binary | base64` has it.
        let expected = IceServer {
            urls: vec![
                "turn:turn.example.org".to_owned(),
                "turn:[2001:db8::7]:3478".to_owned(),
            ],
            username: Some("1790086400:041061050R3GG28A1C60T3GF20".to_owned()),
            credential: Some("6rU/9HMVYVPrnPEzo7jjTtdwnog=".to_owned()),
        };
        assert_eq!(servers().ice_server(peer_id, now), expected);
    }

    #[test]
    fn urls_are_of_turn_over_udp() {
        for good in [
            "turn:turn.example.org",
            "turn:turn.example.org:3478",
            "turn:192.0.2.7:3478?transport=udp",
            "turn:[2001:db8::7]",
            "turn:[2001:db8::7]:3478?transport=udp",
        ] {
            assert_eq!(good.parse(), Ok(TurnUrl(good.to_owned())));
        }
        for bad in ["turns:turn.example.org", "turn:a?transport=tcp"] {
            assert_eq!(bad.parse::<TurnUrl>(), Err(InvalidTurnUrl::NotUdp), "{bad}");
        }
        for bad in [
            "",
            "turn.example.org",
            "stun:turn.example.org",
            "https://turn.example.org",
            "turn:",
            "turn://turn.example.org",
            "turn::3478",
            "turn:a:",
            "turn:a:0",
            "turn:a:65536",
            "turn:a:b:1",
            "turn:user@a",
            "turn:[2001:db8::7",
            "turn:[2001:db8::7]3478",
            "turn:[a]",
            "turn:2001:db8::7",
            "turn:a?",
            "turn:a?transport=sctp",
            "turn:a?transport=udp&b",
        ] {
            assert_eq!(
                bad.parse::<TurnUrl>(),
                Err(InvalidTurnUrl::Malformed),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!("  \n".parse::<TurnSecret>(), Err(EmptySecret));
        let shown = format!("{:?}", servers());
        assert!(
            shown.contains("turn.example.org") && !shown.contains("wind"),
            "{shown}"
        );
    }

    #[test]
    fn settings_that_do_not_fit_together_are_refused() {
        let url = || vec!["turn:a".parse().unwrap()];
        let secret = || "hush".parse().ok();
        let file = || Some(PathBuf::from("/nonexistent/secret"));
        let new = |urls, secret, file| TurnServers::new(urls, secret, file, Duration::from_secs(1));
        assert!(matches!(new(vec![], None, None), Ok(None)));
        assert!(matches!(new(url(), secret(), None), Ok(Some(_))));
        assert!(matches!(new(url(), None, None), Err(TurnError::NoSecret)));
        assert!(matches!(new(vec![], secret(), None), Err(TurnError::NoUrl)));
        assert!(matches!(
            new(url(), secret(), file()),
            Err(TurnError::TwoSecrets)
        ));
        assert!(matches!(
            new(url(), None, file()),
            Err(TurnError::Unreadable { .. })
        ));
    }
}
