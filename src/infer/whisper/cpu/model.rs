//! The model as a whole.

use std::sync::Arc;

use rayon::prelude::*;

use super::{
    cache::Cache,
    decoder::Decoder,
    encoder::{Encoder, Mel},
    linear::{By, Input},
    loader::Loader,
    memory::Memory,
    pool::{Lent, Pool},
};
use crate::{
    Result,
    infer::{
        compute_type::ComputeType,
        kernels::Finish,
        weights::Checkpoint,
        whisper::{config::Dimensions, model::Alignment},
    },
};

/// Sets of keys and values of audio that wait for the next window; each is about 20 MB for base.
const MAX_IDLE: usize = 4;

/// A model on the processor.
#[derive(Debug)]
pub(in crate::infer::whisper) struct Model {
    dimensions: Dimensions,
    encoder: Encoder,
    decoder: Decoder,
    audios: Pool<Vec<Memory>>,
}

/// What is heard in one window: every decoder layer's keys and values of it.
#[derive(Debug, Clone)]
pub(in crate::infer::whisper) struct Audio {
    layers: Arc<Lent<Vec<Memory>>>,
}

/// The next tokens of the sequences of one cache; see [`crate::infer::whisper::model::Step`].
#[derive(Debug)]
pub(in crate::infer::whisper) struct Step<'a> {
    pub cache: &'a mut Cache,
    pub tokens: &'a [u32],
    pub wanted: &'a [usize],
}

impl Model {
    /// Reads the weights.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for numbers that the processor does not compute in; as [`Checkpoint::read_rows`].
    pub(in crate::infer::whisper) fn load(checkpoint: &Checkpoint, compute_type: ComputeType) -> Result<Self> {
        let dimensions = Dimensions::of(checkpoint)?;
        let compute_type = Loader::compute_type(&dimensions, compute_type)?;
        let loader = Loader { checkpoint, width: dimensions.width, in_integers: compute_type == ComputeType::Int8 };
        let (encoder, decoder) = (loader.encoder(&dimensions)?, loader.decoder(&dimensions)?);
        Ok(Self { dimensions, encoder, decoder, audios: Pool::new(MAX_IDLE) })
    }

    /// What a model of these sizes computes in when `asked` is asked for.
    ///
    /// # Errors
    /// [`crate::Error::Unsupported`] for numbers that the processor does not compute in.
    pub(in crate::infer::whisper) fn compute_type_of(
        dimensions: &Dimensions,
        asked: ComputeType,
    ) -> Result<ComputeType> {
        Loader::compute_type(dimensions, asked)
    }

    /// What is heard in each window.
    pub(in crate::infer::whisper) fn encode(&self, mels: &[&[f32]], n_frames: usize) -> Vec<Audio> {
        let encode = |values: &&[f32]| self.encode_one(Mel { values, n_frames });
        // A window has about 24 blocks: more threads than that are busy only with several windows.
        if mels.len() > 1 && rayon::current_num_threads() > 8 {
            mels.par_iter().map(encode).collect()
        } else {
            mels.iter().map(encode).collect()
        }
    }

    fn encode_one(&self, mel: Mel<'_>) -> Audio {
        let window = self.encoder.forward(mel);
        let Dimensions { width, n_decoder_heads, .. } = self.dimensions;
        let (n_positions, layers) = (mel.n_frames / 2, &self.decoder.layers);
        let is_wanted =
            |memories: &Vec<Memory>| memories.first().is_some_and(|memory| memory.n_positions() == n_positions);
        let mut memories = self.audios.take(is_wanted, || {
            let memory = |_| Memory::new(n_positions, n_decoder_heads, width, self.encoder.in_integers);
            layers.iter().map(memory).collect()
        });
        let mut parts: Vec<Vec<_>> = window.blocks.iter().map(|_| Vec::with_capacity(layers.len())).collect();
        for memory in memories.iter_mut() {
            parts.iter_mut().zip(memory.parts_mut()).for_each(|(parts, part)| parts.push(part));
        }
        window.blocks.par_iter().zip(parts).for_each(|(block, parts)| {
            let mut scratch = self.encoder.scratch();
            let scratch = &mut *scratch;
            scratch.hidden.resize(2 * block.x.len(), 0.0);
            for (layer, mut part) in layers.iter().zip(parts) {
                let (input, fused) = (Input::dense(&block.x, width), &mut scratch.hidden);
                layer.cross_fused.forward(input, &mut scratch.rows, fused, Finish::Set, By::OneThread);
                part.fill(fused, &fused[width..], 2 * width);
            }
        });
        Audio { layers: Arc::new(memories) }
    }

    /// The encoder's output `[n_frames / 2, width]`.
    #[cfg(test)]
    pub(in crate::infer::whisper) fn features(&self, mel: &[f32], n_frames: usize) -> Vec<f32> {
        let window = self.encoder.forward(Mel { values: mel, n_frames });
        window.blocks.iter().flat_map(|block| &block.x).copied().collect()
    }

    /// An empty memory of `n_rows` sequences that hear `audio`.
    pub(in crate::infer::whisper) fn new_cache(&self, audio: &Audio, n_rows: usize) -> Cache {
        Cache::new(audio.clone(), self.decoder.layers.len(), n_rows, self.dimensions.width)
    }

    /// Feeds the next tokens of every row; returns the scores after the wanted ones.
    pub(in crate::infer::whisper) fn decode(&self, steps: &mut [Step<'_>]) -> Result<Vec<Vec<f32>>> {
        self.decoder.forward(steps, &mut self.encoder.scratch())
    }

    /// How `tokens`, fed as one sequence, attend to the audio.
    pub(in crate::infer::whisper) fn align(
        &self,
        audio: &Audio,
        tokens: &[u32],
        heads: &[(usize, usize)],
    ) -> Result<Alignment> {
        let mut cache = self.new_cache(audio, 1);
        let step = Step { cache: &mut cache, tokens, wanted: &[] };
        self.decoder.align(step, heads, &mut self.encoder.scratch())
    }
}

impl Audio {
    /// Keys and values for a decoder layer.
    pub(super) fn layer(&self, index: usize) -> &Memory {
        &self.layers[index]
    }

    /// Positions of the encoder's output.
    pub(in crate::infer::whisper) fn n_positions(&self) -> usize {
        self.layers.first().map_or(0, Memory::n_positions)
    }
}
