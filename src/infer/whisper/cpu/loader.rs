//! Reading the model's parts out of a checkpoint, straight into the form that they are used in.

use std::ops::Range;

use half::{f16, slice::HalfFloatSliceExt};
use rayon::prelude::*;

use super::{
    decoder::{Decoder, DecoderLayer},
    embedding::Embedding,
    encoder::{Encoder, EncoderLayer, Mlp, SelfAttention},
    linear::{Float, Linear, Norm},
};
use crate::{
    Error, Result,
    infer::{
        compute_type::ComputeType,
        kernels::{COLUMNS, MAX_HEAD_SIZE, Numbers, Packed},
        weights::Checkpoint,
        whisper::config::Dimensions,
    },
};

/// Rows that are read at once where they stay in floats.
const ROWS: usize = 64;

/// Takes the model's parts out of a checkpoint.
pub(super) struct Loader<'a> {
    pub checkpoint: &'a Checkpoint,
    pub width: usize,
    pub in_integers: bool,
}

/// Matrices of one number of columns, one below the other, with their biases.
struct Stack<'a> {
    /// Name without `.weight` or `.bias`, and the number of rows.
    parts: Vec<(&'a str, usize)>,
    n_inputs: usize,
    /// Values of an input that lie side by side in the file and apart here: the taps of a convolution, else 1.
    n_taps: usize,
    /// Integers that it is turned to.
    numbers: Numbers,
}

impl Loader<'_> {
    /// What this model computes in when `asked` is asked for.
    pub(super) fn compute_type(dimensions: &Dimensions, asked: ComputeType) -> Result<ComputeType> {
        let head_size = dimensions.width / dimensions.n_encoder_heads.min(dimensions.n_decoder_heads);
        match asked {
            ComputeType::Float32 => Ok(ComputeType::Float32),
            ComputeType::Auto if head_size > MAX_HEAD_SIZE => Ok(ComputeType::Float32),
            ComputeType::Int8 if head_size > MAX_HEAD_SIZE => Err(Error::Unsupported(format!(
                "int8 with attention heads of {head_size} values; at most {MAX_HEAD_SIZE} are possible, use float32"
            ))),
            ComputeType::Auto | ComputeType::Int8 => Ok(ComputeType::Int8),
            ComputeType::Float16 | ComputeType::BFloat16 => Err(Error::Unsupported(format!(
                "compute type {asked} on the processor; expected auto, int8 or float32"
            ))),
        }
    }

    pub(super) fn encoder(&self, dimensions: &Dimensions) -> Result<Encoder> {
        let layer = |index: usize| {
            let prefix = format!("encoder.layers.{index}");
            Ok(EncoderLayer { attention: self.self_attention(&prefix)?, mlp: self.mlp(&prefix, Numbers::Bytes)? })
        };
        let (windows, scratches) = Encoder::pools();
        Ok(Encoder {
            conv1: self.conv("encoder.conv1", dimensions.n_mels)?,
            conv2: self.conv("encoder.conv2", self.width)?,
            positions: self.values("encoder.embed_positions.weight", &[dimensions.n_audio_ctx, self.width])?,
            layers: (0..dimensions.n_encoder_layers).map(layer).collect::<Result<_>>()?,
            norm: self.norm("encoder.layer_norm")?,
            n_heads: dimensions.n_encoder_heads,
            in_integers: self.in_integers,
            windows,
            scratches,
        })
    }

    pub(super) fn decoder(&self, dimensions: &Dimensions) -> Result<Decoder> {
        let down = if dimensions.has_words() { Numbers::Words } else { Numbers::Bytes };
        Ok(Decoder {
            embedding: self.embedding(dimensions.n_vocab)?,
            positions: self.values("decoder.embed_positions.weight", &[dimensions.n_text_ctx, self.width])?,
            layers: (0..dimensions.n_decoder_layers)
                .map(|index| self.decoder_layer(index, down))
                .collect::<Result<_>>()?,
            norm: self.norm("decoder.layer_norm")?,
            n_heads: dimensions.n_decoder_heads,
        })
    }

    fn decoder_layer(&self, index: usize, down: Numbers) -> Result<DecoderLayer> {
        let prefix = format!("decoder.layers.{index}");
        Ok(DecoderLayer {
            attention: self.self_attention(&prefix)?,
            cross_norm: self.norm(&format!("{prefix}.encoder_attn_layer_norm"))?,
            cross_queries: self.square(&prefix, "encoder_attn", &["q_proj"])?,
            cross_fused: self.square(&prefix, "encoder_attn", &["k_proj", "v_proj"])?,
            cross_out: self.square(&prefix, "encoder_attn", &["out_proj"])?,
            mlp: self.mlp(&prefix, down)?,
        })
    }

    fn self_attention(&self, prefix: &str) -> Result<SelfAttention> {
        Ok(SelfAttention {
            norm: self.norm(&format!("{prefix}.self_attn_layer_norm"))?,
            fused: self.square(prefix, "self_attn", &["q_proj", "k_proj", "v_proj"])?,
            out: self.square(prefix, "self_attn", &["out_proj"])?,
        })
    }

    fn square(&self, prefix: &str, module: &str, parts: &[&str]) -> Result<Linear> {
        let names: Vec<_> = parts.iter().map(|part| format!("{prefix}.{module}.{part}")).collect();
        let parts: Vec<_> = names.iter().map(|name| (name.as_str(), self.width)).collect();
        self.linear(&parts, self.width, Numbers::Bytes)
    }

    fn mlp(&self, prefix: &str, down_numbers: Numbers) -> Result<Mlp> {
        let (up, down) = (format!("{prefix}.fc1"), format!("{prefix}.fc2"));
        let hidden = self.checkpoint.shape(&format!("{up}.weight")).map_or(0, |shape| shape[0]);
        Ok(Mlp {
            norm: self.norm(&format!("{prefix}.final_layer_norm"))?,
            up: self.linear(&[(&up, hidden)], self.width, Numbers::Bytes)?,
            down: self.linear(&[(&down, self.width)], hidden, down_numbers)?,
        })
    }

    fn conv(&self, name: &str, n_inputs: usize) -> Result<Linear> {
        let parts = vec![(name, self.width)];
        self.stack(&Stack { parts, n_inputs: 3 * n_inputs, n_taps: 3, numbers: Numbers::Bytes }, &mut [])
    }

    fn linear(&self, parts: &[(&str, usize)], n_inputs: usize, numbers: Numbers) -> Result<Linear> {
        self.stack(&Stack { parts: parts.to_vec(), n_inputs, n_taps: 1, numbers }, &mut [])
    }

    fn embedding(&self, n_vocab: usize) -> Result<Embedding> {
        let parts = vec![("decoder.embed_tokens", n_vocab)];
        let stack = Stack { parts, n_inputs: self.width, n_taps: 1, numbers: Numbers::Bytes };
        self.check(&stack)?;
        let mut exact = vec![f16::ZERO; if self.in_integers { n_vocab * self.width } else { 0 }];
        Ok(Embedding { all: self.stack(&stack, &mut exact)?, exact })
    }

    /// Names what is wrong with the weights before anything of their size is allocated.
    fn check(&self, stack: &Stack<'_>) -> Result<()> {
        stack.parts.iter().try_for_each(|&(name, n)| {
            self.checkpoint.read_rows(&format!("{name}.weight"), &stack.shape(n), 0..0, &mut [])
        })
    }

    fn norm(&self, name: &str) -> Result<Norm> {
        let vector = |part: &str| self.values(&format!("{name}.{part}"), &[self.width]);
        Ok(Norm { gamma: vector("weight")?, beta: vector("bias")? })
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        // The shape is compared before anything of its size is allocated.
        let is_there = self.checkpoint.shape(name) == Some(shape);
        let mut values = vec![0.0; if is_there { shape.iter().product() } else { 0 }];
        self.checkpoint.read_into(name, shape, &mut values)?;
        Ok(values)
    }

    /// The layer; where it is turned to integers, `exact`, unless it is empty, gets the weights as they were.
    fn stack(&self, stack: &Stack<'_>, exact: &mut [f16]) -> Result<Linear> {
        self.check(stack)?;
        let mut bias = Vec::new();
        for &(name, n) in &stack.parts {
            let name = format!("{name}.bias");
            match self.checkpoint.shape(&name) {
                Some(_) => bias.extend(self.values(&name, &[n])?),
                None => bias.resize(bias.len() + n, 0.0),
            }
        }
        if bias.is_empty() || stack.n_inputs == 0 {
            let name = stack.parts.first().map_or("", |part| part.0);
            let reason = format!("tensor {name}.weight is missing or empty");
            return Err(Error::Weights { path: self.checkpoint.directory().to_owned(), reason });
        }
        if !self.in_integers {
            let mut weight = vec![0.0; bias.len() * stack.n_inputs];
            weight.par_chunks_mut(ROWS * stack.n_inputs).enumerate().try_for_each(|(index, rows)| {
                let start = index * ROWS;
                stack.read(self.checkpoint, start..start + rows.len() / stack.n_inputs, rows)
            })?;
            return Ok(Linear::Float(Float { weight, bias }));
        }
        let mut packed = Packed::zeros(bias.len(), stack.n_inputs, stack.numbers);
        let mut exact = exact.chunks_mut(COLUMNS * stack.n_inputs);
        let exact: Vec<_> = (0..bias.len().div_ceil(COLUMNS)).map(|_| exact.next().unwrap_or_default()).collect();
        packed.panels_mut().zip(exact).try_for_each_init(Vec::new, |rows, (mut panel, exact)| {
            let outputs = panel.outputs.clone();
            rows.resize(outputs.len() * stack.n_inputs, 0.0);
            stack.read(self.checkpoint, outputs.clone(), rows)?;
            if !exact.is_empty() {
                exact.convert_from_f32_slice(rows);
            }
            panel.fill(rows, &bias[outputs]);
            Ok::<_, Error>(())
        })?;
        Ok(Linear::Integer(packed))
    }
}

impl Stack<'_> {
    fn shape(&self, n_rows: usize) -> Vec<usize> {
        match self.n_taps {
            1 => vec![n_rows, self.n_inputs],
            n => vec![n_rows, self.n_inputs / n, n],
        }
    }

    /// Reads some rows of the whole.
    fn read(&self, checkpoint: &Checkpoint, rows: Range<usize>, out: &mut [f32]) -> Result<()> {
        let (mut start, mut rest) = (0, &mut *out);
        for &(name, n) in &self.parts {
            let wanted = rows.start.max(start)..rows.end.min(start + n);
            if !wanted.is_empty() {
                let (here, later) = rest.split_at_mut(wanted.len() * self.n_inputs);
                let wanted = wanted.start - start..wanted.end - start;
                checkpoint.read_rows(&format!("{name}.weight"), &self.shape(n), wanted, here)?;
                rest = later;
            }
            start += n;
        }
        if self.n_taps > 1 {
            let mut row_of_file = vec![0.0; self.n_inputs];
            let n_inputs = self.n_inputs / self.n_taps;
            for row in out.chunks_exact_mut(self.n_inputs) {
                row_of_file.copy_from_slice(row);
                for (index, value) in row.iter_mut().enumerate() {
                    *value = row_of_file[index % n_inputs * self.n_taps + index / n_inputs];
                }
            }
        }
        Ok(())
    }
}
