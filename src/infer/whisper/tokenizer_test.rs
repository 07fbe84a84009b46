//! The tokenizer with the files of real models, and with small ones made here.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::{model_test::model_directory, tokenizer::Tokenizer};
use crate::Error;

fn load(name: &str) -> Tokenizer {
    Tokenizer::load(&model_directory(name)).unwrap()
}

#[test]
fn time_tokens_are_where_openais_are() {
    assert_eq!(load("tiny.en").special().timestamp_begin, 50_363);
    assert_eq!(load("tiny.en").special().n_tokens(), 51_864);
    assert_eq!(load("base").special().timestamp_begin, 50_364);
    assert_eq!(load("base").special().n_tokens(), 51_865);
}

#[test]
fn the_lost_merge_is_repaired() {
    for name in ["tiny.en", "base"] {
        let path = model_directory(name).join("tokenizer.json");
        let json: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        for word in [" t", " this", " the", " that", " country"] {
            let expected = json["model"]["vocab"][word.replace(' ', "Ġ")].as_u64().unwrap();
            let tokens = load(name).encode(word).unwrap();
            assert_eq!(
                tokens.iter().map(|&token| u64::from(token)).collect::<Vec<_>>(),
                [expected],
                "{name}: {word:?}"
            );
        }
    }
}

#[test]
fn any_text_survives_the_round_trip() {
    for name in ["tiny.en", "base"] {
        let tokenizer = load(name);
        for text in [
            "",
            " And so, my fellow Americans",
            "日本語 ひらがな",
            "naïve café — 12:30\n\ttab",
            "🎙️👩‍💻",
            "\u{0}\u{7f}",
            "<|endoftext|>",
        ] {
            let tokens = tokenizer.encode(text).unwrap();
            assert_eq!(tokenizer.decode(&tokens), text);
            assert!(
                tokens.iter().all(|&token| token < tokenizer.special().end_of_text),
                "{text:?} has a special token"
            );
        }
    }
}

#[test]
fn half_a_character_is_replaced_and_unknown_tokens_are_nothing() {
    let tokenizer = load("tiny.en");
    let tokens = tokenizer.encode("🎙").unwrap();
    assert!(tokens.len() > 1);
    assert!(tokenizer.decode(&tokens[..1]).contains('\u{fffd}'));
    assert_eq!(tokenizer.decode(&[50_363, 60_000, u32::MAX]), "");
}

#[test]
fn suppressed_tokens_are_those_that_openais_converter_wrote_down() {
    for name in ["tiny.en", "base"] {
        let tokenizer = load(name);
        let config = fs::read_to_string(model_directory(name).join("config.json")).unwrap();
        let config: Value = serde_json::from_str(&config).unwrap();
        let written: Vec<u32> = serde_json::from_value(config["suppress_ids"].clone()).unwrap();
        let end_of_text = tokenizer.special().end_of_text;
        let written: Vec<u32> = written.into_iter().filter(|&token| token < end_of_text).collect();
        assert_eq!(tokenizer.non_speech_tokens().unwrap(), written, "{name}");
    }
}

#[test]
fn base_knows_99_languages() {
    let tokenizer = load("base");
    let codes: Vec<&str> = tokenizer.languages().iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!((codes.len(), codes[0], codes[98]), (99, "en", "su"));
    assert!(codes.contains(&"haw") && codes.contains(&"jw"));
}

/// `vocab.json`, `merges.txt` and `added_tokens.json` of a tokenizer that knows bytes and "ab".
fn write_small(lost_token: Option<&str>) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| -> PathBuf { directory.path().join(name) };
    let printable = (b'!'..=b'~').chain(0xa1..=0xac).chain(0xae..=0xff).map(char::from);
    let mut vocab: Vec<String> = printable.chain('\u{100}'..='\u{143}').map(String::from).collect();
    vocab.push("ab".into());
    let specials = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        "<|en|>",
        "<|de|>",
        "<|translate|>",
        "<|transcribe|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ];
    let kept = specials.iter().enumerate().filter(|(_, name)| Some(**name) != lost_token);
    let added: serde_json::Map<String, Value> =
        kept.map(|(index, name)| ((*name).to_owned(), json!(vocab.len() + index))).collect();
    let vocab: serde_json::Map<String, Value> =
        vocab.into_iter().enumerate().map(|(id, token)| (token, json!(id))).collect();
    fs::write(path("vocab.json"), Value::Object(vocab).to_string()).unwrap();
    fs::write(path("merges.txt"), "#version: 0.2\na b\n").unwrap();
    fs::write(path("added_tokens.json"), Value::Object(added).to_string()).unwrap();
    directory
}

#[test]
fn a_vocabulary_with_merges_and_added_tokens_is_read() {
    let directory = write_small(None);
    let tokenizer = Tokenizer::load(directory.path()).unwrap();
    assert_eq!(tokenizer.encode("cab").unwrap(), [u32::from(b'c' - b'!'), 256]);
    assert_eq!(tokenizer.decode(&[256, 256]), "abab");
    assert_eq!(tokenizer.languages(), [("en".to_owned(), 259), ("de".to_owned(), 260)]);
    assert_eq!(tokenizer.special().timestamp_begin, 266);
}

#[test]
fn a_missing_special_token_or_file_is_named() {
    let directory = write_small(Some("<|transcribe|>"));
    let error = Tokenizer::load(directory.path()).unwrap_err();
    assert!(matches!(&error, Error::Weights { reason, .. } if reason.contains("<|transcribe|>")), "{error}");
    fs::write(directory.path().join("tokenizer.json"), "{").unwrap();
    assert!(matches!(Tokenizer::load(directory.path()), Err(Error::Weights { .. })));
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Tokenizer::load(empty.path()), Err(Error::NotFound(_))));
}
