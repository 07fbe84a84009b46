//! Firestore, shared by several proxies: one document per task, changed by compare-and-set on its `updateTime`.
//!
//! No transaction is ever opened: what to do is found by a query, and one commit with preconditions does it or does not.
//! A task's record, its event, its response and what it says of miners are one commit. Documents carry `expire_at` for
//! TTL policies; the sweep deletes what no policy did. `views` is what a user's own program may listen to
//! (`firestore.rules`): the records hold leases, and scores before their reveal.

mod client;
mod query;
mod value;
mod writes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;

use super::{
    Answer, Batch, Error, EvaluationRow, Expired, Mark, MinerRow, ResponseRow, TaskStore, UploadRow,
};
use crate::proxy::google::{Google, rfc3339};
use crate::subnet::task::{Hotkey, ResponseId, Task, TaskId};
use client::{Client, Refused};
use query::{number, text};
use value::{Document, Fields};

/// Version of the documents.
const SCHEMA: i64 = 1;

/// How often a commit is made again because a miner's document, not the task, was changed meanwhile.
const TRIES: usize = 16;

/// Looks at changes that the next one overlaps: the clock that stamps a change may be behind the commit.
const OVERLAP: usize = 10;

/// Write times that are remembered, so that a change of a known task needs no read.
const KNOWN: usize = 100_000;

/// Writes of one commit.
const WRITES: usize = 400;

/// The Firestore database of a project.
pub(crate) struct Firestore {
    client: Client,
    /// How long documents are kept for TTL policies, ms.
    retention_ms: i64,
    /// Version and write time of tasks as last seen.
    known: Mutex<HashMap<TaskId, (u64, String)>>,
}

impl Firestore {
    /// The database of a project, or of an emulator's.
    pub(crate) fn new(google: Arc<Google>, project: &str, emulator: Option<&str>, retention_ms: i64) -> Self {
        Self { client: Client::new(google, project, emulator), retention_ms, known: Mutex::default() }
    }

    /// Looks at the documents' version; an empty database gets this build's.
    pub(crate) async fn open(&self) -> Result<(), Error> {
        let got = self.version().await?;
        if got == SCHEMA {
            return Ok(());
        }
        let advice = if got < SCHEMA { "run `violet proxy migrate`" } else { "use the build that wrote it" };
        Err(Error::Schema { store: format!("firestore:{}", self.client.project()), got, expected: SCHEMA, advice })
    }

    /// The documents' version, which is written where there is none.
    pub(crate) async fn version(&self) -> Result<i64, Error> {
        loop {
            if let Some(document) = self.client.get("proxy/schema").await? {
                return Ok(document.number("version"));
            }
            let write = self.client.create("proxy/schema", Fields::default().number("version", SCHEMA));
            match self.client.commit(&[write]).await {
                Ok(_) | Err(Refused::Exists | Refused::Stale) => {}
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<TaskId, (u64, String)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The task of a document; when it was written is remembered.
    fn task_of(&self, document: &Document) -> Result<Task, Error> {
        let task: Task = serde_json::from_str(document.text("record"))?;
        self.remember(&task, document.update_time());
        Ok(task)
    }

    fn remember(&self, task: &Task, update_time: &str) {
        let mut known = self.known();
        if task.state.is_final() {
            known.remove(&task.id);
            return;
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(task.id.clone(), (task.version, update_time.to_owned()));
    }

    /// The write time of the task at this version; `None` when it is at another.
    async fn written_at(&self, id: &TaskId, version: u64) -> Result<Option<String>, Error> {
        if let Some((known, update_time)) = self.known().get(id)
            && *known == version
        {
            return Ok(Some(update_time.clone()));
        }
        self.look(id, version).await
    }

    /// The same, not by memory.
    async fn look(&self, id: &TaskId, version: u64) -> Result<Option<String>, Error> {
        let document = self.client.get(&format!("tasks/{id}")).await?;
        let is_same = |document: &Document| u64::try_from(document.number("version")) == Ok(version);
        Ok(document.filter(is_same).map(|document| document.update_time().to_owned()))
    }

    async fn tasks(&self, shape: query::Shape, values: &[serde_json::Value]) -> Result<(Vec<Task>, String), Error> {
        let (documents, read_time) = self.client.query_all("", shape, values).await?;
        let tasks = documents.iter().map(|document| self.task_of(document)).collect::<Result<_, _>>()?;
        Ok((tasks, read_time))
    }

    async fn put(&self, batch: &Batch) -> Result<(), Error> {
        let Batch { task: change, records } = batch;
        for _ in 0..TRIES {
            let update_time = match change.as_ref().filter(|change| change.expected > 0) {
                None => None,
                Some(change) => match self.written_at(&change.task.id, change.expected).await? {
                    Some(update_time) => Some(update_time),
                    None => return Err(Error::Stale(change.task.id.clone())),
                },
            };
            let miners = self.miner_writes(records).await?;
            let mut writes = writes::of_batch(&self.client, batch, update_time.as_deref(), self.retention_ms)?;
            writes.extend(miners);
            match self.client.commit(&writes).await {
                Ok(commit_time) => {
                    if let Some(change) = change {
                        self.remember(&change.task, &commit_time);
                    }
                    return Ok(());
                }
                Err(Refused::Exists) => return Err(Error::Exists(name_of(batch))),
                Err(Refused::Failed(error)) => return Err(error),
                Err(Refused::Stale) => {
                    // Either the task was changed, or only a miner whose scores this would change.
                    if let Some(change) = change {
                        self.known().remove(&change.task.id);
                        if change.expected > 0 && self.look(&change.task.id, change.expected).await?.is_none() {
                            return Err(Error::Stale(change.task.id.clone()));
                        }
                    }
                }
            }
        }
        Err(Error::Busy)
    }

    async fn response_of(&self, id: &ResponseId) -> Result<Option<ResponseRow>, Error> {
        if !is_id(id.as_str()) {
            return Ok(None);
        }
        match self.client.get(&format!("responses/{id}")).await? {
            Some(document) => self.whole_response(&document).await.map(Some),
            None => Ok(None),
        }
    }

    async fn whole_response(&self, document: &Document) -> Result<ResponseRow, Error> {
        let mut row: ResponseRow = serde_json::from_str(document.text("record"))?;
        let below = format!("responses/{}", document.id());
        if document.number("n_parts") > 0 {
            let (parts, _) = self.client.query_all(&below, query::PARTS, &[number(-1)]).await?;
            let payload: String = parts.iter().map(|part| part.text("text")).collect();
            (row.text, row.result) = serde_json::from_str(&payload)?;
        } else {
            (row.text, row.result) = (document.text("text").to_owned(), document.text("result").to_owned());
        }
        Ok(row)
    }

    /// Deletes a task that ended with all that belongs to it, the task last.
    async fn erase_task(&self, id: &TaskId) -> Result<(), Error> {
        let path = format!("tasks/{id}");
        if self.client.get(&path).await?.is_none_or(|task| task.flag("is_open")) {
            return Ok(());
        }
        let mut names = Vec::new();
        let mut take = |documents: Vec<Document>| names.extend(documents.iter().map(|d| d.name().to_owned()));
        for response in self.client.query_all("", query::RESPONSES, &[text(id.as_str())]).await?.0 {
            let below = format!("responses/{}", response.id());
            if response.number("n_parts") > 0 {
                take(self.client.query_all(&below, query::PARTS, &[number(-1)]).await?.0);
            }
            take(vec![response]);
        }
        take(self.client.query_all("", query::EVALUATIONS, &[text(id.as_str())]).await?.0);
        take(self.client.query_all("", query::KEYS, &[text(id.as_str())]).await?.0);
        take(self.client.query_all(&path, query::EVENTS, &[number(0)]).await?.0);
        names.push(self.client.name(&format!("views/{id}")));
        names.push(self.client.name(&path));
        self.delete(&names).await
    }

    async fn delete(&self, names: &[String]) -> Result<(), Error> {
        for names in names.chunks(WRITES) {
            let writes: Vec<_> = names.iter().map(|name| Client::delete(name)).collect();
            match self.client.commit(&writes).await {
                Ok(_) | Err(Refused::Stale | Refused::Exists) => {}
                Err(Refused::Failed(error)) => return Err(error),
            }
        }
        Ok(())
    }

    async fn erase_all(&self, expired: Expired) -> Result<(), Error> {
        for id in &expired.tasks {
            self.erase_task(id).await?;
        }
        let uploads = expired.uploads.iter().map(|id| self.client.name(&format!("uploads/{id}")));
        let notes = expired.notes.iter().map(|id| self.client.name(&format!("notes/{id}")));
        self.delete(&uploads.chain(notes).collect::<Vec<_>>()).await
    }
}

/// What a refusal is about: the first thing that must not be there.
fn name_of(batch: &Batch) -> String {
    let records = &batch.records;
    let named = records.key.as_ref().map(|key| key.key.clone());
    let named = named.or_else(|| records.response.as_ref().map(|row| row.id.as_str().to_owned()));
    let named = named.or_else(|| records.evaluation.as_ref().map(|row| row.validator.as_str().to_owned()));
    let named = named.or_else(|| records.upload.as_ref().map(|row| row.id.clone()));
    named.or_else(|| batch.task.as_ref().map(|change| change.task.id.as_str().to_owned())).unwrap_or_default()
}

/// Whether a text can be part of a document's path; names that the proxy gives always can.
fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

impl TaskStore for Firestore {
    fn is_shared(&self) -> bool {
        true
    }

    fn commit(&self, batch: Batch) -> Answer<'_, ()> {
        async move { self.put(&batch).await }.boxed()
    }

    fn task<'a>(&'a self, id: &'a TaskId) -> Answer<'a, Option<Task>> {
        async move {
            if !is_id(id.as_str()) {
                return Ok(None);
            }
            let document = self.client.get(&format!("tasks/{id}")).await?;
            document.map(|document| self.task_of(&document)).transpose()
        }
        .boxed()
    }

    fn open_tasks(&self) -> Answer<'_, (Vec<Task>, Mark)> {
        let is_open = serde_json::json!({"booleanValue": true});
        async move { self.tasks(query::OPEN_TASKS, &[is_open]).await }.boxed()
    }

    fn changed(&self, since: Mark) -> Answer<'_, (Vec<Task>, Mark)> {
        async move {
            // The times of the last looks, oldest first: the next one begins where the oldest looked.
            let mut looks: Vec<&str> = since.split(' ').filter(|time| !time.is_empty()).collect();
            let oldest = looks.first().copied().unwrap_or("1970-01-01T00:00:00Z");
            let from = serde_json::json!({"timestampValue": oldest});
            let (tasks, now) = self.tasks(query::CHANGED_TASKS, &[from]).await?;
            looks.push(&now);
            let from = looks.len().saturating_sub(OVERLAP);
            Ok((tasks, looks[from..].join(" ")))
        }
        .boxed()
    }

    fn held<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Vec<Task>> {
        async move { Ok(self.tasks(query::HELD_TASKS, &[text(miner.as_str())]).await?.0) }.boxed()
    }

    fn page<'a>(&'a self, owner: &'a str, limit: usize, after: Option<&'a str>) -> Answer<'a, Vec<Task>> {
        async move {
            let (shape, values) = match after {
                Some(after) => (query::TASKS_OF_OWNER_BEFORE, vec![text(owner), text(after)]),
                None => (query::TASKS_OF_OWNER, vec![text(owner)]),
            };
            let (documents, _) = self.client.query("", shape, &values, limit, None).await?;
            documents.iter().map(|document| self.task_of(document)).collect()
        }
        .boxed()
    }

    fn events<'a>(&'a self, id: &'a TaskId, after: u64, limit: usize) -> Answer<'a, Vec<Task>> {
        async move {
            if !is_id(id.as_str()) {
                return Ok(Vec::new());
            }
            let after = number(i64::try_from(after).unwrap_or(i64::MAX));
            let (documents, _) =
                self.client.query(&format!("tasks/{id}"), query::EVENTS, &[after], limit, None).await?;
            documents.iter().map(|document| Ok(serde_json::from_str(document.text("record"))?)).collect()
        }
        .boxed()
    }

    fn response<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<ResponseRow>> {
        self.response_of(id).boxed()
    }

    fn response_text<'a>(&'a self, id: &'a ResponseId) -> Answer<'a, Option<String>> {
        async move { Ok(self.response_of(id).await?.map(|row| row.text)) }.boxed()
    }

    fn responses<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<ResponseRow>> {
        async move {
            let (documents, _) = self.client.query_all("", query::RESPONSES, &[text(task_id.as_str())]).await?;
            let mut rows = Vec::with_capacity(documents.len());
            for document in &documents {
                rows.push(self.whole_response(document).await?);
            }
            rows.sort_by_key(|row| row.slot);
            Ok(rows)
        }
        .boxed()
    }

    #[cfg(test)]
    fn evaluations<'a>(&'a self, task_id: &'a TaskId) -> Answer<'a, Vec<EvaluationRow>> {
        async move {
            let (documents, _) = self.client.query_all("", query::EVALUATIONS, &[text(task_id.as_str())]).await?;
            let rows = documents.iter().map(|document| Ok(serde_json::from_str(document.text("record"))?));
            let mut rows: Vec<EvaluationRow> = rows.collect::<Result<_, Error>>()?;
            rows.sort_by(|a, b| a.validator.cmp(&b.validator));
            Ok(rows)
        }
        .boxed()
    }

    fn upload<'a>(&'a self, owner: &'a str, id: &'a str) -> Answer<'a, Option<UploadRow>> {
        async move {
            if !is_id(id) {
                return Ok(None);
            }
            let document = self.client.get(&format!("uploads/{id}")).await?;
            let row = document.map(|document| serde_json::from_str::<UploadRow>(document.text("record"))).transpose()?;
            Ok(row.filter(|row| row.owner == owner))
        }
        .boxed()
    }

    fn key<'a>(&'a self, owner: &'a str, key: &'a str) -> Answer<'a, Option<(String, TaskId)>> {
        async move {
            let document = self.client.get(&writes::key_path(owner, key)).await?;
            Ok(document.map(|d| (d.text("body_sha256").to_owned(), TaskId::from(d.text("task_id")))))
        }
        .boxed()
    }

    fn miner<'a>(&'a self, miner: &'a Hotkey) -> Answer<'a, Option<MinerRow>> {
        async move {
            if !is_id(miner.as_str()) {
                return Ok(None);
            }
            Ok(self.client.get(&format!("miners/{miner}")).await?.as_ref().map(writes::miner_of))
        }
        .boxed()
    }

    fn miners(&self) -> Answer<'_, Vec<MinerRow>> {
        async move {
            let (documents, _) = self.client.query_all("", query::MINERS, &[]).await?;
            Ok(documents.iter().map(writes::miner_of).collect())
        }
        .boxed()
    }

    fn note_once<'a>(&'a self, request: &'a str, until_ms: i64) -> Answer<'a, bool> {
        async move {
            let fields = Fields::default().number("until_ms", until_ms).time("expire_at", until_ms);
            match self.client.commit(&[self.client.create(&format!("notes/{request}"), fields)]).await {
                Ok(_) => Ok(true),
                Err(Refused::Exists | Refused::Stale) => Ok(false),
                Err(Refused::Failed(error)) => Err(error),
            }
        }
        .boxed()
    }

    fn pulse(&self, now_ms: i64) -> Answer<'_, Option<i64>> {
        async move {
            let last = self.client.get("proxy/pulse").await?.map(|document| document.number("at_ms"));
            let at_ms = last.unwrap_or(now_ms).max(now_ms);
            let write = self.client.set("proxy/pulse", Fields::default().number("at_ms", at_ms));
            match self.client.commit(&[write]).await {
                Ok(_) => Ok(last),
                Err(Refused::Failed(error)) => Err(error),
                Err(Refused::Exists | Refused::Stale) => Err(Error::Busy),
            }
        }
        .boxed()
    }

    fn expired(&self, before_ms: i64, now_ms: i64, limit: usize) -> Answer<'_, Expired> {
        async move {
            let ids = async |shape, before_ms| -> Result<Vec<String>, Error> {
                let (documents, _) = self.client.query("", shape, &[number(before_ms)], limit, None).await?;
                Ok(documents.iter().map(|document| document.id().to_owned()).collect())
            };
            let tasks = ids(query::ENDED_TASKS, before_ms).await?.into_iter().map(TaskId::from).collect();
            let uploads = ids(query::OLD_UPLOADS, before_ms).await?;
            Ok(Expired { tasks, uploads, notes: ids(query::OLD_NOTES, now_ms).await? })
        }
        .boxed()
    }

    fn erase(&self, expired: Expired) -> Answer<'_, ()> {
        self.erase_all(expired).boxed()
    }

    fn is_referenced<'a>(&'a self, sha256: &'a str) -> Answer<'a, bool> {
        async move {
            for shape in [query::TASKS_OF_BLOB, query::UPLOADS_OF_BLOB] {
                if !self.client.query("", shape, &[text(sha256)], 1, None).await?.0.is_empty() {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        .boxed()
    }

    fn secret<'a>(&'a self, name: &'a str, mine: [u8; 32]) -> Answer<'a, [u8; 32]> {
        async move {
            let path = format!("proxy/secret_{name}");
            let write = self.client.create(&path, Fields::default().text("hex", &hex::encode(mine)));
            match self.client.commit(&[write]).await {
                Ok(_) => return Ok(mine),
                Err(Refused::Exists | Refused::Stale) => {}
                Err(Refused::Failed(error)) => return Err(error),
            }
            let mut theirs = [0; 32];
            let there = self.client.get(&path).await?;
            let read = there.and_then(|document| hex::decode_to_slice(document.text("hex"), &mut theirs).ok());
            read.map(|()| theirs).ok_or_else(|| Error::fault(format!("{path} is not a secret of 32 bytes")))
        }
        .boxed()
    }

    fn close(&self) -> Answer<'_, ()> {
        std::future::ready(Ok(())).boxed()
    }
}
