//! The one error type of the crate: variants are named by what the caller does about them.

use std::path::PathBuf;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong, and with which values.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused: file missing, no permission, disk full.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory that was used.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The bytes are not the audio that they claim to be.
    #[error("cannot decode {name}: {reason}")]
    Decode {
        /// File name, or `audio` for bytes without one.
        name: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// Valid, but not something that this build can do.
    #[error("{0}")]
    Unsupported(String),
    /// A limit that protects the process was reached: duration.
    #[error("audio lasts at least {got_s:.1} s; the limit is {limit_s:.1} s")]
    TooLong {
        /// Duration seen so far, seconds.
        got_s: f64,
        /// The limit, seconds.
        limit_s: f64,
    },
    /// A limit that protects the process was reached: size.
    #[error("{what} has {got_bytes} bytes; the limit is {limit_bytes}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Size seen so far, bytes.
        got_bytes: u64,
        /// The limit, bytes.
        limit_bytes: u64,
    },
    /// A value that the caller gave is impossible.
    #[error("{0}")]
    InvalidInput(String),
    /// A model file cannot be used.
    #[error("{}: {reason}", path.display())]
    Weights {
        /// The model's file or directory.
        path: PathBuf,
        /// Which tensor or entry, and why.
        reason: String,
    },
    /// Inference failed inside the tensor library.
    #[error("inference failed: {source}")]
    Model {
        /// The tensor library's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A device's memory is too small: smaller batches, a smaller model or another device may fit.
    #[error("out of memory on {device}: {needed_bytes} bytes are needed, {available_bytes} are free")]
    OutOfMemory {
        /// The device.
        device: String,
        /// What was asked for, bytes; 0 when a library asked and does not say.
        needed_bytes: u64,
        /// What was free, bytes.
        available_bytes: u64,
    },
    /// A server is silent, or answers what it should not.
    #[error("{server}: {reason}")]
    Network {
        /// Its address.
        server: String,
        /// What was got instead of an answer.
        reason: String,
    },
    /// Too much is under way already; the same call may succeed later.
    #[error("busy: {0}")]
    Busy(String),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Something named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The state does not allow it.
    #[error("{0}")]
    Conflict(String),
}
