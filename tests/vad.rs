//! Voice activity through its public API, against Silero's own results (`tests/data/vad_jfk.json`).
//!
//! Needs the model silero-vad: in the directory `VIOLET_TEST_MODELS`, else in the user's cache.

#![cfg(feature = "infer")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of a golden file")]

use std::path::{Path, PathBuf};

use serde_json::Value;
use violet::{
    Error,
    audio::{self, Limits},
    infer::{Vad, VadOptions, vad::VadState},
};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn vad() -> Vad {
    let models = std::env::var_os("VIOLET_TEST_MODELS").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/violet/models"),
        PathBuf::from,
    );
    let directory = models.join("silero-vad");
    assert!(
        directory.join("model.onnx").is_file(),
        "{}: no model here; fetch it with `violet models fetch silero-vad`, or set VIOLET_TEST_MODELS",
        directory.display()
    );
    Vad::load(&directory).unwrap()
}

fn jfk() -> Vec<f32> {
    audio::load(data("jfk.flac"), Some(16_000), &Limits::default()).unwrap().waveform.into_samples()
}

fn golden() -> Value {
    serde_json::from_str(&std::fs::read_to_string(data("vad_jfk.json")).unwrap()).unwrap()
}

fn assert_close(got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len());
    for (index, (got, want)) in got.iter().zip(want).enumerate() {
        assert!((got - want).abs() < tolerance, "chunk {index}: {got}, not {want}");
    }
}

#[test]
fn probabilities_are_those_of_the_original() {
    let want: Vec<f32> =
        golden()["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap() as f32).collect();
    assert_close(&vad().probabilities(&jfk()), &want, 1e-4);
}

#[test]
fn speech_is_where_the_original_finds_it() {
    let (vad, samples) = (vad(), jfk());
    for case in golden()["speech"].as_array().unwrap() {
        let given = &case["options"];
        let ms = |name: &str, default: u32| given[name].as_u64().map_or(default, |ms| ms as u32);
        let default = VadOptions::default();
        let options = VadOptions {
            threshold: given["threshold"].as_f64().map_or(default.threshold, |threshold| threshold as f32),
            min_speech_duration_ms: ms("min_speech_duration_ms", default.min_speech_duration_ms),
            min_silence_duration_ms: ms("min_silence_duration_ms", default.min_silence_duration_ms),
            speech_pad_ms: ms("speech_pad_ms", default.speech_pad_ms),
            max_speech_duration_s: given["max_speech_duration_s"].as_f64().unwrap_or(f64::INFINITY),
            ..default
        };
        let got: Vec<_> = vad.speech(&samples, &options).unwrap().iter().map(|s| vec![s.start, s.end]).collect();
        let want: Vec<Vec<usize>> = serde_json::from_value(case["spans"].clone()).unwrap();
        assert_eq!(got, want, "{given}");
    }
}

#[test]
fn a_stream_in_pieces_says_the_same_as_the_whole() {
    let (vad, samples) = (vad(), jfk());
    let whole = vad.probabilities(&samples);
    for piece in [1, 100, 511, 512, 513, 40_000] {
        let (mut state, mut pieces) = (VadState::default(), Vec::new());
        samples.chunks(piece).for_each(|piece| vad.push(&mut state, piece, &mut pieces));
        vad.finish(&mut state, &mut pieces);
        assert_close(&pieces, &whole, 1e-5);
    }
}

#[test]
fn silence_and_what_is_no_number_is_not_speech() {
    let vad = vad();
    for samples in [vec![0.0; 80_000], vec![f32::NAN; 80_000], vec![f32::INFINITY; 80_000], Vec::new(), vec![0.5]] {
        assert!(vad.speech(&samples, &VadOptions::default()).unwrap().is_empty());
        assert!(vad.probabilities(&samples).iter().all(|p| (0.0..0.5).contains(p)));
    }
}

#[test]
fn weights_of_something_else_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Vad::load(directory.path()), Err(Error::NotFound(_))));
    for (bytes, reason) in [(b"".as_slice(), "is missing; expected shape"), (b"not a model", "is not an ONNX model")] {
        std::fs::write(directory.path().join("model.onnx"), bytes).unwrap();
        let error = Vad::load(directory.path()).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
    }
}
