use proptest::prelude::*;

use super::*;

fn phonemes(text: &str) -> String {
    Phonemizer::new().unwrap().phonemize(text).phonemes()
}

#[test]
fn sentences_by_hand() {
    let table = [
        ("The quick brown fox jumps over the lazy dog.", "ðə kwˈɪk bɹˈaʊn fˈɑːks dʒˈʌmps ˌoʊvɚ ðə lˈeɪzi dˈɑːɡ."),
        ("the apple, the end of an hour", "ðɪ ˈæpəl, ðɪ ˈɛnd ʌv ɐn ˈaʊɚ"),
        ("A button and a bottle of water.", "ɐ bˈʌʔn̩ ænd ɐ bˈɑːɾəl ʌv wˈɔːɾɚ."),
        ("Water is wet.", "wˈɔːɾɚɹ ɪz wˈɛt."),
        ("Roses wanted", "ɹˈoʊzᵻz wˈɔntᵻd"),
        ("the FBI", "ðɪ ˌɛfbˌiːˈaɪ"),
        ("Café", "kæfˈeɪ"),
        ("", ""),
    ];
    for (text, want) in table {
        assert_eq!(phonemes(text), want, "{text}");
    }
}

#[test]
fn words_that_no_dictionary_has_are_said() {
    let table = [("catlike", "kˈætlaɪk"), ("doghouses", "dˈɑːɡhaʊsᵻz"), ("Wolfram's", "wˈʊlfɹəmz"), ("blorp", "blˈɔːɹp"), ("brrr", "bˌiːˌɑːɹˌɑːɹˈɑːɹ")];
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
    assert_eq!(sentence.phonemes(), "sˈeɪ həlˈoʊ,");
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
