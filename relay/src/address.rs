//! Who is asking, as far as fairness needs to know: the client's address, which proxies may speak
//! for it, and how much each address may ask for. Addresses are never logged or stored.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ipnet::IpNet;
use neartalk_shared::Timestamp;

use crate::quota::{Gcra, Quota};

/// An address as limits count it: one IPv4 address, or one IPv6 /64, which is what one household
/// or phone gets.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressKey(IpAddr);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 => v4,
        })
    }
}

impl AddressKey {
    /// Hands the bytes that make out this address to `take`, for a keyed hash.
    pub fn feed(self, mut take: impl FnMut(&[u8])) {
        match self.0 {
            IpAddr::V4(v4) => {
                take(b"4");
                take(&v4.octets());
            }
            IpAddr::V6(v6) => {
                take(b"6");
                take(&v6.octets()[..8]);
            }
        }
    }

    /// The network around it that one operator usually has in hand: an IPv4 /24 or IPv6 /48.
    pub fn range(self) -> AddressRange {
        AddressRange(match self.0 {
            IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & !0xff).into()),
            IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & (u128::MAX << 80)).into()),
        })
    }
}

/// A network of addresses, see [`AddressKey::range`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange(IpAddr);

impl std::fmt::Debug for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddressRange(redacted)")
    }
}

impl std::fmt::Debug for AddressKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AddressKey(redacted)")
    }
}

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Proxies in these networks are trusted.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Whether `address` is a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client behind `peer`: the last address of the `X-Forwarded-For` values that no trusted
    /// proxy vouches for by being one itself. What stands before that, anyone can have written.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut client = peer;
        for value in forwarded_for.rev() {
            for hop in value.rsplit(',') {
                if !self.contains(client) {
                    return client;
                }
                match parse_hop(hop.trim()) {
                    Some(address) => client = address,
                    None => return client,
                }
            }
        }
        client
    }
}

/// Some proxies add a port, and IPv6 may come in brackets.
fn parse_hop(hop: &str) -> Option<IpAddr> {
    let bare = hop
        .strip_prefix('[')
        .and_then(|s| s.strip_suffix(']'))
        .unwrap_or(hop);
    let address = bare.parse().ok();
    address.or_else(|| {
        hop.parse::<std::net::SocketAddr>()
            .ok()
            .map(|socket| socket.ip())
    })
}

/// How much each address may ask for.
#[derive(Clone, Copy, Debug)]
pub struct AddressLimits {
    /// New sessions.
    pub sessions: Quota,
    /// HTTP requests, upgrades included.
    pub requests: Quota,
    /// Open sockets.
    pub sockets: u32,
}

#[derive(Debug, Default)]
struct Usage {
    sessions: Gcra,
    requests: Gcra,
    sockets: u32,
    connections: u32,
}

/// Connections that an address may have beyond its sockets, for requests that come one by one.
const SPARE_CONNECTIONS: u32 = 100;

/// Above this many addresses the idle ones are forgotten at once, not only now and then.
const SWEEP_ABOVE: usize = 10_000;

/// What each address is using.
#[derive(Debug)]
pub struct AddressTable {
    limits: AddressLimits,
    usage: Mutex<HashMap<AddressKey, Usage>>,
}

impl AddressTable {
    /// An empty table.
    pub fn new(limits: AddressLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            usage: Mutex::default(),
        })
    }

    /// Counts a request, or says in how many milliseconds one will be allowed.
    pub fn request(&self, address: AddressKey, now: Timestamp) -> Result<(), u64> {
        let mut usage = self.usage();
        if usage.len() > SWEEP_ABOVE && !usage.contains_key(&address) {
            sweep(&mut usage, now);
        }
        usage
            .entry(address)
            .or_default()
            .requests
            .check(&self.limits.requests, now)
    }

    /// Counts a new session, or says in how many milliseconds one will be allowed.
    pub fn session(&self, address: AddressKey, now: Timestamp) -> Result<(), u64> {
        self.usage()
            .entry(address)
            .or_default()
            .sessions
            .check(&self.limits.sessions, now)
    }

    /// Counts a socket for as long as the permit lives; `None` when there are too many.
    pub fn socket(self: &Arc<Self>, address: AddressKey) -> Option<AddressPermit> {
        self.permit(address, Kind::Socket, self.limits.sockets)
    }

    /// Counts a connection for as long as the permit lives; `None` when there are too many.
    pub fn connection(self: &Arc<Self>, address: AddressKey) -> Option<AddressPermit> {
        self.permit(
            address,
            Kind::Connection,
            self.limits.sockets.saturating_add(SPARE_CONNECTIONS),
        )
    }

    /// Forgets addresses about which nothing matters any more.
    pub fn sweep(&self, now: Timestamp) {
        sweep(&mut self.usage(), now);
    }

    fn permit(
        self: &Arc<Self>,
        address: AddressKey,
        kind: Kind,
        limit: u32,
    ) -> Option<AddressPermit> {
        let mut usage = self.usage();
        let count = kind.of(usage.entry(address).or_default());
        if *count >= limit {
            return None;
        }
        *count += 1;
        drop(usage);
        Some(AddressPermit {
            table: Arc::clone(self),
            address,
            kind,
        })
    }

    fn usage(&self) -> MutexGuard<'_, HashMap<AddressKey, Usage>> {
        // Nothing that runs under this lock can panic halfway through a change.
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep(usage: &mut HashMap<AddressKey, Usage>, now: Timestamp) {
    usage.retain(|_, u| {
        u.sockets > 0 || u.connections > 0 || !u.sessions.is_idle(now) || !u.requests.is_idle(now)
    });
    usage.shrink_to(1_024);
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Socket,
    Connection,
}

impl Kind {
    fn of(self, usage: &mut Usage) -> &mut u32 {
        match self {
            Self::Socket => &mut usage.sockets,
            Self::Connection => &mut usage.connections,
        }
    }
}

/// Counts against an address for as long as it lives.
#[derive(Debug)]
pub struct AddressPermit {
    table: Arc<AddressTable>,
    address: AddressKey,
    kind: Kind,
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        if let Some(usage) = self.table.usage().get_mut(&self.address) {
            *self.kind.of(usage) -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = TrustedProxies::new(vec![
            "10.0.0.0/8".parse().unwrap(),
            "fd00::/8".parse().unwrap(),
        ]);
        let client = |peer, values: &[&'static str]| {
            proxies.client(ip(peer), values.iter().copied()).to_string()
        };
        // A stranger can write whatever it likes.
        assert_eq!(client("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        // The client wrote the first one itself.
        assert_eq!(
            client("10.0.0.1", &["1.2.3.4, 198.51.100.7"]),
            "198.51.100.7"
        );
        assert_eq!(
            client("10.0.0.1", &["1.2.3.4", "198.51.100.7, 10.0.0.2"]),
            "198.51.100.7"
        );
        assert_eq!(client("fd00::1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(client("10.0.0.1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(client("10.0.0.1", &["rubbish"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &[]), "10.0.0.1");
    }

    #[test]
    fn ipv6_counts_by_64() {
        let key = |s| AddressKey::from(ip(s));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn ranges_are_networks() {
        let range = |s| AddressKey::from(ip(s)).range();
        assert_eq!(range("192.0.2.1"), range("192.0.2.254"));
        assert_ne!(range("192.0.2.1"), range("192.0.3.1"));
        assert_eq!(range("2001:db8:1:2::1"), range("2001:db8:1:ffff::1"));
        assert_ne!(range("2001:db8:1:2::1"), range("2001:db8:2:2::1"));
    }

    #[test]
    fn permits_come_back_and_idle_addresses_are_forgotten() {
        let second = Duration::from_secs(1);
        let table = AddressTable::new(AddressLimits {
            sessions: Quota::per_window(60, 60 * second, 2),
            requests: Quota::per_window(100, second, 100),
            sockets: 2,
        });
        let now = Timestamp::from_millis(1_000_000);
        let (one, other) = (
            AddressKey::from(ip("192.0.2.1")),
            AddressKey::from(ip("192.0.2.2")),
        );
        let permits = [table.socket(one), table.socket(one)];
        assert!(permits.iter().all(Option::is_some));
        assert!(table.socket(one).is_none());
        assert!(table.socket(other).is_some());
        assert_eq!(table.session(one, now), Ok(()));
        assert_eq!(table.session(one, now), Ok(()));
        assert_eq!(table.session(one, now), Err(1_000));
        assert_eq!(table.request(other, now), Ok(()));
        drop(permits);
        assert!(table.socket(one).is_some());
        table.sweep(now);
        assert_eq!(table.usage().len(), 2);
        table.sweep(now + 2 * second);
        assert_eq!(table.usage().len(), 0);
    }
}
