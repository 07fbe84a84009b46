//! The model on a GPU.

use std::{
    num::NonZero,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    cache::{Audio, Cache, Shape},
    weights::{Linear, Weights},
};
use crate::{
    Error, Result,
    infer::{
        compute_type::ComputeType,
        cuda::{self, Element, Gpu, Memory, Multiply, Span},
        weights::Checkpoint,
        whisper::{choice::Choices, config::Dimensions},
    },
};

/// The most windows that are encoded together; more do not make a GPU any busier.
const MAX_WINDOWS: usize = 128;

/// A loaded model. Any number of threads may use it; the GPU does their work one after the other.
#[derive(Debug)]
pub(in crate::infer::whisper) struct Model {
    pub(super) gpu: Arc<dyn Gpu>,
    pub(super) dimensions: Dimensions,
    pub(super) weights: Weights,
    /// As many windows as have been found to fit into the memory together.
    n_windows: AtomicUsize,
}

/// The next tokens of the sequences of one cache.
#[derive(Debug)]
pub(in crate::infer::whisper) struct Feed<'a> {
    /// The sequences so far.
    pub cache: &'a mut Cache,
    /// The next `n` tokens of each row, `[n_rows, n]` in row order.
    pub tokens: &'a [u32],
    /// After which of the `n` scores are wanted.
    pub wanted: &'a [usize],
    /// What to choose by them.
    pub choices: Option<Choices<'a>>,
}

/// The tokens that never come, and those that do not come first: bits, `[2, ceil(n_vocab / 32)]`, in the GPU's memory.
#[derive(Debug)]
pub(in crate::infer::whisper) struct Masks {
    memory: Memory,
}

impl Masks {
    /// Addresses of the two.
    pub(super) fn addresses(&self) -> [u64; 2] {
        let all = self.memory.all();
        [all.start(), all.start() + (all.n_bytes() / 2) as u64]
    }
}

/// Opens a GPU that computes in these numbers; by default in half precision.
///
/// # Errors
/// [`Error::Unsupported`] for numbers that it does not compute in, and when the GPU cannot be used.
pub(in crate::infer::whisper) fn open(index: usize, compute_type: ComputeType) -> Result<Arc<dyn Gpu>> {
    let element = match compute_type {
        ComputeType::Auto | ComputeType::Float16 => Element::F16,
        ComputeType::BFloat16 => Element::BF16,
        ComputeType::Float32 => Element::F32,
        ComputeType::Int8 => {
            return Err(Error::Unsupported("compute type int8 on CUDA; expected float16, bfloat16 or float32".into()));
        }
    };
    cuda::open(index, element)
}

/// The numbers that a GPU was opened for.
pub(in crate::infer::whisper) fn compute_type(gpu: &dyn Gpu) -> ComputeType {
    match gpu.element() {
        Element::F16 => ComputeType::Float16,
        Element::BF16 => ComputeType::BFloat16,
        Element::F32 => ComputeType::Float32,
    }
}

impl Model {
    /// Reads the weights onto the device.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] with the bytes of all weights, [`Error::Weights`].
    pub(in crate::infer::whisper) fn load(checkpoint: &Checkpoint, gpu: Arc<dyn Gpu>) -> Result<Self> {
        let dimensions = Dimensions::of(checkpoint)?;
        let weights = Weights::load(checkpoint, &dimensions, &gpu)?;
        Ok(Self { gpu, dimensions, weights, n_windows: AtomicUsize::new(MAX_WINDOWS) })
    }

    /// What is heard in each of some windows, each dense `[n_mels, n_frames]`.
    ///
    /// Encodes as many at once as the memory allows: when it does not suffice, half as many, and goes on.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] when not even one fits beside what is there.
    pub(in crate::infer::whisper) fn encode(&self, mels: &[&[f32]], n_frames: usize) -> Result<Vec<Audio>> {
        let mut audios = Vec::with_capacity(mels.len());
        while audios.len() < mels.len() {
            let rest = &mels[audios.len()..];
            let n = rest.len().min(self.n_windows.load(Ordering::Relaxed)).max(1);
            match self.encode_together(&rest[..n], n_frames) {
                Ok(more) => audios.extend(more),
                Err(Error::OutOfMemory { .. }) if n > 1 => self.n_windows.store(n / 2, Ordering::Relaxed),
                Err(error) => return Err(error),
            }
        }
        Ok(audios)
    }

    /// An empty memory of `n_rows` sequences that all hear `audio`.
    pub(in crate::infer::whisper) fn new_cache(&self, audio: &Audio, n_rows: usize) -> Result<Cache> {
        let n_rows = NonZero::new(n_rows).ok_or_else(|| Error::InvalidInput("a cache of 0 rows".into()))?;
        Cache::new(&self.gpu, audio, self.shape(self.dimensions.n_text_ctx), n_rows.get())
    }

    pub(super) fn shape(&self, capacity: usize) -> Shape {
        Shape { n_planes: 2 * self.dimensions.n_decoder_layers, capacity, width: self.dimensions.width }
    }

    /// The device's memory that is free, where it is known.
    pub(in crate::infer::whisper) fn free_bytes(&self) -> Option<u64> {
        self.gpu.free_bytes()
    }

    /// Sets of forbidden tokens, for [`Self::answer`].
    pub(in crate::infer::whisper) fn masks(&self, forbidden: &[Vec<usize>; 2]) -> Result<Masks> {
        let n_words = self.dimensions.n_vocab.div_ceil(32);
        let mut words = vec![0_u32; 2 * n_words];
        for (tokens, words) in forbidden.iter().zip(words.chunks_mut(n_words)) {
            for &token in tokens.iter().filter(|token| **token < self.dimensions.n_vocab) {
                words[token / 32] |= 1 << (token % 32);
            }
        }
        Ok(Masks { memory: Memory::of(&self.gpu, &words)? })
    }

    /// `out = input weight^T`, or added to `out`.
    pub(super) fn product(
        &self,
        layer: &Linear,
        input: Span<'_>,
        out: Span<'_>,
        n_rows: usize,
        accumulates: bool,
    ) -> Result<()> {
        let Linear { n_outputs: n_columns, n_inputs: n_inner, .. } = *layer;
        Multiply {
            out,
            left: input,
            right: layer.weight.all(),
            n_rows,
            n_columns,
            n_inner,
            row_strides: [n_columns, n_inner, n_inner],
            strides: [0; 3],
            n_products: 1,
            out_element: self.gpu.element(),
            accumulates,
        }
        .run(&*self.gpu)
    }
}
