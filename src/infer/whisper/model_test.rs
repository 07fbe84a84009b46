//! The network itself: against openai-whisper's values, against itself without a cache, and the same from both formats.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor};
use safetensors::Dtype;

use super::{
    model::Whisper,
    small_model::{Stored, write_ctranslate2, write_safetensors},
};
use crate::{
    Error,
    audio::{self, Limits, mel::N_SAMPLES},
    infer::weights::Checkpoint,
};

pub(super) fn model_directory(name: &str) -> PathBuf {
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

fn load(directory: &Path) -> Whisper {
    Whisper::load(&Checkpoint::open(directory).unwrap(), &Device::Cpu).unwrap()
}

#[test]
fn encoder_values_equal_openais() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let golden: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(data.join("whisper_jfk.json")).unwrap()).unwrap();
    let mut samples =
        audio::load(data.join("jfk.flac"), Some(16_000), &Limits::default()).unwrap().waveform.into_samples();
    samples.resize(N_SAMPLES, 0.0);
    for name in ["tiny.en", "base"] {
        let model = load(&model_directory(name));
        let mel = audio::log_mel(&samples, model.dimensions().n_mels, 0).unwrap();
        let shape = (1, mel.nrows(), mel.ncols());
        let mel = Tensor::from_iter(mel.iter().copied(), &Device::Cpu).unwrap().reshape(shape).unwrap();
        let features = model.encode(&mel).unwrap();
        let expected =
            golden[format!("{name} encoder output, first 8 values of frames 0, 100, 500")].as_array().unwrap();
        for (frame, expected) in [0, 100, 500].into_iter().zip(expected) {
            let got = features.get(0).unwrap().get(frame).unwrap().narrow(0, 0, 8).unwrap().to_vec1::<f32>().unwrap();
            let expected: Vec<f32> = serde_json::from_value(expected.clone()).unwrap();
            for (got, expected) in got.iter().zip(&expected) {
                assert!((got - expected).abs() < 1e-3, "{name}, frame {frame}: {got} and {expected}");
            }
        }
    }
}

/// Writes a model into a directory.
type Write = fn(&Path);

/// Scores after each of the tokens, and features, for a fixed input.
fn outputs(model: &Whisper) -> (Tensor, Tensor) {
    let mel = Tensor::arange(0_f32, (8 * 40) as f32, &Device::Cpu).unwrap().sin().unwrap().reshape((1, 8, 40)).unwrap();
    let features = model.encode(&mel).unwrap();
    let mut cache = model.new_cache(1).unwrap();
    let cross = model.cross(&features).unwrap();
    (model.decode(&[1, 2, 3, 4, 5], &[0, 1, 2, 3, 4], &cross, &mut cache).unwrap(), features)
}

fn difference(a: &Tensor, b: &Tensor) -> f32 {
    (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
}

#[test]
fn every_format_gives_the_same_model() {
    let directory = tempfile::tempdir().unwrap();
    write_safetensors(directory.path(), Dtype::F32, 1);
    let (expected, _) = outputs(&load(directory.path()));
    let spread = difference(&expected, &expected.zeros_like().unwrap());
    assert!(spread > 0.1, "the scores are all alike: {spread}");
    let formats: [(&str, Write, f32); 6] = [
        ("safetensors f16", |path| write_safetensors(path, Dtype::F16, 1), 0.0),
        ("safetensors bf16", |path| write_safetensors(path, Dtype::BF16, 1), 0.05),
        ("safetensors in three files", |path| write_safetensors(path, Dtype::F32, 3), 0.0),
        ("CTranslate2 f32", |path| write_ctranslate2(path, Stored::F32), 0.0),
        ("CTranslate2 f16", |path| write_ctranslate2(path, Stored::F16), 0.0),
        ("CTranslate2 int8", |path| write_ctranslate2(path, Stored::I8), 0.05),
    ];
    for (name, write, tolerance) in formats {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path());
        let (got, _) = outputs(&load(directory.path()));
        assert!(difference(&got, &expected) <= tolerance, "{name} differs by {}", difference(&got, &expected));
    }
}

#[test]
fn cached_decoding_equals_decoding_all_at_once() {
    let directory = tempfile::tempdir().unwrap();
    write_safetensors(directory.path(), Dtype::F32, 1);
    let model = load(directory.path());
    let (at_once, features) = outputs(&model);
    let cross = model.cross(&features).unwrap();
    let mut cache = model.new_cache(1).unwrap();
    let first = model.decode(&[1, 2], &[0, 1], &cross, &mut cache).unwrap();
    assert!(difference(&first, &at_once.narrow(1, 0, 2).unwrap()) < 1e-5);
    for (index, token) in [3, 4, 5].into_iter().enumerate() {
        let scores = model.decode(&[token], &[0], &cross, &mut cache).unwrap();
        assert!(difference(&scores, &at_once.narrow(1, index + 2, 1).unwrap()) < 1e-5);
    }
    cache.clear();
    let again = model.decode(&[1, 2, 3, 4, 5], &[4], &cross, &mut cache).unwrap();
    assert!(difference(&again, &at_once.narrow(1, 4, 1).unwrap()) < 1e-5);
}

#[test]
fn rows_of_a_cache_are_independent_and_can_be_reordered() {
    let directory = tempfile::tempdir().unwrap();
    write_safetensors(directory.path(), Dtype::F32, 1);
    let model = load(directory.path());
    let (_, features) = outputs(&model);
    let cross = model.cross(&features).unwrap();
    let alone = |tokens: &[u32]| {
        let mut cache = model.new_cache(1).unwrap();
        model.decode(tokens, &[tokens.len() - 1], &cross, &mut cache).unwrap()
    };
    let mut cache = model.new_cache(2).unwrap();
    model.decode(&[1, 2, 7, 8], &[1], &cross, &mut cache).unwrap();
    let mut swapped = cache.select(&[1, 0, 1]).unwrap();
    let scores = model.decode(&[9, 3, 4], &[0], &cross, &mut swapped).unwrap();
    for (row, tokens) in [[7, 8, 9], [1, 2, 3], [7, 8, 4]].iter().enumerate() {
        assert!(difference(&scores.narrow(0, row, 1).unwrap(), &alone(tokens)) < 1e-5, "row {row}");
    }
}

#[test]
fn more_tokens_than_positions_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    write_safetensors(directory.path(), Dtype::F32, 1);
    let model = load(directory.path());
    let (_, features) = outputs(&model);
    let cross = model.cross(&features).unwrap();
    let mut cache = model.new_cache(1).unwrap();
    assert!(matches!(model.decode(&[0; 17], &[16], &cross, &mut cache), Err(Error::Model { .. })));
}

/// Loads a model of which one file is replaced by other bytes.
fn load_damaged(directory: &Path, file: &str, bytes: &[u8]) -> Result<(), Error> {
    fs::write(directory.join(file), bytes).unwrap();
    Whisper::load(&Checkpoint::open(directory)?, &Device::Cpu).map(|_| ())
}

#[test]
fn truncated_files_are_errors_at_every_length() {
    let formats: [(&str, Write); 2] = [
        ("model.bin", |path| write_ctranslate2(path, Stored::I8)),
        ("model.safetensors", |path| write_safetensors(path, Dtype::F32, 1)),
    ];
    for (file, write) in formats {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path());
        let bytes = fs::read(directory.path().join(file)).unwrap();
        for len in (0..300).chain((300..bytes.len()).step_by(997)).chain([bytes.len() - 1]) {
            let error = load_damaged(directory.path(), file, &bytes[..len]).unwrap_err();
            assert!(matches!(&error, Error::Weights { path, .. } if path.ends_with(file)), "{len} bytes: {error}");
        }
    }
}

#[test]
fn flipped_bits_never_panic() {
    let formats: [(&str, Write); 2] = [
        ("model.bin", |path| write_ctranslate2(path, Stored::F16)),
        ("model.safetensors", |path| write_safetensors(path, Dtype::F16, 1)),
    ];
    for (file, write) in formats {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path());
        let bytes = fs::read(directory.path().join(file)).unwrap();
        let mut n_refused = 0;
        for index in (0..600).chain((600..bytes.len()).step_by(1009)) {
            let mut damaged = bytes.clone();
            damaged[index] ^= 1 << (index % 8);
            match load_damaged(directory.path(), file, &damaged) {
                Ok(()) => {}
                Err(Error::Weights { .. } | Error::Unsupported(_)) => n_refused += 1,
                Err(other) => panic!("byte {index} of {file}: {other}"),
            }
        }
        assert!(n_refused > 100, "only {n_refused} damages of {file} were noticed");
    }
}

#[test]
fn damage_is_named() {
    let directory = tempfile::tempdir().unwrap();
    write_ctranslate2(directory.path(), Stored::F32);
    let bytes = fs::read(directory.path().join("model.bin")).unwrap();
    let message = load_damaged(directory.path(), "model.bin", &bytes[..bytes.len() / 2]).unwrap_err().to_string();
    assert!(message.contains("model.bin") && message.contains("layer_"), "{message}");
    let message = load_damaged(directory.path(), "model.bin", b"<!DOCTYPE html><html></html>").unwrap_err().to_string();
    assert!(message.contains("not a model.bin"), "{message}");
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Checkpoint::open(empty.path()), Err(Error::NotFound(_))));
}
