//! What the proxy remembers, behind one trait: [`TaskStore`].
//!
//! A task is one record with a version. Every change of it is one compare-and-set on that version, made by the pure
//! functions of [`crate::subnet::task`] on the newest record that this proxy knows, again on a newer one if somebody was
//! faster ([`Store::change`]). What belongs to a change (its event, a response, scores) is stored with it or not at all.
//! The open tasks as last known are in memory on the [`Board`]; in a store that several proxies share, [`Store::follow`]
//! brings what the others did.

mod board;
#[cfg(test)]
mod conformance;
mod error;
#[cfg(test)]
mod faults;
#[cfg(feature = "firebase")]
pub(crate) mod firestore;
#[cfg(test)]
mod histories;
mod lately;
mod locks;
#[cfg(test)]
mod model;
mod records;
pub(crate) mod sqlite;
mod task_store;

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use tokio_util::sync::CancellationToken;

pub(crate) use board::{Board, Change};
pub(crate) use error::Error;
pub(crate) use lately::Lately;
pub(crate) use locks::Locks;
pub(crate) use records::{
    Batch, Delivery, Entry, EntryKind, EvaluationRow, Expired, IdempotencyKey, Listing, MinerRow, Records, ResponseRow,
    TaskChange, UploadRow,
};
pub(crate) use task_store::{Answer, Mark, TaskStore};

use super::hub::Hub;
use super::{fault, metrics};
use crate::subnet::task::{Hotkey, Task, TaskId, Terms};

/// How often a change is tried again on a newer record before the caller is told to come back.
const ATTEMPTS: u32 = 24;

/// Longest pause before such a try, ms; the first is a 64th of it.
const LONGEST_PAUSE_MS: u64 = 320;

/// How often a proxy looks for what others did in a store that they share.
const LOOK: Duration = Duration::from_millis(500);

/// A store in which nobody was at work for this long gives open tasks their time again, ms.
const AWAY_MS: i64 = 30_000;

/// The open store; cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    records: Arc<dyn TaskStore>,
    board: Board,
    lately: Lately,
    hub: Arc<Hub>,
    /// Changes of one task take turns in this process, so that they meet others' only.
    turns: Arc<Locks>,
    /// Tasks that are being made, counted against the limit on open ones.
    creating: Arc<Mutex<Creating>>,
}

/// How many tasks may be open: in all, and of one owner.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) all: usize,
    pub(crate) of_owner: usize,
}

impl Store {
    /// Reads the open tasks and gives them their time again if nobody was at work. The mark is for [`Self::follow`].
    pub(crate) async fn open(
        records: Arc<dyn TaskStore>,
        terms: &Terms,
        now_ms: i64,
        hub: Arc<Hub>,
    ) -> Result<(Self, Mark), Error> {
        let last_ms = records.pulse(now_ms).await?;
        let (open, mark) = records.open_tasks().await?;
        let board = Board::new(open);
        let store = Self {
            records,
            board,
            lately: Lately::default(),
            hub,
            turns: Arc::new(Locks::default()),
            creating: Arc::default(),
        };
        if last_ms.is_none_or(|last_ms| now_ms - last_ms > AWAY_MS) {
            let mut n_resumed = 0;
            for task in store.board.tasks() {
                let resumed = store.change(&task.id, |task, _| Ok::<_, Error>(task.resume(now_ms, terms))).await?;
                n_resumed += usize::from(resumed.is_some_and(|(_, is_changed)| is_changed));
            }
            if n_resumed > 0 {
                tracing::info!(tasks = n_resumed, "took up the tasks of the last run");
            }
        }
        Ok((store, mark))
    }

    /// What is stored, for reads.
    pub(crate) fn records(&self) -> &dyn TaskStore {
        self.records.as_ref()
    }

    /// The open tasks as last known.
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// How the last tasks went.
    pub(crate) fn lately(&self) -> &Lately {
        &self.lately
    }

    /// The task, open or ended, as it is now.
    pub(crate) async fn task(&self, id: &TaskId) -> Result<Option<Arc<Task>>, Error> {
        match self.board.get(id).filter(|_| !self.records.is_shared()) {
            Some(task) => Ok(Some(task)),
            None => self.load(id).await,
        }
    }

    /// Brings the tasks in which a miner holds a lease to the board, where another proxy may have lent them.
    pub(crate) async fn look_for_leases(&self, miner: &Hotkey) -> Result<(), Error> {
        if self.records.is_shared() {
            self.show(self.records.held(miner).await?.into_iter().map(Arc::new));
        }
        Ok(())
    }

    /// Stores a new task under its key; `None` when a limit on open tasks is reached.
    pub(crate) async fn create(
        &self,
        task: Task,
        key: Option<IdempotencyKey>,
        room: Room,
    ) -> Result<Option<Arc<Task>>, Error> {
        let place = Place::take(&self.creating, &task.owner);
        if self.board.len() + place.n_all > room.all
            || self.board.open_of(&task.owner) + place.n_of_owner > room.of_owner
        {
            return Ok(None);
        }
        let task = Arc::new(Task { last_event: 1, ..task });
        let change = TaskChange { expected: 0, task: Arc::clone(&task), has_event: true };
        let records = Records { key, ..Records::default() };
        self.commit(Batch { task: Some(change), records }).await?;
        Ok(Some(task))
    }

    /// Deletes tasks that ended, and uploads.
    pub(crate) async fn erase(&self, expired: Expired) -> Result<(), Error> {
        self.records.erase(expired).await
    }

    /// Stores a small record, whatever was there under its name.
    pub(crate) async fn set_entry(&self, mut entry: Entry) -> Result<(), Error> {
        for attempt in 0..ATTEMPTS {
            let there = self.records.entry(entry.kind, &entry.name).await?;
            entry.version = 1 + there.map_or(0, |there| there.version);
            if self.records.put_entry(&entry).await? {
                return Ok(());
            }
            pause(attempt).await;
        }
        Err(Error::Busy)
    }

    /// Deletes a small record, however it is now; whether there was one.
    pub(crate) async fn drop_entry(&self, kind: EntryKind, name: &str) -> Result<bool, Error> {
        for attempt in 0..ATTEMPTS {
            let Some(there) = self.records.entry(kind, name).await? else { return Ok(false) };
            if self.records.delete_entry(&there).await? {
                return Ok(true);
            }
            pause(attempt).await;
        }
        Err(Error::Busy)
    }

    /// Stores records that belong to no task.
    pub(crate) async fn put(&self, records: Records) -> Result<(), Error> {
        self.records.commit(Batch { task: None, records }).await
    }

    /// Changes a task by a rule, which may also say what to store with it. The rule runs again if somebody else was
    /// faster, and for nothing if it leaves the version as it is. `None` if there is no such task.
    pub(crate) async fn change<T, E>(
        &self,
        id: &TaskId,
        mut rule: impl FnMut(&mut Task, &mut Records) -> Result<T, E> + Send,
    ) -> Result<Option<(Arc<Task>, T)>, E>
    where
        T: Send,
        E: From<Error> + Send,
    {
        let _turn = self.turns.lock(id.as_str()).await;
        let is_old = self.records.is_shared();
        let mut known = self.board.get(id).map(|task| (task, is_old));
        for attempt in 0..ATTEMPTS {
            let (before, may_be_old) = match known.take() {
                Some(known) => known,
                None => match self.load(id).await? {
                    Some(task) => (task, false),
                    None => return Ok(None),
                },
            };
            let (mut after, mut records) = ((*before).clone(), Records::default());
            let outcome = rule(&mut after, &mut records);
            let is_same = after.version == before.version;
            if may_be_old && (outcome.is_err() || is_same) {
                // Refused, or nothing to do, by a record that another proxy may have changed: look at the store.
                continue;
            }
            let value = outcome?;
            if is_same {
                return Ok(Some((before, value)));
            }
            match self.commit(Batch::of_change(&before, after, records)).await {
                Ok(after) => return Ok(after.map(|after| (after, value))),
                Err(Error::Stale(_) | Error::Exists(_)) => pause(attempt).await,
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Busy.into())
    }

    /// Brings to the board and to those who wait what other proxies did, until `shutdown`. Of no use where the store is
    /// not shared.
    pub(crate) async fn follow(&self, mut mark: Mark, shutdown: CancellationToken) {
        while self.records.is_shared() {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            match self.records.changed(mark.clone()).await {
                Ok((tasks, next)) => {
                    self.show(tasks.into_iter().map(Arc::new));
                    mark = next;
                }
                Err(error) => tracing::warn!(%error, "cannot see what other proxies did; trying again"),
            }
        }
    }

    /// Waits until everything that was sent to the store is done.
    pub(crate) async fn close(&self) {
        if let Err(error) = self.records.close().await {
            tracing::warn!(%error, "the store did not close in order; the log is read at the next start");
        }
    }

    async fn load(&self, id: &TaskId) -> Result<Option<Arc<Task>>, Error> {
        let task = self.records.task(id).await?.map(Arc::new);
        match &task {
            Some(task) => self.show(std::iter::once(Arc::clone(task))),
            // Erased, perhaps by another proxy before this one saw its end.
            None => self.board.forget(id),
        }
        Ok(task)
    }

    async fn commit(&self, batch: Batch) -> Result<Option<Arc<Task>>, Error> {
        let task = batch.task.as_ref().map(|change| Arc::clone(&change.task));
        fault::point("before_commit");
        self.records.commit(batch).await?;
        fault::point("after_commit");
        if let Some(task) = &task {
            metrics::count(task);
            self.show(std::iter::once(Arc::clone(task)));
        }
        Ok(task)
    }

    /// Shows tasks as they are now; older than what is known changes nothing.
    fn show(&self, tasks: impl Iterator<Item = Arc<Task>>) {
        let news = self.board.publish(tasks);
        for change in news.iter().filter(|change| change.task.state.is_final()) {
            self.lately.note(&change.task);
        }
        self.hub.publish(&news);
    }
}

/// A pause that grows with the attempts, of random length so that those who met do not meet again.
fn pause(attempt: u32) -> impl Future<Output = ()> {
    let longest_ms = (LONGEST_PAUSE_MS >> 6_u32.saturating_sub(attempt)).max(1);
    tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..=longest_ms)))
}

/// How many tasks are being made, in all and of whom.
#[derive(Default)]
struct Creating {
    n_all: usize,
    of_owners: HashMap<String, usize>,
}

/// One task that is being made; how many there are with it.
struct Place {
    creating: Arc<Mutex<Creating>>,
    owner: String,
    n_all: usize,
    n_of_owner: usize,
}

impl Place {
    fn take(creating: &Arc<Mutex<Creating>>, owner: &str) -> Self {
        let mut now = creating.lock().unwrap_or_else(PoisonError::into_inner);
        now.n_all += 1;
        let n_of_owner = now.of_owners.entry(owner.to_owned()).or_default();
        *n_of_owner += 1;
        let n_of_owner = *n_of_owner;
        Self { creating: Arc::clone(creating), owner: owner.to_owned(), n_all: now.n_all, n_of_owner }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut now = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        now.n_all -= 1;
        if let Some(n_of_owner) = now.of_owners.get_mut(&self.owner) {
            *n_of_owner -= 1;
            if *n_of_owner == 0 {
                now.of_owners.remove(&self.owner);
            }
        }
    }
}
