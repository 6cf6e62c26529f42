//! Reach: telling people how many they would meet with another radius.

use neartalk_shared::{
    Radius, ServerFrame, Spot, Timestamp,
    frame::Reach,
    limits::{RADIUS_MAX_M, REACH_INTERVAL, REACH_RADII_M},
};

use super::{
    Room,
    link::Link,
    session::Slot,
    wheel::{Phase, STEPS},
};

/// At most so many clients get their `reach` counted in one step, which bounds its length.
const REACH_BUDGET: usize = 1_000 / STEPS;

/// Cells are at most this far from where a wider circle's cell would have its centre, in metres.
const RECELL_M: f64 = 150.0;

impl<L: Link> Room<L> {
    pub(super) fn mark_reach_around(&mut self, spot: &Spot) {
        let sessions = &mut self.sessions;
        let presence = &mut self.presence;
        self.index
            .within(spot, f64::from(RADIUS_MAX_M) + RECELL_M, |slot, _| {
                let session = &mut sessions[slot];
                if session.link.is_some() && !std::mem::replace(&mut session.reach_dirty, true) {
                    presence.at(session.phase).reach.push(slot);
                }
            });
    }

    /// Tells those with this phase who would meet more or fewer people with another radius, not too
    /// often.
    pub(super) fn send_reach(&mut self, phase: Phase, now: Timestamp) {
        let mut waiting = std::mem::take(&mut self.presence.at(phase).reach);
        let mut budget = REACH_BUDGET;
        waiting.retain(|&slot| {
            let Some(session) = self.sessions.get_mut(slot) else {
                return false;
            };
            let (Some(spot), true) = (session.spot().copied(), session.link.is_some()) else {
                session.reach_dirty = false;
                return false;
            };
            if budget == 0 || now.since(session.reach_at) < REACH_INTERVAL {
                return true;
            }
            budget -= 1;
            session.reach_dirty = false;
            let reach = self.count_reach(slot, &spot);
            let session = &mut self.sessions[slot];
            if session.reach != reach {
                session.reach.clone_from(&reach);
                session.reach_at = now;
                self.send(slot, &ServerFrame::Reach { reach });
            }
            false
        });
        self.presence.at(phase).reach.append(&mut waiting);
    }

    /// How many people would be in range of `spot` with each of the radii.
    pub(super) fn count_reach(&self, slot: Slot, spot: &Spot) -> Vec<Reach> {
        let spots = REACH_RADII_M.map(|radius| {
            // Every radius in the list is a valid one.
            Radius::new(radius).map_or(*spot, |radius| spot.with_radius(radius))
        });
        let mut counts = [0; REACH_RADII_M.len()];
        self.index
            .within(spot, f64::from(RADIUS_MAX_M) + RECELL_M, |other, circle| {
                if other != slot {
                    for (count, spot) in counts.iter_mut().zip(&spots) {
                        *count += u32::from(spot.circle().in_range(circle));
                    }
                }
            });
        REACH_RADII_M
            .iter()
            .zip(counts)
            .map(|(&radius, count)| Reach { radius, count })
            .collect()
    }
}
