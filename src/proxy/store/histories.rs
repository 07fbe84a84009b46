//! Random histories, drawn with fixed seeds, that go the same ways in every store.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};

use super::conformance::{TERMS, blob, claim, created, new_task, response, upload};
use super::model::Model;
use super::{Batch, Error, EvaluationRow, Expired, Listing, Records, TaskStore};
use crate::subnet::task::{Holding, Hotkey, Member, ResponseId, Score, SlotState, Submit, Task, TaskId, TaskState};

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Create { task: u8, owner: u8, key: Option<u8>, body: u8, blob: u8 },
    Claim { task: u8, miner: u8, is_stale: bool },
    Beat { task: u8, miner: u8 },
    Submit { task: u8, miner: u8, is_good: bool },
    Fail { task: u8, miner: u8 },
    Cancel { task: u8 },
    Commit { task: u8, validator: u8 },
    Reveal { task: u8, validator: u8, score: u8 },
    Pass { ms: u16 },
    Upload { n: u8, owner: u8, blob: u8 },
    Erase { age_ms: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    let (task, miner, validator) = (0..4u8, 0..4u8, 0..2u8);
    prop_oneof![
        3 => (task.clone(), 0..2u8, proptest::option::of(0..2u8), 0..2u8, 0..3u8)
            .prop_map(|(task, owner, key, body, blob)| Step::Create { task, owner, key, body, blob }),
        5 => (task.clone(), miner.clone(), prop::bool::weighted(0.2))
            .prop_map(|(task, miner, is_stale)| Step::Claim { task, miner, is_stale }),
        2 => (task.clone(), miner.clone()).prop_map(|(task, miner)| Step::Beat { task, miner }),
        5 => (task.clone(), miner.clone(), prop::bool::weighted(0.8))
            .prop_map(|(task, miner, is_good)| Step::Submit { task, miner, is_good }),
        1 => (task.clone(), miner).prop_map(|(task, miner)| Step::Fail { task, miner }),
        1 => task.clone().prop_map(|task| Step::Cancel { task }),
        3 => (task.clone(), validator.clone()).prop_map(|(task, validator)| Step::Commit { task, validator }),
        3 => (task, validator, 0..5u8).prop_map(|(task, validator, score)| Step::Reveal { task, validator, score }),
        3 => (1..1_500u16).prop_map(|ms| Step::Pass { ms }),
        1 => (0..3u8, 0..2u8, 0..4u8).prop_map(|(n, owner, blob)| Step::Upload { n, owner, blob }),
        1 => (0..3_000u16).prop_map(|age_ms| Step::Erase { age_ms }),
    ]
}

/// A history in progress: its clock, and how many responses it made.
struct History {
    now_ms: i64,
    n_responses: u32,
}

const OWNERS: [&str; 2] = ["ann", "bob"];

impl History {
    /// What a step asks of a store; nothing where the rules refuse it.
    async fn batches(&mut self, step: &Step, model: &Model) -> Vec<Batch> {
        let now_ms = self.now_ms;
        let name = |task: u8| TaskId::from(format!("task_{task}"));
        let load = async |task: u8| model.task(&name(task)).await.unwrap();
        let one = |batch: Option<Batch>| batch.into_iter().collect::<Vec<_>>();
        match *step {
            Step::Create { task, owner, key, body, blob } => {
                let task = new_task(name(task).as_str(), OWNERS[usize::from(owner)], blob, 2, now_ms);
                let (key, body) = (key.map(|key| format!("key{key}")), format!("body{body}"));
                vec![created(task, key.as_deref().map(|key| (key, body.as_str())))]
            }
            Step::Claim { task, miner, is_stale } => {
                let Some(before) = load(task).await else { return Vec::new() };
                let batch = rule(&before, |task, _| {
                    let slot = task.slots.iter().find(|s| s.state == SlotState::Open)?.index;
                    task.claim(claim(slot, &format!("M{miner}")), now_ms, &TERMS).ok().map(drop)
                });
                one(batch.map(|mut batch| {
                    batch.task.as_mut().unwrap().expected += u64::from(is_stale);
                    batch
                }))
            }
            Step::Beat { task, miner } => held(load(task).await, miner, |task, holding, _| {
                task.heartbeat(holding, 0.5, Some("so far"), now_ms, &TERMS).ok().map(drop)
            }),
            Step::Submit { task, miner, is_good } => {
                self.n_responses += 1;
                let id = format!("resp_{}", self.n_responses);
                held(load(task).await, miner, |task, holding, records| {
                    let checked = if is_good { Ok(None) } else { Err("empty".to_owned()) };
                    let submit = Submit { response_id: ResponseId::from(id.as_str()), digest: id.clone(), checked };
                    let receipt = task.submit(holding, submit, now_ms).ok().filter(|receipt| receipt.is_new)?;
                    match receipt.rejected {
                        None => {
                            records.response = Some(response(&id, task, holding.slot, holding.miner.as_str(), "hello"));
                        }
                        Some(_) => records.scores.push((holding.miner.clone(), 0.0)),
                    }
                    Some(())
                })
            }
            Step::Fail { task, miner } => {
                held(load(task).await, miner, |task, holding, _| task.fail(holding, "cannot", now_ms).ok())
            }
            Step::Cancel { task } => {
                let before = load(task).await;
                one(before.and_then(|before| rule(&before, |task, _| task.cancel(now_ms).ok())))
            }
            Step::Commit { task, validator } => {
                let validator = Hotkey::from(format!("V{validator}"));
                let before = load(task).await;
                one(before
                    .and_then(|before| rule(&before, |task, _| task.commit(&validator, "c", now_ms).ok().map(drop))))
            }
            Step::Reveal { task, validator, score } => {
                let Some(before) = load(task).await else { return Vec::new() };
                let validator = Hotkey::from(format!("V{validator}"));
                let score = Score { score: f64::from(score) / 4.0, error_rate: None };
                let scores = before.submissions().map(|s| (s.response_id.clone(), score)).collect();
                one(rule(&before, |task, records| {
                    task.reveal(&validator, "c", scores, now_ms).ok()?;
                    records.evaluation = Some(EvaluationRow {
                        task_id: task.id.clone(),
                        validator: validator.clone(),
                        commitment: "c".to_owned(),
                        salt: "s".to_owned(),
                        scores: "{}".to_owned(),
                        revealed_at_ms: now_ms,
                    });
                    Some(())
                }))
            }
            Step::Pass { ms } => {
                self.now_ms += i64::from(ms);
                let now_ms = self.now_ms;
                let committee = ["V0", "V1"].map(|validator| Member::new(Hotkey::from(validator), 1.0));
                let tasks = model.open_tasks().await.unwrap().0;
                let tick = |before: &Task| {
                    rule(before, |task, records| {
                        let expired = task.tick(now_ms, &TERMS, &committee)?;
                        records.scores.extend(expired.into_iter().map(|miner| (miner, 0.0)));
                        Some(())
                    })
                };
                tasks.iter().filter_map(tick).collect()
            }
            Step::Upload { n, owner, blob } => {
                let row = upload(&format!("upload_{n}"), OWNERS[usize::from(owner)], blob, now_ms);
                vec![Batch { task: None, records: Records { upload: Some(row), ..Records::default() } }]
            }
            Step::Erase { .. } => Vec::new(),
        }
    }
}

fn held(
    before: Option<Task>,
    miner: u8,
    change: impl FnOnce(&mut Task, &Holding<'_>, &mut Records) -> Option<()>,
) -> Vec<Batch> {
    let miner = Hotkey::from(format!("M{miner}"));
    let Some(before) = before else { return Vec::new() };
    let lease = before.leases().find(|(_, lease)| lease.miner == miner);
    let Some((slot, token)) = lease.map(|(slot, _)| (slot.index, slot.token)) else { return Vec::new() };
    let holding = Holding { slot, token, miner: &miner };
    rule(&before, |task, records| change(task, &holding, records)).into_iter().collect()
}

/// The batch of a change; none where the rule refuses or changes nothing.
fn rule(before: &Task, change: impl FnOnce(&mut Task, &mut Records) -> Option<()>) -> Option<Batch> {
    let (mut after, mut records) = (before.clone(), Records::default());
    change(&mut after, &mut records)?;
    (after.version != before.version).then(|| Batch::of_change(before, after, records))
}

/// Everything that a history can have left in a store.
async fn contents(store: &dyn TaskStore, n_responses: u32) -> Vec<String> {
    let mut all = Vec::new();
    let (mut open, _) = store.open_tasks().await.unwrap();
    open.sort_by(|a, b| a.id.cmp(&b.id));
    all.push(format!("{open:?}"));
    for n in 0..4 {
        let id = TaskId::from(format!("task_{n}"));
        all.push(format!("{:?}", store.task(&id).await.unwrap()));
        let events = store.events(&id, 0, 1_000).await.unwrap();
        let numbers: Vec<u64> = events.iter().map(|event| event.last_event).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "events without gaps");
        all.push(format!("{events:?}"));
        all.push(format!("{:?}", store.responses(&id).await.unwrap()));
        all.push(format!("{:?}", store.evaluations(&id).await.unwrap()));
    }
    for n in 1..=n_responses {
        all.push(format!("{:?}", store.response_text(&ResponseId::from(format!("resp_{n}"))).await.unwrap()));
    }
    for owner in OWNERS {
        all.push(format!("{:?}", store.page(Listing::newest(owner, 3)).await.unwrap()));
        let before = Listing { before: "task_2".to_owned(), ..Listing::newest(owner, 3) };
        all.push(format!("{:?}", store.page(before).await.unwrap()));
        let cancelled = Listing { state: Some(TaskState::Cancelled), ..Listing::newest(owner, 3) };
        all.push(format!("{:?}", store.page(cancelled).await.unwrap()));
        for n in 0..3 {
            all.push(format!("{:?}", store.upload(owner, &format!("upload_{n}")).await.unwrap()));
            all.push(format!("{:?}", store.key(owner, &format!("key{n}")).await.unwrap()));
        }
    }
    for n in 0..4 {
        let mut held = store.held(&Hotkey::from(format!("M{n}"))).await.unwrap();
        held.sort_by(|a, b| a.id.cmp(&b.id));
        all.push(format!("{held:?}"));
        all.push(format!("blob {n}: {}", store.is_referenced(&blob(n)).await.unwrap()));
    }
    // Sums of floats are the same in the same order, whichever store made them.
    all.push(format!("{:?}", store.miners().await.unwrap()));
    all
}

/// The answer of a commit, without its words.
fn outcome(done: &Result<(), Error>) -> &'static str {
    match done {
        Ok(()) => "stored",
        Err(Error::Stale(_)) => "stale",
        Err(Error::Exists(_)) => "exists",
        Err(error) => panic!("{error}"),
    }
}

async fn same_as_the_model(store: &dyn TaskStore, steps: &[Step]) {
    let model = Model::default();
    let mut history = History { now_ms: 1_000, n_responses: 0 };
    for step in steps {
        for batch in history.batches(step, &model).await {
            let expected = model.commit(batch.clone()).await;
            let done = store.commit(batch).await;
            assert_eq!(outcome(&done), outcome(&expected), "{step:?}");
        }
        if let Step::Erase { age_ms } = step {
            let before_ms = history.now_ms - i64::from(*age_ms);
            let (theirs, ours) =
                (store.expired(before_ms, 0, 100).await.unwrap(), model.expired(before_ms, 0, 100).await.unwrap());
            let names = |expired: &Expired| {
                let tasks: BTreeSet<_> = expired.tasks.iter().cloned().collect();
                (tasks, expired.uploads.iter().cloned().collect::<BTreeSet<_>>())
            };
            assert_eq!(names(&theirs), names(&ours));
            store.erase(theirs).await.unwrap();
            model.erase(ours).await.unwrap();
        }
    }
    let (theirs, ours) = (contents(store, history.n_responses).await, contents(&model, history.n_responses).await);
    for (theirs, ours) in theirs.iter().zip(&ours) {
        assert_eq!(theirs, ours);
    }
}

/// Runs the same histories, drawn with a fixed seed, against stores that `open` makes.
pub(super) fn histories(n: u32, open: impl FnMut() -> Arc<dyn TaskStore>) {
    let open = RefCell::new(open);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let config = Config { cases: n, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
    let rng = TestRng::deterministic_rng(config.rng_algorithm);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let run = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
        let _entered = runtime.enter();
        let store = (open.borrow_mut())();
        runtime.block_on(same_as_the_model(store.as_ref(), &steps));
        Ok(())
    });
    run.unwrap_or_else(|error| panic!("{error}"));
}
