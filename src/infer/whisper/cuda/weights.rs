//! The model's weights in a GPU's memory.
//!
//! Of the attentions' biases only the queries' remains: a bias of the keys adds the same to all scores of a query, which
//! the softmax takes out again, and a bias of the values passes through it unchanged, so it is multiplied into the bias of
//! the projection that follows.

use std::{cell::Cell, sync::Arc};

use candle_core::Device;

use crate::{
    Error, Result,
    infer::{
        cuda::{Gpu, HEAD, Memory, encode},
        weights::Checkpoint,
        whisper::config::Dimensions,
    },
};

/// Everything that is learned.
#[derive(Debug)]
pub(super) struct Weights {
    pub conv1: Linear,
    pub conv2: Linear,
    /// `[n_audio_ctx, width]` in f32.
    pub audio_positions: Memory,
    pub encoder: Vec<EncoderLayer>,
    pub encoder_norm: Norm,
    /// Keys and values of all decoder layers from the encoder's output, `[n_layers, 2, width, width]`.
    pub cross: Memory,
    /// `[n_vocab, width]`.
    pub embedding: Memory,
    /// `[n_text_ctx, width]` in f32.
    pub text_positions: Memory,
    pub decoder: Vec<DecoderLayer>,
    pub decoder_norm: Norm,
}

/// A matrix `[n_outputs, n_inputs]` (a convolution: one for each of its three taps) and an f32 bias.
#[derive(Debug)]
pub(super) struct Linear {
    pub weight: Memory,
    pub bias: Memory,
    pub n_outputs: usize,
    pub n_inputs: usize,
}

/// Scale and shift of a layer normalisation, in f32.
#[derive(Debug)]
pub(super) struct Norm {
    pub gamma: Memory,
    pub beta: Memory,
}

#[derive(Debug)]
pub(super) struct EncoderLayer {
    pub attention: Attention,
    pub mlp: Mlp,
}

#[derive(Debug)]
pub(super) struct DecoderLayer {
    pub attention: Attention,
    pub cross: Attention,
    pub mlp: Mlp,
}

/// `project` gives queries, keys and values, or (across) queries alone; its bias is the queries'.
#[derive(Debug)]
pub(super) struct Attention {
    pub norm: Norm,
    pub project: Linear,
    pub out: Linear,
}

#[derive(Debug)]
pub(super) struct Mlp {
    pub norm: Norm,
    pub up: Linear,
    pub down: Linear,
}

impl Weights {
    /// Reads a checkpoint onto the device.
    pub(super) fn load(checkpoint: &Checkpoint, dimensions: &Dimensions, gpu: &Arc<dyn Gpu>) -> Result<Self> {
        let heads = [dimensions.n_encoder_heads, dimensions.n_decoder_heads];
        if heads.iter().any(|n_heads| n_heads * HEAD != dimensions.width) {
            return Err(Error::Unsupported(format!(
                "a model of width {} with {heads:?} heads; on a GPU heads are {HEAD} wide, as all of Whisper's are",
                dimensions.width
            )));
        }
        let loader = Loader { checkpoint, gpu, width: dimensions.width, loaded_bytes: Cell::new(0) };
        loader.weights(dimensions).map_err(|error| match error {
            Error::OutOfMemory { device, available_bytes, .. } => {
                let n_elements: usize =
                    checkpoint.names().filter_map(|name| checkpoint.shape(name)).map(n_elements).sum();
                let needed_bytes = (n_elements * gpu.element().n_bytes()) as u64;
                Error::OutOfMemory {
                    device,
                    needed_bytes,
                    available_bytes: available_bytes + loader.loaded_bytes.get(),
                }
            }
            error => error,
        })
    }
}

fn n_elements(shape: &[usize]) -> usize {
    shape.iter().product()
}

struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    gpu: &'a Arc<dyn Gpu>,
    width: usize,
    loaded_bytes: Cell<u64>,
}

impl Loader<'_> {
    fn weights(&self, dimensions: &Dimensions) -> Result<Weights> {
        let Dimensions { n_mels, n_audio_ctx, n_text_ctx, n_vocab, .. } = *dimensions;
        let encoder = |index| self.encoder_layer(&format!("encoder.layers.{index}"));
        let decoder = |index| self.decoder_layer(&format!("decoder.layers.{index}"));
        let mut cross = Vec::new();
        for index in 0..dimensions.n_decoder_layers {
            for part in ["k_proj", "v_proj"] {
                cross.extend(self.square(&format!("decoder.layers.{index}.encoder_attn.{part}.weight"))?);
            }
        }
        Ok(Weights {
            conv1: self.conv("encoder.conv1", n_mels)?,
            conv2: self.conv("encoder.conv2", self.width)?,
            audio_positions: self.vector("encoder.embed_positions.weight", &[n_audio_ctx, self.width])?,
            encoder: (0..dimensions.n_encoder_layers).map(encoder).collect::<Result<_>>()?,
            encoder_norm: self.norm("encoder.layer_norm")?,
            cross: self.matrix(&cross)?,
            embedding: self.matrix(&self.values("decoder.embed_tokens.weight", &[n_vocab, self.width])?)?,
            text_positions: self.vector("decoder.embed_positions.weight", &[n_text_ctx, self.width])?,
            decoder: (0..dimensions.n_decoder_layers).map(decoder).collect::<Result<_>>()?,
            decoder_norm: self.norm("decoder.layer_norm")?,
        })
    }

    fn encoder_layer(&self, prefix: &str) -> Result<EncoderLayer> {
        Ok(EncoderLayer { attention: self.attention(prefix, "self_attn", true)?, mlp: self.mlp(prefix)? })
    }

    fn decoder_layer(&self, prefix: &str) -> Result<DecoderLayer> {
        Ok(DecoderLayer {
            attention: self.attention(prefix, "self_attn", true)?,
            cross: self.attention(prefix, "encoder_attn", false)?,
            mlp: self.mlp(prefix)?,
        })
    }

    fn attention(&self, prefix: &str, name: &str, is_fused: bool) -> Result<Attention> {
        let width = self.width;
        let at = |part: &str| format!("{prefix}.{name}.{part}");
        let mut project = self.square(&at("q_proj.weight"))?;
        if is_fused {
            project.extend(self.square(&at("k_proj.weight"))?);
            project.extend(self.square(&at("v_proj.weight"))?);
        }
        let out = self.square(&at("out_proj.weight"))?;
        let (value_bias, mut bias) = (self.bias(&at("v_proj.bias"), width)?, self.bias(&at("out_proj.bias"), width)?);
        for (bias, row) in bias.iter_mut().zip(out.chunks_exact(width)) {
            let through: f64 = row.iter().zip(&value_bias).map(|(&w, &b)| f64::from(w) * f64::from(b)).sum();
            *bias = (f64::from(*bias) + through) as f32;
        }
        Ok(Attention {
            norm: self.norm(&format!("{prefix}.{name}_layer_norm"))?,
            project: self.linear(&project, &self.bias(&at("q_proj.bias"), width)?, width)?,
            out: self.linear(&out, &bias, width)?,
        })
    }

    fn mlp(&self, prefix: &str) -> Result<Mlp> {
        let hidden = self.checkpoint.shape(&format!("{prefix}.fc1.weight")).map_or(0, |shape| shape[0]);
        let linear = |name: &str, n_outputs, n_inputs| {
            let weight = self.values(&format!("{prefix}.{name}.weight"), &[n_outputs, n_inputs])?;
            self.linear(&weight, &self.bias(&format!("{prefix}.{name}.bias"), n_outputs)?, n_inputs)
        };
        Ok(Mlp {
            norm: self.norm(&format!("{prefix}.final_layer_norm"))?,
            up: linear("fc1", hidden, self.width)?,
            down: linear("fc2", self.width, hidden)?,
        })
    }

    /// From `[width, n_inputs, 3]`, tap by tap.
    fn conv(&self, name: &str, n_inputs: usize) -> Result<Linear> {
        let weight = self.values(&format!("{name}.weight"), &[self.width, n_inputs, 3])?;
        let taps: Vec<f32> = (0..3).flat_map(|tap| weight.iter().skip(tap).step_by(3).copied()).collect();
        let bias = Memory::of(self.gpu, &self.bias(&format!("{name}.bias"), self.width)?)?;
        Ok(Linear { weight: self.matrix(&taps)?, bias, n_outputs: self.width, n_inputs })
    }

    fn norm(&self, name: &str) -> Result<Norm> {
        let vector = |part: &str| self.vector(&format!("{name}.{part}"), &[self.width]);
        Ok(Norm { gamma: vector("weight")?, beta: vector("bias")? })
    }

    fn linear(&self, weight: &[f32], bias: &[f32], n_inputs: usize) -> Result<Linear> {
        let bias = Memory::of(self.gpu, bias)?;
        let n_outputs = weight.len() / n_inputs.max(1);
        Ok(Linear { weight: self.matrix(weight)?, bias, n_outputs, n_inputs })
    }

    fn matrix(&self, values: &[f32]) -> Result<Memory> {
        let bytes = encode(self.gpu.element(), values);
        let memory = Memory::of(self.gpu, &bytes)?;
        self.loaded_bytes.set(self.loaded_bytes.get() + bytes.len() as u64);
        Ok(memory)
    }

    fn vector(&self, name: &str, shape: &[usize]) -> Result<Memory> {
        Memory::of(self.gpu, &self.values(name, shape)?)
    }

    fn square(&self, name: &str) -> Result<Vec<f32>> {
        self.values(name, &[self.width, self.width])
    }

    /// Zeros when there is none.
    fn bias(&self, name: &str, n: usize) -> Result<Vec<f32>> {
        if self.checkpoint.shape(name).is_some() { self.values(name, &[n]) } else { Ok(vec![0.0; n]) }
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        Ok(self.checkpoint.tensor(name, shape, &Device::Cpu)?.flatten_all()?.to_vec1()?)
    }
}
