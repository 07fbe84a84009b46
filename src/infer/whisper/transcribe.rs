//! A whole recording, window after window. Source: openai/whisper `transcribe.py` (20250625).

use std::{borrow::Cow, ops::ControlFlow, sync::Arc};

use ndarray::Array2;

use super::{
    decode::{Decoded, Decoding, Request, run},
    fallback,
    history::{History, clips},
    languages,
    model::{Audio, Whisper},
    options::{Options, Progress, Task},
    rules::Rules,
    segments::{Cut, MIN_ADVANCE, Window, split},
    tokenizer::Tokenizer,
    words::{Aligner, Place, last_end, next_seek},
};
use crate::{
    Error, Result,
    audio::mel::{HOP_LENGTH, N_FRAMES, N_SAMPLES, SAMPLE_RATE, log_mel},
    text::transcript::{Segment, Transcript},
};

/// Samples up to this size, the smallest step of 16 bits, are digital silence.
///
/// Differs from openai/whisper, which hears words in it.
const SILENCE: f32 = 1.0 / 32_768.0;
/// Tokens between two looks whether the caller wants to stop.
const TOKENS_PER_CHECK: usize = 4;

/// Told of progress; says whether to go on.
type OnProgress<'p> = &'p mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// One transcription on its way.
pub(super) struct Run<'a> {
    model: &'a Whisper,
    rules: Arc<Rules>,
    options: &'a Options,
    samples: Cow<'a, [f32]>,
    language: Option<String>,
    /// Where the language was detected: all of them, the likeliest first.
    language_probabilities: Vec<(String, f32)>,
    segments: Vec<Segment>,
    history: History,
    /// Whether no window was decoded yet.
    is_first: bool,
    /// The end of what was said so far, seconds, where words have times.
    last_speech_s: f64,
}

impl<'a> Run<'a> {
    /// Prepares to transcribe; `language` is one that the model knows.
    pub(super) fn new(
        model: &'a Whisper,
        rules: Arc<Rules>,
        options: &'a Options,
        language: Option<String>,
        samples: &'a [f32],
    ) -> Result<Self> {
        let is_multilingual = model.dimensions().is_multilingual();
        Ok(Self {
            history: History::new(options, rules.tokenizer(), model.dimensions().n_text_ctx)?,
            options,
            samples: finite(samples),
            language: if is_multilingual { language } else { Some("en".to_owned()) },
            language_probabilities: Vec::new(),
            segments: Vec::new(),
            is_first: true,
            last_speech_s: 0.0,
            model,
            rules,
        })
    }

    /// Decodes all windows.
    pub(super) fn transcribe(mut self, on_progress: OnProgress<'_>) -> Result<Transcript> {
        let n_frames = self.samples.len() / HOP_LENGTH;
        let n_mels = self.model.dimensions().n_mels;
        let mel = self.model.install(|| log_mel(&self.samples, n_mels, N_SAMPLES))?;
        for clip in clips(self.options, n_frames) {
            let end = clip.seek + clip.n_frames;
            let mut seek = clip.seek;
            while seek < end {
                let window = Window { seek, n_frames: N_FRAMES.min(end - seek) };
                let fraction = seek as f32 / n_frames as f32;
                report(on_progress, fraction, &self.segments, "")?;
                seek = if self.is_silent(window) {
                    window.seek + window.n_frames
                } else {
                    // However the window was cut, the next one is a later one.
                    self.window(&mel, window, fraction, on_progress)?.max(window.seek + MIN_ADVANCE)
                };
            }
        }
        report(on_progress, 1.0, &self.segments, "")?;
        Ok(Transcript {
            text: self.tokenizer().decode(self.history.said()).trim().to_owned(),
            language: self.language.unwrap_or_else(|| "en".to_owned()),
            language_probability: self.language_probabilities.first().map(|(_, probability)| *probability),
            duration_s: self.samples.len() as f64 / f64::from(SAMPLE_RATE),
            segments: self.segments,
            language_probabilities: self.language_probabilities,
        })
    }

    /// Decodes a window, keeps its segments and returns the frame where the next one starts.
    fn window(
        &mut self,
        mel: &Array2<f32>,
        window: Window,
        fraction: f32,
        on_progress: OnProgress<'_>,
    ) -> Result<usize> {
        let mel = padded(mel, window);
        let audio = self.model.encode(&[&mel], N_FRAMES)?.swap_remove(0);
        let spoken = self.language_of(&audio)?;
        let (decoded, last_temperature) = self.decode_with_fallback(&audio, &spoken, window, &mut |tokens| {
            let partial = self.tokenizer().decode(tokens);
            on_progress(Progress { fraction, segments: &self.segments, partial: partial.trim() })
        })?;
        self.is_first = false;
        if fallback::is_without_speech(self.options, &decoded) {
            return Ok(window.seek + window.n_frames);
        }
        let Cut { mut segments, advance, ends_on_single } = split(self.tokenizer(), window, &decoded);
        // Differs from openai/whisper: segments without text or length are dropped instead of kept empty.
        segments.retain(|segment| !segment.tokens.is_empty());
        let mut seek = window.seek + advance;
        if self.options.word_timestamps {
            self.add_words(&mut segments, &audio, &mel, &spoken, window)?;
            let n_frames = self.samples.len() / HOP_LENGTH;
            let place = Place { window, n_frames, ends_on_single, last_speech_s: self.last_speech_s };
            let threshold = self.options.hallucination_silence_threshold.map(f64::from);
            seek = next_seek(&mut segments, &place, seek, threshold);
            self.last_speech_s = last_end(&segments).unwrap_or(self.last_speech_s);
        }
        for segment in segments {
            self.history.push(&segment.tokens);
            self.segments.push(Segment { id: self.segments.len(), ..segment });
        }
        if !self.options.condition_on_previous_text || last_temperature > self.options.prompt_reset_on_temperature {
            self.history.reset();
        }
        Ok(seek)
    }

    fn add_words(
        &self,
        segments: &mut [Segment],
        audio: &Audio,
        mel: &[f32],
        spoken: &str,
        window: Window,
    ) -> Result<()> {
        let aligner = Aligner {
            model: self.model,
            tokenizer: self.tokenizer(),
            heads: self.model.alignment_heads(),
            start: &self.start_tokens(spoken),
            language: if self.options.task == Task::Translate { "en" } else { spoken },
            prepended: &self.options.prepend_punctuations,
            appended: &self.options.append_punctuations,
            mel: Some(mel),
        };
        aligner.add(segments, audio, window.n_frames, self.last_speech_s)
    }

    /// Tries one temperature after the other until a result is neither repetitive nor improbable; returns the one to
    /// believe and the last temperature.
    fn decode_with_fallback(
        &self,
        audio: &Audio,
        language: &str,
        window: Window,
        on_tokens: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<(Decoded, f32)> {
        let mut start = self.start_tokens(language);
        if self.options.without_timestamps {
            start.push(self.rules.special().no_timestamps);
        }
        let mut tries = Vec::new();
        for (index, &temperature) in self.options.temperatures.iter().enumerate() {
            let request = Request {
                rules: Arc::clone(&self.rules),
                prompt: self.history.prompt(self.is_first),
                start: start.clone(),
                given: self.history.given(self.is_first).to_vec(),
                temperature,
                beam_size: self.options.beam_size,
                best_of: self.options.best_of,
                patience: self.options.patience,
                length_penalty: self.options.length_penalty,
                max_new_tokens: self.options.max_new_tokens,
                // Each window and each try has draws of its own, whatever happened before.
                seed: self.options.seed.wrapping_add(((window.seek as u64) << 8) + index as u64),
            };
            let result = self.decode(request, audio, on_tokens)?;
            let is_good = !fallback::needs_fallback(self.options, &result);
            tries.push(result);
            if is_good {
                break;
            }
        }
        let last_temperature = tries.last().map_or(0.0, |last| last.temperature);
        let chosen = fallback::choose(self.options, tries);
        chosen
            .map(|chosen| (chosen, last_temperature))
            .ok_or_else(|| Error::InvalidInput("no temperature was given".into()))
    }

    fn decode(
        &self,
        request: Request,
        audio: &Audio,
        on_tokens: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<Decoded> {
        let mut n_steps = 0;
        let mut check = |decodings: &[Decoding]| {
            n_steps += 1;
            match decodings {
                [decoding] if n_steps % TOKENS_PER_CHECK == 0 => on_tokens(decoding.tokens()),
                _ => ControlFlow::Continue(()),
            }
        };
        let mut decoding = [Decoding::new(request, self.model, audio)?];
        Ok(run(self.model, &mut decoding, &mut check)?.swap_remove(0))
    }

    fn tokenizer(&self) -> &Tokenizer {
        self.rules.tokenizer()
    }

    fn start_tokens(&self, language: &str) -> Vec<u32> {
        let (special, known) = (self.rules.special(), self.tokenizer().languages());
        let mut tokens = vec![special.start_of_transcript];
        if self.model.dimensions().is_multilingual() {
            tokens.extend(known.iter().find(|(code, _)| code == language).map(|(_, token)| token));
            tokens.push(match self.options.task {
                Task::Transcribe => special.transcribe,
                Task::Translate => special.translate,
            });
        }
        tokens
    }

    /// The language of a window: the one that was given or heard first, or in a multilingual recording the window's own.
    ///
    /// Differs from openai/whisper: uses the first window that is not silent, as it is decoded, and so spares an encoder pass.
    fn language_of(&mut self, audio: &Audio) -> Result<String> {
        let listens_again = self.options.multilingual && self.model.dimensions().is_multilingual();
        if let Some(language) = self.language.as_ref().filter(|_| !listens_again) {
            return Ok(language.clone());
        }
        let probabilities = languages::detect(self.model, self.tokenizer(), audio)?;
        let heard = probabilities.first().map_or_else(|| "en".to_owned(), |(code, _)| code.clone());
        if self.language.is_none() {
            self.language = Some(heard.clone());
            self.language_probabilities = probabilities;
        }
        Ok(heard)
    }

    fn is_silent(&self, window: Window) -> bool {
        let start = window.seek * HOP_LENGTH;
        let end = (start + window.n_frames * HOP_LENGTH).min(self.samples.len());
        self.samples[start..end].iter().all(|sample| sample.abs() <= SILENCE)
    }
}

fn report(on_progress: OnProgress<'_>, fraction: f32, segments: &[Segment], partial: &str) -> Result<()> {
    if on_progress(Progress { fraction, segments, partial }).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}

/// The samples, with silence in place of values that are not numbers.
fn finite(samples: &[f32]) -> Cow<'_, [f32]> {
    if samples.iter().all(|sample| sample.is_finite()) {
        return Cow::Borrowed(samples);
    }
    samples.iter().map(|&sample| if sample.is_finite() { sample } else { 0.0 }).collect()
}

/// A window's features, `[n_mels, N_FRAMES]`, zero behind the content.
fn padded(mel: &Array2<f32>, window: Window) -> Vec<f32> {
    let mut input = vec![0.0; mel.nrows() * N_FRAMES];
    for (row, out) in mel.rows().into_iter().zip(input.chunks_exact_mut(N_FRAMES)) {
        for (out, value) in out.iter_mut().zip(row.iter().skip(window.seek).take(window.n_frames)) {
            *out = *value;
        }
    }
    input
}
