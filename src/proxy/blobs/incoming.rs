//! Bytes on their way in.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::{Bounds, Error, refuse_if_full};
use crate::proxy::error::{ApiError, ApiResult};

/// Bytes of a file after which the disk is looked at again.
const LOOK_BYTES: u64 = 16 << 20;

/// Bytes, and pieces of them, that wait to be hashed and written: giving each piece to a thread that may wait costs as much
/// as the rest.
const WAITING_BYTES: usize = 256 << 10;
const WAITING_PIECES: usize = 64;

/// A local file without a name until it is complete.
pub(crate) struct Incoming {
    path: PathBuf,
    /// Away while a thread writes to it.
    spool: Option<Spool>,
    waiting: Vec<Bytes>,
    n_waiting: usize,
    n_bytes: u64,
    /// How many there were when the disk was looked at last.
    n_looked: u64,
    bounds: Bounds,
}

/// What was written so far.
struct Spool {
    file: File,
    hash: Sha256,
}

impl Incoming {
    pub(super) async fn new(path: PathBuf, bounds: Bounds) -> ApiResult<Self> {
        let file = tokio::fs::File::create_new(&path).await.map_err(Error::io("making a spool file"))?;
        let spool = Spool { file: file.into_std().await, hash: Sha256::new() };
        Ok(Self { path, spool: Some(spool), waiting: Vec::new(), n_waiting: 0, n_bytes: 0, n_looked: 0, bounds })
    }

    /// Lets no more than this in, if it is less than the limit so far.
    pub(super) fn limit(&mut self, limit_bytes: u64) {
        self.bounds.limit_bytes = self.bounds.limit_bytes.min(limit_bytes);
    }

    /// Adds bytes; refuses those over the limit.
    pub(crate) async fn write(&mut self, bytes: Bytes) -> ApiResult<()> {
        self.n_bytes += bytes.len() as u64;
        let limit = self.bounds.limit_bytes;
        if self.n_bytes > limit {
            let message = format!("file has more than {limit} bytes, the limit of this proxy");
            return Err(ApiError::too_large("file_too_large", message).at("file"));
        }
        if self.n_bytes - self.n_looked >= LOOK_BYTES {
            self.n_looked = self.n_bytes;
            refuse_if_full(&self.path, self.bounds.min_free_bytes)?;
        }
        self.n_waiting += bytes.len();
        self.waiting.push(bytes);
        if self.n_waiting >= WAITING_BYTES || self.waiting.len() >= WAITING_PIECES {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// The file so far, for a look at its header.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Number of bytes so far.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// SHA-256 of the bytes so far, lower-case hex.
    pub(crate) async fn sha256(&mut self) -> ApiResult<String> {
        self.flush().await?;
        self.spool.as_ref().map(|spool| hex::encode(spool.hash.clone().finalize())).ok_or_else(lost)
    }

    /// The same, once all is on disk.
    pub(super) async fn synced(&mut self) -> ApiResult<String> {
        self.write_waiting(true).await?;
        self.sha256().await
    }

    /// Brings what was written to the file, so that others who open it see it.
    pub(crate) async fn flush(&mut self) -> ApiResult<()> {
        if self.waiting.is_empty() { Ok(()) } else { self.write_waiting(false).await }
    }

    async fn write_waiting(&mut self, sync: bool) -> ApiResult<()> {
        let mut spool = self.spool.take().ok_or_else(lost)?;
        let waiting = std::mem::take(&mut self.waiting);
        self.n_waiting = 0;
        let written = tokio::task::spawn_blocking(move || {
            for bytes in &waiting {
                spool.hash.update(bytes);
                spool.file.write_all(bytes)?;
            }
            if sync {
                spool.file.sync_all()?;
            }
            Ok(spool)
        });
        let written = written.await.map_err(ApiError::internal)?;
        self.spool = Some(written.map_err(Error::io("writing the spool file"))?);
        Ok(())
    }

    /// Takes what somebody else wrote to the file, instead of what came by [`Self::write`].
    pub(crate) async fn read_again(&mut self) -> ApiResult<()> {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            let (mut file, mut hash) = (File::open(path)?, Sha256::new());
            std::io::copy(&mut file, &mut hash).map(|n_bytes| (hash, n_bytes))
        });
        let (hash, n_bytes) = read.await.map_err(ApiError::internal)?.map_err(Error::io("reading the spool file"))?;
        self.spool.as_mut().ok_or_else(lost)?.hash = hash;
        self.n_bytes = n_bytes;
        Ok(())
    }
}

/// What is left of a file that could not be written is of no use.
fn lost() -> ApiError {
    ApiError::internal("a spool file was used after it could not be written")
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // A file that was kept has another name by now; one that is not there is as good as removed.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { limit_bytes: 1 << 20, retention_ms: 1_000, min_free_bytes: 0 };

    #[tokio::test]
    async fn what_waits_is_hashed_and_written_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let all: Vec<u8> = (0..600_000_u32).map(|n| (n * 7 + n / 256).to_le_bytes()[0]).collect();
        // One at a time, some at a time, and more than may wait at once.
        for piece in [1_013, 65_536, 300_000] {
            let mut incoming = Incoming::new(dir.path().join("spool"), BOUNDS).await.unwrap();
            for bytes in all.chunks(piece) {
                incoming.write(Bytes::copy_from_slice(bytes)).await.unwrap();
                assert!(incoming.n_waiting < WAITING_BYTES && incoming.waiting.len() < WAITING_PIECES);
            }
            assert_eq!(incoming.sha256().await.unwrap(), hex::encode(Sha256::digest(&all)));
            assert_eq!(incoming.synced().await.unwrap(), hex::encode(Sha256::digest(&all)));
            assert_eq!(std::fs::read(incoming.path()).unwrap(), all);
            assert_eq!(incoming.n_bytes(), 600_000);
        }
        assert!(!dir.path().join("spool").exists(), "what was not kept is removed");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_is_no_fault_of_the_proxys() {
        let dir = tempfile::tempdir().unwrap();
        let mut incoming = Incoming::new(dir.path().join("spool"), BOUNDS).await.unwrap();
        // The system's own full disk.
        incoming.spool.as_mut().unwrap().file = File::options().write(true).open("/dev/full").unwrap();
        incoming.write(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(incoming.flush().await.unwrap_err().code(), "storage_full");
        assert!(incoming.sha256().await.is_err(), "nothing is known of what was lost");
    }
}
