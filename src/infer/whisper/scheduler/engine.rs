//! The thread that runs a model: it encodes what is admitted and steps all that is being decoded together.
//!
//! Where the device has too little memory, fewer windows are stepped together, or some wait for others to end.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, PoisonError},
};

use super::{
    Done, Shared,
    queue::{DecodeJob, EncodeJob, Permit, Window},
};
use crate::{
    Error, Result,
    infer::whisper::{
        decode::Decoding,
        model::{Audio, Whisper},
    },
};

/// Steps between two looks at what a window says so far.
const STEPS_PER_PARTIAL: usize = 4;

/// A window that is being decoded.
struct Active {
    job: DecodeJob,
    decoding: Decoding,
    n_steps: usize,
    /// A step of it together with others failed: it may be the reason.
    is_alone: bool,
    state: Progress,
}

/// How a window came out of a step.
enum Progress {
    GoesOn,
    /// There was no memory for its step, which can be tried again.
    Starved(Error),
    /// Its memory may be half-way.
    MustRestart,
    Answered,
}

/// What the thread works on.
struct Engine<'a> {
    shared: &'a Arc<Shared>,
    active: Vec<Active>,
    /// Decodings for which there was no memory yet.
    waiting: Vec<DecodeJob>,
    /// Windows that are stepped together, and those that may be decoded at a time: as many as there was memory for.
    n_together: usize,
    max_active: usize,
}

/// Runs until the scheduler is dropped.
pub(super) fn run(shared: &Arc<Shared>) {
    let mut engine =
        Engine { shared, active: Vec::new(), waiting: Vec::new(), n_together: usize::MAX, max_active: usize::MAX };
    while let Some((windows, decodings)) = engine.next_work() {
        engine.waiting.extend(decodings);
        engine.start();
        engine.encode(windows);
        engine.active.retain(|active| !active.job.reply.is_cancelled());
        engine.step();
    }
}

impl Engine<'_> {
    fn model(&self) -> &Whisper {
        &self.shared.model
    }

    /// What was submitted; waits for something when there is nothing else to do. `None` when all is over.
    fn next_work(&self) -> Option<(Vec<EncodeJob>, Vec<DecodeJob>)> {
        let may_wait = self.active.is_empty() && self.waiting.is_empty();
        let mut state = self.shared.lock();
        loop {
            if state.is_closed {
                // Dropping them gives memory back, which wants the lock.
                let left = std::mem::take(&mut state.decode_jobs);
                drop(state);
                drop(left);
                return None;
            }
            let windows = state.admit();
            let decodings = std::mem::take(&mut state.decode_jobs);
            if !may_wait || !windows.is_empty() || !decodings.is_empty() {
                return Some((windows, decodings));
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Begins with what waits, as far as there is memory.
    fn start(&mut self) {
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        while self.active.len() < self.max_active
            && let Some(job) = waiting.by_ref().find(|job| !job.reply.is_cancelled())
        {
            match Active::new(job, self.model(), false) {
                Ok(active) => self.active.push(active),
                Err(refused) => match *refused {
                    // Something will end, and give its memory back.
                    (job, Error::OutOfMemory { .. }) if !self.active.is_empty() => {
                        self.max_active = self.active.len();
                        self.waiting.push(job);
                    }
                    (job, error) => job.reply.send(Err(error)),
                },
            }
        }
        self.waiting.extend(waiting);
    }

    fn encode(&self, jobs: Vec<EncodeJob>) {
        let permit = |n_bytes| Arc::new(Permit { shared: Arc::clone(self.shared), n_bytes });
        let jobs: Vec<(Arc<Permit>, EncodeJob)> = jobs.into_iter().map(|job| (permit(job.n_bytes), job)).collect();
        let mut jobs: Vec<_> = jobs.into_iter().filter(|(_, job)| !job.reply.is_cancelled()).collect();
        match self.heard(&jobs) {
            Ok(heard) => jobs.into_iter().zip(heard).for_each(|(job, audio)| self.answer(job, Ok(audio))),
            // One of them may be the reason, or all together were too many.
            Err(_) if jobs.len() > 1 => {
                for job in jobs {
                    let outcome = self.heard(std::slice::from_ref(&job)).map(|mut heard| heard.swap_remove(0));
                    self.answer(job, outcome);
                }
            }
            Err(error) => {
                if let Some(job) = jobs.pop() {
                    self.answer(job, Err(error));
                }
            }
        }
    }

    fn heard(&self, jobs: &[(Arc<Permit>, EncodeJob)]) -> Result<Vec<Audio>> {
        let mels: Vec<&[f32]> = jobs.iter().map(|(_, job)| job.mel.as_slice()).collect();
        let n_frames = jobs.first().map_or(0, |(_, job)| job.n_frames);
        contain(|| if mels.is_empty() { Ok(Vec::new()) } else { self.model().encode(&mels, n_frames) })
    }

    fn answer(&self, (permit, job): (Arc<Permit>, EncodeJob), outcome: Result<Audio>) {
        match outcome {
            Ok(audio) => {
                self.shared.lock().grow(job.n_bytes);
                job.reply.send(Ok(Done::Heard(Window { audio, _permit: permit })));
            }
            Err(error @ Error::OutOfMemory { .. }) => {
                drop(permit);
                if let Some(job) = self.shared.lock().put_back(job) {
                    job.reply.send(Err(error));
                }
            }
            Err(error) => job.reply.send(Err(error)),
        }
    }

    /// One step of everything that is being decoded.
    fn step(&mut self) {
        let mut active = std::mem::take(&mut self.active);
        for one in &mut active {
            one.prepare();
        }
        active.sort_by_key(|active| active.is_alone);
        let n_in_company = active.partition_point(|active| !active.is_alone);
        let (together, alone) = active.split_at_mut(n_in_company);
        let mut rest: Vec<&mut Active> = together.iter_mut().filter(|active| active.is_going_on()).collect();
        while !rest.is_empty() {
            let later = rest.split_off(rest.len().min(self.n_together));
            self.step_together(&mut rest);
            rest = later;
        }
        for one in alone.iter_mut().filter(|active| active.is_going_on()) {
            self.step_together(&mut [one]);
        }
        let is_stuck = !active.is_empty() && active.iter().all(|active| matches!(active.state, Progress::Starved(_)));
        if is_stuck && let Some(last) = active.pop() {
            // Nobody's end will give memory back: the last to come makes room for the others, and begins again later.
            if active.is_empty() {
                last.give_up();
            } else {
                self.max_active = active.len();
                self.waiting.insert(0, last.job);
            }
        }
        for active in active {
            match active.state {
                Progress::GoesOn | Progress::Starved(_) => {
                    self.active.push(Active { state: Progress::GoesOn, ..active });
                }
                Progress::MustRestart => match Active::new(active.job, self.model(), true) {
                    Ok(active) => self.active.push(active),
                    Err(refused) => {
                        let (job, error) = *refused;
                        job.reply.send(Err(error));
                    }
                },
                Progress::Answered => self.max_active = self.max_active.saturating_add(1),
            }
        }
    }

    /// Steps a group; half of it at a time where it does not fit into the memory.
    fn step_together(&mut self, group: &mut [&mut Active]) {
        let n = group.len();
        match (step_once(self.model(), group), group) {
            // Others may have given memory back.
            (Ok(()), _) if n == self.n_together => self.n_together += 1,
            (Ok(()), _) => {}
            (Err(Error::OutOfMemory { .. }), group @ [_, _, ..]) => {
                self.n_together = n / 2;
                let (first, second) = group.split_at_mut(n / 2);
                self.step_together(first);
                self.step_together(second);
            }
            (Err(error @ Error::OutOfMemory { .. }), [one]) => one.state = Progress::Starved(error),
            (Err(error), [one]) => one.answer(Err(error)),
            // Their memories may be half-way: all begin again, and each answers for itself.
            (Err(_), group) => group.iter_mut().for_each(|one| one.state = Progress::MustRestart),
        }
    }
}

fn step_once(model: &Whisper, group: &mut [&mut Active]) -> Result<()> {
    let mut steps: Vec<_> = group.iter_mut().map(|active| active.decoding.step()).collect();
    let answers = contain(|| model.decode(&mut steps))?;
    drop(steps);
    for (active, answer) in group.iter_mut().zip(answers) {
        active.n_steps += 1;
        match contain(|| Ok(active.decoding.advance(answer))) {
            Ok(None) => active.show(),
            Ok(Some(decoded)) => active.answer(Ok(Done::Said(decoded))),
            Err(error) => active.answer(Err(error)),
        }
    }
    Ok(())
}

impl Active {
    /// The job again, and the reason, when it cannot even begin.
    fn new(job: DecodeJob, model: &Whisper, is_alone: bool) -> Result<Self, Box<(DecodeJob, Error)>> {
        match contain(|| Decoding::new(job.request.clone(), model, &job.window.audio)) {
            Ok(decoding) => Ok(Self { job, decoding, n_steps: 0, is_alone, state: Progress::GoesOn }),
            Err(error) => Err(Box::new((job, error))),
        }
    }

    fn is_going_on(&self) -> bool {
        matches!(self.state, Progress::GoesOn)
    }

    fn prepare(&mut self) {
        match contain(|| self.decoding.prepare()) {
            Ok(()) => {}
            Err(error @ Error::OutOfMemory { .. }) => self.state = Progress::Starved(error),
            Err(error) => self.answer(Err(error)),
        }
    }

    fn answer(&mut self, outcome: Result<Done>) {
        self.job.reply.send(outcome);
        self.state = Progress::Answered;
    }

    fn give_up(self) {
        if let Progress::Starved(error) = self.state {
            self.job.reply.send(Err(error));
        }
    }

    /// Lets who wants it see the tokens so far.
    fn show(&self) {
        let wants = |_: &&_| self.n_steps.is_multiple_of(STEPS_PER_PARTIAL);
        if let Some(partial) = self.job.partial.as_ref().filter(wants) {
            let mut partial = partial.lock().unwrap_or_else(PoisonError::into_inner);
            partial.clear();
            partial.extend_from_slice(self.decoding.tokens());
        }
    }
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

pub(super) fn failure(message: &str) -> Error {
    Error::Model { source: message.into() }
}
