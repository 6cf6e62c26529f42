//! What was decided about people who misbehave, as Redis keeps it: the newest about each thing,
//! until it is over, and a list of all for relays that start later.

use neartalk_shared::Timestamp;
use redis::{Cmd, RedisResult};

use super::{client::Connection, keys::Keys, scripts::eval};
use crate::moderation::{
    origin::{DAY_MS, DayKey, day_of},
    rulings::Ruling,
};

/// At most so many are read, those that last longest.
const READ_MAX: i64 = 20_000;

/// So many are asked for in one command.
const CHUNK: usize = 500;

/// For how long after its day a key is kept, as relays' clocks differ.
const KEY_GRACE_MS: u64 = 3_600_000;

/// Keeps a ruling unless a newer one about the same is there, and lists it until its end. It takes
/// the moment of the ruling, the ruling, its end, and now, in milliseconds.
const KEEP: &str = "\
local known = redis.call('GET', KEYS[1])
if known and tonumber(cjson.decode(known).at) > tonumber(ARGV[1]) then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[3], KEYS[1])
local last = redis.call('ZRANGE', KEYS[2], -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last[2]))
return 1";

/// The command that keeps a ruling, unless it is over.
pub(super) fn keep(keys: &Keys, ruling: &Ruling, now: Timestamp) -> Option<Cmd> {
    if ruling.until <= now {
        return None;
    }
    let mut command = eval(KEEP, [keys.ruling(ruling.what.subject()), keys.rulings()]);
    command
        .arg(ruling.at.as_millis())
        .arg(serde_json::to_string(ruling).ok()?)
        .arg(ruling.until.as_millis())
        .arg(now.as_millis());
    Some(command)
}

/// Everything that was decided and is not over.
pub(super) async fn read(connection: &mut Connection, keys: &Keys) -> RedisResult<Vec<Ruling>> {
    let mut list = redis::cmd("ZRANGE");
    list.arg(keys.rulings()).arg(-READ_MAX).arg(-1);
    let names: Vec<String> = connection.run(&list).await?;
    let mut rulings = Vec::new();
    for names in names.chunks(CHUNK) {
        let mut command = redis::cmd("MGET");
        command.arg(names);
        let values: Vec<Option<String>> = connection.run(&command).await?;
        let values = values.into_iter().flatten();
        rulings.extend(values.filter_map(|json| serde_json::from_str(&json).ok()));
    }
    Ok(rulings)
}

/// The key of a day: `ours`, or what another relay was first with.
pub(super) async fn agree(
    connection: &mut Connection,
    keys: &Keys,
    day: u64,
    ours: DayKey,
) -> RedisResult<DayKey> {
    let mut command = redis::cmd("SET");
    command
        .arg(keys.day_key(day))
        .arg(ours.write())
        .arg("NX")
        .arg("GET")
        .arg("PXAT")
        .arg((day + 1) * DAY_MS + KEY_GRACE_MS);
    let theirs: Option<String> = connection.run(&command).await?;
    Ok(theirs.and_then(|text| DayKey::parse(&text)).unwrap_or(ours))
}

/// Today, and the day after.
pub(super) fn days(now: Timestamp) -> [u64; 2] {
    [day_of(now), day_of(now) + 1]
}
