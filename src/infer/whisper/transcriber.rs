//! A loaded model, ready to transcribe.

use std::{
    ops::ControlFlow,
    path::Path,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use super::{
    batched::Batch,
    chunks::{Chunks, TimeMap},
    clips::{ClipChunks, Clipped, clips},
    config::Dimensions,
    features::Source,
    languages::{self, code_of},
    model::Whisper,
    options::{Options, Progress, Task},
    recording::Recording,
    rules::Rules,
    scheduler::{Capacity, Client, Scheduler},
    tokenizer::Tokenizer,
    transcribe::Run,
};
use crate::{
    Error, Result,
    audio::mel::{N_FRAMES, N_SAMPLES, SAMPLE_RATE, log_mel},
    infer::{
        compute_type::ComputeType,
        device::{Choice, Device},
        vad::{Speech, Vad, VadOptions},
        weights::Checkpoint,
    },
    text::transcript::{Segment, Transcript},
};

/// Most threads that can be asked for.
const MAX_THREADS: usize = 1024;

/// Longest stretch of speech that is kept together where nothing else bounds it, seconds.
const MAX_SPEECH_S: f64 = 600.0;
/// Longest chunk of speech: one window, seconds. Source: faster-whisper 1.2.1 `BatchedInferencePipeline`.
const MAX_CHUNK_S: f64 = 30.0;

/// Whisper with its weights, tokenizer and threads. Can be shared: calls from several threads are worked on together.
#[derive(Debug)]
pub struct Transcriber {
    scheduler: Scheduler,
    /// With the default options.
    rules: Rules,
    vad: OnceLock<Arc<Vad>>,
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
        let model = model.on_threads(threads);
        let capacity = Capacity::of(&model);
        Ok(Self { scheduler: Scheduler::new(model, capacity)?, rules, vad: OnceLock::new() })
    }

    /// Gives it the detector that leaving out silence, batches and live speech need. The first one stays.
    pub fn use_vad(&self, vad: Arc<Vad>) {
        // A second one would be the same.
        let _ = self.vad.set(vad);
    }

    /// Whether it has a detector of voice activity.
    #[must_use]
    pub fn has_vad(&self) -> bool {
        self.vad.get().is_some()
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
        self.transcribe_recording(Recording::from_samples(samples), options, on_progress)
    }

    /// The words in a recording and their times; see [`Self::transcribe`].
    ///
    /// # Errors
    /// As [`Self::transcribe`]; [`Error::InvalidInput`] when silence is to be left out, or chunks or live speech are to be
    /// decoded, without a detector ([`Self::use_vad`]); [`Error::Busy`] when too many transcriptions are under way; the
    /// errors of the recording's blocks.
    pub fn transcribe_recording(
        &self,
        recording: Recording<'_>,
        options: &Options,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript> {
        options.validate()?;
        if options.task == Task::Translate && !self.is_multilingual() {
            return Err(Error::InvalidInput(
                "task is translate, but this model knows English alone; use a multilingual model such as base".into(),
            ));
        }
        options.language.as_deref().map(|name| self.language(name)).transpose()?;
        let client = self.scheduler.client()?;
        if recording.is_live || options.batch_size > 1 {
            self.transcribe_chunks(&client, recording, options, on_progress)
        } else if options.vad_filter {
            self.transcribe_speech(&client, recording, options, on_progress)
        } else {
            self.transcribe_windows(&client, recording, options, on_progress)
        }
    }

    /// Window after window, each with the text before it.
    pub(super) fn transcribe_windows(
        &self,
        client: &Client<'_>,
        recording: Recording<'_>,
        options: &Options,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript> {
        let language = options.language.as_deref().map(|name| self.language(name)).transpose()?;
        let rules = Arc::new(self.rules.with(options)?);
        Run::new(client.session(), rules, options, language, recording)?.transcribe(on_progress)
    }

    /// Window after window of the recording without its silence.
    fn transcribe_speech(
        &self,
        client: &Client<'_>,
        recording: Recording<'_>,
        options: &Options,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript> {
        let mut vad_options = options.vad.clone().unwrap_or_else(VadOptions::for_transcription);
        vad_options.max_speech_duration_s = vad_options.max_speech_duration_s.min(MAX_SPEECH_S);
        let expected_s = recording.expected_s;
        let n_read = AtomicUsize::new(0);
        let map = Mutex::new(TimeMap::default());
        let speech = Speech::new(self.vad()?, &vad_options, counted(recording.source, &n_read))?;
        let mut speech = Clipped::new(speech, clips(options));
        let pieces = std::iter::from_fn(|| {
            speech.next().map(|piece| {
                let (span, samples) = piece?;
                map.lock().unwrap_or_else(PoisonError::into_inner).push(span);
                Ok(samples)
            })
        });
        let mut restored: Vec<Segment> = Vec::new();
        let restore = |restored: &mut Vec<Segment>, segments: &[Segment]| {
            let map = map.lock().unwrap_or_else(PoisonError::into_inner);
            for segment in segments.iter().skip(restored.len()) {
                let mut segment = segment.clone();
                map.restore(&mut segment);
                restored.push(segment);
            }
        };
        let recording = Recording::from_blocks(pieces, expected_s);
        let rest = Options { clip_timestamps: Vec::new(), ..options.clone() };
        let transcript = self.transcribe_windows(client, recording, &rest, &mut |progress| {
            restore(&mut restored, progress.segments);
            on_progress(Progress { segments: &restored, ..progress })
        })?;
        restore(&mut restored, &transcript.segments);
        let duration_s = duration_s(options, expected_s, n_read.load(Relaxed));
        Ok(Transcript { segments: restored, duration_s, ..transcript })
    }

    /// Chunks of speech, or the parts that the options name, side by side or, when live, in turn.
    fn transcribe_chunks(
        &self,
        client: &Client<'_>,
        recording: Recording<'_>,
        options: &Options,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript> {
        let suited = if recording.is_live {
            VadOptions { min_silence_duration_ms: 500, speech_pad_ms: 200, ..VadOptions::for_transcription() }
        } else {
            // Source: faster-whisper 1.2.1 `BatchedInferencePipeline`.
            VadOptions { min_silence_duration_ms: 160, ..VadOptions::for_transcription() }
        };
        let mut vad_options = options.vad.clone().unwrap_or(suited);
        vad_options.max_speech_duration_s = vad_options.max_speech_duration_s.min(MAX_CHUNK_S);
        let Recording { source, expected_s, is_live } = recording;
        let n_read = AtomicUsize::new(0);
        let blocks = counted(source, &n_read);
        let has_chunks = !is_live && !options.vad_filter && !options.clip_timestamps.is_empty();
        let mut batch = Batch::new(self, client, &Options { clip_timestamps: Vec::new(), ..options.clone() });
        let mut report = |segments: &[Segment], partial: &str| {
            let done_s = segments.last().map_or(0.0, |segment| segment.end);
            let fraction = (done_s / expected_s.unwrap_or(0.0).max(seconds(n_read.load(Relaxed))).max(done_s)) as f32;
            on_progress(Progress { fraction: if fraction.is_finite() { fraction } else { 0.0 }, segments, partial })
        };
        if has_chunks {
            batch.side_by_side(ClipChunks::new(blocks, clips(options)), options.batch_size, &mut report)?;
        } else {
            let speech = Clipped::new(Speech::new(self.vad()?, &vad_options, blocks)?, clips(options));
            if is_live {
                // Whoever speaks is answered at every pause.
                batch.in_turn(Chunks::apart(speech), &mut report)?;
            } else {
                batch.side_by_side(Chunks::joined(speech).within(clips(options)), options.batch_size, &mut report)?;
            }
        }
        let transcript = batch.finish(duration_s(options, expected_s, n_read.load(Relaxed)));
        let progress = Progress { fraction: 1.0, segments: &transcript.segments, partial: "" };
        if on_progress(progress).is_break() { Err(Error::Cancelled) } else { Ok(transcript) }
    }

    fn vad(&self) -> Result<&Vad> {
        self.vad.get().map(Arc::as_ref).ok_or_else(|| {
            Error::InvalidInput(
                "telling speech from silence needs a model of its own; fetch it with `violet models fetch silero-vad`"
                    .into(),
            )
        })
    }

    /// Whether the model knows languages other than English.
    #[must_use]
    pub fn is_multilingual(&self) -> bool {
        self.model().dimensions().is_multilingual()
    }

    /// Mel bands of the model's input: 80 or 128.
    #[must_use]
    pub fn n_mels(&self) -> usize {
        self.model().dimensions().n_mels
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
        match self.model().device() {
            Device::Cpu => "cpu",
            Device::Cuda(_) => "cuda",
            Device::Metal(_) => "metal",
        }
    }

    /// The numbers that the model computes in; never [`ComputeType::Auto`].
    #[must_use]
    pub fn compute_type(&self) -> ComputeType {
        self.model().compute_type()
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
        let mel = self.model().install(|| log_mel(&samples, self.n_mels(), N_SAMPLES - samples.len()))?;
        let mel: Vec<f32> = mel.iter().copied().collect();
        let audio = self.model().encode(&[&mel], N_FRAMES)?.swap_remove(0);
        languages::detect(self.model(), self.rules.tokenizer(), &audio)
    }

    fn model(&self) -> &Whisper {
        self.scheduler.model()
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

/// The blocks of a source; `n_read` becomes the number of their samples.
fn counted<'a>(source: Source<'a>, n_read: &'a AtomicUsize) -> impl Iterator<Item = Result<Vec<f32>>> + Send + 'a {
    source.inspect(|block| {
        if let Ok(block) = block {
            n_read.fetch_add(block.len(), Relaxed);
        }
    })
}

/// The length of a recording that was read as far as was needed: behind the last clip nothing is.
fn duration_s(options: &Options, expected_s: Option<f64>, n_read: usize) -> f64 {
    let read_s = seconds(n_read);
    if options.clip_timestamps.is_empty() { read_s } else { expected_s.unwrap_or(0.0).max(read_s) }
}

fn seconds(n_samples: usize) -> f64 {
    n_samples as f64 / f64::from(SAMPLE_RATE)
}
