//! What a batch is as writes of one commit.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::records::event_record;
use super::super::{Batch, Entry, EntryKind, Error, MinerRow, Records, ResponseRow, TaskChange};
use super::client::{Client, stamped};
use super::value::{Document, Fields};
use super::{Firestore, is_id};
use crate::subnet::task::{Hotkey, Task};

/// Longest text of a response inside its document, bytes; a document may have 1 MiB. More is cut into parts of the same
/// commit, which may have 10 MiB: more than twice what the proxy takes of a miner.
const INLINE_BYTES: usize = 900_000;

/// How much longer than a task's retention its other documents are kept, ms: they are as old as its beginning.
const SLACK_MS: i64 = 7 * 86_400_000;

/// The writes of a batch, without those of miners.
pub(super) fn of_batch(
    client: &Client,
    batch: &Batch,
    update_time: Option<&str>,
    retention_ms: i64,
) -> Result<Vec<Value>, Error> {
    let Batch { task: change, records } = batch;
    let Records { response, evaluation, upload, key, entries, scores: _ } = records;
    let mut writes = Vec::new();
    let mut expire_at_ms = i64::MAX;
    if let Some(change) = change {
        let task = &change.task;
        expire_at_ms = task.updated_at_ms.saturating_add(retention_ms).saturating_add(SLACK_MS);
        put_task(client, change, update_time, retention_ms, &mut writes)?;
        if change.has_event {
            let fields = Fields::default()
                .number("number", task.last_event.cast_signed())
                .text("record", &event_record(task)?)
                .time("expire_at", expire_at_ms);
            writes.push(client.create(&format!("tasks/{}/events/{}", task.id, task.last_event), fields));
        }
        if let Some(key) = key {
            let fields = Fields::default()
                .text("body_sha256", &key.body_sha256)
                .text("task_id", task.id.as_str())
                .time("expire_at", expire_at_ms);
            writes.push(client.create(&key_path(&key.owner, &key.key), fields));
        }
    }
    if let Some(row) = response {
        put_response(client, row, expire_at_ms, &mut writes)?;
    }
    if let Some(row) = evaluation {
        let fields = Fields::default()
            .text("task_id", row.task_id.as_str())
            .text("record", &serde_json::to_string(row)?)
            .time("expire_at", expire_at_ms);
        writes.push(client.create(&format!("evaluations/{}_{}", row.task_id, row.validator), fields));
    }
    if let Some(row) = upload {
        let fields = Fields::default()
            .text("sha256", &row.sha256)
            .number("created_at_ms", row.created_at_ms)
            .text("record", &serde_json::to_string(row)?)
            .time("expire_at", row.created_at_ms.saturating_add(retention_ms));
        writes.push(client.create(&format!("uploads/{}", row.id), fields));
    }
    for entry in entries {
        writes.push(client.create(&entry_path(entry.kind, &entry.name), entry_fields(entry)));
    }
    Ok(writes)
}

/// Where a small record is; its name is one that the proxy gave, or a hotkey.
pub(super) fn entry_path(kind: EntryKind, name: &str) -> String {
    format!("entries/{}_{name}", kind.as_str())
}

/// A small record as its document has it.
pub(super) fn entry_fields(entry: &Entry) -> Fields {
    Fields::default()
        .text("kind", entry.kind.as_str())
        .text("name", &entry.name)
        .text("belongs_to", &entry.belongs_to)
        .number("due_ms", entry.due_ms)
        .number("version", entry.version.cast_signed())
        .text("record", &entry.record)
}

fn put_task(
    client: &Client,
    change: &TaskChange,
    update_time: Option<&str>,
    retention_ms: i64,
    writes: &mut Vec<Value>,
) -> Result<(), Error> {
    let task = &change.task;
    let (path, is_open) = (format!("tasks/{}", task.id), !task.state.is_final());
    let holders = task.leases().filter(|_| is_open).map(|(_, lease)| lease.miner.as_str());
    let mut fields = Fields::default()
        .text("id", task.id.as_str())
        .number("version", task.version.cast_signed())
        .flag("is_open", is_open)
        .text("owner", &task.owner)
        .text("state", task.state.as_str())
        .text("kind", task.kind.as_str())
        .texts("holders", holders)
        .texts("blobs", task.blobs())
        .text("record", &serde_json::to_string(task.as_ref())?);
    let mut view = view(task);
    if !is_open {
        let expire_at_ms = task.updated_at_ms.saturating_add(retention_ms);
        fields = fields.number("ended_at_ms", task.updated_at_ms).time("expire_at", expire_at_ms);
        view = view.time("expire_at", expire_at_ms);
    }
    let write = match update_time {
        Some(update_time) => client.replace(&path, fields, update_time),
        None => client.create(&path, fields),
    };
    writes.push(stamped(write, "changed_at"));
    writes.push(client.set(&format!("views/{}", task.id), view));
    Ok(())
}

/// What a user's own program may see of a task.
fn view(task: &Task) -> Fields {
    Fields::default()
        .text("owner", &task.owner)
        .text("state", task.state.as_str())
        .text("reason", task.reason.as_deref().unwrap_or_default())
        .text("answer", task.answer.as_ref().map_or("", |id| id.as_str()))
        .text("partial", task.partial().unwrap_or_default())
        .float("progress", task.progress())
        .number("version", task.version.cast_signed())
        .number("last_event", task.last_event.cast_signed())
        .number("created_at_ms", task.created_at_ms)
        .number("updated_at_ms", task.updated_at_ms)
}

fn put_response(client: &Client, row: &ResponseRow, expire_at_ms: i64, writes: &mut Vec<Value>) -> Result<(), Error> {
    let record = ResponseRow { text: String::new(), result: String::new(), ..row.clone() };
    let path = format!("responses/{}", row.id);
    let fields = Fields::default()
        .text("task_id", row.task_id.as_str())
        .text("record", &serde_json::to_string(&record)?)
        .time("expire_at", expire_at_ms);
    if row.text.len() + row.result.len() <= INLINE_BYTES {
        writes.push(
            client.create(&path, fields.text("text", &row.text).text("result", &row.result).number("n_parts", 0)),
        );
        return Ok(());
    }
    let payload = format!("{}{}", row.text, row.result);
    let mut rest = payload.as_str();
    let mut n_parts = 0;
    while !rest.is_empty() {
        let (part, behind) = rest.split_at(rest.floor_char_boundary(INLINE_BYTES));
        let part = Fields::default().number("number", n_parts).text("text", part).time("expire_at", expire_at_ms);
        writes.push(client.create(&format!("{path}/parts/{n_parts}"), part));
        (rest, n_parts) = (behind, n_parts + 1);
    }
    let text_bytes = i64::try_from(row.text.len()).unwrap_or(i64::MAX);
    writes.push(client.create(&path, fields.number("n_parts", n_parts).number("text_bytes", text_bytes)));
    Ok(())
}

/// Where the key of an owner is: a hash, for both may hold anything.
pub(super) fn key_path(owner: &str, key: &str) -> String {
    let mut hash = Sha256::new();
    hash.update((owner.len() as u64).to_le_bytes());
    hash.update(owner);
    hash.update(key);
    format!("keys/{}", hex::encode(hash.finalize()))
}

/// What a miner's document says.
pub(super) fn miner_of(document: &Document) -> MinerRow {
    let count = |field| u64::try_from(document.number(field)).unwrap_or_default();
    let newcomer = MinerRow::newcomer(Hotkey::from(document.id()));
    MinerRow {
        quality: document.float("quality").unwrap_or(newcomer.quality),
        answered: count("answered"),
        accepted: count("accepted"),
        ..newcomer
    }
}

impl Firestore {
    /// The writes of what a batch says about miners. An answer alone is counted whatever else happens; a score is made
    /// of the one before, so it is a compare-and-set.
    pub(super) async fn miner_writes(&self, records: &Records) -> Result<Vec<Value>, Error> {
        let mut scores: BTreeMap<&Hotkey, Vec<f64>> = BTreeMap::new();
        for (miner, score) in &records.scores {
            scores.entry(miner).or_default().push(*score);
        }
        let answered = records.response.as_ref().map(|row| &row.miner);
        let mut writes = Vec::new();
        if let Some(miner) = answered.filter(|miner| !scores.contains_key(miner)) {
            let fields = Fields::default().text("hotkey", miner.as_str());
            writes.push(self.client.count(&miner_path(miner)?, fields, "answered"));
        }
        for (miner, scores) in scores {
            let path = miner_path(miner)?;
            let document = self.client.get(&path).await?;
            let mut row = document.as_ref().map_or_else(|| MinerRow::newcomer(miner.clone()), miner_of);
            for score in &scores {
                row.score(*score);
            }
            row.answered += u64::from(answered == Some(miner));
            let fields = Fields::default()
                .text("hotkey", miner.as_str())
                .float("quality", row.quality)
                .number("answered", row.answered.cast_signed())
                .number("accepted", row.accepted.cast_signed());
            writes.push(match &document {
                Some(document) => self.client.replace(&path, fields, document.update_time()),
                None => self.client.create(&path, fields),
            });
        }
        Ok(writes)
    }
}

fn miner_path(miner: &Hotkey) -> Result<String, Error> {
    if is_id(miner.as_str()) { Ok(format!("miners/{miner}")) } else { Err(Error::fault("a hotkey is no name")) }
}
