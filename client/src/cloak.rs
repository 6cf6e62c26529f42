//! From where the device is to what may be known of it: the cell that is told, and when.
//!
//! A cell hides where in it somebody is, but the moment in which somebody changes cells would give
//! away that they stand at its border. So a cell is left only after a random margin beyond its
//! border, drawn once for each cell and remembered (drawn anew with each step, the lowest of many
//! draws would win), and the change is told only after a random time. What is told then is the cell
//! that the device is in by then.
//!
//! The margin is up to a whole side of a cell: the test below measures what an
//! attacker makes of the crossings of somebody who walks, and half a side is not enough.

use std::time::{Duration, Instant};

use neartalk_shared::{Cell, Grid, Place, Radius};
use rand::{Rng, RngExt};

use crate::location::Fix;

/// Largest margin beyond the border, in sides of a cell.
const MARGIN: f64 = 1.0;
/// A change of cell is told after a time from this range.
const DELAY: std::ops::Range<Duration> = Duration::from_secs(5)..Duration::from_secs(20);

/// Decides which cell may be known, from fixes over time.
#[derive(Debug)]
pub struct Cloak {
    grid: Grid,
    here: Option<Place>,
    public: Option<Public>,
    /// Largest margin, in sides of a cell.
    margin: f64,
}

/// What may be known.
#[derive(Debug)]
struct Public {
    cell: Cell,
    /// How far beyond the border, in metres, the device must get before the cell is left.
    margin_m: f64,
    /// The margin has been crossed, and the change is told at this time.
    tell_at: Option<Instant>,
}

impl Cloak {
    /// For a circle of `radius`, with no place yet.
    pub fn new(radius: Radius) -> Self {
        Self {
            grid: Grid::for_radius(radius),
            here: None,
            public: None,
            margin: MARGIN,
        }
    }

    /// The cell that may be known now.
    pub fn cell(&self) -> Option<Cell> {
        self.public.as_ref().map(|p| p.cell)
    }

    /// The device is here now.
    pub fn fix(&mut self, now: Instant, fix: Fix, rng: &mut impl Rng) {
        self.here = Some(fix.place);
        self.wake(now, rng);
        match &mut self.public {
            None => self.tell(Cell::containing(fix.place, self.grid), rng),
            Some(public) if fix.by_hand => {
                let cell = Cell::containing(fix.place, self.grid);
                // Whatever was about to be told belongs to the place before.
                public.tell_at = None;
                if cell != public.cell {
                    self.tell(cell, rng);
                }
            }
            Some(public) => public.leave(now, fix.place, rng),
        }
    }

    /// Another circle, and perhaps another grid, whose cell is known at once.
    pub fn set_radius(&mut self, now: Instant, radius: Radius, rng: &mut impl Rng) {
        let grid = Grid::for_radius(radius);
        if grid == self.grid {
            return;
        }
        self.grid = grid;
        if let (Some(here), Some(public)) = (self.here, &self.public) {
            let cell = if grid > public.cell.grid() {
                // A coarser cell follows from the one that is known. Looking at the device's place
                // again would tell of a border that it is about to cross.
                public.cell.coarsened(grid)
            } else {
                Cell::containing(here, grid)
            };
            self.tell(cell, rng);
            if let Some(public) = &mut self.public {
                public.leave(now, here, rng);
            }
        }
    }

    /// Does what time has come for.
    pub fn wake(&mut self, now: Instant, rng: &mut impl Rng) {
        let Some((public, here)) = self.public.as_mut().zip(self.here) else {
            return;
        };
        if public.tell_at.is_none_or(|at| now < at) {
            return;
        }
        public.tell_at = None;
        let cell = Cell::containing(here, self.grid);
        if cell != public.cell {
            self.tell(cell, rng);
        }
    }

    /// When time comes for something.
    pub fn next_wake(&self) -> Option<Instant> {
        self.public.as_ref()?.tell_at
    }

    fn tell(&mut self, cell: Cell, rng: &mut impl Rng) {
        let largest = self.margin * f64::from(cell.grid().side_m());
        self.public = Some(Public {
            cell,
            margin_m: rng.random_range(0.0..=largest),
            tell_at: None,
        });
    }
}

impl Public {
    /// Starts to leave the cell if `here` is beyond the margin.
    fn leave(&mut self, now: Instant, here: Place, rng: &mut impl Rng) {
        let outside = self.cell.distance_outside_m(here);
        if self.tell_at.is_none() && outside > 0.0 && outside >= self.margin_m {
            self.tell_at = Some(now + rng.random_range(DELAY));
        }
    }
}

#[cfg(test)]
mod tests;
