//! Words that a relay does not pass on, whatever they are dressed up as.
//!
//! Text and words are brought to one form first: Unicode normal form KC, full case folding, what
//! can't be seen left out. Then every word is looked for at once (Aho-Corasick), and counts only
//! where it stands as a whole word. What digits and signs stand for in "leetspeak" is tried as well,
//! in words that have at least one letter: `4ss` is read, 455 stays a number.

use std::{fs, io, path::Path};

use aho_corasick::{AhoCorasick, MatchKind};
use caseless::Caseless;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// Words in a file, at most; a machine over them takes a few bytes for each letter.
const WORDS_MAX: usize = 100_000;

/// Why there is no word filter.
#[derive(Debug, Error)]
pub enum WordsError {
    /// The file can't be read.
    #[error("can't read the --word-filter file {path}: {source}")]
    Read {
        /// Which.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A line has nothing that could be found.
    #[error(
        "line {line} of the --word-filter file {path} has no letter or digit; put a # before a comment"
    )]
    Empty {
        /// Which file.
        path: String,
        /// Which line, from 1.
        line: usize,
    },
    /// Too many words.
    #[error("the --word-filter file {path} has more than {WORDS_MAX} words; use a shorter list")]
    TooMany {
        /// Which file.
        path: String,
    },
}

/// Finds words.
#[derive(Clone, Debug)]
pub struct WordFilter {
    words: AhoCorasick,
}

impl WordFilter {
    /// Reads a file with a word, or several words that belong together, on each line. Empty lines
    /// and those that begin with `#` are left out.
    pub fn read(path: &Path) -> Result<Self, WordsError> {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|source| WordsError::Read {
            path: shown.clone(),
            source,
        })?;
        Self::parse(&text, &shown)
    }

    /// Takes the words from the content of a file.
    pub fn parse(text: &str, path: &str) -> Result<Self, WordsError> {
        let mut words = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim().trim_start_matches('\u{feff}');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let word = fold(line);
            if !word.chars().any(is_word) {
                let path = path.to_owned();
                let line = number + 1;
                return Err(WordsError::Empty { path, line });
            }
            words.push(word);
        }
        let too_many = || WordsError::TooMany {
            path: path.to_owned(),
        };
        if words.len() > WORDS_MAX {
            return Err(too_many());
        }
        let words = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(&words)
            .map_err(|_| too_many())?;
        Ok(Self { words })
    }

    /// Whether one of the words stands in `text`.
    pub fn finds(&self, text: &str) -> bool {
        let plain = fold(text);
        self.stands_in(&plain)
            || ['i', 'l'].into_iter().any(|one| {
                let read = leetspeak(&plain, one);
                read != plain && self.stands_in(&read)
            })
    }

    fn stands_in(&self, text: &str) -> bool {
        self.words
            .find_overlapping_iter(text)
            .any(|found| is_border(text, found.start()) && is_border(text, found.end()))
    }
}

/// One form for all that looks the same or nearly: normal form KC, case folded, without what can't
/// be seen and without strokes and accents that make no letter of their own, and with single spaces.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        // Most of what is said in most places, and a hundredth of the work.
        return single_spaced(text.chars().map(|c| c.to_ascii_lowercase()), text.len());
    }
    let seen = text.chars().filter(|&c| !is_unseen(c));
    let folded = seen.nfkc().default_case_fold().nfkc();
    // What composes with its letter has done so by now.
    let loose_mark = |c: &char| matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}');
    single_spaced(folded.filter(|c| !loose_mark(c)), text.len())
}

fn single_spaced(chars: impl Iterator<Item = char>, capacity: usize) -> String {
    let mut out = String::with_capacity(capacity);
    for c in chars {
        if c.is_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Joiners, direction marks, variation selectors, fillers.
fn is_unseen(c: char) -> bool {
    matches!(c.general_category(), GeneralCategory::Format)
        || matches!(
            c,
            '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{fe00}'..='\u{fe0f}'
        )
}

/// Reads signs as the letters that they stand for, a `1` as `one`. Signs that are also punctuation
/// count as letters only before a letter or digit, and nothing does in a word without letters.
fn leetspeak(text: &str, one: char) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let in_word = |i: usize| {
            let next = chars.get(i + 1).is_some_and(|&c| is_word(c));
            match chars[i] {
                '!' | '|' | '+' => next,
                '@' | '$' => next || i > at && (is_word(chars[i - 1]) || chars[i - 1] == '$'),
                c => is_word(c),
            }
        };
        let end = (at..chars.len())
            .find(|&i| !in_word(i))
            .unwrap_or(chars.len());
        let word = &chars[at..end];
        if word.iter().any(|c| c.is_alphabetic()) {
            out.extend(word.iter().map(|&c| match c {
                '0' => 'o',
                '1' | '!' | '|' => one,
                '3' => 'e',
                '4' | '@' => 'a',
                '5' | '$' => 's',
                '7' | '+' => 't',
                '8' => 'b',
                '9' => 'g',
                other => other,
            }));
        } else {
            out.extend(word);
        }
        at = end;
        if let Some(&between) = chars.get(at) {
            out.push(between);
            at += 1;
        }
    }
    out
}

/// Whether a word can begin or end at this byte of `text`.
fn is_border(text: &str, at: usize) -> bool {
    match (text[..at].chars().next_back(), text[at..].chars().next()) {
        (Some(before), Some(after)) => {
            !is_word(before) || !is_word(after) || is_unspaced(before) || is_unspaced(after)
        }
        _ => true,
    }
}

fn is_word(c: char) -> bool {
    matches!(
        c.general_category_group(),
        GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark | GeneralCategoryGroup::Number
    )
}

/// Letters of scripts that are written without spaces: where a word ends there, only a dictionary
/// knows, so every letter is taken for a border.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0e00}'..='\u{0eff}'     // Thai, Lao
        | '\u{1000}'..='\u{109f}'   // Myanmar
        | '\u{1780}'..='\u{17ff}'   // Khmer
        | '\u{3040}'..='\u{30ff}'   // Hiragana, Katakana
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3fffd}' // Han
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter() -> WordFilter {
        let file =
            "# words\nidiot\nKiller\n\nass\nil\nStraße\nпривет\nगधा\n馬鹿\nคนโง่\nGet Lost\nano\n";
        WordFilter::parse(file, "words.txt").unwrap()
    }

    #[test]
    fn words_are_found_whatever_they_are_dressed_up_as() {
        let filter = filter();
        for text in [
            "idiot",
            "you IDIOT!",
            "what an idiot, really",
            "(idiot)",
            // Full width, mathematical, circled.
            "ｉｄｉｏｔ",
            "𝐢𝐝𝐢𝐨𝐭",
            "ⓘⓓⓘⓞⓣ",
            // Zero width, soft hyphen, struck through.
            "id\u{200b}iot",
            "i\u{ad}diot",
            "i\u{336}d\u{336}i\u{336}o\u{336}t\u{336}",
            // Leetspeak, with either reading of a 1.
            "1d10t",
            "!d!ot",
            "id|ot",
            "k1ller",
            "ki11er",
            "a55",
            "@ss",
            "a$$",
            "a$$ it is",
            "4ss",
            // Other scripts and foldings.
            "STRASSE",
            "strasse",
            "ПРИВЕТ",
            "ты, Привет!",
            "तू गधा है",
            "この馬鹿者",
            "ไอ้คนโง่นี่",
            "get\nlost",
            "GET   LOST",
        ] {
            assert!(filter.finds(text), "{text:?}");
        }
    }

    #[test]
    fn parts_of_words_and_innocent_numbers_pass() {
        let filter = filter();
        for text in [
            "idiotic",
            "an idiotproof class",
            "painkillers",
            "assembly, class, grass",
            "call 455 or 55 or 1d",
            "room 455!",
            "приветствие",
            "गधाधारी",
            // An n with a tilde is another letter.
            "feliz año",
            "getlost",
            "silk",
            "",
            "🦊🦊",
        ] {
            assert!(!filter.finds(text), "{text:?}");
        }
    }

    #[test]
    fn a_bad_file_says_where() {
        let bad = WordFilter::parse("one\n\n!!!\n", "w.txt").unwrap_err();
        assert!(bad.to_string().contains("line 3") && bad.to_string().contains("w.txt"));
        let none = WordFilter::parse("# nothing\n", "w.txt").unwrap();
        assert!(!none.finds("anything"));
        let absent = WordFilter::read(Path::new("/nonexistent/words")).unwrap_err();
        assert!(absent.to_string().contains("--word-filter"));
    }

    proptest! {
        #[test]
        fn whatever_is_said_is_read_without_harm(text in "\\PC{0,100}") {
            let filter = filter();
            filter.finds(&text);
            let with = format!("{text} idiot");
            prop_assert!(filter.finds(&with));
            // Folding what is folded changes nothing.
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn the_short_way_for_ascii_is_the_long_way(text in "[ -~\n]{0,60}") {
            // One letter of another script sends all of it the long way.
            let long = fold(&format!("{text}я"));
            prop_assert_eq!(long, fold(&text) + "я");
        }
    }
}
