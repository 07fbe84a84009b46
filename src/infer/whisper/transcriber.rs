//! A loaded model, ready to transcribe.

use std::{ops::ControlFlow, path::Path, sync::Arc};

use super::{
    config::Dimensions,
    languages::{self, code_of},
    model::Whisper,
    options::{Options, Progress, Task},
    rules::Rules,
    tokenizer::Tokenizer,
    transcribe::Run,
};
use crate::{
    Error, Result,
    audio::mel::{N_FRAMES, N_SAMPLES, log_mel},
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
    /// With the default options.
    rules: Rules,
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
    /// Loads a model: a directory or file of `CTranslate2`, Hugging Face (safetensors) or whisper.cpp (ggml).
    ///
    /// # Errors
    /// [`Error::NotFound`] when no model is there, [`Error::Weights`] when its files are damaged or do not fit each
    /// other, [`Error::Unsupported`] for a device that this build or machine lacks and for a model too large for memory, [`Error::InvalidInput`] for an
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
        let n_vocab = Dimensions::of(&checkpoint)?.n_vocab;
        let tokenizer = Tokenizer::of(&checkpoint, n_vocab)?;
        let rules = Rules::new(Arc::new(tokenizer), n_vocab)?;
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
        options.validate()?;
        if options.task == Task::Translate && !self.is_multilingual() {
            return Err(Error::InvalidInput(
                "task is translate, but this model knows English alone; use a multilingual model such as base".into(),
            ));
        }
        let language = options.language.as_deref().map(|name| self.language(name)).transpose()?;
        let rules = Arc::new(self.rules.with(options)?);
        Run::new(&self.model, rules, options, language, samples)?.transcribe(on_progress)
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

    /// The probability of every language that the model knows, the likeliest first, heard in the first 30 s of `samples`
    /// (mono, 16 kHz); only English for a model that knows no other.
    ///
    /// # Errors
    /// [`Error::Model`] when the device fails.
    pub fn detect_language(&self, samples: &[f32]) -> Result<Vec<(String, f32)>> {
        if !self.is_multilingual() {
            return Ok(vec![("en".to_owned(), 1.0)]);
        }
        let samples: Vec<f32> = samples.iter().take(N_SAMPLES).map(|s| if s.is_finite() { *s } else { 0.0 }).collect();
        let mel = self.model.install(|| log_mel(&samples, self.n_mels(), N_SAMPLES - samples.len()))?;
        let mel: Vec<f32> = mel.iter().copied().collect();
        let audio = self.model.encode(&[&mel], N_FRAMES)?.swap_remove(0);
        languages::detect(&self.model, self.rules.tokenizer(), &audio)
    }

    /// The code of a language that is given by its code or English name.
    fn language(&self, name: &str) -> Result<String> {
        let (code, known) = (code_of(name), self.languages());
        if known.contains(&code.as_str()) {
            return Ok(code);
        }
        let names = if known.len() > 1 { ", and their English names such as german" } else { "" };
        let known = known.join(", ");
        Err(Error::InvalidInput(format!("unknown language `{name}`; this model knows {known}{names}")))
    }
}
