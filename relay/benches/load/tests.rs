//! The tests of the load generator, because a bench without a harness runs none of its own.

#![cfg(target_os = "linux")]
#![allow(dead_code, reason = "the bench uses what the tests do not")]

mod city;
mod frames;
mod goals;
mod http;
mod machine;
mod relay;
mod report;
mod setup;
mod swarm;

use setup::Setup;

/// A small city on a relay as it was built for tests: everything works, and everybody hears
/// exactly those in range.
#[test]
fn a_small_city_lives() {
    let setup = Setup {
        quick: true,
        files: machine::raise_file_limit().unwrap(),
        cores: machine::Cores::pick(false).unwrap(),
        relay: env!("CARGO_BIN_EXE_neartalk-relay").into(),
        relay_args: Vec::new(),
    };
    city::run(&setup, &city::Options::quick()).unwrap();
}
