//! Bindings of [`crate::score`] and [`crate::text`].

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::score::{self, EditCounts, reward};
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

/// Quality of a transcription in [0, 1] from its error rate against a reference.
#[pyfunction]
fn transcription_quality(error_rate: f64) -> f64 {
    reward::transcription_quality(error_rate)
}

/// Reward of one response in [0, 1]: `valid * quality^2 * (0.8 + 0.2 * latency factor)`.
#[pyfunction]
fn response_reward(kind: &str, valid: bool, quality: f64, duration_s: f64, elapsed_s: f64) -> PyResult<f64> {
    let latency = reward::latency_factor(reward::Kind::from_id(kind)?, duration_s, elapsed_s);
    Ok(reward::response_reward(valid, quality, latency))
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
    module.add_function(wrap_pyfunction!(transcription_quality, module)?)?;
    module.add_function(wrap_pyfunction!(response_reward, module)?)
}
