//! Names of keys and channels. What belongs together has the same hash tag, so that a cluster keeps
//! it on one server; there is a fixed number of tags, so that work can be grouped by them.

use neartalk_shared::MessageId;

use crate::{
    moderation::rulings::Subject,
    store::{
        region::Region,
        wire::{NodeId, SessionKey},
    },
};

/// Into so many parts everything is cut, of which each is on one server of a cluster.
pub const PARTITIONS: u16 = 256;

/// One of the parts.
pub type Partition = u16;

/// Names within one deployment, of which several may share a Redis.
#[derive(Clone, Debug)]
pub struct Keys {
    prefix: String,
}

impl Keys {
    /// Names that begin with `prefix`.
    pub fn new(prefix: String) -> Self {
        Self { prefix }
    }

    /// Where a region's data is.
    pub fn of_region(region: Region) -> Partition {
        region.bucket(PARTITIONS)
    }

    /// Where a session's data is.
    pub fn of_session(key: SessionKey) -> Partition {
        key.bucket(PARTITIONS)
    }

    /// Where the data about relays are.
    pub const OF_NODES: Partition = 0;

    /// A session.
    pub fn session(&self, key: SessionKey) -> String {
        self.tagged(Self::of_session(key), &format!("session:{key}"))
    }

    /// A session's place.
    pub fn place(&self, key: SessionKey) -> String {
        self.tagged(Self::of_session(key), &format!("place:{key}"))
    }

    /// The people whom one relay has in a region: a hash by public id.
    pub fn people(&self, region: Region, node: NodeId) -> String {
        let name = region.name();
        self.tagged(Self::of_region(region), &format!("people:{name}:{node}"))
    }

    /// A message. Clients choose the ids, and one in another region must not be able to take its place.
    pub fn message(&self, region: Region, id: &MessageId) -> String {
        let name = region.name();
        self.tagged(Self::of_region(region), &format!("message:{name}:{id}"))
    }

    /// The ids of a region's messages: a sorted set by when they were said.
    pub fn messages(&self, region: Region) -> String {
        let name = region.name();
        self.tagged(Self::of_region(region), &format!("messages:{name}"))
    }

    /// The channel of what happens in a region.
    pub fn region_channel(&self, region: Region) -> String {
        let name = region.name();
        self.tagged(Self::of_region(region), &format!("region:{name}"))
    }

    /// The channel of letters to a relay.
    pub fn node_channel(&self, node: NodeId) -> String {
        self.tagged(Self::OF_NODES, &format!("node:{node}"))
    }

    /// What a channel is for.
    pub fn read_channel(&self, channel: &str) -> Option<Channel> {
        let (rest, name) = channel.rsplit_once(':')?;
        match rest.rsplit_once(':')?.1 {
            "region" => Region::parse(name).map(Channel::Region),
            "node" => NodeId::parse(name).map(Channel::Node),
            "relays" => Some(Channel::Common),
            _ => None,
        }
    }

    /// A relay's sign of life, with what all others have to know of it.
    pub fn lease(&self, node: NodeId) -> String {
        self.tagged(Self::OF_NODES, &format!("lease:{node}"))
    }

    /// The relays that there are, or were a short while ago: a set.
    pub fn nodes(&self) -> String {
        self.tagged(Self::OF_NODES, "nodes")
    }

    /// The key that addresses are hashed with on a day.
    pub fn day_key(&self, day: u64) -> String {
        self.tagged(Self::OF_NODES, &format!("day-key:{day}"))
    }

    /// What was decided about something.
    pub fn ruling(&self, subject: Subject) -> String {
        self.tagged(Self::OF_NODES, &format!("ruling:{subject}"))
    }

    /// The keys of all that was decided: a sorted set by when each ends.
    pub fn rulings(&self) -> String {
        self.tagged(Self::OF_NODES, "rulings")
    }

    /// The channel of letters to every relay.
    pub fn common_channel(&self) -> String {
        self.tagged(Self::OF_NODES, "relays:all")
    }

    /// Something that is counted by a number that spreads evenly.
    pub fn counted(&self, what: &str, number: u128) -> String {
        let partition = (number % u128::from(PARTITIONS)) as Partition;
        self.tagged(partition, &format!("{what}:{number:032x}"))
    }

    fn tagged(&self, partition: Partition, name: &str) -> String {
        format!("{{{}:{partition}}}:{name}", self.prefix)
    }
}

/// What a channel is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// What happens in a region.
    Region(Region),
    /// Letters to a relay.
    Node(NodeId),
    /// Letters to every relay.
    Common,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_told_apart() {
        let keys = Keys::new("a:b".into());
        let region = Region::parse("u33dc").unwrap();
        let channel = keys.region_channel(region);
        assert_eq!(keys.read_channel(&channel), Some(Channel::Region(region)));
        let node = NodeId::parse("00000000000000ff").unwrap();
        let channel = keys.node_channel(node);
        assert_eq!(keys.read_channel(&channel), Some(Channel::Node(node)));
        let channel = keys.common_channel();
        assert_eq!(keys.read_channel(&channel), Some(Channel::Common));
        for other in ["", "region", "region:u33dc", "x:region:u33da", "x:y:u33dc"] {
            assert_eq!(keys.read_channel(other), None, "{other}");
        }
    }

    #[test]
    fn a_message_of_another_region_has_another_key() {
        let keys = Keys::new("neartalk".into());
        let id = MessageId::random();
        let here = Region::parse("u33dc").unwrap();
        let bucket = Keys::of_region(here);
        let along_the_equator = (0..8_000).map(|n| {
            let lon = f64::from(n) * 0.044 - 180.0;
            Region::containing(neartalk_shared::Place::new(0.0, lon).unwrap())
        });
        let there = along_the_equator
            .into_iter()
            .find(|&there| there != here && Keys::of_region(there) == bucket)
            .unwrap();
        assert_ne!(keys.message(here, &id), keys.message(there, &id));
    }

    #[test]
    fn what_is_written_together_has_one_tag() {
        let keys = Keys::new("neartalk".into());
        let region = Region::parse("u33dc").unwrap();
        let node = NodeId::parse("00000000000000ff").unwrap();
        let id = MessageId::random();
        let tag = |name: String| name[..name.find('}').unwrap()].to_owned();
        let tags = [
            keys.people(region, node),
            keys.message(region, &id),
            keys.messages(region),
            keys.region_channel(region),
        ]
        .map(tag);
        assert!(tags.iter().all(|tag| *tag == tags[0]), "{tags:?}");
        assert_eq!(tags[0], format!("{{neartalk:{}", Keys::of_region(region)));
    }
}
