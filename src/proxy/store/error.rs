//! What can go wrong below the routes.

use std::fmt::Display;

use rusqlite::ErrorCode;

use crate::subnet::task::TaskId;

/// What can go wrong below the routes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// SQLite refused.
    #[error("store: {0}")]
    Sql(#[source] rusqlite::Error),
    /// A stored record cannot be read.
    #[error("store: a record cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    /// Somebody else changed the task; nothing of the batch was stored.
    #[error("store: task {0} is not at the version that was read")]
    Stale(TaskId),
    /// A record of this name is there already; nothing of the batch was stored.
    #[error("store: {0} is there already")]
    Exists(String),
    /// Too many commands wait, or others were faster every time.
    #[error("store: busy")]
    Busy,
    /// The store ended.
    #[error("store: closed")]
    Closed,
    /// The disk is full.
    #[error("store: the disk is full: {0}")]
    Full(String),
    /// The store does not answer now; what was sent may have been stored.
    #[error("store: not available: {0}")]
    Unavailable(String),
    /// A commit failed, or the store said something that cannot be.
    #[error("store: {0}")]
    Fault(String),
    /// The store was written by another version.
    #[error("{store}: has schema {got}, this build reads schema {expected}; {advice}")]
    Schema {
        /// The database.
        store: String,
        /// Its schema's version.
        got: i64,
        /// The one that is read here.
        expected: i64,
        /// What to do.
        advice: &'static str,
    },
}

impl Error {
    pub(super) fn fault(what: impl Display) -> Self {
        Self::Fault(what.to_string())
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DiskFull) => Self::Full(error.to_string()),
            _ => Self::Sql(error),
        }
    }
}
