//! Who is in range of whom, and how far away they are said to be.

use std::f64::consts::FRAC_1_SQRT_2;

use serde::{Deserialize, Serialize};

use crate::{
    geo::{EARTH_RADIUS_M, Place},
    grid::{Cell, Grid},
    radius::Radius,
};

/// Units of a [`Circle`]'s coordinates in one Earth radius; one is 6 mm.
const UNITS: f64 = (1_u32 << 30) as f64;
const UNITS_PER_METRE: f64 = UNITS / EARTH_RADIUS_M;

/// Rounding to those units must not put somebody on the boundary outside. Each of three coordinate
/// differences is off by one unit at most, so a distance by √3 of them; this covers it.
const TOLERANCE_UNITS: f64 = 2.0;
/// The same in metres.
const TOLERANCE_M: f64 = TOLERANCE_UNITS / UNITS_PER_METRE;

/// Squared limits for the blur of two cells together, (g_A + g_B)/√2, by the two grids.
const BLUR_SQ: [[f64; 3]; 3] = {
    let mut table = [[0.0; 3]; 3];
    let mut a = 0;
    while a < 3 {
        let mut b = 0;
        while b < 3 {
            let sides = Grid::ALL[a].side_m() + Grid::ALL[b].side_m();
            table[a][b] = Circle::limit_sq_of(sides as f64 * FRAC_1_SQRT_2);
            b += 1;
        }
        a += 1;
    }
    table
};

/// A circle as the range rule compares it: in 16 bytes, with exact whole numbers, and free of
/// trigonometry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Circle {
    /// Of the centre on the sphere, in units of 6 mm from the Earth's centre. Straight lines
    /// between these have no poles and no edge at ±180°.
    coordinates: [i32; 3],
    /// In metres.
    radius: u16,
    grid: Grid,
}

impl Circle {
    fn new(centre: Place, radius: Radius, grid: Grid) -> Self {
        let coordinates = centre.to_unit().0.map(|x| (x * UNITS).round() as i32);
        // A radius has at most four digits.
        Self {
            coordinates,
            radius: radius.metres() as u16,
            grid,
        }
    }

    /// Whether each centre lies in the other's circle:
    /// `d ≤ max(min(radius_A, radius_B), (g_A + g_B)/√2)`, the boundary inside.
    ///
    /// The second term is the blur of the two places together. It makes sure that two people on one
    /// spot always find each other, and is larger than the first only for a circle under 177 m.
    #[inline]
    pub fn in_range(&self, other: &Self) -> bool {
        self.distance_sq(other) <= self.limit_sq(other)
    }

    /// The band of distance to `other` when it is in range.
    #[inline]
    pub fn band_in_range(&self, other: &Self) -> Option<DistanceBand> {
        let distance_sq = self.distance_sq(other);
        (distance_sq <= self.limit_sq(other)).then(|| DistanceBand::from_distance_sq(distance_sq))
    }

    /// Squared straight distance between the centres, in the circles' own units; to be compared
    /// with [`Circle::limit_sq_of`]. Within 3 km it is as long as the arc to 0.03 mm.
    #[inline]
    pub fn distance_sq(&self, other: &Self) -> f64 {
        let [x, y, z] = self.coordinates;
        let [u, v, w] = other.coordinates;
        // The largest difference, 2³¹, wraps to −2³¹, whose square is the same.
        let square = |a: i32, b: i32| f64::from(a.wrapping_sub(b)).powi(2);
        square(x, u) + square(y, v) + square(z, w)
    }

    /// What [`Circle::distance_sq`] is at a distance of `metres`, at most.
    pub const fn limit_sq_of(metres: f64) -> f64 {
        let units = metres * UNITS_PER_METRE + TOLERANCE_UNITS;
        units * units
    }

    #[inline]
    fn limit_sq(&self, other: &Self) -> f64 {
        let blur = BLUR_SQ[self.grid as usize][other.grid as usize];
        Self::limit_sq_of(f64::from(self.radius.min(other.radius))).max(blur)
    }
}

/// A person's place and circle as a relay knows them: the centre of a cell, and a radius.
///
/// There is no way to make one from a place without snapping it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    circle: Circle,
    centre: Place,
    cell: Cell,
    radius: Radius,
}

impl Spot {
    /// The spot of somebody at `place` with a circle of `radius`; snaps whatever it is given.
    pub fn new(place: Place, radius: Radius) -> Self {
        Self::at(Cell::containing(place, Grid::for_radius(radius)), radius)
    }

    fn at(cell: Cell, radius: Radius) -> Self {
        let centre = cell.centre();
        let circle = Circle::new(centre, radius, cell.grid());
        Self {
            circle,
            centre,
            cell,
            radius,
        }
    }

    /// This spot as it would be with another radius, as far as its cell tells: a coarser grid is
    /// known from it, a finer one is not, and then the cell stays.
    pub fn with_radius(&self, radius: Radius) -> Self {
        Self::at(self.cell.coarsened(Grid::for_radius(radius)), radius)
    }

    /// The circle.
    #[inline]
    pub const fn circle(&self) -> &Circle {
        &self.circle
    }

    /// Centre of the cell.
    pub const fn centre(&self) -> Place {
        self.centre
    }

    /// The cell.
    pub const fn cell(&self) -> Cell {
        self.cell
    }

    /// The circle's radius.
    pub const fn radius(&self) -> Radius {
        self.radius
    }

    /// Side of the cell in metres.
    pub const fn grid_m(&self) -> u32 {
        self.cell.grid().side_m()
    }

    /// First four characters of the centre's geohash (about 20 × 39 km), all that anyone is told.
    pub fn geohash_prefix(&self) -> String {
        self.geohash(4)
    }

    /// First `characters` (1 to 12) of the centre's geohash; 5 are about 4.9 × 4.9 km.
    pub fn geohash(&self, characters: usize) -> String {
        let centre = geohash::Coord {
            x: self.centre.lon(),
            y: self.centre.lat(),
        };
        geohash::encode(centre, characters).expect("a cell's centre has a geohash")
    }

    /// Nobody further away than this, in metres, can be in range of this spot, whatever their
    /// radius.
    pub fn search_radius_m(&self) -> f64 {
        let blur = f64::from(self.grid_m() + Grid::Coarse.side_m()) * FRAC_1_SQRT_2;
        f64::from(self.radius.metres()).max(blur) + 2.0 * TOLERANCE_M
    }

    /// Distance between the two centres in metres.
    pub fn distance_m(&self, other: &Self) -> f64 {
        self.centre.distance_m(other.centre)
    }

    /// How far apart, in metres, two people in these two cells are at the very least; 0 when they
    /// may be on one spot.
    pub fn distance_beyond_blur_m(&self, other: &Self) -> f64 {
        let blur = f64::from(self.grid_m() + other.grid_m()) * FRAC_1_SQRT_2;
        (self.distance_m(other) - blur).max(0.0)
    }

    /// Whether each stands in the other's circle, see [`Circle::in_range`].
    #[inline]
    pub fn in_range(&self, other: &Self) -> bool {
        self.circle.in_range(&other.circle)
    }

    /// The band of distance to `other` when it is in range.
    #[inline]
    pub fn band_in_range(&self, other: &Self) -> Option<DistanceBand> {
        self.circle.band_in_range(&other.circle)
    }
}

/// How far away somebody is said to be, in metres: a band of 50 m.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
pub struct DistanceBand {
    /// At least this far.
    pub min: u32,
    /// Less than this far.
    pub max: u32,
}

impl DistanceBand {
    /// Width of a band in metres.
    pub const WIDTH_M: u32 = 50;

    /// The band that a distance in metres falls in.
    pub fn containing(metres: f64) -> Self {
        // Centres a whole number of bands apart must not flicker with the last bit.
        Self::from_index(((metres + TOLERANCE_M) / f64::from(Self::WIDTH_M)) as u32)
    }

    /// The band of a [`Circle::distance_sq`].
    #[inline]
    pub fn from_distance_sq(distance_sq: f64) -> Self {
        const BANDS_PER_UNIT: f64 = 1.0 / (UNITS_PER_METRE * DistanceBand::WIDTH_M as f64);
        let units = distance_sq.sqrt() + TOLERANCE_UNITS;
        Self::from_index((units * BANDS_PER_UNIT) as u32)
    }

    /// The band with this number, counted from 0 at the person.
    pub const fn from_index(index: u32) -> Self {
        Self {
            min: index * Self::WIDTH_M,
            max: (index + 1) * Self::WIDTH_M,
        }
    }

    /// Its number, counted from 0 at the person.
    pub const fn index(self) -> u32 {
        self.min / Self::WIDTH_M
    }
}

impl std::fmt::Display for DistanceBand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}–{} m", self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spot(lat: f64, lon: f64, radius: u32) -> Spot {
        Spot::new(Place::new(lat, lon).unwrap(), Radius::new(radius).unwrap())
    }

    /// How far inside the boundary `b` is for `a`, in metres, by the rule as the contract words it.
    fn margin(a: &Spot, b: &Spot) -> f64 {
        let smaller = f64::from(a.radius().min(b.radius()).metres());
        let blur = f64::from(a.grid_m() + b.grid_m()) / 2f64.sqrt();
        smaller.max(blur) - a.distance_m(b)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8_192))]

        #[test]
        fn rule_is_symmetric_and_as_worded(
            lat in prop_oneof![-90.0..=90.0, 89.9..=90.0, Just(-90.0)],
            lon in prop_oneof![-180.0..=180.0, 179.99..=180.0],
            bearing in 0.0..std::f64::consts::TAU,
            metres in 0.0..2_500.0,
            ra in 100u32..=2_000,
            rb in 100u32..=2_000,
        ) {
            let place = Place::new(lat, lon).unwrap();
            let a = Spot::new(place, Radius::new(ra).unwrap());
            let b = Spot::new(place.destination(bearing, metres), Radius::new(rb).unwrap());
            prop_assert_eq!(a.in_range(&b), b.in_range(&a));
            let margin = margin(&a, &b);
            if margin >= 0.0 {
                prop_assert!(a.in_range(&b));
            } else if margin < -0.03 {
                prop_assert!(!a.in_range(&b));
            }
            prop_assert_eq!(a.in_range(&b), a.band_in_range(&b).is_some());
            prop_assert_eq!(a.band_in_range(&b), b.band_in_range(&a));
            if let Some(band) = a.band_in_range(&b) {
                let d = a.distance_m(&b);
                prop_assert!(f64::from(band.min) - 0.03 <= d && d <= f64::from(band.max) + 0.03);
                prop_assert!(d <= a.search_radius_m() && d <= b.search_radius_m());
            }
        }

        #[test]
        fn two_people_on_one_spot_always_meet(
            lat in prop_oneof![-90.0..=90.0, 89.99..=90.0],
            lon in -180.0..=180.0,
            ra in 100u32..=2_000,
            rb in 100u32..=2_000,
        ) {
            prop_assert!(spot(lat, lon, ra).in_range(&spot(lat, lon, rb)));
        }

        #[test]
        fn another_radius_is_exact_when_coarser(lat in -90.0..=90.0, lon in -180.0..=180.0, ra in 100u32..=2_000, rb in 100u32..=2_000) {
            let (small, large) = (ra.min(rb), ra.max(rb));
            let widened = spot(lat, lon, small).with_radius(Radius::new(large).unwrap());
            prop_assert!(widened == spot(lat, lon, large));
        }
    }

    #[test]
    fn boundary_is_inside() {
        let place = Place::new(48.2, 16.37).unwrap();
        let a = Spot::new(place, Radius::MAX);
        for metres in [1_100.0, 1_300.0, 1_500.0, 1_700.0] {
            let b = Spot::new(place.destination(1.0, metres), Radius::MAX);
            let d = a.distance_m(&b);
            assert!(a.circle().distance_sq(b.circle()) <= Circle::limit_sq_of(d));
            assert!(a.circle().distance_sq(b.circle()) > Circle::limit_sq_of(d - 0.03));
            // With the whole metres that a radius has, on either side of that distance.
            let with = |metres: f64| a.with_radius(Radius::new(metres as u32).unwrap());
            assert!(with(d.ceil()).in_range(&b) && b.in_range(&with(d.ceil())));
            assert!(!with(d.floor()).in_range(&b) && !b.in_range(&with(d.floor())));
        }
    }

    #[test]
    fn bands() {
        let band = |m| DistanceBand::containing(m).to_string();
        assert_eq!(band(0.0), "0–50 m");
        assert_eq!(band(49.9), "0–50 m");
        assert_eq!(band(50.0), "50–100 m");
        assert_eq!(band(1_999.0), "1950–2000 m");
    }

    #[test]
    fn geohash_prefix_exists_everywhere() {
        assert_eq!(spot(40.7128, -74.0060, 500).geohash_prefix(), "dr5r");
        for (lat, lon) in [
            (90.0, 180.0),
            (-90.0, -180.0),
            (90.0, 0.0),
            (0.0, 180.0),
            (89.999_999, -180.0),
        ] {
            assert_eq!(spot(lat, lon, 100).geohash_prefix().len(), 4);
        }
    }
}
