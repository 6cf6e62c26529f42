//! Regions: the coarse cells by which relays share what they know. A relay hears of a region when
//! somebody of its own stands close enough to it to meet, or count, anybody there.

use std::f64::consts::PI;

use neartalk_shared::{
    Spot,
    geo::{EARTH_RADIUS_M, Place},
    limits::RADIUS_MAX_M,
};
use serde::{Deserialize, Serialize};

/// How far from somebody's centre, in metres, the people are whom a relay must know for them: the
/// widest circle that can be chosen, as `reach` counts that one too, and by how much a cell's
/// centre moves when a wider circle coarsens it.
pub const ATTENTION_M: f64 = RADIUS_MAX_M as f64 + 150.0;

/// Rows from pole to pole, 4.9 km each.
const ROWS: u32 = 1 << 12;

/// Columns around the globe, 4.9 km each at the equator.
const COLUMNS: u32 = 1 << 13;

/// Where the cosine of the latitude is less than this (beyond 85°) a row is one region all around:
/// its columns would be so narrow that a circle touches very many, and nobody is there.
const POLAR_COS: f64 = 0.087;

/// Length of a region's name, a geohash.
const NAME_CHARS: usize = 5;

/// A geohash cell of five characters, about 4.9 km wide and high. Close to a pole it is the whole
/// row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Region {
    row: u16,
    column: u16,
}

impl Region {
    /// The region that `place` lies in.
    pub fn containing(place: Place) -> Self {
        Self::new(row_of(place.lat()), column_of(place.lon()))
    }

    /// Every region with people whom a relay must know for somebody at `spot`.
    pub fn around(spot: &Spot) -> Vec<Self> {
        let centre = spot.centre();
        // A little more, so that rounding here can lose nobody.
        let angle = (ATTENTION_M + 1.0) / EARTH_RADIUS_M;
        let degrees = angle.to_degrees();
        let first = row_of((centre.lat() - degrees).max(-90.0));
        let last = row_of((centre.lat() + degrees).min(90.0));
        // The widest that a disc gets on the sphere, in degrees of longitude: asin(sin r / cos φ).
        let least_cos = (centre.lat().to_radians().abs() + angle)
            .min(PI / 2.0)
            .cos();
        let half_width = (angle.sin() / least_cos)
            .min(1.0)
            .asin()
            .to_degrees()
            .min(180.0);
        let mut regions = Vec::new();
        for row in first..=last {
            if is_polar(row) {
                regions.push(Self::new(row, 0));
                continue;
            }
            // Counted from a whole turn further west, so that nothing is negative.
            let column = |lon: f64| ((lon + 540.0) / 360.0 * f64::from(COLUMNS)) as u32;
            let (west, east) = (
                column(centre.lon() - half_width),
                column(centre.lon() + half_width),
            );
            let width = (east - west + 1).min(COLUMNS);
            regions.extend((0..width).map(|i| Self::new(row, (west + i) % COLUMNS)));
        }
        regions
    }

    /// Its geohash.
    pub fn name(self) -> String {
        let centre = geohash::Coord {
            x: (f64::from(self.column) + 0.5) / f64::from(COLUMNS) * 360.0 - 180.0,
            y: (f64::from(self.row) + 0.5) / f64::from(ROWS) * 180.0 - 90.0,
        };
        // The centre of a cell is between the poles and within ±180°.
        geohash::encode(centre, NAME_CHARS).unwrap_or_default()
    }

    /// The region with this name, unless it is none.
    pub fn parse(name: &str) -> Option<Self> {
        if name.len() != NAME_CHARS {
            return None;
        }
        let (centre, ..) = geohash::decode(name).ok()?;
        let region = Self::containing(Place::new(centre.y, centre.x).ok()?);
        (region.name() == name).then_some(region)
    }

    /// A number below `count` that depends on the region, and differs between neighbours.
    pub fn bucket(self, count: u16) -> u16 {
        ((u32::from(self.row) * 13 + u32::from(self.column)) % u32::from(count)) as u16
    }

    fn new(row: u32, column: u32) -> Self {
        let column = if is_polar(row) { 0 } else { column };
        // Both are less than 2¹³.
        Self {
            row: row as u16,
            column: column as u16,
        }
    }
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Region(redacted)")
    }
}

fn row_of(lat: f64) -> u32 {
    (((lat + 90.0) / 180.0 * f64::from(ROWS)) as u32).min(ROWS - 1)
}

fn column_of(lon: f64) -> u32 {
    ((lon + 180.0) / 360.0 * f64::from(COLUMNS)) as u32 % COLUMNS
}

fn is_polar(row: u32) -> bool {
    let edge = |row: u32| (f64::from(row) / f64::from(ROWS) - 0.5).abs();
    (edge(row).max(edge(row + 1)) * PI).cos() < POLAR_COS
}

#[cfg(test)]
mod tests {
    use neartalk_shared::Radius;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    fn spot(place: Place) -> Spot {
        Spot::new(place, Radius::MAX)
    }

    #[test]
    fn names_are_geohashes() {
        let place = Place::new(52.5219, 13.4132).unwrap();
        let region = Region::containing(place);
        assert_eq!(region.name(), "u33dc");
        assert_eq!(Region::parse("u33dc"), Some(region));
        for bad in ["", "u33d", "u33dca", "u33da", "U33DC", "ü33d"] {
            assert_eq!(Region::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn everyone_whom_a_circle_may_meet_is_in_a_region_around() {
        let mut rng = StdRng::seed_from_u64(11);
        for i in 0..100_000 {
            let lat = match i % 4 {
                0 => rng.random_range(-90.0..=90.0),
                1 => rng.random_range(84.5..=85.5),
                2 => -90.0 + rng.random_range(0.0..0.1),
                _ => rng.random_range(-60.0..=60.0),
            };
            let lon = match i % 3 {
                0 => rng.random_range(179.9..=180.0),
                1 => rng.random_range(-180.0..=-179.9),
                _ => rng.random_range(-180.0..=180.0),
            };
            let here = spot(Place::new(lat, lon).unwrap());
            let bearing = rng.random_range(0.0..2.0 * PI);
            let metres = ATTENTION_M * rng.random_range(0.9..1.0);
            let there = here.centre().destination(bearing, metres);
            assert!(
                Region::around(&here).contains(&Region::containing(there)),
                "{lat} {lon} {bearing} {metres}"
            );
        }
    }

    #[test]
    fn a_circle_touches_few_regions() {
        let mut rng = StdRng::seed_from_u64(12);
        for _ in 0..10_000 {
            let lat: f64 = rng.random_range(-90.0..=90.0);
            let lon = rng.random_range(-180.0..=180.0);
            let mut regions = Region::around(&spot(Place::new(lat, lon).unwrap()));
            let most = if lat.abs() < 60.0 { 6 } else { 26 };
            assert!(regions.len() <= most, "{} at {lat}", regions.len());
            let count = regions.len();
            regions.sort_unstable();
            regions.dedup();
            assert_eq!(regions.len(), count);
        }
    }
}
