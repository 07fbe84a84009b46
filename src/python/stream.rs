//! Bindings of a transcription whose segments are taken one by one while it goes on.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::whisper::{Segment, Transcript};
use crate::infer::{Options, Recording, Transcriber};
use crate::text::transcript;
use crate::{Error, Result};

/// How often a waiting caller looks for signals: an interrupt is answered within this time.
const POLL: Duration = Duration::from_millis(50);
/// Segments that may wait to be taken; then the work waits too.
const MAX_WAITING: usize = 64;

/// A transcription on its way: an iterator of segments. Closing it, or dropping it, ends the work.
#[pyclass(frozen, module = "violet._core")]
pub(super) struct Stream {
    shared: Arc<Shared>,
    /// Where live audio comes from; asked on the caller's own thread.
    chunks: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// What the caller's thread and the working one tell each other.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is set by another party at another time")]
struct State {
    segments: VecDeque<transcript::Segment>,
    blocks: VecDeque<Vec<f32>>,
    wants_audio: bool,
    has_all_audio: bool,
    /// Share that is done and text so far, when they are new.
    progress: Option<(f32, String)>,
    outcome: Option<Result<transcript::Transcript>>,
    transcript: Option<transcript::Transcript>,
    /// Whether the outcome was taken.
    has_ended: bool,
    is_closed: bool,
}

/// What the caller is to do next.
enum Event {
    Take(transcript::Segment),
    Report(f32, String),
    GiveAudio,
    End(Result<()>),
    Wait,
}

/// The live blocks, as the working thread asks for them.
struct Feed(Arc<Shared>);

impl Iterator for Feed {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut state = self.0.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(block) = state.blocks.pop_front() {
                return Some(Ok(block));
            }
            if state.has_all_audio {
                return None;
            }
            state.wants_audio = true;
            self.0.changed.notify_all();
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is next, after a short wait at most.
    fn event(&self) -> Event {
        let state = self.lock();
        let is_idle = |state: &mut State| {
            state.segments.is_empty() && state.progress.is_none() && state.outcome.is_none() && !state.wants_audio
        };
        let waited = self.changed.wait_timeout_while(state, POLL, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(segment) = state.segments.pop_front() {
            self.changed.notify_all();
            return Event::Take(segment);
        }
        if let Some((fraction, text)) = state.progress.take() {
            return Event::Report(fraction, text);
        }
        if let Some(outcome) = state.outcome.take() {
            state.has_ended = true;
            return Event::End(outcome.map(|transcript| state.transcript = Some(transcript)));
        }
        if std::mem::take(&mut state.wants_audio) { Event::GiveAudio } else { Event::Wait }
    }

    fn work(self: &Arc<Self>, transcriber: &Transcriber, recording: Recording<'_>, options: &Options) {
        let mut n_sent = 0;
        let outcome = transcriber.transcribe_recording(recording, options, &mut |progress| {
            let mut state = self.lock();
            state.segments.extend(progress.segments.iter().skip(n_sent).cloned());
            n_sent = progress.segments.len();
            let text: String = progress.segments.iter().map(|segment| segment.text.as_str()).collect();
            let text = format!("{} {}", text.trim(), progress.partial).trim().to_owned();
            state.progress = Some((progress.fraction, text));
            self.changed.notify_all();
            let is_full = |state: &mut State| state.segments.len() >= MAX_WAITING && !state.is_closed;
            let state = self.changed.wait_while(state, is_full).unwrap_or_else(PoisonError::into_inner);
            if state.is_closed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.lock().outcome = Some(outcome);
        self.changed.notify_all();
    }
}

impl Stream {
    /// Starts the work. Without a recording, audio comes from the iterator `chunks`.
    pub(super) fn start(
        transcriber: Arc<Transcriber>,
        recording: Option<Recording<'static>>,
        chunks: Option<Py<PyAny>>,
        options: Options,
        progress: Option<Py<PyAny>>,
    ) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        let recording = recording.unwrap_or_else(|| Recording::live(Feed(Arc::clone(&shared))));
        let work = Arc::clone(&shared);
        let worker = thread::Builder::new()
            .name("whisper-stream".into())
            .spawn(move || work.work(&transcriber, recording, &options))
            .map_err(|error| Error::Model { source: Box::new(error) })?;
        Ok(Self { shared, chunks, progress, worker: Mutex::new(Some(worker)) })
    }

    /// Ends the work and waits for the thread, which never waits for the interpreter.
    fn stop(&self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            // A panic there has ended the stream without an outcome; there is nothing to add.
            let _ = worker.join();
        }
    }

    fn is_over(&self) -> bool {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        worker.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What a stream says whose thread has ended and whose outcome was taken.
    fn end(&self) -> PyResult<Option<Segment>> {
        let state = self.shared.lock();
        if state.is_closed || state.has_ended || state.outcome.is_some() {
            return Ok(None);
        }
        drop(state);
        Err(Error::Model { source: "the thread of the stream has ended without a result".into() }.into())
    }

    /// Hands one more chunk of live audio over, or the news that there is none.
    fn give_audio(&self, py: Python<'_>) -> PyResult<()> {
        let chunk = match &self.chunks {
            Some(chunks) => chunks.bind(py).try_iter()?.next().transpose()?,
            None => None,
        };
        let block = match chunk {
            Some(chunk) => Some(chunk.extract::<PyReadonlyArray1<'_, f32>>()?.as_array().to_vec()),
            None => None,
        };
        let mut state = self.shared.lock();
        match block {
            Some(block) => state.blocks.push_back(block),
            None => state.has_all_audio = true,
        }
        self.shared.changed.notify_all();
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop();
    }
}

#[pymethods]
impl Stream {
    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Segment>> {
        loop {
            let event = py.detach(|| self.shared.event());
            py.check_signals()?;
            match event {
                Event::Take(segment) => return Ok(Some(Segment(segment))),
                Event::Report(fraction, text) => {
                    if let Some(progress) = &self.progress {
                        progress.call1(py, (fraction, text))?;
                    }
                }
                Event::GiveAudio => self.give_audio(py)?,
                Event::End(outcome) => {
                    outcome?;
                    return Ok(None);
                }
                Event::Wait if self.is_over() => return self.end(),
                Event::Wait => {}
            }
        }
    }

    /// End the work; nothing of it is left when this returns.
    fn close(&self, py: Python<'_>) {
        py.detach(|| self.stop());
    }

    /// The whole transcript, once the last segment has been taken.
    #[getter]
    fn transcript(&self) -> Option<Transcript> {
        self.shared.lock().transcript.clone().map(Transcript)
    }
}
