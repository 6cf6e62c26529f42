//! What is decided about people who misbehave, among the rooms of all relays that are one.

use neartalk_shared::{PeerId, ServerFrame, Timestamp, frame::LeftReason};

use super::{
    Room,
    link::{Frame, Link},
    moderate::frame_of,
};
use crate::{
    moderation::{
        bans::BannedBy,
        cell::Cell5,
        notices::Announcement,
        origin::OriginDigest,
        place_closed,
        reports::{Report, WINDOW},
        rulings::{Ruling, What},
    },
    store::Change,
};

impl<L: Link> Room<L> {
    /// Tells other relays what was decided here, if there are any.
    pub(super) fn rule(&mut self, what: What, until: Timestamp, now: Timestamp) {
        let Some(mirror) = &mut self.mirror else {
            return;
        };
        let ruling = self.moderation.rulings.make(what, until, now);
        if self.moderation.rulings.note(&ruling, now) {
            mirror.changes.push(Change::Ruling(Box::new(ruling)));
        }
    }

    /// Tells the store everything that was decided again, as it may have lost it.
    pub(super) fn repeat_rulings(&mut self) {
        if let Some(mirror) = &mut self.mirror {
            let all = self.moderation.rulings.iter().cloned();
            let changes = all.map(|ruling| Change::Ruling(Box::new(ruling)));
            mirror.changes.extend(changes);
        }
    }

    /// Does what was decided on another relay.
    pub(super) fn follow(&mut self, ruling: Ruling, now: Timestamp) {
        if !self.moderation.rulings.note(&ruling, now) {
            return;
        }
        match ruling.what {
            What::Banned { ban } => self.moderation.bans.add(ban),
            What::Lifted { id } => self.unban(id),
            What::Silenced { peer_id } => self.silence(&peer_id),
            What::Closed { cell } => drop(self.close_here(cell, ruling.until, now)),
            What::Opened { cell } => drop(self.moderation.notices.open(cell)),
            What::Announced { announcement } => drop(self.tell_here(announcement)),
            What::Retracted { id } => drop(self.moderation.notices.retract(id)),
            What::Reported { report, origin } => {
                let voices = self.moderation.reports.add(report, origin);
                self.judge_reports(&report.reported, voices, now);
            }
        }
    }

    /// Bans somebody once enough voices speak against them, if they are on this relay.
    pub(super) fn judge_reports(&mut self, reported: &PeerId, voices: usize, now: Timestamp) {
        let threshold = self.moderation.settings.report_threshold as usize;
        if threshold > 0 && voices >= threshold {
            let time = self.moderation.settings.ban_time;
            self.ban_peer(reported, BannedBy::Reports, time, now);
        }
    }

    /// Takes in a report of somebody here, and has it count on all relays, if it counts.
    pub(super) fn count_report(&mut self, report: Report, origin: OriginDigest, now: Timestamp) {
        let voices = self.moderation.reports.add(report, origin);
        if report.near {
            let until = report.at + WINDOW;
            self.rule(What::Reported { report, origin }, until, now);
        }
        self.judge_reports(&report.reported, voices, now);
    }

    /// Tells what somebody said to nobody any more; what was said against them counts no more.
    pub(super) fn silence(&mut self, peer_id: &PeerId) {
        self.moderation.reports.settle(peer_id);
        self.history.forget(peer_id);
    }

    /// Lets nobody be in a cell; see [`Room::close_cell`].
    pub(super) fn close_here(
        &mut self,
        cell: Cell5,
        until: Timestamp,
        now: Timestamp,
    ) -> Option<usize> {
        if !self.moderation.notices.close(cell, until) {
            return None;
        }
        let inside = self.slots_in(cell);
        for &slot in &inside {
            self.displace(slot, LeftReason::Moved);
            let error = place_closed(until, now);
            self.send(
                slot,
                &ServerFrame::Error {
                    error,
                    reference: None,
                },
            );
        }
        Some(inside.len())
    }

    /// Tells everyone here; see [`Room::announce`].
    pub(super) fn tell_here(&mut self, announcement: Announcement) -> usize {
        let frame = Frame::new(&frame_of(&announcement));
        let inside = match announcement.geohash {
            Some(cell) => self.slots_in(cell),
            None => self.sessions.slots().collect(),
        };
        self.moderation.notices.announce(announcement);
        let told = inside
            .into_iter()
            .filter(|&slot| self.send_shared(slot, &frame));
        told.count()
    }
}
