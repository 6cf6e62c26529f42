//! What is done whole or not at all, each by a script about keys of one partition. A relay may die or
//! be cut off between any two commands, and even then a key that it has just made must have an end;
//! and whoever is late must not overwrite what is newer.

use redis::Cmd;

/// A script with the keys that it is about; what it takes is to be added.
pub(super) fn eval<const N: usize>(script: &str, keys: [String; N]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(N).arg(&keys);
    command
}

/// Adds to a hash that ends by itself. It takes the field, its value, and the hash's lifetime in
/// milliseconds, as all lifetimes here.
pub(super) const PUT: &str = "\
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])";

/// Adds to a set that ends by itself. It takes the member and the set's lifetime.
pub(super) const ADD: &str = "\
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])";

/// Keeps a message, and lists it among those of its region. It takes the message, its lifetime, its
/// id, when it was said, the latest that is over, and the list's lifetime.
pub(super) const MESSAGE: &str = "\
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[5])
redis.call('PEXPIRE', KEYS[2], ARGV[6])";

/// Keeps a session unless another relay has a better claim to it, which is the answer then. It takes
/// the claim, the record and its lifetime.
pub(super) const SESSION: &str = "\
local known = redis.call('GETRANGE', KEYS[1], 0, #ARGV[1] - 1)
if known > ARGV[1] then return known end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return false";

/// Keeps a session's place unless the session is another relay's. It takes the relay, the record and
/// its lifetime.
pub(super) const PLACE: &str = "\
local known = redis.call('GETRANGE', KEYS[1], 8, 23)
if known ~= '' and known ~= ARGV[1] then return end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])";

/// Forgets a session's place, and the session too if that is said, unless it is another relay's. It
/// takes the relay.
pub(super) const FORGET: &str = "\
local known = redis.call('GETRANGE', KEYS[1], 8, 23)
if known ~= '' and known ~= ARGV[1] then return end
redis.call('DEL', KEYS[2])
if ARGV[2] == 'session' then redis.call('DEL', KEYS[1]) end";
