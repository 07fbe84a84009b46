//! Bindings of [`crate::score`] and [`crate::text`]: one pair or lists of texts.

#![allow(clippy::doc_markdown, reason = "these are the docstrings of Python's functions")]

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
///
/// `(S + D + I) / (H + S + D)`: words substituted, deleted and inserted on the shortest way from the reference to the
/// hypothesis (Levenshtein's distance), over the words of the reference. 0 or more; above 1 where much is inserted.
/// Words are what white space separates. Source: Levenshtein, Soviet Physics Doklady 10 (1966); equal to jiwer 4's
/// where there is a rate.
///
/// Args:
///     reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
///     hypothesis: What was heard: one text for each.
///     normalizer: What both go through first; one of `violet.normalizers()`.
///     num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.
///
/// Raises:
///     TypeError: For a text that is not a str: its index and type are named.
///     ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
///         threads, or a lone surrogate.
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
///
/// `(S + D + I) / (H + S + D)` of Unicode code points, spaces among them, without white space at both ends:
/// Levenshtein's distance over the length of the reference. 0 or more. Source: as `wer`; equal to jiwer 4's where
/// there is a rate.
///
/// Args:
///     reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
///     hypothesis: What was heard: one text for each.
///     normalizer: What both go through first; one of `violet.normalizers()`.
///     num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.
///
/// Raises:
///     TypeError: For a text that is not a str: its index and type are named.
///     ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
///         threads, or a lone surrogate.
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
///
/// Utterances of whose words one or more is substituted, deleted or inserted, over all utterances. 0 to 1. Source: the
/// `Sent.Err` of NIST's `sclite`.
///
/// Args:
///     reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
///     hypothesis: What was heard: one text for each.
///     normalizer: What both go through first; one of `violet.normalizers()`.
///     num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.
///
/// Raises:
///     TypeError: For a text that is not a str: its index and type are named.
///     ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
///         threads, or a lone surrogate.
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
///
/// `(S + D + I) / (H + S + D + I)`: the share of the aligned positions that are wrong, words as in `wer`. 0 to 1.
/// Source: Morris, Maier and Green, "From WER and RIL to MER and WIL", Interspeech 2004; the alignment is jiwer 4's.
///
/// Args:
///     reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
///     hypothesis: What was heard: one text for each.
///     normalizer: What both go through first; one of `violet.normalizers()`.
///     num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.
///
/// Raises:
///     TypeError: For a text that is not a str: its index and type are named.
///     ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
///         threads, or a lone surrogate.
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
///
/// `1 - wip`, words as in `wer`. 0 to 1. Source: Morris, Maier and Green, "From WER and RIL to MER and WIL",
/// Interspeech 2004; the alignment is jiwer 4's.
///
/// Args:
///     reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
///     hypothesis: What was heard: one text for each.
///     normalizer: What both go through first; one of `violet.normalizers()`.
///     num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.
///
/// Raises:
///     TypeError: For a text that is not a str: its index and type are named.
///     ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
///         threads, or a lone surrogate.
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
///
/// `H / (H + S + D) * H / (H + S + I)`: hits over the words of the reference, times hits over those of the hypothesis;
/// words as in `wer`. 0 to 1, 0 for an empty hypothesis. Source: Morris, Maier and Green, "From WER and RIL to MER and
/// WIL", Interspeech 2004; the alignment is jiwer 4's.
///
/// Args:
///     reference: What was said: a text, or an iterable of texts, whose errors and lengths are summed.
///     hypothesis: What was heard: one text for each.
///     normalizer: What both go through first; one of `violet.normalizers()`.
///     num_threads: 1 to 256; all processors, as far as they are of use, if None. The bits are the same.
///
/// Raises:
///     TypeError: For a text that is not a str: its index and type are named.
///     ValueError: For lists of different lengths (with both), an unknown normalizer, an impossible number of
///         threads, or a lone surrogate.
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
///
/// Each 0 or more; hits, substitutions and deletions are the words of the reference, which white space separates. Of
/// the shortest alignments the one that jiwer 4 takes. Source: Levenshtein, Soviet Physics Doklady 10 (1966), with the
/// traceback of rapidfuzz 3.
///
/// Args:
///     reference: What was said.
///     hypothesis: What was heard.
///     normalizer: What both go through first; one of `violet.normalizers()`.
///
/// Raises:
///     TypeError: For what is not a str.
///     ValueError: For an unknown normalizer or a lone surrogate.
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
///
/// As `word_counts`, of Unicode code points, spaces among them, without white space at both ends. Source: as
/// `word_counts`.
///
/// Args:
///     reference: What was said.
///     hypothesis: What was heard.
///     normalizer: What both go through first; one of `violet.normalizers()`.
///
/// Raises:
///     TypeError: For what is not a str.
///     ValueError: For an unknown normalizer or a lone surrogate.
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
///
/// `whisper-en` and `whisper-basic` are openai-whisper 20250625's, byte for byte and with their mistakes:
/// `EnglishTextNormalizer` and `BasicTextNormalizer`; of the latter `-no-diacritics` is `remove_diacritics`, `-split`
/// is `split_letters`. `violet-en` is `whisper-en` without its known mistakes, and idempotent; `none` changes nothing.
///
/// Args:
///     text: Any Unicode text.
///     normalizer: One of `violet.normalizers()`.
///
/// Raises:
///     TypeError: For what is not a str.
///     ValueError: For an unknown normalizer or a lone surrogate.
#[pyfunction]
fn normalize(text: &Bound<'_, PyString>, normalizer: &str) -> PyResult<String> {
    let normalizer = named(normalizer)?;
    Ok(normalizer.normalize(&checked(text, || "text".to_owned())?))
}

/// The ids of all normalizers, as `normalize` and every score take them; they are stored with scores.
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
