//! Wakes the tasks of those for whom the room has something: from among them, and many at a time.
//!
//! The room has a thread to itself, and to wake a task from another thread can take a system call,
//! which for a crowd would be as many as there are people in it. So the room marks whom there is
//! something for, and at the end of its turn wakes one task, which wakes all of these as one of
//! their own. In a busy relay that task lets more gather before, as [`pace`](crate::pace) says.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Instant,
};

use futures_util::task::AtomicWaker;
use tokio::{
    sync::{Notify, mpsc},
    task::yield_now,
    time::sleep,
};

use crate::pace::Pace;

/// Tasks that are woken before others have a turn: whoever has something to say should not wait
/// until a whole crowd has been written to.
const CHUNK: usize = 32;

/// What a task sleeps on until there is something for it.
#[derive(Debug, Default)]
pub struct Sleeper {
    /// There is something that the task does not know of.
    marked: AtomicBool,
    waker: AtomicWaker,
}

impl Sleeper {
    /// Waits until there is something new. Only one task may.
    pub async fn marked(&self) {
        poll_fn(|context| {
            // First, so that whoever marks it after the look has somebody to wake.
            self.waker.register(context.waker());
            if self.marked.swap(false, Ordering::AcqRel) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Ends the task's own next wait at once, as it has not taken all.
    pub fn remind(&self) {
        self.marked.store(true, Ordering::Release);
    }
}

#[derive(Debug)]
struct Shared {
    sleepers: mpsc::UnboundedSender<Arc<Sleeper>>,
    /// Somebody was marked since the last flush.
    any: AtomicBool,
    flushed: Arc<Notify>,
}

/// Whom there is something for.
#[derive(Clone, Debug)]
pub struct WakeQueue(Arc<Shared>);

impl WakeQueue {
    /// An empty queue, and the task that wakes who is in it.
    pub fn new() -> (Self, WakeTask) {
        // Not bounded, but for each frame that waits for somebody it holds one at most.
        let (sleepers, receiver) = mpsc::unbounded_channel();
        let flushed = Arc::new(Notify::new());
        let task = WakeTask {
            sleepers: receiver,
            flushed: Arc::clone(&flushed),
        };
        let any = AtomicBool::new(false);
        let shared = Shared {
            sleepers,
            any,
            flushed,
        };
        (Self(Arc::new(shared)), task)
    }

    /// Notes that there is something for `sleeper`, which is in its place already. It is woken after
    /// the next [`WakeQueue::flush`].
    pub fn mark(&self, sleeper: &Arc<Sleeper>) {
        if !sleeper.marked.swap(true, Ordering::AcqRel) {
            // It fails only when the relay has ended.
            let _ = self.0.sleepers.send(Arc::clone(sleeper));
            self.0.any.store(true, Ordering::Relaxed);
        }
    }

    /// Has whoever was marked by this thread woken, at once or after the pace.
    pub fn flush(&self) {
        if self.0.any.swap(false, Ordering::Relaxed) {
            self.0.flushed.notify_one();
        }
    }
}

/// Wakes who is marked.
#[derive(Debug)]
pub struct WakeTask {
    sleepers: mpsc::UnboundedReceiver<Arc<Sleeper>>,
    flushed: Arc<Notify>,
}

impl WakeTask {
    /// Does so for ever, in the runtime of the sleepers' tasks.
    pub async fn run(mut self, pace: Pace) {
        loop {
            self.flushed.notified().await;
            let (start, wait) = (Instant::now(), pace.current());
            // Whoever comes meanwhile is flushed again.
            for woken in 1..=self.sleepers.len() {
                let Ok(sleeper) = self.sleepers.try_recv() else {
                    break;
                };
                sleeper.waker.wake();
                if woken % CHUNK == 0 {
                    yield_now().await;
                }
            }
            let rest = wait.saturating_sub(start.elapsed());
            if !rest.is_zero() {
                sleep(rest).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::AtomicUsize,
        task::{Context, Wake, Waker},
        time::Duration,
    };

    use tokio::time::timeout;

    use super::*;

    /// How often somebody was woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl Woken {
        fn times(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }

        async fn wait(&self, times: usize) {
            let woken = async {
                while self.times() < times {
                    yield_now().await;
                }
            };
            timeout(Duration::from_secs(30), woken).await.unwrap();
        }
    }

    /// Whether `sleeper` is marked; if not, it waits from now on.
    fn look(sleeper: &Sleeper, woken: &Arc<Woken>) -> bool {
        let waker = Waker::from(Arc::clone(woken));
        pin!(sleeper.marked())
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
    }

    #[tokio::test]
    async fn who_is_marked_is_woken_once_and_not_before_the_flush() {
        let (queue, task) = WakeQueue::new();
        tokio::spawn(task.run(Pace::default()));
        let (sleeper, other) = (Arc::new(Sleeper::default()), Arc::new(Sleeper::default()));
        let (woken, other_woken) = (Arc::new(Woken::default()), Arc::new(Woken::default()));
        assert!(!look(&sleeper, &woken) && !look(&other, &other_woken));
        for round in 1..4 {
            queue.mark(&sleeper);
            queue.mark(&sleeper);
            for _ in 0..10 {
                yield_now().await;
            }
            assert_eq!(woken.times(), round - 1, "nobody has flushed yet");
            queue.flush();
            woken.wait(round).await;
            queue.flush();
            for _ in 0..10 {
                yield_now().await;
            }
            assert_eq!(woken.times(), round);
            assert!(look(&sleeper, &woken));
            assert!(!look(&sleeper, &woken));
        }
        assert_eq!(other_woken.times(), 0);
    }

    #[tokio::test]
    async fn what_is_marked_before_anybody_waits_or_left_over_is_not_missed() {
        let (queue, task) = WakeQueue::new();
        tokio::spawn(task.run(Pace::default()));
        let (sleeper, woken) = (Arc::new(Sleeper::default()), Arc::new(Woken::default()));
        queue.mark(&sleeper);
        queue.flush();
        assert!(look(&sleeper, &woken));
        assert!(!look(&sleeper, &woken));
        sleeper.remind();
        assert!(look(&sleeper, &woken));
        assert!(!look(&sleeper, &woken));
        queue.mark(&sleeper);
        queue.flush();
        woken.wait(1).await;
    }

    #[tokio::test]
    async fn in_a_busy_relay_the_next_wait_for_each_other() {
        let (queue, task) = WakeQueue::new();
        let pace = Pace::busy();
        tokio::spawn(task.run(pace.clone()));
        let sleepers: Vec<_> = (0..3).map(|_| Arc::new(Sleeper::default())).collect();
        let woken = Arc::new(Woken::default());
        assert!(!sleepers.iter().any(|sleeper| look(sleeper, &woken)));
        let start = Instant::now();
        for (at, sleeper) in sleepers.iter().enumerate() {
            queue.mark(sleeper);
            queue.flush();
            if at == 0 {
                woken.wait(1).await;
            }
        }
        woken.wait(3).await;
        assert!(start.elapsed() >= pace.current());
    }
}
