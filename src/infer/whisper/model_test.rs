//! The network itself: against openai-whisper's values, against itself without a cache, and the same from both formats.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use candle_core::{Device, Tensor};
use rand::{Rng, SeedableRng, rngs::StdRng};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

use super::model::Whisper;
use crate::{
    Error,
    audio::{self, Limits, mel::N_SAMPLES},
    infer::weights::Checkpoint,
};

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

const WIDTH: usize = 32;
const N_VOCAB: usize = 50;
const N_LAYERS: usize = 2;

/// Random weights of a small model under Hugging Face's names, with values that f16 holds exactly.
fn random_weights() -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut rng = StdRng::seed_from_u64(3);
    let mut weights = BTreeMap::new();
    let mut add = |name: String, shape: &[usize]| {
        let n: usize = shape.iter().product();
        let values = (0..n).map(|_| f32::from(rng.random_range(-256_i16..=256)) / 1024.0).collect();
        weights.insert(name, (shape.to_vec(), values));
    };
    for (side, n_positions) in [("encoder", 20), ("decoder", 16)] {
        add(format!("{side}.embed_positions.weight"), &[n_positions, WIDTH]);
        add(format!("{side}.layer_norm.weight"), &[WIDTH]);
        add(format!("{side}.layer_norm.bias"), &[WIDTH]);
        for layer in 0..N_LAYERS {
            let prefix = format!("{side}.layers.{layer}");
            let attentions: &[&str] = if side == "encoder" { &["self_attn"] } else { &["self_attn", "encoder_attn"] };
            for attention in attentions {
                add(format!("{prefix}.{attention}_layer_norm.weight"), &[WIDTH]);
                add(format!("{prefix}.{attention}_layer_norm.bias"), &[WIDTH]);
                for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                    add(format!("{prefix}.{attention}.{part}.weight"), &[WIDTH, WIDTH]);
                    if part != "k_proj" {
                        add(format!("{prefix}.{attention}.{part}.bias"), &[WIDTH]);
                    }
                }
            }
            for (name, shape) in
                [("final_layer_norm", vec![WIDTH]), ("fc1", vec![2 * WIDTH, WIDTH]), ("fc2", vec![WIDTH, 2 * WIDTH])]
            {
                add(format!("{prefix}.{name}.weight"), &shape);
                add(format!("{prefix}.{name}.bias"), &shape[..1]);
            }
        }
    }
    add("decoder.embed_tokens.weight".into(), &[N_VOCAB, WIDTH]);
    for (name, n_inputs) in [("conv1", 8), ("conv2", WIDTH)] {
        add(format!("encoder.{name}.weight"), &[WIDTH, n_inputs, 3]);
        add(format!("encoder.{name}.bias"), &[WIDTH]);
    }
    weights
}

fn write_config(directory: &Path) {
    let config = json!({"encoder_attention_heads": 4, "decoder_attention_heads": 4});
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
}

/// Hugging Face's format, in one file or, with `n_shards` above 1, in several with an index.
fn write_safetensors(directory: &Path, dtype: Dtype, n_shards: usize) {
    write_config(directory);
    let encoded: Vec<(String, Vec<usize>, Vec<u8>)> = random_weights()
        .into_iter()
        .map(|(name, (shape, values))| {
            let bytes = values.iter().flat_map(|&value| match dtype {
                Dtype::F16 => half::f16::from_f32(value).to_le_bytes().to_vec(),
                Dtype::BF16 => half::bf16::from_f32(value).to_le_bytes().to_vec(),
                _ => value.to_le_bytes().to_vec(),
            });
            (format!("model.{name}"), shape, bytes.collect())
        })
        .collect();
    let mut weight_map = serde_json::Map::new();
    for (number, shard) in encoded.chunks(encoded.len().div_ceil(n_shards)).enumerate() {
        let file = if n_shards == 1 { "model.safetensors".to_owned() } else { format!("model-{number}.safetensors") };
        let views =
            shard.iter().map(|(name, shape, bytes)| (name, TensorView::new(dtype, shape.clone(), bytes).unwrap()));
        safetensors::serialize_to_file(views, None, &directory.join(&file)).unwrap();
        weight_map.extend(shard.iter().map(|(name, ..)| (name.clone(), json!(file))));
    }
    if n_shards > 1 {
        let index = json!({"weight_map": weight_map});
        fs::write(directory.join("model.safetensors.index.json"), index.to_string()).unwrap();
    }
}

/// How the matrices of a `model.bin` are stored.
#[derive(Clone, Copy, PartialEq)]
enum Stored {
    F32,
    F16,
    I8,
}

/// CTranslate2's format, with its own names and fused projections.
fn write_ctranslate2(directory: &Path, stored: Stored) {
    write_config(directory);
    let weights = random_weights();
    let mut variables: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    let get = |name: &str| weights.get(name).cloned();
    for side in ["encoder", "decoder"] {
        let mut copy = |new: String, old: String| {
            let (shape, values) = get(&old).unwrap_or_else(|| panic!("{old}"));
            variables.push((new, shape, values));
        };
        copy(format!("{side}/layer_norm/gamma"), format!("{side}.layer_norm.weight"));
        copy(format!("{side}/layer_norm/beta"), format!("{side}.layer_norm.bias"));
        copy(format!("{side}/position_encodings/encodings"), format!("{side}.embed_positions.weight"));
        if side == "decoder" {
            copy("decoder/embeddings/weight".into(), "decoder.embed_tokens.weight".into());
        } else {
            for part in ["conv1/weight", "conv1/bias", "conv2/weight", "conv2/bias"] {
                copy(format!("encoder/{part}"), format!("encoder.{}", part.replace('/', ".")));
            }
        }
        for layer in 0..N_LAYERS {
            let (new, old) = (format!("{side}/layer_{layer}"), format!("{side}.layers.{layer}"));
            let mut norms = vec![("ffn", "final"), ("self_attention", "self_attn")];
            let mut projections = vec![("ffn/linear_0", "fc1", vec![]), ("ffn/linear_1", "fc2", vec![])];
            projections.push(("self_attention/linear_0", "self_attn", vec!["q_proj", "k_proj", "v_proj"]));
            projections.push(("self_attention/linear_1", "self_attn", vec!["out_proj"]));
            if side == "decoder" {
                norms.push(("attention", "encoder_attn"));
                projections.push(("attention/linear_0", "encoder_attn", vec!["q_proj"]));
                projections.push(("attention/linear_1", "encoder_attn", vec!["k_proj", "v_proj"]));
                projections.push(("attention/linear_2", "encoder_attn", vec!["out_proj"]));
            }
            for (module, norm) in norms {
                for (new_part, old_part) in [("gamma", "weight"), ("beta", "bias")] {
                    let (shape, values) = get(&format!("{old}.{norm}_layer_norm.{old_part}")).unwrap();
                    variables.push((format!("{new}/{module}/layer_norm/{new_part}"), shape, values));
                }
            }
            for (module, target, parts) in projections {
                for kind in ["weight", "bias"] {
                    let names = match parts[..] {
                        [] => vec![format!("{old}.{target}.{kind}")],
                        _ => parts.iter().map(|part| format!("{old}.{target}.{part}.{kind}")).collect(),
                    };
                    let found = names.iter().map(|name| get(name).unwrap_or((vec![WIDTH], vec![0.0; WIDTH])));
                    let (mut rows, mut rest, mut values) = (0, Vec::new(), Vec::new());
                    for (shape, part) in found {
                        rows += shape[0];
                        rest = shape[1..].to_vec();
                        values.extend(part);
                    }
                    let shape = [vec![rows], rest].concat();
                    variables.push((format!("{new}/{module}/{kind}"), shape, values));
                }
            }
        }
    }
    fs::write(directory.join("model.bin"), ctranslate2_bytes(&variables, stored)).unwrap();
}

fn ctranslate2_bytes(variables: &[(String, Vec<usize>, Vec<f32>)], stored: Stored) -> Vec<u8> {
    let mut table: Vec<(String, Vec<usize>, u8, Vec<u8>)> = Vec::new();
    for (name, shape, values) in variables {
        let f32_bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>();
        let is_matrix = shape.len() == 2 && name.ends_with("weight");
        match stored {
            Stored::F16 => {
                let bytes = values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
                table.push((name.clone(), shape.clone(), 4, bytes));
            }
            Stored::I8 if is_matrix => {
                // Values are multiples of 1/1024 up to 1/4: 127 / (1/4) would be the usual scale and lossy; row scales are tested with it.
                let mut bytes = Vec::new();
                let mut scales = Vec::new();
                for row in values.chunks(shape[1]) {
                    let scale = 127.0 / row.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
                    bytes.extend(row.iter().map(|value| ((value * scale).round() as i8).cast_unsigned()));
                    scales.push(scale);
                }
                table.push((name.clone(), shape.clone(), 1, bytes));
                table.push((format!("{name}_scale"), vec![shape[0]], 0, f32_bytes(&scales)));
            }
            _ => table.push((name.clone(), shape.clone(), 0, f32_bytes(values))),
        }
    }
    let mut out = Vec::new();
    let string = |out: &mut Vec<u8>, text: &str| {
        out.extend(u16::try_from(text.len() + 1).unwrap().to_le_bytes());
        out.extend(text.as_bytes());
        out.push(0);
    };
    let number = |out: &mut Vec<u8>, n: usize| out.extend(u32::try_from(n).unwrap().to_le_bytes());
    number(&mut out, 6);
    string(&mut out, "WhisperSpec");
    number(&mut out, 3);
    number(&mut out, table.len());
    for (name, shape, dtype, bytes) in table {
        string(&mut out, &name);
        out.push(u8::try_from(shape.len()).unwrap());
        shape.iter().for_each(|&n| number(&mut out, n));
        out.push(dtype);
        number(&mut out, bytes.len());
        out.extend(bytes);
    }
    number(&mut out, 1);
    string(&mut out, "decoder/projection/weight");
    string(&mut out, "decoder/embeddings/weight");
    out
}

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
    type Write = fn(&Path);
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
    type Write = fn(&Path);
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
    type Write = fn(&Path);
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
