//! `/v1/tasks`: what users ask for and get.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::proxy::app::{App, no_task};
use crate::proxy::blobs::Stored;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::{Name, Params};
use crate::proxy::store;
use crate::proxy::tasks::{self as work, Probed, TaskOptions};
use crate::proxy::{form, request, views};
use crate::subnet::task::{Task, TaskId};
use crate::text::transcript::{SubtitleOptions, Transcript};

/// Largest input inside a JSON body, bytes before base64.
const MAX_INLINE_BYTES: usize = 8 << 20;

/// Largest JSON body: the input in base64, and room for the options.
const MAX_JSON_BYTES: usize = MAX_INLINE_BYTES.div_ceil(3) * 4 + (64 << 10);

/// Longest `wait`, seconds.
const MAX_WAIT_S: f64 = 60.0;

/// Longest `Idempotency-Key`, bytes.
const MAX_KEY_BYTES: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonTask {
    input: JsonInput,
    // Not flattened: serde cannot refuse unknown fields then.
    kind: Option<String>,
    language: Option<String>,
    prompt: Option<String>,
    temperature: Option<f64>,
    priority: Option<u8>,
    redundancy: Option<u8>,
    deadline_s: Option<u32>,
}

/// One of the two; an enum would make serde call two of them malformed JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonInput {
    upload_id: Option<String>,
    base64: Option<String>,
}

/// Makes a task.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> ApiResult<Response> {
    let owner = request::owner(&app, request.headers())?;
    let key = idempotency_key(request.headers())?;
    if key.is_none() {
        work::refuse_if_full(&app)?;
    }
    let (options, probed) = match request::media_type(request.headers()).as_str() {
        "multipart/form-data" => from_multipart(&app, &owner, request).await?,
        "application/json" => from_json(&app, &owner, request).await?,
        other => {
            let message = format!("content type is {other:.60}; expected multipart/form-data or application/json");
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
        }
    };
    let (task, is_new) = work::create(&app, owner, options, probed, key).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/v1/tasks/{}", task.id);
    Ok((status, [(header::LOCATION, location)], Json(views::task(&app, &task).await?)).into_response())
}

async fn from_multipart(app: &App, owner: &str, request: Request) -> ApiResult<(TaskOptions, Probed)> {
    let body = Multipart::from_request(request, &())
        .await
        .map_err(|error| ApiError::malformed("malformed_multipart", error.body_text()))?;
    let form = form::read(app, body).await?;
    let mut options = TaskOptions::default();
    for (name, text) in &form.fields {
        options.set(name, text)?;
    }
    let file = form.file.ok_or_else(|| {
        ApiError::malformed("missing_file", "the body has no part named file; send the audio in it").at("file")
    })?;
    Ok((options, work::probe(app, owner, file.incoming, file.name).await?))
}

async fn from_json(app: &App, owner: &str, request: Request) -> ApiResult<(TaskOptions, Probed)> {
    let (parts, body) = request.into_parts();
    let bytes = request::read_body(&parts.headers, body, MAX_JSON_BYTES).await?;
    let body: JsonTask = request::json(&bytes)?;
    drop(bytes);
    let probed = match (body.input.upload_id, body.input.base64) {
        (Some(id), None) => {
            let row = app.store.records().upload(owner, &id).await?.ok_or_else(|| {
                ApiError::not_found("no_such_upload", format!("there is no upload {id:.80}")).at("input")
            })?;
            Probed { stored: Stored { sha256: row.sha256, bytes: row.bytes }, name: row.name, audio: row.audio }
        }
        (None, Some(text)) => {
            let bytes = BASE64_STANDARD.decode(text).map_err(|error| {
                ApiError::invalid("not_base64", format!("input.base64 is not base64: {error}")).at("input")
            })?;
            if bytes.len() > MAX_INLINE_BYTES {
                let message =
                    format!("input.base64 has {} bytes; the limit is {MAX_INLINE_BYTES}: use /v1/uploads", bytes.len());
                return Err(ApiError::too_large("input_too_large", message).at("input"));
            }
            let mut incoming = app.blobs.begin().await?;
            incoming.write(&bytes).await?;
            work::probe(app, owner, incoming, None).await?
        }
        (Some(_), Some(_)) | (None, None) => {
            let message = "input must have either upload_id or base64";
            return Err(ApiError::invalid("invalid_value", message).at("input"));
        }
    };
    let options = TaskOptions {
        kind: body.kind,
        language: body.language,
        prompt: body.prompt,
        temperature: body.temperature,
        priority: body.priority,
        redundancy: body.redundancy,
        deadline_s: body.deadline_s,
    };
    Ok((options, probed))
}

fn idempotency_key(headers: &HeaderMap) -> ApiResult<Option<String>> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
    key.map(|key| Some(key.to_owned())).ok_or_else(|| {
        ApiError::malformed(
            "bad_idempotency_key",
            format!("Idempotency-Key must be 1 to {MAX_KEY_BYTES} ASCII characters"),
        )
        .at("idempotency-key")
    })
}

/// How long to wait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    wait: Option<f64>,
}

/// The task; with `wait`, as soon as it ended.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Name(id): Name,
    Params(waiting): Params<Waiting>,
    headers: HeaderMap,
) -> ApiResult<Json<Value>> {
    let mut task = owned(&app, &headers, id).await?;
    if let Some(wait) = waiting.wait {
        if !(0.0..=MAX_WAIT_S).contains(&wait) {
            return Err(ApiError::invalid(
                "invalid_value",
                format!("wait is {wait}; expected 0 to {MAX_WAIT_S} seconds"),
            )
            .at("wait"));
        }
        task = work::wait(&app, &task.id, Duration::from_secs_f64(wait), |task| task.state.is_final()).await?;
    }
    Ok(Json(views::task(&app, &task).await?))
}

/// Which page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
    after: Option<String>,
}

/// The user's tasks, newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(page): Params<Page>,
    headers: HeaderMap,
) -> ApiResult<Json<Value>> {
    let owner = request::owner(&app, &headers)?;
    let limit = page.limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return Err(ApiError::invalid("invalid_value", format!("limit is {limit}; expected 1 to 100")).at("limit"));
    }
    let mut tasks = app.store.records().page(&owner, limit + 1, page.after.as_deref()).await?;
    let has_more = tasks.len() > limit;
    tasks.truncate(limit);
    let next = tasks.last().filter(|_| has_more).map(|task| task.id.clone());
    let mut data = Vec::with_capacity(tasks.len());
    for task in &tasks {
        data.push(views::task(&app, task).await?);
    }
    Ok(Json(json!({"data": data, "next": next})))
}

/// Ends the task.
pub(super) async fn cancel(State(app): State<Arc<App>>, Name(id): Name, headers: HeaderMap) -> ApiResult<Json<Value>> {
    let task = owned(&app, &headers, id).await?;
    let task = work::cancel(&app, &task.id).await?;
    Ok(Json(views::task(&app, &task).await?))
}

/// Which form of the transcript.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Format {
    format: Option<String>,
}

/// The transcript.
pub(super) async fn result(
    State(app): State<Arc<App>>,
    Name(id): Name,
    Params(format): Params<Format>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let task = owned(&app, &headers, id).await?;
    let row = answer(&app, &task).await?;
    let media = |kind| [(header::CONTENT_TYPE, kind)];
    let format = format.format.as_deref().unwrap_or("json");
    if format == "json" {
        // The very text that the miner signed.
        return Ok((media("application/json"), row.result).into_response());
    }
    let transcript = Transcript::from_json(&row.result)?;
    match format {
        "text" => Ok((media("text/plain; charset=utf-8"), format!("{}\n", transcript.text.trim())).into_response()),
        "srt" => Ok((media("application/x-subrip; charset=utf-8"), transcript.to_srt(&SubtitleOptions::default()))
            .into_response()),
        "vtt" => Ok((media("text/vtt; charset=utf-8"), transcript.to_vtt(&SubtitleOptions::default())).into_response()),
        other => {
            let message = format!("format is {other:.40}; expected json, text, srt or vtt");
            Err(ApiError::invalid("invalid_value", message).at("format"))
        }
    }
}

/// The response that the user gets.
pub(super) async fn answer(app: &App, task: &Task) -> ApiResult<store::ResponseRow> {
    let Some(id) = task.answer.clone() else {
        let reason = task.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let message = format!("the task has no answer; it is {}{reason}", task.state.as_str());
        return Err(ApiError::conflict("not_answered", message));
    };
    app.store
        .records()
        .response(&id)
        .await?
        .ok_or_else(|| ApiError::internal(format!("the response of {} is missing", task.id)))
}

/// The task, if it belongs to the user who asks.
pub(super) async fn owned(app: &App, headers: &HeaderMap, id: String) -> ApiResult<Arc<Task>> {
    let (owner, id) = (request::owner(app, headers)?, TaskId::from(id));
    let task = app.task(&id).await?;
    // Another user's task is as good as none: its name alone tells nothing.
    if task.owner == owner { Ok(task) } else { Err(no_task(&id)) }
}
