//! What the proxy remembers: SQLite in WAL mode, one writer, a few readers.
//!
//! Every change runs on the writer's thread ([`Store::write`]): it sees the open tasks in memory, changes them by the
//! pure functions of [`crate::subnet::task`] and stores them by compare-and-set on their version. Commands that wait at
//! the same time share one commit (group commit), so `synchronous=FULL` costs one fsync for all of them: what was
//! acknowledged survives both `kill -9` and a power cut. Open tasks as last committed are readable without SQLite
//! through the [`Board`]; everything else is read through a small pool.

mod board;
mod readers;
mod rows;
mod schema;
mod tx;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use board::Board;
pub(crate) use rows::{
    EvaluationRow, IdempotencyKey, MinerRow, ResponseRow, UploadRow, event_rows, find_idempotent, last_event,
    miner_rows, response, response_text, responses, task_page, upload,
};
pub(crate) use tx::{Change, Tx};

use super::hub::Hub;
use crate::subnet::task::{Task, TaskId, Terms};

/// Commands that may wait for the writer.
const QUEUE: usize = 1_024;

/// What can go wrong below the routes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// SQLite refused.
    #[error("store: {0}")]
    Sql(#[from] rusqlite::Error),
    /// A stored record cannot be read.
    #[error("store: a record cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    /// Somebody else changed the record.
    #[error("store: task {0} changed under the writer")]
    Stale(TaskId),
    /// Too many commands wait.
    #[error("store: busy")]
    Busy,
    /// The writer ended.
    #[error("store: closed")]
    Closed,
    /// A command panicked, or its commit failed.
    #[error("store: {0}")]
    Fault(String),
    /// The file was written by another version.
    #[error("{}: has schema {got}, this build reads schema {expected}; use the build that wrote it or another --data-dir", path.display())]
    Schema {
        /// The database file.
        path: PathBuf,
        /// Its schema's version.
        got: i64,
        /// The one that is read here.
        expected: i64,
    },
}

/// The open store; cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    writer: writer::Handle,
    readers: Arc<readers::Readers>,
    board: Board,
}

impl Store {
    /// Opens or creates the store in `data_dir`, gives open tasks their time again, and starts the writer.
    pub(crate) fn open(data_dir: &Path, terms: &Terms, now_ms: i64, hub: Arc<Hub>) -> Result<Self, Error> {
        let path = data_dir.join("violet.sqlite3");
        let connection = schema::open_writer(&path)?;
        let open = rows::open_tasks(&connection)?;
        let resumed: Vec<(Task, Task)> = open
            .iter()
            .filter_map(|task| {
                let mut after = task.clone();
                after.resume(now_ms, terms).then(|| (task.clone(), after))
            })
            .collect();
        let board = Board::new(open);
        let writer = writer::start(connection, board.clone(), hub, QUEUE)?;
        if !resumed.is_empty() {
            tracing::info!(tasks = resumed.len(), "took up the tasks of the last run");
            writer.write_blocking(move |tx: &mut Tx<'_>| {
                resumed.into_iter().try_for_each(|(before, after)| tx.update(&before, after, now_ms))
            })?;
        }
        let readers = Arc::new(readers::Readers::open(&path)?);
        Ok(Self { writer, readers, board })
    }

    /// Runs `work` in the writer; the result comes after it is on disk. An error undoes what `work` did.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.writer.write(work).await
    }

    /// Runs `work` on a reader; it sees what is committed.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.readers.read(work).await
    }

    /// Waits until everything that was sent to the writer is done.
    pub(crate) async fn close(&self) {
        let done = self.write(|_| Ok::<(), Error>(())).await;
        if let Err(error) = done {
            tracing::warn!(%error, "the store did not close in order; the log is read at the next start");
        }
    }

    /// The open tasks as last committed.
    pub(crate) fn board(&self) -> &Board {
        &self.board
    }

    /// The task, open or ended.
    pub(crate) async fn task(&self, id: &TaskId) -> Result<Option<Arc<Task>>, Error> {
        if let Some(task) = self.board.get(id) {
            return Ok(Some(task));
        }
        let id = id.clone();
        self.read(move |sql| Ok(rows::task(sql, &id)?.map(Arc::new))).await
    }
}
