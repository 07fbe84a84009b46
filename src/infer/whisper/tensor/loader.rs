//! Reading the model's parts out of a checkpoint.

use candle_core::{Device, Tensor};

use super::model::{Decoder, DecoderLayer, Encoder, EncoderLayer, Mlp, SelfAttention};
use crate::{
    Result,
    infer::{
        ops::{Conv3, LayerNorm, Linear},
        weights::Checkpoint,
        whisper::config::Dimensions,
    },
};

/// Takes the model's parts out of a checkpoint.
pub(super) struct Loader<'a> {
    pub checkpoint: &'a Checkpoint,
    pub device: &'a Device,
    pub width: usize,
}

impl Loader<'_> {
    pub(super) fn encoder(&self, dimensions: &Dimensions) -> Result<Encoder> {
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

    pub(super) fn decoder(&self, dimensions: &Dimensions) -> Result<Decoder> {
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
