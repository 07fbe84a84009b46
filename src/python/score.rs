//! Bindings of [`crate::score`] and [`crate::text`].

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::score::reward::{self, Kind, TranscriptionParts};
use crate::score::{self, EditCounts};
use crate::text::Normalizer;

/// Word error rate; `None` for an empty reference, where no rate exists.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none"))]
fn wer(py: Python<'_>, reference: &str, hypothesis: &str, normalizer: &str) -> PyResult<Option<f64>> {
    let normalizer = named(normalizer)?;
    Ok(py.detach(|| score::word_counts(reference, hypothesis, normalizer)).wer())
}

/// Character error rate; `None` for an empty reference, where no rate exists.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none"))]
fn cer(py: Python<'_>, reference: &str, hypothesis: &str, normalizer: &str) -> PyResult<Option<f64>> {
    let normalizer = named(normalizer)?;
    Ok(py.detach(|| score::char_counts(reference, hypothesis, normalizer)).wer())
}

/// `(hits, substitutions, deletions, insertions)` of the best word alignment.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none"))]
fn word_counts(
    py: Python<'_>,
    reference: &str,
    hypothesis: &str,
    normalizer: &str,
) -> PyResult<(usize, usize, usize, usize)> {
    let normalizer = named(normalizer)?;
    Ok(tuple(py.detach(|| score::word_counts(reference, hypothesis, normalizer))))
}

/// `(hits, substitutions, deletions, insertions)` of the best character alignment.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none"))]
fn char_counts(
    py: Python<'_>,
    reference: &str,
    hypothesis: &str,
    normalizer: &str,
) -> PyResult<(usize, usize, usize, usize)> {
    let normalizer = named(normalizer)?;
    Ok(tuple(py.detach(|| score::char_counts(reference, hypothesis, normalizer))))
}

/// Text as the named normalizer writes it.
#[pyfunction]
fn normalize(text: &str, normalizer: &str) -> PyResult<String> {
    Ok(named(normalizer)?.normalize(text))
}

/// Error rate that transcription rewards use: words, or characters in languages without spaces; `None` without a reference.
#[pyfunction]
fn transcription_error_rate(py: Python<'_>, reference: &str, hypothesis: &str, language: &str) -> Option<f64> {
    py.detach(|| reward::transcription_error_rate(reference, hypothesis, language))
}

/// Reward of a transcription in [0, 1], from its error rate, the audio's duration and the time that it took, seconds.
#[pyfunction]
fn transcription_reward(error_rate: f64, duration_s: f64, elapsed_s: f64) -> f64 {
    let quality = reward::transcription_quality(error_rate, &TranscriptionParts::default());
    let latency = reward::latency_factor(Kind::Transcription, duration_s, elapsed_s);
    reward::response_reward(true, quality, latency)
}

fn named(id: &str) -> PyResult<Normalizer> {
    Normalizer::from_id(id).ok_or_else(|| {
        let known = Normalizer::ALL.map(Normalizer::id).join(", ");
        PyValueError::new_err(format!("unknown normalizer {id:?}; expected one of {known}"))
    })
}

const fn tuple(counts: EditCounts) -> (usize, usize, usize, usize) {
    (counts.hits, counts.substitutions, counts.deletions, counts.insertions)
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(wer, module)?)?;
    module.add_function(wrap_pyfunction!(cer, module)?)?;
    module.add_function(wrap_pyfunction!(word_counts, module)?)?;
    module.add_function(wrap_pyfunction!(char_counts, module)?)?;
    module.add_function(wrap_pyfunction!(normalize, module)?)?;
    module.add_function(wrap_pyfunction!(transcription_error_rate, module)?)?;
    module.add_function(wrap_pyfunction!(transcription_reward, module)?)
}
