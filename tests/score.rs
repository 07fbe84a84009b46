//! Normalizers and edit counts against their originals, and their properties.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;
use violet::score::{self, EditCounts};
use violet::text::Normalizer;

fn data(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)).unwrap()
}

#[test]
fn basic_normalizer_equals_whispers() {
    let rows: Vec<(String, String)> = serde_json::from_str(&data("normalized.json")).unwrap();
    assert!(rows.len() > 300);
    for (text, want) in rows {
        assert_eq!(Normalizer::WhisperBasic.normalize(&text), want, "{text:?}");
    }
}

/// Hits, substitutions, deletions, insertions.
type Counts = (usize, usize, usize, usize);

#[derive(Deserialize)]
#[serde(untagged)]
enum Pair {
    Texts { reference: String, hypothesis: String, words: Counts, chars: Counts },
    Long { seed: u32, n_words: usize, n_vocabulary: usize, rate: f64, words: Counts, swapped: Counts },
}

fn tuple(counts: EditCounts) -> Counts {
    (counts.hits, counts.substitutions, counts.deletions, counts.insertions)
}

#[test]
fn edit_counts_equal_jiwers() {
    let pairs: Vec<Pair> = serde_json::from_str(&data("edit_counts.json")).unwrap();
    let (mut n_texts, mut n_long) = (0, 0);
    for pair in pairs {
        match pair {
            Pair::Texts { reference, hypothesis, words, chars } => {
                n_texts += 1;
                let got = score::word_counts(&reference, &hypothesis, Normalizer::None);
                assert_eq!(tuple(got), words, "{reference:?} {hypothesis:?}");
                let got = score::char_counts(&reference, &hypothesis, Normalizer::None);
                assert_eq!(tuple(got), chars, "{reference:?} {hypothesis:?}");
            }
            Pair::Long { seed, n_words, n_vocabulary, rate, words, swapped } => {
                n_long += 1;
                let (reference, hypothesis) = long_pair(seed, n_words, n_vocabulary, rate);
                assert_eq!(tuple(score::counts(&reference, &hypothesis)), words, "seed {seed}");
                assert_eq!(tuple(score::counts(&hypothesis, &reference)), swapped, "seed {seed} swapped");
                let errors = words.1 + words.2 + words.3;
                assert_eq!(score::distance(&reference, &hypothesis), errors, "seed {seed}");
            }
        }
    }
    assert!(n_texts > 200 && n_long >= 8);
}

/// The long pairs of `make_edit_counts.py`, from the same generator.
fn long_pair(seed: u32, n_words: usize, n_vocabulary: usize, rate: f64) -> (Vec<usize>, Vec<usize>) {
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state >> 8) / f64::from(1 << 24)
    };
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as Python"
    )]
    let choose = |random: f64| (random * n_vocabulary as f64) as usize;
    let reference: Vec<usize> = (0..n_words).map(|_| choose(random())).collect();
    let mut hypothesis = Vec::new();
    for &word in &reference {
        let x = random() / rate;
        if x < 0.4 {
            hypothesis.push(choose(random()));
        } else if x >= 0.7 {
            hypothesis.push(word);
            if x < 1.0 {
                hypothesis.push(choose(random()));
            }
        }
    }
    (reference, hypothesis)
}

/// The definition: a full table of distances.
fn naive_distance(left: &[u8], right: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in right.iter().enumerate() {
            let next = (diagonal + usize::from(a != b)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[right.len()]
}

fn tokens() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(0..4_u8, 0..40), vec(0..30_u8, 0..300), vec(0..2_u8, 50..200)]
}

proptest! {
    #[test]
    fn equal_texts_have_no_errors(tokens in tokens()) {
        let counts = score::counts(&tokens, &tokens);
        prop_assert_eq!(counts, EditCounts { hits: tokens.len(), ..EditCounts::default() });
    }

    #[test]
    fn fast_counts_have_the_distance_of_the_definition(left in tokens(), right in tokens()) {
        let (counts, distance) = (score::counts(&left, &right), naive_distance(&left, &right));
        prop_assert_eq!(counts.errors(), distance);
        prop_assert_eq!(score::distance(&left, &right), distance);
        prop_assert_eq!(counts.reference_len(), left.len());
        prop_assert_eq!(counts.hypothesis_len(), right.len());
        prop_assert!(distance >= left.len().abs_diff(right.len()) && distance <= left.len().max(right.len()));
    }

    #[test]
    fn swapping_sides_keeps_the_distance(left in tokens(), right in tokens()) {
        prop_assert_eq!(score::distance(&left, &right), score::distance(&right, &left));
        let (there, back) = (score::counts(&left, &right), score::counts(&right, &left));
        // Ties may be broken otherwise, but the balance of insertions and deletions is fixed by the lengths.
        prop_assert_eq!(there.insertions + back.insertions, there.deletions + back.deletions);
        prop_assert_eq!(there.errors(), back.errors());
    }

    #[test]
    fn one_side_empty_is_all_deleted_or_inserted(tokens in tokens()) {
        let none: &[u8] = &[];
        prop_assert_eq!(score::counts(&tokens, none), EditCounts { deletions: tokens.len(), ..EditCounts::default() });
        prop_assert_eq!(score::counts(none, &tokens), EditCounts { insertions: tokens.len(), ..EditCounts::default() });
    }

    #[test]
    fn normalizing_never_panics_and_leaves_no_punctuation(text in "\\PC{0,60}") {
        let normalized = Normalizer::WhisperBasic.normalize(&text);
        prop_assert!(!normalized.chars().any(|c| c.is_ascii_punctuation()));
        prop_assert!(!normalized.contains("  "));
    }

    #[test]
    fn degenerate_never_panics(text in "\\PC{0,200}", duration_s in any::<f64>()) {
        let _ = score::degenerate(&text, duration_s);
    }
}
