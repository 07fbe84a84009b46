//! Lists of Python strings, and their scores, which threads count while the lists are still being read.

use std::borrow::Cow;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::Error;
use crate::score::{Scorer, corpus};

/// Work that is handed to a thread at once, bytes of text: less is as fast by one thread as by several.
const BATCH_BYTES: usize = 1 << 16;
/// What a pair costs besides its text, in bytes of text.
const PAIR_BYTES: usize = 32;

/// Strings of a Python list, kept alive for the time that their texts are used.
///
/// A tuple holds them all: a list could lose some while the interpreter is let go.
pub(super) struct Texts {
    pub(super) strings: Py<PyTuple>,
    name: Cow<'static, str>,
}

impl Texts {
    /// These strings.
    pub(super) fn of(strings: Py<PyTuple>, name: &'static str) -> Self {
        Self { strings, name: Cow::Borrowed(name) }
    }

    /// A string, or a sequence of strings.
    pub(super) fn new(texts: &Bound<'_, PyAny>, name: impl Into<Cow<'static, str>>) -> PyResult<Self> {
        let name = name.into();
        Ok(Self { strings: list(texts, &name)?.to_tuple().unbind(), name })
    }

    /// The texts of all strings.
    pub(super) fn texts<'t>(&'t self, py: Python<'t>) -> PyResult<Vec<&'t str>> {
        let text = |(index, item): (usize, Borrowed<'t, 't, PyAny>)| {
            item.extract::<&'t str>().map_err(|_| refusal(&item, &self.name, index))
        };
        self.strings.bind(py).iter_borrowed().enumerate().map(text).collect()
    }
}

/// A string, or a sequence of anything, as a list.
pub(super) fn list<'py>(texts: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyList>> {
    if texts.is_instance_of::<PyString>() {
        return PyList::new(texts.py(), [texts]);
    }
    if let Ok(list) = texts.cast::<PyList>() {
        return Ok(list.clone());
    }
    let items = texts.try_iter().map_err(|_| {
        let kind = texts.get_type().name().map(|name| name.to_string()).unwrap_or_default();
        PyTypeError::new_err(format!("{name} is of type {kind}; expected str or a list of str"))
    })?;
    PyList::new(texts.py(), items.collect::<PyResult<Vec<_>>>()?)
}

/// Why an item of a list has no text.
fn refusal(item: &Bound<'_, PyAny>, name: &str, index: usize) -> PyErr {
    if item.is_instance_of::<PyString>() {
        return lone_surrogate(&format!("{name}[{index}]"));
    }
    let kind = item.get_type().name().map(|name| name.to_string()).unwrap_or_default();
    PyTypeError::new_err(format!("{name}[{index}] is of type {kind}; expected str"))
}

pub(super) fn lone_surrogate(name: &str) -> PyErr {
    PyValueError::new_err(format!("{name} has a lone surrogate (half of a UTF-16 pair); expected Unicode text"))
}

/// Neighbouring pairs, and how many are before them. The strings are kept alive, not copied.
struct Batch {
    index: usize,
    pairs: Vec<(PyBackedStr, PyBackedStr)>,
}

/// The scores of all pairs of two lists, in order, by `num_threads` threads (all, if `None`).
///
/// The calling thread reads the strings, for which it must hold the interpreter, while the others score those that it
/// has read; then it lets go of the interpreter and scores, too.
pub(super) fn scored<T: Send>(
    references: &Bound<'_, PyAny>,
    hypotheses: &Bound<'_, PyAny>,
    num_threads: Option<usize>,
    score: impl Fn(&mut Scorer, &str, &str) -> T + Sync,
) -> PyResult<Vec<T>> {
    let n_threads = corpus::n_threads(num_threads)?;
    let lists = (list(references, "references")?, list(hypotheses, "hypotheses")?);
    let (sender, receiver) = mpsc::channel::<Batch>();
    let (receiver, n_waiting) = (Mutex::new(receiver), AtomicUsize::new(0));
    let work = || {
        let (mut scorer, mut done) = (Scorer::default(), Vec::new());
        loop {
            let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = next else { return done };
            n_waiting.fetch_sub(1, Relaxed);
            let found = batch.pairs.iter().map(|(left, right)| score(&mut scorer, left, right)).collect::<Vec<_>>();
            // The strings go back to the calling thread: only with the interpreter can they be let go.
            done.push((batch, found));
        }
    };
    let mut done = thread::scope(|threads| {
        let mut workers = Vec::new();
        read(&lists, |batch| {
            // One more thread where the others do not keep up.
            if workers.len() + 1 < n_threads && n_waiting.load(Relaxed) > 0 {
                workers.push(thread::Builder::new().spawn_scoped(threads, work).map_err(|error| {
                    Error::InvalidInput(format!("cannot start {} threads: {error}", workers.len() + 2))
                })?);
            }
            n_waiting.fetch_add(1, Relaxed);
            // The receiver is there as long as this function.
            let _ = sender.send(batch);
            Ok(())
        })?;
        drop(sender);
        Ok::<_, PyErr>(references.py().detach(|| {
            let mut done = work();
            for worker in workers {
                done.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            done
        }))
    })?;
    done.sort_unstable_by_key(|(batch, _)| batch.index);
    Ok(done.into_iter().flat_map(|(_, scores)| scores).collect())
}

/// Reads two lists of strings batch by batch.
fn read(
    (references, hypotheses): &(Bound<'_, PyList>, Bound<'_, PyList>),
    mut take: impl FnMut(Batch) -> PyResult<()>,
) -> PyResult<()> {
    let (n, m) = (references.len(), hypotheses.len());
    if n != m {
        return Err(corpus::lengths_differ(n, m).into());
    }
    let text = |list: &Bound<'_, PyList>, index: usize, name: &str| {
        let item = list.get_item(index)?;
        item.extract::<PyBackedStr>().map_err(|_| refusal(&item, name, index))
    };
    let (mut pairs, mut n_bytes) = (Vec::new(), 0);
    for index in 0..n {
        let pair = (text(references, index, "references")?, text(hypotheses, index, "hypotheses")?);
        n_bytes += pair.0.len() + pair.1.len() + PAIR_BYTES;
        pairs.push(pair);
        if n_bytes >= BATCH_BYTES || index + 1 == n {
            let capacity = pairs.len() + pairs.len() / 4;
            let pairs = std::mem::replace(&mut pairs, Vec::with_capacity(capacity));
            take(Batch { index: index + 1 - pairs.len(), pairs })?;
            n_bytes = 0;
        }
    }
    Ok(())
}
