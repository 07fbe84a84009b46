//! Lives of a task, worked by hand.

use super::*;
use crate::subnet::consensus::ACCEPTED_FROM;

pub(super) const TERMS: Terms = Terms { lease_ms: 100, grace_ms: 50, commit_ms: 200, reveal_ms: 80 };

pub(super) fn task(redundancy: u8) -> Task {
    Task::new(NewTask { redundancy, deadline_ms: 10_000, ..NewTask::sample("t", 0) }, 0)
}

fn claim(task: &mut Task, slot: u8, miner: &str, now_ms: i64) -> Result<u64, Refusal> {
    let coldkey = Coldkey::from(format!("cold-{miner}"));
    task.claim(Claim { slot, miner: Hotkey::from(miner), coldkey, claim_id: "c".to_owned() }, now_ms, &TERMS)
}

fn submit(task: &mut Task, slot: u8, token: u64, miner: &str, digest: &str, now_ms: i64) -> Result<Receipt, Refusal> {
    submit_checked(task, (slot, token, miner), digest, Ok(None), now_ms)
}

fn submit_checked(
    task: &mut Task,
    (slot, token, miner): (u8, u64, &str),
    digest: &str,
    checked: Result<Option<Output>, String>,
    now_ms: i64,
) -> Result<Receipt, Refusal> {
    let response_id = ResponseId::from(format!("r{slot}-{digest}"));
    let miner = Hotkey::from(miner);
    task.submit(
        &Holding { slot, token, miner: &miner },
        Submit { response_id, digest: digest.to_owned(), checked },
        now_ms,
    )
}

fn beat(task: &mut Task, slot: u8, token: u64, miner: &str, now_ms: i64) -> Result<Beat, Refusal> {
    let miner = Hotkey::from(miner);
    task.heartbeat(&Holding { slot, token, miner: &miner }, 0.5, Some("so far"), now_ms, &TERMS)
}

fn members(stakes: &[(&str, f64)]) -> Vec<Member> {
    stakes.iter().map(|&(name, stake)| Member::new(Hotkey::from(name), stake)).collect()
}

fn scores(task: &Task, score: f64) -> Scores {
    task.submissions().map(|s| (s.response_id.clone(), Score { score, error_rate: None })).collect()
}

/// A task with one answer, under evaluation by validators of equal stake since time 20.
fn judged(validators: &[&str]) -> Task {
    let mut task = task(1);
    let token = claim(&mut task, 0, "m", 10).unwrap();
    submit(&mut task, 0, token, "m", "d", 20).unwrap();
    let stakes: Vec<_> = validators.iter().map(|&name| (name, 4.0)).collect();
    task.tick(20, &TERMS, &members(&stakes)).unwrap();
    task
}

#[test]
fn the_whole_way_to_verified() {
    let mut task = task(2);
    assert_eq!(task.state, TaskState::Queued);
    let a = claim(&mut task, 0, "a", 10).unwrap();
    let b = claim(&mut task, 1, "b", 10).unwrap();
    assert_eq!(task.state, TaskState::Running);
    submit(&mut task, 0, a, "a", "da", 20).unwrap();
    assert_eq!((task.state, task.answer.as_ref().unwrap().as_str()), (TaskState::Answered, "r0-da"));
    submit(&mut task, 1, b, "b", "db", 30).unwrap();
    task.tick(30, &TERMS, &members(&[("v", 1.0), ("w", 1.0)])).unwrap();
    let evaluation = task.evaluation.as_ref().unwrap();
    assert_eq!((evaluation.phase, evaluation.commit_by_ms, evaluation.reveal_by_ms), (Phase::Commit, 230, 310));
    let [v, w] = ["v", "w"].map(Hotkey::from);
    assert_eq!(task.commit(&v, "hv", 40), Ok(Phase::Commit));
    assert_eq!(task.commit(&w, "hw", 41), Ok(Phase::Reveal), "the last commit closes the phase");
    let said = |a: f64, b: f64| {
        [("r0-da", a), ("r1-db", b)].map(|(id, score)| (ResponseId::from(id), Score { score, error_rate: Some(0.1) }))
    };
    assert_eq!(task.reveal(&v, "hv", said(0.2, 0.9).into(), 50), Ok(Phase::Reveal));
    assert_eq!(task.reveal(&w, "hw", said(0.4, 0.7).into(), 51), Ok(Phase::Done));
    assert_eq!(task.state, TaskState::Verified);
    assert_eq!(task.answer.as_ref().unwrap().as_str(), "r1-db", "the best answer replaces the first");
    assert_eq!(
        task.slots.iter().map(|slot| slot.state).collect::<Vec<_>>(),
        [SlotState::Rejected, SlotState::Accepted]
    );
    let verdict = task.verdict.as_ref().unwrap();
    assert!((verdict.scores["r0-da"] - 0.3).abs() < 1e-12 && (verdict.scores["r1-db"] - 0.8).abs() < 1e-12);
}

#[test]
fn a_lease_that_ran_out_opens_its_slot_and_its_token_is_worth_nothing() {
    let mut task = task(1);
    let old = claim(&mut task, 0, "a", 0).unwrap();
    assert_eq!(task.tick(99, &TERMS, &[]), None);
    assert_eq!(submit(&mut task, 0, old, "a", "d", 100), Err(Refusal::LeaseEnded), "even before the tick sees it");
    assert_eq!(task.tick(100, &TERMS, &[]), Some(vec![Hotkey::from("a")]));
    assert_eq!(task.state, TaskState::Queued);
    let new = claim(&mut task, 0, "b", 110).unwrap();
    assert!(new > old);
    assert_eq!(submit(&mut task, 0, old, "a", "d", 120), Err(Refusal::LeaseEnded));
    assert_eq!(beat(&mut task, 0, old, "a", 120), Err(Refusal::LeaseEnded));
    assert!(submit(&mut task, 0, new, "b", "d", 120).is_ok());
}

#[test]
fn heartbeats_keep_a_lease_and_carry_the_text_so_far() {
    let mut task = task(1);
    let token = claim(&mut task, 0, "a", 0).unwrap();
    assert_eq!(beat(&mut task, 0, token, "a", 90), Ok(Beat { expires_at_ms: 190, cancel: false }));
    assert_eq!(task.tick(150, &TERMS, &[]), None);
    assert_eq!((task.progress(), task.partial()), (0.5, Some("so far")));
    assert_eq!(beat(&mut task, 0, token, "b", 150), Err(Refusal::NotYourLease));
    assert_eq!(beat(&mut task, 7, token, "a", 150), Err(Refusal::NoSuchSlot(7)));
}

#[test]
fn a_long_partial_keeps_its_end_at_a_character() {
    let mut task = task(1);
    let token = claim(&mut task, 0, "a", 0).unwrap();
    let miner = Hotkey::from("a");
    let text = format!("{}end", "é".repeat(MAX_PARTIAL_BYTES));
    task.heartbeat(&Holding { slot: 0, token, miner: &miner }, 0.1, Some(&text), 1, &TERMS).unwrap();
    let kept = task.partial().unwrap();
    assert!(kept.len() <= MAX_PARTIAL_BYTES && kept.ends_with("éend"));
}

#[test]
fn the_same_submit_gets_the_same_receipt_and_another_is_refused() {
    let mut task = judged(&["v"]);
    let version = task.version;
    let again = submit(&mut task, 0, 1, "m", "d", 500).unwrap();
    assert_eq!((again.response_id.as_str(), again.is_new), ("r0-d", false));
    assert_eq!(submit(&mut task, 0, 1, "m", "other", 500), Err(Refusal::AlreadySubmitted));
    assert_eq!(submit(&mut task, 0, 1, "x", "d", 500), Err(Refusal::NotYourLease));
    assert_eq!(task.version, version);
}

#[test]
fn a_refused_answer_opens_the_slot_for_others_and_is_remembered() {
    let mut task = task(1);
    let token = claim(&mut task, 0, "a", 0).unwrap();
    let bad = || Err("empty".to_owned());
    let receipt = submit_checked(&mut task, (0, token, "a"), "d", bad(), 10).unwrap();
    assert_eq!((receipt.rejected.as_deref(), receipt.is_new), (Some("empty"), true));
    assert_eq!((task.state, task.slots[0].state), (TaskState::Queued, SlotState::Open));
    let again = submit_checked(&mut task, (0, token, "a"), "d", bad(), 11).unwrap();
    assert_eq!((again.rejected.as_deref(), again.is_new), (Some("empty"), false));
    assert_eq!(submit(&mut task, 0, token, "a", "better", 11), Err(Refusal::AlreadySubmitted));
    let until_ms = 10 + DEFERRAL_MS;
    assert_eq!(claim(&mut task, 0, "a", 12), Err(Refusal::Deferred { until_ms }), "others first");
    assert!(claim(&mut task.clone(), 0, "b", 12).is_ok());
    assert!(claim(&mut task, 0, "a", until_ms).is_ok(), "but nobody is shut out for good");
}

#[test]
fn attempts_run_out_with_a_reason() {
    let mut task = task(1);
    for (n, miner) in ["a", "b", "c"].into_iter().enumerate() {
        let token = claim(&mut task, 0, miner, 10).unwrap();
        let holder = Hotkey::from(miner);
        task.fail(&Holding { slot: 0, token, miner: &holder }, &format!("no memory {n}"), 20).unwrap();
    }
    assert_eq!(claim(&mut task, 0, "d", 30), Err(Refusal::SlotTaken));
    task.tick(30, &TERMS, &[]).unwrap();
    assert_eq!(task.state, TaskState::Failed);
    let reason = task.reason.as_deref().unwrap();
    assert!(reason.contains("after 3 attempts") && reason.contains("no memory 2"), "{reason}");
}

#[test]
fn nobody_came_is_told_apart_from_nobody_finished() {
    let mut alone = task(1);
    assert_eq!(alone.tick(9_999, &TERMS, &[]), None);
    alone.tick(10_000, &TERMS, &[]).unwrap();
    assert!(alone.reason.as_deref().unwrap().contains("no miner took the task within 10 s"), "{:?}", alone.reason);
    let mut slow = task(1);
    claim(&mut slow, 0, "a", 9_950).unwrap();
    slow.tick(10_000, &TERMS, &[]).unwrap();
    assert!(slow.reason.as_deref().unwrap().contains("longer deadline_s"), "{:?}", slow.reason);
}

#[test]
fn after_the_first_answer_the_others_have_the_grace_and_no_less_time_than_it_took() {
    let mut task = task(3);
    let a = claim(&mut task, 0, "a", 0).unwrap();
    submit(&mut task, 0, a, "a", "d", 20).unwrap();
    assert_eq!(task.closes_at_ms(&TERMS), Some(70), "20 ms of work, so the grace of 50");
    let b = claim(&mut task, 1, "b", 30).unwrap();
    assert_eq!(task.tick(69, &TERMS, &members(&[("v", 1.0)])), None);
    task.tick(70, &TERMS, &members(&[("v", 1.0)])).unwrap();
    assert_eq!(
        task.slots.iter().map(|slot| slot.state).collect::<Vec<_>>(),
        [SlotState::Submitted, SlotState::Rejected, SlotState::Rejected]
    );
    assert!(task.evaluation.is_some());
    assert!(beat(&mut task, 1, b, "b", 71).unwrap().cancel, "its miner may stop");
    assert_eq!(submit(&mut task, 1, b, "b", "d", 71), Err(Refusal::LeaseEnded));

    let mut long = self::task(2);
    let a = claim(&mut long, 0, "a", 0).unwrap();
    beat(&mut long, 0, a, "a", 90).unwrap();
    submit(&mut long, 0, a, "a", "d", 180).unwrap();
    assert_eq!(long.closes_at_ms(&TERMS), Some(360));
}

#[test]
fn a_cancelled_task_stops_its_miners() {
    let mut task = task(2);
    let token = claim(&mut task, 0, "a", 0).unwrap();
    task.cancel(10).unwrap();
    assert_eq!(task.state, TaskState::Cancelled);
    assert!(beat(&mut task, 0, token, "a", 11).unwrap().cancel);
    assert_eq!(submit(&mut task, 0, token, "a", "d", 11), Err(Refusal::TaskEnded(TaskState::Cancelled)));
    assert_eq!(claim(&mut task, 1, "b", 11), Err(Refusal::TaskEnded(TaskState::Cancelled)));
    let version = task.version;
    assert_eq!(task.cancel(12), Ok(()), "cancelling twice is no error");
    assert_eq!(task.version, version);
}

#[test]
fn scores_are_opened_only_when_nobody_can_copy_them() {
    let mut task = judged(&["v", "w"]);
    let (v, said) = (Hotkey::from("v"), scores(&task, 1.0));
    assert_eq!(task.reveal(&v, "h", said.clone(), 30), Err(Refusal::NotCommitted));
    task.commit(&v, "h", 30).unwrap();
    assert_eq!(task.reveal(&v, "h", said.clone(), 40), Err(Refusal::CommitsOpen { until_ms: 220 }));
    assert_eq!(task.commit(&v, "h", 40), Ok(Phase::Commit), "the same again");
    assert_eq!(task.commit(&v, "other", 40), Err(Refusal::AlreadyCommitted));
    assert_eq!(task.commit(&Hotkey::from("x"), "h", 40), Err(Refusal::NotOnCommittee));
    assert_eq!(task.commit(&Hotkey::from("w"), "h", 220), Err(Refusal::CommitsClosed));
    assert_eq!(task.reveal(&v, "g", said.clone(), 220), Err(Refusal::CommitmentMismatch));
    assert_eq!(task.reveal(&v, "h", said, 220), Ok(Phase::Done), "w did not commit: v is all");
    assert_eq!(task.state, TaskState::Verified, "half of the weight is a quorum");
}

#[test]
fn scores_must_fit_the_responses() {
    let mut task = judged(&["v"]);
    let v = Hotkey::from("v");
    task.commit(&v, "h", 30).unwrap();
    let good = scores(&task, 0.5);
    let mut strange = good.clone();
    strange.insert(ResponseId::from("x"), Score { score: 0.5, error_rate: None });
    let with = |score, error_rate| Scores::from([(ResponseId::from("r0-d"), Score { score, error_rate })]);
    for bad in [Scores::new(), strange, with(1.01, None), with(-0.1, None), with(f64::NAN, None), with(0.5, Some(-1.0))]
    {
        assert!(matches!(task.reveal(&v, "h", bad.clone(), 40), Err(Refusal::BadScores(_))), "{bad:?}");
    }
    assert_eq!(task.reveal(&v, "h", good, 40), Ok(Phase::Done));
}

#[test]
fn the_threshold_itself_is_accepted_and_below_it_the_task_fails_with_its_answer() {
    for (score, state) in [(ACCEPTED_FROM, TaskState::Verified), (0.49, TaskState::Failed)] {
        let mut task = judged(&["v"]);
        let v = Hotkey::from("v");
        task.commit(&v, "h", 30).unwrap();
        let said = scores(&task, score);
        task.reveal(&v, "h", said, 40).unwrap();
        assert_eq!(task.state, state);
        assert!(task.answer.is_some());
    }
}

#[test]
fn without_a_quorum_the_answer_is_delivered_and_flagged() {
    let mut task = judged(&["v", "w", "x"]);
    let v = Hotkey::from("v");
    task.commit(&v, "h", 30).unwrap();
    task.tick(220, &TERMS, &[]).unwrap();
    let said = scores(&task, 1.0);
    assert_eq!(task.reveal(&v, "h", said.clone(), 230), Ok(Phase::Done));
    assert_eq!(task.state, TaskState::Unverified);
    assert!(task.reason.as_deref().unwrap().contains("1 of 3 validators"), "{:?}", task.reason);
    assert!(task.answer.is_some() && !task.verdict.as_ref().unwrap().quorum);
    assert_eq!(task.slots[0].state, SlotState::Submitted);

    let mut silent = judged(&["v"]);
    silent.tick(220, &TERMS, &[]).unwrap();
    assert_eq!(silent.state, TaskState::Unverified, "nobody committed, so nobody can reveal");
    assert_eq!(silent.reveal(&v, "h", said, 230), Err(Refusal::NotCommitted));
}

#[test]
fn a_committed_validator_that_never_reveals_holds_nobody_up() {
    let mut task = judged(&["v", "w"]);
    let [v, w] = ["v", "w"].map(Hotkey::from);
    task.commit(&v, "h", 30).unwrap();
    task.commit(&w, "g", 30).unwrap();
    let said = scores(&task, 1.0);
    assert_eq!(task.reveal(&v, "h", said.clone(), 40), Ok(Phase::Reveal));
    assert_eq!(task.tick(299, &TERMS, &[]), None);
    assert_eq!(task.reveal(&w, "g", said, 300), Err(Refusal::RevealsClosed));
    task.tick(300, &TERMS, &[]).unwrap();
    assert_eq!(task.state, TaskState::Verified);
}

#[test]
fn answers_wait_a_while_for_a_committee_and_not_for_ever() {
    let mut task = task(1);
    let token = claim(&mut task, 0, "a", 0).unwrap();
    submit(&mut task, 0, token, "a", "d", 10).unwrap();
    task.tick(10, &TERMS, &[]).unwrap();
    assert!(task.settled_at_ms.is_some() && task.evaluation.is_none());
    let mut found = task.clone();
    found.tick(280, &TERMS, &members(&[("v", 1.0)])).unwrap();
    assert!(found.evaluation.is_some());
    assert_eq!(task.tick(289, &TERMS, &[]), None);
    task.tick(290, &TERMS, &[]).unwrap();
    assert_eq!(task.state, TaskState::Unverified);
}

#[test]
fn one_process_of_a_validator_judges_and_another_may_when_it_died() {
    let mut task = judged(&["v", "w"]);
    let v = Hotkey::from("v");
    task.lease_evaluation(&v, "first", 30, &TERMS).unwrap();
    let version = task.version;
    task.lease_evaluation(&v, "first", 31, &TERMS).unwrap();
    assert_eq!(task.version, version, "the same claim has it already");
    assert_eq!(task.standing(&v, "second", 31), Standing::Nothing);
    assert_eq!(task.lease_evaluation(&v, "second", 31, &TERMS), Err(Refusal::SlotTaken));
    assert_eq!(
        task.standing(&Hotkey::from("w"), "first", 31),
        Standing::Judge,
        "validators do not wait for each other"
    );
    task.lease_evaluation(&v, "second", 130, &TERMS).unwrap();
    task.commit(&v, "h", 140).unwrap();
    assert_eq!(task.standing(&v, "second", 141), Standing::Nothing, "nothing left to do");
    assert_eq!(task.lease_evaluation(&Hotkey::from("x"), "c", 141, &TERMS), Err(Refusal::NotOnCommittee));
}

#[test]
fn after_a_restart_everybody_has_their_time_again() {
    let mut running = task(1);
    let token = claim(&mut running, 0, "a", 0).unwrap();
    assert!(running.resume(5_000, &TERMS));
    assert_eq!(running.tick(5_099, &TERMS, &[]), None);
    assert!(submit(&mut running, 0, token, "a", "d", 5_099).is_ok());

    let mut committing = judged(&["v", "w"]);
    assert!(committing.resume(5_000, &TERMS));
    let evaluation = committing.evaluation.as_ref().unwrap();
    assert_eq!((evaluation.commit_by_ms, evaluation.reveal_by_ms), (5_200, 5_280));

    let mut ended = task(1);
    ended.cancel(1).unwrap();
    assert!(!ended.resume(5_000, &TERMS));
}

#[test]
fn a_record_survives_json() {
    let mut task = judged(&["v", "w"]);
    task.commit(&Hotkey::from("v"), "h", 30).unwrap();
    let json = serde_json::to_string(&task).unwrap();
    assert_eq!(serde_json::from_str::<Task>(&json).unwrap(), task);
}

#[test]
fn long_audio_gives_validators_as_long_again_to_commit() {
    let mut task = judged(&["v"]);
    let short = task.evaluation.as_ref().unwrap().commit_by_ms;
    task.evaluation = None;
    task.input.duration_s = Some(60.0);
    let now_ms = task.updated_at_ms;
    task.tick(now_ms, &TERMS, &members(&[("v", 1.0)])).unwrap();
    assert_eq!(task.evaluation.unwrap().commit_by_ms, short + 60_000);
}
