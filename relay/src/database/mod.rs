//! What is to outlast a relay: bans, and hourly figures. In PostgreSQL, for those who have one.
//!
//! The hub hands over [`Record`]s through a bounded queue and never waits. Whatever a slow or dead
//! database does not take is lost, and nothing else is.

#[cfg(feature = "postgres")]
mod postgres;

use std::{fmt, str::FromStr, time::Duration};

use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::{
    figures::AreaHour, hub::Hub, metrics::DatabaseMetrics, moderation::bans::BanChange,
    server::Lifetime,
};

/// Records that may wait for the database: enough for the busiest hour and a night's bans.
const QUEUE: usize = 10_000;

/// Something to be kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// About a ban.
    Ban(BanChange),
    /// How much went on.
    Hour(AreaHour),
}

/// Where the database is, with the password to it.
#[derive(Clone)]
pub struct DatabaseUrl {
    #[cfg(feature = "postgres")]
    options: sqlx::postgres::PgConnectOptions,
}

/// Not the address of a database.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum InvalidDatabaseUrl {
    /// It can't be read.
    #[error("give an address such as postgres://neartalk:password@127.0.0.1/neartalk")]
    Malformed,
    /// This relay was built without PostgreSQL.
    #[error("this relay was built without PostgreSQL; build it with the feature `postgres`")]
    NotBuiltIn,
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    #[cfg(feature = "postgres")]
    fn from_str(s: &str) -> Result<Self, InvalidDatabaseUrl> {
        let known = ["postgres://", "postgresql://"];
        if !known.iter().any(|scheme| s.starts_with(scheme)) {
            return Err(InvalidDatabaseUrl::Malformed);
        }
        let options = s.parse().map_err(|_| InvalidDatabaseUrl::Malformed)?;
        Ok(Self { options })
    }

    #[cfg(not(feature = "postgres"))]
    fn from_str(_: &str) -> Result<Self, InvalidDatabaseUrl> {
        Err(InvalidDatabaseUrl::NotBuiltIn)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

/// The hub's end of the queue.
#[derive(Clone, Debug)]
pub struct Records {
    queue: mpsc::Sender<Record>,
    metrics: DatabaseMetrics,
}

/// The database's end of it.
#[derive(Debug)]
pub struct Taker {
    queue: mpsc::Receiver<Record>,
    metrics: DatabaseMetrics,
}

impl Records {
    /// An empty queue.
    pub fn new(metrics: DatabaseMetrics) -> (Self, Taker) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let taker = Taker {
            queue: receiver,
            metrics: metrics.clone(),
        };
        (
            Self {
                queue: sender,
                metrics,
            },
            taker,
        )
    }

    /// Hands over a record, or drops it when too many wait.
    pub fn keep(&self, record: Record) {
        if self.queue.try_send(record).is_err() {
            self.metrics.dropped.increment(1);
        }
    }
}

/// Keeps records until the last [`Records`] is gone and everything is written, as far as the
/// database takes it, which the receiver is told; and tells the hub of bans that are in the database.
///
/// It has a thread to itself, as the hub has: whatever a database does, connections don't feel it.
pub fn spawn(
    url: DatabaseUrl,
    poll: Duration,
    taker: Taker,
    hub: Hub,
    lifetime: Lifetime,
) -> std::io::Result<oneshot::Receiver<()>> {
    let (done, ended) = oneshot::channel();
    #[cfg(feature = "postgres")]
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let keeper = postgres::Keeper::new(url.options, poll, taker, hub);
        std::thread::Builder::new()
            .name("database".into())
            .spawn(move || {
                runtime.block_on(keeper.run(lifetime));
                // Nobody may wait for it.
                let _ = done.send(());
            })?;
    }
    // There is no such URL.
    #[cfg(not(feature = "postgres"))]
    drop((url, poll, taker, hub, lifetime, done));
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics::Metrics, moderation::bans::BanId};

    #[test]
    fn a_full_queue_drops_and_never_waits() {
        let metrics = Metrics::new();
        let (records, mut taker) = Records::new(metrics.database.clone());
        let id = BanId::parse("00000000000000000000000000000001").unwrap();
        for _ in 0..QUEUE + 7 {
            records.keep(Record::Ban(BanChange::Lifted(id)));
        }
        let text = metrics.render();
        assert!(text.contains("neartalk_database_dropped_total 7"), "{text}");
        assert!(taker.queue.try_recv().is_ok());
        records.keep(Record::Ban(BanChange::Lifted(id)));
        assert!(
            metrics
                .render()
                .contains("neartalk_database_dropped_total 7")
        );
    }

    #[cfg(feature = "postgres")]
    #[test]
    fn an_address_is_read_and_never_shown() {
        let url: DatabaseUrl = "postgres://fox:hush@db.example:5433/near".parse().unwrap();
        assert_eq!(format!("{url:?}"), "DatabaseUrl(…)");
        for bad in [
            "",
            "mysql://db",
            "db.example",
            "postgres://[",
            "postgres://h:port/x",
        ] {
            assert_eq!(
                bad.parse::<DatabaseUrl>().unwrap_err(),
                InvalidDatabaseUrl::Malformed,
                "{bad}"
            );
        }
    }
}
