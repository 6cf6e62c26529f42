//! Who is in range, and who of them is blocked.

use std::collections::{HashMap, HashSet};

use neartalk_shared::{
    PeerId,
    frame::{LeftReason, Person, Reach},
};

use crate::event::Event;

/// A relay sends far fewer; one that sends more is not to fill the memory.
const MAX_PEOPLE: usize = 20_000;
/// Nobody blocks as many by hand.
const MAX_BLOCKED: usize = 20_000;

/// Everyone in range, as the relay tells it, and who of them this person does not want to see.
///
/// Blocked people stay known here, so that unblocking shows them again at once, but nothing about
/// them gets out.
#[derive(Debug, Default)]
pub struct People {
    all: HashMap<PeerId, Person>,
    reach: Vec<Reach>,
    blocked: HashSet<PeerId>,
}

impl People {
    /// The whole list; replaces what was known.
    pub fn replace(&mut self, people: Vec<Person>, reach: Vec<Reach>) -> Event {
        self.all = people
            .into_iter()
            .take(MAX_PEOPLE)
            .map(|p| (p.peer_id, p))
            .collect();
        self.reach = reach;
        Event::Nearby {
            people: self.visible(),
            reach: self.reach(),
        }
    }

    /// How many would be in range with another radius, as the relay counts, which knows of no blocks.
    pub fn set_reach(&mut self, reach: Vec<Reach>) -> Event {
        self.reach = reach;
        Event::Reach {
            reach: self.reach(),
        }
    }

    /// Somebody came, or changed: relays may say either of somebody who is known or not.
    pub fn put(&mut self, person: Person) -> Option<Event> {
        if self.all.len() >= MAX_PEOPLE && !self.all.contains_key(&person.peer_id) {
            return None;
        }
        let before = self.all.insert(person.peer_id, person.clone());
        if self.is_blocked(person.peer_id) || before.as_ref() == Some(&person) {
            return None;
        }
        Some(match before {
            None => Event::PersonEntered { person },
            Some(before) => Event::PersonChanged {
                renamed_from: (before.username != person.username).then_some(before.username),
                person,
            },
        })
    }

    /// Somebody is gone.
    pub fn remove(&mut self, peer_id: PeerId, reason: LeftReason) -> Option<Event> {
        let person = self.all.remove(&peer_id)?;
        (!self.is_blocked(peer_id)).then_some(Event::PersonLeft {
            peer_id,
            username: person.username,
            reason,
        })
    }

    /// Blocks somebody, who need not be here. False when they were blocked already.
    pub fn block(&mut self, peer_id: PeerId) -> bool {
        self.blocked.len() < MAX_BLOCKED && self.blocked.insert(peer_id)
    }

    /// Ends a block. `None` when there was none; otherwise, the person if they are here.
    pub fn unblock(&mut self, peer_id: PeerId) -> Option<Option<Person>> {
        self.blocked
            .remove(&peer_id)
            .then(|| self.all.get(&peer_id).cloned())
    }

    /// Somebody in range, blocked or not.
    pub fn get(&self, peer_id: PeerId) -> Option<&Person> {
        self.all.get(&peer_id)
    }

    /// Whether nothing of somebody is to be seen or heard.
    pub fn is_blocked(&self, peer_id: PeerId) -> bool {
        self.blocked.contains(&peer_id)
    }

    /// Everyone in range who is not blocked: nearest first, then by name.
    pub fn visible(&self) -> Vec<Person> {
        let mut people: Vec<_> = self
            .all
            .values()
            .filter(|p| !self.is_blocked(p.peer_id))
            .cloned()
            .collect();
        people.sort_by(|a, b| {
            (a.distance, &a.username, a.peer_id).cmp(&(b.distance, &b.username, b.peer_id))
        });
        people
    }

    /// How many would be in range with another radius and are not blocked. Of those beyond the present
    /// circle nobody knows who they are, so that blocked people among them count.
    pub fn reach(&self) -> Vec<Reach> {
        let unwanted: Vec<_> = self
            .blocked
            .iter()
            .filter_map(|peer_id| self.all.get(peer_id))
            .map(|person| person.distance.max)
            .collect();
        self.reach
            .iter()
            .map(|told| {
                let within = unwanted.iter().filter(|max| **max <= told.radius).count();
                let within = u32::try_from(within).unwrap_or(u32::MAX);
                Reach {
                    radius: told.radius,
                    count: told.count.saturating_sub(within),
                }
            })
            .collect()
    }

    /// Who is blocked.
    pub fn blocked(&self) -> Vec<PeerId> {
        let mut blocked: Vec<_> = self.blocked.iter().copied().collect();
        blocked.sort();
        blocked
    }
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{DistanceBand, Username};
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn name(s: &str) -> Username {
        Username::parse(s).unwrap()
    }

    fn person(seed: u64, username: &str, min: u32) -> Person {
        Person {
            peer_id: PeerId::random(&mut StdRng::seed_from_u64(seed)),
            username: name(username),
            former_usernames: Vec::new(),
            distance: DistanceBand { min, max: min + 50 },
            in_voice: false,
            muted: false,
            deafened: false,
        }
    }

    fn names(people: &[Person]) -> Vec<&str> {
        people.iter().map(|p| p.username.as_str()).collect()
    }

    #[test]
    fn nearby_replaces_all() {
        let mut people = People::default();
        people.put(person(1, "Fox", 0));
        let reach = vec![Reach {
            radius: 500,
            count: 2,
        }];
        let event = people.replace(
            vec![
                person(2, "Owl", 100),
                person(3, "Hare", 50),
                person(4, "Bee", 100),
            ],
            reach.clone(),
        );
        let Event::Nearby {
            people: shown,
            reach: told,
        } = event
        else {
            panic!("{event:?}");
        };
        assert_eq!(names(&shown), ["Hare", "Bee", "Owl"]);
        assert_eq!(told, reach);
        assert_eq!(people.reach(), reach);
    }

    #[test]
    fn entered_changed_renamed_left() {
        let mut people = People::default();
        let fox = person(1, "Fox", 0);
        assert_eq!(
            people.put(fox.clone()),
            Some(Event::PersonEntered {
                person: fox.clone()
            })
        );
        assert_eq!(people.put(fox.clone()), None);
        let moved = Person {
            distance: DistanceBand { min: 50, max: 100 },
            ..fox.clone()
        };
        assert_eq!(
            people.put(moved.clone()),
            Some(Event::PersonChanged {
                person: moved.clone(),
                renamed_from: None
            })
        );
        let renamed = Person {
            username: name("Red Fox"),
            former_usernames: vec![name("Fox")],
            ..moved
        };
        assert_eq!(
            people.put(renamed.clone()),
            Some(Event::PersonChanged {
                person: renamed,
                renamed_from: Some(name("Fox"))
            })
        );
        assert_eq!(
            people.remove(fox.peer_id, LeftReason::Moved),
            Some(Event::PersonLeft {
                peer_id: fox.peer_id,
                username: name("Red Fox"),
                reason: LeftReason::Moved
            })
        );
        assert_eq!(people.remove(fox.peer_id, LeftReason::Moved), None);
    }

    #[test]
    fn blocked_people_are_not_there_until_unblocked() {
        let mut people = People::default();
        let (fox, owl) = (person(1, "Fox", 0), person(2, "Owl", 0));
        people.put(fox.clone());
        people.put(owl.clone());
        assert!(people.block(fox.peer_id));
        assert!(!people.block(fox.peer_id));
        assert_eq!(names(&people.visible()), ["Owl"]);
        let changed = Person {
            muted: true,
            ..fox.clone()
        };
        assert_eq!(people.put(changed.clone()), None);
        let Event::Nearby { people: shown, .. } =
            people.replace(vec![changed.clone(), owl], Vec::new())
        else {
            panic!("not nearby");
        };
        assert_eq!(names(&shown), ["Owl"]);
        assert_eq!(people.unblock(fox.peer_id), Some(Some(changed)));
        assert_eq!(people.unblock(fox.peer_id), None);
        people.block(fox.peer_id);
        assert_eq!(people.remove(fox.peer_id, LeftReason::Left), None);
        assert_eq!(people.put(fox.clone()), None, "comes back, still blocked");
        people.remove(fox.peer_id, LeftReason::Left);
        assert_eq!(people.unblock(fox.peer_id), Some(None));
    }

    #[test]
    fn blocked_people_are_not_counted_where_their_distance_is_known() {
        let mut people = People::default();
        let (fox, owl) = (person(1, "Fox", 200), person(2, "Owl", 250));
        let counts = |counts: [u32; 4]| -> Vec<Reach> {
            let radii = [100, 250, 500, 1_000];
            radii
                .into_iter()
                .zip(counts)
                .map(|(radius, count)| Reach { radius, count })
                .collect()
        };
        people.replace(vec![fox.clone(), owl.clone()], counts([0, 1, 2, 5]));
        people.block(fox.peer_id);
        assert_eq!(people.reach(), counts([0, 0, 1, 4]));
        let told = people.set_reach(counts([0, 1, 2, 6]));
        let reach = counts([0, 0, 1, 5]);
        assert_eq!(told, Event::Reach { reach });
        people.block(owl.peer_id);
        // The relay's counts are a little older than its people.
        let told = people.replace(vec![fox.clone(), owl], counts([0, 0, 1, 1]));
        let Event::Nearby { reach, .. } = told else {
            panic!("{told:?}");
        };
        assert_eq!(reach, counts([0, 0, 0, 0]));
        people.set_reach(counts([0, 1, 2, 5]));
        people.unblock(fox.peer_id);
        assert_eq!(
            people.reach(),
            counts([0, 1, 1, 4]),
            "only the owl is blocked"
        );
        people.remove(fox.peer_id, LeftReason::Moved);
        people.block(fox.peer_id);
        assert_eq!(
            people.reach(),
            counts([0, 1, 1, 4]),
            "the fox may be anywhere"
        );
    }

    #[test]
    fn is_bounded() {
        let mut people = People::default();
        for i in 0..MAX_PEOPLE as u64 + 5 {
            people.put(person(i, "Fox", 0));
        }
        assert_eq!(people.visible().len(), MAX_PEOPLE);
    }
}
