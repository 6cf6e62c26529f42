use std::{
    collections::BTreeMap,
    f64::consts::{PI, TAU},
};

use neartalk_shared::geo::EARTH_RADIUS_M;
use rand::{SeedableRng, rngs::StdRng};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn radius(metres: u32) -> Radius {
    Radius::new(metres).unwrap()
}

fn berlin() -> Place {
    Place::new(52.5163, 13.3777).unwrap()
}

/// From `from` to `to`, in metres east and north, on a plane that touches the Earth there.
fn offset_m(from: Place, to: Place) -> (f64, f64) {
    let metres_per_degree = PI * EARTH_RADIUS_M / 180.0;
    let parallel = metres_per_degree * from.lat().to_radians().cos();
    (
        (to.lon() - from.lon()) * parallel,
        (to.lat() - from.lat()) * metres_per_degree,
    )
}

/// Somebody who walks and tells.
struct Walker {
    rng: StdRng,
    cloak: Cloak,
    now: Instant,
    here: Place,
}

impl Walker {
    fn new(seed: u64, radius: Radius, here: Place) -> Self {
        let mut walker = Self {
            rng: StdRng::seed_from_u64(seed),
            cloak: Cloak::new(radius),
            now: Instant::now(),
            here,
        };
        walker.fix(Fix::measured(here));
        walker
    }

    fn fix(&mut self, fix: Fix) {
        self.here = fix.place;
        self.cloak.fix(self.now, fix, &mut self.rng);
    }

    fn cell(&self) -> Cell {
        self.cloak.cell().expect("told with the first fix")
    }

    /// A second later, at `here`: whether the cell changed.
    fn step(&mut self, here: Place) -> bool {
        let before = self.cell();
        self.now += SECOND;
        self.fix(Fix::measured(here));
        self.cell() != before
    }

    fn walk(&mut self, bearing: f64, speed: f64) -> bool {
        self.step(self.here.destination(bearing, speed))
    }
}

#[test]
fn the_first_fix_is_known_at_once() {
    for r in [100, 500, 2_000] {
        let walker = Walker::new(1, radius(r), berlin());
        let grid = Grid::for_radius(radius(r));
        assert_eq!(walker.cell(), Cell::containing(berlin(), grid));
        assert_eq!(walker.cloak.next_wake(), None);
    }
    assert_eq!(Cloak::new(radius(500)).cell(), None);
}

#[test]
fn standing_or_walking_within_a_cell_tells_nothing() {
    let cell = Cell::containing(berlin(), Grid::Medium);
    let mut walker = Walker::new(2, radius(500), cell.centre());
    for i in 0..10_000 {
        let to = cell.centre().destination(f64::from(i), 49.0);
        assert!(!walker.step(to));
    }
    assert_eq!(walker.cloak.next_wake(), None);
}

#[test]
fn a_border_is_crossed_after_the_margin_and_told_after_the_delay() {
    for seed in 0..200 {
        let start = Cell::containing(berlin(), Grid::Medium);
        let mut walker = Walker::new(seed, radius(500), start.centre());
        let margin = walker.cloak.public.as_ref().unwrap().margin_m;
        let mut beyond = None;
        while !walker.walk(PI / 2.0, 1.0) {
            let outside = start.distance_outside_m(walker.here);
            if outside >= margin && outside > 0.0 {
                beyond.get_or_insert(walker.now);
            }
            assert_eq!(beyond.is_some(), walker.cloak.next_wake().is_some());
        }
        let delay = walker.now - beyond.expect("told only after the margin");
        assert!(
            delay >= DELAY.start && delay <= DELAY.end + SECOND,
            "{delay:?}"
        );
        // What is told is where the device is by then, not what it crossed into.
        assert_eq!(walker.cell(), Cell::containing(walker.here, Grid::Medium));
    }
}

#[test]
fn time_alone_tells_when_no_fix_follows() {
    let start = Cell::containing(berlin(), Grid::Fine);
    let mut walker = Walker::new(3, radius(100), start.centre());
    walker.step(start.centre().destination(0.0, 120.0));
    let wake = walker.cloak.next_wake().unwrap();
    walker
        .cloak
        .wake(wake - Duration::from_millis(1), &mut walker.rng);
    assert_eq!(walker.cell(), start);
    walker.cloak.wake(wake, &mut walker.rng);
    assert_eq!(walker.cell(), Cell::containing(walker.here, Grid::Fine));
    assert_eq!(walker.cloak.next_wake(), None);
}

#[test]
fn whoever_comes_back_in_time_has_not_left() {
    let start = Cell::containing(berlin(), Grid::Medium);
    let mut walker = Walker::new(4, radius(500), start.centre());
    let margin = walker.cloak.public.as_ref().unwrap().margin_m;
    for _ in 0..100 {
        walker.step(start.centre().destination(1.0, 200.0));
        assert!(walker.cloak.next_wake().is_some());
        for _ in 0..25 {
            assert!(!walker.step(start.centre()));
        }
        assert_eq!(walker.cloak.next_wake(), None);
        // The margin is remembered: to try often is of no help.
        assert_eq!(walker.cloak.public.as_ref().unwrap().margin_m, margin);
    }
}

#[test]
fn a_jump_keeps_the_delay_unless_it_is_by_hand() {
    let start = Cell::containing(berlin(), Grid::Medium);
    let far = berlin().destination(2.0, 30_000.0);
    let mut walker = Walker::new(5, radius(500), start.centre());
    assert!(!walker.step(far));
    let wake = walker.cloak.next_wake().unwrap();
    assert!(wake >= walker.now + DELAY.start);
    walker.fix(Fix::by_hand(far));
    assert_eq!(walker.cell(), Cell::containing(far, Grid::Medium));
    assert_eq!(walker.cloak.next_wake(), None);
}

#[test]
fn by_hand_overrules_what_was_about_to_be_told() {
    let start = Cell::containing(berlin(), Grid::Medium);
    let mut walker = Walker::new(6, radius(500), start.centre());
    walker.step(berlin().destination(2.0, 3_000.0));
    walker.fix(Fix::by_hand(start.centre()));
    assert_eq!(walker.cell(), start);
    assert_eq!(walker.cloak.next_wake(), None);
}

#[test]
fn a_radius_of_the_same_grid_changes_no_cell() {
    let start = Cell::containing(berlin(), Grid::Medium);
    let mut walker = Walker::new(7, radius(500), start.centre());
    walker.step(start.centre().destination(0.0, 60.0));
    walker
        .cloak
        .set_radius(walker.now, radius(750), &mut walker.rng);
    assert_eq!(walker.cell(), start);
}

#[test]
fn a_coarser_grid_tells_nothing_new_and_a_finer_one_at_once() {
    // A place beyond the border of a medium cell that is also one of a coarse cell.
    let coarse = Cell::containing(berlin(), Grid::Coarse);
    let inner = coarse.centre().destination(PI / 2.0, 95.0);
    let outer = coarse.centre().destination(PI / 2.0, 101.0);
    let mut walker = Walker::new(8, radius(500), inner);
    walker.step(outer);
    assert_ne!(Cell::containing(outer, Grid::Coarse), coarse);
    walker
        .cloak
        .set_radius(walker.now, radius(1_500), &mut walker.rng);
    assert_eq!(walker.cell(), coarse);
    walker
        .cloak
        .set_radius(walker.now, radius(100), &mut walker.rng);
    assert_eq!(walker.cell(), Cell::containing(outer, Grid::Fine));
}

/// What an attacker sees of one crossing, and what he wants to know.
struct Crossing {
    /// By how many cells east and north the told cell changed.
    change: (i32, i32),
    /// Where the walker truly was when it was told, in sides of a cell from the centre of the cell
    /// that was left.
    truth: (f64, f64),
}

/// Crossings by people who walk straight on, at 0.8 to 2 m/s, from anywhere in a cell in any
/// direction, with a fix a second.
fn crossings(grid: Grid, margin: f64, count: usize) -> Vec<Crossing> {
    let mut rng = StdRng::seed_from_u64(u64::from(grid.side_m()));
    let side = f64::from(grid.side_m());
    let r = radius(match grid {
        Grid::Fine => 100,
        Grid::Medium => 500,
        Grid::Coarse => 2_000,
    });
    let mut crossings = Vec::new();
    while crossings.len() < count {
        let start =
            berlin().destination(rng.random_range(0.0..TAU), rng.random_range(0.0..20_000.0));
        let (bearing, speed) = (rng.random_range(0.0..TAU), rng.random_range(0.8..2.0));
        let mut walker = Walker::new(rng.random(), r, start);
        walker.cloak = Cloak {
            margin,
            ..Cloak::new(r)
        };
        walker.fix(Fix::measured(start));
        // Also the second and third border that somebody crosses, which has a history.
        for _ in 0..3 {
            let left = walker.cell().centre();
            while !walker.walk(bearing, speed) {}
            let (east, north) = offset_m(left, walker.here);
            let change = offset_m(left, walker.cell().centre());
            crossings.push(Crossing {
                change: (
                    (change.0 / side).round() as i32,
                    (change.1 / side).round() as i32,
                ),
                truth: (east / side, north / side),
            });
        }
    }
    crossings
}

/// Turns and mirrors a crossing so that all that are alike but for that become one kind.
fn canonical(crossing: &Crossing) -> ((i32, i32), (f64, f64)) {
    let ((mut a, mut b), (mut x, mut y)) = (crossing.change, crossing.truth);
    if a < 0 {
        (a, x) = (-a, -x);
    }
    if b < 0 {
        (b, y) = (-b, -y);
    }
    if b > a {
        (a, b, x, y) = (b, a, y, x);
    }
    ((a, b), (x, y))
}

/// Error of an attacker who sees each change of cell, in sides of a cell (root mean square): his
/// guess is where, among the crossings that he has studied, people were on average who showed him
/// the same. `view` is what he sees of a change.
fn attack<V: Ord>(crossings: &[Crossing], view: impl Fn((i32, i32)) -> V) -> f64 {
    let (studied, attacked) = crossings.split_at(crossings.len() / 2);
    let mut guesses: BTreeMap<V, (f64, f64, f64)> = BTreeMap::new();
    for crossing in studied {
        let (change, (x, y)) = canonical(crossing);
        let guess = guesses.entry(view(change)).or_default();
        *guess = (guess.0 + x, guess.1 + y, guess.2 + 1.0);
    }
    let errors: Vec<f64> = attacked
        .iter()
        .map(|crossing| {
            let (change, (x, y)) = canonical(crossing);
            let (sx, sy, n) = guesses
                .get(&view(change))
                .copied()
                // Never seen before: the middle of the cell that was entered.
                .unwrap_or((f64::from(change.0), f64::from(change.1), 1.0));
            (x - sx / n).powi(2) + (y - sy / n).powi(2)
        })
        .collect();
    (errors.iter().sum::<f64>() / errors.len() as f64).sqrt()
}

/// The two attackers: one sees across which side or corner somebody left, the other which cell
/// was told. The second knows the cell that the walker is in, so that even a walker who could be
/// anywhere in it would be found to 0.408 sides.
fn attacks(grid: Grid, margin: f64) -> (f64, f64) {
    let crossings = crossings(grid, margin, 6_000);
    let direction = attack(&crossings, |(a, b)| (b > 0, a == b));
    let cell = attack(&crossings, |change| change);
    let side = grid.side_m();
    println!("{side} m, margin up to {margin} g: direction {direction:.3} g, cell {cell:.3} g");
    (direction, cell)
}

#[test]
fn a_crossing_gives_the_walker_away_to_no_better_than_two_fifths_of_a_cell() {
    for grid in Grid::ALL {
        let (direction, cell) = attacks(grid, MARGIN);
        assert!(direction >= 0.4, "{grid:?}: {direction}");
        // As good as not seeing the walker cross at all: nobody is safer within a cell than this.
        assert!(cell >= 0.36, "{grid:?}: {cell}");
    }
}

#[test]
fn half_the_margin_would_not_do_and_none_would_be_worse() {
    for grid in Grid::ALL {
        let (half, _) = attacks(grid, MARGIN / 2.0);
        let (none, _) = attacks(grid, 0.0);
        assert!(half < 0.4, "{grid:?}: {half}");
        assert!(none < 0.32 && none < half, "{grid:?}: {none}");
    }
}
