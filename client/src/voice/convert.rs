//! Between the words of the wire, of `voice` and of people.

use std::time::Duration;

use neartalk_shared::{
    PeerId,
    frame::{self, SdpType, SignalData},
};
use neartalk_voice::{
    call::Quality,
    peer::{Candidate, DescriptionKind, IceServer, Signal},
};

use super::status::PersonQuality;

pub(super) fn to_wire(signal: Signal) -> SignalData {
    match signal {
        Signal::Description { kind, sdp } => SignalData::Description {
            sdp_type: match kind {
                DescriptionKind::Offer => SdpType::Offer,
                DescriptionKind::Answer => SdpType::Answer,
            },
            sdp,
        },
        Signal::Candidate(candidate) => SignalData::Candidate {
            candidate: candidate.candidate,
            sdp_mid: candidate.sdp_mid,
            sdp_m_line_index: candidate.sdp_m_line_index,
        },
        Signal::Bye => SignalData::Bye,
    }
}

pub(super) fn from_wire(data: SignalData) -> Signal {
    match data {
        SignalData::Description { sdp_type, sdp } => Signal::Description {
            kind: match sdp_type {
                SdpType::Offer => DescriptionKind::Offer,
                SdpType::Answer => DescriptionKind::Answer,
            },
            sdp,
        },
        SignalData::Candidate {
            candidate,
            sdp_mid,
            sdp_m_line_index,
        } => Signal::Candidate(Candidate {
            candidate,
            sdp_mid,
            sdp_m_line_index,
        }),
        SignalData::Bye => Signal::Bye,
    }
}

pub(super) fn ice_server(server: frame::IceServer) -> IceServer {
    IceServer {
        urls: server.urls,
        username: server.username.unwrap_or_default(),
        credential: server.credential.unwrap_or_default(),
    }
}

pub(super) fn quality(peer_id: PeerId, quality: &Quality) -> PersonQuality {
    PersonQuality {
        peer_id,
        loss: quality.loss,
        concealed: quality.concealed,
        round_trip_ms: quality.round_trip.map(whole_ms),
        delay_ms: whole_ms(quality.delay),
        target_ms: whole_ms(quality.target),
        send_loss: quality.send_loss,
        relayed: quality.relayed,
        first_sound_ms: quality.first_sound.map(whole_ms),
    }
}

fn whole_ms(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
