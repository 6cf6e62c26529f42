//! What everybody will do and when, fixed before it begins: the load waits for nobody.
//!
//! Each kind of act comes at random instants (a Poisson process), as acts of people who know
//! nothing of each other do.

use std::f64::consts::TAU;

use neartalk_shared::Spot;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::map::Map;

/// Nobody sends a new place sooner after the last one, in nanoseconds; a relay allows one in 10 s,
/// after a burst.
const WALK_GAP_NS: u64 = 11_000_000_000;

/// Something that somebody does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Says something.
    Say { who: u32 },
    /// Is somewhere else.
    Walk { who: u32, to: Spot },
    /// Hands a peer in voice something to connect by.
    Signal { from: u32, to: u32 },
    /// Joins voice or leaves it.
    Voice { who: u32, inside: bool },
}

/// An act and its time, in nanoseconds from when the load begins.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    pub at: u64,
    pub act: Act,
}

/// How often what happens, all people together, a second.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    pub says: f64,
    pub walks: f64,
    pub signals: f64,
    pub voice: f64,
}

impl Rates {
    /// Of these people, who say so much: whoever walks comes into another cell once a minute, and
    /// whoever is in voice hands out a candidate every 2 s, and leaves or joins every two minutes.
    pub fn of(map: &Map, says: f64) -> Self {
        let count = |chosen: fn(&super::map::Person) -> bool| {
            map.people.iter().filter(|it| chosen(it)).count() as f64
        };
        let in_voice = count(|it| it.in_voice);
        Self {
            says,
            walks: count(|it| it.walks) / 60.0,
            signals: in_voice / 2.0,
            voice: in_voice / 120.0,
        }
    }
}

/// Everything that will be done, in order of time.
pub fn plan(
    map: &Map,
    neighbours: &[Vec<u32>],
    rates: Rates,
    length_ns: u64,
    seed: u64,
) -> Vec<Due> {
    let mut rng = StdRng::seed_from_u64(seed);
    let count = map.people.len() as u32;
    let mut acts = Vec::new();
    each(&mut rng, rates.says, length_ns, |rng, at| {
        let who = rng.random_range(0..count);
        acts.push(Due {
            at,
            act: Act::Say { who },
        });
    });

    let walkers: Vec<u32> = numbers(map, |person| person.walks);
    let mut spots: Vec<Spot> = map.people.iter().map(|person| person.spot).collect();
    let mut last = vec![None; map.people.len()];
    each(&mut rng, rates.walks, length_ns, |rng, at| {
        if walkers.is_empty() {
            return;
        }
        let who = walkers[rng.random_range(0..walkers.len())];
        let since = last[who as usize].map(|last| at - last);
        if since.is_some_and(|since| since < WALK_GAP_NS) {
            return;
        }
        let old = spots[who as usize];
        // Into a neighbouring cell, as far as one may walk in half a minute to two.
        let step = f64::from(old.grid_m());
        let place = old.centre().destination(rng.random_range(0.0..TAU), step);
        let to = Spot::new(place, old.radius());
        spots[who as usize] = to;
        last[who as usize] = Some(at);
        acts.push(Due {
            at,
            act: Act::Walk { who, to },
        });
    });

    // Every fourth comes and goes; the others stay, and hand each other signals.
    let in_voice = numbers(map, |person| person.in_voice);
    let comes_and_goes = |who: u32| in_voice.binary_search(&who).is_ok_and(|at| at % 4 == 0);
    let pairs: Vec<(u32, u32)> = in_voice
        .iter()
        .flat_map(|&from| neighbours[from as usize].iter().map(move |&to| (from, to)))
        .filter(|&(from, to)| {
            map.people[to as usize].in_voice && !comes_and_goes(from) && !comes_and_goes(to)
        })
        .collect();
    each(&mut rng, rates.signals, length_ns, |rng, at| {
        if !pairs.is_empty() {
            let (from, to) = pairs[rng.random_range(0..pairs.len())];
            acts.push(Due {
                at,
                act: Act::Signal { from, to },
            });
        }
    });
    let movers: Vec<u32> = in_voice
        .iter()
        .copied()
        .filter(|&who| comes_and_goes(who))
        .collect();
    let mut inside = vec![true; map.people.len()];
    each(&mut rng, rates.voice, length_ns, |rng, at| {
        if !movers.is_empty() {
            let who = movers[rng.random_range(0..movers.len())];
            let now = !inside[who as usize];
            inside[who as usize] = now;
            acts.push(Due {
                at,
                act: Act::Voice { who, inside: now },
            });
        }
    });
    acts.sort_by_key(|due| due.at);
    acts
}

/// Who is like that.
pub fn numbers(map: &Map, like: impl Fn(&super::map::Person) -> bool) -> Vec<u32> {
    (0..)
        .zip(&map.people)
        .filter(|(_, person)| like(person))
        .map(|(number, _)| number)
        .collect()
}

/// Random instants, `per_second` of them on average.
fn each(rng: &mut StdRng, per_second: f64, length_ns: u64, mut act: impl FnMut(&mut StdRng, u64)) {
    if per_second <= 0.0 {
        return;
    }
    let mut at = 0.0;
    loop {
        // The gaps of a Poisson process are distributed exponentially.
        let share: f64 = rng.random();
        at += -(1.0 - share).ln() / per_second * 1e9;
        if at >= length_ns as f64 {
            return;
        }
        act(rng, at as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH_NS: u64 = 30_000_000_000;

    fn planned(seed: u64) -> (Map, Vec<Vec<u32>>, Rates, Vec<Due>) {
        let map = Map::city(2_000, 3);
        let neighbours = map.neighbours();
        let rates = Rates::of(&map, 500.0);
        let acts = plan(&map, &neighbours, rates, LENGTH_NS, seed);
        (map, neighbours, rates, acts)
    }

    #[test]
    fn everything_comes_as_often_as_asked_for_and_in_order() {
        let (_, _, rates, acts) = planned(1);
        assert!(acts.is_sorted_by_key(|due| due.at));
        assert!(acts.iter().all(|due| due.at < LENGTH_NS));
        let count = |like: fn(&Act) -> bool| acts.iter().filter(|due| like(&due.act)).count();
        for (name, count, rate) in [
            (
                "say",
                count(|act| matches!(act, Act::Say { .. })),
                rates.says,
            ),
            (
                "walk",
                count(|act| matches!(act, Act::Walk { .. })),
                rates.walks,
            ),
            (
                "signal",
                count(|act| matches!(act, Act::Signal { .. })),
                rates.signals,
            ),
        ] {
            let expected = rate * 30.0;
            // Five standard deviations, and those who had walked just before.
            let off = (count as f64 - expected).abs();
            assert!(
                off < 5.0 * expected.sqrt() + 0.2 * expected * f64::from(u8::from(name == "walk")),
                "{name}: {count} of {expected}"
            );
        }
        assert!(count(|act| matches!(act, Act::Voice { .. })) > 5);
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let times = |seed| -> Vec<u64> { planned(seed).3.iter().map(|due| due.at).collect() };
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
    }

    #[test]
    fn nobody_walks_too_often_or_too_fast_and_signals_reach_their_peers() {
        let (map, _, _, acts) = planned(1);
        let mut last = vec![(None, Spot::clone(&map.people[0].spot)); map.people.len()];
        for (last, person) in last.iter_mut().zip(&map.people) {
            last.1 = person.spot;
        }
        let mut in_voice: Vec<bool> = map.people.iter().map(|it| it.in_voice).collect();
        for due in acts {
            match due.act {
                Act::Say { .. } => {}
                Act::Walk { who, to } => {
                    let (before, from) = last[who as usize];
                    assert!(before.is_none_or(|before| due.at - before >= WALK_GAP_NS));
                    assert!(map.people[who as usize].walks);
                    assert!(from.distance_m(&to) <= 2.5 * f64::from(from.grid_m()));
                    last[who as usize] = (Some(due.at), to);
                }
                Act::Signal { from, to } => {
                    assert!(in_voice[from as usize] && in_voice[to as usize] && from != to);
                    let (from, to) = (&map.people[from as usize], &map.people[to as usize]);
                    assert!(from.spot.in_range(&to.spot));
                }
                Act::Voice { who, inside } => {
                    assert_ne!(in_voice[who as usize], inside);
                    in_voice[who as usize] = inside;
                }
            }
        }
    }
}
