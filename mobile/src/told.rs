//! What the phones' parts tell, as JSON.

use neartalk_location::{Problem, Reading, Report};
use serde::Deserialize;

/// A report on the place.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Told {
    /// It looks, or looks again.
    Searching,
    /// It has measured.
    Reading {
        /// Degrees north.
        lat: f64,
        /// Degrees east.
        lon: f64,
        /// In metres; 0 if it doesn't say.
        accuracy: f64,
    },
    /// It or the person does not allow it, or location is off for all.
    Denied,
    /// This phone has nothing that could tell.
    NoService,
    /// Something else, in the system's words.
    Failed {
        /// What it says.
        message: String,
    },
}

impl Told {
    /// As other systems' providers report it. None for coordinates that are no place.
    pub fn into_report(self) -> Option<Report> {
        Some(match self {
            Self::Searching => Report::Searching,
            Self::Reading { lat, lon, accuracy } => {
                Report::Reading(Reading::new(lat, lon, accuracy)?)
            }
            Self::Denied => Report::Denied,
            Self::NoService => Report::Problem(Problem::NoService),
            Self::Failed { message } => Report::Problem(Problem::Failed(message)),
        })
    }
}

/// Whether the microphone may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MicrophoneLeave {
    /// It may.
    Granted,
    /// It may not.
    Denied,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(json: &str) -> Option<Report> {
        serde_json::from_str::<Told>(json).unwrap().into_report()
    }

    #[test]
    fn each_report_of_a_phone_is_read() {
        let reading = Reading::new(52.5, 13.4, 8.0).map(Report::Reading);
        let failed = Report::Problem(Problem::Failed("no luck".into()));
        for (json, expected) in [
            (r#"{"type":"searching"}"#, Some(Report::Searching)),
            (
                r#"{"type":"reading","lat":52.5,"lon":13.4,"accuracy":8}"#,
                reading,
            ),
            (r#"{"type":"reading","lat":152,"lon":0,"accuracy":8}"#, None),
            (r#"{"type":"denied"}"#, Some(Report::Denied)),
            (
                r#"{"type":"no_service"}"#,
                Some(Report::Problem(Problem::NoService)),
            ),
            (r#"{"type":"failed","message":"no luck"}"#, Some(failed)),
        ] {
            assert_eq!(report(json), expected, "{json}");
        }
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for json in ["{}", r#"{"type":"here"}"#, r#"{"type":"reading","lat":1}"#] {
            assert!(serde_json::from_str::<Told>(json).is_err(), "{json}");
        }
    }
}
