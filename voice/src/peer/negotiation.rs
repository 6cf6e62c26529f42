//! Perfect negotiation's decisions: what to do with an offer, an answer or a candidate that comes.

use super::{Candidate, formats::fingerprint};

/// Candidates taken of one description's: each makes this side send checks to where it points, so more
/// would let somebody use us to flood others.
const MAX_CANDIDATES: usize = 64;

/// The description with no more candidates than are taken.
pub(super) fn bounded(sdp: &str) -> String {
    let mut candidates = 0;
    sdp.split_inclusive('\n')
        .filter(|line| {
            candidates += usize::from(line.starts_with("a=candidate:"));
            !line.starts_with("a=candidate:") || candidates <= MAX_CANDIDATES
        })
        .collect()
}

/// What to do with an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnOffer {
    /// Answer it.
    Take,
    /// Take this side's own back, then answer it.
    RollBackAndTake,
    /// This side's own goes first.
    Ignore,
    /// It begins another session, which this connection can't take part in.
    Foreign,
}

/// Where one connection's negotiation stands.
#[derive(Debug)]
pub(super) struct Negotiation {
    polite: bool,
    /// An offer of this side's is unanswered.
    offering: bool,
    /// A restart was asked for meanwhile.
    restart: bool,
    /// Of the session that was agreed on.
    fingerprint: Option<String>,
    /// Whether there is a remote description, without which no candidate can be taken.
    described: bool,
    held: Vec<Candidate>,
    taken: usize,
}

impl Negotiation {
    pub(super) const fn new(polite: bool) -> Self {
        Self {
            polite,
            offering: false,
            restart: false,
            fingerprint: None,
            described: false,
            held: Vec::new(),
            taken: 0,
        }
    }

    /// Whether to make an offer now.
    pub(super) fn offer(&mut self) -> bool {
        !std::mem::replace(&mut self.offering, true)
    }

    /// Whether to make an offer that restarts ICE now; after the answer to an unanswered one otherwise.
    /// A connection that was never agreed on has nothing to restart.
    pub(super) fn restart(&mut self) -> bool {
        if !self.described {
            return false;
        }
        let now = self.offer();
        self.restart = !now;
        now
    }

    /// Whether a restart is due since the last answer.
    pub(super) fn restart_due(&mut self) -> bool {
        !self.offering && std::mem::take(&mut self.restart) && self.offer()
    }

    /// An offer came.
    pub(super) fn offered(&self, sdp: &str) -> OnOffer {
        if self.is_foreign(sdp) {
            OnOffer::Foreign
        } else if !self.offering {
            OnOffer::Take
        } else if self.polite {
            OnOffer::RollBackAndTake
        } else {
            OnOffer::Ignore
        }
    }

    /// An answer came: whether it is to be taken.
    pub(super) fn answered(&self, sdp: &str) -> bool {
        self.offering && !self.is_foreign(sdp)
    }

    /// A remote description was applied. Gives the candidates that came before it.
    pub(super) fn described(&mut self, sdp: &str) -> Vec<Candidate> {
        self.offering = false;
        self.described = true;
        self.fingerprint = fingerprint(sdp).map(str::to_owned);
        let held = std::mem::take(&mut self.held);
        self.taken = held.len();
        held
    }

    /// A candidate came: gives it back if it can be taken now, keeps it for later, or drops it if there
    /// are too many.
    pub(super) fn candidate(&mut self, candidate: Candidate) -> Option<Candidate> {
        if !self.described {
            // Also the candidates of an offer that was ignored: the answer that follows is by the
            // same agent.
            if self.held.len() < MAX_CANDIDATES {
                self.held.push(candidate);
            }
            return None;
        }
        self.taken += 1;
        (self.taken <= MAX_CANDIDATES).then_some(candidate)
    }

    fn is_foreign(&self, sdp: &str) -> bool {
        self.fingerprint
            .as_deref()
            .is_some_and(|known| fingerprint(sdp).is_some_and(|other| other != known))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: &str = "v=0\r\na=fingerprint:sha-256 AB:CD\r\n";
    const LATER: &str = "v=0\r\na=fingerprint:sha-256 EF:01\r\n";

    fn candidate(line: usize) -> Candidate {
        Candidate {
            candidate: line.to_string(),
            sdp_mid: None,
            sdp_m_line_index: None,
        }
    }

    #[test]
    fn offers_that_cross_leave_one() {
        let (mut polite, mut impolite) = (Negotiation::new(true), Negotiation::new(false));
        assert!(polite.offer() && impolite.offer());
        assert_eq!(impolite.offered(THEIRS), OnOffer::Ignore);
        assert_eq!(polite.offered(THEIRS), OnOffer::RollBackAndTake);
        polite.described(THEIRS);
        assert!(!polite.answered(THEIRS));
        assert!(impolite.answered(THEIRS));
        impolite.described(THEIRS);
        assert!(!impolite.answered(THEIRS));
    }

    #[test]
    fn candidates_wait_for_a_description_and_are_bounded() {
        let mut negotiation = Negotiation::new(false);
        assert!(negotiation.offer());
        for n in 0..2 * MAX_CANDIDATES {
            assert_eq!(negotiation.candidate(candidate(n)), None);
        }
        let held = negotiation.described(THEIRS);
        assert_eq!(held.len(), MAX_CANDIDATES);
        assert_eq!(held[0], candidate(0));
        assert_eq!(negotiation.candidate(candidate(0)), None);
        assert!(negotiation.described(THEIRS).is_empty());
        assert_eq!(negotiation.candidate(candidate(1)), Some(candidate(1)));
    }

    #[test]
    fn a_description_holds_no_more_candidates_either() {
        let candidates = "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n".repeat(100);
        let sdp = format!("v=0\r\n{candidates}a=end-of-candidates\r\nlast");
        let bounded = bounded(&sdp);
        assert_eq!(bounded.matches("a=candidate:").count(), MAX_CANDIDATES);
        assert!(bounded.starts_with("v=0\r\na=candidate:"));
        assert!(bounded.ends_with("host\r\na=end-of-candidates\r\nlast"));
        assert_eq!(super::bounded(THEIRS), THEIRS);
    }

    #[test]
    fn another_certificate_is_another_session() {
        let mut negotiation = Negotiation::new(true);
        assert_eq!(negotiation.offered(THEIRS), OnOffer::Take);
        negotiation.described(THEIRS);
        assert_eq!(negotiation.offered(THEIRS), OnOffer::Take);
        assert_eq!(negotiation.offered(LATER), OnOffer::Foreign);
        assert!(negotiation.restart());
        assert!(!negotiation.answered(LATER));
        assert!(negotiation.answered(THEIRS));
    }

    #[test]
    fn a_restart_waits_for_an_answer() {
        let mut negotiation = Negotiation::new(false);
        assert!(!negotiation.restart());
        negotiation.described(THEIRS);
        assert!(negotiation.restart());
        assert!(!negotiation.restart());
        assert!(!negotiation.restart_due());
        negotiation.described(THEIRS);
        assert!(negotiation.restart_due());
        negotiation.described(THEIRS);
        assert!(!negotiation.restart_due());
    }
}
