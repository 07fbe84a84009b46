//! What every store must do.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::histories::histories;
use super::model::Model;
use super::sqlite::Sqlite;
use super::{
    Batch, Entry, EntryKind, Error, EvaluationRow, Expired, IdempotencyKey, Listing, Records, ResponseRow, TaskChange,
    TaskStore, UploadRow,
};
use crate::subnet::task::{
    Claim, Coldkey, Holding, Hotkey, Kind, NewTask, ResponseId, Submit, Task, TaskId, TaskState, Terms,
};

pub(super) const TERMS: Terms = Terms { lease_ms: 1_000, grace_ms: 500, commit_ms: 1_000, reveal_ms: 1_000 };

/// A blob's name.
pub(super) fn blob(n: u8) -> String {
    hex::encode(Sha256::digest([n]))
}

pub(super) fn new_task(id: &str, owner: &str, blob_n: u8, redundancy: u8, now_ms: i64) -> Task {
    let mut new =
        NewTask { owner: owner.to_owned(), redundancy, deadline_ms: now_ms + 60_000, ..NewTask::sample(id, now_ms) };
    new.input.sha256 = blob(blob_n);
    new.input.duration_s = Some(1.0);
    new.input.name = Some("ä/\"x\"\n".to_owned());
    Task::new(new, now_ms)
}

pub(super) fn created(task: Task, key: Option<(&str, &str)>) -> Batch {
    let task = Task { last_event: 1, ..task };
    let key = key.map(|(key, body)| IdempotencyKey {
        owner: task.owner.clone(),
        key: key.to_owned(),
        body_sha256: body.to_owned(),
    });
    let change = TaskChange { expected: 0, task: Arc::new(task), has_event: true };
    Batch { task: Some(change), records: Records { key, ..Records::default() } }
}

pub(super) fn claim(slot: u8, miner: &str) -> Claim {
    let miner = Hotkey::from(miner);
    Claim { slot, coldkey: Coldkey::from(format!("cold{miner}")), miner, claim_id: "c".to_owned() }
}

pub(super) fn response(id: &str, task: &Task, slot: u8, miner: &str, text: &str) -> ResponseRow {
    ResponseRow {
        id: ResponseId::from(id),
        task_id: task.id.clone(),
        slot,
        miner: Hotkey::from(miner),
        digest: "d".to_owned(),
        signature: "0x".to_owned(),
        latency_ms: 7,
        text: text.to_owned(),
        result: format!("{{\"text\": {text:?}}}"),
    }
}

pub(super) fn upload(id: &str, owner: &str, blob_n: u8, created_at_ms: i64) -> UploadRow {
    let audio = crate::audio::Info {
        duration_s: None,
        sample_rate: 8_000,
        n_channels: 1,
        codec: "pcm_s16le".to_owned(),
        container: "wave".to_owned(),
        layout: None,
        bit_depth: None,
        bit_rate: None,
        tags: std::collections::BTreeMap::new(),
    };
    UploadRow {
        id: id.to_owned(),
        owner: owner.to_owned(),
        sha256: blob(blob_n),
        bytes: 1,
        name: None,
        audio,
        created_at_ms,
    }
}

/// A change of a task by a rule.
fn changed(before: &Task, rule: impl FnOnce(&mut Task, &mut Records)) -> Batch {
    let (mut after, mut records) = (before.clone(), Records::default());
    rule(&mut after, &mut records);
    Batch::of_change(before, after, records)
}

fn task_in(batch: &Batch) -> Task {
    (*batch.task.as_ref().unwrap().task).clone()
}

/// The claims; the store is empty.
async fn conforms(store: &dyn TaskStore) {
    tasks_are_compared_and_set(store).await;
    a_batch_is_all_or_nothing(store).await;
    large_and_strange_texts_come_back(store).await;
    pages_go_back(store).await;
    an_owners_tasks_about_a_blob_are_found(store).await;
    small_records_are_compared_and_set(store).await;
    what_is_over_goes_with_all_that_belongs_to_it(store).await;
    of_many_writers_one_wins(store).await;
    assert!(store.pulse(1_000).await.is_ok());
    store.close().await.unwrap();
}

async fn tasks_are_compared_and_set(store: &dyn TaskStore) {
    let first = created(new_task("task_a", "ann", 1, 1, 0), Some(("k", "b")));
    let task = task_in(&first);
    assert_eq!(store.task(&task.id).await.unwrap(), None);
    store.commit(first.clone()).await.unwrap();
    assert_eq!(store.task(&task.id).await.unwrap().as_ref(), Some(&task));
    assert!(matches!(store.commit(first).await, Err(Error::Exists(_))), "it is there already");
    let next = changed(&task, |task, _| task.claim(claim(0, "M1"), 10, &TERMS).map(drop).unwrap());
    store.commit(next.clone()).await.unwrap();
    assert!(matches!(store.commit(next.clone()).await, Err(Error::Stale(_))), "the version was read by nobody");
    let running = task_in(&next);
    assert_eq!(running.last_event, 2, "users see that it runs");
    assert_eq!(store.held(&Hotkey::from("M1")).await.unwrap(), std::slice::from_ref(&running));
    assert_eq!(store.held(&Hotkey::from("M2")).await.unwrap(), []);
    let holding = |miner| Holding { slot: 0, token: 1, miner };
    let miner = Hotkey::from("M1");
    let beat = changed(&running, |task, _| {
        task.heartbeat(&holding(&miner), 0.5, Some("half"), 20, &TERMS).map(drop).unwrap();
    });
    store.commit(beat.clone()).await.unwrap();
    assert_eq!(task_in(&beat).last_event, 2, "progress is no new state");
    let ended = changed(&task_in(&beat), |task, _| task.cancel(30).unwrap());
    store.commit(ended.clone()).await.unwrap();
    let numbers = |events: Vec<Task>| events.iter().map(|task| task.last_event).collect::<Vec<_>>();
    assert_eq!(numbers(store.events(&task.id, 0, 10).await.unwrap()), [1, 2, 3]);
    assert_eq!(numbers(store.events(&task.id, 1, 1).await.unwrap()), [2]);
    assert_eq!(numbers(store.events(&task.id, 3, 10).await.unwrap()), Vec::<u64>::new());
    assert_eq!(store.events(&task.id, 2, 10).await.unwrap(), [task_in(&ended)], "the state is the fold of events");
    assert_eq!(store.open_tasks().await.unwrap().0, []);
    assert_eq!(store.held(&miner).await.unwrap(), []);
    assert_eq!(store.key("ann", "k").await.unwrap(), Some(("b".to_owned(), task.id.clone())));
    assert_eq!(store.key("bob", "k").await.unwrap(), None, "keys are of their owners");
    for strange in ["", "../miners/x", "a/b", "task_é", &"x".repeat(2_000)] {
        assert_eq!(store.task(&TaskId::from(strange)).await.unwrap(), None, "{strange}");
        assert_eq!(store.upload("ann", strange).await.unwrap(), None);
        assert!(store.events(&TaskId::from(strange), 0, 1).await.unwrap().is_empty());
        assert_eq!(store.key(strange, strange).await.unwrap(), None);
    }
}

async fn a_batch_is_all_or_nothing(store: &dyn TaskStore) {
    let first = created(new_task("task_b", "ann", 1, 2, 0), None);
    store.commit(first.clone()).await.unwrap();
    let task = task_in(&first);
    // The key is taken: no task either.
    let double = created(new_task("task_c", "ann", 1, 1, 0), Some(("k", "other")));
    assert!(matches!(store.commit(double.clone()).await, Err(Error::Exists(_))));
    assert_eq!(store.task(&task_in(&double).id).await.unwrap(), None);
    // A stale change stores no response and no score.
    let mut stale = changed(&task, |task, _| task.claim(claim(0, "M3"), 10, &TERMS).map(drop).unwrap());
    stale.task.as_mut().unwrap().expected = 7;
    stale.records.response = Some(response("resp_1", &task, 0, "M3", "hello"));
    stale.records.scores = vec![(Hotkey::from("M3"), 1.0)];
    assert!(matches!(store.commit(stale.clone()).await, Err(Error::Stale(_))));
    assert_eq!(store.response(&ResponseId::from("resp_1")).await.unwrap(), None);
    assert_eq!(store.miner(&Hotkey::from("M3")).await.unwrap(), None);
    assert_eq!(store.task(&task.id).await.unwrap().unwrap(), task);
    // At the right version it stores all of them.
    stale.task.as_mut().unwrap().expected = 1;
    store.commit(stale).await.unwrap();
    let miner = store.miner(&Hotkey::from("M3")).await.unwrap().unwrap();
    assert_eq!((miner.answered, miner.accepted), (1, 1));
    assert!((miner.quality - 0.6).abs() < 1e-12, "0.5 + 0.2 * (1 - 0.5), not {}", miner.quality);
    // Scores count in their order, and once each.
    let scores = [0.0, 1.0, 0.25].map(|score| (Hotkey::from("M3"), score));
    let more = Records { scores: scores.to_vec(), ..Records::default() };
    store.commit(Batch { task: None, records: more }).await.unwrap();
    let quality = scores.iter().fold(0.6, |q, (_, s)| crate::subnet::assign::updated_quality(q, *s));
    let miner = store.miner(&Hotkey::from("M3")).await.unwrap().unwrap();
    assert!((miner.quality - quality).abs() < 1e-12);
    assert_eq!(store.miners().await.unwrap(), [miner]);
    // The same response again, and the same evaluation, are refused with all that came along.
    let row = response("resp_1", &task, 0, "M4", "other");
    let again = Records { response: Some(row), ..Records::default() };
    assert!(matches!(store.commit(Batch { task: None, records: again }).await, Err(Error::Exists(_))));
    assert_eq!(store.miner(&Hotkey::from("M4")).await.unwrap(), None);
    let row = EvaluationRow {
        task_id: task.id.clone(),
        validator: Hotkey::from("V1"),
        commitment: "c".to_owned(),
        salt: "s".to_owned(),
        scores: "{}".to_owned(),
        revealed_at_ms: 1,
    };
    let records = Records { evaluation: Some(row.clone()), ..Records::default() };
    store.commit(Batch { task: None, records: records.clone() }).await.unwrap();
    assert!(matches!(store.commit(Batch { task: None, records }).await, Err(Error::Exists(_))));
    assert_eq!(store.evaluations(&task.id).await.unwrap(), [row]);
}

async fn large_and_strange_texts_come_back(store: &dyn TaskStore) {
    let task = store.task(&TaskId::from("task_b")).await.unwrap().unwrap();
    let texts = [String::new(), "ä\u{0}\u{1F600}\"\\\n".to_owned(), "é".repeat(700_000), "x".repeat(1 << 20)];
    for (n, text) in texts.iter().enumerate() {
        let row = response(&format!("resp_t{n}"), &task, 10 + u8::try_from(n).unwrap(), "M5", text);
        store
            .commit(Batch { task: None, records: Records { response: Some(row.clone()), ..Records::default() } })
            .await
            .unwrap();
        assert!(store.response(&row.id).await.unwrap().as_ref() == Some(&row), "response {n}");
        assert!(store.response_text(&row.id).await.unwrap().as_ref() == Some(text), "text {n}");
    }
    let slots: Vec<u8> = store.responses(&task.id).await.unwrap().iter().map(|row| row.slot).collect();
    assert_eq!(slots, [0, 10, 11, 12, 13]);
    assert_eq!(store.miner(&Hotkey::from("M5")).await.unwrap().unwrap().answered, 4);
}

async fn pages_go_back(store: &dyn TaskStore) {
    for n in 0..5 {
        store.commit(created(new_task(&format!("task_p{n}"), "paul", 1, 1, n), None)).await.unwrap();
    }
    let ids = |tasks: Vec<Task>| tasks.iter().map(|task| task.id.as_str().to_owned()).collect::<Vec<_>>();
    let page = async |listing: Listing| ids(store.page(listing).await.unwrap());
    let before = |id: &str, limit| Listing { before: id.to_owned(), ..Listing::newest("paul", limit) };
    assert_eq!(page(Listing::newest("paul", 2)).await, ["task_p4", "task_p3"]);
    assert_eq!(page(before("task_p3", 2)).await, ["task_p2", "task_p1"]);
    assert_eq!(page(before("task_p1", 9)).await, ["task_p0"]);
    assert!(page(Listing::newest("nobody", 9)).await.is_empty());
    // Some of them, by name, state and kind.
    assert_eq!(page(Listing { from: "task_p2".to_owned(), ..before("task_p4", 9) }).await, ["task_p3", "task_p2"]);
    let task = store.task(&TaskId::from("task_p2")).await.unwrap().unwrap();
    store.commit(changed(&task, |task, _| task.cancel(9).unwrap())).await.unwrap();
    let mut spoken = new_task("task_p5", "paul", 1, 1, 5);
    spoken.kind = Kind::Synthesis;
    store.commit(created(spoken, None)).await.unwrap();
    let by = |state, kind| Listing { state, kind, ..Listing::newest("paul", 9) };
    assert_eq!(page(by(Some(TaskState::Cancelled), None)).await, ["task_p2"]);
    assert_eq!(page(by(Some(TaskState::Queued), None)).await, ["task_p5", "task_p4", "task_p3", "task_p1", "task_p0"]);
    assert_eq!(page(by(None, Some(Kind::Synthesis))).await, ["task_p5"]);
    assert_eq!(page(by(Some(TaskState::Queued), Some(Kind::Synthesis))).await, ["task_p5"]);
    assert!(page(by(Some(TaskState::Cancelled), Some(Kind::Synthesis))).await.is_empty());
}

async fn an_owners_tasks_about_a_blob_are_found(store: &dyn TaskStore) {
    for (id, owner, blob_n) in
        [("task_q1", "quin", 90), ("task_q2", "quin", 90), ("task_q3", "quin", 91), ("task_q4", "paul", 90)]
    {
        store.commit(created(new_task(id, owner, blob_n, 1, 0), None)).await.unwrap();
    }
    let about = async |owner: &str, blob_n, limit| {
        let tasks = store.tasks_about(owner, &blob(blob_n), limit).await.unwrap();
        tasks.iter().map(|task| task.id.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(about("quin", 90, 9).await, ["task_q2", "task_q1"], "newest first, and its owner's alone");
    assert_eq!(about("quin", 90, 1).await, ["task_q2"]);
    assert_eq!(about("paul", 90, 9).await, ["task_q4"]);
    assert!(about("quin", 92, 9).await.is_empty());
}

async fn small_records_are_compared_and_set(store: &dyn TaskStore) {
    let entry = |kind, name: &str, belongs_to: &str, due_ms| Entry {
        kind,
        name: name.to_owned(),
        belongs_to: belongs_to.to_owned(),
        due_ms,
        version: 1,
        record: "{\"ä\": \"\\n\"}".to_owned(),
    };
    let upload = entry(EntryKind::Upload, "u1", "eve", 20);
    assert_eq!(store.entry(EntryKind::Upload, "u1").await.unwrap(), None);
    assert!(store.put_entry(&upload).await.unwrap());
    assert!(!store.put_entry(&upload).await.unwrap(), "it is there already");
    assert_eq!(store.entry(EntryKind::Upload, "u1").await.unwrap().as_ref(), Some(&upload));
    assert_eq!(store.entry(EntryKind::Key, "u1").await.unwrap(), None, "of another kind");
    let next = Entry { version: 2, due_ms: 30, ..upload.clone() };
    assert!(store.put_entry(&next).await.unwrap());
    assert!(!store.put_entry(&next).await.unwrap(), "somebody was faster");
    assert!(!store.put_entry(&Entry { version: 5, ..next.clone() }).await.unwrap());
    assert!(!store.put_entry(&entry(EntryKind::Upload, "u1", "eve", 1)).await.unwrap());
    for other in [entry(EntryKind::Upload, "u2", "eve", 10), entry(EntryKind::Upload, "u3", "dan", 40)] {
        assert!(store.put_entry(&other).await.unwrap());
    }
    let names = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.name).collect::<Vec<_>>();
    assert_eq!(names(store.entries(EntryKind::Upload, 40, 9).await.unwrap()), ["u2", "u1"], "the earliest first");
    assert_eq!(names(store.entries(EntryKind::Upload, 41, 2).await.unwrap()), ["u2", "u1"]);
    assert_eq!(names(store.entries(EntryKind::Key, i64::MAX, 9).await.unwrap()), Vec::<String>::new());
    let mut of_eve = names(store.entries_of(EntryKind::Upload, "eve", 9).await.unwrap());
    of_eve.sort();
    assert_eq!(of_eve, ["u1", "u2"]);
    assert_eq!(store.entries_of(EntryKind::Upload, "eve", 1).await.unwrap().len(), 1);
    assert!(!store.delete_entry(&upload).await.unwrap(), "it was changed since");
    assert!(store.delete_entry(&next).await.unwrap());
    assert!(!store.delete_entry(&next).await.unwrap());
    // With a task or not at all, and gone with it.
    let first = created(new_task("task_e", "eve", 1, 1, 0), None);
    store.commit(first.clone()).await.unwrap();
    let message = entry(EntryKind::Delivery, "msg_1", "task_e", 5);
    let ended = changed(&task_in(&first), |task, records| {
        task.cancel(1).unwrap();
        records.entries.push(message.clone());
    });
    let mut stale = ended.clone();
    stale.task.as_mut().unwrap().expected = 9;
    assert!(matches!(store.commit(stale).await, Err(Error::Stale(_))));
    assert_eq!(store.entry(EntryKind::Delivery, "msg_1").await.unwrap(), None);
    store.commit(ended).await.unwrap();
    assert_eq!(store.entry(EntryKind::Delivery, "msg_1").await.unwrap(), Some(message));
    let tasks = vec![TaskId::from("task_e")];
    store.erase(Expired { tasks, ..Expired::default() }).await.unwrap();
    assert_eq!(store.entry(EntryKind::Delivery, "msg_1").await.unwrap(), None);
    assert!(store.entry(EntryKind::Upload, "u2").await.unwrap().is_some());
}

async fn what_is_over_goes_with_all_that_belongs_to_it(store: &dyn TaskStore) {
    let hour = 3_600_000;
    let first = created(new_task("task_o", "olga", 77, 1, 0), Some(("old", "b")));
    store.commit(first.clone()).await.unwrap();
    let leased = changed(&task_in(&first), |task, _| task.claim(claim(0, "M6"), 1, &TERMS).map(drop).unwrap());
    store.commit(leased.clone()).await.unwrap();
    let miner = Hotkey::from("M6");
    let ended = changed(&task_in(&leased), |task, records| {
        let submit = Submit { response_id: ResponseId::from("resp_o"), digest: "d".to_owned(), checked: Ok(None) };
        task.submit(&Holding { slot: 0, token: 1, miner: &miner }, submit, 2).unwrap();
        task.cancel(3).unwrap();
        task.version -= 1;
        records.response = Some(response("resp_o", task, 0, "M6", &"z".repeat(1_000_000)));
    });
    store.commit(ended).await.unwrap();
    let old = Records { upload: Some(upload("upload_o", "olga", 78, 5)), ..Records::default() };
    store.commit(Batch { task: None, records: old }).await.unwrap();
    let id = TaskId::from("task_o");
    for n in [77, 78] {
        assert!(store.is_referenced(&blob(n)).await.unwrap(), "{n}");
    }
    assert!(!store.is_referenced(&blob(79)).await.unwrap());
    assert_eq!(store.upload("olga", "upload_o").await.unwrap().unwrap().sha256, blob(78));
    assert_eq!(store.upload("bob", "upload_o").await.unwrap(), None, "of another owner");
    assert_eq!(store.uploads_of("olga", &blob(78)).await.unwrap(), ["upload_o"]);
    assert!(store.uploads_of("bob", &blob(78)).await.unwrap().is_empty());
    assert!(!store.expired(3, 0, 100).await.unwrap().tasks.contains(&id), "not before its time");
    let expired = store.expired(4, 0, 100).await.unwrap();
    assert!(expired.tasks.contains(&id) && expired.uploads.is_empty());
    // Even if it is asked for, what is open stays.
    let asked =
        Expired { tasks: vec![id.clone(), TaskId::from("task_p0")], uploads: vec!["upload_o".into()], notes: vec![] };
    store.erase(asked.clone()).await.unwrap();
    store.erase(asked).await.unwrap();
    assert_eq!(store.task(&id).await.unwrap(), None);
    assert!(store.events(&id, 0, 10).await.unwrap().is_empty());
    assert_eq!(store.response(&ResponseId::from("resp_o")).await.unwrap(), None);
    assert!(store.responses(&id).await.unwrap().is_empty());
    assert_eq!(store.key("olga", "old").await.unwrap(), None);
    assert_eq!(store.upload("olga", "upload_o").await.unwrap(), None);
    assert!(!store.is_referenced(&blob(77)).await.unwrap() && !store.is_referenced(&blob(78)).await.unwrap());
    assert!(store.task(&TaskId::from("task_p0")).await.unwrap().is_some());
    assert!(store.expired(hour, hour, 100).await.unwrap().uploads.is_empty());
}

async fn of_many_writers_one_wins(store: &dyn TaskStore) {
    let first = created(new_task("task_w", "will", 1, 8, 0), None);
    store.commit(first.clone()).await.unwrap();
    let task = task_in(&first);
    let claims = (0..8).map(|n| {
        let batch = changed(&task, |task, _| task.claim(claim(n, &format!("W{n}")), 10, &TERMS).map(drop).unwrap());
        store.commit(batch)
    });
    let won: Vec<Result<(), Error>> = futures::future::join_all(claims).await;
    assert_eq!(won.iter().filter(|won| won.is_ok()).count(), 1);
    assert!(won.iter().all(|won| matches!(won, Ok(()) | Err(Error::Stale(_)))), "{won:?}");
    let now = store.task(&task.id).await.unwrap().unwrap();
    assert_eq!((now.version, now.leases().count()), (2, 1));
}

#[tokio::test]
async fn the_model_conforms() {
    conforms(&Model::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_conforms() {
    let dir = tempfile::tempdir().unwrap();
    conforms(&Sqlite::open(&dir.path().join("s.sqlite3")).unwrap()).await;
}

#[test]
fn sqlite_goes_the_ways_of_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let mut n = 0;
    histories(64, || {
        n += 1;
        Arc::new(Sqlite::open(&dir.path().join(format!("{n}.sqlite3"))).unwrap())
    });
}

#[cfg(feature = "firebase")]
mod firestore {
    use super::*;
    use crate::proxy::google::{Caller, Google};
    use crate::proxy::store::firestore::Firestore;
    use crate::proxy::tests::emulators;

    /// A database of its own in the emulator, if that is here.
    pub(in crate::proxy::store) fn database(project: &str) -> Option<Firestore> {
        let host = emulators::firestore()?;
        let google = Arc::new(Google::new(Caller::Emulator).unwrap());
        Some(Firestore::new(google, project, Some(host), 1_000_000))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn firestore_conforms() {
        let Some(store) = database("conformance") else { return };
        store.open().await.unwrap();
        conforms(&store).await;
    }

    #[test]
    fn firestore_goes_the_ways_of_the_model() {
        let mut n = 0;
        if database("probe").is_none() {
            return;
        }
        histories(12, || {
            n += 1;
            Arc::new(database(&format!("history-{n}")).unwrap())
        });
    }

    #[tokio::test]
    async fn what_one_proxy_did_the_others_see_and_may_not_undo() {
        let Some(one) = database("two-proxies") else { return };
        let two = database("two-proxies").unwrap();
        let (_, mark) = two.open_tasks().await.unwrap();
        let first = created(new_task("task_a", "ann", 1, 1, 0), None);
        one.commit(first.clone()).await.unwrap();
        let (seen, mark) = two.changed(mark).await.unwrap();
        assert_eq!(seen, [task_in(&first)]);
        let theirs = changed(&seen[0], |task, _| task.claim(claim(0, "M2"), 10, &TERMS).map(drop).unwrap());
        two.commit(theirs.clone()).await.unwrap();
        // The first one knows the task by heart, at a version that is no more.
        let ours = changed(&task_in(&first), |task, _| task.claim(claim(0, "M1"), 10, &TERMS).map(drop).unwrap());
        assert!(matches!(one.commit(ours).await, Err(Error::Stale(_))));
        assert_eq!(two.changed(mark).await.unwrap().0, [task_in(&theirs)]);
        assert!(one.note_once("aa", 1_000).await.unwrap());
        assert!(!two.note_once("aa", 1_000).await.unwrap(), "a signed request is taken once by all proxies together");
        assert_eq!(two.expired(0, 1_001, 10).await.unwrap().notes, ["aa"]);
        assert_eq!(one.secret("url", [1; 32]).await.unwrap(), [1; 32]);
        assert_eq!(two.secret("url", [2; 32]).await.unwrap(), [1; 32], "the first one's is everybody's");
        assert_eq!(one.pulse(1_000).await.unwrap(), None);
        assert_eq!(two.pulse(900).await.unwrap(), Some(1_000));
        assert_eq!(one.pulse(2_000).await.unwrap(), Some(1_000), "a clock that is behind does not set the time back");
    }
}
#[cfg(feature = "firebase")]
pub(super) use firestore::database;
