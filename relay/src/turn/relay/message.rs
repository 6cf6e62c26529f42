//! Reading what clients send and writing what they get: STUN (RFC 8489) and TURN (RFC 8656), as far
//! as they are spoken here. Parsing is `stun-types`' and `turn-types`'.
//!
//! Those and not `turn-server`, whose codec and router can't be had without its web server, sockets
//! and logger, and which a stranger's packets could end: its decoder counts an attribute's padding
//! without looking whether it is there, its router checks no nonce and keeps one for each address that
//! ever asked.

use std::net::SocketAddr;

use stun_types::{
    AddressFamily,
    attribute::{
        AttributeStaticType, AttributeType, AttributeWrite, ErrorCode, Fingerprint,
        MessageIntegrity, Nonce, Realm, UnknownAttributes, Username,
    },
    message::{
        BINDING, IntegrityAlgorithm, IntegrityKey, Message, MessageClass, MessageHeader,
        MessageWriteExt, MessageWriteVec, StunWriteError,
    },
    prelude::*,
};
use turn_types::{
    attribute::{
        ChannelNumber, Data, EvenPort, Lifetime, RequestedAddressFamily, RequestedTransport,
        ReservationToken, XorPeerAddress,
    },
    channel::ChannelData,
    message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION, DATA, REFRESH, SEND},
};

use super::refusal::Refusal;

/// A channel's numbers, as RFC 5766 has them; RFC 8656 lets clients choose fewer.
pub const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x7FFF;

/// Nothing larger is carried. WebRTC keeps below 1,200.
pub const MAX_BYTES: usize = 2_048;

/// UDP, as IP calls it.
const UDP: u8 = 17;

/// Those that must be understood and are; any other that must be is told to be unknown.
const KNOWN: [AttributeType; 12] = [
    Username::TYPE,
    MessageIntegrity::TYPE,
    Realm::TYPE,
    Nonce::TYPE,
    ChannelNumber::TYPE,
    Lifetime::TYPE,
    XorPeerAddress::TYPE,
    Data::TYPE,
    RequestedAddressFamily::TYPE,
    RequestedTransport::TYPE,
    EvenPort::TYPE,
    ReservationToken::TYPE,
];

/// A packet from a client.
pub enum Packet<'a> {
    /// What is to go to whoever a channel leads to.
    Channel {
        /// Which channel.
        number: u16,
        /// What.
        data: &'a [u8],
    },
    /// Asks for its own address.
    Binding(Message<'a>),
    /// Asks for something that takes credentials.
    Request(Method, Message<'a>),
    /// What is to go to an address.
    Send(Message<'a>),
    /// Nothing that anybody has to do anything about.
    Idle,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A relayed address.
    Allocate,
    /// That the relayed address be kept, or not any longer.
    Refresh,
    /// That somebody be let through.
    CreatePermission,
    /// A short name for somebody, who is let through as well.
    ChannelBind,
}

impl<'a> Packet<'a> {
    /// Reads one; `None` when it is malformed, or nothing for a server.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > MAX_BYTES {
            return None;
        }
        // The first two bits tell what it is (RFC 8656, section 12).
        match bytes.first()? >> 6 {
            0b00 => Self::message(bytes),
            0b01 => {
                let channel = ChannelData::parse(bytes).ok()?;
                let (number, length) = (channel.id(), channel.data().len());
                // Over UDP, padding is optional; more than that is something else.
                let data = bytes.get(4..4 + length)?;
                (bytes.len() - 4 - length < 4).then_some(Self::Channel { number, data })
            }
            _ => None,
        }
    }

    fn message(bytes: &'a [u8]) -> Option<Self> {
        let header = MessageHeader::from_bytes(bytes).ok()?;
        let length = usize::from(header.data_length());
        if !length.is_multiple_of(4) || MessageHeader::LENGTH + length != bytes.len() {
            return None;
        }
        let message = Message::from_bytes(bytes).ok()?;
        let method = match (message.class(), message.method()) {
            (MessageClass::Request, BINDING) => return Some(Self::Binding(message)),
            (MessageClass::Request, ALLOCATE) => Method::Allocate,
            (MessageClass::Request, REFRESH) => Method::Refresh,
            (MessageClass::Request, CREATE_PERMISSION) => Method::CreatePermission,
            (MessageClass::Request, CHANNEL_BIND) => Method::ChannelBind,
            (MessageClass::Indication, SEND) => return Some(Self::Send(message)),
            // Keeps a router's way open.
            (MessageClass::Indication, BINDING) => return Some(Self::Idle),
            _ => return None,
        };
        Some(Self::Request(method, message))
    }
}

/// What a client shows of itself.
pub struct Credentials<'a> {
    /// Whose, and until when, signed by whoever issued it.
    pub username: &'a str,
    /// For what.
    pub realm: &'a str,
    /// Which nonce it was given.
    pub nonce: &'a str,
}

/// Text that an attribute holds; `None` when there is none, or no text.
fn text<'a>(message: &'a Message<'a>, attribute: AttributeType) -> Option<&'a str> {
    std::str::from_utf8(value(message, attribute)?).ok()
}

/// What an attribute holds, without a copy of it.
fn value<'a>(message: &'a Message<'a>, attribute: AttributeType) -> Option<&'a [u8]> {
    const HEAD: usize = 4;
    let (offset, raw) = message.raw_attribute_and_offset(attribute)?;
    let value = message.as_bytes().get(offset + HEAD..)?;
    value.get(..raw.value.len())
}

/// The credentials that a request shows, if they are complete.
pub fn credentials<'a>(message: &'a Message<'a>) -> Result<Credentials<'a>, Refusal> {
    if !message.has_attribute(MessageIntegrity::TYPE) {
        return Err(Refusal::NoCredentials);
    }
    let text = |attribute| text(message, attribute).ok_or(Refusal::BadRequest);
    Ok(Credentials {
        username: text(Username::TYPE)?,
        realm: text(Realm::TYPE)?,
        nonce: text(Nonce::TYPE)?,
    })
}

/// The first attribute that a client must not take for granted, if there is one.
pub fn first_unknown(message: &Message<'_>) -> Option<AttributeType> {
    let mut types = message.iter_attributes().map(|(_, raw)| raw.get_type());
    types.find(|kind| kind.comprehension_required() && !KNOWN.contains(kind))
}

/// What an Allocate asks for.
pub struct AllocateRequest {
    /// Which kind of address; any when `None`.
    pub family: Option<AddressFamily>,
    /// Whether its port has to be an even number.
    pub even: bool,
    /// For how long, in seconds.
    pub lifetime_s: Option<u32>,
}

impl AllocateRequest {
    /// Reads it.
    pub fn read(message: &Message<'_>) -> Result<Self, Refusal> {
        let transport = message.attribute::<RequestedTransport>();
        if transport.map_err(|_| Refusal::BadRequest)?.protocol() != UDP {
            return Err(Refusal::Transport);
        }
        let even = message.has_attribute(EvenPort::TYPE);
        let next = even && {
            let even = message.attribute::<EvenPort>();
            even.map_err(|_| Refusal::BadRequest)?.requested()
        };
        if next || message.has_attribute(ReservationToken::TYPE) {
            return Err(Refusal::Reservation);
        }
        Ok(Self {
            even,
            family: family(message, Refusal::Family)?,
            lifetime_s: lifetime(message)?,
        })
    }
}

/// Which kind of address a message speaks of, if any.
pub fn family(message: &Message<'_>, or: Refusal) -> Result<Option<AddressFamily>, Refusal> {
    if !message.has_attribute(RequestedAddressFamily::TYPE) {
        return Ok(None);
    }
    let family = message.attribute::<RequestedAddressFamily>();
    Ok(Some(family.map_err(|_| or)?.family()))
}

/// How long something is to last, in seconds, if that is said.
pub fn lifetime(message: &Message<'_>) -> Result<Option<u32>, Refusal> {
    if !message.has_attribute(Lifetime::TYPE) {
        return Ok(None);
    }
    let lifetime = message.attribute::<Lifetime>();
    Ok(Some(lifetime.map_err(|_| Refusal::BadRequest)?.seconds()))
}

/// The addresses that a message speaks of: one, or more.
pub fn peers(message: &Message<'_>) -> Result<Vec<SocketAddr>, Refusal> {
    let transaction = message.transaction_id();
    let mut peers = Vec::new();
    for (_, raw) in message.iter_attributes() {
        if raw.get_type() == XorPeerAddress::TYPE {
            let peer = XorPeerAddress::from_raw_ref(&raw).map_err(|_| Refusal::BadRequest)?;
            peers.push(peer.addr(transaction));
        }
    }
    if peers.is_empty() {
        return Err(Refusal::BadRequest);
    }
    Ok(peers)
}

/// Which channel a request speaks of, and the address that it is to lead to.
pub fn channel(message: &Message<'_>) -> Result<(u16, SocketAddr), Refusal> {
    let number = message.attribute::<ChannelNumber>();
    let number = number.map_err(|_| Refusal::BadRequest)?.channel();
    let &[peer] = peers(message)?.as_slice() else {
        return Err(Refusal::BadRequest);
    };
    if CHANNELS.contains(&number) {
        Ok((number, peer))
    } else {
        Err(Refusal::BadRequest)
    }
}

/// What is to go where.
pub fn send<'a>(message: &'a Message<'a>) -> Option<(SocketAddr, &'a [u8])> {
    let peer = message.attribute::<XorPeerAddress>().ok()?;
    let data = value(message, Data::TYPE)?;
    Some((peer.addr(message.transaction_id()), data))
}

/// Writes an answer to `out`: what it says, signed with `key` if there is one.
pub fn answer(
    request: &Message<'_>,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
    out: &mut Vec<u8>,
) -> Result<(), StunWriteError> {
    let message = Message::builder_success(request, MessageWriteVec::with_capacity(128));
    finish(message, request, attributes, key, out)
}

/// Writes a refusal to `out`.
pub fn refuse(
    request: &Message<'_>,
    refusal: Refusal,
    challenge: Option<&str>,
    key: Option<&IntegrityKey>,
    out: &mut Vec<u8>,
) -> Result<(), StunWriteError> {
    let message = Message::builder_error(request, MessageWriteVec::with_capacity(128));
    // A short reason: strangers get no more bytes than they must.
    let code = ErrorCode::new(refusal.code(), refusal.reason())?;
    let unknown = first_unknown(request).filter(|_| refusal == Refusal::UnknownAttribute);
    let unknown = unknown.map(|kind| UnknownAttributes::new(&[kind]));
    let realm = Realm::new(super::auth::REALM)?;
    let nonce = challenge.map(Nonce::new).transpose()?;
    let mut attributes: Vec<&dyn AttributeWrite> = vec![&code];
    attributes.extend(
        unknown
            .as_ref()
            .map(|unknown| unknown as &dyn AttributeWrite),
    );
    if let Some(nonce) = &nonce {
        attributes.extend([&realm as &dyn AttributeWrite, nonce]);
    }
    finish(message, request, &attributes, key, out)
}

fn finish(
    mut message: MessageWriteVec,
    request: &Message<'_>,
    attributes: &[&dyn AttributeWrite],
    key: Option<&IntegrityKey>,
    out: &mut Vec<u8>,
) -> Result<(), StunWriteError> {
    for attribute in attributes {
        message.add_attribute(*attribute)?;
    }
    if let Some(key) = key {
        message.add_message_integrity_with_key(key, IntegrityAlgorithm::Sha1)?;
    }
    if request.has_attribute(Fingerprint::TYPE) {
        message.add_fingerprint()?;
    }
    out.extend_from_slice(&message.finish());
    Ok(())
}

/// Writes to `out` what somebody who named no channel for `from` gets from there.
pub fn data_indication(
    from: SocketAddr,
    data: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), StunWriteError> {
    let buffer = MessageWriteVec::with_capacity(data.len() + 64);
    let mut message = Message::builder_indication(DATA, buffer);
    let transaction = message.transaction_id();
    message.add_attribute(&XorPeerAddress::new(from, transaction))?;
    message.add_attribute(&Data::new(data))?;
    out.extend_from_slice(&message.finish());
    Ok(())
}

/// Writes to `out` what comes over a channel.
pub fn channel_data(number: u16, data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&number.to_be_bytes());
    // No packet that came in is as long as this would need.
    out.extend_from_slice(&(data.len() as u16).to_be_bytes());
    out.extend_from_slice(data);
}
