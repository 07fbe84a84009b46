//! Bindings of [`crate::score::reward`] and [`crate::subnet::miner`].

use std::collections::BTreeMap;

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyString};

use crate::score::reward::{
    self, Agreement, Analysis, Delivery, Field, Kind, Measure, Reward, Synthesis, Tolerance, Transcription,
};
use crate::subnet::miner::{self, KindQuality};

/// Kind, value, parts, gates, measures and reasons.
type Breakdown =
    (&'static str, f64, BTreeMap<String, f64>, BTreeMap<&'static str, bool>, BTreeMap<&'static str, f64>, Vec<String>);

/// Valid, passed its canary, the audio's duration, the time taken and the deadline, seconds.
type Delivered = (bool, bool, f64, f64, Option<f64>);

/// Deepest lists and records within each other that measurements may have.
const MAX_DEPTH: usize = 16;

/// Reward of a transcript whose truth is known.
#[pyfunction]
#[allow(clippy::too_many_arguments, reason = "keyword arguments in Python")]
fn reward_transcription(
    py: Python<'_>,
    reference: &str,
    hypothesis: &str,
    language: &str,
    hypothesis_language: Option<&str>,
    reference_starts: Option<Vec<f64>>,
    word_starts: Vec<f64>,
    silences: Vec<(f64, f64)>,
    delivered: Delivered,
) -> PyResult<Breakdown> {
    let response = Transcription {
        reference,
        hypothesis,
        language,
        hypothesis_language,
        reference_starts: reference_starts.as_deref(),
        word_starts: &word_starts,
        silences: &silences,
        delivery: delivery(delivered),
    };
    Ok(breakdown(py.detach(|| reward::transcription(&response))?))
}

/// Reward of a transcript whose truth nobody knows.
#[pyfunction]
fn reward_agreement(
    py: Python<'_>,
    hypothesis: &str,
    peers: Vec<String>,
    own: Option<&str>,
    language: &str,
    shown: f64,
    delivered: Delivered,
) -> Breakdown {
    let peers: Vec<&str> = peers.iter().map(String::as_str).collect();
    let response = Agreement { hypothesis, peers: &peers, own, language, shown, delivery: delivery(delivered) };
    breakdown(py.detach(|| reward::transcription_without_reference(&response)))
}

/// What was measured of synthesized speech.
#[derive(FromPyObject)]
struct Speech {
    decodes: bool,
    sample_rate: u32,
    duration_s: f64,
    level_dbfs: f64,
    clipped_share: f64,
    is_duplicate: bool,
    wer: Option<f64>,
    cer: Option<f64>,
    distill_mos: Option<f64>,
    dnsmos: Option<f64>,
    speaker_cosine: Option<f64>,
}

/// Reward of synthesized speech.
#[pyfunction]
fn reward_synthesis(text: &str, speech: Speech, language: &str, delivered: Delivered) -> Breakdown {
    breakdown(reward::synthesis(&Synthesis {
        text,
        language,
        decodes: speech.decodes,
        sample_rate: speech.sample_rate,
        clipped_share: speech.clipped_share,
        level_dbfs: speech.level_dbfs,
        is_duplicate: speech.is_duplicate,
        wer: speech.wer,
        cer: speech.cer,
        distill_mos: speech.distill_mos,
        dnsmos: speech.dnsmos,
        speaker_cosine: speech.speaker_cosine,
        delivery: Delivery { duration_s: speech.duration_s, ..delivery(delivered) },
    }))
}

/// Name, truth, a list of the answer if there is one, absolute tolerance, relative tolerance, whether the truth was recomputed.
type Asked<'py> = (String, Bound<'py, PyAny>, Vec<Bound<'py, PyAny>>, Option<f64>, Option<f64>, bool);

/// Reward of measurements.
#[pyfunction]
fn reward_analysis(fields: Vec<Asked<'_>>, delivered: Delivered) -> PyResult<Breakdown> {
    let field = |(name, expected, got, absolute, relative, is_recomputed): Asked<'_>| {
        let tolerance = match (absolute, relative) {
            (Some(absolute), Some(relative)) => Tolerance::Within { absolute, relative },
            (Some(allowed), None) => Tolerance::Absolute(allowed),
            (None, Some(share)) => Tolerance::Relative(share),
            (None, None) => Tolerance::Exact,
        };
        let expected = measure(&name, &expected, MAX_DEPTH)?;
        let got = got.first().map(|got| measure(&name, got, MAX_DEPTH)).transpose()?;
        Ok(Field { name, expected, got, tolerance, is_recomputed })
    };
    let fields = fields.into_iter().map(field).collect::<PyResult<_>>()?;
    Ok(breakdown(reward::analysis(&Analysis { fields, delivery: delivery(delivered) })))
}

/// A miner's score with all that it is made of, from tuples (weight, confidence, quality) by kind of task.
#[pyfunction]
fn reward_miner(kinds: Vec<(f64, f64, f64)>, availability: f64, credibility: f64) -> Breakdown {
    let kind = |(weight, confidence, quality)| KindQuality { weight, confidence, quality };
    let kinds: Vec<KindQuality> = kinds.into_iter().map(kind).collect();
    breakdown(miner::reward(&kinds, availability, credibility))
}

/// The latency factor of an answer of this kind.
#[pyfunction]
fn latency_factor(kind: &str, duration_s: f64, elapsed_s: f64) -> PyResult<f64> {
    Ok(reward::latency_factor(kind_of(kind)?, duration_s, elapsed_s))
}

/// The time, seconds, up to which an answer of this kind counts in full.
#[pyfunction]
fn latency_target_s(kind: &str, duration_s: f64) -> PyResult<f64> {
    Ok(kind_of(kind)?.target_s(duration_s))
}

fn kind_of(name: &str) -> PyResult<Kind> {
    let known = [Kind::Transcription, Kind::Synthesis, Kind::Analysis];
    known.into_iter().find(|known| known.name() == name).ok_or_else(|| {
        PyValueError::new_err(format!("got kind {name:?}; expected one of {}", known.map(Kind::name).join(", ")))
    })
}

/// Error rate that transcription rewards use: words, or characters in languages without spaces; `None` without a reference.
#[pyfunction]
fn transcription_error_rate(py: Python<'_>, reference: &str, hypothesis: &str, language: &str) -> Option<f64> {
    py.detach(|| reward::transcription_error_rate(reference, hypothesis, language))
}

fn delivery((is_valid, passed_canary, duration_s, elapsed_s, deadline_s): Delivered) -> Delivery {
    Delivery { is_valid, passed_canary, duration_s, elapsed_s, deadline_s }
}

fn breakdown(reward: Reward) -> Breakdown {
    let Reward { version: _, kind, value, parts, gates, measures, reasons } = reward;
    (kind, value, parts, gates, measures, reasons)
}

/// A value of JSON, or of numpy.
fn measure(name: &str, value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Measure> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(PyValueError::new_err(format!("{name} is nested more than {MAX_DEPTH} deep")));
    };
    if value.is_none() {
        return Ok(Measure::None);
    }
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(Measure::Flag(flag.is_true()));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Measure::Text(text.to_string_lossy().into_owned()));
    }
    if let Ok(record) = value.cast::<PyDict>() {
        let item = |(key, item): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
            Ok((key.extract::<String>()?, measure(name, &item, depth)?))
        };
        return Ok(Measure::Record(record.iter().map(item).collect::<PyResult<_>>()?));
    }
    if value.hasattr("__len__")? && value.len().is_ok() {
        let items = value.try_iter()?.map(|item| measure(name, &item?, depth));
        return Ok(Measure::List(items.collect::<PyResult<_>>()?));
    }
    match value.extract::<f64>() {
        Ok(number) => Ok(Measure::Number(number)),
        // An integer of JSON may be of any size.
        Err(error) if error.is_instance_of::<PyOverflowError>(value.py()) => Ok(Measure::Number(f64::INFINITY)),
        Err(_) => {
            let kind = value.get_type().name()?.to_string();
            Err(PyTypeError::new_err(format!(
                "{name} is of type {kind}; expected numbers, texts, flags or None, or lists of them"
            )))
        }
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("REWARD_VERSION", reward::VERSION)?;
    module.add_function(wrap_pyfunction!(reward_transcription, module)?)?;
    module.add_function(wrap_pyfunction!(reward_agreement, module)?)?;
    module.add_function(wrap_pyfunction!(reward_synthesis, module)?)?;
    module.add_function(wrap_pyfunction!(reward_analysis, module)?)?;
    module.add_function(wrap_pyfunction!(reward_miner, module)?)?;
    module.add_function(wrap_pyfunction!(latency_factor, module)?)?;
    module.add_function(wrap_pyfunction!(latency_target_s, module)?)?;
    module.add_function(wrap_pyfunction!(transcription_error_rate, module)?)
}
