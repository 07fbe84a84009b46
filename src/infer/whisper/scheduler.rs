//! One model, many requests: a thread that encodes and steps the windows of all of them together.
//!
//! A request is a [`Client`]. Its windows wait in a queue of its own, and the queues take turns, so that a long
//! recording does not keep a short one waiting. A window is admitted when its memory fits beside what is in flight; from
//! then on it is stepped with all others until it is done, and the next one takes its place.

use std::{
    any::Any,
    collections::VecDeque,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    decode::{Decoded, Decoding, Request},
    model::{Audio, Whisper},
};
use crate::{Error, Result, infer::device::Device};

/// Requests that may be under way; each has a bounded number of windows.
const MAX_CLIENTS: usize = 256;
/// How often a waiting caller looks whether it should stop.
const POLL: Duration = Duration::from_millis(20);
/// Steps between two looks at what a window says so far.
const STEPS_PER_PARTIAL: usize = 4;

/// What may be in flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    /// Bytes of all admitted windows together; one window is always admitted.
    pub max_bytes: usize,
    /// Windows that are encoded between two steps.
    pub max_encoded: usize,
}

impl Capacity {
    /// What suits the model's device.
    pub(super) fn of(model: &Whisper) -> Self {
        if matches!(model.device(), Device::Cpu) {
            // Encoding one after the other costs a processor nothing, and what is being decoded goes on in between.
            Self { max_bytes: 2 << 30, max_encoded: 1 }
        } else {
            Self { max_bytes: 8 << 30, max_encoded: 32 }
        }
    }
}

/// The thread that runs a model.
#[derive(Debug)]
pub(super) struct Scheduler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    model: Whisper,
    capacity: Capacity,
    state: Mutex<State>,
    /// Something was submitted, or memory became free.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Windows to encode, in a queue for each client that has some; the first client is the next to be served.
    queues: VecDeque<(u64, VecDeque<EncodeJob>)>,
    decode_jobs: Vec<DecodeJob>,
    bytes_in_flight: usize,
    n_clients: usize,
    last_client: u64,
    is_closed: bool,
}

/// What a window gave.
#[derive(Debug)]
pub(super) enum Done {
    Heard(Window),
    Said(Decoded),
}

/// An encoded window, and its share of the memory for as long as anybody holds it.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub audio: Audio,
    _permit: Arc<Permit>,
}

#[derive(Debug)]
struct Permit {
    shared: Arc<Shared>,
    n_bytes: usize,
}

/// Where an answer goes.
#[derive(Debug, Clone)]
struct Reply {
    ticket: usize,
    sender: Sender<(usize, Result<Done>)>,
    is_cancelled: Arc<AtomicBool>,
}

#[derive(Debug)]
struct EncodeJob {
    mel: Vec<f32>,
    n_frames: usize,
    n_bytes: usize,
    reply: Reply,
}

#[derive(Debug)]
struct DecodeJob {
    request: Request,
    window: Window,
    partial: Option<Arc<Mutex<Vec<u32>>>>,
    reply: Reply,
}

/// A window that is being decoded.
struct Active {
    job: DecodeJob,
    decoding: Decoding,
    n_steps: usize,
    /// A step of it together with others failed: it may be the reason.
    is_alone: bool,
    is_done: bool,
}

impl Scheduler {
    pub(super) fn new(model: Whisper, capacity: Capacity) -> Result<Self> {
        let state = Mutex::default();
        let shared = Arc::new(Shared { model, capacity, state, changed: Condvar::new() });
        let engine = Arc::clone(&shared);
        let thread = thread::Builder::new().name("whisper-engine".into()).spawn(move || engine.run());
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
        self.shared.lock().queues.iter().map(|(_, queue)| queue.len()).sum()
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
        let job = EncodeJob { mel, n_frames, n_bytes, reply: self.reply(ticket) };
        let mut state = self.shared().lock();
        match state.queues.iter_mut().find(|(id, _)| *id == self.client.id) {
            Some((_, queue)) => queue.push_back(job),
            None => state.queues.push_back((self.client.id, VecDeque::from([job]))),
        }
        drop(state);
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
        for (_, queue) in &mut self.shared().lock().queues {
            queue.retain(|job| !job.reply.is_cancelled());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.lock().bytes_in_flight -= self.n_bytes;
        self.shared.changed.notify_all();
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

impl State {
    /// The windows to encode next, one of each session in turn, with the memory for them taken.
    fn admit(&mut self, capacity: Capacity) -> Vec<EncodeJob> {
        let mut admitted: Vec<EncodeJob> = Vec::new();
        while admitted.len() < capacity.max_encoded {
            let Some((id, mut queue)) = self.queues.pop_front() else { break };
            let fits = |job: &EncodeJob| {
                let has_room = self.bytes_in_flight == 0 || self.bytes_in_flight + job.n_bytes <= capacity.max_bytes;
                has_room && admitted.first().is_none_or(|first| first.n_frames == job.n_frames)
            };
            if queue.is_empty() {
                continue;
            }
            if !queue.front().is_some_and(fits) {
                // The next one in turn waits for memory: nobody overtakes it.
                self.queues.push_front((id, queue));
                break;
            }
            if let Some(job) = queue.pop_front() {
                self.bytes_in_flight += job.n_bytes;
                admitted.push(job);
            }
            if !queue.is_empty() {
                self.queues.push_back((id, queue));
            }
        }
        admitted
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that change it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine: runs until the scheduler is dropped.
    fn run(self: Arc<Self>) {
        let mut active: Vec<Active> = Vec::new();
        while let Some((windows, decodings)) = self.next_work(active.is_empty()) {
            active.extend(decodings.into_iter().filter_map(|job| Active::new(job, &self.model, false)));
            self.encode(windows);
            active.retain(|active| !active.job.reply.is_cancelled());
            self.step(&mut active);
        }
    }

    /// What was submitted; waits for something when `may_wait`. `None` when all is over.
    fn next_work(&self, may_wait: bool) -> Option<(Vec<EncodeJob>, Vec<DecodeJob>)> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                // Dropping them gives memory back, which wants the lock.
                let left = std::mem::take(&mut state.decode_jobs);
                drop(state);
                drop(left);
                return None;
            }
            let windows = state.admit(self.capacity);
            let decodings = std::mem::take(&mut state.decode_jobs);
            if !may_wait || !windows.is_empty() || !decodings.is_empty() {
                return Some((windows, decodings));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn encode(self: &Arc<Self>, jobs: Vec<EncodeJob>) {
        let permit = |n_bytes| Arc::new(Permit { shared: Arc::clone(self), n_bytes });
        let jobs: Vec<(Arc<Permit>, EncodeJob)> = jobs.into_iter().map(|job| (permit(job.n_bytes), job)).collect();
        let jobs: Vec<_> = jobs.into_iter().filter(|(_, job)| !job.reply.is_cancelled()).collect();
        let encode = |jobs: &[(Arc<Permit>, EncodeJob)]| {
            let mels: Vec<&[f32]> = jobs.iter().map(|(_, job)| job.mel.as_slice()).collect();
            let n_frames = jobs.first().map_or(0, |(_, job)| job.n_frames);
            contain(|| if mels.is_empty() { Ok(Vec::new()) } else { self.model.encode(&mels, n_frames) })
        };
        let answer = |(permit, job): (Arc<Permit>, EncodeJob), outcome: Result<Audio>| {
            job.reply.send(outcome.map(|audio| Done::Heard(Window { audio, _permit: permit })));
        };
        match encode(&jobs) {
            Ok(heard) => jobs.into_iter().zip(heard).for_each(|(job, audio)| answer(job, Ok(audio))),
            // One of them may be the reason, or all together were too many.
            Err(_) if jobs.len() > 1 => {
                for job in jobs {
                    let alone = [job];
                    let outcome = encode(&alone).map(|mut heard| heard.swap_remove(0));
                    let [job] = alone;
                    answer(job, outcome);
                }
            }
            Err(error) => {
                if let Some(job) = jobs.into_iter().next() {
                    answer(job, Err(error));
                }
            }
        }
    }

    /// One step of everything that is being decoded.
    fn step(&self, active: &mut Vec<Active>) {
        let (mut alone, mut together): (Vec<Active>, Vec<Active>) =
            active.drain(..).partition(|active| active.is_alone);
        match self.step_together(&mut together) {
            Ok(()) => active.append(&mut together),
            Err(error) if together.len() == 1 => together[0].job.reply.send(Err(error)),
            // Their memories may be half-way: all begin again, and each answers for itself.
            Err(_) => {
                active.extend(together.into_iter().filter_map(|active| Active::new(active.job, &self.model, true)));
            }
        }
        for mut one in alone.drain(..) {
            match self.step_together(std::slice::from_mut(&mut one)) {
                Ok(()) => active.push(one),
                Err(error) => one.job.reply.send(Err(error)),
            }
        }
        active.retain(|active| !active.is_done);
    }

    fn step_together(&self, group: &mut [Active]) -> Result<()> {
        if group.is_empty() {
            return Ok(());
        }
        let mut steps: Vec<_> = group.iter_mut().map(|active| active.decoding.step()).collect();
        let scores = contain(|| self.model.decode(&mut steps))?;
        drop(steps);
        for (active, mut scores) in group.iter_mut().zip(scores) {
            active.advance(&mut scores);
        }
        Ok(())
    }
}

impl Active {
    /// `None`, and an answer, when it cannot even begin.
    fn new(job: DecodeJob, model: &Whisper, is_alone: bool) -> Option<Self> {
        match contain(|| Decoding::new(job.request.clone(), model, &job.window.audio)) {
            Ok(decoding) => Some(Self { job, decoding, n_steps: 0, is_alone, is_done: false }),
            Err(error) => {
                job.reply.send(Err(error));
                None
            }
        }
    }

    fn advance(&mut self, scores: &mut [f32]) {
        self.n_steps += 1;
        let decoding = &mut self.decoding;
        match contain(|| decoding.advance(scores)) {
            Ok(None) => {
                if let Some(partial) =
                    self.job.partial.as_ref().filter(|_| self.n_steps.is_multiple_of(STEPS_PER_PARTIAL))
                {
                    let mut partial = partial.lock().unwrap_or_else(PoisonError::into_inner);
                    partial.clear();
                    partial.extend_from_slice(self.decoding.tokens());
                }
            }
            outcome => {
                let outcome = outcome.and_then(|said| said.ok_or_else(|| failure("a window ended without a result")));
                self.job.reply.send(outcome.map(Done::Said));
                self.is_done = true;
            }
        }
    }
}

/// Bytes that a window needs: keys and values of the audio, and of `n_rows` sequences of tokens.
fn bytes_of(model: &Whisper, n_rows: usize) -> usize {
    let sizes = model.dimensions();
    let per_position = 2 * sizes.n_decoder_layers * sizes.width * size_of::<f32>();
    per_position * (sizes.n_audio_ctx + n_rows * sizes.n_text_ctx)
}

/// Runs a part of one request so that its panic is this request's error.
fn contain<T>(run: impl FnOnce() -> Result<T>) -> Result<T> {
    // What `run` has changed is dropped, or rebuilt, after a panic.
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| Err(failure(&message_of(&*panic))))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let message =
        panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panicked: {}", message.unwrap_or_default())
}

fn failure(message: &str) -> Error {
    Error::Model { source: message.into() }
}
