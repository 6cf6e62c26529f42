//! Which device to use, decided: what there is, what is wanted and what has failed in, a device out.

use std::{collections::BTreeMap, time::Duration};

use super::{DeviceId, DeviceInfo};

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Whatever the system's default is at any time; another device while that can't be had.
    #[default]
    Default,
    /// This device; while it can't be had, as if nothing were chosen.
    Device(DeviceId),
    /// None, on purpose.
    Nothing,
}

/// A device that has failed is left alone for so long, twice as long each time.
const FIRST_PENALTY: Duration = Duration::from_secs(1);
const LONGEST_PENALTY: Duration = Duration::from_secs(60);

/// After so long a time in use, an earlier failure is forgiven.
const FORGIVEN: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
struct Penalty {
    until: Duration,
    failures: u32,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice<'a> {
    /// Go on as it is.
    Keep,
    /// The device in use is no longer there.
    Gone,
    /// Use this one instead of what is in use, if anything.
    Open {
        device: &'a DeviceInfo,
        /// Whether it stands in for another.
        fallback: bool,
    },
    /// Use nothing; `wanted` if something is, but can't be had.
    Nothing { wanted: bool },
}

/// Decides for one direction. Time is that since any start.
#[derive(Debug, Default)]
pub(super) struct Chooser {
    wanted: Selection,
    current: Option<(DeviceId, Duration)>,
    penalties: BTreeMap<DeviceId, Penalty>,
}

impl Chooser {
    pub fn new(wanted: Selection) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    /// Whoever chooses gets another try at once.
    pub fn select(&mut self, wanted: Selection) {
        self.wanted = wanted;
        self.penalties.clear();
    }

    pub fn opened(&mut self, now: Duration, id: DeviceId) {
        self.current = Some((id, now));
    }

    pub fn closed(&mut self) {
        self.current = None;
    }

    /// It could not be opened, or failed in use.
    pub fn failed(&mut self, now: Duration, id: DeviceId) {
        let in_use = self.current.take_if(|(current, _)| *current == id);
        let penalty = self.penalties.entry(id).or_insert(Penalty {
            until: now,
            failures: 0,
        });
        if in_use.is_some_and(|(_, since)| now.saturating_sub(since) > FORGIVEN) {
            penalty.failures = 0;
        }
        let wait = FIRST_PENALTY * 2u32.pow(penalty.failures.min(6));
        penalty.until = now + wait.min(LONGEST_PENALTY);
        penalty.failures += 1;
    }

    /// What to do when these are the devices.
    pub fn choose<'a>(&mut self, now: Duration, devices: &'a [DeviceInfo]) -> Choice<'a> {
        // What is plugged in again is as good as new.
        self.penalties
            .retain(|id, _| devices.iter().any(|device| device.id == *id));
        let current = self.current.as_ref().map(|(id, _)| id);
        if current.is_some_and(|id| !devices.iter().any(|device| device.id == *id)) {
            self.current = None;
            return Choice::Gone;
        }
        if self.wanted == Selection::Nothing {
            return match current {
                Some(_) => Choice::Nothing { wanted: false },
                None => Choice::Keep,
            };
        }
        let best = devices
            .iter()
            .filter(|device| {
                let penalty = self.penalties.get(&device.id);
                penalty.is_none_or(|penalty| penalty.until <= now)
            })
            .min_by_key(|device| self.rank(device));
        match (best, current) {
            (Some(best), Some(current)) if best.id == *current => Choice::Keep,
            // No reason to leave one stand-in for another.
            (Some(best), Some(_)) if self.rank(best) == Rank::Other => Choice::Keep,
            (Some(best), _) => Choice::Open {
                device: best,
                fallback: self.is_fallback(best, devices),
            },
            // It works, so it has no penalty and would be the best.
            (None, Some(_)) => Choice::Keep,
            (None, None) => Choice::Nothing { wanted: true },
        }
    }

    fn rank(&self, device: &DeviceInfo) -> Rank {
        match &self.wanted {
            Selection::Device(id) if *id == device.id => Rank::Wanted,
            _ if device.is_default => Rank::Default,
            _ => Rank::Other,
        }
    }

    fn is_fallback(&self, device: &DeviceInfo, devices: &[DeviceInfo]) -> bool {
        match &self.wanted {
            Selection::Device(id) => *id != device.id,
            _ => !device.is_default && devices.iter().any(|device| device.is_default),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Wanted,
    Default,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(name: &str) -> DeviceId {
        DeviceId::new(name)
    }

    /// The first is the default.
    fn devices(names: &[&str]) -> Vec<DeviceInfo> {
        let info = |(n, name): (usize, &&str)| DeviceInfo {
            id: id(name),
            name: (*name).to_owned(),
            is_default: n == 0,
            is_worn: false,
        };
        names.iter().enumerate().map(info).collect()
    }

    /// Lets it choose and does as it says, until it is content. Which device is used then?
    fn settle(chooser: &mut Chooser, now: Duration, names: &[&str]) -> Option<(String, bool)> {
        let devices = devices(names);
        let mut last = None;
        for _ in 0..10 {
            match chooser.choose(now, &devices) {
                Choice::Keep => {
                    return chooser.current.as_ref().map(|(id, _)| {
                        let fallback = last == Some(true);
                        (id.as_str().to_owned(), fallback)
                    });
                }
                Choice::Gone => assert!(chooser.current.is_none()),
                Choice::Open { device, fallback } => {
                    last = Some(fallback);
                    chooser.opened(now, device.id.clone());
                }
                Choice::Nothing { .. } => {
                    chooser.closed();
                    return None;
                }
            }
        }
        panic!("it never settles");
    }

    fn used(name: &str, fallback: bool) -> Option<(String, bool)> {
        Some((name.to_owned(), fallback))
    }

    #[test]
    fn the_default_is_followed() {
        let mut chooser = Chooser::new(Selection::Default);
        let now = SECOND;
        assert_eq!(settle(&mut chooser, now, &["a", "b"]), used("a", false));
        assert_eq!(settle(&mut chooser, now, &["b", "a"]), used("b", false));
        assert_eq!(settle(&mut chooser, now, &["c"]), used("c", false));
        assert_eq!(settle(&mut chooser, now, &[]), None);
        assert_eq!(settle(&mut chooser, now, &["a"]), used("a", false));
    }

    #[test]
    fn a_chosen_device_is_returned_to() {
        let mut chooser = Chooser::new(Selection::Device(id("c")));
        let now = SECOND;
        assert_eq!(settle(&mut chooser, now, &["a", "b"]), used("a", true));
        assert_eq!(
            settle(&mut chooser, now, &["a", "b", "c"]),
            used("c", false)
        );
        assert_eq!(settle(&mut chooser, now, &["b", "a"]), used("b", true));
        chooser.select(Selection::Device(id("a")));
        assert_eq!(settle(&mut chooser, now, &["b", "a"]), used("a", false));
        chooser.select(Selection::Nothing);
        assert_eq!(settle(&mut chooser, now, &["b", "a"]), None);
        assert_eq!(chooser.choose(now, &devices(&["b"])), Choice::Keep);
    }

    #[test]
    fn what_failed_is_left_alone_for_longer_each_time_and_another_stands_in() {
        let mut chooser = Chooser::new(Selection::Default);
        let mut now = SECOND;
        assert_eq!(settle(&mut chooser, now, &["a", "b"]), used("a", false));
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            chooser.failed(now, id("a"));
            assert_eq!(settle(&mut chooser, now, &["a", "b"]), used("b", true));
            now += wait * SECOND - Duration::from_millis(1);
            assert!(settle(&mut chooser, now, &["a", "b"]).is_some_and(|(id, _)| id == "b"));
            now += Duration::from_millis(1);
            assert_eq!(settle(&mut chooser, now, &["a", "b"]), used("a", false));
        }
        // In use for a while: forgiven.
        now += 31 * SECOND;
        chooser.failed(now, id("a"));
        assert_eq!(settle(&mut chooser, now, &["a"]), None);
        assert_eq!(settle(&mut chooser, now + SECOND, &["a"]), used("a", false));
        // Plugged out and in again: at once.
        chooser.failed(now, id("a"));
        assert_eq!(settle(&mut chooser, now, &[]), None);
        assert_eq!(settle(&mut chooser, now, &["a"]), used("a", false));
    }

    #[test]
    fn one_stand_in_is_not_left_for_another() {
        let mut chooser = Chooser::new(Selection::Default);
        let without_default = |names: &[&str]| {
            let mut devices = devices(names);
            devices
                .iter_mut()
                .for_each(|device| device.is_default = false);
            devices
        };
        let list = without_default(&["a", "b"]);
        assert!(matches!(
            chooser.choose(SECOND, &list),
            Choice::Open { device, fallback: false } if device.id == id("a")
        ));
        chooser.opened(SECOND, id("a"));
        let list = without_default(&["b", "a"]);
        assert_eq!(chooser.choose(SECOND, &list), Choice::Keep);
        assert_eq!(
            chooser.choose(SECOND, &without_default(&["b"])),
            Choice::Gone
        );
    }
}
