//! Other formats' variables under Hugging Face's tensor names, without its leading `model.`.

use super::entry::Entry;

/// The tensors that one variable of `CTranslate2` holds, by their Hugging Face names.
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

/// The name of a tensor that whisper.cpp calls by OpenAI's names. Source: openai/whisper `model.py`.
pub(super) fn from_openai(name: &str) -> String {
    const PLAIN: [(&str, &str); 5] = [
        ("encoder.positional_embedding", "encoder.embed_positions.weight"),
        ("decoder.positional_embedding", "decoder.embed_positions.weight"),
        ("decoder.token_embedding.weight", "decoder.embed_tokens.weight"),
        ("encoder.ln_post.", "encoder.layer_norm."),
        ("decoder.ln.", "decoder.layer_norm."),
    ];
    const IN_A_LAYER: [(&str, &str); 11] = [
        (".blocks.", ".layers."),
        (".cross_attn_ln.", ".encoder_attn_layer_norm."),
        (".cross_attn.", ".encoder_attn."),
        (".attn_ln.", ".self_attn_layer_norm."),
        (".attn.", ".self_attn."),
        (".query.", ".q_proj."),
        (".key.", ".k_proj."),
        (".value.", ".v_proj."),
        (".out.", ".out_proj."),
        (".mlp.0.", ".fc1."),
        (".mlp.2.", ".fc2."),
    ];
    if let Some((from, to)) = PLAIN.iter().find(|(from, _)| name.starts_with(from)) {
        return name.replacen(from, to, 1);
    }
    let name = IN_A_LAYER.iter().fold(name.to_owned(), |name, (from, to)| name.replacen(from, to, 1));
    name.replacen(".mlp_ln.", ".final_layer_norm.", 1)
}
