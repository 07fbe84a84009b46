//! One command's view of the running transaction.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusqlite::{Connection, params};

use super::{Error, EvaluationRow, IdempotencyKey, ResponseRow, UploadRow, rows};
use crate::subnet::assign::{NEWCOMER_QUALITY, updated_quality};
use crate::subnet::consensus::ACCEPTED_FROM;
use crate::subnet::task::{Hotkey, SlotState, Task, TaskId};

/// A task that changed, to be shown once it is committed.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    /// The task as it is now.
    pub(crate) task: Arc<Task>,
    /// Number of its `state` event; absent when only progress or a lease's end changed.
    pub(crate) event: Option<u64>,
}

/// How to take back one change of the open tasks.
pub(super) struct Undo {
    id: TaskId,
    before: Option<Arc<Task>>,
}

impl Undo {
    /// Takes back these changes, the newest first.
    pub(super) fn all(undo: Vec<Self>, open: &mut BTreeMap<TaskId, Arc<Task>>) {
        for Self { id, before } in undo.into_iter().rev() {
            match before {
                Some(task) => open.insert(id, task),
                None => open.remove(&id),
            };
        }
    }
}

/// One command's view of the running transaction.
pub(crate) struct Tx<'a> {
    sql: &'a Connection,
    open: &'a mut BTreeMap<TaskId, Arc<Task>>,
    undo: &'a mut Vec<Undo>,
    changes: &'a mut Vec<Change>,
    first_undo: usize,
    first_change: usize,
}

impl<'a> Tx<'a> {
    pub(super) fn new(
        sql: &'a Connection,
        open: &'a mut BTreeMap<TaskId, Arc<Task>>,
        undo: &'a mut Vec<Undo>,
        changes: &'a mut Vec<Change>,
    ) -> Self {
        let (first_undo, first_change) = (undo.len(), changes.len());
        Self { sql, open, undo, changes, first_undo, first_change }
    }

    /// The connection, for reads.
    pub(crate) fn sql(&self) -> &Connection {
        self.sql
    }

    /// The open tasks, oldest first.
    pub(crate) fn open_tasks(&self) -> impl ExactSizeIterator<Item = &Arc<Task>> + Clone {
        self.open.values()
    }

    /// The task, open or ended.
    pub(crate) fn task(&self, id: &TaskId) -> Result<Option<Arc<Task>>, Error> {
        match self.open.get(id) {
            Some(task) => Ok(Some(Arc::clone(task))),
            None => Ok(rows::task(self.sql, id)?.map(Arc::new)),
        }
    }

    /// Stores a new task.
    pub(crate) fn create(&mut self, task: Task) -> Result<(), Error> {
        let mut statement = self.sql.prepare_cached(
            "INSERT INTO tasks (id, version, state, is_open, owner, input_sha256, created_at_ms, updated_at_ms, record)
             VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?6, ?7)",
        )?;
        statement.execute(params![
            task.id.as_str(),
            task.version,
            task.state.as_str(),
            task.owner,
            task.input.sha256,
            task.created_at_ms,
            serde_json::to_string(&task)?,
        ])?;
        let event = self.put_event(&task)?;
        self.show(task, Some(event));
        Ok(())
    }

    /// Stores a changed task if it is still the one that was read.
    pub(crate) fn update(&mut self, before: &Task, after: Task, now_ms: i64) -> Result<(), Error> {
        if after.version == before.version {
            return Ok(());
        }
        let mut statement = self.sql.prepare_cached(
            "UPDATE tasks SET version = ?3, state = ?4, is_open = ?5, updated_at_ms = ?6, record = ?7
             WHERE id = ?1 AND version = ?2",
        )?;
        let n_changed = statement.execute(params![
            before.id.as_str(),
            before.version,
            after.version,
            after.state.as_str(),
            !after.state.is_final(),
            now_ms,
            serde_json::to_string(&after)?,
        ])?;
        if n_changed != 1 {
            return Err(Error::Stale(before.id.clone()));
        }
        if before.verdict.is_none() && after.verdict.as_ref().is_some_and(|verdict| verdict.quorum) {
            self.credit_miners(&after)?;
        }
        let event = if is_visible(before, &after) { Some(self.put_event(&after)?) } else { None };
        self.show(after, event);
        Ok(())
    }

    /// Stores a response that is not there yet.
    pub(crate) fn put_response(&mut self, row: &ResponseRow) -> Result<(), Error> {
        rows::put_response(self.sql, row)?;
        self.sql
            .prepare_cached(
                "INSERT INTO miners (hotkey, quality, answered, accepted) VALUES (?1, ?2, 1, 0)
                 ON CONFLICT (hotkey) DO UPDATE SET answered = answered + 1",
            )?
            .execute(params![row.miner.as_str(), NEWCOMER_QUALITY])?;
        Ok(())
    }

    /// Stores a validator's scores that are not there yet.
    pub(crate) fn put_evaluation(&mut self, row: &EvaluationRow) -> Result<(), Error> {
        rows::put_evaluation(self.sql, row)
    }

    /// Stores an upload.
    pub(crate) fn put_upload(&mut self, row: &UploadRow) -> Result<(), Error> {
        rows::put_upload(self.sql, row)
    }

    /// Remembers the task of a request.
    pub(crate) fn put_idempotent(&mut self, key: &IdempotencyKey, id: &TaskId, now_ms: i64) -> Result<(), Error> {
        rows::put_idempotent(self.sql, key, id, now_ms)
    }

    /// A miner's proven quality, 0 to 1.
    pub(crate) fn quality(&self, miner: &Hotkey) -> Result<f64, Error> {
        rows::quality(self.sql, miner)
    }

    /// Lets one more score, 0 to 1, count for a miner.
    pub(crate) fn score_miner(&mut self, miner: &Hotkey, score: f64) -> Result<(), Error> {
        let quality = updated_quality(self.quality(miner)?, score);
        let accepted = i64::from(score >= ACCEPTED_FROM);
        self.sql
            .prepare_cached(
                "INSERT INTO miners (hotkey, quality, answered, accepted) VALUES (?1, ?2, 0, ?3)
                 ON CONFLICT (hotkey) DO UPDATE SET quality = ?2, accepted = accepted + ?3",
            )?
            .execute(params![miner.as_str(), quality, accepted])?;
        Ok(())
    }

    fn credit_miners(&mut self, task: &Task) -> Result<(), Error> {
        let Some(verdict) = &task.verdict else { return Ok(()) };
        for submission in task.submissions() {
            if let Some(&score) = verdict.scores.get(&submission.response_id) {
                self.score_miner(&submission.miner, score)?;
            }
        }
        Ok(())
    }

    fn put_event(&mut self, task: &Task) -> Result<u64, Error> {
        let mut record = task.clone();
        record.slots.iter_mut().for_each(|slot| slot.partial = None);
        let record = serde_json::to_string(&record)?;
        rows::put_event(self.sql, &task.id, &record)
    }

    fn show(&mut self, task: Task, event: Option<u64>) {
        let task = Arc::new(task);
        let id = task.id.clone();
        let before =
            if task.state.is_final() { self.open.remove(&id) } else { self.open.insert(id.clone(), Arc::clone(&task)) };
        self.undo.push(Undo { id, before });
        self.changes.push(Change { task, event });
    }

    pub(super) fn begin(&mut self) -> Result<(), Error> {
        Ok(self.sql.execute_batch("SAVEPOINT command")?)
    }

    pub(super) fn release(&mut self) -> Result<(), Error> {
        Ok(self.sql.execute_batch("RELEASE command")?)
    }

    pub(super) fn roll_back(&mut self) -> Result<(), Error> {
        Undo::all(self.undo.split_off(self.first_undo), self.open);
        self.changes.truncate(self.first_change);
        Ok(self.sql.execute_batch("ROLLBACK TO command; RELEASE command")?)
    }
}

/// Whether a user sees the difference as another state of the task.
fn is_visible(before: &Task, after: &Task) -> bool {
    let slots = |task: &Task| task.slots.iter().map(|slot| slot.state).collect::<Vec<SlotState>>();
    before.state != after.state
        || before.answer != after.answer
        || before.verdict.is_some() != after.verdict.is_some()
        || slots(before) != slots(after)
}
