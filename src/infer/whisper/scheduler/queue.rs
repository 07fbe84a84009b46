//! What waits for the engine, and the memory that is lent to what does not wait any more.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use super::{Reply, Shared};
use crate::infer::{
    device::Device,
    whisper::{
        decode::Request,
        model::{Audio, Whisper},
    },
};

/// Most windows that are encoded between two steps of what is being decoded.
const MAX_ENCODED: u64 = 32;

/// What may be in flight.
#[derive(Debug, Clone, Copy)]
pub(in crate::infer::whisper) struct Capacity {
    /// Bytes of all admitted windows together; one window is always admitted.
    pub max_bytes: usize,
    /// Windows that are encoded between two steps.
    pub max_encoded: usize,
}

impl Capacity {
    /// What suits the model's device: of a GPU's free memory, what encoding and stepping leave.
    pub(in crate::infer::whisper) fn of(model: &Whisper) -> Self {
        if let Some(free) = model.free_bytes() {
            let workspace = model.dimensions().memory(model.compute_type()).workspace_bytes;
            // Encoding may take a quarter.
            let max_encoded = (free / 4 / workspace.max(1)).clamp(1, MAX_ENCODED);
            let left = free.saturating_sub(max_encoded * workspace) / 10 * 9;
            return Self { max_bytes: saturated(left), max_encoded: saturated(max_encoded) };
        }
        match model.device() {
            // Encoding one after the other costs a processor nothing, and what is being decoded goes on in between.
            Device::Cpu => Self { max_bytes: 2 << 30, max_encoded: 1 },
            Device::Cuda(_) | Device::Metal(_) => Self { max_bytes: 8 << 30, max_encoded: 32 },
        }
    }
}

fn saturated(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// Bytes that a window needs: keys and values of the audio, and of `n_rows` sequences of tokens.
pub(super) fn bytes_of(model: &Whisper, n_rows: usize) -> usize {
    let memory = model.dimensions().memory(model.compute_type());
    // Rows that change places on a GPU are copied to a second place.
    let n_places = if n_rows > 1 && !matches!(model.device(), Device::Cpu) { 2 } else { 1 };
    saturated(memory.window_bytes + (n_places * n_rows) as u64 * memory.row_bytes)
}

#[derive(Debug)]
pub(super) struct State {
    capacity: Capacity,
    /// As `capacity` has it, or less where the device had no more.
    max_bytes: usize,
    /// Windows to encode, in a queue for each client that has some; the first client is the next to be served.
    queues: VecDeque<(u64, VecDeque<EncodeJob>)>,
    pub decode_jobs: Vec<DecodeJob>,
    pub bytes_in_flight: usize,
    pub n_clients: usize,
    pub last_client: u64,
    pub is_closed: bool,
}

/// An encoded window, and its share of the memory for as long as anybody holds it.
#[derive(Debug, Clone)]
pub(in crate::infer::whisper) struct Window {
    pub audio: Audio,
    pub(super) _permit: Arc<Permit>,
}

#[derive(Debug)]
pub(super) struct Permit {
    pub shared: Arc<Shared>,
    pub n_bytes: usize,
}

#[derive(Debug)]
pub(super) struct EncodeJob {
    pub client: u64,
    pub mel: Vec<f32>,
    pub n_frames: usize,
    pub n_bytes: usize,
    pub reply: Reply,
}

#[derive(Debug)]
pub(super) struct DecodeJob {
    pub request: Request,
    pub window: Window,
    pub partial: Option<Arc<Mutex<Vec<u32>>>>,
    pub reply: Reply,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.lock().bytes_in_flight -= self.n_bytes;
        self.shared.changed.notify_all();
    }
}

impl State {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            max_bytes: capacity.max_bytes,
            queues: VecDeque::new(),
            decode_jobs: Vec::new(),
            bytes_in_flight: 0,
            n_clients: 0,
            last_client: 0,
            is_closed: false,
        }
    }

    /// Puts a window into its client's queue.
    pub(super) fn submit(&mut self, job: EncodeJob) {
        match self.queues.iter_mut().find(|(id, _)| *id == job.client) {
            Some((_, queue)) => queue.push_back(job),
            None => self.queues.push_back((job.client, VecDeque::from([job]))),
        }
    }

    /// Puts a window, for which the device had no memory, back to where it was, until some of what is in flight has
    /// given back its own; returns it when nothing is.
    pub(super) fn put_back(&mut self, job: EncodeJob) -> Option<EncodeJob> {
        if self.bytes_in_flight == 0 {
            return Some(job);
        }
        self.max_bytes = self.bytes_in_flight;
        match self.queues.iter_mut().find(|(id, _)| *id == job.client) {
            Some((_, queue)) => queue.push_front(job),
            None => self.queues.push_front((job.client, VecDeque::from([job]))),
        }
        None
    }

    /// After a window for which the device had the memory: others may have given some back.
    pub(super) fn grow(&mut self, n_bytes: usize) {
        self.max_bytes = self.max_bytes.saturating_add(n_bytes / 8).min(self.capacity.max_bytes);
    }

    pub(super) fn forget_cancelled(&mut self) {
        for (_, queue) in &mut self.queues {
            queue.retain(|job| !job.reply.is_cancelled());
        }
    }

    #[cfg(test)]
    pub(super) fn n_waiting(&self) -> usize {
        self.queues.iter().map(|(_, queue)| queue.len()).sum()
    }

    /// The windows to encode next, one of each session in turn, with the memory for them taken.
    pub(super) fn admit(&mut self) -> Vec<EncodeJob> {
        let mut admitted: Vec<EncodeJob> = Vec::new();
        while admitted.len() < self.capacity.max_encoded {
            let Some((id, mut queue)) = self.queues.pop_front() else { break };
            let fits = |job: &EncodeJob| {
                let has_room = self.bytes_in_flight == 0 || self.bytes_in_flight + job.n_bytes <= self.max_bytes;
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
