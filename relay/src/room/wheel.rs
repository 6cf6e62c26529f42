//! When in each second whom is told of.
//!
//! To tell everyone of everyone at one instant would hold up whatever is said just then. So a second
//! is a turn of a wheel with many steps, and each person has one of them, their *phase*. All who are
//! told of a change of theirs are told in one step, so several observers together learn no more of
//! its instant than one does. The phase comes from the public id: it says nothing of the place, and
//! it is the same on every relay.

use std::{hash::BuildHasher, time::Duration};

use neartalk_shared::{PeerId, Timestamp, limits::PRESENCE_TICK, time::millis};
use rustc_hash::FxBuildHasher;

/// Steps of a turn.
pub const STEPS: usize = 20;

/// From one step to the next.
pub const STEP: Duration = PRESENCE_TICK.checked_div(STEPS as u32).unwrap();

/// Somebody's step in each turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase(u8);

impl Phase {
    /// That of the person with this id.
    pub fn of(peer_id: &PeerId) -> Self {
        Self((FxBuildHasher.hash_one(peer_id) % STEPS as u64) as u8)
    }

    /// Its number, from 0 to [`STEPS`] − 1.
    pub const fn number(self) -> usize {
        self.0 as usize
    }
}

/// Says which phases are due.
#[derive(Debug, Default)]
pub struct Wheel {
    /// Number of the last step, since 1970; none before the first.
    last: Option<u64>,
}

impl Wheel {
    /// The phases whose step has come since the last call, each once, in order. At first, and after
    /// a second without a call, these are all.
    pub fn turn(&mut self, now: Timestamp) -> impl Iterator<Item = Phase> + Clone + use<> {
        let reached = now.as_millis() / millis(STEP);
        let whole = reached.saturating_sub(STEPS as u64);
        let last = self.last.map_or(whole, |last| last.max(whole));
        self.last = Some(last.max(reached));
        (last + 1..=reached).map(|step| Phase((step % STEPS as u64) as u8))
    }

    /// Number of the turn that somebody with this phase is in; it begins with their step.
    pub fn turn_of(&self, phase: Phase) -> u32 {
        let since = self.last.unwrap_or_default().saturating_sub(phase.0.into());
        // It is only compared with that of a moment ago.
        (since / STEPS as u64) as u32
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn every_phase_comes_once_a_second_however_late_the_calls_are() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut wheel = Wheel::default();
        let mut now = Timestamp::from_millis(1_790_000_000_017);
        assert_eq!(wheel.turn(now).count(), STEPS, "nobody knows since when");
        let mut came = [now; STEPS];
        let mut times = [0_u32; STEPS];
        let start = now;
        for _ in 0..2_000 {
            // Now and then nobody calls for longer than a step.
            let longest = if rng.random_bool(0.1) { 700 } else { 60 };
            let pause = rng.random_range(1..longest);
            now = now + Duration::from_millis(pause);
            for phase in wheel.turn(now) {
                let at = &mut came[phase.number()];
                let between = now.since(*at);
                // Each call may be as late as the pause before it.
                assert!(between <= PRESENCE_TICK + Duration::from_millis(pause));
                *at = now;
                times[phase.number()] += 1;
            }
        }
        let turns = now.since(start).as_secs() as u32;
        assert!(times.iter().all(|&n| n.abs_diff(turns) <= 1), "{times:?}");
    }

    #[test]
    fn with_a_call_in_each_step_one_phase_is_due_at_a_time() {
        let mut wheel = Wheel::default();
        let mut now = Timestamp::from_millis(1_790_000_000_003);
        wheel.turn(now).for_each(drop);
        for _ in 0..100 {
            now = now + STEP;
            assert_eq!(wheel.turn(now).count(), 1);
            assert_eq!(wheel.turn(now).count(), 0);
        }
        // Nor does it turn back.
        assert_eq!(wheel.turn(Timestamp::from_millis(5)).count(), 0);
        assert_eq!(wheel.turn(now + STEP).count(), 1);
        assert_eq!(wheel.turn(now + PRESENCE_TICK * 60).count(), STEPS);
    }

    #[test]
    fn a_turn_begins_with_ones_own_step() {
        let mut wheel = Wheel::default();
        let mut now = Timestamp::from_millis(1_790_000_000_000);
        let mut before: Option<[u32; STEPS]> = None;
        for _ in 0..3 * STEPS {
            let due = wheel.turn(now).last().unwrap();
            let turns = std::array::from_fn(|n| wheel.turn_of(Phase(n as u8)));
            if let Some(before) = before {
                for (n, (new, old)) in turns.iter().zip(before).enumerate() {
                    assert_eq!(new - old, u32::from(n == due.number()));
                }
            }
            before = Some(turns);
            now = now + STEP;
        }
    }

    #[test]
    fn people_are_spread_evenly() {
        let mut rng = StdRng::seed_from_u64(2);
        let mut people = [0_u32; STEPS];
        for _ in 0..20_000 {
            people[Phase::of(&PeerId::random(&mut rng)).number()] += 1;
        }
        assert!(
            people.iter().all(|n| (850..1_150).contains(n)),
            "{people:?}"
        );
    }
}
