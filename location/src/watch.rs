//! Between a system's callbacks and whoever wants to know.

use std::future;

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{Report, State, Tracker};

/// A way to report to a watch. Its search begins now.
pub fn channel() -> (Reporter, Watch) {
    let (sender, tracker) = watch::channel(Tracker::new(now()));
    let told = State::Finding;
    (Reporter(sender), Watch { tracker, told })
}

/// A provider's end.
#[derive(Debug)]
pub struct Reporter(watch::Sender<Tracker>);

impl Reporter {
    /// Hands in what the system reports.
    pub fn report(&self, report: Report) {
        self.0.send_modify(|tracker| tracker.report(now(), report));
    }

    /// Waits until nobody wants to know any more.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// A system's watch on the device's place, which ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    tracker: watch::Receiver<Tracker>,
    told: State,
}

impl Watch {
    /// How it stood when that was last told.
    pub const fn state(&self) -> &State {
        &self.told
    }

    /// Waits until it stands otherwise. None when the system's part has ended for good. A state that was
    /// not taken before the next came is not told.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<State> {
        loop {
            let (state, change) = {
                let (tracker, now) = (self.tracker.borrow_and_update(), now());
                (tracker.state(now), tracker.next_change(now))
            };
            if state != self.told {
                self.told = state.clone();
                return Some(state);
            }
            tokio::select! {
                reported = self.tracker.changed() => reported.ok()?,
                () = at(change) => {}
            }
        }
    }
}

/// By Tokio's clock, which a test can turn.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn at(time: Option<std::time::Instant>) {
    match time {
        Some(time) => sleep_until(Instant::from_std(time)).await,
        None => future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PATIENCE, Problem, Reading};

    #[tokio::test(start_paused = true)]
    async fn reports_and_the_clock_change_the_state_and_nothing_else_wakes() {
        let (reporter, mut watch) = channel();
        let started = Instant::now();
        assert_eq!(*watch.state(), State::Finding);
        assert_eq!(
            watch.next().await,
            Some(State::Unavailable(Problem::NotFound))
        );
        assert_eq!(started.elapsed(), PATIENCE);
        let reading = Reading::new(1.0, 2.0, 3.0).unwrap();
        reporter.report(Report::Reading(reading));
        // Which takes nothing away, though the place has not been taken yet.
        reporter.report(Report::Searching);
        assert_eq!(watch.next().await, Some(State::Live(reading)));
        // The same once more is no change; what was reported last is told though its reporter is gone.
        reporter.report(Report::Reading(reading));
        reporter.report(Report::Denied);
        drop(reporter);
        assert_eq!(watch.next().await, Some(State::Denied));
        assert_eq!(watch.next().await, None);
    }

    #[tokio::test]
    async fn a_reporter_learns_that_nobody_wants_to_know() {
        let (reporter, watch) = channel();
        let closed = tokio::spawn(async move { reporter.closed().await });
        drop(watch);
        closed.await.unwrap();
    }
}
