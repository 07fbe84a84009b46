//! What Firestore answers as a [`TaskStore`].

use futures::FutureExt;

use super::client::{Client, Refused};
use super::query::{self, number, text};
use super::value::{Document, Fields};
use super::writes::entry_path;
use super::{Firestore, is_id, writes};
use crate::proxy::store::{
    Answer, Batch, Entry, EntryKind, Error, EvaluationRow, Expired, Listing, Mark, MinerRow, ResponseRow, TaskStore,
    UploadRow,
};
use crate::subnet::task::{Hotkey, ResponseId, Task, TaskId};

/// Looks at changes that the next one overlaps: the clock that stamps a change may be behind the commit.
const OVERLAP: usize = 10;

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

    fn page(&self, listing: Listing) -> Answer<'_, Vec<Task>> {
        async move {
            let mut values = vec![text(&listing.owner), text(&listing.from), text(&listing.before)];
            values.extend(listing.state.map(|state| text(state.as_str())));
            values.extend(listing.kind.map(|kind| text(kind.as_str())));
            let shape = match (listing.state, listing.kind) {
                (None, None) => query::TASKS_OF_OWNER,
                (Some(_), None) => query::TASKS_BY_STATE,
                (None, Some(_)) => query::TASKS_BY_KIND,
                (Some(_), Some(_)) => query::TASKS_BY_STATE_AND_KIND,
            };
            let (documents, _) = self.client.query("", shape, &values, listing.limit, None).await?;
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
            let row =
                document.map(|document| serde_json::from_str::<UploadRow>(document.text("record"))).transpose()?;
            Ok(row.filter(|row| row.owner == owner))
        }
        .boxed()
    }

    fn uploads_of<'a>(&'a self, owner: &'a str, sha256: &'a str) -> Answer<'a, Vec<String>> {
        async move {
            let (documents, _) = self.client.query_all("", query::UPLOADS_OF_BLOB, &[text(sha256)]).await?;
            let rows = documents.iter().map(|document| Ok(serde_json::from_str(document.text("record"))?));
            let rows: Vec<UploadRow> = rows.collect::<Result<_, Error>>()?;
            Ok(rows.into_iter().filter(|row| row.owner == owner).map(|row| row.id).collect())
        }
        .boxed()
    }

    fn tasks_about<'a>(&'a self, owner: &'a str, sha256: &'a str, limit: usize) -> Answer<'a, Vec<Task>> {
        async move {
            let (mut tasks, _) = self.tasks(query::TASKS_OF_BLOB, &[text(sha256)]).await?;
            tasks.retain(|task| task.owner == owner && task.input.sha256 == sha256);
            tasks.sort_unstable_by(|a, b| b.id.cmp(&a.id));
            tasks.truncate(limit);
            Ok(tasks)
        }
        .boxed()
    }

    fn entry<'a>(&'a self, kind: EntryKind, name: &'a str) -> Answer<'a, Option<Entry>> {
        async move {
            if !is_id(name) {
                return Ok(None);
            }
            Ok(self.client.get(&entry_path(kind, name)).await?.map(|document| entry_of(kind, &document)))
        }
        .boxed()
    }

    fn entries(&self, kind: EntryKind, before_ms: i64, limit: usize) -> Answer<'_, Vec<Entry>> {
        async move {
            let values = [text(kind.as_str()), number(before_ms)];
            let (documents, _) = self.client.query("", query::DUE_ENTRIES, &values, limit, None).await?;
            Ok(documents.iter().map(|document| entry_of(kind, document)).collect())
        }
        .boxed()
    }

    fn entries_of<'a>(&'a self, kind: EntryKind, belongs_to: &'a str, limit: usize) -> Answer<'a, Vec<Entry>> {
        async move {
            let values = [text(kind.as_str()), text(belongs_to)];
            let (documents, _) = self.client.query("", query::ENTRIES_OF, &values, limit, None).await?;
            Ok(documents.iter().map(|document| entry_of(kind, document)).collect())
        }
        .boxed()
    }

    fn put_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool> {
        async move {
            let (path, fields) = (entry_path(entry.kind, &entry.name), writes::entry_fields(entry));
            let write = if entry.version == 1 {
                self.client.create(&path, fields)
            } else {
                let Some(there) = self.entry_at(entry, entry.version - 1).await? else { return Ok(false) };
                self.client.replace(&path, fields, there.update_time())
            };
            applied(self.client.commit(&[write]).await)
        }
        .boxed()
    }

    fn delete_entry<'a>(&'a self, entry: &'a Entry) -> Answer<'a, bool> {
        async move {
            let Some(there) = self.entry_at(entry, entry.version).await? else { return Ok(false) };
            applied(self.client.commit(&[Client::delete_seen(&there)]).await)
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

impl Firestore {
    /// The document of a small record, if it is at this version.
    async fn entry_at(&self, entry: &Entry, version: u64) -> Result<Option<Document>, Error> {
        let document = self.client.get(&entry_path(entry.kind, &entry.name)).await?;
        Ok(document.filter(|document| u64::try_from(document.number("version")) == Ok(version)))
    }
}

fn entry_of(kind: EntryKind, document: &Document) -> Entry {
    Entry {
        kind,
        name: document.text("name").to_owned(),
        belongs_to: document.text("belongs_to").to_owned(),
        due_ms: document.number("due_ms"),
        version: u64::try_from(document.number("version")).unwrap_or_default(),
        record: document.text("record").to_owned(),
    }
}

/// Whether a commit with a precondition held.
fn applied(done: Result<String, Refused>) -> Result<bool, Error> {
    match done {
        Ok(_) => Ok(true),
        Err(Refused::Exists | Refused::Stale) => Ok(false),
        Err(Refused::Failed(error)) => Err(error),
    }
}
