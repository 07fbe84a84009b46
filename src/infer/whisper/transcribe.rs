//! A whole recording, window after window. Source: openai/whisper `transcribe.py` (20250625).

use std::{ops::ControlFlow, sync::Arc};

use super::{
    decode::{Decoded, Request},
    fallback,
    features::{Features, Heard, LOOKAHEAD},
    model::{Audio, Step},
    options::{Options, Progress},
    recording::Recording,
    rules::Rules,
    sample::likeliest,
    scheduler::{self, Session},
    segments::{Window, split},
    tokenizer::Tokenizer,
};
use crate::{
    Error, Result,
    audio::mel::{HOP_LENGTH, N_FRAMES, SAMPLE_RATE},
    infer::kernels::log_sum_exp,
    text::transcript::{Segment, Transcript},
};

/// Above this temperature the text of a window is too uncertain to be the prompt of the next one.
const MAX_PROMPT_TEMPERATURE: f32 = 0.5;

/// One transcription on its way.
pub(super) struct Run<'a> {
    session: Session<'a>,
    rules: Arc<Rules>,
    options: &'a Options,
    features: Features<'a>,
    /// Frames that the recording has, as far as it is known beforehand.
    expected_frames: usize,
    language: Option<String>,
    language_probability: Option<f32>,
    is_language_detected: bool,
    segments: Vec<Segment>,
    /// Text tokens of the prompt and of all segments, and where in them the next prompt begins.
    tokens: Vec<u32>,
    n_initial_tokens: usize,
    prompt_start: usize,
}

impl<'a> Run<'a> {
    /// Prepares to transcribe; `language` is one that the model knows.
    pub(super) fn new(
        session: Session<'a>,
        rules: Arc<Rules>,
        options: &'a Options,
        language: Option<&str>,
        recording: Recording<'a>,
    ) -> Result<Self> {
        let tokens = match options.prompt.as_deref().map(str::trim).filter(|prompt| !prompt.is_empty()) {
            Some(prompt) => rules.tokenizer().encode(&format!(" {prompt}"))?,
            None => Vec::new(),
        };
        let language = match language {
            None if !session.model().dimensions().is_multilingual() => Some("en"),
            language => language,
        };
        let Recording { source, expected_s, .. } = recording;
        let expected_frames =
            expected_s.map_or(0.0, |expected_s| expected_s * f64::from(SAMPLE_RATE)) as usize / HOP_LENGTH;
        Ok(Self {
            options,
            features: Features::new(source, session.model().dimensions().n_mels, LOOKAHEAD)?,
            expected_frames,
            language: language.map(str::to_owned),
            language_probability: None,
            is_language_detected: false,
            segments: Vec::new(),
            n_initial_tokens: tokens.len(),
            tokens,
            prompt_start: 0,
            session,
            rules,
        })
    }

    /// Decodes all windows.
    pub(super) fn transcribe(
        mut self,
        on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Transcript> {
        let mut seek = 0;
        while let Some(heard) = self.features.window(seek, self.session.model())? {
            let fraction = seek as f32 / self.expected_frames.max(self.features.n_frames()) as f32;
            report(on_progress, fraction, &self.segments)?;
            seek += if heard.is_silent {
                heard.window.n_frames
            } else {
                let rules = Arc::clone(&self.rules);
                self.window(heard, &mut |segments, tokens| {
                    on_progress(Progress { fraction, segments, partial: rules.tokenizer().decode(tokens).trim() })
                })?
            };
        }
        report(on_progress, 1.0, &self.segments)?;
        Ok(Transcript {
            text: self.tokenizer().decode(&self.tokens[self.n_initial_tokens..]).trim().to_owned(),
            language: self.language.unwrap_or_else(|| "en".to_owned()),
            language_probability: self.language_probability,
            duration_s: self.features.duration_s(),
            segments: self.segments,
        })
    }

    /// Decodes a window, keeps its segments and returns how many frames further the next one starts.
    fn window(&mut self, heard: Heard, check: &mut dyn FnMut(&[Segment], &[u32]) -> ControlFlow<()>) -> Result<usize> {
        let Heard { window, mel, .. } = heard;
        let segments = &self.segments;
        let encoded = self.session.encode(mel, N_FRAMES, self.options.beam_size, &mut || check(segments, &[]))?;
        if self.language.is_none() || (self.options.multilingual && self.is_language_detected) {
            self.detect_language(&encoded.audio)?;
        }
        let (decoded, last_temperature) = self.decode_with_fallback(&encoded, window, check)?;
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
        encoded: &scheduler::Window,
        window: Window,
        check: &mut dyn FnMut(&[Segment], &[u32]) -> ControlFlow<()>,
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
            let result = self.session.decode(request, encoded, &mut |tokens| check(segments, tokens))?;
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
        if self.session.model().dimensions().is_multilingual() {
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
        let model = self.session.model();
        let mut cache = model.new_cache(audio, 1)?;
        let tokens = [self.rules.special().start_of_transcript];
        let logits = model.decode(&mut [Step { cache: &mut cache, tokens: &tokens, wanted: &[0] }])?.concat();
        let languages = self.rules.tokenizer().languages();
        let scores: Vec<f32> = languages.iter().map(|(_, token)| logits[*token as usize]).collect();
        let best = likeliest(&scores);
        if let Some((code, _)) = languages.get(best) {
            self.is_language_detected = true;
            self.language = Some(code.clone());
            self.language_probability = Some((scores[best] - log_sum_exp(&scores)).exp());
        }
        Ok(())
    }
}

fn report(
    on_progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    fraction: f32,
    segments: &[Segment],
) -> Result<()> {
    if on_progress(Progress { fraction, segments, partial: "" }).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}
