//! How much goes on, by the hour and by about 20 × 39 km: for whoever runs a relay and wants to know
//! whether it is of use. Where fewer than [`PEOPLE_MIN`] people were, nothing is told at all, so that
//! nobody can be singled out.

use std::time::Duration;

use neartalk_shared::{PeerId, Spot, Timestamp};
use rustc_hash::{FxHashMap, FxHashSet};

/// Fewer people than this in an hour and area are not told of.
pub const PEOPLE_MIN: usize = 10;

const HOUR_MS: u64 = 3_600_000;

/// One hour in one area.
#[derive(Clone, Debug, PartialEq)]
pub struct AreaHour {
    /// When the hour begins.
    pub hour: Timestamp,
    /// Four characters of geohash.
    pub geohash: String,
    /// How many sessions had a place there.
    pub people: u32,
    /// How many messages were said there.
    pub messages: u64,
    /// How long people were in voice there, all together.
    pub voice: Duration,
}

#[derive(Debug, Default)]
struct Area {
    people: FxHashSet<PeerId>,
    messages: u64,
    voice: Duration,
}

/// What this hour has come to so far.
#[derive(Debug, Default)]
pub struct Figures {
    hour: u64,
    areas: FxHashMap<String, Area>,
}

impl Figures {
    /// Nothing has happened yet.
    pub fn new(now: Timestamp) -> Self {
        Self {
            hour: now.as_millis() / HOUR_MS,
            areas: FxHashMap::default(),
        }
    }

    /// Somebody is at a spot.
    pub fn person(&mut self, peer_id: PeerId, spot: &Spot) {
        self.area(spot).people.insert(peer_id);
    }

    /// Somebody says something at a spot.
    pub fn message(&mut self, spot: &Spot) {
        self.area(spot).messages += 1;
    }

    /// Somebody was in voice at a spot for a time.
    pub fn voice(&mut self, spot: &Spot, time: Duration) {
        self.area(spot).voice += time;
    }

    /// Whether another hour has begun, so that [`Figures::take`] is due.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now.as_millis() / HOUR_MS != self.hour
    }

    /// What this hour came to, where enough people were; the next begins at `now`. Whoever is still
    /// there then has to be counted anew.
    pub fn take(&mut self, now: Timestamp) -> Vec<AreaHour> {
        let hours = self.so_far();
        *self = Self::new(now);
        hours
    }

    /// What this hour has come to by now, where enough people were.
    pub fn so_far(&self) -> Vec<AreaHour> {
        let hour = Timestamp::from_millis(self.hour * HOUR_MS);
        let told = self
            .areas
            .iter()
            .filter(|(_, area)| area.people.len() >= PEOPLE_MIN);
        told.map(|(geohash, area)| AreaHour {
            hour,
            geohash: geohash.clone(),
            people: area.people.len() as u32,
            messages: area.messages,
            voice: area.voice,
        })
        .collect()
    }

    fn area(&mut self, spot: &Spot) -> &mut Area {
        self.areas.entry(spot.geohash_prefix()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{Place, Radius};
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn spot(lat: f64, lon: f64) -> Spot {
        Spot::new(Place::new(lat, lon).unwrap(), Radius::MAX)
    }

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(500_000 * HOUR_MS + ms)
    }

    #[test]
    fn an_area_with_nine_people_is_not_told_of() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut figures = Figures::new(at(0));
        let (busy, quiet) = (spot(52.5219, 13.4132), spot(48.1, 11.5));
        for n in 0..10 {
            let peer = PeerId::random(&mut rng);
            figures.person(peer, &busy);
            // Seen again, and elsewhere in the same area.
            figures.person(peer, &spot(52.53, 13.40));
            if n < 9 {
                figures.person(peer, &quiet);
            }
            figures.message(&busy);
            figures.message(&quiet);
            figures.voice(&busy, Duration::from_secs(30));
        }
        assert!(!figures.is_over(at(HOUR_MS - 1)) && figures.is_over(at(HOUR_MS)));
        assert_eq!(
            figures.take(at(HOUR_MS)),
            [AreaHour {
                hour: at(0),
                geohash: "u33d".into(),
                people: 10,
                messages: 10,
                voice: Duration::from_secs(300),
            }]
        );
        // The next hour begins with nothing.
        assert!(!figures.is_over(at(HOUR_MS)) && figures.areas.is_empty());
        assert_eq!(figures.take(at(2 * HOUR_MS)), []);
    }
}
