//! Scores of corpora: the alignment, the threads, several references.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use violet::score::{self, Edit, EditCounts, Scorer, Scoring, Unit};
use violet::text::Normalizer;

fn sentence() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec!["a", "b", "c", "dd", "é", "你", "😀", "x\u{3000}y", "שלום"]);
    prop_oneof![
        vec(word.clone(), 0..12).prop_map(|words| words.join(" ")),
        vec(word, 50..150).prop_map(|words| words.join("  ")),
        "\\PC{0,20}",
    ]
}

fn scoring() -> impl Strategy<Value = Scoring> {
    (any::<bool>(), proptest::sample::select(vec![Normalizer::None, Normalizer::WhisperEn]))
        .prop_map(|(is_word, normalizer)| Scoring { unit: if is_word { Unit::Word } else { Unit::Char }, normalizer })
}

proptest! {
    #[test]
    fn every_number_of_threads_counts_the_same(pairs in vec((sentence(), sentence()), 0..40), scoring in scoring()) {
        let (left, right): (Vec<&str>, Vec<&str>) = pairs.iter().map(|(l, r)| (l.as_str(), r.as_str())).unzip();
        let counts = |n| score::utterance_counts(&left, &right, scoring, n).unwrap();
        let want = counts(Some(1));
        for n in [None, Some(2), Some(3), Some(8)] {
            prop_assert_eq!(counts(n), want.clone());
        }
        for ((errors, len), counts) in score::utterance_errors(&left, &right, scoring, None).unwrap().into_iter().zip(want) {
            prop_assert_eq!((errors, len), (counts.errors(), counts.reference_len()));
        }
    }

    #[test]
    fn the_steps_are_those_that_are_counted(left in sentence(), right in sentence(), scoring in scoring()) {
        let mut scorer = Scorer::default();
        let (counts, steps) = (scorer.counts(&left, &right, scoring), scorer.steps(&left, &right, scoring));
        let n = |edit| steps.iter().filter(|&&step| step == edit).count();
        let of_steps = EditCounts {
            hits: n(Edit::Hit),
            substitutions: n(Edit::Substitution),
            deletions: n(Edit::Deletion),
            insertions: n(Edit::Insertion),
        };
        prop_assert_eq!(of_steps, counts);
        let (left, right) = (scoring.normalizer.normalize(&left), scoring.normalizer.normalize(&right));
        let (left, right) = (score::tokens(&left, scoring.unit), score::tokens(&right, scoring.unit));
        for chunk in score::chunks(&steps) {
            if chunk.edit == Edit::Hit {
                prop_assert_eq!(&left[chunk.reference], &right[chunk.hypothesis]);
            } else if chunk.edit == Edit::Substitution {
                prop_assert!(left[chunk.reference].iter().zip(&right[chunk.hypothesis]).all(|(l, r)| l != r));
            }
        }
        prop_assert_eq!(score::alignment(&left, &right), steps);
    }

    #[test]
    fn the_distance_is_a_metric(a in sentence(), b in sentence(), c in sentence()) {
        let d = |left: &str, right: &str| score::word_distance(left, right, Normalizer::None);
        prop_assert!(d(&a, &c) <= d(&a, &b) + d(&b, &c));
        prop_assert_eq!(d(&a, &b), d(&b, &a));
        prop_assert_eq!(d(&a, &a), 0);
    }

    #[test]
    fn rates_are_within_their_bounds(left in sentence(), right in sentence()) {
        let counts = score::word_counts(&left, &right, Normalizer::None);
        for rate in [counts.mer(), counts.wip(), counts.wil()].into_iter().flatten() {
            prop_assert!((0.0..=1.0).contains(&rate));
        }
        prop_assert_eq!(counts.wer().is_none(), counts.reference_len() == 0);
        prop_assert_eq!(counts.weighted_wer(1.0, 1.0, 1.0), counts.wer());
    }
}

#[test]
fn the_best_of_several_references_counts() {
    let references = [vec!["a b c", "a x c"], vec!["", "q"]];
    let best = score::best_references(&references, &["a x c", ""], Scoring::default(), None).unwrap();
    assert_eq!(best, [1, 0]);
    assert!(score::best_references(&[vec![]], &["a"], Scoring::default(), None).is_err());
}

#[test]
fn lists_of_different_lengths_are_refused_with_both() {
    let error = score::utterance_counts(&["a"], &["a", "b"], Scoring::default(), None).unwrap_err().to_string();
    assert_eq!(error, "got 1 references and 2 hypotheses; expected as many of one as of the other");
    assert!(score::utterance_counts(&["a"], &["a"], Scoring::default(), Some(0)).is_err());
}
