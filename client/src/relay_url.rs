//! The address of a relay.

use std::{fmt, net::IpAddr, str::FromStr};

use reqwest::Url;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The address of a relay, parsed once: `https://host[:port][/prefix]`, `http://…`, or just
/// `host[:port]`.
///
/// An address without a scheme means TLS, except for this very machine (`localhost`, 127.0.0.0/8,
/// `::1`), where it means none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(feature = "typescript", specta(type = String))]
pub struct RelayUrl {
    /// `http` or `https`, with a path that ends in a slash.
    base: Url,
}

/// Why a string is no address of a relay.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidRelayUrl {
    /// It can't be read as an address at all.
    #[error(
        "\"{0}\" is no address of a relay; write it like https://relay.example.org or localhost:8080"
    )]
    Malformed(String),
    /// A scheme that relays are not reached by.
    #[error("a relay is reached by https:// or http://, not {0}://")]
    Scheme(String),
    /// A user, password, query or fragment.
    #[error("a relay's address has a host, perhaps a port and a path, and nothing else")]
    Extra,
}

impl RelayUrl {
    /// Parses an address.
    pub fn parse(s: &str) -> Result<Self, InvalidRelayUrl> {
        let s = s.trim();
        let malformed = || InvalidRelayUrl::Malformed(s.to_owned());
        let mut base = if s.contains("://") {
            Url::parse(s).map_err(|_| malformed())?
        } else {
            let url = Url::parse(&format!("https://{s}")).map_err(|_| malformed())?;
            if is_this_machine(&url) {
                // Parsed anew, since the default port depends on the scheme.
                Url::parse(&format!("http://{s}")).map_err(|_| malformed())?
            } else {
                url
            }
        };
        let scheme = match base.scheme() {
            "http" | "ws" => "http",
            "https" | "wss" => "https",
            other => return Err(InvalidRelayUrl::Scheme(other.to_owned())),
        };
        base.set_scheme(scheme).map_err(|()| malformed())?;
        if base.host_str().is_none_or(str::is_empty) {
            return Err(malformed());
        }
        if !base.username().is_empty()
            || base.password().is_some()
            || base.query().is_some()
            || base.fragment().is_some()
        {
            return Err(InvalidRelayUrl::Extra);
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        Ok(Self { base })
    }

    /// The host as people know it, with its port when that is unusual: "relay.example.org".
    pub fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        match self.base.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// Whether the connection is encrypted.
    pub fn is_encrypted(&self) -> bool {
        self.base.scheme() == "https"
    }

    /// The host alone, without brackets, and the port, to connect to.
    pub(crate) fn socket_address(&self) -> (String, u16) {
        let host = self.base.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = self.base.port_or_known_default().unwrap_or(443);
        (host.to_owned(), port)
    }

    /// `POST` here for a session.
    pub(crate) fn create_session(&self) -> Url {
        self.at("api/session/create")
    }

    /// `GET` here to learn whether the relay is well.
    pub(crate) fn health(&self) -> Url {
        self.at("api/health")
    }

    /// The socket.
    pub(crate) fn socket(&self) -> String {
        // `Url` refuses to change between some schemes, so the text is changed instead.
        let url = self.at("ws");
        url.as_str().replacen("http", "ws", 1)
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

impl FromStr for RelayUrl {
    type Err = InvalidRelayUrl;

    fn from_str(s: &str) -> Result<Self, InvalidRelayUrl> {
        Self::parse(s)
    }
}

impl TryFrom<String> for RelayUrl {
    type Error = InvalidRelayUrl;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::parse(&s)
    }
}

impl From<RelayUrl> for String {
    fn from(url: RelayUrl) -> Self {
        url.to_string()
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (given, shown, socket, session) in [
            (
                "https://relay.example.org",
                "https://relay.example.org",
                "wss://relay.example.org/ws",
                "https://relay.example.org/api/session/create",
            ),
            (
                "relay.example.org:8443",
                "https://relay.example.org:8443",
                "wss://relay.example.org:8443/ws",
                "https://relay.example.org:8443/api/session/create",
            ),
            (
                "https://example.org/chat/",
                "https://example.org/chat",
                "wss://example.org/chat/ws",
                "https://example.org/chat/api/session/create",
            ),
            (
                "127.0.0.1:8080",
                "http://127.0.0.1:8080",
                "ws://127.0.0.1:8080/ws",
                "http://127.0.0.1:8080/api/session/create",
            ),
            (
                "localhost",
                "http://localhost",
                "ws://localhost/ws",
                "http://localhost/api/session/create",
            ),
            (
                " [::1]:8080 ",
                "http://[::1]:8080",
                "ws://[::1]:8080/ws",
                "http://[::1]:8080/api/session/create",
            ),
            (
                "wss://relay.example.org",
                "https://relay.example.org",
                "wss://relay.example.org/ws",
                "https://relay.example.org/api/session/create",
            ),
        ] {
            let url = RelayUrl::parse(given).unwrap_or_else(|e| panic!("{given}: {e}"));
            assert_eq!(url.to_string(), shown);
            assert_eq!(url.socket(), socket);
            assert_eq!(url.create_session().as_str(), session);
        }
    }

    #[test]
    fn host_and_port_to_connect_to() {
        let address = |s: &str| RelayUrl::parse(s).unwrap().socket_address();
        assert_eq!(address("https://a.example"), ("a.example".into(), 443));
        assert_eq!(address("http://a.example"), ("a.example".into(), 80));
        assert_eq!(address("[::1]:81"), ("::1".into(), 81));
        assert_eq!(
            RelayUrl::parse("https://a.example:444").unwrap().host(),
            "a.example:444"
        );
    }

    #[test]
    fn what_is_no_address() {
        for (bad, why) in [
            ("", "is no address"),
            ("https://", "is no address"),
            ("a b", "is no address"),
            ("host:99999", "is no address"),
            ("ftp://example.org", "not ftp://"),
            ("https://me:secret@example.org", "nothing else"),
            ("https://example.org/?x=1", "nothing else"),
            ("https://example.org/#x", "nothing else"),
        ] {
            let error = RelayUrl::parse(bad).map(|u| u.to_string()).unwrap_err();
            assert!(error.to_string().contains(why), "{bad}: {error}");
        }
    }
}
