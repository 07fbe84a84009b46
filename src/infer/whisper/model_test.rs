//! The network itself: against openai-whisper's values, against itself without a cache, and the same from both formats.

use std::{
    fs,
    path::{Path, PathBuf},
};

use candle_core::Tensor;
use safetensors::Dtype;

use super::{
    choice::Answer,
    model::{Audio, Cache, Step, Whisper},
    small_model::{Stored, write_ctranslate2, write_safetensors},
    tensor,
};
use crate::{
    Error,
    audio::{self, Limits, mel::N_SAMPLES},
    infer::{compute_type::ComputeType, device::Device, weights::Checkpoint},
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
    Whisper::load(&Checkpoint::open(directory).unwrap(), &Device::Cpu, ComputeType::Float32).unwrap()
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
        let checkpoint = Checkpoint::open(&model_directory(name)).unwrap();
        let model = tensor::Model::load(&checkpoint, &candle_core::Device::Cpu).unwrap();
        let mel = audio::log_mel(&samples, 80, 0).unwrap();
        let shape = (1, mel.nrows(), mel.ncols());
        let mel = Tensor::from_iter(mel.iter().copied(), &candle_core::Device::Cpu).unwrap().reshape(shape).unwrap();
        let features = model.features(&mel).unwrap();
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

const N_VOCAB: usize = 50;
const N_FRAMES: usize = 40;

/// A fixed input.
fn hear(model: &Whisper) -> Audio {
    let mel: Vec<f32> = (0..8 * N_FRAMES).map(|n| (n as f32).sin()).collect();
    model.encode(&[&mel], N_FRAMES).unwrap().swap_remove(0)
}

fn feed(model: &Whisper, cache: &mut Cache, tokens: &[u32], wanted: &[usize]) -> Vec<f32> {
    model.decode(&mut [Step { cache, tokens, wanted, choices: None }]).unwrap().remove(0).scores()
}

/// Scores after each of the tokens.
fn outputs(model: &Whisper) -> Vec<f32> {
    feed(model, &mut model.new_cache(&hear(model), 1).unwrap(), &[1, 2, 3, 4, 5], &[0, 1, 2, 3, 4])
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn small_model() -> Whisper {
    let directory = tempfile::tempdir().unwrap();
    write_safetensors(directory.path(), Dtype::F32, 1);
    load(directory.path())
}

#[test]
fn every_format_gives_the_same_model() {
    let directory = tempfile::tempdir().unwrap();
    write_safetensors(directory.path(), Dtype::F32, 1);
    let expected = outputs(&load(directory.path()));
    let spread = difference(&expected, &vec![0.0; expected.len()]);
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
        let got = outputs(&load(directory.path()));
        assert!(difference(&got, &expected) <= tolerance, "{name} differs by {}", difference(&got, &expected));
    }
}

#[test]
fn cached_decoding_equals_decoding_all_at_once() {
    let model = small_model();
    let at_once = outputs(&model);
    let mut cache = model.new_cache(&hear(&model), 1).unwrap();
    let first = feed(&model, &mut cache, &[1, 2], &[0, 1]);
    assert!(difference(&first, &at_once[..2 * N_VOCAB]) < 1e-5);
    for (expected, token) in at_once[2 * N_VOCAB..].chunks(N_VOCAB).zip([3, 4, 5]) {
        assert!(difference(&feed(&model, &mut cache, &[token], &[0]), expected) < 1e-5);
    }
    assert_eq!((cache.len(), cache.n_rows()), (5, 1));
    cache.clear();
    assert!(difference(&feed(&model, &mut cache, &[1, 2, 3, 4, 5], &[4]), &at_once[4 * N_VOCAB..]) < 1e-5);
}

#[test]
fn rows_of_a_cache_are_independent_and_can_be_reordered() {
    let model = small_model();
    let audio = hear(&model);
    let alone = |tokens: &[u32]| feed(&model, &mut model.new_cache(&audio, 1).unwrap(), tokens, &[tokens.len() - 1]);
    let mut cache = model.new_cache(&audio, 2).unwrap();
    feed(&model, &mut cache, &[1, 2, 7, 8], &[1]);
    cache.select(&[1, 0, 1]).unwrap();
    let scores = feed(&model, &mut cache, &[9, 3, 4], &[0]);
    for (scores, tokens) in scores.chunks(N_VOCAB).zip([[7, 8, 9], [1, 2, 3], [7, 8, 4]]) {
        assert!(difference(scores, &alone(&tokens)) < 1e-5, "{tokens:?}");
    }
    cache.select(&[2]).unwrap();
    assert!(difference(&feed(&model, &mut cache, &[5], &[0]), &alone(&[7, 8, 4, 5])) < 1e-5);
    assert!(cache.select(&[1]).is_err());
}

#[test]
fn steps_of_one_call_are_independent() {
    let model = small_model();
    let louder: Vec<f32> = (0..8 * N_FRAMES).map(|n| 2.0 * (n as f32).cos()).collect();
    let quiet = vec![0.1; 8 * N_FRAMES];
    let both = model.encode(&[&louder, &quiet], N_FRAMES).unwrap();
    let alone = model.encode(&[&quiet], N_FRAMES).unwrap();
    let expected = feed(&model, &mut model.new_cache(&alone[0], 1).unwrap(), &[4, 5], &[1]);
    let (mut first, mut second) = (model.new_cache(&both[0], 2).unwrap(), model.new_cache(&both[1], 1).unwrap());
    let mut steps = [
        Step { cache: &mut first, tokens: &[1, 2, 3, 4, 5, 6], wanted: &[2], choices: None },
        Step { cache: &mut second, tokens: &[4, 5], wanted: &[0, 1], choices: None },
    ];
    let scores: Vec<Vec<f32>> = model.decode(&mut steps).unwrap().into_iter().map(Answer::scores).collect();
    assert_eq!(scores.iter().map(Vec::len).collect::<Vec<_>>(), [2 * N_VOCAB, 2 * N_VOCAB]);
    assert!(difference(&scores[1][N_VOCAB..], &expected) < 1e-5);
    assert!(difference(&scores[0][..N_VOCAB], &expected) > 1e-3);
}

#[test]
fn shorter_windows_have_fewer_positions() {
    let model = small_model();
    let mel = vec![0.5; 8 * 30];
    let audio = model.encode(&[&mel], 30).unwrap().swap_remove(0);
    assert_eq!((audio.n_positions(), hear(&model).n_positions()), (15, 20));
    assert!(feed(&model, &mut model.new_cache(&audio, 1).unwrap(), &[1], &[0]).iter().all(|score| score.is_finite()));
    for (n_values, n_frames) in [(8 * 42, 42), (8 * 31, 31), (0, 0), (8 * 30 - 1, 30)] {
        let error = model.encode(&[&vec![0.0; n_values]], n_frames).unwrap_err();
        assert!(matches!(error, Error::InvalidInput(_)), "{error}");
    }
}

#[test]
fn alignment_has_the_scores_of_decoding_and_attention_that_weighs_the_audio() {
    let model = small_model();
    let audio = hear(&model);
    let tokens = [1, 2, 3, 4, 5];
    let heads = [(1, 3), (0, 0), (1, 0)];
    let alignment = model.align(&audio, &tokens, &heads).unwrap();
    assert!(difference(&alignment.logits, &outputs(&model)) < 1e-5);
    let n_positions = audio.n_positions();
    assert_eq!(alignment.scores.len(), heads.len() * tokens.len() * n_positions);
    let one = model.align(&audio, &tokens, &[(0, 0)]).unwrap();
    assert!(
        difference(&one.scores, &alignment.scores[tokens.len() * n_positions..][..tokens.len() * n_positions]) < 1e-6
    );
    let spread = |scores: &[f32]| {
        scores.iter().copied().fold(f32::MIN, f32::max) - scores.iter().copied().fold(f32::MAX, f32::min)
    };
    assert!(alignment.scores.chunks(n_positions).all(|scores| spread(scores) > 1e-4));
    assert!(matches!(model.align(&audio, &tokens, &[(2, 0)]), Err(Error::InvalidInput(_))));
}

#[test]
fn more_tokens_than_positions_is_an_error() {
    let model = small_model();
    let mut cache = model.new_cache(&hear(&model), 1).unwrap();
    let step = Step { cache: &mut cache, tokens: &[0; 17], wanted: &[16], choices: None };
    assert!(matches!(model.decode(&mut [step]), Err(Error::InvalidInput(_))));
}

/// Loads a model of which one file is replaced by other bytes.
fn load_damaged(directory: &Path, file: &str, bytes: &[u8]) -> Result<(), Error> {
    fs::write(directory.join(file), bytes).unwrap();
    Whisper::load(&Checkpoint::open(directory)?, &Device::Cpu, ComputeType::Float32).map(|_| ())
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
