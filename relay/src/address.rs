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

/// Above this many addresses the idle ones are forgotten at once, not only now and then. What is left
/// has to double until they are looked for again, as that looks at all.
const SWEEP_ABOVE: usize = 10_000;

/// What each address is using.
#[derive(Debug)]
pub struct AddressTable {
    limits: AddressLimits,
    usages: Mutex<Usages>,
}

#[derive(Debug)]
struct Usages {
    by_address: HashMap<AddressKey, Usage>,
    /// With so many the next sweep is due.
    sweep_at: usize,
}

impl Usages {
    fn of(&mut self, address: AddressKey) -> &mut Usage {
        self.by_address.entry(address).or_default()
    }

    /// The same, after a sweep if that is due.
    fn of_any(&mut self, address: AddressKey, now: Timestamp) -> &mut Usage {
        if self.by_address.len() >= self.sweep_at && !self.by_address.contains_key(&address) {
            self.sweep(now);
        }
        self.of(address)
    }

    fn sweep(&mut self, now: Timestamp) {
        self.by_address.retain(|_, usage| !usage.is_idle(now));
        self.by_address.shrink_to(1_024);
        self.sweep_at = SWEEP_ABOVE.max(2 * self.by_address.len());
    }
}

impl Usage {
    /// Whether nothing about this address matters any more.
    fn is_idle(&self, now: Timestamp) -> bool {
        let is_there = self.sockets > 0 || self.connections > 0;
        !is_there && self.sessions.is_idle(now) && self.requests.is_idle(now)
    }
}

impl AddressTable {
    /// An empty table.
    pub fn new(limits: AddressLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            usages: Mutex::new(Usages {
                by_address: HashMap::new(),
                sweep_at: SWEEP_ABOVE,
            }),
        })
    }

    /// Counts a request, or says in how many milliseconds one will be allowed.
    pub fn request(&self, address: AddressKey, now: Timestamp) -> Result<(), u64> {
        let mut usages = self.usages();
        let requests = &mut usages.of_any(address, now).requests;
        requests.check(&self.limits.requests, now)
    }

    /// Counts a new session, or says in how many milliseconds one will be allowed.
    pub fn session(&self, address: AddressKey, now: Timestamp) -> Result<(), u64> {
        let mut usages = self.usages();
        let sessions = &mut usages.of(address).sessions;
        sessions.check(&self.limits.sessions, now)
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
        self.usages().sweep(now);
    }

    fn permit(
        self: &Arc<Self>,
        address: AddressKey,
        kind: Kind,
        limit: u32,
    ) -> Option<AddressPermit> {
        let mut usages = self.usages();
        let count = kind.of(usages.of(address));
        if *count >= limit {
            return None;
        }
        *count += 1;
        drop(usages);
        Some(AddressPermit {
            table: Arc::clone(self),
            address,
            kind,
        })
    }

    fn usages(&self) -> MutexGuard<'_, Usages> {
        // Nothing that runs under this lock can panic halfway through a change.
        self.usages.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
        if let Some(usage) = self.table.usages().by_address.get_mut(&self.address) {
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
        assert_eq!(table.usages().by_address.len(), 2);
        table.sweep(now + 2 * second);
        assert_eq!(table.usages().by_address.len(), 0);
    }

    /// Each sweep looks at all under a lock that everyone waits for.
    #[test]
    fn a_crowd_that_stays_is_not_swept_for_each_newcomer() {
        let table = AddressTable::new(AddressLimits {
            sessions: Quota::per_window(60, Duration::from_secs(60), 2),
            requests: Quota::per_window(100, Duration::from_secs(1), 100),
            sockets: 2,
        });
        let now = Timestamp::from_millis(1_000_000);
        let crowd = 3 * SWEEP_ABOVE;
        let address = |n: usize| AddressKey::from(IpAddr::from((n as u32).to_be_bytes()));
        let mut sweeps = 0;
        let mut permits = Vec::new();
        for n in 0..crowd {
            let before = table.usages().sweep_at;
            assert_eq!(table.request(address(n), now), Ok(()));
            permits.push(table.socket(address(n)).unwrap());
            sweeps += usize::from(table.usages().sweep_at != before);
        }
        assert_eq!(sweeps, 2, "at 10,000 and 20,000");
        assert_eq!(table.usages().by_address.len(), crowd);
        // Once they have gone, the next newcomer too many has them forgotten.
        drop(permits);
        let later = now + Duration::from_secs(2);
        for n in 0..SWEEP_ABOVE + 1 {
            assert_eq!(table.request(address(crowd + n), later), Ok(()));
        }
        assert_eq!(table.usages().by_address.len(), SWEEP_ABOVE + 1);
    }
}
