//! `CTranslate2`'s variables under Hugging Face's tensor names.

use super::Entry;

/// The tensors that one variable of `CTranslate2` holds, by their Hugging Face names without the leading `model.`.
///
/// Fused projections are split by rows. Settings (`encoder/num_heads` and so on) keep their names.
pub(super) fn from_ctranslate2(name: &str, entry: &Entry) -> Vec<(String, Entry)> {
    let one = |name: String| vec![(name, entry.clone())];
    let Some((side, rest)) = name.split_once('/') else { return one(name.into()) };
    let numbered = rest.strip_prefix("layer_").and_then(|rest| rest.split_once('/'));
    let Some((layer, rest)) = numbered.filter(|(layer, _)| layer.bytes().all(|byte| byte.is_ascii_digit())) else {
        return one(match rest {
            "embeddings/weight" => format!("{side}.embed_tokens.weight"),
            "position_encodings/encodings" => format!("{side}.embed_positions.weight"),
            "layer_norm/gamma" => format!("{side}.layer_norm.weight"),
            "layer_norm/beta" => format!("{side}.layer_norm.bias"),
            "projection/weight" => "proj_out.weight".into(),
            _ if rest.starts_with("conv") => format!("{side}.{}", rest.replace('/', ".")),
            _ => name.into(),
        });
    };
    let prefix = format!("{side}.layers.{layer}");
    let Some((module, parameter)) = rest.rsplit_once('/') else { return one(name.into()) };
    let parameter = match parameter {
        "gamma" => "weight",
        "beta" => "bias",
        other => other,
    };
    let targets: &[&str] = match module {
        "self_attention/layer_norm" => &["self_attn_layer_norm"],
        "self_attention/linear_0" => &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
        "self_attention/linear_1" => &["self_attn.out_proj"],
        "attention/layer_norm" => &["encoder_attn_layer_norm"],
        "attention/linear_0" => &["encoder_attn.q_proj"],
        "attention/linear_1" => &["encoder_attn.k_proj", "encoder_attn.v_proj"],
        "attention/linear_2" => &["encoder_attn.out_proj"],
        "ffn/layer_norm" => &["final_layer_norm"],
        "ffn/linear_0" => &["fc1"],
        "ffn/linear_1" => &["fc2"],
        _ => return one(name.into()),
    };
    let rows = entry.shape.first().map_or(0, |rows| rows / targets.len());
    let part = |(index, target): (usize, &&str)| {
        Some((format!("{prefix}.{target}.{parameter}"), entry.rows(index * rows, (index + 1) * rows)?))
    };
    targets.iter().enumerate().filter_map(part).collect()
}
