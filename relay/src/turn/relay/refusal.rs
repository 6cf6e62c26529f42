//! Why something is not done.

/// Why something is not done. What is silently dropped has no code: whoever sends it is no longer
/// asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No packet of these protocols, or none for a server. Dropped.
    Malformed,
    /// Without credentials, as every client's first request is.
    NoCredentials,
    /// Not signed as it would have to be.
    WrongCredentials,
    /// With credentials whose time is up.
    Expired,
    /// With credentials of a session that has ended.
    SessionEnded,
    /// With a nonce that is too old, or was not given to this client.
    StaleNonce,
    /// Something is missing, or not as it has to be.
    BadRequest,
    /// With an attribute that must be understood and is not.
    UnknownAttribute,
    /// An address that is none of this server's relayed ones.
    ForbiddenPeer,
    /// An allocation where there is one, or none where one is needed.
    AllocationMismatch,
    /// Another session's allocation.
    WrongSession,
    /// A kind of address that this server has none of.
    Family,
    /// Another kind of address than the allocation's.
    PeerFamily,
    /// Anything but UDP.
    Transport,
    /// Ports side by side, which nobody needs here.
    Reservation,
    /// As many allocations as a session may have.
    SessionQuota,
    /// As many of something as this server has.
    Full,
    /// Data from somebody without an allocation. Dropped.
    NoAllocation,
    /// Data to somebody who was not let through first, or is not there. Dropped.
    NoPermission,
    /// More data than an allocation may send. Dropped.
    AllocationBandwidth,
    /// More data than all may send. Dropped.
    TotalBandwidth,
    /// More answers than an address gets without credentials. Dropped.
    AnswerLimit,
    /// What the system does not take at the moment. Dropped.
    Unsent,
}

impl Refusal {
    /// All of them, by number.
    pub const ALL: [Self; 23] = [
        Self::Malformed,
        Self::NoCredentials,
        Self::WrongCredentials,
        Self::Expired,
        Self::SessionEnded,
        Self::StaleNonce,
        Self::BadRequest,
        Self::UnknownAttribute,
        Self::ForbiddenPeer,
        Self::AllocationMismatch,
        Self::WrongSession,
        Self::Family,
        Self::PeerFamily,
        Self::Transport,
        Self::Reservation,
        Self::SessionQuota,
        Self::Full,
        Self::NoAllocation,
        Self::NoPermission,
        Self::AllocationBandwidth,
        Self::TotalBandwidth,
        Self::AnswerLimit,
        Self::Unsent,
    ];

    /// What metrics call it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NoCredentials => "no_credentials",
            Self::WrongCredentials => "wrong_credentials",
            Self::Expired => "expired",
            Self::SessionEnded => "session_ended",
            Self::StaleNonce => "stale_nonce",
            Self::BadRequest => "bad_request",
            Self::UnknownAttribute => "unknown_attribute",
            Self::ForbiddenPeer => "forbidden_peer",
            Self::AllocationMismatch => "allocation_mismatch",
            Self::WrongSession => "wrong_session",
            Self::Family => "address_family",
            Self::PeerFamily => "peer_address_family",
            Self::Transport => "transport",
            Self::Reservation => "reservation",
            Self::SessionQuota => "session_quota",
            Self::Full => "full",
            Self::NoAllocation => "no_allocation",
            Self::NoPermission => "no_permission",
            Self::AllocationBandwidth => "allocation_bandwidth",
            Self::TotalBandwidth => "total_bandwidth",
            Self::AnswerLimit => "answer_limit",
            Self::Unsent => "unsent",
        }
    }

    /// The error code of the answer (RFC 8489, section 14.8, and RFC 8656, section 19).
    pub const fn code(self) -> u16 {
        match self {
            Self::NoCredentials | Self::WrongCredentials | Self::Expired | Self::SessionEnded => {
                401
            }
            Self::ForbiddenPeer => 403,
            Self::UnknownAttribute => 420,
            Self::AllocationMismatch => 437,
            Self::StaleNonce => 438,
            Self::Family => 440,
            Self::WrongSession => 441,
            Self::Transport => 442,
            Self::PeerFamily => 443,
            Self::SessionQuota => 486,
            Self::Reservation | Self::Full => 508,
            _ => 400,
        }
    }

    /// The answer's words.
    pub const fn reason(self) -> &'static str {
        match self.code() {
            401 => "Unauthorized",
            403 => "Forbidden",
            420 => "Unknown Attribute",
            437 => "Allocation Mismatch",
            438 => "Stale Nonce",
            440 => "Address Family not Supported",
            441 => "Wrong Credentials",
            442 => "Unsupported Transport Protocol",
            443 => "Peer Address Family Mismatch",
            486 => "Allocation Quota Reached",
            508 => "Insufficient Capacity",
            _ => "Bad Request",
        }
    }

    /// Whether a fresh nonce belongs to the answer.
    pub const fn is_challenge(self) -> bool {
        matches!(self.code(), 401 | 438)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_its_number_and_its_name() {
        let numbers = Refusal::ALL.map(|refusal| refusal as usize);
        assert!(numbers.into_iter().eq(0..Refusal::ALL.len()));
        let labels = BTreeSet::from(Refusal::ALL.map(Refusal::label));
        assert_eq!(labels.len(), Refusal::ALL.len());
    }
}
