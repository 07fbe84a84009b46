//! Keyword arguments of Python as the core's options. The defaults are in `violet.transcriber`.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;

use crate::Error;
use crate::infer::{Options, VadOptions};

/// The options in a mapping of all of them.
///
/// A value of another type is a `TypeError`, a number that an option cannot have a `ValueError`; both name the option.
pub(super) fn read(given: &Bound<'_, PyAny>) -> PyResult<Options> {
    let arguments = given.extract::<Arguments>().map_err(|error| refusal(given, error))?;
    Ok(arguments.try_into()?)
}

/// What is wrong with an option: pyo3's own error has its name, the error's cause the reason.
fn refusal(given: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    let py = given.py();
    let text = error.value(py).to_string();
    let Some(mut reason) = error.cause(py) else { return error };
    while let Some(cause) = reason.cause(py) {
        reason = cause;
    }
    let name = text.rsplit('.').next().unwrap_or_default();
    let value = given.get_item(name).and_then(|value| value.repr()).map(|value| value.to_string()).unwrap_or_default();
    let message = format!("{name} is {value}: {}", reason.value(py));
    if reason.is_instance_of::<PyOverflowError>(py) || reason.is_instance_of::<PyValueError>(py) {
        return PyValueError::new_err(message);
    }
    PyTypeError::new_err(message)
}

/// Every option of a transcription, by the names of a mapping's items.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
#[allow(clippy::struct_excessive_bools, reason = "the options have them")]
struct Arguments {
    task: String,
    language: Option<String>,
    multilingual: bool,
    temperature: Vec<f32>,
    beam_size: usize,
    best_of: usize,
    patience: f32,
    length_penalty: Option<f32>,
    repetition_penalty: f32,
    no_repeat_ngram_size: usize,
    compression_ratio_threshold: Option<f32>,
    logprob_threshold: Option<f32>,
    no_speech_threshold: Option<f32>,
    prompt: Option<String>,
    carry_initial_prompt: bool,
    hotwords: Option<String>,
    prefix: Option<String>,
    condition_on_previous_text: bool,
    prompt_reset_on_temperature: f32,
    suppress_tokens: Vec<i32>,
    suppress_blank: bool,
    max_new_tokens: Option<usize>,
    without_timestamps: bool,
    max_initial_timestamp: Option<f32>,
    clip_timestamps: Vec<f64>,
    word_timestamps: bool,
    prepend_punctuations: String,
    append_punctuations: String,
    hallucination_silence_threshold: Option<f32>,
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
            task: given.task.parse()?,
            language: given.language,
            multilingual: given.multilingual,
            temperatures: given.temperature,
            beam_size: given.beam_size,
            best_of: given.best_of,
            patience: given.patience,
            length_penalty: given.length_penalty,
            repetition_penalty: given.repetition_penalty,
            no_repeat_ngram_size: given.no_repeat_ngram_size,
            compression_ratio_threshold: given.compression_ratio_threshold,
            logprob_threshold: given.logprob_threshold,
            no_speech_threshold: given.no_speech_threshold,
            prompt: given.prompt,
            carry_initial_prompt: given.carry_initial_prompt,
            hotwords: given.hotwords,
            prefix: given.prefix,
            condition_on_previous_text: given.condition_on_previous_text,
            prompt_reset_on_temperature: given.prompt_reset_on_temperature,
            suppress_tokens: given.suppress_tokens,
            suppress_blank: given.suppress_blank,
            max_new_tokens: given.max_new_tokens,
            without_timestamps: given.without_timestamps,
            max_initial_timestamp: given.max_initial_timestamp,
            clip_timestamps: given.clip_timestamps,
            word_timestamps: given.word_timestamps,
            prepend_punctuations: given.prepend_punctuations,
            append_punctuations: given.append_punctuations,
            hallucination_silence_threshold: given.hallucination_silence_threshold,
            vad_filter: given.vad_filter,
            vad: given.vad.map(VadOptions::from),
            batch_size: given.batch_size,
            seed: given.seed,
        })
    }
}
