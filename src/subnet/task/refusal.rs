//! Why a change of a task was refused.

use super::record::TaskState;

/// Why a change of a task was refused; the task is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The task is in a final state.
    #[error("the task ended: {}", .0.as_str())]
    TaskEnded(TaskState),
    /// The task has fewer slots.
    #[error("the task has no slot {0}")]
    NoSuchSlot(u8),
    /// The slot is lent, answered or closed.
    #[error("the slot is not open")]
    SlotTaken,
    /// The miner's owner holds or filled another slot of the task.
    #[error("another miner of the same coldkey has a slot of this task")]
    SameColdkey,
    /// The operator failed this task a moment ago.
    #[error("this operator may claim the task again at {until_ms} ms")]
    Deferred {
        /// Until when.
        until_ms: i64,
    },
    /// The lease expired, was given to somebody else, or the slot is closed.
    #[error("the lease ended; claim new work")]
    LeaseEnded,
    /// The token belongs to another miner's lease.
    #[error("the lease belongs to another miner")]
    NotYourLease,
    /// Another result was submitted under this lease.
    #[error("another result was already submitted for this slot")]
    AlreadySubmitted,
    /// The caller is not of the committee of this evaluation.
    #[error("the validator is not in the committee of this task's evaluation")]
    NotOnCommittee,
    /// The responses are not to be judged yet.
    #[error("the task is not under evaluation")]
    NotEvaluating,
    /// Others may still commit.
    #[error("commits are open until {until_ms} ms; reveal after that")]
    CommitsOpen {
        /// When they close at the latest.
        until_ms: i64,
    },
    /// Too late to commit.
    #[error("commits are closed")]
    CommitsClosed,
    /// Another hash was handed in before.
    #[error("another commitment was already made")]
    AlreadyCommitted,
    /// Nothing to reveal.
    #[error("the validator made no commitment")]
    NotCommitted,
    /// The scores are not those that were committed.
    #[error("the salt and scores do not hash to the commitment")]
    CommitmentMismatch,
    /// Too late to reveal.
    #[error("reveals are closed")]
    RevealsClosed,
    /// The scores do not fit the evaluation.
    #[error("{0}")]
    BadScores(String),
}
