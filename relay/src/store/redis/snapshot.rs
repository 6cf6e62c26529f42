//! Reading what is in regions.

use neartalk_shared::Timestamp;
use redis::{FromRedisValue, RedisResult, Value};

use super::{client::Connection, keys::Keys};
use crate::store::{
    News,
    region::Region,
    wire::{NodeId, Presence, Utterance},
};

/// At most so many messages of a region are read, the newest.
const MESSAGES: i64 = 5_000;

/// So many keys are asked for in one command.
const CHUNK: usize = 500;

/// Every relay that there is or was a short while ago.
pub(super) async fn nodes(connection: &mut Connection, keys: &Keys) -> RedisResult<Vec<NodeId>> {
    let names: Vec<String> = connection
        .run(redis::cmd("SMEMBERS").arg(keys.nodes()))
        .await?;
    Ok(names
        .iter()
        .filter_map(|name| NodeId::parse(name))
        .collect())
}

/// What is in each of these regions, but for what this relay itself has put there.
pub(super) async fn read_regions(
    connection: &mut Connection,
    keys: &Keys,
    own: NodeId,
    regions: &[Region],
    complete_at: Option<Timestamp>,
) -> RedisResult<Vec<News>> {
    let mut nodes = nodes(connection, keys).await?;
    nodes.retain(|&node| node != own);
    let mut commands = Vec::new();
    for &region in regions {
        let partition = Keys::of_region(region);
        for &node in &nodes {
            let mut people = redis::cmd("HVALS");
            people.arg(keys.people(region, node));
            commands.push((partition, people));
        }
        let mut messages = redis::cmd("ZRANGE");
        messages.arg(keys.messages(region)).arg(-MESSAGES).arg(-1);
        commands.push((partition, messages));
    }
    let mut answers = connection.run_all(commands).await?.into_iter();
    let mut news = Vec::new();
    for &region in regions {
        let mut people = Vec::new();
        for &node in &nodes {
            let values = Vec::<String>::from_redis_value(answers.next().unwrap_or(Value::Nil))?;
            let presences = values.iter().filter_map(|json| {
                let presence: Presence = serde_json::from_str(json).ok()?;
                Some((node, presence))
            });
            people.extend(presences);
        }
        let ids = Vec::<String>::from_redis_value(answers.next().unwrap_or(Value::Nil))?;
        news.push(News::Snapshot {
            region,
            people,
            messages: read_messages(connection, keys, region, &ids).await?,
            complete_at,
        });
    }
    Ok(news)
}

async fn read_messages(
    connection: &mut Connection,
    keys: &Keys,
    region: Region,
    ids: &[String],
) -> RedisResult<Vec<Utterance>> {
    let mut messages = Vec::new();
    for ids in ids.chunks(CHUNK) {
        let mut command = redis::cmd("MGET");
        for id in ids {
            if let Ok(id) = neartalk_shared::MessageId::parse(id) {
                command.arg(keys.message(region, &id));
            }
        }
        let values: Vec<Option<String>> = connection.run(&command).await?;
        // What has expired meanwhile is not there any more.
        let values = values.into_iter().flatten();
        messages.extend(values.filter_map(|json| serde_json::from_str(&json).ok()));
    }
    Ok(messages)
}
