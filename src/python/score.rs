//! Bindings of [`crate::score`] and [`crate::text`]: one pair or lists of texts.

use std::borrow::Cow;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use super::texts::{lone_surrogate, scored};
use crate::score::{self, EditCounts, Scoring, Unit};
use crate::text::Normalizer;

/// Bytes of text above which the interpreter is let go: below, that takes longer than the work.
const DETACH_BYTES: usize = 2_048;

/// Word error rate; `None` for an empty reference, where no rate exists.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none", num_threads=None))]
fn wer(
    reference: &Bound<'_, PyAny>,
    hypothesis: &Bound<'_, PyAny>,
    normalizer: &str,
    num_threads: Option<usize>,
) -> PyResult<Option<f64>> {
    let scoring = Scoring { unit: Unit::Word, normalizer: named(normalizer)? };
    error_rate(reference, hypothesis, scoring, num_threads)
}

/// Character error rate; `None` for an empty reference, where no rate exists.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none", num_threads=None))]
fn cer(
    reference: &Bound<'_, PyAny>,
    hypothesis: &Bound<'_, PyAny>,
    normalizer: &str,
    num_threads: Option<usize>,
) -> PyResult<Option<f64>> {
    let scoring = Scoring { unit: Unit::Char, normalizer: named(normalizer)? };
    error_rate(reference, hypothesis, scoring, num_threads)
}

/// Sentence error rate: share of the utterances with an error; `None` without utterances.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none", num_threads=None))]
fn ser(
    reference: &Bound<'_, PyAny>,
    hypothesis: &Bound<'_, PyAny>,
    normalizer: &str,
    num_threads: Option<usize>,
) -> PyResult<Option<f64>> {
    let scoring = Scoring { unit: Unit::Word, normalizer: named(normalizer)? };
    let errors = errors(reference, hypothesis, scoring, num_threads)?;
    let n_wrong = errors.iter().filter(|(errors, _)| *errors > 0).count();
    Ok(score::align::rate(n_wrong, errors.len()))
}

/// Match error rate; `None` where nothing is aligned.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none", num_threads=None))]
fn mer(
    reference: &Bound<'_, PyAny>,
    hypothesis: &Bound<'_, PyAny>,
    normalizer: &str,
    num_threads: Option<usize>,
) -> PyResult<Option<f64>> {
    Ok(total(reference, hypothesis, normalizer, num_threads)?.mer())
}

/// Word information lost; `None` for an empty reference.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none", num_threads=None))]
fn wil(
    reference: &Bound<'_, PyAny>,
    hypothesis: &Bound<'_, PyAny>,
    normalizer: &str,
    num_threads: Option<usize>,
) -> PyResult<Option<f64>> {
    Ok(total(reference, hypothesis, normalizer, num_threads)?.wil())
}

/// Word information preserved; `None` for an empty reference.
#[pyfunction]
#[pyo3(signature = (reference, hypothesis, normalizer="none", num_threads=None))]
fn wip(
    reference: &Bound<'_, PyAny>,
    hypothesis: &Bound<'_, PyAny>,
    normalizer: &str,
    num_threads: Option<usize>,
) -> PyResult<Option<f64>> {
    Ok(total(reference, hypothesis, normalizer, num_threads)?.wip())
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
fn normalize(text: &Bound<'_, PyString>, normalizer: &str) -> PyResult<String> {
    let normalizer = named(normalizer)?;
    Ok(normalizer.normalize(&checked(text, || "text".to_owned())?))
}

/// The ids of all normalizers.
#[pyfunction]
fn normalizers() -> Vec<&'static str> {
    Normalizer::ALL.map(Normalizer::id).to_vec()
}

/// The normalizer of this id.
pub(super) fn named(id: &str) -> PyResult<Normalizer> {
    Normalizer::from_id(id).ok_or_else(|| {
        let known = Normalizer::ALL.map(Normalizer::id).join(", ");
        PyValueError::new_err(format!("unknown normalizer {id:?}; expected one of {known}"))
    })
}

/// Hits, substitutions, deletions, insertions.
pub(super) const fn tuple(counts: EditCounts) -> (usize, usize, usize, usize) {
    (counts.hits, counts.substitutions, counts.deletions, counts.insertions)
}

/// The text of a string, refused if Unicode has no such text.
fn checked<'t>(text: &'t Bound<'_, PyString>, name: impl Fn() -> String) -> PyResult<Cow<'t, str>> {
    text.to_str().map(Cow::Borrowed).map_err(|_| lone_surrogate(&name()))
}

/// Whether an item of a list is itself a list of references.
pub(super) fn is_several(item: &Bound<'_, PyAny>) -> bool {
    item.is_instance_of::<PyList>() || item.is_instance_of::<PyTuple>()
}

fn error_rate(
    reference: &Bound<'_, PyAny>,
    hypothesis: &Bound<'_, PyAny>,
    scoring: Scoring,
    num_threads: Option<usize>,
) -> PyResult<Option<f64>> {
    let sum = |(errors, len): (usize, usize), other: &(usize, usize)| (errors + other.0, len + other.1);
    if let (Ok(reference), Ok(hypothesis)) = (reference.cast::<PyString>(), hypothesis.cast::<PyString>())
        && num_threads.is_none()
    {
        let (left, right) =
            (checked(reference, || "reference".to_owned())?, checked(hypothesis, || "hypothesis".to_owned())?);
        let rate = || {
            let (errors, len) = score::Scorer::default().errors(&left, &right, scoring);
            score::align::rate(errors, len)
        };
        return Ok(if left.len() + right.len() < DETACH_BYTES { rate() } else { reference.py().detach(rate) });
    }
    let (errors, len) = errors(reference, hypothesis, scoring, num_threads)?.iter().fold((0, 0), sum);
    Ok(score::align::rate(errors, len))
}

/// Errors and reference tokens of every pair.
fn errors(
    references: &Bound<'_, PyAny>,
    hypotheses: &Bound<'_, PyAny>,
    scoring: Scoring,
    num_threads: Option<usize>,
) -> PyResult<Vec<(usize, usize)>> {
    scored(references, hypotheses, num_threads, |scorer, left, right| scorer.errors(left, right, scoring))
}

/// Word counts of all pairs.
fn total(
    references: &Bound<'_, PyAny>,
    hypotheses: &Bound<'_, PyAny>,
    normalizer: &str,
    num_threads: Option<usize>,
) -> PyResult<EditCounts> {
    let scoring = Scoring { unit: Unit::Word, normalizer: named(normalizer)? };
    let counts =
        scored(references, hypotheses, num_threads, |scorer, left, right| scorer.counts(left, right, scoring))?;
    Ok(counts.into_iter().sum())
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(wer, module)?)?;
    module.add_function(wrap_pyfunction!(cer, module)?)?;
    module.add_function(wrap_pyfunction!(ser, module)?)?;
    module.add_function(wrap_pyfunction!(mer, module)?)?;
    module.add_function(wrap_pyfunction!(wil, module)?)?;
    module.add_function(wrap_pyfunction!(wip, module)?)?;
    module.add_function(wrap_pyfunction!(word_counts, module)?)?;
    module.add_function(wrap_pyfunction!(char_counts, module)?)?;
    module.add_function(wrap_pyfunction!(normalize, module)?)?;
    module.add_function(wrap_pyfunction!(normalizers, module)?)
}
