//! What a caller chooses, and what a caller is told on the way.

use crate::{Error, Result, infer::vad::VadOptions, text::transcript::Segment};

/// Largest beam that is accepted: memory and time grow with it, quality no longer does.
const MAX_BEAM_SIZE: usize = 32;
/// Most temperatures that are tried on one window.
const MAX_TEMPERATURES: usize = 16;

/// Most chunks that are decoded side by side.
const MAX_BATCH_SIZE: usize = 128;

/// How to transcribe. The defaults are those of openai-whisper's `transcribe`.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Code of the spoken language, such as `en`; detected when absent.
    pub language: Option<String>,
    /// Sequences kept by the search at temperature 0; 1 is greedy.
    pub beam_size: usize,
    /// Tried one after the other until a result is neither repetitive nor improbable, each 0 to 2.
    pub temperatures: Vec<f32>,
    /// Text that might have come before the audio: names and spellings.
    pub prompt: Option<String>,
    /// A window whose text compresses better than this is repetitive.
    pub compression_ratio_threshold: Option<f32>,
    /// A window whose mean log probability is lower than this is improbable.
    pub logprob_threshold: Option<f32>,
    /// An improbable window whose probability of no speech is higher than this is silence.
    pub no_speech_threshold: Option<f32>,
    /// Whether the text of a window is the prompt of the next one.
    pub condition_on_previous_text: bool,
    /// Whether each window may be in a language of its own; otherwise the first one's holds for all.
    pub multilingual: bool,
    /// Whether silence is left out: only speech, as a voice activity detector finds it, is decoded.
    pub vad_filter: bool,
    /// What counts as speech; what suits the way of decoding when absent.
    pub vad: Option<VadOptions>,
    /// Chunks of speech that are decoded side by side; 1 decodes window after window, each with the text before it.
    pub batch_size: usize,
    /// Seed of the draws at temperatures above 0: equal seeds, equal results.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            language: None,
            beam_size: 1,
            temperatures: vec![0.0, 0.2, 0.4, 0.6, 0.8, 1.0],
            prompt: None,
            compression_ratio_threshold: Some(2.4),
            logprob_threshold: Some(-1.0),
            no_speech_threshold: Some(0.6),
            condition_on_previous_text: true,
            multilingual: false,
            vad_filter: false,
            vad: None,
            batch_size: 1,
            seed: 0,
        }
    }
}

impl Options {
    /// Whether the numbers are possible.
    pub(super) fn check(&self) -> Result<()> {
        let refuse = |message: String| Err(Error::InvalidInput(message));
        if !(1..=MAX_BEAM_SIZE).contains(&self.beam_size) {
            return refuse(format!("beam_size is {}; expected 1 to {MAX_BEAM_SIZE}", self.beam_size));
        }
        if !(1..=MAX_BATCH_SIZE).contains(&self.batch_size) {
            return refuse(format!("batch_size is {}; expected 1 to {MAX_BATCH_SIZE}", self.batch_size));
        }
        if let Some(vad) = &self.vad {
            vad.check()?;
        }
        if self.temperatures.is_empty() || self.temperatures.len() > MAX_TEMPERATURES {
            return refuse(format!("{} temperatures; expected 1 to {MAX_TEMPERATURES}", self.temperatures.len()));
        }
        match self.temperatures.iter().find(|temperature| !(0.0..=2.0).contains(*temperature)) {
            Some(temperature) => refuse(format!("temperature is {temperature}; expected 0 to 2")),
            None => Ok(()),
        }
    }
}

/// How far a transcription is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress<'a> {
    /// Share of the audio that is done, 0 to 1.
    pub fraction: f32,
    /// The segments so far.
    pub segments: &'a [Segment],
    /// Text of the window that is being decoded, as far as it has come; it may still change.
    pub partial: &'a str,
}
