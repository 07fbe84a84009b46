//! Word and character counts and error rates of texts.
//!
//! The texts are normalized first, as the caller says; [`Normalizer::None`] leaves them as they are. Words are what
//! white space separates. Characters are Unicode scalar values, white space at the ends left out, as in jiwer 4.

use rayon::prelude::*;

use super::align::{EditCounts, rate};
use super::corpus::{Scorer, Scoring, Unit};
use crate::text::Normalizer;

/// Word error rate, 0 or more; `None` for a reference without words, where no rate exists.
///
/// ```
/// use violet::{score, text::Normalizer};
///
/// assert_eq!(score::wer("hello world", "hello word", Normalizer::None), Some(0.5));
/// assert_eq!(score::wer("", "hello", Normalizer::None), None);
/// ```
#[must_use]
pub fn wer(reference: &str, hypothesis: &str, normalizer: Normalizer) -> Option<f64> {
    let (errors, len) = Scorer::default().errors(reference, hypothesis, Scoring { unit: Unit::Word, normalizer });
    rate(errors, len)
}

/// Character error rate, 0 or more; `None` for a reference without characters, where no rate exists.
#[must_use]
pub fn cer(reference: &str, hypothesis: &str, normalizer: Normalizer) -> Option<f64> {
    let (errors, len) = Scorer::default().errors(reference, hypothesis, Scoring { unit: Unit::Char, normalizer });
    rate(errors, len)
}

/// Edit counts of words.
#[must_use]
pub fn word_counts(reference: &str, hypothesis: &str, normalizer: Normalizer) -> EditCounts {
    Scorer::default().counts(reference, hypothesis, Scoring { unit: Unit::Word, normalizer })
}

/// Edit counts of characters.
#[must_use]
pub fn char_counts(reference: &str, hypothesis: &str, normalizer: Normalizer) -> EditCounts {
    Scorer::default().counts(reference, hypothesis, Scoring { unit: Unit::Char, normalizer })
}

/// Levenshtein distance in words: the number of errors of [`word_counts`], sooner.
#[must_use]
pub fn word_distance(reference: &str, hypothesis: &str, normalizer: Normalizer) -> usize {
    Scorer::default().errors(reference, hypothesis, Scoring { unit: Unit::Word, normalizer }).0
}

/// Levenshtein distance in characters: the number of errors of [`char_counts`], sooner.
#[must_use]
pub fn char_distance(reference: &str, hypothesis: &str, normalizer: Normalizer) -> usize {
    Scorer::default().errors(reference, hypothesis, Scoring { unit: Unit::Char, normalizer }).0
}

/// Edit counts of words over a corpus of (reference, hypothesis) pairs, in parallel.
pub fn corpus_word_counts<S: AsRef<str> + Sync>(pairs: &[(S, S)], normalizer: Normalizer) -> EditCounts {
    let counts = |(reference, hypothesis): &(S, S)| word_counts(reference.as_ref(), hypothesis.as_ref(), normalizer);
    pairs.par_iter().map(counts).sum()
}

/// Edit counts of characters over a corpus of (reference, hypothesis) pairs, in parallel.
pub fn corpus_char_counts<S: AsRef<str> + Sync>(pairs: &[(S, S)], normalizer: Normalizer) -> EditCounts {
    let counts = |(reference, hypothesis): &(S, S)| char_counts(reference.as_ref(), hypothesis.as_ref(), normalizer);
    pairs.par_iter().map(counts).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_worked_by_hand() {
        assert_eq!(wer("this is a test", "this test", Normalizer::None), Some(0.5));
        assert_eq!(wer("a", "a b c", Normalizer::None), Some(2.0));
        assert_eq!(wer("Hello, World!", "hello world", Normalizer::None), Some(1.0));
        assert_eq!(wer("Hello, World!", "hello world", Normalizer::WhisperBasic), Some(0.0));
        assert_eq!(cer(" abcd ", "abxd", Normalizer::None), Some(0.25));
        assert_eq!(cer("", "a", Normalizer::None), None);
        assert_eq!(wer("!?", "a", Normalizer::WhisperBasic), None);
        assert_eq!(wer("\u{4f60}\u{597d}", "\u{4f60}\u{597d}", Normalizer::None), Some(0.0));
        assert_eq!(char_distance("\u{4f60}\u{597d}", "\u{4f60}", Normalizer::None), 1);
    }

    #[test]
    fn a_corpus_counts_as_its_pairs_do() {
        let pairs = [("a b c", "a c"), ("", "x"), ("x y", "x z")];
        let one_by_one: EditCounts = pairs.iter().map(|(r, h)| word_counts(r, h, Normalizer::None)).sum();
        assert_eq!(corpus_word_counts(&pairs, Normalizer::None), one_by_one);
        assert_eq!(one_by_one, EditCounts { hits: 3, substitutions: 1, deletions: 1, insertions: 1 });
    }
}
