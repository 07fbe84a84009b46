//! A small pool of read-only connections.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::Error;

/// Reads that run at the same time.
const CONNECTIONS: usize = 4;

/// Lends its connections to reads.
pub(crate) struct Readers {
    idle: Arc<Mutex<Vec<Connection>>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Opens them.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let idle = (0..CONNECTIONS).map(|_| super::open_reading(path)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { idle: Arc::new(Mutex::new(idle)), permits: Arc::new(Semaphore::new(CONNECTIONS)) })
    }

    /// Runs `work` on a thread that may wait.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Error::Closed)?;
        let idle = Arc::clone(&self.idle);
        let read = tokio::task::spawn_blocking(move || {
            let connection = lock(&idle).pop();
            let lent = Lent { connection, idle };
            let result = lent.connection.as_ref().ok_or(Error::Closed).and_then(work);
            drop(lent);
            drop(permit);
            result
        });
        read.await.map_err(|error| Error::Fault(format!("a read failed: {error}")))?
    }
}

/// A connection that goes back to the pool even if the read panics.
struct Lent {
    connection: Option<Connection>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        lock(&self.idle).extend(self.connection.take());
    }
}

fn lock(idle: &Mutex<Vec<Connection>>) -> std::sync::MutexGuard<'_, Vec<Connection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}
