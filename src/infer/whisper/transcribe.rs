//! A whole recording, window after window. Source: openai/whisper `transcribe.py` (20250625).

use std::{borrow::Cow, ops::ControlFlow, sync::Arc};

use ndarray::Array2;

use super::{
    decode::{Decoded, Decoding, Request, run},
    fallback,
    model::{Audio, Step, Whisper},
    options::{Options, Progress},
    rules::Rules,
    sample::likeliest,
    segments::{Window, split},
    tokenizer::Tokenizer,
};
use crate::{
    Error, Result,
    audio::mel::{HOP_LENGTH, N_FRAMES, N_SAMPLES, SAMPLE_RATE, log_mel},
    infer::kernels::log_sum_exp,
    text::transcript::{Segment, Transcript},
};

/// Samples up to this size, the smallest step of 16 bits, are digital silence.
///
/// Differs from openai/whisper, which hears words in it.
const SILENCE: f32 = 1.0 / 32_768.0;
/// Above this temperature the text of a window is too uncertain to be the prompt of the next one.
const MAX_PROMPT_TEMPERATURE: f32 = 0.5;

/// One transcription on its way.
pub(super) struct Run<'a> {
    model: &'a Whisper,
    rules: Arc<Rules>,
    options: &'a Options,
    samples: Cow<'a, [f32]>,
    language: Option<String>,
    language_probability: Option<f32>,
    segments: Vec<Segment>,
    /// Text tokens of the prompt and of all segments, and where in them the next prompt begins.
    tokens: Vec<u32>,
    n_initial_tokens: usize,
    prompt_start: usize,
}

impl<'a> Run<'a> {
    /// Prepares to transcribe; `language` is one that the model knows.
    pub(super) fn new(
        model: &'a Whisper,
        rules: Arc<Rules>,
        options: &'a Options,
        language: Option<&str>,
        samples: &'a [f32],
    ) -> Result<Self> {
        let tokens = match options.prompt.as_deref().map(str::trim).filter(|prompt| !prompt.is_empty()) {
            Some(prompt) => rules.tokenizer().encode(&format!(" {prompt}"))?,
            None => Vec::new(),
        };
        let language = match language {
            None if !model.dimensions().is_multilingual() => Some("en"),
            language => language,
        };
        Ok(Self {
            options,
            samples: finite(samples),
            language: language.map(str::to_owned),
            language_probability: None,
            segments: Vec::new(),
            n_initial_tokens: tokens.len(),
            tokens,
            prompt_start: 0,
            model,
            rules,
        })
    }

    /// Decodes all windows.
    pub(super) fn transcribe(
        mut self,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript> {
        let n_frames = self.samples.len() / HOP_LENGTH;
        let n_mels = self.model.dimensions().n_mels;
        let mel = self.model.install(|| log_mel(&self.samples, n_mels, N_SAMPLES))?;
        let mut seek = 0;
        while seek < n_frames {
            let window = Window { seek, n_frames: N_FRAMES.min(n_frames - seek) };
            let fraction = seek as f32 / n_frames as f32;
            report(on_progress, fraction, &self.segments)?;
            seek += if self.is_silent(window) {
                window.n_frames
            } else {
                self.window(&mel, window, &mut |segments| on_progress(Progress { fraction, segments }))?
            };
        }
        report(on_progress, 1.0, &self.segments)?;
        Ok(Transcript {
            text: self.tokenizer().decode(&self.tokens[self.n_initial_tokens..]).trim().to_owned(),
            language: self.language.unwrap_or_else(|| "en".to_owned()),
            language_probability: self.language_probability,
            duration_s: self.samples.len() as f64 / f64::from(SAMPLE_RATE),
            segments: self.segments,
        })
    }

    /// Decodes a window, keeps its segments and returns how many frames further the next one starts.
    fn window(
        &mut self,
        mel: &Array2<f32>,
        window: Window,
        check: &mut dyn FnMut(&[Segment]) -> ControlFlow<()>,
    ) -> Result<usize> {
        let audio = self.model.encode(&[&padded(mel, window)], N_FRAMES)?.swap_remove(0);
        if self.language.is_none() {
            self.detect_language(&audio)?;
        }
        let (decoded, last_temperature) = self.decode_with_fallback(&audio, window, check)?;
        if fallback::is_without_speech(self.options, &decoded) {
            return Ok(window.n_frames);
        }
        let (segments, advance) = split(self.tokenizer(), window, &decoded);
        for segment in segments {
            // Differs from openai/whisper: segments without text or length are dropped instead of kept empty.
            if !segment.tokens.is_empty() {
                self.tokens.extend(&segment.tokens);
                self.segments.push(Segment { id: self.segments.len(), ..segment });
            }
        }
        if !self.options.condition_on_previous_text || last_temperature > MAX_PROMPT_TEMPERATURE {
            self.prompt_start = self.tokens.len();
        }
        Ok(advance)
    }

    /// Tries one temperature after the other until a result is neither repetitive nor improbable; returns the one to
    /// believe and the last temperature.
    fn decode_with_fallback(
        &mut self,
        audio: &Audio,
        window: Window,
        check: &mut dyn FnMut(&[Segment]) -> ControlFlow<()>,
    ) -> Result<(Decoded, f32)> {
        let start = self.start_tokens();
        let mut tries = Vec::new();
        for (index, &temperature) in self.options.temperatures.iter().enumerate() {
            let request = Request {
                rules: Arc::clone(&self.rules),
                prompt: self.tokens[self.prompt_start..].to_vec(),
                start: start.clone(),
                temperature,
                beam_size: self.options.beam_size,
                // Each window and each try has draws of its own, whatever happened before.
                seed: self.options.seed.wrapping_add(((window.seek as u64) << 8) + index as u64),
            };
            let segments = &self.segments;
            let mut decoding = [Decoding::new(request, self.model, audio)?];
            let result = run(self.model, &mut decoding, &mut || check(segments))?.swap_remove(0);
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

    fn tokenizer(&self) -> &Tokenizer {
        self.rules.tokenizer()
    }

    fn start_tokens(&self) -> Vec<u32> {
        let (special, languages) = (self.rules.special(), self.tokenizer().languages());
        let mut tokens = vec![special.start_of_transcript];
        if self.model.dimensions().is_multilingual() {
            let is_spoken = |code: &String| Some(code) == self.language.as_ref();
            tokens.extend(languages.iter().find(|(code, _)| is_spoken(code)).map(|(_, token)| token));
            tokens.push(special.transcribe);
        }
        tokens
    }

    /// Takes the likeliest language of the window.
    ///
    /// Differs from openai/whisper: uses the first window that is not silent, as it is decoded, and so spares an encoder pass.
    fn detect_language(&mut self, audio: &Audio) -> Result<()> {
        let mut cache = self.model.new_cache(audio, 1)?;
        let tokens = [self.rules.special().start_of_transcript];
        let logits = self.model.decode(&mut [Step { cache: &mut cache, tokens: &tokens, wanted: &[0] }])?.concat();
        let languages = self.rules.tokenizer().languages();
        let scores: Vec<f32> = languages.iter().map(|(_, token)| logits[*token as usize]).collect();
        let best = likeliest(&scores);
        if let Some((code, _)) = languages.get(best) {
            self.language = Some(code.clone());
            self.language_probability = Some((scores[best] - log_sum_exp(&scores)).exp());
        }
        Ok(())
    }

    fn is_silent(&self, window: Window) -> bool {
        let start = window.seek * HOP_LENGTH;
        let end = (start + window.n_frames * HOP_LENGTH).min(self.samples.len());
        self.samples[start..end].iter().all(|sample| sample.abs() <= SILENCE)
    }
}

fn report(
    on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    fraction: f32,
    segments: &[Segment],
) -> Result<()> {
    if on_progress(Progress { fraction, segments }).is_break() { Err(Error::Cancelled) } else { Ok(()) }
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
