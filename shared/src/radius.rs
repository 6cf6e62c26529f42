//! The radius of a person's circle.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::limits::{RADIUS_MAX_M, RADIUS_MIN_M};

/// The radius of a person's circle: whole metres, 100 to 2,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "typescript", derive(specta::Type))]
#[serde(try_from = "u32", into = "u32")]
#[cfg_attr(feature = "typescript", specta(type = u32))]
pub struct Radius(u32);

/// A radius outside the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("choose a radius of {RADIUS_MIN_M} to {RADIUS_MAX_M} whole metres")]
pub struct InvalidRadius;

impl Radius {
    /// The smallest circle.
    pub const MIN: Self = Self(RADIUS_MIN_M);
    /// The largest circle.
    pub const MAX: Self = Self(RADIUS_MAX_M);

    /// A radius of `metres`.
    pub const fn new(metres: u32) -> Result<Self, InvalidRadius> {
        if metres >= RADIUS_MIN_M && metres <= RADIUS_MAX_M {
            Ok(Self(metres))
        } else {
            Err(InvalidRadius)
        }
    }

    /// A radius from any number that JSON can carry: fractions, negatives and giants are invalid.
    pub fn from_number(metres: f64) -> Result<Self, InvalidRadius> {
        if metres.fract() == 0.0 && metres >= 0.0 && metres <= f64::from(u32::MAX) {
            Self::new(metres as u32)
        } else {
            Err(InvalidRadius)
        }
    }

    /// In metres.
    pub const fn metres(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Radius {
    type Error = InvalidRadius;

    fn try_from(metres: u32) -> Result<Self, InvalidRadius> {
        Self::new(metres)
    }
}

impl From<Radius> for u32 {
    fn from(radius: Radius) -> Self {
        radius.0
    }
}

impl std::str::FromStr for Radius {
    type Err = InvalidRadius;

    fn from_str(s: &str) -> Result<Self, InvalidRadius> {
        s.trim()
            .trim_end_matches('m')
            .trim_end()
            .parse()
            .map_err(|_| InvalidRadius)
            .and_then(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inside() {
        assert_eq!(Radius::new(99), Err(InvalidRadius));
        assert_eq!(Radius::new(100), Ok(Radius::MIN));
        assert_eq!(Radius::new(2_000), Ok(Radius::MAX));
        assert_eq!(Radius::new(2_001), Err(InvalidRadius));
    }

    #[test]
    fn odd_numbers_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, -100.0, 100.5, 1e300, 0.0, -0.0] {
            assert_eq!(Radius::from_number(bad), Err(InvalidRadius), "{bad}");
        }
        assert_eq!(Radius::from_number(500.0), Radius::new(500));
    }
}
