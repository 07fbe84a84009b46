//! For tests: a small model with random weights, written in every format that is read.

use std::{collections::BTreeMap, fs, path::Path};

use rand::{Rng, SeedableRng, rngs::StdRng};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::json;

const WIDTH: usize = 32;
const N_HEADS: usize = 4;
const N_AUDIO_CTX: usize = 20;
const N_TEXT_CTX: usize = 16;

/// What differs between the published sizes, besides the width.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_field_names, reason = "they are numbers of things, named as in `Dimensions`")]
pub(in crate::infer) struct SmallModel {
    pub(in crate::infer) n_mels: usize,
    pub(in crate::infer) n_vocab: usize,
    pub(in crate::infer) n_encoder_layers: usize,
    pub(in crate::infer) n_decoder_layers: usize,
}

/// Shapes and values by name.
pub(in crate::infer) type Weights = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

impl Default for SmallModel {
    fn default() -> Self {
        Self { n_mels: 8, n_vocab: 50, n_encoder_layers: 2, n_decoder_layers: 2 }
    }
}

/// Random weights of a small model under Hugging Face's names, with values that f16 holds exactly.
pub(in crate::infer) fn random_weights(model: SmallModel) -> Weights {
    let mut rng = StdRng::seed_from_u64(3);
    let mut weights = BTreeMap::new();
    let mut add = |name: String, shape: &[usize]| {
        let n: usize = shape.iter().product();
        let values = (0..n).map(|_| f32::from(rng.random_range(-256_i16..=256)) / 1024.0).collect();
        weights.insert(name, (shape.to_vec(), values));
    };
    for (side, n_positions, n_layers) in
        [("encoder", N_AUDIO_CTX, model.n_encoder_layers), ("decoder", N_TEXT_CTX, model.n_decoder_layers)]
    {
        add(format!("{side}.embed_positions.weight"), &[n_positions, WIDTH]);
        add(format!("{side}.layer_norm.weight"), &[WIDTH]);
        add(format!("{side}.layer_norm.bias"), &[WIDTH]);
        for layer in 0..n_layers {
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
    add("decoder.embed_tokens.weight".into(), &[model.n_vocab, WIDTH]);
    for (name, n_inputs) in [("conv1", model.n_mels), ("conv2", WIDTH)] {
        add(format!("encoder.{name}.weight"), &[WIDTH, n_inputs, 3]);
        add(format!("encoder.{name}.bias"), &[WIDTH]);
    }
    weights
}

fn write_config(directory: &Path) {
    let config = json!({"encoder_attention_heads": N_HEADS, "decoder_attention_heads": N_HEADS});
    fs::write(directory.join("config.json"), config.to_string()).unwrap();
}

/// Hugging Face's format, in one file or, with `n_shards` above 1, in several with an index.
pub(super) fn write_safetensors(directory: &Path, dtype: Dtype, n_shards: usize) {
    write_safetensors_of(SmallModel::default(), directory, dtype, n_shards);
}

pub(in crate::infer) fn write_safetensors_of(model: SmallModel, directory: &Path, dtype: Dtype, n_shards: usize) {
    write_config(directory);
    let encoded: Vec<(String, Vec<usize>, Vec<u8>)> = random_weights(model)
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::infer) enum Stored {
    F32,
    F16,
    I8,
    /// Whole numbers in matrices, halves elsewhere.
    I8F16,
    I16,
}

/// `CTranslate2`'s format, with its own names and fused projections.
pub(super) fn write_ctranslate2(directory: &Path, stored: Stored) {
    write_ctranslate2_of(SmallModel::default(), directory, stored);
}

pub(in crate::infer) fn write_ctranslate2_of(model: SmallModel, directory: &Path, stored: Stored) {
    write_config(directory);
    let weights = random_weights(model);
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
        let n_layers = if side == "encoder" { model.n_encoder_layers } else { model.n_decoder_layers };
        for layer in 0..n_layers {
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
            Stored::I16 if is_matrix => {
                // One scale for all; the largest value gets ten bits.
                let scale = 1023.0 / values.iter().fold(0.0_f32, |max, value| max.max(value.abs()));
                let bytes = values.iter().flat_map(|value| ((value * scale).round() as i16).to_le_bytes()).collect();
                table.push((name.clone(), shape.clone(), 2, bytes));
                table.push((format!("{name}_scale"), vec![], 0, f32_bytes(&[scale])));
            }
            Stored::I8 | Stored::I8F16 if is_matrix => {
                // One scale a row, as CTranslate2 quantises.
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
            Stored::F16 | Stored::I8F16 => {
                let bytes = values.iter().flat_map(|&value| half::f16::from_f32(value).to_le_bytes()).collect();
                table.push((name.clone(), shape.clone(), 4, bytes));
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
        for n in shape {
            number(&mut out, n);
        }
        out.push(dtype);
        number(&mut out, bytes.len());
        out.extend(bytes);
    }
    number(&mut out, 1);
    string(&mut out, "decoder/projection/weight");
    string(&mut out, "decoder/embeddings/weight");
    out
}
