//! Places to meet.

use std::f64::consts::FRAC_PI_2;

use neartalk_shared::{Place, Radius, Spot, grid};

/// A place in degrees.
pub fn place(lat: f64, lon: f64) -> Place {
    Place::new(lat, lon).unwrap()
}

/// A radius in metres.
pub fn radius(metres: u32) -> Radius {
    Radius::new(metres).unwrap()
}

/// A person's spot, as the relay must see it.
pub fn spot(place: Place, metres: u32) -> Spot {
    Spot::new(place, radius(metres))
}

/// The centre of the cell that `place` lies in for a circle of `metres`.
pub fn centre(place: Place, metres: u32) -> Place {
    grid::snap(place, radius(metres))
}

/// The place so many metres further east.
pub fn east(from: Place, metres: f64) -> Place {
    from.destination(FRAC_PI_2, metres)
}

/// The place so many metres further north.
pub fn north(from: Place, metres: f64) -> Place {
    from.destination(0.0, metres)
}

/// The number `i` of a row of places so far apart that nobody at one is in range of anybody at
/// another.
pub fn beside(i: u32) -> Place {
    place(48.2082, 16.3738 + f64::from(i) * 0.1)
}
