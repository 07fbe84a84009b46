//! Edit counts of one sequence against another.

use std::hash::Hash;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Range};

use super::bit_parallel::Aligner;
use super::interning::intern;

/// How a hypothesis differs from its reference, by a shortest alignment.
///
/// Counts add up over a corpus; a rate is taken of the sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EditCounts {
    /// Reference tokens that the hypothesis has.
    pub hits: usize,
    /// Reference tokens that the hypothesis has wrong.
    pub substitutions: usize,
    /// Reference tokens that the hypothesis has not.
    pub deletions: usize,
    /// Hypothesis tokens that the reference has not.
    pub insertions: usize,
}

impl EditCounts {
    /// The counts of an alignment.
    #[must_use]
    pub fn of_chunks(chunks: &[Chunk]) -> Self {
        let mut counts = Self::default();
        for Chunk { edit, reference, hypothesis } in chunks {
            match edit {
                Edit::Hit => counts.hits += reference.len(),
                Edit::Substitution => counts.substitutions += reference.len(),
                Edit::Deletion => counts.deletions += reference.len(),
                Edit::Insertion => counts.insertions += hypothesis.len(),
            }
        }
        counts
    }

    /// Substitutions, deletions and insertions: the Levenshtein distance.
    #[must_use]
    pub fn errors(self) -> usize {
        self.substitutions + self.deletions + self.insertions
    }

    /// Number of reference tokens.
    #[must_use]
    pub fn reference_len(self) -> usize {
        self.hits + self.substitutions + self.deletions
    }

    /// Number of hypothesis tokens.
    #[must_use]
    pub fn hypothesis_len(self) -> usize {
        self.hits + self.substitutions + self.insertions
    }

    /// Errors per reference token, 0 or more; `None` for an empty reference, where no rate exists.
    ///
    /// Of words this is the word error rate, of characters the character error rate.
    #[must_use]
    pub fn wer(self) -> Option<f64> {
        rate(self.errors(), self.reference_len())
    }

    /// Word information preserved, 0 to 1: hits per reference token times hits per hypothesis token; `None` for an
    /// empty reference, 0 for an empty hypothesis.
    ///
    /// Source: Morris, Maier and Green, "From WER and RIL to MER and WIL", Interspeech 2004.
    #[must_use]
    pub fn wip(self) -> Option<f64> {
        let recall = rate(self.hits, self.reference_len())?;
        Some(recall * rate(self.hits, self.hypothesis_len()).unwrap_or(0.0))
    }

    /// Word information lost, 0 to 1: `1 - wip`.
    #[must_use]
    pub fn wil(self) -> Option<f64> {
        self.wip().map(|wip| 1.0 - wip)
    }

    /// Word error rate in which every kind of error has its own price; `None` for an empty reference.
    ///
    /// The alignment stays the one of equal prices. Source: Hunt, "Figures of merit for assessing connected-word
    /// recognisers", Speech Communication 9 (1990), with prices 1, 0.5 and 0.5.
    #[must_use]
    pub fn weighted_wer(self, substitution: f64, deletion: f64, insertion: f64) -> Option<f64> {
        let errors = substitution * self.substitutions as f64
            + deletion * self.deletions as f64
            + insertion * self.insertions as f64;
        (self.reference_len() > 0).then(|| errors / self.reference_len() as f64)
    }

    /// Match error rate: errors per aligned position, 0 to 1; `None` for two empty texts.
    ///
    /// Source: Morris, Maier and Green, "From WER and RIL to MER and WIL", Interspeech 2004.
    #[must_use]
    pub fn mer(self) -> Option<f64> {
        rate(self.errors(), self.errors() + self.hits)
    }
}

/// One step of an alignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Edit {
    /// Both sides have the token.
    Hit,
    /// The hypothesis has another token in its place.
    Substitution,
    /// The hypothesis lacks the reference's token.
    Deletion,
    /// The hypothesis has a token that the reference lacks.
    Insertion,
}

impl Edit {
    /// The stable name: `hit`, `substitution`, `deletion`, `insertion`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Substitution => "substitution",
            Self::Deletion => "deletion",
            Self::Insertion => "insertion",
        }
    }
}

/// Neighbouring equal steps of an alignment, and the tokens that they concern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What the steps are.
    pub edit: Edit,
    /// Tokens of the reference.
    pub reference: Range<usize>,
    /// Tokens of the hypothesis.
    pub hypothesis: Range<usize>,
}

/// Groups the steps of an alignment.
#[must_use]
pub fn chunks(steps: &[Edit]) -> Vec<Chunk> {
    let mut chunks: Vec<Chunk> = Vec::new();
    let (mut n_reference, mut n_hypothesis) = (0, 0);
    for &edit in steps {
        if chunks.last().is_none_or(|chunk| chunk.edit != edit) {
            chunks.push(Chunk { edit, reference: n_reference..n_reference, hypothesis: n_hypothesis..n_hypothesis });
        }
        n_reference += usize::from(edit != Edit::Insertion);
        n_hypothesis += usize::from(edit != Edit::Deletion);
        if let Some(chunk) = chunks.last_mut() {
            (chunk.reference.end, chunk.hypothesis.end) = (n_reference, n_hypothesis);
        }
    }
    chunks
}

/// The shortest alignment of two sequences that rapidfuzz 3, and so jiwer 4, chooses.
pub fn alignment<T: Eq + Hash>(reference: &[T], hypothesis: &[T]) -> Vec<Edit> {
    let (reference, hypothesis) = intern(reference, hypothesis);
    Aligner::default().steps(&reference, &hypothesis)
}

/// `errors / len`, if there is anything to divide by.
#[must_use]
pub fn rate(errors: usize, len: usize) -> Option<f64> {
    (len > 0).then(|| errors as f64 / len as f64)
}

impl Add for EditCounts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            hits: self.hits + other.hits,
            substitutions: self.substitutions + other.substitutions,
            deletions: self.deletions + other.deletions,
            insertions: self.insertions + other.insertions,
        }
    }
}

impl AddAssign for EditCounts {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for EditCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), Add::add)
    }
}

/// Edit counts of `hypothesis` against `reference`, token by token.
///
/// Which of several shortest alignments is counted follows rapidfuzz 3 and so jiwer 4; the number of errors does not
/// depend on it.
pub fn counts<T: Eq + Hash>(reference: &[T], hypothesis: &[T]) -> EditCounts {
    let (reference, hypothesis, n_trimmed) = without_common_ends(reference, hypothesis);
    let (reference, hypothesis) = intern(reference, hypothesis);
    let mut counts = Aligner::default().counts(&reference, &hypothesis);
    counts.hits += n_trimmed;
    counts
}

/// Levenshtein distance of two sequences: the number of errors in [`counts`], sooner.
pub fn distance<T: Eq + Hash>(reference: &[T], hypothesis: &[T]) -> usize {
    let (reference, hypothesis, _) = without_common_ends(reference, hypothesis);
    let (reference, hypothesis) = intern(reference, hypothesis);
    Aligner::default().distance(&reference, &hypothesis)
}

/// Both sequences without what they begin and end with in common, and how much that was.
pub(super) fn without_common_ends<'t, T: Eq>(left: &'t [T], right: &'t [T]) -> (&'t [T], &'t [T], usize) {
    let n_prefix = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let (left, right) = (&left[n_prefix..], &right[n_prefix..]);
    let n_suffix = left.iter().rev().zip(right.iter().rev()).take_while(|(left, right)| left == right).count();
    (&left[..left.len() - n_suffix], &right[..right.len() - n_suffix], n_prefix + n_suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_worked_by_hand() {
        let table = [
            ("", "", (0, 0, 0, 0)),
            ("a b c", "a b c", (3, 0, 0, 0)),
            ("a b c", "", (0, 0, 3, 0)),
            ("", "a b", (0, 0, 0, 2)),
            ("a b c", "a x c", (2, 1, 0, 0)),
            ("a b c d", "b c d", (3, 0, 1, 0)),
            ("b c d", "a b c d", (3, 0, 0, 1)),
            ("a b c d", "x b y z d", (2, 2, 0, 1)),
        ];
        for (reference, hypothesis, (hits, substitutions, deletions, insertions)) in table {
            let tokens = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
            let got = counts(&tokens(reference), &tokens(hypothesis));
            assert_eq!(got, EditCounts { hits, substitutions, deletions, insertions }, "{reference:?} {hypothesis:?}");
            assert_eq!(distance(&tokens(reference), &tokens(hypothesis)), got.errors());
        }
    }

    #[test]
    fn rates_are_of_sums_and_an_empty_reference_has_none() {
        let long = EditCounts { hits: 9, substitutions: 1, ..EditCounts::default() };
        let short = EditCounts { insertions: 2, ..EditCounts::default() };
        assert_eq!(short.wer(), None);
        assert_eq!(short.mer(), Some(1.0));
        assert_eq!(EditCounts::default().mer(), None);
        assert_eq!([long, short].into_iter().sum::<EditCounts>().wer(), Some(0.3));
    }
}
