//! What people report, and when it is enough.
//!
//! Only people near the reported one count, each once, and at most [`PER_ORIGIN`] of one address:
//! somebody who makes a hundred sessions in a browser is still one voice, or two.

use std::{collections::VecDeque, time::Duration};

use neartalk_shared::{MessageId, PeerId, Timestamp, frame::ReportReason};
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::origin::OriginDigest;
use crate::quota::{Gcra, Quota};

/// At most so many reports are kept, the newest; beyond it those go first that don't count.
const KEPT_MAX: usize = 10_000;

/// How many reporters of one address count.
pub const PER_ORIGIN: usize = 2;

/// One address may report so often a minute …
const PER_MINUTE: u32 = 20;
/// … after a burst of so many: people around each other often share one address. So it takes a dozen
/// addresses to fill all that is kept within [`WINDOW`].
const BURST: u32 = 200;

/// Reports count against somebody for so long, and are kept for so long: as long as what was said.
pub const WINDOW: Duration = Duration::from_secs(30 * 60);

/// A report, as it is kept for whoever runs the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When.
    pub at: Timestamp,
    /// Who reports.
    pub reporter: PeerId,
    /// Who is reported.
    pub reported: PeerId,
    /// Why.
    pub reason: ReportReason,
    /// With which message.
    pub message_id: Option<MessageId>,
    /// Whether the two were near each other, so that it counts.
    pub near: bool,
}

#[derive(Clone, Copy, Debug)]
struct Voice {
    at: Timestamp,
    reporter: PeerId,
    origin: OriginDigest,
}

/// The reports of the last half-hour.
#[derive(Debug, Default)]
pub struct Reports {
    kept: VecDeque<Report>,
    /// How many of them don't count.
    from_afar: usize,
    /// Who speaks against whom; each reporter once.
    cases: FxHashMap<PeerId, Vec<Voice>>,
    /// How much each address has reported lately.
    pace: FxHashMap<OriginDigest, Gcra>,
}

impl Reports {
    /// Whether somebody at `origin` may report once more, or in how many milliseconds they may.
    pub fn may_come(&mut self, origin: OriginDigest, now: Timestamp) -> Result<(), u64> {
        let quota = Quota::per_window(PER_MINUTE, Duration::from_secs(60), BURST);
        self.pace.entry(origin).or_default().check(&quota, now)
    }

    /// Forgets addresses that have reported nothing for a while. Looks at all of them.
    pub fn sweep_idle(&mut self, now: Timestamp) {
        self.pace.retain(|_, gcra| !gcra.is_idle(now));
    }

    /// Takes in a report from somebody at `origin`; how many voices now count against the reported.
    pub fn add(&mut self, report: Report, origin: OriginDigest) -> usize {
        self.sweep(report.at);
        if self.kept.len() >= KEPT_MAX {
            self.make_room();
        }
        self.kept.push_back(report);
        self.from_afar += usize::from(!report.near);
        if report.near {
            let voices = self.cases.entry(report.reported).or_default();
            match voices.iter_mut().find(|v| v.reporter == report.reporter) {
                Some(voice) => voice.at = report.at,
                None => voices.push(Voice {
                    at: report.at,
                    reporter: report.reporter,
                    origin,
                }),
            }
        }
        self.voices(&report.reported)
    }

    /// How many voices count against somebody.
    pub fn voices(&self, reported: &PeerId) -> usize {
        let mut by_origin: FxHashMap<OriginDigest, usize> = FxHashMap::default();
        for voice in self.cases.get(reported).into_iter().flatten() {
            *by_origin.entry(voice.origin).or_default() += 1;
        }
        by_origin.values().map(|n| (*n).min(PER_ORIGIN)).sum()
    }

    /// Somebody has been dealt with: what was said against them counts no more, but is kept.
    pub fn settle(&mut self, reported: &PeerId) {
        self.cases.remove(reported);
    }

    /// The reports, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Report> {
        self.kept.iter()
    }

    /// Forgets what is older than [`WINDOW`].
    pub fn sweep(&mut self, now: Timestamp) {
        while self
            .kept
            .front()
            .is_some_and(|report| report.at + WINDOW <= now)
        {
            self.drop_oldest();
        }
    }

    /// Drops the oldest that does not count, so that nobody is saved from a ban by reports from afar.
    fn make_room(&mut self) {
        let mut kept = self.kept.iter();
        let from_afar = (self.from_afar > 0).then(|| kept.position(|report| !report.near));
        match from_afar.flatten() {
            Some(at) => {
                self.kept.remove(at);
                self.from_afar -= 1;
            }
            None => self.drop_oldest(),
        }
    }

    fn drop_oldest(&mut self) {
        let Some(old) = self.kept.pop_front() else {
            return;
        };
        self.from_afar -= usize::from(!old.near);
        if let Some(voices) = self.cases.get_mut(&old.reported) {
            // A later report of the same person keeps the voice.
            voices.retain(|v| v.reporter != old.reporter || v.at > old.at);
            if voices.is_empty() {
                self.cases.remove(&old.reported);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn people(n: usize) -> Vec<PeerId> {
        let mut rng = StdRng::seed_from_u64(7);
        (0..n).map(|_| PeerId::random(&mut rng)).collect()
    }

    fn report(reporter: PeerId, reported: PeerId, seconds: u64) -> Report {
        Report {
            at: Timestamp::from_millis(1_000_000 + 1_000 * seconds),
            reporter,
            reported,
            reason: ReportReason::Spam,
            message_id: None,
            near: true,
        }
    }

    fn origin(n: u8) -> OriginDigest {
        OriginDigest([n; 16])
    }

    #[test]
    fn each_reporter_counts_once_and_each_address_twice() {
        let mut reports = Reports::default();
        let people = people(10);
        let bad = people[0];
        assert_eq!(reports.add(report(people[1], bad, 0), origin(1)), 1);
        assert_eq!(reports.add(report(people[1], bad, 1), origin(1)), 1);
        assert_eq!(reports.add(report(people[2], bad, 2), origin(1)), 2);
        // Further sessions of the same address add nothing.
        for (reporter, at) in people[3..9].iter().zip(3..) {
            let voices = reports.add(report(*reporter, bad, at), origin(1));
            assert_eq!(voices, PER_ORIGIN);
        }
        assert_eq!(reports.add(report(people[9], bad, 9), origin(2)), 3);
        assert_eq!(reports.voices(&people[1]), 0);
        reports.settle(&bad);
        assert_eq!(reports.voices(&bad), 0);
        assert_eq!(reports.iter().count(), 10);
    }

    #[test]
    fn from_afar_is_kept_and_does_not_count() {
        let mut reports = Reports::default();
        let people = people(2);
        let afar = Report {
            near: false,
            ..report(people[0], people[1], 0)
        };
        assert_eq!(reports.add(afar, origin(1)), 0);
        assert_eq!(reports.iter().collect::<Vec<_>>(), [&afar]);
    }

    #[test]
    fn half_an_hour_later_it_is_forgotten() {
        let mut reports = Reports::default();
        let people = people(4);
        let bad = people[0];
        reports.add(report(people[1], bad, 0), origin(1));
        reports.add(report(people[2], bad, 1_000), origin(2));
        // Said again, it counts for as long again.
        reports.add(report(people[1], bad, 1_500), origin(1));
        reports.sweep(Timestamp::from_millis(1_000_000 + 1_800_000));
        assert_eq!((reports.iter().count(), reports.voices(&bad)), (2, 2));
        assert_eq!(reports.add(report(people[3], bad, 2_900), origin(3)), 2);
        reports.sweep(Timestamp::from_millis(1_000_000 + 9_000_000));
        assert_eq!(reports.from_afar, 0);
        assert_eq!((reports.iter().count(), reports.cases.len()), (0, 0));
    }

    #[test]
    fn reports_from_afar_push_out_none_that_counts() {
        let mut reports = Reports::default();
        let people = people(100);
        let bad = people[0];
        reports.add(report(people[1], bad, 0), origin(1));
        for n in 0..2 * KEPT_MAX {
            let afar = Report {
                near: false,
                ..report(people[2 + n % 50], people[60 + n % 40], 1)
            };
            reports.add(afar, origin(2));
        }
        assert_eq!(
            (reports.iter().count(), reports.voices(&bad)),
            (KEPT_MAX, 1)
        );
    }

    #[test]
    fn an_address_reports_only_so_often_and_others_do_not_notice() {
        let mut reports = Reports::default();
        let at = |seconds: u64| Timestamp::from_millis(1_000_000 + 1_000 * seconds);
        let taken = |reports: &mut Reports, n, now| {
            let all = (0..1_000).take_while(|_| reports.may_come(origin(n), now).is_ok());
            all.count()
        };
        assert_eq!(taken(&mut reports, 1, at(0)), BURST as usize);
        assert_eq!(reports.may_come(origin(1), at(0)), Err(3_000));
        assert_eq!(taken(&mut reports, 2, at(0)), BURST as usize);
        assert_eq!(taken(&mut reports, 1, at(60)), PER_MINUTE as usize);
        reports.sweep_idle(at(600));
        assert_eq!(reports.pace.len(), 1, "one has reported since");
        reports.sweep_idle(at(660));
        assert!(reports.pace.is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let mut reports = Reports::default();
        let people = people(200);
        for n in 0..2 * KEPT_MAX {
            let mut one = report(people[n % 199], people[199 - n % 99], 0);
            one.at = one.at + Duration::from_millis(n as u64);
            reports.add(one, origin(1));
        }
        assert_eq!(reports.iter().count(), KEPT_MAX);
    }
}
