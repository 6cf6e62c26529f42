//! Which regions a relay listens to: those around its people, and for a while those that were.

use std::time::Duration;

use neartalk_shared::Timestamp;
use rustc_hash::FxHashMap;

use super::region::Region;

/// How long a region is listened to after nobody needs it any more; whoever walks along a border
/// would otherwise have it opened and closed all the time.
pub const LINGER: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Entry {
    /// Listened to, and known.
    open: bool,
    /// Around somebody.
    needed: bool,
    /// When it is closed, unless it is needed then.
    linger_until: Timestamp,
}

/// The regions that a relay listens to, or is about to, and who waits for which. `W` stands for
/// somebody who waits.
#[derive(Debug)]
pub struct Attendance<W> {
    regions: FxHashMap<Region, Entry>,
    waiting: Vec<(Vec<Region>, W)>,
}

impl<W> Default for Attendance<W> {
    fn default() -> Self {
        Self {
            regions: FxHashMap::default(),
            waiting: Vec::new(),
        }
    }
}

impl<W> Attendance<W> {
    /// Somebody waits until these regions are open. The answer: which of them are to be opened
    /// now, and `waiter` back if there is nothing to wait for.
    pub fn attend(
        &mut self,
        regions: Vec<Region>,
        waiter: W,
        now: Timestamp,
    ) -> (Vec<Region>, Option<W>) {
        let mut to_open = Vec::new();
        for &region in &regions {
            let entry = self.regions.entry(region).or_insert_with(|| {
                to_open.push(region);
                Entry::new()
            });
            entry.linger_until = now + LINGER;
        }
        if self.are_open(&regions) {
            return (to_open, Some(waiter));
        }
        self.waiting.push((regions, waiter));
        (to_open, None)
    }

    /// This region is around somebody. Whether it is to be opened now.
    pub fn need(&mut self, region: Region) -> bool {
        let is_new = !self.regions.contains_key(&region);
        self.regions.entry(region).or_insert_with(Entry::new).needed = true;
        is_new
    }

    /// This region is no longer around anybody.
    pub fn neglect(&mut self, region: Region, now: Timestamp) {
        if let Some(entry) = self.regions.get_mut(&region) {
            entry.needed = false;
            entry.linger_until = now + LINGER;
        }
    }

    /// These regions are listened to and known. Who need wait no longer.
    pub fn opened(&mut self, regions: &[Region]) -> Vec<W> {
        for region in regions {
            if let Some(entry) = self.regions.get_mut(region) {
                entry.open = true;
            }
        }
        let (ready, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(regions, _)| self.are_open(regions));
        self.waiting = waiting;
        let ready: Vec<(Vec<Region>, W)> = ready;
        ready.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// The regions that are to be closed, which are thereby forgotten.
    pub fn due(&mut self, now: Timestamp) -> Vec<Region> {
        let closed = self
            .regions
            .extract_if(|_, entry| entry.open && !entry.needed && entry.linger_until <= now);
        closed.map(|(region, _)| region).collect()
    }

    /// The regions that are listened to and known.
    pub fn open(&self) -> Vec<Region> {
        let open = self.regions.iter().filter(|(_, entry)| entry.open);
        open.map(|(&region, _)| region).collect()
    }

    /// All regions that are listened to, or are to be.
    pub fn all(&self) -> Vec<Region> {
        self.regions.keys().copied().collect()
    }

    /// Begins anew, with nothing open: these regions are around somebody, others are not. Which
    /// ones are to be opened.
    pub fn restart(&mut self, needed: &[Region], now: Timestamp) -> Vec<Region> {
        for entry in self.regions.values_mut() {
            entry.open = false;
            if std::mem::take(&mut entry.needed) {
                entry.linger_until = now + LINGER;
            }
        }
        for &region in needed {
            self.need(region);
        }
        self.all()
    }

    /// Everyone who waits, in vain.
    pub fn give_up(&mut self) -> Vec<W> {
        std::mem::take(&mut self.waiting)
            .into_iter()
            .map(|(_, waiter)| waiter)
            .collect()
    }

    fn are_open(&self, regions: &[Region]) -> bool {
        regions
            .iter()
            .all(|region| self.regions.get(region).is_some_and(|entry| entry.open))
    }
}

impl Entry {
    const fn new() -> Self {
        Self {
            open: false,
            needed: false,
            linger_until: Timestamp::from_millis(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000 * seconds)
    }

    fn regions() -> [Region; 3] {
        ["u33dc", "u33db", "u33d9"].map(|name| Region::parse(name).unwrap())
    }

    #[test]
    fn nobody_is_let_in_before_every_region_is_open() {
        let [a, b, c] = regions();
        let mut attendance = Attendance::default();
        let (to_open, ready) = attendance.attend(vec![a, b], "Fox", at(0));
        assert_eq!((to_open, ready), (vec![a, b], None));
        // What is being opened already is not opened twice.
        let (to_open, ready) = attendance.attend(vec![b, c], "Owl", at(0));
        assert_eq!((to_open, ready), (vec![c], None));
        assert!(attendance.opened(&[a]).is_empty());
        assert_eq!(attendance.opened(&[b]), ["Fox"]);
        assert_eq!(attendance.opened(&[c]), ["Owl"]);
        let (to_open, ready) = attendance.attend(vec![a, b, c], "Elk", at(1));
        assert_eq!((to_open, ready), (vec![], Some("Elk")));
    }

    #[test]
    fn a_region_that_nobody_needs_lingers() {
        let [a, b, _] = regions();
        let mut attendance = Attendance::default();
        attendance.attend(vec![a, b], (), at(0));
        attendance.opened(&[a, b]);
        assert!(!attendance.need(a));
        assert_eq!(attendance.due(at(29)), []);
        assert_eq!(attendance.due(at(30)), [b]);
        attendance.neglect(a, at(50));
        assert_eq!(attendance.due(at(79)), []);
        // Coming back in time keeps it.
        attendance.need(a);
        assert_eq!(attendance.due(at(500)), []);
        attendance.neglect(a, at(500));
        assert_eq!(attendance.due(at(530)), [a]);
        assert!(attendance.open().is_empty());
        assert!(attendance.need(a));
    }

    #[test]
    fn a_restart_opens_what_is_needed_and_waited_for() {
        let [a, b, c] = regions();
        let mut attendance = Attendance::default();
        attendance.attend(vec![a], "Fox", at(0));
        attendance.opened(&[a]);
        attendance.attend(vec![b], "Owl", at(1));
        let mut to_open = attendance.restart(&[c], at(2));
        to_open.sort_unstable();
        let mut all = vec![a, b, c];
        all.sort_unstable();
        assert_eq!(to_open, all);
        assert!(attendance.open().is_empty());
        assert_eq!(attendance.opened(&all), ["Owl"]);
        let mut closed = attendance.due(at(31));
        closed.sort_unstable();
        let mut idle = vec![a, b];
        idle.sort_unstable();
        assert_eq!(closed, idle);
    }
}
