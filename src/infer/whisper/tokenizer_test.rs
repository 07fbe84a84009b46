//! The tokenizer with the files of real models, with small ones made here, and beside the `tokenizers` crate.

use std::{collections::BTreeMap, fs, path::PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::{
    models::bpe::{BPE, Vocab},
    pre_tokenizers::byte_level::ByteLevel,
};

use super::{model_test::model_directory, small_model::write_safetensors, tokenizer::Tokenizer};
use crate::{Error, infer::weights::Checkpoint};

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

/// Another implementation, with the published merges and the one that they lack.
fn peer(name: &str) -> tokenizers::Tokenizer {
    let text = fs::read_to_string(model_directory(name).join("tokenizer.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let mut merges: Vec<(String, String)> = json["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|merge| match merge.as_str() {
            Some(pair) => pair.split_once(' ').map(|(left, right)| (left.into(), right.into())).unwrap(),
            None => serde_json::from_value(merge.clone()).unwrap(),
        })
        .collect();
    if !merges.contains(&("Ġ".into(), "t".into())) {
        merges.insert(0, ("Ġ".into(), "t".into()));
    }
    let vocab: BTreeMap<String, u32> = serde_json::from_value(json["model"]["vocab"].clone()).unwrap();
    let model = BPE::builder().vocab_and_merges(vocab.into_iter().collect::<Vocab>(), merges).build().unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer
}

fn assert_equal_tokens(text: &str, ours: &Tokenizer, peer: &tokenizers::Tokenizer) {
    let expected = peer.encode_fast(text, false).unwrap().get_ids().to_vec();
    assert_eq!(ours.encode(text).unwrap(), expected, "{text:?}");
}

#[test]
fn tokens_equal_those_of_another_implementation() {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for name in ["tiny.en", "base"] {
        let (ours, peer) = (load(name), peer(name));
        for file in ["README.md", "Cargo.toml", "tests/data/normalized.json", "src/proxy/languages.rs"] {
            let text = fs::read_to_string(here.join(file)).unwrap();
            assert_equal_tokens(&text, &ours, &peer);
            text.lines().for_each(|line| assert_equal_tokens(line, &ours, &peer));
        }
        // Every token alone, and behind every other: the places where merges compete.
        let texts: Vec<String> = (0..50_256).map(|id| ours.decode(&[id])).collect();
        for pair in texts.windows(2) {
            assert_equal_tokens(&pair.concat(), &ours, &peer);
        }
    }
}

#[test]
fn a_long_word_is_encoded_in_time() {
    let tokenizer = load("tiny.en");
    let word = "ab".repeat(200_000);
    let started = std::time::Instant::now();
    assert_eq!(tokenizer.decode(&tokenizer.encode(&word).unwrap()), word);
    assert!(started.elapsed().as_secs_f64() < 20.0, "{:?}", started.elapsed());
}

#[test]
fn a_vocabulary_without_merges_gives_the_same_tokenizer() {
    // The English, the multilingual and large-v3's number of tokens.
    for (name, n_vocab, timestamp_begin, n_languages) in
        [("tiny.en", 51_864, 50_363, 99), ("base", 51_865, 50_364, 99), ("base", 51_866, 50_365, 100)]
    {
        let reference = load(name);
        let pieces: Vec<Vec<u8>> =
            (0..reference.special().end_of_text).map(|id| reference.piece(id).to_vec()).collect();
        let own = Tokenizer::new(
            super::vocabulary::Vocabulary::from_pieces(&pieces, n_vocab).unwrap(),
            &model_directory(name),
        )
        .unwrap();
        assert_eq!((own.special().timestamp_begin, own.languages().len()), (timestamp_begin, n_languages));
        assert_eq!(own.special().n_tokens() as usize, n_vocab);
        assert_eq!(own.non_speech_tokens().unwrap(), reference.non_speech_tokens().unwrap());
        if n_vocab < 51_866 {
            assert_eq!(own.special(), reference.special());
            // The code of Hebrew has changed since the English files were made.
            let differs = |(own, old): (&(String, u32), &(String, u32))| own != old && old.0 != "iw";
            assert!(!own.languages().iter().zip(reference.languages()).any(differs), "{name}");
        } else {
            assert_eq!(own.languages()[99], ("yue".to_owned(), 50_358));
        }
    }
    for n_vocab in [0, 51_000, 51_863, 51_867, usize::MAX] {
        super::vocabulary::Vocabulary::from_pieces(&[], n_vocab).unwrap_err();
    }
}

#[test]
fn a_tokenizer_with_more_tokens_than_the_model_is_refused() {
    let directory = write_small(None);
    write_safetensors(directory.path(), safetensors::Dtype::F16, 1);
    let checkpoint = Checkpoint::open(directory.path()).unwrap();
    let error = Tokenizer::of(&checkpoint, 50).unwrap_err().to_string();
    assert!(error.contains("50 tokens and its tokenizer 1767") && error.contains("different models"), "{error}");
    Tokenizer::of(&checkpoint, 1767).unwrap();
}

/// Where classes of characters meet: letters, marks, numbers, spaces of many kinds, signs, endings.
fn texts() -> impl Strategy<Value = String> {
    let parts = [
        " ",
        "  ",
        "\n",
        "\t",
        "\r\n",
        "\u{a0}",
        "\u{2003}",
        "\u{3000}",
        "'s",
        "'ll",
        "'T",
        "'",
        "a",
        "Zebra",
        "ß",
        "é",
        "e\u{301}",
        "Ω",
        "ж",
        "日本",
        "ひ",
        "한국",
        "ا",
        "ก็",
        "नमस्ते",
        "1",
        "42",
        "½",
        "Ⅷ",
        "٣",
        "²",
        ".",
        "...",
        "—",
        "♪",
        "🎙️",
        "👩‍💻",
        "\u{200d}",
        "\u{0}",
        "_",
        "$",
        "`",
        "the",
        "ing",
        "th",
    ];
    prop::collection::vec(prop::sample::select(parts.to_vec()), 0..24).prop_map(|parts| parts.concat())
}

#[test]
fn words_are_cut_as_the_expression_cuts_them() {
    for name in ["tiny.en", "base"] {
        let (ours, peer) = (load(name), peer(name));
        proptest!(ProptestConfig { cases: 2000, ..ProptestConfig::default() }, |(text in texts())| {
            let expected = peer.encode_fast(text.as_str(), false).unwrap().get_ids().to_vec();
            prop_assert_eq!(ours.encode(&text).unwrap(), expected, "{:?}", text);
        });
    }
}
