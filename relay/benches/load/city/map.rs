//! Who lives where: a city made of a seed, or cliques that all see each other.

use std::f64::consts::{PI, TAU};

use neartalk_shared::{Place, Radius, Spot};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// People to a square kilometre, about, within the city.
const DENSITY_KM2: f64 = 100.0;
/// How many of a hundred people are where others are: in bars, on squares, at stations.
const GATHERED: u32 = 70;
/// How many of a hundred are far out, where few others are.
const LONELY: u32 = 8;
/// How many of a hundred walk.
const WALKING: u32 = 30;
/// How many of a hundred are in voice; they stand.
const IN_VOICE: u32 = 6;
/// Radii, in metres, and how many of a hundred people chose each.
const RADII: [(u32, u32); 5] = [(100, 10), (250, 25), (500, 40), (1_000, 18), (2_000, 7)];
/// The size of gatherings: a power law of this exponent between these bounds, so that most are
/// small and a few are crowds.
const GATHERING: (f64, f64, f64) = (1.1, 4.0, 120.0);

/// One person, as the load begins.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Where they are, and how far they want to be heard.
    pub spot: Spot,
    /// Whether they walk around.
    pub walks: bool,
    /// Whether they are in voice.
    pub in_voice: bool,
}

/// Everybody.
#[derive(Debug)]
pub struct Map {
    /// By number.
    pub people: Vec<Person>,
    /// How many people each clique has, when they are in cliques.
    pub clique: Option<usize>,
}

/// How many others people reach.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reach {
    pub mean: f64,
    pub median: usize,
    pub most: usize,
    /// How many reach nobody.
    pub alone: usize,
}

impl Map {
    /// A city: a few crowds, many small gatherings, people scattered between, and a tail of lonely
    /// ones around it. Its area grows with the number of people, so that a larger city is no denser.
    pub fn city(count: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let town_hall = somewhere(52.5, 13.4);
        let radius_m = 1_000.0 * (count as f64 / (PI * DENSITY_KM2)).sqrt();
        let mut people = Vec::with_capacity(count);
        let mut gathering = (town_hall, 0.0, 0_u32);
        while people.len() < count {
            let lot = rng.random_range(0..100);
            let place = if lot < GATHERED {
                if gathering.2 == 0 {
                    let spread = rng.random_range(15.0..150.0);
                    let size = gathering_size(&mut rng);
                    gathering = (within(&mut rng, town_hall, 0.0, radius_m), spread, size);
                }
                gathering.2 -= 1;
                let (middle, spread, _) = gathering;
                within(&mut rng, middle, 0.0, spread)
            } else if lot < 100 - LONELY {
                within(&mut rng, town_hall, 0.0, radius_m)
            } else {
                within(&mut rng, town_hall, radius_m, 4.0 * radius_m)
            };
            let in_voice = rng.random_range(0..100) < IN_VOICE;
            people.push(Person {
                spot: Spot::new(place, some_radius(&mut rng)),
                walks: !in_voice && rng.random_range(0..100) < WALKING,
                in_voice,
            });
        }
        Self {
            people,
            clique: None,
        }
    }

    /// Cliques of `size` people on one spot each, more than 5 km from each other: who is in range
    /// is who is in the clique, so that one topic for each is all that a broker needs.
    pub fn cliques(count: usize, size: usize) -> Self {
        let person = |number: usize| {
            let clique = number / size;
            // 11 km apart from south to north, then 60 km from west to east.
            let place = somewhere(
                -50.0 + (clique % 1_000) as f64 * 0.1,
                (clique / 1_000) as f64,
            );
            Person {
                spot: Spot::new(place, Radius::MAX),
                walks: false,
                in_voice: false,
            }
        };
        Self {
            people: (0..count.div_ceil(size) * size).map(person).collect(),
            clique: Some(size),
        }
    }

    /// Whom each person reaches before anybody has moved, in ascending order.
    pub fn neighbours(&self) -> Vec<Vec<u32>> {
        let mut all = vec![Vec::new(); self.people.len()];
        for (a, one) in self.people.iter().enumerate() {
            for (b, other) in self.people.iter().enumerate().skip(a + 1) {
                if one.spot.in_range(&other.spot) {
                    all[a].push(b as u32);
                    all[b].push(a as u32);
                }
            }
        }
        all
    }
}

impl Reach {
    /// Of these neighbours.
    pub fn of(neighbours: &[Vec<u32>]) -> Self {
        let mut counts: Vec<usize> = neighbours.iter().map(Vec::len).collect();
        counts.sort_unstable();
        Self {
            mean: counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64,
            median: counts.get(counts.len() / 2).copied().unwrap_or_default(),
            most: counts.last().copied().unwrap_or_default(),
            alone: counts.iter().filter(|&&count| count == 0).count(),
        }
    }
}

fn somewhere(lat: f64, lon: f64) -> Place {
    Place::new(lat, lon).expect("these places are on the Earth")
}

/// A place spread evenly over the ring between two distances from `middle`, in metres.
pub fn within(rng: &mut StdRng, middle: Place, from_m: f64, to_m: f64) -> Place {
    let share: f64 = rng.random();
    let metres = (from_m * from_m + share * (to_m * to_m - from_m * from_m)).sqrt();
    middle.destination(rng.random_range(0.0..TAU), metres)
}

/// By inverting the distribution function of the bounded Pareto distribution.
fn gathering_size(rng: &mut StdRng) -> u32 {
    let (exponent, least, most) = GATHERING;
    let ratio = (least / most).powf(exponent);
    let share: f64 = rng.random();
    (least * (1.0 - share * (1.0 - ratio)).powf(-1.0 / exponent)) as u32
}

fn some_radius(rng: &mut StdRng) -> Radius {
    let mut lot = rng.random_range(0..100);
    for (metres, share) in RADII {
        if lot < share {
            return Radius::new(metres).unwrap_or(Radius::MAX);
        }
        lot -= share;
    }
    Radius::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_city_is_the_same_for_a_seed_and_another_for_another() {
        let spots = |seed| -> Vec<Spot> {
            let map = Map::city(300, seed);
            map.people.iter().map(|person| person.spot).collect()
        };
        assert_eq!(spots(1), spots(1));
        assert_ne!(spots(1), spots(2));
    }

    #[test]
    fn some_are_in_crowds_and_some_alone() {
        let map = Map::city(4_000, 7);
        let reach = Reach::of(&map.neighbours());
        assert!((30.0..90.0).contains(&reach.mean), "{reach:?}");
        assert!(reach.most as f64 > 4.0 * reach.mean, "{reach:?}");
        assert!((reach.median as f64) < 0.9 * reach.mean, "{reach:?}");
        assert!(reach.alone > 100, "{reach:?}");
        let share = |count: usize| count as f64 / 40.0;
        let walking = map.people.iter().filter(|person| person.walks).count();
        let in_voice = map.people.iter().filter(|person| person.in_voice).count();
        assert!((24.0..32.0).contains(&share(walking)), "{walking}");
        assert!((4.0..8.0).contains(&share(in_voice)), "{in_voice}");
        assert!(!map.people.iter().any(|it| it.walks && it.in_voice));
    }

    #[test]
    fn a_larger_city_is_no_denser() {
        let mean = |count| Reach::of(&Map::city(count, 7).neighbours()).mean;
        let (small, large) = (mean(1_000), mean(6_000));
        assert!((0.75..1.4).contains(&(large / small)), "{small} {large}");
    }

    #[test]
    fn a_clique_sees_itself_and_nobody_else() {
        let map = Map::cliques(2_020, 51);
        assert_eq!(map.people.len(), 2_040);
        for (number, others) in map.neighbours().into_iter().enumerate() {
            let first = number / 51 * 51;
            let expected = (first..first + 51).filter(|&other| other != number);
            assert_eq!(others, expected.map(|it| it as u32).collect::<Vec<_>>());
        }
    }
}
