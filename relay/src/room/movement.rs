//! Whether a place can be true: nobody crosses a city in a second.

use neartalk_shared::{
    Spot, Timestamp,
    limits::{IMPLAUSIBLE_STILL, IMPLAUSIBLE_WINDOW, MAX_SPEED_M_S},
    time::millis,
};
use serde::{Deserialize, Serialize};

use crate::store::wire::WrittenSpot;

/// Judges the places that one session sends.
///
/// One jump is forgiven (a place chosen by hand, a plane that has landed); a second one within a
/// minute is refused, and so is everything after it until the place has been still for a minute.
/// That makes scanning a city from one session take hours.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct MovementGuard {
    last: Option<(WrittenSpot, Timestamp)>,
    jumped_at: Option<Timestamp>,
    /// While refused: where the place has been since when.
    still: Option<(WrittenSpot, Timestamp)>,
}

impl MovementGuard {
    /// Accepts `spot` at `now`, or says in how many milliseconds it will be accepted if it stays
    /// where it is.
    pub fn check(&mut self, spot: &Spot, now: Timestamp) -> Result<(), u64> {
        if let Some((WrittenSpot(anchor), since)) = self.still {
            if anchor.distance_beyond_blur_m(spot) > 0.0 {
                self.still = Some((WrittenSpot(*spot), now));
                return Err(millis(IMPLAUSIBLE_STILL));
            }
            let rest = (since + IMPLAUSIBLE_STILL).since(now);
            if !rest.is_zero() {
                return Err(millis(rest));
            }
            *self = Self::default();
        }
        if let Some((WrittenSpot(last), at)) = &self.last {
            let seconds = now.since(*at).as_secs_f64();
            if last.distance_beyond_blur_m(spot) > MAX_SPEED_M_S * seconds {
                if self
                    .jumped_at
                    .is_some_and(|jump| now.since(jump) < IMPLAUSIBLE_WINDOW)
                {
                    self.still = Some((WrittenSpot(*spot), now));
                    return Err(millis(IMPLAUSIBLE_STILL));
                }
                self.jumped_at = Some(now);
            }
        }
        self.last = Some((WrittenSpot(*spot), now));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{Place, Radius};

    use super::*;

    fn spot(metres_north: f64) -> Spot {
        let place = Place::new(50.0, 8.0)
            .unwrap()
            .destination(0.0, metres_north);
        Spot::new(place, Radius::new(500).unwrap())
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + 1_000 * seconds)
    }

    #[test]
    fn a_car_and_a_train_are_fine() {
        let mut guard = MovementGuard::default();
        for i in 0..100u32 {
            assert_eq!(
                guard.check(&spot(f64::from(i) * 900.0), at(u64::from(i) * 10)),
                Ok(())
            );
        }
    }

    #[test]
    fn two_jumps_within_a_minute_are_refused_until_still_for_a_minute() {
        let mut guard = MovementGuard::default();
        assert_eq!(guard.check(&spot(0.0), at(0)), Ok(()));
        assert_eq!(guard.check(&spot(50_000.0), at(10)), Ok(()));
        assert_eq!(guard.check(&spot(0.0), at(20)), Err(60_000));
        assert_eq!(guard.check(&spot(0.0), at(50)), Err(30_000));
        // Moving on starts the minute anew.
        assert_eq!(guard.check(&spot(9_000.0), at(79)), Err(60_000));
        assert_eq!(guard.check(&spot(9_000.0), at(138)), Err(1_000));
        assert_eq!(guard.check(&spot(9_020.0), at(139)), Ok(()));
        assert_eq!(guard.check(&spot(9_300.0), at(149)), Ok(()));
    }

    #[test]
    fn a_jump_a_minute_is_forgiven() {
        let mut guard = MovementGuard::default();
        for i in 0..10u32 {
            let place = spot(f64::from(i % 2) * 50_000.0);
            assert_eq!(guard.check(&place, at(u64::from(i) * 61)), Ok(()));
        }
    }

    #[test]
    fn choosing_another_radius_is_no_jump() {
        let mut guard = MovementGuard::default();
        let place = Place::new(50.0, 8.0).unwrap().destination(1.0, 70.0);
        for radius in [100, 2_000, 300, 100, 2_000] {
            let spot = Spot::new(place, Radius::new(radius).unwrap());
            assert_eq!(guard.check(&spot, at(0)), Ok(()));
        }
    }
}
