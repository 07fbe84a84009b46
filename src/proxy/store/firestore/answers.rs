//! What Firestore answers as a [`TaskStore`].

use futures::FutureExt;

use super::client::Refused;
use super::query::{self, number, text};
use super::value::Fields;
use super::{Firestore, is_id, writes};
use crate::proxy::store::{
    Answer, Batch, Error, EvaluationRow, Expired, Mark, MinerRow, ResponseRow, TaskStore, UploadRow,
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
