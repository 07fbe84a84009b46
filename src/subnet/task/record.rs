//! The record of a task, as it is stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{Coldkey, Hotkey, ResponseId, TaskId};
use crate::subnet::consensus::{Trust, Verdict};

/// What is to be done with the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Speech to text.
    Transcription,
    /// Text to speech.
    Synthesis,
    /// Audio to measurements.
    Analysis,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Transcription, Self::Synthesis, Self::Analysis];

    /// The kind's word in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transcription => "transcription",
            Self::Synthesis => "synthesis",
            Self::Analysis => "analysis",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

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

/// In which language a transcript is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// The one that was spoken.
    #[default]
    Transcribe,
    /// English.
    Translate,
}

/// How the work is to be done; what another kind of task takes has its default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Language code of the speech; absent to detect it.
    #[serde(default)]
    pub language: Option<String>,
    /// Transcription: text that comes before the speech.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Transcription: sampling temperature, 0 to 1.
    #[serde(default)]
    pub temperature: f64,
    /// Transcription: in which language.
    #[serde(default, skip_serializing_if = "is_default")]
    pub task: Target,
    /// Transcription: whether each word's time is asked for.
    #[serde(default, skip_serializing_if = "is_default")]
    pub word_timestamps: bool,
    /// Synthesis: name of the voice; absent for the miner's own choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// Synthesis: how fast, 1 is the voice's own speed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<f64>,
    /// Synthesis: file format in which the user gets the audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Analysis: what to measure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The bytes that a task is about: audio, or the text of a synthesis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// SHA-256 of the bytes, lower-case hex.
    pub sha256: String,
    /// Number of bytes.
    pub bytes: u64,
    /// Duration of the audio where its header tells, seconds.
    pub duration_s: Option<f64>,
    /// The user's name for it.
    pub name: Option<String>,
    /// Characters of a text; absent for audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub characters: Option<u64>,
}

/// Where a task's user wants to hear what becomes of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// Where to.
    pub url: String,
    /// What the messages are signed with.
    pub secret: String,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the secret nor what a URL may hold is for logs.
        f.debug_struct("Webhook").finish_non_exhaustive()
    }
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

/// Where an evaluation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Validators hand in hashes of their scores.
    Commit,
    /// Validators open them.
    Reveal,
    /// The verdict is there.
    Done,
}

/// What a validator says about one response.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// Goodness, 0 to 1.
    pub score: f64,
    /// Word error rate against the validator's reference, where there is one.
    pub error_rate: Option<f64>,
}

/// What a validator says about all responses of a task.
pub type Scores = BTreeMap<ResponseId, Score>;

/// An evaluation lent to one process of a validator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EvaluationLease {
    /// The validator's own name for the claim.
    pub claim_id: String,
    /// When another claim of the same validator may have it.
    pub expires_at_ms: i64,
}

/// A validator of the committee.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub validator: Hotkey,
    /// Its stake when the evaluation began, or the share of all stake that it was drawn for.
    pub stake: f64,
    /// Its trust when the evaluation began.
    #[serde(default)]
    pub trust: Trust,
    /// The evaluation as lent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<EvaluationLease>,
    /// Hash of its scores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<String>,
    /// Its scores, once revealed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scores: Option<Scores>,
}

impl Member {
    /// A member that did nothing yet, with a newcomer's trust.
    #[must_use]
    pub fn new(validator: Hotkey, stake: f64) -> Self {
        Self { validator, stake, trust: Trust::default(), lease: None, commitment: None, scores: None }
    }
}

/// The judging of a task's responses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Where it stands.
    pub phase: Phase,
    /// When it began.
    pub started_at_ms: i64,
    /// When commits close at the latest.
    pub commit_by_ms: i64,
    /// When reveals close at the latest.
    pub reveal_by_ms: i64,
    /// Who judges ([`crate::subnet::sortition`]); fixed when it began.
    pub committee: Vec<Member>,
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
