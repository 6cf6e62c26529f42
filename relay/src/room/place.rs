//! Where somebody is, and who is around them.

use neartalk_shared::{
    ApiError, ErrorCode, ServerFrame, SessionId, Spot, Timestamp,
    frame::{Locate, Person},
    http::{LocationUpdated, Nearby},
};

use super::{
    Attachment, Room,
    link::Link,
    session::{Placed, Slot},
};

impl<L: Link> Room<L> {
    /// Moves the owner of a session.
    pub fn update_location(
        &mut self,
        id: &SessionId,
        locate: Locate,
        now: Timestamp,
    ) -> Result<LocationUpdated, ApiError> {
        let slot = self.authorize(id, now)?;
        let spot = self.locate(slot, locate, now)?;
        Ok(self.located(slot, &spot))
    }

    /// Whether the owner of a session may move there, which counts as an update. Follow it with
    /// [`Room::settle_location`].
    pub fn judge_location(
        &mut self,
        id: &SessionId,
        locate: Locate,
        now: Timestamp,
    ) -> Result<Spot, ApiError> {
        let slot = self.authorize(id, now)?;
        self.judge(slot, locate, now)
    }

    /// Moves the owner of a session, who may.
    pub fn settle_location(
        &mut self,
        id: &SessionId,
        spot: Spot,
        now: Timestamp,
    ) -> Result<LocationUpdated, ApiError> {
        let slot = self.authorize(id, now)?;
        self.settle(slot, spot, now);
        Ok(self.located(slot, &spot))
    }

    /// Lists who is in range of the owner of a session, nearest first.
    pub fn nearby(&mut self, id: &SessionId, now: Timestamp) -> Result<Nearby, ApiError> {
        let slot = self.authorize(id, now)?;
        let spot = *self.sessions[slot].spot().ok_or_else(no_location)?;
        let people = self.people_around(slot, &spot);
        Ok(Nearby {
            count: people.len() as u32,
            people,
        })
    }

    /// Whether a client that sends `locate` may move there; if not, it is told. Follow it with
    /// [`Room::arrive`]. Both together are what [`Room::handle`] does.
    pub fn may_arrive(&mut self, from: Attachment, locate: Locate, now: Timestamp) -> Option<Spot> {
        let slot = self.attached(from)?;
        self.judge(slot, locate, now)
            .map_err(|error| {
                let reference = None;
                self.send(slot, &ServerFrame::Error { error, reference });
            })
            .ok()
    }

    /// Moves a client, who may, and tells it all that there is.
    pub fn arrive(&mut self, from: Attachment, spot: Spot, now: Timestamp) {
        if let Some(slot) = self.attached(from) {
            self.settle(slot, spot, now);
            self.send_surroundings(slot, &spot, now);
        }
    }

    pub(super) fn locate(
        &mut self,
        slot: Slot,
        locate: Locate,
        now: Timestamp,
    ) -> Result<Spot, ApiError> {
        let spot = self.judge(slot, locate, now)?;
        self.settle(slot, spot, now);
        Ok(spot)
    }

    /// Whether somebody may move there now. What was tried counts.
    pub(super) fn judge(
        &mut self,
        slot: Slot,
        locate: Locate,
        now: Timestamp,
    ) -> Result<Spot, ApiError> {
        self.touch_counters(slot);
        // Whatever a client sends, nothing finer than its cell gets past this line.
        let spot = Spot::new(locate.place, locate.radius);
        let session = &mut self.sessions[slot];
        if let Err(retry) = session.quotas.locations.check(&self.location_quota, now) {
            self.metrics.limited_location.increment(1);
            return Err(ApiError::rate_limited(
                "Your place was updated a moment ago",
                retry,
            ));
        }
        if let Err(retry) = session.movement.check(&spot, now) {
            self.metrics.limited_movement.increment(1);
            return Err(ApiError {
                code: ErrorCode::ImplausibleLocation,
                message: "Nobody moves that fast; stay where you are for a minute.".into(),
                retry_after_ms: Some(retry),
            });
        }
        self.check_place(slot, &spot, now)?;
        Ok(spot)
    }

    pub(super) fn settle(&mut self, slot: Slot, spot: Spot, now: Timestamp) {
        self.metrics.store_write.increment(1);
        let before = self.sessions[slot].spot().copied();
        self.send_announcements_at(slot, before, &spot, now);
        self.place(
            slot,
            Placed {
                spot,
                updated_at: now,
            },
        );
        self.refresh_deadline(slot);
        self.touch(slot);
    }

    pub(super) fn located(&self, slot: Slot, spot: &Spot) -> LocationUpdated {
        let mut nearby = 0;
        self.index
            .in_range(spot, |other, _| nearby += u32::from(other != slot));
        LocationUpdated {
            geohash_prefix: spot.geohash_prefix(),
            radius: spot.radius(),
            grid_m: spot.grid_m(),
            nearby,
        }
    }

    /// Everyone in range of `spot` but its owner, nearest first.
    pub(super) fn people_around(&self, slot: Slot, spot: &Spot) -> Vec<Person> {
        let mut people = Vec::new();
        self.index.in_range(spot, |other, band| {
            if other != slot {
                people.push(self.sessions[other].person(band));
            }
        });
        people.sort_unstable_by_key(|p| (p.distance, p.peer_id));
        people
    }
}

pub(super) fn no_location() -> ApiError {
    ApiError::new(
        ErrorCode::NoLocation,
        "This relay does not know where you are; send a place first.",
    )
}
