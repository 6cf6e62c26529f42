//! Settings: every one a flag and an environment variable, all with defaults that work.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use axum::http::HeaderValue;
use clap::{
    CommandFactory, Parser, ValueEnum,
    error::{ContextKind, ContextValue},
};
use ipnet::IpNet;
use neartalk_shared::{frame::IceServer, limits, proof::BITS_MAX};

use crate::{
    address::AddressLimits,
    admin::AdminToken,
    database::DatabaseUrl,
    moderation::{
        ModerationSettings,
        gate::{GateSettings, ProofPolicy},
        repeats::RepeatLimits,
        words::{WordFilter, WordsError},
    },
    quota::Quota,
    room::RoomSettings,
    store::redis::{RedisSettings, RedisUrl},
    turn::{TurnError, TurnSecret, TurnServers, TurnUrl, relay},
};

/// The NearTalk relay: proximity matching, ephemeral chat and signaling for the people around you.
///
/// Runs with no configuration at all. Keeps everything in memory; what people say is gone after 30
/// minutes, and everything is when the relay stops. With a Redis, many relays are one.
#[derive(Clone, Debug, Parser)]
#[command(name = "neartalk-relay", version, max_term_width = 100)]
pub struct Config {
    /// Address and port for clients. Port 0 takes a free one and prints it.
    #[arg(
        long,
        env = "NEARTALK_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:8080"
    )]
    pub listen: SocketAddr,

    /// Address and port for /metrics and /api/health; not for the public. Off unless given.
    #[arg(long, env = "NEARTALK_ADMIN_LISTEN", value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,

    /// What opens /api/admin on that listener, of at least 16 characters: reports, bans, closed
    /// neighbourhoods, announcements. Others on this machine can read a flag, so better give the
    /// variable, or a file. Without one there is no /api/admin.
    #[arg(
        long,
        env = "NEARTALK_ADMIN_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub admin_token: Option<AdminToken>,

    /// A file with that token.
    #[arg(long, env = "NEARTALK_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,

    /// A web page's origin that may use this relay, such as `https://talk.example.org`. The relay's
    /// own host always may. Can be repeated, or separated by commas.
    #[arg(
        long = "allowed-origin",
        env = "NEARTALK_ALLOWED_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ',',
        value_parser = parse_origin
    )]
    pub allowed_origins: Vec<HeaderValue>,

    /// A proxy or network of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8. Can be
    /// repeated, or separated by commas.
    #[arg(
        long = "trusted-proxy",
        env = "NEARTALK_TRUSTED_PROXY",
        value_name = "CIDR",
        value_delimiter = ',',
        value_parser = parse_network
    )]
    pub trusted_proxies: Vec<IpNet>,

    /// A STUN server for voice, such as stun:stun.example.org:3478, or a TURN server that asks for
    /// no name. Can be repeated, or separated by commas.
    #[arg(
        long = "ice-server",
        env = "NEARTALK_ICE_SERVER",
        value_name = "URL",
        value_delimiter = ',',
        value_parser = parse_ice_server
    )]
    pub ice_servers: Vec<String>,

    /// A TURN server for the voices of people who can't reach each other directly or hide their
    /// address, such as turn:turn.example.org:3478. Needs the server's secret. Can be repeated, or
    /// separated by commas.
    #[arg(
        long = "turn-url",
        env = "NEARTALK_TURN_URL",
        value_name = "URL",
        value_delimiter = ','
    )]
    pub turn_urls: Vec<TurnUrl>,

    /// The secret that the TURN servers know as static-auth-secret. Others on this machine can read
    /// a flag, so better give the variable, or a file.
    #[arg(
        long,
        env = "NEARTALK_TURN_SECRET",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub turn_secret: Option<TurnSecret>,

    /// A file with that secret.
    #[arg(long, env = "NEARTALK_TURN_SECRET_FILE", value_name = "FILE")]
    pub turn_secret_file: Option<PathBuf>,

    /// How long the TURN credentials are good that somebody who joins voice gets.
    #[arg(long, env = "NEARTALK_TURN_TTL", value_name = "TIME", default_value = "24h", value_parser = parse_duration)]
    pub turn_ttl: Duration,

    /// The TURN server inside.
    #[command(flatten)]
    pub turn_relay: relay::Flags,

    /// A Redis (7 or newer) by which this relay and others are one, such as
    /// redis://redis.example.org:6379. Also rediss:// for TLS, redis+sentinel://HOST,HOST/SERVICE
    /// and redis+cluster://HOST,HOST. Others on this machine can read a flag, so better give the
    /// variable if there is a password.
    #[arg(
        long,
        env = "NEARTALK_REDIS_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub redis_url: Option<RedisUrl>,

    /// What every key and channel in Redis begins with. Relays with the same are one.
    #[arg(long, env = "NEARTALK_REDIS_PREFIX", value_name = "TEXT", default_value = "neartalk", value_parser = parse_prefix)]
    pub redis_prefix: String,

    /// People of a relay that has given no sign of life in Redis for this long are gone.
    #[arg(long, env = "NEARTALK_REDIS_LEASE", value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub redis_lease: Duration,

    /// How long a message lives.
    #[arg(long, env = "NEARTALK_MESSAGE_TTL", value_name = "TIME", default_value = "30m", value_parser = parse_duration)]
    pub message_ttl: Duration,

    /// How long a session lives without a request or an open socket.
    #[arg(long, env = "NEARTALK_SESSION_TTL", value_name = "TIME", default_value = "30m", value_parser = parse_duration)]
    pub session_ttl: Duration,

    /// How long a place lives without an update or an open socket.
    #[arg(long, env = "NEARTALK_PLACE_TTL", value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    pub place_ttl: Duration,

    /// Messages that a session may send within any minute.
    #[arg(long, env = "NEARTALK_MESSAGES_PER_MINUTE", value_name = "N", default_value_t = limits::MESSAGES_PER_WINDOW, value_parser = clap::value_parser!(u32).range(1..))]
    pub messages_per_minute: u32,

    /// A session may update its place or radius once in this time, after a burst.
    #[arg(long, env = "NEARTALK_LOCATION_INTERVAL", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub location_interval: Duration,

    /// How many updates of place or radius may come in a burst.
    #[arg(long, env = "NEARTALK_LOCATION_BURST", value_name = "N", default_value_t = limits::LOCATION_BURST, value_parser = clap::value_parser!(u32).range(1..))]
    pub location_burst: u32,

    /// A session may join voice once in this time, after a burst of 10.
    #[arg(long, env = "NEARTALK_VOICE_JOIN_INTERVAL", value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    pub voice_join_interval: Duration,

    /// New sessions a minute from one address (IPv6: one /64), after a burst. People near each
    /// other often share one address.
    #[arg(long, env = "NEARTALK_SESSIONS_PER_MINUTE", value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub sessions_per_minute: u32,

    /// How many new sessions from one address may come in a burst.
    #[arg(long, env = "NEARTALK_SESSION_BURST", value_name = "N", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..))]
    pub session_burst: u32,

    /// HTTP requests a second from one address, after a burst.
    #[arg(long, env = "NEARTALK_REQUESTS_PER_SECOND", value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub requests_per_second: u32,

    /// How many HTTP requests from one address may come in a burst.
    #[arg(long, env = "NEARTALK_REQUEST_BURST", value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub request_burst: u32,

    /// Open sockets from one address.
    #[arg(long, env = "NEARTALK_SOCKETS_PER_ADDRESS", value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    pub sockets_per_address: u32,

    /// Sessions that this relay holds at most.
    #[arg(
        long,
        env = "NEARTALK_MAX_SESSIONS",
        value_name = "N",
        default_value_t = 200_000
    )]
    pub max_sessions: usize,

    /// Messages that this relay keeps at most; beyond it the oldest go before their time.
    #[arg(
        long,
        env = "NEARTALK_MAX_MESSAGES",
        value_name = "N",
        default_value_t = 200_000
    )]
    pub max_messages: usize,

    /// Connections that this relay holds at most; beyond it new ones wait.
    #[arg(long, env = "NEARTALK_MAX_CONNECTIONS", value_name = "N", default_value_t = 50_000, value_parser = parse_count)]
    pub max_connections: usize,

    /// So many people near somebody have to report them until they are disconnected and banned, each
    /// counted once and at most two of one address. With 0 nobody ever is.
    #[arg(
        long,
        env = "NEARTALK_REPORT_THRESHOLD",
        value_name = "N",
        default_value_t = 5
    )]
    pub report_threshold: u32,

    /// For how long somebody is banned whom enough people have reported.
    #[arg(long, env = "NEARTALK_BAN_TIME", value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    pub ban_time: Duration,

    /// A file with words that are not passed on, in messages and names: one a line, or several that
    /// belong together. Lines that begin with # are comments.
    #[arg(long, env = "NEARTALK_WORD_FILTER", value_name = "FILE")]
    pub word_filter: Option<PathBuf>,

    /// How often the same text is passed on from one address in one neighbourhood within ten
    /// minutes. With 0 any number of times.
    #[arg(
        long,
        env = "NEARTALK_REPEATS_PER_ADDRESS",
        value_name = "N",
        default_value_t = 3
    )]
    pub repeats_per_address: u32,

    /// How often the same text is passed on in one neighbourhood within ten minutes, whoever says
    /// it. With 0 any number of times.
    #[arg(
        long,
        env = "NEARTALK_REPEATS_PER_CELL",
        value_name = "N",
        default_value_t = 10
    )]
    pub repeats_per_cell: u32,

    /// When a newcomer's device has to work for a session: never, always, or while very many
    /// sessions are being made from one network or a neighbourhood is flooded with the same words.
    #[arg(long, env = "NEARTALK_PROOF_OF_WORK", value_name = "WHEN", value_enum, default_value_t = ProofPolicy::Attack)]
    pub proof_of_work: ProofPolicy,

    /// How much work that is: each bit more doubles it. 18 take a phone about a second.
    #[arg(long, env = "NEARTALK_PROOF_BITS", value_name = "BITS", default_value_t = 18, value_parser = clap::value_parser!(u32).range(1..=i64::from(BITS_MAX)))]
    pub proof_bits: u32,

    /// A PostgreSQL database in which bans outlast this relay, are shared with others, and hourly
    /// figures are kept, such as postgres://neartalk@db.example.org/neartalk. Others on this machine
    /// can read a flag, so better give the variable.
    #[arg(
        long,
        env = "NEARTALK_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<DatabaseUrl>,

    /// How often to look there for bans that others have decided on.
    #[arg(long, env = "NEARTALK_DATABASE_POLL", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub database_poll: Duration,

    /// Form of the logs, which go to standard error.
    #[arg(long, env = "NEARTALK_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What to log: error, warn, info, debug, trace, or a filter such as neartalk_relay=debug.
    /// Names, places, addresses and what people say are never logged.
    #[arg(
        long,
        env = "NEARTALK_LOG",
        value_name = "FILTER",
        default_value = "info"
    )]
    pub log: String,

    /// Threads that serve connections. One per core unless given.
    #[arg(long, env = "NEARTALK_WORKERS", value_name = "N", value_parser = parse_count)]
    pub workers: Option<usize>,

    /// How long a shutdown waits for clients to take what is still queued for them.
    #[arg(long, env = "NEARTALK_DRAIN_TIMEOUT", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub drain_timeout: Duration,
}

/// Form of the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads flags and environment; a setting that can't be ends the program with a sentence about it.
    pub fn from_environment() -> Self {
        Self::try_parse().unwrap_or_else(|error| discreet(error).exit())
    }

    /// What of these settings concerns the room. An error when those about TURN don't fit together.
    pub fn room(&self) -> Result<RoomSettings, TurnError> {
        let ice_server = |url: &String| IceServer {
            urls: vec![url.clone()],
            username: None,
            credential: None,
        };
        let turn = TurnServers::new(
            self.turn_urls.clone(),
            self.turn_secret.clone(),
            self.turn_secret_file.clone(),
            self.turn_ttl,
        )?;
        Ok(RoomSettings {
            message_ttl: self.message_ttl,
            session_ttl: self.session_ttl,
            place_ttl: self.place_ttl,
            messages_per_minute: self.messages_per_minute,
            location_interval: self.location_interval,
            location_burst: self.location_burst,
            voice_join_interval: self.voice_join_interval,
            max_sessions: self.max_sessions,
            max_messages: self.max_messages,
            ice_servers: self.ice_servers.iter().map(ice_server).collect(),
            turn,
            moderation: ModerationSettings::default(),
        })
    }

    /// What of these settings concerns people who misbehave. An error when the words can't be read.
    pub fn moderation(&self) -> Result<ModerationSettings, WordsError> {
        let words = self.word_filter.as_deref().map(WordFilter::read);
        // Whatever one address may do, a network of many may do more of, but not without end.
        let sessions = self.sessions_per_minute.saturating_add(self.session_burst);
        let per_network = sessions.saturating_mul(2);
        Ok(ModerationSettings {
            report_threshold: self.report_threshold,
            ban_time: self.ban_time,
            words: words.transpose()?.map(Arc::new),
            repeats: RepeatLimits {
                per_address: self.repeats_per_address,
                per_cell: self.repeats_per_cell,
                // Of one address, twenty people may talk as much as they can.
                messages_per_address: self.messages_per_minute.saturating_mul(20),
            },
            gate: GateSettings {
                policy: self.proof_of_work,
                bits: self.proof_bits,
                range: Quota::per_window(per_network, Duration::from_secs(60), per_network),
            },
        })
    }

    /// What of these settings concerns Redis, if there is one; and the TURN server in here, of which other
    /// relays learn there.
    pub fn redis(&self, turn: Option<relay::InnerServer>) -> Option<RedisSettings> {
        Some(RedisSettings {
            url: self.redis_url.clone()?,
            prefix: self.redis_prefix.clone(),
            lease: self.redis_lease,
            message_ttl: self.message_ttl,
            turn,
            limits: self.addresses(),
        })
    }

    /// What of these settings concerns each address.
    pub fn addresses(&self) -> AddressLimits {
        let minute = Duration::from_secs(60);
        AddressLimits {
            sessions: Quota::per_window(self.sessions_per_minute, minute, self.session_burst),
            requests: Quota::per_window(
                self.requests_per_second,
                Duration::from_secs(1),
                self.request_burst,
            ),
            sockets: self.sockets_per_address,
        }
    }
}

/// The same error without what it repeats of a secret, which would end up in a log.
fn discreet(mut error: clap::Error) -> clap::Error {
    let about = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => argument.clone(),
        _ => return error,
    };
    let flag = about
        .split([' ', '='])
        .next()
        .and_then(|f| f.strip_prefix("--"));
    let command = Config::command();
    let is_secret = command
        .get_arguments()
        .any(|known| known.is_hide_env_values_set() && known.get_long() == flag);
    if is_secret {
        let hidden = ContextValue::String("(not shown)".into());
        error.insert(ContextKind::InvalidValue, hidden);
    }
    error
}

fn parse_duration(s: &str) -> Result<Duration, String> {
    let hint = "give a time such as 30m, 90s or 1h 30m";
    let duration = humantime::parse_duration(s).map_err(|e| format!("{e}; {hint}"))?;
    if duration.is_zero() || duration > Duration::from_secs(365 * 86_400) {
        return Err(format!(
            "a time must be longer than nothing and shorter than a year; {hint}"
        ));
    }
    Ok(duration)
}

fn parse_prefix(s: &str) -> Result<String, String> {
    if s.is_empty() || s.contains(['{', '}']) {
        return Err("give some text without braces".into());
    }
    Ok(s.to_owned())
}

fn parse_network(s: &str) -> Result<IpNet, String> {
    let single = || s.parse::<std::net::IpAddr>().map(IpNet::from);
    s.parse()
        .or_else(|_| single())
        .map_err(|_| "give a network such as 10.0.0.0/8, or one address".into())
}

fn parse_origin(s: &str) -> Result<HeaderValue, String> {
    let hint = "give an origin such as https://talk.example.org, with no path";
    let host = s
        .strip_prefix("https://")
        .or_else(|| s.strip_prefix("http://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains('/') => {
            HeaderValue::from_str(s).map_err(|_| hint.into())
        }
        _ => Err(hint.into()),
    }
}

fn parse_ice_server(s: &str) -> Result<String, String> {
    let known = ["stun:", "stuns:", "turn:", "turns:"];
    match known.iter().find_map(|scheme| s.strip_prefix(scheme)) {
        Some(host) if !host.is_empty() && !host.starts_with('/') => Ok(s.to_owned()),
        _ => Err("give an address such as stun:stun.example.org:3478".into()),
    }
}

fn parse_count(s: &str) -> Result<usize, String> {
    match s.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("give a whole number of at least 1".into()),
    }
}
