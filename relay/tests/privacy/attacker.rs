//! The attacker: looks at somebody from many places, and rules out wherever they can't be.
//!
//! It covers the area with tiles, keeps those that agree with everything it has seen, splits them
//! in four, and begins again, down to tiles that are small. Its guess is the mean of what is left.
//! What it knows of the world that it attacks is its [`Model`]; the algorithm is the same for all.

use std::f64::consts::{PI, TAU};

use neartalk_shared::{DistanceBand, Place, geo::EARTH_RADIUS_M};
use rand::{Rng, RngExt};

use crate::common;

/// What was seen from one place.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Where the attacker said it was.
    pub from: Place,
    /// The circle that it chose, in metres.
    pub radius: u32,
    /// How far away the victim was said to be; `None` when it was not in range.
    pub seen: Option<DistanceBand>,
}

/// What is known of how a world computes what it shows.
pub trait Model {
    /// Whether somebody somewhere in `tile` would have been seen as in all of `observations`.
    fn could_be_in(&self, tile: &Tile, observations: &[Observation]) -> bool;
}

/// A square of the map, sides along the meridians and parallels.
#[derive(Clone, Copy, Debug)]
pub struct Tile {
    lat: f64,
    lon: f64,
    /// Half a side, in degrees of latitude …
    half_lat: f64,
    /// … and of longitude.
    half_lon: f64,
}

impl Tile {
    /// A square around `centre` with sides of `metres`.
    pub fn new(centre: Place, metres: f64) -> Self {
        let half_lat = metres / 2.0 / (PI * EARTH_RADIUS_M / 180.0);
        Self {
            lat: centre.lat(),
            lon: centre.lon(),
            half_lat,
            half_lon: half_lat / centre.lat().to_radians().cos(),
        }
    }

    /// The point `x` and `y` half sides east and north of the centre.
    fn at(&self, x: f64, y: f64) -> Place {
        common::place(self.lat + y * self.half_lat, self.lon + x * self.half_lon)
    }

    /// Its centre.
    pub fn centre(&self) -> Place {
        self.at(0.0, 0.0)
    }

    /// Its centre and its corners.
    pub fn points(&self) -> [Place; 5] {
        [
            self.centre(),
            self.at(-1.0, -1.0),
            self.at(-1.0, 1.0),
            self.at(1.0, -1.0),
            self.at(1.0, 1.0),
        ]
    }

    /// No point of it is further from the centre than this, in metres.
    pub fn reach_m(&self) -> f64 {
        let metres_per_degree = PI * EARTH_RADIUS_M / 180.0;
        // A little more, for it is not quite flat.
        self.half_lat * metres_per_degree * 2f64.sqrt() * 1.001
    }

    fn split(&self, n: u32) -> impl Iterator<Item = Self> {
        let step = f64::from(n);
        let offset = move |i: u32| (2.0 * f64::from(i) + 1.0) / step - 1.0;
        let tile = *self;
        (0..n * n).map(move |i| {
            let centre = tile.at(offset(i % n), offset(i / n));
            Self {
                lat: centre.lat(),
                lon: centre.lon(),
                half_lat: tile.half_lat / step,
                half_lon: tile.half_lon / step,
            }
        })
    }
}

/// How many times a look is taken at once, and how often, each time closer to the guess so far.
const LOOKS: usize = 12;
const ROUNDS: usize = 3;

/// Looks for somebody who is somewhere in `area`, by asking `observe` what is seen from a place
/// with a circle; the circles have between `radii` metres, and tiles smaller than `finest` metres
/// are not split. Returns the guess.
pub async fn attack<R: Rng>(
    area: Tile,
    radii: std::ops::RangeInclusive<u32>,
    finest: f64,
    model: &impl Model,
    rng: &mut R,
    observe: impl AsyncFn(Place, u32) -> Option<DistanceBand>,
) -> Place {
    let mut observations = Vec::new();
    let mut guess = area.centre();
    // At first all over the area; then around the guess, where it can be seen from.
    let mut spread = area.reach_m() / 2f64.sqrt();
    for _ in 0..ROUNDS {
        for _ in 0..LOOKS {
            let radius = rng.random_range(radii.clone());
            let distance = spread.min(f64::from(radius)) * rng.random::<f64>().sqrt();
            let from = if observations.len() < LOOKS {
                area.at(rng.random_range(-1.0..1.0), rng.random_range(-1.0..1.0))
            } else {
                guess.destination(rng.random_range(0.0..TAU), distance)
            };
            let seen = observe(from, radius).await;
            observations.push(Observation { from, radius, seen });
        }
        guess = narrow(area, finest, model, &observations);
        spread = f64::from(*radii.start());
    }
    guess
}

fn narrow(area: Tile, finest: f64, model: &impl Model, observations: &[Observation]) -> Place {
    // The first tiles are already smaller than the smallest cell of any grid.
    let mut tiles: Vec<_> = area.split(24).collect();
    loop {
        tiles.retain(|tile| model.could_be_in(tile, observations));
        assert!(
            !tiles.is_empty(),
            "the model is wrong: nobody can be anywhere"
        );
        if tiles[0].reach_m() <= finest {
            break;
        }
        tiles = tiles.iter().flat_map(|tile| tile.split(2)).collect();
    }
    let n = tiles.len() as f64;
    let mean = |of: fn(&Tile) -> f64| tiles.iter().map(of).sum::<f64>() / n;
    common::place(mean(|tile| tile.lat), mean(|tile| tile.lon))
}
