//! Whisper as all of decoding sees it: windows are encoded, tokens are fed, scores come back. Behind it is an engine.

use std::sync::Arc;

use super::{
    choice::{Answer, Choices, Masks},
    config::Dimensions,
    cpu, cuda, headroom, tensor,
    words::{Listeners, listeners},
};
use crate::{
    Error, Result,
    infer::{compute_type::ComputeType, device::Device, weights::Checkpoint},
};

/// A loaded model. It is never changed: any number of threads may use it, each with its own [`Cache`].
#[derive(Debug)]
pub(crate) struct Whisper {
    dimensions: Dimensions,
    listeners: Listeners,
    compute_type: ComputeType,
    device: Device,
    engine: Engine,
    threads: Option<Arc<rayon::ThreadPool>>,
}

/// What computes.
#[derive(Debug)]
enum Engine {
    Tensor(Box<tensor::Model>),
    Cpu(Box<cpu::Model>),
    Cuda(Box<cuda::Model>),
}

/// What is heard in one window: every decoder layer's keys and values of it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) enum Audio {
    /// Of the engine of tensors.
    Tensor(tensor::Audio),
    /// Of the processor's engine.
    Cpu(cpu::Audio),
    /// Of a GPU of NVIDIA's.
    Cuda(cuda::Audio),
}

/// What the decoder remembers of some sequences of equal length that hear the same window.
#[derive(Debug)]
pub(crate) enum Cache {
    /// Of the engine of tensors.
    Tensor(tensor::Cache),
    /// Of the processor's engine.
    Cpu(cpu::Cache),
    /// Of a GPU of NVIDIA's.
    Cuda(cuda::Cache),
}

/// The next tokens of the sequences of one cache.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    /// The sequences so far.
    pub cache: &'a mut Cache,
    /// The next `n` tokens of each row, `[n_rows, n]` in row order.
    pub tokens: &'a [u32],
    /// After which of the `n` the scores are wanted.
    pub wanted: &'a [usize],
    /// What to choose by the scores where the engine can; they stay where they are then.
    pub choices: Option<Choices<'a>>,
}

/// How tokens relate to the audio.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Alignment {
    /// Scaled products of queries and keys, before the softmax, `[heads.len(), tokens.len(), n_positions]`.
    pub scores: Vec<f32>,
    /// Scores of the next token after each token, `[tokens.len(), n_vocab]`.
    pub logits: Vec<f32>,
}

impl Whisper {
    /// Reads the weights onto the device.
    ///
    /// # Errors
    /// [`Error::Unsupported`] when the device does not compute in these numbers; [`Error::OutOfMemory`],
    /// [`Error::Weights`].
    pub(crate) fn load(checkpoint: &Checkpoint, device: &Device, compute_type: ComputeType) -> Result<Self> {
        let dimensions = Dimensions::of(checkpoint)?;
        let listeners = listeners(checkpoint, &dimensions);
        let (engine, compute_type) = match device {
            Device::Cpu => {
                let compute_type = cpu::Model::compute_type_of(&dimensions, compute_type)?;
                headroom::check(checkpoint.directory(), &dimensions.memory(compute_type))?;
                (Engine::Cpu(Box::new(cpu::Model::load(checkpoint, compute_type)?)), compute_type)
            }
            Device::Cuda(index) => {
                let gpu = cuda::open(*index, compute_type)?;
                let compute_type = cuda::compute_type(&*gpu);
                (Engine::Cuda(Box::new(cuda::Model::load(checkpoint, gpu)?)), compute_type)
            }
            // The engine of tensors computes in f32 whatever is asked for.
            Device::Metal(device) => {
                (Engine::Tensor(Box::new(tensor::Model::load(checkpoint, device)?)), ComputeType::Float32)
            }
        };
        Ok(Self { dimensions, listeners, compute_type, device: device.clone(), engine, threads: None })
    }

    /// Runs all of the model's work on these threads from now on, instead of rayon's global ones.
    pub(crate) fn on_threads(self, threads: Arc<rayon::ThreadPool>) -> Self {
        Self { threads: Some(threads), ..self }
    }

    /// The sizes.
    pub(crate) fn dimensions(&self) -> &Dimensions {
        &self.dimensions
    }

    /// The decoder heads that words are placed by.
    pub(crate) fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// The numbers that it computes in; never [`ComputeType::Auto`].
    pub(crate) fn compute_type(&self) -> ComputeType {
        self.compute_type
    }

    /// Where the weights are.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// What is heard in each of some log-mel windows, each dense `[n_mels, n_frames]`.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] when `n_frames` is odd, 0 or more than `2 * n_audio_ctx`, or a window has another size.
    pub(crate) fn encode(&self, mels: &[&[f32]], n_frames: usize) -> Result<Vec<Audio>> {
        let Dimensions { n_mels, n_audio_ctx, .. } = self.dimensions;
        if n_frames == 0 || !n_frames.is_multiple_of(2) || n_frames > 2 * n_audio_ctx {
            let limit = 2 * n_audio_ctx;
            return Err(Error::InvalidInput(format!("a window of {n_frames} frames; expected an even 2 to {limit}")));
        }
        if let Some(mel) = mels.iter().find(|mel| mel.len() != n_mels * n_frames) {
            let n = mel.len();
            return Err(Error::InvalidInput(format!("a window of {n} values; expected {n_mels} x {n_frames}")));
        }
        if mels.is_empty() {
            return Ok(Vec::new());
        }
        self.install(|| match &self.engine {
            Engine::Tensor(model) => Ok(model.encode(mels, n_frames)?.into_iter().map(Audio::Tensor).collect()),
            Engine::Cpu(model) => Ok(model.encode(mels, n_frames).into_iter().map(Audio::Cpu).collect()),
            Engine::Cuda(model) => Ok(model.encode(mels, n_frames)?.into_iter().map(Audio::Cuda).collect()),
        })
    }

    /// An empty memory of `n_rows` sequences, at least one, that all hear `audio`.
    pub(crate) fn new_cache(&self, audio: &Audio, n_rows: usize) -> Result<Cache> {
        match (&self.engine, audio) {
            (Engine::Tensor(model), Audio::Tensor(audio)) => Ok(Cache::Tensor(model.new_cache(audio, n_rows)?)),
            (Engine::Cpu(model), Audio::Cpu(audio)) => Ok(Cache::Cpu(model.new_cache(audio, n_rows))),
            (Engine::Cuda(model), Audio::Cuda(audio)) => Ok(Cache::Cuda(model.new_cache(audio, n_rows)?)),
            _ => Err(of_another_model()),
        }
    }

    /// One step of many independent caches; for each its scores, or what was chosen by them.
    ///
    /// A row's scores do not depend on what else is in the call, up to rounding. An error leaves the caches of a GPU as
    /// they were.
    pub(crate) fn decode(&self, steps: &mut [Step<'_>]) -> Result<Vec<Answer>> {
        self.install(|| match &self.engine {
            Engine::Tensor(model) => {
                let decode = |step: &mut Step<'_>| match &mut *step.cache {
                    Cache::Tensor(cache) => Ok(Answer::Scores(model.decode(step.tokens, step.wanted, cache)?)),
                    Cache::Cpu(_) | Cache::Cuda(_) => Err(of_another_model()),
                };
                steps.iter_mut().map(decode).collect()
            }
            Engine::Cpu(model) => {
                let mut own = Vec::with_capacity(steps.len());
                for step in steps {
                    let Cache::Cpu(cache) = &mut *step.cache else { return Err(of_another_model()) };
                    own.push(cpu::Step { cache, tokens: step.tokens, wanted: step.wanted });
                }
                Ok(model.decode(&mut own)?.into_iter().map(Answer::Scores).collect())
            }
            Engine::Cuda(model) => model.answer(&mut feeds(steps)?),
        })
    }

    /// Sets of tokens that never come, and of those that do not come first, for an engine that chooses tokens by itself;
    /// `None` where none does.
    pub(crate) fn masks(&self, forbidden: &[Vec<usize>; 2]) -> Result<Option<Masks>> {
        match &self.engine {
            Engine::Tensor(_) | Engine::Cpu(_) => Ok(None),
            Engine::Cuda(model) => Ok(Some(Masks(model.masks(forbidden)?))),
        }
    }

    /// Bytes of the device's memory that are free; `None` where that is not known, or is the processor's.
    pub(crate) fn free_bytes(&self) -> Option<u64> {
        match &self.engine {
            Engine::Tensor(_) | Engine::Cpu(_) => None,
            Engine::Cuda(model) => model.free_bytes(),
        }
    }

    /// A model on a GPU that is the processor.
    #[cfg(all(test, feature = "cuda-on-host"))]
    pub(crate) fn on_host(checkpoint: &Checkpoint, gpu: Arc<crate::infer::cuda::Host>) -> Result<Self> {
        let dimensions = Dimensions::of(checkpoint)?;
        let listeners = listeners(checkpoint, &dimensions);
        let compute_type = cuda::compute_type(&*gpu);
        let engine = Engine::Cuda(Box::new(cuda::Model::load(checkpoint, gpu)?));
        Ok(Self { dimensions, listeners, compute_type, device: Device::Cuda(0), engine, threads: None })
    }

    /// How `tokens`, fed as one sequence, attend to the audio in some decoder heads, `(layer, head)` from 0.
    pub(crate) fn align(&self, audio: &Audio, tokens: &[u32], heads: &[(usize, usize)]) -> Result<Alignment> {
        let Dimensions { n_decoder_layers, n_decoder_heads, .. } = self.dimensions;
        if let Some((layer, head)) = heads.iter().find(|(l, h)| *l >= n_decoder_layers || *h >= n_decoder_heads) {
            return Err(Error::InvalidInput(format!(
                "head {head} of layer {layer}; the decoder has {n_decoder_layers} layers of {n_decoder_heads} heads"
            )));
        }
        self.install(|| match (&self.engine, audio) {
            (Engine::Tensor(model), Audio::Tensor(audio)) => Ok(model.align(audio, tokens, heads)?),
            (Engine::Cpu(model), Audio::Cpu(audio)) => model.align(audio, tokens, heads),
            (Engine::Cuda(model), Audio::Cuda(audio)) => {
                let (scores, logits) = model.align(audio, tokens, heads)?;
                Ok(Alignment { scores, logits })
            }
            _ => Err(of_another_model()),
        })
    }

    /// Runs other work on the model's threads.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.threads {
            Some(threads) => threads.install(work),
            None => work(),
        }
    }
}

impl Audio {
    /// Positions of the encoder's output: half the frames of the window.
    pub(crate) fn n_positions(&self) -> usize {
        match self {
            Self::Tensor(audio) => audio.n_positions(),
            Self::Cpu(audio) => audio.n_positions(),
            Self::Cuda(audio) => audio.n_positions(),
        }
    }
}

impl Cache {
    /// Number of sequences.
    pub(crate) fn n_rows(&self) -> usize {
        match self {
            Self::Tensor(cache) => cache.n_rows(),
            Self::Cpu(cache) => cache.n_rows(),
            Self::Cuda(cache) => cache.n_rows(),
        }
    }

    /// Tokens of each sequence so far.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Tensor(cache) => cache.len(),
            Self::Cpu(cache) => cache.len(),
            Self::Cuda(cache) => cache.len(),
        }
    }

    /// Forgets all tokens, keeps the memory and what is heard.
    pub(crate) fn clear(&mut self) {
        match self {
            Self::Tensor(cache) => cache.clear(),
            Self::Cpu(cache) => cache.clear(),
            Self::Cuda(cache) => cache.clear(),
        }
    }

    /// Row `i` continues what was row `rows[i]`; there may be more or fewer rows than before.
    pub(crate) fn select(&mut self, rows: &[usize]) -> Result<()> {
        match self {
            Self::Tensor(cache) => Ok(cache.select(rows)?),
            Self::Cpu(cache) => cache.select(rows),
            Self::Cuda(cache) => cache.select(rows),
        }
    }
}

/// Steps as a GPU takes them.
fn feeds<'a>(steps: &'a mut [Step<'_>]) -> Result<Vec<cuda::Feed<'a>>> {
    let feed = |step: &'a mut Step<'_>| match &mut *step.cache {
        Cache::Cuda(cache) => Ok(cuda::Feed { cache, tokens: step.tokens, wanted: step.wanted, choices: step.choices }),
        Cache::Tensor(_) | Cache::Cpu(_) => Err(of_another_model()),
    };
    steps.iter_mut().map(feed).collect()
}

fn of_another_model() -> Error {
    Error::InvalidInput("the audio or the cache is another model's; use those that this model made".into())
}
