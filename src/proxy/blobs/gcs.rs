//! Blobs as objects `blobs/SHA256` of a bucket of Cloud Storage, which Firebase's storage is, by its JSON API.

use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use reqwest::{Method, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::{BlobStore, Bytestream, Error, Meta, Source, is_name};
use crate::proxy::google::{self, Google, Signed, checked};

/// Where the API is.
const ENDPOINT: &str = "https://storage.googleapis.com";

/// Bytes that are sent at a time, a multiple of 256 KiB as the protocol asks; what a broken connection costs at the most.
const CHUNK_BYTES: usize = 8 << 20;

/// How often one part of an upload is tried.
const TRIES: u32 = 5;

/// A bucket.
pub(crate) struct Bucket {
    google: Arc<Google>,
    endpoint: String,
    name: String,
}

impl Bucket {
    /// The bucket of this name; of an emulator where one is named by its URL.
    pub(crate) fn new(google: Arc<Google>, name: &str, emulator: Option<&str>) -> Self {
        let endpoint = emulator.unwrap_or(ENDPOINT).trim_end_matches('/');
        let endpoint = if endpoint.contains("://") { endpoint.to_owned() } else { format!("http://{endpoint}") };
        Self { google, endpoint, name: name.to_owned() }
    }

    /// Whether the bucket is there and may be used.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        let url = format!("{}/storage/v1/b/{}/o?maxResults=1", self.endpoint, self.name);
        self.google.json(Method::GET, &url, None).await.map(|_| ()).map_err(|error| self.failed(&error))
    }

    fn object_url(&self, sha256: &str) -> String {
        format!("{}/storage/v1/b/{}/o/blobs%2F{sha256}", self.endpoint, self.name)
    }

    fn failed(&self, error: &google::Error) -> Error {
        let message = format!("gs://{}: {error}", self.name);
        if error.is_passing() { Error::Unavailable(message) } else { Error::Refused(message) }
    }

    /// The object's own description; `None` if it is not there.
    async fn object(&self, sha256: &str) -> Result<Option<Value>, Error> {
        match self.google.json(Method::GET, &self.object_url(sha256), None).await {
            Ok(object) => Ok(Some(object)),
            Err(google::Error::Answer { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The object's URL for a request that holds only while the blob is as `seen` says; `None` if it is not.
    async fn unchanged_url(&self, seen: &Meta) -> Result<Option<String>, Error> {
        let Some(object) = self.object(&seen.sha256).await? else { return Ok(None) };
        if described(&object).as_ref() != Some(seen) {
            return Ok(None);
        }
        // What is renewed between the look and the request is of another generation.
        let generation = |name: &str| object[name].as_str().unwrap_or("0");
        Ok(Some(format!(
            "{}?ifGenerationMatch={}&ifMetagenerationMatch={}",
            self.object_url(&seen.sha256),
            generation("generation"),
            generation("metageneration")
        )))
    }

    /// Whether a request under such a URL was done.
    fn held(&self, done: Result<(), google::Error>) -> Result<bool, Error> {
        match done {
            Ok(()) => Ok(true),
            Err(google::Error::Answer { status: StatusCode::NOT_FOUND | StatusCode::PRECONDITION_FAILED, .. }) => {
                Ok(false)
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// Sends bytes in parts; what was not taken is sent again, from where the store says that it is.
    async fn upload(&self, source: &Source<'_>, meta: &Meta) -> Result<(), google::Error> {
        let url = format!(
            "{}/upload/storage/v1/b/{}/o?uploadType=resumable&name=blobs%2F{}",
            self.endpoint, self.name, meta.sha256
        );
        let about = json!({
            "contentType": meta.media_type, "cacheControl": "private, max-age=600, immutable", "metadata": custom(meta),
        });
        let begin = self.google.request(Method::POST, &url).await?;
        let begin =
            begin.header(header::CONTENT_TYPE, "application/json").header("x-upload-content-type", &meta.media_type);
        let session = checked(begin.body(about.to_string()).send().await?).await?;
        let session = session.headers().get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let session = session.ok_or_else(|| google::Error::Lost("an upload has no session".to_owned()))?;
        let mut at = 0;
        let mut n_failed = 0;
        loop {
            match self.send_part(&session, source, at, meta).await {
                Ok(None) => return Ok(()),
                Ok(Some(next)) if next > at => (at, n_failed) = (next, 0),
                Err(error) if !error.is_passing() => return Err(error),
                failed => {
                    n_failed += 1;
                    if n_failed >= TRIES {
                        return failed.and(Err(google::Error::Lost("an upload does not get on".to_owned())));
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(50 << n_failed)).await;
                    match self.ask_position(&session, meta.bytes).await {
                        Ok(None) => return Ok(()),
                        Ok(Some(next)) => at = next,
                        // Asked again with the next part.
                        Err(error) => tracing::debug!(%error, "an upload's position is not known"),
                    }
                }
            }
        }
    }

    /// Sends the part at `at`; the next position, or none when all of it is there.
    async fn send_part(
        &self,
        session: &str,
        source: &Source<'_>,
        at: u64,
        meta: &Meta,
    ) -> Result<Option<u64>, google::Error> {
        let part = source.part(at).await;
        let part = part.map_err(|error| google::Error::Account(format!("reading the spool file: {error}")))?;
        let range = match part.len() as u64 {
            0 => format!("bytes */{}", meta.bytes),
            n => format!("bytes {at}-{}/{}", at + n - 1, meta.bytes),
        };
        let request = self.google.request(Method::PUT, session).await?;
        let request = request.header(header::CONTENT_TYPE, &meta.media_type).header(header::CONTENT_RANGE, range);
        position(request.body(part).send().await?).await
    }

    async fn ask_position(&self, session: &str, total: u64) -> Result<Option<u64>, google::Error> {
        let request = self.google.request(Method::PUT, session).await?;
        let request = request.header(header::CONTENT_RANGE, format!("bytes */{total}"));
        position(request.header(header::CONTENT_LENGTH, 0).send().await?).await
    }
}

impl Source<'_> {
    /// At most [`CHUNK_BYTES`] from `at` on.
    async fn part(&self, at: u64) -> io::Result<Vec<u8>> {
        match self {
            Self::File(file) => {
                let mut file = tokio::fs::File::open(file).await?;
                file.seek(io::SeekFrom::Start(at)).await?;
                let mut part = Vec::new();
                file.take(CHUNK_BYTES as u64).read_to_end(&mut part).await?;
                Ok(part)
            }
            Self::Bytes(bytes) => {
                let left = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                Ok(left[..left.len().min(CHUNK_BYTES)].to_vec())
            }
        }
    }
}

/// Where an upload stands; none when all of it is there.
async fn position(answer: reqwest::Response) -> Result<Option<u64>, google::Error> {
    if answer.status() != StatusCode::PERMANENT_REDIRECT {
        return checked(answer).await.map(|_| None);
    }
    // 308 without a range: nothing was taken yet.
    let range = answer.headers().get(header::RANGE).and_then(|value| value.to_str().ok()?.rsplit('-').next());
    Ok(Some(range.and_then(|last| last.parse::<u64>().ok()).map_or(0, |last| last + 1)))
}

/// What is known about a blob as the object's own metadata, which are texts.
fn custom(meta: &Meta) -> Value {
    json!({
        "owner": meta.owner, "name": meta.name.as_deref().unwrap_or_default(),
        "stored_at_ms": meta.stored_at_ms.to_string(), "keep_until_ms": meta.keep_until_ms.to_string(),
        "is_condemned": meta.is_condemned.to_string(),
    })
}

/// What is known about a blob, of its object; `None` for an object that the proxy did not make.
fn described(object: &Value) -> Option<Meta> {
    let sha256 = object["name"].as_str()?.strip_prefix("blobs/").filter(|name| is_name(name))?;
    let custom = |name: &str| object["metadata"][name].as_str();
    let number = |name: &str| custom(name)?.parse::<i64>().ok();
    Some(Meta {
        sha256: sha256.to_owned(),
        bytes: object["size"].as_str()?.parse().ok()?,
        media_type: object["contentType"].as_str().unwrap_or("application/octet-stream").to_owned(),
        name: custom("name").filter(|name| !name.is_empty()).map(str::to_owned),
        owner: custom("owner").unwrap_or_default().to_owned(),
        stored_at_ms: number("stored_at_ms")?,
        keep_until_ms: number("keep_until_ms")?,
        is_condemned: custom("is_condemned") == Some("true"),
    })
}

impl BlobStore for Bucket {
    fn put<'a>(&'a self, source: Source<'a>, meta: &'a Meta) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            if let Some(there) = self.object(&meta.sha256).await?
                && described(&there).is_some_and(|there| there.bytes == meta.bytes)
            {
                // The same bytes: only what is known about them is new.
                let body = json!({"contentType": meta.media_type, "metadata": custom(meta)});
                match self.google.json(Method::PATCH, &self.object_url(&meta.sha256), Some(&body)).await {
                    Ok(_) => return Ok(()),
                    // The sweep was faster.
                    Err(google::Error::Answer { status: StatusCode::NOT_FOUND, .. }) => {}
                    Err(error) => return Err(self.failed(&error)),
                }
            }
            self.upload(&source, meta).await.map_err(|error| self.failed(&error))
        }
        .boxed()
    }

    fn meta<'a>(&'a self, sha256: &'a str) -> BoxFuture<'a, Result<Option<Meta>, Error>> {
        async move {
            if !is_name(sha256) {
                return Ok(None);
            }
            Ok(self.object(sha256).await?.as_ref().and_then(described))
        }
        .boxed()
    }

    fn read<'a>(&'a self, sha256: &'a str, start: u64, len: u64) -> BoxFuture<'a, Result<Option<Bytestream>, Error>> {
        async move {
            if !is_name(sha256) {
                return Ok(None);
            }
            let url = format!("{}?alt=media", self.object_url(sha256));
            let mut request = self.google.request(Method::GET, &url).await.map_err(|error| self.failed(&error))?;
            // No range can ask for nothing, and an object of no bytes has none.
            if len > 0 {
                request = request.header(header::RANGE, format!("bytes={start}-{}", start.saturating_add(len - 1)));
            }
            let answer = request.send().await.map_err(|error| self.failed(&error.into()))?;
            match checked(answer).await {
                Ok(_) if len == 0 => Ok(Some(futures::stream::empty().boxed())),
                Ok(answer) => {
                    let bytes = answer.bytes_stream();
                    Ok(Some(bytes.map(|part| part.map_err(|error| io::Error::other(error.without_url()))).boxed()))
                }
                Err(google::Error::Answer { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
                Err(error) => Err(self.failed(&error)),
            }
        }
        .boxed()
    }

    fn list<'a>(&'a self, after: &'a str, limit: usize) -> BoxFuture<'a, Result<Vec<Meta>, Error>> {
        async move {
            // `startOffset` is of the list: one more, for the name itself.
            let url = format!(
                "{}/storage/v1/b/{}/o?prefix=blobs%2F&startOffset=blobs%2F{after}&maxResults={}",
                self.endpoint,
                self.name,
                limit + 1
            );
            let page = self.google.json(Method::GET, &url, None).await.map_err(|error| self.failed(&error))?;
            let objects = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
            let blobs = objects.iter().filter_map(described).filter(|meta| meta.sha256.as_str() > after);
            Ok(blobs.take(limit).collect())
        }
        .boxed()
    }

    fn describe<'a>(&'a self, seen: &'a Meta, new: &'a Meta) -> BoxFuture<'a, Result<bool, Error>> {
        async move {
            let Some(url) = self.unchanged_url(seen).await? else { return Ok(false) };
            let body = json!({"contentType": new.media_type, "metadata": custom(new)});
            self.held(self.google.json(Method::PATCH, &url, Some(&body)).await.map(|_| ()))
        }
        .boxed()
    }

    fn delete<'a>(&'a self, seen: &'a Meta) -> BoxFuture<'a, Result<bool, Error>> {
        async move {
            let Some(url) = self.unchanged_url(seen).await? else { return Ok(false) };
            let request = self.google.request(Method::DELETE, &url).await.map_err(|error| self.failed(&error))?;
            let answer = request.send().await.map_err(|error| self.failed(&error.into()))?;
            self.held(checked(answer).await.map(|_| ()))
        }
        .boxed()
    }

    fn url(&self, method: &str, sha256: &str, now_ms: i64, life_ms: i64) -> Result<Option<String>, Error> {
        let object = format!("blobs/{sha256}");
        let (endpoint, bucket) = (self.endpoint.as_str(), self.name.as_str());
        match self.google.account() {
            Some(account) => {
                let signed =
                    Signed { endpoint, method, bucket, object: &object, life_s: life_ms / 1_000, content_type: None };
                signed.url(account, now_ms).map(Some).map_err(|error| self.failed(&error))
            }
            // An emulator asks for no signature, and has no key to check one.
            None => Ok(Some(format!("{endpoint}/{bucket}/{object}"))),
        }
    }
}
