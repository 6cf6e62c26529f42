//! Everything that the server decides: packets and time in, packets out.

use std::{net::SocketAddr, time::Duration};

use neartalk_shared::Timestamp;
use rand::rngs::StdRng;
use stun_types::{
    AddressFamily,
    attribute::{AttributeWrite, XorMappedAddress},
    message::{IntegrityKey, Message},
};
use turn_types::attribute::{Lifetime, XorRelayedAddress};

use super::{
    Endpoint, External, Limits,
    allocation::{Allocation, Allocations, PORTS, Slot, Wanted},
    auth::{AnswerLimit, Departed, HEADERS, Meter, Nonces, REALM, Secrets, UserId, Username},
    message::{self, AllocateRequest, Method, Packet},
    refusal::Refusal,
};
use crate::metrics::TurnMetrics;

/// How long an allocation lives when its client does not say (RFC 8656, section 7.2), …
const LIFETIME: Duration = Duration::from_secs(600);

/// … and at most until it is refreshed.
const LIFETIME_MAX: Duration = Duration::from_secs(3_600);

/// A closed TURN server without a socket.
///
/// There is nothing in it that could send to anybody but to who has an allocation: what goes to a
/// relayed address is handed to its owner, and what goes elsewhere has nowhere to go.
#[derive(Debug)]
pub struct Core {
    external: External,
    limits: Limits,
    secrets: Secrets,
    nonces: Nonces,
    departed: Departed,
    rng: StdRng,
    metrics: TurnMetrics,
    allocations: Allocations,
    answers: AnswerLimit,
    /// What all have sent together.
    meter: Meter,
}

/// Who asks, as they have proved.
struct Identity {
    username: Username,
    is_guest: bool,
    key: IntegrityKey,
}

impl Core {
    /// One that nobody may use yet, for credentials signed with one of `secrets`.
    pub fn new(
        external: External,
        limits: Limits,
        secrets: Secrets,
        mut rng: StdRng,
        metrics: TurnMetrics,
    ) -> Self {
        Self {
            nonces: Nonces::new(&mut rng),
            allocations: Allocations::new(external.clone()),
            answers: AnswerLimit::new(),
            meter: Meter::default(),
            external,
            limits,
            secrets,
            departed: Departed::default(),
            rng,
            metrics,
        }
    }

    /// Lets a session have allocations.
    pub fn allow(&mut self, user: UserId) {
        self.allocations.allow(user);
    }

    /// Takes from a session all that it has, for good.
    pub fn forbid(&mut self, user: UserId) {
        self.allocations.forbid(user);
        self.count_allocations();
    }

    /// The same for a session of another relay, whose credentials would be good until then.
    pub fn forbid_guest(&mut self, user: UserId, until: Timestamp) {
        self.departed.note(user, until);
        self.forbid(user);
    }

    /// Ends what has had its time. To be called about once a second.
    pub fn tick(&mut self, now: Timestamp) {
        self.allocations.expire(now);
        self.departed.expire(now);
        self.count_allocations();
    }

    /// Takes in a packet. What it leads to, if anything, is in `out` then, and goes to whom this says.
    pub fn receive(
        &mut self,
        from: Endpoint,
        packet: &[u8],
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Option<Endpoint> {
        out.clear();
        let outcome = match Packet::parse(packet) {
            None => Err(Refusal::Malformed),
            Some(Packet::Channel { number, data }) => {
                self.channel_data(from, number, data, now, out)
            }
            Some(Packet::Send(message)) => match message::send(&message) {
                Some((peer, data)) => self.send(from, peer, data, now, out),
                None => Err(Refusal::Malformed),
            },
            Some(Packet::Binding(message)) => self.binding(from, &message, now, out),
            Some(Packet::Request(method, message)) => {
                self.request(from, method, &message, now, out)
            }
            Some(Packet::Idle) => return None,
        };
        match outcome {
            Ok(to) => Some(to),
            Err(refusal) => {
                self.count(refusal);
                None
            }
        }
    }

    /// Counts what the system did not take.
    pub fn unsent(&self) {
        self.count(Refusal::Unsent);
    }

    fn count(&self, refusal: Refusal) {
        if let Some(counter) = self.metrics.refusals.get(refusal as usize) {
            counter.increment(1);
        }
    }

    fn count_allocations(&self) {
        self.metrics.allocations.set(self.allocations.len() as f64);
    }

    /// Tells a client its own address (RFC 8489, section 7.3.1).
    fn binding(
        &mut self,
        from: Endpoint,
        request: &Message<'_>,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Endpoint, Refusal> {
        self.may_answer(from, now)?;
        self.metrics.bindings.increment(1);
        if message::first_unknown(request).is_some() {
            self.count(Refusal::UnknownAttribute);
            let refusal = Refusal::UnknownAttribute;
            return written(message::refuse(request, refusal, None, None, out), from);
        }
        let address = XorMappedAddress::new(from.address, request.transaction_id());
        written(message::answer(request, &[&address], None, out), from)
    }

    fn may_answer(&mut self, client: Endpoint, now: Timestamp) -> Result<(), Refusal> {
        if self.answers.check(client, now) {
            Ok(())
        } else {
            Err(Refusal::AnswerLimit)
        }
    }

    fn request(
        &mut self,
        from: Endpoint,
        method: Method,
        request: &Message<'_>,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Endpoint, Refusal> {
        let identity = match self.authenticate(from, request, now) {
            Ok(identity) => identity,
            Err(refusal) => {
                self.count(refusal);
                self.may_answer(from, now)?;
                let nonce = refusal.is_challenge().then(|| self.nonces.make(from, now));
                let refused = message::refuse(request, refusal, nonce.as_deref(), None, out);
                return written(refused, from);
            }
        };
        let key = &identity.key;
        let outcome = if message::first_unknown(request).is_some() {
            Err(Refusal::UnknownAttribute)
        } else {
            match method {
                Method::Allocate => self.allocate(from, request, &identity, now),
                Method::Refresh => self.refresh(from, request, &identity, now),
                Method::CreatePermission => self.create_permission(from, request, &identity, now),
                Method::ChannelBind => self.channel_bind(from, request, &identity, now),
            }
        };
        match outcome {
            Ok(attributes) => {
                let attributes: Vec<_> = attributes.iter().map(AsRef::as_ref).collect();
                written(message::answer(request, &attributes, Some(key), out), from)
            }
            Err(refusal) => {
                self.count(refusal);
                written(
                    message::refuse(request, refusal, None, Some(key), out),
                    from,
                )
            }
        }
    }

    /// Long-term credentials (RFC 8489, section 9.2.4), good for a time and as long as their session.
    fn authenticate(
        &self,
        from: Endpoint,
        request: &Message<'_>,
        now: Timestamp,
    ) -> Result<Identity, Refusal> {
        let shown = message::credentials(request)?;
        if !self.nonces.check(shown.nonce, from, now) {
            return Err(Refusal::StaleNonce);
        }
        let username = Username::parse(shown.username);
        let username = username.filter(|_| shown.realm == REALM);
        let username = username.ok_or(Refusal::WrongCredentials)?;
        let signed = self.secrets.verify(request, shown.username);
        let (key, is_guest) = signed.ok_or(Refusal::WrongCredentials)?;
        if username.until() <= now {
            return Err(Refusal::Expired);
        }
        let has_ended = match is_guest {
            true => self.departed.contains(username.user),
            false => self.allocations.count(username.user).is_none(),
        };
        if has_ended {
            return Err(Refusal::SessionEnded);
        }
        Ok(Identity {
            username,
            is_guest,
            key,
        })
    }

    fn allocate(
        &mut self,
        from: Endpoint,
        request: &Message<'_>,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let user = identity.username.user;
        let known = self.allocations.find(from);
        if let Some(allocation) = known.and_then(|slot| self.allocations.get(slot)) {
            // The answer was lost on its way, or the client has lost its mind.
            return if allocation.transaction == request.transaction_id() && allocation.user == user
            {
                self.allocated(allocation, request, now)
            } else {
                Err(Refusal::AllocationMismatch)
            };
        }
        let wanted = AllocateRequest::read(request)?;
        let family = self.external.choose(wanted.family).ok_or(Refusal::Family)?;
        if self.allocations.count(user) >= Some(self.limits.allocations_per_session) {
            return Err(Refusal::SessionQuota);
        }
        if self.allocations.len() >= self.limits.allocations {
            return Err(Refusal::Full);
        }
        let lifetime = lifetime(wanted.lifetime_s, identity.username, now);
        let wanted = Wanted {
            client: from,
            user,
            is_guest: identity.is_guest,
            family,
            even: wanted.even,
            transaction: request.transaction_id(),
            expires_at: now + lifetime,
        };
        let slot = self.allocations.insert(wanted, &mut self.rng)?;
        self.metrics.granted.increment(1);
        self.count_allocations();
        let allocation = self.allocations.get(slot).ok_or(Refusal::Full)?;
        self.allocated(allocation, request, now)
    }

    fn allocated(
        &self,
        allocation: &Allocation,
        request: &Message<'_>,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let transaction = request.transaction_id();
        let relayed = self
            .allocations
            .relayed(allocation)
            .ok_or(Refusal::Family)?;
        Ok(vec![
            Box::new(XorRelayedAddress::new(relayed, transaction)),
            lifetime_attribute(allocation.expires_at.since(now)),
            Box::new(XorMappedAddress::new(
                allocation.client.address,
                transaction,
            )),
        ])
    }

    fn refresh(
        &mut self,
        from: Endpoint,
        request: &Message<'_>,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let (slot, allocation) = self.own(from, identity)?;
        let family = message::family(request, Refusal::PeerFamily)?;
        if family.is_some_and(|family| family != allocation.family) {
            return Err(Refusal::PeerFamily);
        }
        let asked = message::lifetime(request)?;
        if asked == Some(0) {
            self.allocations.remove(slot);
            self.count_allocations();
            return Ok(vec![lifetime_attribute(Duration::ZERO)]);
        }
        let lifetime = lifetime(asked, identity.username, now);
        self.allocations.extend(slot, now + lifetime);
        Ok(vec![lifetime_attribute(lifetime)])
    }

    fn create_permission(
        &mut self,
        from: Endpoint,
        request: &Message<'_>,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let (slot, allocation) = self.own(from, identity)?;
        for peer in message::peers(request)? {
            self.check_peer(peer, allocation.family)?;
        }
        if let Some(allocation) = self.allocations.get_mut(slot) {
            allocation.permit(now);
        }
        Ok(Vec::new())
    }

    fn channel_bind(
        &mut self,
        from: Endpoint,
        request: &Message<'_>,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<Answer, Refusal> {
        let (slot, allocation) = self.own(from, identity)?;
        let (number, peer) = message::channel(request)?;
        self.check_peer(peer, allocation.family)?;
        if let Some(allocation) = self.allocations.get_mut(slot) {
            allocation.bind(number, peer.port(), now)?;
        }
        Ok(Vec::new())
    }

    /// The allocation of a client who has proved to be its session's.
    fn own(&self, from: Endpoint, identity: &Identity) -> Result<(Slot, &Allocation), Refusal> {
        let slot = self.allocations.find(from);
        let slot = slot.ok_or(Refusal::AllocationMismatch)?;
        let allocation = self.allocations.get(slot);
        let allocation = allocation.ok_or(Refusal::AllocationMismatch)?;
        if allocation.user == identity.username.user {
            Ok((slot, allocation))
        } else {
            Err(Refusal::WrongSession)
        }
    }

    /// Only what can be a relayed address of this server's is anybody's peer. Whether it is one at the
    /// moment does not matter: clients renew permissions for all whom they ever talked to, in one request.
    fn check_peer(&self, peer: SocketAddr, family: AddressFamily) -> Result<(), Refusal> {
        if !self.external.is_relayed(peer) {
            Err(Refusal::ForbiddenPeer)
        } else if AddressFamily::from(&peer) != family {
            Err(Refusal::PeerFamily)
        } else {
            Ok(())
        }
    }

    fn channel_data(
        &mut self,
        from: Endpoint,
        number: u16,
        data: &[u8],
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Endpoint, Refusal> {
        let slot = self.allocations.find(from).ok_or(Refusal::NoAllocation)?;
        let allocation = self.allocations.get(slot).ok_or(Refusal::NoAllocation)?;
        let port = allocation.port_of(number, now);
        self.forward(slot, port.ok_or(Refusal::NoPermission)?, data, now, out)
    }

    fn send(
        &mut self,
        from: Endpoint,
        peer: SocketAddr,
        data: &[u8],
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Endpoint, Refusal> {
        let slot = self.allocations.find(from).ok_or(Refusal::NoAllocation)?;
        let allocation = self.allocations.get(slot).ok_or(Refusal::NoAllocation)?;
        self.check_peer(peer, allocation.family)?;
        self.forward(slot, peer.port(), data, now, out)
    }

    /// Hands over what the owner of an allocation sends to a relayed port.
    fn forward(
        &mut self,
        slot: Slot,
        port: u16,
        data: &[u8],
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> Result<Endpoint, Refusal> {
        let from = self.allocations.get(slot).ok_or(Refusal::NoAllocation)?;
        let to = self.allocations.at_port(from.family, port);
        let to = to.ok_or(Refusal::NoPermission)?;
        // Both have to let the other through.
        if !from.is_permitted(now) || !to.is_permitted(now) {
            return Err(Refusal::NoPermission);
        }
        if !from.meter.has_room(now) {
            return Err(Refusal::AllocationBandwidth);
        }
        if !self.meter.has_room(now) {
            return Err(Refusal::TotalBandwidth);
        }
        let client = to.client;
        match to.channel_to(from.port, now) {
            Some(number) => message::channel_data(number, data, out),
            None => {
                let relayed = self.allocations.relayed(from).ok_or(Refusal::Family)?;
                written(message::data_indication(relayed, data, out), client)?;
            }
        }
        let cost = data.len() + HEADERS;
        self.meter.count(self.limits.total, cost, now);
        if let Some(from) = self.allocations.get_mut(slot) {
            from.meter.count(self.limits.per_allocation, cost, now);
        }
        self.metrics.packets.increment(1);
        self.metrics.bytes.increment(data.len() as u64);
        Ok(client)
    }
}

/// What an answer says.
type Answer = Vec<Box<dyn AttributeWrite>>;

fn written<E>(outcome: Result<(), E>, to: Endpoint) -> Result<Endpoint, Refusal> {
    // Everything that is written has a place in its message, so this is as good as never.
    outcome.map(|()| to).map_err(|_| Refusal::Malformed)
}

/// How long an allocation is to live: about as long as asked, and no longer than its credentials.
fn lifetime(asked_s: Option<u32>, username: Username, now: Timestamp) -> Duration {
    let asked = asked_s.map_or(LIFETIME, |s| Duration::from_secs(s.into()));
    let left = username.until().since(now);
    asked.clamp(LIFETIME, LIFETIME_MAX).min(left)
}

/// In whole seconds, rounded up: zero would say that there is nothing.
fn lifetime_attribute(lifetime: Duration) -> Box<dyn AttributeWrite> {
    let seconds = lifetime.as_millis().div_ceil(1_000);
    Box::new(Lifetime::new(u32::try_from(seconds).unwrap_or(u32::MAX)))
}

/// Where relayed addresses are.
impl External {
    /// Whether this can be a relayed address.
    fn is_relayed(&self, address: SocketAddr) -> bool {
        self.ip(AddressFamily::from(&address)) == Some(address.ip())
            && PORTS.contains(&address.port())
            && !self.is_listening(address.port())
    }
}

#[cfg(test)]
mod tests;
