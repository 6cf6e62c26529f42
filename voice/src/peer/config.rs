//! How a connection is set up.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use rtc::{
    ice::mdns::MulticastDnsMode,
    interceptor::{ReceiverReportBuilder, Registry, SenderReportBuilder, Slot},
    media_stream::MediaStreamTrack,
    peer_connection::configuration::{
        RTCConfiguration, RTCConfigurationBuilder, RTCIceTransportPolicy,
        media_engine::{MIME_TYPE_OPUS, MediaEngine},
        setting_engine::{SettingEngine, SettingEngineBuilder},
    },
    rtp_transceiver::rtp_sender::{
        RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
        RtpCodecKind,
    },
};
use tokio::sync::watch;
use webrtc::{
    error::Error,
    peer_connection::{PeerConnection, PeerConnectionBuilder, RTCIceServer},
};

use super::{PeerError, actor::Handler, media::Shared, prompt::Prompt, reports::Reports};
use crate::{SAMPLE_RATE, mesh::Policy};

// As browsers number them.
const OPUS: u8 = 111;
const RED: u8 = 63;

/// How often each side tells the other what it received, and so how soon loss is known.
const REPORTS: Duration = Duration::from_secs(1);

/// Nearer to the wire than what writes receiver reports (10,000), so that these pass through it.
const REPORTS_SLOT: usize = 9_500;

/// A STUN or TURN server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IceServer {
    /// `stun:HOST[:PORT]` and `turn:HOST[:PORT][?transport=udp]` (RFC 7064, RFC 7065); others are passed over.
    pub urls: Vec<String>,
    /// For TURN; else empty.
    pub username: String,
    /// For TURN; else empty.
    pub credential: String,
}

impl IceServer {
    /// Whether it relays, and so can hide an address: TURN over UDP.
    pub fn is_relay(&self) -> bool {
        self.urls.iter().any(|url| is_turn(url))
    }
}

fn is_turn(url: &str) -> bool {
    url.starts_with("turn:") && !url.contains("transport=tcp")
}

/// How a connection is set up.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Whether this side gives way when offers cross. The two sides must differ.
    pub polite: bool,
    /// Over what it may go. [`Policy::RelayOnly`] also tells the other side no address but the relay's.
    pub policy: Policy,
    /// What servers to use.
    pub ice_servers: Vec<IceServer>,
    /// Where to open sockets; if empty, on all of this machine's addresses but loopback.
    pub addresses: Vec<SocketAddr>,
    /// Whether to take and offer redundancy.
    pub red: bool,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            polite: false,
            policy: Policy::Any,
            ice_servers: Vec::new(),
            addresses: Vec::new(),
            red: true,
        }
    }
}

/// A connection that does nothing yet, to send the stream `stream`; `shared` will tell how it does.
pub(super) async fn connection(
    config: &PeerConfig,
    stream: u32,
    handler: &Handler,
    shared: &watch::Sender<Shared>,
) -> Result<Arc<dyn PeerConnection>, PeerError> {
    if config.policy == Policy::RelayOnly && !config.ice_servers.iter().any(IceServer::is_relay) {
        return Err(PeerError::NoRelay);
    }
    let all = [
        SocketAddr::from(([0, 0, 0, 0], 0)),
        SocketAddr::from(([0u16; 8], 0)),
    ];
    let choices = if config.addresses.is_empty() {
        // A machine without IPv6 refuses its wildcard.
        vec![all.to_vec(), all[..1].to_vec()]
    } else {
        vec![config.addresses.clone()]
    };
    let mut last = None;
    // Nor has a network without a way to the internet always one for multicast. Whoever hides behind
    // a name is then found when they call.
    for resolve_names in [true, false] {
        // Asking for a name would tell everybody on the local network.
        if resolve_names && config.policy == Policy::RelayOnly {
            continue;
        }
        for addresses in &choices {
            let runtime = Prompt::new(shared.subscribe());
            let addresses = addresses.clone();
            match build(config, resolve_names, stream, handler, runtime, addresses).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = Some(error),
            }
        }
    }
    Err(last.map_or(PeerError::NoRelay, PeerError::from))
}

async fn build(
    config: &PeerConfig,
    resolve_names: bool,
    stream: u32,
    handler: &Handler,
    runtime: Prompt,
    addresses: Vec<SocketAddr>,
) -> Result<Arc<dyn PeerConnection>, Error> {
    let reports = {
        let handler = handler.clone();
        Reports::new(stream, move |reception| handler.reception(reception))
    };
    let registry = Registry::new()
        .with(
            Slot::ReceiverReport,
            ReceiverReportBuilder::new().with_interval(REPORTS).build(),
        )
        .with(
            Slot::SenderReport,
            SenderReportBuilder::new().with_interval(REPORTS).build(),
        )
        .with(Slot::from(REPORTS_SLOT), reports);
    let connection = PeerConnectionBuilder::new()
        .with_runtime(Arc::new(runtime))
        .with_configuration(configuration(config.policy, &config.ice_servers))
        .with_media_engine(media_engine(config.red)?)
        .with_setting_engine(settings(config.policy, resolve_names))
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(handler.clone()))
        .with_udp_addrs(addresses)
        .build()
        .await?;
    Ok(Arc::new(connection))
}

/// What a connection is told of servers.
pub(super) fn configuration(policy: Policy, servers: &[IceServer]) -> RTCConfiguration {
    let transport = match policy {
        Policy::Any => RTCIceTransportPolicy::All,
        Policy::RelayOnly => RTCIceTransportPolicy::Relay,
    };
    let servers = servers
        .iter()
        .map(|server| RTCIceServer {
            urls: server
                .urls
                .iter()
                .filter(|url| {
                    // In relay-only mode no STUN server needs to know either.
                    let stun = policy == Policy::Any && url.starts_with("stun:");
                    stun || is_turn(url)
                })
                .cloned()
                .collect(),
            username: server.username.clone(),
            credential: server.credential.clone(),
        })
        .filter(|server| !server.urls.is_empty())
        .collect();
    RTCConfigurationBuilder::new()
        .with_ice_servers(servers)
        .with_ice_transport_policy(transport)
        .build()
}

/// By default it takes 219 ms from offer to sound in the middle and over a second in one of ten: a check
/// overtakes the candidate that it belongs to, and the pair waits as a peer-reflexive one.
fn settings(policy: Policy, resolve_names: bool) -> SettingEngine {
    let relay_wait = match policy {
        Policy::Any => Duration::from_millis(100),
        Policy::RelayOnly => Duration::ZERO,
    };
    let names = if resolve_names {
        MulticastDnsMode::QueryOnly
    } else {
        MulticastDnsMode::Disabled
    };
    SettingEngineBuilder::new()
        .with_ice_connection_attempts(Some(Duration::from_millis(20)), Some(150))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_relay_acceptance_min_wait(Some(relay_wait))
        .with_multicast_dns_mode(names)
        // A silent person sends little, hence the keep-alives.
        .with_ice_timeouts(
            Some(Duration::from_secs(2)),
            Some(Duration::from_secs(10)),
            Some(Duration::from_millis(500)),
        )
        // Another network has other addresses: new sockets too.
        .with_discard_local_candidates_during_ice_restart(true)
        .build()
}

fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: SAMPLE_RATE,
        // Always two in RTP, whatever is in it (RFC 7587).
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: Vec::new(),
    }
}

fn media_engine(red: bool) -> Result<MediaEngine, Error> {
    let mut engine = MediaEngine::default();
    let mut register = |rtp_codec, payload_type| {
        let codec = RTCRtpCodecParameters {
            rtp_codec,
            payload_type,
        };
        engine.register_codec(codec, RtpCodecKind::Audio)
    };
    register(opus(), OPUS)?;
    if red {
        let codec = RTCRtpCodec {
            mime_type: "audio/red".to_owned(),
            sdp_fmtp_line: format!("{OPUS}/{OPUS}"),
            ..opus()
        };
        register(codec, RED)?;
    }
    Ok(engine)
}

/// The track of sound sent, as the stream `ssrc`.
pub(super) fn track(ssrc: u32) -> MediaStreamTrack {
    MediaStreamTrack::new(
        "voice".to_owned(),
        // The connection mixes up tracks of one name, even if they go opposite ways.
        format!("{:032x}", rand::random::<u128>()),
        "voice".to_owned(),
        RtpCodecKind::Audio,
        vec![RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters {
                ssrc: Some(ssrc),
                ..Default::default()
            },
            active: true,
            codec: opus(),
            ..Default::default()
        }],
    )
}
