//! Blobs: bytes named by their SHA-256, with what is known about them, behind one trait.
//!
//! What comes in is spooled to a local file first, whatever the store: it has to be hashed to get its name and looked at
//! before it is kept. The same bytes again renew the blob's metadata. A blob is deleted by the sweep alone, in two steps:
//! past its time, and with nothing that refers to it, it is condemned; if still nothing does some minutes later, it goes.
//! Whoever read a record just before that was deleted has its own record stored by then.

#[cfg(test)]
mod conformance;
#[cfg(feature = "firebase")]
mod gcs;
#[cfg(test)]
mod histories;
mod incoming;
mod local;
mod rows;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncSeekExt, AsyncWriteExt};

#[cfg(feature = "firebase")]
pub(crate) use gcs::Bucket;
pub(crate) use incoming::Incoming;
pub(crate) use local::LocalBlobs;

use super::clock;
use super::error::{ApiError, ApiResult};
use super::fault;

/// How long a URL works, ms: long enough for a slow download to start again.
pub(crate) const URL_LIFE_MS: i64 = 600_000;

/// Time between the two steps in which a blob is deleted, ms: far longer than from the reading of a record that names it,
/// or from its own storing, to the storing of another record that does.
pub(crate) const CONDEMNED_MS: i64 = 300_000;

/// What can go wrong with blobs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The disk or the network failed.
    #[error("blobs: {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The store of the blobs refused, or said something that cannot be read.
    #[error("blobs: {0}")]
    Refused(String),
    /// The store of the blobs does not answer now.
    #[error("blobs: not available: {0}")]
    Unavailable(String),
    /// The file of the short ones.
    #[error("blobs: {0}")]
    Rows(#[from] super::store::Error),
}

impl Error {
    fn io(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { what: what.to_string(), source }
    }
}

/// What is known about a blob; kept beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta {
    /// Its name: SHA-256 of its bytes, lower-case hex.
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// Media type, such as `audio/flac`.
    pub(crate) media_type: String,
    /// The owner's name for it.
    pub(crate) name: Option<String>,
    /// Who stored it last.
    pub(crate) owner: String,
    pub(crate) stored_at_ms: i64,
    /// Until then it stays even if nothing refers to it.
    pub(crate) keep_until_ms: i64,
    /// Whether nothing referred to it when that was looked at, so that it is deleted at its time if still nothing does.
    #[serde(default)]
    pub(crate) is_condemned: bool,
}

/// Bytes of a blob as they come.
pub(crate) type Bytestream = BoxStream<'static, std::io::Result<Bytes>>;

/// Where a blob's bytes come from.
pub(crate) enum Source<'a> {
    /// From a complete and durable local file, which is gone afterwards or of no more use.
    File(&'a Path),
    /// They are few, and here.
    Bytes(Vec<u8>),
}

/// Where blobs live.
pub(crate) trait BlobStore: Send + Sync {
    /// Makes bytes durable under their hash.
    fn put<'a>(&'a self, source: Source<'a>, meta: &'a Meta) -> BoxFuture<'a, Result<(), Error>>;

    /// What is known about a blob; `None` if it is not there.
    fn meta<'a>(&'a self, sha256: &'a str) -> BoxFuture<'a, Result<Option<Meta>, Error>>;

    /// Bytes `start..start + len`; `None` if the blob is not there.
    fn read<'a>(&'a self, sha256: &'a str, start: u64, len: u64) -> BoxFuture<'a, Result<Option<Bytestream>, Error>>;

    /// Blobs in the order of their names, from behind `after`, at most `limit`.
    fn list<'a>(&'a self, after: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Meta>, Error>>;

    /// Replaces what is known about a blob if it is still as `seen` says; whether it did.
    fn describe<'a>(&'a self, seen: &'a Meta, new: &'a Meta) -> BoxFuture<'a, Result<bool, Error>>;

    /// Deletes a blob if it is still as `seen` says; whether it did.
    fn delete<'a>(&'a self, seen: &'a Meta) -> BoxFuture<'a, Result<bool, Error>>;

    /// A URL of the store's own under which anybody may `method` (`GET`, `PUT`) the blob for `life_ms` from `now_ms`;
    /// `None` where the proxy itself serves the bytes.
    fn url(&self, method: &str, sha256: &str, now_ms: i64, life_ms: i64) -> Result<Option<String>, Error>;
}

/// Whose bytes they are, and what they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct About {
    pub(crate) owner: String,
    pub(crate) name: Option<String>,
    pub(crate) media_type: String,
    /// How long they are kept even if nothing refers to them, ms; absent for the retention time.
    pub(crate) keep_ms: Option<i64>,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// The blobs of this proxy: a store, and the directory where what comes in is spooled.
pub(crate) struct Blobs {
    store: Arc<dyn BlobStore>,
    parts: PathBuf,
    bounds: Bounds,
    secret: [u8; 32],
}

/// What blobs may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Largest blob.
    pub(crate) limit_bytes: u64,
    /// How long one is kept at the least, ms.
    pub(crate) retention_ms: i64,
    /// Free space on the disk below which nothing new is taken.
    pub(crate) min_free_bytes: u64,
}

/// Refuses what is new where the disk of a directory has less free space than this, before it is full for everything else.
fn refuse_if_full(dir: &Path, min_free_bytes: u64) -> ApiResult<()> {
    let disk = rustix::fs::statvfs(dir).map_err(|error| Error::io("looking at the disk")(error.into()))?;
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free_bytes >= min_free_bytes { Ok(()) } else { Err(super::error::storage_low(free_bytes, min_free_bytes)) }
}

impl Blobs {
    /// Opens the spool directory below `data_dir`; what an earlier run left half-written is removed.
    pub(crate) fn open(
        store: Arc<dyn BlobStore>,
        data_dir: &Path,
        bounds: Bounds,
        secret: [u8; 32],
    ) -> crate::Result<Self> {
        let parts = data_dir.join("blobs.part");
        let io = |source| crate::Error::Io { path: parts.clone(), source };
        if parts.exists() {
            std::fs::remove_dir_all(&parts).map_err(io)?;
        }
        std::fs::create_dir_all(&parts).map_err(io)?;
        Ok(Self { store, parts, bounds, secret })
    }

    /// The store below.
    pub(crate) fn store(&self) -> &dyn BlobStore {
        self.store.as_ref()
    }

    /// Refuses what is new where the disk is nearly full.
    pub(crate) fn refuse_if_full(&self) -> ApiResult<()> {
        refuse_if_full(&self.parts, self.bounds.min_free_bytes)
    }

    /// Begins a new blob.
    pub(crate) async fn begin(&self) -> ApiResult<Incoming> {
        self.refuse_if_full()?;
        Incoming::new(self.parts.join(ulid::Ulid::new().to_string()), self.bounds).await
    }

    /// Makes a blob durable under its hash.
    pub(crate) async fn keep(&self, mut incoming: Incoming, about: About) -> ApiResult<Stored> {
        let sha256 = incoming.synced().await?;
        let meta = self.meta_of(sha256, incoming.n_bytes(), about);
        self.put(Source::File(incoming.path()), meta).await
    }

    /// Makes a blob of few bytes that are all there, such as a short text.
    pub(crate) async fn keep_bytes(&self, bytes: Vec<u8>, about: About) -> ApiResult<Stored> {
        self.refuse_if_full()?;
        let meta = self.meta_of(hex::encode(Sha256::digest(&bytes)), bytes.len() as u64, about);
        self.put(Source::Bytes(bytes), meta).await
    }

    fn meta_of(&self, sha256: String, bytes: u64, about: About) -> Meta {
        let now_ms = clock::now_ms();
        Meta {
            sha256,
            bytes,
            media_type: about.media_type,
            name: about.name,
            owner: about.owner,
            stored_at_ms: now_ms,
            keep_until_ms: now_ms.saturating_add(about.keep_ms.unwrap_or(self.bounds.retention_ms)),
            is_condemned: false,
        }
    }

    async fn put(&self, source: Source<'_>, meta: Meta) -> ApiResult<Stored> {
        fault::point("blob_part_written");
        self.store.put(source, &meta).await?;
        fault::point("blob_kept");
        Ok(Stored { sha256: meta.sha256, bytes: meta.bytes })
    }

    /// Lets a blob go that nothing refers to any more, without waiting for its time; the sweep does the rest.
    pub(crate) async fn condemn(&self, sha256: &str, now_ms: i64) -> ApiResult<()> {
        if let Some(meta) = self.store.meta(sha256).await? {
            let condemned = Meta { keep_until_ms: now_ms + CONDEMNED_MS, is_condemned: true, ..meta.clone() };
            // One that was renewed at this moment is somebody's.
            self.store.describe(&meta, &condemned).await?;
        }
        Ok(())
    }

    /// Spools a whole stream.
    pub(crate) async fn receive<E: std::fmt::Display>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> ApiResult<Incoming> {
        self.receive_at_most(body, self.bounds.limit_bytes).await
    }

    /// Spools a whole stream of at most `limit_bytes`.
    pub(crate) async fn receive_at_most<E: std::fmt::Display>(
        &self,
        mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        limit_bytes: u64,
    ) -> ApiResult<Incoming> {
        let mut incoming = self.begin().await?;
        incoming.limit(limit_bytes);
        while let Some(chunk) = body.next().await {
            let chunk = chunk
                .map_err(|error| ApiError::malformed("body_broken_off", format!("the body broke off: {error}")))?;
            incoming.write(chunk).await?;
        }
        Ok(incoming)
    }

    /// A blob as a local file, for decoders; `None` if it is not there.
    pub(crate) async fn open_file(&self, sha256: &str) -> ApiResult<Option<std::fs::File>> {
        let Some(meta) = self.store.meta(sha256).await? else { return Ok(None) };
        let Some(mut bytes) = self.store.read(sha256, 0, meta.bytes).await? else { return Ok(None) };
        let parts = self.parts.clone();
        // Without a name: it is gone when it is closed, however that happens.
        let copy = tokio::task::spawn_blocking(move || tempfile::tempfile_in(parts)).await;
        let copy = copy.map_err(ApiError::internal)?.map_err(Error::io("making a spool file"))?;
        let mut copy = File::from_std(copy);
        while let Some(part) = bytes.next().await {
            copy.write_all(&part.map_err(reading)?).await.map_err(Error::io("copying a blob"))?;
        }
        copy.flush().await.map_err(Error::io("copying a blob"))?;
        copy.rewind().await.map_err(Error::io("copying a blob"))?;
        Ok(Some(copy.into_std().await))
    }

    /// All bytes of a blob, if they are at most `limit_bytes`; `None` if it is not there.
    pub(crate) async fn bytes(&self, sha256: &str, limit_bytes: u64) -> ApiResult<Option<Vec<u8>>> {
        let Some(mut bytes) = self.store.read(sha256, 0, limit_bytes).await? else { return Ok(None) };
        let mut all = Vec::new();
        while let Some(part) = bytes.next().await {
            all.extend_from_slice(&part.map_err(reading)?);
        }
        Ok(Some(all))
    }

    /// URL under which `holder` may fetch a blob for [`URL_LIFE_MS`]: the store's own, or one of the proxy's.
    pub(crate) fn url(&self, public_url: &str, sha256: &str, holder: &str, now_ms: i64) -> ApiResult<String> {
        Ok(match self.store.url("GET", sha256, now_ms, URL_LIFE_MS)? {
            Some(url) => url,
            None => format!("{public_url}/v1/blobs/{sha256}?{}", self.query(sha256, holder, now_ms + URL_LIFE_MS)),
        })
    }

    /// Query of the proxy's URL under which `holder` may fetch a blob until `expires_ms`.
    pub(crate) fn query(&self, sha256: &str, holder: &str, expires_ms: i64) -> String {
        let signature = self.sign("GET", sha256, holder, expires_ms);
        format!("expires={expires_ms}&holder={holder}&signature={signature}")
    }

    /// The proxy's signature of one use of a blob: what is done with it, by whom, until when.
    pub(crate) fn sign(&self, method: &str, sha256: &str, holder: &str, expires_ms: i64) -> String {
        hex::encode(self.mac(method, sha256, holder, expires_ms).finalize().into_bytes())
    }

    /// Whether the proxy signed this; the comparison takes constant time.
    pub(crate) fn is_signed(&self, method: &str, sha256: &str, holder: &str, expires_ms: i64, signature: &str) -> bool {
        let mac = self.mac(method, sha256, holder, expires_ms);
        hex::decode(signature).is_ok_and(|bytes| mac.verify_slice(&bytes).is_ok())
    }

    #[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
    fn mac(&self, method: &str, sha256: &str, holder: &str, expires_ms: i64) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        mac.update(format!("violet/blob/1\n{method}\n{sha256}\n{expires_ms}\n{holder}").as_bytes());
        mac
    }
}

/// A failed read of a blob.
pub(crate) fn reading(source: std::io::Error) -> Error {
    Error::io("reading a blob")(source)
}

/// Whether a text can be a blob's name. Nothing else reaches a path or a URL of the store.
fn is_name(sha256: &str) -> bool {
    sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Media type of audio in a container of [`crate::audio::Info`].
pub(crate) fn media_type(container: &str) -> &'static str {
    match container {
        "wave" | "wav" => "audio/wav",
        "flac" => "audio/flac",
        "ogg" => "audio/ogg",
        "mp3" | "mp2" | "mp1" => "audio/mpeg",
        "aac" | "adts" => "audio/aac",
        "isomp4" | "mp4" => "audio/mp4",
        "mkv" | "matroska" | "webm" => "audio/webm",
        "aiff" => "audio/aiff",
        "caf" => "audio/x-caf",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Blobs {
        let bounds = Bounds { limit_bytes: 10, retention_ms: 1_000, min_free_bytes: 0 };
        Blobs::open(Arc::new(LocalBlobs::open(&dir.join("blobs")).unwrap()), dir, bounds, [7; 32]).unwrap()
    }

    fn body(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Unpin + use<> {
        let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
        futures::stream::iter(parts)
    }

    #[tokio::test]
    async fn what_was_stored_is_there_under_its_hash_with_what_is_known_about_it() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = open(dir.path());
        let incoming = blobs.receive(body(&["ab", "c"])).await.unwrap();
        let about =
            About { owner: "ann".into(), name: Some("a.wav".into()), media_type: "audio/wav".into(), keep_ms: None };
        let stored = blobs.keep(incoming, about).await.unwrap();
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        assert_eq!(stored.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        let meta = blobs.store().meta(&stored.sha256).await.unwrap().unwrap();
        assert_eq!((stored.bytes, meta.bytes, meta.owner.as_str()), (3, 3, "ann"));
        assert_eq!((meta.name.as_deref(), meta.media_type.as_str()), (Some("a.wav"), "audio/wav"));
        assert_eq!(meta.keep_until_ms, meta.stored_at_ms + 1_000);
        assert_eq!(std::fs::read_dir(dir.path().join("blobs.part")).unwrap().count(), 0, "nothing stays in the spool");
    }

    #[tokio::test]
    async fn too_much_is_refused_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = open(dir.path());
        assert!(blobs.receive(body(&["12345678", "901"])).await.is_err());
        assert_eq!(std::fs::read_dir(dir.path().join("blobs.part")).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn half_written_files_of_an_earlier_run_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        std::fs::write(dir.path().join("blobs.part/left"), "x").unwrap();
        drop(open(dir.path()));
        assert!(!dir.path().join("blobs.part/left").exists());
    }

    #[test]
    fn a_url_is_for_one_object_one_holder_one_method_and_one_time() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = open(dir.path());
        let query = blobs.query("aa", "5F", 9);
        let signature = query.rsplit_once('=').unwrap().1;
        assert!(blobs.is_signed("GET", "aa", "5F", 9, signature));
        assert!(!blobs.is_signed("HEAD", "aa", "5F", 9, signature));
        assert!(!blobs.is_signed("GET", "ab", "5F", 9, signature));
        assert!(!blobs.is_signed("GET", "aa", "5G", 9, signature));
        assert!(!blobs.is_signed("GET", "aa", "5F", 10, signature));
        assert!(!blobs.is_signed("GET", "aa", "5F", 9, ""));
    }
}
