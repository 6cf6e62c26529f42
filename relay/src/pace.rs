//! How long readers are left asleep after others were woken, so that more comes together for each.
//!
//! A write costs the same whether it carries one frame or thirty. So in a busy relay waiting saves
//! work, and with it everyone's wait; in a calm one it would be nothing but a delay.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use tokio::{
    runtime::RuntimeMetrics,
    time::{Instant, MissedTickBehavior, interval},
};

/// The longest wait.
const MAX: Duration = Duration::from_micros(5_500);

/// Nobody waits where the workers are busy for no more of their time than this, 0 to 1 …
const CALM: f64 = 0.3;
/// … and where they are for so much, everybody waits as long as may be.
const BUSY: f64 = 0.5;

/// How often to look how busy they are.
const LOOK: Duration = Duration::from_millis(200);

/// How long to wait at the moment.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    micros: Arc<AtomicU32>,
}

impl Pace {
    /// How long to wait at the moment.
    pub fn current(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::Relaxed).into())
    }

    /// That of a relay that is busy.
    #[cfg(test)]
    pub(crate) fn busy() -> Self {
        let pace = Self::default();
        pace.set(1.0);
        pace
    }

    /// Sets it by how busy the workers are, 0 to 1.
    fn set(&self, busy: f64) {
        let share = ((busy - CALM) / (BUSY - CALM)).clamp(0.0, 1.0);
        let micros = MAX.mul_f64(share).as_micros() as u32;
        self.micros.store(micros, Ordering::Relaxed);
    }

    /// Follows these workers for ever.
    pub async fn follow(self, workers: RuntimeMetrics) {
        let busy_time = || -> Duration {
            let all = 0..workers.num_workers();
            all.map(|worker| workers.worker_total_busy_duration(worker))
                .sum()
        };
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut last, mut last_at) = (busy_time(), Instant::now());
        loop {
            let at = looks.tick().await;
            let (now, elapsed) = (busy_time(), at.saturating_duration_since(last_at));
            if elapsed < LOOK / 2 {
                continue;
            }
            let all = elapsed.as_secs_f64() * workers.num_workers() as f64;
            self.set(now.saturating_sub(last).as_secs_f64() / all);
            (last, last_at) = (now, at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_where_there_is_time_and_nobody_longer_than_the_longest() {
        let pace = Pace::default();
        assert_eq!(pace.current(), Duration::ZERO);
        for (busy, milliseconds) in [
            (0.0, 0.0),
            (0.3, 0.0),
            (0.4, 2.75),
            (0.5, 5.5),
            (0.99, 5.5),
            (1.2, 5.5),
            (0.1, 0.0),
        ] {
            pace.set(busy);
            let wait = pace.current().as_secs_f64() * 1e3;
            assert!((wait - milliseconds).abs() < 0.01, "{busy}: {wait}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_busy_worker_sets_the_pace_and_a_calm_one_lifts_it() {
        let pace = Pace::default();
        tokio::spawn(
            pace.clone()
                .follow(tokio::runtime::Handle::current().metrics()),
        );
        let busy = pace.clone();
        // The only worker does nothing else until it has been noticed; from then on nothing.
        tokio::spawn(async move {
            while busy.current() < MAX {
                let until = std::time::Instant::now() + Duration::from_millis(5);
                while std::time::Instant::now() < until {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        while pace.current() > Duration::ZERO {
            tokio::time::sleep(LOOK).await;
        }
    }
}
