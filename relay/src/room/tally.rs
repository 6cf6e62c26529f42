//! What a room hands to those who keep it: bans, and how much goes on.

use std::time::Duration;

use neartalk_shared::Timestamp;

use super::{Room, link::Link};
use crate::{database::Record, figures::Figures};

/// A tick that comes later than this was held up; what people did meanwhile is not known.
const TICK_MAX: Duration = Duration::from_secs(5);

/// This hour's figures.
#[derive(Debug)]
pub(super) struct Tally {
    pub figures: Figures,
    /// Until when voice has been counted.
    voice_at: Timestamp,
}

impl<L: Link> Room<L> {
    /// Counts from now on how much goes on.
    pub fn keep_figures(&mut self, now: Timestamp) {
        self.tally = Some(Tally {
            figures: Figures::new(now),
            voice_at: now,
        });
        self.count_everyone();
    }

    /// Counts the time that people have been in voice since the last call.
    pub(super) fn tally_voice(&mut self, now: Timestamp) {
        let Some(tally) = &mut self.tally else {
            return;
        };
        let time = now.since(tally.voice_at).min(TICK_MAX);
        tally.voice_at = now;
        for &slot in &self.in_voice {
            if let Some(spot) = self.sessions.get(slot).and_then(|s| s.spot()) {
                tally.figures.voice(spot, time);
            }
        }
    }

    /// What is to be kept since the last call: every change of a ban, the figures of an hour that is
    /// over, and those of the present one when the relay is `ending`.
    pub fn take_records(&mut self, ending: bool, now: Timestamp) -> Vec<Record> {
        let changes = self.moderation.bans.take_changes();
        let mut records: Vec<_> = changes.into_iter().map(Record::Ban).collect();
        let Some(tally) = &mut self.tally else {
            return records;
        };
        if tally.figures.is_over(now) {
            records.extend(tally.figures.take(now).into_iter().map(Record::Hour));
            self.count_everyone();
        } else if ending {
            records.extend(tally.figures.so_far().into_iter().map(Record::Hour));
        }
        records
    }

    /// Whoever was here before the hour began is here in this one, too.
    fn count_everyone(&mut self) {
        let Some(tally) = &mut self.tally else {
            return;
        };
        for slot in self.sessions.slots() {
            let session = &self.sessions[slot];
            if let Some(spot) = session.spot() {
                tally.figures.person(session.peer_id, spot);
            }
        }
    }
}
