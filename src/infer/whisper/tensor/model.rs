//! Whisper's encoder and decoder in candle's tensors: GPUs, and on the processor the reference that kernels are
//! compared with. Source: Radford et al. 2022, and openai/whisper `model.py` (20250625) for the details.

use candle_core::{Device, Result as CandleResult, Tensor, bail};

use super::{cache::Cache, loader::Loader};
use crate::{
    Result,
    infer::{
        ops::{Conv3, LayerNorm, Linear, attention},
        weights::Checkpoint,
        whisper::{config::Dimensions, model::Alignment},
    },
};

/// A model in tensors, in f32.
#[derive(Debug)]
pub(crate) struct Model {
    dimensions: Dimensions,
    device: Device,
    encoder: Encoder,
    decoder: Decoder,
}

/// Keys and values of a window, for each decoder layer `[1, n_positions, width]`.
#[derive(Debug, Clone)]
pub(crate) struct Audio {
    pub(super) layers: std::sync::Arc<[(Tensor, Tensor)]>,
}

#[derive(Debug)]
pub(super) struct Encoder {
    pub conv1: Conv3,
    pub conv2: Conv3,
    pub positions: Tensor,
    pub layers: Vec<EncoderLayer>,
    pub norm: LayerNorm,
    pub n_heads: usize,
}

#[derive(Debug)]
pub(super) struct EncoderLayer {
    pub attention: SelfAttention,
    pub mlp: Mlp,
}

#[derive(Debug)]
pub(super) struct Decoder {
    /// Turns tokens into vectors, and vectors into scores for tokens.
    pub embedding: Linear,
    pub positions: Tensor,
    pub layers: Vec<DecoderLayer>,
    pub norm: LayerNorm,
    pub n_heads: usize,
}

#[derive(Debug)]
pub(super) struct DecoderLayer {
    pub attention: SelfAttention,
    pub cross_norm: LayerNorm,
    pub cross_queries: Linear,
    pub cross_keys: Linear,
    pub cross_values: Linear,
    pub cross_out: Linear,
    pub mlp: Mlp,
}

#[derive(Debug)]
pub(super) struct SelfAttention {
    pub norm: LayerNorm,
    /// Queries, keys and values in one product.
    pub fused: Linear,
    pub out: Linear,
}

#[derive(Debug)]
pub(super) struct Mlp {
    pub norm: LayerNorm,
    pub up: Linear,
    pub down: Linear,
}

impl Model {
    /// Reads the weights onto the device.
    pub(crate) fn load(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let dimensions = Dimensions::of(checkpoint)?;
        let load = Loader { checkpoint, device, width: dimensions.width };
        let (encoder, decoder) = (load.encoder(&dimensions)?, load.decoder(&dimensions)?);
        Ok(Self { dimensions, device: device.clone(), encoder, decoder })
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// The encoder's output `[n_rows, n_frames / 2, width]` of log-mel windows `[n_rows, n_mels, n_frames]`.
    pub(crate) fn features(&self, mel: &Tensor) -> CandleResult<Tensor> {
        self.encoder.forward(mel)
    }

    /// What is heard in each window.
    pub(crate) fn encode(&self, mels: &[&[f32]], n_frames: usize) -> CandleResult<Vec<Audio>> {
        let shape = (mels.len(), self.dimensions.n_mels, n_frames);
        let features = self.features(&Tensor::from_vec(mels.concat(), shape, &self.device)?)?;
        let parts = self
            .decoder
            .layers
            .iter()
            .map(|layer| Ok((layer.cross_keys.forward(&features)?, layer.cross_values.forward(&features)?)));
        let parts = parts.collect::<CandleResult<Vec<_>>>()?;
        let window = |index: usize| {
            let layers =
                parts.iter().map(|(keys, values)| Ok((keys.narrow(0, index, 1)?, values.narrow(0, index, 1)?)));
            Ok(Audio { layers: layers.collect::<CandleResult<_>>()? })
        };
        (0..mels.len()).map(window).collect()
    }

    /// An empty memory of `n_rows` sequences that hear `audio`.
    pub(crate) fn new_cache(&self, audio: &Audio, n_rows: usize) -> CandleResult<Cache> {
        let Dimensions { n_text_ctx, width, .. } = self.dimensions;
        Cache::new(audio.clone(), [n_rows, n_text_ctx, width], &self.device)
    }

    /// Feeds the next tokens of every row (`[n_rows, n]` in row order); returns the scores after the wanted ones of
    /// them, `[n_rows, wanted.len(), n_vocab]`.
    pub(crate) fn decode(&self, tokens: &[u32], wanted: &[usize], cache: &mut Cache) -> CandleResult<Vec<f32>> {
        let x = self.decoder.forward(tokens, cache, &mut |_, _| Ok(()))?;
        let n = x.dim(1)?;
        let ids = Tensor::from_iter(wanted.iter().map(|&position| position as u32), x.device())?;
        let x = if wanted.len() == n { x } else { x.index_select(&ids, 1)? };
        self.decoder.scores(&x)?.flatten_all()?.to_vec1()
    }

    /// See [`Whisper::align`](crate::infer::whisper::model::Whisper::align).
    pub(crate) fn align(&self, audio: &Audio, tokens: &[u32], heads: &[(usize, usize)]) -> CandleResult<Alignment> {
        let mut scores = vec![Vec::new(); heads.len()];
        let head_size = self.dimensions.width / self.dimensions.n_decoder_heads;
        let scale = 1.0 / (head_size as f64).sqrt();
        let mut cache = self.new_cache(audio, 1)?;
        let x = self.decoder.forward(tokens, &mut cache, &mut |index, queries| {
            let (keys, _) = &audio.layers[index];
            for (scores, &(_, head)) in scores.iter_mut().zip(heads).filter(|(_, (layer, _))| *layer == index) {
                let part = |x: &Tensor| x.get(0)?.narrow(1, head * head_size, head_size)?.contiguous();
                let products = part(queries)?.matmul(&part(keys)?.t()?)?;
                *scores = (products * scale)?.flatten_all()?.to_vec1::<f32>()?;
            }
            Ok(())
        })?;
        if let Some(index) = scores.iter().position(Vec::is_empty) {
            bail!("there is no layer for the head {:?}", heads[index]);
        }
        Ok(Alignment { scores: scores.concat(), logits: self.decoder.scores(&x)?.flatten_all()?.to_vec1()? })
    }
}

impl Audio {
    /// Positions of the encoder's output.
    pub(crate) fn n_positions(&self) -> usize {
        self.layers.first().map_or(0, |(keys, _)| keys.dims()[1])
    }
}

impl Encoder {
    fn forward(&self, mel: &Tensor) -> CandleResult<Tensor> {
        let x = self.conv1.forward_gelu(&mel.transpose(1, 2)?)?;
        let x = self.conv2.forward_gelu(&x)?;
        let positions = self.positions.narrow(0, 0, x.dim(1)?)?;
        let mut x = x.broadcast_add(&positions)?;
        for layer in &self.layers {
            let [queries, keys, values] = layer.attention.project(&x)?;
            let mixed = attention(&queries, &keys, &values, self.n_heads, None)?;
            x = layer.mlp.forward(&layer.attention.out.forward_onto(&mixed, &x)?)?;
        }
        self.norm.forward(&x)
    }
}

impl Decoder {
    /// The last layer's vectors after every token, `[n_rows, n, width]`. `on_queries` hears each layer's queries to the
    /// audio, `[n_rows, n, width]`.
    fn forward(
        &self,
        tokens: &[u32],
        cache: &mut Cache,
        on_queries: &mut dyn FnMut(usize, &Tensor) -> CandleResult<()>,
    ) -> CandleResult<Tensor> {
        let (n_rows, start) = (cache.n_rows(), cache.len());
        if tokens.is_empty() || !tokens.len().is_multiple_of(n_rows) {
            bail!("{} tokens for {n_rows} rows", tokens.len());
        }
        let n = tokens.len() / n_rows;
        let ids = Tensor::new(tokens, self.positions.device())?;
        let x = self.embedding.weight.index_select(&ids, 0)?.reshape((n_rows, n, ()))?;
        let mut x = x.broadcast_add(&self.positions.narrow(0, start, n)?)?;
        let audio = cache.audio().clone();
        for (index, (layer, (audio_keys, audio_values))) in self.layers.iter().zip(&*audio.layers).enumerate() {
            let [queries, keys, values] = layer.attention.project(&x)?;
            let (keys, values) = cache.append(index, &keys, &values)?;
            let mixed = attention(&queries, &keys, &values, self.n_heads, Some(start))?;
            x = layer.attention.out.forward_onto(&mixed, &x)?;
            let queries = layer.cross_queries.forward(&layer.cross_norm.forward(&x)?)?;
            on_queries(index, &queries)?;
            // Rows that hear the same window are more queries to its keys.
            let queries = queries.reshape((1, n_rows * n, ()))?;
            let mixed = attention(&queries, audio_keys, audio_values, self.n_heads, None)?;
            x = layer.cross_out.forward_onto(&mixed.reshape(x.shape())?, &x)?;
            x = layer.mlp.forward(&x)?;
        }
        cache.advance(n);
        Ok(x)
    }

    /// Scores for every token of the vocabulary, `[.., n_vocab]`.
    fn scores(&self, x: &Tensor) -> CandleResult<Tensor> {
        self.embedding.forward(&self.norm.forward(x)?)
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
