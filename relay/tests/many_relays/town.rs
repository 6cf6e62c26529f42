//! A town of people on three relays, against brute force, through whatever can happen to relays.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures_util::future::join_all;
use neartalk_rig::redis::Redis;
use neartalk_shared::{MessageId, ServerFrame, Spot, frame::Message, http::HealthStatus};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::sync::watch;

use crate::{
    common::{Person, Relay, beside, east, north, spot, within_time},
    firewall::Machines,
    outage::health,
};

/// How many live there …
const PEOPLE: usize = 600;
/// … of whom every so manyth talks all the time.
const TALKATIVE: usize = 20;
/// How long anything may take that so many people have to do with.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who lives there.
struct Citizen {
    person: Person,
    /// On which relay they are.
    on: usize,
    /// What others have got to know that this one has said, …
    acknowledged: Vec<MessageId>,
    /// … and what may have got lost.
    pending: Option<MessageId>,
    /// What this one has got, how often, and over how many sockets it may have come.
    heard: BTreeMap<MessageId, usize>,
    /// What was there to be read on coming back.
    read: BTreeSet<MessageId>,
    sockets: usize,
}

impl Citizen {
    fn new(person: Person, on: usize) -> Self {
        Self {
            person,
            on,
            acknowledged: Vec::new(),
            pending: None,
            heard: BTreeMap::new(),
            read: BTreeSet::new(),
            sockets: 1,
        }
    }

    /// Lives on until told to stop, and says something now and then if `talks`. Whoever loses their
    /// relay goes on with another of these.
    async fn live(&mut self, talks: bool, relays: &[Option<&Relay>], life: &Life) {
        let mut pace = tokio::time::interval(Duration::from_millis(500));
        let mut stop = life.stop.clone();
        loop {
            let (mut lives, mut speaks) = (true, false);
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                more = self.person.listen() => lives = more,
                _ = pace.tick(), if talks => speaks = true,
            }
            if speaks {
                lives = self.say(&life.said).await;
            }
            if !lives {
                self.move_on(relays).await;
            }
        }
    }

    /// Says one thing, or the last one again if that was not answered. False at the socket's end.
    async fn say(&mut self, said: &watch::Sender<usize>) -> bool {
        let id = *self.pending.get_or_insert_with(MessageId::random);
        let text = format!("{{\"type\":\"say\",\"id\":\"{id}\",\"text\":\"and so on\"}}");
        if self.person.try_send_text(text).await.is_err() {
            return false;
        }
        let sent = self.person.try_wait("sent", |frame| match frame {
            ServerFrame::Sent { id: of, .. } => (*of == id).then_some(()),
            _ => None,
        });
        if sent.await.is_none() {
            return false;
        }
        self.pending = None;
        self.acknowledged.push(id);
        said.send_modify(|said| *said += 1);
        true
    }

    /// Goes on with the next of these relays.
    async fn move_on(&mut self, relays: &[Option<&Relay>]) {
        self.take_in();
        let next = (self.on + 1..self.on + relays.len()).map(|on| on % relays.len());
        let (on, relay) = next
            .filter_map(|on| Some((on, relays[on]?)))
            .next()
            .unwrap();
        self.person = Person::resume(relay, self.person.created.clone()).await;
        assert!(self.person.welcome.resumed);
        let located = self.person.located().await;
        self.read.extend(located.history.iter().map(|said| said.id));
        self.on = on;
        self.sockets += 1;
    }

    /// Notes what has been heard until now.
    fn take_in(&mut self) {
        let frames = std::mem::take(&mut self.person.inbox);
        for frame in frames {
            if let ServerFrame::Message(Message { id, .. }) = frame {
                *self.heard.entry(id).or_insert(0) += 1;
            }
        }
    }

    /// Waits until everything that is `expected` has got here.
    async fn hears_all(&mut self, expected: &BTreeSet<MessageId>) {
        self.take_in();
        let lacks = |citizen: &Self| {
            let here = |id| citizen.heard.contains_key(id) || citizen.read.contains(id);
            !expected.iter().all(here)
        };
        while lacks(self) {
            assert!(self.person.listen().await, "the socket has ended");
            self.take_in();
        }
    }
}

/// How people live at the moment.
struct Life {
    said: watch::Sender<usize>,
    stop: watch::Receiver<bool>,
}

/// Twelve kilometres wide, so that it lies in many regions.
struct Town {
    redis: Redis,
    /// The last is on another machine.
    relays: Vec<Relay>,
    spots: Vec<Spot>,
    people: Vec<Citizen>,
}

impl Town {
    async fn settle(machines: &Machines) -> Self {
        let crowd = PEOPLE.to_string();
        let flags = [
            ["--session-burst", &crowd],
            ["--sockets-per-address", "1000000"],
            ["--request-burst", "1000000"],
            ["--messages-per-minute", "1000000"],
            ["--repeats-per-address", "0"],
            ["--repeats-per-cell", "0"],
        ];
        let flags = flags.concat();
        let redis = Machines::redis();
        let relays = vec![
            Relay::start_with(&redis.url(), &flags),
            Relay::start_with(&redis.url(), &flags),
            machines.relay(&redis, &flags),
        ];
        let mut rng = StdRng::seed_from_u64(5);
        let spots: Vec<Spot> = (0..PEOPLE)
            .map(|_| {
                let place = east(beside(0), rng.random_range(-6_000.0..6_000.0));
                let place = north(place, rng.random_range(-3_000.0..3_000.0));
                spot(place, rng.random_range(100..=2_000))
            })
            .collect();
        let apis: Vec<_> = relays.iter().map(Relay::api).collect();
        let mut people = Vec::with_capacity(PEOPLE);
        for (at, group) in spots.chunks(50).enumerate() {
            let joining = group.iter().enumerate().map(async |(i, spot)| {
                let on = (50 * at + i) % relays.len();
                let (place, metres) = (spot.centre(), spot.radius().metres());
                let person = Person::at(&relays[on], &apis[on], "Somebody", place, metres);
                Citizen::new(person.await, on)
            });
            people.extend(join_all(joining).await);
        }
        Self {
            redis,
            relays,
            spots,
            people,
        }
    }

    /// Who is in range of somebody.
    fn around(&self, at: usize) -> BTreeSet<usize> {
        let near = |&other: &usize| other != at && self.spots[at].in_range(&self.spots[other]);
        (0..PEOPLE).filter(near).collect()
    }

    /// Waits until everyone knows of everyone in range, and of nobody else.
    async fn knows_itself(&self) {
        let ids: BTreeMap<_, _> = (0..)
            .zip(&self.people)
            .map(|(at, c)| (c.person.id(), at))
            .collect();
        let look = async {
            for (at, citizen) in self.people.iter().enumerate() {
                let expected = self.around(at);
                let mut again = tokio::time::interval(Duration::from_millis(50));
                loop {
                    again.tick().await;
                    let nearby = citizen.person.nearby_now(&self.relays[citizen.on]).await;
                    let seen: Option<BTreeSet<usize>> = nearby
                        .people
                        .iter()
                        .map(|p| ids.get(&p.peer_id).copied())
                        .collect();
                    if seen.as_ref() == Some(&expected) {
                        break;
                    }
                }
            }
        };
        within_time(PATIENCE, "everyone to be known", look).await;
    }

    /// Lets everybody live while something happens. Whoever loses their relay by that goes to another
    /// of those that are left, if any are.
    async fn lives_through(
        people: &mut [Citizen],
        left: [Option<&Relay>; 3],
        happens: impl AsyncFnOnce(&mut watch::Receiver<usize>),
    ) {
        let (said, mut counted) = watch::channel(0);
        let (stop, stopped) = watch::channel(false);
        let life = Life {
            said,
            stop: stopped,
        };
        let living = people.iter_mut().enumerate();
        let living = living.map(|(at, citizen)| citizen.live(at % TALKATIVE == 0, &left, &life));
        let happening = async {
            more(&mut counted).await;
            happens(&mut counted).await;
            more(&mut counted).await;
            stop.send_replace(true);
        };
        tokio::join!(join_all(living), happening);
    }

    /// Waits until everyone has got what was acknowledged of those in range, once, and nothing else.
    async fn has_heard_everything(&mut self) {
        let said: Vec<_> = self
            .people
            .iter()
            .map(|c| (c.acknowledged.clone(), c.pending))
            .collect();
        let around: Vec<_> = (0..PEOPLE).map(|at| self.around(at)).collect();
        let hearing = self.people.iter_mut().enumerate();
        let hearing = hearing.map(async |(at, citizen)| {
            let expected = around[at].iter().flat_map(|&by| &said[by].0).copied();
            citizen.hears_all(&expected.collect()).await;
        });
        within_time(PATIENCE, "all that was said", join_all(hearing)).await;
        for (at, citizen) in self.people.iter_mut().enumerate() {
            let frames = citizen.person.settle().await;
            citizen.person.inbox.extend(frames);
            citizen.take_in();
            let by = |by: usize| said[by].0.iter().chain(&said[by].1).copied();
            let mut allowed: BTreeSet<_> = around[at].iter().copied().flat_map(by).collect();
            for (id, &times) in &citizen.heard {
                assert!(allowed.contains(id), "{at} heard somebody out of range");
                assert!(
                    times <= citizen.sockets,
                    "{at} heard something {times} times"
                );
            }
            // Whoever comes back reads what they have said themselves as well.
            allowed.extend(by(at));
            let read = &citizen.read;
            assert!(read.is_subset(&allowed), "{at} read what is not for them");
        }
    }

    /// Everything is as it should be again.
    async fn is_well(&mut self) {
        for relay in &self.relays {
            assert_eq!(health(relay, HealthStatus::Ok).await, None);
        }
        self.has_heard_everything().await;
        self.knows_itself().await;
        self.speaks(120).await;
    }

    /// Some speak, all at once; who hears them is exactly who is in range, once.
    async fn speaks(&mut self, some: usize) {
        let around: Vec<_> = (0..PEOPLE).map(|at| self.around(at)).collect();
        for citizen in &mut self.people {
            citizen.person.settle().await;
        }
        let ids: Vec<_> = (0..some).map(|_| MessageId::random()).collect();
        let speaking = self.people.iter_mut().zip(&ids).enumerate();
        let speaking = speaking.map(async |(at, (citizen, id))| {
            (at, citizen.person.say_as(*id, &format!("I am {at}")).await)
        });
        let mut lonely = 0;
        for (at, sent) in join_all(speaking).await {
            assert_eq!(sent.reached as usize, around[at].len(), "of {at}");
            lonely += usize::from(sent.reached == 0);
        }
        assert!(lonely < some / 2, "a town of strangers: {lonely}");
        let listening = self.people.iter_mut().enumerate();
        let listening = listening.map(async |(at, citizen)| {
            let expected = around[at].iter().filter(|&&by| by < some);
            let mut expected: Vec<_> = expected.map(|&by| ids[by]).collect();
            let mut heard = Vec::new();
            while heard.len() < expected.len() {
                heard.push(citizen.person.hears().await.id);
            }
            // Nothing more comes, as all that was said has been heard by somebody.
            heard.extend(
                citizen
                    .person
                    .heard()
                    .await
                    .into_iter()
                    .map(|message| message.id),
            );
            expected.sort_unstable();
            heard.sort_unstable();
            assert_eq!(heard, expected, "what {at} heard");
            citizen.acknowledged.extend(ids.get(at));
            citizen.heard.extend(heard.into_iter().map(|id| (id, 1)));
        });
        join_all(listening).await;
    }
}

/// Waits until more has been said: each who talks has, about twice.
async fn more(counted: &mut watch::Receiver<usize>) {
    let enough = *counted.borrow() + 2 * PEOPLE / TALKATIVE;
    let said = counted.wait_for(|&said| said >= enough);
    within_time(PATIENCE, "more to be said", said)
        .await
        .unwrap();
}

#[test]
fn a_town_on_three_relays_lives_through_the_end_of_each_part() {
    Machines::run(lives_on);
}

async fn lives_on(machines: &Machines) {
    let mut town = Town::settle(machines).await;
    town.knows_itself().await;
    town.speaks(120).await;

    // A relay is killed. Its people go to the others …
    let [first, second, third] = &mut town.relays[..] else {
        panic!("there are three");
    };
    let left = [None, Some(&*second), Some(&*third)];
    Town::lives_through(&mut town.people, left, async |_| first.kill9().await).await;
    let late = town.people.iter_mut().filter(|citizen| citizen.on == 0);
    join_all(late.map(|citizen| citizen.move_on(&left))).await;
    assert!(town.people.iter().all(|citizen| citizen.on != 0));
    // … and come back to it later.
    first.restart_on_same_port();
    health(first, HealthStatus::Ok).await;
    let back = town.people.iter_mut().step_by(3);
    let first = [Some(&*first), None, None];
    join_all(back.map(async |citizen| {
        citizen.person.leave().await;
        citizen.move_on(&first).await;
    }))
    .await;
    town.is_well().await;

    // Redis is killed, and comes back with nothing.
    let Town {
        redis,
        relays,
        people,
        ..
    } = &mut town;
    Town::lives_through(people, [None; 3], async |counted| {
        redis.kill();
        for relay in &*relays {
            health(relay, HealthStatus::Degraded).await;
        }
        more(counted).await;
        redis.restart().unwrap();
        for relay in &*relays {
            health(relay, HealthStatus::Ok).await;
        }
    })
    .await;
    town.is_well().await;

    // A firewall cuts a relay off from it.
    let Town {
        redis,
        relays,
        people,
        ..
    } = &mut town;
    Town::lives_through(people, [None; 3], async |counted| {
        machines.wall_off(redis, true);
        health(&relays[2], HealthStatus::Degraded).await;
        for relay in &relays[..2] {
            assert_eq!(health(relay, HealthStatus::Ok).await, None);
        }
        more(counted).await;
        machines.wall_off(redis, false);
        health(&relays[2], HealthStatus::Ok).await;
    })
    .await;
    town.is_well().await;
}
