//! One model, many requests: a thread that encodes and steps the windows of all of them together.
//!
//! A request is a [`Client`]. Its windows wait in a queue of its own, and the queues take turns, so that a long
//! recording does not keep a short one waiting. A window is admitted when its memory fits beside what is in flight; from
//! then on it is stepped with all others until it is done, and the next one takes its place.

mod engine;
mod queue;

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub(super) use self::queue::{Capacity, Window};
use self::{
    engine::failure,
    queue::{DecodeJob, EncodeJob, State, bytes_of},
};
use super::{
    decode::{Decoded, Request},
    model::Whisper,
};
use crate::{Error, Result};

/// Requests that may be under way; each has a bounded number of windows.
const MAX_CLIENTS: usize = 256;
/// How often a waiting caller looks whether it should stop.
const POLL: Duration = Duration::from_millis(20);

/// The thread that runs a model.
#[derive(Debug)]
pub(super) struct Scheduler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    model: Whisper,
    state: Mutex<State>,
    /// Something was submitted, or memory became free.
    changed: Condvar,
}

/// What a window gave.
#[derive(Debug)]
pub(super) enum Done {
    Heard(Window),
    Said(Decoded),
}

/// Where an answer goes.
#[derive(Debug, Clone)]
struct Reply {
    ticket: usize,
    sender: Sender<(usize, Result<Done>)>,
    is_cancelled: Arc<AtomicBool>,
}

impl Scheduler {
    pub(super) fn new(model: Whisper, capacity: Capacity) -> Result<Self> {
        let state = Mutex::new(State::new(capacity));
        let shared = Arc::new(Shared { model, state, changed: Condvar::new() });
        let engine = Arc::clone(&shared);
        let thread = thread::Builder::new().name("whisper-engine".into()).spawn(move || engine::run(&engine));
        let thread = thread.map_err(|error| Error::Model { source: Box::new(error) })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub(super) fn model(&self) -> &Whisper {
        &self.shared.model
    }

    /// Begins a request.
    ///
    /// # Errors
    /// [`Error::Busy`] when too many are under way.
    pub(super) fn client(&self) -> Result<Client<'_>> {
        let mut state = self.shared.lock();
        if state.n_clients >= MAX_CLIENTS {
            return Err(Error::Busy(format!("{MAX_CLIENTS} transcriptions are under way; try again later")));
        }
        state.n_clients += 1;
        state.last_client += 1;
        Ok(Client { scheduler: self, id: state.last_client })
    }

    #[cfg(test)]
    pub(super) fn bytes_in_flight(&self) -> usize {
        self.shared.lock().bytes_in_flight
    }

    #[cfg(test)]
    pub(super) fn n_waiting(&self) -> usize {
        self.shared.lock().n_waiting()
    }

    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It contains the panics of what it runs; were there another, nobody is left to be told.
            let _ = thread.join();
        }
    }
}

/// A request on its way: whatever it does side by side, it has one turn among the others.
#[derive(Debug)]
pub(super) struct Client<'a> {
    scheduler: &'a Scheduler,
    id: u64,
}

impl Client<'_> {
    /// A line to the engine, for one thread of this request.
    pub(super) fn session(&self) -> Session<'_> {
        let (sender, receiver) = channel();
        Session { client: self, sender, receiver, is_cancelled: Arc::default() }
    }
}

impl Drop for Client<'_> {
    fn drop(&mut self) {
        self.scheduler.shared.lock().n_clients -= 1;
    }
}

/// A line to the engine. Dropping it cancels what was submitted over it.
#[derive(Debug)]
pub(super) struct Session<'a> {
    client: &'a Client<'a>,
    sender: Sender<(usize, Result<Done>)>,
    receiver: Receiver<(usize, Result<Done>)>,
    is_cancelled: Arc<AtomicBool>,
}

impl Session<'_> {
    /// The model, for what is too little to be scheduled.
    pub(super) fn model(&self) -> &Whisper {
        self.client.scheduler.model()
    }

    fn shared(&self) -> &Shared {
        &self.client.scheduler.shared
    }

    /// Submits a window's features, dense `[n_mels, n_frames]`, to be decoded in `n_rows` sequences at most; the answer
    /// bears `ticket`.
    pub(super) fn submit_window(&self, ticket: usize, mel: Vec<f32>, n_frames: usize, n_rows: usize) {
        let n_bytes = bytes_of(self.model(), n_rows);
        let job = EncodeJob { client: self.client.id, mel, n_frames, n_bytes, reply: self.reply(ticket) };
        self.shared().lock().submit(job);
        self.shared().changed.notify_all();
    }

    /// Submits a decoding; the answer bears `ticket`. `partial` is shown the tokens from time to time.
    pub(super) fn submit_decoding(
        &self,
        ticket: usize,
        request: Request,
        window: &Window,
        partial: Option<Arc<Mutex<Vec<u32>>>>,
    ) {
        let job = DecodeJob { request, window: window.clone(), partial, reply: self.reply(ticket) };
        self.shared().lock().decode_jobs.push(job);
        self.shared().changed.notify_all();
    }

    /// Waits for the next answer to something submitted.
    ///
    /// # Errors
    /// [`Error::Cancelled`] when `check`, which is asked now and then, breaks. The answer itself may be an error.
    pub(super) fn next(&self, check: &mut dyn FnMut() -> ControlFlow<()>) -> Result<(usize, Result<Done>)> {
        loop {
            match self.receiver.recv_timeout(POLL) {
                Ok(answer) => return Ok(answer),
                Err(RecvTimeoutError::Timeout) if check().is_break() => return Err(Error::Cancelled),
                Err(RecvTimeoutError::Timeout) if !self.client.scheduler.has_ended() => {}
                Err(_) => return Err(failure("the thread that runs the model has ended")),
            }
        }
    }

    /// Encodes one window; see [`Self::submit_window`].
    pub(super) fn encode(
        &self,
        mel: Vec<f32>,
        n_frames: usize,
        n_rows: usize,
        check: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Window> {
        self.submit_window(0, mel, n_frames, n_rows);
        match self.next(check)?.1? {
            Done::Heard(window) => Ok(window),
            Done::Said(_) => Err(failure("a decoding was answered where a window was encoded")),
        }
    }

    /// Decodes one window; `check` is given the tokens so far now and then.
    pub(super) fn decode(
        &self,
        request: Request,
        window: &Window,
        check: &mut dyn FnMut(&[u32]) -> ControlFlow<()>,
    ) -> Result<Decoded> {
        let partial = Arc::<Mutex<Vec<u32>>>::default();
        self.submit_decoding(0, request, window, Some(Arc::clone(&partial)));
        let answer = self.next(&mut || {
            let tokens = partial.lock().unwrap_or_else(PoisonError::into_inner).clone();
            check(&tokens)
        });
        match answer?.1? {
            Done::Said(decoded) => Ok(decoded),
            Done::Heard(_) => Err(failure("a window was answered where one was decoded")),
        }
    }

    fn reply(&self, ticket: usize) -> Reply {
        Reply { ticket, sender: self.sender.clone(), is_cancelled: Arc::clone(&self.is_cancelled) }
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.is_cancelled.store(true, Relaxed);
        self.shared().lock().forget_cancelled();
    }
}

impl Reply {
    fn send(&self, outcome: Result<Done>) {
        // Nobody listens any more when the request was cancelled.
        let _ = self.sender.send((self.ticket, outcome));
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Relaxed)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that change it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
