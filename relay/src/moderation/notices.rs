//! What whoever runs a relay tells everyone, and where nobody may be for a time.

use std::collections::BTreeMap;

use neartalk_shared::{MessageText, Timestamp};
use serde::{Deserialize, Serialize};

use super::cell::Cell5;

/// At most so many announcements at once; everyone who comes gets all of them.
const ANNOUNCEMENTS_MAX: usize = 20;

/// At most so many closed cells at once.
const CLOSURES_MAX: usize = 10_000;

/// Something that everyone is told, or everyone in a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Which, for taking it back.
    pub id: u64,
    /// What.
    pub text: MessageText,
    /// Until when it is told to those who come.
    pub expires_at: Timestamp,
    /// Where; everywhere without one.
    pub geohash: Option<Cell5>,
}

/// Announcements and closed cells.
#[derive(Debug, Default)]
pub struct Notices {
    announcements: Vec<Announcement>,
    closed: BTreeMap<Cell5, Timestamp>,
}

impl Notices {
    /// Adds an announcement, in place of the oldest if there are many.
    pub fn announce(&mut self, announcement: Announcement) {
        if self.announcements.len() >= ANNOUNCEMENTS_MAX {
            self.announcements.remove(0);
        }
        self.announcements.push(announcement);
    }

    /// Takes an announcement back from those who have not come yet.
    pub fn retract(&mut self, id: u64) -> Option<Announcement> {
        let at = self.announcements.iter().position(|a| a.id == id)?;
        Some(self.announcements.remove(at))
    }

    /// The announcements that have not expired, oldest first.
    pub fn announcements(&self, now: Timestamp) -> impl Iterator<Item = &Announcement> {
        self.announcements
            .iter()
            .filter(move |a| a.expires_at > now)
    }

    /// Closes a cell, or closes it until another time. False when too many are closed.
    pub fn close(&mut self, cell: Cell5, until: Timestamp) -> bool {
        let room = self.closed.len() < CLOSURES_MAX || self.closed.contains_key(&cell);
        if room {
            self.closed.insert(cell, until);
        }
        room
    }

    /// Opens a cell again; until when it would have been closed.
    pub fn open(&mut self, cell: Cell5) -> Option<Timestamp> {
        self.closed.remove(&cell)
    }

    /// Whether any cell is closed, which is cheaper to ask than which.
    pub fn any_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// Until when a cell is closed, if it is.
    pub fn closed_until(&self, cell: Cell5, now: Timestamp) -> Option<Timestamp> {
        self.closed.get(&cell).copied().filter(|until| *until > now)
    }

    /// The closed cells and until when.
    pub fn closed(&self, now: Timestamp) -> impl Iterator<Item = (Cell5, Timestamp)> {
        let all = self.closed.iter().map(|(cell, until)| (*cell, *until));
        all.filter(move |(_, until)| *until > now)
    }

    /// Forgets what is over.
    pub fn sweep(&mut self, now: Timestamp) {
        self.announcements.retain(|a| a.expires_at > now);
        self.closed.retain(|_, until| *until > now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000 * seconds)
    }

    #[test]
    fn announcements_end_and_are_bounded() {
        let mut notices = Notices::default();
        let announcement = |id: u64, seconds| Announcement {
            id,
            text: MessageText::parse(&id.to_string()).unwrap(),
            expires_at: at(seconds),
            geohash: None,
        };
        let first = announcement(1_000, 10);
        notices.announce(first.clone());
        assert_eq!(notices.announcements(at(9)).count(), 1);
        assert_eq!(notices.announcements(at(10)).count(), 0);
        assert_eq!(notices.retract(first.id), Some(first));
        assert_eq!(notices.retract(1_000), None);
        for n in 0..50 {
            notices.announce(announcement(n, 100));
        }
        let texts: Vec<_> = notices
            .announcements(at(0))
            .map(|a| a.text.as_str())
            .collect();
        assert_eq!((texts.len(), texts[0]), (ANNOUNCEMENTS_MAX, "30"));
        notices.sweep(at(100));
        assert!(notices.announcements.is_empty());
    }

    #[test]
    fn cells_are_closed_until_they_are_not() {
        let mut notices = Notices::default();
        let cell = Cell5::parse("u33db").unwrap();
        assert!(!notices.any_closed() && notices.close(cell, at(10)));
        assert_eq!(notices.closed_until(cell, at(9)), Some(at(10)));
        assert_eq!(notices.closed_until(cell, at(10)), None);
        assert_eq!(
            notices.closed_until(Cell5::parse("u33dc").unwrap(), at(9)),
            None
        );
        assert_eq!(notices.open(cell), Some(at(10)));
        assert_eq!(notices.open(cell), None);
        notices.close(cell, at(20));
        notices.sweep(at(20));
        assert!(!notices.any_closed());
    }
}
