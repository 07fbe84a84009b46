//! The statements on single tables.

use std::collections::BTreeSet;

use rusqlite::types::ToSql;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};

use super::super::records::event_record;
use super::super::{
    Batch, Error, EvaluationRow, IdempotencyKey, Listing, MinerRow, Records, ResponseRow, TaskChange, UploadRow,
};
use crate::subnet::task::{Hotkey, Kind, ResponseId, Task, TaskId, TaskState};

/// A task's record, and that of its event, as texts.
pub(super) struct Texts {
    task: String,
    /// If it is another: a task whose miners said nothing of their progress is its own event.
    event: Option<String>,
}

impl Texts {
    pub(super) fn of(task: &Task) -> Result<Self, Error> {
        let event = task.slots.iter().any(|slot| slot.partial.is_some()).then(|| event_record(task)).transpose()?;
        Ok(Self { task: serde_json::to_string(task)?, event })
    }
}

/// All of a batch; an error leaves it to the caller to undo what came before. What may well be there already comes first,
/// so that most often nothing did.
pub(super) fn put_batch(sql: &Connection, batch: &Batch, texts: Option<&Texts>) -> Result<(), Error> {
    let Records { response, evaluation, upload, key, entries, scores } = &batch.records;
    if let (Some(change), Some(texts)) = (&batch.task, texts) {
        if let Some(key) = key {
            put_key(sql, key, &change.task.id, change.task.created_at_ms)?;
        }
        put_task(sql, change, texts)?;
    }
    response.as_ref().map_or(Ok(()), |row| put_response(sql, row))?;
    evaluation.as_ref().map_or(Ok(()), |row| put_evaluation(sql, row))?;
    upload.as_ref().map_or(Ok(()), |row| put_upload(sql, row))?;
    for entry in entries {
        if !super::entries::put(sql, entry)? {
            return Err(Error::Exists(entry.name.clone()));
        }
    }
    for (miner, score) in scores {
        let mut row = self::miner(sql, miner)?.unwrap_or_else(|| MinerRow::newcomer(miner.clone()));
        row.score(*score);
        put_miner(sql, &row)?;
    }
    Ok(())
}

fn put_task(sql: &Connection, change: &TaskChange, texts: &Texts) -> Result<(), Error> {
    let TaskChange { expected, task, has_event } = change;
    if *expected == 0 {
        sql.prepare_cached(
            "INSERT INTO tasks (id, version, state, is_open, owner, created_at_ms, updated_at_ms, record, kind)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            task.id.as_str(),
            task.version,
            task.state.as_str(),
            !task.state.is_final(),
            task.owner,
            task.created_at_ms,
            task.updated_at_ms,
            texts.task,
            task.kind.as_str(),
        ])
        .map_err(|error| is_there(error, task.id.as_str()))?;
    } else {
        let n_changed = sql
            .prepare_cached(
                "UPDATE tasks SET version = ?3, state = ?4, is_open = ?5, updated_at_ms = ?6, record = ?7
                 WHERE id = ?1 AND version = ?2",
            )?
            .execute(params![
                task.id.as_str(),
                expected,
                task.version,
                task.state.as_str(),
                !task.state.is_final(),
                task.updated_at_ms,
                texts.task,
            ])?;
        if n_changed != 1 {
            return Err(Error::Stale(task.id.clone()));
        }
    }
    for sha256 in task.blobs().collect::<BTreeSet<_>>() {
        sql.prepare_cached("INSERT OR IGNORE INTO task_blobs (sha256, task_id) VALUES (?1, ?2)")?
            .execute([sha256, task.id.as_str()])?;
    }
    if *has_event {
        sql.prepare_cached("INSERT INTO events (task_id, number, record) VALUES (?1, ?2, ?3)")?.execute(params![
            task.id.as_str(),
            task.last_event,
            texts.event.as_ref().unwrap_or(&texts.task)
        ])?;
    }
    Ok(())
}

/// A record of the name is there: no fault of the database's.
fn is_there(error: rusqlite::Error, name: &str) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => Error::Exists(name.to_owned()),
        _ => error.into(),
    }
}

/// The task of this name.
pub(super) fn task(sql: &Connection, id: &TaskId) -> Result<Option<Task>, Error> {
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

/// An owner's tasks, newest first.
pub(super) fn task_page(sql: &Connection, listing: &Listing) -> Result<Vec<Task>, Error> {
    let limit = i64::try_from(listing.limit).unwrap_or(i64::MAX);
    let (state, kind) = (listing.state.map(TaskState::as_str), listing.kind.map(Kind::as_str));
    // A text of its own for each choice, so that each has the index that fits.
    let mut query = "SELECT record FROM tasks WHERE owner = ?1 AND id >= ?2 AND id < ?3".to_owned();
    let mut values: Vec<&dyn ToSql> = vec![&listing.owner, &listing.from, &listing.before, &limit];
    for (column, value) in [("state", &state), ("kind", &kind)] {
        if value.is_some() {
            values.push(value);
            query = format!("{query} AND {column} = ?{}", values.len());
        }
    }
    let mut statement = sql.prepare_cached(&format!("{query} ORDER BY id DESC LIMIT ?4"))?;
    let records = statement.query_map(values.as_slice(), |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

/// An owner's tasks about a blob, newest first; a task also names the blobs of its answers.
pub(super) fn tasks_about(sql: &Connection, owner: &str, sha256: &str, limit: usize) -> Result<Vec<Task>, Error> {
    let mut statement = sql.prepare_cached(
        "SELECT record FROM tasks WHERE owner = ?1 AND id IN (SELECT task_id FROM task_blobs WHERE sha256 = ?2)
         AND json_extract(record, '$.input.sha256') = ?2 ORDER BY id DESC LIMIT ?3",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let records = statement.query_map(params![owner, sha256, limit], |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

fn put_response(sql: &Connection, row: &ResponseRow) -> Result<(), Error> {
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
    ])
    .map_err(|error| is_there(error, row.id.as_str()))?;
    let mut miner = miner(sql, &row.miner)?.unwrap_or_else(|| MinerRow::newcomer(row.miner.clone()));
    miner.answered += 1;
    put_miner(sql, &miner)
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
pub(super) fn response(sql: &Connection, id: &ResponseId) -> Result<Option<ResponseRow>, Error> {
    let mut statement = sql.prepare_cached(&format!("{RESPONSE} WHERE id = ?1"))?;
    Ok(statement.query_row([id.as_str()], response_row).optional()?)
}

/// All responses of a task, in the order of their slots.
pub(super) fn responses(sql: &Connection, task_id: &TaskId) -> Result<Vec<ResponseRow>, Error> {
    let mut statement = sql.prepare_cached(&format!("{RESPONSE} WHERE task_id = ?1 ORDER BY slot"))?;
    let rows = statement.query_map([task_id.as_str()], response_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The text of a response alone.
pub(super) fn response_text(sql: &Connection, id: &ResponseId) -> Result<Option<String>, Error> {
    let mut statement = sql.prepare_cached("SELECT text FROM responses WHERE id = ?1")?;
    Ok(statement.query_row([id.as_str()], |row| row.get(0)).optional()?)
}

fn put_evaluation(sql: &Connection, row: &EvaluationRow) -> Result<(), Error> {
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
    ])
    .map_err(|error| is_there(error, row.validator.as_str()))?;
    Ok(())
}

fn put_upload(sql: &Connection, row: &UploadRow) -> Result<(), Error> {
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
    ])
    .map_err(|error| is_there(error, &row.id))?;
    Ok(())
}

/// An owner's upload.
pub(super) fn upload(sql: &Connection, owner: &str, id: &str) -> Result<Option<UploadRow>, Error> {
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

/// Names of an owner's uploads of a blob.
pub(super) fn uploads_of(sql: &Connection, owner: &str, sha256: &str) -> Result<Vec<String>, Error> {
    let mut statement = sql.prepare_cached("SELECT id FROM uploads WHERE sha256 = ?1 AND owner = ?2")?;
    let names = statement.query_map([sha256, owner], |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// The revealed scores of a task.
pub(super) fn evaluations(sql: &Connection, task_id: &TaskId) -> Result<Vec<EvaluationRow>, Error> {
    let mut statement = sql.prepare_cached(
        "SELECT task_id, validator, commitment, salt, scores, revealed_at_ms FROM evaluations
         WHERE task_id = ?1 ORDER BY validator",
    )?;
    let rows = statement.query_map([task_id.as_str()], |row| {
        Ok(EvaluationRow {
            task_id: TaskId::from(row.get::<_, String>(0)?),
            validator: Hotkey::from(row.get::<_, String>(1)?),
            commitment: row.get(2)?,
            salt: row.get(3)?,
            scores: row.get(4)?,
            revealed_at_ms: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// A task as it was at its events after `number`, oldest first, at most `limit`.
pub(super) fn events(sql: &Connection, id: &TaskId, number: u64, limit: usize) -> Result<Vec<Task>, Error> {
    let mut statement =
        sql.prepare_cached("SELECT record FROM events WHERE task_id = ?1 AND number > ?2 ORDER BY number LIMIT ?3")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let records = statement.query_map(params![id.as_str(), number, limit], |row| row.get::<_, String>(0))?;
    records.map(|record| Ok(serde_json::from_str(&record?)?)).collect()
}

/// The request that this owner sent under this key before: hash of its body, and its task.
pub(super) fn key(sql: &Connection, owner: &str, key: &str) -> Result<Option<(String, TaskId)>, Error> {
    let mut statement =
        sql.prepare_cached("SELECT body_sha256, task_id FROM idempotency WHERE owner = ?1 AND key = ?2")?;
    Ok(statement.query_row([owner, key], |row| Ok((row.get(0)?, TaskId::from(row.get::<_, String>(1)?)))).optional()?)
}

fn put_key(sql: &Connection, key: &IdempotencyKey, task_id: &TaskId, now_ms: i64) -> Result<(), Error> {
    sql.prepare_cached(
        "INSERT INTO idempotency (owner, key, body_sha256, task_id, created_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![key.owner, key.key, key.body_sha256, task_id.as_str(), now_ms])
    .map_err(|error| is_there(error, &key.key))?;
    Ok(())
}

const MINER: &str = "SELECT hotkey, quality, answered, accepted FROM miners";

fn miner_row(row: &Row<'_>) -> rusqlite::Result<MinerRow> {
    Ok(MinerRow {
        hotkey: Hotkey::from(row.get::<_, String>(0)?),
        quality: row.get(1)?,
        answered: row.get(2)?,
        accepted: row.get(3)?,
    })
}

/// What is known about a miner's work.
pub(super) fn miner(sql: &Connection, miner: &Hotkey) -> Result<Option<MinerRow>, Error> {
    let mut statement = sql.prepare_cached(&format!("{MINER} WHERE hotkey = ?1"))?;
    Ok(statement.query_row([miner.as_str()], miner_row).optional()?)
}

/// Every miner that ever answered.
pub(super) fn miners(sql: &Connection) -> Result<Vec<MinerRow>, Error> {
    let mut statement = sql.prepare_cached(&format!("{MINER} ORDER BY hotkey"))?;
    let rows = statement.query_map([], miner_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn put_miner(sql: &Connection, row: &MinerRow) -> Result<(), Error> {
    sql.prepare_cached(
        "INSERT INTO miners (hotkey, quality, answered, accepted) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (hotkey) DO UPDATE SET quality = ?2, answered = ?3, accepted = ?4",
    )?
    .execute(params![row.hotkey.as_str(), row.quality, row.answered, row.accepted])?;
    Ok(())
}
