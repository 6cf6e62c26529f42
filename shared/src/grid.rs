//! The privacy grid: every place is snapped to the centre of a public cell before it leaves the
//! device, and everything that anyone can observe is computed from that centre (spatial cloaking;
//! M. Gruteser and D. Grunwald, MobiSys 2003).
//!
//! The sphere is cut into bands of latitude, and each band into its own number of columns, so that
//! cells are close to squares everywhere and ±180° is no edge. The coarse grid's columns are counted
//! per coarse band; the finer two split each cell exactly in four, so a finer cell always lies
//! within one coarser cell.

use std::f64::consts::PI;

use crate::{
    geo::{EARTH_RADIUS_M, Place},
    radius::Radius,
};

/// One of the three nested grids. A wider circle asks for a coarser one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grid {
    /// Cells of 50 m, for a radius below 250 m.
    Fine,
    /// Cells of 100 m, for a radius below 1,000 m.
    Medium,
    /// Cells of 200 m, for the rest.
    Coarse,
}

/// Bands of the coarse grid from pole to pole: as many as make a band at most 200 m high.
const COARSE_BANDS: u32 = {
    let bands = PI * EARTH_RADIUS_M / 200.0;
    bands as u32 + 1
};

impl Grid {
    /// All three, finest first.
    pub const ALL: [Self; 3] = [Self::Fine, Self::Medium, Self::Coarse];

    /// The grid that a place is snapped to when its circle has this radius.
    pub const fn for_radius(radius: Radius) -> Self {
        match radius.metres() {
            ..250 => Self::Fine,
            250..1_000 => Self::Medium,
            _ => Self::Coarse,
        }
    }

    /// Side of a cell in metres; no cell is wider or higher.
    pub const fn side_m(self) -> u32 {
        match self {
            Self::Fine => 50,
            Self::Medium => 100,
            Self::Coarse => 200,
        }
    }

    /// How often a coarse cell's side is halved to get this grid's.
    const fn halvings(self) -> u32 {
        match self {
            Self::Fine => 2,
            Self::Medium => 1,
            Self::Coarse => 0,
        }
    }

    const fn bands(self) -> u32 {
        COARSE_BANDS << self.halvings()
    }

    /// Columns of the band with this number: as many as make a cell at most `side_m` wide at the
    /// coarse band's edge nearest the equator, where it is widest.
    fn columns(self, band: u32) -> u32 {
        let coarse = band >> self.halvings();
        let edge = |band: u32| (f64::from(band) / f64::from(COARSE_BANDS) - 0.5).abs();
        let (below, above) = (edge(coarse), edge(coarse + 1));
        // A band that straddles the equator is widest at the equator itself.
        let straddles = 2 * coarse < COARSE_BANDS && COARSE_BANDS < 2 * (coarse + 1);
        let widest = if straddles { 0.0 } else { below.min(above) };
        let circumference = 2.0 * PI * EARTH_RADIUS_M * (widest * PI).cos();
        let columns = (circumference / f64::from(Self::Coarse.side_m()))
            .ceil()
            .max(1.0) as u32;
        columns << self.halvings()
    }
}

/// A cell of one of the three grids.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cell {
    grid: Grid,
    band: u32,
    column: u32,
}

impl Cell {
    /// The cell of `grid` that `place` lies in.
    pub fn containing(place: Place, grid: Grid) -> Self {
        let position = |degrees: f64, span: f64, count: u32| {
            ((degrees / span * f64::from(count)) as u32).min(count - 1)
        };
        let bands = Grid::Fine.bands();
        let band = position(place.lat() + 90.0, 180.0, bands);
        let columns = Grid::Fine.columns(band);
        // 180° east is 180° west.
        let lon = if place.lon() >= 180.0 {
            -180.0
        } else {
            place.lon()
        };
        let column = position(lon + 180.0, 360.0, columns);
        Self {
            grid: Grid::Fine,
            band,
            column,
        }
        .coarsened(grid)
    }

    /// Which grid this is a cell of.
    pub const fn grid(self) -> Grid {
        self.grid
    }

    /// The cell of a coarser grid that this one lies in; of its own or a finer one, itself.
    pub fn coarsened(self, grid: Grid) -> Self {
        if grid <= self.grid {
            return self;
        }
        let halvings = self.grid.halvings() - grid.halvings();
        Self {
            grid,
            band: self.band >> halvings,
            column: self.column >> halvings,
        }
    }

    /// Its centre: the only place that ever leaves a device.
    pub fn centre(self) -> Place {
        let bands = f64::from(self.grid.bands());
        let columns = f64::from(self.grid.columns(self.band));
        let lat = (f64::from(self.band) + 0.5) / bands * 180.0 - 90.0;
        let lon = (f64::from(self.column) + 0.5) / columns * 360.0 - 180.0;
        Place::new(lat, lon).expect("a cell's centre lies between the poles and within ±180°")
    }

    /// How far, in metres, `place` is from the nearest point of this cell; 0 inside.
    ///
    /// Measured along the meridian and the parallel, which is exact enough for the tens of metres
    /// that border hysteresis deals in.
    pub fn distance_outside_m(self, place: Place) -> f64 {
        let centre = self.centre();
        let metres_per_degree = PI * EARTH_RADIUS_M / 180.0;
        let half_height = 90.0 / f64::from(self.grid.bands());
        let half_width = 180.0 / f64::from(self.grid.columns(self.band));
        let mut east = (place.lon() - centre.lon()).abs();
        if east > 180.0 {
            east = 360.0 - east;
        }
        let north = (place.lat() - centre.lat()).abs();
        let parallel = metres_per_degree * place.lat().to_radians().cos();
        let dx = (east - half_width).max(0.0) * parallel;
        let dy = (north - half_height).max(0.0) * metres_per_degree;
        dx.hypot(dy)
    }
}

impl std::fmt::Debug for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cell({:?}, redacted)", self.grid)
    }
}

/// Snaps `place` to the grid that a circle of `radius` asks for: the centre of its cell.
pub fn snap(place: Place, radius: Radius) -> Place {
    Cell::containing(place, Grid::for_radius(radius)).centre()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Place> {
        (
            prop_oneof![
                4 => -90.0..=90.0,
                1 => 89.99..=90.0,
                1 => -90.0..=-89.99,
                1 => -0.01..=0.01,
                1 => Just(90.0),
                1 => Just(-90.0),
                1 => Just(0.0)
            ],
            prop_oneof![
                4 => -180.0..=180.0,
                1 => 179.99..=180.0,
                1 => -180.0..=-179.99,
                1 => Just(180.0),
                1 => Just(-180.0)
            ],
        )
            .prop_map(|(lat, lon)| Place::new(lat, lon).unwrap())
    }

    fn grid() -> impl Strategy<Value = Grid> {
        prop_oneof![Just(Grid::Fine), Just(Grid::Medium), Just(Grid::Coarse)]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8_192))]

        #[test]
        fn snapping_is_idempotent(p in place(), g in grid()) {
            let cell = Cell::containing(p, g);
            prop_assert!(Cell::containing(cell.centre(), g) == cell);
            prop_assert!(Cell::containing(cell.centre(), g).centre() == cell.centre());
        }

        #[test]
        fn cells_are_nested(p in place(), one in grid(), other in grid()) {
            let (fine, coarse) = (one.min(other), one.max(other));
            let small = Cell::containing(p, fine);
            let large = Cell::containing(p, coarse);
            prop_assert!(small.coarsened(coarse) == large);
            // Also through the centre alone, which is all that a relay gets to see.
            prop_assert!(Cell::containing(small.centre(), coarse) == large);
        }

        #[test]
        fn each_cell_splits_exactly_in_four(p in place()) {
            for (fine, coarse) in [(Grid::Fine, Grid::Medium), (Grid::Medium, Grid::Coarse)] {
                let large = Cell::containing(p, coarse);
                for band in [0, 1] {
                    for column in [0, 1] {
                        let small = Cell { grid: fine, band: 2 * large.band + band, column: 2 * large.column + column };
                        prop_assert!(Cell::containing(small.centre(), coarse) == large);
                    }
                }
                prop_assert_eq!(fine.bands(), 2 * coarse.bands());
                prop_assert_eq!(fine.columns(2 * large.band), 2 * coarse.columns(large.band));
                prop_assert_eq!(fine.columns(2 * large.band + 1), 2 * coarse.columns(large.band));
            }
        }

        #[test]
        fn nobody_is_further_from_a_centre_than_half_a_diagonal(p in place(), g in grid()) {
            let cell = Cell::containing(p, g);
            let reach = f64::from(g.side_m()) / 2f64.sqrt();
            prop_assert!(p.distance_m(cell.centre()) <= reach + 0.01);
            prop_assert_eq!(cell.distance_outside_m(p).round(), 0.0);
        }

        #[test]
        fn cells_are_squares_away_from_the_poles(lat in -80.0..80.0, lon in -180.0..180.0, g in grid()) {
            let cell = Cell::containing(Place::new(lat, lon).unwrap(), g);
            let centre = cell.centre();
            let width = 2.0 * PI * EARTH_RADIUS_M * centre.lat().to_radians().cos() / f64::from(g.columns(cell.band));
            prop_assert!((width / f64::from(g.side_m()) - 1.0).abs() < 0.002, "{width}");
        }
    }

    #[test]
    fn radius_chooses_the_grid() {
        for (radius, side) in [
            (100, 50),
            (249, 50),
            (250, 100),
            (999, 100),
            (1_000, 200),
            (2_000, 200),
        ] {
            assert_eq!(
                Grid::for_radius(Radius::new(radius).unwrap()).side_m(),
                side
            );
        }
    }

    #[test]
    fn distance_outside_is_to_the_border() {
        let cell = Cell::containing(Place::new(52.5, 13.4).unwrap(), Grid::Medium);
        for bearing in [0.0, PI / 2.0, PI, 1.5 * PI] {
            let outside = cell.distance_outside_m(cell.centre().destination(bearing, 80.0));
            assert!((outside - 30.0).abs() < 0.2, "{outside}");
        }
    }
}
