//! The one thread that writes: takes all commands that wait, runs them in one transaction, commits, then answers.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::tx::{Change, Tx, Undo};
use super::{Board, Error};
use crate::proxy::hub::Hub;
use crate::proxy::metrics;
use crate::subnet::task::{Task, TaskId};

/// Commands that share one commit at the most.
const BATCH: usize = 256;

/// Run in the transaction; gives back what to do when it is known whether the commit succeeded.
type Command = Box<dyn FnOnce(&mut Tx<'_>) -> Answer + Send>;
type Answer = Box<dyn FnOnce(Result<(), String>) + Send>;

#[derive(Clone)]
pub(super) struct Handle {
    commands: mpsc::Sender<Command>,
}

impl Handle {
    pub(super) async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.send(work)?.await.unwrap_or_else(|_| Err(Error::Closed.into()))
    }

    pub(super) fn write_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.send(work)?.blocking_recv().unwrap_or(Err(Error::Closed))
    }

    fn send<T, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, E>>, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, result) = oneshot::channel();
        let command: Command = Box::new(move |tx| {
            if reply.is_closed() {
                // The client went away while it waited: nobody would learn of the change.
                return Box::new(|_| ());
            }
            let done = run(tx, work);
            Box::new(move |committed| {
                let _ = reply.send(match committed {
                    Ok(()) => done,
                    Err(reason) => done.and_then(|_| Err(Error::Fault(reason).into())),
                });
            })
        });
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::Closed,
        })?;
        Ok(result)
    }
}

/// Starts the thread; it ends when the last handle is dropped.
pub(super) fn start(connection: Connection, board: Board, hub: Arc<Hub>, queue: usize) -> Result<Handle, Error> {
    let (commands, receiver) = mpsc::channel(queue);
    let open = board.tasks().into_iter().map(|task| (task.id.clone(), task)).collect();
    std::thread::Builder::new()
        .name("store-writer".to_owned())
        .spawn(move || Writer { connection, open, board, hub }.serve(receiver))
        .map_err(|error| Error::Fault(format!("cannot start the writer: {error}")))?;
    Ok(Handle { commands })
}

struct Writer {
    connection: Connection,
    /// Open tasks as the running transaction sees them.
    open: BTreeMap<TaskId, Arc<Task>>,
    board: Board,
    hub: Arc<Hub>,
}

impl Writer {
    fn serve(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(first) = commands.blocking_recv() {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = commands.try_recv()
            {
                batch.push(next);
            }
            self.commit(batch);
        }
    }

    fn commit(&mut self, batch: Vec<Command>) {
        let mut undo: Vec<Undo> = Vec::new();
        let mut changes: Vec<Change> = Vec::new();
        let begun = self.connection.execute_batch("BEGIN IMMEDIATE");
        let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
        for command in batch {
            let mut tx = Tx::new(&self.connection, &mut self.open, &mut undo, &mut changes);
            answers.push(command(&mut tx));
        }
        let committed = begun.and_then(|()| self.connection.execute_batch("COMMIT")).map_err(|error| error.to_string());
        if let Err(reason) = &committed {
            tracing::error!(%reason, "a commit failed; its commands are undone");
            // After an error SQLite may have rolled back by itself, so this may have nothing to do.
            let _ = self.connection.execute_batch("ROLLBACK");
            Undo::all(undo, &mut self.open);
            changes.clear();
        }
        self.board.publish(changes.iter().map(|change| Arc::clone(&change.task)));
        for answer in answers {
            answer(committed.clone());
        }
        metrics::count(&changes);
        self.hub.publish(&changes);
    }
}

/// Runs one command so that its failure undoes its own changes only.
fn run<T, E: From<Error>>(tx: &mut Tx<'_>, work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>) -> Result<T, E> {
    tx.begin().map_err(E::from)?;
    let done = catch_unwind(AssertUnwindSafe(|| work(tx)))
        .unwrap_or_else(|_| Err(Error::Fault("a command panicked".to_owned()).into()));
    match done {
        Ok(value) => tx.release().map(|()| value).map_err(E::from),
        Err(error) => {
            tx.roll_back().map_err(E::from)?;
            Err(error)
        }
    }
}
