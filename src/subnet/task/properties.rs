//! Whatever miners, validators, users and time do, in any order: the promises of the record hold.

use proptest::collection::vec;
use proptest::prelude::*;

use super::scenario::{TERMS, task};
use super::*;

const MINERS: [&str; 4] = ["a", "b", "c", "d"];
const VALIDATORS: [&str; 3] = ["v", "w", "x"];

/// What somebody tries; impossible things too.
#[derive(Debug, Clone)]
enum Step {
    Claim { slot: u8, miner: usize },
    Beat { slot: u8, token: u64, miner: usize },
    Submit { slot: u8, token: u64, miner: usize, digest: u8, is_good: bool },
    Fail { slot: u8, token: u64, miner: usize },
    LeaseEvaluation { validator: usize, claim: u8 },
    Commit { validator: usize, hash: u8 },
    Reveal { validator: usize, hash: u8, score: f64 },
    Cancel,
    Tick { has_committee: bool },
    Resume,
}

fn step() -> impl Strategy<Value = Step> {
    let (slot, miner, token, validator) = (0u8..4, 0..MINERS.len(), 0u64..6, 0..VALIDATORS.len());
    prop_oneof![
        6 => (slot.clone(), miner.clone()).prop_map(|(slot, miner)| Step::Claim { slot, miner }),
        3 => (slot.clone(), token.clone(), miner.clone()).prop_map(|(slot, token, miner)| Step::Beat { slot, token, miner }),
        6 => (slot.clone(), token.clone(), miner.clone(), 0u8..3, any::<bool>())
            .prop_map(|(slot, token, miner, digest, is_good)| Step::Submit { slot, token, miner, digest, is_good }),
        2 => (slot, token, miner).prop_map(|(slot, token, miner)| Step::Fail { slot, token, miner }),
        2 => (validator.clone(), 0u8..2).prop_map(|(validator, claim)| Step::LeaseEvaluation { validator, claim }),
        5 => (validator.clone(), 0u8..2).prop_map(|(validator, hash)| Step::Commit { validator, hash }),
        5 => (validator, 0u8..2, -0.2..1.2f64).prop_map(|(validator, hash, score)| Step::Reveal { validator, hash, score }),
        1 => Just(Step::Cancel),
        8 => prop::bool::weighted(0.8).prop_map(|has_committee| Step::Tick { has_committee }),
        1 => Just(Step::Resume),
    ]
}

/// Applies a step; returns how many changes of the record it may have made.
fn apply(task: &mut Task, step: &Step, now_ms: i64) {
    let hotkey = |miner: &usize| Hotkey::from(MINERS[*miner]);
    let validator = |validator: &usize| Hotkey::from(VALIDATORS[*validator]);
    match step {
        Step::Claim { slot, miner } => {
            // Miners a and b are of one operator.
            let coldkey = Coldkey::from(if *miner < 2 { "ab" } else { MINERS[*miner] });
            let claim = Claim { slot: *slot, miner: hotkey(miner), coldkey, claim_id: "c".to_owned() };
            let _ = task.claim(claim, now_ms, &TERMS);
        }
        Step::Beat { slot, token, miner } => {
            let holding = Holding { slot: *slot, token: *token, miner: &hotkey(miner) };
            let _ = task.heartbeat(&holding, 0.3, None, now_ms, &TERMS);
        }
        Step::Submit { slot, token, miner, digest, is_good } => {
            let holding = Holding { slot: *slot, token: *token, miner: &hotkey(miner) };
            let checked = if *is_good { Ok(None) } else { Err("bad".to_owned()) };
            let response_id = ResponseId::from(format!("r-{slot}-{now_ms}"));
            let _ = task.submit(&holding, Submit { response_id, digest: digest.to_string(), checked }, now_ms);
        }
        Step::Fail { slot, token, miner } => {
            let _ = task.fail(&Holding { slot: *slot, token: *token, miner: &hotkey(miner) }, "cannot", now_ms);
        }
        Step::LeaseEvaluation { validator: v, claim } => {
            let _ = task.lease_evaluation(&validator(v), &claim.to_string(), now_ms, &TERMS);
        }
        Step::Commit { validator: v, hash } => {
            let _ = task.commit(&validator(v), &hash.to_string(), now_ms);
        }
        Step::Reveal { validator: v, hash, score } => {
            let ids: Vec<ResponseId> = task.submissions().map(|s| s.response_id.clone()).collect();
            let scores = ids.into_iter().map(|id| (id, Score { score: *score, error_rate: None })).collect();
            let _ = task.reveal(&validator(v), &hash.to_string(), scores, now_ms);
        }
        Step::Cancel => {
            let _ = task.cancel(now_ms);
        }
        Step::Tick { has_committee } => {
            let stakes = [1.0, 4.0, 100.0];
            let members: Vec<Member> =
                VALIDATORS.iter().zip(stakes).map(|(&name, stake)| Member::new(Hotkey::from(name), stake)).collect();
            let _ = task.tick(now_ms, &TERMS, if *has_committee { &members } else { &[] });
        }
        Step::Resume => {
            task.resume(now_ms, &TERMS);
        }
    }
}

fn check(before: &Task, after: &Task, step: &Step, now_ms: i64) -> Result<(), TestCaseError> {
    if before.state.is_final() {
        prop_assert_eq!(before, after, "a final state never changes");
    }
    let is_changed = before != after;
    prop_assert_eq!(after.version, before.version + u64::from(is_changed), "one version for each change");
    for (old, new) in before.slots.iter().zip(&after.slots) {
        prop_assert!(new.token >= old.token, "tokens never shrink");
        let is_new_lease = new.state == SlotState::Leased && old.state != SlotState::Leased;
        prop_assert_eq!(new.token, old.token + u64::from(is_new_lease), "every lease has its own token");
        prop_assert_eq!(new.attempts, old.attempts + u32::from(is_new_lease));
        prop_assert!(new.attempts <= MAX_ATTEMPTS);
        if old.state == SlotState::Leased && new.state == SlotState::Leased {
            let holder = |slot: &Slot| slot.lease.as_ref().map(|lease| lease.miner.clone());
            prop_assert_eq!(holder(old), holder(new), "a live lease is never given to another");
        }
        if let Some(submission) = &old.submission {
            prop_assert_eq!(Some(submission), new.submission.as_ref(), "an answer is never replaced");
        }
        prop_assert_eq!(new.state == SlotState::Leased && new.lease.is_none(), false);
        let has_answer_state = matches!(new.state, SlotState::Submitted | SlotState::Accepted);
        prop_assert!(!has_answer_state || new.submission.is_some());
    }
    let mut operators: Vec<&Coldkey> = after
        .leases()
        .map(|(_, lease)| &lease.coldkey)
        .chain(after.submissions().map(|submission| &submission.coldkey))
        .collect();
    let n_taken = operators.len();
    operators.sort_unstable();
    operators.dedup();
    prop_assert_eq!(operators.len(), n_taken, "one operator has one slot");
    prop_assert_eq!(after.answer.is_some(), after.submissions().next().is_some());
    let expected = match (after.answer.is_some(), after.leases().next().is_some()) {
        (true, _) => TaskState::Answered,
        (false, true) => TaskState::Running,
        (false, false) => TaskState::Queued,
    };
    prop_assert!(after.state.is_final() || after.state == expected, "{:?} but {expected:?}", after.state);
    if after.state.is_final() {
        prop_assert_eq!(after.leases().count(), 0, "no lease outlives its task");
        prop_assert_eq!(
            after.state == TaskState::Failed || after.state == TaskState::Unverified,
            after.reason.is_some()
        );
    }
    if let (Some(old), Some(new)) = (&before.evaluation, &after.evaluation) {
        for (old, new) in old.committee.iter().zip(&new.committee) {
            prop_assert!(old.commitment.is_none() || old.commitment == new.commitment, "a commitment binds");
            prop_assert!(old.scores.is_none() || old.scores == new.scores, "scores are said once");
        }
        let revealed_now =
            old.committee.iter().zip(&new.committee).any(|(o, n)| o.scores.is_none() && n.scores.is_some());
        let may_commit = |e: &Evaluation| e.phase == Phase::Commit && now_ms < e.commit_by_ms;
        prop_assert!(!(revealed_now && may_commit(old)), "nothing is revealed while others may commit: {step:?}");
    }
    if let Some(verdict) = &after.verdict {
        prop_assert!(after.state.is_final());
        prop_assert_eq!(verdict.quorum, verdict.best.is_some());
    }
    prop_assert_eq!(&serde_json::from_str::<Task>(&serde_json::to_string(after).unwrap()).unwrap(), after);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_in_every_order(redundancy in 1u8..4, steps in vec((step(), 0..40i64), 1..120)) {
        let (mut now_ms, mut current) = (0, task(redundancy));
        for (step, pause_ms) in &steps {
            now_ms += pause_ms;
            let before = current.clone();
            apply(&mut current, step, now_ms);
            check(&before, &current, step, now_ms)?;
        }
    }

    #[test]
    fn every_task_ends_when_time_passes(redundancy in 1u8..4, steps in vec((step(), 0..40i64), 0..60)) {
        let (mut now_ms, mut current) = (0, task(redundancy));
        for (step, pause_ms) in &steps {
            now_ms += pause_ms;
            apply(&mut current, step, now_ms);
        }
        // Deadline, then grace, commit and reveal times: after all of them nothing can be open.
        for _ in 0..6 {
            now_ms = now_ms.max(current.deadline_ms) + TERMS.grace_ms + TERMS.commit_ms + TERMS.reveal_ms;
            apply(&mut current, &Step::Tick { has_committee: true }, now_ms);
        }
        prop_assert!(current.state.is_final(), "{current:?}");
    }
}
