//! Links that bring others to a relay: `neartalk://join?relay=https%3A%2F%2Frelay.example.org`.

use neartalk_client::RelayUrl;
use tauri::Url;
use thiserror::Error;

/// How these links begin.
pub const SCHEME: &str = "neartalk";
/// Longer than any invitation.
const LONGEST: usize = 2_048;

/// Why something is no invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidInvite {
    /// Not a link of NearTalk's.
    #[error("this is no link of NearTalk's")]
    Foreign,
    /// It asks for something that this version does not know.
    #[error("this version of NearTalk does not know what the link asks for")]
    Unknown,
    /// It names no relay, or several, or something that is none.
    #[error("the link names no relay")]
    Relay,
}

/// A link that brings others to this relay.
pub fn link_to(relay: &RelayUrl) -> String {
    let mut url = Url::parse("neartalk://join").expect("a test makes one");
    url.query_pairs_mut()
        .append_pair("relay", &relay.to_string());
    url.into()
}

/// Which relay a link brings to.
///
/// # Errors
/// If it brings to none.
pub fn relay_of(link: &str) -> Result<RelayUrl, InvalidInvite> {
    if link.len() > LONGEST {
        return Err(InvalidInvite::Foreign);
    }
    let url = Url::parse(link).map_err(|_| InvalidInvite::Foreign)?;
    if url.scheme() != SCHEME {
        return Err(InvalidInvite::Foreign);
    }
    // Some systems hand over `neartalk:join?…` or `neartalk://join/?…`.
    let action = match url.host_str() {
        Some(host) if matches!(url.path(), "" | "/") => host.to_owned(),
        Some(_) => return Err(InvalidInvite::Unknown),
        None => url.path().trim_matches('/').to_owned(),
    };
    if action != "join" {
        return Err(InvalidInvite::Unknown);
    }
    let mut relays = url.query_pairs().filter(|(name, _)| name == "relay");
    match (relays.next(), relays.next()) {
        (Some((_, relay)), None) => RelayUrl::parse(&relay).map_err(|_| InvalidInvite::Relay),
        _ => Err(InvalidInvite::Relay),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_back_to_its_relay() {
        for relay in [
            "https://relay.example.org",
            "http://127.0.0.1:8080",
            "https://example.org/near/talk",
            "http://[::1]:8080",
        ] {
            let relay = RelayUrl::parse(relay).unwrap();
            assert_eq!(relay_of(&link_to(&relay)), Ok(relay));
        }
        assert_eq!(
            link_to(&RelayUrl::parse("relay.example.org").unwrap()),
            "neartalk://join?relay=https%3A%2F%2Frelay.example.org"
        );
    }

    #[test]
    fn links_as_systems_and_people_write_them() {
        let relay = RelayUrl::parse("relay.example.org").unwrap();
        for link in [
            "neartalk://join?relay=relay.example.org",
            "neartalk://join/?relay=https://relay.example.org",
            "neartalk:join?relay=wss%3A%2F%2Frelay.example.org",
            "NEARTALK://join?x=1&relay=relay.example.org#y",
        ] {
            assert_eq!(relay_of(link).as_ref(), Ok(&relay), "{link}");
        }
    }

    #[test]
    fn what_brings_nowhere() {
        let long = format!("neartalk://join?relay={}", "a".repeat(LONGEST));
        for (link, why) in [
            ("", InvalidInvite::Foreign),
            ("join", InvalidInvite::Foreign),
            (
                "https://join?relay=relay.example.org",
                InvalidInvite::Foreign,
            ),
            (&long, InvalidInvite::Foreign),
            ("neartalk://", InvalidInvite::Unknown),
            ("neartalk://leave?relay=a.example", InvalidInvite::Unknown),
            (
                "neartalk://join/now?relay=a.example",
                InvalidInvite::Unknown,
            ),
            ("neartalk://join", InvalidInvite::Relay),
            ("neartalk://join?relay=", InvalidInvite::Relay),
            (
                "neartalk://join?relay=file:///etc/passwd",
                InvalidInvite::Relay,
            ),
            (
                "neartalk://join?relay=javascript:alert(1)",
                InvalidInvite::Relay,
            ),
            (
                "neartalk://join?relay=https://me:secret@a.example",
                InvalidInvite::Relay,
            ),
            (
                "neartalk://join?relay=a.example&relay=b.example",
                InvalidInvite::Relay,
            ),
        ] {
            assert_eq!(relay_of(link), Err(why), "{link}");
        }
    }
}
