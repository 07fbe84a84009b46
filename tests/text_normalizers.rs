//! The normalizers against openai-whisper's own, and their properties.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;
use proptest::prelude::*;
use serde::Deserialize;
use violet::text::Normalizer;

#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    English(String, String),
    All(String, String, String, String, String),
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/normalized_en.json.gz");
    let mut text = String::new();
    GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn whisper_normalizers_equal_the_originals_byte_for_byte() {
    let rows = rows();
    assert!(rows.len() >= 20_000);
    let mut n_all = 0;
    for row in rows {
        let (text, english) = match row {
            Row::English(text, english) => (text, english),
            Row::All(text, english, plain, split, plain_split) => {
                n_all += 1;
                assert_eq!(Normalizer::WhisperBasicNoDiacritics.normalize(&text), plain, "{text:?}");
                assert_eq!(Normalizer::WhisperBasicSplit.normalize(&text), split, "{text:?}");
                assert_eq!(Normalizer::WhisperBasicNoDiacriticsSplit.normalize(&text), plain_split, "{text:?}");
                (text, english)
            }
        };
        assert_eq!(Normalizer::WhisperEn.normalize(&text), english, "{text:?}");
    }
    assert!(n_all >= 1_000);
}

#[test]
fn violet_en_changes_no_golden_sentence_twice() {
    for row in rows() {
        let (Row::English(text, _) | Row::All(text, ..)) = row;
        let once = Normalizer::VioletEn.normalize(&text);
        assert_eq!(Normalizer::VioletEn.normalize(&once), once, "{text:?}");
        assert_eq!(once.trim(), once, "{text:?}");
    }
}

/// The known mistakes of the original, which `whisper-en` repeats.
#[test]
fn whisper_en_has_the_originals_mistakes() {
    let table = [
        ("three and a half pounds of sugar", "£3.5 of sugar"),
        ("10:00 AM", "10 0 am"),
        ("+1 800 555 0199", "one 800 555 199"),
        ("archaeology", "archeology</span>"),
        ("oh my", "0 my"),
    ];
    for (text, want) in table {
        assert_eq!(Normalizer::WhisperEn.normalize(text), want, "{text:?}");
    }
}

/// Texts of words that the rules are about, and of anything.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        proptest::sample::select(vec![
            "one", "twenty", "hundred", "million", "point", "and", "a", "half", "double", "oh", "minus", "dollars",
            "cents", "per", "cent", "first", "ones", "he'd", "been", "can't", "mr", "um", "5", "0", "1", "007", "3.5",
            "1,000", "$2", "¢5", "£0.50", "10:00", "a.m", "50%", "-7", "20€", ".5", "st", "th", "é", "😀", "٣", "[x]",
            "(y", "'", "o", "'s", "k", "."
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ];
    proptest::collection::vec((word, proptest::sample::select(vec![" ", "", "-", ", ", "'", "."])), 0..10)
        .prop_map(|words| words.into_iter().flat_map(|(word, gap)| [word, gap.to_owned()]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn violet_en_is_idempotent(text in text()) {
        let once = Normalizer::VioletEn.normalize(&text);
        prop_assert_eq!(Normalizer::VioletEn.normalize(&once), once);
    }

    #[test]
    fn no_normalizer_panics_or_leaves_double_spaces(text in text()) {
        for normalizer in Normalizer::ALL {
            let normalized = normalizer.normalize(&text);
            prop_assert!(normalizer == Normalizer::None || !normalized.contains("  "), "{}", normalizer.id());
        }
    }
}
