//! `/v1/blobs`: files under signed URLs, inputs out and miners' audio in.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::claims::check_hash;
use super::ranges::{self, Source};
use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::blobs::{About, URL_LIFE_MS};
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::{self, Name, Params, SMALL_BODY_BYTES};
use crate::proxy::{clock, inputs};
use crate::subnet::task::{Hotkey, Kind, Refusal, SlotState, TaskId};

/// Largest audio that a miner may hand in, bytes: what the longest text takes as FLAC, twice.
const MAX_OUTPUT_BYTES: u64 = 256 << 20;

/// The signature of a URL to read.
#[derive(Deserialize)]
pub(super) struct Grant {
    expires: i64,
    holder: String,
    signature: String,
}

/// The bytes of one blob, or a part of them.
pub(super) async fn fetch(
    State(app): State<Arc<App>>,
    Name(sha256): Name,
    query: Result<Params<Grant>, ApiError>,
    method: Method,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let Ok(Params(Grant { expires, holder, signature })) = query else { return Err(not_signed()) };
    check_grant(&app, method.as_str(), &sha256, &holder, expires, &signature)?;
    let source = Source::Blob { sha256, media_type: None };
    let mut response = ranges::serve(&app, source, &headers).await?;
    // The bytes of a hash never change: whoever holds the URL may keep them; caches between may not.
    let keep = format!("private, max-age={}, immutable", URL_LIFE_MS / 1_000);
    response.headers_mut().insert(header::CACHE_CONTROL, keep.parse::<HeaderValue>().map_err(ApiError::internal)?);
    Ok(response)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OutputBody {
    task_id: TaskId,
    slot: u8,
    token: u64,
    sha256: String,
    bytes: u64,
}

/// A URL under which the holder of a lease may store the one file that it declares.
pub(super) async fn declare(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    let signed = request::signed(&app, request, SMALL_BODY_BYTES).await?;
    let body: OutputBody = signed.json()?;
    check_hash("sha256", &body.sha256)?;
    let limit = MAX_OUTPUT_BYTES.min(app.config.max_upload_bytes);
    if !(1..=limit).contains(&body.bytes) {
        let message = format!("bytes is {}; expected 1 to {limit}", body.bytes);
        return Err(ApiError::too_large("output_too_large", message).at("bytes"));
    }
    let grant = PutGrant {
        expires: clock::now_ms() + URL_LIFE_MS,
        holder: signed.hotkey.as_str().to_owned(),
        bytes: body.bytes,
        task: body.task_id.as_str().to_owned(),
        slot: body.slot,
        token: body.token,
        signature: String::new(),
    };
    grant.check_lease(&app).await?;
    let signature = app.blobs.sign(&grant.method(), &body.sha256, &grant.holder, grant.expires);
    let PutGrant { expires, holder, bytes, task, slot, token, .. } = grant;
    let url = format!(
        "{}/v1/blobs/{}?expires={expires}&holder={holder}&bytes={bytes}&task={task}&slot={slot}&token={token}&signature={signature}",
        app.public_url, body.sha256
    );
    Ok(Json(json!({"url": url})))
}

/// The signature of a URL to write.
#[derive(Deserialize)]
pub(super) struct PutGrant {
    expires: i64,
    holder: String,
    bytes: u64,
    task: String,
    slot: u8,
    token: u64,
    signature: String,
}

impl PutGrant {
    /// What is signed as the method: a URL is for one size and one lease.
    fn method(&self) -> String {
        format!("PUT {} {} {} {}", self.bytes, self.task, self.slot, self.token)
    }

    /// Refuses when the lease is not live, not the holder's, or not of a kind that makes audio.
    async fn check_lease(&self, app: &App) -> ApiResult<()> {
        let task = app.store.task(&TaskId::from(self.task.as_str())).await?.ok_or(Refusal::LeaseEnded)?;
        let slot = task.slots.get(usize::from(self.slot)).ok_or(Refusal::NoSuchSlot(self.slot))?;
        let lease = slot.lease.as_ref().filter(|_| slot.state == SlotState::Leased && slot.token == self.token);
        let lease = lease.filter(|lease| lease.expires_at_ms > clock::now_ms()).ok_or(Refusal::LeaseEnded)?;
        if lease.miner != Hotkey::from(self.holder.as_str()) {
            return Err(Refusal::NotYourLease.into());
        }
        if task.kind != Kind::Synthesis {
            let message = format!("a task of kind {} has no audio in its result", task.kind.as_str());
            return Err(ApiError::conflict("no_output", message));
        }
        Ok(())
    }
}

/// Stores a miner's audio: the declared bytes, a FLAC file, under a lease that lives.
pub(super) async fn store(
    State(app): State<Arc<App>>,
    Name(sha256): Name,
    query: Result<Params<PutGrant>, ApiError>,
    request: Request,
) -> ApiResult<(StatusCode, Json<Value>)> {
    let Ok(Params(grant)) = query else { return Err(not_signed()) };
    check_grant(&app, &grant.method(), &sha256, &grant.holder, grant.expires, &grant.signature)?;
    grant.check_lease(&app).await?;
    let declared = request::content_length(request.headers());
    let wrong_size = |got: u64| {
        let message = format!("the body has {got} bytes; {} were declared", grant.bytes);
        ApiError::invalid("size_mismatch", message).at("bytes")
    };
    if let Some(got) = declared.filter(|&got| got != grant.bytes) {
        return Err(wrong_size(got));
    }
    let mut incoming = app.blobs.receive_at_most(request.into_body().into_data_stream(), grant.bytes).await?;
    if incoming.n_bytes() != grant.bytes {
        return Err(wrong_size(incoming.n_bytes()));
    }
    if incoming.sha256().await? != sha256 {
        return Err(ApiError::invalid("hash_mismatch", "the body is not the file that was declared").at("sha256"));
    }
    let header = inputs::probe(&app, &mut incoming, "the audio").await?;
    if header.codec != "flac" || header.container != "flac" {
        let message = format!("the audio is {} in {}; expected a FLAC file", header.codec, header.container);
        return Err(ApiError::invalid("wrong_output_format", message));
    }
    let about = About { owner: grant.holder.clone(), name: None, media_type: "audio/flac".to_owned(), keep_ms: None };
    let stored = app.blobs.keep(incoming, about).await?;
    Ok((StatusCode::CREATED, Json(json!({"sha256": stored.sha256, "bytes": stored.bytes}))))
}

fn check_grant(app: &App, method: &str, sha256: &str, holder: &str, expires_ms: i64, signature: &str) -> ApiResult<()> {
    if !app.blobs.is_signed(method, sha256, holder, expires_ms, signature) {
        let message = "the signature is not the proxy's for this blob, holder, method and time";
        return Err(ApiError::forbidden("bad_signature", message));
    }
    if expires_ms <= clock::now_ms() {
        return Err(ApiError::forbidden("expired", "this URL expired; ask for a new one"));
    }
    Ok(())
}

fn not_signed() -> ApiError {
    ApiError::forbidden("missing_signature", "this URL is not signed; take the one of your lease")
}
