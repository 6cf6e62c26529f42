//! The chat: everything said that has not expired, in the order of the relay's clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use neartalk_shared::{
    MessageId, PeerId, Timestamp, frame::Message, limits::MESSAGE_TTL, time::millis,
};

use crate::event::ChatMessage;

/// Most messages that are kept; beyond it the oldest go.
pub const MAX_MESSAGES: usize = 5_000;

/// The relay's clock, by which messages expire, as this device can tell it.
#[derive(Clone, Copy, Debug)]
pub struct RelayClock {
    at: Instant,
    said: Timestamp,
}

impl RelayClock {
    /// At `at`, the relay said that it was `said`.
    pub const fn new(at: Instant, said: Timestamp) -> Self {
        Self { at, said }
    }

    /// What the relay's clock shows.
    pub fn time(&self, now: Instant) -> Timestamp {
        self.said + now.saturating_duration_since(self.at)
    }

    /// When the relay's clock will show `time`.
    pub fn instant(&self, time: Timestamp) -> Instant {
        // A relay may name a time that no clock will show; it is far enough away then.
        let away = time.since(self.said).min(Duration::from_secs(86_400 * 365));
        self.at + away
    }
}

/// What adding messages brought about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// What is new, oldest first.
    pub new: Vec<ChatMessage>,
    /// What had to go for it, oldest first.
    pub overflow: Vec<MessageId>,
}

/// The chat of one person.
#[derive(Debug)]
pub struct Timeline {
    clock: Option<RelayClock>,
    ttl: Duration,
    messages: BTreeMap<(Timestamp, MessageId), ChatMessage>,
    /// Where each message is in `messages`.
    index: HashMap<MessageId, Timestamp>,
    /// When each message is gone.
    expiry: BTreeSet<(Timestamp, MessageId)>,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            clock: None,
            ttl: MESSAGE_TTL,
            messages: BTreeMap::new(),
            index: HashMap::new(),
            expiry: BTreeSet::new(),
        }
    }
}

impl Timeline {
    /// Takes the relay's clock, and how long a message lives there.
    pub fn set_clock(&mut self, clock: RelayClock, ttl: Duration) {
        self.clock = Some(clock);
        self.ttl = ttl;
    }

    /// Adds what is neither known (by its id alone; the first wins) nor expired, nor, as `accept`
    /// says, from somebody unwanted. `me` is told from others by it.
    pub fn add(
        &mut self,
        now: Instant,
        messages: impl IntoIterator<Item = Message>,
        me: PeerId,
        accept: impl Fn(PeerId) -> bool,
    ) -> Added {
        let mut added = Added::default();
        for message in messages {
            if !accept(message.from) {
                continue;
            }
            let own = message.from == me;
            let chat = ChatMessage {
                id: message.id,
                from: message.from,
                username: message.username,
                own,
                text: message.text,
                sent_at: message.sent_at,
                expires_at: message.expires_at,
                expires_in_ms: 0,
                distance: (!own).then_some(message.distance),
                reached: None,
            };
            if let Some(chat) = self.insert(now, chat, &mut added.overflow) {
                added.new.push(chat);
            }
        }
        added.new.retain(|m| self.index.contains_key(&m.id));
        added.new.sort_by_key(|m| (m.sent_at, m.id));
        added
    }

    /// Adds an own message that the relay has acknowledged; if history has brought it already,
    /// completes it. Gives it as it stands now, and what had to go for it. `None` if it has
    /// expired.
    pub fn acknowledge(
        &mut self,
        now: Instant,
        message: ChatMessage,
    ) -> Option<(ChatMessage, Vec<MessageId>)> {
        let mut overflow = Vec::new();
        if let Some(sent_at) = self.index.get(&message.id) {
            let known = self.messages.get_mut(&(*sent_at, message.id))?;
            known.reached = message.reached;
            known.own = true;
            let known = known.clone();
            return Some((self.with_countdown(now, known), overflow));
        }
        let message = self.insert(now, message, &mut overflow)?;
        Some((message, overflow))
    }

    fn insert(
        &mut self,
        now: Instant,
        mut message: ChatMessage,
        overflow: &mut Vec<MessageId>,
    ) -> Option<ChatMessage> {
        let time = self.clock?.time(now);
        // No relay's word makes a message outlive what was promised to whoever said it.
        message.expires_at = message.expires_at.min(time + self.ttl);
        if message.expires_at <= time || self.index.contains_key(&message.id) {
            return None;
        }
        let (id, sent_at, expires_at) = (message.id, message.sent_at, message.expires_at);
        self.index.insert(id, sent_at);
        self.expiry.insert((expires_at, id));
        self.messages.insert((sent_at, id), message.clone());
        if self.messages.len() > MAX_MESSAGES
            && let Some((_, oldest)) = self.messages.pop_first()
        {
            self.index.remove(&oldest.id);
            self.expiry.remove(&(oldest.expires_at, oldest.id));
            overflow.push(oldest.id);
            if oldest.id == id {
                return None;
            }
        }
        Some(self.with_countdown(now, message))
    }

    fn remove(&mut self, id: MessageId) -> Option<ChatMessage> {
        let sent_at = self.index.remove(&id)?;
        let message = self.messages.remove(&(sent_at, id))?;
        self.expiry.remove(&(message.expires_at, id));
        Some(message)
    }

    fn with_countdown(&self, now: Instant, mut message: ChatMessage) -> ChatMessage {
        if let Some(clock) = self.clock {
            message.expires_in_ms = millis(message.expires_at.since(clock.time(now)));
        }
        message
    }

    /// Removes what has expired, and tells what that was.
    pub fn expire(&mut self, now: Instant) -> Vec<MessageId> {
        let mut gone = Vec::new();
        while let (Some(clock), Some(&(expires_at, id))) = (self.clock, self.expiry.first())
            && expires_at <= clock.time(now)
        {
            self.expiry.pop_first();
            self.remove(id);
            gone.push(id);
        }
        gone
    }

    /// When the next message expires.
    pub fn next_wake(&self) -> Option<Instant> {
        let (expires_at, _) = self.expiry.first()?;
        Some(self.clock?.instant(*expires_at))
    }

    /// Removes everything that somebody said, and tells what that was, oldest first.
    pub fn remove_from(&mut self, peer: PeerId) -> Vec<MessageId> {
        let theirs: Vec<_> = self
            .messages
            .values()
            .filter(|m| m.from == peer)
            .map(|m| m.id)
            .collect();
        for id in &theirs {
            self.remove(*id);
        }
        theirs
    }

    /// Everything, oldest first.
    pub fn messages(&self, now: Instant) -> Vec<ChatMessage> {
        self.messages
            .values()
            .map(|m| self.with_countdown(now, m.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{DistanceBand, MessageText, Username};
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const EPOCH: u64 = 1_700_000_000_000;

    struct World {
        timeline: Timeline,
        start: Instant,
        me: PeerId,
        fox: PeerId,
        owl: PeerId,
    }

    impl World {
        fn new() -> Self {
            let mut rng = StdRng::seed_from_u64(1);
            let start = Instant::now();
            let mut timeline = Timeline::default();
            let clock = RelayClock::new(start, Timestamp::from_millis(EPOCH));
            timeline.set_clock(clock, MESSAGE_TTL);
            Self {
                timeline,
                start,
                me: PeerId::random(&mut rng),
                fox: PeerId::random(&mut rng),
                owl: PeerId::random(&mut rng),
            }
        }

        fn after(&self, secs: i64) -> Instant {
            self.start + Duration::from_secs(secs as u64)
        }

        fn add(&mut self, secs: i64, messages: Vec<Message>) -> Added {
            let now = self.after(secs);
            self.timeline.add(now, messages, self.me, |_| true)
        }

        fn texts(&self) -> Vec<String> {
            let all = self.timeline.messages(self.start);
            all.iter().map(|m| m.text.to_string()).collect()
        }
    }

    /// Said `secs` after the start.
    fn said(from: PeerId, secs: i64, text: &str) -> Message {
        let sent_at = EPOCH.saturating_add_signed(secs * 1_000);
        Message {
            id: MessageId::random(),
            from,
            username: Username::parse("Quiet Otter").unwrap(),
            text: MessageText::parse(text).unwrap(),
            sent_at: Timestamp::from_millis(sent_at),
            expires_at: Timestamp::from_millis(sent_at) + MESSAGE_TTL,
            distance: DistanceBand { min: 0, max: 50 },
        }
    }

    #[test]
    fn history_merges_in_the_order_of_the_relays_clock() {
        let mut w = World::new();
        let (a, b, c) = (
            said(w.fox, -60, "a"),
            said(w.owl, -30, "b"),
            said(w.fox, 1, "c"),
        );
        assert_eq!(w.add(1, vec![c.clone()]).new.len(), 1);
        let added = w.add(2, vec![a.clone(), b.clone(), c.clone()]);
        assert_eq!(
            added.new.iter().map(|m| m.id).collect::<Vec<_>>(),
            [a.id, b.id]
        );
        assert_eq!(w.texts(), ["a", "b", "c"]);
        assert_eq!(w.add(3, vec![a, b, c]), Added::default());
    }

    #[test]
    fn the_first_of_an_id_wins() {
        let mut w = World::new();
        let first = said(w.fox, 0, "true");
        let forged = Message {
            id: first.id,
            ..said(w.owl, -5, "forged")
        };
        w.add(0, vec![first]);
        assert_eq!(w.add(0, vec![forged]), Added::default());
        assert_eq!(w.texts(), ["true"]);
    }

    #[test]
    fn expiry_is_by_the_relays_clock_to_the_millisecond() {
        let mut w = World::new();
        let early = said(w.fox, -29 * 60, "early");
        let late = said(w.owl, 0, "late");
        let gone = said(w.owl, -30 * 60, "gone");
        let added = w.add(0, vec![gone, early.clone(), late.clone()]);
        assert_eq!(added.new.len(), 2);
        assert_eq!(added.new[0].expires_in_ms, 60_000);
        let wake = w.timeline.next_wake().unwrap();
        assert_eq!(wake, w.after(60));
        assert!(
            w.timeline
                .expire(wake - Duration::from_millis(1))
                .is_empty()
        );
        assert_eq!(w.timeline.expire(wake), [early.id]);
        assert_eq!(w.timeline.next_wake(), Some(w.after(30 * 60)));
        // The relay's clock is told anew after a reconnect, a minute ahead of what was thought.
        let ahead = RelayClock::new(w.after(60), Timestamp::from_millis(EPOCH + 120_000));
        w.timeline.set_clock(ahead, MESSAGE_TTL);
        assert_eq!(w.timeline.next_wake(), Some(w.after(29 * 60)));
        assert_eq!(w.timeline.expire(w.after(29 * 60)), [late.id]);
        assert_eq!(w.timeline.next_wake(), None);
        // It does not come back, whoever brings it.
        assert_eq!(w.add(29 * 60, vec![early, late]), Added::default());
    }

    #[test]
    fn no_message_outlives_its_time_whatever_the_relay_says() {
        let mut w = World::new();
        let forever = Message {
            expires_at: Timestamp::from_millis(u64::MAX),
            ..said(w.fox, 0, "x")
        };
        w.add(10, vec![forever.clone()]);
        assert_eq!(w.timeline.next_wake(), Some(w.after(10) + MESSAGE_TTL));
        assert_eq!(w.timeline.expire(w.after(10) + MESSAGE_TTL), [forever.id]);
    }

    #[test]
    fn blocked_people_never_enter_and_go_at_once() {
        let mut w = World::new();
        let fox = w.fox;
        let (a, b, c) = (said(fox, 0, "a"), said(w.owl, 1, "b"), said(fox, 2, "c"));
        w.add(2, vec![a.clone(), b, c.clone()]);
        assert_eq!(w.timeline.remove_from(fox), [a.id, c.id]);
        assert_eq!(w.texts(), ["b"]);
        let again = w.timeline.add(w.after(3), vec![a, c], w.me, |p| p != fox);
        assert_eq!(again, Added::default());
    }

    #[test]
    fn own_messages_merge_with_history() {
        let mut w = World::new();
        let own = said(w.me, 1, "mine");
        let acknowledged = |reached| ChatMessage {
            id: own.id,
            from: own.from,
            username: own.username.clone(),
            own: true,
            text: own.text.clone(),
            sent_at: own.sent_at,
            expires_at: own.expires_at,
            expires_in_ms: 0,
            distance: None,
            reached: Some(reached),
        };
        // The answer was lost, and history comes first.
        let added = w.add(2, vec![own.clone()]);
        assert!(added.new[0].own);
        assert_eq!((added.new[0].distance, added.new[0].reached), (None, None));
        let (message, _) = w.timeline.acknowledge(w.after(3), acknowledged(7)).unwrap();
        assert_eq!(message.reached, Some(7));
        assert_eq!(message.expires_in_ms, 1_798_000);
        assert_eq!(w.texts(), ["mine"]);
        // History that comes after changes nothing.
        assert_eq!(w.add(4, vec![own.clone()]), Added::default());
        assert_eq!(w.timeline.messages(w.start)[0].reached, Some(7));
        // With a new session, old own messages come back under a stranger's id.
        let stranger = w.owl;
        let again = w.timeline.add(w.after(5), vec![own], stranger, |_| true);
        assert_eq!(again, Added::default());
        assert!(w.timeline.messages(w.start)[0].own);
    }

    #[test]
    fn is_bounded() {
        let mut w = World::new();
        let many: Vec<_> = (0..MAX_MESSAGES as i64 + 10)
            .map(|i| said(w.fox, i - 1_000, "x"))
            .map(|m| Message {
                expires_at: Timestamp::from_millis(EPOCH + 60_000),
                ..m
            })
            .collect();
        let oldest: Vec<_> = many.iter().take(10).map(|m| m.id).collect();
        let added = w.add(0, many);
        assert_eq!(added.overflow, oldest);
        assert_eq!(added.new.len(), MAX_MESSAGES);
        assert_eq!(w.timeline.messages(w.start).len(), MAX_MESSAGES);
        // One that is older than all does not get in.
        let added = w.add(0, vec![said(w.fox, -1_500, "old")]);
        assert!(added.new.is_empty());
        assert_eq!(w.timeline.expire(w.after(60)).len(), MAX_MESSAGES);
        assert!(w.timeline.index.is_empty() && w.timeline.messages.is_empty());
    }

    #[test]
    fn without_a_clock_nothing_is_taken() {
        let mut w = World::new();
        w.timeline = Timeline::default();
        let message = said(w.fox, 0, "x");
        assert_eq!(w.add(0, vec![message]), Added::default());
        assert_eq!(w.timeline.next_wake(), None);
    }
}
