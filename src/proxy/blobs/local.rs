//! Blobs as local files: `DIR/SHA256`, and `DIR/SHA256.json` for what is known about them.

use std::collections::BTreeSet;
use std::io::{ErrorKind, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::StreamExt;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{BlobStore, Bytestream, Error, Meta, is_name};
use crate::proxy::fault;

/// Bytes that are read from disk at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// How long a blob stays that an older version stored without metadata, from its file's time on, ms.
const UNKNOWN_KEEP_MS: i64 = 30 * 86_400_000;

/// A directory of blobs. One process uses it; the lock of the data directory sees to that.
pub(crate) struct LocalBlobs {
    dir: Arc<PathBuf>,
    /// Held while a blob gets its name or loses it, so that the sweep never deletes what was renewed under its eyes.
    naming: Arc<Mutex<()>>,
}

impl LocalBlobs {
    /// Opens or makes the directory.
    pub(crate) fn open(dir: &Path) -> crate::Result<Self> {
        std::fs::create_dir_all(dir).map_err(|source| crate::Error::Io { path: dir.to_owned(), source })?;
        Ok(Self { dir: Arc::new(dir.to_owned()), naming: Arc::default() })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Path, &Mutex<()>) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (dir, naming) = (Arc::clone(&self.dir), Arc::clone(&self.naming));
        let done = tokio::task::spawn_blocking(move || work(&dir, &naming)).await;
        done.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(Error::io(what))
    }
}

impl BlobStore for LocalBlobs {
    fn put<'a>(&'a self, file: &'a Path, meta: &'a Meta) -> BoxFuture<'a, Result<(), Error>> {
        let (file, meta) = (file.to_owned(), meta.clone());
        self.blocking("keeping a blob", move |dir, naming| {
            let meta_part = file.with_extension("json");
            let written = write_meta(&meta_part, &meta);
            // The metadata goes first: a blob without any would be kept longer, metadata without a blob is nothing.
            let named = written.and_then(|()| {
                let _held = naming.lock().unwrap_or_else(PoisonError::into_inner);
                std::fs::rename(&meta_part, meta_path(dir, &meta.sha256))?;
                fault::point("blob_meta_renamed");
                std::fs::rename(&file, dir.join(&meta.sha256))
            });
            if named.is_err() {
                let _ = std::fs::remove_file(&meta_part);
            }
            named?;
            fault::point("blob_renamed");
            // The renames are durable once the directory is.
            std::fs::File::open(dir)?.sync_all()
        })
        .boxed()
    }

    fn meta<'a>(&'a self, sha256: &'a str) -> BoxFuture<'a, Result<Option<Meta>, Error>> {
        let sha256 = sha256.to_owned();
        async move {
            if !is_name(&sha256) {
                return Ok(None);
            }
            self.blocking("reading about a blob", move |dir, _| read_meta(dir, &sha256)).await
        }
        .boxed()
    }

    fn read<'a>(&'a self, sha256: &'a str, start: u64, len: u64) -> BoxFuture<'a, Result<Option<Bytestream>, Error>> {
        async move {
            // Only a hash names a file, so no name leaves the directory.
            if !is_name(sha256) {
                return Ok(None);
            }
            let mut file = match tokio::fs::File::open(self.dir.join(sha256)).await {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Error::io("opening a blob")(error)),
            };
            file.seek(SeekFrom::Start(start)).await.map_err(Error::io("reading a blob"))?;
            Ok(Some(ReaderStream::with_capacity(file.take(len), CHUNK_BYTES).boxed()))
        }
        .boxed()
    }

    fn list<'a>(&'a self, after: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Meta>, Error>> {
        let after = after.to_owned();
        self.blocking("listing blobs", move |dir, _| {
            let mut names = BTreeSet::new();
            for entry in std::fs::read_dir(dir)? {
                let name = entry?.file_name();
                let Some(name) = name.to_str().filter(|name| is_name(name) && *name > after.as_str()) else { continue };
                names.insert(name.to_owned());
                // The first `limit` names alone are kept, however many files there are.
                if names.len() > limit {
                    names.pop_last();
                }
            }
            // One that went meanwhile is passed over.
            names.iter().filter_map(|name| read_meta(dir, name).transpose()).collect()
        })
        .boxed()
    }

    fn describe<'a>(&'a self, seen: &'a Meta, new: &'a Meta) -> BoxFuture<'a, Result<bool, Error>> {
        let (seen, new) = (seen.clone(), new.clone());
        self.blocking("describing a blob", move |dir, naming| {
            let _held = naming.lock().unwrap_or_else(PoisonError::into_inner);
            if read_meta(dir, &seen.sha256)?.as_ref() != Some(&seen) {
                return Ok(false);
            }
            let path = meta_path(dir, &new.sha256);
            // No hash has this name, so that no list shows it.
            let part = path.with_extension("part");
            write_meta(&part, &new)?;
            std::fs::rename(part, path)?;
            Ok(true)
        })
        .boxed()
    }

    fn delete<'a>(&'a self, seen: &'a Meta) -> BoxFuture<'a, Result<bool, Error>> {
        let seen = seen.clone();
        self.blocking("deleting a blob", move |dir, naming| {
            let _held = naming.lock().unwrap_or_else(PoisonError::into_inner);
            if read_meta(dir, &seen.sha256)?.as_ref() != Some(&seen) {
                return Ok(false);
            }
            std::fs::remove_file(dir.join(&seen.sha256))?;
            // Metadata that stays behind is overwritten by the next blob of the name.
            let _ = std::fs::remove_file(meta_path(dir, &seen.sha256));
            Ok(true)
        })
        .boxed()
    }

    fn url(&self, _: &str, _: &str, _: i64, _: i64) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

fn meta_path(dir: &Path, sha256: &str) -> PathBuf {
    dir.join(format!("{sha256}.json"))
}

fn write_meta(path: &Path, meta: &Meta) -> std::io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(&serde_json::to_vec(meta)?)?;
    file.sync_all()
}

fn read_meta(dir: &Path, sha256: &str) -> std::io::Result<Option<Meta>> {
    let file = match std::fs::metadata(dir.join(sha256)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match std::fs::read(meta_path(dir, sha256)) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let age = file.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
            let stored_at_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            Ok(Some(Meta {
                sha256: sha256.to_owned(),
                bytes: file.len(),
                media_type: "application/octet-stream".to_owned(),
                name: None,
                owner: String::new(),
                stored_at_ms,
                keep_until_ms: stored_at_ms.saturating_add(UNKNOWN_KEEP_MS),
                is_condemned: false,
            }))
        }
        Err(error) => Err(error),
    }
}
