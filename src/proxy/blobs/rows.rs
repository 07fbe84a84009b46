//! Short blobs as rows of one SQLite file: three synced files for each would be most of what a task about a text costs,
//! and rows that are stored at the same time share one sync.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};

use super::Meta;
use crate::proxy::sqlite::{Readers, Writer, make_durable, open_writing};
use crate::proxy::store::Error;

/// The table; the file's `user_version` tells a later build which it is.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS blobs (sha256 TEXT PRIMARY KEY, meta TEXT NOT NULL, bytes BLOB NOT NULL) STRICT;
PRAGMA user_version = 1;
";

/// The file.
pub(super) struct Rows {
    writer: Writer,
    readers: Readers,
}

impl Rows {
    /// Opens or makes it.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let connection = open_writing(path)?;
        make_durable(&connection)?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { writer: Writer::start(connection)?, readers: Readers::open(path)? })
    }

    /// Makes bytes durable, or what is known about them where they are there.
    pub(super) async fn put(&self, bytes: Vec<u8>, meta: &Meta) -> Result<(), Error> {
        let (sha256, meta) = (meta.sha256.clone(), serde_json::to_string(meta)?);
        let put = move |sql: &Connection| {
            sql.prepare_cached(
                "INSERT INTO blobs (sha256, meta, bytes) VALUES (?1, ?2, ?3)
                 ON CONFLICT (sha256) DO UPDATE SET meta = excluded.meta",
            )?
            .execute(params![sha256, meta, bytes])?;
            Ok(())
        };
        self.writer.write(put).await
    }

    /// Looks at the rows, on a thread that may wait.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.readers.read(look).await
    }

    /// Replaces what is known about a blob, or with `None` deletes it, if it is still as `seen` says; whether it did,
    /// `None` if there is no such row.
    pub(super) async fn replace(&self, seen: &Meta, new: Option<&Meta>) -> Result<Option<bool>, Error> {
        let (seen, new) = (seen.clone(), new.map(serde_json::to_string).transpose()?);
        let replace = move |sql: &Connection| {
            let Some(there) = meta(sql, &seen.sha256)? else { return Ok(None) };
            if there != seen {
                return Ok(Some(false));
            }
            match &new {
                Some(new) => {
                    sql.prepare_cached("UPDATE blobs SET meta = ?2 WHERE sha256 = ?1")?.execute([&seen.sha256, new])?
                }
                None => sql.prepare_cached("DELETE FROM blobs WHERE sha256 = ?1")?.execute([&seen.sha256])?,
            };
            Ok(Some(true))
        };
        self.writer.write(replace).await
    }
}

/// What is known about a blob; `None` if there is no such row.
pub(super) fn meta(sql: &Connection, sha256: &str) -> Result<Option<Meta>, Error> {
    let mut statement = sql.prepare_cached("SELECT meta FROM blobs WHERE sha256 = ?1")?;
    let meta: Option<String> = statement.query_row([sha256], |row| row.get(0)).optional()?;
    Ok(meta.map(|meta| serde_json::from_str(&meta)).transpose()?)
}

/// Bytes `start..start + len`; `None` if there is no such row.
pub(super) fn bytes(sql: &Connection, sha256: &str, start: u64, len: u64) -> Result<Option<Vec<u8>>, Error> {
    // SQLite counts from 1.
    let (start, len) = (start.saturating_add(1), len.min(i64::MAX.cast_unsigned()));
    let start = start.min(i64::MAX.cast_unsigned());
    let mut statement = sql.prepare_cached("SELECT substr(bytes, ?2, ?3) FROM blobs WHERE sha256 = ?1")?;
    Ok(statement.query_row(params![sha256, start, len], |row| row.get(0)).optional()?)
}

/// Blobs in the order of their names, from behind `after`, at most `limit`.
pub(super) fn list(sql: &Connection, after: &str, limit: usize) -> Result<Vec<Meta>, Error> {
    let mut statement = sql.prepare_cached("SELECT meta FROM blobs WHERE sha256 > ?1 ORDER BY sha256 LIMIT ?2")?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let metas = statement.query_map(params![after, limit], |row| row.get::<_, String>(0))?;
    metas.map(|meta| Ok(serde_json::from_str(&meta?)?)).collect()
}
