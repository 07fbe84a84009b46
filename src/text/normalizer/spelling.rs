//! What single English words mean to the normalizers: British spellings and words of numbers.

use std::collections::HashMap;
use std::sync::LazyLock;

use foldhash::fast::FixedState;

use super::numbers::{self, Numeral};

/// British and American spelling, sorted. Its licence is in `english_spelling.LICENSE`.
const SPELLINGS: &str = include_str!("english_spelling.tsv");

/// What is known of a word that is not left as it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Known {
    /// Its American spelling.
    Spelling(&'static str),
    /// A word that can be part of a number.
    Numeral(Numeral),
}

static WORDS: LazyLock<HashMap<&'static str, Known, FixedState>> = LazyLock::new(|| {
    let mut words = HashMap::with_capacity_and_hasher(2_500, FixedState::default());
    let lines = SPELLINGS.lines().filter_map(|line| line.split_once('\t'));
    words.extend(lines.map(|(british, american)| (british, Known::Spelling(american))));
    words.extend(numbers::vocabulary().map(|(word, numeral)| (word, Known::Numeral(numeral))));
    words
});

/// Longest word of the table, bytes.
const MAX_LEN: usize = 20;

/// What is known of this word, if anything.
#[inline]
pub(super) fn known(word: &str) -> Option<Known> {
    if word.len() > MAX_LEN { None } else { WORDS.get(word).copied() }
}

/// The word as a part of a number.
#[inline]
pub(super) fn numeral(word: &str) -> Option<Numeral> {
    match known(word) {
        Some(Known::Numeral(numeral)) => Some(numeral),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_found() {
        let rows: Vec<_> = SPELLINGS.lines().map(|line| line.split_once('\t').unwrap()).collect();
        assert_eq!(rows.len(), 1_738);
        assert!(rows.is_sorted());
        for (british, american) in rows {
            assert!(matches!(known(british), Some(Known::Spelling(spelling)) if spelling == american), "{british}");
        }
        assert!(known("color").is_none() && known("").is_none());
        assert!(numeral("seventeenth").is_some() && numeral("grey").is_none());
    }
}
