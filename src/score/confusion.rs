//! Which tokens are taken for which.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::align::Edit;
use super::corpus::{self, Scorer, Scoring, Unit};
use crate::Result;

/// An error, and how often it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    /// The reference's token; empty for an insertion.
    pub reference: String,
    /// The hypothesis's token; empty for a deletion.
    pub hypothesis: String,
    /// How often.
    pub count: usize,
}

/// The `n` most frequent errors of a kind, the most frequent first and equal ones in alphabetical order.
///
/// # Errors
///
/// As [`corpus::utterance_counts`].
pub fn confusions(
    references: &[&str],
    hypotheses: &[&str],
    scoring: Scoring,
    kind: Edit,
    n: usize,
) -> Result<Vec<Confusion>> {
    let mut found: HashMap<(String, String), usize, RandomState> = HashMap::default();
    let add = |scorer: &mut Scorer, reference: &str, hypothesis: &str| {
        let steps = scorer.steps(reference, hypothesis, scoring);
        let (left, right) = (scoring.normalizer.apply(reference), scoring.normalizer.apply(hypothesis));
        let (left, right) = (tokens(&left, scoring.unit), tokens(&right, scoring.unit));
        let (mut left, mut right) = (left.into_iter(), right.into_iter());
        let mut made = Vec::new();
        for step in steps {
            let said = if step == Edit::Insertion { None } else { left.next() };
            let heard = if step == Edit::Deletion { None } else { right.next() };
            if step == kind {
                made.push((said.unwrap_or_default().to_owned(), heard.unwrap_or_default().to_owned()));
            }
        }
        made
    };
    for error in corpus::per_pair(references, hypotheses, None, add)?.into_iter().flatten() {
        *found.entry(error).or_default() += 1;
    }
    let mut sorted: Vec<_> =
        found.into_iter().map(|((reference, hypothesis), count)| Confusion { reference, hypothesis, count }).collect();
    sorted.sort_by(|a, b| (b.count, &a.reference, &a.hypothesis).cmp(&(a.count, &b.reference, &b.hypothesis)));
    sorted.truncate(n);
    Ok(sorted)
}

/// The tokens of a normalized text.
#[must_use]
pub fn tokens(text: &str, unit: Unit) -> Vec<&str> {
    match unit {
        Unit::Word => text.split_whitespace().collect(),
        Unit::Char => {
            let text = text.trim();
            text.char_indices().map(|(at, c)| &text[at..at + c.len_utf8()]).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_errors_come_first() {
        let (references, hypotheses) = (["a b c", "a b", "x"], ["a d c", "a d", "y z"]);
        let found = |edit| confusions(&references, &hypotheses, Scoring::default(), edit, 5).unwrap();
        let confusion = |reference: &str, hypothesis: &str, count| Confusion {
            reference: reference.to_owned(),
            hypothesis: hypothesis.to_owned(),
            count,
        };
        assert_eq!(found(Edit::Substitution)[0], confusion("b", "d", 2));
        assert_eq!(found(Edit::Substitution).len(), 2);
        assert_eq!(found(Edit::Insertion).len(), 1);
        assert_eq!(found(Edit::Deletion), []);
        assert_eq!(found(Edit::Hit)[0], confusion("a", "a", 2));
    }
}
