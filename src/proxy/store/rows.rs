//! The statements on single tables.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::Error;
use crate::audio;
use crate::subnet::assign::NEWCOMER_QUALITY;
use crate::subnet::task::{Hotkey, ResponseId, Task, TaskId};

/// A response as stored.
#[derive(Debug, Clone)]
pub(crate) struct ResponseRow {
    pub(crate) id: ResponseId,
    pub(crate) task_id: TaskId,
    pub(crate) slot: u8,
    pub(crate) miner: Hotkey,
    pub(crate) digest: String,
    pub(crate) signature: String,
    pub(crate) latency_ms: i64,
    pub(crate) text: String,
    pub(crate) result: String,
}

/// A validator's revealed scores as stored.
#[derive(Debug, Clone)]
pub(crate) struct EvaluationRow {
    pub(crate) task_id: TaskId,
    pub(crate) validator: Hotkey,
    pub(crate) commitment: String,
    pub(crate) salt: String,
    pub(crate) scores: String,
    pub(crate) revealed_at_ms: i64,
}

/// An upload as stored.
#[derive(Debug, Clone)]
pub(crate) struct UploadRow {
    pub(crate) id: String,
    pub(crate) owner: String,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) name: Option<String>,
    pub(crate) audio: audio::Info,
    pub(crate) created_at_ms: i64,
}

/// A `state` event as stored.
#[derive(Debug, Clone)]
pub(crate) struct EventRow {
    pub(crate) number: u64,
    pub(crate) task: Task,
}

/// What is known about a miner's work.
#[derive(Debug, Clone)]
pub(crate) struct MinerRow {
    pub(crate) hotkey: Hotkey,
    pub(crate) quality: f64,
    pub(crate) answered: u64,
    pub(crate) accepted: u64,
}

/// A user's name for a request, and what the request said.
#[derive(Debug, Clone)]
pub(crate) struct IdempotencyKey {
    pub(crate) owner: String,
    pub(crate) key: String,
    pub(crate) body_sha256: String,
}

/// The task of this name.
pub(crate) fn task(sql: &Connection, id: &TaskId) -> Result<Option<Task>, Error> {
    let record: Option<String> = sql
        .prepare_cached("SELECT record FROM tasks WHERE id = ?1")?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?;
    record.map(|record| Ok(serde_json::from_str(&record)?)).transpose()
}

/// All tasks that did not end.
pub(super) fn open_tasks(sql: &Connection) -> Result<Vec<Task>, Error> {
    let mut statement = sql.prepare("SELECT record FROM tasks WHERE is_open = 1 ORDER BY id")?;
    let records = statement.query_map([], |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

/// An owner's tasks before `after`, newest first.
pub(crate) fn task_page(sql: &Connection, owner: &str, limit: usize, after: Option<&str>) -> Result<Vec<Task>, Error> {
    let mut statement = sql.prepare_cached(
        "SELECT record FROM tasks WHERE owner = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",
    )?;
    let records = statement
        .query_map(params![owner, after, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

pub(super) fn put_response(sql: &Connection, row: &ResponseRow) -> Result<(), Error> {
    sql.prepare_cached(
        "INSERT INTO responses (id, task_id, slot, miner, digest, signature, latency_ms, text, result)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        row.id.as_str(),
        row.task_id.as_str(),
        row.slot,
        row.miner.as_str(),
        row.digest,
        row.signature,
        row.latency_ms,
        row.text,
        row.result,
    ])?;
    Ok(())
}

const RESPONSE: &str = "SELECT id, task_id, slot, miner, digest, signature, latency_ms, text, result FROM responses";

fn response_row(row: &Row<'_>) -> rusqlite::Result<ResponseRow> {
    Ok(ResponseRow {
        id: ResponseId::from(row.get::<_, String>(0)?),
        task_id: TaskId::from(row.get::<_, String>(1)?),
        slot: row.get(2)?,
        miner: Hotkey::from(row.get::<_, String>(3)?),
        digest: row.get(4)?,
        signature: row.get(5)?,
        latency_ms: row.get(6)?,
        text: row.get(7)?,
        result: row.get(8)?,
    })
}

/// The response of this name.
pub(crate) fn response(sql: &Connection, id: &ResponseId) -> Result<Option<ResponseRow>, Error> {
    let mut statement = sql.prepare_cached(&format!("{RESPONSE} WHERE id = ?1"))?;
    Ok(statement.query_row([id.as_str()], response_row).optional()?)
}

/// All responses of a task, in the order of their slots.
pub(crate) fn responses(sql: &Connection, task_id: &TaskId) -> Result<Vec<ResponseRow>, Error> {
    let mut statement = sql.prepare_cached(&format!("{RESPONSE} WHERE task_id = ?1 ORDER BY slot"))?;
    let rows = statement.query_map([task_id.as_str()], response_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The text of a response alone.
pub(crate) fn response_text(sql: &Connection, id: &ResponseId) -> Result<Option<String>, Error> {
    let mut statement = sql.prepare_cached("SELECT text FROM responses WHERE id = ?1")?;
    Ok(statement.query_row([id.as_str()], |row| row.get(0)).optional()?)
}

pub(super) fn put_evaluation(sql: &Connection, row: &EvaluationRow) -> Result<(), Error> {
    sql.prepare_cached(
        "INSERT INTO evaluations (task_id, validator, commitment, salt, scores, revealed_at_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        row.task_id.as_str(),
        row.validator.as_str(),
        row.commitment,
        row.salt,
        row.scores,
        row.revealed_at_ms,
    ])?;
    Ok(())
}

pub(super) fn put_upload(sql: &Connection, row: &UploadRow) -> Result<(), Error> {
    sql.prepare_cached(
        "INSERT INTO uploads (id, owner, sha256, bytes, name, audio, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        row.id,
        row.owner,
        row.sha256,
        row.bytes,
        row.name,
        serde_json::to_string(&row.audio)?,
        row.created_at_ms,
    ])?;
    Ok(())
}

/// An owner's upload.
pub(crate) fn upload(sql: &Connection, owner: &str, id: &str) -> Result<Option<UploadRow>, Error> {
    let mut statement = sql.prepare_cached(
        "SELECT id, owner, sha256, bytes, name, audio, created_at_ms FROM uploads WHERE id = ?1 AND owner = ?2",
    )?;
    let found = statement
        .query_row([id, owner], |row| {
            let audio: String = row.get(5)?;
            let (id, owner, sha256, bytes) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok((id, owner, sha256, bytes, row.get(4)?, audio, row.get(6)?))
        })
        .optional()?;
    let Some((id, owner, sha256, bytes, name, audio, created_at_ms)) = found else { return Ok(None) };
    Ok(Some(UploadRow { id, owner, sha256, bytes, name, audio: serde_json::from_str(&audio)?, created_at_ms }))
}

pub(super) fn put_event(sql: &Connection, id: &TaskId, record: &str) -> Result<u64, Error> {
    Ok(sql
        .prepare_cached(
            "INSERT INTO events (task_id, number, record)
             SELECT ?1, coalesce(max(number), 0) + 1, ?2 FROM events WHERE task_id = ?1 RETURNING number",
        )?
        .query_row([id.as_str(), record], |row| row.get(0))?)
}

/// Number of a task's newest `state` event; 0 before the first.
pub(crate) fn last_event(sql: &Connection, id: &TaskId) -> Result<u64, Error> {
    let mut statement = sql.prepare_cached("SELECT coalesce(max(number), 0) FROM events WHERE task_id = ?1")?;
    Ok(statement.query_row([id.as_str()], |row| row.get(0))?)
}

/// A task's `state` events after `number`, oldest first, at most `limit`.
pub(crate) fn event_rows(sql: &Connection, id: &TaskId, number: u64, limit: u32) -> Result<Vec<EventRow>, Error> {
    let mut statement = sql.prepare_cached(
        "SELECT number, record FROM events WHERE task_id = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
    )?;
    let rows = statement
        .query_map(params![id.as_str(), number, limit], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (number, record) = row?;
        Ok(EventRow { number, task: serde_json::from_str(&record)? })
    })
    .collect()
}

/// The request that this owner sent under this key before: hash of its body, and its task.
pub(crate) fn find_idempotent(sql: &Connection, owner: &str, key: &str) -> Result<Option<(String, TaskId)>, Error> {
    let mut statement =
        sql.prepare_cached("SELECT body_sha256, task_id FROM idempotency WHERE owner = ?1 AND key = ?2")?;
    Ok(statement.query_row([owner, key], |row| Ok((row.get(0)?, TaskId::from(row.get::<_, String>(1)?)))).optional()?)
}

/// Remembers the task of a request.
pub(super) fn put_idempotent(
    sql: &Connection,
    key: &IdempotencyKey,
    task_id: &TaskId,
    now_ms: i64,
) -> Result<(), Error> {
    sql.prepare_cached(
        "INSERT INTO idempotency (owner, key, body_sha256, task_id, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![key.owner, key.key, key.body_sha256, task_id.as_str(), now_ms])?;
    Ok(())
}

pub(super) fn quality(sql: &Connection, miner: &Hotkey) -> Result<f64, Error> {
    let mut statement = sql.prepare_cached("SELECT quality FROM miners WHERE hotkey = ?1")?;
    let found: Option<f64> = statement.query_row([miner.as_str()], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(NEWCOMER_QUALITY))
}

/// Every miner that ever answered.
pub(crate) fn miner_rows(sql: &Connection) -> Result<Vec<MinerRow>, Error> {
    let mut statement = sql.prepare_cached("SELECT hotkey, quality, answered, accepted FROM miners")?;
    let rows = statement.query_map([], |row| {
        Ok(MinerRow {
            hotkey: Hotkey::from(row.get::<_, String>(0)?),
            quality: row.get(1)?,
            answered: row.get(2)?,
            accepted: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}
