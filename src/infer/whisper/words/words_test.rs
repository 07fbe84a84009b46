//! Word times and word splitting against openai-whisper's own.

use std::{fs, path::Path};

use crate::infer::device::Device;
use serde_json::Value;

use super::{
    super::{config::Dimensions, model_test::model_directory},
    *,
};
use crate::{
    audio::{
        self, Limits,
        mel::{HOP_LENGTH, N_FRAMES, N_SAMPLES},
    },
    infer::{compute_type::ComputeType, weights::Checkpoint},
    text::transcript::Word,
};

fn data(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// A segment as the decoder gives it, before words move its ends.
fn decoded(golden: &Value, timestamp_begin: u32) -> Segment {
    let tokens: Vec<u32> = serde_json::from_value(golden["tokens"].clone()).unwrap();
    let at = |token: Option<&u32>| f64::from(token.unwrap() - timestamp_begin) * POSITION_S;
    Segment { start: at(tokens.first()), end: at(tokens.last()), tokens, ..Segment::default() }
}

#[test]
fn times_and_probabilities_of_words_are_openais() {
    let golden = data("whisper_jfk.json");
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/jfk.flac");
    let samples = audio::load(clip, Some(16_000), &Limits::default()).unwrap().waveform.into_samples();
    for (name, start) in [("tiny.en", &[50_257_u32][..]), ("base", &[50_258, 50_259, 50_359])] {
        let directory = model_directory(name);
        let checkpoint = Checkpoint::open(&directory).unwrap();
        let model = Whisper::load(&checkpoint, &Device::Cpu, ComputeType::Float32).unwrap();
        let tokenizer = Tokenizer::load(&directory).unwrap();
        let mel = audio::log_mel(&samples, 80, N_SAMPLES).unwrap();
        // As transcribe.py pads: with zeros behind the features of the audio.
        let n_frames = samples.len() / HOP_LENGTH;
        let mel: Vec<f32> = mel
            .rows()
            .into_iter()
            .flat_map(|row| (0..N_FRAMES).map(move |frame| if frame < n_frames { row[frame] } else { 0.0 }))
            .collect();
        let audio = model.encode(&[&mel], N_FRAMES).unwrap().swap_remove(0);
        let heads = alignment_heads(&checkpoint, &Dimensions::of(&checkpoint).unwrap());
        let aligner = Aligner {
            model: &model,
            tokenizer: &tokenizer,
            heads: &heads,
            late_s: None,
            start,
            language: "en",
            prepended: PREPENDED,
            appended: APPENDED,
            mel: None,
        };
        for search in ["beam 1", "beam 5"] {
            let expected = golden[format!("{name} {search}")]["segments"].as_array().unwrap();
            let begin = tokenizer.special().timestamp_begin;
            let mut segments: Vec<Segment> = expected.iter().map(|segment| decoded(segment, begin)).collect();
            aligner.add(&mut segments, &audio, n_frames, 0.0).unwrap();
            assert!(!segments.is_empty());
            for (got, expected) in segments.iter().zip(expected) {
                let what = format!("{name} {search}: {got:?} and {expected}");
                let words: Vec<Word> = serde_json::from_value(expected["words"].clone()).unwrap();
                assert_eq!(got.words.len(), words.len(), "{what}");
                for (got, expected) in got.words.iter().zip(&words) {
                    assert_eq!(got.word, expected.word, "{what}");
                    assert!((got.start - expected.start).abs() < 0.021, "{what}");
                    assert!((got.end - expected.end).abs() < 0.021, "{what}");
                    assert!((got.probability - expected.probability).abs() < 2e-3, "{what}");
                }
                assert!((got.start - expected["start"].as_f64().unwrap()).abs() < 0.021, "{what}");
                assert!((got.end - expected["end"].as_f64().unwrap()).abs() < 0.021, "{what}");
            }
            // With the features, the pause before "ask" is in no word: there it is quiet from 2.4 s to 3.3 s.
            Aligner { mel: Some(&mel), ..aligner }.add(&mut segments, &audio, n_frames, 0.0).unwrap();
            let mut words = segments.iter().flat_map(|segment| &segment.words);
            let ask = words.find(|word| word.word.trim() == "ask").unwrap();
            assert!((3.1..3.6).contains(&ask.start), "{name} {search}: {ask:?}");
            drop(segments);
            // As they are placed by default: after both pauses, and in order.
            let mut segments: Vec<Segment> = expected.iter().map(|segment| decoded(segment, begin)).collect();
            let Listeners { heads, late_s } = model.listeners();
            assert!(late_s.is_some());
            let aligner = Aligner { heads, late_s: *late_s, mel: Some(&mel), ..aligner };
            aligner.add(&mut segments, &audio, n_frames, 0.0).unwrap();
            let words: Vec<Word> = segments.into_iter().flat_map(|segment| segment.words).collect();
            assert_eq!(words.len(), 22);
            let text = |word: &Word| word.word.trim().trim_matches(',').to_lowercase();
            let start = |text_: &str| words.iter().find(|word| text(word) == text_).unwrap().start;
            assert!((3.1..3.7).contains(&start("ask")), "{name} {search}: {words:?}");
            assert!((5.2..5.6).contains(&start("what")), "{name} {search}: {words:?}");
            assert!(words.iter().all(|word| word.start <= word.end && word.end <= 11.0), "{words:?}");
            assert!(words.windows(2).all(|pair| pair[0].end <= pair[1].start), "{words:?}");
        }
    }
}

#[test]
fn words_are_split_as_openais_are() {
    let golden = data("word_splits.json");
    for name in ["tiny.en", "base"] {
        let tokenizer = Tokenizer::load(&model_directory(name)).unwrap();
        let cases = golden[name].as_array().unwrap();
        assert!(cases.len() > 10);
        for case in cases {
            let (language, tokens, expected): (String, Vec<u32>, Vec<(String, usize)>) =
                serde_json::from_value(case.clone()).unwrap();
            assert_eq!(split::words(&tokenizer, &tokens, &language), expected, "{name} {language}");
            assert_eq!(expected.iter().map(|(_, n)| n).sum::<usize>(), tokens.len());
        }
    }
}

#[test]
fn half_a_character_is_a_word_and_loses_no_token() {
    let tokenizer = Tokenizer::load(&model_directory("base")).unwrap();
    let whole = tokenizer.encode(" 🦩").unwrap();
    assert!(whole.len() > 2, "{whole:?}");
    let cut = &whole[..whole.len() - 1];
    let words = split::words(&tokenizer, cut, "ja");
    assert_eq!(words.iter().map(|(_, n)| n).sum::<usize>(), cut.len());
    assert!(words.iter().any(|(word, _)| word.contains('\u{fffd}')));
    assert!(split::words(&tokenizer, &[], "en").is_empty());
}

#[test]
fn the_last_end_is_that_of_the_last_word_or_segment() {
    let word = |end| Word { end, ..Word::default() };
    let with = Segment { end: 2.0, words: vec![word(1.0), word(1.5)], ..Segment::default() };
    let without = Segment { end: 4.0, ..Segment::default() };
    assert_eq!(last_end(&[]), None);
    assert_eq!(last_end(std::slice::from_ref(&without)), Some(4.0));
    assert_eq!(last_end(&[with, without]), Some(1.5));
}
