//! Where somebody is, to the metre, is not to be had from a relay, whoever asks and however often.
//!
//! - [`finding`]: an attacker with as many sessions as it likes, wherever and with whatever circles
//!   it likes, finds people to a few metres where they are not protected, and no better than a
//!   guess within a cell through a relay.
//! - [`likeness`]: two people in one cell look the same, byte for byte, in all that anyone is told.
//!
//! Both know everything about how places are snapped; that is public. People send their places as
//! they are, as a careless client would. All that is random is seeded.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that can't go on fails"
)]

#[path = "../common/mod.rs"]
mod common;

mod attacker;
mod finding;
mod likeness;
mod threats;

use std::ops::RangeInclusive;

use common::Relay;
use neartalk_shared::{Grid, Place};
use rand::{Rng, RngExt};

/// The circles for which a grid is used, in metres.
fn radii(grid: Grid) -> RangeInclusive<u32> {
    match grid {
        Grid::Fine => 100..=249,
        Grid::Medium => 250..=999,
        Grid::Coarse => 1_000..=2_000,
    }
}

/// Side of a grid's cells in metres.
fn side(grid: Grid) -> f64 {
    f64::from(grid.side_m())
}

/// A place for each of `n` people, between 60° south and 60° north, and so far apart that nobody at
/// one is in range of anybody at another.
fn sites(n: usize, rng: &mut impl Rng) -> Vec<Place> {
    let width = 360.0 / n as f64;
    (0..n)
        .map(|i| {
            let lon = -180.0 + width * (i as f64 + rng.random_range(0.25..0.75));
            common::place(rng.random_range(-60.0..60.0), lon)
        })
        .collect()
}

/// Somewhere in a square of `metres` around `place`.
fn around(place: Place, metres: f64, rng: &mut impl Rng) -> Place {
    let half = metres / 2.0;
    let north = common::north(place, rng.random_range(-half..half));
    common::east(north, rng.random_range(-half..half))
}

/// A relay that lets an attacker do as much as it likes.
fn relay() -> Relay {
    Relay::start(&[
        "--session-burst",
        "1000000",
        "--request-burst",
        "1000000",
        "--sockets-per-address",
        "100000",
        "--max-sessions",
        "1000000",
        "--log",
        "warn",
    ])
}
