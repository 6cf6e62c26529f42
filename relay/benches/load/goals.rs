//! Whether figures are what the project set out for.

use crate::report::{Count, Millis, table};

/// Most bytes that an idle socket may cost.
pub const IDLE_BYTES: u64 = 8 * 1024;
/// By how much a delivery in a larger city may cost more or less than in the first.
const FLAT: f64 = 0.2;
/// What two relays have to carry of what one carries.
const TWO_RELAYS: f64 = 1.7;

/// A goal, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    goal: String,
    came: String,
    reached: bool,
}

impl Verdict {
    fn new(goal: String, came: String, reached: bool) -> Self {
        Self {
            goal,
            came,
            reached,
        }
    }

    /// Whether that is enough.
    pub const fn is_reached(&self) -> bool {
        self.reached
    }
}

/// A server at a rate that it keeps up.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Deliveries a second that were asked for.
    pub rate: f64,
    /// Deliveries for each second of its processor time.
    pub per_cpu: f64,
    /// From when a message was due to when it was read, in nanoseconds, at the 99th percentile.
    pub p99_ns: u64,
}

/// Whether NearTalk does `times` as much for its processor time as `other` with a lower 99th percentile:
/// at the highest rate that both keep up, and where each does most for it; there NearTalk's rate is one
/// with a lower 99th percentile, so that it can't buy the one with the other.
pub fn beside(
    place: &str,
    other: &str,
    times: f64,
    ours: &[Kept],
    theirs: &[Kept],
) -> [Verdict; 2] {
    let most = |a: &&Kept, b: &&Kept| a.per_cpu.total_cmp(&b.per_cpu);
    let same = ours
        .iter()
        .filter_map(|our| {
            let their = theirs
                .iter()
                .find(|it| it.rate.total_cmp(&our.rate).is_eq());
            Some((our, their?))
        })
        .max_by(|(a, _), (b, _)| a.rate.total_cmp(&b.rate));
    let best = theirs.iter().max_by(most).and_then(|their| {
        let quicker = ours.iter().filter(|our| our.p99_ns < their.p99_ns);
        let our = quicker.max_by(most).or_else(|| ours.iter().max_by(most));
        Some((our?, their))
    });
    [("the same rate", same), ("each at its best", best)].map(|(how, pair)| {
        let goal = format!("{times} × {other}, {place}, {how}, with a lower p99");
        match pair {
            Some((our, their)) => {
                let ratio = our.per_cpu / their.per_cpu;
                let came = format!(
                    "{ratio:.2} × (at {} and {}/s), p99 {} and {} ms",
                    Count(our.rate),
                    Count(their.rate),
                    Millis(our.p99_ns),
                    Millis(their.p99_ns)
                );
                Verdict::new(goal, came, ratio >= times && our.p99_ns < their.p99_ns)
            }
            None if theirs.is_empty() => {
                let came = "it keeps up with no rate that was tried".to_owned();
                Verdict::new(goal, came, !ours.is_empty())
            }
            None => Verdict::new(goal, "no such rate".to_owned(), false),
        }
    })
}

/// Whether a delivery costs the same in each of these cities, from the first on: how many people, and
/// the cost. One city is compared with nothing.
pub fn flat(costs: &[(usize, f64)]) -> Option<Verdict> {
    let (&(fewest, first), larger) = costs.split_first()?;
    let &(most, _) = larger.last()?;
    let over = |&(people, cost): &(usize, f64)| (people, cost / first);
    // The one that is farthest off.
    let off = |&(_, ratio): &(usize, f64)| (ratio - 1.0).abs();
    let (people, ratio) = larger
        .iter()
        .map(over)
        .max_by(|a, b| off(a).total_cmp(&off(b)))?;
    Some(Verdict::new(
        format!(
            "a delivery costs the same ±{:.0} % from {} to {} people",
            100.0 * FLAT,
            Count(fewest as f64),
            Count(most as f64)
        ),
        format!("{ratio:.2} × at {}", Count(people as f64)),
        (ratio - 1.0).abs() <= FLAT,
    ))
}

/// Whether two relays carry enough of what one carries for the same processor time, at this rate.
pub fn two_relays(rate: f64, one: &str, ratio: f64) -> Verdict {
    Verdict::new(
        format!(
            "two relays carry {TWO_RELAYS} × one {one}, at {}/s",
            Count(rate)
        ),
        format!("{ratio:.2} ×"),
        ratio >= TWO_RELAYS,
    )
}

/// Whether an idle socket costs little enough, among so many.
pub fn idle(sockets: usize, bytes: u64) -> Verdict {
    Verdict::new(
        format!(
            "an idle socket costs at most {IDLE_BYTES} bytes, among {}",
            Count(sockets as f64)
        ),
        format!("{} bytes", Count(bytes as f64)),
        bytes <= IDLE_BYTES,
    )
}

/// All of them, as a Markdown table.
pub fn shown(verdicts: &[Verdict]) -> String {
    let rows: Vec<_> = verdicts
        .iter()
        .map(|verdict| {
            let word = if verdict.reached { "reached" } else { "missed" };
            vec![verdict.goal.clone(), verdict.came.clone(), word.to_owned()]
        })
        .collect();
    format!("### Goals\n\n{}", table(&["goal", "came to", ""], &rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn kept(rate: f64, per_cpu: f64, p99_ms: u64) -> Kept {
        Kept {
            rate,
            per_cpu,
            p99_ns: p99_ms * 1_000_000,
        }
    }

    fn reached(times: f64, ours: &[Kept], theirs: &[Kept]) -> [bool; 2] {
        beside("on the map", "nats", times, ours, theirs).map(|verdict| verdict.reached)
    }

    #[test]
    fn as_much_as_the_goal_with_a_lower_99th_percentile_reaches_it() {
        let theirs = [
            kept(10.0, 100.0, 9),
            kept(30.0, 200.0, 20),
            kept(50.0, 150.0, 90),
        ];
        // The same rate is the highest that both keep up, and theirs is best at another one.
        let ours = [
            kept(30.0, 100.0, 5),
            kept(50.0, 300.0, 19),
            kept(90.0, 900.0, 80),
        ];
        let said = beside("on the map", "nats", 1.5, &ours, &theirs);
        assert_eq!(
            said[0],
            Verdict {
                goal: "1.5 × nats, on the map, the same rate, with a lower p99".into(),
                came: "2.00 × (at 50 and 50/s), p99 19.00 and 90.00 ms".into(),
                reached: true,
            }
        );
        // What does most is too slow to count.
        assert_eq!(
            said[1].came,
            "1.50 × (at 50 and 30/s), p99 19.00 and 20.00 ms"
        );
        assert!(said[1].is_reached());
        assert_eq!(reached(1.51, &ours, &theirs), [true, false]);
        assert_eq!(reached(2.01, &ours, &theirs), [false, false]);
    }

    #[test]
    fn what_is_slower_does_not_reach_a_goal_however_much_it_does() {
        let theirs = [kept(10.0, 100.0, 9)];
        let slow = [kept(10.0, 900.0, 9), kept(30.0, 900.0, 10)];
        assert_eq!(reached(1.5, &slow, &theirs), [false, false]);
        assert_eq!(
            reached(1.5, &[kept(30.0, 900.0, 8)], &theirs),
            [false, true]
        );
    }

    #[test]
    fn whoever_keeps_up_with_nothing_is_outdone_by_whoever_does() {
        let some = [kept(10.0, 100.0, 9)];
        assert_eq!(reached(1.5, &some, &[]), [true, true]);
        assert_eq!(reached(1.5, &[], &some), [false, false]);
        assert_eq!(reached(1.5, &[], &[]), [false, false]);
    }

    #[test]
    fn a_cost_that_rises_or_falls_by_more_than_a_fifth_is_not_flat() {
        let reached = |costs: &[(usize, f64)]| flat(costs).map(|verdict| verdict.reached);
        assert_eq!(reached(&[]), None);
        assert_eq!(reached(&[(1_000, 2.0)]), None);
        assert_eq!(reached(&[(1_000, 2.0), (15_000, 2.4)]), Some(true));
        assert_eq!(reached(&[(1_000, 2.0), (15_000, 2.41)]), Some(false));
        // One in the middle counts, too.
        let fallen = [(1_000, 2.0), (5_000, 1.5), (15_000, 2.2)];
        let said = flat(&fallen).unwrap();
        assert_eq!(said.came, "0.75 × at 5,000");
        assert!(said.goal.contains("from 1,000 to 15,000 people") && !said.reached);
    }

    #[test]
    fn relays_and_sockets_are_judged_by_their_goals() {
        assert!(two_relays(30_000.0, "in memory", 1.7).reached);
        assert!(!two_relays(30_000.0, "in memory", 1.69).reached);
        assert!(idle(8_000, 8_192).reached && !idle(8_000, 8_193).reached);
        let text = shown(&[idle(8_000, 8_192), two_relays(30_000.0, "with Redis", 1.5)]);
        assert!(
            text.contains("among 8,000 | 8,192 bytes | reached |"),
            "{text}"
        );
        assert!(
            text.contains("with Redis, at 30,000/s | 1.50 × | missed |"),
            "{text}"
        );
    }
}
