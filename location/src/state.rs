//! What a system reports, and how it stands with the place.

use neartalk_shared::Place;
use thiserror::Error;

/// A measured place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The place itself.
    pub place: Place,
    /// How far off it may be, in metres, if the system says so. Systems mean by it the radius of the
    /// circle that the device is in with a probability of 68 %.
    pub accuracy_m: Option<f64>,
}

impl Reading {
    /// From what a system gives: degrees and metres. An accuracy that is no length stands for none.
    ///
    /// None when the coordinates are no place on the Earth.
    pub fn new(lat: f64, lon: f64, accuracy_m: f64) -> Option<Self> {
        let is_length = accuracy_m.is_finite() && accuracy_m > 0.0;
        Some(Self {
            place: Place::new(lat, lon).ok()?,
            accuracy_m: is_length.then_some(accuracy_m),
        })
    }
}

/// What a system reports by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// It looks, or looks again.
    Searching,
    /// It has measured.
    Reading(Reading),
    /// It or the person does not allow it.
    Denied,
    /// It can't.
    Problem(Problem),
}

/// How it stands with the place.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// It is being looked for.
    Finding,
    /// It is known, and followed.
    Live(Reading),
    /// The system or the person does not allow it.
    Denied,
    /// It can't be had now; the watch goes on.
    Unavailable(Problem),
}

/// Why a place can't be had, and what to do, for people.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Problem {
    /// Nobody on this system tells places.
    #[cfg_attr(
        target_os = "linux",
        error(
            "This system has no location service. Install GeoClue (the package geoclue-2.0), or choose \
             a place by hand."
        )
    )]
    #[cfg_attr(
        not(target_os = "linux"),
        error("This system has no location service. Choose a place by hand.")
    )]
    NoService,
    /// The service was there and has ended.
    #[error("The system's location service has stopped. NearTalk goes on as soon as it is back.")]
    ServiceGone,
    /// Nothing has been found for so long that somebody should be told.
    #[error(
        "The system has not found this device yet and keeps looking. Wi-Fi switched on or a window \
         nearby help; you can also choose a place by hand."
    )]
    NotFound,
    /// What was found would put the person among people who are far away.
    #[error(
        "The system knows only to within {} km where this device is. Switch on Wi-Fi, or choose a \
         place by hand.",
        .accuracy_m.div_euclid(1_000.0)
    )]
    TooCoarse {
        /// How far off the place may be, in metres.
        accuracy_m: f64,
    },
    /// Something else, in the service's own words.
    #[error("The system's location service failed: {0}. Choose a place by hand, or try again.")]
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_place_is_no_reading_and_what_is_no_length_no_accuracy() {
        for (lat, lon) in [(91.0, 0.0), (0.0, -181.0), (f64::NAN, 0.0)] {
            assert_eq!(Reading::new(lat, lon, 10.0), None);
        }
        for accuracy in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(Reading::new(1.0, 2.0, accuracy).unwrap().accuracy_m, None);
        }
        let reading = Reading::new(1.0, 2.0, 30.5).unwrap();
        assert_eq!(reading.accuracy_m, Some(30.5));
        assert_eq!((reading.place.lat(), reading.place.lon()), (1.0, 2.0));
    }

    #[test]
    fn nothing_that_may_be_logged_holds_a_place() {
        let reading = Reading::new(52.5163, 13.3777, 30.0).unwrap();
        let logged = format!("{:?} {:?}", Report::Reading(reading), State::Live(reading));
        assert!(!logged.contains("52") && !logged.contains("13"), "{logged}");
    }

    #[test]
    fn a_coarse_place_is_told_in_kilometres() {
        let accuracy_m = 25_400.0;
        let told = Problem::TooCoarse { accuracy_m }.to_string();
        assert!(told.contains("within 25 km"), "{told}");
    }
}
