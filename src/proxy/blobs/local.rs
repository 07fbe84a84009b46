//! Blobs as local files: `DIR/SHA256`, and `DIR/SHA256.json` for what is known about them; short ones as rows of
//! `DIR/short.sqlite3`. Where a blob is both, the row counts.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::StreamExt;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::rows::{self, Rows};
use super::{BlobStore, Bytestream, Error, Meta, Source, is_name};
use crate::proxy::fault;

/// Bytes that are read from disk at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// File of the short blobs; no hash has this name.
const ROWS: &str = "short.sqlite3";

/// How long a blob stays that an older version stored without metadata, from its file's time on, ms.
const UNKNOWN_KEEP_MS: i64 = 30 * 86_400_000;

/// A directory of blobs. One process uses it; the lock of the data directory sees to that.
pub(crate) struct LocalBlobs {
    dir: Arc<PathBuf>,
    /// Held while a blob gets its name or loses it, so that the sweep never deletes what was renewed under its eyes.
    naming: Arc<Mutex<()>>,
    rows: Rows,
}

impl LocalBlobs {
    /// Opens or makes the directory.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        std::fs::create_dir_all(dir).map_err(Error::io(format_args!("making {}", dir.display())))?;
        Ok(Self { dir: Arc::new(dir.to_owned()), naming: Arc::default(), rows: Rows::open(&dir.join(ROWS))? })
    }

    /// Gives a spool file its name, durably.
    async fn name(&self, file: &Path, meta: &Meta) -> Result<(), Error> {
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
        .await
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
    fn put<'a>(&'a self, source: Source<'a>, meta: &'a Meta) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            match source {
                Source::Bytes(bytes) => {
                    self.rows.put(bytes, meta).await?;
                    fault::point("blob_row_put");
                }
                Source::File(file) => {
                    self.name(file, meta).await?;
                    // The same bytes in a row would hide the file and what is known about it now.
                    let sha256 = meta.sha256.clone();
                    if let Some(hidden) = self.rows.read(move |sql| rows::meta(sql, &sha256)).await? {
                        self.rows.replace(&hidden, Some(meta)).await?;
                    }
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn meta<'a>(&'a self, sha256: &'a str) -> BoxFuture<'a, Result<Option<Meta>, Error>> {
        let sha256 = sha256.to_owned();
        async move {
            if !is_name(&sha256) {
                return Ok(None);
            }
            let dir = Arc::clone(&self.dir);
            let known = self.rows.read(move |sql| {
                let row = rows::meta(sql, &sha256)?;
                Ok(row.map_or_else(|| read_meta(&dir, &sha256), |row| Ok(Some(row))))
            });
            known.await?.map_err(Error::io("reading about a blob"))
        }
        .boxed()
    }

    fn read<'a>(&'a self, sha256: &'a str, start: u64, len: u64) -> BoxFuture<'a, Result<Option<Bytestream>, Error>> {
        async move {
            // Only a hash names a file, so no name leaves the directory.
            if !is_name(sha256) {
                return Ok(None);
            }
            let name = sha256.to_owned();
            if let Some(bytes) = self.rows.read(move |sql| rows::bytes(sql, &name, start, len)).await? {
                return Ok(Some(futures::stream::once(std::future::ready(Ok(bytes.into()))).boxed()));
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
        async move {
            let name = after.to_owned();
            let files = self.blocking("listing blobs", move |dir, _| list_files(dir, &name, limit)).await?;
            let name = after.to_owned();
            let rows = self.rows.read(move |sql| rows::list(sql, &name, limit)).await?;
            let all = files.into_iter().chain(rows).map(|meta| (meta.sha256.clone(), meta));
            Ok(all.collect::<BTreeMap<_, _>>().into_values().take(limit).collect())
        }
        .boxed()
    }

    fn describe<'a>(&'a self, seen: &'a Meta, new: &'a Meta) -> BoxFuture<'a, Result<bool, Error>> {
        async move {
            if let Some(done) = self.rows.replace(seen, Some(new)).await? {
                return Ok(done);
            }
            let (seen, new) = (seen.clone(), new.clone());
            let described = self.blocking("describing a blob", move |dir, naming| {
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
            });
            described.await
        }
        .boxed()
    }

    fn delete<'a>(&'a self, seen: &'a Meta) -> BoxFuture<'a, Result<bool, Error>> {
        async move {
            // A file that a row hid is as old as what was seen, or older: it goes with the row, when its own time comes.
            if let Some(done) = self.rows.replace(seen, None).await? {
                return Ok(done);
            }
            let seen = seen.clone();
            let deleted = self.blocking("deleting a blob", move |dir, naming| {
                let _held = naming.lock().unwrap_or_else(PoisonError::into_inner);
                if read_meta(dir, &seen.sha256)?.as_ref() != Some(&seen) {
                    return Ok(false);
                }
                std::fs::remove_file(dir.join(&seen.sha256))?;
                // Metadata that stays behind is overwritten by the next blob of the name.
                let _ = std::fs::remove_file(meta_path(dir, &seen.sha256));
                Ok(true)
            });
            deleted.await
        }
        .boxed()
    }

    fn url(&self, _: &str, _: &str, _: i64, _: i64) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

/// Of the files alone.
fn list_files(dir: &Path, after: &str, limit: usize) -> std::io::Result<Vec<Meta>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str().filter(|name| is_name(name) && *name > after) else { continue };
        names.insert(name.to_owned());
        // The first `limit` names alone are kept, however many files there are.
        if names.len() > limit {
            names.pop_last();
        }
    }
    // One that went meanwhile is passed over.
    names.iter().filter_map(|name| read_meta(dir, name).transpose()).collect()
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
