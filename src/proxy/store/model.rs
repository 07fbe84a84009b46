//! A store in memory, as plain as can be: what the others are compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use futures::FutureExt;

use super::{
    Answer, Batch, Entry, EntryKind, Error, EvaluationRow, Expired, Listing, Mark, MinerRow, ResponseRow, TaskStore,
    UploadRow,
};
use crate::subnet::task::{Hotkey, ResponseId, Task, TaskId};

#[derive(Clone, Default)]
struct Tables {
    tasks: BTreeMap<TaskId, Task>,
    events: BTreeMap<(TaskId, u64), Task>,
    responses: BTreeMap<ResponseId, ResponseRow>,
    evaluations: BTreeMap<(TaskId, Hotkey), EvaluationRow>,
    uploads: BTreeMap<String, UploadRow>,
    keys: BTreeMap<(String, String), (String, TaskId)>,
    miners: BTreeMap<Hotkey, MinerRow>,
    notes: BTreeSet<String>,
    entries: BTreeMap<(EntryKind, String), Entry>,
}

impl Tables {
    fn put(&mut self, batch: Batch) -> Result<(), Error> {
        let records = batch.records;
        if let Some(change) = batch.task {
            let id = change.task.id.clone();
            match self.tasks.get(&id).map(|task| task.version) {
                None if change.expected > 0 => return Err(Error::Stale(id)),
                Some(version) if change.expected == 0 => return Err(Error::Exists(format!("{id} at {version}"))),
                Some(version) if change.expected != version => return Err(Error::Stale(id)),
                _ => {}
            }
            if change.has_event {
                let mut event = (*change.task).clone();
                event.slots.iter_mut().for_each(|slot| slot.partial = None);
                assert!(self.events.insert((id.clone(), event.last_event), event).is_none(), "an event came twice");
            }
            if let Some(key) = records.key {
                let name = (key.owner, key.key);
                if self.keys.insert(name.clone(), (key.body_sha256, id.clone())).is_some() {
                    return Err(Error::Exists(name.1));
                }
            }
            self.tasks.insert(id, (*change.task).clone());
        }
        if let Some(row) = records.response {
            self.miner(&row.miner).answered += 1;
            if self.responses.insert(row.id.clone(), row.clone()).is_some() {
                return Err(Error::Exists(row.id.as_str().to_owned()));
            }
        }
        if let Some(row) = records.evaluation
            && self.evaluations.insert((row.task_id.clone(), row.validator.clone()), row).is_some()
        {
            return Err(Error::Exists("an evaluation".to_owned()));
        }
        if let Some(row) = records.upload
            && self.uploads.insert(row.id.clone(), row).is_some()
        {
            return Err(Error::Exists("an upload".to_owned()));
        }
        for entry in records.entries {
            if !self.put_entry(&entry) {
                return Err(Error::Exists(entry.name));
            }
        }
        for (miner, score) in records.scores {
            self.miner(&miner).score(score);
        }
        Ok(())
    }

    fn put_entry(&mut self, entry: &Entry) -> bool {
        let name = (entry.kind, entry.name.clone());
        let is_next = self.entries.get(&name).map_or(0, |there| there.version) + 1 == entry.version;
        if is_next {
            self.entries.insert(name, entry.clone());
        }
        is_next
    }

    fn miner(&mut self, miner: &Hotkey) -> &mut MinerRow {
        self.miners.entry(miner.clone()).or_insert_with(|| MinerRow::newcomer(miner.clone()))
    }
}

/// Tables in memory.
#[derive(Default)]
pub(super) struct Model(Mutex<Tables>);

impl Model {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap()
    }

    fn answer<T: Send + 'static>(&self, look: impl FnOnce(&mut Tables) -> T) -> Answer<'_, T> {
        let value = look(&mut self.tables());
        std::future::ready(Ok(value)).boxed()
    }
}

impl TaskStore for Model {
    fn is_shared(&self) -> bool {
        false
    }

    fn commit(&self, batch: Batch) -> Answer<'_, ()> {
        let mut tables = self.tables();
        let mut after = tables.clone();
        let done = after.put(batch);
        if done.is_ok() {
            *tables = after;
        }
        std::future::ready(done).boxed()
    }

    fn task<'a>(&'a self, id: &'a TaskId) -> Answer<'a, Option<Task>> {
        self.answer(|t| t.tasks.get(id).cloned())
    }

    fn open_tasks(&self) -> Answer<'_, (Vec<Task>, Mark)> {
        let open = |t: &mut Tables| t.tasks.values().filter(|task| !task.state.is_final()).cloned().collect();
        self.answer(|t| (open(t), Mark::new()))
    }

    fn changed(&self, since: Mark) -> Answer<'_, (Vec<Task>, Mark)> {
        self.answer(|_| (Vec::new(), since))
    }

    fn held<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Vec<Task>> {
        let holds = |task: &&Task| !task.state.is_final() && task.leases().any(|(_, lease)| &lease.miner == miner);
        self.answer(|t| t.tasks.values().filter(holds).cloned().collect())
    }

    fn page(&self, listing: Listing) -> Answer<'_, Vec<Task>> {
        let is_listed = |task: &&Task| {
            let id = task.id.as_str();
            task.owner == listing.owner
                && (listing.from.as_str()..listing.before.as_str()).contains(&id)
                && listing.state.is_none_or(|state| task.state == state)
                && listing.kind.is_none_or(|kind| task.kind == kind)
        };
        self.answer(|t| t.tasks.values().rev().filter(is_listed).take(listing.limit).cloned().collect())
    }

    fn tasks_about<'a>(&'a self, owner: &'a str, sha256: &'a str, limit: usize) -> Answer<'a, Vec<Task>> {
        let is_about = |task: &&Task| task.owner == owner && task.input.sha256 == sha256;
        self.answer(|t| t.tasks.values().rev().filter(is_about).take(limit).cloned().collect())
    }

    fn events<'a>(&'a self, id: &'a TaskId, after: u64, limit: usize) -> Answer<'a, Vec<Task>> {
        let range = (id.clone(), after.saturating_add(1))..=(id.clone(), u64::MAX);
        self.answer(|t| t.events.range(range).take(limit).map(|(_, task)| task.clone()).collect())
    }

    fn response<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<ResponseRow>> {
        self.answer(|t| t.responses.get(id).cloned())
    }

    fn response_text<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<String>> {
        self.answer(|t| t.responses.get(id).map(|row| row.text.clone()))
    }

    fn responses<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<ResponseRow>> {
        self.answer(|t| {
            let mut rows: Vec<_> = t.responses.values().filter(|row| &row.task_id == task_id).cloned().collect();
            rows.sort_by_key(|row| row.slot);
            rows
        })
    }

    fn evaluations<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<EvaluationRow>> {
        self.answer(|t| t.evaluations.values().filter(|row| &row.task_id == task_id).cloned().collect())
    }

    fn upload<'a>(&'a self, owner: &'a str, id: &'a str) -> Answer<'a, Option<UploadRow>> {
        self.answer(|t| t.uploads.get(id).filter(|row| row.owner == owner).cloned())
    }

    fn uploads_of<'a>(&'a self, owner: &'a str, sha256: &'a str) -> Answer<'a, Vec<String>> {
        let is_of = |row: &&UploadRow| row.owner == owner && row.sha256 == sha256;
        self.answer(|t| t.uploads.values().filter(is_of).map(|row| row.id.clone()).collect())
    }

    fn entry<'a>(&'a self, kind: EntryKind, name: &'a str) -> Answer<'a, Option<Entry>> {
        self.answer(|t| t.entries.get(&(kind, name.to_owned())).cloned())
    }

    fn entries(&self, kind: EntryKind, before_ms: i64, limit: usize) -> Answer<'_, Vec<Entry>> {
        self.answer(|t| {
            let mut due: Vec<Entry> =
                t.entries.values().filter(|entry| entry.kind == kind && entry.due_ms < before_ms).cloned().collect();
            due.sort_by_key(|entry| entry.due_ms);
            due.truncate(limit);
            due
        })
    }

    fn entries_of<'a>(&'a self, kind: EntryKind, belongs_to: &'a str, limit: usize) -> Answer<'a, Vec<Entry>> {
        let is_of = |entry: &&Entry| entry.kind == kind && entry.belongs_to == belongs_to;
        self.answer(|t| t.entries.values().filter(is_of).take(limit).cloned().collect())
    }

    fn put_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool> {
        self.answer(|t| t.put_entry(entry))
    }

    fn delete_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool> {
        let name = (entry.kind, entry.name.clone());
        self.answer(|t| {
            let is_same = t.entries.get(&name).is_some_and(|there| there.version == entry.version);
            is_same && t.entries.remove(&name).is_some()
        })
    }

    fn key<'a>(&'a self, owner: &'a str, key: &'a str) -> Answer<'a, Option<(String, TaskId)>> {
        self.answer(|t| t.keys.get(&(owner.to_owned(), key.to_owned())).cloned())
    }

    fn miner<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Option<MinerRow>> {
        self.answer(|t| t.miners.get(miner).cloned())
    }

    fn miners(&self) -> Answer<'_, Vec<MinerRow>> {
        self.answer(|t| t.miners.values().cloned().collect())
    }

    fn note_once<'a>(&'a self, request: &'a str, _: i64) -> Answer<'a, bool> {
        self.answer(|t| t.notes.insert(request.to_owned()))
    }

    fn pulse(&self, _: i64) -> Answer<'_, Option<i64>> {
        self.answer(|_| None)
    }

    fn expired(&self, before_ms: i64, _: i64, limit: usize) -> Answer<'_, Expired> {
        self.answer(|t| {
            let tasks = t.tasks.values().filter(|task| task.state.is_final() && task.updated_at_ms < before_ms);
            let uploads = t.uploads.values().filter(|row| row.created_at_ms < before_ms);
            Expired {
                tasks: tasks.take(limit).map(|task| task.id.clone()).collect(),
                uploads: uploads.take(limit).map(|row| row.id.clone()).collect(),
                notes: Vec::new(),
            }
        })
    }

    fn erase(&self, expired: Expired) -> Answer<'_, ()> {
        self.answer(|t| {
            for id in &expired.tasks {
                if t.tasks.get(id).is_none_or(|task| !task.state.is_final()) {
                    continue;
                }
                t.tasks.remove(id);
                t.events.retain(|(task, _), _| task != id);
                t.responses.retain(|_, row| &row.task_id != id);
                t.evaluations.retain(|(task, _), _| task != id);
                t.keys.retain(|_, (_, task)| task != id);
                let is_of = |entry: &Entry| entry.kind == EntryKind::Delivery && entry.belongs_to == id.as_str();
                t.entries.retain(|_, entry| !is_of(entry));
            }
            t.uploads.retain(|id, _| !expired.uploads.contains(id));
        })
    }

    fn is_referenced<'a>(&'a self, sha256: &'a str) -> Answer<'a, bool> {
        self.answer(|t| {
            t.tasks.values().any(|task| task.blobs().any(|blob| blob == sha256))
                || t.uploads.values().any(|row| row.sha256 == sha256)
        })
    }

    fn secret<'a>(&'a self, _: &'a str, mine: [u8; 32]) -> Answer<'a, [u8; 32]> {
        self.answer(|_| mine)
    }

    fn close(&self) -> Answer<'_, ()> {
        self.answer(|_| ())
    }
}
