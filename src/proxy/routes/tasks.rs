//! `/v1/tasks`: what users ask for and get.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::proxy::answer::Json;
use crate::proxy::app::{App, no_task};
use crate::proxy::blobs::{Incoming, Stored};
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::inputs::{self, Content, Probed};
use crate::proxy::options::TaskOptions;
use crate::proxy::request::{Name, Params};
use crate::proxy::store::Listing;
use crate::proxy::tasks as work;
use crate::proxy::{form, request, views};
use crate::subnet::task::{Kind, Task, TaskId, TaskState};

/// Largest input inside a JSON body, bytes before base64.
const MAX_INLINE_BYTES: usize = 8 << 20;

/// Largest JSON body: the input in base64, and room for the options.
const MAX_JSON_BYTES: usize = MAX_INLINE_BYTES.div_ceil(3) * 4 + (64 << 10);

/// Longest `wait`, seconds.
const MAX_WAIT_S: f64 = 60.0;

/// Longest `Idempotency-Key`, bytes.
const MAX_KEY_BYTES: usize = 255;

/// What a JSON body names as its input: one of the three. An enum would make serde call two of them malformed JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonInput {
    upload_id: Option<String>,
    base64: Option<String>,
    text: Option<String>,
}

/// Makes a task.
pub(super) async fn create(State(app): State<Arc<App>>, request: Request) -> ApiResult<Response> {
    let owner = request::owner(&app, request.headers())?;
    let key = idempotency_key(request.headers())?;
    if key.is_none() {
        work::refuse_if_full(&app, &owner)?;
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
    made(&app, &task, is_new).await
}

/// The answer to whoever made a task, or made it before.
async fn made(app: &App, task: &Task, is_new: bool) -> ApiResult<Response> {
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    let location = format!("/v1/tasks/{}", task.id);
    Ok((status, [(header::LOCATION, location)], Json(views::task(app, task).await?)).into_response())
}

async fn from_multipart(app: &App, owner: &str, request: Request) -> ApiResult<(TaskOptions, Probed)> {
    let body = Multipart::from_request(request, &())
        .await
        .map_err(|error| ApiError::malformed("malformed_multipart", error.body_text()))?;
    let form = form::read(app, body).await?;
    let (mut options, mut text) = (TaskOptions::default(), None);
    for (name, value) in form.fields {
        if name == "text" {
            text = Some(value);
        } else {
            options.set(&name, &value)?;
        }
    }
    let probed = match (form.file, text) {
        (Some(file), None) => inputs::audio(app, owner, file.incoming, file.name).await?,
        (None, Some(text)) => inputs::text(app, owner, &text).await?,
        (Some(_), Some(_)) => {
            return Err(ApiError::malformed("two_inputs", "the body has both file and text; send one").at("text"));
        }
        (None, None) => {
            let message = "the body has no part named file; send the audio in it (or text, for a synthesis)";
            return Err(ApiError::malformed("missing_file", message).at("file"));
        }
    };
    Ok((options, probed))
}

async fn from_json(app: &App, owner: &str, request: Request) -> ApiResult<(TaskOptions, Probed)> {
    let (parts, body) = request.into_parts();
    let bytes = request::read_body(&parts.headers, body, MAX_JSON_BYTES).await?;
    // In two steps, for serde cannot flatten and refuse unknown members at once.
    let mut body: serde_json::Map<String, Value> = request::json(&bytes)?;
    drop(bytes);
    let input = body.remove("input").ok_or_else(|| {
        ApiError::invalid("invalid_body", "the body has no member input; see docs/protocol.md").at("input")
    })?;
    let input: JsonInput = request::json_value(input)?;
    let options: TaskOptions = request::json_value(Value::Object(body))?;
    let probed = match (input.upload_id, input.base64, input.text) {
        (Some(id), None, None) => uploaded(app, owner, id).await?,
        (None, Some(text), None) => inputs::audio(app, owner, inline(app, &text).await?, None).await?,
        (None, None, Some(text)) => inputs::text(app, owner, &text).await?,
        _ => {
            let message = "input must have one of upload_id, base64 and text";
            return Err(ApiError::invalid("invalid_value", message).at("input"));
        }
    };
    Ok((options, probed))
}

async fn uploaded(app: &App, owner: &str, id: String) -> ApiResult<Probed> {
    let row = app.store.records().upload(owner, &id).await?;
    let row =
        row.ok_or_else(|| ApiError::not_found("no_such_upload", format!("there is no upload {id:.80}")).at("input"))?;
    let stored = Stored { sha256: row.sha256, bytes: row.bytes };
    Ok(Probed { stored, name: row.name, content: Content::Audio(row.audio) })
}

async fn inline(app: &App, base64: &str) -> ApiResult<Incoming> {
    let bytes = BASE64_STANDARD
        .decode(base64)
        .map_err(|error| ApiError::invalid("not_base64", format!("input.base64 is not base64: {error}")).at("input"))?;
    if bytes.len() > MAX_INLINE_BYTES {
        let message =
            format!("input.base64 has {} bytes; the limit is {MAX_INLINE_BYTES}: use /v1/uploads", bytes.len());
        return Err(ApiError::too_large("input_too_large", message).at("input"));
    }
    let mut incoming = app.blobs.begin().await?;
    incoming.write(bytes.into()).await?;
    Ok(incoming)
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
) -> ApiResult<Response> {
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
    Ok(Json(views::task(&app, &task).await?).into_response())
}

/// Which tasks, and which page of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Page {
    limit: Option<usize>,
    after: Option<String>,
    state: Option<String>,
    kind: Option<String>,
    created_after_ms: Option<i64>,
    created_before_ms: Option<i64>,
}

impl Page {
    /// The page as the store is asked for it, with one task more to see whether others follow.
    fn listing(self, owner: String, limit: usize) -> ApiResult<Listing> {
        let unknown = |param: &'static str, got: &str, known: String| {
            ApiError::invalid("invalid_value", format!("{param} is {got:.40}; expected one of {known}")).at(param)
        };
        let state = self.state.map(|name| {
            let known = TaskState::ALL.into_iter().find(|state| state.as_str() == name);
            known.ok_or_else(|| unknown("state", &name, TaskState::ALL.map(TaskState::as_str).join(", ")))
        });
        let kind = self.kind.map(|name| {
            Kind::from_name(&name).ok_or_else(|| unknown("kind", &name, Kind::ALL.map(Kind::as_str).join(", ")))
        });
        // Names of tasks are in the order of their times; a time itself is after none and before itself.
        let from = self.created_after_ms.map(|at_ms| work::first_id_of(at_ms.saturating_add(1)));
        let before = self.created_before_ms.map(work::first_id_of).into_iter().chain(self.after).min();
        Ok(Listing {
            owner,
            limit: limit + 1,
            from: from.unwrap_or_default(),
            before: before.unwrap_or_else(|| Listing::LAST.to_owned()),
            state: state.transpose()?,
            kind: kind.transpose()?,
        })
    }
}

/// A page of tasks.
#[derive(Serialize)]
struct Tasks<'a> {
    data: Vec<views::TaskView<'a>>,
    next: Option<&'a TaskId>,
}

/// The user's tasks, newest first.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Params(page): Params<Page>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let owner = request::owner(&app, &headers)?;
    let limit = page.limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return Err(ApiError::invalid("invalid_value", format!("limit is {limit}; expected 1 to 100")).at("limit"));
    }
    let mut tasks = app.store.records().page(page.listing(owner, limit)?).await?;
    let has_more = tasks.len() > limit;
    tasks.truncate(limit);
    let next = tasks.last().filter(|_| has_more).map(|task| &task.id);
    let mut data = Vec::with_capacity(tasks.len());
    for task in &tasks {
        data.push(views::task(&app, task).await?);
    }
    Ok(Json(Tasks { data, next }).into_response())
}

/// Erases the task and what belongs to it.
pub(super) async fn delete(State(app): State<Arc<App>>, Name(id): Name, headers: HeaderMap) -> ApiResult<StatusCode> {
    let task = owned(&app, &headers, id).await?;
    work::erase(&app, &task).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the task.
pub(super) async fn cancel(State(app): State<Arc<App>>, Name(id): Name, headers: HeaderMap) -> ApiResult<Response> {
    let task = owned(&app, &headers, id).await?;
    let task = work::cancel(&app, &task.id).await?;
    Ok(Json(views::task(&app, &task).await?).into_response())
}

/// The same work again, as a task of its own.
pub(super) async fn retry(State(app): State<Arc<App>>, Name(id): Name, headers: HeaderMap) -> ApiResult<Response> {
    let ended = owned(&app, &headers, id).await?;
    let (task, is_new) = work::retry(&app, &ended, idempotency_key(&headers)?).await?;
    made(&app, &task, is_new).await
}

/// The task, if it belongs to the user who asks.
pub(super) async fn owned(app: &App, headers: &HeaderMap, id: String) -> ApiResult<Arc<Task>> {
    let (owner, id) = (request::owner(app, headers)?, TaskId::from(id));
    let task = app.task(&id).await?;
    // Another user's task is as good as none: its name alone tells nothing.
    if task.owner == owner { Ok(task) } else { Err(no_task(&id)) }
}
