//! The task that talks to PostgreSQL.

use std::{borrow::Cow, collections::HashSet, time::Duration};

use neartalk_shared::{Timestamp, time::millis};
use rand::RngExt;
use sqlx::{
    ConnectOptions, Connection, PgConnection, Row,
    error::BoxDynError,
    migrate::{Migration, MigrationSource, MigrationType, Migrator},
    postgres::{PgConnectOptions, PgRow},
};
use tokio::time::{Instant, sleep, timeout};

use super::{Record, Taker};
use crate::{
    figures::AreaHour,
    hub::Hub,
    moderation::{
        bans::{Ban, BanChange, BanId, BannedBy},
        origin::{DayKey, Origin, OriginDigest},
    },
    server::Lifetime,
};

/// Anything that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait after a failure: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The schema, oldest change first. What has been released is never edited.
#[derive(Debug)]
struct Schema;

impl MigrationSource<'static> for Schema {
    fn resolve(
        self,
    ) -> futures_util::future::BoxFuture<'static, Result<Vec<Migration>, BoxDynError>> {
        let steps = [(
            1,
            "bans and figures",
            include_str!("../../migrations/0001_bans_and_figures.sql"),
        )];
        let migrations = steps.map(|(version, description, sql)| {
            let kind = MigrationType::Simple;
            Migration::new(version, description.into(), kind, Cow::Borrowed(sql), false)
        });
        Box::pin(std::future::ready(Ok(migrations.into())))
    }
}

/// Keeps what it is handed, and the hub informed.
pub(super) struct Keeper {
    options: PgConnectOptions,
    poll: Duration,
    taker: Taker,
    hub: Hub,
    /// Tells this run's figures from those of others.
    run: String,
    /// Bans that are in the database as far as is known here.
    known: HashSet<BanId>,
    /// Taken from the queue and not written yet.
    held: Option<Record>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Schema(#[from] sqlx::migrate::MigrateError),
    #[error("it does not answer within {} s", PATIENCE.as_secs())]
    Slow,
}

impl Keeper {
    pub fn new(options: PgConnectOptions, poll: Duration, taker: Taker, hub: Hub) -> Self {
        Self {
            options: options
                .application_name("neartalk-relay")
                .disable_statement_logging(),
            poll,
            taker,
            hub,
            run: format!("{:016x}", rand::rng().random::<u64>()),
            known: HashSet::new(),
            held: None,
        }
    }

    /// Until there is nothing left to keep, or the relay ends and the database is dead.
    pub async fn run(mut self, lifetime: Lifetime) {
        let mut backoff = BACKOFF.0;
        loop {
            let failure = match self.work(&mut backoff).await {
                Ok(()) => return,
                Err(failure) => failure,
            };
            self.taker.metrics.up.set(0.0);
            self.taker.metrics.failures.increment(1);
            tracing::warn!(error = %failure, retry_s = backoff.as_secs_f64(), "the database can't be used; bans and figures wait");
            tokio::select! {
                () = sleep(backoff) => {}
                () = lifetime.ended() => return,
            }
            backoff = (backoff * 2).min(BACKOFF.1);
        }
    }

    /// Connects, and works until something fails or all is done.
    async fn work(&mut self, backoff: &mut Duration) -> Result<(), Failure> {
        let mut db = patient(PgConnection::connect_with(&self.options)).await?;
        let schema = Migrator::new(Schema).await?;
        within(schema.run(&mut db)).await?;
        self.read_bans(&mut db).await?;
        self.taker.metrics.up.set(1.0);
        *backoff = BACKOFF.0;
        tracing::info!("bans and figures are kept in the database");
        let mut poll_at = Instant::now() + self.poll;
        loop {
            if self.held.is_none() {
                tokio::select! {
                    record = self.taker.queue.recv() => match record {
                        Some(record) => self.held = Some(record),
                        None => {
                            // It has all; whether it hears the goodbye is its own affair.
                            let _ = timeout(PATIENCE, db.close()).await;
                            return Ok(());
                        }
                    },
                    () = tokio::time::sleep_until(poll_at) => {
                        self.read_bans(&mut db).await?;
                        poll_at = Instant::now() + self.poll;
                    }
                }
            }
            if let Some(record) = self.held.take() {
                let written = self.write(&mut db, &record).await;
                if written.is_err() {
                    self.held = Some(record);
                }
                written?;
                self.taker.metrics.written.increment(1);
            }
        }
    }

    async fn write(&mut self, db: &mut PgConnection, record: &Record) -> Result<(), Failure> {
        match record {
            Record::Ban(BanChange::Banned(ban)) => {
                patient(insert(ban).execute(db)).await?;
                self.known.insert(ban.id);
            }
            Record::Ban(BanChange::Lifted(id)) => {
                let delete = sqlx::query("DELETE FROM bans WHERE id = $1").bind(id.to_string());
                patient(delete.execute(db)).await?;
                self.known.remove(id);
            }
            Record::Hour(hour) => {
                patient(upsert(hour, &self.run).execute(db)).await?;
            }
        }
        Ok(())
    }

    /// Drops bans that are over, and tells the hub what others have decided.
    async fn read_bans(&mut self, db: &mut PgConnection) -> Result<(), Failure> {
        let over = sqlx::query("DELETE FROM bans WHERE until <= now()");
        patient(over.execute(&mut *db)).await?;
        let select = sqlx::query(
            "SELECT id, key, digest, banned_by,
                    (extract(epoch FROM since) * 1000)::bigint AS since_ms,
                    (extract(epoch FROM until) * 1000)::bigint AS until_ms
             FROM bans",
        );
        let rows = patient(select.fetch_all(db)).await?;
        // What another program wrote there and nobody understands is left alone.
        let bans: Vec<Ban> = rows.iter().filter_map(ban_of).collect();
        let now: HashSet<BanId> = bans.iter().map(|ban| ban.id).collect();
        let lifted: Vec<BanId> = self.known.difference(&now).copied().collect();
        let new: Vec<Ban> = bans
            .into_iter()
            .filter(|ban| !self.known.contains(&ban.id))
            .collect();
        self.known = now;
        if !new.is_empty() || !lifted.is_empty() {
            // Without a hub there is nobody to be told.
            let _ = self
                .hub
                .with(move |room, _| {
                    for ban in new {
                        room.moderation().bans.add(ban);
                    }
                    for id in lifted {
                        room.unban(id);
                    }
                })
                .await;
        }
        Ok(())
    }
}

async fn patient<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Failure> {
    within(work).await
}

async fn within<T, E: Into<Failure>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(Failure::Slow),
    }
}

type Query<'a> = sqlx::query::Query<'a, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn insert(ban: &Ban) -> Query<'_> {
    let sql = "INSERT INTO bans (id, key, digest, since, until, banned_by)
               VALUES ($1, $2, $3, to_timestamp($4 / 1000.0), to_timestamp($5 / 1000.0), $6)
               ON CONFLICT (id) DO NOTHING";
    sqlx::query(sql)
        .bind(ban.id.to_string())
        .bind(&ban.origin.key.expose()[..])
        .bind(&ban.origin.digest.0[..])
        .bind(signed(ban.since))
        .bind(signed(ban.until))
        .bind(ban.by.as_str())
}

/// Writing the same again, after an answer that got lost, changes nothing.
fn upsert<'a>(hour: &'a AreaHour, run: &'a str) -> Query<'a> {
    let sql = "INSERT INTO area_hours (hour, geohash, run, people, messages, voice_minutes)
               VALUES (to_timestamp($1 / 1000.0), $2, $3, $4, $5, $6)
               ON CONFLICT (hour, geohash, run) DO UPDATE
               SET people = excluded.people, messages = excluded.messages,
                   voice_minutes = excluded.voice_minutes";
    sqlx::query(sql)
        .bind(signed(hour.hour))
        .bind(&hour.geohash)
        .bind(run)
        .bind(i32::try_from(hour.people).unwrap_or(i32::MAX))
        .bind(i64::try_from(hour.messages).unwrap_or(i64::MAX))
        .bind(millis(hour.voice) as f64 / 60_000.0)
}

fn signed(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

fn ban_of(row: &PgRow) -> Option<Ban> {
    let time = |column| {
        let ms: i64 = row.try_get(column).ok()?;
        Some(Timestamp::from_millis(u64::try_from(ms).ok()?))
    };
    let bytes = |column| row.try_get::<Vec<u8>, _>(column).ok();
    Some(Ban {
        id: BanId::parse(row.try_get("id").ok()?)?,
        origin: Origin {
            key: DayKey::new(bytes("key")?.try_into().ok()?),
            digest: OriginDigest(bytes("digest")?.try_into().ok()?),
        },
        since: time("since_ms")?,
        until: time("until_ms")?,
        by: BannedBy::parse(row.try_get("banned_by").ok()?)?,
    })
}
