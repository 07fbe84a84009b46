//! The task's state machine: one record, changed only by the functions of this module.
//!
//! A task goes `queued -> running -> answered -> verified`; it ends `unverified` when it was answered and no quorum of
//! validators judged it in time, `failed` with a reason, or `cancelled`. Each function either changes the record and
//! raises its version by one, or refuses and changes nothing. A final state never changes.

mod evaluation;
mod ids;
mod judging;
mod record;
mod refusal;
mod request;
mod work;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenario;

pub use evaluation::Standing;
pub use ids::{Coldkey, Hotkey, ResponseId, TaskId};
pub use judging::{Evaluation, EvaluationLease, Member, Phase, Score, Scores};
pub use record::{
    Deferral, Lease, NewTask, Output, Refused, Slot, SlotState, Submission, Task, TaskState, Terms, Variant,
};
pub use refusal::Refusal;
pub use request::{Input, Kind, Options, Target, Webhook};
pub use work::{Beat, Claim, Holding, Receipt, Submit};

/// Leases that a slot may use up before it is given up.
pub const MAX_ATTEMPTS: u32 = 3;

/// Time in which a miner that failed a task, or whose answer was refused, does not get the same task again, ms.
pub const DEFERRAL_MS: i64 = 5_000;

/// Longest partial text that a record keeps, bytes; of a longer one the end is kept.
pub const MAX_PARTIAL_BYTES: usize = 8 * 1024;

/// Longest reason that a record keeps, bytes.
pub const MAX_REASON_BYTES: usize = 500;

/// Milliseconds as seconds.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "differences of clock times are far below 2^53 ms")]
pub fn seconds(ms: i64) -> f64 {
    ms as f64 / 1_000.0
}

/// Seconds as milliseconds; 0 for what is no duration.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "`as` saturates, and takes not-a-number for 0")]
pub fn ms(seconds: f64) -> i64 {
    (seconds.max(0.0) * 1_000.0).round() as i64
}
