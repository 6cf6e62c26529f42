//! Where Redis is, and a connection to it.

use std::{fmt, str::FromStr, time::Duration};

use futures_util::future;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue,
    IntoConnectionInfo, Pipeline, ProtocolVersion, RedisResult, Value,
    aio::{AsyncPushSender, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    io::tcp::{TcpSettings, socket2::TcpKeepalive},
    sentinel::{SentinelClientBuilder, SentinelServerType},
};
use thiserror::Error;

use super::keys::Partition;

/// How long Redis may take to answer before it counts as gone.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a connection to it may take.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);

/// The system ends a connection over which nothing has got through for this long.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);

/// Where Redis is: one server, the master that some sentinels know, or a cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    text: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Single,
    /// The sentinels, and what they call the master.
    Sentinel(Vec<String>, String),
    Cluster(Vec<String>),
}

/// An address that is none of a Redis.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "give an address such as redis://redis.example.org:6379, rediss://… for TLS, \
     redis+sentinel://host:26379,host:26379/service or redis+cluster://host:6379,host:6379"
)]
pub struct InvalidRedisUrl;

impl FromStr for RedisUrl {
    type Err = InvalidRedisUrl;

    fn from_str(text: &str) -> Result<Self, InvalidRedisUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidRedisUrl)?;
        // Each of several hosts is an address of its own, with the same name and password.
        let each = |plain: &str, rest: &str| -> Result<Vec<String>, InvalidRedisUrl> {
            let (login, hosts) = match rest.rsplit_once('@') {
                Some((login, hosts)) => (format!("{login}@"), hosts),
                None => (String::new(), rest),
            };
            hosts
                .split(',')
                .map(|host| {
                    let url = format!("{plain}://{login}{host}");
                    let info = url.as_str().into_connection_info();
                    let valid = info.is_ok() && !host.is_empty() && !host.contains('/');
                    valid.then_some(url).ok_or(InvalidRedisUrl)
                })
                .collect()
        };
        let kind = match scheme {
            "redis" | "rediss" => {
                text.into_connection_info().map_err(|_| InvalidRedisUrl)?;
                Kind::Single
            }
            "redis+sentinel" | "rediss+sentinel" => {
                let (hosts, service) = rest.rsplit_once('/').ok_or(InvalidRedisUrl)?;
                if service.is_empty() {
                    return Err(InvalidRedisUrl);
                }
                let plain = scheme.trim_end_matches("+sentinel");
                Kind::Sentinel(each(plain, hosts)?, service.to_owned())
            }
            "redis+cluster" | "rediss+cluster" => {
                Kind::Cluster(each(scheme.trim_end_matches("+cluster"), rest)?)
            }
            _ => return Err(InvalidRedisUrl),
        };
        Ok(Self {
            text: text.to_owned(),
            kind,
        })
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may hold a password.
        f.write_str("RedisUrl(redacted)")
    }
}

impl RedisUrl {
    /// Connects; what is published arrives at `pushes`.
    pub async fn connect(&self, pushes: impl AsyncPushSender) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT));
        match &self.kind {
            Kind::Single => {
                let info = self.text.as_str().into_connection_info()?;
                let settings = info.redis_settings().clone();
                let info = info
                    .set_redis_settings(settings.set_protocol(ProtocolVersion::RESP3))
                    .set_tcp_settings(tcp());
                let config = config.set_push_sender(pushes);
                let client = Client::open(info)?;
                let connection = client
                    .get_multiplexed_async_connection_with_config(&config)
                    .await?;
                Ok(Connection::Single(connection))
            }
            Kind::Sentinel(sentinels, service) => {
                let mut client = sentinel_client(sentinels, service)?.build()?;
                let config = config.set_push_sender(pushes);
                let connection = client.get_async_connection_with_config(&config).await?;
                Ok(Connection::Single(connection))
            }
            Kind::Cluster(nodes) => {
                let client = ClusterClientBuilder::new(nodes.iter().map(String::as_str))
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(CONNECTION_TIMEOUT)
                    .response_timeout(RESPONSE_TIMEOUT)
                    .retries(2)
                    .tcp_settings(tcp())
                    .push_sender(pushes)
                    .build()?;
                Ok(Connection::Cluster(client.get_async_connection().await?))
            }
        }
    }
}

fn tcp() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(TCP_TIMEOUT)
        .with_interval(TCP_TIMEOUT);
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        // Whatever the system has not got rid of when a connection is given up is thrown away. It
        // would be sent once the way is free again, and Redis would take it for news.
        .set_linger_time(Duration::ZERO);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let settings = settings.set_user_timeout(TCP_TIMEOUT);
    settings
}

fn sentinel_client(sentinels: &[String], service: &str) -> RedisResult<SentinelClientBuilder> {
    let infos = sentinels
        .iter()
        .map(|url| url.as_str().into_connection_info());
    let infos = infos.collect::<RedisResult<Vec<ConnectionInfo>>>()?;
    let addresses: Vec<ConnectionAddr> = infos.iter().map(|info| info.addr().clone()).collect();
    let mut builder = SentinelClientBuilder::new(addresses, service, SentinelServerType::Master)?
        .set_client_to_redis_protocol(ProtocolVersion::RESP3)
        .set_client_to_redis_tcp_settings(tcp());
    if let Some(first) = infos.first() {
        // The same name and password at both, as in the address.
        if let Some(username) = first.redis_settings().username() {
            builder = builder
                .set_client_to_redis_username(username)
                .set_client_to_sentinel_username(username);
        }
        if let Some(password) = first.redis_settings().password() {
            builder = builder
                .set_client_to_redis_password(password)
                .set_client_to_sentinel_password(password);
        }
        if matches!(first.addr(), ConnectionAddr::TcpTls { .. }) {
            builder = builder.set_client_to_redis_tls_mode(redis::TlsMode::Secure);
        }
    }
    Ok(builder)
}

/// A connection to Redis, as good as its clones.
#[derive(Clone)]
pub enum Connection {
    /// To one server.
    Single(MultiplexedConnection),
    /// To all servers of a cluster.
    Cluster(ClusterConnection),
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single(_) => "Connection::Single",
            Self::Cluster(_) => "Connection::Cluster",
        })
    }
}

impl Connection {
    /// Runs one command.
    pub async fn run<T: FromRedisValue>(&mut self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::Single(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    /// Runs commands in one go, of which those in the same partition keep their order; the answers
    /// come in the order of the commands.
    pub async fn run_all(&mut self, commands: Vec<(Partition, Cmd)>) -> RedisResult<Vec<Value>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        match self {
            Self::Single(connection) => {
                let mut pipeline = Pipeline::with_capacity(commands.len());
                for (_, command) in commands {
                    pipeline.add_command(command);
                }
                pipeline.query_async(connection).await
            }
            Self::Cluster(connection) => {
                let total = commands.len();
                let mut commands: Vec<_> = commands.into_iter().enumerate().collect();
                // Stable, so that each partition's commands stay in their order.
                commands.sort_by_key(|&(_, (partition, _))| partition);
                let mut groups = Vec::new();
                let mut rest = commands.into_iter().peekable();
                while let Some((at, (partition, command))) = rest.next() {
                    let mut places = vec![at];
                    let mut pipeline = Pipeline::new();
                    pipeline.add_command(command);
                    while let Some((at, (_, command))) =
                        rest.next_if(|&(_, (other, _))| other == partition)
                    {
                        places.push(at);
                        pipeline.add_command(command);
                    }
                    let mut connection = connection.clone();
                    groups.push(async move {
                        let answers: Vec<Value> = pipeline.query_async(&mut connection).await?;
                        RedisResult::Ok((places, answers))
                    });
                }
                let mut answers = vec![Value::Nil; total];
                for (places, values) in future::try_join_all(groups).await? {
                    for (place, value) in places.into_iter().zip(values) {
                        answers[place] = value;
                    }
                }
                Ok(answers)
            }
        }
    }

    /// Subscribes to channels, and waits until Redis has confirmed each.
    pub async fn subscribe(&mut self, channels: Vec<(Partition, String)>) -> RedisResult<()> {
        self.on_channels("SSUBSCRIBE", channels).await
    }

    /// Ends subscriptions.
    pub async fn unsubscribe(&mut self, channels: Vec<(Partition, String)>) -> RedisResult<()> {
        self.on_channels("SUNSUBSCRIBE", channels).await
    }

    async fn on_channels(
        &mut self,
        what: &'static str,
        channels: Vec<(Partition, String)>,
    ) -> RedisResult<()> {
        match self {
            Self::Single(_) => {
                let command = |(partition, channel): (Partition, String)| {
                    let mut command = redis::cmd(what);
                    command.arg(channel);
                    (partition, command)
                };
                let commands = channels.into_iter().map(command).collect();
                self.run_all(commands).await.map(drop)
            }
            Self::Cluster(connection) => {
                // This client remembers what it is subscribed to, for when a server changes.
                for (_, channel) in channels {
                    match what {
                        "SSUBSCRIBE" => connection.ssubscribe(channel).await?,
                        _ => connection.sunsubscribe(channel).await?,
                    }
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<Kind> {
        text.parse::<RedisUrl>().ok().map(|url| url.kind)
    }

    #[test]
    fn each_kind_of_address_is_read() {
        assert_eq!(kind("redis://127.0.0.1:6379"), Some(Kind::Single));
        assert_eq!(
            kind("rediss://me:secret@redis.example.org/1"),
            Some(Kind::Single)
        );
        let urls = |hosts: &[&str]| hosts.iter().map(|h| (*h).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            kind("redis+cluster://:secret@a:1,b:2"),
            Some(Kind::Cluster(urls(&[
                "redis://:secret@a:1",
                "redis://:secret@b:2"
            ])))
        );
        assert_eq!(
            kind("rediss+sentinel://a,b:26380/talk"),
            Some(Kind::Sentinel(
                urls(&["rediss://a", "rediss://b:26380"]),
                "talk".into()
            ))
        );
        for bad in [
            "",
            "127.0.0.1",
            "http://a",
            "redis+sentinel://a,b",
            "redis+sentinel://a/",
            "redis+cluster://",
            "redis+cluster://a,,b",
            "redis+cluster://a/0",
        ] {
            assert_eq!(bad.parse::<RedisUrl>(), Err(InvalidRedisUrl), "{bad}");
        }
    }

    #[test]
    fn a_password_is_not_shown() {
        let url: RedisUrl = "redis://:hush@a".parse().unwrap();
        assert!(!format!("{url:?}").contains("hush"));
    }
}
