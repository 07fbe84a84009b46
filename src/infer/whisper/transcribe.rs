//! A whole recording, window after window. Source: openai/whisper `transcribe.py` (20250625).

use std::{ops::ControlFlow, sync::Arc};

use super::{
    decode::{Decoded, Request},
    fallback,
    features::{Features, Heard, LOOKAHEAD},
    history::{History, clips},
    languages,
    model::Audio,
    options::{Options, Progress, Task},
    recording::Recording,
    rules::Rules,
    scheduler::{self, Session},
    segments::{Cut, MIN_ADVANCE, Window, split},
    tokenizer::Tokenizer,
    words::{Aligner, Listeners, Place, last_end, next_seek},
};
use crate::{
    Error, Result,
    audio::mel::{HOP_LENGTH, N_FRAMES, SAMPLE_RATE},
    text::transcript::{Segment, Transcript},
};

/// Told of progress; says whether to go on.
type OnProgress<'p> = &'p mut dyn FnMut(Progress<'_>) -> ControlFlow<()>;

/// One transcription on its way.
pub(super) struct Run<'a> {
    session: Session<'a>,
    rules: Arc<Rules>,
    options: &'a Options,
    features: Features<'a>,
    /// Frames that the recording has, as far as it is known beforehand.
    expected_frames: usize,
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
        session: Session<'a>,
        rules: Arc<Rules>,
        options: &'a Options,
        language: Option<String>,
        recording: Recording<'a>,
    ) -> Result<Self> {
        let sizes = session.model().dimensions();
        let is_multilingual = sizes.is_multilingual();
        let Recording { source, expected_s, .. } = recording;
        Ok(Self {
            history: History::new(options, rules.tokenizer(), sizes.n_text_ctx)?,
            options,
            features: Features::new(source, sizes.n_mels, LOOKAHEAD)?,
            expected_frames: (expected_s.unwrap_or(0.0) * f64::from(SAMPLE_RATE)) as usize / HOP_LENGTH,
            language: if is_multilingual { language } else { Some("en".to_owned()) },
            language_probabilities: Vec::new(),
            segments: Vec::new(),
            is_first: true,
            last_speech_s: 0.0,
            session,
            rules,
        })
    }

    /// Decodes all windows.
    pub(super) fn transcribe(mut self, on_progress: OnProgress<'_>) -> Result<Transcript> {
        // How long the recording is, its end will tell.
        for clip in clips(self.options, usize::MAX) {
            let end = clip.seek + clip.n_frames;
            let mut seek = clip.seek;
            while let Some(heard) = self.features.window(seek, end, self.session.model())? {
                let window = heard.window;
                let fraction = seek as f32 / self.expected_frames.max(self.features.n_frames()) as f32;
                report(on_progress, fraction, &self.segments, "")?;
                seek = if heard.is_silent {
                    window.seek + window.n_frames
                } else {
                    // However the window was cut, the next one is a later one.
                    self.window(heard, fraction, on_progress)?.max(window.seek + MIN_ADVANCE)
                };
            }
        }
        report(on_progress, 1.0, &self.segments, "")?;
        Ok(Transcript {
            text: self.tokenizer().decode(self.history.said()).trim().to_owned(),
            language: self.language.unwrap_or_else(|| "en".to_owned()),
            language_probability: self.language_probabilities.first().map(|(_, probability)| *probability),
            duration_s: self.features.duration_s(),
            segments: self.segments,
            language_probabilities: self.language_probabilities,
        })
    }

    /// Decodes a window, keeps its segments and returns the frame where the next one starts.
    fn window(&mut self, heard: Heard, fraction: f32, on_progress: OnProgress<'_>) -> Result<usize> {
        let Heard { window, mel, .. } = heard;
        let n_rows = self.options.beam_size.max(self.options.best_of);
        // Words are placed by what was heard of them.
        let sound = if self.options.word_timestamps { mel.clone() } else { Vec::default() };
        let encoded = self.session.encode(mel, N_FRAMES, n_rows, &mut || {
            on_progress(Progress { fraction, segments: &self.segments, partial: "" })
        })?;
        let spoken = self.language_of(&encoded.audio)?;
        let (decoded, last_temperature) = self.decode_with_fallback(&encoded, &spoken, window, &mut |tokens| {
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
            self.add_words(&mut segments, &encoded.audio, &sound, &spoken, window)?;
            let n_frames = self.features.n_frames();
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
        let Listeners { heads, late_s } = self.session.model().listeners();
        let aligner = Aligner {
            model: self.session.model(),
            tokenizer: self.tokenizer(),
            heads,
            late_s: *late_s,
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
        encoded: &scheduler::Window,
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
            let result = self.session.decode(request, encoded, on_tokens)?;
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

    fn start_tokens(&self, language: &str) -> Vec<u32> {
        let (special, known) = (self.rules.special(), self.tokenizer().languages());
        let mut tokens = vec![special.start_of_transcript];
        if self.session.model().dimensions().is_multilingual() {
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
        let listens_again = self.options.multilingual && self.session.model().dimensions().is_multilingual();
        if let Some(language) = self.language.as_ref().filter(|_| !listens_again) {
            return Ok(language.clone());
        }
        let probabilities = languages::detect(self.session.model(), self.tokenizer(), audio)?;
        let heard = probabilities.first().map_or_else(|| "en".to_owned(), |(code, _)| code.clone());
        if self.language.is_none() {
            self.language = Some(heard.clone());
            self.language_probabilities = probabilities;
        }
        Ok(heard)
    }
}

fn report(on_progress: OnProgress<'_>, fraction: f32, segments: &[Segment], partial: &str) -> Result<()> {
    if on_progress(Progress { fraction, segments, partial }).is_break() { Err(Error::Cancelled) } else { Ok(()) }
}
