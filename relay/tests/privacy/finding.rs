//! Finding people.

use futures_util::{StreamExt, stream};
use neartalk_shared::{
    DistanceBand, Grid, Place, Spot,
    http::{LocationUpdated, Nearby},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    around,
    attacker::{Model, Observation, Tile, attack},
    common::{Api, east, north, spot},
    radii, relay, side, sites,
};

/// The attacker knows that the victim is in a square of so many cells' sides …
const AREA_CELLS: f64 = 8.0;
/// … and not near its border, so that it never cuts the victim's cell: what an attacker knows from
/// elsewhere is not what a relay tells.
const INNER_CELLS: f64 = 5.0;

/// Victims for each grid: the square of this.
const STRATA: u32 = 11;

/// Victims that are attacked at once.
const AT_ONCE: usize = 16;

/// A victim for each grid's circles.
#[derive(Clone, Debug)]
struct Victim {
    place: Place,
    radius: u32,
    area: Tile,
    grid: Grid,
    seed: u64,
}

/// Victims for each grid: one somewhere in each of `strata` × `strata` parts of a cell, so that
/// together they are as evenly spread over it as people are.
fn victims(strata: u32, seed: u64) -> Vec<Victim> {
    let mut rng = StdRng::seed_from_u64(seed);
    let parts = Grid::ALL
        .into_iter()
        .flat_map(|grid| (0..strata * strata).map(move |i| (grid, i)));
    let parts: Vec<_> = parts.collect();
    let sites = sites(parts.len(), &mut rng);
    let victim = |(site, (grid, part)): (Place, (Grid, u32))| {
        let radius = rng.random_range(radii(grid));
        let cell = spot(site, radius).cell();
        let place = loop {
            let mut offset = |i: u32| {
                let share = (f64::from(i) + rng.random::<f64>()) / f64::from(strata);
                (share - 0.5) * side(grid)
            };
            let north = north(cell.centre(), offset(part / strata));
            let place = east(north, offset(part % strata));
            // A cell may be a little less wide and high than its side.
            if spot(place, radius).cell() == cell {
                break place;
            }
        };
        let middle = around(place, INNER_CELLS * side(grid), &mut rng);
        Victim {
            place,
            radius,
            area: Tile::new(middle, AREA_CELLS * side(grid)),
            grid,
            seed: rng.random(),
        }
    };
    sites.into_iter().zip(parts).map(victim).collect()
}

/// A world without protection: distances are between the places themselves.
struct Unprotected {
    radius: u32,
}

fn unprotected_look(a: Place, b: Place, smaller_radius: u32) -> Option<DistanceBand> {
    let metres = a.distance_m(b);
    (metres <= f64::from(smaller_radius)).then(|| DistanceBand::containing(metres))
}

impl Model for Unprotected {
    fn could_be_in(&self, tile: &Tile, observations: &[Observation]) -> bool {
        let (centre, reach) = (tile.centre(), tile.reach_m());
        observations.iter().all(|look| {
            let metres = centre.distance_m(look.from);
            let (nearest, furthest) = (metres - reach, metres + reach);
            let limit = f64::from(self.radius.min(look.radius));
            match look.seen {
                None => furthest > limit,
                Some(band) => {
                    nearest <= limit
                        && nearest <= f64::from(band.max)
                        && furthest >= f64::from(band.min)
                }
            }
        })
    }
}

/// A relay: all that it shows is computed from the centres of cells.
struct Snapping {
    radius: u32,
}

impl Model for Snapping {
    fn could_be_in(&self, tile: &Tile, observations: &[Observation]) -> bool {
        // A tile is smaller than a cell, so each cell that it touches has one of these points.
        tile.points().into_iter().any(|point| {
            let victim = spot(point, self.radius);
            observations.iter().all(|look| {
                let attacker: Spot = spot(look.from, look.radius);
                attacker.band_in_range(&victim) == look.seen
            })
        })
    }
}

/// Errors of the guesses in units of the cell's side, by grid.
fn by_grid(errors: &[(Grid, f64)]) -> [Vec<f64>; 3] {
    Grid::ALL.map(|grid| {
        errors
            .iter()
            .filter(|(of, _)| *of == grid)
            .map(|(_, metres)| metres / side(grid))
            .collect()
    })
}

#[tokio::test]
async fn the_attacker_finds_everyone_who_is_not_protected() {
    for victim in victims(STRATA, 1) {
        let mut rng = StdRng::seed_from_u64(victim.seed);
        let model = Unprotected {
            radius: victim.radius,
        };
        let observe = async |from: Place, radius: u32| {
            unprotected_look(from, victim.place, radius.min(victim.radius))
        };
        let radii = radii(victim.grid);
        let guess = attack(victim.area, radii, 1.0, &model, &mut rng, observe).await;
        let error = guess.distance_m(victim.place);
        assert!(error <= 10.0, "{error} m, {:?} m", victim.radius);
    }
}

/// What an attacker learns through a relay about somebody, from one more session of its own.
async fn look(
    api: &Api,
    victim: &neartalk_shared::PeerId,
    from: Place,
    radius: u32,
) -> Option<DistanceBand> {
    let session = api.session("Mallory").await;
    let updated: LocationUpdated = api.locate(&session, from, radius).await.expect(200);
    if updated.nearby == 0 {
        return None;
    }
    let nearby: Nearby = api.nearby(&session).await.expect(200);
    assert_eq!(nearby.count, updated.nearby);
    let seen = nearby.people.iter().find(|p| p.peer_id == *victim)?;
    Some(seen.distance)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_a_relay_the_attacker_finds_a_cell_and_guesses_within_it() {
    let relay = relay();
    let api = relay.api();
    let attacks = victims(STRATA, 3).into_iter().map(|victim| {
        let api = &api;
        async move {
            let session = api.session("Victim").await;
            api.locate(&session, victim.place, victim.radius)
                .await
                .expect::<LocationUpdated>(200);
            let mut rng = StdRng::seed_from_u64(victim.seed);
            let model = Snapping {
                radius: victim.radius,
            };
            let observe =
                async |from: Place, radius: u32| look(api, &session.peer_id, from, radius).await;
            let finest = side(victim.grid) / 16.0;
            let radii = radii(victim.grid);
            let guess = attack(victim.area, radii, finest, &model, &mut rng, observe).await;
            (victim.grid, guess.distance_m(victim.place))
        }
    });
    let errors: Vec<_> = stream::iter(attacks)
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for (grid, errors) in Grid::ALL.into_iter().zip(by_grid(&errors)) {
        let mean = errors.iter().sum::<f64>() / errors.len() as f64;
        let worst = errors.iter().copied().fold(0.0, f64::max);
        println!("{grid:?}: mean error {mean:.3} g, at most {worst:.3} g");
        assert_eq!(errors.len(), (STRATA * STRATA) as usize);
        // The best that anyone can do about somebody anywhere in a known square is 0.383 of its side.
        assert!(mean >= 0.36, "{grid:?}: {mean} g");
        // And the attacker does as well as that, or this would prove nothing.
        assert!(mean <= 0.41, "{grid:?}: {mean} g");
        assert!(worst <= 1.0, "{grid:?}: {worst} g");
    }
}
