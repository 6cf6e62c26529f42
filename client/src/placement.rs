//! What the relay knows of the place, and when it is told.
//!
//! Brings together what may be known ([`cloak`](crate::cloak)), how often it may be told
//! ([`budget`](crate::budget)) and what the relay has acknowledged. The latest wins: what waited for
//! the budget is not told if it is no longer true.

use std::time::{Duration, Instant};

use neartalk_shared::{
    ApiError, ErrorCode, Limits, Radius,
    frame::Locate,
    limits::{IMPLAUSIBLE_STILL, LOCATION_BURST, LOCATION_INTERVAL},
};
use rand::Rng;

use crate::{budget::Budget, cloak::Cloak, location::Fix};

/// A relay answers at once; after this long, it is told again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// A relay that still has the place says so right after `welcome`; after this long, it is told.
const RESUME_TIMEOUT: Duration = Duration::from_secs(3);

/// What the relay knows.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    /// Nothing, or nobody can say what.
    Unknown,
    /// This, when the connection was lost.
    Before { locate: Locate, lost_at: Instant },
    /// The session was resumed, so the relay should say by itself that it still has this.
    Resuming { locate: Locate, until: Instant },
    /// This is on its way.
    OnTheWay { locate: Locate, since: Instant },
    /// This.
    Known(Locate),
}

/// The place and circle: as the device has them, as they may be known, and as the relay knows them.
#[derive(Debug)]
pub struct Placement {
    cloak: Cloak,
    budget: Budget,
    radius: Radius,
    told: Told,
    online: bool,
    /// The relay asked for patience until then.
    hold_until: Option<Instant>,
}

impl Placement {
    /// No place yet, and a circle of `radius`.
    pub fn new(radius: Radius) -> Self {
        Self {
            cloak: Cloak::new(radius),
            budget: Budget::new(LOCATION_INTERVAL, LOCATION_BURST),
            radius,
            told: Told::Unknown,
            online: false,
            hold_until: None,
        }
    }

    /// The device is here now.
    pub fn fix(&mut self, now: Instant, fix: Fix, rng: &mut impl Rng) {
        self.cloak.fix(now, fix, rng);
    }

    /// Another circle.
    pub fn set_radius(&mut self, now: Instant, radius: Radius, rng: &mut impl Rng) {
        self.radius = radius;
        self.cloak.set_radius(now, radius, rng);
    }

    /// The radius that was chosen.
    pub fn radius(&self) -> Radius {
        self.radius
    }

    /// The relay listens; `resumed` if it still has the session.
    pub fn welcomed(&mut self, now: Instant, resumed: bool, limits: &Limits) {
        self.online = true;
        self.budget.set(
            Duration::from_millis(limits.location_interval_ms),
            limits.location_burst,
        );
        // A place outlives its socket by its time to live; near the end of it, telling is surer
        // than asking.
        let alive = Duration::from_millis(limits.place_ttl_ms).mul_f64(0.8);
        self.told = match self.told {
            Told::Before { locate, lost_at }
                if resumed
                    && Some(locate) == self.wanted()
                    && now.saturating_duration_since(lost_at) <= alive =>
            {
                Told::Resuming {
                    locate,
                    until: now + RESUME_TIMEOUT,
                }
            }
            _ => Told::Unknown,
        };
    }

    /// The connection is gone.
    pub fn disconnected(&mut self, now: Instant) {
        self.online = false;
        self.told = match self.told {
            Told::Known(locate) | Told::Resuming { locate, .. } => Told::Before {
                locate,
                lost_at: now,
            },
            before @ Told::Before { .. } => before,
            // Nobody can say whether what was on its way has arrived.
            Told::Unknown | Told::OnTheWay { .. } => Told::Unknown,
        };
    }

    /// A new session begins: the relay knows nothing of it, and keeps a new account.
    pub fn new_session(&mut self) {
        self.told = Told::Unknown;
        self.budget.refill();
        self.hold_until = None;
    }

    /// The relay says that it has a place with this radius.
    pub fn located(&mut self, radius: Radius) {
        if let Told::OnTheWay { locate, .. } | Told::Resuming { locate, .. } = self.told
            // One with another radius is the answer to what was told before.
            && locate.radius == radius
        {
            self.told = Told::Known(locate);
        }
    }

    /// The relay says that it has no place.
    pub fn lost(&mut self) {
        if !matches!(self.told, Told::OnTheWay { .. }) {
            self.told = Told::Unknown;
        }
    }

    /// The relay has refused something. If that was the place: when it is told again.
    pub fn refused(&mut self, now: Instant, error: &ApiError) -> Option<Duration> {
        let wait = match (error.code, self.told) {
            (ErrorCode::RateLimited, Told::OnTheWay { .. }) => LOCATION_INTERVAL,
            (
                ErrorCode::ImplausibleLocation
                | ErrorCode::PlaceClosed
                | ErrorCode::InvalidLocation
                | ErrorCode::InvalidRadius,
                _,
            ) => IMPLAUSIBLE_STILL,
            _ => return None,
        };
        let wait = error.retry_after_ms.map_or(wait, Duration::from_millis);
        self.told = Told::Unknown;
        self.hold_until = Some(now + wait);
        Some(wait)
    }

    /// Does what time has come for, connected or not, and gives what is to be told now, if
    /// anything.
    pub fn wake(&mut self, now: Instant, rng: &mut impl Rng) -> Option<Locate> {
        self.cloak.wake(now, rng);
        match self.told {
            Told::Resuming { until, .. } if now >= until => self.told = Told::Unknown,
            Told::OnTheWay { since, .. } if now >= since + ANSWER_TIMEOUT => {
                self.told = Told::Unknown;
            }
            _ => {}
        }
        let locate = self.due()?;
        if self.hold_until.is_some_and(|until| now < until) || !self.budget.spend(now) {
            return None;
        }
        self.hold_until = None;
        self.told = Told::OnTheWay { locate, since: now };
        Some(locate)
    }

    /// What the relay should be told as soon as it may be.
    fn due(&self) -> Option<Locate> {
        let wanted = self.wanted()?;
        match self.told {
            _ if !self.online => None,
            Told::OnTheWay { .. } | Told::Before { .. } => None,
            Told::Known(locate) | Told::Resuming { locate, .. } if locate == wanted => None,
            Told::Known(_) | Told::Resuming { .. } | Told::Unknown => Some(wanted),
        }
    }

    /// What may be known: the centre of a cell, and the circle.
    fn wanted(&self) -> Option<Locate> {
        Some(Locate {
            place: self.cloak.cell()?.centre(),
            radius: self.radius,
        })
    }

    /// Whether the relay knows exactly what it should: words said now land where they are meant to.
    pub fn is_settled(&self) -> bool {
        self.online && matches!(self.told, Told::Known(locate) if Some(locate) == self.wanted())
    }

    /// When time comes for something.
    pub fn next_wake(&self, now: Instant) -> Option<Instant> {
        let cloak = self.cloak.next_wake();
        let told = match self.told {
            Told::Resuming { until, .. } => Some(until),
            Told::OnTheWay { since, .. } => Some(since + ANSWER_TIMEOUT),
            _ => None,
        };
        let due = self.due().map(|_| {
            let budget = self.budget.ready_at(now).unwrap_or(now);
            self.hold_until.map_or(budget, |until| until.max(budget))
        });
        [cloak, told, due].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use neartalk_shared::{Place, grid};
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    struct World {
        placement: Placement,
        rng: StdRng,
        now: Instant,
        limits: Limits,
    }

    fn berlin() -> Place {
        Place::new(52.5163, 13.3777).unwrap()
    }

    fn radius(metres: u32) -> Radius {
        Radius::new(metres).unwrap()
    }

    impl World {
        fn new() -> Self {
            Self {
                placement: Placement::new(radius(500)),
                rng: StdRng::seed_from_u64(1),
                now: Instant::now(),
                limits: Limits::default(),
            }
        }

        /// Connected, and the place told and acknowledged.
        fn settled() -> Self {
            let mut w = Self::new();
            w.at(berlin());
            w.placement.welcomed(w.now, false, &w.limits);
            assert_eq!(w.next(), Some(told(berlin(), 500)));
            w.placement.located(radius(500));
            assert!(w.placement.is_settled());
            w
        }

        fn at(&mut self, place: Place) {
            self.placement
                .fix(self.now, Fix::by_hand(place), &mut self.rng);
        }

        fn choose(&mut self, metres: u32) {
            self.placement
                .set_radius(self.now, radius(metres), &mut self.rng);
        }

        fn next(&mut self) -> Option<Locate> {
            self.placement.wake(self.now, &mut self.rng)
        }

        /// Lets time pass until something is to be told; gives what and after how long.
        fn wait(&mut self) -> (Duration, Locate) {
            let start = self.now;
            loop {
                if let Some(locate) = self.next() {
                    return (self.now - start, locate);
                }
                self.now = self
                    .placement
                    .next_wake(self.now)
                    .expect("something is to come");
            }
        }
    }

    fn told(place: Place, metres: u32) -> Locate {
        Locate {
            place: grid::snap(place, radius(metres)),
            radius: radius(metres),
        }
    }

    fn error(code: ErrorCode, retry_after_ms: Option<u64>) -> ApiError {
        ApiError {
            retry_after_ms,
            ..ApiError::new(code, "No.")
        }
    }

    #[test]
    fn told_once_connected_and_settled_once_acknowledged() {
        let mut w = World::new();
        assert_eq!(w.next(), None);
        w.at(berlin());
        assert_eq!(w.next(), None, "nobody is there to be told");
        w.placement.welcomed(w.now, false, &w.limits);
        assert_eq!(w.next(), Some(told(berlin(), 500)));
        assert_eq!(w.next(), None);
        assert!(!w.placement.is_settled());
        w.placement.located(radius(500));
        assert!(w.placement.is_settled());
        assert_eq!(w.placement.next_wake(w.now), None);
    }

    #[test]
    fn the_limit_is_never_exceeded_and_the_latest_wins() {
        let mut w = World::settled();
        let mut sent = vec![w.now];
        for i in 0..200 {
            w.now += Duration::from_millis(500);
            w.choose(300 + i);
            if let Some(locate) = w.next() {
                assert_eq!(locate.radius, radius(300 + i));
                sent.push(w.now);
                w.placement.located(locate.radius);
            }
        }
        for (i, a) in sent.iter().enumerate() {
            for (j, b) in sent.iter().enumerate().skip(i) {
                let allowed = 3 + (*b - *a).as_millis() / LOCATION_INTERVAL.as_millis();
                assert!((j - i + 1) as u128 <= allowed);
            }
        }
        assert!(sent.len() > 10);
        assert!(!w.placement.is_settled());
        let (_, locate) = w.wait();
        assert_eq!(locate.radius, radius(499));
    }

    #[test]
    fn the_limit_survives_a_reconnect_but_not_a_new_session() {
        let mut w = World::settled();
        for metres in [300, 400] {
            w.choose(metres);
            assert_eq!(w.next(), Some(told(berlin(), metres)));
            w.placement.located(radius(metres));
        }
        w.choose(450);
        w.placement.disconnected(w.now);
        w.placement.welcomed(w.now, true, &w.limits);
        assert_eq!(w.next(), None);
        let (waited, locate) = w.wait();
        assert_eq!(locate, told(berlin(), 450));
        assert!(waited >= LOCATION_INTERVAL, "{waited:?}");
        w.choose(460);
        w.placement.disconnected(w.now);
        w.placement.new_session();
        w.placement.welcomed(w.now, false, &w.limits);
        assert_eq!(w.next(), Some(told(berlin(), 460)));
    }

    #[test]
    fn resumed_in_time_the_relay_speaks_first() {
        let mut w = World::settled();
        w.placement.disconnected(w.now);
        assert!(!w.placement.is_settled());
        w.now += Duration::from_secs(200);
        w.placement.welcomed(w.now, true, &w.limits);
        assert_eq!(w.next(), None);
        w.placement.located(radius(500));
        assert!(w.placement.is_settled());
    }

    #[test]
    fn resumed_but_the_relay_stays_silent() {
        let mut w = World::settled();
        w.placement.disconnected(w.now);
        w.placement.welcomed(w.now, true, &w.limits);
        let (waited, locate) = w.wait();
        assert_eq!((waited, locate), (RESUME_TIMEOUT, told(berlin(), 500)));
    }

    #[test]
    fn told_again_when_not_resumed_or_away_for_long_or_changed() {
        type Change = fn(&mut World);
        let changes: [(bool, Change); 3] = [
            (false, |_| ()),
            (true, |w| w.now += Duration::from_secs(241)),
            (true, |w| w.choose(600)),
        ];
        for (resumed, change) in changes {
            let mut w = World::settled();
            w.placement.disconnected(w.now);
            change(&mut w);
            w.placement.welcomed(w.now, resumed, &w.limits);
            assert!(w.next().is_some());
        }
    }

    #[test]
    fn lost_on_the_way_is_told_again() {
        let mut w = World::settled();
        w.choose(600);
        assert!(w.next().is_some());
        w.placement.disconnected(w.now);
        w.placement.welcomed(w.now, true, &w.limits);
        // What the relay says by itself is about the place before, or not: nobody can say.
        w.placement.located(radius(500));
        assert_eq!(w.next(), Some(told(berlin(), 600)));
        w.placement.located(radius(500));
        assert!(!w.placement.is_settled());
        w.placement.located(radius(600));
        assert!(w.placement.is_settled());
    }

    #[test]
    fn an_unanswered_place_is_told_again() {
        let mut w = World::settled();
        w.choose(600);
        assert!(w.next().is_some());
        let (waited, locate) = w.wait();
        assert_eq!((waited, locate), (ANSWER_TIMEOUT, told(berlin(), 600)));
    }

    #[test]
    fn refusals_are_tried_again_with_what_is_true_by_then() {
        let mut w = World::settled();
        w.choose(600);
        w.next();
        let limited = error(ErrorCode::RateLimited, Some(7_000));
        assert_eq!(
            w.placement.refused(w.now, &limited),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            w.placement.refused(w.now, &limited),
            None,
            "it was about something else"
        );
        w.choose(700);
        let (waited, locate) = w.wait();
        assert_eq!(
            (waited, locate),
            (Duration::from_secs(7), told(berlin(), 700))
        );
        let implausible = error(ErrorCode::ImplausibleLocation, None);
        assert_eq!(
            w.placement.refused(w.now, &implausible),
            Some(IMPLAUSIBLE_STILL)
        );
        assert!(!w.placement.is_settled());
        let (waited, _) = w.wait();
        assert_eq!(waited, IMPLAUSIBLE_STILL);
        let other = error(ErrorCode::InvalidUsername, None);
        assert_eq!(w.placement.refused(w.now, &other), None);
    }

    #[test]
    fn a_relay_that_lost_the_place_is_told_again() {
        let mut w = World::settled();
        w.placement.lost();
        assert!(!w.placement.is_settled());
        assert_eq!(w.next(), Some(told(berlin(), 500)));
    }
}
