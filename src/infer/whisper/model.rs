//! Whisper's encoder and decoder. Source: Radford et al. 2022, and openai/whisper `model.py` (20250625) for the details.

use candle_core::{Device, Result as CandleResult, Tensor};

use super::{
    cache::{Cache, Cross},
    config::Dimensions,
};
use crate::{
    Result,
    infer::{
        ops::{Conv3, LayerNorm, Linear, attention},
        weights::Checkpoint,
    },
};

/// A loaded model. It is never changed: any number of threads may use it, each with its own [`Cache`].
#[derive(Debug)]
pub(crate) struct Whisper {
    dimensions: Dimensions,
    device: Device,
    encoder: Encoder,
    decoder: Decoder,
}

#[derive(Debug)]
struct Encoder {
    conv1: Conv3,
    conv2: Conv3,
    positions: Tensor,
    layers: Vec<EncoderLayer>,
    norm: LayerNorm,
    n_heads: usize,
}

#[derive(Debug)]
struct EncoderLayer {
    attention: SelfAttention,
    mlp: Mlp,
}

#[derive(Debug)]
struct Decoder {
    /// Turns tokens into vectors, and vectors into scores for tokens.
    embedding: Linear,
    positions: Tensor,
    layers: Vec<DecoderLayer>,
    norm: LayerNorm,
    n_heads: usize,
}

#[derive(Debug)]
struct DecoderLayer {
    attention: SelfAttention,
    cross_norm: LayerNorm,
    cross_queries: Linear,
    cross_keys: Linear,
    cross_values: Linear,
    cross_out: Linear,
    mlp: Mlp,
}

#[derive(Debug)]
struct SelfAttention {
    norm: LayerNorm,
    /// Queries, keys and values in one product.
    fused: Linear,
    out: Linear,
}

#[derive(Debug)]
struct Mlp {
    norm: LayerNorm,
    up: Linear,
    down: Linear,
}

impl Whisper {
    /// Reads the weights onto the device, in f32.
    pub(crate) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let dimensions = Dimensions::of(checkpoint)?;
        let load = Loader { checkpoint, device, width: dimensions.width };
        let (encoder, decoder) = (load.encoder(&dimensions)?, load.decoder(&dimensions)?);
        Ok(Self { dimensions, device: device.clone(), encoder, decoder })
    }

    /// The sizes.
    pub(crate) fn dimensions(&self) -> &Dimensions {
        &self.dimensions
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Audio features `[n_rows, n_audio_ctx, width]` of log-mel windows `[n_rows, n_mels, 2 * n_audio_ctx]`.
    pub(crate) fn encode(&self, mel: &Tensor) -> Result<Tensor> {
        Ok(self.encoder.forward(mel)?)
    }

    /// The keys and values that every decoder layer takes from the audio features; computed once a window.
    pub(crate) fn cross(&self, features: &Tensor) -> Result<Cross> {
        let layer =
            |layer: &DecoderLayer| Ok((layer.cross_keys.forward(features)?, layer.cross_values.forward(features)?));
        Ok(Cross { layers: self.decoder.layers.iter().map(layer).collect::<CandleResult<_>>()? })
    }

    /// An empty cache for `n_rows` sequences.
    pub(crate) fn new_cache(&self, n_rows: usize) -> Result<Cache> {
        let Dimensions { n_decoder_layers, n_text_ctx, width, .. } = self.dimensions;
        Ok(Cache::new(n_decoder_layers, [n_rows, n_text_ctx, width], &self.device)?)
    }

    /// Feeds the next tokens of every row (`tokens` is `[n_rows, n]` in row order) and returns the scores
    /// `[n_rows, wanted.len(), n_vocab]` after the wanted ones of them.
    ///
    /// The rows belong to the windows of `cross` in equal groups.
    pub(crate) fn decode(&self, tokens: &[u32], wanted: &[usize], cross: &Cross, cache: &mut Cache) -> Result<Tensor> {
        Ok(self.decoder.forward(tokens, wanted, cross, cache)?)
    }
}

impl Encoder {
    fn forward(&self, mel: &Tensor) -> CandleResult<Tensor> {
        let x = self.conv1.forward_gelu(&mel.transpose(1, 2)?)?;
        let mut x = self.conv2.forward_gelu(&x)?.broadcast_add(&self.positions)?;
        for layer in &self.layers {
            let [queries, keys, values] = layer.attention.project(&x)?;
            let mixed = attention(&queries, &keys, &values, self.n_heads, None)?;
            x = layer.mlp.forward(&layer.attention.out.forward_onto(&mixed, &x)?)?;
        }
        self.norm.forward(&x)
    }
}

impl Decoder {
    fn forward(&self, tokens: &[u32], wanted: &[usize], cross: &Cross, cache: &mut Cache) -> CandleResult<Tensor> {
        let (n_rows, start) = (cache.n_rows(), cache.len());
        let n = tokens.len() / n_rows;
        let ids = Tensor::new(tokens, self.positions.device())?;
        let x = self.embedding.weight.index_select(&ids, 0)?.reshape((n_rows, n, ()))?;
        let mut x = x.broadcast_add(&self.positions.narrow(0, start, n)?)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let [queries, keys, values] = layer.attention.project(&x)?;
            let (keys, values) = cache.append(index, &keys, &values)?;
            let mixed = attention(&queries, &keys, &values, self.n_heads, Some(start))?;
            x = layer.attention.out.forward_onto(&mixed, &x)?;
            x = layer.cross_attention(&x, &cross.layers[index], self.n_heads)?;
            x = layer.mlp.forward(&x)?;
        }
        cache.advance(n);
        let ids = Tensor::from_iter(wanted.iter().map(|&position| position as u32), x.device())?;
        let x = if wanted.len() == n { x } else { x.index_select(&ids, 1)? };
        self.embedding.forward(&self.norm.forward(&x)?)
    }
}

impl DecoderLayer {
    fn cross_attention(&self, x: &Tensor, (keys, values): &(Tensor, Tensor), n_heads: usize) -> CandleResult<Tensor> {
        let queries = self.cross_queries.forward(&self.cross_norm.forward(x)?)?;
        // Rows that hear the same window are more queries to its keys.
        let (n_windows, width) = (keys.dim(0)?, keys.dim(2)?);
        let mixed = attention(&queries.reshape((n_windows, (), width))?, keys, values, n_heads, None)?;
        self.cross_out.forward_onto(&mixed.reshape(x.shape())?, x)
    }
}

impl SelfAttention {
    fn project(&self, x: &Tensor) -> CandleResult<[Tensor; 3]> {
        let fused = self.fused.forward(&self.norm.forward(x)?)?;
        let width = x.dim(2)?;
        Ok([fused.narrow(2, 0, width)?, fused.narrow(2, width, width)?, fused.narrow(2, 2 * width, width)?])
    }
}

impl Mlp {
    fn forward(&self, x: &Tensor) -> CandleResult<Tensor> {
        self.down.forward_onto(&self.up.forward_gelu(&self.norm.forward(x)?)?, x)
    }
}

/// Takes the model's parts out of a checkpoint.
struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
    width: usize,
}

impl Loader<'_> {
    fn encoder(&self, dimensions: &Dimensions) -> Result<Encoder> {
        let layer = |index: usize| {
            let prefix = format!("encoder.layers.{index}");
            Ok(EncoderLayer { attention: self.self_attention(&prefix)?, mlp: self.mlp(&prefix)? })
        };
        Ok(Encoder {
            conv1: self.conv("encoder.conv1", dimensions.n_mels, 1)?,
            conv2: self.conv("encoder.conv2", self.width, 2)?,
            positions: self.tensor("encoder.embed_positions.weight", &[dimensions.n_audio_ctx, self.width])?,
            layers: (0..dimensions.n_encoder_layers).map(layer).collect::<Result<_>>()?,
            norm: self.norm("encoder.layer_norm")?,
            n_heads: dimensions.n_encoder_heads,
        })
    }

    fn decoder(&self, dimensions: &Dimensions) -> Result<Decoder> {
        let embedding = self.tensor("decoder.embed_tokens.weight", &[dimensions.n_vocab, self.width])?;
        Ok(Decoder {
            embedding: Linear { weight: embedding, bias: None },
            positions: self.tensor("decoder.embed_positions.weight", &[dimensions.n_text_ctx, self.width])?,
            layers: (0..dimensions.n_decoder_layers).map(|index| self.decoder_layer(index)).collect::<Result<_>>()?,
            norm: self.norm("decoder.layer_norm")?,
            n_heads: dimensions.n_decoder_heads,
        })
    }

    fn decoder_layer(&self, index: usize) -> Result<DecoderLayer> {
        let prefix = format!("decoder.layers.{index}");
        let square = |name: &str| self.linear(&format!("{prefix}.encoder_attn.{name}"), self.width, self.width);
        Ok(DecoderLayer {
            attention: self.self_attention(&prefix)?,
            cross_norm: self.norm(&format!("{prefix}.encoder_attn_layer_norm"))?,
            cross_queries: square("q_proj")?,
            cross_keys: square("k_proj")?,
            cross_values: square("v_proj")?,
            cross_out: square("out_proj")?,
            mlp: self.mlp(&prefix)?,
        })
    }

    fn self_attention(&self, prefix: &str) -> Result<SelfAttention> {
        let square = |name: &str| self.linear(&format!("{prefix}.self_attn.{name}"), self.width, self.width);
        let parts = [square("q_proj")?, square("k_proj")?, square("v_proj")?];
        let weight = Tensor::cat(&parts.each_ref().map(|part| &part.weight), 0)?;
        let no_bias = Tensor::zeros(self.width, weight.dtype(), self.device)?;
        let bias = Tensor::cat(&parts.each_ref().map(|part| part.bias.as_ref().unwrap_or(&no_bias)), 0)?;
        Ok(SelfAttention {
            norm: self.norm(&format!("{prefix}.self_attn_layer_norm"))?,
            fused: Linear { weight, bias: Some(bias) },
            out: square("out_proj")?,
        })
    }

    fn mlp(&self, prefix: &str) -> Result<Mlp> {
        let hidden = self.checkpoint.shape(&format!("{prefix}.fc1.weight")).map_or(0, |shape| shape[0]);
        Ok(Mlp {
            norm: self.norm(&format!("{prefix}.final_layer_norm"))?,
            up: self.linear(&format!("{prefix}.fc1"), hidden, self.width)?,
            down: self.linear(&format!("{prefix}.fc2"), self.width, hidden)?,
        })
    }

    fn conv(&self, name: &str, n_inputs: usize, stride: usize) -> Result<Conv3> {
        let weight = self.tensor(&format!("{name}.weight"), &[self.width, n_inputs, 3])?;
        Ok(Conv3::new(&weight, self.tensor(&format!("{name}.bias"), &[self.width])?, stride)?)
    }

    fn norm(&self, name: &str) -> Result<LayerNorm> {
        let vector = |part: &str| self.tensor(&format!("{name}.{part}"), &[self.width]);
        Ok(LayerNorm { gamma: vector("weight")?, beta: vector("bias")? })
    }

    fn linear(&self, name: &str, n_outputs: usize, n_inputs: usize) -> Result<Linear> {
        let weight = self.tensor(&format!("{name}.weight"), &[n_outputs, n_inputs])?;
        let bias = format!("{name}.bias");
        let bias = self.checkpoint.shape(&bias).map(|_| self.tensor(&bias, &[n_outputs])).transpose()?;
        Ok(Linear { weight, bias })
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.checkpoint.tensor(name, shape, self.device)
    }
}
