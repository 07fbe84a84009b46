//! SQLite files as this proxy has them: in WAL mode, with one writer and a few readers.
//!
//! Changes that wait at the same time share one commit (group commit), so `synchronous=FULL` costs one fsync for all of
//! them: what was acknowledged survives both `kill -9` and a power cut.

mod readers;
mod writer;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub(crate) use readers::Readers;
pub(crate) use writer::Writer;

use super::store::Error;

/// How long a connection waits for a lock. The writer is alone; only a checkpoint or a backup tool can hold one.
const BUSY_TIMEOUT: Duration = Duration::from_millis(if cfg!(test) { 100 } else { 5_000 });

/// A connection that may write; it makes a file that is not there.
pub(crate) fn open_writing(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

/// Lets what this connection commits be durable.
pub(crate) fn make_durable(connection: &Connection) -> Result<(), Error> {
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

/// A connection that cannot write.
pub(crate) fn open_reading(path: &Path) -> Result<Connection, Error> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
