//! Sequence numbers: what is new, what is lost and in what rows.

/// Judgement on a packet by its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The highest so far; so many directly before it are missing.
    InOrder {
        /// Lost, or still to come.
        missing: i64,
    },
    /// New, but one sent later came before.
    Reordered,
    /// Had before, or too old to tell.
    Again,
}

/// Past so many packets, one that is missing is lost.
const PATIENCE: u32 = 32;
/// A jump beyond this is no loss but a sender that counts anew (RFC 3550: MAX_DROPOUT).
const LARGEST_JUMP: i64 = 3_000;

/// Follows one stream's sequence numbers over their wrap-around.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequence {
    highest: Option<i64>,
    /// Bit n: whether `highest - n` arrived. Bits from `PATIENCE` on are settled.
    arrived: u64,
    /// Bits that stand for packets at all: fewer than 64 only at the start.
    known: u32,
    in_burst: bool,
    lost: u64,
    bursts: u64,
}

impl Sequence {
    /// The number in full, and what to think of it.
    pub(super) fn arrive(&mut self, number: u16) -> (i64, Arrival) {
        let Some(highest) = self.highest else {
            return self.begin(i64::from(number));
        };
        let step = i64::from(number.wrapping_sub(highest as u16) as i16);
        let full = highest + step;
        if step.abs() > LARGEST_JUMP {
            return self.begin(full);
        }
        if step > 0 {
            self.advance(step as u64);
            self.highest = Some(full);
            return (full, Arrival::InOrder { missing: step - 1 });
        }
        let back = -step as u32;
        // What is settled stays so, or a loss would count and uncount.
        if back >= PATIENCE || self.arrived >> back & 1 == 1 {
            return (full, Arrival::Again);
        }
        self.arrived |= 1 << back;
        self.known = self.known.max(back + 1);
        (full, Arrival::Reordered)
    }

    /// The next number starts anew, whatever it is; what was counted stays.
    pub(super) fn restart(&mut self) {
        self.highest = None;
    }

    /// Packets lost, and rows of them.
    pub(super) const fn losses(&self) -> (u64, u64) {
        (self.lost, self.bursts)
    }

    fn begin(&mut self, full: i64) -> (i64, Arrival) {
        self.highest = Some(full);
        self.arrived = 1;
        self.known = 1;
        self.in_burst = false;
        (full, Arrival::InOrder { missing: 0 })
    }

    fn advance(&mut self, steps: u64) {
        for _ in 0..steps {
            // This one passes the limit now.
            if self.known >= PATIENCE {
                let lost = self.arrived >> (PATIENCE - 1) & 1 == 0;
                self.lost += u64::from(lost);
                self.bursts += u64::from(lost && !self.in_burst);
                self.in_burst = lost;
            }
            self.arrived <<= 1;
            self.known = (self.known + 1).min(64);
        }
        self.arrived |= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEXT: Arrival = Arrival::InOrder { missing: 0 };

    fn feed(sequence: &mut Sequence, numbers: impl IntoIterator<Item = u16>) -> Vec<Arrival> {
        numbers.into_iter().map(|n| sequence.arrive(n).1).collect()
    }

    #[test]
    fn wraps_around() {
        let mut sequence = Sequence::default();
        let first = sequence.arrive(65_530).0;
        for n in 1..100u16 {
            assert_eq!(
                sequence.arrive(65_530u16.wrapping_add(n)),
                (first + i64::from(n), NEXT)
            );
        }
        assert_eq!(sequence.losses(), (0, 0));
    }

    #[test]
    fn tells_reordered_from_repeated() {
        let mut sequence = Sequence::default();
        assert_eq!(
            feed(&mut sequence, [10, 12, 11, 11, 12, 13]),
            [
                NEXT,
                Arrival::InOrder { missing: 1 },
                Arrival::Reordered,
                Arrival::Again,
                Arrival::Again,
                NEXT,
            ]
        );
    }

    #[test]
    fn counts_losses_and_their_rows_once_they_are_certain() {
        let mut sequence = Sequence::default();
        let lost = [5, 20, 21, 22, 40];
        feed(&mut sequence, (0..60).filter(|n| !lost.contains(n)));
        // 40 may still come.
        assert_eq!(sequence.losses(), (4, 2));
        assert_eq!(
            feed(&mut sequence, [40, 5]),
            [Arrival::Reordered, Arrival::Again]
        );
        feed(&mut sequence, 60..200);
        assert_eq!(sequence.losses(), (4, 2));
    }

    #[test]
    fn a_long_outage_is_one_row() {
        let mut sequence = Sequence::default();
        feed(&mut sequence, (0..100).chain(350..500));
        assert_eq!(sequence.losses(), (250, 1));
    }

    #[test]
    fn a_sender_that_counts_anew_has_lost_nothing() {
        let mut sequence = Sequence::default();
        feed(&mut sequence, (0..100).chain(20_000..20_200));
        assert_eq!(sequence.losses(), (0, 0));
    }
}
