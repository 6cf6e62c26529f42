//! Many people, each with a mesh, on a network that takes its time.

use std::{cmp::Reverse, collections::BinaryHeap};

use rand::RngExt;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mail {
    Offer,
    Bye,
    Connected,
}

type Letter = (Duration, usize, usize, Mail, u64);

struct Crowd {
    meshes: Vec<Mesh<usize>>,
    places: Vec<(f64, f64)>,
    /// When, to whom, from whom, what. Connections count up, so that one that was closed connects
    /// nobody.
    mail: BinaryHeap<Reverse<Letter>>,
    /// The connection that each side has with each other.
    made: Vec<Vec<Option<u64>>>,
    generation: u64,
    rng: SmallRng,
    now: Duration,
    up: Vec<Vec<bool>>,
    offers: usize,
    hang_ups: usize,
}

impl Crowd {
    fn new(seed: u64, people: usize, side_m: f64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut spot = || (rng.random_range(0.0..side_m), rng.random_range(0.0..side_m));
        let places: Vec<(f64, f64)> = (0..people).map(|_| spot()).collect();
        let mut crowd = Self {
            meshes: vec![Mesh::new(MeshConfig::default()); people],
            places,
            mail: BinaryHeap::new(),
            made: vec![vec![None; people]; people],
            generation: 0,
            rng,
            now: ms(0),
            up: vec![vec![false; people]; people],
            offers: 0,
            hang_ups: 0,
        };
        for a in 0..people {
            for b in (0..people).filter(|&b| b != a) {
                let near_edge_m = crowd.band(a, b);
                crowd.give(
                    a,
                    Event::Appeared {
                        peer: b,
                        polite: a < b,
                        near_edge_m,
                    },
                );
            }
        }
        crowd
    }

    fn band(&self, a: usize, b: usize) -> u32 {
        let ((ax, ay), (bx, by)) = (self.places[a], self.places[b]);
        ((ax - bx).hypot(ay - by) / 50.0) as u32 * 50
    }

    fn give(&mut self, to: usize, event: Event<usize>) {
        self.meshes[to].handle(event, self.now, &mut self.rng);
        self.carry_out(to);
    }

    fn post(&mut self, from: usize, to: usize, mail: Mail, generation: u64) {
        let delay = ms(self.rng.random_range(10..150));
        self.mail
            .push(Reverse((self.now + delay, to, from, mail, generation)));
    }

    fn carry_out(&mut self, who: usize) {
        while let Some(action) = self.meshes[who].next_action() {
            match action {
                Action::Offer { peer, .. } => {
                    self.offers += 1;
                    self.generation += 1;
                    self.made[who][peer] = Some(self.generation);
                    self.post(who, peer, Mail::Offer, self.generation);
                }
                Action::Accept { peer, .. } => {
                    self.connect(who, peer);
                }
                Action::Refuse { peer } => self.post(who, peer, Mail::Bye, 0),
                Action::Close { peer, bye } => {
                    let up = &mut self.up[who][peer];
                    self.hang_ups += usize::from(std::mem::take(up));
                    self.made[who][peer] = None;
                    if bye {
                        self.post(who, peer, Mail::Bye, 0);
                    }
                }
                Action::RestartIce { .. } | Action::Tell(_) => {}
            }
        }
    }

    /// `who` answers `peer`'s offer: both connect a little later, unless it is closed meanwhile.
    fn connect(&mut self, who: usize, peer: usize) {
        let Some(generation) = self.made[peer][who] else {
            return;
        };
        self.made[who][peer] = Some(generation);
        self.post(peer, who, Mail::Connected, generation);
        self.post(who, peer, Mail::Connected, generation);
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let mail = self.mail.peek().map(|Reverse(mail)| mail.0);
            let tick = self.meshes.iter().filter_map(Mesh::next_tick).min();
            let Some(next) = [mail, tick]
                .into_iter()
                .flatten()
                .min()
                .filter(|&n| n <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            if mail == Some(next) {
                let Some(Reverse((_, to, from, mail, generation))) = self.mail.pop() else {
                    break;
                };
                self.deliver(to, from, mail, generation);
            } else {
                for who in 0..self.meshes.len() {
                    self.meshes[who].tick(self.now, &mut self.rng);
                    self.carry_out(who);
                }
            }
        }
        self.now = end;
    }

    fn deliver(&mut self, to: usize, from: usize, mail: Mail, generation: u64) {
        match mail {
            Mail::Bye => self.give(to, Event::Refused { peer: from }),
            Mail::Connected => {
                if self.made[to][from] == Some(generation) {
                    self.up[to][from] = true;
                    self.give(to, Event::Connected { peer: from });
                }
            }
            Mail::Offer => {
                // Perfect negotiation: where offers cross, the polite side takes the other's.
                if self.made[to][from].is_some() && !self.up[to][from] {
                    if to < from {
                        self.connect(to, from);
                    }
                    return;
                }
                self.give(to, Event::Offered { peer: from });
            }
        }
    }

    fn links(&self, who: usize) -> Vec<usize> {
        self.meshes[who].connected().collect()
    }

    /// Asserts that all links are mutual, nobody has too many, and no two people would both rather have
    /// each other.
    fn assert_settled(&self) {
        let config = MeshConfig::default();
        let wants = |who: usize, other: usize| {
            let links = self.links(who);
            let furthest = links.iter().map(|&l| self.band(who, l)).max().unwrap_or(0);
            links.len() < config.max_peers || furthest >= self.band(who, other) + config.margin_m
        };
        for a in 0..self.meshes.len() {
            let links = self.links(a);
            assert!(links.len() <= config.max_peers, "{a} has {links:?}");
            for b in 0..self.meshes.len() {
                let linked = links.contains(&b);
                assert_eq!(
                    linked,
                    self.links(b).contains(&a),
                    "only one of {a} and {b} hears"
                );
                assert!(
                    a == b || linked || !(wants(a, b) && wants(b, a)),
                    "{a} and {b} would rather have each other"
                );
            }
        }
    }
}

#[test]
fn a_small_room_is_a_full_mesh_within_two_seconds() {
    let mut crowd = Crowd::new(1, 9, 400.0);
    crowd.run(ms(2_000));
    for who in 0..9 {
        assert_eq!(crowd.links(who).len(), 8);
    }
    crowd.assert_settled();
}

#[test]
fn every_crowd_settles_where_all_links_are_mutual_and_near() {
    for seed in 0..6 {
        let mut crowd = Crowd::new(seed, 30, 1_500.0);
        crowd.run(ms(300_000));
        crowd.assert_settled();
        // Calm: nobody hangs up, and few are asked in vain.
        let (offers, hang_ups) = (crowd.offers, crowd.hang_ups);
        crowd.run(ms(300_000));
        crowd.assert_settled();
        assert_eq!(crowd.hang_ups, hang_ups);
        assert!(crowd.offers - offers < 30 * 20, "{}", crowd.offers - offers);
        let links: usize = (0..30).map(|who| crowd.links(who).len()).sum();
        assert!(links >= 30 * 7, "{links} ends of links");
    }
}

#[test]
fn connections_that_break_come_back() {
    let mut crowd = Crowd::new(3, 9, 400.0);
    crowd.run(ms(3_000));
    for _ in 0..40 {
        let a = crowd.rng.random_range(0..9);
        let b = (a + crowd.rng.random_range(1..9)) % 9;
        // One side notices before the other, if the other does at all.
        crowd.give(a, Event::Failed { peer: b });
        if crowd.rng.random_bool(0.5) {
            let wait = ms(crowd.rng.random_range(0..200));
            crowd.run(wait);
            crowd.give(b, Event::Failed { peer: a });
        }
        crowd.run(ms(5_000));
        crowd.assert_settled();
    }
}

#[test]
fn a_crowd_that_walks_about_settles_again() {
    let mut crowd = Crowd::new(7, 20, 1_000.0);
    crowd.run(ms(120_000));
    for _ in 0..10 {
        for who in 0..20 {
            crowd.places[who].0 += crowd.rng.random_range(-150.0..150.0);
        }
        for a in 0..20 {
            for b in (0..20).filter(|&b| b != a) {
                let near_edge_m = crowd.band(a, b);
                crowd.give(
                    a,
                    Event::Moved {
                        peer: b,
                        near_edge_m,
                    },
                );
            }
        }
        crowd.run(ms(20_000));
    }
    crowd.run(ms(300_000));
    crowd.assert_settled();
}
