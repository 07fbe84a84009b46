//! What goes wrong below [`Store`]: replies that are lost, commits that fail, others who are faster, a full disk, a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::Semaphore;

use super::conformance::{TERMS, claim, new_task, response};
use super::model::Model;
use super::sqlite::Sqlite;
use super::{
    Answer, Batch, Entry, EntryKind, Error, EvaluationRow, Expired, IdempotencyKey, Listing, Mark, MinerRow,
    ResponseRow, Room, Store, TaskStore, UploadRow,
};
use crate::proxy::hub::Hub;
use crate::subnet::task::{Holding, Hotkey, Refusal, ResponseId, SlotState, Submit, Task, TaskId};

/// Where a commit goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// Nothing is stored and the caller learns of it.
    BeforeCommit,
    /// Everything is stored and the caller does not learn of it.
    ReplyLost,
    /// It hangs until the test lets it go on.
    Stalls,
}

/// A store whose n-th commit goes wrong.
struct Faulty {
    below: Arc<dyn TaskStore>,
    point: Point,
    left: AtomicU32,
    gate: Arc<Semaphore>,
}

impl Faulty {
    fn new(below: &Arc<dyn TaskStore>, point: Point, nth: u32) -> Self {
        Self { below: Arc::clone(below), point, left: AtomicU32::new(nth), gate: Arc::new(Semaphore::new(0)) }
    }
}

impl TaskStore for Faulty {
    fn commit(&self, batch: Batch) -> Answer<'_, ()> {
        async move {
            if self.left.fetch_sub(1, Ordering::SeqCst) != 1 {
                return self.below.commit(batch).await;
            }
            match self.point {
                Point::BeforeCommit => {}
                Point::ReplyLost => self.below.commit(batch).await?,
                Point::Stalls => {
                    let _ = self.gate.acquire().await;
                    return self.below.commit(batch).await;
                }
            }
            Err(Error::Unavailable("on purpose".to_owned()))
        }
        .boxed()
    }

    fn is_shared(&self) -> bool {
        // So that the front looks again at what it may not have learnt.
        true
    }

    fn task<'a>(&'a self, id: &'a TaskId) -> Answer<'a, Option<Task>> {
        self.below.task(id)
    }
    fn open_tasks(&self) -> Answer<'_, (Vec<Task>, Mark)> {
        self.below.open_tasks()
    }
    fn changed(&self, since: Mark) -> Answer<'_, (Vec<Task>, Mark)> {
        self.below.changed(since)
    }
    fn held<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Vec<Task>> {
        self.below.held(miner)
    }
    fn page(&self, listing: Listing) -> Answer<'_, Vec<Task>> {
        self.below.page(listing)
    }
    fn tasks_about<'a>(&'a self, owner: &'a str, sha256: &'a str, limit: usize) -> Answer<'a, Vec<Task>> {
        self.below.tasks_about(owner, sha256, limit)
    }
    fn events<'a>(&'a self, id: &'a TaskId, after: u64, limit: usize) -> Answer<'a, Vec<Task>> {
        self.below.events(id, after, limit)
    }
    fn response<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<ResponseRow>> {
        self.below.response(id)
    }
    fn response_text<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<String>> {
        self.below.response_text(id)
    }
    fn responses<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<ResponseRow>> {
        self.below.responses(task_id)
    }
    fn evaluations<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<EvaluationRow>> {
        self.below.evaluations(task_id)
    }
    fn upload<'a>(&'a self, owner: &'a str, id: &'a str) -> Answer<'a, Option<UploadRow>> {
        self.below.upload(owner, id)
    }
    fn uploads_of<'a>(&'a self, owner: &'a str, sha256: &'a str) -> Answer<'a, Vec<String>> {
        self.below.uploads_of(owner, sha256)
    }
    fn entry<'a>(&'a self, kind: EntryKind, name: &'a str) -> Answer<'a, Option<Entry>> {
        self.below.entry(kind, name)
    }
    fn entries(&self, kind: EntryKind, before_ms: i64, limit: usize) -> Answer<'_, Vec<Entry>> {
        self.below.entries(kind, before_ms, limit)
    }
    fn entries_of<'a>(&'a self, kind: EntryKind, belongs_to: &'a str, limit: usize) -> Answer<'a, Vec<Entry>> {
        self.below.entries_of(kind, belongs_to, limit)
    }
    fn put_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool> {
        self.below.put_entry(entry)
    }
    fn delete_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool> {
        self.below.delete_entry(entry)
    }
    fn key<'a>(&'a self, owner: &'a str, key: &'a str) -> Answer<'a, Option<(String, TaskId)>> {
        self.below.key(owner, key)
    }
    fn miner<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Option<MinerRow>> {
        self.below.miner(miner)
    }
    fn miners(&self) -> Answer<'_, Vec<MinerRow>> {
        self.below.miners()
    }
    fn note_once<'a>(&'a self, request: &'a str, until_ms: i64) -> Answer<'a, bool> {
        self.below.note_once(request, until_ms)
    }
    fn pulse(&self, now_ms: i64) -> Answer<'_, Option<i64>> {
        self.below.pulse(now_ms)
    }
    fn expired(&self, before_ms: i64, now_ms: i64, limit: usize) -> Answer<'_, Expired> {
        self.below.expired(before_ms, now_ms, limit)
    }
    fn erase(&self, expired: Expired) -> Answer<'_, ()> {
        self.below.erase(expired)
    }
    fn is_referenced<'a>(&'a self, sha256: &'a str) -> Answer<'a, bool> {
        self.below.is_referenced(sha256)
    }
    fn secret<'a>(&'a self, name: &'a str, mine: [u8; 32]) -> Answer<'a, [u8; 32]> {
        self.below.secret(name, mine)
    }
    fn close(&self) -> Answer<'_, ()> {
        self.below.close()
    }
}

/// What a rule may be refused with, and what the store may.
#[derive(Debug)]
enum Failed {
    Store(Error),
    Rule(Refusal),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Rule(refusal)
    }
}

fn room(all: usize) -> Room {
    Room { all, of_owner: all }
}

async fn front(records: Arc<dyn TaskStore>) -> Store {
    Store::open(records, &TERMS, 0, Arc::new(Hub::default())).await.unwrap().0
}

fn key() -> IdempotencyKey {
    IdempotencyKey { owner: "ann".to_owned(), key: "k".to_owned(), body_sha256: "b".to_owned() }
}

/// Sends a request again until it is answered, as clients do.
async fn again<T>(mut request: impl AsyncFnMut() -> Result<T, Failed>) -> T {
    for _ in 0..3 {
        match request().await {
            Err(Failed::Store(Error::Unavailable(_))) => {}
            done => return done.unwrap(),
        }
    }
    panic!("the store stays away");
}

/// A task from its making to its answer, every request sent until it is answered.
async fn answered(store: &Store) -> TaskId {
    let miner = Hotkey::from("M1");
    let id = again(async || match store.create(new_task("task_f", "ann", 1, 1, 0), Some(key()), room(10)).await {
        Ok(made) => Ok(made.unwrap().id.clone()),
        Err(Error::Exists(_)) => Ok(store.records().key("ann", "k").await?.unwrap().1),
        Err(error) => Err(error.into()),
    })
    .await;
    again(async || {
        let claimed = store.change(&id, |task, _| {
            let is_held = task.leases().any(|(_, lease)| lease.miner == miner);
            if is_held { Ok(()) } else { task.claim(claim(0, "M1"), 10, &TERMS).map(drop).map_err(Failed::from) }
        });
        claimed.await.map(drop)
    })
    .await;
    let mut n_tries = 0;
    again(async || {
        n_tries += 1;
        let response_id = ResponseId::from(format!("resp_{n_tries}"));
        let submitted = store.change(&id, |task, records| {
            let submit = Submit { response_id: response_id.clone(), digest: "d".to_owned(), checked: Ok(None) };
            let receipt = task.submit(&Holding { slot: 0, token: 1, miner: &miner }, submit, 20)?;
            records.response = receipt.is_new.then(|| response(response_id.as_str(), task, 0, "M1", "hello"));
            Ok::<_, Failed>(())
        });
        submitted.await.map(drop)
    })
    .await;
    id
}

async fn nothing_is_lost_or_doubled(below: &dyn TaskStore, id: &TaskId, why: &str) {
    let task = below.task(id).await.unwrap().unwrap();
    assert_eq!((task.version, task.last_event), (3, 3), "{why}");
    let events: Vec<u64> = below.events(id, 0, 10).await.unwrap().iter().map(|event| event.last_event).collect();
    assert_eq!(events, [1, 2, 3], "{why}");
    let responses = below.responses(id).await.unwrap();
    assert_eq!(responses.len(), 1, "{why}");
    assert_eq!(task.answer.as_ref(), Some(&responses[0].id), "{why}");
    assert_eq!(below.miner(&Hotkey::from("M1")).await.unwrap().unwrap().answered, 1, "{why}");
}

#[tokio::test]
async fn a_lost_reply_or_a_failed_commit_loses_and_doubles_nothing() {
    for point in [Point::BeforeCommit, Point::ReplyLost] {
        for nth in 1..=4 {
            let below: Arc<dyn TaskStore> = Arc::new(Model::default());
            let faulty = Faulty::new(&below, point, nth);
            let store = front(Arc::new(faulty)).await;
            let id = answered(&store).await;
            nothing_is_lost_or_doubled(below.as_ref(), &id, &format!("{point:?} {nth}")).await;
        }
    }
}

/// Two proxies with clocks 30 s apart lend and tick the same tasks: one lease a slot, and versions without gaps.
async fn two_fronts(one: Arc<dyn TaskStore>, two: Arc<dyn TaskStore>) {
    const TASKS: usize = 6;
    for n in 0..TASKS {
        let batch = super::conformance::created(new_task(&format!("task_{n}"), "ann", 1, 2, 0), None);
        one.commit(batch).await.unwrap();
    }
    let fronts = [front(Arc::clone(&one)).await, front(two).await];
    let work = fronts.iter().enumerate().flat_map(|(at, store)| {
        let now_ms = 30_000 * i64::try_from(at).unwrap();
        (0..TASKS).map(move |n| async move {
            let id = TaskId::from(format!("task_{n}"));
            for miner in 0..4 {
                let miner = format!("M{at}{miner}");
                let claimed = store.change(&id, |task, _| {
                    let open = task.slots.iter().find(|slot| slot.state == SlotState::Open).map(|slot| slot.index);
                    match open {
                        Some(slot) => Ok::<_, Failed>(task.claim(claim(slot, &miner), now_ms, &TERMS).is_ok()),
                        None => Ok(false),
                    }
                });
                claimed.await.unwrap();
                // The clock that is ahead ends what the other lent; the token grows, so that nobody is mistaken.
                store.change(&id, |task, _| Ok::<_, Failed>(task.tick(now_ms, &TERMS, &[]))).await.unwrap();
            }
        })
    });
    join_all(work).await;
    for n in 0..TASKS {
        let id = TaskId::from(format!("task_{n}"));
        let task = one.task(&id).await.unwrap().unwrap();
        assert!(task.slots.iter().all(|slot| slot.token == u64::from(slot.attempts)), "a token for every lease");
        let events = one.events(&id, 0, 1_000).await.unwrap();
        let numbers: Vec<u64> = events.iter().map(|event| event.last_event).collect();
        assert_eq!(numbers, (1..=task.last_event).collect::<Vec<_>>());
        let mut version = 0;
        for event in &events {
            assert!(event.version > version, "versions grow with events");
            version = event.version;
            let live: Vec<_> = event.leases().map(|(slot, lease)| (slot.index, lease.miner.clone())).collect();
            assert!(live.len() <= 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_fronts_of_one_store_do_not_lend_a_slot_twice() {
    let below: Arc<dyn TaskStore> = Arc::new(Model::default());
    let shared = || Arc::new(Faulty::new(&below, Point::BeforeCommit, 0));
    two_fronts(shared(), shared()).await;
}

#[cfg(feature = "firebase")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_fronts_of_one_firestore_do_not_lend_a_slot_twice() {
    let (Some(one), Some(two)) = (super::conformance::database("fronts"), super::conformance::database("fronts"))
    else {
        return;
    };
    two_fronts(Arc::new(one), Arc::new(two)).await;
}

#[cfg(feature = "firebase")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_of_firestores_loses_and_doubles_nothing() {
    for nth in 1..=3 {
        let Some(below) = super::conformance::database(&format!("lost-{nth}")) else { return };
        let below: Arc<dyn TaskStore> = Arc::new(below);
        let faulty = Faulty::new(&below, Point::ReplyLost, nth);
        let store = front(Arc::new(faulty)).await;
        let id = answered(&store).await;
        nothing_is_lost_or_doubled(below.as_ref(), &id, &format!("{nth}")).await;
    }
}

#[tokio::test]
async fn a_rule_that_refuses_changes_nothing_and_panics_nobody_else() {
    let store = front(Arc::new(Model::default())).await;
    let id = store.create(new_task("task_r", "ann", 1, 1, 0), None, room(10)).await.unwrap().unwrap().id.clone();
    let before = store.task(&id).await.unwrap().unwrap();
    let refused = store.change(&id, |task, records| {
        records.scores.push((Hotkey::from("M1"), 1.0));
        task.cancel(1)?;
        Err::<(), Failed>(Refusal::LeaseEnded.into())
    });
    assert!(matches!(refused.await, Err(Failed::Rule(Refusal::LeaseEnded))));
    assert_eq!(store.task(&id).await.unwrap().unwrap(), before);
    assert_eq!(store.records().miner(&Hotkey::from("M1")).await.unwrap(), None);
    let nobody = store.change(&TaskId::from("task_x"), |_, _| Ok::<_, Failed>(())).await.unwrap();
    assert!(nobody.is_none());
}

#[tokio::test]
async fn the_limit_on_open_tasks_holds_for_requests_at_the_same_time() {
    let store = front(Arc::new(Model::default())).await;
    let made = join_all((0..9).map(|n| {
        let store = store.clone();
        async move { store.create(new_task(&format!("task_{n}"), "ann", 1, 1, 0), None, room(4)).await.unwrap() }
    }));
    assert_eq!(made.await.iter().flatten().count(), 4);
    assert_eq!(store.board().len(), 4);
}

#[tokio::test]
async fn an_owner_has_its_own_limit_and_room_again_when_a_task_ends() {
    let store = front(Arc::new(Model::default())).await;
    let room = Room { all: 100, of_owner: 2 };
    let make = async |n: usize, owner: &str| {
        store.create(new_task(&format!("task_{owner}{n}"), owner, 1, 1, 0), None, room).await.unwrap()
    };
    let tries = join_all((0..5).map(|n| make(n, "ann"))).await;
    let tasks: Vec<_> = tries.into_iter().flatten().collect();
    assert_eq!((tasks.len(), store.board().open_of("ann")), (2, 2));
    assert!(make(0, "bob").await.is_some(), "others have theirs");
    store.change(&tasks[0].id, |task, _| Ok::<_, Failed>(task.cancel(1)?)).await.unwrap();
    assert_eq!(store.board().open_of("ann"), 1);
    assert!(make(7, "ann").await.is_some());
    assert!(make(8, "ann").await.is_none());
}

#[tokio::test]
async fn a_commit_that_stalls_holds_up_its_task_alone_and_counts_once() {
    let below: Arc<dyn TaskStore> = Arc::new(Model::default());
    let faulty = Arc::new(Faulty::new(&below, Point::Stalls, 5));
    let store = front(Arc::clone(&faulty) as Arc<dyn TaskStore>).await;
    let ids = ["task_0", "task_1", "task_2", "task_3"].map(TaskId::from);
    for id in &ids {
        store.create(new_task(id.as_str(), "ann", 1, 1, 0), None, room(10)).await.unwrap();
    }
    let lend = |id: &TaskId, miner: &'static str| {
        let (store, id) = (store.clone(), id.clone());
        async move {
            let claimed = store.change(&id, |task, _| task.claim(claim(0, miner), 10, &TERMS).map_err(Failed::from));
            claimed.await.map(|changed| changed.is_some())
        }
    };
    let first = tokio::spawn(lend(&ids[0], "M1"));
    while faulty.left.load(Ordering::SeqCst) != 0 {
        tokio::task::yield_now().await;
    }
    // It hangs: other tasks are read and changed, and the same one waits its turn.
    let second = tokio::spawn(lend(&ids[0], "M2"));
    // Two names may share a turn by chance; not three with the same one.
    let others = ids[1..].iter().map(|id| Box::pin(lend(id, "M3")));
    assert!(futures::future::select_all(others).await.0.unwrap());
    assert_eq!(store.task(&ids[0]).await.unwrap().unwrap().version, 1);
    assert!(!first.is_finished() && !second.is_finished());
    faulty.gate.add_permits(1);
    assert!(first.await.unwrap().unwrap());
    assert!(matches!(second.await.unwrap(), Err(Failed::Rule(Refusal::SlotTaken))));
    let task = below.task(&ids[0]).await.unwrap().unwrap();
    assert_eq!((task.version, task.leases().count()), (2, 1));
}

#[tokio::test]
async fn a_full_disk_is_said_and_what_was_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let sqlite = Arc::new(Sqlite::open(&dir.path().join("s.sqlite3")).unwrap());
    let store = front(Arc::clone(&sqlite) as Arc<dyn TaskStore>).await;
    store.create(new_task("task_0", "ann", 1, 1, 0), None, room(1_000)).await.unwrap();
    sqlite.bound_pages(80).await;
    let mut n_made = 1;
    let full = loop {
        match store.create(new_task(&format!("task_{n_made}"), "ann", 1, 8, 0), None, room(1_000)).await {
            Ok(made) => n_made += usize::from(made.is_some()),
            Err(error) => break error,
        }
        assert!(n_made < 1_000, "the disk is never full");
    };
    assert!(matches!(full, Error::Full(_)), "{full}");
    assert_eq!(store.records().open_tasks().await.unwrap().0.len(), n_made, "all that was acknowledged");
    assert_eq!(store.board().len(), n_made, "and nothing else");
    // Room again: work goes on.
    sqlite.bound_pages(1_000_000).await;
    store.create(new_task("task_z", "ann", 1, 1, 0), None, room(1_000)).await.unwrap();
}

#[tokio::test]
async fn a_lock_of_somebody_elses_is_busy_and_no_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.sqlite3");
    let store = front(Arc::new(Sqlite::open(&path).unwrap())).await;
    let backup = rusqlite::Connection::open(&path).unwrap();
    backup.execute_batch("BEGIN IMMEDIATE").unwrap();
    let made = store.create(new_task("task_0", "ann", 1, 1, 0), None, room(10)).await;
    assert!(matches!(made, Err(Error::Busy)), "{made:?}");
    assert_eq!(store.board().len(), 0);
    backup.execute_batch("COMMIT").unwrap();
    assert!(store.create(new_task("task_0", "ann", 1, 1, 0), None, room(10)).await.unwrap().is_some());
}

#[test]
fn a_file_of_the_first_version_is_migrated_with_its_tasks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("old.sqlite3");
    super::sqlite::make_first_version(&path, &new_task("task_0", "ann", 7, 1, 0), 3);
    let refused = Sqlite::open(&path).err().unwrap().to_string();
    assert!(refused.contains("schema 1") && refused.contains("violet proxy migrate"), "{refused}");
    assert_eq!(super::sqlite::migrate(&path).unwrap(), (1, 3));
    assert_eq!(super::sqlite::migrate(&path).unwrap(), (3, 3), "again is nothing");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = Sqlite::open(&path).unwrap();
        let task = store.task(&TaskId::from("task_0")).await.unwrap().unwrap();
        assert_eq!(task.last_event, 3, "its events are counted");
        assert!(store.is_referenced(&task.input.sha256).await.unwrap());
        let numbers: Vec<u64> =
            store.events(&task.id, 0, 10).await.unwrap().iter().map(|event| event.last_event).collect();
        assert_eq!(numbers, [1, 2, 3]);
    });
    let newer = rusqlite::Connection::open(&path).unwrap();
    newer.execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(super::sqlite::migrate(&path).unwrap_err().to_string().contains("use the build that wrote it"));
}
