//! The record of a task, as it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{Coldkey, Hotkey, ResponseId, TaskId};
use super::judging::Evaluation;
use super::request::{Input, Kind, Options, Webhook};
use crate::subnet::consensus::Verdict;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// No miner works on it.
    Queued,
    /// A miner works on it.
    Running,
    /// There is an answer that no verdict speaks about yet.
    Answered,
    /// A quorum of validators accepted an answer.
    Verified,
    /// Answered, but no quorum judged in time: delivered and flagged.
    Unverified,
    /// Ended without an accepted answer.
    Failed,
    /// Ended by its user.
    Cancelled,
}

impl TaskState {
    /// Every state, in the order of a task's life.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Running, Self::Answered, Self::Verified, Self::Unverified, Self::Failed, Self::Cancelled];

    /// Whether nothing can follow.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Verified | Self::Unverified | Self::Failed | Self::Cancelled)
    }

    /// The state's word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Answered => "answered",
            Self::Verified => "verified",
            Self::Unverified => "unverified",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SlotState {
    /// Free to be claimed.
    Open,
    /// Lent to a miner.
    Leased,
    /// Answered; the answer passed the proxy's own checks.
    Submitted,
    /// The validators accepted the answer.
    Accepted,
    /// The validators refused the answer, or the slot was closed without one.
    Rejected,
}

/// Audio that a miner made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Number of bytes.
    pub bytes: u64,
    /// Length, seconds.
    pub duration_s: f64,
    /// Hz.
    pub sample_rate: u32,
}

/// The rendering of the input that one miner hears: the same words at other times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Number of bytes.
    pub bytes: u64,
    /// Length, seconds.
    pub duration_s: f64,
    /// Silence before the recording, seconds; below 0, what is cut of it.
    pub lead_s: f64,
    /// How fast it is played: 1 is its own speed.
    pub speed: f64,
}

impl Variant {
    /// When it is in the recording what is heard at `at_s`, seconds; what is heard before the recording is at its beginning.
    #[must_use]
    pub fn original_s(&self, at_s: f64) -> f64 {
        ((at_s - self.lead_s) * self.speed).max(0.0)
    }
}

/// The times that rule a task, ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a lease lasts without a heartbeat.
    pub lease_ms: i64,
    /// How long the other miners have after the first answer, at the least.
    pub grace_ms: i64,
    /// How long validators have to commit their scores.
    pub commit_ms: i64,
    /// How long validators have to reveal them after that.
    pub reveal_ms: i64,
}

/// A slot lent to one miner for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lease {
    /// Who holds it.
    pub miner: Hotkey,
    /// Who owns the miner.
    pub coldkey: Coldkey,
    /// The miner's own name for the claim.
    pub claim_id: String,
    /// When it was granted.
    pub granted_at_ms: i64,
    /// When it ends unless a heartbeat extends it.
    pub expires_at_ms: i64,
    /// What the miner hears instead of the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
}

/// An answer that passed the proxy's checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// Name of the response.
    pub response_id: ResponseId,
    /// Who answered.
    pub miner: Hotkey,
    /// Who owns the miner.
    pub coldkey: Coldkey,
    /// The lease's fencing token.
    pub token: u64,
    /// SHA-256 of the result's text.
    pub digest: String,
    /// When it came.
    pub submitted_at_ms: i64,
    /// Time from the lease to the answer, ms.
    pub latency_ms: i64,
    /// The audio that belongs to the answer of a synthesis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Output>,
    /// What the miner heard instead of the input; its answer has the times of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Variant>,
}

/// An answer that the proxy refused; kept so that the same submit gets the same reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Name of the response.
    pub response_id: ResponseId,
    /// Who answered.
    pub miner: Hotkey,
    /// The lease's fencing token.
    pub token: u64,
    /// SHA-256 of the result's text.
    pub digest: String,
    /// What was wrong with it.
    pub reason: String,
}

/// One of a task's places for a miner.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    /// Position in the task, from 0.
    pub index: u8,
    /// Where it stands.
    pub state: SlotState,
    /// Fencing token of the newest lease; 0 before the first.
    pub token: u64,
    /// Leases granted so far.
    pub attempts: u32,
    /// When it was last free to be claimed.
    pub opened_at_ms: i64,
    /// The lease; of a slot that is not `leased`, the last one if it was cut short.
    pub lease: Option<Lease>,
    /// The answer.
    pub submission: Option<Submission>,
    /// Answers that the proxy refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
    /// Share of the work that the miner says is done, 0 to 1.
    pub progress: f64,
    /// The text so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<String>,
    /// Why the last attempt ended without an answer, or the verdict refused it.
    pub reason: Option<String>,
}

/// An operator that does not get this task before a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferral {
    /// Who.
    pub coldkey: Coldkey,
    /// Until when.
    pub until_ms: i64,
}

/// One request of a user and all that became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Name.
    pub id: TaskId,
    /// Grows by one with every change.
    pub version: u64,
    /// Number of the last event that users were told; a store counts it with the change that it tells of.
    #[serde(default)]
    pub last_event: u64,
    /// The user's name in the list of API keys; empty where none are asked for.
    pub owner: String,
    /// What is to be done.
    pub kind: Kind,
    /// Where it stands.
    pub state: TaskState,
    /// Why it ended without a verified answer.
    pub reason: Option<String>,
    /// When it was created.
    pub created_at_ms: i64,
    /// When it last changed.
    pub updated_at_ms: i64,
    /// When an answer is due.
    pub deadline_ms: i64,
    /// 0 (last) to 9 (first).
    pub priority: u8,
    /// How the work is to be done.
    pub options: Options,
    /// The bytes that it is about.
    pub input: Input,
    /// What the user noted about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Where its user wants to hear of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Places for miners; their number is the redundancy.
    pub slots: Vec<Slot>,
    /// Names of the variants that miners were given; they go with the task, and nothing else has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variants: Vec<String>,
    /// Operators that wait before they get it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deferrals: Vec<Deferral>,
    /// When the last slot was settled, so that evaluation could begin.
    pub settled_at_ms: Option<i64>,
    /// The judging.
    pub evaluation: Option<Evaluation>,
    /// The response that the user gets.
    pub answer: Option<ResponseId>,
    /// What the validators found.
    pub verdict: Option<Verdict>,
}

/// What a new task needs.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Name.
    pub id: TaskId,
    /// The user's name in the list of API keys; empty where none are asked for.
    pub owner: String,
    /// What is to be done.
    pub kind: Kind,
    /// How.
    pub options: Options,
    /// With what.
    pub input: Input,
    /// What the user notes about it.
    pub metadata: BTreeMap<String, String>,
    /// 0 (last) to 9 (first).
    pub priority: u8,
    /// Number of miners; at least 1 is used.
    pub redundancy: u8,
    /// When an answer is due.
    pub deadline_ms: i64,
}

#[cfg(test)]
impl NewTask {
    /// A transcription for one miner, due ten minutes later, of a user without a name: tests change what they are about.
    pub(crate) fn sample(id: &str, now_ms: i64) -> Self {
        Self {
            id: TaskId::from(id),
            owner: String::new(),
            kind: Kind::Transcription,
            options: Options::default(),
            input: Input { sha256: "00".to_owned(), bytes: 1, duration_s: None, name: None, characters: None },
            metadata: BTreeMap::new(),
            priority: 5,
            redundancy: 1,
            deadline_ms: now_ms + 600_000,
        }
    }
}

impl Task {
    /// A queued task with all its slots open.
    #[must_use]
    pub fn new(new: NewTask, now_ms: i64) -> Self {
        let slots = (0..new.redundancy.max(1)).map(|index| Slot::new(index, now_ms)).collect();
        Self {
            id: new.id,
            version: 1,
            last_event: 0,
            owner: new.owner,
            kind: new.kind,
            state: TaskState::Queued,
            reason: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
            deadline_ms: new.deadline_ms,
            priority: new.priority,
            options: new.options,
            input: new.input,
            metadata: new.metadata,
            webhook: None,
            slots,
            variants: Vec::new(),
            deferrals: Vec::new(),
            settled_at_ms: None,
            evaluation: None,
            answer: None,
            verdict: None,
        }
    }

    /// Names of the blobs that must stay as long as the task does.
    pub fn blobs(&self) -> impl Iterator<Item = &str> {
        let outputs = self.submissions().filter_map(|submission| submission.output.as_ref());
        std::iter::once(self.input.sha256.as_str()).chain(outputs.map(|output| output.sha256.as_str()))
    }

    /// The answers that passed the proxy's checks, in the order of the slots.
    pub fn submissions(&self) -> impl Iterator<Item = &Submission> {
        self.slots.iter().filter_map(|slot| slot.submission.as_ref())
    }

    /// The live leases, with their slots.
    pub fn leases(&self) -> impl Iterator<Item = (&Slot, &Lease)> {
        self.slots
            .iter()
            .filter(|slot| slot.state == SlotState::Leased)
            .filter_map(|slot| slot.lease.as_ref().map(|lease| (slot, lease)))
    }

    /// Share of the work that is done, 0 to 1: that of the foremost miner.
    #[must_use]
    pub fn progress(&self) -> f64 {
        self.slots.iter().map(|slot| slot.progress).fold(0.0, f64::max)
    }

    /// The foremost miner's text so far.
    #[must_use]
    pub fn partial(&self) -> Option<&str> {
        self.slots
            .iter()
            .filter(|slot| slot.partial.is_some())
            .max_by(|a, b| a.progress.total_cmp(&b.progress))
            .and_then(|slot| slot.partial.as_deref())
    }

    /// Raises the version; called once by every change.
    pub(super) fn touch(&mut self, now_ms: i64) {
        self.version += 1;
        self.updated_at_ms = now_ms.max(self.updated_at_ms);
    }
}

impl Slot {
    fn new(index: u8, now_ms: i64) -> Self {
        Self {
            index,
            state: SlotState::Open,
            token: 0,
            attempts: 0,
            opened_at_ms: now_ms,
            lease: None,
            submission: None,
            refused: Vec::new(),
            progress: 0.0,
            partial: None,
            reason: None,
        }
    }
}
