//! Who has which relayed address, for how long, and whom they let through.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

use neartalk_shared::Timestamp;
use rand::{RngExt, rngs::StdRng};
use slab::Slab;
use stun_types::{AddressFamily, message::TransactionId};

use super::{
    Endpoint, External,
    auth::{Meter, UserId},
    refusal::Refusal,
};

/// Ports of relayed addresses, as RFC 8656 has them. Nothing listens on them: what somebody sends to
/// one of them from outside reaches nobody, and meets no other service either.
pub const PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// For how long a permission is good (RFC 8656, section 9).
pub const PERMISSION: Duration = Duration::from_secs(300);

/// For how long a channel leads where it led (RFC 8656, section 12).
pub const CHANNEL: Duration = Duration::from_secs(600);

/// Channels that an allocation may have: one for each address of each person it connects to.
const CHANNELS_MAX: usize = 32;

/// How long an allocation is kept beyond its time. Clients of webrtc-rs that met a stale nonce halfway
/// refresh again only at the very end.
const GRACE: Duration = Duration::from_secs(60);

/// Where an allocation is in the table.
pub type Slot = usize;

/// Somebody's relayed address.
#[derive(Debug)]
pub struct Allocation {
    /// Who sends from there, and gets what arrives there.
    pub client: Endpoint,
    /// Of which session.
    pub user: UserId,
    /// Which kind of address; the address itself is the server's.
    pub family: AddressFamily,
    /// The address's port.
    pub port: u16,
    /// Of the request that made it: the same one again gets the same answer.
    pub transaction: TransactionId,
    /// When its time is up.
    pub expires_at: Timestamp,
    /// Until when it sends to and gets from others of this server. Permissions are for IP addresses,
    /// and the others have all the same.
    permitted_until: Timestamp,
    channels: Vec<Channel>,
    /// How much it has sent.
    pub meter: Meter,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    number: u16,
    /// Of the relayed address that it leads to.
    port: u16,
    until: Timestamp,
}

impl Allocation {
    /// Whether it may send to others, and get from them.
    pub fn is_permitted(&self, now: Timestamp) -> bool {
        now < self.permitted_until
    }

    /// Lets the others through.
    pub fn permit(&mut self, now: Timestamp) {
        self.permitted_until = now + PERMISSION;
    }

    /// Has channel `number` lead to `port`. Neither may have been for something else before.
    pub fn bind(&mut self, number: u16, port: u16, now: Timestamp) -> Result<(), Refusal> {
        self.channels.retain(|channel| now < channel.until);
        let until = now + CHANNEL;
        let of_either = |known: &Channel| known.number == number || known.port == port;
        match self.channels.iter().position(of_either) {
            Some(at) if (self.channels[at].number, self.channels[at].port) == (number, port) => {
                self.channels[at].until = until;
            }
            Some(_) => return Err(Refusal::BadRequest),
            None if self.channels.len() >= CHANNELS_MAX => return Err(Refusal::Full),
            None => self.channels.push(Channel {
                number,
                port,
                until,
            }),
        }
        self.permit(now);
        Ok(())
    }

    /// The port that a channel leads to.
    pub fn port_of(&self, number: u16, now: Timestamp) -> Option<u16> {
        let mut channels = self.channels.iter();
        let channel = channels.find(|channel| channel.number == number && now < channel.until)?;
        Some(channel.port)
    }

    /// The channel that leads to a port.
    pub fn channel_to(&self, port: u16, now: Timestamp) -> Option<u16> {
        let mut channels = self.channels.iter();
        let channel = channels.find(|channel| channel.port == port && now < channel.until)?;
        Some(channel.number)
    }
}

/// What a new allocation is for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Who asks.
    pub client: Endpoint,
    /// Of which session.
    pub user: UserId,
    /// Whether that is one of another relay's, which nobody has allowed beforehand.
    pub is_guest: bool,
    /// Which kind of address.
    pub family: AddressFamily,
    /// Whether its port has to be an even number.
    pub even: bool,
    /// With which request.
    pub transaction: TransactionId,
    /// Until when.
    pub expires_at: Timestamp,
}

/// All allocations, by client, by relayed address and by session; and the sessions that may have some.
#[derive(Debug)]
pub struct Allocations {
    external: External,
    slots: Slab<Allocation>,
    by_client: HashMap<Endpoint, Slot>,
    by_port: [HashMap<u16, Slot>; 2],
    users: HashMap<UserId, BTreeSet<Slot>>,
    /// Those of other relays', who are known only while they have some.
    guests: HashSet<UserId>,
    deadlines: BTreeSet<(Timestamp, Slot)>,
}

/// Which of two tables an address family has.
fn index(family: AddressFamily) -> usize {
    match family {
        AddressFamily::IPV4 => 0,
        AddressFamily::IPV6 => 1,
    }
}

impl Allocations {
    /// None, at these addresses.
    pub fn new(external: External) -> Self {
        Self {
            external,
            slots: Slab::new(),
            by_client: HashMap::new(),
            by_port: Default::default(),
            users: HashMap::new(),
            guests: HashSet::new(),
            deadlines: BTreeSet::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Lets a session have some.
    pub fn allow(&mut self, user: UserId) {
        self.users.entry(user).or_default();
    }

    /// Takes from a session all that it has, for good.
    pub fn forbid(&mut self, user: UserId) {
        self.guests.remove(&user);
        for slot in self.users.remove(&user).unwrap_or_default() {
            self.remove(slot);
        }
    }

    /// How many a session has; `None` when it may have none.
    pub fn count(&self, user: UserId) -> Option<usize> {
        self.users.get(&user).map(BTreeSet::len)
    }

    /// Which one a client has.
    pub fn find(&self, client: Endpoint) -> Option<Slot> {
        self.by_client.get(&client).copied()
    }

    /// The one in a slot.
    pub fn get(&self, slot: Slot) -> Option<&Allocation> {
        self.slots.get(slot)
    }

    /// The one in a slot.
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Allocation> {
        self.slots.get_mut(slot)
    }

    /// Who has a relayed port.
    pub fn at_port(&self, family: AddressFamily, port: u16) -> Option<&Allocation> {
        self.slots.get(*self.by_port[index(family)].get(&port)?)
    }

    /// The relayed address of an allocation.
    pub fn relayed(&self, allocation: &Allocation) -> Option<SocketAddr> {
        let ip = self.external.ip(allocation.family)?;
        Some(SocketAddr::new(ip, allocation.port))
    }

    /// Makes one, for a session that may have it and a client that has none.
    pub fn insert(&mut self, wanted: Wanted, rng: &mut StdRng) -> Result<Slot, Refusal> {
        let taken = &self.by_port[index(wanted.family)];
        // Nobody can guess where the next one will be; and as long as most are free, few are tried.
        let from = rng.random_range(PORTS);
        let port = (from..=*PORTS.end())
            .chain(*PORTS.start()..from)
            .filter(|port| !wanted.even || port.is_multiple_of(2))
            .find(|port| !taken.contains_key(port) && !self.external.is_listening(*port));
        let port = port.ok_or(Refusal::Full)?;
        if wanted.is_guest && !self.users.contains_key(&wanted.user) {
            self.guests.insert(wanted.user);
            self.users.insert(wanted.user, BTreeSet::new());
        }
        let Some(slots) = self.users.get_mut(&wanted.user) else {
            return Err(Refusal::SessionEnded);
        };
        let slot = self.slots.insert(Allocation {
            client: wanted.client,
            user: wanted.user,
            family: wanted.family,
            port,
            transaction: wanted.transaction,
            expires_at: wanted.expires_at,
            permitted_until: Timestamp::default(),
            channels: Vec::new(),
            meter: Meter::default(),
        });
        slots.insert(slot);
        self.by_client.insert(wanted.client, slot);
        self.by_port[index(wanted.family)].insert(port, slot);
        self.deadlines.insert((wanted.expires_at, slot));
        Ok(slot)
    }

    /// Keeps one until then.
    pub fn extend(&mut self, slot: Slot, expires_at: Timestamp) {
        if let Some(allocation) = self.slots.get_mut(slot) {
            self.deadlines.remove(&(allocation.expires_at, slot));
            self.deadlines.insert((expires_at, slot));
            allocation.expires_at = expires_at;
        }
    }

    /// Ends one.
    pub fn remove(&mut self, slot: Slot) {
        let Some(allocation) = self.slots.try_remove(slot) else {
            return;
        };
        self.by_client.remove(&allocation.client);
        self.by_port[index(allocation.family)].remove(&allocation.port);
        self.deadlines.remove(&(allocation.expires_at, slot));
        if let Some(slots) = self.users.get_mut(&allocation.user) {
            slots.remove(&slot);
            if slots.is_empty() && self.guests.remove(&allocation.user) {
                self.users.remove(&allocation.user);
            }
        }
    }

    /// Ends those whose time is up.
    pub fn expire(&mut self, now: Timestamp) {
        while let Some(&(expires_at, slot)) = self.deadlines.first()
            && expires_at + GRACE <= now
        {
            self.remove(slot);
        }
    }
}
