//! The proximity index: who can be in range of a spot, found without looking at everyone.
//!
//! The sphere is cut into bands of latitude about 500 m high, and each band into its own number of
//! columns about 500 m wide; a hash map leads from a cell to its people. Column numbers wrap
//! around, so ±180° is no edge, and a disc that touches a pole takes whole bands there. Candidates
//! are compared by [`Circle::in_range`] itself, so the result equals brute force to the last person.

use std::{f64::consts::PI, sync::LazyLock};

use neartalk_shared::{
    DistanceBand, Spot,
    geo::{EARTH_RADIUS_M, Place},
    range::Circle,
};
use rustc_hash::FxHashMap;

/// Side of an index cell in metres, about.
const SIDE_M: f64 = 500.0;

/// Entries that are compared before those in range are told.
const CHUNK: usize = 64;

/// Cells whose entries are looked up before any is compared; a disc of 2 km touches about 80.
const TOUCHED: usize = 96;

/// Where the cosine of the latitude is less than this, 13 km from a pole, a disc takes whole bands.
const POLAR_COS: f64 = 0.002;

/// Bands from pole to pole, each at least [`SIDE_M`] high.
const BANDS: u32 = (PI * EARTH_RADIUS_M / SIDE_M) as u32;

/// Columns of each band, each column at least [`SIDE_M`] wide where the band is widest.
static COLUMNS: LazyLock<Vec<u32>> = LazyLock::new(|| {
    let edge = |band: u32| (f64::from(band) / f64::from(BANDS) - 0.5).abs();
    let columns = |band| {
        let widest = edge(band).min(edge(band + 1));
        (2.0 * PI * EARTH_RADIUS_M * (widest * PI).cos() / SIDE_M).max(1.0) as u32
    };
    (0..BANDS).map(columns).collect()
});

#[derive(Clone, Copy, Debug)]
struct Entry {
    circle: Circle,
    item: u32,
}

/// Where an item is: its cell, and its position there.
#[derive(Clone, Copy, Debug)]
struct Position {
    cell: u64,
    at: u32,
}

/// No cell has this number.
const NOWHERE: Position = Position {
    cell: u64::MAX,
    at: 0,
};

/// An index of items, numbered densely from 0, by [`Spot`].
#[derive(Debug, Default)]
pub struct GridIndex {
    cells: FxHashMap<u64, Vec<Entry>>,
    /// By item.
    positions: Vec<Position>,
}

impl GridIndex {
    /// Puts `item` at `spot`, wherever it was before.
    pub fn insert(&mut self, item: u32, spot: &Spot) {
        let cell = cell_of(spot.centre());
        let entry = Entry {
            circle: *spot.circle(),
            item,
        };
        let slot = item as usize;
        if let Some(position) = self.positions.get(slot)
            && position.cell == cell
            && let Some(found) = self
                .cells
                .get_mut(&cell)
                .and_then(|c| c.get_mut(position.at as usize))
        {
            *found = entry;
            return;
        }
        self.remove(item);
        if self.positions.len() <= slot {
            self.positions.resize(slot + 1, NOWHERE);
        }
        let entries = self.cells.entry(cell).or_default();
        self.positions[slot] = Position {
            cell,
            at: entries.len() as u32,
        };
        entries.push(entry);
    }

    /// Takes `item` out, if it is in.
    pub fn remove(&mut self, item: u32) {
        let Some(position) = self.positions.get_mut(item as usize) else {
            return;
        };
        let Position { cell, at } = std::mem::replace(position, NOWHERE);
        let Some(entries) = self.cells.get_mut(&cell) else {
            return;
        };
        entries.swap_remove(at as usize);
        if let Some(moved) = entries.get(at as usize) {
            self.positions[moved.item as usize].at = at;
        }
        if entries.is_empty() {
            self.cells.remove(&cell);
        }
    }

    /// Whether `item` is in.
    pub fn contains(&self, item: u32) -> bool {
        self.positions
            .get(item as usize)
            .is_some_and(|position| position.cell != NOWHERE.cell)
    }

    /// The circle that `item` is at, if it is in.
    pub fn circle(&self, item: u32) -> Option<&Circle> {
        let position = self.positions.get(item as usize)?;
        let entries = self.cells.get(&position.cell)?;
        entries.get(position.at as usize).map(|entry| &entry.circle)
    }

    /// Calls `found` with every item in range of `spot` and its band of distance, in no particular
    /// order; an item that is at `spot` itself is among them.
    #[inline]
    pub fn in_range(&self, spot: &Spot, mut found: impl FnMut(u32, DistanceBand)) {
        let circle = *spot.circle();
        let mut hits = [(0_u32, 0.0_f64); CHUNK];
        self.candidates(spot.centre(), spot.search_radius_m(), |entries| {
            for chunk in entries.chunks(CHUNK) {
                // Who is in range is as good as random, so a branch for each would be guessed
                // wrong half the time; keeping all and counting only the right ones needs none.
                let mut count = 0;
                for entry in chunk {
                    hits[count % CHUNK] = (entry.item, circle.distance_sq(&entry.circle));
                    count += usize::from(circle.in_range(&entry.circle));
                }
                for &(item, distance_sq) in &hits[..count] {
                    found(item, DistanceBand::from_distance_sq(distance_sq));
                }
            }
        });
    }

    /// Calls `found` with every item within `metres` of the centre of `spot`, whatever the radii.
    pub fn within(&self, spot: &Spot, metres: f64, mut found: impl FnMut(u32, &Circle)) {
        let limit = Circle::limit_sq_of(metres);
        let circle = *spot.circle();
        self.candidates(spot.centre(), metres, |entries| {
            for entry in entries {
                if circle.distance_sq(&entry.circle) <= limit {
                    found(entry.item, &entry.circle);
                }
            }
        });
    }

    /// How many people each occupied cell holds.
    pub fn occupancy(&self) -> impl Iterator<Item = usize> {
        self.cells.values().map(Vec::len)
    }

    /// Calls `visit` with what is in each of the cells that a disc touches.
    #[inline]
    fn candidates(&self, centre: Place, metres: f64, mut visit: impl FnMut(&[Entry])) {
        // A little more than asked for, so that rounding here can lose nobody.
        let angle = (metres + 0.1) / EARTH_RADIUS_M;
        let (lat, lon) = (centre.lat().to_radians(), centre.lon());
        // A cast to `u32` rounds down what is positive, and takes what is not to 0.
        let band_of = |lat: f64| ((lat / PI + 0.5) * f64::from(BANDS)) as u32;
        let first = band_of(lat - angle);
        let last = band_of(lat + angle).min(BANDS - 1);
        // Half the disc's width within a band, in degrees of longitude, from the haversine formula:
        // sin²(Δλ/2) = (sin²(r/2) − sin²(Δφ/2)) / (cos φ · cos φ₀), made no smaller by taking the
        // least cosine in the disc and, for arcsin x, x + x³. Close to a pole it is all the way round.
        let least_cos = (lat.abs() + angle).cos();
        let half_width = |away: f64| {
            if least_cos < POLAR_COS {
                return 360.0;
            }
            let x = (angle * angle - away * away).max(0.0).sqrt() / (2.0 * least_cos);
            (2.0 * x * (1.0 + x * x)).to_degrees()
        };
        // All look-ups before any comparison: look-ups wait for memory side by side, while the
        // comparisons in between would make each wait for the one before.
        let mut touched: [&[Entry]; TOUCHED] = [&[]; TOUCHED];
        let mut count = 0;
        for band in first..=last {
            let columns = COLUMNS[band as usize];
            // Counted from a whole turn further west, so that nothing is negative.
            let column_of = |lon: f64| ((lon + 540.0) * (f64::from(columns) / 360.0)) as u32;
            // The edge nearest the centre is where the disc is widest within this band.
            let edge = |band: u32| (f64::from(band) / f64::from(BANDS) - 0.5) * PI;
            let away = (edge(band) - lat).max(lat - edge(band + 1)).max(0.0);
            let half_width = half_width(away);
            let (west, east) = (column_of(lon - half_width), column_of(lon + half_width));
            let width = (east - west + 1).min(columns);
            let mut column = west % columns;
            for _ in 0..width {
                if let Some(entries) = self.cells.get(&key(band, column)) {
                    if count == TOUCHED {
                        touched.iter().for_each(|entries| visit(entries));
                        count = 0;
                    }
                    touched[count] = entries;
                    count += 1;
                }
                column = if column + 1 == columns { 0 } else { column + 1 };
            }
        }
        touched[..count].iter().for_each(|entries| visit(entries));
    }
}

fn key(band: u32, column: u32) -> u64 {
    u64::from(band) << 32 | u64::from(column)
}

fn cell_of(place: Place) -> u64 {
    let band = (((place.lat() + 90.0) / 180.0 * f64::from(BANDS)) as u32).min(BANDS - 1);
    let columns = COLUMNS[band as usize];
    let column = ((place.lon() + 180.0) / 360.0 * f64::from(columns)) as u32;
    key(band, column.min(columns - 1))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, f64::consts::TAU};

    use neartalk_shared::Radius;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    /// People crowded around `lat`, `lon`, within `spread_m`.
    fn crowd(rng: &mut StdRng, lat: f64, lon: f64, spread_m: f64, n: usize) -> Vec<Spot> {
        let middle = Place::new(lat, lon).unwrap();
        (0..n)
            .map(|_| {
                let place =
                    middle.destination(rng.random_range(0.0..TAU), rng.random_range(0.0..spread_m));
                Spot::new(place, Radius::new(rng.random_range(100..=2_000)).unwrap())
            })
            .collect()
    }

    fn query(index: &GridIndex, spot: &Spot) -> BTreeMap<u32, DistanceBand> {
        let mut all = BTreeMap::new();
        index.in_range(spot, |item, band| assert!(all.insert(item, band).is_none()));
        all
    }

    fn brute_force(spots: &BTreeMap<u32, Spot>, spot: &Spot) -> BTreeMap<u32, DistanceBand> {
        spots
            .iter()
            .filter_map(|(&item, other)| Some((item, spot.band_in_range(other)?)))
            .collect()
    }

    #[test]
    fn equals_brute_force_everywhere_and_while_people_move() {
        let mut rng = StdRng::seed_from_u64(42);
        let regions = [
            (0.0, 0.0),
            (52.5, 13.4),
            (-33.9, 151.2),
            (0.0, 180.0),
            (64.0, -180.0),
            (-17.5, 179.999),
            (89.0, 5.0),
            (89.5, 179.99),
            (-89.88, 10.0),
            (89.9, 30.0),
            (89.99, -170.0),
            (90.0, 0.0),
            (-90.0, 77.0),
            (-89.985, 179.99),
        ];
        for (lat, lon) in regions {
            let spread = 4_000.0;
            let mut index = GridIndex::default();
            let mut spots = BTreeMap::new();
            for (item, spot) in (0..).zip(crowd(&mut rng, lat, lon, spread, 400)) {
                index.insert(item, &spot);
                spots.insert(item, spot);
            }
            let mut found = 0;
            for spot in crowd(&mut rng, lat, lon, spread, 200) {
                // Somebody moves, somebody leaves, somebody comes back.
                let mover = rng.random_range(0..400);
                index.insert(mover, &spot);
                spots.insert(mover, spot);
                let leaver = rng.random_range(0..400);
                index.remove(leaver);
                spots.remove(&leaver);
                let all = query(&index, &spot);
                assert_eq!(all, brute_force(&spots, &spot), "around {lat}, {lon}");
                found += all.len();
                let mut near = Vec::new();
                index.within(&spot, 1_234.0, |item, _| near.push(item));
                near.sort_unstable();
                let expected = spots.iter().filter(|(_, s)| {
                    s.circle().distance_sq(spot.circle()) <= Circle::limit_sq_of(1_234.0)
                });
                assert_eq!(near, expected.map(|(&item, _)| item).collect::<Vec<_>>());
            }
            assert!(
                found > 2_000,
                "this crowd is too thin to prove anything: {found}"
            );
            for item in 0..400 {
                index.remove(item);
            }
            assert_eq!(index.cells.len(), 0, "an empty cell must not linger");
        }
    }

    #[test]
    fn removing_what_is_not_in_changes_nothing() {
        let mut index = GridIndex::default();
        index.remove(7);
        let spot = Spot::new(Place::new(1.0, 2.0).unwrap(), Radius::MAX);
        index.insert(3, &spot);
        index.remove(7);
        index.remove(2);
        index.remove(3);
        index.remove(3);
        assert_eq!(query(&index, &spot), BTreeMap::new());
    }
}
