//! Uploads in parts: what came stays if the connection breaks off or the proxy dies, and goes on where it ended.
//!
//! Each part is a blob of its own, under a header that no other part has, so that parts are never shared. What is there
//! is a small record that is changed by compare-and-set: two who send the same part at once cannot both add it, and any
//! proxy of a store can take the next one. The last part makes the file whole: it is looked at like any other upload.

use std::sync::Arc;

use axum::body::Body;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tracing::Instrument;

use super::app::App;
use super::blobs::{self, About, CONDEMNED_MS, Incoming};
use super::error::{ApiError, ApiResult};
use super::store::{self, Entry, EntryKind, Records, UploadRow};
use super::{clock, fault, inputs};

/// How long an upload under way is kept, ms.
pub(crate) const LIFE_MS: i64 = 86_400_000;

/// Uploads under way of one owner.
const MOST_OPEN: usize = 32;

/// How much of the largest upload those of one owner may have declared together.
const MOST_DECLARED: u64 = 4;

/// Parts of one upload; who sends smaller ones than this allows would fill the record.
const MOST_PARTS: usize = 2_000;

/// What is known about an upload under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Under {
    /// Size of the whole file.
    bytes: u64,
    name: Option<String>,
    created_at_ms: i64,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    /// Of its blob, which begins with the part's header.
    sha256: String,
    /// Of the file's own bytes.
    bytes: u64,
}

/// An upload under way.
pub(crate) struct Upload {
    entry: Entry,
    under: Under,
}

impl Upload {
    /// The upload of this name and owner, if it is under way.
    pub(crate) async fn find(app: &App, owner: &str, id: &str) -> ApiResult<Option<Self>> {
        let Some(entry) = app.store.records().entry(EntryKind::Upload, id).await? else { return Ok(None) };
        if entry.belongs_to != owner || entry.due_ms <= clock::now_ms() {
            return Ok(None);
        }
        let under = serde_json::from_str(&entry.record).map_err(store::Error::from)?;
        Ok(Some(Self { entry, under }))
    }

    /// Begins an upload of a file of so many bytes.
    pub(crate) async fn begin(app: &App, owner: &str, bytes: u64, name: Option<String>) -> ApiResult<Self> {
        let limit = app.config.max_upload_bytes;
        if bytes > limit {
            let message = format!("the file has {bytes} bytes; the limit of this proxy is {limit}");
            return Err(ApiError::too_large("file_too_large", message).at("upload-length"));
        }
        app.blobs.refuse_if_full()?;
        let open = app.store.records().entries_of(EntryKind::Upload, owner, MOST_OPEN).await?;
        let records = open.iter().map(|entry| serde_json::from_str(&entry.record).map_err(store::Error::from));
        let declared: u64 = records.collect::<Result<Vec<Under>, _>>()?.iter().map(|under| under.bytes).sum();
        if open.len() >= MOST_OPEN || declared.saturating_add(bytes) > limit.saturating_mul(MOST_DECLARED) {
            let n = open.len();
            let message = format!("{n} uploads of yours are under way with {declared} bytes; end or delete some first");
            return Err(ApiError::busy("too_many_uploads", message));
        }
        let created_at_ms = clock::now_ms();
        let under = Under { bytes, name, created_at_ms, parts: Vec::new() };
        let entry = Entry {
            kind: EntryKind::Upload,
            name: format!("upload_{}", ulid::Ulid::new().to_string().to_ascii_lowercase()),
            belongs_to: owner.to_owned(),
            due_ms: created_at_ms + LIFE_MS,
            version: 1,
            record: serde_json::to_string(&under).map_err(store::Error::from)?,
        };
        if app.store.records().put_entry(&entry).await? {
            return Ok(Self { entry, under });
        }
        Err(ApiError::internal("an upload of a new name is there already"))
    }

    /// Its name.
    pub(crate) fn id(&self) -> &str {
        &self.entry.name
    }

    /// Bytes that are there.
    pub(crate) fn offset(&self) -> u64 {
        self.under.parts.iter().map(|part| part.bytes).sum()
    }

    /// Bytes of the whole file.
    pub(crate) fn bytes(&self) -> u64 {
        self.under.bytes
    }

    /// What its user sees.
    pub(crate) fn view(&self) -> Value {
        json!({"id": self.id(), "state": "open", "offset": self.offset(), "bytes": self.bytes(), "expires_at_ms": self.entry.due_ms})
    }

    /// Takes what comes at the end of what is there; as much of it as came, if it breaks off.
    pub(crate) async fn append(mut self, app: &App, body: Body) -> ApiResult<Self> {
        let (offset, bytes) = (self.offset(), self.bytes());
        let mut incoming = app.blobs.begin().await?;
        incoming.write(self.header(offset).into()).await?;
        let (mut body, mut n, mut broken) = (body.into_data_stream(), 0, None);
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => {
                    n += chunk.len() as u64;
                    if offset + n > bytes {
                        let message = format!("the body goes beyond the {bytes} bytes of the file");
                        return Err(ApiError::too_large("beyond_the_end", message));
                    }
                    incoming.write(chunk).await?;
                }
                Err(error) => {
                    broken = Some(error.to_string());
                    break;
                }
            }
        }
        if n > 0 {
            self = self.with_part(app, incoming, n).await?;
        }
        match broken {
            // Nobody is there to read it; what came is kept.
            Some(reason) => Err(ApiError::malformed("body_broken_off", format!("the body broke off: {reason}"))),
            None => Ok(self),
        }
    }

    /// What a part's blob begins with, so that it is like no other blob.
    fn header(&self, offset: u64) -> String {
        format!("{} {offset}\n", self.id())
    }

    async fn with_part(mut self, app: &App, incoming: Incoming, bytes: u64) -> ApiResult<Self> {
        if self.under.parts.len() >= MOST_PARTS {
            let message = format!("the upload has {MOST_PARTS} parts, the most; begin a new one and send larger parts");
            return Err(ApiError::conflict("too_many_parts", message));
        }
        let about = About {
            owner: self.entry.belongs_to.clone(),
            name: None,
            media_type: "application/octet-stream".to_owned(),
            keep_ms: Some(self.entry.due_ms - clock::now_ms() + CONDEMNED_MS),
        };
        let stored = app.blobs.keep(incoming, about).await?;
        fault::point("upload_part_kept");
        self.under.parts.push(Part { sha256: stored.sha256.clone(), bytes });
        self.entry.version += 1;
        self.entry.record = serde_json::to_string(&self.under).map_err(store::Error::from)?;
        if app.store.records().put_entry(&self.entry).await? {
            return Ok(self);
        }
        app.blobs.condemn(&stored.sha256, clock::now_ms()).await?;
        Err(ApiError::conflict(
            "wrong_offset",
            "another request added to this upload at the same time; ask for its offset",
        ))
    }

    /// Makes the whole file of its parts and keeps it if it is audio; what is none is deleted.
    pub(crate) async fn complete(self, app: &App) -> ApiResult<UploadRow> {
        let mut incoming = app.blobs.begin().await?;
        let mut offset = 0;
        for part in &self.under.parts {
            let start = self.header(offset).len() as u64;
            let bytes = app.blobs.store().read(&part.sha256, start, part.bytes).await?;
            let mut bytes = bytes.ok_or_else(|| ApiError::internal(format!("a part of {} is missing", self.id())))?;
            while let Some(piece) = bytes.next().await {
                incoming.write(piece.map_err(blobs::reading)?).await?;
            }
            offset += part.bytes;
        }
        fault::point("upload_joined");
        let (owner, name) = (self.entry.belongs_to.clone(), self.under.name.clone());
        let kept = inputs::keep_audio(app, &owner, incoming, name.as_deref()).await;
        let (stored, audio) = match kept {
            Ok(kept) => kept,
            Err(error) => {
                if error.is_of_the_client() {
                    self.end(app).await?;
                }
                return Err(error);
            }
        };
        let row = UploadRow {
            id: self.id().to_owned(),
            owner,
            sha256: stored.sha256,
            bytes: stored.bytes,
            name,
            audio,
            created_at_ms: clock::now_ms(),
        };
        match app.store.put(Records { upload: Some(row.clone()), ..Records::default() }).await {
            // Completed before, by a request whose answer was lost.
            Ok(()) | Err(store::Error::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        fault::point("upload_completed");
        self.end(app).await?;
        Ok(row)
    }

    /// Ends it; its parts go.
    pub(crate) async fn end(self, app: &App) -> ApiResult<()> {
        app.store.drop_entry(EntryKind::Upload, self.id()).await?;
        for part in &self.under.parts {
            app.blobs.condemn(&part.sha256, clock::now_ms()).await?;
        }
        Ok(())
    }
}

/// Ends the uploads under way whose time is over; how many.
pub(crate) async fn sweep(app: &App, now_ms: i64, limit: usize) -> ApiResult<usize> {
    let due = app.store.records().entries(EntryKind::Upload, now_ms, limit).await?;
    let n = due.len();
    for entry in due {
        let under = serde_json::from_str(&entry.record).map_err(store::Error::from)?;
        Upload { entry, under }.end(app).await?;
    }
    Ok(n)
}

/// Takes a part in a task of its own: it is kept even if its sender is gone. The upload as it is then.
pub(crate) async fn append(app: Arc<App>, upload: Upload, body: Body) -> ApiResult<Upload> {
    let appending = async move { upload.append(&app, body).await };
    tokio::spawn(appending.in_current_span()).await.map_err(ApiError::internal)?
}
