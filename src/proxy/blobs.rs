//! Inputs as files named by their SHA-256, and the signed URLs under which others may fetch them.

use std::io::SeekFrom;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, Take};

use super::error::{ApiError, ApiResult};

/// How long a URL works, ms: long enough for a slow download to start again.
pub(crate) const URL_LIFE_MS: i64 = 600_000;

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// An input on its way in: a file without a name until it is complete.
pub(crate) struct Incoming {
    file: File,
    path: PathBuf,
    hash: Sha256,
    n_bytes: u64,
    limit_bytes: u64,
    is_kept: bool,
}

impl Incoming {
    /// Adds bytes; refuses those over the limit.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> ApiResult<()> {
        self.n_bytes += bytes.len() as u64;
        if self.n_bytes > self.limit_bytes {
            let limit = self.limit_bytes;
            return Err(ApiError::too_large(
                "file_too_large",
                format!("file has more than {limit} bytes, the limit of this proxy"),
            )
            .at("file"));
        }
        self.hash.update(bytes);
        self.file.write_all(bytes).await.map_err(ApiError::internal)
    }

    /// The file so far, for a look at its header.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of the bytes so far, lower-case hex.
    pub(crate) fn sha256(&self) -> String {
        hex::encode(self.hash.clone().finalize())
    }

    /// Number of bytes so far.
    pub(crate) fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Brings what was written to the file, so that others who open it see it.
    pub(crate) async fn flush(&mut self) -> ApiResult<()> {
        self.file.flush().await.map_err(ApiError::internal)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.is_kept {
            // Not there any more is as good as removed.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The directory of inputs.
pub(crate) struct Blobs {
    dir: PathBuf,
    parts: PathBuf,
    limit_bytes: u64,
    secret: [u8; 32],
}

impl Blobs {
    /// Opens the directory; what an earlier run left half-written is removed.
    pub(crate) fn open(data_dir: &Path, limit_bytes: u64, secret: [u8; 32]) -> crate::Result<Self> {
        let (dir, parts) = (data_dir.join("blobs"), data_dir.join("blobs.part"));
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| crate::Error::Io { path, source }
        };
        if parts.exists() {
            std::fs::remove_dir_all(&parts).map_err(io(&parts))?;
        }
        std::fs::create_dir_all(&dir).map_err(io(&dir))?;
        std::fs::create_dir_all(&parts).map_err(io(&parts))?;
        Ok(Self { dir, parts, limit_bytes, secret })
    }

    /// Begins a new input.
    pub(crate) async fn begin(&self) -> ApiResult<Incoming> {
        let path = self.parts.join(ulid::Ulid::new().to_string());
        let file = File::create_new(&path).await.map_err(ApiError::internal)?;
        let (hash, limit_bytes) = (Sha256::new(), self.limit_bytes);
        Ok(Incoming { file, path, hash, n_bytes: 0, limit_bytes, is_kept: false })
    }

    /// Makes an input durable under its hash.
    pub(crate) async fn keep(&self, mut incoming: Incoming) -> ApiResult<Stored> {
        incoming.flush().await?;
        incoming.file.sync_all().await.map_err(ApiError::internal)?;
        let sha256 = incoming.sha256();
        let (from, to, dir) = (incoming.path.clone(), self.dir.join(&sha256), self.dir.clone());
        // The rename is durable once the directory is.
        let moved = tokio::task::spawn_blocking(move || {
            std::fs::rename(&from, &to)?;
            std::fs::File::open(&dir)?.sync_all()
        });
        moved.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?;
        incoming.is_kept = true;
        Ok(Stored { sha256, bytes: incoming.n_bytes })
    }

    /// Stores a whole stream of at most `limit_bytes`.
    pub(crate) async fn receive_at_most<E: std::fmt::Display>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
        limit_bytes: u64,
    ) -> ApiResult<Incoming> {
        let mut incoming = self.begin().await?;
        incoming.limit_bytes = limit_bytes.min(self.limit_bytes);
        fill(incoming, body).await
    }

    /// Stores a whole stream.
    pub(crate) async fn receive<E: std::fmt::Display>(
        &self,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> ApiResult<Incoming> {
        self.receive_at_most(body, self.limit_bytes).await
    }

    /// Bytes `start..start + len` of an input; `None` if it is not there.
    pub(crate) async fn read(&self, sha256: &str, start: u64, len: u64) -> ApiResult<Option<Take<File>>> {
        let Some(path) = self.path(sha256) else { return Ok(None) };
        let mut file = match File::open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ApiError::internal(error)),
        };
        file.seek(SeekFrom::Start(start)).await.map_err(ApiError::internal)?;
        Ok(Some(file.take(len)))
    }

    /// A blob as a file of its own, for decoders; `None` if it is not there.
    pub(crate) async fn open_file(&self, sha256: &str) -> ApiResult<Option<std::fs::File>> {
        let Some(file) = self.read(sha256, 0, u64::MAX).await? else { return Ok(None) };
        Ok(Some(file.into_inner().into_std().await))
    }

    /// Number of bytes of an input; `None` if it is not there.
    pub(crate) async fn len(&self, sha256: &str) -> Option<u64> {
        tokio::fs::metadata(self.path(sha256)?).await.ok().map(|meta| meta.len())
    }

    /// Query of the URL under which `holder` may fetch an input until `expires_ms`.
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

    /// Only a hash names a file, so no name leaves the directory.
    fn path(&self, sha256: &str) -> Option<PathBuf> {
        let is_hash = sha256.len() == 64 && sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        is_hash.then(|| self.dir.join(sha256))
    }
}

async fn fill<E: std::fmt::Display>(
    mut incoming: Incoming,
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
) -> ApiResult<Incoming> {
    while let Some(chunk) = body.next().await {
        let chunk =
            chunk.map_err(|error| ApiError::malformed("body_broken_off", format!("the body broke off: {error}")))?;
        incoming.write(&chunk).await?;
    }
    Ok(incoming)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(dir: &Path) -> Blobs {
        Blobs::open(dir, 10, [7; 32]).unwrap()
    }

    fn body(parts: &[&'static str]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Unpin + use<> {
        let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part.as_bytes()))).collect();
        futures::stream::iter(parts)
    }

    #[tokio::test]
    async fn what_was_stored_is_read_by_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = open(dir.path());
        let incoming = blobs.receive(body(&["ab", "c"])).await.unwrap();
        let stored = blobs.keep(incoming).await.unwrap();
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        assert_eq!(stored.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!((stored.bytes, blobs.len(&stored.sha256).await), (3, Some(3)));
        let mut text = String::new();
        let mut part = blobs.read(&stored.sha256, 1, 2).await.unwrap().unwrap();
        part.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "bc");
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

    #[tokio::test]
    async fn a_name_that_is_no_hash_is_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = open(dir.path());
        for name in ["../hotkey.seed", "", "BA", &"z".repeat(64)] {
            assert!(blobs.read(name, 0, 1).await.unwrap().is_none(), "{name}");
        }
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
