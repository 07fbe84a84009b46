//! What is over, and its end.

use rusqlite::{Connection, params};

use super::super::{Error, Expired};
use crate::subnet::task::TaskId;

/// What belongs to a task, and the task; open ones stay.
const ERASE: [&str; 7] = [
    "DELETE FROM entries WHERE kind = 'delivery' AND belongs_to = ?1",
    "DELETE FROM responses WHERE task_id = ?1",
    "DELETE FROM evaluations WHERE task_id = ?1",
    "DELETE FROM events WHERE task_id = ?1",
    "DELETE FROM idempotency WHERE task_id = ?1",
    "DELETE FROM task_blobs WHERE task_id = ?1",
    "DELETE FROM tasks WHERE id = ?1",
];

/// Tasks that ended, and uploads that were made, before a time; the oldest, at most `limit` of each.
pub(super) fn expired(sql: &Connection, before_ms: i64, limit: usize) -> Result<Expired, Error> {
    let names = |query: &str| -> Result<Vec<String>, Error> {
        let mut statement = sql.prepare_cached(query)?;
        let names =
            statement.query_map(params![before_ms, i64::try_from(limit).unwrap_or(i64::MAX)], |row| row.get(0))?;
        Ok(names.collect::<Result<_, _>>()?)
    };
    let tasks = names("SELECT id FROM tasks WHERE is_open = 0 AND updated_at_ms < ?1 ORDER BY updated_at_ms LIMIT ?2")?;
    let uploads = names("SELECT id FROM uploads WHERE created_at_ms < ?1 ORDER BY created_at_ms LIMIT ?2")?;
    Ok(Expired { tasks: tasks.into_iter().map(TaskId::from).collect(), uploads, notes: Vec::new() })
}

/// Deletes these records.
pub(super) fn erase(sql: &Connection, expired: &Expired) -> Result<(), Error> {
    for id in &expired.tasks {
        let is_open: bool = sql
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM tasks WHERE id = ?1 AND is_open = 1)")?
            .query_row([id.as_str()], |row| row.get(0))?;
        for statement in ERASE.iter().filter(|_| !is_open) {
            sql.prepare_cached(statement)?.execute([id.as_str()])?;
        }
    }
    for id in &expired.uploads {
        sql.prepare_cached("DELETE FROM uploads WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}

/// Whether a task or an upload names this blob.
pub(super) fn is_referenced(sql: &Connection, sha256: &str) -> Result<bool, Error> {
    let mut statement = sql.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM task_blobs WHERE sha256 = ?1) OR EXISTS (SELECT 1 FROM uploads WHERE sha256 = ?1)",
    )?;
    Ok(statement.query_row([sha256], |row| row.get(0))?)
}
