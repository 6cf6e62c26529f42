//! What a room does about people who misbehave. What is too much,
//! [`moderation`](crate::moderation) says.

use std::time::Duration;

use neartalk_shared::{
    ApiError, ErrorCode, MessageId, MessageText, PeerId, ServerFrame, Spot, Timestamp,
    frame::{LeftReason, ReportReason},
    http::ErrorBody,
    proof::Proof,
};

use rand::Rng;

use super::{
    Room,
    link::{CloseCode, Link},
    session::Slot,
};
use crate::{
    address::AddressKey,
    moderation::{
        Moderation, Unwelcome, banned,
        bans::{Ban, BanId, BannedBy},
        cell::Cell5,
        notices::Announcement,
        origin::Origin,
        place_closed,
        repeats::TooMuch,
        reports::Report,
        rulings::What,
    },
};

impl<L: Link> Room<L> {
    /// All that is known about who and what is unwelcome.
    pub fn moderation(&mut self) -> &mut Moderation {
        &mut self.moderation
    }

    /// Lets a session be made from an address, and gives what is to be remembered of it; or says why
    /// not.
    pub fn admit(
        &mut self,
        address: AddressKey,
        proof: Option<&Proof>,
        now: Timestamp,
    ) -> Result<Origin, ErrorBody> {
        if let Some(until) = self.moderation.bans.until(address, now) {
            self.metrics.refused_banned.increment(1);
            return Err(banned(until, now).into());
        }
        let admitted = self
            .moderation
            .gate
            .admit(address, proof, now, &mut self.rng);
        if admitted.is_err() {
            self.metrics.refused_proof.increment(1);
        }
        admitted?;
        Ok(self.moderation.origin(address, now, &mut self.rng))
    }

    /// Takes note of where a session's socket comes from. Whoever comes from a banned address with a
    /// session that has had no socket yet made it in advance; neighbours who were here before stay.
    pub(super) fn come_from(
        &mut self,
        slot: Slot,
        address: AddressKey,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        if !self.sessions[slot].had_link
            && let Some(until) = self.moderation.bans.until(address, now)
        {
            self.metrics.refused_banned.increment(1);
            return Err(banned(until, now));
        }
        let origin = self.moderation.origin(address, now, &mut self.rng);
        self.sessions[slot].origin = Some(origin);
        // The last voice against them may have come while they were on no relay that could act on it.
        let peer_id = self.sessions[slot].peer_id;
        let voices = self.moderation.reports.voices(&peer_id);
        self.judge_reports(&peer_id, voices, now);
        self.check_ban(slot, now)
    }

    /// The answer to a session that is banned, if it is.
    pub(super) fn check_ban(&self, slot: Slot, now: Timestamp) -> Result<(), ApiError> {
        match self.sessions[slot].ban {
            Some((until, _)) if until > now => Err(banned(until, now)),
            _ => Ok(()),
        }
    }

    /// Bans whoever is known by this public id, if anybody is.
    pub fn ban_peer(
        &mut self,
        peer_id: &PeerId,
        by: BannedBy,
        time: Duration,
        now: Timestamp,
    ) -> Option<Ban> {
        let slot = self.sessions.find_peer(peer_id)?;
        self.ban(slot, by, time, now)
    }

    /// Bans somebody: their socket is closed, nobody sees or hears them any more, what they said is
    /// told to nobody who comes, and neither this session nor a new one from their address comes
    /// in until the time is over.
    fn ban(&mut self, slot: Slot, by: BannedBy, time: Duration, now: Timestamp) -> Option<Ban> {
        let origin = self.sessions[slot].origin.clone()?;
        let bans = &mut self.moderation.bans;
        let ban = bans.ban(origin, by, time, now, &mut self.rng);
        let session = &mut self.sessions[slot];
        session.ban = session.ban.max(Some((ban.until, ban.id)));
        let peer_id = session.peer_id;
        self.silence(&peer_id);
        // As long as anything of it may be in the store.
        let silent_until = now + self.settings.message_ttl;
        self.rule(What::Banned { ban: ban.clone() }, ban.until, now);
        self.rule(What::Silenced { peer_id }, silent_until, now);
        self.touch(slot);
        let error = banned(ban.until, now);
        self.send(
            slot,
            &ServerFrame::Error {
                error,
                reference: None,
            },
        );
        self.revoke_turn_credentials(peer_id);
        self.displace(slot, LeftReason::Banned);
        self.detach(slot, Some(CloseCode::Banned), now);
        self.refresh_deadline(slot);
        match by {
            BannedBy::Reports => self.metrics.bans_reports.increment(1),
            BannedBy::Operator => self.metrics.bans_operator.increment(1),
        }
        Some(ban)
    }

    /// Lifts a ban here, and lets the session that it was about come back.
    pub fn lift_ban(&mut self, id: BanId, now: Timestamp) -> Option<Ban> {
        let ban = self.moderation.bans.lift(id)?;
        self.rule(What::Lifted { id }, ban.until, now);
        self.forgive(&ban);
        Some(ban)
    }

    /// Forgets a ban that was lifted elsewhere.
    pub fn unban(&mut self, id: BanId) {
        if let Some(ban) = self.moderation.bans.remove(id) {
            self.forgive(&ban);
        }
    }

    fn forgive(&mut self, ban: &Ban) {
        let mut forgiven = Vec::new();
        for (slot, session) in self.sessions.iter_mut() {
            if let Some((_, by)) = session.ban
                && (by == ban.id || session.origin.as_ref() == Some(&ban.origin))
            {
                session.ban = None;
                forgiven.push(slot);
            }
        }
        for slot in forgiven {
            self.touch(slot);
        }
    }

    /// Takes somebody out of voice and out of sight, and forgets where they are.
    pub(super) fn displace(&mut self, slot: Slot, reason: LeftReason) {
        self.voice_leave(slot);
        self.hide(slot, reason);
        self.sessions[slot].placed = None;
        self.refresh_deadline(slot);
    }

    /// Takes in a report, and acts once enough people near somebody have reported them.
    pub(super) fn report(
        &mut self,
        slot: Slot,
        reported: PeerId,
        reason: ReportReason,
        message_id: Option<MessageId>,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let session = &mut self.sessions[slot];
        let reporter = session.peer_id;
        let Some(origin) = session.origin.as_ref().map(|o| o.digest) else {
            return Ok(());
        };
        let own = session.quotas.reports.check(&self.report_quota, now);
        if let Err(retry) = own.and_then(|()| self.moderation.reports.may_come(origin, now)) {
            self.metrics.limited_report.increment(1);
            return Err(ApiError::rate_limited(
                "Many reports have come from you or your network",
                retry,
            ));
        }
        let report = Report {
            at: now,
            reporter,
            reported,
            reason,
            message_id,
            near: self.is_near(slot, &reported, message_id, now),
        };
        self.metrics.reports.increment(1);
        self.metrics.store_write.increment(1);
        // The same answer whether or not there is such a person.
        self.send(slot, &ServerFrame::Reported { peer_id: reported });
        self.count_report(report, origin, now);
        Ok(())
    }

    /// Whether somebody is in range of another, or was when the other said that message.
    fn is_near(
        &self,
        slot: Slot,
        other: &PeerId,
        message_id: Option<MessageId>,
        now: Timestamp,
    ) -> bool {
        let Some(spot) = self.sessions[slot].spot() else {
            return false;
        };
        if self.sessions[slot].peer_id == *other {
            return false;
        }
        let found = self.sessions.find_peer(other);
        let there = found.and_then(|other| self.sessions[other].spot());
        let heard = |id| self.history.was_heard_at(&id, other, spot, now);
        there.is_some_and(|there| there.in_range(spot)) || message_id.is_some_and(heard)
    }

    /// Whether somebody may say this.
    pub(super) fn check_message(
        &mut self,
        slot: Slot,
        text: &MessageText,
        spot: &Spot,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        let Some(origin) = &self.sessions[slot].origin else {
            return Ok(());
        };
        let cell = Cell5::of(spot);
        let checked = self
            .moderation
            .check_message(text.as_str(), cell, origin, now);
        checked.map_err(|unwelcome| {
            let metrics = &self.metrics;
            match unwelcome {
                Unwelcome::Word => &metrics.refused_word,
                Unwelcome::TooMuch(TooMuch::SameFromOne) => &metrics.refused_repeat_one,
                Unwelcome::TooMuch(TooMuch::SameFromMany) => &metrics.refused_repeat_many,
                Unwelcome::TooMuch(TooMuch::Flood(_)) => &metrics.limited_flood,
            }
            .increment(1);
            unwelcome.into()
        })
    }

    /// Whether somebody may be at a spot. Whoever may not is nowhere.
    pub(super) fn check_place(
        &mut self,
        slot: Slot,
        spot: &Spot,
        now: Timestamp,
    ) -> Result<(), ApiError> {
        if !self.moderation.notices.any_closed() {
            return Ok(());
        }
        match self.moderation.notices.closed_until(Cell5::of(spot), now) {
            None => Ok(()),
            Some(until) => {
                self.displace(slot, LeftReason::Moved);
                Err(place_closed(until, now))
            }
        }
    }

    /// Lets nobody be in a cell until a time; whoever is there is told, and seen no more. How many
    /// they were on this relay, or `None` when too many cells are closed already.
    pub fn close_cell(&mut self, cell: Cell5, until: Timestamp, now: Timestamp) -> Option<usize> {
        let people = self.close_here(cell, until, now)?;
        self.rule(What::Closed { cell }, until, now);
        Some(people)
    }

    /// Lets people be in a cell again. Whether it was closed.
    pub fn open_cell(&mut self, cell: Cell5, now: Timestamp) -> bool {
        let opened = self.moderation.notices.open(cell);
        if let Some(until) = opened {
            self.rule(What::Opened { cell }, until, now);
        }
        opened.is_some()
    }

    /// Tells everyone, or everyone in a cell; also those who come until it expires. How many got it
    /// now on this relay.
    pub fn announce(
        &mut self,
        text: MessageText,
        geohash: Option<Cell5>,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> (Announcement, usize) {
        let announcement = Announcement {
            // Whatever reads JSON reads a number of 53 bits as it is.
            id: self.rng.next_u64() >> 11,
            text,
            expires_at,
            geohash,
        };
        let told = self.tell_here(announcement.clone());
        let what = What::Announced {
            announcement: announcement.clone(),
        };
        self.rule(what, expires_at, now);
        (announcement, told)
    }

    /// Takes an announcement back from those who have not come yet. Whether there was one.
    pub fn retract(&mut self, id: u64, now: Timestamp) -> bool {
        let retracted = self.moderation.notices.retract(id);
        if let Some(announcement) = &retracted {
            self.rule(What::Retracted { id }, announcement.expires_at, now);
        }
        retracted.is_some()
    }

    /// Tells somebody who has just come what everyone is told; or, who has just come to `cell`, what
    /// everyone there is.
    pub(super) fn send_announcements(&mut self, slot: Slot, cell: Option<Cell5>, now: Timestamp) {
        let all = self.moderation.notices.announcements(now);
        let frames: Vec<_> = all.filter(|a| a.geohash == cell).map(frame_of).collect();
        for frame in &frames {
            self.send(slot, frame);
        }
    }

    /// The same, for somebody who was at `before` and is at `spot`.
    pub(super) fn send_announcements_at(
        &mut self,
        slot: Slot,
        before: Option<Spot>,
        spot: &Spot,
        now: Timestamp,
    ) {
        if self.moderation.notices.announcements(now).next().is_none() {
            return;
        }
        let cell = Cell5::of(spot);
        if before.is_none_or(|before| Cell5::of(&before) != cell) {
            self.send_announcements(slot, Some(cell), now);
        }
    }

    /// Who of this relay is in a cell.
    pub(super) fn slots_in(&self, cell: Cell5) -> Vec<Slot> {
        let spot_of = |slot: &Slot| self.sessions[*slot].spot();
        let inside = |slot: &Slot| {
            !self.is_away(*slot) && spot_of(slot).is_some_and(|spot| Cell5::of(spot) == cell)
        };
        self.sessions.slots().filter(inside).collect()
    }

    /// Everything that was reported and by whom, with what is known about it, oldest first.
    pub fn reported(&self, now: Timestamp) -> Vec<Reported> {
        self.moderation
            .reports
            .iter()
            .map(|report| Reported {
                report: *report,
                username: self
                    .sessions
                    .find_peer(&report.reported)
                    .map(|slot| self.sessions[slot].username.to_string()),
                voices: self.moderation.reports.voices(&report.reported),
                text: report
                    .message_id
                    .and_then(|id| self.history.get(&id, now))
                    .filter(|said| said.from == report.reported)
                    .map(|said| said.text.to_string()),
            })
            .collect()
    }
}

/// A report with what else is known, for whoever runs the relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The report.
    pub report: Report,
    /// What the reported are called, if they are still here.
    pub username: Option<String>,
    /// How many voices count against them now.
    pub voices: usize,
    /// What the message says that was reported, if it still lives and was theirs.
    pub text: Option<String>,
}

pub(super) fn frame_of(announcement: &Announcement) -> ServerFrame {
    ServerFrame::Announcement {
        text: announcement.text.clone(),
        expires_at: announcement.expires_at,
    }
}

/// Whether a refusal closes the socket for good or asks for a new session.
pub(super) fn close_code(error: &ApiError) -> CloseCode {
    match error.code {
        ErrorCode::Banned => CloseCode::Banned,
        _ => CloseCode::Unauthorized,
    }
}
