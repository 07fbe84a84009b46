//! The tensors of a voice under Hugging Face's names, from its own files and from Piper's, which have the names of the
//! original VITS.

use super::conv::{Conv, Weights};
use crate::{Error, Result, infer::weights::Checkpoint};

/// The tensors of a voice.
pub(super) struct Tensors<'a> {
    checkpoint: &'a Checkpoint,
    /// Whether the names are those of the original VITS.
    is_original: bool,
}

impl<'a> Tensors<'a> {
    /// # Errors
    /// [`Error::Unsupported`] when the file holds no VITS voice.
    pub(super) fn new(checkpoint: &'a Checkpoint) -> Result<Self> {
        for is_original in [true, false] {
            let tensors = Self { checkpoint, is_original };
            let has = |name| tensors.shape(name).is_some();
            if has("text_encoder.project.weight") && has("decoder.conv_pre.weight") {
                if has("duration_predictor.conv_dds.convs_pointwise.0.weight") {
                    return Ok(tensors);
                }
                return Err(Error::Unsupported(format!(
                    "{} is a VITS voice without a stochastic duration predictor; those with one are supported",
                    checkpoint.path().display()
                )));
            }
        }
        let mut names: Vec<&str> = checkpoint.names().take(3).collect();
        names.push("...");
        Err(Error::Unsupported(format!(
            "{} is no VITS voice: its tensors are {}; supported are Piper's voices (NAME.onnx beside NAME.onnx.json) and \
             Hugging Face's VITS and MMS-TTS (a directory with model.safetensors, config.json and vocab.json)",
            checkpoint.path().display(),
            names.join(", ")
        )))
    }

    fn stored(&self, name: &str) -> String {
        if self.is_original { original(name) } else { name.to_owned() }
    }

    /// The shape of a tensor; `None` when there is none of this name.
    pub(super) fn shape(&self, name: &str) -> Option<&'a [usize]> {
        self.checkpoint.shape(&self.stored(name))
    }

    /// All values of a tensor, whose shape may have a last dimension of 1 more or less.
    pub(super) fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let name = self.stored(name);
        let bare = |shape: &[usize]| shape.iter().rev().skip_while(|&&n| n == 1).copied().collect::<Vec<_>>();
        let found = self.checkpoint.shape(&name).filter(|found| bare(found) == bare(shape));
        let mut values = vec![0.0; shape.iter().product()];
        self.checkpoint.read_into(&name, found.unwrap_or(shape), &mut values)?;
        Ok(values)
    }

    /// The only shape that a tensor can have with so many dimensions.
    pub(super) fn dims<const N: usize>(&self, name: &str) -> Result<[usize; N]> {
        let found = self.shape(name).unwrap_or_default();
        let mut dims = [1; N];
        if found.is_empty() || found.len() > N || found.contains(&0) {
            return Err(
                self.damaged(format!("tensor {} has shape {found:?}; expected {N} dimensions", self.stored(name)))
            );
        }
        dims[..found.len()].copy_from_slice(found);
        Ok(dims)
    }

    /// How many modules there are whose names differ in a number.
    pub(super) fn count(&self, name: impl Fn(usize) -> String) -> usize {
        const MOST: usize = 4096;
        (0..MOST).take_while(|&index| self.has(&name(index))).count()
    }

    /// Whether there is a module with a weight.
    pub(super) fn has(&self, module: &str) -> bool {
        self.weight_shape(module).is_some()
    }

    /// The shape of a module's weight, normalised or not.
    fn weight_shape(&self, module: &str) -> Option<&'a [usize]> {
        let names = ["weight", "weight_v", "parametrizations.weight.original1"];
        names.iter().find_map(|name| self.shape(&format!("{module}.{name}")))
    }

    /// The weights of a convolution with any number of inputs and outputs.
    pub(super) fn convolution(&self, module: &str) -> Result<Weights> {
        let Some(&[n_outputs, n_inputs, ref rest @ ..]) = self.weight_shape(module) else {
            return Err(self.damaged(format!("tensor {}.weight is missing, or has no inputs", self.stored(module))));
        };
        let kernel = rest.first().copied().unwrap_or(1);
        if n_outputs * n_inputs * kernel == 0 || rest.len() > 1 {
            return Err(self.damaged(format!("tensor {}.weight is empty", self.stored(module))));
        }
        let shape = [n_outputs, n_inputs, kernel];
        let bias = format!("{module}.bias");
        let bias = match self.shape(&bias) {
            Some(_) => self.values(&bias, &[n_outputs])?,
            None => vec![0.0; n_outputs],
        };
        Ok(Weights { values: self.weight(module, &shape)?, bias, n_inputs, kernel })
    }

    /// Inputs, outputs and kernel of a transposed convolution.
    pub(super) fn transposed_dims(&self, module: &str) -> Result<[usize; 3]> {
        match self.weight_shape(module) {
            Some(&[n_inputs, n_outputs, kernel]) if n_inputs * n_outputs * kernel > 0 => {
                Ok([n_inputs, n_outputs, kernel])
            }
            found => Err(self.damaged(format!(
                "tensor {}.weight has shape {found:?}; expected [inputs, outputs, kernel]",
                self.stored(module)
            ))),
        }
    }

    /// A module's weight; a normalised one is its direction times its length.
    pub(super) fn weight(&self, module: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let names =
            [("weight_g", "weight_v"), ("parametrizations.weight.original0", "parametrizations.weight.original1")];
        for (length, direction) in names.map(|(g, v)| (format!("{module}.{g}"), format!("{module}.{v}"))) {
            if self.shape(&direction).is_some() {
                let lengths = self.values(&length, &shape[..1])?;
                let mut values = self.values(&direction, shape)?;
                let n = values.len() / lengths.len();
                for (row, length) in values.chunks_exact_mut(n).zip(lengths) {
                    let norm = row.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
                    let scale = if norm > 0.0 { f64::from(length) / norm } else { 0.0 };
                    for value in row {
                        *value = (f64::from(*value) * scale) as f32;
                    }
                }
                return Ok(values);
            }
        }
        self.values(&format!("{module}.weight"), shape)
    }

    /// A convolution between known numbers of channels.
    pub(super) fn conv(&self, module: &str, n_outputs: usize, n_inputs: usize, dilation: usize) -> Result<Conv> {
        Ok(Conv::new(&self.checked(module, n_outputs, n_inputs)?, dilation))
    }

    /// The weights of a convolution between known numbers of channels.
    pub(super) fn checked(&self, module: &str, n_outputs: usize, n_inputs: usize) -> Result<Weights> {
        let weights = self.convolution(module)?;
        if (weights.bias.len(), weights.n_inputs) != (n_outputs, n_inputs) {
            return Err(self.damaged(format!(
                "tensor {}.weight has {} outputs and {} inputs; expected {n_outputs} and {n_inputs}",
                self.stored(module),
                weights.bias.len(),
                weights.n_inputs
            )));
        }
        Ok(weights)
    }

    /// Scale and shift of a layer normalisation of `n` channels.
    pub(super) fn norm(&self, module: &str, n: usize) -> Result<Norm> {
        let [gamma, beta] = ["weight", "bias"].map(|name| self.values(&format!("{module}.{name}"), &[n]));
        Ok(Norm { gamma: gamma?, beta: beta? })
    }

    /// Steps between the taps of a module's convolution, as the graph or else the settings have it: `setting` is the name
    /// of a list and the places in it.
    pub(super) fn dilation(&self, module: &str, (setting, places): (&str, &[usize])) -> Result<usize> {
        let graph = self.checkpoint.convolution(&original(module)).map(|convolution| convolution.dilation);
        self.number(graph, module, setting, places)
    }

    /// Outputs of a transposed convolution for one input.
    pub(super) fn stride(&self, module: &str, (setting, places): (&str, &[usize])) -> Result<usize> {
        let graph = self.checkpoint.convolution(&original(module)).map(|convolution| convolution.stride);
        self.number(graph, module, setting, places)
    }

    /// Steps between the taps of the layer with this number, where a setting, 1 if there is none, is raised to it.
    pub(super) fn power(&self, setting: &str, layer: usize, module: &str) -> Result<usize> {
        const MOST: u64 = 1024;
        if let Some(convolution) = self.checkpoint.convolution(&original(module)) {
            return Ok(convolution.dilation.clamp(1, 1024));
        }
        let base = self.checkpoint.setting(setting).and_then(serde_json::Value::as_u64).unwrap_or(1);
        let power = base.checked_pow(layer as u32).filter(|power| (1..=MOST).contains(power));
        let power = power.and_then(|power| usize::try_from(power).ok());
        power.ok_or_else(|| {
            self.damaged(format!("{setting} of config.json is {base}; layer {layer} cannot be so far apart"))
        })
    }

    fn number(&self, graph: Option<usize>, module: &str, setting: &str, places: &[usize]) -> Result<usize> {
        const MOST: usize = 1024;
        let value = || places.iter().try_fold(self.checkpoint.setting(setting)?, |list, &place| list.get(place));
        let found = graph.or_else(|| usize::try_from(value()?.as_u64()?).ok());
        found.filter(|n| (1..=MOST).contains(n)).ok_or_else(|| {
            self.damaged(format!("neither the graph nor `{setting}` of config.json says how {module} skips"))
        })
    }

    pub(super) fn damaged(&self, reason: String) -> Error {
        Error::Weights { path: self.checkpoint.path().to_owned(), reason }
    }
}

/// Scale and shift of a layer normalisation.
#[derive(Debug)]
pub(super) struct Norm {
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
}

/// A tensor's or module's name in the original VITS.
fn original(name: &str) -> String {
    let parts: Vec<&str> = name.split('.').collect();
    let norm = |parameter: &&str| {
        match *parameter {
            "weight" => "gamma",
            "bias" => "beta",
            other => other,
        }
        .to_owned()
    };
    let join = |parts: &[&str]| parts.join(".");
    match parts[..] {
        ["text_encoder", "embed_tokens", ref rest @ ..] => format!("enc_p.emb.{}", join(rest)),
        ["text_encoder", "project", ref rest @ ..] => join(&[&["enc_p", "proj"], rest].concat()),
        ["text_encoder", "encoder", "layers", layer, module, ref rest @ ..] => match (module, rest) {
            ("attention", ["q_proj", rest @ ..]) => format!("enc_p.encoder.attn_layers.{layer}.conv_q.{}", join(rest)),
            ("attention", ["k_proj", rest @ ..]) => format!("enc_p.encoder.attn_layers.{layer}.conv_k.{}", join(rest)),
            ("attention", ["v_proj", rest @ ..]) => format!("enc_p.encoder.attn_layers.{layer}.conv_v.{}", join(rest)),
            ("attention", ["out_proj", rest @ ..]) => {
                format!("enc_p.encoder.attn_layers.{layer}.conv_o.{}", join(rest))
            }
            ("attention", rest) => format!("enc_p.encoder.attn_layers.{layer}.{}", join(rest)),
            ("layer_norm", [parameter]) => format!("enc_p.encoder.norm_layers_1.{layer}.{}", norm(parameter)),
            ("final_layer_norm", [parameter]) => format!("enc_p.encoder.norm_layers_2.{layer}.{}", norm(parameter)),
            (_, rest) => format!("enc_p.encoder.ffn_layers.{layer}.{}", join(rest)),
        },
        ["embed_speaker", ref rest @ ..] => format!("emb_g.{}", join(rest)),
        ["duration_predictor", "flows", "0", parameter] => {
            format!("dp.flows.0.{}", if parameter == "translate" { "m" } else { "logs" })
        }
        ["duration_predictor", "flows", index, ref rest @ ..] => {
            let index: usize = index.parse().unwrap_or(1);
            format!("dp.flows.{}.{}", 2 * index - 1, duration_module(rest))
        }
        ["duration_predictor", ref rest @ ..] => format!("dp.{}", duration_module(rest)),
        ["flow", "flows", index, module, ref rest @ ..] => {
            let index: usize = index.parse().unwrap_or(0);
            let module = match module {
                "conv_pre" => "pre",
                "conv_post" => "post",
                _ => "enc",
            };
            join(&[&["flow", "flows", &(2 * index).to_string(), module], rest].concat())
        }
        ["decoder", "upsampler", ref rest @ ..] => join(&[&["dec", "ups"], rest].concat()),
        ["decoder", ref rest @ ..] => join(&[&["dec"], rest].concat()),
        _ => name.to_owned(),
    }
}

/// The name of a part of the duration predictor, or of one of its flows.
fn duration_module(parts: &[&str]) -> String {
    match parts {
        ["conv_dds", module, index, rest @ ..] => {
            let parameter = rest.first().copied().unwrap_or_default();
            let (module, parameter) = match (*module, parameter) {
                ("convs_dilated", parameter) => ("convs_sep", parameter),
                ("convs_pointwise", parameter) => ("convs_1x1", parameter),
                (module, "weight") => (module, "gamma"),
                (module, "bias") => (module, "beta"),
                (module, parameter) => (module, parameter),
            };
            let name = format!("convs.{module}.{index}");
            if parameter.is_empty() { name } else { format!("{name}.{parameter}") }
        }
        ["conv_pre", rest @ ..] => [&["pre"], rest].concat().join("."),
        ["conv_proj", rest @ ..] => [&["proj"], rest].concat().join("."),
        _ => parts.join("."),
    }
}

#[cfg(test)]
mod tests {
    use super::original;

    #[test]
    fn names_of_the_original() {
        let table = [
            ("text_encoder.embed_tokens.weight", "enc_p.emb.weight"),
            ("text_encoder.project.bias", "enc_p.proj.bias"),
            ("text_encoder.encoder.layers.3.attention.q_proj", "enc_p.encoder.attn_layers.3.conv_q."),
            ("text_encoder.encoder.layers.3.attention.emb_rel_k", "enc_p.encoder.attn_layers.3.emb_rel_k"),
            ("text_encoder.encoder.layers.0.layer_norm.weight", "enc_p.encoder.norm_layers_1.0.gamma"),
            ("text_encoder.encoder.layers.0.final_layer_norm.bias", "enc_p.encoder.norm_layers_2.0.beta"),
            ("text_encoder.encoder.layers.5.feed_forward.conv_1.weight", "enc_p.encoder.ffn_layers.5.conv_1.weight"),
            ("duration_predictor.conv_pre.weight", "dp.pre.weight"),
            ("duration_predictor.conv_dds.norms_2.1.weight", "dp.convs.norms_2.1.gamma"),
            ("duration_predictor.flows.4.conv_dds.convs_dilated.2.bias", "dp.flows.7.convs.convs_sep.2.bias"),
            ("duration_predictor.flows.0.translate", "dp.flows.0.m"),
            ("flow.flows.3.wavenet.in_layers.1.weight", "flow.flows.6.enc.in_layers.1.weight"),
            ("flow.flows.0.conv_post.bias", "flow.flows.0.post.bias"),
            ("decoder.upsampler.2", "dec.ups.2"),
            ("decoder.resblocks.8.convs1.0.weight", "dec.resblocks.8.convs1.0.weight"),
        ];
        for (name, want) in table {
            assert_eq!(original(name).trim_end_matches('.'), want.trim_end_matches('.'), "{name}");
        }
    }
}
