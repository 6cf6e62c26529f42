//! Which notifications are shown, and until when.

use std::time::Instant;

use neartalk_shared::limits::MESSAGE_TTL;

use super::Id;

/// What is shown, the oldest first.
#[derive(Debug, Default)]
pub struct Shown(Vec<One>);

#[derive(Debug)]
struct One {
    id: Id,
    tag: String,
    end: Instant,
}

impl Shown {
    /// The one with this tag.
    pub fn with_tag(&self, tag: &str) -> Option<Id> {
        self.0.iter().find(|one| one.tag == tag).map(|one| one.id)
    }

    /// One more, or one anew. It tells of a message of now.
    pub fn add(&mut self, id: Id, tag: String, now: Instant) {
        self.0.retain(|one| one.id != id && one.tag != tag);
        let end = now + MESSAGE_TTL;
        self.0.push(One { id, tag, end });
    }

    /// Forgets one; whether it was shown.
    pub fn remove(&mut self, id: Id) -> bool {
        let before = self.0.len();
        self.0.retain(|one| one.id != id);
        self.0.len() < before
    }

    /// When the message of one is gone.
    pub fn next_end(&self) -> Option<Instant> {
        self.0.first().map(|one| one.end)
    }

    /// Forgets those whose messages are gone.
    pub fn take_ended(&mut self, now: Instant) -> Vec<Id> {
        let ended = self.0.partition_point(|one| one.end <= now);
        self.0.drain(..ended).map(|one| one.id).collect()
    }

    /// Forgets all of them.
    pub fn take_all(&mut self) -> Vec<Id> {
        self.0.drain(..).map(|one| one.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_tells_of_a_message_ends_with_it() {
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        let mut shown = Shown::default();
        assert_eq!(shown.next_end(), None);
        shown.add(1, "Fox".into(), start);
        shown.add(2, "Owl".into(), start + minute);
        assert_eq!(shown.with_tag("Owl"), Some(2));
        // Fox goes on, so theirs is newer than Owl's now.
        shown.add(1, "Fox".into(), start + 2 * minute);
        assert_eq!(shown.next_end(), Some(start + minute + MESSAGE_TTL));
        assert!(shown.take_ended(start + MESSAGE_TTL).is_empty());
        assert_eq!(shown.take_ended(start + minute + MESSAGE_TTL), [2]);
        assert_eq!(shown.with_tag("Owl"), None);
        assert!(shown.remove(1) && !shown.remove(1));
        assert_eq!(shown.next_end(), None);
    }

    #[test]
    fn a_system_may_number_anew_what_takes_the_place_of_another() {
        let now = Instant::now();
        let mut shown = Shown::default();
        shown.add(1, "Fox".into(), now);
        shown.add(7, "Fox".into(), now);
        assert_eq!(shown.with_tag("Fox"), Some(7));
        assert_eq!(shown.take_all(), [7]);
        assert!(shown.take_all().is_empty());
    }
}
