//! TURN inside: a closed TURN and STUN server (RFC 8656, RFC 8489) over UDP that carries traffic
//! between clients of this relay, and of those that share a store with it, and to nobody else.
//!
//! **Relayed addresses exist only in here.** An allocation gets the server's own address and a port
//! on which nothing listens. What one client sends to another's relayed address is handed over in
//! memory, and leaves through the one socket that both reach the server at. So there is no way out
//! to anything else, whatever a client asks for: not to loopback, a private network, the machine
//! itself or a stranger, nor in from any of them. Asking for a permission or a channel to such an
//! address is answered with 403. Two people whose connection has to be relayed both use their
//! relayed addresses, as ICE does by itself, and IPv4 meets IPv6 on the way.
//!
//! **Credentials are a session's.** Whoever joins voice gets a name with a time and an id that
//! no client knows of another, signed with a key that never leaves this process. Both are looked
//! at with each request. When the session ends, so do its allocations.
//!
//! **Among other relays** people who meet may be on two of them, each with a server of its own, and
//! could not be relayed to each other. So relays that share a store know each other's servers, and
//! whoever joins voice is given those on which all around meet: rendezvous hashing (Thaler and
//! Ravishankar, 1998) of the place, coarsely, over the servers. Guests' credentials are signed with
//! another key, which only relays of this store know; the relay that gave them says when their
//! session has ended.
//!
//! [`Core`] decides, and knows neither clock nor socket; [`Sockets`] move the packets; the
//! [`Issuer`] is the room's end.

mod allocation;
mod auth;
mod core;
mod issuer;
mod message;
mod refusal;
mod rendezvous;
mod sockets;

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use clap::Args;
use stun_types::AddressFamily;
use thiserror::Error;

pub use self::{
    auth::{Bandwidth, Secrets, UserId, Username},
    core::Core,
    issuer::{Change, Ended, InnerServer, Issuer},
    refusal::Refusal,
    sockets::Sockets,
};

/// Settings of the TURN server inside.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Address and UDP port of a TURN and STUN server in this relay, for the voices of people who
    /// can't reach each other directly or hide their address. It carries them between clients of
    /// this relay, and of others with the same Redis, and reaches nothing else. Can be repeated, or separated by commas.
    #[arg(
        id = "turn_listen",
        long = "turn-listen",
        env = "NEARTALK_TURN_LISTEN",
        value_name = "ADDR",
        value_delimiter = ','
    )]
    pub listen: Vec<SocketAddr>,

    /// The address at which clients reach --turn-listen, where it is not that one: behind a NAT, or
    /// when that is 0.0.0.0 or `[::]`. One of IPv4, one of IPv6, or both.
    #[arg(
        id = "turn_external_ip",
        long = "turn-external-ip",
        env = "NEARTALK_TURN_EXTERNAL_IP",
        value_name = "IP",
        value_delimiter = ','
    )]
    pub external_ips: Vec<IpAddr>,

    /// Places on the TURN server that a session may have: up to two for each person it is connected
    /// with, and twice that while a network changes.
    #[arg(
        id = "turn_session_allocations",
        long = "turn-session-allocations",
        env = "NEARTALK_TURN_SESSION_ALLOCATIONS",
        value_name = "N",
        default_value_t = 40,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub session_allocations: u32,

    /// Places on the TURN server in all.
    #[arg(
        id = "turn_max_allocations",
        long = "turn-max-allocations",
        env = "NEARTALK_TURN_MAX_ALLOCATIONS",
        value_name = "N",
        default_value_t = 8_000,
        value_parser = clap::value_parser!(u32).range(1..=16_000)
    )]
    pub max_allocations: u32,

    /// Kilobits a second that may be sent from one place on the TURN server. A voice takes 32 to
    /// 100.
    #[arg(
        id = "turn_kbps",
        long = "turn-kbps",
        env = "NEARTALK_TURN_KBPS",
        value_name = "N",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub kbps: u32,

    /// Kilobits a second that the TURN server carries in all.
    #[arg(
        id = "turn_total_kbps",
        long = "turn-total-kbps",
        env = "NEARTALK_TURN_TOTAL_KBPS",
        value_name = "N",
        default_value_t = 100_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub total_kbps: u32,
}

/// A TURN server that can't be.
#[derive(Debug, Error)]
pub enum FlagError {
    /// Every address of this machine, and none that could be told to clients.
    #[error(
        "--turn-listen {0} is every address of this machine; name the one that clients reach with --turn-external-ip"
    )]
    NoExternal(SocketAddr),
    /// An address for clients where nothing listens.
    #[error("--turn-external-ip {0} needs a --turn-listen address of the same kind")]
    NotListening(IpAddr),
    /// Two where there can be one.
    #[error("give --turn-external-ip at most one IPv4 and one IPv6 address")]
    TwoExternals,
    /// No address of any machine.
    #[error("--turn-external-ip {0} is no address that clients could reach")]
    Unreachable(IpAddr),
    /// A listener's address is not to be had.
    #[error(
        "can't listen on {address} over UDP: {source}; choose another address with --turn-listen or NEARTALK_TURN_LISTEN"
    )]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

impl Flags {
    /// How much of everything.
    pub fn limits(&self) -> Limits {
        Limits {
            allocations_per_session: self.session_allocations as usize,
            allocations: self.max_allocations as usize,
            per_allocation: Bandwidth::from_kbit(self.kbps),
            total: Bandwidth::from_kbit(self.total_kbps),
        }
    }
}

/// How much of everything there is.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Allocations that a session may have.
    pub allocations_per_session: usize,
    /// Allocations in all.
    pub allocations: usize,
    /// What may be sent from each.
    pub per_allocation: Bandwidth,
    /// What may be sent in all.
    pub total: Bandwidth,
}

/// Where a client is: what TURN calls a 5-tuple, as all of this is UDP.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Which of the server's sockets it reaches.
    pub socket: usize,
    /// Its own address, as the server sees it; an IPv4 address is never written as an IPv6 one.
    pub address: SocketAddr,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Endpoint(redacted)")
    }
}

/// Where clients reach the server, which is where their relayed addresses seem to be.
#[derive(Clone, Debug, Default)]
pub struct External {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    /// Ports on which it listens, which so are no relayed ones.
    listening: BTreeSet<u16>,
}

impl External {
    /// At these addresses, with sockets on these ports.
    pub fn at(
        v4: Option<Ipv4Addr>,
        v6: Option<Ipv6Addr>,
        listening: impl IntoIterator<Item = u16>,
    ) -> Self {
        Self {
            v4,
            v6,
            listening: listening.into_iter().collect(),
        }
    }

    /// What flags name, or else what listens on one address.
    fn named(flags: &Flags) -> Result<Self, FlagError> {
        let mut external = Self::default();
        let named = flags.external_ips.iter().map(IpAddr::to_canonical);
        for ip in named {
            if ip.is_unspecified() || ip.is_multicast() {
                return Err(FlagError::Unreachable(ip));
            }
            if !flags.listen.iter().any(|listen| serves(*listen, ip)) {
                return Err(FlagError::NotListening(ip));
            }
            let is_second = match ip {
                IpAddr::V4(ip) => external.v4.replace(ip).is_some(),
                IpAddr::V6(ip) => external.v6.replace(ip).is_some(),
            };
            if is_second {
                return Err(FlagError::TwoExternals);
            }
        }
        for listen in &flags.listen {
            match listen.ip().to_canonical() {
                ip if ip.is_unspecified() => {}
                IpAddr::V4(ip) => drop(external.v4.get_or_insert(ip)),
                IpAddr::V6(ip) => drop(external.v6.get_or_insert(ip)),
            }
        }
        for listen in &flags.listen {
            if external.ips().all(|ip| !serves(*listen, ip)) {
                return Err(FlagError::NoExternal(*listen));
            }
        }
        Ok(external)
    }

    /// Its address of this kind.
    pub fn ip(&self, family: AddressFamily) -> Option<IpAddr> {
        match family {
            AddressFamily::IPV4 => self.v4.map(IpAddr::V4),
            AddressFamily::IPV6 => self.v6.map(IpAddr::V6),
        }
    }

    fn ips(&self) -> impl Iterator<Item = IpAddr> {
        let v4 = self.v4.map(IpAddr::V4);
        v4.into_iter().chain(self.v6.map(IpAddr::V6))
    }

    /// The kind of relayed address that somebody gets who asks for this one, or for any.
    fn choose(&self, asked: Option<AddressFamily>) -> Option<AddressFamily> {
        let any = [AddressFamily::IPV4, AddressFamily::IPV6];
        let mut choices = any.into_iter().filter(|family| self.ip(*family).is_some());
        choices.find(|family| asked.is_none_or(|asked| asked == *family))
    }

    fn is_listening(&self, port: u16) -> bool {
        self.listening.contains(&port)
    }
}

/// Whether a listener can be where clients reach this address.
fn serves(listen: SocketAddr, external: IpAddr) -> bool {
    match listen.ip().to_canonical() {
        IpAddr::V4(_) => external.is_ipv4(),
        // All addresses of both kinds.
        IpAddr::V6(ip) if ip.is_unspecified() => true,
        IpAddr::V6(_) => external.is_ipv6(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        flags: Flags,
    }

    fn external(flags: &[&str]) -> Result<Vec<String>, FlagError> {
        let command = Command::parse_from([&["relay"], flags].concat());
        let external = External::named(&command.flags)?;
        Ok(external.ips().map(|ip| ip.to_string()).collect())
    }

    #[test]
    fn clients_are_told_where_it_listens_unless_that_is_elsewhere_or_everywhere() {
        let v4 = "--turn-listen=192.0.2.7:3478";
        let v6 = "--turn-listen=[2001:db8::7]:3478";
        assert_eq!(external(&[v4]).unwrap(), ["192.0.2.7"]);
        assert_eq!(external(&[v4, v6]).unwrap(), ["192.0.2.7", "2001:db8::7"]);
        let private = "--turn-listen=10.0.0.7:3478";
        let public = "--turn-external-ip=198.51.100.7";
        assert_eq!(external(&[private, public]).unwrap(), ["198.51.100.7"]);
        let all = "--turn-listen=[::]:3478";
        assert_eq!(external(&[all, public]).unwrap(), ["198.51.100.7"]);
        let both = "--turn-external-ip=2001:db8::7,198.51.100.7";
        assert_eq!(
            external(&[all, both]).unwrap(),
            ["198.51.100.7", "2001:db8::7"]
        );
        assert_eq!(external(&[]).unwrap(), [""; 0]);
    }

    #[test]
    fn addresses_that_do_not_fit_together_are_refused() {
        let error = |flags: &[&str]| external(flags).unwrap_err().to_string();
        let said = error(&["--turn-listen=0.0.0.0:3478"]);
        assert!(
            said.contains("0.0.0.0:3478") && said.contains("--turn-external-ip"),
            "{said}"
        );
        let v4 = "--turn-listen=192.0.2.7:3478";
        for flags in [
            &["--turn-external-ip=198.51.100.7"][..],
            &[v4, "--turn-external-ip=2001:db8::7"],
            &[v4, "--turn-external-ip=198.51.100.7,198.51.100.8"],
            &[v4, "--turn-external-ip=0.0.0.0"],
            &[v4, "--turn-external-ip=224.0.0.1"],
            &[v4, "--turn-listen=[::]:3479", "--turn-external-ip=::"],
        ] {
            let said = error(flags);
            assert!(said.contains("--turn-external-ip"), "{flags:?}: {said}");
        }
    }
}
