//! Files of a model repository on the Hugging Face hub, through the `hf-hub` crate.
//!
//! `hf-hub` knows the hub: its addresses, the token and who may see it after a redirect. Its own download loop has no
//! time limit and cannot be stopped, so the bytes are received here: a thread reads, the caller's thread writes,
//! hashes, reports progress and notices at once when the server is silent or the caller has had enough.

#[cfg(test)]
mod tests;
mod transfer;

use std::fs::File;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use hf_hub::api::sync::{Api, ApiBuilder, ApiRepo};
use hf_hub::{Repo, RepoType};
use serde_json::Value;
use sha2::{Digest, Sha256};

use self::transfer::{Part, request};
use crate::{Error, Result};

/// Where the hub is unless `HF_ENDPOINT` or the caller says otherwise.
const ENDPOINT: &str = "https://huggingface.co";
/// Largest accepted list of a repository's files.
const MAX_LISTING_BYTES: u64 = 16 << 20;
/// Largest accepted file of a model.
const MAX_FILE_BYTES: u64 = 64 << 30;
/// How often a waiting caller is asked whether it wants to go on.
const TICK: Duration = Duration::from_millis(100);

/// Which hub, as whom, and how long to wait for it.
#[derive(Debug, Clone)]
pub struct HubConfig {
    /// Address of the hub; `None`: `HF_ENDPOINT`, or huggingface.co.
    pub endpoint: Option<String>,
    /// Access token; `None`: the one that `hf auth login` stored, if any.
    pub token: Option<String>,
    /// Longest wait for the first answer to a request, name resolution and redirects included.
    pub answer_timeout: Duration,
    /// Longest silence in the middle of a file.
    pub stall_timeout: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            token: None,
            answer_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
        }
    }
}

/// A repository at one commit: what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The commit's full hash: fetching by it always gives the same bytes.
    pub commit: String,
    /// All files, in the hub's order.
    pub files: Vec<RemoteFile>,
}

/// A file in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteFile {
    /// Path inside the repository, with `/`.
    pub name: String,
    /// Size, where the hub says it.
    pub bytes: Option<u64>,
    /// SHA-256 in lower-case hex; the hub says it for large files only.
    pub sha256: Option<String>,
}

/// What a download wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Downloaded {
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of its content, lower-case hex.
    pub sha256: String,
}

/// Told the bytes so far and the total where it is known, at least every tenth of a second; `Break` cancels.
pub type OnProgress<'a> = &'a mut dyn FnMut(u64, Option<u64>) -> ControlFlow<()>;

/// A connection to the hub.
#[derive(Debug)]
pub struct Hub {
    api: Api,
    endpoint: String,
    config: HubConfig,
}

impl Hub {
    /// A hub as configured; nothing is sent yet.
    ///
    /// # Errors
    /// `InvalidInput` when the endpoint is no http address or the client cannot be set up.
    pub fn new(config: HubConfig) -> Result<Self> {
        let endpoint = config.endpoint.clone().or_else(|| std::env::var("HF_ENDPOINT").ok());
        let endpoint = endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/').to_owned();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(Error::InvalidInput(format!(
                "HF_ENDPOINT is {endpoint}; give an address that begins with https://"
            )));
        }
        let mut builder = ApiBuilder::from_env().with_progress(false).with_endpoint(endpoint.clone());
        builder = builder.with_user_agent("violet", env!("CARGO_PKG_VERSION"));
        if config.token.is_some() {
            builder = builder.with_token(config.token.clone());
        }
        let api = builder.build().map_err(|error| Error::InvalidInput(format!("hub client: {error}")))?;
        Ok(Self { api, endpoint, config })
    }

    /// The commit that a revision (branch, tag or hash) means now, and its files.
    ///
    /// # Errors
    /// `NotFound` for an unknown repository or revision, `Network` when the hub is silent or answers nonsense,
    /// `Cancelled` when `on_progress` breaks.
    pub fn snapshot(&self, id: &str, revision: &str, on_progress: OnProgress<'_>) -> Result<Snapshot> {
        let repo = self.repo(id, revision)?;
        let mut listing = Vec::new();
        self.receive(repo, None, id, MAX_LISTING_BYTES, on_progress, &mut |chunk| {
            listing.extend_from_slice(chunk);
            Ok(())
        })?;
        parse_listing(&listing).ok_or_else(|| self.network(format!("the list of files of {id} is not the hub's")))
    }

    /// Write one file of a repository to `destination`, which is removed again if anything fails.
    ///
    /// # Errors
    /// Those of [`Hub::snapshot`]; `Io` when the file cannot be written.
    pub fn download(
        &self,
        id: &str,
        revision: &str,
        file: &str,
        destination: &Path,
        on_progress: OnProgress<'_>,
    ) -> Result<Downloaded> {
        if file.split('/').any(|part| part.is_empty() || part == "..") || !file.chars().all(is_path_char) {
            return Err(Error::InvalidInput(format!("{file:?} is no file name inside a repository")));
        }
        let repo = self.repo(id, revision)?;
        let io_error = |source| Error::Io { path: destination.to_owned(), source };
        let mut output = File::create(destination).map_err(io_error)?;
        let mut hasher = Sha256::new();
        let received = self
            .receive(repo, Some(file), &format!("{id}/{file}"), MAX_FILE_BYTES, on_progress, &mut |chunk| {
                hasher.update(chunk);
                output.write_all(chunk).map_err(io_error)
            })
            .and_then(|bytes| output.sync_all().map_err(io_error).map(|()| bytes));
        match received {
            Ok(bytes) => Ok(Downloaded { bytes, sha256: hex(&hasher.finalize()) }),
            Err(error) => {
                // The first error is the one to report.
                let _ = std::fs::remove_file(destination);
                Err(error)
            }
        }
    }

    fn repo(&self, id: &str, revision: &str) -> Result<ApiRepo> {
        let mut parts = id.split('/');
        let well_formed = matches!((parts.next(), parts.next(), parts.next()), (Some(a), Some(b), None)
            if [a, b].iter().all(|part| !part.is_empty() && !part.starts_with('.') && part.chars().all(is_name_char)));
        if !well_formed {
            return Err(Error::InvalidInput(format!("{id:?} is no hub id; expected ORGANISATION/NAME")));
        }
        if revision.is_empty() || revision.contains("..") || !revision.chars().all(is_path_char) {
            return Err(Error::InvalidInput(format!(
                "{revision:?} is no revision; expected a branch, a tag or a commit"
            )));
        }
        Ok(self.api.repo(Repo::with_revision(id.to_owned(), RepoType::Model, revision.to_owned())))
    }

    /// Request a file, or the list of them, and give the body to `sink` piece by piece; the number of bytes.
    fn receive(
        &self,
        repo: ApiRepo,
        file: Option<&str>,
        what: &str,
        limit_bytes: u64,
        on_progress: OnProgress<'_>,
        sink: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<u64> {
        let parts = request(repo, file, &self.config);
        let total = match self.next(&parts, self.config.answer_timeout, &mut || on_progress(0, None))? {
            Part::Head { status: 200, total } => total,
            Part::Head { status: 401 | 403, .. } => {
                return Err(Error::NotFound(format!(
                    "{what}: {} does not show it; if it is private or gated, set HF_TOKEN",
                    self.endpoint
                )));
            }
            Part::Head { status: 404, .. } => {
                return Err(Error::NotFound(format!("{what}: not on {}", self.endpoint)));
            }
            Part::Head { status, .. } => return Err(self.network(format!("answered {status} for {what}"))),
            part => return Err(self.unexpected(part, what)),
        };
        let mut bytes = 0;
        loop {
            match self.next(&parts, self.config.stall_timeout, &mut || on_progress(bytes, total))? {
                Part::Chunk(chunk) => {
                    bytes += chunk.len() as u64;
                    if bytes > limit_bytes || total.is_some_and(|total| total > limit_bytes) {
                        return Err(Error::TooLarge { what: "file on the hub", got_bytes: bytes, limit_bytes });
                    }
                    sink(&chunk)?;
                    if on_progress(bytes, total).is_break() {
                        return Err(Error::Cancelled);
                    }
                }
                Part::End if total.is_none_or(|total| total == bytes) => return Ok(bytes),
                part => return Err(self.unexpected(part, what)),
            }
        }
    }

    /// The next part of an answer, asking every [`TICK`] whether to go on.
    fn next(
        &self,
        parts: &Receiver<Part>,
        patience: Duration,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Part> {
        let start = Instant::now();
        loop {
            match parts.recv_timeout(TICK.min(patience)) {
                Ok(part) => return Ok(part),
                Err(RecvTimeoutError::Disconnected) => return Err(self.network("the connection ended".to_owned())),
                Err(RecvTimeoutError::Timeout) => {
                    if go_on().is_break() {
                        return Err(Error::Cancelled);
                    }
                    if start.elapsed() >= patience {
                        return Err(self.network(format!("no answer within {:.1} s", patience.as_secs_f64())));
                    }
                }
            }
        }
    }

    fn unexpected(&self, part: Part, what: &str) -> Error {
        match part {
            Part::Failed(reason) => self.network(reason),
            Part::Head { .. } | Part::Chunk(_) | Part::End => self.network(format!("{what} ended before its end")),
        }
    }

    fn network(&self, reason: String) -> Error {
        Error::Network { server: self.endpoint.clone(), reason }
    }
}

/// The hub's description of a repository at a revision; `None` when it is something else.
fn parse_listing(bytes: &[u8]) -> Option<Snapshot> {
    let listing: Value = serde_json::from_slice(bytes).ok()?;
    let commit = listing.get("sha")?.as_str().filter(|commit| is_commit(commit))?.to_owned();
    let file = |entry: &Value| {
        let sha256 = entry.get("lfs").and_then(|lfs| lfs.get("sha256")).and_then(Value::as_str);
        Some(RemoteFile {
            name: entry.get("rfilename")?.as_str()?.to_owned(),
            bytes: entry.get("size").and_then(Value::as_u64),
            sha256: sha256.map(str::to_ascii_lowercase),
        })
    };
    let files = listing.get("siblings")?.as_array()?.iter().map(file).collect::<Option<_>>()?;
    Some(Snapshot { commit, files })
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn is_path_char(c: char) -> bool {
    is_name_char(c) || c == '/'
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
