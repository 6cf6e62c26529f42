//! A cell that can be named to whoever runs a relay: a geohash of five characters, about 4.9 × 4.9 km.

use std::fmt;

use neartalk_shared::Spot;
use serde::{Deserialize, Deserializer, Serialize};

/// Characters of the name.
const CHARACTERS: usize = 5;

/// A geohash of five characters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cell5([u8; CHARACTERS]);

impl Cell5 {
    /// Reads a geohash of exactly five characters, in either case.
    pub fn parse(s: &str) -> Option<Self> {
        let name: [u8; CHARACTERS] = s.as_bytes().try_into().ok()?;
        let name = name.map(|b| b.to_ascii_lowercase());
        let valid = |b: &u8| b.is_ascii_alphanumeric() && !b"ailo".contains(b);
        name.iter().all(valid).then_some(Self(name))
    }

    /// The cell that a spot's centre is in.
    pub fn of(spot: &Spot) -> Self {
        let name = spot.geohash(CHARACTERS);
        // A geohash has as many characters as were asked for.
        name.as_bytes().try_into().map_or(Self(*b"00000"), Self)
    }

    /// The geohash.
    pub fn as_str(&self) -> &str {
        // Both ways to make one admit ASCII only.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Cell5 {
    /// A place is nothing for a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cell5(redacted)")
    }
}

impl Serialize for Cell5 {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Cell5 {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let s = String::deserialize(d)?;
        Self::parse(&s).ok_or_else(|| serde::de::Error::custom("no cell"))
    }
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{Place, Radius};

    use super::*;

    #[test]
    fn names_are_geohashes() {
        for good in ["u33db", "U33DB", "00000", "zzzzz"] {
            assert_eq!(
                Cell5::parse(good).map(|c| c.as_str().to_owned()),
                Some(good.to_ascii_lowercase())
            );
        }
        for bad in ["", "u33d", "u33dbb", "u33da", "u33d!", "u33dß", "ilo00"] {
            assert_eq!(Cell5::parse(bad), None, "{bad}");
        }
        let berlin = Spot::new(Place::new(52.5219, 13.4132).unwrap(), Radius::MAX);
        assert_eq!(Cell5::of(&berlin).as_str(), "u33dc");
        assert!(berlin.geohash_prefix().starts_with("u33d"));
    }
}
