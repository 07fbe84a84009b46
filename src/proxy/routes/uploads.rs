//! `/v1/uploads`: audio first, tasks about it later; whole, or in parts by their offset in the manner of tus.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proxy::answer::Json;
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::{Name, Params};
use crate::proxy::store::{Expired, Records, UploadRow};
use crate::proxy::uploads::{self, Upload};
use crate::proxy::{clock, form, inputs, request};

/// Media type of a part.
const PART: &str = "application/offset+octet-stream";

/// What may be said about an upload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    /// The user's name for the file.
    name: Option<String>,
}

/// Stores a raw body that is audio; with `Upload-Length` it begins an upload in parts.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Params(about): Params<About>,
    request: Request,
) -> ApiResult<Response> {
    let owner = request::owner(&app, request.headers())?;
    let name = about.name.as_deref().and_then(form::clean_name);
    if let Some(bytes) = number(request.headers(), "upload-length")? {
        return begin(&app, &owner, bytes, name).await;
    }
    if request::media_type(request.headers()).starts_with("multipart/") {
        let message = "this route takes the bytes of the file as the body; send multipart to /v1/tasks";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let incoming = app.blobs.receive(request.into_body().into_data_stream()).await?;
    let (stored, audio) = inputs::keep_audio(&app, &owner, incoming, name.as_deref()).await?;
    let row = UploadRow {
        id: format!("upload_{}", ulid::Ulid::new().to_string().to_ascii_lowercase()),
        owner,
        sha256: stored.sha256,
        bytes: stored.bytes,
        name,
        audio,
        created_at_ms: clock::now_ms(),
    };
    let answer = (StatusCode::CREATED, Json(view(&row))).into_response();
    app.store.put(Records { upload: Some(row), ..Records::default() }).await?;
    Ok(answer)
}

async fn begin(app: &App, owner: &str, bytes: u64, name: Option<String>) -> ApiResult<Response> {
    if bytes == 0 {
        let message = "Upload-Length is 0; expected the bytes of an audio file";
        return Err(ApiError::invalid("invalid_value", message).at("upload-length"));
    }
    let upload = Upload::begin(app, owner, bytes, name).await?;
    let location = [(header::LOCATION, format!("/v1/uploads/{}", upload.id()))];
    Ok((StatusCode::CREATED, location, offsets(0, bytes), Json(upload.view())).into_response())
}

/// How far an upload is.
pub(super) async fn show(State(app): State<Arc<App>>, Name(id): Name, headers: HeaderMap) -> ApiResult<Response> {
    let owner = request::owner(&app, &headers)?;
    if let Some(row) = app.store.records().upload(&owner, &id).await? {
        return Ok((offsets(row.bytes, row.bytes), Json(view(&row))).into_response());
    }
    let upload = Upload::find(&app, &owner, &id).await?.ok_or_else(|| no_upload(&id))?;
    Ok((offsets(upload.offset(), upload.bytes()), Json(upload.view())).into_response())
}

/// Takes the next bytes; with the last of them the upload is complete.
pub(super) async fn append(State(app): State<Arc<App>>, Name(id): Name, request: Request) -> ApiResult<Response> {
    let owner = request::owner(&app, request.headers())?;
    if request::media_type(request.headers()) != PART {
        let message = format!("a part of an upload has the content type {PART}");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let offset = number(request.headers(), "upload-offset")?.ok_or_else(|| {
        ApiError::malformed("missing_offset", "send Upload-Offset: the bytes that are there").at("upload-offset")
    })?;
    let Some(upload) = Upload::find(&app, &owner, &id).await? else {
        let is_complete = app.store.records().upload(&owner, &id).await?.is_some();
        let complete = || ApiError::conflict("upload_complete", "the upload is complete; GET shows it");
        return Err(if is_complete { complete() } else { no_upload(&id) });
    };
    let there = upload.offset();
    if offset != there {
        let message = format!("Upload-Offset is {offset}; {there} bytes are there");
        let error = ApiError::conflict("wrong_offset", message).at("upload-offset");
        return Ok((offsets(there, upload.bytes()), error).into_response());
    }
    let upload = uploads::append(Arc::clone(&app), upload, request.into_body()).await?;
    let (there, bytes) = (upload.offset(), upload.bytes());
    if there < bytes {
        return Ok((StatusCode::NO_CONTENT, offsets(there, bytes)).into_response());
    }
    let row = upload.complete(&app).await?;
    Ok((offsets(bytes, bytes), Json(view(&row))).into_response())
}

/// Ends an upload under way, or deletes one that is complete; tasks that were made of it keep what they need.
pub(super) async fn delete(State(app): State<Arc<App>>, Name(id): Name, headers: HeaderMap) -> ApiResult<StatusCode> {
    let owner = request::owner(&app, &headers)?;
    let records = app.store.records();
    if let Some(row) = records.upload(&owner, &id).await? {
        app.store.erase(Expired { uploads: vec![id], ..Expired::default() }).await?;
        if !records.is_referenced(&row.sha256).await? {
            app.blobs.condemn(&row.sha256, clock::now_ms()).await?;
        }
    } else {
        Upload::find(&app, &owner, &id).await?.ok_or_else(|| no_upload(&id))?.end(&app).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn view(row: &UploadRow) -> Value {
    json!({
        "id": row.id, "state": "complete", "offset": row.bytes, "bytes": row.bytes, "sha256": row.sha256,
        "audio": row.audio,
    })
}

/// What a client has to know to go on; never from a cache.
fn offsets(offset: u64, bytes: u64) -> [(&'static str, String); 3] {
    [
        ("upload-offset", offset.to_string()),
        ("upload-length", bytes.to_string()),
        ("cache-control", "no-store".to_owned()),
    ]
}

/// A header that is a number of bytes.
fn number(headers: &HeaderMap, name: &'static str) -> ApiResult<Option<u64>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    text.and_then(|text| text.parse().ok())
        .map(Some)
        .ok_or_else(|| ApiError::malformed("bad_header", format!("header {name} must be a number of bytes")).at(name))
}

fn no_upload(id: &str) -> ApiError {
    ApiError::not_found("no_such_upload", format!("there is no upload {id:.80}; it may have expired"))
}
