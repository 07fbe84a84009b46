//! Keyword arguments of Python as the core's options. The defaults are in `violet.transcriber`.

use pyo3::prelude::*;

use crate::Error;
use crate::infer::{Options, VadOptions};

/// Every option of a transcription, by the names of a mapping's items.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct Arguments {
    language: Option<String>,
    multilingual: bool,
    temperature: Vec<f32>,
    beam_size: usize,
    compression_ratio_threshold: Option<f32>,
    logprob_threshold: Option<f32>,
    no_speech_threshold: Option<f32>,
    prompt: Option<String>,
    condition_on_previous_text: bool,
    vad_filter: bool,
    vad: Option<VadArguments>,
    batch_size: usize,
    seed: u64,
}

/// What counts as speech.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(super) struct VadArguments {
    threshold: f32,
    neg_threshold: Option<f32>,
    min_speech_duration_ms: u32,
    max_speech_duration_s: f64,
    min_silence_duration_ms: u32,
    speech_pad_ms: u32,
}

impl From<VadArguments> for VadOptions {
    fn from(given: VadArguments) -> Self {
        Self {
            threshold: given.threshold,
            neg_threshold: given.neg_threshold,
            min_speech_duration_ms: given.min_speech_duration_ms,
            max_speech_duration_s: given.max_speech_duration_s,
            min_silence_duration_ms: given.min_silence_duration_ms,
            speech_pad_ms: given.speech_pad_ms,
        }
    }
}

impl TryFrom<Arguments> for Options {
    type Error = Error;

    fn try_from(given: Arguments) -> Result<Self, Error> {
        Ok(Self {
            language: given.language,
            multilingual: given.multilingual,
            temperatures: given.temperature,
            beam_size: given.beam_size,
            compression_ratio_threshold: given.compression_ratio_threshold,
            logprob_threshold: given.logprob_threshold,
            no_speech_threshold: given.no_speech_threshold,
            prompt: given.prompt,
            condition_on_previous_text: given.condition_on_previous_text,
            vad_filter: given.vad_filter,
            vad: given.vad.map(VadOptions::from),
            batch_size: given.batch_size,
            seed: given.seed,
        })
    }
}
