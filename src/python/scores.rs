//! Bindings of corpus scores, alignments, comparisons of systems and meetings.

use numpy::{PyArray1, PyArray2, PyArrayMethods};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::score::{is_several, named, tuple};
use super::texts::{Texts, list};
use crate::score::meeting::{self, MeetingCounts, Segment};
use crate::score::significance::{self, Resampling, Tally};
use crate::score::{self, Chunk, Edit, EditCounts, Scoring, Unit};

/// Counts of many utterances, and the texts that they were made of.
#[pyclass(frozen, module = "violet._core")]
struct Scores {
    references: Texts,
    hypotheses: Texts,
    counts: Vec<EditCounts>,
    /// The alignments, of short texts: so they are not made twice.
    chunks: Option<Vec<Vec<Chunk>>>,
    scoring: Scoring,
}

/// Bytes of text up to which alignments are kept.
const KEPT_BYTES: usize = 1 << 19;

/// An edit's name, and the first and last tokens of the reference and of the hypothesis.
type Step = (&'static str, usize, usize, usize, usize);

#[pymethods]
impl Scores {
    /// Hits, substitutions, deletions, insertions of all utterances.
    fn total(&self) -> (usize, usize, usize, usize) {
        tuple(self.counts.iter().copied().sum())
    }

    /// `(wer, mer, wil, wip, ser)` of all utterances; each `None` where it does not exist.
    fn rates(&self) -> [Option<f64>; 5] {
        let counts: EditCounts = self.counts.iter().copied().sum();
        let n_wrong = self.counts.iter().filter(|counts| counts.errors() > 0).count();
        let ser = score::align::rate(n_wrong, self.counts.len());
        [counts.wer(), counts.mer(), counts.wil(), counts.wip(), ser]
    }

    /// Word error rate with a price for each kind of error.
    fn weighted_wer(&self, substitution: f64, deletion: f64, insertion: f64) -> PyResult<Option<f64>> {
        for price in [substitution, deletion, insertion] {
            if !(price >= 0.0 && price.is_finite()) {
                return Err(PyValueError::new_err(format!("got price {price}; expected a number, 0 or more")));
            }
        }
        let counts: EditCounts = self.counts.iter().copied().sum();
        Ok(counts.weighted_wer(substitution, deletion, insertion))
    }

    /// `[n, 4]`: hits, substitutions, deletions, insertions of every utterance.
    fn per_utterance<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<i64>>> {
        let flat = self.counts.iter().flat_map(|counts| {
            let (hits, substitutions, deletions, insertions) = tuple(*counts);
            [hits, substitutions, deletions, insertions].map(|count| i64::try_from(count).unwrap_or(i64::MAX))
        });
        PyArray1::from_vec(py, flat.collect()).reshape([self.counts.len(), 4])
    }

    /// The alignment of every utterance, as chunks.
    fn alignments(&self, py: Python<'_>) -> PyResult<Vec<Vec<Step>>> {
        if let Some(chunks) = &self.chunks {
            return Ok(chunks.iter().map(|chunks| steps(chunks)).collect());
        }
        let (left, right) = (self.references.texts(py)?, self.hypotheses.texts(py)?);
        let chunks = py.detach(|| score::utterance_chunks(&left, &right, self.scoring, None))?;
        Ok(chunks.iter().map(|chunks| steps(chunks)).collect())
    }

    /// The tokens of every utterance, normalized: references, hypotheses.
    #[allow(clippy::type_complexity, reason = "it is the shape of a Python tuple")]
    fn tokens(&self, py: Python<'_>) -> PyResult<(Vec<Vec<String>>, Vec<Vec<String>>)> {
        let split = |texts: Vec<&str>| {
            let of = |text: &&str| {
                let text = self.scoring.normalizer.normalize(text);
                score::tokens(&text, self.scoring.unit).into_iter().map(str::to_owned).collect()
            };
            texts.iter().map(of).collect()
        };
        Ok((split(self.references.texts(py)?), split(self.hypotheses.texts(py)?)))
    }

    /// The most frequent errors of a kind: `(reference, hypothesis, count)`.
    fn top_errors(&self, py: Python<'_>, kind: &str, n: usize) -> PyResult<Vec<(String, String, usize)>> {
        let known = [Edit::Substitution, Edit::Deletion, Edit::Insertion];
        let edit = known.into_iter().find(|edit| edit.name() == kind).ok_or_else(|| {
            PyValueError::new_err(format!("got kind {kind:?}; expected one of {}", known.map(Edit::name).join(", ")))
        })?;
        let (left, right) = (self.references.texts(py)?, self.hypotheses.texts(py)?);
        let found = py.detach(|| score::confusions(&left, &right, self.scoring, edit, n))?;
        Ok(found.into_iter().map(|error| (error.reference, error.hypothesis, error.count)).collect())
    }

    /// Bootstrap confidence interval of the error rate; `None` without a rate.
    fn ci(
        &self,
        py: Python<'_>,
        level: f64,
        n_resamples: usize,
        seed: u64,
        groups: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Option<(f64, f64)>> {
        let mut tallies: Vec<Tally> =
            self.counts.iter().map(|counts| Tally { errors: counts.errors(), len: counts.reference_len() }).collect();
        if let Some(groups) = groups {
            tallies = significance::grouped(&tallies, &Texts::new(groups, "by")?.texts(py)?)?;
        }
        let how = Resampling { n_resamples, seed, level };
        Ok(py.detach(|| significance::confidence_interval(&tallies, how))?)
    }

    fn __len__(&self) -> usize {
        self.counts.len()
    }
}

/// Scores of lists of texts, by `word` or `char`. An utterance may have several references: the best one counts.
#[pyfunction]
#[pyo3(signature = (references, hypotheses, unit, normalizer, num_threads=None))]
fn score_texts(
    py: Python<'_>,
    references: &Bound<'_, PyAny>,
    hypotheses: &Bound<'_, PyAny>,
    unit: &str,
    normalizer: &str,
    num_threads: Option<usize>,
) -> PyResult<Scores> {
    let scoring = Scoring { unit: unit_named(unit)?, normalizer: named(normalizer)? };
    let hypotheses = Texts::new(hypotheses, "hypotheses")?;
    // An iterator has its items once.
    let references = list(references, "references")?;
    let references = if references.iter().any(|item| is_several(&item)) {
        best_references(&references, &hypotheses, scoring, num_threads)?
    } else {
        Texts::new(references.as_any(), "references")?
    };
    let (chunks, counts) = {
        let (left, right) = (references.texts(py)?, hypotheses.texts(py)?);
        py.detach(|| {
            if left.iter().chain(&right).map(|text| text.len()).sum::<usize>() > KEPT_BYTES {
                return Ok((None, score::utterance_counts(&left, &right, scoring, num_threads)?));
            }
            let chunks = score::utterance_chunks(&left, &right, scoring, num_threads)?;
            let counts = chunks.iter().map(|chunks| EditCounts::of_chunks(chunks)).collect();
            Ok::<_, crate::Error>((Some(chunks), counts))
        })?
    };
    Ok(Scores { references, hypotheses, counts, chunks, scoring })
}

/// The best of several references of each utterance.
fn best_references(
    references: &Bound<'_, PyList>,
    hypotheses: &Texts,
    scoring: Scoring,
    num_threads: Option<usize>,
) -> PyResult<Texts> {
    let py = references.py();
    let mut candidates = Vec::new();
    for (index, item) in references.iter().enumerate() {
        candidates.push(Texts::new(&item, format!("references[{index}]"))?);
    }
    let (n, m) = (candidates.len(), hypotheses.strings.bind(py).len());
    if n != m {
        return Err(PyValueError::new_err(format!(
            "got {n} references and {m} hypotheses; expected as many of one as of the other"
        )));
    }
    let texts = candidates.iter().map(|texts| texts.texts(py)).collect::<PyResult<Vec<_>>>()?;
    let heard = hypotheses.texts(py)?;
    let best = py.detach(|| score::best_references(&texts, &heard, scoring, num_threads))?;
    let chosen = candidates.iter().zip(best).map(|(texts, best)| texts.strings.bind(py).get_item(best));
    let chosen = PyTuple::new(py, chosen.collect::<PyResult<Vec<_>>>()?)?;
    Ok(Texts::of(chosen.unbind(), "references"))
}

/// Counts and alignments of utterances that are tokens already.
#[pyfunction]
fn align_tokens(py: Python<'_>, references: Vec<Vec<String>>, hypotheses: Vec<Vec<String>>) -> Vec<Vec<Step>> {
    py.detach(|| {
        let pairs = references.iter().zip(&hypotheses);
        pairs.map(|(left, right)| steps(&score::chunks(&score::alignment(left, right)))).collect()
    })
}

/// Rates, interval, probability of improvement, p-value; segments, z and p of MAPSSWE.
type Compared = ((f64, f64), f64, (f64, f64), f64, f64, (usize, f64, f64));

/// How two systems compare; `None` if the references are empty.
#[pyfunction]
#[pyo3(signature = (references, a, b, unit, normalizer, level, n_resamples, seed, groups=None))]
#[allow(clippy::too_many_arguments, reason = "the Python function has them as keywords")]
fn compare_texts(
    py: Python<'_>,
    references: &Bound<'_, PyAny>,
    a: &Bound<'_, PyAny>,
    b: &Bound<'_, PyAny>,
    unit: &str,
    normalizer: &str,
    level: f64,
    n_resamples: usize,
    seed: u64,
    groups: Option<&Bound<'_, PyAny>>,
) -> PyResult<Option<Compared>> {
    let scoring = Scoring { unit: unit_named(unit)?, normalizer: named(normalizer)? };
    let how = Resampling { n_resamples, seed, level };
    let (references, a, b) = (Texts::new(references, "references")?, Texts::new(a, "a")?, Texts::new(b, "b")?);
    let groups = groups.map(|groups| Texts::new(groups, "by")).transpose()?;
    let groups = groups.as_ref().map(|groups| groups.texts(py)).transpose()?;
    let (references, a, b) = (references.texts(py)?, a.texts(py)?, b.texts(py)?);
    let compared = py.detach(|| significance::compare(&references, (&a, &b), groups.as_deref(), scoring, how))?;
    Ok(compared.map(|found| {
        let mapsswe = (found.mapsswe.n_segments, found.mapsswe.z, found.mapsswe.p);
        let improvement = found.probability_of_improvement;
        (found.rates, found.difference, found.interval, improvement, found.p_bootstrap, mapsswe)
    }))
}

/// Session, speaker, start and end in seconds, text.
type Turn = (String, String, f64, f64, String);
/// Session, speaker of the reference, speaker of the hypothesis.
type Assigned = (String, Option<String>, Option<String>);

/// Counts under the best assignment of speakers, and that assignment; with a collar, time-constrained.
#[pyfunction]
#[allow(clippy::type_complexity, reason = "it is the shape of a Python tuple")]
fn meeting_counts(
    py: Python<'_>,
    reference: Vec<Turn>,
    hypothesis: Vec<Turn>,
    collar_s: Option<f64>,
    normalizer: &str,
) -> PyResult<((usize, usize, usize, usize), Vec<Assigned>)> {
    let normalizer = named(normalizer)?;
    let found: MeetingCounts = py.detach(|| {
        let (reference, hypothesis) = (segments(reference), segments(hypothesis));
        match collar_s {
            Some(collar_s) => meeting::tcp_counts(&reference, &hypothesis, collar_s, normalizer),
            None => meeting::cp_counts(&reference, &hypothesis, normalizer),
        }
    })?;
    let assignment = found.assignment.into_iter().map(|found| (found.session, found.reference, found.hypothesis));
    Ok((tuple(found.counts), assignment.collect()))
}

fn segments(turns: Vec<Turn>) -> Vec<Segment> {
    let segment = |(session, speaker, start, end, text)| Segment { session, speaker, start, end, text };
    turns.into_iter().map(segment).collect()
}

fn steps(chunks: &[Chunk]) -> Vec<Step> {
    let step = |Chunk { edit, reference, hypothesis }: &Chunk| {
        (edit.name(), reference.start, reference.end, hypothesis.start, hypothesis.end)
    };
    chunks.iter().map(step).collect()
}

fn unit_named(unit: &str) -> PyResult<Unit> {
    match unit {
        "word" => Ok(Unit::Word),
        "char" => Ok(Unit::Char),
        _ => Err(PyValueError::new_err(format!("got unit {unit:?}; expected word or char"))),
    }
}

pub(super) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Scores>()?;
    module.add_function(wrap_pyfunction!(score_texts, module)?)?;
    module.add_function(wrap_pyfunction!(align_tokens, module)?)?;
    module.add_function(wrap_pyfunction!(compare_texts, module)?)?;
    module.add_function(wrap_pyfunction!(meeting_counts, module)?)
}
