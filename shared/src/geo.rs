//! Places and distances on the sphere.

use thiserror::Error;

/// Mean radius of the Earth in metres (IUGG R₁).
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A point on the Earth in degrees, finite and within bounds.
///
/// This is the **raw** kind of place, as a device knows it. What leaves the device is the centre
/// of a [`Cell`](crate::Cell); `Place` has no `Serialize`, and its `Debug` is silent, so that it
/// gets into no log by accident.
#[derive(Clone, Copy, PartialEq)]
pub struct Place {
    lat: f64,
    lon: f64,
}

/// Coordinates that are no point on the Earth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a latitude is a number from -90 to 90 and a longitude one from -180 to 180")]
pub struct InvalidPlace;

impl Place {
    /// The place at `lat` degrees north and `lon` degrees east.
    pub fn new(lat: f64, lon: f64) -> Result<Self, InvalidPlace> {
        // NaN is in no range, so this refuses it too.
        if (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon) {
            Ok(Self { lat, lon })
        } else {
            Err(InvalidPlace)
        }
    }

    /// Degrees north.
    pub const fn lat(self) -> f64 {
        self.lat
    }

    /// Degrees east.
    pub const fn lon(self) -> f64 {
        self.lon
    }

    /// The direction from the Earth's centre to this place.
    pub fn to_unit(self) -> UnitVector {
        let (sin_lat, cos_lat) = self.lat.to_radians().sin_cos();
        let (sin_lon, cos_lon) = self.lon.to_radians().sin_cos();
        UnitVector([cos_lat * cos_lon, cos_lat * sin_lon, sin_lat])
    }

    /// Great-circle distance in metres.
    pub fn distance_m(self, other: Self) -> f64 {
        self.to_unit().distance_m(other.to_unit())
    }

    /// The place `metres` away at `bearing` radians clockwise from north, along a great circle.
    pub fn destination(self, bearing: f64, metres: f64) -> Self {
        let (sin_lat, cos_lat) = self.lat.to_radians().sin_cos();
        let (sin_lon, cos_lon) = self.lon.to_radians().sin_cos();
        let (sin_b, cos_b) = bearing.sin_cos();
        let (sin_d, cos_d) = (metres / EARTH_RADIUS_M).sin_cos();
        let [x, y, z] = self.to_unit().0;
        // The tangent at this place: north and east, mixed by the bearing.
        let tangent = [
            -sin_lat * cos_lon * cos_b - sin_lon * sin_b,
            -sin_lat * sin_lon * cos_b + cos_lon * sin_b,
            cos_lat * cos_b,
        ];
        let [x, y, z] = [
            x * cos_d + tangent[0] * sin_d,
            y * cos_d + tangent[1] * sin_d,
            z * cos_d + tangent[2] * sin_d,
        ];
        // atan2 stays exact near the poles, where asin does not.
        Self {
            lat: z.atan2(x.hypot(y)).to_degrees(),
            lon: y.atan2(x).to_degrees(),
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place(redacted)")
    }
}

/// A point on the unit sphere: no poles, and no edge at ±180°.
#[derive(Clone, Copy, PartialEq)]
pub struct UnitVector(pub [f64; 3]);

impl UnitVector {
    /// Squared length of the straight line between two points, in Earth radii².
    #[inline]
    fn chord_sq(self, other: Self) -> f64 {
        let [x, y, z] = self.0;
        let [u, v, w] = other.0;
        let (dx, dy, dz) = (x - u, y - v, z - w);
        dx * dx + dy * dy + dz * dz
    }

    /// Great-circle distance in metres.
    pub fn distance_m(self, other: Self) -> f64 {
        let half_chord = self.chord_sq(other).sqrt() / 2.0;
        2.0 * EARTH_RADIUS_M * half_chord.min(1.0).asin()
    }
}

impl std::fmt::Debug for UnitVector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UnitVector(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The haversine formula, as the reference (R. W. Sinnott, Sky and Telescope 68/2, 1984).
    fn haversine_m(a: Place, b: Place) -> f64 {
        let (phi1, phi2) = (a.lat.to_radians(), b.lat.to_radians());
        let s = ((phi2 - phi1) / 2.0).sin();
        let t = ((b.lon - a.lon).to_radians() / 2.0).sin();
        let h = s * s + phi1.cos() * phi2.cos() * t * t;
        2.0 * EARTH_RADIUS_M * h.min(1.0).sqrt().asin()
    }

    fn place() -> impl Strategy<Value = Place> {
        (
            prop_oneof![
                -90.0..=90.0,
                89.9..=90.0,
                -90.0..=-89.9,
                Just(90.0),
                Just(-90.0)
            ],
            prop_oneof![
                -180.0..=180.0,
                179.9..=180.0,
                -180.0..=-179.9,
                Just(180.0),
                Just(-180.0)
            ],
        )
            .prop_map(|(lat, lon)| Place::new(lat, lon).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn distance_matches_haversine(a in place(), b in place()) {
            let reference = haversine_m(a, b);
            // The absolute term is what f64 degrees can express, a few nanometres.
            prop_assert!((a.distance_m(b) - reference).abs() <= 0.001 * reference + 1e-6);
        }

        #[test]
        fn near_distance_matches_haversine(a in place(), bearing in 0.0..std::f64::consts::TAU, d in 0.0..5_000.0) {
            let b = a.destination(bearing, d);
            prop_assert!((a.distance_m(b) - d).abs() <= 0.001 * d + 1e-3);
            prop_assert!((haversine_m(a, b) - d).abs() <= 0.001 * d + 1e-3);
        }
    }

    #[test]
    fn known_distances() {
        let berlin = Place::new(52.5163, 13.3777).unwrap();
        let paris = Place::new(48.8584, 2.2945).unwrap();
        assert!((berlin.distance_m(paris) / 1_000.0 - 879.0).abs() < 2.0);
        let pole = Place::new(90.0, 12.0).unwrap();
        assert!(pole.distance_m(Place::new(90.0, -100.0).unwrap()) < 1e-6);
        let east = Place::new(0.0, 180.0).unwrap();
        assert!(east.distance_m(Place::new(0.0, -180.0).unwrap()) < 1e-6);
        let south = Place::new(-90.0, 0.0).unwrap();
        assert!((pole.distance_m(south) - std::f64::consts::PI * EARTH_RADIUS_M).abs() < 1.0);
    }

    #[test]
    fn bad_coordinates_are_refused() {
        for (lat, lon) in [
            (f64::NAN, 0.0),
            (0.0, f64::NAN),
            (f64::INFINITY, 0.0),
            (0.0, f64::NEG_INFINITY),
            (90.000_001, 0.0),
            (0.0, -180.000_001),
        ] {
            assert_eq!(Place::new(lat, lon), Err(InvalidPlace));
        }
    }
}
