//! How long packets are under way, against the quickest of late.

use std::collections::VecDeque;

use super::{MS, Samples};

/// A path may change; what was quick longer ago than this says nothing.
const WINDOW: Samples = 2_000 * MS;
/// Packets arriving within this of each other share an entry, which bounds the memory.
const GRAIN: Samples = 20 * MS;

/// The least transit of the last two seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Transit {
    /// Arrivals with their transits, each transit less than all that came later: the first is the
    /// least. Two seconds of grains at most.
    least: VecDeque<(Samples, Samples)>,
}

impl Transit {
    /// Takes note of a packet; its relative delay, and how much the base has risen because quicker
    /// packets passed out of the window.
    pub(super) fn arrive(&mut self, now: Samples, timestamp: Samples) -> (Samples, Samples) {
        let transit = now - timestamp;
        let before = self.base();
        while self.least.back().is_some_and(|&(_, t)| t >= transit) {
            self.least.pop_back();
        }
        let crowded = self.least.back().is_some_and(|&(at, _)| now - at < GRAIN);
        if !crowded {
            self.least.push_back((now, transit));
        }
        while self.least.len() > 1 && self.least.front().is_some_and(|&(at, _)| now - at > WINDOW) {
            self.least.pop_front();
        }
        let base = self.base().unwrap_or(transit);
        let risen = before.map_or(0, |before| (base - before).max(0));
        (transit - base, risen)
    }

    /// What playing or a packet would be delayed by at no relative delay; `None` before the first
    /// packet.
    pub(super) fn base(&self) -> Option<Samples> {
        self.least.front().map(|&(_, transit)| transit)
    }

    /// Forgets everything: the sender's clock is another.
    pub(super) fn forget(&mut self) {
        self.least.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_is_against_the_quickest_of_the_last_two_seconds() {
        let mut transit = Transit::default();
        assert_eq!(transit.arrive(1_000 * MS, 0), (0, 0));
        assert_eq!(transit.arrive(1_030 * MS, 20 * MS), (10 * MS, 0));
        // A quicker one sets the mark.
        assert_eq!(transit.arrive(1_035 * MS, 40 * MS), (0, 0));
        assert_eq!(transit.arrive(1_060 * MS, 60 * MS), (5 * MS, 0));
        // Two seconds later only the slow path is left.
        for n in 4..200 {
            transit.arrive(1_050 * MS + n * 20 * MS, n * 20 * MS);
        }
        assert_eq!(transit.base(), Some(1_050 * MS));
    }

    #[test]
    fn a_base_that_rises_says_by_how_much() {
        let mut transit = Transit::default();
        let mut risen = 0;
        for n in 0..50 {
            risen += transit.arrive(n * 20 * MS, n * 20 * MS).1;
        }
        for n in 50..200 {
            risen += transit.arrive(n * 20 * MS + 70 * MS, n * 20 * MS).1;
        }
        assert_eq!(risen, 70 * MS);
    }

    #[test]
    fn memory_is_bounded() {
        let mut transit = Transit::default();
        for n in 0..100_000 {
            // Ever slower: no packet ever displaces another.
            transit.arrive(n * 2 * MS, n * 2 * MS - n);
            assert!(transit.least.len() <= (WINDOW / GRAIN) as usize + 2);
        }
    }
}
