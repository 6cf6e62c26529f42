//! Keeping a relay civil: who is banned, what people report, which words are not passed on, who
//! repeats themselves, who has to work for a session, and what whoever runs the relay decides.
//!
//! Plain synchronous code that is handed time and randomness. The [`room`](crate::room) owns it, asks
//! it, and does what follows.

pub mod bans;
pub mod cell;
pub mod gate;
pub mod notices;
pub mod origin;
pub mod repeats;
pub mod reports;
pub mod rulings;
pub mod words;

use std::{sync::Arc, time::Duration};

use neartalk_shared::{ApiError, ErrorCode, Timestamp, time::millis};
use rand::rngs::StdRng;

use self::{
    bans::BanList,
    cell::Cell5,
    gate::{Gate, GateSettings, ProofPolicy},
    notices::Notices,
    origin::{DayKey, KeyRing, Origin, OriginDigest},
    repeats::{RepeatLimits, Repeats, TooMuch},
    reports::Reports,
    rulings::Rulings,
    words::WordFilter,
};
use crate::quota::Quota;

/// What a relay can be told to do differently about people who misbehave.
#[derive(Clone, Debug)]
pub struct ModerationSettings {
    /// So many people near somebody have to report them until they are banned; none ever are when
    /// it is zero.
    pub report_threshold: u32,
    /// For how long they are.
    pub ban_time: Duration,
    /// Words that are not passed on.
    pub words: Option<Arc<WordFilter>>,
    /// How often the same may be said.
    pub repeats: RepeatLimits,
    /// Who has to work for a session.
    pub gate: GateSettings,
}

impl Default for ModerationSettings {
    fn default() -> Self {
        Self {
            report_threshold: 5,
            ban_time: Duration::from_secs(3_600),
            words: None,
            repeats: RepeatLimits {
                per_address: 3,
                per_cell: 10,
                messages_per_address: 200,
            },
            gate: GateSettings {
                policy: ProofPolicy::Attack,
                bits: 18,
                range: Quota::per_window(360, Duration::from_secs(60), 360),
            },
        }
    }
}

/// All that a relay knows about who and what is unwelcome.
#[derive(Debug)]
pub struct Moderation {
    pub(crate) settings: ModerationSettings,
    /// Who may not come back.
    pub(crate) bans: BanList,
    /// What people report.
    pub(crate) reports: Reports,
    /// Announcements and closed cells.
    pub(crate) notices: Notices,
    pub(crate) gate: Gate,
    /// What relays that are one tell each other of all this.
    pub(crate) rulings: Rulings,
    keys: KeyRing,
    repeats: Repeats,
    ticks: u32,
}

/// Ticks between two looks at everything that may be idle.
const IDLE_SWEEP_TICKS: u32 = 60;

impl Moderation {
    /// Nobody has misbehaved yet.
    pub fn new(settings: ModerationSettings, rng: &mut StdRng) -> Self {
        Self {
            bans: BanList::default(),
            reports: Reports::default(),
            notices: Notices::default(),
            gate: Gate::new(settings.gate, rng),
            rulings: Rulings::default(),
            keys: KeyRing::new(rng),
            repeats: Repeats::new(settings.repeats),
            ticks: 0,
            settings,
        }
    }

    /// What is remembered of an address.
    pub fn origin(
        &mut self,
        address: crate::address::AddressKey,
        now: Timestamp,
        rng: &mut StdRng,
    ) -> Origin {
        self.keys.origin(address, now, rng)
    }

    /// Uses the key that other relays use on a day, also for the gate's challenges.
    pub fn share_key(&mut self, day: u64, key: DayKey) {
        self.gate.share(day, key.derive("challenges"));
        self.keys.share(day, key);
    }

    /// Whether `text` may be said in `cell` by somebody at `origin`.
    pub fn check_message(
        &mut self,
        text: &str,
        cell: Cell5,
        origin: &Origin,
        now: Timestamp,
    ) -> Result<(), Unwelcome> {
        if self.settings.words.as_ref().is_some_and(|w| w.finds(text)) {
            return Err(Unwelcome::Word);
        }
        let checked = self.repeats.check(text, cell, origin.digest, now);
        checked.map_err(|too_much| {
            if too_much == TooMuch::SameFromMany {
                self.gate.repeated(cell, origin.digest, now);
            }
            Unwelcome::TooMuch(too_much)
        })
    }

    /// Counts what another relay has passed on in `cell`, from `origin` if that is known.
    pub fn overhear(
        &mut self,
        text: &str,
        cell: Cell5,
        origin: Option<OriginDigest>,
        sent_at: Timestamp,
        now: Timestamp,
    ) {
        self.repeats.overhear(text, cell, origin, sent_at, now);
    }

    /// Whether somebody may be called `name`.
    pub fn check_name(&self, name: &str) -> Result<(), ApiError> {
        if self.settings.words.as_ref().is_some_and(|w| w.finds(name)) {
            return Err(ApiError::new(
                ErrorCode::InvalidUsername,
                "This relay does not take that name; choose another.",
            ));
        }
        Ok(())
    }

    /// Forgets what is over. Call this once a second.
    pub fn tick(&mut self, now: Timestamp) {
        self.bans.sweep(now);
        self.reports.sweep(now);
        self.repeats.sweep(now);
        self.notices.sweep(now);
        self.gate.sweep(now);
        self.rulings.sweep(now);
        self.ticks += 1;
        if self.ticks >= IDLE_SWEEP_TICKS {
            self.ticks = 0;
            self.reports.sweep_idle(now);
            self.repeats.sweep_floods(now);
            self.gate.sweep_idle(now);
        }
    }
}

/// Why a message is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwelcome {
    /// It has a word of the filter's.
    Word,
    /// It, or something, is said too often.
    TooMuch(TooMuch),
}

impl From<Unwelcome> for ApiError {
    fn from(unwelcome: Unwelcome) -> Self {
        let refused = |message: &str| Self::new(ErrorCode::MessageRefused, message);
        match unwelcome {
            Unwelcome::Word => {
                refused("This relay does not pass on one of these words; say it differently.")
            }
            Unwelcome::TooMuch(TooMuch::SameFromOne) => {
                refused("You have said this often enough; say something else.")
            }
            Unwelcome::TooMuch(TooMuch::SameFromMany) => {
                refused("Many people have just said this here; say something else.")
            }
            Unwelcome::TooMuch(TooMuch::Flood(retry)) => {
                Self::rate_limited("Very much is being said from your network", retry)
            }
        }
    }
}

/// The answer to somebody who is banned until `until`.
pub fn banned(until: Timestamp, now: Timestamp) -> ApiError {
    let left = until.since(now);
    ApiError {
        code: ErrorCode::Banned,
        message: format!("This relay has blocked you for {}.", span(left)),
        retry_after_ms: Some(millis(left)),
    }
}

/// The answer to somebody whose place is closed until `until`.
pub fn place_closed(until: Timestamp, now: Timestamp) -> ApiError {
    let left = until.since(now);
    ApiError {
        code: ErrorCode::PlaceClosed,
        message: format!("This relay serves nobody around here for {}.", span(left)),
        retry_after_ms: Some(millis(left)),
    }
}

/// A time as people say it, rounded up.
fn span(time: Duration) -> String {
    match time.as_secs().div_ceil(60) {
        0 | 1 => "a minute".to_owned(),
        minutes @ ..120 => format!("{minutes} minutes"),
        minutes => format!("{} hours", minutes.div_ceil(60)),
    }
}
