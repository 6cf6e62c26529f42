//! What all relays count together: new sessions and open sockets by address, and answers to
//! challenges. Each is one command about one key, which ends when nothing is left to count.
//!
//! Addresses are known here by their digest under the key of the day alone. Redis's own clock
//! counts, as those of relays differ. Whatever Redis does not answer in a moment is allowed: each
//! relay counts for itself as well.

use std::time::Duration;

use neartalk_shared::time::millis;
use redis::{Cmd, FromRedisValue};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{Redis, keys::Keys, scripts::eval};
use crate::{
    address::AddressKey,
    moderation::{gate::CHALLENGE_TTL, origin::OriginDigest},
    quota::Quota,
    store::{SOCKET_RENEWAL, SocketTicket, TooMany},
};

/// How long somebody waits to be counted.
const PATIENCE: Duration = Duration::from_millis(500);

/// After this, a socket that was not renewed is gone: its relay has died.
const SOCKET_LEASE: Duration = Duration::from_secs(2 * SOCKET_RENEWAL.as_secs());

/// The generic cell rate algorithm, as in [`crate::quota::Gcra`]: the answer is how many
/// milliseconds are left until an event is allowed. It takes the interval and the tolerance in
/// microseconds.
const GCRA: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local early = arrival - ARGV[2] - now
if early > 0 then return math.ceil(early / 1000) end
arrival = arrival + ARGV[1]
local left = math.ceil((arrival - now) / 1000)
redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX', left)
return 0";

/// Counts a socket in a sorted set of those that are open, each until when it is; or answers 0
/// when there are as many as there may be. It takes the socket, the limit and the lease in
/// milliseconds.
const SOCKET: &str = "\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1";

impl Redis {
    pub(super) async fn count_session(&self, address: AddressKey) -> Result<(), u64> {
        let Some(origin) = self.origin(address) else {
            return Ok(());
        };
        let Quota { interval_us, .. } = self.limits.sessions;
        let mut command = eval(GCRA, [self.keys.sessions_of(origin)]);
        command
            .arg(interval_us)
            .arg(self.limits.sessions.tolerance_us());
        match self.soon(&command).await {
            None | Some(0) => Ok(()),
            Some(retry) => Err(retry),
        }
    }

    pub(super) async fn count_socket(
        &self,
        address: AddressKey,
    ) -> Result<Option<SocketTicket>, TooMany> {
        let Some(origin) = self.origin(address) else {
            return Ok(None);
        };
        let ticket = SocketTicket {
            origin,
            number: self.questions.number(),
        };
        match self.hold(ticket, self.limits.sockets).await {
            Some(0) => Err(TooMany),
            // Without an answer it is counted by its renewals.
            _ => Ok(Some(ticket)),
        }
    }

    pub(super) async fn renew_socket(&self, ticket: SocketTicket) {
        // It is there already.
        let _ = self.hold(ticket, u32::MAX).await;
    }

    pub(super) async fn release_socket(&self, ticket: SocketTicket) {
        let mut command = redis::cmd("ZREM");
        command.arg(self.keys.sockets_of(ticket.origin));
        let _: Option<u64> = self.soon(command.arg(self.member(ticket))).await;
    }

    pub(super) async fn spend_proof(&self, address: AddressKey, challenge: &str) -> bool {
        let Some(origin) = self.origin(address) else {
            return true;
        };
        // Nobody else can spend it by that.
        let digest = Sha256::new()
            .chain_update(origin.0)
            .chain_update(challenge)
            .finalize();
        let half = digest.iter().take(16);
        let number = half.fold(0, |number, &byte| number << 8 | u128::from(byte));
        let mut command = redis::cmd("SET");
        command
            .arg(self.keys.proof(number))
            .arg("1")
            .arg("NX")
            .arg("PX")
            .arg(millis(CHALLENGE_TTL));
        // Redis says OK, or nothing when it was there.
        self.soon::<Option<String>>(&command)
            .await
            .is_none_or(|set| set.is_some())
    }

    async fn hold(&self, ticket: SocketTicket, limit: u32) -> Option<u64> {
        let mut command = eval(SOCKET, [self.keys.sockets_of(ticket.origin)]);
        command
            .arg(self.member(ticket))
            .arg(limit)
            .arg(millis(SOCKET_LEASE));
        self.soon(&command).await
    }

    fn member(&self, ticket: SocketTicket) -> String {
        format!("{}:{}", self.node, ticket.number)
    }

    /// The digest of an address that all relays agree on, if they can.
    fn origin(&self, address: AddressKey) -> Option<OriginDigest> {
        let state = self.state.borrow();
        state.key.as_ref().map(|key| key.digest(address))
    }

    /// An answer, if there is one soon.
    async fn soon<T: FromRedisValue>(&self, command: &Cmd) -> Option<T> {
        let mut connection = self.connection()?;
        timeout(PATIENCE, connection.run(command))
            .await
            .ok()?
            .inspect_err(|error| tracing::debug!(%error, "Redis has not counted"))
            .ok()
    }
}

impl Keys {
    fn sessions_of(&self, origin: OriginDigest) -> String {
        self.counted("sessions-of", origin.number())
    }

    fn sockets_of(&self, origin: OriginDigest) -> String {
        self.counted("sockets-of", origin.number())
    }

    fn proof(&self, number: u128) -> String {
        self.counted("proof", number)
    }
}
