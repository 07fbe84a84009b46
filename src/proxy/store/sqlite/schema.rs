//! The tables, how they come from those of earlier versions, and how connections are opened.

use std::path::Path;

use rusqlite::Connection;

use super::super::Error;
use crate::proxy::sqlite::{make_durable, open_reading, open_writing};

/// What makes each version of the tables out of the one before; `user_version` counts them. Never changed, only added to.
const STEPS: [&str; 3] = [
    "
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
",
    // Retention: what a task refers to, and what is over. A task counts its events itself.
    "
CREATE TABLE task_blobs (sha256 TEXT NOT NULL, task_id TEXT NOT NULL, PRIMARY KEY (sha256, task_id)) STRICT, WITHOUT ROWID;
CREATE INDEX blobs_of_task ON task_blobs (task_id);
INSERT INTO task_blobs SELECT input_sha256, id FROM tasks;
DROP INDEX tasks_by_input;
ALTER TABLE tasks DROP COLUMN input_sha256;
CREATE INDEX ended_tasks ON tasks (updated_at_ms) WHERE is_open = 0;
CREATE INDEX uploads_by_time ON uploads (created_at_ms);
CREATE INDEX keys_of_task ON idempotency (task_id);
UPDATE tasks SET record = json_set(record, '$.last_event',
    (SELECT coalesce(max(number), 0) FROM events WHERE task_id = tasks.id));
UPDATE events SET record = json_set(record, '$.last_event', number);
",
    // Lists by state and kind, and small records of other kinds.
    "
ALTER TABLE tasks ADD COLUMN kind TEXT NOT NULL DEFAULT 'transcription';
UPDATE tasks SET kind = json_extract(record, '$.kind');
CREATE INDEX tasks_of_owner_by_state ON tasks (owner, state, id);
CREATE TABLE entries (
    kind TEXT NOT NULL, name TEXT NOT NULL, belongs_to TEXT NOT NULL, due_ms INTEGER NOT NULL, version INTEGER NOT NULL,
    record TEXT NOT NULL, PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX entries_due ON entries (kind, due_ms);
CREATE INDEX entries_of ON entries (kind, belongs_to);
",
];

/// Version of the tables that this build reads.
#[allow(clippy::cast_possible_wrap, reason = "a handful")]
const SCHEMA: i64 = STEPS.len() as i64;

/// The connection of the writer; creates the tables in a new file.
pub(super) fn open_writer(path: &Path) -> Result<Connection, Error> {
    let connection = open_writing(path)?;
    let got = version(&connection)?;
    matching(path, got)?;
    if got == 0 {
        raise(&connection)?;
    }
    make_durable(&connection)?;
    Ok(connection)
}

/// Whether this build could open the file; one that is not there would be made.
pub(crate) fn check(path: &Path) -> Result<(), Error> {
    if !path.exists() {
        return Ok(());
    }
    let connection = open_reading(path)?;
    matching(path, version(&connection)?)
}

fn matching(path: &Path, got: i64) -> Result<(), Error> {
    if got == SCHEMA || got == 0 {
        return Ok(());
    }
    let advice =
        if got < SCHEMA { "run `violet proxy migrate`" } else { "use the build that wrote it, or another --store" };
    Err(Error::Schema { store: path.display().to_string(), got, expected: SCHEMA, advice })
}

/// Brings the tables of a file to this build's version; gives the versions before and after.
pub(crate) fn migrate(path: &Path) -> Result<(i64, i64), Error> {
    let connection = open_writing(path)?;
    let got = version(&connection)?;
    if got > SCHEMA {
        matching(path, got)?;
    }
    raise(&connection)?;
    Ok((got, SCHEMA))
}

fn version(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.query_row("PRAGMA user_version", [], |row| row.get(0))?)
}

/// Takes every step that is left, all or none.
fn raise(connection: &Connection) -> Result<(), Error> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut steps = STEPS.iter().skip(usize::try_from(version(connection)?).unwrap_or(0));
    let raised = steps.try_for_each(|step| connection.execute_batch(step));
    let end = format!("PRAGMA user_version = {SCHEMA}; COMMIT;");
    if let Err(error) = raised.and_then(|()| connection.execute_batch(&end)) {
        connection.execute_batch("ROLLBACK")?;
        return Err(error.into());
    }
    Ok(())
}

/// A file as the first version wrote it, with one task and so many events of it.
#[cfg(test)]
pub(crate) fn make_first_version(path: &Path, task: &crate::subnet::task::Task, n_events: u64) {
    let sql = Connection::open(path).unwrap();
    sql.execute_batch(STEPS[0]).unwrap();
    let mut record = serde_json::to_value(task).unwrap();
    record.as_object_mut().unwrap().remove("last_event");
    sql.execute(
        "INSERT INTO tasks (id, version, state, is_open, owner, input_sha256, created_at_ms, updated_at_ms, record)
         VALUES (?1, 1, 'queued', 1, ?2, ?3, 0, 0, ?4)",
        [task.id.as_str(), &task.owner, &task.input.sha256, &record.to_string()],
    )
    .unwrap();
    for number in 1..=n_events {
        let event = rusqlite::params![task.id.as_str(), number, record.to_string()];
        sql.execute("INSERT INTO events (task_id, number, record) VALUES (?1, ?2, ?3)", event).unwrap();
    }
    sql.execute_batch("PRAGMA user_version = 1").unwrap();
}
