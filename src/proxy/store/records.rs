//! The records of a store, and what one change stores together.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::audio;
use crate::subnet::assign::{NEWCOMER_QUALITY, updated_quality};
use crate::subnet::consensus::ACCEPTED_FROM;
use crate::subnet::task::{Hotkey, Kind, ResponseId, Task, TaskId, TaskState};

/// A response as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ResponseRow {
    pub(crate) id: ResponseId,
    pub(crate) task_id: TaskId,
    pub(crate) slot: u8,
    pub(crate) miner: Hotkey,
    pub(crate) digest: String,
    pub(crate) signature: String,
    pub(crate) latency_ms: i64,
    pub(crate) text: String,
    pub(crate) result: String,
}

/// A validator's revealed scores as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct EvaluationRow {
    pub(crate) task_id: TaskId,
    pub(crate) validator: Hotkey,
    pub(crate) commitment: String,
    pub(crate) salt: String,
    pub(crate) scores: String,
    pub(crate) revealed_at_ms: i64,
}

/// An upload as stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct UploadRow {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) name: Option<String>,
    pub(crate) audio: audio::Info,
    pub(crate) created_at_ms: i64,
}

/// What is known about a miner's work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct MinerRow {
    pub(crate) hotkey: Hotkey,
    pub(crate) quality: f64,
    pub(crate) answered: u64,
    pub(crate) accepted: u64,
}

impl MinerRow {
    /// A miner of which nothing is known.
    pub(crate) fn newcomer(hotkey: Hotkey) -> Self {
        Self { hotkey, quality: NEWCOMER_QUALITY, answered: 0, accepted: 0 }
    }

    /// Lets one more score, 0 to 1, count.
    pub(crate) fn score(&mut self, score: f64) {
        self.quality = updated_quality(self.quality, score);
        self.accepted += u64::from(score >= ACCEPTED_FROM);
    }
}

/// A user's name for a request, and what the request said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdempotencyKey {
    pub(crate) owner: String,
    pub(crate) key: String,
    pub(crate) body_sha256: String,
}

/// What a small record is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum EntryKind {
    /// An API key.
    Key,
    /// A hotkey that the operator shut out.
    Ban,
    /// How the operator set a switch.
    Setting,
    /// A message to a webhook that was not delivered yet; belongs to its task.
    Delivery,
    /// An upload under way; belongs to its owner.
    Upload,
    /// A miner that takes no more work.
    Drain,
    /// How a validator found the miners.
    Report,
    /// How far the validators are trusted.
    Trust,
}

impl EntryKind {
    /// The kind's word in stores.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Ban => "ban",
            Self::Setting => "setting",
            Self::Delivery => "delivery",
            Self::Upload => "upload",
            Self::Drain => "drain",
            Self::Report => "report",
            Self::Trust => "trust",
        }
    }
}

/// A small record beside the tasks, changed by compare-and-set on its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) name: String,
    /// Whose it is; empty where that means nothing.
    pub(crate) belongs_to: String,
    /// When something is to be done about it; 0 where nothing is.
    pub(crate) due_ms: i64,
    /// 1 at first; grows by one with every change.
    pub(crate) version: u64,
    /// What it says, as JSON.
    pub(crate) record: String,
}

/// Which of an owner's tasks are listed, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) owner: String,
    pub(crate) limit: usize,
    /// Names from this one on.
    pub(crate) from: String,
    /// Names before this one.
    pub(crate) before: String,
    pub(crate) state: Option<TaskState>,
    pub(crate) kind: Option<Kind>,
}

impl Listing {
    /// Behind all names of tasks.
    pub(crate) const LAST: &str = "~";

    /// The newest of an owner's tasks.
    #[cfg(test)]
    pub(crate) fn newest(owner: &str, limit: usize) -> Self {
        let (from, before) = (String::new(), Self::LAST.to_owned());
        Self { owner: owner.to_owned(), limit, from, before, state: None, kind: None }
    }
}

/// What the record of a message to a webhook says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delivery {
    /// Number of the task's event that it tells of.
    pub(crate) event: u64,
    /// How often it was sent in vain.
    pub(crate) attempts: u32,
}

/// The message that a change of a task makes, if its user wants to hear of it.
fn message(before: &Task, after: &Task) -> Option<Entry> {
    let is_told = after.state.is_final() || after.state == TaskState::Answered;
    if after.webhook.is_none() || before.state == after.state || !is_told {
        return None;
    }
    let name = format!("msg_{}_{}", after.id.as_str().trim_start_matches("task_"), after.last_event);
    let record = format!("{{\"event\": {}, \"attempts\": 0}}", after.last_event);
    let (belongs_to, due_ms) = (after.id.as_str().to_owned(), after.updated_at_ms);
    Some(Entry { kind: EntryKind::Delivery, name, belongs_to, due_ms, version: 1, record })
}

/// Names of records whose time is over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Expired {
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) uploads: Vec<String>,
    /// Noted requests, where the store has them.
    pub(crate) notes: Vec<String>,
}

impl Expired {
    /// Number of names.
    pub(crate) fn len(&self) -> usize {
        self.tasks.len() + self.uploads.len() + self.notes.len()
    }
}

/// A task as it is to be.
#[derive(Debug, Clone)]
pub(crate) struct TaskChange {
    /// The version that must be there; 0 for a task that must not.
    pub(crate) expected: u64,
    pub(crate) task: Arc<Task>,
    /// Whether users see a new state of it; its number is the task's `last_event`.
    pub(crate) has_event: bool,
}

/// What is stored beside a task's record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records {
    /// A response; there must be none of the name, or of the slot. It counts as an answer of its miner.
    pub(crate) response: Option<ResponseRow>,
    /// A validator's scores; there must be none of the validator for the task.
    pub(crate) evaluation: Option<EvaluationRow>,
    /// An upload.
    pub(crate) upload: Option<UploadRow>,
    /// The key of a new task; there must be none of the owner and name.
    pub(crate) key: Option<IdempotencyKey>,
    /// Small records; there must be none of their names.
    pub(crate) entries: Vec<Entry>,
    /// Scores, 0 to 1, that count for miners, in this order.
    pub(crate) scores: Vec<(Hotkey, f64)>,
}

/// All that one commit stores.
#[derive(Debug, Clone, Default)]
pub(crate) struct Batch {
    pub(crate) task: Option<TaskChange>,
    pub(crate) records: Records,
}

impl Batch {
    /// The change from one version to the next, with its event and what its verdict says about miners.
    pub(crate) fn of_change(before: &Task, mut after: Task, mut records: Records) -> Self {
        let has_event = is_visible(before, &after);
        after.last_event = before.last_event + u64::from(has_event);
        if let Some(verdict) = after.verdict.as_ref().filter(|verdict| verdict.quorum && before.verdict.is_none()) {
            let scores = after.submissions().filter_map(|submission| {
                verdict.scores.get(&submission.response_id).map(|&score| (submission.miner.clone(), score))
            });
            records.scores.extend(scores);
        }
        records.entries.extend(message(before, &after));
        Self { task: Some(TaskChange { expected: before.version, task: Arc::new(after), has_event }), records }
    }
}

/// The record of an event: the task without what miners said of their progress.
pub(super) fn event_record(task: &Task) -> Result<String, serde_json::Error> {
    let mut record = task.clone();
    record.slots.iter_mut().for_each(|slot| slot.partial = None);
    serde_json::to_string(&record)
}

/// Whether a user sees the difference as another state of the task.
fn is_visible(before: &Task, after: &Task) -> bool {
    let slots = |task: &Task| task.slots.iter().map(|slot| slot.state).collect::<Vec<_>>();
    before.state != after.state
        || before.answer != after.answer
        || before.verdict.is_some() != after.verdict.is_some()
        || slots(before) != slots(after)
}
