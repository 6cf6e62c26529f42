//! Several relays with one Redis behind them are one, and each part of it can die.

#![cfg(target_os = "linux")]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod civil;
mod connections;
#[path = "../engines/engine.rs"]
mod engine;
mod firewall;
mod halves;
mod kinds;
mod outage;
mod proxy;
mod rolling;
mod store;
mod together;
mod town;

use neartalk_rig::redis::Redis;

use common::Relay;

/// Relays that share a Redis.
struct Relays {
    redis: Redis,
    all: Vec<Relay>,
}

impl Relays {
    /// So many of them, with these flags.
    fn start(count: usize, flags: &[&str]) -> Self {
        let redis = Redis::start(&[]).unwrap();
        let url = redis.url();
        let all = (0..count).map(|_| Relay::start_with(&url, flags)).collect();
        Self { redis, all }
    }
}

impl std::ops::Index<usize> for Relays {
    type Output = Relay;

    fn index(&self, at: usize) -> &Relay {
        &self.all[at]
    }
}
