//! In what rows packets are lost: put down where they arrive, told to where they are sent.
//!
//! A receiver report (RFC 3550) says how many packets were lost, not how they lay. But copies in the next
//! packets help against the one and not against the other. So the receiver also tells which packets
//! arrived (RFC 3611, loss RLE), and the sender counts rows.

/// Most packets that are told of at once, ten seconds of the shortest.
const LONGEST: usize = 1_024;
/// The last ones are told of next time: they may only have been overtaken.
const OVERTAKEN: usize = 3;
/// What rows count for after one more report.
const MEMORY: f32 = 0.8;

/// Which of a row of packets arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// Sequence number of the first.
    pub begin: u16,
    /// Whether it and each after it arrived.
    pub arrived: Vec<bool>,
}

impl Arrivals {
    /// Most packets in one.
    pub const LONGEST: usize = LONGEST;

    /// Sequence number after the last.
    pub const fn end(&self) -> u16 {
        self.begin.wrapping_add(self.arrived.len() as u16)
    }
}

/// The receiver's end: puts down what arrives of one stream until it is told.
#[derive(Clone, Debug, Default)]
pub struct ArrivalLog {
    begin: Option<u16>,
    arrived: Vec<bool>,
}

impl ArrivalLog {
    /// A packet came.
    pub fn note(&mut self, sequence: u16) {
        let begin = *self.begin.get_or_insert(sequence);
        let ahead = usize::from(sequence.wrapping_sub(begin));
        if ahead < LONGEST {
            if self.arrived.len() <= ahead {
                self.arrived.resize(ahead + 1, false);
            }
            self.arrived[ahead] = true;
        } else if ahead < usize::from(u16::MAX) - LONGEST {
            // Another stream, or nobody asked for long.
            self.begin = Some(sequence);
            self.arrived.clear();
            self.arrived.push(true);
        }
        // Else it was told of as lost: too late to help anybody.
    }

    /// What arrived since this was last asked, but for the very last.
    pub fn take(&mut self) -> Option<Arrivals> {
        let begin = self.begin?;
        let told = self.arrived.len().checked_sub(OVERTAKEN)?;
        if told == 0 {
            return None;
        }
        let rest = self.arrived.split_off(told);
        let arrivals = Arrivals {
            begin,
            arrived: std::mem::replace(&mut self.arrived, rest),
        };
        self.begin = Some(arrivals.end());
        Some(arrivals)
    }
}

/// The sender's end: how long the rows are in which packets are lost, of late.
#[derive(Clone, Debug, Default)]
pub struct LossRows {
    lost: f32,
    rows: f32,
    next: Option<u16>,
    in_row: bool,
}

impl LossRows {
    /// Takes in what the receiver tells.
    pub fn take(&mut self, arrivals: &Arrivals) {
        if self.next != Some(arrivals.begin) {
            self.in_row = false;
        }
        self.next = Some(arrivals.end());
        self.lost *= MEMORY;
        self.rows *= MEMORY;
        for &arrived in &arrivals.arrived {
            if !arrived {
                self.lost += 1.0;
                self.rows += f32::from(u8::from(!self.in_row));
            }
            self.in_row = !arrived;
        }
    }

    /// Mean length of the rows, in packets; 1 while nothing is lost.
    pub fn mean(&self) -> f32 {
        if self.rows > 0.1 {
            (self.lost / self.rows).max(1.0)
        } else {
            1.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(numbers: impl IntoIterator<Item = u16>) -> ArrivalLog {
        let mut log = ArrivalLog::default();
        for number in numbers {
            log.note(number);
        }
        log
    }

    #[test]
    fn tells_what_arrived_over_the_wrap_around_and_goes_on_there() {
        let mut log = log([65_534, 65_535, 2, 1, 3, 4, 5]);
        let arrivals = log.take().unwrap();
        assert_eq!(arrivals.begin, 65_534);
        assert_eq!(arrivals.arrived, [true, true, false, true, true]);
        assert_eq!(log.take(), None);
        // Two of the last are there, one was overtaken.
        for number in [8, 7, 9] {
            log.note(number);
        }
        let arrivals = log.take().unwrap();
        assert_eq!((arrivals.begin, arrivals.end()), (3, 7));
        assert_eq!(arrivals.arrived, [true, true, true, false]);
        // Told of as lost already.
        log.note(0);
        assert_eq!(log.take(), None);
    }

    #[test]
    fn another_stream_and_a_long_silence_begin_anew() {
        let mut log = log([10, 11, 30_000, 30_001, 30_002, 30_003]);
        assert_eq!(log.take().unwrap().begin, 30_000);
        for n in 0..100_000u32 {
            log.note(n as u16);
            assert!(log.arrived.len() <= LONGEST);
        }
    }

    #[test]
    fn rows_are_counted_across_what_is_told() {
        let mut rows = LossRows::default();
        assert_eq!(rows.mean(), 1.0);
        let told = |begin, bits: &str| Arrivals {
            begin,
            arrived: bits.chars().map(|c| c == '1').collect(),
        };
        rows.take(&told(0, "110010"));
        rows.take(&told(6, "011111"));
        // Two of length two, the first and what began before the end of it.
        assert!((rows.mean() - 2.0).abs() < 0.2, "{}", rows.mean());
        // Not the continuation: a row of its own.
        rows.take(&told(100, "1110"));
        rows.take(&told(200, "0111"));
        assert!(rows.mean() < 1.7, "{}", rows.mean());
        for n in 0..40u16 {
            rows.take(&told(300 + 4 * n, "1111"));
        }
        assert_eq!(rows.mean(), 1.0);
    }
}
