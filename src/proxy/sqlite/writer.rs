//! The one thread that writes: takes all changes that wait, runs them in one transaction, commits, then answers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::{mpsc, oneshot};

use super::Error;

/// Changes that may wait.
const QUEUE: usize = 1_024;

/// Changes that share one commit at the most.
const BATCH: usize = 256;

/// A change that somebody waits for.
trait Change: Send {
    /// Whether anybody does; if not, nobody would learn of it.
    fn is_wanted(&self) -> bool;

    /// Whether it was run and failed.
    fn is_refused(&self) -> bool;

    /// Runs it, or runs it again.
    fn run(&mut self, sql: &Connection);

    /// Says how it went, where it is known whether the commit failed.
    fn answer(self: Box<Self>, failed: Option<&rusqlite::Error>);
}

struct Waiting<T, W> {
    work: W,
    outcome: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T: Send, W: Fn(&Connection) -> Result<T, Error> + Send> Change for Waiting<T, W> {
    fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    fn is_refused(&self) -> bool {
        matches!(self.outcome, Some(Err(_)))
    }

    fn run(&mut self, sql: &Connection) {
        let done = catch_unwind(AssertUnwindSafe(|| (self.work)(sql)));
        self.outcome = Some(done.unwrap_or_else(|_| Err(Error::Fault("a change panicked".to_owned()))));
    }

    fn answer(self: Box<Self>, failed: Option<&rusqlite::Error>) {
        let outcome = match (self.outcome, failed) {
            (Some(Ok(_)) | None, Some(error)) => Err(of_commit(error)),
            (outcome, _) => outcome.unwrap_or(Err(Error::Closed)),
        };
        let _ = self.reply.send(outcome);
    }
}

/// Where changes are sent; the thread ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Writer {
    changes: mpsc::Sender<Box<dyn Change>>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(connection: Connection) -> Result<Self, Error> {
        let (changes, receiver) = mpsc::channel(QUEUE);
        std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || serve(&connection, receiver))
            .map_err(|error| Error::Fault(format!("cannot start the writer: {error}")))?;
        Ok(Self { changes })
    }

    /// Runs `work` in the writer; the answer comes after it is on disk. What gave an error changes nothing. It may run
    /// more than once, the last time on what is there then.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl Fn(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, outcome) = oneshot::channel();
        self.changes.try_send(Box::new(Waiting { work, outcome: None, reply })).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Closed,
        })?;
        outcome.await.unwrap_or(Err(Error::Closed))
    }
}

fn serve(sql: &Connection, mut changes: mpsc::Receiver<Box<dyn Change>>) {
    while let Some(first) = changes.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = changes.try_recv()
        {
            batch.push(next);
        }
        batch.retain(|change| change.is_wanted());
        commit(sql, batch);
    }
}

fn commit(sql: &Connection, mut batch: Vec<Box<dyn Change>>) {
    let failed = loop {
        match transact(sql, &mut batch) {
            Ok(true) => break None,
            Ok(false) => {}
            Err(error) => break Some(error),
        }
    };
    if let Some(error) = &failed {
        tracing::error!(%error, "a commit failed; its changes are undone");
        // After an error SQLite may have rolled back by itself, so this may have nothing to do.
        let _ = sql.execute_batch("ROLLBACK");
    }
    for change in batch {
        change.answer(failed.as_ref());
    }
}

/// Runs all that were not refused, and commits; false if it has to begin anew.
///
/// A savepoint for each change would copy every page that it touches. It hardly ever happens that one fails after it wrote
/// something: then all is undone, and done again without it.
fn transact(sql: &Connection, batch: &mut [Box<dyn Change>]) -> rusqlite::Result<bool> {
    sql.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    for change in batch.iter_mut().filter(|change| !change.is_refused()) {
        let n_before = sql.total_changes();
        change.run(sql);
        // SQLite ends a transaction by itself when the disk is full; what ran in it before is undone then, and told so.
        if sql.is_autocommit() {
            return Err(rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None));
        }
        if change.is_refused() && sql.total_changes() != n_before {
            sql.execute_batch("ROLLBACK")?;
            return Ok(false);
        }
    }
    sql.prepare_cached("COMMIT")?.execute([])?;
    Ok(true)
}

/// What a change is told whose commit failed; one error is told to many.
fn of_commit(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy,
        Some(ErrorCode::DiskFull) => Error::Full(error.to_string()),
        _ => Error::Fault(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    fn insert(sql: &Connection, n: i64) -> Result<(), Error> {
        sql.execute("INSERT INTO numbers VALUES (?1)", [n])?;
        Ok(())
    }

    #[tokio::test]
    async fn what_fails_in_the_middle_of_a_batch_changes_nothing_and_takes_nobody_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("numbers");
        let connection = super::super::open_writing(&path).unwrap();
        super::super::make_durable(&connection).unwrap();
        connection.execute_batch("CREATE TABLE numbers (n INTEGER PRIMARY KEY)").unwrap();
        let writer = Writer::start(connection).unwrap();
        // The writer is held until all the others wait, so that they share a commit.
        let (let_go, held) = mpsc::channel::<()>();
        let held = std::sync::Mutex::new(held);
        let holding = tokio::spawn({
            let writer = writer.clone();
            async move { writer.write(move |_| Ok(held.lock().unwrap().recv_timeout(Duration::from_mins(1)).is_ok())).await }
        });
        let refused = |error: Error| error.to_string();
        let all = async {
            tokio::join!(
                writer.write(|sql| insert(sql, 1)),
                writer.write(|sql| insert(sql, 2).and_then(|()| insert(sql, 1))),
                writer.write(|sql| insert(sql, 3).and_then(|()| Err::<(), _>(Error::Exists("three".to_owned())))),
                writer.write(|sql| insert(sql, 4).map(|()| panic!("in the writer"))),
                writer.write(|sql| insert(sql, 5)),
                async { let_go.send(()).unwrap() },
            )
        };
        let (first, second, third, fourth, fifth, ()) = all.await;
        assert!(holding.await.unwrap().unwrap(), "the writer was held");
        first.unwrap();
        fifth.unwrap();
        assert!(refused(second.unwrap_err()).contains("UNIQUE"));
        assert!(refused(third.unwrap_err()).contains("three is there already"));
        let fourth: Result<(), Error> = fourth;
        assert!(refused(fourth.unwrap_err()).contains("panicked"));
        let reader = super::super::open_reading(&path).unwrap();
        let mut statement = reader.prepare("SELECT n FROM numbers ORDER BY n").unwrap();
        let there: Vec<i64> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(there, [1, 5]);
    }
}
