//! How well one person is heard, lately.

use std::{collections::VecDeque, time::Duration};

use crate::{jitter::JitterStats, mesh::LinkState};

/// How long "lately" is.
const WINDOW: Duration = Duration::from_secs(5);
/// How often the counters are put down.
const STEP: Duration = Duration::from_millis(500);
const STEPS: usize = 10;

/// How well one person is heard, and hears. `None` is what is not known (yet).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// How the connection stands.
    pub state: LinkState,
    /// Share of their packets that did not arrive in the last 5 s, 0 to 1.
    pub loss: f32,
    /// Share of their sound that had to be made up in the last 5 s, 0 to 1.
    pub concealed: f32,
    /// There and back.
    pub round_trip: Option<Duration>,
    /// How long their sound is held back at present.
    pub delay: Duration,
    /// How long it should be, for their network.
    pub target: Duration,
    /// Share of this side's packets that they say did not arrive, 0 to 1.
    pub send_loss: Option<f32>,
    /// Whether the way leads over a relay.
    pub relayed: Option<bool>,
    /// Whether they receive what this side sends, of which they can tell only while it sends.
    pub hears_me: Option<bool>,
    /// How long it took from the first thing that the two said to connect to the first sound of theirs.
    pub first_sound: Option<Duration>,
}

impl Quality {
    /// Of somebody with whom there is no connection.
    pub(super) const fn none(state: LinkState) -> Self {
        Self {
            state,
            loss: 0.0,
            concealed: 0.0,
            round_trip: None,
            delay: Duration::ZERO,
            target: Duration::ZERO,
            send_loss: None,
            relayed: None,
            hears_me: None,
            first_sound: None,
        }
    }
}

/// What a stream's counters were, over the window.
#[derive(Clone, Debug, Default)]
pub(super) struct Lately {
    past: VecDeque<(Duration, JitterStats)>,
}

impl Lately {
    /// Puts the counters down, if it is time to. `stats` is only asked for then.
    pub(super) fn look(&mut self, now: Duration, stats: impl FnOnce() -> JitterStats) {
        if self.past.back().is_some_and(|&(at, _)| now < at + STEP) {
            return;
        }
        if self.past.len() > STEPS {
            self.past.pop_front();
        }
        self.past.push_back((now, stats()));
    }

    /// Shares of packets lost and of sound made up since the window began, when the counters are `stats`.
    pub(super) fn shares(&self, now: Duration, stats: &JitterStats) -> (f32, f32) {
        let begin = now.saturating_sub(WINDOW + STEP);
        let before = self
            .past
            .iter()
            .find(|(at, _)| *at >= begin)
            .map(|&(_, stats)| stats)
            .unwrap_or_default();
        // What is late after all is taken back from what was lost.
        let since = |count: fn(&JitterStats) -> u64| count(stats).saturating_sub(count(&before));
        let difference = JitterStats {
            received: since(|s| s.received),
            lost: since(|s| s.lost),
            played: since(|s| s.played),
            from_red: since(|s| s.from_red),
            from_fec: since(|s| s.from_fec),
            from_dred: since(|s| s.from_dred),
            concealed: since(|s| s.concealed),
            ..JitterStats::default()
        };
        (difference.loss_ratio(), difference.concealed_ratio())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_seconds_count() {
        let mut lately = Lately::default();
        let mut stats = JitterStats::default();
        let mut now = Duration::ZERO;
        let mut second = |lost: u64, stats: &mut JitterStats| {
            for n in 0..100 {
                now += Duration::from_millis(10);
                if n % 2 == 0 {
                    stats.received += 1;
                }
                stats.played += 480;
                lately.look(now, || *stats);
            }
            stats.lost += lost;
            stats.concealed += 960 * lost;
            let shares = lately.shares(now, stats);
            assert!(lately.past.len() <= STEPS + 1);
            shares
        };
        assert_eq!(second(0, &mut stats), (0.0, 0.0));
        let (loss, concealed) = second(50, &mut stats);
        assert!((0.3..0.4).contains(&loss), "{loss}");
        assert!((0.3..0.4).contains(&concealed), "{concealed}");
        for _ in 0..3 {
            assert!(second(0, &mut stats).0 > 0.1);
        }
        for _ in 0..2 {
            second(0, &mut stats);
        }
        assert_eq!(second(0, &mut stats), (0.0, 0.0));
    }
}
