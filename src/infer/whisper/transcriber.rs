//! A loaded model, ready to transcribe.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use super::{
    config::Dimensions,
    model::Whisper,
    options::{Options, Progress},
    rules::Rules,
    tokenizer::Tokenizer,
    transcribe::Run,
};
use crate::{
    Error, Result,
    infer::{
        compute_type::ComputeType,
        device::{Choice, Device},
        weights::Checkpoint,
    },
    text::transcript::Transcript,
};

/// Most threads that can be asked for.
const MAX_THREADS: usize = 1024;

/// Whisper with its weights, tokenizer and threads. Can be shared: every call keeps its own state.
#[derive(Debug)]
pub struct Transcriber {
    model: Whisper,
    rules: Arc<Rules>,
}

/// Where a model is to run, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadOptions {
    /// The device.
    pub device: Choice,
    /// The numbers that it computes in.
    pub compute_type: ComputeType,
    /// Processor threads that the model uses; `RAYON_NUM_THREADS` or one for each core when absent.
    pub num_threads: Option<usize>,
}

impl Transcriber {
    /// Loads the model of a directory: `CTranslate2`'s files or Hugging Face's.
    ///
    /// # Errors
    /// [`Error::NotFound`] when no model is there, [`Error::Weights`] when its files are damaged or do not fit each
    /// other, [`Error::Unsupported`] for a device that this build or machine lacks, [`Error::InvalidInput`] for an
    /// impossible number of threads.
    pub fn load(directory: &Path, options: &LoadOptions) -> Result<Self> {
        let device = options.device.open()?;
        if let Some(n) = options.num_threads.filter(|n| !(1..=MAX_THREADS).contains(n)) {
            return Err(Error::InvalidInput(format!("num_threads is {n}; expected 1 to {MAX_THREADS}")));
        }
        let threads = rayon::ThreadPoolBuilder::new()
            // 0: RAYON_NUM_THREADS, or one for each core.
            .num_threads(options.num_threads.unwrap_or(0))
            .thread_name(|index| format!("whisper-{index}"))
            .build()
            .map_err(|error| Error::Model { source: Box::new(error) })?;
        let checkpoint = Checkpoint::open(directory)?;
        let tokenizer = Tokenizer::load(directory)?;
        let n_vocab = Dimensions::of(&checkpoint)?.n_vocab;
        if (n_vocab as u64) < u64::from(tokenizer.special().n_tokens()) {
            return Err(Error::Weights {
                path: directory.to_owned(),
                reason: format!(
                    "the model has {n_vocab} tokens and its tokenizer {}; they belong to different models",
                    tokenizer.special().n_tokens()
                ),
            });
        }
        let rules = Arc::new(Rules::new(Arc::new(tokenizer), n_vocab)?);
        let threads = Arc::new(threads);
        let model = threads.install(|| Whisper::load(&checkpoint, &device, options.compute_type))?;
        Ok(Self { model: model.on_threads(threads), rules })
    }

    /// The words in `samples` (mono, 16 kHz, in [-1, 1]) and their times.
    ///
    /// `on_progress` hears of every window, and between some of the tokens so that it can end the work early.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when `on_progress` breaks; [`Error::InvalidInput`] for impossible options, with the valid
    /// languages for an unknown one; [`Error::Model`] when the device fails.
    pub fn transcribe(
        &self,
        samples: &[f32],
        options: &Options,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript> {
        options.check()?;
        let language = options.language.as_deref().map(|code| self.language(code)).transpose()?;
        Run::new(&self.model, Arc::clone(&self.rules), options, language, samples)?.transcribe(on_progress)
    }

    /// Whether the model knows languages other than English.
    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        self.model.dimensions().is_multilingual()
    }

    /// Mel bands of the model's input: 80 or 128.
    #[must_use]
    pub fn n_mels(&self) -> usize {
        self.model.dimensions().n_mels
    }

    /// Codes of the languages that the model knows.
    #[must_use]
    pub fn languages(&self) -> Vec<&str> {
        let known = if self.is_multilingual() { self.rules.tokenizer().languages() } else { &[] };
        if known.is_empty() { vec!["en"] } else { known.iter().map(|(code, _)| code.as_str()).collect() }
    }

    /// Where the model runs: `cpu`, `cuda` or `metal`.
    #[must_use]
    pub fn device(&self) -> &'static str {
        match self.model.device() {
            Device::Cpu => "cpu",
            Device::Cuda(_) => "cuda",
            Device::Metal(_) => "metal",
        }
    }

    /// The numbers that the model computes in; never [`ComputeType::Auto`].
    #[must_use]
    pub fn compute_type(&self) -> ComputeType {
        self.model.compute_type()
    }

    fn language(&self, code: &str) -> Result<&str> {
        let known = self.languages();
        known.iter().copied().find(|known| known.eq_ignore_ascii_case(code)).ok_or_else(|| {
            Error::InvalidInput(format!("unknown language `{code}`; this model knows {}", known.join(", ")))
        })
    }
}
