//! For tests: a small model in whisper.cpp's format, quantised by code of its own.

use std::{fs, path::Path};

use half::f16;

use super::small_model::{SmallModel, random_weights};

/// How matrices are stored; the number is ggml's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::infer) enum Stored {
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
}

/// Writes `ggml-small.bin` and returns its bytes.
pub(in crate::infer) fn write_ggml(model: SmallModel, directory: &Path, stored: Stored) -> Vec<u8> {
    let bytes = ggml_bytes(model, stored);
    fs::write(directory.join("ggml-small.bin"), &bytes).unwrap();
    bytes
}

fn ggml_bytes(model: SmallModel, stored: Stored) -> Vec<u8> {
    let mut out = Vec::new();
    let numbers = |out: &mut Vec<u8>, numbers: &[usize]| {
        out.extend(numbers.iter().flat_map(|&n| u32::try_from(n).unwrap().to_le_bytes()));
    };
    numbers(&mut out, &[0x6767_6d6c, model.n_vocab, 20, 32, 4, model.n_encoder_layers, 16, 32, 4]);
    numbers(&mut out, &[model.n_decoder_layers, model.n_mels, 2000 + stored as usize]);
    numbers(&mut out, &[model.n_mels, 201]);
    out.extend(vec![0; model.n_mels * 201 * 4]);
    numbers(&mut out, &[3, 1]);
    out.extend(b"a");
    numbers(&mut out, &[2]);
    out.extend(b"bc");
    numbers(&mut out, &[0]);
    for (name, (mut shape, values)) in random_weights(model) {
        let is_bias_of_conv = name.starts_with("encoder.conv") && shape.len() == 1;
        if is_bias_of_conv {
            shape.push(1);
        }
        let is_matrix = shape.len() > 1 && !name.contains("positions") && !is_bias_of_conv;
        let kind = match stored {
            _ if !is_matrix => Stored::F32,
            Stored::F32 | Stored::F16 => stored,
            _ if shape.len() == 2 => stored,
            _ => Stored::F16,
        };
        let name = openai_name(&name);
        numbers(&mut out, &[shape.len(), name.len(), kind as usize]);
        shape.reverse();
        numbers(&mut out, &shape);
        out.extend(name.as_bytes());
        match kind {
            Stored::F32 => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
            Stored::F16 => out.extend(values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes())),
            _ => values.chunks(32).for_each(|block| quantise(block, kind, &mut out)),
        }
    }
    out
}

/// A block by the definition of its kind: `value = scale * q`, or `scale * q + least`.
fn quantise(block: &[f32], kind: Stored, out: &mut Vec<u8>) {
    let (least, most) = block.iter().fold((f32::MAX, f32::MIN), |(l, m), &v| (l.min(v), m.max(v)));
    let largest = least.abs().max(most.abs());
    let (levels, has_least) = match kind {
        Stored::Q4_0 => (15, false),
        Stored::Q4_1 => (15, true),
        Stored::Q5_0 => (31, false),
        Stored::Q5_1 => (31, true),
        _ => {
            let scale = f16::from_f32(largest / 127.0);
            out.extend(scale.to_le_bytes());
            out.extend(block.iter().map(|v| ((v / scale.to_f32()).round().clamp(-127.0, 127.0) as i8).cast_unsigned()));
            return;
        }
    };
    let half = (levels / 2 + 1) as f32;
    let scale = f16::from_f32(if has_least { (most - least) / levels as f32 } else { largest / (half - 1.0) });
    let offset = if has_least { f16::from_f32(least).to_f32() } else { -half * scale.to_f32() };
    let q: Vec<u32> =
        block.iter().map(|v| ((v - offset) / scale.to_f32()).round().clamp(0.0, levels as f32) as u32).collect();
    out.extend(scale.to_le_bytes());
    if has_least {
        out.extend(f16::from_f32(least).to_le_bytes());
    }
    if levels == 31 {
        let fifth = q.iter().enumerate().fold(0_u32, |bits, (index, q)| bits | (q >> 4) << index);
        out.extend(fifth.to_le_bytes());
    }
    out.extend((0..16).map(|index| (q[index] & 15 | (q[index + 16] & 15) << 4) as u8));
}

/// Hugging Face's name to OpenAI's, part by part.
fn openai_name(name: &str) -> String {
    match name {
        "encoder.embed_positions.weight" => return "encoder.positional_embedding".into(),
        "decoder.embed_positions.weight" => return "decoder.positional_embedding".into(),
        "decoder.embed_tokens.weight" => return "decoder.token_embedding.weight".into(),
        _ => {}
    }
    let parts: Vec<&str> = name.split('.').collect();
    let [side, "layers", layer, rest @ ..] = &parts[..] else {
        let norm = if name.starts_with("encoder") { "ln_post" } else { "ln" };
        return name.replace("layer_norm", norm);
    };
    let translated = rest.iter().map(|part| match *part {
        "self_attn" => "attn",
        "encoder_attn" => "cross_attn",
        "self_attn_layer_norm" => "attn_ln",
        "encoder_attn_layer_norm" => "cross_attn_ln",
        "final_layer_norm" => "mlp_ln",
        "q_proj" => "query",
        "k_proj" => "key",
        "v_proj" => "value",
        "out_proj" => "out",
        "fc1" => "mlp.0",
        "fc2" => "mlp.2",
        other => other,
    });
    format!("{side}.blocks.{layer}.{}", translated.collect::<Vec<_>>().join("."))
}
