#![allow(clippy::cast_precision_loss, reason = "small counts")]
#![allow(clippy::print_stderr, reason = "the rates are worth seeing")]

use proptest::prelude::*;

use super::*;

fn phonemes(text: &str) -> String {
    Phonemizer::new().unwrap().phonemize(text).phonemes()
}

#[test]
fn sentences_by_hand() {
    let table = [
        ("The quick brown fox jumps over the lazy dog.", "ðə kwˈɪk bɹˈaʊn fˈɑːks dʒˈʌmps ˌoʊvɚ ðə lˈeɪzi dˈɑːɡ."),
        ("the apple, the end of an hour", "ðɪ ˈæpəl, ðɪ ˈɛnd əv ən ˈaʊɚ"),
        ("A button and a bottle of water.", "ɐ bˈʌʔn̩ ænd ɐ bˈɑːɾəl ʌv wˈɔːɾɚ."),
        ("for a while", "fɚɹ ə wˈaɪl"),
        ("Water is wet.", "wˈɔːɾɚɹ ɪz wˈɛt."),
        ("Roses wanted", "ɹˈoʊzᵻz wˈɔntᵻd"),
        ("the FBI", "ðɪ ˌɛfbˌiːˈaɪ"),
        ("Café", "kɐfˈeɪ"),
        ("", ""),
    ];
    for (text, want) in table {
        assert_eq!(phonemes(text), want, "{text}");
    }
}

#[test]
fn words_that_no_dictionary_has_are_said() {
    let table = [
        ("catlike", "kˈætlaɪk"),
        ("doghouses", "dˈɑːɡhaʊsᵻz"),
        ("Wolfram's", "wˈʊlfɹæmz"),
        ("blorp", "blˈɔːɹp"),
        ("brrr", "bˌiːˌɑːɹˌɑːɹˈɑːɹ"),
    ];
    for (word, want) in table {
        let got = phonemes(word);
        assert!(got.contains('ˈ'), "{word}: {got}");
        if word != "brrr" {
            assert_eq!(got, want, "{word}");
        }
    }
}

#[test]
fn the_lexicon_goes_first() {
    let phonemizer = Phonemizer::new().unwrap().with_lexicon(Lexicon::parse("the\tðˈiː\nTAO\ttˈaʊ").unwrap());
    assert_eq!(phonemizer.phonemize("the TAO").phonemes(), "ðˈiː tˈaʊ");
}

#[test]
fn given_phonemes_stay_and_strangers_among_them_are_reported() {
    let sentence = Phonemizer::new().unwrap().phonemize("say [[həlˈoʊ]], [[A1]]!");
    assert_eq!(sentence.phonemes(), "sˈeɪ həlˈoʊ!");
    assert_eq!(sentence.skipped.to_string(), "2 symbols skipped: '1' (U+0031), 'A' (U+0041)");
}

#[test]
fn what_cannot_be_said_is_reported() {
    let sentence = Phonemizer::new().unwrap().phonemize("你好 ☃☃ привет");
    assert!(sentence.is_silent());
    assert_eq!(sentence.skipped.count(), 10);
    assert!(sentence.skipped.to_string().contains("'☃' (U+2603) 2 times"), "{}", sentence.skipped);
    let mixed = Phonemizer::new().unwrap().phonemize("yes ☃ no");
    assert_eq!((mixed.words.len(), mixed.skipped.count()), (2, 1));
}

#[test]
fn a_number_of_300_digits_is_said_digit_by_digit() {
    let sentence = Phonemizer::new().unwrap().phonemize(&"7".repeat(300));
    assert_eq!(sentence.words.len(), 300);
}

#[test]
fn a_long_text_comes_sentence_by_sentence() {
    let text = "This is one sentence, number 5. ".repeat(2000);
    let phonemizer = Phonemizer::new().unwrap();
    let mut sentences = phonemizer.sentences(&text);
    assert_eq!(sentences.next().unwrap().range, 0..32);
    assert_eq!(sentences.count(), 1999);
}

/// Texts with what the readers look for.
fn texts() -> impl Strategy<Value = String> {
    proptest::string::string_regex(
        "([0-9]{1,4}|[$€£%°½/:.,+'()\\[\\]-]|\\[\\[|\\]\\]| |\n|Dr\\.|St\\.|Jan\\.|am|km|IV|FBI|'s|st|[a-zA-Z]{1,6}|\\PC){0,40}",
    )
    .unwrap()
}

proptest! {
    #[test]
    fn phonemes_are_the_voices_and_sentences_cover_the_text(text in texts()) {
        let phonemizer = Phonemizer::new().unwrap();
        let mut at = 0;
        for sentence in phonemizer.sentences(&text) {
            prop_assert_eq!(sentence.range.start, at);
            prop_assert!(sentence.range.end > at);
            at = sentence.range.end;
            for word in &sentence.words {
                prop_assert!(!word.phonemes.is_empty());
                prop_assert!(word.phonemes.chars().all(|c| c == ' ' || is_phoneme(c)), "{:?}", word);
                prop_assert!(sentence.range.start <= word.range.start && word.range.end <= sentence.range.end);
                prop_assert!(text.get(word.range.clone()).is_some(), "{:?}", word);
            }
            let says = text[sentence.range.clone()].chars().any(|c| c.is_ascii_alphanumeric());
            prop_assert!(!says || !sentence.is_silent() || !sentence.skipped.is_empty() || text.contains("[["), "{:?}", &text[sentence.range.clone()]);
        }
        prop_assert_eq!(at, text.len());
    }

    #[test]
    fn every_word_of_letters_is_said(word in "[a-z]{2,20}") {
        let said = phonemes(&word);
        prop_assert!(!said.is_empty());
        prop_assert_eq!(said.matches('ˈ').count() + usize::from(!said.contains('ˈ')), 1, "{}: {}", word, said);
    }
}

/// A vowel, diphthong or affricate is one phoneme, and so is a stress mark; spaces and punctuation are none.
fn units(phonemes: &str) -> Vec<String> {
    const LONG: [&str; 14] = ["tʃ", "dʒ", "aɪ", "aʊ", "eɪ", "oʊ", "ɔɪ", "ɑː", "ɔː", "oː", "ɜː", "iː", "uː", "n\u{329}"];
    let plain: String = phonemes.chars().filter(|c| !" ,.;:!?".contains(*c)).collect();
    let (mut units, mut rest) = (Vec::new(), plain.as_str());
    while let Some(first) = rest.chars().next() {
        let length = LONG.iter().find(|unit| rest.starts_with(**unit)).map_or(first.len_utf8(), |unit| unit.len());
        units.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    units
}

fn distance(a: &[String], b: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut before = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let next = (row[j + 1] + 1).min(row[j] + 1).min(before + usize::from(x != y));
            before = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

/// Per cent of phonemes that differ from espeak-ng's, on a sample of `tests/data/phonemes.json`.
fn error_rate(sample: &str) -> f64 {
    let data = include_str!("../../../../tests/data/phonemes.json");
    let data: BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(data).unwrap();
    let phonemizer = Phonemizer::new().unwrap();
    let (mut errors, mut total) = (0, 0);
    for (text, espeak) in &data[sample] {
        let reference = units(espeak);
        errors += distance(&reference, &units(&phonemizer.phonemize(text).phonemes()));
        total += reference.len();
    }
    let rate = 100.0 * errors as f64 / total as f64;
    eprintln!("{sample}: {rate:.2} % of {total} phonemes");
    rate
}

#[test]
fn words_are_close_to_espeaks() {
    let rate = error_rate("words");
    assert!(rate > 0.0 && rate <= 6.8, "{rate:.2} %");
}

#[test]
fn sentences_are_close_to_espeaks() {
    let rate = error_rate("sentences");
    assert!(rate > 0.0 && rate <= 3.0, "{rate:.2} %");
}
