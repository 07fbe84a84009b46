//! The one thread that writes: takes all commands that wait, runs them in one transaction, commits, then answers.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::{Connection, ErrorCode, ffi};
use tokio::sync::{mpsc, oneshot};

use super::super::Error;

/// Commands that share one commit at the most.
const BATCH: usize = 256;

/// Run in the transaction, if one could begin; gives back what to do when it is known whether the commit succeeded.
type Command = Box<dyn FnOnce(Option<&Connection>) -> Reply + Send>;
type Reply = Box<dyn FnOnce(Option<&rusqlite::Error>) + Send>;

#[derive(Clone)]
pub(super) struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    /// Runs `work` in the writer; the answer comes after it is on disk. An error undoes what `work` did, and no more.
    pub(super) async fn write(
        &self,
        work: impl FnOnce(&Connection) -> Result<(), Error> + Send + 'static,
    ) -> Result<(), Error> {
        let (reply, result) = oneshot::channel();
        let command: Command = Box::new(move |sql| {
            if reply.is_closed() {
                // The client went away while it waited: nobody would learn of the change.
                return Box::new(|_| ());
            }
            let done = sql.map_or(Ok(()), |sql| run(sql, work));
            Box::new(move |failed| {
                let _ = reply.send(match failed {
                    None => done,
                    Some(error) => done.and_then(|()| Err(of_commit(error))),
                });
            })
        });
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Closed,
        })?;
        result.await.unwrap_or(Err(Error::Closed))
    }
}

/// Starts the thread; it ends when the last handle is dropped.
pub(super) fn start(connection: Connection, queue: usize) -> Result<Handle, Error> {
    let (commands, receiver) = mpsc::channel(queue);
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || serve(&connection, receiver))
        .map_err(|error| Error::Fault(format!("cannot start the writer: {error}")))?;
    Ok(Handle { commands })
}

fn serve(sql: &Connection, mut commands: mpsc::Receiver<Command>) {
    while let Some(first) = commands.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = commands.try_recv()
        {
            batch.push(next);
        }
        commit(sql, batch);
    }
}

fn commit(sql: &Connection, batch: Vec<Command>) {
    let begun = sql.execute_batch("BEGIN IMMEDIATE");
    // Without a transaction a command would commit by itself: none is run. SQLite ends one by itself when the disk is
    // full; what ran in it before is undone then, and told so.
    let run = |command: Command| command((!sql.is_autocommit()).then_some(sql));
    let replies: Vec<Reply> = batch.into_iter().map(run).collect();
    let rolled_back = || rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_BUSY), None);
    let failed = match begun {
        Ok(()) if sql.is_autocommit() => Some(rolled_back()),
        Ok(()) => sql.execute_batch("COMMIT").err(),
        Err(error) => Some(error),
    };
    if let Some(error) = &failed {
        tracing::error!(%error, "a commit failed; its commands are undone");
        // After an error SQLite may have rolled back by itself, so this may have nothing to do.
        let _ = sql.execute_batch("ROLLBACK");
    }
    for reply in replies {
        reply(failed.as_ref());
    }
}

/// What a command is told whose commit failed; one error is told to many.
fn of_commit(error: &rusqlite::Error) -> Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy,
        Some(ErrorCode::DiskFull) => Error::Full(error.to_string()),
        _ => Error::Fault(error.to_string()),
    }
}

/// Runs one command so that its failure undoes its own changes only.
fn run(sql: &Connection, work: impl FnOnce(&Connection) -> Result<(), Error>) -> Result<(), Error> {
    sql.execute_batch("SAVEPOINT command")?;
    let done = catch_unwind(AssertUnwindSafe(|| work(sql)))
        .unwrap_or_else(|_| Err(Error::Fault("a command panicked".to_owned())));
    match done {
        Ok(()) => Ok(sql.execute_batch("RELEASE command")?),
        Err(error) => {
            if !sql.is_autocommit() {
                sql.execute_batch("ROLLBACK TO command; RELEASE command")?;
            }
            Err(error)
        }
    }
}
