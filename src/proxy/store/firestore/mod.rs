//! Firestore, shared by several proxies: one document per task, changed by compare-and-set on its `updateTime`.
//!
//! No transaction is ever opened: what to do is found by a query, and one commit with preconditions does it or does not.
//! A task's record, its event, its response and what it says of miners are one commit. Documents carry `expire_at` for
//! TTL policies; the sweep deletes what no policy did. `views` is what a user's own program may listen to
//! (`firestore.rules`): the records hold leases, and scores before their reveal.

mod answers;
mod client;
mod query;
#[cfg(test)]
mod rules_test;
mod value;
mod writes;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Batch, Error, Expired, ResponseRow};
use crate::proxy::google::{Google, rfc3339};
use crate::subnet::task::{ResponseId, Task, TaskId};
use client::{Client, Refused};
use query::{number, text};
use value::{Document, Fields};

/// Version of the documents.
const SCHEMA: i64 = 1;

/// How often a commit is made again because a miner's document, not the task, was changed meanwhile.
const TRIES: usize = 16;

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
                Ok(update_time) => {
                    if let Some(change) = change {
                        // The task's is the first of the writes.
                        self.remember(&change.task, &update_time);
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
            let cut = usize::try_from(document.number("text_bytes")).ok().and_then(|at| payload.split_at_checked(at));
            let (text, result) = cut.ok_or_else(|| Error::fault(format!("{below} is not whole")))?;
            (row.text, row.result) = (text.to_owned(), result.to_owned());
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
        let deliveries = [text(super::EntryKind::Delivery.as_str()), text(id.as_str())];
        take(self.client.query_all("", query::ENTRIES_OF, &deliveries).await?.0);
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
