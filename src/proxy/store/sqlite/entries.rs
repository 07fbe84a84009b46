//! Small records beside the tasks.

use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Row};

use super::super::{Entry, EntryKind, Error};

const ENTRY: &str = "SELECT name, belongs_to, due_ms, version, record FROM entries WHERE kind = ?1";

fn entry_row(kind: EntryKind, row: &Row<'_>) -> rusqlite::Result<Entry> {
    let (name, belongs_to) = (row.get(0)?, row.get(1)?);
    Ok(Entry { kind, name, belongs_to, due_ms: row.get(2)?, version: row.get(3)?, record: row.get(4)? })
}

fn select(sql: &Connection, kind: EntryKind, rest: &str, values: [&dyn ToSql; 2]) -> Result<Vec<Entry>, Error> {
    let mut statement = sql.prepare_cached(&format!("{ENTRY} {rest}"))?;
    let rows = statement.query_map([&kind.as_str() as &dyn ToSql, values[0], values[1]], |row| entry_row(kind, row))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The record of this name.
pub(super) fn entry(sql: &Connection, kind: EntryKind, name: &str) -> Result<Option<Entry>, Error> {
    let mut statement = sql.prepare_cached(&format!("{ENTRY} AND name = ?2"))?;
    Ok(statement.query_row([kind.as_str(), name], |row| entry_row(kind, row)).optional()?)
}

/// Records that are due before a time, the earliest first.
pub(super) fn due(sql: &Connection, kind: EntryKind, before_ms: i64, limit: usize) -> Result<Vec<Entry>, Error> {
    select(sql, kind, "AND due_ms < ?2 ORDER BY due_ms LIMIT ?3", [&before_ms, &count(limit)])
}

/// Records that belong to somebody.
pub(super) fn of(sql: &Connection, kind: EntryKind, belongs_to: &str, limit: usize) -> Result<Vec<Entry>, Error> {
    select(sql, kind, "AND belongs_to = ?2 LIMIT ?3", [&belongs_to, &count(limit)])
}

/// Stores a record in the place of the version before its own; whether that was there.
pub(super) fn put(sql: &Connection, entry: &Entry) -> Result<bool, Error> {
    let Entry { kind, name, belongs_to, due_ms, version, record } = entry;
    let statement = if *version == 1 {
        "INSERT OR IGNORE INTO entries (kind, name, belongs_to, due_ms, version, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    } else {
        "UPDATE entries SET belongs_to = ?3, due_ms = ?4, version = ?5, record = ?6
         WHERE kind = ?1 AND name = ?2 AND version = ?5 - 1"
    };
    let values = rusqlite::params![kind.as_str(), name, belongs_to, due_ms, version, record];
    Ok(sql.prepare_cached(statement)?.execute(values)? == 1)
}

/// Deletes a record at this version; whether it was there.
pub(super) fn delete(sql: &Connection, entry: &Entry) -> Result<bool, Error> {
    let mut statement = sql.prepare_cached("DELETE FROM entries WHERE kind = ?1 AND name = ?2 AND version = ?3")?;
    Ok(statement.execute(rusqlite::params![entry.kind.as_str(), entry.name, entry.version])? == 1)
}

fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
