//! What people on a broker listen to, which knows nothing of places: the topic of their clique, or
//! those of all the geohash cells that their circle touches.

use std::collections::BTreeSet;

use neartalk_shared::{Spot, geo::EARTH_RADIUS_M};

/// Characters of a cell's geohash: cells of 1.2 km × 0.6 km at most. Five would be 4.9 km, and
/// almost everything wasted; seven 150 m, and some 700 cells to a circle of 2 km.
const PRECISION: usize = 6;

/// How topics are chosen.
#[derive(Clone, Copy, Debug)]
pub enum Topics {
    /// One for every so many people.
    Cliques(usize),
    /// By place.
    Cells,
}

impl Topics {
    /// What somebody at this place says goes there.
    pub fn own(self, who: u32, at: &Spot) -> String {
        match self {
            Self::Cliques(size) => format!("c{}", who as usize / size),
            Self::Cells => at.geohash(PRECISION),
        }
    }

    /// What they have to listen to, so that they miss nobody whom they want to hear.
    pub fn heard(self, who: u32, at: &Spot) -> BTreeSet<String> {
        match self {
            Self::Cliques(_) => BTreeSet::from([self.own(who, at)]),
            Self::Cells => cover(at),
        }
    }
}

/// Every cell that the circle touches; not for the poles and the antimeridian.
fn cover(spot: &Spot) -> BTreeSet<String> {
    let centre = spot.centre();
    let metres = spot.search_radius_m();
    // Thirty bits: 15 halvings of each axis.
    let (width, height) = (360.0 / f64::from(1 << 15), 180.0 / f64::from(1 << 15));
    let degrees = (metres / EARTH_RADIUS_M).to_degrees();
    let (column, row) = (
        |lon: f64| ((lon + 180.0) / width).floor(),
        |lat: f64| ((lat + 90.0) / height).floor(),
    );
    let mut cells = BTreeSet::new();
    let lowest_cos = (centre.lat().abs() + degrees).to_radians().cos();
    let wide = degrees / lowest_cos;
    let mut y = row(centre.lat() - degrees);
    while y <= row(centre.lat() + degrees) {
        let mut x = column(centre.lon() - wide);
        while x <= column(centre.lon() + wide) {
            let (south, west) = (y * height - 90.0, x * width - 180.0);
            let lat = centre.lat().clamp(south, south + height);
            let lon = centre.lon().clamp(west, west + width);
            let nearest = neartalk_shared::Place::new(lat, lon).ok();
            // A little more, for the nearest point of a cell to the north lies a little elsewhere.
            if nearest.is_none_or(|place| place.distance_m(centre) <= metres + 1.0) {
                let middle = geohash::Coord {
                    x: west + width / 2.0,
                    y: south + height / 2.0,
                };
                cells.extend(geohash::encode(middle, PRECISION).ok());
            }
            x += 1.0;
        }
        y += 1.0;
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::{super::map::Map, *};

    #[test]
    fn whoever_is_in_range_is_heard() {
        let map = Map::city(1_500, 11);
        let heard: Vec<_> = map
            .people
            .iter()
            .map(|person| Topics::Cells.heard(0, &person.spot))
            .collect();
        let mut all = 0;
        for (one, others) in map.neighbours().iter().enumerate() {
            let own = Topics::Cells.own(0, &map.people[one].spot);
            assert!(heard[one].contains(&own));
            for &other in others {
                assert!(heard[other as usize].contains(&own));
                all += 1;
            }
        }
        assert!(all > 10_000);
        let mean = heard.iter().map(BTreeSet::len).sum::<usize>() as f64 / 1_500.0;
        assert!((2.0..12.0).contains(&mean), "{mean}");
    }

    #[test]
    fn a_clique_has_one_topic() {
        let map = Map::cliques(102, 51);
        let topics = Topics::Cliques(51);
        let heard = |who: u32| topics.heard(who, &map.people[who as usize].spot);
        assert_eq!(heard(0), heard(50));
        assert_ne!(heard(50), heard(51));
        assert_eq!(heard(7).len(), 1);
    }
}
