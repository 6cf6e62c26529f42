//! Who is who, by name and tag, as far as events have told.

use std::collections::{BTreeMap, HashMap};

use neartalk_client::{Event, Snapshot};
use neartalk_shared::{
    DistanceBand, MessageId, PeerId, Radius, Username,
    frame::{Person, Reach},
};

/// Names of people who said something and are gone since; beyond this many, they are forgotten.
const MAX_AUTHORS: usize = 5_000;

/// Everyone who can be named, and what waits.
#[derive(Debug)]
pub struct Roster {
    people: BTreeMap<PeerId, Person>,
    authors: HashMap<PeerId, Username>,
    blocked: BTreeMap<PeerId, String>,
    reach: Vec<Reach>,
    radius: Radius,
    waiting: Vec<MessageId>,
}

impl Roster {
    pub fn new(radius: Radius) -> Self {
        Self {
            people: BTreeMap::new(),
            authors: HashMap::new(),
            blocked: BTreeMap::new(),
            reach: Vec::new(),
            radius,
            waiting: Vec::new(),
        }
    }

    /// Follows what an event tells.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Nearby { people, reach } => {
                self.people = people.iter().map(|p| (p.peer_id, p.clone())).collect();
                self.reach = reach.clone();
            }
            Event::Reach { reach } => self.reach = reach.clone(),
            Event::PersonEntered { person } | Event::PersonChanged { person, .. } => {
                if let Some(name) = self.authors.get_mut(&person.peer_id) {
                    name.clone_from(&person.username);
                }
                self.people.insert(person.peer_id, person.clone());
            }
            Event::PersonLeft { peer_id, .. } => {
                self.people.remove(peer_id);
            }
            Event::History { messages } => {
                for m in messages {
                    self.author(m.from, &m.username);
                }
            }
            Event::Message { message } => self.author(message.from, &message.username),
            Event::Queued { id, .. } => self.said(*id),
            Event::Sent { message, .. } => self.waiting.retain(|w| *w != message.id),
            Event::Failed { id, .. } => self.waiting.retain(|w| w != id),
            Event::Located(place) => self.radius = place.radius,
            Event::Blocked { peer_id, blocked } => {
                if *blocked {
                    let name = self.name(*peer_id);
                    self.blocked.insert(*peer_id, name);
                    self.people.remove(peer_id);
                } else {
                    self.blocked.remove(peer_id);
                }
            }
            Event::Snapshot(snapshot) => {
                let Snapshot {
                    people,
                    reach,
                    messages,
                    waiting,
                    ..
                } = &**snapshot;
                self.people = people.iter().map(|p| (p.peer_id, p.clone())).collect();
                self.reach = reach.clone();
                self.waiting = waiting.iter().map(|w| w.id).collect();
                for m in messages {
                    self.author(m.from, &m.username);
                }
            }
            _ => {}
        }
    }

    fn author(&mut self, peer_id: PeerId, username: &Username) {
        if self.authors.len() >= MAX_AUTHORS {
            self.authors.clear();
        }
        self.authors.insert(peer_id, username.clone());
    }

    /// An own message waits from now on; it counts before the engine has told of it, too.
    pub fn said(&mut self, id: MessageId) {
        if !self.waiting.contains(&id) {
            self.waiting.push(id);
        }
    }

    /// The circle that was asked for.
    pub fn set_radius(&mut self, radius: Radius) {
        self.radius = radius;
    }

    /// How many own messages wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many people are in range.
    pub fn count(&self) -> usize {
        self.people.len()
    }

    /// "Quiet Otter · 7KQ".
    pub fn name(&self, peer_id: PeerId) -> String {
        if let Some(name) = self.blocked.get(&peer_id) {
            return name.clone();
        }
        let person = self.people.get(&peer_id).map(|p| &p.username);
        match person.or_else(|| self.authors.get(&peer_id)) {
            Some(username) => with_tag(username, peer_id),
            None => peer_id.tag(),
        }
    }

    /// The one person who is meant by a name or a tag.
    pub fn find(&self, who: &str) -> Result<PeerId, String> {
        let mut all: BTreeMap<PeerId, &Username> =
            self.authors.iter().map(|(id, name)| (*id, name)).collect();
        all.extend(self.people.iter().map(|(id, p)| (*id, &p.username)));
        let candidates = all.into_iter().map(|(id, name)| (id, with_tag(name, id)));
        find(who, candidates.collect())
    }

    /// The one blocked person who is meant by a name or a tag.
    pub fn find_blocked(&self, who: &str) -> Result<PeerId, String> {
        let candidates = self.blocked.iter().map(|(id, name)| (*id, name.clone()));
        find(who, candidates.collect())
    }

    /// Who is blocked, for people.
    pub fn blocked_list(&self) -> String {
        if self.blocked.is_empty() {
            return "Nobody is blocked.".to_owned();
        }
        let names: Vec<_> = self.blocked.values().map(String::as_str).collect();
        format!("Blocked: {}.", names.join(", "))
    }

    /// Who is in range, in one sentence.
    pub fn summary(&self) -> String {
        let radius = metres(self.radius.metres());
        match self.people.len() {
            0 => {}
            1 => return format!("1 person within {radius}."),
            n => return format!("{n} people within {radius}."),
        }
        let wider = self
            .reach
            .iter()
            .filter(|r| r.radius > self.radius.metres() && r.count > 0)
            .min_by_key(|r| r.radius);
        match wider {
            Some(Reach { radius: r, count }) => format!(
                "Nobody within {radius} right now. {count} {} within {}.",
                if *count == 1 { "person" } else { "people" },
                metres(*r),
            ),
            None => "You are the first one here. Leave a note: it stays for a while.".to_owned(),
        }
    }

    /// Who is in range, one a line, nearest first.
    pub fn who(&self) -> String {
        let mut people: Vec<_> = self.people.values().collect();
        people.sort_by(|a, b| (a.distance, &a.username).cmp(&(b.distance, &b.username)));
        let lines = people.into_iter().map(|p| {
            let mut line = format!(
                "\n  {}, {}",
                with_tag(&p.username, p.peer_id),
                distance(p.distance)
            );
            if let Some(former) = p.former_usernames.last() {
                line += &format!(", was {former}");
            }
            if p.in_voice {
                line += ", in voice";
            }
            line
        });
        self.summary() + &lines.collect::<String>()
    }
}

/// A name as it is always shown: with the tag that can't be borrowed.
pub fn with_tag(username: &Username, peer_id: PeerId) -> String {
    format!("{username} · {}", peer_id.tag())
}

/// "100–150 m".
pub fn distance(band: DistanceBand) -> String {
    format!("{}–{} m", band.min, band.max)
}

/// "500 m", "1 km", "1.5 km".
pub fn metres(metres: u32) -> String {
    match metres {
        m if m < 1_000 => format!("{m} m"),
        m if m % 1_000 == 0 => format!("{} km", m / 1_000),
        m => format!("{} km", f64::from(m) / 1_000.0),
    }
}

fn find(who: &str, candidates: Vec<(PeerId, String)>) -> Result<PeerId, String> {
    let wanted = simple(who);
    let matches: Vec<_> = candidates
        .into_iter()
        .filter(|(id, shown)| {
            let name = shown.rsplit_once(" · ").map_or("", |(name, _)| name);
            [simple(shown), simple(name), id.tag().to_lowercase()].contains(&wanted)
        })
        .collect();
    match &matches[..] {
        [] => Err(format!("nobody here is called {who}; /who lists who is")),
        [(id, _)] => Ok(*id),
        several => {
            let names: Vec<_> = several.iter().map(|(_, name)| name.as_str()).collect();
            Err(format!(
                "{} people could be meant: {}; use the tag",
                several.len(),
                names.join(", ")
            ))
        }
    }
}

/// Without what nobody types: the dot between name and tag, doubled spaces, and case.
fn simple(s: &str) -> String {
    let words: Vec<_> = s.split([' ', '·']).filter(|w| !w.is_empty()).collect();
    words.join(" ").to_lowercase()
}

#[cfg(test)]
mod tests {
    use neartalk_client::FailedReason;
    use neartalk_shared::MessageText;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    fn person(seed: u64, username: &str) -> Person {
        Person {
            peer_id: PeerId::random(&mut StdRng::seed_from_u64(seed)),
            username: Username::parse(username).unwrap(),
            former_usernames: Vec::new(),
            distance: DistanceBand { min: 0, max: 50 },
            in_voice: false,
            muted: false,
            deafened: false,
        }
    }

    fn roster(people: &[Person], reach: &[(u32, u32)]) -> Roster {
        let mut roster = Roster::new(Radius::new(500).unwrap());
        roster.apply(&Event::Nearby {
            people: people.to_vec(),
            reach: reach
                .iter()
                .map(|&(radius, count)| Reach { radius, count })
                .collect(),
        });
        roster
    }

    #[test]
    fn people_are_found_by_name_and_tag() {
        let (fox, other_fox, owl) = (person(1, "Fox"), person(2, "Fox"), person(3, "Old Owl"));
        let roster = roster(&[fox.clone(), other_fox, owl.clone()], &[]);
        assert_eq!(roster.find("old owl"), Ok(owl.peer_id));
        assert_eq!(
            roster.find(&fox.peer_id.tag().to_lowercase()),
            Ok(fox.peer_id)
        );
        assert_eq!(
            roster.find(&format!("Fox {}", fox.peer_id.tag())),
            Ok(fox.peer_id)
        );
        assert_eq!(roster.find(&roster.name(fox.peer_id)), Ok(fox.peer_id));
        assert!(roster.find("Fox").unwrap_err().contains("2 people"));
        assert!(roster.find("Bee").unwrap_err().contains("nobody"));
    }

    #[test]
    fn blocked_people_keep_their_names() {
        let fox = person(1, "Fox");
        let mut roster = roster(std::slice::from_ref(&fox), &[]);
        let blocked = |blocked| Event::Blocked {
            peer_id: fox.peer_id,
            blocked,
        };
        roster.apply(&blocked(true));
        assert_eq!(roster.count(), 0);
        assert_eq!(roster.find_blocked("fox"), Ok(fox.peer_id));
        assert!(roster.blocked_list().starts_with("Blocked: Fox · "));
        roster.apply(&blocked(false));
        assert_eq!(roster.blocked_list(), "Nobody is blocked.");
    }

    #[test]
    fn what_was_said_waits_from_the_start() {
        let mut roster = roster(&[], &[]);
        let id = MessageId::random();
        let text = MessageText::parse("hello").unwrap();
        roster.said(id);
        roster.apply(&Event::Queued {
            id,
            text: text.clone(),
        });
        assert_eq!(roster.waiting(), 1);
        roster.apply(&Event::Failed {
            id,
            text,
            reason: FailedReason::TooMany,
        });
        assert_eq!(roster.waiting(), 0);
    }

    #[test]
    fn summaries() {
        let fox = person(1, "Fox");
        assert_eq!(roster(&[fox], &[]).summary(), "1 person within 500 m.");
        assert_eq!(
            roster(&[], &[(100, 0), (500, 0), (1_000, 4), (2_000, 9)]).summary(),
            "Nobody within 500 m right now. 4 people within 1 km."
        );
        assert!(roster(&[], &[(1_000, 0)]).summary().contains("first one"));
        assert_eq!(metres(1_500), "1.5 km");
    }
}
