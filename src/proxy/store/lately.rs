//! How the last tasks went, as they ended in this process or in one that shares its store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::subnet::consensus::{AGREES_WITHIN, Judgement};
use crate::subnet::task::{Hotkey, Score, Task, TaskState, seconds};

/// Ended tasks that are looked back at.
const TASKS: usize = 1_000;

/// Latest answers of a miner whose times are kept.
const ANSWERS: usize = 200;

/// What is kept of an ended task.
struct Ended {
    state: TaskState,
    at_ms: i64,
    /// Time until the first answer, ms.
    answer_ms: Option<i64>,
    /// What each validator said of it, where there was a quorum.
    judged: Vec<Judged>,
}

/// A validator's scores of one task.
struct Judged {
    validator: Hotkey,
    /// Scores that agreed with the verdict.
    n_agreed: usize,
    n_scores: usize,
}

#[derive(Default)]
struct Memory {
    tasks: VecDeque<Ended>,
    latencies_ms: BTreeMap<Hotkey, VecDeque<i64>>,
}

/// The last tasks; cheap to clone. Miners are registered ones, so their number is bounded.
#[derive(Clone, Default)]
pub(crate) struct Lately {
    memory: Arc<Mutex<Memory>>,
}

impl Lately {
    /// Notes a task that ended.
    pub(super) fn note(&self, task: &Task) {
        let mut memory = self.memory();
        let first_ms = task.submissions().map(|submission| submission.submitted_at_ms).min();
        let answer_ms = first_ms.map(|at_ms| at_ms - task.created_at_ms);
        let ended = Ended { state: task.state, at_ms: task.updated_at_ms, answer_ms, judged: judged(task) };
        push(&mut memory.tasks, ended, TASKS);
        for submission in task.submissions() {
            let latencies_ms = memory.latencies_ms.entry(submission.miner.clone()).or_default();
            push(latencies_ms, submission.latency_ms, ANSWERS);
        }
    }

    /// The `lately` of `/v1/network`: how many tasks, since when, how they ended, and how fast they were answered.
    pub(crate) fn summary(&self) -> Value {
        let memory = self.memory();
        let count = |state| memory.tasks.iter().filter(|ended| ended.state == state).count();
        let answers_ms: Vec<i64> = memory.tasks.iter().filter_map(|ended| ended.answer_ms).collect();
        json!({
            "tasks": memory.tasks.len(), "since_ms": memory.tasks.front().map(|ended| ended.at_ms),
            "verified": count(TaskState::Verified), "unverified": count(TaskState::Unverified),
            "failed": count(TaskState::Failed), "cancelled": count(TaskState::Cancelled),
            "answer_p50_s": percentile_s(&answers_ms, 50), "answer_p95_s": percentile_s(&answers_ms, 95),
            "agreement": agreement(memory.tasks.iter().flat_map(|ended| &ended.judged)),
        })
    }

    /// Half of the miner's last answers came within the first time, 95 % within the second; seconds.
    pub(crate) fn latencies_s(&self, miner: &Hotkey) -> (Option<f64>, Option<f64>) {
        let memory = self.memory();
        let latencies_ms: Vec<i64> = memory.latencies_ms.get(miner).into_iter().flatten().copied().collect();
        (percentile_s(&latencies_ms, 50), percentile_s(&latencies_ms, 95))
    }

    /// How many verdicts the validator took part in, and the share of its scores that agreed with them.
    pub(crate) fn verdicts(&self, validator: &Hotkey) -> (usize, Option<f64>) {
        let memory = self.memory();
        let all =
            || memory.tasks.iter().flat_map(|ended| &ended.judged).filter(|judged| &judged.validator == validator);
        (all().count(), agreement(all()))
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn push<T>(values: &mut VecDeque<T>, value: T, limit: usize) {
    if values.len() == limit {
        values.pop_front();
    }
    values.push_back(value);
}

/// How many scores of each validator agreed with the verdict; nothing without a quorum.
fn judged(task: &Task) -> Vec<Judged> {
    let Some(verdict) = task.verdict.as_ref().filter(|verdict| verdict.quorum) else { return Vec::new() };
    let of = |judgement: &Judgement| {
        let distance = |(id, score): (_, &Score)| Some((score.score - verdict.scores.get(id)?).abs());
        let distances: Vec<f64> = judgement.scores.iter().filter_map(distance).collect();
        let n_agreed = distances.iter().filter(|&&distance| distance <= AGREES_WITHIN).count();
        Judged { validator: judgement.validator.clone(), n_agreed, n_scores: distances.len() }
    };
    verdict.evaluations.iter().map(of).collect()
}

fn agreement<'a>(judged: impl Iterator<Item = &'a Judged>) -> Option<f64> {
    let (n_agreed, n_scores) = judged.fold((0, 0), |(a, n), one| (a + one.n_agreed, n + one.n_scores));
    share(n_agreed, n_scores)
}

#[allow(clippy::cast_precision_loss, reason = "at most some thousands")]
fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The smallest value that at least `percent` of all are not above (nearest rank), in seconds.
fn percentile_s(values_ms: &[i64], percent: usize) -> Option<f64> {
    let mut sorted = values_ms.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map(|&ms| seconds(ms))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::store::conformance::new_task;
    use crate::subnet::consensus::Verdict;
    use crate::subnet::task::{ResponseId, Submission};

    fn ended(state: TaskState, latencies_ms: &[i64]) -> Task {
        let n_slots = u8::try_from(latencies_ms.len()).unwrap();
        let mut task = new_task("task_1", "", 1, n_slots.max(1), 1_000);
        for (slot, &latency_ms) in task.slots.iter_mut().zip(latencies_ms) {
            slot.submission = Some(Submission {
                response_id: ResponseId::from(format!("r{}", slot.index).as_str()),
                miner: Hotkey::from("M"),
                coldkey: "C".into(),
                token: 1,
                digest: String::new(),
                submitted_at_ms: 1_000 + 2 * latency_ms,
                latency_ms,
                output: None,
                variant: None,
            });
        }
        Task { state, ..task }
    }

    #[test]
    fn nothing_is_said_of_no_tasks() {
        let lately = Lately::default();
        assert_eq!(lately.summary()["tasks"], 0);
        assert!(lately.summary()["answer_p50_s"].is_null() && lately.summary()["agreement"].is_null());
        assert_eq!(lately.latencies_s(&Hotkey::from("M")), (None, None));
        assert_eq!(lately.verdicts(&Hotkey::from("V")), (0, None));
    }

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values_ms: Vec<i64> = (1..=20).rev().map(|n| n * 1_000).collect();
        assert_eq!((percentile_s(&values_ms, 50), percentile_s(&values_ms, 95)), (Some(10.0), Some(19.0)));
        assert_eq!(percentile_s(&[7_000], 95), Some(7.0));
    }

    #[test]
    fn tasks_count_by_their_end_and_first_answer_and_miners_by_each_answer() {
        let lately = Lately::default();
        lately.note(&ended(TaskState::Verified, &[3_000, 1_000]));
        lately.note(&ended(TaskState::Failed, &[]));
        let summary = lately.summary();
        assert_eq!((&summary["tasks"], &summary["verified"], &summary["failed"]), (&json!(2), &json!(1), &json!(1)));
        assert_eq!(summary["answer_p95_s"], 2.0, "the first of its two answers");
        assert_eq!(lately.latencies_s(&Hotkey::from("M")), (Some(1.0), Some(3.0)));
    }

    #[test]
    fn a_score_far_from_the_verdict_does_not_agree() {
        let lately = Lately::default();
        let (response, score) = (ResponseId::from("r0"), |score| Score { score, error_rate: None });
        let judgement = |validator: &str, value| Judgement {
            validator: Hotkey::from(validator),
            scores: [(response.clone(), score(value))].into(),
        };
        let verdict = Verdict {
            quorum: true,
            scores: [(response.clone(), 0.9)].into(),
            best: Some(response.clone()),
            evaluations: vec![judgement("V", 0.8), judgement("W", 0.9), judgement("X", 0.2)],
        };
        let mut task = ended(TaskState::Verified, &[1_000]);
        task.verdict = Some(verdict.clone());
        lately.note(&task);
        assert_eq!(lately.summary()["agreement"], 2.0 / 3.0);
        let verdicts = ["V", "X"].map(|validator| lately.verdicts(&Hotkey::from(validator)));
        assert_eq!(verdicts, [(1, Some(1.0)), (1, Some(0.0))]);
        task.verdict = Some(Verdict { quorum: false, ..verdict });
        let other = Lately::default();
        other.note(&task);
        assert!(other.summary()["agreement"].is_null(), "without a quorum there is nothing to agree with");
    }

    #[test]
    fn only_the_last_are_kept() {
        let lately = Lately::default();
        for _ in 0..=TASKS {
            lately.note(&ended(TaskState::Verified, &[1_000]));
        }
        assert_eq!(lately.summary()["tasks"], TASKS);
        assert_eq!(lately.memory().latencies_ms[&Hotkey::from("M")].len(), ANSWERS);
    }
}
