//! The tables, and how connections are opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::Error;

/// Version of the tables below, in `user_version`.
const SCHEMA: i64 = 1;

/// How long a connection waits for a lock. The writer is alone; only a checkpoint or a backup tool can hold one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const TABLES: &str = "
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, version INTEGER NOT NULL, state TEXT NOT NULL, is_open INTEGER NOT NULL, owner TEXT NOT NULL,
    input_sha256 TEXT NOT NULL, created_at_ms INTEGER NOT NULL, updated_at_ms INTEGER NOT NULL, record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX open_tasks ON tasks (id) WHERE is_open = 1;
CREATE INDEX tasks_of_owner ON tasks (owner, id);
CREATE INDEX tasks_by_input ON tasks (input_sha256);
CREATE TABLE responses (
    id TEXT PRIMARY KEY, task_id TEXT NOT NULL, slot INTEGER NOT NULL, miner TEXT NOT NULL, digest TEXT NOT NULL,
    signature TEXT NOT NULL, latency_ms INTEGER NOT NULL, text TEXT NOT NULL, result TEXT NOT NULL,
    UNIQUE (task_id, slot)
) STRICT;
CREATE TABLE evaluations (
    task_id TEXT NOT NULL, validator TEXT NOT NULL, commitment TEXT NOT NULL, salt TEXT NOT NULL, scores TEXT NOT NULL,
    revealed_at_ms INTEGER NOT NULL, PRIMARY KEY (task_id, validator)
) STRICT, WITHOUT ROWID;
CREATE TABLE events (
    task_id TEXT NOT NULL, number INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (task_id, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE uploads (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, sha256 TEXT NOT NULL, bytes INTEGER NOT NULL, name TEXT,
    audio TEXT NOT NULL, created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_sha256 ON uploads (sha256);
CREATE TABLE idempotency (
    owner TEXT NOT NULL, key TEXT NOT NULL, body_sha256 TEXT NOT NULL, task_id TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL, PRIMARY KEY (owner, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE miners (
    hotkey TEXT PRIMARY KEY, quality REAL NOT NULL, answered INTEGER NOT NULL, accepted INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// The connection of the writer; creates the tables in a new file.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        connection.execute_batch(&format!("BEGIN; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;"))?;
    } else if version != SCHEMA {
        return Err(Error::Schema { path: path.to_owned(), got: version, expected: SCHEMA });
    }
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A connection that cannot write.
pub(super) fn open_reader(path: &Path) -> Result<Connection, Error> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
