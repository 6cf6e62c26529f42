//! Whether messages came to exactly those who are in range, once: looked up for a sample, person by
//! person.
//!
//! Somebody who moved at about the time of a message may rightly have got it or not, so they are
//! left out for that message. Everybody else must be right.

use neartalk_shared::Spot;

/// Somebody's move: from when it was sent until the server had confirmed it they were in between.
#[derive(Clone, Copy, Debug)]
struct Move {
    sent: u64,
    confirmed: Option<u64>,
    to: Spot,
}

/// Where somebody was, and is.
#[derive(Debug)]
struct Track {
    start: Spot,
    moves: Vec<Move>,
}

impl Track {
    /// Where they were from `from` to `until`, unless they moved in that time.
    fn settled(&self, from: u64, until: u64) -> Option<&Spot> {
        let mut spot = &self.start;
        for step in &self.moves {
            if step.sent > until {
                break;
            }
            if step.confirmed.is_none_or(|at| at >= from) {
                return None;
            }
            spot = &step.to;
        }
        Some(spot)
    }
}

/// A message of the sample.
#[derive(Debug)]
struct Sampled {
    sender: u32,
    sent: u64,
    got: Vec<u32>,
}

/// What the look-up found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Messages that were looked at.
    pub messages: u64,
    /// Deliveries that were right.
    pub right: u64,
    /// Deliveries that were wanted and did not come.
    pub missed: u64,
    /// Deliveries to somebody out of range, or to the sender.
    pub unwanted: u64,
    /// Deliveries that came again.
    pub twice: u64,
}

impl Findings {
    /// Everything that was not right.
    pub const fn wrong(&self) -> u64 {
        self.missed + self.unwanted + self.twice
    }
}

/// Remembers who moved when and who got which messages.
#[derive(Debug)]
pub struct Recipients {
    every: u32,
    tracks: Vec<Track>,
    sample: Vec<Option<Sampled>>,
}

impl Recipients {
    /// Of people who begin at these spots; one message in `every` is in the sample.
    pub fn new(spots: impl Iterator<Item = Spot>, every: u32) -> Self {
        let track = |start| Track {
            start,
            moves: Vec::new(),
        };
        Self {
            every: every.max(1),
            tracks: spots.map(track).collect(),
            sample: Vec::new(),
        }
    }

    /// Somebody has sent a new place.
    pub fn moves(&mut self, who: u32, to: Spot, sent: u64) {
        self.tracks[who as usize].moves.push(Move {
            sent,
            confirmed: None,
            to,
        });
    }

    /// The server has confirmed the oldest of somebody's places that it had not.
    pub fn confirmed(&mut self, who: u32, at: u64) {
        let moves = &mut self.tracks[who as usize].moves;
        if let Some(step) = moves.iter_mut().find(|step| step.confirmed.is_none()) {
            step.confirmed = Some(at);
        }
    }

    /// Somebody has sent a message.
    pub fn said(&mut self, number: u32, sender: u32, sent: u64) {
        if number.is_multiple_of(self.every) {
            let at = (number / self.every) as usize;
            if self.sample.len() <= at {
                self.sample.resize_with(at + 1, || None);
            }
            self.sample[at] = Some(Sampled {
                sender,
                sent,
                got: Vec::new(),
            });
        }
    }

    /// Somebody has got it.
    #[inline]
    pub fn got(&mut self, number: u32, receiver: u32) {
        if number.is_multiple_of(self.every)
            && let Some(Some(sampled)) = self.sample.get_mut((number / self.every) as usize)
        {
            sampled.got.push(receiver);
        }
    }

    /// Compares the sample with everybody's place. Nothing took longer to arrive than `longest`
    /// nanoseconds. Pairs whose distance is within `slack_m` metres of the limit may be either.
    pub fn findings(&self, longest: u64, slack_m: f64) -> Findings {
        let mut findings = Findings::default();
        for sampled in self.sample.iter().flatten() {
            let until = sampled.sent + longest;
            let Some(spot) = self.tracks[sampled.sender as usize].settled(sampled.sent, until)
            else {
                continue;
            };
            findings.messages += 1;
            let mut got = vec![0_u64; self.tracks.len()];
            for &receiver in &sampled.got {
                got[receiver as usize] += 1;
            }
            for (receiver, track) in self.tracks.iter().enumerate() {
                let count = got[receiver];
                findings.twice += count.saturating_sub(1);
                let Some(place) = track.settled(sampled.sent, until) else {
                    continue;
                };
                let is_sender = receiver == sampled.sender as usize;
                let wanted = !is_sender && spot.in_range(place);
                if slack_m > 0.0 && !is_sender && at_the_limit(spot, place, slack_m) {
                    continue;
                }
                match (wanted, count > 0) {
                    (true, true) => findings.right += 1,
                    (true, false) => findings.missed += 1,
                    (false, true) => findings.unwanted += 1,
                    (false, false) => {}
                }
            }
        }
        findings
    }
}

/// Whether two people are within `slack_m` of the farthest that they could hear each other.
fn at_the_limit(one: &Spot, other: &Spot, slack_m: f64) -> bool {
    let blur = f64::from(one.grid_m() + other.grid_m()) / 2_f64.sqrt();
    let least = one.radius().min(other.radius()).metres();
    (one.distance_m(other) - f64::from(least).max(blur)).abs() <= slack_m
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{Place, Radius};

    use super::*;

    /// So many metres east of the first.
    fn spot(east_m: f64) -> Spot {
        let place = Place::new(52.5, 13.4).unwrap();
        let east = place.destination(std::f64::consts::FRAC_PI_2, east_m);
        Spot::new(east, Radius::new(500).unwrap())
    }

    /// The sender, one near, one far.
    fn three() -> Recipients {
        let mut recipients = Recipients::new([0.0, 200.0, 3_000.0].map(spot).into_iter(), 1);
        recipients.said(0, 0, 1_000);
        recipients
    }

    #[test]
    fn exactly_those_in_range_are_right() {
        let mut recipients = three();
        recipients.got(0, 1);
        let right = Findings {
            messages: 1,
            right: 1,
            ..Findings::default()
        };
        assert_eq!(recipients.findings(100, 0.0), right);
    }

    #[test]
    fn what_is_missed_unwanted_or_twice_is_told() {
        assert_eq!(three().findings(100, 0.0).missed, 1);
        let mut recipients = three();
        for receiver in [0, 1, 1, 2] {
            recipients.got(0, receiver);
        }
        let findings = recipients.findings(100, 0.0);
        assert_eq!((findings.unwanted, findings.twice), (2, 1));
        assert_eq!(findings.wrong(), 3);
    }

    #[test]
    fn who_moves_meanwhile_may_get_it_or_not_and_afterwards_must() {
        let mut recipients = three();
        recipients.moves(1, spot(9_000.0), 900);
        assert_eq!(recipients.findings(100, 0.0).missed, 0);
        recipients.confirmed(1, 1_050);
        assert_eq!(recipients.findings(100, 0.0).missed, 0);
        recipients.said(1, 0, 1_060);
        recipients.got(1, 1);
        assert_eq!(recipients.findings(100, 0.0).unwanted, 1);

        let mut later = three();
        later.moves(1, spot(9_000.0), 1_101);
        assert_eq!(later.findings(100, 0.0).missed, 1);
        assert_eq!(later.findings(101, 0.0).missed, 0);
    }

    #[test]
    fn a_message_of_somebody_who_moves_meanwhile_is_left_out() {
        let mut recipients = three();
        recipients.moves(0, spot(9_000.0), 950);
        assert_eq!(recipients.findings(100, 0.0), Findings::default());
    }

    #[test]
    fn only_the_sample_is_looked_at_and_ties_only_without_slack() {
        let mut recipients = Recipients::new([0.0, 200.0].map(spot).into_iter(), 10);
        for number in 0..25 {
            recipients.said(number, 0, 1);
        }
        assert_eq!(recipients.findings(1, 0.0).messages, 3);
        assert_eq!(recipients.findings(1, 0.0).missed, 3);
        assert_eq!(recipients.findings(1, 400.0).missed, 0);
    }
}
