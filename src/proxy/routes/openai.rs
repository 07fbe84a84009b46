//! OpenAI's routes over the native ones; its official client is their conformance test.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use super::tasks::answer;
use crate::proxy::app::App;
use crate::proxy::error::{ApiError, ApiResult};
use crate::proxy::request::Name;
use crate::proxy::tasks::{self as work, TaskOptions};
use crate::proxy::{clock, form, languages, request};
use crate::subnet::task::{TaskId, seconds};
use crate::text::transcript::{Segment, SubtitleOptions, Transcript};

/// The model that is always there: whatever the miners run.
const DEFAULT_MODEL: &str = "whisper-1";

/// How often a waiting request looks at its task even if nothing woke it.
const LOOK: Duration = Duration::from_secs(30);

/// What the form asks for.
#[derive(Default)]
struct Wish {
    model: Option<String>,
    format: Option<String>,
    options: TaskOptions,
}

impl Wish {
    fn set(&mut self, name: &str, text: &str) -> ApiResult<()> {
        match name {
            "model" => self.model = Some(text.to_owned()),
            "response_format" => self.format = Some(text.to_owned()),
            "language" | "prompt" | "temperature" => self.options.set(name, text)?,
            "timestamp_granularities[]" | "timestamp_granularities" if text != "segment" => {
                let message = format!("timestamp_granularities is {text:.40}; only segment is supported");
                return Err(ApiError::invalid("unsupported_value", message).at("timestamp_granularities"));
            }
            // As with OpenAI's whisper-1, `stream` and the hints of later models change nothing.
            "timestamp_granularities[]" | "timestamp_granularities" | "stream" | "include[]" | "chunking_strategy" => {}
            _ => return Err(ApiError::invalid("unknown_field", format!("field {name:.40} is not known here"))),
        }
        Ok(())
    }
}

/// Transcribes a file and waits for the first accepted answer.
pub(super) async fn transcribe(State(app): State<Arc<App>>, request: Request) -> ApiResult<Response> {
    let owner = request::owner(&app, request.headers())?;
    work::refuse_if_full(&app)?;
    if request::media_type(request.headers()) != "multipart/form-data" {
        let message = "this route takes multipart/form-data with the parts file and model";
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message));
    }
    let body = Multipart::from_request(request, &())
        .await
        .map_err(|error| ApiError::malformed("malformed_multipart", error.body_text()))?;
    let form = form::read(&app, body).await?;
    let mut wish = Wish::default();
    for (name, text) in &form.fields {
        wish.set(name, text)?;
    }
    let missing = |param, message: &str| ApiError::malformed("missing_field", message).at(param);
    let model = wish.model.as_deref().ok_or_else(|| missing("model", "the body has no field model; send whisper-1"))?;
    known_model(&app, model)?;
    let format = wish.format.as_deref().unwrap_or("json");
    if !["json", "text", "srt", "verbose_json", "vtt"].contains(&format) {
        let message = format!("response_format is {format:.40}; expected json, text, srt, verbose_json or vtt");
        return Err(ApiError::invalid("invalid_value", message).at("response_format"));
    }
    let file = form.file.ok_or_else(|| missing("file", "the body has no part named file; send the audio in it"))?;
    let probed = work::probe(&app, &owner, file.incoming, file.name).await?;
    let (task, _) = work::create(&app, owner, wish.options, probed, None).await?;
    let transcript = first_answer(&app, &task.id, task.deadline_ms).await?;
    Ok(render(&transcript, format))
}

/// Waits for the first answer; ends the task if the client goes away before.
async fn first_answer(app: &Arc<App>, id: &TaskId, deadline_ms: i64) -> ApiResult<Transcript> {
    let mut guard = CancelOnDrop { app: Arc::clone(app), id: Some(id.clone()) };
    let task = loop {
        let task = work::wait(app, id, LOOK, |task| task.answer.is_some() || task.state.is_final()).await?;
        if task.answer.is_some() || task.state.is_final() {
            break task;
        }
        if app.shutdown.is_cancelled() {
            // The task lives on and is taken up at the next start; only this client has to ask again.
            guard.id = None;
            return Err(ApiError::unavailable(
                "shutting_down",
                format!("the proxy is shutting down; the task {id} goes on"),
            ));
        }
        if clock::now_ms() > deadline_ms + 60_000 {
            return Err(ApiError::internal(format!("{id} is open past its deadline")));
        }
    };
    guard.id = None;
    if task.answer.is_none() {
        let reason = task.reason.as_deref().unwrap_or("it was cancelled");
        return Err(ApiError::unavailable("task_failed", format!("the task {id} failed: {reason}")));
    }
    Ok(Transcript::from_json(&answer(app, &task).await?.result)?)
}

/// Ends a task whose client went away: nobody would read the answer.
struct CancelOnDrop {
    app: Arc<App>,
    id: Option<TaskId>,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let app = Arc::clone(&self.app);
            tokio::spawn(async move {
                if let Err(error) = work::cancel(&app, &id).await {
                    tracing::debug!(task = %id, ?error, "a task that nobody waits for could not be cancelled");
                }
            });
        }
    }
}

/// The answer in `json` and, with the members that are not always there, `verbose_json`.
#[derive(Serialize)]
struct Transcription<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    segments: Option<&'a [Segment]>,
    usage: Usage,
}

/// What is paid for at OpenAI.
#[derive(Serialize)]
struct Usage {
    r#type: &'static str,
    seconds: f64,
}

fn render(transcript: &Transcript, format: &str) -> Response {
    let text = transcript.text.trim();
    // OpenAI's clients expect plain text for everything that is not JSON.
    let plain = |body: String| ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response();
    let is_verbose = format == "verbose_json";
    match format {
        "text" => plain(format!("{text}\n")),
        "srt" => plain(transcript.to_srt(&SubtitleOptions::default())),
        "vtt" => plain(transcript.to_vtt(&SubtitleOptions::default())),
        _ => Json(Transcription {
            task: is_verbose.then_some("transcribe"),
            language: is_verbose.then(|| languages::name(&transcript.language)),
            duration: is_verbose.then_some(transcript.duration_s),
            text,
            segments: is_verbose.then_some(&transcript.segments),
            usage: Usage { r#type: "duration", seconds: transcript.duration_s.ceil() },
        })
        .into_response(),
    }
}

/// OpenAI's list of models: the default, and those that the miners here run.
pub(super) async fn models(State(app): State<Arc<App>>, request: Request) -> ApiResult<Json<Value>> {
    request::owner(&app, request.headers())?;
    let data: Vec<Value> = listed(&app).iter().map(|id| model_view(&app, id)).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

/// One model.
pub(super) async fn model(State(app): State<Arc<App>>, Name(id): Name, request: Request) -> ApiResult<Json<Value>> {
    request::owner(&app, request.headers())?;
    known_model(&app, &id)?;
    Ok(Json(model_view(&app, &id)))
}

fn listed(app: &App) -> BTreeSet<String> {
    let present = app.presence.present(clock::now_ms()).into_iter();
    present.filter_map(|(_, seen)| seen.model).chain([DEFAULT_MODEL.to_owned()]).collect()
}

fn known_model(app: &App, id: &str) -> ApiResult<()> {
    if listed(app).contains(id) {
        return Ok(());
    }
    let message = format!("the model {id:.60} is not listed by GET /v1/models; {DEFAULT_MODEL} always is");
    Err(ApiError::not_found("model_not_found", message).at("model"))
}

fn model_view(app: &App, id: &str) -> Value {
    #[allow(clippy::cast_possible_truncation, reason = "seconds since the epoch fit in an i64")]
    let created = seconds(i64::try_from(app.started_ns / 1_000_000).unwrap_or_default()) as i64;
    json!({"id": id, "object": "model", "created": created, "owned_by": "violet"})
}
