//! Whisper through its public API, against openai-whisper's own results with the same weights (`tests/data/whisper_jfk.json`,
//! made by openai-whisper 20250625 as its `options` member says).
//!
//! Needs the models tiny.en and base: in the directory `VIOLET_TEST_MODELS`, else in the user's cache.

#![cfg(feature = "infer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde_json::Value;
use violet::{
    Error,
    audio::{self, Limits},
    infer::{Options, Progress, Transcriber},
    text::transcript::Transcript,
};

const JFK: &str =
    "And so my fellow Americans ask not what your country can do for you ask what you can do for your country";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn model_directory(name: &str) -> PathBuf {
    let models = std::env::var_os("VIOLET_TEST_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/violet/models"),
        PathBuf::from,
    );
    let directory = models.join(name);
    assert!(
        directory.join("model.bin").is_file(),
        "{}: no model here; fetch it with `violet models fetch tiny.en base`, or set VIOLET_TEST_MODELS to the directory of both",
        directory.display()
    );
    directory
}

fn tiny() -> &'static Transcriber {
    static MODEL: OnceLock<Transcriber> = OnceLock::new();
    MODEL.get_or_init(|| Transcriber::load(&model_directory("tiny.en"), "cpu", None).unwrap())
}

fn base() -> &'static Transcriber {
    static MODEL: OnceLock<Transcriber> = OnceLock::new();
    MODEL.get_or_init(|| Transcriber::load(&model_directory("base"), "cpu", None).unwrap())
}

fn jfk() -> Vec<f32> {
    audio::load(data("jfk.flac"), Some(16_000), &Limits::default()).unwrap().waveform.into_samples()
}

fn golden(name: &str) -> Value {
    let text = std::fs::read_to_string(data("whisper_jfk.json")).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()[name].clone()
}

fn transcribe(model: &Transcriber, samples: &[f32], options: &Options) -> Transcript {
    let transcript = model.transcribe(samples, options, &mut |_| ControlFlow::Continue(())).unwrap();
    transcript.check().unwrap();
    transcript
}

fn words(text: &str) -> Vec<String> {
    let kept = text.chars().filter(|c| c.is_alphanumeric() || c.is_whitespace());
    kept.collect::<String>().to_lowercase().split_whitespace().map(str::to_owned).collect()
}

/// Tokens are equal, times too, and the decoder's account of itself is close.
fn assert_equals_golden(got: &Transcript, golden: &Value, time_begin: u32) {
    assert_eq!(got.text, golden["text"].as_str().unwrap().trim());
    assert_eq!(got.language, golden["language"].as_str().unwrap());
    let segments = golden["segments"].as_array().unwrap();
    assert_eq!(got.segments.len(), segments.len());
    for (got, expected) in got.segments.iter().zip(segments) {
        let number = |name: &str| expected[name].as_f64().unwrap();
        let tokens: Vec<u32> = serde_json::from_value(expected["tokens"].clone()).unwrap();
        assert_eq!(got.tokens, tokens);
        assert_eq!(got.text, expected["text"].as_str().unwrap());
        // The golden times are those of the words; the time tokens around a segment are 0.02 s each.
        let time = |token: Option<&u32>| f64::from(token.unwrap() - time_begin) * 0.02;
        assert!((got.start - time(tokens.first())).abs() < 1e-9 && (got.end - time(tokens.last())).abs() < 1e-9);
        for (name, got, tolerance) in [
            ("avg_logprob", f64::from(got.avg_logprob), 1e-2),
            ("no_speech_prob", got.no_speech_prob.into(), 1e-2),
            ("compression_ratio", got.compression_ratio.into(), 1e-6),
            ("temperature", got.temperature.into(), 0.0),
        ] {
            assert!((got - number(name)).abs() <= tolerance, "{name}: {got}; expected {}", number(name));
        }
        assert_eq!(got.seek as u64, expected["seek"].as_u64().unwrap());
    }
}

#[test]
fn greedy_tokens_of_tiny_en_equal_openais() {
    assert_equals_golden(&transcribe(tiny(), &jfk(), &Options::default()), &golden("tiny.en beam 1"), 50_363);
}

#[test]
fn greedy_tokens_of_base_equal_openais() {
    assert_equals_golden(&transcribe(base(), &jfk(), &Options::default()), &golden("base beam 1"), 50_364);
}

#[test]
fn beam_search_of_tiny_en_equals_openais() {
    let options = Options { beam_size: 5, ..Options::default() };
    assert_equals_golden(&transcribe(tiny(), &jfk(), &options), &golden("tiny.en beam 5"), 50_363);
}

#[test]
fn beam_search_of_base_equals_openais() {
    let options = Options { beam_size: 5, ..Options::default() };
    assert_equals_golden(&transcribe(base(), &jfk(), &options), &golden("base beam 5"), 50_364);
}
