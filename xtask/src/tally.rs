//! Counting what passed and what failed.

use std::{fmt, ops::AddAssign};

/// How many passed, failed and were ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u32,
    pub failed: u32,
    pub ignored: u32,
}

impl Tally {
    /// Reads libtest's closing line of one test program:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; …`.
    pub fn from_test_result(line: &str) -> Option<Self> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let count = |what: &str| {
            counts
                .split("; ")
                .find_map(|part| part.strip_suffix(what)?.trim_end().parse().ok())
        };
        Some(Self {
            passed: count(" passed")?,
            failed: count(" failed")?,
            ignored: count(" ignored")?,
        })
    }

    /// The same with the ignored counted as failed: in CI nothing may be left out.
    pub fn strict(self) -> Self {
        Self {
            failed: self.failed + self.ignored,
            ignored: 0,
            ..self
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_read() {
        let tally = |passed, failed, ignored| {
            Some(Tally {
                passed,
                failed,
                ignored,
            })
        };
        for (line, expected) in [
            (
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.12s",
                tally(12, 0, 1),
            ),
            (
                "test result: FAILED. 100 passed; 20 failed; 0 ignored; 0 measured; 0 filtered out; finished in 9.00s",
                tally(100, 20, 0),
            ),
            ("test tests::a ... ok", None),
            ("test result: ok. twelve passed; 0 failed; 1 ignored", None),
            ("  test result: ok. 1 passed; 0 failed; 0 ignored", None),
            ("test result: ", None),
            ("", None),
        ] {
            assert_eq!(Tally::from_test_result(line), expected, "{line}");
        }
    }

    #[test]
    fn strictly_the_ignored_have_failed() {
        let mut sum = Tally {
            passed: 5,
            failed: 1,
            ignored: 2,
        };
        assert_eq!(sum.strict().to_string(), "5 passed, 3 failed");
        sum += sum;
        assert_eq!(sum.to_string(), "10 passed, 2 failed");
        assert_eq!(sum.ignored, 4);
    }
}
