//! Presence: telling people who is around.
//!
//! A change of place, name or voice is not told at once but in the next step of the [`wheel`] that is
//! this person's, so that its instant gives nothing away. What each client has been told is
//! remembered (its *view*), and a step sends the difference. A client for which a second holds very
//! many differences gets the whole list instead.
//!
//! [`wheel`]: super::wheel

use std::{collections::HashMap, sync::Arc};

use neartalk_shared::{DistanceBand, PeerId, ServerFrame, Spot, Timestamp, frame::LeftReason};

use rustc_hash::FxHashSet;

use super::{
    Room,
    link::{Frame, Link},
    session::{Placed, Slot},
    wheel::{Phase, STEPS, Wheel},
};

/// A client with more differences than this in one turn gets `nearby` instead. Differences are
/// serialised once for all who get them and a whole list is not, so they are the cheaper way; but
/// several turns' worth must fit a queue.
const RESYNC_ABOVE: u32 = 400;

/// What somebody is to be told.
#[derive(Clone, Copy, Debug)]
struct Told {
    viewer: Slot,
    /// Number of this entry; a viewer whose view began anew after it no longer wants it.
    number: u64,
    change: Change,
}

#[derive(Clone, Copy, Debug)]
enum Change {
    Entered(Slot),
    Changed(Slot),
    Left(PeerId, LeftReason),
}

/// What waits to be told.
#[derive(Debug, Default)]
pub(super) struct Pending {
    wheel: Wheel,
    /// By the phase of whom it is about.
    waiting: [Waiting; STEPS],
    /// What whom is to be told in this step, oldest first.
    changes: Vec<Told>,
    /// Number of the next change.
    next: u64,
}

/// What waits for a step of the wheel.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// Whose place is new.
    moved: Vec<Slot>,
    /// Who looks different to those who see them.
    changed: Vec<Slot>,
    /// Who is out of sight, by whom is to be told so, oldest first.
    left: Vec<Told>,
    /// Whose own `reach` may have changed.
    pub reach: Vec<Slot>,
}

impl Pending {
    /// What waits for the step with this phase.
    pub fn at(&mut self, phase: Phase) -> &mut Waiting {
        &mut self.waiting[phase.number()]
    }

    fn told(&mut self, viewer: Slot, change: Change) -> Told {
        self.next += 1;
        Told {
            viewer,
            number: self.next - 1,
            change,
        }
    }

    fn push(&mut self, viewer: Slot, change: Change) {
        let told = self.told(viewer, change);
        self.changes.push(told);
    }
}

/// Frames about people that several viewers get alike, by person and band.
#[derive(Default)]
struct PersonFrames(HashMap<(Slot, DistanceBand, bool), Arc<Frame>>);

impl<L: Link> Room<L> {
    /// Runs what is due: expiry, presence, reach. Call this once a step of the wheel.
    pub fn tick(&mut self, now: Timestamp) {
        let due = self.presence.wheel.turn(now);
        for phase in due.clone() {
            self.sweep(phase, now);
        }
        self.expire(now);
        for phase in due.clone() {
            let Pending {
                waiting, changes, ..
            } = &mut self.presence;
            changes.append(&mut waiting[phase.number()].left);
        }
        for phase in due.clone() {
            self.diff_moved(phase);
        }
        for phase in due.clone() {
            self.diff_changed(phase);
        }
        self.flush_changes(now);
        for phase in due {
            self.send_reach(phase, now);
            if phase.number() == STEPS - 1 {
                self.sessions.release_retired();
            }
        }
        if let Some(issuer) = &mut self.turn_issuer {
            issuer.flush();
        }
    }

    /// What is to be done once a turn, spread over it, too.
    fn sweep(&mut self, phase: Phase, now: Timestamp) {
        match phase.number() {
            0 => self.history.sweep(now),
            1 => self.tick_mirror(now),
            2 => self.moderation.tick(now),
            3 => self.tally_voice(now),
            4 => self.update_gauges(),
            _ => {}
        }
    }

    /// Shows a session at a place.
    pub(super) fn place(&mut self, slot: Slot, placed: Placed) {
        let session = &self.sessions[slot];
        // Whoever is on another relay is counted there.
        if let (Some(tally), Some(_)) = (&mut self.tally, session.id) {
            tally.figures.person(session.peer_id, &placed.spot);
        }
        let old = self.sessions[slot].placed.replace(placed);
        let same = old.is_some_and(|old| old.spot == placed.spot);
        if same && self.index.contains(slot) {
            return;
        }
        self.show(slot, &placed.spot);
        if let Some(old) = old.filter(|_| !same) {
            self.mark_reach_around(&old.spot);
        }
    }

    /// Makes a session visible at a spot: to messages at once, to the eye in its next step.
    fn show(&mut self, slot: Slot, spot: &Spot) {
        self.index.insert(slot, spot);
        self.touch(slot);
        self.mark_reach_around(spot);
        let session = &mut self.sessions[slot];
        if !std::mem::replace(&mut session.moved, true) {
            self.presence.at(session.phase).moved.push(slot);
        }
    }

    /// Takes a session out of sight of everyone; in its next step they learn why. The place
    /// itself is kept for [`LeftReason::Left`], in case they come back to it.
    pub(super) fn hide(&mut self, slot: Slot, reason: LeftReason) {
        self.index.remove(slot);
        self.unpublish(slot, reason);
        if let Some(placed) = self.sessions[slot].placed {
            self.mark_reach_around(&placed.spot);
        }
        let session = &mut self.sessions[slot];
        let (peer_id, phase) = (session.peer_id, session.phase);
        for viewer in std::mem::take(&mut session.watchers) {
            remove_from_view(&mut self.sessions[viewer].view, slot);
            let told = self.presence.told(viewer, Change::Left(peer_id, reason));
            self.presence.at(phase).left.push(told);
        }
    }

    /// Tells those who see this session in its next step that it looks different.
    pub(super) fn mark_changed(&mut self, slot: Slot) {
        self.touch(slot);
        self.sessions[slot].redraw();
        let session = &mut self.sessions[slot];
        if !std::mem::replace(&mut session.changed, true) {
            self.presence.at(session.phase).changed.push(slot);
        }
    }

    /// Begins a session's view anew, with nobody in it. Without a socket it stays like that.
    pub(super) fn forget_view(&mut self, slot: Slot) {
        self.sessions[slot].view_since = self.presence.next;
        for (other, _) in std::mem::take(&mut self.sessions[slot].view) {
            remove_sorted(&mut self.sessions[other].watchers, slot);
        }
    }

    /// Sends `located`, `nearby` and `history`: all that a client needs to know at a place.
    pub(super) fn send_surroundings(&mut self, slot: Slot, spot: &Spot, now: Timestamp) {
        let located = ServerFrame::Located {
            geohash_prefix: spot.geohash_prefix(),
            radius: spot.radius(),
            grid_m: spot.grid_m(),
        };
        self.send(slot, &located);
        if !self.index.contains(slot) {
            // They had left, and are back before their place has expired.
            self.show(slot, spot);
        }
        self.send_nearby(slot, spot, now);
        self.send_history(slot, spot, now);
    }

    /// Sends the whole list, which from then on is what this client has been told.
    fn send_nearby(&mut self, slot: Slot, spot: &Spot, now: Timestamp) {
        let reach = self.count_reach(slot, spot);
        self.forget_view(slot);
        let mut view = Vec::new();
        self.index.in_range(spot, |other, band| {
            if other != slot {
                view.push((other, band));
            }
        });
        // Nearest first.
        view.sort_unstable_by_key(|&(other, band)| (band, self.sessions[other].peer_id));
        let mut json = String::from("{\"type\":\"nearby\",\"people\":[");
        for (at, &(other, band)) in view.iter().enumerate() {
            if at > 0 {
                json.push(',');
            }
            self.sessions[other].write_person(band, &mut json);
            insert_sorted(&mut self.sessions[other].watchers, slot);
        }
        json.push_str("],\"reach\":");
        json.push_str(&serde_json::to_string(&reach).unwrap_or_default());
        json.push('}');
        view.sort_unstable_by_key(|&(other, _)| other);
        let session = &mut self.sessions[slot];
        session.view = view;
        session.reach = reach;
        session.reach_at = now;
        self.send_shared(slot, &Frame::from_json(json, None));
    }

    /// Ends voice, places and sessions whose time has come.
    fn expire(&mut self, now: Timestamp) {
        while let Some(slot) = self.sessions.next_due(now) {
            let placed = self.sessions[slot].placed;
            // An open socket keeps its place.
            let place_ended = self.sessions[slot].link.is_none()
                && placed.is_some_and(|p| p.updated_at + self.settings.place_ttl <= now);
            let session_ended = self.has_expired(slot, now);
            let voice_until = self.sessions[slot].voice_until;
            if place_ended || session_ended || voice_until.is_some_and(|until| until <= now) {
                self.end_voice(slot);
            }
            if place_ended || session_ended {
                self.hide(slot, LeftReason::Expired);
                self.sessions[slot].placed = None;
                self.metrics.store_expire.increment(1);
            }
            if session_ended {
                self.revoke_turn_credentials(self.sessions[slot].peer_id);
                self.unsettle(slot);
                self.sessions.retire(slot);
                self.metrics.store_expire.increment(1);
            } else {
                self.refresh_deadline(slot);
            }
        }
    }

    /// Works out who sees whom anew, for everyone with this phase whose place is new.
    fn diff_moved(&mut self, phase: Phase) {
        for slot in std::mem::take(&mut self.presence.at(phase).moved) {
            let session = &mut self.sessions[slot];
            session.moved = false;
            // Placed, but hidden since: nobody has anything to learn but what `hide` queued.
            let Some(spot) = session.spot().copied() else {
                continue;
            };
            let mut around = Vec::new();
            self.index
                .in_range(&spot, |other, band| around.push((other, band)));
            around.sort_unstable_by_key(|&(other, _)| other);
            let Ok(own) = around.binary_search_by_key(&slot, |&(other, _)| other) else {
                continue;
            };
            around.remove(own);
            let is_around = |other: Slot| {
                around
                    .binary_search_by_key(&other, |&(other, _)| other)
                    .is_ok()
            };

            let session = &self.sessions[slot];
            let lost_watchers: Vec<_> = session
                .watchers
                .iter()
                .copied()
                .filter(|&w| !is_around(w))
                .collect();
            // Whoever has moved, too, is told of in their own step, and not before: these same people
            // may still have to hear that they had left.
            let lost: Vec<_> = session
                .view
                .iter()
                .map(|&(other, _)| other)
                .filter(|&o| !is_around(o) && !self.sessions[o].moved)
                .collect();
            let lost_peers: Vec<_> = session
                .voice_peers
                .iter()
                .copied()
                .filter(|&p| !is_around(p))
                .collect();
            for watcher in lost_watchers {
                self.tell_left(watcher, slot);
            }
            for other in lost {
                self.tell_left(slot, other);
            }
            for peer in lost_peers {
                self.unlink_voice(slot, peer);
            }
            for (other, band) in around {
                self.tell(other, slot, band);
                if !self.sessions[other].moved {
                    self.tell(slot, other, band);
                }
                if self.sessions[slot].answers_in_voice() && self.sessions[other].answers_in_voice()
                {
                    self.link_voice(slot, other);
                }
            }
        }
    }

    /// Queues that `viewer` sees `subject` at `band`, unless it has been told so.
    fn tell(&mut self, viewer: Slot, subject: Slot, band: DistanceBand) {
        let session = &mut self.sessions[viewer];
        if session.link.is_none() {
            return;
        }
        match session
            .view
            .binary_search_by_key(&subject, |&(other, _)| other)
        {
            Ok(at) if session.view[at].1 == band => {}
            Ok(at) => {
                session.view[at].1 = band;
                self.presence.push(viewer, Change::Changed(subject));
            }
            Err(at) => {
                session.view.insert(at, (subject, band));
                insert_sorted(&mut self.sessions[subject].watchers, viewer);
                self.presence.push(viewer, Change::Entered(subject));
            }
        }
    }

    /// Queues that `viewer` no longer sees `subject`, because one of the two has moved.
    fn tell_left(&mut self, viewer: Slot, subject: Slot) {
        if remove_from_view(&mut self.sessions[viewer].view, subject) {
            remove_sorted(&mut self.sessions[subject].watchers, viewer);
            let peer_id = self.sessions[subject].peer_id;
            self.presence
                .push(viewer, Change::Left(peer_id, LeftReason::Moved));
        }
    }

    fn diff_changed(&mut self, phase: Phase) {
        for slot in std::mem::take(&mut self.presence.at(phase).changed) {
            let session = &mut self.sessions[slot];
            session.changed = false;
            for &watcher in &session.watchers {
                self.presence.push(watcher, Change::Changed(slot));
            }
        }
    }

    /// Sends each viewer what is queued for it.
    fn flush_changes(&mut self, now: Timestamp) {
        let mut changes = std::mem::take(&mut self.presence.changes);
        changes.retain(|told| {
            let session = &self.sessions[told.viewer];
            session.link.is_some() && told.number >= session.view_since
        });
        // Stable, so that each viewer's changes stay in their order.
        changes.sort_by_key(|told| told.viewer);
        let mut frames = PersonFrames::default();
        let mut shown = FxHashSet::default();
        for group in changes.chunk_by(|a, b| a.viewer == b.viewer) {
            let viewer = group[0].viewer;
            let session = &mut self.sessions[viewer];
            let turn = self.presence.wheel.turn_of(session.phase);
            let told = session.count_told(turn, group.len() as u32);
            if told > RESYNC_ABOVE
                && let Some(&spot) = session.spot()
            {
                session.told = (turn, 0);
                self.send_nearby(viewer, &spot, now);
                continue;
            }
            shown.clear();
            for told in group {
                let (subject, entered) = match told.change {
                    Change::Left(peer_id, reason) => {
                        self.send(viewer, &ServerFrame::PersonLeft { peer_id, reason });
                        continue;
                    }
                    Change::Entered(subject) => (subject, true),
                    Change::Changed(subject) => (subject, false),
                };
                // A person is shown as they are now, so once a step is enough.
                if !shown.insert(subject) && !entered {
                    continue;
                }
                let view = &self.sessions[viewer].view;
                let Ok(found) = view.binary_search_by_key(&subject, |&(other, _)| other) else {
                    continue;
                };
                let band = view[found].1;
                let key = (subject, band, entered);
                let frame = frames.0.entry(key).or_insert_with(|| {
                    let kind = if entered {
                        "person_entered"
                    } else {
                        "person_changed"
                    };
                    let mut json = format!("{{\"type\":\"{kind}\",\"person\":");
                    self.sessions[subject].write_person(band, &mut json);
                    json.push('}');
                    Frame::from_json(json, None)
                });
                let frame = Arc::clone(frame);
                self.send_shared(viewer, &frame);
            }
        }
    }

    fn update_gauges(&mut self) {
        let mut cells = [0u32; 4];
        let mut people = 0;
        for count in self.index.occupancy() {
            people += count;
            cells[match count {
                ..=1 => 0,
                2..=9 => 1,
                10..=99 => 2,
                _ => 3,
            }] += 1;
        }
        self.metrics
            .people
            .set(people.saturating_sub(self.sessions.len_away()) as f64);
        for (gauge, count) in self.metrics.cells.iter().zip(cells) {
            gauge.set(f64::from(count));
        }
        self.metrics
            .people_elsewhere
            .set(self.sessions.len_away() as f64);
        self.metrics.sessions.set(self.sessions.len() as f64);
        self.metrics.history.set(self.history.len() as f64);
        self.metrics.banned.set(self.moderation.bans.len() as f64);
    }
}

fn remove_from_view(view: &mut Vec<(Slot, DistanceBand)>, subject: Slot) -> bool {
    let found = view.binary_search_by_key(&subject, |&(other, _)| other);
    found.map(|at| view.remove(at)).is_ok()
}

fn insert_sorted(list: &mut Vec<Slot>, slot: Slot) {
    if let Err(at) = list.binary_search(&slot) {
        list.insert(at, slot);
    }
}

fn remove_sorted(list: &mut Vec<Slot>, slot: Slot) {
    if let Ok(at) = list.binary_search(&slot) {
        list.remove(at);
    }
}
