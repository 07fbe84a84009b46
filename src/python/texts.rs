//! Lists of Python strings, and their scores, which threads count while the lists are still being read.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use crate::Error;
use crate::score::{Scorer, corpus};

/// Work that is handed to a thread at once, bytes of text: less is as fast by one thread as by several.
const BATCH_BYTES: usize = 1 << 16;
/// Pairs whose texts are fetched before they are scored.
const AHEAD: usize = 16;
/// Bytes of a line of the processor's cache.
const LINE: usize = 64;
/// Strings of a list that are taken at once.
const SLICE: usize = 64;
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

/// Neighbouring pairs of texts.
type Batch<'t> = Vec<(&'t str, &'t str)>;

/// What the pairs of two lists come to, by `num_threads` threads (all, if `None`): one sum for each of them, of the pairs
/// that came to it. Which ones is left to chance, so only what does not depend on an order may be summed.
///
/// The calling thread reads the strings, for which it must hold the interpreter, while the others score those that it
/// has read; then it lets go of the interpreter and scores, too.
pub(super) fn summed<T: Default + Send>(
    references: &Bound<'_, PyAny>,
    hypotheses: &Bound<'_, PyAny>,
    num_threads: Option<usize>,
    add: impl Fn(&mut T, &mut Scorer, &str, &str) + Sync,
) -> PyResult<Vec<T>> {
    let n_threads = corpus::n_threads(num_threads)?;
    let lists = (list(references, "references")?, list(hypotheses, "hypotheses")?);
    let slices = vec![OnceCell::new(); lists.0.len().div_ceil(SLICE)];
    let (sender, receiver) = mpsc::channel::<Batch<'_>>();
    let (receiver, n_waiting) = (Mutex::new(receiver), AtomicUsize::new(0));
    let work = || {
        let (mut scorer, mut sum) = (Scorer::default(), T::default());
        loop {
            let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(batch) = next else { return sum };
            n_waiting.fetch_sub(1, Relaxed);
            for pairs in batch.chunks(AHEAD) {
                fetch(pairs);
                for (left, right) in pairs {
                    add(&mut sum, &mut scorer, left, right);
                }
            }
        }
    };
    thread::scope(|threads| {
        let mut workers = Vec::new();
        read(&lists, &slices, |batch| {
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
        Ok(references.py().detach(|| {
            let mut sums = vec![work()];
            for worker in workers {
                sums.push(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            sums
        }))
    })
}

/// Has the processor fetch where these texts begin, all at a time: it would wait for one after the other.
fn fetch(pairs: &[(&str, &str)]) {
    let first = |text: &str| text.as_bytes().iter().step_by(LINE).take(2).fold(0, |all, byte| all ^ byte);
    std::hint::black_box(pairs.iter().fold(0, |all, (left, right)| all ^ first(left) ^ first(right)));
}

/// Some strings of both lists, kept alive. Tuples: a list could lose some while the interpreter is let go.
type Slice<'py> = (Bound<'py, PyTuple>, Bound<'py, PyTuple>);

/// Reads two lists of strings batch by batch.
fn read<'t, 'py>(
    (references, hypotheses): &(Bound<'py, PyList>, Bound<'py, PyList>),
    slices: &'t [OnceCell<Slice<'py>>],
    mut take: impl FnMut(Batch<'t>) -> PyResult<()>,
) -> PyResult<()> {
    let (n, m) = (references.len(), hypotheses.len());
    if n != m {
        return Err(corpus::lengths_differ(n, m).into());
    }
    let text = |item: Borrowed<'t, 'py, PyAny>, index: usize, name: &str| {
        item.extract::<&'t str>().map_err(|_| refusal(&item, name, index))
    };
    let (mut batch, mut n_bytes) = (Batch::new(), 0);
    for (slice, cell) in slices.iter().enumerate() {
        let range = slice * SLICE..n.min((slice + 1) * SLICE);
        let part = |list: &Bound<'py, PyList>| list.get_slice(range.start, range.end).to_tuple();
        let (left, right) = cell.get_or_init(|| (part(references), part(hypotheses)));
        for (index, pair) in range.zip(left.iter_borrowed().zip(right.iter_borrowed())) {
            let (left, right) = (text(pair.0, index, "references")?, text(pair.1, index, "hypotheses")?);
            n_bytes += left.len() + right.len() + PAIR_BYTES;
            batch.push((left, right));
            if n_bytes >= BATCH_BYTES {
                let capacity = batch.len() + batch.len() / 4;
                take(std::mem::replace(&mut batch, Vec::with_capacity(capacity)))?;
                n_bytes = 0;
            }
        }
    }
    if batch.is_empty() { Ok(()) } else { take(batch) }
}
