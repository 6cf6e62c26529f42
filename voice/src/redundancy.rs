//! How much redundancy a peer's reported loss asks for.
//!
//! Two questions, for two places. Each peer gets as many **copies** of earlier payloads (RED) as its
//! own network needs: [`PeerRedundancy`]. All peers hear the same **encoder**, which must suit the one
//! with the worst network: [`plan`].
//!
//! Measured (PESQ-WB at 10, 20 and 30 % random loss): LBRR and deep concealment alone 3.56, 2.86,
//! 2.19; one copy 4.32, 4.14, 3.61; two copies 4.32, 4.32, 4.20. So: copies until about one frame in
//! two hundred is beyond recovery, none below a loss that concealment hides. More is asked for at once,
//! less only after the network has been better for a while. And LBRR only while somebody gets no copies:
//! it takes its bits from the sound, and brings back hardly anything that copies don't.

mod rows;

use std::time::Duration;

pub use rows::{ArrivalLog, Arrivals, LossRows};

use crate::codec::{EncoderSettings, PacketLength};

/// Most copies of earlier payloads in a packet.
pub const MAX_COPIES: u8 = 3;

/// Below this loss concealment does well enough.
const HIDDEN: f32 = 0.015;
/// Of this share of the frames, all may be lost beyond recovery.
const BEYOND_RECOVERY: f32 = 0.005;
/// To do with fewer copies, the network must be good enough for that with so much to spare.
const MARGIN: f32 = 1.5;
/// And must have been for so long.
const CALM: Duration = Duration::from_secs(10);
/// What a report weighs against those before it when loss falls; when it rises, twice that.
const WEIGHT: f32 = 0.3;
/// From this mean length of rows on, copies of the last packets are lost with them: deep redundancy
/// reaches further.
const BURSTY: f32 = 1.8;
/// Round trips this much slower than the quickest mean that the path is full: more bytes would only
/// add to it.
const QUEUED: Duration = Duration::from_millis(150);

/// A path with round trips below this is short: a local network.
pub const NEAR: Duration = Duration::from_millis(15);

/// With less loss than this, packets may be short.
const CLEAN: f32 = 0.005;

/// What a peer says about what it hears of us, every second or so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReceiverReport {
    /// Share of our packets that did not arrive since the last report, 0 to 1.
    pub loss: f32,
    /// Mean length of the rows in which they were lost, in packets; 1 when each was by itself.
    pub burst: f32,
    /// Round-trip time, where known.
    pub round_trip: Option<Duration>,
}

/// What one peer's network needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    /// Copies of earlier payloads in each packet to this peer, at most [`MAX_COPIES`].
    pub copies: u8,
    /// Smoothed loss, 0 to 1.
    pub loss: f32,
    /// Whether losses come in rows that copies don't reach over.
    pub bursty: bool,
    /// Whether the path is full, so that fewer bytes help more than more copies.
    pub full: bool,
    /// Whether the path is so short and clean that packets of 10 ms cost nothing but bytes.
    pub near: bool,
}

/// Follows one peer's reports.
#[derive(Clone, Debug)]
pub struct PeerRedundancy {
    demand: Demand,
    burst: f32,
    quickest: Option<Duration>,
    /// Since when fewer copies would do.
    calm_since: Option<Duration>,
    /// Since when the path has been short and clean.
    near_since: Option<Duration>,
}

impl Default for PeerRedundancy {
    fn default() -> Self {
        Self::new()
    }
}

impl PeerRedundancy {
    /// A peer that has not reported yet: none is needed.
    pub const fn new() -> Self {
        Self {
            demand: Demand {
                copies: 0,
                loss: 0.0,
                bursty: false,
                full: false,
                near: false,
            },
            burst: 1.0,
            quickest: None,
            calm_since: None,
            near_since: None,
        }
    }

    /// What this peer needs at present.
    pub const fn demand(&self) -> Demand {
        self.demand
    }

    /// Takes in how long a round trip took before there was any report: over a short path short packets are
    /// worth a try from the first word on, and the first report of loss ends it.
    pub fn begin(&mut self, round_trip: Duration) {
        self.demand.near = round_trip < NEAR && self.demand.loss <= CLEAN;
        self.quickest.get_or_insert(round_trip);
    }

    /// Takes in a report that came at `now`; what the peer needs from now on. Numbers out of range are
    /// brought into it.
    pub fn report(&mut self, report: ReceiverReport, now: Duration) -> Demand {
        let loss = finite(report.loss, 0.0, 1.0);
        let weight = if loss > self.demand.loss {
            2.0 * WEIGHT
        } else {
            WEIGHT
        };
        self.demand.loss += (loss - self.demand.loss) * weight;
        if loss > 0.0 {
            self.burst += (finite(report.burst, 1.0, 50.0) - self.burst) * WEIGHT;
        }
        self.follow_round_trip(report.round_trip);
        self.follow_nearness(report, now);

        // Rows end and begin by chance, so leaving "bursty" takes more than entering it.
        let bursty = if self.demand.bursty {
            BURSTY - 0.4
        } else {
            BURSTY
        };
        self.demand.bursty = self.demand.loss > HIDDEN && self.burst > bursty;

        let needed = needed(self.demand.loss, self.burst);
        if needed >= self.demand.copies {
            self.demand.copies = needed;
            self.calm_since = None;
        } else if needed_with_margin(self.demand.loss, self.burst) < self.demand.copies {
            let since = *self.calm_since.get_or_insert(now);
            if now.saturating_sub(since) >= CALM {
                // One at a time: the next needs its own time to prove itself.
                self.demand.copies -= 1;
                self.calm_since = Some(now);
            }
        } else {
            self.calm_since = None;
        }
        if self.demand.full {
            self.demand.copies = self.demand.copies.min(1);
        }
        self.demand
    }

    fn follow_round_trip(&mut self, round_trip: Option<Duration>) {
        let Some(round_trip) = round_trip else { return };
        let quickest = self
            .quickest
            .map_or(round_trip, |quickest| quickest.min(round_trip));
        // Paths change: the quickest is believed a little less with every report.
        self.quickest = Some(quickest + (round_trip - quickest) / 100);
        let queued = round_trip - quickest;
        let limit = if self.demand.full { QUEUED / 2 } else { QUEUED };
        self.demand.full = queued > limit && self.demand.loss > HIDDEN;
    }

    fn follow_nearness(&mut self, report: ReceiverReport, now: Duration) {
        let quick = report.round_trip.is_some_and(|rtt| rtt < NEAR);
        if !quick || self.demand.loss > CLEAN {
            self.near_since = None;
            self.demand.near = false;
            return;
        }
        let since = *self.near_since.get_or_insert(now);
        self.demand.near |= now.saturating_sub(since) >= CALM / 2;
    }
}

/// Share of frames lost with all their copies: the frame, and each later packet that carries it.
fn beyond_recovery(loss: f32, burst: f32, copies: u8) -> f32 {
    // In a row, the next packet is lost with this chance; by themselves, as any other.
    let next = (1.0 - 1.0 / burst.max(1.0)).max(loss);
    loss * next.powi(i32::from(copies))
}

fn needed(loss: f32, burst: f32) -> u8 {
    if loss < HIDDEN {
        return 0;
    }
    (1..MAX_COPIES)
        .find(|&copies| beyond_recovery(loss, burst, copies) <= BEYOND_RECOVERY)
        .unwrap_or(MAX_COPIES)
}

fn needed_with_margin(loss: f32, burst: f32) -> u8 {
    needed((loss * MARGIN).min(1.0), burst)
}

fn finite(value: f32, least: f32, most: f32) -> f32 {
    if value.is_finite() {
        value.clamp(least, most)
    } else {
        least
    }
}

/// How to encode for all peers at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderPlan {
    /// Sound in a packet.
    pub packet: PacketLength,
    /// Everything else.
    pub settings: EncoderSettings,
}

/// The encoder's plan for peers with these demands: what the worst network among them needs.
///
/// Switching from plan to plan costs nothing that is heard, but for the packet length, whose demand
/// has its own delay ([`Demand::near`]).
pub fn plan(demands: impl IntoIterator<Item = Demand>) -> EncoderPlan {
    let mut worst = Demand {
        near: true,
        ..Demand::default()
    };
    let mut anybody = false;
    let mut all_get_copies = true;
    for demand in demands {
        anybody = true;
        all_get_copies &= demand.copies > 0;
        worst = Demand {
            copies: worst.copies.max(demand.copies),
            loss: worst.loss.max(demand.loss),
            bursty: worst.bursty | demand.bursty,
            full: worst.full | demand.full,
            near: worst.near & demand.near,
        };
    }
    let near = worst.near && anybody;
    let loss = (worst.loss * 100.0).round() as u8;
    let deep = worst.bursty && !worst.full;
    let bitrate = match (worst.full, deep, near) {
        (true, ..) => 20_000,
        // Deep redundancy takes its bits from the same rate.
        (false, true, _) => 48_000,
        // 10 ms packets need more for the same sound, and a local network has it.
        (false, false, true) => 48_000,
        (false, false, false) => 32_000,
    };
    EncoderPlan {
        packet: if near {
            PacketLength::Ms10
        } else {
            PacketLength::Ms20
        },
        settings: EncoderSettings {
            bitrate,
            // It takes its bits from the sound: 0.16 of PESQ when sized for 20 % loss, 0.26 for 30 %.
            inband_fec: !near && (worst.full || !anybody || !all_get_copies),
            // Rounded, so that every report does not mean other settings; never 0, or there would be
            // nothing against the first loss.
            expected_loss: loss.div_ceil(5).clamp(1, 6) * 5,
            dred_frames: if deep { 24 } else { 0 },
            ..EncoderSettings::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn report(loss: f32, burst: f32) -> ReceiverReport {
        ReceiverReport {
            loss,
            burst,
            round_trip: Some(Duration::from_millis(60)),
        }
    }

    /// After so many seconds of the same reports.
    fn after(peer: &mut PeerRedundancy, from: u64, count: u64, loss: f32, burst: f32) -> Demand {
        for n in 0..count {
            peer.report(report(loss, burst), seconds(from + n));
        }
        peer.demand()
    }

    #[test]
    fn copies_follow_the_measured_needs() {
        for (loss, copies) in [
            (0.0, 0),
            (0.01, 0),
            (0.03, 1),
            (0.1, 2),
            (0.2, 3),
            (0.3, 3),
            (0.6, 3),
        ] {
            let demand = after(&mut PeerRedundancy::new(), 0, 30, loss, 1.0);
            assert_eq!(demand.copies, copies, "at {loss}");
            assert!(!demand.bursty);
        }
        assert_eq!(after(&mut PeerRedundancy::new(), 0, 30, 0.1, 3.0).copies, 3);
    }

    #[test]
    fn more_comes_at_once_and_less_one_by_one_after_a_while() {
        let mut peer = PeerRedundancy::new();
        assert_eq!(peer.report(report(0.25, 1.0), seconds(0)).copies, 2);
        assert_eq!(after(&mut peer, 1, 9, 0.3, 1.0).copies, 3);
        let mut copies = Vec::new();
        for n in 10..80 {
            copies.push(peer.report(report(0.0, 1.0), seconds(n)).copies);
        }
        assert!(copies[..10].iter().all(|&c| c == 3), "{copies:?}");
        assert!(copies.windows(2).all(|w| w[0] - w[1] <= 1), "{copies:?}");
        assert_eq!(copies[69], 0, "{copies:?}");
    }

    #[test]
    fn a_loss_that_swings_about_a_threshold_does_not_make_the_copies_swing() {
        let mut peer = PeerRedundancy::new();
        after(&mut peer, 0, 30, 0.17, 1.0);
        let mut changes = 0;
        let mut last = peer.demand().copies;
        for n in 30..330 {
            let loss = if n % 2 == 0 { 0.15 } else { 0.19 };
            let copies = peer.report(report(loss, 1.0), seconds(n)).copies;
            changes += u32::from(copies != last);
            last = copies;
        }
        assert!(changes <= 1, "{changes} changes");
    }

    #[test]
    fn bursts_ask_for_deep_redundancy() {
        let mut peer = PeerRedundancy::new();
        let demand = after(&mut peer, 0, 20, 0.1, 3.0);
        assert!(demand.bursty);
        let plan = plan([Demand::default(), demand]);
        assert_eq!(plan.settings.dred_frames, 24);
        assert_eq!(plan.settings.bitrate, 48_000);
        assert_eq!(plan.settings.expected_loss, 10);
        let demand = after(&mut peer, 20, 60, 0.0, 1.0);
        assert!(!demand.bursty);
    }

    #[test]
    fn who_gets_copies_needs_no_lbrr() {
        let lossy = after(&mut PeerRedundancy::new(), 0, 20, 0.2, 1.0);
        let hardly = after(&mut PeerRedundancy::new(), 0, 20, 0.01, 1.0);
        let lbrr = |demands: &[Demand]| plan(demands.iter().copied()).settings.inband_fec;
        assert!(!lbrr(&[lossy, lossy]));
        // Somebody's losses are too few for copies, or they take none.
        for other in [hardly, Demand { copies: 0, ..lossy }] {
            assert!(lbrr(&[lossy, other]));
        }
        assert!(lbrr(&[Demand {
            full: true,
            copies: 1,
            ..lossy
        }]));
        assert!(lbrr(&[]));
    }

    #[test]
    fn a_full_path_gets_fewer_bytes() {
        let mut peer = PeerRedundancy::new();
        after(&mut peer, 0, 5, 0.2, 1.0);
        let slow = ReceiverReport {
            round_trip: Some(Duration::from_millis(400)),
            ..report(0.2, 1.0)
        };
        let demand = peer.report(slow, seconds(6));
        assert!(demand.full && demand.copies <= 1);
        assert_eq!(plan([demand]).settings.bitrate, 20_000);
        assert!(!after(&mut peer, 7, 3, 0.2, 1.0).full);
    }

    #[test]
    fn short_packets_need_everybody_near_for_a_while() {
        let near = ReceiverReport {
            round_trip: Some(Duration::from_millis(3)),
            ..report(0.0, 1.0)
        };
        let mut peer = PeerRedundancy::new();
        assert!(!peer.report(near, seconds(0)).near);
        for n in 1..10 {
            peer.report(near, seconds(n));
        }
        let demand = peer.demand();
        assert!(demand.near);
        assert_eq!(plan([demand]).packet, PacketLength::Ms10);
        assert_eq!(plan([demand, Demand::default()]).packet, PacketLength::Ms20);
        assert_eq!(plan([]).packet, PacketLength::Ms20);
        assert!(!peer.report(report(0.1, 1.0), seconds(11)).near);
    }

    #[test]
    fn a_short_path_is_trusted_from_the_start_until_it_loses() {
        let near = ReceiverReport {
            round_trip: Some(Duration::from_millis(3)),
            ..report(0.0, 1.0)
        };
        let mut peer = PeerRedundancy::new();
        peer.begin(Duration::from_millis(3));
        assert!(peer.demand().near);
        assert!(peer.report(near, seconds(1)).near);
        let lost = ReceiverReport { loss: 0.1, ..near };
        assert!(!peer.report(lost, seconds(2)).near);
        assert!(!peer.report(near, seconds(3)).near);
        peer.begin(Duration::from_millis(40));
        assert!(!peer.demand().near);
    }

    #[test]
    fn nonsense_is_brought_into_range() {
        let mut peer = PeerRedundancy::new();
        for (loss, burst) in [
            (f32::NAN, f32::NAN),
            (f32::INFINITY, -1.0),
            (-3.0, 0.0),
            (7.0, 1e9),
        ] {
            let demand = peer.report(report(loss, burst), seconds(0));
            assert!((0.0..=1.0).contains(&demand.loss));
            assert!(plan([demand]).settings.expected_loss <= 30);
        }
    }
}
